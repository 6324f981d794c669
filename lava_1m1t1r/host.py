"""Loading Lava late: it insists on choosing how processes start, and refuses if anything has asked before."""

from __future__ import annotations

import multiprocessing
import sys
from importlib import import_module
from typing import Any

from .errors import MissingDependencyError, missing, require


def load_lava(module: str, purpose: str) -> Any:
    """Import ``module``, which needs Lava.

    Lava sets the start method 'fork' when imported and fails if one is set, as torch's and joblib's workers do. Where that is
    'fork' already (Linux's default before Python 3.14), asking anew is harmless: the choice is taken back before.

    Raises
    ------
    MissingDependencyError
        Without Lava; says what to install, and that Lava needs Python 3.10.
    InputError
        If another start method has been chosen.
    """
    if "lava" not in sys.modules or "lava.magma.runtime.message_infrastructure.multiprocessing" not in sys.modules:
        chosen = multiprocessing.get_start_method(allow_none=True)
        require(
            chosen in (None, "fork"), "multiprocessing's start method", "be 'fork' for Lava", chosen, "Import lava first, or choose none."
        )
        if chosen == "fork":
            multiprocessing.set_start_method(None, force=True)
    try:
        import_module("lava.magma.core.process.process")
    except ImportError as error:
        text = str(missing("lava-nc", "lava", purpose))
        if sys.version_info >= (3, 11):
            text += f" Lava runs on Python 3.10 only; this is Python {sys.version_info.major}.{sys.version_info.minor}."
        raise MissingDependencyError(text) from error
    return import_module(module)
