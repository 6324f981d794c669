"""The equations of the 1M1T1R neuron, once. Every level of the library calls these functions.

A neuron has three states: the length of the silver filament and of the silver residue, both as fractions of the electrode gap, and the
voltage on the transistor's gate. Each obeys ``dx/dt = gain - loss * x``. The device level, the floating-point step,
the fixed-point step and the tables behind them differ only in their *arithmetic*, which is passed as ``ops``; see :mod:`.arithmetic`.

References
----------
.. [1] R. Zhao et al., Nature Electronics 8, 1211 (2025), doi:10.1038/s41928-025-01488-x, SI Notes 4 and 6, eqs. (S1)-(S5), (S12)-(S15).
"""

from __future__ import annotations

from typing import Any, NamedTuple


class State(NamedTuple):
    """State of a neuron; in fixed point all three are register counts."""

    filament: Any  # x1 [share of the gap]
    residue: Any  # x2 [share of the gap]
    gate: Any  # V_gs [V]


class Flow(NamedTuple):
    """Gain and loss of a state: every state of the neuron obeys ``dx/dt = gain - loss * x``."""

    gain: Any
    loss: Any


def field(s: State, v_in: Any, p: Any, ops: Any) -> Any:
    """Drive of the filament's growth: the numerator of eq. (S3), zero once the gate has reached the input [V].

    Parameters
    ----------
    s : State
        Its gate voltage counts [V].
    v_in : (N,)
        Input voltage [V].
    p, ops
        As in :func:`flow`.
    """
    return ops.field(ops.positive(v_in - s.gate), p)


def flow(s: State, drive: Any, v_in: Any, p: Any, ops: Any) -> State:
    r"""Gain and loss of every state at one instant: eqs. (S1)-(S5) of [1].

    .. math::
        \dot x_1 = \mu E - (\gamma_1 + \beta) x_1, \quad
        \dot x_2 = \beta x_1 - \gamma_2 x_2, \quad
        C_g \dot V = (V_{in} - V) / R_d(x) - V / R_c, \quad
        E = h(V_{in} - V) / (\alpha + |1 - x|), \quad x = x_1 + x_2

    Parameters
    ----------
    s : State of (N,)
        Filament and residue [share of the gap], gate [V].
    drive : (N,)
        ``field(s, v_in, p, ops)`` [V].
    v_in : (N,)
        Input voltage [V].
    p : DeviceParams or a NamedTuple with its names
        Rates per second, ohm, farad.
    ops : DeviceArithmetic
        Number system.

    Returns
    -------
    State of Flow
        Per second.
    """
    x = s.filament + s.residue
    charging = ops.charging(x, p)
    return State(
        filament=Flow(ops.growth(drive, x, p), p.gamma1 + p.beta),
        residue=Flow(p.beta * s.filament, p.gamma2),
        gate=Flow(charging * v_in, charging + ops.draining(p)),
    )


def grow(s: State, v_in: Any, p: Any, ops: Any) -> State:
    """First half of a substep: filament and residue by the exponential-Euler form of :func:`flow`, not yet saturated.

    The filament grows by the mean of the growth at the start and at the predicted end (Heun), because growth runs away as the gap
    closes; both states relax exactly. The gate is handed on as it is.

    Parameters
    ----------
    s, v_in, p, ops
        As in :func:`substep`.

    Returns
    -------
    State
        Filament and residue after the substep, which may add up to more than 1; gate as before.
    """
    drive = ops.field(ops.positive(ops.difference(v_in, s.gate)), p)
    kept = ops.filament_kept(s.filament, p)
    residue_kept = ops.residue_kept(s.residue, p)
    early = ops.growth(drive, s.filament + s.residue, p)
    predicted = kept + early + residue_kept + ops.transferred(s.filament, p)
    late = ops.growth(drive, ops.at_most_one(predicted), p)
    filament = kept + ops.half(early + late)
    mean_filament = ops.half(s.filament + ops.at_most_one(filament))
    return State(filament, residue_kept + ops.transferred(mean_filament, p), s.gate)


def jitter(s: State, grown: State, draws: tuple[Any, Any], p: Any, ops: Any) -> State:
    """Noise of a substep: each increment of filament and residue gets a random part of variance sigma |increment| (S12, S13).

    ``draws`` are two 32-bit numbers of the neuron's generator (:mod:`.noise`), whose four bytes add up to a nearly Gaussian variate.

    Parameters
    ----------
    s, grown : State
        Before the substep, and as :func:`grow` returns it.
    draws : (int, int)
        Random 32-bit numbers for filament and residue.
    p, ops
        As in :func:`substep`.

    Returns
    -------
    State
        ``grown`` with noise, lengths at least 0.
    """
    filament, residue = draws
    return State(
        ops.positive(grown.filament + ops.noise(grown.filament - s.filament, filament, p.noise_filament, p)),
        ops.positive(grown.residue + ops.noise(grown.residue - s.residue, residue, p.noise_residue, p)),
        grown.gate,
    )


def settle(s: State, grown: State, v_in: Any, p: Any, ops: Any) -> tuple[State, Any, Any]:
    """Second half of a substep: saturation, gate, spike and turn-on.

    The total length saturates at 1, and it is the filament that yields. The gate drains for half a substep, moves towards the input
    through the memristor, and drains for the other half (Strang splitting). The memristor has the resistance of the substep's mean
    length. Once closed it charges the gate only to ``v_in - drop(residue)``: when the field has fallen to ``drop``, found at the
    device level (:mod:`.drop`), the filament lets go, within R_on C_g (10 us), far below a substep. :mod:`.advisor` measures what
    these approximations cost a device.

    Parameters
    ----------
    s, grown : State
        Before the substep, and as :func:`grow`, or :func:`jitter` after it, returns it.
    v_in, p, ops
        As in :func:`substep`.

    Returns
    -------
    State, fired, closed
        The state after the substep; whether the gate rose above the threshold; whether x reached 1 from below.
    """
    residue = ops.at_most_one(grown.residue)
    filament = ops.smaller(grown.filament, ops.one - residue)
    x, x_before = filament + residue, s.filament + s.residue
    shut = x >= ops.one
    drained = ops.gate_kept(s.gate, p)
    supply = ops.raised(v_in)
    above = ops.positive(drained - supply)
    below = ops.positive(supply - ops.select(shut, ops.drop(residue, p), 0) - drained)
    moved = ops.charge(ops.select(shut, ops.one, ops.half(x_before + x)), above + below, p)
    charged = ops.select(above > 0, drained - moved, drained + moved)
    fired = (charged > p.v_th) & (s.gate <= p.v_th)
    closed = shut & (x_before < ops.one)
    return State(filament, residue, ops.gate_kept(charged, p)), fired, closed


def substep(s: State, v_in: Any, p: Any, ops: Any, draws: tuple[Any, Any] | None = None) -> tuple[State, Any, Any]:
    """One substep of the network step: :func:`grow`, :func:`jitter` where there are draws, :func:`settle`.

    Parameters
    ----------
    s : State
        In the units of ``ops``: volt and shares of the gap, or register counts.
    v_in : (N,)
        Input voltage, constant over the step, in [0, v_in_max].
    p : FloatProgram or FixedProgram
        Constants of one substep; see :mod:`.program`.
    ops : StepArithmetic
        Number system; see :mod:`.arithmetic`.
    draws : (int, int), optional
        Random numbers of a stochastic neuron, see :func:`jitter`.

    Returns
    -------
    State, fired, closed
        As :func:`settle`.
    """
    grown = grow(s, v_in, p, ops)
    if draws is not None:
        grown = jitter(s, grown, draws, p, ops)
    return settle(s, grown, v_in, p, ops)


def step(s: State, v_in: Any, p: Any, ops: Any, substeps: int, draws: list | None = None) -> tuple[State, list, list]:
    """Substeps of a network step, one after the other, under one input.

    Parameters
    ----------
    s, v_in, p, ops
        As in :func:`substep`.
    substeps : int
        How many.
    draws : list of (int, int), optional
        A pair for each substep of a stochastic neuron.

    Returns
    -------
    State, fired, closed
        State at the end; what each substep returned. A step fires if any of its substeps does: one spike, one step.
    """
    fired, closed = [], []
    for k in range(substeps):
        s, fires, shuts = substep(s, v_in, p, ops, None if draws is None else draws[k])
        fired.append(fires)
        closed.append(shuts)
    return s, fired, closed
