"""Where samples enter a Lava graph, and where its output is collected without a message per value."""

from __future__ import annotations

from multiprocessing.sharedctypes import RawArray

import numpy as np
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess


class Frames(AbstractProcess):
    """Sends one frame a step, then silence. ``frames``: (T, C), or (B, T, C) for whole samples, uint8 or int16."""

    def __init__(self, *, frames: np.ndarray) -> None:
        super().__init__(frames=frames)
        self.s_out = OutPort(shape=frames.shape[1:])


class Tap(AbstractProcess):
    """Keeps what it receives, in memory that Lava's processes share with the caller.

    Parameters
    ----------
    shape : (N,)
        Shape of what it receives, which are whole numbers.
    steps : int
        Steps that fit.
    """

    def __init__(self, *, shape: tuple[int, ...], steps: int) -> None:
        memory = RawArray("i", steps * int(np.prod(shape)))
        super().__init__(memory=memory, shape=shape, steps=steps)
        self._memory = memory
        self.a_in = InPort(shape=shape)

    def values(self) -> np.ndarray:
        """Received values, (steps, N) int32, a copy."""
        shape = (self.proc_params["steps"], *self.proc_params["shape"])
        return np.frombuffer(self._memory, np.int32).reshape(shape).copy()
