"""SpokenDigits: the 20 classes of Spiking Heidelberg Digits, spoken by a synthesiser, in SHD's own format.

Synthetic speech is more regular than human speech: compare accuracies on it only with each other.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from ..errors import array_of, flag, require, whole, workers_of
from .events import SHD_KEYS, EventSet
from .inner_ear import InnerEar
from .made_data import made_once
from .voices import ENGLISH, GERMAN, TEST_VOICES, TRAIN_VOICES, VOICES, Planned, planned, recipe_of_voices, spoken

WORDS = (*SHD_KEYS[:10], "null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun")
"""Word that is spoken for each class."""
MOST_PER_CLASS = 100_000
TRAIN_PER_CLASS, TEST_PER_CLASS = 100, 20
"""Number of utterances of each class, unless another is asked for: 2000 for training, 400 for the test."""
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
        Folder of the cache. Default: :func:`.made_data.cache_folder`.
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
