"""From a device and a step to constants: checks, roundings, and what a layer's neurons may differ in."""

import importlib
import re
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lava_1m1t1r import DeviceParams, keys, presets
from lava_1m1t1r.arithmetic import BYTES_DEVIATION, ONE, field_law, unpack
from lava_1m1t1r.drop import _MOST_STEPS, _drop, drop_curve, rates_of
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.program import INTEGER_FIELDS, PER_NEURON, StepParams
from lava_1m1t1r.reference import CompiledNeurons
from lava_1m1t1r.tables import LEAST_SHARE, decay, floating_table, input_counts, noise_gain, pack, plain_table

FIG2 = presets.ZHAO2025_FIG2


@pytest.mark.parametrize(
    ("mu", "v_th", "words"),
    [
        ((56.3, 56.3), (2.0, 0.2), ""),
        ((1e-6, 1e-6), (0.2, 0.2), r"no input turns this device on: it takes"),
        ((56.3, 56.3), (2.0, 2.5), r"the gate never gets above v_th \(2 V\): it stays below v_in_max \(1.2 V\)"),
        ((1e-6, 56.3), (0.2, 2.0), "no input turns this device on in 1 of 2 neurons, and in the others v_th lies above it: it takes"),
        ((1e-6, 56.3), (2.0, 2.0), "no input turns this device on in 1 of 2 neurons, and in the others v_th lies above it: it takes"),
    ],
)
def test_a_layer_is_silent_where_each_of_its_neurons_is_for_whatever_reason(mu, v_th, words):
    step = StepParams(replace(FIG2, mu=np.array(mu), v_th=np.array(v_th)), v_in_max=1.2)
    assert re.match(words, step.silence) if words else step.silence == ""


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"dt": 0.0}, "dt"),
        ({"dt": -1e-3}, "dt"),
        ({"dt": float("nan")}, "dt"),
        ({"dt": "1 ms"}, "dt"),
        ({"dt": True}, "dt"),
        ({"substeps": 0}, "substeps"),
        ({"substeps": 65}, "substeps"),
        ({"substeps": 2.5}, "substeps"),
        ({"v_unit": 0.0}, "v_unit"),
        ({"v_in_max": float("inf")}, "v_in_max"),
        ({"v_in_max": 4.1}, "stay below 4 V"),
        ({"v_in_max": 4.0}, "stay below 4 V"),
        ({"device": None}, "device"),
    ],
)
def test_wrong_steps_are_refused_by_name(change, text):
    with pytest.raises(InputError, match=text):
        StepParams(**({"device": FIG2} | change))


@pytest.mark.parametrize("name", ["alpha", "lam", "r_on", "r_off", "c_gate", "v_ref"])
def test_fields_that_make_the_tables_must_be_shared(name):
    value = getattr(FIG2, name)
    with pytest.raises(InputError, match=f"{name} must be equal"):
        StepParams(replace(FIG2, **{name: np.array([value, 1.1 * value])}))
    assert StepParams(replace(FIG2, **{name: np.array([value, value])})).fixed(2).gain.shape == (2,)


def test_the_least_v0_that_an_error_advises_will_do():
    for v_in_max in (0.2, 1.2, 3.9):
        with pytest.raises(InputError, match="large enough for the field table") as caught:
            StepParams(replace(FIG2, v0=1e-4), v_in_max=v_in_max).fixed(1)
        least = float(re.search(r"at least (\S+) V", str(caught.value))[1])
        StepParams(replace(FIG2, v0=least), v_in_max=v_in_max).fixed(1)
        with pytest.raises(InputError, match="large enough for the field table"):
            StepParams(replace(FIG2, v0=0.98 * least), v_in_max=v_in_max).fixed(1)


def test_one_law_a_layer():
    with pytest.raises(InputError, match="one law"):
        StepParams(replace(FIG2, v0=np.array([0.08, np.inf])))
    with pytest.raises(InputError, match="above half and below twice"):
        StepParams(replace(FIG2, v0=np.array([0.08, 0.08, 0.2]))).fixed(3)


def test_arrays_must_have_the_layers_size():
    for size in (1, 3):
        with pytest.raises(InputError, match="layer's size"):
            StepParams(replace(FIG2, mu=np.full(size, 150.0))).fixed(4)


def test_a_least_gap_whose_inverse_no_table_holds_is_refused():
    with pytest.raises(InputError, match=r"DeviceParams.alpha \[1\] must exceed 1.2e-38 in fixed point; got 1e-39"):
        StepParams(replace(FIG2, alpha=1e-39)).fixed(1)


def test_a_threshold_that_is_more_than_a_gate_holds_is_refused():
    largest = StepParams(FIG2).largest_v_th
    assert StepParams(replace(FIG2, v_th=largest)).fixed(1).v_th == [(1 << 23) - 1]
    with pytest.raises(
        InputError, match=r"DeviceParams.v_th must be at most 3.9999995 V, or it needs more than the gate's 24 bits; got 4.0"
    ):
        StepParams(replace(FIG2, v_th=4.0)).fixed(1)


def test_a_gain_that_rounds_up_to_the_next_octave_stays_a_mantissa():
    """Of 16 bits."""
    linear = presets.ZHAO2025_TABLE1
    per_mu = float(StepParams(linear).shares()["growth"]) / linear.mu
    step = StepParams(replace(linear, mu=2.0**-5 * (1 - 2.0**-18) / per_mu))
    program = step.fixed(1)
    assert program.gain == [1 << 15] and 2.0 ** (-15.0 + 10.0 - program.growth_shift) * program.gain == pytest.approx(2.0**-5)


def test_a_layer_is_silent_where_none_of_its_neurons_can_fire():
    for name, hopeless in (("mu", 1e-3), ("v_th", 1.2)):  # a gate stays below v_in_max
        value = getattr(FIG2, name)
        assert StepParams(replace(FIG2, **{name: np.array([hopeless, hopeless])})).silence
        assert not StepParams(replace(FIG2, **{name: np.array([hopeless, value])})).silence


shares = st.floats(np.log(2.0**-14.9), 0.0).map(lambda x: float(np.exp(x)))


@given(shares)
def test_decay_is_within_a_tenth_of_a_percent(lost):
    mantissa, shift = (int(x[0]) for x in decay(np.array([lost]), "rate"))
    assert 1 <= mantissa < 1 << 12 and 12 <= shift <= 26
    assert mantissa * 2.0**-shift == pytest.approx(lost, rel=3e-4)


def test_decay_at_its_borders():
    assert [int(x[0]) for x in decay(np.array([1.0]), "rate")] == [4095, 12]
    assert [int(x[0]) for x in decay(np.array([0.5]), "rate")] == [2048, 12]
    assert [int(x[0]) for x in decay(np.array([0.0]), "rate", zero=True)] == [0, 12]
    for lost, cure in ((2.0**-16, "larger dt"), (1.2, "smaller dt")):
        with pytest.raises(InputError, match=cure):
            decay(np.array([0.1, lost]), "rate")
    with pytest.raises(InputError, match="rate"):
        decay(np.array([0.0]), "rate")


@given(st.lists(st.floats(0, 1e12), min_size=2, max_size=9))
@example([1 - 2.0**-20, 0.5])  # its mantissa rounds up to the next octave
def test_floating_tables_hold_their_knots(values):
    values = np.array(values)
    base, step, exponent = unpack(floating_table(values))
    scale = np.exp2(exponent - 16.0)
    larger = np.maximum(values[:-1], values[1:])
    # to half a unit of 17-bit mantissas, of the larger end
    assert np.all(np.abs(base * scale - values[:-1]) <= larger * 2.0**-17 + 1e-29)
    assert np.all(np.abs((base + step) * scale - values[1:]) <= larger * 2.0**-17 + 1e-29)
    assert np.all(base < 1 << 17) and np.all(base + step <= 1 << 17)


@given(st.integers(0, (1 << 24) - 1), st.integers(-(1 << 31), (1 << 31) - 1), st.integers(-128, 127))
def test_packed_entries_come_back(base, step, exponent):
    columns = unpack(pack(*(np.array([x], np.int64) for x in (base, step, exponent))))
    assert tuple(int(c[0]) for c in columns) == (base, step, exponent)


def test_plain_tables_join():
    base, step, exponent = unpack(plain_table(np.array([0.2, 3.4, 9.9, 9.6])))
    assert (base + step).tolist() == [3, 10, 10] and base.tolist() == [0, 3, 10] and not exponent.any()


@given(st.integers(-(1 << 30), 1 << 30))
def test_input_is_clipped_to_the_rails(a_in):
    v_max = StepParams(FIG2).v_max_count
    assert v_max == 39322  # 1.2 V at 1/8 V a unit
    assert input_counts(np.array([a_in]), v_max)[0] == min(max(a_in, 0) * 64, v_max)


def test_noise_gain_is_the_roots_scale():
    # gain / 2^10 roots of a count, times the byte sum / 2^10: one standard deviation is sqrt(sigma) roots of the gap.
    gain = int(noise_gain(np.array([1e-3]))[0])
    assert gain * 64 / 1024 * BYTES_DEVIATION / 1024 == pytest.approx(np.sqrt(1e-3 * ONE), rel=1e-3)
    with pytest.raises(InputError, match="sigma"):
        noise_gain(np.array([2.0]))


@pytest.mark.parametrize("spread", [0.01, 0.05, 0.2])
def test_gain_and_stretch_carry_every_neurons_own_law(spread, rng):
    v0 = 0.09 * np.exp(spread * np.clip(rng.standard_normal(9), -2.5, 2.5))
    v0[0] = 0.09
    params = StepParams(replace(FIG2, v0=v0))
    p, growth = params.fixed(9), params.shares()["growth"]
    median = float(np.median(v0))
    gain = p.gain * np.exp2(-15.0 + 10.0 - p.growth_shift)
    for v in (0.3, 0.8, 1.2):
        own = growth * np.array([field_law(v, x, FIG2.v_ref) for x in v0]).ravel()
        table = gain * np.array([field_law(v * s / 65536, median, FIG2.v_ref) for s in p.stretch]).ravel()
        assert np.allclose(table, own, rtol=5e-4)


def test_heterogeneous_layer_is_each_neuron_alone_but_for_shared_tables(rng):
    mu = 56.0 * np.exp(0.1 * rng.standard_normal(4))
    layer = StepParams(replace(FIG2, mu=mu)).fixed(4)
    for n in range(4):
        alone = StepParams(replace(FIG2, mu=float(mu[n]))).fixed(1)
        for name in PER_NEURON:
            assert getattr(layer, name)[n] == getattr(alone, name)[0], name


def test_devices_beyond_what_integers_hold_come_back_by_halves_of_the_way_and_no_others():
    step, far = StepParams(FIG2), np.array([0.5, 1e-6, 1.0, 1.0])
    moved = step.towards(replace(FIG2, gamma2=FIG2.gamma2 * far, beta=FIG2.beta * np.array([1.0, 1.0, 2.0, 1e4])), 4)
    moved.fixed(4)
    gamma2, beta = moved.device.gamma2 / FIG2.gamma2, moved.device.beta / FIG2.beta
    np.testing.assert_array_equal(gamma2[[0, 2, 3]], [0.5, 1.0, 1.0])
    np.testing.assert_allclose((gamma2[1], beta[3]), (1e-6**0.25, 1e4**0.5))  # a residue too slow, and a transfer above 1
    np.testing.assert_array_equal(beta[:3], [1.0, 1.0, 2.0])
    least = StepParams(replace(FIG2, gamma2=-np.log1p(-LEAST_SHARE * (1 + 1e-9)) / step.h))  # as slow as can be
    assert least.towards(replace(FIG2, gamma2=0.1 * least.device.gamma2), 1).device.gamma2 == least.device.gamma2


def test_files_state_every_field_of_the_step_that_integers_are_made_of():
    assert tuple(keys._STEP_KEYS.values()) == INTEGER_FIELDS


def test_step_params_print_compare_and_replace():
    params = StepParams(FIG2, dt=2e-3)
    assert params.h == 5e-4
    assert params.replace(substeps=8).substeps == 8 and params.substeps == 4
    assert params.scaled(3).device == FIG2.scaled(3) and params.scaled(3).dt == 2e-3
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'dt'"):
        params.dt = 1.0


@pytest.mark.parametrize(
    ("module", "name", "kind"),
    [
        ("kernels", "fixed_neuron", "FixedProgram"),
        ("kernels", "float_neuron", "FloatProgram"),
        pytest.param("slayer.compiled_reverse", "_neuron", "GradientProgram", marks=pytest.mark.train),
    ],
)
def test_what_loops_read_of_a_neuron_stands_under_its_own_names(module, name, kind, monkeypatch):
    """They name the fields one by one, in their order; what a layer has once is the layer's."""
    module = importlib.import_module(f"lava_1m1t1r.{module}")
    kind = getattr(module, kind)
    monkeypatch.setattr(module, "read", lambda array, n: array[n])  # which compiled code alone can call
    program = kind(*(10 * i + np.arange(3) for i in range(len(kind._fields))))
    found = getattr(module, name).py_func(program, 1)
    assert type(found) is kind
    for field in kind._fields:
        given, got = getattr(program, field), getattr(found, field)
        assert got is given or (np.ndim(got) == 0 and got == given[1]), field


SPREADS = [f.name for f in fields(DeviceParams) if f.name.endswith(("_ctoc", "_dtod"))]


@pytest.mark.parametrize("name", SPREADS)
def test_spreads_are_refused(name):
    with pytest.raises(InputError, match=f"DeviceParams.{name} must be .*Use "):
        StepParams(replace(presets.ZHAO2025_FIG2, **{name: 0.1}))


def test_the_noisy_preset_is_refused_and_a_drawn_layer_is_not():
    with pytest.raises(InputError, match="mu_ctoc"):
        StepParams(presets.ZHAO2025_FIG3CD)
    layer = replace(presets.ZHAO2025_FIG2, mu_dtod=0.2, r_control_dtod=0.1).spread(5, seed=1)
    program = StepParams(layer).fixed(5)
    assert len(np.unique(program.gate_decay + program.gate_shift * 4096)) == 5


def test_a_filament_that_never_lets_go_leaves_the_field_that_the_gate_settles_at():
    latching = DeviceParams(mu=3000.0)
    settled = latching.r_on / (latching.r_on + latching.r_control)
    np.testing.assert_allclose(StepParams(latching).drop, settled, rtol=1e-9)
    weak = replace(presets.ZHAO2025_FIG2, gamma1=1e6)  # hardly charges the gate
    np.testing.assert_allclose(drop_curve(weak, 1.0)[:50], 1.0, rtol=1e-3)
    several = replace(presets.ZHAO2025_FIG2, r_control=presets.ZHAO2025_FIG2.r_control * np.array([0.1, 1.0, 5.0]))
    np.testing.assert_array_equal(drop_curve(several, 1.0), drop_curve(presets.ZHAO2025_FIG2, 1.0))  # of the median


def test_a_gate_so_fast_that_the_letting_go_is_not_found_is_refused():
    with pytest.raises(InputError, match=r"r_on \* c_gate .* must be larger \(4.6e-06 s is always enough .*got 1e-09. Use a larger c_gate"):
        drop_curve(replace(presets.ZHAO2025_FIG2, c_gate=1e-15), 1.0)
    with pytest.raises(InputError, match=r"r_on \* c_gate .* takes too long"):  # so short that the filament has not even closed
        drop_curve(replace(presets.ZHAO2025_FIG2, r_on=0.1), 1.0)
    too_weak = rates_of(replace(presets.ZHAO2025_FIG2, mu=1e-4, r_on=1.0))  # turns on at 1.9 V
    for residue in (0.0, 0.985):  # a residue only fades slowly
        assert _drop(residue, 1.0, too_weak, 2e-13, _MOST_STEPS) == pytest.approx(1.0, rel=1e-3)
    latching = StepParams(DeviceParams(mu=3000.0, c_gate=1e-15)).drop  # closed: no need to wait for the end
    assert np.all((latching > 0) & (latching < 0.05))


@pytest.mark.parametrize(
    ("step", "volt"),
    [
        (StepParams(replace(presets.ZHAO2025_FIG2, v0=0.009, v_ref=0.3, mu=60.0)), 1.2),
        (StepParams(presets.ZHAO2025_FIG2, v_unit=0.35, v_in_max=11.0), 10.0),
    ],
    ids=("steep", "strong"),
)
def test_a_growth_beyond_all_exponents_is_a_growth_at_once(step, volt):
    counts = np.full((50, 1), round(volt / step.v_unit * 64))
    fixed = CompiledNeurons(step, 1).run(counts)
    floating = CompiledNeurons(step, 1, fixed=False).run(counts)
    assert fixed.spike.sum() == floating.spike.sum() == 1


def test_voltages_beyond_all_registers_are_refused_by_name():
    with pytest.raises(InputError, match="v_in_max"):
        StepParams(presets.ZHAO2025_FIG2, v_in_max=1e300, v_unit=1e-300)


def test_the_share_that_does_not_fit_is_the_one_that_is_told():
    with pytest.raises(InputError, match=r"got 1\.25\. Use a smaller dt \[s\] or more substeps"):
        StepParams(replace(presets.ZHAO2025_FIG2, beta=np.array([0.0, 5000.0]))).fixed(2)
