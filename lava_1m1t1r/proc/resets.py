"""Resets of a network's Processes at a fixed interval of steps, so that one run can contain many samples."""

from __future__ import annotations


def starts_again(time_step: int, interval: int | None, offset: int) -> bool:
    """Whether a reset falls into this step.

    Parameters
    ----------
    time_step : int
        Number of the step; Lava's first one is 1.
    interval : int, optional
        Steps from one reset to the next; None: no resets.
    offset : int
        Number of a step with a reset.
    """
    return interval is not None and time_step % interval == offset % interval
