"""Checked values of a ``.net`` file: each function takes a dataset (or a value) and its place, for the error's text."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._support.hdf5_file import value_of
from ..delay_lines import check_delays
from ..errors import FormatError, require, require_each
from ..sums import BIAS_BOUNDS, require_8_bits


def keys_of(group: Any, where: str, prefix: str = "") -> dict[str, Any]:
    """Datasets of a group and its groups as one dict of ``group/name``."""
    require(hasattr(group, "keys"), where, "be a group", group, error=FormatError)
    found: dict[str, Any] = {}
    for name, value in group.items():
        if hasattr(value, "keys"):
            found.update(keys_of(value, f"{where}/{name}", f"{prefix}{name}/"))
        else:
            found[prefix + name] = text_of(value, f"{where}/{name}") if value.dtype.kind in "SO" else value[()]
    return found


def text_of(dataset: Any, where: str) -> str:
    """A scalar string, or an array of one: lava-dl writes S10, (1,)."""
    raw = np.asarray(value_of(dataset, where)) if hasattr(dataset, "dtype") else np.zeros(0)
    raw = raw.reshape(-1)
    require(raw.size == 1 and isinstance(raw[0], (bytes, str)), where, "be one string", raw, error=FormatError)
    return raw[0].decode("ascii", "replace") if isinstance(raw[0], bytes) else str(raw[0])


def texts_of(dataset: Any, where: str, size: int) -> tuple[str, ...]:
    """Return an array of ``size`` texts as a tuple.

    Parameters
    ----------
    dataset : h5py.Dataset
        Texts.
    where : str
        File and key, for the error's text.
    size : int
        Number of texts.
    """
    raw = value_of(dataset, where) if hasattr(dataset, "dtype") else "a group"
    fits = isinstance(raw, np.ndarray) and raw.shape == (size,) and all(isinstance(text, (bytes, str)) for text in raw)
    require(fits, where, f"hold {size} texts", raw, error=FormatError)
    return tuple(text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text) for text in raw)


def whole_numbers(dataset: Any, where: str, shape: tuple | None) -> np.ndarray:
    """Whole numbers of a dataset as int64.

    Parameters
    ----------
    dataset : h5py.Dataset or array
        Numbers.
    where : str
        File and key, for the error's text.
    shape : tuple, optional
        Shape that they must have: None in it allows any size, (1,) a scalar, too. None: any shape.
    """
    group, text = hasattr(dataset, "keys"), getattr(dataset, "dtype", np.dtype(float)).kind not in "biuf"
    require(not (group or text), where, "hold numbers", "a group" if group else "something else", error=FormatError)
    raw = np.asarray(dataset[()] if hasattr(dataset, "file") else dataset)
    require(raw.dtype.kind in "biuf" and raw.size > 0, where, "hold numbers", raw, error=FormatError)
    cure = "Export the network again: files hold the integers that it computes with."
    require_each(np.isfinite(raw), where, "be finite", raw, cure, FormatError)
    require_each(
        (raw == np.rint(raw)) & (raw > -(2**31)) & (raw < 2**31), where, "be a whole number that 32 bits hold", raw, cure, FormatError
    )
    if shape is not None:
        if raw.ndim == 0:
            raw = raw.reshape(1)
        fits = raw.ndim == len(shape) and all(want in (None, got) for want, got in zip(shape, raw.shape, strict=True))
        require(fits, where, f"have shape {tuple('any' if n is None else n for n in shape)}", raw.shape, error=FormatError)
    return raw.astype(np.int64)


def check_stated(group: Any, where: str, **sizes: int) -> None:
    """Check the sizes that a layer may state beside the shapes of its arrays, where it does."""
    for name, expected in sizes.items():
        if name in group:
            given = whole_numbers(group[name], f"{where}/{name}", (1,)).item()
            require(given == expected, f"{where}/{name}", f"be {expected}, as the shapes say", given, error=FormatError)


def weights_of(dataset: Any, where: str, shape: tuple) -> np.ndarray:
    """Weights of a dataset, which 8 signed bits hold, as int32.

    Parameters
    ----------
    dataset : h5py.Dataset
        Weights; a matrix may be flattened.
    where : str
        File and key, for the error's text.
    shape : tuple
        Shape that they must have, as in :func:`whole_numbers`.
    """
    real = not hasattr(dataset, "keys") and dataset.dtype.kind in "biuf"
    require(real, where, "be a dataset of real weights", getattr(dataset, "dtype", "a group"), error=FormatError)
    raw = np.asarray(dataset[()])
    if len(shape) > 1 and raw.ndim > len(shape) and raw.shape[len(shape) :].count(1) == raw.ndim - len(shape):
        raw = raw.reshape(raw.shape[: len(shape)])  # lava-dl's kernels in 5 axes, the last of length 1
    if raw.ndim == 1 and len(shape) == 2:  # netx takes flattened weights too
        require(raw.size % shape[0] == 0, where, f"hold a multiple of {shape[0]} values", raw.shape, error=FormatError)
        raw = raw.reshape(shape[0], -1)
    elif raw.size == 1 and shape == (1,):
        raw = raw.reshape(1)
    weight = whole_numbers(raw, where, shape)
    require_8_bits(weight, where, FormatError)
    return _frozen(weight)


def biases_of(dataset: Any, where: str, size: int, features: int | None) -> np.ndarray:
    """Biases (size,) int32, of 13 signed bits.

    Parameters
    ----------
    dataset : h5py.Dataset
        One value, one per neuron, or one per feature of an image.
    where : str
        File and key, for the error's text.
    size : int
        Number of neurons.
    features : int or None
        Number of features; None: the layer is no image.
    """
    bias = _per_neuron(dataset, where, size, features)
    low, high = BIAS_BOUNDS
    cure = "Files hold counts of 1/64 unit."
    require_each((low <= bias) & (bias <= high), where, f"lie in {low}..{high}, 13 signed bits", bias, cure, FormatError)
    return _frozen(bias)


def delays_of(dataset: Any, where: str, size: int, features: int | None) -> np.ndarray:
    """Delays (size,) int32, from 0 to MAX_DELAY [steps].

    Parameters
    ----------
    dataset, where, size, features
        As in :func:`biases_of`.
    """
    delay = _per_neuron(dataset, where, size, features)
    check_delays(delay, where, FormatError)
    return _frozen(delay)


def _per_neuron(dataset: Any, where: str, size: int, features: int | None) -> np.ndarray:
    raw = whole_numbers(dataset, where, None)
    if features is not None:
        require(raw.ndim <= 1, where, "be one value, one a feature, or one a neuron in a row", raw.shape, error=FormatError)
        if raw.size == features:
            raw = np.repeat(raw, size // features)
    raw = raw.reshape(-1)
    counts = (1, size) if features is None else (1, features, size)
    require(raw.size in counts, where, f"hold {' or '.join(map(str, counts))} values", raw.shape, error=FormatError)
    return np.broadcast_to(raw, (size,))


def _frozen(values: np.ndarray) -> np.ndarray:
    values = np.ascontiguousarray(values, np.int32)
    values.flags.writeable = False
    return values
