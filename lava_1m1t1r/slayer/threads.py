"""Training's parts of a batch, and the threads that share them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numba
import torch

from .._support import threads
from .._support.cores import cores


def thread_count() -> int:
    """Threads to use: the least of torch's setting, numba's setting and the cores this process may run on."""
    return max(1, min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS, cores()))


def share(work: Callable[..., Any], parts: Sequence[tuple], worth: bool = True) -> list[Any]:
    """Return ``[work(*part) for part in parts]``, computed on :func:`thread_count` threads in any order; on one if not ``worth`` more."""
    return threads.share(work, parts, thread_count() if worth and len(parts) > 1 else 1)  # asking for the cores takes its time


def reusing(make: Callable[[], Any], work: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``work`` without its first argument, scratch memory from ``make``: a part leaves it to one that comes later."""
    free: deque[Any] = deque()

    def with_scratch(*part: Any) -> Any:
        try:
            scratch = free.pop()
        except IndexError:
            scratch = make()
        found = work(scratch, *part)
        free.append(scratch)
        return found

    return with_scratch


_LEAST = 1 << 15
"""Number of cells that a part of a batch holds at least: less would take less time than starting it."""


def parts_of(batch: int, cells: int, block: int) -> list[tuple[int, int]]:
    """Cut a batch into parts of whole blocks: (first, last) of each. They, and so sums over them, do not depend on the number of threads.

    Parameters
    ----------
    batch : int
        Number of samples.
    cells : int
        Of a sample: neurons times steps, or work that takes as long.
    block : int
        Number of samples that are worked on together.
    """
    blocks = -(-batch // block)
    parts = max(1, -(-blocks // -(-_LEAST // (block * max(cells, 1)))))
    return ranges(batch, block * max(1, -(-blocks // parts)))  # as equal as they can be


def parted(cells: int) -> bool:
    """Whether so many cells in all are worth more than one part."""
    return cells > _LEAST


def numbered(parts: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Parts with their numbers before them: (number, first, last), for work that keeps what each part has found."""
    return [(number, *part) for number, part in enumerate(parts)]


def ranges(size: int, step: int) -> list[tuple[int, int]]:
    """Cut ``range(size)`` into pieces of ``step``: (first, last) of each."""
    return [(i, min(i + step, size)) for i in range(0, size, step)]
