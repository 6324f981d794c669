"""Checks of paths and of the files at them."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from ..errors import FormatError, require

_LONGEST_NAME = 255  # of a file, in the file systems of Linux and macOS


def path_of(value: Any, field: str = "path") -> Path:
    """Return a path that a file system can hold as a Path; an InputError says what it must be."""
    name = os.fspath(value) if isinstance(value, (str, os.PathLike)) else ""
    good = isinstance(name, str) and 0 < len(name) < 4096 and "\0" not in name
    require(good, field, "be a path", value)
    try:
        require(len(os.fsencode(name)) < 4096, field, "be a path of at most 4095 bytes", value)
        longest = max((len(os.fsencode(part)) for part in Path(name).parts), default=0)
    except UnicodeEncodeError:
        longest = _LONGEST_NAME + 1
    require(longest <= _LONGEST_NAME, field, f"be a path of names of at most {_LONGEST_NAME} bytes", value)
    return Path(name)


def exists(path: Path) -> bool:
    """Whether something is at a path. Where that cannot be known, as in a folder that may not be searched, the OSError is raised, which
    ``Path.exists`` hides since Python 3.14."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        if error.errno == errno.ELOOP:
            return False
        raise
    return True


def is_file(path: Path) -> bool:
    """Whether a regular file is at a path; an OSError as of :func:`exists`."""
    return exists(path) and path.is_file()


def file_of(value: Any, field: str = "path") -> Path:
    """Return the path of a file that is there as a Path; an InputError says what it must be, and a FormatError that there is none."""
    path = path_of(value, field)
    require(not path.is_dir(), f"file {path}", "be a file", "a folder", "Name a file in it.", FormatError)
    require(exists(path), f"file {path}", "exist", "no such file", "Check the path.", FormatError)
    require(path.is_file(), f"file {path}", "be a regular file", "a device or a pipe", "Copy what it gives into a file.", FormatError)
    return path
