"""Files that appear whole or not at all, numbers as JSON, and folders that go, however the work in them ends."""

from __future__ import annotations

import json
import math
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import path_of, require

SHIPPED_NETWORK = Path(__file__).resolve().parents[1] / "data" / "spoken_digits.net"
"""Path of the small trained network that comes with the package."""
_SUFFIX = 16  # longest one that a format is chosen by


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """For a ``with`` block that writes the yielded path, beside ``path``; it takes that name when the block ends well.

    Ctrl-C, a full disk or any other error leaves what was there before, and nothing else. Of several threads or processes that write
    one file at once, the last to end has it. Folders are refused.
    """
    path = path_of(path)
    require(path.name and not path.is_dir(), f"file {path}", "not be a folder", "a folder", "Name a file in it.")
    require(path.parent.is_dir(), f"folder {path.parent}", "exist", "no such folder", "Create it.")
    suffix = path.suffix if len(path.suffix) <= _SUFFIX else ""  # some writers choose the format by it
    # of this call alone, for another thread may write the same file; and short, for the file's own name may be as long as names can be
    part = path.with_name(f".{secrets.token_hex(8)}.part{suffix}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


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
    return json.dumps(_plain(values, "values"), indent=1, allow_nan=False)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8", errors="replace")  # names of files may be no text


def _plain(value: Any, field: str) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(one, f"{field}[{key!r}]") for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one, f"{field}[{i}]") for i, one in enumerate(value)]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist(), field)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    plain = value is None or isinstance(value, (str, int))
    require(plain, field, "be a number, text, array, path, None, or a list, tuple or mapping of such, to be JSON", value)
    return value
