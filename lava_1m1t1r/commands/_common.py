"""What several commands share: the network and frames that a user names."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import require

SHIPPED = "shipped"


def network_argument(parser: argparse.ArgumentParser) -> None:
    """Declare NET."""
    parser.add_argument("net", help=f"a .net file, or '{SHIPPED}': the small trained network that comes with the package")


def network_path(name: str) -> Path:
    """Path of the network the user named."""
    path = Path(__file__).resolve().parents[1] / "data" / "spoken_digits.net" if name == SHIPPED else Path(name)
    require(path.is_file(), "NET", "be an existing .net file, or 'shipped'", name)
    return path


def data_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where utterances come from."""
    parser.add_argument("--data", help="a file in SHD's format, or SHD's folder; default: spoken digits made on the spot (test voices)")
    parser.add_argument("--leave-out", help="use this speaker of the file only; default: the last one")
    parser.add_argument("--utterances", type=int, help="use only the first ones")


def test_frames(args: argparse.Namespace, net: Any) -> Any:
    """Frames of the test utterances, binned as the network asks."""
    from ..recipes import data
    from ..recipes.task import recipe

    require(args.utterances is None or args.utterances > 0, "--utterances", "be > 0", args.utterances)
    task = recipe("spoken-digits").replace(dt=net.dt, channels=net.inputs, classes=net.outputs)
    if args.data is None:
        from ..datasets import SpokenDigits

        require(args.leave_out is None, "--leave-out", "go with --data", args.leave_out)
        events = SpokenDigits(train=False)
    else:
        events = data.load(args.data, args.leave_out).test
    if args.utterances:
        events = events[: args.utterances]
    require(len(events) > 0, "--data", "hold at least one utterance", args.data)
    return data.frames_of(events, task.replace(n_steps=data.steps_for(events, task)))
