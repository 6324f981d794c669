"""Run Lava graphs so that they end: in one process, or in Lava's own runtime with a safety net.

:func:`run` and :class:`InProcess` execute the unchanged ProcessModels of a graph in the calling process, equal to
Lava's own runtime to the bit and several times faster; :class:`Recorder` keeps Vars and OutPorts of every step.
:func:`guarded` and :func:`run_guarded` use Lava's own multi-process runtime. Whatever goes wrong is an error that names
the Process (:class:`RunError`), never a hang.
"""

from lava_1m1t1r._support.host import load_lava

load_lava("lava.magma.core.process.process", "Running Lava graphs")

from lava_1m1t1r.run.failures import Deadlock, ProcessFailed, RunError, RunTimeout, Stopped  # noqa: E402
from lava_1m1t1r.run.guarded import Guarded, guarded, run_guarded  # noqa: E402
from lava_1m1t1r.run.inprocess import InProcess, run  # noqa: E402
from lava_1m1t1r.run.recorder import Recorder  # noqa: E402

__all__ = [
    "Deadlock",
    "Guarded",
    "InProcess",
    "ProcessFailed",
    "Recorder",
    "RunError",
    "RunTimeout",
    "Stopped",
    "guarded",
    "run",
    "run_guarded",
]
