"""The command ``lava-1m1t1r``: what it can be asked, and how it answers when something is wrong.

Each subcommand is a module of :mod:`.commands` with ``add_arguments(parser)`` and ``run(args) -> int``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from . import __version__

COMMANDS = {
    "demo": "From spoken digits to spikes of a recurrent 1M1T1R network, trained, exported, run three ways, reported.",
    "characterize": "The six characteristics of a device, with figures; or fit a device to your own measurements.",
    "train": "Train a recurrent 1M1T1R network on SHD, SpokenDigits or any file in SHD's format.",
    "evaluate": "Accuracy of a .net file on a data set, in fixed and floating point.",
    "simulate": "Run a .net file on utterances and write the spikes.",
    "deploy": "Export a .net file: C, Verilog, SPICE, NIR, Loihi-style.",
    "bench": "Speed tables against the peers that are installed.",
    "doctor": "What is installed, what is missing, and how to get it.",
}
USAGE_ERROR, INTERRUPTED = 2, 130


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="lava-1m1t1r", description=__doc__.split("\n")[0], epilog="Each command explains itself: lava-1m1t1r COMMAND --help."
    )
    top.add_argument("--version", action="version", version=__version__)
    sub = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        command = sub.add_parser(name, help=summary, description=summary, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        import_module(f".commands.{name}", __package__).add_arguments(command)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 0 done, 1 a check failed, 2 wrong input or a missing package, 130 interrupted."""
    args = parser().parse_args(argv)
    try:
        return import_module(f".commands.{args.command}", __package__).run(args)
    except (ValueError, ImportError, FileNotFoundError, PermissionError, IsADirectoryError) as error:
        # InputError and MissingDependencyError are made for the user; anything else of these kinds is our bug unless it is about a file.
        from .errors import InputError, MissingDependencyError

        if not isinstance(error, (InputError, MissingDependencyError, OSError)):
            raise
        print(f"lava-1m1t1r {args.command}: {error}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        print(f"lava-1m1t1r {args.command}: interrupted; what was finished before is kept.", file=sys.stderr)
        return INTERRUPTED
