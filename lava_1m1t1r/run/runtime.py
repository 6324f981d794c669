"""Lava's own Runtime with time limits: every wait checks the child processes, and ends."""

from __future__ import annotations

import atexit
import errno
import functools
import math
import os
import sys
import threading
import time
import weakref
from contextlib import contextmanager, suppress
from queue import Empty
from typing import NoReturn

import numpy as np
from lava.magma.compiler.builders.py_builder import PyProcessBuilder
from lava.magma.compiler.channels.pypychannel import CspRecvPort, CspSendPort
from lava.magma.compiler.executable import Executable
from lava.magma.core.model.py.model import AbstractPyProcessModel
from lava.magma.core.process.message_interface_enum import ActorType
from lava.magma.core.run_conditions import RunContinuous, RunSteps
from lava.magma.runtime.mgmt_token_enums import MGMT_COMMAND, MGMT_RESPONSE, enum_equal, enum_to_np
from lava.magma.runtime.runtime import Runtime
from lava.magma.runtime.runtime_services.runtime_service import AsyncPyRuntimeService
from scipy.sparse import csr_matrix

from .._support.programs import unbroken
from ..errors import array_of, require, whole
from .children import Children, lack_of_memory, too_many_files
from .failures import Deadlock, NotRunning, ProcessFailed, RunError, RunTimeout, title
from .servers import let_go
from .values import NUMBERS_RULE, indexed

_LONGEST_REPORT = 3.0  # s; on a busy machine a traceback takes its time
TICK = 0.05
"""Longest wait [s] between two looks at the children; an answer that arrives wakes us earlier."""


class _Port:
    """A port of the Runtime towards a RuntimeService whose blocking calls are bounded."""

    def __init__(self, port: CspRecvPort | CspSendPort, runtime: GuardedRuntime):
        self._port = port
        self._runtime = runtime
        if isinstance(port, CspRecvPort):
            port.observer = runtime.answered.set

    def __getattr__(self, name):
        return getattr(self._port, name)

    def recv(self):
        while True:
            self._runtime.leave_to_stopper()
            if self._runtime.stopped:
                raise NotRunning(STOPPED)
            try:
                self._port._queue.get(peek=True, timeout=TICK)
                return self._runtime.heard(self._port.recv())
            except Empty:
                self._runtime.look_after()

    def send(self, data):
        self._runtime.asked = True
        room = self._port._semaphore
        while not room.acquire(timeout=TICK):
            self._runtime.look_after()
        room.release()
        self._port.send(data)


_ASKED = (
    "a model asked for the end of the run, with which Lava drops all Vars: lava_1m1t1r.run.run can read them after it. Build the graph's "
    "Processes anew to run them again."
)
_BROKEN_OFF = (
    "reading or setting a Var was broken off, and what was sent of it would be taken for other answers: the graph has been stopped. Build "
    "its Processes anew to run them again."
)
STOPPED = "this graph has been stopped, and Lava cannot start it again. Build its Processes anew and run those."


def _kind(builder: PyProcessBuilder, name: str) -> type:
    """Type that a model's LavaPyType states for a Var."""
    return getattr(getattr(builder.proc_model, name, None), "cls", object)


def _is_sent(builder: PyProcessBuilder, name: str) -> bool:
    """Whether a model sends a Var to whoever reads it, as far as its initial value tells, which Lava converts for arrays alone."""
    sent = (int, np.int32, str, np.ndarray, csr_matrix)
    return issubclass(_kind(builder, name), np.ndarray) or isinstance(builder.vars[name].value, sent)


def _is_settable(builder: PyProcessBuilder, name: str) -> bool:
    """Whether a model takes a new value of a Var: of a single int, Lava would make a float, which fails in it or is not sent any more."""
    of_many = issubclass(_kind(builder, name), (np.ndarray, csr_matrix))
    return _is_sent(builder, name) and (of_many or not isinstance(builder.vars[name].value, int))


_started: weakref.WeakSet[GuardedRuntime] = weakref.WeakSet()


@atexit.register
def _stop_all() -> None:
    """Stop all graphs at exit: a script that ends while a graph is up would wait for the children for ever."""
    for runtime in list(_started):
        runtime.stop()


def _in_turn(method):
    """Let threads talk to the RuntimeServices one after the other: an answer does not say whose it is."""

    @functools.wraps(method)
    def taken(self, *args, **kwargs):
        if os.getpid() != self._process:  # it would take answers that are not its own, or wait for a thread that it does not have
            raise NotRunning("this graph runs for the process that this one was forked from, and answers that one alone.")
        with self._turn:
            return method(self, *args, **kwargs)

    return taken


class GuardedRuntime(Runtime):
    """Lava's multi-process Runtime that reports failures, and never waits for ever.

    Parameters
    ----------
    executable : Executable
        What Lava's compiler returned.
    timeout : float
        Longest wall time of one run, get or set [s].
    stall : float or None
        Report a deadlock when no child did anything for this long [s]; None: only the timeout counts.
    """

    _is_running: bool
    service_to_runtime: list[CspRecvPort | _Port]
    runtime_to_service: list[CspSendPort | _Port]

    def __init__(self, executable: Executable, timeout: float, stall: float | None):
        super().__init__(executable, ActorType.MultiProcessing)
        self.timeout = timeout
        self.stall = stall
        self.stopped = False
        self.why_stopped = STOPPED
        self._process = os.getpid()
        self._deadline = float("inf")
        self._last_activity: list | None = None
        self._idle_since = 0.0
        self._looked = 0.0
        self._size_due = ""  # of this Var
        self._most, self._beyond = 0, 0  # values that its shape holds, and those that come after them
        self._sets = False  # whether the next answer is about a Var that is set
        self._untold = False  # whether Lava would not tell any more that steps are done
        self._stopper: int | None = None  # the thread that stops the graph
        self._turn = threading.RLock()
        self._exchanging = False
        self.asked = False  # whether anything was sent to a RuntimeService
        self.answered = threading.Event()  # by a RuntimeService
        self._repeat: set[_Port] = set()  # of services that tell of a pause again after every run in which nobody asked for one

    # -- start ---------------------------------------------------------------------------------------------------------

    def _build_message_infrastructure(self):
        names = {builder: title(process) for process, builder in self._executable.proc_builders.items()}
        self._messaging_infrastructure = Children(names)
        self._messaging_infrastructure.start()

    @property
    def children(self):
        """The operating-system processes: one a Process, one a RuntimeService."""
        return self._messaging_infrastructure.children

    def initialize(self, node_cfg_idx: int = 0):
        """Start the children, and wait until each has built its model."""
        _started.add(self)
        try:
            with unbroken():  # a child between its birth and its entry in our list would be an orphan
                self._build_watchdog_manager()
                self._build_message_infrastructure()
                self._build_channels()
                self._build_sync_channels()
                self._build_processes()
                self._build_runtime_services()
                self._start_ports()
            self.service_to_runtime = [_Port(port, self) for port in self.service_to_runtime]
            self.runtime_to_service = [_Port(port, self) for port in self.runtime_to_service]
            with self._bounded(self.timeout):
                for queue in self.exception_q:
                    self._await_build(queue)
        except BaseException as error:
            self.stop(patience=0.0)
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise lack_of_memory(f"for the semaphores of its connections ({error.strerror})") from error
            if isinstance(error, OSError) and error.errno == errno.EMFILE:
                raise too_many_files() from error
            raise
        self._is_initialized = True

    def _await_build(self, queue):
        while True:
            try:
                outcome = queue.get(timeout=TICK)
            except Empty:
                self.look_after(stall=False)  # a model may load a large file while it is built
                continue
            except Exception as error:  # the model's exception could not be unpickled: its traceback is in the report
                outcome = error
            if outcome is None:
                return
            self._fail()

    # -- run -----------------------------------------------------------------------------------------------------------

    @_in_turn
    def start(self, run_condition):
        """Run, as Lava's Process.run asks for; refused once stopped (Lava would crash)."""
        self._be_ready()
        if isinstance(run_condition, RunSteps):
            whole(run_condition.num_steps, "steps")  # numbers below 0 are commands in Lava: of -1, its children leave
        continuous = isinstance(run_condition, RunContinuous)
        must = (
            "be RunContinuous again after a continuous run, or a pause in the midst of steps: Lava's own runtime would not tell that steps "
            "are done"
        )
        cure = "Build its Processes anew, and run those in process (lava_1m1t1r.run), or steps before that."
        require(continuous or not self._untold, "run condition", must, type(run_condition).__name__, cure)
        self._untold = self._untold or continuous
        with self._bounded(self.timeout):
            super().start(run_condition)

    def _be_ready(self) -> None:
        """Wait for a run that goes on: Lava takes what is told of its end for an answer to what is asked next, and drops gets and sets."""
        if self._exchanging:
            raise NotRunning("a Var of this graph is being read or set: ask for nothing in the midst of that, as from a signal handler.")
        if self._is_running:
            require(not self._untold, "run", "have an end to be waited for", "RunContinuous", "Call pause() first.")
            self.wait()
        if self.stopped:
            raise NotRunning(self.why_stopped)

    @_in_turn
    def wait(self):
        with self._bounded(self.timeout):
            super().wait()

    @_in_turn
    def pause(self):
        """Pause the run; also one that ends, or that a model ends, just then: Lava takes what is told of that for an error.

        A run that another thread waits for comes to its end before.
        """
        if self._is_running:
            with self._bounded(self.timeout):
                self._pause(self.service_to_runtime)

    @property
    def _services(self):
        """The RuntimeServices, by the ports at which they tell of themselves."""
        return dict(zip(self.service_to_runtime, self._executable.runtime_service_builders.values(), strict=True))

    def _pause(self, silent: list) -> None:
        """Pause; ``silent``: the services' ports that have not told yet how the run ended."""
        for port in self.runtime_to_service:
            port.send(MGMT_COMMAND.PAUSE)
        for port, service in self._services.items():
            told = port not in silent or issubclass(service.rs_class, AsyncPyRuntimeService)
            while not enum_equal(answer := port.recv(), MGMT_RESPONSE.PAUSED):
                told = True
                self._note(port, answer)
                if enum_equal(answer, MGMT_RESPONSE.ERROR):
                    self._fail()
            self._untold = self._untold or not told
        self._is_running = False
        if self.why_stopped is _ASKED:
            self.stop()

    def _note(self, port: _Port, answer: np.ndarray) -> None:
        """Note what a service asks for that counts later, too: an end, or a pause, which it may repeat."""
        if enum_equal(answer, MGMT_RESPONSE.REQ_STOP):
            self.why_stopped = _ASKED
        elif enum_equal(answer, MGMT_RESPONSE.REQ_PAUSE) and issubclass(self._services[port].rs_class, AsyncPyRuntimeService):
            self._repeat.add(port)

    @_in_turn
    def get_var(self, var_id, idx=None):
        self._be_ready()
        found = self._owner(var_id)
        if found is None:
            return super().get_var(var_id, idx)  # Lava's own error
        process, builder, known = found
        what = f"{title(process)}.{known.name}"
        cure = "Build its Processes anew, and run those in process (lava_1m1t1r.run.InProcess), where any Var can be read."
        must = "be an array or a whole number in its ProcessModel, for Lava to send it"  # nothing is sent of others: we would wait
        require(_is_sent(builder, known.name), f"get: {what}", must, builder.vars[known.name].value, cure)
        most = sys.maxsize if known.dtype == csr_matrix else math.prod(known.shape)
        self._size_due, self._most, self._beyond = what, most, 0
        try:
            with self._exchange(), self._bounded(self.timeout):
                value = super().get_var(var_id)
                for _ in range(self._beyond):  # Lava would have failed, and taken them for the answers to what is asked next
                    self.service_to_runtime[known.runtime_srv_id].recv()
        finally:
            self._size_due = ""
        require(not self._beyond, f"get: {what}", f"hold at most {most} values, for its shape", most + self._beyond, cure)
        return indexed(f"get: {what}", value, idx)

    @contextmanager
    def _exchange(self):
        """For messages each of which belongs to those before it: if they are broken off, the rest would answer what is asked next."""
        self._exchanging, self.asked = True, False
        try:
            yield
        except BaseException:
            if self.asked and not self.stopped:
                self.why_stopped = _BROKEN_OFF
                self.stop(patience=0.0)
            raise
        finally:
            self._exchanging = False

    def _owner(self, var_id):
        """Process and builder of a Var, and what Lava knows of it; None if no model holds it."""
        known = self._executable.node_configs[0].var_models.get(var_id)
        builders = self._executable.proc_builders.items()
        return next(((p, b, known) for p, b in builders if known is not None and p.id == known.proc_id), None)

    def heard(self, answer: np.ndarray) -> np.ndarray:
        """Check an answer of a RuntimeService: a Var's values begin with their number, or with the error of a model that has failed.

        Lava takes the error for no values, and answers zeros. Of a Var that is set, it names neither the Process nor what is wrong.
        """
        size_due, self._size_due = self._size_due, ""
        if (size_due and answer[0] < 0) or (self._sets and enum_equal(answer, MGMT_RESPONSE.ERROR)):
            self._fail()
        if size_due and answer[0] > self._most:
            self._beyond = int(answer[0]) - self._most
            return enum_to_np(self._most)  # Lava has no room for more
        return answer

    @_in_turn
    def set_var(self, var_id, value, idx=None):
        self._be_ready()
        value = np.atleast_1d(self._sendable(var_id, value, idx))
        self._sets = True
        try:
            with self._exchange(), self._bounded(self.timeout):
                super().set_var(var_id, value)
        finally:
            self._sets = False
        self._await_update(var_id)

    def _await_update(self, var_id) -> None:
        """Wait until a model has processed a new value, which Lava does not do. Reading a Var of the model does."""
        found = self._owner(var_id)
        if not self._is_started or found is None:
            return
        process, builder, _ = found
        if builder.proc_model.on_var_update is not AbstractPyProcessModel.on_var_update:
            models = self._executable.node_configs[0].var_models
            sent = {i: known for i, known in models.items() if known.proc_id == process.id and _is_sent(builder, known.name)}
            if sent:
                arrays = {i: known for i, known in sent.items() if isinstance(builder.vars[known.name].value, np.ndarray)}
                self.get_var(min(arrays or sent, key=lambda i: math.prod(sent[i].shape)))  # a number may have become one that is not sent

    def _sendable(self, var_id, value, idx) -> np.ndarray:
        """Take what ``idx`` chooses of the values, and check it before it is sent. Lava does so only after telling the model: after wrong
        values, model and Runtime wait for each other."""
        found = self._owner(var_id)
        if found is None:
            return value  # Lava's own error
        process, builder, known = found
        field = f"set: {title(process)}.{known.name}"
        value = indexed(field, np.atleast_1d(array_of(value, field, NUMBERS_RULE)), idx)
        most = math.prod(known.shape)
        require(
            _is_settable(builder, known.name), field, "be an array in its ProcessModel, for Lava to set it", builder.vars[known.name].value
        )
        require(known.dtype is str or value.size <= most, field, f"be given at most {most} values", value.size)
        return value

    def _get_resp_for_run(self):
        if not self._is_running:
            return
        silent = list(self.service_to_runtime)
        while silent:
            port = self._first_of(silent)
            if port is None:
                return
            silent.remove(port)
            answer = port.recv()
            self._note(port, answer)
            if enum_equal(answer, MGMT_RESPONSE.REQ_PAUSE):
                return self._pause(silent)
            if enum_equal(answer, MGMT_RESPONSE.REQ_STOP):
                return self.stop()
            if not enum_equal(answer, MGMT_RESPONSE.DONE):
                self._fail()
            if port in self._repeat:
                port.recv()
        self._is_running = False

    def _first_of(self, ports: list) -> _Port | None:
        """The first of some ports that has an answer: a service may ask for a pause of which another waits to be told.

        None where the run has ended meanwhile, because the user's signal handler has waited for it, too.
        """
        while not self.stopped:
            self.leave_to_stopper()
            if not self._is_running:
                return None
            self.answered.clear()
            for port in ports:
                if port.probe():
                    return port
            if not self.answered.wait(TICK):
                self.look_after()
        raise NotRunning(STOPPED)

    @contextmanager
    def _bounded(self, seconds: float):
        before, self._deadline = self._deadline, min(self._deadline, time.monotonic() + seconds)
        self._last_activity, self._looked = None, time.monotonic()
        try:
            yield
        finally:
            self._deadline = before

    # -- look after the children ---------------------------------------------------------------------------------------

    def look_after(self, stall: bool = True) -> None:
        """Raise if a child failed, if all of them wait, or if the time is over; tears everything down first."""
        if any(child.failure() for child in self.children):
            self._fail()
        now = time.monotonic()
        if now > self._deadline:
            self._give_up(RunTimeout, "the run took longer than the time allowed")
        if stall and self.stall is not None and now - self._looked > self.stall / 4:
            self._looked = now
            if self._asleep(now, self.stall):
                self._give_up(Deadlock, self._why_asleep(self.stall))

    def _why_asleep(self, stall: float) -> str:
        if self._size_due:
            return (
                f"{self._size_due} was asked for, and its model has sent nothing for {stall:g} s: Lava sends nothing but arrays, int and "
                "np.int32, and it has become something else, such as np.int64. Hold it as an array, or run in process "
                "(lava_1m1t1r.run.InProcess)"
            )
        return f"no Process did anything for {stall:g} s: they wait for each other, or one sleeps longer than stall allows"

    def _asleep(self, now: float, stall: float) -> bool:
        activity = [child.activity() for child in self.children]
        if activity != self._last_activity or any(a is None or a[0] != "S" for a in activity):
            self._last_activity, self._idle_since = activity, now
            return False
        return now - self._idle_since >= stall

    def _give_up(self, kind: type[RunError], why: str) -> NoReturn:
        """Tear everything down, and raise with what each model was doing."""
        self.leave_to_stopper()
        stacks = [(child.name, child.stack()) for child in self.children if child.is_model]
        at_work = [(name, where) for name, where in stacks if where]
        self.stop(patience=0.0)
        lines = [f"  {name} {where}" for name, where in at_work]
        raise kind("\n".join([f"{why}.", *lines]), tuple(name for name, _ in at_work))

    def _fail(self) -> NoReturn:
        """A child has failed: give its traceback a while to arrive, tear everything down, and raise. Its neighbours may be gone before."""
        self.leave_to_stopper()
        end = time.monotonic() + _LONGEST_REPORT
        while not any(child.at_fault() for child in self.children) and time.monotonic() < end:
            time.sleep(0.005)
        time.sleep(0.02)  # neighbours that fail for the same reason
        models_first = sorted(self.children, key=lambda child: not child.is_model)
        failed = [child for child in models_first if child.failure()]
        at_fault = [child for child in failed if child.at_fault()] or failed
        broken = [(child.name, child.failure()) for child in at_fault]
        if any("Traceback" in text for _, text in broken):  # the others only followed
            broken = [(name, text) for name, text in broken if "Traceback" in text]
        self.stop(patience=0.0)
        message = "\n".join(f"{name} failed: {text}" for name, text in broken) or "a Process reported an error."
        raise ProcessFailed(message, tuple(name for name, _ in broken))

    # -- stop ----------------------------------------------------------------------------------------------------------

    def stop(self, patience: float = 2.0):
        """End the run and every child. Never waits longer than ``patience`` seconds for them, never raises for one.

        Parameters
        ----------
        patience : float
            Seconds that the children get to leave by themselves; then they are killed.
        """
        if self.stopped or os.getpid() != self._process:  # the children are those of the process that we were forked from
            return
        try:
            self._stopper = self._stopper or threading.get_ident()  # who waits for this thread waits for what follows
            if patience and self._is_initialized:
                with suppress(RunError), self._bounded(patience):
                    self._ask_to_leave()
        finally:
            if not self.stopped:  # a child that fails while it is asked to leave tears everything down
                with unbroken():
                    self._tear_down(patience)

    def leave_to_stopper(self) -> None:
        """Raise where another thread stops the graph, once it has: children that leave then have not failed, and answer that thread."""
        if self._stopper not in (None, threading.get_ident()):
            while not self.stopped:
                time.sleep(TICK)
            raise NotRunning(STOPPED)

    def _ask_to_leave(self) -> None:
        for port in self.runtime_to_service:
            port.send(MGMT_COMMAND.STOP)
        for port in self.service_to_runtime:
            while not enum_equal(port.recv(), MGMT_RESPONSE.TERMINATED):
                pass

    def _tear_down(self, patience: float) -> None:
        self.stopped = True
        self._is_running = self._is_started = False
        if self._messaging_infrastructure is not None:
            self._messaging_infrastructure.stop(patience)
        ports = [port for port in self._open_ports + self._external_ports() if port.thread is not None]
        self.join()
        for port in ports:
            port.join()
            port.thread.join(1.0)
            port._array = []  # its memory is gone: a late call must raise, not crash
        for queue in self.exception_q:
            queue.close()
            for end in (queue._reader, queue._writer):  # close() leaves them to the collector, and Lava's servers keep us from it
                end.close()
        if self._watchdog_manager is not None:
            self._watchdog_manager.stop()
        let_go(self._executable.process_list)

    def _external_ports(self):
        """What the user's code holds of Injectors and Extractors."""
        ports = [getattr(process, name) for process, builder in self._executable.proc_builders.items() for name in builder.py_ports]
        names = ("external_pipe_csp_send_port", "external_pipe_csp_recv_port")
        return [getattr(port, name) for port in ports for name in names if hasattr(port, name)]
