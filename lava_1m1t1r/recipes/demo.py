"""The complete workflow: data, training, export, three ways to run, one report."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from .. import plot
from .._support.files import write_json
from .._support.paths import path_of
from .._support.progress import bar, say
from ..answers import answers
from ..arithmetic import WEIGHT_ONE
from ..netx.schema import read
from ..report.html import NETWORK_REPORT, PAGE_FILE, RESULTS_FILE, withdraw
from . import CHECKPOINT_FILE, CUBA_FILE, NETWORK_FILE, data
from .adapt import note_usual
from .evaluate import differences, evaluate, in_lava
from .page import Found, Worked, page_of, worked_out
from .task import Task


def demo(
    task: Task,
    split: data.Split,
    folder: str | os.PathLike,
    *,
    lava_utterances: int = 50,
    with_cuba: bool = True,
    resume: bool = False,
) -> dict[str, Any]:
    """Train, export, run and report; return the results that also stand in ``results.json``, and as ``report`` the page's path.

    Parameters
    ----------
    task : Task
    split : Split
        Training and test events.
    folder : path
        Where checkpoint, ``network.net``, ``report.html`` and ``results.json`` go; of CUBA ``cuba.net`` and the folder ``cuba``.
    lava_utterances : int
        Test utterances that also run in Lava's own runtime, in fixed and in floating point.
    with_cuba : bool
        Also train lava-dl's CUBA network alike, for comparison.
    resume : bool
        Go on from the checkpoint in ``folder``.
    """
    folder = path_of(folder, "folder")
    plot.require_matplotlib("The report")
    from . import fit, network  # Lava, torch and lightning: as late as possible; first, for they say what to install
    from .augment import Augmentation

    started = time.monotonic()
    train, test = data.frames_of(split.train, task), data.frames_of(split.test, task)
    say(f"{len(train)} training and {len(test)} test utterances ({split.held_out}); training {task.channels}-{task.hidden}-{task.classes}")
    if not resume:  # of an earlier run: should this one end before it comes to CUBA, the next would be refused to go on from that
        (folder / "cuba" / CHECKPOINT_FILE).unlink(missing_ok=True)
    net = network.m1t1r(task)
    curve = fit.fit(net, task, train, folder, augmentation=Augmentation.suiting(task), resume=resume).curve
    net.eval()
    names = data.names_of(split, task.classes)
    net.export(folder / NETWORK_FILE, names)
    withdraw(folder, *NETWORK_REPORT)  # not before: where the network is refused, the earlier one stays
    say("running the test set in fixed and floating point, then in Lava")
    description = note_usual(folder / NETWORK_FILE, train)
    result, fixed = evaluate(description, test)
    result.note("training forward", len(test), forward_differs(net, test, fixed))
    same_in_lava, count = None, min(lava_utterances, len(test))
    if count:
        lava = in_lava(description, test, fixed, count)
        result.note_lava(lava)
        assert lava.floating_answers is not None  # for it has no CUBA layers
        same_in_lava = float(np.mean(lava.floating_answers == answers(fixed.out[:count])))
    baseline, networks = None, {NETWORK_FILE: description.digest(biases=False)}
    if with_cuba:
        say("training the CUBA network alike")
        _train_cuba(task, train, folder, names, resume)
        cuba = read(folder / CUBA_FILE)
        baseline, _ = evaluate(cuba, test)
        networks[CUBA_FILE] = cuba.digest(biases=False)
    found = Found(description, split.name, split.held_out, test, result, fixed, task, baseline, same_in_lava, curve, train.text(task))
    worked = worked_out(found)
    page = page_of(found, worked)
    results = numbers_of(found, worked, task, len(train)) | {"networks": networks, "seconds": time.monotonic() - started}
    write_json(folder / RESULTS_FILE, results)
    return results | {"report": str(page.save(folder / PAGE_FILE))}


def numbers_of(found: Found, worked: Worked, task: Task, trained_on: int) -> dict[str, Any]:
    """For results.json."""
    baseline = found.baseline
    return {
        "data": found.data,
        "held_out": found.held_out,
        "train_utterances": trained_on,
        "test_utterances": len(found.test),
        **found.result.as_dict(),
        "same_answer_lava": found.same_in_lava,
        "chance": 1 / task.classes,
        "cuba_accuracy": None if baseline is None else baseline.accuracy,
        "cuba_spikes": None if baseline is None else baseline.spikes,
        "energy": worked.energy,
        "device": task.device_text,
        "cropped_share": found.test.cropped,
        "curve": found.curve,
        "advice": worked.advice.as_dict(),
        "task": dataclasses.asdict(task),
    }


def _train_cuba(task: Task, train: data.Frames, folder: Path, names: tuple[str, ...], resume: bool) -> None:
    """Train lava-dl's CUBA network as the other one, and export it."""
    import torch

    from . import fit, network
    from .augment import Augmentation

    net = network.cuba(task)
    alike, threads = task.replace(learning_rate=network.CUBA_LEARNING_RATE), torch.get_num_threads()
    torch.set_num_threads(1)  # lava-dl's loop of small operations gains nothing from a second thread, and loses much on a busy machine
    try:
        fit.fit(net, alike, train, folder / "cuba", augmentation=Augmentation.suiting(task), resume=resume)
    finally:
        torch.set_num_threads(threads)
    net.eval()
    net.export(folder / CUBA_FILE, names)


def forward_differs(net: Any, test: data.Frames, fixed: Any, batch: int = 100) -> int:
    """Count the values of the training forward pass that differ from the fast path's, in every layer, over the whole test set.

    Parameters
    ----------
    net : Network
        The trained network.
    test : Frames
        Test set.
    fixed : Result
        The fast path's fixed-point run of the test set, with all layers.
    batch : int
        Utterances at a time.
    """
    import torch

    frames, wrong = test.dense(), 0
    for start in bar(range(0, len(frames), batch), "training forward", unit="batches"):
        x = torch.from_numpy(frames[start : start + batch]).float().transpose(1, 2)
        with torch.no_grad():
            layers = [y.transpose(1, 2).numpy() for y in net.layers(x)]
        counts = [
            np.rint(y * (1 if layer.spikes is not None else WEIGHT_ONE)).astype(np.int64)
            for y, layer in zip(layers, fixed.layers, strict=True)
        ]
        wrong += differences(counts, fixed, slice(start, start + batch))
    return wrong
