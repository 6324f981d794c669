"""Blocks of 1M1T1R neurons, with the interface of lava-dl's ``block.cuba``.

Tensors are NCT, (batch, channel, time), or NCHWT for images: (batch, channel, height, width, time). Weights are 8 bit in the
forward pass (even multiples of 1/64 in [-4, 4)).
"""

from typing import TYPE_CHECKING

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

_NOT_OFFERED = {
    "KWTA": "winners are the business of recurrent inhibition here: a Recurrent with negative recurrent weights",
    "ConvT": "files of networks have no transposed convolutions",
    "Unpool": "files of networks have no unpooling",
    "TimeDecimation": "all layers of a network take the same steps; bin the events more coarsely",
}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name in _NOT_OFFERED:
            raise AttributeError(f"block.m1t1r has no {name}: {_NOT_OFFERED[name]}.")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
