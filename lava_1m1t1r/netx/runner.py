"""Running samples through the Lava Process of a network: one graph, one run, a reset between samples."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.io.sink import Read

from .._support.progress import bar
from ..description import NetDescription
from ..fast.network import LayerRecord, Result
from ..fast.neurons import CUBA_STATES, STATES
from ..layers import M1T1RNeuron
from ..run import Guarded, InProcess, Recorder, guarded
from .fused import FusedSimCfg
from .graph.process import AbstractBlock, Network
from .terminal.process import Frames, Tap

_PARTS = 50  # of a run whose bar is shown
_SHORTEST_TIMEOUT = 1e-3  # s: a run that is late ends by its own error, which says where it stood


def run(net: NetDescription, frames: np.ndarray, backend: str, tag: str, record: str | None, timeout: float) -> Result:
    """Run samples one after the other through Lava.

    Parameters
    ----------
    net : NetDescription
        The network.
    frames : (B, T, C) int
        Spike counts.
    backend : {"inprocess", "fused", "lava"}
        As in :func:`.hdf5.predict`.
    tag : {"fixed_pt", "floating_pt"}
        Number system.
    record : None, "spikes" or "all"
        As in :func:`.hdf5.predict`.
    timeout : float
        Longest wall time [s].
    """
    batch, steps = frames.shape[:2]
    if backend == "fused":
        return Result(_fused(net, frames, tag, timeout), ())
    total = batch * steps + 1  # readouts come a step late
    network = Network(net, reset_interval=steps, input_message_bits=_message_bits(frames))
    source = Frames(frames=frames.reshape(batch * steps, -1))
    source.s_out.connect(network.inp)
    blocks = network.layers if record else network.layers[-1:]
    config = Loihi2SimCfg(select_tag=tag)
    if backend == "inprocess":
        values, states = _in_process(network, blocks, config, total, timeout, record == "all")
    else:
        values, states = _in_lava(network, blocks, config, total, timeout)
    records = []
    for block, sent, held in zip(blocks, values, states, strict=True):
        layer = block.layer
        shifted = sent[:-1] if layer.spiking else sent[1:]
        if layer.neuron is not None and not layer.spiking:
            shifted = held["v"]
        out = shifted.reshape(batch, steps, -1).astype(np.uint8 if layer.spiking else np.int32)
        by_sample = {name: value.reshape(batch, steps, -1) for name, value in held.items()}
        records.append(LayerRecord(out, None, by_sample if record == "all" else {}))
    return Result(records[-1].out, tuple(records) if record else ())


def _message_bits(frames: np.ndarray) -> int:
    return 0 if frames.max() <= 1 else 16


def _advance(session: Guarded | InProcess, steps: int, timeout: float, **how: Any) -> None:
    """Run ``steps`` within ``timeout`` seconds: at once, or in parts where a bar is shown, which then tells how far it is."""
    end = time.monotonic() + timeout
    with bar(title="Lava", total=steps, unit="steps") as shown:
        part = steps if shown.disable else -(-steps // _PARTS)
        for start in range(0, steps, part):
            count = min(part, steps - start)
            session.run(count, timeout=timeout, **how)
            timeout = max(end - time.monotonic(), _SHORTEST_TIMEOUT)
            shown.update(count)


def _fused(net: NetDescription, frames: np.ndarray, tag: str, timeout: float) -> np.ndarray:
    network = Network(net, sample_steps=frames.shape[1], input_message_bits=_message_bits(frames))
    source, tap = Frames(frames=frames), Tap(shape=network.out.shape, steps=frames.shape[0])
    source.s_out.connect(network.inp)
    network.out.connect(tap.a_in)
    with guarded(network, FusedSimCfg(network, select_tag=tag), timeout) as session:
        _advance(session, frames.shape[0], timeout)
    return tap.values().astype(np.uint8 if net.spiking else np.int32)


def _state_names(block: AbstractBlock, record: bool) -> tuple[str, ...]:
    if block.neuron is None:
        return ()
    if isinstance(block.layer.neuron, M1T1RNeuron):
        return STATES if record else ()
    return CUBA_STATES if record or not block.layer.spiking else ()


def _in_process(network, blocks, config, total, timeout, record):
    names = [_state_names(block, record) for block in blocks]
    targets = [block.source() for block in blocks]
    variables = [getattr(block.neuron, name) for block, own in zip(blocks, names, strict=True) for name in own]
    recorder = Recorder(*targets, *variables)
    with InProcess(network, config, timeout) as session:
        _advance(session, total, timeout, record=recorder)
    recorded = recorder.given_away()
    states = [{name: recorded[getattr(block.neuron, name)][1:] for name in own} for block, own in zip(blocks, names, strict=True)]
    return [recorded[target] for target in targets], states


def _in_lava(network, blocks, config, total, timeout):
    taps = [Tap(shape=block.shape, steps=total) for block in blocks]
    # Inner layers are tapped at the leaf Process, the last one at the network's own port.
    for block, tap in zip(blocks[:-1], taps[:-1], strict=True):
        block.source().connect(tap.a_in)
    network.out.connect(taps[-1].a_in)
    readout = blocks[-1]
    voltage = readout.neuron is not None and not readout.layer.spiking
    if voltage:
        reader = Read(buffer=total)
        reader.connect_var(readout.neuron.v)
    with guarded(network, config, timeout) as session:
        _advance(session, total, timeout)
        states: list[dict[str, np.ndarray]] = [{} for _ in blocks]
        if voltage:
            states[-1]["v"] = session.get(reader.data).T.astype(np.int32)[1:]
        return [tap.values() for tap in taps], states
