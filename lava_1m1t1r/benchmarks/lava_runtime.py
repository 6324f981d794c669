"""Speed of one Lava graph, run in five ways: stock runtime, guarded, in process, and as one Process by steps or by whole samples.

``lava-1m1t1r bench lava``. The graph is source, 700-256R-20 of 1M1T1R neurons, sink; all ways must give the
same spikes. A second table shows Lava's own LIF neurons, a third compares Lava's Monitor with the Recorder.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from ..errors import require
from ..export.report import VerificationError
from ..netx.hdf5 import TAGS
from . import networks
from .table import Table, least, parser, positive, write_json


def ways(args: Any) -> Table:
    """Table of the network run in all five ways."""
    from . import in_lava

    table = Table(
        f"{args.steps} steps of a Lava graph of {networks.NAME} 1M1T1R neurons; shortest of {args.repeats} runs, start not counted.\n"
        "CPU: of all processes together; x: the stock runtime's time over this one's, on the clock and in CPU. All give the same spikes.",
        ("wall ms", "CPU ms", "CPU us/step", "x wall", "x CPU"),
    )
    net, frames = networks.tuned(), networks.spikes(1, args.steps)[0]
    for tag in TAGS:
        stock = in_lava.stock(net, frames, args.repeats, tag)
        rows = {
            "stock runtime": stock,
            "guarded": in_lava.watched(net, frames, args.repeats, tag),
            "in process": in_lava.in_process(net, frames, args.repeats, tag),
            "fused, a step a message": in_lava.fused(net, frames, args.repeats, tag, whole=False),
            "fused, a sample a message": in_lava.fused(net, frames, args.repeats, tag, whole=True),
        }
        for name, timing in rows.items():
            wrong = int(np.sum(timing.out != stock.out))
            good = wrong == 0 and stock.out is not None and stock.out.any()
            require(good, f"{name}, {tag}", "give the stock runtime's spikes, and some", f"{wrong} others", error=VerificationError)
            table.add(f"{name}, {tag}", *_row(timing, stock, args.steps))
    return table


def _row(timing: Any, stock: Any, steps: int) -> tuple[float, ...]:
    cpu = 1e6 * timing.cpu / steps
    return 1e3 * timing.wall, 1e3 * timing.cpu, cpu, stock.wall / timing.wall, stock.cpu / timing.cpu


def lif(args: Any) -> Table:
    """Table of a graph that has stock Processes only: RingBuffer, Dense, LIF."""
    table = Table(
        "The same shape of Lava's own RingBuffer, Dense and LIF (7 Processes)", ("wall ms", "CPU ms", "CPU us/step", "x wall", "x CPU")
    )
    for tag in TAGS:
        stock, spikes = _stock_lif(args, tag)
        timing, own = _lif_in_process(args, tag)
        same = np.array_equal(spikes, own) and spikes.any()
        require(same, f"in process, {tag}", "give the stock runtime's spikes", "others", error=VerificationError)
        table.add(f"stock runtime, {tag}", *_row(stock, stock, args.steps))
        table.add(f"in process, {tag}", *_row(timing, stock, args.steps))
    return table


def _stock_lif(args: Any, tag: str) -> tuple[Any, np.ndarray]:
    """Timing in Lava's runtime, and the spikes."""
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg

    from .in_lava import timed

    config = Loihi2SimCfg(select_tag=tag)
    hidden, sink = _lif_graph(args.steps * (1 + args.repeats), tag)
    try:
        return timed(lambda steps: hidden.run(RunSteps(num_steps=steps), config), args.steps, args.repeats), sink.data.get()
    finally:
        hidden.stop()


def _lif_in_process(args: Any, tag: str) -> tuple[Any, np.ndarray]:
    """The same in this process."""
    from lava.magma.core.run_configs import Loihi2SimCfg

    from ..run import InProcess
    from .in_lava import timed

    hidden, sink = _lif_graph(args.steps * (1 + args.repeats), tag)
    with InProcess(hidden, Loihi2SimCfg(select_tag=tag), timeout=120) as session:
        return timed(session.run, args.steps, args.repeats), sink.data.get()


def _lif_graph(steps: int, tag: str) -> tuple[Any, Any]:
    from lava.proc.dense.process import Dense
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer as Source
    from lava.proc.lif.process import LIF

    rng = np.random.default_rng(0)
    inputs, hidden, outputs = networks.SHAPE
    decays = dict(du=1024, dv=128, vth=40) if tag == "fixed_pt" else dict(du=0.25, dv=0.03, vth=40 * 64)
    weight = lambda n, m: np.clip(rng.normal(1400 / m, 20 * (700 / m) ** 0.5, (n, m)), -120, 120).astype(int)  # noqa: E731
    source, sink = Source(data=networks.spikes(1, steps)[0].T.astype(int)), Sink(shape=(outputs,), buffer=steps)
    layers = LIF(shape=(hidden,), **decays), LIF(shape=(outputs,), **decays)
    into, loop, out = (Dense(weights=weight(*shape)) for shape in ((hidden, inputs), (hidden, hidden), (outputs, hidden)))
    for sender, receiver in (
        (source.s_out, into.s_in),
        (into.a_out, layers[0].a_in),
        (layers[0].s_out, loop.s_in),
        (loop.a_out, layers[0].a_in),
        (layers[0].s_out, out.s_in),
        (out.a_out, layers[1].a_in),
        (layers[1].s_out, sink.a_in),
    ):
        sender.connect(receiver)
    return layers[0], sink


def recording(args: Any) -> Table:
    """Table of recording a hidden layer's voltages: by Lava's Monitor in Lava's runtime, and by the Recorder in process."""
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.monitor.process import Monitor

    from ..run import InProcess, Recorder

    table = Table("Recording v of 256 LIF neurons in that graph, start not counted", ("wall ms", "wall us/step"))
    config, steps = Loihi2SimCfg(select_tag="fixed_pt"), args.steps
    hidden, _ = _lif_graph(steps + 1, "fixed_pt")
    monitor, kept = Monitor(), {}
    monitor.probe(hidden.v, steps + 1)  # get_data takes a message for each value, also for those of steps that never come
    try:
        hidden.run(RunSteps(num_steps=1), config)
        time = least_once(lambda: hidden.run(RunSteps(num_steps=steps), config))
        read = least_once(lambda: kept.update(monitor.get_data()))
    finally:
        hidden.stop()
    table.add("Monitor in Lava's runtime", 1e3 * time, 1e6 * time / steps)
    table.add("  and get_data()", 1e3 * read, 1e6 * read / steps)
    hidden, _ = _lif_graph(steps + 1, "fixed_pt")
    recorder = Recorder(hidden.v, hidden.u, hidden.s_out)
    with InProcess(hidden, config) as session:
        session.run(1, record=recorder)
        time = least_once(lambda: session.run(steps, record=recorder))
    table.add("Recorder of v, u and s_out, in process", 1e3 * time, 1e6 * time / steps)
    expected = kept[hidden.name if hidden.name in kept else next(iter(kept))]["v"]
    require(
        np.array_equal(recorder[hidden.v], expected), "Recorder", "keep what Lava's Monitor keeps", "other values", error=VerificationError
    )
    return table


def least_once(job: Any) -> float:
    """Time of a job that can run once only [s]."""
    return least(job, 1, warm=False)


def options() -> argparse.ArgumentParser:
    """Options of the script."""
    asked = parser(__doc__)
    asked.add_argument("--steps", type=int, default=250, help="network steps of a run")
    return asked


def main(arguments: list[str] | None = None) -> int:
    """Print the tables."""
    args = options().parse_args(arguments)
    positive(args, "steps", "repeats")
    try:
        tables = [ways(args), lif(args), recording(args)]
    except ImportError as error:
        print(f"skipped: {error}")
        return 0
    write_json(args.json, [table.as_dict() for table in tables])
    return 0
