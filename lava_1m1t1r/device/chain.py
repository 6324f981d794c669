"""A chain of neurons: the output circuit of each drives the memristor of the next.

The input branch of the next neuron (memristor, gate, R_c) lies across the load resistor of the one before it, so that it sees the
load's voltage drop: nothing at rest, nearly V_dd while the transistor before it conducts. It draws its current from the same node.
The paper does not say how its neurons were wired; this connection needs no additional component.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..cached import cached
from ..compiled import allocating
from ..errors import InputError, number, numbers, require, whole
from ..params import DeviceParams
from .circuit import node_voltage
from .simulation import RECORDED, simulate, tolerance
from .stimulus import Stimulus
from .trace import Trace

SETTLED = 1e-4  # V, root mean square between rounds: a spike that moves within one interval changes one sample only
ROUNDS = 20
RTOL = 1e-7
"""Relative error allowed in a step, finer than :data:`.simulation.RTOL`: a neuron of a chain follows all spikes of the one before it, so
that one spike more or less moves the delay by several percent."""


@dataclass(frozen=True)
class Cascade:
    """Traces of the neurons in their order, and the voltage that drives each.

    Current of the load, output voltage and energy in the traces of all neurons but the last are those of a load from which the next neuron
    draws nothing: what it draws is in its own trace (``input_current``), and its effect on the node in its drive.
    """

    traces: list[Trace]
    drives: list[np.ndarray]
    """Input voltage of each neuron [V], (T,)."""

    def delays(self) -> np.ndarray:
        """Return the time from each neuron's first spike to the next one's [s]; nan where one is silent."""
        first = np.array([t.spike_times()[0] if t.spike_times().size else np.nan for t in self.traces])
        return np.diff(first)


@partial(cached, compiler=allocating)
def _load_drop(gate: np.ndarray, drawn: np.ndarray, v_dd: float, r: float, k: float, v_t: float, c_load: float, dt: float) -> np.ndarray:
    # The current drawn by the next neuron enters the node as a source behind the load resistor would.
    drop = np.empty(gate.size)
    node = v_dd
    for i in range(gate.size):
        conductance = 1.0 / r + c_load / dt
        source = (v_dd / r + drawn[i] + c_load / dt * node) / conductance
        node = node_voltage(gate[i], source, 1.0 / conductance, k, v_t)
        drop[i] = max(v_dd - node, 0.0)
    return drop


def cascade(devices: Sequence[DeviceParams], v_in: Any, dt: float = 1e-5, seed: int = 0, rtol: float = RTOL) -> Cascade:
    """Simulate neurons in a row, circuit and coupling included.

    The loop between a load node and the memristor on it is solved by waveform relaxation: simulate the next neuron, put the current
    that it drew on the node, repeat until the node's voltage stands still.

    Parameters
    ----------
    devices : sequence of DeviceParams
        Single devices; the first gets ``v_in``.
    v_in : (T,) or Stimulus
        Input voltage of the first [V].
    dt : float
        Interval [s] over which the coupling voltage is held, so that all neurons but the first need one that is short beside the pulses.
    seed : int
        Seed of the noise; neuron k uses (seed, k).
    rtol : float
        Relative error allowed in a step, as that of :func:`simulate`, whose default moves delays by up to 6 %.

    Raises
    ------
    InputError
        Also if a coupling does not settle.
    """
    several = isinstance(devices, Sequence) and len(devices) >= 2 and all(isinstance(d, DeviceParams) and d.size is None for d in devices)
    require(several, "cascade.devices", "hold at least two single devices", devices)
    dt, seed = number(dt, "cascade.dt [s]", above=0.0), whole(seed, "cascade.seed")
    rtol = tolerance(rtol, "cascade.rtol")
    drive = v_in.sampled(dt) if isinstance(v_in, Stimulus) else numbers(v_in, "cascade.v_in [V]", (1,), "(T,), or a Stimulus")
    require(drive.ndim == 1, "cascade.v_in", "be (T,)", drive.shape)
    record = (*RECORDED, "input_current")
    traces = [simulate(devices[0], v_in if isinstance(v_in, Stimulus) else drive, dt, seed, record, rtol=rtol)]
    drives = [drive]
    for k, q in enumerate(devices[1:], 1):
        p = devices[k - 1]
        drawn = np.zeros(len(drive))
        before = np.zeros(len(drive))
        for _ in range(ROUNDS):
            drop = _load_drop(traces[-1].gate_voltage, drawn, p.v_dd, p.r_load, p.k_transistor, p.v_t, p.c_load, dt)
            trace = simulate(q, drop, dt, seed, record, first=k, rtol=rtol)
            drawn = trace.input_current
            if np.sqrt(np.mean((drop - before) ** 2)) < SETTLED:
                break
            before = drop
        else:
            text = f"cascade: the coupling of neurons {k - 1} and {k} must settle in {ROUNDS} rounds, and did not."
            cure = f"Use a smaller dt, or a smaller r_load: the current of a neuron moves a node behind {p.r_load:.2g} ohm too far."
            raise InputError(f"{text} {cure}")
        traces.append(trace)
        drives.append(drop)
    return Cascade(traces, drives)
