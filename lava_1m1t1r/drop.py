"""Field at which a closed filament lets go of the gate: the one quantity that the network step takes from the device level.

While the filament is closed the gate charges within R_on C_g. It never reaches the input voltage: when the field has fallen to
``drop`` the filament dissolves faster than it grows. Measured by integrating :func:`.dynamics.flow` from a filament that is about
to close, at an input of 1 V, or of ``v_ref`` where that is more (:attr:`.program.StepParams.drop_input`); ``drop`` depends on the residue
(0.38 V at none to 0.06 V near 1 for the device of Fig. 2), and from 0.8 to 1.2 V of input it grows by 2 % without residue, 5 % at a
residue of 0.8 and 12 % near 1.

It is followed in steps of R_on C_g / 50, which makes it 1 to 2 % too low (at 1 V without residue, 0.383 instead of the 0.387 V of ever
shorter steps for the device of Fig. 2, 0.732 instead of 0.747 V for that of Fig. 3). Networks are trained with these values: others would
be another neuron. What they cost is part of what :mod:`.advisor` measures.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .arithmetic import DEVICE
from .cached import cached
from .compiled import compiled
from .dynamics import State, field, flow
from .errors import require, told_least
from .params import DeviceParams

DROP_SEGMENTS = 64
_START = 0.98  # total length from which the closing filament is followed [1]
_LARGEST_RESIDUE = 0.985
_STEPS_PER_RON_CGATE = 50
_LIVES, _MOST_STEPS = 30.0, 2_000_000  # for which it is followed, in 1 / gamma1; and never more steps than that
_CHARGED = 0.05  # share of the input; at less on the gate the filament is not closed, and a falling gate no sign that it lets go
_field, _flow = compiled(field), compiled(flow)


class Rates(NamedTuple):
    """The DeviceParams that the equations read, as plain numbers (numba takes NamedTuples, not dataclasses)."""

    mu: Any
    alpha: Any
    beta: Any
    gamma1: Any
    gamma2: Any
    lam: Any
    r_on: Any
    r_off: Any
    c_gate: Any
    r_control: Any
    v0: Any
    v_ref: Any


def rates_of(params: DeviceParams) -> Rates:
    """Pick the fields of ``Rates`` from the parameters of a single device."""
    return Rates(*(float(getattr(params, name)) for name in Rates._fields))


@cached
def _drop(residue: float, v_in: float, p: Rates, h: float, steps: int) -> float:
    """Lowest field [V]; nan if ``_MOST_STEPS`` were too few to say."""
    s = State(max(_START - residue, 0.0), residue, 0.0)
    lowest = v_in
    for _ in range(steps):
        drive = _field(s, v_in, p, DEVICE)
        d = _flow(s, drive, v_in, p, DEVICE)
        filament = min(max(s.filament + h * (d.filament.gain - d.filament.loss * s.filament), 0.0), 1.0)
        grown = min(s.residue + h * (d.residue.gain - d.residue.loss * s.residue), 1.0)
        settled = d.gate.gain / d.gate.loss  # the gate is stiff: exact for a constant conductance
        gate = settled + (s.gate - settled) * np.exp(-d.gate.loss * h)
        s = State(min(filament, 1.0 - grown), grown, gate)
        if gate > _CHARGED * v_in and v_in - gate > lowest:  # the gate has begun to fall: the filament has let go
            return lowest
        lowest = v_in - gate
    # It does not let go. A device that latches stays closed, at the field that the gate leaves; in a device that is too weak the filament
    # dissolves and never charges the gate. What is neither within all its lives hangs, partly open, at this field; cut short, it may just
    # be on its way.
    length = s.filament + s.residue
    hangs = length < 1.0 and (s.gate > _CHARGED * v_in or length > max(_START, residue))
    return np.nan if hangs and steps == _MOST_STEPS else lowest


@lru_cache(maxsize=64)
def _curve(rates: Rates, v_in: float) -> tuple[float, ...]:
    h = rates.r_on * rates.c_gate / _STEPS_PER_RON_CGATE
    steps = int(min(_LIVES / rates.gamma1 / h, _MOST_STEPS))
    grid = np.minimum(np.linspace(0.0, 1.0, DROP_SEGMENTS + 1), _LARGEST_RESIDUE)
    enough = told_least(1.001 * _STEPS_PER_RON_CGATE * _LIVES / _MOST_STEPS / rates.gamma1, 2)
    rule = f"be larger ({enough} s is always enough with this gamma1), or it takes too long to find the field at which the filament lets go"
    curve = []
    for residue in grid:
        curve.append(_drop(residue, v_in, rates, h, steps))
        require(np.isfinite(curve[-1]), "DeviceParams.r_on * c_gate [s]", rule, rates.r_on * rates.c_gate, "Use a larger c_gate.")
    return tuple(curve)


def drop_curve(params: DeviceParams, v_in: float) -> np.ndarray:
    """Field at which the filament lets go [V], over the residue.

    Parameters
    ----------
    params : DeviceParams
        One device, or an array of them: then the curve is that of the device with the median of every field.
    v_in : float
        Input voltage at which it is measured [V].

    Returns
    -------
    (DROP_SEGMENTS + 1,) float64
        At residues 0 to 1 in equal steps. Where the filament never lets go, the field that is left after 30 / gamma1.

    Raises
    ------
    InputError
        If ``r_on * c_gate`` is so short that it is not found in two million steps.
    """
    return np.array(_curve(rates_of(params.median()), float(v_in)))
