"""``lava-1m1t1r deploy TARGET NET -o DIR``: export a network; a target refuses what it cannot do before anything is written."""

from __future__ import annotations

import argparse

from ..errors import require
from ..files import as_json
from ..progress import tell
from ._common import check_numbers, data_arguments, json_argument, network_argument, network_path, out_folder, talking, test_frames


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
    json_argument(parser, "the report")


def run(args: argparse.Namespace) -> int:
    """Export and print the report; 1 if the proof fails."""
    from ..export import LABELLED, TARGETS, VerificationError
    from ..export.output import check_folder

    path = network_path(args.net)
    check_folder(args.out)
    out_folder(args.out)
    check_numbers(args, prove=0)
    for name in ("data", "leave_out", "all_speakers", "steps"):
        given = getattr(args, name)
        require(args.prove > 0 or not given, f"--{name.replace('_', '-')}", "come with --prove N", given, "Only the proof needs data.")
    require(args.utterances is None, "--utterances", "be left to --prove N, which says how many", args.utterances)
    options = {}
    if args.prove:
        from ..netx.schema import read

        args.utterances = args.prove
        with talking(args):
            tested = test_frames(args, read(path))
        test = tested.frames
        tell(f"the proof hears {tested.text}: {len(test)} utterances")
        options["frames"] = test.dense()
        if args.target in LABELLED:
            options["labels"] = test.labels
    try:
        with talking(args):
            report = TARGETS[args.target](path, args.out, **options)
    except VerificationError as error:
        tell(f"lava-1m1t1r deploy: {error}")
        return 1
    print(as_json(report.as_dict()) if args.json else report.text)
    return 0
