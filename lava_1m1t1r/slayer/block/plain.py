"""Blocks without neurons, or with neurons that are driven directly by values: Input, Affine, Average, Flatten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from lava.lib.dl.slayer.block import base

from ...errors import flag, number, require, whole
from ...keys import write_layer
from ...noise import MOST_NEURONS
from .. import synapse
from ..checks import check_parameters, check_tensor
from ..exact import eager, real, wide
from ..layer import readout
from ..neuron.m1t1r import Neuron
from ..quantise import bias_counts, counts_for_file, quantise_8bit, quantise_bias, quantised_weight
from .base import Block, check_mask, checked


class Affine(Block, base.AbstractAffine):
    """Readout without neurons: the weighted sum of each step's spikes, in units of weight 1 (exact multiples of 1/64).

    No shift and no delay: the value at step t is ``W x[t]``, as with lava-dl's Affine. The class is the argmax of the sum
    over time. Exported as type 'affine'.

    Parameters
    ----------
    neuron_params : dict, optional
        Accepted for lava-dl's order of arguments; not used.
    in_neurons, out_neurons, weight_scale, weight_norm, pre_hook_fx, mask, count_log
        See :class:`Dense`. The count of ``count_log`` is None.
    dynamics : bool
        Only False: a memristive neuron has no state without its transistor.
    """

    def __init__(
        self,
        neuron_params: dict | None,
        in_neurons: int,
        out_neurons: int,
        weight_scale: float = 1,
        weight_norm: bool = False,
        pre_hook_fx: Callable | None = None,
        dynamics: bool = False,
        mask: torch.Tensor | None = None,
        count_log: bool = False,
    ) -> None:
        flags = {"weight_norm": weight_norm, "count_log": count_log}
        in_neurons, out_neurons = checked({}, in_neurons, out_neurons, weight_scale, pre_hook_fx, **flags)
        check_mask(mask, out_neurons, in_neurons)
        require(dynamics is False, "Affine.dynamics", "be False", dynamics, "Use Dense for neurons.")
        super().__init__(neuron_params, in_neurons, out_neurons, dynamics=False, mask=mask, count_log=count_log)
        hook = pre_hook_fx or quantise_8bit
        self.synapse = synapse.Dense(in_neurons, out_neurons, pre_hook_fx=hook)
        self.synapse.start_weights(weight_scale / in_neurons**0.5)
        if weight_norm:
            self.synapse.enable_weight_norm()
        del self.synapse_params, self.neuron_params

    @eager
    def forward(self, x: torch.Tensor) -> Any:
        """(B, in, T) spikes -> (B, out, T) weighted sums."""
        w = quantised_weight(self.synapse, self.mask)
        y = readout(self._nct(x, w.shape[1]), w)
        return (y, None) if self.count_log else y

    @property
    def shape(self) -> torch.Size:
        """Shape of the output without time."""
        return torch.Size([self.synapse.out_channels])

    def export_hdf5(self, handle: Any) -> None:
        """Write the layer into an HDF5 group: type 'affine', without neuron."""
        check_parameters(self, handle.name)
        weight = counts_for_file(self.synapse, self.mask)
        write_layer(handle, "affine", self.shape, inputs=weight.shape[1], weight=weight)


class Input(Block, base.AbstractInput):
    """Input block: passes spikes on, or encodes values by 1M1T1R neurons.

    Parameters
    ----------
    neuron_params : dict, optional
        Arguments of the neuron; None: no neurons.
    weight, bias : float, optional
        Learnable factor (8 bits, as all weights) and constant (13 bits, as all biases) on the input before the neurons, in units of
        weight 1. The input itself is not quantised: it is what files take as counts, and their product is rounded to 1/64.
    delay_shift : bool
        Whether the neurons' spikes come one step late. Without neurons nothing does, as in the network that is exported (lava-dl's own
        block is late then, too, and its netx is not).
    count_log : bool
        See :class:`Dense`.
    """

    def __init__(
        self,
        neuron_params: dict | None = None,
        weight: float | None = None,
        bias: float | None = None,
        delay_shift: bool = True,
        count_log: bool = False,
    ) -> None:
        if neuron_params is not None:
            checked(neuron_params, 1, 1)
        for name, value in (("weight", weight), ("bias", bias)):
            if value is not None:
                number(value, f"Input.{name}")
                require(neuron_params is not None, f"Input.{name}", "be None without neurons, which spikes only pass", value)
        super().__init__(neuron_params, weight=weight, bias=bias, delay_shift=delay_shift, count_log=count_log)
        self.neuron = None if neuron_params is None else Neuron(**neuron_params)
        if self.neuron is not None:
            self.neuron.learn_for(1)
        self.pre_hook_fx = quantise_8bit  # also where nothing is weighed: lava-dl's own is a lambda, which cannot be pickled
        del self.neuron_params

    @property
    def computes(self) -> bool:
        """Whether the block computes something (as :attr:`.layers.Layer.computes`); without neurons it passes spikes on."""
        return self.neuron is not None

    @eager
    def forward(self, x: torch.Tensor) -> Any:
        """(B, N, T) or (B, C, H, W, T) values or spikes -> spikes of the same shape."""
        check_tensor(x, "Input input")
        require(x.dim() >= 3, "Input input", "have shape (B, N, T) or (B, C, H, W, T)", tuple(x.shape))
        self.input_shape = x.shape[1:-1]
        if self.neuron is None:
            return self._counted(x)
        z = wide(real(x))
        z = z if self.weight is None else z * self.pre_hook_fx(self.weight)
        z = z if self.bias is None else z + quantise_bias(self.bias)
        out = self._out(self.neuron.run(z.flatten(1, -2), delay_shift=self.delay_shift))
        self.neuron.shape = self.input_shape
        return (out[0].reshape(z.shape), out[1]) if self.count_log else out.reshape(z.shape)

    def export_hdf5(self, handle: Any) -> None:
        """Write the layer into an HDF5 group: type 'input'."""
        self._check_export(handle)
        _require_shape(self.input_shape, "Input")
        if self.neuron is None:
            write_layer(handle, "input", self.input_shape)
            return
        weight = None if self.weight is None else self.pre_hook_fx(self.weight, descale=True).detach().double().cpu().numpy()
        bias = None if self.bias is None else bias_counts(self.bias)
        write_layer(handle, "input", self.input_shape, weight=weight, bias=bias, neuron=self.neuron.device_params)


class Average(base.AbstractAverage):
    """Mean over groups of neurons, as lava-dl's: (B, N, T) -> (B, num_outputs, T).

    Parameters
    ----------
    num_outputs : int
        Number of groups.
    count_log : bool
        See :class:`Dense`. The count is None.
    """

    group = 0
    """Number of neurons in a group; 0 before the block has run."""

    def __init__(self, num_outputs: int, count_log: bool = False) -> None:
        super().__init__(whole(num_outputs, "Average.num_outputs", least=1, most=MOST_NEURONS), flag(count_log, "Average.count_log"))

    def extra_repr(self) -> str:
        """Text that tells it from others."""
        return f"num_outputs={self.num_outputs}, count_log={self.count_log}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N, T) -> (B, num_outputs, T)."""
        check_tensor(x, "Average input")
        fits = x.dim() == 3 and x.shape[1] % self.num_outputs == 0
        require(fits, "Average input", f"have shape (B, N, T), N a multiple of {self.num_outputs}", tuple(x.shape))
        self.group = x.shape[1] // self.num_outputs
        y = real(x).unflatten(1, (self.num_outputs, self.group)).mean(2)
        return (y, None) if self.count_log else y

    def export_hdf5(self, handle: Any) -> None:
        """Write the layer into an HDF5 group: type 'average'."""
        write_layer(handle, "average", (self.num_outputs,))


class Flatten(base.AbstractFlatten):
    """(B, C, H, W, T) -> (B, C * H * W, T), as lava-dl's."""

    computes = False
    """Whether the block computes something (as :attr:`.layers.Layer.computes`)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W, T) -> (B, C * H * W, T)."""
        check_tensor(x, "Flatten input")
        require(x.dim() == 5, "Flatten input", "have shape (B, C, H, W, T)", tuple(x.shape))
        self.shape = [int(np.prod(x.shape[1:4])), 1, 1]
        y = x.flatten(1, 3)
        return (y, None) if self.count_log else y

    def export_hdf5(self, handle: Any) -> None:
        """Write the layer into an HDF5 group: type 'flatten'."""
        _require_shape(self.shape, "Flatten")
        write_layer(handle, "flatten", self.shape)


def _require_shape(shape: Any, name: str) -> None:
    require(shape is not None, f"{name}.shape", "be known", None, "Run the block once: its input tells its size.")
