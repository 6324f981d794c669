"""The mutual proof's two lists: networks that are drawn, and realisations that run them. A new realisation adds one entry below.

A realisation takes a :class:`Drawn` network and its frames and returns what each layer did, as :class:`Seen` (or the library's Traces) with
None for what it cannot show. ``without`` names the features it does not have; it is then not asked to run such networks.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from page_neuron import layer_of, unrolled

from lava_1m1t1r import presets, reference, reference_network
from lava_1m1t1r.convolution import Convolution, pooling
from lava_1m1t1r.description import Layer, M1T1RNeuron, NetDescription
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.program import V_UNIT, StepParams
from lava_1m1t1r.reference import Traces
from lava_1m1t1r.sums import ANY_WEIGHTS, EVEN_WEIGHTS, weight_bounds

# Of layers behind matrices, and all of them but the last in one network below; a kind of layer stands by itself, as IMAGES do.
FEATURES = ("recurrent", "delays", "recurrent delays", "bias", "noise", "heterogeneous", "several devices", "2 V")
IMAGES = ("convolution", "pooling")
ENOUGH = 10  # spikes of each layer of a network that is worth comparing
ODD = "odd weights"  # of all input matrices and, the first layer aside, of recurrent ones: each matrix may be of either kind


class Seen(NamedTuple):
    """What a realisation shows of one layer; None for what it cannot. (T, N) each."""

    spike: Any = None
    turn_on: Any = None
    filament: Any = None
    residue: Any = None
    gate: Any = None
    out: Any = None  # what leaves the layer: spikes delayed and shifted
    last: Any = None  # filament, residue, gate (N,) after the last step


class Drawn(NamedTuple):
    """A network, its input, and the features it has."""

    net: NetDescription
    frames: np.ndarray  # (T, C)
    features: set[str]


def weights(rng: np.random.Generator, outputs: int, inputs: int, strength: float, odd: bool = False) -> np.ndarray:
    """Even integers in -256..254, as lava-dl quantises to 8 bits, or any in -128..127, as files may hold as well; ``strength``: mean input
    under full activity [units]."""
    mean, step, (low, high) = strength * 64 / inputs, 1 if odd else 2, ANY_WEIGHTS if odd else EVEN_WEIGHTS
    return np.clip(step * np.rint(rng.normal(mean, 1.5 * mean + 8, (outputs, inputs)) / step), low, high).astype(np.int64)


def unit(features: Any) -> float:
    """Voltage of a weight of 64 [V]: odd weights reach half as far as even ones."""
    return 2 * V_UNIT if ODD in features else V_UNIT


def varied(device: Any, rng: np.random.Generator, size: int) -> Any:
    """Every neuron another device, as training and variability make them."""
    names = ["mu", "beta", "gamma1", "gamma2", "r_control", "v_th", *(["v0"] if np.isfinite(device.v0) else [])]
    width = {name: 0.04 if name == "v0" else 0.15 for name in names}
    return replace(device, **{name: getattr(device, name) * np.exp(width[name] * rng.standard_normal(size)) for name in names})


def m1t1r_layer(index: int, step: StepParams, weight: np.ndarray, seed: int = 0, conv: Convolution | None = None, **parts: Any) -> Layer:
    """A layer of 1M1T1R neurons: dense, recurrent, a convolution, or a pooling where its sizes are those of one."""
    if conv is not None:
        kind = "pool" if len(weight) < conv.features or any(conv.margin) else "conv"
    else:
        kind = "dense" if parts.get("weight_rec") is None else "dense_rec"
    shape, inputs = (weight.shape[:1], weight.shape[1]) if conv is None else (conv.shape, conv.sources)
    counts = {name: None if value is None else value.astype(np.int32) for name, value in {"weight": weight, **parts}.items()}
    return Layer(index, kind, shape, inputs, neuron=M1T1RNeuron(step, seed), conv=conv, **counts)


def seeded(layers: Any, seed: int) -> NetDescription:
    """The network of these layers, whose neurons draw the numbers of one seed."""
    return NetDescription(tuple(replace(layer, neuron=replace(layer.neuron, seed=seed)) for layer in layers))


def draw(name: str, rng: np.random.Generator, size: int = 12, steps: int = 250) -> Drawn:
    """Draw a network with the features of ``NETWORKS[name]``, anew until each layer fires: one that is all but silent proves nothing."""
    features = NETWORKS[name]
    for _ in range(30):
        drawn = draw_images(features, rng) if set(IMAGES) & set(features) else draw_dense(features, rng, size, steps)
        if min(ran.traces.spike.sum() for ran in reference_network.run(drawn.net, drawn.frames)) >= ENOUGH:
            return drawn
    raise AssertionError(f"{name}: 30 networks with an all but silent layer; give them stronger weights or a bias")


def draw_dense(features: tuple[str, ...], rng: np.random.Generator, size: int, steps: int) -> Drawn:
    """Layers behind matrices."""
    channels = 16
    devices = [presets.ZHAO2025_FIG2] * 2
    if "several devices" in features:
        devices = [presets.ZHAO2025_FIG3, presets.ZHAO2025_FIG2, presets.ZHAO2025_TABLE1]
    v_in_max, strengths, odd = 1.2, (20.0, 60.0), ODD in features
    if "2 V" in features:
        devices, v_in_max, strengths = [presets.ZHAO2025_FIG4, presets.ZHAO2025_FIG2], 2.0, (90.0, 254.0)
    layers, inputs = [], channels
    for i, device in enumerate(devices):
        outputs = size - 3 * i
        device = varied(device, rng, outputs) if "heterogeneous" in features else device
        if "noise" in features:
            device = replace(device, sigma1=2e-3, sigma2=3e-4)
        params = StepParams(device, v_unit=unit(features), v_in_max=v_in_max, substeps=int(rng.integers(1, 6)))
        layers.append(
            m1t1r_layer(
                i,
                params,
                weights(rng, outputs, inputs, strengths[min(i, 1)], odd),
                weight_rec=weights(rng, outputs, outputs, 4.0, odd and i > 0) if "recurrent" in features else None,
                bias=2 * rng.integers(-20, 60, outputs) + 200 * (i == 2) if "bias" in features else None,
                delay=rng.integers(0, 63, outputs) // (1 + 3 * i) if "delays" in features else None,
                delay_rec=rng.integers(0, 63, outputs) if "recurrent delays" in features else None,
            )
        )
        inputs = outputs
    frames = (rng.random((steps, channels)) < 0.45).astype(np.int64)
    return Drawn(seeded(layers, int(rng.integers(0, 1 << 31))), frames, set(features))


def drawn_sizes(kind: str, inputs: tuple[int, int, int], rng: np.random.Generator, largest: int = 40) -> Convolution:
    """Sizes of a layer that sees images: odd ones, strides, paddings, dilations, groups, with at least two and not too many neurons."""
    pair = lambda low, high: tuple(rng.integers(low, high, 2).tolist())  # noqa: E731
    while True:
        try:
            if kind == "pooling":
                conv = pooling(inputs, pair(1, 4), *((pair(1, 4), pair(0, 2), pair(1, 3)) if rng.random() < 0.5 else ()))
            else:
                groups = int(rng.choice([g for g in range(1, inputs[0] + 1) if inputs[0] % g == 0]))
                conv = Convolution(inputs, groups * int(rng.integers(1, 4)), pair(1, 4), pair(1, 4), pair(0, 3), pair(1, 3), groups)
        except InputError:  # nothing would come out
            continue
        if 2 <= conv.size <= largest and int(np.prod(conv.kernel)) > 1:
            return conv


def image_layer(index: int, kind: str, inputs: tuple[int, int, int], features: Any, rng: np.random.Generator, strength: float) -> Layer:
    """A drawn convolution or pooling; delays and biases one a feature, as training has them."""
    conv = drawn_sizes(kind, inputs, rng)
    of_feature = lambda values: np.repeat(values, conv.size // conv.features)  # noqa: E731
    device = presets.ZHAO2025_FIG2
    device = varied(device, rng, conv.size) if "heterogeneous" in features else device
    if "noise" in features:
        device = replace(device, sigma1=2e-3, sigma2=3e-4)
    kernels = (1, 1, *conv.kernel) if kind == "pooling" else conv.weight_shape
    weight = weights(rng, kernels[0], int(np.prod(kernels[1:])), strength, ODD in features).reshape(kernels)
    if kind == "pooling":
        bias = of_feature(np.full(conv.features, int(2 * rng.integers(140, 190) * V_UNIT / unit(features))))
    else:
        bias = of_feature(2 * rng.integers(0, 100, conv.features)) if "bias" in features else None
    delay = of_feature(rng.integers(0, 30, conv.features)) if "delays" in features else None
    params = StepParams(device, v_unit=unit(features), substeps=int(rng.integers(1, 5)))
    return m1t1r_layer(index, params, weight, conv=conv, bias=bias, delay=delay)


def draw_images(features: tuple[str, ...], rng: np.random.Generator) -> Drawn:
    """Frames as images, one or two layers that see them, and a dense layer."""
    inputs = tuple(rng.integers((1, 5, 5), (5, 9, 9)).tolist())
    layers = [image_layer(0, "convolution", inputs, features, rng, 24.0)]
    if "pooling" in features:
        layers.append(image_layer(1, "pooling", layers[0].conv.shape, features, rng, 20.0))
    last, outputs, odd = layers[-1].conv, 4, ODD in features
    recurrent = weights(rng, outputs, outputs, 4.0, odd) if "recurrent" in features else None
    params = StepParams(presets.ZHAO2025_FIG2, v_unit=unit(features), substeps=2)
    dense = {"weight_rec": recurrent, "bias": np.full(outputs, int(260 * V_UNIT / unit(features)))}
    layers.append(m1t1r_layer(len(layers), params, weights(rng, outputs, last.size, 60.0, odd), **dense))
    frames = (rng.random((120, int(np.prod(inputs)))) < 0.45).astype(np.int64)
    return Drawn(seeded(layers, int(rng.integers(0, 1 << 31))), frames, set(features))


NETWORKS = {  # a new one goes to the end: the place here seeds the draw
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
    "convolution": ("convolution", "bias"),
    "pooling": IMAGES,
    "images, everything": (*IMAGES, "recurrent", "delays", "bias", "noise", "heterogeneous"),
    "odd weights": (ODD, "recurrent", "bias"),
    "images, odd weights": (*IMAGES, ODD, "recurrent", "bias"),
}


def by_page(drawn: Drawn) -> list[Traces]:
    """The implementation from the text of FIXED_POINT.md, network recursion included."""
    y, out = drawn.frames.tolist(), []
    for layer in drawn.net.layers:
        size = layer.size
        group = layer_of(layer.step, size, layer.neuron.seed, layer.index)
        w = layer.weight.tolist() if layer.conv is None else unrolled(layer.weight.tolist(), **asdict(layer.conv))
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
    return [r.traces for r in reference_network.run(drawn.net, drawn.frames, neurons=reference.Neurons)]


def by_kernels(drawn: Drawn) -> list[Traces]:
    """The compiled step."""
    return [r.traces for r in reference_network.run(drawn.net, drawn.frames)]


def _predicted(net: Any, drawn: Drawn, backend: str) -> list[Seen]:
    from lava_1m1t1r.netx import hdf5

    # The sample stands twice: the second one proves the reset.
    result = hdf5.predict(net, np.stack([drawn.frames, drawn.frames]), backend, record="all")
    seen = []
    for record in result.layers:
        states = {("gate" if name == "v_gate" else name): value[1] for name, value in record.states.items()}
        seen.append(Seen(spike=None if record.spikes is None else record.spikes[1], out=record.out[1], **states))
    return seen


def by_fast(drawn: Drawn) -> list[Seen]:
    """The event-driven compiled network."""
    return _predicted(drawn.net, drawn, "fast")


def by_file(drawn: Drawn) -> list[Seen]:
    """The fast path again, from a file written and read back."""
    from lava_1m1t1r.netx import schema

    with TemporaryDirectory() as folder:
        path = Path(folder) / "drawn.net"
        schema.write(path, drawn.net)
        return _predicted(path, drawn, "fast")


def by_lava_in_process(drawn: Drawn) -> list[Seen]:
    """The Lava graph of the network, its models executed in this process."""
    return _predicted(drawn.net, drawn, "inprocess")


def by_lava(drawn: Drawn) -> list[Seen]:
    """The Lava graph of the network in Lava's own runtime."""
    return _predicted(drawn.net, drawn, "lava")


def by_lava_alone(drawn: Drawn) -> list[Seen]:
    """Each layer's Lava Process by itself, fed what the layer receives in the network."""
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.io.source import RingBuffer

    from lava_1m1t1r.proc.m1t1r.process import M1T1R
    from lava_1m1t1r.run import InProcess

    seen = []
    for i, ran in enumerate(reference_network.run(drawn.net, drawn.frames)):
        layer = drawn.net.layers[i]
        p = layer.step
        steps, size = ran.a_in.shape
        step = {"dt": p.dt, "substeps": p.substeps, "v_unit": p.v_unit, "v_in_max": p.v_in_max}
        neuron = M1T1R(shape=(size,), params=p.device, seed=layer.neuron.seed, layer=i, **step)
        RingBuffer(data=ran.a_in.T.astype(np.int32)).s_out.connect(neuron.a_in)
        with InProcess(neuron, Loihi2SimCfg(select_tag="fixed_pt"), 60.0) as session:
            found = session.run(steps, record=[neuron.s_out, neuron.filament, neuron.residue, neuron.v_gate])
        spike, filament, residue, gate = (found[x] for x in (neuron.s_out, neuron.filament, neuron.residue, neuron.v_gate))
        seen.append(Seen(spike, None, filament, residue, gate))
    return seen


def by_training(drawn: Drawn) -> list[Seen]:
    """The training blocks' forward pass; shows each block's output and its neurons' last states. They must write the same network."""
    import h5py
    import torch

    from lava_1m1t1r.export.read_back import same
    from lava_1m1t1r.netx import schema
    from lava_1m1t1r.slayer import block
    from lava_1m1t1r.slayer.quantise import quantise_odd

    x = torch.from_numpy(np.stack([drawn.frames, drawn.frames])).float().transpose(1, 2)
    seen, blocks = [], []
    for i, layer in enumerate(drawn.net.layers):
        p = layer.step
        neuron = {
            "params": p.device,
            "dt": p.dt,
            "substeps": p.substeps,
            "v_unit": p.v_unit,
            "v_in_max": p.v_in_max,
            "seed": layer.neuron.seed,
        }
        common = {"delay": layer.delay is not None, "bias": layer.bias is not None}
        neuron["persistent_state"] = True  # or the block forgets the states that are compared below
        if layer.conv is not None:
            conv = layer.conv
            sizes = {name: getattr(conv, name) for name in ("stride", "padding", "dilation")}
            if layer.kind == "pool":
                made = block.m1t1r.Pool(neuron, conv.kernel, **sizes, **common)
            else:
                made = block.m1t1r.Conv(neuron, conv.inputs[0], conv.features, conv.kernel, **sizes, groups=conv.groups, **common)
            synapses = {made.synapse: layer.weight}
            x = x.reshape(2, *conv.inputs, -1)
        elif layer.weight_rec is None:
            made = block.m1t1r.Dense(neuron, *layer.weight.shape[::-1], **common)
            synapses = {made.synapse: layer.weight}
        else:
            made = block.m1t1r.Recurrent(neuron, *layer.weight.shape[::-1], delay_rec=layer.delay_rec, **common)
            synapses = {made.input_synapse: layer.weight, made.recurrent_synapse: layer.weight_rec}
        for synapse, weight in synapses.items():
            if weight_bounds(weight) == ANY_WEIGHTS:
                synapse.pre_hook_fx = quantise_odd
            synapse.weight.data = torch.from_numpy(weight / 64).float().reshape(synapse.weight.shape)
        repeated = 1 if layer.conv is None else layer.size // layer.conv.features
        if layer.bias is not None:
            made.bias.data = torch.from_numpy(layer.bias[::repeated][: made.bias.numel()] / 64).float()
        if layer.delay is not None:
            made.delay.delay.data, made.delay.init = torch.from_numpy(layer.delay[::repeated]).float(), True
        made.neuron.layer = i
        made.eval()
        with torch.no_grad():
            x = made(x)
        filament, residue, gate = made.neuron.kept_states[1]
        x = x.flatten(1, -2)
        seen.append(Seen(out=x[1].T.numpy(), last=(filament, residue, gate)))
        blocks.append(made)
    with TemporaryDirectory() as folder:
        with h5py.File(Path(folder) / "trained.net", "w") as file:
            for i, made in enumerate(blocks):
                made.export_hdf5(file.create_group(f"layer/{i}"))
        assert same(schema.read(Path(folder) / "trained.net"), drawn.net), "export_hdf5 must write the network that was drawn"
    return seen


def by_c(drawn: Drawn) -> list[Seen]:
    """The exported C99, compiled and run."""
    from lava_1m1t1r.export import c_target

    steps = len(drawn.frames)
    with TemporaryDirectory() as folder:
        c_target.deploy_c(drawn.net, Path(folder) / "c")
        command = ["gcc", "-std=c99", "-O2", "net.c", "host/main.c", "-o", "main"]
        subprocess.run(command, cwd=Path(folder) / "c", check=True, capture_output=True, timeout=220)
        words = np.concatenate([[steps], drawn.frames.reshape(-1)]).astype("<i4").tobytes()
        done = subprocess.run(["./main", "states.bin"], cwd=Path(folder) / "c", input=words, capture_output=True, check=True, timeout=220)
        states = np.fromfile(Path(folder) / "c" / "states.bin", "<i4").reshape(steps, -1)
    out = np.frombuffer(done.stdout, "<i4").reshape(steps, -1)
    seen, place = [], 0
    for layer in drawn.net.layers:
        size = layer.size
        own = states[:, place : place + 3 * size].reshape(steps, size, 3)
        place += 3 * size
        seen.append(Seen(filament=own[..., 0], residue=own[..., 1], gate=own[..., 2]))
    seen[-1] = seen[-1]._replace(out=out)
    return seen


def by_rtl(drawn: Drawn) -> list[Seen]:
    """The exported Verilog, simulated by Icarus."""
    from lava_1m1t1r.export import rtl_target

    steps = len(drawn.frames)
    with TemporaryDirectory() as folder:
        where = Path(folder) / "rtl"
        rtl_target.deploy_rtl(drawn.net, where)
        tokens = [token for frame in drawn.frames for token in [*np.flatnonzero(frame), -1]]
        (where / "frames.txt").write_text("\n".join(map(str, [*tokens, -2])) + "\n")
        sources = sorted(path.name for path in where.glob("*.v"))
        for command in (["iverilog", "-g2005", "-o", "bench.vvp", "-s", "bench", *sources], ["vvp", "-n", "bench.vvp", "+states"]):
            subprocess.run(command, cwd=where, check=True, capture_output=True, timeout=220)
        rows = np.array((where / "states.txt").read_text().split("end\n")[0].split(), np.int64).reshape(-1, 6)
    seen = []
    for k, layer in enumerate(drawn.net.layers):
        size = layer.size
        # layer, neuron, spike, filament, residue, gate; a few further frames flush the pipeline
        own = rows[rows[:, 0] == k][: steps * size].reshape(steps, size, 6)
        assert np.array_equal(own[0, :, 1], np.arange(size))
        seen.append(Seen(spike=own[..., 2], filament=own[..., 3], residue=own[..., 4], gate=own[..., 5]))
    return seen


@dataclass(frozen=True)
class Realisation:
    """How to run a network some way, and what that way cannot do."""

    run: Callable[[Drawn], list[Any]]
    without: frozenset[str] = frozenset()
    only: tuple[str, ...] = ()  # kinds of network to run, where a run is slow; empty: all
    marks: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()  # skipped, with a reason, where one of these is not there
    tools: tuple[str, ...] = ()  # the same for programs


_LAVA = {"marks": ("lava",), "modules": ("lava.magma", "lava_1m1t1r.netx.runner")}
REALISATIONS: dict[str, Realisation] = {
    "compiled kernels": Realisation(by_kernels),
    "the page": Realisation(by_page),
    "fast path": Realisation(by_fast, modules=("lava_1m1t1r.netx.hdf5",)),
    "fast path from a file": Realisation(by_file, modules=("lava_1m1t1r.netx.hdf5",)),
    "training forward": Realisation(by_training, marks=("train",), modules=("lava.lib.dl.slayer", "lava_1m1t1r.slayer.block")),
    "Lava Process alone": Realisation(by_lava_alone, marks=("lava",), modules=("lava.magma",)),
    "Lava graph in process": Realisation(by_lava_in_process, **_LAVA),
    "Lava graph in its runtime": Realisation(by_lava, only=("stochastic", "everything", "images, everything"), **_LAVA),
    "C": Realisation(by_c, modules=("lava_1m1t1r.export.c_target",), tools=("gcc",)),
    "RTL": Realisation(
        by_rtl,
        only=("everything",),
        modules=("lava_1m1t1r.export.rtl_target",),
        tools=("iverilog",),
    ),
    "RTL of images and odd weights": Realisation(
        by_rtl,
        only=("images, everything", "odd weights", "images, odd weights"),
        marks=("slow",),
        modules=("lava_1m1t1r.export.rtl_target",),
        tools=("iverilog",),
    ),
}
