"""Layers for images: sizes and kernels of ``conv`` and ``pool`` in a ``.net`` file.

Shapes are lava-dl's: (C, H, W) for images, (height, width) for pairs, (O, C / groups, height, width) for kernels. (Its netx
reorders them to (W, H, C) for Lava.)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..convolution import Convolution, pooling
from ..errors import FormatError, InputError, given, require
from ..keys import PAIRS
from ..layers import CubaNeuron
from ..noise import MOST_NEURONS
from . import values

KINDS = ("conv", "pool")


def read(group: Any, kind: str, where: str, before: tuple[int, ...] | None) -> tuple[Convolution, np.ndarray]:
    """Sizes and kernels of a layer behind one of shape ``before``, or the file's first.

    Parameters
    ----------
    group : h5py.Group
        The layer.
    kind : str
        ``conv`` or ``pool``.
    where : str
        File and layer, for the error's text.
    before : (C, H, W) or other tuple of int, optional
        Shape of the layer before; None for the file's first layer.
    """
    inputs = _inputs(group, where, before)
    of_all = (1, 1) if kind == "pool" else (None, None)
    weight = values.weights_of(group["weight"], f"{where}/weight", (*of_all, None, None))
    kernel, stride, padding, dilation = (_pair(group[name], f"{where}/{name}") for name in PAIRS)
    require(weight.shape[2:] == kernel, f"{where}/weight", f"hold kernels of {kernel}, as kernelSize says", weight.shape, error=FormatError)
    try:
        if kind == "pool":
            conv = pooling(inputs, kernel, stride, padding, dilation)
        else:
            groups = int(values.whole_numbers(group["groups"], f"{where}/groups", (1,)).item())
            conv = Convolution(inputs, weight.shape[0], kernel, stride, padding, dilation, groups)
    except InputError as error:
        raise FormatError(f"{where}: {error}") from error
    padded, most = inputs[0] * math.prod(conv.padded), 16 * MOST_NEURONS
    require(padded <= most, f"{where}/padding", f"leave an input of at most {most} values", padded, error=FormatError)
    fits = kind == "pool" or weight.shape == conv.weight_shape
    require(fits, f"{where}/weight", f"have shape {conv.weight_shape}", weight.shape, error=FormatError)
    values.check_stated(group, where, inChannels=inputs[0], outChannels=conv.features)
    return conv, weight


def check_pooling(conv: Convolution, neuron: Any, where: str) -> None:
    """Refuse poolings that lava-dl computes otherwise: its windows then reach from one channel into the next."""
    apart = conv.inputs[0] == 1 or (conv.stride[0] == conv.kernel[0] and conv.padding[0] == 0 and conv.dilation[0] == 1)
    require(
        apart or not isinstance(neuron, CubaNeuron),
        f"{where}/stride",
        f"be the kernel's height, {conv.kernel[0]}, with padding 0 and dilation 1 in a pooling of CUBA neurons",
        (conv.stride[0], conv.padding[0], conv.dilation[0]),
        "lava-dl's pooling mixes neighbouring channels otherwise.",
        error=FormatError,
    )


def _inputs(group: Any, where: str, before: tuple[int, ...] | None) -> tuple[Any, ...]:
    own = None
    if "inputShape" in group:
        own = tuple(values.whole_numbers(group["inputShape"], f"{where}/inputShape", (3,)).tolist())
    shape = given(
        own if before is None else before,
        f"{where}/inputShape",
        "be present, or an input layer before it",
        cure="Start the network with an Input block: it stores the shape of its input.",
        error=FormatError,
    )
    require(len(shape) == 3, f"{where}/inputShape", "be (C, H, W): the layer before it gives no image", shape, error=FormatError)
    require(own in (None, shape), f"{where}/inputShape", f"be {shape}, the shape of the layer before it", own, error=FormatError)
    return shape


def _pair(dataset: Any, where: str) -> tuple[int, int]:
    numbers = values.whole_numbers(dataset, where, None).reshape(-1)
    require(numbers.size in (1, 2), where, "hold one number, or two: height and width", numbers, error=FormatError)
    height, width = np.broadcast_to(numbers, 2).tolist()
    return height, width
