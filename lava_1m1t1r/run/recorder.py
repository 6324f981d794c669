"""Records Vars and OutPorts while a graph runs in process: any number of them, of any Processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from lava.magma.core.model.py.ports import PyOutPortVectorDense
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.variable import Var
from scipy.sparse import spmatrix

from ..errors import InputError, require, whole
from .channels import received
from .domains import LoihiDomain, Task
from .executor import Executor
from .failures import ProcessFailed, title
from .readings import Readings

_Find = Callable[[Var], tuple[Task, str]]
"""Which model holds a Var, and under which name."""


class Recorder:
    """Keeps the values of Vars and OutPorts at the end of each step: for many at once, what Lava's Monitor records of one.

    A Var is read after all phases of the step (Lava's Monitor reads it in the last one: where a ``Reset`` refers to it, before or after
    that). An OutPort gives what it sent in the step (zeros if nothing). Give the recorder to :meth:`InProcess.run`; runs append to what is
    there.

    Parameters
    ----------
    *targets : Var or OutPort
        Of any Process of the graph; an aliased Var or the port of a hierarchical Process leads to the inner one, in the outer port's shape.
    every : int
        Record steps ``every``, ``2 * every``, ... of the graph.

    Examples
    --------
    >>> recorder = Recorder(lif.u, lif.v, lif.s_out)  # doctest: +SKIP
    >>> session.run(100, record=recorder)  # doctest: +SKIP
    >>> recorder[lif.v].shape  # (T, *shape)  # doctest: +SKIP
    (100, 256)
    """

    def __init__(self, *targets: Var | OutPort, every: int = 1):
        for target in targets:
            require(isinstance(target, (Var, OutPort)), "record", "hold Vars and OutPorts of Lava Processes", target)
        self.targets = tuple(dict.fromkeys(targets))
        self.every = whole(every, "every", least=1)
        self.clear()

    def clear(self) -> None:
        """Forget what was recorded."""
        self._rows = {target: _Rows(np.empty((0, *target.shape))) for target in self.targets}
        self._steps = _Rows(np.empty(0, int))

    @property
    def steps(self) -> np.ndarray:
        """(T,) time steps of the recorded values, from 1."""
        return self._steps.view()

    def __getitem__(self, target: Var | OutPort) -> np.ndarray:
        """(T, *shape) recorded values, in the type that the ProcessModel uses: of what the recorder holds, and so to be read only."""
        return self._rows[target].view()

    def as_dict(self) -> dict[Var | OutPort, np.ndarray]:
        """Return all recordings by target; as the recorder holds them, to be read only."""
        return Readings({target: self[target] for target in self.targets})

    def given_away(self) -> dict[Var | OutPort, np.ndarray]:
        """Return all recordings by target, and forget them."""
        rows = {target: self._rows[target].values for target in self.targets}
        self.clear()
        return Readings(rows)


def as_recorder(record: Sequence[Var | OutPort] | Recorder, every: int) -> Recorder:
    """Return ``record`` itself, or a new Recorder of the targets it holds."""
    if isinstance(record, Recorder):
        return record
    cure = "One alone goes into a list: record=[lif.s_out]."
    require(isinstance(record, Iterable), "record", "be a Recorder, or a sequence of Vars and OutPorts", record, cure)
    return Recorder(*record, every=every)


class _Rows:
    """Rows that are added to, in memory that doubles when it is full: many short runs cost no more than a long one."""

    def __init__(self, none: np.ndarray):
        self._memory, self._count = none, 0

    @property
    def values(self) -> np.ndarray:
        return self._memory[: self._count]

    def view(self) -> np.ndarray:
        """The values, to be read only: more rows will be added behind them."""
        values = self.values
        values.flags.writeable = False
        return values

    def add(self, rows: np.ndarray) -> None:
        count = self._count + len(rows)
        if not self._count:
            self._memory = rows
        else:
            kind = np.result_type(self._memory, rows)
            if count > len(self._memory) or kind != self._memory.dtype:
                grown = np.empty((max(count, 2 * self._count), *self._memory.shape[1:]), kind)
                grown[: self._count] = self.values
                self._memory = grown
            self._memory[self._count : count] = rows
        self._count = count


class Recording:
    """One run of a :class:`Recorder`, in a ``with`` block: the arrays are made before the first step, and filled by ``sample``.

    At the end of the block, the steps that were done are handed to the recorder.
    """

    def __init__(self, recorder: Recorder, executor: Executor, find: _Find, steps: int, before: int):
        self._recorder = recorder
        self._executor = executor
        self._before = before
        count = self._rows_of(steps)
        self._tracks: list[_VarTrack | _PortTrack] = []
        try:
            for target in recorder.targets:
                self._tracks.append(_track(target, executor, find, count))
        except BaseException:
            for track in self._tracks:
                track.close()
            raise
        self._domains = {track.domain for track in self._tracks}
        for domain in self._domains:
            own = [track for track in self._tracks if track.domain is domain]
            domain.samplers.append(Sampler(own, recorder.every, before))

    def _rows_of(self, steps: int) -> int:
        """Number of rows that the run's first ``steps`` steps give."""
        every = self._recorder.every
        return (self._before + steps) // every - self._before // every

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_) -> None:
        every, count = self._recorder.every, self._rows_of(self._executor.steps_done)
        self._recorder._steps.add((self._before // every + 1 + np.arange(count)) * every)
        try:
            for target, track in zip(self._recorder.targets, self._tracks, strict=True):
                track.hold(self._rows_of(track.domain.completed), count)
                rows = track.values[:count]
                self._recorder._rows[target].add(rows if count == len(track.values) else rows.copy())  # a run cut short keeps what it did
        finally:
            for track in self._tracks:
                track.close()
            for domain in self._domains:
                domain.samplers.clear()


class Sampler:
    """Takes the values of one domain's targets at the end of each of its steps."""

    def __init__(self, tracks: list[_VarTrack | _PortTrack], every: int, before: int):
        self._tracks = tracks
        self._every = every
        self._before = before
        self._row = 0

    def sample(self, step: int) -> None:
        kept = (self._before + step) % self._every == 0
        for track in self._tracks:
            track.take(self._row if kept else None)
        self._row += kept


class _VarTrack:
    def __init__(self, target: Var, task: Task, name: str, count: int):
        self.task = task
        self.domain = _loihi_domain(task)
        self._name = name
        value = getattr(task.model, name)
        _check_dense(target, value)
        self.values = _zeros(count, np.shape(value) or target.shape, np.asarray(value).dtype)

    def take(self, row: int | None) -> None:
        if row is None:
            return
        value = getattr(self.task.model, self._name)
        try:
            if getattr(value, "dtype", None) is not self.values.dtype:  # a model may go on with numbers of another type
                kind = np.result_type(self.values.dtype, np.asarray(value).dtype)  # of a number itself, it would be the narrow one
                if kind.kind not in "biufc":
                    raise TypeError(type(value).__name__)
                self.values = self.values.astype(kind, copy=False)
            self.values[row] = value
        except (TypeError, ValueError) as error:
            text = f"{self.task.name}.{self._name} cannot be recorded: it has become what does not fit in here ({error})."
            raise ProcessFailed(text, (self.task.name,)) from error

    def hold(self, first: int, count: int) -> None:
        """Fill the rows from ``first`` on, of steps that only other domains did, while this one was paused: the value stays."""
        if first < count:
            if first == 0 or self.domain.step == self.domain.completed:
                self.take(first)  # the row before may be of an earlier step
            else:  # a model failed within the step: it may have changed the value
                self.values[first] = self.values[first - 1]
            self.values[first:count] = self.values[first]

    def close(self) -> None:
        """Do nothing: there is nothing to give back."""


class _PortTrack:
    """Listens at an OutPort, as one more receiver: where it does not take a message, the sender fails.

    Parameters
    ----------
    target : OutPort
        What is recorded: ``source`` itself, or a port that leads outward from it, with other axes perhaps.
    source : OutPort
        Port of the task's Process.
    task : Task
    count : int
        Number of rows.
    """

    def __init__(self, target: OutPort, source: OutPort, task: Task, count: int):
        self.task = task
        self.domain = _loihi_domain(task)
        self._port = getattr(task.model, source.name)
        self._name = f"{task.name}.{source.name}"
        require(
            isinstance(self._port, PyOutPortVectorDense),
            f"record: {self._name}",
            "send dense vectors (PyOutPort.VEC_DENSE) to be recorded",
            type(self._port).__name__,
        )
        cure = "Record the port that it gets its messages from."
        user = source.external_pipe_csp_recv_port if source.external_pipe_flag else None
        require(user is None, f"record: {self._name}", "send to a Process, not to your code, to be recorded", type(user).__name__, cure)
        self._shape = tuple(source.shape)
        self._outward = [turn for turns in target.get_incoming_transform_funcs().values() for turn in turns]
        self.values = _zeros(count, tuple(target.shape), np.dtype(self._port._d_type))
        self._sent: np.ndarray | None = None  # in this step
        self._port.csp_ports.append(self)

    def send(self, data) -> None:
        sent = received(data, self._name, self._shape, self.values.dtype)
        for turn in self._outward:
            sent = turn(sent)
        self._sent = sent

    def join(self) -> None:
        """Do nothing, where the model's ports are told that the run is over: the track is taken away after that."""

    def take(self, row: int | None) -> None:
        if row is not None and self._sent is not None:
            self.values[row] = self._sent
        self._sent = None

    def hold(self, first: int, count: int) -> None:
        """Do nothing: in steps that its domain did not do, it sent nothing."""

    def close(self) -> None:
        self._port.csp_ports.remove(self)


def _zeros(count: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    try:
        return np.zeros((count, *shape), dtype)
    except (MemoryError, ValueError) as error:  # ValueError: more than numpy can count
        cure = "Run fewer steps at a time, or record every so many steps."
        raise InputError(f"record must hold what fits in memory; got {count} times {shape} of type {dtype}. {cure}") from error


def _check_dense(target: Var, value) -> None:
    require(
        value is not None and not isinstance(value, (str, spmatrix)),  # None: a part of a learning rule that is not there
        f"record: {title(target.process)}.{target.name}",
        "be a dense array or a number",
        type(value).__name__,
        "Read it with get(var) after the run.",
    )


def _track(target: Var | OutPort, executor: Executor, find: _Find, count: int) -> _VarTrack | _PortTrack:
    if isinstance(target, Var):
        task, name = find(target)
        return _VarTrack(target, task, name, count)
    sources: Sequence[OutPort] = [target] if target.process in executor.tasks else target.get_src_ports()
    known = len(sources) == 1 and sources[0].process in executor.tasks
    require(known, "record", "hold OutPorts of Processes of this graph", f"{target.name} of {target.process}")
    return _PortTrack(target, sources[0], executor.tasks[sources[0].process], count)


def _loihi_domain(task: Task) -> LoihiDomain:
    """Who takes the task through its time steps."""
    domain = task.domain
    must = "follow the LoihiProtocol (asynchronous models have no time steps)"
    require(isinstance(domain, LoihiDomain), f"record: {task.name}", must, type(task.model).__name__)
    assert isinstance(domain, LoihiDomain)  # as required
    return domain
