"""Checks of the inputs of layers: dense real tensors, spikes or spike counts, finite weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..arithmetic import WEIGHT_ONE
from ..errors import require
from ..sums import MAX_COUNT, bounds_of

COUNTS = f"hold whole numbers from 0 to {MAX_COUNT} (spikes or counts of them)"
COUNTS_CURE = (
    "Give spikes, or counts of them; block.m1t1r.Input makes spikes of real values. To drop some in training, multiply them by a mask of "
    "0 and 1, without rescaling."
)
_LARGEST_INPUT = float(1 << 24)  # its counts of 1/64 still fit 32 bits
_DIVERGED = "If training diverged: take an earlier checkpoint, a lower learning rate, or clip gradients."


def check_tensor(x: Any, name: str) -> None:
    """Refuse what is not a tensor of real numbers with all its values at hand; an InputError about ``name`` says which kind it is."""
    require(isinstance(x, torch.Tensor), name, "be a tensor", x)
    require(not (x.is_complex() or x.is_quantized), name, "hold real numbers", x.dtype)
    require(
        not x.is_nested, name, "be a dense tensor", "a nested one", "Pad its samples to one length (to_padded_tensor(0) unless jagged)."
    )
    require(x.layout == torch.strided, name, "be a dense tensor", x.layout, "Call its to_dense().")
    require(
        not torch.jit.is_tracing(), name, "hold values", "one that torch.jit traces", "The compiled loops are no graph: export the file."
    )
    require(x.device.type != "meta", name, "have values", "a tensor on the device 'meta'", "Make it on the CPU or a GPU.")


def check_counts(x: torch.Tensor, name: str) -> tuple[float, float]:
    """Refuse cells of x (B, ..., T) that are not :data:`COUNTS`; return the largest, and the most in a step where that is more than 1.

    The compiled loops check as they read; this is for the rest.
    """
    low, high = _extremes(x)
    require(0 <= low and high <= MAX_COUNT, name, COUNTS, high if low >= 0 else low, COUNTS_CURE)
    whole = not x.is_floating_point() or torch.equal(x, torch.round(x))
    require(whole, name, COUNTS, "fractions", COUNTS_CURE)
    return high, float(x.detach().flatten(1, -2).sum(1).max()) if high > 1 else high


def check_sums(
    largest: float, together: float, w: torch.Tensor, w_rec: torch.Tensor | None = None, bias: torch.Tensor | None = None
) -> None:
    """Refuse counts, at most ``largest`` each and ``together`` in a step, with which sums of weights may leave 32 bits.

    Parameters
    ----------
    largest, together : float
        Largest count of an input, and largest sum of the counts of a step.
    w, w_rec : (N, C), (N, N)
        Quantised weights, in units of weight 1.
    bias : (N,), optional
        Constant input, in units of weight 1.
    """
    if largest > 1 and w.numel() > 0:
        counts = (None if v is None else np.rint(v.detach().cpu().numpy() * WEIGHT_ONE) for v in (w, w_rec, bias))
        bounds_of(*counts).check(largest, together, "input")


def check_synaptic_input(z: torch.Tensor) -> None:
    """Refuse real currents (B, N, T) that are not all finite and within what 32 bits count."""
    low, high = _extremes(z)
    good = -_LARGEST_INPUT <= low and high <= _LARGEST_INPUT  # nan compares false
    rule = f"lie within +-{_LARGEST_INPUT:g} units of weight 1"
    require(good, "synaptic input", rule, (low, high), "Look for nan in inputs and weights.")


def _extremes(x: torch.Tensor) -> tuple[float, float]:
    """Smallest and largest value; nan if one is."""
    if x.numel() == 0:
        return 0.0, 0.0
    x = x.detach().resolve_neg()
    if x.device.type == "cpu" and x.dtype != torch.bfloat16:  # numpy lacks it, and is quicker, above all where x is strided
        return float(x.numpy().min()), float(x.numpy().max())
    low, high = x.aminmax()
    return float(low), float(high)


def check_shapes(x: torch.Tensor, w: torch.Tensor | None, bias: torch.Tensor | None, w_rec: torch.Tensor | None) -> None:
    """Refuse arguments of :func:`.layer.layer` whose sizes do not fit: compiled loops would read on behind them."""
    size = x.shape[1] if w is None else w.shape[0]
    for values, name, shape in ((w, "weights", (size, x.shape[1])), (bias, "bias", (size,)), (w_rec, "recurrent weights", (size, size))):
        if values is not None:
            require(values.shape == shape, name, f"have the shape {shape}", tuple(values.shape))


def check_finite(values: np.ndarray | torch.Tensor | None, name: str) -> None:
    """Refuse weights or biases that are not all finite."""
    if values is not None:
        finite = np.isfinite(values) if isinstance(values, np.ndarray) else torch.isfinite(values)
        require(bool(finite.all()), name, "be finite", "nan or infinity among them", _DIVERGED)


def check_parameters(module: torch.nn.Module, where: str) -> None:
    """Refuse a block with a parameter that is nan or infinite; the InputError names ``where``, its place in the file, and the parameter."""
    place = where.strip("/") or type(module).__name__
    for name, values in module.named_parameters():
        check_finite(values.detach(), f"{place}: {name}")
