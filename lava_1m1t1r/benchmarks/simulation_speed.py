"""Speed of simulating a recurrent 1M1T1R network: the fast path compared with other simulators, and its scaling.

``lava-1m1t1r bench simulation``. One process (and those that Lava and Brian2 start), one sample at a time on one
core unless a row says otherwise. Peers that are not installed are skipped with a message. Lava and Brian2 run the same neuron and the same
network; Norse, snnTorch, SpikingJelly and JAX (``--jax PYTHON``) run LIF neurons, which have fewer states.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from .._support.cores import cores
from .._support.files import scratch
from ..description import NetDescription
from ..errors import counted, require
from ..export.report import VerificationError
from ..fast import FastNetwork, Stream
from ..netx.hdf5 import TAGS
from ..netx.schema import read
from ..recipes import SHIPPED_NETWORK
from . import networks
from .table import Table, found_by, jax_argument, least, parser, positive, require_jax, write_json

SIZES = (64, 128, 256, 512, 1024)
"""Numbers of hidden neurons for which the time of a step is measured."""
_SAMPLES = 32  # of the rows on several threads, and of batches
_LIMIT = 600  # seconds JAX may take


def side_by_side(args: Any) -> Table:
    """A network for the paper's task in every simulator."""
    table = Table(
        f"One sample of {args.steps} steps through {networks.NAME}, {networks.RATE:.0%} of the inputs spiking; "
        f"shortest of {args.repeats}.\n"
        "wall: on the clock; CPU: processor time of all processes together; x: CPU over that of the fast path in fixed point above.",
        ("wall ms", "CPU ms", "us/step", "x", "hidden rate"),
    )
    for substeps in (1, 4):
        net, frames = networks.tuned(substeps=substeps), networks.spikes(_SAMPLES, args.steps)
        mark = counted(substeps, "substep")
        base = _fast_rows(table, net, frames, mark, args)
        _lava_rows(table, net, frames[0], mark, base, args)
        if not args.no_brian2:
            _brian2_row(table, net, frames[0], mark, base, args)
        if substeps == 1:
            _torch_rows(table, frames, base, args)
            _jax_rows(table, base, args)
    net = read(SHIPPED_NETWORK)
    frames = networks.spikes(_SAMPLES, args.steps, net.inputs)
    base = _fast_rows(table, net, frames, f"shipped {net.sizes}", args)
    _lava_rows(table, net, frames[0], f"shipped {net.sizes}", base, args)
    return table


def _add(table: Table, name: str, steps: int, wall: float, cpu: float, base: float, rate: float | str = "") -> None:
    """Row of a sample of ``steps``: times on the clock and of the processor, the latter over ``base`` [s], and the hidden layer's rate."""
    table.add(name, 1e3 * wall, 1e3 * cpu, 1e6 * cpu / steps, cpu / base, rate)


def _times(job: Callable[[], Any], repeats: int, samples: int = 1) -> tuple[float, float]:
    """Shortest time on the clock and of the processor that a job takes for each of its samples [s]."""
    return least(job, repeats) / samples, least(job, repeats, process_time) / samples


def _fast_rows(table: Table, net: Any, frames: np.ndarray, mark: str, args: Any) -> float:
    """Rows of the fast path; CPU time of one sample in fixed point [s]."""
    base = 0.0
    for tag in ("fixed", "float"):
        fast = FastNetwork(net, floating=tag == "float")
        rate = networks.activity_of(fast, frames[:1])
        job = lambda fast=fast: fast.run(frames[:1], threads=1)  # noqa: E731
        wall, cpu = _times(job, args.repeats)
        base = base or cpu
        _add(table, f"fast path, {tag}, {mark}", args.steps, wall, cpu, base, rate)
        if tag == "fixed":
            job = lambda fast=fast: fast.run(frames, threads=2)  # noqa: E731
            wall, cpu = _times(job, args.repeats, len(frames))
            _add(table, f"  of {len(frames)} samples on 2 threads", args.steps, wall, cpu, base, rate)
    return base


def _lava_rows(table: Table, net: Any, frames: np.ndarray, mark: str, base: float, args: Any) -> None:
    try:
        from .in_lava import stock
    except ImportError as error:
        table.skip(f"Lava graph, {mark}", str(error))
        return
    if sys.platform != "linux":
        table.skip(f"Lava graph, {mark}", "only Linux can be told to run all of Lava's processes on one core")
        return
    allowed = os.sched_getaffinity(0)
    for tag in TAGS:
        expected = FastNetwork(net, floating=tag == "floating_pt").run(frames[None], threads=1).out[0]
        os.sched_setaffinity(0, {min(allowed)})  # one core for all of Lava's processes, as for the fast path
        try:
            timing = stock(net, frames, args.repeats, tag)
        finally:
            os.sched_setaffinity(0, allowed)
        _add(table, f"Lava graph, one core, {tag}, {mark}", args.steps, timing.wall, timing.cpu, base)
        wrong = int(np.sum(timing.out != expected)) if net.spiking else 0
        require(wrong == 0, f"Lava {tag}", "give the fast path's spikes", f"{wrong} others", error=VerificationError)


def _brian2_row(table: Table, net: Any, frames: np.ndarray, mark: str, base: float, args: Any) -> None:
    from . import in_brian2

    name = f"Brian2 C++, whole program, {mark}"
    try:
        with scratch() as folder:
            result = in_brian2.run(net, frames, Path(folder), args.repeats)
    except Exception as error:
        table.fail(name, error)
        return
    _add(table, name, args.steps, result.wall, result.cpu, base, result.rate)
    table.add("  its loop alone, wall", 1e3 * result.loop, "", 1e6 * result.loop / args.steps, result.loop / base, "")
    table.add("  and to make it", 1e3 * result.build, "", "", "", "")


def _torch_rows(table: Table, frames: np.ndarray, base: float, args: Any) -> None:
    from . import in_torch

    for name, build in in_torch.ROWS.items():
        try:
            run, rate = in_torch.ready(build, networks.SHAPE, frames[0], networks.ACTIVITY)
        except Exception as error:
            table.fail(name, error)
            continue
        for batch, said in ((frames[:1], name), (frames, f"  of {len(frames)} samples in a batch, one thread")):
            _add(table, said, args.steps, *_times(partial(run, batch), args.repeats, len(batch)), base, rate)


def _jax_rows(table: Table, base: float, args: Any) -> None:
    name = "jax.scan of current-based LIF"
    if args.jax is None:
        table.skip(name, "give --jax, the interpreter of an environment with it")
        return
    for batch, said in ((1, name), (_SAMPLES, f"  of {_SAMPLES} samples in a batch, one thread")):
        of = {"shape": networks.SHAPE, "batch": batch, "steps": args.steps, "rate": networks.RATE}
        order = json.dumps({**of, "activity": networks.ACTIVITY, "repeats": args.repeats})
        command = [args.jax, str(Path(__file__).with_name("simulation_jax.py")), order]
        found = found_by(command, _LIMIT)
        if table.left_out(said, found):
            continue
        _add(table, said, args.steps, found["wall"] / batch, found["cpu"] / batch, base, found["rate"])


def _neurons_alone(hidden: int, substeps: int, steps: int, repeats: int) -> float:
    """CPU time of a step [s] of neurons that all get input, from their bias: no event touches a weight."""
    first, last = networks.drawn((8, hidden, 1), substeps, bias=100).layers
    fast = FastNetwork(NetDescription((replace(first, kind="dense", weight_rec=None), last)))
    frames = np.zeros((1, steps, 8), np.uint8)
    return least(lambda: fast.run(frames, threads=1), repeats, process_time) / steps


def growth(args: Any) -> list[Table]:
    """Time of a step against activity, size, samples and threads."""
    rates = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
    table = Table(
        f"Time of a step of {networks.NAME} (1 substep, fixed) against the spikes in it (CPU)",
        ("input rate", "spikes/step", "us/step", "line us"),
    )
    net = networks.tuned()
    fast = FastNetwork(net)
    points = []
    for rate in rates:
        frames = networks.spikes(1, args.steps, rate=rate)
        run = fast.run(frames, record="spikes", threads=1)
        spikes = (int(frames.sum()) + run.spike_count) / args.steps
        points.append((rate, spikes, 1e6 * least(partial(fast.run, frames, threads=1), 2 * args.repeats, process_time) / args.steps))
    _, x, y = np.array(points).T
    slope, offset = np.polyfit(x[1:], y[1:], 1)
    for rate, spikes, time in points:
        table.add(f"input rate {rate:g}", rate, spikes, time, offset + slope * spikes)
    fit = 1 - np.var(y[1:] - offset - slope * x[1:]) / np.var(y[1:])
    table.add(f"line: {offset:.2f} us + {1e3 * slope:.1f} ns a spike, R2", fit, "", "", "")
    size = Table("Neurons alone, all under input (CPU)", ("substeps", "us/step", "ns/neuron/substep"))
    for substeps in (1, 4):
        times = [_neurons_alone(n, substeps, args.steps, args.repeats) for n in SIZES]
        for n, time in zip(SIZES, times, strict=True):
            size.add(f"{n} neurons", substeps, 1e6 * time, 1e9 * time / n / substeps)
        size.add("slope", substeps, "", 1e9 * np.polyfit(SIZES, times, 1)[0] / substeps)
    return [table, size, _threads(fast, args), _streaming(fast, args)]


def _threads(fast: FastNetwork, args: Any) -> Table:
    here = cores()
    table = Table(f"{_SAMPLES} samples on threads ({here} cores here)", ("wall us/sample", "speed-up"))
    frames = networks.spikes(_SAMPLES, args.steps)
    one = 0.0
    for threads in sorted({1, 2, here}):
        time = least(partial(fast.run, frames, threads=threads), args.repeats) / _SAMPLES
        one = one or time
        table.add(f"{threads} threads", 1e6 * time, one / time)
    return table


def _streaming(fast: FastNetwork, args: Any) -> Table:
    table = Table("Live input, a call a step (CPU)", ("us/step",))
    frames = networks.spikes(1, args.steps)[0]
    stream = Stream(fast)

    def job() -> np.ndarray:
        stream.reset()
        return np.stack([stream.step(frame) for frame in frames])

    require(np.array_equal(job(), fast.run(frames[None]).out[0]), "Stream", "give the batch's spikes", "others", error=VerificationError)
    table.add("Stream.step, equal to the batch", 1e6 * least(job, args.repeats, process_time) / args.steps)
    return table


def main(arguments: list[str] | None = None) -> int:
    """Print the tables."""
    options = parser(__doc__)
    options.add_argument("--steps", type=int, default=250, help="network steps of a sample")
    options.add_argument("--no-brian2", action="store_true", help="leave Brian2 out: its programs take minutes to compile")
    jax_argument(options, "jax")
    options.add_argument("--only", choices=("side-by-side", "growth"), help="one part only")
    args = options.parse_args(arguments)
    positive(args, "steps", "repeats")
    require_jax(args)
    parts: dict[str, Callable[[Any], Any]] = {"side-by-side": lambda a: [side_by_side(a)], "growth": growth}
    tables = [table for name, part in parts.items() if args.only in (None, name) for table in part(args)]
    write_json(args.json, [table.as_dict() for table in tables])
    return int(any("failed" in row for table in tables for row in table.rows))
