"""The report page of the demo: its results, and their consequences for energy, network step and integers."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from ..advisor import Advice, advise
from ..answers import answers
from ..description import NetDescription
from ..device.energy import spike_energy
from ..device.stimulus import usual_width
from ..errors import InputError
from ..fast import FastNetwork
from ..quantisation import LayerQuantisation, quantise_network
from ..reference_network import synaptic_input
from ..report import Report
from . import data, figures
from .evaluate import Evaluation
from .task import PAPER_ACCURACY, Task

SYNTHETIC = (
    "Synthetic speech is more regular than human speech: compare this accuracy with others on SpokenDigits only, never with the paper's "
    f"{PAPER_ACCURACY} on SHD."
)
RECORDED = 8
"""Test utterances, the first ones, whose input the step's advice and the integers' report are given."""


class Found(NamedTuple):
    """What the demo found."""

    task: Task
    split: data.Split
    test: data.Frames
    description: NetDescription
    """The exported network."""
    result: Evaluation
    fixed: Any
    """The fast path's fixed-point run of the test set (Result), with all layers."""
    baseline: Evaluation | None
    """CUBA network trained alike; None: left out."""
    same_in_lava: float | None
    """Share of the utterances run in Lava on which its floating point answers as fixed point does; None: none was run."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the classes; numbers where the data name fewer."""
        named = max(self.split.train.keys, self.split.test.keys, key=len)
        return named + tuple(str(k) for k in range(len(named), self.task.classes))


class Worked(NamedTuple):
    """What is worked out from it."""

    energy: dict[str, Any]
    advice: Advice
    quantised: list[LayerQuantisation]


def worked_out(found: Found) -> Worked:
    """Energy, advice on the network step, and the report on the integers."""
    net, some = found.description, found.test.dense(slice(RECORDED))  # what is recorded is large
    hidden = net.active[0]
    a_in = synaptic_input(hidden, net.arriving(some), found.fixed.layers[0].spikes[: len(some)])
    advice = advise(found.task.step, hidden.matrix(), a_in, bias=hidden.bias, weights_rec=hidden.weight_rec)
    return Worked(energy_of(found.task, found.result.spikes), advice, quantise_network(net, some))


def numbers_of(found: Found, worked: Worked) -> dict[str, Any]:
    """For results.json."""
    baseline = found.baseline
    return {
        "data": found.split.name,
        "held_out": found.split.held_out,
        "train_utterances": len(found.split.train),
        "test_utterances": len(found.test),
        **found.result.as_dict(),
        "same_answer_lava": found.same_in_lava,
        "chance": 1 / found.task.classes,
        "cuba_accuracy": None if baseline is None else baseline.accuracy,
        "cuba_spikes": None if baseline is None else baseline.spikes,
        "energy": worked.energy,
        "device": found.task.device_text,
        "cropped_share": found.test.cropped,
        "advice": worked.advice.as_dict(),
        "task": dataclasses.asdict(found.task),
    }


def page_of(found: Found, worked: Worked) -> Report:
    """The page, from the accuracy down to the integers."""
    task, split, result = found.task, found.split, found.result
    report = Report(
        f"1M1T1R on {split.name}: {result.accuracy:.1%} on {split.held_out}",
        f"Recurrent network of {task.hidden} memristive neurons, driven by {task.channels} inner-ear channels. Device: {task.device_text}",
    )
    shown = {"accuracy, fixed point": f"{result.accuracy:.1%}"}
    if found.baseline is not None:
        shown["accuracy of CUBA, same training"] = f"{found.baseline.accuracy:.1%}"
    shown["chance"] = f"{1 / task.classes:.0%}"
    shown["spikes per utterance"] = f"{result.spikes:.0f}"
    report.numbers(shown)
    if split.synthetic:
        report.note(SYNTHETIC)
    _sameness(report, found)
    _one_utterance(report, found)
    report.section("Confusion matrix")
    report.figure(figures.confusion(result.confusion, found.keys), "Rows: spoken class; columns: predicted class.")
    report.section("Estimated energy", worked.energy["text"])
    report.note(worked.energy["assumptions"])
    recorded = f"Recorded input: the first {min(RECORDED, len(found.test))} test utterances."
    report.section("Network step compared with the device", recorded)
    report.pre(str(worked.advice))
    report.section("Fixed point compared with floating point", recorded)
    report.pre("\n".join(str(layer) for layer in worked.quantised))
    return report


def _sameness(report: Report, found: Found) -> None:
    result = found.result
    report.section(
        "Agreement of the implementations", f"Test set: {found.split.held_out}. 8-bit weights, integer arithmetic of FIXED_POINT.md."
    )
    rows = [(name, result.compared[name], wrong) for name, wrong in result.mismatches.items()]
    report.table(("implementation", "utterances", "differing values (all layers, all steps)"), rows)
    if result.same_answer is not None:
        lava = "" if found.same_in_lava is None else f" In Lava, for the utterances in the table: {found.same_in_lava:.1%}."
        report.text(
            f"Floating and fixed point predict the same class for {result.same_answer:.1%} of the utterances "
            f"(accuracy in floating point: {result.floating_accuracy:.1%}). Spikes, when both run freely: {result.float_spikes}.{lava}"
        )


def _one_utterance(report: Report, found: Found) -> None:
    """The correctly classified utterance with the most spikes."""
    fixed, test, task = found.fixed, found.test, found.task
    busy = fixed.layers[0].spikes.sum((1, 2))
    example = int(np.where(answers(fixed.out) == test.labels, busy, -1).argmax())
    report.section("One utterance", f"The word is '{found.keys[test.labels[example]]}'.")
    frames = test.dense([example])
    seen = FastNetwork(found.description).run(frames, record="all")
    report.figure(
        figures.rasters(frames, seen, 0, task.dt),
        "Input spikes, spikes of the hidden neurons, and the summed outputs whose largest is the predicted class.",
    )
    report.figure(
        figures.neuron_states(seen, 0, task.step),
        "Filament, residue and gate voltage of the three most active neurons; dotted lines: spikes.",
    )


def energy_of(task: Task, spikes: float) -> dict[str, Any]:
    """Energy of an utterance from the device's energy per spike, with its assumptions."""
    measured = task.measured
    volt = float(measured.v_ref)
    try:
        width = usual_width(measured)
        one = spike_energy(measured, volt, width)
        slow = spike_energy(measured.scaled(task.slower), volt, width * task.slower)
    except InputError as error:
        return {"text": f"No estimate: {error}", "assumptions": ""}
    return {
        "joule_per_spike_memristor_branch": one.input_to_pulse_end,
        "joule_per_spike_total": one.total,
        "joule_per_spike_slowed_down": slow.input_to_pulse_end,
        "joule_per_utterance_memristor_branch": one.input_to_pulse_end * spikes,
        "text": (
            f"{spikes:.0f} spikes per utterance, at {one.input_to_pulse_end * 1e12:.2f} pJ each in the memristor branch (integration, gate "
            f"and R_c), give {one.input_to_pulse_end * spikes * 1e12:.0f} pJ for devices as fast as the measured one. This network assumes "
            f"devices that are slowed down {task.slower:g} times by a larger gate capacitance. They would need "
            f"{slow.input_to_pulse_end * 1e12:.1f} pJ per spike and {slow.input_to_pulse_end * spikes * 1e9:.1f} nJ per utterance. The "
            f"output branch of the measured device ({measured.r_load / 1e3:.0f} kOhm at {measured.v_dd:g} V) would add "
            f"{one.supply * 1e12:.0f} pJ per spike; the paper's 65 nm estimate replaces it by 1 GOhm and 1 pF (Table 7)."
        ),
        "assumptions": (
            "This is a model, not a measurement: the currents in the circuit of the measured device, integrated over its first spike "
            f"under {volt:g} V pulses of {width:g} s ({width * task.slower:g} s for the slower device). Not counted: input that leads "
            "to no spike, synapses, drivers and the readout."
        ),
    }
