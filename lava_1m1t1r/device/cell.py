"""State of one device that the integrator keeps between steps, and the arrays that it records to."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..compiled import compiled, inlined
from ..dynamics import State
from .circuit import node_step
from .constants import resistance

PHASES = ("integration", "spike", "refractory")
"""Phases of a spike: the gate has not yet passed ``v_th``; is above it; is below it again and still above a tenth of it."""
ELEMENTS = ("memristor", "control resistor", "transistor", "load resistor", "gate capacitor", "load capacitor")
"""Elements between which the energy of the two sources is divided. Resistive elements dissipate it; the entries of capacitors are the
stored energy gained."""
_MEMRISTOR, _CONTROL, _TRANSISTOR, _LOAD, _GATE_STORE, _LOAD_STORE = range(len(ELEMENTS))
INPUT_BRANCH = ("memristor", "control resistor", "gate capacitor")
"""Elements that the input source feeds; the supply feeds the others."""

CELL = np.dtype(
    [(name, np.float64) for name in (*State._fields, "node", "step")]
    + [(name, np.float64) for name in ("mu", "v0")]  # of the present filament, where they are drawn; else 0
    + [("random", np.uint64), ("steps", np.int64), ("tried", np.int64), ("events", np.int64), ("sample", np.int64), ("phase", np.int64)]
    + [*((name, np.bool_) for name in ("closed", "ruptured", "rested", "stalled")), ("energy", np.float64, (len(PHASES), len(ELEMENTS)))]
)

SPIKE, TURN_ON = 0, 1
QUANTITIES = ("filament", "residue", "gate_voltage", "resistance", "current", "output_voltage", "input_current")
"""Names of the quantities that can be recorded at every sample."""
_FILAMENT, _RESIDUE, _GATE, _RESISTANCE, _CURRENT, _OUTPUT = range(len(QUANTITIES) - 1)


class Sink(NamedTuple):
    """Arrays for one device's samples and events."""

    dt: float  # s between samples
    wanted: np.ndarray  # (R,) indices into QUANTITIES
    samples: np.ndarray  # (R, T, N)
    times: np.ndarray  # (capacity,) s; what does not fit is counted, not written
    kinds: np.ndarray  # (capacity,) SPIKE or TURN_ON


@compiled
def note(cell: Any, sink: Sink, time: float, kind: int) -> None:
    """Record an event."""
    if cell.events < sink.times.size:
        sink.times[cell.events] = time
        sink.kinds[cell.events] = kind
    cell.events += 1


class Cubic(NamedTuple):
    """Course of a quantity over a step: the cubic with the values and slopes of both ends."""

    a: float  # value at the beginning
    da: float  # slope there, per second
    b: float  # at the end
    db: float
    h: float  # length of the step [s]


class Part(NamedTuple):
    """A part of a step, and the gate voltages at its ends [V]."""

    begin: float  # share of the step
    end: float
    gate: float
    there: float


@compiled
def between(course: Cubic, u: float) -> float:
    """Value at share ``u`` of the step, 0 to 1."""
    a, da, b, db, h = course
    w = 1.0 - u
    return w * w * ((1.0 + 2.0 * u) * a + u * h * da) + u * u * ((3.0 - 2.0 * u) * b - w * h * db)


@compiled
def crossing(course: Cubic, level: float) -> float:
    """Share of the step at which the course passes ``level``, which it does once; by bisection."""
    low, high = 0.0, 1.0
    for _ in range(40):
        u = 0.5 * (low + high)
        if (between(course, u) > level) == (course.b > level):
            high = u
        else:
            low = u
    return 0.5 * (low + high)


@compiled
def sample(sink: Sink, k: int, n: int, filament: float, residue: float, gate: float, node: float, v_in: float, p: Any) -> None:
    """Write one sample of a device.

    Parameters
    ----------
    sink : Sink
        Where samples go.
    k, n : int
        Numbers of the sample and of the device.
    filament, residue : float
        Lengths [1].
    gate, node, v_in : float
        Gate, drain and input voltage [V].
    p : record of :func:`.constants.constants`
        The device.
    """
    for i in range(sink.wanted.size):
        what = sink.wanted[i]
        if what == _FILAMENT:
            value = filament
        elif what == _RESIDUE:
            value = residue
        elif what == _GATE:
            value = gate
        elif what == _RESISTANCE:
            value = resistance(filament + residue, p)
        elif what == _CURRENT:
            value = (p.v_dd - node) / p.r_load
        elif what == _OUTPUT:
            value = node
        else:
            value = (v_in - gate) / resistance(filament + residue, p)
        sink.samples[i, k, n] = value


_SWING, _SHORTEST = 0.01, 1e-9
"""Largest change of the output node's voltage in one piece of a step, as a share of V_dd, and shortest such piece, as a share of the
step."""


@compiled
def _node_piece(node: float, course: Cubic, u: float, piece: float, p: Any) -> tuple:
    """Piece of a step from share ``u`` on, ``piece`` or the part of it in which a loaded output node moves little, and its voltage then."""
    new = _node_after(node, course, u, piece, p)
    while abs(new - node) > _SWING * p.v_dd and piece > _SHORTEST:  # the transistor empties the node within nanoseconds
        piece *= 0.25
        new = _node_after(node, course, u, piece, p)
    return piece, new


@compiled
def _node_after(node: float, course: Cubic, u: float, piece: float, p: Any) -> float:
    """Voltage of a loaded output node after a piece of a step: implicit Euler, extrapolated from one step and two, within the supply."""
    half, there = 0.5 * piece * course.h, between(course, u + piece)
    two = node_step(node_step(node, between(course, u + 0.5 * piece), half, p), there, half, p)
    return min(max(2.0 * two - node_step(node, there, 2.0 * half, p), 0.0), p.v_dd)


@compiled
def _after(u: float, piece: float, end: float) -> float:
    return u + piece if u + piece < end * (1.0 - 1e-12) else end


@compiled
def node_later(node: float, course: Cubic, begin: float, end: float, p: Any) -> float:
    """Voltage of a loaded output node [V] at share ``end`` of a step, from that at share ``begin``."""
    u, piece = begin, end - begin
    while u < end:
        piece, node = _node_piece(node, course, u, min(piece, end - u), p)
        u = _after(u, piece, end)
        piece *= 2.0
    return node


@compiled
def account(cell: Any, course: Cubic, v_in: float, p: Any) -> None:
    """Add up the energies of one step that has just been taken, and advance the output node.

    The step is cut where the gate passes ``v_th``, a tenth of it or the transistor's threshold, so that each part belongs to one phase
    and the transistor is on or off throughout.

    Parameters
    ----------
    cell : record of :data:`CELL`
        The device after the step.
    course : Cubic
        Of the gate voltage [V] over it.
    v_in : float
        Input voltage [V].
    p : record of :func:`.constants.constants`
        The device.
    """
    old_gate, new, tenth = course.a, course.b, 0.1 * p.v_th
    if (old_gate > p.v_th) == (new > p.v_th) and (old_gate > tenth) == (new > tenth) and (old_gate > p.v_t) == (new > p.v_t):
        _account_part(cell, course, Part(0.0, 1.0, old_gate, new), v_in, p)
        return
    begin, gate = 0.0, old_gate
    while begin < 1.0:
        end, there = 1.0, new
        for level in (p.v_th, tenth, p.v_t):
            if (old_gate > level) != (new > level) and gate != level and (gate > level) == (old_gate > level):
                u = crossing(course, level)
                if begin < u < end:
                    end, there = u, level
        _account_part(cell, course, Part(begin, end, gate, there), v_in, p)
        begin, gate = end, there


@inlined
def _account_part(cell: Any, course: Cubic, part: Part, v_in: float, p: Any) -> None:
    """Add up the energies of a part of a step.

    The charge through R_c and its heat are integrals of the step's cubic in V_gs; what the memristor turns into heat follows from
    the balance of the gate node, so that nothing is lost between the elements.
    """
    begin, end, gate, there = part
    h = course.h
    middle = between(course, 0.5 * (begin + end))
    if middle > p.v_th:
        cell.phase = 1
    elif cell.phase == 1:
        cell.phase = 2
    elif cell.phase == 2 and middle < 0.1 * p.v_th:
        cell.phase = 0
    length = (end - begin) * h
    charge = length / 6.0 * (gate + 4.0 * middle + there) / p.r_control
    heat = length / 6.0 * (gate * gate + 4.0 * middle * middle + there * there) / p.r_control
    stored = 0.5 * p.c_gate * (there * there - gate * gate)
    energy = cell.energy[cell.phase]
    energy[_MEMRISTOR] += v_in * (p.c_gate * (there - gate) + charge) - heat - stored
    energy[_CONTROL] += heat
    energy[_GATE_STORE] += stored
    off = middle <= p.v_t
    if off and cell.node == p.v_dd:
        return
    before = cell.node
    supplied = load = 0.0
    if off:  # the load resistor charges the node
        cell.node = node_step(before, 0.0, length, p)
        supplied = p.c_load * (cell.node - before)
        load = p.v_dd * supplied - 0.5 * p.c_load * (cell.node * cell.node - before * before)
    elif p.c_load == 0.0:
        cell.node = node_step(before, there, length, p)
        # The branch switches within a step: as many intervals as its voltage moves fifths of the supply.
        pieces = 1 + int(5.0 * abs(cell.node - before) / p.v_dd)
        start = p.v_dd - before
        for i in range(pieces):
            half = between(course, begin + (end - begin) * (i + 0.5) / pieces)
            full = between(course, begin + (end - begin) * (i + 1.0) / pieces)
            drop = p.v_dd - node_step(before, half, length, p)
            last = p.v_dd - node_step(before, full, length, p)
            supplied += length / (6.0 * pieces) * (start + 4.0 * drop + last) / p.r_load
            load += length / (6.0 * pieces) * (start * start + 4.0 * drop * drop + last * last) / p.r_load
            start = last
    else:
        u, piece = begin, end - begin
        while u < end:
            piece, node = _node_piece(cell.node, course, u, min(piece, end - u), p)
            first, last = p.v_dd - cell.node, p.v_dd - node
            supplied += 0.5 * piece * h * (first + last) / p.r_load
            load += piece * h / 3.0 * (first * first + first * last + last * last) / p.r_load
            u = _after(u, piece, end)
            piece *= 2.0
            cell.node = node
    kept = 0.5 * p.c_load * (cell.node * cell.node - before * before)
    energy[_TRANSISTOR] += p.v_dd * supplied - load - kept
    energy[_LOAD] += load
    energy[_LOAD_STORE] += kept
