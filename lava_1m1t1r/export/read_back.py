"""Whether a network that was read back is the one that was written."""

from __future__ import annotations

import numpy as np

from ..description import NetDescription
from ..layers import Layer, M1T1RNeuron
from ..program import INTEGER_FIELDS


def same(a: NetDescription, b: NetDescription) -> bool:
    """Whether two networks do the same in integers: equal computing layers, weights, delays, neurons, seeds, and names of their outputs.

    No delay equals delays of 0. ``StepParams.held`` may differ: it is about floating point alone, and ``.net`` files do not keep it.
    """
    x, y = a.delay_lines, b.delay_lines
    alike = x is y if x is None or y is None else (x.inputs, x.size) == (y.inputs, y.size) and np.array_equal(x.own_delay, y.own_delay)
    if len(a.active) != len(b.active) or not alike or a.classes != b.classes:
        return False
    return all(_same_layer(x, y) for x, y in zip(a.active, b.active, strict=True))


def _same_layer(x: Layer, y: Layer) -> bool:
    # without recurrent weights nothing is delayed on its way to them
    arrays = ("weight_rec", "bias", "delay", *(("delay_rec",) if _empty_if_zero(x.weight_rec).size else ()))
    if (x.index, x.kind, x.shape, x.inputs, x.conv) != (y.index, y.kind, y.shape, y.inputs, y.conv):
        return False
    pairs = [(_full_weight(x), _full_weight(y)), *((getattr(x, k), getattr(y, k)) for k in arrays)]
    return all(np.array_equal(_empty_if_zero(a), _empty_if_zero(b)) for a, b in pairs) and _same_neuron(x, y)


def _full_weight(layer: Layer) -> np.ndarray | None:
    """Its weights; of a convolution those of all kernels, also where one stands for several."""
    return layer.weight if layer.weight is None or layer.conv is None else layer.conv.full(layer.weight)


def _same_neuron(x: Layer, y: Layer) -> bool:
    a, b = x.neuron, y.neuron
    if not isinstance(a, M1T1RNeuron) or not isinstance(b, M1T1RNeuron):
        return type(a) is type(b) and (
            a is None or all(np.all(np.equal(u, v)) for u, v in zip(vars(a).values(), vars(b).values(), strict=True))
        )
    if any(getattr(a.step, k) != getattr(b.step, k) for k in INTEGER_FIELDS) or a.seed != b.seed:
        return False
    devices = zip(a.step.device.as_dict().values(), b.step.device.as_dict().values(), strict=True)
    return all(np.all(np.equal(u, v)) for u, v in devices)


def _empty_if_zero(values: np.ndarray | None) -> np.ndarray:
    return np.zeros(0) if values is None or not np.any(values) else np.asarray(values)
