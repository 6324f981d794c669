"""Predicted classes of an exported network, run in all available ways, and the agreement between them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from ..agreement import Agreement, agreement
from ..answers import adapted_accuracy, answers, over_time, ties, winner
from ..description import NetDescription
from ..errors import counted, require, whole
from ..fast import FastNetwork
from ..netx import hdf5
from ..netx.schema import described
from ..params import DEVIATING
from .data import Frames

_TOGETHER = 100  # utterances whose spikes are compared at once: some megabytes


@dataclass
class Evaluation:
    """Answers on a test set, and agreement between realisations."""

    accuracy: float
    """Share of right answers of the fixed-point network."""
    floating_accuracy: float | None
    """Share of right answers in floating point; None for networks with CUBA layers, which have no floating form."""
    same_answer: float | None
    """Share of utterances on which floating and fixed point give the same class."""
    confusion: np.ndarray
    """(K, K): utterances of true class (row) answered as class (column)."""
    spikes: float
    """Mean number of spikes of all layers in an utterance."""
    ties: int = 0
    """Number of answers of the fixed-point network that are the first of several outputs with the same sum: no more than guesses."""
    float_spikes: Agreement | None = None
    """Agreement of the layers' spikes in floating and fixed point, each free-running."""
    mismatches: dict[str, int] = field(default_factory=dict)
    """Number of values that differ from the fast path's, over all layers, by realisation."""
    compared: dict[str, int] = field(default_factory=dict)
    """Number of utterances compared, by realisation."""
    adapted_accuracy: float | None = None
    """Share of right answers of the fixed-point network that adapts to each speaker (:func:`.answers.adapted_accuracy`); None where
    speakers are not known."""

    @property
    def guesses(self) -> str:
        """Sentence that tells of ties; empty without any."""
        are = f"{counted(self.ties, 'answer')} {'is' if self.ties == 1 else 'are'}"
        return f"{are} the first of several classes with the same sum (of a silent network: all)" if self.ties else ""

    @property
    def adaptation(self) -> str:
        """Sentence that tells of answers to speakers who are adapted to; empty where speakers are not known."""
        if self.adapted_accuracy is None:
            return ""
        relative = "relative to the mean sums of the same speaker's utterances before, in random order"
        return f"{self.adapted_accuracy:.2%} correct when each answer is {relative}"

    def note(self, realisation: str, utterances: int, wrong: int) -> None:
        """Note how many of a realisation's values differ from the fast path's on so many utterances."""
        self.compared[realisation], self.mismatches[realisation] = utterances, wrong

    def note_lava(self, found: InLava) -> None:
        """Note what :func:`in_lava` found."""
        self.note("Lava fixed_pt", found.utterances, found.fixed_differs)
        if found.floating_differs is not None:
            self.note("Lava floating_pt against the fast floating path", found.utterances, found.floating_differs)

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers for ``results.json``."""
        return {
            "accuracy": self.accuracy,
            "floating_accuracy": self.floating_accuracy,
            "same_answer": self.same_answer,
            "spikes_per_utterance": self.spikes,
            "adapted_accuracy": self.adapted_accuracy,
            "ties": self.ties,
            "float_spikes": None if self.float_spikes is None else self.float_spikes.as_dict(),
            "mismatches": self.mismatches,
            "compared": self.compared,
            "confusion": self.confusion,
        }


def check_labels(test: Any, net: NetDescription) -> None:
    """Refuse ``test.labels`` that are no outputs of the network."""
    require(len(test) > 0, "test", "hold at least one sample", len(test))
    low, high = int(test.labels.min()), int(test.labels.max())
    rule = f"lie in 0..{net.outputs - 1}, one for each output of the network"
    require(0 <= low and high < net.outputs, "labels", rule, low if low < 0 else high, "Was it trained on other data?")


def evaluate(net: str | os.PathLike | NetDescription, test: Frames) -> tuple[Evaluation, Any]:
    """Run the fast path in fixed and floating point over a test set.

    Returns
    -------
    Evaluation, Result
        The result holds all layers' spikes of the fixed-point run.
    """
    net = described(net)
    require(isinstance(test, Frames) and len(test) > 0, "test", "be Frames of at least one utterance", test)
    check_labels(test, net)
    frames = test.dense()
    fixed = FastNetwork(net).run(frames, record="spikes")
    sums = over_time(fixed.out)
    given = winner(sums)
    classes = fixed.out.shape[2]
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (test.labels, given), 1)
    result = Evaluation(
        accuracy=float(np.mean(given == test.labels)),
        floating_accuracy=None,
        same_answer=None,
        confusion=confusion,
        ties=ties(sums),
        spikes=fixed.spike_count / len(test),
        adapted_accuracy=adapted_accuracy(sums, test.labels, test.speakers),
    )
    if net.has_floating:
        floating = FastNetwork(net, floating=True).run(frames, record="spikes")
        free = answers(floating.out)
        result.floating_accuracy = float(np.mean(free == test.labels))
        result.same_answer = float(np.mean(free == given))
        result.float_spikes = _agreement_of(fixed, floating)
    return result, fixed


def _agreement_of(one: Any, other: Any) -> Agreement | None:
    """Agreement of the spikes of all layers of two runs (Result) of one network; None where no layer has spikes."""
    total = None
    for layer, twin in zip(one.layers, other.layers, strict=True):
        if layer.spikes is None:  # a readout
            continue
        for start in range(0, len(layer.spikes), _TOGETHER):
            part = slice(start, start + _TOGETHER)
            found = agreement(layer.spikes[part], twin.spikes[part])
            total = found if total is None else total + found
    return total


def with_varied_devices(net: str | os.PathLike | NetDescription, level: float, seed: int) -> NetDescription:
    """Return the network on devices that differ.

    Parameters
    ----------
    net : path or NetDescription
        The network; layers of CUBA neurons stay as they are.
    level : float
        Standard deviation of the logarithm of each varied constant [1] (:meth:`.DeviceParams.with_variation`).
    seed : int
        Seed of the draw; each layer's devices are drawn about its own from (seed, layer).
    """
    net = described(net)
    seed = whole(seed, "seed")
    layers = []
    for layer in net.layers:
        if layer.step is not None:
            step = layer.step
            device = step.device.with_variation(level)
            # not by spread: a layer that training has spread with such a seed (Task.spread) would deviate by the same numbers again
            draws = np.random.default_rng([seed, layer.index, 1]).standard_normal((layer.size, len(DEVIATING)))
            device = device.deviating(draws) if device.varies else device
            layer = replace(layer, neuron=replace(layer.m1t1r, step=step.replace(device=device)))
        layers.append(layer)
    return replace(net, layers=tuple(layers))


def accuracy(net: str | os.PathLike | NetDescription, test: Frames) -> float:
    """Share of right answers of the fixed-point network."""
    net = described(net)
    check_labels(test, net)
    return float(np.mean(answers(FastNetwork(net).run(test.dense()).out) == test.labels))


class InLava(NamedTuple):
    """What Lava's own runtime made of some utterances."""

    utterances: int
    fixed_differs: int
    """Values of all layers that differ from the fast path's, in fixed point."""
    floating_differs: int | None
    """The same in floating point; None for networks with CUBA layers."""
    floating_answers: np.ndarray | None
    """(utterances,) classes, in floating point; None for networks with CUBA layers."""


def in_lava(net: NetDescription, test: Frames, fixed: Any, utterances: int) -> InLava:
    """Run the first utterances in Lava, in fixed point and, where the network has such a form, in floating point; count the values that
    differ.

    Parameters
    ----------
    net : NetDescription
        The network.
    test : Frames
        Test set.
    fixed : Result
        The fast path's fixed-point run of the test set, with all layers.
    utterances : int
        Number of utterances to run.
    """
    some = slice(utterances)
    frames = test.dense(some)
    lava = hdf5.predict(net, frames, backend="lava", record="spikes")
    wrong = differences([layer.out for layer in lava.layers], fixed, some)
    if not net.has_floating:
        return InLava(len(frames), wrong, None, None)
    floating = hdf5.predict(net, frames, backend="lava", tag="floating_pt", record="spikes")
    own = FastNetwork(net, floating=True).run(frames, record="spikes")
    return InLava(len(frames), wrong, differences([layer.out for layer in floating.layers], own, slice(None)), answers(floating.out))


def differences(outputs: list[np.ndarray], fast: Any, utterances: slice) -> int:
    """Number of values in which layers' outputs differ from the fast path's.

    Parameters
    ----------
    outputs : list of (B, T, N)
        Outputs of the layers, spikes or sums [counts].
    fast : Result
        The fast path's run, with all layers.
    utterances : slice
        Which of its utterances ``outputs`` are of.
    """
    return sum(int(np.sum(out != layer.out[utterances])) for out, layer in zip(outputs, fast.layers, strict=True))
