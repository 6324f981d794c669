"""Blocks of a trainable network: which of them compute something, as in its file, and the synapse of their input."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def computes(block: Any) -> bool:
    """Whether a block is a layer that computes, as :attr:`.layers.Layer.computes` tells of the file; lava-dl's own blocks are; blocks
    that do not compute say so."""
    return getattr(block, "computes", True)


def first_computing(blocks: Iterable[Any]) -> Any:
    """The first block that computes; None if there is none."""
    return next(filter(computes, blocks), None)


def input_synapse(block: Any) -> Any:
    """Synapse by which a block weighs its input; recurrent ones have two."""
    return getattr(block, "synapse", None) or block.input_synapse
