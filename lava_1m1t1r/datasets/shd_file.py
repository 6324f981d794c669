"""Spiking Heidelberg Digits on disk: own reader and writer of its HDF5 layout.

Data set: Cramer, Stradmann, Schemmel, Zenke 2020, doi:10.1109/TNNLS.2020.3044364 (CC BY 4.0).
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from .._support import hdf5_file, hdf5_heap
from .._support.files import replacing
from .._support.names import check_name, composed
from .._support.paths import path_of
from ..errors import FormatError, require, whole
from .events import MOST_CHANNELS, N_CHANNELS, SHD_KEYS, EventSet, first_repeated

TIMES, UNITS, LABELS, SPEAKERS, KEYS = "spikes/times", "spikes/units", "labels", "extra/speaker", "extra/keys"
_MOST_NAMES = 1 << 16  # of classes or speakers
META = "extra/meta_info"
SPEAKER_NAMES, CHANNELS = f"{META}/speaker_names", f"{META}/n_channels"
"""Keys for what SHD itself does not hold: names of speakers, and a number of channels other than 700."""
_OURS = tuple(name.rpartition("/")[2] for name in (SPEAKER_NAMES, CHANNELS))
_FLOAT16 = float(np.finfo(np.float16).max)


def read_shd(path: str | os.PathLike, n_channels: int | None = None, n_classes: int | None = None) -> EventSet:
    """Read an HDF5 file in SHD's layout.

    SHD stores times as float16; they are widened to float32 before anything else happens to them. Spikes whose time
    is not finite are dropped with a warning that counts them. Speakers that are texts instead of numbers are numbered in
    alphabetical order, and unknown where they are blank.

    Parameters
    ----------
    path : path
        The ``.h5`` file.
    n_channels : int, optional
        Number of channels; a unit at or above it is an error. Default: what :func:`write_shd` noted in the file, else 700.
    n_classes : int, optional
        Number of classes; a label at or above it is an error, as one without a name is where there are ``extra/keys``. Default: the
        number of ``extra/keys``, else 20.

    Returns
    -------
    EventSet

    Raises
    ------
    FormatError
        When the file is absent, is not HDF5, is cut short, or breaks the layout; the text names file and key.
    """
    path = path_of(path)
    _check_counts(n_channels, n_classes)
    with hdf5_file.opened(path) as file:
        data = _datasets(file, path)
        keys = _class_names(file, path)
        noted = hdf5_file.dataset(file, CHANNELS) is not None
        n_channels = n_channels or _channels(file, path)
        labels = _column(data[LABELS], LABELS, path)
        speakers, names = _speakers(file, data[SPEAKERS], len(labels), path)
        for name, size in ((TIMES, len(data[TIMES])), (UNITS, len(data[UNITS])), (SPEAKERS, len(speakers))):
            rule = f"have as many rows as there are labels ({len(labels)})"
            require(size == len(labels), f"{path}: {name}", rule, size, "", FormatError)
        _check_labels(labels, keys, n_classes, path)
        times, units, sizes = _read_spikes(data, path, n_channels, noted)
    finite = np.isfinite(times)
    dropped = int(len(times) - np.count_nonzero(finite))
    if dropped:
        warnings.warn(f"{path}: dropped {dropped} of {len(times)} spikes whose time is not finite.", stacklevel=2)
        row = np.repeat(np.arange(len(sizes)), sizes)
        sizes = np.bincount(row[finite], minlength=len(sizes))
        times, units = times[finite], units[finite]
    offsets = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    if len(times) and times.min() < 0:
        first = int(np.argmax(times < 0))
        late = int(np.searchsorted(offsets, first, side="right")) - 1
        raise _row_error(path, TIMES, late, "be >= 0 s", float(times[first]))
    return EventSet(times, units, offsets, labels, speakers, keys, n_channels, names, dropped)


def write_shd(path: str | os.PathLike, events: EventSet, meta: dict[str, str] | None = None) -> Path:
    """Write ``events`` in SHD's layout: variable-length times [s] and uint16 units, labels, speakers, keys.

    Times are float16, as SHD's, where that holds every one of them exactly, and float32 elsewhere: float16 resolves only 0.5 ms up to 1 s,
    1 ms up to 2 s, 2 ms up to 4 s and so on. ``write_shd(path, as_stored(events))`` rounds them to float16.

    Parameters
    ----------
    path : path
        The file; it appears complete or not at all.
    events : EventSet
        What to write.
    meta : dict of str, optional
        Texts for ``extra/meta_info``, for example how the data were made; :func:`.shd_file.read_meta` reads them back.

    Raises
    ------
    InputError
        For events or texts that the file could not give back.
    """
    require(isinstance(events, EventSet), "events", "be an EventSet", events)
    path = path_of(path)
    _check_meta(meta)
    _check_storable(events)
    with replacing(path) as part:
        part.write_bytes(_image(events, meta or {}))
    return path


def read_meta(path: str | os.PathLike, name: str) -> str | None:
    """Return one of the texts that :func:`write_shd` was given as ``meta``, or None where the file has none of that name.

    Raises
    ------
    FormatError
        When the file is absent, is not HDF5 or is damaged.
    """
    path, place = path_of(path), f"{META}/{name}"
    with hdf5_file.opened(path) as file:
        data = hdf5_file.dataset(file, place)
        if data is None or data.shape != () or data.dtype.kind not in "SO":
            return None
        return bytes(hdf5_file.value_of(data, f"{path}: {place}")).decode(errors="replace")


def as_stored(events: EventSet) -> EventSet:
    """Return the events with times rounded to float16, as SHD's are."""
    return replace(events, times=half_precision(events.times))


def half_precision(times: np.ndarray) -> np.ndarray:
    """Return times as float16, too large ones infinite and too small ones 0, also where the caller has numpy raise at that."""
    with np.errstate(over="ignore", under="ignore"):
        return times.astype(np.float16)


def _image(events: EventSet, meta: Mapping[str, str]) -> memoryview:
    """Content of the file. It is made in memory, because the HDF5 library crashes on a full disk."""
    import h5py

    whole, narrow = io.BytesIO(), half_precision(events.times)
    times_type = np.float16 if np.array_equal(narrow, events.times) else np.float32
    with h5py.File(whole, "w") as file:
        for name, values, dtype in ((TIMES, events.times, times_type), (UNITS, events.units, np.uint16)):
            rows = np.empty(len(events), dtype=object)
            for i in range(len(events)):
                rows[i] = values[events.offsets[i] : events.offsets[i + 1]].astype(dtype)
            file.create_dataset(name, data=rows, dtype=h5py.vlen_dtype(dtype))
        file[LABELS] = events.labels.astype(np.uint16)
        small = len(events) == 0 or (events.speakers.min() >= 0 and events.speakers.max() < 2**16)
        file[SPEAKERS] = events.speakers.astype(np.uint16 if small else np.int32)
        file[KEYS] = np.array([k.encode() for k in events.keys], dtype="S") if events.keys else np.array([], "S1")
        file.create_group(META)
        if events.speaker_names:
            file[SPEAKER_NAMES] = np.array([n.encode() for n in events.speaker_names], dtype="S")
        if events.n_channels != N_CHANNELS:
            file[CHANNELS] = np.int32(events.n_channels)
        for name, text in meta.items():
            file[f"{META}/{name}"] = text
    return whole.getbuffer()


def _check_meta(meta: object) -> None:
    named = meta is None or isinstance(meta, dict) and all(isinstance(k, str) and isinstance(v, str) for k, v in meta.items())
    require(named, "meta", "be texts by name", meta)
    for name, text in meta.items() if isinstance(meta, dict) else ():
        good = name not in ("", ".", *_OURS) and "/" not in name and is_storable(name)
        rule = f"be a name in HDF5: not empty, '.', {' or '.join(_OURS)}, and without '/', NUL and lone surrogates"
        require(good, "name in meta", rule, name)
        require(is_storable(text), f"meta[{name!r}]", "be text without NUL and lone surrogates", text)


def _check_storable(events: EventSet) -> None:
    """Refuse what the types of the file cannot hold, and what :func:`read_shd` would refuse."""
    for name, least, most in (("labels", 0, 2**16 - 1), ("speakers", -(2**31), 2**31 - 1)):
        values = getattr(events, name)
        fits = len(values) == 0 or (values.min() >= least and values.max() <= most)
        require(fits, f"EventSet.{name}", f"lie in {least}..{most} to be stored", values)
    named = events.keys or events.labels.max(initial=0) < len(SHD_KEYS)
    cure = "Give the set keys, a name for each class."
    require(named, "EventSet.labels", f"lie in 0..{len(SHD_KEYS) - 1} to be stored without keys", events.labels, cure)
    for name in ("keys", "speaker_names"):
        found = len(getattr(events, name))
        require(found <= _MOST_NAMES, f"EventSet.{name}", f"hold at most {_MOST_NAMES} names to be stored", found)
    # SHD's own files hold float16, which ends there
    latest = events.times.max(initial=0)
    cure = "Are they in seconds? Event cameras' files mostly have microseconds: t * 1e-6."
    require(latest <= _FLOAT16, "EventSet.times", f"lie in 0..{_FLOAT16:.0f} s to be stored", float(latest), cure)


def is_storable(text: str) -> bool:
    """Whether HDF5 can hold a text."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def _check_counts(n_channels: int | None, n_classes: int | None) -> None:
    for name, value in (("n_channels", n_channels), ("n_classes", n_classes)):
        if value is not None:
            whole(value, name, least=1, most=MOST_CHANNELS)


def _datasets(file, path: Path) -> dict:
    """Times, units, labels and speakers (None where there are none), unread, of the kinds and shapes that the layout has."""
    from h5py import check_vlen_dtype

    data = {name: hdf5_file.dataset(file, name, rows=name in (TIMES, UNITS)) for name in (TIMES, UNITS, LABELS, SPEAKERS)}
    for name in (TIMES, UNITS, LABELS):
        cure = "The layout is that of Spiking Heidelberg Digits."
        require(data[name] is not None, str(path), f"hold the dataset '{name}'", sorted(map(str, file))[:10], cure, FormatError)
        shape = data[name].shape
        require(len(shape) == 1, f"{path}: {name}", "be one-dimensional", shape, "", FormatError)
    for name, kinds, what, cure in ((TIMES, "f", "floats", " Times are in seconds."), (UNITS, "iu", "integers", "")):
        base = check_vlen_dtype(data[name].dtype)
        numeric = isinstance(base, np.dtype) and base.kind in kinds
        found = data[name].dtype if base is None else f"rows of {base}"
        rule, cure = f"hold variable-length rows of {what}", f"Each row is one utterance.{cure}"
        require(numeric, f"{path}: {name}", rule, str(found), cure, FormatError)
    return data


def _class_names(file, path: Path) -> tuple[str, ...]:
    keys = _texts(file, KEYS, path)
    twice = first_repeated(keys)
    require(twice is None, f"{path}: {KEYS}", "name each class differently", twice, error=FormatError)
    return keys


def _check_labels(labels: np.ndarray, keys: tuple[str, ...], asked: int | None, path: Path) -> None:
    """Refuse labels beyond the classes that have names, or that were ``asked`` for; without either, beyond SHD's."""
    classes = min(filter(None, (asked, len(keys))), default=len(SHD_KEYS))
    bad = (labels < 0) | (labels >= classes)
    if bad.any():
        first = labels[bad][0]
        more = f"More classes than SHD's {len(SHD_KEYS)} need names, a column of texts in {KEYS}; or in Python give n_classes."
        cure = "" if keys or asked else "Number them from 0." if first < 0 else more
        raise _row_error(path, LABELS, int(np.argmax(bad)), f"lie in 0..{classes - 1}", first, cure)


def _channels(file, path: Path) -> int:
    """Number of channels that the file notes; SHD's own files note none."""
    data = hdf5_file.dataset(file, CHANNELS)
    if data is None:
        return N_CHANNELS
    noted = int(data[()]) if data.shape == () and data.dtype.kind in "iu" else 0
    rule = f"be a whole number from 1 to {MOST_CHANNELS}"
    require(1 <= noted <= MOST_CHANNELS, f"{path}: {CHANNELS}", rule, noted or (data.shape, str(data.dtype)), "", FormatError)
    return noted


def _read_spikes(data: dict, path: Path, n_channels: int, noted: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read times (float32), units (uint16) and row sizes, checked."""
    (times, sizes), (units, n_units) = (hdf5_heap.read_rows(data[name], f"{path}: {name}") for name in (TIMES, UNITS))
    if np.any(sizes != n_units):
        row = int(np.argmax(sizes != n_units))
        raise _row_error(path, TIMES, row, f"be as long as its '{UNITS}' ({n_units[row]})", sizes[row])
    wrong = (units < 0) | (units >= n_channels)
    if wrong.any():
        row = int(np.searchsorted(np.cumsum(sizes), np.argmax(wrong), side="right"))
        place = f"h5py.File({str(path)!r}, 'a')['{CHANNELS}']" + ("[()]" if noted else "")
        cure = f"If there are more channels, note their number in the file: {place} = N; or in Python give n_channels to datasets.read_shd."
        cure += "" if noted else f" Without either it is {N_CHANNELS}."
        raise _row_error(path, UNITS, row, f"lie in 0..{n_channels - 1}", units[wrong][0], "" if units[wrong][0] < 0 else cure)
    with np.errstate(over="ignore", under="ignore"):  # what is too large is told as infinite
        return times.astype(np.float32), units.astype(np.uint16), sizes


def _column(data, name: str, path: Path) -> np.ndarray:
    good = len(data.shape) == 1 and data.dtype.kind in "iu"
    cure = "Number them from 0; extra/keys and extra/meta_info/speaker_names hold their names."
    require(good, f"{path}: {name}", "be a column of integers", (data.shape, str(data.dtype)), cure, FormatError)
    return data[:].astype(np.int64)


def _speakers(file, data, utterances: int, path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Speaker of each utterance, -1 where none is told, and the speakers' names: what the column holds, if that is texts."""
    if data is not None and len(data.shape) == 1 and data.dtype.kind in "SO":
        texts = [composed(name) for name in _names(hdf5_file.value_of(data, f"{path}: {SPEAKERS}"), f"{path}: {SPEAKERS}")]
        names = tuple(sorted({name for name in texts if name.strip()}))
        number = {name: i for i, name in enumerate(names)}
        return np.array([number.get(name, -1) for name in texts], np.int64), names
    return np.full(utterances, -1) if data is None else _column(data, SPEAKERS, path), _texts(file, SPEAKER_NAMES, path)


def _texts(file, name: str, path: Path) -> tuple[str, ...]:
    data = hdf5_file.dataset(file, name)
    if data is None or data.shape == (0,):
        return ()
    texts = len(data.shape) == 1 and data.dtype.kind in "SO"
    require(texts, f"{path}: {name}", "be a column of texts", (data.shape, str(data.dtype)), "", FormatError)
    require(data.shape[0] <= _MOST_NAMES, f"{path}: {name}", f"hold at most {_MOST_NAMES} names", data.shape[0], "", FormatError)
    return _names(hdf5_file.value_of(data, f"{path}: {name}"), f"{path}: {name}")


def _names(texts: np.ndarray, where: str) -> tuple[str, ...]:
    try:
        names = tuple(t.decode() if isinstance(t, bytes) else str(t) for t in texts)
    except UnicodeDecodeError as error:  # with replaced letters, two people could be one
        raise FormatError(f"{where} must hold texts in UTF-8: {error}.") from error
    for text in names:
        check_name(text, where, FormatError)
    return names


def _row_error(path: Path, name: str, row: int, rule: str, value, cure: str = "") -> FormatError:
    return FormatError(f"{path}: '{name}' of utterance {row} must {rule}; got {value}." + (f" {cure}" if cure else ""))
