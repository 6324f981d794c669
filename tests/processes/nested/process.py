"""A Process made of Processes: a synapse and a neuron behind one pair of ports."""

import numpy as np
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var


class Layer(AbstractProcess):
    """Dense synapse and LIF neurons.

    Parameters
    ----------
    weights : (N, M) array
    """

    def __init__(self, *, weights, **kwargs):
        weights = np.asarray(weights)
        super().__init__(weights=weights, **kwargs)
        n, m = weights.shape
        self.s_in = InPort(shape=(m,))
        self.s_out = OutPort(shape=(n,))
        self.v = Var(shape=(n,), init=0)
        self.spare = Var(shape=(n,), init=0)  # no ProcessModel holds it
