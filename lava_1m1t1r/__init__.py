"""The 1M1T1R neuron (one diffusive memristor, one transistor, one resistor) from its physics to a deployed network.

R. Zhao et al., Nature Electronics 8, 1211 (2025), doi:10.1038/s41928-025-01488-x.
"""

from __future__ import annotations

from typing import Any

from . import presets
from .errors import FormatError, InputError, MissingDependencyError
from .host import load_lava
from .params import DeviceParams
from .program import StepParams

__version__ = "0.1.0"
__all__ = ["DeviceParams", "FormatError", "InputError", "M1T1R", "MissingDependencyError", "StepParams", "__version__", "presets"]


def __getattr__(name: str) -> Any:
    # Lava is optional and slow to import: only who asks for the Process pays.
    if name == "M1T1R":
        return load_lava("lava_1m1t1r.proc.m1t1r.process", "The Lava Process M1T1R").M1T1R
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
