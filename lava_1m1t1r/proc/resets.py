"""Resets of a network's Processes, every so many steps, so that one run holds many samples."""

from __future__ import annotations


def starts_again(time_step: int, interval: int | None, offset: int) -> bool:
    """Whether a reset falls into this step: resets are ``interval`` steps apart, one of them in step ``offset``; None: no resets."""
    return interval is not None and time_step % interval == offset % interval
