"""Synthesised voices: who speaks, how utterances are planned, and what the inner ear hears of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .._support.packages import installed_version
from .events import EventSet
from .inner_ear import InnerEar, resampled
from .speech import RATE, Request, synthesize, trimmed

TRAIN_VOICES = (
    "f1 f3 f4 Alicia Andrea Annie aunty anika linda steph zac "
    "m1 m2 m4 m5 m6 m8 Alex Diogo Gene Henrique Hugo Jacky Lee Mario Michael Mike Nguyen Reed RicishayMax Storm adam "
    "benjamin boris david edward gustave ian iven3 john klatt3 marcelo max norbert pablo paul robert sandro shelby "
    "victor"
).split()
"""Voice variants of the training set, which are its speakers. Whispering and robot voices are left out."""
TEST_VOICES = "f2 f5 belinda grandma m3 m7 Andy Denis quincy travis".split()
"""Voice variants of the test set. None of them is in the training set, but some share most of their formants with one that is: m7 with
Nguyen, m3 with Mike, belinda with linda, quincy with robert; and f2 with f5, who both are test voices."""
VOICES = (*TRAIN_VOICES, *TEST_VOICES)
"""Voice variants of both sets; a speaker's number is its index in this tuple."""
ENGLISH = ("en-us", "en", "en-us-nyc", "en-gb-x-rp", "en-gb-scotland", "en-029")
GERMAN = ("de",)
"""Accents that are spoken."""
SPEED, PITCH, PITCH_RANGE, TRACT = (110, 210), (25, 75), (20, 80), (0.92, 1.08)
"""Ranges from which an utterance's speed [words a minute], base pitch, pitch range, and factor on all frequencies are drawn. The factor, as
of a shorter or longer vocal tract, is applied by a changed sampling rate, so it changes the duration too."""
_RATE_GRID = 150  # Hz: keeps the ratio to 48 kHz small


class Planned(NamedTuple):
    """An utterance to synthesise."""

    label: int
    speaker: int
    """Index into :data:`VOICES`."""
    request: Request
    tract: float
    """Factor on its frequencies."""


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


def spoken(
    plan: list[Planned],
    kept: Sequence[int],
    keys: tuple[str, ...],
    ear: InnerEar,
    threads: int,
    title: str | None,
    rate: int | None = None,
    first: int = 0,
) -> EventSet:
    """Speak a plan, and encode the utterances ``kept`` of it; with a ``rate`` [Hz], as recorded at this sampling rate. The ear draws by
    their places in the plan, counted from ``first``."""
    audio = synthesize([utterance.request for utterance in plan], title and "speaking")  # all: it remembers what it spoke before
    sounds = []
    for i in kept:
        sound, of = trimmed(audio[i], RATE), round(RATE * plan[i].tract / _RATE_GRID) * _RATE_GRID
        sounds.append((sound, of) if rate is None or rate >= of else (resampled(sound.astype(np.float64), of, rate), rate))
    spikes = ear.encode(sounds, threads=threads, progress=title, indices=[first + i for i in kept])
    labels, speakers = [plan[i].label for i in kept], [plan[i].speaker for i in kept]
    return EventSet.from_utterances(spikes, labels, speakers, keys=keys, speaker_names=VOICES)


def recipe_of_voices(ear: InnerEar) -> dict:
    """Part of a recipe: what voices are drawn from, who hears them, and who speaks."""
    synthesiser = installed_version("espeakng-loader") or "absent"
    return {"ranges": [SPEED, PITCH, PITCH_RANGE, TRACT], "ear": repr(ear), "synthesiser": f"espeakng-loader {synthesiser}"}
