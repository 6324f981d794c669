"""Large arrays that training steps reuse: newly allocated memory would cost a tenth of a step in page faults."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from .._support import aligned
from .._support.threads import in_child

_MOST = 8
"""Largest number of free arrays that are kept for reuse; those that have waited longest are dropped first."""
_PATIENCE = 64
"""Number of requests after which a free array that fitted none of them is dropped: a training step makes a few."""


def owned(shape: tuple[int, ...], dtype: Any) -> tuple[torch.Tensor, np.ndarray]:
    """Uninitialised tensor, in memory of torch's own, and the array that shares it: for what autograd receives.

    A backward pass that Ctrl-C breaks leaves tensors in a queue that torch empties after Python has ended. One over an array of numpy's
    would then ask for Python, and wait for ever.
    """
    tensor = torch.empty(shape, dtype=torch.from_numpy(np.empty(0, dtype)).dtype, device="cpu")
    return tensor, tensor.numpy()


class _Free(NamedTuple):
    memory: np.ndarray
    since: int  # request


_waiting: list[_Free] = []
_returned: deque[np.ndarray] = deque(maxlen=_MOST)
_lock = threading.Lock()
_requests = 0


@in_child
def _forget() -> None:
    """Start anew: the thread that held the lock is not there in a forked child."""
    global _lock
    _lock = threading.Lock()


class _Lent:
    """Memory of a borrowed array, which holds this object as long as it, a view of it or a tensor over it lives."""

    returned = _returned  # as long as the class lives, also while Python ends and has emptied this module

    def __init__(self, memory: np.ndarray) -> None:
        self.memory, self.__array_interface__ = memory, memory.__array_interface__

    def __del__(self) -> None:
        # without the lock: the garbage collector may come here while this very thread holds it
        self.returned.append(self.memory)


def borrowed(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return an uninitialised array, as numpy.empty does, whose memory is used again when nobody has it any more."""
    global _requests
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    with _lock:
        _requests += 1
        while _returned:
            _waiting.append(_Free(_returned.popleft(), _requests))
        _waiting[:] = [free for free in _waiting[-_MOST:] if _requests - free.since <= _PATIENCE]
        fits = [i for i, free in enumerate(_waiting) if size <= free.memory.size <= 2 * size]
        memory = _waiting.pop(min(fits, key=lambda i: _waiting[i].memory.size)).memory if fits else aligned.empty(size, np.uint8)
    return np.asarray(_Lent(memory))[:size].view(dtype).reshape(shape)


def save(ctx: Any, tensors: Sequence[torch.Tensor | None], arrays: Sequence[np.ndarray | None]) -> None:
    """Save tensors and arrays for an autograd function's backward pass, which has them from :func:`saved`.

    As tensors, all of them: torch lets go of what was saved after the backward pass, though the result that it began at is kept, and
    :mod:`torch.utils.checkpoint` and other hooks see to it instead.
    """
    ctx.save_for_backward(*tensors, *(None if array is None else torch.from_numpy(array) for array in arrays))
    ctx.tensors = len(tensors)


def saved(ctx: Any) -> tuple[list[Any], list[Any]]:
    """Tensors and arrays of :func:`save`, None where one was."""
    found = ctx.saved_tensors
    # row by row in memory: hooks may lay out anew what they keep, and the kernels read a row's values as neighbours
    return list(found[: ctx.tensors]), [None if one is None else np.ascontiguousarray(one.numpy()) for one in found[ctx.tensors :]]


def clear() -> None:
    """Give back the memory of all arrays that nobody uses, for those who go on with other things after a training."""
    with _lock:
        _returned.clear()
        _waiting.clear()
