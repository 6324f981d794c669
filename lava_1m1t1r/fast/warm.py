"""Compile the step kernels in this process, so that processes forked from it have them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ..params import DeviceParams
from ..program import StepParams
from .kernels import step_layer
from .neurons import m1t1r


@lru_cache(maxsize=1)
def warm() -> None:
    """Compile one step of 1M1T1R neurons, fixed and floating: some seconds, or instant from numba's cache."""
    step = StepParams(DeviceParams())
    for floating, kind in ((False, np.int32), (True, np.float64)):
        step_layer(m1t1r(step, 1, 0, 0, floating), np.zeros(1, kind), np.zeros(1, np.int32))
