"""Synaptic delays: each synapse is connected to one of a channel's delay lines, drawn once, with one weight.

There are as many weights as without lines, and each neuron has its own delays. In the network's file all other weights are 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn.utils import parametrize

from .smooth import kernel, smoothed
from .task import Task


def drawn(task: Task) -> torch.Tensor | None:
    """Which of its inputs each recurrent neuron hears, (N, K C) bool, from the task's seed; None: all of them."""
    if not task.synaptic_delays or len(task.taps) == 1:
        return None
    line = np.random.default_rng([task.seed, 1]).integers(0, len(task.taps), (task.hidden, 1, task.channels))
    return torch.from_numpy((line == np.arange(len(task.taps))[:, None]).reshape(task.hidden, task.lines))


class Drawn(torch.nn.Module):
    """Quantisation of a synapse's weights, of which those that were not drawn are 0.

    It becomes a part of the synapse, ``drawn``, and a state dict holds which were.

    Parameters
    ----------
    synapse : lava-dl's dense synapse
        Its weights, made for sums over all inputs, are scaled so that those over the synapses drawn have the same spread.
    chosen : (N, C) bool
    """

    def __init__(self, synapse: Any, chosen: torch.Tensor) -> None:
        super().__init__()
        self.quantise = synapse.pre_hook_fx
        self.register_buffer("chosen", chosen)
        with torch.no_grad():
            synapse.weight /= chosen.float().mean().sqrt()
        synapse.drawn, synapse.pre_hook_fx = self, self.forward

    def forward(self, weight: torch.Tensor, descale: bool = False) -> Any:
        """Quantised weights; ``descale`` as lava-dl has it."""
        quantised = weight if self.quantise is None else self.quantise(weight, descale=descale)
        return quantised * self.chosen.to(quantised).reshape(quantised.shape)


class _DrawnWeight(torch.nn.Module):
    """Parametrization that does the same for a weight (N, C) of torch's own."""

    def __init__(self, chosen: torch.Tensor, channels: int, deviation: float) -> None:
        super().__init__()
        self.register_buffer("chosen", chosen)
        self.kernel = kernel(channels, deviation) if deviation else None

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        if self.kernel is not None:
            weight = smoothed(weight, self.kernel.to(weight))
        return weight * self.chosen


def draw_weight(module: torch.nn.Module, name: str, chosen: torch.Tensor, task: Task) -> None:
    """Restrict a module's weight to the synapses drawn, and smooth it as the task asks; its spread stays what it was.

    Parameters
    ----------
    module : torch.nn.Module
        Module that holds the weight.
    name : str
        Name of the weight (N, K C) in it.
    chosen : (N, K C) bool
        Synapses that exist.
    task : Task
        Its ``channels`` and ``smooth`` count.
    """
    part = _DrawnWeight(chosen, task.channels, task.smooth)
    if part.kernel is not None:
        with torch.no_grad():
            getattr(module, name).div_(part.kernel[task.channels // 2].norm())
    parametrize.register_parametrization(module, name, part)


def size_of(network: torch.nn.Module) -> int:
    """Number of weights and other values that a network learns; synapses that were not drawn do not count."""
    missing = sum(int((~part.chosen).sum()) for part in network.modules() if isinstance(part, (Drawn, _DrawnWeight)))
    return sum(p.numel() for p in network.parameters() if p.requires_grad) - missing
