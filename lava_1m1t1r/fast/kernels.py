"""Compiled loops of the network: spikes to events and back, one layer over many steps. Serial; they run without the GIL.

They take NamedTuples as :func:`..compiled.plain` tuples, or live input would wait for numba to look at their names. Weights are read
only for :class:`Events` and recurrent spikes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..arithmetic import WEIGHT_ONE
from ..cached import cached
from ..compiled import inlined, load, named, plain, store
from ..delay_lines import MAX_DELAY
from ..masks import WORD, list_bits, lowest_bit, word_of
from ..params import DeviceParams
from ..program import StepParams
from .neurons import advance, m1t1r, neurons
from .synapses import Synapse, add, add_rows

_LEAST, _MOST = np.iinfo(np.int32).min, np.iinfo(np.int32).max

RING = MAX_DELAY + 2
"""Number of steps in the ring that holds recurrent spikes on their way."""


class Events(NamedTuple):
    """Input of a layer as a list per step: the events of step t are those from ``offset[t]`` up to ``offset[t + 1]``."""

    offset: Any  # (T + 1,) int64
    source: Any  # (E,) int32, channel
    count: Any  # (E,) int32: how many spikes, 1 unless graded. It hides tuple.count, which nobody needs here


class Wiring(NamedTuple):
    """What N neurons, filled up to M, get: never written."""

    synapse: Synapse  # weights of the events
    weight_rec: Any  # (N, M), a row per sending neuron; or (0, M). See synapses.Rows
    unit_rec: int
    delay_rec: Any  # (N,) int32, further delay of each neuron's recurrent spikes, below RING - 1
    bias: Any  # (M,) int32, added to the current every step


class Memory(NamedTuple):
    """What a layer in use remembers beside its neurons' states, and scratch."""

    ring: Any  # (RING, N) int32, spikes on their way: senders due at step t are ring[t % RING, :filled[t % RING]]; or (RING, 0)
    filled: Any  # (RING,) int64
    current: Any  # (M,) int32, scratch
    spike: Any  # (M,) int32, scratch
    image: Any  # scratch of synapses.add


@inlined
def _listed(row, places, at):
    """Write the places of what is not 0 in row (C,), contiguous, into ``places`` from ``at`` on; returns their end."""
    for first in range(0, row.size, WORD):
        at = list_bits(word_of(row, first, min(first + WORD, row.size), row.dtype.type(0)), first, places, at, places.size)
    return at


@cached
def fill_events(frames, offset, source, count):
    """Events of frames (T, C), one behind the other in memory: offset (T + 1,), source and count as long as the non-zero frames."""
    place = 0
    for t in range(frames.shape[0]):
        first, row = place, frames[t]
        offset[t] = first
        place = _listed(row, source, first)
        for k in range(first, place):
            count[k] = row[source[k]]
    offset[frames.shape[0]] = place


@cached
def send(spikes, delay, out):
    """Output of a layer (T, N) from its neurons' spikes (T, N): one step later, and ``delay`` (N,) more. out starts at 0."""
    steps = spikes.shape[0]
    for t in range(steps):
        row = spikes[t]
        for first in range(0, row.size, WORD):
            found = word_of(row, first, min(first + WORD, row.size), row.dtype.type(0))
            while found != 0:
                n = first + lowest_bit(found)
                found &= found - 1
                later = t + 1 + delay[n]
                if later < steps:
                    out[later, n] = 1


@cached
def weigh(offset, source, count, synapse, image, out):
    """Weighted sums out (T, N) int32 of the events; out starts at 0; image: :func:`.synapses.image_of`."""
    for t in range(out.shape[0]):
        add(named(Synapse, synapse), source, count, offset[t], offset[t + 1], out[t], image)


@cached
def run_layer(layer, wiring, memory, events, clock, spikes, trace):
    """Run a layer of N neurons, filled up to M, over T steps.

    Parameters
    ----------
    layer : FixedM1T1R, FloatM1T1R or Cuba, as a plain tuple
        Neurons; their states are advanced in place.
    wiring : Wiring, as a plain tuple
        Constants of the layer.
    memory : Memory, as a plain tuple
        Changed in place.
    events : Events, as a plain tuple
        Of T steps.
    clock : int
        Steps run before these, for the ring.
    spikes : (T, N) uint8
        Receives the neurons' spikes, not yet shifted.
    trace : tuple of (T or 0, N)
        Receive the states after each step, in the order of ``neuron.state``.
    """
    neuron = neurons(layer)
    offset, source, count = events
    synapse, weight_rec, unit_rec, delay_rec, bias = named(Wiring, wiring)
    ring, filled, current, spike, image = memory
    size = spike.size
    for t in range(spikes.shape[0]):
        for n in range(size):
            store(current, n, load(bias, n))
        add(synapse, source, count, offset[t], offset[t + 1], current, image)
        slot = (clock + t) % RING
        if weight_rec.shape[0] > 0:
            add_rows(weight_rec, unit_rec, ring[slot], None, 0, filled[slot], current)
            filled[slot] = 0
        advance(neuron, current, spike)
        row = spikes[t]
        for n in range(row.size):
            store(row, n, load(spike, n))
        if weight_rec.shape[0] > 0:
            for k in range(_listed(row, current, 0)):  # in memory that is free by now
                n = current[k]
                due = (clock + t + 1 + delay_rec[n]) % RING
                ring[due, filled[due]] = n
                filled[due] += 1
        for k in range(len(trace)):
            if trace[k].shape[0] > 0:
                kept, now = trace[k][t], neuron.state[k]
                for n in range(kept.size):
                    kept[n] = now[n]


@cached
def step_layer(layer, current, spike):
    """One network step of a layer's neurons, a plain tuple, in place: what the Lava ProcessModels call."""
    advance(neurons(layer), current, spike)


@cached
def add_bias(a_in, bias, current):
    """Write into ``current`` (N,) int32 the sum, cut to 32 bits, of ``a_in`` (N,) int32 [counts] and ``bias`` (N,) float64 [units]."""
    for n in range(current.size):
        total = a_in[n] + np.rint(bias[n] * WEIGHT_ONE)
        store(current, n, np.int64(min(max(total, _LEAST), _MOST)))


@lru_cache(maxsize=1)
def compile_step() -> None:
    """Compile what 1M1T1R's ProcessModels call, fixed and floating: some seconds, or instant from numba's cache.

    Processes that are forked from this one then have it.
    """
    step = StepParams(DeviceParams())
    for floating, kind in ((False, np.int32), (True, np.float64)):
        step_layer(plain(m1t1r(step, 1, 0, 0, floating)), np.zeros(1, kind), np.zeros(1, np.int32))
    add_bias(np.zeros(1, np.int32), np.zeros(1), np.zeros(1, np.int32))
