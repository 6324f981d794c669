"""Compiled training loops with integers or plain sums: events, the forward pass of a layer, gradients of weights.

All are serial over the part (samples or columns) they are given and release the interpreter lock: threads share the work. The
results do not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._support import aligned
from ..arithmetic import ACT_SHIFT
from ..cached import cached
from ..compiled import contracted, inlined, load, read, store, widest_vectors
from ..delay_lines import MAX_DELAY
from ..fast.synapses import add_rows
from ..kernels import fixed_layer_step, input_count
from ..masks import WORD, bit_count, list_bits, lowest_bit, transpose, word_of
from ..sums import MAX_COUNT
from .tiles import COLUMNS, ROWS, add_product, add_weighted_rows, prefetch_written
from .tiles import product_columns as _product_columns

PAST = MAX_DELAY + 1
"""Number of past steps whose spikes a recurrent layer may need: the largest delay plus one."""


product_columns = inlined(_product_columns)


@cached
def mark_events(x, bits, first, last):
    """Find the non-zero cells of samples first .. last - 1 of x (B, R, S), contiguous along S: a bit a cell of bits (B, R, words of S).

    Returns whether cells are other than 0 and 1.
    """
    zero, one, size = x.dtype.type(0), x.dtype.type(1), x.shape[2]
    others = False
    for b in range(first, last):
        for r in range(x.shape[1]):
            row = x[b, r]
            for w in range(bits.shape[2]):
                end = min(WORD * (w + 1), size)
                found = word_of(row, WORD * w, end, zero)
                others |= (found & word_of(row, WORD * w, end, one)) != 0
                bits[b, r, w] = found
    return others


@cached
def turn_bits(bits, turned, block, first, last):
    """turned (B, S, words of R) int64 = bits (B, R, words of S) with rows and cells exchanged. block (WORD,) int64 is scratch."""
    for b in range(first, last):
        for v in range(turned.shape[2]):
            rows = min(WORD, bits.shape[1] - WORD * v)
            for w in range(bits.shape[2]):
                for k in range(WORD):
                    block[k] = bits[b, WORD * v + k, w] if k < rows else 0
                transpose(block)
                for k in range(min(WORD, turned.shape[1] - WORD * w)):
                    turned[b, WORD * w + k, v] = block[k]


@cached
def count_bits(bits, counts, first, last):
    """counts (B, R) int32 = number of set bits of each row of bits (B, R, words)."""
    for b in range(first, last):
        for r in range(bits.shape[1]):
            found = 0
            for w in range(bits.shape[2]):
                found += bit_count(bits[b, r, w])
            counts[b, r] = found


@cached
def list_events(bits, start, places, first, last):
    """List the set bits of bits (B, R, words) in rising order: row r of sample b owns places[start[b R + r]:start[b R + r + 1]] (int32)."""
    rows = bits.shape[1]
    at, end = start[first * rows], start[last * rows]
    for b in range(first, last):
        for r in range(rows):
            for w in range(bits.shape[2]):
                at = list_bits(bits[b, r, w], WORD * w, places, at, end)


@cached
def offsets(counts, samples, offset):
    """offset (K, C + 1) int64: where each channel's events begin in each part of the batch, of so many samples (the last may have fewer),
    if they lie channel by channel, part behind part; and where the last one's end. counts (B, C) int32."""
    at = 0
    for k in range(offset.shape[0]):
        for c in range(counts.shape[1]):
            offset[k, c] = 0
        for b in range(k * samples, min((k + 1) * samples, counts.shape[0])):
            for c in range(counts.shape[1]):
                offset[k, c] += counts[b, c]
        for c in range(counts.shape[1]):
            found = offset[k, c]
            offset[k, c] = at
            at += found
        offset[k, counts.shape[1]] = at


@cached
def read_events(x, start, channel, value, first, last):
    """Values (int32) of the listed cells of x (B, T, C). Returns how many are not whole numbers from 0 to 2^15 - 1."""
    steps, wrong = x.shape[1], 0
    for b in range(first, last):
        for t in range(steps):
            for e in range(start[b * steps + t], start[b * steps + t + 1]):
                cell = x[b, t, channel[e]]
                value[e] = int(cell)
                wrong += not ((cell == value[e]) & (cell >= 0) & (cell <= MAX_COUNT))
    return wrong


@cached
def project(start, channel, value, w, bias, sums, first, last):
    """sums (last - first, T, N) int32 = bias + sum over events of value * row of w (C, N) int16 or int32."""
    steps, n = sums.shape[1], sums.shape[2]
    for b in range(first, last):
        for t in range(steps):
            row = sums[b - first, t]
            for i in range(n):
                store(row, i, read(bias, i))
            add_rows(w, 1, channel, value, start[b * steps + t], start[b * steps + t + 1], row)


@cached
def project_marks(bits, w, bias, listed, sums, first, last):
    """The same of events that are all 1: bits (B, T, words of C). listed (C,) int32 is scratch."""
    steps, n = sums.shape[1], sums.shape[2]
    for b in range(first, last):
        for t in range(steps):
            row, found = sums[b - first, t], 0
            for i in range(n):
                store(row, i, read(bias, i))
            for k in range(bits.shape[2]):
                found = list_bits(bits[b, t, k], WORD * k, listed, found, listed.size)
            add_rows(w, 1, listed, None, 0, found, row)


class ForwardLayer(NamedTuple):
    """A layer of N neurons as :func:`recurrent_forward` runs it, ``group`` samples together: they make longer loops of small layers."""

    w_rec: Any  # (N, N) int16 or int32, row j the weights of spikes of neuron j; or (0, N)
    delay_rec: Any  # (N,) int64
    program: Any  # FixedProgram of M neurons: group * N, filled up
    alike: bool  # whether all neurons are one device
    noisy: bool
    substeps: int
    v_max: int  # largest input [counts]
    shift: int  # 1: the output is one step late
    group: int


class ForwardBatch(NamedTuple):
    """What :func:`recurrent_forward` reads and writes of B samples."""

    generator: Any  # (B, N) int64, or (B, 0)
    arrivals: Any  # (B, T, words of N) int64: a bit for each neuron whose recurrent spike arrives; of spikes before the start given
    history: Any  # (B, T + 1, 3, N) int32: states before each step, the first given; or (B, 1, 3, N): the last states in their place
    counts: Any  # (B, T, N) int16: synaptic input, cut to between -1 and one above the largest that counts; or (B, 0, N)
    fired: Any  # (B, K, N) uint8: the spikes of the last K steps, 0 to T
    out: Any  # (B, T, N) real: the spikes, ``shift`` steps later


class ForwardScratch(NamedTuple):
    """Memory of one thread of :func:`recurrent_forward`; see :func:`forward_scratch`."""

    state: Any  # (3, M) int32
    v_in: Any  # (M,) int32
    spike: Any  # (M,) int32
    drawn: Any  # (M,) int64
    listed: Any  # (N,) int32


def forward_scratch(lanes: int, size: int) -> ForwardScratch:
    """Scratch for a layer of ``size`` neurons that is stepped in so many lanes."""
    return ForwardScratch(
        aligned.zeros((3, lanes), np.int32),
        aligned.zeros(lanes, np.int32),
        aligned.zeros(lanes, np.int32),
        aligned.zeros(lanes, np.int64),
        aligned.zeros(size, np.int32),
    )


@cached
def carry_spikes(past, delay_rec, arrivals, first, last):
    """Mark in arrivals, see :class:`ForwardBatch`, the spikes of the PAST steps before the start: past (B, PAST, N) uint8."""
    for b in range(first, last):
        for j in range(past.shape[2]):
            for t in range(min(delay_rec[j] + 1, arrivals.shape[1])):
                arrivals[b, t, j >> 6] |= int(past[b, PAST + t - 1 - delay_rec[j], j]) << (j & 63)


@cached
def recurrent_forward(layer, batch, sums, scratch, first, last):
    """Samples first .. last - 1 of a layer through time, in integers.

    sums (last - first, T, N) int32: synaptic input, to which the recurrence adds.
    """
    state, v_in, listed = scratch.state, scratch.v_in, scratch.listed
    n, steps, words = batch.out.shape[2], batch.out.shape[1], batch.arrivals.shape[2]
    beyond = (layer.v_max >> ACT_SHIFT) + 1
    for b0 in range(first, last, layer.group):
        members = min(layer.group, last - b0)
        for i in range(v_in.size):
            state[0, i] = state[1, i] = state[2, i] = v_in[i] = 0
        for s in range(members):
            for k in range(3):
                for i in range(n):
                    state[k, s * n + i] = batch.history[b0 + s, 0, k, i]
            for i in range(batch.generator.shape[1]):
                scratch.drawn[s * n + i] = batch.generator[b0 + s, i]
        for t in range(steps):
            for s in range(members):
                if t + 2 < batch.history.shape[1]:
                    for k in range(3):
                        prefetch_written(batch.history[b0 + s, t + 2, k])
                if t + 1 < batch.counts.shape[1]:
                    prefetch_written(batch.counts[b0 + s, t + 1])
                    prefetch_written(batch.out[b0 + s, t + 1])
                row, found = sums[b0 - first + s, t], 0
                for w in range(words):
                    found = list_bits(batch.arrivals[b0 + s, t, w], WORD * w, listed, found, n)
                if words:
                    add_rows(layer.w_rec, 1, listed, None, 0, found, row)
                if batch.counts.shape[1]:
                    cut = batch.counts[b0 + s, t]
                    for i in range(n):
                        store(cut, i, min(max(load(row, i), -1), beyond))
                for i in range(n):
                    store(v_in, s * n + i, input_count(load(row, i), layer.v_max))
            fixed_layer_step(
                state[0], state[1], state[2], scratch.drawn, v_in, layer.program, layer.substeps, layer.noisy, layer.alike, scratch.spike
            )
            for s in range(members):
                for k in range(3):
                    now, kept = state[k], batch.history[b0 + s, min(t + 1, batch.history.shape[1] - 1), k]
                    for i in range(n):
                        store(kept, i, load(now, s * n + i))
                for w in range(words):
                    word = word_of(scratch.spike, s * n + WORD * w, s * n + min(WORD * (w + 1), n), np.int32(0))
                    while word != 0:
                        bit = lowest_bit(word)
                        to = t + 1 + layer.delay_rec[WORD * w + bit]
                        if to < steps:
                            batch.arrivals[b0 + s, to, w] |= 1 << bit
                        word &= word - 1
                if t >= steps - batch.fired.shape[1]:
                    kept = batch.fired[b0 + s, t - steps + batch.fired.shape[1]]
                    for i in range(n):
                        store(kept, i, load(scratch.spike, s * n + i))
                if t + layer.shift < steps:
                    seen = batch.out[b0 + s, t + layer.shift]
                    for i in range(n):
                        seen[i] = scratch.spike[s * n + i]
        for s in range(members):
            for i in range(batch.generator.shape[1]):
                batch.generator[b0 + s, i] = scratch.drawn[s * n + i]


@cached
def list_rows(bits, x, rows, times, at, end, steps, first, last):
    """List the events of samples first .. last - 1 channel by channel, those of a sample after those of the one before, from ``at`` to
    ``end``: rows int32, sample * steps + step; and times, their values in x (B, T, C), unless x is None.

    bits (B, C, words of T).
    """
    for c in range(bits.shape[1]):
        for b in range(first, last):
            begin = at
            for w in range(bits.shape[2]):
                at = list_bits(bits[b, c, w], b * steps + WORD * w, rows, at, end)
            if x is not None:
                for e in range(begin, at):
                    times[e] = x[b, rows[e] - b * steps, c]


@cached
def gather_rows(offset, rows, times, grad, out, first, last, column):
    """out (C, N) row c = sum of times * rows of grad (B * T * N,), for channels first .. last - 1 and COLUMNS columns from ``column`` on.
    times None: all are 1.

    offset (K, C + 1) int64: those of channel c and samples of part k are rows[offset[k, c]:offset[k, c + 1]].
    """
    widest_vectors()
    n = out.shape[1]
    for c in range(first, last):
        for x in range(column, min(column + COLUMNS, n)):
            out[c, x] = 0
    for k in range(offset.shape[0]):  # these columns of a part stay in the second cache or closer
        for c in range(first, last):
            if offset[k, c] == offset[k, c + 1]:  # no sums to be fetched and put back
                continue
            if column + COLUMNS <= n:
                add_weighted_rows(grad, n, column, rows, times, offset[k, c], offset[k, c + 1], out[c])
            else:
                total = out[c]
                for e in range(offset[k, c], offset[k, c + 1]):
                    row = rows[e] * n
                    for x in range(column, n):
                        value = read(grad, row + x)
                        store(total, x, load(total, x) + (value if times is None else times[e] * value))


def filled_columns(columns: int, itemsize: int) -> int:
    """Number of columns, filled up to whole panels of :func:`panels`."""
    tile = _product_columns(itemsize)
    return -(-columns // tile) * tile


def panels(w: np.ndarray) -> np.ndarray:
    """A matrix (N, C) as :func:`add_products` reads it: panels of a tile's columns one after the other, filled up with zeros."""
    n, c = w.shape
    filled = np.zeros((n, filled_columns(c, w.itemsize)), w.dtype)
    filled[:, :c] = w
    columns = _product_columns(w.itemsize)
    turned = aligned.empty((filled.shape[1] // columns, n, columns), w.dtype)
    turned[...] = filled.reshape(n, -1, columns).transpose(1, 0, 2)
    return turned.reshape(-1)


@contracted
def add_products(g0, g1, g2, g3, w, o0, o1, o2, o3):
    """Add vector-matrix products to four rows at once: o (filled columns,) += g (N,) w, with w from :func:`panels`."""
    widest_vectors()
    for column in range(0, o0.size, product_columns(o0.itemsize)):
        add_product(g0, g1, g2, g3, w, column * g0.size, column, o0, o1, o2, o3)


@cached
def multiply_rows(grad, w, out, products, first, last):
    """Rows first .. last - 1 of out (R, C) = grad (R, N) times w, which is as :func:`panels` has it; products (4, filled C) scratch."""
    end = last - 1
    for r in range(first, last, ROWS):
        for k in range(ROWS):
            for j in range(products.shape[1]):
                products[k, j] = 0
        add_products(
            grad[r], grad[min(r + 1, end)], grad[min(r + 2, end)], grad[min(r + 3, end)], w,
            products[0], products[1], products[2], products[3],
        )  # fmt: skip
        for k in range(min(ROWS, last - r)):
            for j in range(out.shape[1]):
                out[r + k, j] = products[k, j]
