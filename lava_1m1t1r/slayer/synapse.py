"""lava-dl's synapses, whose weights start where a neuron fires, at first and whenever ``reset_parameters`` is called."""

from __future__ import annotations

import torch
from lava.lib.dl.slayer.synapse import layer
from torch.nn.utils import parametrize

from .remade import remake


def start(module: torch.nn.Module, name: str, values: torch.Tensor) -> None:
    """Give a parameter its first values, also a pruned one and one behind a norm or a parametrisation."""
    with torch.no_grad():
        if parametrize.is_parametrized(module, name):
            setattr(module, name, values)
            return
        behind = [module._parameters[key] for key in (f"{name}_v", f"{name}_orig", name) if key in module._parameters]
        behind[0].copy_(values)
        if f"{name}_g" in module._parameters:
            module._parameters[f"{name}_g"].copy_(torch.norm_except_dim(behind[0], 2, 0))


class _Started(torch.nn.Module):
    """A synapse that draws its weights uniformly, with a mean and a standard deviation that let neurons fire, as torch's own would not."""

    start: tuple[float, float] | None = None
    weight: torch.Tensor

    def start_weights(self, std: float, mean: float = 0.0) -> None:
        """Draw the weights, now and at each reset."""
        self.start = std, mean
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew, also pruned ones and those behind a norm."""
        if self.start is None:  # torch's constructor asks before a block knows its weights
            super().reset_parameters()
            return
        std, mean = self.start
        half = std * 3**0.5
        start(self, "weight", torch.empty_like(self.weight).uniform_(mean - half, mean + half))


def shrink(synapse: torch.nn.Module, divisor: torch.Tensor) -> None:
    """Divide a synapse's weights by a number, at once and whenever they are drawn anew."""
    with torch.no_grad():
        if parametrize.is_parametrized(synapse, "weight"):
            synapse.weight = synapse.weight / divisor
        else:  # behind a norm its magnitudes, behind pruning the original: what is made of them is made anew at each call
            behind = [synapse._parameters[name] for name in ("weight_g", "weight_orig", "weight") if name in synapse._parameters]
            behind[0].div_(divisor)
            remake(synapse)
    if getattr(synapse, "start", None) is not None:
        std, mean = synapse.start
        synapse.start = std / float(divisor), mean / float(divisor)


class Dense(_Started, layer.Dense):
    """``lava.lib.dl.slayer.synapse.Dense``."""


class Conv(_Started, layer.Conv):
    """``lava.lib.dl.slayer.synapse.Conv``."""


class Pool(_Started, layer.Pool):
    """``lava.lib.dl.slayer.synapse.Pool``, whose one weight is what it starts with."""
