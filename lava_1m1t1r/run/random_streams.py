"""Random numbers as a forked process would give them to each ProcessModel: its own ``np.random`` and ``random``."""

from __future__ import annotations

import copy
import ctypes
import random
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from .._support.threads import in_child
from .failures import RunError

_PYTHONS: Any = random._inst  # a random.Random, whose spare normal, ``gauss_next``, its published types leave out
"""Python's global generator, the one behind ``random.random`` and the others."""
_MEMORY = memoryview((ctypes.c_uint32 * 625).from_address(id(_PYTHONS) + object.__basicsize__)).cast("B")
_WORDS = _MEMORY.cast("I")
"""Memory of CPython's struct: the position, then the 624 words of a Mersenne Twister."""
_OWN = random.Random(0)  # of the same struct; nobody draws from it meanwhile
_SAME = (ctypes.c_uint32 * 625).from_address(id(_OWN) + object.__basicsize__)
if (*_SAME[1:], _SAME[0]) != _OWN.getstate()[1]:
    raise ImportError(
        f"{sys.implementation.name} {sys.version.split()[0]} keeps the state of `random` in another place than CPython 3.10 does"
    )


class _PythonsRandom:
    """A state of Python's global generator."""

    def __init__(self):
        self.keep()

    def keep(self) -> None:
        """Take over the present state of the generator."""
        self._state, self._spare = bytes(_MEMORY), _PYTHONS.gauss_next
        self.position, self.word = _WORDS[0], _WORDS[2]

    def restore(self) -> None:
        """Put the generator into this state."""
        _MEMORY[:] = self._state
        _PYTHONS.gauss_next = self._spare

    def renew(self) -> None:
        """Put the generator into an unpredictable state, as Python does at a fork."""
        random.seed()
        self.keep()


_FRESH = _PythonsRandom()
"""State in which every model finds Python's generator until it draws its first number."""


class _State(NamedTuple):
    """State of ``np.random``."""

    kind: type
    """Type of the bit generator."""
    numbers: Any
    """State of the bit generator: the bytes of a Mersenne Twister, of others their ``state``."""
    spare: float | None
    """Second normal number, kept outside of the generator: ``np.random.normal`` draws two at a time."""


_TRIES = 8
"""How often the user's numbers are put back where an exception comes between: signals are few, and an error of its own must not repeat for
ever."""


class _Home:
    """The generator behind ``np.random`` while models run: every model finds it there until it draws its first number.

    It is written to and never exchanged: another thread may be drawing from it without Python's lock, and would go on in memory that
    somebody else draws from. Its own lock is held meanwhile.
    """

    def __init__(self, start: _State | None):
        self.generator = np.random.get_bit_generator()
        self._users: Any = None
        self._look()
        self._before = self.swapped(None)
        self.start = self._before if start is None else start
        self._given = start is not None

    def enter(self) -> None:
        """Make the start the present state."""
        if self.start.kind is not self._before.kind:  # the user has chosen another kind since the models were built
            self._users, self.generator = self.generator, self.start.kind()
            np.random.set_bit_generator(self.generator)
            self._look()
        if self._given:
            self.swapped(self.start, self._users is None and self._before.spare is None)
        # numbers count as drawn by models from here on; a spare normal is taken without a trace in the generator
        self.tells = self._words is not None and self.start.spare is None
        if self._words is not None:
            self.word, self.position = self._words[1], self._words[624]

    def _look(self) -> None:
        self._words: Any = None
        if isinstance(self.generator, np.random.MT19937):
            # numpy's struct: 624 words of 32 bits, all of which change after the last one, then the position. The second word tells of
            # seeds, too; some leave the first one as it is.
            memory = (ctypes.c_uint32 * 625).from_address(self.generator.ctypes.state_address)
            self._bytes = memoryview(memory).cast("B")
            self._words = self._bytes.cast("I")

    def leave(self) -> None:
        """Restore the user's state."""
        if self._users is not None:
            np.random.set_bit_generator(self._users)
            self.generator = self._users
            self._look()
        self.swapped(self._before)

    def swapped(self, state: _State | None, no_spare: bool = False) -> _State:
        """Set this state (None: leave it as it is), and return the previous one.

        The lock, which another thread may hold for long, is taken once. ``no_spare``: it is known that there is no spare normal now; asking
        takes 0.1 ms.
        """
        spare = None if no_spare else _spare_normal()
        numbers: bytes | Mapping[str, Any]
        if self._words is None:
            numbers = copy.deepcopy(self.generator.state)
            if state is not None:
                self.generator.state = state.numbers
        else:
            with self.generator.lock:
                numbers = bytes(self._bytes)
                if state is not None:
                    self._bytes[:] = state.numbers
        if state is not None and (state.spare is not None or spare is not None):
            _set_spare_normal(state.spare)
        return _State(type(self.generator), numbers, spare)

    def is_free(self) -> bool:
        """Whether no other thread is drawing just now. While one is, the missing numbers are its own; and to wait for it would take many
        times as long as the models."""
        if self.generator.lock.acquire(blocking=False):
            self.generator.lock.release()
            return True
        return False

    def drawn_from(self) -> bool:
        """Whether a number was drawn since the start; True, too, where this cannot be told."""
        return not self.tells or self._words[1] != self.word or self._words[624] != self.position


_home: Any = None
"""The :class:`_Home` of the models that run; None while none do."""
_lock = threading.RLock()
"""Lock that is held while models run."""


@in_child
def _forget() -> None:
    """Start anew where another thread ran a graph: a forked child does not have it."""
    global _lock, _home
    if _lock.acquire(blocking=False):
        _lock.release()
        return
    if _home is not None and _home.is_free():
        _home.leave()
    _lock, _home = threading.RLock(), None


class OwnRandom:
    """The global random numbers of numpy and of Python, one stream a model.

    In Lava each model is a forked process. It inherits the state of ``np.random``; ``random`` is seeded anew by Python. Here the models
    share a process, and each finds both generators as a fork would, or, once it has drawn, in its own state.
    """

    def __init__(self) -> None:
        self._state: _State | None = None
        self._generator: Any = None
        self._spare: float | None = None
        self._python: _PythonsRandom | None = None

    def enter(self) -> None:
        """Make ``np.random`` and ``random`` this stream."""
        if self._generator is not None:
            np.random.set_bit_generator(self._generator)
            if self._spare is not None:
                _set_spare_normal(self._spare)
        elif self._state is not None:
            _home.swapped(self._state)
        if self._python is not None:
            self._python.restore()

    def leave(self) -> None:
        """Keep the state after what was drawn; nothing to do while no number has been drawn."""
        home = _home
        found = np.random.get_bit_generator()
        if found is not home.generator:  # the model has put one of its own there
            self._generator, self._spare = found, _spare_normal()
            np.random.set_bit_generator(home.generator)
            home.swapped(home.start)
        elif self._state is not None or self._generator is not None:
            self._state, self._generator = home.swapped(home.start), None
        elif home.drawn_from() and home.is_free():
            self._state = home.swapped(home.start)
        if self._python is not None:
            self._python.keep()
            _FRESH.restore()
        elif _WORDS[0] != _FRESH.position or _WORDS[2] != _FRESH.word:  # numbers move the position; a seed, a turn change words
            self._python = _PythonsRandom()
            _FRESH.renew()


@contextmanager
def alone() -> Iterator[None]:
    """For a ``with`` block in which no other thread runs a graph.

    Raises
    ------
    RunError
        While another thread does: before anything is begun that would then have to end.
    """
    lock = _lock  # another one after a fork
    if not lock.acquire(blocking=False):
        raise RunError(
            "another thread runs a graph in this process, and both would draw from one np.random. Run one after the other, in "
            "processes of their own, or in Lava's own runtime (guarded)."
        )
    try:
        yield
    finally:
        lock.release()


@contextmanager
def users_random(start: Any = None) -> Iterator[Any]:
    """For a ``with`` block in which models work: at its end the user's own ``np.random`` and ``random`` are back.

    Parameters
    ----------
    start : optional
        Where ``np.random`` stood when the models were built: what the block that they were built in was given.

    Yields
    ------
    object
        ``start``, or where ``np.random`` stands now.

    Raises
    ------
    RunError
        While another thread is in such a block.
    """
    global _home
    with alone():
        outer, python, inner = _home, _PythonsRandom(), _Home(start)
        try:
            _home = inner
            inner.enter()
            _FRESH.renew()
            yield inner.start
        finally:
            stop = None
            for _ in range(_TRIES):
                try:
                    inner.leave()
                    _home = outer
                    python.restore()
                    break
                except BaseException as error:  # of a signal's handler: the user's numbers come back all the same
                    stop = error
            if stop is not None:
                raise stop


def _spare_normal() -> float | None:
    """Second normal number of np.random.normal, which draws two at a time and keeps one outside the generator."""
    state = np.random.get_state(legacy=False)
    return state["gauss"] if state.get("has_gauss") else None


def _set_spare_normal(value: float | None) -> None:
    np.random.set_state(np.random.get_state(legacy=False) | {"has_gauss": int(value is not None), "gauss": value or 0.0})
