"""What Lava keeps of every Process for ever: entries in its servers, and handlers on the root log."""

from __future__ import annotations

import logging
import sys
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from lava.magma.core.process.process import AbstractProcess, ProcessServer
from lava.magma.core.process.variable import VarServer


def let_go(processes: Iterable[AbstractProcess]) -> None:
    """Release a graph that has ended, so that it is collected once the user drops it, with all that it holds: models, semaphores, data.

    Together with the Processes that these are made of, and those that are made of them. Each takes a handler off the root log, where Lava
    adds one a Process: a line of the user's own would be printed once for each. What is released works as before. The last graph whose Var
    a Monitor has probed stays until the next: Lava keeps its port on the model's class.
    """
    registered, variables = ProcessServer().processes, VarServer().vars
    related = defaultdict(list)
    for process in list(registered):  # also those that another thread is just making, and those that were never made whole
        related[id(getattr(process, "parent_proc", None))].append(process)
        for inner in _made_of(process):
            related[id(inner)].append(process)
    ours: dict[int, AbstractProcess] = {}
    found = list(processes)
    while found:
        process = found.pop()
        if id(process) not in ours:
            ours[id(process)] = process
            found += [*_made_of(process), *related[id(process)]]
    for process in [process for process in list(registered) if id(process) in ours]:
        _remove(registered, process)
        _quieten(process)
    for var in [var for var in list(variables) if var.process is None or id(var.process) in ours]:
        _remove(variables, var)


def _made_of(process: AbstractProcess) -> list[AbstractProcess]:
    return list(getattr(getattr(process, "procs", None), "members", ()))


def _remove(entries: list, one: Any) -> None:
    """In place, and one by one: other threads add theirs, and remove theirs, meanwhile."""
    with suppress(ValueError):
        entries.remove(one)


def _quieten(process: AbstractProcess) -> None:
    """Remove the handler that Lava has added to the root log for this Process, or one that is alike."""
    config = getattr(process, "_log_config", None)
    for handler in list(logging.root.handlers):
        if config is None or type(handler) is not logging.StreamHandler or handler.stream is sys.stdout:
            continue
        looks = handler.level, getattr(handler.formatter, "_fmt", None), getattr(handler.formatter, "datefmt", None)
        if looks == (config.level_console, config.format, config.date_format):
            logging.root.removeHandler(handler)
            return
