"""Simulate devices in continuous time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import inf
from typing import Any

import numpy as np

from .._support.programs import interrupted
from ..dynamics import State
from ..errors import number, numbers, require, told_most, whole
from ..params import DeviceParams
from .cell import CELL, QUANTITIES
from .circuit import node_voltage
from .constants import MOST_VOLTS, constants
from .integrator import Control, integrate
from .noise import streams
from .stimulus import MOST_PIECES, Stimulus, held, whole_samples
from .trace import Trace

RECORDED = ("filament", "residue", "gate_voltage", "resistance", "current")
"""Quantities that :func:`simulate` records by default."""
RTOL = 3e-5
"""Relative error allowed in a step of the integrator, unless another one is asked for."""
MOST_TIMES = 1e9
"""Longest simulation, in time constants of the filament."""
_REST = (0.0, 0.0, 0.0)
_MOST_STEPS = 5e8
"""Largest number of steps of a device. Each takes 0.1 to 0.6 us, so that this many take some minutes, in which nobody can interrupt it."""


def simulate(
    p: DeviceParams,
    v_in: Any,
    dt: float = 2e-6,
    seed: int | None = None,
    record: str | Iterable[str] = RECORDED,
    *,
    start: tuple[Any, Any, Any] | Trace = _REST,
    rtol: float = RTOL,
    max_step: float = inf,
    first: int = 0,
) -> Trace:
    """Integrate the 1M1T1R neuron of ``p`` under an input voltage.

    The integrator takes its own, adaptive steps; ``dt`` is the interval of the input's samples and of the recorded ones. Sample k
    of the trace is the state at the *end* of interval k. A Stimulus that is no whole number of intervals long is simulated to its own
    end: a rest of at least half an interval has a sample, taken there, and a shorter rest has none.

    Parameters
    ----------
    p : DeviceParams
        One device, or N of them where fields are arrays. ``_dtod`` fields do nothing here: :meth:`.DeviceParams.spread` draws devices.
    v_in : (T,), (T, N) or Stimulus
        Input voltage [V], held over each interval of ``dt``; a Stimulus holds its own times.
    dt : float
        Sample interval [s].
    seed : int, optional
        Seed of the noise; drawn if None, and kept in ``trace.seed``. Device n's noise depends on (seed, first + n) alone.
    record : "events", or names
        ``"events"`` keeps spikes and turn-ons only. Names: filament, residue, gate_voltage, resistance, current (of the load),
        output_voltage (of the drain), input_current.
    start : (filament, residue, gate voltage), or Trace
        State at t = 0 [1, 1, V], numbers or (N,); filament and residue together at most ``x_max``; the output node is where this gate
        voltage holds it. Or a Trace of these devices, which this one goes on from: with the filaments that were drawn last, the charge of
        the output node and the noise that follows (``seed`` and ``first`` do not count then). Times and energies begin at 0.
    rtol : float
        Relative error allowed in a step; the absolute one is a hundredth of it. At the default and from rest, turn-ons and nearly all first
        spikes are less than 1e-4 off (5e-4 from a ``start`` that is about to close). Where so little decides whether the gate reaches its
        threshold by the end of a pulse, a spike may be missed, a train may have a few spikes more or less, and a spike's energy may be a
        third off: take 1e-6 for these. Some trains, mostly near the latch, follow even smaller differences: under random regular pulses of
        0.4 s (Table 8: 4 us), 2 to 11 % of those of the fitted devices and a quarter of Table 1's and Table 8's have another number of
        spikes than at 1e-9; at 1e-6, up to 9 and 14 % do. In a device that latches, the filament may hover where the gap is nearly closed:
        lengths and gate are as accurate as elsewhere, but the resistance there, the input current and the number of turn-ons follow
        differences that are smaller: take 1e-8.
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
        If an argument breaks its rule, or a device is so fast that the simulation would hardly end.
    """
    require(isinstance(p, DeviceParams), "simulate.p", "be DeviceParams", p, "Take one from lava_1m1t1r.presets.")
    dt, rtol = number(dt, "simulate.dt [s]", above=0.0), tolerance(rtol, "simulate.rtol")
    max_step = inf if isinstance(max_step, float) and max_step == inf else number(max_step, "simulate.max_step [s]", above=0.0)
    first = whole(first, "simulate.first")
    seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else whole(seed, "simulate.seed")
    if isinstance(v_in, Stimulus):
        require(v_in.duration / dt < MOST_PIECES, "simulate.dt [s]", f"make fewer than {MOST_PIECES} samples", dt)
        stimulus, count = v_in, whole_samples(v_in.duration, dt)
    else:
        v_in = numbers(v_in, "simulate.v_in [V]", (1, 2), "(T,) or (T, N), or a Stimulus")
        stimulus, count = held(v_in, dt), len(v_in)
    # The integrator steps with the device's own times, and cannot be interrupted.
    longest = MOST_TIMES / float(np.max(np.asarray(p.gamma1) + np.asarray(p.beta)))
    cure = "Simulate it in parts, each going on from the one before (start=trace)."
    require(
        stimulus.duration <= longest, "simulate.v_in, duration [s]", f"be <= {told_most(longest)} for these rates", stimulus.duration, cure
    )
    require(max_step >= stimulus.duration / MOST_TIMES, "simulate.max_step [s]", f"be >= {1 / MOST_TIMES:g} of the duration", max_step)
    largest = float(np.max(np.abs(stimulus.volts)))
    require(largest <= MOST_VOLTS, "simulate.v_in [V]", f"be at most {MOST_VOLTS:g} V either way", largest)
    wanted = _quantities(record)
    columns = 1 if stimulus.volts.ndim == 1 else stimulus.volts.shape[1]
    sizes = {s for s in (p.size or 1, columns) if s > 1}
    require(len(sizes) <= 1, "simulate", "get as many columns of v_in as devices", (p.size, columns), "Use (T,) for one input to all.")
    n = sizes.pop() if sizes else 1
    table = constants(p, n)
    if isinstance(start, Trace):
        require(start.params == p, "simulate.start", "be a Trace of these devices", start.params, "Give it the state instead.")
        cells, seed = _going_on(start, n), start.seed
    else:
        cells = at_rest(table, streams(seed, first, n))
        if start is not _REST:
            _set_state(cells, table, checked_start(start, n, p))
    samples = np.empty((len(wanted), count if wanted else 0, n))
    volts = np.ascontiguousarray(stimulus.volts.reshape(len(stimulus.volts), columns))
    codes = np.array([QUANTITIES.index(name) for name in wanted], np.int64)
    limits = control(rtol, len(volts), stimulus.duration / longest, max_step)
    with interruptible():
        times, kinds, owners = integrate(table, cells, stimulus.edges, volts, limits, float(dt), codes, samples)
    check_ended(cells, largest, p)
    squeeze = p.size is None and stimulus.volts.ndim == 1
    kept = {name: samples[i, :, 0] if squeeze else samples[i] for i, name in enumerate(wanted)}
    return Trace(p, stimulus, float(dt), count, seed, kept, times, kinds, owners, cells)


@contextmanager
def interruptible() -> Iterator[None]:
    """For a ``with`` block of compiled code, which makes a SystemError of Ctrl-C: it raises KeyboardInterrupt."""
    try:
        yield
    except SystemError as error:
        raise interrupted(error) or error from None


def at_rest(table: np.ndarray, random: np.ndarray) -> np.ndarray:
    """Cells of devices at rest, (N,) records, from their constants and the starting points of their noise."""
    cells = np.zeros(len(table), CELL)
    cells["node"] = table["v_dd"]
    cells["ruptured"] = True  # the first filament is a new one
    cells["random"] = random
    return cells


def _set_state(cells: np.ndarray, table: np.ndarray, start: list[np.ndarray]) -> None:
    """Put cells into a state (filament, residue, gate), and their output nodes where the gate holds them."""
    for name, value in zip(State._fields, start, strict=True):
        cells[name] = value
    for cell, own in zip(cells, table, strict=True):
        cell["node"] = node_voltage(cell["gate"], own["v_dd"], own["r_load"], own["k_transistor"], own["v_t"])


def _going_on(before: Trace, n: int) -> np.ndarray:
    """Cells at the end of a simulation, with their counters at 0."""
    require(before.size == n, "simulate.start", f"be a Trace of {n} devices", before.size)
    cells = before.cells.copy()
    for name in ("steps", "tried", "events", "sample", "energy"):
        cells[name] = 0
    return cells


def tolerance(rtol: Any, field: str) -> float:
    """A relative error that the integrator can keep to, checked."""
    return number(rtol, field, least=1e-10, most=0.1)


def control(rtol: float, pieces: int, share: float = 0.0, max_step: float = inf) -> Control:
    """Step control for ``pieces`` of input, of a ``share`` of the longest simulation: at most :data:`_MOST_STEPS` steps.

    A device that fires all the time takes some hundreds of steps in a time constant of its filament.
    """
    return Control(rtol, 0.01 * rtol, max_step, min(1e7 + 1e4 * pieces + 1e3 * share * MOST_TIMES, _MOST_STEPS))


def check_ended(cells: np.ndarray, volts: float, p: DeviceParams) -> None:
    """Refuse devices that change so much faster than the input, of up to ``volts`` [V], that the integrator gave up."""
    stalled = cells["stalled"]
    if not stalled.any():
        return
    gates = np.broadcast_to(np.asarray(p.r_control) * p.c_gate, stalled.shape)
    rule = "have time constants that are not too short, at the voltages of the input, for it to be stepped through in minutes"
    got = f"too short ones in device {stalled.argmax()}, whose R_c C_g is {gates[stalled.argmax()]:.3g} s, at up to {volts:g} V"
    cure = (
        "Simulate it in parts, each going on from the one before (start=trace). Or look for a voltage far above v_ref, which under the "
        "hyperbolic law grows filaments as exp(V / v0) (millivolts?), or for rates, a noise or an R_c C_g that no device has (megohms?)."
    )
    require(False, "DeviceParams", rule, got, cure)


def checked_start(start: Any, n: int, p: DeviceParams) -> list[np.ndarray]:
    """State (filament, residue, gate) at which ``n`` devices start, () or (n,) each; an InputError says what it must be."""
    three = start.shape[:1] == (3,) if isinstance(start, np.ndarray) else isinstance(start, (tuple, list)) and len(start) == 3
    require(three, "simulate.start", "be (filament, residue, gate voltage)", start)
    names = ("filament [1]", "residue [1]", "gate voltage [V]")
    values = [numbers(value, f"simulate.start: {name}", (0, 1), "() or (N,)") for name, value in zip(names, start, strict=True)]
    for name, value in zip(names, values, strict=True):
        good = value.size in (1, n) and np.all(np.abs(value) <= MOST_VOLTS) and (name == names[2] or np.all(value >= 0))
        require(good, f"simulate.start: {name}", f"hold one value or {n}, lengths >= 0", value)
    total = values[0] + values[1]
    fits = np.all(total <= np.reshape(p.x_max, -1) * (1 + 1e-9))  # final states of another simulation add up to x_max but for rounding
    require(fits, "simulate.start: filament + residue [1]", "be at most x_max", (float(np.max(total)), p.x_max))
    return values


def _quantities(record: str | Iterable[str]) -> tuple[str, ...]:
    if isinstance(record, str) and record == "events":
        return ()
    rule = f'be "events" or among {", ".join(QUANTITIES)}'
    require(isinstance(record, Iterable) and not isinstance(record, (bytes, Mapping)), "simulate.record", rule, record)
    names = (record,) if isinstance(record, str) else tuple(record)
    for name in names:
        require(isinstance(name, str) and name in QUANTITIES, "simulate.record", rule, name)
    return names
