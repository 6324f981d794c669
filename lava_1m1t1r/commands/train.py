"""``lava-1m1t1r train``: train on SHD, SpokenDigits or any file in SHD's format; checkpoints after every epoch."""

from __future__ import annotations

import argparse
import dataclasses
import re
import shlex
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import __version__, presets
from .._support.claim import claimed
from .._support.files import as_json, write_json
from .._support.progress import hint, tell
from ..errors import InputError, counted, listed, option_name, require
from ..params import LEARNABLE
from ..recipes import CHECKPOINT_FILE, NETWORK_FILE, RESULTS_FILE
from ..recipes.task import PAPER_ACCURACY, RECIPES, RECORDINGS
from ..report.html import NETWORK_REPORT, PAGE_FILE, withdraw
from ._common import (
    SHIPPED,
    can_draw,
    check_whole,
    device_argument,
    given_device,
    json_argument,
    network_path,
    out_folder,
    ready_torch,
    require_training,
    talking,
)

_FEW_UPDATES = 200
"""Number of training steps below which networks mostly stay near where they started: SpokenDigits' recipe takes 960."""
_FEW_PEOPLE = 10
"""Number of speakers from which on synthesised ones are not proposed; with three, they were worth 3.4 +- 2.2 points (RESULTS.md)."""

_PRESETS = tuple(name for name in presets.names() if getattr(presets, name).mu_ctoc == 0)
"""Devices that there are network steps of: whose growth does not differ from cycle to cycle."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--recipe",
        choices=tuple(RECIPES),
        help="settings of frames, device and training; default: recordings for a file, shd for the SHD folder, else spoken-digits",
    )
    parser.add_argument("--data", help="a file in SHD's format, or the SHD folder; default: synthesised spoken digits")
    parser.add_argument("--leave-out", help="speaker of the file to use as the test set; default: the last one")
    parser.add_argument("--test-data", help="a second file to use as the test set")
    parser.add_argument(
        "--synthetic",
        type=int,
        metavar="N",
        help="also train on N synthesised utterances of each class: its name, spoken in 50 voices; for recordings of few people",
    )
    parser.add_argument(
        "--recorded-at", type=int, metavar="HZ", help="sampling rate of the file's recordings; --synthetic then has the same band"
    )
    parser.add_argument(
        "--language",
        metavar="CODE",
        help="language of eSpeak NG, such as fr, in which --synthetic speaks; default: English, and German for SHD's German digits",
    )
    parser.add_argument(
        "--start",
        metavar="NET",
        help=f"continue training this network, a .net file or '{SHIPPED}', with its device and sizes; if the data have other classes, it "
        "gets a new readout",
    )
    parser.add_argument("-o", "--out", default="runs/train", help="folder for report.html, results.json, network.net and last.ckpt")
    parser.add_argument("--epochs", type=int, help=f"passes over the training set; {_usual('epochs')}")
    parser.add_argument("--hidden", type=int, help=f"number of recurrent neurons; {_usual('hidden')}")
    parser.add_argument("--preset", choices=_PRESETS, help=f"device that the neurons are modelled on; {_usual('preset')}")
    device_argument(parser, "model them on a device of your own instead")
    parser.add_argument(
        "--slower",
        type=float,
        metavar="FACTOR",
        help=f"slow this device down (all rates and R_c C_g) to suit --dt; {_usual('slower')}",
    )
    parser.add_argument(
        "--dt",
        type=float,
        metavar="SECONDS",
        help="bin width and network step; the device is slowed down in proportion, unless --slower is given; default: 0.01",
    )
    parser.add_argument(
        "--steps",
        type=int,
        help="bins of an utterance, later spikes are cropped; default: as many as hold 99 %% of the utterances whole (of few, all but the "
        "longest), "
        "and at least " + _usual("n_steps").removeprefix("default: "),
    )
    parser.add_argument(
        "--channels", type=int, help=f"group the data's channels (700 if a file names no number) into this number; {_usual('channels')}"
    )
    parser.add_argument("--batch", type=int, help=f"utterances per training step, of each process under torchrun; {_usual('batch')}")
    parser.add_argument("--learning-rate", type=float, help=f"largest learning rate of the one-cycle schedule; {_usual('learning_rate')}")
    parser.add_argument("--seed", type=int, help=f"random seed; {_usual('seed')}")
    held = parser.add_mutually_exclusive_group()
    held.add_argument("--validate", metavar="SPEAKER", help="speaker of the training set to hold out for validation")
    held.add_argument("--validation-data", metavar="FILE", help="a file of other utterances to use for validation")
    parser.add_argument(
        "--patience",
        type=int,
        help="stop after this many epochs without improvement in validation (needs --validate or --validation-data), and keep the network "
        "of the best epoch",
    )
    parser.add_argument("--variation", type=float, help="train for device variation of this spread (0.2: 20 %%), drawn anew at every step")
    parser.add_argument(
        "--learn",
        nargs="+",
        choices=LEARNABLE,
        metavar="NAME",
        help=f"device parameters that each neuron learns for itself, within a factor of 4: {', '.join(LEARNABLE)}",
    )
    parser.add_argument(
        "--spread",
        type=float,
        help="give each neuron its own rates and R_c with this relative spread, 0 to 1, drawn once; default: 0, all identical",
    )
    parser.add_argument(
        "--taps",
        type=int,
        nargs="+",
        metavar="STEPS",
        help=f"delays of the input synapses, in steps (0: none); {_usual('taps')}",
    )
    parser.add_argument(
        "--synaptic-delays",
        action=argparse.BooleanOptionalAction,
        help="give each synapse one of --taps, drawn once, instead of all of them with a weight each; default: set by the recipe",
    )
    parser.add_argument("--refractory", type=float, help="factor on R_c, and so on the refractory period; a larger one means fewer spikes")
    parser.add_argument("--spike-limit", type=float, help="penalise spikes of the hidden layer above this number per utterance")
    parser.add_argument("--spike-cost", type=float, help="weight of that penalty: loss per excess spike per neuron; default: 1")
    parser.add_argument(
        "--smooth",
        type=float,
        metavar="CHANNELS",
        help="smooth the input weights over neighbouring channels by a Gaussian of this standard deviation (0: not, as for channels that "
        f"are no neighbours); {_usual('smooth')}",
    )
    parser.add_argument(
        "--channel-shift",
        type=int,
        help="augmentation: largest shift of an utterance in channels (0: none, as for channels that are no neighbours); default: set by "
        "the recipe",
    )
    parser.add_argument("--no-augmentation", action="store_true", help="train on the utterances without augmentation")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="continue from the checkpoint in the folder, with the same options; start anew if there is none. Several machines must share "
        "the folder",
    )
    json_argument(parser, "the results")


def _usual(field: str) -> str:
    """Text of a field's value in the recipes."""
    values: dict[str, list[str]] = {}
    for name, task in RECIPES.items():
        value = getattr(task, field)
        text = " ".join(map(str, value)) if isinstance(value, tuple) else value if isinstance(value, str) else f"{value:g}"
        values.setdefault(text, []).append(name)
    if len(values) == 1:
        return f"default: {next(iter(values))}"
    return "default: " + ", ".join(f"{value} ({' and '.join(names)})" for value, names in values.items())


def run(args: argparse.Namespace) -> int:
    """Train, export ``network.net``, evaluate, write ``results.json`` and ``report.html``."""
    check_whole(args, epochs=1, steps=1, patience=1, channel_shift=0)
    start = None if args.start is None else _start_of(args)
    asked = _asked(args)
    require(not (args.channel_shift and args.no_augmentation), "--channel-shift", "not be used with --no-augmentation", args.channel_shift)
    heard = args.validate is None or args.validate != args.leave_out
    require(heard, "--validate", "be another speaker than --leave-out, which the test set is of", args.validate)
    require(args.synthetic is None or args.data is not None, "--synthetic", "be used with --data", args.synthetic)
    for name in ("recorded_at", "language"):
        given = getattr(args, name)
        require(given is None or args.synthetic is not None, option_name(name), "be used with --synthetic", given)
    watched = args.validate is not None or args.validation_data is not None
    require(args.patience is None or watched, "--patience", "be used with --validate SPEAKER or --validation-data FILE", args.patience)
    require(args.spike_cost is None or args.spike_limit is not None, "--spike-cost", "be used with --spike-limit", args.spike_cost)
    out = out_folder(args.out, CHECKPOINT_FILE, NETWORK_FILE, RESULTS_FILE, PAGE_FILE)
    written, rule = out / NETWORK_FILE, "be another folder than that of --start's network, which would be replaced"
    require(start is None or not (written.exists() and written.samefile(start)), "--out", rule, args.out)
    require_training()
    ready_torch()
    with talking(args):
        results = _train(args, asked, out, start)
    if args.json and results is not None:
        print(as_json(results))
    return 0


def _start_of(args: argparse.Namespace) -> Path:
    """The file of ``--start``, beside which no option may say what a network answers itself."""
    from ..recipes.start import OF_NETWORK

    for name in (*OF_NETWORK, "dt", "hidden", "channels"):
        given = getattr(args, name, None)
        require(given is None, option_name(name), "not be used with --start, whose network has its own", given)
    return network_path(args.start, "--start")


class _Prepared(NamedTuple):
    """What is trained, on what."""

    task: Any
    split: Any
    network: Any
    classes: tuple[str, ...]
    train: Any
    """Training utterances, a :class:`.recipes.data.Frames`."""
    validation: Any
    """Those of the speaker or of the file to watch training by, or None."""
    augmentation: Any
    synthetic: Any
    """What is synthesised beside the data, or None."""
    start: Path | None
    """File of the network that training starts from."""
    by_number: bool
    """Whether this network gives classes of the test file other numbers than that does, and one of them names none: ``evaluate`` does not
    know."""

    @property
    def heard(self) -> str:
        """What is trained on, in words."""
        return self.train.text(self.task, "" if self.synthetic is None else f" ({self.synthetic.per_class} of each class synthesised)")


def _asked(args: argparse.Namespace) -> Any:
    """The recipe with what the options change; errors name the options."""
    from ..recipes.task import Task, recipe, recipe_for

    usual = recipe(args.recipe or recipe_for(args.data))
    named = {field.name for field in dataclasses.fields(Task)}
    given = {name: value for name, value in vars(args).items() if name in named} | {"device": given_device(args)}
    try:
        task = usual.replace(**given | {"learn": tuple(dict.fromkeys(args.learn or ()))})
    except InputError as error:
        raise InputError(re.sub(r"^Task\.(\w+)", lambda match: option_name(match[1]), str(error))) from error
    # the device suits the step: it becomes slower as the step becomes longer
    return task if args.dt is None else task.replace(slower=args.slower or usual.slower * args.dt / usual.dt)


def _prepared(args: argparse.Namespace, task: Any, start: Path | None) -> _Prepared:
    """Data and network, suited to each other."""
    from ..netx.schema import read
    from ..recipes import data
    from ..recipes import start as starts
    from ..recipes.augment import Augmentation
    from ..recipes.synthetic import Synthetic

    synthetic = None if args.synthetic is None else Synthetic(args.synthetic, args.recorded_at, args.language)
    former = None if start is None else read(start)
    if former is None:
        task.require_integers()
    else:
        task = starts.suited(task, former)
    split = data.load(args.data, args.leave_out, args.test_data)
    given = split.train  # a network to start from lends the names of its own to classes that have none, which may be other words
    own = max(given.keys, split.test.keys, key=len)  # and numbers classes anew
    if synthetic is not None:
        synthetic.check(split)
    most = split.train.n_channels
    require(args.channels is None or args.channels <= most, "--channels", f"be at most the {most} channels of the data", args.channels)
    who = None if args.validate is None else split.train.speaker(args.validate, "--validate")  # a person, and not one synthesised
    begin = None
    if former is None:
        task = data.fitted(task, split, args.steps)
    else:
        begin = starts.start(former, split)
        split = begin.split
        task = data.fitted(task, split, args.steps).replace(classes=begin.outputs)
    if synthetic is not None:
        split = synthetic.added(split)  # a network is fitted to what people say
    train, validation = _held_out(args, task, split, who, own)
    from ..recipes import network

    if begin is None:
        net, names = network.m1t1r(task), data.names_of(split, task.classes)
    else:
        net, names = starts.network(begin, task.seed, learn=task.learn, variation=task.variation), begin.classes
    if synthetic is None and args.data is not None and task.name == RECORDINGS:
        _tell_of_few_people(given)
    augmentation = None if args.no_augmentation else Augmentation.suiting(task, args.channel_shift)
    # in the split, its classes are as the training set and a network to start from have them
    other = None if args.test_data is None or begin is None else data.read_shd(args.test_data)
    by_number = other is not None and not (other.keys and names) and not np.array_equal(other.labels, split.test.labels)
    return _Prepared(task, split, net, names, data.frames_of(train, task), validation, augmentation, synthetic, start, by_number)


def _held_out(args: argparse.Namespace, task: Any, split: Any, who: int | None, names: tuple[str, ...]) -> tuple[Any, Any]:
    """Events to train on, without those of speaker ``who``; and frames of the speaker or of the file to watch training by, or None.
    ``names`` are those of the data's classes, as the data number them."""
    from ..recipes import data

    train = split.train
    if who is not None:
        others = train.without_speakers(who)
        validation = data.frames_of(train.of_speakers(who), task)
        require(len(others) > 0, "--validate", "leave other speakers to train on", args.validate)
        lost = sorted(set(train.labels.tolist()) - set(others.labels.tolist()))
        if lost:
            said = listed([train.keys[label] if train.keys else label for label in lost])
            hint(f"without {args.validate}, the training set has no utterance of {counted(len(lost), 'class')} ({said}).")
        return others, validation
    if args.validation_data is None:
        return train, None
    watched = data.validation_of(split, args.validation_data, names)  # numbered as a network to start from has them
    absent = [watched.keys[label] if watched.keys else label for label in sorted(set(watched.labels.tolist())) if label >= task.classes]
    require(not absent, "--validation-data", "hold no other classes than the training and the test set", listed(absent))
    data.check_seconds(watched, task, f"{args.validation_data}: utterances")
    return train, data.frames_of(watched, task)


def _tell_of_few_people(events: Any) -> None:
    """Propose synthesised voices where few people say what may be words."""
    from ..datasets import N_CHANNELS

    people = set(events.speakers.tolist())
    if events.keys and events.n_channels == N_CHANNELS and -1 not in people and len(people) < _FEW_PEOPLE:
        few = "one speaker" if len(people) == 1 else f"{len(people)} speakers"
        hint(
            f"recordings of {few} are few. If classes are words, --synthetic 200 adds synthesised voices that say them (--recorded-at: in "
            "the band of the recordings)"
        )


def _tell_what_suits_speech(made: _Prepared) -> None:
    """Say what is done to the channels; of data with other channels than the inner ear's, that it may not suit them."""
    from ..datasets import N_CHANNELS

    augmentation, task, channels, started = made.augmentation, made.task, made.split.train.n_channels, made.start is not None
    if augmentation is not None:
        tell(f"augmentation: {augmentation}")
    given = {
        "--channel-shift 0": augmentation and augmentation.channel_shift,
        "--smooth 0": task.smooth and not started,
        f"--channels {channels}": task.channels < channels and not started,
    }
    cure = " ".join(option for option, value in given.items() if value)
    if cure and channels != N_CHANNELS:
        hint(f"channels beside each other are taken to be alike, as in an ear. If yours are not: {cure}")


def _validation(args: argparse.Namespace, trained: Any) -> dict[str, Any]:
    """What training was watched by, and with ``--patience`` which epoch was kept."""
    found = {"speaker": args.validate, "file": args.validation_data, "patience": args.patience}
    return found if args.patience is None else found | {"epoch": trained.epoch, "accuracy": trained.accuracy}


def _train(args: argparse.Namespace, asked: Any, out: Path, start: Path | None) -> dict[str, Any] | None:
    """Results; None in all but the first process of a run under torchrun."""
    from ..recipes import fit

    rank, _, _ = fit.processes()  # refuses what cannot be, before the data are read
    with claimed(out, "--out", "training") if rank == 0 else nullcontext():
        return _trained(args, asked, out, start)


def _trained(args: argparse.Namespace, asked: Any, out: Path, start: Path | None) -> dict[str, Any] | None:
    from ..recipes import adapt, data, fit

    made = _prepared(args, asked, start)
    task, split, net, train = made.task, made.split, made.network, made.train
    from ..recipes.evaluate import evaluate
    from ..recipes.page import Found, page_of

    first = fit.processes()[0] == 0  # under torchrun it speaks and writes for all
    draws = first and can_draw("The report")
    if first:
        _tell_of_run(args, out, made)
    trained = fit.fit(
        net, task, train, out, validation=made.validation, augmentation=made.augmentation, resume=args.resume, patience=args.patience
    )
    if not first:
        return None
    net.eval()
    net.export(out / NETWORK_FILE, made.classes)
    withdraw(out, *NETWORK_REPORT)  # not before: where the network is refused, the earlier one stays
    test = data.frames_of(split.test, task)
    exported = adapt.note_usual(out / NETWORK_FILE, train)
    result, fixed = evaluate(exported, test)
    results = _results(args, made, trained, test, result) | {"networks": {NETWORK_FILE: exported.digest(biases=False)}}
    write_json(out / RESULTS_FILE, results)
    _print_result(split, result)
    print(f"network: {out / NETWORK_FILE}")
    if draws:  # last: the numbers are safe, whatever ends the drawing
        of, begun = (task, "") if start is None else (None, f", from {start.name}")
        found = Found(exported, split.name, split.held_out, test, result, fixed, of, curve=trained.curve, trained_on=made.heard + begun)
        print(f"report: {page_of(found).save(out / PAGE_FILE)}")
    tested = _test_options(args, split, task)
    if tested and not made.by_number:
        place = str(out / NETWORK_FILE)
        print(f"again: lava-1m1t1r evaluate {shlex.quote(f'./{place}' if place.startswith('-') else place)} {tested}")
    return results


def _tell_of_run(args: argparse.Namespace, out: Path, made: _Prepared) -> None:
    """Say what will be trained, and what may not be intended."""
    from ..recipes import fit

    if not args.resume and any((out / name).exists() for name in (NETWORK_FILE, CHECKPOINT_FILE)):
        tell(f"replacing the run in {args.out} (use --resume to continue it)")
    tell(f"{made.heard}; {made.train.merged:.1%} of the spikes fall into a bin and channel with an earlier one, and do not count")
    _tell_what_suits_speech(made)
    updates = made.task.epochs * fit.steps_of_epoch(made.task, len(made.train))
    if updates < _FEW_UPDATES:
        are = "is" if updates == 1 else "are"
        more = "more --epochs" if made.task.batch == 1 else "a smaller --batch or more --epochs"
        hint(f"{counted(updates, 'training step')} in all {are} few: {more} give more")


def _print_result(split: Any, result: Any) -> None:
    from ..recipes import data

    beside = f" (the paper: {PAPER_ACCURACY})" if split.name == data.SHD_NAME else ""
    print(
        f"{split.name}, {split.held_out}: {result.accuracy:.2%} in 8-bit fixed point{beside}, "
        f"{result.floating_accuracy:.2%} in floating point; {result.spikes:.1f} spikes per utterance"
    )
    if result.spikes < 1:
        hint("the network is nearly silent. More training steps (--batch, --epochs) or a larger --learning-rate may wake it")
    for sentence in (result.adaptation, result.guesses):
        if sentence:
            print(sentence)


def _results(args: argparse.Namespace, made: _Prepared, trained: Any, test: Any, result: Any) -> dict[str, Any]:
    """What the network answers, and how and on which data it was trained and tested."""
    from ..recipes.start import OF_NETWORK

    return {
        "data": made.split.name,
        "held_out": made.split.held_out,
        **result.as_dict(),
        "files": {"data": args.data, "test_data": args.test_data},
        "channels": made.split.train.n_channels,
        "frames": {"train": made.train.digest, "test": test.digest},
        "uncounted": {name: {"cropped": part.cropped, "merged": part.merged} for name, part in (("train", made.train), ("test", test))},
        "classes": list(made.classes),
        "version": __version__,
        "synthetic": None if made.synthetic is None else dataclasses.asdict(made.synthetic),
        "start": None if made.start is None else str(made.start),
        "augmentation": None if made.augmentation is None else dataclasses.asdict(made.augmentation),
        "validation": None if made.validation is None else _validation(args, trained),
        "curve": trained.curve,
        "task": dataclasses.asdict(made.task) | ({} if made.start is None else dict.fromkeys(OF_NETWORK)),
    }


def _test_options(args: argparse.Namespace, split: Any, task: Any) -> str:
    """Options with which ``evaluate`` has the same test set; none for data that are not the user's."""

    def option(name: str, value: str) -> str:
        gap = "=" if value.startswith("-") else " "  # else a name that begins so is taken for an option
        return f"--{name}{gap}{shlex.quote(value)}"

    if args.test_data is not None:
        return f"{option('data', args.test_data)} --all-speakers --steps {task.n_steps}"
    if args.data is None:
        return ""
    number, people = int(split.test.speakers[0]), split.test.speaker_names
    named = 0 <= number < len(people) and people.count(people[number]) == 1
    speaker = people[number] if named else str(number)
    return option("data", args.data) + ("" if Path(args.data).is_dir() else f" {option('leave-out', speaker)}")
