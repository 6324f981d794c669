"""The budget is counted, not claimed; and no value drives the neuron out of its operations and widths."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lava_1m1t1r import presets, reference
from lava_1m1t1r.arithmetic import ONE, STATE_BITS, unpack
from lava_1m1t1r.budget import KINDS, WIDTHS, Number, Tally, budget, step, table_widths
from lava_1m1t1r.dynamics import State
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.noise import draw
from lava_1m1t1r.program import TABLES, StepParams
from lava_1m1t1r.tables import pack

FIG2 = presets.ZHAO2025_FIG2
NOISY = replace(FIG2, sigma1=1e-2, sigma2=1e-3)
DEVICES = {
    "fig2": StepParams(FIG2),
    "table1": StepParams(presets.ZHAO2025_TABLE1),
    "fig3": StepParams(presets.ZHAO2025_FIG3, substeps=1),
    "fig4": StepParams(presets.ZHAO2025_FIG4, v_in_max=2.0),
    "noisy": StepParams(NOISY),
    "loudest noise": StepParams(replace(FIG2, sigma1=1.0, sigma2=1.0), substeps=2),
    "largest gate": StepParams(FIG2, v_in_max=3.99),
}
PROGRAMS = {name: params.fixed(1) for name, params in DEVICES.items()}
BUDGETS = {name: budget(params) for name, params in DEVICES.items()}

corner = st.sampled_from([0, 1, ONE - 1, ONE // 2, ONE])
length = st.one_of(corner, st.integers(0, ONE))
word = st.one_of(st.sampled_from([1, 0xFFFFFFFF, 0x80000000, 0xFF]), st.integers(1, 0xFFFFFFFF))


@given(
    st.sampled_from(sorted(DEVICES)),
    length,
    length,
    st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)),
    st.one_of(st.sampled_from([0, -(1 << 30), 1 << 30, 1]), st.integers(-1000, 3000)),
    word,
)
@settings(max_examples=250)
@example("loudest noise", ONE, 0, 1.0, 1 << 30, 0xFFFFFFFF)
@example("largest gate", 0, ONE, 0.0, 1 << 30, 1)
@example("table1", 3017164, 1177140, 0.0, 1 << 24, 1)  # its widest product needs an input
def test_any_state_and_input_stay_within_operations_and_widths(name, residue, filament, gate, a_in, generator):
    params, program = DEVICES[name], PROGRAMS[name]
    top = params.v_max_count << 6
    state = State(min(filament, ONE - residue), residue, round(gate * top))
    draws = [(draw(generator), draw(draw(generator)))] * params.substeps if program.noise_filament[0] else None
    tally = Tally()
    # A Number refuses whatever is not an allowed operation; a table refuses to be read outside.
    new, _spiked = step(state, a_in, program, params, 0, draws, tally)
    assert tally.widest <= BUDGETS[name].widest_bits <= 48, tally.widest_kind
    assert 0 <= new.filament <= ONE and 0 <= new.residue <= ONE and new.filament + new.residue <= ONE
    assert 0 <= new.gate <= top < 1 << 23
    assert {kind for kind, n in tally.operations.items() if n} <= set(KINDS)


@pytest.mark.parametrize("name", DEVICES)
def test_counting_numbers_compute_what_the_arbiter_computes(name, rng):
    params, program = DEVICES[name], PROGRAMS[name]
    a_in = rng.integers(-100, 900, 40)
    noisy = bool(program.noise_filament[0])
    neuron = reference.Neurons(params, 1, seed=4)
    state, generator = State(0, 0, 0), int(neuron.generator[0])
    for a in a_in:
        draws = []
        for _ in range(params.substeps):
            first = draw(generator)
            generator = draw(first)
            draws.append((first, generator))
        state, spiked = step(state, int(a), program, params, 0, draws if noisy else None, Tally())
        wanted = neuron.step(np.array([a]))
        assert (spiked, *state) == (wanted.spike[0], wanted.filament[0], wanted.residue[0], wanted.gate[0])


def test_the_count_does_not_depend_on_the_values(rng):
    counts = set()
    for _ in range(20):
        tally = Tally()
        residue = int(rng.integers(ONE))
        step(State(ONE - residue, residue, 0), int(rng.integers(-9, 700)), PROGRAMS["fig2"], DEVICES["fig2"], 0, None, tally)
        counts.add(tuple(tally.operations.values()))
    assert len(counts) == 1
    assert budget(DEVICES["fig2"]).operations == dict(zip(KINDS, counts.pop(), strict=True))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda x: x / 2, "unsupported operand .* /: 'Number' and 'int'"),
        (lambda x: x // 2, "unsupported operand .* //: 'Number' and 'int'"),
        (lambda x: x % 2, "unsupported operand .* %: 'Number' and 'int'"),
        (lambda x: x**2, r"unsupported operand .* \*\* or pow\(\): 'Number' and 'int'"),
        (lambda x: float(x), r"float\(\) argument must be .*'Number'"),
        (lambda x: 1 if x else 0, "must not branch on a value; use select"),
        (lambda x: -x, "bad operand type for unary -: 'Number'"),
    ],
)
def test_operations_outside_the_contract_are_refused(wrong, words):
    with pytest.raises(TypeError, match=words):
        wrong(Number(3, Tally()))


def test_a_branch_on_a_comparison_is_refused():
    with pytest.raises(TypeError, match="select"):
        1 if Number(3, Tally()) < 4 else 0


def test_widths_are_those_of_twos_complement():
    tally = Tally()
    for value, width in ((0, 1), (1, 2), (-1, 1), (127, 8), (128, 9), (-128, 8), (-129, 9)):
        tally.widest = 0
        tally.count("add", value)
        assert tally.widest == width, value


def test_substeps_scale_the_count_and_noise_adds_to_it():
    one, four, noisy = (budget(StepParams(d, substeps=n)) for d, n in ((FIG2, 1), (FIG2, 4), (NOISY, 4)))
    assert one.operations["multiply"] * 4 == four.operations["multiply"]
    assert four.operations["lfsr"] == 0 and noisy.operations["lfsr"] == 8
    assert sum(noisy.operations.values()) > sum(four.operations.values())
    assert "root" in noisy.tables and "root" not in four.tables
    assert noisy.state_bits["generator"] == 32 and "generator" not in four.state_bits
    assert noisy.constant_bits.keys() - four.constant_bits.keys() == {"noise_filament", "noise_residue"}


def test_budget_adds_up_and_is_json():
    b = budget(DEVICES["fig2"], 256)
    assert sum(b.state_bits.values()) == 72
    assert b.layer_bits == 256 * (72 + sum(b.constant_bits.values())) + sum(b.table_bits.values())
    assert json.loads(json.dumps(b.as_dict()))["layer_bits"] == b.layer_bits
    for name, (entries, *_) in b.tables.items():
        assert entries == getattr(PROGRAMS["fig2"], name).size


@pytest.mark.parametrize("name", DEVICES)
def test_table_columns_fit_their_widths(name):
    for table in TABLES:
        packed = getattr(PROGRAMS[name], table)
        for column, width, signed in zip(unpack(packed), table_widths(packed), (False, True, True), strict=True):
            low, high = (-(1 << width - 1), (1 << width - 1) - 1) if signed and width else (0, (1 << width) - 1)
            assert low <= column.min() and column.max() <= high
        base, step_, exponent = table_widths(packed)
        assert base <= 24 and step_ <= 32 and exponent <= 8


log_uniform = lambda low, high: st.floats(np.log(low), np.log(high)).map(lambda x: float(np.exp(x)))  # noqa: E731


@given(
    mu=log_uniform(1e-3, 1e9),
    beta=st.one_of(st.just(0.0), log_uniform(1e-3, 1e4)),
    gamma1=log_uniform(1.0, 1e5),
    gamma2=log_uniform(1e-2, 1e4),
    v_th=log_uniform(1e-6, 100.0),
    r_control=log_uniform(1e6, 1e13),
    v0=st.one_of(st.just(float("inf")), log_uniform(1e-2, 10.0)),
    sigma=st.one_of(st.just(0.0), log_uniform(1e-9, 1.0)),
    dt=log_uniform(1e-5, 1e-1),
    substeps=st.sampled_from([1, 2, 4, 7]),
)
@settings(max_examples=60)
def test_constants_of_any_device_fit_their_widths_or_are_refused(dt, substeps, sigma, **fields):
    params = StepParams(replace(FIG2, sigma1=sigma, sigma2=sigma, **fields), dt=dt, substeps=substeps)
    params.__dict__["drop"] = np.linspace(0.5, 0.1, 65)  # no constant depends on it, and odd devices take seconds to integrate
    try:
        program = params.fixed(1)
    except InputError as error:
        assert "got" in str(error)
        return
    for name, width in WIDTHS.items():
        value = int(getattr(program, name)[0])
        low, high = (-(1 << width - 1), (1 << width - 1) - 1) if name == "growth_shift" else (0, (1 << width) - 1)
        assert low <= value <= high, name
    tally = Tally()
    for state in (State(0, 0, 0), State(ONE // 2, ONE // 4, 0), State(ONE, 0, params.v_max_count << 6)):
        step(state, 700, program, params, 0, [(0, 0xFFFFFFFF)] * substeps, tally)
    assert tally.widest <= 48
    assert STATE_BITS == 22


def test_widths_are_those_that_some_device_needs():
    """``growth_shift`` is a byte, and ``v_th`` a register; neither has a device here that fills it."""
    needed = {name: max(int(getattr(program, name)[0]).bit_length() for program in PROGRAMS.values()) for name in WIDTHS}
    assert needed | {"growth_shift": 8, "v_th": 23} == WIDTHS


def test_the_widest_intermediate_is_that_of_any_neuron():
    """Whichever stands first: where the residue disperses ten times as fast, 41 bits are enough for the neuron's own."""
    fig4 = presets.ZHAO2025_FIG4
    devices = [replace(fig4, gamma2=fig4.gamma2 * np.array(factors)) for factors in ([1, 10], [10, 1])]
    one, other = (budget(StepParams(device, substeps=1), 2) for device in devices)
    assert one == other and one.widest_bits == 43


def test_a_budget_is_of_a_step():
    with pytest.raises(InputError, match="params must be StepParams; got 'FIG2'"):
        budget("FIG2")


def test_sizes_are_those_of_all_neurons_and_of_all_columns():
    found = budget(StepParams(FIG2), 3)
    sizes = {name: entries * (base + step + exponent) for name, (entries, base, step, exponent) in found.tables.items()}
    each = sum(found.state_bits.values()) + sum(found.constant_bits.values())
    assert found.table_bits == sizes and found.layer_bits == 3 * each + sum(sizes.values())
    assert table_widths(pack(np.array([5, 1]), np.array([-8, 7]), np.array([0, 0]))) == (3, 4, 0)
    assert table_widths(pack(np.array([5]), np.array([-8]), np.array([-8]))) == (3, 4, 4)
    for noise in ("sigma1", "sigma2"):
        for sigma in (1e-3, 1e-14):  # the second rounds to a gain of 0: its generator draws all the same
            noisy = budget(StepParams(replace(FIG2, **{noise: sigma})))
            assert noisy.noisy and noisy.state_bits["generator"] == 32 and "root" in noisy.tables
