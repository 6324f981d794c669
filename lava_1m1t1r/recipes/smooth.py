"""Input weights that change little from one channel to the next: neighbouring channels of the inner ear are similar."""

from __future__ import annotations

from typing import Any

import torch

from ..errors import require, whole
from ..slayer.exact import exactly
from ..slayer.synapse import shrink


class Smooth(torch.nn.Module):
    """Quantisation of a synapse's weights after smoothing by a Gaussian over its inputs: the optimiser changes the weights before
    smoothing.

    The network that results, its size and its file are like any other: whole 8-bit weights, only smoother ones. It becomes a part of the
    synapse, ``smooth``, whose deviation a state dict holds: a state dict with another deviation, or none, is refused, because its numbers
    mean other weights.

    Parameters
    ----------
    synapse : lava-dl's dense synapse
        Of a block with a bias, whose weights start with a mean of 0. They are scaled so that smoothed ones have the spread that they were
        drawn with.
    deviation : float
        Standard deviation of the Gaussian, in channels, > 0. It ends at the edges, where it is normalised to the channels that are left.
    lines : int
        Delay lines of a channel: the inputs are all channels of the first lines, then all of the second ones, ..., each smoothed alone.
    """

    def __init__(self, synapse: Any, deviation: float, lines: int = 1) -> None:
        super().__init__()
        self.quantise, self.deviation = synapse.pre_hook_fx, float(deviation)
        inputs = synapse.weight.shape[1]
        lines = whole(lines, "lines", least=1)
        require(inputs % lines == 0, "lines", f"divide the synapse's {inputs} inputs", lines)
        self.kernel = kernel(inputs // lines, deviation)  # no buffer: it must outlive the device "meta"
        middle = self.kernel[len(self.kernel) // 2]
        shrink(synapse, middle.norm())
        synapse.smooth, synapse.pre_hook_fx = self, self.forward

    def forward(self, weight: torch.Tensor, descale: bool = False) -> Any:
        """Quantised smooth weights; ``descale`` as lava-dl has it."""
        smooth = smoothed(weight, self.kernel.to(weight))
        return smooth if self.quantise is None else self.quantise(smooth, descale=descale)

    def get_extra_state(self) -> torch.Tensor:
        """State for state dicts: the deviation."""
        return torch.tensor(self.deviation, dtype=torch.float64, device="cpu")

    def set_extra_state(self, state: torch.Tensor) -> None:
        """Refuse the state dict of another deviation."""
        cure = "Make the network with the deviation of the saved one."
        require(float(state) == self.deviation, "smooth", f"be that of the state dict, {float(state):g}", self.deviation, cure)

    def extra_repr(self) -> str:
        """Text that tells it from others."""
        return f"deviation={self.deviation}"


def smoothed(weight: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Weights (N, K C, ...) behind a :func:`kernel` over their channels."""
    with exactly(weight.device.type):  # what is trained is what is exported
        return (weight.reshape(-1, len(kernel)) @ kernel.T).reshape(weight.shape)


def kernel(channels: int, deviation: float) -> torch.Tensor:
    """Gaussian of each channel over all, rows adding up to 1: (C, C)."""
    require(deviation > 0, "smooth", "be > 0", deviation)
    place = torch.arange(channels, dtype=torch.float32, device="cpu")
    # below this limit a neighbour's share is 0, and in single precision a smaller number may be 0 itself
    gauss = torch.exp(-0.5 * ((place[:, None] - place) / max(deviation, 1e-3)) ** 2)
    return gauss / gauss.sum(1, keepdim=True)
