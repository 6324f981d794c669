"""Networks that the exporters' tests draw: odd sizes, delays, recurrence, bias, noise, unequal neurons, readouts."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np

from lava_1m1t1r import StepParams, presets
from lava_1m1t1r.convolution import Convolution, pooling
from lava_1m1t1r.description import Layer, M1T1RNeuron, NetDescription
from lava_1m1t1r.export import rtl_target
from lava_1m1t1r.fast import FastNetwork

SANITIZED = ("-O1", "-g", "-fsanitize=undefined,address", "-fno-sanitize-recover=all")
SPEECH = Path(__file__).resolve().parents[2] / "shared" / "data" / "fsdd_inner_ear.h5"


def run_elsewhere():
    """The program of deploy/nir as a module."""
    path = Path(__file__).resolve().parents[1] / "deploy" / "nir" / "run_elsewhere.py"
    spec = importlib.util.spec_from_file_location("run_elsewhere", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def even(rng, shape, scale, mean=0.3):
    """Weights as lava-dl quantises them [counts]."""
    return (np.clip(np.rint(rng.normal(mean * scale, scale, shape) * 32), -128, 127) * 2).astype(np.int32)


def layer(rng, index, inputs, size, kind="dense", *, delays=0, noise=False, unequal=False, bias=False, scale=3.0, device=None, **step):
    """One drawn layer."""
    device = device or presets.ZHAO2025_FIG2
    weight = even(rng, (size, inputs), scale)
    if kind == "affine":
        return Layer(index, kind, (size,), inputs, weight)
    if noise:
        device = replace(device, sigma1=1e-3, sigma2=5e-4)
    if unequal:
        names = ("mu", "r_control", "v_th", "gamma1", *(() if np.isinf(device.v0) else ("v0",)))
        device = replace(device, **{n: getattr(device, n) * np.exp(0.04 * rng.standard_normal(size)) for n in names})
    steps = lambda: rng.integers(0, delays + 1, size).astype(np.int32) if delays else None  # noqa: E731
    recurrent = kind == "dense_rec"
    return Layer(
        index,
        kind,
        (size,),
        inputs,
        weight,
        even(rng, (size, size), 1.0, 0) if recurrent else None,
        rng.integers(-40, 80, size).astype(np.int32) if bias else None,
        steps(),
        steps() if recurrent else None,
        M1T1RNeuron(StepParams(device, **step), seed=7),
    )


def recurrent_with_delays(rng):
    return layer(rng, 0, 13, 7, "dense_rec", delays=5), layer(rng, 1, 7, 3, scale=9, bias=True)


def noisy_unequal_with_readout(rng):
    return (
        layer(rng, 0, 5, 1, scale=5, delays=62, noise=True),
        layer(rng, 1, 1, 4, "dense_rec", noise=True, unequal=True, scale=12, delays=20),
        layer(rng, 2, 4, 2, "affine"),
    )


def readout_with_recurrent_zeros(rng):
    """They say nothing, for it has no spikes."""
    return layer(rng, 0, 6, 5, scale=9), replace(layer(rng, 1, 5, 3, "affine"), weight_rec=np.zeros((3, 3), np.int32))


def linear_law_three_substeps(rng):
    return (layer(rng, 0, 33, 17, "dense_rec", unequal=True, delays=7, device=presets.ZHAO2025_TABLE1, scale=2, substeps=3),)


def input_neurons_odd_weights_and_average(rng):
    first = Layer(0, "input", (6,), 6, np.array([254]), neuron=M1T1RNeuron(StepParams(presets.ZHAO2025_FIG2)))
    middle = layer(rng, 1, 6, 12, scale=9)
    return first, replace(middle, weight=middle.weight // 2), Layer(2, "average", (4,), 12)


def behind_delay_lines(rng):
    """Lines in no order, one of them the longest there is, before a layer with noise."""
    lines = Layer(0, "delay_lines", (15,), 5, delay=rng.permutation([0, 0, 3, 62, *rng.integers(0, 40, 11)]).astype(np.int32))
    return lines, layer(rng, 1, 15, 6, "dense_rec", delays=3, noise=True, scale=2.5, bias=True), layer(rng, 2, 6, 3, "affine")


def one_neuron(rng):
    return (layer(rng, 0, 1, 1, scale=4, bias=True),)


def images(rng):
    """A convolution of unequal sizes and groups, and a pooling of an odd size."""
    neuron = M1T1RNeuron(StepParams(presets.ZHAO2025_FIG2), seed=7)
    conv = Convolution((2, 5, 4), 2, (3, 2), (2, 1), (1, 0), (1, 2), 2)
    pool = pooling(conv.shape, (2, 2))
    bias, delay = np.repeat([100, 160], 6), np.repeat([0, 4], 6)
    weights = (even(rng, conv.weight_shape, 2.0, 1.0), np.full((1, 1, 2, 2), 254, np.int32))
    return (
        Layer(0, "conv", conv.shape, conv.sources, weights[0], bias=bias, delay=delay, neuron=neuron, conv=conv),
        Layer(1, "pool", pool.shape, pool.sources, weights[1], bias=np.full(4, 300), neuron=neuron, conv=pool),
        layer(rng, 2, 4, 3, "affine"),
    )


def beyond_every_limit(rng):
    """Growth, residue, noise and input beyond what registers hold, without noise and with it, growth just above its bound, and growth below
    a count: everything that is bounded reaches its bound. Input weights are odd where recurrent ones are even, and the other way round."""
    quiet = replace(presets.ZHAO2025_FIG2, mu=1e6, beta=120.0, v0=0.02)  # a shift of the growth below 0
    noisy = replace(quiet, mu=np.geomspace(600, 6e4, 8), sigma1=0.5, sigma2=0.5)
    layers = []
    for index, (inputs, device) in enumerate(((6, quiet), (8, noisy))):
        weight, weight_rec = rng.integers(-60, 100, (8, inputs)), rng.integers(-40, 40, (8, 8))
        weight, weight_rec = ((weight | 1, 2 * weight_rec), (weight & ~1, weight_rec | 1))[index]
        arrays = (weight.astype(np.int32), weight_rec.astype(np.int32), rng.integers(20, 240, 8).astype(np.int32))
        step = StepParams(device, dt=4e-3, v_unit=0.25, substeps=(1, 4)[index])
        layers.append(Layer(index, "dense_rec", (8,), inputs, *arrays, neuron=M1T1RNeuron(step, seed=7)))
    return layers


def at_the_threshold():
    """Neurons alike but for their threshold: some have it where their gate stands before a substep, some where it gets to in one; and
    frames."""
    device, weight, step = presets.ZHAO2025_FIG2, np.full((1, 1), 210, np.int32), {"dt": 1e-3, "v_unit": 0.25, "substeps": 1}
    frames = np.ones((1, 60, 1), np.int16)
    frames[:, 3::4] = 0
    alike = StepParams(device, **step)
    record = FastNetwork(NetDescription((Layer(0, "dense", (1,), 1, weight, neuron=M1T1RNeuron(alike)),))).run(frames, record="all")
    gate = record.layers[0].states["v_gate"][0, :, 0].astype(np.int64)
    mantissa, shift = int(alike.fixed(1).gate_decay[0]), int(alike.fixed(1).gate_shift[0])
    decayed = lambda x: x - ((x * mantissa + (1 << shift) - 1) >> shift)  # noqa: E731
    rising = 1 + np.flatnonzero((np.diff(gate) > 0) & (gate[:-1] > 100))
    reached = {t: int(gate[t] / (1 - mantissa / 2**shift)) for t in rising}  # before the gate's last decay
    thresholds = {int(gate[t - 1]) for t in rising}
    thresholds |= {x for t, near in reached.items() for x in range(near - 9, near + 9) if decayed(x) == gate[t]}
    unequal = StepParams(replace(device, v_th=np.array(sorted(thresholds)) * 0.25 / (1 << 18)), **step)
    size = len(thresholds)
    assert 10 < size and unequal.fixed(size).v_th.tolist() == sorted(thresholds)
    return NetDescription((Layer(0, "dense", (size,), 1, np.repeat(weight, size, 0), neuron=M1T1RNeuron(unequal)),)), frames


NETWORKS = {
    f.__name__: f
    for f in (
        recurrent_with_delays,
        noisy_unequal_with_readout,
        linear_law_three_substeps,
        input_neurons_odd_weights_and_average,
        one_neuron,
        readout_with_recurrent_zeros,
        images,
        behind_delay_lines,
        beyond_every_limit,
    )
}


def network(name, rng):
    """A network of :data:`NETWORKS`."""
    return NetDescription(tuple(NETWORKS[name](rng)))


def frames(rng, net, steps=150, samples=2, rate=0.15, largest=3):
    """Spike counts (B, T, C)."""
    shape = (samples, steps, net.inputs)
    return ((rng.random(shape) < rate) * rng.integers(1, largest + 1, shape)).astype(np.int16)


def utterance(dt, channels=700):
    """A spoken digit in frames of ``dt`` where the speech is at hand, random spikes of half a second otherwise; channels in groups."""
    if SPEECH.is_file():
        import h5py

        with h5py.File(SPEECH, "r") as file:
            times, units = file["spikes/times"][0], file["spikes/units"][0].astype(int)
        frames = np.zeros((1, int(times.max() / dt) + 1, channels), np.int16)
        np.add.at(frames[0], ((times / dt).astype(int), units * channels // 700), 1)
        return frames
    return (np.random.default_rng(0).random((1, int(0.5 / dt), channels)) < 10.0 * dt).astype(np.int16)


def simulated(net, files, frames, simulator="icarus"):
    """Facts of the Verilog's simulation on samples."""
    network = FastNetwork(net)
    ran = network.run(frames, record="all", threads=1)
    return rtl_target.simulate(ran, files | rtl_target.bench_files(network, frames), simulator)
