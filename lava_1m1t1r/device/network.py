"""A whole network at the device level: neurons in continuous time, spikes between them in network steps.

The neurons are those of :mod:`.integrator`. Between them works a clocked circuit: each neuron's rising gate sets a latch; at
the end of the step the latch moves into a shift register, whose taps (after one step plus the axonal or recurrent delay) drive rows
of the next crossbar, or of the layer's own, for one step. That is the recursion of ``FIXED_POINT.md``, section 6, with the
device itself instead of its step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .._support.progress import bar
from ..answers import answers
from ..arithmetic import WEIGHT_ONE
from ..cached import cached
from ..compiled import allocating
from ..delay_lines import outgoing
from ..description import NetDescription, check_frames, check_network
from ..errors import require, whole
from ..layers import Layer, M1T1RNeuron
from ..noise import MOST_NEURONS
from .cell import ELEMENTS, INPUT_BRANCH, SPIKE, Sink
from .constants import constants
from .crossbar import IDEAL, Cells, Crossbar, Periphery, programmed_crossbar
from .integrator import advance
from .noise import streams
from .simulation import RTOL, at_rest, check_ended, control, interruptible, tolerance

EVENTS = 1024
"""Largest number of events of one neuron in one network step that are recorded."""


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """Response of one layer's N neurons over T steps."""

    spikes: np.ndarray
    """(T, N) bool: whether the gate rose above ``v_th`` within the step."""
    volts: np.ndarray
    """(T, N) input voltages [V]."""
    spike_times: list[np.ndarray]
    """Spike times of each neuron [s]."""
    rows: np.ndarray
    """Pulses on the rows of the crossbar, in units of ``v_read``, (T, R)."""
    energy: tuple[float, float]
    """Energies drawn by the neurons from their inputs, and from ``v_dd`` [J]."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Run of one sample."""

    out: np.ndarray
    """Output of the network, (T, K): spikes in the steps in which every other realisation has them, or weighted sums [counts]."""
    layers: tuple[LayerTrace, ...]
    """Traces of the layers of neurons, in order."""
    energy: dict[str, dict[str, float]]
    """Energy drawn for this sample [J]: by neurons, crossbar and drivers, each by its parts."""

    @property
    def answer(self) -> int:
        """Class that the network answers (:func:`.answers.winner`)."""
        return int(answers(self.out))


class DeviceNetwork:
    """A network of devices and crossbars, ready to run.

    Parameters
    ----------
    net : NetDescription
        Layers of 1M1T1R neurons and, last, perhaps a readout.
    cells : Cells
        Cells that hold the weights.
    periphery : Periphery
        Circuits around the crossbars, for the energy alone.
    seed : int
        Seed of programming errors and read noise; neurons have the seeds of their layers.
    rtol : float
        Relative error allowed in a step of the integrator.
    """

    def __init__(
        self, net: NetDescription, cells: Cells = IDEAL, periphery: Periphery | None = None, seed: int = 0, rtol: float = RTOL
    ) -> None:
        check_network(net)
        net.check()
        self.dt = net.stated_dt
        for layer in net.active:
            good = layer.neuron is None or isinstance(layer.neuron, M1T1RNeuron)
            require(good, f"layer/{layer.index}", "hold 1M1T1R neurons", type(layer.neuron).__name__)
        require(isinstance(cells, Cells), "cells", "be Cells", cells)
        require(periphery is None or isinstance(periphery, Periphery), "periphery", "be a Periphery, or None", periphery)
        self.net, self.cells, self.seed = net, cells, whole(seed, "seed")
        self.periphery = periphery or Periphery()
        self.crossbars: tuple[Crossbar, ...] = tuple(
            programmed_crossbar(layer, cells, np.random.default_rng([self.seed, layer.index])) for layer in net.active
        )
        self._circuits = tuple(
            None if layer.neuron is None else _circuit(layer, crossbar) for layer, crossbar in zip(net.active, self.crossbars, strict=True)
        )
        self.rtol = tolerance(rtol, "rtol")

    def run(self, frames: Any, first: int = 0) -> list[Sample]:
        """Run samples from rest.

        Parameters
        ----------
        frames : (B, T, C) int
            Spike counts; a count of two is a pulse of twice ``v_read``.
        first : int
            Number of the first sample, which starts its read noise.
        """
        frames, first = check_frames(frames, self.net), whole(first, "first")
        return [self._sample(frame, first + b) for b, frame in enumerate(bar(frames, "device level", unit="samples"))]

    def read_noise(self, sample: int, layer: int, steps: int) -> np.ndarray:
        """Standard normal draws (T, N) of a layer's read noise in one sample.

        Parameters
        ----------
        sample : int
            Number of the sample.
        layer : int
            Place of the layer among those that compute.
        steps : int
            Number of steps, T.
        """
        shape = (steps, self.net.active[layer].size)
        if self.cells.read_noise == 0.0:
            return np.zeros(shape)
        return np.random.default_rng([self.seed, self.net.active[layer].index, 1, sample]).standard_normal(shape)

    def _sample(self, frames: np.ndarray, number: int) -> Sample:
        y = self.net.arriving(frames).astype(np.float64)
        traces, rows = [], []
        for place, (layer, crossbar, circuit) in enumerate(zip(self.net.active, self.crossbars, self._circuits, strict=True)):
            noise = self.read_noise(number, place, len(y))
            if circuit is None:
                rows.append(y)
                y = y @ crossbar.counts.T + noise * np.sqrt(y**2 @ crossbar.squares.T)
                continue
            trace = self._layer(layer, circuit, y, noise)
            traces.append(trace)
            rows.append(trace.rows)
            y = outgoing(trace.spikes.astype(np.int64), layer.delay).astype(np.float64)
        return Sample(y, tuple(traces), self._energy(rows, traces))

    def _layer(self, layer: Layer, circuit: _Circuit, y: np.ndarray, noise: np.ndarray) -> LayerTrace:
        size, steps, step = layer.size, len(y), circuit.step
        bias = np.ones((steps, len(circuit.weight) - layer.inputs))
        fixed = np.concatenate([y, bias], axis=1)
        cells = at_rest(circuit.table, circuit.random)
        spikes, volts = np.zeros((steps, size), np.bool_), np.empty((steps, size))
        drive = _Drive(fixed @ circuit.weight, (fixed**2) @ circuit.variance, noise)
        limits = control(self.rtol, steps)
        with interruptible():
            times, owners = _run(circuit.table, cells, drive, circuit.recurrence, step, limits, spikes, volts)
        check_ended(cells, step.v_max, layer.m1t1r.step.device)
        own = outgoing(spikes.astype(np.int64), layer.delay_rec)[:, : len(circuit.recurrence.weight)]
        rows = np.concatenate([y, own, bias], axis=1)
        return LayerTrace(spikes, volts, [times[owners == n] for n in range(size)], rows, branch_energies(cells))

    def _energy(self, rows: Sequence[np.ndarray], traces: Sequence[LayerTrace]) -> dict[str, dict[str, float]]:
        p, dt, v = self.periphery, self.dt, self.cells.v_read
        cells = lines = sums = flops = 0.0
        for layer, crossbar, circuit, pulses in zip(self.net.active, self.crossbars, self._circuits, rows, strict=True):
            current = crossbar.row_current
            charge = dt * float((pulses @ current).sum())
            # a pulse of k v_read drives k times the current
            cells += dt * v * float((pulses**2 @ current).sum())
            rises = float(np.maximum(np.diff(pulses, axis=0, prepend=0.0), 0.0).sum())
            # Class-B stages: a row's charge comes from the supply, and the amplifiers bring as much to the columns again. A pulse above the
            # supply gives nothing back, neither by itself nor to the others.
            lost = dt * float((np.maximum(p.v_supply - v * pulses, 0.0) * pulses @ current).sum())
            lines += lost + rises * 2 * layer.size * p.line_capacitance * v * p.v_supply
            sums += p.v_supply * charge + len(pulses) * dt * p.v_supply * p.amplifier_current * layer.size
            flops += 0.0 if circuit is None else len(pulses) * p.register_energy * registers(layer)
        own = [sum(parts) for parts in zip(*(trace.energy for trace in traces), strict=True)]
        return {
            "neurons": dict(zip(("input branch", "output branch"), own, strict=True)),
            "crossbar": {"cells": cells},
            "drivers": {"rows": lines, "amplifiers": sums, "registers": flops},
        }


def branch_energies(cells: np.ndarray) -> tuple[float, float]:
    """Energies [J] that devices drew from their inputs, and from ``v_dd``."""
    by_element = dict(zip(ELEMENTS, cells["energy"].sum(axis=(0, 1)), strict=True))
    drawn = sum(by_element[name] for name in INPUT_BRANCH)
    return float(drawn), float(sum(by_element.values()) - drawn)


def registers(layer: Layer) -> int:
    """Flip-flops of a layer: a latch and the stages of each neuron's shift register."""
    return int((2 + layer.longest_delays).sum())


class _Drive(NamedTuple):
    """Weighted sums of a layer's input rows and bias (T, N)."""

    sums: Any  # counts
    variance: Any  # of their read noise
    noise: Any  # standard normal draws


class _Recurrence(NamedTuple):
    """Weights of a layer's own spikes (N, N), or (0, N): a row per sending neuron."""

    weight: Any  # counts
    variance: Any  # of their read noise
    late: Any  # (N,) int, delay beyond one step


class _Step(NamedTuple):
    """A network step."""

    per_count: float  # V
    v_max: float  # V
    dt: float  # s


class _Circuit(NamedTuple):
    """A layer of N neurons and its crossbar, as all samples need them."""

    table: np.ndarray  # (N,) records of the devices
    random: np.ndarray  # (N,) starting points of their noise
    weight: np.ndarray  # (R, N) of the rows of inputs and bias [counts]
    variance: np.ndarray  # (R, N) of their read noise
    recurrence: _Recurrence
    step: _Step


def _circuit(layer: Layer, crossbar: Crossbar) -> _Circuit:
    step, (inputs, recurrent, bias) = layer.m1t1r.step, crossbar.rows
    fixed, own = np.r_[0:inputs, inputs + recurrent : inputs + recurrent + bias], slice(inputs, inputs + recurrent)
    return _Circuit(
        constants(step.device, layer.size),
        streams(layer.m1t1r.seed, layer.index * MOST_NEURONS, layer.size),
        crossbar.counts[:, fixed].T,
        crossbar.squares[:, fixed].T,
        _Recurrence(
            np.ascontiguousarray(crossbar.counts[:, own].T),
            np.ascontiguousarray(crossbar.squares[:, own].T),
            layer.recurrent_delays.astype(np.int64),
        ),
        _Step(step.v_unit / WEIGHT_ONE, step.v_in_max, step.dt),
    )


@partial(cached, compiler=allocating)
def _run(table, cells, drive, recurrence, step, control, spikes, volts):
    """Run one layer over T steps into ``spikes`` and ``volts`` (T, N).

    Parameters
    ----------
    table, cells : (N,) records
        Devices and their states, advanced in place.
    drive : _Drive
        What drives the layer, but for its own spikes.
    recurrence : _Recurrence
        How its own spikes drive it.
    step : _Step
        From sums to voltages.
    control : Control
        Of the integrator.

    Returns
    -------
    times [s], owners
        Of all spikes, in the order of steps.
    """
    sums, variance, noise = drive
    weight_rec, variance_rec, late = recurrence
    per_count, v_max, dt = step
    steps, size = sums.shape
    times, owners, found = np.empty(1024), np.empty(1024, np.int64), 0
    sink = Sink(dt, np.empty(0, np.int64), np.empty((0, 0, size)), np.empty(EVENTS), np.empty(EVENTS, np.int8))
    work = table.copy()
    total, spread = np.empty(size), np.empty(size)
    for t in range(steps):
        total[:], spread[:] = sums[t], variance[t]
        for m in range(weight_rec.shape[0]):
            before = t - 1 - late[m]
            if before >= 0 and spikes[before, m]:
                total += weight_rec[m]
                spread += variance_rec[m]
        for n in range(size):
            v = min(max((total[n] + noise[t, n] * np.sqrt(spread[n])) * per_count, 0.0), v_max)
            volts[t, n] = v
            cells[n].events = 0
            advance(cells[n], work[n], table[n], v, t * dt, (t + 1) * dt, control, sink, n)
            if cells[n].stalled:
                return times[:found].copy(), owners[:found].copy()
            for i in range(min(cells[n].events, EVENTS)):
                if sink.kinds[i] == SPIKE:
                    spikes[t, n] = True
                    if found == times.size:
                        more, whose = np.empty(2 * found), np.empty(2 * found, np.int64)
                        more[:found], whose[:found] = times, owners
                        times, owners = more, whose
                    times[found], owners[found] = sink.times[i], n
                    found += 1
    return times[:found].copy(), owners[:found].copy()
