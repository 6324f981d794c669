"""Training that starts from a network's file: its layers and devices, with a readout of the data's own classes where those differ."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from .._support.progress import tell
from ..description import NetDescription
from ..errors import require
from .data import Split, listed, names_of, numbered_as
from .task import Task


class Start(NamedTuple):
    """Where a training starts."""

    split: Split
    """The data, with classes numbered as the network's outputs."""
    classes: tuple[str, ...]
    """Names of the outputs; none where nothing names them."""
    outputs: int
    keeps_readout: bool
    """Whether the network's own readout goes on; otherwise the data's classes need another."""


def suited(task: Task, net: NetDescription) -> Task:
    """A task's training, with the step and the inputs of a network.

    Raises
    ------
    InputError
        If the network hears images, or its file does not say how long its step is.
    """
    require(net.active[0].conv is None, net.source or "network", "hear channels", "images", "Train it with blocks of your own.")
    require(net.dt is not None, net.source or "network", "hold neurons, and so the length of a step", "none")
    return task.replace(dt=net.dt, channels=net.inputs, hidden=net.active[0].size)


def start(net: NetDescription, split: Split) -> Start:
    """Suit data and network to each other: outputs are known by the names of their classes, where both name them.

    Raises
    ------
    InputError
        If the data have fewer channels than the network has inputs.
    """
    most, name = split.train.n_channels, net.source or "network"
    require(net.inputs <= most, f"{split.name}: channels", f"be at least the {net.inputs} inputs of {name}", most, "Start without it.")
    labels = np.concatenate([split.train.labels, split.test.labels])
    needed = int(labels.max(initial=0)) + 1
    theirs = names_of(split, needed)
    if net.classes and theirs and set(theirs) <= set(net.classes):
        split = replace(split, train=numbered_as(net.classes, split.train), test=numbered_as(net.classes, split.test))
        return Start(split, net.classes, net.outputs, True)
    if not (net.classes and theirs) and needed <= net.outputs:
        return Start(split, net.classes or (theirs if needed == net.outputs else ()), net.outputs, True)
    known = f"({listed(net.classes, 3)})" if net.classes else f"({net.outputs} outputs)"
    own = f"({listed(theirs, 3)})" if theirs else f"(0 to {needed - 1})"
    tell(f"hint: the classes of the data {own} are not those of {name} {known}: they get a readout of their own, which starts afresh.")
    return Start(split, theirs, needed, False)


def network(net: NetDescription, begin: Start, seed: int, **neuron: Any) -> Any:
    """The network to train; ``neuron`` as in :func:`.restore.restored`. Imports torch and lava-dl.

    Raises
    ------
    InputError
        If it holds what no block of this library trains, or needs another readout, and its last layer is none.
    """
    from .restore import restored

    made = restored(net, sparse=_one_delay_a_synapse(net), **neuron)
    if begin.keeps_readout:
        return made
    import torch

    from ..slayer import block

    last = net.active[-1]
    cure = "Name the data's classes as the network's, or start without it."
    require(last.kind == "affine", net.source or "network", "end in a readout (affine) that others can replace", last.kind, cure)
    torch.manual_seed(seed)
    made.blocks[-1] = block.m1t1r.Affine(None, last.inputs, begin.outputs)
    return made


def _one_delay_a_synapse(net: NetDescription) -> bool:
    """Whether each neuron hears each channel at one of its delays at most, as where the delays of synapses were drawn."""
    lines = net.delay_lines
    if lines is None or net.active[0].weight.ndim != 2:
        return False
    heard = (net.active[0].weight != 0).reshape(net.active[0].size, lines.copies, lines.inputs)
    return lines.copies > 1 and bool((heard.sum(1) <= 1).all())
