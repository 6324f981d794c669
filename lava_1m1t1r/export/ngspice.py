"""Runs of ngspice, and what it writes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .report import ToolFailed
from .tools import NO_ROOM, ended, require_program

MOST_LINES = 12
"""Largest number of ngspice's lines in the text of an error."""
_TELLING = re.compile("error|abort|fail|timestep|singular|unknown|can't|convergence", re.IGNORECASE)


def require_ngspice() -> None:
    """Raise a MissingDependencyError where ngspice is not installed."""
    require_program("ngspice", "Circuit simulation", "Install it: apt-get install ngspice.")


def call_ngspice(folder: str, arguments: Sequence[str], output: str, timeout: float) -> None:
    """Run ngspice in a folder.

    Parameters
    ----------
    folder : str
        Folder to run in.
    arguments : sequence of str
        Arguments of ngspice.
    output : str
        Name of the file that ngspice must have written.
    timeout : float
        Longest time [s].

    Raises
    ------
    MissingDependencyError
        If ngspice is not installed.
    ToolFailed
        If ngspice fails or takes longer than ``timeout`` [s]; the text holds its lines that tell why.
    """
    require_ngspice()
    # -n: no .spiceinit of the user's, whose options would be those of our decks; -D: whatever SPICE_ASCIIRAWFILE says
    done = ended(["ngspice", "-n", "-D", "filetype=binary", *arguments], folder, timeout=timeout)
    if done.returncode or not Path(folder, output).exists():
        raise ToolFailed(f"ngspice failed: {telling((done.stdout + done.stderr).decode(errors='replace'))}")


def simulated(folder: str, deck: str, total: float, timeout: float) -> np.ndarray:
    """Run a deck with one analysis over time, and return what it saves.

    Parameters
    ----------
    folder, deck : str
        Folder to run in, and the deck's file in it.
    total : float
        Length of the analysis [s].
    timeout : float
        Longest time [s].

    Returns
    -------
    (K, V) float
        As :func:`read_raw` returns it.

    Raises
    ------
    MissingDependencyError
        If ngspice is not installed.
    ToolFailed
        As of :func:`call_ngspice`, and if the analysis did not come to its end.
    """
    raw = Path(folder, "analysis.raw")
    # by -r, not by a .control section: an analysis that is aborted ends with 1, and a file that is cut does not hold its size
    call_ngspice(folder, ("-b", "-r", raw.name, deck), raw.name, timeout)
    table = read_raw(raw)
    raw.unlink()
    if table[-1, 0] < total * (1.0 - 1e-6):
        raise ToolFailed(f"ngspice ended at {table[-1, 0]:g} s of {total:g} s.")
    return table


def telling(said: str) -> str:
    """Lines of ngspice's output that tell of errors, or its last lines where none does; most are notes, and statistics of memory."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    found = list(dict.fromkeys(line for line in lines if _TELLING.search(line)))
    return "\n".join((found or lines)[-MOST_LINES:])


def read_raw(path: Path) -> np.ndarray:
    """(K, V) table of ngspice's binary output: time, then the saved nodes in their order; a ToolFailed says that it is cut."""
    header, _, body = path.read_bytes().partition(b"Binary:\n")
    fields = dict(line.split(":", 1) for line in header.decode().splitlines() if ":" in line)
    points, columns = int(fields.get("No. Points", 0)), int(fields.get("No. Variables", 1))
    if not body or len(body) != 8 * points * columns:  # the number of points is written last
        raise ToolFailed(f"ngspice's output {path.name} is cut after {len(body) // (8 * columns)} points. {NO_ROOM}")
    return np.frombuffer(body, "<f8").reshape(points, columns)


def rises(time: np.ndarray, values: np.ndarray, level: float) -> np.ndarray:
    """Times at which a sampled signal rises above a level, interpolated.

    Parameters
    ----------
    time, values : (K,) float
        Times [s] and values of the samples.
    level : float
        Level, in the unit of the values.
    """
    i = np.flatnonzero((values[1:] > level) & (values[:-1] <= level))
    return time[i] + (time[i + 1] - time[i]) * (level - values[i]) / (values[i + 1] - values[i])
