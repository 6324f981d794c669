"""Lava graphs in the calling process: the same ProcessModels, the same results, no messages between processes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import RunConfig
from lava.utils.sparse import find as find_entries
from scipy.sparse import csr_matrix, issparse

from lava_1m1t1r.errors import require
from lava_1m1t1r.run.alarm import Alarm
from lava_1m1t1r.run.checks import check_graph, check_steps, check_timeout
from lava_1m1t1r.run.executor import Executor, Task
from lava_1m1t1r.run.failures import Stopped, title
from lava_1m1t1r.run.recorder import Recorder, Recording


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
        runtime = _Runtime(self)
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
        value = getattr(task.model, name)
        return value.copy() if isinstance(value, (np.ndarray, csr_matrix)) else value

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
        field = f"set: {title(var.process)}.{var.name}"
        old = getattr(task.model, name)
        if issparse(old):
            setattr(task.model, name, _same_places(field, old, value))
        elif isinstance(old, np.ndarray):
            new = np.asarray(value)
            fits = new.ndim <= old.ndim and all(
                n in (1, m) for n, m in zip(new.shape[::-1], old.shape[::-1], strict=False)
            )
            require(fits, field, f"fit shape {old.shape}", new.shape)
            require(
                np.can_cast(new.dtype, old.dtype, "same_kind") or np.array_equal(new.astype(old.dtype), new),
                field,
                f"hold values of type {old.dtype}",
                value,
            )
            old[...] = new
        else:
            require(isinstance(value, str) == isinstance(old, str), field, f"be a {type(old).__name__}", value)
            setattr(task.model, name, value if isinstance(old, str) else type(old)(np.asarray(value).item()))
        task.model.on_var_update()

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


class _Runtime:
    """What Processes and Vars of Lava talk to in place of Lava's Runtime."""

    def __init__(self, session: InProcess):
        self._session = session
        self._owners = {
            var_id: (task, name)
            for task in session._executor.tasks.values()
            for var_id, name in task.model.var_id_to_var_map.items()
        }

    @property
    def _is_started(self) -> bool:
        return self._session._open

    _is_running = False  # whenever the user's code has the thread, no run is on

    def start(self, condition) -> None:
        require(
            isinstance(condition, RunSteps), "condition", "be RunSteps (a run in process has an end)", type(condition)
        )
        self._session.run(condition.num_steps)

    def wait(self) -> None:
        """Runs have ended when they return."""

    pause = wait

    def stop(self) -> None:
        self._session.stop()

    def get_var(self, var_id: int, idx=None):
        task, name = self._owners[var_id]
        value = getattr(task.model, name)
        if isinstance(value, str):
            value = np.frombuffer(value.encode("ascii"), np.uint8)
        elif issparse(value):
            value = find_entries(value, explicit_zeros=True)[2]
        value = np.array(value, np.float64)  # Lava sends Vars as float64
        if value.ndim == 0:
            value = value.reshape(1)
        return value[idx] if idx else value

    def set_var(self, var_id: int, value: np.ndarray, idx=None) -> None:
        self._session._check_open()
        task, name = self._owners[var_id]
        old = getattr(task.model, name)
        value = np.asarray(value)
        flat = (value[idx] if idx else value).astype(np.float64).ravel()
        if issparse(old):
            rows, columns, _ = find_entries(old)
            setattr(task.model, name, csr_matrix((flat, (rows, columns)), old.shape))
        elif isinstance(old, str):
            setattr(task.model, name, bytes(flat.astype(np.uint8)).decode("ascii"))
        elif isinstance(old, np.ndarray):
            old.flat[: flat.size] = flat
        else:
            setattr(task.model, name, flat[0].item() if isinstance(old, int) else old.dtype.type(flat[0]))
        task.model.on_var_update()


def _same_places(field: str, old: csr_matrix, value) -> csr_matrix:
    require(issparse(value) and value.shape == old.shape, field, f"be a sparse matrix of shape {old.shape}", value)
    new = value.tocsr()
    before, after = find_entries(old, explicit_zeros=True), find_entries(new, explicit_zeros=True)
    same = all(np.array_equal(a, b) for a, b in zip(before[:2], after[:2], strict=True))
    require(same, field, "keep its non-zero places", f"{new.nnz} entries")
    return new.astype(old.dtype)
