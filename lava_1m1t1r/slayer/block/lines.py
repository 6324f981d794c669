"""Delay lines before the first layer: a block without trainable parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ...delay_lines import DELAY_LINES, line_delays
from ...errors import require, whole
from ...keys import write_layer
from ..checks import check_tensor
from ..exact import eager


class DelayLines(torch.nn.Module):
    """Delay lines: each channel several times, each with another delay, (B, C, T) -> (B, K C, T).

    The first of a network's blocks, if it has one. The next one then weighs the last moments of its input and not one alone, which is
    worth points on speech (RESULTS.md). Every call begins with empty lines, whatever neurons keep (``persistent_state``). Exported as type
    'delay_lines': line n carries channel ``n mod C``. Spikes as bytes (uint8), where no gradient over them is asked for, pass many times
    faster than as real numbers; the blocks behind take both.

    Parameters
    ----------
    channels : int
        C.
    taps : (K,) int
        Delays [steps] that each channel comes with, 0 to 62, each once.

    The buffer ``delay`` tells state dicts of the taps; changing it changes nothing.

    Raises
    ------
    InputError
    """

    computes = False
    """Whether the block computes something (as :attr:`.layers.Layer.computes`); spikes only come later here."""

    def __init__(self, channels: int, taps: Any) -> None:
        super().__init__()
        self.channels = whole(channels, "DelayLines.channels", least=1)
        self._delays = line_delays(taps, self.channels, "DelayLines.taps")  # beside the buffer, which may be without values (meta)
        self.register_buffer("delay", torch.from_numpy(self._delays.copy()))

    @property
    def lines(self) -> int:
        """Number of lines, K C."""
        return len(self._delays)

    @property
    def taps(self) -> list[int]:
        """Delays [steps] that each channel comes with."""
        return self._delays[:: self.channels].tolist()

    @eager
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, T) spikes or counts -> (B, K C, T)."""
        check_tensor(x, "DelayLines input")
        require(x.dim() == 3 and x.shape[1] == self.channels, "DelayLines input", f"have shape (B, {self.channels}, T)", tuple(x.shape))
        out = x.new_zeros(x.shape[0], self.lines, x.shape[2])
        for k, late in enumerate(self.taps):
            out[:, k * self.channels : (k + 1) * self.channels, late:] = x[:, :, : max(x.shape[2] - late, 0)]
        return out

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        saved = state_dict.get(f"{prefix}delay")
        same = saved is None or np.array_equal(saved.cpu().numpy(), self._delays)
        cure = "Make the network with the taps of the saved one."
        require(same, f"{prefix}delay", "be those of the state dict", self.taps, cure)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def reset(self) -> None:
        """Do nothing: nothing stays in the lines from one call to the next."""

    def extra_repr(self) -> str:
        """Text that tells it from others."""
        return f"channels={self.channels}, taps={self.taps}"

    def export_hdf5(self, handle: Any) -> None:
        """Write the layer into an HDF5 group: type 'delay_lines'."""
        write_layer(handle, DELAY_LINES, (self.lines,), inputs=self.channels, delay=self._delays)
