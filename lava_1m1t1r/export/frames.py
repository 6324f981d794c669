"""The samples that a proof runs on."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..description import NetDescription, check_frames
from ..errors import array_of, require

DRAWN_RATE = 20.0
"""Mean rate of a channel [Hz] of the random spikes that a proof takes where no frames are given."""


def drawn(net: NetDescription, samples: int, steps: int, seed: int) -> np.ndarray:
    """Random spikes (B, T, C) at ``DRAWN_RATE``; steps of a network that states none are taken for 1 ms."""
    return (np.random.default_rng(seed).random((samples, steps, net.inputs)) < DRAWN_RATE * (net.dt or 1e-3)).astype(np.uint8)


def batched(frames: Any) -> np.ndarray:
    """Samples (B, T, C), or one of them (T, C), as an array (B, T, C)."""
    frames = array_of(frames, "frames")
    return frames[None] if frames.ndim == 2 else frames


def samples(frames: Any, net: NetDescription, limit: int) -> np.ndarray:
    """Check samples; an InputError says what they must be.

    Parameters
    ----------
    frames : (B, T, C) or (T, C) int
        Spike counts of several samples, or of one.
    net : NetDescription
        The network that takes them.
    limit : int
        Largest count that the target can take.

    Returns
    -------
    (B, T, C) int
    """
    frames = check_frames(batched(frames), net)
    require(frames.max() <= limit, "frames", f"hold spike counts of at most {limit}", int(frames.max()))
    return frames
