"""Simulate devices in continuous time."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Any

import numpy as np

from ..errors import require
from ..params import DeviceParams
from .cell import CELL, QUANTITIES
from .constants import constants
from .integrator import Control, integrate
from .noise import streams
from .stimulus import Stimulus, sampled
from .trace import Trace

RECORDED = ("filament", "residue", "gate_voltage", "resistance", "current")
"""What :func:`simulate` keeps unless told otherwise."""


def simulate(
    p: DeviceParams,
    v_in: Any,
    dt: float = 2e-6,
    seed: int | None = None,
    record: str | Iterable[str] = RECORDED,
    *,
    start: tuple[Any, Any, Any] = (0.0, 0.0, 0.0),
    rtol: float = 3e-5,
    max_step: float = inf,
    first: int = 0,
) -> Trace:
    """Integrate the 1M1T1R neuron of ``p`` under an input voltage.

    The integrator takes its own, adaptive steps; ``dt`` is the interval of the input's samples and of the recorded ones. Sample k
    of the trace is the state at the *end* of interval k.

    Parameters
    ----------
    p : DeviceParams
        One device, or N of them where fields are arrays.
    v_in : (T,), (T, N) or Stimulus
        Input voltage [V], held over each interval of ``dt``; a Stimulus holds its own times.
    dt : float
        Sample interval [s].
    seed : int, optional
        Of the noise; drawn if None, and kept in ``trace.seed``. Device n's noise depends on (seed, first + n) alone.
    record : "events", or names
        ``"events"`` keeps spikes and turn-ons only. Names: filament, residue, gate_voltage, resistance, current (of the load),
        output_voltage (of the drain), input_current.
    start : (filament, residue, gate voltage)
        State at t = 0 [1, 1, V], numbers or (N,).
    rtol : float
        Relative error allowed in a step; the absolute one is a hundredth of it.
    max_step : float
        Longest step [s].
    first : int
        Index of the first device within a larger array (for the noise).

    Returns
    -------
    Trace

    Raises
    ------
    InputError
        If an argument breaks its rule.
    """
    require(isinstance(p, DeviceParams), "simulate.p", "be DeviceParams", p, "Take one from lava_1m1t1r.presets.")
    require(np.isscalar(dt) and np.isfinite(dt) and dt > 0, "simulate.dt [s]", "be > 0 and finite", dt)
    require(0 < rtol <= 0.1, "simulate.rtol", "lie in (0, 0.1]", rtol)
    require(max_step > 0, "simulate.max_step [s]", "be > 0", max_step)
    dense = not isinstance(v_in, Stimulus)
    if dense:
        v_in = np.asarray(v_in, np.float64)
        require(v_in.ndim in (1, 2) and v_in.size > 0, "simulate.v_in", "be (T,) or (T, N), or a Stimulus", v_in.shape)
        require(np.all(np.isfinite(v_in)), "simulate.v_in [V]", "be finite", v_in)
        count = len(v_in)
        stimulus = sampled(v_in, dt)
    else:
        stimulus, count = v_in, max(round(v_in.duration / dt), 1)
    wanted = _quantities(record)
    columns = 1 if stimulus.volts.ndim == 1 else stimulus.volts.shape[1]
    sizes = {s for s in (p.size or 1, columns) if s > 1}
    require(len(sizes) <= 1, "simulate", "get as many columns of v_in as devices", (p.size, columns), "Use (T,) for one input to all.")
    n = sizes.pop() if sizes else 1
    if seed is None:
        seed = int(np.random.SeedSequence().generate_state(1)[0])
    cells = np.zeros(n, CELL)
    for name, value in zip(("filament", "residue", "gate"), start, strict=True):
        cells[name] = value
    table = constants(p, n)
    cells["node"] = table["v_dd"]
    cells["random"] = streams(seed, first, n)
    samples = np.empty((len(wanted), count if wanted else 0, n))
    volts = np.ascontiguousarray(stimulus.volts.reshape(len(stimulus.volts), columns))
    codes = np.array([QUANTITIES.index(name) for name in wanted], np.int64)
    control = Control(float(rtol), 0.01 * rtol, float(max_step))
    times, kinds, owners = integrate(table, cells, stimulus.edges, volts, control, float(dt), codes, samples)
    squeeze = p.size is None and stimulus.volts.ndim == 1
    kept = {name: samples[i, :, 0] if squeeze else samples[i] for i, name in enumerate(wanted)}
    return Trace(p, stimulus, float(dt), count, seed, kept, times, kinds, owners, cells)


def _quantities(record: str | Iterable[str]) -> tuple[str, ...]:
    if record == "events":
        return ()
    names = (record,) if isinstance(record, str) else tuple(record)
    for name in names:
        require(name in QUANTITIES, "simulate.record", f'be "events" or among {", ".join(QUANTITIES)}', name)
    return names
