"""Weighted sums of a layer's input in integers, and their gradients: over events, shared among threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from .._support import aligned
from ..arithmetic import WEIGHT_ONE
from ..errors import require, told_most
from ..masks import WORD
from ..sums import LARGEST_SUM, MAX_COUNT
from . import training_kernels as kernels
from .buffers import owned
from .checks import COUNTS, COUNTS_CURE, check_finite
from .threads import parted, parts_of, ranges, reusing, share, thread_count
from .tiles import COLUMNS, ROWS
from .weight_kernels import CELLS, PART, turn_counts

MARKED, PRODUCTS = 8, 64
"""Cells whose bits are set, and products of a gradient, in about a neuron's time step: work on fewer is not worth a thread."""


class Listed(NamedTuple):
    """Non-zero cells of (B, T, C) by (sample, step), in compressed rows."""

    start: np.ndarray  # (B * T + 1,) int64
    channel: np.ndarray  # int32
    value: np.ndarray  # int32


class BatchEvents(NamedTuple):
    """Non-zero cells of (B, T, C)."""

    by_step: np.ndarray  # (B, T, words of C) int64: a bit each
    by_channel: np.ndarray  # (B, C, words of T) int64: the same
    counts: np.ndarray  # (B, C) int32: their number
    listed: Listed | None  # the same with their values; None: all are 1

    @property
    def largest(self) -> tuple[float, float]:
        """The largest value, and the most in a step where that is more than 1."""
        if self.listed is None:
            return 1.0, 1.0
        until = np.concatenate([[0], np.cumsum(self.listed.value, dtype=np.int64)])[self.listed.start]
        return float(self.listed.value.max()), float(np.diff(until).max())


def batch_events(x: np.ndarray) -> BatchEvents:
    """Mark the non-zero cells of x (B, T, C), which must hold whole numbers: spikes, or counts of them.

    Raises
    ------
    InputError
        If a value is not such a number.
    """
    batch, steps, channels = x.shape
    if x.dtype == bool:
        x = x.astype(np.uint8)  # no view: the bytes of a mask of 0 and 255 that is seen as bools would be counts
    along_steps = abs(x.strides[1]) < abs(x.strides[2])
    rows = x.transpose(0, 2, 1) if along_steps else x  # along memory
    rows = rows if rows.strides[2] == rows.itemsize else np.ascontiguousarray(rows)
    by_step, by_channel = np.empty((batch, steps, words_of(channels)), np.int64), np.empty((batch, channels, words_of(steps)), np.int64)
    bits, turned = (by_channel, by_step) if along_steps else (by_step, by_channel)
    counts = np.empty((batch, channels), np.int32)

    def mark(block: np.ndarray, first: int, last: int) -> bool:
        others = kernels.mark_events(rows, bits, first, last)
        kernels.turn_bits(bits, turned, block, first, last)
        kernels.count_bits(by_channel, counts, first, last)
        return others

    others = share(reusing(turning_block, mark), parts_of(batch, steps * channels // MARKED, 8))
    return BatchEvents(by_step, by_channel, counts, _listed(x, by_step) if any(others) else None)


def _listed(x: np.ndarray, by_step: np.ndarray) -> Listed:
    """List the cells of x (B, T, C) that by_step marks; an InputError if one is no count."""
    batch, steps, channels = x.shape
    parts, counts = parts_of(batch, steps * channels, 8), np.empty((batch, steps), np.int32)
    share(lambda a, b: kernels.count_bits(by_step, counts, a, b), parts)
    start = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts, out=start[1:], dtype=np.int64)
    channel, value = np.empty(start[-1], np.int32), np.empty(start[-1], np.int32)
    share(lambda a, b: kernels.list_events(by_step, start, channel, a, b), parts)
    if sum(share(lambda a, b: kernels.read_events(x, start, channel, value, a, b), parts)):
        bad = x[(x != np.rint(x)) | ~((x >= 0) & (x <= MAX_COUNT))]
        require(False, "input", COUNTS, float(bad[0]), COUNTS_CURE)
    return Listed(start, channel, value)


def words_of(cells: int) -> int:
    """Number of words that hold a bit of each of some cells."""
    return -(-cells // WORD)


def turning_block() -> np.ndarray:
    """Scratch in which bits are turned."""
    return np.empty(WORD, np.int64)


def counts_by_input(w: torch.Tensor) -> np.ndarray:
    """Quantised weights (out, in) as contiguous counts (in, out): int16 where they fit, which halves the memory to read, else int32."""
    values = np.ascontiguousarray(w.detach().numpy())
    unit, parts = values.dtype.type(WEIGHT_ONE), ranges(values.shape[1], PART)

    def turned(kind: Any) -> tuple[np.ndarray, float]:
        counts = aligned.empty(values.shape[::-1], kind)
        found = share(lambda a, b: turn_counts(values, unit, counts, np.empty(CELLS, values.dtype), a, b), parts)
        return counts, np.max(found, initial=0.0)

    counts, largest = turned(np.int16)
    check_finite(np.asarray(largest), "weights")  # of a nan, the maximum is nan, too
    most = LARGEST_SUM // max(len(counts), 1)
    rule = f"be at most {told_most(most / WEIGHT_ONE, 6)}, so that no sum of {len(counts)} spikes leaves 32 bits"
    require(largest <= most, "weights", rule, float(largest) / WEIGHT_ONE, "Quantise them: 8 bits are what files hold.")
    return counts if largest < 1 << 15 else turned(np.int32)[0]


def projector(events: BatchEvents, w: torch.Tensor, bias: torch.Tensor | None) -> Callable[[np.ndarray, int, int], None]:
    """Return a function that fills an array (last - first, T, N) int32 with the synaptic input [1/64 unit] of samples first .. last - 1.

    Parameters
    ----------
    events : BatchEvents
        Input of the layer.
    w : (N, C)
        Quantised weights, in units of weight 1.
    bias : (N,), optional
        Constant input, in units of weight 1.
    """
    constant = np.zeros(w.shape[0]) if bias is None else bias.detach().numpy()
    check_finite(constant, "bias")
    start = np.rint(constant * WEIGHT_ONE).astype(np.int32)
    table, listed = counts_by_input(w), events.listed
    if listed is not None:
        return lambda sums, first, last: kernels.project(*listed, table, start, sums, first, last)

    def fill(places: np.ndarray, sums: np.ndarray, first: int, last: int) -> None:
        kernels.project_marks(events.by_step, table, start, places, sums, first, last)

    return reusing(lambda: np.empty(w.shape[1], np.int32), fill)


class Events(NamedTuple):
    """Non-zero cells of (B, T, C), which weights were multiplied with."""

    by_channel: np.ndarray  # (B, C, words of T) int64: a bit each
    counts: np.ndarray  # (B, C) int32: their number
    x: np.ndarray | None = None  # (B, T, C): the cells, where they are not only 0 and 1


class EventLists:
    """The same for the gradient of weights: channel by channel, those of each part of the batch behind those of the part before.

    Parameters
    ----------
    events : Events
    parts : list of (first, last)
        Samples of each part, all but the last of equally many.
    grad : (B, T, N)
        Gradient of the sums, or what has its shape and type.
    """

    def __init__(self, events: Events, parts: Sequence[tuple[int, int]], grad: np.ndarray) -> None:
        self.events, self.steps = events, grad.shape[1]
        channels = events.counts.shape[1]
        self.offset = np.zeros((len(parts), channels + 1), np.int64)
        if parts:
            kernels.offsets(events.counts, parts[0][1], self.offset)
        self.rows = np.empty(self.offset.max(initial=0), np.int32)
        self.times = None if events.x is None else np.empty(len(self.rows), grad.dtype)
        self.tensor, self.out = owned((channels, grad.shape[2]), grad.dtype)

    def write(self, part: int, first: int, last: int) -> None:
        """List the events of a part."""
        at, end = self.offset[part, 0], self.offset[part, -1]
        kernels.list_rows(self.events.by_channel, self.events.x, self.rows, self.times, at, end, self.steps, first, last)

    def gather(self, flat: np.ndarray, first: int, last: int, column: int) -> None:
        """Sum up the gradient of some channels' weights to COLUMNS neurons."""
        kernels.gather_rows(self.offset, self.rows, self.times, flat, self.out, first, last, column)


def weight_gradients(lists: Sequence[EventLists], grad: np.ndarray) -> list[torch.Tensor]:
    """Gradients dL/dw (N, C) of weights, of each of some kinds of events that reach the same neurons.

    Parameters
    ----------
    lists : list of EventLists
        All of their parts written.
    grad : (B, T, N)
        dL/d(synaptic input).
    """
    flat, size = grad.reshape(-1), grad.shape[2]
    # all channels of a part while its columns are in the cache; fewer at a time where that would leave threads without work
    blocks, pieces = range(0, size, COLUMNS), []
    for one in lists:
        channels = len(one.out)
        chunk = -(-channels * len(blocks) // (2 * thread_count())) if len(blocks) < 2 * thread_count() else channels
        pieces += [(one, a, b, column) for column in blocks for a, b in ranges(channels, max(chunk, 1))]
    worth = parted(size * sum(len(one.rows) for one in lists) // PRODUCTS)
    share(lambda one, a, b, column: one.gather(flat, a, b, column), pieces, worth)
    return [one.tensor.t() for one in lists]


def over_input(grad: np.ndarray, w: torch.Tensor) -> torch.Tensor:
    """dL/dx (B, C, T) from dL/dinput (B, T, N)."""
    rows, columns = grad.reshape(-1, grad.shape[2]), w.shape[1]
    table = kernels.panels(w.detach().numpy().astype(rows.dtype, copy=False))
    over, out = owned((rows.shape[0], columns), rows.dtype)
    filled = kernels.filled_columns(columns, out.itemsize)

    def multiply(products: np.ndarray, first: int, last: int) -> None:
        kernels.multiply_rows(rows, table, out, products, first, last)

    parts = parts_of(len(rows), columns * grad.shape[2] // PRODUCTS, 256)
    share(reusing(lambda: aligned.empty((ROWS, filled), out.dtype), multiply), parts)
    return over.reshape(*grad.shape[:2], columns).transpose(1, 2)
