"""Compiled passes over whole weight matrices: work that every call of a layer does once, for any number of steps.

Most transpose the matrix at the same time, block by block through a buffer. Rows whose length is a power of two map to the same cache sets;
with more rows than these can hold, each cache line would be fetched again for every number in it. All are serial over the part they are
given; results do not depend on the number of threads.
"""

from __future__ import annotations

import numpy as np

from ..cached import cached
from ..compiled import inlined, load, read, store, widest_vectors

BLOCK = 16
"""Number of rows and of columns of a block: a row fills one or two cache lines."""
CELLS = BLOCK * BLOCK
"""Number of values in the scratch."""
PART = 256
"""Number of rows or columns that a thread transposes at a time."""


@cached
def quantise_values(x, step, low, high, out, inside):
    """Multiples of step nearest to x (K,), limited to [low, high]; nan for others. inside (K,) uint8: whether they were within."""
    widest_vectors()
    for i in range(x.size):
        value = load(x, i)
        nearest = np.rint(value / step) * step + (value - value)  # the difference is 0, or nan
        store(inside, i, 1 if (nearest >= low) & (nearest <= high) else 0)
        nearest = low if nearest < low else nearest
        store(out, i, high if nearest > high else nearest)


@inlined
def _counts(w, unit, out, scratch, n0, c0, rows, columns):
    largest, bad = w.dtype.type(0), w.dtype.type(0)
    for i in range(rows):
        source = w[n0 + i]
        for k in range(columns):
            value = np.rint(load(source, c0 + k) * unit)
            bad += value - value
            magnitude = abs(value)
            largest = magnitude if magnitude > largest else largest
            store(scratch, i * BLOCK + k, value)
    for k in range(columns):
        target = out[c0 + k]
        for i in range(rows):
            store(target, n0 + i, load(scratch, i * BLOCK + k))
    return largest + bad


@cached
def turn_counts(w, unit, out, scratch, first, last):
    """out (C, N) = w (N, C) times unit in whole numbers, columns first .. last - 1 of w; returns their largest magnitude.

    Values that are nan, infinite or too large for out's type leave meaningless numbers, which the magnitude shows (nan, or infinity).
    """
    largest, bad = w.dtype.type(0), w.dtype.type(0)
    n = w.shape[0]
    for n0 in range(0, n, BLOCK):
        for c0 in range(first, last, BLOCK):
            rows, columns = min(BLOCK, n - n0), min(BLOCK, last - c0)
            if rows == BLOCK and columns == BLOCK:  # loops of constant length
                found = _counts(w, unit, out, scratch, n0, c0, BLOCK, BLOCK)
            else:
                found = _counts(w, unit, out, scratch, n0, c0, rows, columns)
            bad += found - found
            largest = found if found > largest else largest
    return largest + bad


@inlined
def _masked(grad, inside, out, scratch, n0, c0, rows, columns):
    zero = grad.dtype.type(0)
    for k in range(columns):
        source = grad[c0 + k]
        for i in range(rows):
            store(scratch, k * BLOCK + i, load(source, n0 + i))
    for i in range(rows):
        target, kept = out[n0 + i], inside[n0 + i]
        for k in range(columns):
            store(target, c0 + k, load(scratch, k * BLOCK + i) if read(kept, c0 + k) != 0 else zero)


@cached
def turn_masked(grad, inside, out, scratch, first, last):
    """out (N, C) = grad (C, N) transposed where inside (N, C) uint8 is not 0, else 0: rows first .. last - 1 of out."""
    c = grad.shape[0]
    for n0 in range(first, last, BLOCK):
        for c0 in range(0, c, BLOCK):
            rows, columns = min(BLOCK, last - n0), min(BLOCK, c - c0)
            if rows == BLOCK and columns == BLOCK:
                _masked(grad, inside, out, scratch, n0, c0, BLOCK, BLOCK)
            else:
                _masked(grad, inside, out, scratch, n0, c0, rows, columns)
