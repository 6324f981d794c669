"""Rules for what both runners are given."""

from __future__ import annotations

import math
from numbers import Integral, Real

from lava.magma.compiler.compiler_graphs import find_processes
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.run_configs import RunConfig

from lava_1m1t1r.errors import require
from lava_1m1t1r.run.failures import title


def check_graph(proc: AbstractProcess, run_cfg: RunConfig) -> None:
    """``proc`` is a Process of a graph that Lava can still compile, ``run_cfg`` a RunConfig."""
    require(isinstance(proc, AbstractProcess), "proc", "be a Lava Process", proc)
    require(
        isinstance(run_cfg, RunConfig),
        "run_cfg",
        "be a Lava RunConfig",
        run_cfg,
        "For example Loihi2SimCfg(select_tag='fixed_pt').",
    )
    compiled = [title(p) for p in find_processes(proc) if p.is_compiled]
    require(
        not compiled,
        "proc",
        "belong to a graph that has not been compiled before (Lava compiles a Process once)",
        ", ".join(compiled),
        "Build its Processes anew.",
    )


def check_whole(field: str, value) -> None:
    """``value`` is a whole number, at least one."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    require(whole and value >= 1, field, "be a whole number >= 1", value)


def check_steps(steps) -> None:
    """``steps`` is a number of time steps."""
    check_whole("steps", steps)


def check_timeout(timeout, field: str = "timeout") -> None:
    """``timeout`` is a finite time in seconds."""
    ok = isinstance(timeout, Real) and math.isfinite(timeout) and timeout > 0
    require(ok, field, "be a finite time > 0 s", timeout)
