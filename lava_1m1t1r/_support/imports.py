"""Import hooks: execute a module of another package when it is first used, or within a context."""

from __future__ import annotations

import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


@contextmanager
def executed_later(*names: str) -> Iterator[None]:
    """For a ``with`` block: the modules ``names``, if imported in it, are found but not executed yet."""
    finders: list[MetaPathFinder] = [_Finder(name, _be_later) for name in names]
    sys.meta_path[:0] = finders
    try:
        yield
    finally:
        for finder in finders:
            sys.meta_path.remove(finder)


def executed_within(name: str, context: Callable[[], AbstractContextManager]) -> None:
    """Have the module ``name`` executed within ``context()`` whenever it is imported; nothing changes if it has been imported already."""

    def execute(module: ModuleType, loader: Any) -> None:
        with context():
            loader.exec_module(module)

    known = (finder.name for finder in sys.meta_path if isinstance(finder, _Finder))
    if name not in sys.modules and name not in known:
        sys.meta_path.insert(0, _Finder(name, execute))


@contextmanager
def called_later(name: str, function: str) -> Iterator[None]:
    """For a ``with`` block in which other modules import ``function`` from the module ``name``: it is imported when that is first called.

    Unlike with :func:`executed_later`, taking the function out of the module does not execute it. A module that has been imported is used
    as it is.
    """
    if name in sys.modules:
        yield
        return
    standing_in = ModuleType(name)

    def call(*args: Any, **options: Any) -> Any:
        if sys.modules.get(name) is standing_in:  # within the block
            del sys.modules[name]
        return getattr(import_module(name), function)(*args, **options)

    call.__name__ = call.__qualname__ = function
    setattr(standing_in, function, call)
    sys.modules[name] = standing_in
    try:
        yield
    finally:
        if sys.modules.get(name) is standing_in:
            del sys.modules[name]


@contextmanager
def imported_later(*names: str) -> Iterator[None]:
    """For a ``with`` block in which other modules import ``names``, each a module after the package that it is in: they are imported when
    something of them is first used.

    Unlike with :func:`executed_later`, whoever imports them after the block does so as ever. Modules that have been imported are used as
    they are.
    """
    absent = [name for name in names if name not in sys.modules]
    for name in absent:
        package, _, own = name.rpartition(".")
        sys.modules[name] = standing_in = _Forwarding(name)
        if type(sys.modules.get(package)) is _Forwarding:  # else the import system takes it from sys.modules
            setattr(sys.modules[package], own, standing_in)
    try:
        yield
    finally:
        for name in absent:
            _step_aside(name)


class _Forwarding(ModuleType):
    """Module that gives what the one that it stands in for has, which it imports for that."""

    def __getattr__(self, name: str) -> Any:
        within = sys.modules.get(self.__name__) is self
        if within and name.startswith("__") and name != "__path__":  # asked by whatever looks through all modules (inspect does)
            raise AttributeError(name)
        for other in [other for other, module in sys.modules.items() if type(module) is _Forwarding]:
            _step_aside(other)
        return getattr(import_module(self.__name__), name)


def _step_aside(name: str) -> None:
    if type(sys.modules.get(name)) is _Forwarding:
        del sys.modules[name]


class _Later(ModuleType):
    """Module that is executed when something of it is first used; the attributes that every module has are there before.

    importlib's LazyLoader executes a module for these attributes, too, which anything that looks through all modules reads (inspect does).
    Attributes that are set before the module is executed are kept, as in LazyLoader. Threads wait until it has been executed.
    """

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("__") or name == "__all__":
            _execute(self)
        return ModuleType.__getattribute__(self, name)

    def __dir__(self) -> list[str]:
        _execute(self)
        return list(self.__dict__)


_locks: defaultdict[str, Any] = defaultdict(threading.RLock)
_executing: set[str] = set()


def _execute(module: ModuleType) -> None:
    """Execute a module that has not been executed, unless this thread is executing it, and the module asks for what it has so far."""
    name, own = module.__name__, module.__dict__
    with _locks[name]:
        if type(module) is not _Later or name in _executing:
            return
        given = {key: value for key, value in own.items() if not key.startswith("__")}
        _executing.add(name)
        try:
            own["__spec__"].loader.exec_module(module)
            module.__class__ = ModuleType  # type: ignore[assignment]
        except BaseException:  # whoever asks next is told, too, and finds no half of it
            for key in [key for key in own if not key.startswith("__")]:
                del own[key]
            raise
        finally:
            own.update(given)
            _executing.discard(name)


def _be_later(module: ModuleType, _loader: Any) -> None:
    module.__class__ = _Later


class _Loader(Loader):
    def __init__(self, spec: ModuleSpec, loader: Any, execute: Callable[[ModuleType, Any], None]) -> None:
        self.spec, self.loader, self.execute = spec, loader, execute

    def create_module(self, spec: ModuleSpec) -> Any:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.spec.loader = module.__loader__ = self.loader
        self.execute(module, self.loader)


class _Finder(MetaPathFinder):
    """Finder that finds the module ``name`` in its usual place, and has it executed by ``execute(module, loader)``."""

    def __init__(self, name: str, execute: Callable[[ModuleType, Any], None]) -> None:
        self.name, self.execute = name, execute

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname == self.name else None
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec, spec.loader, self.execute)
        return spec
