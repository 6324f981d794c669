"""The device level against the numbers of Zhao et al. 2025 and of its published parameters."""

from dataclasses import replace

import numpy as np
import pytest

from lava_1m1t1r.device import presets, simulate, stimulus
from lava_1m1t1r.device.circuit import output_current
from lava_1m1t1r.device.measurement import predicted
from lava_1m1t1r.device.paper import figure_2e_4d, figure_3b, figure_4ab
from lava_1m1t1r.errors import InputError

FIG_2E = stimulus.pulses(0.8, 2e-3, 0.5, 1.0)


def events(p, s, **options):
    return simulate(p, s, seed=0, record="events", **options)


@pytest.mark.parametrize(("volt", "turn_on"), [(0.6, 77.63e-3), (0.8, 34.92e-3), (1.0, 15.43e-3)])
def test_table_1_turns_on_under_constant_input(volt, turn_on):
    assert events(presets.ZHAO2025_TABLE1, stimulus.constant(volt, 0.1)).turn_on_times()[0] == pytest.approx(turn_on, rel=2e-3)


def test_table_1_turns_on_and_latches_under_the_fig_2e_stimulus():
    trace = events(presets.ZHAO2025_TABLE1, FIG_2E)
    assert trace.turn_on_times()[0] == pytest.approx(192.9e-3, rel=2e-3)
    assert trace.spike_times()[-1] < 0.25  # no output spike in the last 0.75 s: the gate stays above threshold
    assert trace.cells["gate"][0] > presets.ZHAO2025_TABLE1.v_th


def test_table_1_counts_of_fig_3b():
    counts = [np.ceil(predicted(presets.ZHAO2025_TABLE1, m)) for m in figure_3b()]
    assert counts == [46, 56, 65, 74, 83]


def test_table_1_shortenings_of_fig_4b():
    first, *shorter = (predicted(presets.ZHAO2025_TABLE1, m) for m in figure_4ab())
    assert first == pytest.approx(2.68e-3, rel=2e-3)
    assert shorter == pytest.approx([1.63e-3, 1.55e-3, 1.31e-3, 0.82e-3, 0.02e-3], abs=0.02e-3)


@pytest.mark.parametrize(
    ("name", "rows"),
    [("ZHAO2025_FIG2", figure_2e_4d), ("ZHAO2025_FIG3", figure_3b), ("ZHAO2025_FIG4", figure_4ab)],
    ids=lambda x: getattr(x, "__name__", x),
)
def test_a_fitted_device_meets_its_figure(name, rows):
    for m in rows():
        assert predicted(getattr(presets, name), m) == pytest.approx(m.value, abs=m.tolerance), m


def test_fitted_device_fires_separate_spikes():
    trace = simulate(presets.ZHAO2025_FIG2, stimulus.pulses(0.8, 2e-3, 0.5, 0.5), dt=2e-5, seed=0)
    spikes = trace.spike_times()
    assert len(spikes) > 50
    for a, b in zip(spikes[:-1], spikes[1:], strict=True):
        assert trace.gate_voltage[(trace.time > a) & (trace.time < b)].min() < presets.ZHAO2025_FIG2.v_th


def test_lengths_stay_within_the_gap_and_the_filament_yields():
    trace = simulate(presets.ZHAO2025_FIG2, stimulus.constant(1.2, 0.2), dt=1e-5, seed=0)
    assert trace.filament.min() >= 0 and trace.residue.min() >= 0
    assert (trace.filament + trace.residue).max() <= 1 + 1e-9
    assert trace.resistance.min() >= presets.ZHAO2025_FIG2.r_on * (1 - 1e-9)


def test_arrays_and_stimuli_say_the_same():
    s = stimulus.pulses(0.8, 2e-3, 0.5, 0.2)
    dense = simulate(presets.ZHAO2025_FIG2, s.sampled(1e-5), dt=1e-5, seed=0)
    pieces = simulate(presets.ZHAO2025_FIG2, s, dt=1e-5, seed=0)
    assert dense.time.shape == dense.filament.shape == dense.current.shape == (20000,)
    np.testing.assert_allclose(dense.spike_times(), pieces.spike_times(), atol=2e-6)
    two = simulate(replace(presets.ZHAO2025_FIG2, mu=np.array([50.0, 56.3])), s.sampled(1e-5), dt=1e-5, seed=0)
    assert two.gate_voltage.shape == (20000, 2)
    np.testing.assert_allclose(two.spike_times(1), pieces.spike_times(), atol=2e-6)
    assert two.spike_times(0)[0] > two.spike_times(1)[0]
    columns = simulate(presets.ZHAO2025_FIG2, np.stack([s.sampled(1e-5), 0 * s.sampled(1e-5)], 1), dt=1e-5, seed=0)
    assert columns.spike_counts().tolist() == [len(pieces.spike_times()), 0]
    np.testing.assert_array_equal(pieces.v_in, dense.v_in)
    assert columns.v_in.shape == (20000, 2) and columns.energy() == pytest.approx([pieces.energy(), 0.0], rel=1e-3)
    assert f", {len(pieces.spike_times())} spikes;" in repr(pieces) and pieces.turn_on_times().size


def test_each_device_of_an_array_is_simulated_alone():
    many = replace(presets.ZHAO2025_FIG2, mu_dtod=0.2, sigma1=1e-4, mu_ctoc=0.1).spread(5, seed=3)
    together = events(many, FIG_2E)
    for n in range(5):
        alone = events(many.take(n), FIG_2E, first=n)
        np.testing.assert_array_equal(alone.spike_times(), together.spike_times(n))


def test_output_current_follows_the_transistor_law():
    assert output_current(presets.ZHAO2025_TABLE1, [0.8, 0.2]) == pytest.approx([10.13e-6, 0.0], rel=1e-3)
    p = replace(presets.ZHAO2025_TABLE1, v_dd=10.0)  # saturated
    assert output_current(p, 0.3) == pytest.approx(3.75e-4 * 0.08**2, rel=1e-9)


def test_recorded_names_are_attributes_and_others_say_so():
    trace = simulate(presets.ZHAO2025_FIG2, stimulus.constant(0.5, 1e-3), record=("residue", "output_voltage"))
    assert trace.output_voltage[-1] == pytest.approx(0.5)
    with pytest.raises(AttributeError, match="gate_voltage was not recorded"):
        trace.gate_voltage  # noqa: B018
    with pytest.raises(AttributeError, match=r"Trace has no 'spikes'; it has spike_times\(n\)"):
        trace.spikes  # noqa: B018
    assert repr(trace) == "Trace(1 device, 0.001 s, 0 spikes; residue, output_voltage)"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"dt": 0.0}, r"simulate.dt"),
        ({"v_in": np.array([np.nan])}, r"v_in \[V\] must be finite"),
        ({"record": "volts"}, "simulate.record"),
        ({"v_in": np.zeros((3, 2)), "p": replace(presets.ZHAO2025_FIG2, mu=np.ones(3))}, "as many columns"),
        ({"p": {"mu": 1}}, "be DeviceParams"),
    ],
)
def test_wrong_calls_say_what_is_wrong(change, text):
    with pytest.raises(InputError, match=text):
        simulate(**{"p": presets.ZHAO2025_FIG2, "v_in": np.zeros(4), **change})


def test_stimuli_compose():
    s = (stimulus.constant(1.0, 1e-3) + stimulus.rest(2e-3)) * 2
    assert s.duration == pytest.approx(6e-3)
    np.testing.assert_array_equal(s.sampled(1e-3), [1, 0, 0, 1, 0, 0])
    np.testing.assert_array_equal(stimulus.held(s.sampled(1e-3), 1e-3).volts, [1, 0, 1, 0])
    for same in (3 * s, sum([s, s, s])):
        np.testing.assert_array_equal(same.volts, (s * 3).volts)
        np.testing.assert_array_equal(same.durations, (s * 3).durations)
    each = stimulus.Stimulus([1e-3], [[0.2, 0.4]])  # of two devices
    np.testing.assert_array_equal((stimulus.constant(1.0, 1e-3) + each * 2).volts, [[1, 1], [0.2, 0.4], [0.2, 0.4]])
    np.testing.assert_array_equal((each + stimulus.constant(1.0, 1e-3)).volts, [[0.2, 0.4], [1, 1]])
    with pytest.raises(InputError, match=r"other \+ Stimulus must add a Stimulus; got 1"):
        1 + s
    with pytest.raises(InputError, match="duty"):
        stimulus.pulses(1.0, 1e-3, 1.5, 1.0)
    with pytest.raises(InputError, match="duration"):
        stimulus.constant(1.0, 0.0)


@pytest.mark.parametrize("rest, more", [(0.25, 0), (0.5, 1), (0.75, 1)])
@pytest.mark.parametrize("whole", [1, 2, 3, 4])
def test_half_an_interval_at_the_end_has_a_sample_after_odd_and_even_numbers_of_them(whole, rest, more):
    dt = 2.0**-10
    lasting = stimulus.constant(0.5, (whole + rest) * dt)
    assert len(lasting.sampled(dt)) == whole + more
    assert simulate(presets.ZHAO2025_FIG2, lasting, dt, 0, record="filament").filament.shape[0] == whole + more
    assert len(stimulus.constant(0.5, (whole + rest) * 0.1).sampled(0.1)) == whole + more  # tenths are no binary numbers


def test_a_stimulus_has_at_least_one_sample_and_one_period_and_a_constant_one_its_own_length():
    assert stimulus.constant(0.5, 1e-5).sampled(1e-3).tolist() == [0.5]
    short = stimulus.pulses(0.8, 2e-3, 0.5, 1e-4)
    assert short.volts.tolist() == [0.8, 0.0] and short.duration == pytest.approx(2e-3)
    lasting = stimulus.pulses(0.8, 2e-3, 1.0, 3.1e-3)
    assert lasting.volts.tolist() == [0.8] and lasting.duration == 3.1e-3


def test_stimuli_too_long_and_pieces_without_a_voltage_or_a_duration_are_refused(monkeypatch):
    for durations, volts in (([1e-3], [0.8, 0.0]), ([1e-3, 1e-3], [0.8])):
        with pytest.raises(InputError, match=f"Stimulus.volts must hold {len(durations)} pieces, as durations"):
            stimulus.Stimulus(durations, volts)
    monkeypatch.setattr(stimulus, "MOST_PIECES", 12)
    one, two = stimulus.constant(0.8, 1e-3), stimulus.Stimulus([1e-3], [[0.8, 0.7]])
    assert (one * 12).duration == pytest.approx(12e-3) and (two * 6).volts.shape == (6, 2)
    assert one.sampled(1.01e-3 / 12).size == 12
    for stimulated, times in ((one, 13), (two, 7)):
        with pytest.raises(InputError, match=rf"Stimulus \* times must be a whole number from 1 to {times - 1}; got {times}"):
            stimulated * times
    with pytest.raises(InputError, match=r"sampled.dt \[s\] must make at most 12 samples"):
        one.sampled(0.9e-3 / 12)
    assert stimulus.pulses(0.8, 1e-3, 0.5, 6e-3).duration == pytest.approx(6e-3)
    with pytest.raises(InputError, match=r"pulses.duration \[s\] must hold at most 6 periods; got 0.007"):
        stimulus.pulses(0.8, 1e-3, 0.5, 7e-3)


def test_the_last_sample_of_a_simulation_that_ends_before_it_is_the_end():
    """1.6 intervals make two samples; what lay in memory was shown as the second one."""
    np.full((4, 2, 1), 7.0)  # memory that may be given out again
    trace = simulate(presets.ZHAO2025_FIG2, stimulus.constant(0.8, 1.6e-5), 1e-5, 0, ("filament", "gate_voltage", "resistance"))
    longer = simulate(presets.ZHAO2025_FIG2, stimulus.constant(0.8, 1.6e-5), 1.6e-5, 0, ("filament", "gate_voltage", "resistance"))
    for name in ("filament", "gate_voltage", "resistance"):
        assert getattr(trace, name)[1] == pytest.approx(getattr(longer, name)[0], rel=1e-12)
    assert trace.time.tolist() == [1e-5, 1.6e-5] and longer.time.tolist() == [1.6e-5]
    s = stimulus.constant(0.8, 1.4e-5)
    assert simulate(presets.ZHAO2025_FIG2, s, 1e-5, 0).time.tolist() == [1e-5]  # what is left is less than half an interval
    assert simulate(presets.ZHAO2025_FIG2, s, 1.0, 0).time.tolist() == [1.4e-5]
    whole = simulate(presets.ZHAO2025_FIG2, stimulus.train(0.8, 1e-3, 1e-3, 7), 1e-5, 0, "events")  # for all that durations round
    np.testing.assert_array_equal(whole.time, np.arange(1, 1401) * 1e-5)


def test_a_device_can_start_only_as_it_can_be():
    start = {"v_in": stimulus.rest(1e-3), "dt": 1e-3, "seed": 0}
    with pytest.raises(InputError, match=r"simulate.start: filament \+ residue \[1\] must be at most x_max; got \(1.2, 1.0\)"):
        simulate(presets.ZHAO2025_FIG2, start=(0.9, 0.3, 0.0), **start)
    with pytest.raises(InputError, match="at most x_max"):
        simulate(replace(presets.ZHAO2025_FIG2, mu=np.ones(2), x_max=np.array([1.0, 1.5])), start=([1.1, 1.1], 0.0, 0.0), **start)
    several = replace(presets.ZHAO2025_FIG2, mu=np.full(2, 56.3))
    for wrong, name in (((-0.1, 0.2, 0.0), "filament"), ((0.2, -0.1, 0.0), "residue"), ((0.0, 0.0, 1e6), "gate voltage")):
        with pytest.raises(InputError, match=rf"simulate.start: {name} \[.*\] must hold one value or 1, lengths >= 0; got"):
            simulate(presets.ZHAO2025_FIG2, start=wrong, **start)
    with pytest.raises(InputError, match=r"simulate.start: residue \[1\] must hold one value or 2"):
        simulate(several, start=(0.1, [0.1, 0.2, 0.3], 0.0), **start)
    end = simulate(presets.ZHAO2025_FIG2, stimulus.constant(1.2, 0.1), 1e-3, 0, "events").cells
    last = simulate(presets.ZHAO2025_FIG2, start=(end["filament"], end["residue"], end["gate"]), **start)
    assert last.filament[-1] > 0 and simulate(presets.ZHAO2025_TABLE1, start=(0.9, 0.3, 0.0), **start).filament[-1] > 0


@pytest.mark.parametrize("n", ["a", 0.5, -1, 1, True])
def test_a_trace_has_the_devices_it_has(n):
    trace = simulate(presets.ZHAO2025_FIG2, stimulus.rest(1e-3), 1e-3, 0, "events")
    for ask in (trace.spike_times, trace.turn_on_times, trace.energy_split):
        assert len(ask(0)) == len(ask(np.int64(0)))
        with pytest.raises(InputError, match="Trace device must be a whole number from 0 to 0"):
            ask(n)
