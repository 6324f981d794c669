"""The inner-ear model that turned speech into Spiking Heidelberg Digits, implemented from its published equations.

Cramer, Stradmann, Schemmel, Zenke 2020, doi:10.1109/TNNLS.2020.3044364: level and ramps, basilar membrane
(:mod:`.membrane`), hair cells, nerve fibres and bushy cells (:mod:`.nerve`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence, Sized
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import count, islice
from typing import NamedTuple

import numpy as np

from .._support.cores import cores
from .._support.progress import bar
from .._support.threads import shared
from ..errors import InputError, array_of, given, number, require, told_least, told_most, whole, workers_of
from .events import N_CHANNELS

RATE = 48_000
"""Sampling rate of the model [Hz]; audio at any other rate is resampled to it."""
MIN_DURATION, MAX_DURATION = 0.06, 20.0
"""Shortest and longest utterance that can be encoded [s]: two ramps must fit, and memory grows with the length."""
MIN_RATE, MAX_RATE = 4_000, 768_000
"""Lowest and highest sampling rate of given audio [Hz]."""
_TOGETHER = 4  # utterances a thread that are read before they are encoded


class Spikes(NamedTuple):
    """Spikes of one utterance, in order of time."""

    times: np.ndarray
    """Spike times [s], (E,) float32."""
    units: np.ndarray
    """Channel of each spike, 0 = highest frequency, (E,) uint16."""


@dataclass(frozen=True)
class InnerEar:
    """Sound in, spikes of 700 bushy cells out.

    ``InnerEar(seed=0)(audio, rate)`` gives the same spikes each time. ``index`` picks another draw for another
    utterance, so that the order in which utterances are processed, or the number of workers, changes nothing.

    >>> ear = InnerEar(seed=1)
    >>> times, units = ear(np.sin(2 * np.pi * 1000 * np.arange(8000) / 16000), rate=16000)
    >>> bool(380 < np.bincount(units).argmax() < 420)  # 1 kHz is at about channel 400
    True
    """

    seed: int = 0
    """Seed of all random streams, >= 0."""
    n_channels: int = N_CHANNELS
    """Number of places on the membrane, one channel each."""
    level: float = 0.3
    """Root mean square to which each utterance is scaled."""
    ramp: float = 30e-3
    """Length of the raised-cosine ramp at both ends [s]."""

    def __post_init__(self) -> None:
        for name, least, most in (("seed", 0, 2**63 - 1), ("n_channels", 2, 4096)):
            object.__setattr__(self, name, whole(getattr(self, name), f"InnerEar.{name}", least=least, most=most))
        object.__setattr__(self, "level", number(self.level, "InnerEar.level", above=0.0, most=1e6))
        object.__setattr__(self, "ramp", number(self.ramp, "InnerEar.ramp", least=0.0, most=MIN_DURATION / 2))

    def __call__(self, audio: np.ndarray, rate: int, index: int = 0) -> Spikes:
        """Encode one utterance.

        Parameters
        ----------
        audio : (N,) array
            Mono sound, integers or floats of any scale; unsigned ones about the middle of their range, as WAV files of 8 bits hold them.
        rate : int
            Its sampling rate [Hz].
        index : int
            Number of the utterance: another number, another draw of the spikes.
        """
        from .membrane import membrane_motion
        from .nerve import nerve_spikes

        signal, index = self.prepare(audio, rate), whole(index, "index")
        streams = np.random.SeedSequence([self.seed, index]).generate_state(self.n_channels, np.uint64)
        samples, channels, start = [], [], 0
        for motion in membrane_motion(signal, RATE, self.n_channels, block=64):
            sample, channel = nerve_spikes(motion, RATE / 2, streams[start : start + len(motion)])
            samples.append(sample)
            channels.append(channel + start)
            start += len(motion)
        sample, channel = np.concatenate(samples), np.concatenate(channels)
        order = np.argsort(sample, kind="stable")  # channels rise within a sample
        return Spikes((sample[order] / (RATE / 2)).astype(np.float32), channel[order].astype(np.uint16))

    def prepare(self, audio: np.ndarray, rate: int) -> np.ndarray:
        """Check and resample the audio, set its level and ramp its ends: (N,) float64 at :data:`RATE`."""
        signal = resampled(_checked(audio, rate), int(rate), RATE)
        signal = signal * (self.level / np.sqrt(np.mean(signal**2)))
        n = round(self.ramp * RATE)
        if n:
            ramp = 0.5 * (1 - np.cos(2 * np.pi * np.arange(n) / (2 * n - 1)))
            signal[:n] *= ramp
            signal[-n:] *= ramp[::-1]
        return signal

    def encode(
        self,
        utterances: Iterable[tuple[np.ndarray, int]],
        threads: int = 1,
        progress: str | None = None,
        total: int | None = None,
        indices: Iterable[int] | None = None,
    ) -> list[Spikes]:
        """Encode many ``(audio, rate)``; utterance i is drawn with the i-th of ``indices``, or with i.

        Parameters
        ----------
        utterances : iterable of (audio, rate)
        threads : int
            Threads (the kernels release the interpreter lock); -1 for all cores. Does not change the spikes.
        progress : str, optional
            Title of a progress bar on standard error, where that is a terminal.
        total : int, optional
            Length of the bar where ``utterances`` has no length.
        indices : iterable of int, optional
            One number an utterance, see :meth:`__call__`; a list of another length is refused. An iterator may go on after the last.
        """
        threads = workers_of(threads, "threads")
        many = isinstance(utterances, Iterable) and not isinstance(utterances, (np.ndarray, str, bytes, dict))
        require(many, "utterances", "be (audio, rate) pairs", utterances)
        total = None if total is None else whole(total, "total", most=2**31)
        require(progress is None or isinstance(progress, str), "progress", "be a title, or None for no bar", progress)
        if isinstance(utterances, Sequence):
            for pair in utterances:
                _check_pair(pair)
            total = len(utterances) if total is None else total
        require(indices is None or isinstance(indices, Iterable), "indices", "be numbers, one an utterance", indices)
        if isinstance(utterances, Sized) and isinstance(indices, Sized):
            _check_number(indices, len(utterances))
        each = _numbered(utterances, count() if indices is None else indices)
        found: list[Spikes] = []
        work = self._encoded(each, cores() if threads == -1 else threads, found)
        with closing(work):
            for _ in bar(work, progress, asked=progress is not None, total=total, unit="utt"):
                pass
        return found

    def _encoded(self, each: Iterator[tuple[np.ndarray, int, int]], threads: int, found: list[Spikes]) -> Generator[None, None, None]:
        """Add the spikes of each (audio, rate, index) to ``found``, in order; yields after each of them."""
        coming = list(islice(each, _TOGETHER * threads))
        while coming:
            block, coming = coming, []
            spikes: list = [None] * len(block)

            def work(i: int, block: list = block, spikes: list = spikes, before: int = len(found)) -> None:
                try:
                    spikes[i] = self(*block[i])
                except InputError as error:
                    raise InputError(f"utterances[{before + i}]: {error}") from error
                block[i] = None  # its audio

            with closing(shared(work, len(block), threads)) as done:
                for _ in done:
                    coming += islice(each, 1)  # read while other threads are at work
                    yield
            found += spikes


def _numbered(utterances: Iterable[tuple[np.ndarray, int]], indices: Iterable[int]) -> Iterator[tuple[np.ndarray, int, int]]:
    """(audio, rate, index) of each utterance."""
    which, n = iter(indices), 0
    for pair in utterances:
        _check_pair(pair)
        audio, rate = pair
        cure = "Give one number an utterance."
        yield audio, rate, given(next(which, None), "indices", "go on to the last utterance", f"no more than {n}", cure)
        n += 1
    if isinstance(indices, Sized):
        _check_number(indices, n)


def _check_pair(pair: object) -> None:
    require(isinstance(pair, (tuple, list)) and len(pair) == 2, "utterances", "be (audio, rate) pairs", pair)


def _check_number(indices: Sized, n: int) -> None:
    require(len(indices) == n, "indices", f"hold one number an utterance ({n})", len(indices))


def _checked(audio: np.ndarray, rate: int) -> np.ndarray:
    rate = whole(rate, "rate", least=MIN_RATE, most=MAX_RATE)
    audio = array_of(audio, "audio", "hold integers or floats, (N,)")
    mono = "Average the channels, or choose one."
    require(audio.ndim == 1, "audio", "be mono, of shape (N,)", audio.shape, mono)
    require(audio.dtype.kind in "iuf", "audio", "hold integers or floats", str(audio.dtype))
    duration = len(audio) / rate
    cure = "Cut it into utterances, or leave out the file."
    bounds = f"last {MIN_DURATION} to {MAX_DURATION} s"
    # not as a bound that it misses by a sample, nor an hour as 3.6e+03 s
    told = told_most(duration, 6) if duration < MIN_DURATION else told_least(duration, 6)
    require(MIN_DURATION <= duration <= MAX_DURATION, "audio", bounds, f"{told} s", cure)
    middle = 1 << 8 * audio.itemsize - 1 if audio.dtype.kind == "u" else 0
    audio = audio.astype(np.float64) - middle
    require(np.all(np.isfinite(audio)), "audio", "be finite", f"{np.sum(~np.isfinite(audio))} samples that are not")
    peak = np.max(np.abs(audio))
    require(peak > 0 and np.ptp(audio) > 0, "audio", "not be silent", f"constant {audio[0]}", cure)
    return audio / peak


def resampled(audio: np.ndarray, rate: int, to: int) -> np.ndarray:
    """Sound of one sampling rate at another, without what lies above half of the lower one."""
    if rate == to:
        return audio
    from scipy.signal import resample_poly

    ratio = Fraction(to, rate)
    return resample_poly(audio, ratio.numerator, ratio.denominator)
