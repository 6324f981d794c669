"""The report page of a tested network: its answers, and their consequences for energy, network step and integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ..advisor import Advice, advise
from ..answers import answers
from ..description import NetDescription
from ..device.energy import spike_energy
from ..device.stimulus import usual_width
from ..errors import InputError, counted, three_digits
from ..fast import FastNetwork
from ..layers import M1T1RNeuron
from ..params import DeviceParams
from ..quantisation import LayerQuantisation, quantise_network
from ..reference_network import synaptic_input
from ..report import Page
from . import data, figures
from .evaluate import Evaluation
from .task import PAPER_ACCURACY, Task, step_text

REMARKS = {
    data.SPOKEN_DIGITS_NAME: "Synthetic speech is more regular than human speech: compare this accuracy with others on SpokenDigits only, "
    f"never with the paper's {PAPER_ACCURACY} on SHD.",
    data.SHD_NAME: f"The paper's network reaches {PAPER_ACCURACY}.",
}
"""What to compare an accuracy with, by the name of the data."""
RECORDED, MOST_STEPS, MOST_VALUES = 8, 1000, 4_000_000
"""Most test utterances, first ones of their classes, whose input the step's advice and the integers' report are given, steps of each for
the latter, and neurons times steps of all of them, if that is more than one: the reference takes its time."""


class Found(NamedTuple):
    """What a test found."""

    net: NetDescription
    data: str
    """Name of the data."""
    held_out: str
    """Description of the test set."""
    test: data.Frames
    result: Evaluation
    fixed: Any
    """The fast path's fixed-point run of the test set (Result), with all layers."""
    task: Task | None = None
    """Where the network was trained from fresh weights: the task, which knows the device that its neurons are modelled on."""
    baseline: Evaluation | None = None
    """CUBA network trained alike."""
    same_in_lava: float | None = None
    """Share of the utterances run in Lava on which its floating point answers as fixed point does; None: none was run."""
    curve: Sequence[Mapping[str, float]] = ()
    """Where the network was trained: the numbers of each epoch."""
    trained_on: str = ""
    """Where it was trained: on what, a clause."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the classes; numbers where they have none."""
        return self.net.classes or tuple(map(str, range(self.net.outputs)))

    @property
    def is_ours(self) -> bool:
        """Whether the neurons are 1M1T1R, and the first layer has some: what the figures and the advice are about."""
        return self.net.has_floating and isinstance(self.net.active[0].neuron, M1T1RNeuron)


class Worked(NamedTuple):
    """What :func:`worked_out` computes for the page of a network of 1M1T1R neurons."""

    energy: dict[str, Any]
    advice: Advice
    quantised: list[LayerQuantisation]


def worked_out(found: Found) -> Worked:
    """Energy, advice on the network step, and the report on the integers."""
    net, which = found.net, data.first_of_each(found.test.labels, _recorded(found))  # few: their records are large
    hidden, some = net.active[0], found.test.dense(which)
    a_in = synaptic_input(hidden, net.arriving(some), found.fixed.layers[0].spikes[which])
    # One column, the sum of each neuron's positive weights: advise needs no more, and a convolution's matrix may fill the memory.
    excited = replace(hidden, weight=np.maximum(hidden.own_weight, 0)).weigh(np.ones((1, hidden.inputs), np.int64)).T
    advice = advise(hidden.m1t1r.step, excited, a_in, bias=hidden.bias, weights_rec=hidden.weight_rec)
    return Worked(energy_of(*_device(found), found.result.spikes), advice, quantise_network(net, some[:, :MOST_STEPS]))


def _recorded(found: Found) -> int:
    """Number of utterances that are recorded."""
    values = found.test.binned.shape[1] * sum(layer.size for layer in found.net.active)
    return min(RECORDED, len(found.test), max(1, MOST_VALUES // values))


def _device(found: Found) -> tuple[DeviceParams, float]:
    """Device that the network's neurons are modelled on, and by which factor they are slower."""
    task = found.task
    if task is None:
        return found.net.active[0].m1t1r.step.device.median().quiet(), 1.0
    return task.step.device.scaled(1 / task.slower), task.slower


def page_of(found: Found, worked: Worked | None = None) -> Page:
    """The page, from the accuracy down to the integers; ``worked`` is worked out where it is not given and can be."""
    net, result = found.net, found.result
    what = "1M1T1R" if found.is_ours else net.sizes
    page = Page(f"{what} on {found.data}: {result.accuracy:.1%} on {found.held_out}", _lead(found))
    error = 100 * standard_error(result.accuracy, len(found.test))
    shown = {f"accuracy, fixed point ({counted(len(found.test), 'utterance')}: +- {error:.1f} points)": f"{result.accuracy:.1%}"}
    if result.adapted_accuracy is not None:
        shown["the same, adapted to each speaker"] = f"{result.adapted_accuracy:.1%}"
    if found.baseline is not None:
        shown["accuracy of CUBA, same training"] = f"{found.baseline.accuracy:.1%}"
    shown["chance"] = f"{100 / net.outputs:.3g}%"
    shown["spikes per utterance"] = f"{result.spikes:.1f}"
    page.numbers(shown)
    adapted = f"Adapted: {result.adaptation}." if result.adaptation else ""
    for remark in (REMARKS.get(found.data), adapted, result.guesses):
        if remark:
            page.note(remark)
    _sameness(page, found)
    if found.is_ours:
        _one_utterance(page, found)
    page.section("Confusion matrix")
    page.figure(figures.confusion(result.confusion, found.keys), "Rows: true class; columns: predicted class.")
    if found.curve:
        page.section("Training", f"Trained on {found.trained_on}." if found.trained_on else "")
        page.figure(
            figures.training(found.curve),
            "Loss and training accuracy: means over each epoch, while the network still learns. Validation: after it.",
        )
    if found.is_ours:
        _consequences(page, found, worked or worked_out(found))
    return page


def standard_error(share: float, count: int) -> float:
    """Standard error of a share of ``count`` answers, by Agresti and Coull (The American Statistician 52, 119, 1998): not 0 where all or
    none are right."""
    wide = count + 4
    share = (share * count + 2) / wide
    return (share * (1 - share) / wide) ** 0.5


def _lead(found: Found) -> str:
    net, task = found.net, found.task
    each = "" if net.delay_lines is None else f" (x{net.delay_lines.copies}: with so many delays each)"
    network = f"Network {net.sizes}: input channels{each}, neurons of each layer (R: recurrent), outputs."
    if task is not None:
        return f"{network} Device: {task.device_text}"
    if not found.is_ours:
        return network
    return f"{network} Neurons in {step_text(net.active[0].m1t1r.step)}"


def _sameness(page: Page, found: Found) -> None:
    result = found.result
    page.section("Agreement of the implementations", f"Test set: {found.held_out}. 8-bit weights, integer arithmetic of FIXED_POINT.md.")
    rows = [(name, result.compared[name], wrong) for name, wrong in result.mismatches.items()]
    if rows:
        page.table(("implementation", "utterances", "differing values (all layers, all steps)"), rows)
    if result.same_answer is not None:
        lava = "" if found.same_in_lava is None else f" In Lava, for the utterances in the table: {found.same_in_lava:.2%}."
        spikes = "" if result.float_spikes is None else f" Spikes, when both run freely: {result.float_spikes}."
        page.text(
            f"Floating and fixed point predict the same class for {result.same_answer:.2%} of the utterances "
            f"(accuracy in floating point: {result.floating_accuracy:.1%}).{spikes}{lava}"
        )


def _one_utterance(page: Page, found: Found) -> None:
    """The correctly classified utterance with the most spikes."""
    fixed, test, step = found.fixed, found.test, found.net.active[0].m1t1r.step
    busy = fixed.layers[0].spikes.sum((1, 2), dtype=np.int64)
    example = int(np.where(answers(fixed.out) == test.labels, busy, -1).argmax())
    words = (found.keys[int(k)] for k in (test.labels[example], answers(fixed.out[[example]])[0]))
    page.section("One utterance", "Its class is '{}', and the answer '{}'.".format(*words))
    frames = test.dense([example])
    seen = FastNetwork(found.net).run(frames, record="all")
    page.figure(
        figures.rasters(frames, seen, 0, step.dt),
        "Input spikes, spikes of the first layer's neurons, and the summed outputs, the largest of which (green) is the answer.",
    )
    page.figure(
        figures.neuron_states(seen, 0, step),
        "Filament and residue (shares of the gap) and gate (V) of the three most active neurons; dotted lines: spikes.",
    )


def _consequences(page: Page, found: Found, worked: Worked) -> None:
    page.section("Estimated energy", worked.energy["text"])
    page.note(worked.energy["assumptions"])
    recorded = f"Recorded input: {_recorded(found)} test utterances, the first ones of their classes"
    page.section("Network step compared with the device", f"{recorded}.")
    page.pre(str(worked.advice))
    page.section("Fixed point compared with floating point", f"{recorded}, {MOST_STEPS} steps of each at most.")
    page.pre("\n".join(str(layer) for layer in worked.quantised))
    page.section("Device and training", "The device of the first layer; where neurons differ, the median of each field. SI units.")
    page.fields(found.net.active[0].m1t1r.step.device.median().as_dict())
    if found.task is not None:
        said = {name: value for name, value in vars(found.task).items() if name not in ("preset", "device")}
        page.fields({"device": found.task.device_name} | said)


def energy_of(measured: DeviceParams, slower: float, spikes: float) -> dict[str, Any]:
    """Energy of an utterance from the device's energy per spike, with its assumptions.

    Parameters
    ----------
    measured : DeviceParams
        The device that the neurons are modelled on.
    slower : float
        Factor by which they are slower.
    spikes : float
        Spikes in an utterance.
    """
    volt = float(measured.v_ref)
    try:
        width = usual_width(measured)
        one = spike_energy(measured, volt, width)
        slow = spike_energy(measured.scaled(slower), volt, width * slower)
    except InputError as error:
        return {"text": f"No estimate: {error}", "assumptions": ""}
    text = (
        f"{three_digits(spikes)} spikes per utterance, at {three_digits(one.input_to_pulse_end * 1e12)} pJ each in the memristor branch "
        f"(integration, gate and R_c), give {three_digits(one.input_to_pulse_end * spikes * 1e12)} pJ"
    )
    if slower != 1:
        text += (
            " for devices as fast as the one that they are modelled on. This network assumes "
            f"devices that are slowed down {slower:g} times: slower filaments, and a gate capacitance as much larger. They would need "
            f"{three_digits(slow.input_to_pulse_end * 1e12)} pJ per spike and "
            f"{three_digits(slow.input_to_pulse_end * spikes * 1e9)} nJ per utterance"
        )
    longer = f" ({width * slower:g} s for the slower device)" if slower != 1 else ""
    return {
        "joule_per_spike_memristor_branch": one.input_to_pulse_end,
        "joule_per_spike_total": one.total,
        "joule_per_spike_slowed_down": slow.input_to_pulse_end,
        "joule_per_spike_slowed_down_total": slow.total,
        "joule_per_utterance_memristor_branch": one.input_to_pulse_end * spikes,
        "text": (
            f"{text}. The output branch of such a device ({three_digits(measured.r_load / 1e3)} kOhm at {measured.v_dd:g} V) would add "
            f"{three_digits(slow.supply * 1e12)} pJ per spike; the paper's 65 nm estimate replaces it by 1 GOhm and 1 pF (Table 7)."
        ),
        "assumptions": (
            "This is a model, not a measurement: the currents in the circuit of such a device, integrated over its first spike "
            f"under {volt:g} V pulses of {width:g} s{longer}. Not counted: input that leads to no spike, synapses, drivers "
            "and the readout. These take far more, with pulses as long as a network step: deploy spice counts them."
        ),
    }
