"""A network of 1M1T1R layers as plain loops: the reference ("arbiter") for every faster implementation, also used by the reports.

The recursion is that of ``FIXED_POINT.md``, section 6: layer l at step t gets ``W y[t] + b + V s[t - 1 - d]``, where y are the spikes of
the layer before, delayed by its axons and shifted by one step as lava-dl's blocks do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .convolution import Convolution
from .delay_lines import MAX_DELAY, on_lines
from .description import M1T1RNeuron, NetDescription
from .errors import array_of, require, whole
from .program import StepParams
from .reference import CompiledNeurons, Traces, stacked


class PlainLayer(NamedTuple):
    """A layer of N neurons with C inputs. Weights are integers in 1/64 unit (lava-dl's weight 1.0 is 64)."""

    params: StepParams
    weight: Any  # (N, C) int; with ``conv``: kernels, as it takes them
    weight_rec: Any = None  # (N, N) int
    bias: Any = None  # (N,) int
    delay: Any = None  # (N,) int, of the outgoing spikes, 0..62 steps
    delay_rec: Any = None  # (N,) int, of the recurrent spikes, 0..62 steps
    conv: Convolution | None = None  # of convolutions and poolings; None: a matrix

    @property
    def size(self) -> int:
        """Number of neurons, N."""
        return len(self.weight) if self.conv is None else self.conv.size

    def weigh(self, y: np.ndarray) -> np.ndarray:
        """Weighted sums (T, N) int64 of spikes (T, C) int64."""
        return y @ np.asarray(self.weight, np.int64).T if self.conv is None else self.conv.weigh(y, self.weight)


class LayerTraces(NamedTuple):
    """What a layer received and did."""

    a_in: np.ndarray  # (T, N) int
    traces: Traces


def layers_of(net: NetDescription) -> tuple[list[PlainLayer], int]:
    """The 1M1T1R layers of a network read from a file, for :func:`run` and the reports.

    Parameters
    ----------
    net : NetDescription
        Its layers with neurons must be 1M1T1R layers, and no input layers; a readout behind them is left out.

    Returns
    -------
    layers, first
        The layers, and the first one's index in the file (:func:`run`'s ``first``).
    """
    require(isinstance(net, NetDescription), "network", "be a NetDescription", net, "Read a file with netx.schema.read.")
    found = [layer for layer in net.active if layer.neuron is not None]
    require(found, "network", "hold a layer of neurons", [layer.kind for layer in net.active])
    for place, layer in enumerate(found, start=found[0].index):
        good = isinstance(layer.neuron, M1T1RNeuron) and layer.kind != "input" and layer.index == place
        require(good, f"layer/{layer.index}", "be a 1M1T1R layer with synapses, behind another", layer.kind)
    fields = ("weight_rec", "bias", "delay", "delay_rec", "conv")
    weights = [layer.matrix() if layer.conv is None else layer.weight for layer in found]
    parts = [[weight, *(getattr(layer, name) for name in fields)] for layer, weight in zip(found, weights, strict=True)]
    return [PlainLayer(layer.step, *own) for layer, own in zip(found, parts, strict=True)], found[0].index


def run(
    layers: Sequence[PlainLayer],
    frames: Any,
    *,
    fixed: bool = True,
    seed: int = 0,
    forced: Sequence[np.ndarray] | None = None,
    neurons: Callable[..., Any] = CompiledNeurons,
    first: int = 0,
) -> list[LayerTraces]:
    """Run one sample from rest through a chain of layers.

    Parameters
    ----------
    layers : sequence of PlainLayer
        From the input's side.
    frames : (T, C) int
        Input spikes, one frame a network step.
    fixed : bool
        Integers or floating point.
    seed : int
        Seed of the stochastic neurons.
    forced : sequence of (T, N) int, optional
        Synaptic inputs to use instead of the computed ones (teacher forcing), one array a layer.
    neurons : callable
        ``CompiledNeurons``, or ``reference.Neurons``: the arbiter.
    first : int
        Index of the first of ``layers`` in its file; it numbers the generators.

    Returns
    -------
    list of LayerTraces
    """
    require(isinstance(layers, (list, tuple)), "layers", "be a list of Layers", layers)
    first = whole(first, "first")
    y = array_of(frames, "frames")
    require(y.ndim == 2 and y.size and y.dtype.kind in "iub", "frames", "be whole numbers (T, C)", (y.dtype, y.shape))
    y = y.astype(np.int64)
    given = forced is None or (isinstance(forced, (list, tuple)) and len(forced) == len(layers))
    require(given, "forced", f"hold the synaptic input of each of {len(layers)} layers, or be None", forced)
    out = []
    for i, layer in enumerate(layers):
        where = f"layers[{i}]"
        _check(layer, y.shape[1], where)
        size = layer.size
        group = neurons(layer.params, size, fixed=fixed, seed=seed, layer=first + i)
        a_in = layer.weigh(y) + (0 if layer.bias is None else np.asarray(layer.bias, np.int64))
        if forced is not None:
            require(np.shape(forced[i]) == a_in.shape, f"forced[{i}]", f"have shape {a_in.shape}", np.shape(forced[i]))
            a_in = np.asarray(forced[i], np.int64)
        spikes = np.zeros((len(y), size), np.int64)
        recurrent = layer.weight_rec is not None and forced is None
        late = _delays(layer.delay_rec, size)
        steps = []
        for t in range(len(y)):
            if recurrent:
                before = t - 1 - late
                a_in[t] += np.asarray(layer.weight_rec, np.int64) @ np.where(before >= 0, spikes[np.maximum(before, 0), np.arange(size)], 0)
            steps.append(group.step(a_in[t]))
            spikes[t] = steps[-1].spike
        out.append(LayerTraces(a_in, stacked(steps)))
        y = outgoing(spikes, layer.delay)
    return out


def outgoing(spikes: np.ndarray, delay: Any = None) -> np.ndarray:
    """Spikes as the next layer, or the layer itself, receives them, (..., T, N): y[t] = s[t - 1 - delay]."""
    return on_lines(spikes, 1 + _delays(delay, spikes.shape[-1]))


def _delays(delay: Any, size: int) -> np.ndarray:
    return np.zeros(size, np.int64) if delay is None else np.asarray(delay, np.int64)


def _check(layer: PlainLayer, inputs: int, where: str) -> None:
    require(isinstance(layer, PlainLayer), where, "be a PlainLayer of lava_1m1t1r.network", layer)
    weight = array_of(layer.weight, f"{where}.weight")
    if layer.conv is None:
        require(weight.ndim == 2 and weight.shape[1] == inputs, f"{where}.weight", f"have shape (N, {inputs})", weight.shape)
    else:
        require(layer.conv.sources == inputs, f"{where}.conv.inputs", f"hold {inputs} values", layer.conv.inputs)
        fits = weight.ndim == 4 and all(a in (1, b) for a, b in zip(weight.shape, layer.conv.weight_shape, strict=True))
        require(fits, f"{where}.weight", f"have shape {layer.conv.weight_shape}", weight.shape)
    n = layer.size
    shapes = {"weight": weight.shape, "weight_rec": (n, n), "bias": (n,), "delay": (n,), "delay_rec": (n,)}
    for name, shape in shapes.items():
        value = getattr(layer, name)
        if value is None:
            continue
        value = array_of(value, f"{where}.{name}")
        require(value.shape == shape, f"{where}.{name}", f"have shape {shape}", value.shape)
        require(np.all(np.rint(value) == value), f"{where}.{name}", "be whole numbers", value)
        if name.startswith("delay"):
            require(value.min() >= 0 and value.max() <= MAX_DELAY, f"{where}.{name}", f"lie in 0 to {MAX_DELAY}", value)
