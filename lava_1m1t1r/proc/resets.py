"""When Processes of a network start again: every so many steps, so that one run holds many samples."""

from __future__ import annotations


def starts_again(time_step: int, interval: int | None, offset: int) -> bool:
    """Whether a reset falls into this step: ``interval`` steps lie between two, one in step ``offset``; None: there are none."""
    return interval is not None and time_step % interval == offset % interval
