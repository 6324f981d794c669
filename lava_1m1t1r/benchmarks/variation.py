"""Accuracy versus device-to-device variation: a network trained on one device, and one trained for devices that vary.

The device is calibrated (its preset); every rate, R_c and V_th of every neuron is then drawn around it (DeviceParams.with_variation),
as in a chip whose devices have not been measured. The weights are unchanged. All numbers are of the fixed-point network on unseen voices.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from .._support.files import check_place, scratch
from ..datasets.spoken_digits import TEST_PER_CLASS, TRAIN_PER_CLASS
from ..errors import counted
from ..recipes import NETWORK_FILE, data
from ..recipes.task import SPOKEN_DIGITS, recipe
from .table import Table, digest_of, parser, positive, write_json

LEVELS = (0.0, 0.05, 0.1, 0.2, 0.3)
TRAINED_FOR = 0.2


def main(arguments: list[str] | None = None) -> int:
    """Train, apply variation, print."""
    options = parser(__doc__, repeats=5, of="chips drawn at each level")
    options.add_argument("--epochs", type=int, help="passes over the training set; default: the recipe's")
    options.add_argument("--hidden", type=int, help="recurrent neurons; default: the recipe's")
    options.add_argument("--train-per-class", type=int, default=TRAIN_PER_CLASS, help="training utterances of each class of SpokenDigits")
    options.add_argument("--test-per-class", type=int, default=TEST_PER_CLASS, help="test utterances of each class of SpokenDigits")
    options.add_argument("--folder", type=Path, help="where networks are kept: those found there are not trained again")
    args = options.parse_args(arguments)
    positive(args, "repeats", "train_per_class", "test_per_class")
    if args.folder is not None:
        check_place(args.folder, "--folder", args.folder)
    from ..recipes import fit  # noqa: F401  before data are made: says what to install

    split = data.load(train_per_class=args.train_per_class, test_per_class=args.test_per_class)
    task = data.fitted(recipe(SPOKEN_DIGITS).replace(epochs=args.epochs, hidden=args.hidden), split)
    train, test = data.frames_of(split.train, task), data.frames_of(split.test, task)
    table = Table(
        f"accuracy [%] on {split.name}, {split.held_out}: {len(train)} and {len(test)} utterances, {task.hidden} neurons, "
        f"{counted(task.epochs, 'epoch')}; mean and standard deviation of {counted(args.repeats, 'chip')}",
        tuple(f"{level:.0%}" for level in LEVELS),
    )
    with scratch() as spare:
        folder = args.folder or Path(spare)
        for name, variation in (("trained on one device", 0.0), (f"trained for {TRAINED_FOR:.0%}", TRAINED_FOR)):
            net = _trained(task.replace(variation=variation), train, folder)
            table.add(name, *(_cell(net, test, level, args.repeats) for level in LEVELS))
    write_json(args.json, [table.as_dict()])
    return 0


def _trained(task, train, folder):
    from ..netx.schema import read
    from ..recipes import fit, network
    from ..recipes.augment import Augmentation

    augmentation = Augmentation.suiting(task)
    settings = {"task": asdict(task), "augmentation": asdict(augmentation), "data": train.digest}
    folder = folder / f"variation_{task.variation:g}_{digest_of(settings)}"
    path = folder / NETWORK_FILE
    if not path.is_file():
        net = network.m1t1r(task)
        fit.fit(net, task, train, folder, augmentation=augmentation)
        net.eval()
        net.export(path)
    return read(path)


def _cell(net, test, level: float, repeats: int) -> str:
    from ..recipes.evaluate import accuracy, with_varied_devices

    found = [100 * accuracy(with_varied_devices(net, level, seed), test) for seed in range(repeats if level else 1)]
    spread = np.std(found, ddof=1) if len(found) > 1 else np.nan
    return f"{np.mean(found):.1f} +- {spread:.1f}" if level else f"{found[0]:.1f}"
