"""``lava-1m1t1r adapt``: adapt the biases of a network to a speaker whom its training has not heard."""

from __future__ import annotations

import argparse

import numpy as np

from .._support.files import as_json
from .._support.progress import hint
from ..errors import path_of, require
from ._common import check_whole, json_argument, network_argument, network_path, out_folder, talking
from ._samples import training_and_stranger


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    network_argument(parser)
    parser.add_argument("--data", help="what the network was trained on: a file in SHD's format, or the SHD folder; default: spoken digits")
    parser.add_argument(
        "--leave-out", metavar="SPEAKER", help="speaker of this file to adapt to, as left out in training; default: the last"
    )
    parser.add_argument("--stranger", metavar="FILE", help="a file of the speaker to adapt to instead; its labels are not looked at")
    parser.add_argument("--utterances", type=int, metavar="N", help="adapt to N utterances, drawn at random; default: all, 600 at most")
    parser.add_argument("--steps", type=int, help="time bins per utterance; default: the number of the training (see its results.json)")
    parser.add_argument("-o", "--out", default="adapted.net", metavar="NET", help="file for the adapted network")
    json_argument(parser, "how far neurons' numbers of spikes are from the usual ones, before and after")


def run(args: argparse.Namespace) -> int:
    """Write the adapted network; 1 if its neurons spike less as usual than before."""
    from ..netx.schema import read, write
    from ..recipes import adapt

    check_whole(args, utterances=1, steps=1)
    require(args.stranger is None or args.leave_out is None, "--leave-out", "not be used with --stranger", args.leave_out)
    out = path_of(args.out, "--out")
    require(out.suffix == ".net" and not out.is_dir(), "--out", "be a file ending in .net", args.out)
    out_folder(out.parent)
    with talking(args):
        net = read(network_path(args.net))
        adapt.first_layer(net)  # refuses others, before any work
        training, stranger, name, who = training_and_stranger(args, net)
        some = adapt.drawn(len(stranger), min(args.utterances or adapt.MOST_HEARD, adapt.MOST_HEARD))
        heard, usual = stranger.dense(some), adapt.rates(net, training.dense(adapt.drawn(len(training))))
        found = adapt.adapted(net, heard, usual)
        before, after = (float(np.abs(adapt.rates(one, heard) - usual).mean() / usual.mean()) for one in (net, found))
    people = 0 if stranger.speakers is None else len(np.unique(stranger.speakers[some]))
    if people > 1:
        hint(f"the utterances are of {people} speakers; an adapted network suits one (--leave-out)")
    if after > before:
        hint("the neurons spike less as usual than before: these utterances may be too few, or all of one word")
    out.parent.mkdir(parents=True, exist_ok=True)
    write(out, found)
    if args.json:
        told = {"data": name, "speaker": who, "utterances": len(heard), "before": before, "after": after, "out": out}
        print(as_json(told))
    else:
        text = f"{name}, {who}: {len(heard)} utterances; neurons' numbers of spikes are {before:.0%} from the usual ones"
        print(f"{text}, adapted {after:.0%}; wrote {out}")
    return 1 if after > before else 0
