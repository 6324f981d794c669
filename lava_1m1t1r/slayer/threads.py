"""Compiled work on threads: the kernels release the interpreter lock, so plain Python threads suffice.

No OpenMP: Lava forks its processes, and a fork after an OpenMP region aborts the child.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from typing import Any

import numba
import torch

from .._support.cores import cores


def thread_count() -> int:
    """Threads to use: the least of torch's setting, numba's setting and the cores this process may run on."""
    return max(1, min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS, cores()))


@lru_cache(maxsize=4)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="lava_1m1t1r")  # a forked child has another id, and makes its own


def share(work: Callable[..., Any], parts: Sequence[tuple]) -> list[Any]:
    """Return ``[work(*part) for part in parts]``, computed on :func:`thread_count` threads in any order."""
    threads = min(thread_count(), len(parts)) if len(parts) > 1 else 1  # asking for the cores takes its time
    if threads == 1:
        return [work(*part) for part in parts]
    rest = iter(range(len(parts)))  # next() on a range iterator is atomic under the interpreter lock
    results: list[Any] = [None] * len(parts)

    def until_done() -> None:
        for i in rest:
            results[i] = work(*parts[i])

    others = [_pool(os.getpid(), thread_count()).submit(until_done) for _ in range(threads - 1)]
    try:
        until_done()
    finally:  # after Ctrl-C too: whoever goes on takes back the arrays that the others still write to
        for _ in rest:
            pass
        wait(others)
    for other in others:
        other.result()
    return results


_LEAST = 1 << 15
"""Number of cells that a part of a batch holds at least: less would take less time than starting it."""


def parts_of(batch: int, cells: int, block: int) -> list[tuple[int, int]]:
    """Cut a batch into parts of whole blocks: (first, last) of each. They, and so sums over them, do not depend on the number of threads.

    Parameters
    ----------
    batch : int
        Number of samples.
    cells : int
        Of a sample: neurons, or channels, times steps.
    block : int
        Number of samples that are worked on together.
    """
    return ranges(batch, block * -(-_LEAST // (block * max(cells, 1))))


def numbered(parts: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Parts with their numbers before them: (number, first, last), for work that keeps what each part has found."""
    return [(number, *part) for number, part in enumerate(parts)]


def ranges(size: int, step: int) -> list[tuple[int, int]]:
    """Cut ``range(size)`` into pieces of ``step``: (first, last) of each."""
    return [(i, min(i + step, size)) for i in range(0, size, step)]
