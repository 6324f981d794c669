"""The device level: the 1M1T1R neuron in continuous time and SI units.

>>> from lava_1m1t1r.device import presets, simulate, stimulus
>>> trace = simulate(presets.ZHAO2025_FIG2, stimulus.pulses(0.8, 2e-3, 0.5, 0.1), record="events")
>>> print(f"{trace.spike_times()[0] * 1e3:.1f} ms")
88.4 ms
"""

from .. import presets
from ..params import DeviceParams
from . import stimulus
from .chain import Cascade, cascade
from .characteristics import Characteristics, characterize
from .energy import SpikeEnergy, spike_energy
from .fitting import Fit, fit
from .measurement import Measurement
from .montecarlo import firing_probability, monte_carlo
from .simulation import simulate
from .trace import Trace

__all__ = [
    "Cascade",
    "Characteristics",
    "DeviceParams",
    "Fit",
    "Measurement",
    "SpikeEnergy",
    "Trace",
    "cascade",
    "characterize",
    "firing_probability",
    "fit",
    "monte_carlo",
    "presets",
    "simulate",
    "spike_energy",
    "stimulus",
]
