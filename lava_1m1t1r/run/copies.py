"""What a forked process gives each ProcessModel for itself: its own parameters and initial values, but for shared memory."""

from __future__ import annotations

import copy
import mmap
import sys
from collections.abc import Iterator
from multiprocessing.managers import BaseProxy
from multiprocessing.shared_memory import SharedMemory
from multiprocessing.sharedctypes import SynchronizedBase
from typing import Any

import numpy as np
from lava.magma.compiler.builders.py_builder import PyProcessBuilder
from lava.magma.core.process.process import AbstractProcess


def own_copies(builder: PyProcessBuilder, shared: dict[int, object]) -> PyProcessBuilder:
    """Copy a builder's parameters and initial values, so that its model cannot change the user's or a neighbour's.

    Memory that processes share (``np.memmap``, ``multiprocessing``'s arrays, SharedMemory and managers, torch's shared tensors) is not
    copied: a forked process writes to it, too. Nor are objects of which there is only one, such as locks.

    Parameters
    ----------
    builder : PyProcessBuilder
    shared : dict
        ``id(object): object`` of what must not be copied: the Processes of the graph, their ports and Vars.
    """
    own = copy.copy(builder)
    given = parameters(builder)
    memo: dict[int, Any] = {**shared, **{id(value): value for value in _leaves(given) if _is_shared(value)}}
    own.proc_params = copy.copy(builder.proc_params)
    own.proc_params._parameters = _own(given, memo)
    own.vars = {}
    for name, var in builder.vars.items():
        own.vars[name] = var = copy.copy(var)
        var.value = copy.deepcopy(var.value)  # Lava copies it for models that hold an array, and hands it over to others
    return own


def parameters(builder: PyProcessBuilder) -> dict[str, Any]:
    """What the Process was given for its ProcessModel, by name."""
    return vars(builder.proc_params).get("_parameters", {})


def _own(value: Any, memo: dict[int, Any]) -> Any:
    try:
        return copy.deepcopy(value, dict(memo))  # a copy that fails leaves half-filled containers in its memo
    except Exception:  # a lock, a socket, a generator: there is only one of it, and models share it, but not what lies beside it
        if type(value) is dict:
            return {key: _own(item, memo) for key, item in value.items()}
        if type(value) in (list, tuple):
            return type(value)(_own(item, memo) for item in value)
        return value


def _leaves(value: Any) -> Iterator[Any]:
    """All that lies in nested dicts, lists and tuples."""
    open_, seen = [value], set()
    while open_:
        value = open_.pop()
        if type(value) in (dict, list, tuple):
            if id(value) not in seen:
                seen.add(id(value))
                open_.extend(value.values() if type(value) is dict else value)
        else:
            yield value


def _is_shared(value: Any) -> bool:
    """Whether a forked process would see the same memory, and not its own copy of it."""
    if isinstance(value, (BaseProxy, SynchronizedBase, SharedMemory, mmap.mmap)):
        return True
    while isinstance(value, np.ndarray):
        if isinstance(value, np.memmap) and value.mode == "c":
            return False
        value = value.base
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return value.is_shared()
    if isinstance(value, memoryview):
        value = value.obj
    # what multiprocessing's arrays lie in knows the heap that it was taken from
    return isinstance(value, mmap.mmap) or type(getattr(value, "_wrapper", None)).__module__ == "multiprocessing.heap"


def members(processes: list[AbstractProcess]) -> dict[int, object]:
    """``id: object`` of the Processes, their ports and Vars."""
    found = {}
    for process in processes:
        for collection in (process.in_ports, process.out_ports, process.ref_ports, process.var_ports, process.vars):
            found.update({id(member): member for member in collection.members})
        found[id(process)] = process
    return found
