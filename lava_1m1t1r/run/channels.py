"""Lava's channels as in-memory queues, for ProcessModels that share one thread.

They replace lava.magma.compiler.channels.pypychannel and keep all that a model can observe of it: first in, first out,
a fixed shape and type, a limited size, ``send`` that copies and blocks when full, ``recv`` that blocks when empty.
Blocking passes the thread to another model (:mod:`.executor`).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
from lava.magma.compiler.channels.pypychannel import CspRecvPort, CspSendPort
from lava.utils.sparse import find
from scipy.sparse import csr_matrix

from .failures import Deadlock

if TYPE_CHECKING:
    from .domains import Task
    from .executor import Executor


class Channel:
    """One connection: a queue with a sending and a receiving port.

    Parameters
    ----------
    hub : Executor
        Who runs something else while a port blocks.
    source, sink : str
        The two ends, for errors: ``"LIF 'hidden'.s_out"``.
    names : tuple of str
        Names of the sending and of the receiving port.
    shape : tuple of int
    dtype : type
    size : int
        Messages that fit in.
    """

    def __init__(self, hub: Executor, source: str, sink: str, names: tuple[str, str], shape, dtype, size: int):
        self.hub = hub
        self.source = source
        self.sink = sink
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        self.size = size
        self.items: deque[np.ndarray] = deque()
        self.feeder: Task | None = None  # the model that sends
        self.receiver: Task | None = None  # that waits for an item
        self.sender: Task | None = None  # that waits for room
        self.src_port = SendPort(self, names[0])
        self.dst_port = RecvPort(self, names[1])

    def qsize(self) -> int:
        """Number of messages that wait; some models of Lava read it."""
        return len(self.items)

    def clear(self) -> None:
        """Forget all messages and waiting tasks."""
        self.items.clear()
        self.receiver = self.sender = None

    def waiting(self, task: Task) -> str:
        """Describe what ``task`` waits for here."""
        if task is self.sender:
            return f"waits to send from {self.source}: {self.sink} has not taken the last {self.size} messages"
        return f"waits to receive at {self.sink} from {self.source}"

    def copied(self, data) -> np.ndarray:
        """Message as the receiver will see it."""
        return received(data, self.source, self.shape, self.dtype)


def received(data, source: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return ``data`` as a receiver gets it from ``source``, by Lava's own steps, so that shapes and casts fail or pass alike."""
    if data.shape != shape:
        raise AssertionError(f"{source} sent shape {data.shape}, the channel takes {shape}")
    if isinstance(data, csr_matrix):
        data = find(data, explicit_zeros=True)[2]
    item = np.empty(shape, dtype)
    item[:] = data[:]
    return item


class _Port:
    """Port with what both ends share; it derives from classes of Lava only for Lava's isinstance checks."""

    channel: Any  # a Channel; None of a port that has none

    def __init__(self, channel: Channel, name: str):
        self.channel = channel
        self._name = name

    @property
    def name(self):
        return self._name

    @property
    def shape(self):
        return self.channel.shape

    @property
    def d_type(self):
        return self.channel.dtype

    @property
    def size(self):
        return self.channel.size

    def start(self):
        """Nothing to start: no thread, no shared memory."""

    def join(self):
        """Nothing to end."""


class ModelPort(_Port):
    """A model's end of a channel.

    Lava's CspSelector sets itself as the ``observer`` of the ports that it selects from. It asks each of them, then waits for another
    thread to tell it of a message, or of room for one. Here the model waits when it asks.
    """

    _observer = None

    @property
    def hub(self) -> Executor:
        """Who runs something else meanwhile."""
        return self.channel.hub

    def is_free(self) -> bool:
        """Whether the model need not wait here."""
        raise NotImplementedError

    def awaited_by(self, task: Task | None) -> None:
        """Note which model, if any, is to be woken when the port is free."""
        raise NotImplementedError

    @property
    def observer(self):
        return self._observer

    @observer.setter
    def observer(self, observer):
        self._observer = observer
        task = self.hub.current
        if task is not None:
            task.selects = tuple(port for port in task.selects if port is not self)
            if observer is not None:
                task.selects += (self,)

    def probe(self):
        if not self.is_free():
            if self._observer is not None:
                self.hub.block_at_any()
            else:
                self.hub.give_way()
        return self.is_free()

    def wait(self):
        """Let others run until the port is free."""
        while not self.is_free():
            self.awaited_by(self.hub.current)
            self.hub.block(self.channel)


class SendPort(ModelPort, CspSendPort):
    """Sending end."""

    channel: Channel

    def is_free(self):
        return len(self.channel.items) < self.channel.size

    def awaited_by(self, task):
        self.channel.sender = task

    def send(self, data):
        channel = self.channel
        item = channel.copied(data)
        if len(channel.items) >= channel.size:
            self.wait()
        channel.items.append(item)
        if channel.feeder is not None:
            channel.feeder.sent = True
        if channel.receiver is not None:
            channel.hub.wake(channel.receiver)
            channel.receiver = None


class RecvPort(ModelPort, CspRecvPort):
    """Receiving end."""

    channel: Channel

    def is_free(self):
        return bool(self.channel.items)

    def awaited_by(self, task):
        self.channel.receiver = task

    @property
    def _queue(self):
        return self.channel

    def peek(self):
        self.wait()
        return self.channel.items[0].copy()

    def recv(self):
        channel = self.channel
        items = channel.items
        if not items:
            self.wait()
        item = items.popleft()
        channel.hub.progressed()
        if channel.sender is not None:
            channel.hub.wake(channel.sender)
            channel.sender = None
        return item


class ExternalChannel(Channel):
    """A channel between a model and the user's own code (Lava's Injector and Extractor).

    The user's end may be used before, between or, from another thread, during runs. A run that was started without
    blocking goes on while the user's end waits.

    Parameters
    ----------
    *args
        As for :class:`Channel`.
    patience : float
        How long one side waits for the other [s].
    inward : bool
        Whether the user's code sends.
    """

    def __init__(self, *args, patience: float, inward: bool):
        super().__init__(*args)
        self.patience = patience
        self.inward = inward
        self.changed = threading.Condition()
        send, recv = (_UserSend, _InnerRecv) if inward else (_InnerSend, _UserRecv)
        self.src_port, self.dst_port = send(self, self.src_port.name), recv(self, self.dst_port.name)

    def has_room(self) -> bool:
        """Whether one more message fits in."""
        return len(self.items) < self.size

    def has_item(self) -> bool:
        """Whether a message waits."""
        return bool(self.items)

    def look(self, ready) -> bool:
        """Return ``ready()``, after a run that does not block has advanced by at most one step."""
        before = self.hub.steps_done
        self.hub.further(lambda: ready() or self.hub.steps_done != before, patient=False)
        return ready()

    def wait(self, ready, what: str) -> None:
        """Wait for the other side, at most ``patience`` seconds."""
        self.hub.further(ready)
        end = time.monotonic() + self.patience
        with self.changed:
            while not ready():
                if not self.changed.wait(end - time.monotonic()) and not ready():
                    raise Deadlock(f"{what} within {self.patience:g} s.")

    def notify(self) -> None:
        """Wake whoever waits, on either side, because a message came or went."""
        with self.changed:
            self.changed.notify_all()
        self.hub.changed.set()
        self.hub.progressed()


class _InnerSend(SendPort):
    channel: ExternalChannel

    def send(self, data):
        super().send(data)
        self.channel.notify()


class _InnerRecv(RecvPort):
    channel: ExternalChannel

    def recv(self):
        item = super().recv()
        self.channel.notify()
        return item


class _UserSend(_Port, CspSendPort):
    channel: ExternalChannel

    def send(self, data):
        channel = self.channel
        item = channel.copied(data)
        channel.wait(channel.has_room, f"{channel.sink} is full ({channel.size} messages), and no run took one")
        channel.items.append(item)
        channel.notify()

    def probe(self):
        return self.channel.look(self.channel.has_room)


class _UserRecv(_Port, CspRecvPort):
    channel: ExternalChannel

    @property
    def _queue(self):
        self.channel.look(self.channel.has_item)  # an Extractor asks for its length before it receives
        return self.channel

    def peek(self):
        channel = self.channel
        channel.wait(channel.has_item, f"{channel.source} sent nothing")
        return channel.items[0].copy()

    def recv(self):
        channel = self.channel
        channel.wait(channel.has_item, f"{channel.source} sent nothing")
        item = channel.items.popleft()
        channel.notify()
        return item

    def probe(self):
        return self.channel.look(self.channel.has_item)


class Replies(_Port, CspSendPort):
    """A model's port to its RuntimeService: keeps the last reply."""

    def __init__(self):
        self.last = 0

    def send(self, data):
        self.last = int(data[0])


class Commands(ModelPort, CspRecvPort):
    """An asynchronous model's port from its RuntimeService: brings the step count of a run, and the wish to pause or stop it."""

    channel = None

    def __init__(self, hub: Executor):
        self._hub = hub
        self._pending: deque[np.ndarray] = deque()
        self._waiting: Task | None = None

    @property
    def hub(self):
        return self._hub

    def is_free(self):
        return bool(self._pending)

    def awaited_by(self, task):
        self._waiting = task

    def clear(self) -> None:
        """Forget what nobody took."""
        self._pending.clear()
        self._waiting = None

    def put(self, command: np.ndarray) -> None:
        """Bring a command."""
        self._pending.append(command)
        if self._waiting is not None:
            self._hub.wake(self._waiting)
            self._waiting = None

    def peek(self):
        self.wait()
        return self._pending[0]

    def recv(self):
        self.wait()
        return self._pending.popleft()
