"""What Lava keeps of every Process for ever: entries in its servers, and handlers of logs."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from lava.magma.core.process.process import AbstractProcess, ProcessServer
from lava.magma.core.process.variable import VarServer

_COMPILER = "lava.magma.compiler.compiler"
"""Name of the log to which each compilation adds a handler that prints."""


def let_go(processes: Iterable[AbstractProcess]) -> None:
    """Release a graph that has ended, so that it is collected once the user drops it, with all that it holds: models, semaphores, data.

    Together with the Processes that these are made of, and those that are made of them. Each leaves one handler less on the root log, where
    Lava adds one a Process: a line of the user's own would be printed once for each. What is released works as before.
    """
    servers = ProcessServer(), VarServer()
    ours, before = set(processes), -1
    while before != len(ours):
        before = len(ours)
        ours.update(inner for process in list(ours) for inner in process.procs.members)
        ours.update(p for p in servers[0].processes if p.parent_proc in ours or not ours.isdisjoint(p.procs.members))
    known = [process for process in servers[0].processes if process in ours]
    servers[0].processes = [process for process in servers[0].processes if process not in ours]
    servers[1].vars = [var for var in servers[1].vars if var.process is not None and var.process not in ours]
    for process in known:
        _quieten(process)
    printing = logging.getLogger(_COMPILER)
    for handler in printing.handlers[1:]:
        printing.removeHandler(handler)


def _quieten(process: AbstractProcess) -> None:
    """Remove the handler that Lava has added to the root log for this Process, or an equal one."""
    config = process._log_config
    for handler in logging.root.handlers:
        alike = type(handler) is logging.StreamHandler and handler.level == config.level_console
        if alike and getattr(handler.formatter, "_fmt", None) == config.format:
            logging.root.removeHandler(handler)
            return
