"""Report on the conversion from floating to fixed point: scales, rounding errors, and their effect on the spikes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .activity import Activity, activity
from .agreement import Agreement, agreement
from .arithmetic import GAIN_BITS, INPUT_BITS, MANTISSA, ONE, STATE_BITS, STRETCH_BITS, WEIGHT_ONE, field_law
from .description import NetDescription
from .errors import array_of, counted, listed, require, whole
from .noise import MOST_NEURONS
from .program import PER_NEURON, FixedProgram, StepParams
from .reference import Traces
from .reference_network import LayerTraces, device_layers, run
from .tables import decay_cure, nearest_decay


class Rate(NamedTuple):
    """One rate of a layer before and after rounding."""

    name: str
    per_substep: tuple[float, float]
    """Smallest and largest share lost or transferred in a substep [1]; of the growth, what the gap grows by per volt of drive [1/V]."""
    error: float
    """Largest relative error of a rounded rate [1], over the neurons whose rate fits."""
    bias: float
    """Largest shift of a state that only this rate acts against [share of the gap, or V], because what is kept is rounded down. What
    drives the state is rounded, too, and a shorter gap grows faster: the states of a run may differ by several times as much."""
    rounds_away: int
    """Number of neurons whose rate does not fit a decay."""
    cure: str
    """Advice on what mends it; empty where nothing is wrong."""


@dataclass(frozen=True)
class LayerQuantisation:
    """Report of one layer. Print it, or take :meth:`as_dict`."""

    name: str
    neurons: int
    scales: dict[str, float]
    """Size of one count of each register, in SI units or shares of the gap."""
    rates: tuple[Rate, ...]
    threshold_error: float | None
    """Largest error of a rounded threshold [V]; None where a rate does not fit."""
    duplicates: dict[str, int]
    """Number of neurons that differ in floating point and no longer do in fixed point, by constant; ``all``: in every constant."""
    activity: Activity | None = None
    agreement: dict[str, Agreement] = dataclasses.field(default_factory=dict)
    """Agreement of fixed with floating point: ``teacher-forced`` (both get the fixed run's input) and ``free-running``."""

    @property
    def fits(self) -> bool:
        """Whether every rate of every neuron has a fixed-point form."""
        return all(rate.rounds_away == 0 for rate in self.rates)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain numbers, for JSON."""
        return {
            "name": self.name,
            "neurons": self.neurons,
            "fits": self.fits,
            "scales": self.scales,
            "rates": [rate._asdict() for rate in self.rates],
            "threshold_error": self.threshold_error,
            "duplicates": self.duplicates,
            "activity": self.activity and self.activity._asdict(),
            "agreement": {name: a.as_dict() for name, a in self.agreement.items()},
        }

    def __str__(self) -> str:
        lines = [f"{self.name}: {counted(self.neurons, 'neuron')}"]
        lines.append("  one count is " + ", ".join(f"{value:.3g} ({name})" for name, value in self.scales.items()))
        for rate in self.rates:
            low, high = rate.per_substep
            span = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
            shifted = f"; its rounding down alone shifts the state by up to {rate.bias:.1e}" if rate.bias else ""
            lines.append(f"  {rate.name}: {span} per substep, rounded by up to {rate.error:.1e} of it{shifted}")
            if rate.rounds_away:
                lines.append(f"    does not fit in {counted(rate.rounds_away, 'neuron')}: {rate.cure}")
        if self.threshold_error is not None:
            lines.append(f"  threshold: rounded by up to {self.threshold_error:.1e} V")
        if any(self.duplicates.values()):
            equal = ", ".join(f"{name} {n}" for name, n in self.duplicates.items() if n)
            lines.append(f"  number of neurons that rounding makes equal to another: {equal}")
        if self.activity:
            a = self.activity
            untold = f"; draining too slowly for utterances this short to show latching: {_neurons(a.untold)}" if a.untold else ""
            lines.append(f"  {counted(a.spikes, 'spike')}; silent: {_neurons(a.silent)}; latched: {_neurons(a.latched)}{untold}")
        lines.extend(f"  floating against fixed point, {name}: {agreement}" for name, agreement in self.agreement.items())
        return "\n".join(lines)


def _neurons(which: Sequence[int]) -> str:
    """How many neurons, and which are the first of them."""
    return counted(len(which), "neuron") + (f" ({listed(which, 8)})" if which else "")


def quantise(params: StepParams, neurons: int, name: str = "layer") -> LayerQuantisation:
    """Report the scales and rounding errors of one layer, also where a rate is too small or too large for its integers.

    Parameters
    ----------
    params : StepParams
        Device and step; arrays in the device must have ``neurons`` values.
    neurons : int
        Size of the layer.
    name : str
        Name of the layer in the report.
    """
    require(isinstance(params, StepParams), "quantise.params", "be StepParams", params)
    size, neurons = params.device.size, whole(neurons, "quantise.neurons", least=1, most=MOST_NEURONS)
    require(size in (None, neurons), "quantise.neurons", f"be the device's size ({size})", neurons)
    shares = params.shares()
    d = params.device
    wanted = {
        "filament loss (gamma1 + beta)": (shares["filament_lost"], 1 / ONE, False),
        "residue loss (gamma2)": (shares["residue_lost"], 1 / ONE, False),
        "transfer (beta)": (shares["transfer"], None, True),
        "gate loss (1 / (r_control c_gate)), half a substep": (shares["gate_lost"], params.gate_lsb, False),
    }
    rates = [_rate(label, np.broadcast_to(lost, (neurons,)), lsb, zero) for label, (lost, lsb, zero) in wanted.items()]
    program = None
    if all(rate.rounds_away == 0 for rate in rates):
        program = params.fixed(neurons)
        rates.append(_growth(params, program, neurons))
    return LayerQuantisation(
        name=name,
        neurons=neurons,
        scales={
            "filament and residue [gap]": 1 / ONE,
            "gate [V]": params.gate_lsb,
            "v_in [V]": params.v_unit / (1 << INPUT_BITS),
            "weight [V]": params.v_unit / WEIGHT_ONE,
        },
        threshold_error=float(np.max(np.abs(program.v_th * params.gate_lsb - d.v_th))) if program else None,
        rates=tuple(rates),
        duplicates=_duplicates(params, program, neurons) if program else {},
    )


def _rate(name: str, lost: np.ndarray, lsb: float | None, zero: bool) -> Rate:
    _, _, wrong, refused = nearest_decay(lost, zero)
    error, away = float(np.max(wrong[~refused], initial=0.0)), int(refused.sum())
    cure = decay_cure(float(lost[np.argmax(refused)])) if away else ""
    # Each substep loses up to one count too many: at equilibrium that is a shift by one count per share lost.
    bias = lsb / float(lost.min()) if lsb else 0.0
    return Rate(name, (float(lost.min()), float(lost.max())), error, bias, away, cure)


def _growth(params: StepParams, program: FixedProgram, neurons: int) -> Rate:
    """Neuron's own part of the growth, at v_ref: gain and stretch, against the device's."""
    growth = np.broadcast_to(params.shares()["growth"], (neurons,))
    d = params.device
    v_ref, own = float(np.max(d.v_ref)), np.broadcast_to(d.v0, (neurons,))
    gain = program.gain * np.exp2(-program.growth_shift.astype(float) + 2 * MANTISSA - STATE_BITS - GAIN_BITS)
    law = field_law(v_ref * program.stretch / (1 << STRETCH_BITS), float(np.median(own)), v_ref)
    ratio = gain * law / (growth * v_ref)
    return Rate("growth (mu, v0) at v_ref", (float(growth.min()), float(growth.max())), float(np.max(np.abs(ratio - 1))), 0.0, 0, "")


def _duplicates(params: StepParams, fixed: FixedProgram, neurons: int) -> dict[str, int]:
    """Neurons lost to rounding: distinct values (or rows) in floating point less those in fixed, by constant."""
    real = params.replace(held=False).floating(neurons)  # not held: networks from files otherwise have the rounded values here, too
    constants: dict[str, tuple[Sequence[np.ndarray], Sequence[np.ndarray]]] = {
        "stretch": ([real.v0], [fixed.stretch]),
        "gain": ([real.growth, real.v0], [fixed.gain, fixed.growth_shift]),
        "filament_decay": ([real.filament_kept], [fixed.filament_decay, fixed.filament_shift]),
        "residue_decay": ([real.residue_kept], [fixed.residue_decay, fixed.residue_shift]),
        "transfer": ([real.transfer], [fixed.transfer, fixed.transfer_shift]),
        "gate_decay": ([real.gate_kept], [fixed.gate_decay, fixed.gate_shift]),
        "v_th": ([real.v_th], [fixed.v_th]),
        "noise_filament": ([real.noise_filament], [fixed.noise_filament]),
        "noise_residue": ([real.noise_residue], [fixed.noise_residue]),
    }
    everything = [column for columns, _ in constants.values() for column in columns]
    constants["all"] = everything, [getattr(fixed, name) for name in PER_NEURON]
    return {name: max(_distinct(before) - _distinct(after), 0) for name, (before, after) in constants.items()}


def _distinct(columns: Sequence[np.ndarray]) -> int:
    return np.unique(np.stack([np.asarray(c, np.float64) for c in columns]), axis=1).shape[1]


class SideBySide(NamedTuple):
    """One sample in fixed and floating point: LayerTraces of each layer."""

    fixed: list[LayerTraces]
    forced: list[LayerTraces]
    """Floating point, every layer fed the synaptic input of the fixed run: that of the layer before and its own recurrence."""
    free: list[LayerTraces]
    """Floating point, every layer fed what the floating-point neurons send."""


def side_by_side(net: NetDescription, frames: Any) -> SideBySide:
    """Run a sample (T, C) in fixed point, in floating point on the fixed run's input, and in floating point alone.

    Parameters
    ----------
    net : NetDescription
        Of 1M1T1R neurons. Floating and fixed point draw the same numbers, from the neurons' seeds.
    frames : (T, C) int
        Input spikes of the sample.

    Returns
    -------
    SideBySide
    """
    fixed = run(net, frames)
    return SideBySide(fixed, run(net, frames, fixed=False, forced=[r.a_in for r in fixed]), run(net, frames, fixed=False))


def quantise_network(net: NetDescription, samples: Any = None, names: Sequence[str] | None = None) -> list[LayerQuantisation]:
    """Report every layer of neurons of a network; with samples, also what they do in fixed and floating point.

    Parameters
    ----------
    net : NetDescription
        Of 1M1T1R neurons; a readout behind them is left out. Stochastic ones draw the numbers of their own seeds, in floating and in
        fixed point, as the network does wherever it runs.
    samples : (B, T, C) int, optional
        Input spikes.
    names : sequence of str, optional
        Names of the layers.

    Returns
    -------
    list of LayerQuantisation
    """
    layers = device_layers(net)
    if names is None:
        names = [f"layer {layer.index}" for layer in layers]
    texts = isinstance(names, Sequence) and not isinstance(names, str) and all(isinstance(name, str) for name in names)
    require(texts and len(names) == len(layers), "quantise_network.names", f"be {len(layers)} texts", names)
    reports = [quantise(layer.m1t1r.step, layer.size, name) for layer, name in zip(layers, names, strict=True)]
    if samples is None:
        return reports
    samples = array_of(samples, "quantise_network.samples")
    good = samples.ndim == 3 and samples.size > 0 and samples.shape[2] == net.inputs
    require(good, "quantise_network.samples", f"have the shape (B, T, {net.inputs}) and not be empty", samples.shape)
    for report in reports:
        require(report.fits, f"quantise_network: {report.name}", "have rates that fit", [r.name for r in report.rates if r.rounds_away])
    fixed_runs: list[list[Traces]] = [[] for _ in layers]
    pairs = [{"teacher-forced": Agreement(0, 0, (0, 0)), "free-running": Agreement(0, 0, (0, 0))} for _ in layers]
    for frames in samples:
        ran = side_by_side(net, frames)
        for i, fixed in enumerate(ran.fixed):
            fixed_runs[i].append(fixed.traces)
            for kind, other in (("teacher-forced", ran.forced[i]), ("free-running", ran.free[i])):
                pairs[i][kind] += agreement(fixed.traces.spike, other.traces.spike)
    return [
        dataclasses.replace(report, activity=activity(layer.m1t1r.step, runs), agreement=pair)
        for report, layer, runs, pair in zip(reports, layers, fixed_runs, pairs, strict=True)
    ]
