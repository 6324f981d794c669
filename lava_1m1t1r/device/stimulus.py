"""Input voltages that are constant between edges: pulses and trains, without an array of samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import require


@dataclass(frozen=True, eq=False)
class Stimulus:
    """A voltage that is constant between edges. ``a + b`` plays b after a; ``a * 3`` plays a three times."""

    durations: np.ndarray
    """Length of each piece [s], (S,)."""
    volts: np.ndarray
    """Voltage of each piece [V], (S,) for all devices alike or (S, N)."""

    def __post_init__(self) -> None:
        durations = np.atleast_1d(np.asarray(self.durations, np.float64))
        volts = np.asarray(self.volts, np.float64)
        volts = volts.reshape(1) if volts.ndim == 0 else volts
        require(durations.ndim == 1 and durations.size > 0, "Stimulus.durations", "be (S,)", durations.shape)
        require(
            np.all(np.isfinite(durations) & (durations > 0)), "Stimulus.durations [s]", "be > 0 and finite", durations, "Drop empty pieces."
        )
        require(volts.ndim in (1, 2) and len(volts) == len(durations), "Stimulus.volts", "be (S,) or (S, N)", volts.shape)
        require(np.all(np.isfinite(volts)), "Stimulus.volts [V]", "be finite", volts)
        object.__setattr__(self, "durations", durations)
        object.__setattr__(self, "volts", volts)

    @property
    def duration(self) -> float:
        """Length of the whole [s]."""
        return float(np.sum(self.durations))

    @property
    def edges(self) -> np.ndarray:
        """Times at which the pieces begin and end [s], (S + 1,)."""
        return np.concatenate(([0.0], np.cumsum(self.durations)))

    def __add__(self, other: Stimulus) -> Stimulus:
        if self.volts.ndim == other.volts.ndim:
            volts = (self.volts, other.volts)
        else:
            n = max(s.volts.shape[1] for s in (self, other) if s.volts.ndim == 2)
            volts = tuple(s.volts if s.volts.ndim == 2 else np.repeat(s.volts[:, None], n, 1) for s in (self, other))
        return Stimulus(np.concatenate((self.durations, other.durations)), np.concatenate(volts))

    def __mul__(self, times: int) -> Stimulus:
        require(int(times) == times and times > 0, "Stimulus * times", "be a whole number > 0", times)
        repeated = (int(times),) if self.volts.ndim == 1 else (int(times), 1)
        return Stimulus(np.tile(self.durations, int(times)), np.tile(self.volts, repeated))

    def sampled(self, dt: float) -> np.ndarray:
        """Return the voltage in the middle of each interval of ``dt`` seconds, (T,) or (T, N)."""
        middles = (np.arange(max(round(self.duration / dt), 1)) + 0.5) * dt
        piece = np.searchsorted(self.edges, middles, side="right") - 1
        return self.volts[np.minimum(piece, len(self.volts) - 1)]


def constant(volt: float, duration: float) -> Stimulus:
    """Hold ``volt`` [V] for ``duration`` [s]."""
    return Stimulus(np.array([duration]), np.array([volt]))


def rest(duration: float) -> Stimulus:
    """Hold 0 V for ``duration`` [s]."""
    return constant(0.0, duration)


def train(volt: float, width: float, gap: float, count: int) -> Stimulus:
    """Return ``count`` pulses of ``volt`` [V] and ``width`` [s], each followed by ``gap`` [s] at 0 V."""
    return (constant(volt, width) + rest(gap)) * count


def pulses(volt: float, period: float, duty: float, duration: float) -> Stimulus:
    """Return pulses of ``volt`` [V] that begin every ``period`` [s] and last ``duty`` of it, for about ``duration`` [s].

    The Fig. 2e stimulus of Zhao et al. 2025 is ``pulses(0.8, 2e-3, 0.5, duration)``.
    """
    require(0 < duty <= 1, "pulses.duty", "lie in (0, 1]", duty)
    if duty == 1:
        return constant(volt, duration)
    return train(volt, duty * period, (1 - duty) * period, max(round(duration / period), 1))


def pair(volt: float, width: float, gap: float) -> Stimulus:
    """Return two pulses of ``volt`` [V] and ``width`` [s] with ``gap`` [s] between them: Figs. 4a and 4b of Zhao et al. 2025."""
    return constant(volt, width) + rest(gap) + constant(volt, width)


def sampled(v_in: np.ndarray, dt: float) -> Stimulus:
    """Return the stimulus of samples (T,) or (T, N) [V], each held for ``dt`` [s]; equal neighbours are joined."""
    v_in = np.asarray(v_in, np.float64)
    require(v_in.ndim in (1, 2) and v_in.size > 0, "v_in", "be (T,) or (T, N)", v_in.shape)
    changed = v_in[1:] != v_in[:-1]
    changed = changed if v_in.ndim == 1 else changed.any(axis=1)
    starts = np.concatenate(([0], np.flatnonzero(changed) + 1, [len(v_in)]))
    return Stimulus(np.diff(starts) * dt, v_in[starts[:-1]])
