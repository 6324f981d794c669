"""Spike events of many utterances in three flat arrays, the common type of all readers and consumers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast, overload

import numpy as np

from .._support.names import check_name, composed
from ..errors import array_of, counted, require, whole
from ..params import ByValue

N_CHANNELS = 700
"""Inner-ear channels of Spiking Heidelberg Digits; unit 0 is the highest frequency."""
MOST_CHANNELS = 1 << 16
"""Largest number of channels: units are stored in 16 bits."""
_LISTED = 30  # speakers in the text of an error

SHD_KEYS = (
    ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    + ("null", "eins", "zwei", "drei", "vier", "fuenf", "sechs", "sieben", "acht", "neun")
)  # fmt: skip
"""Names of the 20 classes in label order: 0-9 English, 10-19 German."""


@dataclass(frozen=True, eq=False)
class Utterance(ByValue):
    """The spikes of one utterance."""

    times: np.ndarray
    """(E,) float32: spike times [s] from the start of the utterance."""
    units: np.ndarray
    """(E,) uint16: channel of each spike."""
    label: int
    """Class of the utterance, an index into the keys of the set."""
    speaker: int
    """Speaker number; -1 where the file names none."""
    key: str
    """Name of the class; empty where the file names none."""

    def __len__(self) -> int:
        return len(self.times)

    @property
    def duration(self) -> float:
        """Time of the last spike [s]; 0 without spikes."""
        return float(self.times.max()) if len(self.times) else 0.0


@dataclass(frozen=True, repr=False, eq=False)
class EventSet(ByValue):
    """Data set in flat arrays: utterance ``i`` has ``times[offsets[i]:offsets[i + 1]]``, and ``units`` alike.

    Indexing with an integer gives an :class:`Utterance` (a view); with a slice, an index array or a Boolean mask
    another ``EventSet``. Arrays of the right types are kept, not copied: what is written to them later changes the set, unchecked.
    """

    times: np.ndarray
    """(E,) float32: spike times [s], finite and >= 0, each from the start of its utterance."""
    units: np.ndarray
    """(E,) uint16: channel of each spike, below ``n_channels``."""
    offsets: np.ndarray
    """(B + 1,) int64: where each utterance starts; the last entry is E."""
    labels: np.ndarray
    """(B,) int64: class of each utterance, from 0, and below the number of ``keys`` where there are any."""
    speakers: np.ndarray
    """(B,) int64: speaker of each utterance, -1 where unknown."""
    keys: tuple[str, ...] = ()
    """Names of the classes in label order; empty where unknown."""
    n_channels: int = N_CHANNELS
    """Number of input channels."""
    speaker_names: tuple[str, ...] = ()
    """Name of speaker 0, 1, ..., also of those who say nothing here; empty where unknown."""
    dropped: int = field(default=0, compare=False)
    """Spikes that the reader dropped because their time was not finite."""

    def __post_init__(self) -> None:
        for name, dtype in (
            ("times", np.float32),
            ("units", np.uint16),
            ("offsets", np.int64),
            ("labels", np.int64),
            ("speakers", np.int64),
        ):
            object.__setattr__(self, name, _column(getattr(self, name), f"EventSet.{name}", dtype))
        offsets = self.offsets
        require(
            len(offsets) > 0 and offsets[0] == 0 and offsets[-1] == len(self.times) and np.all(np.diff(offsets) >= 0),
            "EventSet.offsets",
            f"rise from 0 to the number of spikes ({len(self.times)})",
            offsets,
        )
        require(len(self.units) == len(self.times), "EventSet.units", f"hold {len(self.times)} spikes", len(self.units))
        channels = whole(self.n_channels, "EventSet.n_channels", least=1, most=MOST_CHANNELS)
        object.__setattr__(self, "n_channels", channels)
        highest = int(self.units.max(initial=0))
        require(highest < channels, "EventSet.units", f"lie in 0..{channels - 1}", highest, "Give n_channels if there are more.")
        for name in ("keys", "speaker_names"):
            texts = getattr(self, name)
            named = isinstance(texts, (tuple, list)) and all(isinstance(t, str) for t in texts)
            require(named, f"EventSet.{name}", "be a tuple of names", texts)
            for text in texts:
                check_name(text, f"EventSet.{name}")
            object.__setattr__(self, name, tuple(map(composed, texts)))
        twice = first_repeated(self.keys)
        require(twice is None, "EventSet.keys", "name each class differently", twice, "Classes of two sets are matched by their names.")
        for name in ("labels", "speakers"):
            size = len(getattr(self, name))
            require(size == len(self), f"EventSet.{name}", f"hold one entry an utterance ({len(self)})", size)
        earliest, latest = self.times.min(initial=0), self.times.max(initial=0)  # not a number where one is not
        finite = earliest >= 0 and latest < np.inf
        cure = "Times count from the start of the utterance; drop spikes that have none."
        require(finite, "EventSet.times", "be finite and >= 0 s", float(earliest if earliest < 0 else latest), cure)
        least, most = int(self.labels.min(initial=0)), int(self.labels.max(initial=0))
        require(least >= 0, "EventSet.labels", "be >= 0", least, "Number the classes from 0.")
        named = most < len(self.keys) or not self.keys
        cure = "Name every class, or give no keys."
        require(named, "EventSet.labels", f"lie in 0..{len(self.keys) - 1}, as there are {len(self.keys)} keys", most, cure)

    @classmethod
    def from_utterances(
        cls,
        spikes: Sequence[tuple[np.ndarray, np.ndarray]],
        labels: Sequence[int] | np.ndarray,
        speakers: Sequence[int] | np.ndarray | None = None,
        **more: Any,
    ) -> EventSet:
        """Join the spikes of utterances to a set.

        Parameters
        ----------
        spikes : sequence of (times, units)
            One pair per utterance: spike times [s] and channels, (E,) each.
        labels : (B,) int
            Class of each utterance.
        speakers : (B,) int, optional
            Speaker of each utterance; default: -1, unknown.
        **more
            Further fields, such as ``keys`` and ``n_channels``.

        Raises
        ------
        InputError
            If an argument breaks its rule.
        """
        paired = isinstance(spikes, Sequence) and all(
            isinstance(pair, (tuple, list)) and len(pair) == 2 and all(map(_is_row, pair)) and len(pair[0]) == len(pair[1])
            for pair in spikes
        )
        require(paired, "from_utterances.spikes", "be a list of (times, units), each (E,)", spikes)
        rule = "be a list, one label an utterance"
        if not isinstance(labels, (list, tuple)):
            labels = array_of(labels, "from_utterances.labels", rule)
            require(labels.ndim == 1, "from_utterances.labels", rule, labels)
        require(all(np.isscalar(label) or getattr(label, "shape", None) == () for label in labels), "from_utterances.labels", rule, labels)
        sizes = [len(times) for times, _ in spikes]
        # one by one: joined arrays have no masks any more
        times, units = ([array_of(pair[i], f"from_utterances.{name}") for pair in spikes] for i, name in enumerate(("times", "units")))
        columns: dict[str, Any] = {"labels": labels, "speakers": np.full(len(labels), -1) if speakers is None else speakers}
        return cls(
            times=np.concatenate(times) if spikes else np.zeros(0, np.float32),
            units=np.concatenate(units) if spikes else np.zeros(0, np.uint16),
            offsets=np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]),
            **columns,
            **more,
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        speakers, occurring = len(np.unique(self.speakers)), len(np.unique(self.labels))
        classes = ("" if occurring == self.n_classes else f"{occurring} of ") + counted(self.n_classes, "class")
        utterances, spikes = counted(len(self), "utterance"), counted(len(self.times), "spike")
        return f"EventSet({utterances}, {spikes}, {classes}, {counted(speakers, 'speaker')}, {counted(self.n_channels, 'channel')})"

    @property
    def n_classes(self) -> int:
        """Number of classes: of the keys where there are any, of the labels otherwise."""
        return len(self.keys) or (int(self.labels.max()) + 1 if len(self) else 0)

    @property
    def durations(self) -> np.ndarray:
        """(B,) float32: time of the last spike of each utterance [s], 0 without spikes."""
        filled = np.diff(self.offsets) > 0
        last = np.zeros(len(self), np.float32)
        last[filled] = np.maximum.reduceat(self.times, self.offsets[:-1][filled])
        return last

    def __iter__(self) -> Iterator[Utterance]:
        return (self[i] for i in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Utterance: ...

    @overload
    def __getitem__(self, index: slice | Sequence[int] | np.ndarray) -> EventSet: ...

    def __getitem__(self, index: int | slice | Sequence[int] | np.ndarray) -> Utterance | EventSet:
        if not isinstance(index, (int, np.integer)):
            return self.subset(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"utterance {index} of {len(self)}")
        index = int(index) % len(self)
        start, stop = self.offsets[index : index + 2]
        label = int(self.labels[index])
        return Utterance(
            times=self.times[start:stop],
            units=self.units[start:stop],
            label=label,
            speaker=int(self.speakers[index]),
            key=self.keys[label] if 0 <= label < len(self.keys) else "",
        )

    def subset(self, index: slice | Sequence[int] | np.ndarray) -> EventSet:
        """Return the utterances of a slice, an index array or a Boolean mask, in that order."""
        chosen = np.arange(len(self))[index if isinstance(index, slice) else as_index(index, len(self), "index")]
        starts, sizes = self.offsets[chosen], np.diff(self.offsets)[chosen]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        # position of every kept spike in the old arrays: its utterance's old start plus its rank there
        where = np.repeat(starts - offsets[:-1], sizes) + np.arange(offsets[-1])
        return replace(
            self,
            times=self.times[where],
            units=self.units[where],
            offsets=offsets,
            labels=self.labels[chosen],
            speakers=self.speakers[chosen],
            dropped=0,
        )

    def joined(self, other: EventSet) -> EventSet:
        """Return this set's utterances and then another's, whose classes are numbered alike.

        The other's speakers are other people, with numbers after these, unless both sets have the same ``speaker_names``.

        Raises
        ------
        InputError
            If the other set has other ``keys`` or another number of channels.
        """
        require(isinstance(other, EventSet), "joined.other", "be an EventSet", other)
        for name in ("keys", "n_channels"):
            mine, its = getattr(self, name), getattr(other, name)
            require(mine == its, f"joined.other.{name}", f"be {mine}", its)
        speakers, names = other.speakers, self.speaker_names
        if names != other.speaker_names or not names:
            first = max(len(names), int(self.speakers.max(initial=-1)) + 1)
            speakers = np.where(speakers < 0, speakers, speakers + first)
            if other.speaker_names:
                names += tuple(str(number) for number in range(len(names), first)) + other.speaker_names
        return replace(
            self,
            times=np.concatenate([self.times, other.times]),
            units=np.concatenate([self.units, other.units]),
            offsets=np.concatenate([self.offsets, other.offsets[1:] + len(self.times)]),
            labels=np.concatenate([self.labels, other.labels]),
            speakers=np.concatenate([self.speakers, speakers]),
            speaker_names=names,
            dropped=self.dropped + other.dropped,
        )

    def of_speakers(self, *speakers: int | str) -> EventSet:
        """Return the utterances of these speakers, see :meth:`speaker`."""
        return self.subset(np.isin(self.speakers, [self.speaker(s) for s in speakers]))

    def without_speakers(self, *speakers: int | str) -> EventSet:
        """Return the utterances of everyone else."""
        return self.subset(~np.isin(self.speakers, [self.speaker(s) for s in speakers]))

    def speaker(self, who: int | str, field: str = "speaker") -> int:
        """Number of a speaker of this set, given by name (where the set has them) or by number, as text too.

        Raises
        ------
        InputError
            For somebody else, or for a name that several have; the text calls the argument ``field`` and lists who speaks.
        """
        numbers = sorted(set(self.speakers.tolist()))
        names = {n: self.speaker_names[n] if 0 <= n < len(self.speaker_names) else str(n) for n in numbers}
        if isinstance(who, str):
            borne = enumerate(self.speaker_names)
            called = [n for n, name in borne if n in names and name == composed(who)] or [n for n in numbers if str(n) == who]
            cure = f"Give the number of one of them: {' or '.join(map(str, called))}."
            require(len(called) < 2, field, "be a name that one speaker alone has, or a number", who, cure)
            found = called[0] if called else None
        else:
            found = int(who) if isinstance(who, (int, np.integer)) and not isinstance(who, bool) and who in names else None
        cure = "Give the set speakers (EventSet.from_utterances, its speakers=), or hold none out."
        known = any(n >= 0 for n in numbers) or not isinstance(who, str)  # a program may ask for those unknown, by -1
        require(known, field, "be used with a set that names speakers", who, cure)
        listed = ", ".join(list(names.values())[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
        require(found is not None, field, "be one of the set's speakers", who, f"They are {listed}.")
        return cast(int, found)


def as_index(index: Sequence[int] | np.ndarray, size: int, field: str) -> np.ndarray:
    """Check what picks utterances; an InputError says what it must be.

    Parameters
    ----------
    index : (K,) int or (size,) bool
        Numbers of utterances (negative ones count from the end), or a mask.
    size : int
        Number of utterances.
    field : str
        What errors call it.
    """
    rule = "be integers, a mask or a slice"
    index = array_of(index, field, rule)
    if index.ndim == 1 and index.size == 0 and index.dtype != bool:
        index = index.astype(np.int64)
    if index.dtype == bool:
        require(index.shape == (size,), "mask", f"have one entry an utterance ({size})", index.shape)
        return index
    require(index.ndim == 1 and index.dtype.kind in "iu", field, rule, (index.dtype, index.shape))
    inside = index.size == 0 or (index.min() >= -size and index.max() < size)
    require(inside, field, f"lie within {size} utterances", index)
    return index


def _is_row(values: Any) -> bool:
    try:
        return np.ndim(values) == 1
    except ValueError:  # rows of unequal length
        return False


def _column(values: object, field: str, dtype: type) -> np.ndarray:
    """(N,) of ``dtype``; an error where a value would change."""
    names = {"EventSet.labels": "keys", "EventSet.speakers": "speaker_names"}.get(field)
    raw = array_of(values, field, "hold numbers, (N,)", f"Number them from 0, and give their names as {names}." if names else "")
    require(raw.ndim == 1, field, "be one-dimensional", raw.shape)
    require(raw.size == 0 or raw.dtype.kind in "iuf", field, "hold numbers", raw)
    if raw.dtype.kind == "f" and np.issubdtype(dtype, np.integer):
        require(np.all(np.isfinite(raw)) and np.all(raw == np.rint(raw)), field, "hold whole numbers", raw)
    if np.issubdtype(dtype, np.integer) and raw.size:
        limits: np.iinfo = np.iinfo(dtype)
        inside = raw.min() >= limits.min and raw.max() <= limits.max
        require(inside, field, f"lie in {limits.min}..{limits.max}", (raw.min(), raw.max()))
    with np.errstate(over="ignore", under="ignore"):  # to inf, which is refused with a text of its own
        return np.ascontiguousarray(raw, dtype=dtype)


def first_repeated(names: Sequence[str]) -> str | None:
    """The first of some names that another bears, too; None if all differ."""
    first: dict[str, int] = {}
    return next((name for place, name in enumerate(names) if first.setdefault(name, place) != place), None)
