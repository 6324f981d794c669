"""Writing of the layers of a ``.net`` file, and conversion of their keys ``neuron/*`` to and from :class:`.program.StepParams`.

The layout is that of lava-dl's netx (every value a dataset, names in camelCase); ``neuron/type`` is ``1M1T1R``, and
``neuron/version`` counts the changes of its table. For the content of a layer and its reader see :mod:`.netx.schema`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .convolution import Convolution
from .errors import FormatError, array_of, require
from .noise import MOST_SEED
from .params import FIELDS, DeviceParams
from .program import StepParams

NEURON_TYPE = "1M1T1R"
VERSION = 2
_STEP_KEYS = {"dt": "dt", "substeps": "substeps", "vUnit": "v_unit", "vInMax": "v_in_max"}
_DEVICE = "device/"


PAIRS = ("kernelSize", "stride", "padding", "dilation")
"""Keys of a convolution or a pooling that hold a pair (height, width)."""


def write_layer(
    group: Any,
    kind: str,
    shape: Sequence[int],
    *,
    inputs: int | None = None,
    conv: Convolution | None = None,
    weight: np.ndarray | None = None,
    weight_rec: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    delay: np.ndarray | None = None,
    delay_rec: np.ndarray | None = None,
    neuron: Mapping[str, Any] | None = None,
) -> None:
    """Write a layer into an HDF5 group. None: the layer has no such thing.

    Parameters
    ----------
    group : h5py.Group
    kind : str
        Type of the layer.
    shape : tuple of int
        Shape of its output.
    inputs : int, optional
        Number of inputs C; None: not written.
    conv : Convolution, optional
        Sizes of a layer that sees images.
    weight, weight_rec, bias, delay, delay_rec : array, optional
        Whole numbers, in counts and steps.
    neuron : mapping, optional
        Keys below ``neuron/``.
    """
    group.create_dataset("type", (1,), f"S{max(10, len(kind))}", [kind.encode("ascii")])  # lava-dl's type
    group["shape"] = np.array(shape)
    if inputs is not None:
        group["inFeatures"], group["outFeatures"] = inputs, int(np.prod(shape))
    if conv is not None:
        group["inputShape"] = np.array(conv.inputs)
        for name, value in zip(PAIRS, (conv.kernel, conv.stride, conv.padding, conv.dilation), strict=True):
            group[name] = np.array(value)
        if kind == "conv":
            group["inChannels"], group["outChannels"], group["groups"] = conv.inputs[0], conv.features, conv.groups
    for name, weights in (("weight", weight), ("weight_rec", weight_rec)):
        if weights is not None:
            group[name] = np.asarray(array_of(weights, f"{group.name.strip('/')}/{name}"), np.float32)  # lava-dl's type
    for name, values in (("bias", bias), ("delay", delay), ("delayRec", delay_rec)):
        if values is not None:
            group[name] = array_of(values, f"{group.name.strip('/')}/{name}")
    for key, of_neuron in (neuron or {}).items():
        group[f"neuron/{key}"] = of_neuron


def to_keys(params: StepParams, seed: int = 0) -> dict[str, Any]:
    """Keys below ``neuron/`` that describe these neurons; also lava-dl's ``device_params``.

    ``seed`` is that of the network's stochastic neurons; the layer's index in the file completes it.
    """
    keys: dict[str, Any] = {"type": NEURON_TYPE, "version": VERSION, "gradedSpike": False, "seed": int(seed)}
    keys.update({key: getattr(params, name) for key, name in _STEP_KEYS.items()})
    keys.update({_DEVICE + name: value for name, value in params.device.as_dict().items()})
    return keys


def from_keys(keys: Mapping[str, Any], where: str) -> tuple[StepParams, int]:
    """Parameters and seed from the keys below ``neuron/``.

    Parameters
    ----------
    keys : mapping
        Key (with ``device/`` for the device's fields) to value.
    where : str
        File and layer, for the error's text.

    Raises
    ------
    FormatError
        For another type or version, a missing or unknown key, or a value out of range. Names file, layer and key.
    """
    require(isinstance(keys, Mapping), where, "be a mapping of keys to values", keys, error=FormatError)
    kind = keys.get("type")
    kind = kind.decode(errors="replace") if isinstance(kind, bytes) else kind
    require(isinstance(kind, str) and kind == NEURON_TYPE, f"{where}/neuron/type", f"be {NEURON_TYPE!r}", kind, error=FormatError)
    require("version" in keys, f"{where}/neuron/version", "be present", None, error=FormatError)
    check_version(keys["version"], f"{where}/neuron/version")
    needed = ("seed", *_STEP_KEYS, *(_DEVICE + name for name in FIELDS))
    for key in keys:
        known = key in ("type", "version", "gradedSpike", *needed)
        require(known, f"{where}/neuron/{key}", "be a key of this format", key, error=FormatError)
    for key in needed:
        require(key in keys, f"{where}/neuron/{key}", "be present", None, error=FormatError)
    graded = keys.get("gradedSpike", False)
    single = np.asarray(graded).dtype.kind in "biuf" and not np.any(graded)
    require(single, f"{where}/neuron/gradedSpike", "be False: these neurons send single spikes", graded, error=FormatError)
    seed = keys["seed"]
    good = _is_whole(seed) and 0 <= _plain(seed) <= MOST_SEED
    require(good, f"{where}/neuron/seed", f"be a whole number from 0 to {MOST_SEED}", seed, error=FormatError)
    try:
        device = DeviceParams(**{name: _plain(keys[_DEVICE + name]) for name in FIELDS})
        step = {name: _plain(keys[key]) for key, name in _STEP_KEYS.items()}
        require(_is_whole(step["substeps"]), "StepParams.substeps", "be a whole number", step["substeps"])
        return StepParams(device, **{**step, "substeps": int(step["substeps"])}, held=True), int(_plain(seed))
    except ValueError as error:
        raise FormatError(f"{where}/neuron: {error}") from error


def check_version(found: Any, where: str) -> None:
    """Refuse a version of the neuron other than :data:`VERSION`; ``where`` names its place for the error's text."""
    cure = "Of an older file the numbers mean another arithmetic: export its network again. For a newer one, update lava-1m1t1r."
    require(_is_whole(found) and _plain(found) == VERSION, where, f"be {VERSION}", found, cure, error=FormatError)


def _plain(value: Any) -> Any:
    array = np.asarray(value)
    return array.item() if array.size == 1 else array


def _is_whole(value: Any) -> bool:
    array = np.asarray(value)
    return array.size == 1 and array.dtype.kind in "iuf" and float(array.item()).is_integer()
