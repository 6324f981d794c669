"""Helpers of the speed scripts: timing on busy machines, a table that is printed row by row, and its JSON form."""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from .._support import files, programs
from .._support.arguments import Help
from .._support.cores import cores
from .._support.packages import installed_version
from .._support.progress import say
from .._support.sources import sources_digest
from ..errors import option_name, require, three_digits


class Table:
    """Rows of a benchmark: printed at once, written as JSON at the end.

    Parameters
    ----------
    title : str
        What is measured, and how.
    columns : tuple of str
        Names of the columns, units included.
    """

    def __init__(self, title: str, columns: tuple[str, ...]) -> None:
        self.title, self.columns = title, columns
        self.rows: list[dict[str, Any]] = []
        self._widths = [max(10, len(name)) for name in columns]
        say(f"\n{title}\n{'':40s} " + "  ".join(name.rjust(width) for name, width in zip(columns, self._widths, strict=True)))

    def add(self, name: str, *values: float | str) -> None:
        """Print and keep a row. Numbers are printed with three digits."""
        self.rows.append({"name": name, **dict(zip(self.columns, values, strict=True))})
        cells = [v if isinstance(v, str) else three_digits(v) for v in values]
        say(f"{name:40s} " + "  ".join(cell.rjust(width) for cell, width in zip(cells, self._widths, strict=True)))

    def skip(self, name: str, why: str, how: str = "skipped") -> None:
        """Print that a row is left out, how and why."""
        self.rows.append({"name": name, how.lower(): why})
        say(f"{name:40s} {how}: {why}")

    def left_out(self, name: str, found: Mapping[str, Any]) -> bool:
        """Whether a program, see :func:`found_by`, has measured nothing; then the table says why in the row's place."""
        for key, how in (("missing", "skipped"), ("failed", "FAILED")):
            if key in found:
                self.skip(name, found[key], how)
                return True
        return False

    def fail(self, name: str, error: Exception) -> None:
        """Say that a peer is not installed, or how it failed, in its row's place: other rows are measured all the same."""
        if isinstance(error, ImportError):
            gone = isinstance(error, ModuleNotFoundError) and error.name
            self.skip(name, f"not installed ({error.name})" if gone else str(error))
            return
        cause: BaseException = error
        while cause.__cause__ is not None:  # Brian2 tells of the place first
            cause = cause.__cause__
        self.skip(name, " ".join(f"{type(cause).__name__}: {cause}".split()), "FAILED")

    def as_dict(self) -> dict[str, Any]:
        """Return the table as plain values, for JSON."""
        return {"title": self.title, "rows": self.rows}


def least(job: Callable[[], Any], repeats: int, clock: Callable[[], float] = time.perf_counter, warm: bool = True) -> float:
    """Shortest time of a job [s], which is what it takes undisturbed. Unless ``warm`` is False, the job first runs once without being
    timed."""
    if warm:
        job()
    times = []
    for _ in range(repeats):
        start = clock()
        job()
        times.append(clock() - start)
    return min(times)


def cpu_of_children() -> float:
    """Processor time of all processes that this one has waited for [s]."""
    import resource  # not on Windows

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def cpu_of(pids: Iterable[int]) -> dict[int, float]:
    """Processor time so far [s] of those of the processes ``pids`` that have not ended."""
    found = {}
    for pid in pids:
        with suppress(OSError):
            found[pid] = time.clock_gettime((~pid << 3) | 2)  # Linux: the clock of another process
    return found


def found_by(command: Sequence[str], limit: float, **options: Any) -> dict[str, Any]:
    """Return what a program that measures prints as its last line, in JSON: {"missing": why} without its library; {"failed": why} where it
    ends otherwise, or takes longer than ``limit`` [s]. ``options`` are those of :func:`.programs.run`."""
    try:
        done = programs.run(command, text=True, timeout=limit, **programs.PIPES, **options)
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"failed": str(error)}
    if done.returncode != 0 or not done.stdout.strip():
        return {"failed": f"exit code {done.returncode}. {done.stderr.strip()[-200:]}"}
    last = done.stdout.strip().splitlines()[-1]
    try:
        return json.loads(last)
    except ValueError:
        return {"failed": f"its last line is no result: {last[-200:]}"}


def parser(doc: str, repeats: int = 10, of: str = "number of runs, of which the shortest counts") -> argparse.ArgumentParser:
    """Options of every script; ``of`` says what is repeated."""
    options = argparse.ArgumentParser("lava-1m1t1r bench TABLE", description=(doc or " ").splitlines()[0], formatter_class=Help)
    options.add_argument("--json", type=Path, metavar="FILE", help=argparse.SUPPRESS)  # the command's own, which takes no file
    options.add_argument("--repeats", type=int, default=repeats, help=of)
    return options


def positive(args: argparse.Namespace, *names: str) -> None:
    """Refuse options of these names that are not above 0."""
    for name in names:
        require(getattr(args, name) > 0, option_name(name), "be > 0", getattr(args, name))


def only_argument(options: argparse.ArgumentParser) -> None:
    """Declare ``--only``, which :func:`chosen` reads."""
    options.add_argument("--only", nargs="*", default=None, help="only rows with these names, or whose name contains one of these words")


def jax_argument(options: argparse.ArgumentParser, packages: str) -> None:
    """Declare ``--jax``, which :func:`require_jax` checks."""
    options.add_argument("--jax", metavar="PYTHON", help=f"interpreter of an environment with {packages}")


def require_jax(args: argparse.Namespace) -> None:
    """Refuse a ``--jax`` that is no program."""
    cure = f"Make an environment as {Path(__file__).with_name('training_jax.py')} says, and give its bin/python."
    require(args.jax is None or shutil.which(args.jax) is not None, "--jax", "be a program that can be run", args.jax, cure)


def chosen(names: list[str], words: list[str] | None) -> list[str]:
    """Return the chosen names: a word that is a name chooses this one only, any other word all names that contain it; None: all.

    Raises
    ------
    InputError
        If none is chosen.
    """
    whole = {name.lower() for name in names}

    def means(word: str, name: str) -> bool:
        return word == name if word in whole else word in name

    found = [name for name in names if words is None or any(means(word.lower(), name.lower()) for word in words)]
    require(len(found) > 0, "--only", f"occur in one of {', '.join(names)}", words)
    return found


def digest_of(settings: Mapping[str, Any]) -> str:
    """Digest that tells trainings with other settings, by other sources of the library or with other versions of the libraries that train
    apart: for the names of what is kept of them."""
    own = (f"benchmarks/{name}.py" for name in ("ablation", "accuracy", "floating", "peers", "trainings", "variation"))
    sources = sources_digest("recipes/*.py", "slayer/*/*.py", "netx/*.py", *own)
    versions = {name: installed_version(name) for name in ("numpy", "torch", "lightning", "lava-dl", "norse", "snntorch")}
    return hashlib.sha256(json.dumps({"sources": sources, "versions": versions, **settings}, sort_keys=True).encode()).hexdigest()[:10]


def write_json(path: Path | None, tables: list[dict[str, Any]]) -> None:
    """Write tables, and a description of the machine, to ``path``, whole or not at all; None: do nothing."""
    if path is None:
        return
    machine = {"processor": platform.processor() or platform.machine(), "cores": cores(), "numpy": np.__version__}
    files.write_json(path, {"machine": machine, "tables": tables})
