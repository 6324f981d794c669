"""Names of classes and speakers, which are matched by their text."""

from __future__ import annotations

import unicodedata

from ..errors import InputError, require

LONGEST = 200
"""Largest number of characters of a name: pages and figures show them."""
_MARKS = 4096  # characters up to which accents are ordered in no time, which takes their number squared


def composed(name: str) -> str:
    """A name with each accented letter as one character: folders and file names of macOS have two, a letter and a mark."""
    return unicodedata.normalize("NFC", name) if len(name) <= _MARKS else name


def check_name(name: str, where: str, error: type[Exception] = InputError) -> None:
    """Refuse a name that is too long to be shown, that a terminal would obey, or that no file can hold as text."""
    require(len(name) <= LONGEST, where, f"hold names of at most {LONGEST} characters", name, error=error)
    controls = [c for c in name if unicodedata.category(c) == "Cc"]
    require(not controls, where, "hold names without control characters", name, error=error)
    broken = [c for c in name if unicodedata.category(c) == "Cs"]  # which Python makes of bytes that are no text, as in names of files
    require(not broken, where, "hold names that are text in UTF-8", name, error=error)
