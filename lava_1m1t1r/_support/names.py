"""Names of classes and speakers, which are matched by their text."""

from __future__ import annotations

import unicodedata


def composed(name: str) -> str:
    """A name with each accented letter as one character: folders and file names of macOS have two, a letter and a mark."""
    return unicodedata.normalize("NFC", name)
