"""Which inputs reach which neurons of a convolution or a pooling: sizes, and weighted sums in plain integers.

Images are (C, H, W), flat in row-major order, as lava-dl's blocks flatten them. Like lava-dl's and torch's, the operation is a
correlation: the kernel is not flipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import array_of, is_whole, require


@dataclass(frozen=True)
class Convolution:
    """Sizes of a convolution. Pairs are (height, width).

    Parameters
    ----------
    inputs : (C, H, W)
        Shape of the input.
    features : int
        Output features, O.
    kernel, stride, dilation : (int, int)
        At least 1.
    padding : (int, int)
        Zeros around the input, on both sides.
    groups : int
        Divides C and O: features of a group see the channels of that group only.
    margin : (int, int)
        Further zeros below and to the right.

    Raises
    ------
    InputError
        If a number is out of range, or nothing would come out.
    """

    inputs: tuple[int, int, int]
    features: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    margin: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        for name, least, length in (
            ("inputs", 1, 3),
            ("kernel", 1, 2),
            ("stride", 1, 2),
            ("padding", 0, 2),
            ("dilation", 1, 2),
            ("margin", 0, 2),
        ):
            _check_sizes(name, getattr(self, name), least, length)
        require(is_whole(self.features, 1), "features", "be a whole number >= 1", self.features)
        for name, size in (("input channels", self.inputs[0]), ("output features", self.features)):
            require(is_whole(self.groups, 1) and size % self.groups == 0, "groups", f"divide the {size} {name}", self.groups)
        reach = tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True))
        room = self.padded
        require(min(self.shape) > 0, "kernel and dilation", f"reach no further than the padded input, {room}", reach)

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width of the input with its zeros."""
        sizes = zip(self.inputs[1:], self.padding, self.margin, strict=True)
        height, width = (size + 2 * p + m for size, p, m in sizes)
        return height, width

    @property
    def shape(self) -> tuple[int, int, int]:
        """(O, H, W) of the output."""
        sizes = zip(self.padded, self.kernel, self.dilation, self.stride, strict=True)
        height, width = ((size - d * (k - 1) - 1) // s + 1 for size, k, d, s in sizes)
        return self.features, height, width

    @property
    def sources(self) -> int:
        """Number of inputs, C H W."""
        return int(np.prod(self.inputs))

    @property
    def size(self) -> int:
        """Number of outputs, O H W."""
        return int(np.prod(self.shape))

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """(O, C / groups, kernel height, kernel width)."""
        return self.features, self.inputs[0] // self.groups, *self.kernel

    def full(self, weight: Any) -> np.ndarray:
        """The weights of every feature, (O, C / groups, kernel height, kernel width): a pooling has one kernel for all."""
        return np.broadcast_to(np.asarray(weight), self.weight_shape)

    def weigh(self, y: Any, weight: Any) -> np.ndarray:
        """Weighted sums.

        Parameters
        ----------
        y : (T, C H W) int
            Spike counts.
        weight : (O, C / groups, kernel height, kernel width) int
            Or a shape that broadcasts to it.

        Returns
        -------
        (T, O H W) int64
        """
        steps, (channels, height, width), (features, rows, columns) = len(y), self.inputs, self.shape
        (top, left), (below, right) = self.padding, self.margin
        x = np.asarray(y, np.int64).reshape(steps, channels, height, width)
        x = np.pad(x, ((0, 0), (0, 0), (top, top + below), (left, left + right)))
        kernels = self.full(weight).astype(np.int64).reshape(self.groups, features // self.groups, -1, *self.kernel)
        out = np.zeros((steps, self.groups, features // self.groups, rows, columns), np.int64)
        for i, j in np.ndindex(self.kernel):
            seen = x[:, :, self._taps(0, i), self._taps(1, j)].reshape(steps, self.groups, -1, rows, columns)
            out += np.einsum("tgchw,gfc->tgfhw", seen, kernels[..., i, j])
        return out.reshape(steps, -1)

    def _taps(self, axis: int, place: int) -> slice:
        first, step, count = place * self.dilation[axis], self.stride[axis], self.shape[1 + axis]
        return slice(first, first + step * (count - 1) + 1, step)

    def matrix(self, weight: Any) -> np.ndarray:
        """Return a matrix (O H W, C H W) int32 that gives the same sums: ``weigh(y, weight) == y @ matrix(weight).T``."""
        out = np.empty((self.size, self.sources), np.int32)
        for first in range(0, self.sources, 256):  # one input at a time spikes; a few at once, or the memory grows with the square
            some = np.eye(min(256, self.sources - first), self.sources, first, dtype=np.int64)
            out[:, first : first + len(some)] = self.weigh(some, weight).T
        return out

    def targets(self) -> tuple[np.ndarray, np.ndarray]:
        """Output rows (H, kernel height) and columns (W, kernel width) int32 that an input reaches by each tap; -1: none."""
        found = []
        for axis in (0, 1):
            at = np.arange(self.inputs[1 + axis])[:, None] + self.padding[axis] - self.dilation[axis] * np.arange(self.kernel[axis])
            hit = (at >= 0) & (at % self.stride[axis] == 0) & (at // self.stride[axis] < self.shape[1 + axis])
            found.append(np.where(hit, at // self.stride[axis], -1).astype(np.int32))
        return found[0], found[1]


def pooling(inputs: Any, kernel: Any, stride: Any = None, padding: Any = (0, 0), dilation: Any = (1, 1)) -> Convolution:
    """Sizes of a pooling: one kernel for every channel by itself.

    As with lava-dl, the stride is the kernel's size unless given, and the input is filled up with zeros, below and to the right, to
    a multiple of the kernel's size. (lava-dl's own fills up too little for kernels of 3 and more, and lets other strides and
    paddings mix neighbouring channels; this does not.)

    Parameters
    ----------
    inputs : (C, H, W)
        Shape of the input.
    kernel : (int, int)
        Height and width of the window, at least 1.
    stride : (int, int), optional
        Steps of the window; default: ``kernel``.
    padding : (int, int)
        Zeros around the input, on both sides.
    dilation : (int, int)
        Distance of neighbouring inputs in the window, at least 1.

    Returns
    -------
    Convolution
        Of C groups, one per channel; its ``margin`` holds the zeros that fill the input up.

    Raises
    ------
    InputError
        If a number is out of range, or nothing would come out.
    """
    _check_sizes("inputs", inputs, 1, 3)
    _check_sizes("kernel", kernel, 1, 2)
    margin = tuple(-size % k for size, k in zip(inputs[1:], kernel, strict=True))
    return Convolution(inputs, inputs[0], kernel, kernel if stride is None else stride, padding, dilation, inputs[0], margin)


def pair(value: Any, field: str) -> tuple[int, int]:
    """Pair (height, width) from one whole number or two."""
    rule = "be a whole number, or two: height and width"
    values = array_of(value, field, rule)
    require(values.dtype.kind in "iu" and values.size in (1, 2), field, rule, value)
    height, width = np.broadcast_to(values.reshape(-1), 2).tolist()
    return height, width


def _check_sizes(name: str, value: Any, least: int, length: int) -> None:
    good = isinstance(value, tuple) and len(value) == length and all(is_whole(n, least) for n in value)
    require(good, name, f"be a tuple of {length} whole numbers >= {least}", value)
