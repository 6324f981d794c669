"""Progress bars for long work: on standard error, only if it is a terminal, and only on request.

A command requests them once, for all its work (:func:`shown`); a function with an argument ``progress`` does so for itself.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from typing import Any

from .threads import in_child

DELAY = 1.0
"""Time before a bar appears [s]: shorter work needs none."""
ELAPSED = "{desc}: {elapsed}"
"""Format (``bar_format`` of tqdm) for work that does not tell how far it is."""
_CONTROLS = {code: ascii(chr(code))[1:-1] for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
_TICK = 0.5  # s between two looks at a clock
_shown = ContextVar("shown", default=False)


@contextmanager
def shown() -> Iterator[None]:
    """For a ``with`` block in which long work shows bars, as that of a command does."""
    before = _shown.set(True)
    try:
        yield
    finally:
        _shown.reset(before)


def bar(work: Iterable | None = None, title: str | None = None, *, asked: bool | None = None, **options: Any) -> Any:
    """Return ``work``, to be iterated over under a bar of tqdm; or, without work, the bar, to be updated.

    Parameters
    ----------
    work : iterable, optional
    title : str, optional
        Stands before the bar.
    asked : bool, optional
        Whether somebody wants to see it; by default, whether this is called in a :func:`shown` block.
    **options
        Of tqdm, as ``total`` and ``unit``.
    """
    wanted = _shown.get() if asked is None else asked
    if not wanted and work is not None:
        return work
    return _bars()(work, title, **{"leave": False, "delay": DELAY, "disable": None if wanted else True, **options})


@cache
def _bars() -> Any:
    from tqdm import tqdm  # not before it is needed

    class Bars(tqdm):
        # tqdm's own lock also serves processes: making it sets the start method, and Lava then fails to set its own
        _lock = threading.RLock()

    return Bars


@in_child
def _renew() -> None:
    """Another lock: the thread that held it is not there in a forked child, whose next line or bar would wait for it."""
    if _bars.cache_info().currsize:
        _bars()._lock = threading.RLock()


@contextmanager
def clock(title: str) -> Iterator[None]:
    """For a ``with`` block of long work that does not tell how far it is: shows how long it has been going on, and no bars."""
    over = threading.Event()
    with bar(title=title, asked=True, bar_format=ELAPSED, delay=0.0) as running:
        ticking = threading.Thread(target=_tick, args=(running, over), daemon=True, name="clock")
        if not running.disable:
            ticking.start()
        try:
            yield
        finally:
            over.set()
            if not running.disable:
                ticking.join()


def _tick(running: Any, over: threading.Event) -> None:
    while not over.wait(_TICK):
        running.update(0)


def say(text: str, file: Any = None) -> None:
    """Print a line, on standard output or to ``file``, and at once; bars make room for it."""
    file = sys.stdout if file is None else file
    _bars().write(f"{text}\n", file, end="")  # in one piece: an interrupt comes before the line or after it
    file.flush()


def tell(text: str) -> None:
    """Print a line on standard error, at once; bars make room. Where nothing can be written, as on a full disk, work goes on without."""
    if sys.stderr is None:  # Python was started with it closed
        return
    text = text.translate(_CONTROLS)  # it may quote a file, and a terminal would obey
    try:
        if _bars.cache_info().currsize:
            for live in list(_bars()._instances):  # also those that an interrupt has left behind
                with suppress(AttributeError):  # a bar that tqdm is still making
                    live.clear()
        sys.stderr.write(f"{text}\n")  # in one piece: an interrupt comes before the line or after it
        sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # else Python flushes again when it ends, fails, and changes the exit code


def hint(text: str) -> None:
    """Tell the user of something that may not be intended, as ``hint: text``. Under torchrun only the first process tells it."""
    if os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("RANK", "0") == "0":
        tell(f"hint: {text}")
