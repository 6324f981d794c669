"""A network's decks run by ngspice, and compared with the device-level simulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._support.files import scratch
from .._support.progress import bar
from ..answers import over_time, winner
from ..arithmetic import WEIGHT_ONE
from ..delay_lines import outgoing
from ..description import NetDescription
from ..device.network import DeviceNetwork, Sample
from ..device.trace import spike_frames
from ..errors import counted
from .ngspice import rises, simulated
from .report import VerificationError
from .spice_network import READOUT
from .tools import write_sources

FIRST_SPIKE, RATE = 0.01, 0.05
"""Largest accepted deviations of first spikes, and of a layer's spike count, from the device level, as shares."""
SOONEST = 0.01
"""Share of a network step: first spikes that come sooner are compared by it. Edges of decks take 1e-5 of a step, and delay them so much."""
TIE = 1e-4
"""Sums of the outputs at the device level that differ by this share of the largest, or less, are equal: ngspice may answer either."""


@dataclass(frozen=True, eq=False)
class SpiceSample:
    """Result of ngspice for one pattern."""

    spike_times: tuple[list[np.ndarray], ...]
    """Spike times [s], by layer of neurons and neuron."""
    scores: np.ndarray
    """Scores (K,): spike counts of the output neurons, or sums of a readout [counts]."""
    points: int
    """Number of time points of the analysis."""

    @property
    def answer(self) -> int:
        """Class that the network answers (:func:`.answers.winner`)."""
        return int(winner(self.scores))


def run_network(network: DeviceNetwork, sources: Mapping[str, str], frames: np.ndarray, timeout: float = 600.0) -> list[SpiceSample]:
    """Simulate patterns with ngspice.

    Parameters
    ----------
    network : DeviceNetwork
        Network and crossbars.
    sources : mapping of str
        File name to text, as :func:`.spice_network.sources` returns them.
    frames : (B, T, C) int
        Spike counts of the patterns.
    timeout : float
        Longest time for each pattern [s].

    Returns
    -------
    list of SpiceSample

    Raises
    ------
    MissingDependencyError
        If ngspice is not installed.
    ToolFailed
        If ngspice fails.
    """
    found = []
    with scratch() as folder:
        write_sources(sources, folder)
        for b, pattern in enumerate(bar(frames, "ngspice", unit="patterns")):
            table = simulated(folder, f"pattern_{b}.cir", len(pattern) * network.dt, timeout)
            found.append(_sample(network, table, len(pattern)))
    return found


def _sample(network: DeviceNetwork, table: np.ndarray, steps: int) -> SpiceSample:
    dt = network.dt
    column, layers, scores = 1, [], np.zeros(0)
    for layer in network.net.active:
        values = table[:, column : column + layer.size]
        column += layer.size
        if layer.neuron is None:
            scores = values[-1] / READOUT * WEIGHT_ONE
            continue
        v_th = np.broadcast_to(layer.m1t1r.step.device.v_th, layer.size)
        layers.append([rises(table[:, 0], values[:, n], v_th[n]) for n in range(layer.size)])
        scores = outgoing(spike_frames(layers[-1], dt, steps), layer.delay).sum(axis=0)
    return SpiceSample(tuple(layers), scores, len(table))


def _first_spikes_off(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray], soonest: float, where: str) -> dict[str, float]:
    """Deviation of the first spike of each neuron that fires, by its place: as a share of its time, or of ``soonest`` [s] if that is more;
    neurons that fire in one of the two are refused."""
    off = {}
    for n, (x, y) in enumerate(zip(ours, theirs, strict=True)):
        neuron = f"{where}, neuron {n}"
        if bool(len(x)) != bool(len(y)):
            raise VerificationError(f"{neuron.capitalize()} fires {len(x)} times, in ngspice {len(y)} times.")
        if len(x):
            off[neuron] = abs(y[0] - x[0]) / max(x[0], soonest)
    return off


def compare(net: NetDescription, ours: Sequence[Sample], theirs: Sequence[SpiceSample]) -> dict[str, Any]:
    """Compare ngspice with the device level, pattern by pattern.

    Parameters
    ----------
    net : NetDescription
        The network.
    ours : sequence of Sample
        Patterns at the device level.
    theirs : sequence of SpiceSample
        The same patterns in ngspice.

    Returns
    -------
    dict
        Facts of the agreement, by name.

    Raises
    ------
    VerificationError
        If classes differ that the device level tells apart by more than :data:`TIE`, a neuron fires in one of the two only, or first
        spikes or rates are further apart than :data:`FIRST_SPIKE` and :data:`RATE`.
    """
    off: dict[str, float] = {}
    ties = 0
    counts = np.zeros((2, len(ours[0].layers)), int)
    places = [layer.index for layer in net.active if layer.neuron is not None]
    for b, (a, c) in enumerate(zip(ours, theirs, strict=True)):
        sums = over_time(a.out)
        ties += int(a.answer != c.answer)
        if sums[a.answer] - sums[c.answer] > TIE * np.abs(sums).max():
            raise VerificationError(f"ngspice answers class {c.answer} to pattern {b}, the device level {a.answer}.")
        for k, (place, layer, times) in enumerate(zip(places, a.layers, c.spike_times, strict=True)):
            counts[:, k] += sum(map(len, layer.spike_times)), sum(map(len, times))
            off |= _first_spikes_off(layer.spike_times, times, SOONEST * net.stated_dt, f"pattern {b}, layer {place}")
    where = max(off, key=lambda neuron: off[neuron]) if any(off.values()) else ""
    worst = off.get(where, 0.0)
    rates = np.abs(counts[1] - counts[0]) / np.maximum(counts[0], 1)
    if worst > FIRST_SPIKE or rates.max() > RATE:
        raise VerificationError(f"ngspice's first spikes are up to {worst:.2%} off ({where}), a layer's rate {rates.max():.2%}.")
    return {
        "ngspice against the device level": f"{counted(len(ours), 'pattern')}, same classes"
        + (f" but for {ties} of equal sums" if ties else ""),
        "ngspice, largest deviation of a first spike": worst,
        "ngspice, first spikes compared": len(off),
        "ngspice, spikes of each layer": {f"layer {k}": f"{b} (device level {a})" for k, (a, b) in zip(places, counts.T, strict=True)},
        "ngspice, largest deviation of a layer's rate": float(rates.max()),
        "ngspice, time points a pattern": round(float(np.mean([x.points for x in theirs]))),
    }
