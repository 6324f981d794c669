"""Copies that a forked process would give each ProcessModel: its own parameters and initial values, except for shared memory."""

from __future__ import annotations

import copy
import ctypes
import io
import mmap
import random
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from multiprocessing.managers import BaseProxy
from multiprocessing.sharedctypes import SynchronizedBase
from types import BuiltinMethodType, ModuleType, TracebackType
from typing import Any

import numpy as np
from lava.magma.compiler.builders.py_builder import PyProcessBuilder
from lava.magma.core.process.process import AbstractProcess
from numpy.lib.stride_tricks import DummyArray

from ..errors import InputError

_MOST_KINDS = 100
"""Largest number of types of objects that cannot be copied, among one Process's parameters, up to which everything around them is
copied."""
_DEEPEST = 100
"""Depth at which objects hold one another, up to which it is the mistake of one of them if Python's recursion limit ends a copy."""
_PLAIN = (int, float, str, bool, type(None), list, dict, tuple)
_GLOBAL: dict[int, object] = {id(one): one for one in (random._inst, np.random.mtrand._rand)}
"""Generators behind ``random`` and ``np.random``, by id; each model has its own stream of them (:mod:`.random_streams`)."""
_BITS = (np.random.MT19937, np.random.PCG64, np.random.PCG64DXSM, np.random.Philox, np.random.SFC64)
_OF_C = ctypes.c_int.__mro__[2]
"""Base class of all objects of ctypes."""


def own_copies(builder: PyProcessBuilder, shared: dict[int, object]) -> tuple[PyProcessBuilder, list[Iterator]]:
    """Copy a builder's parameters and initial values, so that its model cannot change the user's or a neighbour's.

    What is one object stays one, also where parameters and initial values share it, and views of one array see each other's changes.
    (They do not where a bytearray, a memoryview, a tensor, an array of objects or one of a subclass has the memory. Nor does a RandomState
    share its BitGenerator, and a weakref leads to the user's object.) Not copied are:

    - memory that processes share (``np.memmap``, ``multiprocessing``'s arrays, SharedMemory and managers, torch's shared tensors), which
      a forked process writes to, too;
    - what cannot be copied (locks, open files), what closes something when it is collected (the end of a pipe), and threads. What holds
      them is copied around them;
    - plain ``object()``, which is known by its identity.

    Parameters
    ----------
    builder : PyProcessBuilder
    shared : dict
        ``id(object): object`` of what must not be copied: the Processes of the graph, their ports and Vars.

    Returns
    -------
    builder : PyProcessBuilder
        The copy.
    drawn : list of Iterator
        Iterators that could not be copied: who draws from them leaves less for others.

    Raises
    ------
    InputError
        For objects that hold one another more deeply than Python can follow.
    """
    own = copy.copy(builder)
    drawn: list[Iterator] = []
    values = {name: var.value for name, var in builder.vars.items()}
    given, values = _copied((parameters(builder), values), shared, drawn)
    own.proc_params = copy.copy(builder.proc_params)
    own.proc_params._parameters = given
    own.vars = {}
    for name, var in builder.vars.items():
        own.vars[name] = var = copy.copy(var)
        var.value = values[name]  # Lava copies it for models that hold an array, and hands it over to others
    return own, drawn


def parameters(builder: PyProcessBuilder) -> dict[str, Any]:
    """Parameters that the Process was given for its ProcessModel, by name."""
    return vars(builder.proc_params).get("_parameters", {})


class _Memo(dict):
    """Memo of ``copy.deepcopy``, which asks it with the id of each object for a copy: shared objects are their own.

    Attributes
    ----------
    kinds : set
        Types and ids of what is not copied.
    whole : set of int
        Ids of arrays that are copied wholly where one is a view of them.
    parts : Counter
        How many views were copied for themselves, by the ids of the arrays that they are views of.
    drawn : list of Iterator
        Iterators that are not copied, but for those that forked processes share, too: open files have one place in all of them.
    """

    def __init__(self, shared: dict[int, object], kinds: set[Any], whole: set[int]):
        super().__init__({**_GLOBAL, **shared})
        self.kinds, self.whole = kinds, whole
        self.parts: Counter[int] = Counter()
        self.drawn: list[Iterator] = []
        self.kept: list[Any] = []  # what may be temporary: another object would get its id

    def torn(self) -> set[int]:
        """Return the ids of the arrays of which more than one part was copied for itself."""
        return {one for one, count in self.parts.items() if count > 1 or one in self}

    def get(self, key: Any, default: Any = None) -> Any:
        found = super().get(key, default)
        if found is default:
            frame = sys._getframe(1)
            if frame.f_code is copy.deepcopy.__code__:
                value = frame.f_locals["x"]
                if type(value) in self.kinds or id(value) in self.kinds or _is_shared(value):
                    self[key] = found = value
                    if isinstance(value, Iterator) and not isinstance(value, (io.IOBase, BaseProxy)):
                        self.drawn.append(value)
                elif isinstance(value, np.ndarray):
                    self[key] = found = _copied_array(value, self)
                    self.kept.append(value)
                elif isinstance(value, BuiltinMethodType):
                    self[key] = found = _copied_method(value, self)
                    self.kept.append(value)
                elif type(value) is np.random.Generator:
                    self[key] = found = np.random.Generator(copy.deepcopy(value.bit_generator, self))
                    self.kept.append(value)
                elif type(value) in _BITS:
                    self[key] = found = _copied_bits(value, self)
                    self.kept.append(value)
                elif _is_torchs_generator(value):
                    self[key] = found = type(value)(device=value.device)
                    found.set_state(value.get_state())
                    self.kept.append(value)
        return found


def _is_torchs_generator(value: Any) -> bool:
    """Whether ``value`` is a generator of torch's, which cannot be copied before torch 2.4, and not the one behind ``torch.rand``."""
    torch = sys.modules.get("torch")
    return torch is not None and type(value) is torch.Generator and value is not torch.default_generator


def _copied_method(method: BuiltinMethodType, memo: _Memo) -> Any:
    """Method of the copy of what it belongs to (``rng.normal``, ``queue.popleft``): ``copy`` takes those in C for functions."""
    owner = method.__self__
    if owner is None or isinstance(owner, (ModuleType, type)):
        return method
    return getattr(copy.deepcopy(owner, memo), method.__name__)


def _copied_bits(bits: Any, memo: _Memo) -> Any:
    """Copy a BitGenerator with what ``spawn`` makes others from: numpy before 2 seeds copies anew for that, from the system."""
    copied = type(bits)(copy.deepcopy(bits._seed_seq, memo))
    copied.state = bits.state
    return copied


def _copied_array(array: np.ndarray, memo: _Memo) -> np.ndarray:
    """Copy an array, or what it is a view of, and make such a view of that. What is to be read only remains so."""
    owner = _memory(array)
    if type(array) is np.ndarray and isinstance(owner, np.ndarray) and owner is not array and not owner.dtype.hasobject:
        if array.nbytes >= owner.nbytes or id(owner) in memo.whole:  # the part of a large array may be all that there is of it
            return _view(array, owner, copy.deepcopy(owner, memo))
        memo.parts[id(owner)] += 1
    copied = array.__deepcopy__(memo)
    if isinstance(copied, np.ndarray):  # which a class of the user's need not return
        copied.flags.writeable = array.flags.writeable
    return copied


def _view(array: np.ndarray, owner: np.ndarray, copied: np.ndarray) -> np.ndarray:
    """The view of ``copied`` that ``array`` is of ``owner``."""
    copied.flags.writeable = True  # for now: views made before an array was locked can be written to
    start = array.ctypes.data - owner.ctypes.data
    view: np.ndarray = np.ndarray(array.shape, array.dtype, copied.ravel("K").view(np.uint8), start, array.strides)
    view.flags.writeable = array.flags.writeable
    copied.flags.writeable = owner.flags.writeable
    return view


def _memory(value: Any) -> Any:
    """What holds an array's memory, innermost: the array itself, one that it is a view of, or what numpy did not make."""
    while isinstance(value, (np.ndarray, DummyArray)) and value.base is not None:
        value = value.base
    return value


def _copied(
    value: tuple[dict[str, Any], ...], shared: dict[int, object], drawn: list[Iterator] | None = None
) -> tuple[dict[str, Any], ...]:
    """Copy what the dicts hold; ``drawn`` receives the iterators that could not be copied."""
    drawn = [] if drawn is None else drawn
    kinds: set[Any] = set()
    whole: set[int] = set()
    for _ in range(_MOST_KINDS):
        memo = _Memo(shared, kinds, whole)  # a new one, for a copy that fails leaves half-filled containers in it
        try:
            copied = copy.deepcopy(value, memo)
            torn = memo.torn()
            if whole or not torn:
                drawn += memo.drawn
                return copied
            whole = torn
        except Exception as error:
            if isinstance(error, RecursionError) and len(_copying(error.__traceback__)) > _DEEPEST:
                cure = "Nest them less deeply, or raise sys.setrecursionlimit."
                raise InputError(f"parameters must not hold one another more deeply than Python can follow. {cure}") from None
            culprit = _copying(error.__traceback__)[-1]
            kind = type(culprit)
            if kind in _PLAIN:
                break
            # of tensors some can be copied: those that are no results of others that learn
            kinds.add(id(culprit) if kind.__module__.partition(".")[0] == "torch" else kind)
    return tuple({name: _alone(item, shared, drawn) for name, item in part.items()} for part in value)


def _alone(value: Any, shared: dict[int, object], drawn: list[Iterator]) -> Any:
    memo = _Memo(shared, set(), set())
    try:
        copied = copy.deepcopy(value, memo)
    except Exception:
        copied, memo.drawn = value, [value] if isinstance(value, Iterator) else []
    drawn += memo.drawn
    return copied


def _copying(trace: TracebackType | None) -> list[Any]:
    """Objects that ``copy.deepcopy`` was copying when it failed, each within the one before."""
    found = []
    while trace is not None:
        if trace.tb_frame.f_code is copy.deepcopy.__code__:
            found.append(trace.tb_frame.f_locals["x"])
        trace = trace.tb_next
    return found


def _is_shared(value: Any) -> bool:
    """Whether there is only one of ``value``, or a forked process would see the same memory instead of its own copy."""
    if type(value) in _PLAIN:
        return False
    if type(value) is object or isinstance(value, (BaseProxy, SynchronizedBase, mmap.mmap, threading.Thread)):
        return True
    if hasattr(type(value), "__del__"):
        return not isinstance(value, (io.StringIO, io.BytesIO))  # files that are memory, and have nothing to close
    while isinstance(value, (np.ndarray, DummyArray)):
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
