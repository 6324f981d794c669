"""Errors of a running Lava graph that name the Process."""

from __future__ import annotations

NOT_STARTED = "this session has not been started: use it in a with statement."


class RunError(RuntimeError):
    """A run ended early, or was refused. Where it ended early, the graph has been torn down before this is raised.

    Attributes
    ----------
    processes : tuple of str
        The Processes at fault, as ``"LIF 'Process_3'"``; empty when none can be singled out.
    """

    def __init__(self, message: str, processes: tuple[str, ...] = ()):
        super().__init__(message)
        self.processes = processes


class ProcessFailed(RunError):
    """A ProcessModel raised, or its operating-system process died. The text holds the model's own traceback."""


class Deadlock(RunError):
    """Every Process waits for a message that nobody will send, or the caller has waited in vain for one, or for room for one. The text says
    at which ports."""


class RunTimeout(RunError, TimeoutError):
    """The run took longer than the time allowed. The text says where Processes stood, as far as the runner knows."""


class NoSharedMemory(RunError, OSError):
    """The machine has less shared memory than Lava's runtime needs. The text says how to make it larger."""


class TooManyFiles(RunError, OSError):
    """Lava's runtime needs more open files than the process may have. The text says how to raise the limit."""


class NotRunning(RunError):
    """The graph was asked for what only a running one has: it has not been started, has not run a step yet, or has been stopped."""


def title(process) -> str:
    """Name a Process the way every error here does: class, then its name."""
    return f"{type(process).__name__} {process.name!r}"
