"""The main job, whole: data, training, export, three ways to run, one report."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from ..advisor import advise
from ..arithmetic import WEIGHT_ONE
from ..device.energy import spike_energy
from ..errors import InputError, missing
from ..fast import FastNetwork
from ..network import layers_of, outgoing
from ..netx.schema import read
from ..progress import bar, say
from ..quantisation import quantise_network
from ..report import Report
from . import CUBA_FILE, NETWORK_FILE, data, figures
from .evaluate import Evaluation, answers, compare, differences, evaluate
from .task import PAPER_ACCURACY, Task

SYNTHETIC = (
    "Synthetic speech is more regular than people: this accuracy stands beside others on SpokenDigits, never beside the paper's "
    f"{PAPER_ACCURACY} on SHD."
)


def demo(
    task: Task,
    split: data.Split,
    folder: Path,
    *,
    lava_utterances: int = 50,
    with_cuba: bool = True,
    resume: bool = False,
) -> dict[str, Any]:
    """Train, export, run and report; return the results that also stand in ``results.json``.

    Parameters
    ----------
    task : Task
    split : Split
        Training and test events.
    folder : path
        Where checkpoint, ``network.net``, ``report.html`` and ``results.json`` go.
    lava_utterances : int
        Test utterances that also run in Lava's own runtime, in fixed and in floating point.
    with_cuba : bool
        Also train lava-dl's CUBA network alike, for comparison.
    resume : bool
        Go on from the checkpoint in ``folder``.
    """
    try:
        import matplotlib

        matplotlib.use("Agg")
    except ImportError as error:
        raise missing("matplotlib", "report", "The report") from error
    from . import fit, network  # Lava, torch and lightning: as late as possible; first, for they say what to install
    import torch  # isort: skip
    from .augment import Augmentation

    started = time.monotonic()
    train, test = data.frames_of(split.train, task), data.frames_of(split.test, task)
    say(f"{len(train)} training and {len(test)} test utterances ({split.held_out}); training {task.channels}-{task.hidden}-{task.classes}")
    net = network.m1t1r(task)
    fit.fit(net, task, train, folder, augmentation=Augmentation.suiting(task), resume=resume)
    net.eval()
    names = data.names_of(split, task.classes)
    net.export(folder / NETWORK_FILE, names)
    say("running the test set in fixed and floating point, then in Lava")
    description = read(folder / NETWORK_FILE)
    result, fixed = evaluate(description, test)
    count = min(lava_utterances, len(test))
    forward(net, test, fixed, result)
    lava_floating = compare(description, test, fixed, result, utterances=count) if count else np.zeros(0, int)
    lava_same = float(np.mean(lava_floating == answers(fixed.out[:count]))) if count else None
    baseline = None
    if with_cuba:
        say("training the CUBA network alike")
        other = network.cuba(task)
        alike, threads = task.replace(learning_rate=network.CUBA_LEARNING_RATE), torch.get_num_threads()
        torch.set_num_threads(1)  # lava-dl's loop of small operations gains nothing from a second thread, and loses much on a busy machine
        try:
            fit.fit(other, alike, train, folder / "cuba", augmentation=Augmentation.suiting(task), resume=resume)
        finally:
            torch.set_num_threads(threads)
        other.eval()
        other.export(folder / CUBA_FILE, names)
        baseline, _ = evaluate(folder / CUBA_FILE, test)
    return write(task, split, test, folder, description, result, fixed, baseline, lava_same, time.monotonic() - started)


def forward(net: Any, test: data.Frames, fixed: Any, result: Evaluation, batch: int = 100) -> None:
    """Compare the training forward pass with the fast path in every layer, over the whole test set.

    Parameters
    ----------
    net : Network
        The trained network.
    test : Frames
        Test set.
    fixed : Result
        The fast path's fixed-point run of the test set, with all layers.
    result : Evaluation
        Receives the number of values that differ.
    batch : int
        Utterances at a time.
    """
    import torch

    frames, wrong = test.dense(), 0
    for start in bar(range(0, len(frames), batch), "training forward", unit="batches"):
        x = torch.from_numpy(frames[start : start + batch]).float().transpose(1, 2)
        with torch.no_grad():
            layers = [y.transpose(1, 2).numpy() for y in net.layers(x)]
        part = type(fixed)(
            fixed.out[start : start + batch], tuple(layer._replace(out=layer.out[start : start + batch]) for layer in fixed.layers)
        )
        counts = [
            np.rint(y * (1 if layer.spikes is not None else WEIGHT_ONE)).astype(np.int64)
            for y, layer in zip(layers, fixed.layers, strict=True)
        ]
        wrong += differences(counts, part, len(x))
    result.mismatches["training forward"] = wrong
    result.compared["training forward"] = len(frames)


def write(task, split, test, folder, description, result, fixed, baseline, lava_same, seconds) -> dict[str, Any]:
    """Write the report and return its numbers."""
    keys = max(split.train.keys, split.test.keys, key=len)
    keys += tuple(str(k) for k in range(len(keys), task.classes))
    report = Report(
        f"1M1T1R on {split.name}: {result.accuracy:.1%} on {split.held_out}",
        f"A recurrent network of {task.hidden} memristive neurons hears {task.channels} inner-ear channels. Device: {task.device_text}",
    )
    shown = {"accuracy, fixed point": f"{result.accuracy:.1%}"}
    if baseline is not None:
        shown["accuracy, CUBA trained alike"] = f"{baseline.accuracy:.1%}"
    shown["chance"] = f"{1 / task.classes:.0%}"
    shown["spikes an utterance"] = f"{result.spikes:.0f}"
    report.numbers(shown)
    if split.synthetic:
        report.note(SYNTHETIC)
    report.section(
        "The same spikes everywhere", f"Test set: {split.held_out}. Weights are 8 bit; the integers are those of FIXED_POINT.md."
    )
    rows = [(name, result.compared[name], wrong) for name, wrong in result.mismatches.items()]
    report.table(("realisation", "utterances", "values that differ (all layers, all steps)"), rows)
    if result.same_answer is not None:
        lava = "" if lava_same is None else f" In Lava, on the utterances above: {lava_same:.1%}."
        report.text(
            f"Floating and fixed point give the same class on {result.same_answer:.1%} of the utterances "
            f"({result.floating_accuracy:.1%} right in floating point). Free-running: {result.float_spikes}.{lava}"
        )
    busy = fixed.layers[0].spikes.sum((1, 2))
    example = int(np.where(answers(fixed.out) == test.labels, busy, -1).argmax())  # the liveliest of those that were understood
    report.section("One utterance", f"The word is '{keys[test.labels[example]]}'.")
    frames = test.dense()
    report.figure(figures.rasters(frames, fixed, example, task.dt), "Input spikes, spikes of the hidden neurons, and the sums that decide.")
    states = figures.neuron_states(FastNetwork(description).run(frames[[example]], record="all"), 0, task.step)
    report.figure(states, "Filament, residue and gate of the three busiest neurons; dotted: spikes.")
    report.section("Confusion matrix")
    report.figure(figures.confusion(result.confusion, keys), "Rows: what was said; columns: what was answered.")
    energy = energy_of(task, result.spikes)
    report.section("Energy, estimated", energy["text"])
    report.note(energy["assumptions"])
    layers, first = layers_of(description)
    some = frames[:8]  # what is recorded is large
    recorded = f"The recorded input is that of the first {len(some)} test utterances."
    advice = advise(task.step, layers[0].weight, synaptic_input(description, fixed, some))
    report.section("How far the network step is from the device", recorded)
    report.pre(str(advice))
    quantised = quantise_network(layers, description.arriving(some), first=first)
    report.section("From floating to fixed point", recorded)
    report.pre("\n".join(str(layer) for layer in quantised))
    report.results = {
        "data": split.name,
        "held_out": split.held_out,
        "train_utterances": len(split.train),
        "test_utterances": len(test),
        **result.as_dict(),
        "same_answer_lava": lava_same,
        "chance": 1 / task.classes,
        "cuba_accuracy": None if baseline is None else baseline.accuracy,
        "cuba_spikes": None if baseline is None else baseline.spikes,
        "energy": energy,
        "device": task.device_text,
        "cropped_share": test.cropped,
        "advice": advice.as_dict(),
        "seconds": seconds,
    }
    report.results["report"] = str(report.save(folder))
    return report.results


def synaptic_input(net: Any, result: Any, frames: np.ndarray) -> np.ndarray:
    """Synaptic input (B, T, N) of the first layer [weight counts], its own recurrence included."""
    layer = net.active[0]
    a_in = net.arriving(frames).astype(np.int64) @ layer.weight.T.astype(np.int64)
    if layer.weight_rec is not None:
        spikes = result.layers[0].spikes[: len(frames)].astype(np.int64)
        a_in = a_in + outgoing(spikes, layer.delay_rec) @ layer.weight_rec.T.astype(np.int64)
    return a_in if layer.bias is None else a_in + layer.bias


def energy_of(task: Task, spikes: float) -> dict[str, Any]:
    """Energy of an utterance from the device's energy per spike, with its assumptions."""
    from .. import presets

    measured = getattr(presets, task.preset)
    volt = float(measured.v_ref)
    try:
        one = spike_energy(measured, volt)
        slow = spike_energy(measured.scaled(task.slower), volt, 1e-3 * task.slower, 1e-3 * task.slower)
    except InputError as error:
        return {"text": f"No estimate: {error}", "assumptions": ""}
    return {
        "joule_per_spike_memristor_branch": one.input_to_pulse_end,
        "joule_per_spike_total": one.total,
        "joule_per_utterance_memristor_branch": one.input_to_pulse_end * spikes,
        "text": (
            f"{spikes:.0f} spikes an utterance at {one.input_to_pulse_end * 1e12:.2f} pJ each in the memristor's branch (integration, gate "
            f"and R_c) make {one.input_to_pulse_end * spikes * 1e12:.0f} pJ. The output branch of the measured device "
            f"({measured.r_load / 1e3:.0f} kOhm at {measured.v_dd:g} V) would take {one.supply * 1e12:.0f} pJ more a spike; the paper's "
            "65 nm estimate replaces it by 1 GOhm and 1 pF (Table 7)."
        ),
        "assumptions": (
            "A model, not a measurement: the currents of the measured device's circuit, integrated over its first spike under "
            f"{volt:g} V pulses of 1 ms. The device slowed down {task.slower:g} times by a larger gate capacitance would take "
            f"{slow.input_to_pulse_end * 1e12:.1f} pJ. Input that leads to no spike, synapses, drivers and the readout are not counted."
        ),
    }
