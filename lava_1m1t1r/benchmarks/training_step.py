"""Time and memory of one training step of a recurrent network (forward, loss, backward), compared with other libraries.

``lava-1m1t1r bench training --threads 2`` prints one table; each row runs in its own process, so that
libraries do not share threads or memory, on the same input and at about the same measured activity. Peers that are not installed are
skipped with a message. Those on JAX need a newer Python than Lava: :mod:`.training_jax` says how to make their environment, ``--jax``
takes its interpreter.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .._support.cores import cores
from .._support.programs import python
from ..errors import require
from . import training_jax, training_peers
from .table import Table, chosen, found_by, jax_argument, only_argument, parser, positive, require_jax, write_json
from .training_measure import Shape, measure

_LIMIT = 1800  # seconds a row may take
COLUMNS = ("least ms", "median ms", "CPU ms", "x first", "hidden rate", "input rate", "step MiB", "peak MiB")

_ROW = "from lava_1m1t1r.benchmarks.training_step import main; sys.exit(main())"
"""Measures a row in a process that holds nothing else: its memory is that of the row."""


def options() -> argparse.ArgumentParser:
    """Command line."""
    found = parser(__doc__)
    said = ("samples", "steps of a sample", "input channels", "recurrent neurons", "output neurons", "input spikes per step and channel")
    for (name, default), text in zip(Shape()._asdict().items(), said, strict=True):
        found.add_argument(f"--{name}", type=type(default), default=default, help=text)
    found.add_argument("--threads", type=int, default=min(2, cores()), help="threads of each library")
    found.add_argument("--activity", type=float, default=0.1, help="hidden spikes a step and neuron")
    only_argument(found)
    jax_argument(found, "jax and spyx")
    found.add_argument("--row", default=None, help=argparse.SUPPRESS)
    return found


def _row(name: str, order: dict[str, Any], jax: str | None) -> dict[str, Any]:
    """Measure a row in a process of its own; {"missing": why} without its library, {"failed": why} where it could have been measured."""
    threads = str(order["threads"])
    env = {**os.environ, "OMP_NUM_THREADS": threads, "NUMBA_NUM_THREADS": threads}
    if name in training_jax.ROWS:
        if jax is None:
            return {"missing": "give --jax, the interpreter of an environment with it"}
        command = [jax, str(Path(__file__).with_name("training_jax.py")), json.dumps(order)]
        return found_by(command, _LIMIT, env=env)
    if name.startswith("1M1T1R"):  # where its loops are still to be compiled, the compiler's memory would be told as that of training
        small = {**order, "shape": order["shape"]._replace(batch=2, steps=3)}
        found_by(python(_ROW, "--row", json.dumps(small)), _LIMIT, env=env)
    return found_by(python(_ROW, "--row", json.dumps(order)), _LIMIT, env=env)


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    args = options().parse_args(arguments)
    if args.row is not None:
        return _measure_here(json.loads(args.row))
    shape = Shape(*(getattr(args, name) for name in Shape._fields))
    positive(args, *Shape._fields, "threads", "repeats")
    require(args.rate <= 1, "--rate", "be at most 1, for a channel has one spike in a step", args.rate)
    require(0 < args.activity < 1, "--activity", "lie between 0 and 1", args.activity)
    require_jax(args)
    order = {"shape": shape, "threads": args.threads, "repeats": args.repeats, "activity": args.activity}
    clock = "CPU" if args.threads == 1 else "least"  # of one thread, the processor's time is right on a crowded machine too
    title = (
        f"B={shape.batch} T={shape.steps} {shape.inputs}-{shape.hidden}R-{shape.outputs}, {args.threads} thread(s), forward + loss + "
        f"backward, {args.repeats} steps, one process a row; x first: {clock} ms over those of the first row"
    )
    names = chosen([*training_peers.ROWS, *training_jax.ROWS], args.only)
    table, first = Table(title, COLUMNS), None
    for name in names:
        found = _row(name, {"row": name, **order}, args.jax)
        if table.left_out(name, found):
            continue
        spent = found["processor" if args.threads == 1 else "least"]
        first = spent if first is None else first
        table.add(
            name,
            *(found[key] for key in ("least", "median", "processor")),
            spent / first,
            *(found[key] for key in ("rate", "input rate", "memory", "peak")),
        )
    write_json(args.json, [{**table.as_dict(), "shape": shape._asdict(), "threads": args.threads}])
    return int(any("failed" in row for row in table.rows))


def _measure_here(order: dict[str, Any]) -> int:
    try:
        import torch

        torch.set_num_threads(order["threads"])
        torch.manual_seed(0)
        found: Mapping[str, float | str] = measure(
            training_peers.ROWS[order["row"]], Shape(*order["shape"]), order["repeats"], order["activity"]
        )
    except ImportError as error:
        found = {"missing": str(error)}
    print(json.dumps(found))
    return 0
