"""``lava-1m1t1r bench``: tables of speed and accuracy; peers that are not installed are skipped with a word."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from .._support import programs
from .._support.files import scratch, write_text
from ..errors import require
from ._common import check_whole, json_argument, out_folder

TABLES = {
    "device": ("device_speed", "continuous time: one device beside ngspice, a thousand unequal ones"),
    "training": ("training_step", "forward and backward of a recurrent layer beside lava-dl, snnTorch, Norse, a PyTorch loop"),
    "simulation": ("simulation_speed", "the fast path beside Lava, Brian2, Norse, snnTorch; time over activity, size, threads"),
    "lava": ("lava_runtime", "one Lava graph: stock runtime, guarded, in process, fused, by samples; Monitor and Recorder"),
    "accuracy": ("accuracy", "unheard voices: 1M1T1R beside CUBA, adaptive LIF, LSNN, GRU, equal budgets (an hour or more)"),
    "ablation": ("ablation", "plasticity, noise, refractoriness switched off, several seeds (ten minutes or more)"),
    "variation": ("variation", "accuracy over device-to-device variation, trained on one device and trained for variation"),
}
"""Module and description of each table, by its name on the command line."""
LONG = ("accuracy", "ablation", "variation")
"""Tables that train networks, and are printed only when named."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "table",
        nargs="*",
        choices=[*TABLES, "all"],
        default="all",
        help="which tables to print; all: those of speed, without accuracy, ablation and variation",
    )
    parser.add_argument("--list", action="store_true", help="name the tables and end")
    parser.add_argument("-o", "--out", help="folder for the tables as JSON, one file each")
    json_argument(parser, "the tables")
    parser.add_argument("--help-table", action="store_true", help="print the options of the table named, which may be given here too")
    parser.set_defaults(others=[])  # takes options that it does not know, for the table
    parser.add_argument("--repeats", type=int, help="the shortest of so many runs counts, or so many seeds; default: each table's own")


def run(args: argparse.Namespace) -> int:
    """Run each table in a process of its own, so that no library's threads disturb another's."""
    named = ["all"] if args.table == "all" else args.table
    own = [*args.others, *(["--help"] if args.help_table else [])]
    alone = len(named) == 1 and named[0] in TABLES and not args.list
    given = " ".join([*args.others, *(["--help-table"] if args.help_table else [])])
    require(not given or alone, given, "come with one table", args.table, "Its options are its own.")
    if args.list:
        tables = {name: text for name, (_, text) in TABLES.items()}
        print(json.dumps(tables, indent=1) if args.json else "\n".join(f"{name:12s}{text}" for name, text in tables.items()))
        return 0
    check_whole(args, repeats=1)
    out = None if args.out is None else out_folder(args.out, *(f"{name}.json" for name in TABLES))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    short = [name for name in TABLES if name not in LONG]
    wanted = [name for table in named for name in (short if table == "all" else [table])]
    codes, found = [], {}

    with scratch("bench-") as spare:
        for name in dict.fromkeys(wanted):
            file = Path(spare) / f"{name}.json"
            options = ["--json", str(file), *([] if args.repeats is None else ["--repeats", str(args.repeats)]), *own]
            command = [sys.executable, "-m", "lava_1m1t1r.benchmarks", TABLES[name][0], *options]
            done = programs.run(command, ours=True, stdout=sys.stderr if args.json else None)
            codes.append(abs(done.returncode))
            if done.returncode == 0 and file.is_file():
                text = file.read_text(encoding="utf-8")
                found[name] = json.loads(text)
                if out is not None:
                    write_text(out / file.name, text)
    if args.json:
        print(json.dumps(found, indent=1))
    return max(codes, default=0)
