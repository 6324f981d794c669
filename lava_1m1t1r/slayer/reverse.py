"""The hand-written backward step of the neuron, defined once: compiled loops and torch tensors both run these lines.

The forward pass is integer (:mod:`..kernels`). The backward pass is real-valued: each step is computed again in floating point from the
integer states stored at its start, and differentiated through all three states. Rounding and tables are treated as the identity
(straight-through). Noise is treated as added between steps. Seven derivatives differ from those of the equations:

spike
    The gate jumps when the total length ``x`` reaches 1, so a spike is treated as ``H(x_hat - 1)``, where ``x_hat = filament + residue`` is
    the length before saturation, the largest (the first of equals) of the step's substeps in which the gate was not above the threshold.
    The derivative of the step function ``H`` is ``scale_grad / (1 + |x_hat - 1| / tau_grad)^2``.
charge
    The fraction ``c(x)`` of its swing that the gate covers is treated as ``reset_grad * H(x_hat - 1)``, with the same derivative. The swing
    is taken as that of a closed filament, at least 0, even where the filament is still open: closing would cause this swing.
growth over voltage
    The true slope falls by ``e`` every ``v0`` below the turn-on and explodes above it. It is bounded to ``[grow_floor * slope of
    a growth that just closes the gap under lasting drive, grow_cap * slope of a growth that closes it within one step]``, the second never
    below the first. These growths are ``lost (1 + alpha)^2 / 4`` and ``1 / substeps`` per substep, ``lost`` the share that a filament loses
    in one; the slope of a growth ``E`` is taken as ``E / v0``, for the linear law as ``E / v_ref``.
growth over length
    Bounded by the fraction that the filament loses in a substep, so that backwards in time a filament is at most a perfect
    integrator: the runaway growth before a turn-on does not make gradients explode.
growth at its limit
    Where a substep's growth is cut at 2 gaps, both slopes stay as they are without the cut.
residue at its limit
    Where the residue is cut at 1, the cut is treated as the identity.
input below the gate
    Where the gate blocks the input, growth does not depend on the gate, but the input still receives the slope of growth over voltage at
    no drive, within its bounds, so that silent neurons can learn.

The clip of the input to ``[0, v_in_max]`` is treated as the identity inside and as ``clip_grad`` times the identity outside.

For learned device parameters (:func:`over_constants`), the same step is differentiated with respect to the device's constants, with the
same replacements; the bounds above are treated as constant.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..compiled import repeated
from ..dynamics import State


class GradientProgram(NamedTuple):
    """Constants of one substep of the backward pass. (N,) real unless said otherwise; made by :func:`.surrogate.gradient_program`."""

    growth: Any  # gain of the field law [1], of the linear one [1/V]
    rate: Any  # 1 / v0 [1/V]; 0 for the linear law
    shift: Any  # v_ref / v0
    mirror: Any  # exp(-2 v_ref / v0)
    filament_kept: Any
    filament_lost: Any
    residue_kept: Any
    transfer: Any
    gate_kept: Any
    v_th: Any  # [V]
    slope_floor: Any  # bounds of the growth's slope over the voltage [1/V]
    slope_cap: Any
    alpha: Any  # from here on scalars
    per_lam: Any  # 1 / lam
    r_on: Any
    r_off: Any  # r_off / (1 - exp(-1 / lam)) [ohm]
    substep_per_c: Any  # [ohm]
    drop: Any  # (64,) field at which the filament lets go, at the knots over the residue [V]
    drop_slope: Any  # (64,) change to the next knot [V]
    segments: Any  # 64
    width: Any  # 1 / tau_grad
    scale: Any  # scale_grad
    reset: Any  # reset_grad
    zero: Any
    half: Any
    one: Any
    most: Any  # growth saturates here

    def filled(self, size: int, times: int) -> GradientProgram:
        """Return the program for ``size`` neurons: these repeated ``times`` in turn, then the last one again."""
        return self._replace(**{name: repeated(getattr(self, name), size, times) for name in PER_NEURON})


PER_NEURON = GradientProgram._fields[:12]


class Ops(NamedTuple):
    """Operations that the lines below are built from, besides arithmetic and comparison."""

    select: Callable  # select(condition, a, b)
    law: Callable  # law(d, q): growth at a gap of 1, and its slope over the voltage
    growth: Callable  # as growth() below
    exp: Callable
    knot: Callable  # knot(u, q): segment of the drop curve, and the share of it below u
    read: Callable  # read(table, index)


def field_law(linear: bool, exp: Callable, compiled: Callable = lambda function: function) -> Callable:
    """``law`` of :class:`Ops`, of the linear or the hyperbolic field law.

    Parameters
    ----------
    linear : bool
        Whether the devices have the linear law.
    exp : callable
        As in :class:`Ops`, but never 0, by which the law divides.
    compiled : callable
        What makes it an operation of the same kind.
    """

    def straight(d: Any, q: GradientProgram) -> tuple:
        return q.growth * d, q.growth

    def bent(d: Any, q: GradientProgram) -> tuple:
        rising = exp(d * q.rate - q.shift)
        falling = q.mirror / rising
        return q.growth * (rising - falling), q.growth * q.rate * (rising + falling)

    return compiled(straight if linear else bent)


class Local(NamedTuple):
    """A substep's local derivatives: everything its reverse needs."""

    early_v: Any  # growth at the start, over the voltage [1/V]
    early_x: Any  # and over the length
    late_v: Any  # growth at the predicted end
    late_x: Any
    step: Any  # derivative of H(x_hat - 1)
    length: Any  # x_hat where the gate may fire, else -1
    open: Any  # 1 where the drive is not blocked by the gate
    yields: Any  # 1 where the filament yields to the residue (saturated)
    below: Any  # 1 where the filament alone is below 1
    charge: Any  # share of the gate's way to the input, 0 where there is no way to go
    way: Any  # gate's way to go if the filament closes [V]
    drop_slope: Any  # 0 where it is open [V]
    filament: Any  # from here on what only the derivatives over the constants need: states at the start
    residue: Any
    gate: Any
    mean: Any  # filament that turns into residue, the mean over the substep
    early: Any  # growths
    late: Any
    charged: Any  # gate after charging [V]


VALUES = Local._fields[-7:]


class Rise(NamedTuple):
    """Local derivatives of a substep's first half, by their names in :class:`Local`."""

    early_v: Any
    early_x: Any
    late_v: Any
    late_x: Any
    open: Any
    below: Any
    mean: Any
    early: Any
    late: Any


class Turn(NamedTuple):
    """Local derivatives of a substep's second half, by their names in :class:`Local`."""

    step: Any
    length: Any
    yields: Any
    charge: Any
    way: Any
    drop_slope: Any
    charged: Any


class Within(NamedTuple):
    """Derivatives of the loss over intermediate values of a substep."""

    grown: Any  # filament before saturation
    grown_residue: Any
    predicted: Any  # total length for Heun's second growth
    early: Any  # growths
    late: Any
    charged: Any  # gate after charging
    on_way: Any  # gate's way to go


class Constants(NamedTuple):
    """Derivatives of the loss over a neuron's constants, or the constants themselves."""

    growth: Any  # logarithm of the field law's gain
    filament_kept: Any
    residue_kept: Any
    transfer: Any
    gate_kept: Any


def recompute(s: State, v: Any, q: GradientProgram, ops: Ops) -> tuple[State, Local]:
    """One substep in floating point (:func:`..dynamics.substep`), with its local derivatives.

    Parameters
    ----------
    s : State
        Shares of the gap and volt.
    v : real
        Input voltage [V].
    q : GradientProgram
        Of this neuron.
    ops : Ops
        Scalars or tensors.
    """
    grown, rise = grow(s, v, q, ops)
    after, turn = settle(s, grown, v, q, ops)
    values = {**rise._asdict(), **turn._asdict(), **s._asdict()}
    return after, Local(**values)


def grow(s: State, v: Any, q: GradientProgram, ops: Ops) -> tuple[State, Rise]:
    """:func:`..dynamics.grow`; arguments as :func:`recompute`."""
    select = ops.select
    blocked = v <= s.gate
    drive, slope = ops.law(select(blocked, q.zero, v - s.gate), q)
    drive = select(blocked, q.zero, drive)  # the law's two exponentials leave a rest at 0, of either sign
    kept = q.filament_kept * s.filament
    residue_kept = q.residue_kept * s.residue
    early, early_v, early_x = ops.growth(drive, slope, s.filament + s.residue, q, select)
    predicted = kept + early + residue_kept + q.transfer * s.filament
    over = predicted >= q.one
    late, late_v, late_x = ops.growth(drive, slope, select(over, q.one, predicted), q, select)
    filament = kept + q.half * (early + late)
    below = filament < q.one
    mean = q.half * (s.filament + select(below, filament, q.one))
    rise = Rise(
        early_v,
        early_x,
        late_v,
        select(over, q.zero, late_x),
        select(blocked, q.zero, q.one),
        select(below, q.one, q.zero),
        mean,
        early,
        late,
    )
    return State(filament, residue_kept + q.transfer * mean, s.gate), rise


def settle(s: State, grown: State, v: Any, q: GradientProgram, ops: Ops) -> tuple[State, Turn]:
    """:func:`..dynamics.settle`; arguments as :func:`recompute`, and what :func:`grow` returns first."""
    select = ops.select
    residue = select(grown.residue < q.one, grown.residue, q.one)
    yields = grown.filament > q.one - residue
    filament = select(yields, q.one - residue, grown.filament)
    length = grown.filament + grown.residue
    far = select(length < q.one, q.one - length, length - q.one) * q.width + q.one
    place = residue * q.segments
    knot, above = ops.knot(place, q)
    drop_slope = ops.read(q.drop_slope, knot)
    drained = q.gate_kept * s.gate
    to_supply = v - drained
    to_release = to_supply - (ops.read(q.drop, knot) + drop_slope * above)
    held = yields & (to_supply > q.zero)  # a closed filament charges the gate to where it lets go
    stays = held & (to_release <= q.zero)
    to_release = select(to_release < q.zero, q.zero, to_release)
    way = select(held, to_release, to_supply)
    x = select(yields, q.one, q.half * ((s.filament + s.residue) + (filament + residue)))
    # As :mod:`..arithmetic` has it, with exponents of 0 and below: its own leave float32 where lam is small. Exactly 0 where x is 1.
    r_d = q.r_on * x + q.r_off * (ops.exp(q.zero - x * q.per_lam) * (q.one - ops.exp((x - q.one) * q.per_lam)))
    share = q.one - ops.exp(q.zero - q.substep_per_c / r_d)
    charged = drained + share * way
    turn = Turn(
        q.scale / (far * far),
        select(s.gate <= q.v_th, length, q.zero - q.one),
        select(yields, q.one, q.zero),
        select(stays, q.zero, share),
        to_release,
        select(held, drop_slope * q.segments, q.zero),
        charged,
    )
    return State(filament, residue, q.gate_kept * charged), turn


def growth(drive, slope, x, q, select):
    inverse = q.one / (q.alpha + q.one - x)
    growth = drive * inverse
    over_v = slope * inverse
    over_v = select(over_v < q.slope_floor, q.slope_floor, over_v)
    over_x = growth * inverse
    return (
        select(growth < q.most, growth, q.most),
        select(over_v < q.slope_cap, over_v, q.slope_cap),
        select(over_x < q.filament_lost, over_x, q.filament_lost),
    )


def reverse(adjoint: State, spike: Any, m: Local, q: GradientProgram) -> tuple[State, Any, Within]:
    """From the derivatives of the loss over a substep's results to those over its start, its input and what lies between.

    Parameters
    ----------
    adjoint : State
        dL/d(state after the substep).
    spike : real
        dL/d(spike) where this substep has the step's largest length, else 0.
    m : Local
        Of this substep.
    q : GradientProgram
        Of this neuron.

    Returns
    -------
    State, real, Within
        dL/d(state before), dL/dv [1/V], what :func:`over_constants` needs.
    """
    charged = q.gate_kept * adjoint.gate
    on_way = charged * m.charge
    length = m.step * (spike + q.reset * (charged * m.way))
    # saturation: the filament yields to the residue
    yielded = adjoint.filament * m.yields
    residue = adjoint.residue - yielded - on_way * m.drop_slope
    grown_residue = residue + length
    by_transfer = q.half * q.transfer * grown_residue
    grown = (adjoint.filament - yielded) + length + by_transfer * m.below
    # Heun's growth
    late = q.half * grown
    predicted = late * m.late_x
    early = late + predicted
    start = early * m.early_x
    driven = early * m.early_v + late * m.late_v
    filament = q.filament_kept * grown + (q.filament_kept + q.transfer) * predicted + start + by_transfer
    before = q.residue_kept * (grown_residue + predicted) + start
    gate = q.gate_kept * (charged - on_way) - driven * m.open
    return State(filament, before, gate), driven + on_way, Within(grown, grown_residue, predicted, early, late, charged, on_way)


def over_constants(adjoint: State, within: Within, m: Local) -> Constants:
    """Derivatives of the loss over the neuron's constants that this substep adds: arguments and results of :func:`reverse`."""
    return Constants(
        within.early * m.early + within.late * m.late,
        (within.grown + within.predicted) * m.filament,
        (within.grown_residue + within.predicted) * m.residue,
        within.grown_residue * m.mean + within.predicted * m.filament,
        adjoint.gate * m.charged + (within.charged - within.on_way) * m.gate,
    )
