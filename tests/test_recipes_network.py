"""Tasks, the networks that they describe, and the augmentation and data that go with them."""

import copy
import dataclasses
import re

import numpy as np
import pytest
from words import toy

from lava_1m1t1r import presets
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.fast import FastNetwork
from lava_1m1t1r.netx import schema
from lava_1m1t1r.program import LEARNABLE
from lava_1m1t1r.recipes import SHIPPED_NETWORK
from lava_1m1t1r.recipes.augment import Augmentation
from lava_1m1t1r.recipes.task import RECIPES, Task, recipe_for

pytest.importorskip("lightning", reason="training needs lightning (extra lava)")
pytestmark = pytest.mark.train


def test_a_longer_refractory_period_is_the_resistors():
    usual, longer = Task("t").step.device, Task("t", refractory=3.0)
    assert longer.step.device == dataclasses.replace(usual, r_control=3 * usual.r_control)
    assert "3 times its R_c" in longer.device_text and "R_c," not in Task("t").device_text


@pytest.mark.parametrize("name", [name for name in presets.names() if getattr(presets, name).mu_ctoc == 0])
def test_an_input_turns_each_device_on(name):
    """Of Fig. 4's, which 1.2 V do not turn on, every network was silent."""
    task = Task("t", preset=name)
    most = task.step.v_in_max
    assert not task.step.silence and most >= 1.2 and (most > 1.2) == (name == "ZHAO2025_FIG4")
    assert most > 1.2 * max(task.step.device.turn_on_voltages) or most == 1.2


def test_a_network_of_a_device_of_high_voltages_fires(tmp_path):
    from lava_1m1t1r.recipes import fit, network

    task, frames = toy(preset="ZHAO2025_FIG4", learning_rate=0.1, epochs=30)
    net = network.m1t1r(task)
    found = fit.fit(net, task, frames, tmp_path, progress=False)
    assert found.curve[-1]["train_accuracy"] > 0.9
    net.eval().export(tmp_path / "high.net")
    exported = schema.read(tmp_path / "high.net")
    assert exported.layers[0].step.v_in_max == task.step.v_in_max
    assert FastNetwork(exported).run(frames.dense(), record="spikes").layers[0].spikes.any()


def test_recurrent_delays_are_drawn_from_none_to_the_largest():
    from lava_1m1t1r.recipes import network

    drawn = [network.m1t1r(toy(delay_rec=3, seed=seed)[0].replace(hidden=60)).hidden.delay_rec.tolist() for seed in (0, 0, 1)]
    assert set(drawn[0]) == {0, 1, 2, 3} and drawn[0] == drawn[1] != drawn[2]


def test_neurons_of_a_network_are_as_the_task_and_the_caller_say():
    from lava_1m1t1r.recipes import network
    from lava_1m1t1r.recipes.restore import restored

    task, _ = toy(learn=("mu",), variation=0.25, seed=7)
    usual, other = (network.m1t1r(task, **more).hidden.neuron for more in ({}, {"grow_cap": 0.7, "variation": 0.5}))
    assert tuple(usual.learned.logs()) == ("mu",) and (usual.variation, usual.seed) == (0.25, 7)
    assert (usual.surrogate.grow_cap, usual.surrogate.grow_floor) == (0.3, 0.1)
    assert (other.surrogate.grow_cap, other.surrogate.grow_floor, other.variation) == (0.7, 0.1, 0.5)
    back = restored(SHIPPED_NETWORK, grow_cap=0.7, variation=0.5).hidden.neuron
    assert (back.surrogate.grow_cap, back.surrogate.grow_floor, back.variation) == (0.7, 0.1, 0.5)


def test_spread_devices_are_drawn_once_and_go_into_the_file(tmp_path):
    import torch

    from lava_1m1t1r.recipes import network

    alike, task = (toy(spread=spread)[0].replace(hidden=40, seed=3) for spread in (0.0, 0.5))
    nominal, devices = alike.step.device, task.devices
    assert alike.devices == nominal and task.devices == devices != task.replace(seed=4).devices
    for name in LEARNABLE:
        logs = np.log(getattr(devices, name) / getattr(nominal, name))
        assert 0.35 < logs.std() < 0.65 and abs(np.median(logs)) < 0.3
    assert devices.v_th == nominal.v_th and devices.c_gate == nominal.c_gate
    assert "spread by 0.5" in task.device_text and "spread" not in alike.device_text
    net = network.m1t1r(task).eval()
    net.export(tmp_path / "spread.net")
    description = schema.read(tmp_path / "spread.net")
    held = description.layers[0].neuron.step.device
    assert all(getattr(held, name) == pytest.approx(getattr(devices, name)) for name in LEARNABLE)
    frames = (np.random.default_rng(0).random((2, 30, task.channels)) < 0.5).astype(np.uint8)
    with torch.no_grad():
        trained = net.layers(torch.from_numpy(frames).float().transpose(1, 2))
    simulated = FastNetwork(description).run(frames, record="spikes").layers
    assert trained[0].sum() > 0
    assert np.array_equal(simulated[0].out, trained[0].transpose(1, 2).numpy())


def test_taps_of_a_task_are_checked_and_train_and_evaluate_like_any_other(tmp_path):
    from lava_1m1t1r.recipes import fit, network
    from lava_1m1t1r.recipes.augment import Augmentation
    from lava_1m1t1r.recipes.evaluate import evaluate

    for taps in ((), (0, 0), (63,), (-1,), (0.5,)):
        with pytest.raises(InputError, match=r"^Task.taps(\[0\])? must "):
            Task("t", taps=taps)
    task, frames = toy(taps=(0, 5, 11), spike_limit=1.0, hidden=10)
    net = network.m1t1r(task)
    fit.fit(net, task, frames, tmp_path, augmentation=Augmentation.suiting(task), progress=False)
    net.eval()
    net.export(tmp_path / "network.net")
    result, ran = evaluate(tmp_path / "network.net", frames)
    assert result.accuracy > 0.6 and ran.layers[0].spikes.shape[2] == 10
    assert schema.read(tmp_path / "network.net").delay_lines.size == 3 * task.channels


@pytest.mark.parametrize("build", ["network.m1t1r", "network.cuba", "peers.alif", "peers.lsnn", "peers.synaptic"])
@pytest.mark.parametrize("smooth", [0.0, 2.0])
def test_a_synapse_has_one_delay_where_the_task_says_so(build, smooth):
    """One weight a neuron and channel, drawn from the seed; the spread of the sums is that of synapses without delays."""
    import torch

    from lava_1m1t1r.benchmarks import peers
    from lava_1m1t1r.recipes import network, synaptic_delays
    from lava_1m1t1r.slayer.quantise import quantised_weight

    for peer, library in (("peers.lsnn", "norse.torch"), ("peers.synaptic", "snntorch")):
        if build == peer:
            pytest.importorskip(library, reason=f"needs {library}")
    module, name = build.split(".")
    task, _ = toy()
    task = task.replace(channels=60, hidden=50, taps=(0, 5, 11), synaptic_delays=True, smooth=smooth)
    plain = task.replace(taps=(0,))

    def inputs(net):  # of peers in floating point: the module, and the name of its weight
        return (net.hidden.cell, "input_weights") if name == "lsnn" else (net.hidden.input, "weight")

    floating = name in ("lsnn", "synaptic")

    def weight(net):
        return getattr(*inputs(net)) if floating else quantised_weight(net.hidden.input_synapse)

    nets = [getattr({"network": network, "peers": peers}[module], name)(t) for t in (task, plain, task, task.replace(seed=1))]
    one, without, again, other = map(weight, nets)
    chosen = synaptic_delays.drawn(task)
    assert chosen.reshape(50, 3, 60).sum(1).eq(1).all() and chosen.float().mean(0).min() > 0.1
    assert torch.equal(one, again) and not torch.equal(chosen, synaptic_delays.drawn(task.replace(seed=1)))
    assert one[~chosen].eq(0).all() and one[chosen].ne(0).float().mean() > 0.8 and other[~chosen].ne(0).any()
    spread = float(without.std()) * (1 if not floating or not smooth else float(nets[1].hidden.blur.kernel.norm(dim=0).mean()))
    assert float(one[chosen].std()) == pytest.approx(spread, rel=0.2)
    assert peers.size_of(nets[0]) == peers.size_of(nets[1])
    module, own = inputs(nets[0]) if floating else (nets[0].hidden, "")
    latent = module.parametrizations[own].original if floating else module.input_synapse.weight
    one.sum().backward()
    assert smooth or latent.grad.reshape(one.shape)[~chosen].eq(0).all()
    copied, loaded = copy.deepcopy(nets[0]), copy.deepcopy(nets[0])
    loaded.load_state_dict(nets[3].state_dict())  # which synapses there are is a part of the state
    x = (torch.rand(2, 60, 40) < 0.3).float()
    assert torch.equal(copied(x), nets[0](x)) and torch.equal(loaded(x), nets[3](x))


def test_synaptic_delays_train_and_stand_in_the_file(tmp_path):
    from lava_1m1t1r.recipes import fit, network, synaptic_delays
    from lava_1m1t1r.recipes.evaluate import evaluate

    with pytest.raises(InputError, match="^Task.synaptic_delays must be"):
        Task("t", synaptic_delays=2)
    task, frames = toy(taps=(0, 5, 11), synaptic_delays=True, hidden=12, smooth=1.0)
    net = network.m1t1r(task)
    fit.fit(net, task, frames, tmp_path, progress=False)
    net.eval().export(tmp_path / "network.net")
    result, _ = evaluate(tmp_path / "network.net", frames)
    weight = schema.read(tmp_path / "network.net").active[0].weight
    assert result.accuracy > 0.6 and not weight[~synaptic_delays.drawn(task).numpy()].any()


def test_a_tasks_network_can_be_started_anew():
    import torch

    from lava_1m1t1r.recipes import network

    task = Task("toy", channels=40, classes=2, hidden=50, n_steps=40, taps=(0, 3), synaptic_delays=True, smooth=3.0)
    given, again = network.m1t1r(task), network.m1t1r(task)
    again.apply(lambda module: module.reset_parameters() if hasattr(module, "reset_parameters") else None)
    for name, value in given.state_dict().items():
        if value.numel() > 100 and value.is_floating_point():
            now = again.state_dict()[name]
            assert not torch.equal(now, value) and float(now.std()) == pytest.approx(float(value.std()), rel=0.1), name


def test_smooth_weights_are_whole_counts_with_the_spread_that_was_drawn():
    import torch

    from lava_1m1t1r.benchmarks.peers import Blur
    from lava_1m1t1r.recipes import network
    from lava_1m1t1r.slayer.quantise import quantised_weight

    task, _ = toy()
    rough, smooth = (network.m1t1r(t.replace(channels=140, hidden=64)).blocks[0].input_synapse for t in (task, task.replace(smooth=4.0)))
    before, after = quantised_weight(rough), quantised_weight(smooth)
    assert torch.equal(after * 32, (after * 32).round())
    assert float(after.std()) == pytest.approx(float(before.std()), rel=0.15)
    assert float(after.diff(dim=1).std()) < 0.3 * float(before.diff(dim=1).std())
    after.sum().backward()
    assert smooth.weight.grad is not None and torch.isfinite(smooth.weight.grad).all()
    x = torch.rand(2, 140, 5)
    kernel, raw = smooth.smooth.kernel, torch.randn(7, 140)
    middle = kernel[70].norm()
    torch.testing.assert_close(raw @ Blur(140, 4.0)(x), (raw @ kernel.T / middle) @ x)
    assert Blur(140, 0.0)(x) is x


def test_the_busiest_neurons_are_shown():
    """Counts of unsigned bytes: their negatives would put silent neurons first."""
    pytest.importorskip("matplotlib")
    import matplotlib

    matplotlib.use("Agg")
    from lava_1m1t1r import StepParams, presets
    from lava_1m1t1r.fast import LayerRecord, Result
    from lava_1m1t1r.recipes import figures

    spikes = np.zeros((1, 5, 4), np.uint8)
    spikes[0, :3, 2] = spikes[0, :1, 3] = 1
    states = {name: np.zeros((1, 5, 4), np.int32) for name in ("filament", "residue", "v_gate")}
    figure = figures.neuron_states(Result(spikes, (LayerRecord(spikes, spikes, states),)), 0, StepParams(presets.ZHAO2025_FIG2), count=2)
    assert [ax.get_ylabel() for ax in figure.axes] == ["neuron 2", "neuron 3"]
    assert figure.axes[0].get_ylim()[1] == 1.1
    one = {name: value[:, :, :1] + (12 << 20) for name, value in states.items()}  # a gate of 1.5 V
    figure = figures.neuron_states(Result(spikes, (LayerRecord(spikes, spikes[:, :, :1], one),)), 0, StepParams(presets.ZHAO2025_FIG2))
    assert [ax.get_ylabel() for ax in figure.axes] == ["neuron 0"]
    assert figure.axes[0].get_ylim()[1] > 12 * 2**20 * StepParams(presets.ZHAO2025_FIG2).gate_lsb


WRONG = {
    **{"hidden": 0, "channels": 2.5, "epochs": -1, "batch": 0, "substeps": 65, "delay_rec": 63, "seed": -1, "spread": -0.1},
    **{"dt": 0.0, "slower": float("nan"), "learning_rate": -1.0, "v_unit": float("inf"), "variation": 1.5, "preset": "_HYPERBOLIC"},
    **{"refractory": 0.0, "smooth": -1.0, "label_smoothing": 1.0, "spike_limit": float("nan"), "spike_cost": "1", "learn": "mu"},
}


@pytest.mark.parametrize(
    ("name", "value"), [*WRONG.items(), ("hidden", "six"), ("learn", ("v_th",)), ("learn", ["mu", "mu"]), ("seed", 2**32)]
)
def test_a_task_refuses_what_cannot_be_trained_by_name(name, value):
    with pytest.raises(InputError, match=rf"Task\.{name} must"):
        Task("t", **{name: value})


def test_a_device_with_spreads_is_refused_with_the_option_that_draws_them():
    spread = dataclasses.replace(presets.ZHAO2025_FIG2, mu_dtod=0.3)
    with pytest.raises(
        InputError, match=r"Task\.device must .* got .*mu_dtod=0\.3.*\. Set its _dtod fields to 0: Task\.spread \(--spread\)"
    ):
        Task("t", device=spread)
    assert Task("t", device=dataclasses.replace(spread, mu_dtod=0.0), spread=0.3).devices.size == Task("t").hidden


def test_every_source_of_data_has_its_recipe(tmp_path):
    sources = {None: "spoken-digits", tmp_path: "shd", "words.h5": "recordings"}
    assert {source: recipe_for(source) for source in sources} == sources
    assert set(sources.values()) == set(RECIPES)


def test_every_recipe_has_its_augmentation():
    suiting = {name: Augmentation.suiting(task) for name, task in RECIPES.items()}
    usual = Augmentation(channel_shift=2)  # of 140 channels, ten in 700
    assert suiting["spoken-digits"] == usual and suiting["shd"] == dataclasses.replace(usual, channel_shift=6)
    assert suiting["recordings"] == dataclasses.replace(usual, channel_shift=8, drop=0.0)
    assert Augmentation.suiting(RECIPES["shd"], 7) == dataclasses.replace(usual, channel_shift=7)


def test_each_change_of_an_utterance_has_the_size_that_it_says(rng):
    frames = np.zeros((2000, 60, 30), np.uint8)
    frames[:, 40, 15] = 1

    def places(**sizes):
        none = dict(time_shift=0, channel_shift=0, stretch=0.0, channel_jitter=0.0, drop=0.0)
        return Augmentation(**{**none, **sizes})(frames, rng).nonzero()

    (b, t, c), first = places(), frames.copy()
    assert len(b) == 2000 and set(t) == {40} and set(c) == {15}
    for name, size, earliest, latest, low, high in (
        ("time_shift", 2, 38, 42, 15, 15),
        ("channel_shift", 3, 40, 40, 12, 18),
        ("stretch", 0.1, 36, 44, 15, 15),
    ):
        b, t, c = places(**{name: size})
        assert len(b) == 2000 and set(t) == set(range(earliest, latest + 1)) and set(c) == set(range(low, high + 1))
    moved = places(channel_jitter=1.0)[2]
    assert moved.std() == pytest.approx((1 + 1 / 12) ** 0.5, rel=0.1) and moved.mean() == pytest.approx(15, abs=0.1)
    assert len(places(drop=0.25)[0]) == pytest.approx(1500, rel=0.05)
    assert np.array_equal(frames, first)


def test_an_utterance_is_shifted_as_a_whole_and_what_leaves_its_frame_is_gone(rng):
    one = np.zeros((50, 20), np.uint8)
    one[[2, 10, 47], [3, 10, 18]] = 1
    wide = np.pad(one, 6)
    shifted = {wide[6 - t : 56 - t, 6 - c : 26 - c].tobytes() for t in range(-5, 6) for c in range(-4, 5)}
    made = Augmentation(time_shift=5, channel_shift=4, stretch=0.0, drop=0.0)(np.stack([one] * 300), rng)
    assert len({x.tobytes() for x in made}) > 50 and {x.tobytes() for x in made} <= shifted


def test_counts_move_with_their_events_and_the_largest_of_a_cell_stays(rng):
    counts = rng.poisson(0.5, (20, 50, 30)).astype(np.uint8)
    none = Augmentation(time_shift=0, channel_shift=0, stretch=0.0, drop=0.0)
    assert counts.max() > 2 and np.array_equal(none(counts, rng), counts)
    changes = dataclasses.replace(none, time_shift=3, channel_shift=2, stretch=0.5)  # at half the tempo, bins meet
    moved = changes(counts, np.random.default_rng(0))
    for least in range(1, counts.max() + 1):
        assert np.array_equal(moved >= least, changes(counts >= least, np.random.default_rng(0)))


def test_the_gaussian_over_channels_ends_at_the_edges_and_between_delay_lines():
    import torch

    from lava_1m1t1r.recipes import network
    from lava_1m1t1r.recipes.smooth import kernel, smoothed

    gauss = kernel(9, 2.0)
    torch.testing.assert_close(gauss.sum(1), torch.ones(9))
    assert all(torch.equal(kernel(9, tiny), torch.eye(9)) for tiny in (0.05, 1e-40, 1e-308))  # no number of 0 / 0
    assert float(gauss[4, 5] / gauss[4, 4]) == pytest.approx(np.exp(-0.125))
    weight = torch.zeros(1, 18)
    weight[0, 9] = 1
    torch.testing.assert_close(smoothed(weight, gauss), torch.cat([torch.zeros(9), gauss[:, 0]])[None])
    task, _ = toy(taps=(0, 5), smooth=2.0)
    torch.testing.assert_close(network.m1t1r(task).hidden.input_synapse.smooth.kernel, kernel(20, 2.0))


def test_what_does_not_learn_is_not_counted():
    import torch

    from lava_1m1t1r.benchmarks.peers import size_of

    part = torch.nn.Linear(3, 2)
    part.bias.requires_grad_(False)
    assert size_of(part) == 6


def test_a_device_without_integers_is_told_when_it_is_chosen():
    for name, value in {"refractory": 1e12, "dt": 1e5, "v_unit": 1e-9}.items():
        with pytest.raises(InputError, match=rf"Task: ZHAO2025_FIG2 with .*{name} {re.escape(f'{value:g}')}.* has no integers"):
            Task("t", **{name: value}).require_integers()
    for task in RECIPES.values():
        task.require_integers()
