"""Variable-length rows and strings of an HDF5 file, read directly from its global heaps with every number checked.

The HDF5 library (2.0.0) loops forever on some damaged heaps, and lets a million rows share one large object. The layout is that of the
HDF5 File Format Specification 3.0, section III.E (global heap) and IV.A.2.d (a row is its length, a heap's address and an index).
"""

from __future__ import annotations

import mmap
import struct
import zlib
from typing import Any, NamedTuple

import numpy as np

from ..errors import FormatError, require

_ROW = np.dtype([("length", "<u4"), ("heap", "<u8"), ("index", "<u4")])
_HEAP, _OBJECT = struct.Struct("<4sB3xQ"), struct.Struct("<HHIQ")
FILTERS = {1, 2}
"""Filters that rows may be packed by, as HDF5 numbers them: gzip and shuffle."""
_DAMAGED = "The file is damaged: copy or download it again."
_REPACK = "Repack it with h5repack -f NONE -l CONTI."


class Rows(NamedTuple):
    """Rows one after the other."""

    values: np.ndarray
    """Values of all rows, (E,), in the type of the file."""
    sizes: np.ndarray
    """Number of values in each row, (R,) int64."""


def filters_of(data: Any) -> list[int]:
    """Filters that a dataset is packed by, as HDF5 numbers them, in the order in which they were applied."""
    creation = data.id.get_create_plist()
    return [creation.get_filter(i)[0] for i in range(creation.get_nfilters())]


def read_rows(data: Any, where: str) -> Rows:
    """Read all rows of a checked dataset (see :func:`.hdf5_file.dataset`) of variable-length rows of numbers.

    Parameters
    ----------
    data : h5py.Dataset, (R,)
    where : str
        File and dataset, for the error's text.

    Raises
    ------
    FormatError
        If a row leads outside the heaps of the file, or the rows, some of which may lead to the same place, hold more than the file.
    """
    import h5py

    base, kind = data.id.get_type().get_super(), h5py.check_vlen_dtype(data.dtype)
    require(base.equal(h5py.h5t.py_create(kind)), where, "hold a usual type of number", str(kind), _REPACK, FormatError)
    raw, sizes = _objects(data, where, kind.itemsize)
    return Rows(np.frombuffer(raw, kind), sizes)


def read_texts(data: Any, where: str) -> list[bytes]:
    """Read all texts of a checked dataset of variable-length strings, in order of its elements."""
    raw, sizes = _objects(data, where, 1)
    ends = np.cumsum(sizes)
    return [raw[end - size : end].split(b"\0")[0] for end, size in zip(ends.tolist(), sizes.tolist(), strict=True)]


def _objects(data: Any, where: str, item: int) -> tuple[bytes, np.ndarray]:
    """Content of the rows, joined, and their lengths in values of ``item`` bytes."""
    sizes_of_numbers = data.file.id.get_create_plist().get_sizes()
    require(sizes_of_numbers == (8, 8), where, "use addresses of 8 bytes", sizes_of_numbers, _REPACK, FormatError)
    # of the open file: by its name another process may have put another one in its place
    with mmap.mmap(data.file.id.get_vfd_handle(), 0, access=mmap.ACCESS_READ) as file:
        rows = np.frombuffer(_references(data, where, file), _ROW)
        lengths = rows["length"].astype(np.int64)
        total = int(lengths.sum()) * item
        require(total <= len(file), where, f"hold at most the {len(file)} bytes of the file", total, _DAMAGED, FormatError)
        start, heaps, budget, parts = data.file.userblock_size, {}, len(file), []
        for row in np.flatnonzero(lengths).tolist():
            _, heap, index = rows[row].item()
            if heap not in heaps:
                heaps[heap], size = _heap(file, start + heap, f"{where}: row {row}", budget)
                budget -= size
            at, size = heaps[heap].get(index, (0, 0))
            wanted = int(lengths[row]) * item
            require(wanted <= size, f"{where}: row {row}", f"hold at most the {size} bytes kept for it", wanted, _DAMAGED, FormatError)
            parts.append(file[at : at + wanted])
    return b"".join(parts), lengths


def _heap(file: mmap.mmap, at: int, where: str, budget: int) -> tuple[dict[int, tuple[int, int]], int]:
    """Objects of the heap at ``at``, index to (place, size), and the size of the heap."""
    inside = at + _HEAP.size <= len(file)
    mark, version, size = _HEAP.unpack_from(file, at) if inside else (b"", 0, 0)
    good = mark == b"GCOL" and version == 1 and _HEAP.size <= size <= min(budget, len(file) - at)
    require(good, where, "lie in a global heap of the file", (at, mark, version, size), _DAMAGED, FormatError)
    found, place, end = {}, at + _HEAP.size, at + size
    while place + _OBJECT.size <= end:
        index, _, _, length = _OBJECT.unpack_from(file, place)
        if index == 0:  # free space, to the end
            break
        place += _OBJECT.size
        require(length <= end - place, where, f"have objects inside their heap of {size} bytes", length, _DAMAGED, FormatError)
        found[index] = (place, length)
        place += -(-length // 8) * 8
    return found, size


def _references(data: Any, where: str, file: mmap.mmap) -> bytes:
    """The rows as they stand in the dataset: lengths, addresses and indices."""
    count = int(np.prod(data.shape, dtype=np.int64))
    if data.chunks is None:
        at = data.id.get_offset()
        if at is None:
            require(data.id.get_storage_size() == 0, where, "be stored contiguous or in chunks", "compact", _REPACK, FormatError)
            return bytes(count * _ROW.itemsize)  # never written
        size = count * _ROW.itemsize
        require(at + size <= len(file), where, f"lie inside the {len(file)} bytes of the file", at + size, _DAMAGED, FormatError)
        return file[at : at + size]
    require(len(data.shape) == 1, where, "be one-dimensional", data.shape, error=FormatError)
    filters = filters_of(data)
    table = bytearray(count * _ROW.itemsize)
    chunks: list[Any] = []
    data.id.chunk_iter(chunks.append)  # in one pass: get_chunk_info counts from the first one each time
    for first in (info.chunk_offset[0] for info in chunks):
        mask, stored = data.id.read_direct_chunk((first,))
        size = data.chunks[0] * _ROW.itemsize
        plain = _unpacked(stored, [n for k, n in enumerate(filters) if not mask >> k & 1], size)
        require(plain and first < count, where, f"be kept in whole chunks of {size} bytes", first, _DAMAGED, FormatError)
        end = min(first + data.chunks[0], count)
        table[first * _ROW.itemsize : end * _ROW.itemsize] = plain[: (end - first) * _ROW.itemsize]
    return bytes(table)


def _unpacked(stored: bytes, filters: list[int], size: int) -> bytes:
    """A chunk of ``size`` bytes without its filters (1: gzip, 2: shuffling), undone in reverse; empty if it is damaged."""
    for name in reversed(filters):
        if name == 1:
            try:
                stored = zlib.decompressobj().decompress(stored, size + 1)
            except zlib.error:
                return b""
        elif len(stored) == size:
            stored = np.frombuffer(stored, np.uint8).reshape(_ROW.itemsize, -1).T.tobytes()
    return stored if len(stored) == size else b""
