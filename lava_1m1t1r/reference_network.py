"""A network of 1M1T1R layers as plain loops: the arbiter of every faster realisation, and what the reports run.

The recursion is that of ``FIXED_POINT.md``, section 6: layer l at step t gets ``W y[t] + b + V s[t - 1 - d]``, where y are the spikes of
the layer before, delayed by its axons and shifted by one step as lava-dl's blocks do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .delay_lines import LinesRun, outgoing
from .description import NetDescription, check_frames, check_network
from .errors import array_of, require
from .layers import Layer, M1T1RNeuron
from .reference import CompiledNeurons, Traces, stacked


class LayerTraces(NamedTuple):
    """What a layer received and did."""

    a_in: np.ndarray  # (T, N) int
    traces: Traces


def device_layers(net: NetDescription) -> list[Layer]:
    """The layers of 1M1T1R neurons, which :func:`run` runs; a readout behind them is left out.

    Raises
    ------
    InputError
        If the network is none that anything can run, has no neurons, or others.
    """
    check_network(net)
    net.check()
    found = [layer for layer in net.active if layer.neuron is not None]
    require(found, "network", "hold a layer of neurons", [layer.kind for layer in net.active])
    cure = "The reference and reports by layer (evaluate --layers) know 1M1T1R alone; predict and evaluate run other neurons, too."
    for layer in found:
        require(isinstance(layer.neuron, M1T1RNeuron), f"layer/{layer.index} neuron", "be an M1T1RNeuron", layer.neuron, cure)
    return found


def run(
    net: NetDescription,
    frames: Any,
    *,
    fixed: bool = True,
    forced: Sequence[np.ndarray] | None = None,
    neurons: Callable[..., Any] = CompiledNeurons,
) -> list[LayerTraces]:
    """Run one sample from rest through the layers of neurons of a network.

    Parameters
    ----------
    net : NetDescription
        Of 1M1T1R neurons; a readout behind them is left out.
    frames : (T, C) int
        Spike counts, one frame a network step; delay lines of the network delay them.
    fixed : bool
        Integers or floating point.
    forced : sequence of (T, N) int, optional
        Synaptic inputs to use instead of the computed ones (teacher forcing), one array a layer.
    neurons : callable
        :class:`.reference.CompiledNeurons`; or :class:`.reference.Neurons`: the arbiter; or whatever has their ``step``.

    Returns
    -------
    list of LayerTraces
    """
    layers: list[Any] = device_layers(net)
    y = array_of(frames, "frames")
    require(y.ndim == 2 and y.size, "frames", f"have shape (T, {net.inputs}): one sample", y.shape)
    y = net.arriving(check_frames(y[None], net)[0].astype(np.int64))
    given = forced is None or (isinstance(forced, (list, tuple)) and len(forced) == len(layers))
    require(given, "forced", f"hold the synaptic input of each of {len(layers)} layers, or be None", forced)
    out = []
    for i, layer in enumerate(layers):
        group = neurons(layer.neuron.step, layer.size, fixed=fixed, seed=layer.neuron.seed, layer=layer.index)
        if forced is None:
            ran = _run_layer(group, layer, synaptic_input(layer, y))
        else:
            shape = (len(y), layer.size)
            a_in = array_of(forced[i], f"forced[{i}]")
            require(a_in.shape == shape, f"forced[{i}]", f"have shape {shape}", a_in.shape)
            require(a_in.dtype.kind in "iu", f"forced[{i}]", "hold whole counts", a_in.dtype)
            a_in = a_in.astype(np.int64)
            ran = LayerTraces(a_in, stacked([group.step(now) for now in a_in]))
        out.append(ran)
        y = outgoing(ran.traces.spike.astype(np.int64), layer.delay)
    return out


def _run_layer(group: Any, layer: Layer, a_in: np.ndarray) -> LayerTraces:
    """Run a layer under the synaptic input (T, N) from before it; what it sends itself is added in place."""
    steps, spike = [], np.zeros(layer.size, bool)
    own = LinesRun(layer.recurrent_delays, layer.size)
    weight = None if layer.weight_rec is None else np.ascontiguousarray(layer.weight_rec.T)
    for now in a_in:
        if weight is not None:
            heard = own.step(spike)
            sent = np.flatnonzero(heard)
            now += heard[sent] @ weight[sent].astype(np.int64)  # few spike; all would take N^2 products a step
        steps.append(group.step(now))
        spike = steps[-1].spike
    return LayerTraces(a_in, stacked(steps))


def synaptic_input(layer: Layer, received: np.ndarray, spikes: np.ndarray | None = None) -> np.ndarray:
    """Synaptic input of a layer at all steps at once [weight counts], with its bias.

    Parameters
    ----------
    layer : Layer
        N neurons with C inputs.
    received : (..., T, C)
        What it receives, whole numbers: for the first layer behind delay lines, what these bring.
    spikes : (..., T, N), optional
        Its own spikes, which a recurrent layer receives as well; None: without them.

    Returns
    -------
    (..., T, N)
        int64; float64 where ``received`` is and the layer has a matrix.
    """
    total = layer.weigh(received) + (0 if layer.bias is None else np.asarray(layer.bias, np.int64))
    if layer.weight_rec is None or spikes is None:
        return total
    return total + outgoing(spikes, layer.delay_rec) @ np.asarray(layer.weight_rec, np.int64).T
