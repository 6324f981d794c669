"""Figures of a trained network for its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import plot
from ..answers import winner
from ..arithmetic import WEIGHT_ONE
from ..fast.neurons import STATES
from ..program import StepParams


def rasters(frames: np.ndarray, result: Any, utterance: int, dt: float) -> Any:
    """Input, hidden spikes and the sums of the classes of one utterance.

    Parameters
    ----------
    frames : (B, T, C)
        Input spikes.
    result : Result
        Fixed-point run of these samples, with all layers' spikes.
    utterance : int
        Which of the samples.
    dt : float
        Network step [s].
    """
    figure = plot.figure(9, 8)
    axes = figure.subplots(3, 1, sharex=True, height_ratios=[3, 2, 1.3])
    plot.raster(frames[utterance], dt, axes[0]).set_ylabel("input channel")
    plot.raster(result.layers[0].spikes[utterance], dt, axes[1], plot.COLOURS[1]).set_ylabel("1M1T1R neuron")
    out = plot.axes(axes[2])
    sums = np.cumsum(result.out[utterance].astype(np.int64), 0) / WEIGHT_ONE
    best = int(winner(sums[-1]))
    for k in range(sums.shape[1]):
        out.plot(
            np.arange(len(sums)) * dt * 1e3, sums[:, k], lw=1.8 if k == best else 0.7, color=plot.COLOURS[2] if k == best else plot.GREY
        )
    out.set_ylabel("sum of each class")
    out.set_xlabel("time (ms)")
    for ax in axes[:2]:
        ax.set_xlabel("")
    return figure


def neuron_states(result: Any, utterance: int, step: StepParams, count: int = 3) -> Any:
    """The three states of the busiest hidden neurons over one utterance.

    Parameters
    ----------
    result : Result
        Fixed-point run with the states of all layers.
    utterance : int
        Which of the samples.
    step : StepParams
        Device and step of the hidden layer.
    count : int
        Most neurons to draw.
    """
    hidden = result.layers[0]
    count = min(count, hidden.spikes.shape[2])
    busiest = np.argsort(-hidden.spikes[utterance].sum(0, dtype=np.int64), kind="stable")[:count]
    time = np.arange(hidden.spikes.shape[1]) * step.dt
    figure = plot.figure(9, 2.2 * count)
    axes = figure.subplots(count, 1, sharex=True, squeeze=False)
    for ax, n in zip(axes[:, 0], busiest, strict=True):
        states = step.in_units(*(hidden.states[name][utterance][:, n] for name in STATES))
        shown = {"filament": states.filament, "residue": states.residue, "gate (V)": states.gate}
        plot.states(time, shown, ax)
        fired = time[hidden.spikes[utterance][:, n] > 0] * 1e3
        ax.vlines(fired, 0, 1, transform=ax.get_xaxis_transform(), color=plot.GREY, lw=0.6, ls=":")  # one artist, however many spikes
        ax.set_ylabel(f"neuron {n}")
        ax.set_ylim(-0.05, max(1.1, 1.05 * float(states.gate.max())))
    for ax in axes[:-1, 0]:
        ax.set_xlabel("")
    return figure


def training(curve: Sequence[Mapping[str, float]]) -> Any:
    """Loss and accuracies over the epochs.

    Parameters
    ----------
    curve : list of mappings
        Numbers of each epoch, as :func:`.fit.fit` finds them.
    """
    figure = plot.figure(9, 3.2)
    left, right = (plot.axes(ax) for ax in figure.subplots(1, 2))
    epochs = [numbers["epoch"] for numbers in curve]
    for ax, name, label, colour in (
        (left, "loss", "loss", plot.COLOURS[1]),
        (right, "train_accuracy", "training", plot.COLOURS[0]),
        (right, "accuracy", "validation", plot.COLOURS[2]),
    ):
        if any(name in numbers for numbers in curve):
            ax.plot(epochs, [numbers.get(name, np.nan) for numbers in curve], "o-", ms=3, lw=1.4, color=colour, label=label)
    for ax, name in ((left, "loss"), (right, "share of right answers")):
        ax.set_xlabel("epoch")
        ax.set_ylabel(name)
        ax.xaxis.get_major_locator().set_params(integer=True)
    right.legend(frameon=False, labelcolor=plot.GREY, fontsize="small")
    return figure


def confusion(counts: np.ndarray, keys: tuple[str, ...]) -> Any:
    """Confusion matrix of the test set; ``keys`` are names of its classes, and perhaps of more."""
    figure = plot.figure(7, 6.5)
    plot.confusion(counts, keys[: len(counts)], figure.subplots())
    return figure
