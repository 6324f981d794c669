"""``lava-1m1t1r deploy TARGET NET -o DIR``: export a network; a target refuses what it cannot do before anything is written."""

from __future__ import annotations

import argparse
import json

from ._common import network_argument, network_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from .. import export

    TARGETS = getattr(export, "TARGETS", {})
    parser.add_argument("target", choices=sorted(TARGETS), help="what to export for")
    network_argument(parser)
    parser.add_argument("-o", "--out", required=True, help="folder for the files: new, empty, or a former export")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Export and print the report."""
    from ..export import TARGETS

    report = TARGETS[args.target](network_path(args.net), args.out)
    print(json.dumps(report.as_dict(), indent=1, default=str) if args.json else report.text)
    return 0
