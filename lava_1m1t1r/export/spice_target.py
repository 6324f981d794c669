"""Deployment to 1M1T1R hardware: the SPICE netlist of the network, its accuracy and energy, and the proof by ngspice."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

import numpy as np

from .._support.progress import tell
from ..answers import answers
from ..description import NetDescription
from ..device.crossbar import CELLS, Cells, rows_of
from ..device.network import DeviceNetwork, Sample, registers
from ..errors import array_of, counted, listed, number, require, whole
from ..fast import FastNetwork
from ..params import DeviceParams
from . import rules
from .frames import batched
from .ngspice import require_ngspice
from .report import Report, ToolFailed, VerificationError, classes_of, write_export
from .spice_network import READOUT, TICK, sources
from .spice_neuron import EDGE, check_field_law
from .spice_run import compare, run_network

MAX_CROSSBAR = 1 << 20
"""Largest number of synapses of a layer in a netlist, which takes two lines for each."""
LARGEST = 5000
"""Largest number of synapses of a network that ngspice runs: a pattern then takes seconds to minutes. The device level simulates any
network."""
FINE = 1e-7
"""Relative error of a step at the device level, and ten times ngspice's, where both are run again: spikes then differ by 1e-4 and less, but
for devices whose trains follow differences of 1e-6 (those of Fig. 4 and Table 1)."""


def crossbars_fit_a_netlist(net: NetDescription) -> None:
    """Every cell is a line; a convolution is written out."""
    for layer in net.active:
        cells = layer.size * sum(rows_of(layer))
        cure = "Use smaller layers, or simulate with device.network, which writes no netlist."
        rule = f"have at most {MAX_CROSSBAR} synapses, those of its bias included"
        require(cells <= MAX_CROSSBAR, net.at(layer, "weight"), rule, cells, cure)


def neurons_are_without_noise(net: NetDescription) -> None:
    """A circuit simulator's transient analysis has no filament noise."""
    for layer in net.active:
        if layer.step is not None:
            for name in ("sigma1", "sigma2"):
                value = getattr(layer.step.device, name)
                cure = "Set it to 0; device.network simulates noisy devices."
                require(not np.any(value), net.at(layer, f"neuron/{name}"), "be 0 in a circuit", value, cure)


def field_laws_can_be_computed_by_a_circuit_simulator(net: NetDescription) -> None:
    """The hyperbolic law is written as its formula, whose exponential must not overflow."""
    for layer in net.active:
        if layer.step is not None:
            cure = "Use a larger v0, or a smaller v_in_max."
            check_field_law(layer.step.device, layer.step.v_in_max, net.at(layer, "neuron: {}"), "v_in_max", cure)


RULES: tuple[rules.Rule, ...] = (
    *rules.INTEGERS,
    crossbars_fit_a_netlist,
    neurons_are_without_noise,
    field_laws_can_be_computed_by_a_circuit_simulator,
)
"""Rules of this target, the fixed-point ones among them: the netlist's reference is a network that the library runs."""


def deploy_spice(
    net: str | os.PathLike | NetDescription,
    out_dir: str | os.PathLike,
    *,
    frames: Any = None,
    labels: Any = None,
    cells: str | Cells = "falcone2025",
    seed: int = 0,
    patterns: int = 4,
    timeout: float = 600.0,
) -> Report:
    """Write ``network.cir``: crossbars, amplifiers, 1M1T1R circuits, delay registers; and a deck a pattern.

    Parameters
    ----------
    net : path or NetDescription
        Network of 1M1T1R neurons.
    out_dir : path
        New, empty, or a former export.
    frames : (B, T, C) int, optional
        If given, these samples are simulated at the device level (accuracy, energy); the first ``patterns`` of them get a deck and,
        if the network has at most :data:`LARGEST` synapses, run in ngspice, which must agree with the device level.
    labels : (B,) int, optional
        Classes of the samples, for the accuracy.
    cells : str or Cells
        Cells that hold the weights: a name of :data:`.device.crossbar.CELLS`, or your own.
    seed : int
        Seed of programming errors and read noise.
    patterns : int
        Samples that get a deck; with 0, ngspice is not run.
    timeout : float
        Seconds that ngspice may take for a pattern.

    Returns
    -------
    Report

    Raises
    ------
    InputError
        If a rule of the target is broken.
    MissingDependencyError
        If ngspice is needed and absent.
    VerificationError
        If ngspice fails, or gives other classes, first spikes or rates than the device level.
    """
    net = rules.accepted(net, out_dir, RULES)
    if not isinstance(cells, Cells):
        known = isinstance(cells, str) and cells in CELLS
        require(known, "cells", f"be one of {', '.join(CELLS)}, or Cells", cells)
        cells = CELLS[cells]
    timeout = number(timeout, "timeout [s]", above=0.0)
    patterns = whole(patterns, "patterns")
    require(labels is None or frames is not None, "labels", "come with frames", labels)
    synapses = sum(layer.size * sum(rows_of(layer)) for layer in net.active)
    proven = frames is not None and patterns > 0 and synapses <= LARGEST
    if proven:
        require_ngspice()
    network = DeviceNetwork(net, cells, seed=seed)
    facts, notes = facts_of(network), assumptions(network)
    if frames is None:
        files = sources(network, ())
        notes.append("Not simulated: give frames for accuracy, energy and the comparison with ngspice.")
    else:
        frames = batched(frames)
        labels = None if labels is None else _checked_labels(labels, len(frames), net.outputs)
        samples = network.run(frames)
        facts |= measured(net, frames, samples, labels)
        some = frames[:patterns]
        files = sources(network, some)
        if proven:
            patterns_of = f"{counted(len(some), 'pattern')} of {counted(frames.shape[1], 'step')}"
            tell(f"ngspice: {patterns_of}, at most {timeout:g} s each (patterns=0, --patterns 0: none)")
            try:
                files, agreement = _proven(network, files, some, samples[: len(some)], timeout)
            except VerificationError as error:
                raise type(error)(f"{error}\nWith patterns=0 (--patterns 0), the netlist is written without being run.") from error
            facts |= agreement
        elif len(some):
            notes.append(f"ngspice was not run: it is for networks of at most {LARGEST} synapses, and this one has {synapses}.")
        else:
            notes.append("ngspice was not run: no pattern was asked for.")
    return write_export("spice", net, out_dir, files, facts, notes)


def _proven(
    network: DeviceNetwork, files: dict[str, str], frames: Any, samples: list[Sample], timeout: float
) -> tuple[dict[str, str], dict[str, Any]]:
    """Decks that ngspice and the device level agree on, and how far they do.

    A spike near the end of a network step may fall into the next one, and a gate near its threshold may cross it or not: then a recurrent
    network goes another way. Where the two differ, both are run again, more accurately.
    """
    try:
        return files, compare(network.net, samples, run_network(network, files, frames, timeout))
    except ToolFailed:
        raise
    except VerificationError as error:
        first = error
    tell(f"{first} Both are run again, more accurately.")
    fine = DeviceNetwork(network.net, network.cells, network.periphery, network.seed, rtol=FINE)
    files = sources(fine, frames)
    try:
        agreement = compare(network.net, fine.run(frames), run_network(fine, files, frames, timeout))
    except ToolFailed as error:
        raise VerificationError(f"{first} More accurately, it could not be run: {error}") from error
    return files, agreement | {"ngspice, relative tolerance of steps, tightened to agree": 0.1 * FINE}


def _checked_labels(labels: Any, samples: int, outputs: int) -> np.ndarray:
    labels = array_of(labels, "labels")
    require(labels.shape == (samples,), "labels", f"have shape ({samples},), one for each sample", labels.shape)
    good = np.all((labels >= 0) & (labels < outputs) & (labels == np.rint(labels)))
    require(good, "labels", f"hold whole numbers from 0 to {outputs - 1}, one for each output of the network", labels)
    return labels


def facts_of(network: DeviceNetwork) -> dict[str, Any]:
    """Facts of the circuit itself."""
    layers = list(zip(network.net.active, network.crossbars, strict=True))
    return {
        "network step [s]": network.dt,
        **classes_of(network.net),
        "crossbar cells": sum(2 * crossbar.positive.size for _, crossbar in layers),
        "rows of each crossbar": {f"layer {x.index}": crossbar.rows._asdict() for x, crossbar in layers},
        "cell": asdict(network.cells),
        "error of a programmed weight, rms [counts of 1/64]": {
            # to nine digits: what is left of ideal cells is rounding
            f"layer {x.index}": round(float(np.sqrt(np.mean((crossbar.counts - crossbar.wanted) ** 2))), 9)
            for x, crossbar in layers
        },
        "feedback resistance of the amplifiers [ohm]": {
            f"layer {x.index}": crossbar.feedback(x.m1t1r.step.v_unit) for x, crossbar in layers if x.neuron is not None
        },
        "1M1T1R circuits": sum(x.size for x, _ in layers if x.neuron is not None),
        "flip-flops": sum(registers(x) for x, _ in layers if x.neuron is not None),
    }


def measured(net: NetDescription, frames: np.ndarray, samples: list[Sample], labels: Any) -> dict[str, Any]:
    """Facts of a simulation at the device level: answers and energies, means over samples.

    Parameters
    ----------
    net : NetDescription
        The network.
    frames : (B, T, C) int
        Samples that were simulated.
    samples : list of Sample
        Their simulations.
    labels : (B,) int, optional
        Classes of the samples, for the accuracy.
    """
    ours = np.array([sample.answer for sample in samples])
    fixed = answers(FastNetwork(net).run(frames, threads=1).out)
    facts: dict[str, Any] = {"samples simulated at the device level": len(samples)}
    if labels is not None:
        facts["accuracy of the hardware"] = float(np.mean(ours == labels))
        facts["accuracy of the fixed-point network"] = float(np.mean(fixed == labels))
    facts["same class as the fixed-point network"] = float(np.mean(ours == fixed))
    facts["spikes of the neurons an inference"] = float(np.mean([sum(int(x.spikes.sum()) for x in s.layers) for s in samples]))
    split = {
        part: {name: float(np.mean([s.energy[part][name] for s in samples])) for name in names} for part, names in samples[0].energy.items()
    }
    facts["energy an inference [J]"] = sum(sum(parts.values()) for parts in split.values())
    for part, parts in split.items():
        facts[f"energy of the {part} [J]"] = {"total": sum(parts.values()), **parts}
    return facts


def assumptions(network: DeviceNetwork) -> list[str]:
    """Assumptions of the circuit and its energies, one sentence each."""
    net, p, cells = network.net, network.periphery, network.cells
    kinds: dict[tuple[float, DeviceParams], list[int]] = {}
    for layer in net.active:
        if layer.step is not None:
            kinds.setdefault((layer.step.v_in_max, layer.step.device), []).append(layer.index)
    notes = [
        f"Spikes travel in network steps of {network.dt:g} s: a comparator at v_th sets a latch, the step's end moves it into a shift "
        "register, whose taps drive rows; delays are its stages. Spike times within a step are not passed on.",
        f"A spike is a pulse of {cells.v_read:g} V, one step long; an input count of k is k times as high. Edges take {EDGE:g} of a step, "
        f"digital elements {TICK:g}.",
        "One ideal transimpedance amplifier a neuron sums its two columns at virtual ground and drives the memristor with "
        "clip(R_f (I+ - I-), 0, v_in_max) from a source without resistance.",
        "Biases are rows that carry a pulse in every step. Wires have no resistance, cells are ohmic and do not drift.",
        "Read noise is one draw a column pair and step, with the variance of all its cells; programming errors are drawn once.",
        f"Energy: row drivers and amplifiers are class-B stages on {p.v_supply:g} V, with {p.amplifier_current:g} A at rest an amplifier; "
        f"a cell adds {p.line_capacitance:g} F to its row; a flip-flop takes {p.register_energy:g} J a step. These four are assumed. Clock "
        "distribution, comparators, programming and input encoding are left out.",
        "Energies of neurons are integrals of the circuit's currents, of crossbars those of the cells' heat while pulses last.",
        "Pulses last a whole step, so crossbar and driver energies grow with its length.",
        *(f"Devices of layers {listed(where)}: {device!r}; v_in_max {most:g} V." for (most, device), where in kinds.items()),
    ]
    if net.delay_lines is not None:
        notes.append(
            f"Delay lines are no part of the netlist, and cost no energy here: input n is channel n mod {net.inputs}, as many steps later "
            "as delay_lines of the .net file says. The patterns here are delayed in this way; what drives the rows must send "
            "each spike on all lines of its channel."
        )
    if not net.spiking:
        notes.append(
            f"The readout's differential currents are integrated ({READOUT:g} V for a spike of weight 1) and read at the pattern's end; "
            "the largest voltage is the class. What compares the voltages is not in the netlist."
        )
    else:
        notes.append("The class is the output with the most spikes; what counts them is not in the netlist.")
    return notes
