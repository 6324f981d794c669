"""Networks from ``.net`` files: as a Lava Process (:class:`Network`, loaded when asked for), and as a function (:func:`predict`)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from .._support.lava_loading import load_lava
from ..description import NetDescription, check_frames
from ..errors import number, require, workers_of
from ..fast.network import FastNetwork, Result, check_record
from .schema import described

if TYPE_CHECKING:
    from .graph.process import Network

BACKENDS = ("fast", "inprocess", "fused", "lava")
TAGS = ("fixed_pt", "floating_pt")
RUNNER = "lava_1m1t1r.netx.runner"
"""Module that runs networks in Lava, loaded by those who ask for it."""


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # Lava is optional, and slow to import: only who asks for the Process pays.
        if name == "Network":
            return load_lava("lava_1m1t1r.netx.graph.process", "The Lava Process Network").Network
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@overload
def predict(
    net: str | os.PathLike | NetDescription | FastNetwork,
    frames: Any,
    backend: str = "fast",
    *,
    tag: str | None = None,
    record: None = None,
    dt: float | None = None,
    threads: int | None = None,
    timeout: float | None = None,
) -> np.ndarray: ...


@overload
def predict(
    net: str | os.PathLike | NetDescription | FastNetwork,
    frames: Any,
    backend: str = "fast",
    *,
    tag: str | None = None,
    record: str,
    dt: float | None = None,
    threads: int | None = None,
    timeout: float | None = None,
) -> Result: ...


def predict(
    net: str | os.PathLike | NetDescription | FastNetwork,
    frames: Any,
    backend: str = "fast",
    *,
    tag: str | None = None,
    record: str | None = None,
    dt: float | None = None,
    threads: int | None = None,
    timeout: float | None = None,
) -> np.ndarray | Result:
    """Run samples through a network, each from rest.

    Parameters
    ----------
    net : path, NetDescription or FastNetwork
        The network. A FastNetwork saves its making in repeated calls (``backend="fast"``).
    frames : (B, T, C) int
        Spike counts of each channel and network step; images (C, H, W) are flat, row by row.
    backend : {"fast", "inprocess", "fused", "lava"}
        Compiled loops (no Lava needed); the Lava Process in this process; in Lava's own runtime, as one Process and a sample a
        message; or with a Process for each part of the network. The spikes are the same.
    tag : {"fixed_pt", "floating_pt"}, optional
        Number system. Default: a FastNetwork's own, else "fixed_pt".
    record : None, "spikes" or "all"
        Also return what every layer gave, on the fast path also its spikes before delays, and with "all" its states (not in Lava's own
        runtime). Not with the backend "fused", which shows the output only.
    dt : float, optional
        Bin width of the frames [s]; an error if it is not the network's step.
    threads : int, optional
        fast: samples at a time; all cores when not given.
    timeout : float, optional
        inprocess, fused, lava: longest wall time [s]; 60 s and 0.1 s a step when not given.

    Returns
    -------
    (B, T, C_out), or Result when recording
        uint8 spikes as lava-dl's blocks give them (those of step t - 1, at t), or the integers of a readout at t: weighted sums
        in weight counts (affine), sums over a group (average), voltages in 1/64 of a count (lava-dl's readouts with dynamics).
        A Result holds ``out`` and ``layers``, one :class:`.LayerRecord` a layer; Lava's own runtime gives ``out`` of the
        layers only (and ``v`` of a readout of voltages).

    Raises
    ------
    InputError, FormatError
        Before the run, for what does not fit.

    Notes
    -----
    Threads may call this at once, and so may forked processes. But a first call compiles or loads loops, and a process that is forked
    meanwhile may wait for ever: call it once before forking.
    """
    own = TAGS[net.floating] if isinstance(net, FastNetwork) else None
    tag = own or TAGS[0] if tag is None else tag
    require(isinstance(backend, str) and backend in BACKENDS, "backend", f"be one of {', '.join(BACKENDS)}", backend)
    require(isinstance(tag, str) and tag in TAGS, "tag", f"be one of {', '.join(TAGS)}", tag)
    check_record(record)
    require(record is None or backend != "fused", "record", "be None with backend='fused', which shows the output only", record)
    description = net.net if isinstance(net, FastNetwork) else described(net)
    dt = None if dt is None else number(dt, "dt of the frames [s]", above=0.0)
    timeout = None if timeout is None else number(timeout, "timeout [s]", above=0.0)
    threads = None if threads is None else workers_of(threads, "threads")
    require(
        dt is None or description.dt is None or np.isclose(dt, description.dt, rtol=1e-9, atol=0.0),
        "dt of the frames [s]",
        f"be the network's step, {description.dt} s",
        dt,
        "Bin the frames anew.",
    )
    require(own is None or backend != "fast" or tag == own, "tag", f"be that of the FastNetwork, {own!r}", tag)
    floating = tag == "floating_pt"
    require(not floating or description.has_floating, "tag", "be 'fixed_pt' for networks with CUBA layers", tag)
    if backend == "fast":
        fast = net if isinstance(net, FastNetwork) else FastNetwork(description, floating)
        result = fast.run(frames, record, threads)
    else:
        frames = check_frames(frames, description)
        runner = load_lava(RUNNER, f"predict with backend={backend!r}")
        timeout = 60.0 + 0.1 * frames.shape[0] * frames.shape[1] if timeout is None else timeout
        result = runner.run(description, frames, backend, tag, record, timeout)
    return result.out if record is None else result


__all__ = ["BACKENDS", "TAGS", "Network", "predict"]
