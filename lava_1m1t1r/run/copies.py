"""Copies that a forked process would give each ProcessModel: its own parameters and initial values, except for shared memory."""

from __future__ import annotations

import copy
import ctypes
import io
import mmap
import random
import sys
import threading
from multiprocessing.managers import BaseProxy
from multiprocessing.sharedctypes import SynchronizedBase
from types import TracebackType
from typing import Any

import numpy as np
from lava.magma.compiler.builders.py_builder import PyProcessBuilder
from lava.magma.core.process.process import AbstractProcess

_MOST_KINDS = 100
"""Largest number of types of objects that cannot be copied, among one Process's parameters, up to which everything around them is
copied."""
_PLAIN = (int, float, str, bool, type(None), list, dict, tuple)
_GLOBAL: dict[int, object] = {id(one): one for one in (random._inst, np.random.mtrand._rand)}
"""Generators behind ``random`` and ``np.random``, by id; each model has its own stream of them (:mod:`.random_streams`)."""
_OF_C = ctypes.c_int.__mro__[2]
"""Base class of all objects of ctypes."""


def own_copies(builder: PyProcessBuilder, shared: dict[int, object]) -> PyProcessBuilder:
    """Copy a builder's parameters and initial values, so that its model cannot change the user's or a neighbour's.

    What is one object stays one, also where parameters and initial values share it. Not copied are:

    - memory that processes share (``np.memmap``, ``multiprocessing``'s arrays, SharedMemory and managers, torch's shared tensors), which
      a forked process writes to, too;
    - what cannot be copied (locks, open files), what closes something when it is collected (the end of a pipe), and threads. What holds
      them is copied around them.

    Parameters
    ----------
    builder : PyProcessBuilder
    shared : dict
        ``id(object): object`` of what must not be copied: the Processes of the graph, their ports and Vars.
    """
    own = copy.copy(builder)
    values = {name: var.value for name, var in builder.vars.items()}
    given, values = _copied((parameters(builder), values), shared)
    own.proc_params = copy.copy(builder.proc_params)
    own.proc_params._parameters = given
    own.vars = {}
    for name, var in builder.vars.items():
        own.vars[name] = var = copy.copy(var)
        var.value = values[name]  # Lava copies it for models that hold an array, and hands it over to others
    return own


def parameters(builder: PyProcessBuilder) -> dict[str, Any]:
    """Parameters that the Process was given for its ProcessModel, by name."""
    return vars(builder.proc_params).get("_parameters", {})


class _Memo(dict):
    """Memo of ``copy.deepcopy``, which asks it with the id of each object for a copy: shared objects are their own."""

    def __init__(self, shared: dict[int, object], kinds: set[Any]):
        super().__init__({**_GLOBAL, **shared})
        self.kinds = kinds

    def get(self, key: Any, default: Any = None) -> Any:
        found = super().get(key, default)
        if found is default:
            frame = sys._getframe(1)
            if frame.f_code is copy.deepcopy.__code__:
                value = frame.f_locals["x"]
                if type(value) in self.kinds or id(value) in self.kinds or _is_shared(value):
                    self[key] = found = value
        return found


def _copied(value: tuple[dict[str, Any], ...], shared: dict[int, object]) -> tuple[dict[str, Any], ...]:
    kinds: set[Any] = set()
    for _ in range(_MOST_KINDS):
        try:
            return copy.deepcopy(value, _Memo(shared, kinds))  # a copy that fails leaves half-filled containers in its memo
        except Exception as error:
            culprit = _culprit(error.__traceback__)
            kind = type(culprit)
            if kind in _PLAIN:
                break
            # of tensors some can be copied: those that are no results of others that learn
            kinds.add(id(culprit) if kind.__module__.partition(".")[0] == "torch" else kind)
    return tuple({name: _alone(item, shared) for name, item in part.items()} for part in value)


def _alone(value: Any, shared: dict[int, object]) -> Any:
    try:
        return copy.deepcopy(value, _Memo(shared, set()))
    except Exception:
        return value


def _culprit(trace: TracebackType | None) -> Any:
    """Innermost object that ``copy.deepcopy`` was copying when it failed."""
    found = None
    while trace is not None:
        if trace.tb_frame.f_code is copy.deepcopy.__code__:
            found = trace.tb_frame.f_locals["x"]
        trace = trace.tb_next
    return found


def _is_shared(value: Any) -> bool:
    """Whether there is only one of ``value``, or a forked process would see the same memory instead of its own copy."""
    if type(value) in _PLAIN:
        return False
    if isinstance(value, (BaseProxy, SynchronizedBase, mmap.mmap, threading.Thread)):
        return True
    if hasattr(type(value), "__del__"):
        return not isinstance(value, (io.StringIO, io.BytesIO))  # files that are memory, and have nothing to close
    while isinstance(value, np.ndarray):
        if isinstance(value, np.memmap) and value.mode == "c":
            return False
        value = value.base
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return value.is_shared()
    if isinstance(value, memoryview):
        value = value.obj
    if isinstance(value, _OF_C):  # what multiprocessing's arrays lie in knows the heap that it was taken from
        return type(getattr(value, "_wrapper", None)).__module__ == "multiprocessing.heap"
    return isinstance(value, mmap.mmap)


def members(processes: list[AbstractProcess]) -> dict[int, object]:
    """``id: object`` of the Processes, their ports and Vars."""
    found = {}
    for process in processes:
        for collection in (process.in_ports, process.out_ports, process.ref_ports, process.var_ports, process.vars):
            found.update({id(member): member for member in collection.members})
        found[id(process)] = process
    return found
