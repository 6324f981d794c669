"""``lava-1m1t1r bench``: the speed tables; peers that are not installed are skipped with a word."""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib.util import find_spec

TABLES = {
    "device": "device_speed",
    "training": "training_step",
    "simulation": "simulation_speed",
    "lava": "lava_runtime",
}


def available() -> dict[str, str]:
    """Tables whose script is installed."""
    return {name: script for name, script in TABLES.items() if find_spec(f"lava_1m1t1r.benchmarks.{script}")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("table", nargs="*", choices=[*available(), "all"], default="all", help="which tables to print")


def run(args: argparse.Namespace) -> int:
    """Run each table in a process of its own, so that no library's threads disturb another's."""
    tables = available()
    wanted = list(tables) if "all" in args.table or args.table == "all" else args.table
    codes = [subprocess.call([sys.executable, "-m", f"lava_1m1t1r.benchmarks.{tables[name]}"]) for name in wanted]
    return max(codes, default=0)
