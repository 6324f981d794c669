"""Training of 1M1T1R networks with lava-dl: the neuron and its blocks, as ``lava.lib.dl.slayer`` lays them out.

>>> from lava_1m1t1r.slayer import neuron, block
"""

from __future__ import annotations

from .._support.lava_loading import load_lava

load_lava("lava.lib.dl.slayer", "Training with lava_1m1t1r.slayer")

from . import block, neuron  # noqa: E402

__all__ = ["block", "neuron"]
