"""Labelled WAV files through the inner ear: any folder of recordings becomes a data set in SHD's format."""

from __future__ import annotations

import hashlib
import os
import struct
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from .._support.files import read_table
from .._support.names import check_name, composed
from .._support.paths import exists, file_of, is_file, path_of
from ..errors import FormatError, InputError, counted, listed, require, workers_of
from .events import EventSet
from .inner_ear import InnerEar
from .shd_file import is_storable

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_TOLD = 5  # of wrong files, whose errors are told
_LARGEST = 1 << 28  # bytes: far above any utterance that the inner ear takes
_OFFSET = 0.5  # of a recording, by the rms of its sound: from here on the ear hears it a decibel too faint, and soon hardly at all


def read_wav(path: str | os.PathLike) -> tuple[np.ndarray, int]:
    """Read one WAV file: PCM of 8 to 32 bits or floats.

    The header is checked against the file before anything is read by it, so that a damaged or cut file is an error
    rather than noise or a huge allocation.

    Returns
    -------
    audio : (N,) float64
        Full scale is 1; several channels are averaged.
    rate : int
        Sampling rate [Hz].
    """
    path = file_of(path)
    size = path.stat().st_size
    require(size <= _LARGEST, str(path), f"be at most {_LARGEST} bytes", size, "Cut it into utterances.", FormatError)
    chunks = dict(_chunks(path, path.read_bytes()))
    for name in (b"fmt ", b"data"):
        require(name in chunks, str(path), f"hold a '{name.decode()}' chunk", sorted(chunks), "", FormatError)
    header = chunks[b"fmt "]
    require(len(header) >= 16, f"{path}: 'fmt '", "hold 16 bytes or more", len(header), "", FormatError)
    code, channels, rate, _, frame_bytes, bits = struct.unpack("<HHIIHH", header[:16])
    if code == _EXTENSIBLE and len(header) >= 26:
        code = struct.unpack("<H", header[24:26])[0]
    known = (code == _PCM and bits in (8, 16, 24, 32)) or (code == _FLOAT and bits in (32, 64))
    cure = "Convert it to 16-bit PCM."
    require(known, str(path), "be PCM of 8, 16, 24 or 32 bits or floats", (code, bits), cure, FormatError)
    whole = channels > 0 and rate > 0 and frame_bytes == channels * bits // 8
    require(whole, f"{path}: 'fmt '", "be consistent", (channels, rate, frame_bytes, bits), "", FormatError)
    data = chunks[b"data"]
    data = data[: len(data) // frame_bytes * frame_bytes]
    require(len(data) > 0, str(path), "hold samples", "none", "", FormatError)
    audio = _samples(data, code, bits).reshape(-1, channels).mean(axis=1)
    return audio, rate


def wav_folder(
    path: str | os.PathLike,
    speaker_of: Callable[[Path], str | None] | None = None,
    ear: InnerEar | None = None,
    threads: int = -1,
    progress: bool = True,
) -> EventSet:
    """Encode labelled recordings.

    What the model draws for a recording depends on its sound and on ``ear.seed`` (:func:`draw_of`), not on its place in the list:
    places mostly go with labels, and draws that went with places would tell the labels of another list, such as a test set.

    Parameters
    ----------
    path : path
        A folder ``<label>/*.wav``, whose labels are sorted by name (as numbers where all are numbers); or a CSV file
        with the columns ``file``, ``label`` and, optionally, ``speaker``, where files are relative to it.
    speaker_of : callable, optional
        Gives the speaker's name for a file of a folder, None where it is unknown (-1). Without it all are.
    ear : InnerEar, optional
        The model; default ``InnerEar(seed=0)``.
    threads : int
        Threads; -1 for all cores. Does not change the spikes.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    EventSet
        ``keys`` are the labels, ``speaker_names`` the speakers.

    Raises
    ------
    FormatError
        When a file is damaged, absent, or none is there; every file is read and checked before the first is encoded.

    Warns
    -----
    UserWarning
        Of folders that hold no recordings, of what lies deeper or leads to nothing, of a file with several labels, and of recordings with
        a large constant offset.
    """
    path, threads = path_of(path), workers_of(threads, "threads")
    require(speaker_of is None or callable(speaker_of), "speaker_of", "be a function of a file", speaker_of)
    require(exists(path), "path", "exist", str(path), "Give a folder of <label>/*.wav or a CSV file.", FormatError)
    require(path.is_dir() or path.is_file(), "path", "be a folder or a CSV file", str(path), "", FormatError)
    found = _folder_rows(path, speaker_of) if path.is_dir() else _csv_rows(path)
    rows = [(file, composed(label), None if speaker is None else composed(speaker)) for file, label, speaker in found]
    ear = InnerEar() if ear is None else ear
    require(isinstance(ear, InnerEar), "ear", "be an InnerEar", ear)
    for _, label, speaker in rows:
        for what, name in (("labels", label), ("speakers", speaker or "")):
            require(is_storable(name), f"{path}: {what}", "be text that a file can hold", name, "Rename it.", FormatError)
            check_name(name, f"{path}: {what}", FormatError)  # here, not after the encoding
    keys, speaker_names = _names(r[1] for r in rows), _names(r[2] for r in rows if r[2] is not None)
    draws = _check_recordings([file for file, _, _ in rows], ear)
    sounds = (read_wav(file) for file, _, _ in rows)
    spikes = ear.encode(sounds, threads, "recordings" if progress else None, len(rows), indices=draws)
    return EventSet.from_utterances(
        spikes,
        labels=[keys.index(label) for _, label, _ in rows],
        speakers=[-1 if speaker is None else speaker_names.index(speaker) for _, _, speaker in rows],
        keys=keys,
        n_channels=ear.n_channels,
        speaker_names=speaker_names,
    )


def draw_of(audio: np.ndarray, rate: int) -> int:
    """Number that stands for a recording: the ``index`` with which :func:`wav_folder` encodes it.

    Parameters
    ----------
    audio : (N,) float64
        As :func:`read_wav` returns it.
    rate : int
        Sampling rate [Hz].
    """
    hashed = hashlib.blake2b(np.asarray(audio, "<f8").tobytes(), digest_size=7)
    hashed.update(str(rate).encode())
    return int.from_bytes(hashed.digest(), "little")


def _check_recordings(files: Sequence[Path], ear: InnerEar) -> list[int]:
    """Refuse files that cannot be encoded: with what is wrong about the first, and the names of some others. Returns the draw of each."""
    wrong: list[str] = []
    draws: list[int] = []
    shifted: list[Path] = []
    for file in files:
        try:
            audio, rate = read_wav(file)
            ear.prepare(audio, rate)
            draws.append(draw_of(audio, rate))
            if abs(np.mean(audio)) > _OFFSET * np.std(audio):
                shifted.append(file)
        except FormatError as error:
            wrong.append(str(error))
        except InputError as error:
            wrong.append(f"{file}: {error}")
    if wrong:
        more = f" And {len(wrong) - 1} more: {' '.join(wrong[1:_TOLD])}{' ...' if len(wrong) > _TOLD else ''}" if len(wrong) > 1 else ""
        raise FormatError(wrong[0] + more)
    if shifted:
        many = f"{counted(len(shifted), 'recording')} ({listed(shifted, _TOLD)})"
        text = f"{many} with a constant offset above {_OFFSET:g} of the sound's rms: it counts as level, so the sound is encoded too faint."
        warnings.warn(f"{text} Take it off first (a high-pass of 20 Hz).", stacklevel=3)
    return draws


_Row = tuple[Path, str, "str | None"]  # file, label, speaker


def _folder_rows(folder: Path, speaker_of: Callable[[Path], str | None] | None) -> Sequence[_Row]:
    # not by a pattern, which passes over what may not be read
    shown = sorted(_shown(folder))
    labels = [label for label in shown if exists(label) and label.is_dir()]
    within = sorted(path for label in labels for path in _shown(label))
    named = [path for path in within if _is_sound(path)]
    absent = [path for path in named if not exists(path)]
    cure = "Fetch the files that they stand for, or remove them."
    require(not absent, str(folder), "hold no links to recordings that are not there", listed(absent, _TOLD), cure, FormatError)
    files = [path for path in named if is_file(path)]
    speakers = [speaker_of(file) if speaker_of else None for file in files]
    rows = [(file, file.parent.name, None if who is None else str(who).strip() or None) for file, who in zip(files, speakers, strict=True)]
    require(rows, str(folder), "hold <label>/*.wav", "none", "Or give a CSV file with file,label,speaker.", FormatError)
    used = {file.parent for file in files}
    empty = [label.name for label in labels if label not in used]
    if empty:
        warnings.warn(f"{folder}: no .wav file lies directly in {listed(empty)}: no class is made of it.", stacklevel=3)
    lost = [path.name for path in shown if not exists(path)]
    if lost:
        warnings.warn(f"{folder}: {listed(lost)} leads to nothing: no class is made of it.", stacklevel=3)
    others = [path for path in within if not is_file(path) and path.parent in used]
    unread = [path for path in others if _is_sound(path) or (path.is_dir() and any(map(_is_sound, _shown(path))))]
    if unread:
        warnings.warn(f"{folder}: not read, as only .wav files directly in a label's folder are: {listed(unread, _TOLD)}.", stacklevel=3)
    return rows


def _is_sound(path: Path) -> bool:
    return path.suffix.lower() == ".wav"


def _shown(folder: Path) -> Iterator[Path]:
    """What is not hidden: beside ``a.wav``, macOS keeps ``._a.wav``, which is no sound."""
    return (path for path in folder.iterdir() if not path.name.startswith("."))


def _csv_rows(path: Path) -> Sequence[_Row]:
    rows = []
    for where, row in read_table(path, ("file", "label"), ("speaker",)):
        for name in ("file", "label"):
            require(row[name], where, f"have a '{name}'", row, "The head line is 'file,label,speaker'.", FormatError)
        sound = path.parent / row["file"]
        try:
            there = "\0" not in row["file"] and sound.is_file()
        except OSError:  # a name that no file can have
            there = False
        require(there, f"{where}: file", "exist", str(sound), "Files are named relative to the list.", FormatError)
        rows.append((sound, row["label"], row["speaker"] or None))
    labels: dict[Path, str] = {}
    twice = sorted({sound.name for sound, label, _ in rows if labels.setdefault(sound, label) != label})
    if twice:
        warnings.warn(f"{path}: {counted(len(twice), 'file')} with several labels each: {listed(twice, _TOLD)}.", stacklevel=3)
    return rows


def _names(values: Iterator[str]) -> tuple[str, ...]:
    """Distinct names in order, as numbers where all are numbers: 2 before 10, and 01 before 1."""
    names = sorted(set(values))  # names of the same number stay in this order, for a set has another in each process
    return tuple(sorted(names, key=int) if all(n.isdecimal() for n in names) else names)


def _chunks(path: Path, data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (name, content) of each RIFF chunk, up to and including the samples."""
    is_wave = len(data) >= 12 and data[:4] == b"RIFF" and data[8:12] == b"WAVE"
    require(is_wave, str(path), "be a RIFF WAVE file", "another one", "Convert it to WAV.", FormatError)
    at = 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], struct.unpack("<I", data[at + 4 : at + 8])[0]
        left = len(data) - at - 8
        rule = f"hold the {size} bytes that the header of its '{name.decode('latin-1')}' chunk declares"
        require(size <= left, str(path), rule, f"{left} bytes", "The file is cut short or damaged.", FormatError)
        yield name, data[at + 8 : at + 8 + size]
        if name == b"data":
            return
        at += 8 + size + size % 2  # chunks start at even places


def _samples(data: bytes, code: int, bits: int) -> np.ndarray:
    if code == _FLOAT:
        return np.frombuffer(data, f"<f{bits // 8}").astype(np.float64)
    if bits == 8:  # the only unsigned one
        return (np.frombuffer(data, np.uint8).astype(np.float64) - 128) / 128
    if bits == 24:
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return wide.view("<i4")[:, 0] / 2.0**31
    return np.frombuffer(data, f"<i{bits // 8}") / 2.0 ** (bits - 1)
