"""Loihi-style deployment: a file that netx loads, a resource report, and a package for holders of Intel's extension."""

from __future__ import annotations

import io
import os
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from .._support.files import as_json, infinite_as_text, scratch
from ..arithmetic import unpack
from ..description import NetDescription
from ..errors import FormatError, InputError, counted, require, whole
from ..fast import FastNetwork
from ..layers import M1T1RNeuron
from ..netx.schema import read, write
from ..program import PER_NEURON, SCALARS, TABLES
from ..sums import within_8_bits
from . import loihi_limits as limits
from . import rules
from .frames import batched, drawn
from .loihi_resources import LayerResources, generators, layer_resources, table, verdicts
from .read_back import same
from .report import Report, VerificationError, classes_of, write_export

NET_FILE = "network.net"
CURES = {
    limits.AXONS_IN.name: "Use fewer inputs, or a smaller recurrent layer.",
    limits.BIAS_BITS.name: "Use smaller biases.",
    limits.DELAY.name: "Use shorter delays.",
    limits.STATE_BITS.name: "Use another neuron: these registers are what the fixed-point step needs.",
    limits.MULTIPLY_BITS.name: "Use another neuron: these products are what the fixed-point step needs.",
    limits.CORES.name: "Use smaller layers, fewer synapses, or more chips.",
}
"""Advice, by limit; for all others: a smaller layer."""


def layers_are_numbered_by_their_place(net: NetDescription) -> None:
    """A file numbers its layers without gaps, and the number starts the noise."""
    for i, layer in enumerate(net.layers):
        require(layer.index == i, net.at(layer, "index"), f"be {i}, its place among the layers", layer.index)


def input_neurons_may_be_written_out(net: NetDescription) -> None:
    """Their synapses are counted in a matrix, as those of all layers."""
    for layer in net.active:
        if layer.kind == "input":
            rules.fits_a_matrix(net, layer)


RULES: tuple[rules.Rule, ...] = (
    *rules.SHAPES,
    layers_are_numbered_by_their_place,
    input_neurons_may_be_written_out,
)
"""Rules of this target."""


def deploy_loihi(
    net: str | os.PathLike | NetDescription, out_dir: str | os.PathLike, *, frames: Any = None, chips: int = 1, seed: int = 0
) -> Report:
    """Write ``network.net``, ``resources.txt`` and ``.json``, and the hand-off pack in ``handoff/``.

    Nothing here has run on a chip, and nothing says how much energy or time it would take there.

    Parameters
    ----------
    net : path or NetDescription
        Layers of 1M1T1R or CUBA neurons.
    out_dir : path
        New, empty, or a former export.
    frames : (B, T, C) int, optional
        Stimulus of the golden traces. Left out, random spikes at 20 a second and channel (0.02 a step where the file states no step).
    chips : int
        Chips that the network may take; more are refused.
    seed : int
        Seed of the random stimulus.

    Returns
    -------
    Report
    """
    net = rules.accepted(net, out_dir, RULES)
    chips, seed = whole(chips, "chips", least=1), whole(seed, "seed")
    layers = layer_resources(net)
    rows = verdicts(net, layers, chips)
    _require_kept(net, rows)
    written = _net_file(net)
    random = frames is None
    frames = drawn(net, 2, 100, seed) if random else batched(frames)
    files: dict[str, str | bytes] = {
        NET_FILE: written,
        "resources.txt": table(layers, rows),
        "resources.json": _json({"network": net.sizes, "chips": chips, "layers": [vars(x) for x in layers], "limits": rows}),
    }
    files |= {f"handoff/{name}": content for name, content in _pack(net, frames).items()} | {f"handoff/{NET_FILE}": written}
    facts: dict[str, Any] = {
        "cores": sum(x.cores for x in layers),
        "of": rows[0]["value"],
        "neurons": sum(x.neurons for x in layers),
        "synapses": sum(x.synapses for x in layers),
        "synaptic memory [bits]": sum(x.synapse_bits for x in layers),
        "largest fan-in": max(x.fan_in for x in layers),
        "largest fan-out": max(x.fan_out for x in layers),
        "limits kept": f"{len(rows)}, of which {sum(r['assumed'] for r in rows)} assumed (see resources.txt)",
        f"{NET_FILE} read back": "equal",
        **classes_of(net),
        "golden traces": f"{counted(frames.shape[0], 'sample')} of {counted(frames.shape[1], 'step')}{', random spikes' if random else ''}",
    }
    return write_export("loihi", net, out_dir, files, facts, _notes(net, layers))


def _require_kept(net: NetDescription, rows: list[dict[str, Any]]) -> None:
    """Refuse a network that breaks a limit of the chip."""
    for row in rows:
        where = f"{net.source or 'network'}" + ("" if row["layer"] is None else f": layer/{row['layer']}")
        rule = f"keep to {row['value']} {row['unit']} ({'assumed; ' if row['assumed'] else ''}{row['source']})"
        cure = CURES.get(row["limit"], "Use a smaller layer.")
        require(row["kept"], f"{where} {row['limit']}", rule, row["needed"], cure)


def _notes(net: NetDescription, layers: tuple[LayerResources, ...]) -> list[str]:
    custom = [x.index for x in net.active if isinstance(x.neuron, M1T1RNeuron)]
    notes = [
        "Not run on a chip: the microcode's language and the chip's process models are not public. Energy is left out: none was measured.",
        "The cores are counted from the limits alone; Intel's compiler may place layers otherwise.",
    ]
    if net.delay_lines is not None:
        notes.append("Delay lines are counted as axons of the first layer, several a channel; a chip's synapses delay them.")
    notes += generators(layers)
    if custom:
        loader = "lava_1m1t1r.netx loads it; lava-dl's own netx refuses the type 1M1T1R"
        layers_need = f"Layer {custom[0]} needs" if len(custom) == 1 else f"Layers {', '.join(map(str, custom))} need"
        notes.append(f"{layers_need} microcode that is to be written (handoff/nc_model.py). {loader}.")
    else:
        unlike = unlike_in_netx(net)
        own = "All neurons are CUBA: lava-dl's own netx loads the file too, with equal spikes for inputs of 0 and 1 (it takes counts as 1)."
        notes.append(own if not unlike else f"lava-dl's own netx does not run this file alike: {', '.join(unlike)}.")
    return notes


def unlike_in_netx(net: NetDescription) -> list[str]:
    """What the netx of lava-dl 0.6.0 refuses, leaves out, rounds or times otherwise, in a network of CUBA neurons."""
    found = ["delay lines are refused"] if net.delay_lines is not None else []
    for before, x in zip(net.layers, net.layers[1:], strict=False):
        if x.kind == "flatten" and len(before.shape) == 1:
            found.append(f"layer {x.index} (flatten) is refused behind neurons that are flat")
    for x in net.active:
        if x.kind not in ("dense", "dense_rec", "conv") or not x.spiking or x.weight is None or not x.weight.any():
            found.append(f"layer {x.index} ({x.kind}) is refused or left out")
        if x.bias is not None and np.any(x.bias):
            found.append(f"biases of layer {x.index} act a step earlier")
        if np.any(x.recurrent_delays):
            found.append(f"recurrent delays of layer {x.index} are left out")
        if x.weight is not None and x.weight_rec is not None and not _fit_together(x.weight, x.weight_rec):
            found.append(f"weights of layer {x.index} may be rounded")
        if x.kind != "dense" and np.any(x.axonal_delays):
            found.append(f"delays of layer {x.index} are refused or left out")
    return found


def _fit_together(weight: np.ndarray, weight_rec: np.ndarray) -> bool:
    """Whether both matrices keep their numbers in lava-dl's netx: it scales them to 8 bits together, and Lava then takes recurrent weights
    without one above 0 for unsigned ones, of which -256 is none."""
    both = np.concatenate([np.ravel(weight), np.ravel(weight_rec)])
    low, high = -int(both.min()), int(both.max())
    lowest = low > high and low.bit_count() == 1  # it is scaled to -256
    return within_8_bits(both) and not (lowest and weight_rec.max() <= 0 and weight_rec.min() == -low)


def _net_file(net: NetDescription) -> bytes:
    with scratch() as folder:
        path = Path(folder) / NET_FILE
        try:
            write(path, net)
        except FormatError as error:  # of a layer that is made in memory and has no form in the file
            text = str(error).replace(str(path), net.source or "network")
            raise InputError(f"{text} The package holds the network as {NET_FILE}.") from error
        if not same(read(path), net):
            raise VerificationError(f"{NET_FILE} read back is not the network.")
        return path.read_bytes()


def _pack(net: NetDescription, frames: np.ndarray) -> dict[str, str | bytes]:
    package = resources.files(__package__.rpartition(".")[0])
    run = FastNetwork(net).run(frames, record="all", threads=1)
    traces: dict[str, np.ndarray] = {"frames": frames, "out": run.out}
    for layer, record in zip(net.active, run.layers, strict=True):
        if record.spikes is not None:
            traces[f"layer_{layer.index}_spikes"] = record.spikes
            traces |= {f"layer_{layer.index}_{name}": values for name, values in record.states.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **traces)
    skeleton = (package / "export" / "templates" / "nc_model.txt").read_text()
    return {
        "golden.npz": buffer.getvalue(),
        "parameters.json": _json({f"layer_{x.index}": _parameters(x) for x in net.active if isinstance(x.neuron, M1T1RNeuron)}),
        "process.py": (package / "proc" / "m1t1r" / "process.py").read_text(),
        "models.py": (package / "proc" / "m1t1r" / "models.py").read_text(),
        "fixed_point.md": (package / "FIXED_POINT.md").read_text(),
        "nc_model.py": skeleton.replace("@VERSION@", __version__).replace("@SHAPE@", net.sizes),
    }


def _parameters(layer: Any) -> dict[str, Any]:
    """A layer's integers: constants (one number where all neurons agree), tables as columns, and where they come from in SI units."""
    step = layer.step
    p = step.fixed(layer.size)
    constants = {}
    for name in PER_NEURON:
        values = np.asarray(getattr(p, name))
        constants[name] = int(values[0]) if np.all(values == values[0]) else values
    tables = {name: dict(zip(("base", "step", "exponent"), unpack(getattr(p, name)), strict=True)) for name in TABLES}
    device = {name: infinite_as_text(value) for name, value in step.device.as_dict().items()}
    return {
        "neurons": layer.size,
        "substeps": step.substeps,
        "seed": layer.neuron.seed,
        "largest input [counts]": step.v_max_count,
        "constants": constants,
        "scalars": {name: int(getattr(p, name)) for name in SCALARS},
        "tables": tables,
        "device [SI units]": device,
        "step": {"dt": step.dt, "v_unit": step.v_unit, "v_in_max": step.v_in_max},
    }


def _json(value: Any) -> str:
    return as_json(value) + "\n"
