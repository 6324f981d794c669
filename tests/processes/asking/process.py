"""Processes that ask for a Var of another one through RefPorts."""

import numpy as np
from lava.magma.core.process.ports.ports import RefPort, VarPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var


class Asked(AbstractProcess):
    """Counts its steps in ``n``; with ``pause_at`` it asks for a pause at the end of that step."""

    def __init__(self, pause_at: int = 0) -> None:
        super().__init__(pause_at=pause_at)
        self.n = Var((1,), init=np.zeros(1))
        self.port = VarPort(self.n)


class Reader(AbstractProcess):
    """Reads the other's Var in every step, into ``seen``."""

    def __init__(self) -> None:
        super().__init__()
        self.ref, self.seen = RefPort((1,)), Var((20,), init=np.zeros(20))


class Adder(AbstractProcess):
    """Reads the other's Var in every step, and writes it with 10 more."""

    def __init__(self) -> None:
        super().__init__()
        self.ref = RefPort((1,))


class Poller(AbstractProcess):
    """Reads the other's Var twenty times, in no step."""

    def __init__(self) -> None:
        super().__init__()
        self.ref, self.reads = RefPort((1,)), Var((1,), init=np.zeros(1))
