"""Command line of lava_1m1t1r: the 1M1T1R neuron from its device to a deployed network.

Each subcommand is a module of :mod:`.commands` with ``add_arguments(parser)`` and ``run(args) -> int``.
"""

from __future__ import annotations

import argparse
import errno
import os
import select
import sys
import warnings
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any

from . import __version__
from ._support.arguments import Help
from ._support.programs import interrupted, last_words, orderly
from ._support.progress import shown, tell

COMMANDS = {
    "demo": "Spoken digits: train a recurrent 1M1T1R network, export it, run it in three ways and write a report.",
    "characterize": "Measure the six characteristics of a device, with figures; fit one to your own measurements; or reproduce the paper.",
    "encode": "Convert your own recordings (WAV) with the inner-ear model into a file in SHD's format, to train on.",
    "train": "Train a recurrent 1M1T1R network on SHD, SpokenDigits or any file in SHD's format.",
    "evaluate": "Measure the accuracy of a .net file on a data set, in fixed and floating point.",
    "simulate": "Run a .net file on utterances and write the spikes.",
    "adapt": "Adapt the biases of a .net file to a speaker, from recordings whose words need not be known.",
    "deploy": "Export a .net file to C, Verilog, SPICE, NIR or Loihi-style files.",
    "bench": "Print tables of speed, compared with the installed peers; of accuracy, ablation and variation.",
    "doctor": "What is installed, what is missing, and how to get it.",
}
EXAMPLES = {
    "demo": """
lava-1m1t1r demo                                        spoken digits, synthesised on the spot; about ten minutes
lava-1m1t1r demo --data shd_folder -o shd               your copy of SHD: the paper's task
lava-1m1t1r demo --resume                               continue after Ctrl-C, from the last finished epoch""",
    "characterize": """
lava-1m1t1r characterize                                           the fitted device of Fig. 2
lava-1m1t1r characterize --preset ZHAO2025_TABLE1 --set r_control=1e9
lava-1m1t1r characterize --paper                                   every number of the paper beside the simulation's
lava-1m1t1r characterize --fit mine.csv --free mu beta gamma1      your own measurements""",
    "encode": """
lava-1m1t1r encode recordings -o mine.h5                       one folder per label: recordings/<label>/*.wav
lava-1m1t1r encode recordings -o mine.h5 --speaker '_(\\w+)_'   take the speaker from the file name: 7_anna_3.wav
lava-1m1t1r encode list.csv -o mine.h5                         a CSV file with columns file,label,speaker""",
    "train": """
lava-1m1t1r train --hidden 64 --epochs 20 -o runs/small
lava-1m1t1r train --data shd_folder -o runs/shd                        your copy of SHD: the paper's task
lava-1m1t1r train --data mine.h5 --leave-out anna -o runs/mine         your recordings, with one speaker as the test set
lava-1m1t1r train --start shipped --data mine.h5 --learning-rate 0.003   continue from a trained network, for few recordings
lava-1m1t1r train -o runs/small --epochs 20 --hidden 64 --resume       continue, with the same options as at the start
torchrun --nproc-per-node 2 -m lava_1m1t1r -- train -o runs/two        in two processes (-- or torchrun takes --start for its own)""",
    "evaluate": """
lava-1m1t1r evaluate shipped --utterances 100
lava-1m1t1r evaluate runs/train/network.net --lava 10    check that Lava's own runtime gives the same spikes
lava-1m1t1r evaluate shipped --layers 20    silent and latched neurons, rounding errors of each layer
lava-1m1t1r evaluate mine.net --frames x.npy --labels y.npy    your own spike counts (B, T, C), and classes (B,)
lava-1m1t1r evaluate shipped --json > numbers.json""",
    "simulate": """
lava-1m1t1r simulate shipped --utterances 20 -o spikes.npz
lava-1m1t1r simulate runs/train/network.net --data mine.h5 --backend inprocess --tag floating_pt
lava-1m1t1r simulate mine.net --frames x.npy    your own spike counts (B, T, C)""",
    "adapt": """
lava-1m1t1r adapt runs/mine/network.net --stranger ben.h5 -o ben.net                   ben's utterances in a file
lava-1m1t1r adapt runs/mine/network.net --data mine.h5 --leave-out anna -o anna.net    those of anna, whom training left out""",
    "deploy": """
lava-1m1t1r deploy c shipped -o c_code --prove 3         compiles it and compares the spikes
lava-1m1t1r deploy rtl runs/train/network.net -o verilog
lava-1m1t1r deploy rtl --help                            the options of a target""",
    "bench": """
lava-1m1t1r bench                                        all tables of speed: some minutes
lava-1m1t1r bench device
lava-1m1t1r bench accuracy --help-table                  list the options of a table
lava-1m1t1r bench accuracy --data mine.h5 --epochs 10    use options of a table""",
    "doctor": """
lava-1m1t1r doctor
lava-1m1t1r doctor --json""",
}
EXIT_CODES = (
    "exit codes: 0 done, 1 a check failed, 2 wrong input or a missing package, 129 terminal closed, 130 interrupted (Ctrl-C), "
    "141 output closed, 143 terminated"
)
SIZES = {"train": "or smaller --hidden, --channels, --steps or --batch", "demo": "for example with --train-per-class"}
"""Advice, by command, on how to reduce its memory when there is too little."""
KEPT = {
    **dict.fromkeys(("demo", "train"), "; finished epochs are kept, and --resume continues from them"),
    "bench": "; finished tables are kept in the folder of --out, if there is one, and finished training runs in the table's --folder",
}
"""What is kept when a command is interrupted: the end of the message, by command."""
NUMBA_THREADS = "Number of threads specified must be > 0."
"""All that numba says, when it is imported, of a NUMBA_NUM_THREADS of 0."""
ONE_THREAD = "NUMBA_NUM_THREADS must be > 0, or unset"
NO_HOME = "Could not determine home directory."
"""All that pathlib says, when matplotlib is imported, to a user without an entry in /etc/passwd and without HOME."""
SOME_HOME = "HOME must name a folder, for you have no home directory"
USAGE_ERROR, NO_READER = 2, 141


class _Parser(argparse.ArgumentParser):
    """Parser that behaves as in Python 3.10: unlike later ones, it raises the error when its text cannot be written."""

    def _print_message(self, message: str, file: Any = None) -> None:
        if message:
            (file or sys.stderr).write(message)


def parser(used: Iterable[str] = tuple(COMMANDS)) -> argparse.ArgumentParser:
    """Return the parser of the whole command line; commands that are not among ``used`` are without their options."""
    top = _Parser(
        prog="lava-1m1t1r",
        description=(__doc__ or "The 1M1T1R neuron, from device to network.").split("\n")[0],  # -OO leaves no __doc__
        formatter_class=Help,
        epilog=f"Help for a command: lava-1m1t1r COMMAND --help. To begin: lava-1m1t1r doctor.\n\n{EXIT_CODES}",
    )
    top.add_argument("--version", action="version", version=__version__)
    sub = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    used = set(used)
    for name, summary in COMMANDS.items():
        examples = "\n".join(f"  {line}" for line in EXAMPLES[name].strip().split("\n"))
        epilog = f"examples:\n{examples}\n\n{EXIT_CODES}"
        command = sub.add_parser(name, help=summary, description=summary, formatter_class=Help, epilog=epilog)
        if name not in used:
            continue
        try:
            import_module(f".commands.{name}", __package__).add_arguments(command)
        except (ImportError, ValueError) as error:  # doctor, and as much help as possible, must work where packages are missing or refuse
            command.set_defaults(absent=error)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code, one of :data:`EXIT_CODES`."""
    _ready_streams()
    with orderly(last=argv is None) as signals:
        code = 0
        try:
            try:
                code = _run(argv, signals)
                return code
            finally:  # also what argparse prints before it exits
                sys.stdout.flush()
        except OSError as error:
            if isinstance(error, BrokenPipeError) and not _reader_gone():
                raise  # a pipe to another process: a fault of ours, to be seen with its traceback
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # discard pending output, so that Python exits without a second error
            if isinstance(error, BrokenPipeError):  # the reader of our output has closed the pipe, as `head` does
                return NO_READER
            return code or _complain("", f"standard output: {error}", USAGE_ERROR)


def _reader_gone() -> bool:
    """Whether the reader of our output, or of our errors, has closed the pipe."""
    streams = select.poll()
    for number in (1, 2):
        streams.register(number, 0)  # errors and hang-ups are always told
    return bool(streams.poll(0))


def _ready_streams() -> None:
    """Connect closed standard streams (``>&-``) to the null device, and escape characters that a stream cannot encode.

    If they stayed closed, the next file to be opened would get their descriptor.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w" if number else "r", encoding="utf-8"))
            os.set_inheritable(getattr(sys, name).fileno(), True)
    if getattr(sys.stdout, "errors", None) in ("strict", "surrogateescape") and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")


def _run(argv: Sequence[str] | None, signals: Any) -> int:
    command = ""
    try:
        argv = sys.argv[1:] if argv is None else argv
        top = parser(argv)  # each command imports much
        args, unknown = top.parse_known_args(argv)
        if hasattr(args, "absent"):
            raise args.absent
        if "others" in args:
            args.others = unknown
        elif unknown:
            getattr(args, "own_parser", top).error(f"unrecognized arguments: {' '.join(unknown)}")
        command = args.command
        for name, value in vars(args).items():  # shells expand ~ in --out ~/x, but not in --out=~/x
            setattr(args, name, [_at_home(one) for one in value] if isinstance(value, list) else _at_home(value))
        with shown(), warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: tell(f"warning: {message}")  # the source line of a warning is of no use here
            return import_module(f".commands.{args.command}", __package__).run(args)
    except BaseException as error:
        stop = interrupted(error) or signals.raised
        if stop is not None:
            word, code = last_words(stop)
            return _complain(command, f"{word}{KEPT.get(command, '')}.", code)
        text = None if isinstance(error, SystemExit) else _in_words(error, command)  # argparse has printed its own
        if text is None:
            raise
        return _complain(command, text, USAGE_ERROR)


def _at_home(value: Any) -> Any:
    """Expand a path that begins with ``~/``, also behind an option's name; return anything else as it is."""
    if not isinstance(value, str):
        return value
    name, equals, path = value.partition("=")
    if name.startswith("--") and path.startswith("~/"):
        return name + equals + os.path.expanduser(path)
    return os.path.expanduser(value) if value.startswith("~/") else value


def _in_words(error: BaseException, command: str) -> str | None:
    """Message for an error that the user can fix; None for other errors, which are bugs."""
    if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith(__package__):
        return f"needs the package '{error.name}', which is not installed. To see how to install it: lava-1m1t1r doctor."
    unlike = isinstance(error, ValueError) and "binary incompatibility" in str(error)  # numpy's words: compiled for another version of it
    if unlike or (type(error) is ImportError and not str(error.name).startswith(__package__)):
        return f"a package that is installed does not load: {error}. Install it anew, with the versions that it needs: lava-1m1t1r doctor."
    if str(error) == NUMBA_THREADS:
        return f"{ONE_THREAD}; got {os.environ.get('NUMBA_NUM_THREADS')!r}."
    if isinstance(error, RuntimeError) and str(error) == NO_HOME:
        return f"{SOME_HOME}."
    from .errors import InputError, MissingDependencyError  # numpy: here, where Ctrl-C is heard

    if (
        isinstance(error, FileNotFoundError) and error.filename is None and error.strerror == os.strerror(2)
    ):  # os.getcwd() alone has no name to tell
        return "the current folder has been removed. Change to another one."
    if isinstance(error, (InputError, MissingDependencyError, OSError)) and not isinstance(error, BrokenPipeError):
        return f"{error}{_of_system(error)}"  # written for the user, or of the file system: read-only, a file where a folder should be
    if _of_memory(error):
        return f"needs more memory than is available ({error}). Use fewer utterances, {SIZES.get(command, 'or smaller sizes')}."
    return None


def _of_system(error: BaseException) -> str:
    """What the system's own words leave open: which disk is full, or how more or larger files may be open."""
    import tempfile

    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT) and getattr(error, "filename", None) is None:
        return f". Make room for the output, and in {tempfile.gettempdir()}, which TMPDIR names, for temporary files."
    limits = {errno.EMFILE: "ulimit -n 1024", errno.EFBIG: "ulimit -f unlimited"}
    return f". Raise the limit: {limits[number]}." if number in limits else ""


def _of_memory(error: BaseException) -> bool:
    # PyTorch has no error class for CPU memory
    of_torch = isinstance(error, RuntimeError) and any(words in str(error) for words in ("allocate memory", "out of memory"))
    return of_torch or isinstance(error, MemoryError)


def _complain(command: str, text: object, code: int) -> int:
    tell(f"{f'lava-1m1t1r {command}'.rstrip()}: {text}")
    return code
