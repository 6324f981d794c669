"""A network lowered to the integers that C and RTL are generated from: int8 weights, tables, initial states of the random generators."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import noise
from ..description import NetDescription
from ..layers import Layer
from ..program import TABLES, FixedProgram
from ..sums import SumBounds, halved


@dataclass(frozen=True, eq=False)
class PlanLayer:
    """One layer in integers. C inputs, N outputs."""

    index: int
    """Index of the layer in the file; it starts the generators."""
    kind: str
    """Type of the layer in the file."""
    inputs: int
    """Number of inputs, C."""
    outputs: int
    """Number of outputs, N."""
    weight: np.ndarray
    """Weights (N, C), int8 in steps of ``2**weight_shift`` counts; (1,) for an input layer without recurrence, one weight for all its
    channels."""
    weight_shift: int
    """Left shift from stored weights to counts, 0 or 1: quantised weights of mixed sign are even, and their last bit need not be stored."""
    weight_rec: np.ndarray | None
    """Recurrent weights (N, N), int8 in steps of ``2**rec_shift`` counts; None without recurrence."""
    rec_shift: int
    """Left shift from stored recurrent weights to counts, 0 or 1."""
    bias: np.ndarray | None
    """Bias (N,) int32 [counts]; None without one."""
    delay: np.ndarray
    """Delay of each neuron's outgoing spikes, (N,) uint8 [steps], beyond the step that every layer takes."""
    delay_rec: np.ndarray
    """Delay of each neuron's recurrent spikes, (N,) uint8 [steps], beyond the step that every recurrence takes."""
    program: FixedProgram | None
    """Constants and tables of the neurons; None: a readout, whose output is the weighted sum."""
    substeps: int
    """Substeps of a network step."""
    v_max: int
    """Largest input voltage, in counts of v_in."""
    generator: np.ndarray | None
    """First states of the noise generators, (N,) int64; None for a deterministic layer."""
    seed: int
    """Seed of the noise generators."""
    sums: SumBounds
    """Bounds of the synaptic input ``a_in`` [counts]."""

    @property
    def name(self) -> str:
        """Name of the layer for reports: ``layer 1 (dense_rec, 700 -> 128)``."""
        return f"layer {self.index} ({self.kind}, {self.inputs} -> {self.outputs})"

    @property
    def single(self) -> bool:
        """Whether neuron n is fed by channel n alone, all with the same weight."""
        return self.weight.ndim == 1

    @property
    def noisy(self) -> bool:
        """Whether the neurons draw random numbers."""
        return self.generator is not None

    @property
    def tables(self) -> dict[str, np.ndarray]:
        """Packed tables that the neurons read, by name; what only noise reads is left out of quiet layers."""
        needed = (name for name in TABLES if self.program is not None and (name != "root" or self.noisy))
        return {name: np.ascontiguousarray(getattr(self.program, name)) for name in needed}

    @property
    def history(self) -> int:
        """Number of steps for which a neuron's spikes are remembered: its longest delay, and the step that every spike takes."""
        return int(max(self.delay.max(initial=0), self.delay_rec.max(initial=0))) + 1


@dataclass(frozen=True, eq=False)
class Plan:
    """A chain of layers in integers."""

    layers: tuple[PlanLayer, ...]
    dt: float
    """Network step [s]."""
    source: str
    """Name of the network's file, for headings."""
    channels: int
    """Number of channels of an input frame, C."""
    lines: np.ndarray | None
    """Delays (K C,) uint8 of the lines that bring the channels to the first layer, line n channel ``n mod C``; None without delay lines."""
    classes: tuple[str, ...]
    """Names of the outputs; empty where they have none."""

    @property
    def inputs(self) -> int:
        """Number of inputs of the first layer: channels, or delay lines."""
        return self.layers[0].inputs

    @property
    def outputs(self) -> int:
        """Number of values of an output frame."""
        return self.layers[-1].outputs

    @property
    def widest(self) -> int:
        """Number of neurons, or sums, of the largest layer."""
        return max(layer.outputs for layer in self.layers)

    @property
    def spiking(self) -> bool:
        """Whether the output is spikes; otherwise weighted sums."""
        return self.layers[-1].program is not None


def plan(net: NetDescription) -> Plan:
    """Lower a network that keeps the rules of an integer target."""
    lines = None if net.delay_lines is None else np.asarray(net.delay_lines.own_delay, np.uint8)
    name = Path(net.source).name or "a network in memory"
    name = "".join(c if c.isascii() and c.isprintable() else "?" for c in name)  # it stands in comments of C and Verilog
    return Plan(tuple(_lower(layer) for layer in net.active), net.stated_dt, name, net.inputs, lines, net.classes)


def _lower(layer: Layer) -> PlanLayer:
    n = layer.size
    own = layer.recurrence
    single = layer.kind == "input" and own is None  # recurrent weights are rows behind those of the inputs
    weight, weight_shift = narrow(layer.own_weight if single else layer.matrix())
    weight_rec, rec_shift = (None, 0) if own is None else narrow(own)
    step = layer.step
    return PlanLayer(
        index=layer.index,
        kind=layer.kind,
        inputs=layer.inputs,
        outputs=n,
        weight=weight,
        weight_shift=weight_shift,
        weight_rec=weight_rec,
        rec_shift=rec_shift,
        bias=None if layer.bias is None else np.asarray(layer.bias, np.int32),
        delay=layer.axonal_delays.astype(np.uint8),
        delay_rec=layer.recurrent_delays.astype(np.uint8),
        program=None if step is None else step.fixed(n),
        substeps=1 if step is None else step.substeps,
        v_max=0 if step is None else step.v_max_count,
        generator=noise.start(layer.m1t1r.seed, layer.index, n) if layer.noisy else None,
        seed=layer.m1t1r.seed if layer.noisy else 0,
        sums=layer.sums(),
    )


def narrow(weight: np.ndarray) -> tuple[np.ndarray, int]:
    """Weights [counts] as int8, and the left shift that brings them back; a rule has checked that they fit."""
    weight, shift = halved(np.asarray(weight, np.int64))
    return np.ascontiguousarray(weight.astype(np.int8)), shift
