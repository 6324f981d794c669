"""What a forked process gives each ProcessModel for itself: its own parameters and its own random numbers."""

from __future__ import annotations

import copy
import ctypes
import random

import numpy as np
from lava.magma.compiler.builders.py_builder import PyProcessBuilder
from lava.magma.core.process.process import AbstractProcess


def own_copies(builder: PyProcessBuilder, shared: dict[int, object]) -> PyProcessBuilder:
    """Copy a builder's parameters and initial values, so that its model cannot change the user's or a neighbour's.

    Parameters
    ----------
    builder : PyProcessBuilder
    shared : dict
        ``id(object): object`` of what must not be copied: the Processes of the graph, their ports and Vars.
    """
    own = copy.copy(builder)
    try:
        own.proc_params = copy.deepcopy(builder.proc_params, dict(shared))
    except Exception:  # a lock, a socket, a generator: there is only one of it, and models share it
        own.proc_params = builder.proc_params
    own.vars = {}
    for name, var in builder.vars.items():
        own.vars[name] = var = copy.copy(var)
        var.value = copy.deepcopy(var.value)  # Lava copies it for models that hold an array, and hands it over to others
    return own


def members(processes: list[AbstractProcess]) -> dict[int, object]:
    """``id: object`` of the Processes, their ports and Vars."""
    found = {}
    for process in processes:
        for collection in (process.in_ports, process.out_ports, process.ref_ports, process.var_ports, process.vars):
            found.update({id(member): member for member in collection.members})
        found[id(process)] = process
    return found


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
        self._used = not isinstance(self._generator, np.random.MT19937)
        if not self._used:
            # numpy's struct of MT19937: 624 words of 32 bits, then the position
            self._position = ctypes.c_int.from_address(self._generator.ctypes.state_address + 4 * 624)
            self._start = self._position.value
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
        if self._used or self._position.value != self._start:
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


def _spare_normal() -> float | None:
    """np.random.normal draws two numbers at a time and keeps the second outside the generator."""
    state = np.random.get_state(legacy=False)
    return state["gauss"] if state.get("has_gauss") else None


def _set_spare_normal(value: float) -> None:
    np.random.set_state(np.random.get_state(legacy=False) | {"has_gauss": 1, "gauss": value})
