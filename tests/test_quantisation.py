"""The float-to-fixed report and the network loops it runs on."""

import json
from dataclasses import replace

import export_networks as drawn_networks
import numpy as np
import pytest
from realisations import draw, m1t1r_layer

from lava_1m1t1r import convolution, presets
from lava_1m1t1r.activity import activity, drain_steps, latching_run, longest_true
from lava_1m1t1r.agreement import Agreement, agreement
from lava_1m1t1r.delay_lines import outgoing
from lava_1m1t1r.description import NetDescription
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.fast import FastNetwork
from lava_1m1t1r.program import StepParams
from lava_1m1t1r.quantisation import quantise, quantise_network, side_by_side
from lava_1m1t1r.reference import CompiledNeurons, Traces
from lava_1m1t1r.reference_network import run

FIG2 = presets.ZHAO2025_FIG2


def rate(report, word):
    return next(r for r in report.rates if word in r.name)


def alone(*parts, step=None, **more):
    """A network of one layer."""
    return NetDescription((m1t1r_layer(0, step or StepParams(FIG2), *parts, **more),))


def test_scales_are_what_one_count_means():
    report = quantise(StepParams(FIG2), 3)
    scales = report.scales
    assert scales["v_in [V]"] == 0.125 / 4096 and scales["gate [V]"] == 0.125 / 2**18
    assert scales["filament and residue [gap]"] == 2.0**-22 and scales["weight [V]"] == 0.125 / 64
    assert "one count is 2.38e-07 (filament and residue [gap]), 4.77e-07 (gate [V])" in str(report)
    assert 0 < report.threshold_error <= scales["gate [V]"] / 2
    unequal = quantise(StepParams(replace(FIG2, v_th=np.array([0.15, 0.2, 0.3]), gamma2=np.array([1.0, 7.0, 20.0]))), 3)
    assert 0 < unequal.threshold_error <= scales["gate [V]"] / 2
    assert "residue loss (gamma2): 0.00025 to 0.00499 per substep" in str(unequal)
    with pytest.raises(InputError, match=r"quantise.neurons must be the device's size \(3\); got 4"):
        quantise(StepParams(replace(FIG2, mu=np.full(3, 56.0))), 4)
    for wrong in (0, -1, 2.5, "a", None):
        with pytest.raises(InputError, match=r"quantise.neurons must be a whole number from 1 to"):
            quantise(StepParams(FIG2), wrong)


def test_the_threshold_error_is_the_largest_of_all_neurons():
    lsb = StepParams(FIG2).gate_lsb
    v_th = np.array([3000.0, 3000.25, 3000.4]) * lsb
    assert quantise(StepParams(replace(FIG2, v_th=v_th)), 3).threshold_error == pytest.approx(0.4 * lsb, rel=1e-6)


def test_every_rate_is_within_a_tenth_of_a_percent(rng):
    device = replace(FIG2, mu=56 * np.exp(0.3 * rng.standard_normal(50)), v0=rng.uniform(0.08, 0.12, 50))
    report = quantise(StepParams(replace(device, gamma2=np.linspace(1, 20, 50))), 50)
    assert report.fits and not any(r.cure for r in report.rates)
    assert len(report.rates) == 5 and all(r.error < 1e-3 for r in report.rates)
    low, high = rate(report, "gamma2").per_substep
    assert low == pytest.approx(1 * 2.5e-4, rel=1e-3) and high == pytest.approx(20 * 2.5e-4, rel=3e-3)


def test_the_error_of_the_growth_has_no_sign():
    """A growth that is too small is as wrong as one that is too large."""
    errors = [quantise(StepParams(replace(FIG2, mu=mu)), 1).rates[-1].error for mu in FIG2.mu * np.linspace(0.9, 1.1, 12)]
    assert min(errors) > 0


def test_bias_is_what_rounding_down_does_to_a_held_state():
    # Feed the residue at a constant filament and compare with the floating step: the shift stays below the reported bias.
    params = StepParams(FIG2)
    bias = rate(quantise(params, 1), "gamma2").bias
    a_in = np.full(1, 150)
    runs = [CompiledNeurons(params, 1, fixed=f) for f in (True, False)]
    for _ in range(3000):
        fixed, floating = (n.step(a_in) for n in runs)
    off = floating.residue[0] - fixed.residue[0] / 2**22
    assert 0 < off < 2 * bias  # one count a substep for the loss, one for the transfer
    assert bias < 3e-4
    several = replace(FIG2, gamma2=FIG2.gamma2 * np.array([1.0, 3.0]))
    assert rate(quantise(StepParams(several), 2), "gamma2").bias == pytest.approx(bias)  # of the slowest
    assert rate(quantise(params, 1), "gate loss").bias == pytest.approx(params.gate_lsb / params.shares()["gate_lost"])


def test_rates_that_round_away_are_named_with_the_cure():
    report = quantise(StepParams(replace(FIG2, gamma2=np.array([7.0, 0.01, 0.02]))), 3)
    assert not report.fits
    r = rate(report, "gamma2")
    assert r.rounds_away == 2 and "larger dt" in r.cure
    assert "does not fit in 2 neurons" in str(report)
    fast = rate(quantise(StepParams(replace(FIG2, beta=np.array([40.0, 5000.0]))), 2), "transfer")
    assert fast.rounds_away == 1 and "smaller dt" in fast.cure and fast.error < 1e-3  # of those that fit
    assert rate(quantise(StepParams(replace(FIG2, gamma2=1e-4)), 256), "gamma2").rounds_away == 256  # one device, 256 neurons
    with pytest.raises(InputError, match="gamma2"):
        quantise_network(alone(np.full((2, 2), 200), step=StepParams(replace(FIG2, gamma2=0.01))), np.ones((1, 5, 2), int))


@pytest.mark.parametrize("held", [False, True])
def test_duplicates_are_neurons_that_rounding_made_equal(held):
    r_control = np.array([2.5e8, 2.5e8 * (1 + 1e-6), 5e8, 5e8])
    report = quantise(StepParams(replace(FIG2, r_control=r_control), held=held), 4)
    assert report.duplicates["gate_decay"] == 1 and report.duplicates["all"] == 1
    assert report.duplicates["gain"] == 0 and "gate_decay 1" in str(report)
    v0 = FIG2.v0 * np.array([1, 1 + 1e-7, 1.1, 1.1])  # of one growth, and yet of two gains: relative to v0
    fields = quantise(StepParams(replace(FIG2, v0=v0), held=held), 4).duplicates
    assert {name for name, n in fields.items() if n} == {"stretch", "gain", "all"} and fields["gain"] == 1
    assert not any(quantise(StepParams(FIG2), 4).duplicates.values())
    noise = replace(FIG2, sigma1=np.array([2e-3, 2e-3 * (1 + 1e-9), 5e-3, 5e-3]), r_control=r_control)
    found = quantise(StepParams(noise, held=held), 4).duplicates
    assert {name for name, n in found.items() if n} == {"gate_decay", "noise_filament", "all"} and found["all"] == 1
    apart = replace(noise, sigma1=np.array([1e-3, 2e-3, 3e-3, 3e-3]))
    assert quantise(StepParams(apart, held=held), 4).duplicates["all"] == 0
    alike = replace(apart, r_control=2.5e8 * np.array([1, 1, 1, 1 + 1e-6]))
    assert quantise(StepParams(alike, held=held), 4).duplicates["all"] == 1


def test_gains_of_one_mantissa_are_told_apart_by_their_exponents():
    found = quantise(StepParams(replace(FIG2, mu=FIG2.mu * np.array([1.0, 2.0]))), 2).duplicates
    assert found["gain"] == found["all"] == 0


def test_silent_and_latched_neurons_are_found():
    params = StepParams(FIG2)
    a_in = np.zeros((600, 3), np.int64)
    a_in[::2, 1] = 410  # 0.8 V, pulsed: fires
    a_in[:, 2] = 460  # 0.9 V for good: fires, then latches
    neurons = CompiledNeurons(params, 3)
    steps = [neurons.step(a) for a in a_in]
    run = Traces(*(None if x[0] is None else np.stack(x) for x in zip(*steps, strict=True)))
    found = activity(params, [run])
    assert found.silent == [0] and found.latched == [2] and found.spikes == run.spike.sum() > 100
    # 250 Mohm times 10 pF times ln(1.2 / 0.2)
    assert drain_steps(params)[0] == pytest.approx(2.5 * np.log(6))


def test_neurons_latch_in_any_sample_by_a_gate_that_stays_above_without_a_spike():
    params = StepParams(FIG2)
    v_th, steps = params.fixed(5).v_th[0], 93  # the largest input drains in 4.48 steps: up to 45.8 explain nothing yet
    gate, spike = np.full((steps, 5), v_th + 1), np.zeros((steps, 5), bool)
    gate[:48, 0] = v_th  # 45 steps above
    gate[:, 2] = v_th  # at the threshold, never above
    spike[[45, 90], 3] = True  # 45, 44 and 2 steps above
    gate[:, 4] = 0
    one = Traces(spike, None, gate, gate, gate)
    other = one._replace(gate=np.zeros_like(gate))
    for runs in ([one], [one, other], [other, one]):
        found = activity(params, runs)
        assert found.latched == [1] and found.silent == [0, 1, 2, 4] and found.spikes == 2 * len(runs) and found.untold == []
    weak = StepParams(replace(FIG2, v_th=1.5))  # no input lifts its gate so far
    assert drain_steps(weak)[0] == 0 and activity(weak, [one._replace(gate=0 * gate)]).latched == []


def test_in_short_samples_neurons_latch_that_stay_above_for_most_of_them_and_the_shortest_do_not_tell():
    slow = StepParams(FIG2, dt=2.5e-4)  # drains in 17.9 steps: in 90 steps more than 46 count, and 36.8 or fewer steps tell nothing
    v_th = slow.fixed(3).v_th[0]
    assert latching_run(slow, 90).tolist() == [46.0] and latching_run(slow, 1000)[0] == pytest.approx(180.2, abs=0.05)

    def found(steps, *above):
        gate = np.zeros((steps, 3), np.int64)
        for n, length in enumerate(above):
            gate[:length, n] = v_th + 1
        return activity(slow, [Traces(gate < 0, None, gate, gate, gate)])

    assert found(90, 46, 47, 90).latched == [1, 2] and found(90, 46).untold == []
    assert found(40, 36, 37, 40).latched == [1, 2]
    assert found(36, 36, 36, 36)[2:] == ([], [0, 1, 2]) and found(37, 37)[2:] == ([0], [])


def test_longest_true():
    on = np.array([[1, 0], [1, 1], [0, 1], [1, 1]], bool)
    assert longest_true(on).tolist() == [2, 3]


def test_network_report_prints_and_is_json(rng):
    drawn = draw("recurrent", rng, size=10, steps=150)
    reports = quantise_network(drawn.net, drawn.frames[None], names=["hidden", "out"])
    for report in reports:
        data = json.loads(json.dumps(report.as_dict()))
        assert data["fits"] and data["agreement"]["free-running"]["share"] <= 1
        assert report.name in str(report) and "teacher-forced" in str(report)
        some = replace(report, activity=report.activity._replace(silent=[1, 4], latched=[]))
        assert "spikes; silent: 2 neurons (1, 4); latched: 0 neurons\n" in str(some)
        some = replace(report, activity=report.activity._replace(untold=[2]))
        assert "; draining too slowly for utterances this short to show latching: 1 neuron (2)\n" in str(some)
    assert quantise_network(drawn.net)[0].activity is None
    for names in (["hidden"], ["hidden", 2], "ab", 2):
        with pytest.raises(InputError, match="quantise_network.names must be 2 texts; got"):
            quantise_network(drawn.net, names=names)
    for one, twice in zip(reports, quantise_network(drawn.net, np.stack([drawn.frames] * 2)), strict=True):
        assert all(twice.agreement[kind] == found + found for kind, found in one.agreement.items())


def test_delays_of_the_network_by_hand():
    # One neuron that fires by itself; its spike reaches the second layer after 1 + delay steps.
    first = m1t1r_layer(0, StepParams(FIG2), np.full((1, 1), 254), bias=np.array([200]), delay=np.array([7]))
    second = m1t1r_layer(1, StepParams(FIG2), np.full((1, 1), 254))
    a, b = run(NetDescription((first, second)), np.ones((60, 1), int))
    spikes = np.flatnonzero(a.traces.spike)
    assert spikes.size > 1
    assert np.flatnonzero(b.a_in).tolist() == [t + 8 for t in spikes if t + 8 < 60]
    late = replace(first, weight_rec=np.full((1, 1), -100), delay_rec=np.array([3]))
    c = run(NetDescription((late,)), np.ones((60, 1), int))[0]
    came = np.flatnonzero(c.a_in[:, 0] < 454)
    assert came.tolist() == [t + 4 for t in np.flatnonzero(c.traces.spike) if t + 4 < 60] and came.size


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"weight": np.ones((2, 3), int)}, r"weight must have shape \(2, 2\)"),
        ({"weight": np.full((2, 2), 0.5)}, "weight must be an array of whole numbers"),
        ({"weight_rec": np.ones((2, 3), int)}, "weight_rec must have shape"),
        ({"delay": np.array([0, 63])}, "delay must lie in 0..62"),
        ({"delay_rec": np.array([-1, 0])}, "delay_rec must lie in 0..62"),
        ({"bias": np.ones(3, int)}, "bias must have shape"),
    ],
)
def test_wrong_layers_are_refused_by_name(change, text):
    net = NetDescription((replace(alone(np.ones((2, 2))).layers[0], **change),))
    with pytest.raises(InputError, match=text):
        run(net, np.ones((3, 2), int))


def test_wrong_frames_and_forcing_are_refused():
    net = alone(np.ones((2, 2)))
    for frames, words in (
        (np.ones(2, int), r"have shape \(T, 2\): one sample; got \(2,\)"),
        (np.ones((3, 3), int), "have 2 channels"),
        (np.full((3, 2), 0.5), "hold whole spike counts"),
    ):
        with pytest.raises(InputError, match=f"frames must {words}"):
            run(net, frames)
    for count in (-1, 1 << 40, 1 << 57):  # as every other realisation refuses them
        with pytest.raises(InputError, match=f"frames must hold whole spike counts from 0 to 32767; got .*{count}"):
            run(net, np.full((3, 2), count))
    for forced in ([np.ones((3, 1), int)], [np.full((3, 2), 300.9)], [], 3):
        with pytest.raises(InputError, match="forced"):
            run(net, np.ones((3, 2), int), forced=forced)


def test_networks_of_other_neurons_or_none_are_refused():
    from lava_1m1t1r.description import CubaNeuron, Layer

    weight = np.ones((2, 2), np.int32)
    for layer, text in (
        (Layer(0, "affine", (2,), 2, weight), "hold a layer of neurons"),
        (Layer(0, "dense", (2,), 2, weight, neuron=CubaNeuron(1024, 128, 80)), "layer/0 neuron must be an M1T1RNeuron"),
    ):
        with pytest.raises(InputError, match=text):
            run(NetDescription((layer,)), np.ones((3, 2), int))


def test_teacher_forcing_feeds_the_recurrent_input_of_the_fixed_run():
    differs = 0
    for seed in (8, 10):  # spike for spike, many drawn networks do the same in floating point: a few, so that one does not
        drawn = draw("recurrent delays", np.random.default_rng(seed), size=48, steps=400)
        ran, y = side_by_side(drawn.net, drawn.frames), drawn.frames
        for layer, fixed, forced, free in zip(drawn.net.layers, ran.fixed, ran.forced, ran.free, strict=True):
            s = fixed.traces.spike.astype(np.int64)
            wanted = y @ layer.weight.T
            for t in range(len(y)):  # by plain sums, from the fixed run's spikes
                for m in np.flatnonzero(t - 1 - layer.delay_rec >= 0):
                    wanted[t] += layer.weight_rec[:, m] * s[t - 1 - layer.delay_rec[m], m]
            assert np.array_equal(forced.a_in, wanted) and forced.traces.gate.dtype == np.float64
            differs += np.sum(free.a_in != wanted)
            y = outgoing(s, layer.delay)
    assert differs > 0, "free running has an input of its own"


@pytest.mark.slow
def test_the_shipped_network_says_the_same_in_floating_and_in_fixed_point():
    pytest.importorskip("h5py")
    from lava_1m1t1r.commands._common import network_path
    from lava_1m1t1r.datasets import SpokenDigits
    from lava_1m1t1r.netx.schema import read
    from lava_1m1t1r.recipes.data import frames_of, steps_for
    from lava_1m1t1r.recipes.evaluate import evaluate
    from lava_1m1t1r.recipes.task import recipe

    net, task = read(network_path("shipped")), recipe("spoken-digits")
    events = SpokenDigits(train=False)
    test = frames_of(events, task.replace(n_steps=steps_for(events, task)))
    result, _ = evaluate(net, test)
    fed = Agreement(0, 0, (0, 0))
    for frames in test.dense()[::4]:
        ran = side_by_side(net, frames)
        fed += agreement(ran.fixed[0].traces.spike, ran.forced[0].traces.spike)
    print(f"fed: {fed}; free: {result.float_spikes}; right: {result.accuracy:.2%} fixed, {result.floating_accuracy:.2%} floating")
    assert fed.same > 10_000 and fed.share >= 0.99
    assert result.float_spikes.share >= 0.98
    assert abs(result.accuracy - result.floating_accuracy) <= 0.005 + 1e-9


def test_images_and_layers_behind_others_of_a_file_are_compared(rng):
    """What draws numbers draws those of its place in the file."""
    conv = convolution.Convolution((2, 5, 4), 3, (3, 3))
    params = StepParams(replace(FIG2, sigma1=2e-3, sigma2=2e-3))
    layer = m1t1r_layer(0, params, 2 * rng.integers(0, 100, conv.weight_shape), 5, conv)
    nets = [NetDescription((replace(layer, index=index),)) for index in (0, 3)]
    frames = (rng.random((2, 60, 40)) < 0.5).astype(np.int64)
    spikes = [quantise_network(net, frames)[0].activity.spikes for net in nets]
    own = [sum(int(run(net, one)[0].traces.spike.sum()) for one in frames) for net in nets]
    assert spikes == own and spikes[0] != spikes[1]
    with pytest.raises(InputError, match=r"samples must have the shape \(B, T, 40\)"):
        quantise_network(nets[0], frames[:, :, :18])


def test_the_network_of_a_file_is_reported_under_its_own_noise(rng, tmp_path):
    """What the report counts is what the file's own run does, spike for spike; a seed of another network would show."""
    pytest.importorskip("h5py")
    from lava_1m1t1r.netx import schema

    path = tmp_path / "noisy.net"
    schema.write(path, drawn_networks.network("behind_delay_lines", rng))  # of seed 7
    net = schema.read(path)
    frames = drawn_networks.frames(rng, net, steps=60, rate=0.4)
    (report,) = quantise_network(net, frames)
    fired = [FastNetwork(x).run(frames, record="all").layers[0].spikes for x in (net, reseeded(net, 0))]
    assert report.activity.spikes == fired[0].sum() > 0 and not np.array_equal(*fired) and report.name == "layer 1"
    for sample, wanted in zip(frames, fired[0], strict=True):
        assert np.array_equal(side_by_side(net, sample).fixed[0].traces.spike, wanted)
    with pytest.raises(InputError, match="be a NetDescription"):
        quantise_network("net", frames)


def reseeded(net, seed):
    """The network, whose neurons draw other numbers."""
    return replace(net, layers=tuple(x if x.neuron is None else replace(x, neuron=replace(x.neuron, seed=seed)) for x in net.layers))


@pytest.mark.parametrize("name", ["input_neurons_odd_weights_and_average", "images"])
def test_input_neurons_and_images_of_a_file_are_reported(name, rng):
    net = drawn_networks.network(name, rng)
    frames = drawn_networks.frames(rng, net, steps=80, rate=0.5)
    result = FastNetwork(net).run(frames, record="all")
    wanted = [record.spikes.sum() for layer, record in zip(net.active, result.layers, strict=True) if layer.neuron is not None]
    assert [report.activity.spikes for report in quantise_network(net, frames)] == wanted and any(wanted)
