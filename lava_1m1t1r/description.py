"""A trained network as plain data: the content of a ``.net`` file, in frozen dataclasses. Needs neither Lava nor torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ._support.names import check_name, composed
from .arithmetic import ACT_SHIFT, DECAY_ONE
from .convolution import Convolution
from .delay_lines import DELAY_LINES, MAX_DELAY, on_lines
from .errors import InputError, array_of, given, is_whole, require, whole
from .noise import MOST_LAYERS, MOST_NEURONS, MOST_SEED
from .params import ByValue
from .program import StepParams
from .sums import LARGEST_SUM, MAX_COUNT, SumBounds, bounds_of

THRESHOLD_BITS = 17
"""Width of a Loihi threshold, 17 bits; lava-dl gives its voltage readouts a threshold of 18 bits, which is never reached."""

LARGEST_VOLTAGE = LARGEST_SUM >> ACT_SHIFT
"""Largest magnitude of a CUBA neuron's threshold, bias and summed input [weight counts]: in 1/64 of a count they fit 32 bits. The voltage
itself is cut to 24 bits."""
_WEIGHTS = (-(2**15 - 1), 2**15 - 1)  # in counts: what the compiled loops hold
_DELAYS = (0, MAX_DELAY)
KINDS = ("input", "flatten", DELAY_LINES, "dense", "dense_rec", "affine", "conv", "pool", "average")
"""Kinds of layer."""
WEIGHTLESS = ("average",)
"""Kinds of layer without weights of their own that still compute."""


@dataclass(frozen=True, eq=False)
class M1T1RNeuron(ByValue):
    """A layer of 1M1T1R neurons."""

    step: StepParams
    """Device and network step. :func:`.reference_network.run` alone hands anything with a ``dt`` on, to the neurons that it is given."""
    seed: int = 0
    """Seed of stochastic neurons; (seed, layer index, neuron) starts a generator."""


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
            decay = np.asarray(getattr(self, name))
            good = decay.dtype.kind in "iu" and decay.shape in ((), (size,)) and 0 <= decay.min() and decay.max() <= DECAY_ONE
            require(good, f"{where} neuron {name}", f"hold one whole number from 0 to {DECAY_ONE}, or {size}", decay, error=error)

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
    """Bias (N,) int32 [counts], added every step: to the current of 1M1T1R and input neurons, to the voltage of dense CUBA neurons (as in
    lava-dl)."""
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

    def check(self, where: str, error: type[Exception] = InputError) -> None:
        """Refuse an unknown kind, arrays that do not fit the layer, and numbers beyond what the integers hold."""
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
            weight = self.matrix() if self.conv is None and self.kind != "input" else self.weight  # a kind is known by its matrix
            _check_array(weight, f"{where} weight", shape, _WEIGHTS, error, several=self.conv is not None)

    def _check_numbers(self, where: str, error: type[Exception]) -> None:
        """What else a layer holds per neuron, and the sums that all of it makes."""
        n = self.size
        largest = LARGEST_VOLTAGE if isinstance(self.neuron, CubaNeuron) else LARGEST_SUM
        for name, value, shape, bounds in (
            ("weight_rec", self.weight_rec, (n, n), _WEIGHTS),
            ("bias", self.bias, (n,), (-largest, largest)),
            ("delay", self.delay, (n,), _DELAYS),
            ("delay_rec", self.delay_rec, (n,), _DELAYS),
        ):
            if value is not None:
                _check_array(value, f"{where} {name}", shape, bounds, error)
        reach = int(self.sums().reach(1, self.inputs))
        require(reach <= largest, where, f"have sums of at most {largest} counts under spikes", reach, error=error)
        if isinstance(self.neuron, M1T1RNeuron) and isinstance(self.neuron.step, StepParams):
            devices = self.neuron.step.device.size
            require(devices in (None, n), f"{where} neuron", f"hold one device or {n}", devices, error=error)
        if isinstance(self.neuron, CubaNeuron):
            self.neuron.check(where, n, error)

    def check_neuron(self, where: str, error: type[Exception] = InputError) -> None:
        """Refuse what are no neurons, and a seed that no generator starts from."""
        known = self.neuron is None or isinstance(self.neuron, (M1T1RNeuron, CubaNeuron))
        require(known, f"{where} neuron", "be an M1T1RNeuron, a CubaNeuron or None", self.neuron, error=error)
        if isinstance(self.neuron, M1T1RNeuron):
            seed = self.neuron.seed
            rule = f"be a whole number from 0 to {MOST_SEED}"
            require(is_whole(seed, 0, MOST_SEED), f"{where} neuron seed", rule, seed, error=error)

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
        if self.weight is None:  # averages
            return bounds_of(np.ones((1, self.inputs // self.size)))
        return bounds_of(self.weight if self.conv is None else self.conv.full(self.weight), self.weight_rec, self.bias)

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


def _check_array(
    value: Any, name: str, shape: tuple[int, ...], bounds: tuple[int, int], error: type[Exception], several: bool = False
) -> None:
    """Refuse what is no array of whole numbers within ``bounds``; with ``several``, axes of length 1 fit any length."""
    kind, found = getattr(getattr(value, "dtype", None), "kind", ""), np.shape(value)
    fits = len(found) == len(shape) and all(a == b or (several and a == 1) for a, b in zip(found, shape, strict=True))
    require(kind in "iu" and kind, name, "be an array of whole numbers", value, error=error)
    require(fits, name, f"have shape {shape}", found, error=error)
    low, high = bounds
    good = int(value.min()) >= low and int(value.max()) <= high
    require(good, name, f"lie in {low}..{high}", (int(value.min()), int(value.max())), error=error)


@dataclass(frozen=True, eq=False)
class Usual(ByValue):
    """How often neurons spike in utterances of the training, to which :mod:`.recipes.adapt` brings them back."""

    spikes: np.ndarray
    """(N,) mean number of spikes in an utterance, of each neuron of the first layer that computes."""
    steps: int
    """Time bins of these utterances."""

    def check(self, where: str, size: int, error: type[Exception] = InputError) -> None:
        """Refuse what cannot be numbers of spikes of so many neurons."""
        spikes = self.spikes
        real = isinstance(spikes, np.ndarray) and spikes.dtype.kind in "fiu"
        require(
            real and spikes.shape == (size,),
            f"{where}/spikes",
            f"hold {size} numbers, one a neuron of the first layer",
            spikes,
            error=error,
        )
        require(bool(np.all((spikes >= 0) & np.isfinite(spikes))), f"{where}/spikes", "be finite numbers >= 0", spikes.min(), error=error)
        require(is_whole(self.steps, 1), f"{where}/steps", "be a whole number >= 1", self.steps, error=error)


@dataclass(frozen=True, eq=False)
class NetDescription(ByValue):
    """A network: layers in the order of the signal."""

    layers: tuple[Layer, ...]
    version: int = 1
    """Version of the file's format; files without one (lava-dl's) count as 1."""
    source: str = field(default="", compare=False)
    """Place that the network was read from, for messages."""
    classes: tuple[str, ...] = ()
    """Names of the outputs, as in the data they were trained on; empty where they have none."""
    usual: Usual | None = field(default=None, compare=False)
    """How often its neurons spike in its training; None where that is not known."""

    def __post_init__(self) -> None:
        names = tuple(composed(name) if isinstance(name, str) else name for name in self.classes or ())
        object.__setattr__(self, "classes", names)

    def __repr__(self) -> str:
        # without the properties, which refuse networks that no check has seen
        layers = ", ".join(f"{layer.kind} {'x'.join(str(n) for n in layer.shape)}" for layer in self.layers) or "no layers"
        first = f"{self.layers[0].inputs} inputs, " if self.layers else ""
        return f"{type(self).__name__}({first}{layers}{', of ' + self.source if self.source else ''})"

    def at(self, layer: Layer, key: str = "") -> str:
        """Place of one of its layers, or of a key of it, for messages."""
        return f"{self.source or 'network'}: {layer.place}" + (f" {key}" if key else "")

    @cached_property
    def active(self) -> tuple[Layer, ...]:
        """The layers that compute something."""
        return tuple(layer for layer in self.layers if layer.computes)

    def _computing(self, where: str = "network", error: type[Exception] = InputError) -> tuple[Layer, ...]:
        """The layers that compute something, of which there must be one."""
        require(self.active, where, "hold a layer that computes something", [layer.kind for layer in self.layers], error=error)
        return self.active

    @cached_property
    def first_sums(self) -> SumBounds:
        """Bounds of the first layer's weighted sums by the counts of the input, each of which delay lines bring several times."""
        sums, lines = self._computing()[0].sums(), self.delay_lines
        return sums if lines is None else sums._replace(largest=sums.largest * lines.copies)

    @property
    def sizes(self) -> str:
        """Sizes of the layers that compute, such as ``700-128R-20``, R for recurrence; ``140x4-512R-20`` with four delay lines per
        channel."""
        lines = self.delay_lines
        first = str(self.inputs) if lines is None else f"{self.inputs}x{lines.copies}"
        return "-".join([first, *(f"{x.size}{'R' if x.weight_rec is not None else ''}" for x in self.active)])

    @property
    def inputs(self) -> int:
        """Number of input channels."""
        return self._computing()[0].inputs if self.delay_lines is None else self.delay_lines.inputs

    @property
    def has_floating(self) -> bool:
        """Whether the network runs in floating point, too: CUBA neurons have no such form."""
        return not any(isinstance(layer.neuron, CubaNeuron) for layer in self.active)

    @cached_property
    def delay_lines(self) -> Layer | None:
        """Delay lines before the first layer that computes; None without."""
        self.check_delay_lines()
        return next((layer for layer in self.layers if layer.kind == DELAY_LINES), None)

    def check_delay_lines(self, where: str = "network", error: type[Exception] = InputError) -> None:
        """Refuse delay lines that do not lead to the first layer that computes, all channels alike."""
        lines = [layer for layer in self.layers if layer.kind == DELAY_LINES]
        for layer in lines:
            first = self._computing(where, error)[0]
            place = f"{where}: {layer.place}"
            alone = len(lines) == 1 and layer.index < first.index
            require(alone, place, "come before all layers that compute, and be the only delay lines", f"{len(lines)} of them", error=error)
            good = layer.size == first.inputs and layer.inputs > 0 and layer.size % layer.inputs == 0
            rule = f"have as many lines as the first layer inputs, {first.inputs}, and as many of each channel"
            require(good, place, rule, f"{layer.inputs} channels, {layer.size} lines", error=error)
            _check_array(layer.delay, f"{place} delay", (layer.size,), _DELAYS, error)

    def check_classes(self, where: str = "network", error: type[Exception] = InputError) -> None:
        """Refuse names of outputs that are not one text for each output, or of which two are alike."""
        names = self.classes
        good = len(names) in (0, self.outputs) and all(isinstance(name, str) for name in names)
        cure = "Of a network without its last layers (head(layers) makes it), they are ()."
        require(good, f"{where}: classes", f"hold {self.outputs} texts, or none", names, cure, error)
        for name in names:
            check_name(name, f"{where}: classes", error)
        cure = "Data and network are matched by these names."
        require(len(set(names)) == len(names), f"{where}: classes", "name each output differently", names, cure, error)

    def check(self, where: str = "network", error: type[Exception] = InputError) -> None:
        """Refuse a network that nothing can run: sizes that do not fit, numbers too large for the integers, a layer of sums in its midst.

        Files are read more strictly: 8-bit weights, 13-bit biases. Whether integers can hold the devices is not asked here, since floating
        point and the device level run others as well; :meth:`.StepParams.fixed` asks.
        """
        self._computing(where, error)
        before: int | None = None
        places = [layer.index for layer in self.layers]
        numbered = all(is_whole(n, 0, MOST_LAYERS - 1) for n in places)
        require(numbered, where, f"have layers whose index is a whole number from 0 to {MOST_LAYERS - 1}", places, error=error)
        rising = all(a < b for a, b in zip(places, places[1:], strict=False))
        require(rising, where, "have layers whose index, which starts their noise, rises", places, error=error)
        for layer in self.layers:
            place = f"{where}: layer/{layer.index}"
            if not layer.computes:
                layer.check(place, error)
                continue
            rule = f"have {before} inputs, as many as the layer before it has outputs"
            require(before in (None, layer.inputs), place, rule, layer.inputs, error=error)
            last = layer is self.active[-1]
            require(layer.spiking or last, place, "be the last layer, because its output is not spikes", layer.kind, error=error)
            layer.check(place, error)
            before = layer.size
        self.check_delay_lines(where, error)
        if self.usual is not None:
            self.usual.check(f"{where}: usual", self.active[0].size, error)
        self.check_classes(where, error)
        steps = sorted(set(self._network_steps))
        require(len(steps) <= 1, f"{where}: neuron/dt", "be equal in all layers", steps, error=error)

    def arriving(self, frames: np.ndarray) -> np.ndarray:
        """Frames (..., T, C) as they arrive at the first layer that computes: behind the delay lines, where there are some."""
        return frames if self.delay_lines is None else on_lines(frames, self.delay_lines.own_delay)

    @property
    def outputs(self) -> int:
        """Number of output channels."""
        return self._computing()[-1].size

    @property
    def dt(self) -> float | None:
        """Network step [s]; None where no layer states one (lava-dl's files)."""
        return next(iter(self._network_steps), None)

    @property
    def _network_steps(self) -> list[float]:
        """Network step [s] of each layer that states one."""
        return [layer.neuron.step.dt for layer in self.layers if isinstance(layer.neuron, M1T1RNeuron)]

    @property
    def stated_dt(self) -> float:
        """``dt`` of a network that states it; others are refused."""
        kinds = [layer.kind for layer in self.active]
        return given(self.dt, self.source or "network", "have a layer of 1M1T1R neurons, which states the network step", kinds)

    @property
    def spiking(self) -> bool:
        """Whether the output is spikes; otherwise weighted sums, group sums or voltages, as integers."""
        return self._computing()[-1].spiking

    def head(self, layers: int | None) -> NetDescription:
        """The network of the first ``layers`` layers that compute something, or of all of them for None."""
        count = len(self.active) if layers is None else whole(layers, "layers", least=1)
        if count >= len(self.active):
            return self
        last = self.active[count - 1].index
        return self.replace(layers=tuple(layer for layer in self.layers if layer.index <= last), classes=())


def check_network(net: Any, field: str = "network") -> None:
    """Refuse what is no NetDescription."""
    require(isinstance(net, NetDescription), field, "be a NetDescription", net, "Read it from a file with netx.schema.read.")


def check_frames(frames: Any, net: NetDescription) -> np.ndarray:
    """Frames as (B, T, C) uint8 or int16, contiguous; an InputError names what does not fit, or that a sum may leave 32 bits."""
    channels = net.inputs
    frames = array_of(frames, "frames", "hold numbers: whole spike counts (B, T, C)")
    cure = ""
    if frames.ndim == 5:
        blocks, cells = "Images (B, C, H, W, T): frames.reshape(B, C * H * W, T).transpose(0, 2, 1).", int(np.prod(frames.shape[2:]))
        cure = "Images (B, T, C, H, W): frames.reshape(B, T, C * H * W)." if cells == channels else blocks
    require(frames.ndim == 3, "frames", "have shape (B, T, C): samples, steps, channels", frames.shape, cure)
    cure = "Time is in the middle here; blocks have it last: transpose(0, 2, 1)." if frames.shape[1] == channels else ""
    require(frames.shape[2] == channels, "frames", f"have {channels} channels, as the network's input", frames.shape, cure)
    require(min(frames.shape) > 0, "frames", "hold at least one sample and one step", frames.shape)
    if frames.dtype == np.bool_ or frames.dtype == np.uint8:
        frames = np.ascontiguousarray(frames).view(np.uint8)
    else:
        most = frames.max()
        if frames.dtype.kind not in "iu" or frames.min() < 0 or most > MAX_COUNT:  # of other integers nothing else need be asked
            good = (frames >= 0) & (frames <= MAX_COUNT) & (frames == np.rint(frames))
            require(np.all(good), "frames", f"hold whole spike counts from 0 to {MAX_COUNT}", frames[~good][:1])
        frames = np.ascontiguousarray(frames, np.uint8 if most < 256 else np.int16)
    check_sums(frames, net.first_sums)
    return frames


def check_sums(counts: np.ndarray, bounds: SumBounds) -> None:
    """Refuse counts (..., C) that may take a weighted sum within ``bounds`` out of 32 bits."""
    if bounds.reach(np.iinfo(counts.dtype).max, np.inf) > LARGEST_SUM:  # hardly ever, so that counts are not even looked at
        bounds.check(int(counts.max()), int(counts.sum(axis=-1, dtype=np.int64).max()))
