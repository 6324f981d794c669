"""Runs the ProcessModels of a compiled Lava graph in the calling thread, by Lava's own rules.

Each model runs in a greenlet: where a port would block, the next model that can go on does. What a RuntimeService
does in Lava (which phase comes next) :class:`LoihiDomain` and :class:`AsyncDomain` do here.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from lava.magma.compiler.builders.channel_builder import ChannelBuilderMp
from lava.magma.compiler.builders.py_builder import PyProcessBuilder
from lava.magma.compiler.channels.interfaces import ChannelType
from lava.magma.compiler.channels.pypychannel import CspRecvPort, CspSendPort
from lava.magma.compiler.executable import Executable
from lava.magma.core.model.py.model import PyAsyncProcessModel, PyLoihiProcessModel
from lava.magma.core.process.ports.ports import InPort, create_port_id
from lava.magma.runtime.mgmt_token_enums import MGMT_COMMAND, enum_to_np
from lava.magma.runtime.runtime_services.runtime_service import AsyncPyRuntimeService, LoihiPyRuntimeService

from lava_1m1t1r.errors import InputError, missing
from lava_1m1t1r.run.alarm import Alarm, TimeIsOver
from lava_1m1t1r.run.channels import Channel, Commands, ExternalChannel, Replies
from lava_1m1t1r.run.failures import Deadlock, ProcessFailed, RunTimeout, title
from lava_1m1t1r.run.isolation import OwnRandom, UsersRandom, members, own_copies

Phase = PyLoihiProcessModel.Phase
Reply = PyLoihiProcessModel.Response
SPK, PRE_MGMT, LRN, POST_MGMT, HOST = (
    int(p[0]) for p in (Phase.SPK, Phase.PRE_MGMT, Phase.LRN, Phase.POST_MGMT, Phase.HOST)
)
_SERVED_IN = (PRE_MGMT, POST_MGMT, HOST)  # the phases in which a model answers to RefPorts of others


class Task:
    """A ProcessModel and what it is doing.

    Attributes
    ----------
    model : AbstractPyProcessModel
    work : callable
        What it has to do, or is in the middle of.
    idle : bool
        Whether it has finished ``work``.
    waits_at : Channel or None
    """

    def __init__(self, hub: Executor, process, builder: PyProcessBuilder):
        self.hub = hub
        self.name = title(process)
        self.builder = builder
        self.replies = Replies()
        self.commands = Commands(hub)
        self.random = OwnRandom()
        self.greenlet = None
        self.idle = True
        self.waits_at: Channel | None = None
        self.work: Callable[[], None] | None = None

    def build(self, shared: dict[int, object]) -> None:
        """Make the model, in its own random stream, as Lava's builder does."""
        self.random = OwnRandom()
        self.random.enter()
        try:
            self.model = own_copies(self.builder, shared).build()
        except Exception as error:
            raise ProcessFailed(f"{self.name} could not be built: {traceback.format_exc()}", (self.name,)) from error
        finally:
            self.random.leave()
        self.model.process_to_service = self.replies
        self.model.service_to_process = self.commands
        self.handlers = self.model._cmd_handlers
        self.commands.pending.clear()

    def start(self, work: Callable[[], None]) -> None:
        """Queue ``work``."""
        self.work = work
        self.idle = False
        self.hub.ready.append(self)

    def loop(self) -> None:
        """Body of the greenlet."""
        while True:
            self.work()
            self.idle = True
            self.hub.greenlet.switch()

    def requests(self):
        """Var ports of this model at which another model's RefPort waits for an answer."""
        if int(self.model.phase[0]) not in _SERVED_IN:
            return []
        return [p for p in self.model.var_ports if any(c.channel.items for c in p.csp_ports if hasattr(c, "recv"))]


class LoihiDomain:
    """Steps a group of models through the phases of Lava's LoihiProtocol."""

    def __init__(self, hub: Executor, tasks: list[Task]):
        self.hub = hub
        self.tasks = tasks
        self.var_tasks: list[Task] = []
        self.samplers: list = []
        self.completed = 0
        self.finished = True
        self.wish: str | None = None  # "pause" or "stop": what a model asked for

    def begin(self, steps: int) -> None:
        """Start a run of ``steps`` time steps."""
        self.var_tasks = [task for task in self.tasks if task.model.var_ports]
        self.steps, self.step, self.completed = steps, 0, 0
        self.requests: set[int] = set()
        self.finished, self.phase = False, HOST
        self._advance()

    def done(self, task: Task) -> None:
        """A model has done what it was asked to."""
        reply = task.replies.last
        if reply:
            self.requests.add(reply)
            task.replies.last = 0
        self.pending -= 1
        if not self.pending:
            for waiting in self.var_tasks:
                for port in waiting.requests():
                    self.pending += 1
                    waiting.start(port.service)
                    break
            if not self.pending:
                self._advance()

    def _advance(self) -> None:
        """The next phase, by the rules of Lava's LoihiPyRuntimeService."""
        asked = self.requests
        for reply, phase in _PHASE_FOR:
            if reply in asked:
                asked.discard(reply)
                return self._send(phase)
        if asked or self.hub.ending:
            # a model asks for a pause or an end: no HOST phase then, as in Lava
            self.wish = "stop" if _STOP in asked else "pause"
            self.hub.ending = True
            self._end_step()
            self.finished = True
        elif self.phase == HOST and self.step:
            self.finished = True
        else:
            if self.step:
                self._end_step()
            if self.step == self.steps:
                self._send(HOST)
            else:
                self.step += 1
                self._send(SPK)

    def _send(self, phase: int) -> None:
        self.phase = phase
        self.pending = len(self.tasks)
        for task in self.tasks:
            task.start(task.handlers[phase])

    def _end_step(self) -> None:
        self.completed = self.step
        for sampler in self.samplers:
            sampler.sample(self.step)


_STOP = int(Reply.REQ_STOP[0])
_PHASE_FOR = tuple(
    (int(reply[0]), phase)
    for reply, phase in (
        (Reply.REQ_PRE_LRN_MGMT, PRE_MGMT),
        (Reply.REQ_LEARNING, LRN),
        (Reply.REQ_POST_LRN_MGMT, POST_MGMT),
    )
)


class AsyncDomain:
    """Runs a group of models of Lava's AsyncProtocol: each once a run, for as long as it likes."""

    def __init__(self, hub: Executor, tasks: list[Task]):
        self.hub = hub
        self.tasks = tasks
        self.completed = 0
        self.finished = True
        self.wish: str | None = None

    def begin(self, steps: int) -> None:
        """Start a run; the models learn ``steps`` as ``num_steps``."""
        self.finished, self.steps, self.completed = False, steps, 0
        self.pending = len(self.tasks)
        for task in self.tasks:
            task.commands.pending.clear()
            task.commands.pending.append(enum_to_np(steps))
            task.start(task.handlers[MGMT_COMMAND.RUN[0]])

    def done(self, task: Task) -> None:
        """A model has returned."""
        if task.replies.last == int(PyAsyncProcessModel.Response.REQ_STOP[0]):
            self.wish = "stop"
        task.replies.last = 0
        self.pending -= 1
        if not self.pending:
            self.finished, self.completed = True, self.steps


class Executor:
    """Builds and runs the models of an Executable of Lava's compiler.

    Parameters
    ----------
    executable : Executable
    patience : float
        How long a model may wait for the user's own code at an Injector or Extractor [s].
    """

    def __init__(self, executable: Executable, patience: float):
        try:
            import greenlet
        except ImportError as error:
            raise missing("greenlet", "lava", "Running Lava graphs in one process") from error
        self._greenlets = greenlet
        self._patience = patience
        self.ready: deque[Task] = deque()
        self.current: Task | None = None
        self.greenlet = None
        self.ending = False
        self.changed = threading.Event()  # the user's code sent or took a message
        self.channels: list[Channel] = []
        self._shared = members(executable.process_list)
        self.tasks = {}
        for process, builder in executable.proc_builders.items():
            if not isinstance(builder, PyProcessBuilder):
                raise InputError(
                    f"{title(process)} has the ProcessModel {builder.proc_model.__name__}, which does not run on a CPU "
                    "in Python. Choose a run configuration that selects a PyProcessModel for it."
                )
            given = vars(builder.proc_params).get("_parameters", {}).values()
            if any(isinstance(value, (CspSendPort, CspRecvPort)) for value in given):
                raise InputError(
                    f"{title(process)} was given a channel between operating-system processes for its ProcessModel "
                    f"{builder.proc_model.__name__}, which does not run in one process. Record the Var instead."
                )
            self.tasks[process] = Task(self, process, builder)
        self._connect(executable)
        self._domains(executable)

    def _connect(self, executable: Executable) -> None:
        for link in executable.channel_builders:
            if not isinstance(link, ChannelBuilderMp) or link.channel_type is not ChannelType.PyPy:
                raise InputError(
                    f"{title(link.src_process)} to {title(link.dst_process)}: a channel between other things than "
                    "Python models does not run in one process. Choose a run configuration for the CPU."
                )
            src, dst = link.src_port_initializer, link.dst_port_initializer
            channel = Channel(
                self, _end(link.src_process, src), _end(link.dst_process, dst), (src.name, dst.name),
                src.shape, src.d_type, src.size,
            )  # fmt: skip
            self.channels.append(channel)
            self.tasks[link.src_process].builder.set_csp_ports([channel.src_port])
            receiver = self.tasks[link.dst_process].builder
            receiver.set_csp_ports([channel.dst_port])
            receiver.add_csp_port_mapping(create_port_id(link.src_process.id, src.name), channel.dst_port)
        for process, task in self.tasks.items():
            for name, initializer in task.builder.py_ports.items():
                port = getattr(process, name)
                if getattr(port, "external_pipe_flag", False):
                    self._connect_user(process, task, port, initializer)

    def _connect_user(self, process, task: Task, port, initializer) -> None:
        sends = isinstance(port, InPort)
        inside, user = _end(process, initializer), "the user's code"
        ends = (user, inside) if sends else (inside, user)
        channel = ExternalChannel(
            self, *ends, (initializer.name,) * 2, initializer.shape, initializer.d_type, port.external_pipe_buffer_size,
            patience=self._patience,
        )  # fmt: skip
        self.channels.append(channel)
        task.builder.set_csp_ports([channel.dst_port if sends else channel.src_port])
        end = "external_pipe_csp_send_port" if sends else "external_pipe_csp_recv_port"
        setattr(port, end, channel.user_end(sends))

    def _domains(self, executable: Executable) -> None:
        kinds = {LoihiPyRuntimeService: LoihiDomain, AsyncPyRuntimeService: AsyncDomain}
        by_id = {process.id: task for process, task in self.tasks.items()}
        self.domains = []
        for service in executable.runtime_service_builders.values():
            tasks = [by_id[i] for i in service._model_ids]
            if service.rs_class not in kinds:
                raise InputError(
                    f"{tasks[0].name} follows the protocol of {service.rs_class.__name__}, which does not run in one "
                    "process; only LoihiProtocol and AsyncProtocol do."
                )
            domain = kinds[service.rs_class](self, tasks)
            self.domains.append(domain)
            for task in tasks:
                task.domain = domain

    def build(self) -> None:
        """Make every model anew, in its initial state."""
        for channel in self.channels:
            channel.clear()
        with UsersRandom():
            start = OwnRandom()  # every model starts from the state that the user left, as forked processes do
            for task in self.tasks.values():
                start.enter()
                task.build(self._shared)

    # -- run -----------------------------------------------------------------------------------------------------------

    def run(self, steps: int, alarm: Alarm, seconds: float) -> str | None:
        """Run ``steps`` time steps.

        Returns
        -------
        str or None
            "pause" or "stop" when a model asked for it before the end.
        """
        self.greenlet = self._greenlets.getcurrent()
        self.ending = False
        self.ready.clear()
        for task in self.tasks.values():
            task.greenlet = self._greenlets.greenlet(task.loop, self.greenlet)
        try:
            with UsersRandom(), alarm.set(seconds):
                for domain in self.domains:
                    domain.begin(steps)
                self._drain()
                while not all(domain.finished for domain in self.domains):
                    if not (self._serve() or self._wait_for_user()):
                        self._deadlock()
                    self._drain()
        except TimeIsOver as error:
            raise self._timeout(seconds) from error
        finally:
            self._end_greenlets()
        return next((domain.wish for domain in self.domains if domain.wish), None)

    @property
    def steps_done(self) -> int:
        """Time steps of the last run that came to their end."""
        return max((domain.completed for domain in self.domains), default=0)

    def _drain(self) -> None:
        ready = self.ready
        while ready:
            task = self.current = ready.popleft()
            task.waits_at = None
            random = task.random
            random.enter()
            try:
                task.greenlet.switch()
            except Exception as error:
                text = f"{task.name} failed{_step(task)}: {traceback.format_exc()}"
                raise ProcessFailed(text, (task.name,)) from error
            finally:
                random.leave()
            if task.idle:
                task.domain.done(task)
        self.current = None

    def block(self, channel: Channel) -> None:
        """Called by a port that has to wait: let others run until it is woken."""
        task = self.current
        if task is None:
            raise Deadlock(f"nothing runs, and the port would wait: {channel.sink} from {channel.source}")
        task.waits_at = channel
        self.greenlet.switch()

    def wake(self, task: Task) -> None:
        """A port that ``task`` waits at is free."""
        self.ready.append(task)

    def give_way(self) -> None:
        """Called by a port that was asked whether it is free, and is not: let the others go on first."""
        task = self.current
        if task is not None and self.ready:
            self.ready.append(task)
            self.greenlet.switch()

    def _serve(self) -> bool:
        """Let models that have nothing to do answer to RefPorts that wait for them."""
        served = False
        for domain in self.domains:
            for task in getattr(domain, "var_tasks", ()):
                requests = task.requests() if task.idle else []
                if requests:
                    domain.pending += 1
                    task.start(requests[0].service)
                    served = True
        return served

    def _wait_for_user(self) -> bool:
        """Give the user's other threads a while to send to an Injector or to empty an Extractor."""
        waiting = [t for t in self.tasks.values() if isinstance(t.waits_at, ExternalChannel)]
        end = time.monotonic() + self._patience
        while waiting and time.monotonic() < end:
            self.changed.clear()
            for task in waiting:
                channel = task.waits_at
                if channel.items if task is channel.receiver else len(channel.items) < channel.size:
                    channel.receiver = channel.sender = None
                    self.ready.append(task)
                    return True
            self.changed.wait(0.05)
        return False

    def _deadlock(self) -> None:
        waiting = [t for t in self.tasks.values() if not t.idle]
        lines = [f"  {t.name} {t.waits_at.waiting(t)}" for t in waiting if t.waits_at is not None]
        message = "\n".join(["no Process can go on: each waits for a message that nobody will send.", *lines])
        raise Deadlock(message, tuple(t.name for t in waiting))

    def _timeout(self, seconds: float) -> RunTimeout:
        task = self.current
        where = f" {task.name} was at work{_step(task)}." if task is not None else ""
        return RunTimeout(f"the run took longer than {seconds:g} s.{where}", (task.name,) if task is not None else ())

    def _end_greenlets(self) -> None:
        self.ready.clear()
        self.current = None
        for task in self.tasks.values():
            with suppress(Exception):  # a model's own clean-up must not hide why the run ended
                task.greenlet.throw(self._greenlets.GreenletExit)
            task.greenlet = None
            task.idle, task.waits_at = True, None


def _end(process, initializer) -> str:
    return f"{title(process)}.{initializer.name}"


def _step(task: Task) -> str:
    step = getattr(task.model, "time_step", None)
    return f" in step {step}" if step is not None else ""
