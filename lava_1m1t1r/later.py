"""Modules that another package imports and hardly anyone needs: executed when something of theirs is first asked for."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


@contextmanager
def executed_later(name: str) -> Iterator[None]:
    """For a ``with`` block in which the module ``name``, if it is imported, is found and not yet executed."""
    finder = _Finder(name)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Later(ModuleType):
    """A module that is executed when something of its own is first asked for: what modules have by themselves is there before.

    importlib's LazyLoader executes for that, too, which whatever looks through all modules asks for (inspect does).
    """

    _lock = threading.RLock()

    def __getattr__(self, name: str) -> Any:
        if (not name.startswith("__") or name == "__all__") and self._executed():
            return getattr(self, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return dir(self) if self._executed() else list(super().__dir__())

    def _executed(self) -> bool:
        """Execute the module; False for what itself asks for while it is executed, which is not there yet."""
        with _Later._lock:
            if type(self) is not _Later:  # executed while this thread waited
                return True
            if self.__dict__.get("__executing__"):
                return False
            self.__executing__ = True
            try:
                self.__spec__.loader.exec_module(self)
            finally:
                del self.__executing__  # after an error, whoever asks next is told, too
            self.__class__ = ModuleType  # type: ignore[assignment]
            return True


class _Loader(Loader):
    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__.loader = module.__loader__ = self.loader
        module.__class__ = _Later


class _Finder(MetaPathFinder):
    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname == self.name else None
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec
