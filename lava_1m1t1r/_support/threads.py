"""Work shared out to threads: compiled loops release the interpreter lock, so plain Python threads suffice.

No OpenMP: Lava forks its processes, and a fork after an OpenMP region aborts the child. And no executor of Python's: Ctrl-C in the middle
of its ``submit`` may leave a lock taken for which its threads then wait for ever, and after the main thread's end it takes no work.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from itertools import repeat
from queue import Empty, SimpleQueue
from typing import Any

_LOOK = 0.1  # s between two looks of a waiting thread: Ctrl-C may have swallowed what would have woken it
_MOST_IDLE = os.cpu_count() or 1
_idle: list[SimpleQueue] = []
"""Where the threads that have nothing to do wait for it, each at a queue of its own."""


def in_child(renew: Callable[[], None]) -> Callable[[], None]:
    """Decorator of what a forked child does first: it has none of its parent's threads, and would wait for what they hold."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=renew)
    return renew


@in_child
def _forget() -> None:
    global _idle
    _idle = []


def _serve(mine: SimpleQueue) -> None:
    while mine.get()(mine):
        pass


def _helper() -> SimpleQueue | None:
    """Queue of a thread that waits for work; None where the system lets none start."""
    try:
        return _idle.pop()
    except IndexError:
        mine: SimpleQueue = SimpleQueue()
    try:
        threading.Thread(target=_serve, args=(mine,), name="lava_1m1t1r", daemon=True).start()
    except RuntimeError:  # no more threads for this process, or Python is about to end
        return None
    return mine


def shared(work: Callable[[int], Any], count: int, threads: int) -> Generator[None, None, None]:
    """Do ``work(i)`` for all i below ``count`` on up to so many threads, this one among them, in any order; yield after each.

    After an error or Ctrl-C, and when this is closed, nothing more is begun, and what has been begun comes to its end first: whoever goes
    on takes back the arrays that others still write to.
    """
    # not an iterator: of a Python without interpreter lock (3.14t), two threads may get the same number of it, and others none
    rest = deque(range(count))
    begun: list[None] = []
    ended: list[None] = []
    done: list[None] = []
    errors: list[BaseException] = []
    bell: SimpleQueue = SimpleQueue()
    idle = _idle  # another one in a forked child, which has none of the helpers

    def help_along(mine: SimpleQueue) -> bool:
        begun.append(None)
        try:
            for i in _taken(rest):
                work(i)
                done.append(None)
        except BaseException as error:
            errors.append(error)
            rest.clear()
        finally:
            stays = len(idle) < _MOST_IDLE
            if stays:  # before anybody is told: who goes on shall find this thread
                idle.append(mine)
            ended.append(None)
            bell.put(None)
        return stays

    told = 0
    try:
        for _ in range(min(threads, count) - 1):
            helper = _helper()
            if helper is None:
                break
            helper.put(help_along)
        for i in _taken(rest):
            work(i)
            done.append(None)
            while told < len(done):
                told += 1
                yield
    finally:
        stop = None
        while True:
            try:
                rest.clear()
                while len(ended) < len(begun) and idle is _idle:
                    with suppress(Empty):
                        bell.get(timeout=_LOOK)
                break
            except BaseException as error:  # of a signal's handler
                stop = error
        if stop is not None:
            raise stop
    try:
        for fault in errors:
            raise fault
    finally:
        errors.clear()  # an error's traceback leads here, and from here to it
    yield from repeat(None, count - told)


def _taken(rest: deque[int]) -> Iterator[int]:
    with suppress(IndexError):
        while True:
            yield rest.popleft()


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
