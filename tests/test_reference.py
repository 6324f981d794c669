"""The network step: what can never happen, and how far the integers are from the real numbers (FIXED_POINT.md, section 7)."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from realisations import varied

from lava_1m1t1r import dynamics, presets, reference, reference_network
from lava_1m1t1r.agreement import agreement
from lava_1m1t1r.arithmetic import FIXED_ARRAY, FLOAT_ARRAY, ONE, field_law
from lava_1m1t1r.description import Layer, M1T1RNeuron, NetDescription
from lava_1m1t1r.dynamics import State
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.export import c_target
from lava_1m1t1r.fast import FastNetwork
from lava_1m1t1r.netx import schema
from lava_1m1t1r.program import StepParams
from lava_1m1t1r.reference import CompiledNeurons, Traces, widened

FIG2 = presets.ZHAO2025_FIG2
DEVICES = {
    "Table 1": StepParams(presets.ZHAO2025_TABLE1),
    "Fig. 2": StepParams(FIG2),
    "Fig. 2, 1 substep": StepParams(FIG2, substeps=1),
    "Fig. 2, 16 substeps": StepParams(FIG2, substeps=16),
    "Fig. 3": StepParams(presets.ZHAO2025_FIG3),
    "Fig. 4": StepParams(presets.ZHAO2025_FIG4, v_in_max=2.0),
    "Fig. 2, 2 ms": StepParams(FIG2.scaled(2), dt=2e-3),
    "Fig. 2, 5 ms": StepParams(FIG2.scaled(5), dt=5e-3),
    "Fig. 2, 10 ms": StepParams(FIG2.scaled(10), dt=1e-2),
}
names = st.sampled_from(sorted(DEVICES))
seeds = st.integers(0, 1 << 30)


def played(params, a_in, fixed=True):
    neurons = CompiledNeurons(params, a_in.shape[1], fixed=fixed)
    steps = [neurons.step(a) for a in a_in]
    return Traces(*(None if x[0] is None else np.stack(x) for x in zip(*steps, strict=True)))


def drive(params, seed, steps, size):
    """Random pulse trains, each neuron with its own rate and amplitude."""
    rng = np.random.default_rng(seed)
    top = params.v_max_count >> 6
    low = top * rng.uniform(0.3, 0.8, size)
    return (rng.random((steps, size)) < rng.uniform(0.2, 0.9, size)) * rng.integers(low.astype(int), top + 1, (steps, size))


# --- invariants ---


@given(names, seeds, st.booleans())
@settings(max_examples=40)
def test_states_stay_in_range(name, seed, fixed):
    params = DEVICES[name]
    run = played(params, drive(params, seed, 60, 32), fixed)
    one, top = (ONE, params.v_max_count << 6) if fixed else (1.0 + 1e-12, params.v_in_max)
    for state in (run.filament, run.residue, run.gate):
        assert state.min() >= 0
    assert (run.filament + run.residue).max() <= one and run.gate.max() <= top


@given(names, seeds, st.booleans())
@settings(max_examples=30)
def test_no_drive_no_spike_and_in_integers_exact_rest(name, seed, fixed):
    params, rng = DEVICES[name], np.random.default_rng(seed)
    neurons = CompiledNeurons(params, 64, fixed=fixed)
    residue = rng.random(64)
    start = State((1 - residue) * rng.random(64), residue, rng.random(64))
    scale = (ONE, ONE, params.v_max_count << 6) if fixed else (1.0, 1.0, params.v_in_max)
    for state, value, unit in zip(neurons.state, start, scale, strict=True):
        state[:] = value * unit
    quiet = np.zeros(64, np.int64)
    for _ in range(3000):
        step = neurons.step(quiet)
        assert not step.spike.any()
    if fixed:
        assert not any(state.any() for state in neurons.state)


@given(names, seeds)
@settings(max_examples=25)
def test_more_drive_never_fires_later(name, seed):
    params, rng = DEVICES[name], np.random.default_rng(seed)
    amplitude = np.linspace(0, params.v_max_count >> 6, 40).astype(np.int64)
    on = rng.random((250, 1)) < rng.uniform(0.2, 1.0)
    spike = played(params, on * amplitude).spike
    first = np.where(spike.any(0), np.argmax(spike, 0), len(spike))
    assert np.all(np.diff(first) <= 0)


def test_a_step_fires_once_however_many_substeps_fire():
    params = DEVICES["Fig. 2, 16 substeps"]
    run = reference.run(params, drive(params, 1, 200, 4))
    assert run.spike.dtype == bool and run.turn_on.dtype == bool
    # a spike needs a turn-on first, but not every turn-on is a spike
    assert np.all(np.cumsum(run.turn_on, 0) >= np.cumsum(run.spike, 0))


# --- closeness, one substep ---

TABLES = 1e-4 + 7e-5 + 2.0**-14  # relative: field, reciprocal of the gap, mantissas and gain
DECAY = 2.6e-4  # relative: 12-bit mantissas
CHARGE = {1: 2e-5, 4: 7e-5, 16: 1.5e-4}  # share of the way, by substeps


def bound(params, s, v):
    """Largest distance of one fixed substep from the floating one, from states equal before it: (filament, residue).

    First order, so each error is carried through the exact function, not its slope, where that is steep.
    """
    d, r = params.device, params.shares()
    count = 1 / ONE
    gap = 1 - s.filament - s.residue
    reach = np.maximum(v - s.gate, 0)
    lsb = params.v_unit / 4096
    law = lambda x: field_law(np.maximum(x, 0), d.v0, d.v_ref)  # noqa: E731
    drive = r["growth"] * law(reach)
    # the field is read at a count of v_in, up to 1 (and a rounding) below the true difference
    off = TABLES * drive + r["growth"] * (law(reach) - law(reach - 1.5 * lsb) + 1e-4 * law(0.01))
    capped = lambda gap: np.minimum(drive / (d.alpha + np.maximum(gap, 0)), 2.0)  # noqa: E731
    early = off / (d.alpha + gap) + 2 * count
    rounding = DECAY * (r["filament_lost"] * s.filament + r["residue_lost"] * s.residue + r["transfer"] * s.filament) + 4 * count
    kept = (1 - r["filament_lost"]) * s.filament
    predicted = kept + capped(gap) + (1 - r["residue_lost"]) * s.residue + r["transfer"] * s.filament
    ahead, shift = np.maximum(1 - predicted, 0), early + rounding
    late = off / (d.alpha + np.maximum(ahead - shift, 0)) + capped(ahead - shift) - capped(ahead + shift) + 2 * count
    filament = 0.5 * (np.minimum(early, 2) + np.minimum(late, 2)) + DECAY * r["filament_lost"] * s.filament + 2 * count
    residue = DECAY * (r["residue_lost"] * s.residue + r["transfer"]) + 0.5 * r["transfer"] * np.minimum(filament, 1) + 3 * count
    return filament, residue


def settled_bound(params, s, after, grown, filament, residue, v):
    """Bound of the gate, from those of the lengths, the state ``after`` and the length ``grown``, not yet saturated, in floating point."""
    p, r = params.floating(s.gate.size), params.shares()
    volt = params.v_unit / 2**18
    wobble = filament + residue
    shut, either = grown >= 1, np.abs(grown - 1) <= wobble  # either: one of the two may be closed and the other open
    x = np.where(shut, 1.0, 0.5 * (s.filament + s.residue + after.filament + after.residue))
    wobble = np.where(shut, 0.0, 0.5 * wobble)
    share = lambda x: FLOAT_ARRAY.charge(np.clip(x, 0, 1), 1.0, p)  # noqa: E731
    steepest = np.max(np.abs(np.diff(params.drop))) * 64
    table = min(value for substeps, value in CHARGE.items() if substeps >= params.substeps)
    kept = DECAY * r["gate_lost"] * s.gate + volt
    target = steepest * residue * shut + 2 * volt
    drained = s.gate * (1 - r["gate_lost"])
    way = np.abs(v - drained) + target + kept
    charge = share(x + wobble) - share(x - wobble) + table + 2.0**-19
    moved = np.where(either, way, np.minimum(kept + (kept + target) + way * charge + volt, v + s.gate))
    return moved + DECAY * r["gate_lost"] * np.maximum(v, s.gate) + volt


@given(names, seeds)
@settings(max_examples=60)
def test_one_substep_is_within_the_derived_bound(name, seed):
    params, rng = DEVICES[name], np.random.default_rng(seed)
    size = 400
    residue = rng.integers(0, ONE + 1, size)
    near = np.maximum(ONE - residue - np.exp(rng.uniform(0, 15, size)).astype(np.int64), 0)  # gaps of all sizes
    filament = np.where(rng.random(size) < 0.5, near, (rng.random(size) * (ONE - residue)).astype(np.int64))
    gate = rng.integers(0, (params.v_max_count << 6) + 1, size) * (rng.random(size) < 0.6)
    v_in = rng.integers(0, params.v_max_count + 1, size)
    s = State(filament, residue, gate)
    volt = params.v_unit / 2**18
    real, v = State(filament / ONE, residue / ONE, gate * volt), v_in * 64 * volt
    fixed, _, _ = dynamics.substep(s, v_in, widened(params.fixed(size)), FIXED_ARRAY)
    floating, _, _ = dynamics.substep(real, v, params.floating(size), FLOAT_ARRAY)
    may_f, may_r = bound(params, real, v)
    grown = dynamics.grow(real, v, params.floating(size), FLOAT_ARRAY)
    may_g = settled_bound(params, real, floating, grown.filament + grown.residue, may_f, may_r, v)
    assert np.all(np.abs(fixed.residue / ONE - floating.residue) <= may_r)
    assert np.all(np.abs(fixed.filament / ONE - floating.filament) <= may_f + may_r)
    assert np.all(np.abs(fixed.gate * volt - floating.gate) <= may_g)
    # the bound is worth something
    assert np.median(may_f) < 3e-4 and np.median(may_r) < 1e-4 and np.median(may_g) < 1e-3


# --- closeness, many steps ---

BOUND_SMOOTH = {4: State(6e-4, 1.5e-3, 1.5e-4), 16: State(2e-3, 4e-3, 6e-4)}
"""Of filament [1], residue [1] and gate [V] until x first reaches 1/2, by the largest number of substeps. Beyond it growth runs away, and
with it any difference."""
MORE = {
    **DEVICES,
    "Table 1, 16 substeps": StepParams(presets.ZHAO2025_TABLE1, substeps=16),
    "Table 7": StepParams(presets.ZHAO2025_TABLE7),
    "Table 7, 16 substeps": StepParams(presets.ZHAO2025_TABLE7, substeps=16),
    "Fig. 4, 16 substeps": StepParams(presets.ZHAO2025_FIG4, v_in_max=2.0, substeps=16),
    "Fig. 2, files": StepParams(FIG2, held=True),
}


def smooth_differences(params, a_in):
    """Of each state, while x stays below 1/2 in both number systems."""
    fixed, floating = played(params, a_in), played(params, a_in, fixed=False)
    x = np.maximum(floating.filament + floating.residue, (fixed.filament + fixed.residue) / ONE)
    smooth = np.cumsum(x > 0.5, 0) == 0
    assert smooth.sum() > 100
    units = zip(State._fields, (ONE, ONE, 2**18 / params.v_unit), strict=True)
    return State(*(np.abs(getattr(fixed, state) / one - getattr(floating, state))[smooth].max() for state, one in units))


def assert_smooth(params, a_in):
    bound = BOUND_SMOOTH[4 if params.substeps <= 4 else 16]
    for state, off, most in zip(State._fields, smooth_differences(params, a_in), bound, strict=True):
        assert off < most, state


@given(st.sampled_from(sorted(set(MORE) - {"Fig. 3"})), seeds)  # which may stay just below x = 1/2, and amplify differences
@settings(max_examples=30)
def test_states_are_within_the_stated_bound_before_the_first_turn_on(name, seed):
    assert_smooth(MORE[name], drive(MORE[name], seed, 300, 64))


@pytest.mark.parametrize("name", MORE)
def test_states_under_weak_constant_input_are_within_the_stated_bound(name):
    """Which they approach for as long as it lasts."""
    top = MORE[name].v_max_count >> 6
    assert_smooth(MORE[name], np.repeat(np.linspace(0.2 * top, top, 400).astype(int)[None], 1000, 0))


CLOSE = {
    ("Fig. 2", "Fig. 3", "Table 7"): ((0.99, 0.98), (0.97, 0.97), (0.91, 0.67)),
    ("Table 1",): ((0.98, 0.98), (0.97, 0.99), (0.83, 0.78)),
    ("Fig. 4",): ((0.91, 0.88), (0.86, 0.82), (0.65, 0.28)),
}
"""Least shares of first spikes, and of spikes of whole trains, that come at the same step +- 1, by device and drive (FIXED_POINT.md)."""


def of_one_height(params, regular):
    """Pulses of a height of its own for each neuron, at random or every other step."""
    rng, top = np.random.default_rng(5), params.v_max_count >> 6
    on = (np.arange(500) % 2 == 0)[:, None] if regular else rng.random((500, 1000)) < 0.5
    height = np.linspace(0.55, 0.95, 1000) if regular else rng.uniform(0.55, 0.95, 1000)
    return (on * (height * top)).astype(int)


@pytest.mark.parametrize("substeps", [1, 4, 16])
@pytest.mark.parametrize("name", [name for names in CLOSE for name in names])
def test_spikes_are_at_the_same_step(name, substeps):
    params = MORE[name].replace(substeps=substeps)
    least = next(shares for names, shares in CLOSE.items() if name in names)
    drives = drive(params, 5, 500, 1000), of_one_height(params, False), of_one_height(params, True)
    for a_in, (first_ones, trains) in zip(drives, least, strict=True):
        fixed, floating = played(params, a_in).spike, played(params, a_in, fixed=False).spike
        driven = fixed.any(0) | floating.any(0)
        first = [np.where(s.any(0), np.argmax(s, 0), 10**6)[driven] for s in (fixed, floating)]
        assert driven.sum() > 100
        assert np.mean(np.abs(first[0] - first[1]) <= 1) >= first_ones
        found = agreement(fixed, floating)
        assert found.share >= trains
        print(name, substeps, found)


def test_heterogeneous_layers_are_as_close(rng):
    params = StepParams(varied(FIG2, rng, 96))
    a_in = drive(params, 2, 400, 96)
    found = agreement(played(params, a_in).spike, played(params, a_in, fixed=False).spike)
    assert found.same > 500 and found.share > 0.98


# --- the arbiter and the kernels ---


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("noisy", [False, True])
def test_kernels_equal_the_arbiter_in_both_number_systems(name, noisy):
    params = DEVICES[name]
    if noisy:
        params = params.replace(device=replace(params.device, sigma1=1e-3, sigma2=1e-4))
    a_in = drive(params, 9, 80, 21)
    for fixed in (True, False):
        fast, slow = played(params, a_in, fixed), reference.run(params, a_in, fixed=fixed)
        assert np.array_equal(fast.spike, slow.spike)
        for state in State._fields:
            a, b = getattr(fast, state), getattr(slow, state)
            assert np.array_equal(a, b) if fixed else np.allclose(a, b, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("a_in", [np.zeros(5, int), np.zeros((5, 2)), np.zeros((0, 3), int)])
def test_run_refuses_what_is_no_integer_matrix(a_in):
    with pytest.raises(InputError, match="a_in"):
        reference.run(DEVICES["Fig. 2"], a_in)


class Halved(NamedTuple):
    """Parameters of a neuron that is no 1M1T1R: it fires when what it has gathered, less a half a step, passes 200 counts."""

    dt: float = 1e-3


class HalvingNeurons:
    def __init__(self, params, size, *, fixed, seed, layer):
        assert isinstance(params, Halved)
        self.gathered = np.zeros(size, np.int64)

    def step(self, a_in):
        self.gathered = self.gathered // 2 + a_in
        return reference.Traces(self.gathered > 200, None, self.gathered, None, None)


@pytest.mark.parametrize("shape", [(4, 2), (4, 4), (4,)])
def test_compiled_neurons_refuse_inputs_of_other_numbers_of_neurons(shape):
    neurons = CompiledNeurons(StepParams(presets.ZHAO2025_FIG2), 3)
    for a_in, call in ((np.zeros(shape, int), neurons.run), (np.zeros(shape[1:], int), neurons.step)):
        with pytest.raises(InputError, match=r"a_in must have 3 neurons: \(T, 3\)"):
            call(a_in)


def test_neurons_of_ones_own_run_in_networks_and_nowhere_else(tmp_path):
    layer = Layer(0, "dense", (2,), 1, np.array([[120], [90]], np.int32), neuron=M1T1RNeuron(Halved()))
    net, frames = NetDescription((layer,)), np.ones((6, 1), int)
    spikes = reference_network.run(net, frames, neurons=HalvingNeurons)[0].traces.spike
    assert spikes.T.tolist() == [[False, False, True, True, True, True], [False] * 6]
    for elsewhere in (
        lambda: FastNetwork(net),
        lambda: c_target.deploy_c(net, tmp_path / "c"),
        lambda: schema.write(tmp_path / "own.net", net),
    ):
        with pytest.raises(InputError, match="have 1M1T1R neurons, with StepParams"):
            elsewhere()
    assert not list(tmp_path.iterdir())
