"""Lava graphs in the calling process: the same ProcessModels, the same results, no messages between processes."""

from __future__ import annotations

import copy
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

from lava.magma.compiler.executable import Executable
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.run_conditions import AbstractRunCondition
from lava.magma.core.run_configs import RunConfig

from ..errors import number, require, whole
from . import values
from .alarm import Alarm
from .checks import (
    building,
    check_executable,
    check_graph,
    check_held,
    compiled_graph,
    find_processes,
    in_python_only,
    innermost,
    tell_of_missing_sources,
)
from .executor import Executor, Task, never
from .failures import NOT_STARTED, NotRunning, RunTimeout, title
from .random_streams import alone
from .recorder import Recorder, Recording, as_recorder
from .servers import let_go
from .standin import StandIn

_OVER = "this session has been stopped. Build the graph's Processes anew and run those."


class InProcess:
    """A graph whose unchanged Python ProcessModels run in the calling process, for a ``with`` block.

    Lava's compiler chooses and builds the models; they then share this thread, where Lava starts one operating-system
    process each. Values are those of Lava's own runtime to the bit, random numbers included: each model has its own
    copy of its parameters and of the state of ``np.random``, as a forked process would, and ``random`` seeded anew. Memory that processes
    share is shared. Its ``np.errstate``, ``torch.no_grad``, ``warnings.catch_warnings``, context variables and event loop are its own.
    An exception in a model is raised at once, with the Process named. Lava's own ``proc.run`` (blocking or not), ``var.get`` (whole
    arrays at once), ``var.set``, ``Monitor.get_data``, ``Injector.send`` and ``Extractor.receive`` work inside the block.

    Parameters
    ----------
    proc : AbstractProcess
        Any Process of the graph; it and all connected ones run.
    run_cfg : RunConfig or Executable
        Selects the ProcessModels, for example ``Loihi2SimCfg(select_tag="fixed_pt")``; or the compiled graph itself, from
        ``proc.compile`` or Lava's ``load``.
    timeout : float
        Longest wall time of one run [s].
    patience : float
        How long a model waits for the user's code to send to an Injector or to empty an Extractor [s].
    compile_config : dict, optional
        Goes to Lava's compiler.

    Notes
    -----
    Models that wait for something other than their ports (a socket, a file) make all others wait. The timeout ends that only in the main
    thread, only where it can get Ctrl-C (background jobs of shells cannot), and not in a model that catches every exception it gets.

    Some things are shared by the models, and outlive a run, where each process of Lava's has its own:

    - variables of modules, classes and functions (what a function given as a parameter closes over), and the current folder;
    - the random numbers of libraries other than numpy and Python (torch), and settings other than those named above;
    - generators and objects with a ``__del__`` that a Process was given. They go on where the last run left them, after a ``reset``, too
      (a generator that two Processes were given is refused);
    - plain ``object()``s, members of Enums, classes and functions that a Process was given, and what Python's ``copy`` cannot copy
      (mapping proxies, views of dicts, memoryviews). All else is a copy, as its class makes one, and so not ``is`` your own;
    - threads that a model starts: daemons go on after the session, while in Lava they end with the model's process.

    A model's helper threads cannot use its ports. Two threads cannot run graphs at once, for they share ``np.random``. Another thread
    that draws from there or from ``random`` meanwhile takes the models' numbers: it needs a Generator of its own
    (``np.random.default_rng``). Real time does not pass between two models: one that asks ``probe()`` sees what the others have sent by
    then.

    Where two Processes refer to one Var in the same phase, as a ``Reset`` and a ``Monitor`` or ``Read`` may, Lava's own runtime handles
    their requests in the order in which they happen to come: what is read differs from one run to the next. Here, the order is always the
    same.

    Lava's compiler orders the connections of an InPort anew each time it compiles a graph. Where three or more meet, sums of floats may
    differ in the last bit from one compilation to the next, in Lava's own runtime as here; of one compiled graph they are equal.

    Raises
    ------
    ProcessFailed, Deadlock, RunTimeout, NotRunning
        All are :class:`RunError`.
    InputError
        Before the run, for what does not run in process: models not in Python, other protocols; and for wrong arguments.

    Examples
    --------
    >>> with InProcess(lif, Loihi2SimCfg(select_tag="fixed_pt")) as session:  # doctest: +SKIP
    ...     recordings = session.run(100, record=[lif.v, lif.s_out])
    ...     u = session.get(lif.u)
    """

    def __init__(
        self,
        proc: AbstractProcess,
        run_cfg: RunConfig | Executable,
        timeout: float = 60.0,
        patience: float = 3.0,
        compile_config: dict | None = None,
    ):
        if isinstance(run_cfg, Executable):
            check_executable(proc, run_cfg)
        else:
            check_graph(proc, run_cfg)
        number(timeout, "timeout [s]", above=0.0)
        number(patience, "patience [s]", above=0.0, most=threading.TIMEOUT_MAX)
        self._proc = proc
        self._run_cfg = run_cfg
        self._timeout = timeout
        self._patience = patience
        self._compile_config = compile_config
        self._executor: Executor | None = None
        self._open = False
        self.steps_run = 0
        """Number of time steps since the initial state; 0 where all Processes are asynchronous, which have none."""

    def __enter__(self) -> InProcess:
        if self._executor is not None:
            raise NotRunning(_OVER)
        self._alarm = Alarm()
        try:
            with alone():  # before it is compiled, which can be done once
                executable = self._build()
        except BaseException:
            self._alarm.close()
            let_go(find_processes(self._proc))
            raise
        self._open = True
        self._runtime = StandIn(self)
        self._proc.runtime = self._runtime
        executable.assign_runtime_to_all_processes(self._runtime)
        return self

    def _build(self) -> Executable:
        executable = self._run_cfg
        with building(self._proc, self._alarm, self._timeout):
            if isinstance(executable, RunConfig):
                executable = compiled_graph(self._proc, in_python_only(executable), self._compile_config)
            tell_of_missing_sources(executable)
            executor = Executor(executable, self._patience)
            executor.build()
        self._executor = executor
        return executable

    @property
    def _built(self) -> Executor:
        """The executor, which is there since the block was entered."""
        if self._executor is None:
            raise NotRunning(NOT_STARTED)
        return self._executor

    def __exit__(self, kind, *_) -> None:
        try:
            if kind is None:
                self._catch_up()
        finally:
            self._end()

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
            Var or OutPort to its recording, (T, *shape); see :class:`Recorder`. A Recorder's are to be read only, for it goes on.
        """
        steps = _checked_steps(steps)
        if timeout is not None:
            number(timeout, "timeout [s]", above=0.0)
        recorder = as_recorder(record, every)
        self._be_ready()
        with alone():
            recording = Recording(recorder, self._built, self._find, steps, self.steps_run) if recorder.targets else None
            self._begin(steps)
            self._go_on(seconds=timeout, recording=recording)
        return recorder.as_dict() if recorder is record else recorder.given_away()

    def start(self, steps: int | None = None) -> None:
        """Start a run that does not block.

        It goes on in this thread, while the user's code sends to an Injector, receives from an Extractor, or waits.

        Parameters
        ----------
        steps : int, optional
            Time steps; without, the run goes on until :meth:`pause` or :meth:`stop`. In a graph without Injector and Extractor nothing goes
            on before your code waits: its steps are done in :meth:`wait`, or before whatever is called next; without a number of steps in
            :meth:`wait` alone, until a model asks for a pause or a stop.
        """
        if steps is not None:
            steps = _checked_steps(steps)
        self._be_ready()
        self._begin(sys.maxsize if steps is None else steps)
        self._endless = steps is None
        self._built.drive = self._go_on

    def wait(self) -> None:
        """Let a run that was started without blocking come to its end.

        One without an end, in a graph without Injector and Extractor, goes on until a model asks for a pause or a stop.
        """
        if self._stands():
            self._go_on()
        else:
            self._come_to_end()

    def _be_ready(self) -> None:
        """Wait for a run that has an end, before something new begins; refuse that where the session is over, by then or before."""
        self._check_open()
        self._come_to_end()
        self._check_open()

    def _come_to_end(self) -> None:
        """Wait for a run that has an end; called by whatever the session can only do after it."""
        if self.running:
            cure = "Call pause() first." if self._built.has_user else "Call the session's reset(); or wait(), if a model asks for a pause."
            require(not self._endless, "run", "have an end to be waited for", "RunContinuous", cure)
            self._go_on()

    def _stands(self) -> bool:
        """Whether a run was started, in this thread, of which nothing is done before this code waits for it."""
        if not self.running:
            return False
        built = self._built
        return not built.has_user and not built.at_work and built.thread == threading.get_ident()

    def _catch_up(self) -> None:
        """Do the steps of a run that stands, which Lava would have done meanwhile; refuse one that only the clock would end."""
        if self._stands():
            require(
                not self._endless,
                "condition",
                "be RunSteps for a graph without Injector and Extractor: a run in process goes on only while your code waits for it",
                "RunContinuous",
                "Run a number of steps; or call wait(), if a model asks for a pause; or use lava_1m1t1r.run.guarded for a run that takes "
                "as long as the clock says.",
            )
            self._go_on()

    def pause(self) -> None:
        """End a run that was started without blocking, with the step that it is in; one that no model has begun is not done.

        In a graph without Injector and Extractor, nothing has gone on meanwhile: there, all steps of the run are done.

        What has been sent to an Injector is taken first: by the Injector, and in that step by models of the LoihiProtocol behind it. An
        asynchronous model behind it is told of the pause, and receives what is left only if it goes on until its port is empty.
        """
        self._catch_up()
        if self.running:
            self._go_on(self._built.all_taken, patient=False)
        if self.running:
            self._built.ask_to_end()
            self._go_on()

    @property
    def running(self) -> bool:
        """Whether a run that was started has not come to its end yet."""
        return self._executor is not None and self._executor.running

    def _begin(self, steps: int) -> None:
        self._before = self.steps_run
        self._endless = False
        self._built.begin(steps)

    def _go_on(self, until=never, patient: bool = True, seconds: float | None = None, recording: Recording | None = None) -> None:
        executor = self._built
        here = executor.thread == threading.get_ident() and executor.current is None
        require(here, "run", "be waited for in the thread that started it, outside of ProcessModels", "another one")
        ended: str | None = "stop"  # unless the run returns
        with alone():
            try:
                with recording or nullcontext():  # ends before models are told of a pause or a stop: they may change their Vars then
                    ended = executor.go_on(self._alarm, seconds or self._timeout, until, patient)
            finally:
                self.steps_run = self._before + executor.steps_done
                if ended == "stop" or not self._open:
                    self._close()
            if executor.ending and self._open and not executor.running:
                with self._or_over("the models to be told of a pause"):
                    executor.pause()

    def get(self, var: Var):
        """Value of a Var now: a copy, in the type that the ProcessModel uses. Also after the end of the block."""
        task, name = self._find(var)
        self._catch_up()
        return copy.deepcopy(getattr(task.model, name))

    def set(self, var: Var, value) -> None:
        """Set a Var; the model's ``on_var_update`` is told.

        Parameters
        ----------
        var : Var
        value : array_like, sparse matrix, number or str
            Of the Var's shape, or broadcast to it. Sparse matrices keep their non-zero places.
        """
        self._set(var, values.write, value)

    def _set(self, var: Var, write: Callable[..., None], *value) -> None:
        """Let ``write`` set a Var, as one of :mod:`.values` does, and the model work out anew what follows from it."""
        task, name = self._find(var)
        self._be_ready()
        with alone():
            write(f"set: {title(var.process)}.{var.name}", task.model, name, *value)
            with self._or_over(f"{task.name} to take a Var that was set"):
                task.tell_of_vars()

    @contextmanager
    def _or_over(self, what: str) -> Iterator[None]:
        """For a ``with`` block in which models work outside of a run: it ends in time and well, or the session is over."""
        try:
            with self._alarm.set(self._timeout):
                yield
        except BaseException as error:
            self._close()
            if isinstance(error, self._alarm.over):
                raise RunTimeout(f"it took longer than {self._timeout:g} s for {what}.") from error
            raise

    def reset(self) -> None:
        """Put every Process back to its initial state, without compiling anew.

        Parameters and initial values are copied again, from the user's objects: an array that was changed since then is taken as it is now.
        """
        self._check_open()
        with alone():
            # else the model that is at work would end before any is made anew, and the run as if it had done its steps
            require(not self._built.at_work, "reset", "be called between runs", "in a run, by a ProcessModel or a signal handler")
            self._built.end()
            self._built.stop(self._alarm, self._timeout)
            with self._or_over("the models to be made anew"):
                self._built.build()
            self.steps_run = 0

    def stop(self) -> None:
        """End the session; Vars can still be read."""
        self._catch_up()
        self._end()

    def _end(self) -> None:
        if not self._open:
            return
        self._open = False
        if self._built.at_work:  # in another thread, or further up in this one; that closes after this step
            self._built.ask_to_end("stop")
        else:
            self._close()

    def _close(self) -> None:
        self._open = False
        self._built.end()
        self._built.stop(self._alarm, self._timeout)
        self._alarm.close()
        let_go(self._runtime.processes)

    def _check_open(self) -> None:
        if self._executor is None:
            raise NotRunning(NOT_STARTED)
        if not self._open:
            raise NotRunning(_OVER)

    def _find(self, var: Var) -> tuple[Task, str]:
        """The model, and the name in it, that hold a Var."""
        var = innermost(var)
        tasks = self._built.tasks
        names = tasks[var.process].model.var_id_to_var_map if var.process in tasks else {}
        check_held(var.id in names, var)
        return tasks[var.process], names[var.id]


def _checked_steps(steps: object) -> int:
    cure = "Give the number of steps instead of Lava's condition." if isinstance(steps, AbstractRunCondition) else ""
    return whole(steps, "steps", least=1, cure=cure)


def run(
    proc: AbstractProcess,
    steps: int,
    run_cfg: RunConfig | Executable,
    *,
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
    steps = _checked_steps(steps)
    session = InProcess(proc, run_cfg, timeout)
    recorder = as_recorder(record, every)  # before the graph is compiled, which can be done once
    with session:
        recorded = session.run(steps, recorder)
    return recorded if recorder is record else recorder.given_away()
