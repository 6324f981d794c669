"""Synaptic delays: each synapse is connected to one of a channel's delay lines, drawn once, with one weight.

There are as many weights as without lines, and each neuron has its own delays. In the network's file all other weights are 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..slayer.synapse import shrink
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
        Of a block with a bias, whose weights start with a mean of 0. These, made for sums over all inputs, are scaled so that those over
        the synapses drawn have the same spread.
    chosen : (N, C) bool
    """

    def __init__(self, synapse: Any, chosen: torch.Tensor) -> None:
        super().__init__()
        self.quantise = synapse.pre_hook_fx
        self.register_buffer("chosen", chosen)
        shrink(synapse, chosen.float().mean().sqrt())
        synapse.drawn, synapse.pre_hook_fx = self, self.forward

    def forward(self, weight: torch.Tensor, descale: bool = False) -> Any:
        """Quantised weights; ``descale`` as lava-dl has it."""
        quantised = weight if self.quantise is None else self.quantise(weight, descale=descale)
        return quantised * self.chosen.to(quantised).reshape(quantised.shape)
