"""Random numbers of one device: a counter-based generator, so that a device's noise depends only on its seed."""

from __future__ import annotations

from math import cos, log, pi, sqrt
from typing import Any

import numpy as np

from ..compiled import compiled
from ..noise import SPLITMIX_STEP, compiled_mixed


@compiled
def _share(state: Any) -> float:
    """Number in (0, 1) of a state of the generator: SplitMix64, see :func:`..noise.mixed`."""
    return float(np.float64(compiled_mixed(state) >> np.uint64(11)) + 0.5) * 2.0**-53


@compiled
def _gauss(first: float, second: float) -> float:
    """Standard normal number from two in (0, 1), by Box and Muller."""
    return sqrt(-2.0 * log(first)) * cos(2.0 * pi * second)


@compiled
def uniform(cell: Any) -> float:
    """Draw from (0, 1)."""
    cell.random += np.uint64(SPLITMIX_STEP)
    return _share(cell.random)


@compiled
def normal(cell: Any) -> float:
    """Draw from the standard normal distribution."""
    return _gauss(uniform(cell), uniform(cell))


@compiled
def normal_beside(cell: Any, k: int) -> float:
    """Draw number ``k`` from the standard normal distribution without moving the generator on: what is sampled changes no event."""
    # Mixed: counted on from the generator's own state, the next step's number would be this step's again.
    state = compiled_mixed(~cell.random) + np.uint64(2 * k) * np.uint64(SPLITMIX_STEP)
    return _gauss(_share(state), _share(state + np.uint64(SPLITMIX_STEP)))


def streams(seed: int, first: int, n: int) -> np.ndarray:
    """Return the starting points of the noise generators of neighbouring devices in an array.

    Parameters
    ----------
    seed : int
        Seed of the array.
    first : int
        Index of the first device within the array.
    n : int
        Number of devices.

    Returns
    -------
    (n,) uint64
        One per device, dependent on (seed, index) alone.
    """
    draw = [np.random.SeedSequence(seed, spawn_key=(i,)).generate_state(1, np.uint64)[0] for i in range(first, first + n)]
    return np.array(draw, np.uint64)
