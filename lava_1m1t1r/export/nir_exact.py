"""The exact network as a NIR graph, and back: same parameters, same spikes.

Weights are in units (64 counts are 1). A layer is Affine, Linear or Scale, then a neuron, then a Delay where its spikes have delays;
delay lines are a Linear of ones and a Delay after the Input. Convolutions and poolings are Affine or Linear too, expanded to matrices,
with their kernels in the metadata; so is every layer whose weights are not its matrix. Recurrence is a cycle neuron - (Delay -) Linear -
neuron. NIR has no time step: ``dt`` is in the metadata of the graph, and a field of every neuron; the names of the outputs are in the
graph's metadata as a JSON list, ``classes``, and ``neuron_version`` is that of ``.net`` files. Each layer's spikes, and each turn of a
cycle, take one step of ``dt`` beyond what the Delay nodes say, as in lava-dl.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from ..arithmetic import WEIGHT_ONE
from ..convolution import Convolution
from ..delay_lines import DELAY_LINES
from ..description import NetDescription, check_network
from ..errors import FormatError, InputError, number, require
from ..keys import VERSION, check_version
from ..layers import WEIGHTLESS, Layer, M1T1RNeuron
from .nir_node import M1T1RNode, nir

EXACT = "lava_1m1t1r exact"
_UNSTATED = 2
"""Version of the neuron in graphs that state none, as earlier ones did not."""
LINES, LINES_DELAY = "lines", "delay_lines"
"""Names of the nodes of the delay lines: the copies of each channel, and their delays."""


def to_nir(net: NetDescription) -> nir.NIRGraph:
    """The exact graph of a network of 1M1T1R neurons."""
    check_network(net, "net")
    return graph_of(net, lambda layer: (None, M1T1RNode.of(layer)), {"format": EXACT, "neuron_version": VERSION, "steps_a_layer": 1})


def graph_of(
    net: NetDescription, neurons: Callable[[Layer], tuple[np.ndarray | None, nir.NIRNode]], metadata: dict[str, Any]
) -> nir.NIRGraph:
    """The graph of a network.

    Parameters
    ----------
    net : NetDescription
    neurons : callable
        What a layer of neurons gets: a bias (N,) [units] beside its own, or None, and the node of its neurons.
    metadata : dict
        What the graph's own hold beside the network step and the names of the outputs.
    """
    nodes, edges, before = _begun(net)
    for layer in net.active:
        bias, node = (None, None) if layer.neuron is None else neurons(layer)
        weight = f"weight_{layer.index}"
        nodes[weight] = _synapse(layer, bias)
        edges.append((before, weight))
        before = weight
        if node is None:
            continue
        neuron = f"neuron_{layer.index}"
        nodes[neuron] = node
        edges.append((weight, neuron))
        _add_recurrence(nodes, edges, layer, neuron, net.stated_dt)
        before = _add_delay(nodes, edges, f"delay_{layer.index}", neuron, layer.delay, net.stated_dt)
    nodes["output"] = nir.Output(np.array([net.outputs]))
    edges.append((before, "output"))
    named = {"classes": json.dumps(net.classes)} if net.classes else {}
    return nir.NIRGraph(nodes, edges, metadata={"dt": net.stated_dt, **metadata, **named})


def _begun(net: NetDescription) -> tuple[dict[str, nir.NIRNode], list[tuple[str, str]], str]:
    """Nodes and edges before the first layer that computes, and the node that feeds it: the input, or the last one of the delay lines."""
    nodes: dict[str, nir.NIRNode] = {"input": nir.Input(np.array([net.inputs]))}
    lines = net.delay_lines
    if lines is None:
        return nodes, [], "input"
    copies = np.tile(np.eye(lines.inputs, dtype=np.float32), (lines.copies, 1))
    nodes[LINES] = nir.Linear(copies, metadata={"layer_index": lines.index})
    edges = [("input", LINES)]
    return nodes, edges, _add_delay(nodes, edges, LINES_DELAY, LINES, lines.delay, net.stated_dt)


def _lines(graph: nir.NIRGraph, dt: float) -> list[Layer]:
    if LINES not in graph.nodes:
        return []
    node = graph.nodes[LINES]
    size, channels = node.weight.shape
    steps = _steps(graph, LINES_DELAY, dt)
    delay = np.zeros(size, np.int32) if steps is None else steps
    return [Layer(int(_said(graph, LINES, "layer_index")), DELAY_LINES, (size,), channels, delay=delay)]


def _steps(graph: nir.NIRGraph, name: str, dt: float) -> np.ndarray | None:
    """Delays of a node of this name, in steps; None where there is no such node."""
    if name not in graph.nodes:
        return None
    return _rounded(np.asarray(graph.nodes[name].delay, np.float64) / dt, f"NIR node {name} delay [s]", f"be multiples of dt, {dt:g}")


def _rounded(values: np.ndarray, where: str, rule: str) -> np.ndarray:
    """Values as int32, if single precision alone has moved them off whole numbers."""
    nearest = np.rint(values)
    near = np.abs(values - nearest) <= 1e-5 * np.abs(nearest) + 1e-3
    require(bool(np.all(near & (np.abs(nearest) < 2**31))), where, rule, values[~near][:3].tolist(), error=FormatError)
    return nearest.astype(np.int32)


def _said(graph: nir.NIRGraph, name: str, key: str) -> Any:
    """Entry of a node's metadata."""
    about = graph.nodes[name].metadata
    require(key in about, f"NIR node {name} metadata", f"hold {key}", sorted(about), "Write the graph with to_nir.", error=FormatError)
    return about[key]


def _synapse(layer: Layer, bias: np.ndarray | None) -> nir.NIRNode:
    """A layer's weights in units: Linear, Affine with a bias, Scale for an input layer. ``bias`` (N,) [units] is added to its own."""
    own = None if layer.bias is None else np.asarray(layer.bias) / WEIGHT_ONE
    bias = own if bias is None else bias if own is None else own + bias
    about: dict[str, Any] = {"layer_index": layer.index, "kind": layer.kind, "shape": np.array(layer.shape)}
    if layer.kind == "input" and bias is None:
        return nir.Scale(np.full(layer.size, layer.own_weight[0] / WEIGHT_ONE, np.float32), metadata=about)
    if layer.conv is not None:
        about["sizes"] = {k: np.array(v) if isinstance(v, tuple) else int(v) for k, v in dataclasses.asdict(layer.conv).items()}
    matrix = layer.matrix()
    if layer.kind not in ("input", *WEIGHTLESS) and not np.array_equal(layer.own_weight, matrix):
        about["kernels"] = np.asarray(layer.weight)
    weight = matrix / WEIGHT_ONE
    if bias is None:
        return nir.Linear(weight.astype(np.float32), metadata=about)
    return nir.Affine(weight.astype(np.float32), bias.astype(np.float32), metadata=about)


def _add_recurrence(nodes: dict, edges: list, layer: Layer, neuron: str, dt: float) -> None:
    """Add the cycle neuron - (Delay -) Linear - neuron."""
    if layer.weight_rec is None:
        return
    recurrent = f"recurrent_{layer.index}"
    nodes[recurrent] = nir.Linear((np.asarray(layer.weight_rec) / WEIGHT_ONE).astype(np.float32))
    source = _add_delay(nodes, edges, f"recurrent_delay_{layer.index}", neuron, layer.delay_rec, dt)
    edges += [(source, recurrent), (recurrent, neuron)]


def _add_delay(nodes: dict, edges: list, name: str, source: str, steps: np.ndarray | None, dt: float) -> str:
    """Add a Delay [s] behind ``source``; returns its name, or ``source`` where all delays are 0.

    Parameters
    ----------
    nodes, edges : dict, list
        The graph; both are added to.
    name : str
        Name of the Delay.
    source : str
        Node that feeds it.
    steps : (N,) int, optional
        Delays [steps].
    dt : float
        Network step [s].
    """
    if steps is None or not np.any(steps):
        return source
    nodes[name] = nir.Delay(np.asarray(steps) * dt)
    edges.append((source, name))
    return name


def from_nir(graph: nir.NIRGraph) -> NetDescription:
    """The network of an exact graph.

    Raises
    ------
    FormatError
        If the graph was not written by :func:`to_nir`. Names node and rule.
    """
    require(isinstance(graph, nir.NIRGraph), "graph", "be a NIRGraph", graph, "Read a file with nir.read.")
    try:
        net = _described(graph)
        _check_complete(graph, net)
    except FormatError:
        raise
    except InputError as error:
        raise FormatError(f"NIR graph: {error}") from error
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:  # fields of other types or shapes
        raise FormatError(f"The NIR graph must be one that to_nir writes; {type(error).__name__}: {error}.") from error
    return net


def _described(graph: nir.NIRGraph) -> NetDescription:
    """The network that the nodes describe."""
    kind = graph.metadata.get("format")
    cure = "The portable graph holds other neurons: run it in a NIR framework."
    require(kind == EXACT, "NIR graph metadata/format", f"be {EXACT!r}", kind, cure, error=FormatError)
    check_version(graph.metadata.get("neuron_version", _UNSTATED), "NIR graph metadata/neuron_version")
    found = graph.metadata.get("dt")
    dt = number(0.0 if found is None else float(found), "NIR graph metadata/dt", above=0.0, error=FormatError)
    layers = _lines(graph, dt) + [_layer(graph, name, dt) for name in graph.nodes if name.startswith("weight_")]
    net = NetDescription(tuple(sorted(layers, key=lambda layer: layer.index)), source="a NIR graph")
    net = net.replace(classes=_classes(graph, net.outputs))
    net.check_classes("NIR graph metadata", FormatError)
    return net


def _layer(graph: nir.NIRGraph, name: str, dt: float) -> Layer:
    """The layer whose weights are in the node of this name."""
    node = graph.nodes[name]
    index, kind = int(_said(graph, name, "layer_index")), str(_said(graph, name, "kind"))
    shape = tuple(int(n) for n in _said(graph, name, "shape"))
    require(name == f"weight_{index}", f"NIR node {name}", f"be weight_{index}, as its metadata say", name, error=FormatError)
    neuron = graph.nodes.get(f"neuron_{index}")
    recurrent = graph.nodes.get(f"recurrent_{index}")
    return Layer(
        index,
        kind,
        shape,
        int(np.prod(shape)) if kind == "input" else node.weight.shape[1],
        weight=_weight(node, kind),
        conv=_sizes(node),
        weight_rec=None if recurrent is None else _counts(recurrent.weight),
        bias=_counts(node.bias) if isinstance(node, nir.Affine) else None,
        delay=_steps(graph, f"delay_{index}", dt),
        delay_rec=_steps(graph, f"recurrent_delay_{index}", dt),
        neuron=None if neuron is None else M1T1RNeuron(neuron.step, int(neuron.seed)),
    )


def _check_complete(graph: nir.NIRGraph, net: NetDescription) -> None:
    """Refuse a graph that lacks nodes or edges of the network that its nodes describe, or has others, or other weights.

    Some kinds of layer have fewer weights than their nodes, which another tool may have changed.
    """
    net.check("NIR graph", FormatError)
    complete = to_nir(net)
    dt, own = float(graph.metadata["dt"]), float(complete.metadata["dt"])
    require(abs(dt - own) <= 1e-5 * own, "NIR graph metadata/dt", f"be that of its neurons, {own:g}", dt, error=FormatError)
    for what, found, wanted in (("nodes", graph.nodes, complete.nodes), ("edges", map(tuple, graph.edges), complete.edges)):
        others = sorted(set(found) ^ set(wanted))
        require(not others, f"NIR graph {what}", "be those that to_nir writes", others[:3], error=FormatError)
    for name, node in complete.nodes.items():
        for field in {"weight", "scale"} & set(vars(node)):
            found = getattr(graph.nodes[name], field)
            equal = np.array_equal(_counts(found), _counts(getattr(node, field)))
            cure = "Change the network, and write its graph with to_nir."
            require(equal, f"NIR node {name} {field}", "hold the weights that its layer has in to_nir", found, cure, FormatError)


def _classes(graph: nir.NIRGraph, outputs: int) -> tuple[str, ...]:
    """Names of the outputs; none where the graph has none."""
    found = graph.metadata.get("classes", "[]")
    try:
        names = json.loads(found)
    except (TypeError, ValueError, RecursionError):
        names = None
    good = isinstance(names, list) and len(names) in (0, outputs) and all(isinstance(name, str) for name in names)
    require(good, "NIR graph metadata/classes", f"be a JSON list of {outputs} texts", found, error=FormatError)
    return tuple(names)


def _sizes(node: nir.NIRNode) -> Convolution | None:
    """Sizes of a convolution, which the node also holds written out."""
    if "sizes" not in node.metadata:
        return None
    sizes: dict[str, Any] = {key: np.asarray(value).tolist() for key, value in node.metadata["sizes"].items()}
    pairs: dict[str, Any] = {key: tuple(value) for key, value in sizes.items() if isinstance(value, list)}
    return Convolution(**(sizes | pairs))


def _weight(node: nir.NIRNode, kind: str) -> np.ndarray | None:
    if kind in WEIGHTLESS:
        return None
    if "kernels" in node.metadata:
        return np.asarray(node.metadata["kernels"], np.int32)
    if kind != "input":
        return _counts(node.weight)
    return _counts(np.atleast_1d(node.scale[0] if isinstance(node, nir.Scale) else node.weight[0, 0]))


def _counts(values: np.ndarray) -> np.ndarray:
    counts = np.asarray(values, np.float64) * WEIGHT_ONE
    return _rounded(counts, "NIR graph: weights and biases", f"be multiples of 1/{WEIGHT_ONE}")
