"""The class that a network answers, from its outputs summed over time; also relative to a speaker's earlier utterances."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import array_of, numbers, require


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


class Adapting:
    """Answers to one speaker, utterance after utterance, relative to what this speaker's earlier utterances had in common.

    A stranger's voice favours the same few outputs in every word. The mean of the sums so far, and of K utterances with sums of 0, shows
    which; the words need not be known. This mean is subtracted: K subtractions after the run, which leave the network as it is.

    All words should be said about equally often. If half of the words are the same one, adapting does more harm than good to voices like
    those of the training, and less good to strangers. For voices like those of the training, few utterances may cost a point (RESULTS.md).
    """

    def __init__(self) -> None:
        self.heard, self._total = 0, np.zeros((), np.float64)

    @property
    def common(self) -> np.ndarray:
        """(K,) what the sums have in common; () before the first utterance."""
        return self._total / (self.heard + self._total.size)

    def answer(self, sums: np.ndarray) -> int:
        """Class of the next utterance, of its sums over time (K,)."""
        sums = numbers(sums, "sums", shape="(K,)")  # one nan would be in all that follow
        require(self._total.shape in ((), sums.shape), "sums", "be those of an utterance, (K,), as many each time", sums.shape)
        found = int(winner(sums - self.common))
        self.heard, self._total = self.heard + 1, self._total + sums
        return found


def adapted(sums: np.ndarray) -> np.ndarray:
    """What :class:`Adapting` answers to one speaker's utterances, in this order: sums over time (B, K) -> (B,)."""
    sums = array_of(sums, "sums")
    require(sums.ndim == 2, "sums", "have the shape (B, K)", sums.shape)
    before = np.zeros(sums.shape)
    np.cumsum(sums[:-1], 0, out=before[1:], dtype=np.float64)
    return winner(sums - before / (np.arange(len(sums))[:, None] + sums.shape[1]))


_ORDERS = 20


def adapted_accuracy(sums: np.ndarray, labels: np.ndarray, speakers: np.ndarray | None) -> float | None:
    """Share of right answers where each speaker is adapted to (:func:`adapted`), the mean over random orders of the utterances.

    In sets with one or two utterances of each word by a speaker it may be a point or two too high: no word comes again soon.

    Parameters
    ----------
    sums : (B, K)
        Sums over time.
    labels, speakers : (B,) int
        Class and speaker of each utterance; speakers None where they are not known, which gives None.
    """
    sums, labels = numbers(sums, "sums", (2,), "(B, K)"), array_of(labels, "labels")
    require(labels.shape == sums.shape[:1], "labels", f"have the shape {sums.shape[:1]}, one an utterance", labels.shape)
    if speakers is None:
        return None
    require(np.shape(speakers) == labels.shape, "speakers", f"have the shape {labels.shape}, one an utterance", np.shape(speakers))
    rng, right = np.random.default_rng(0), 0
    for own in of_each(speakers):
        for _ in range(_ORDERS):
            order = rng.permutation(own)
            right += np.count_nonzero(adapted(sums[order]) == labels[order])
    return right / (_ORDERS * len(labels))


def of_each(speakers: np.ndarray) -> list[np.ndarray]:
    """Places, in rising order, of each speaker's utterances: of (B,) int."""
    starts = np.unique(np.sort(speakers), return_index=True)[1]
    return np.split(np.argsort(speakers, kind="stable"), starts[1:])


def ties(sums: np.ndarray) -> int:
    """Number of samples whose largest sum over time several outputs share, so that the answer is the first of these: of (..., K)."""
    return int(np.count_nonzero((sums == sums.max(-1, keepdims=True)).sum(-1) > 1))
