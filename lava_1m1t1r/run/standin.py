"""What Lava's Processes and Vars talk to in place of Lava's Runtime while their graph is in process."""

from __future__ import annotations

from lava.magma.core.run_conditions import RunSteps

from lava_1m1t1r.errors import require
from lava_1m1t1r.run import values


class StandIn:
    """Leads ``proc.run``, ``proc.stop``, ``var.get`` and ``var.set`` to a session.

    Parameters
    ----------
    session : InProcess
    """

    _is_running = False  # whenever the user's code has the thread, no run is on

    def __init__(self, session):
        self._session = session
        self._owners = {
            var_id: (task, name) for task in session._executor.tasks.values() for var_id, name in task.model.var_id_to_var_map.items()
        }

    @property
    def _is_started(self) -> bool:
        return self._session._open

    def start(self, condition) -> None:
        """Run to the end, whether ``condition`` is blocking or not."""
        ends = isinstance(condition, RunSteps)
        require(ends, "condition", "be RunSteps: a run in process has an end", type(condition).__name__)
        self._session.run(condition.num_steps)

    def wait(self) -> None:
        """Runs have ended when they return."""

    pause = wait

    def stop(self) -> None:
        self._session.stop()

    def get_var(self, var_id: int, idx=None):
        task, name = self._owners[var_id]
        return values.as_lava_reads(task.model, name, idx)

    def set_var(self, var_id: int, value, idx=None) -> None:
        self._session._check_open()
        task, name = self._owners[var_id]
        values.as_lava_writes(task.model, name, value, idx)
