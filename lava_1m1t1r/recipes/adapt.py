"""Adapting a network to a stranger: biases of its neurons are moved, by recordings whose words need not be known.

Some neurons spike more often in a stranger's utterances than they did in those of the training, whatever is said, and others less often.
Their biases are moved until all spike as often as in training. Nothing else of the network changes, so the result is a network like any
other: for a file, Lava, C or Verilog.

>>> from lava_1m1t1r.netx.schema import write
>>> from lava_1m1t1r.recipes import SHIPPED_NETWORK
>>> random = np.random.default_rng(0).random((60, 90, 140))
>>> of_training, heard = (random[:40] < 0.1).astype(int), (random[40:] < 0.12).astype(int)  # frames (B, T, C); in real use, of people
>>> usual = rates(SHIPPED_NETWORK, of_training)  # files that ``train`` has written hold it
>>> usual.shape  # of each neuron of the first layer
(128,)
>>> write("mine.net", adapted(SHIPPED_NETWORK, heard, usual))
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np

from ..answers import answers, of_each
from ..description import NetDescription, Usual, check_frames
from ..errors import given, numbers, require
from ..fast import FastNetwork
from ..layers import Layer, M1T1RNeuron
from ..netx import schema
from ..netx.schema import described, read
from ..sums import BIAS_BOUNDS
from .data import Frames

ROUNDS, STEP, WIDTH = 12, 10, 2 / 3
"""Number of rounds; largest move of a bias in the first of them [counts], which falls evenly to a twelfth in the last; and difference from
the usual number of spikes, as a share of the layer's mean, at which a move is three quarters of the largest. Chosen on four human speakers
with one network each."""
MOST_HEARD = 600
"""Number of utterances that tell well enough how often neurons spike."""
_Net = TypeVar("_Net")
_TOGETHER = 100  # utterances whose spikes are held at once


def drawn(of: int, most: int = MOST_HEARD) -> np.ndarray:
    """Places of so many utterances, in rising order, drawn once: the first ones of a sorted file are all of one word."""
    return np.sort(np.random.default_rng(0).permutation(of)[:most])


def rates(net: str | os.PathLike | NetDescription, frames: np.ndarray) -> np.ndarray:
    """Mean number of spikes of each neuron of the first layer in an utterance, in fixed point.

    Parameters
    ----------
    net : path or NetDescription
        Its first layer that computes is dense, recurrent or not, of 1M1T1R neurons.
    frames : (B, T, C) int
        Spike counts of each channel and step.

    Returns
    -------
    (N,) float

    Raises
    ------
    InputError
        For a network whose first layer is another one, and frames that do not fit it.
    """
    net = described(net)
    first_layer(net)
    frames = check_frames(frames, net)
    network, total = FastNetwork(net), np.zeros(net.active[0].size, np.int64)
    for start in range(0, len(frames), _TOGETHER):
        spikes = network.run(frames[start : start + _TOGETHER], record="spikes").layers[0].spikes
        assert spikes is not None  # for they are recorded
        total += spikes.sum((0, 1), dtype=np.int64)
    return total / len(frames)


def note_usual(path: str | os.PathLike, training: Frames) -> NetDescription:
    """Note in a network's ``.net`` file how often its neurons spike in its training, for :func:`adapted`; return what the file then holds.

    A network that cannot be adapted stays as it is (:func:`is_adaptable`).
    """
    net = read(path)
    if not is_adaptable(net):
        return net
    usual = usual_in(net, training)
    schema.note_usual(path, usual)
    return replace(net, usual=usual)


def usual_in(net: NetDescription, training: Frames) -> Usual:
    """Return how often the network's neurons spike in its training: :func:`rates` of :data:`MOST_HEARD` of these utterances."""
    frames = with_spikes(training.dense(drawn(len(training))))
    return Usual(rates(net, frames), frames.shape[1])


def with_spikes(frames: np.ndarray) -> np.ndarray:
    """Return those of utterances (B, T, C) that hold spikes, at least one: silence says nothing about a speaker."""
    filled = frames.any((1, 2))
    require(filled.any(), "utterances to adapt by", "hold spikes", f"{len(frames)} empty ones")
    return frames[filled]


def adapted(net: str | os.PathLike | NetDescription, heard: np.ndarray, usual: np.ndarray | None = None) -> NetDescription:
    """Return the network with biases under which each neuron of its first layer spikes as often as usual.

    In each round (:func:`nearest`) every bias is moved by up to :data:`STEP` counts, fewer from round to round.

    Parameters
    ----------
    net : path or NetDescription
        As for :func:`rates`. It may have been adapted before, to the same stranger or to another.
    heard : (B, T, C) int
        Utterances of the stranger, some tens at least; those without spikes are left out. It need not be known what was said, but it should
        be all words, about equally often: of one word alone, neurons are made to spike as they should in all, and the network may
        understand less than before.
    usual : (N,) float, optional
        Numbers of spikes in utterances of the training; default: those of the network's file, as ``train`` has noted them. Of a network
        without: :func:`rates` of some hundreds of these utterances, with the network as trained.

    Raises
    ------
    InputError
        For a network whose first layer is another one, numbers that do not fit it or that are not known, and utterances of other lengths.
    """
    net = described(net)
    place, layer = first_layer(net)
    usual = _usual_of(net, heard) if usual is None else numbers(usual, "usual")
    heard = with_spikes(check_frames(heard, net))
    require(usual.shape == (layer.size,), "usual", f"have the shape ({layer.size},), one a neuron of the first layer", usual.shape)
    require(usual.min() >= 0, "usual", "be numbers >= 0", usual.min())
    require(usual.max() > 0, "usual numbers of spikes", "not all be 0", 0, "Is the network silent?")
    bias = np.zeros(layer.size, np.int32) if layer.bias is None else layer.bias

    def moved(net: NetDescription, by: np.ndarray) -> NetDescription:
        nonlocal bias
        bias = np.clip(bias + np.rint(STEP * by).astype(np.int64), *BIAS_BOUNDS).astype(np.int32)
        return replace(net, layers=(*net.layers[:place], replace(layer, bias=bias), *net.layers[place + 1 :]))

    return nearest(net, usual, lambda net: rates(net, heard), moved)


def nearest(net: _Net, usual: np.ndarray, measured: Callable[[_Net], np.ndarray], moved: Callable[[_Net, np.ndarray], _Net]) -> _Net:
    """Move the neurons of a network in :data:`ROUNDS` rounds towards what is ``usual``, (N,); return the network, as given or after a
    round, that is nearest to it in the mean over neurons, of equals the first.

    Parameters
    ----------
    net : object
        A network of any kind.
    usual : (N,) float
        What is measured of each neuron in the training.
    measured : callable
        Measures it of a network with what is heard: (N,).
    moved : callable
        Returns a network whose neurons are moved by shares of the largest move, (N,) from -1 to 1.
    """
    best, least = net, np.inf
    for k in range(ROUNDS + 1):
        missing = usual - measured(net)
        off = float(np.abs(missing).mean())
        if off < least:
            best, least = net, off
        if k < ROUNDS:
            net = moved(net, (1 - k / ROUNDS) * np.tanh(missing / (WIDTH * np.abs(usual).mean())))
    return best


def _usual_of(net: NetDescription, heard: np.ndarray) -> np.ndarray:
    cure = "Give them: rates() of utterances of its training."
    usual = given(net.usual, net.source or "network", "say how often its neurons spike in its training", None, cure)
    good = np.ndim(heard) == 3 and np.shape(heard)[1] == usual.steps
    require(good, "heard", f"have shape (B, {usual.steps}, C), as many steps as utterances of the training", np.shape(heard))
    return usual.spikes


def accuracy_of_adapted(
    net: str | os.PathLike | NetDescription, frames: np.ndarray, labels: np.ndarray, speakers: np.ndarray | None
) -> float | None:
    """Share of right answers of the network, adapted to each speaker by one half of the utterances, on the other half.

    Parameters
    ----------
    net : path or NetDescription
        As for :func:`adapted`; it knows how often its neurons spike in its training.
    frames : (B, T, C) int
        Utterances.
    labels, speakers : (B,) int
        Their classes and speakers; speakers None where they are not known, which gives None, as a single utterance of a speaker does.
    """
    frames, labels = np.asarray(frames), np.asarray(labels)
    speakers = None if speakers is None else np.asarray(speakers)
    for name, values in (("labels", labels), ("speakers", speakers)):
        if values is not None:
            require(values.shape == frames.shape[:1], name, f"have the shape {frames.shape[:1]}, one an utterance", values.shape)
    net = described(net)

    def answer(heard: np.ndarray, rest: np.ndarray) -> np.ndarray:
        own = adapted(net, frames[heard]) if frames[heard].any() else net
        return answers(FastNetwork(own).run(frames[rest]).out)

    return accuracy_on_other_halves(answer, labels, speakers)


def accuracy_on_other_halves(
    answer: Callable[[np.ndarray, np.ndarray], np.ndarray], labels: np.ndarray, speakers: np.ndarray | None
) -> float | None:
    """Share of right answers on one half of each speaker's utterances, drawn once, of a network that was adapted by the other half.

    Parameters
    ----------
    answer : callable
        Adapts by utterances at places (H,), :data:`MOST_HEARD` at most, and returns the classes of those at places (R,).
    labels, speakers
        As for :func:`accuracy_of_adapted`.
    """
    if speakers is None or min(map(len, of_each(speakers))) < 2:
        return None
    rng, right, of = np.random.default_rng(0), 0, 0
    for own in map(rng.permutation, of_each(speakers)):
        heard, rest = own[: len(own) // 2], own[len(own) // 2 :]
        right += int(np.count_nonzero(answer(heard[:MOST_HEARD], rest) == labels[rest]))
        of += len(rest)
    return right / of


def is_adaptable(net: NetDescription) -> bool:
    """Whether the first layer that computes has 1M1T1R neurons with a bias each."""
    layer = net.active[0]
    return isinstance(layer.neuron, M1T1RNeuron) and layer.conv is None and layer.kind in ("dense", "dense_rec")


def first_layer(net: NetDescription) -> tuple[int, Layer]:
    """Place and description of the layer whose biases are adapted; networks that begin with another one are refused."""
    layer = net.active[0]
    neurons = "no" if layer.neuron is None else type(layer.neuron).__name__.removesuffix("Neuron")
    found = f"{neurons} neurons of kind '{layer.kind}'"
    require(is_adaptable(net), net.at(layer), "be dense, recurrent or not, of 1M1T1R neurons, to be adapted", found)
    return next(place for place, other in enumerate(net.layers) if other is layer), layer
