"""The samples that a user selects for a network: utterances of a data set, or arrays of spike counts."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .._support.paths import is_file, path_of
from .._support.progress import hint
from ..errors import InputError, MissingDependencyError, counted, listed, option_name, require
from ._common import check_whole
from ._training import Training

_SPEAKER = (
    "use only this speaker: of a file, whom training left out (default: the last one); of SHD's folder and of spoken digits, one of the "
    "test set's (default: all of them)"
)


def data_arguments(parser: argparse.ArgumentParser, utterances: bool = True) -> None:
    """Declare the options that say where utterances come from."""
    parser.add_argument("--data", help="a file in SHD's format, or the SHD folder; default: synthesised spoken digits (test voices)")
    parser.add_argument("--leave-out", help=_SPEAKER)
    parser.add_argument("--all-speakers", action="store_true", help="use the whole file, with all speakers")
    if utterances:
        parser.add_argument(
            "--utterances", type=int, help="use only this many utterances: the first ones of each class (of --frames: the first ones)"
        )
    parser.add_argument(
        "--steps",
        type=int,
        help="time bins per utterance; default: as many as in the network's training, as its file or its results.json says, or else "
        "as many as training on the same data would use",
    )


def data_options(args: argparse.Namespace) -> dict[str, Any]:
    """Options of :func:`data_arguments` that were given, but the number of utterances: their values as they are typed."""
    values = {option_name(name): getattr(args, name) for name in ("data", "leave_out", "all_speakers", "steps")}
    return {option: value for option, value in values.items() if value is not None and value is not False}


def array_arguments(parser: argparse.ArgumentParser, labels: bool = True) -> None:
    """Declare the options that give samples as arrays."""
    parser.add_argument("--frames", metavar="FILE", help="use these samples instead: spike counts (B, T, C) in a .npy file")
    if labels:
        parser.add_argument("--labels", metavar="FILE", help="classes of these samples: (B,) in a .npy file")


class Tested(NamedTuple):
    """Samples that a network is tested on."""

    frames: Any
    """A :class:`.recipes.data.Frames`; unknown labels are -1."""
    data: str
    """Name of the file or data set."""
    held_out: str
    """Description of the test set: its speakers, or that it is the whole file."""

    @property
    def steps(self) -> int:
        """Number of bins of each sample."""
        return self.frames.binned.shape[1]

    def text(self, dt: float | None) -> str:
        """Data, speakers, number and length of the samples, in bins of ``dt`` [s] if that is known."""
        bins = counted(self.steps, "bin") + ("" if dt is None else f" of {1e3 * dt:g} ms")
        return f"{self.data}, {self.held_out}: {counted(len(self.frames), 'utterance')} of {bins}"

    @property
    def labelled(self) -> bool:
        """Whether the classes of the samples are known."""
        return bool((self.frames.labels >= 0).all())


def samples(args: argparse.Namespace, net: Any) -> Tested:
    """Samples to test a network on: the arrays given by ``--frames`` and ``--labels``, or else test utterances."""
    arrays = arrays_of(args)
    if not arrays:
        return frames_to_test(args, net)
    from ..datasets.binning import BinnedEvents
    from ..description import check_frames
    from ..recipes.data import Frames
    from ..recipes.evaluate import check_labels

    check_whole(args, utterances=1)
    frames = check_frames(arrays["frames"], net)
    labels = arrays.get("labels", np.full(len(frames), -1))
    good = labels.shape == frames.shape[:1] and labels.dtype.kind in "iu"
    require(good, "--labels", f"be whole numbers ({len(frames)},), one for each sample", (labels.dtype, labels.shape))
    most = slice(args.utterances)
    found = Frames(BinnedEvents.of(frames[most]), labels[most], 0.0)
    if "labels" in arrays:
        check_labels(found, net)  # before they become int64, which would wrap
    found = replace(found, labels=found.labels.astype(np.int64))
    return Tested(found, Path(args.frames).name, "all of it" if len(found) == len(frames) else f"the first of {len(frames)}")


def arrays_of(args: argparse.Namespace) -> dict[str, np.ndarray]:
    """Arrays ``frames`` and ``labels`` from the given files; labels need frames, which stand in place of a data set."""
    given = {name: getattr(args, name) for name in ("frames", "labels") if getattr(args, name, None) is not None}
    require("frames" in given or not given, "--labels", "be used with --frames", given.get("labels"))
    if given:
        for option, value in data_options(args).items():
            require(False, option, "not be used with --frames", value)
    return {name: array_of_file(file, option_name(name)) for name, file in given.items()}


def array_of_file(file: str, option: str) -> np.ndarray:
    """The array in a .npy file that an option names."""
    path = path_of(file, option)
    require(is_file(path), option, "be an existing .npy file", file)
    try:
        found = np.load(path)
        if not isinstance(found, np.ndarray):  # several arrays
            found.close()
            raise ValueError("it holds several arrays, as a .npz file does")
        if found.ndim == 0:
            raise ValueError("it holds a single value")
        return found
    except MemoryError:
        raise
    except Exception as error:  # numpy passes on what zipfile and its own readers raise
        raise InputError(f"{option} must be a .npy file of numbers; got {file!r}: {error}.") from error


def _spoken_digits(args: argparse.Namespace) -> Any:
    """Test voices of SpokenDigits; refuses an option of files."""
    from ..datasets import SpokenDigits

    require(not args.all_speakers, "--all-speakers", "be used with --data", "it alone")
    try:
        return SpokenDigits(train=False)
    except MissingDependencyError as error:
        raise MissingDependencyError(f"{error} Or use other utterances: --data FILE.") from error


def _of_file(args: argparse.Namespace) -> tuple[Any, Any, str, str]:
    """Events to test on, events from which training on the same data chooses the length of utterances, name of the data, and a description
    of the speakers."""
    from ..recipes import data

    if args.all_speakers:
        require(args.leave_out is None, "--leave-out", "not be used with --all-speakers", args.leave_out)
        require(not Path(args.data).is_dir(), "--all-speakers", "be used with a file", args.data, "For a folder, the test set is used.")
        events = data.read_shd(args.data)
        return events, events, data.name_of(args.data), "all speakers"
    split = split_of(args)
    return split.test, split.train, split.name, split.held_out


def split_of(args: argparse.Namespace) -> Any:
    """The data set that ``--data`` names; of a file, ``--leave-out`` makes the test set."""
    from ..recipes import data

    return data.load(args.data, None if _test_set_is_given(args) else args.leave_out)


def _test_set_is_given(args: argparse.Namespace) -> bool:
    return args.data is None or Path(args.data).is_dir()


def _of_one(args: argparse.Namespace, test: Any, who: str) -> tuple[Any, str]:
    """Of a test set that is given, what ``--leave-out`` says, if anybody; and who that is."""
    from ..recipes import data

    if args.leave_out is None or not _test_set_is_given(args):
        return test, who
    speaker = test.speaker(args.leave_out, "--leave-out")
    return test.of_speakers(speaker), data.called(test, speaker)


def _numbered(events: Any, net: Any, heard: bool, matters: bool = True) -> Any:
    """Events with their classes numbered as in the network, if it has class names; prints a hint where they do not seem to match.
    ``heard``: the network was trained or tested on these data.

    Names that the network does not have may be its own in other words, and go by their numbers: unless others show that these differ,
    which is refused where the number ``matters``.
    """
    from ..recipes import data

    found, names = set(events.labels.tolist()), data.occurring(events)
    if net.classes and names:
        if set(names) <= set(net.classes):
            return data.numbered_as(net.classes, events, "the data", "the network")
        others = [name for name in names if name not in net.classes]
        moved = [name for name in names if name in net.classes and net.classes.index(name) != events.keys.index(name)]
        if moved and matters:
            rule = f"be the network's ({listed(net.classes, 3)}): {moved[0]!r} has number {events.keys.index(moved[0])} in the data, "
            rule += f"{net.classes.index(moved[0])} in the network"
            cure = "Leave out the utterances of other classes, or name these as the network does."
            require(False, "classes of the data", rule, listed(others), cure)
        own, known = (f"({len(some)}: {listed(some, 3)})" for some in (names, net.classes))
        which = f": it has no {listed(others, 3)}" if len(others) < len(names) else ""
        text = f"the classes of the data {own} are not those of the network {known}{which}"
    else:
        last = max(found, default=-1)
        if last + 1 == net.outputs or (last < net.outputs and heard):  # of known data, nobody says the last classes
            return events
        text = f"the data hold {counted(len(found), 'class')}, numbered up to {last}, the network has {counted(net.outputs, 'output')}"
    hint(f"{text}. Was it trained on other data?")
    return events


def _task_of(args: argparse.Namespace, net: Any) -> Any:
    """Recipe of the data, with the sizes of the network."""
    from ..recipes.task import recipe, recipe_for

    return recipe(recipe_for(args.data)).replace(dt=net.dt, channels=net.inputs, classes=net.outputs)


def _check_own(args: argparse.Namespace, events: Any, net: Any) -> None:
    """Refuse spoken digits that stand for data that were not named, where a network cannot have been trained on them."""
    from ..recipes import data

    rule = (
        f"name the network's own data: without it, {data.SPOKEN_DIGITS_NAME} is used, and has more classes than its {net.outputs} outputs"
    )
    cure = "Or give arrays: --frames FILE." if hasattr(args, "frames") else ""
    require(args.data is not None or int(events.labels.max()) < net.outputs, "--data", rule, None, cure)


def _check_channels(events: Any, net: Any, option: str) -> None:
    require(events.n_channels >= net.inputs, option, f"have the network's {net.inputs} channels or more", events.n_channels)


def _tell_of_channels(events: Any, net: Any, name: str) -> None:
    """Print a hint where the channels of data, which are not those of the training, are grouped into the network's inputs."""
    from ..datasets import N_CHANNELS
    from ..recipes import data

    told = data.tell_of_unused_channels(name, (events,), net.inputs)
    if not told and events.n_channels not in (net.inputs, N_CHANNELS):
        hint(f"the {events.n_channels} channels of {name} are grouped into the network's {net.inputs} inputs.")


class Stranger(NamedTuple):
    """A speaker whom a network is adapted to."""

    frames: Any
    """Utterances, a :class:`.recipes.data.Frames`; their classes do not matter."""
    training: Any
    """Utterances of the network's training; None where the network knows how often its neurons spike in them."""
    data: str
    """Name of the file or data set."""
    who: str
    """Name of the speaker, or that it is the whole file."""


def stranger_of(args: argparse.Namespace, net: Any) -> Stranger:
    """Utterances that a network is adapted by, binned as those of its training."""
    from ..recipes import data

    option, beside = "--data" if args.stranger is None else "--stranger", Training(net)
    training, heard, name, who, trained_on = _training_and_stranger(args, net, beside)
    task = _task_of(args, net)
    for events, given in ((training, "--data"), (heard, option)):
        if events is not None:
            require(len(events.times) > 0, given, "hold at least one spike", f"{len(events)} empty utterances")
            _check_channels(events, net, given)
    if args.stranger is not None and not beside.knows(name, args.stranger, heard.n_channels):
        _tell_of_channels(heard, net, name)
    trained = beside.steps(net, trained_on, args.data or args.stranger, who if args.stranger is None else None)
    if net.usual is None:
        task = task.replace(n_steps=data.steps_for(training, task, args.steps or trained))
        training = data.frames_of(training, task)
    else:
        task, training = task.replace(n_steps=net.usual.steps), None
        require(args.steps in (None, task.n_steps), "--steps", f"be {task.n_steps}, as in the network's training", args.steps)
    if args.stranger is None:
        heard, who = _of_one(args, heard, who)
    data.check_seconds(heard, task)
    frames = data.frames_of(heard, task)
    rule = f"have spikes within the {task.n_steps} bins of an utterance"
    require(len(frames.binned.channel) > 0, option, rule, "none", "Cut what comes before the words.")
    return Stranger(frames, training, name, who)


def _training_and_stranger(args: argparse.Namespace, net: Any, beside: Training) -> tuple[Any, Any, str, str, str]:
    """Events of the training (None where a file is given, and the network knows what is usual) and of the stranger; the latter's names as
    in :class:`Stranger`; and the name of the training's data, which are the stranger's own where no others are needed."""
    from ..recipes import data

    if args.stranger is None:
        split = split_of(args)
        _check_own(args, split.train, net)
        # tells where these are not the data of its training
        _numbered(split.train, net, beside.knows(split.name, args.data), matters=False)
        return split.train, split.test, split.name, split.held_out, split.name
    heard, training = data.read_shd(path_of(args.stranger, "--stranger")), None
    name = trained_on = data.name_of(args.stranger)
    if net.usual is not None:
        cure = f"{net.source} says itself how often its neurons spike in its training."
        require(args.data is None, "--data", "not be used with --stranger", args.data, cure)
    else:
        cure = "Its file does not say how often its neurons spike."
        require(args.data is not None, "--data", "name what the network was trained on", None, cure)
        if Path(args.data).is_dir():
            split = data.load(args.data)
            training, trained_on = split.train, split.name
        else:
            training, trained_on = data.read_shd(args.data), data.name_of(args.data)
        _numbered(training, net, beside.knows(trained_on, args.data), matters=False)
    return training, heard, name, "all of it", trained_on


def frames_to_test(args: argparse.Namespace, net: Any) -> Tested:
    """Frames of the test utterances, binned as the network requires, with classes numbered as in the network."""
    from ..recipes import data
    from ..recipes.evaluate import check_labels

    check_whole(args, utterances=1, steps=1)
    task, beside = _task_of(args, net), Training(net)
    if args.data is None:
        events = like_training = _spoken_digits(args)
        name, held_out = data.SPOKEN_DIGITS_NAME, data.voices_of(events)
        trained = beside.steps(net, name, None)
    else:
        events, like_training, name, held_out = _of_file(args)
        trained = beside.steps(net, name, args.data, held_out)
    # not from the selected utterances: the result for one must not depend on which others are selected
    _check_channels(events, net, "--data")
    if not beside.knows(name, args.data, events.n_channels):
        _tell_of_channels(events, net, name)
        if net.dt is None:
            hint(f"{net.source} does not say how long a step is: bins of {1e3 * task.dt:g} ms are assumed. For others: --frames.")
    known = None if net.usual is None else net.usual.steps
    task = task.replace(n_steps=data.steps_for(like_training, task, args.steps or known or trained))
    require(len(events) > 0, "--data", "hold at least one utterance", args.data)
    data.check_seconds(events, task)
    _check_own(args, events, net)
    events = _numbered(events, net, beside.knows(name, args.data))
    check_labels(events, net)
    events, held_out = _of_one(args, events, held_out)
    if args.utterances:
        events = events[data.first_of_each(events.labels, args.utterances)]
    return Tested(data.frames_of(events, task), name, held_out)
