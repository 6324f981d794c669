"""How a spike reaches the neurons of a layer: through a matrix row, a single weight, or the kernels of a convolution."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..compiled import compiled, inlined, load, read, store, widest_vectors
from ..sums import ANY_WEIGHTS, EVEN_WEIGHTS


class Rows(NamedTuple):
    """Weights as rows to be added up: ``unit`` times these."""

    rows: Any  # (C, M) int8, or int16 where 8 bits do not hold them
    unit: int


class Synapse(NamedTuple):
    """Weights of a layer of N neurons, filled up to M, with C inputs. One of ``rows`` and ``kernels`` is empty."""

    rows: Any  # a row per input; (1, 1) with single; (0, 0). See Rows
    unit: int
    single: bool  # input n reaches neuron n alone, all with the one weight
    kernels: Any  # (channels, kernel height, kernel width, features of a group) int16, or (0, 0, 0, 0)
    row: Any  # (H, kernel height) int32: output row that an input row reaches by each tap, or -1
    column: Any  # (W, kernel width) int32
    first: Any  # (channels,) int32: first feature that a channel reaches
    width: int  # of the output
    plane: int  # neurons of a feature
    features: int


_NO_ROWS, _NO_TAPS, _NO_KERNELS = np.zeros((0, 0), np.int8), np.zeros((0, 0), np.int32), np.zeros((0, 0, 0, 0), np.int16)
_NO_FIRST = np.zeros(0, np.int32)


def narrow(weights: np.ndarray) -> Rows:
    """Weights (C, M) in as few bytes as hold them: 8-bit weights as such, which files hold as their doubles where all are even."""
    least, most, bits = weights.min(initial=0), weights.max(initial=0), np.bitwise_or.reduce(weights, axis=None)
    for unit, (low, high) in ((1, ANY_WEIGHTS), (2, EVEN_WEIGHTS)):
        if low <= least and most <= high and bits % unit == 0:
            return Rows(np.ascontiguousarray(weights // unit, np.int8), unit)
    return Rows(np.ascontiguousarray(weights, np.int16), 1)


def matrix(rows: Rows, single: bool = False) -> Synapse:
    """A synapse from rows (C, M), or (1, 1)."""
    return Synapse(*rows, single, _NO_KERNELS, _NO_TAPS, _NO_TAPS, _NO_FIRST, 0, 0, 0)


def convolution(conv: Any, weight: np.ndarray) -> Synapse:
    """A synapse from a :class:`..convolution.Convolution` and its weights."""
    of_group, per_group = conv.features // conv.groups, conv.inputs[0] // conv.groups
    kernels = conv.full(weight).reshape(conv.groups, of_group, per_group, *conv.kernel).transpose(0, 2, 3, 4, 1)
    kernels = np.ascontiguousarray(kernels.reshape(conv.inputs[0], *conv.kernel, of_group), np.int16)
    row, column = conv.targets()
    features, height, width = conv.shape
    first = (np.arange(conv.inputs[0]) // per_group * of_group).astype(np.int32)
    return Synapse(_NO_ROWS, 1, False, kernels, row, column, first, width, height * width, features)


def image_of(synapse: Synapse) -> np.ndarray:
    """Scratch of :func:`add`: the sums of a convolution, all features of a place beside each other; zeros."""
    several = synapse.kernels.shape[3] > 1
    return np.zeros(synapse.plane * synapse.features * several, np.int32)


_TURNED = 8
"""Number of cells of an image that are turned in the time in which a spike adds one weight of many features far apart."""


@inlined
def _scatter(synapse, source, times, sums, of_place, of_feature):
    """Add ``times`` spikes of an input to sums: a place's first feature is at so many times its number, features so far apart."""
    places = synapse.row.shape[0] * synapse.column.shape[0]
    channel = source // places
    y, x = (source - channel * places) // synapse.column.shape[0], source % synapse.column.shape[0]
    kernels = synapse.kernels[channel]
    first = synapse.first[channel] * of_feature
    for i in range(kernels.shape[0]):
        row = synapse.row[y, i]
        if row >= 0:
            for j in range(kernels.shape[1]):
                column = synapse.column[x, j]
                if column >= 0:
                    at = first + (row * synapse.width + column) * of_place
                    weights = kernels[i, j]
                    for f in range(weights.size):
                        place = at + f * of_feature
                        store(sums, place, load(sums, place) + times * read(weights, f))


@compiled
def _scatter_all(synapse, source, count, first, last, current, image):
    widest_vectors()
    kernels = synapse.kernels[0]
    if (last - first) * kernels.size * _TURNED <= image.size or image.size == 0:
        for e in range(first, last):
            _scatter(synapse, source[e], count[e], current, 1, synapse.plane)
    else:
        # features of a place lie far apart in current, often in the same lines of the cache: they are summed side by side first
        features, plane = synapse.features, synapse.plane
        for e in range(first, last):
            _scatter(synapse, source[e], count[e], image, features, 1)
        for f in range(features):
            for place in range(plane):
                to = f * plane + place
                store(current, to, load(current, to) + load(image, place * features + f))
        for k in range(image.size):
            store(image, k, 0)


@inlined
def _times(count, e):
    if count is None:
        return 1
    return count[e]


@compiled
def add_rows(rows, unit, source, count, first, last, current):
    """Add ``unit`` times the rows of spikes ``first`` to ``last`` to current (M,) int32. count None: one spike each."""
    widest_vectors()
    e = first
    while e + 4 <= last:  # four rows together: their memory is fetched at the same time, and the sums are read and written once
        a, b, c, d = rows[source[e]], rows[source[e + 1]], rows[source[e + 2]], rows[source[e + 3]]
        i, j, k, m = _times(count, e), _times(count, e + 1), _times(count, e + 2), _times(count, e + 3)
        if i == 1 and j == 1 and k == 1 and m == 1:  # products take twice as long as all the rest
            for n in range(current.size):
                store(current, n, load(current, n) + unit * (read(a, n) + read(b, n) + read(c, n) + read(d, n)))
        else:
            for n in range(current.size):
                store(current, n, load(current, n) + unit * (i * read(a, n) + j * read(b, n) + k * read(c, n) + m * read(d, n)))
        e += 4
    for rest in range(e, last):
        row, times = rows[source[rest]], unit * _times(count, rest)
        for n in range(current.size):
            store(current, n, load(current, n) + times * read(row, n))


@inlined
def add(synapse, source, count, first, last, current, image):
    """Add what the spikes ``first`` to ``last`` bring, ``count`` at input ``source`` each, to current (M,) int32; image is scratch of
    :func:`image_of`."""
    if synapse.kernels.shape[0] > 0:
        _scatter_all(synapse, source, count, first, last, current, image)
    elif synapse.single:
        for e in range(first, last):
            current[source[e]] += count[e] * synapse.unit * synapse.rows[0, 0]
    else:
        add_rows(synapse.rows, synapse.unit, source, count, first, last, current)
