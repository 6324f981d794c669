"""Large arrays that training steps reuse: memory fresh from the system costs a tenth of a step in page faults."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

import numpy as np

_MOST = 8
"""Largest number of free arrays that are kept for reuse; those that have waited longest are dropped first."""
_waiting: list[np.ndarray] = []
_returned: deque[np.ndarray] = deque()
_lock = threading.Lock()


class Buffers:
    """Arrays that are borrowed for as long as this object lives: their user holds it. Data that outlive it must be copied."""

    def __init__(self) -> None:
        self._held: list[np.ndarray] = []

    def empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Return an uninitialised array, as numpy.empty does."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        with _lock:
            while _returned:
                _waiting.append(_returned.popleft())
            del _waiting[:-_MOST]
            fits = [i for i, memory in enumerate(_waiting) if size <= memory.size <= 2 * size]
            memory = _waiting.pop(min(fits, key=lambda i: _waiting[i].size)) if fits else np.empty(size, np.uint8)
        self._held.append(memory)
        return memory[:size].view(dtype).reshape(shape)

    def __del__(self) -> None:
        # without the lock: the garbage collector may come here while this very thread holds it
        _returned.extend(getattr(self, "_held", ()))  # torch.compile makes objects without asking __init__
