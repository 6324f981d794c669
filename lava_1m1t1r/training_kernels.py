"""Compiled loops of training that are integers or plain sums: events, the forward pass of a layer, gradients of weights.

All are serial over the part (samples or columns) they are given and release the interpreter lock: threads share the work. The
results do not depend on the number of threads.
"""

from __future__ import annotations

import numba

from .compiled import compiled, load, read, store
from .kernels import fixed_noisy_step, fixed_step, input_count

PAST = 63
"""Steps of spikes that a recurrent layer may look back: the largest delay and one."""


def _general(function):
    return numba.njit(nogil=True, error_model="numpy")(function)


@_general
def count_events(x, by_channel, counts, first, last):
    """Non-zero cells of each (sample, step) of x (B, T, C)."""
    for b in range(first, last):
        if by_channel:
            for t in range(x.shape[1]):
                counts[b, t] = 0
            for c in range(x.shape[2]):
                for t in range(x.shape[1]):
                    counts[b, t] += x[b, t, c] != 0
        else:
            for t in range(x.shape[1]):
                found = 0
                for c in range(x.shape[2]):
                    found += x[b, t, c] != 0
                counts[b, t] = found


@_general
def fill_events(x, by_channel, start, channel, value, cursor, first, last):
    """List the non-zero cells: (sample, step) row r owns channel[start[r]:start[r + 1]] (int32) and value (int32).

    cursor (max(T, C) + 1,) int64 is scratch. Returns how many cells are not whole numbers below 2^15.
    """
    steps, wrong = x.shape[1], 0
    for b in range(first, last):
        if by_channel:
            for t in range(steps):
                cursor[t] = start[b * steps + t]
            for c in range(x.shape[2]):
                for t in range(steps):
                    if x[b, t, c] != 0:
                        channel[cursor[t]] = c
                        cursor[t] += 1
        else:
            for t in range(steps):
                found = 0
                for c in range(x.shape[2]):  # without a branch: spikes are hard to predict
                    cursor[found] = c
                    found += x[b, t, c] != 0
                at = start[b * steps + t]
                for i in range(found):
                    channel[at + i] = cursor[i]
        for t in range(steps):
            for e in range(start[b * steps + t], start[b * steps + t + 1]):
                cell = x[b, t, channel[e]]
                value[e] = int(cell)
                wrong += not ((cell == value[e]) & (abs(cell) < 32768))
    return wrong


@compiled
def _add_row(total, w, row):
    n = total.size
    for i in range(n):
        store(total, i, load(total, i) + read(w, row * n + i))


@compiled
def _add_rows(total, w, row, times):
    n = total.size
    for i in range(n):
        store(total, i, load(total, i) + times * read(w, row * n + i))


@compiled
def project(start, channel, value, w, bias, counts, first, last):
    """counts (B, T, N) int32 = bias + sum over events of value * row of w (C * N,) int32."""
    steps, n = counts.shape[1], counts.shape[2]
    for b in range(first, last):
        for t in range(steps):
            row = counts[b, t]
            for i in range(n):
                store(row, i, read(bias, i))
            for e in range(start[b * steps + t], start[b * steps + t + 1]):
                if value[e] == 1:
                    _add_row(row, w, channel[e])
                else:
                    _add_rows(row, w, channel[e], value[e])


@compiled
def recurrent_forward(
    w_rec, delay_rec, p, substeps, v_max, noisy, generator, past, shift, history, counts, spikes, out, first, last, v_in, spike
):
    """Samples first .. last - 1 of a layer through time, in integers.

    w_rec (N * N,) int32, row j the weights of spikes of neuron j, or (0,); delay_rec (N,) int64; generator (B, N) int64; past
    (B, PAST, N) uint8 spikes before the start, or (0, 0, 0); history (B, T + 1, 3, N) int32, row 0 given: states before each step;
    counts (B, T, N) int32 input, to which the recurrence adds; spikes (B, T, N) uint8 out; out (B, T, N) real: the same, shift
    steps later; v_in, spike (N,) int32 scratch.
    """
    n = counts.shape[2]
    for b in range(first, last):
        for t in range(counts.shape[1]):
            row = counts[b, t]
            if w_rec.size:
                for j in range(n):
                    back = t - 1 - delay_rec[j]
                    if back >= 0:
                        fired = spikes[b, back, j]
                    elif past.size:
                        fired = past[b, PAST + back, j]
                    else:
                        fired = 0
                    if fired:
                        _add_row(row, w_rec, j)
            before, after = history[b, t], history[b, t + 1]
            for k in range(3):
                for i in range(n):
                    after[k, i] = before[k, i]
            for i in range(n):
                store(v_in, i, input_count(load(row, i), v_max))
            if noisy:
                fixed_noisy_step(after[0], after[1], after[2], generator[b], v_in, p, substeps, spike)
            else:
                fixed_step(after[0], after[1], after[2], v_in, p, substeps, spike)
            for i in range(n):
                spikes[b, t, i] = spike[i]
            if t + shift < counts.shape[1]:
                later = out[b, t + shift]
                for i in range(n):
                    later[i] = spike[i]
        for t in range(min(shift, counts.shape[1])):
            for i in range(n):
                out[b, t, i] = past[b, PAST - shift + t, i] if past.size else 0


@compiled
def input_gradient(start, channel, value, grad, out, first, last):
    """Columns first .. last - 1 of out (C, N) += sum over events of value * grad (B, T, N)."""
    steps = grad.shape[1]
    for b in range(grad.shape[0]):
        for t in range(steps):
            g = grad[b, t]
            for e in range(start[b * steps + t], start[b * steps + t + 1]):
                row = out[channel[e]]
                times = value[e]
                if times == 1:
                    for i in range(first, last):
                        store(row, i, load(row, i) + read(g, i))
                else:
                    for i in range(first, last):
                        row[i] += times * g[i]


@compiled
def recurrent_gradient(spikes, past, delay_rec, grad, out, first, last):
    """Columns first .. last - 1 of out (N, N): row j += grad (B, T, N) at the steps that spikes of neuron j reach."""
    n = grad.shape[2]
    for b in range(grad.shape[0]):
        for t in range(grad.shape[1]):
            g = grad[b, t]
            for j in range(n):
                back = t - 1 - delay_rec[j]
                if back >= 0:
                    fired = spikes[b, back, j]
                elif past.size:
                    fired = past[b, PAST + back, j]
                else:
                    fired = 0
                if fired:
                    row = out[j]
                    for i in range(first, last):
                        store(row, i, load(row, i) + read(g, i))


@numba.njit(_nrt=False, error_model="numpy", nogil=True, fastmath={"contract"})
def add_products(g0, g1, g2, g3, w, o0, o1, o2, o3):
    """Add vector-matrix products to four rows at once: o (C,) += g (N,) w, with w (N * C,); sixteen products a load of w's row."""
    size = o0.size
    whole = g0.size - g0.size % 4
    for i in range(0, whole, 4):
        a0, a1, a2, a3 = g0[i], g0[i + 1], g0[i + 2], g0[i + 3]
        b0, b1, b2, b3 = g1[i], g1[i + 1], g1[i + 2], g1[i + 3]
        c0, c1, c2, c3 = g2[i], g2[i + 1], g2[i + 2], g2[i + 3]
        d0, d1, d2, d3 = g3[i], g3[i + 1], g3[i + 2], g3[i + 3]
        r0, r1, r2, r3 = i * size, (i + 1) * size, (i + 2) * size, (i + 3) * size
        for j in range(size):
            w0, w1, w2, w3 = read(w, r0 + j), read(w, r1 + j), read(w, r2 + j), read(w, r3 + j)
            store(o0, j, (((load(o0, j) + a0 * w0) + a1 * w1) + a2 * w2) + a3 * w3)
            store(o1, j, (((load(o1, j) + b0 * w0) + b1 * w1) + b2 * w2) + b3 * w3)
            store(o2, j, (((load(o2, j) + c0 * w0) + c1 * w1) + c2 * w2) + c3 * w3)
            store(o3, j, (((load(o3, j) + d0 * w0) + d1 * w1) + d2 * w2) + d3 * w3)
    for i in range(whole, g0.size):
        for j in range(size):
            w0 = read(w, i * size + j)
            store(o0, j, load(o0, j) + g0[i] * w0)
            store(o1, j, load(o1, j) + g1[i] * w0)
            store(o2, j, load(o2, j) + g2[i] * w0)
            store(o3, j, load(o3, j) + g3[i] * w0)


@compiled
def over_input(grad, w, out, spare, first, last):
    """Rows first .. last - 1 of out (R, C) = grad (R, N) times w (N * C,); spare (3, C) scratch."""
    columns = out.shape[1]
    for r in range(first, last, 4):
        rows = min(4, last - r)
        o1 = out[r + 1] if rows > 1 else spare[0]
        o2 = out[r + 2] if rows > 2 else spare[1]
        o3 = out[r + 3] if rows > 3 else spare[2]
        for j in range(columns):
            out[r, j] = 0
            o1[j] = 0
            o2[j] = 0
            o3[j] = 0
        end = last - 1
        add_products(grad[r], grad[min(r + 1, end)], grad[min(r + 2, end)], grad[min(r + 3, end)], w, out[r], o1, o2, o3)
