"""A time limit for a run in this thread, whatever a model does in Python."""

from __future__ import annotations

import ctypes
import gc
import signal
import threading
import time
import traceback
from contextlib import contextmanager, suppress

LONGEST_JOIN = 1.0  # s
LONGEST_SLEEP = 3600.0  # s
REPEATED_AFTER = 1.0  # s; Python swallows what is raised in a finaliser


class TimeIsOver(BaseException):
    """Raised in the running thread; no Exception, so that a model does not swallow it."""


def comes_from_outside(error: BaseException) -> bool:
    """Whether an error was raised by Ctrl-C, an alarm or the user's signal handler, and not by the code that was running."""
    if isinstance(error, (KeyboardInterrupt, TimeIsOver)):
        return True
    handlers = [found for found in map(signal.getsignal, signal.valid_signals()) if callable(found)]  # the defaults are an Enum's members
    codes = {_code(handler) or _code(type(handler).__call__) for handler in handlers} - {None}
    return any(frame.f_code in codes for frame, _ in traceback.walk_tb(error.__traceback__))


def _code(function):
    return getattr(function, "__code__", None)


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Raise an exception in a thread at its next line of Python, or withdraw one that has not been raised yet."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), None if error is None else ctypes.py_object(error))


class Alarm:
    """Raises its own kind of :class:`TimeIsOver` in the thread that set it, once the time is over.

    A main thread that is still in C code (asleep, at a lock) a while later gets a SIGINT, as if by Ctrl-C, which becomes a
    :class:`TimeIsOver`, too. That is the last resort: signals belong to the user and to test runners.

    One thread serves all runs of a session, and sleeps meanwhile. Python may collect garbage in it, and Lava's Processes stop their
    Runtime when they are collected, which may take for ever. So it never holds a lock while that could happen, and nobody waits for it
    without a limit.
    """

    def __init__(self):
        self.over: type[TimeIsOver] = type("TimeIsOver", (TimeIsOver,), {})
        """What it raises: a model may run another graph, and that run's own time is not over when the model's is."""
        self._lock = threading.Lock()
        self._nothing_new = threading.Lock()  # released to wake the thread
        self._nothing_new.acquire()
        self._thread: threading.Thread | None = None
        self._deadline: float | None = None
        self._awake_at = 0.0
        self._fired = False
        self._closed = False
        self._interrupted = self._sent = False

    @contextmanager
    def set(self, seconds: float):
        """For the body of the ``with`` statement."""
        with self._lock:
            self._target = threading.get_ident()
            self._fired = self._interrupted = self._sent = False
            self._deadline = time.monotonic() + seconds
            late = self._deadline < self._awake_at
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, args=(seconds,), daemon=True, name="run-alarm")
            self._thread.start()
        elif late:
            self._wake()
        try:
            yield
        except KeyboardInterrupt as error:
            if self._sent:
                raise self.over from error
            raise
        finally:
            with self._lock:
                self._deadline = None
                if self._fired:  # perhaps not delivered yet: it must not hit the caller's next lines
                    _raise_in(self._target, None)

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self._wake()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(LONGEST_JOIN)

    def _wake(self) -> None:
        with suppress(RuntimeError):  # it has been released already
            self._nothing_new.release()

    def _watch(self, period: float) -> None:
        while not self._closed:
            now = time.monotonic()
            collects = gc.isenabled()
            gc.disable()
            try:
                with self._lock:
                    self._look(now, period)
            finally:
                if collects:
                    gc.enable()
            self._nothing_new.acquire(timeout=min(max(self._awake_at - now, 0.0), LONGEST_SLEEP))

    def _look(self, now: float, period: float) -> None:
        if self._deadline is not None and now >= self._deadline:
            self._deadline = now + REPEATED_AFTER
            in_c = self._fired and not self._interrupted  # turn and turn about, should the thread except both
            self._interrupted = in_c and self._target == threading.main_thread().ident and callable(signal.getsignal(signal.SIGINT))
            # Never both: what waits at a Condition takes its lock back after the one, and would be hit by the other before it has
            _raise_in(self._target, None if self._interrupted else self.over)
            if self._interrupted:
                self._sent = True
                signal.pthread_kill(self._target, signal.SIGINT)
            self._fired = True
        self._awake_at = now + period if self._deadline is None else self._deadline
