"""Synthesised voices that join the training set of a few people's recordings."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..datasets import SpokenWords
from ..datasets.events import N_CHANNELS
from ..datasets.inner_ear import MAX_RATE, MIN_RATE
from ..datasets.spoken_digits import MOST_PER_CLASS
from ..datasets.spoken_words import check_language
from ..errors import require, whole
from .data import Split


@dataclass(frozen=True)
class Synthetic:
    """Synthesised utterances that training hears beside those of a file: the names of its classes, spoken in many voices."""

    per_class: int
    """Number of utterances of each class that the training set has."""
    rate: int | None = None
    """Sampling rate of the file's recordings [Hz] (:func:`.SpokenWords`)."""
    language: str | None = None
    """Language code of eSpeak NG (:func:`.SpokenWords`)."""

    def __post_init__(self) -> None:
        whole(self.per_class, "per_class (--synthetic)", least=1, most=MOST_PER_CLASS)
        if self.rate is not None:
            whole(self.rate, "rate (--recorded-at)", least=MIN_RATE, most=MAX_RATE)
        check_language(self.language)

    def check(self, split: Split) -> None:
        """Raise an InputError for data whose classes have no names, or that are not of the inner ear's channels."""
        field, channels = "--synthetic", split.train.n_channels
        named = len(split.train.keys) > 0
        require(named, field, "be used with data that name their classes", split.name, "Their file needs extra/keys.")
        require(channels == N_CHANNELS, field, f"be used with data of the inner ear's {N_CHANNELS} channels", channels)

    def added(self, split: Split) -> Split:
        """Return the split with a larger training set; an InputError as of :meth:`check`."""
        self.check(split)
        names, heard = split.train.keys, np.unique(split.train.labels)
        spoken = SpokenWords([names[label] for label in heard], self.per_class, self.rate, self.language)
        voices = tuple(f"synthesised {voice}" for voice in spoken.speaker_names)
        people, numbers, known = np.concatenate([split.train.speakers, split.test.speakers]), spoken.speakers, split.train.speaker_names
        after = max(len(known), int(split.train.speakers.max(initial=-1)) + 1)  # where joined puts the other's speakers
        first = max(after, int(people.max(initial=-1)) + 1)  # neither set has one of those who are synthesised
        if first > len(known):  # people without names have any numbers, such as 20231234: names up to there would fill the memory
            voices, numbers = (), numbers + (first - after)
        more = replace(spoken, labels=heard[spoken.labels], keys=names, speakers=numbers, speaker_names=voices)
        return replace(split, train=split.train.joined(more))
