"""Runs the ProcessModels of a compiled Lava graph in the calling thread, by Lava's own rules.

Each model runs in a greenlet: when a port would block, the next model that is ready continues. The domains of
:mod:`.domains` do the work of Lava's RuntimeServices (which phase comes next).
"""

from __future__ import annotations

import threading
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from lava.magma.compiler.channels.pypychannel import CspRecvPort, CspSendPort
from lava.magma.compiler.executable import Executable
from lava.magma.core.model.py.model import AbstractPyProcessModel, PyAsyncProcessModel, PyLoihiProcessModel
from lava.magma.core.process.ports.ports import InPort, create_port_id
from lava.magma.core.process.process import AbstractProcess
from lava.magma.runtime.mgmt_token_enums import MGMT_COMMAND
from lava.magma.runtime.runtime_services.runtime_service import AsyncPyRuntimeService, LoihiPyRuntimeService

from ..errors import InputError, missing, require
from .alarm import Alarm, comes_from_outside
from .channels import Channel, ExternalChannel
from .copies import members, parameters
from .domains import AsyncDomain, Domain, LoihiDomain, Task
from .failures import Deadlock, ProcessFailed, RunTimeout, title
from .random_streams import users_random
from .settings import Settings

if TYPE_CHECKING:
    from greenlet import greenlet

_TOLD = 100
"""Number of times that a port tells a model that its run is over."""
_LOOKS = 100
"""Number of times that models that only look at ports may all do so in vain before one who is not patient takes them to wait."""
_LAVAS = (AbstractPyProcessModel, PyLoihiProcessModel, PyAsyncProcessModel)
_OF_PROCESSES = {
    "start": "in __init__ or in the first run_spk",
    "run": "in __init__ or in the first run_spk",
    "add_ports_for_polling": "in the phase that needs it",
    "_get_var": "where the Var changes",
    "_set_var": "in on_var_update",
}
"""Methods of models that only their processes call in Lava, and where their work can be done instead."""
_DEAF: list[greenlet] = []
"""Greenlets of models that ignore that their run is over. They are kept, for greenlet would tell them once more when it is collected."""


def never() -> bool:
    """Condition for a run that goes on to its end."""
    return False


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
            raise missing("greenlet", "lava", "Running Lava graphs in one process", error) from error
        self._greenlets = greenlet
        self._patience = patience
        self.ready: deque[Task] = deque()
        self.current: Task | None = None
        self.greenlet: greenlet  # the one that the run goes on in
        self.ending = False
        self.looks = 0  # at ports in vain, since all had a turn
        self.in_vain = 0  # turns of all since something was received or begun
        self.running = self.at_work = False
        self.thread: int | None = None  # the one that the run was started in
        self.drive: Callable[[Callable[[], bool], bool], None] | None = None  # goes on with a run that does not block
        self.changed = threading.Event()  # the user's code sent or took a message
        self.channels: list[Channel] = []
        self.external: list[ExternalChannel] = []
        self._shared = members(executable.process_list)
        self.settings: Settings  # of the models, once they are built
        self.random_start: Any
        self.tasks: dict[AbstractProcess, Task] = {}
        self._check_models(executable)
        self._check_parameters(executable)
        for process, builder in executable.proc_builders.items():
            self.tasks[process] = Task(self, process, builder)
        self._connect(executable)
        self._domains(executable)

    def _check_models(self, executable: Executable) -> None:
        """Refuse models that replace what their process does in Lava: here they have none, and it would not be called."""
        for process, builder in executable.proc_builders.items():
            for name, instead in _OF_PROCESSES.items():
                kind = builder.proc_model
                lavas = any(getattr(kind, name) is getattr(base, name) for base in _LAVAS)
                cure = f"Do it {instead}; or use lava_1m1t1r.run.guarded."
                place = f"{title(process)}: {kind.__name__}.{name}"
                require(lavas, place, "be Lava's own, for nothing calls it in one process", "one of the model's", cure)

    def _check_parameters(self, executable: Executable) -> None:
        for process, builder in executable.proc_builders.items():
            for value in parameters(builder).values():
                if isinstance(value, (CspSendPort, CspRecvPort)):
                    raise InputError(
                        f"{title(process)} was given a channel between operating-system processes for its ProcessModel "
                        f"{builder.proc_model.__name__}, which does not run in one process. Record the Var instead."
                    )

    def _connect(self, executable: Executable) -> None:
        for link in executable.channel_builders:
            src, dst = link.src_port_initializer, link.dst_port_initializer
            channel = Channel(
                self, _port_title(link.src_process, src), _port_title(link.dst_process, dst), (src.name, dst.name),
                src.shape, src.d_type, src.size,
            )  # fmt: skip
            self.channels.append(channel)
            channel.feeder = self.tasks[link.src_process]
            channel.feeder.builder.set_csp_ports([channel.src_port])
            receiver = self.tasks[link.dst_process].builder
            receiver.set_csp_ports([channel.dst_port])
            receiver.add_csp_port_mapping(create_port_id(link.src_process.id, src.name), channel.dst_port)
        for process, task in self.tasks.items():
            for name, initializer in task.builder.py_ports.items():
                port = getattr(process, name)
                if port.external_pipe_flag:
                    self._connect_user(process, task, port, initializer)

    def _connect_user(self, process, task: Task, port, initializer) -> None:
        name, inside, user = initializer.name, _port_title(process, initializer), "the user's code"
        inward = isinstance(port, InPort)
        ends = (user, inside, ("src", name)) if inward else (inside, user, (name, "dst"))
        channel = ExternalChannel(
            self, *ends, initializer.shape, initializer.d_type, port.external_pipe_buffer_size, patience=self._patience, inward=inward
        )
        self.channels.append(channel)
        self.external.append(channel)
        if inward:
            port.external_pipe_csp_send_port = channel.src_port
            task.builder.set_csp_ports([channel.dst_port])
        else:
            port.external_pipe_csp_recv_port = channel.dst_port
            task.builder.set_csp_ports([channel.src_port])

    def _domains(self, executable: Executable) -> None:
        kinds: dict[type, type[Domain]] = {LoihiPyRuntimeService: LoihiDomain, AsyncPyRuntimeService: AsyncDomain}
        by_id = {process.id: task for process, task in self.tasks.items()}
        self.domains: list[Domain] = []
        for service in executable.runtime_service_builders.values():
            tasks = [by_id[i] for i in service._model_ids]
            if service.rs_class not in kinds:
                raise InputError(
                    f"{tasks[0].name} follows the protocol of {service.rs_class.__name__}, which does not run in one "
                    "process; only LoihiProtocol and AsyncProtocol do."
                )
            self.domains.append(kinds[service.rs_class](self, tasks))

    def build(self) -> None:
        """Make every model anew, in its initial state."""
        for channel in self.channels:
            channel.clear()
        self.settings = Settings()
        owners: dict[int, Task] = {}
        # every model starts from the state that the user left, as forked processes do
        with users_random() as self.random_start, self.settings:
            for task in self.tasks.values():
                task.build(self._shared, owners)

    def stop(self, alarm: Alarm, seconds: float) -> None:
        """Let the models end what they have started, within ``seconds``; warn of those that fail at it."""
        task = None
        try:
            with alarm.set(seconds):
                for task in self.tasks.values():
                    try:
                        task.stop()
                    except ProcessFailed as error:
                        warnings.warn(str(error), stacklevel=1)
        except alarm.over:
            where = f": {task.name} was at work" if task is not None else ""  # None: the alarm came before the first
            warnings.warn(f"models were not stopped within {seconds:g} s{where}.", stacklevel=1)

    def pause(self) -> None:
        """Tell the models that the run is paused, as Lava tells every model when a run ends before its last step."""
        for task in self.tasks.values():
            task.call(task.handlers[MGMT_COMMAND.PAUSE[0]], "failed when it was paused")
            task.replies.last = 0  # what it answers is no wish

    # -- run -----------------------------------------------------------------------------------------------------------

    def begin(self, steps: int) -> None:
        """Give all models a run of ``steps`` time steps; :meth:`go_on` does it.

        Parameters
        ----------
        steps : int
        """
        self.running = True
        self.thread = threading.get_ident()
        self.ending = False
        self.ready.clear()
        for task in self.tasks.values():
            task.greenlet = self._greenlets.greenlet(task.loop)
            task.greenlet.gr_context = task.context
            task.place = task.greenlet
        for domain in self.domains:
            domain.begin(steps)

    def go_on(self, alarm: Alarm, seconds: float, until: Callable[[], bool], patient: bool) -> str | None:
        """Go on with the run: to its end, until ``until()`` or, if not ``patient``, until all wait for the user's code or
        have looked at ports in vain for long.

        Parameters
        ----------
        alarm : Alarm
            What ends the run when the time is over.
        seconds : float
            Longest time [s].
        until : callable
            Condition on which to return early; :func:`never`: none.
        patient : bool
            Whether to wait for the user's code where all models do.

        Returns
        -------
        str or None
            "pause" or "stop" when a model asked for it before the end.
        """
        self.greenlet = self._greenlets.getcurrent()
        for task in self.tasks.values():
            task.greenlet.parent = self.greenlet
        returned, self.at_work = False, True
        try:
            with users_random(self.random_start), self.settings, alarm.set(seconds):
                self._advance(until, patient)
            returned = True
        except alarm.over as error:
            raise self._timeout(seconds) from error
        finally:
            self.at_work = False
            if not returned or self._finished():
                self.end()
        wishes = {domain.wish for domain in self.domains}
        return next((wish for wish in ("stop", "pause") if wish in wishes), None)

    def ask_to_end(self, wish: str = "pause") -> None:
        """Let the run end with its present step, as Lava's Runtime does for a user or a model; ``wish``: "pause" or "stop"."""
        if not self.ending:
            self.ending = True
            for domain in self.domains:
                domain.end_soon(wish)

    def further(self, until: Callable[[], bool], patient: bool = True) -> None:
        """Called where the user's code waits: a run that was started without blocking goes on meanwhile."""
        if self.drive is not None and self.current is None and self.thread == threading.get_ident() and not until():
            self.drive(until, patient)

    @property
    def has_user(self) -> bool:
        """Whether the graph has an Injector or an Extractor."""
        return bool(self.external)

    def all_taken(self) -> bool:
        """Whether the models have received everything that the user's code has sent."""
        return not any(channel.items for channel in self.external if channel.inward)

    def _finished(self) -> bool:
        return all(domain.finished for domain in self.domains)

    @property
    def steps_done(self) -> int:
        """Number of time steps that were completed in the last run."""
        return max((domain.completed for domain in self.domains), default=0)

    def _advance(self, until: Callable[[], bool], patient: bool) -> None:
        """Let models run, idle ones answer RefPorts and the user's other threads send and take, as long as :meth:`go_on` says."""
        self._drain(until)
        while not (self._finished() or until()):
            served = any([domain.serve() for domain in self.domains])
            if not served and not self._wait_for_user(self._patience if patient and not self.ready else 0.0):
                if not patient and (not self.ready or self.in_vain >= _LOOKS):
                    return
                if not self.ready:
                    self._deadlock()
                self.in_vain += 1
            self._drain(until)

    def _drain(self, until: Callable[[], bool]) -> None:
        """Let models run, until all of them wait: at a port, or by looking at ports again and again."""
        ready, settings = self.ready, self.settings
        self.looks = 0
        while ready and not self._looked_enough() and (until is never or not until()):
            task = self.current = ready.popleft()
            task.waits_at = None
            random = task.random
            random.enter()
            settings.enter(task)
            try:
                place, task.place = task.place, task.greenlet
                place.switch()
                if task.greenlet.dead:  # which to a greenlet is no error
                    raise RuntimeError("the model raised greenlet.GreenletExit")
            except BaseException as error:
                if comes_from_outside(error):
                    raise
                text = f"{task.name} failed{_in_step(task)}: {traceback.format_exc()}"
                task.join()
                raise ProcessFailed(text, (task.name,)) from error
            finally:
                settings.leave(task)
                random.leave()
            if task.idle:
                task.domain.done(task)
            if self.changed.is_set():
                self._hear_user()  # now, for others may go on for ever
        self.current = None

    def block(self, channel: Channel | None) -> None:
        """Called by a port that has to wait: let others run until it is woken. ``channel``: its own; None: it brings commands."""
        task = self.current
        if task is None:
            here = self._greenlets.getcurrent()
            here.refused = getattr(here, "refused", 0) + 1
            if here.refused > _TOLD and here.parent is not None:  # it excepts everything, and would go on for ever
                here.parent.switch()
            where = "it brings commands" if channel is None else f"{channel.sink} from {channel.source}"
            raise Deadlock(f"nothing runs, and the port would wait: {where}")
        task.waits_at = channel
        if channel is not None and channel.feeder is not None and not channel.feeder.begun:
            task.domain.waits(task, channel.feeder)
        self._leave(task)

    def _leave(self, task: Task) -> None:
        """Let others run; the task goes on here, wherever in its model that is."""
        task.place = self._greenlets.getcurrent()
        self.greenlet.switch()

    def block_at_any(self) -> None:
        """Called by a port of several that a model selects from: let others run until one of them is free."""
        task = self.current
        if task is None or not task.selects or any(port.is_free() for port in task.selects):
            return
        for port in task.selects:
            port.awaited_by(task)
        channels = [port.channel for port in task.selects if port.channel is not None]
        self.block(next((channel for channel in channels if isinstance(channel, ExternalChannel)), channels[0] if channels else None))

    def wake(self, task: Task) -> None:
        """Wake ``task``: the port that it waits at is free."""
        for port in task.selects:
            port.awaited_by(None)  # it waits at none any more
        self.ready.append(task)

    def give_way(self) -> None:
        """Let other models run first; called by a port that was asked whether it is free, and is not."""
        if self.current is not None:
            self.looks += 1
            if self.ready or self._looked_enough():
                self.ready.append(self.current)
                self._leave(self.current)

    def _looked_enough(self) -> bool:
        """Whether all that look at ports have done so in vain, one of them perhaps at every port."""
        return self.looks > len(self.ready) + len(self.channels)

    def progressed(self) -> None:
        """Called where a model gets on: with new work, or by a port that has received."""
        self.in_vain = 0

    def _wait_for_user(self, patience: float) -> bool:
        """Give the user's other threads a while to send to an Injector or to empty an Extractor."""
        end = time.monotonic() + patience
        while not self._hear_user():
            left = end - time.monotonic()
            if left <= 0 or not any(channel.receiver or channel.sender for channel in self.external):
                return False
            self.changed.wait(min(left, 0.05))
        return True

    def _hear_user(self) -> bool:
        """Wake the models for which the user's code has sent or taken a message; return whether there were some."""
        self.changed.clear()
        woken = False
        for channel in self.external:
            task = channel.receiver or channel.sender
            if task is not None and (channel.has_item() if channel.inward else channel.has_room()):
                channel.receiver = channel.sender = None
                self.wake(task)
                woken = True
        return woken

    def _deadlock(self) -> None:
        waiting = [t for t in self.tasks.values() if not t.idle]
        why = "waits for a command, such as to pause"
        lines = [f"  {t.name} {why if t.waits_at is None else t.waits_at.waiting(t)}" for t in waiting]
        message = "\n".join(["no Process can go on: each waits for a message that nobody will send.", *lines])
        raise Deadlock(message, tuple(t.name for t in waiting))

    def _timeout(self, seconds: float) -> RunTimeout:
        task = self.current or next(iter(self.ready), None)  # between two turns, those that are ready look at ports again and again
        where = f" {task.name} was at work{_in_step(task)}." if task is not None else ""
        return RunTimeout(f"the run took longer than {seconds:g} s.{where}", (task.name,) if task is not None else ())

    def end(self) -> None:
        """End the run at once."""
        if not self.running:
            return
        self.running = False
        self.drive = None
        self.ready.clear()
        self.current = None
        with self.settings:
            for task in self.tasks.values():
                with suppress(Exception):  # a model's own clean-up must not hide why the run ended
                    self._tell_of_end(task)
                if not task.greenlet.dead:
                    _DEAF.append(task.greenlet)
                del task.greenlet
                task.idle, task.waits_at, task.selects = True, None, ()

    def _tell_of_end(self, task: Task) -> None:
        """Raise GreenletExit where the model waits."""
        # Python's garbage collector may come here while another graph's model runs: return to that one
        task.greenlet.parent = self._greenlets.getcurrent()
        self.settings.enter(task)
        try:
            task.greenlet.throw(self._greenlets.GreenletExit)
        finally:
            self.settings.leave(task)


def _port_title(process, initializer) -> str:
    return f"{title(process)}.{initializer.name}"


def _in_step(task: Task) -> str:
    step = getattr(task.model, "time_step", None)
    return f" in step {step}" if step is not None else ""
