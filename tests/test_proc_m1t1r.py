"""The Lava Process M1T1R: both number systems, with Lava's own Processes, resets, parameters, errors."""

from dataclasses import replace

import numpy as np
import pytest

from lava_1m1t1r import DeviceParams, StepParams, presets, reference
from lava_1m1t1r.errors import InputError

pytest.importorskip("lava.magma", reason="needs lava-nc")
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.conv.process import Conv
from lava.proc.dense.process import Dense
from lava.proc.io.reset import Reset
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source
from lava.proc.lif.process import LIF
from lava.proc.monitor.process import Monitor
from lava.proc.sparse.process import Sparse

from lava_1m1t1r.proc.m1t1r.process import M1T1R
from lava_1m1t1r.run import InProcess, RunError, guarded, run, run_guarded

pytestmark = pytest.mark.lava
FIG2 = presets.ZHAO2025_FIG2
BOTH = ("fixed_pt", "floating_pt")
STATES = {"filament": "filament", "residue": "residue", "v_gate": "gate"}
FLOAT_ROUNDING = 1e-12  # numpy's and the compiler's exp differ in the last bits


def config(tag):
    return Loihi2SimCfg(select_tag=tag)


def drive(rng, steps, size):
    """Inputs of silence to saturation, in 1/64 units."""
    return rng.integers(0, 700, (steps, size)) * (rng.random((steps, size)) < 0.8)


def driven(x, **arguments):
    """A neuron of the width of x (T, N), fed x."""
    neuron = M1T1R(shape=(x.shape[1],), a_in_scale=64, **arguments)
    Source(data=x.T).s_out.connect(neuron.a_in)
    return neuron


@pytest.mark.parametrize("tag", BOTH)
@pytest.mark.parametrize("noise", (0.0, 2e-3), ids=("quiet", "noisy"))
def test_equals_the_reference(rng, tag, noise):
    device = replace(FIG2, sigma1=noise, sigma2=noise, r_control=rng.uniform(1e8, 1e9, 7), mu=FIG2.mu * rng.uniform(0.9, 1.1, 7))
    x = drive(rng, 120, 7)
    neuron = driven(x, params=device, seed=5, layer=3, substeps=3)
    out = run(neuron, len(x), config(tag), record=[neuron.s_out, *(getattr(neuron, name) for name in STATES)])
    expected = reference.run(StepParams(device, substeps=3), x, fixed=tag == "fixed_pt", seed=5, layer=3)
    assert expected.spike.sum() > 20
    assert np.array_equal(out[neuron.s_out], expected.spike)
    for name, field in STATES.items():
        difference = np.abs(out[getattr(neuron, name)] - getattr(expected, field)).max()
        assert difference <= (0 if tag == "fixed_pt" else FLOAT_ROUNDING), name


@pytest.mark.parametrize("noise", (0.0, 2e-3), ids=("quiet", "noisy"))
def test_input_that_is_no_number_is_seen_in_the_gate_and_makes_no_spike(noise):
    x = np.array([[np.nan, 0.0, np.inf], *np.zeros((5, 3))])
    neuron = driven(x, params=replace(FIG2, sigma1=noise, sigma2=noise), seed=0, reset_interval=5)
    out = run(neuron, len(x), config("floating_pt"), record=[neuron.s_out, neuron.v_gate])
    assert out[neuron.s_out].sum(0).tolist() == [0, 0, 1]
    assert np.isnan(out[neuron.v_gate]).sum(0).tolist() == [5, 0, 0]  # until the reset


@pytest.mark.parametrize("tag", BOTH)
def test_runs_in_lavas_own_runtime(rng, tag):
    x = drive(rng, 60, 5)
    neuron, sink = driven(x, params=FIG2), Sink(shape=(5,), buffer=60)
    neuron.s_out.connect(sink.a_in)
    spikes = run_guarded(neuron, 60, config(tag), read=[sink.data])[sink.data].T
    assert np.array_equal(spikes, reference.run(StepParams(FIG2), x, fixed=tag == "fixed_pt").spike)


def test_units_of_the_input(rng):
    """One unit is 64 counts under fixed_pt, 1.0 under floating_pt."""
    x = drive(rng, 60, 4)
    spikes = []
    for tag, data in (("fixed_pt", x), ("floating_pt", x / 64)):
        neuron = M1T1R(shape=(4,), params=FIG2)
        Source(data=data.T).s_out.connect(neuron.a_in)
        spikes.append(run(neuron, 60, config(tag), record=[neuron.s_out])[neuron.s_out])
    assert spikes[0].sum() > 5
    assert np.array_equal(*spikes)


def test_bias_is_input(rng):
    bias = np.array([-4096, *rng.integers(0, 500, 5)])
    x = drive(rng, 80, 6) // 4
    neuron = driven(x, params=FIG2, bias=bias / 64)
    spikes = run(neuron, 80, config("fixed_pt"), record=[neuron.s_out])[neuron.s_out]
    assert np.array_equal(spikes, reference.run(StepParams(FIG2), x + bias).spike)


@pytest.mark.parametrize("sign", (1, -1))
def test_a_bias_does_not_turn_the_sign_of_the_largest_inputs(sign):
    x = np.full((60, 1), 2**31 - 1 if sign > 0 else -(2**31))
    spikes = []
    for bias in (0.0, sign * 1.0):
        neuron = driven(x, params=FIG2, bias=bias)
        spikes.append(run(neuron, 60, config("fixed_pt"), record=[neuron.s_out])[neuron.s_out])
    assert np.array_equal(*spikes) and spikes[0].any() == (sign > 0)


@pytest.mark.parametrize("tag", BOTH)
def test_cascade_of_two_neurons(tag):
    """Spikes of the first drive the second through Lava's Dense, which hands them on one step later."""
    steps = 200
    x = np.full((steps, 2), 500)
    first = driven(x, params=FIG2)
    dense = Dense(weights=np.array([[254, 250], [254, 254], [240, 254]]))
    second = M1T1R(shape=(3,), params=FIG2, a_in_scale=64)
    first.s_out.connect(dense.s_in)
    dense.a_out.connect(second.a_in)
    out = run(first, steps, config(tag), record=[first.s_out, second.s_out])
    fixed = tag == "fixed_pt"
    one = reference.run(StepParams(FIG2), x, fixed=fixed).spike
    late = np.vstack([np.zeros((1, 2), int), one[:-1].astype(int)])
    # Lava cuts weights of one sign, all even, nowhere
    two = reference.run(StepParams(FIG2), late @ np.array([[254, 250], [254, 254], [240, 254]]).T, fixed=fixed).spike
    assert one.sum() > 2
    assert np.array_equal(out[first.s_out], one)
    assert np.array_equal(out[second.s_out], two)


@pytest.mark.parametrize("tag", BOTH)
def test_drives_a_lif(rng, tag):
    x = drive(rng, 100, 3)
    neuron = driven(x, params=FIG2)
    dense = Dense(weights=np.diag([100, 80, 60]) if tag == "fixed_pt" else np.diag([1.0, 0.8, 0.6]))
    threshold = {"fixed_pt": {"vth": 120, "du": 4095, "dv": 400}, "floating_pt": {"vth": 1.2, "du": 1, "dv": 0.1}}[tag]
    lif = LIF(shape=(3,), **threshold)
    neuron.s_out.connect(dense.s_in)
    dense.a_out.connect(lif.a_in)
    out = run(neuron, 100, config(tag), record=[neuron.s_out, lif.s_out])
    assert out[lif.s_out].sum() > 0
    assert out[lif.s_out].sum() < out[neuron.s_out].sum()


@pytest.mark.parametrize("tag", BOTH)
@pytest.mark.parametrize("synapse", ("dense", "sparse"))
def test_is_driven_by_lifs_and_closes_a_loop(tag, synapse):
    """LIF -> synapse -> M1T1R -> synapse -> LIF, in Lava's own runtime, which would lock a loop without buffers."""
    lif = LIF(shape=(4,), bias_mant=[40, 50, 60, 70], vth=100, du=4095, dv=0, bias_exp=0 if tag == "floating_pt" else 6)
    weights = 8 * np.array([[60, 0, 0, 60], [0, 60, 60, 0], [30, 30, 0, 60]])
    weights = np.minimum(weights, 254)
    make = Dense if synapse == "dense" else Sparse
    forth, back = make(weights=weights), make(weights=np.array([[-20, 0, 0], [0, -20, 0], [0, 0, -20], [0, 0, 0]]))
    neuron = M1T1R(shape=(3,), params=FIG2, a_in_scale=24)
    sink = Sink(shape=(3,), buffer=120)
    lif.s_out.connect(forth.s_in)
    forth.a_out.connect(neuron.a_in)
    neuron.s_out.connect(back.s_in)
    back.a_out.connect(lif.a_in)
    neuron.s_out.connect(sink.a_in)
    spikes = run_guarded(neuron, 120, config(tag), read=[sink.data])[sink.data]
    assert set(np.unique(spikes)) <= {0, 1}
    if tag == "floating_pt":
        assert spikes.sum() > 0


def test_layer_behind_a_convolution(rng):
    x = (rng.random((6, 6, 1, 40)) < 0.6).astype(int)
    conv = Conv(weight=2 * rng.integers(30, 60, (2, 3, 3, 1)), input_shape=(6, 6, 1))
    neuron = M1T1R(shape=conv.a_out.shape, params=FIG2)
    Source(data=x).s_out.connect(conv.s_in)
    conv.a_out.connect(neuron.a_in)
    out = run(neuron, 40, config("fixed_pt"), record=[conv.a_out, neuron.s_out])
    received = out[conv.a_out].reshape(40, -1).astype(int)
    assert out[neuron.s_out].shape == (40, 4, 4, 2)
    assert np.array_equal(out[neuron.s_out].reshape(40, -1), reference.run(StepParams(FIG2), received).spike)
    assert out[neuron.s_out].sum() > 0


@pytest.mark.parametrize("tag", BOTH)
def test_monitor_sees_a_state(rng, tag):
    x = drive(rng, 30, 3)
    neuron, monitor = driven(x, params=FIG2), Monitor()
    monitor.probe(neuron.v_gate, 30)
    with guarded(neuron, config(tag)) as session:
        session.run(30)
        seen = monitor.get_data()[neuron.name]["v_gate"]
    expected = reference.run(StepParams(FIG2), x, fixed=tag == "fixed_pt").gate
    np.testing.assert_allclose(seen, expected, atol=0 if tag == "fixed_pt" else FLOAT_ROUNDING)


@pytest.mark.parametrize("tag", BOTH)
def test_reset_equals_a_fresh_runtime(rng, tag):
    device = replace(FIG2, sigma1=1e-3, sigma2=1e-3)
    x = drive(rng, 50, 4)
    neuron = driven(np.vstack([x, x, x]), params=device, seed=1, reset_interval=50)
    spikes = run(neuron, 150, config(tag), record=[neuron.s_out])[neuron.s_out].reshape(3, 50, 4)
    fresh = driven(x, params=device, seed=1)
    first = run(fresh, 50, config(tag), record=[fresh.s_out])[fresh.s_out]
    assert first.sum() > 5
    assert np.array_equal(spikes, np.stack([first] * 3))


def test_reset_may_leave_the_generators_running():
    device = replace(FIG2, sigma1=5e-3, sigma2=1e-3)
    x = np.full((60, 8), 440)
    neuron = driven(np.vstack([x, x]), params=device, seed=1, reset_interval=60, rewind=False)
    spikes = run(neuron, 120, config("fixed_pt"), record=[neuron.s_out])[neuron.s_out].reshape(2, 60, 8)
    assert np.array_equal(spikes[0], reference.run(StepParams(device), x, seed=1).spike)
    assert not np.array_equal(*spikes)


def test_drop_last_keeps_spikes_of_one_sample_from_the_next():
    x = np.full((30, 3), 560)
    neuron = driven(np.vstack([x, x]), params=FIG2, reset_interval=7, drop_last=True)
    plain = driven(np.vstack([x, x]), params=FIG2, reset_interval=7)
    spikes, sent = (run(n, 60, config("fixed_pt"), record=[n.s_out])[n.s_out] for n in (neuron, plain))
    last = np.arange(60) % 7 == 6
    assert not spikes[last].any()
    assert np.array_equal(spikes[~last], sent[~last])


def test_seed_is_drawn_and_recorded():
    one, two = M1T1R(shape=(2,)), M1T1R(shape=(2,))
    assert one.seed != two.seed
    again = M1T1R(shape=(2,), seed=one.seed)
    assert np.array_equal(one.generator.init, again.generator.init)


def test_the_device_when_none_is_given_goes_on_firing():
    """Table 1's, as published, hardly does: nobody who tries the Process should meet that first."""
    x = np.zeros((400, 1), int)
    x[::2] = 410  # 0.8 V, every other step
    usual, table1 = (run(n, 400, config("fixed_pt"), record=[n.s_out])[n.s_out] for n in (driven(x), driven(x, params=DeviceParams())))
    assert usual[200:].sum() > 5 * table1[200:].sum() > 0


def test_states_can_be_set():
    neuron = driven(np.zeros((4, 3), int), params=FIG2)
    with InProcess(neuron, config("fixed_pt")) as session:
        session.run(1)
        session.set(neuron.residue, np.array([1 << 20, 1 << 19, 0]))
        session.run(1)
        left = session.get(neuron.residue)
    assert 0 < left[0] < 1 << 20 and 0 < left[1] < 1 << 19 and left[2] == 0


@pytest.mark.parametrize("tag", BOTH)
def test_states_that_are_no_lengths_are_refused_before_the_step_looks_them_up(tag):
    gap = 1 << 22 if tag == "fixed_pt" else 1.0
    sums = (gap, gap, r"filament \+ residue"), (511 * gap, 511 * gap, r"filament \+ residue")
    for filament, residue, named in ((-gap, 0, "filament"), (gap, -250 * gap, "residue"), *sums):
        neuron = driven(np.zeros((4, 3), int), params=FIG2)
        with InProcess(neuron, config(tag)) as session:
            session.run(1)
            session.set(neuron.filament, np.array([0, filament, 0]))
            session.set(neuron.residue, np.array([0, residue, 0]))
            with pytest.raises(RunError, match=rf"{named} of M1T1R\[1\] must be .*; got"):
                session.run(1)
    neuron = driven(np.zeros((4, 3), int), params=FIG2)
    neuron.filament.init = np.array([0, 0, 511 * gap])
    with pytest.raises(RunError, match=r"filament \+ residue of M1T1R\[2\] must be at most the gap"):
        run(neuron, 1, config(tag))
    neuron = driven(np.zeros((4, 3), int), params=FIG2)
    Reset(reset_value=511 * int(gap), interval=3).connect_var(neuron.filament)
    with pytest.raises(RunError, match=r"filament \+ residue of M1T1R\[0\] must be at most the gap"):
        run(neuron, 6, config(tag))
    neuron = driven(np.zeros((4, 3), int), params=FIG2)
    with InProcess(neuron, config(tag)) as session:  # one Var after the other
        session.run(1)
        session.set(neuron.residue, gap)
        session.run(1)
        session.set(neuron.filament, gap)
        session.set(neuron.residue, 0)
        session.run(1)


@pytest.mark.parametrize("gate", [-1, 1 << 23])
def test_gates_that_the_fixed_point_step_does_not_know_are_refused(gate):
    """From -1 count, a step led to -1 415 814 830. In floating point, gates below 0 only have to be charged further."""
    for tag in BOTH:
        neuron = driven(np.zeros((4, 3), int), params=FIG2)
        with InProcess(neuron, config(tag)) as session:
            session.set(neuron.v_gate, (1 << 23) - 1)
            session.run(1)
            session.set(neuron.v_gate, np.array([0, gate, 0]))
            if tag == "fixed_pt":
                with pytest.raises(RunError, match=r"v_gate of M1T1R\[1\] must be counts from 0 to 8388607; got"):
                    session.run(1)
            else:
                session.run(1)
                assert 0 < session.get(neuron.v_gate)[1] / gate < 1


@pytest.mark.parametrize("tag", BOTH)
def test_generators_that_draw_nothing_are_refused_where_something_is_drawn(tag):
    for start, noise in ((0, 1e-3), (1 << 32, 1e-3), (-1, 1e-3), (1, 1e-3), (0, 0.0)):
        neuron = driven(np.zeros((4, 3), int), params=replace(FIG2, sigma1=noise))
        with InProcess(neuron, config(tag)) as session:
            session.set(neuron.generator, np.array([5, start, 5]))
            if start == 1 or not noise:
                session.run(1)
                continue
            with pytest.raises(RunError, match=r"generator of M1T1R\[1\] must be a whole number from 1 to 2\^32 - 1; got"):
                session.run(1)


@pytest.mark.parametrize("tag", BOTH)
@pytest.mark.parametrize("bias", [np.nan, np.inf, 1e9, -65.0])
def test_a_bias_that_the_constructor_refuses_is_refused_where_it_is_set(tag, bias):
    """Of nan, the gate fell to 0 in fixed point, without a word."""
    neuron = driven(np.zeros((4, 3), int), params=FIG2)
    with InProcess(neuron, config(tag)) as session:
        session.set(neuron.bias, np.array([-64.0, 5.0, 63.98]))
        session.run(1)
        session.set(neuron.bias, np.array([5.0, bias, 5.0]))
        with pytest.raises(RunError, match=r"bias of M1T1R\[1\] must be from -64 to 63\.9844; got"):
            session.run(1)


def test_a_bias_is_rounded_to_counts_in_fixed_point():
    neuron = driven(np.zeros((20, 4), int), params=FIG2, bias=np.array([5, 4.6 / 64 + 5, 5.4 / 64 + 5, 5 / 64 + 5]))
    found = run(neuron, 20, config("fixed_pt"), record=[neuron.filament])[neuron.filament].T
    assert np.array_equal(found[1], found[3]) and np.array_equal(found[2], found[3]) and not np.array_equal(found[0], found[3])


def test_parameters_may_have_the_layers_shape():
    r = np.linspace(1e8, 1e9, 6)
    flat, square = (M1T1R(shape=(2, 3), params=DeviceParams(r_control=value)) for value in (r, r.reshape(2, 3)))
    assert np.array_equal(flat.step.fixed(6).gate_decay, square.step.fixed(6).gate_decay)


@pytest.mark.parametrize(
    "arguments, text",
    [
        ({"shape": 5}, "M1T1R.shape"),
        ({"shape": (0,)}, "M1T1R.shape"),
        ({"params": {"mu": 1}}, "M1T1R.params"),
        ({"params": DeviceParams(r_control=[1e8, 2e8])}, "DeviceParams.r_control"),
        ({"dt": 0}, "dt"),
        ({"dt": 1e-12}, "per substep"),
        ({"substeps": 0}, "substeps"),
        ({"v_unit": float("nan")}, "v_unit"),
        ({"seed": -1}, "M1T1R.seed"),
        ({"layer": 1 << 16}, "M1T1R.layer"),
        ({"bias": 64.0}, "M1T1R.bias .* from -64 to 63.9844; got 64"),
        ({"bias": [0.0, 0.0, 63.9999]}, "M1T1R.bias"),
        ({"bias": -64.01}, "M1T1R.bias"),
        ({"bias": [1.0, 2.0]}, "M1T1R.bias"),
        ({"bias": "5"}, "M1T1R.bias"),
        ({"bias": np.ma.masked_array([1.0, 2.0, 3.0], [False, True, False])}, "M1T1R.bias"),
        ({"a_in_scale": 0}, "M1T1R.a_in_scale"),
        ({"a_in_scale": 2**80}, "M1T1R.a_in_scale"),
        ({"rewind": "no"}, "M1T1R.rewind"),
        ({"drop_last": 0}, "M1T1R.drop_last"),
        ({"held": None}, "M1T1R.held"),
        ({"reset_interval": 0}, "M1T1R.reset_interval"),
        ({"reset_offset": 1.5}, "M1T1R.reset_offset"),
    ],
)
def test_errors_name_the_argument(arguments, text):
    with pytest.raises(InputError, match=text):
        M1T1R(**{"shape": (3,), **arguments})
