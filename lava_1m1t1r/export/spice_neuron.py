"""The neuron as a SPICE subcircuit, and its simulation with ngspice.

One voltage node per state: ``filament`` and ``residue`` are integrators (1 F, fed with rates in amperes), ``gate`` is the real node.
Where the device's total length is limited, the filament gives way through a steep but continuous leak, so that the netlist has no events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sinh
from pathlib import Path

import numpy as np

from .._support.files import scratch
from ..errors import number, numbers, require
from ..params import DeviceParams, one_device
from .ngspice import rises, simulated

EDGE = 1e-5  # length of an input edge, as a share of the shorter neighbouring piece
OVERSHOOT = 1e-4  # by how much the total length may exceed its limit while the filament yields
STEEPEST = 300
"""Bound that v_ref / v0 must stay below: the hyperbolic sine is divided by its value there."""
LARGEST_EXPONENT = 700
"""Bound that the argument of a hyperbolic sine must stay below; from 710 on the result is more than a double can hold."""
MARGIN = 1.1
"""End of the field law, as a multiple of the largest voltage; it lies above that voltage because Newton's method dislikes kinks."""


def neuron_subcircuit(p: DeviceParams, name: str = "m1t1r", v_max: float = 3.0) -> str:
    """Return the subcircuit of one neuron: ``.subckt <name> in out vdd``, ground 0.

    ``in`` is the memristor's electrode, ``out`` the transistor's drain, which the load resistor pulls up to ``vdd``. Inner nodes:
    filament, residue, gate. Runs in ngspice 36 and later.

    Up to ``v_max`` between ``in`` and gate the hyperbolic field law is the device's; from a tenth above it on the field is constant, so
    that no excursion of Newton's method lets its exponential overflow. The linear law has no such end.

    Parameters
    ----------
    p : DeviceParams
        One device (no arrays). Its noise is left out.
    name : str
        Name of the subcircuit.
    v_max : float
        Largest voltage [V] from ``in`` to the gate that is to be driven: the largest input, less the most negative one.

    Returns
    -------
    str

    Raises
    ------
    InputError
        If ``p`` holds an array of devices, or its field at ``v_max`` is more than a double can hold.
    """
    one_device(p, "neuron_subcircuit.p", "Write one subcircuit for each p.take(n).")
    v_max = number(v_max, "neuron_subcircuit.v_max [V]", above=0.0)
    check_field_law(p, v_max, "neuron_subcircuit: {}", "v_max", "Name the largest input voltage as v_max.")
    drive = "max(V(in)-V(gate),0)"
    if p.v0 != inf:
        drive = f"{p.v_ref / sinh(p.v_ref / p.v0):.10e}*sinh(min({drive},{MARGIN * v_max:.10e})/{p.v0:.10e})"
    # Where the total length ends at 1, what lies beyond is the overshoot, which opens no gap.
    gap = "max(1-V(x),0)" if p.x_max == 1.0 else "abs(1-V(x))"
    growth, leak = f"{p.mu:.10e}*{drive}/({p.alpha:.10e}+{gap})", ""
    if p.x_max != inf:
        steep, over = p.mu * max(p.v_ref, 1.0) / (p.alpha * OVERSHOOT), f"max(V(x)-{p.x_max:.10e},0)"
        growth += f"*(1-{over}/{OVERSHOOT:g})"  # alone, a leak that suits v_ref is weaker than the growth far above it
        leak = f"-{steep:.6e}*{over}"
    scale = p.r_off / np.expm1(1.0 / p.lam)
    return f"""* 1M1T1R neuron (doi:10.1038/s41928-025-01488-x, SI Notes 4 and 6); V(filament), V(residue) are shares of the gap
.subckt {name} in out vdd
Bx x 0 V = V(filament)+V(residue)
Cfilament filament 0 1 IC=0
Bfilament 0 filament I = {growth}-{p.gamma1 + p.beta:.10e}*V(filament){leak}
Cresidue residue 0 1 IC=0
Bresidue 0 residue I = {p.beta:.10e}*V(filament)-{p.gamma2:.10e}*V(residue)
Bu u 0 V = min(max(V(x),0),1)
Bmemristor in gate I = (V(in)-V(gate))/({p.r_on:.10e}*V(u)+{scale:.10e}*(exp((1-V(u))*{1.0 / p.lam:.10e})-1))
Cgate gate 0 {p.c_gate:.10e} IC=0
Rcontrol gate 0 {p.r_control:.10e}
Bover over 0 V = max(V(gate)-{p.v_t:.10e},0)
Btransistor out 0 I = {p.k_transistor:.10e}*min(V(out),V(over))*(2*V(over)-min(V(out),V(over)))
Rload vdd out {p.r_load:.10e}
{f"Cload out 0 {p.c_load:.10e} IC={p.v_dd:.10e}" if p.c_load > 0 else "* no load capacitance"}
.ends {name}
"""


def check_field_law(p: DeviceParams, v_max: float, where: str, name: str, cure: str) -> None:
    """Refuse devices whose hyperbolic field law, which is written as its formula, overflows.

    Parameters
    ----------
    p : DeviceParams
        One device, or several.
    v_max : float
        Largest voltage [V] from the input to the gate.
    where : str
        Place for messages, with ``{}`` for the ratio that is too large.
    name, cure : str
        What the user calls ``v_max``, and how it is mended.
    """
    steepest = float(np.max(np.asarray(p.v_ref) / np.asarray(p.v0)))
    require(steepest < STEEPEST, where.format("v_ref / v0"), f"be < {STEEPEST}", steepest, "Use a larger v0.")
    most = MARGIN * v_max / float(np.min(p.v0))
    require(most < LARGEST_EXPONENT, where.format(f"{MARGIN} {name} / v0"), f"be < {LARGEST_EXPONENT}", most, cure)


def longest_step(piece: float, gamma1: float) -> float:
    """Longest step [s] that resolves the shortest ``piece`` of the input [s] and the fastest loss of a filament, ``gamma1`` [1/s]."""
    return min(piece / 50.0, 0.02 / gamma1)


def options(reltol: float, r_off: float, c_gate: float) -> str:
    """Tolerances of an analysis: relative, and of currents and charges by the largest resistance [Ohm] and the smallest gate [F].

    The latter are tighter than the currents of an empty gap and the charge of a gate, and no tighter: rounding would stop the analysis at
    an edge.
    """
    return f".options reltol={reltol:g} abstol={0.1 / r_off:.2e} vntol=1e-8 chgtol={1e-6 * c_gate:.2e} trtol=1 method=gear"


def transient(longest: float, total: float) -> str:
    """Analysis over ``total`` seconds, in steps of at most ``longest`` [s]."""
    return f".tran {longest:.6e} {total:.10e} 0 {longest:.6e} uic"


def piecewise(durations: Sequence[float] | np.ndarray, volts: Sequence[float] | np.ndarray) -> str:
    """Points of a PWL source that holds ``volts`` [V] for ``durations`` [s]: a short ramp begins at each edge.

    The first level is there from the start: a ramp at time 0, where no operating point has been found, can be too steep for ngspice.
    """
    t, before = 0.0, volts[0]
    points = [f"0 {before:.10e}"]
    for i, (duration, volt) in enumerate(zip(durations, volts, strict=True)):
        if volt != before:
            ramp = EDGE * min(duration, durations[i - 1])
            points += [f"{t:.12e} {before:.10e}", f"{t + ramp:.12e} {volt:.10e}"]
        t, before = t + duration, volt
    points.append(f"{t:.12e} {before:.10e}")
    return "\n+ ".join(points)


def testbench(p: DeviceParams, durations: Sequence[float] | np.ndarray, volts: Sequence[float] | np.ndarray) -> str:
    """Return a complete ngspice deck: the neuron, its supply and a piecewise-constant input.

    It saves filament, residue, gate [V], drain [V].

    The field law is the device's for all of these inputs.

    Parameters
    ----------
    p : DeviceParams
        One device.
    durations, volts : (S,)
        Pieces of the input [s], [V].
    """
    one_device(p, "p")
    pieces, levels = numbers(durations, "durations [s]", shape="(S,)"), numbers(volts, "volts [V]", shape="(S,)")
    require(np.all(pieces > 0) and len(levels) == len(pieces), "durations, volts", "be > 0 s, and as many", (durations, volts))
    total = float(np.sum(pieces))
    swing = float(np.ptp(np.append(levels, 0.0))) or p.v_ref  # after a negative input the gate is negative, too
    return f"""1M1T1R neuron
{neuron_subcircuit(p, v_max=swing)}
Vdd vdd 0 {p.v_dd:.10e}
Vin in 0 PWL({piecewise(durations, volts)})
Xneuron in out vdd m1t1r
{options(1e-5, p.r_off, p.c_gate)}
.save v(xneuron.filament) v(xneuron.residue) v(xneuron.gate) v(out)
{transient(longest_step(np.min(pieces), p.gamma1), total)}
.end
"""


@dataclass(frozen=True)
class SpiceTrace:
    """Result of ngspice at its own K time points."""

    time: np.ndarray
    filament: np.ndarray
    residue: np.ndarray
    gate_voltage: np.ndarray
    output_voltage: np.ndarray
    params: DeviceParams

    @property
    def current(self) -> np.ndarray:
        """Current of the load resistor [A], (K,)."""
        return (self.params.v_dd - self.output_voltage) / self.params.r_load

    def spike_times(self) -> np.ndarray:
        """Return the times [s] at which the gate rises above ``v_th``."""
        return rises(self.time, self.gate_voltage, self.params.v_th)

    def turn_on_times(self) -> np.ndarray:
        """Return the times [s] at which filament and residue together reach 1 from below."""
        return rises(self.time, self.filament + self.residue, 1.0)


def run_ngspice(p: DeviceParams, durations: Sequence[float] | np.ndarray, volts: Sequence[float] | np.ndarray) -> SpiceTrace:
    """Simulate one neuron with ngspice.

    Parameters
    ----------
    p : DeviceParams
        One device.
    durations, volts : (S,)
        Pieces of the input [s], [V].

    Raises
    ------
    MissingDependencyError
        If ngspice is not installed.
    ToolFailed
        If ngspice fails; the text holds its lines that tell why.
    """
    with scratch() as folder:
        Path(folder, "neuron.cir").write_text(testbench(p, durations, volts), encoding="utf-8")
        table = simulated(folder, "neuron.cir", float(np.sum(durations)), timeout=600.0)
    time, filament, residue, gate, drain = table.T
    return SpiceTrace(time, filament, residue, gate, drain, p)
