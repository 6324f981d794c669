"""Run Lava graphs that come to an end: in one process, or in Lava's own runtime with a safety net.

:func:`run` and :class:`InProcess` execute the unchanged ProcessModels of a graph in the calling process, bit for
bit equal to Lava's own runtime and several times faster, since no messages pass between processes. :class:`Recorder` records Vars and
OutPorts at every step. Models run one after another. Where several take more than a millisecond a step each, Lava's own runtime may be
faster: it uses all cores.
:func:`guarded` and :func:`run_guarded` use Lava's own multi-process runtime. Every failure raises an error that
names the Process (:class:`RunError`); no run hangs. (In process, one exception: a model that catches every exception, the timeout too, and
goes on for ever.)
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from .._support.lava_loading import load_lava

load_lava("lava.magma.core.process.process", "Running Lava graphs")

from .failures import Deadlock, NoSharedMemory, NotRunning, ProcessFailed, RunError, RunTimeout, TooManyFiles  # noqa: E402
from .inprocess import InProcess, run  # noqa: E402
from .recorder import Recorder  # noqa: E402
from .safety_net import Guarded, guarded, run_guarded  # noqa: E402

__all__ = [
    "Deadlock",
    "Guarded",
    "InProcess",
    "NoSharedMemory",
    "NotRunning",
    "ProcessFailed",
    "Recorder",
    "RunError",
    "RunTimeout",
    "TooManyFiles",
    "guarded",
    "run",
    "run_guarded",
]


class _Callable(ModuleType):
    """Makes the package callable: ``lava_1m1t1r.run(process, steps, run_cfg)`` is :func:`run`. Type checkers know the latter only."""

    def __call__(self, *args: Any, **options: Any) -> dict:
        return run(*args, **options)

    def __reduce__(self) -> tuple:
        return import_module, (self.__name__,)  # cloudpickle knows no other type of module than ModuleType


sys.modules[__name__].__class__ = _Callable
