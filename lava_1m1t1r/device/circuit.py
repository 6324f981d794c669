"""The output branch: supply, load resistor and transistor, with a capacitance on the node between them.

The gate draws no current, so the branch follows the gate and does not influence the memristor. The saturation current is taken as
``K (V_gs - V_T)^2`` (K = mu C_ox W / 2L): at 0.8 V on the gate the branch of Table 1 then carries 10.13 uA, with ``K/2`` 9.65 uA;
about 10.5 uA were measured (Zhao et al. 2025, main text). Sub-threshold conduction is neglected.
"""

from __future__ import annotations

from math import exp, sqrt
from typing import Any

import numpy as np

from ..compiled import compiled
from ..errors import array_of, require
from ..params import DeviceParams


@compiled
def node_voltage(v_gate: float, v_supply: float, r: float, k: float, v_t: float) -> float:
    """Drain voltage [V] at which resistor ``r`` [ohm] from ``v_supply`` [V] and the transistor carry the same current.

    Parameters
    ----------
    v_gate : float
        Gate voltage [V].
    v_supply : float
        Voltage of the source behind the resistor [V].
    r : float
        Resistor [ohm].
    k : float
        Transconductance parameter of the transistor, K [A/V^2].
    v_t : float
        Threshold of the transistor [V].
    """
    over = v_gate - v_t
    if over <= 0.0:
        return v_supply
    saturated = v_supply - r * k * over * over
    if saturated >= over:
        return saturated
    b = 2.0 * k * r * over + 1.0
    return 2.0 * v_supply / (b + sqrt(max(b * b - 4.0 * k * r * v_supply, 0.0)))


@compiled
def node_step(v_node: float, v_gate: float, h: float, p: Any) -> float:
    """Drain voltage [V] after ``h`` seconds with ``v_gate`` on the gate.

    Implicit Euler where the transistor conducts (it discharges the node within nanoseconds): resistor and capacitance together are
    one resistor from one source, so that :func:`node_voltage` solves it. Exact where the transistor is off.

    Parameters
    ----------
    v_node : float
        Drain voltage before [V].
    v_gate : float
        Gate voltage, constant over the step [V].
    h : float
        Length of the step [s].
    p : DeviceParams or a record of :func:`.constants.constants`
        One device.
    """
    if p.c_load == 0.0:
        return node_voltage(v_gate, p.v_dd, p.r_load, p.k_transistor, p.v_t)
    if v_gate <= p.v_t:
        return p.v_dd + (v_node - p.v_dd) * exp(-h / (p.r_load * p.c_load))
    conductance = 1.0 / p.r_load + p.c_load / h
    source = (p.v_dd / p.r_load + p.c_load / h * v_node) / conductance
    return node_voltage(v_gate, source, 1.0 / conductance, p.k_transistor, p.v_t)


def output_current(p: DeviceParams, v_gate: Any) -> np.ndarray:
    """Static output current [A] of the branch, for gate voltages [V] of any shape; the load capacitance charged."""
    require(isinstance(p, DeviceParams), "p", "be a DeviceParams", p)
    v_gate = array_of(v_gate, "v_gate [V]").astype(np.float64)
    require(np.all(np.isfinite(v_gate)), "v_gate [V]", "be finite", v_gate)
    node = _NODE(v_gate, p.v_dd, p.r_load, p.k_transistor, p.v_t)
    return np.asarray((p.v_dd - node) / p.r_load)


_NODE = np.vectorize(node_voltage, otypes=[np.float64])
