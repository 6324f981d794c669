"""From spike times to network steps: dense frames (B, T, C), or the events of each step without a dense array."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .._support.progress import bar
from ..errors import array_of, number, require, whole
from ..sums import MAX_COUNT
from .events import EventSet, as_index

_EDGE = 1e-4
"""Share of a bin within which a spike before a bin's edge counts as on the edge; without it, times k * dt stored in float32 would fall one
bin early about every second time. The rounding error of float32, which grows with the time, is allowed for on top."""
_FLOAT32 = 2.0**-23
_MOST_EDGE = 0.5
"""Largest such share: beyond 2^22 bins, that allowance would take spikes in the middle of a bin, or on its own edge, to a later one."""
_LAST_BIN = 2.0**60  # whatever is later counts as there: far beyond every frame, and still an integer
_BLOCK_CELLS = 1 << 26  # cells (bytes) of one dense block while events are binned
_MOST_CELLS = 1 << 36  # of frames
_MOST_STEPS = 1 << 24  # of an utterance
_TITLE = "binning"
_CROP_WARNING = 0.05  # share of cropped spikes from which a warning is worth its noise


class BinnedEvents(NamedTuple):
    """Events of each (utterance, step), in compressed rows: what an event-driven kernel reads."""

    indptr: np.ndarray
    """(B * T + 1,) int64: row ``b * T + t`` owns ``channel[indptr[row]:indptr[row + 1]]``."""
    channel: np.ndarray
    """(E,) uint16 (int64 beyond 65 536 channels): input channel, rising within a row, each at most once a row."""
    count: np.ndarray  # type: ignore[assignment]  # stands before tuple.count, which nobody needs here
    """(E,) uint8, or int16 where there are more: spikes of that channel in that step, after clipping."""
    shape: tuple[int, int, int]
    """Shape (B, T, C) of the dense array that these rows stand for."""

    @classmethod
    def of(cls, frames: np.ndarray) -> BinnedEvents:
        """Return the events of frames (B, T, C), whole numbers up to 32767; :meth:`dense` gives them back."""
        frames = array_of(frames, "frames")
        require(frames.ndim == 3, "frames", "have shape (B, T, C)", frames.shape)
        size, steps, channels = frames.shape
        if frames.dtype != np.uint8:
            low, high = frames.min(initial=0), frames.max(initial=0)
            good = frames.dtype.kind in "biu" and low >= 0 and high <= MAX_COUNT
            require(good, "frames", f"hold whole counts from 0 to {MAX_COUNT}", (low, high))
            frames = frames.astype(np.uint8 if high < 256 else np.int16)
        flat = frames.reshape(-1)
        cells = np.flatnonzero(flat)
        row, channel = np.divmod(cells, channels)
        indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.bincount(row, minlength=size * steps))])
        return cls(indptr, channel.astype(np.uint16 if channels <= 1 << 16 else np.int64), flat[cells], (size, steps, channels))

    def dense(self, utterances: slice | Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """Return the same as :func:`frames`: (B, T, C) uint8, int16 where counts are larger, or those of some utterances, in that order.

        They are given as to :meth:`EventSet.subset`: by a slice, numbers (negative ones count from the end) or a Boolean mask.
        """
        size, steps, channels = self.shape
        every = slice(None) if utterances is None else utterances
        rows = np.arange(size)[every if isinstance(every, slice) else as_index(every, size, "utterances")]
        out = np.zeros((len(rows), steps, channels), self.count.dtype)
        for frame, i in zip(out, rows, strict=True):
            bounds = self.indptr[i * steps : (i + 1) * steps + 1]
            cells = slice(bounds[0], bounds[-1])
            frame[np.repeat(np.arange(steps), np.diff(bounds)), self.channel[cells]] = self.count[cells]
        return out


def frames(events: EventSet, dt: float, n_steps: int | None = None, channels: int | None = None, clip: int | None = 1) -> np.ndarray:
    """Count spikes in time bins of width ``dt`` and groups of neighbouring channels.

    Spikes at or after ``n_steps * dt`` are cropped: :func:`cropped_share` tells how many, and more than 5 % give a
    warning.

    Parameters
    ----------
    events : EventSet
    dt : float
        Bin width, which is the network step [s].
    n_steps : int, optional
        Number of bins T. Default: enough for the longest utterance.
    channels : int, optional
        Number of channels C after grouping, at most ``events.n_channels``; unit u goes to
        ``u * channels // events.n_channels``. Default: no grouping.
    clip : int, optional
        Largest value of a cell: 1 (default) gives binary frames, None counts (up to 255).

    Returns
    -------
    numpy.ndarray of uint8, (B, T, C)
    """
    n_steps, channels, limit = _checked(events, dt, n_steps, channels, clip)
    out = np.empty((len(events), n_steps, channels), np.uint8)
    block = max(1, _BLOCK_CELLS // (n_steps * channels))
    for start in bar(range(0, len(events), block), _TITLE):
        _fill(events, start, dt, limit, out[start : start + block])
    return out


def binned_events(
    events: EventSet, dt: float, n_steps: int | None = None, channels: int | None = None, clip: int | None = 1
) -> BinnedEvents:
    """Bin as :func:`frames` does, but return only the non-zero cells, in compressed rows of (utterance, step).

    Parameters
    ----------
    events, dt, n_steps, channels, clip
        As in :func:`frames`, with the same defaults.

    Returns
    -------
    BinnedEvents
        Its ``dense()`` equals what :func:`frames` returns, which may take far more memory.

    Warns
    -----
    UserWarning
        As :func:`frames`, if more than 5 % of the spikes are cropped.
    """
    n_steps, channels, limit = _checked(events, dt, n_steps, channels, clip)
    block = max(1, _BLOCK_CELLS // (n_steps * channels))
    scratch = np.empty((min(block, len(events)), n_steps, channels), np.uint8)
    parts = [BinnedEvents.of(scratch[:0])]
    for start in bar(range(0, len(events), block), _TITLE):
        part = scratch[: len(events) - start]
        _fill(events, start, dt, limit, part)
        parts.append(BinnedEvents.of(part))
    sizes = np.concatenate([np.zeros(1, np.int64), *(np.diff(part.indptr) for part in parts)])
    channel, count = np.concatenate([part.channel for part in parts]), np.concatenate([part.count for part in parts])
    return BinnedEvents(np.cumsum(sizes), channel, count, (len(events), n_steps, channels))


def cropped_share(events: EventSet, dt: float, n_steps: int) -> float:
    """Share of all spikes that frames of ``n_steps`` bins of ``dt`` seconds leave out: of those on an edge, too, if only to single
    precision."""
    require(isinstance(events, EventSet), "events", "be an EventSet", events)
    dt, n_steps = number(dt, "dt [s]", above=0.0), whole(n_steps, "n_steps", least=1, most=_MOST_STEPS)
    # few of many: those before lie in an earlier bin, whatever their rounding
    late = events.times[events.times >= (n_steps - 1) * dt * (1 - 4 * _FLOAT32)]
    return np.count_nonzero(bin_of(late, dt) >= n_steps) / max(len(events.times), 1)


def bin_of(times: Any, dt: float) -> Any:
    """Bins (...) int64, from 0, that spikes at ``times`` (...) [s] fall into; what is just before an edge counts as on it."""
    bins = np.minimum(np.asarray(times, np.float64) / dt, _LAST_BIN)
    return np.floor(bins + np.minimum(bins * _FLOAT32 + _EDGE, _MOST_EDGE)).astype(np.int64)


def _fill(events: EventSet, start: int, dt: float, limit: int, out: np.ndarray) -> None:
    """Bin utterances ``start .. start + len(out)`` into ``out`` (b, T, C)."""
    b, n_steps, channels = out.shape
    spikes = slice(events.offsets[start], events.offsets[start + b])
    step = bin_of(events.times[spikes], dt)
    group = events.units[spikes].astype(np.int64) * channels // events.n_channels
    row = np.repeat(np.arange(b), np.diff(events.offsets[start : start + b + 1]))
    inside = (step >= 0) & (step < n_steps)
    cell = ((row * n_steps + step) * channels + group)[inside]
    out[...] = 0
    if limit == 1:
        out.reshape(-1)[cell] = 1
    else:  # not counted in an array of all cells, which would take eight times their memory
        cell, counts = np.unique(cell, return_counts=True)
        out.reshape(-1)[cell] = np.minimum(counts, limit)


def _checked(events: EventSet, dt: float, n_steps: int | None, channels: int | None, clip: int | None) -> tuple[int, int, int]:
    require(isinstance(events, EventSet), "events", "be an EventSet", events, "Read it with datasets.read_shd, or make SpokenDigits.")
    dt = number(dt, "dt [s]", above=0.0, cure="Usual bin widths are 1e-3 to 1e-2 s.")
    if n_steps is None:
        n_steps = int(bin_of(events.durations.max(initial=0.0), dt)) + 1
    n_steps = whole(n_steps, "n_steps", least=1, most=_MOST_STEPS, cure="A wider bin needs fewer. Times are in seconds.")
    most = events.n_channels
    channels = most if channels is None else whole(channels, "channels", least=1, most=most, cure="The data have no more.")
    clip = 255 if clip is None else whole(clip, "clip", least=1, most=255, cure="None counts.")
    cells = len(events) * n_steps * channels
    require(cells <= _MOST_CELLS, "n_steps", f"make at most {_MOST_CELLS} cells of utterances, steps and channels", n_steps, "Widen dt.")
    share = cropped_share(events, dt, n_steps)
    if share > _CROP_WARNING:
        text = f"{share:.1%} of the spikes lie beyond n_steps * dt = {n_steps * dt:g} s and are cropped."
        warnings.warn(text, stacklevel=3)
    return n_steps, channels, clip
