"""The 1M1T1R neuron (one diffusive memristor, one transistor, one resistor) from its physics to a deployed network.

R. Zhao et al., Nature Electronics 8, 1211 (2025), doi:10.1038/s41928-025-01488-x.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import presets, run
    from .errors import FormatError, InputError, MissingDependencyError
    from .params import DeviceParams
    from .proc.m1t1r.process import M1T1R
    from .program import StepParams

__version__ = "0.1.0"
__all__ = ["DeviceParams", "FormatError", "InputError", "MissingDependencyError", "StepParams", "__version__", "presets"]
if find_spec("lava") is not None:  # without Lava, "from lava_1m1t1r import *" and help() would fail on these names
    __all__ += ["M1T1R", "run"]
_HOMES = {
    "DeviceParams": "params",
    "FormatError": "errors",
    "InputError": "errors",
    "M1T1R": "proc.m1t1r.process",
    "MissingDependencyError": "errors",
    "StepParams": "program",
}


if not TYPE_CHECKING:  # type checkers read the imports above; because of this function they would accept any name

    def __getattr__(name: str) -> Any:
        # Loaded when asked for. A command must be able to hear Ctrl-C before numpy and numba are there; and Lava is optional.
        from importlib import import_module

        if name in ("presets", "run"):
            return import_module(f".{name}", __name__)
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if name == "M1T1R":
            from ._support.lava_loading import load_lava

            return load_lava(f"{__name__}.{_HOMES[name]}", "The Lava Process M1T1R").M1T1R
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
