"""From CUBA neurons to devices: time constants and refractoriness against simulation, working points against the neurons they stand for."""

import re
from dataclasses import replace

import numpy as np
import pytest

from lava_1m1t1r import StepParams, presets
from lava_1m1t1r.cuba import device_for, memory_steps, working_point
from lava_1m1t1r.device import simulate
from lava_1m1t1r.drop import drop_curve
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.export.cuba_fit import run_cuba
from lava_1m1t1r.params import DEVIATING
from lava_1m1t1r.reference import CompiledNeurons

DU, DV, TH, DT = 0.25, 0.03, 1.25, 10e-3


def test_memory_is_the_mean_delay_of_the_impulse_response():
    u, v, response = 1.0, 0.0, []
    for _ in range(2000):
        v = (1 - DV) * v + u
        response.append(v)
        u *= 1 - DU
    response = np.array(response)
    assert memory_steps(DU, DV) == pytest.approx((np.arange(2000) * response).sum() / response.sum(), rel=1e-6)
    assert memory_steps(1.0, 1.0) == 0


def test_the_filament_outlasts_its_pulse_as_long_as_the_cuba_neuron_remembers():
    device = device_for(DU, DV, DT)
    memory = memory_steps(DU, DV) * DT
    # a pulse too weak to close the filament, then silence: the device level's own decay
    v_in = np.where(np.arange(3000) < 300, 0.6, 0.0)
    trace = simulate(device, v_in, dt=1e-3)
    left = trace.filament[300:]
    below = np.argmax(left < left[0] / np.e) * 1e-3
    assert below == pytest.approx(memory, rel=0.02)
    assert device.r_control * device.c_gate / memory == pytest.approx(
        presets.ZHAO2025_FIG2.r_control * presets.ZHAO2025_FIG2.c_gate * (presets.ZHAO2025_FIG2.gamma1 + presets.ZHAO2025_FIG2.beta)
    )


@pytest.mark.parametrize("period", [20e-3, 60e-3])
def test_the_gate_stays_above_threshold_for_the_refractory_period(period):
    device, dt = device_for(DU, DV, DT, refractory=period), 1e-3
    fired = simulate(device, np.full(2500, device.v_ref), dt=dt).spike_times(0)[0]
    v_in = np.where(np.arange(2500) * dt < fired + 2 * device.r_on * device.c_gate, device.v_ref, 0.0)
    gate = simulate(device, v_in, dt=dt).gate_voltage
    assert np.count_nonzero(gate > device.v_th) * dt == pytest.approx(period, rel=0.1)


def fired_by(step, a_in, point):
    """Spike counts (N,) of a layer of devices under weights times gain, and bias, over all samples."""
    neurons, fired = CompiledNeurons(step, a_in.shape[2]), np.zeros(a_in.shape[2])
    for sample in a_in:
        neurons.reset()
        for a in sample:
            fired += neurons.step(np.rint(a * point.gain * 64).astype(np.int64) + np.rint(point.bias * 64).astype(np.int64)).spike
    return fired


def test_devices_fire_as_often_as_the_cuba_neurons_that_they_can_follow(rng):
    batch, steps, size = 4, 300, 12
    a_in = rng.normal(0.0, 0.5, (batch, steps, size)) - np.linspace(0.0, 0.25, size)
    spikes = np.zeros(a_in.shape, np.int8)
    run_cuba(a_in, 1 - DU, 1 - DV, TH, np.zeros(size), spikes)
    step = StepParams(device_for(DU, DV, DT, refractory=2 * DT), dt=DT, substeps=1)
    point = working_point(step, a_in, spikes)
    wanted = spikes.mean((0, 1))
    assert wanted.max() > 0.05 > 0.01 > wanted.min()  # lively and quiet ones
    slow = wanted < 0.03
    assert slow.sum() >= 3 and np.abs(point.rate - wanted)[slow].max() < 0.015
    # what is stated is what a layer of devices does under weights times gain, and bias
    assert np.array_equal(fired_by(step, a_in, point) / (batch * steps), point.rate)
    assert (a_in * point.gain * step.v_unit).std((0, 1)).mean() == pytest.approx(0.16)


def test_devices_of_their_own_are_searched_for_in_all_samples(rng):
    a_in = rng.normal(0.0, 0.5, (3, 120, 4))
    spikes = rng.random(a_in.shape) < 0.03
    device = device_for(DU, DV, DT)
    unlike = replace(device, mu=device.mu * np.array([0.8, 1.0, 1.2, 1.4]))
    step = StepParams(unlike, dt=DT, substeps=1)
    point = working_point(step, a_in, spikes)
    assert np.array_equal(fired_by(step, a_in, point) / spikes[:, :, 0].size, point.rate) and point.rate.any()
    assert len(set(point.bias.tolist())) > 1
    with pytest.raises(InputError, match=r"step.device must hold numbers, or arrays of one value a neuron \(5\)"):
        working_point(StepParams(unlike, dt=DT, substeps=1), a_in[..., [0, 1, 2, 3, 3]], spikes[..., [0, 1, 2, 3, 3]])


def test_silent_neurons_get_the_lowest_bias_and_stay_silent(rng):
    a_in = rng.normal(0.0, 0.5, (2, 100, 3))
    step = StepParams(device_for(DU, DV, DT), dt=DT, substeps=1)
    point = working_point(step, a_in, np.zeros(a_in.shape))
    mean = (np.rint(a_in * point.gain * 64).mean((0, 1)) / 64 + point.bias) * step.v_unit
    assert np.allclose(mean, 0.2, atol=step.v_unit / 64) and not point.rate.any()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"current_decay": 1024}, "current_decay must be the share lost"),
        ({"voltage_decay": 0.0}, "voltage_decay must be the share lost"),
        ({"current_decay": 1.0, "voltage_decay": 1.0}, "must not both be 1"),
        ({"refractory": -1.0}, "refractory"),
        ({"refractory": 1e-4}, "R_c >= 10 R_on"),
        ({"refractory": np.nan}, "refractory"),
        ({"device": presets.ZHAO2025_FIG2.with_variation(0.1).spread(3, 0)}, "be one device"),
        ({"device": replace(presets.ZHAO2025_FIG2, v_th=0.9), "refractory": 2 * DT}, r"v_th \[V\] must lie below the gate's 0.421 V"),
    ],
)
def test_what_cannot_be_translated_is_named(change, text):
    with pytest.raises(InputError, match=text):
        device_for(**{"current_decay": DU, "voltage_decay": DV, "dt": DT, **change})


def test_noise_and_spreads_are_kept_and_change_nothing_else():
    """With a refractory period, a device with a spread was refused, and spread devices always are."""
    varied = {"sigma1": 1e-3, "mu_ctoc": 0.1} | {f"{name}_dtod": 0.1 for name in DEVIATING}
    for refractory in (None, 2 * DT):
        plain, noisy = (device_for(DU, DV, DT, replace(presets.ZHAO2025_FIG2, **more), refractory) for more in ({}, varied))
        assert noisy == replace(plain, **varied) and noisy.spread(3, 0).size == 3


def test_the_shortest_refractory_period_is_the_one_that_is_told():
    with pytest.raises(InputError, match="R_c >= 10 R_on") as refused:
        device_for(DU, DV, DT, refractory=1e-4)
    least = float(re.search(r"at least ([\d.e-]+),", str(refused.value))[1])
    shortest = device_for(DU, DV, DT, refractory=least)
    assert shortest.r_control == pytest.approx(10 * shortest.r_on, rel=0.01)
    with pytest.raises(InputError, match="R_c >= 10 R_on"):
        device_for(DU, DV, DT, refractory=0.98 * least)


def test_biases_are_those_that_a_network_can_hold(rng):
    """A steady input many times larger than what varies asks for more than 13 bits."""
    step = StepParams(presets.ZHAO2025_FIG2)
    for mean in (-10.0, 10.0):
        found = working_point(step, mean + 0.1 * rng.standard_normal((2, 80, 3)), np.ones((2, 80, 3)))
        assert np.all(np.abs(found.bias) <= 64) and np.any(np.abs(found.bias) > 60)


def test_recordings_that_do_not_fit_are_named():
    step = StepParams(device_for(DU, DV, DT), dt=DT)
    good = np.random.default_rng(0).normal(size=(1, 5, 2))
    for a_in, spikes, text in (
        (good[0], good[0], r"a_in must have shape \(B, T, N\)"),
        (good, good[:, :4], "spikes must have the shape"),
        (np.ones((1, 5, 2)), good, "vary over time"),
        (np.full((1, 5, 2), np.nan), good, "be finite"),
    ):
        with pytest.raises(InputError, match=text):
            working_point(step, a_in, spikes)
    with pytest.raises(InputError, match="spread"):
        working_point(step, good, good, spread=0.0)
    many = np.ones((1100, 1, 1000))
    with pytest.raises(InputError, match=r"a_in must have at most 1048576 neurons in all samples; got \(1100, 1, 1000\)"):
        working_point(step, many, many)


def test_the_refractory_period_is_reckoned_at_the_devices_own_voltage():
    """The gate's height was that under 1.2 V, where network steps begin to limit the input."""
    given = presets.ZHAO2025_FIG4
    left = given.v_ref - drop_curve(given.quiet(), 2.0)[0]
    device = device_for(DU, DV, DT, given, refractory=2 * DT)
    assert given.v_ref == 2.0 and device.r_control * device.c_gate * np.log(left / given.v_th) == pytest.approx(2 * DT)
