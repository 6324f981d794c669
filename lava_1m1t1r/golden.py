"""Golden traces: small files against which any implementation of ``FIXED_POINT.md`` can be tested, and the script that makes them.

``python -m lava_1m1t1r.golden FOLDER`` writes them; each is JSON with parameters, input, and the neurons' spikes and states at every step.
"""

from __future__ import annotations

import argparse
import json
import os
import zlib
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from . import presets, reference
from ._support.files import infinite_as_text, write_text
from .convolution import Convolution, pooling
from .description import NetDescription
from .dynamics import State
from .errors import require
from .layers import Layer, M1T1RNeuron
from .program import INTEGER_FIELDS, PER_NEURON, SCALARS, TABLES, StepParams
from .reference_network import device_layers, run

VERSION = 1
"""Version of the layout of the golden files."""
_WEIGHTS = ("weight", "weight_rec", "bias", "delay", "delay_rec")
_FIELDS = "mu alpha beta gamma1 gamma2 lam r_on r_off c_gate r_control v_th v0 v_ref sigma1 sigma2".split()

# No fitted preset: it may be fitted anew, and golden traces must not move.
_STEEP = replace(presets.ZHAO2025_TABLE1, v0=0.08, beta=40.0, x_max=1.0)


def networks() -> dict[str, tuple[NetDescription, np.ndarray]]:
    """Network and frames (T, C) of every golden trace, by name."""
    one = np.array([[254]])
    volley = _frames(200, 1, 1, every=2) * 2  # two spikes of 254 counts: 0.99 V
    spread = replace(
        _STEEP,
        mu=np.array([140.0, 150.0, 170.0, 200.0]),
        v0=np.array([0.076, 0.08, 0.08, 0.085]),
        r_control=np.array([1e8, 2.5e8, 5e8, 1e9]),
        v_th=np.array([0.15, 0.2, 0.2, 0.25]),
    )
    noisy = replace(_STEEP, sigma1=2e-3, sigma2=3e-4)
    rng = np.random.default_rng(2025)
    dense = lambda n, c, mean: np.clip(2 * np.rint(rng.normal(mean, 40, (n, c)) / 2), -256, 254).astype(int)  # noqa: E731
    delays: dict[str, Any] = {"delay": np.array([0, 1, 7, 30, 62]), "delay_rec": np.array([62, 0, 3, 11, 1])}
    recurrent = _layer(StepParams(noisy), dense(5, 8, 110), seed=123456789, weight_rec=dense(5, 5, 20), **delays)
    slow = StepParams(replace(presets.ZHAO2025_TABLE1, mu=300.0), substeps=3)
    readout = _layer(slow, dense(3, 5, 200), 1, seed=123456789, bias=np.array([150, 80, 0]))
    four = np.full((4, 1), 254)
    conv = Convolution((2, 5, 4), 2, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2)
    pool = pooling(conv.shape, (2, 2))  # of three rows: filled up
    kernels = dense(2, 6, 150).reshape(2, 1, 3, 2)
    seen = _layer(StepParams(_STEEP), kernels, conv=conv, bias=np.repeat([60, 120], 6), delay=np.repeat([0, 9], 6))
    pooled = _layer(StepParams(_STEEP), np.full((1, 1, 2, 2), 220), 1, conv=pool, bias=np.full(4, 330))
    clipped = StepParams(replace(_STEEP, v_ref=1.0), v_in_max=2.0, substeps=2)
    made = {
        "steep_law": ([_layer(StepParams(_STEEP), one)], volley),
        "linear_law": ([_layer(StepParams(presets.ZHAO2025_TABLE1), one)], volley),
        "clipped_2v": ([_layer(clipped, one)], 3 * volley),
        "spread": ([_layer(StepParams(spread), four)], volley),
        "stochastic": ([_layer(StepParams(noisy), four, seed=7)], volley),
        "images": ([seen, pooled], _frames(100, 40, 5)),
        "recurrent_delays": ([recurrent, readout], _frames(160, 8, 3)),
    }
    return {name: (NetDescription(tuple(layers)), frames) for name, (layers, frames) in made.items()}


def _layer(step: StepParams, weight: np.ndarray, index: int = 0, seed: int = 0, **parts: Any) -> Layer:
    """A dense layer, or with ``conv`` a convolution, or a pooling where one kernel serves several features."""
    conv, neuron = parts.get("conv"), M1T1RNeuron(step, seed)
    if conv is None:
        kind = "dense_rec" if "weight_rec" in parts else "dense"
        return Layer(index, kind, weight.shape[:1], weight.shape[1], weight, neuron=neuron, **parts)
    kind = "pool" if len(weight) < conv.features else "conv"
    return Layer(index, kind, conv.shape, conv.sources, weight, neuron=neuron, **parts)


def _frames(steps: int, channels: int, seed: int, every: int = 1) -> np.ndarray:
    """Deterministic spikes: on in every ``every``-th step with a few gaps."""
    on = np.random.default_rng(seed).random((steps, channels)) < (0.85 if every > 1 else 0.5)
    return (on & (np.arange(steps) % every == 0)[:, None]).astype(int)


def record(net: NetDescription, frames: np.ndarray) -> dict[str, Any]:
    """Run a network and return everything about it, as plain values.

    Parameters
    ----------
    net : NetDescription
        Of 1M1T1R neurons, all of one seed, in layers numbered from 0.
    frames : (T, C) int
        Input spikes.
    """
    seeds = sorted({layer.m1t1r.seed for layer in net.active if layer.step is not None})
    require(len(seeds) == 1, "record.net", "have neurons of one seed", seeds)
    places, known = [layer.index for layer in net.layers], range(len(net.active))  # a layer's noise starts from its place
    require(places == list(known), "record.net", "have no layers but those that compute, numbered from 0", places)
    out: list[dict[str, Any]] = []
    layers: list[Any] = device_layers(net)
    for layer, ran in zip(layers, run(net, frames, neurons=reference.Neurons), strict=True):
        size, step = layer.size, layer.step
        program = step.fixed(size)
        t = ran.traces
        assert t.turn_on is not None  # the arbiter sees them
        out.append(
            {
                "neurons": size,
                "step": {name: getattr(step, name) for name in INTEGER_FIELDS},
                "device": {name: infinite_as_text(getattr(step.device, name)) for name in _FIELDS},
                **{name: infinite_as_text(getattr(layer, name)) for name in _WEIGHTS},
                **({} if layer.conv is None else {"conv": asdict(layer.conv)}),
                "constants": {name: getattr(program, name).tolist() for name in PER_NEURON},
                "field": {name: int(getattr(program, name)) for name in SCALARS},
                "tables_crc32": {name: zlib.crc32(getattr(program, name).astype("<i8").tobytes()) for name in TABLES},
                "spikes": [[int(step), int(n)] for step, n in np.argwhere(t.spike)],
                "turn_ons": [[int(step), int(n)] for step, n in np.argwhere(t.turn_on)],
                **{name: getattr(t, name).tolist() for name in State._fields},
            }
        )
    return {"version": VERSION, "seed": layers[0].neuron.seed, "frames": frames.tolist(), "layers": out}


def write(folder: str | os.PathLike) -> list[Path]:
    """Write all golden traces into a folder; return their paths."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, drawn in networks().items():
        path = folder / f"{name}.json"
        text = json.dumps(record(*drawn), separators=(",", ":")).replace('],"', '],\n"')
        write_text(path, text + "\n")
        paths.append(path)
    return paths


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", help="where to write")
    for written in write(parser.parse_args().folder):
        print(written, written.stat().st_size)
