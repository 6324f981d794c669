"""FIXED_POINT.md: complete (a neuron written from its text alone agrees to the bit), and true (what it states is measured here)."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from page_neuron import layer_of
from realisations import varied

import lava_1m1t1r
from lava_1m1t1r import noise, presets, reference
from lava_1m1t1r.arithmetic import ONE, field_law, unpack
from lava_1m1t1r.budget import budget
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.program import TABLES, StepParams
from lava_1m1t1r.reference import CompiledNeurons, Traces

PAGE = (Path(lava_1m1t1r.__file__).parent / "FIXED_POINT.md").read_text(encoding="utf-8")
FIG2 = presets.ZHAO2025_FIG2
NOISY = {"sigma1": 2e-3, "sigma2": 3e-4}


def cases(rng, size):
    """Layers that cover the page: both field laws, all presets, spread, noise, substeps, bins, units."""
    return {
        "Fig. 2": StepParams(FIG2),
        "Table 1, linear law": StepParams(presets.ZHAO2025_TABLE1),
        "Fig. 3, 8 substeps": StepParams(presets.ZHAO2025_FIG3, substeps=8),
        "Fig. 4 at 2 V": StepParams(presets.ZHAO2025_FIG4, v_in_max=2.0),
        "Fig. 3cd": StepParams(replace(presets.ZHAO2025_FIG3CD, mu_ctoc=0.0, v0_ctoc=0.0), substeps=3),
        "spread": StepParams(varied(FIG2, rng, size), substeps=2),
        "spread, linear law": StepParams(varied(presets.ZHAO2025_TABLE1, rng, size)),
        "noise": StepParams(replace(FIG2, **NOISY)),
        "spread and noise, 10 ms bins": StepParams(replace(varied(FIG2.scaled(10), rng, size), **NOISY), dt=1e-2),
        "one substep, larger unit": StepParams(FIG2, substeps=1, v_unit=0.25),
        "steep law": StepParams(replace(FIG2, v0=0.02), v_unit=0.1),
    }


NAMES = list(cases(np.random.default_rng(0), 2))


def drive(rng, params, steps, size):
    """Inputs from far below zero to far above the clip, mostly where the neuron is alive."""
    top = params.v_max_count >> 6
    alive = rng.integers(int(0.5 * top), int(1.1 * top), (steps, size)) * (rng.random((steps, size)) < 0.6)
    wild = rng.integers(-(1 << 20), 1 << 20, (steps, size))
    return np.where(rng.random((steps, size)) < 0.02, wild, alive)


def both(params, a_in, seed, layer):
    """The library's compiled step and the page's neuron: spike, filament, residue, gate of each, (T, N)."""
    size = a_in.shape[1]
    page = layer_of(params, size, seed, layer)
    mine = np.array([page.step(row) for row in a_in.tolist()])
    neurons = CompiledNeurons(params, size, seed=seed, layer=layer)
    theirs = Traces(*(np.stack(x) if x[0] is not None else None for x in zip(*(neurons.step(a) for a in a_in), strict=True)))
    return [mine[..., i] for i in (0, 2, 3, 4)], [theirs.spike, theirs.filament, theirs.residue, theirs.gate]


@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_a_run_is_its_steps_from_rest(name, fixed, rng):
    params = cases(rng, 6)[name]
    a_in = drive(rng, params, 60, 6)
    once = CompiledNeurons(params, 6, fixed=fixed, seed=11, layer=3)
    step_by_step = reference.stacked([once.step(a) for a in a_in])
    for _ in range(2):
        ran = once.run(a_in)
        assert ran.turn_on is None and ran.spike.dtype == bool and ran.filament.any()
        for name in ("spike", "filament", "residue", "gate"):
            assert np.array_equal(getattr(ran, name), getattr(step_by_step, name)), name


@pytest.mark.parametrize("fixed", [True, False])
def test_a_run_does_not_depend_on_how_its_input_lies_in_memory(fixed, rng):
    params = cases(rng, 6)[NAMES[0]]
    a_in, neurons = drive(rng, params, 60, 6), CompiledNeurons(params, 6, fixed=fixed)
    ran = neurons.run(a_in)
    for given in (a_in.T.copy().T, a_in[::-1, ::-1].copy()[::-1, ::-1], a_in.astype(">i8")):
        found = neurons.run(given)
        for name in ("spike", "filament", "residue", "gate"):
            assert np.array_equal(getattr(ran, name), getattr(found, name)), name


@pytest.mark.parametrize("name", NAMES)
def test_neuron_written_from_the_page_agrees_to_the_bit(name, rng):
    params = cases(rng, 6)[name]
    mine, theirs = both(params, drive(rng, params, 200, 6), seed=11, layer=3)
    for a, b in zip(mine, theirs, strict=True):
        assert np.array_equal(a, b)
    assert mine[1].max() > ONE // 10, "the drive must move the states"


@pytest.mark.slow
def test_a_million_random_steps_agree_to_the_bit(rng):
    done = spikes = 0
    while done < 1_000_000:
        for params in cases(rng, 16).values():
            mine, theirs = both(params, drive(rng, params, 1500, 16), seed=int(rng.integers(1 << 32)), layer=int(rng.integers(100)))
            for a, b in zip(mine, theirs, strict=True):
                assert np.array_equal(a, b)
            done, spikes = done + mine[0].size, spikes + int(mine[0].sum())
    print(f"{done} steps, {spikes} spikes")
    assert spikes > 10_000


@pytest.mark.parametrize("name", NAMES)
def test_tables_of_the_page_are_the_programs(name, rng):
    params = cases(rng, 6)[name]
    page, program = layer_of(params, 6), params.fixed(6)
    for table in TABLES:
        assert np.array_equal(np.array(getattr(page, table)), np.stack(unpack(getattr(program, table)), axis=1)), table
    assert (page.q, page.top) == (program.field_shift, program.field_top)


# --- what the page states about the generator ---


def berlekamp_massey(bits):
    """Shortest linear recurrence of a bit sequence: connection polynomial (bit i: coefficient of x^i) and its length."""
    c, b, length, since = 1, 1, 0, 1
    for n in range(len(bits)):
        if sum(bits[n - i] for i in range(length + 1) if c >> i & 1) % 2 == 0:
            since += 1
        elif 2 * length <= n:
            c, b, length, since = c ^ (b << since), c, n + 1 - length, 1
        else:
            c, since = c ^ (b << since), since + 1
    return c, length


def power_of_x(exponent, polynomial):
    """x^exponent modulo a polynomial of degree 32 over GF(2)."""

    def times(a, b):
        product = 0
        while b:
            product ^= a * (b & 1)
            a, b = a << 1, b >> 1
            a ^= polynomial * (a >> 32)
        return product

    result, base = 1, 2
    while exponent:
        result = times(result, base) if exponent & 1 else result
        base, exponent = times(base, base), exponent >> 1
    return result


def stated_polynomial():
    text = re.search(r"x\^32 [+x^0-9\s]+ \+ 1", PAGE).group()
    return sum(1 << int(power) for power in re.findall(r"x\^(\d+)", text)) | 1


@pytest.mark.parametrize("bit", [0, 7, 31])
def test_characteristic_polynomial_of_the_generator(bit):
    state, bits = 0x12345678, []
    for _ in range(256):
        state = noise.draw(state)
        bits.append(state >> bit & 1)
    connection, length = berlekamp_massey(bits)
    assert length == 32
    reversed_ = int(f"{connection:033b}"[::-1], 2)
    assert reversed_ == stated_polynomial()


def test_polynomial_is_primitive():
    # 2^32 - 1 = 3 5 17 257 65537: x has this order and no smaller one, so the period is full.
    polynomial = stated_polynomial()
    order = (1 << 32) - 1
    assert power_of_x(order, polynomial) == 1
    for factor in (3, 5, 17, 257, 65537):
        assert power_of_x(order // factor, polynomial) != 1


# --- what the page states about tables ---


def gap_place(gap):
    w = gap + 1024
    octave = np.floor(np.log2(w)).astype(np.int64) - 10
    w <<= 12 - octave
    return 64 * octave + (w >> 16 & 63), w & 0xFFFF


def read(table, k, u, bits):
    base, step, exponent = unpack(table)
    return base[k] + (step[k] * u >> bits), exponent[k]


STATED = {
    # accuracy of the charge, by name; the others' follow: field, inverse [shares], root [counts], drop [counts of the gate]
    "Fig. 2": 2e-5,
    "Table 1, linear law": 2e-5,
    "Fig. 3, 8 substeps": 7e-5,
    "Fig. 4 at 2 V": 2e-5,
    "10 ms bins": 2e-5,
    "16 substeps": 1.5e-4,
    "the least accurate field": 2e-5,
}
FIELD, INVERSE, ROOT, DROP = 1.1e-4, 7e-5, 1.0, 1.5


@pytest.mark.parametrize("name", STATED)
def test_tables_are_as_accurate_as_the_page_states(name, rng):
    extra = {"10 ms bins": StepParams(FIG2.scaled(10), dt=1e-2), "16 substeps": StepParams(FIG2, substeps=16)}
    extra["the least accurate field"] = StepParams(replace(FIG2, v0=0.034527), v_unit=0.25)  # just above a coarser table's v0
    params = (cases(rng, 1) | extra)[name]
    d, p = params.device, params.fixed(1)
    u = np.arange(1, p.field_top + 1)
    mantissa, exponent = read(p.field, u >> p.field_shift, u & (1 << p.field_shift) - 1, p.field_shift)
    volts = u * params.v_unit / 4096
    law = field_law(volts, d.v0, d.v_ref)
    off = np.abs(mantissa * np.exp2(exponent - 16.0) - law)
    small = volts < 0.01
    assert np.max((off / law)[~small]) < FIELD
    assert np.max(off[small]) < FIELD * law[~small][0]

    gap = np.unique(np.concatenate([np.arange(20000), np.geomspace(1, ONE, 100000).astype(np.int64)]))
    k, between = gap_place(gap)
    mantissa, exponent = read(p.inverse, k, between, 16)
    assert np.max(np.abs(mantissa * np.exp2(exponent - 16.0) * (d.alpha + gap / ONE) - 1)) < INVERSE
    x = 1 - gap / ONE
    r_d = d.r_on * x + d.r_off * np.expm1((1 - x) / d.lam) / np.expm1(1 / d.lam)
    share = -np.expm1(-params.h / (r_d * d.c_gate))
    assert np.max(np.abs(read(p.charge, k, between, 16)[0] / 2**20 - share)) < STATED[name]
    assert np.max(np.abs(read(p.root, k, between, 16)[0] / 64 - np.sqrt(gap))) <= ROOT
    residue = np.arange(0, ONE + 1, 997)
    drop = np.interp(residue / ONE, np.linspace(0, 1, 65), params.drop)
    found = read(p.drop, residue >> 16, residue & 0xFFFF, 16)[0]
    assert np.max(np.abs(found - drop * 2**18 / params.v_unit)) < DROP


def test_page_shows_the_budget_as_printed():
    assert str(budget(StepParams(presets.ZHAO2025_TABLE1), 256)) in PAGE
    assert "{" not in re.sub(r"`[^`]*`", "", PAGE), "a blank was left in the page"


# --- extremes ---


@pytest.mark.parametrize(
    ("change", "field", "cure"),
    [
        ({"gamma2": 0.01}, "gamma2", "larger dt"),
        ({"r_control": 1e15}, "r_control", "larger dt"),
        ({"gamma1": 1e-3, "beta": 1e-4}, "gamma1", "larger dt"),
        ({"beta": 1e5, "gamma2": 1e4, "gamma1": 1e5}, "beta", "smaller dt"),
        ({"v_th": 40.0}, "v_th", "larger v_unit"),
        ({"sigma1": 1.5}, "sigma1", "<= 1"),
        ({"v0": 1e-4}, "v0", "large enough"),
    ],
)
def test_what_does_not_fit_is_an_error_with_the_cure(change, field, cure):
    params = StepParams(replace(FIG2, **change))
    with pytest.raises(InputError, match=field) as error:
        params.fixed(1)
    assert cure in str(error.value)


@pytest.mark.parametrize("time", [2, 5, 10, 100])
def test_a_scaled_device_at_a_scaled_step_is_the_same_program(time):
    # Every rate enters as rate times step: the whole trajectory is the same, stretched.
    a, b = StepParams(FIG2).fixed(3), StepParams(FIG2.scaled(time), dt=1e-3 * time).fixed(3)
    for name in a._fields:
        assert np.array_equal(getattr(a, name), getattr(b, name)), name


def test_a_layer_of_one_sensitivity_is_every_neuron_alone(rng):
    # The field table is the median's; neurons of that v0 must not notice the others.
    own = np.full(5, 0.08)
    own[[0, 4]] = 0.07, 0.09
    layer, alone = (StepParams(replace(FIG2, v0=v)) for v in (own, 0.08))
    a_in = drive(rng, alone, 150, 5)
    together, single = (both(p, a_in, 0, 0)[1] for p in (layer, alone))
    for a, b in zip(together, single, strict=True):
        assert np.array_equal(a[:, 1:4], b[:, 1:4])
        assert a.shape == b.shape
    assert not np.array_equal(together[1][:, 0], single[1][:, 0])
