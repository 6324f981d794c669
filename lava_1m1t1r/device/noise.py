"""Random numbers of one device: a counter-based generator, so that a device's noise depends only on its seed."""

from __future__ import annotations

from math import cos, log, pi, sqrt
from typing import Any

import numpy as np

from ..compiled import compiled
from ..noise import SPLITMIX_STEP, compiled_mixed


@compiled
def uniform(cell: Any) -> float:
    """Draw from (0, 1): SplitMix64, see :func:`..noise.mixed`."""
    cell.random += np.uint64(SPLITMIX_STEP)
    z = compiled_mixed(cell.random)
    return float(np.float64(z >> np.uint64(11)) + 0.5) * 2.0**-53


@compiled
def normal(cell: Any) -> float:
    """Draw from the standard normal distribution (Box and Muller)."""
    return sqrt(-2.0 * log(uniform(cell))) * cos(2.0 * pi * uniform(cell))


@compiled
def normal_beside(cell: Any, k: int) -> float:
    """Draw number ``k`` from the standard normal distribution without moving the generator on: what is sampled changes no event."""
    # Mixed: counted on from the generator's own state, the next step's number would be this step's again.
    start = compiled_mixed(~cell.random) + np.uint64(2 * k) * np.uint64(SPLITMIX_STEP)
    first, second = compiled_mixed(start), compiled_mixed(start + np.uint64(SPLITMIX_STEP))
    radius = sqrt(-2.0 * log(float(np.float64(first >> np.uint64(11)) + 0.5) * 2.0**-53))
    return radius * cos(2.0 * pi * float(np.float64(second >> np.uint64(11)) + 0.5) * 2.0**-53)


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
