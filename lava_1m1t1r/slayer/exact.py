"""Wrappers for the torch operations of a layer: they keep sums of integer counts exact, and keep tracers out of compiled loops."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from ..arithmetic import ACT_SHIFT, WEIGHT_ONE
from ..errors import require


def exactly(device_type: str) -> AbstractContextManager:
    """For a ``with`` block in which torch's products keep their numbers' width: autocast would cut counts to 8 or 11 bits."""
    on = torch.is_autocast_cpu_enabled() if device_type == "cpu" else torch.is_autocast_enabled()
    return torch.autocast(device_type, enabled=False) if on else nullcontext()


def exact(function: Callable) -> Callable:
    """For ``forward`` and ``backward`` of an autograd function, whose second argument is a tensor: see :func:`exactly`."""

    @functools.wraps(function)
    def inside(ctx: Any, x: torch.Tensor, *more: Any) -> Any:
        with exactly(x.device.type):
            return function(ctx, x, *more)

    return inside


def real(x: torch.Tensor) -> torch.Tensor:
    """Spikes of any type (bool, integers) as real numbers, of 32 bits where torch's default has 16: these do not hold all counts."""
    return x if x.is_floating_point() else x.to(torch.promote_types(torch.get_default_dtype(), torch.float32))


def wide(x: Any) -> Any:
    """Numbers of 16 bits as 32 bits, which compiled loops know; None as it is."""
    return x.float() if x is not None and x.dtype in (torch.float16, torch.bfloat16) else x


def real_type(*tensors: torch.Tensor | None) -> torch.dtype:
    """Type in which a layer of these tensors computes: float64 where one of them has it, else float32."""
    return torch.float64 if any(t is not None and t.dtype == torch.float64 for t in tensors) else torch.float32


def summed_in(largest: float, w: torch.Tensor) -> torch.dtype:
    """Type in which sums of counts up to ``largest`` under weights (N, ...) are exact: float64 where one may exceed the 24 bits of
    float32, or a factor the 8 bits to which torch may cut float32 in products (TF32, ``set_float32_matmul_precision``)."""
    w = wide(w.detach()).abs()
    sums, most = (float(w.flatten(1).sum(1).max()), float(w.max())) if w.numel() else (0.0, 0.0)
    cut = max(largest, most * WEIGHT_ONE) > 1 << 8
    return torch.float64 if cut or largest * sums >= 1 << (24 - ACT_SHIFT) else w.dtype


def eager(forward: Callable) -> Callable:
    """For a block's ``forward``: ``torch.func`` is refused, and ``torch.compile`` leaves it as it is, and compiles what stands around it.

    Its loops are compiled already, and numba cannot specialise them while torch traces. As ``torch.compiler.disable``, which would load
    torch's compiler with the library, into every process that trains.
    """
    left_alone: list[Callable] = []

    @functools.wraps(forward)
    def checked(self: Any, *inputs: Any, **named: Any) -> Any:
        transformed = getattr(torch._C, "_are_functorch_transforms_active", bool)()  # what torch 2.0 and later have
        rule = "be called without torch.func's transforms"
        cure = "Derivatives come from backward(), and a batch is a dimension already."
        require(not transformed, type(self).__name__, rule, "a call inside torch.func.grad, vmap or another one", cure)
        return forward(self, *inputs, **named)

    @functools.wraps(forward)
    def call(self: Any, *inputs: Any, **named: Any) -> Any:
        if "torch._dynamo" not in sys.modules:
            return checked(self, *inputs, **named)
        if not left_alone:
            left_alone.append(torch.compiler.disable(checked))
        return left_alone[0](self, *inputs, **named)

    return call
