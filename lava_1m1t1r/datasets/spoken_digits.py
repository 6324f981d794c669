"""SpokenDigits: the 20 classes of Spiking Heidelberg Digits, spoken by a synthesiser, in SHD's own format.

Synthetic speech is more regular than human speech: compare accuracies on it only with each other.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .._support.files import check_writable
from ..errors import FormatError, InputError, array_of, flag, path_of, require, whole, workers_of
from .events import SHD_KEYS, EventSet
from .inner_ear import InnerEar, resampled
from .shd_file import as_stored, read_meta, read_shd, write_shd
from .speech import RATE, Request, require_synthesiser, synthesize, trimmed

CACHE_VARIABLE = "LAVA_1M1T1R_CACHE"
"""Environment variable that names the cache folder; ``~/.cache/lava_1m1t1r`` without it."""

TRAIN_VOICES = (
    "f1 f3 f4 Alicia Andrea Annie aunty anika linda steph zac "
    "m1 m2 m4 m5 m6 m8 Alex Diogo Gene Henrique Hugo Jacky Lee Mario Michael Mike Nguyen Reed RicishayMax Storm adam "
    "benjamin boris david edward gustave ian iven3 john klatt3 marcelo max norbert pablo paul robert sandro shelby "
    "victor"
).split()
"""Voice variants of the training set, which are its speakers. Whispering and robot voices are left out."""
TEST_VOICES = "f2 f5 belinda grandma m3 m7 Andy Denis quincy travis".split()
"""Voice variants of the test set. None of them, nor one of the same name and another number (klatt, klatt2, ...), is in the training
set; but quincy shares many of its settings with robert, who is."""
VOICES = (*TRAIN_VOICES, *TEST_VOICES)
"""Voice variants of both sets; a speaker's number is its index in this tuple."""

ENGLISH = ("en-us", "en", "en-us-nyc", "en-gb-x-rp", "en-gb-scotland", "en-029")
GERMAN = ("de",)
"""Accents that are spoken."""
WORDS = (*SHD_KEYS[:10], "null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun")
"""Word that is spoken for each class."""
SPEED, PITCH, PITCH_RANGE, TRACT = (110, 210), (25, 75), (20, 80), (0.92, 1.08)
"""Ranges from which an utterance's speed [words a minute], base pitch, pitch range, and factor on all frequencies are drawn. The factor, as
of a shorter or longer vocal tract, is applied by a changed sampling rate, so it changes the duration too."""


class Planned(NamedTuple):
    """An utterance to synthesise."""

    label: int
    speaker: int
    """Index into :data:`VOICES`."""
    request: Request
    tract: float
    """Factor on its frequencies."""


MOST_PER_CLASS = 100_000
TRAIN_PER_CLASS, TEST_PER_CLASS = 100, 20
"""Number of utterances of each class, unless another is asked for: 2000 for training, 400 for the test."""
_RATE_GRID = 150  # Hz: keeps the ratio to 48 kHz small
_VERSION = 1  # of the recipe: raise it when the same arguments would give other spikes


def SpokenDigits(
    root: str | os.PathLike | None = None,
    train: bool = True,
    n_per_class: int | None = None,
    seed: int = 0,
    threads: int = -1,
    progress: bool = True,
    classes: Sequence[int] | None = None,
) -> EventSet:
    """Return the offline data set; speak and encode it at the first call, read it from disk afterwards.

    Parameters
    ----------
    root : path, optional
        Folder of the cache. Default: :func:`cache_folder`.
    train : bool
        Training voices or the test voices, which never occur in the training set.
    n_per_class : int, optional
        Utterances of each of the 20 classes. Default: 100 for training, 20 for the test.
    seed : int
        Start of everything random. The same seed gives the same spikes for any ``threads``.
    threads : int
        Threads of the inner ear; -1 for all cores.
    progress : bool
        Whether to show a bar while the data are made.
    classes : sequence of int, optional
        Only these of the 20 classes: the same utterances as in the whole set, made in less time. Labels stay what they are.

    Returns
    -------
    EventSet
        Classes take turns (0, 1, ..., 19, 0, ...), so that any part from the start is balanced.

    Warns
    -----
    UserWarning
        When the file in the cache is damaged or another's, so that the data are made again; and when they cannot be kept.
    """
    train, progress = flag(train, "train"), flag(progress, "progress")
    n_per_class = (TRAIN_PER_CLASS if train else TEST_PER_CLASS) if n_per_class is None else n_per_class
    n_per_class, seed = whole(n_per_class, "n_per_class", least=1, most=MOST_PER_CLASS), whole(seed, "seed", most=2**62 - 1)
    threads = workers_of(threads, "threads")
    chosen = _chosen(classes)
    name = f"spoken_digits_{'train' if train else 'test'}"
    recipe, labels = _recipe(train, n_per_class, seed, chosen), np.tile(chosen, n_per_class)
    return made_once(root, name, recipe, labels, lambda: _make(train, n_per_class, seed, chosen, threads, progress))


def made_once(root: str | os.PathLike | None, name: str, recipe: dict, labels: np.ndarray, make: Callable[[], EventSet]) -> EventSet:
    """Return what ``make`` makes; the first call keeps it in the folder ``root``, by ``name`` and a hash of ``recipe``, where later ones
    read it. ``labels`` are those that it must have."""
    text = json.dumps(recipe, sort_keys=True)
    folder = cache_folder() if root is None else path_of(root, "root")
    require(not folder.exists() or folder.is_dir(), "root", "be a folder or a new name", str(folder))
    path = folder / f"{name}_{hashlib.sha256(text.encode()).hexdigest()[:12]}.h5"
    if path.is_file():
        try:
            return _cached(path, text, labels)
        except FormatError as error:
            warnings.warn(f"Making the data again, because the cache is damaged: {error}", stacklevel=3)
    require_synthesiser()
    field, cure = "root", "Name another one."
    if root is None:
        field, cure = "folder for made data", f"The environment variable {CACHE_VARIABLE} names another."
    check_writable(folder, field, folder, cure)
    events = as_stored(make())  # on the first call as on every other
    try:
        write_shd(path, events, meta={"recipe": text, "digest": _digest(events)})
    except OSError as error:  # a full disk: what took minutes to make is good all the same
        cure = f"The environment variable {CACHE_VARIABLE}, or root, names another folder."
        warnings.warn(f"The data are made and not kept, because {path} cannot be written: {error}. {cure}", stacklevel=3)
    return events


def _cached(path: Path, recipe: str, labels: np.ndarray) -> EventSet:
    """Read the file of the cache, unless it is of another recipe or was changed after it was written."""
    events, cure = read_shd(path), "Another program wrote to it."
    require(read_meta(path, "recipe") == recipe, str(path), "be made by the recipe that its name stands for", "another", cure, FormatError)
    complete = np.array_equal(events.labels, labels)
    require(complete, f"{path}: labels", f"be those of {len(labels)} utterances in turn", events.labels, cure, FormatError)
    require(read_meta(path, "digest") == _digest(events), str(path), "hold what was written", "another digest", cure, FormatError)
    return events


def _digest(events: EventSet) -> str:
    """Digest that tells the spikes and names of one set from those of another."""
    hashed = hashlib.blake2b(json.dumps([events.keys, events.speaker_names]).encode(), digest_size=16)
    for array in (events.times, events.units, events.offsets, events.labels, events.speakers):
        hashed.update(np.ascontiguousarray(array).data)
    return hashed.hexdigest()


def cache_folder() -> Path:
    """Return the folder for made data: ``$LAVA_1M1T1R_CACHE``, else ``~/.cache/lava_1m1t1r``."""
    named = os.environ.get(CACHE_VARIABLE)
    try:
        return Path(named).expanduser() if named else Path.home() / ".cache" / "lava_1m1t1r"
    except RuntimeError as error:  # a user without a home, ~nobody
        raise InputError(f"{CACHE_VARIABLE} must name a folder for made data; got {named!r}: {error}") from error


def utterances(train: bool, n_per_class: int, seed: int) -> list[Planned]:
    """Plan the set.

    An utterance depends on seed, split, class and its number alone, so that a larger set begins with the smaller one.

    Parameters
    ----------
    train : bool
        Training or test voices.
    n_per_class : int
        Utterances of each of the 20 classes.
    seed : int
        Seed of everything random.

    Returns
    -------
    list of Planned
        Classes take turns.
    """
    speakers = range(len(TRAIN_VOICES)) if train else range(len(TRAIN_VOICES), len(VOICES))
    accents = [ENGLISH] * 10 + [GERMAN] * 10
    return planned(WORDS, accents, speakers, [seed, int(train)], n_per_class)


def planned(
    words: Sequence[str], accents: Sequence[Sequence[str]], speakers: Sequence[int], seeds: list[int], n_per_class: int
) -> list[Planned]:
    """Plan ``n_per_class`` utterances of each word, by speakers in turn, in an accent drawn from the word's; classes take turns."""
    orders = [np.random.default_rng([*seeds, label]).permutation(speakers) for label in range(len(words))]
    plan = []
    for i in range(n_per_class):
        for label, (word, languages) in enumerate(zip(words, accents, strict=True)):
            rng = np.random.default_rng([*seeds, label, i])
            speaker = int(orders[label][i % len(speakers)])
            language = rng.choice(languages) if len(languages) > 1 else languages[0]
            speed, pitch, pitch_range = (int(rng.integers(a, b + 1)) for a, b in (SPEED, PITCH, PITCH_RANGE))
            tract, noise = float(rng.uniform(*TRACT)), int(rng.integers(1, 2**31))
            request = Request(word, f"{language}+{VOICES[speaker]}", speed, pitch, pitch_range, noise)
            plan.append(Planned(label, speaker, request, tract))
    return plan


def _chosen(classes: Sequence[int] | None) -> list[int]:
    if classes is None:
        return list(range(len(WORDS)))
    rule = f"hold whole numbers from 0 to {len(WORDS) - 1}"
    found = np.unique(array_of(classes, "classes", rule))
    good = found.size > 0 and found.dtype.kind in "iu" and found[0] >= 0 and found[-1] < len(WORDS)
    require(good, "classes", rule, classes)
    return found.tolist()


def _make(train: bool, n_per_class: int, seed: int, classes: list[int], threads: int, progress: bool) -> EventSet:
    plan = utterances(train, n_per_class, seed)
    kept = [i for i, utterance in enumerate(plan) if utterance.label in classes]
    title = f"{'training' if train else 'test'} utterances" if progress else None
    return spoken(plan, kept, SHD_KEYS, _ear(train, seed), threads, title)


def spoken(
    plan: list[Planned],
    kept: Sequence[int],
    keys: tuple[str, ...],
    ear: InnerEar,
    threads: int,
    title: str | None,
    rate: int | None = None,
) -> EventSet:
    """Speak a plan, and encode the utterances ``kept`` of it; with a ``rate`` [Hz], as recorded at this sampling rate."""
    audio = synthesize([utterance.request for utterance in plan], title and "speaking")  # all: it remembers what it spoke before
    sounds = []
    for i in kept:
        sound, of = trimmed(audio[i], RATE), round(RATE * plan[i].tract / _RATE_GRID) * _RATE_GRID
        sounds.append((sound, of) if rate is None or rate >= of else (resampled(sound.astype(np.float64), of, rate), rate))
    spikes = ear.encode(sounds, threads=threads, progress=title, indices=kept)
    labels, speakers = [plan[i].label for i in kept], [plan[i].speaker for i in kept]
    return EventSet.from_utterances(spikes, labels, speakers, keys=keys, speaker_names=VOICES)


def _ear(train: bool, seed: int) -> InnerEar:
    return InnerEar(seed=2 * seed + int(train))


def _recipe(train: bool, n_per_class: int, seed: int, classes: list[int]) -> dict:
    """Recipe of a set, whose hash names the cached file. (From one scipy to the next a spike in 200 000 may move.)"""
    part = {} if len(classes) == len(WORDS) else {"classes": classes}
    return {
        **part,
        "version": _VERSION,
        "split": "train" if train else "test",
        "n_per_class": n_per_class,
        "seed": seed,
        "voices": TRAIN_VOICES if train else TEST_VOICES,
        "accents": ENGLISH,
        **recipe_of_voices(_ear(train, seed)),
    }


def recipe_of_voices(ear: InnerEar) -> dict:
    """Part of a recipe: what voices are drawn from, who hears them, and who speaks."""
    try:
        synthesiser = version("espeakng-loader")
    except PackageNotFoundError:
        synthesiser = "absent"
    return {"ranges": [SPEED, PITCH, PITCH_RANGE, TRACT], "ear": repr(ear), "synthesiser": f"espeakng-loader {synthesiser}"}
