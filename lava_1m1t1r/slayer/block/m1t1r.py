"""Blocks of 1M1T1R neurons, as lava-dl's ``block.cuba`` has them.

Tensors are NCT, (batch, channel, time), or NCHWT for images: (batch, channel, height, width, time). Weights are 8 bit in the
forward pass (even multiples of 1/64 in [-4, 4)).
"""

from .driven import INPUT_RATE, RECURRENT_RATE, SPREAD_VOLTAGE, START_VOLTAGE, Dense, Recurrent
from .image import HELD_VOLTAGE, Conv, Pool
from .lines import DelayLines
from .plain import Affine, Average, Flatten, Input

__all__ = [
    "HELD_VOLTAGE",
    "INPUT_RATE",
    "RECURRENT_RATE",
    "SPREAD_VOLTAGE",
    "START_VOLTAGE",
    "Affine",
    "Average",
    "Conv",
    "DelayLines",
    "Dense",
    "Flatten",
    "Input",
    "Pool",
    "Recurrent",
]
