"""``lava-1m1t1r simulate``: run a network on utterances and write the outputs of every layer."""

from __future__ import annotations

import argparse

import numpy as np

from .._support.files import as_json, write_npz
from .._support.lava_loading import load_lava
from ._common import json_argument, network_argument, network_path, out_file, talking
from ._samples import array_arguments, data_arguments, samples


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    network_argument(parser)
    data_arguments(parser)
    array_arguments(parser)
    parser.add_argument(
        "--backend",
        choices=("fast", "inprocess", "lava"),
        default="fast",
        help="fast: compiled loops; inprocess: Lava in this process; lava: Lava's runtime",
    )
    parser.add_argument("--tag", choices=("fixed_pt", "floating_pt"), default="fixed_pt", help="number system")
    parser.add_argument(
        "-o",
        "--out",
        default="spikes.npz",
        help="file for what is computed (numpy .npz): layerI, the output (B, T, N) of each layer that computes, with I its number in the "
        "network's file, where layer 0 may be delay lines; answers, classes, labels (-1: not known) and dt",
    )
    json_argument(parser, "predicted classes and accuracy")


def run(args: argparse.Namespace) -> int:
    """Write the outputs of all layers, the predicted classes and the labels."""
    from ..answers import answers
    from ..netx.hdf5 import RUNNER, predict
    from ..netx.schema import read

    out = out_file(args.out, ".npz")
    if args.backend != "fast":
        load_lava(RUNNER, f"--backend {args.backend}")
    with talking(args):
        net = read(network_path(args.net))
        tested = samples(args, net)
        test = tested.frames
        result = predict(net, test.dense(), args.backend, tag=args.tag, record="spikes")
    given = answers(result.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    layers = {f"layer{layer.index}": run.out for layer, run in zip(net.active, result.layers, strict=True)}
    named = [net.classes[i] for i in given] if net.classes else None
    of_all = {"answers": given, "labels": test.labels, "dt": net.dt or 0.0, "classes": np.array(net.classes, str)}
    write_npz(out, of_all | layers, np.savez_compressed)
    right = float(np.mean(given == test.labels)) if tested.labelled else None
    if args.json:
        how = {"utterances": len(test), "steps": tested.steps, "backend": args.backend, "tag": args.tag, "accuracy": right}
        where = {"data": tested.data, "held_out": tested.held_out}
        print(as_json({**where, **how, "answers": given, "names": named, "labels": test.labels, "out": out}))
        return 0
    told = "" if right is None else f" {right:.2%} correct;"
    print(f"{tested.text(net.dt)}, on {args.backend} ({args.tag}):{told} wrote {out}")
    return 0
