"""An end to a run in this thread, whatever a model does in Python."""

from __future__ import annotations

import ctypes
import threading
import time
from contextlib import contextmanager


class TimeIsOver(BaseException):
    """Raised in the running thread; no Exception, so that a model does not swallow it."""


class Alarm:
    """Raises :class:`TimeIsOver` in the thread that set it, once the time is over.

    No signal is used: those belong to the user (and to test runners), and reach the main thread only. One thread serves
    all runs of a session, and sleeps meanwhile.
    """

    def __init__(self):
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._deadline: float | None = None
        self._awake_at = 0.0
        self._fired = False
        self._closed = False

    @contextmanager
    def set(self, seconds: float):
        """For the body of the ``with`` statement."""
        with self._condition:
            self._target = threading.get_ident()
            self._fired = False
            self._deadline = time.monotonic() + seconds
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, args=(seconds,), daemon=True, name="run-alarm")
                self._thread.start()
            elif self._deadline < self._awake_at:
                self._condition.notify()
        try:
            yield
        finally:
            with self._condition:
                self._deadline = None
                if self._fired:  # perhaps not delivered yet: it must not hit the caller's next lines
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._target), None)

    def close(self) -> None:
        """End the thread."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _watch(self, period: float) -> None:
        with self._condition:
            while not self._closed:
                now = time.monotonic()
                if self._deadline is not None and now >= self._deadline:
                    self._deadline = None
                    self._fired = True
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._target), ctypes.py_object(TimeIsOver))
                self._awake_at = self._deadline if self._deadline is not None else now + period
                self._condition.wait(self._awake_at - now)
