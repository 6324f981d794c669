"""Models, and the order in which they go through the phases of a time step, which in Lava the RuntimeServices decide."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from lava.magma.compiler.builders.py_builder import PyProcessBuilder
from lava.magma.core.model.py.model import AbstractPyProcessModel, PyAsyncProcessModel, PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyVarPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.runtime.mgmt_token_enums import MGMT_COMMAND, enum_to_np
from lava.proc.io.injector import PyLoihiInjectorModel, PyLoihiInjectorModelAsync

from ..errors import InputError
from .alarm import comes_from_outside
from .channels import Channel, Commands, ModelPort, Replies
from .copies import own_copies
from .failures import ProcessFailed, title
from .random_streams import OwnRandom, users_random
from .settings import own_context

if TYPE_CHECKING:
    from greenlet import greenlet

    from .executor import Executor
    from .recorder import Sampler

Phase = PyLoihiProcessModel.Phase
Reply = PyLoihiProcessModel.Response
SPK, PRE_MGMT, LRN, POST_MGMT, HOST = (int(p[0]) for p in (Phase.SPK, Phase.PRE_MGMT, Phase.LRN, Phase.POST_MGMT, Phase.HOST))
_SERVED_IN = (PRE_MGMT, POST_MGMT, HOST)  # the phases in which a model answers to RefPorts of others
_STOP = int(Reply.REQ_STOP[0])
_ASKED_FOR = {int(PyAsyncProcessModel.Response.REQ_STOP[0]): "stop", int(PyAsyncProcessModel.Response.REQ_PAUSE[0]): "pause"}
_PHASE_FOR = tuple(
    (int(reply[0]), phase)
    for reply, phase in (
        (Reply.REQ_PRE_LRN_MGMT, PRE_MGMT),
        (Reply.REQ_LEARNING, LRN),
        (Reply.REQ_POST_LRN_MGMT, POST_MGMT),
    )
)


class Task:
    """A ProcessModel and its present work.

    Attributes
    ----------
    model : AbstractPyProcessModel
    work : callable
        What it has to do, or is in the middle of.
    begun, sent, idle : bool
        Whether it has begun ``work``, has sent a message meanwhile, and has finished it.
    ended : bool
        Whether it has failed or been stopped.
    domain : Domain
        Who tells it what to do next; a Domain says so to its tasks.
    waits_at : Channel or None
    selects : tuple of ModelPort
        Those that a CspSelector of the model waits at.
    place : greenlet
        Where it goes on: in its own greenlet, or in one that the model has made.
    """

    def __init__(self, hub: Executor, process: AbstractProcess, builder: PyProcessBuilder):
        self.hub = hub
        self.name = title(process)
        self.builder = builder
        self.replies = Replies()
        self.commands = Commands(hub)
        self.greenlet: greenlet  # while a run goes on
        self.place: greenlet
        self.domain: Domain
        self.begun = self.sent = self.idle = True
        self.waits_at: Channel | None = None
        self.selects: tuple[ModelPort, ...] = ()
        self.work: Callable[[], None]

    def build(self, shared: dict[int, object], owners: dict[int, Task]) -> None:
        """Make the model, in its own random stream and context, as Lava's builder does.

        Parameters
        ----------
        shared : dict
            See :func:`own_copies`.
        owners : dict
            The models of iterators that cannot be copied, by the iterators' ids; this one's are added.
        """
        self.random = OwnRandom()
        self.context = own_context()
        self.ended = False
        unbuilt = "could not be built"
        own, drawn = self._in_its_process(lambda: own_copies(self.builder, shared), unbuilt)
        for iterator in drawn:
            owner = owners.setdefault(id(iterator), self)
            if owner is not self:
                raise InputError(
                    f"{owner.name} and {self.name} were given one {type(iterator).__name__}, {iterator!r}, which cannot be copied: here "
                    "they would share its values, while in Lava's own runtime each gets all of them. Give each one of its own."
                )
        self.model = self._in_its_process(own.build, unbuilt)
        if isinstance(self.model, (PyLoihiInjectorModel, PyLoihiInjectorModelAsync)):
            self.model._p_to_pm_dst_port = self.replies  # Lava's finaliser joins one, and nothing in Lava makes it
        self.model.process_to_service = self.replies
        self.model.service_to_process = self.commands
        self.handlers = self.model._cmd_handlers
        self.commands.clear()

    def tell_of_vars(self) -> None:
        """Tell the model that a Var was set from outside, so that it can recompute what depends on it."""
        self.call(self.model.on_var_update, "failed when a Var was set")

    def stop(self) -> None:
        """Let the model end what it has started. Lava asks every model to stop, except one that has failed."""
        if not self.ended:
            self.ended = True
            self.call(self.handlers[MGMT_COMMAND.STOP[0]], "failed when it was stopped")

    def call(self, method: Callable[[], None], failed: str) -> None:
        """Call a method of the model outside of a run."""
        with users_random(self.hub.random_start), self.hub.settings:
            self._in_its_process(method, failed, self.join)

    def join(self) -> None:
        """Let a model that has failed end what it has started, as Lava does; that this fails, too, nobody needs to know."""
        self.ended = True
        with suppress(Exception):
            self.context.run(self.model.join)

    def _in_its_process(self, function: Callable[[], Any], failed: str, after: Callable[[], None] = lambda: None) -> Any:
        """Return ``function()``, called with the context, settings and random numbers of the model's process; ``after`` it has failed."""
        self.random.enter()
        self.hub.settings.enter(self)
        try:
            return self.context.run(function)
        except BaseException as error:
            if comes_from_outside(error):
                raise
            self.ended = True
            text = f"{self.name} {failed}: {traceback.format_exc()}"
            after()
            raise ProcessFailed(text, (self.name,)) from error
        finally:
            self.hub.settings.leave(self)
            self.random.leave()

    def start(self, work: Callable[[], None]) -> None:
        """Queue ``work``."""
        self.work = work
        self.idle = self.begun = self.sent = False
        self.hub.progressed()
        self.hub.ready.append(self)

    def loop(self) -> None:
        """Body of the greenlet."""
        while True:
            self.begun = True
            self.work()
            self.idle = True
            self.hub.greenlet.switch()

    def requests(self) -> list[PyVarPort]:
        """Var ports of this model at which another model's RefPort waits for an answer; the last one first, as in Lava's selector."""
        if int(self.model.phase[0]) not in _SERVED_IN:
            return []
        return [p for p in reversed(self.model.var_ports) if any(c.channel.items for c in p.csp_ports if hasattr(c, "recv"))]


class Domain:
    """A group of models that follow one protocol of Lava's, and how far they are in a run.

    Attributes
    ----------
    tasks : list of Task
    var_tasks : sequence of Task
        Those in which RefPorts of others read and write Vars.
    pending : int
        Models that are still at work, before the next thing to do.
    completed : int
        Time steps of the run that came to their end; 0 where models have none.
    finished : bool
        Whether the run has.
    wish : str or None
        "pause" or "stop": what a model asked for.
    """

    def __init__(self, hub: Executor, tasks: list[Task]):
        self.hub = hub
        self.tasks = tasks
        self.var_tasks: Sequence[Task] = ()
        self.pending = 0
        self.completed = 0
        self.finished = True
        self.wish: str | None = None
        for task in tasks:
            task.domain = self

    def begin(self, steps: int) -> None:
        """Start a run of ``steps`` time steps."""
        raise NotImplementedError

    def end_soon(self, wish: str) -> None:
        """End the run soon; ``wish``: "pause" or "stop". By itself, it ends with its present step (:attr:`Executor.ending`)."""

    def waits(self, task: Task, other: Task) -> None:
        """A model waits for a message of another one, which has not begun its work yet."""

    def done(self, task: Task) -> None:
        """A model has done what it was asked to."""
        raise NotImplementedError

    def serve(self) -> bool:
        """Let idle models answer RefPorts that wait for them; return whether there were some."""
        asked = {task: ports for task in self.var_tasks if task.idle and (ports := task.requests())}
        for task, ports in asked.items():
            self.pending += 1
            task.start(partial(_answer, task.model, ports))
        return bool(asked)


def _answer(model: AbstractPyProcessModel, ports: Sequence[PyVarPort]) -> None:
    """Answer what has come to these ports by now, before what comes meanwhile: in Lava, too, who is answered and asks again comes later."""
    for port in ports:
        model._handle_var_port(port)


class Turns:
    """The order in which models begin a time step: each after those for whose messages it had to wait in an earlier step.

    To wait takes as long as a small model's step. In a loop of models one has to wait in any order: best one that sends before it
    receives, like Lava's Dense.
    """

    def __init__(self, tasks: Iterable[Task]):
        self._after: dict[Task, dict[Task, None]] = {task: {} for task in tasks}  # dicts, for they keep the order
        self._receive_first: dict[Task, None] = {}  # those that had to wait before they had sent a message
        self._order = list(self._after)
        self._sorted = True

    def note(self, task: Task, other: Task) -> None:
        """``task`` had to wait for a message of ``other``, which had not begun."""
        if other not in self._after[task]:
            self._after[task][other] = None
            if not task.sent:
                self._receive_first[task] = None
            self._sorted = False

    def order(self) -> list[Task]:
        """Return the models in the order in which they shall begin."""
        if not self._sorted:
            self._sorted, self._order = True, []
            seen: set[Task] = set()
            for task in (*self._receive_first, *self._after):
                self._add(task, seen)
        return self._order

    def _add(self, task: Task, seen: set[Task]) -> None:
        """Append those that ``task`` comes after and then itself, unless they were seen: without recursion, for chains may be long."""
        path = [(task, iter(self._after[task]))] if task not in seen else []
        seen.add(task)
        while path:
            last, others = path[-1]
            other = next((other for other in others if other not in seen), None)
            if other is None:
                self._order.append(last)
                path.pop()
            else:
                seen.add(other)
                path.append((other, iter(self._after[other])))


class LoihiDomain(Domain):
    """Steps its models through the phases of Lava's LoihiProtocol."""

    def __init__(self, hub: Executor, tasks: list[Task]):
        super().__init__(hub, tasks)
        self.turns = Turns(tasks)
        self.samplers: list[Sampler] = []

    def begin(self, steps: int) -> None:
        """Start a run of ``steps`` time steps."""
        self.var_tasks = [task for task in self.tasks if task.model.var_ports]
        self.steps, self.step, self.completed, self.wish = steps, 0, 0, None
        self.requests: set[int] = set()
        self.finished, self.phase = False, HOST
        self._advance()

    def end_soon(self, wish: str) -> None:
        """End the run with its present step; where the user asks and no model has begun that step, with the one before: it may need what
        the user's code will not send."""
        stepped = (domain for domain in self.hub.domains if isinstance(domain, LoihiDomain) and not domain.finished)
        if self.finished or self.hub.at_work or any(domain.begun for domain in stepped):
            return
        for task in self.tasks:
            self.hub.ready.remove(task)
        self.wish, self.finished = wish, True

    def waits(self, task: Task, other: Task) -> None:
        """Let the two begin in the other order from now on."""
        if self.phase == SPK and other.domain is self:
            self.turns.note(task, other)

    @property
    def begun(self) -> bool:
        """Whether a model has begun the present step."""
        return self.phase != SPK or any(task.begun for task in self.tasks)

    def done(self, task: Task) -> None:
        """A model has done what it was asked to do."""
        reply = task.replies.last
        if reply:
            self.requests.add(reply)
            task.replies.last = 0
        self.pending -= 1
        if not self.pending and not self.serve() and not self.finished:
            self._advance()

    def _advance(self) -> None:
        """Start the next phase, by the rules of Lava's LoihiPyRuntimeService."""
        asked = self.requests
        for reply, phase in _PHASE_FOR:
            if reply in asked:
                asked.discard(reply)
                return self._send(phase)
        if self.phase == HOST and self.step:  # the last step has ended: too late to end earlier
            self.finished = True
        elif asked or self.hub.ending:
            # a model asks for a pause or an end: no HOST phase then, as in Lava
            self.wish = "stop" if _STOP in asked else "pause"
            self._end_step()
            self.finished = True
            self.hub.ask_to_end(self.wish)
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
        for task in self.turns.order() if phase == SPK else self.tasks:
            task.start(task.handlers[phase])

    def _end_step(self) -> None:
        for sampler in self.samplers:
            sampler.sample(self.step)
        self.completed = self.step  # once it is recorded: of a step that could not be, there are no rows


class AsyncDomain(Domain):
    """Runs its models of Lava's AsyncProtocol: each once a run, for as long as it likes."""

    def begin(self, steps: int) -> None:
        """Start a run; the models learn ``steps`` as ``num_steps``."""
        self.finished, self.wish = False, None
        self.pending = len(self.tasks)
        for task in self.tasks:
            task.commands.clear()
            task.commands.put(enum_to_np(steps, np.int64))
            task.start(task.handlers[MGMT_COMMAND.RUN[0]])

    def end_soon(self, wish: str) -> None:
        """Tell the models that are at work to pause or stop; those that look for it return."""
        for task in self.tasks:
            if not task.idle:
                task.commands.put(MGMT_COMMAND.STOP if wish == "stop" else MGMT_COMMAND.PAUSE)

    def done(self, task: Task) -> None:
        """A model has returned."""
        wish = _ASKED_FOR.get(task.replies.last)
        if wish is not None and self.wish != "stop":
            self.wish = wish
        task.replies.last = 0
        self.pending -= 1
        if not self.pending:
            self.finished = True
            if self.wish is not None:
                self.hub.ask_to_end(self.wish)
