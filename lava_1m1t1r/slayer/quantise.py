"""Quantisation of weights and biases as in lava-dl."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..arithmetic import WEIGHT_ONE
from ..sums import ANY_WEIGHTS, EVEN_WEIGHTS
from .buffers import owned
from .threads import ranges, share
from .weight_kernels import CELLS, PART, quantise_values, turn_masked

_COMPILED = (torch.float32, torch.float64)


class _Quantise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, step: float, low: float, high: float) -> torch.Tensor:
        if x.device.type == "cpu" and x.dtype in _COMPILED:
            # not by torch: it would wake its threads for a matrix, and they wait actively, on the cores that ours need
            values = x.detach().contiguous().numpy()
            number, inside = values.dtype.type, np.empty(values.shape, bool)
            out, rounded = owned(values.shape, values.dtype)
            quantise_values(
                values.reshape(-1), number(step), number(low), number(high), rounded.reshape(-1), inside.reshape(-1).view(np.uint8)
            )
            ctx.save_for_backward(torch.from_numpy(inside))
            return out
        rounded = torch.round(x.detach() / step) * step + (x.detach() - x.detach())  # the difference is 0, or nan of what is not finite
        ctx.save_for_backward((rounded >= low) & (rounded <= high))
        return torch.clip(rounded, low, high)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor):
        (inside,) = ctx.saved_tensors
        plain = grad.device.type != "cpu" or grad.dtype not in _COMPILED or torch.is_grad_enabled()
        matrix = grad.flatten(1) if not plain and grad.dim() > 1 and grad.shape[2:].numel() == 1 else None
        if matrix is not None and matrix.t().is_contiguous():  # as layers give it; parameters want theirs the other way round
            source = matrix.t().numpy()
            over, out = owned(matrix.shape, source.dtype)
            mask = inside.numpy().view(np.uint8).reshape(out.shape)
            share(lambda a, b: turn_masked(source, mask, out, np.empty(CELLS, out.dtype), a, b), ranges(len(out), PART))
            return over.reshape(grad.shape), None, None, None
        return grad * inside, None, None, None


def quantise_8bit(weight: torch.Tensor, descale: bool = False) -> torch.Tensor:
    """lava-dl's 8-bit weights: even multiples of 1/64 in [-4, 4); ``descale`` gives the counts, times 64."""
    return _quantised(weight, 2, EVEN_WEIGHTS, descale)


def quantise_odd(weight: torch.Tensor, descale: bool = False) -> torch.Tensor:
    """Whole multiples of 1/64, odd ones too, within 8 bits: weights of files that lava-dl's quantisation would change."""
    return _quantised(weight, 1, ANY_WEIGHTS, descale)


def _quantised(weight: torch.Tensor, step: int, bounds: tuple[int, int], descale: bool) -> torch.Tensor:
    quantised = quantise(weight, step / WEIGHT_ONE, *(bound / WEIGHT_ONE for bound in bounds))
    return quantised * WEIGHT_ONE if descale else quantised


def quantise(x: torch.Tensor, step: float, low: float, high: float) -> torch.Tensor:
    """Round to multiples of ``step``, clip to [low, high]; the gradient passes rounding unchanged and stops outside the range.

    What is nan or infinite becomes nan, which layers refuse: training that has diverged must not go on with the largest weights.

    Parameters
    ----------
    x : tensor
        Numbers of any shape.
    step : float
        Distance of neighbouring values.
    low, high : float
        Smallest and largest value.
    """
    return _Quantise.apply(x, step, low, high)
