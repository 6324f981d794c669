"""Compile once, not once per process: numba's cache, keyed by all source files that a kernel uses.

numba itself checks only the file of the cached function, and would keep old machine code when equations in another file have changed.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any

import numba  # before its parts: threads that load them first, each another one, get half of numba
from numba.core.caching import FunctionCache, NullCache
from numba.core.runtime import rtsys
from numba.core.serialize import dumps

from ._support.programs import unbroken
from ._support.progress import tell
from ._support.sources import sources_digest
from .compiled import compiled
from .errors import InputError, require


@lru_cache(maxsize=1)
def _tell_once(how_often: str = "once") -> None:
    """Tell whoever sits before a terminal why nothing happens for a while."""
    if sys.stderr is not None and sys.stderr.isatty():
        tell(f"compiling loops for this processor ({how_often}; up to a minute)")


class _NoPlace(NullCache):
    """Keeps nothing, and says what to do about it."""

    def load_overload(self, sig: Any, target_context: Any) -> None:
        _tell_once(f"in every process: {NO_PLACE}")


NO_PLACE = "there is no folder to keep them that you, and you alone, can write to; name one in the environment variable NUMBA_CACHE_DIR"


def _private(kind: type) -> type:
    """numba's locator of a folder away from the sources, which it makes for the user alone, whatever the umask.

    Of the user's cache it takes no folder that others write to, and none within the current one, as with an empty XDG_CACHE_HOME.
    """

    class Private(kind):
        def ensure_cache_path(self) -> None:
            folder = self.get_cache_path()
            usual = "UserWide" in kind.__name__
            if usual and not os.path.isabs(folder):
                raise OSError(folder)
            os.makedirs(folder, 0o700, exist_ok=True)
            if usual and _others_write(folder):
                raise OSError(folder)
            super().ensure_cache_path()

    return Private


class _Located(FunctionCache._impl_class):
    """Finds the folder of compiled loops: beside the sources of a checkout, but among the user's own files for an installed package.

    pip does not know of these loops: beside an installed package they would keep its folder after ``pip uninstall``, and Python would
    take that folder for the package, instead of an editable install too.
    """

    _locator_classes = [
        _private(kind) if "UserProvided" in kind.__name__ or "UserWide" in kind.__name__ else kind
        for kind in FunctionCache._impl_class._locator_classes
    ]
    if Path(__file__).parent.parent.name in ("site-packages", "dist-packages"):  # in the tree last, where nothing else can be written to
        _locator_classes.sort(key=lambda kind: "InTree" in kind.__name__)


class _LocatedCache(FunctionCache):
    _impl_class = _Located

    def __init__(self, function: Callable) -> None:
        super().__init__(function)
        private = not numba.config.CACHE_DIR or not _others_write(self.cache_path)
        require(private, "NUMBA_CACHE_DIR", "be a folder that nobody else can write to", self.cache_path)


def _others_write(folder: str) -> bool:
    """Whether others may write to a folder: what is kept there is run, and numba unpickles its index."""
    if not hasattr(os, "geteuid"):
        return False
    found = os.stat(folder)
    return bool(found.st_uid not in (0, os.geteuid()) or found.st_mode & stat.S_IWOTH)


def place() -> str | None:
    """Folder that keeps the compiled loops of this module's folder; None if none can be written to."""
    try:
        return str(_LocatedCache(place).cache_path)
    except (RuntimeError, InputError):
        return None


class _Sealed:
    """numba's files of a compiled function, whose contents are kept with their key and a digest: machine code that was damaged, or is of
    another key, is never run.

    Of processes that save at once, each reads the index before the others have written theirs, and takes the same file: the index of one
    may then name the machine code of another, made for other types, another processor or other sources.
    """

    def __init__(self, files: Any, name: str) -> None:
        self._files, self._name = files, name
        self.flush = files.flush

    def save(self, key: Any, data: Any) -> None:
        """Keep what numba makes of a function."""
        content = dumps((key, data))
        self._files.save(key, (self._digest(content), content))

    def load(self, key: Any) -> Any:
        """Return what was kept, if it is still that; else None."""
        digest, content = self._files.load(key) or ("", b"")
        kept, data = pickle.loads(content) if digest == self._digest(content) else (None, None)
        return data if kept == key else None

    def _digest(self, content: bytes) -> str:
        return hashlib.sha256(self._name.encode() + content).hexdigest()


class _SourcesCache(_LocatedCache):
    def __init__(self, function: Callable, variant: tuple, allocates: bool) -> None:
        super().__init__(function)
        self._cache_file = _Sealed(self._cache_file, f"{function.__module__}.{function.__qualname__}")  # type: ignore[has-type]
        self._variant, self._allocates = variant, allocates
        sources_digest()  # now: by the first loop the files may have been edited, and this process runs the lines that it has loaded

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Load what was kept; None, so that numba compiles anew, where nothing was kept or the file is damaged.

        numba's own method gets the whole compiler ready first: 40 MB and half a second. Machine code needs of it only what counts
        references to arrays, and only where it makes some.
        """
        if self._allocates:
            rtsys.initialize(target_context)
        try:
            found = self._load_overload(sig, target_context)
        except Exception:  # of whatever kind reading a damaged pickle ends in
            found = None
        if found is None:
            _tell_once()
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the compiled code, unless the disk is full: the function works all the same."""
        for again in (True, False):
            try:
                return super().save_overload(sig, data)
            except OSError:
                return None
            except Exception:  # the index is damaged: an empty one takes its place
                if not again:
                    return None
                with suppress(OSError):
                    self.flush()
        return None

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        # The sources say all but which variant: what a closure holds (other compiled functions) is another object in each process.
        return sig, codegen.magic_tuple(), self._variant, sources_digest()


def _uninterrupted(compile_or_load: Callable) -> Callable:
    """A dispatcher's method, which Ctrl-C shall not break: it may leave a lock of LLVM taken, and another thread that compiles or loads
    next would wait for it for ever."""

    @wraps(compile_or_load)
    def to_the_end(*types: Any, **named: Any) -> Any:
        with unbroken():
            return compile_or_load(*types, **named)

    return to_the_end


def cached(function: Callable, compiler: Callable = compiled, variant: tuple = ()) -> Any:
    """Compile a function, and keep the result on disk where there is a place for it.

    Parameters
    ----------
    function : callable
        Made of the sources that :func:`sources_digest` reads, and of nothing else.
    compiler : callable
        What makes numba's dispatcher of it.
    variant : tuple
        What tells functions apart that come from the same lines.
    """
    dispatcher = compiler(function)
    dispatcher.compile = _uninterrupted(dispatcher.compile)
    try:
        dispatcher._cache = _SourcesCache(function, variant, dispatcher.targetoptions.get("_nrt", True))
    except (RuntimeError, InputError):  # no folder to write to, or others write to it: compile in every process
        dispatcher._cache = _NoPlace()
    return dispatcher
