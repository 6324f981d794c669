"""Rules for what both runners are given."""

from __future__ import annotations

import math
import warnings
from numbers import Integral, Real

from lava.magma.compiler.compiler_graphs import find_processes
from lava.magma.compiler.executable import Executable
from lava.magma.core.process.ports.ports import InPort, OutPort, RefPort
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


def tell_of_missing_sources(executable: Executable) -> None:
    """Warn of Processes that get nothing but zeros, because none of their inputs is connected. Lava runs them so, without a word.

    One input that is left open is usual: a rule without a reward, a Monitor that listens at a port and not at a Var.
    """
    for process, builder in executable.proc_builders.items():
        ports = [getattr(process, name) for name in (*getattr(builder, "py_ports", ()), *getattr(builder, "ref_ports", ()))]
        ports = [port for port in ports if isinstance(port, (InPort, RefPort))]
        if not any(fed(port) for port in ports):
            for port in ports:
                tell_of_zeros(port)


def fed(port: InPort | RefPort) -> bool:
    """Whether an OutPort or the user's code sends to an InPort, or a RefPort refers to a Var."""
    if isinstance(port, RefPort):
        return bool(port.get_dst_ports())
    return port.external_pipe_flag or any(isinstance(source, OutPort) for source in port.get_src_ports())


def tell_of_zeros(port: InPort | RefPort) -> None:
    """Warn that a port is not connected, by the name of the outermost Process that it belongs to."""
    for outer in port.get_src_ports() or [port]:
        what = "refers to no Var" if isinstance(port, RefPort) else "gets no input"
        text = f"{title(outer.process)}.{outer.name} {what}: it takes zeros in every step, as Lava has it. Connect it."
        warnings.warn(text, stacklevel=1)  # from this line, whoever asks: Python then says it once
