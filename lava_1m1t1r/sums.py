"""Bounds of counts, weights and biases, and of the weighted sums of a layer, which must fit the 32 (or fewer) bits of an implementation."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .errors import InputError, require, require_each

MAX_COUNT = (1 << 15) - 1
"""Largest number of spikes in a channel and step of the input."""
BIAS_BOUNDS = (-(1 << 12), (1 << 12) - 1)
"""Bounds of a bias in files [weight counts]: 13 bits with the sign."""
EVEN_WEIGHTS, ANY_WEIGHTS = (-256, 254), (-128, 127)
"""Bounds of 8-bit weights, in counts: lava-dl's, which are even, and others."""
WEIGHT_RULE = "even numbers from {} to {}, or any from {} to {}".format(*EVEN_WEIGHTS, *ANY_WEIGHTS)
"""The bounds in words."""
LARGEST_SUM = 2**31 - 1
"""Largest sum that 32 bits hold [counts]. Above it every realisation would wrap in its own way, and floating point not at all."""
_TOGETHER = 1 << 15  # weights whose magnitudes are in memory at a time


def weight_bounds(weight: np.ndarray) -> tuple[int, int]:
    """Bounds that these weights, whole numbers, must keep to: :data:`EVEN_WEIGHTS` or :data:`ANY_WEIGHTS`."""
    return EVEN_WEIGHTS if np.all(weight % 2 == 0) else ANY_WEIGHTS


def halved(weight: np.ndarray) -> tuple[np.ndarray, int]:
    """Weights, whole numbers, as 8 bits hold them: even ones by their halves; and the left shift, 1 or 0, that brings them back."""
    shift = int(weight_bounds(weight) == EVEN_WEIGHTS)
    return weight >> shift, shift


def within_8_bits(weight: np.ndarray) -> bool:
    """Whether weights, whole numbers, keep to :data:`WEIGHT_RULE`."""
    low, high = weight_bounds(weight)
    return bool(weight.min() >= low and weight.max() <= high)


def require_8_bits(weight: np.ndarray, field: str, error: type[Exception] = InputError) -> None:
    """Refuse weights, whole numbers, that do not keep to :data:`WEIGHT_RULE`, by one that breaks it."""
    if within_8_bits(weight):
        return
    (lowest, highest), (low, high) = EVEN_WEIGHTS, ANY_WEIGHTS
    odd, large = weight % 2 != 0, (weight < low) | (weight > high)
    wrong = (weight < lowest) | (weight > highest) | (odd & large)
    if not wrong.any():  # either kind would do alone: the rarer one is the mistake
        wrong = odd if odd.sum() <= large.sum() else large
    require_each(~wrong, field, f"fit 8 signed bits: {WEIGHT_RULE}", weight, "Quantise the weights as lava-dl does.", error)


class SumBounds(NamedTuple):
    """Bounds of the sums of a layer's input, bias and recurrence [weight counts]."""

    of_rows: int
    """Largest sum of the magnitudes of the weights that reach a neuron from the input."""
    largest: int
    """Largest magnitude of such a weight."""
    rest: int
    """Largest sum of the magnitudes of a neuron's bias and of its weights from the layer's own spikes."""

    def reach(self, largest: float, together: float) -> float:
        """Bound of the sums under counts of at most ``largest``, at most ``together`` of them in a step."""
        return min(largest * self.of_rows, together * self.largest) + self.rest

    def limit(self, largest: int = LARGEST_SUM) -> int:
        """Largest count of an input, in any number of inputs at once, with which no sum exceeds ``largest``."""
        return max((largest - self.rest) // max(self.of_rows, 1), 0)

    def check(self, largest: float, together: float, name: str = "frames") -> None:
        """Refuse counts if they may take a sum out of 32 bits; the InputError names the largest counts that cannot.

        Parameters
        ----------
        largest : float
            Largest count of an input.
        together : float
            Largest sum of the counts of a step.
        name : str
            What errors call the counts.
        """
        most = self.limit()
        rule = f"hold counts of at most {most}, or so few that no sum of the first layer can leave 32 bits"
        shown = f"counts up to {largest:.0f}, {together:.0f} in a step"
        require(self.reach(largest, together) <= LARGEST_SUM, name, rule, shown, "Use smaller counts or weights.")


def bounds_of(weight: Any, weight_rec: Any = None, bias: Any = None) -> SumBounds:
    """Return the bounds of a layer's weighted sums.

    Parameters
    ----------
    weight : (N, ...) int
        Weights [counts]; row n leads to neuron n.
    weight_rec : (N, N) int, optional
        Recurrent weights [counts].
    bias : (N,) int, optional
        Bias [counts].

    Returns
    -------
    SumBounds
    """
    rows, largest = _magnitudes(weight)
    rest = np.zeros(1, np.int64) if weight_rec is None else _magnitudes(weight_rec)[0]
    rest = rest + (0 if bias is None else np.abs(np.asarray(bias, np.int64)))
    return SumBounds(int(rows.max(initial=0)), largest, int(rest.max(initial=0)))


def _magnitudes(weight: Any) -> tuple[np.ndarray, int]:
    """Sums (N,) int64 of the magnitudes in each row of weights (N, ...), and the largest one; some rows at a time, to save memory."""
    weight = np.asarray(weight)
    flat = weight.reshape(len(weight), -1)
    sums, largest = np.zeros(len(flat), np.int64), 0
    together = max(1, _TOGETHER // max(flat.shape[1], 1))
    for start in range(0, len(flat), together):
        part = np.abs(flat[start : start + together].astype(np.int64))
        part.sum(axis=1, out=sums[start : start + together])
        largest = max(largest, int(part.max(initial=0)))
    return sums, largest
