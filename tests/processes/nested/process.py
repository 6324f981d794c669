"""Processes made of Processes: a synapse and a neuron behind one pair of ports, and a source whose values are turned on their way out."""

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


class Turned(AbstractProcess):
    """Sends ``data``, of which each frame was transposed and, unless ``shape`` has two axes, flattened.

    Parameters
    ----------
    data : (H, W, T) array
    shape : tuple of int
        (W, H) or (W * H,).
    """

    def __init__(self, *, data, shape, **kwargs):
        super().__init__(data=np.asarray(data), shape=shape, **kwargs)
        self.s_out = OutPort(shape=shape)
