"""Processes that change what belongs to their operating-system process, write to memory that processes share, or do not end."""

from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var


class Strict(AbstractProcess):
    """Receives under settings of its own: numpy raises, torch keeps no gradients, warnings are errors.

    Parameters
    ----------
    from_start : bool
        Whether numpy raises from the model's start on, without an end.
    """

    def __init__(self, *, from_start=False):
        super().__init__(from_start=from_start)
        self.inp = InPort(shape=(1,))
        self.out = OutPort(shape=(1,))
        self.raised = Var(shape=(1,), init=0)


class Lenient(AbstractProcess):
    """Ignores all warnings from its start on, and counts those of its own that went by.

    Parameters
    ----------
    lenient : bool
        Whether it does; else all warnings are errors for it.
    """

    def __init__(self, lenient=True):
        super().__init__(lenient=lenient)
        self.inp = InPort(shape=(1,))
        self.out = OutPort(shape=(1,))
        self.passed = Var(shape=(1,), init=0)


class Picky(AbstractProcess):
    """Makes errors of warnings for good in its first step, while it receives under filters that are put back; and counts those errors.

    Parameters
    ----------
    first : bool
        Whether it sends before it receives, so that two of them make a loop.
    """

    def __init__(self, first):
        super().__init__(first=first)
        self.inp = InPort(shape=(1,))
        self.out = OutPort(shape=(1,))
        self.raised = Var(shape=(1,), init=0)


class Lax(AbstractProcess):
    """Divides by 0, warns, and sends whether torch keeps gradients meanwhile."""

    def __init__(self):
        super().__init__()
        self.out = OutPort(shape=(1,))
        self.gradients = Var(shape=(1,), init=0)


class Writer(AbstractProcess):
    """Adds what it receives to all arrays that it is given, and appends it to all lists."""

    def __init__(self, **targets):
        super().__init__(targets=targets)
        self.inp = InPort(shape=(3,))


class Deaf(AbstractProcess):
    """Receives again and again, and excepts everything."""

    def __init__(self):
        super().__init__()
        self.inp = InPort(shape=(1,))
