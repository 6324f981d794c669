"""The backward step compiled: :mod:`.reverse` in loops over neurons, backwards in time through recurrence and delays."""

from __future__ import annotations

from functools import lru_cache
from math import exp
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ..compiled import load, read, store
from ..dynamics import State
from . import reverse
from .reverse import PER_NEURON, GradientProgram, Local, Ops

BLOCK = 4
"""Samples that one thread takes through time together: they share the loads of the recurrent weights."""
_LOCALS = len(Local._fields)
SCRATCH = _LOCALS + 4  # rows of N a substep: the local derivatives and the voltage; the rest for a step


def _compiled(function):
    return numba.njit(_nrt=False, error_model="numpy", nogil=True, fastmath={"contract"})(function)


@intrinsic
def _power_of_two(typing_context, exponent):
    """2^exponent as float32, for int32 exponents in [-126, 127]."""

    def code(context, builder, signature, arguments):
        biased = builder.add(arguments[0], ir.Constant(ir.IntType(32), 127))
        return builder.bitcast(builder.shl(biased, ir.Constant(ir.IntType(32), 23)), ir.FloatType())

    return types.float32(types.int32), code


_f = np.float32
_LOG2E, _LN2_HIGH, _LN2_LOW = _f(1.4426950408889634), _f(0.693359375), _f(-2.12194440e-4)
_TERMS = tuple(_f(1.0 / n) for n in (720, 120, 24, 6, 2))
_ONE, _HALF, _RANGE = _f(1.0), _f(0.5), _f(87.0)


@_compiled
def _exp32(x):
    """exp in float32 to 2e-7, written out so that LLVM can run it on eight numbers at a time."""
    x = min(max(x, -_RANGE), _RANGE)
    k = np.int32(x * _LOG2E + (_HALF if x >= _f(0.0) else -_HALF))
    whole = _f(k)
    r = (x - whole * _LN2_HIGH) - whole * _LN2_LOW
    p = _TERMS[0] * r + _TERMS[1]
    p = p * r + _TERMS[2]
    p = p * r + _TERMS[3]
    p = p * r + _TERMS[4]
    p = (p * r + _ONE) * r + _ONE
    return p * _power_of_two(k)


@_compiled
def _exp64(x):
    return exp(x)


@_compiled
def _select(condition, a, b):
    return a if condition else b


@_compiled
def _read(table, i):
    return read(table, i)


@lru_cache(maxsize=None)
def layer_kernel(double: bool, linear: bool) -> Any:
    """Compiled backward pass of a layer, in float64 or float32, for the linear or the hyperbolic field law.

    Returns
    -------
    function
        ``(history, counts, grad, grad_in, delay_rec, w_rec, p, units, substeps, first, last, scratch)``; see its docstring.
    """
    real = np.float64 if double else np.float32
    exponential = _exp64 if double else _exp32

    if linear:

        @_compiled
        def law(d, q):
            return q.growth * d, q.growth
    else:

        @_compiled
        def law(d, q):
            rising = exponential(d * q.rate - q.shift)
            falling = q.mirror / rising
            return q.growth * (rising - falling), q.growth * q.rate * (rising + falling)

    @_compiled
    def knot(place, q):
        i = min(np.int64(place), q.drop.size - 1)
        return i, place - real(i)

    ops = Ops(_select, law, exponential, knot, _read)
    recompute = _bound(reverse.recompute, {"_growth": _compiled(reverse._growth)})
    compiled_reverse = _compiled(reverse.reverse)
    neuron = _neuron

    @_compiled
    def forwards(row, counts, p, units, substeps, scratch):
        """Compute one sample's step again; leave local derivatives in scratch (substeps * SCRATCH + 4, N)."""
        n_neurons = counts.size
        per_count, v_max, filament_unit, gate_unit = units[0], units[1], units[2], units[3]
        best = substeps * SCRATCH
        for k in range(substeps):
            base = k * SCRATCH
            for n in range(n_neurons):
                q = neuron(p, n)
                v = real(load(counts, n)) * per_count
                v = min(max(v, q.zero), v_max)
                if k == 0:
                    s = State(real(load(row[0], n)) * filament_unit, real(load(row[1], n)) * filament_unit, real(load(row[2], n)) * gate_unit)
                else:
                    s = State(load(scratch[base], n), load(scratch[base + 1], n), load(scratch[base + 2], n))
                s, m = recompute(s, v, q, ops)
                store(scratch[base + 4], n, m.early_v)
                store(scratch[base + 5], n, m.early_x)
                store(scratch[base + 6], n, m.late_v)
                store(scratch[base + 7], n, m.late_x)
                store(scratch[base + 8], n, m.step)
                store(scratch[base + 9], n, m.open)
                store(scratch[base + 10], n, m.yields)
                store(scratch[base + 11], n, m.below)
                store(scratch[base + 12], n, m.charge)
                store(scratch[base + 13], n, m.way)
                store(scratch[base + 14], n, m.drop_slope)
                if k == 0:
                    store(scratch[best], n, m.length)
                    store(scratch[best + 1], n, q.zero if m.length >= q.zero else -q.one)
                else:
                    longer = m.length > load(scratch[best], n)
                    store(scratch[best], n, m.length if longer else load(scratch[best], n))
                    store(scratch[best + 1], n, real(k) if longer else load(scratch[best + 1], n))
                if k + 1 < substeps:
                    store(scratch[base + SCRATCH], n, s.filament)
                    store(scratch[base + SCRATCH + 1], n, s.residue)
                    store(scratch[base + SCRATCH + 2], n, s.gate)

    @_compiled
    def backwards(adjoint, spike, counts, p, units, clip_grad, substeps, scratch, grad_in):
        """Reverse of one sample's step: adjoint (3, N) of the states in place, grad_in (N,) out."""
        best = substeps * SCRATCH
        v_max = units[1]
        for k in range(substeps - 1, -1, -1):
            base = k * SCRATCH
            for n in range(counts.size):
                q = neuron(p, n)
                m = Local(
                    load(scratch[base + 4], n),
                    load(scratch[base + 5], n),
                    load(scratch[base + 6], n),
                    load(scratch[base + 7], n),
                    load(scratch[base + 8], n),
                    q.zero,
                    load(scratch[base + 9], n),
                    load(scratch[base + 10], n),
                    load(scratch[base + 11], n),
                    load(scratch[base + 12], n),
                    load(scratch[base + 13], n),
                    load(scratch[base + 14], n),
                )
                after = State(load(adjoint[0], n), load(adjoint[1], n), load(adjoint[2], n))
                fires = load(spike, n) if load(scratch[best + 1], n) == real(k) else q.zero
                before, over_v = compiled_reverse(after, fires, m, q)
                store(adjoint[0], n, before.filament)
                store(adjoint[1], n, before.residue)
                store(adjoint[2], n, before.gate)
                total = over_v if k == substeps - 1 else load(grad_in, n) + over_v
                if k == 0:
                    v = real(load(counts, n)) * units[0]
                    inside = (v >= q.zero) & (v <= v_max)
                    total = total * units[4] * (q.one if inside else clip_grad)
                store(grad_in, n, total)

    @_compiled
    def layer(history, counts, grad, delay_rec, w_rec, p, units, clip_grad, substeps, first, last, scratch, adjoint, grad_in):
        """Samples first .. last - 1 of a layer, backwards in time.

        history (B, T + 1, 3, N) int32 states before each step; counts (B, T, N) int32 synaptic input; grad (B, T, N) dL/dspike,
        which the recurrence adds to; delay_rec (N,) int64; w_rec (N * N,) real, row i the weights to neuron i, or (0,);
        grad_in (B, T, N) out: dL/d(input in units of weight 1).
        """
        n_neurons = counts.shape[2]
        for b in range(first, last):
            for k in range(3):
                for n in range(n_neurons):
                    adjoint[b - first, k, n] = p.zero
        for t in range(counts.shape[1] - 1, -1, -1):
            for b in range(first, last):
                forwards(history[b, t], counts[b, t], p, units, substeps, scratch)
                backwards(adjoint[b - first], grad[b, t], counts[b, t], p, units, clip_grad, substeps, scratch, grad_in[b, t])
            if w_rec.size and t > 0:
                recur(grad, grad_in, delay_rec, w_rec, first, last, t, scratch)

    @_compiled
    def recur(grad, grad_in, delay_rec, w_rec, first, last, t, scratch):
        """Add W^T dL/dinput(t) to dL/dspike(t - 1 - delay_rec), for up to BLOCK samples at once."""
        size = grad.shape[2]
        for b in range(first, last):
            for n in range(size):
                store(scratch[b - first], n, real(0.0))
        for b in range(last, first + BLOCK):
            for n in range(size):
                store(scratch[b - first], n, real(0.0))
        last_row = last - 1
        g0, g1 = grad_in[first, t], grad_in[min(first + 1, last_row), t]
        g2, g3 = grad_in[min(first + 2, last_row), t], grad_in[min(first + 3, last_row), t]
        o0, o1, o2, o3 = scratch[0], scratch[1], scratch[2], scratch[3]
        whole = size - size % 4
        for i in range(0, whole, 4):
            a0, a1, a2, a3 = g0[i], g0[i + 1], g0[i + 2], g0[i + 3]
            b0, b1, b2, b3 = g1[i], g1[i + 1], g1[i + 2], g1[i + 3]
            c0, c1, c2, c3 = g2[i], g2[i + 1], g2[i + 2], g2[i + 3]
            d0, d1, d2, d3 = g3[i], g3[i + 1], g3[i + 2], g3[i + 3]
            r0, r1, r2, r3 = i * size, (i + 1) * size, (i + 2) * size, (i + 3) * size
            for j in range(size):
                w0, w1, w2, w3 = read(w_rec, r0 + j), read(w_rec, r1 + j), read(w_rec, r2 + j), read(w_rec, r3 + j)
                store(o0, j, load(o0, j) + ((a0 * w0 + a1 * w1) + (a2 * w2 + a3 * w3)))
                store(o1, j, load(o1, j) + ((b0 * w0 + b1 * w1) + (b2 * w2 + b3 * w3)))
                store(o2, j, load(o2, j) + ((c0 * w0 + c1 * w1) + (c2 * w2 + c3 * w3)))
                store(o3, j, load(o3, j) + ((d0 * w0 + d1 * w1) + (d2 * w2 + d3 * w3)))
        for i in range(whole, size):
            for j in range(size):
                w0 = read(w_rec, i * size + j)
                store(o0, j, load(o0, j) + g0[i] * w0)
                store(o1, j, load(o1, j) + g1[i] * w0)
                store(o2, j, load(o2, j) + g2[i] * w0)
                store(o3, j, load(o3, j) + g3[i] * w0)
        for b in range(first, last):
            for j in range(size):
                back = t - 1 - delay_rec[j]
                if back >= 0:
                    grad[b, back, j] += scratch[b - first, j]

    return layer


def _bound(function, names):
    """Compile a function of another module with some of its globals replaced by their compiled forms."""
    copy = type(function)(function.__code__, {**function.__globals__, **names}, function.__name__)
    return _compiled(copy)


_ARRAYS = len(PER_NEURON)


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
        p.lam_inverse,
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
