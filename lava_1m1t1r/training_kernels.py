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
