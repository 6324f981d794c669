"""How many threads are worth having."""

from __future__ import annotations

import os


def cores() -> int:
    """Processor cores that this process may run on: a container, or ``taskset``, may leave it fewer than there are."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        return os.cpu_count() or 1
