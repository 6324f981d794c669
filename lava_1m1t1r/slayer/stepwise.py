"""Train any neuron whose equations are written once for any number system: integers forward, the same lines in real numbers backward.

The 1M1T1R neuron has a compiled layer and a hand-written backward step (:mod:`.layer`, :mod:`.reverse`). A new neuron can be trained
without them: :class:`StepwiseNeuron` runs its fixed-point step, and at every step torch differentiates its floating-point step at the
integer states. This is slower, but exact in the same sense: forward values are those of the integers.
"""

from __future__ import annotations

from typing import Any

import torch
from lava.lib.dl.slayer.neuron import base

from ..arithmetic import WEIGHT_ONE
from ..errors import require
from .quantise import quantise_8bit


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

    def quantize_8bit(self, weight: torch.Tensor, descale: bool = False) -> torch.Tensor:
        """See :func:`.quantise.quantise_8bit`."""
        return quantise_8bit(weight, descale)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Spikes from synaptic input (B, N, T) in units of weight 1, rounded to 1/64. Every call starts from rest."""
        counts = torch.round(z.detach() * WEIGHT_ONE).to(torch.int64)
        state, carried, spikes = self.start(z.shape[0], z.shape[1]), None, []
        for t in range(z.shape[2]):
            if torch.is_grad_enabled():
                now = [x.to(self.real) for x in self.in_units(state)]
                if carried is not None:
                    # The integers' values, the real step's derivatives.
                    now = [x + (c - c.detach()) for x, c in zip(now, carried, strict=True)]
                carried, reach = self.real_step(type(state)(*now), z[:, :, t].to(self.real))
            else:
                reach = torch.ones_like(z[:, :, t])
            with torch.no_grad():
                state, fired = self.fixed_step(state, counts[:, :, t])
            spikes.append(_Fire.apply(fired, reach, *self.surrogate))
        self.shape, self.num_neurons = torch.Size([z.shape[1]]), z.shape[1]
        return torch.stack(spikes, 2).to(z.dtype)
