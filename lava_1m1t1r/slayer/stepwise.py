"""Train any neuron whose equations are written once for any number system: integers forward, the same lines in real numbers backward.

The 1M1T1R neuron has a compiled layer and a hand-written backward step (:mod:`.layer`, :mod:`.reverse`). A new neuron can be trained
without them: :class:`StepwiseNeuron` runs its fixed-point step, and at every step torch differentiates its floating-point step at the
integer states. This is slower, but exact in the same sense: forward values are those of the integers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from lava.lib.dl.slayer.neuron import base

from ..arithmetic import WEIGHT_ONE
from ..errors import InputError, require
from .checks import check_synaptic_input, check_tensor
from .exact import real, wide
from .quantise import quantise_8bit

_ONE_STEP = (
    "A StepwiseNeuron starts from rest at every call, and this one has a single step. If it is of a recurrence, give it all steps and the "
    "synapse: self.neuron(z, self.recurrent_synapse)."
)
_ROUNDED = (
    "{kind} holds 8 to 11 bits of a synaptic input, so that sums may have been rounded, and spikes be others than the integers'. Run the "
    "synapse in 32 bits, outside of autocast: torch.autocast(device, enabled=False)."
)
_NARROW = {torch.float16, torch.bfloat16}


class _Fire(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, fired: torch.Tensor, reach: torch.Tensor, tau: float, scale: float) -> torch.Tensor:
        ctx.save_for_backward(reach)
        ctx.tau, ctx.scale = tau, scale
        return fired.to(reach.dtype)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor):
        (reach,) = ctx.saved_tensors
        return None, grad * ctx.scale / (1.0 + (reach - 1.0).abs() / ctx.tau) ** 2, None, None


def with_slopes(value: torch.Tensor, *over: tuple[torch.Tensor, Any]) -> torch.Tensor:
    """Return ``value`` with the derivatives stated: for each (x, slope) the derivative over x is ``slope``, and all others are 0."""
    result = value.detach()
    for x, slope in over:
        slope = slope.detach() if isinstance(slope, torch.Tensor) else slope
        result = result + slope * (x - x.detach())
    return result


def _missing(neuron: StepwiseNeuron, method: str) -> NotImplementedError:
    """Build the error for a method that a subclass lacks. (torch's modules take no notice of abstract methods.)"""
    return NotImplementedError(f"{type(neuron).__name__} must define {method}(); see StepwiseNeuron.{method}.")


class StepwiseNeuron(base.Neuron):
    """A lava-dl neuron made of two steps. Subclass it and give :meth:`start`, :meth:`fixed_step`, :meth:`real_step`, :meth:`in_units`.

    Parameters
    ----------
    tau_grad : float
        Width of the spike's derivative around ``reach`` = 1 [1]. Larger: silent neurons learn sooner.
    scale_grad : float
        Height of the spike's derivative [1].
    real : torch.dtype
        Of the backward pass; float64 holds the integer states without rounding.
    """

    def __init__(self, tau_grad: float = 0.3, scale_grad: float = 1.0, real: torch.dtype = torch.float32) -> None:
        cure = "Give the subclass start, fixed_step, in_units and real_step."
        require(type(self) is not StepwiseNeuron, "StepwiseNeuron", "be subclassed", "StepwiseNeuron itself", cure)
        # lava-dl asks for a threshold and scales; weights are 8 bit in units of 1/64, as in the other layers.
        super().__init__(threshold=1.0, tau_grad=tau_grad, scale_grad=scale_grad, w_scale=WEIGHT_ONE, s_scale=WEIGHT_ONE << 6)
        self.surrogate = float(tau_grad), float(scale_grad)
        self.real = real

    def start(self, batch: int, size: int) -> tuple[torch.Tensor, ...]:
        """States at rest: int64 tensors (batch, size), as a NamedTuple."""
        raise _missing(self, "start")

    def fixed_step(self, state: tuple, counts: torch.Tensor) -> tuple[tuple, torch.Tensor]:
        """One network step in integers: state, synaptic input (B, N) in 1/64 units -> state, fired (B, N) bool."""
        raise _missing(self, "fixed_step")

    def in_units(self, state: tuple) -> tuple[torch.Tensor, ...]:
        """The integer state as real tensors in the units of :meth:`real_step`."""
        raise _missing(self, "in_units")

    def real_step(self, state: tuple, units: torch.Tensor) -> tuple[tuple, torch.Tensor]:
        """Run one network step in real numbers, differentiable: state, input (B, N) in units of weight 1 -> state, reach (B, N).

        ``reach`` is 1 where the neuron is just about to fire; the spike's surrogate derivative is taken over it.
        """
        raise _missing(self, "real_step")

    @property
    def device_params(self) -> dict[str, Any]:
        """What lava-dl's blocks write of their neurons into a file: refused, for files hold no neurons but 1M1T1R and CUBA ones."""
        cure = "Run it by its own Lava Process, with these weights; tutorial 08 compares the two."
        raise InputError(f"{type(self).__name__} must be a 1M1T1R or CUBA neuron to be written to a file, and is a StepwiseNeuron. {cure}")

    def quantize_8bit(self, weight: torch.Tensor, descale: bool = False) -> torch.Tensor:
        """See :func:`.quantise.quantise_8bit`."""
        return quantise_8bit(weight, descale)

    def forward(self, z: torch.Tensor, recurrent: Callable[[torch.Tensor], torch.Tensor] | None = None) -> torch.Tensor:
        """Spikes from synaptic input, every call from rest.

        Parameters
        ----------
        z : (B, N, T)
            Input in units of weight 1, rounded to 1/64.
        recurrent : module, optional
            Synapse of the layer's own spikes, (B, N, 1) -> (B, N, 1), which arrive a step later. lava-dl's ``AbstractRecurrent`` calls its
            neuron once a step, and so from rest each time: a block with recurrence calls ``self.neuron(z, self.recurrent_synapse)``.

        Returns
        -------
        (B, N, T)
        """
        check_tensor(z, "StepwiseNeuron input")
        cure = "Images go through flattened: z.flatten(1, -2)."
        require(z.dim() == 3, "StepwiseNeuron input", "have shape (B, N, T)", tuple(z.shape), cure)
        check_synaptic_input(z)
        kind, z = z.dtype, real(z)
        rounded = {kind} & _NARROW
        if z.shape[2] == 1:
            warnings.warn(_ONE_STEP, stacklevel=2)
        state, carried = self.start(z.shape[0], z.shape[1]), None
        spikes: list[torch.Tensor] = []
        for t in range(z.shape[2]):
            a_in = wide(z[:, :, t])  # 16 bits do not hold the counts
            if recurrent is not None and spikes:
                back = recurrent(spikes[-1][:, :, None].to(z.dtype))[:, :, 0]
                rounded |= {back.dtype} & _NARROW
                a_in = a_in + wide(back)
            if torch.is_grad_enabled():
                now = [x.to(self.real) for x in self.in_units(state)]
                if carried is not None:
                    # The integers' values, the real step's derivatives.
                    now = [x + (c - c.detach()) for x, c in zip(now, carried, strict=True)]
                carried, reach = self.real_step(type(state)(*now), a_in.to(self.real))
            else:
                reach = torch.ones_like(a_in)
            with torch.no_grad():
                state, fired = self.fixed_step(state, torch.round(a_in * WEIGHT_ONE).to(torch.int64))
            spikes.append(_Fire.apply(fired, reach, *self.surrogate))
        for narrow in rounded:
            warnings.warn(_ROUNDED.format(kind=narrow), stacklevel=2)
        self.shape, self.num_neurons = torch.Size([z.shape[1]]), z.shape[1]
        return torch.stack(spikes, 2).to(kind) if spikes else z.to(kind)
