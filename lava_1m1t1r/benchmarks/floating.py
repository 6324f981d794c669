"""Networks run in torch over a test set, and peers adapted to strangers as :mod:`..recipes.adapt` adapts 1M1T1R."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np
import torch

from ..answers import winner
from ..recipes.adapt import accuracy_on_other_halves, nearest
from ..recipes.data import Frames
from ..recipes.fit import scores

_BATCH = 200


class Run(NamedTuple):
    """What a network does with B utterances."""

    sums: np.ndarray
    """(B, K) outputs, summed over time."""
    active: float
    """Mean number of values of the hidden block in an utterance that are not 0."""
    means: np.ndarray
    """(N,) mean output of each hidden neuron."""


def run(net: Any, frames: Frames, part: np.ndarray | None = None) -> Run:
    """Run a :class:`..recipes.network.Network` without gradients on utterances ``part`` (all by default)."""
    part = np.arange(len(frames)) if part is None else part
    active, means, sums = 0, np.zeros(()), []

    def note(_block: Any, _x: Any, out: torch.Tensor) -> None:
        nonlocal active, means
        active += int(torch.count_nonzero(out))
        means = means + out.mean(-1).sum(0).numpy() / len(part)

    hook = net.hidden.register_forward_hook(note)
    try:
        with torch.no_grad():
            for start in range(0, len(part), _BATCH):
                x = torch.from_numpy(frames.dense(part[start : start + _BATCH])).float().transpose(1, 2).contiguous()
                sums.append(scores(net(x)).numpy())
    finally:
        hook.remove()
    return Run(np.concatenate(sums), active / len(part), means)


def accuracy_of_adapted(net: Any, usual: np.ndarray, test: Frames) -> float | None:
    """As :func:`..recipes.adapt.accuracy_of_adapted`, of a network whose hidden block has ``shift``, as those of :mod:`.peers`.

    Parameters
    ----------
    net : Network
        Unchanged afterwards.
    usual : (N,)
        Mean output of each hidden neuron in utterances of the training.
    test : Frames
        Utterances, of speakers that are known.
    """
    if not usual.any():  # a silent network
        return None

    def moved(own: Any, by: np.ndarray) -> Any:
        own = copy.deepcopy(own)
        own.hidden.shift(torch.from_numpy(by.astype(np.float32)))
        return own

    def answer(heard: np.ndarray, rest: np.ndarray) -> np.ndarray:
        own = nearest(net, usual, lambda own: run(own, test, heard).means, moved)
        return winner(run(own, test, rest).sums)

    return accuracy_on_other_halves(answer, test.labels, test.speakers)
