"""Running a network one step at a time, for live input."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from ..delay_lines import LinesRun
from ..description import NetDescription, check_frames, check_sums
from ..errors import array_of, require
from .kernels import Events
from .network import FastNetwork, RunningLayer, events_of


class Stream:
    """A network that runs step by step, with the same outputs as :meth:`.FastNetwork.run`.

    Parameters
    ----------
    network : FastNetwork or NetDescription
        The network; it may be shared by any number of streams.
    """

    def __init__(self, network: Any):
        cure = "Read it from a file with netx.schema.read."
        require(isinstance(network, (FastNetwork, NetDescription)), "Stream.network", "be a NetDescription or FastNetwork", network, cure)
        self.network = network if isinstance(network, FastNetwork) else FastNetwork(network)
        self._sums = self.network.net.active[0].sums()
        self.reset()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.network}, after {self.steps} steps)"

    def __copy__(self) -> Stream:
        """Return another stream of the same network that continues from the present state."""
        return copy.deepcopy(self, {id(self.network): self.network})

    def reset(self) -> None:
        """Back to rest, generators rewound."""
        self._whole = False
        self._layers = [_StepLayer(RunningLayer(layer)) for layer in self.network.layers]
        lines = self.network.net.delay_lines
        self._lines = None if lines is None else LinesRun(lines.own_delay, lines.inputs)
        self.steps = 0
        self._whole = True

    def step(self, frame: Any) -> np.ndarray:
        """Take the spike counts (C,) of one step; returns the output (C_out,) of that step.

        After a step that was broken off, as by Ctrl-C, the stream goes on only from a :meth:`reset`: some layers have done it, others not.
        """
        self._check_whole()
        frame = array_of(frame, "frame", "hold numbers: whole spike counts (C,)")
        channels = self.network.net.inputs
        require(frame.shape == (channels,), "frame", f"have shape ({channels},): one step of the network's channels", frame.shape)
        out = check_frames(frame[None, None], self.network.net)[0]
        if self._lines is not None:
            out = self._lines.due(out[0])[None]
            check_sums(out, self._sums)  # frames that arrive together: each of them was checked alone
        self._whole = False
        for layer in self._layers:
            out = layer.step(events_of(out))
        if self._lines is not None:
            self._lines.now += 1
        self.steps += 1
        self._whole = True
        return out[0]

    def _check_whole(self) -> None:
        cure = "Call its reset(), or go on with a copy that was made before."
        require(self._whole, "Stream", "have ended its last step", "one that was broken off, as by Ctrl-C, or goes on", cure)

    def due(self) -> np.ndarray:
        """Spikes (C_out,) that leave in the coming step; they do not depend on its frame.

        Raises
        ------
        InputError
            For a network whose output is no spikes: sums of the coming step depend on its frame.
        """
        self._check_whole()
        require(self.network.net.spiking, "network", "have spikes as its output", self.network.net.active[-1].kind)
        return self._layers[-1].due()

    def states(self) -> list[dict[str, np.ndarray]]:
        """States of each layer now, by name: views, to be read only."""
        found = []
        for layer in self._layers:
            fast = layer.run.fast
            states: tuple[np.ndarray, ...] = layer.run.neuron.state if fast.state_names else ()
            found.append({name: state[: fast.size] for name, state in zip(fast.state_names, states, strict=True)})
        return found


class _StepLayer:
    """A layer, and its spikes that have not left it yet."""

    def __init__(self, run: RunningLayer):
        self.run = run
        size = run.fast.size
        self.outgoing = LinesRun(1 + run.fast.delay, size, np.uint8)
        self.spikes = np.zeros((1, size), np.uint8)
        self.nothing = tuple(np.zeros((0, size), s.dtype) for s in run.neuron.state) if run.fast.neuron is not None else ()

    def step(self, events: Events) -> np.ndarray:
        fast = self.run.fast
        if fast.neuron is None:
            out = np.zeros((1, fast.size), np.int32)
            self.run.weigh(events, out)
            return out
        self.run.neurons(events, 1, self.spikes, self.nothing)
        if not fast.spiking:
            return self.run.neuron.state[1][None, : fast.size].copy()
        return self.outgoing.step(self.spikes[0])[None]

    def due(self) -> np.ndarray:
        """Spikes (N,) that leave in the coming step, whatever it brings."""
        return self.outgoing.due(self.spikes[0])
