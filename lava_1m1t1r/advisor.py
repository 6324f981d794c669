"""How far a network step deviates from its device, and which neurons of a layer would stay silent or latch."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .activity import LEAST_DRAIN_TIMES, activity, drain_steps, latched, latching_run
from .arithmetic import WEIGHT_ONE
from .device import Trace, simulate
from .device.measurement import mean_interval
from .device.trace import spike_frames
from .errors import InputError, array_of, counted, listed, require, whole
from .program import StepParams
from .reference import CompiledNeurons
from .tables import input_volts

STEPS = 1000
_MOST_STEPS, _MOST_TRIED, _MOST_SILENT = 1_000_000, 64_000, 8_000
_ENOUGH, _FEW = 20, 5
"""Numbers of spikes of the device under the regular pulses: from the first on the probes are long enough, below the second no rate is
compared."""
_DIFFER = "one of them latches, or the step alone fires"
TRAINS = 8  # Poisson trains, for a mean rate that is worth comparing
LEVELS = 96  # constant voltages tried at a time for where firing and latching begin
COMPARED = 16  # neurons of a recorded layer that are also run at the device level
TOLERANCE = 0.05  # of first spike and rate, for a recommended number of substeps
SUBSTEPS = (1, 2, 4, 8, 16)
SLOWER = (2, 4, 8)  # factors on the device's time that are tried where no number of substeps suffices


class Response(NamedTuple):
    """Response of a neuron to a probe: means over the probe's trains; None where there was no such spike."""

    first_spike: float | None  # s
    isi: float | None  # s, mean, of the trains under which the neuron fires to the end (mean_interval)
    rate: float  # Hz
    latched: bool
    isi_se: float | None = None  # s, standard error of isi, of intervals taken as independent of each other; None of less than two


class Probe(NamedTuple):
    """One stimulus at the device level and in network steps."""

    name: str
    device: Response
    step: Response
    pulsed: bool
    """Whether the input has pauses. Under constant input, devices latch or fall silent, and there is no rate to compare."""

    @property
    def first_spike_error(self) -> float | None:
        """Error of the step's first spike, relative to the device's [1]."""
        return _relative(self.step.first_spike, self.device.first_spike)

    @property
    def isi_error(self) -> float | None:
        """Error of the step's mean inter-spike interval, relative to the device's [1]; None where both latch, as for the rate."""
        return None if self.both_latch else _relative(self.step.isi, self.device.isi)

    @property
    def rate_error(self) -> float | None:
        """Error of the step's spike rate, relative to the device's [1]; None where both latch: the spikes before that are no rate."""
        return None if self.both_latch else _relative(self.step.rate, self.device.rate)

    @property
    def both_latch(self) -> bool:
        """Whether device and step latch, in one of the probe's trains at least."""
        return self.device.latched and self.step.latched


def _relative(value: float | None, wanted: float | None) -> float | None:
    return value / wanted - 1 if value is not None and wanted else None


class Recorded(NamedTuple):
    """The layer under its own recorded input."""

    spikes: int
    """Of all neurons, in all samples."""
    silent: list[int]
    """Neurons that fire in no sample."""
    latched: list[int]
    """Neurons that latch in at least one sample."""
    untold: list[int]
    """Neurons that drain so slowly that no sample is long enough to tell whether they latch."""
    compared: list[int]
    """Neurons that were also integrated at the device level, in the first sample."""
    device_spikes: list[int]
    """Of each of these, in the first sample, at the device level."""
    step_spikes: list[int]
    """The same, in network steps."""


@dataclass(frozen=True)
class Advice:
    """What :func:`advise` found. Print it, or take :meth:`as_dict`."""

    dt: float
    substeps: int
    steps: int
    """Length of each probe in network steps: what a neuron does later is not seen."""
    probes: tuple[Probe, ...]
    by_substeps: dict[int, float]
    """Largest error of first spike and rate over the pulsed probes, by number of substeps [1]; inf where one of device and step
    latches, or the step alone fires. Probes under which both latch do not count."""
    fires_from: float | None
    """Lowest constant input that makes the (median) neuron fire within the probe [V]; None if none up to ``v_in_max`` does."""
    latches_from: float | None
    """Lowest constant input that keeps the neuron's gate above threshold for good [V]; None if none up to ``v_in_max`` does."""
    unreachable: list[int] | None
    """Neurons that cannot fire: all their positive weights and the bias together stay below ``fires_from``. None without weights."""
    recorded: Recorded | None
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        out = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        out["probes"] = [
            {
                "name": p.name,
                "pulsed": p.pulsed,
                "device": p.device._asdict(),
                "step": p.step._asdict(),
                **{error: getattr(p, error) for error in ("first_spike_error", "isi_error", "rate_error")},
            }
            for p in self.probes
        ]
        out["by_substeps"] = {str(n): error if error < np.inf else _DIFFER for n, error in self.by_substeps.items()}
        out["recorded"] = self.recorded and self.recorded._asdict()
        out["notes"] = list(self.notes)
        return out

    def __str__(self) -> str:
        size = f"{self.dt * 1e3:g} ms in {counted(self.substeps, 'substep')}"
        lines = [f"network step of {size} against the device, for {self.steps} steps:"]
        for p in self.probes:
            step, device = p.step, p.device
            parts = [
                _beside("first spike", _ms(step.first_spike), _ms(device.first_spike), "ms", p.first_spike_error),
                _beside("interval", _ms(step.isi, step.isi_se), _ms(device.isi, device.isi_se), "ms", p.isi_error),
                _beside("rate", f"{step.rate:.3g}", f"{device.rate:.3g}", "Hz", p.rate_error),
            ]
            latched = {(True, True): "; both latch", (True, False): "; the device latches", (False, True): "; the step latches"}
            lines.append(f"  {p.name}: " + ", ".join(parts) + latched.get((p.device.latched, p.step.latched), ""))
        if self.by_substeps:
            lines.append(
                "  largest error by substeps, without probes under which both latch: "
                + ", ".join(f"{n}: {error:.1%}" if error < np.inf else f"{n}: {_DIFFER}" for n, error in self.by_substeps.items())
            )
        fires = "never fires" if self.fires_from is None else f"fires from {self.fires_from:.3g} V"
        latches = "never latches" if self.latches_from is None else f"latches from {self.latches_from:.3g} V"
        lines.append(f"  constant input: {fires}, {latches}")
        if self.unreachable is not None:
            lines.append(f"  {counted(len(self.unreachable), 'neuron')} cannot fire with these weights{_some(self.unreachable)}")
        if self.recorded:
            r = self.recorded
            compared, spikes = counted(len(r.compared), "neuron"), counted(sum(r.step_spikes), "spike")
            untold = f", {len(r.untold)} draining too slowly for samples this short to show latching{_some(r.untold)}" if r.untold else ""
            idle = f"{len(r.silent)} silent{_some(r.silent)}, {len(r.latched)} latched{_some(r.latched)}{untold}"
            both = f"{compared} in the first sample: {spikes} (device {sum(r.device_spikes)})"
            lines.append(f"  under the recorded input: {counted(r.spikes, 'spike')}, {idle}; {both}")
        return "\n".join(lines + [f"  note: {note}" for note in self.notes])


def _ms(value: float | None, se: float | None = None) -> str:
    """A time [s] in ms, and its standard error where that can be seen in three digits."""
    if value is None:
        return "none"
    return f"{value * 1e3:.3g}" + (f" +- {se * 1e3:.2g}" if se is not None and se > 5e-4 * value else "")


def _beside(label: str, step: str, device: str, unit: str, error: float | None) -> str:
    return f"{label} {step} (device {device}) {unit}" + ("" if error is None else f" {error:+.1%}")


def _some(indices: list[int]) -> str:
    return f" ({listed(indices, 8)})" if indices else ""


def advise(
    params: StepParams, weights: Any = None, a_in: Any = None, *, bias: Any = None, weights_rec: Any = None, steps: int | None = None
) -> Advice:
    """Compare the fixed-point network step with the device, and look for neurons that stay silent or latch.

    Noise is left out: device and step draw different numbers, and the comparison is about the scheme.

    Parameters
    ----------
    params : StepParams
        Device and step. Where the device holds arrays, the probes use the median of every field.
    weights : (N, C) int, optional
        Integer weights of the layer (1/64 unit): which neurons they can make fire at all.
    a_in : (T, N) or (B, T, N) int, optional
        Recorded synaptic input of the layer (1/64 unit), bias and recurrence included.
    bias : (N,) int, optional
        Constant input of each neuron (1/64 unit), beside ``weights``.
    weights_rec : (N, N) int, optional
        Weights of the recurrence, beside ``weights``.
    steps : int, optional
        Length of the probes in network steps; default: 1000, or as many as the device needs to fire 20 times under regular pulses.

    Returns
    -------
    Advice

    Raises
    ------
    InputError
        If an argument breaks its rule, or the fixed-point step refuses the device.
    """
    require(isinstance(params, StepParams), "advise.params", "be StepParams", params)
    for name, value in (("bias", bias), ("weights_rec", weights_rec)):
        require(value is None or weights is not None, f"advise.{name}", "come with weights", value)
    steps = None if steps is None else whole(steps, "advise.steps", least=20, most=_MOST_STEPS)
    probe_params = params.replace(device=params.device.median().quiet())
    steps = _length(probe_params) if steps is None else steps
    stimuli = _stimuli(probe_params, steps)
    answers = {name: _device(probe_params, a) for name, a in stimuli.items()}
    probes = tuple(_probe(name, answers[name], probe_params, a) for name, a in stimuli.items())
    by_substeps = {}
    for n in sorted({*SUBSTEPS, params.substeps}):
        own = n == params.substeps
        error = _largest(probes, steps * params.dt) if own else _largest_error(probe_params.replace(substeps=n), stimuli, answers)
        if error is not None:
            by_substeps[n] = error
    fires_from, latches_from = _constant_levels(probe_params, steps)
    return Advice(
        dt=params.dt,
        substeps=params.substeps,
        steps=steps,
        probes=probes,
        by_substeps=by_substeps,
        fires_from=fires_from,
        latches_from=latches_from,
        unreachable=None if weights is None else _unreachable(params, weights, weights_rec, bias, fires_from),
        recorded=None if a_in is None else _recorded(params, a_in),
        notes=tuple(_notes(probe_params, probes, by_substeps, stimuli, (fires_from, latches_from))),
    )


def _largest_error(params: StepParams, stimuli: dict[str, np.ndarray], answers: dict[str, Response] | None = None) -> float | None:
    """Largest error of first spike and rate over the pulsed probes; None where there is nothing to compare, or no fixed-point form."""
    pulsed = {name: a_in for name, a_in in stimuli.items() if _is_pulsed(a_in)}
    known = {name: _device(params, a_in) for name, a_in in pulsed.items()} if answers is None else answers
    try:
        probes = [_probe(name, known[name], params, a_in) for name, a_in in pulsed.items()]
    except InputError:  # the fixed-point form refuses these substeps
        return None
    return _largest(probes, len(next(iter(stimuli.values()))) * params.dt)


def _largest(probes: Sequence[Probe], duration: float) -> float | None:
    return max((error for probe in probes if probe.pulsed for error in _errors(probe, duration)), default=None)


def _is_pulsed(a_in: np.ndarray) -> bool:
    return bool(np.any(a_in != a_in[0]))


def _probe(name: str, device: Response, params: StepParams, a_in: np.ndarray) -> Probe:
    return Probe(name, device, _step(params, a_in), _is_pulsed(a_in))


def _errors(p: Probe, duration: float) -> list[float]:
    """Errors of the step against the device under a probe; a latched device has no rate to compare, and a few spikes define none."""
    if p.device.latched != p.step.latched or (not p.device.rate and p.step.rate * duration >= _FEW):
        return [np.inf]
    if p.device.latched:
        return []
    told = p.device.rate * duration >= _FEW
    return [abs(e) for e in (p.first_spike_error, p.rate_error if told else None) if e is not None]


def _length(params: StepParams) -> int:
    """Number of steps in which the device, under the regular pulses, fires often enough to be compared."""
    steps = STEPS
    while steps < _MOST_TRIED:
        answer = _device(params, next(iter(_stimuli(params, steps).values())))
        if answer.latched or answer.rate * steps * params.dt >= _ENOUGH:
            return steps
        if answer.rate == 0 and steps >= _MOST_SILENT:
            return STEPS  # it never fires: longer probes would show that for longer
        steps *= 2
    return steps


def _stimuli(params: StepParams, steps: int) -> dict[str, np.ndarray]:
    """Synaptic inputs (T, trains) of the probes, in 1/64 unit."""
    volt = min(float(params.device.v_ref), params.v_in_max)
    count = int(np.rint(volt / params.v_unit * WEIGHT_ONE))
    volt = count / WEIGHT_ONE * params.v_unit  # what both get: v_ref to the nearest count
    regular = (np.arange(steps) % 2 == 0)[:, None]
    poisson = np.random.default_rng(0).random((steps, TRAINS)) < 0.5
    constant = np.ones((steps, 1), bool)
    named = {f"pulses of {volt:.4g} V, every other step": regular, "Poisson pulses, half the steps": poisson, "constant": constant}
    return {name: on * count for name, on in named.items()}


def _response(times: list[np.ndarray], latches: np.ndarray, duration: float) -> Response:
    first = [t[0] for t in times if t.size]
    intervals = np.concatenate([[], *(np.diff(t) for t in times if not np.isnan(mean_interval(t, duration)))])
    rate = sum(t.size for t in times) / len(times) / duration
    return Response(
        float(np.mean(first)) if first else None,
        float(intervals.mean()) if intervals.size else None,
        float(rate),
        bool(latches.any()),
        float(np.std(intervals, ddof=1) / np.sqrt(intervals.size)) if intervals.size > 1 else None,
    )


def _device(params: StepParams, a_in: np.ndarray) -> Response:
    trace = _trace(params, a_in)
    times = [trace.spike_times(n) for n in range(a_in.shape[1])]
    spike = spike_frames(times, params.dt, len(a_in))
    latches = latched(params, trace.gate_voltage > params.device.v_th, spike)
    return _response(times, latches, len(a_in) * params.dt)


def _trace(params: StepParams, a_in: np.ndarray) -> Trace:
    """The device, which has no noise here, in continuous time under the input (T, N) of network steps."""
    volts = input_volts(a_in, params.v_unit, params.v_in_max)
    return simulate(params.device, volts, params.dt, seed=0, record="gate_voltage")


def _step(params: StepParams, a_in: np.ndarray) -> Response:
    neurons = CompiledNeurons(params, a_in.shape[1])
    traces = neurons.run(a_in)
    # A spike of step t happened somewhere within it: at its middle on average.
    times = [(np.flatnonzero(column) + 0.5) * params.dt for column in traces.spike.T]
    return _response(times, latched(params, traces.gate > neurons.program.v_th, traces.spike), len(a_in) * params.dt)


def _constant_levels(params: StepParams, steps: int) -> tuple[float | None, float | None]:
    """Lowest constant inputs, of all that counts can be, under which it fires, and latches [V]."""

    def lowest(which: np.ndarray) -> float | None:
        return float(volts[np.argmax(which)]) if which.any() else None

    neurons = CompiledNeurons(params, LEVELS)
    fires = latches = None
    for begin in range(1, int(np.ceil(params.v_in_max / params.v_unit * WEIGHT_ONE)) + 1, LEVELS):
        counts = np.arange(begin, begin + LEVELS)
        volts = input_volts(counts, params.v_unit, params.v_in_max)
        traces = neurons.run(np.broadcast_to(counts, (steps, LEVELS)))
        fires = fires or lowest(traces.spike.any(0))
        latches = latches or lowest(latched(params, traces.gate > neurons.program.v_th, traces.spike))
        if fires and latches:
            break
    return fires, latches


def _unreachable(params: StepParams, weights: Any, weights_rec: Any, bias: Any, fires_from: float | None) -> list[int]:
    size = params.device.size
    weights = _counts(weights, "advise.weights", ("N" if size is None else size, "C"))
    size = len(weights)
    own = np.maximum(weights, 0).sum(1)
    if bias is not None:
        own = own + _counts(bias, "advise.bias", (size,))
    if fires_from is None:
        return list(range(size))

    def fire(a_in: np.ndarray) -> np.ndarray:  # in volt, as fires_from was found: back in counts, rounding may lie above it
        return input_volts(a_in, params.v_unit, params.v_in_max) >= fires_from

    fires = fire(own)
    if weights_rec is not None:
        recurrent = np.maximum(_counts(weights_rec, "advise.weights_rec", (size, size)), 0)
        for _ in range(size):  # neurons fire by those that fire already
            more = fire(own + recurrent[:, fires].sum(1))
            if np.array_equal(more, fires):
                break
            fires = more
    return np.flatnonzero(~fires).tolist()


def _counts(values: Any, name: str, shape: tuple[Any, ...]) -> np.ndarray:
    values = array_of(values, name)
    fits = values.ndim == len(shape) and all(isinstance(n, str) or n == m for n, m in zip(shape, values.shape, strict=False))
    require(fits, name, f"have shape ({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})", values.shape)
    cure = "Floating-point weights [v_unit] become such counts by np.rint(64 * weights).astype(int)."
    require(values.dtype.kind in "iu", name, "be whole numbers, in 1/64 unit", values.dtype, cure)
    return values


def _recorded(params: StepParams, a_in: Any) -> Recorded:
    a_in = array_of(a_in, "advise.a_in")
    require(
        a_in.ndim in (2, 3) and a_in.size and a_in.dtype.kind in "iu",
        "advise.a_in",
        "be whole numbers (T, N) or (B, T, N)",
        (a_in.dtype, a_in.shape),
    )
    samples = a_in.reshape(-1, *a_in.shape[-2:])
    params = params.replace(device=params.device.quiet())  # step and device draw different numbers, and the comparison is about the scheme
    size = samples.shape[-1]
    neurons = CompiledNeurons(params, size)
    runs = [neurons.run(a) for a in samples]
    found = activity(params, runs)
    chosen = np.unique(np.linspace(0, size - 1, min(COMPARED, size)).astype(int))
    trace = _trace(params.replace(device=params.device.take(chosen)), samples[0][:, chosen])
    return Recorded(
        found.spikes,
        found.silent,
        found.latched,
        found.untold,
        chosen.tolist(),
        [int(trace.spike_times(n).size) for n in range(len(chosen))],
        [int(n) for n in runs[0].spike[:, chosen].sum(0)],
    )


def _notes(
    params: StepParams,
    probes: tuple[Probe, ...],
    by_substeps: dict[int, float],
    stimuli: dict[str, np.ndarray],
    levels: tuple[float | None, float | None],
) -> list[str]:
    notes = [params.silence] if params.silence else []
    fires, latches = levels
    if fires is not None and latches is not None and latches <= 1.01 * fires:
        notes.append(f"under constant input the neuron latches as soon as it fires, from {latches:.3g} V: drive it by pulses.")
    steps = len(next(iter(stimuli.values())))
    if latching_run(params, steps)[0] >= steps:
        least = int(LEAST_DRAIN_TIMES * drain_steps(params)[0]) + 2
        notes.append(f"the gate drains too slowly to tell from {steps} steps whether the neuron latches: take at least {least}.")
    pulsed = [p for p in probes if p.pulsed]
    notes += _on_rates(pulsed, steps, params.dt) + _on_device(params)
    if by_substeps:
        notes += _on_substeps(params, by_substeps, stimuli)
    else:
        found = "it latches" if any(p.device.latched for p in pulsed) else f"it does not fire in {steps} steps"
        notes.append(f"under the pulsed probes the device has no rate to compare: {found}.")
    unlike = [p.name for p in probes if p.device.latched != p.step.latched]
    if unlike:
        notes.append(f"device and step do not agree on latching under: {', '.join(unlike)}.")
    return notes


def _on_rates(pulsed: list[Probe], steps: int, dt: float) -> list[str]:
    """Notes on rates of the device that are not compared, or are not well known."""
    notes = []
    few = [p.name for p in pulsed if not p.device.latched and 0 < p.device.rate * steps * dt < _FEW]
    if few:
        notes.append(
            f"the device fires fewer than {_FEW} times in {steps} steps under {', '.join(few)}: rates are not compared. Take more steps."
        )
    for p in pulsed:
        if p.name in few or p.device.latched:
            continue  # no rate is compared
        known = p.device.isi_se / p.device.isi if p.device.isi and p.device.isi_se else 0.0
        if known > TOLERANCE:
            uneven = f"the device's intervals under {p.name} are so uneven that they tell its rate to {known:.0%} only"
            notes.append(f"{uneven}: an error of less says little. Take more steps.")
    return notes


def _on_device(params: StepParams) -> list[str]:
    """Notes on what network steps make of the device."""
    notes = []
    if params.device.x_max != 1:
        notes.append(
            f"in the step filament and residue fill the gap and no more (x_max 1); the device's x_max is {params.device.x_max:g}, so it "
            "is another device where the gap closes."
        )
    needed, measured = float(np.min(params.device.turn_on_voltages[0])), params.drop_input
    if measured <= needed < params.v_in_max:
        notes.append(
            f"the field at which the filament lets go is measured at {measured:.3g} V, and the device turns on from {needed:.3g} V only: "
            "after a spike the step is another device. Give v_ref the voltage of your inputs, and mu the rate there."
        )
    drained = float(drain_steps(params)[0])
    if 0 < drained < 1:
        notes.append(
            f"the gate drains within {drained:.2g} steps: no refractoriness is left at this dt. "
            f"Use device.scaled(time={max(2, round(4 / drained))}), or a smaller dt."
        )
    return notes


def _on_substeps(params: StepParams, by_substeps: dict[int, float], stimuli: dict[str, np.ndarray]) -> list[str]:
    """Notes on which numbers of substeps suffice, or which slower device where none does."""
    good = [n for n, error in by_substeps.items() if error <= TOLERANCE]
    if not good:
        tried = ((k, _largest_error(params.scaled(k), stimuli)) for k in SLOWER)
        slower = next((k for k, error in tried if error is not None and error <= TOLERANCE), None)
        cure = "use a smaller dt" if slower is None else f"device.scaled({slower}) does, with {params.substeps} substeps"
        return [f"no tried number of substeps comes within {TOLERANCE:.0%} of the device: {cure}."]
    notes = []
    if by_substeps.get(params.substeps, np.inf) > TOLERANCE:
        notes.append(f"{counted(good[0], 'substep')} {'come' if good[0] > 1 else 'comes'} within {TOLERANCE:.0%} of the device.")
    finest = max(by_substeps)
    if by_substeps[finest] > TOLERANCE:
        notes.append(
            f"with {finest} substeps the step is further from the device than with {good[0]}, whose agreement is chance: the device is "
            "about to latch under one of the probes, and small errors decide whether it does."
        )
    return notes
