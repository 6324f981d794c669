"""A trained network as plain data: the content of a ``.net`` file, in frozen dataclasses. Needs neither Lava nor torch.

Its layers and their neurons are those of :mod:`.layers`; ``Layer``, ``M1T1RNeuron`` and ``CubaNeuron`` can be imported from here, too.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ._support.names import check_name, composed
from .delay_lines import DELAY_LINES, on_lines
from .errors import InputError, array_of, given, is_whole, require, whole
from .layers import DELAYS, CubaNeuron, Layer, M1T1RNeuron, check_array
from .noise import MOST_LAYERS
from .params import ByValue
from .sums import LARGEST_SUM, MAX_COUNT, SumBounds


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
        real = isinstance(spikes, np.ndarray) and spikes.dtype.kind in "fiu" and not np.ma.is_masked(spikes)
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
        names = tuple(composed(name) if isinstance(name, str) else name for name in (() if self.classes is None else self.classes))
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
            check_array(layer.delay, f"{place} delay", (layer.size,), DELAYS, error)

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

    def digest(self, biases: bool = True) -> str:
        """What tells networks apart by what they have learned: a hash of weights, delays, devices and biases; without ``biases``, an
        adapted network's is that of the network that was adapted."""
        hashed = hashlib.blake2b(digest_size=4)
        for layer in self.active:
            late = None if layer.weight_rec is None else layer.delay_rec  # without recurrent weights it delays nothing
            for values in (layer.weight, layer.weight_rec, layer.bias if biases else None, layer.delay, late):
                hashed.update(b"" if values is None else np.ascontiguousarray(values, np.int64).tobytes())
            if layer.step is not None:
                for values in layer.step.device.as_dict().values():
                    hashed.update(np.ascontiguousarray(values, np.float64).tobytes())
        return hashed.hexdigest()

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
        frames = np.ascontiguousarray(frames, np.uint8)  # no view: the bytes of a mask of 0 and 255 that is seen as bools would be counts
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
