"""The report page of the demo: its results, and their consequences for energy, network step and integers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..advisor import Advice, advise
from ..description import NetDescription
from ..device.energy import spike_energy
from ..device.stimulus import usual_width
from ..errors import InputError
from ..fast import FastNetwork
from ..quantisation import LayerQuantisation, quantise_network
from ..reference_network import synaptic_input
from ..report import Report
from . import data, figures
from .evaluate import Evaluation, answers
from .task import PAPER_ACCURACY, Task

SYNTHETIC = (
    "Synthetic speech is more regular than people: this accuracy stands beside others on SpokenDigits, never beside the paper's "
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
    }


def page_of(found: Found, worked: Worked) -> Report:
    """The page, from the accuracy down to the integers."""
    task, split, result = found.task, found.split, found.result
    report = Report(
        f"1M1T1R on {split.name}: {result.accuracy:.1%} on {split.held_out}",
        f"A recurrent network of {task.hidden} memristive neurons hears {task.channels} inner-ear channels. Device: {task.device_text}",
    )
    shown = {"accuracy, fixed point": f"{result.accuracy:.1%}"}
    if found.baseline is not None:
        shown["accuracy, CUBA trained alike"] = f"{found.baseline.accuracy:.1%}"
    shown["chance"] = f"{1 / task.classes:.0%}"
    shown["spikes an utterance"] = f"{result.spikes:.0f}"
    report.numbers(shown)
    if split.synthetic:
        report.note(SYNTHETIC)
    _sameness(report, found)
    _one_utterance(report, found)
    report.section("Confusion matrix")
    report.figure(figures.confusion(result.confusion, found.keys), "Rows: what was said; columns: what was answered.")
    report.section("Energy, estimated", worked.energy["text"])
    report.note(worked.energy["assumptions"])
    recorded = f"The recorded input is that of the first {min(RECORDED, len(found.test))} test utterances."
    report.section("How far the network step is from the device", recorded)
    report.pre(str(worked.advice))
    report.section("From floating to fixed point", recorded)
    report.pre("\n".join(str(layer) for layer in worked.quantised))
    return report


def _sameness(report: Report, found: Found) -> None:
    result = found.result
    report.section(
        "The same spikes everywhere", f"Test set: {found.split.held_out}. Weights are 8 bit; the integers are those of FIXED_POINT.md."
    )
    rows = [(name, result.compared[name], wrong) for name, wrong in result.mismatches.items()]
    report.table(("realisation", "utterances", "values that differ (all layers, all steps)"), rows)
    if result.same_answer is not None:
        lava = "" if found.same_in_lava is None else f" In Lava, on the utterances above: {found.same_in_lava:.1%}."
        report.text(
            f"Floating and fixed point give the same class on {result.same_answer:.1%} of the utterances "
            f"({result.floating_accuracy:.1%} right in floating point). Free-running: {result.float_spikes}.{lava}"
        )


def _one_utterance(report: Report, found: Found) -> None:
    """The liveliest of those that were understood."""
    fixed, test, task = found.fixed, found.test, found.task
    busy = fixed.layers[0].spikes.sum((1, 2))
    example = int(np.where(answers(fixed.out) == test.labels, busy, -1).argmax())
    report.section("One utterance", f"The word is '{found.keys[test.labels[example]]}'.")
    frames = test.dense()
    report.figure(figures.rasters(frames, fixed, example, task.dt), "Input spikes, spikes of the hidden neurons, and the sums that decide.")
    states = figures.neuron_states(FastNetwork(found.description).run(frames[[example]], record="all"), 0, task.step)
    report.figure(states, "Filament, residue and gate of the three busiest neurons; dotted: spikes.")


def energy_of(task: Task, spikes: float) -> dict[str, Any]:
    """Energy of an utterance from the device's energy per spike, with its assumptions."""
    from .. import presets

    measured = getattr(presets, task.preset)
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
            f"{spikes:.0f} spikes an utterance at {one.input_to_pulse_end * 1e12:.2f} pJ each in the memristor's branch (integration, gate "
            f"and R_c) make {one.input_to_pulse_end * spikes * 1e12:.0f} pJ, on devices as fast as the measured one. Those that this "
            f"network assumes, slowed down {task.slower:g} times by a larger gate capacitance, would take "
            f"{slow.input_to_pulse_end * 1e12:.1f} pJ a spike, {slow.input_to_pulse_end * spikes * 1e9:.1f} nJ an utterance. The "
            f"output branch of the measured device ({measured.r_load / 1e3:.0f} kOhm at {measured.v_dd:g} V) would take "
            f"{one.supply * 1e12:.0f} pJ more a spike; the paper's 65 nm estimate replaces it by 1 GOhm and 1 pF (Table 7)."
        ),
        "assumptions": (
            "A model, not a measurement: the currents of the measured device's circuit, integrated over its first spike under "
            f"{volt:g} V pulses of {width:g} s (of {width * task.slower:g} s where it is slowed down). Input that leads to no spike, "
            "synapses, drivers and the readout are not counted."
        ),
    }
