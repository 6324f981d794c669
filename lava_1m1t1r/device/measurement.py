"""Measurements of a device as rows (protocol, quantity, value), and the same quantities taken from a simulation."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path
from typing import Any

import numpy as np

from .._support.files import read_table, replacing
from ..errors import FormatError, InputError, number, require, whole
from ..params import DeviceParams, one_device
from . import stimulus
from .simulation import RTOL, simulate
from .trace import Trace

COLUMNS = ("quantity", "volt", "width", "gap", "count", "r_control", "value", "tolerance")
MOST_PULSES = 100_000
"""Largest number of pulses in the train of one measurement."""


@dataclass(frozen=True)
class Measurement:
    """One row: a train of ``count`` pulses and a number read off the device's response."""

    quantity: str
    """Quantity that was measured, a key of :data:`QUANTITIES`."""
    volt: float
    """Height of the pulses [V]."""
    width: float
    """Length of a pulse [s]."""
    gap: float
    """Rest after a pulse [s]."""
    count: int
    """Number of pulses in the train."""
    value: float
    """Measured value, in the unit of the quantity."""
    tolerance: float
    """Uncertainty of the value, in the same unit: residuals are counted in it."""
    r_control: float = nan
    """Control resistor R_c of this row [ohm], where it differs from the device's; nan otherwise."""

    def __post_init__(self) -> None:
        require(
            isinstance(self.quantity, str) and self.quantity in QUANTITIES,
            "Measurement.quantity",
            f"be among {', '.join(QUANTITIES)}",
            self.quantity,
        )
        for name in ("volt", "width", "gap", "tolerance"):
            object.__setattr__(self, name, number(getattr(self, name), f"Measurement.{name}", above=0.0))
        object.__setattr__(self, "value", number(self.value, "Measurement.value"))
        require(self.value > 0 or self.quantity == "shortening", "Measurement.value", f"be > 0 for {self.quantity}", self.value)
        if not (isinstance(self.r_control, (float, np.floating)) and np.isnan(self.r_control)):  # nan: the device's own
            object.__setattr__(self, "r_control", number(self.r_control, "Measurement.r_control [ohm]", above=0.0))
        object.__setattr__(self, "count", whole(self.count, "Measurement.count", least=1, most=MOST_PULSES))
        several = self.quantity != "shortening" or self.count > 1
        require(several, "Measurement.count", "be at least 2 for shortening, which compares the second pulse with the first", self.count)

    def stimulus(self) -> stimulus.Stimulus:
        """Return the train."""
        return stimulus.train(self.volt, self.width, self.gap, self.count)

    @property
    def duration(self) -> float:
        """Length of the train [s]."""
        return self.count * (self.width + self.gap)

    @property
    def largest(self) -> tuple[float, str]:
        """Largest value that can be read off the train, and its unit."""
        return (self.count, "pulses") if self.quantity == "pulses_to_turn_on" else (self.duration, "s")

    def device(self, p: DeviceParams) -> DeviceParams:
        """Return ``p`` with the R_c of this row."""
        return p if np.isnan(self.r_control) else replace(p, r_control=self.r_control)


def first_time(times: np.ndarray, otherwise: float = nan) -> float:
    """The first of some times [s]; ``otherwise`` where there is none."""
    return float(times[0]) if times.size else otherwise


def _first_spike(m: Measurement, t: Trace) -> float:
    return first_time(t.spike_times(), 2.0 * t.duration)


def _first_turn_on(m: Measurement, t: Trace) -> float:
    return first_time(t.turn_on_times(), 2.0 * t.duration)


def _pulses(m: Measurement, t: Trace) -> float:
    return _counted(m, _first_turn_on(m, t))


def _counted(m: Measurement, time: float) -> float:
    """Pulses up to a time; of the last one the share that was needed, so that the number is continuous in a device's parameters."""
    whole_ones, rest = divmod(time, m.width + m.gap)
    return whole_ones + min(rest / m.width, 1.0)


_SILENCE = 3.0
"""Factor on the longest interval of a train: after so long a silence, at its end, a neuron is taken to have stopped firing."""


def _mean_interval(m: Measurement, t: Trace) -> float:
    mean = mean_interval(t.spike_times(), t.duration)
    return t.duration if np.isnan(mean) else mean


def mean_interval(spikes: np.ndarray, duration: float) -> float:
    """Mean interval of the spikes under a train of pulses [s].

    nan for fewer than three, and where they end long before the train does: the neuron has latched, and its intervals tell of no rate.
    """
    intervals = np.diff(spikes)
    fires = intervals.size > 1 and duration - spikes[-1] <= _SILENCE * np.max(intervals)
    return float(np.mean(intervals)) if fires else nan


def _shortening(m: Measurement, t: Trace) -> float:
    on, second = t.turn_on_times(), m.width + m.gap
    before = first_time(on[on < m.width], m.width)
    in_second = (on >= second * (1 - 1e-12)) & (on < second + m.width)  # the train may go on
    return before - (first_time(on[in_second], second + m.width) - second)


QUANTITIES = {
    "first_spike": _first_spike,
    "first_turn_on": _first_turn_on,
    "pulses_to_turn_on": _pulses,
    "mean_interval": _mean_interval,
    "shortening": _shortening,
}
"""Functions that read a quantity off a simulation, by name: times [s] of the first output spike and of the first turn-on; pulses needed to
the first turn-on [1]; mean inter-spike interval [s]; how much earlier in its pulse the second turn-on comes than the first one [s]."""


def happens(m: Measurement, value: float) -> bool:
    """Whether a prediction was read off the response, and does not stand for "never"; of a mean interval, for fewer than three spikes, or
    for a neuron that fell silent in the middle of the train.
    Such numbers are there for a fit to descend from."""
    most, _ = m.largest
    if m.quantity == "mean_interval":
        return value < most * (1 - 1e-9)
    return m.quantity == "shortening" or value <= most * (1 + 1e-9)


def steadied(m: Measurement, value: float) -> float:
    """A value from which the jumps over gaps are taken: a time in a train of pulses as so many of its periods."""
    timed = m.quantity in ("first_spike", "first_turn_on") and m.count > 1
    return _counted(m, value) * (m.width + m.gap) if timed else value


def jump(m: Measurement) -> float:
    """How far a value jumps where an event moves from one pulse to the next, in the quantity's unit."""
    return {"first_spike": m.width + m.gap, "first_turn_on": m.width + m.gap, "pulses_to_turn_on": 1.0}.get(m.quantity, 0.0)


_FIRST_EVENTS = ("first_spike", "first_turn_on", "pulses_to_turn_on")
"""Quantities that the rest of the train, after the event, does not change."""


def predicted(p: DeviceParams, m: Measurement, rtol: float = RTOL) -> float:
    """Return the value that a device, without noise, gives for a measurement.

    Parameters
    ----------
    p : DeviceParams
        One device; its R_c is that of the row where the row has one.
    m : Measurement
        Protocol and quantity.
    rtol : float
        Relative error allowed in a step of the integrator.

    Returns
    -------
    float
        In the unit of the quantity. What does not happen gives a number beyond the train, see :func:`happens`.
    """
    device, value = m.device(one_device(p, "predicted.p").quiet()), nan
    for count in stimulus.beginnings(m.count) if m.quantity in _FIRST_EVENTS else [m.count]:
        begun = replace(m, count=count)
        trace = simulate(device, begun.stimulus(), dt=m.width + m.gap, record="events", seed=0, rtol=rtol)
        value = QUANTITIES[m.quantity](begun, trace)
        if happens(begun, value):
            break
    return value


def read_csv(path: str | Path) -> list[Measurement]:
    """Read measurements from a CSV file with the columns of :data:`COLUMNS`, SI units; ``r_control`` may be empty or left out.

    Raises
    ------
    FormatError
        If a column is missing or a row does not parse. The text names file, line and column.
    """
    return [_row(row, where) for where, row in read_table(path, [c for c in COLUMNS if c != "r_control"], ["r_control"])]


def _row(row: dict[str, str], where: str) -> Measurement:
    numbers: dict[str, Any] = {}
    for column in COLUMNS[1:]:
        try:
            numbers[column] = float(row[column]) if row[column] else nan
        except ValueError:
            require(False, f"{where}, {column}", "be a number in SI units", row[column], error=FormatError)
    try:
        m = Measurement(row["quantity"], **numbers)
    except InputError as error:
        raise FormatError(f"{where}: {error}") from error
    check_value(m, where, FormatError)
    return m


def check_value(m: Measurement, where: str, error: type[InputError] = InputError) -> None:
    """Refuse a value that no response to the train has, and that does not stand for "never" (:func:`happens`), which a device that never
    fires would meet; ``where`` is what the error calls the measurement."""
    most, unit = m.largest
    longest, never = (most / 2, most) if m.quantity == "mean_interval" else (most, 2 * most)
    which = "half of the train of pulses, as two intervals must fit in" if m.quantity == "mean_interval" else "the train of pulses"
    cure = "Give as many pulses (count) as it took, and SI units: s for width, gap and times, V for volt, ohm for r_control."
    good = abs(m.value) <= longest * (1 + 1e-9) or np.isclose(m.value, never, rtol=1e-9)
    require(bool(good), f"{where}, value [{unit}]", f"be at most {which}, {longest:g} {unit}", m.value, cure, error)


def write_csv(path: str | Path, rows: Iterable[Measurement]) -> None:
    """Write measurements so that :func:`read_csv` reads them, whole or not at all."""
    rows = list(rows) if isinstance(rows, Iterable) and not isinstance(rows, str) else [rows]
    require(all(isinstance(m, Measurement) for m in rows), "rows", "be Measurements", rows)
    for i, m in enumerate(rows):
        check_value(m, f"rows[{i}]")
    with replacing(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for m in rows:
            values = [getattr(m, c) for c in COLUMNS]
            writer.writerow(["" if isinstance(v, float) and np.isnan(v) else v for v in values])
