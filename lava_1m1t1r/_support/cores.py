"""How many processor cores there are for this process, and so threads worth using."""

from __future__ import annotations

import functools
import math
import os
import sys
from contextlib import suppress
from pathlib import Path

_QUOTAS = (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))
"""Where Linux's control groups tell what a container may use of its cores in a period, and that period: version 2, version 1."""


def cores() -> int:
    """Number of processor cores that this process may use: in a container, or under ``taskset``, fewer than there are."""
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        allowed = os.cpu_count() or 1
    return max(1, min(allowed, granted()))


@functools.cache
def granted(groups: str = "/sys/fs/cgroup") -> int:
    """Cores whose time a container is granted (``docker --cpus 2``), rounded up. Threads beyond them would only wait for each other."""
    for names in _QUOTAS:
        with suppress(OSError, ValueError):
            quota, period = (word for name in names for word in Path(groups, name).read_text().split())
            if quota.isdecimal():  # else "max", or -1
                return math.ceil(int(quota) / int(period))
    return sys.maxsize
