"""Blocks whose neurons are driven by weighted spikes: Dense and Recurrent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from lava.lib.dl.slayer.block import base

from ...delay_lines import check_delays
from ...errors import array_of, require
from ...keys import write_layer
from ...params import DeviceParams
from ...presets import ZHAO2025_FIG2
from ...program import StepParams
from .. import synapse
from ..delay import Delay
from ..exact import eager
from ..neuron.m1t1r import Neuron
from ..quantise import bias_counts, counts_for_file, quantise_8bit, quantise_bias, quantised_weight
from .base import Block, check_mask, checked

START_VOLTAGE = 0.78
"""Mean input voltage of a fresh layer of the device of Fig. 2 [V]: a little below the least that turns it on within 20 ms (0.82 V). See
:func:`start_voltage` for other devices."""
SPREAD_VOLTAGE = 0.08
"""Standard deviation of the input voltage of a fresh layer with a bias, over neurons and time [V]; without, weights have a mean, which
spikes that come by chance add to it."""
INPUT_RATE, RECURRENT_RATE = 0.05, 0.1
"""Spikes per step and channel, of the input and of the recurrence, that the weights of a fresh layer are made for [1]."""
_LARGEST_START = 2.0  # mean weight: 8 bits end at 4


def start_voltage(step: StepParams, volt: float = START_VOLTAGE) -> float:
    """Input voltage of a fresh layer [V]: ``volt``, scaled from the turn-on of Fig. 2's device to that of another.

    Devices turn on sooner, at a higher voltage, or later, with the help of the residue: the geometric mean of the two voltages
    (:attr:`.DeviceParams.turn_on_voltages`) served six devices best, from 0.26 to 1.8 V, on a task of a few hundred samples.
    """

    def middle(device: DeviceParams) -> float:
        in_the_long_run, at_once = device.turn_on_voltages
        return float(np.median(np.sqrt(np.multiply(in_the_long_run, at_once))))

    return volt / START_VOLTAGE * min(START_VOLTAGE * middle(step.device) / middle(ZHAO2025_FIG2), step.v_in_max)


class Driven(Block):
    """A block whose neurons are driven by weighted spikes."""

    neuron: Neuron

    def _set_neurons(self, neuron_params: dict, size: int, delays: int | None, bias: bool, volt: float = START_VOLTAGE) -> None:
        """Make the neurons, ``delays`` of their spikes (0: none; None: what the first call needs), and ``size`` constant inputs to learn.

        These start at ``volt``, for the device of Fig. 2, and at as much for another device.
        """
        self.neuron = Neuron(**neuron_params)
        self.neuron.learn_for(size)
        self.delay = None if delays == 0 else Delay(size=delays)
        self._start_volt = volt
        self.register_parameter("bias", torch.nn.Parameter(torch.empty(size)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start the block's own parameters anew: the bias. Synapses, learned devices and delays have methods of this name for theirs."""
        if self.bias is not None:
            step = self.neuron.nominal
            synapse.start(self, "bias", torch.full_like(self.bias, start_voltage(step, self._start_volt) / step.v_unit))

    def _start_weights(self, synapse_in: Any, in_neurons: int, weight_scale: float, rate: float, driven: bool = True) -> None:
        unit = self.neuron.nominal.v_unit
        active = max(rate * in_neurons, 1.0)
        mean = start_voltage(self.neuron.nominal) / unit / active if driven and self.bias is None else 0.0
        synapse_in.start_weights(weight_scale * SPREAD_VOLTAGE / unit / active**0.5, weight_scale * min(mean, _LARGEST_START))

    @property
    def quantised_bias(self) -> torch.Tensor | None:
        """Constant input in units of weight 1, multiples of 1/64; None without bias."""
        return None if self.bias is None else quantise_bias(self.bias)

    def _export(self, handle: Any, kind: str, shape: Sequence[int], weight: np.ndarray, **more: Any) -> None:
        """Write the layer with what the block has learned; ``more`` as :func:`...keys.write_layer` takes it."""
        self._check_export(handle)
        bias = None if self.bias is None else bias_counts(self.bias)
        delay = None if self.delay is None else self.delay.steps.cpu().numpy()
        write_layer(handle, kind, shape, weight=weight, bias=bias, delay=delay, neuron=self.neuron.device_params, **more)


class Dense(Driven, base.AbstractDense):
    """Layer of 1M1T1R neurons behind a dense synapse.

    Parameters
    ----------
    neuron_params : dict
        Arguments of :class:`..neuron.m1t1r.Neuron`.
    in_neurons, out_neurons : int
    weight_scale : float
        Factor on the initial weights, which put neurons into their active range.
    weight_norm : bool
    pre_hook_fx : callable, optional
        Quantisation of the weights; default: 8 bit.
    delay : bool
        Whether to learn axonal delays of the outgoing spikes, 0 to 62 steps.
    delay_shift : bool
        Whether the output comes one step late, as between Lava's Processes. Files have networks for which it is True.
    mask : bool (out, in), optional
        Synapses that exist; the weights of others count nowhere, and are in no file.
    count_log : bool
        Whether to return (output, mean rate).
    bias : bool
        Whether to learn a constant input of each neuron (key ``bias``, in counts of 1/64), which holds it below its turn-on. Without it the
        weights start with a positive mean.
    """

    def __init__(
        self,
        neuron_params: dict,
        in_neurons: int,
        out_neurons: int,
        weight_scale: float = 1,
        weight_norm: bool = False,
        pre_hook_fx: Callable | None = None,
        delay: bool = False,
        delay_shift: bool = True,
        mask: torch.Tensor | None = None,
        count_log: bool = False,
        bias: bool = True,
    ) -> None:
        flags = {"weight_norm": weight_norm, "delay": delay, "delay_shift": delay_shift, "count_log": count_log, "bias": bias}
        in_neurons, out_neurons = checked(neuron_params, in_neurons, out_neurons, weight_scale, pre_hook_fx, **flags)
        check_mask(mask, out_neurons, in_neurons)
        super().__init__(neuron_params, in_neurons, out_neurons, delay_shift=delay_shift, mask=mask, count_log=count_log)
        self._set_neurons(neuron_params, out_neurons, out_neurons if delay else 0, bias)
        self.neuron.nominal.fixed(out_neurons)  # another number of devices is an error here, not at the first call
        self.synapse = synapse.Dense(in_neurons, out_neurons, pre_hook_fx=pre_hook_fx or quantise_8bit)
        self._start_weights(self.synapse, in_neurons, weight_scale, INPUT_RATE)
        if weight_norm:
            self.synapse.enable_weight_norm()
        del self.synapse_params, self.neuron_params

    @eager
    def forward(self, x: torch.Tensor) -> Any:
        """(B, in, T) spikes -> (B, out, T) spikes."""
        w = quantised_weight(self.synapse, self.mask)
        return self._out(self.neuron.run(self._nct(x, w.shape[1]), w, self.quantised_bias, delay_shift=self.delay_shift))

    def export_hdf5(self, handle: Any) -> None:
        """Write the layer into an HDF5 group: type 'dense'."""
        weight = counts_for_file(self.synapse, self.mask)
        self._export(handle, "dense", weight.shape[:1], weight, inputs=weight.shape[1])


class Recurrent(Driven, base.AbstractRecurrent):
    """Layer of 1M1T1R neurons behind a dense synapse, with all-to-all recurrence: at step t neurons see their spikes of step t - 1.

    Starts from rest at each call unless ``neuron_params["persistent_state"]`` is set, and backpropagates through the
    recurrence and all three states of every neuron.

    Parameters
    ----------
    neuron_params, in_neurons, out_neurons, weight_scale, weight_norm, pre_hook_fx, delay, delay_shift, count_log, bias
        See :class:`Dense`.
    requires_grad : bool
        Whether the recurrent weights learn.
    delay_rec : int or (out_neurons,) int, optional
        Further steps that recurrent spikes of each neuron take, 0 to 62: key ``delayRec``.
    """

    def __init__(
        self,
        neuron_params: dict,
        in_neurons: int,
        out_neurons: int,
        weight_scale: float = 1,
        weight_norm: bool = False,
        pre_hook_fx: Callable | None = None,
        requires_grad: bool = True,
        delay: bool = False,
        delay_shift: bool = True,
        count_log: bool = False,
        bias: bool = True,
        delay_rec: Any = None,
    ) -> None:
        flags = {"weight_norm": weight_norm, "requires_grad": requires_grad, "delay": delay, "delay_shift": delay_shift}
        flags |= {"count_log": count_log, "bias": bias}
        in_neurons, out_neurons = checked(neuron_params, in_neurons, out_neurons, weight_scale, pre_hook_fx, **flags)
        torch.empty(out_neurons, out_neurons)  # a matrix larger than all memory is refused here, before smaller parts fill it
        super().__init__(dict(neuron_params), in_neurons, out_neurons, delay_shift=delay_shift, count_log=count_log)
        del self.bias, self.spike_state, self.persistent_state  # lava-dl's own bookkeeping
        self._set_neurons(neuron_params, out_neurons, out_neurons if delay else 0, bias)
        self.neuron.nominal.fixed(out_neurons)
        hook = pre_hook_fx or quantise_8bit
        self.input_synapse = synapse.Dense(in_neurons, out_neurons, pre_hook_fx=hook)
        self.recurrent_synapse = synapse.Dense(out_neurons, out_neurons, pre_hook_fx=hook)
        self._start_weights(self.input_synapse, in_neurons, weight_scale, INPUT_RATE)
        self._start_weights(self.recurrent_synapse, out_neurons, 0.5 * weight_scale, RECURRENT_RATE, driven=False)
        if weight_norm:
            self.input_synapse.enable_weight_norm()
            self.recurrent_synapse.enable_weight_norm()
        self.recurrent_synapse.requires_grad_(requires_grad)  # after weight_norm, which makes parameters of its own
        steps = None
        if delay_rec is not None:
            rule = f"be one number, or one for each of {out_neurons} neurons"
            given = array_of(delay_rec, "delay_rec", rule)
            require(given.shape in ((), (out_neurons,)), "delay_rec", rule, delay_rec)
            steps = np.broadcast_to(given, (out_neurons,))
            check_delays(steps, "delay_rec")
        self.register_buffer("delay_rec", None if steps is None else torch.from_numpy(steps.astype(np.int64)))
        del self.synapse_params, self.recurrent_params, self.neuron_params

    @eager
    def forward(self, x: torch.Tensor) -> Any:
        """(B, in, T) spikes -> (B, out, T) spikes."""
        w, w_rec = quantised_weight(self.input_synapse), quantised_weight(self.recurrent_synapse)
        delays = None if self.delay_rec is None else self.delay_rec.cpu().numpy()
        if delays is not None:  # a state dict may have brought any
            check_delays(delays, "delay_rec")
            require(delays.shape == w.shape[:1], "delay_rec", f"hold one number for each of {w.shape[0]} neurons", delays.shape)
        return self._out(self.neuron.run(self._nct(x, w.shape[1]), w, self.quantised_bias, w_rec, delays, self.delay_shift))

    def export_hdf5(self, handle: Any) -> None:
        """Write the layer into an HDF5 group: type 'dense_rec'."""
        weight, delays = counts_for_file(self.input_synapse), None if self.delay_rec is None else self.delay_rec.cpu().numpy()
        more = {"inputs": weight.shape[1], "weight_rec": counts_for_file(self.recurrent_synapse), "delay_rec": delays}
        self._export(handle, "dense_rec", weight.shape[:1], weight, **more)
