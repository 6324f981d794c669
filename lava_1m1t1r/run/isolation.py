"""What a forked process gives each ProcessModel for itself: its own random numbers, and its own settings of the process."""

from __future__ import annotations

import contextvars
import copy
import ctypes
import random
import sys
import warnings
from asyncio import _get_running_loop, _set_running_loop
from typing import Any

import numpy as np

_PYTHONS = random._inst
"""Python's global generator, the one behind ``random.random`` and the others."""
_MEMORY = memoryview((ctypes.c_uint32 * 625).from_address(id(_PYTHONS) + object.__basicsize__)).cast("B")
_WORDS = _MEMORY.cast("I")
"""CPython's struct: the position, then the 624 words of a Mersenne Twister."""


class _PythonsRandom:
    """A state of Python's global generator."""

    def __init__(self):
        self.keep()

    def keep(self) -> None:
        """Be the state that the generator is in."""
        self._state, self._spare = bytes(_MEMORY), _PYTHONS.gauss_next
        self.position, self.word = _WORDS[0], _WORDS[2]

    def restore(self) -> None:
        """Put the generator into this state."""
        _MEMORY[:] = self._state
        _PYTHONS.gauss_next = self._spare

    def renew(self) -> None:
        """Put it into a state that nobody has seen, as Python does at a fork."""
        random.seed()
        self.keep()


_FRESH = _PythonsRandom()
"""Where every model finds Python's generator until it draws its first number."""


class OwnRandom:
    """The global random numbers of numpy and of Python, one stream a model.

    In Lava each model is a forked process: it inherits the state of ``np.random`` at the fork and goes on alone, while Python
    seeds ``random`` anew at each fork. Here the models share a process, so the generator behind ``np.random`` is exchanged
    (0.1 us) before each one runs. Python's cannot be exchanged; its state is copied for those models that draw from it.
    """

    def __init__(self):
        self._generator = copy.deepcopy(np.random.get_bit_generator())
        self._spare = _spare_normal()
        # a spare normal is taken without a trace in the generator
        self._used = self._spare is not None or not isinstance(self._generator, np.random.MT19937)
        if not self._used:
            # numpy's struct of MT19937: 624 words of 32 bits, all of which change after the last one, then the position
            address = self._generator.ctypes.state_address
            self._word = ctypes.c_uint32.from_address(address)
            self._position = ctypes.c_int.from_address(address + 4 * 624)
            self._start = self._word.value, self._position.value
        self._python: _PythonsRandom | None = None

    def enter(self) -> None:
        """From now on ``np.random`` and ``random`` are this stream."""
        np.random.set_bit_generator(self._generator)
        if self._spare is not None:
            _set_spare_normal(self._spare)
        if self._python is not None:
            self._python.restore()

    def leave(self) -> None:
        """Keep what the generators themselves do not hold; nothing to do while no number has been drawn."""
        if self._used or (self._word.value, self._position.value) != self._start:
            self._used = True
            self._spare = _spare_normal()
        if self._python is not None:
            self._python.keep()
            _FRESH.restore()
        elif _WORDS[0] != _FRESH.position or _WORDS[2] != _FRESH.word:  # numbers move the position; a seed, a turn change words
            self._python = _PythonsRandom()
            _FRESH.renew()


class UsersRandom:
    """Context of models: gives the user's own ``np.random`` and ``random`` back."""

    def __enter__(self):
        self._spare = _spare_normal()
        self._generator = np.random.get_bit_generator()
        self._python = _PythonsRandom()
        _FRESH.renew()

    def __exit__(self, *exc_info):
        np.random.set_bit_generator(self._generator)
        if self._spare is not None:
            _set_spare_normal(self._spare)
        self._python.restore()


def own_context() -> contextvars.Context:
    """The user's context variables as they are now, for a model to change."""
    context = contextvars.copy_context()
    decimal = sys.modules.get("decimal")
    if decimal is not None:
        context.run(lambda: decimal.setcontext(decimal.getcontext().copy()))  # the variable holds an object that is changed in place
    return context


class Settings:
    """What a model may set for its process, and hold while a port blocks or from its start on.

    numpy's handling of errors (``np.errstate``), torch's gradient mode (``torch.no_grad``), what becomes of warnings
    (``warnings.catch_warnings``), and the event loop that runs (``asyncio.run``; a notebook's own is none of theirs). Looking at them
    takes 0.3 us. What lies in context variables (numpy 2, ``decimal``) greenlets keep apart. Models work inside a ``with`` block,
    before and after which all is as the user has it.
    """

    def __init__(self):
        self._errors = getattr(np, "geterrobj", list)
        self.held: dict[Any, tuple] = {}
        """What models have set, by model."""

    def __enter__(self):
        torch = sys.modules.get("torch")
        self._gradients = bool if torch is None else torch.is_grad_enabled
        self._set_gradients = None if torch is None else torch.set_grad_enabled
        self._users = self._read()
        self._start = (*self._users[:-1], None)
        self._write(self._start)

    def __exit__(self, *exc_info):
        self._write(self._users)

    def enter(self, model: Any) -> None:
        """Go on as this model left it."""
        if model in self.held:
            self._write(self.held.pop(model))

    def leave(self, model: Any) -> None:
        """Keep what this model has set for when it goes on; the others find what the user had."""
        errors, gradients, filters, show, show_it, _ = self._start
        w: Any = warnings
        if (
            w.filters is not filters
            or w.showwarning is not show
            or w._showwarnmsg_impl is not show_it
            or self._gradients() is not gradients
            or self._errors() != errors
            or _get_running_loop() is not None
        ):
            self.held[model] = self._read()
            self._write(self._start)

    def forget(self, model: Any) -> None:
        """This model is made anew."""
        self.held.pop(model, None)

    def _read(self) -> tuple:
        w: Any = warnings
        errors = list(self._errors())  # numpy hands out its own list
        return errors, self._gradients(), w.filters, w.showwarning, w._showwarnmsg_impl, _get_running_loop()

    def _write(self, found: tuple) -> None:
        w: Any = warnings
        errors, gradients, filters, *show, loop = found
        if errors:
            np.seterrobj(list(errors))
        if self._set_gradients is not None:
            self._set_gradients(gradients)
        w.showwarning, w._showwarnmsg_impl = show
        if w.filters is not filters:
            w.filters = filters
            w._filters_mutated()
        _set_running_loop(loop)


def _spare_normal() -> float | None:
    """np.random.normal draws two numbers at a time and keeps the second outside the generator."""
    state = np.random.get_state(legacy=False)
    return state["gauss"] if state.get("has_gauss") else None


def _set_spare_normal(value: float) -> None:
    np.random.set_state(np.random.get_state(legacy=False) | {"has_gauss": 1, "gauss": value})
