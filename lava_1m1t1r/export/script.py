"""What the scripts in ``deploy/`` share: arguments, exit status, the report on the terminal and as JSON."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError, MissingDependencyError, require
from ..files import as_json
from . import LABELLED, TARGETS, VerificationError


def parser(target: str, doc: str, frames: str) -> argparse.ArgumentParser:
    """Arguments that all targets have; those that a script adds become options of the target's function by their ``dest``.

    Parameters
    ----------
    target : str
        Name in :data:`.TARGETS`.
    doc : str
        Description.
    frames : str
        What the target does with ``--frames``.
    """
    p = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.set_defaults(target=target)
    p.add_argument("net")
    p.add_argument("-o", "--out", required=True)
    p.add_argument("--frames", type=Path, help=frames)
    if target in LABELLED:
        p.add_argument("--labels", type=Path, help="classes of the frames, (B,) in a .npy file")
    p.add_argument("--json", type=Path, help="file for the report")
    return p


def main(arguments: argparse.ArgumentParser, given: Sequence[str] | None = None) -> int:
    """Deploy and print the report. 2: bad input or a missing tool; 1: the proof failed."""
    options = vars(arguments.parse_args(given))
    target, net, out, report_file = (options.pop(name) for name in ("target", "net", "out", "json"))
    try:
        if report_file is not None:
            _check_report(report_file, Path(out))
        for name in ("frames", "labels"):
            if options.get(name) is not None:
                options[name] = _array(options[name], f"--{name}")
        report = TARGETS[target](net, out, **options)
    except (InputError, MissingDependencyError) as error:
        print(error, file=sys.stderr)
        return 2
    except VerificationError as error:
        print(error, file=sys.stderr)
        return 1
    if report_file:
        report_file.write_text(as_json(report.as_dict()) + "\n")
    try:
        print(report.text, flush=True)
    except BrokenPipeError:  # the reader has gone, as `head` does; what Python has still to print goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _check_report(file: Path, out: Path) -> None:
    """Refuse a place where the report cannot be written, or where the next export would not bear it: before the work."""
    require(file.parent.is_dir() and not file.is_dir(), "--json", "be a file in a folder that exists", str(file))
    inside = out.absolute() in file.absolute().parents
    require(not inside, "--json", "lie outside of --out", str(file), "That folder is for the export alone.")


def _array(path: Path, what: str) -> np.ndarray:
    require(path.is_file(), what, "be an existing .npy file", str(path))
    try:
        found = np.load(path)
        if not isinstance(found, np.ndarray):  # several arrays
            found.close()
            raise ValueError("it holds several arrays, as a .npz file does")
        return found
    except (ValueError, EOFError, OSError) as error:
        require(False, what, f"be a .npy file of numbers ({error})", str(path))
        raise
