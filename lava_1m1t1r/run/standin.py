"""Replacement for Lava's Runtime that Lava's Processes and Vars talk to while their graph runs in process."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from lava.magma.core.run_conditions import RunContinuous, RunSteps

from ..errors import require
from . import values
from .checks import find_processes

if TYPE_CHECKING:
    from .inprocess import InProcess


class StandIn:
    """Leads ``proc.run``, ``proc.stop``, ``var.get`` and ``var.set`` to a session.

    Parameters
    ----------
    session : InProcess
    """

    def __init__(self, session: InProcess):
        self._session = session
        self.num_steps = 0
        self.processes = {*session._built.tasks, *find_processes(session._proc)}  # the latter hold Vars that no ProcessModel does
        self._vars = {var.id: var for process in self.processes for var in process.vars.members}

    @property
    def _is_started(self) -> bool:
        return self._session._open

    @property
    def _is_running(self) -> bool:
        return self._session.running

    def start(self, condition) -> None:
        known = isinstance(condition, (RunSteps, RunContinuous))
        require(known, "condition", "be RunSteps or RunContinuous", type(condition).__name__)
        steps = condition.num_steps if isinstance(condition, RunSteps) else None
        self.num_steps = sys.maxsize if steps is None else steps
        if steps == 0:  # Lava's way to build a graph whose Vars are set before its first step: here it is built
            self._session._be_ready()
        elif steps is None or not condition.blocking:
            self._session.start(steps)
        else:
            self._session.run(steps)

    def wait(self) -> None:
        self._session.wait()

    def pause(self) -> None:
        self._session.pause()

    def stop(self) -> None:
        self._session.stop()

    def get_var(self, var_id: int, idx=None):
        task, name = self._session._find(self._vars[var_id])
        self._session._come_to_end()
        return values.as_lava_reads(task.model, name, self._vars[var_id], idx)

    def set_var(self, var_id: int, value, idx=None) -> None:
        self._session._set(self._vars[var_id], values.as_lava_writes, value, idx)
