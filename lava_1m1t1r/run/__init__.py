"""Run Lava graphs so that they end: in Lava's own runtime with a safety net.

:func:`guarded` and :func:`run_guarded` use Lava's own multi-process runtime.
"""

from lava_1m1t1r.errors import missing

try:
    import lava.magma.core.process.process  # noqa: F401
except ImportError as error:
    raise missing("lava-nc", "lava", "Running Lava graphs") from error

from lava_1m1t1r.run.failures import Deadlock, ProcessFailed, RunError, RunTimeout, Stopped
from lava_1m1t1r.run.guarded import Guarded, guarded, run_guarded

__all__ = ["Deadlock", "Guarded", "ProcessFailed", "RunError", "RunTimeout", "Stopped", "guarded", "run_guarded"]
