"""Training of 1M1T1R networks with lava-dl: the neuron and its blocks, as ``lava.lib.dl.slayer`` lays them out.

>>> from lava_1m1t1r.slayer import neuron, block
"""

from __future__ import annotations

from ..errors import missing

try:
    import lava.lib.dl.slayer  # noqa: F401
except ImportError as error:
    raise missing("lava-dl", "lava", "Training with lava_1m1t1r.slayer (Python 3.10)") from error

from . import block, neuron

__all__ = ["block", "neuron"]
