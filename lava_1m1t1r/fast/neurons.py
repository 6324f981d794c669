"""States and constants of a layer's neurons, as NamedTuples of arrays, and one network step of each kind of neuron.

``advance(neuron, current, spike)`` steps all neurons of a layer in place: ``current`` (N,) int32 is the synaptic input in weight counts
(1/64), of Lava's floating-point model float64; ``spike`` (N,) int32 becomes 0 or 1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import overload

from .. import noise
from .._support import aligned
from ..arithmetic import ACT_SHIFT, DECAY_BITS, DECAY_ONE
from ..compiled import compiled, filled, load, named, plain, read, repeated, store
from ..kernels import fixed_layer_step, fixed_silent_step, float_step, input_count, input_volt
from ..program import FixedProgram, FloatProgram, StepParams

STATES, CUBA_STATES = ("filament", "residue", "v_gate"), ("u", "v")
"""Names of the neurons' states: of the Vars of their Lava Processes, and in records of runs."""


class FixedM1T1R(NamedTuple):
    """1M1T1R neurons in register counts."""

    state: Any  # filament, residue, gate: (N,) int32
    generator: Any  # (N,) int64
    v_in: Any  # (N,) int32, scratch
    program: FixedProgram  # as a plain tuple
    v_max: int
    substeps: int
    noisy: bool
    alike: bool


class FloatM1T1R(NamedTuple):
    """1M1T1R neurons in volt and shares of the gap."""

    state: Any  # filament, residue, gate: (N,) float64
    generator: Any
    v_in: Any  # (N,) float64, scratch
    program: FloatProgram  # as a plain tuple
    v_unit: float
    v_in_max: float
    substeps: int
    noisy: bool


class Cuba(NamedTuple):
    """Lava's LIF in fixed point."""

    state: Any  # u, v: (N,) int32
    current_kept: Any  # (N,) int32, of 4096
    voltage_kept: Any
    bias: Any  # (N,) int32, to the voltage, aligned with it
    threshold: int  # aligned with the voltage


def m1t1r(step: StepParams, size: int, seed: int, layer: int, floating: bool, fill: bool = False) -> FixedM1T1R | FloatM1T1R:
    """Neurons at rest, with fresh generators.

    Parameters
    ----------
    step : StepParams
        Device and step; arrays in the device must have ``size`` values.
    size : int
        Number of neurons.
    seed, layer : int
        Start of the generators.
    floating : bool
        Whether in floating point.
    fill : bool
        Whether to fill the layer up with neurons that get no input, to a multiple of :data:`..compiled.LANES`.
    """
    if floating:
        step.check_reach()
    noisy = step.device.noisy
    generator = noise.start(seed, layer, size)
    program: Any = step.floating(size) if floating else step.fixed(size)
    if fill:
        size = filled(size)
        program, generator = program.filled(size), repeated(generator, size)
    kind = np.float64 if floating else np.int32
    *state, v_in = aligned.rows(4, size, kind)
    if floating:
        return FloatM1T1R(tuple(state), generator, v_in, plain(program), step.v_unit, step.v_in_max, step.substeps, noisy)
    return FixedM1T1R(tuple(state), generator, v_in, plain(program), step.v_max_count, step.substeps, noisy, program.alike)


def cuba(current_decay: Any, voltage_decay: Any, threshold: int, bias: Any, size: int) -> Cuba:
    """CUBA neurons at rest, filled up with neurons that get no input.

    Parameters
    ----------
    current_decay, voltage_decay : int or (size,) int
        Share lost in a step, in 1/4096.
    threshold : int
        Threshold [weight counts].
    bias : (size,) int, optional
        Bias, added to the voltage every step [weight counts].
    size : int
        Number of neurons.
    """
    kept = [np.broadcast_to(DECAY_ONE - np.asarray(d, np.int32), (size,)) for d in (current_decay, voltage_decay)]
    shifted = aligned.zeros(filled(size), np.int32)
    if bias is not None:
        shifted[:size] = np.asarray(bias, np.int32) << ACT_SHIFT
    size = filled(size)
    u, v = (repeated(values, size) for values in kept)
    return Cuba(aligned.rows(2, size, np.int32), u, v, shifted, int(threshold) << ACT_SHIFT)


def fresh(neuron: Any) -> Any:
    """Return the same neurons with a copy of their memory as it is now: for one more sample at the same time."""
    if isinstance(neuron, Cuba):
        return neuron._replace(state=aligned.copies(neuron.state))
    *state, v_in = aligned.copies((*neuron.state, neuron.v_in))
    return neuron._replace(state=tuple(state), v_in=v_in, generator=neuron.generator.copy())


@compiled
def _advance_fixed(neuron, current, spike):
    largest = 0
    for n in range(spike.size):
        v_in = input_count(load(current, n), neuron.v_max)
        store(neuron.v_in, n, v_in)
        largest |= v_in
    filament, residue, gate = neuron.state
    p, substeps = neuron.program, neuron.substeps
    if largest == 0 and not neuron.noisy:
        for n in range(spike.size):
            store(spike, n, 0)
        fixed_silent_step(filament, residue, gate, p, substeps)
    else:
        fixed_layer_step(filament, residue, gate, neuron.generator, neuron.v_in, p, substeps, neuron.noisy, neuron.alike, spike)


@compiled
def _advance_float(neuron, current, spike):
    for n in range(spike.size):
        neuron.v_in[n] = input_volt(current[n], neuron.v_unit, neuron.v_in_max)
    filament, residue, gate = neuron.state
    float_step(filament, residue, gate, neuron.generator, neuron.noisy, neuron.v_in, neuron.program, neuron.substeps, spike)


_HALF = 1 << 23  # Loihi's states have 24 bits


@compiled
def _toward_zero(product):
    # Lava shifts magnitudes: decays round toward zero.
    return (abs(product) >> DECAY_BITS) * (1 if product > 0 else -1)


@compiled
def _advance_cuba(neuron, current, spike):
    u, v = neuron.state
    for n in range(spike.size):
        # In Lava's 32 bits, which graded input may leave.
        new = np.int32(_toward_zero(load(u, n) * read(neuron.current_kept, n)) + (load(current, n) << ACT_SHIFT))
        # Lava wraps what leaves 24 bits, with its own edges: 2^23 stays, -2^23 wraps.
        if new > _HALF:
            new -= 2 * _HALF
        elif new <= -_HALF:
            new += 2 * _HALF
        store(u, n, new)
        volt: Any = np.int32(_toward_zero(load(v, n) * read(neuron.voltage_kept, n)) + new + read(neuron.bias, n))
        volt = min(max(volt, 1 - _HALF), _HALF - 1)
        fired = volt > neuron.threshold
        store(v, n, 0 if fired else volt)
        store(spike, n, 1 if fired else 0)


def neurons(values):
    """NamedTuple of neurons that were given as a plain tuple (:func:`..compiled.plain`). Called from compiled code only."""
    raise NotImplementedError("neurons is compiled")


@overload(neurons)
def _choose_neurons(values):
    states = values[0]
    floating = isinstance(states[0].dtype, types.Float)
    kind: type = Cuba if len(states) == len(CUBA_STATES) else FloatM1T1R if floating else FixedM1T1R
    return lambda values: named(kind, values)


def advance(neuron, current, spike):
    """One network step of a layer, in place; see the module. Called from compiled code only."""
    raise NotImplementedError("advance is compiled")


@overload(advance)
def _choose_advance(neuron, current, spike):
    if not isinstance(neuron, types.NamedTuple):
        return None
    kind = neuron.instance_class
    if kind is FixedM1T1R:
        return lambda neuron, current, spike: _advance_fixed(neuron, current, spike)
    if kind is FloatM1T1R:
        return lambda neuron, current, spike: _advance_float(neuron, current, spike)
    if kind is Cuba:
        return lambda neuron, current, spike: _advance_cuba(neuron, current, spike)
    return None
