"""Augmentation of frames during training: what a voice may vary without becoming another word."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random changes of one utterance. All zero: none."""

    time_shift: int = 4
    """Largest shift, in bins, either way."""
    channel_shift: int = 20
    """Largest shift, in channels, either way: a shorter or longer vocal tract."""
    stretch: float = 0.1
    """Largest change of the tempo, as a share."""
    drop: float = 0.1
    """Share of the events that are left out."""

    def __call__(self, frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Change a batch of frames (B, T, C), each utterance its own way; returns a new array."""
        steps, channels = frames.shape[1:]
        out = np.zeros_like(frames)
        for b, utterance in enumerate(frames):
            tempo = 1.0 + rng.uniform(-self.stretch, self.stretch)
            time = np.round(np.arange(steps) * tempo + rng.integers(-self.time_shift, self.time_shift + 1)).astype(int)
            inside = np.flatnonzero((time >= 0) & (time < steps))
            shift = int(rng.integers(-self.channel_shift, self.channel_shift + 1))
            moved = np.zeros_like(utterance)
            moved[:, max(shift, 0) : channels + min(shift, 0)] = utterance[:, max(-shift, 0) : channels - max(shift, 0)]
            out[b, inside] = moved[time[inside]]
        if self.drop:
            out *= rng.random(out.shape, dtype=np.float32) >= self.drop
        return out
