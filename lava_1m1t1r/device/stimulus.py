"""Piecewise constant input voltages: pulses and pulse trains, without an array of samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log10

import numpy as np

from ..errors import number, numbers, require, whole
from ..params import DeviceParams

MOST_PIECES = 100_000_000
"""Largest number of voltages (pieces times devices) in a repeated stimulus, and of samples of one device."""


@dataclass(frozen=True, eq=False)
class Stimulus:
    """A voltage that is constant between edges. ``a + b`` plays b after a, as ``sum([a, b])``; ``a * 3``, ``3 * a`` play a three times."""

    durations: np.ndarray
    """Length of each piece [s], (S,)."""
    volts: np.ndarray
    """Voltage of each piece [V], (S,) for all devices alike or (S, N)."""

    def __post_init__(self) -> None:
        durations = np.atleast_1d(numbers(self.durations, "Stimulus.durations [s]", (0, 1), "(S,)"))
        volts = np.atleast_1d(numbers(self.volts, "Stimulus.volts [V]", (0, 1, 2), "(S,) or (S, N)"))
        require(np.all(durations > 0), "Stimulus.durations [s]", "be > 0", durations, "Drop empty pieces.")
        require(len(volts) == len(durations), "Stimulus.volts", f"hold {len(durations)} pieces, as durations", volts.shape)
        object.__setattr__(self, "durations", durations)
        object.__setattr__(self, "volts", volts)

    @property
    def duration(self) -> float:
        """Length of the whole [s]."""
        return float(np.sum(self.durations))

    @property
    def edges(self) -> np.ndarray:
        """Times at which the pieces begin and end [s], (S + 1,)."""
        # in float64, the ends of millions of equal pieces drift so far that samples at these ends count to the next piece
        return np.concatenate(([0.0], np.cumsum(self.durations, dtype=np.longdouble).astype(np.float64)))

    def __add__(self, other: Stimulus) -> Stimulus:
        require(isinstance(other, Stimulus), "Stimulus + other", "add a Stimulus", other)
        sizes = {s.volts.shape[1] for s in (self, other) if s.volts.ndim == 2}
        require(len(sizes) <= 1, "Stimulus + other", "have as many devices", sorted(sizes))
        if self.volts.ndim == other.volts.ndim:
            volts = [self.volts, other.volts]
        else:
            n = max(s.volts.shape[1] for s in (self, other) if s.volts.ndim == 2)
            volts = [s.volts if s.volts.ndim == 2 else np.repeat(s.volts[:, None], n, 1) for s in (self, other)]
        return Stimulus(np.concatenate((self.durations, other.durations)), np.concatenate(volts))

    def __radd__(self, other: object) -> Stimulus:
        # what sum() begins with
        require(type(other) is int and other == 0, "other + Stimulus", "add a Stimulus", other)
        return self

    def __mul__(self, times: int) -> Stimulus:
        times = whole(times, "Stimulus * times", least=1, most=MOST_PIECES // max(self.volts.size, 1))
        repeated = (times,) if self.volts.ndim == 1 else (times, 1)
        return Stimulus(np.tile(self.durations, times), np.tile(self.volts, repeated))

    __rmul__ = __mul__

    def sampled(self, dt: float) -> np.ndarray:
        """Return the voltage in the middle of each interval of ``dt`` seconds, (T,) or (T, N).

        A rest at the end, where the stimulus is no whole number of intervals long, counts as an interval if it is half of one or more.
        """
        dt = number(dt, "sampled.dt [s]", above=0.0)
        require(self.duration / dt <= MOST_PIECES, "sampled.dt [s]", f"make at most {MOST_PIECES} samples", dt)
        middles = (np.arange(whole_samples(self.duration, dt)) + 0.5) * dt
        piece = np.searchsorted(self.edges, middles, side="right") - 1
        return self.volts[np.minimum(piece, len(self.volts) - 1)]


def whole_samples(duration: float, dt: float) -> int:
    """Number of intervals of ``dt`` in a duration, with a rest of half of one or more, and at least one."""
    return max(int(duration / dt * (1 + 1e-12) + 0.5), 1)  # 0.15 / 0.1 is a little less than 1.5


def constant(volt: float, duration: float) -> Stimulus:
    """Hold ``volt`` [V] for ``duration`` [s]."""
    return Stimulus(np.array([number(duration, "duration [s]", above=0.0)]), np.array([number(volt, "volt [V]")]))


def rest(duration: float) -> Stimulus:
    """Hold 0 V for ``duration`` [s]."""
    return constant(0.0, duration)


def train(volt: float, width: float, gap: float, count: int) -> Stimulus:
    """Return a train of equal pulses, each followed by a rest at 0 V.

    Parameters
    ----------
    volt : float
        Height of the pulses [V].
    width : float
        Length of a pulse [s], > 0.
    gap : float
        Rest after each pulse, the last one included [s], > 0.
    count : int
        Number of pulses, >= 1.

    Returns
    -------
    Stimulus
        Of ``count * (width + gap)`` seconds.

    Raises
    ------
    InputError
        If an argument is out of range, or there are more than :data:`MOST_PIECES` pieces.
    """
    durations = number(width, "width [s]", above=0.0), number(gap, "gap [s]", above=0.0)
    return Stimulus(np.array(durations), np.array([number(volt, "volt [V]"), 0.0])) * count


def beginnings(count: int) -> Iterator[int]:
    """Numbers of pulses to simulate one after the other while an event is looked for: a few, four times as many, ..., ``count``."""
    few = 32
    while few < count:
        yield few
        few *= 4
    yield count


def pulses(volt: float, period: float, duty: float, duration: float) -> Stimulus:
    """Return pulses that begin periodically, for about ``duration``.

    The Fig. 2e stimulus of Zhao et al. 2025 is ``pulses(0.8, 2e-3, 0.5, duration)``.

    Parameters
    ----------
    volt : float
        Height of the pulses [V].
    period : float
        Time from the beginning of one pulse to that of the next [s], > 0.
    duty : float
        Share of the period that a pulse lasts, in (0, 1]; 1: a constant voltage.
    duration : float
        Length of the whole [s], > 0: the nearest whole number of periods, at least one, is played (at ``duty`` 1 exactly this length).

    Returns
    -------
    Stimulus

    Raises
    ------
    InputError
        If an argument is out of range, or there are more than half of :data:`MOST_PIECES` periods, of two pieces each.
    """
    duty = number(duty, "pulses.duty", above=0.0, most=1.0)
    period, duration = number(period, "pulses.period [s]", above=0.0), number(duration, "pulses.duration [s]", above=0.0)
    if duty == 1:
        return constant(volt, duration)
    most = MOST_PIECES // 2
    require(duration / period <= most, "pulses.duration [s]", f"hold at most {most} periods", duration)
    return train(volt, duty * period, (1 - duty) * period, max(round(duration / period), 1))


def pair(volt: float, width: float, gap: float) -> Stimulus:
    """Return two pulses with a rest between them: Figs. 4a and 4b of Zhao et al. 2025.

    Parameters
    ----------
    volt : float
        Height of both pulses [V].
    width : float
        Length of each pulse [s], > 0.
    gap : float
        Rest between them [s], > 0.

    Returns
    -------
    Stimulus
        Of ``2 * width + gap`` seconds.
    """
    return constant(volt, width) + rest(gap) + constant(volt, width)


def held(v_in: np.ndarray, dt: float) -> Stimulus:
    """Return the stimulus of samples (T,) or (T, N) [V], each held for ``dt`` [s]; equal neighbours are joined."""
    v_in, dt = numbers(v_in, "v_in [V]", (1, 2), "(T,) or (T, N)"), number(dt, "dt [s]", above=0.0)
    changed = v_in[1:] != v_in[:-1]
    changed = changed if v_in.ndim == 1 else changed.any(axis=1)
    starts = np.concatenate(([0], np.flatnonzero(changed) + 1, [len(v_in)]))
    return Stimulus(np.diff(starts) * dt, v_in[starts[:-1]])


def usual_width(p: DeviceParams) -> float:
    """Return the length of pulses that suits a device [s]: the power of ten that stands to 1 / gamma2 as 1 ms stands to 0.2 s."""
    return 10.0 ** round(log10(0.005 / p.gamma2))
