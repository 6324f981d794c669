"""``lava-1m1t1r adapt``: adapt the biases of a network to a speaker whom its training has not heard."""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from .._support.files import as_json
from .._support.progress import hint
from ..errors import counted, require
from ._common import check_whole, json_argument, network_argument, network_path, out_file, talking
from ._samples import stranger_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    network_argument(parser)
    parser.add_argument(
        "--stranger",
        metavar="FILE",
        help="a file in SHD's format, of the speaker to adapt to. Its labels are not used, but the speaker should say all words about "
        "equally often: adapted to one word alone, a network may understand less than before",
    )
    parser.add_argument("--data", help="instead: the file that the network was trained on, or the SHD folder; default: spoken digits")
    parser.add_argument(
        "--leave-out",
        metavar="SPEAKER",
        help="speaker to adapt to: of a file, whom training left out (default: the last one); of SHD's folder and of spoken digits, one of "
        "the test set's (default: all of them)",
    )
    text = "adapt to N utterances, drawn at random; default and largest number: 600, because more tell no more"
    parser.add_argument("--utterances", type=int, metavar="N", help=text)
    parser.add_argument(
        "--steps", type=int, help="time bins per utterance, for a network whose file does not say how many it was trained on"
    )
    parser.add_argument("-o", "--out", default="adapted.net", metavar="NET", help="file for the adapted network")
    json_argument(parser, "how far neurons' numbers of spikes are from those of training, before and after,")


def run(args: argparse.Namespace) -> int:
    """Write the adapted network."""
    from ..netx.schema import read, write
    from ..recipes import adapt

    check_whole(args, utterances=1, steps=1)
    require(args.stranger is None or args.leave_out is None, "--leave-out", "not be used with --stranger", args.leave_out)
    source, out = network_path(args.net), out_file(args.out, ".net")
    require(not (out.exists() and out.samefile(source)), "--out", "be another file than the network's", args.out)
    with talking(args):
        net = read(source)
        adapt.first_layer(net)  # refuses others, before any work
        stranger = stranger_of(args, net)
        known = net.usual or adapt.usual_in(net, stranger.training)
        net, usual = replace(net, usual=known), known.spikes
        some = adapt.drawn(len(stranger.frames), min(args.utterances or adapt.MOST_HEARD, adapt.MOST_HEARD))
        drawn = stranger.frames.dense(some)
        heard = adapt.with_spikes(drawn)
        if len(heard) < len(drawn):
            hint(f"{len(drawn) - len(heard)} of {len(drawn)} utterances hold no spike, and are left out")
        found = adapt.adapted(net, heard)
        before, after = (float(np.abs(adapt.rates(one, heard) - usual).mean() / usual.mean()) for one in (net, found))
    speakers = stranger.frames.speakers
    people = 0 if speakers is None else len(np.unique(speakers[some]))
    if people > 1:
        hint(f"the utterances are of {people} speakers; an adapted network suits one")
    out.parent.mkdir(parents=True, exist_ok=True)
    write(out, found)
    if args.json:
        told = {"data": stranger.data, "speaker": stranger.who, "utterances": len(heard), "steps": heard.shape[1]}
        print(as_json(told | {"before": before, "after": after, "out": out}))
    else:
        bins = f"{counted(len(heard), 'utterance')} of {counted(heard.shape[1], 'bin')}"
        off = f"on average, neurons' numbers of spikes were {before:.0%} off those of training, and are now {after:.0%} off"
        print(f"{stranger.data}, {stranger.who}: {bins}; {off}; wrote {out}")
    return 0
