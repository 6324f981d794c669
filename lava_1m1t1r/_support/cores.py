"""How many processor cores there are for this process, and so threads worth using."""

from __future__ import annotations

import os


def cores() -> int:
    """Number of processor cores that this process may run on: in a container, or under ``taskset``, fewer than there are."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        return os.cpu_count() or 1
