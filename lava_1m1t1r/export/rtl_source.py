"""Target RTL: Verilog of the fixed-point network. One core per layer, all layers in parallel, memories from hexadecimal files."""

from __future__ import annotations

import json
import re
from importlib import resources
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from .. import __version__
from ..arithmetic import unpack
from ..budget import GENERATOR_WIDTH, WIDTHS
from ..delay_lines import on_lines
from ..program import PER_NEURON, FixedProgram
from .plan import Plan, PlanLayer

MODULES = ("m1t1r_fifo.v", "m1t1r_weigh.v", "m1t1r_curve.v", "m1t1r_neuron.v", "m1t1r_layer.v", "m1t1r_readout.v")
LINES_MODULE = "m1t1r_lines.v"
"""Module of designs with delay lines alone."""
SUM_BITS = 24
STATE_BITS = (23, 23, 24)  # filament, residue and gate, from bit 0 of the state word upwards
STEP_BITS = 25
INPUT_FIFO = 6  # log2 of the tokens that wait at the input
COUNT_BITS = 8  # of a channel's spikes in a frame that delay lines keep
CYCLES, NOISE_CYCLES = 43, 24  # of a substep, and what noise adds
_FIELDS = tuple((name, WIDTHS[name] + (name == "v_th")) for name in PER_NEURON)
"""Constants of a neuron and their widths [bit], from bit 0 upwards, as m1t1r_neuron.v takes them apart; thresholds of the Verilog have a
sign."""
CONSTANT_BITS = sum(bits for _, bits in _FIELDS)
WIRING_BITS = 28
"""Width of the memory word that holds a neuron's bias and delays [bit]."""
ENTRY_BITS = 57
"""Width of a table entry [bit]: exponent, base and step."""


def address_bits(count: int) -> int:
    """Number of bits of an index of ``count`` things, at least 1."""
    return max(1, (count - 1).bit_length())


def input_limit(plan: Plan) -> int:
    """Largest spike count of a channel and step that delay lines can hold, and with which no sum of the first layer leaves its register."""
    summed = plan.layers[0].sums.limit((1 << (SUM_BITS - 1)) - 1)
    return summed if plan.lines is None else min(summed, (1 << COUNT_BITS) - 1)


def frames_kept(lines: np.ndarray) -> int:
    """Number of frames that delay lines keep: the one that arrives, those of the longest delay, and one that is cleared for the next."""
    return int(lines.max()) + 2


def lines_bits(plan: Plan) -> int:
    """Memory of the delay lines [bit]: counts, with the number of channels rounded up to a power of two, and the lines' delays."""
    assert plan.lines is not None
    frames = frames_kept(plan.lines)
    return (frames << address_bits(plan.channels)) * COUNT_BITS + plan.lines.size * address_bits(frames)


def lines_cycles(plan: Plan, frames: Any) -> Any:
    """Clock cycles of the delay lines for frames (..., T, C) of spike counts; the first layer may work at the same time."""
    assert plan.lines is not None
    frames = np.asarray(frames, np.int64)  # of bytes, 0 - 1 would be 255
    sent = on_lines(frames, plan.lines)
    return 3 * np.sum(frames, -1) + 3 * plan.lines.size + np.maximum(sent - 1, 0).sum(-1) + 2


def reset_cycles(plan: Plan, lanes: int) -> int:
    """Clock cycles from a reset's end until the first frame may be taken in, and the first come out (behind a readout, be added up): all
    layers clear their memories at the same time, as the delay lines do."""
    rest = [words(layer, lanes) if layer.program is None else 2 * layer.outputs + 1 for layer in plan.layers]
    lines = 0 if plan.lines is None else frames_kept(plan.lines) * plan.channels + 1
    return max([lines, *rest], default=0)


def words(layer: PlanLayer, lanes: int) -> int:
    """Memory words of a row of weights."""
    return -(-layer.outputs // (1 if layer.single else lanes))


def spike_cycles(layer: PlanLayer, lanes: int) -> int:
    """Clock cycles that an arriving spike takes: its row of weights, and 2."""
    return (1 if layer.single else words(layer, lanes)) + 2


def frame_cycles(layer: PlanLayer, lanes: int, spikes: Any, recurrent: Any = 0) -> Any:
    """Clock cycles that a layer takes for a frame.

    A spike takes its row of weights and 2 (:func:`spike_cycles`); the end of a frame 2, and with recurrence 2 more; a neuron 5 and its
    substeps, or a sum of a readout 2; handing over 1.

    Parameters
    ----------
    layer : PlanLayer
        The layer.
    lanes : int
        Weights added in a cycle.
    spikes, recurrent : int or array
        Spikes that arrive in the frame from before the layer, and from itself.

    Returns
    -------
    int or array
        Of the shape of ``spikes``.
    """
    row = spike_cycles(layer, lanes)
    cycles = np.asarray(spikes) * row + 2
    if layer.weight_rec is not None:
        cycles = cycles + np.asarray(recurrent) * row + 2
    if layer.program is None:
        return cycles + 2 * layer.outputs + 1
    substep = CYCLES + NOISE_CYCLES * layer.noisy
    return cycles + layer.outputs * (5 + layer.substeps * substep) + 1


def sources(plan: Plan, title: str, name: str, lanes: int) -> dict[str, str]:
    """Verilog and memory contents: file name to text.

    Parameters
    ----------
    plan : Plan
        A network that keeps the rules of this target.
    title : str
        First line of the top module.
    name : str
        Name of the top module and its file, with which the names of its memory contents begin.
    lanes : int
        Weights added in a cycle, a power of two.
    """
    files: dict[str, str] = {}
    body: list[str] = []
    tables: dict[bytes, str] = {}
    for k, layer in enumerate(plan.layers):
        body += _layer(files, tables, plan, layer, k, lanes, name)
    last = plan.layers[-1]
    out_bits = address_bits(last.outputs) if plan.spiking else SUM_BITS
    text = {
        "VERSION": __version__,
        "TITLE": title,
        "SOURCE": plan.source,
        "NAME": name,
        "IN_MSB": str(address_bits(plan.channels) - 1),
        "OUT_MSB": str(out_bits - 1),
        "OUT_SIGNED": "out_data" if plan.spiking else "$signed(out_data)",
        "NEURON_LAYERS": str(sum(x.program is not None for x in plan.layers)),
        "TRACES": "".join(_trace(k) for k, x in enumerate(plan.layers) if x.program is not None),
        "BODY": "\n".join(body),
        "FIRST_BITS": str(address_bits(plan.inputs)),
        "INPUT": _input(files, plan, name),
        "INPUT_FIFO": str(INPUT_FIFO),
        "INPUT_LIMIT": str(input_limit(plan)),
        "DATA": "spikes: number of the neuron" if plan.spiking else "weighted sums, one an output, signed",
        "LAST": str(len(plan.layers)),
        "CLASSES": "".join(f"// Output {n}: {json.dumps(words)}\n" for n, words in enumerate(plan.classes)),
    }
    folder = resources.files(__package__) / "templates"
    for template, target in (("net.v", f"{name}.v"), ("bench.v", "bench.v")):
        files[target] = re.sub(r"@(\w+)@", lambda match: text[match[1]], (folder / template).read_text())
    return files | {module: (folder / module).read_text() for module in (*MODULES, *(() if plan.lines is None else (LINES_MODULE,)))}


def _trace(k: int) -> str:
    core = f"dut.layer_{k}"
    ends = [0, *accumulate(STATE_BITS)]
    values = ", ".join(f"{core}.new_state[{end - 1}:{first}]" for first, end in pairwise(ends))
    return f'            if ({core}.written) $fwrite(states, "{k} %0d %0d %0d %0d %0d\\n", {core}.n, {core}.spike, {values});\n'


def _input(files: dict[str, str], plan: Plan, name: str) -> str:
    if plan.lines is None:
        return "    assign {push_0, sent_0, in_ready} = {in_valid, in_last, in_addr, !full_0 && !rst};"
    frames = frames_kept(plan.lines)
    files[f"{name}_delays.hex"] = _hex(plan.lines, address_bits(frames))
    lines = {
        "CHANNELS": plan.channels,
        "IN_BITS": address_bits(plan.channels),
        "LINES": plan.inputs,
        "LINE_BITS": address_bits(plan.inputs),
        "FRAMES": frames,
        "FRAME_BITS": address_bits(frames),
        "COUNT_BITS": COUNT_BITS,
        "DELAYS": f'"{name}_delays.hex"',
    }
    ports = "clk, rst, in_valid, in_ready, in_last, in_addr, push_0, sent_0, full_0"
    return f"    m1t1r_lines #({_parameters(lines)}) lines (\n        {ports});"


def _layer(files: dict[str, str], tables: dict[bytes, str], plan: Plan, layer: PlanLayer, k: int, lanes: int, name: str) -> list[str]:
    lanes = 1 if layer.single else lanes
    weigh, core = _weigher(files, layer, k, lanes, name), _core(files, tables, layer, k, lanes, name)
    out_bits, word_bits = core["OUT_BITS"], core["WORD_BITS"]
    sent_bits = out_bits if layer.program is not None else SUM_BITS
    push = f"ready_{k}, word_{k}, sums_{k}, clear_{k}, resume_{k}, push_{k + 1}, sent_{k + 1}, full_{k + 1}"
    lines = [
        "",
        f"    // layer_{k}: {layer.name}",
        f"    wire ready_{k}, clear_{k}, resume_{k}, rec_empty_{k}, rec_pop_{k};",
        f"    wire [{word_bits - 1}:0] word_{k};",
        f"    wire [{lanes * SUM_BITS - 1}:0] sums_{k};",
        f"    wire [{out_bits}:0] rec_data_{k};",
        f"    m1t1r_weigh #({_parameters(weigh)}) weigh_{k} (",
        f"        clk, rst, empty_{k}, data_{k}, pop_{k}, rec_empty_{k}, rec_data_{k}, rec_pop_{k},",
        f"        ready_{k}, word_{k}, sums_{k}, clear_{k}, resume_{k});",
        f"    wire push_{k + 1}, full_{k + 1};",
        f"    wire [{sent_bits}:0] sent_{k + 1};",
    ]
    if layer.program is None:
        lines += [f"    m1t1r_readout #({_parameters(core)}) layer_{k} (clk, rst, {push});"]
    else:
        lines += [
            f"    wire rec_push_{k};",
            f"    wire [{out_bits}:0] rec_sent_{k};",
            f"    m1t1r_layer #({_parameters(core)}) layer_{k} (",
            f"        clk, rst, {push}, rec_push_{k}, rec_sent_{k});",
        ]
    if layer.weight_rec is None:
        lines += [f"    assign rec_empty_{k} = 1'b1;", f"    assign rec_data_{k} = 0;"]
    else:
        lines += [f"    wire rec_full_{k};", *_fifo(layer, f"recurrent_{k}", f"rec_{{}}_{k}")]
    if layer is not plan.layers[-1]:
        lines += [f"    wire empty_{k + 1}, pop_{k + 1};", f"    wire [{out_bits}:0] data_{k + 1};"]
        lines += _fifo(layer, f"spikes_{k + 1}", f"{{}}_{k + 1}")
    return lines


def _weigher(files: dict[str, str], layer: PlanLayer, k: int, lanes: int, name: str) -> dict[str, Any]:
    """Parameters of the module that adds up a layer's weights, whose memory goes into ``files``."""
    row, rows = words(layer, lanes), layer.inputs + (0 if layer.weight_rec is None else layer.outputs)
    weigh: dict[str, Any] = {
        "INPUTS": layer.inputs,
        "IN_BITS": address_bits(layer.inputs),
        "OUT_BITS": address_bits(layer.outputs),
        "LANES": lanes,
        "WORDS": row,
        "WORD_BITS": address_bits(row),
        "ROWS": rows,
        "ADDRESS_BITS": 1 if layer.single else address_bits(rows * row),
        "RECURRENT": int(layer.weight_rec is not None),
        "SINGLE": int(layer.single),
        "SINGLE_WEIGHT": int(layer.weight[0]) & 0xFF if layer.single else 0,
        "WEIGHT_SHIFT": layer.weight_shift,
        "REC_SHIFT": layer.rec_shift,
        "SUM_BITS": SUM_BITS,
    }
    if not layer.single:
        weigh["WEIGHTS"] = f'"{name}_weights_{k}.hex"'
        files[f"{name}_weights_{k}.hex"] = _weights(layer, row, lanes)
    return weigh


def _core(files: dict[str, str], tables: dict[bytes, str], layer: PlanLayer, k: int, lanes: int, name: str) -> dict[str, Any]:
    """Parameters of the module behind the sums, neurons or a readout, whose memories go into ``files``."""
    out_bits, word_bits = address_bits(layer.outputs), address_bits(words(layer, lanes))
    core: dict[str, Any] = {"OUTPUTS": layer.outputs, "OUT_BITS": out_bits, "LANES": lanes, "WORD_BITS": word_bits, "SUM_BITS": SUM_BITS}
    if layer.program is not None:
        core |= {"RECURRENT": int(layer.weight_rec is not None)} | _neurons(files, tables, layer, layer.program, k, name)
    return core


def _fifo(layer: PlanLayer, label: str, port: str) -> list[str]:
    """Queue of a layer's spikes; ``port`` is the form of its ports' names."""
    sizes = _parameters({"WIDTH": address_bits(layer.outputs) + 1, "LOG_DEPTH": address_bits(layer.outputs + 2)})
    ports = ", ".join(port.format(name) for name in ("push", "sent", "full", "pop", "data", "empty"))
    return [f"    m1t1r_fifo #({sizes}) {label} (", f"        clk, rst, {ports});"]


def _parameters(values: dict[str, Any]) -> str:
    return ", ".join(f".{key}({value})" for key, value in values.items())


def _weights(layer: PlanLayer, row: int, lanes: int) -> str:
    rows = layer.weight.T if layer.weight_rec is None else np.concatenate([layer.weight.T, layer.weight_rec.T])
    padded = np.zeros((len(rows), row * lanes), np.int64)
    padded[:, : layer.outputs] = rows.astype(np.int16) & 0xFF  # numpy 2 has no 255 in int8
    lanes_down = padded.reshape(-1, lanes)[:, ::-1]  # lane 0 in the lowest bits
    return "\n".join("".join(f"{byte:02x}" for byte in word) for word in lanes_down.tolist()) + "\n"


def _neurons(files: dict[str, str], tables: dict[bytes, str], layer: PlanLayer, p: FixedProgram, k: int, name: str) -> dict[str, Any]:
    packed = [0] * (1 if p.alike else layer.outputs)
    at = 0
    for field, bits in _FIELDS:
        for i in range(len(packed)):
            packed[i] |= (int(getattr(p, field)[i]) & ((1 << bits) - 1)) << at
        at += bits
    wiring = wiring_of(layer)
    files[f"{name}_constants_{k}.hex"] = _hex(packed, at)
    files[f"{name}_wiring_{k}.hex"] = _hex(wiring, WIRING_BITS)
    core: dict[str, Any] = {
        "HISTORY": layer.history,
        "EQUAL": int(p.alike),
        "PLAIN": int(len(wiring) == 1),
        "V_MAX": layer.v_max,
        "NOISE": int(layer.noisy),
        "SUBSTEPS": layer.substeps,
        "FIELD_SHIFT": int(p.field_shift),
        "FIELD_TOP": int(p.field_top),
        "FIELD_ENTRIES": p.field.size,
        "FIELD_BITS": address_bits(p.field.size),
        "CURVE_ENTRIES": p.inverse.size,
        "DROP_ENTRIES": p.drop.size,
        "CONSTANTS": f'"{name}_constants_{k}.hex"',
        "WIRING": f'"{name}_wiring_{k}.hex"',
    }
    if layer.noisy:
        files[f"{name}_generators_{k}.hex"] = _hex(layer.generator, GENERATOR_WIDTH)
        core["GENERATORS"] = f'"{name}_generators_{k}.hex"'
    for curve, table in layer.tables.items():
        key = table.tobytes()
        if key not in tables:
            tables[key] = f"{name}_{curve}_{k}.hex"
            base, step, exponent = (x.tolist() for x in unpack(table))
            rows = zip(exponent, base, step, strict=True)
            files[tables[key]] = _hex([(e & 0xFF) << 49 | b << STEP_BITS | s & ((1 << STEP_BITS) - 1) for e, b, s in rows], ENTRY_BITS)
        core[curve.upper()] = f'"{tables[key]}"'
    return core


def wiring_of(layer: PlanLayer) -> np.ndarray:
    """Bias and delays of each neuron in a word of ``WIRING_BITS``; one word where they are the same for all."""
    bias = np.zeros(layer.outputs, np.int64) if layer.bias is None else layer.bias.astype(np.int64)
    wiring = (bias & 0xFFFF) | layer.delay.astype(np.int64) << 16 | layer.delay_rec.astype(np.int64) << 22
    return wiring[:1] if np.all(wiring == wiring[0]) else wiring


def _hex(values: Any, bits: int) -> str:
    digits = -(-bits // 4)
    return "\n".join(f"{int(v):0{digits}x}" for v in values) + "\n"
