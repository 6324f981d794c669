"""The integrator against SciPy's stiff solver, itself, and the statistics that its noise must have."""

import os
import subprocess
import sys
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from lava_1m1t1r.arithmetic import DEVICE
from lava_1m1t1r.device import monte_carlo, presets, simulate, spike_energy, stimulus
from lava_1m1t1r.device.cell import INPUT_BRANCH
from lava_1m1t1r.device.constants import COMPILED, constants
from lava_1m1t1r.dynamics import State, field, flow
from lava_1m1t1r.errors import InputError

T1, FIG2 = presets.ZHAO2025_TABLE1, presets.ZHAO2025_FIG2


def stiff_first_turn_on(p, s):
    """First time at which x reaches 1, by LSODA on the same flow, piece by piece."""
    y = np.zeros(3)
    p = namedtuple("Constants", p.as_dict())(**p.as_dict())

    def slopes(_, y, v):
        state = State(*y)
        return [f.gain - f.loss * x for f, x in zip(flow(state, field(state, v, p, DEVICE), v, p, DEVICE), y, strict=True)]

    def closed(_, y, v):
        return y[0] + y[1] - 1.0

    closed.terminal = True
    for a, b, v in zip(s.edges[:-1], s.edges[1:], s.volts, strict=True):
        piece = solve_ivp(slopes, (a, b), y, "LSODA", args=(v,), rtol=1e-9, atol=1e-12, events=closed)
        if piece.t_events[0].size:
            return piece.t_events[0][0]
        y = piece.y[:, -1]
    return np.nan


@pytest.mark.parametrize(("c_gate", "r_control"), [(1e-9, 25e6), (1e-7, 250e6), (1e-6, 250e6), (3e-6, 250e6)])
def test_a_closed_filament_behind_a_slow_gate_is_what_short_steps_make_it(c_gate, r_control):
    """While the gate is on its way, its residue comes and goes faster."""
    p, s = replace(FIG2, c_gate=c_gate, r_control=r_control), stimulus.constant(0.9, 2.5)
    usual, short = (simulate(p, s, dt=1e-3, seed=0, **steps) for steps in ({}, {"max_step": 2e-4, "rtol": 1e-8}))
    assert 0.5 < short.residue.max() <= 1 and len(short.spike_times()) > 0
    assert np.abs(usual.residue - short.residue).max() < 2e-3
    assert usual.spike_times()[0] == pytest.approx(short.spike_times()[0], rel=1e-3)
    assert usual.energy() == pytest.approx(short.energy(), rel=1e-3)


@pytest.mark.parametrize(
    ("p", "s"),
    [(T1, stimulus.constant(0.8, 0.05)), (FIG2, stimulus.constant(0.8, 0.05)), (FIG2, stimulus.pulses(0.8, 2e-3, 0.5, 0.1))],
    ids=["published", "fitted", "fitted, pulses"],
)
def test_first_turn_on_agrees_with_a_stiff_solver_in_few_steps(p, s):
    exact = stiff_first_turn_on(p, s)
    trace = simulate(p, s + stimulus.constant(float(s.volts[-1]), 1e-9), seed=0, record="events")
    assert trace.turn_on_times()[0] == pytest.approx(exact, rel=1e-4)
    until = simulate(p, stimulus.Stimulus(*_cut(s, exact)), seed=0, record="events")
    assert until.steps[0] * 20 < exact / 2e-6


@pytest.mark.parametrize("p", [T1, FIG2, presets.ZHAO2025_FIG4, presets.ZHAO2025_TABLE8], ids=["T1", "FIG2", "FIG4", "T8"])
def test_the_integrator_s_constants_change_no_law(p):
    plain = namedtuple("Constants", p.as_dict())(**p.as_dict())
    record = constants(p, 1)[0]
    for x in (0.0, 0.3, 0.97, 1.0, 1.2):
        for d in (0.0, 0.01, 0.3, 1.2):
            assert COMPILED.field(d, record) == pytest.approx(DEVICE.field(d, plain), rel=1e-12, abs=1e-18)
            assert COMPILED.growth(d, x, record) == pytest.approx(DEVICE.growth(d, x, plain), rel=1e-12)
        assert COMPILED.charging(x, record) == pytest.approx(DEVICE.charging(x, plain), rel=1e-9)
    assert COMPILED.draining(record) == pytest.approx(DEVICE.draining(plain), rel=1e-12)


def test_the_field_law_goes_over_into_the_linear_one():
    s = stimulus.constant(0.8, 8e-3)
    linear = simulate(replace(FIG2, mu=150.0, v0=np.inf), s, seed=0, record="events").turn_on_times()[0]
    for v0 in (1e3, 1e8, 1e12, 1e14, 1e20, 1e300):
        nearly = simulate(replace(FIG2, mu=150.0, v0=v0), s, seed=0, record="events").turn_on_times()[0]
        assert nearly == pytest.approx(linear, rel=1e-6), v0
    for v0 in np.geomspace(0.05, 1e20, 99):
        p = replace(FIG2, v0=v0)
        plain, record = namedtuple("Constants", p.as_dict())(**p.as_dict()), constants(p, 1)[0]
        for d in (1e-3, 0.3, 1.2):
            assert COMPILED.field(d, record) == pytest.approx(DEVICE.field(d, plain), rel=1e-10), v0


def _cut(s, end):
    keep = s.edges[:-1] < end
    return np.diff(np.minimum(np.append(s.edges[:-1][keep], end), end)), s.volts[keep]


def test_free_steps_are_of_third_order():
    s = stimulus.constant(0.75, 0.01)
    exact = simulate(FIG2, s, 0.01, 0, ("filament",), rtol=1e-9, max_step=1e-5).filament[-1]
    steps = np.array([4e-4, 2e-4, 1e-4])
    errors = [abs(simulate(FIG2, s, 0.01, 0, ("filament",), rtol=0.1, max_step=h).filament[-1] - exact) for h in steps]
    slope = np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert 2.7 < slope < 3.5


@pytest.mark.parametrize("r_control", [250e6, 1e9])
def test_trains_do_not_depend_on_the_tolerance(r_control):
    p = replace(FIG2, r_control=r_control)
    s = stimulus.pulses(0.8, 2e-3, 0.5, 1.0)
    coarse, fine = (simulate(p, s, seed=0, record="events", rtol=r).spike_times() for r in (1e-4, 1e-6))
    assert coarse[0] == pytest.approx(fine[0], rel=1e-4)
    assert np.mean(np.diff(coarse)) == pytest.approx(np.mean(np.diff(fine)), rel=0.02)


@pytest.mark.parametrize("options", [{"rtol": 1e-2}, {}, {"rtol": 1e-7}, {"max_step": 2e-5}], ids=str)
def test_noise_has_its_variance_for_any_step(options):
    # Undriven decay from x0 with loss L and noise of variance sigma |dx| has the variance sigma x0 e^(-2Lt) (e^(Lt) - 1).
    n, x0, sigma, t = 20_000, np.array([0.5, 0.3]), 1e-4, 2e-3
    p = replace(FIG2, sigma1=sigma, sigma2=sigma, beta=0.0, gamma2=300.0, mu=np.full(n, FIG2.mu))
    trace = simulate(p, stimulus.rest(t), t / 10, 5, ("filament", "residue"), start=(*x0, 0.0), **options)
    assert trace.time.size == 10  # within steps and at the end
    for time, *x in zip(trace.time, trace.filament, trace.residue, strict=True):
        loss = np.array([p.gamma1, p.gamma2]) * time
        np.testing.assert_allclose(np.mean(x, 1), x0 * np.exp(-loss), rtol=1e-3)
        np.testing.assert_allclose(np.var(x, 1), sigma * x0 * np.exp(-2 * loss) * np.expm1(loss), rtol=0.04)
    steps = np.diff(np.concatenate([np.full((1, n), x0[0]), trace.filament]) * np.exp(p.gamma1 * np.append(0, trace.time))[:, None], axis=0)
    assert np.max(np.abs(np.corrcoef(steps) - np.eye(10))) < 0.05  # what one interval adds is independent of all others


@pytest.mark.parametrize("change", [{"sigma1": 1e-4}, {"sigma2": 1e-3, "beta": 0.0, "gamma2": 1e7}])
def test_a_noisy_device_that_has_long_been_at_rest_is_sampled(change):
    """One step of the integrator then covers thousands of lives of a filament."""
    trace = simulate(
        replace(FIG2, **change), stimulus.rest(20.0) + stimulus.constant(0.8, 1e-3), 0.2, 1, ("filament", "residue", "resistance")
    )
    assert np.all(trace.filament == 0) and np.all(trace.residue == 0) and np.all(trace.resistance > 0.9 * FIG2.r_off)


def test_what_is_recorded_changes_no_event_of_a_noisy_device():
    p = replace(FIG2, sigma1=1e-3, sigma2=1e-4, mu=np.full(3, FIG2.mu))
    s = stimulus.pulses(0.8, 2e-3, 0.5, 0.3)
    events = [
        simulate(p, s, dt, seed=1, record=names).event_times for dt, names in ((2e-6, "events"), (2e-6, "filament"), (1e-4, "residue"))
    ]
    assert events[0].size and np.array_equal(events[0], events[1]) and np.array_equal(events[0], events[2])


def test_noise_is_reproducible_and_differs_between_seeds_and_devices():
    p = replace(FIG2, sigma1=1e-3, sigma2=1e-4, mu=np.full(3, FIG2.mu))
    s = stimulus.pulses(0.8, 2e-3, 0.5, 0.3)
    a, b, c = (simulate(p, s, seed=k, record="events") for k in (1, 1, 2))
    np.testing.assert_array_equal(a.event_times, b.event_times)
    assert a.spike_times(0)[0] != a.spike_times(1)[0] != c.spike_times(1)[0]
    drawn = simulate(p, s, record="events")
    np.testing.assert_array_equal(drawn.event_times, simulate(p, s, seed=drawn.seed, record="events").event_times)


def test_slower_devices_do_the_same_later():
    s = stimulus.pulses(0.8, 2e-3, 0.5, 0.12)
    slow = simulate(FIG2.scaled(time=10.0), stimulus.pulses(0.8, 2e-2, 0.5, 1.2), seed=0, record="events")
    np.testing.assert_allclose(slow.spike_times() / 10, simulate(FIG2, s, seed=0, record="events").spike_times(), rtol=1e-6)


@pytest.mark.parametrize(
    "change",
    [{"gamma2": 1e30}, {"gamma2": 1e15}, {"sigma1": 1e15}, {"r_control": 1e-300}, {"r_control": 1.0}],
    ids=str,
)
def test_what_would_never_end_is_given_up(change):
    """The compiled loop hears neither Ctrl-C nor SIGTERM."""
    train = stimulus.train(0.8, 1e-3, 1e-3, 50)
    with pytest.raises(InputError, match="DeviceParams must have time constants"):
        simulate(replace(presets.ZHAO2025_FIG2, **change), train, 1e-3, 0)


def test_of_several_devices_the_one_that_would_never_end_is_named():
    p = replace(FIG2, r_control=np.array([250e6, 1.0]))
    with pytest.raises(InputError, match=r"too short ones in device 1, whose R_c C_g is 1e-11 s, at up to 0.8 V"):
        simulate(p, stimulus.train(0.8, 1e-3, 1e-3, 50), 1e-3, 0)
    fast = replace(FIG2, gamma1=np.array([165.0, 1.65e9]))
    with pytest.raises(InputError, match=r"simulate.v_in, duration \[s\] must be <= 0.606 for these rates; got 10"):
        simulate(fast, stimulus.rest(10.0), 1.0, 0)


def test_voltages_that_no_growth_law_survives_are_named():
    with pytest.raises(InputError, match=r"at up to 100 V'. Simulate it in parts.* Or look for a voltage far above v_ref"):
        simulate(FIG2, stimulus.constant(100.0, 1e-3), 1e-3, 0)


def test_drawn_filaments_do_not_depend_on_how_the_input_is_cut():
    """A nanovolt of jitter makes each sample a piece of its own."""
    even = np.full(2000, 0.85)
    jittered = even + 1e-9 * (np.arange(2000) % 2)
    whole, cut = (
        monte_carlo(presets.ZHAO2025_FIG3CD, v, 100, dt=1e-4, record="events", progress=False)[0].spike_counts() for v in (even, jittered)
    )
    assert whole.mean() > 5 and np.mean(whole == cut) > 0.9


@pytest.mark.parametrize("p", [presets.ZHAO2025_FIG3CD, presets.ZHAO2025_FIG2], ids=["drawn filaments", "quiet"])
def test_simulations_go_on_from_a_trace(p):
    whole = simulate(p, stimulus.constant(0.85, 0.2), seed=5, record="events")
    trace, times = (0.0, 0.0, 0.0), []
    for part in range(20):
        trace = simulate(p, stimulus.constant(0.85, 0.01), seed=5 + part, record="events", start=trace)  # the first one's counts
        times += (trace.spike_times() + 0.01 * part).tolist()
        assert trace.seed == 5 and trace.steps[0] < 0.2 * whole.steps[0] and trace.cells["tried"] < 0.2 * whole.cells["tried"]
    assert len(times) == whole.spike_times().size > 1
    np.testing.assert_allclose(times, whole.spike_times(), rtol=2e-3)
    with pytest.raises(InputError, match="simulate.start must be a Trace of these devices"):
        simulate(replace(p, mu=1.1 * p.mu), stimulus.constant(0.85, 0.01), start=trace)
    with pytest.raises(InputError, match="simulate.start must be a Trace of 2 devices; got 1"):
        simulate(p, np.full((5, 2), 0.85), start=trace)


def test_the_output_node_is_sampled_on_its_way_within_a_step():
    """A step of the integrator may be longer than the node takes to charge."""
    p, s = replace(FIG2, c_load=1e-10, r_load=1e6), stimulus.train(0.8, 1e-3, 1e-3, 50)
    usual, fine = (simulate(p, s, 2e-6, 0, "output_voltage", **more).output_voltage for more in ({}, {"rtol": 1e-9, "max_step": 1e-6}))
    assert usual.min() < 0.1 < 0.4 < usual.max()
    assert np.quantile(np.abs(usual - fine), 0.999) < 2e-3  # the few others: a spike begins some nanoseconds earlier or later


def test_the_output_node_goes_on_too():
    p = replace(presets.ZHAO2025_TABLE7, c_load=1e-12)
    halves = stimulus.train(0.52, 1e-3, 1e-3, 30), stimulus.train(0.52, 1e-3, 1e-3, 30)
    first = simulate(p, halves[0], 1e-3, 0, "events")
    second = simulate(p, halves[1], 1e-3, 0, "events", start=first)
    whole = simulate(p, halves[0] + halves[1], 1e-3, 0, "events")
    assert whole.spike_times().size > 0
    total = [sum(sum(phase.values()) for phase in t.energy_split().values()) for t in (first, second, whole)]
    assert total[0] + total[1] == pytest.approx(total[2], rel=1e-3)
    after = simulate(p, stimulus.rest(1e-6), 1e-6, 0, "events", start=whole)  # its energies begin at 0
    assert abs(after.energy()) < 0.01 * whole.energy()


def test_a_first_filament_is_drawn_whatever_the_gate():
    many = replace(presets.ZHAO2025_FIG3CD, mu=np.full(50, presets.ZHAO2025_FIG3CD.mu))
    started = simulate(many, stimulus.constant(0.85, 1e-6), seed=0, record="events", start=(0.6, 0.3, 0.5))
    assert len(np.unique(started.cells["mu"])) == 50


@pytest.mark.parametrize("x_max", [1.0, 1.3, np.inf])
def test_each_filament_is_drawn_anew_whatever_the_largest_length(x_max):
    p, trace, drawn, turn_ons = replace(FIG2, mu_ctoc=0.2, x_max=x_max), (0.0, 0.0, 0.0), set(), 0
    for _ in range(80):
        trace = simulate(p, stimulus.train(0.9, 1e-3, 1e-3, 1), seed=1, record="events", start=trace)
        drawn.add(trace.cells["mu"][0])
        turn_ons += trace.turn_on_times().size
    assert turn_ons > 5 and len(drawn) > 5


def test_max_step_holds_while_the_filament_is_closed():
    wave = stimulus.constant(0.85, 0.1)
    free, bounded = (simulate(presets.ZHAO2025_FIG2, wave, seed=0, record="events", max_step=step) for step in (np.inf, 1e-6))
    assert bounded.steps[0] >= 100_000 > free.steps[0]


def test_latched_devices_run_for_long():
    trace = simulate(presets.ZHAO2025_FIG2, stimulus.constant(0.75, 100.0), seed=0, record="events")
    assert trace.turn_on_times().size > 10_000


@pytest.mark.parametrize(("p", "volt"), [(presets.ZHAO2025_FIG2, 0.8), (presets.ZHAO2025_FIG4, 2.0), (presets.ZHAO2025_TABLE7, 0.52)])
def test_energies_are_those_of_their_phases(p, volt):
    """What the input gives until the spike is what the phase of integration takes from it."""
    e = spike_energy(p, volt)
    assert sum(e.split["integration"][element] for element in INPUT_BRANCH) == pytest.approx(e.input_to_spike, rel=1e-4)


@pytest.mark.parametrize("c_load", [1e-15, 1e-12])
def test_a_small_load_capacitance_changes_little(c_load):
    """The supply's energy without one is an integral over the static branch."""
    static, charged = (spike_energy(replace(presets.ZHAO2025_FIG2, c_load=c), 0.8) for c in (0.0, c_load))
    assert charged.supply == pytest.approx(static.supply, rel=1e-3)


def supply(p, wave, **options):
    """Energy of the supply, which feeds what the input does not."""
    split = simulate(p, wave, wave.duration, 0, "events", **options).energy_split()
    return sum(value for phase in split.values() for element, value in phase.items() if element not in INPUT_BRANCH)


def test_supply_energy_of_fast_pulses_equals_fine_steps():
    """Table 8 under 10 ns: the spike comes a tenth of a nanosecond before its pulse ends."""
    p, width = presets.ZHAO2025_TABLE8, 1e-8
    e = spike_energy(p, 0.5, width, width)
    wave = stimulus.train(0.5, width, width, e.pulses - 1) + stimulus.constant(0.5, width) + stimulus.rest(10 * p.r_control * p.c_gate)
    assert e.supply == pytest.approx(supply(p, wave, rtol=1e-8, max_step=1e-10), rel=2e-3)


@pytest.mark.parametrize(
    ("p", "wave"),
    [
        (replace(FIG2, c_load=1e-7), stimulus.train(0.8, 1e-3, 1e-3, 48)),
        (replace(presets.ZHAO2025_FIG3, c_load=5e-10, r_load=570e3), stimulus.train(0.9, 1e-3, 0.4e-3, 170)),
        (replace(presets.ZHAO2025_FIG3, c_load=1e-9), stimulus.train(0.9, 1e-3, 0.4e-3, 170)),
    ],
    ids=["4.7 ms", "0.3 ms", "47 us"],
)
def test_supply_energy_of_slow_outputs_equals_fine_steps(p, wave):
    """The gate moves far while a large load capacitance holds the output where it is."""
    assert supply(p, wave) == pytest.approx(supply(p, wave, rtol=1e-6, max_step=1e-6), rel=0.01)


@pytest.mark.parametrize("rtol", [3e-5, 1e-8])
def test_a_gate_that_settles_at_once_stands_at_its_divider(rtol):
    """A memristor into 50 ohm: steps while the filament is closed are a million times longer than the gate's time constant."""
    device = replace(FIG2, r_control=50.0)
    trace = simulate(device, stimulus.constant(1.0, 0.01), dt=2e-5, seed=0, rtol=rtol, record=("gate_voltage", "filament", "residue"))
    divided = 50.0 / (50.0 + device.r_on)
    assert trace.gate_voltage.max() == pytest.approx(divided, rel=1e-3)
    seconds = float(np.sum(trace.filament + trace.residue >= 1.0)) * 2e-5  # closed
    heat = sum(phase["control resistor"] for phase in trace.energy_split().values())
    assert seconds > 5e-3 and heat == pytest.approx(divided**2 / 50.0 * seconds, rel=0.02)


def test_ctrl_c_in_a_simulation_is_ctrl_c():
    code = (
        "import os, signal, threading\nfrom lava_1m1t1r import presets\nfrom lava_1m1t1r.device import simulate, stimulus\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs have it ignored
        "simulate(presets.ZHAO2025_FIG2, stimulus.pulses(0.8, 1e-3, 1e-3, 5e-3), dt=1e-3, seed=0)\n"
        "threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()\n"
        "try: simulate(presets.ZHAO2025_FIG2, stimulus.pulses(0.8, 2.0, 0.5, 400.0), dt=1.0, record='events', seed=0)\n"
        "except KeyboardInterrupt: print('heard')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(presets.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=220)
    assert done.stdout == "heard\n", done.stderr[-500:]


def test_final_states_are_no_lengths_below_zero_and_may_be_a_start():
    p = presets.ZHAO2025_FIG3
    for rest in (0.1, 0.2, 0.3, 0.4, 0.5):
        s = stimulus.train(1.0, 1e-3, 1e-3, 60) + stimulus.rest(rest) + stimulus.train(0.3, 1e-3, 1e-3, 10)
        t = simulate(p, s, 1e-4, 0, ("filament", "residue", "gate_voltage"))
        assert t.filament.min() >= 0 and t.residue.min() >= 0
        simulate(p, stimulus.rest(1e-3), 1e-4, 0, start=(t.filament[-1], t.residue[-1], t.gate_voltage[-1]))


def test_a_sample_at_an_edge_is_of_the_interval_that_ends_there_however_short():
    width, dt = 1e-6, 0.5
    s = stimulus.rest(dt - width) + stimulus.train(0.8, width, width, 1) + stimulus.rest(dt - width)
    assert simulate(presets.ZHAO2025_FIG2, s, dt, 0, ("input_current",)).input_current[0] > 1e-13


def test_a_sample_at_an_edge_is_of_the_interval_that_ends_there_in_long_records():
    s = stimulus.train(0.8, 1e-3, 1e-3, 5000)
    current = simulate(presets.ZHAO2025_FIG2, s, 1e-4, 0, ("input_current",)).input_current.reshape(5000, 20)
    assert (current[:, :10] > 0).all() and (current[:, 10:] <= 0).all()


@pytest.mark.parametrize("dt", [0.1, 1e-4])
def test_the_edges_of_millions_of_pieces_do_not_drift_from_the_samples(dt):
    edges = stimulus.held(np.arange(6_000_000) % 2 * 0.05, dt).edges
    np.testing.assert_allclose(edges, np.arange(6_000_001) * dt, rtol=1e-12)


def test_the_residue_of_a_filament_held_closed_is_the_exponential():
    p = replace(FIG2, r_control=1e5)
    rate = p.beta + p.gamma2
    trace = simulate(p, stimulus.constant(0.8, 0.5 / rate), dt=0.07 / rate, seed=0, start=(1.0, 0.0, 0.07), rtol=1e-8)
    np.testing.assert_allclose(trace.filament + trace.residue, 1.0, atol=1e-12)
    np.testing.assert_allclose(trace.residue, p.beta / rate * -np.expm1(-rate * trace.time), atol=1e-7)


@pytest.mark.parametrize("c_load", [0.0, 1e-16, 1e-12])
def test_supply_energy_from_a_start_with_the_transistor_open(c_load):
    p, start, rest = replace(FIG2, c_load=c_load), (0.0, 0.0, 1.0), stimulus.rest(1e-5)
    trace = simulate(p, rest, dt=1e-7, seed=0, record="current", start=start)
    np.testing.assert_allclose(trace.energy(), p.v_dd * np.mean(trace.current) * 1e-5, rtol=1e-4)


@pytest.mark.parametrize("x_max", [1.0, 1.3])
def test_a_held_filament_is_sampled_as_it_is_held(x_max):
    """Rounding may take the sum of its parts below the length at which it is held."""
    device = replace(FIG2, x_max=x_max, c_gate=1e-7)
    seen = simulate(device, stimulus.constant(1.2, 0.05), 1e-6, 0, ("filament", "residue"))
    length = (seen.filament + seen.residue).ravel()
    first = np.argmax(length >= x_max - 1e-9)
    assert 100 < first < 300 and length[first:].min() >= x_max - 1e-9


def test_a_step_beyond_the_electrode_is_no_good_step():
    """Relaxing fast, a trial step may end at a sum below 0, which must not make its error negative."""
    device = replace(FIG2, gamma2=1e5)
    seen = simulate(device, stimulus.rest(2e-4), 4e-6, 0, ("residue",), start=(0.0, 0.0101, 0.0))
    fine = simulate(device, stimulus.rest(2e-4), 4e-6, 0, ("residue",), start=(0.0, 0.0101, 0.0), max_step=1e-7)
    np.testing.assert_allclose(seen.residue, fine.residue, atol=1e-4)
    assert fine.residue.max() > 4e-3
