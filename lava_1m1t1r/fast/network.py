"""A whole network as compiled loops over events: one sample after the other, or one per thread.

It needs neither Lava nor torch. A network is a :class:`.description.NetDescription`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np

from .._support import aligned
from .._support.cores import cores
from .._support.progress import bar
from .._support.threads import shared
from ..compiled import filled, plain
from ..description import NetDescription, check_frames, check_network
from ..errors import flag, require, workers_of
from ..layers import CubaNeuron, Layer, M1T1RNeuron
from . import kernels, synapses
from .kernels import Events, Memory, Wiring
from .neurons import CUBA_STATES, STATES, Cuba, FixedM1T1R, FloatM1T1R, cuba, fresh, m1t1r


class LayerRecord(NamedTuple):
    """Record of one layer. Arrays (B, T, N)."""

    out: np.ndarray  # what leaves the layer: spikes as lava-dl's block gives them, or sums
    spikes: np.ndarray | None  # of the neurons, in the step in which they fire
    states: dict[str, np.ndarray]  # at the end of each step, by name; none, or (B, 0, N), unless recorded


class Result(NamedTuple):
    """Output of a run."""

    out: np.ndarray  # (B, T, C_out)
    layers: tuple[LayerRecord, ...]  # of the layers that compute something; empty unless recorded

    @property
    def spike_count(self) -> int:
        """Number of spikes of all neurons, in all samples.

        Raises
        ------
        InputError
            If they were not recorded, as by Lava's backends.
        """
        told = all(layer.spikes is not None or layer.out.dtype != np.uint8 for layer in self.layers)  # a readout has none
        cure = "Run the network with FastNetwork.run and record='spikes'."
        require(len(self.layers) > 0 and told, "Result.layers", "hold the spikes that are counted", len(self.layers), cure)
        return sum(int(layer.spikes.sum()) for layer in self.layers if layer.spikes is not None)


class FastNetwork:
    """A network ready to run.

    Parameters
    ----------
    net : NetDescription
        The network.
    floating : bool
        Floating-point 1M1T1R neurons in place of fixed-point ones. CUBA neurons have no floating form.
    """

    def __init__(self, net: NetDescription, floating: bool = False):
        check_network(net, "FastNetwork.net")
        net.check()
        self.net = net
        self.floating = flag(floating, "FastNetwork.floating")
        self.layers = tuple(FastLayer(layer, self.floating) for layer in net.active)
        self.inputs, self.outputs = net.inputs, net.outputs

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.net.sizes}, {'floating' if self.floating else 'fixed'} point)"

    def run(self, frames: Any, record: str | None = None, threads: int | None = None) -> Result:
        """Run samples from rest.

        Parameters
        ----------
        frames : (B, T, C) int
            Spike counts of each channel and step.
        record : None, "spikes" or "all"
            Whether to keep every layer's spikes, or its spikes and states (seven times the memory, in floating point thirteen).
        threads : int, optional
            Samples at a time; when not given, or -1, as many as cores that this process may run on. Results do not depend on it.

        Returns
        -------
        Result
            ``out`` (B, T, C_out): uint8 spikes, or int32 sums even in floating point: a readout has no floating-point states.
        """
        check_record(record)
        frames = check_frames(frames, self.net)
        batch, steps = frames.shape[:2]
        threads = -1 if threads is None else workers_of(threads, "threads")
        threads = cores() if threads == -1 else threads
        records = [layer.empty(batch, steps, record, layer is self.layers[-1]) for layer in self.layers]
        work = lambda b: self._run_sample(frames[b], records, b)  # noqa: E731
        title = f"{'floating' if self.floating else 'fixed'} point"
        with closing(shared(work, batch, threads)) as each:  # numba compiles once, whichever thread asks first
            for _ in bar(each, title, total=batch, unit="samples"):
                pass
        return Result(records[-1].out, tuple(records) if record else ())

    def _run_sample(self, frames: np.ndarray, records: Sequence[LayerRecord], b: int) -> None:
        events = events_of(self.net.arriving(frames))
        for layer, record in zip(self.layers, records, strict=True):
            out = RunningLayer(layer).run(events, frames.shape[0], record, b)
            if layer is not self.layers[-1]:
                events = events_of(out)


class FastLayer:
    """Constants of one layer, laid out for the kernels."""

    def __init__(self, layer: Layer, floating: bool):
        self.layer = layer
        self.size, self.spiking = layer.size, layer.spiking
        self.single = layer.kind == "input"
        self.width = self.size if layer.neuron is None else filled(self.size)
        if layer.conv is not None:
            synapse = synapses.convolution(layer.conv, layer.own_weight)
        elif self.single:
            synapse = synapses.matrix(synapses.narrow(np.asarray(layer.weight).reshape(1, 1)), single=True)
        else:
            synapse = synapses.matrix(self._rows(layer.matrix()))
        rec = self._rows(np.zeros((self.size, 0), np.int32) if layer.weight_rec is None else layer.weight_rec)
        # copies: arrays from files are read-only, for which numba would compile the loops once more
        self.delay, delay_rec = layer.axonal_delays.copy(), layer.recurrent_delays.copy()
        self.delayed = bool(self.delay.any())
        to_voltage = isinstance(layer.neuron, CubaNeuron) and not self.single  # the bias, as in lava-dl's netx
        to_current = np.zeros(self.size, np.int32) if layer.bias is None or to_voltage else layer.bias
        self.neuron: FixedM1T1R | FloatM1T1R | Cuba | None = None
        self.state_names: tuple[str, ...] = ()
        if isinstance(layer.neuron, M1T1RNeuron):
            self.neuron = m1t1r(layer.m1t1r.step, self.size, layer.neuron.seed, layer.index, floating, fill=True)
            self.state_names = STATES
        elif layer.neuron is not None:
            require(not floating, f"layer/{layer.index}", "hold 1M1T1R neurons to run in floating point", "CUBA", "Use fixed point.")
            n = layer.neuron
            self.neuron = cuba(n.current_decay, n.voltage_decay, n.threshold, layer.bias if to_voltage else None, self.size)
            self.state_names = CUBA_STATES
        self.wiring = Wiring(synapse, *rec, delay_rec, self._widened(to_current[None].astype(np.int32))[0])
        self.plain_wiring = plain(self.wiring)

    def _rows(self, weight: np.ndarray) -> synapses.Rows:
        """Weights (N, R) as rows (R, M)."""
        rows, unit = synapses.narrow(weight.T)
        return synapses.Rows(self._widened(rows), unit)

    def _widened(self, rows: np.ndarray) -> np.ndarray:
        """Rows (R, N) as (R, M): zeros for the neurons that fill up the layer."""
        wide = aligned.zeros((rows.shape[0], self.width), rows.dtype)
        wide[:, : self.size] = rows
        return wide

    def empty(self, batch: int, steps: int, record: str | None, last: bool) -> LayerRecord:
        """Return empty arrays for the layer's record: as ``record`` asks, and always the output of the ``last`` layer."""
        shape, nothing = (batch, steps, self.size), (batch, 0, self.size)
        voltage = self.neuron is not None and not self.spiking
        kind = np.uint8 if self.spiking else np.int32
        states = {}
        for name, state in zip(self.state_names, self.neuron.state if self.neuron is not None else (), strict=True):
            states[name] = np.empty(shape if record == "all" or voltage else nothing, state.dtype)
        spikes = None if self.neuron is None else np.empty(shape if record else nothing, np.uint8)
        return LayerRecord(np.zeros(shape if record or last else nothing, kind), spikes, states)


class RunningLayer:
    """A layer in use: its states, the recurrent spikes on their way, and the time."""

    def __init__(self, fast: FastLayer):
        self.fast = fast
        self.clock = 0
        self.neuron: Any = None if fast.neuron is None else fresh(fast.neuron)
        recurrent, width = len(fast.wiring.weight_rec), 0 if fast.neuron is None else fast.width
        current, spike = aligned.rows(2, width, np.int32)
        self.memory = Memory(
            ring=np.zeros((kernels.RING, recurrent), np.int32),
            filled=np.zeros(kernels.RING, np.int64),
            current=current,
            spike=spike,
            image=synapses.image_of(fast.wiring.synapse),
        )
        self._join()

    def _join(self) -> None:
        """Make of neurons and memory what the kernels take."""
        self._plain = plain(self.neuron), self.fast.plain_wiring, plain(self.memory)

    def __deepcopy__(self, memo: dict) -> RunningLayer:
        """Return a layer that continues from the present state. Constants are shared."""
        other = copy.copy(self)
        other.neuron = None if self.neuron is None else fresh(self.neuron)
        other.memory = copy.deepcopy(self.memory, memo)
        other._join()
        return other

    def weigh(self, events: Events, out: np.ndarray) -> None:
        """Add weighted sums of the events to ``out`` (T, N)."""
        synapse, *_ = self.fast.plain_wiring
        kernels.weigh(*events, synapse, self.memory.image, out)

    def neurons(self, events: Events, steps: int, spikes: np.ndarray, trace: tuple[np.ndarray, ...]) -> None:
        """Advance the neurons by ``steps`` into ``spikes`` (T, N) and ``trace``."""
        kernels.run_layer(*self._plain, tuple(events), self.clock, spikes, trace)
        self.clock += steps

    def run(self, events: Events, steps: int, record: LayerRecord, b: int) -> np.ndarray:
        """Run a sample from the beginning; returns its output (T, N).

        Parameters
        ----------
        events : Events
            Input of the sample.
        steps : int
            Number of steps, T.
        record : LayerRecord
            Receives what the layer does.
        b : int
            Number of the sample in ``record``.
        """
        f = self.fast
        kept = record.out.shape[1] > 0
        out = record.out[b] if kept else np.zeros((steps, f.size), np.uint8)
        if record.spikes is None:  # no neurons
            self.weigh(events, out)
            return out
        spikes = record.spikes[b] if record.spikes.shape[1] else np.empty((steps, f.size), np.uint8)
        self.neurons(events, steps, spikes, tuple(states[b] for states in record.states.values()))
        if f.spiking:
            if f.delayed:
                kernels.send(spikes, f.delay, out)
            else:
                out[1:] = spikes[:-1]
        else:
            out[:] = record.states["v"][b]
        return out


def check_record(record: Any) -> None:
    """Refuse what does not name what is recorded."""
    known = record is None or (isinstance(record, str) and record in ("spikes", "all"))
    require(known, "record", "be None, 'spikes' or 'all'", record)


def events_of(frames: np.ndarray) -> Events:
    """Events of one sample's frames (T, C)."""
    total = int(np.count_nonzero(frames))
    events = Events(np.empty(frames.shape[0] + 1, np.int64), np.empty(total, np.int32), np.empty(total, np.int32))
    kernels.fill_events(frames, *events)
    return events


__all__ = ["FastLayer", "FastNetwork", "LayerRecord", "RunningLayer", "Result", "events_of"]
