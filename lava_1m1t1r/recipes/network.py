"""The trainable networks of the recipes: recurrent 1M1T1R, and the CUBA network they are compared with."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._support.lava_loading import load_lava
from .._support.paths import path_of
from ..errors import require
from ..netx import schema
from .blocks import computes, first_computing
from .task import Task

dl = load_lava("lava.lib.dl.slayer", "Building a trainable network")  # before torch: it says what to install
import torch  # noqa: E402

from .. import slayer  # noqa: E402
from ..slayer.block.lines import DelayLines  # noqa: E402
from ..slayer.checks import check_parameters  # noqa: E402
from . import synaptic_delays  # noqa: E402
from .smooth import Smooth  # noqa: E402


class Network(torch.nn.Module):
    """Blocks in a row: frames (B, C, T) to the last block's output (B, K, T), of a task's networks weighted sums.

    Noise of a block's neurons is drawn by its place, as in the file that :meth:`export` writes.

    Parameters
    ----------
    blocks : list of torch.nn.Module
        Without ``count_log``, which makes of a block's output two; :meth:`layers` has the spikes of all.
    origin : str
        Name and digest of the network that the blocks were restored from, if they were: a checkpoint of another origin is not resumed.
    """

    def __init__(self, blocks: list[torch.nn.Module], origin: str = "") -> None:
        super().__init__()
        good = isinstance(blocks, (list, tuple, torch.nn.ModuleList)) and all(isinstance(block, torch.nn.Module) for block in blocks)
        require(good and len(blocks) > 0, "Network.blocks", "be a list of blocks", blocks)
        for place, block in enumerate(blocks):
            cure = "Count the spikes of Network.layers instead."
            require(not getattr(block, "count_log", False), f"Network.blocks: layer/{place}", "have count_log=False", True, cure)
        neurons = {place: getattr(block, "neuron", None) for place, block in enumerate(blocks)}
        ours = {place: neuron for place, neuron in neurons.items() if isinstance(neuron, slayer.neuron.Neuron)}
        steps = {f"layer/{place}": neuron.nominal.dt for place, neuron in ours.items()}
        require(len(set(steps.values())) <= 1, "Network.blocks: dt [s]", "be equal in all layers", steps)
        self.origin = origin
        self.blocks = torch.nn.ModuleList(blocks)
        for place, neuron in ours.items():
            neuron.layer = place

    def extra_repr(self) -> str:
        return f"from {self.origin}" if self.origin else ""

    @property
    def device(self) -> torch.device:
        """Where the parameters lie; lava-dl's ``Assistant.valid`` asks for it."""
        return next((value.device for value in self.parameters()), torch.device("cpu"))

    @property
    def hidden(self) -> torch.nn.Module:
        """The first block that computes."""
        return first_computing(self.blocks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return x

    def layers(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Output of every block that computes, (B, N, T) each, of images (B, C, H, W, T)."""
        outputs = []
        for block in self.blocks:
            x = block(x)
            if computes(block):
                outputs.append(x)
        return outputs

    def export(self, path: str | os.PathLike, classes: Sequence[str] = ()) -> None:
        """Write the ``.net`` file, whole or not at all; ``classes`` are the names of the outputs, if they have some.

        Raises
        ------
        InputError
            If a weight or another parameter is nan or infinite, a module is no block, blocks do not fit each other, or ``path`` is not one
            of a file; what was there stays.
        """
        path = path_of(path)
        for index, block in enumerate(self.blocks):
            cure = "Files hold blocks of lava-dl and of this library; what is for training alone belongs into the training loop."
            require(hasattr(block, "export_hdf5"), f"layer/{index}", "be a block that writes itself", type(block).__name__, cure)
            check_parameters(block, f"layer/{index}")  # lava-dl's own blocks do not
            neuron = getattr(block, "neuron", None)
            known = neuron is None or isinstance(neuron, slayer.neuron.Neuron) or getattr(neuron, "shape", ()) is not None
            require(known, f"layer/{index}", "know the size of its output", None, "Run the network once: lava-dl's blocks learn it then.")
        path.parent.mkdir(parents=True, exist_ok=True)
        with schema.written(path, classes) as layers:
            for index, block in enumerate(self.blocks):
                block.export_hdf5(layers.create_group(str(index)))
            outputs = int(np.prod(layers[str(len(self.blocks) - 1)]["shape"]))
            require(len(classes) in (0, outputs), "classes", f"name the {outputs} outputs, or none", classes)


def before(task: Task) -> list[torch.nn.Module]:
    """Blocks before the recurrent layer of a task's networks: its delay lines, if it has some."""
    return [] if task.taps == (0,) else [DelayLines(task.channels, task.taps)]


def wire(synapse: Any, task: Task) -> None:
    """Smooth the weights of a task's inputs, and draw the delays of synapses, as the task asks."""
    if task.smooth:
        Smooth(synapse, task.smooth, len(task.taps))
    chosen = synaptic_delays.drawn(task)
    if chosen is not None:
        synaptic_delays.Drawn(synapse, chosen)


SURROGATE = {"grow_cap": 0.3, "grow_floor": 0.1}
"""Bounds of the growth's derivative that trained best on SpokenDigits (see slayer.surrogate)."""


def m1t1r(task: Task, **neuron: Any) -> Network:
    """The recurrent 1M1T1R network of a task: channels (delay lines) - hidden (recurrent, delayed) - weighted sums of the classes.

    Torch's generator is seeded with the task's seed, to draw the first weights. ``neuron`` overrides arguments of
    :class:`..slayer.neuron.Neuron`.
    """
    params = {
        **slayer.neuron.arguments_of(task.step, task.seed),
        "params": task.devices,
        "variation": task.variation,
        "learn": task.learn,
        **SURROGATE,
        **neuron,
    }
    torch.manual_seed(task.seed)
    delays = np.random.default_rng(task.seed).integers(0, task.delay_rec + 1, task.hidden)
    block = slayer.block.m1t1r
    hidden = block.Recurrent(params, task.lines, task.hidden, bias=True, delay_rec=delays)
    wire(hidden.input_synapse, task)
    return Network([*before(task), hidden, block.Affine(None, task.hidden, task.classes)])


CUBA_LEARNING_RATE = 0.005
"""Learning rate of the CUBA network: at the 1M1T1R networks' own rates it is 4 points less accurate, with fewer spikes."""


class Cuba(Network):
    """lava-dl's own recurrent CUBA layer before the same readout; its states are reset by hand, since lava-dl keeps them."""

    def rest(self, device: torch.device) -> None:
        """Put the hidden layer to rest."""
        hidden = self.hidden
        hidden.neuron.current_state = torch.zeros(1, device=device)
        hidden.neuron.voltage_state = torch.zeros(1, device=device)
        hidden.spike_state = torch.zeros(1, device=device)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.rest(x.device)
        return super().forward(x)

    def layers(self, x: torch.Tensor) -> list[torch.Tensor]:
        self.rest(x.device)
        return super().layers(x)


def cuba(task: Task) -> Cuba:
    """CUBA network with the shape, weights' precision and training of :func:`m1t1r`, which seeds torch's generator, too."""
    torch.manual_seed(task.seed)
    params = {"threshold": 1.25, "current_decay": 0.5, "voltage_decay": 0.15, "tau_grad": 0.03, "scale_grad": 3, "requires_grad": True}
    hidden = dl.block.cuba.Recurrent(params, task.lines, task.hidden, weight_scale=1.5)
    # as lava-dl keeps the neuron's states: a checkpoint that held a batch's spikes would not fit a network made anew
    hidden.register_buffer("spike_state", hidden.spike_state, persistent=False)
    wire(hidden.input_synapse, task)
    return Cuba([*before(task), hidden, slayer.block.m1t1r.Affine(None, task.hidden, task.classes)])
