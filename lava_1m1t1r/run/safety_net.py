"""Run a graph in Lava's own runtime with a safety net."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing

import numpy as np
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import RunConfig
from scipy.sparse import issparse

from ..errors import array_of, number, require, whole
from .alarm import Alarm
from .checks import (
    building,
    check_graph,
    check_held,
    check_start_method,
    compiled_graph,
    find_processes,
    innermost,
    tell_of_missing_sources,
)
from .failures import NOT_STARTED, NotRunning, title
from .readings import Readings
from .runtime import STOPPED, GuardedRuntime
from .servers import let_go
from .values import NUMBERS_RULE, check_fits


class Guarded:
    """A graph that runs in Lava's own multi-process runtime, bounded, for a ``with`` block.

    An exception in a ProcessModel, a message of the wrong shape, a killed child, Processes that wait for each other:
    each of them hangs plain Lava for ever. Here it raises within seconds, says which Process it was and shows that
    model's traceback; and no child process, blocked thread or shared memory stays behind, on no path.
    Inside the block Lava's own ``proc.run``, ``var.get``, ``var.set`` and ``proc.stop`` are bounded in the same way.

    Parameters
    ----------
    proc : AbstractProcess
        Any Process of the graph; it and all connected ones run.
    run_cfg : RunConfig
        Selects the ProcessModels, for example ``Loihi2SimCfg(select_tag="fixed_pt")``.
    timeout : float
        Longest wall time of one run, get or set [s].
    stall : float or None
        When no Process has done anything for this long [s], that is a deadlock. Larger, or None, for models that
        sleep or wait for the outside world.
    compile_config : dict, optional
        Goes to Lava's compiler.

    Raises
    ------
    ProcessFailed, Deadlock, RunTimeout, NotRunning
        All are :class:`RunError`.
    TooManyFiles, NoSharedMemory
        Before the first run, where the system has not enough of these.
    InputError
        For arguments out of range, those given here before anything starts, and where processes start by another method than 'fork'.

    Examples
    --------
    >>> with guarded(lif, Loihi2SimCfg(select_tag="floating_pt"), timeout=60) as session:  # doctest: +SKIP
    ...     session.run(100)
    ...     v = session.get(lif.v)
    """

    def __init__(
        self,
        proc: AbstractProcess,
        run_cfg: RunConfig,
        timeout: float = 60.0,
        stall: float | None = 3.0,
        compile_config: dict | None = None,
    ) -> None:
        check_graph(proc, run_cfg)
        number(timeout, "timeout [s]", above=0.0)
        if stall is not None:
            number(stall, "stall [s]", above=0.0)
        self._proc = proc
        self._run_cfg = run_cfg
        self._compile_config = compile_config
        self._timeout = timeout
        self._stall = stall
        self._runtime: GuardedRuntime | None = None

    def __enter__(self) -> Guarded:
        if self._runtime is not None:
            raise NotRunning(STOPPED)
        check_start_method()
        try:
            with closing(Alarm()) as alarm, building(self._proc, alarm, self._timeout):
                executable = compiled_graph(self._proc, self._run_cfg, self._compile_config)
            tell_of_missing_sources(executable)
        except BaseException:
            let_go(find_processes(self._proc))
            raise
        self._runtime = runtime = GuardedRuntime(executable, self._timeout, self._stall)
        self._proc._runtime = runtime
        executable.assign_runtime_to_all_processes(runtime)
        runtime.initialize()
        return self

    def __exit__(self, *exc_info) -> None:
        self.stop()

    def run(self, steps: int, timeout: float | None = None) -> None:
        """Run ``steps`` time steps; whatever goes wrong is raised here, with everything torn down.

        Parameters
        ----------
        steps : int
            Time steps, >= 1.
        timeout : float, optional
            Longest wall time [s]; the session's own when not given.
        """
        steps = whole(steps, "steps", least=1)
        if timeout is not None:
            number(timeout, "timeout [s]", above=0.0)
        runtime = self._running()
        runtime.timeout = timeout or self._timeout
        try:
            runtime.start(RunSteps(num_steps=steps))
        finally:
            runtime.timeout = self._timeout

    def get(self, var: Var) -> np.ndarray:
        """Value of a Var, as Lava's ``Var.get`` gives it (one message an element: 16 to 27 us each)."""
        return self._held(var).get()

    def set(self, var: Var, value) -> None:
        """Set a Var, as Lava's ``Var.set`` does (one message an element); a number or a smaller array is broadcast to its shape."""
        inner = self._held(var)
        field = f"set: {title(inner.process)}.{inner.name}"
        text = isinstance(inner.init, str)
        require(text == isinstance(value, str), field, f"be {'a str' if text else 'a number or an array'}", value)
        if not text and not issparse(value):
            value = array_of(value, field, NUMBERS_RULE)
            check_fits(field, inner.shape, value)
            value = np.broadcast_to(value, inner.shape)
        inner.set(value)

    def _held(self, var: Var) -> Var:
        runtime = self._running()
        var = innermost(var)
        check_held(var.id in runtime._executable.node_configs[0].var_models, var)
        if not runtime._is_started:
            raise NotRunning("Lava's runtime reads and sets Vars after a run only: run a step before, or make the Process with this value.")
        return var

    def stop(self) -> None:
        """End the run and every child process; may be called again. Takes a few seconds at worst."""
        if self._runtime is not None:
            self._runtime.stop()

    def _running(self) -> GuardedRuntime:
        if self._runtime is None:
            raise NotRunning(NOT_STARTED)
        if self._runtime.stopped:
            raise NotRunning(self._runtime.why_stopped)
        return self._runtime


guarded = Guarded
"""As a function: ``with guarded(proc, run_cfg) as session``."""


def run_guarded(
    proc: AbstractProcess,
    steps: int,
    run_cfg: RunConfig,
    *,
    timeout: float = 60.0,
    read: Sequence[Var] = (),
    stall: float | None = 3.0,
) -> dict[Var, np.ndarray]:
    """Run a graph once in :func:`guarded`, and return the final values of the Vars in ``read``.

    Parameters
    ----------
    proc, steps, run_cfg, timeout, stall
        As for :func:`guarded` and :meth:`Guarded.run`.
    read : sequence of Var
        What to read after the last step, before the graph is stopped.

    Returns
    -------
    dict
        Var to array of the Var's shape.
    """
    steps = whole(steps, "steps", least=1)
    require(isinstance(read, Iterable), "read", "be a sequence of Vars", read, "One alone goes into a list: read=[lif.v].")
    read = list(read)
    for var in read:
        innermost(var)
    with guarded(proc, run_cfg, timeout, stall) as session:
        session.run(steps)
        return Readings({var: session.get(var) for var in read})
