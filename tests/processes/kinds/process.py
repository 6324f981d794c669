"""A Process with Vars of many kinds, and one that draws Python's random numbers."""

import numpy as np
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from scipy.sparse import csr_matrix


class Kinds(AbstractProcess):
    """Its model changes each Var in its own way each step, and counts how often it is told that a Var was set.

    Parameters
    ----------
    refuses : bool
        The model raises when it is told.
    """

    def __init__(self, *, refuses=False, **kwargs):
        super().__init__(refuses=refuses, **kwargs)
        self.number = Var(shape=(2, 2), init=4)  # the model holds a single int
        self.from_array = Var(shape=(1,), init=np.array([7]))  # an int for the model, too
        self.turned = Var(shape=(2, 3), init=np.arange(6).reshape(2, 3))
        self.text = Var(shape=(6,), init="abcdef")
        self.sparse = Var(shape=(3, 4), init=csr_matrix([[0, 1, 0, 2], [3, 0, 0, 0], [0, 0, 4, 5]]))
        self.wider = Var(shape=(3,), init=1)
        self.longer = Var(shape=(3,), init=1)
        self.told = Var(shape=(1,), init=0)
        self.single = Var(shape=(1,), init=np.float32(0.5))  # the model goes on in double precision


class NoEntries(AbstractProcess):
    """Holds a sparse matrix without entries."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.sparse = Var(shape=(3, 4), init=csr_matrix((3, 4)))


class Tally(AbstractProcess):
    """Counts in a single int, to which its model adds a sum of numpy's: Lava sends it no more."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.count = Var(shape=(1,), init=0)
        self.gain = Var(shape=(3,), init=1)
        self.doubled = Var(shape=(3,), init=2)


class Dice(AbstractProcess):
    """Sends numbers of Python's global generator.

    Parameters
    ----------
    seed : int
        What the model seeds it with.
    """

    def __init__(self, *, seed, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.s_out = OutPort(shape=(3,))
        self.sent = Var(shape=(3,), init=0)


class Elsewhere(AbstractProcess):
    """Has a model for a chip only."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.v = Var(shape=(1,), init=0)


class Orphan(AbstractProcess):
    """Has no model."""


class Hooked(AbstractProcess):
    """Its model has a ``start`` of its own."""
