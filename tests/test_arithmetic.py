"""The number systems: each operation of the fixed-point step at its borders, against plain integers and against real numbers."""

import dataclasses
from math import floor, sinh

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lava_1m1t1r import exponential, presets
from lava_1m1t1r.arithmetic import DEVICE, FIXED, FIXED_ARRAY, FLOAT, FLOAT_ARRAY, ONE, StepArithmetic, field_law, resistance
from lava_1m1t1r.compiled import compiled
from lava_1m1t1r.drop import rates_of
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.kernels import fixed_neuron, float_neuron
from lava_1m1t1r.program import StepParams
from lava_1m1t1r.reference import CompiledNeurons, widened

PARAMS = StepParams(presets.ZHAO2025_FIG2)
PROGRAM = widened(PARAMS.fixed(1))
REAL = PARAMS.floating(1)
length = st.one_of(st.sampled_from([0, 1, ONE - 1, ONE]), st.integers(0, ONE))


_expm1 = compiled(lambda x: exponential.expm1(x))


def one(value):
    return np.array([value], np.int64)


@given(st.integers(0, ONE))
def test_decay_rounds_what_is_kept_down(x):
    for kept, decay, shift in (
        (FIXED_ARRAY.filament_kept, PROGRAM.filament_decay, PROGRAM.filament_shift),
        (FIXED_ARRAY.residue_kept, PROGRAM.residue_decay, PROGRAM.residue_shift),
        (FIXED_ARRAY.gate_kept, PROGRAM.gate_decay, PROGRAM.gate_shift),
    ):
        m, s = int(decay[0]), int(shift[0])
        found = int(kept(one(x), PROGRAM)[0])
        assert found == floor(x * ((1 << s) - m) / (1 << s))
        assert 0 <= found <= max(x - 1, 0)  # it always moves: zero is reached


@given(st.integers(0, 1 << 17), st.integers(0, 1 << 23))
def test_difference_rounds_down_to_a_count_of_the_input(v_in, gate):
    assert FIXED_ARRAY.difference(one(v_in), one(gate))[0] == floor(v_in - gate / 64)


@given(length)
def test_growth_reads_the_reciprocal_of_the_gap(x):
    drive = FIXED_ARRAY.field(one(26214), PROGRAM)  # 0.8 V
    found = FIXED_ARRAY.growth(drive, one(x), PROGRAM)[0] / ONE
    wanted = FLOAT_ARRAY.growth(FLOAT_ARRAY.field(np.array([26214 / 32768]), REAL), np.array([x / ONE]), REAL)[0]
    assert found == pytest.approx(wanted, rel=2.5e-4, abs=2 / ONE)


def test_growth_saturates_at_two_gaps():
    strong = StepParams(dataclasses.replace(presets.ZHAO2025_FIG2, mu=1e4), dt=1e-3, substeps=64)
    for program, ops, volt, full in (
        (widened(strong.fixed(1)), FIXED_ARRAY, one(39322), 2 * ONE),
        (strong.floating(1), FLOAT_ARRAY, np.array([1.2]), 2.0),
    ):
        x = one(ONE) if full > 2 else np.array([1.0])
        assert ops.growth(ops.field(volt, program), x, program)[0] == full


@given(length, st.integers(0, 1 << 23))
def test_charge_never_overshoots_its_way(x, way):
    moved = FIXED_ARRAY.charge(one(x), one(way), PROGRAM)[0]
    assert 0 <= moved <= way
    share = FLOAT_ARRAY.charge(np.array([x / ONE]), 1.0, REAL)[0]
    assert abs(moved - share * way) <= 2e-5 * way + 1


def test_curves_are_monotone():
    x = np.unique(np.concatenate([ONE - np.arange(3000), np.linspace(0, ONE, 20001).astype(np.int64)]))
    drive = tuple(np.broadcast_to(part, x.shape) for part in FIXED_ARRAY.field(one(20000), PROGRAM))
    assert np.all(np.diff(FIXED_ARRAY.growth(drive, x, PROGRAM)) >= 0)
    assert np.all(np.diff(FIXED_ARRAY.charge(x, 1 << 22, PROGRAM)) >= 0)
    assert np.all(np.diff(FIXED_ARRAY.drop(x, PROGRAM)) <= 0)


def test_drop_is_between_nothing_and_the_input():
    drop = PARAMS.drop
    assert drop.shape == (65,) and np.all(drop > 0) and np.all(drop < 1.0)
    assert np.all(np.diff(drop) <= 0)


@pytest.mark.parametrize("v0", [0.005, 0.02, 0.08, 1.0, np.inf])
def test_field_law_without_overflow(v0):
    v = np.linspace(0, 2.0, 50)
    with np.errstate(all="raise"):
        h = field_law(v, v0, 0.8)
    assert h[0] == 0 and np.all(np.isfinite(h)) and np.all(np.diff(h) >= 0)
    assert field_law(0.8, v0, 0.8) == pytest.approx(0.8)


@pytest.mark.parametrize("x", [0.0, 0.3, 0.999, 1.0])
def test_resistance_is_equation_s4(x):
    p = rates_of(presets.ZHAO2025_TABLE1)
    wanted = 1e6 * x + 1e12 * (np.exp((1 - x) / 0.2) - 1) / (np.exp(1 / 0.2) - 1)
    assert resistance(x, p) == pytest.approx(wanted, rel=1e-9)
    assert resistance(1.5, p) == resistance(1.0, p) and resistance(-0.5, p) == resistance(0.0, p)
    assert DEVICE.charging(x, p) == pytest.approx(1 / (wanted * 10e-12))


def _call(name):
    """Compile one operation of both number systems for scalars, with the arguments the arrays get."""
    fixed, real = getattr(FIXED, name), getattr(FLOAT, name)
    if name in ("half", "positive", "at_most_one"):
        return compiled(lambda x, p, q: (fixed(x), real(1.0 * x)))
    return compiled(lambda x, p, q: (fixed(x, fixed_neuron(p, 0)), real(1.0 * x, float_neuron(q, 0))))


@pytest.mark.parametrize("name", ["half", "positive", "at_most_one", "filament_kept", "residue_kept", "gate_kept", "transferred"])
def test_compiled_and_array_systems_are_the_same(name):
    call, program = _call(name), PARAMS.fixed(1)
    for x in (0, 1, 2, 4095, 4096, ONE - 1, ONE, *([ONE + 1, -1, -ONE] if name in ("half", "positive", "at_most_one") else [])):
        extra = () if name in ("half", "positive", "at_most_one") else (PROGRAM,)
        real = () if not extra else (REAL,)
        wanted = getattr(FIXED_ARRAY, name)(one(x), *extra), getattr(FLOAT_ARRAY, name)(np.array([float(x)]), *real)
        assert call(x, program, REAL) == (int(np.ravel(wanted[0])[0]), pytest.approx(float(np.ravel(wanted[1])[0])))


def test_compiled_exponential_is_within_two_units_in_the_last_place():
    near, far = np.geomspace(1e-300, 0.4, 4001), np.linspace(0.3, 699.9, 40001)
    x = np.concatenate([near, -near, far, -far])
    found = np.array([_expm1(value) for value in x])
    np.testing.assert_allclose(found, np.expm1(x), rtol=5e-16, atol=0)
    assert _expm1(0.0) == 0.0
    assert _expm1(1e3) == pytest.approx(np.exp(700.0), rel=1e-12) and _expm1(-1e3) == -1.0


@pytest.mark.parametrize("v0", [0.005, 0.02, 0.08, 1.0, np.inf])
def test_compiled_field_law_and_charge_are_the_formulas(v0):
    p = StepParams(dataclasses.replace(presets.ZHAO2025_FIG2, v0=v0)).floating(1)
    field, charge = (
        compiled(lambda d, p: FLOAT.field(d, float_neuron(p, 0))),
        compiled(lambda x, p: FLOAT.charge(x, 1.0, float_neuron(p, 0))),
    )
    assert field(0.0, p) == 0.0
    v_ref = presets.ZHAO2025_FIG2.v_ref
    for x in (1e-12, 1e-3, 0.1, 0.79, 1.0):
        law = x if v0 == np.inf else v_ref * sinh(x / v0) / sinh(v_ref / v0)
        assert field(x, p) == pytest.approx(p.growth[0] * law, rel=1e-12, abs=0)
        assert charge(x, p) == pytest.approx(FLOAT_ARRAY.charge(np.array([x]), 1.0, p)[0], rel=1e-12, abs=0)


def test_a_law_steeper_than_the_compiled_exponential_reaches_is_refused():
    """It was cut to v_ref, also far below: the compiled neuron fired where the reference stayed silent."""
    steep = StepParams(dataclasses.replace(presets.ZHAO2025_FIG2, v0=np.array([0.05, 1e-3])))
    with pytest.raises(InputError, match=r"DeviceParams\.v0 \[V\] must be at least 0\.00118 in compiled floating point"):
        CompiledNeurons(steep, 2, fixed=False)


def test_both_step_systems_define_every_operation():
    for system in (FIXED, FIXED_ARRAY, FLOAT, FLOAT_ARRAY):
        assert isinstance(system, StepArithmetic) and all(operation is not None for operation in system)
