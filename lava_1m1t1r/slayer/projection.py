"""Weighted sums of a layer's input in integers, and their gradients: over events, shared among threads."""

from __future__ import annotations

from collections.abc import Callable
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
from .threads import numbered, parts_of, ranges, reusing, share, thread_count
from .tiles import COLUMNS, ROWS
from .weight_kernels import CELLS, PART, turn_counts


class BatchEvents(NamedTuple):
    """Non-zero cells of (B, T, C) by (sample, step), in compressed rows."""

    start: np.ndarray  # (B * T + 1,) int64
    channel: np.ndarray  # int32
    value: np.ndarray | None  # int32; None: all are 1
    bits: np.ndarray  # (B, C, words of T) int64: the same by (sample, channel), a bit each

    @property
    def largest(self) -> tuple[float, float]:
        """The largest value, and the most in a step where that is more than 1."""
        if self.value is None:
            return 1.0, 1.0
        until = np.concatenate([[0], np.cumsum(self.value, dtype=np.int64)])[self.start]
        return float(self.value.max()), float(np.diff(until).max())


def batch_events(x: np.ndarray) -> BatchEvents:
    """List the non-zero cells of x (B, T, C), which must hold whole numbers: spikes, or counts of them.

    Raises
    ------
    InputError
        If a value is not such a number.
    """
    batch, steps, channels = x.shape
    if x.dtype == bool:
        x = x.astype(np.uint8)  # no view: the bytes of a mask of 0 and 255 that is seen as bools would be counts
    by_channel = abs(x.strides[1]) < abs(x.strides[2])
    rows = x.transpose(0, 2, 1) if by_channel else x  # along memory
    rows = rows if rows.strides[2] == rows.itemsize else np.ascontiguousarray(rows)
    bits = np.empty((*rows.shape[:2], words_of(rows.shape[2])), np.int64)
    parts = parts_of(batch, steps * channels, 8)
    others = share(lambda a, b: kernels.mark_events(rows, bits, a, b), parts)
    turned = _turned(bits, rows.shape[2])
    of_steps, of_channels = (turned, bits) if by_channel else (bits, turned)
    start = _starts(_counts(of_steps).reshape(-1))
    channel = np.empty(start[-1], np.int32)
    share(lambda a, b: kernels.list_events(of_steps, start, channel, a, b), parts)
    events = BatchEvents(start, channel, None, of_channels)
    if not any(others):
        return events
    value = np.empty(len(channel), np.int32)
    if sum(share(lambda a, b: kernels.read_events(x, start, channel, value, a, b), parts)):
        bad = x[(x != np.rint(x)) | ~((x >= 0) & (x <= MAX_COUNT))]
        require(False, "input", COUNTS, float(bad[0]), COUNTS_CURE)
    return events._replace(value=value)


def words_of(cells: int) -> int:
    """Number of words that hold a bit of each of some cells."""
    return -(-cells // WORD)


def _turned(bits: np.ndarray, cells: int) -> np.ndarray:
    """Bits (B, R, words of ``cells``) with rows and cells exchanged: (B, cells, words of R)."""
    batch, rows, _ = bits.shape
    turned = np.empty((batch, cells, words_of(rows)), np.int64)
    turn = reusing(lambda: np.empty(WORD, np.int64), lambda block, a, b: kernels.turn_bits(bits, turned, block, a, b))
    share(turn, parts_of(batch, rows * cells, 8))
    return turned


def _counts(bits: np.ndarray) -> np.ndarray:
    """Number of set bits of each row of bits (B, R, words)."""
    counts = np.empty(bits.shape[:2], np.int64)
    share(lambda a, b: kernels.count_bits(bits, counts, a, b), parts_of(len(bits), bits.shape[1] * bits.shape[2] * WORD, 8))
    return counts


def _starts(counts: np.ndarray) -> np.ndarray:
    """Where each of some lists begins, one behind the other, and the end of the last."""
    start = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts, out=start[1:])
    return start


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
    table = counts_by_input(w)
    return lambda sums, first, last: kernels.project(events.start, events.channel, events.value, table, start, sums, first, last)


_SAMPLES = 4
"""Number of samples whose gradients are added to those of the weights together: what they share stays in the second-level cache."""


def weight_gradient(bits: np.ndarray, x: np.ndarray | None, grad: np.ndarray) -> torch.Tensor:
    """Gradient dL/dw (N, C) of the weights.

    Parameters
    ----------
    bits : (B, C, words)
        Events of the layer's input, as in :class:`BatchEvents`.
    x : (B, T, C), optional
        The input, where it is not only 0 and 1.
    grad : (B, T, N)
        dL/d(synaptic input).
    """
    (batch, steps, size), channels = grad.shape, bits.shape[1]
    parts = numbered(parts_of(batch, steps * size, _SAMPLES))
    counts = np.add.reduceat(_counts(bits), [a for _, a, _ in parts], 0)  # (parts, channels)
    start = _starts(counts.reshape(-1))
    offset = start[np.arange(len(parts))[:, None] * channels + np.arange(channels + 1)]  # (parts, channels + 1)
    rows = np.empty(start[-1], np.int32)
    times = None if x is None else np.empty(len(rows), grad.dtype)
    share(lambda k, a, b: kernels.list_rows(bits, x, rows, times, offset[k, 0], offset[k, -1], steps, a, b), parts)
    over, out = owned((channels, size), grad.dtype)
    out[:] = 0  # not by torch: it would wake its threads
    flat = grad.reshape(-1)
    # all channels of a part while its columns are in the cache; fewer at a time where that would leave threads without work
    blocks = range(0, size, COLUMNS)
    chunk = -(-channels * len(blocks) // (2 * thread_count())) if len(blocks) < 2 * thread_count() else channels
    pieces = [(a, b, column) for column in blocks for a, b in ranges(channels, max(chunk, 1))]
    share(lambda a, b, column: kernels.gather_rows(offset, rows, times, flat, out, a, b, column), pieces)
    return over.t()


def recurrent_gradient(arrivals: np.ndarray, grad: np.ndarray) -> torch.Tensor:
    """Gradient dL/dw (N, N) of the recurrent weights.

    Parameters
    ----------
    arrivals
        As in :class:`.training_kernels.ForwardBatch`.
    grad : (B, T, N)
        dL/d(synaptic input).
    """
    return weight_gradient(_turned(arrivals, grad.shape[2]), None, grad)


def over_input(grad: np.ndarray, w: torch.Tensor) -> torch.Tensor:
    """dL/dx (B, C, T) from dL/dinput (B, T, N)."""
    rows, columns = grad.reshape(-1, grad.shape[2]), w.shape[1]
    table = kernels.panels(w.detach().numpy().astype(rows.dtype, copy=False))
    over, out = owned((rows.shape[0], columns), rows.dtype)
    filled = kernels.filled_columns(columns, out.itemsize)

    def multiply(products: np.ndarray, first: int, last: int) -> None:
        kernels.multiply_rows(rows, table, out, products, first, last)

    share(reusing(lambda: aligned.empty((ROWS, filled), out.dtype), multiply), parts_of(len(rows), columns, 256))
    return over.reshape(*grad.shape[:2], columns).transpose(1, 2)
