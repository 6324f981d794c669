"""``lava-1m1t1r deploy TARGET NET -o DIR``: export a network; a target refuses what it does not support before anything is written."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from .._support.files import as_json
from .._support.progress import tell
from ..errors import require
from ._common import check_whole, json_argument, network_argument, network_path, talking
from ._samples import array_arguments, arrays_of, data_arguments, data_options, frames_to_test

SUMMARIES = {
    "c": "Freestanding integer C99. If samples are given, it is compiled, run on them and compared before it is written.",
    "loihi": "Loihi-style: the .net file, a resource report with the chip's limits, a hand-off package with golden traces of the samples.",
    "nir": "NIR graphs: the exact network, and a portable one with standard neurons, fitted on the samples.",
    "rtl": "Synthesizable Verilog-2001. If samples are given, it is simulated on them and compared before it is written.",
    "spice": "A netlist of crossbars and neurons. If samples are given: accuracy and energy, and ngspice runs of the first ones.",
}
OPTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "c": {
        "--name": {"default": "net", "help": "prefix of the C names"},
        "--flash-limit": {"type": int, "help": "bytes that the constants may take (the code comes on top: 1 to 3 kB, more if deep)"},
        "--ram-limit": {"type": int, "help": "bytes that the variables may take (the stack comes on top)"},
    },
    "loihi": {"--chips": {"type": int, "default": 1, "help": "number of chips that the network may use"}},
    "nir": {
        "--no-portable": {"dest": "portable", "action": "store_false", "help": "write only the exact graph"},
        "--no-delays": {"dest": "delays", "action": "store_false", "help": "leave the delays out of the portable graph"},
    },
    "rtl": {
        "--name": {"default": "net", "help": "name of the top module, and prefix of its memory files"},
        "--lanes": {"type": int, "default": 4, "help": "weights added per clock cycle, a power of two"},
        "--clock": {"dest": "clock_hz", "type": float, "default": 50e6, "help": "clock frequency for the times in the report [Hz]"},
        "--simulator": {"default": "verilator", "choices": ("verilator", "icarus"), "help": "simulator for the proof"},
        "--synthesise": {"action": "store_true", "help": "count cells with Yosys: minutes for large weight memories"},
    },
    "spice": {
        "--cells": {"default": "falcone2025", "help": "cells that hold the weights: ideal, wan2022 or falcone2025"},
        "--seed": {"type": int, "default": 0, "help": "random seed of programming errors and read noise"},
        "--patterns": {
            "type": int,
            "default": 4,
            "help": "number of samples for which a deck is written; small networks also run them in ngspice",
        },
        "--timeout": {"type": float, "default": 600.0, "help": "time limit for one pattern in ngspice [s]"},
    },
}
"""Options of each target, as argparse takes them; their ``dest`` is the name of the argument of the target's function."""

ALIASES = {"verilog": "rtl"}
"""Targets by other names."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the targets and their options."""
    from ..export import LABELLED

    targets = parser.add_subparsers(dest="target", metavar="TARGET", required=True)
    for target, summary in SUMMARIES.items():
        others = [name for name, meant in ALIASES.items() if meant == target]
        own = targets.add_parser(target, aliases=others, help=summary, description=summary, formatter_class=parser.formatter_class)
        network_argument(own)
        own.add_argument("-o", "--out", required=True, help="folder for the files: new, empty, or an earlier export, which is replaced")
        own.add_argument(
            "--prove",
            type=int,
            default=0,
            metavar="N",
            help="take N test utterances (with --frames, the first N of these, or all): c and rtl compare what their own tools make of "
            "them, spice simulates them (the first --patterns also in ngspice), nir compares what its files hold, loihi keeps them as "
            "golden traces",
        )
        data_arguments(own, utterances=False)
        array_arguments(own, labels=target in LABELLED)
        for name, settings in OPTIONS[target].items():
            own.add_argument(name, **settings)
        json_argument(own, "the report")
        own.set_defaults(own_parser=own, target=target)


def run(args: argparse.Namespace) -> int:
    """Export and print the report; 1 if the proof fails."""
    from ..export import TARGETS, ToolFailed, VerificationError
    from ..export.output import check_folder
    from ..netx.schema import read

    path = network_path(args.net)
    check_folder(args.out)
    check_whole(args, prove=0)
    for option, given in data_options(args).items():
        wanted = args.prove > 0 or args.frames is not None  # beside which they are refused for another reason
        require(wanted, option, "be used with --prove N", given, "Only the proof needs data.")
    net = read(path)
    names = (settings.get("dest", name.lstrip("-").replace("-", "_")) for name, settings in OPTIONS[args.target].items())
    options = {name: getattr(args, name) for name in names} | _samples(args, net)
    try:
        with talking(args):
            report = TARGETS[args.target](net, args.out, **options)
    except VerificationError as error:
        tell(f"lava-1m1t1r deploy: {'nothing is proven: ' if isinstance(error, ToolFailed) else ''}{error}")
        return 1
    print(as_json(report.as_dict()) if args.json else report.text)
    return 0


def _samples(args: argparse.Namespace, net: Any) -> dict[str, np.ndarray]:
    """Frames, and labels where the target takes them: test utterances or files."""
    from ..export import LABELLED
    from ..export.frames import batched

    arrays = arrays_of(args)
    if arrays:
        arrays["frames"] = batched(arrays["frames"])  # of one sample, the first axis is time
        size = len(arrays["frames"])
        if "labels" in arrays:  # before both are cut to the same length
            require(arrays["labels"].shape == (size,), "--labels", f"have the shape ({size},), one for each sample", arrays["labels"].shape)
        return {name: array[: args.prove or None] for name, array in arrays.items()}
    if not args.prove:
        return {}
    args.utterances = args.prove
    with talking(args):
        tested = frames_to_test(args, net)
    tell(f"the proof runs on {tested.text(net.dt)}")
    return {"frames": tested.frames.dense()} | ({"labels": tested.frames.labels} if args.target in LABELLED else {})
