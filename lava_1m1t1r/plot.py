"""Figures of neurons and networks: matplotlib axes in, axes out.

Lines and text use colours that read on white and on black; the functions draw, and leave size, titles and saving to the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .errors import missing, require

COLOURS = ("#2a9dd6", "#e0782f", "#3faa6b", "#c75ba1", "#9a8b2f", "#7d7bd1")
GREY = "#8a94a0"


def axes(ax: Any = None) -> Any:
    """Return ``ax``, or new axes; with spines and ticks that read on light and dark ground."""
    if ax is None:
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise missing("matplotlib", "report", "Drawing a figure") from error
        _, ax = plt.subplots(constrained_layout=True)
    ax.tick_params(colors=GREY)
    for spine in ax.spines.values():
        spine.set_color(GREY)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.xaxis.label.set_color(GREY)
    ax.yaxis.label.set_color(GREY)
    ax.title.set_color(GREY)
    return ax


def raster(spikes: Any, dt: float = 1.0, ax: Any = None, colour: str = COLOURS[0]) -> Any:
    """Spike raster.

    Parameters
    ----------
    spikes : (T, N)
        Non-zero where neuron n spikes in step t.
    dt : float
        Step [s]; the axis is in ms. 1.0: the axis counts steps.
    """
    spikes = np.asarray(spikes)
    require(spikes.ndim == 2, "spikes", "have the shape (T, N)", spikes.shape)
    ax = axes(ax)
    step, neuron = np.nonzero(spikes)
    unit = 1.0 if dt == 1.0 else dt * 1e3
    ax.scatter(step * unit, neuron, s=2.0, marker="|", linewidths=0.8, color=colour)
    ax.set_xlim(0, max(spikes.shape[0], 1) * unit)
    ax.set_ylim(-0.5, spikes.shape[1] - 0.5)
    ax.set_xlabel("step" if dt == 1.0 else "time (ms)")
    ax.set_ylabel("neuron")
    return ax


def states(time: Any, values: Mapping[str, Any], ax: Any = None, scale: Mapping[str, float] | None = None) -> Any:
    """Traces of one neuron's states over time.

    Parameters
    ----------
    time : (T,)
        [s]; the axis is in ms.
    values : mapping of name to (T,)
        For example filament, residue and gate voltage; drawn on one axis.
    """
    ax = axes(ax)
    for (name, trace), colour in zip(values.items(), COLOURS * 2, strict=False):
        trace = np.asarray(trace)
        require(trace.shape == np.shape(time), f"values[{name!r}]", f"have the shape of time {np.shape(time)}", trace.shape)
        ax.plot(np.asarray(time) * 1e3, trace * (scale or {}).get(name, 1.0), label=name, lw=1.2, color=colour)
    ax.set_xlabel("time (ms)")
    ax.legend(frameon=False, labelcolor=GREY, fontsize="small")
    return ax


def isi_histogram(spike_times: Any, ax: Any = None, bins: int = 40) -> Any:
    """Histogram of inter-spike intervals, from the spike times [s] of one neuron or a list of such arrays."""
    trains = [np.asarray(spike_times)] if np.ndim(spike_times) == 1 and np.asarray(spike_times).dtype != object else list(spike_times)
    intervals = np.concatenate([np.diff(np.sort(np.asarray(t, float))) for t in trains] or [np.zeros(0)]) * 1e3
    ax = axes(ax)
    ax.hist(intervals, bins=bins, color=COLOURS[0])
    ax.set_xlabel("inter-spike interval (ms)")
    ax.set_ylabel("count")
    return ax


def hysteresis(voltage: Any, current: Any, ax: Any = None) -> Any:
    """Current over voltage of the memristor, on a logarithmic scale. (T,) volt, (T,) ampere."""
    ax = axes(ax)
    ax.semilogy(np.asarray(voltage), np.maximum(np.abs(np.asarray(current)), 1e-15), lw=1.2, color=COLOURS[0])
    ax.set_xlabel("voltage (V)")
    ax.set_ylabel("current (A)")
    return ax


def confusion(counts: Any, labels: Sequence[str] = (), ax: Any = None) -> Any:
    """Confusion matrix.

    Parameters
    ----------
    counts : (K, K)
        Utterances of true class (row) answered as class (column).
    """
    counts = np.asarray(counts)
    require(counts.ndim == 2 and counts.shape[0] == counts.shape[1], "counts", "have the shape (K, K)", counts.shape)
    ax = axes(ax)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    ax.imshow(share, cmap="viridis", vmin=0, vmax=1)
    names = list(labels) or [str(k) for k in range(len(counts))]
    ax.set_xticks(range(len(counts)), names, rotation=90, fontsize="small")
    ax.set_yticks(range(len(counts)), names, fontsize="small")
    ax.set_xlabel("answered")
    ax.set_ylabel("spoken")
    return ax


def energy_split(parts: Mapping[str, float], ax: Any = None) -> Any:
    """Bars of the energy [J] by element or phase."""
    ax = axes(ax)
    ax.barh(list(parts), [value * 1e12 for value in parts.values()], color=COLOURS[: len(parts)])
    ax.invert_yaxis()
    ax.set_xlabel("energy (pJ)")
    return ax
