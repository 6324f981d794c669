"""A network as a Lava graph, for the speed tables: built anew for each runner, timed per step."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg

from ..description import NetDescription
from ..netx.graph.process import Network
from ..netx.terminal.process import Frames, Tap
from ..run import InProcess, guarded
from .table import cpu_of


class Timing(NamedTuple):
    """Time of one way to run a graph."""

    wall: float
    """Shortest time of a run on the clock [s]."""
    cpu: float
    """Shortest processor time of a run, summed over all processes [s]."""
    out: np.ndarray | None = None
    """Output (T, C_out) of the first run."""


def timed(run: Callable[[int], Any], steps: int, runs: int) -> Timing:
    """Time ``run(steps)``, ``runs`` times. One call before them, which may compile and start a graph, does not count."""
    walls, cpus = [], []
    for _ in range(1 + runs):
        children = [child.pid for child in multiprocessing.active_children() if child.pid is not None]
        before, wall = cpu_of([os.getpid(), *children]), time.perf_counter()
        run(steps)
        walls.append(time.perf_counter() - wall)
        after = cpu_of(before)  # one that has ended is of another graph or of a pool: this graph lives on
        cpus.append(sum(after.values()) - sum(before[pid] for pid in after))
    return Timing(min(walls[1:]), min(cpus[1:]))


class Graph:
    """Graph of source, network and tap for ``runs`` timed runs of the frames (T, C); with ``whole``, each sample is one message."""

    def __init__(self, net: NetDescription, frames: np.ndarray, runs: int, whole: bool = False) -> None:
        steps = frames.shape[0]
        sent = np.tile(frames[None], (1 + runs, 1, 1)) if whole else np.tile(frames, (1 + runs, 1))
        self.network = Network(net, sample_steps=steps) if whole else Network(net, reset_interval=steps)
        self.source, self.tap = Frames(frames=sent), Tap(shape=self.network.out.shape, steps=len(sent))
        self.source.s_out.connect(self.network.inp)
        self.network.out.connect(self.tap.a_in)
        self.runs, self.steps, self.whole = runs, steps, whole

    def time(self, run: Callable[[int], Any]) -> Timing:
        """Time ``run(messages)`` over all of the graph's runs."""
        timing = timed(run, 1 if self.whole else self.steps, self.runs)
        values = self.tap.values()
        return timing._replace(out=values[0] if self.whole else values[: self.steps])


def stock(net: NetDescription, frames: np.ndarray, runs: int, tag: str) -> Timing:
    """Time the network in Lava's own runtime, used as Lava's documentation says."""
    graph = Graph(net, frames, runs)
    config = Loihi2SimCfg(select_tag=tag)
    try:
        return graph.time(lambda steps: graph.network.run(condition=RunSteps(num_steps=steps), run_cfg=config))
    finally:
        graph.network.stop()


def watched(net: NetDescription, frames: np.ndarray, runs: int, tag: str) -> Timing:
    """Time the network in Lava's runtime under the safety net (:func:`.run.guarded`)."""
    graph = Graph(net, frames, runs)
    with guarded(graph.network, Loihi2SimCfg(select_tag=tag), timeout=120) as session:
        return graph.time(session.run)


def in_process(net: NetDescription, frames: np.ndarray, runs: int, tag: str) -> Timing:
    """Time the same ProcessModels in this process."""
    graph = Graph(net, frames, runs)
    with InProcess(graph.network, Loihi2SimCfg(select_tag=tag), timeout=120) as session:
        return graph.time(session.run)


def fused(net: NetDescription, frames: np.ndarray, runs: int, tag: str, whole: bool) -> Timing:
    """Time the network as one Process in Lava's runtime: a message per step, or (``whole``) per sample."""
    from ..netx.fused import FusedSimCfg

    graph = Graph(net, frames, runs, whole)
    with guarded(graph.network, FusedSimCfg(graph.network, select_tag=tag), timeout=120) as session:
        return graph.time(session.run)
