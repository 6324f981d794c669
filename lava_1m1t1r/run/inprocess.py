"""Lava graphs in the calling process: the same ProcessModels, the same results, no messages between processes."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.run_configs import RunConfig

from lava_1m1t1r.errors import require
from lava_1m1t1r.run import values
from lava_1m1t1r.run.alarm import Alarm
from lava_1m1t1r.run.checks import check_graph, check_steps, check_timeout
from lava_1m1t1r.run.executor import Executor, Task
from lava_1m1t1r.run.failures import Stopped, title
from lava_1m1t1r.run.recorder import Recorder, Recording
from lava_1m1t1r.run.standin import StandIn


class InProcess:
    """A graph whose unchanged Python ProcessModels run in the calling process, for a ``with`` block.

    Lava's compiler chooses and builds the models; they then share this thread, where Lava starts one operating-system
    process each. Values are those of Lava's own runtime to the bit, random numbers included: each model has its own
    copy of its parameters and of the state of ``np.random``, as a forked process would. An exception in a model is
    raised at once, with the Process named. Lava's own ``proc.run``, ``var.get`` (whole arrays at once), ``var.set``,
    ``Monitor.get_data``, ``Injector.send`` and ``Extractor.receive`` work inside the block.

    Parameters
    ----------
    proc : AbstractProcess
        Any Process of the graph; it and all connected ones run.
    run_cfg : RunConfig
        Selects the ProcessModels, for example ``Loihi2SimCfg(select_tag="fixed_pt")``.
    timeout : float
        Longest wall time of one run [s].
    patience : float
        How long a model waits for the user's code to send to an Injector or to empty an Extractor [s].
    compile_config : dict, optional
        Goes to Lava's compiler.

    Notes
    -----
    Models that wait for something else than their ports (a socket, a file) make all others wait. Module-level variables
    are shared by the models; in Lava each process has its own. Real time does not pass between two models: one that
    asks ``probe()`` sees what the others have sent by then.

    Raises
    ------
    ProcessFailed, Deadlock, RunTimeout, Stopped
        All are :class:`RunError`.
    InputError
        Before the run, for what does not run in process: models not in Python, other protocols.

    Examples
    --------
    >>> with InProcess(lif, Loihi2SimCfg(select_tag="fixed_pt")) as session:  # doctest: +SKIP
    ...     recordings = session.run(100, record=[lif.v, lif.s_out])
    ...     u = session.get(lif.u)
    """

    def __init__(
        self,
        proc: AbstractProcess,
        run_cfg: RunConfig,
        timeout: float = 60.0,
        patience: float = 3.0,
        compile_config: dict | None = None,
    ):
        check_graph(proc, run_cfg)
        check_timeout(timeout)
        check_timeout(patience, "patience")
        self._proc = proc
        self._run_cfg = run_cfg
        self._timeout = timeout
        self._patience = patience
        self._compile_config = compile_config
        self._executor: Executor | None = None
        self._open = False
        self.steps_run = 0
        """Time steps since the initial state."""

    def __enter__(self) -> InProcess:
        executable = self._proc.compile(self._run_cfg, self._compile_config)
        executor = Executor(executable, self._patience)
        executor.build()
        self._executor = executor
        self._alarm = Alarm()
        self._open = True
        runtime = StandIn(self)
        self._proc.runtime = runtime
        executable.assign_runtime_to_all_processes(runtime)
        return self

    def __exit__(self, *exc_info) -> None:
        self.stop()

    def run(
        self,
        steps: int,
        record: Sequence | Recorder = (),
        every: int = 1,
        timeout: float | None = None,
    ) -> dict:
        """Run ``steps`` time steps.

        Parameters
        ----------
        steps : int
            Time steps, >= 1.
        record : sequence of Var and OutPort, or Recorder
            What to record; a Recorder appends to what it holds.
        every : int
            Record every so many steps (a Recorder has its own).
        timeout : float, optional
            Longest wall time [s]; the session's own when not given.

        Returns
        -------
        dict
            Var or OutPort to its recording, (T, *shape); see :class:`Recorder`.
        """
        check_steps(steps)
        if timeout is not None:
            check_timeout(timeout)
        self._check_open()
        recorder = record if isinstance(record, Recorder) else Recorder(*record, every=every)
        executor = self._executor
        recording = None
        if recorder.targets:
            recording = Recording(recorder, executor, self._find, int(steps), self.steps_run)
        ended = "stop"  # unless the run returns
        before = self.steps_run
        try:
            ended = executor.run(int(steps), self._alarm, timeout or self._timeout)
        finally:
            self.steps_run = before + executor.steps_done
            if recording is not None:
                recording.finish(executor.steps_done)
            if ended == "stop":
                self.stop()
        return recorder.as_dict()

    def get(self, var: Var):
        """Value of a Var now: a copy, in the type that the ProcessModel uses. Also after the end of the block."""
        task, name = self._find(var)
        return copy.copy(getattr(task.model, name))

    def set(self, var: Var, value) -> None:
        """Set a Var; the model's ``on_var_update`` is told.

        Parameters
        ----------
        var : Var
        value : array_like, sparse matrix, number or str
            Of the Var's shape, or broadcast to it. Sparse matrices keep their non-zero places.
        """
        task, name = self._find(var)
        self._check_open()
        values.write(f"set: {title(var.process)}.{var.name}", task.model, name, value)

    def reset(self) -> None:
        """Put every Process back to its initial state, without compiling anew."""
        self._check_open()
        self._executor.build()
        self.steps_run = 0

    def stop(self) -> None:
        """End the session; Vars can still be read."""
        if self._open:
            self._open = False
            self._alarm.close()

    def _check_open(self) -> None:
        if self._executor is None:
            raise Stopped("this session has not been started: use it in a with statement.")
        if not self._open:
            raise Stopped("this session has been stopped. Build the graph's Processes anew and run those.")

    def _find(self, var: Var) -> tuple[Task, str]:
        """The model, and the name in it, that hold a Var."""
        require(isinstance(var, Var), "var", "be a Var of a Lava Process", var)
        while var.aliased_var is not None:
            var = var.aliased_var
        task = self._executor.tasks.get(var.process) if self._executor is not None else None
        name = task.model.var_id_to_var_map.get(var.id) if task is not None else None
        require(name is not None, "var", "belong to a Process of this graph that has been started", var.name)
        return task, name


def run(
    proc: AbstractProcess,
    steps: int,
    run_cfg: RunConfig,
    record: Sequence | Recorder = (),
    every: int = 1,
    timeout: float = 60.0,
) -> dict:
    """Run a graph in the calling process, and return what was recorded.

    The Vars of the graph can be read afterwards (``sink.data.get()``).

    Parameters
    ----------
    proc, run_cfg, timeout
        As for :class:`InProcess`.
    steps, record, every
        As for :meth:`InProcess.run`.

    Returns
    -------
    dict
        Var or OutPort to its recording, (T, *shape).

    Examples
    --------
    >>> spikes = run(lif, 100, Loihi2SimCfg(select_tag="fixed_pt"), record=[lif.s_out])[lif.s_out]  # doctest: +SKIP
    """
    check_steps(steps)
    with InProcess(proc, run_cfg, timeout) as session:
        return session.run(steps, record, every)
