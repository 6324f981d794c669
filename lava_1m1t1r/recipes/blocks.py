"""Which blocks of a trainable network compute something: all but those that only bring spikes later."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def computes(block: Any) -> bool:
    """Whether a block is more than delay lines."""
    return not getattr(block, "only_delays", False)


def first_computing(blocks: Iterable[Any]) -> Any:
    """The first block that is more than delay lines; None if there is none."""
    return next(filter(computes, blocks), None)
