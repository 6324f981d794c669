"""Trainable blocks from a network file, to continue training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from .._support.lava_loading import load_lava
from ..arithmetic import WEIGHT_ONE
from ..delay_lines import DELAY_LINES
from ..description import NetDescription
from ..errors import flag, given, require
from ..layers import Layer, M1T1RNeuron
from ..netx.schema import KEYS, described
from ..sums import EVEN_WEIGHTS, WEIGHT_RULE, weight_bounds, within_8_bits

load_lava("lava.lib.dl.slayer", "Training a network from its file")  # before torch: it says what to install
import torch  # noqa: E402
from torch.nn.utils import prune  # noqa: E402

from ..slayer import block  # noqa: E402
from ..slayer.exact import wide  # noqa: E402
from ..slayer.neuron import arguments_of  # noqa: E402
from ..slayer.quantise import quantise_8bit, quantise_odd  # noqa: E402
from .blocks import input_synapse  # noqa: E402
from .network import SURROGATE, Network  # noqa: E402


def restored(net: str | os.PathLike | NetDescription, sparse: bool = False, **neuron: Any) -> Network:
    """Return the trainable network of a file: it gives the same answers as the file, and exports it again.

    Parameters
    ----------
    net : path or NetDescription
        A network of 1M1T1R neurons.
    sparse : bool
        Whether synapses of weight 0 do not exist, and never learn, as where each synapse has one of several delays. Else all learn.
    **neuron
        Further arguments of :class:`..slayer.neuron.Neuron` for all layers, such as ``variation`` or ``learn``.

    Raises
    ------
    InputError
        If it holds what no block of this library trains; the text names the layer.
    """
    description = described(net)
    description.check()
    flag(sparse, "restored.sparse")
    blocks = [_block(layer, sparse, {**SURROGATE, **neuron}) for layer in description.layers]
    network = Network(blocks, f"{Path(description.source).name or 'a network'} ({description.digest()})")
    for made, layer in zip(network.blocks, description.layers, strict=True):
        if layer.neuron is not None:  # some layers of another network draw their noise by their places there
            made.neuron.layer = layer.index
    return network


def _block(layer: Layer, sparse: bool, options: dict[str, Any]) -> torch.nn.Module:
    own = layer.neuron
    known = own is None or isinstance(own, M1T1RNeuron)
    require(known, layer.place, "hold 1M1T1R neurons", type(own).__name__, "Train others with lava-dl's own blocks.")
    _check_fields(layer)
    if layer.kind in _WITHOUT_WEIGHTS:
        return _WITHOUT_WEIGHTS[layer.kind](layer)
    # None: blocks that need neurons refuse it
    params: Any = arguments_of(own.step, own.seed) | options if isinstance(own, M1T1RNeuron) else None
    if layer.kind == "input":
        return _input(layer, params)
    hook = _hook(layer, layer.weight)
    more: dict[str, Any] = {"pre_hook_fx": hook, "delay": layer.delay is not None, "bias": layer.bias is not None}
    if layer.kind == "affine":
        made = block.m1t1r.Affine(None, layer.inputs, layer.size, pre_hook_fx=hook)
    elif layer.kind == "dense":
        made = block.m1t1r.Dense(params, layer.inputs, layer.size, **more)
    elif layer.kind == "dense_rec":
        made = block.m1t1r.Recurrent(params, layer.inputs, layer.size, delay_rec=layer.delay_rec, **more)
        made.recurrent_synapse.pre_hook_fx = _hook(layer, layer.weight_rec, "weight_rec") or quantise_8bit
    else:
        made = _image(layer, params, more)
    _fill(made, layer, sparse)
    return made


def _check_fields(layer: Layer) -> None:
    """Refuse a layer made in memory that has more than those of files, or less: its block would not have it, or draw it at random."""
    known = {key.name: key for key in KEYS if layer.kind in key.allowed}
    require(known, layer.place, "be of a kind that restored() makes a block of", layer.kind)
    for name in ("weight", "weight_rec", "bias", "delay", "neuron"):
        value, where = getattr(layer, name), f"{layer.place} {name}"
        if name not in known:
            require(value is None, where, "be left out, as in files", value)
        elif layer.kind in known[name].required:
            given(value, where, "be given, as in files")


def _input(layer: Layer, params: Any) -> torch.nn.Module:
    own = (None, None) if layer.neuron is None else (layer.weight, layer.bias)  # without neurons spikes only pass
    weight, constant = (None if v is None else float(v[0]) / WEIGHT_ONE for v in own)
    made = block.m1t1r.Input(params, weight, constant)
    made.input_shape = torch.Size(layer.shape)
    if layer.neuron is not None:
        require(layer.bias is None or np.ptp(layer.bias) == 0, f"{layer.place} bias", "be one for all neurons", layer.bias)
        made.pre_hook_fx = _hook(layer, layer.weight) or made.pre_hook_fx
    return made


def _image(layer: Layer, params: Any, more: dict[str, Any]) -> torch.nn.Module:
    conv = given(layer.conv, layer.place, "be of a kind that restored() makes a block of", layer.kind)  # only images are left
    if layer.kind == "pool":
        made = block.m1t1r.Pool(params, conv.kernel, conv.stride, conv.padding, conv.dilation, **more)
    else:
        sizes = (conv.kernel, conv.stride, conv.padding, conv.dilation, conv.groups)
        made = block.m1t1r.Conv(params, conv.inputs[0], conv.features, *sizes, **more)
    made.conv, made.neuron.num_neurons = conv, layer.size
    return made


def _fill(made: Any, layer: Layer, sparse: bool) -> None:
    """Copy the file's numbers into a block."""
    own = [(input_synapse(made), layer.weight)]
    if layer.weight_rec is not None:
        own.append((made.recurrent_synapse, layer.weight_rec))
    for synapse, counts in own:
        weight = torch.from_numpy(np.asarray(counts) / WEIGHT_ONE).to(synapse.weight).reshape(synapse.weight.shape)
        synapse.weight.data.copy_(weight)
        if sparse and layer.conv is None:
            keep_only(synapse, weight != 0)
    if layer.bias is not None:
        # 32 bits also where torch makes numbers of 16 (set_default_dtype): bfloat16 would round the 13 bits of a bias
        made.bias.data = _each(layer.bias, made.bias.numel(), f"{layer.place} bias").to(wide(made.bias)) / WEIGHT_ONE
    if layer.delay is not None:
        count = layer.size if layer.conv is None else layer.conv.features
        made.delay.delay.data = _each(layer.delay, count, f"{layer.place} delay").to(made.delay.delay)
        made.delay.init = True


def keep_only(synapse: Any, exists: torch.Tensor) -> None:
    """Let no other weights of a synapse exist than those that ``exists`` names, of the weights' shape or (N, C): they stay 0."""
    prune.custom_from_mask(synapse, "weight", exists.reshape(synapse.weight.shape))
    synapse.weight = synapse.weight.detach()  # pruning makes it anew at each call; torch copies no module that holds a result


def _each(values: np.ndarray, count: int, where: str) -> torch.Tensor:
    """One number for each of ``count`` equal parts of the layer, as its block learns them."""
    parts = np.asarray(values).reshape(count, -1)
    require(np.all(parts == parts[:, :1]), where, f"be alike in each of {count} parts, as the block learns it", values)
    return torch.from_numpy(parts[:, 0].copy())


def _hook(layer: Layer, weights: np.ndarray | None, name: str = "weight") -> Any:
    """Quantisation that leaves weights of the layer as they are: None, the usual one, or the one for odd counts."""
    if weights is None:
        return None
    counts = np.asarray(weights)
    bounds = int(counts.min()), int(counts.max())
    require(within_8_bits(counts), f"{layer.place} {name}", f"be {WEIGHT_RULE}, as blocks have them", bounds)
    return None if weight_bounds(counts) == EVEN_WEIGHTS else quantise_odd


def _lines(layer: Layer) -> torch.nn.Module:
    taps = np.asarray(layer.own_delay)[:: layer.inputs]
    alike = np.array_equal(np.repeat(taps, layer.inputs), layer.own_delay)
    require(alike, f"{layer.place} delay", "be alike for all channels, which come in turn, at each delay once", layer.delay)
    return block.m1t1r.DelayLines(layer.inputs, taps)


def _flatten(layer: Layer) -> torch.nn.Module:
    made = block.m1t1r.Flatten()
    made.shape = list(layer.shape)
    return made


_WITHOUT_WEIGHTS = {DELAY_LINES: _lines, "flatten": _flatten, "average": lambda layer: block.m1t1r.Average(layer.size)}
