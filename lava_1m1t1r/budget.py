"""Cost of one neuron in fixed point, counted by running the equations of :mod:`.dynamics` on numbers that count their operations.

:class:`Number` behaves like a signed integer of unlimited width that reports each operation done on it to a :class:`Tally`; it refuses
any operation outside the contract of ``FIXED_POINT.md`` (division, power, conversion to float, a branch on its value). No count is
written down here: a change of the equations changes it.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import dynamics
from .arithmetic import (
    ACT_SHIFT,
    DECAY_BITS,
    GAIN_BITS,
    ONE,
    REGISTER_BITS,
    STRETCH_BITS,
    FixedPrimitives,
    fixed_arithmetic,
    unpack,
)
from .dynamics import State
from .errors import require, whole
from .noise import MOST_NEURONS
from .program import PER_NEURON, SCALARS, TABLES, FixedProgram, StepParams
from .reference import widened
from .tables import SLOWEST_DECAY, input_counts

KINDS = ("add", "subtract", "multiply", "shift", "compare", "select", "table read", "bits", "lfsr")
"""Kinds of operation that the fixed-point neuron uses. ``bits`` cuts a word (its low bits, its bytes); ``lfsr`` is one draw of the
generator."""

_DECAY_SHIFT = SLOWEST_DECAY.bit_length()
WIDTHS = {
    "stretch": STRETCH_BITS + 1,
    "gain": GAIN_BITS + 1,
    "growth_shift": 8,
    "filament_decay": DECAY_BITS,
    "filament_shift": _DECAY_SHIFT,
    "residue_decay": DECAY_BITS,
    "residue_shift": _DECAY_SHIFT,
    "transfer": DECAY_BITS,
    "transfer_shift": _DECAY_SHIFT,
    "gate_decay": DECAY_BITS,
    "gate_shift": _DECAY_SHIFT,
    "v_th": REGISTER_BITS - 1,
    "noise_filament": 18,
    "noise_residue": 18,
}
"""Widths that hold any valid value of a neuron's constants [bit] (``growth_shift`` signed, the others unsigned)."""

GENERATOR_WIDTH = 32
_NOISE_ONLY = ("noise_filament", "noise_residue", "root")


class Tally:
    """Operations by kind, the widest result in bits (signed), and what it was."""

    def __init__(self) -> None:
        self.operations = dict.fromkeys(KINDS, 0)
        self.widest = 0
        self.widest_kind = ""

    def count(self, kind: str, value: int) -> Number:
        """Book one operation and wrap its result."""
        self.operations[kind] += 1
        width = value.bit_length() + 1 if value >= 0 else (-value - 1).bit_length() + 1
        if width > self.widest:
            self.widest, self.widest_kind = width, kind
        return Number(value, self)


def _plain(value: Any) -> int:
    return value.value if isinstance(value, Number) else int(value)


class Number:
    """A signed integer that counts what is done to it."""

    __slots__ = ("tally", "value")
    __hash__: Any = None

    def __init__(self, value: int, tally: Tally) -> None:
        self.value = int(value)
        self.tally = tally

    def __add__(self, other: Any) -> Number:
        return self.tally.count("add", self.value + _plain(other))

    __radd__ = __add__

    def __sub__(self, other: Any) -> Number:
        return self.tally.count("subtract", self.value - _plain(other))

    def __rsub__(self, other: Any) -> Number:
        return self.tally.count("subtract", _plain(other) - self.value)

    def __mul__(self, other: Any) -> Number:
        return self.tally.count("multiply", self.value * _plain(other))

    __rmul__ = __mul__

    def __lshift__(self, other: Any) -> Number:
        return self.tally.count("shift", self.value << _plain(other))

    def __rlshift__(self, other: Any) -> Number:
        return self.tally.count("shift", _plain(other) << self.value)

    def __rshift__(self, other: Any) -> Number:
        return self.tally.count("shift", self.value >> _plain(other))

    def __and__(self, other: Any) -> Number:
        return self.tally.count("bits", self.value & _plain(other))

    __rand__ = __and__

    def __lt__(self, other: Any) -> Condition:
        return self._compared(self.value < _plain(other))

    def __le__(self, other: Any) -> Condition:
        return self._compared(self.value <= _plain(other))

    def __gt__(self, other: Any) -> Condition:
        return self._compared(self.value > _plain(other))

    def __ge__(self, other: Any) -> Condition:
        return self._compared(self.value >= _plain(other))

    def _compared(self, holds: bool) -> Condition:
        self.tally.operations["compare"] += 1
        return Condition(holds, self.tally)

    def __bool__(self) -> bool:
        raise TypeError("the fixed-point neuron must not branch on a value; use select")


class Condition:
    """The outcome of a comparison: good for a select and for joining with another."""

    __slots__ = ("holds", "tally")

    def __init__(self, holds: bool, tally: Tally) -> None:
        self.holds = bool(holds)
        self.tally = tally

    def __and__(self, other: Condition) -> Condition:
        self.tally.operations["select"] += 1
        return Condition(self.holds and other.holds, self.tally)

    def __or__(self, other: Condition) -> Condition:
        self.tally.operations["select"] += 1
        return Condition(self.holds or other.holds, self.tally)

    def __bool__(self) -> bool:
        raise TypeError("the fixed-point neuron must not branch on a condition; use select")


def counting_arithmetic(tally: Tally) -> Any:
    """Fixed-point substep on counting numbers: the ``ops`` of :func:`.dynamics.grow` and the functions after it."""

    def select(condition: Condition, a: Any, b: Any) -> Number:
        return tally.count("select", _plain(a) if condition.holds else _plain(b))

    def read(table: np.ndarray, index: Number) -> Any:
        place = _plain(index)
        if not 0 <= place < table.size:
            raise IndexError(f"table of {table.size} entries read at {place}")
        tally.operations["table read"] += 1
        return table[place]

    def columns(entry: Any) -> tuple[Number, ...]:  # part of the read, not an operation
        return tuple(Number(int(column), tally) for column in unpack(entry))

    def times(a: Any, b: Any) -> Number:
        for factor in (_plain(a), _plain(b)):
            if not 0 <= factor < 1 << 32:
                raise OverflowError(f"factor {factor} is not in [0, 2^32)")
        return tally.count("multiply", _plain(a) * _plain(b))

    return fixed_arithmetic(FixedPrimitives(select, read, times, lambda f: f, columns=columns))


def counting_program(program: FixedProgram, n: int, tally: Tally) -> FixedProgram:
    """Return the constants of neuron n as counting numbers, and the tables as they are."""
    own = {name: Number(int(getattr(program, name)[n]), tally) for name in PER_NEURON}
    return program._replace(**own, **{name: Number(getattr(program, name), tally) for name in SCALARS})


def step(state: State, a_in: int, program: FixedProgram, params: StepParams, n: int, draws: Any, tally: Tally) -> tuple[State, bool]:
    """One network step of neuron n on counting numbers.

    Parameters
    ----------
    state : State of int
        Register counts.
    a_in : int
        Synaptic input in 1/64 unit.
    program, params
        The layer's, of ``params.fixed(N)``.
    n : int
        Which neuron.
    draws : iterable of (int, int), or None
        The generator's two draws for each substep; None for a deterministic neuron.
    tally : Tally
        Where to book.

    Returns
    -------
    State of int, bool
        The state afterwards, and whether it spiked.
    """
    ops, p = counting_arithmetic(tally), counting_program(program, n, tally)
    booked = None if draws is None else [tuple(tally.count("lfsr", draw) for draw in pair) for pair in draws]
    s = State(*(Number(x, tally) for x in state))
    v_in = input_counts(Number(a_in, tally), params.v_max_count, ops)
    s, fired, _closed = dynamics.step(s, v_in, p, ops, params.substeps, booked)
    return State(*(x.value for x in s)), functools.reduce(operator.or_, fired).holds


def table_widths(table: np.ndarray) -> tuple[int, ...]:
    """Bits that the columns base, step and exponent of a packed table need (0: the column is all zero)."""
    widths = []
    for column, signed in zip(unpack(table), (False, True, True), strict=True):
        low, high = int(column.min()), int(column.max())
        width = max(max(high, 0).bit_length(), (-low - 1).bit_length() if low < 0 else 0)
        widths.append(width + 1 if signed and width else width)
    return tuple(widths)


@dataclass(frozen=True)
class Budget:
    """Cost of the fixed-point neuron. Print it, or take :meth:`as_dict`."""

    substeps: int
    noisy: bool
    neurons: int
    operations: dict[str, int]
    """Operations per neuron and network step, by kind."""
    state_bits: dict[str, int]
    """Width of each state of a neuron [bit]."""
    constant_bits: dict[str, int]
    """Width of each constant of a neuron [bit]."""
    tables: dict[str, tuple[int, int, int, int]]
    """Tables of a layer by name: entries, and widths of the columns base, step, exponent [bit]."""
    widest_bits: int
    """Widest intermediate of any neuron seen at the corners of the state space, signed [bit]."""
    widest_kind: str
    """Kind of the operation whose result is the widest."""

    @property
    def table_bits(self) -> dict[str, int]:
        """Size of each table of a layer [bit]."""
        return {name: entries * sum(columns) for name, (entries, *columns) in self.tables.items()}

    @property
    def layer_bits(self) -> int:
        """Size of the states and constants of all neurons and of the layer's tables [bit]."""
        return self.neurons * (sum(self.state_bits.values()) + sum(self.constant_bits.values())) + sum(self.table_bits.values())

    def as_dict(self) -> dict[str, Any]:
        """Return all numbers by name, for JSON."""
        return {**dataclasses.asdict(self), "table_bits": self.table_bits, "layer_bits": self.layer_bits}

    def __str__(self) -> str:
        kind = "stochastic" if self.noisy else "deterministic"
        operations = ", ".join(f"{n} {kind}" for kind, n in self.operations.items() if n)
        tables = "; ".join(
            f"{name} {entries} x {'+'.join(str(c) for c in columns if c)}" for name, (entries, *columns) in self.tables.items()
        )
        return "\n".join(
            [
                f"one {kind} neuron and network step of {self.substeps} substeps: {sum(self.operations.values())} operations",
                f"  {operations}",
                f"  widest intermediate {self.widest_bits} bits ({self.widest_kind})",
                f"state {sum(self.state_bits.values())} bits a neuron: " + _listed(self.state_bits),
                f"constants {sum(self.constant_bits.values())} bits a neuron: " + _listed(self.constant_bits),
                f"tables {sum(self.table_bits.values())} bits a layer, entries x (base + step + exponent): {tables}",
                f"layer of {self.neurons}: {self.layer_bits} bits",
            ]
        )


def _listed(bits: dict[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in bits.items())


def budget(params: StepParams, neurons: int = 1) -> Budget:
    """Count operations, bits and the widest intermediate of the fixed-point neuron.

    Parameters
    ----------
    params : StepParams
        Device and step.
    neurons : int
        Size of the layer.

    Returns
    -------
    Budget
    """
    require(isinstance(params, StepParams), "params", "be StepParams", params)
    neurons = whole(neurons, "neurons", least=1, most=MOST_NEURONS)
    program = params.fixed(neurons)
    noisy = params.device.noisy
    top = params.v_max_count
    lengths = ((0, 0), (ONE, 0), (0, ONE), (ONE // 2, ONE // 2), (ONE - 1, 0))
    gates, inputs = (0, top << ACT_SHIFT), (0, top >> ACT_SHIFT, 1 << 24)
    corners = [(State(*length, gate), a_in) for length, gate, a_in in itertools.product(lengths, gates, inputs)]
    draws = [(0, 0xFFFFFFFF)] * params.substeps if noisy else None
    n = 0 if program.alike else _of_largest_products(corners, program, params, draws)
    tally = Tally()
    for state, a_in in corners:
        tally.operations = dict.fromkeys(KINDS, 0)
        step(state, a_in, program, params, n, draws, tally)
    states = dict.fromkeys(State._fields, REGISTER_BITS)
    return Budget(
        substeps=params.substeps,
        noisy=noisy,
        neurons=neurons,
        operations=tally.operations,
        state_bits={**states, "generator": GENERATOR_WIDTH} if noisy else states,
        constant_bits={name: width for name, width in WIDTHS.items() if noisy or name not in _NOISE_ONLY},
        tables={
            name: (getattr(program, name).size, *table_widths(getattr(program, name)))
            for name in TABLES
            if noisy or name not in _NOISE_ONLY
        },
        widest_bits=tally.widest,
        widest_kind=tally.widest_kind,
    )


def _of_largest_products(corners: list[tuple[State, int]], program: FixedProgram, params: StepParams, draws: Any) -> int:
    """Which neuron of a layer needs the widest products: all of them together, on arrays, for one by one they would take minutes."""
    largest = np.zeros(len(program.gain), np.int64)

    def times(a: Any, b: Any) -> Any:
        product = a * b
        np.maximum(largest, product, out=largest)
        return product

    ops, wide = fixed_arithmetic(FixedPrimitives(np.where, lambda table, i: table[i], times, lambda f: f)), widened(program)
    for state, a_in in corners:
        states = State(*(np.full(largest.size, x, np.int64) for x in state))
        dynamics.step(states, input_counts(np.int64(a_in), params.v_max_count, ops), wide, ops, params.substeps, draws)
    return int(largest.argmax())
