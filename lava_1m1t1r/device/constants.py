"""Parameters as the compiled integrator reads them: one record per device, with derived constants that are computed once."""

from __future__ import annotations

from functools import partial
from math import exp, expm1, sinh
from typing import Any

import numpy as np

from .. import dynamics
from ..arithmetic import DeviceArithmetic
from ..cached import cached
from ..compiled import compiled, contracted
from ..params import FIELDS, DeviceParams

_DERIVED = ("per_v0", "field_scale", "field_shift", "field_tail", "per_c", "off_scale", "per_lam", "drain")
MOST_VOLTS = 1e3
"""Largest magnitude of an input [V], far above what any device survives."""
_LINEAR, _NEARLY_LINEAR = 1e-8, 1e-3  # voltage over v0 below which sinh is its argument, and below which its two terms nearly cancel
CONSTANTS = np.dtype([(name, np.float64) for name in FIELDS + _DERIVED])


@contracted
def prepare(p: Any) -> None:
    """Compute the derived constants of one record; to be called again whenever ``mu`` or ``v0`` of a new cycle have been drawn."""
    # Up to MOST_VOLTS, a v0 so large gives the linear law's numbers, to the last bit.
    p.per_v0 = 0.0 if max(p.v_ref, MOST_VOLTS) < _LINEAR * p.v0 else 1.0 / p.v0
    p.field_shift = p.v_ref * p.per_v0
    p.field_tail = exp(-2.0 * p.field_shift)
    if p.field_shift >= _NEARLY_LINEAR:
        p.field_scale = p.v_ref / -expm1(-2.0 * p.field_shift)
    else:
        p.field_scale = p.v_ref / sinh(p.field_shift) if p.field_shift > 0.0 else 1.0
    p.per_c = 1.0 / p.c_gate
    p.per_lam = 1.0 / p.lam
    p.off_scale = p.r_off / expm1(p.per_lam)
    p.drain = 1.0 / (p.r_control * p.c_gate)


def constants(p: DeviceParams, n: int) -> np.ndarray:
    """Return (n,) records of ``p``, numbers repeated for every device."""
    table = np.zeros(n, CONSTANTS)
    for name in FIELDS:
        table[name] = getattr(p, name)
    _prepare_all(table)
    return table


@partial(cached, compiler=contracted)
def _prepare_all(table: np.ndarray) -> None:
    for n in range(table.size):
        prepare(table[n])


@contracted
def _field(d: float, p: Any) -> float:
    # v_ref sinh(d/v0) / sinh(v_ref/v0) with one exponential. Beyond v_ref/v0 = 373 the second term has underflowed: leave it out.
    if p.per_v0 == 0.0 or d == 0.0:
        return d
    if p.field_shift < _NEARLY_LINEAR:  # the difference of two exponentials near 1 would lose digits
        return p.field_scale * sinh(d * p.per_v0)
    rise = exp(d * p.per_v0 - p.field_shift)
    return p.field_scale * (rise - p.field_tail / rise if p.field_tail > 0.0 else rise)


@contracted
def _positive(x: float) -> float:
    return max(x, 0.0)


@contracted
def _growth(drive: float, x: float, p: Any) -> float:
    return p.mu * drive / (p.alpha + abs(1.0 - x))


@contracted
def steepness(growth: float, x: float, p: Any) -> float:
    """Derivative over the total length x of a growth rate ``growth`` that holds at x [1/s]."""
    steeper = growth / (p.alpha + abs(1.0 - x))
    return steeper if x < 1.0 else -steeper


@contracted
def resistance(x: float, p: Any) -> float:
    """Memristor resistance R_d [ohm] at total length x, eq. (S4)."""
    # exp - 1 and not expm1, which is slow: rounding leaves r_off * 1e-18, far below r_on.
    u = min(max(x, 0.0), 1.0)
    return p.r_on * u + p.off_scale * (exp((1.0 - u) * p.per_lam) - 1.0)


@contracted
def _charging(x: float, p: Any) -> float:
    return p.per_c / resistance(x, p)


@contracted
def _draining(p: Any) -> float:
    return p.drain


COMPILED = DeviceArithmetic(_field, _positive, _growth, _charging, _draining)
"""Number system :data:`.arithmetic.DEVICE` with constants that were computed once: three times its speed."""

flow, field = compiled(dynamics.flow), compiled(dynamics.field)
