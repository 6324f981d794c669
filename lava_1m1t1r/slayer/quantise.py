"""Quantisation of weights and biases as in lava-dl, and their counts for files."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..arithmetic import WEIGHT_ONE
from ..sums import ANY_WEIGHTS, BIAS_BOUNDS, EVEN_WEIGHTS
from .buffers import owned
from .exact import wide
from .remade import remake
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
            mask = np.ascontiguousarray(inside.numpy()).view(np.uint8).reshape(out.shape)  # whatever hooks have made of it
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


def quantised_weight(s: Any, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Quantised weight (out, in) of a synapse, which is read here, not called; 0 outside of ``mask``; multiples of 1/64."""
    remake(s)
    w = wide(s.weight)  # what comes of 16 bits, by a user's function or smoothing, is no 16 bits
    if mask is not None:
        w = w * mask.to(w).reshape(w.shape)
    if s.pre_hook_fx is not None:
        w = s.pre_hook_fx(w)
    if s.pre_hook_fx not in (quantise_8bit, quantise_odd):  # a user's own function may give anything; files hold whole counts
        w = w + (torch.round(w * WEIGHT_ONE) / WEIGHT_ONE - w).detach()
        if mask is not None:  # again: the function may map 0 to another value
            w = w * mask.to(w).reshape(w.shape)
    return w.reshape(w.shape[0], -1)


def counts_for_file(s: Any, mask: torch.Tensor | None = None) -> np.ndarray:
    """Quantised weights as :func:`quantised_weight` returns them, in counts for a file. The synapse stays as it is, for further
    training; only a spectral norm in training mode takes a step of its iteration, as at each call."""
    return np.rint(quantised_weight(s, mask).detach().double().cpu().numpy() * WEIGHT_ONE).astype(np.float32)


def quantise_bias(bias: torch.Tensor) -> torch.Tensor:
    """Multiples of 1/64 within the 13 bits that files have, which numbers of 16 bits do not hold: those come back as 32."""
    low, high = BIAS_BOUNDS
    return quantise(wide(bias), 1 / WEIGHT_ONE, low / WEIGHT_ONE, high / WEIGHT_ONE)


def bias_counts(bias: torch.Tensor) -> np.ndarray:
    """Quantised bias as :func:`quantise_bias` returns it, in counts for a file."""
    return np.rint(quantise_bias(bias).detach().double().cpu().numpy() * WEIGHT_ONE).astype(np.int32)
