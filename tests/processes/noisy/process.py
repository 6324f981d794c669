"""A Process that draws from np.random, and one that changes the parameters it was given."""

from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var


class Noisy(AbstractProcess):
    """Sends normal random numbers of numpy's global generator, an odd number of them, scaled by a parameter.

    Parameters
    ----------
    scale : (3,) array
        The model doubles it each step, in place.
    """

    def __init__(self, *, scale, **kwargs):
        super().__init__(scale=scale, **kwargs)
        self.s_out = OutPort(shape=(3,))
        self.sent = Var(shape=(3,), init=0)


class Ticking(AbstractProcess):
    """Asynchronous: counts until it has done its steps, or for ever until it is told to stop.

    Parameters
    ----------
    endless : bool
    """

    def __init__(self, *, endless=False, **kwargs):
        super().__init__(endless=endless, **kwargs)
        self.count = Var(shape=(1,), init=0)
