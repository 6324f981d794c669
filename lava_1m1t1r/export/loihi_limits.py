"""Limits of the Loihi chips from public sources, each with its source; limits that are not public are marked assumed.

No public source found states how many neurons, axons and bits of synaptic memory a Loihi 2 core holds. Those of Loihi 1 are used instead
and marked assumed: they are the more cautious ones. So is the width of a product, from ``FIXED_POINT.md``. Fan-in and fan-out are reported,
but have no limit here.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..delay_lines import MAX_DELAY

_LAVA = "lava-nc 0.10.0"
_NENGO = "nengo-loihi 1.1.0, hardware/validate.py and block.py: numbers of Loihi 1, marked there as to be checked"


@dataclass(frozen=True)
class Limit:
    """A number that a layer must keep to."""

    name: str
    value: int
    unit: str
    source: str
    assumed: bool
    """Whether the number is assumed, and not a public one of Loihi 2."""


CORES = Limit("neuron cores of a chip", 128, "cores", "open-neuromorphic.org, Loihi 2", False)
NEURONS = Limit("neurons of a core", 1024, "neurons", _NENGO, True)
STATE_BITS = Limit("bits of a state variable", 24, "bits", f"{_LAVA}, proc/lif/models.py: u and v hold 24 bits", False)
WEIGHT_BITS = Limit("bits of a weight", 8, "bits", f"{_LAVA}, utils/weightutils.py", False)
DELAY = Limit("delay of an axon", MAX_DELAY, "steps", "lava-dl 0.6.0, netx/hdf5.py clamps there (6 bits)", False)
AXONS_IN = Limit("input axons of a core", 4096, "axons", _NENGO, True)
AXONS_OUT = Limit("output axons of a core", 4096, "axons", _NENGO, True)
SYNAPSE_BITS = Limit("synaptic memory of a core", 16384 * 64, "bits", _NENGO, True)
MULTIPLY_BITS = Limit(
    "bits of a product", 48, "bits", "this library's own contract (FIXED_POINT.md); the microcode's width is not public", True
)
BIAS_BITS = Limit("bits of a bias", 13, "bits", f"{_LAVA}, proc/lif/models.py: 13-bit signed mantissa", False)
