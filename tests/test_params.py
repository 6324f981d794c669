"""DeviceParams: ranges, arrays, scaling, spread."""

import dataclasses
import json
import pickle
import warnings
from dataclasses import replace

import numpy as np
import pytest

from lava_1m1t1r import presets
from lava_1m1t1r._support.files import as_json
from lava_1m1t1r.activity import drain_steps
from lava_1m1t1r.advisor import advise
from lava_1m1t1r.device import simulate
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.params import DeviceParams, least_lam
from lava_1m1t1r.program import StepParams

FIELDS = [f.name for f in dataclasses.fields(DeviceParams)]


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", [-1.0, np.nan, "one", True])
def test_every_field_refuses_nonsense_by_name(name, value):
    with pytest.raises(InputError, match=rf"DeviceParams\.{name}"):
        DeviceParams(**{name: value})


ZERO = {"beta", "c_load", "sigma1", "sigma2", *(name for name in FIELDS if name.endswith(("_ctoc", "_dtod")))}
INFINITE = {"v0", "x_max"}


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_takes_zero_and_infinity_only_where_they_mean_something(name):
    for value, legal in ((0.0, ZERO), (np.inf, INFINITE), ([], set())):
        if name in legal:
            assert getattr(DeviceParams(**{name: value}), name) == value
        else:
            with pytest.raises(InputError, match=rf"DeviceParams\.{name}"):
                DeviceParams(**{name: value})


@pytest.mark.parametrize("name", ["sigma1", "sigma2", "mu_ctoc", "v0_ctoc"])
def test_whatever_differs_from_run_to_run_is_noise(name):
    p = DeviceParams(**{name: [0.0, 0.1]})
    assert p.noisy and not p.quiet().noisy and p.quiet() == DeviceParams()


@pytest.mark.parametrize("name", ["ZHAO2025_FIG2", "ZHAO2025_FIG3", "ZHAO2025_FIG4"])
def test_the_voltages_that_turn_a_device_on(name):
    """The closed form beside the integrator: in the long run, and without residue."""
    device = dataclasses.replace(getattr(presets, name), c_gate=1.0)  # a gate that stays down
    low, high = device.turn_on_voltages
    assert low < high and device.scaled(7.0).turn_on_voltages == pytest.approx((low, high), rel=1e-12)
    alone = dataclasses.replace(device, beta=0.0, gamma1=device.gamma1 + device.beta)
    assert alone.turn_on_voltages == pytest.approx((high, high), rel=1e-12)
    for p, volt, step in ((device, low, 0.1), (alone, high, 1e-3)):
        for share, fires in ((0.99, False), (1.01, True)):
            trace = simulate(p, np.full(300, share * volt), step, record="events")
            assert (trace.turn_on_times().size > 0) == fires, (volt, share)


def test_a_law_so_steep_that_its_scale_overflows_turns_on_near_v_ref():
    p = dataclasses.replace(presets.ZHAO2025_FIG2, v0=1e-3)
    assert p.turn_on_voltages == pytest.approx((0.799, 0.8), abs=2e-3)
    near = dataclasses.replace(p, v0=np.array([p.v_ref / 499, p.v_ref / 501]))  # on either side of where the limit is taken
    assert np.ptp(near.turn_on_voltages[0]) < 1e-4


def test_with_a_wide_least_gap_the_closed_filament_is_the_hardest_to_hold():
    """Growth, mu V / (alpha + 1 - x), then grows less with x than the loss does, up to x = 1."""
    assert DeviceParams(alpha=3.0, beta=0.0).turn_on_voltages == pytest.approx((600 * 3 / 150,) * 2, rel=1e-12)


@pytest.mark.parametrize("draws", [np.zeros((3, 2)), "text", [1.0], np.zeros((2, 8)), np.zeros((3, 8), bool)])
def test_draws_of_another_shape_are_refused(draws):
    with pytest.raises(InputError, match="deviating.draws must"):
        DeviceParams(mu=[1.0, 2.0, 3.0]).deviating(draws)


@pytest.mark.parametrize("kind", ["f2", "f4", ">f4", "i1"])
def test_devices_drawn_by_narrow_numbers_are_no_coarser(kind):
    draws = np.arange(-8, 8).reshape(2, 8)
    device = presets.ZHAO2025_FIG2.with_variation(0.2)
    assert device.deviating(draws.astype(kind)) == device.deviating(draws)


def test_fields_are_frozen_numbers_or_arrays_of_one_shape():
    p = DeviceParams(mu=[1, 2, 3])
    assert p.size == 3 and DeviceParams().size is None
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'mu'"):
        p.mu = 2.0
    with pytest.raises(ValueError, match="read-only"):
        p.mu[0] = 5.0
    with pytest.raises(InputError, match="arrays of one shape"):
        DeviceParams(mu=np.ones(2), beta=np.ones(3))
    with pytest.raises(InputError, match="r_off must exceed r_on"):
        DeviceParams(r_on=1e9, r_off=1e6)
    with pytest.raises(InputError, match="r_off must exceed r_on"):
        DeviceParams(r_on=1e6, r_off=1e6)


def test_equality_and_print_show_what_differs():
    assert DeviceParams() == DeviceParams(mu=150) != DeviceParams(mu=151)
    assert repr(DeviceParams(mu=151.0)) == "DeviceParams(mu=151.0)"
    assert repr(DeviceParams(mu=np.linspace(1.0, 4.0, 512))) == "DeviceParams(mu=<512 values, 1 to 4>)"


def test_take_gives_one_device_or_several():
    p = DeviceParams(mu=[1.0, 2.0, 3.0])
    assert p.take(1) == DeviceParams(mu=2.0)
    assert p.take(slice(1, 3)).mu.tolist() == [2.0, 3.0]
    assert p.take(-3).mu == 1.0 and p.take(np.array([-3, 2])).mu.tolist() == [1.0, 3.0]
    for n in (3, -4, np.array([0, 3]), np.array([-4, 0])):
        with pytest.raises(InputError, match="take.n must .* from -3 to 2; got"):
            p.take(n)


def test_scaled_stretches_time():
    p = DeviceParams(c_load=1e-12).scaled(time=10.0)
    assert (p.mu, p.gamma1, p.c_gate, p.c_load) == pytest.approx((15.0, 60.0, 1e-10, 1e-11))
    assert p.r_control == DeviceParams().r_control
    with pytest.raises(InputError, match=r"scaled\.time"):
        DeviceParams().scaled(time=0.0)


def test_spread_is_log_normal_and_each_device_its_own():
    p = DeviceParams(mu_dtod=0.3, v_th_dtod=0.1)
    many = p.spread(2000, seed=1)
    assert np.std(np.log(many.mu)) == pytest.approx(0.3, rel=0.06)
    assert np.median(many.v_th) == pytest.approx(0.2, rel=0.02)
    assert many.mu_dtod == 0.0 and np.isscalar(many.beta)
    assert many.median() == dataclasses.replace(many, mu=np.median(many.mu), v_th=np.median(many.v_th)) and p.median() == p
    np.testing.assert_array_equal(p.spread(10, seed=1).mu, many.mu[:10])
    assert not np.array_equal(p.spread(10, seed=2).mu, many.mu[:10])
    with pytest.raises(InputError, match=r"spread\.n"):
        p.spread(0, seed=1)


def test_a_spread_of_nothing_says_so():
    for p in (DeviceParams(), DeviceParams(v0_dtod=0.1)):  # under the linear law v0 is nothing that could differ
        with pytest.warns(UserWarning, match=r"every _dtod field that the device feels is 0.*with_variation\(0.2\)"):
            assert p.spread(3, 0).mu.tolist() == [150.0] * 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert DeviceParams().spread(1, 0).mu.tolist() == [150.0]  # there are no two that could be equal
    assert not DeviceParams().varies and DeviceParams(v0=0.1, v0_dtod=0.1).varies and DeviceParams(mu_dtod=[0.0, 0.1]).varies


def test_arrays_of_devices_spread_each_about_its_own():
    p = DeviceParams(mu=[100.0, 150.0, 200.0], mu_dtod=[0.0, 0.1, 0.0], beta_dtod=0.2)
    many = p.spread(3, seed=1)
    assert many.mu[0] == 100.0 and many.mu[1] != 150.0 and many.mu[2] == 200.0 and np.unique(many.beta).size == 3
    square = DeviceParams(mu=np.full((2, 3), 150.0), r_on=np.full((2, 3), 1e6), mu_dtod=0.1).spread(6, seed=1)
    np.testing.assert_array_equal(square.mu, DeviceParams(mu_dtod=0.1).spread(6, seed=1).mu)

    for q in (p, DeviceParams(mu_dtod=[0.1, 0.2, 0.3])):
        with pytest.raises(InputError, match=r"spread.n must be 3, the size of the arrays"):
            q.spread(5, 0)


def test_arrays_of_a_layers_shape_are_read_row_by_row():
    rates = np.array([[140.0, 150.0, 160.0], [170.0, 180.0, 190.0]])
    device = replace(presets.ZHAO2025_FIG2, mu=rates)
    assert device.size == 6 and device == replace(presets.ZHAO2025_FIG2, mu=rates.reshape(-1))
    assert device.take(3).mu == 170.0
    assert device.take(np.array([1, 4])).mu.tolist() == [150.0, 180.0]
    assert drain_steps(StepParams(replace(device, r_control=1e6 * rates))).shape == (6,)
    a_in = np.full((200, 6), 200)
    assert advise(StepParams(device), a_in=a_in, steps=100).recorded.compared == [0, 1, 2, 3, 4, 5]


def test_tunnelling_lengths_whose_resistance_has_no_number_are_refused():
    with pytest.raises(InputError, match=r"DeviceParams.lam \[1\] must be >= 0.00149 with this r_off"):
        DeviceParams(lam=1e-3)
    with pytest.raises(InputError, match="DeviceParams.lam"):
        DeviceParams(lam=[0.2, 1e-300])
    for lam, r_on, r_off in ((1.01 * least_lam(1e12), 1e6, [1e12, 1e100]), (1 / 800, 1e-200, 1e-100)):
        with pytest.raises(InputError, match="DeviceParams.lam"):
            DeviceParams(lam=lam, r_on=r_on, r_off=r_off)
    smallest = DeviceParams(lam=1.01 * least_lam(1e12))
    with np.errstate(all="raise"):
        StepParams(smallest).fixed()
        StepParams(smallest).floating()


def test_variation_spreads_every_rate_alike():
    p = DeviceParams(v0=0.1)
    many = p.with_variation(0.2).spread(2000, seed=3)
    for name in ("mu", "beta", "gamma1", "gamma2", "r_control", "v_th"):
        assert np.std(np.log(getattr(many, name) / getattr(p, name))) == pytest.approx(0.2, rel=0.06), name
    assert np.isscalar(many.v0) and np.isscalar(many.c_gate)
    assert np.std(np.log(p.with_variation(0.1, v0=0.03).spread(2000, seed=3).v0)) == pytest.approx(0.03, rel=0.06)
    with pytest.raises(InputError, match=r"with_variation\.level"):
        p.with_variation(-0.1)


MASKED = np.ma.masked_array([1.0, 2.0], [False, True])
NOT_NUMBERS = [np.datetime64("2020"), np.timedelta64(5, "s"), ["5"], np.array(["5"]), np.array([1j]), [True, True], MASKED, 10**400]


@pytest.mark.parametrize("value", NOT_NUMBERS, ids=repr)
def test_what_numpy_would_make_numbers_of_is_refused(value):
    with pytest.raises(InputError, match=r"DeviceParams.mu must be a number or an array of numbers"):
        DeviceParams(mu=value)
    assert DeviceParams(r_off=10**20).r_off == 1e20


def test_flags_are_true_or_false_and_growth_fits_its_shift():
    assert StepParams(DeviceParams(), held=np.True_).held is True
    for value in ("no", 1, None):
        with pytest.raises(InputError, match="StepParams.held must be True or False"):
            StepParams(DeviceParams(), held=value)
    for mu in (1e300, 1e-300):
        with pytest.raises(InputError, match="DeviceParams.mu must make a substep's growth per volt lie between"):
            StepParams(DeviceParams(mu=mu)).fixed()


def test_steps_are_equal_by_value():
    one, other = (StepParams(DeviceParams(mu_dtod=0.2).spread(3, seed)) for seed in (0, 1))
    assert one == pickle.loads(pickle.dumps(one)) == StepParams(DeviceParams(mu_dtod=0.2).spread(3, 0))
    assert (one == other) is False and (one != one.replace(dt=2e-3)) is True and (one == 5) is False


def test_hashes_are_those_of_equal_values_and_tell_others_apart():
    array = np.array([150.0, 160.0])
    assert hash(DeviceParams(mu=array)) == hash(DeviceParams(mu=array.copy())) == hash(DeviceParams(mu=2 * array))  # shapes alone
    assert hash(DeviceParams(mu=150)) == hash(DeviceParams(mu=np.float32(150))) == hash(DeviceParams(mu=np.array(150.0)))
    assert len({hash(DeviceParams(mu=mu)) for mu in (150.0, 160.0, array, np.ones(3))}) == 4
    assert len({hash(StepParams(DeviceParams(beta=beta), dt)) for beta in (10.0, 20.0) for dt in (1e-3, 2e-3)}) == 4


TWO = replace(presets.ZHAO2025_FIG2, mu=np.array([50.0, 60.0]))


@pytest.mark.parametrize("device", [presets.ZHAO2025_TABLE1, TWO], ids=["linear", "two"])
def test_devices_come_back_from_json(device):
    """Which has null for what is infinite, and lists."""
    assert DeviceParams.from_dict(json.loads(as_json(device.as_dict()))) == device
    with pytest.raises(InputError, match="hold fields of DeviceParams; got 'colour'"):
        DeviceParams.from_dict({"colour": 1})
    with pytest.raises(InputError, match="DeviceParams.mu must be a number or an array of numbers"):
        DeviceParams.from_dict({"mu": [[1.0, 2.0], [3.0]]})


@pytest.mark.parametrize("v0", [[0.1], [np.inf, 0.1, 0.2], [np.inf, np.inf]])
def test_arrays_with_infinities_come_back_from_json(v0):
    device = DeviceParams(v0=np.array(v0))
    assert DeviceParams.from_dict(json.loads(as_json(device.as_dict()))) == device


def test_variation_in_per_cent_is_refused():
    with pytest.raises(InputError, match=r"with_variation.level must be a finite number and >= 0 and <= 3; got 20"):
        presets.ZHAO2025_FIG2.with_variation(20)


def test_arrays_of_as_many_values_in_other_shapes_are_not_paired():
    with pytest.raises(InputError, match="DeviceParams must hold arrays of one shape"):
        DeviceParams(mu=np.full((2, 3), 100.0), gamma1=np.full((3, 2), 600.0))
    assert DeviceParams(mu=np.full((2, 3), 100.0), gamma1=np.full((2, 3), 600.0)).size == 6
