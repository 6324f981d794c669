"""The device in continuous time, for the advisor: the equations of :mod:`.dynamics` under the input of a network step.

A small integrator that shares nothing with :mod:`.device`, which core modules do not import and which measures far more: Heun's
method for the lengths, exact in the gate for a constant conductance, with steps that no quantity may outrun. No noise.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .arithmetic import DEVICE
from .compiled import compiled
from .dynamics import State, field, flow
from .errors import number, numbers, require
from .params import DeviceParams
from .release import rates_of

SHARE = 0.02
"""Largest change in a step: of the lengths as a share of the remaining gap, of every quantity as a share of its time constant."""
CLOSEST = 1e-5  # gap below which the resistance hardly changes any more
_field, _flow = compiled(field), compiled(flow)


class Answer(NamedTuple):
    """Response of the devices."""

    spike_times: list[np.ndarray]
    """Times at which each device's gate rose above ``v_th`` [s]; any number of times in a step."""
    spike: np.ndarray
    """Whether the gate rose above ``v_th`` within the step, (T, N) bool."""
    filament: np.ndarray
    """Filament at the end of each step, (T, N); the residue and the gate below alike."""
    residue: np.ndarray
    gate: np.ndarray
    """Gate voltage at the end of each step [V], (T, N)."""


@compiled
def _slopes(s, v_in, p):
    return _flow(s, _field(s, v_in, p, DEVICE), v_in, p, DEVICE)


@compiled
def _integrate(volts, dt, p, v_th, x_max, states, times):
    """Integrate one device over (T,) voltages into states (4, T) and times, as many as fit. Returns the number of spikes."""
    s = State(0.0, 0.0, 0.0)
    spikes = 0
    for k in range(volts.size):
        v_in, left, now, before = volts[k], dt, k * dt, spikes
        while left > 1e-12 * dt:
            d = _slopes(s, v_in, p)
            df = d.filament.gain - d.filament.loss * s.filament
            dr = d.residue.gain - d.residue.loss * s.residue
            closed = s.filament + s.residue >= x_max and df + dr >= 0.0
            reach = max(abs(1.0 - s.filament - s.residue), CLOSEST)
            h = min(left, SHARE / d.filament.loss, SHARE / d.gate.loss)
            if not closed:
                h = min(h, SHARE * reach / max(abs(df + dr), 1e-300))
            first = State(s.filament + h * df, s.residue + h * dr, _gate(s.gate, d.gate.gain, d.gate.loss, h))
            first = _saturated(first, x_max)
            e = _slopes(first, v_in, p)
            filament = s.filament + 0.5 * h * (df + e.filament.gain - e.filament.loss * first.filament)
            residue = s.residue + 0.5 * h * (dr + e.residue.gain - e.residue.loss * first.residue)
            gate = _gate(s.gate, 0.5 * (d.gate.gain + e.gate.gain), 0.5 * (d.gate.loss + e.gate.loss), h)
            if s.gate <= v_th < gate:
                if spikes < times.size:
                    times[spikes] = now + h * (v_th - s.gate) / (gate - s.gate)
                spikes += 1
            s = _saturated(State(filament, residue, gate), x_max)
            left -= h
            now += h
        states[0, k], states[1, k], states[2, k] = s
        states[3, k] = spikes - before
    return spikes


@compiled
def _gate(gate, gain, loss, h):
    return gain / loss + (gate - gain / loss) * np.exp(-loss * h)


@compiled
def _saturated(s, x_max):
    residue = min(max(s.residue, 0.0), x_max)
    return State(min(max(s.filament, 0.0), x_max - residue), residue, s.gate)


def respond(device: DeviceParams, volts: Any, dt: float) -> Answer:
    """Integrate devices from rest under voltages that are constant over each network step.

    Parameters
    ----------
    device : DeviceParams
        One device for all columns, or arrays of N. Noise and cycle-to-cycle spread are left out.
    volts : (T, N) float
        Input voltages [V].
    dt : float
        Network step [s].

    Returns
    -------
    Answer
    """
    require(isinstance(device, DeviceParams), "device", "be a DeviceParams", device)
    volts, dt = np.ascontiguousarray(numbers(volts, "volts [V]", (2,), "(T, N)")), number(dt, "dt [s]", above=0.0, most=1e3)
    steps, size = volts.shape
    states = np.empty((size, 4, steps))
    found = []
    for n in range(size):
        one = device if device.size is None else device.take(n)
        rates = rates_of(one)
        column, times = np.ascontiguousarray(volts[:, n]), np.empty(4 * steps)
        count = _integrate(column, dt, rates, one.v_th, one.x_max, states[n], times)
        if count > times.size:  # a device far faster than the step: once more, with room for all its spikes
            times = np.empty(count)
            _integrate(column, dt, rates, one.v_th, one.x_max, states[n], times)
        found.append(times[:count].copy())
    return Answer(found, states[:, 3].T > 0, *(states[:, i].T for i in range(3)))
