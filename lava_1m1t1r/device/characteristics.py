"""The six characteristics of the neuron, as numbers with units and as figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np

from .._support.files import plain
from .._support.paths import path_of
from .._support.progress import bar
from ..errors import InputError, number, require, told_most, whole
from ..params import MOST_DEVICES, DeviceParams, one_device
from ..presets import ZHAO2025_FIG3CD
from . import figures, stimulus
from .chain import cascade
from .constants import MOST_VOLTS
from .measurement import first_time, mean_interval
from .montecarlo import firing_probability
from .simulation import simulate
from .trace import Trace

NAMES = (
    "leaky integration",
    "threshold firing",
    "cascaded propagation",
    "intrinsic plasticity",
    "refractoriness",
    "stochasticity",
)
FACTORS = np.array([0.2, 0.4, 1.0, 2.0, 4.0])  # R_c of Fig. 4d: 50 MOhm to 1 GOhm, over 250 MOhm
GAPS = np.array([0.4, 0.6, 0.8, 1.0, 1.2])  # of Fig. 3b, in pulse widths
_LEAST_LOAD = 1e3  # ohm
_MOST_REST = 1e4  # R_c C_g in pulse widths
_MOST_WIDTH = 1e3  # in time constants of the filament: protocols last thousands of pulses
PAIR_GAPS = np.array([3.0, 30.0, 80.0, 200.0, 1000.0])  # in pulse widths; in ms those of Fig. 4b, whose pulses last 20 ms


@dataclass(frozen=True)
class Characteristic:
    """One of the six characteristics: its numbers, and the curves of its figure."""

    numbers: dict[str, tuple[Any, str]]
    """Value and unit of each number, by its name."""
    curves: dict[str, np.ndarray] = field(repr=False)


@dataclass(frozen=True)
class Characteristics:
    """Result of :func:`characterize`: the six by name, the device, and the pulse used."""

    params: DeviceParams
    volt: float
    """Height of the pulses [V]."""
    width: float
    """Length of the pulses, and of the rest after each where that is not varied [s]."""
    six: dict[str, Characteristic]
    assumed_noise: bool
    """Whether the device had no noise of its own, so that the stochasticity was measured with the spread of ``ZHAO2025_FIG3CD``."""

    def __getitem__(self, name: str) -> Characteristic:
        return self.six[name]

    def __str__(self) -> str:
        return self.text()

    def as_dict(self) -> dict[str, Any]:
        """Return pulse and numbers by name, each with its unit, as plain values for JSON; None for what is not finite."""
        numbers = {name: {label: {"value": v, "unit": unit} for label, (v, unit) in one.numbers.items()} for name, one in self.six.items()}
        pulse = {"volt": self.volt, "width": self.width, "assumed_noise": self.assumed_noise}
        return plain({"pulse": pulse, "characteristics": numbers})

    def text(self) -> str:
        """Return the numbers as text, one line each."""
        lines = [f"pulses of {self.volt:.4g} V, {self.width:.3g} s"]
        for name, one in self.six.items():
            lines.append(name)
            for label, (value, unit) in one.numbers.items():
                shown = np.array2string(np.asarray(value), formatter={"float_kind": "{:.4g}".format}, separator=", ", max_line_width=10**6)
                lines.append(f"  {label}: {shown}{' ' + unit if unit else ''}")
        if self.assumed_noise:
            law = "" if np.isfinite(self.params.v0) else ", of which a linear field law feels the growth's part alone"
            lines.append(f"  (the device has no cycle-to-cycle spread; that of the device of Figs. 3c and 3d was assumed{law})")
        return "\n".join(lines)

    def plot(self, path: str | Path) -> list[Path]:
        """Write the summary figure, or a folder with one figure a characteristic and the summary, where ``path`` has no suffix."""
        path = path_of(path, "plot.path")
        return [figures.summary(self, path)] if path.suffix else figures.folder(self, path)


def characterize(
    p: DeviceParams, volt: float | None = None, width: float | None = None, trials: int = 300, seed: int = 0, progress: bool = False
) -> Characteristics:
    """Measure the six characteristics of a device by simulating protocols modelled on those of Zhao et al. 2025.

    The paper's own protocols, on the devices fitted to them: :func:`.paper.reproduce`.

    Parameters
    ----------
    p : DeviceParams
        One device.
    volt : float, optional
        Height of the pulses [V]; by default ``v_ref``, raised by tenths until 1000 pulses make the device fire.
    width : float, optional
        Length of the pulses [s]; by default 1 ms, or the power of ten that stands to 1 / gamma2 as 1 ms stands to 0.2 s.
    trials : int
        Pulses a voltage for the firing probability.
    seed : int
        Seed of these trials.
    progress : bool
        Show a bar.

    Raises
    ------
    InputError
        If an argument breaks its rule, the device does not fire, or its R_c C_g or 1 / gamma2 is thousands of times too long to be watched.
    """
    one_device(p, "characterize.p")
    trials, seed = whole(trials, "characterize.trials", least=1, most=MOST_DEVICES), whole(seed, "characterize.seed")
    volt = None if volt is None else number(volt, "characterize.volt [V]", above=0.0, most=MOST_VOLTS)
    if width is not None:
        cure = "Protocols last thousands of pulses, and the residue must outlast one."
        width = number(width, "characterize.width [s]", least=1e-4 / p.gamma2, most=0.1 / p.gamma2, cure=cure)
    quiet = p.quiet()
    width = width or stimulus.usual_width(p)
    rates = p.gamma1 + p.beta
    cure = "Check gamma1 + beta and gamma2: pulses must be short for the residue, and not thousands of times too long for the filament."
    rule = f"be at most {told_most(_MOST_WIDTH / rates)} s with these gamma1 and beta (by default it follows gamma2 = {p.gamma2:g}/s)"
    require(width * rates <= _MOST_WIDTH, "characterize.width [s]", rule, width, cure)
    largest = _MOST_REST * width / p.c_gate
    cure = "Refractoriness is watched until R_c C_g has run out."
    require(p.r_control <= largest, "characterize.p.r_control [ohm]", f"be at most {told_most(largest)} for this C_g", p.r_control, cure)
    if volt is None:
        volt, spikes = _firing(quiet, width)
    else:
        spikes = _spikes(quiet, volt, width)
        require(spikes.size, "characterize.volt [V]", "make the device fire within 1000 pulses", volt, "Raise it, or leave it out.")
    spread = ZHAO2025_FIG3CD
    trial = p if p.noisy else replace(p, mu_ctoc=spread.mu_ctoc, v0_ctoc=spread.v0_ctoc)
    work: dict[str, Callable[[], Characteristic]] = {
        NAMES[0]: lambda: _integration(quiet, volt, width),
        NAMES[1]: lambda: _threshold(quiet, volt, width, spikes),
        NAMES[2]: lambda: _propagation(quiet, volt, width, spikes),
        NAMES[3]: lambda: _plasticity(quiet, volt, width),
        NAMES[4]: lambda: _refractoriness(quiet, volt, width, spikes),
        NAMES[5]: lambda: _stochasticity(trial, volt, width, trials, seed, progress),
    }
    six = {name: job() for name, job in bar(work.items(), "characteristics", asked=progress)}
    return Characteristics(p, float(volt), float(width), six, not p.noisy)


def _events(p: DeviceParams, s: stimulus.Stimulus, width: float) -> Trace:
    return simulate(p, s, width, 0, "events")


def _spikes(p: DeviceParams, volt: float, width: float, pulses: int = 1000) -> np.ndarray:
    """Times of the spikes under a train of pulses [s]."""
    return _events(p, stimulus.train(volt, width, width, pulses), width).spike_times()


def _firing(p: DeviceParams, width: float) -> tuple[float, np.ndarray]:
    """Height of pulses under which it fires [V], and its spikes [s]."""
    volt = p.v_ref
    while not (spikes := _spikes(p, volt, width)).size:
        volt *= 1.1
        require(volt < 10 * p.v_ref, "characterize.p", "fire below ten times v_ref", volt, "Check mu and the rates.")
    return volt, spikes


def _integration(p: DeviceParams, volt: float, width: float) -> Characteristic:
    # Watched for two time constants at most: what is left of a filament later is the integrator's tolerance.
    rest = min(width, 2.0 / (p.gamma1 + p.beta))
    one = simulate(p, stimulus.constant(volt, width) + stimulus.rest(rest), rest / 50, 0)
    after = one.time >= width
    left, time = one.filament[after], one.time[after]
    relaxation = float((time[-1] - time[0]) / np.log(left[0] / left[-1]))
    counts = []
    for gap in GAPS:
        on = _events(p, stimulus.train(volt, width, gap * width, 1000), width).turn_on_times()
        counts.append(int(on[0] // (width * (1 + gap))) + 1 if on.size else -1)
    first = max(counts[3], 20)
    shown = simulate(p, stimulus.train(volt, width, width, int(1.2 * first)), width / 50, 0)
    return Characteristic(
        {
            "filament relaxation time": (relaxation, "s"),
            "gaps between pulses": (GAPS * width, "s"),
            "pulses to the first turn-on (-1: none in 1000)": (counts, ""),
        },
        {
            "time": shown.time,
            "length": shown.filament + shown.residue,
            "residue": shown.residue,
            "gap": GAPS * width,
            "count": np.array(counts),
        },
    )


def _threshold(p: DeviceParams, volt: float, width: float, spikes: np.ndarray) -> Characteristic:
    low, high = 0.0, volt
    long = 200 * width
    while not _events(p, stimulus.constant(high, long), width).turn_on_times().size:
        low, high = high, 1.2 * high
    for _ in range(12):
        middle = 0.5 * (low + high)
        fires = _events(p, stimulus.constant(middle, long), width).turn_on_times().size
        low, high = (low, middle) if fires else (middle, high)
    volts = np.linspace(high, 1.5 * volt, 20)
    first = np.array([first_time(_events(p, stimulus.constant(v, long), width).turn_on_times()) for v in volts])
    end = min(float(spikes[0]) + 20 * width, 2000 * width)
    shown = simulate(p, stimulus.train(volt, width, width, round(end / width / 2)), width / 200, 0)
    return Characteristic(
        {
            "lowest constant input that turns it on within 200 pulse widths": (high, "V"),
            "first spike under pulses": (float(spikes[0]), "s"),
            "lowest and highest pulses under which it fires on (nan: not under these; inf: twice these)": (
                _window(p, volt, width, spikes),
                "V",
            ),
            "gate voltage of a spike": (float(shown.gate_voltage.max()), "V"),
            "output current of a spike": (float(shown.current.max()), "A"),
        },
        {"volt": volts, "first": first, "time": shown.time, "current": shown.current},
    )


def _window(p: DeviceParams, volt: float, width: float, own: np.ndarray) -> tuple[float, float]:
    """Pulses, in steps of a hundredth of ``volt`` from there down and up, up to which trains of 1000 do not end in silence [V]; nan where
    it falls silent, or latches, at ``volt`` itself (its spikes there: ``own``), inf where it fires on at twice that."""

    def goes_on(volt: float, spikes: np.ndarray) -> bool:
        if spikes.size and spikes[-1] > 0.9 * 2000 * width:
            return True
        if np.isnan(mean_interval(spikes, 2000 * width)):
            return False
        longer = _spikes(p, volt, width, 4000)  # of a slow one, no spike need fall into the last tenth; or it has latched
        return bool(longer[-1] > 0.75 * 8000 * width)

    if not goes_on(volt, own):
        return nan, nan
    ends = []
    for step in (-1, 1):
        percent = 100 + step
        while 0 < percent <= 200 and goes_on(height := 0.01 * percent * volt, _spikes(p, height, width)):
            percent += step
        ends.append(inf if percent > 200 else 0.01 * (percent - step) * volt)
    return ends[0], ends[1]


def _propagation(p: DeviceParams, volt: float, width: float, own: np.ndarray) -> Characteristic:
    # A supply that lets the load's drop reach the pulse height, plus what the transistor keeps.
    row = [replace(p, v_dd=max(1.25 * volt, p.v_dd))] * 2
    raised = "" if row[0].v_dd == p.v_dd else f", for the device's own {p.v_dd:g} V cannot drive a second one as its input does"
    pulses, load = stimulus.train(volt, width, width, round(3 * own[0] / width / 2) + 20), {"load resistor": (p.r_load, "ohm")}
    while True:
        try:
            chain = cascade(row, pulses, width / 100)
            break
        except InputError:  # with the 1 GOhm of Table 7 the second neuron fires, but while its gap closes the node does not come to rest
            if row[0].r_load <= _LEAST_LOAD:
                raise
            row = [replace(q, r_load=q.r_load / 10) for q in row]
            load["load resistor used here: with its own the simulated coupling does not settle"] = (row[0].r_load, "ohm")
    spikes = [t.spike_times() for t in chain.traces]
    return Characteristic(
        {
            f"supply used here{raised}": (row[0].v_dd, "V"),
            **load,
            "spikes of the first and second neuron": ([len(s) for s in spikes], ""),
            "from the first neuron's first spike to the second one's (nan: the second is silent)": (float(chain.delays()[0]), "s"),
            "largest drive of the second neuron": (float(chain.drives[1].max()), "V"),
        },
        {
            "time": chain.traces[0].time,
            "drive": chain.drives[1],
            "gate1": chain.traces[0].gate_voltage,
            "gate2": chain.traces[1].gate_voltage,
            "load": np.array(row[0].r_load),
        },
    )


def _plasticity(p: DeviceParams, volt: float, width: float) -> Characteristic:
    first = first_time(_events(p, stimulus.constant(volt, 500 * width), width).turn_on_times())
    long = 1.5 * first
    shorter = []
    for gap in PAIR_GAPS * width:
        if np.isnan(first):  # it fires under pulses alone
            shorter.append(np.nan)
            continue
        times = _events(p, stimulus.pair(volt, long, gap), width).turn_on_times()
        second = times[times >= (long + gap) * (1 - 1e-12)]
        shorter.append(first - (second[0] - long - gap) if second.size else np.nan)
    return Characteristic(
        {
            "first integration (nan: no turn-on under lasting input)": (first, "s"),
            "gaps": (PAIR_GAPS * width, "s"),
            "second integration shorter by (nan: no second turn-on)": (np.array(shorter), "s"),
        },
        {"gap": PAIR_GAPS * width, "shorter": np.array(shorter)},
    )


def _refractoriness(p: DeviceParams, volt: float, width: float, own: np.ndarray) -> Characteristic:
    trains = [own if factor == 1 else _spikes(replace(p, r_control=factor * p.r_control), volt, width) for factor in FACTORS]
    means = [mean_interval(spikes, 2000 * width) for spikes in trains]
    spike = own[0]
    pulses = int(spike // (2 * width)) + 1
    after = simulate(p, stimulus.train(volt, width, width, pulses) + stimulus.rest(10 * p.r_control * p.c_gate), width / 100, 0)
    above = after.time[after.gate_voltage > p.v_th]
    last = above[-1] if above.size else spike  # a gate that barely passes its threshold may be back before the next sample
    return Characteristic(
        {
            "gate's time constant R_c C_g": (p.r_control * p.c_gate, "s"),
            "gate above threshold after a single spike (it drains through R_c, and back through a filament still closed)": (
                float(last - spike),
                "s",
            ),
            "control resistors": (FACTORS * p.r_control, "ohm"),
            "mean inter-spike intervals (nan: fewer than 3 spikes in 1000 pulses, or silent after some)": (np.array(means), "s"),
        },
        {"r_control": FACTORS * p.r_control, "interval": np.array(means)},
    )


def _stochasticity(p: DeviceParams, volt: float, width: float, trials: int, seed: int, progress: bool) -> Characteristic:
    volts = volt * np.linspace(0.8, 1.3, 11)
    results = [firing_probability(p, v, 15 * width, trials, seed) for v in bar(volts, NAMES[5], asked=progress, unit="V")]
    probability = np.array([r[0] for r in results])
    # Of those under which any fired: where all or none do, the two are equally far from 1/2.
    half = int(np.argmin([abs(share - 0.5) if times.size else np.inf for share, times in results]))
    times = results[half][1]
    return Characteristic(
        {
            "voltages of a pulse of 15 widths": (volts, "V"),
            "probability of a turn-on": (probability, ""),
            "turn-on, median where it is nearest to 1/2": (float(np.median(times)) if times.size else np.nan, "s"),
            "turn-on, quartiles there": (np.quantile(times, (0.25, 0.75)) if times.size else np.array([np.nan] * 2), "s"),
        },
        {"volt": volts, "probability": probability, "times": times, "error": np.sqrt(probability * (1 - probability) / trials)},
    )
