"""Figures of neurons and networks: matplotlib axes in, axes out; new axes if ``ax`` is not given.

Lines and text use colours that are readable on white and on black; the functions only draw: size, titles and saving are left to the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np

from .errors import array_of, missing, number, numbers, require, whole

COLOURS = ("#2a9dd6", "#e0782f", "#3faa6b", "#c75ba1", "#9a8b2f", "#7d7bd1")
GREY = "#8a94a0"
_MOST_BINS = 100_000
_NAMED = 40
"""Largest number of classes whose names all stand at a confusion matrix."""
_WRITTEN = 10  # classes up to which a confusion matrix also shows its numbers


def figure(width: float, height: float) -> Any:
    """New figure, in inches. Not pyplot's: a caller's own backend and figures stay as they are."""
    require_matplotlib()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def require_matplotlib(purpose: str = "Drawing a figure") -> None:
    """Raise an error that says what to install where nothing can be drawn; for those who draw after long work, before it."""
    try:
        import matplotlib.figure  # noqa: F401
    except (ImportError, ValueError) as error:  # ValueError: compiled for another numpy, or of a backend that there is not
        raise missing("matplotlib", "report", purpose, error) from error


def axes(ax: Any = None) -> Any:
    """Return ``ax``, or new axes, with spines and ticks that can be read on light and dark ground."""
    if ax is None:
        require_matplotlib()
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(constrained_layout=True)
    require(hasattr(ax, "tick_params") and hasattr(ax, "spines"), "ax", "be axes of matplotlib", ax, "None makes new ones.")
    ax.tick_params(which="both", colors=GREY)
    for spine in ax.spines.values():
        spine.set_color(GREY)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.xaxis.label.set_color(GREY)
    ax.yaxis.label.set_color(GREY)
    ax.title.set_color(GREY)
    return ax


def _colour(colour: Any) -> Any:
    from matplotlib.colors import is_color_like

    require(colour is None or is_color_like(colour), "colour", "be a colour of matplotlib", colour, "Such as 'red' or '#2a9dd6'.")
    return colour


def raster(spikes: Any, dt: float | None = None, ax: Any = None, colour: str = COLOURS[0]) -> Any:
    """Spike raster.

    Parameters
    ----------
    spikes : (T, N)
        Non-zero where neuron n spikes in step t.
    dt : float, optional
        Step [s]: the axis is in ms. Without it the axis counts steps.
    """
    spikes, dt = array_of(spikes, "spikes"), None if dt is None else number(dt, "dt [s]", above=0.0)
    require(spikes.ndim == 2, "spikes", "have the shape (T, N)", spikes.shape)
    require(spikes.shape[1] > 0 and np.all(np.isfinite(spikes)), "spikes", "hold at least one neuron, and be finite", spikes)
    ax, colour = axes(ax), _colour(colour)
    from matplotlib.ticker import MaxNLocator

    step, neuron = np.nonzero(spikes)
    unit = 1.0 if dt is None else dt * 1e3
    ax.scatter(step * unit, neuron, s=2.0 if spikes.shape[1] > 100 else 9.0, marker="|", linewidths=0.9, color=colour)
    ax.set_xlim(0, max(spikes.shape[0], 1) * unit)
    ax.set_ylim(-0.5, spikes.shape[1] - 0.5)
    ax.set_xlabel("step" if dt is None else "time (ms)")
    ax.set_ylabel("neuron")
    if isinstance(locator := ax.yaxis.get_major_locator(), MaxNLocator):  # ticks that the caller has set stay
        locator.set_params(integer=True)
    return ax


def states(time: Any, values: Mapping[str, Any], ax: Any = None, scale: Mapping[str, float] | None = None) -> Any:
    """Traces of one neuron's states over time.

    Parameters
    ----------
    time : (T,)
        [s]; the axis is in ms.
    values : mapping of name to (T,)
        For example filament, residue and gate voltage; drawn on one axis.
    scale : mapping of name to number, optional
        What traces of these names are multiplied by.
    """
    require(isinstance(values, Mapping), "values", "be a mapping of names to traces", values)
    require(scale is None or isinstance(scale, Mapping), "scale", "be a mapping of names to numbers", scale)
    time = array_of(time, "time [s]")
    require(time.ndim == 1, "time [s]", "have the shape (T,)", time.shape)
    ax = axes(ax)
    for (name, trace), colour in zip(values.items(), cycle(COLOURS), strict=False):
        trace = array_of(trace, f"values[{name!r}]")
        require(trace.shape == time.shape, f"values[{name!r}]", f"have the shape of time {time.shape}", trace.shape)
        factor = number((scale or {}).get(name, 1.0), f"scale[{name!r}]")
        ax.plot(time * 1e3, trace * factor, label=name, lw=1.2, color=colour)
    ax.set_xlabel("time (ms)")
    # Above the axes, where it hides no trace.
    ax.legend(frameon=False, labelcolor=GREY, fontsize="small", loc="lower left", bbox_to_anchor=(0, 1), ncols=4)
    return ax


def isi_histogram(spike_times: Any, ax: Any = None, bins: Any = 40, colour: str = COLOURS[0], label: str | None = None) -> Any:
    """Histogram of inter-spike intervals.

    Parameters
    ----------
    spike_times : (S,), or a list of such arrays
        Spike times [s] of one neuron, or of several.
    bins : int or (K + 1,)
        Number of bins, or their edges [ms].
    colour, label : str, optional
        Of the bars, where several histograms share the axes.
    """
    several = isinstance(spike_times, (list, tuple)) and any(np.iterable(t) and not isinstance(t, (str, bytes)) for t in spike_times)
    trains = [array_of(t, "spike_times [s]") for t in (spike_times if several else [spike_times])]
    trains = [row for t in trains for row in (t if t.ndim == 2 else [t])]
    require(all(t.ndim == 1 for t in trains), "spike_times [s]", "be (S,), or a list of such arrays", spike_times)
    require(label is None or isinstance(label, str), "label", "be a text", label)
    if not np.iterable(bins):
        bins = whole(bins, "bins", least=1, most=_MOST_BINS)
    else:
        bins = numbers(bins, "bins [ms]", (1,), "(K + 1,)")
        require(len(bins) > 1 and np.all(np.diff(bins) > 0), "bins [ms]", "be a number of bins, or rising edges", bins)
    intervals = np.concatenate([np.diff(np.sort(t.astype(float))) for t in trains] or [np.zeros(0)]) * 1e3
    require(np.all(np.isfinite(intervals)), "spike_times [s]", "be finite", spike_times)
    ax, colour = axes(ax), _colour(colour)
    if intervals.size and np.ptp(intervals) <= 1e-9 * intervals.max():
        intervals[:] = intervals[0]  # they differ by rounding, which is no spread to show, and too little for numpy's bins
    ax.hist(intervals, bins=bins, color=colour, alpha=0.8, label=label)
    ax.set_xlabel("inter-spike interval (ms)")
    ax.set_ylabel("count")
    return ax


def hysteresis(voltage: Any, current: Any, ax: Any = None) -> Any:
    """Current over voltage of the memristor, on a logarithmic scale, with each direction of the sweep in its own colour.

    Parameters
    ----------
    voltage : (T,)
        A sweep [V]; steps without change belong to the direction before them.
    current : (T,)
        [A]; its magnitude is drawn, 1e-15 A at least.
    """
    voltage, current = numbers(voltage, "voltage [V]", shape="(T,)"), numbers(current, "current [A]", shape="(T,)")
    current = np.maximum(np.abs(current), 1e-15)
    require(voltage.shape == current.shape, "current", f"have the shape of voltage {voltage.shape}", current.shape)
    ax = axes(ax)
    moving = np.flatnonzero(np.diff(voltage))
    turns = moving[1:][np.diff(np.sign(np.diff(voltage)[moving])) != 0]
    cuts = [0, *turns, voltage.size - 1]
    named = set()
    for start, end in zip(cuts[:-1], cuts[1:], strict=True):
        up = voltage[end] > voltage[start]
        label = "rising" if up else "falling"
        way = slice(start, end + 1)
        ax.semilogy(voltage[way], current[way], lw=1.4, color=COLOURS[0 if up else 1], label=None if label in named else label)
        named.add(label)
    ax.set_xlabel("voltage (V)")
    ax.set_ylabel("current (A)")
    ax.legend(frameon=False, labelcolor=GREY, fontsize="small")
    return ax


def beside(x: Any, measured: Any, simulated: Any, ax: Any = None, tolerance: Any = None) -> Any:
    """Simulation (line) beside measurement (points) at the same places.

    Parameters
    ----------
    x, measured, simulated : (K,)
        nan where there is nothing.
    tolerance : (K,), optional
        How well ``measured`` is known: error bars.
    """
    x, measured, simulated = (array_of(v, n) for n, v in (("x", x), ("measured", measured), ("simulated", simulated)))
    shapes = {x.shape, measured.shape, simulated.shape}
    if tolerance is not None:
        tolerance = array_of(tolerance, "tolerance").astype(float)
        good = tolerance.shape in ((), x.shape) and np.all((tolerance >= 0) & np.isfinite(tolerance))
        require(good, "tolerance", f"be finite and >= 0, one or {x.shape}", tolerance)
    require(len(shapes) == 1 and x.ndim == 1, "x, measured, simulated", "have one shape (K,)", shapes)
    ax = axes(ax)
    ax.plot(x, simulated, "-", lw=1.6, color=COLOURS[0], label="simulated")
    ax.errorbar(x, measured, tolerance, fmt="o", ms=5, color=COLOURS[1], capsize=2, label="measured")
    ax.legend(frameon=False, labelcolor=GREY, fontsize="small")
    return ax


def confusion(counts: Any, labels: Sequence[str] = (), ax: Any = None) -> Any:
    """Confusion matrix.

    Parameters
    ----------
    counts : (K, K)
        Utterances of true class (row) answered as class (column).
    labels : list of str
        Names of the K classes; none: their numbers.
    """
    counts = numbers(counts, "counts", (2,), "(K, K)")
    require(counts.shape[0] == counts.shape[1], "counts", "have the shape (K, K)", counts.shape)
    require(np.all(counts >= 0), "counts", "be >= 0", counts)
    ax = axes(ax)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    ax.imshow(share, cmap="viridis", vmin=0, vmax=1)
    texts = isinstance(labels, (list, tuple)) and all(isinstance(name, str) for name in labels)
    require(texts and len(labels) in (0, len(counts)), "labels", f"be a list of {len(counts)} texts", labels)
    names = list(labels) or [str(k) for k in range(len(counts))]
    places = range(0, len(counts), -(-len(counts) // _NAMED))  # at most _NAMED names, so that they do not overlap
    shown = [names[k] for k in places]
    # names are the user's: a $ in one begins no formula
    ax.set_xticks(places, shown, rotation=90 if max(map(len, shown)) > 2 else 0, fontsize="small", parse_math=False)
    ax.set_yticks(places, shown, fontsize="small", parse_math=False)
    if len(counts) <= _WRITTEN:
        for (row, column), value in np.ndenumerate(counts):
            ax.text(column, row, f"{value:g}", ha="center", va="center", color="black" if share[row, column] > 0.5 else "white")
    ax.set_xlabel("answered")
    ax.set_ylabel("true")
    return ax


def energy_split(parts: Mapping[str, float], ax: Any = None) -> Any:
    """Bars of the energy [J] by element or phase."""
    require(isinstance(parts, Mapping) and all(isinstance(name, str) for name in parts), "parts", "be a mapping of names to joules", parts)
    joules = [number(value, f"parts[{name!r}]") for name, value in parts.items()]
    ax = axes(ax)
    ax.barh(list(parts), [value * 1e12 for value in joules], color=[COLOURS[k % len(COLOURS)] for k in range(len(parts))])
    ax.invert_yaxis()
    ax.set_xlabel("energy (pJ)")
    return ax
