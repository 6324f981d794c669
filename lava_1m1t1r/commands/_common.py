"""What several commands share: the network and frames that a user names."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from .._support.files import SHIPPED_NETWORK, scratch
from .._support.progress import tell
from ..errors import InputError, MissingDependencyError, missing, number, path_of, require, whole
from ..recipes import RESULTS_FILE

SHIPPED = "shipped"
MOST = 10**7
"""Largest number that an option that counts something may have."""


def out_folder(name: str | Path, *files: str) -> Path:
    """Return the folder for results. It, and the place of each of ``files`` in it, is checked before any work; the first file written makes
    it."""
    path = path_of(name, "--out")
    require(not path.exists() or path.is_dir(), "--out", "be a folder or a new name", str(name))
    there = next(p for p in (path, *path.absolute().parents) if p.exists())
    require(there.is_dir(), "--out", "lie in a folder", str(name), f"{there} is a file.")
    for file in files:
        require(not (path / file).is_dir(), "--out", f"have no folder of the name {file}", str(name), "A file is to be written there.")
    try:
        with scratch(".probe-", there):  # permissions do not tell of file systems that are read-only
            return path
    except OSError as error:
        raise InputError(f"--out must be a folder that can be written to; got {str(name)!r}: {error}.") from error


def json_argument(parser: argparse.ArgumentParser, what: str) -> None:
    """Declare ``--json``."""
    parser.add_argument("--json", action="store_true", help=f"print {what} as JSON, and everything else on standard error")


def let_torch_sleep() -> None:
    """Let torch's threads sleep between its operations: they wait actively for some milliseconds, on the cores that compiled loops need.

    Training takes an eighth less processor time then, and a step of a small network up to a quarter less on the clock. GNU OpenMP reads
    it when torch is loaded; a user's own setting stands.
    """
    if "torch" not in sys.modules:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@contextmanager
def talking(args: argparse.Namespace) -> Iterator[None]:
    """For a ``with`` block that may print: with ``--json`` standard output is for the JSON alone."""
    if not args.json:
        yield
        return
    with redirect_stdout(sys.stderr):
        yield


def check_whole(args: argparse.Namespace, **least: int) -> None:
    """Check that the named options, where given, are whole numbers of at least ``least``."""
    for name, low in least.items():
        if getattr(args, name) is not None:
            whole(getattr(args, name), option_name(name), least=low, most=MOST)


def check_above_zero(args: argparse.Namespace, *names: str) -> None:
    """Check that the named options, where given, are numbers above 0."""
    for name in names:
        if getattr(args, name) is not None:
            number(getattr(args, name), option_name(name), above=0.0)


def option_name(name: str) -> str:
    """Return an option as it is typed, from its name among the arguments."""
    return f"--{name.replace('_', '-')}"


def require_training() -> None:
    """Raise the error that names the cure unless a network can be trained here; called before any data are made."""
    for module, package in (("lava", "lava-nc"), ("torch", "torch"), ("lightning", "lightning")):
        if find_spec(module) is None:
            raise missing(package, "lava", "Training")


def network_argument(parser: argparse.ArgumentParser) -> None:
    """Declare NET."""
    parser.add_argument("net", help=f"a .net file, or '{SHIPPED}': the small trained network that comes with the package")


def network_path(name: str) -> Path:
    """Path of the network the user named."""
    path = SHIPPED_NETWORK if name == SHIPPED else Path(name)
    require("\0" not in name and path.is_file(), "NET", "be an existing .net file, or 'shipped'", name)
    return path


def data_arguments(parser: argparse.ArgumentParser, utterances: bool = True) -> None:
    """Declare the options that say where utterances come from."""
    parser.add_argument("--data", help="a file in SHD's format, or SHD's folder; default: spoken digits made on the spot (test voices)")
    parser.add_argument("--leave-out", help="use this speaker of the file only; default: the last one")
    parser.add_argument("--all-speakers", action="store_true", help="use the whole file, whoever speaks")
    if utterances:
        parser.add_argument("--utterances", type=int, help="use only the first ones")
    parser.add_argument(
        "--steps", type=int, help="bins of an utterance; default: as many as training on the same file takes (its results.json names them)"
    )


class Tested(NamedTuple):
    """Test utterances of a network."""

    frames: Any
    data: str
    """Name of the file or data set."""
    held_out: str
    """Speakers of the test set, in words."""

    @property
    def text(self) -> str:
        """Data and speakers as text."""
        return f"{self.data}, {self.held_out}"


def _of_file(args: argparse.Namespace) -> tuple[Any, Any, str, str]:
    """Events to test on, events by which training on the same data chooses the length of utterances, name of the data, and the speakers in
    words."""
    from ..recipes import data

    if args.all_speakers:
        require(args.leave_out is None, "--leave-out", "stand alone", args.leave_out, "Or --all-speakers, without it.")
        require(not Path(args.data).is_dir(), "--all-speakers", "go with a file", args.data, "Of SHD's folder the test set is taken.")
        events = data.read_shd(args.data)
        return events, events, Path(args.data).stem, "all speakers"
    split = data.load(args.data, args.leave_out)
    return split.test, split.train, split.name, split.held_out


def _told_of_training(net: Path, name: str, held_out: str) -> None:
    """Print a hint where the network's own results say that it was trained on the voices at hand."""
    try:
        trained = json.loads((net.parent / RESULTS_FILE).read_text(encoding="utf-8"))
        other = trained["held_out"]
        if trained["data"] == name and other != held_out:
            tell(f"hint: {net.parent / RESULTS_FILE} says that the network was trained without {other}; here it hears {held_out}.")
    except (OSError, ValueError, TypeError, KeyError):
        return  # none, or another program's


def _numbered(events: Any, net: Any) -> Any:
    """Events with their classes numbered as the network's, where it names its classes; prints a hint where the data look foreign."""
    from ..recipes import data

    found = sorted(set(events.labels.tolist()))
    names = [events.keys[label] for label in found] if events.keys else []
    if net.classes and names:
        if set(names) <= set(net.classes):
            return data.numbered_as(net.classes, events)
        text = f"the classes of the data ({data.listed(names, 3)}) are not those of the network ({data.listed(net.classes, 3)})"
    elif len(found) < net.outputs:
        text = f"the data hold {len(found)} classes, the network has {net.outputs} outputs"
    else:
        return events
    tell(f"hint: {text}. Was it trained on other data?")
    return events


def test_frames(args: argparse.Namespace, net: Any) -> Tested:
    """Frames of the test utterances, binned as the network asks, their classes numbered as the network's."""
    from ..recipes import data
    from ..recipes.evaluate import check_labels
    from ..recipes.task import recipe, recipe_for

    check_whole(args, utterances=1, steps=1)
    task = recipe(recipe_for(args.data)).replace(dt=net.dt, channels=net.inputs, classes=net.outputs)
    if args.data is None:
        from ..datasets import SpokenDigits

        require(args.leave_out is None, "--leave-out", "go with --data", args.leave_out)
        require(not args.all_speakers, "--all-speakers", "go with --data", "it alone")
        try:
            events = like_training = SpokenDigits(train=False)
            name, held_out = data.SPOKEN_DIGITS_NAME, data.voices_of(events)
        except MissingDependencyError as error:
            raise MissingDependencyError(f"{error} Or give utterances: --data FILE.") from error
    else:
        events, like_training, name, held_out = _of_file(args)
        _told_of_training(Path(net.source), name, held_out)
    # not of the utterances at hand: the answer to one must not depend on which others are asked for
    usual = data.steps_for(like_training, task)  # with --steps, too: it tells of times that are wrong
    steps = args.steps or usual
    require(len(events) > 0, "--data", "hold at least one utterance", args.data)
    events = _numbered(events, net)
    check_labels(events, net)
    if args.utterances:
        events = events[: args.utterances]
    return Tested(data.frames_of(events, task.replace(n_steps=steps)), name, held_out)
