"""Loading Lava late: it insists on choosing how processes start, and refuses if anything has asked before."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from typing import Any

from .errors import MissingDependencyError, missing
from .later import executed_later

_OBJECT_DETECTION = "lava.lib.dl.slayer.object_detection"
"""The one part of lava-dl that needs torchvision and OpenCV: 65 MB, and a second and a half, which nothing here needs."""
_NOISE = (
    "No CUDA runtime is found, using CUDA_HOME",
    "WARNING: Prophesee Dataset Toolbox could not be found!",
    "Only Prophesee DVS demo will not run properly.",
    "Please install it from https://github.com/prophesee-ai",
)
"""Parts of the lines that torch and lava-dl print whenever lava-dl is imported, about things that nothing here needs."""


def load_lava(module: str, purpose: str) -> Any:
    """Import ``module``, which needs Lava.

    What lava-dl prints about parts of it that nothing here needs is left out, and its object detection loads where it is first used.

    Lava sets the start method 'fork' when imported and fails if one is set, as torch's and joblib's workers do. So what was set is
    taken back before, and set again after: only Lava's own runtime needs 'fork', and :func:`lava_1m1t1r.run.guarded` asks for it.

    Raises
    ------
    MissingDependencyError
        Without Lava, or lava-dl where ``module`` is of it, or with one that does not load; says what to install, and that Lava needs
        Python 3.10.
    """
    chosen = multiprocessing.get_start_method(allow_none=True)
    if "lava.magma.runtime.message_infrastructure.multiprocessing" not in sys.modules:
        multiprocessing.set_start_method(None, force=True)
    try:
        _load("lava.magma.core.process.process", "lava-nc", purpose)
    finally:
        if chosen is not None:
            multiprocessing.set_start_method(chosen, force=True)
    return _load(module, "lava-dl", purpose) if module.startswith("lava.lib.dl") else import_module(module)


class _Without:
    """A stream without the lines of :data:`_NOISE`. What keeps it, as handlers of logs do, goes on to write to the stream itself."""

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
        with _without_noise(), executed_later(_OBJECT_DETECTION):
            return import_module(module)
    except Exception as error:  # under another Python or numpy than theirs, errors of any kind
        text = str(missing(package, "lava", purpose))
        if not (isinstance(error, ModuleNotFoundError) and str(error.name).startswith("lava")):
            text = (
                f"{purpose} needs the package '{package}', which is installed and does not load ({type(error).__name__}: {error}). "
                "Install it anew, with the versions that it needs: pip install --force-reinstall 'lava-1m1t1r[lava]'."
            )
        if sys.version_info >= (3, 11):
            text += f" Lava runs on Python 3.10 only; this is Python {sys.version_info.major}.{sys.version_info.minor}."
        raise MissingDependencyError(text) from error
