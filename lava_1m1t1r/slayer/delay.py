"""lava-dl's learnable axonal delay, computed for all neurons at once (lava-dl loops over them in Python)."""

from __future__ import annotations

from typing import Any

import torch
from lava.lib.dl.slayer import axon

from ..delay_lines import MAX_DELAY
from ..errors import require
from .checks import check_finite


class Delay(axon.Delay):
    """Learnable delay as ``lava.lib.dl.slayer.axon.Delay``: same values, same gradient; delays of 0 to 62 steps, one per neuron.

    They are drawn from 0 to 1: at once where ``size`` tells their number, and else, as lava-dl's, at the first call, whose input does;
    until then ``delay`` is empty.
    """

    delay: torch.nn.Parameter

    def __init__(self, max_delay: int = MAX_DELAY, grad_scale: float = 1.0, size: int | None = None) -> None:
        super().__init__(max_delay=max_delay, grad_scale=grad_scale)
        self.delay = torch.nn.Parameter(torch.rand(size or 0), requires_grad=self.delay.requires_grad)
        self.init = size is not None

    def reset_parameters(self) -> None:
        """Draw the delays anew."""
        for parameter in self.parameters():
            torch.nn.init.uniform_(parameter)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Delay spikes (B, N, T)."""
        if not self.init:
            self.delay.data = torch.rand(input.shape[1], dtype=self.delay.dtype, device=input.device)
            self.init = True
        check_finite(self.delay.detach(), "delay")
        if self.delay.is_leaf:  # else whoever made it (a parametrisation, functional_call) may need its values for their own gradient
            self.clamp()
        require(len(self.delay) == input.shape[1], "Delay input", f"have {len(self.delay)} neurons, one a delay", tuple(input.shape))
        return _Shift.apply(input.transpose(1, 2), self.delay, self.steps, self.grad_scale).transpose(1, 2)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *more: Any) -> None:
        saved = state_dict.get(prefix + "delay")
        if saved is not None and not (self.init and saved.numel()):  # the number of neurons is that of the side that knows it
            self.delay.data = self.delay.new_empty(saved.shape)
            self.init = saved.numel() > 0
        super()._load_from_state_dict(state_dict, prefix, *more)

    def extra_repr(self) -> str:
        """Text that tells it from other delays."""
        return f"max_delay={self.max_delay}, grad_scale={self.grad_scale}"

    @property
    def steps(self) -> torch.Tensor:
        """Whole steps of delay (N,), int64; (1,), the same for all, before they are drawn."""
        if not self.init:
            return torch.zeros(1, dtype=torch.int64, device="cpu")
        # by value, too: behind a parametrisation nothing is clamped
        return torch.floor(self.delay.detach().clamp(0, self.max_delay)).to(torch.int64).flatten()


class _Shift(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, delay: torch.Tensor, steps: torch.Tensor, grad_scale: float) -> torch.Tensor:
        y = _moved(x, steps)
        ctx.save_for_backward(y, steps)
        ctx.grad_scale = grad_scale
        return y

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor):
        y, steps = ctx.saved_tensors
        fall = -y  # lava-dl: the delay's gradient is that of the backward difference
        fall[:, 1:] += y[:, :-1]
        return _moved(grad, -steps), (grad * fall).sum((0, 1)) * ctx.grad_scale, None, None


def _moved(x: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    """Move x (B, T, N) back by steps (N,), with zeros moved in."""
    length = x.shape[1]
    source = torch.arange(length, device=x.device)[:, None] - steps[None, :]
    inside = (source >= 0) & (source < length)
    taken = torch.gather(x, 1, source.clamp(0, length - 1).expand(x.shape[0], -1, -1))
    return taken * inside
