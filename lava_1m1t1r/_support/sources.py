"""A digest of the library's own sources, for what is kept from one version to the next. It needs no compiler."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

COMPILED = ("*.py", "fast/*.py", "datasets/*.py", "device/*.py", "slayer/*.py", "export/cuba_fit.py")
"""Patterns of the files, in the package, that hold compiled kernels."""


@lru_cache
def sources_digest(*more: str) -> str:
    """Digest of all sources that compiled kernels may come from, and of ``more`` of the package, by patterns."""
    package = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for path in sorted({path for pattern in (*COMPILED, *more) for path in package.glob(pattern)}):
        digest.update(path.read_bytes())
    return digest.hexdigest()
