"""What a forked process gives each ProcessModel for itself: its own parameters and its own random numbers."""

from __future__ import annotations

import copy
import ctypes

import numpy as np
from lava.magma.compiler.builders.py_builder import PyProcessBuilder
from lava.magma.core.process.process import AbstractProcess
from scipy.sparse import spmatrix


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
        if isinstance(var.value, spmatrix):  # Lava copies arrays into the model, and hands sparse matrices over
            var.value = var.value.copy()
    return own


def members(processes: list[AbstractProcess]) -> dict[int, object]:
    """``id: object`` of the Processes, their ports and Vars."""
    found = {}
    for process in processes:
        for collection in (process.in_ports, process.out_ports, process.ref_ports, process.var_ports, process.vars):
            found.update({id(member): member for member in collection.members})
        found[id(process)] = process
    return found


class OwnRandom:
    """numpy's global random numbers, one stream a model.

    In Lava each model is a forked process: it inherits the state of ``np.random`` at the fork and goes on alone.
    Here the models share a process, so the generator behind ``np.random`` is exchanged (0.1 us) before each one runs.
    """

    def __init__(self):
        self._generator = copy.deepcopy(np.random.get_bit_generator())
        self._spare = _spare_normal()
        self._used = not isinstance(self._generator, np.random.MT19937)
        if not self._used:
            # numpy's struct of MT19937: 624 words of 32 bits, then the position
            self._position = ctypes.c_int.from_address(self._generator.ctypes.state_address + 4 * 624)
            self._start = self._position.value

    def enter(self) -> None:
        """From now on ``np.random`` is this stream."""
        np.random.set_bit_generator(self._generator)
        if self._spare is not None:
            _set_spare_normal(self._spare)

    def leave(self) -> None:
        """Keep what the generator itself does not hold; nothing to do while no number has been drawn."""
        if self._used or self._position.value != self._start:
            self._used = True
            self._spare = _spare_normal()


class UsersRandom:
    """Context that gives the user's own ``np.random`` back."""

    def __enter__(self):
        self._spare = _spare_normal()
        self._generator = np.random.get_bit_generator()

    def __exit__(self, *exc_info):
        np.random.set_bit_generator(self._generator)
        if self._spare is not None:
            _set_spare_normal(self._spare)


def _spare_normal() -> float | None:
    """np.random.normal draws two numbers at a time and keeps the second outside the generator."""
    state = np.random.get_state(legacy=False)
    return state["gauss"] if state.get("has_gauss") else None


def _set_spare_normal(value: float) -> None:
    np.random.set_state(np.random.get_state(legacy=False) | {"has_gauss": 1, "gauss": value})
