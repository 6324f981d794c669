"""The compiled backward step: :mod:`.reverse` in loops over neurons, backwards in time through recurrence and delays."""

from __future__ import annotations

from functools import cache
from math import exp
from typing import Any, NamedTuple

import numpy as np

from .._support import aligned
from ..cached import cached
from ..compiled import contracted_inline as _compiled
from ..compiled import load, read, store, widest_vectors
from ..dynamics import State
from ..exponential import power_of_two
from . import reverse
from .reverse import VALUES, Constants, GradientProgram, Local, Ops
from .scoped import load_local, load_state, store_local, store_state
from .tiles import prefetch
from .training_kernels import add_products, filled_columns

BLOCK = 4
"""Number of samples that one thread takes through time together: they share the loads of the recurrent weights."""
LANES = 64
"""Number of neurons that are stepped forward and back together: their local derivatives stay in the first-level cache. The scratch is one
array in rows of this constant length, so that LLVM sees that the rows do not overlap, and runs the loops eight neurons at a time."""
_VECTOR = 16
"""Number of values in the widest vectors. What is left over would be computed one by one, each in the time of a whole vector, so loops are
filled up with lanes that hold no neuron."""
_KEPT = tuple(name for name in Local._fields if name != "length")
"""Local derivatives that a substep keeps for its reverse, a row of lanes each; those of learning devices come last."""
_ROWS_LEARNING, _ROWS = len(_KEPT), len(_KEPT) - len(VALUES)
_EARLY_V, _EARLY_X, _LATE_V, _LATE_X, _STEP, _OPEN, _YIELDS, _BELOW, _CHARGE, _WAY, _DROP_SLOPE = (LANES * k for k in range(_ROWS))
_FILAMENT, _RESIDUE, _GATE, _MEAN, _EARLY, _LATE, _CHARGED = (LANES * k for k in range(_ROWS, _ROWS_LEARNING))
_CONSTANTS = len(Constants._fields)
_STATE, _V, _OVER_V, _LONGEST, _LONGEST_AT, _GROWN, _OVER_P = (LANES * row for row in (0, 3, 4, 5, 6, 7, 9))


class ReverseLayer(NamedTuple):
    """A layer of N neurons as the backward pass runs it."""

    w_rec: Any  # real: row i of (N, N) the weights to neuron i, as training_kernels.panels has it; or (0,)
    delay_rec: Any  # (N,) int64
    program: Any  # GradientProgram of group * N neurons, filled up
    units: Any  # surrogate.Units
    clip_grad: Any  # real: factor on the gradient of inputs beyond their limits
    substeps: int
    group: int  # samples that share the lanes, see samples_together


class ReverseBatch(NamedTuple):
    """What the backward pass reads and writes of B samples."""

    history: Any  # (B, T + 1, 3, N) int32: states before each step, which the forward pass keeps where a gradient may follow
    counts: Any  # (B, T, N) int16: synaptic input, cut as in training_kernels.ForwardBatch
    grad: Any  # (B, T, N) real. In: dL/dspike, to which the recurrence adds; out: dL/d(input in units of weight 1), step by step
    over_states: Any  # (B, T, 3, N) real: dL/d(states after each step), or (0, 0, 0, 0)


class ReverseScratch(NamedTuple):
    """Memory of one thread; see :func:`reverse_scratch`."""

    lanes: Any  # states, voltages and their gradients, in rows of LANES
    rows: Any  # local derivatives of each substep, in rows of LANES
    products: Any  # (BLOCK, N filled up)
    adjoint: Any  # (BLOCK, 3, N): gradient of the states


class Tile(NamedTuple):
    """Neurons that take a step together: ``size`` of each of some samples, from the ``n0``-th on."""

    t: int
    b: int  # the first sample
    samples: int
    n0: int
    size: int
    width: int  # samples * size, filled up
    adjoint: int  # place of the first sample in the adjoint


def reverse_scratch(substeps: int, size: int, dtype: Any, learning: bool) -> ReverseScratch:
    """Scratch of one thread.

    Parameters
    ----------
    substeps : int
        Substeps of a network step.
    size : int
        Number of neurons in the layer.
    dtype : numpy.float32 or numpy.float64
        Type of the backward pass.
    learning : bool
        Whether devices learn.
    """
    return ReverseScratch(
        aligned.empty((9 + _CONSTANTS * learning) * LANES, dtype),
        aligned.empty(substeps * (_ROWS_LEARNING if learning else _ROWS) * LANES, dtype),
        aligned.empty((BLOCK, filled_columns(size, np.dtype(dtype).itemsize)), dtype),
        aligned.empty((BLOCK, 3, size), dtype),
    )


def samples_together(size: int) -> int:
    """Number of samples of a layer of ``size`` neurons that share the lanes, of which a small layer alone would leave most empty."""
    return max(1, min(BLOCK, LANES // size))


def filled_lanes(size: int) -> int:
    """Number of lanes that loops over ``size`` neurons run through, and so of values of each constant that they read."""
    return -(-size // _VECTOR) * _VECTOR


_f = np.float32
_SHIFT = _f(1.5 * 2**23)  # adding it rounds to a whole number
_LOG2E, _LN2_HIGH, _LN2_LOW = _f(1.4426950408889634), _f(0.693359375), _f(-2.12194440e-4)
_A6, _A5, _A4, _A3, _HALF = (_f(1.0 / n) for n in (720, 120, 24, 6, 2))
_ONE, _TOP, _BOTTOM, _BOTTOM64 = _f(1.0), _f(87.0), _f(-87.0), -708.0  # no exponential is 0: the field law divides by it


@_compiled
def _exp32(x):
    """exp in float32 to 3e-7, written out so that LLVM can run it on eight numbers at a time."""
    x = x if x < _TOP else _TOP
    x = x if x > _BOTTOM else _BOTTOM
    shifted = x * _LOG2E + _SHIFT
    k = shifted - _SHIFT
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    p = (((_A6 * r + _A5) * r + _A4) * r + _A3) * r + _HALF
    return ((p * r + _ONE) * r + _ONE) * power_of_two(shifted)


@_compiled
def _exp64(x):
    return exp(x if x > _BOTTOM64 else _BOTTOM64)


@_compiled
def _select(condition, a, b):
    return a if condition else b


_growth = _compiled(reverse.growth)


@_compiled
def _states(m, i):
    return State(load_state(m, _STATE + i), load_state(m, _STATE + LANES + i), load_state(m, _STATE + 2 * LANES + i))


@_compiled
def _keep_states(m, i, s):
    store_state(m, _STATE + i, s.filament)
    store_state(m, _STATE + LANES + i, s.residue)
    store_state(m, _STATE + 2 * LANES + i, s.gate)


@_compiled
def _read(table, i):
    return read(table, i)


def _ops(real: Any, linear: bool) -> Ops:
    exponential = _exp64 if real is np.float64 else _exp32

    @_compiled
    def knot(place, q):
        i = min(np.int32(place), np.int32(q.drop.size - 1))
        return i, place - real(i)

    return Ops(_select, reverse.field_law(linear, exponential, _compiled), _growth, exponential, knot, _read)


def _forwards(real: Any, linear: bool, learning: bool) -> Any:
    ops, n_rows = _ops(real, linear), _ROWS_LEARNING if learning else _ROWS
    grow, settle = _compiled(reverse.grow), _compiled(reverse.settle)

    @_compiled
    def forwards(batch, layer, tile, scratch):
        """Compute a step of some neurons again; leave voltages and local derivatives in the scratch."""
        widest_vectors()
        p, units, m, rows = layer.program, layer.units, scratch.lanes, scratch.rows
        n0, size, width = tile.n0, tile.size, tile.width
        for s in range(tile.samples):
            row, given, at = batch.history[tile.b + s, tile.t], batch.counts[tile.b + s, tile.t], s * size
            for i in range(size):
                v = real(load_state(given, n0 + i)) * units.volt_per_count
                store_state(m, _V + at + i, min(max(v, p.zero), units.v_in_max))
                store_state(m, _STATE + at + i, real(load_state(row[0], n0 + i)) * units.share_per_count)
                store_state(m, _STATE + LANES + at + i, real(load_state(row[1], n0 + i)) * units.share_per_count)
                store_state(m, _STATE + 2 * LANES + at + i, real(load_state(row[2], n0 + i)) * units.volt_per_gate_count)
        for i in range(tile.samples * size, width):
            store_state(m, _V + i, p.zero)
            for k in range(3):
                store_state(m, _STATE + k * LANES + i, p.zero)
        for i in range(width):
            store_state(m, _LONGEST + i, -p.one - p.one)
            store_state(m, _LONGEST_AT + i, p.zero)
        for k in range(layer.substeps):
            base = k * n_rows * LANES
            number = real(k)
            for i in range(width):
                q = _neuron(p, n0 + i)
                s = _states(m, i)
                grown, d = grow(s, load_state(m, _V + i), q, ops)
                store_state(m, _GROWN + i, grown.filament)
                store_state(m, _GROWN + LANES + i, grown.residue)
                store_local(rows, base + _EARLY_V + i, d.early_v)
                store_local(rows, base + _EARLY_X + i, d.early_x)
                store_local(rows, base + _LATE_V + i, d.late_v)
                store_local(rows, base + _LATE_X + i, d.late_x)
                store_local(rows, base + _OPEN + i, d.open)
                store_local(rows, base + _BELOW + i, d.below)
                if learning:
                    store_local(rows, base + _FILAMENT + i, s.filament)
                    store_local(rows, base + _RESIDUE + i, s.residue)
                    store_local(rows, base + _GATE + i, s.gate)
                    store_local(rows, base + _MEAN + i, d.mean)
                    store_local(rows, base + _EARLY + i, d.early)
                    store_local(rows, base + _LATE + i, d.late)
            # a loop of its own: a neuron's operations wait for each other, and more neurons of half the length fit a processor's view
            for i in range(width):
                q = _neuron(p, n0 + i)
                s = _states(m, i)
                grown = State(load_state(m, _GROWN + i), load_state(m, _GROWN + LANES + i), s.gate)
                s, d = settle(s, grown, load_state(m, _V + i), q, ops)
                _keep_states(m, i, s)
                store_local(rows, base + _STEP + i, d.step)
                store_local(rows, base + _YIELDS + i, d.yields)
                store_local(rows, base + _CHARGE + i, d.charge)
                store_local(rows, base + _WAY + i, d.way)
                store_local(rows, base + _DROP_SLOPE + i, d.drop_slope)
                if learning:
                    store_local(rows, base + _CHARGED + i, d.charged)
                longest, at = load_state(m, _LONGEST + i), load_state(m, _LONGEST_AT + i)
                longer = d.length > longest
                store_state(m, _LONGEST + i, d.length if longer else longest)
                store_state(m, _LONGEST_AT + i, number if longer else at)

    return forwards


def _backwards(real: Any, learning: bool) -> Any:
    n_rows = _ROWS_LEARNING if learning else _ROWS
    compiled_reverse, over_constants = _compiled(reverse.reverse), _compiled(reverse.over_constants)

    @_compiled
    def backwards(batch, layer, tile, scratch):
        """Reverse of the same, from the adjoint of the states; it and dL/dv are left in the scratch."""
        widest_vectors()
        p, m, rows = layer.program, scratch.lanes, scratch.rows
        n0, size, width = tile.n0, tile.size, tile.width
        for s in range(tile.samples):
            over, spike, at = scratch.adjoint[tile.adjoint + s], batch.grad[tile.b + s, tile.t], s * size
            for i in range(size):
                store_state(m, _STATE + at + i, load_state(over[0], n0 + i))
                store_state(m, _STATE + LANES + at + i, load_state(over[1], n0 + i))
                store_state(m, _STATE + 2 * LANES + at + i, load_state(over[2], n0 + i))
                # a step whose gate was above the threshold throughout has no spike to move
                none = load_state(m, _LONGEST + at + i) < p.zero
                store_state(m, _LONGEST + at + i, p.zero if none else load_state(spike, n0 + i))
        for i in range(tile.samples * size, width):
            store_state(m, _LONGEST + i, p.zero)
            for k in range(3):
                store_state(m, _STATE + k * LANES + i, p.zero)
        for i in range(width):
            store_state(m, _OVER_V + i, p.zero)
            if learning:
                for k in range(_CONSTANTS):
                    store_state(m, _OVER_P + k * LANES + i, p.zero)
        for k in range(layer.substeps - 1, -1, -1):
            base = k * n_rows * LANES
            number = real(k)
            for i in range(width):
                q = _neuron(p, n0 + i)
                d = Local(
                    load_local(rows, base + _EARLY_V + i),
                    load_local(rows, base + _EARLY_X + i),
                    load_local(rows, base + _LATE_V + i),
                    load_local(rows, base + _LATE_X + i),
                    load_local(rows, base + _STEP + i),
                    q.zero,
                    load_local(rows, base + _OPEN + i),
                    load_local(rows, base + _YIELDS + i),
                    load_local(rows, base + _BELOW + i),
                    load_local(rows, base + _CHARGE + i),
                    load_local(rows, base + _WAY + i),
                    load_local(rows, base + _DROP_SLOPE + i),
                    load_local(rows, base + _FILAMENT + i) if learning else q.zero,
                    load_local(rows, base + _RESIDUE + i) if learning else q.zero,
                    load_local(rows, base + _GATE + i) if learning else q.zero,
                    load_local(rows, base + _MEAN + i) if learning else q.zero,
                    load_local(rows, base + _EARLY + i) if learning else q.zero,
                    load_local(rows, base + _LATE + i) if learning else q.zero,
                    load_local(rows, base + _CHARGED + i) if learning else q.zero,
                )
                after = _states(m, i)
                fires = load_state(m, _LONGEST + i) if load_state(m, _LONGEST_AT + i) == number else q.zero
                before, over_v, within = compiled_reverse(after, fires, d, q)
                if learning:
                    over = over_constants(after, within, d)
                    store_state(m, _OVER_P + i, load_state(m, _OVER_P + i) + over.growth)
                    store_state(m, _OVER_P + LANES + i, load_state(m, _OVER_P + LANES + i) + over.filament_kept)
                    store_state(m, _OVER_P + 2 * LANES + i, load_state(m, _OVER_P + 2 * LANES + i) + over.residue_kept)
                    store_state(m, _OVER_P + 3 * LANES + i, load_state(m, _OVER_P + 3 * LANES + i) + over.transfer)
                    store_state(m, _OVER_P + 4 * LANES + i, load_state(m, _OVER_P + 4 * LANES + i) + over.gate_kept)
                _keep_states(m, i, before)
                store_state(m, _OVER_V + i, load_state(m, _OVER_V + i) + over_v)

    return backwards


def _finish(real: Any, learning: bool) -> Any:
    @_compiled
    def finish(batch, layer, tile, scratch, constants, bias):
        """From the scratch into the arrays: adjoint of the states before, dL/d(input), and dL/d(constants) and dL/d(bias)."""
        widest_vectors()
        p, units, m, n0, size = layer.program, layer.units, scratch.lanes, tile.n0, tile.size
        for s in range(tile.samples):
            over, given, at = scratch.adjoint[tile.adjoint + s], batch.counts[tile.b + s, tile.t], s * size
            over_input = batch.grad[tile.b + s, tile.t]
            for i in range(size):
                store_state(over[0], n0 + i, load_state(m, _STATE + at + i))
                store_state(over[1], n0 + i, load_state(m, _STATE + LANES + at + i))
                store_state(over[2], n0 + i, load_state(m, _STATE + 2 * LANES + at + i))
                count = real(load_state(given, n0 + i))
                inside = (count >= p.zero) & (count <= units.largest_count)
                store_state(over_input, n0 + i, load_state(m, _OVER_V + at + i) * units.v_unit * (p.one if inside else layer.clip_grad))
            if bias.size:
                for i in range(n0, n0 + size):
                    store_state(bias, i, load_state(bias, i) + load_state(over_input, i))
            if learning:
                for k in range(_CONSTANTS):
                    for i in range(size):
                        more = load_state(m, _OVER_P + k * LANES + at + i)
                        store_state(constants[k], n0 + i, load_state(constants[k], n0 + i) + more)

    return finish


def _recur(real: Any) -> Any:
    @_compiled
    def recur(grad, layer, alike, first, last, t, products):
        """Add W^T dL/dinput(t), which grad holds from t on, to dL/dspike(t - 1 - delay_rec), for up to BLOCK samples at once."""
        size, delay_rec = grad.shape[2], layer.delay_rec
        for b in range(BLOCK):
            for n in range(products.shape[1]):
                store(products[b], n, real(0.0))
        i1, i2, i3 = min(first + 1, last - 1), min(first + 2, last - 1), min(first + 3, last - 1)
        add_products(
            grad[first, t], grad[i1, t], grad[i2, t], grad[i3, t], layer.w_rec,
            products[0], products[1], products[2], products[3],
        )  # fmt: skip
        for b in range(first, last):
            if alike and t - 1 - delay_rec[0] >= 0:
                row, product = grad[b, t - 1 - delay_rec[0]], products[b - first]
                for j in range(size):
                    store(row, j, load(row, j) + load(product, j))
            elif not alike:
                for j in range(size):
                    back = t - 1 - delay_rec[j]
                    if back >= 0:
                        grad[b, back, j] += products[b - first, j]

    return recur


@cache
def layer_kernel(double: bool, linear: bool, learning: bool) -> Any:
    """Compiled backward pass of a layer.

    Parameters
    ----------
    double : bool
        float64; otherwise float32.
    linear : bool
        The linear field law; otherwise the hyperbolic one.
    learning : bool
        Whether devices learn.

    Returns
    -------
    function
        See its docstring.
    """
    real = np.float64 if double else np.float32
    forwards, backwards = _forwards(real, linear, learning), _backwards(real, learning)
    finish, recur = _finish(real, learning), _recur(real)
    filled_up = _compiled(filled_lanes)

    @_compiled
    def block(layer, batch, scratch, constants, bias, alike, first, last):
        n_neurons, group = batch.counts.shape[2], layer.group
        for b in range(last - first):
            for k in range(3):
                for n in range(n_neurons):
                    scratch.adjoint[b, k, n] = layer.program.zero
        for t in range(batch.counts.shape[1] - 1, -1, -1):
            if batch.over_states.shape[0]:
                for b in range(first, last):
                    for k in range(3):
                        for n in range(n_neurons):
                            scratch.adjoint[b - first, k, n] += batch.over_states[b, t, k, n]
            if t > 0:
                for b in range(first, last):
                    for k in range(3):
                        prefetch(batch.history[b, t - 1, k])
                    prefetch(batch.counts[b, t - 1])
            for b in range(first, last, group):
                samples = min(group, last - b)
                for n0 in range(0, n_neurons, LANES):
                    size = min(LANES, n_neurons - n0)
                    tile = Tile(t, b, samples, n0, size, filled_up(samples * size), b - first)
                    forwards(batch, layer, tile, scratch)
                    backwards(batch, layer, tile, scratch)
                    finish(batch, layer, tile, scratch, constants, bias)
            if layer.w_rec.size and t > 0:
                recur(batch.grad, layer, alike, first, last, t, scratch.products)

    def backward(layer, batch, scratch, constants, bias, first, last):
        """Samples first .. last - 1 of a layer, backwards in time.

        constants (5, N), where devices learn: dL/d(constants of the neurons) is added, see reverse.Constants. bias (N,) or (0,):
        dL/d(input) of all steps is added.
        """
        widest_vectors()
        alike = True
        for n in range(batch.counts.shape[2]):
            alike &= layer.delay_rec[n] == layer.delay_rec[0]
        for b in range(first, last, BLOCK):
            block(layer, batch, scratch, constants, bias, alike, b, min(b + BLOCK, last))

    return cached(backward, _compiled, (double, linear, learning))


@_compiled
def _neuron(p, n):
    """Constants of neuron n as scalars."""
    return GradientProgram(
        read(p.growth, n),
        read(p.rate, n),
        read(p.shift, n),
        read(p.mirror, n),
        read(p.filament_kept, n),
        read(p.filament_lost, n),
        read(p.residue_kept, n),
        read(p.transfer, n),
        read(p.gate_kept, n),
        read(p.v_th, n),
        read(p.slope_floor, n),
        read(p.slope_cap, n),
        p.alpha,
        p.per_lam,
        p.r_on,
        p.r_off,
        p.substep_per_c,
        p.drop,
        p.drop_slope,
        p.segments,
        p.width,
        p.scale,
        p.reset,
        p.zero,
        p.half,
        p.one,
        p.most,
    )
