"""The network of the speed tables: random weights, and an input current tuned for the requested activity of the hidden layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..description import NetDescription
from ..fast import FastNetwork
from ..layers import Layer, M1T1RNeuron
from ..params import DeviceParams
from ..presets import ZHAO2025_FIG2
from ..program import StepParams

SHAPE = (700, 256, 20)
"""Numbers of inputs and outputs of the paper's task, and of recurrent neurons, which we chose."""
NAME = "{}-{}R-{}".format(*SHAPE)
"""The network, in titles."""
RATE = 0.05
"""Input spikes per step and channel [1]."""
ACTIVITY = 0.1
"""Hidden spikes per step and neuron [1]."""
_BATCH, _STEPS = 2, 250  # what the activity is tuned on


def device(substeps: int) -> StepParams:
    """The device of Fig. 2 in steps of 1 ms, slowed down until a substep is a quarter of a millisecond of its time.

    Its gate drains in a tenth of that device's time, or the refractory time would not let one neuron in ten fire.
    """
    return StepParams(slowed(substeps, 0.1), dt=1e-3, substeps=substeps)


def slowed(substeps: int, drain: float) -> DeviceParams:
    """The device of Fig. 2, so slow that a substep is the same share of its time whatever ``substeps``; its gate drains in ``drain`` of
    its own time."""
    slower = ZHAO2025_FIG2.scaled(4 / substeps)
    return replace(slower, r_control=drain * slower.r_control)


def spikes(batch: int, steps: int, channels: int | None = None, rate: float = RATE, seed: int = 0) -> np.ndarray:
    """Random input (B, T, C), uint8: a spike in each cell with probability ``rate``, independently."""
    channels = SHAPE[0] if channels is None else channels
    return (np.random.default_rng(seed).random((batch, steps, channels), np.float32) < rate).astype(np.uint8)


def drawn(shape: tuple[int, int, int] = SHAPE, substeps: int = 1, bias: int = 0, seed: int = 0) -> NetDescription:
    """Network of drawn weights, inputs - hidden (recurrent) - outputs, all 1M1T1R, weights as lava-dl quantises them; ``bias`` in 1/64
    unit."""
    inputs, hidden, outputs = shape
    rng = np.random.default_rng(seed)
    even = lambda mean, spread, size: 2 * np.clip(np.rint(rng.normal(mean, spread, size)), -128, 127).astype(np.int32)  # noqa: E731
    neuron = M1T1RNeuron(device(substeps))
    forward, again = even(0, 20 * (700 / inputs) ** 0.5, (hidden, inputs)), even(0, 20 * (256 / hidden) ** 0.5, (hidden, hidden))
    first = Layer(0, "dense_rec", (hidden,), inputs, forward, again, np.full(hidden, bias, np.int32), neuron=neuron)
    last = Layer(1, "dense", (outputs,), hidden, even(10, 20 * (256 / hidden) ** 0.5, (outputs, hidden)), neuron=neuron)
    return NetDescription((first, last))


def tuned(shape: tuple[int, int, int] = SHAPE, substeps: int = 1, activity: float = ACTIVITY, rate: float = RATE) -> NetDescription:
    """As :func:`drawn`, with the bias at which ``activity`` hidden neurons fire in a step under input of ``rate``.

    The rate rises with the input until neurons latch, so the search comes from below; where the neurons cannot fire that often it ends
    near the most active network.
    """
    frames = spikes(_BATCH, _STEPS, shape[0], rate, seed=1)

    biases = range(-600, 601, 50)
    rates = []
    for bias in biases:
        rates.append(activity_of(drawn(shape, substeps, bias), frames))
        if rates[-1] >= activity:
            break
    best = biases[int(np.argmin(np.abs(np.array(rates) - activity)))]
    return min((drawn(shape, substeps, b) for b in range(best - 40, best + 41, 10)), key=lambda n: abs(activity_of(n, frames) - activity))


def activity_of(net: NetDescription | FastNetwork, frames: np.ndarray) -> float:
    """Mean number of spikes per step and neuron in the first layer [1]."""
    fast = net if isinstance(net, FastNetwork) else FastNetwork(net)
    spikes = fast.run(frames, record="spikes", threads=1).layers[0].spikes
    assert spikes is not None  # these networks begin with neurons
    return float(spikes.mean())
