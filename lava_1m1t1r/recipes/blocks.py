"""Which blocks of a trainable network compute something, as in its file: all except those that say they do not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def computes(block: Any) -> bool:
    """Whether a block is a layer that computes, as :attr:`.description.Layer.computes` tells of the file; lava-dl's own blocks are."""
    return getattr(block, "computes", True)


def first_computing(blocks: Iterable[Any]) -> Any:
    """The first block that computes; None if there is none."""
    return next(filter(computes, blocks), None)
