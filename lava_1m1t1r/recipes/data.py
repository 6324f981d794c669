"""From a data source named by the user to frames of a training and a test set."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .._support.paths import path_of
from .._support.progress import hint
from ..datasets import EventSet, SpokenDigits, binned_events, read_shd, shd
from ..datasets.binning import BinnedEvents, bin_of, cropped_share
from ..datasets.events import N_CHANNELS
from ..datasets.shd_file import half_precision
from ..datasets.shd_folder import SIZES
from ..datasets.spoken_digits import MOST_PER_CLASS
from ..errors import array_of, counted, listed, option_name, require, whole
from .task import MOST, Task

_OTHERWISE = (
    "Or give a test file (--test-data, where a network is trained), or take all of it (adapt: --stranger; elsewhere: --all-speakers)."
)
MOST_STEPS = 1000
"""Largest number of bins up to which the lengths of utterances are not compared; beyond, some that are much longer than most are
refused."""
_ON_EDGES, _ENOUGH_TIMES = 0.9, 1 << 20  # share of times on the edges of bins from which on that is no chance; how many are looked at
LONG = 10.0
"""Length of utterances [s] from which on they may be given in milliseconds: no word is as long."""
MOST_SECONDS = 100.0
"""What half of the utterances may last [s], where ten times ``MOST_STEPS`` bins are no longer."""
SPOKEN_DIGITS_NAME, SHD_NAME = "SpokenDigits", "SHD"
"""Names of the data sets that are known; a file or folder is called by its own."""


def voices_of(test: EventSet) -> str:
    """Description of SpokenDigits' test set."""
    return f"{len(np.unique(test.speakers))} voices that never occur in training"


@dataclass(frozen=True)
class Split:
    """Training and test events, and where they come from. Both number the classes alike; ``held_out`` says whether they share speakers."""

    train: EventSet
    test: EventSet
    name: str
    held_out: str
    """Description of the test set: who speaks in it, or whose it is."""


def load(
    source: str | os.PathLike | None = None,
    leave_out: str | int | None = None,
    test: str | os.PathLike | None = None,
    train_per_class: int | None = None,
    test_per_class: int | None = None,
) -> Split:
    """Load a data set by what the user gave.

    Parameters
    ----------
    source : path, optional
        None: SpokenDigits, made on the spot. A folder: the user's copy of SHD. A file: any file in SHD's format.
    leave_out : str or int, optional
        Speaker (name or number) of the file that makes the test set; default the last one. Of a text, a name comes before a number.
    test : path, optional
        A second file that is the test set, instead of leaving a speaker out.
    train_per_class, test_per_class : int, optional
        Utterances of each class of SpokenDigits; default: :func:`.SpokenDigits`'s own.

    Notes
    -----
    Hints tell of utterances that are in both sets, of speakers that are not known, and of a folder that does not hold SHD itself.

    Raises
    ------
    InputError
        For arguments that do not go together, for one file with fewer than two speakers, and for a test file that holds nothing but
        utterances of the training set.
    FormatError
        For a file that is not in SHD's format.
    """
    for name, given in (("train_per_class", train_per_class), ("test_per_class", test_per_class)):
        field, cure = f"{name} ({option_name(name)})", "A file's utterances are taken as they are."
        require(source is None or given is None, field, "be used with spoken digits", given, cure)
        if given is not None:  # both, before one of the sets is made
            whole(given, field, least=1, most=MOST_PER_CLASS)
    if source is None:
        for name, only in (("leave_out (--leave-out)", leave_out), ("test (--test-data)", test)):
            require(only is None, name, "be used with a data file", only, "Give --data FILE.")
        train = SpokenDigits(train=True, n_per_class=train_per_class)
        held = SpokenDigits(train=False, n_per_class=test_per_class)
        return Split(train, held, SPOKEN_DIGITS_NAME, voices_of(held))
    path = path_of(source, "source (--data)")
    if path.is_dir() or test is not None:
        cure = "The test set is given. Give its file as the data, to use those of one of its speakers."
        require(leave_out is None, "leave_out (--leave-out)", "be used with one file, whose speaker it is", leave_out, cure)
    if path.is_dir():
        require(test is None, "test (--test-data)", "be used with one file", test)
        return _apart(_of_folder(path))
    if test is not None:
        return _apart(_with_file(path, test))
    return _apart(_left_out(path, leave_out), separate=False)


def called(events: EventSet, who: int) -> str:
    """Name of a speaker, or "speaker" and the number."""
    return events.speaker_names[who] if 0 <= who < len(events.speaker_names) else f"speaker {who}"


def name_of(path: str | os.PathLike) -> str:
    """Name of a user's data: that of the file or folder, but none by which SHD and SpokenDigits are known."""
    path = Path(path)
    name = path.resolve().name if path.is_dir() else path.stem
    return name if name not in (SHD_NAME, SPOKEN_DIGITS_NAME) else f"{name} (other data)"


def _with_file(path: Path, test: str | os.PathLike) -> Split:
    """A file, and another one that is the test set."""
    events, other = read_shd(path), path_of(test, "test (--test-data)")
    same = other.exists() and other.samefile(path)
    require(not same, "test (--test-data)", "be another file than the training set's", str(test), "Or leave a speaker out.")
    return Split(*_alike(events, read_shd(other)), name_of(path), f"the file {other.name}")


def _left_out(path: Path, leave_out: str | int | None) -> Split:
    """A file whose speaker ``leave_out``, or the last one, makes the test set."""
    events = read_shd(path)
    require(len(events) > 0, str(path), "hold at least one utterance", 0)
    speakers = sorted(set(events.speakers.tolist()))
    named = "names no speakers" if speakers == [-1] else speakers
    require(len(speakers) > 1, str(path), "hold at least two speakers, so that one can be left out", named, _OTHERWISE)
    who = speakers[-1] if leave_out is None else events.speaker(leave_out, "leave_out (--leave-out)")
    unknown = int(np.count_nonzero(events.speakers == -1))
    if unknown and who != -1:
        hint(f"the speaker of {counted(unknown, 'utterance')} of {path} is not known: they stay in training, whoever is left out.")
    return Split(events.without_speakers(who), events.of_speakers(who), name_of(path), called(events, who))


def _of_folder(path: Path) -> Split:
    """SHD, or what else its two files hold."""
    train, test = shd(path, train=True), shd(path, train=False)
    found = (len(train), len(test))
    name, held_out = SHD_NAME, "SHD's own test set"
    if found != SIZES:
        name, held_out = name_of(path), "its test set"
        hint(f"{path} holds {found[0]} and {found[1]} utterances, SHD {SIZES[0]} and {SIZES[1]}: these are other data.")
    return Split(*_alike(train, test), name, held_out)


def _alike(train: EventSet, test: EventSet) -> tuple[EventSet, EventSet]:
    """Both sets with their classes numbered alike; a set that names none takes the names of the other."""
    test = numbered_as(train.keys, test)
    return train if train.keys else numbered_as(test.keys, train, "the training set", "the test set"), test


def validation_of(split: Split, path: str | os.PathLike, names: tuple[str, ...] = ()) -> EventSet:
    """A file's utterances, to watch training by; classes are numbered as in the split.

    Hints tell of utterances that are in the training or in the test set, too.

    Parameters
    ----------
    split : Split
        What is trained and tested on.
    path : path
        The file.
    names : tuple of str, optional
        Names of the classes of a file that has none; default: those of the split. Where a network to start from has numbered the split
        anew, the data's own: such a file is numbered as the data are.

    Raises
    ------
    InputError
        If all of them are, or if it has other channels.
    FormatError
        For a file that is not in SHD's format.
    """
    path = path_of(path, "validation (--validation-data)")
    events, what = read_shd(path), f"the validation set (the file {path.name})"
    require(len(events) > 0, str(path), "hold at least one utterance", 0)
    require(len(events.times) > 0, str(path), "hold at least one spike", f"{len(events)} empty utterances")
    channels = split.train.n_channels
    require(events.n_channels == channels, str(path), f"have {channels} channels, as the training set", events.n_channels)
    spikes = _spikes_of(events)
    for of, known in (("training", split.train), ("test", split.test)):
        _require_others(split.name, what, spikes, of, known)
    if not events.keys:
        events = numbered_as(names, events, "the validation set")
    names = max(split.train.keys, split.test.keys, key=len)  # those of outputs: classes of the test set alone follow the others
    return numbered_as(names, events, "the validation set")


def _apart(split: Split, separate: bool = True) -> Split:
    """The split, whose test set holds what training has not heard."""
    _require_others(split.name, f"the test set ({split.held_out})", _spikes_of(split.test), "training", split.train, separate)
    return split


def _require_others(name: str, what: str, spikes: list[bytes], of: str, known: EventSet, separate: bool = True) -> None:
    """Tell how many utterances of a set, by their ``spikes``, are in another, too. Where it is ``separate``, one that holds nothing else,
    but perhaps empty utterances, is refused."""
    heard = set(_spikes_of(known)) - {b""}
    shared = sum(utterance in heard for utterance in spikes)
    if shared:
        copy = shared == sum(map(bool, spikes)) and separate
        require(not copy, f"{name}: {what}", f"hold other utterances than the {of} set", f"{shared} of the same spikes")
        hint(f"{shared} of {len(spikes)} utterances of {what} are in the {of} set, too.")


def _spikes_of(events: EventSet) -> list[bytes]:
    """A digest of each utterance's spikes, the same in whichever order they stand, and whether their times are stored as float16 or
    float32; empty where it has none."""

    def digest(times: np.ndarray, units: np.ndarray) -> bytes:
        spikes = np.sort(half_precision(times).view(np.uint16).astype(np.uint64) << np.uint64(32) | units.astype(np.uint64))
        return hashlib.blake2b(spikes.tobytes(), digest_size=16).digest() if len(spikes) else b""

    return [digest(utterance.times, utterance.units) for utterance in events]


def names_of(split: Split, classes: int) -> tuple[str, ...]:
    """Names of the classes that a network learns from a split; none where the data name fewer."""
    names = max(split.train.keys, split.test.keys, key=len)[:classes]
    return names if len(names) == classes else ()


def first_of_each(labels: np.ndarray, count: int) -> np.ndarray:
    """Places, in rising order, of ``count`` utterances: the first ones of each class, equally many of each where there are enough.
    (The first ``count`` of a sorted file may all be of one class.)"""
    by_class = np.argsort(labels, kind="stable")
    earlier = np.empty(len(labels), np.int64)  # utterances of the same class before each one
    earlier[by_class] = np.arange(len(labels)) - np.searchsorted(labels[by_class], labels[by_class])
    return np.sort(np.argsort(earlier, kind="stable")[:count])


def occurring(*sets: EventSet) -> tuple[str, ...]:
    """Names of the classes that occur in some sets, numbered alike; none where they have no names."""
    keys = max((events.keys for events in sets), key=len)
    return tuple(keys[label] for label in sorted(set().union(*(events.labels.tolist() for events in sets)))) if keys else ()


def numbered_as(names: tuple[str, ...], test: EventSet, what: str = "the test set", other: str = "training") -> EventSet:
    """The test set with its classes numbered as in ``names``, where both name them; other names follow after those. A hint says so, in
    words for the two. A set that names none has ``names``."""
    if names and not test.keys:
        highest, rule = int(test.labels.max(initial=0)), f"lie in 0..{len(names) - 1}, as {other} names {len(names)} classes"
        require(highest < len(names), f"labels of {what}", rule, highest)
        return replace(test, keys=names)
    if not names or names[: len(test.keys)] == test.keys:
        return test
    keys = tuple(dict.fromkeys((*names, *(test.keys[label] for label in np.unique(test.labels)))))
    place = {key: number for number, key in enumerate(keys)}
    labels = np.array([place[test.keys[label]] for label in test.labels.tolist()], np.int64)
    if not np.array_equal(labels, test.labels):
        hint(f"classes of {what} are numbered as in {other}, by their names ({listed(keys, 5)})")
    return replace(test, labels=labels, keys=keys)


@dataclass(frozen=True)
class Frames:
    """A labelled set of binned utterances, kept as events."""

    binned: BinnedEvents
    labels: np.ndarray
    """Class of each utterance, (B,) int."""
    cropped: float
    """Share of the spikes that lie beyond the last bin."""
    merged: float = 0.0
    """Share of the spikes that fall into a bin and channel with an earlier one, and do not count."""
    speakers: np.ndarray | None = None
    """Speaker of each utterance, (B,) int; None where one is not known."""

    def __post_init__(self) -> None:
        labels, size = array_of(self.labels, "Frames.labels"), self.binned.shape[0]
        good = labels.dtype.kind in "iu" and labels.shape == (size,)
        require(good, "Frames.labels", f"be whole numbers ({size},), one an utterance", (str(labels.dtype), labels.shape))
        object.__setattr__(self, "labels", labels)
        if self.speakers is not None:
            speakers = array_of(self.speakers, "Frames.speakers")
            good = speakers.dtype.kind in "iu" and speakers.shape == (size,) and bool(np.all(speakers >= 0))
            require(good, "Frames.speakers", f"be None or numbers >= 0 ({size},), one an utterance", self.speakers)
            object.__setattr__(self, "speakers", speakers)

    def __len__(self) -> int:
        return len(self.labels)

    def text(self, task: Task, of_which: str = "") -> str:
        """Number and sizes of the utterances, of a task's frames; ``of_which`` stands after the number."""
        bins = f"{counted(task.n_steps, 'bin')} of {task.dt * 1e3:g} ms"
        utterances, classes = counted(len(self), "utterance"), counted(task.classes, "class")
        return f"{utterances}{of_which} of {bins}, {counted(task.channels, 'channel')}, {classes}"

    @property
    def digest(self) -> str:
        """What tells one set of frames from another: their number, and a hash of events and labels, as they are now."""
        hashed = hashlib.blake2b(digest_size=6)
        for array in (self.binned.indptr, self.binned.channel, self.binned.count, np.asarray(self.labels, np.int64)):
            hashed.update(np.ascontiguousarray(array).data)
        return f"{len(self)} utterances, {hashed.hexdigest()}"

    def dense(self, utterances: slice | Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """(B, T, C) uint8 (int16 where counts are larger), of all utterances or of those with these numbers, or of a slice."""
        return self.binned.dense(utterances)


def frames_of(events: EventSet, task: Task) -> Frames:
    """Bin events as a task asks."""
    require(isinstance(task, Task), "task", "be a Task", task)
    binned = binned_events(events, task.dt, task.n_steps, task.channels)
    cropped = cropped_share(events, task.dt, task.n_steps)
    merged = 1 - cropped - len(binned.channel) / len(events.times) if len(events.times) else 0.0
    speakers = None if np.any(events.speakers < 0) else events.speakers
    return Frames(binned, events.labels, cropped, max(merged, 0.0), speakers)


def fitted(task: Task, split: Split, steps: int | None = None) -> Task:
    """Fit a task's classes, channels and length, unless ``steps`` is given, to the data; a hint tells of test classes that training has not
    heard.

    Raises
    ------
    InputError
        If the sets differ in channels, a set is empty or holds no spike, there is one class only, or :func:`steps_for` refuses.
    """
    for name, events in (("training", split.train), ("test", split.test)):
        require(len(events) > 0, f"{split.name}: the {name} set", "hold at least one utterance", len(events))
        require(len(events.times) > 0, f"{split.name}: the {name} set", "hold at least one spike", f"{len(events)} empty utterances")
    channels = (split.train.n_channels, split.test.n_channels)
    require(channels[0] == channels[1], f"{split.name}: channels", "be the same in training and test", channels)
    classes = max(int(split.train.labels.max()), int(split.test.labels.max())) + 1
    require(classes >= 2, f"{split.name}: labels", "name at least two classes", classes)
    _tell_of_classes(split, classes)
    found = steps_for(split.train, task, steps)
    check_seconds(split.test, task, f"{split.name}: utterances of the test set")
    if steps is None and found > MOST_STEPS and found * task.dt > LONG:
        hint(f"{found} bins of {1e3 * task.dt:g} ms an utterance are many. Times in files are in seconds.")
    _tell_of_coarse_times(split, task)
    task = task.replace(channels=min(task.channels, channels[0]), classes=classes, n_steps=found)
    tell_of_unused_channels(split.name, (split.train, split.test), task.channels)
    return task


def tell_of_unused_channels(name: str, parts: Sequence[EventSet], inputs: int) -> bool:
    """A file that does not say how many channels it has has those of an ear: fewer of somebody's own fall into a few inputs, which a hint
    tells. Returns whether it did."""
    channels = parts[0].n_channels
    highest = max(int(events.units.max(initial=0)) for events in parts)
    few = channels == N_CHANNELS and 2 * (highest + 1) <= channels and any(len(events.units) for events in parts)
    if few:
        into = f"{highest * inputs // channels + 1} of the {inputs} inputs"
        cure = f"If there are no more than {highest + 1}, let the file say so: write_shd does, as extra/meta_info/n_channels"
        hint(f"spikes of {name} are of channels 0 to {highest} of {channels}, which fall into {into}. {cure}.")
    return few


def _tell_of_classes(split: Split, classes: int) -> None:
    """Hints: of outputs that no utterance belongs to, and of test classes that training has not heard."""
    heard, tested = set(split.train.labels.tolist()), set(split.test.labels.tolist())
    absent = sorted(set(range(classes)) - heard - tested)
    if absent:
        hint(f"no utterance is of {len(absent)} of the classes 0 to {classes - 1} ({listed(absent)}): outputs without use.")
    unheard = sorted(tested - heard)
    if unheard:
        known = [split.test.keys[label] if split.test.keys else label for label in unheard]  # training may not name them
        text = f"{counted(len(unheard), 'class')} of the test set ({listed(known)}), which it cannot learn to tell"
        hint(f"the training set has no utterance of {text}.")


def _tell_of_coarse_times(split: Split, task: Task) -> None:
    times = split.train.times
    if not np.array_equal(times, half_precision(times)):
        return
    stored, late = f"times of {split.name} are stored as float16", float(times.max())
    grid = float(np.spacing(np.float16(late)))
    if grid > task.dt * (1 + 1e-3):
        hint(f"{stored}, in steps of {grid * 1e3:.3g} ms at {late:.3g} s: coarser than bins of {task.dt * 1e3:g} ms.")
        return
    times = times[:_ENOUGH_TIMES]
    times = times[4 * np.spacing(half_precision(times)) < task.dt]  # later ones lie beside edges by chance
    if not len(times):
        return
    edge = np.rint(times / task.dt)
    on_edge = half_precision(edge * task.dt) == times
    early = float(np.mean(on_edge & (bin_of(times, task.dt) < edge)))
    if np.mean(on_edge) > _ON_EDGES and early > 0:
        rounded = f"which rounds {early:.0%} of them into the bin before"
        hint(f"{stored}, and are multiples of {task.dt * 1e3:g} ms, {rounded}. Half a bin later they all lie in theirs.")


def steps_for(events: EventSet, task: Task, given: int | None = None) -> int:
    """Bins up to the 99 % quantile of the utterances' durations, which hold 99 % of many whole and all but the longest of few, and never
    fewer than the task's; or as many as are ``given``.

    Raises
    ------
    InputError
        If none are given, and that takes more than ``MOST_STEPS`` bins, and more than ten times what half of the utterances take: most
        likely a time is wrong. Or if half of the utterances last longer than the larger of ``MOST_SECONDS`` and ten times ``MOST_STEPS``
        bins: most likely times are in milliseconds.
    """
    require(isinstance(events, EventSet), "events", "be an EventSet", events)
    require(isinstance(task, Task), "task", "be a Task", task)
    usual = check_seconds(events, task)
    if given is not None:
        return given
    longest = float(np.quantile(events.durations, 0.99)) if len(events) else 0.0
    steps = max(task.n_steps, int(bin_of(longest, task.dt)) + 1)
    require(
        steps <= MOST_STEPS or longest <= 10 * usual,
        "utterances",
        f"be about as long as each other (half of them end by {usual:.3g} s)",
        f"one of {float(events.durations.max(initial=0.0)):g} s",
        "Leave it out, mend its times (s, from its start), or crop it (train and evaluate: --steps).",
    )
    rule = f"make at most {MOST} bins of utterances of {longest:.3g} s"
    require(steps <= MOST, "dt [s]", rule, task.dt, "Widen it, or crop utterances (train and evaluate: --steps).")
    return steps


def check_seconds(events: EventSet, task: Task, name: str = "utterances") -> float:
    """Length that half of the utterances, of that ``name``, exceed [s], refused where times are most likely milliseconds."""
    usual = float(np.median(events.durations)) if len(events) else 0.0
    most = max(MOST_SECONDS, 10 * MOST_STEPS * task.dt)
    require(usual <= most, name, f"last up to {most:g} s", f"half of them longer than {usual:g} s", "Times are in seconds.")
    return usual
