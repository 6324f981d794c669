"""Augmentation of frames during training: variations of the voice that do not change the word."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..datasets.events import N_CHANNELS
from ..errors import number, whole
from .task import MOST, RECORDINGS, SHD, Task

MANY_VOICES_SHIFT = 30
"""Channel shift that suits data of SHD's size, in channels of 700. On training voices of SpokenDigits kept apart (140 channels, one seed
each) 15 gave 95.4 %, 30 96.4 %, 45 95.7 %; on the test voices 15 and 30 give the same."""
_BY_RECIPE: dict[str, dict[str, Any]] = {RECORDINGS: {"channel_shift": 40, "drop": 0.0}, SHD: {"channel_shift": MANY_VOICES_SHIFT}}
"""What differs from the defaults, for 700 channels. From recordings of a handful of people strangers differ by more, and events stay, for
there are few; chosen on four human speakers (``bench accuracy --data FILE``)."""


@dataclass(frozen=True)
class Augmentation:
    """Sizes of the random changes of one utterance, and of its single events. All zero: none.

    Raises
    ------
    InputError
        For a size that no utterance can be changed by. The text names the field.
    """

    time_shift: int = 2
    """Largest shift of an utterance, in bins, either way."""
    channel_shift: int = 10
    """Largest shift of an utterance, in channels, either way: a shorter or longer vocal tract."""
    stretch: float = 0.08
    """Largest change of an utterance's tempo, as a share."""
    channel_jitter: float = 0.0
    """Standard deviation of each event's channel, in channels: neighbours hear much the same."""
    drop: float = 0.05
    """Share of the events that are dropped, each with its count."""

    def __post_init__(self) -> None:
        for name in ("time_shift", "channel_shift"):
            object.__setattr__(self, name, whole(getattr(self, name), f"Augmentation.{name}", most=MOST))
        for name, most in (("stretch", 1.0), ("channel_jitter", MOST), ("drop", 1.0)):
            object.__setattr__(self, name, number(getattr(self, name), f"Augmentation.{name}", least=0.0, most=most))

    @classmethod
    def suiting(cls, task: Task, channel_shift: int | None = None) -> Augmentation:
        """What suits a task's channels and recipe, with another ``channel_shift`` where one is given.

        The sizes of :data:`_BY_RECIPE` are for 700 channels; a vocal tract's shift is a share of the cochlea.
        """
        usual = cls(**_BY_RECIPE.get(task.name, {}))
        shift = round(usual.channel_shift * task.channels / N_CHANNELS) if channel_shift is None else channel_shift
        return replace(usual, channel_shift=shift)

    def __str__(self) -> str:
        single = f" and of single events by {self.channel_jitter:g}" if self.channel_jitter else ""
        shifts = f"shifts of up to {self.channel_shift} channels{single} and {self.time_shift} bins"
        return f"{shifts}, tempo changed by up to {100 * self.stretch:g} %, {100 * self.drop:g} % of the events dropped"

    def __call__(self, frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Change a batch of frames (B, T, C), each utterance its own way; returns a new array.

        Events move with their counts; where several meet in a cell, it has the largest.
        """
        batch, steps, channels = frames.shape
        b, t, c = np.nonzero(frames)
        counts = frames[b, t, c]
        tempo = 1.0 + rng.uniform(-self.stretch, self.stretch, batch)
        late = rng.integers(-self.time_shift, self.time_shift + 1, batch)
        up = rng.integers(-self.channel_shift, self.channel_shift + 1, batch)
        t = np.rint(t * tempo[b] + late[b]).astype(int)
        c = np.rint(c + up[b] + self.channel_jitter * rng.standard_normal(len(c), np.float32)).astype(int)
        kept = (t >= 0) & (t < steps) & (c >= 0) & (c < channels) & (rng.random(len(t), np.float32) >= self.drop)
        out = np.zeros_like(frames)
        np.maximum.at(out, (b[kept], t[kept], c[kept]), counts[kept])
        return out
