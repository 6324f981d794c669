"""Measurement of one training step, for any library. Needs numpy, where it measures, and no more: it also runs where this library is not
installed."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np

KEPT = (0.75, 0.97)
"""Share of current and of voltage that the peers' current-based LIF neurons keep in a step, in all tables of speed."""
TAU = 5.0
"""Time constant of their LIF neurons without a current [steps]."""


class Shape(NamedTuple):
    """Sizes of the network and of its batch."""

    batch: int = 64
    steps: int = 100
    inputs: int = 700
    hidden: int = 256
    outputs: int = 20
    rate: float = 0.05
    """Input spikes per step and channel [1]."""


class Step(NamedTuple):
    """Network of some library, ready for training steps."""

    ready: Callable[[np.ndarray, np.ndarray], tuple]  # spikes (B, T, C) bool and labels (B,) to the arguments of run
    run: Callable[..., float]  # forward, loss, backward; returns the hidden spikes a step and neuron
    turn: Callable[[float], Any] | None  # drive the hidden layer harder: 0 as built, from about -8 (silent) to 16


def measure(build: Callable[[Shape], Step], shape: Shape, repeats: int, activity: float) -> dict[str, float]:
    """Run a library's training step in this process.

    Parameters
    ----------
    build : callable
        Makes the network. Raises ImportError where its library is not installed.
    shape : Shape
    repeats : int
        Steps that are timed, after those that set the activity.
    activity : float
        Hidden spikes a step and neuron to aim at.

    Returns
    -------
    dict
        Least and median time and least processor time [ms]; hidden and input rate; memory of the step and of the process [MiB].
    """
    import numpy as np

    rng = np.random.default_rng(0)
    small = shape._replace(batch=2, steps=3)  # libraries loaded, loops compiled
    step = build(small)
    step.run(*step.ready(np.zeros((2, 3, shape.inputs), bool), np.zeros(2, int)))
    loaded = _peak()
    # a sample at a time: nine bytes a cell at once would be the largest memory of what needs less
    x = np.stack([rng.random((shape.steps, shape.inputs)) < shape.rate for _ in range(shape.batch)])
    step = build(shape)
    arguments = step.ready(x, rng.integers(0, shape.outputs, shape.batch))
    rate = step.run(*arguments)
    turn = step.turn
    if turn is not None:
        rate = tuned(lambda place: (turn(place), step.run(*arguments))[1], activity)
    wall, processor = [], []
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        step.run(*arguments)
        wall.append(1e3 * (time.perf_counter() - start))
        processor.append(1e3 * (time.process_time() - used))
    return {
        "least": min(wall),
        "median": float(np.median(wall)),
        "processor": min(processor),
        "rate": rate,
        "input rate": float(x.mean()),
        "memory": _peak() - loaded,
        "peak": _peak(),
    }


def tuned(rate_at: Callable[[float], float], target: float) -> float:
    """Find the drive at which the rate is about ``target``, leave it there, and return the rate reached.

    The rate rises with the drive until neurons latch, or saturate: the search comes from below, and stays at the highest rate where
    the target is out of reach.
    """
    best, low, high = (-1.0, -8.0), -8.0, -8.0
    while high < 16.0:
        rate = rate_at(high)
        best = max(best, (rate, high))
        if rate >= target or (best[0] > 0.2 * target and rate < 0.5 * best[0]):
            break
        low, high = high, high + 0.5
    if best[0] < target:
        return rate_at(best[1])
    nearest = (best[0] / target, best)
    for _ in range(8):
        if nearest[0] < 1.1:
            break
        middle = 0.5 * (low + high)
        rate = rate_at(middle)
        nearest = min(nearest, (max(rate / target, target / max(rate, 1e-9)), (rate, middle)))
        low, high = (middle, high) if rate < target else (low, middle)
    return rate_at(nearest[1][1])  # rates may jump: recurrent networks catch fire


def tell(work: Callable[..., dict[str, Any]], threads: int, **order: Any) -> int:
    """Print as JSON what ``work(**order)`` measures on at most ``threads`` cores, or {"missing": why} where its library is not installed;
    the exit code. For programs in an environment of their own."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])  # JAX starts as many threads as there are cores
    try:
        print(json.dumps(work(**order)))
    except ImportError as error:
        print(json.dumps({"missing": str(error)}))
    return 0


def _peak() -> float:
    """Largest resident memory of this process so far [MiB]."""
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * (1024 if sys.platform == "darwin" else 1))
