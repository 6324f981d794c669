"""How far the spikes of two runs of the same neurons agree."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import array_of, require


@dataclass(frozen=True)
class Agreement:
    """Spikes of two runs, paired one to one per neuron."""

    same: int
    """Number of pairs of spikes in the same step."""
    within_one: int
    """Number of further pairs whose spikes are one step apart."""
    unmatched: tuple[int, int]
    """Numbers of spikes without a partner in the first and in the second run."""

    @property
    def share(self) -> float:
        """Pairs at the same step +- 1, as a share of the larger number of spikes; 1 where there are none [1]."""
        pairs = self.same + self.within_one
        most = pairs + max(self.unmatched)
        return pairs / most if most else 1.0

    def __add__(self, other: Agreement) -> Agreement:
        first, second = (a + b for a, b in zip(self.unmatched, other.unmatched, strict=True))
        return Agreement(self.same + other.same, self.within_one + other.within_one, (first, second))

    def as_dict(self) -> dict[str, Any]:
        """Return counts and share, for JSON."""
        return {**dataclasses.asdict(self), "share": self.share}

    def __str__(self) -> str:
        a, b = self.unmatched
        return f"{self.share:.2%} of spikes within one step ({self.same} same step, {self.within_one} one off, {a} and {b} unmatched)"


def agreement(first: np.ndarray, second: np.ndarray) -> Agreement:
    """Pair the spikes of two runs, (..., T, N) bool each: same step before one step off, early before late."""
    first, second = (array_of(a, "agreement").astype(bool) for a in (first, second))
    shapes = first.shape, second.shape
    require(first.ndim >= 2 and first.shape == second.shape, "agreement", "get two (..., T, N) arrays of one shape", shapes)
    same = first & second
    a, b = first & ~same, second & ~same
    close = 0
    for t in range(1, a.shape[-2]):
        for earlier, later in ((a, b), (b, a)):
            pair = earlier[..., t - 1, :] & later[..., t, :]
            close += int(pair.sum())
            earlier[..., t - 1, :] &= ~pair
            later[..., t, :] &= ~pair
    return Agreement(int(same.sum()), close, (int(a.sum()), int(b.sum())))
