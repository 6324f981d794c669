"""Networks from ``.net`` files as Lava Processes. Lava executes the files of this folder itself, so imports are absolute."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.proc.conv.process import Conv
from lava.proc.dense.process import Dense
from lava.proc.io.source import RingBuffer
from lava.proc.lif.process import LIF, LIFReset
from lava.proc.sparse.process import Sparse
from lava.utils.weightutils import SignMode
from scipy.sparse import csr_matrix, eye, kron

from lava_1m1t1r.arithmetic import WEIGHT_ONE
from lava_1m1t1r.convolution import Convolution
from lava_1m1t1r.description import NetDescription
from lava_1m1t1r.errors import require, whole
from lava_1m1t1r.layers import CubaNeuron, Layer, M1T1RNeuron
from lava_1m1t1r.netx.schema import described
from lava_1m1t1r.proc.m1t1r.process import M1T1R
from lava_1m1t1r.program import STEP_FIELDS
from lava_1m1t1r.sums import MAX_COUNT

NEVER = 1 << 62
"""Reset interval, in steps, of networks that are reset only once, where their first input arrives."""
LARGEST_BYTE = 127
"""Largest size that Lava's Conv can hold: it keeps sizes in 8 bits and pads alike on all sides. A Sparse does what it cannot."""
LAVA_WEIGHTS = (-256, 255)
"""Bounds of the weights that Lava's synapses hold as they are used here: even ones, or any with one bit more."""
FIRST_INPUT = 2
"""Number of the step in which the first input arrives: Lava's first step is 1, and a synapse passes its input on one step later."""


class Axon(AbstractProcess):
    """Delays spikes by each axon's own number of steps, and forgets them at a reset.

    Parameters
    ----------
    delay : (N,) int
        Steps, >= 0; 0 passes a spike on in the same step.
    channels : int, optional
        C, which divides N: axon n carries channel ``n mod C`` of the input, as delay lines do. Default: N, one axon a neuron.
    reset_interval, reset_offset : int or None, int
        As of :class:`M1T1R`.
    withholds : bool
        Whether nothing passes in the step before a reset: what neurons send then would reach the next sample.
    """

    def __init__(
        self,
        *,
        delay: np.ndarray,
        channels: int | None = None,
        reset_interval: int | None = None,
        reset_offset: int = FIRST_INPUT,
        withholds: bool = True,
    ) -> None:
        delay = np.asarray(delay, int)
        channels = delay.size if channels is None else channels
        resets = {"reset_interval": reset_interval, "reset_offset": reset_offset, "withholds": withholds}
        super().__init__(delay=delay, channels=channels, **resets)
        self.s_in = InPort(shape=(channels,))
        self.s_out = OutPort(shape=delay.shape)


class OneSender(InPort):
    """Port for one sender only: with several, Lava reorders all values by the first one's axes where a Conv follows."""

    def _add_inputs(self, inputs: list[Any]) -> None:
        alone = len(self.in_connections) + len(inputs) <= 1
        for sender in inputs if not alone else ():
            sender.out_connections.remove(self)  # Lava notes a connection at its sender first
        cure = "Add them up in one Process before it."
        require(alone, self.name, "have one sender, since a Conv follows", "another one", cure)
        super()._add_inputs(inputs)


class CubaLIF(LIF):
    """Lava's LIF with lava-dl's integers: in a run configuration without a tag, too, where Lava takes floating-point models."""


class CubaLIFReset(LIFReset):
    """:class:`CubaLIF` that is reset at an interval."""


class AbstractBlock(AbstractProcess):
    """One layer: synapse, neuron, and what they need.

    Attributes
    ----------
    inp, out : InPort, OutPort
        Spikes in; spikes (or, of a readout, weighted sums) out.
    synapse, synapse_rec : Dense, Sparse or Conv
        ``synapse_rec`` is None where there is no recurrence. A Conv's ports are (W, H, C), all others flat.
    neuron : M1T1R, CubaLIF, CubaLIFReset or None
        None for a readout.
    axon, axon_rec : Axon or None
        Delays of the outgoing and of the recurrent spikes.
    offset : RingBuffer or None
        Constant current of an input layer of CUBA neurons.
    """

    def __init__(self, *, layer: Layer, message_bits: int, reset_interval: int | None, reset_offset: int) -> None:
        super().__init__(layer=layer)
        self.layer = layer
        self.shape = (layer.size,)
        self.synapse = _synapse(layer, message_bits)
        self.synapse_rec = None if layer.weight_rec is None else _dense(layer.weight_rec, 0)
        interval = _interval(layer, reset_interval)
        self.neuron = _neuron(layer, interval, reset_offset)
        self.axon, self.axon_rec = _axons(layer, interval, reset_offset)
        self.offset = None
        if layer.kind == "input" and layer.bias is not None and isinstance(layer.neuron, CubaNeuron):
            self.offset = RingBuffer(data=layer.bias[:, None])  # LIF's own bias goes to the voltage
        self.inp = self.in_port((layer.inputs,))
        self.out = OutPort(shape=self.shape)
        self._wire()

    def in_port(self, shape: tuple[int, ...]) -> InPort:
        """Return a port that leads to the synapse."""
        return (OneSender if isinstance(self.synapse, Conv) else InPort)(shape=shape)

    def source(self) -> OutPort:
        """Return the port of the inner Process whose values ``out`` gives."""
        # A method: Lava takes every port that it finds in an attribute for this Process's own.
        if self.neuron is None:
            return self.synapse.a_out
        return self.neuron.s_out if self.axon is None else self.axon.s_out

    def _wire(self) -> None:
        if self.neuron is None:
            self.inp.connect(self.synapse.s_in)
        else:
            self._wire_neurons(self.neuron)
        self.source().connect(self.out)

    def _wire_neurons(self, neuron: AbstractProcess) -> None:
        conv = self.layer.conv
        if conv is not None and isinstance(self.synapse, Conv):
            self.inp.reshape(conv.inputs).transpose((2, 1, 0)).connect(self.synapse.s_in)
            self.synapse.a_out.transpose((2, 1, 0)).flatten().connect(neuron.a_in)
        else:
            self.inp.connect(self.synapse.s_in)
            self.synapse.a_out.connect(neuron.a_in)
        if self.offset is not None:
            self.offset.s_out.connect(neuron.a_in)
        if self.axon is not None:
            neuron.s_out.connect(self.axon.s_in)
        if self.synapse_rec is not None:
            sender = neuron.s_out
            if self.axon_rec is not None:
                neuron.s_out.connect(self.axon_rec.s_in)
                sender = self.axon_rec.s_out
            elif self.axon is not None and isinstance(self.layer.neuron, CubaNeuron) and self.layer.delay is None:
                sender = self.axon.s_out
            sender.connect(self.synapse_rec.s_in)
            self.synapse_rec.a_out.connect(neuron.a_in)


class Block(AbstractBlock):
    """A layer of 1M1T1R neurons, or a readout: runs under the tags ``fixed_pt`` and ``floating_pt``."""


class CubaBlock(AbstractBlock):
    """A layer of Lava's LIF neurons with lava-dl's integers: runs under the tag ``fixed_pt``, or none."""


class Network(AbstractProcess):
    """The network of a ``.net`` file as a Lava Process, of this library's layers and of those that lava-dl wrote.

    Each layer is a block with Lava's own Dense (Sparse, Conv) synapses, and M1T1R neurons or Lava's LIF. Spikes line up with
    training: ``out`` in the n-th step is the n-th frame of the output. A readout without neurons comes one step later. One with lava-dl's
    dynamics never spikes: its voltages are ``layers[-1].neuron.v``, and :func:`.predict` reads them from there. Under the run configuration
    ``FusedSimCfg(net)`` of :mod:`lava_1m1t1r.netx.fused`, all layers are one Process, with the same results.

    Lava itself keeps every Process that was built (and a log handler each) until the Python process ends, unless the runners of
    :mod:`lava_1m1t1r.run` or :func:`.predict` ran it: to look into many files, use :func:`lava_1m1t1r.netx.schema.read`, which builds none.

    Parameters
    ----------
    net_config : str, path or NetDescription
        The file, or what was read from it.
    num_layers : int, optional
        Number of layers to build, from the first one on; default: all.
    input_message_bits : int
        0 for spikes: whatever is not 0 is one, and those of several senders in a step are one, too; more for graded input (counts).
    reset_interval : int, optional
        Steps after which all layers go back to rest, without a trace of the sample before: samples of this length can be sent one after the
        other, and come out as :func:`.predict` has them. (lava-dl's netx lets the spikes that are on their way pass over.) None: no reset.
    reset_offset : int
        Number of steps by which the first sample begins late, at rest, whatever came before.
    sample_steps : int, optional
        Whole samples as messages: ``inp`` is (T, C) and ``out`` (T, C_out), one sample from rest in each step of Lava. Runs under
        ``FusedSimCfg(net)`` only.

    Attributes
    ----------
    inp, out : InPort, OutPort
        (C,) and (C_out,); images are flat, in the order (C, H, W). Any number of Processes may send to ``inp``, one where a Conv follows.
    layers : list of AbstractBlock
        Blocks with ``neuron`` and ``synapse``; readouts have no neuron.
    delay_lines : Axon or None
        What stands between ``inp`` and the first of them.
    net : NetDescription
    """

    _runtime = None  # Lava's __del__ asks for it, also when __init__ refused its arguments

    def __init__(
        self,
        net_config: Any,
        num_layers: int | None = None,
        input_message_bits: int = 0,
        reset_interval: int | None = None,
        reset_offset: int = 0,
        sample_steps: int | None = None,
        name: str | None = None,
    ) -> None:
        net = described(net_config)
        num_layers, reset_interval, sample_steps = (
            None if value is None else whole(value, f"Network.{field}", least=1)
            for field, value in (("num_layers", num_layers), ("reset_interval", reset_interval), ("sample_steps", sample_steps))
        )
        input_message_bits = whole(input_message_bits, "Network.input_message_bits")
        reset_offset = whole(reset_offset, "Network.reset_offset")
        net = net.head(num_layers)
        net.check()
        if sample_steps is None:
            _check_weights(net)
        super().__init__(
            net=net,
            input_message_bits=input_message_bits,
            reset_interval=reset_interval,
            reset_offset=reset_offset,
            sample_steps=sample_steps,
            name=name,
        )
        self.net = net
        self.fused = False
        self.sample_steps = sample_steps
        if reset_interval is None and reset_offset:
            reset_interval = NEVER
        self.layers: list[AbstractBlock] = []
        for i, layer in enumerate(net.active):
            kind = CubaBlock if isinstance(layer.neuron, CubaNeuron) else Block
            bits = input_message_bits if i == 0 else 0
            block = kind(layer=layer, message_bits=bits, reset_interval=reset_interval, reset_offset=FIRST_INPUT + reset_offset)
            self.layers.append(block)
        self.in_layer, self.out_layer = self.layers[0], self.layers[-1]
        self.delay_lines = None if net.delay_lines is None else _delay_lines(net.delay_lines, reset_interval, reset_offset)
        if self.delay_lines is not None:
            self.delay_lines.s_out.connect(self.in_layer.inp)
        rows = () if sample_steps is None else (sample_steps,)
        self.inp = self.in_layer.in_port((*rows, *self.entrance().shape))
        self.out = OutPort(shape=(*rows, *self.out_layer.out.shape))
        if sample_steps is None:
            self.inp.connect(self.entrance())
            self.out_layer.out.connect(self.out)
        for before, after in zip(self.layers, self.layers[1:], strict=False):
            before.out.connect(after.inp)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.net.sizes})"

    def __len__(self) -> int:
        """Number of layers that compute something."""
        return len(self.layers)

    def entrance(self) -> InPort:
        """Return the inner port that ``inp`` leads to. A method, as :meth:`AbstractBlock.source` is."""
        return self.in_layer.inp if self.delay_lines is None else self.delay_lines.s_in

    def fuse(self) -> None:
        """Take the layers out of the graph, for a ProcessModel that runs the whole network itself."""
        self.fused = True
        for outer, inner in ((self.inp, self.entrance()), (self.out_layer.out, self.out)):
            if inner in outer.out_connections:
                outer.out_connections.remove(inner)
                inner.in_connections.remove(outer)


def _check_weights(net: NetDescription) -> None:
    """Refuse weights that Lava's synapses would clip in silence; files hold no such."""
    low, high = LAVA_WEIGHTS
    for layer in net.active:
        for name, weight in (("weight", layer.summed), ("weight_rec", layer.weight_rec)):
            place = net.at(layer, name)
            bounds = (0, 0) if weight is None else (int(np.min(weight)), int(np.max(weight)))
            cure = "Quantise the weights as lava-dl does, or take backend='fast'."
            require(low <= bounds[0] and bounds[1] <= high, place, f"lie in {low}..{high} for Lava's synapses", bounds, cure)


def _delay_lines(lines: Layer, interval: int | None, offset: int) -> Axon:
    return Axon(
        delay=lines.own_delay,
        channels=lines.inputs,
        reset_interval=interval,
        reset_offset=FIRST_INPUT - 1 + offset,  # synapses hand on a step later, and neurons are reset then
        withholds=False,
    )


def _synapse(layer: Layer, message_bits: int) -> AbstractProcess:
    if layer.kind == "input":
        return _sparse(int(layer.own_weight[0]) * eye(layer.size, dtype=int), message_bits)
    if layer.kind == "average":
        group = np.ones((1, layer.inputs // layer.size), int)
        return _sparse(kron(eye(layer.size, dtype=int), group), message_bits)
    if layer.conv is not None:
        return _convolution(layer, layer.conv, message_bits)
    return _dense(layer.matrix(), message_bits)


def _bits(weights: Any) -> dict[str, Any]:
    # MIXED keeps weights of one sign as they are, -256 included; it cuts the last bit, unless told of one more bit than Loihi has.
    # (Loihi would hold odd weights with an exponent of -1, which Lava's floating-point models do not know.)
    odd = bool(np.any(np.asarray(weights) % 2))
    return {"sign_mode": SignMode.MIXED, "num_weight_bits": 9 if odd else 8, "weight_exp": 0}


def _dense(weights: np.ndarray, message_bits: int) -> Dense:
    return Dense(weights=weights, num_message_bits=message_bits, **_bits(weights))


def _sparse(weights: Any, message_bits: int) -> Sparse:
    weights = csr_matrix(weights)
    return Sparse(weights=weights, num_message_bits=message_bits, **_bits(weights.data))


def _convolution(layer: Layer, conv: Convolution, message_bits: int) -> AbstractProcess:
    # what a readout gives is flat, which the sums of a Conv are not; and these wrap at 24 bits, other synapses' do not
    wraps = layer.sums().reach(MAX_COUNT if message_bits else 1, np.inf) >= 1 << 23
    large = max(conv.groups, *conv.kernel, *conv.stride, *conv.padding, *conv.dilation) > LARGEST_BYTE
    if layer.neuron is None or wraps or large or any(conv.margin):
        return _sparse(conv.matrix(layer.own_weight), message_bits)
    # Lava's order is (features, W, H, channels), and it turns the kernel round.
    weight = np.ascontiguousarray(conv.full(layer.own_weight)[:, :, ::-1, ::-1].transpose(0, 3, 2, 1))
    sizes = {name: getattr(conv, name)[::-1] for name in ("stride", "padding", "dilation")}
    return Conv(weight=weight, input_shape=conv.inputs[::-1], groups=conv.groups, num_message_bits=message_bits, **sizes)


def _interval(layer: Layer, interval: int | None) -> int | None:
    """Steps between the resets of a layer: bias and noise act without input too, and must begin where the first input arrives."""
    return NEVER if interval is None and (layer.bias is not None or layer.noisy) else interval


def _neuron(layer: Layer, interval: int | None, offset: int) -> AbstractProcess | None:
    neuron = layer.neuron
    if isinstance(neuron, M1T1RNeuron):
        step = layer.m1t1r.step
        return M1T1R(
            shape=(layer.size,),
            params=step.device,
            **{name: getattr(step, name) for name in STEP_FIELDS},
            seed=neuron.seed,
            layer=layer.index,
            bias=0.0 if layer.bias is None else layer.bias / WEIGHT_ONE,
            a_in_scale=WEIGHT_ONE,
            reset_interval=interval,
            reset_offset=offset,
            drop_last=True,
        )
    if neuron is None:
        return None
    # int32, as on the fast path: Lava multiplies decays with int64, which makes floats of uint64
    current, voltage = (np.asarray(decay).astype(np.int32)[()] for decay in (neuron.current_decay, neuron.voltage_decay))
    params = {"du": current - 1, "dv": voltage, "vth": neuron.threshold, "bias_exp": 6}  # Loihi adds 1 to du
    if layer.bias is not None and layer.kind != "input":
        params["bias_mant"] = layer.bias
    if interval is None:
        return CubaLIF(shape=(layer.size,), **params)
    return CubaLIFReset(shape=(layer.size,), reset_interval=interval, reset_offset=offset, **params)


def _axons(layer: Layer, interval: int | None, offset: int) -> tuple[Axon | None, Axon | None]:
    """Axon of a layer; for CUBA neurons, which cannot withhold spikes, also what keeps one sample's spikes from the next."""
    if layer.neuron is None:
        return None, None
    cut = isinstance(layer.neuron, CubaNeuron) and interval is not None and layer.spiking
    out = rec = None
    if layer.delay is not None or cut:
        out = Axon(delay=layer.axonal_delays, reset_interval=interval, reset_offset=offset)
    if layer.delay_rec is not None or (cut and layer.weight_rec is not None and layer.delay is not None):
        rec = Axon(delay=layer.recurrent_delays, reset_interval=interval, reset_offset=offset)
    return out, rec
