"""Clean Ctrl-C, and child programs that end with this one.

A program that uses :func:`orderly` gets KeyboardInterrupt only once, so that its clean-up is not interrupted. Programs that it starts
(:func:`run`) never outlive the call; nor do the programs that these start.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .progress import ELAPSED, bar

PATIENCE = 5.0
"""Time after a first Ctrl-C in which further ones are ignored [s]: impatience must not cut short what removes files and ends processes."""
ROOT = Path(__file__).resolve().parents[2]
"""Folder that holds the package."""
PIPES: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
_AGAIN = 0.05  # s after which a lost Ctrl-C comes again
_CALLBACKS = {"_numba_unpickle", "_raw_object_cache_notify", "_raw_object_cache_getbuffer"}
"""Callbacks of numba that its compiled code and LLVM call: an exception in one ends in a SystemError, or is dropped."""
_ENDING = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))
_LOOK = 0.25  # s between two looks at a program that shows how long it has been running
_ORDERLY = 8.0  # s that a program of ours, asked to end, gets for it


class Terminated(KeyboardInterrupt):
    """SIGTERM, or SIGHUP of a terminal that closes, handled as Ctrl-C is. Its argument is the signal's number."""


class _Handler:
    def __init__(self) -> None:
        self._since = -PATIENCE
        self._hook = sys.unraisablehook
        self.raised: KeyboardInterrupt | None = None

    def __call__(self, number: int, frame: Any) -> None:
        now = time.monotonic()
        if now - self._since < PATIENCE:
            return
        while frame is not None:
            if frame.f_code.co_name in _CALLBACKS:
                _later(number)
                return
            frame = frame.f_back
        self._since = now
        self.raised = KeyboardInterrupt() if number == signal.SIGINT else Terminated(number)
        raise self.raised

    def lost(self, unraisable: Any) -> None:
        """Hook for ``sys.unraisablehook``: Python drops exceptions raised in a callback from C or in a finaliser."""
        if not isinstance(unraisable.exc_value, KeyboardInterrupt):
            self._hook(unraisable)
            return
        self._since = -PATIENCE
        _later(_number(unraisable.exc_value))


def _number(stop: KeyboardInterrupt) -> int:
    return stop.args[0] if isinstance(stop, Terminated) else signal.SIGINT


def _later(number: int) -> None:
    """Have the signal delivered again a little later."""
    timer = threading.Timer(_AGAIN, os.kill, (os.getpid(), number))
    timer.daemon = True
    timer.start()


def interrupted(error: BaseException | None) -> KeyboardInterrupt | None:
    """Return the KeyboardInterrupt that caused an error, if one did: numba and some imports turn it into another error."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error


def last_words(stop: KeyboardInterrupt) -> tuple[str, int]:
    """Last line of a program that was interrupted, and its exit code as shells count them."""
    return "terminated" if isinstance(stop, Terminated) else "interrupted", 128 + _number(stop)


@contextmanager
def orderly(last: bool = False) -> Iterator[_Handler]:
    """For a ``with`` block in which SIGINT raises KeyboardInterrupt, SIGTERM and SIGHUP :class:`Terminated`, and a second one soon after
    nothing.

    Signals that are ignored (``nohup``) stay so; outside the main thread, where Python allows no handlers, nothing is changed.

    Parameters
    ----------
    last : bool
        Whether the program ends after the block: a second signal shall not disturb that, and a first one just ends it.

    Yields
    ------
    _Handler
        ``raised`` is the last exception that a signal made, or None: C code may make an error of it that does not tell of it.
    """
    handler, hook = _Handler(), sys.unraisablehook
    if threading.current_thread() is not threading.main_thread():
        yield handler
        return
    before = {n: signal.getsignal(n) for n in _ENDING if signal.getsignal(n) is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, handler)
    sys.unraisablehook = handler.lost
    try:
        yield handler
    finally:
        sys.unraisablehook = hook
        for number, old in before.items():
            if last:
                # Python gives its own handlers up before it ends, and what is ignored stays ignored. One that comes only now finds the
                # work done: it may end what is left of the program, not fill the terminal with a traceback
                old = signal.SIG_IGN if handler.raised else signal.SIG_DFL
            signal.signal(number, signal.SIG_DFL if old is None else old)


def is_running(process: int) -> bool:
    """Whether a process with this number exists; False on Windows, where asking would end it."""
    if os.name == "nt":
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


@contextmanager
def unbroken() -> Iterator[None]:
    """For a ``with`` block that signals, Ctrl-C or a user's alarm, shall not break: their handlers are called when it ends. Forked children
    call :func:`child`."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # not by a mask: the system gives a masked signal to another thread, and Python runs its handler in this one all the same
    held: list[int] = []
    handlers: dict[int, Any] = {n: signal.getsignal(n) for n in signal.valid_signals()}
    before = {n: handler for n, handler in handlers.items() if callable(handler)}
    ours = os.getpid()

    def hold(number: int, frame: Any) -> None:
        if os.getpid() == ours:
            held.append(number)
        else:  # a child that was forked meanwhile
            before[number](number, frame)

    try:
        for number in before:
            signal.signal(number, hold)
        yield
    finally:
        left, stop = list(before.items()), None
        while left:
            try:
                signal.signal(*left[-1])
                left.pop()
            except BaseException as error:  # of a handler that is back already
                stop = error
        for number in dict.fromkeys(held):
            try:
                before[number](number, None)
            except BaseException as error:
                stop = stop or error
        if stop is not None:
            raise stop


def child() -> None:
    """In a forked child: leave Ctrl-C to the parent, which ends us in order; SIGTERM ends us at once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # also where the parent ignores it: this is how it ends us
    for number in set(_ENDING) - {signal.SIGINT, signal.SIGTERM}:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, signal.SIG_DFL)


def python(code: str, *options: str) -> list[str]:
    """Command that runs code of this package in another Python, where ``sys`` is imported.

    Unlike ``-m`` and ``-c``, it imports nothing that lies in the current folder, which may be a stranger's.
    """
    # the first folder with a package of this name is the one that Python would take
    start = (
        f"import os, sys; sys.path[:] = filter(None, sys.path); root, name = {str(ROOT)!r}, {__package__.partition('.')[0]!r}; "
        "first = next((path for path in sys.path if os.path.isdir(os.path.join(path, name))), None); "
        "first is not None and os.path.samefile(first, root) or sys.path.insert(0, root); "
    )
    return [sys.executable, "-c", start + code, *options]


def run(
    command: Sequence[str], *, title: str | None = None, timeout: float | None = None, given: Any = None, ours: bool = False, **options: Any
) -> subprocess.CompletedProcess:
    """Run a program as ``subprocess.run`` does; whatever ends the call early ends the program too, and all that it has started.

    Parameters
    ----------
    command : sequence of str
    title : str, optional
        Shown on a terminal, with the time that the program has been running.
    timeout : float, optional
        Longest time [s].
    given : str or bytes, optional
        Standard input.
    ours : bool
        Whether the program ends in order when it is asked to (SIGINT); it gets some seconds for it.
    **options
        For ``subprocess.Popen``.

    Raises
    ------
    subprocess.TimeoutExpired
        After ``timeout`` seconds.
    """
    if options.get("cwd") is not None:  # what compilers keep for themselves goes with the folder that they work in
        options["env"] = {**(options.get("env") or os.environ), "TMPDIR": str(options["cwd"])}
    end = math.inf if timeout is None else time.monotonic() + timeout
    process = None
    # a file, not a pipe: communicate() drops what is left of its input when it is called again
    with (
        tempfile.TemporaryFile() as inbox,
        bar(title=title, asked=title is not None, bar_format=ELAPSED) as running,
    ):
        if given is not None:
            inbox.write(given.encode() if isinstance(given, str) else given)
            inbox.seek(0)
            options["stdin"] = inbox
        try:
            # a group of its own: what the program starts can be ended with it, and the terminal's Ctrl-C comes through us alone
            with unbroken():  # between its birth and our knowing of it nobody could end it
                process = subprocess.Popen(command, start_new_session=True, **options)
            while True:
                left = min(_LOOK, end - time.monotonic())
                try:
                    out, err = process.communicate(timeout=max(left, 0.0))
                    return subprocess.CompletedProcess(command, process.returncode, out, err)
                except subprocess.TimeoutExpired:
                    if timeout is not None and time.monotonic() >= end:
                        raise subprocess.TimeoutExpired(command, timeout) from None
                    running.update(0)
        finally:
            if process is not None:
                _end(process, ours)


def _end(process: subprocess.Popen, ours: bool) -> None:
    if ours and process.poll() is None:
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            process.send_signal(signal.SIGINT)
            process.wait(_ORDERLY)
    if process.poll() is None:
        for group in {process.pid, *_groups_below(process.pid)}:
            with suppress(ProcessLookupError, PermissionError):
                _kill(process, group)
    process.wait()
    with suppress(ProcessLookupError, PermissionError):
        _kill(process, process.pid)  # what a program that has ended left in its group
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with suppress(OSError):
                stream.close()


def _kill(process: subprocess.Popen, group: int) -> None:
    if hasattr(os, "killpg"):
        os.killpg(group, signal.SIGKILL)
    else:  # Windows has no groups
        process.kill()


def _groups_below(pid: int) -> set[int]:
    """Process groups of all descendants (Linux): a program of ours has its own programs in groups of their own."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            fields = path.read_text().rpartition(")")[2].split()
            parents[int(path.parent.name)] = int(fields[1]), int(fields[2])
    found: set[int] = set()
    new = {pid}
    while new:
        new = {child for child, (parent, _) in parents.items() if parent in new} - found
        found |= new
    return {parents[child][1] for child in found} - {os.getpgrp()}
