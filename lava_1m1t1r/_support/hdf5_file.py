"""Untrusted HDF5 files, checked before anything is read from them.

An HDF5 file of a few kilobytes can claim or expand to gigabytes, link to other files, hold object references, and name filters that
are loaded as programs. A network or a data set needs none of this: it is refused by name before the first value is read.
"""

from __future__ import annotations

import errno
import math
import os
import traceback
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import FormatError, InputError, require
from . import hdf5_heap
from .paths import file_of

LEAST_ALLOWED = 1 << 26
"""Number of bytes that a dataset, and in :func:`check_tree` all of a file together, may claim, however small the file; of larger files,
:data:`CLAIM` times their size."""
CLAIM = 20
"""Largest factor by which the datasets of a file may be larger than the file: what weights of networks compress to, with room."""
MOST_OBJECTS, DEEPEST = 10_000, 16
_FILTERS = {1: "gzip", 2: "shuffle", 3: "check sums (fletcher32)", 32000: "lzf"}
_REPACK = "Repack it with h5repack -f NONE."
_SLACK = 1 << 12  # bytes that a stored chunk may be larger than its content: headers and check sums

_LIBRARY_ERRORS = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, OverflowError, MemoryError, SystemError)
"""Exceptions that h5py raises for damaged files, depending on which byte is wrong."""


@contextmanager
def opened(path: str | os.PathLike) -> Iterator[Any]:
    """Open an HDF5 file for reading; every error of the HDF5 library becomes a FormatError that names the file. Other errors of the
    ``with`` block pass unchanged.

    Raises
    ------
    FormatError
        When the file is absent, is not HDF5, is cut short or damaged.
    """
    import h5py

    path = file_of(path)
    with open(path, "rb") as file:
        first = file.read(8)
    cure = "Unpack it first if it is an archive; else copy or download it again."
    if first[:4] == b"PK\x03\x04":
        cure = "If it is an archive, unpack it. A checkpoint of `train` is no such file: read network.net beside it."
    if first[:4] == b"RIFF":
        cure = "Recordings become such a file by lava-1m1t1r encode, or datasets.wav_folder and write_shd."
    try:
        readable = h5py.is_hdf5(path)
        require(readable, str(path), "be an HDF5 file, complete and undamaged", first, cure, FormatError)
        with h5py.File(path, "r") as file:
            yield file
    except InputError:
        raise
    except _LIBRARY_ERRORS as error:
        number = getattr(error, "errno", 0)
        full = number in (errno.ENOSPC, errno.EDQUOT)  # the caller's own write failed, not this file
        if full or not _of_library(error):
            raise
        if number in (errno.EAGAIN, errno.EACCES) and os.access(path, os.R_OK):
            raise FormatError(f"{path} must not be open for writing elsewhere while it is read. Wait until that is done.") from error
        if number in (errno.ENOLCK, errno.EOPNOTSUPP):  # HDF5 goes on by itself after ENOSYS alone
            cure = "Set HDF5_USE_FILE_LOCKING=FALSE in the environment, or copy the file to another one."
            raise FormatError(f"{path} lies in a file system that gives no locks ({os.strerror(number)}). {cure}") from error
        text = f"{path} must be an HDF5 file, complete and undamaged; reading it failed with: {_line(error)}. Copy or download it again."
        raise FormatError(text) from error


def _of_library(error: BaseException) -> bool:
    """Whether an error has passed through h5py."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(str(frame.f_globals.get("__name__")).partition(".")[0] == "h5py" for frame, _ in frames)


def check_tree(file: Any) -> None:
    """Check every link and dataset of an open file (see :func:`dataset`), for readers that take all of it."""
    import h5py

    where, budget, seen = file.filename, _allowed(file), set()
    waiting: list[tuple[str, Any, int]] = [("", file, 0)]
    while waiting:
        prefix, group, depth = waiting.pop()
        require(depth < DEEPEST, f"{where}: {prefix}", f"have at most {DEEPEST} levels of groups", depth, error=FormatError)
        for name in group:
            place = f"{prefix}/{name}" if prefix else name
            require(isinstance(name, str), f"{where}: {place}", "have a name in UTF-8", name, error=FormatError)
            item = _linked(group, name, f"{where}: {place}")
            address = h5py.h5g.get_objinfo(item.id).objno  # get_info walks a dataset's index, and HDF5 2.0.0 crashes on a damaged one
            require(address not in seen, f"{where}: {place}", "stand in one place only", "a second link to it", error=FormatError)
            seen.add(address)
            require(len(seen) <= MOST_OBJECTS, where, f"hold at most {MOST_OBJECTS} groups and datasets", len(seen), error=FormatError)
            if isinstance(item, h5py.Group):
                waiting.append((place, item, depth + 1))
            else:
                budget -= check_dataset(item, f"{where}: {place}", budget)


def dataset(file: Any, name: str, rows: bool = False) -> Any:
    """Return the dataset ``name`` of an open file once it is safe to read, or None where there is none.

    Parameters
    ----------
    file : h5py.File
    name : str
        Path inside the file.
    rows : bool
        Whether variable-length rows of numbers are allowed, too. Read those with :func:`.hdf5_heap.read_rows`.

    Raises
    ------
    FormatError
        If the path leads through a link to elsewhere; if the dataset is of another kind than numbers or text, keeps its values in
        another file, claims more than 64 MiB and 20 times the size of the file, or is packed by a filter that can hide more (rows:
        by another one than gzip and shuffle).
    """
    import h5py

    item, where = file, f"{file.filename}: {name}"
    for part in name.split("/"):
        if not isinstance(item, h5py.Group) or part not in item:
            return None
        item = _linked(item, part, where)
    if not isinstance(item, h5py.Dataset):
        return None
    check_dataset(item, where, _allowed(file), rows)
    return item


def _allowed(file: Any) -> int:
    return max(LEAST_ALLOWED, CLAIM * _size(file))


def _size(file: Any) -> int:
    """Bytes of the open file itself: by its name another process may have put another one in its place."""
    return os.fstat(file.id.get_vfd_handle()).st_size


def _linked(group: Any, name: str, where: str) -> Any:
    import h5py

    link = group.get(name, getlink=True)
    kind = {h5py.SoftLink: "a soft link", h5py.ExternalLink: "a link into another file"}.get(type(link), type(link).__name__)
    cure = "Copy what it leads to into its place."
    require(isinstance(link, h5py.HardLink), where, "be data of this file, not a link to elsewhere", kind, cure, FormatError)
    return group[name]


def check_dataset(data: Any, where: str, allowed: int, rows: bool = False) -> int:
    """Check one dataset as :func:`dataset` says, without reading it; return the bytes that it claims.

    Parameters
    ----------
    data : object
        What the file holds under a name.
    where : str
        File and name, for the error's text.
    allowed : int
        Bytes that it may claim.
    rows : bool
        Whether variable-length rows of numbers are allowed, too.
    """
    import h5py

    plain = isinstance(data, h5py.Dataset) and _plain(data.id.get_type(), rows)
    shown = str(data.dtype) if isinstance(data, h5py.Dataset) else type(data).__name__
    require(plain, where, "be a dataset of numbers or text", shown, "Objects, references and records are not read.", FormatError)
    require(data.shape is not None, where, "hold at least one value", "nothing", error=FormatError)
    kind = data.id.get_type()
    item = kind.get_size()
    foreign = data.is_virtual or data.id.get_create_plist().get_external_count() > 0
    require(not foreign, where, "keep its values in this file", "values in another one", "Repack it with h5repack.", FormatError)
    chunk = math.prod(data.chunks) * item if data.chunks else 0
    claim = max(math.prod(data.shape) * item, chunk)
    require(claim <= allowed, where, f"claim at most {allowed} bytes, for a file of this size", claim, error=FormatError)
    filters = hdf5_heap.filters_of(data)
    packer = _packer(filters, where)
    of_rows = kind.get_class() == h5py.h5t.VLEN
    if of_rows:  # of which empty ones take next to nothing
        most = max(1 << 16, CLAIM * _size(data.file) // item)
        require(data.size <= most, where, f"hold at most {most} rows, for a file of this size", data.size, error=FormatError)
    if of_rows or (kind.get_class() == h5py.h5t.STRING and kind.is_variable_str()):  # unpacked here, not by the library
        extra = [_FILTERS[n] for n in filters if n not in hdf5_heap.FILTERS]
        rule = "be packed by nothing but gzip and shuffling, as it holds rows or text of variable length"
        require(not extra, where, rule, extra, _REPACK, FormatError)
    if packer is None:
        return claim
    last = filters[-1] == packer or filters[-2:] == [packer, h5py.h5z.FILTER_FLETCHER32]
    require(last, where, "be packed after shuffling", filters, _REPACK, FormatError)
    claim = max(claim, data.id.get_num_chunks() * chunk)
    require(claim <= allowed, where, f"claim at most {allowed} bytes, for a file of this size", claim, error=FormatError)
    _check_chunks(data, packer, chunk, where)
    return claim


def _packer(filters: list[int], where: str) -> int | None:
    """The one filter that packs, gzip or lzf; None without. Refuses filters other than :data:`_FILTERS`, and repeated ones."""
    import h5py

    packers = [n for n in filters if n in (h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_LZF)]
    good = set(filters) <= set(_FILTERS) and len(set(filters)) == len(filters) and len(packers) <= 1
    require(good, where, "be packed by nothing but one of gzip and lzf, with shuffle and check sums", filters, _REPACK, FormatError)
    return packers[0] if packers else None


def _check_chunks(data: Any, packer: int, chunk: int, where: str) -> None:
    """Refuse stored chunks that are larger than ``chunk`` bytes can be when packed, or inflate to another size."""
    import h5py

    stored: list[Any] = []
    data.id.chunk_iter(stored.append)  # in one pass: get_chunk_info counts from the first one each time
    for info in stored:
        require(info.size <= chunk + chunk // 8 + _SLACK, where, f"store chunks of at most {chunk} bytes", info.size, error=FormatError)
        if packer == h5py.h5z.FILTER_DEFLATE and info.filter_mask == 0:
            _check_inflated(data.id.read_direct_chunk(info.chunk_offset)[1], chunk, where)


def _check_inflated(stored: bytes, chunk: int, where: str) -> None:
    """Check the size that a chunk inflates to: HDF5 inflates as far as the stream goes, not to the size of a chunk."""
    stream = zlib.decompressobj()
    try:
        size = len(stream.decompress(stored, chunk + 1))
    except zlib.error as error:
        raise FormatError(f"{where} must hold gzip chunks; {error}. The file is damaged: copy or download it again.") from error
    require(size == chunk, where, f"inflate to chunks of {chunk} bytes", "more" if size > chunk else size, error=FormatError)


def _plain(kind: Any, rows: bool) -> bool:
    """Whether a type is a number, a truth value or text, or rows of numbers where those are allowed."""
    import h5py

    code = kind.get_class()
    if code == h5py.h5t.ENUM:
        return kind.get_super().get_class() == h5py.h5t.INTEGER
    if code == h5py.h5t.VLEN:
        return rows and kind.get_super().get_class() in (h5py.h5t.INTEGER, h5py.h5t.FLOAT)
    return code in (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.STRING)


def value_of(data: Any, where: str) -> Any:
    """Value of a dataset that has been checked: an array, a number, or text; for several texts an array of bytes."""
    import h5py

    kind = data.id.get_type()
    if kind.get_class() != h5py.h5t.STRING or not kind.is_variable_str():
        return data[()]
    texts = np.empty(data.shape, object)
    texts.reshape(-1)[:] = hdf5_heap.read_texts(data, where)
    return texts if data.shape else texts[()]


def _line(error: BaseException) -> str:
    """First line of an error's text, short."""
    text = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
    return text if len(text) <= 200 else text[:197] + "..."
