"""The advisor, and the small integrator it measures the network step with."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from lava_1m1t1r import presets
from lava_1m1t1r.advisor import TOLERANCE, _recorded, _response, advise
from lava_1m1t1r.arithmetic import field_law
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.netx import schema
from lava_1m1t1r.program import StepParams
from lava_1m1t1r.recipes import SHIPPED_NETWORK
from lava_1m1t1r.reference import CompiledNeurons

FIG2 = presets.ZHAO2025_FIG2


def test_a_device_that_fires_many_times_a_step_neither_slows_down_nor_latches():
    # About 24 spikes a step: room for four was taken for all of them, and gates above threshold at both ends of a step for held ones.
    from lava_1m1t1r.device import simulate, stimulus

    params = StepParams(presets.ZHAO2025_FIG3.scaled(0.1), dt=1e-2, substeps=16)
    volt = 461 / 64 * params.v_unit
    spikes = simulate(params.device, stimulus.constant(volt, 0.2), 1e-2, 0, "events").spike_times()
    assert spikes.size > 400
    probe = advise(params, steps=20).probes[2]
    assert probe.device.rate == pytest.approx(spikes.size / 0.2, rel=0.01)
    assert not probe.device.latched and not probe.step.latched


def test_advice_on_the_fig_2_device():
    advice = advise(StepParams(FIG2), steps=400)
    pulses, poisson, constant = advice.probes
    assert abs(pulses.first_spike_error) < 0.05 and abs(poisson.first_spike_error) < 0.05 and abs(constant.first_spike_error) < 0.05
    assert pulses.device.rate > 100 and pulses.device.isi == pytest.approx(4e-3, rel=0.1)  # measured: 4.0 ms at 250 Mohm (Fig. 4d)
    assert constant.device.latched and constant.step.latched
    assert 0.5 < advice.fires_from <= advice.latches_from < 0.9
    assert set(advice.by_substeps) == {1, 2, 4, 8, 16}
    # a spike of a step counts at its middle; rates are those of one neuron: fewer pulses, fewer spikes
    assert pulses.step.first_spike == pytest.approx(86.5e-3) and 50 < poisson.device.rate < pulses.device.rate < 250
    text = str(advice)
    assert text.startswith("network step of 1 ms in 4 substeps against the device, for 400 steps:")
    assert "pulses of 0.8008 V" in text  # 410 counts of 1/512 V
    assert "first spike" in text and "fires from" in text
    assert json.loads(json.dumps(advice.as_dict()))["probes"][0]["device"]["latched"] is False


def test_errors_are_signed_and_relative_to_the_device():
    probe = advise(StepParams(FIG2, substeps=2), steps=400).probes[1]
    assert probe.step.first_spike != probe.device.first_spike and probe.step.rate != probe.device.rate
    assert probe.first_spike_error == pytest.approx(probe.step.first_spike / probe.device.first_spike - 1)
    assert probe.rate_error == pytest.approx(probe.step.rate / probe.device.rate - 1)


def test_intervals_are_means_and_silent_neurons_count_in_rates():
    found = _response([np.array([1.0, 2.0, 3.0, 5.0]), np.zeros(0)], np.zeros(2, bool), 6.0)
    assert _response([np.array([1.0]), np.array([2.0])], np.zeros(2, bool), 6.0).first_spike == 1.5
    assert found.isi == pytest.approx(4 / 3) and found.first_spike == 1.0 and found.rate == pytest.approx(4 / 2 / 6)
    assert found.isi_se == pytest.approx(1 / 3)  # of 1, 1 and 2: a deviation of 1 / sqrt(3), by the root of three
    assert _response([np.array([1.0, 2.0])], np.zeros(1, bool), 6.0).isi_se is None


def test_the_largest_input_is_among_the_constant_ones():
    lowest = advise(StepParams(FIG2), steps=400).fires_from
    assert advise(StepParams(FIG2, v_in_max=lowest), steps=400).fires_from == pytest.approx(lowest)


def test_advice_scales_with_the_device():
    a = advise(StepParams(FIG2), steps=200)
    b = advise(StepParams(FIG2.scaled(10), dt=1e-2), steps=200)
    for p, q in zip(a.probes, b.probes, strict=True):
        assert q.step.rate == pytest.approx(p.step.rate / 10)
        assert q.device.first_spike == pytest.approx(10 * p.device.first_spike, rel=1e-4)
    assert a.fires_from == b.fires_from


def test_a_device_too_fast_for_its_step_gets_the_cure():
    notes = " ".join(advise(StepParams(FIG2, dt=1e-2), steps=60).notes)
    slower = int(re.search(r"no refractoriness is left at this dt. Use device.scaled\(time=(\d+)\)", notes)[1])
    assert 1 < slower < 30
    cured = advise(StepParams(FIG2.scaled(time=slower), dt=1e-2), steps=60).notes
    assert not any("no refractoriness" in note for note in cured)


def test_a_device_that_turns_on_above_the_input_at_which_it_is_measured_gets_the_cure():
    """The device of Fig. 4, which turns on at 1.49 V, written with a v_ref of 0.8 and of 2 V."""
    device = presets.ZHAO2025_FIG4
    written_low = replace(device, v_ref=0.8, mu=device.mu * float(field_law(0.8, device.v0, device.v_ref)) / 0.8)
    step = {"v_unit": 0.5, "v_in_max": 3.0}
    assert written_low.turn_on_voltages[0] == pytest.approx(device.turn_on_voltages[0], rel=1e-3)
    told = "lets go is measured at 1 V, and the device turns on from 1.49 V only"
    assert any(told in note for note in advise(StepParams(written_low, **step), steps=60).notes)
    assert not any("lets go is measured" in note for note in advise(StepParams(device, **step), steps=60).notes)


def test_a_gate_that_drains_within_a_few_steps_is_refractory_enough():
    assert not any("drains within" in note for note in advise(StepParams(FIG2, dt=3e-3), steps=60).notes)


def test_probes_are_of_the_median_device_and_within_the_largest_input():
    several = replace(FIG2, mu=FIG2.mu * np.array([0.5, 1.0, 9.0]))
    advice = advise(StepParams(several), steps=60)
    assert advice.probes == advise(StepParams(FIG2), steps=60).probes and advice.probes[0].name.startswith("pulses of 0.8008 V")
    assert advise(StepParams(FIG2, v_in_max=0.7), steps=60).probes[0].name.startswith("pulses of 0.6992 V")  # 358 counts of 1/512 V


def test_substeps_that_do_better_are_named_where_those_asked_for_are_too_few():
    told = "4 substeps come within 5% of the device."
    for substeps in (1, 4):
        assert (told in advise(StepParams(FIG2, substeps=substeps), steps=400).notes) == (substeps == 1)


def test_substeps_that_miss_the_tolerance_by_little_are_not_named():
    advice = advise(StepParams(replace(FIG2, mu=0.9 * FIG2.mu), substeps=1))
    assert advice.by_substeps[4] <= TOLERANCE < advice.by_substeps[2] < 2 * TOLERANCE
    assert "4 substeps come within 5% of the device." in advice.notes


def test_of_a_wide_layer_neurons_from_end_to_end_are_compared_in_the_first_sample():
    a_in = np.zeros((2, 300, 31), np.int64)
    a_in[0, ::2, 2::4] = 410
    a_in[0, ::2, 30] = 400  # its first spike comes later
    recorded = advise(StepParams(FIG2), a_in=a_in, steps=20).recorded
    assert recorded.compared == list(range(0, 31, 2))
    assert recorded.step_spikes[::2] == [0] * 8 and recorded.device_spikes[::2] == [0] * 8
    for spikes in (recorded.step_spikes, recorded.device_spikes):
        assert len(set(spikes[1:14:2])) == 1 and spikes[1] > spikes[15] > 0
    assert recorded.spikes == sum(recorded.step_spikes)


def test_of_a_wide_layer_each_neurons_own_device_is_compared():
    size = 33
    params = StepParams(replace(FIG2, r_control=np.geomspace(5e7, 2e9, size)))
    a_in = np.tile((np.arange(120) % 2 == 0)[:, None] * 410, (1, size))
    found = _recorded(params, a_in)
    assert found.compared[0] == 0 and found.compared[-1] == size - 1 and len(found.compared) == 16
    for place in (0, 7, 15):
        alone = _recorded(params.replace(device=params.device.take(found.compared[place])), a_in[:, :1])
        assert (found.device_spikes[place], found.step_spikes[place]) == (alone.device_spikes[0], alone.step_spikes[0])
    assert found.device_spikes[0] > found.device_spikes[15]


def test_bias_and_recurrence_make_neurons_fire_too():
    """With few positive weights a neuron fires by its constant input, or by its neighbours: all of it counts, and -1 unit of bias, too."""
    weights, device = np.array([[40], [40], [600], [40]]), StepParams(FIG2)
    bias, recurrent = np.array([0, 380, -400, 0]), np.diag([0, 0, 0, 0])
    recurrent[3, 1] = 600
    advice = advise(device, weights, steps=150, bias=bias, weights_rec=recurrent)
    assert advise(device, weights, steps=150).unreachable == [0, 1, 3]
    assert advice.unreachable == [0, 2]
    recurrent[0, 0], recurrent[2, 0] = 9999, 9999  # nobody starts itself, nor is started by who never fires
    assert advise(device, weights, steps=150, bias=bias, weights_rec=recurrent).unreachable == [0, 2]
    for wrong in ({"bias": np.zeros(3, int)}, {"bias": np.zeros(4)}, {"weights_rec": np.zeros((4, 7), int)}):
        with pytest.raises(InputError, match="advise." + next(iter(wrong))):
            advise(device, weights, steps=60, **wrong)
    with pytest.raises(InputError, match="advise.bias must come with weights"):
        advise(device, bias=bias, steps=60)


def test_negative_weights_take_no_neuron_out_of_reach():
    """Inputs need not come together, nor neighbours that inhibit: only what excites counts."""
    weights, recurrent, device = np.array([[300, 300, -600], [600, 0, 0], [40, 0, 0]]), np.zeros((3, 3), int), StepParams(FIG2)
    recurrent[2] = [-600, 600, 0]
    assert advise(device, weights, steps=60).unreachable == [2]
    assert advise(device, weights, steps=60, weights_rec=recurrent).unreachable == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"v_th": 1.3}, "the gate never gets above v_th (1.3 V): it stays below v_in_max (1.2 V). Use a lower v_th."),
        ({"mu": 1e-3}, "V, and v_in_max is 1.2 V. Use a larger v_in_max."),
    ],
    ids=("threshold", "growth"),
)
def test_a_device_that_no_input_makes_fire_is_told_with_the_cure(change, words):
    advice = advise(StepParams(replace(FIG2, **change)), steps=100)
    assert advice.fires_from is None and words in advice.notes[0] and "it does not fire in 100 steps" in advice.notes[1]


def test_slower_devices_are_tried_where_no_number_of_substeps_suffices():
    device = replace(FIG2, r_control=2 * FIG2.r_control)
    notes = " ".join(advise(StepParams(device)).notes)
    assert "no tried number of substeps comes within 5% of the device: device.scaled(2) does, with 4 substeps." in notes
    slower = advise(StepParams(device.scaled(2)))
    assert slower.by_substeps[4] < 0.05


def test_a_rate_of_uneven_intervals_is_known_no_better_than_they_tell():
    """The shipped network's device: its trajectories part by rounding, and rates of other versions of numpy are three per cent apart."""
    step = schema.read(SHIPPED_NETWORK).active[0].neuron.step
    advice = advise(step)
    regular = advice.probes[0].device
    assert 0.05 < regular.isi_se / regular.isi < 0.12
    (told,) = (note for note in advice.notes if "uneven" in note)
    assert f"every other step are so uneven that they tell its rate to {regular.isi_se / regular.isi:.0%} only" in told
    assert f"(device {1e3 * regular.isi:.3g} +- {1e3 * regular.isi_se:.2g}) ms" in str(advice)
    for params, steps in ((FIG2, 100), (presets.ZHAO2025_TABLE1, 300)):  # too few spikes, or latched: no rate is compared
        assert not any("uneven" in note for note in advise(StepParams(params), steps=steps).notes)
    even = advise(StepParams(FIG2))  # which settles to intervals that are all alike
    assert not any("uneven" in note for note in even.notes) and even.probes[0].device.isi_se < 0.02 * even.probes[0].device.isi


def test_latching_at_once_is_told():
    notes = " ".join(advise(StepParams(presets.ZHAO2025_TABLE1)).notes)
    assert "under constant input the neuron latches as soon as it fires, from 0.242 V" in notes


def test_of_what_latches_no_rate_is_compared():
    """Its few spikes before that have no mean interval either, as in measurements."""
    advice = advise(StepParams(presets.ZHAO2025_TABLE1))
    for probe in advice.probes:
        assert probe.both_latch and probe.rate_error is None and probe.isi_error is None and probe.first_spike_error is not None
    assert advice.by_substeps == {} and advice.notes[-1] == "under the pulsed probes the device has no rate to compare: it latches."
    line = next(line for line in str(advice).splitlines() if "constant:" in line)
    assert line.endswith("interval none (device none) ms, rate 1 (device 3) Hz; both latch")


def test_a_device_whose_states_go_further_than_the_steps_is_told():
    notes = {p: " ".join(advise(StepParams(p), steps=60).notes) for p in (FIG2, presets.ZHAO2025_TABLE1)}
    assert any("x_max is 1.5, so it is another" in note for note in advise(StepParams(replace(FIG2, x_max=1.5)), steps=60).notes)
    assert "x_max is inf, so it is another device" in notes[presets.ZHAO2025_TABLE1] and "x_max" not in notes[FIG2]


def test_weights_that_cannot_fire_a_neuron_are_found():
    weights = np.array([[254] * 8, [10] * 8, [-200] * 8, [254, 254] + [0] * 6])
    advice = advise(StepParams(FIG2), weights=weights, steps=150)
    # 8 x 254 counts are 4 V; 80 counts 0.16 V; 508 counts 0.99 V
    assert advice.unreachable == [1, 2]


@pytest.mark.parametrize("v_unit", [0.1, 0.07, 0.125, 0.3])
def test_an_input_that_just_fires_is_within_reach_whatever_the_unit(v_unit):
    """In counts, the voltage may come back a rounding above them."""
    for factor in np.linspace(0.5, 3, 12):
        step = StepParams(replace(FIG2, mu=56.3 * factor), v_unit=v_unit)
        counts = round(advise(step, steps=50).fires_from / v_unit * 64)
        assert advise(step, np.array([[counts], [counts - 1]]), steps=50).unreachable == [1]


def test_the_lowest_input_that_fires_is_exact_to_a_count():
    step = StepParams(FIG2)
    advice = advise(step, steps=300)
    counts = round(advice.fires_from / step.v_unit * 64) + np.array([-1, 0])
    fired = CompiledNeurons(step, 2).run(np.broadcast_to(counts, (300, 2))).spike.any(0)
    assert fired.tolist() == [False, True]
    assert advise(step, weights=np.reshape(counts, (2, 1)), steps=300).unreachable == [0]


def test_recorded_input_shows_silent_and_latched_neurons_and_the_device():
    a_in = np.zeros((500, 3), np.int64)
    a_in[::2, 1] = 410
    a_in[:, 2] = 460
    device = replace(FIG2, mu=np.array([56.0, 57.0, 58.0]), sigma1=1e-6)
    advice = advise(StepParams(device), a_in=a_in, steps=100)
    r = advice.recorded
    assert r.silent == [0] and r.latched == [2] and r.compared == [0, 1, 2]
    assert r.device_spikes[0] == r.step_spikes[0] == 0
    assert r.device_spikes[1] > 50 and abs(r.step_spikes[1] / r.device_spikes[1] - 1) < 0.3
    assert advise(StepParams(device), a_in=a_in[None], steps=100).recorded == r
    assert "1 silent (0)" in str(advice)


def test_samples_too_short_to_tell_of_latching_are_told():
    slow = StepParams(FIG2.scaled(8))  # its gate drains in 36 steps
    advice = advise(slow, a_in=np.full((60, 2), 400), steps=60)
    assert advice.recorded.latched == [] and advice.recorded.untold == [0, 1] and advice.latches_from is None
    assert "0 latched, 2 draining too slowly for samples this short to show latching (0, 1); " in str(advice)
    assert "the gate drains too slowly to tell from 60 steps whether the neuron latches: take at least 73." in advice.notes
    assert not any("too slowly to tell" in note for note in advise(slow, steps=73).notes)


def test_agreement_that_more_substeps_lose_is_called_chance():
    # between 0.79 and 0.82 V this device goes from firing on to latching
    device = replace(FIG2, mu=75.055, beta=43.437, gamma1=165.04, gamma2=6.5405, v0=0.084455)
    advice = advise(StepParams(device))
    assert advice.by_substeps[4] < 0.05 < 0.5 < advice.by_substeps[16]
    assert any("further from the device than with 4, whose agreement is chance" in note for note in advice.notes)
    assert not any("chance" in note for note in advise(StepParams(FIG2), steps=400).notes)


def test_noise_is_left_out_of_probes_step_and_device():
    a_in = np.zeros((500, 4), np.int64)
    a_in[::2] = [380, 395, 410, 425]
    noisy, quiet = (advise(StepParams(replace(FIG2, sigma1=s, sigma2=s)), a_in=a_in, steps=100) for s in (0.02, 0.0))
    assert noisy.recorded == quiet.recorded and noisy.probes == quiet.probes


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"params": FIG2}, "StepParams"),
        ({"steps": 3}, "steps"),
        ({"weights": np.ones(3, int)}, "weights"),
        ({"weights": np.full((2, 3), np.nan)}, "weights must be whole numbers"),
        ({"a_in": np.ones((5, 2))}, "a_in"),
        ({"params": StepParams(replace(FIG2, gamma2=0.001))}, "gamma2"),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments, text):
    with pytest.raises(InputError, match=text):
        advise(**({"params": StepParams(FIG2), "steps": 40} | arguments))


def test_probes_last_as_long_as_the_device_needs():
    """At 0.1 ms the first spike comes after 918 steps: a thousand would compare three spikes with two. (The device of Fig. 2 itself fires
    irregularly there, how often depends on the last digits.)"""
    params = StepParams(presets.ZHAO2025_FIG2_WIDE, dt=1e-4)
    found = advise(params)
    assert found.probes[0].device.rate * 100e-3 > 5 and found.by_substeps[4] < 0.1
    assert not any("fewer than" in note for note in found.notes)
    short = advise(params, steps=1000)
    assert any("fires fewer than 5 times in 1000 steps" in note for note in short.notes) and short.by_substeps[4] < 0.01


def test_a_first_spike_after_a_thousand_steps_is_waited_for():
    assert advise(StepParams(FIG2, dt=5e-5)).probes[0].device.rate > 0


def test_a_device_that_never_fires_is_not_watched_for_long():
    found = advise(StepParams(replace(FIG2, mu=0.3 * FIG2.mu)))
    assert not found.by_substeps and found.probes[0].device.rate == 0
    assert any("does not fire in" in note for note in found.notes) and not any("fewer than" in note for note in found.notes)


def test_a_step_that_fires_where_the_device_does_not_is_a_failure_of_the_substeps():
    found = advise(StepParams(replace(presets.ZHAO2025_FIG3, v_th=0.29)))
    assert found.probes[0].device.rate == 0 and found.probes[0].step.rate > 50
    assert found.by_substeps[4] == np.inf and "the step alone fires" in str(found)
    assert any("no tried number of substeps" in note for note in found.notes)


def test_latching_otherwise_is_a_failure_of_the_substeps():
    found = advise(StepParams(FIG2))
    assert found.by_substeps[1] == np.inf and found.by_substeps[4] < 0.05
    words = "one of them latches, or the step alone fires"
    assert f"1: {words}" in str(found) and found.as_dict()["by_substeps"]["1"] == words
    coarse = advise(StepParams(FIG2, substeps=1))
    probe = next(p for p in coarse.probes if p.device.latched != p.step.latched)
    line = next(line for line in str(coarse).splitlines() if line.startswith(f"  {probe.name}: "))
    assert line.endswith("; the device latches" if probe.device.latched else "; the step latches")
    assert not probe.both_latch and probe.rate_error is not None
