"""Atomic file writes, CSV tables, numbers as JSON, and temporary folders that are removed however the work in them ends."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import secrets
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError, InputError, require
from .paths import exists, file_of, path_of

_SUFFIX = 16  # longest one that a format is chosen by


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """For a ``with`` block that writes the yielded path, beside ``path``; it takes that name when the block ends well.

    Ctrl-C, a full disk or any other error leaves what was there before, and nothing else. Of several threads or processes that write
    one file at once, the last to end has it. A link stays one: what it leads to is replaced. Folders are refused, and so are devices and
    pipes: as root, a file would take the place of ``/dev/null``.
    """
    path = path_of(path)
    check_no_device(path, f"file {path}")
    if path.is_symlink():
        path = Path(os.path.realpath(path))
    require(path.name and not path.is_dir(), f"file {path}", "not be a folder", "a folder", "Name a file in it.")
    require(path.parent.is_dir(), f"folder {path.parent}", "exist", "no such folder", "Create it.")
    suffix = path.suffix if len(path.suffix) <= _SUFFIX else ""  # some writers choose the format by it
    # of this call alone, for another thread may write the same file; and short, for the file's own name may be as long as names can be
    part = path.with_name(f".{secrets.token_hex(8)}.part{suffix}")
    try:
        yield part
        with suppress(OSError):  # a new file, or a file system without rights
            shutil.copymode(path, part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def check_no_device(path: Path, field: str) -> None:
    """Refuse a device or a pipe, where a file is to be written."""
    special = exists(path) and not (path.is_file() or path.is_dir())
    require(not special, field, "be a regular file", "a device or a pipe", "Name a file.")


@contextmanager
def scratch(prefix: str = "lava_1m1t1r-", inside: str | os.PathLike | None = None) -> Iterator[str]:
    """For a ``with`` block that needs a folder; it is gone afterwards, even if Ctrl-C comes while it is being removed.

    Parameters
    ----------
    prefix : str
        Beginning of its name.
    inside : path, optional
        Where it is made; default: the system's place for temporary files.
    """
    folder = tempfile.mkdtemp(prefix=prefix, dir=inside)
    try:
        yield folder
    finally:
        try:
            shutil.rmtree(folder, ignore_errors=True)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def check_writable(folder: Path, field: str, given: object, cure: str = "") -> None:
    """Make a folder, unless it is there, and refuse it where no file can be written to it: before the work, not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with scratch(".probe-", folder):  # permissions do not tell of file systems that are read-only
            return
    except OSError as error:
        raise InputError(f"{field} must be a folder that can be written to; got {str(given)!r}: {error}. {cure}".rstrip()) from error


def check_place(folder: Path, field: str, given: object) -> None:
    """Refuse a folder that is not there and cannot be made, or that no file can be written to; nothing is left behind."""
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    what = "a file" if there.exists() else "a link to nowhere"
    require(there.is_dir(), field, "be a folder, or inside one", str(given), f"{there} is {what}.")
    check_writable(there, field, given)


def read_table(path: str | os.PathLike, columns: Sequence[str], optional: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """Rows of a CSV file in UTF-8 under a head line, each with its place in words; spaces around names and values do not count, nor do
    blank rows.

    Parameters
    ----------
    path : path
        The file.
    columns, optional : sequence of str
        Names of columns that it must have, and of those that it may have; without one of the latter its values are empty. A warning
        tells of all others.

    Raises
    ------
    FormatError
        If a column is missing, a row has more values than the head line or one of several lines, or there is no row. The text names file
        and line.
    """
    path = file_of(path)
    rows, known = [], (*columns, *optional)
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            reader.fieldnames = names = [name.strip() for name in reader.fieldnames or ()]
            absent = [name for name in columns if name not in names]
            cure = "Values are separated by commas."
            require(not absent, str(path), f"have the columns {', '.join(columns)}", "without " + ", ".join(absent), cure, FormatError)
            twice = sorted({name for name in names if name and names.count(name) > 1})
            require(not twice, str(path), "name each column once", twice, error=FormatError)
            unread = [name for name in names if name and name not in known]
            if unread:  # maybe an optional one, misspelt
                text = f"{path}: of the columns, these are not read: {', '.join(unread)}. Those that are: {', '.join(known)}."
                warnings.warn(text, stacklevel=3)
            reader.fieldnames = [name or f"\0{place}" for place, name in enumerate(names)]  # else a blank's value hides another's
            for row in reader:
                where, beyond = f"{path}, line {reader.line_num}", [value for value in row.get(None, ()) if value.strip()]
                cure = "Numbers have a point, not a comma; texts with a comma stand in quotes."
                require(not beyond, where, f"hold {len(names)} values", f"{beyond} beyond them", cure, FormatError)
                torn = [value for value in row.values() if isinstance(value, str) and ("\n" in value or "\r" in value)]
                cure = "Is a quote before it left open? Rows below would be taken for text."
                require(not torn, where, "hold no value of several lines", torn, cure, FormatError)
                if any(value and value.strip() for name, value in row.items() if name is not None):  # spreadsheets leave blank rows
                    rows.append((where, {name: (row.get(name) or "").strip() for name in known}))
    except (UnicodeDecodeError, csv.Error) as error:
        raise FormatError(f"{path} must be a CSV file in UTF-8: {error}.") from error
    require(rows, str(path), f"hold at least one row under the head line {','.join(known)}", "none", error=FormatError)
    return rows


def write_json(path: Path, values: Any) -> None:
    """Write numbers, arrays, texts and what holds them as JSON, whole or not at all; what is not finite is null. See :func:`as_json`."""
    write_text(path, as_json(values))


def as_json(values: Any) -> str:
    """Numbers, arrays, texts and what holds them as JSON; what is not finite is null.

    Raises
    ------
    InputError
        For anything else; the text says where in ``values`` it stands.
    """
    return json.dumps(plain(values), indent=1, allow_nan=False)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all; bytes of a file's name that are no text are written as escapes."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_npz(path: str | os.PathLike, arrays: Mapping[str, Any], save: Callable[..., None] = np.savez) -> None:
    """Write arrays as numpy's ``.npz``, whole or not at all; ``save`` is numpy.savez or numpy.savez_compressed."""
    whole = io.BytesIO()  # in memory: an archive that fails on a full disk would raise again when Python collects it
    save(whole, **arrays)
    with replacing(path) as part:
        part.write_bytes(whole.getbuffer())


def infinite_as_text(value: Any) -> Any:
    """A value, of an array the list, with "inf" for infinity, which JSON does not have (:func:`plain` makes null of it)."""
    if isinstance(value, np.ndarray):
        return infinite_as_text(value.tolist())
    if isinstance(value, list):
        return [infinite_as_text(one) for one in value]
    return "inf" if value == math.inf else value


def plain(value: Any, field: str = "values") -> Any:
    """Numbers, arrays, texts and what holds them as what JSON has; what is not finite is None. An InputError names anything else."""
    if isinstance(value, Mapping):
        return {str(key): plain(one, f"{field}[{key!r}]") for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one, f"{field}[{i}]") for i, one in enumerate(value)]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist(), field)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    known = value is None or isinstance(value, (str, int))
    require(known, field, "be a number, text, array, path, None, or a list, tuple or mapping of such, to be JSON", value)
    return value
