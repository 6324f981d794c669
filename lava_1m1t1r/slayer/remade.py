"""Parameters that torch makes anew by a hook before each call: pruned ones, and those of the older weight and spectral norms."""

from __future__ import annotations

import torch
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

_HOOKS = (WeightNorm, SpectralNorm, BasePruningMethod)


def remake(module: torch.nn.Module) -> None:
    """Make a module's own parameters anew, for whoever reads them without calling it: else they are as the last call left them."""
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, _HOOKS):
            hook(module, ())
