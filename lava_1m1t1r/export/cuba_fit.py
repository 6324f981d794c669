"""A current-based leaky integrate-and-fire neuron fitted to 1M1T1R neurons: the closest neuron that every NIR platform can run.

Per step: ``i = alpha i + a + bias``, ``v = beta v + i``, a spike and ``v = 0`` where ``v > threshold``: NIR's CubaLIF with forward Euler.
It has no residue, no latch, no clipping of its input; :func:`distance` says how far its spikes are from the neuron's.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._support.progress import bar
from ..cached import cached

KERNEL_STEPS = 10.0
"""Time constant of the filter through which spike trains are compared [steps]."""
_TRIALS = 400


class CubaFit(NamedTuple):
    """A fitted neuron, inputs in units."""

    alpha: float  # share of the current kept a step, 1 - dt / tau_syn
    beta: float  # share of the voltage kept a step, 1 - dt / tau_mem
    threshold: float
    bias: np.ndarray  # (N,) added to every step's input


@cached
def run_cuba(a_in, alpha, beta, threshold, bias, spike):
    """Run neurons, and write their spikes.

    Parameters
    ----------
    a_in : (B, T, N) float64
        Input in units.
    alpha, beta : float
        Shares of current and voltage kept in a step.
    threshold : float
        Threshold in units.
    bias : (N,) float64
        Constant input in units.
    spike : (B, T, N) int8
        Receives 1 where a neuron spikes, else 0.
    """
    for b in range(a_in.shape[0]):
        for n in range(a_in.shape[2]):
            i = 0.0
            v = 0.0
            for t in range(a_in.shape[1]):
                i = alpha * i + a_in[b, t, n] + bias[n]
                v = beta * v + i
                if v > threshold:
                    spike[b, t, n] = 1
                    v = 0.0
                else:
                    spike[b, t, n] = 0


@cached
def _distance(spike, target):
    kept = 1.0 - 1.0 / KERNEL_STEPS
    error = 0.0
    size = 0.0
    for b in range(spike.shape[0]):
        for n in range(spike.shape[2]):
            x = 0.0
            y = 0.0
            for t in range(spike.shape[1]):
                x = kept * x + spike[b, t, n] - target[b, t, n]
                y = kept * y + target[b, t, n]
                error += x * x
                size += y * y
    return error, size


def distance(spike: np.ndarray, target: np.ndarray) -> float:
    """Van Rossum's distance of spike trains (B, T, N), squared, against that of silence: 0 equal, 1 as far as silence is."""
    error, size = _distance(np.ascontiguousarray(spike, np.int8), np.ascontiguousarray(target, np.int8))
    return float(error / size) if size > 0 else float(error > 0)


def fit(a_in: np.ndarray, target: np.ndarray, seed: int = 0) -> tuple[CubaFit, float]:
    """The neurons whose spikes come nearest to ``target`` under the same input: one set of constants, a bias for each neuron.

    What is minimised is :func:`distance` and the squared error of the spike counts together: timing alone is best served by silence.

    Parameters
    ----------
    a_in : (B, T, N) float64
        Input in units.
    target : (B, T, N) int
        Spikes of the 1M1T1R neurons.
    seed : int
        Seed of the search: random trials, then smaller and smaller steps about the best.

    Returns
    -------
    CubaFit, float
        And its :func:`distance`; neurons of a layer that does not spike never spike either.
    """
    rng = np.random.default_rng(seed)
    target = np.ascontiguousarray(target, np.int8)
    a_in = np.ascontiguousarray(a_in, np.float64)
    size = a_in.shape[2]
    spike = np.empty(a_in.shape, np.int8)
    peak = float(np.abs(a_in).max()) or 1.0
    if not target.any():
        return CubaFit(0.5, 0.5, 1e3 * peak, np.zeros(size)), 0.0
    counts = _counts(target)

    def loss(f: CubaFit) -> float:
        run_cuba(a_in, *f, spike)
        return distance(spike, target) + float(np.square(_counts(spike) - counts).sum() / np.square(counts).sum())

    # log time constants [steps], log threshold [peak inputs], bias [peak inputs]
    low, high = np.array([np.log(1.001), np.log(1.001), np.log(0.02), -0.5]), np.array([np.log(60), np.log(60), np.log(50), 0.0])

    def natural(q: np.ndarray) -> CubaFit:
        return CubaFit(float(1 - np.exp(-q[0])), float(1 - np.exp(-q[1])), float(np.exp(q[2]) * peak), np.full(size, q[3] * peak))

    drawn = (rng.uniform(low, high) for _ in bar(range(_TRIALS), "searching CubaLIF"))
    best = min(drawn, key=lambda q: loss(natural(q)))
    least, width = loss(natural(best)), 0.25 * (high - low)
    for k in bar(range(_TRIALS), "fitting CubaLIF"):
        trial = np.clip(best + rng.normal(size=4) * width * 0.99**k, low, high)
        value = loss(natural(trial))
        if value < least:
            best, least = trial, value
    found = min((natural(best), _own_biases(natural(best), a_in, counts, peak)), key=loss)
    run_cuba(a_in, *found, spike)
    return found, distance(spike, target)


def _own_biases(f: CubaFit, a_in: np.ndarray, counts: np.ndarray, peak: float) -> CubaFit:
    """Each neuron's bias by bisection, so that it fires as often as its model."""
    low, high = np.full(a_in.shape[2], -2.0 * peak), np.full(a_in.shape[2], peak)
    spike = np.empty(a_in.shape, np.int8)
    wanted = counts.sum(axis=0)
    for _ in range(20):
        middle = 0.5 * (low + high)
        run_cuba(a_in, *f._replace(bias=middle), spike)
        many = _counts(spike).sum(axis=0) > wanted
        low, high = np.where(many, low, middle), np.where(many, middle, high)
    return f._replace(bias=low)


def _counts(spike: np.ndarray) -> np.ndarray:
    return spike.sum(axis=1, dtype=np.float64)
