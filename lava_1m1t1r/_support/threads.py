"""Work shared out to threads: compiled loops release the interpreter lock, so plain Python threads suffice.

No OpenMP: Lava forks its processes, and a fork after an OpenMP region aborts the child. And no executor of Python's: Ctrl-C in the middle
of its ``submit`` may leave a lock taken for which its threads then wait for ever, and after the main thread's end it takes no work.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from itertools import repeat
from queue import Empty, SimpleQueue
from typing import Any

_LOOK = 0.1  # s after which a thread that waits looks anew, should Ctrl-C have taken what would have woken it
_jobs: SimpleQueue = SimpleQueue()
_helpers = 0


def in_child(renew: Callable[[], None]) -> Callable[[], None]:
    """Decorator of what a forked child does first: it has none of its parent's threads, and would wait for what they hold."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=renew)
    return renew


@in_child
def _forget() -> None:
    global _jobs, _helpers
    _jobs, _helpers = SimpleQueue(), 0


def _serve(jobs: SimpleQueue) -> None:
    while True:
        jobs.get()()


def _hired(count: int) -> int:
    """Number of helping threads, up to ``count``, that there are or that the system lets start."""
    global _helpers
    while _helpers < count:
        try:
            threading.Thread(target=_serve, args=(_jobs,), name="lava_1m1t1r", daemon=True).start()
        except RuntimeError:  # no more threads for this process, or Python is about to end
            break
        _helpers += 1
    return min(_helpers, count)


def shared(work: Callable[[int], Any], count: int, threads: int) -> Generator[None, None, None]:
    """Do ``work(i)`` for all i below ``count`` on up to so many threads, this one among them, in any order; yield after each.

    After an error or Ctrl-C, and when this is closed, nothing more is begun, and what has been begun comes to its end first: whoever goes
    on takes back the arrays that others still write to.
    """
    rest = iter(range(count))  # next() on a range iterator is atomic under the interpreter lock
    begun: list[None] = []
    ended: list[None] = []
    done: list[None] = []
    errors: list[BaseException] = []
    bell: SimpleQueue = SimpleQueue()

    def help_along() -> None:
        begun.append(None)
        try:
            for i in rest:
                work(i)
                done.append(None)
        except BaseException as error:
            errors.append(error)
        finally:
            ended.append(None)
            bell.put(None)

    told = 0
    try:
        for _ in range(_hired(min(threads, count) - 1)):
            _jobs.put(help_along)
        for i in rest:
            work(i)
            done.append(None)
            while told < len(done):
                told += 1
                yield
            if errors:
                break
    finally:
        for _ in rest:
            pass
        stop = None
        while len(ended) < len(begun):
            try:
                with suppress(Empty):
                    bell.get(timeout=_LOOK)
            except KeyboardInterrupt as error:
                stop = error
        if stop is not None:
            raise stop
    if errors:
        raise errors[0]
    yield from repeat(None, count - told)


def share(work: Callable[..., Any], parts: Sequence[tuple], threads: int) -> list[Any]:
    """Return ``[work(*part) for part in parts]``, computed as :func:`shared` does."""
    if threads == 1 or len(parts) < 2:
        return [work(*part) for part in parts]
    results: list[Any] = [None] * len(parts)

    def one(i: int) -> None:
        results[i] = work(*parts[i])

    with closing(shared(one, len(parts), threads)) as each:
        for _ in each:
            pass
    return results
