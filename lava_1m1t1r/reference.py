"""The network step as plain numpy: slow, readable, and the arbiter of every faster realisation."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import dynamics, noise
from .arithmetic import ACT_SHIFT, FIXED_ARRAY, FLOAT_ARRAY
from .dynamics import State
from .errors import require
from .program import PER_NEURON, FixedProgram, StepParams, input_counts


class Traces(NamedTuple):
    """Everything a layer did. Arrays (T, N)."""

    spike: np.ndarray  # bool: the gate rose above the threshold
    turn_on: np.ndarray  # bool: the filament closed
    filament: np.ndarray  # at the end of the step
    residue: np.ndarray
    gate: np.ndarray


def widened(program: FixedProgram) -> FixedProgram:
    """The program with 64-bit constants: numpy would overflow in 32 where the compiled loops widen by themselves."""
    return program._replace(**{name: np.asarray(getattr(program, name), np.int64) for name in PER_NEURON})


def run(params: StepParams, a_in: Any, *, fixed: bool = True, seed: int = 0, layer: int = 0) -> Traces:
    """Run N neurons from rest through T network steps.

    Parameters
    ----------
    params : StepParams
        Device and step; arrays in the device must have N values.
    a_in : (T, N) int
        Synaptic input in 1/64 of a unit, as integer weights times spikes add up.
    fixed : bool
        Integers (states in register counts) or floating point (states in shares of the gap and volt).
    seed, layer : int
        Of the neurons' generators; only stochastic devices draw from them.

    Returns
    -------
    Traces of (T, N)
    """
    a_in = np.asarray(a_in)
    require(a_in.ndim == 2 and a_in.dtype.kind in "iu", "a_in", "be an integer array (T, N)", (a_in.dtype, a_in.shape))
    steps, size = a_in.shape
    noisy = bool(np.any(params.device.sigma1) or np.any(params.device.sigma2))
    generator = noise.start(seed, layer, size)
    if fixed:
        p, ops, zero = widened(params.fixed(size)), FIXED_ARRAY, np.zeros(size, np.int64)
        v_in = input_counts(a_in.astype(np.int64), params.v_max_count)
    else:
        p, ops, zero = params.floating(size), FLOAT_ARRAY, np.zeros(size)
        v_in = np.clip(a_in / (1 << ACT_SHIFT) * params.v_unit, 0.0, params.v_in_max)
    s = State(zero, zero, zero)
    out = Traces(*(np.zeros((steps, size), bool) for _ in range(2)), *(np.zeros((steps, size), zero.dtype) for _ in range(3)))
    for t in range(steps):
        for _ in range(params.substeps):
            grown = dynamics.grow(s, v_in[t], p, ops)
            if noisy:
                first = noise.draw(generator)
                generator = noise.draw(first)
                grown = dynamics.jitter(s, grown, (first, generator), p, ops)
            s, fired, closed = dynamics.settle(s, grown, v_in[t], p, ops)
            out.spike[t] |= fired
            out.turn_on[t] |= closed
        out.filament[t], out.residue[t], out.gate[t] = s
    return out
