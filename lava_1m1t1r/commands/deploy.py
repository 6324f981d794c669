"""``lava-1m1t1r deploy TARGET NET -o DIR``: export a network; a target refuses what it cannot do before anything is written."""

from __future__ import annotations

import argparse
import json
import sys

from ..errors import require
from ._common import data_arguments, network_argument, network_path, test_frames


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from ..export import TARGETS

    parser.add_argument("target", choices=sorted(TARGETS), help="what to export for")
    network_argument(parser)
    parser.add_argument("-o", "--out", required=True, help="folder for the files: new, empty, or a former export")
    parser.add_argument(
        "--prove", type=int, default=0, metavar="N", help="run the export on N test utterances with the target's own tool and compare"
    )
    data_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Export and print the report; 1 if the proof fails."""
    from ..export import LABELLED, TARGETS, VerificationError

    path = network_path(args.net)
    require(args.prove >= 0, "--prove", "be >= 0", args.prove)
    options = {}
    if args.prove:
        from ..netx.schema import read

        args.utterances = args.prove
        test = test_frames(args, read(path))
        options["frames"] = test.dense()
        if args.target in LABELLED:
            options["labels"] = test.labels
    try:
        report = TARGETS[args.target](path, args.out, **options)
    except VerificationError as error:
        print(f"lava-1m1t1r deploy: {error}", file=sys.stderr)
        return 1
    print(json.dumps(report.as_dict(), indent=1, default=str) if args.json else report.text)
    return 0
