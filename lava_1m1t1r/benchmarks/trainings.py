"""What the tables of trainings share: a training with its test, results that are kept, options and their words in a title."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .._support import files
from .._support.files import check_place, scratch
from .._support.progress import hint, say
from ..answers import adapted_accuracy, winner
from ..description import NetDescription
from ..recipes import NETWORK_FILE, adapt, data
from ..recipes.augment import Augmentation
from ..recipes.task import RECORDINGS, Task, recipe
from .table import chosen, digest_of, only_argument, parser, positive

AUGMENTATION = Augmentation(channel_shift=3)
"""For SpokenDigits. Twice the channel shift was worth a point on voices kept apart, and nothing on the test voices (95.1 %, one seed)."""
FEW_VOICES = Augmentation.suiting(recipe(RECORDINGS))
"""For files."""


def trained(
    net: Any,
    task: Task,
    train: data.Frames,
    test: data.Frames,
    augmentation: Augmentation,
    fixed: bool,
    after: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Train a network, call ``after``, and let the network answer the test set.

    Parameters
    ----------
    net : Network
        Network to train in place.
    task : Task
        Its training.
    train, test : Frames
        Training and test set.
    augmentation : Augmentation
        Changes of the training utterances.
    fixed : bool
        Whether the exported 8-bit fixed-point network answers the test set; otherwise the network in torch.
    after : callable
        Called between training and test.

    Returns
    -------
    dict
        ``parameters``, ``accuracy`` [1], ``adapted_accuracy`` [1] (:func:`.answers.adapted_accuracy`), ``spikes`` of the hidden layer in
        an utterance (mean), ``cpu`` of training [s], and of the last epoch ``train_accuracy`` [1]; where biases can be
        adapted also ``biases_accuracy`` [1] (:func:`.adapt.accuracy_of_adapted`), and where ``fixed`` ``floating_accuracy`` if the network
        has a floating form.
    """
    from ..recipes import fit
    from ..recipes.evaluate import evaluate
    from . import floating
    from .peers import size_of

    epochs: list[dict[str, float]] = []

    def note(epoch: dict[str, float]) -> None:
        epochs.append(epoch)
        say(f"  epoch {epoch['epoch']} of {task.epochs}: {epoch['train_accuracy']:.1%} in training", sys.stderr)

    with scratch() as folder:
        start = time.process_time()
        fit.fit(net, task, train, folder, augmentation=augmentation, on_epoch=note, progress=False)
        cpu = time.process_time() - start
        after()
        net.eval()
        found: dict[str, Any] = {
            "parameters": size_of(net),
            "train_accuracy": epochs[-1]["train_accuracy"],
            "cpu": cpu,
        }
        if fixed:
            net.export(Path(folder) / NETWORK_FILE)
            file = adapt.note_usual(Path(folder) / NETWORK_FILE, train)
            result, _ = evaluate(file, test)
            of_result = ("accuracy", "adapted_accuracy", "floating_accuracy", "spikes")
            return {
                **found,
                **{name: getattr(result, name) for name in of_result},
                "biases_accuracy": _with_biases(file, test),
            }
    sums, spikes, _ = floating.run(net, test)
    right, adapted = float(np.mean(winner(sums) == test.labels)), adapted_accuracy(sums, test.labels, test.speakers)
    found |= {"accuracy": right, "adapted_accuracy": adapted, "spikes": spikes}
    if hasattr(net.hidden, "shift"):
        usual = floating.run(net, train, adapt.drawn(len(train))).means
        found["biases_accuracy"] = floating.accuracy_of_adapted(net, usual, test)
    return found


def _with_biases(net: NetDescription, test: data.Frames) -> float | None:
    """Share of right answers of the network whose biases are adapted to each speaker; None where they cannot be, as in a silent one."""
    if net.usual is None or not net.usual.spikes.any():
        return None
    return adapt.accuracy_of_adapted(net, test.dense(), test.labels, test.speakers)


def kept(folder: Path, name: str, settings: dict[str, Any], run: Callable[[], dict[str, Any]], told: str = "") -> dict[str, Any]:
    """Return the result of ``run``: from ``folder`` where a run with the same settings is kept whole, else by running it and keeping it
    there.

    ``told``: what is printed before it runs, by default ``name``.
    """
    words = "_".join("".join(c if c.isalnum() else " " for c in name).split())
    path = folder / f"{words}_{digest_of({'name': name, **settings})}.json"
    if path.is_file():
        try:
            return json.loads(path.read_text(encoding="utf-8"))["result"]
        except (ValueError, KeyError, TypeError):  # the computer stopped as it was written
            hint(f"{path} is damaged: its run is made again")
    folder.mkdir(parents=True, exist_ok=True)  # before the work, but after the options were checked
    say(f"{told or name}:", sys.stderr)
    result = run()
    files.write_json(path, {"name": name, "settings": settings, "result": result})
    return result


def options(doc: str, folder: str, *, epochs: int, hidden: int, sizes: tuple[int, int], files: bool = False) -> argparse.ArgumentParser:
    """Command-line options of the training tables; ``files``: of one that also takes files."""
    shift, drop = (f", on files {value:g}" if files else "" for value in (FEW_VOICES.channel_shift, FEW_VOICES.drop))
    own = parser(doc, repeats=1, of="number of seeds")
    own.add_argument("--folder", type=Path, default=Path(folder), help="folder where finished runs are kept")
    own.add_argument("--epochs", type=int, default=epochs, help="passes over the training set")
    own.add_argument("--hidden", type=int, default=hidden, help="recurrent neurons")
    own.add_argument("--batch", type=int, default=64, help="utterances a training step")
    own.add_argument("--channels", type=int, default=140, help="input channels after grouping")
    own.add_argument("--train-per-class", type=int, default=sizes[0], help="training utterances of each class of SpokenDigits")
    own.add_argument("--test-per-class", type=int, default=sizes[1], help="test utterances of each class of SpokenDigits")
    own.add_argument(
        "--channel-shift",
        type=int,
        help=f"augmentation: largest shift in channels; default: {AUGMENTATION.channel_shift}{shift}",
    )
    own.add_argument(
        "--drop",
        type=float,
        help=f"augmentation: fraction of the events left out; default: {AUGMENTATION.drop}{drop}",
    )
    own.add_argument("--threads", type=int, default=1, help="threads of training; the test set is evaluated on all cores")
    only_argument(own)
    return own


def changed(own: argparse.ArgumentParser, args: argparse.Namespace, told: set[str]) -> dict[str, Any]:
    """Options of a training table that are not as usual and change its numbers, without those that its title has ``told``."""
    aside = {"only", "repeats", "folder", "json", "threads", *told}
    return {name: value for name, value in vars(args).items() if name not in aside and value != own.get_default(name)}


def in_words(changes: dict[str, Any]) -> list[str]:
    """Such options, for a title."""
    return [f"{name.replace('_', ' ')} {_as_typed(value)}" for name, value in changes.items()]


def _as_typed(value: Any) -> str:
    """The value of an option, for a title."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return " ".join(map(str, value)) if isinstance(value, list) else f"{value}"


def checked(args: argparse.Namespace, names: list[str]) -> list[str]:
    """Check the options, set threads; return the rows chosen."""
    positive(args, "repeats", "epochs", "hidden", "batch", "channels", "train_per_class", "test_per_class", "threads")
    check_place(args.folder, "--folder", args.folder)
    found = chosen(names, args.only)
    from ..recipes import fit  # before data are made: says what to install

    fit.torch.set_num_threads(args.threads)
    return found


def chosen_augmentation(args: argparse.Namespace) -> Augmentation:
    """Augmentation of the tables, with the changes that the options ask for."""
    changes = {name: getattr(args, name) for name in ("channel_shift", "drop") if getattr(args, name) is not None}
    return dataclasses.replace(AUGMENTATION if getattr(args, "data", None) is None else FEW_VOICES, **changes)


def mean_and_error(values: list[float]) -> tuple[float, float]:
    """Mean, and its standard error (nan of one value), of values that are independent of each other."""
    error = float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else float("nan")
    return float(np.mean(values)), error
