"""The network step of a layer's neurons in plain numpy: slow, readable, and the reference ("arbiter") for every faster implementation.

:class:`CompiledNeurons` are the same neurons, run by the compiled kernels: for many steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from . import dynamics, kernels, noise
from .arithmetic import FIXED_ARRAY, FLOAT_ARRAY
from .cached import cached
from .dynamics import State
from .errors import array_of, counted, flag, require
from .program import PER_NEURON, FixedProgram, StepParams
from .tables import input_counts, input_volts

# Other compiled loops take these functions in; called from Python, they are loaded from files of their own.
_fixed_layer_step, _float_step = (cached(loop.py_func) for loop in (kernels.fixed_layer_step, kernels.float_step))


class Traces(NamedTuple):
    """Spikes, turn-ons and states of a layer. Arrays (T, N)."""

    spike: np.ndarray  # bool: the gate rose above the threshold
    turn_on: np.ndarray | None  # bool: the filament closed; None: not seen
    filament: np.ndarray  # at the end of the step
    residue: np.ndarray
    gate: np.ndarray


def stacked(steps: Sequence[Traces]) -> Traces:
    """Traces of (N,) arrays, one per step, joined to one of (T, N) arrays."""
    return Traces._make(None if parts[0] is None else np.stack(parts) for parts in zip(*steps, strict=True))


def widened(program: FixedProgram) -> FixedProgram:
    """The program with 64-bit constants: numpy would overflow in 32 where the compiled loops widen by themselves."""
    return program._replace(**{name: np.asarray(getattr(program, name), np.int64) for name in PER_NEURON})


class NeuronGroup(ABC):
    """N neurons of a layer, advanced one network step at a time.

    Parameters
    ----------
    params : StepParams
        Device and step; arrays in the device must have N values.
    size : int
        N.
    fixed : bool
        Integers (states in register counts) or floating point (states in shares of the gap and volt).
    seed, layer : int
        Start of the neurons' generators; only stochastic devices draw from them.
    """

    _wide: ClassVar[bool]  # whether the integers have 64 bits, or 32

    def __init__(self, params: StepParams, size: int, *, fixed: bool = True, seed: int = 0, layer: int = 0) -> None:
        require(isinstance(params, StepParams), "params", "be a StepParams", params)
        self.params, self.fixed = params, flag(fixed, "fixed")
        if not (fixed or self._wide):
            params.check_reach()
        program = params.fixed(size) if fixed else params.floating(size)
        self.program = widened(program) if isinstance(program, FixedProgram) and self._wide else program
        self.noisy, self.alike = params.device.noisy, isinstance(program, FixedProgram) and program.alike
        self._first = noise.start(seed, layer, size)
        self.reset()

    def reset(self) -> None:
        """Put the neurons to rest and their generators to the start."""
        kind = np.float64 if not self.fixed else np.int64 if self._wide else np.int32
        self.state = State(*(np.zeros(self._first.size, kind) for _ in State._fields))
        self.generator = self._first.copy()

    @abstractmethod
    def step(self, a_in: np.ndarray) -> Traces:
        """Advance by one network step under (N,) synaptic inputs; returns Traces of (N,) arrays."""

    def run(self, a_in: np.ndarray) -> Traces:
        """Step from rest under the synaptic inputs (T, N); returns Traces of (T, N) arrays."""
        self.reset()
        return stacked([self.step(now) for now in a_in])


class Neurons(NeuronGroup):
    """The arbiter: numpy, in the equations' own order."""

    _wide = True

    def step(self, a_in: np.ndarray) -> Traces:
        """Advance by one network step under (N,) synaptic inputs; returns Traces of (N,) arrays."""
        if self.fixed:
            ops, v_in = FIXED_ARRAY, input_counts(np.asarray(a_in, np.int64), self.params.v_max_count)
        else:
            ops, v_in = FLOAT_ARRAY, input_volts(a_in, self.params.v_unit, self.params.v_in_max)
        draws = noise.pairs(self.generator, self.params.substeps) if self.noisy else None
        self.state, fired, closed = dynamics.step(self.state, v_in, self.program, ops, self.params.substeps, draws)
        if draws:
            self.generator = draws[-1][1]
        return Traces(np.any(fired, axis=0), np.any(closed, axis=0), *self.state)


class CompiledNeurons(NeuronGroup):
    """The same neurons by the compiled kernels; these do not report turn-ons."""

    _wide = False

    def step(self, a_in: np.ndarray) -> Traces:
        """Advance by one network step under (N,) synaptic inputs; returns Traces of (N,) arrays, with ``turn_on`` None."""
        return Traces._make(part if part is None else part[0] for part in self._steps(a_in[None]))

    def run(self, a_in: np.ndarray) -> Traces:
        """Step from rest under the synaptic inputs (T, N); returns Traces of (T, N) arrays, with ``turn_on`` None."""
        self.reset()
        return self._steps(a_in)

    def _steps(self, a_in: np.ndarray) -> Traces:
        size = self._first.size  # the kernels write beyond arrays of other sizes
        require(np.shape(a_in)[1:] == (size,), "a_in", f"have {counted(size, 'neuron')}: (T, {size})", np.shape(a_in))
        # row by row in memory, whatever the given array is: the kernels read a step's inputs as neighbours
        if isinstance(self.program, FixedProgram):
            v_in = input_counts(np.ascontiguousarray(a_in, np.int64), self.params.v_max_count).astype(np.int32)
        else:
            v_in = input_volts(np.ascontiguousarray(a_in, np.float64), self.params.v_unit, self.params.v_in_max)
        spike = np.empty(v_in.shape, np.int32)
        states = State(*(np.empty(v_in.shape, own.dtype) for own in self.state))
        for t, now in enumerate(v_in):
            if isinstance(self.program, FixedProgram):
                kinds = self.noisy, self.alike
                _fixed_layer_step(*self.state, self.generator, now, self.program, self.params.substeps, *kinds, spike[t])
            else:
                _float_step(*self.state, self.generator, self.noisy, now, self.program, self.params.substeps, spike[t])
            for kept, own in zip(states, self.state, strict=True):
                kept[t] = own
        return Traces(spike != 0, None, *states)


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
        Start of the neurons' generators; only stochastic devices draw from them.

    Returns
    -------
    Traces of (T, N)
    """
    a_in = array_of(a_in, "a_in")
    require(a_in.ndim == 2 and a_in.size and a_in.dtype.kind in "iu", "a_in", "be an integer array (T, N)", (a_in.dtype, a_in.shape))
    return Neurons(params, a_in.shape[1], fixed=fixed, seed=seed, layer=layer).run(a_in)
