"""Training that starts from a network's file: its layers and devices, with a readout of the data's own classes where those differ."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from .._support.progress import hint
from ..description import NetDescription
from ..errors import listed, require
from ..layers import M1T1RNeuron
from .blocks import input_synapse
from .data import Split, names_of, numbered_as, occurring
from .task import Task


class Start(NamedTuple):
    """Where a training starts."""

    net: NetDescription
    split: Split
    """The data, with classes numbered as the network's outputs, and named as these where they have no names of their own."""
    classes: tuple[str, ...]
    """Names of the outputs; none where nothing names them."""
    outputs: int
    keeps_readout: bool
    """Whether the network's own readout goes on; otherwise the data's classes need another."""


OF_NETWORK = ("preset", "device", "slower", "refractory", "spread", "substeps", "v_unit", "delay_rec", "taps", "synaptic_delays", "smooth")
"""Fields of a Task that a network from a file has of its own."""


def suited(task: Task, net: NetDescription) -> Task:
    """A task's training, with the step and the inputs of a network.

    Raises
    ------
    InputError
        If the network hears images, or holds other neurons or none.
    """
    name, kinds = net.source or "network", {type(layer.neuron) for layer in net.active} - {M1T1RNeuron, type(None)}
    others = sorted(kind.__name__ for kind in kinds)
    require(not others, name, "hold 1M1T1R neurons", others, "Train others with lava-dl's own blocks.")
    require(net.active[0].conv is None, name, "hear channels", "images", "Train it with blocks of your own.")
    require(net.dt is not None, name, "hold neurons, and so the length of a step", "none")
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
    theirs, heard = names_of(split, needed), occurring(split.train, split.test)
    if net.classes and (set(heard) <= set(net.classes) if heard else needed <= net.outputs):
        if not heard and needed < net.outputs:
            first, cure = listed(net.classes[:needed], 3), "Are they others? Name them (keys)."
            hint(f"the classes of the data have no names: they are taken for the first of {name}'s ({first}). {cure}")
        train = numbered_as(net.classes, split.train, "the training set", name)
        train = replace(train, keys=net.classes)  # all of them, which a validation set may hold, also where its own are the first ones
        split = replace(split, train=train, test=numbered_as(net.classes, split.test, other=name))  # named, if they were not
        return Start(net, split, net.classes, net.outputs, True)
    if not net.classes and needed <= net.outputs:
        return Start(net, split, theirs if needed == net.outputs else (), net.outputs, True)
    known = f"({net.outputs}: {listed(net.classes, 3)})" if net.classes else f"({net.outputs} outputs)"
    own = f"({len(heard)}: {listed(heard, 3)})" if heard else f"(0 to {needed - 1})"
    hint(f"the classes of the data {own} are not those of {name} {known}: they get a readout of their own, which starts afresh.")
    return Start(net, split, theirs, needed, False)


def network(begin: Start, seed: int, **neuron: Any) -> Any:
    """The network to train; ``neuron`` as in :func:`.restore.restored`. Imports torch and lava-dl.

    Torch's generator is seeded with ``seed`` to draw another readout's first weights.

    Raises
    ------
    InputError
        If it holds what no block of this library trains, or needs another readout, and its last layer is none.
    """
    from .restore import keep_only, restored  # before torch: it says what to install

    net = begin.net
    made = restored(net, **neuron)
    import torch

    heard = _delays_heard(net)
    if heard is not None:
        keep_only(input_synapse(made.hidden), torch.from_numpy(heard))
    if begin.keeps_readout:
        return made
    from ..slayer import block

    last = net.active[-1]
    cure = "Name the data's classes as the network's, or start without it."
    require(last.kind == "affine", net.source or "network", "end in a readout (affine) that others can replace", last.kind, cure)
    torch.manual_seed(seed)
    made.blocks[-1] = block.m1t1r.Affine(None, last.inputs, begin.outputs)
    return made


def _delays_heard(net: NetDescription) -> np.ndarray | None:
    """Which of its inputs each neuron behind delay lines hears, (N, K C) bool, where it hears each channel at one delay at most, as where
    the delays of synapses were drawn; None: all.

    A synapse whose weight was rounded to 0 does not tell its delay: it goes on with the first one.
    """
    lines, first = net.delay_lines, net.active[0]
    if lines is None or lines.copies == 1 or first.weight is None or first.weight.ndim != 2:
        return None
    heard = (first.weight != 0).reshape(first.size, lines.copies, lines.inputs)
    if (heard.sum(1) > 1).any():
        return None
    heard[:, 0] |= ~heard.any(1)
    return heard.reshape(first.size, -1)
