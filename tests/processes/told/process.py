"""Processes that do what they are told: functions of the test's, called by their models."""

from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var


class Told(AbstractProcess):
    """In each step ``x`` becomes what ``step(model)`` returns, and is sent, unless it is nan.

    Parameters
    ----------
    start, step, update, pause, stop : callable, optional
        Of the model: called at its start, in each step, when a Var was set, when it is paused, when it is stopped.
    **given
        Further parameters of the model.
    """

    def __init__(self, *, start=None, step=None, update=None, pause=None, stop=None, name=None, **given):
        super().__init__(start=start, step=step, update=update, pause=pause, stop=stop, name=name, **given)
        self.s_out = OutPort(shape=(1,))
        self.x = Var(shape=(1,), init=0)


class Choosing(AbstractProcess):
    """Takes one message of its two inputs in each step; ``x`` counts the steps that it has done, and ``total`` adds up the messages."""

    def __init__(self):
        super().__init__()
        self.one = InPort(shape=(1,))
        self.two = InPort(shape=(1,))
        self.x = Var(shape=(1,), init=0)
        self.total = Var(shape=(1,), init=0)


class Selecting(AbstractProcess):
    """Adds up what it selects from its two inputs, ``count`` messages in a run: 1000 of the second for 1 of the first."""

    def __init__(self, *, count):
        super().__init__(count=count)
        self.one = InPort(shape=(1,))
        self.two = InPort(shape=(1,))
        self.x = Var(shape=(1,), init=0)
