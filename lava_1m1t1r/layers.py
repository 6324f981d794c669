"""One layer of a trained network and its neurons as plain data, in frozen dataclasses; :mod:`.description` has the network of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .arithmetic import ACT_SHIFT, DECAY_ONE
from .convolution import Convolution
from .delay_lines import DELAY_LINES, MAX_DELAY
from .errors import InputError, given, is_whole, require
from .noise import MOST_NEURONS, MOST_SEED
from .params import ByValue
from .program import StepParams
from .sums import LARGEST_SUM, SumBounds, bounds_of

THRESHOLD_BITS = 17
"""Width of a Loihi threshold, 17 bits; lava-dl gives its voltage readouts a threshold of 18 bits, which is never reached."""

LARGEST_VOLTAGE = LARGEST_SUM >> ACT_SHIFT
"""Largest magnitude of a CUBA neuron's threshold, bias and summed input [weight counts]: in 1/64 of a count they fit 32 bits. The voltage
itself is cut to 24 bits."""
_WEIGHTS = (-(2**15 - 1), 2**15 - 1)  # in counts: what the compiled loops hold
DELAYS = (0, MAX_DELAY)
"""Least and longest delay [steps]."""
KINDS = ("input", "flatten", DELAY_LINES, "dense", "dense_rec", "affine", "conv", "pool", "average")
"""Kinds of layer."""
WEIGHTLESS = ("average",)
"""Kinds of layer without weights of their own that still compute."""
SHAPE_ONLY = ("input", "flatten", DELAY_LINES)
"""Kinds of layer that have no weights where they have no neurons: they only name a shape, or delay spikes."""


@dataclass(frozen=True, eq=False)
class M1T1RNeuron(ByValue):
    """A layer of 1M1T1R neurons."""

    step: StepParams
    """Device and network step. :func:`.reference_network.run` alone hands anything with a ``dt`` on, to the neurons that it is given."""
    seed: int = 0
    """Seed of stochastic neurons; (seed, layer index, neuron) starts a generator."""

    def __post_init__(self) -> None:
        require(hasattr(self.step, "dt"), "M1T1RNeuron.step", "be StepParams", self.step, "Make them: StepParams(device).")


@dataclass(frozen=True, eq=False)
class CubaNeuron(ByValue):
    """A layer of current-based leaky integrate-and-fire neurons, with Loihi's integers as lava-dl trains them."""

    current_decay: Any
    """Share of the current lost a step, in 1/4096: an int or (N,) int, 0 to 4096 (``iDecay``)."""
    voltage_decay: Any
    """Share of the voltage lost a step, in 1/4096: an int or (N,) int, 0 to 4096 (``vDecay``)."""
    threshold: int
    """Threshold [weight counts] (``vThMant``)."""

    def check(self, where: str, size: int, error: type[Exception] = InputError) -> None:
        """Refuse constants that are not those of ``size`` neurons, or beyond what the integers hold."""
        threshold = self.threshold
        good = is_whole(threshold, 0, LARGEST_VOLTAGE)
        require(good, f"{where} neuron threshold", f"be a whole number from 0 to {LARGEST_VOLTAGE}", threshold, error=error)
        for name in ("current_decay", "voltage_decay"):
            own = getattr(self, name)
            decay = np.asarray(own)
            good = decay.dtype.kind in "iu" and decay.shape in ((), (size,)) and 0 <= decay.min() and decay.max() <= DECAY_ONE
            good = good and not np.ma.is_masked(own)
            require(good, f"{where} neuron {name}", f"hold one whole number from 0 to {DECAY_ONE}, or {size}", own, error=error)

    @property
    def spikes(self) -> bool:
        """Whether the neurons spike; lava-dl's readouts do not, and their output is the voltage."""
        return self.threshold < 1 << THRESHOLD_BITS


@dataclass(frozen=True, eq=False)
class Layer(ByValue):
    """One layer. N neurons (outputs), C inputs; weights and biases count 1/64.

    Arrays are kept as they are given, without a copy. Do not write to them: what a network has found out from them, it does not ask again.
    """

    index: int
    """Index of the layer in the file; it numbers the noise."""
    kind: str
    """Type of the layer, one of :data:`KINDS`."""
    shape: tuple[int, ...]
    """Shape of the output as in the file; N is its product. Images are (C, H, W), and everything per neuron is flat in that order."""
    inputs: int
    """Number of inputs, C."""
    weight: np.ndarray | None = None
    """Weights (N, C) int32 [counts]; (1,) for an input layer: one weight for all channels; kernels for a convolution: see ``conv``."""
    weight_rec: np.ndarray | None = None
    """Weights (N, N) int32 [counts] of the layer's own spikes; None without recurrence."""
    bias: np.ndarray | None = None
    """Bias (N,) int32 [counts], added every step: to the current of 1M1T1R and input neurons, to the voltage of other CUBA neurons, as
    lava-dl's netx has it. lava-dl's own forward pass of a recurrent block with a norm adds it to the current, so that such a block's file
    gives other spikes than its training did."""
    delay: np.ndarray | None = None
    """Delay (N,) int32, 0 to 62 [steps], of each neuron's outgoing spikes, beyond the step that they always take; of delay lines, their
    whole delay."""
    delay_rec: np.ndarray | None = None
    """Delay (N,) int32, 0 to 62 [steps], of the recurrent spikes: the recurrent input at step t is
    ``weight_rec @ s[t - 1 - delay_rec]``."""
    neuron: M1T1RNeuron | CubaNeuron | None = None
    """Neurons of the layer; None: the output is the weighted sum itself."""
    conv: Convolution | None = None
    """Sizes of ``conv`` and ``pool``, whose ``weight`` is (O, C / groups, height, width), or (1, 1, height, width) for ``pool``."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(np.atleast_1d(self.shape).tolist()))  # a list of the same sizes is the same shape

    def check(self, where: str, error: type[Exception] = InputError) -> None:
        """Refuse an unknown kind, missing weights, arrays that do not fit the layer, and numbers beyond what the integers hold."""
        require(self.kind in KINDS, where, f"be of a kind among {', '.join(KINDS)}", self.kind, error=error)
        self.check_neuron(where, error)
        if self.neuron is None:
            self._check_without_neurons(where, error)
        if self.computes:
            self._check_sizes(where, error)
            self._check_numbers(where, error)

    @property
    def of_neurons(self) -> dict[str, Any]:
        """Fields given that only neurons have a use for, by name; delay lines have a delay of their own."""
        names = ("bias", "weight_rec", "delay_rec") + (() if self.kind == DELAY_LINES else ("delay",))
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def _check_without_neurons(self, where: str, error: type[Exception]) -> None:
        """The value of a readout is the weighted sum (FIXED_POINT.md, section 6): without spikes there is no recurrence and no delay."""
        rule, cure = "be another one of a layer without neurons", "Write it with kind='affine', or give it neurons."
        require(self.kind not in ("dense", "dense_rec"), f"{where} kind", rule, self.kind, cure, error)
        require(self.computes or self.kind in SHAPE_ONLY, f"{where} weight", "be given", None, error=error)
        cure = "Add it to the sums, or delay them, yourself."
        for name, value in self.of_neurons.items():
            require(not np.any(value), f"{where} {name}", "be left out of a layer without neurons", value, cure, error)

    def _check_sizes(self, where: str, error: type[Exception]) -> None:
        """Numbers of neurons and inputs, and the weights that lead from these to those."""
        n, c = self.size, self.inputs
        require(n <= MOST_NEURONS, where, f"have at most {MOST_NEURONS} neurons", n, error=error)
        require(n > 0 and c > 0, where, "have neurons and inputs", (n, c), error=error)
        if self.kind == "average":
            require(c % n == 0, where, f"divide its {c} inputs evenly", n, error=error)
        else:
            shape = (1,) if self.kind == "input" else (n, c) if self.conv is None else self.conv.weight_shape
            sizes = self.conv is None or (self.conv.sources, self.conv.size) == (c, n)
            require(sizes and (self.kind != "input" or c == n), where, "have the sizes that it names", (c, n), error=error)
            check_array(self.summed, f"{where} weight", shape, _WEIGHTS, error, several=self.conv is not None)

    def _check_numbers(self, where: str, error: type[Exception]) -> None:
        """What else a layer holds per neuron, and the sums that all of it makes."""
        n = self.size
        largest = LARGEST_VOLTAGE if isinstance(self.neuron, CubaNeuron) else LARGEST_SUM
        for name, value, shape, bounds in (
            ("weight_rec", self.weight_rec, (n, n), _WEIGHTS),
            ("bias", self.bias, (n,), (-largest, largest)),
            ("delay", self.delay, (n,), DELAYS),
            ("delay_rec", self.delay_rec, (n,), DELAYS),
        ):
            if value is not None:
                check_array(value, f"{where} {name}", shape, bounds, error)
        reach = int(self.sums().reach(1, self.inputs))
        require(reach <= largest, where, f"have sums of at most {largest} counts under spikes", reach, error=error)
        if isinstance(self.neuron, M1T1RNeuron) and isinstance(self.neuron.step, StepParams):
            devices = self.neuron.step.device.size
            require(devices in (None, n), f"{where} neuron", f"hold one device or {n}", devices, error=error)
        if isinstance(self.neuron, CubaNeuron):
            self.neuron.check(where, n, error)

    def check_neuron(self, where: str, error: type[Exception] = InputError) -> None:
        """Refuse what are no neurons, a seed that no generator starts from, and neurons that no weights lead to: they would not run."""
        known = self.neuron is None or isinstance(self.neuron, (M1T1RNeuron, CubaNeuron))
        require(known, f"{where} neuron", "be an M1T1RNeuron, a CubaNeuron or None", self.neuron, error=error)
        if isinstance(self.neuron, M1T1RNeuron):
            seed = self.neuron.seed
            rule = f"be a whole number from 0 to {MOST_SEED}"
            require(is_whole(seed, 0, MOST_SEED), f"{where} neuron seed", rule, seed, error=error)
        require(self.neuron is None or self.computes, f"{where} weight", "be given", None, error=error)

    def matrix(self) -> np.ndarray:
        """Matrix (N, C) int32 by which the layer weighs its inputs, whatever its kind; ``weight`` itself where that is the matrix."""
        if self.kind == "average":
            return np.repeat(np.eye(self.size, dtype=np.int32), self.inputs // self.size, axis=1)
        if self.kind == "input":
            return int(self.own_weight[0]) * np.eye(self.size, dtype=np.int32)
        return self.own_weight if self.conv is None else self.conv.matrix(self.own_weight)

    def weigh(self, y: np.ndarray) -> np.ndarray:
        """Weighted sums (..., N) [counts] of what the layer receives, whole numbers (..., C); without bias and recurrence.

        They are int64; float64, where ``y`` is and the layer has a matrix, for numpy multiplies matrices faster so.
        """
        if self.kind == "input":
            return np.multiply(y, int(self.own_weight[0]), dtype=np.result_type(y.dtype, np.int64))
        if self.conv is None:
            return y @ self.matrix().astype(np.int64).T
        return self.conv.weigh(y.reshape(-1, self.inputs), self.own_weight).reshape(*y.shape[:-1], self.size)

    def sums(self) -> SumBounds:
        """Bounds of the weighted sums."""
        if self.kind == "average":
            return bounds_of(np.ones((1, self.inputs // self.size)))
        return bounds_of(self.summed if self.conv is None else self.conv.full(self.own_weight), self.weight_rec, self.bias)

    @property
    def summed(self) -> np.ndarray | None:
        """Weights that the sums take, of a layer that computes: the matrix, whatever form the kind's own ``weight`` has; of inputs and
        convolutions, which have fewer, ``weight``. None: an average, whose weights are 1."""
        return self.weight if self.conv is not None or self.kind in ("input", "average") else self.matrix()

    @property
    def place(self) -> str:
        """Where it stands in its file, for messages: ``layer/1 (dense_rec)``."""
        return f"layer/{self.index} ({self.kind})"

    @property
    def own_weight(self) -> np.ndarray:
        """``weight`` of a layer that has one; others are refused."""
        return given(self.weight, self.place, "have weights")

    @property
    def own_delay(self) -> np.ndarray:
        """``delay`` of a layer that has some, as delay lines do; others are refused."""
        return given(self.delay, self.place, "have delays")

    @property
    def recurrence(self) -> np.ndarray | None:
        """``weight_rec`` of neurons; None without. A readout, which has no spikes, may hold zeros there: they are no recurrence."""
        return None if self.neuron is None else self.weight_rec

    @property
    def axonal_delays(self) -> np.ndarray:
        """(N,) int ``delay`` [steps]; zeros where it has none."""
        return np.zeros(self.size, np.int32) if self.delay is None else np.asarray(self.delay, np.int32)

    @property
    def recurrent_delays(self) -> np.ndarray:
        """(N,) int ``delay_rec`` [steps]; zeros where it has none."""
        return np.zeros(self.size, np.int32) if self.delay_rec is None else np.asarray(self.delay_rec, np.int32)

    @property
    def longest_delays(self) -> np.ndarray:
        """(N,) int longest delay of each neuron's spikes, outgoing or recurrent [steps]."""
        return np.maximum(self.axonal_delays, self.recurrent_delays)

    @property
    def m1t1r(self) -> M1T1RNeuron:
        """``neuron`` of a layer of 1M1T1R neurons; others are refused."""
        own = self.neuron if isinstance(self.neuron, M1T1RNeuron) and isinstance(self.neuron.step, StepParams) else None
        return given(own, self.place, "have 1M1T1R neurons, with StepParams", self.neuron)

    @property
    def step(self) -> StepParams | None:
        """Device and step of its 1M1T1R neurons; None where it has others, or none."""
        return self.m1t1r.step if isinstance(self.neuron, M1T1RNeuron) else None

    @property
    def size(self) -> int:
        """Number of neurons, or outputs, N."""
        return int(np.prod(self.shape))

    @property
    def copies(self) -> int:
        """Number of delay lines per channel, for a layer of delay lines."""
        return self.size // self.inputs

    @property
    def spiking(self) -> bool:
        """Whether the layer's output is spikes, one step after their cause."""
        return isinstance(self.neuron, M1T1RNeuron) or (isinstance(self.neuron, CubaNeuron) and self.neuron.spikes)

    @property
    def noisy(self) -> bool:
        """Whether the neurons draw random numbers."""
        return self.step is not None and self.step.device.noisy

    @property
    def computes(self) -> bool:
        """Whether the layer computes something; others only name a shape."""
        return self.weight is not None or self.kind in WEIGHTLESS


def check_array(
    value: Any, name: str, shape: tuple[int, ...], bounds: tuple[int, int], error: type[Exception], several: bool = False
) -> None:
    """Refuse what is no array of whole numbers within ``bounds``; with ``several``, axes of length 1 fit any length."""
    # masks would be lost on the way, and matrices have sums of their own kind
    plain = isinstance(value, np.ndarray) and not isinstance(value, (np.ma.MaskedArray, np.matrix))
    require(plain and value.dtype.kind in "iu", name, "be an array of whole numbers", value, error=error)
    found = value.shape
    fits = len(found) == len(shape) and all(a == b or (several and a == 1) for a, b in zip(found, shape, strict=True))
    require(fits, name, f"have shape {shape}", found, error=error)
    low, high = bounds
    good = int(value.min()) >= low and int(value.max()) <= high
    require(good, name, f"lie in {low}..{high}", (int(value.min()), int(value.max())), error=error)
