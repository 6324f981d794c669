"""Programs that prove an export: compilers, simulators and synthesis tools, each run in its own folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .._support import programs
from .._support.programs import PIPES
from ..errors import InputError, MissingDependencyError
from .report import ToolFailed, VerificationError

LIMIT = 7200.0
"""Longest time that an external program may take [s], so that none hangs for ever."""
NO_ROOM = "Is there room in the folder for temporary files (TMPDIR)?"
"""What to ask where a program has left half a file: simulators end on a full disk as if all were well."""


def require_program(name: str, purpose: str, cure: str) -> None:
    """Raise a MissingDependencyError where a program is not on the path; ``purpose`` begins the sentence."""
    if shutil.which(name) is None:
        raise MissingDependencyError(f"{purpose} needs {name}, which is not on the path. {cure}")


def write_sources(sources: Mapping[str, str], folder: str) -> None:
    """Write files, file name to text, into a folder."""
    for file, text in sources.items():
        path = Path(folder) / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def ended(
    command: Sequence[str], folder: str, given: bytes | None = None, timeout: float | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a program in a folder, whatever its exit status; a ToolFailed says that it did not end in time.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    folder : str
        Folder to run in.
    given : bytes, optional
        Standard input.
    timeout : float, optional
        Longest time [s]; default: ``LIMIT``.
    """
    name, limit = Path(command[0]).name, LIMIT if timeout is None else timeout
    program = os.path.abspath(shutil.which(command[0]) or command[0])  # what a relative path names here is not in that folder
    try:
        return programs.run([program, *command[1:]], title=name, timeout=limit, given=given, cwd=folder, **PIPES)
    except PermissionError as error:
        raise InputError(f"{name} may not be run ({error}). The folder for temporary files (TMPDIR) must allow programs to run.") from error
    except subprocess.TimeoutExpired as error:
        # a limit of one's own is ngspice's, for each sample: fewer of them do not help
        cure = "Give fewer or shorter samples." if timeout is None else "Give shorter samples, or more time (timeout, --timeout)."
        raise ToolFailed(f"{name} did not end within {limit:g} s. {cure}") from error


def call(command: Sequence[str], folder: str, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run a program in a folder; a VerificationError says that it refused what it was given, or failed, and a ToolFailed that it did not
    end in time.

    Parameters
    ----------
    command, folder, given
        As in :func:`ended`.
    """
    done = ended(command, folder, given)
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace")
        raise VerificationError(f"{' '.join(command)} ended with {done.returncode}: {said[-2000:]}")
    return done
