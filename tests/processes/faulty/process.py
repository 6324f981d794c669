"""A Process that relays its input, and breaks in a chosen way at a chosen step."""

from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var


class Faulty(AbstractProcess):
    """Relay that breaks.

    Parameters
    ----------
    shape : tuple of int
    fault : str
        "none", "raise", "enum", "leave", "signal", "unpicklable", "shape", "exit", "kill", "silent", "pause", "stop", "sleep",
        "long sleep", "spin", "build" or "endless build".
    at : int
        Time step of the fault, from 1.
    """

    def __init__(self, *, shape=(3,), fault="none", at=3, **kwargs):
        super().__init__(shape=shape, fault=fault, at=at, **kwargs)
        self.a_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)
        self.total = Var(shape=shape, init=0)
