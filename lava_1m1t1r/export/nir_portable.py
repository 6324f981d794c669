"""The portable NIR graph: CubaLIF neurons fitted to the 1M1T1R neurons, and our own simulation of this graph, for comparison."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..answers import answers
from ..arithmetic import WEIGHT_ONE
from ..delay_lines import MAX_DELAY, outgoing
from ..description import NetDescription
from ..fast import Result
from ..layers import Layer
from ..reference_network import synaptic_input
from .cuba_fit import CubaFit, distance, fit, run_cuba
from .nir_exact import graph_of
from .nir_node import nir

PORTABLE = "lava_1m1t1r portable"
IN_NETWORK = "of each layer in the running network"
"""Name, among what is measured, of the distances of all layers when each is fed what the fitted one before it sends."""


class Portable(NamedTuple):
    """A fitted network."""

    graph: nir.NIRGraph
    fits: dict[int, CubaFit]  # by layer index
    loss: dict[str, Any]  # measured on the frames


def to_portable(net: NetDescription, frames: np.ndarray, exact: Result, delays: bool = True, seed: int = 0) -> Portable:
    """Fit each layer of neurons under the inputs that it has in the exact network, then measure the whole.

    Parameters
    ----------
    net : NetDescription
        Of 1M1T1R neurons.
    frames : (B, T, C) int
        Samples on which to fit and to measure.
    exact : Result
        What the network does on them, its layers' spikes recorded.
    delays : bool
        Whether to write Delay nodes; few NIR frameworks read them. Left out, what that costs is in the measured loss.
    seed : int
        Seed of the search.
    """
    fits, losses, received = {}, {}, net.arriving(np.asarray(frames, np.int64))
    for layer, record in zip(net.active, exact.layers, strict=True):
        if record.spikes is not None:
            a_in = synaptic_input(layer, received, record.spikes)
            fits[layer.index], losses[f"layer {layer.index}"] = fit(a_in / WEIGHT_ONE, record.spikes, seed)
        received = record.out.astype(np.int64)
    if not delays:
        net = _undelayed(net)
    neurons = {x.index: (fits[x.index].bias, _node(x, fits[x.index], losses[f"layer {x.index}"])) for x in net.active if x.index in fits}
    graph = graph_of(net, lambda layer: neurons[layer.index], {"format": PORTABLE, "integration": "forward Euler with dt"})
    return Portable(graph, fits, {"of each layer under its true input (0 equal, 1 silence)": losses} | _measure(net, fits, frames, exact))


def _undelayed(net: NetDescription) -> NetDescription:
    """Network without delays: a channel's delay lines become one input with the sum of their weights."""
    lines, layers = net.delay_lines, []
    for layer in net.active:
        if lines is not None and layer is net.active[0]:
            matrix = layer.matrix()
            weight = matrix.reshape(layer.size, -1, lines.inputs).sum(1)
            kind = layer.kind if matrix is layer.weight else "affine" if layer.neuron is None else "dense"  # what is left is a matrix
            layer = layer.replace(kind=kind, inputs=lines.inputs, weight=weight, conv=None)
        layers.append(layer.replace(delay=None, delay_rec=None))
    return net.replace(layers=tuple(layers))


def run_portable(net: NetDescription, fits: dict[int, CubaFit], frames: np.ndarray) -> list[np.ndarray]:
    """Run the fitted network as NIR frameworks do: spikes pass forward within a step, around a cycle in the next.

    Parameters
    ----------
    net : NetDescription
        The exact network, for weights and delays.
    fits : dict of int to CubaFit
        Fitted neurons, by the index of their layer.
    frames : (B, T, C)
        Spike counts.

    Returns
    -------
    list of (B, T, N)
        Spikes of every layer of neurons, and the sums of a readout [units].
    """
    outputs: list[np.ndarray] = []
    received = net.arriving(np.asarray(frames, np.float64))
    for layer in net.active:
        total = synaptic_input(layer, received) / WEIGHT_ONE
        if layer.neuron is None:
            outputs.append(total)
            continue
        f = fits[layer.index]
        if layer.weight_rec is None:
            spike = np.empty(total.shape, np.int8)
            run_cuba(total, *f, spike)
        else:
            spike = _run_recurrent(layer, f, total)
        outputs.append(spike)
        received = outgoing(spike, layer.delay, after=0)
    return outputs


def _run_recurrent(layer: Layer, f: CubaFit, total: np.ndarray) -> np.ndarray:
    batch, steps, size = total.shape
    silent = MAX_DELAY + 1  # steps of silence that come first
    past = np.zeros((batch, steps + silent, size))
    i, v = np.zeros((batch, size)), np.zeros((batch, size))
    weight = np.asarray(layer.weight_rec).T / WEIGHT_ONE
    back = 1 + layer.recurrent_delays
    for t in range(steps):
        i = f.alpha * i + total[:, t] + f.bias + past[:, t + silent - back, np.arange(size)] @ weight
        v = f.beta * v + i
        past[:, t + silent] = v > f.threshold
        v[v > f.threshold] = 0.0
    return past[:, silent:].astype(np.int8)


def _measure(net: NetDescription, fits: dict[int, CubaFit], frames: np.ndarray, exact: Any) -> dict[str, Any]:
    """Compare the free-running fitted network with the exact one."""
    outputs = run_portable(net, fits, frames)
    layers = [(x, o, r) for x, o, r in zip(net.active, outputs, exact.layers, strict=True) if x.neuron is not None]
    loss: dict[str, Any] = {}
    distances, ratios = {}, {}
    for depth, (layer, spike, record) in enumerate(layers):
        moved = outgoing(spike, after=depth)  # the exact network takes a step a layer
        distances[f"layer {layer.index}"] = distance(moved, record.spikes)
        ratios[f"layer {layer.index}"] = float(spike.sum() / max(1, int(record.spikes.sum())))
    loss[IN_NETWORK] = distances
    loss["spikes, portable / exact"] = ratios
    last = net.active[-1]
    out = outputs[-1] if last.neuron is None else outgoing(outputs[-1], last.delay, after=0)  # behind its Delay, as in the graph
    ours, theirs = answers(out), answers(exact.out)
    silent = [f"layer {layer.index}" for layer, _, record in layers if not record.spikes.any()]
    if silent:
        loss["layers that are silent on these frames, and so not fitted"] = ", ".join(silent)
    loss["samples with the same largest output"] = f"{int((ours == theirs).sum())} of {len(ours)}"
    return loss


def _node(layer: Layer, f: CubaFit, loss: float) -> nir.CubaLIF:
    def full(value: Any) -> np.ndarray:
        return np.full(layer.size, value, np.float64)

    step = layer.m1t1r.step
    dt = step.dt
    exact: dict[str, Any] = {name: full(value) for name, value in step.device.as_dict().items()}
    exact |= {"substeps": step.substeps, "v_unit": step.v_unit, "v_in_max": step.v_in_max, "seed": layer.m1t1r.seed}
    # r and w_in make forward Euler with dt add the input as it is: what snnTorch asks for.
    return nir.CubaLIF(
        tau_syn=full(dt / (1 - f.alpha)),
        tau_mem=full(dt / (1 - f.beta)),
        r=full(1 / (1 - f.beta)),
        v_leak=full(0.0),
        v_threshold=full(f.threshold),
        v_reset=full(0.0),
        w_in=full(1 / (1 - f.alpha)),
        metadata={"1m1t1r": exact, "dt": dt, "fit_loss": loss},
    )
