"""Spikes that come later: by delay lines before a network, and from layer to layer.

With delay lines, each channel reaches the first layer several times, each time a little later. Line n carries channel ``n mod C``,
``delay[n]`` steps later. A neuron that receives them weighs several past moments of its input, not only one: with four lines per channel,
the networks distinguish words that they cannot with their neurons' own memory alone (RESULTS.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import InputError, array_of, require, require_each

MAX_DELAY = 62
"""Largest delay of any spike [steps]: 6 bits, as in lava-dl and Lava."""
DELAY_LINES = "delay_lines"
"""Name of the layer type in files."""
_NUMBERS = f"whole number{{}} of steps from 0 to {MAX_DELAY}"


def line_delays(taps: Any, channels: int, name: str) -> np.ndarray:
    """Delay of each line, (K C,) int64, from the K taps that all channels have alike.

    Parameters
    ----------
    taps : (K,) int
        Delays of each channel's lines [steps], 0 to 62, each once.
    channels : int
        Number of channels, C.
    name : str
        What errors call the taps.

    Raises
    ------
    InputError
        If the taps are not whole numbers from 0 to 62, or two of them are equal; the text begins with ``name``.
    """
    found = array_of(taps, name, f"hold {_NUMBERS.format('s')}").reshape(-1)  # numbers beyond 64 bits make no array of them
    check_delays(found, name)
    require(len(np.unique(found)) == found.size, name, "hold each delay once", taps, "Two equal lines are one with twice the weight.")
    return np.repeat(found.astype(np.int64), channels)


def check_delays(delays: np.ndarray, name: str, error: type[Exception] = InputError) -> None:
    """Refuse an array that does not hold delays; errors call it ``name``."""
    require(delays.size > 0 and delays.dtype.kind in "iu", name, f"hold {_NUMBERS.format('s')}", delays, error=error)
    require_each((delays >= 0) & (delays <= MAX_DELAY), name, f"be a {_NUMBERS.format('')}", delays, error=error)


def on_lines(frames: np.ndarray, delay: np.ndarray) -> np.ndarray:
    """Output (..., T, N) of lines with these delays (N,) from frames (..., T, C); zeros before the start."""
    steps, channels = frames.shape[-2:]
    out = np.zeros((*frames.shape[:-1], len(delay)), frames.dtype)
    for late in np.unique(delay).tolist():
        lines = np.flatnonzero(delay == late)
        out[..., late:, lines] = frames[..., : max(steps - late, 0), lines % channels]
    return out


def outgoing(spikes: np.ndarray, delay: Any = None, after: int = 1) -> np.ndarray:
    """Spikes as the next layer, or the layer itself, receives them, (..., T, N): y[t] = s[t - after - delay], always a step later here."""
    return on_lines(spikes, np.broadcast_to(after + (0 if delay is None else np.asarray(delay, np.int64)), spikes.shape[-1]))


class LinesRun:
    """Delay lines run step by step, for values of one kind; the same as :func:`on_lines`."""

    def __init__(self, delay: np.ndarray, channels: int, kind: Any = np.int16) -> None:
        self.delay = np.asarray(delay, np.int64)
        self.source = np.arange(len(self.delay)) % channels
        self.past = np.zeros((int(self.delay.max()) + 1, channels), kind)
        one = len(self.delay) == channels and np.ptp(self.delay) == 0
        self.common = int(self.delay[0]) if one else None  # a row of the past is read sooner than its cells
        self.now = 0

    def reset(self) -> None:
        """Forget all spikes on their way."""
        self.past[:] = 0

    def step(self, frame: np.ndarray) -> np.ndarray:
        """Take the counts (C,) of a step and return what arrives in this step, (N,)."""
        due = self.due(frame)
        self.now += 1
        return due

    def due(self, frame: np.ndarray) -> np.ndarray:
        """Return what :meth:`step` would, without taking the counts: another frame may follow in their place."""
        length = len(self.past)
        self.past[self.now % length] = frame  # over what no line holds any more
        if self.common is not None:
            return self.past[(self.now - self.common) % length].copy()
        return self.past[(self.now - self.delay) % length, self.source]
