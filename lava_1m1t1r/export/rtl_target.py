"""Deployment to RTL: rules, Verilog, the proof by simulation on this machine, and the cell counts of a synthesis tool."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, Context, Decimal
from itertools import zip_longest
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np

from .._support.files import scratch
from ..budget import GENERATOR_WIDTH
from ..delay_lines import on_lines, outgoing
from ..description import NetDescription
from ..dynamics import State
from ..errors import flag, number, require, whole
from ..fast import FastNetwork, Result
from . import rtl_source, rules
from .frames import samples
from .names import verilog_module
from .plan import Plan, plan
from .report import Report, ToolFailed, VerificationError, classes_of, compared, write_export
from .tools import NO_ROOM, call, require_program, write_sources

SIMULATORS = {"verilator": "verilator", "icarus": "iverilog"}
"""Programs of the simulators, by the names that users give."""
_MEAN, _LARGEST = "cycles a step, mean", "cycles a step, largest"
_MOST_LANES = 64


def sums_fit_twenty_four_bits(net: NetDescription) -> None:
    """Adders of the RTL would wrap around. Spikes are inputs of 1; what counts the first layer may get follows from what is left."""
    most = (1 << (rtl_source.SUM_BITS - 1)) - 1
    for layer in net.active:
        rule = f"add up, all as positive, to at most {most} counts a neuron ({rtl_source.SUM_BITS} bits)"
        cure = "Use smaller weights or fewer inputs, or target c, whose sums have 32 bits."
        largest = int(layer.sums().reach(1, np.inf))
        require(largest <= most, net.at(layer, "weight"), rule, largest, cure)


RULES: tuple[rules.Rule, ...] = (*rules.INTEGERS, sums_fit_twenty_four_bits)
"""Rules of this target."""


def deploy_rtl(
    net: str | os.PathLike | NetDescription,
    out_dir: str | os.PathLike,
    *,
    name: str = "net",
    lanes: int = 4,
    clock_hz: float = 50e6,
    frames: Any = None,
    simulator: str = "verilator",
    synthesise: bool = False,
) -> Report:
    """Write synthesizable Verilog-2001 of the fixed-point network, its memory contents and a test bench.

    Parameters
    ----------
    net : path or NetDescription
        The network.
    out_dir : path
        New, empty, or a former export.
    name : str
        Name of the top module, with which the names of the memory contents begin.
    lanes : int
        Weights that a layer adds in a clock cycle, a power of two from 1 to 64.
    clock_hz : float
        Clock at which times are stated [Hz]. No timing analysis is made; deploy/rtl/README.md says what place and route reached.
    frames : (B, T, C) int, optional
        If given, the design is simulated on these samples, and must equal the fixed-point network in every spike and state.
    simulator : "verilator" or "icarus"
        Simulator for the proof.
    synthesise : bool
        Count cells and memory bits with Yosys. Minutes for large weight memories.

    Returns
    -------
    Report

    Raises
    ------
    InputError
        If a rule of the target is broken.
    MissingDependencyError
        If a tool is not installed.
    VerificationError
        If the simulated design differs from the network.
    """
    net = rules.accepted(net, out_dir, RULES)
    name = verilog_module(name)
    lanes = whole(lanes, "lanes", least=1, most=_MOST_LANES)
    require(lanes.bit_count() == 1, "lanes", f"be a power of two from 1 to {_MOST_LANES}", lanes)
    clock_hz = number(clock_hz, "clock_hz (--clock)", above=0.0)
    synthesise = flag(synthesise, "synthesise")
    require(isinstance(simulator, str) and simulator in SIMULATORS, "simulator", f"be one of {', '.join(SIMULATORS)}", simulator)
    if frames is not None:
        _require_simulator(simulator)
    if synthesise:
        require_program("yosys", "Counting cells (synthesise)", "Install Yosys, or leave that away.")
    lowered = plan(net)
    sources = rtl_source.sources(lowered, f"{net.sizes} network of 1M1T1R neurons.", name, lanes)
    facts: dict[str, Any] = {
        "memory [bits]": memory_bits(lowered, lanes),
        "largest spike count of an input": rtl_source.input_limit(lowered),
        "cycles of a frame without spikes": {x.name: int(rtl_source.frame_cycles(x, lanes, 0)) for x in lowered.layers},
        "cycles of a reset": rtl_source.reset_cycles(lowered, lanes),
        "cycles more a spike": {x.name: rtl_source.spike_cycles(x, lanes) for x in lowered.layers},
        "network step [s]": lowered.dt,
        **classes_of(net),
    }
    if lowered.lines is not None:
        facts["cycles of the delay lines for a frame without spikes"] = int(
            rtl_source.lines_cycles(lowered, np.zeros((1, lowered.channels)))[0]
        )
    notes = [f"Times assume a clock of {clock_hz / 1e6:g} MHz; whether a device reaches it was not analysed."]
    if frames is not None:
        frames = samples(frames, net, rtl_source.input_limit(lowered))
        network = FastNetwork(net)
        sources |= bench_files(network, frames)
        ran = network.run(frames, record="all", threads=1)
        facts |= simulate(ran, sources, simulator)
        if _LARGEST in facts:
            own, widest = (largest_step(lowered, count, frames, ran.layers) for count in (lanes, _MOST_LANES))
            facts[_LARGEST] = max(facts[_LARGEST], own)
            facts["time a step, mean [s]"] = facts[_MEAN] / clock_hz
            facts["time a sample, mean [s]"] = facts[_MEAN] * frames.shape[1] / clock_hz
            facts["largest step, share of the network's step"] = facts[_LARGEST] / clock_hz / lowered.dt
            notes += _late(facts[_LARGEST], clock_hz, lowered.dt, own, widest)
        else:
            notes.append("Cycles a step are not known: between the reset and the end of such short samples there is no whole step.")
    else:
        notes.append("Not simulated: give frames to compare all spikes and states.")
    if synthesise:
        facts["Yosys, Lattice ECP5 cells"] = cells(sources, name)
    return write_export("rtl", net, out_dir, sources, facts, notes)


def _require_simulator(simulator: str) -> None:
    """Refuse a simulator that is not installed, or that cannot work in the folder of temporary files."""
    require_program(SIMULATORS[simulator], "The proof by simulation", "Install it, or leave frames (--prove) away.")
    folder = gettempdir()
    plain = simulator != "verilator" or not any(map(str.isspace, folder))
    cure = "Name another folder in the environment variable TMPDIR, or take icarus (--simulator icarus)."
    require(plain, "the folder of temporary files", "have no white space in its name, for verilator's make", folder, cure)


def largest_step(lowered: Plan, lanes: int, frames: np.ndarray, records: Sequence[Any]) -> int:
    """Most clock cycles that a part of the design takes for a step of these samples, by the spikes that reach it. Those of the first steps
    count as well, which no interval between output frames shows: these come with the reset.

    Parameters
    ----------
    lowered : Plan
    lanes : int
    frames : (B, T, C) int
    records : sequence of LayerRecord
        What the layers do under ``frames``.
    """
    cycles, arriving = [], frames
    if lowered.lines is not None:
        cycles, arriving = [rtl_source.lines_cycles(lowered, frames)], on_lines(frames, lowered.lines)
    for layer, record in zip(lowered.layers, records, strict=True):
        own = 0 if layer.weight_rec is None else outgoing(record.spikes, layer.delay_rec).sum(-1, dtype=np.int64)
        cycles.append(rtl_source.frame_cycles(layer, lanes, arriving.sum(-1, dtype=np.int64), own))
        if record.spikes is not None:
            arriving = outgoing(record.spikes, layer.delay)
    return int(np.max(cycles))


def _late(cycles: int, clock_hz: float, dt: float, own: int, widest: int) -> list[str]:
    """Note that the largest step, of so many cycles, takes longer than ``dt`` [s], with the cure; none if all is well. ``own``, ``widest``:
    :func:`largest_step` with the design's lanes and with the most."""
    if cycles / clock_hz <= dt:
        return []
    least = Context(prec=3, rounding=ROUND_CEILING).divide(Decimal(cycles), Decimal(str(dt))).scaleb(-6)  # rounded down, it would not do
    other = "more lanes" if widest < own and widest / clock_hz < dt else "fewer substeps, neurons a layer or delay lines"
    return [f"The largest step takes longer than the network's own: live input needs a clock of {least:f} MHz, or {other}."]


def memory_bits(lowered: Plan, lanes: int) -> dict[str, int]:
    """Bits of the memories by what they hold, as they are written: each layer has tables of its own, and rows fill whole words."""
    bits = dict.fromkeys(("weights", "constants", "tables", "states", "sums", "queues"), 0)
    if lowered.lines is not None:
        bits["delay lines"] = rtl_source.lines_bits(lowered)
    queue = (1 << rtl_source.INPUT_FIFO) * (rtl_source.address_bits(lowered.inputs) + 1)
    for layer in lowered.layers:
        own = 1 if layer.single else lanes
        row = rtl_source.words(layer, own) * own  # of a spike: a weight a neuron, filled up to whole words
        rows = layer.inputs + (0 if layer.weight_rec is None else layer.outputs)
        bits["weights"] += 0 if layer.single else 8 * rows * row
        bits["sums"] += rtl_source.SUM_BITS * row
        if layer.program is None:
            continue
        wiring = len(rtl_source.wiring_of(layer))
        constants = 1 if layer.program.alike else layer.outputs
        generators = GENERATOR_WIDTH * layer.outputs * layer.noisy  # as they start, and as they are
        bits["constants"] += rtl_source.CONSTANT_BITS * constants + rtl_source.WIRING_BITS * wiring + generators
        bits["states"] += (sum(rtl_source.STATE_BITS) + layer.history) * layer.outputs + generators
        bits["tables"] += sum(rtl_source.ENTRY_BITS * table.size for table in layer.tables.values())
        depth = 1 << rtl_source.address_bits(layer.outputs + 2)
        queues = (layer is not lowered.layers[-1]) + (layer.weight_rec is not None)
        queue += queues * depth * (rtl_source.address_bits(layer.outputs) + 1)
    return bits | {"queues": queue}


def simulate(ran: Result, sources: Mapping[str, str], simulator: str = "verilator") -> dict[str, Any]:
    """Simulate the design on samples; spikes, states and outputs must equal the fast fixed-point network's.

    Parameters
    ----------
    ran : Result
        What the network does under the samples of the bench files, in fixed point, with all records.
    sources : mapping of str
        File name to text, as :func:`.rtl_source.sources` and :func:`bench_files` return them.
    simulator : "verilator" or "icarus"
        Simulator to use.

    Returns
    -------
    dict
        What was compared, and the clock cycles between the output's frames when the input never waits; no cycles of samples that are
        so short that all frames come with the reset.
    """
    with scratch() as folder:
        write_sources(sources, folder)
        verilog = [file for file in sources if file.endswith(".v")]
        if simulator == "verilator":
            # -O1: the design runs as fast as with -O2 and takes two seconds less to build
            flags = ["--binary", "--timing", "-j", "2", "--top-module", "bench", "-Wno-fatal", "-Wno-lint", "-CFLAGS", "-O1"]
            call(["verilator", *flags, "--Mdir", "build", "-o", "bench", *verilog], folder)
            call([f"{folder}/build/bench", "+states"], folder)
        else:
            call(["iverilog", "-g2005", "-o", "bench.vvp", "-s", "bench", *verilog], folder)
            call(["vvp", "-n", "bench.vvp", "+states"], folder)
        written = {what: (Path(folder) / f"{what}.txt").read_text() for what in ("outputs", "states", "cycles")}
    for what, text in written.items():
        ended = text.count("end\n")
        if ended < len(ran.out):
            raise ToolFailed(f"{simulator} left {what}.txt without the end of sample {ended}. {NO_ROOM}")
    _compare_outputs(written["outputs"], sources["expected.txt"])
    cycles = _intervals(written["cycles"])
    states_compared = _compare_states(written["states"], ran.layers)
    text = compared(ran.out.shape[0] * ran.out.shape[1], ran.spike_count, states_compared)
    found = {_MEAN: float(np.mean(cycles)), _LARGEST: int(np.max(cycles))} if cycles.size else {}
    return {f"simulated by {simulator}": text, **found}


def bench_files(network: FastNetwork, frames: np.ndarray) -> dict[str, str]:
    """``frames.txt`` for the bench, and ``expected.txt``, which its ``outputs.txt`` must equal."""
    tail = sum(x.neuron is not None for x in network.net.active)  # each layer of neurons hands on one frame more than it gets
    padded = np.concatenate([frames, np.zeros((len(frames), tail, frames.shape[2]), frames.dtype)], axis=1)
    lines = []
    for sample in network.run(padded, threads=1).out:
        for frame in sample:
            values = np.flatnonzero(frame) if network.net.spiking else frame
            lines.append("".join(f"{v} " for v in values))
        lines.append("end")
    return {"frames.txt": _tokens(frames), "expected.txt": "\n".join(lines) + "\n"}


def _tokens(frames: np.ndarray) -> str:
    lines = []
    for sample in frames:
        for frame in sample:
            where = np.flatnonzero(frame)
            lines += [str(n) for n in np.repeat(where, frame[where].astype(np.int64))] + ["-1"]
        lines.append("-2")
    return "\n".join(lines) + "\n"


def _compare_outputs(text: str, expected: str) -> None:
    ours, theirs = text.splitlines(), expected.splitlines()
    if ours == theirs:
        return
    same = theirs[: next(i for i, (a, b) in enumerate(zip_longest(ours, theirs)) if a != b)]
    sample, step = same.count("end"), [*reversed(same), "end"].index("end")
    raise VerificationError(f"The RTL's output differs from the network's first in sample {sample}, step {step}.")


def _intervals(text: str) -> np.ndarray:
    """Clock cycles between output frames; the first ones of a sample come with the reset and are left out."""
    return np.concatenate([np.diff([int(n) for n in sample.split()][2:]) for sample in text.split("end\n")[:-1]])


def _compare_states(text: str, layers: Sequence[Any]) -> int:
    count = 0
    for b, sample in enumerate(text.split("end\n")[:-1]):
        rows = np.array(sample.split(), np.int64).reshape(-1, 6)
        for k, layer in enumerate(layers):
            if layer.spikes is None:
                continue
            steps, size = layer.spikes.shape[1:]
            own = rows[rows[:, 0] == k, 1:][: steps * size].reshape(steps, size, 5)
            want = np.stack(
                [np.broadcast_to(np.arange(size), (steps, size)), layer.spikes[b], *(s[b] for s in layer.states.values())], axis=2
            )
            if not np.array_equal(own, want):
                t, n, what = np.argwhere(own != want)[0]
                value = ("order", "spike", *State._fields)[what]
                raise VerificationError(f"The RTL's {value} differs first in sample {b}, layer {k}, step {t}, neuron {n}.")
            count += 3 * steps * size
    return count


def cells(sources: Mapping[str, str], name: str) -> dict[str, Any]:
    """Counts of Yosys for the design: memories as written, and cells of a Lattice ECP5, an FPGA that Yosys maps to completely."""
    with scratch() as folder:
        write_sources(sources, folder)
        read = "read_verilog " + " ".join(file for file in sources if file.endswith(".v") and file != "bench.v")
        script = f"{read}; hierarchy -check -top {name}; proc; flatten; opt; memory -nomap; opt_clean; tee -o memories.txt stat"
        call(["yosys", "-q", "-p", script], folder)
        call(["yosys", "-q", "-p", f"{read}; synth_ecp5 -top {name}; tee -o cells.txt stat"], folder)
        memories, mapped = ((Path(folder) / file).read_text() for file in ("memories.txt", "cells.txt"))
    kinds = {
        "4-input LUTs": "LUT4",
        "flip-flops": "TRELLIS_FF",
        "carry cells": "CCU2C",
        "18 x 18 multipliers": "MULT18X18D",
        "18 kbit memory blocks": "DP16KD",
        "16 x 4 bit LUT memories": "TRELLIS_DPR16X4",
    }
    found = {text: _count(kind, mapped) for text, kind in kinds.items()}
    sites = found["4-input LUTs"] + 2 * found["carry cells"] + 4 * found["16 x 4 bit LUT memories"]
    return {"memories": _count("[$]mem_v2", memories), "LUT sites, before placement": sites, **found}


def _count(kind: str, stat: str) -> int:
    """Number of cells of a kind in a table of Yosys: behind their name in old versions, before it in new ones."""
    found = re.search(rf"^[ \t]+{kind}[ \t]+(\d+)$|[ \t](\d+)[ \t]+{kind}$", stat, re.MULTILINE)
    return int(found[1] or found[2]) if found else 0
