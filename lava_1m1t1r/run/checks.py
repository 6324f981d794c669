"""What both runners do with a graph before it runs: checks of it and of their arguments, compilation, choice of models, warnings."""

from __future__ import annotations

import copy
import logging
import multiprocessing
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from lava.magma.compiler.compiler import Compiler
from lava.magma.compiler.executable import Executable
from lava.magma.core.model.model import AbstractProcessModel
from lava.magma.core.model.py.model import AbstractPyProcessModel
from lava.magma.core.model.sub.model import AbstractSubProcessModel
from lava.magma.core.process.ports.ports import InPort, OutPort, RefPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.run_configs import RunConfig

from ..errors import InputError, require
from .alarm import Alarm, comes_from_outside
from .failures import ProcessFailed, RunTimeout, title

LONGEST_BUILD = 600.0  # s, at least; large graphs compile for minutes
_MOST_FRAMES = 10_000  # for which a thread's stack has room

_DRIVES = ("bias", "bias_mant")
"""Names of the constant input of M1T1R and of Lava's neurons."""
_FOR_CPU = "Choose a run configuration that selects a PyProcessModel for it, for example Loihi2SimCfg(select_tag='fixed_pt')."


def find_processes(proc: AbstractProcess) -> list[AbstractProcess]:
    """Return all Processes of the graph of ``proc``.

    Lava's own function takes more than linear time, and its recursion ends at some 980 Processes in a row.
    """
    found, waiting = {proc: None}, [proc]
    while waiting:
        process = waiting.pop()
        for port in (*process.in_ports.members, *process.var_ports.members, *process.out_ports.members, *process.ref_ports.members):
            for end in (*port.get_src_ports(), *port.get_dst_ports()):
                if end.process not in found:
                    found[end.process] = None
                    waiting.append(end.process)
    return list(found)


def check_graph(proc: AbstractProcess, run_cfg: RunConfig) -> None:
    """Check that ``proc`` is a Process of a graph that Lava can still compile, and ``run_cfg`` a RunConfig."""
    require(isinstance(proc, AbstractProcess), "proc", "be a Lava Process", proc)
    require(
        isinstance(run_cfg, RunConfig),
        "run_cfg",
        "be a Lava RunConfig",
        run_cfg,
        "For example Loihi2SimCfg(select_tag='fixed_pt').",
    )
    used = [title(p) for p in find_processes(proc) if p.is_compiled]
    require(
        not used,
        "proc",
        "belong to a graph that has not been compiled before (Lava compiles a Process once)",
        ", ".join(used),
        "Build its Processes anew.",
    )


def compiled_graph(proc: AbstractProcess, run_cfg: RunConfig, compile_config: dict | None) -> Executable:
    """Compile the graph of ``proc`` with Lava; where that fails, the error names the Process at fault.

    Parameters
    ----------
    proc : AbstractProcess
        Any Process of the graph.
    run_cfg : RunConfig
        Selects the ProcessModels.
    compile_config : dict, optional
        Goes to Lava's compiler.
    """
    require(compile_config is None or isinstance(compile_config, dict), "compile_config", "be a dict or None", compile_config)
    processes = find_processes(proc)
    try:
        with _compiler_at_work(len(processes)):
            executable = proc.compile(run_cfg, compile_config)
    except InputError:
        raise
    except Exception as error:
        if comes_from_outside(error):
            raise
        deeper = list(traceback.walk_tb(error.__traceback__))[1:]  # this function's own ``proc`` is not to blame
        at = [_process_at(frame) for frame, _ in deeper if frame.f_code.co_name != "compile"]
        names = tuple(title(process) for process in at if process is not None)[-1:]
        what = names[0] if names else f"the graph of {title(proc)}"
        raise ProcessFailed(f"{what} could not be compiled: {traceback.format_exc()}", names) from error
    lost = [title(process) for process in processes if not (process in executable.proc_builders or process.procs.members)]
    if lost:
        cure = "A Process with a SubProcessModel joins others only as far as the Processes in it are connected."
        warnings.warn(f"{', '.join(lost)}: Lava's compiler leaves out what is not connected with the rest. {cure}", stacklevel=1)
    return executable


@contextmanager
def _compiler_at_work(processes: int) -> Iterator[None]:
    """For a ``with`` block in which Lava compiles a graph of so many Processes, for each of which its compiler goes down a frame or more.

    Each of its Compilers leaves a handler on the log, which would print every line once more: that is removed.
    """
    log = logging.getLogger(Compiler.__module__)
    before, usual = list(log.handlers), sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(max(usual, min(usual + 3 * processes, _MOST_FRAMES)))
        yield
    finally:
        sys.setrecursionlimit(usual)
        for handler in log.handlers[:]:
            if handler not in before and type(handler) is logging.StreamHandler:
                log.removeHandler(handler)


@contextmanager
def building(proc: AbstractProcess, alarm: Alarm, timeout: float) -> Iterator[None]:
    """For a ``with`` block that compiles the graph of ``proc``, within ``timeout`` seconds or LONGEST_BUILD, whichever is longer."""
    seconds = max(timeout, LONGEST_BUILD)
    try:
        with alarm.set(seconds):
            yield
    except alarm.over as error:
        raise RunTimeout(
            f"the graph of {title(proc)} was not compiled and built within {seconds:g} s. Lava's compiler imports "
            "every Python file beside those of the Processes: is there one that does not end?"
        ) from error


def _process_at(frame) -> AbstractProcess | None:
    """Process that a function of Lava's compiler, or a SubProcessModel's constructor, is working on."""
    found = [frame.f_locals.get(name) for name in ("proc", "process")]  # as both call it
    return next((process for process in found if isinstance(process, AbstractProcess)), None)


def check_executable(proc: AbstractProcess, executable: Executable) -> None:
    """Check that ``proc`` belongs to the graph that Lava compiled to ``executable``, which runs in Python and has not been run."""
    require(isinstance(proc, AbstractProcess), "proc", "be a Lava Process", proc)
    own = any(process is proc or process.is_sub_proc_of(proc) for process in executable.process_list)
    require(own, "proc", "belong to the graph of the Executable", title(proc))
    for process, builder in executable.proc_builders.items():
        _in_python(process, builder.proc_model)
    unused = not any(builder.csp_ports for builder in executable.proc_builders.values())
    require(unused, "run_cfg", "be an Executable that has not been run", "one that has", "Build the graph anew, or load it again.")


def in_python_only(run_cfg: RunConfig) -> RunConfig:
    """Return a copy of ``run_cfg`` that refuses, by name, a Process that has no ProcessModel for it that runs in Python."""

    def select(process: AbstractProcess, models: list[type[AbstractProcessModel]]) -> type[AbstractProcessModel]:
        try:
            chosen = run_cfg.select(process, models)
        except Exception as error:
            reason = str(error).rstrip(". ")
            raise InputError(
                f"{title(process)}: the run configuration selects no ProcessModel: {reason}. {_choice(process, models)}"
            ) from error
        _in_python(process, chosen)
        return chosen

    for given, model in getattr(run_cfg, "exception_proc_model_map", {}).items():
        if isinstance(given, AbstractProcess):  # not put to select
            _in_python(given, model)
    own = copy.copy(run_cfg)
    own.select = select
    return own


def _choice(process: AbstractProcess, models: list[type[AbstractProcessModel]]) -> str:
    """What to do about a Process for which none of its models was selected."""
    if not models:
        return _FOR_CPU
    tags = {model.__name__: ", ".join(getattr(model, "tags", ())) for model in models}
    known = "; ".join(f"{name} (tags: {found or 'none'})" for name, found in tags.items())
    return (
        f"It has {known}. Choose a run configuration with such tags (without any: Loihi2SimCfg()), or name the model for this Process "
        f"alone: exception_proc_model_map={{{type(process).__name__}: {models[0].__name__}}}."
    )


def _in_python(process: AbstractProcess, model) -> None:
    ok = isinstance(model, type) and issubclass(model, (AbstractPyProcessModel, AbstractSubProcessModel))
    require(ok, title(process), "have a ProcessModel that runs on a CPU in Python", getattr(model, "__name__", model), _FOR_CPU)


def check_start_method() -> None:
    """Check that operating-system processes start as Lava's need it: they inherit the graph."""
    chosen = multiprocessing.get_start_method()
    cure = "Call multiprocessing.set_start_method('fork', force=True); or run the graph by InProcess or run, which start none."
    require(chosen == "fork", "multiprocessing's start method", "be 'fork' for Lava's own runtime", chosen, cure)


def innermost(var) -> Var:
    """Return the Var itself that ``var`` is, or stands for."""
    cure = "Ports are recorded: run(..., record=[port]), or a Recorder." if isinstance(var, (InPort, OutPort, RefPort)) else ""
    require(isinstance(var, Var), "var", "be a Var of a Lava Process", type(var).__name__, cure)
    while var.aliased_var is not None:
        var = var.aliased_var
    return var


def check_held(held, var: Var) -> None:
    """Check that a ProcessModel of the graph holds ``var``."""
    where = var.name if var.process is None else f"{title(var.process)}.{var.name}"
    require(held, "var", "belong to a Process of this graph whose ProcessModel holds it", where)


def tell_of_missing_sources(executable: Executable) -> None:
    """Warn of Processes that get nothing but zeros, because none of their inputs is connected. Lava runs them without a warning.

    One input that is left open is usual: a rule without a reward, a Monitor that listens at a port and not at a Var. So are neurons
    that a bias drives.
    """
    for process, builder in executable.proc_builders.items():
        ports = [getattr(process, name) for name in (*getattr(builder, "py_ports", ()), *getattr(builder, "ref_ports", ()))]
        ports = [port for port in ports if isinstance(port, (InPort, RefPort))]
        if not any(fed(port) for port in ports) and not any(np.any(var.init) for var in process.vars.members if var.name in _DRIVES):
            for port in ports:
                tell_of_zeros(port)


def fed(port: InPort | RefPort) -> bool:
    """Whether an OutPort, or the user's code, sends to an InPort; or whether a RefPort refers to a Var."""
    if isinstance(port, RefPort):
        return bool(port.get_dst_ports())
    return port.external_pipe_flag or any(isinstance(source, OutPort) for source in port.get_src_ports())


def tell_of_zeros(port: InPort | RefPort) -> None:
    """Warn that a port is not connected, by the name of the outermost Process that it belongs to."""
    for outer in port.get_src_ports() or [port]:
        what = "refers to no Var" if isinstance(port, RefPort) else "gets no input"
        text = f"{title(outer.process)}.{outer.name} {what}: it takes zeros in every step, as Lava has it. Connect it."
        warnings.warn(text, stacklevel=1)  # from this line, whoever asks: Python then says it once
