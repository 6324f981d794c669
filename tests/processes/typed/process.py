"""A Process with a Var of each type of numbers."""

import numpy as np
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var

TYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32")


class Typed(AbstractProcess):
    def __init__(self):
        super().__init__()
        for name in TYPES:
            setattr(self, name, Var((6,), init=np.zeros(6, name)))
