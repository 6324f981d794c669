"""What a layer's neurons did: how often they fired, and which stayed silent or latched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .program import StepParams
from .reference import Traces

DRAIN_TIMES = 10.0
"""Factor on the time that a gate takes to drain from the largest input: a neuron counts as latched once its gate stays above threshold for
so much longer without a spike in between, in a shorter sample for more than half of it."""
LEAST_DRAIN_TIMES = 2.0
"""The same factor in the shortest samples that tell of it: what stays above threshold no longer than this may have fired just once."""


class Activity(NamedTuple):
    """Activity of a layer's neurons over all samples."""

    spikes: int
    silent: list[int]
    """Neurons without any spike."""
    latched: list[int]
    """Neurons whose gate stayed above threshold longer than draining explains (:func:`latching_run`), in at least one sample."""
    untold: list[int]
    """Neurons that drain so slowly that no sample is long enough to tell whether they latch."""


def drain_steps(params: StepParams) -> np.ndarray:
    """Network steps a gate needs from ``v_in_max`` down to the threshold, (1,) or (N,)."""
    d = params.device
    ratio = np.maximum(params.v_in_max / np.atleast_1d(np.asarray(d.v_th)), 1.0)
    return np.asarray(d.r_control) * d.c_gate * np.log(ratio) / params.dt


def latching_run(params: StepParams, steps: int) -> np.ndarray:
    """Steps that the gate may stay above threshold without a spike, (1,) or (N,), before the neuron counts as latched in a sample of
    ``steps``; as many as that or more where the sample is too short to tell."""
    drain = drain_steps(params)
    return np.maximum(LEAST_DRAIN_TIMES * drain, np.minimum(DRAIN_TIMES * drain, steps / 2)) + 1


def longest_true(on: np.ndarray) -> np.ndarray:
    """Longest run of True along the first axis: (T, N) to (N,)."""
    longest = run = np.zeros(on.shape[1], np.int64)
    for row in on:
        run = np.where(row, run + 1, 0)
        longest = np.maximum(longest, run)
    return longest


def latched(params: StepParams, above: np.ndarray, spike: np.ndarray) -> np.ndarray:
    """Find the neurons that latch in a sample, (N,) bool: none whose gate drains so slowly that the sample cannot tell.

    Parameters
    ----------
    params : StepParams
        The layer's.
    above : (T, N) bool
        Whether the gate is above threshold at the end of each step.
    spike : (T, N) bool
        True where the gate crossed the threshold within the step; elsewhere a gate that is above it at both ends has stayed above.
    """
    return longest_true(above & ~spike) > latching_run(params, len(above))


def activity(params: StepParams, runs: Sequence[Traces]) -> Activity:
    """Find silent and latched neurons of a layer.

    Parameters
    ----------
    params : StepParams
        The layer's.
    runs : sequence of Traces of (T, N)
        One a sample, in counts.
    """
    size = runs[0].spike.shape[1]
    v_th = params.fixed(size).v_th
    spikes = np.sum([r.spike.sum(0) for r in runs], 0)
    held = np.any([latched(params, r.gate > v_th, r.spike) for r in runs], 0)
    longest = max(len(r.spike) for r in runs)
    untold = np.broadcast_to(latching_run(params, longest) >= longest, (size,))
    silent, latching, unknown = (np.flatnonzero(which).tolist() for which in (spikes == 0, held, untold))
    return Activity(int(spikes.sum()), silent, latching, unknown)
