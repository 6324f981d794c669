"""Networks to compare the 1M1T1R network with: adaptive LIF (lava-dl), CUBA (snnTorch), LSNN (Norse), GRU; each followed by a readout
summed over time.

Time constants, thresholds and initial weights were chosen on training voices of SpokenDigits in steps of 10 ms: the defaults of
lava-dl and Norse are for 1 ms. The adaptation time of half a second is about the length of an utterance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.utils import parametrize

from ..recipes.network import Cuba, Network, before, dl, slayer, wire  # says what to install where torch or Lava is missing
from ..recipes.smooth import kernel, smoothed
from ..recipes.synaptic_delays import Drawn, drawn
from ..recipes.task import Task

ADAPTATION = 0.5
"""Time constant of adaptive thresholds [s]."""
ALIF = {
    "threshold": 1.25,
    "threshold_step": 0.5,
    "current_decay": 0.25,
    "voltage_decay": 0.1,
    "refractory_decay": 0.1,
    "tau_grad": 0.03,
    "scale_grad": 3,
    "requires_grad": True,
}
"""Parameters of lava-dl's adaptive LIF neuron; decays are per step."""
LSNN = {"tau_syn_inv": 1 / 0.02, "tau_mem_inv": 1 / 0.05, "tau_adapt_inv": 1 / ADAPTATION}
"""Parameters of Norse's LSNN cell [1/s]."""
LSNN_SURROGATE: dict[str, Any] = {"method": "triangle", "alpha": 0.3}
"""Pseudo-derivative and dampening of the publication of LSNNs (Bellec et al., Nature Communications 11, 3625, 2020). With Norse's own
default, gradients explode through the recurrence, and the network falls silent within a few epochs."""

SYNAPTIC = {"alpha": 0.5, "beta": 0.85}
"""Factors per step of the current and the voltage of snnTorch's CUBA cell."""
SYNAPTIC_SLOPE = 5.0
"""Slope of its surrogate gradient, snnTorch's ``fast_sigmoid``. On ten training voices kept apart (1600 utterances, 12 epochs) this was as
good as 10 and much better than 2; these factors 2 points better than three others; resets by subtraction 2 points worse."""

LSNN_SHIFT = GRU_SHIFT = 0.4
"""Largest move of a threshold, or of a bias, when a network is adapted to a stranger (:mod:`.floating`); the best of four on the four
speakers' file, as 1M1T1R's."""
SYNAPTIC_SHIFT = 0.4
"""The same for snnTorch's cell; it was not chosen, but taken over."""


class Alif(Cuba):
    """lava-dl's recurrent adaptive LIF layer before the same readout as :class:`..recipes.network.Cuba`; states reset by hand alike."""

    def rest(self, device: torch.device) -> None:
        super().rest(device)
        neuron = self.hidden.neuron
        neuron.refractory_state = torch.zeros(1, device=device)
        neuron.threshold_state = torch.full((1,), float(neuron.threshold), device=device)


class Blur(torch.nn.Module):
    """Smoothing of :class:`..recipes.smooth.Smooth`, applied to the input of a network in floating point instead of its weights: the
    products are the same.

    (B, K C, T) -> (B, K C, T), K delay lines a channel; unchanged without ``deviation``.
    """

    def __init__(self, channels: int, deviation: float) -> None:
        super().__init__()
        gauss = kernel(channels, deviation) if deviation else None
        self.register_buffer("kernel", None if gauss is None else gauss / gauss[channels // 2].norm(), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if self.kernel is None else (self.kernel.T @ x.unflatten(1, (-1, len(self.kernel)))).flatten(1, 2)


class _DrawnWeight(torch.nn.Module):
    """Parametrization of a weight (N, K C) of which those that were not drawn are 0, as in :class:`..recipes.synaptic_delays.Drawn`."""

    def __init__(self, chosen: torch.Tensor, channels: int, deviation: float) -> None:
        super().__init__()
        self.register_buffer("chosen", chosen)
        self.kernel = kernel(channels, deviation) if deviation else None

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        if self.kernel is not None:
            weight = smoothed(weight, self.kernel.to(weight))
        return weight * self.chosen


def _draw_weight(cell: torch.nn.Module, name: str, task: Task) -> Blur:
    """Restrict input weights ``name`` of a cell to the synapses drawn, (N, K C), and smooth them as the task asks; their spread
    stays what it was. Returns what is done to the input instead, where none are drawn."""
    chosen = drawn(task)
    if chosen is None:
        return Blur(task.channels, task.smooth)
    part = _DrawnWeight(chosen, task.channels, task.smooth)
    if part.kernel is not None:
        with torch.no_grad():
            getattr(cell, name).div_(part.kernel[task.channels // 2].norm())
    parametrize.register_parametrization(cell, name, part)
    return Blur(task.channels, 0.0)


class Lsnn(torch.nn.Module):
    """Norse's recurrent LSNN cell over time: (B, C, T) -> (B, N, T)."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        import norse.torch as norse

        # Norse's recurrent cell adds beta a spike, whatever the step and tau_adapt: this is half of the published jump, 1.8 dt / tau_adapt
        values = {"beta": 1.8 * task.dt, **LSNN}
        p = norse.LSNNParameters(**{name: torch.tensor(value) for name, value in values.items()}, **LSNN_SURROGATE)
        self.cell = norse.LSNNRecurrentCell(task.lines, task.hidden, p, dt=task.dt)
        self.blur = _draw_weight(self.cell, "input_weights", task)

    def shift(self, by: torch.Tensor) -> None:
        """Let neurons spike more (``by`` > 0) or less often, (N,): their thresholds are moved, for the cell has no biases."""
        self.cell.p = self.cell.p._replace(v_th=self.cell.p.v_th - LSNN_SHIFT * by)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state, spikes = None, []
        for frame in self.blur(x).unbind(-1):
            z, state = self.cell(frame, state)
            spikes.append(z)
        return torch.stack(spikes, -1)


class Synaptic(torch.nn.Module):
    """snnTorch's recurrent CUBA cell over time: (B, C, T) -> (B, N, T). Its gradients pass through current and voltage (not through the
    reset), which those of lava-dl's recurrent block do not."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        import snntorch

        surrogate = snntorch.surrogate.fast_sigmoid(slope=SYNAPTIC_SLOPE)
        self.input = torch.nn.Linear(task.lines, task.hidden, bias=False)
        self.cell = snntorch.RSynaptic(**SYNAPTIC, linear_features=task.hidden, spike_grad=surrogate, reset_mechanism="zero")
        if task.synaptic_delays:  # the spread that torch gives to as many synapses as there are
            torch.nn.init.uniform_(self.input.weight, -(task.channels**-0.5), task.channels**-0.5)
        self.blur = _draw_weight(self.input, "weight", task)

    def shift(self, by: torch.Tensor) -> None:
        """Let neurons spike more (``by`` > 0) or less often, (N,): their thresholds are moved."""
        self.cell.threshold = self.cell.threshold - SYNAPTIC_SHIFT * by

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        current = self.input(self.blur(x).transpose(1, 2))
        spike = synaptic = voltage = torch.zeros_like(current[:, 0])
        spikes = []
        for frame in current.unbind(1):
            spike, synaptic, voltage = self.cell(frame, spike, synaptic, voltage)
            spikes.append(spike)
        self.cell.reset_mem()  # it keeps the last state, and with it what a backward pass needs
        return torch.stack(spikes, -1)


class Gru(torch.nn.Module):
    """PyTorch's GRU over time: (B, C, T) -> (B, N, T)."""

    def __init__(self, task: Task, units: int) -> None:
        super().__init__()
        self.cell = torch.nn.GRU(task.lines, units, batch_first=True)
        self.blur = Blur(task.channels, task.smooth)

    def shift(self, by: torch.Tensor) -> None:
        """Move the biases of the values that units turn to, (N,)."""
        with torch.no_grad():
            self.cell.bias_ih_l0[2 * self.cell.hidden_size :] += GRU_SHIFT * by

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.cell(self.blur(x).transpose(1, 2))[0].transpose(1, 2)


class Readout(torch.nn.Module):
    """Weighted sum over neurons and time in floating point, times ``scale``: (B, N, T) -> (B, K, 1)."""

    def __init__(self, neurons: int, classes: int, scale: float = 1.0) -> None:
        super().__init__()
        self.weight, self.scale = torch.nn.Linear(neurons, classes, bias=False), scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight(self.scale * x.sum(-1)).unsqueeze(-1)


def alif(task: Task) -> Alif:
    """Adaptive LIF network with the shape of :func:`..recipes.network.cuba`; lava-dl's 8-bit weights. Its recurrent block
    detaches the states, so that the decays get no gradient and stay as they are."""
    torch.manual_seed(task.seed)
    hidden = dl.block.alif.Recurrent({**ALIF, "threshold_decay": task.dt / ADAPTATION}, task.lines, task.hidden, weight_scale=1)
    wire(hidden.input_synapse, task)
    return Alif([*before(task), hidden, slayer.block.m1t1r.Affine(None, task.hidden, task.classes)])


def _network(task: Task, hidden: Callable[[Task], torch.nn.Module]) -> Network:
    """Network in floating point of a hidden layer, whose first weights are drawn from the task's seed."""
    torch.manual_seed(task.seed)
    return Network([*before(task), hidden(task), Readout(task.hidden, task.classes)])


def lsnn(task: Task) -> Network:
    """LSNN network in floating point.

    Raises
    ------
    ImportError
        Without Norse.
    """
    return _network(task, Lsnn)


def synaptic(task: Task) -> Network:
    """CUBA network of snnTorch in floating point.

    Raises
    ------
    ImportError
        Without snnTorch.
    """
    return _network(task, Synaptic)


def gru(task: Task, units: int | None = None) -> Network:
    """GRU network in floating point; each of its synapses has all of the delays.

    Without ``units``, as many as have about the parameters of the recurrent layer of ``task.hidden``.
    """
    torch.manual_seed(task.seed)
    c, n = task.lines, task.hidden
    if units is None:  # 3 u (u + c) + 6 u + K u = n (n + c) + K n
        half = (c + 2 + task.classes / 3) / 2
        units = max(1, round((half**2 + n * (n + c + task.classes) / 3) ** 0.5 - half))
    return Network([*before(task), Gru(task, units), Readout(units, task.classes, 1 / task.n_steps)])


def size_of(network: torch.nn.Module) -> int:
    """Number of weights and other values that a network learns; synapses that were not drawn do not count."""
    missing = sum(int((~part.chosen).sum()) for part in network.modules() if isinstance(part, (Drawn, _DrawnWeight)))
    return sum(p.numel() for p in network.parameters() if p.requires_grad) - missing
