"""The ``.net`` layout as data, with a reader that checks everything and a writer that never leaves a half-written file.

The layout is that of lava-dl 0.6's netx: groups ``layer/0``, ``layer/1``, ...; every value is a dataset. :data:`KEYS` lists the keys.
Features that netx does not have are added under new names: neurons of type ``1M1T1R`` (keys in :mod:`lava_1m1t1r.keys`), ``delayRec``, the
layer types ``affine`` (a readout without neurons), ``delay_lines`` and a working ``average``, and at the root the format's ``version``,
``classes``, the outputs' names, and ``usual``, how often neurons spike in the training.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .._support import hdf5_file
from .._support.files import replacing
from .._support.names import check_name
from .._support.paths import path_of
from ..arithmetic import DECAY_ONE, WEIGHT_ONE
from ..convolution import Convolution
from ..delay_lines import DELAY_LINES
from ..description import NetDescription, Usual
from ..errors import FormatError, InputError, require
from ..keys import NEURON_TYPE, PAIRS, from_keys, to_keys, write_layer
from ..layers import KINDS, THRESHOLD_BITS, CubaNeuron, Layer, M1T1RNeuron
from ..noise import MOST_NEURONS
from . import images, values

VERSION = 1
"""Version of the layout; files without ``version`` (lava-dl's) count as 1."""
CLASSES = "classes"
"""Key of the names of the outputs, where these have names."""
USUAL = "usual"
"""Key of the group of :class:`.description.Usual`, where that is known: ``spikes`` (N,) and ``steps``."""
ROOT_KEYS = {"layer", "version", "simulation", CLASSES, USUAL}


class Key(NamedTuple):
    """One dataset below ``layer/<i>/``; ``_read_layer`` checks type and shape."""

    name: str
    required: tuple[str, ...]
    """Kinds of layer that must have the key."""
    allowed: tuple[str, ...]
    """Kinds of layer that may have the key."""


_SPIKING = ("dense", "dense_rec")
_WEIGHTED = (*_SPIKING, "affine")
_ALL_SPIKING = (*_SPIKING, *images.KINDS)
KEYS = (  # numbers are whole, of any type; N outputs, C inputs; O features, I channels of a group, h and w of the kernel
    Key("type", KINDS, KINDS),  # text
    Key("shape", KINDS, KINDS),
    Key("inFeatures", (DELAY_LINES,), KINDS),
    Key("outFeatures", (), KINDS),
    Key("inputShape", (), images.KINDS),  # (3,)
    Key("inChannels", (), ("conv",)),
    Key("outChannels", (), ("conv",)),
    *(Key(name, images.KINDS, images.KINDS) for name in PAIRS),  # (2,)
    Key("groups", ("conv",), ("conv",)),
    Key("weight", (*_WEIGHTED, *images.KINDS), ("input", *_WEIGHTED, *images.KINDS)),  # (N, C), (1,) or (O, I, h, w)
    Key("weight_rec", ("dense_rec",), ("dense_rec",)),  # (N, N)
    Key("bias", (), ("input", *_ALL_SPIKING)),  # (N,), (O,) or (1,)
    Key("delay", (DELAY_LINES,), (DELAY_LINES, *_ALL_SPIKING)),  # as bias
    Key("delayRec", (), ("dense_rec",)),  # (N,)
    Key("neuron", ("dense_rec", *images.KINDS), ("input", *_ALL_SPIKING)),  # a group
)
_CUBA_TYPES = ("CUBA", "LOIHI")
_CUBA_REQUIRED = ("iDecay", "vDecay", "vThMant")
_CUBA_FIXED = {"refDelay": 1, "gradedSpike": 0, "weight_exp": 0, "wgtExp": 0, "messageBits": 0}  # other values mean another neuron
_CUBA_TRAINING = ("scaleRho", "tauRho", "theta")  # surrogate gradients and real threshold: nothing that a run needs


def described(net: str | os.PathLike | NetDescription) -> NetDescription:
    """Return the network in a ``.net`` file, or a description as it is: whatever lies above ``netx`` takes either."""
    return net if isinstance(net, NetDescription) else read(net)


def read(path: str | os.PathLike) -> NetDescription:
    """Read and check a ``.net`` file, of this library or of lava-dl 0.6.

    Of lava-dl's recurrent blocks with a norm, a file gives other spikes than training did: see ``bias`` of :class:`.Layer`.

    Raises
    ------
    FormatError
        For anything that is not exactly understood. The text names file, layer and key.
    """
    with hdf5_file.opened(path) as file:
        cure = "Give it as data (--data FILE), and here the network's file."
        data = "spikes" in file and "layer" not in file
        require(not data, str(path), "be a network's .net file", "a file of spikes, as SHD's are", cure, FormatError)
        hdf5_file.check_tree(file)
        return _read_file(file, str(path))


def _read_file(file: Any, path: str) -> NetDescription:
    unknown = sorted(set(file) - ROOT_KEYS)
    require(not unknown, f"{path}: {'/'.join(unknown[:1])}", "be a key of this format", unknown[:1], error=FormatError)
    version = 1
    if "version" in file:
        version = int(values.whole_numbers(file["version"], f"{path}: version", (1,)).item())
    require(
        1 <= version <= VERSION,
        f"{path}: version",
        f"be 1 to {VERSION}",
        version,
        "Update lava-1m1t1r to read a newer file.",
        error=FormatError,
    )
    require("layer" in file, f"{path}: layer", "be present: it holds the network", sorted(file), error=FormatError)
    groups = file["layer"]
    require(hasattr(groups, "keys"), f"{path}: layer", "be a group of layers", type(groups).__name__, error=FormatError)
    names = sorted(groups, key=lambda name: (not name.isdigit(), len(name), name))
    require(names, f"{path}: layer", "hold layers '0', '1', ...", names, error=FormatError)
    for i, name in enumerate(names):
        require(name == str(i), f"{path}: layer/{name}", f"be layer/{i}: layers are numbered without gaps", name, error=FormatError)
    layers: list[Layer] = []
    before: tuple[int, ...] | None = None
    for i, name in enumerate(names):
        layer = _read_layer(groups[name], i, f"{path}: layer/{i}", before)
        layers.append(layer)
        before = layer.shape
    net = NetDescription(tuple(layers), version, path)
    net.check(path, FormatError)
    if CLASSES in file:
        net = net.replace(classes=values.texts_of(file[CLASSES], f"{path}: {CLASSES}", net.outputs))
        net.check_classes(path, FormatError)
    return net if USUAL not in file else net.replace(usual=_read_usual(file[USUAL], f"{path}: {USUAL}", net.active[0].size))


def _read_usual(group: Any, where: str, size: int) -> Usual:
    keys = values.keys_of(group, where)
    require(set(keys) == {"spikes", "steps"}, where, "hold 'spikes' and 'steps', and nothing else", sorted(keys), error=FormatError)
    steps = values.whole_numbers(keys["steps"], f"{where}/steps", (1,)).item()
    usual = Usual(np.asarray(keys["spikes"]), int(steps))
    usual.check(where, size, FormatError)
    return usual


def _read_layer(group: Any, index: int, where: str, shape_before: tuple[int, ...] | None) -> Layer:
    require(hasattr(group, "keys") and "type" in group, f"{where}/type", "be present", None, error=FormatError)
    kind = values.text_of(group["type"], f"{where}/type")
    # convT, unpool, concat and dense_comp of netx are not among them
    require(kind in KINDS, f"{where}/type", f"be one of {', '.join(KINDS)}", kind, error=FormatError)
    _check_keys(group, kind, where)
    shape = tuple(int(n) for n in values.whole_numbers(group["shape"], f"{where}/shape", None).reshape(-1))
    require(shape and min(shape) > 0, f"{where}/shape", "hold sizes > 0", shape, error=FormatError)
    size = math.prod(shape)
    require(size <= MOST_NEURONS, f"{where}/shape", f"name at most {MOST_NEURONS} neurons", shape, error=FormatError)
    # the neuron first: where its type is not known, that is the error to tell, not the form of its weights
    fields: dict[str, Any] = {"neuron": _read_neuron(group["neuron"], where, size)} if "neuron" in group else {}
    source = _read_source(group, kind, where, shape, shape_before)
    fields |= {"weight": source.weight, "conv": source.conv}
    if kind == "pool" and source.conv is not None:
        images.check_pooling(source.conv, fields["neuron"], where)
    elif "neuron" not in fields and kind == "dense":
        kind = "affine"  # lava-dl writes its Affine without dynamics as a dense layer without neuron
    if kind == "input" and "neuron" in fields:
        given = "weight" in group
        fields["weight"] = values.weights_of(group["weight"], f"{where}/weight", (1,)) if given else np.array([WEIGHT_ONE], np.int32)
    if kind in ("input", "affine") and "neuron" not in fields:
        for name in ("bias", "delay") if kind == "affine" else ("weight", "bias", "delay"):
            require(name not in group, f"{where}/{name}", "come with a neuron", name, error=FormatError)
    fields |= _read_per_neuron(group, where, size, source.conv)
    return Layer(index, kind, shape, source.inputs, **fields)


def _check_keys(group: Any, kind: str, where: str) -> None:
    known = {key.name: key for key in KEYS if kind in key.allowed}
    for name in group:
        require(name in known, f"{where}/{name}", f"be a key of a layer of type {kind!r}", name, error=FormatError)
    for key in known.values():
        if kind in key.required:
            require(key.name in group, f"{where}/{key.name}", "be present", None, error=FormatError)


class _Source(NamedTuple):
    """What a layer gets its inputs through."""

    conv: Convolution | None
    weight: np.ndarray | None
    inputs: int


def _read_source(group: Any, kind: str, where: str, shape: tuple[int, ...], shape_before: tuple[int, ...] | None) -> _Source:
    """Weights and number of inputs, which must fit the layer before and all sizes that the file states."""
    size, before = math.prod(shape), None if shape_before is None else math.prod(shape_before)
    conv, weight = None, None
    if kind in images.KINDS:
        conv, weight = images.read(group, kind, where, shape_before)
        inputs = conv.sources
        require(shape == conv.shape, f"{where}/shape", f"be {conv.shape}, as the sizes say", shape, error=FormatError)
    elif kind in _WEIGHTED:
        weight = values.weights_of(group["weight"], f"{where}/weight", (size, None))
        inputs = weight.shape[1]
    elif kind == DELAY_LINES or (kind == "average" and before is None and "inFeatures" in group):
        inputs = int(values.whole_numbers(group["inFeatures"], f"{where}/inFeatures", (1,)).item())
        require(inputs > 0, f"{where}/inFeatures", "be positive", inputs, error=FormatError)
    else:
        inputs = before if before is not None else size
    place = f"{where}/shape" if weight is None or conv is not None else f"{where}/weight"
    rule = f"fit the layer before it, which has {before} outputs"
    require(before is None or inputs == before, place, rule, inputs, error=FormatError)
    if kind in ("input", "flatten"):
        require(size == inputs, f"{where}/shape", f"hold {inputs} values, as many as the layer before it has", shape, error=FormatError)
    if kind == DELAY_LINES:
        rule = f"divide the lines evenly among the channels ({size} lines)"
        require(size % inputs == 0, f"{where}/inFeatures", rule, inputs, error=FormatError)
    values.check_stated(group, where, inFeatures=inputs, outFeatures=size)
    return _Source(conv, weight, inputs)


def _read_per_neuron(group: Any, where: str, size: int, conv: Convolution | None) -> dict[str, np.ndarray]:
    """Recurrent weights, biases and delays, as a Layer calls them."""
    found: dict[str, np.ndarray] = {}
    features = None if conv is None else conv.features
    if "weight_rec" in group:
        found["weight_rec"] = values.weights_of(group["weight_rec"], f"{where}/weight_rec", (size, size))
    if "bias" in group:
        found["bias"] = values.biases_of(group["bias"], f"{where}/bias", size, features)
    for name, field in (("delay", "delay"), ("delayRec", "delay_rec")):
        if name in group:
            found[field] = values.delays_of(group[name], f"{where}/{name}", size, features)
    return found


def _read_neuron(group: Any, where: str, size: int) -> M1T1RNeuron | CubaNeuron:
    keys = values.keys_of(group, f"{where}/neuron")
    require("type" in keys, f"{where}/neuron/type", "be present", None, error=FormatError)
    kind = keys["type"]
    known = isinstance(kind, str) and kind in (NEURON_TYPE, *_CUBA_TYPES)
    require(known, f"{where}/neuron/type", f"be {NEURON_TYPE!r}, 'CUBA' or 'LOIHI'", kind, error=FormatError)
    if kind == NEURON_TYPE:
        step, seed = from_keys(keys, where)
        try:
            step.fixed(size)
        except InputError as error:
            raise FormatError(f"{where}/neuron: {error}") from error
        return M1T1RNeuron(step, seed)
    _check_cuba_keys(keys, f"{where}/neuron")
    current, voltage = (_decay(keys[key], f"{where}/neuron/{key}", size) for key in ("iDecay", "vDecay"))
    threshold = int(values.whole_numbers(keys["vThMant"], f"{where}/neuron/vThMant", (1,)).item())
    rule = f"have at most {THRESHOLD_BITS + 1} bits"
    require(0 <= threshold < 2 << THRESHOLD_BITS, f"{where}/neuron/vThMant", rule, threshold, error=FormatError)
    return CubaNeuron(current, voltage, threshold)


def _check_cuba_keys(keys: dict[str, Any], where: str) -> None:
    for key in keys:
        known = key == "type" or key in _CUBA_REQUIRED or key in _CUBA_FIXED or key in _CUBA_TRAINING
        require(known, f"{where}/{key}", "be a key of a CUBA neuron", key, error=FormatError)
    for key in _CUBA_REQUIRED:
        require(key in keys, f"{where}/{key}", "be present", None, error=FormatError)
    for key, only in _CUBA_FIXED.items():
        if key in keys:
            value = np.asarray(keys[key])
            good = value.dtype.kind in "biuf" and np.all(value == only)
            require(good, f"{where}/{key}", f"be {only}: other values are not supported", keys[key], error=FormatError)


def _decay(dataset: Any, where: str, size: int) -> int | np.ndarray:
    """Share lost a step, in 1/4096: one for all neurons, or (size,) int32."""
    decay = values.whole_numbers(dataset, where, None).reshape(-1)
    require(decay.size in (1, size), where, f"hold 1 or {size} values", decay.shape, error=FormatError)
    require(decay.min() >= 0 and decay.max() <= DECAY_ONE, where, f"be 0 to {DECAY_ONE}", decay, error=FormatError)
    return int(decay[0]) if decay.size == 1 else decay.astype(np.int32)


def write(path: str | os.PathLike, net: NetDescription | Iterable[Layer]) -> None:
    """Write a network as a ``.net`` file that :func:`read` reads back; the file appears complete or not at all.

    What comes back does the same in integers. In floating point it has the rates that the integers hold (``StepParams.held``).

    Raises
    ------
    FormatError
        If the description breaks a rule of the format: what is written is read back before it appears.
    """
    layers = net.layers if isinstance(net, NetDescription) else tuple(net) if isinstance(net, Iterable) else ()
    known = layers and all(isinstance(layer, Layer) for layer in layers)
    require(known, "net", "be a NetDescription, or a list of its layers", net)
    for i, layer in enumerate(layers):
        cure = "Put the layers without neurons that stand before it into the list, too."
        rule = f"be {i}, its place in the file, which its noise starts from"
        require(layer.index == i or not layer.noisy, f"net: layer/{i}.index", rule, layer.index, cure)
        layer.check_neuron(f"net: layer/{i}", FormatError)
    with written(path, getattr(net, "classes", ()), getattr(net, "usual", None)) as groups:
        for i, layer in enumerate(layers):
            _write_layer(groups.create_group(str(i)), _without_zeros(layer))


@contextmanager
def written(path: str | os.PathLike, classes: Sequence[str] = (), usual: Usual | None = None) -> Iterator[Any]:
    """For a ``with`` block that writes each layer into a group of its own, named by its number, in the HDF5 group yielded.

    The file appears when the block ends well and what it has written can be read back, and not at all otherwise.

    Parameters
    ----------
    path : path
        The ``.net`` file.
    classes : sequence of str
        Names of the outputs, if they have some.
    usual : Usual, optional
        How often neurons spike in the training, if that is known.

    Raises
    ------
    FormatError
        If what was written breaks a rule of the format.
    """
    import h5py

    with _appearing(path_of(path)) as whole, h5py.File(whole, "w") as file:
        file["version"] = VERSION
        _write_classes(file, classes)
        if usual is not None:
            _write_usual(file, usual)
        yield file.create_group("layer")


def note_usual(path: str | os.PathLike, usual: Usual) -> None:
    """Note in a ``.net`` file how often neurons spike in the training; the rest of it stays as it is."""
    import h5py

    read(path)
    with _appearing(path_of(path)) as whole:
        whole.write(path_of(path).read_bytes())
        with h5py.File(whole, "r+") as file:
            if USUAL in file:
                del file[USUAL]
            _write_usual(file, usual)


@contextmanager
def _appearing(path: Path) -> Iterator[io.BytesIO]:
    """For a ``with`` block that writes a ``.net`` file in memory: on a full disk the HDF5 library fails in ways of its own.

    The file appears when the block ends well and what it has written can be read.
    """
    whole = io.BytesIO()
    with replacing(path) as part:
        try:
            yield whole
            part.write_bytes(whole.getbuffer())
            read(part)
        except FormatError as error:
            raise FormatError(str(error).replace(str(part), str(path))) from error


def _write_usual(file: Any, usual: Usual) -> None:
    usual.check(USUAL, np.size(usual.spikes), FormatError)
    group = file.create_group(USUAL)
    group["spikes"], group["steps"] = np.asarray(usual.spikes, np.float64), np.int64(usual.steps)


def _write_classes(file: Any, names: Sequence[str]) -> None:
    texts = isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names)
    require(texts, "classes", "be a list of texts", names)
    for name in names:
        check_name(name, "classes")
    if names:
        file[CLASSES] = np.array([name.encode() for name in names])


def _write_layer(group: Any, layer: Layer) -> None:
    neuron: dict[str, Any] | None = None
    if layer.step is not None:
        neuron = to_keys(layer.step, layer.m1t1r.seed)
    elif isinstance(layer.neuron, CubaNeuron):
        cuba = layer.neuron
        neuron = {"type": "CUBA", "iDecay": cuba.current_decay, "vDecay": cuba.voltage_decay, "vThMant": cuba.threshold}
        neuron |= {"refDelay": 1, "gradedSpike": False}
    write_layer(
        group,
        layer.kind,
        layer.shape,
        inputs=layer.inputs if layer.kind in (DELAY_LINES, "average", *_WEIGHTED) else None,
        conv=layer.conv,
        weight=layer.weight if layer.conv is None or layer.kind == "pool" else layer.conv.full(layer.own_weight),
        weight_rec=layer.weight_rec,
        bias=_by_feature(layer, layer.bias),
        delay=_by_feature(layer, layer.delay),
        delay_rec=layer.delay_rec,
        neuron=neuron,
    )


def _without_zeros(layer: Layer) -> Layer:
    """Where there are no neurons, zeros say nothing, and the format has no keys for them."""
    if layer.neuron is not None:
        return layer
    return layer.replace(**dict.fromkeys(name for name, values in layer.of_neurons.items() if not np.any(values)))


def _by_feature(layer: Layer, values: np.ndarray | None) -> np.ndarray | None:
    """Of images one value a feature, and of inputs one for all, as lava-dl writes and reads them, where the neurons of each agree."""
    if values is None or (layer.conv is None and layer.kind != "input"):
        return values
    rows = np.asarray(values).reshape(1 if layer.conv is None else layer.conv.features, -1)
    return rows[:, 0] if np.all(rows == rows[:, :1]) else values


__all__ = ["KEYS", "VERSION", "Key", "described", "note_usual", "read", "write", "written"]
