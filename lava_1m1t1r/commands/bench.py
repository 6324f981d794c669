"""``lava-1m1t1r bench``: tables of speed and accuracy; peers that are not installed are skipped with a message."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from .._support import programs
from .._support.files import scratch, write_text
from .._support.progress import tell
from ..benchmarks import TABLES
from ..errors import listed, require
from ._common import check_whole, json_argument, out_folder

LONG = ("accuracy", "ablation", "variation")
"""Tables that train networks; they are printed only when named."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "table",
        nargs="*",
        choices=[*TABLES, "all"],
        default="all",
        help=f"which tables to print; all: the speed tables, without {listed(LONG)}",
    )
    parser.add_argument("--list", action="store_true", help="list the tables and exit")
    parser.add_argument("-o", "--out", help="folder for the tables as JSON, one file each")
    json_argument(parser, "the tables")
    parser.add_argument("--help-table", action="store_true", help="print the options of the named table, which this command also accepts")
    parser.set_defaults(others=[])  # collects unknown options, for the table
    parser.add_argument(
        "--repeats",
        type=int,
        help="number of runs (of which the shortest counts), of seeds or of chips, depending on the table; see --help-table",
    )


def run(args: argparse.Namespace) -> int:
    """Run each table in its own process, so that the threads of one library do not disturb another."""
    named = ["all"] if args.table == "all" else args.table
    own = [*args.others, *(["--help"] if args.help_table else [])]
    alone = len(named) == 1 and named[0] in TABLES and not args.list
    given = " ".join([*args.others, *(["--help-table"] if args.help_table else [])])
    require(not given or alone, given, "be used with one table", args.table, "Each table has its own options.")
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
    for name in dict.fromkeys(wanted):
        code, text = _table(name, args, own)
        codes.append(code)
        if text is not None:
            found[name] = json.loads(text)
            if out is not None:
                write_text(out / f"{name}.json", text)
    if args.json:
        print(json.dumps(found, indent=1))
    return max(codes, default=0)


def _table(name: str, args: argparse.Namespace, own: list[str]) -> tuple[int, str | None]:
    """Exit code of a table's process, and the table as JSON if it came to its end, some rows failed or not."""
    with scratch("bench-") as spare:
        file = Path(spare) / f"{name}.json"
        options = ["--json", str(file), *([] if args.repeats is None else ["--repeats", str(args.repeats)]), *own]
        code = "from lava_1m1t1r.benchmarks.__main__ import main; sys.exit(main())"
        done = programs.run(programs.python(code, TABLES[name][0], *options), ours=True, stdout=sys.stderr if args.json else None)
        text = file.read_text(encoding="utf-8") if file.is_file() else None
    if done.returncode < 0:
        tell(f"{name}: its process was killed by signal {-done.returncode} (9: by hand, or because memory ran out).")
    return done.returncode if done.returncode >= 0 else 1, text
