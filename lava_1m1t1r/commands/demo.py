"""``lava-1m1t1r demo``: the complete workflow in one command."""

from __future__ import annotations

import argparse

from .._support.claim import claimed
from .._support.files import as_json
from ..datasets.spoken_digits import TEST_PER_CLASS, TRAIN_PER_CLASS
from ..recipes import CHECKPOINT_FILE, CUBA_FILE, NETWORK_FILE, RESULTS_FILE
from ..report.html import PAGE_FILE
from ._common import check_whole, json_argument, out_folder, ready_torch, require_figures, require_training, talking


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--data", help="a file in SHD's format, or a folder with shd_train.h5 and shd_test.h5; default: synthesised spoken digits"
    )
    parser.add_argument("--leave-out", help="speaker (name or number) of the file to use as the test set; default: the last one")
    parser.add_argument("--test-data", help="a second file in SHD's format to use as the test set")
    parser.add_argument("-o", "--out", default="report", help="folder for report.html, results.json, network and checkpoint")
    parser.add_argument("--epochs", type=int, help="passes over the training set")
    parser.add_argument("--seed", type=int, help="random seed")
    parser.add_argument("--lava-utterances", type=int, default=50, help="number of test utterances that also run in Lava's own runtime")
    parser.add_argument("--no-cuba", action="store_true", help="do not train the CUBA network for comparison")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="continue from the checkpoint in the folder, with the same options; start anew if there is none",
    )
    parser.add_argument("--train-per-class", type=int, help=f"spoken digits: training utterances per class (default {TRAIN_PER_CLASS})")
    parser.add_argument("--test-per-class", type=int, help=f"spoken digits: test utterances of each class (default {TEST_PER_CLASS})")
    json_argument(parser, "the results")


def run(args: argparse.Namespace) -> int:
    """Run it; 0 if all implementations agree."""
    from ..recipes import data
    from ..recipes.demo import demo
    from ..recipes.task import recipe, recipe_for

    check_whole(args, epochs=1, train_per_class=1, test_per_class=1, seed=0, lava_utterances=0)
    files = (CHECKPOINT_FILE, NETWORK_FILE, CUBA_FILE, RESULTS_FILE)
    out = out_folder(args.out, *files, f"cuba/{CHECKPOINT_FILE}", PAGE_FILE)
    require_training()
    require_figures("The report")
    ready_torch()
    task = recipe(recipe_for(args.data)).replace(epochs=args.epochs, seed=args.seed)
    with talking(args), claimed(out, "--out", "training"):
        split = data.load(args.data, args.leave_out, args.test_data, args.train_per_class, args.test_per_class)
        task = data.fitted(task, split)
        results = demo(task, split, out, lava_utterances=args.lava_utterances, with_cuba=not args.no_cuba, resume=args.resume)
    failed = 1 if any(results["mismatches"].values()) else 0
    if args.json:
        print(as_json(results))
        return failed
    print(
        f"accuracy {results['accuracy']:.1%} (chance {100 * results['chance']:.3g}%)"
        + (f", CUBA {results['cuba_accuracy']:.1%}" if results["cuba_accuracy"] is not None else "")
        + f"; values that differ: {results['mismatches']}; {results['seconds']:.0f} s"
    )
    print(f"report: {results['report']}")
    return failed
