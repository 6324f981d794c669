"""``lava-1m1t1r evaluate``: accuracy of a network in fixed and floating point, and in Lava if requested."""

from __future__ import annotations

import argparse

from .._support.files import as_json, write_json
from .._support.lava_loading import load_lava
from .._support.progress import tell
from ..errors import counted, require
from ..report.html import EVALUATION_FILE, EVALUATION_PAGE, withdraw
from ._common import check_whole, json_argument, network_argument, network_path, out_folder, require_figures, talking
from ._samples import array_arguments, data_arguments, samples


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    network_argument(parser)
    data_arguments(parser)
    array_arguments(parser)
    parser.add_argument(
        "--lava", type=int, default=0, metavar="N", help="also run the first N utterances in Lava's runtime, with both tags"
    )
    parser.add_argument(
        "--layers",
        type=int,
        default=0,
        metavar="N",
        help="also report on each layer of neurons, over the first N utterances: scales and rounding errors, silent and latched neurons "
        "(and those that drain too slowly to tell), agreement of floating with fixed point",
    )
    parser.add_argument("-o", "--out", metavar="FOLDER", help=f"also write {EVALUATION_PAGE} and {EVALUATION_FILE} into this folder")
    json_argument(parser, "accuracies, agreement, the confusion matrix and what --layers finds")


def run(args: argparse.Namespace) -> int:
    """Print accuracies and agreement; 1 if an implementation disagrees."""
    check_whole(args, lava=0, layers=0)
    out = None if args.out is None else out_folder(args.out, EVALUATION_PAGE, EVALUATION_FILE)
    if out is not None:
        require_figures("The report (--out)")
    from ..netx.hdf5 import RUNNER
    from ..netx.schema import read
    from ..quantisation import quantise_network
    from ..recipes.evaluate import evaluate, in_lava
    from ..reference_network import device_layers

    if args.lava:
        load_lava(RUNNER, "--lava")
    with talking(args):
        net = read(network_path(args.net))
        if args.layers:
            device_layers(net)  # refuses other networks, before any work
        tested = samples(args, net)
        require(tested.labelled, "--frames", "be used with --labels", args.frames, "Without labels, use `simulate`.")
        test = tested.frames
        result, fixed = evaluate(net, test)
        if args.lava:
            result.note_lava(in_lava(net, test, fixed, min(args.lava, len(test))))
        layers = quantise_network(net, test.dense(slice(args.layers))) if args.layers else []
    numbers = {
        "data": tested.data,
        "held_out": tested.held_out,
        "classes": list(net.classes),
        "utterances": len(test),
        "steps": tested.steps,
        **result.as_dict(),
        **({"layers": [layer.as_dict() for layer in layers]} if layers else {}),
    }
    if args.json:
        print(as_json(numbers))
    else:
        print(f"{tested.text(net.dt)}, {result.accuracy:.2%} correct in fixed point, {result.spikes:.1f} spikes each")
        if result.same_answer is not None:
            spikes = "" if result.float_spikes is None else f"; {result.float_spikes}"
            print(f"  {result.floating_accuracy:.2%} correct in floating point; same class on {result.same_answer:.2%}{spikes}")
        for sentence in (result.adaptation, result.guesses):
            if sentence:
                print(f"  {sentence}")
        for name, wrong in result.mismatches.items():
            differ = counted(wrong, "value") + (" differs" if wrong == 1 else " differ")
            print(f"  {name}: {differ} on {counted(result.compared[name], 'utterance')}")
        if layers:
            print(f"over the first {counted(min(args.layers, len(test)), 'utterance')}:", *layers, sep="\n")
    if out is not None:  # last: the numbers are safe, whatever ends the drawing
        from ..recipes.page import Found, page_of

        out.mkdir(parents=True, exist_ok=True)
        withdraw(out, EVALUATION_PAGE, EVALUATION_FILE)
        write_json(out / EVALUATION_FILE, numbers)
        page = page_of(Found(net, tested.data, tested.held_out, test, result, fixed))
        tell(f"report: {page.save(out / EVALUATION_PAGE)}")
    return 1 if any(result.mismatches.values()) else 0
