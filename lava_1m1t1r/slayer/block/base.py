"""The base of all blocks with neurons, and checks of a block's arguments."""

from __future__ import annotations

import copy
import warnings
from inspect import signature
from typing import Any

import torch

from ...errors import flag, number, require, whole
from ...noise import MOST_NEURONS
from ..checks import check_parameters, check_tensor
from ..delay import Delay
from ..exact import real
from ..neuron.m1t1r import Neuron
from ..remade import remake

_MOST = 1 << 24  # inputs of a layer


class Block(torch.nn.Module):
    """Base of all blocks with neurons.

    Synapse and neurons work together in compiled loops: forward hooks on ``synapse`` and ``neuron`` are not called, those on the block
    are. An average of models (``torch.optim.swa_utils.AveragedModel``) keeps its ``use_buffers=False``: torch would truncate delays.
    Outputs have time before neurons in memory, so they take ``reshape`` and no ``view``. Networks of 16-bit numbers give those of 32,
    except behind norms of weights, which torch computes in 16.
    """

    neuron: Neuron | None
    delay: Delay | None
    delay_shift: bool
    count_log: bool

    def __deepcopy__(self, memo: dict[int, Any]) -> Block:
        """torch copies no tensor that was computed, as pruned and normed weights are, and recorded states: the copy has their values."""
        for module in self.modules():
            computed = (value for value in vars(module).values() if isinstance(value, torch.Tensor) and not value.is_leaf)
            memo.update((id(value), value.detach().clone()) for value in computed)
        copied = memo[id(self)] = type(self).__new__(type(self))
        copied.__setstate__(copy.deepcopy(vars(self), memo))
        return copied

    def extra_repr(self) -> str:
        """Text that tells the block from others, besides its parts."""
        return ", ".join(f"{name}={getattr(self, name)}" for name in ("delay_shift", "count_log") if hasattr(self, name))

    def _out(self, spikes: torch.Tensor) -> Any:
        """Output (B, N, T) of the block from the neurons' spikes (B, T, N): delay, count."""
        x = spikes.transpose(1, 2)
        if self.delay is not None:
            x = self.delay(x)
        return self._counted(x)

    def _counted(self, x: torch.Tensor) -> Any:
        return (x, (x > 0).to(real(x).dtype).mean()) if self.count_log else x

    def _nct(self, x: torch.Tensor, channels: int) -> torch.Tensor:
        check_tensor(x, f"{type(self).__name__} input")
        x = x.flatten(1, 3) if x.dim() == 5 else x
        cure = "Its in_neurons is what the block before it gives."
        if x.dim() == 3 and x.shape[2] == channels:
            cure = "Blocks take time last: transpose frames (B, T, C)."
        elif x.dim() == 2:
            cure = "A single sample is a batch of one: x.unsqueeze(0)."
        good = x.dim() == 3 and x.shape[1] == channels
        require(good, f"{type(self).__name__} input", f"have shape (B, {channels}, T)", tuple(x.shape), cure)
        return x

    def _check_export(self, handle: Any) -> None:
        """Refuse what no file can hold, and warn of what a file would do otherwise than the block."""
        with torch.no_grad():  # bias and delays as they are now, not as the last call left them
            remake(self)
            if self.delay is not None:
                remake(self.delay)
        check_parameters(self, handle.name)
        if self.neuron is None:
            return
        self.neuron.check_place(handle.name)
        if not self.delay_shift:
            late = "there each layer's spikes come a step late, and behind biases and recurrence they are others"
            warnings.warn(f"{handle.name}: files have no delay_shift=False: {late}.", stacklevel=2)

    def reset(self) -> None:
        """Forget the end of the last call; it matters only with ``persistent_state``."""
        if self.neuron is not None:
            self.neuron.reset()


def checked(
    neuron_params: dict, in_neurons: Any, out_neurons: Any, weight_scale: Any = 1, pre_hook_fx: Any = None, **flags: Any
) -> tuple[int, int]:
    """Refuse wrong arguments of a block, and return the numbers of inputs and neurons as ints, which lava-dl needs."""
    sizes = whole(in_neurons, "in_neurons", least=1, most=_MOST), whole(out_neurons, "out_neurons", least=1, most=MOST_NEURONS)
    number(weight_scale, "weight_scale", least=0.0)
    require(pre_hook_fx is None or callable(pre_hook_fx), "pre_hook_fx", "be a function of the weights, or None", pre_hook_fx)
    for name, value in flags.items():
        flag(value, name)
    require(isinstance(neuron_params, dict), "neuron_params", "be a dict of the neuron's arguments", neuron_params)
    known = signature(Neuron).parameters
    for name in neuron_params:
        require(name in known, "neuron_params", f"hold arguments of the neuron ({', '.join(known)})", name)
    return sizes


def check_mask(mask: Any, out_neurons: int, in_neurons: int) -> None:
    """Refuse what is no mask of a block's weights."""
    shape = tuple(mask.shape) if isinstance(mask, torch.Tensor) else type(mask).__name__
    require(mask is None or shape == (out_neurons, in_neurons), "mask", f"be a tensor ({out_neurons}, {in_neurons}), or None", shape)
    if mask is None or mask.dtype == torch.bool or mask.device.type == "meta":
        return
    require(bool(((mask == 0) | (mask == 1)).all()), "mask", "hold True and False, or 1 and 0, only", mask)
