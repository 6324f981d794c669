"""The equations of the 1M1T1R neuron, once. Every level of the library calls these functions.

A neuron has three states: the length of the silver filament and of the silver residue, both as shares of the electrode gap, and the
voltage on the transistor's gate. Each obeys ``dx/dt = gain - loss * x``. What differs between the device level, the floating-point
step, the fixed-point step and the tables behind them is *arithmetic*, which comes in as ``ops``; see :mod:`.arithmetic`.

References
----------
.. [1] R. Zhao et al., Nature Electronics 8, 1211 (2025), doi:10.1038/s41928-025-01488-x, SI Notes 4 and 6, eqs. (S1)-(S5), (S12)-(S15).
"""

from __future__ import annotations

from typing import Any, NamedTuple


class State(NamedTuple):
    """What a neuron remembers."""

    filament: Any  # x1 in [1], share of the gap
    residue: Any  # x2 in [1], share of the gap
    gate: Any  # V_gs in [1], volt at the device level


class Flow(NamedTuple):
    """``dx/dt = gain - loss * x``, the form every state of the neuron has."""

    gain: Any
    loss: Any


def field(s: State, v_in: Any, p: Any, ops: Any) -> Any:
    """Drive of the filament's growth: the numerator of eq. (S3), zero once the gate has reached the input [V]."""
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
        Filament [1], residue [1], gate [V].
    drive : (N,)
        ``field(s, v_in, p, ops)`` [V].
    v_in : (N,)
        Input voltage [V].
    p : DeviceParams or a NamedTuple with its names
        Rates per second, ohm, farad.
    ops : Arithmetic
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
