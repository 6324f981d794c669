"""The device level: the 1M1T1R neuron in continuous time and SI units."""

from .. import presets
from ..params import DeviceParams
from . import stimulus
from .simulate import simulate
from .trace import Trace

__all__ = ["DeviceParams", "Trace", "presets", "simulate", "stimulus"]
