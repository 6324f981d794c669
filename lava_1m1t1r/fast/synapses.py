"""How a spike reaches the neurons of a layer: through a matrix row, a single weight, or the kernels of a convolution."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..compiled import compiled, inlined, load, read, store, widest_vectors


class Synapse(NamedTuple):
    """Weights of a layer of N neurons, filled up to M, with C inputs. One of ``rows`` and ``kernels`` is empty."""

    rows: Any  # (C, M) int16: a row per input; (1, 1) with single; (0, 0)
    single: bool  # input n reaches neuron n alone, all with the weight rows[0, 0]
    kernels: Any  # (channels, kernel height, kernel width, features of a group) int16, or (0, 0, 0, 0)
    row: Any  # (H, kernel height) int32: output row that an input row reaches by each tap, or -1
    column: Any  # (W, kernel width) int32
    first: Any  # (channels,) int32: neuron at the corner of the first feature that a channel reaches
    width: int  # of the output
    plane: int  # neurons of a feature


_NO_ROWS, _NO_TAPS, _NO_KERNELS = np.zeros((0, 0), np.int16), np.zeros((0, 0), np.int32), np.zeros((0, 0, 0, 0), np.int16)
_NO_FIRST = np.zeros(0, np.int32)


def matrix(rows: np.ndarray, single: bool = False) -> Synapse:
    """A synapse from rows (C, M) int16, or (1, 1)."""
    return Synapse(np.ascontiguousarray(rows), single, _NO_KERNELS, _NO_TAPS, _NO_TAPS, _NO_FIRST, 0, 0)


def convolution(conv: Any, weight: np.ndarray) -> Synapse:
    """A synapse from a :class:`..convolution.Convolution` and its weights."""
    of_group, per_group = conv.features // conv.groups, conv.inputs[0] // conv.groups
    kernels = conv.full(weight).reshape(conv.groups, of_group, per_group, *conv.kernel).transpose(0, 2, 3, 4, 1)
    kernels = np.ascontiguousarray(kernels.reshape(conv.inputs[0], *conv.kernel, of_group), np.int16)
    row, column = conv.targets()
    _, height, width = conv.shape
    first = (np.arange(conv.inputs[0]) // per_group * of_group * height * width).astype(np.int32)
    return Synapse(_NO_ROWS, False, kernels, row, column, first, width, height * width)


@compiled
def _scatter(synapse, source, times, current):
    image = synapse.row.shape[0] * synapse.column.shape[0]
    channel = source // image
    y, x = (source - channel * image) // synapse.column.shape[0], source % synapse.column.shape[0]
    kernels = synapse.kernels[channel]
    plane = synapse.plane
    for i in range(kernels.shape[0]):
        row = synapse.row[y, i]
        if row >= 0:
            for j in range(kernels.shape[1]):
                column = synapse.column[x, j]
                if column >= 0:
                    at = synapse.first[channel] + row * synapse.width + column
                    weights = kernels[i, j]
                    for f in range(weights.size):
                        current[at + f * plane] += times * weights[f]


@inlined
def _times(count, e):
    if count is None:
        return 1
    return count[e]


@compiled
def add_rows(rows, source, count, first, last, current):
    """Add the rows of spikes ``first`` to ``last`` to current (M,) int32. count None: one spike each."""
    widest_vectors()
    e = first
    while e + 4 <= last:  # four rows together: their memory is fetched at the same time, and the sums are read and written once
        a, b, c, d = rows[source[e]], rows[source[e + 1]], rows[source[e + 2]], rows[source[e + 3]]
        i, j, k, m = _times(count, e), _times(count, e + 1), _times(count, e + 2), _times(count, e + 3)
        for n in range(current.size):
            store(current, n, load(current, n) + i * read(a, n) + j * read(b, n) + k * read(c, n) + m * read(d, n))
        e += 4
    for rest in range(e, last):
        row, times = rows[source[rest]], _times(count, rest)
        for n in range(current.size):
            store(current, n, load(current, n) + times * read(row, n))


@inlined
def add(synapse, source, count, first, last, current):
    """Add what the spikes ``first`` to ``last`` bring, ``count`` at input ``source`` each, to current (M,) int32."""
    if synapse.kernels.shape[0] > 0:
        for e in range(first, last):
            _scatter(synapse, source[e], count[e], current)
    elif synapse.single:
        for e in range(first, last):
            current[source[e]] += count[e] * synapse.rows[0, 0]
    else:
        add_rows(synapse.rows, source, count, first, last, current)
