"""Lazy loading of Lava, which sets how processes are started, and fails if this has been set or asked for before."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from typing import Any

from ..errors import MissingDependencyError, does_not_load, lava_python, missing
from .imports import called_later, executed_later, executed_within, imported_later
from .threads import in_child

_LATER = ("lava.lib.dl.slayer.object_detection", "lava.lib.dl.slayer.io", "lava.lib.dl.slayer.auto")
"""Modules of lava-dl that training does not need: they import torchvision and OpenCV (65 MB, a second and a half), animations and h5py (11
MB)."""
_IMPORTED = ("matplotlib", "matplotlib.pyplot")
"""Modules that others of lava-dl and of Lava import for their plots (29 MB)."""
_CALLED = ("torch.utils.cpp_extension", "load")
"""Module, and its function, by which lava-dl compiles its CUDA kernels where there is a GPU (30 MB, two seconds)."""
_SETS_FORK = "lava.magma.runtime.message_infrastructure.multiprocessing"
_NOISE = (
    "No CUDA runtime is found, using CUDA_HOME",
    "WARNING: Prophesee Dataset Toolbox could not be found!",
    "Only Prophesee DVS demo will not run properly.",
    "Please install it from https://github.com/prophesee-ai",
)
"""Parts of the lines that torch and lava-dl print whenever lava-dl is imported, about things that are not needed here."""

NO_DOCSTRINGS = "It needs its docstrings: start Python without -OO, and without PYTHONOPTIMIZE=2 in the environment."
"""What to do about a package of Lava's that fails under ``sys.flags.optimize`` of 2."""

_loading = threading.RLock()
"""Held while Lava is loaded: two threads would leave each other's filtered streams behind."""


@in_child
def _forget() -> None:
    global _loading
    _loading = threading.RLock()


def load_lava(module: str, purpose: str) -> Any:
    """Import ``module``, which needs Lava.

    lava-dl's messages about parts of it that are not needed here are left out; its object detection, its use of HDF5, matplotlib, and
    torch's compiler of extensions are loaded where they are used (and print their messages then).

    Lava sets the start method 'fork' when imported and fails if one is set, as torch's and joblib's workers do. So the method is unset
    before, and set again after, also where the user's own program is the first to import Lava: only Lava's own runtime needs 'fork', and
    :func:`lava_1m1t1r.run.guarded` asks for it.

    Raises
    ------
    MissingDependencyError
        Without Lava, or lava-dl where ``module`` is of it, or with one that does not load; says what to install, and that Lava needs
        Python 3.10.
    """
    executed_within(_SETS_FORK, _no_start_method)
    if module.startswith("lava.lib.dl"):
        return _load(module, "lava-dl", purpose)
    _load("lava.magma.core.process.process", "lava-nc", purpose)
    return import_module(module)


@contextmanager
def _no_start_method() -> Iterator[None]:
    chosen = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method(None, force=True)
    try:
        yield
    finally:
        if chosen is not None:
            multiprocessing.set_start_method(chosen, force=True)


class _Without:
    """Stream without the lines of :data:`_NOISE`. Who keeps it, as handlers of logs do, writes to the stream itself afterwards."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._dropped = stream, False

    def write(self, text: str) -> int:
        end_of_dropped, self._dropped = self._dropped and text == "\n", any(part in text for part in _NOISE)
        if not (end_of_dropped or self._dropped):  # print writes a line and its end one after the other
            self._stream.write(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _without_noise() -> Iterator[None]:
    if sys.stdout is None or sys.stderr is None:  # pythonw
        yield
        return
    with redirect_stdout(_Without(sys.stdout)), redirect_stderr(_Without(sys.stderr)):
        yield


def _load(module: str, package: str, purpose: str) -> Any:
    try:
        with _loading, _without_noise(), executed_later(*_LATER), imported_later(*_IMPORTED), called_later(*_CALLED):
            return import_module(module)
    except Exception as error:  # under another Python or numpy than theirs, errors of any kind
        text = str(missing(package, "lava", purpose))
        hiding = getattr(sys.modules.get("lava"), "__file__", None)
        if "failed to map segment" in str(error) or isinstance(error, MemoryError):
            text = f"{purpose} needs more memory than is available, or than ulimit -v allows, to load the package '{package}' ({error})."
        elif hiding is not None and "'lava' is not a package" in str(error):
            text = f"{purpose} needs the package '{package}', which the file {hiding} hides by its name. Rename that file."
        elif not (isinstance(error, ModuleNotFoundError) and str(error.name).startswith("lava")):
            anew = "pip install --force-reinstall lava-nc==0.10.0 lava-dl==0.6.0 'numpy<2'"
            cure = f"Install it anew, with the versions that it needs: {anew}."
            if sys.flags.optimize > 1:
                cure = NO_DOCSTRINGS
            text = does_not_load(package, purpose, error, cure + lava_python())
        raise MissingDependencyError(text) from error
