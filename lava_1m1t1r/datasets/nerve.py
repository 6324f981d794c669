"""Hair cells, auditory-nerve fibres and bushy cells: from the motion of the membrane to the spikes of SHD.

Hair cell after Meddis 1986 and 1988, the chain and its parameters after Cramer et al. 2020,
doi:10.1109/TNNLS.2020.3044364. One hair cell, 40 fibres and one bushy cell per channel.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from ..cached import cached
from ..compiled import allocating
from ..errors import number
from ..noise import SPLITMIX_STEP, compiled_mixed

HAIR_A, HAIR_B, HAIR_G = 5.0, 300.0, 2000.0
"""Constants A and B [unit of the motion v] and g [1/s] of the permeability of the cell membrane, g (v + A) / (v + A + B)."""
REPLENISH, LOSS, RETURN, REPROCESS = 5.05, 2500.0, 6580.0, 66.3
"""Rates y, l, r, x of the transmitter's cycle: replenishment, loss, return and reprocessing [1/s]."""
RELEASE = 50_000.0
"""Spike rate of a fibre per unit of transmitter in the cleft, h [1/s]."""
POOL = 1.0
"""Largest free transmitter pool, M."""

N_FIBRES = 40
"""Number of nerve fibres per channel."""
REFRACTORY = 1e-3
"""Absolute refractory time of fibres and bushy cells [s]."""
TAU_MEM, TAU_SYN = 1e-3, 0.5e-3
"""Time constants of the bushy cell's membrane and synapses [s]."""
WEIGHT = 13_000.0
"""Drive of the bushy cell by all fibres [1/s]; its threshold is 1."""

LEAST_RATE = LOSS + RETURN
"""Lowest sampling rate [Hz] at which Euler's method can follow the cleft, whose rate this is."""

_LANES = 64  # channels a call, and samples a tile: both small enough for the first-level cache

_compiled = partial(cached, compiler=allocating)


def rest() -> tuple[float, float, float]:
    """Steady state of the hair cell in silence: free pool q, cleft c, reprocessing store w."""
    k = HAIR_G * HAIR_A / (HAIR_A + HAIR_B)
    c = POOL * REPLENISH * k / (LOSS * k + REPLENISH * (LOSS + RETURN))
    return c * (LOSS + RETURN) / k, c, c * RETURN / REPROCESS


def nerve_spikes(motion: np.ndarray, rate: float, streams: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spikes of the bushy cells.

    The hair cell is integrated by forward Euler at the rate of the motion, as in the model of the data set. The 40
    fibres of a channel are exchangeable, so that their spikes are drawn together: binomial of those that are not
    refractory.

    Parameters
    ----------
    motion : (channels, T) float32
        Motion of the membrane.
    rate : float
        Its sampling rate [Hz], at least :data:`LEAST_RATE`; Euler's method needs it well above that.
    streams : (channels,) uint64
        Start of each channel's random stream.

    Returns
    -------
    sample, channel : (E,) int32
        Where each spike lies, channel by channel.

    Raises
    ------
    InputError
        If the rate is too low.
    """
    dt = 1.0 / number(rate, "rate [Hz]", least=LEAST_RATE)
    blocked = round(REFRACTORY * rate)
    # a bushy cell is held for ``blocked`` samples after each spike, which bounds their number
    most = motion.shape[1] // (blocked + 1) + 2
    spikes = np.empty((len(motion), most), np.int32)
    counts = np.zeros(len(motion), np.int64)
    _bushy_cells(motion, dt, blocked, np.asarray(rest(), np.float64), streams, spikes, counts)
    channel = np.repeat(np.arange(len(motion), dtype=np.int32), counts)
    sample = spikes[np.arange(most) < counts[:, None]]
    return sample, channel


@_compiled
def _binomial(u, n, p):
    """Number of successes of ``n`` trials whose cumulative distribution first exceeds ``u``."""
    if p >= 1.0:
        return n
    miss = 1.0 - p
    odds = p / miss
    term, base, power = 1.0, miss, n
    while power > 0:  # miss ** n
        if power & 1:
            term *= base
        base *= base
        power >>= 1
    k = 0
    while u >= term and k < n:
        u -= term
        term *= odds * (n - k) / (k + 1)
        k += 1
    return k


@_compiled
def _bushy_cells(motion, dt, blocked, rest_state, streams, spikes, counts):
    n_channels, n_samples = motion.shape
    tile = np.zeros((_LANES, _LANES), np.float32)
    q, c, w = np.empty(_LANES, np.float32), np.empty(_LANES, np.float32), np.empty(_LANES, np.float32)
    probability = np.empty(_LANES, np.float32)
    draw, current, voltage = np.empty(_LANES), np.zeros(_LANES), np.zeros(_LANES)
    fired, busy, held = np.zeros(_LANES, np.int32), np.zeros(_LANES, np.int32), np.zeros(_LANES, np.int32)
    recent = np.zeros((blocked - 1, _LANES), np.int32)
    state = np.zeros(_LANES, np.uint64)
    keep_current, keep_voltage = np.exp(-dt / TAU_SYN), np.exp(-dt / TAU_MEM)
    drive = WEIGHT / N_FIBRES * dt
    a, b, one, zero = np.float32(HAIR_A), np.float32(HAIR_B), np.float32(1), np.float32(0)
    pool, g_dt = np.float32(POOL), np.float32(HAIR_G * dt)
    y_dt, l_dt, r_dt, x_dt = (np.float32(REPLENISH * dt), np.float32(LOSS * dt), np.float32(RETURN * dt),
                              np.float32(REPROCESS * dt))  # fmt: skip
    h_dt = np.float32(RELEASE * dt)

    for first in range(0, n_channels, _LANES):
        lanes = min(_LANES, n_channels - first)
        q[:], c[:], w[:] = rest_state[0], rest_state[1], rest_state[2]
        current[:], voltage[:], held[:], busy[:], recent[:] = 0, 0, 0, 0, 0
        for j in range(lanes):
            state[j] = streams[first + j]
        slot = 0
        for n in range(n_samples):
            in_tile = n % _LANES
            if in_tile == 0:  # transpose a tile, so that the loop over channels reads neighbours
                for j in range(lanes):
                    for i in range(min(_LANES, n_samples - n)):
                        tile[i, j] = motion[first + j, n + i]
            v = tile[in_tile]
            for j in range(_LANES):  # hair cells: every right-hand side from the old values
                open_ = max(v[j] + a, zero)
                released = g_dt * open_ / (open_ + b) * q[j]
                refilled = y_dt * max(pool - q[j], zero)
                back = x_dt * w[j]
                taken = r_dt * c[j]
                probability[j] = min(h_dt * c[j], one)
                q[j] = max(q[j] + refilled - released + back, zero)
                w[j] = max(w[j] + taken - back, zero)
                c[j] = max(c[j] + released - l_dt * c[j] - taken, zero)
            for j in range(_LANES):
                state[j] += np.uint64(SPLITMIX_STEP)
                draw[j] = np.float64(np.int64(compiled_mixed(state[j]) >> np.uint64(11))) * (1.0 / (1 << 53))
            for j in range(lanes):
                p, free = np.float64(probability[j]), N_FIBRES - busy[j]
                # P(k >= 1) <= free * p: the one comparison settles most samples. The draw is used from the top down
                fired[j] = _binomial(1.0 - draw[j], free, p) if draw[j] < free * p else 0
            reached = 0
            for j in range(_LANES):
                busy[j] += fired[j] - recent[slot, j]
                recent[slot, j] = fired[j]
                current[j] = current[j] * keep_current + fired[j]
                charged = voltage[j] * keep_voltage + drive * current[j]
                voltage[j] = charged if held[j] == 0 else 0.0
                held[j] = max(held[j] - 1, 0)
                reached += voltage[j] >= 1.0
            if reached > 0 and n + 1 < n_samples:  # the model sees a crossing one sample later
                for j in range(lanes):
                    if voltage[j] >= 1.0:
                        spikes[first + j, counts[first + j]] = n
                        counts[first + j] += 1
                        held[j] = blocked
            slot = slot + 1 if slot + 2 < blocked else 0
