"""Compiled loops of training that are integers or plain sums: events, the forward pass of a layer, gradients of weights.

All are serial over the part (samples or columns) they are given and release the interpreter lock: threads share the work. The
results do not depend on the number of threads.
"""

from __future__ import annotations

import numba

from .compiled import compiled, inlined, load, read, store, widest_vectors
from .fast.synapses import add_rows
from .kernels import fixed_noisy_step, fixed_step, fixed_step_alike, input_count

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
def project(start, channel, value, w, bias, counts, first, last):
    """counts (B, T, N) int32 = bias + sum over events of value * row of w (C, N) int32. value None: all are 1."""
    steps, n = counts.shape[1], counts.shape[2]
    for b in range(first, last):
        for t in range(steps):
            row = counts[b, t]
            for i in range(n):
                store(row, i, read(bias, i))
            add_rows(w, channel, value, start[b * steps + t], start[b * steps + t + 1], row)


@compiled
def recurrent_forward(
    w_rec, delay_rec, p, alike, substeps, v_max, noisy, generator, window, shift, history, counts, out, first, last,
    state, v_in, spike, listed,
):  # fmt: skip
    """Samples first .. last - 1 of a layer through time, in integers.

    w_rec (N, N) int32, row j the weights of spikes of neuron j, or (0, N); delay_rec (N,) int64; alike: whether all neurons are one
    device; generator (B, N) int64; window (B, PAST + T, N) uint8: spikes, those of the PAST steps before the start given; history
    (B, T + 1, 3, N) int32, row 0 given: states before each step; counts (B, T, N) int32 input, to which the recurrence adds; out
    (B, T, N) real: the spikes, shift steps later. Scratch: state (3, M), v_in and spike (M,) int32, M = N or filled up where alike;
    listed (N,) int32.
    """
    n, steps = counts.shape[2], counts.shape[1]
    for b in range(first, last):
        fired = window[b]
        for k in range(3):
            for i in range(v_in.size):
                state[k, i] = history[b, 0, k, i] if i < n else 0
        for t in range(steps):
            row = counts[b, t]
            if w_rec.shape[0]:
                found = 0
                for j in range(n):  # listed without a branch a neuron
                    listed[found] = j
                    found += fired[PAST + t - 1 - delay_rec[j], j]
                add_rows(w_rec, listed, None, 0, found, row)
            for i in range(n):
                store(v_in, i, input_count(load(row, i), v_max))
            if noisy:
                fixed_noisy_step(state[0], state[1], state[2], generator[b], v_in, p, substeps, spike)
            elif alike:
                fixed_step_alike(state[0], state[1], state[2], v_in, p, substeps, spike)
            else:
                fixed_step(state[0], state[1], state[2], v_in, p, substeps, spike)
            for k in range(3):
                now, kept = state[k], history[b, t + 1, k]
                for i in range(n):
                    store(kept, i, load(now, i))
            seen = fired[PAST + t]
            for i in range(n):
                store(seen, i, load(spike, i))
        for t in range(steps):
            for i in range(n):
                out[b, t, i] = fired[PAST + t - shift, i]


@compiled
def count_spikes(window, delay_rec, counts, first, last):
    """Recurrent spikes of each neuron that arrive in samples first .. last - 1: counts (N,) += them.

    window (B, PAST + T, N) uint8: spikes, the last PAST steps before the start first.
    """
    steps, n = window.shape[1] - PAST, window.shape[2]
    for b in range(first, last):
        for t in range(steps):
            for j in range(n):
                counts[j] += window[b, PAST + t - 1 - delay_rec[j], j]


@compiled
def sort_spikes(window, delay_rec, cursor, rows, listed, first, last):
    """Write the (sample, step) at which the spikes of :func:`count_spikes` arrive to rows, those of neuron j from cursor[j] on."""
    steps, n = window.shape[1] - PAST, window.shape[2]
    for b in range(first, last):
        for t in range(steps):
            found = 0
            for j in range(n):
                listed[found] = j
                found += window[b, PAST + t - 1 - delay_rec[j], j]
            for e in range(found):
                j = listed[e]
                rows[cursor[j]] = b * steps + t
                cursor[j] += 1


@compiled
def sort_events(start, channel, value, cursor, rows, times, steps, first, last):
    """The same for events: rows and times (their values, real) of channel c from cursor[c] on."""
    for r in range(first * steps, last * steps):
        for e in range(start[r], start[r + 1]):
            c = channel[e]
            rows[cursor[c]] = r
            times[cursor[c]] = 1 if value is None else value[e]
            cursor[c] += 1


_COLUMNS = 64  # of a gradient that are added together, without a loop: four vectors of sixteen numbers


@inlined
def _add_columns(grad, rows, times, first, last, total, n0, size):
    """Columns n0 .. n0 + size - 1 of total (N,) += times * rows of grad (B * T * N,)."""
    n, e = total.size, first
    while e + 4 <= last:
        a, b, c, d = rows[e] * n + n0, rows[e + 1] * n + n0, rows[e + 2] * n + n0, rows[e + 3] * n + n0
        i, j, k, m = times[e], times[e + 1], times[e + 2], times[e + 3]
        for x in range(size):
            added = i * read(grad, a + x) + j * read(grad, b + x) + k * read(grad, c + x) + m * read(grad, d + x)
            store(total, n0 + x, load(total, n0 + x) + added)
        e += 4
    for rest in range(e, last):
        row, i = rows[rest] * n + n0, times[rest]
        for x in range(size):
            store(total, n0 + x, load(total, n0 + x) + i * read(grad, row + x))


@compiled
def gather_rows(offset, rows, times, grad, out, first, last):
    """out (C, N) row c += sum of times * rows of grad (B * T * N,), for channels first .. last - 1.

    offset (K, C + 1) int64: those of channel c and samples of part k are rows[offset[k, c]:offset[k, c + 1]].
    """
    widest_vectors()
    n = out.shape[1]
    for n0 in range(0, n, _COLUMNS):
        for k in range(offset.shape[0]):  # these columns of a part stay in the first cache or close to it
            for c in range(first, last):
                if n0 + _COLUMNS <= n:
                    _add_columns(grad, rows, times, offset[k, c], offset[k, c + 1], out[c], n0, _COLUMNS)
                else:
                    _add_columns(grad, rows, times, offset[k, c], offset[k, c + 1], out[c], n0, n - n0)


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
