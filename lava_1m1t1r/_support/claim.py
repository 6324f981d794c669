"""A folder in which one process at a time works."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import require

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def claimed(folder: Path, field: str, work: str) -> Iterator[None]:
    """For a ``with`` block of ``work`` in a folder, which is made; refused while another process works there. What was made for it and is
    still empty afterwards is removed.

    The system forgets the claim when the process and those forked from it have ended, however they do. Where it has no such claims
    (Windows, some network file systems), nothing is refused.

    Raises
    ------
    InputError
        If another process has claimed the folder.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = None
    if fcntl is not None:
        with suppress(OSError):  # a folder that may be written to, but not read
            descriptor = os.open(folder, os.O_RDONLY)
    try:
        if descriptor is not None:
            require(
                _locked(descriptor), field, f"be a folder without another {work} at work", str(folder), "Wait for it, or choose another."
            )
        yield
    finally:
        if descriptor is not None:
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # for a process that was forked meanwhile has the folder open, too
            os.close(descriptor)
        with suppress(OSError):
            for path in made:
                path.rmdir()


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        pass
    return True
