"""The class that a network answers, from its sums over time."""

from __future__ import annotations

from typing import Any

import numpy as np


def winner(sums: Any) -> Any:
    """Class that a network answers: the output with the largest sum over time; of equals, the first.

    Parameters
    ----------
    sums : (..., K) array or tensor
        Sums over time of the K outputs.

    Returns
    -------
    (...) array or tensor of int
    """
    return sums.argmax(-1)


def over_time(out: np.ndarray) -> np.ndarray:
    """Sums over time of a network's output at every step, spikes or weighted sums: (..., T, K) -> (..., K)."""
    return out.sum(-2, dtype=np.float64 if out.dtype.kind == "f" else np.int64)


def answers(out: np.ndarray) -> np.ndarray:
    """Class of each sample (:func:`winner`) from a network's output at every step: (..., T, K) -> (...)."""
    return winner(over_time(out))


def ties(sums: np.ndarray) -> int:
    """Number of samples whose largest sum over time several outputs share, so that the answer is the first of these: of (..., K)."""
    return int(np.count_nonzero((sums == sums.max(-1, keepdims=True)).sum(-1) > 1))
