"""Blocks for images, (B, C, H, W, T): Conv and Pool.

>>> from lava_1m1t1r import presets
>>> from lava_1m1t1r.netx.hdf5 import predict
>>> from lava_1m1t1r.recipes.network import Network
>>> from lava_1m1t1r.slayer import block
>>> neuron = {"params": presets.ZHAO2025_FIG2, "dt": 1e-3}
>>> conv, pool = block.m1t1r.Conv(neuron, 2, 8, kernel_size=5, stride=2), block.m1t1r.Pool(neuron, 2)  # 16 x 16 -> 6 x 6 -> 3 x 3
>>> net = Network([conv, pool, block.m1t1r.Flatten(), block.m1t1r.Affine(None, 8 * 3 * 3, 10)])
>>> x = (torch.rand(3, 2, 16, 16, 100) < 0.1).float()  # two polarities of an event camera
>>> net(x).shape
torch.Size([3, 10, 100])
>>> net.export("images.net")
>>> predict("images.net", x.flatten(1, 3).transpose(1, 2).int().numpy()).shape
(3, 100, 10)

From the events of such a camera, times t [s], columns and rows, polarities p of 0 or 1:

>>> import numpy as np
>>> from lava_1m1t1r.datasets import EventSet, frames
>>> t, column, row, p = np.array([0.001, 0.003]), np.array([3, 15]), np.array([0, 2]), np.array([0, 1])
>>> events = EventSet.from_utterances([(t, (p * 16 + row) * 16 + column)], labels=[4], speakers=[0], n_channels=2 * 16 * 16)
>>> images = torch.from_numpy(frames(events, dt=1e-3, n_steps=100)).float().transpose(1, 2).unflatten(1, (2, 16, 16))
>>> images.nonzero().tolist()  # utterance, polarity, row, column, step
[[0, 0, 0, 3, 1], [0, 1, 2, 15, 3]]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lava.lib.dl.slayer.block import base

from ...arithmetic import WEIGHT_ONE
from ...convolution import Convolution, pair, pooling
from ...errors import given, require, whole
from ...sums import EVEN_WEIGHTS
from .. import synapse
from ..checks import check_counts, check_sums, check_tensor
from ..exact import eager, exactly, summed_in, wide
from ..quantise import counts_for_file, quantise_8bit, quantised_weight
from .base import checked
from .driven import INPUT_RATE, Driven, start_voltage

HELD_VOLTAGE = 0.6
"""Constant input of a fresh pooling [V]: a little below the least that turns a device on within seconds (0.64 V, Fig. 2)."""
_LARGEST_WEIGHT = EVEN_WEIGHTS[1] / WEIGHT_ONE


class _Image(Driven):
    """Base of Conv and Pool: weighted sums by torch, which are exact whole counts, then the neurons."""

    conv: Convolution | None

    def _sizes(self, inputs: tuple[int, int, int]) -> Convolution:
        """Sizes of the operation for inputs (C, H, W)."""
        raise NotImplementedError

    @eager
    def forward(self, x: torch.Tensor) -> Any:
        """(B, C, H, W, T) spikes -> (B, features, H, W, T) spikes."""
        name = f"{type(self).__name__} input"
        cure = "Blocks of images take (batch, channel, height, width, time)."
        check_tensor(x, name)
        require(x.dim() == 5, name, "have shape (B, C, H, W, T)", tuple(x.shape), cure)
        largest = check_counts(x, name)
        conv = self._sizes(tuple(x.shape[1:4]))
        w = self._kernels(conv)
        check_sums(*largest, w.flatten(1))
        z = weighted(x, w.to(summed_in(largest[0], w)), conv)
        bias = self.quantised_bias
        if bias is not None:
            z = z + bias.to(z.dtype).reshape(1, -1, 1, 1, 1)
        self.conv = conv
        out = self.neuron.run(z.flatten(1, 3), delay_shift=self.delay_shift)
        self.neuron.shape = torch.Size(conv.shape)
        y = out.to(wide(w).dtype).transpose(1, 2).unflatten(1, conv.shape)
        if self.delay is not None:  # one a feature, as lava-dl's
            y = y.flatten(2, 3).transpose(1, 2)
            y = self.delay(y.flatten(0, 1)).reshape(y.shape).transpose(1, 2).unflatten(2, conv.shape[1:])
        return self._counted(y)

    def _kernels(self, conv: Convolution) -> torch.Tensor:
        """Quantised weights (O, C / groups, kernel height, kernel width)."""
        shape = self.synapse.weight.shape[:-1]  # first: behind a spectral norm in training, each look at a weight changes it
        return quantised_weight(self.synapse).reshape(shape).expand(conv.weight_shape)

    @property
    def shape(self) -> torch.Size:
        """(features, H, W) of the output; known once the block has run."""
        return torch.Size(self._known().shape)

    def _known(self) -> Convolution:
        cure = "Run the block once: its input tells the size of the image."
        return given(self.conv, f"{type(self).__name__}.shape", "be known", cure=cure)

    def _export_image(self, handle: Any, kind: str) -> None:
        conv = self._known()
        shape = self.synapse.weight.shape[:-1]  # first, as in _kernels
        self._export(handle, kind, conv.shape, counts_for_file(self.synapse).reshape(shape), conv=conv)


class Conv(_Image, base.AbstractConv):
    """Layer of 1M1T1R neurons behind a convolution.

    Parameters
    ----------
    neuron_params : dict
        Arguments of :class:`..neuron.m1t1r.Neuron`. Devices that differ are arrays of all neurons, flat in the order (features, H, W).
    in_features, out_features : int
    kernel_size, stride, padding, dilation : int or (int, int)
        (height, width).
    groups : int
    weight_scale, weight_norm, pre_hook_fx, delay_shift, count_log
        See :class:`Dense`.
    delay : bool
        Whether to learn axonal delays of the outgoing spikes, 0 to 62 steps, one a feature.
    bias : bool
        Whether to learn a constant input, one a feature; see :class:`Dense`.
    """

    def __init__(
        self,
        neuron_params: dict,
        in_features: int,
        out_features: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        weight_scale: float = 1,
        weight_norm: bool = False,
        pre_hook_fx: Callable | None = None,
        delay: bool = False,
        delay_shift: bool = True,
        count_log: bool = False,
        bias: bool = True,
    ) -> None:
        flags = {"weight_norm": weight_norm, "delay": delay, "delay_shift": delay_shift, "count_log": count_log, "bias": bias}
        in_features, out_features = checked(neuron_params, in_features, out_features, weight_scale, pre_hook_fx, **flags)
        sizes = _pairs(kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation)
        kernel, stride, padding, dilation = sizes
        height, width = (d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
        Convolution(
            (in_features, max(height, 1), max(width, 1)), out_features, kernel, stride, padding, dilation, groups
        )  # refuses what can never work
        super().__init__(neuron_params, in_features, out_features, *sizes, groups, delay_shift=delay_shift, count_log=count_log)
        self._set_neurons(neuron_params, out_features, out_features if delay else 0, bias)
        hook = pre_hook_fx or quantise_8bit
        self.synapse = synapse.Conv(in_features, out_features, *sizes, groups, pre_hook_fx=hook)
        self._start_weights(self.synapse, int(np.prod(kernel)) * in_features // groups, weight_scale, INPUT_RATE)
        if weight_norm:
            self.synapse.enable_weight_norm()
        self.conv = None
        del self.synapse_params, self.neuron_params

    def _sizes(self, inputs: tuple[int, int, int]) -> Convolution:
        s = self.synapse
        require(inputs[0] == s.in_channels, "Conv input", f"have {s.in_channels} channels", inputs, "Take (B, C, H, W, T).")
        kernel, stride, padding, dilation = (v[:2] for v in (s.kernel_size, s.stride, s.padding, s.dilation))
        return Convolution(inputs, s.out_channels, kernel, stride, padding, dilation, s.groups)

    def export_hdf5(self, handle: Any) -> None:
        """Write the layer into an HDF5 group: type 'conv'."""
        self._export_image(handle, "conv")


class Pool(_Image, base.AbstractPool):
    """Layer of 1M1T1R neurons that each sum a window of one channel, with one fixed weight.

    Parameters
    ----------
    neuron_params
        See :class:`Conv`.
    kernel_size, stride, padding, dilation : int or (int, int)
        (height, width); stride None: the kernel's size. Odd sizes are filled up, see :func:`..convolution.pooling`.
    weight_scale : float
        Factor on the largest input that a neuron takes beyond its first bias; the weight ends at what 8 bits hold. At 1, with bias, one
        spike in the window makes a neuron of the device of Fig. 2 fire once. Slower devices want more spikes at a time.
    weight_norm
        Only False: the weight is fixed.
    pre_hook_fx, delay, delay_shift, count_log
        See :class:`Conv`.
    bias : bool
        Whether to learn one constant input for all neurons; it starts at :data:`HELD_VOLTAGE`.
    features : int, optional
        Number of channels, for which ``delay`` draws its delays at once. None: the first call does, which must then come before the block
        is handed to DistributedDataParallel, an optimiser that keeps sizes, or an average of weights.
    """

    def __init__(
        self,
        neuron_params: dict,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        weight_scale: float = 1,
        weight_norm: bool = False,
        pre_hook_fx: Callable | None = None,
        delay: bool = False,
        delay_shift: bool = True,
        count_log: bool = False,
        bias: bool = True,
        features: int | None = None,
    ) -> None:
        flags = {"weight_norm": weight_norm, "delay": delay, "delay_shift": delay_shift, "count_log": count_log, "bias": bias}
        checked(neuron_params, 1, 1, weight_scale, pre_hook_fx, **flags)
        features = None if features is None else whole(features, "Pool.features", least=1)
        require(not weight_norm, "Pool.weight_norm", "be False", weight_norm, "The weight of a pooling does not learn.")
        kernel, stride, *others = _pairs(
            kernel_size=kernel_size, stride=kernel_size if stride is None else stride, padding=padding, dilation=dilation
        )
        pooling((1, *(max(k, 1) for k in kernel)), kernel, stride, others[0])  # refuses what can never work
        super().__init__(dict(neuron_params), kernel, stride, *others, delay_shift=delay_shift, count_log=count_log)
        self._set_neurons(neuron_params, 1, features if delay else 0, bias, HELD_VOLTAGE)
        step = self.neuron.nominal
        held = start_voltage(step, HELD_VOLTAGE) if bias else 0.0
        one = (step.v_in_max - held) / step.v_unit
        weight = min(weight_scale * one, _LARGEST_WEIGHT)
        self.synapse = synapse.Pool(kernel, stride, *others, weight, pre_hook_fx=pre_hook_fx or quantise_8bit)
        self.synapse.start = 0.0, weight
        self.conv = None
        del self.synapse_params, self.neuron_params

    def _sizes(self, inputs: tuple[int, int, int]) -> Convolution:
        s = self.synapse
        return pooling(inputs, *(v[:2] for v in (s.kernel_size, s.stride, s.padding, s.dilation)))

    def export_hdf5(self, handle: Any) -> None:
        """Write the layer into an HDF5 group: type 'pool'."""
        self._export_image(handle, "pool")


def weighted(x: torch.Tensor, w: torch.Tensor, conv: Convolution) -> torch.Tensor:
    """Weighted sums (B, O, H, W, T) of spikes (B, C, H, W, T) by a convolution of each step, in the weights' own precision."""
    batch, steps, w = x.shape[0], x.shape[4], wide(w)
    images = x.permute(0, 4, 1, 2, 3).flatten(0, 1).to(w.dtype)
    if any(conv.margin):
        images = F.pad(images, (0, conv.margin[1], 0, conv.margin[0]))
    with exactly(x.device.type):
        z = F.conv2d(images, w, None, conv.stride, conv.padding, conv.dilation, conv.groups)
    return z.reshape(batch, steps, *conv.shape).permute(0, 2, 3, 4, 1)


def _pairs(**values: Any) -> list[tuple[int, int]]:
    return [pair(value, name) for name, value in values.items()]
