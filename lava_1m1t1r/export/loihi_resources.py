"""Resources that a network needs on a Loihi-style chip, per layer, with the limits of :mod:`.loihi_limits`; a mapping onto cores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..budget import GENERATOR_WIDTH, budget
from ..delay_lines import DELAY_LINES
from ..description import NetDescription
from ..layers import Layer
from ..sums import halved
from . import loihi_limits as limits
from .loihi_limits import Limit

CUBA_STATE_BITS = {"current": 24, "voltage": 24}
GENERATOR_WORDS = 2
"""Number of state variables that hold a neuron's noise generator, whose word is wider than one: it is only shifted and cut, as two halves
can be."""


@dataclass(frozen=True)
class LayerResources:
    """Resources that one layer of N neurons needs; synapses are those with a weight other than 0."""

    index: int
    kind: str
    neurons: int
    fan_in: int
    """Largest number of synapses onto a neuron."""
    fan_out: int
    """Largest number of synapses from a neuron of this layer, to the next layer and to itself."""
    axons_in: int
    """Number of sources of spikes: inputs, and the layer's own neurons where it is recurrent."""
    axons_out: int
    """Number of axons that leave: a neuron that feeds the next layer and its own counts twice."""
    synapses: int
    synapse_bits: int
    """Memory of the synapses [bit]: weights of 8 bits, with 6-bit delays where the layer before, or this one, has delays. Indices are left
    out, for their size is not public."""
    state_bits: int
    """Size of a neuron's state [bit]."""
    noisy: bool
    """Whether a neuron holds a noise generator."""
    variable_bits: int
    """Width of a neuron's widest state variable [bit]. A noise generator, of 32 bits, is :data:`GENERATOR_WORDS` of them."""
    constant_bits: int
    """Size of the constants [bit]: per neuron where neurons differ, per layer where they do not."""
    table_bits: int
    """Size of the layer's tables [bit]."""
    operations: int
    """Operations per neuron and step; 0 for CUBA neurons, which need no microcode of ours."""
    widest_bits: int
    """Width of the widest intermediate [bit]."""
    largest_delay: int
    core_neurons: int
    """Number of neurons in the core of the layer that holds the most."""
    core_bits: int
    """Memory of the synapses in the core of the layer that holds the most [bit]."""
    cores: int
    """Number of cores that the mapping gives the layer: whole neurons, one after the other, each core as full as all limits allow."""
    set_by: str
    """Limit that alone asks for the most cores."""
    cores_by: dict[str, int]
    """Number of cores that each limit alone asks for."""


def layer_resources(net: NetDescription) -> tuple[LayerResources, ...]:
    """Resources of each layer that computes something."""
    active = net.active
    before = (net.delay_lines, *active[:-1])  # whose delays the synapses behind hold
    resources, leaving = [], np.zeros((), int)  # synapses from each neuron to the layer behind
    for b, layer in reversed(list(zip(before, active, strict=True))):
        forward = layer.matrix() != 0  # the synapses of a convolution each for itself, as if chips could not share kernels
        resources.append(_resources(b, layer, forward, leaving))
        leaving = forward.sum(axis=0)
    return tuple(reversed(resources))


def _resources(before: Layer | None, layer: Layer, forward: np.ndarray, leaving: np.ndarray) -> LayerResources:
    own = np.zeros((layer.size, 0), bool) if layer.recurrence is None else np.asarray(layer.recurrence) != 0
    fan_in = int((forward.sum(axis=1) + own.sum(axis=1)).max())
    fan_out = leaving + (own.sum(axis=0) if own.shape[1] else 0)
    delayed = [x is not None and np.any(x) for x in (None if before is None else before.delay, layer.delay_rec)]
    bits = sum(part.sum(axis=1, dtype=np.int64) * (8 + 6 * bool(late)) for part, late in zip((forward, own), delayed, strict=True))
    cost = None if layer.step is None else budget(layer.step, layer.size)
    states = cost.state_bits if cost else CUBA_STATE_BITS if layer.neuron is not None else {}
    words = [-(-width // (GENERATOR_WORDS if name == "generator" else 1)) for name, width in states.items()]
    axons_in = layer.inputs + own.shape[1]
    axons_each = 1 + bool(own.shape[1])
    most = {limits.NEURONS.name: limits.NEURONS.value, limits.AXONS_OUT.name: limits.AXONS_OUT.value // axons_each}
    cores_by = {name: -(-layer.size // neurons) for name, neurons in most.items()}
    cores_by[limits.SYNAPSE_BITS.name] = len(_filled(bits, layer.size))
    filled = _filled(bits, min(most.values()))
    set_by = max(cores_by, key=lambda name: cores_by[name])
    lines = before.delay if before is not None and before.kind == DELAY_LINES else None
    delays = [0 if d is None else int(np.max(d)) for d in (layer.delay, layer.delay_rec, lines)]
    return LayerResources(
        index=layer.index,
        kind=layer.kind,
        neurons=layer.size,
        fan_in=fan_in,
        fan_out=int(np.max(fan_out, initial=0)),
        axons_in=axons_in,
        axons_out=layer.size * axons_each,
        synapses=int(forward.sum() + own.sum()),
        synapse_bits=int(bits.sum()),
        core_neurons=max(held for held, _ in filled),
        core_bits=max(own for _, own in filled),
        state_bits=sum(states.values()),
        noisy="generator" in states,
        variable_bits=max(words, default=0),
        constant_bits=sum(cost.constant_bits.values()) if cost else 0,
        table_bits=sum(cost.table_bits.values()) if cost else 0,
        operations=sum(cost.operations.values()) if cost else 0,
        widest_bits=cost.widest_bits if cost else 24,
        largest_delay=max(delays),
        cores=len(filled),
        set_by=set_by,
        cores_by=cores_by,
    )


def _filled(bits: np.ndarray, most: int) -> list[tuple[int, int]]:
    """Neurons, and bits of synaptic memory, in each core that a layer takes, whose neurons need so many bits each: whole neurons, one after
    the other, at most so many in a core."""
    cores = [(0, 0)]
    for own in bits.tolist():
        held, taken = cores[-1]
        if held and (held == most or taken + own > limits.SYNAPSE_BITS.value):
            cores.append((0, 0))
            held, taken = 0, 0
        cores[-1] = (held + 1, taken + own)
    return cores


def verdicts(net: NetDescription, layers: tuple[LayerResources, ...], chips: int) -> list[dict[str, Any]]:
    """Every limit and the layer that comes nearest to it.

    Parameters
    ----------
    net : NetDescription
        The network.
    layers : tuple of LayerResources
        What :func:`layer_resources` returns for it.
    chips : int
        Chips that the network may take.

    Returns
    -------
    list of dict
        ``limit``, ``value``, ``unit``, ``needed``, ``kept``, ``assumed``, ``source``, ``layer`` (None: the network).
    """
    rows = [_row(limits.CORES, sum(x.cores for x in layers), None, chips)]
    for limit, needs in (
        (limits.NEURONS, [x.core_neurons for x in layers]),
        (limits.AXONS_IN, [x.axons_in for x in layers]),
        (limits.AXONS_OUT, [x.core_neurons * x.axons_out // x.neurons for x in layers]),
        (limits.SYNAPSE_BITS, [x.core_bits for x in layers]),
        (limits.DELAY, [x.largest_delay for x in layers]),
        (limits.STATE_BITS, [x.variable_bits for x in layers]),
        (limits.MULTIPLY_BITS, [x.widest_bits for x in layers]),
        (limits.WEIGHT_BITS, [max(weight_bits(w) for w in (x.summed, x.weight_rec)) for x in net.active]),
        (limits.BIAS_BITS, [0 if x.bias is None else signed_bits(x.bias) for x in net.active]),
    ):
        worst = int(np.argmax(needs))
        rows.append(_row(limit, int(needs[worst]), layers[worst].index))
    return rows


def weight_bits(weight: np.ndarray | None) -> int:
    """Bits of the mantissa that weights take, with their sign: of even ones, which have an exponent of 1, those of the halves."""
    return 0 if weight is None else signed_bits(halved(np.asarray(weight))[0])


def signed_bits(values: np.ndarray) -> int:
    """Bits of two's complement that hold all of these whole numbers; none where all are 0."""
    if not np.any(values):
        return 0
    low, high = int(np.min(values)), int(np.max(values))
    return 1 + max(max(high, 0).bit_length(), max(-low - 1, 0).bit_length())


def _row(limit: Limit, needed: int, layer: int | None, times: int = 1) -> dict[str, Any]:
    return {
        "limit": limit.name,
        "value": limit.value * times,
        "unit": limit.unit,
        "needed": needed,
        "kept": needed <= limit.value * times,
        "assumed": limit.assumed,
        "source": limit.source,
        "layer": layer,
    }


def generators(layers: tuple[LayerResources, ...]) -> list[str]:
    """Sentence about the noise generators that take more than one state variable, where there are any."""
    noisy = ", ".join(str(x.index) for x in layers if x.noisy)
    bits = GENERATOR_WIDTH // GENERATOR_WORDS
    sentence = (
        f"The noise generators of layers {noisy} have {GENERATOR_WIDTH} bits, more than the {limits.STATE_BITS.value} of a state variable: "
        f"each takes {GENERATOR_WORDS} of {bits} bits, and a draw, counted as one operation, shifts across them."
    )
    return [sentence] if noisy else []


def table(layers: tuple[LayerResources, ...], rows: list[dict[str, Any]]) -> str:
    """Resources and limits as plain text."""
    columns = {"neurons": 8, "fan-in": 8, "fan-out": 8, "synapses": 10, "kbit": 8, "state": 7, "operations": 11, "cores": 6}
    lines = [f"{'layer':<16}" + "".join(f"{name:>{width}}" for name, width in columns.items()) + "  set by"]
    for x in layers:
        numbers = (
            f"{x.neurons:>8}{x.fan_in:>8}{x.fan_out:>8}{x.synapses:>10}{x.synapse_bits / 1e3:>8.0f}{x.state_bits:>7}{x.operations:>11}"
        )
        lines.append(f"{x.index:>3} {x.kind:<12}{numbers}{x.cores:>6}  {x.set_by}")
    lines += ["", "kbit: synaptic memory of the layer. state: bits a neuron. operations: of a neuron and network step.", ""]
    for sentence in generators(layers):
        lines += [sentence, ""]
    for row in rows:
        where = "network" if row["layer"] is None else f"layer {row['layer']}"
        mark = "kept  " if row["kept"] else "BROKEN"
        basis = "assumed: " if row["assumed"] else ""
        lines.append(f"{mark} {row['limit']}: needs {row['needed']:,} of {row['value']:,} {row['unit']} ({where}; {basis}{row['source']})")
    return "\n".join(lines) + "\n"
