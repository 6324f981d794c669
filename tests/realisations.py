"""The mutual proof's two lists: networks that are drawn, and realisations that run them. A new realisation adds one entry below.

A realisation takes a :class:`Drawn` network and its frames and returns what each layer did, as :class:`lava_1m1t1r.reference.Traces` with
None for what it cannot show. ``without`` names the features it does not have; it is then not asked to run such networks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from page_neuron import layer_of

from lava_1m1t1r import network, presets
from lava_1m1t1r.network import Layer
from lava_1m1t1r.program import StepParams
from lava_1m1t1r.reference import Traces

FEATURES = ("recurrent", "delays", "recurrent delays", "bias", "noise", "heterogeneous", "several devices", "2 V")


class Drawn(NamedTuple):
    """A network, its seed, its input, and the features it has."""

    layers: list[Layer]
    seed: int
    frames: np.ndarray  # (T, C)
    features: set[str]


def weights(rng: np.random.Generator, outputs: int, inputs: int, strength: float) -> np.ndarray:
    """Even integers in -256..254, as lava-dl quantises to 8 bits; ``strength``: mean input under full activity [units]."""
    mean = strength * 64 / inputs
    return np.clip(2 * np.rint(rng.normal(mean, 1.5 * mean + 8, (outputs, inputs)) / 2), -256, 254).astype(np.int64)


def varied(device: Any, rng: np.random.Generator, size: int) -> Any:
    """Every neuron another device, as training and variability make them."""
    names = ["mu", "beta", "gamma1", "gamma2", "r_control", "v_th", *(["v0"] if np.isfinite(device.v0) else [])]
    width = {name: 0.04 if name == "v0" else 0.15 for name in names}
    return replace(device, **{name: getattr(device, name) * np.exp(width[name] * rng.standard_normal(size)) for name in names})


def draw(name: str, rng: np.random.Generator, size: int = 12, steps: int = 250) -> Drawn:
    """Draw a network with the features of ``NETWORKS[name]``."""
    features = NETWORKS[name]
    channels = 16
    devices = [presets.ZHAO2025_FIG2] * 2
    if "several devices" in features:
        devices = [presets.ZHAO2025_FIG3, presets.ZHAO2025_FIG2, presets.ZHAO2025_TABLE1]
    v_in_max = 1.2
    if "2 V" in features:
        devices, v_in_max = [presets.ZHAO2025_FIG4, presets.ZHAO2025_FIG2], 2.0
    layers, inputs = [], channels
    for i, device in enumerate(devices):
        outputs = size - 3 * i
        device = varied(device, rng, outputs) if "heterogeneous" in features else device
        if "noise" in features:
            device = replace(device, sigma1=2e-3, sigma2=3e-4)
        params = StepParams(device, v_in_max=v_in_max, substeps=int(rng.integers(1, 6)))
        layers.append(
            Layer(
                params,
                weights(rng, outputs, inputs, 20.0 * v_in_max / 1.2 if i == 0 else 60.0),
                weights(rng, outputs, outputs, 4.0) if "recurrent" in features else None,
                2 * rng.integers(-20, 60, outputs) + 200 * (i == 2) if "bias" in features else None,
                rng.integers(0, 63, outputs) // (1 + 3 * i) if "delays" in features else None,
                rng.integers(0, 63, outputs) if "recurrent delays" in features else None,
            )
        )
        inputs = outputs
    frames = (rng.random((steps, channels)) < 0.45).astype(np.int64)
    return Drawn(layers, int(rng.integers(0, 1 << 31)), frames, set(features))


NETWORKS = {
    "feed-forward": (),
    "recurrent": ("recurrent",),
    "axonal delays": ("delays",),
    "recurrent delays": ("recurrent", "recurrent delays"),
    "bias": ("bias",),
    "stochastic": ("noise", "recurrent"),
    "heterogeneous": ("heterogeneous", "recurrent"),
    "three devices": ("several devices", "bias"),
    "2 V device": ("2 V",),
    "everything": FEATURES[:-1],
}


def by_page(drawn: Drawn) -> list[Traces]:
    """The implementation from the text of FIXED_POINT.md, network recursion included."""
    y, out = drawn.frames.tolist(), []
    for index, layer in enumerate(drawn.layers):
        size = len(layer.weight)
        group = layer_of(layer.params, size, drawn.seed, index)
        w = layer.weight.tolist()
        v = None if layer.weight_rec is None else layer.weight_rec.tolist()
        bias, delay, late = ([0] * size if x is None else x.tolist() for x in (layer.bias, layer.delay, layer.delay_rec))
        rows, spikes = [], []
        for t, frame in enumerate(y):
            a_in = [sum(a * b for a, b in zip(w[n], frame, strict=True)) + bias[n] for n in range(size)]
            if v is not None:
                before = [spikes[t - 1 - late[m]][m] if t - 1 - late[m] >= 0 else 0 for m in range(size)]
                a_in = [a + sum(x * s for x, s in zip(v[n], before, strict=True)) for n, a in enumerate(a_in)]
            rows.append(group.step(a_in))
            spikes.append([int(row[0]) for row in rows[-1]])
        out.append(Traces(*(np.array([[row[k] for row in step] for step in rows]) for k in range(5))))
        y = [[spikes[t - 1 - delay[n]][n] if t - 1 - delay[n] >= 0 else 0 for n in range(size)] for t in range(len(y))]
    return out


def by_arbiter(drawn: Drawn) -> list[Traces]:
    """The numpy reference step: what everybody is compared with."""
    return [r.traces for r in network.run(drawn.layers, drawn.frames, seed=drawn.seed, neurons=network.REFERENCE)]


def by_kernels(drawn: Drawn) -> list[Traces]:
    """The compiled step."""
    return [r.traces for r in network.run(drawn.layers, drawn.frames, seed=drawn.seed)]


@dataclass(frozen=True)
class Realisation:
    """How to run a network some way, and what that way cannot do."""

    run: Callable[[Drawn], list[Traces]]
    without: frozenset[str] = frozenset()
    marks: tuple[str, ...] = ()
    packages: tuple[str, ...] = field(default=())


REALISATIONS: dict[str, Realisation] = {
    "compiled kernels": Realisation(by_kernels),
    "the page": Realisation(by_page),
}
