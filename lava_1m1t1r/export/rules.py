"""Requirements on a network that targets share: small functions, each named as the sentence it checks, and lists of them.

What one target alone requires stands beside it, with its whole list, ``RULES``.

A rule raises :class:`.InputError` naming layer, rule, value and remedy. All rules of a target run before anything is written
(:func:`accepted`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from ..delay_lines import DELAY_LINES
from ..description import NetDescription
from ..errors import require, require_each
from ..layers import Layer, M1T1RNeuron
from ..netx.schema import described
from ..sums import require_8_bits
from .output import check_folder, place

Rule = Callable[[NetDescription], None]
MAX_LAYER = 1 << 16
"""Largest number of neurons in a layer of the integer targets, which number neurons with 16 bits."""
MAX_MATRIX = 1 << 24
"""Largest number of weights of a layer of another kind that is written out as a matrix."""


def accepted(net: str | os.PathLike | NetDescription, out_dir: str | os.PathLike, rules: Iterable[Rule]) -> NetDescription:
    """Return the network, of a file or as it is, that a target takes by its rules, of which the first broken one raises, for a folder that
    its export may fill."""
    check_folder(out_dir)
    net = described(net)
    # a former export's, whose files are removed; a source that names no file may be any text
    lost = os.path.isfile(net.source) and place(out_dir).resolve() in Path(net.source).resolve().parents
    require(not lost, "output folder", "not hold the network's file, which would be lost", net.source, "Name another folder, or move it.")
    for rule in rules:
        rule(net)
    return net


def neurons_are_1m1t1r(net: NetDescription) -> None:
    """The target holds one neuron model."""
    for layer in net.active:
        own = layer.neuron is None or isinstance(layer.neuron, M1T1RNeuron)
        cure = "Deploy CUBA layers with target loihi."
        require(own, net.at(layer), "hold 1M1T1R neurons for this target", type(layer.neuron).__name__, cure)


def a_layer_of_neurons_states_the_step(net: NetDescription) -> None:
    """Nothing is exported whose time step is unknown."""
    _ = net.stated_dt


def sizes_fit_sixteen_bits(net: NetDescription) -> None:
    """Neuron numbers are 16-bit."""
    for layer in net.active:
        largest = max(layer.inputs, layer.size)
        require(largest <= MAX_LAYER, net.at(layer, "shape"), f"have at most {MAX_LAYER} inputs and outputs", largest, "Split the layer.")


def layers_may_be_written_out(net: NetDescription) -> None:
    """The targets know matrices only: a convolution, a pooling or an average of N neurons and C inputs becomes one of N C weights."""
    for layer in net.active:
        if layer.conv is not None or layer.kind == "average":
            fits_a_matrix(net, layer)


def fits_a_matrix(net: NetDescription, layer: Layer) -> None:
    """Refuse a layer that would be too large as a matrix."""
    weights = layer.size * layer.inputs
    other = "fewer channels" if layer.kind == DELAY_LINES else "a smaller layer"
    smaller = f"Use {other}" if layer.conv is None else "Use a larger stride, pool first"
    cure = f"{smaller}, or run the network in Lava or on the fast path."
    require(weights <= MAX_MATRIX, net.at(layer, "weight"), f"fill a matrix of at most {MAX_MATRIX} weights", weights, cure)


def weights_are_whole_numbers_of_eight_bits(net: NetDescription) -> None:
    """Those of :data:`.sums.WEIGHT_RULE`: what lava-dl's quantisation gives."""
    for layer in net.active:
        for key, weight in (("weight", layer.summed), ("weight_rec", layer.weight_rec)):
            if weight is not None:
                require_8_bits(weight, net.at(layer, key))


def biases_fit_sixteen_bits(net: NetDescription) -> None:
    """A larger one is a mistake: 2^15 counts are 512 units."""
    for layer in net.active:
        if layer.bias is not None:
            fits = np.abs(layer.bias) < 1 << 15
            require_each(fits, net.at(layer, "bias"), "be below 2^15 in magnitude", layer.bias, "Biases are counts of 1/64 unit.")


def the_library_can_run_it(net: NetDescription) -> None:
    """Kinds are known, layers fit each other, and arrays their layers: whatever is exported is what the fast path runs."""
    net.check(net.source or "network")


def neurons_have_devices_the_fixed_point_step_can_hold(net: NetDescription) -> None:
    """Rates, tables and registers fit; the error is that of :meth:`.StepParams.fixed`."""
    for layer in net.active:
        if layer.step is not None:
            layer.step.fixed(layer.size)


SHAPES: tuple[Rule, ...] = (
    the_library_can_run_it,
    sizes_fit_sixteen_bits,
    layers_may_be_written_out,
    weights_are_whole_numbers_of_eight_bits,
    biases_fit_sixteen_bits,
)
INTEGERS: tuple[Rule, ...] = (
    *SHAPES,
    neurons_are_1m1t1r,
    a_layer_of_neurons_states_the_step,
    neurons_have_devices_the_fixed_point_step_can_hold,
)
