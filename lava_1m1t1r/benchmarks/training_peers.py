"""Training steps of the libraries on PyTorch: ours and its peers, and a plain loop of the same neuron.

A row imports what it needs by itself: the memory of a peer's process must not hold this library's compiler, 60 MB.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import missing
from . import in_torch
from .in_torch import Peer
from .training_measure import KEPT, Shape, Step

if TYPE_CHECKING:
    from ..program import StepParams


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise missing("torch", "lava", "The training benchmark", error) from error
    return torch


def _device(substeps: int) -> Any:
    """Device of Fig. 2, slowed down so that a substep is the same share of its time whatever ``substeps``; its gate drains as fast as
    ever."""
    from .networks import slowed

    return slowed(substeps, substeps / 4)


def _ours(shape: Shape, substeps: int) -> Step:
    """Our recurrent block and a spiking output block."""
    from ..slayer import block

    neuron = {"params": _device(substeps), "dt": 1e-3, "substeps": substeps}
    hidden = block.m1t1r.Recurrent(neuron, shape.inputs, shape.hidden)
    output = block.m1t1r.Dense(neuron, shape.hidden, shape.outputs)
    return _step(lambda x: _with_rate(hidden, output, x), [*hidden.parameters(), *output.parameters()], (hidden.bias, 0.1), _time_last)


def _slayer(shape: Shape) -> Step:
    import lava.lib.dl.slayer as slayer

    torch = _torch()
    neuron = {"threshold": 1.25, "current_decay": 1 - KEPT[0], "voltage_decay": 1 - KEPT[1], "requires_grad": False}
    hidden = slayer.block.cuba.Recurrent(dict(neuron), shape.inputs, shape.hidden)
    output = slayer.block.cuba.Dense(neuron, shape.hidden, shape.outputs)

    def net(x):
        # lava-dl keeps what the call before has left, and the other libraries here start from rest
        hidden.neuron.current_state = hidden.neuron.voltage_state = hidden.spike_state = torch.zeros(1)
        return _with_rate(hidden, output, x)

    return _step(
        net,
        [*hidden.parameters(), *output.parameters()],
        (hidden.input_synapse.weight, 0.02),
        _time_last,
    )


def _peer(shape: Shape, build: Callable[..., Peer], unit: float, **options: Any) -> Step:
    """A network of :mod:`.in_torch`; ``unit``: change of its input weights per unit of drive."""
    peer = build((shape.inputs, shape.hidden, shape.outputs), **options)

    def net(x):
        outputs, spikes = peer.run(x)
        return outputs.permute(1, 2, 0), float(spikes.detach().mean())

    return _step(net, peer.parameters, (peer.input_weight, unit), _time_first)


def plain_neuron(params: StepParams) -> Callable:
    """The 1M1T1R neuron (two states of the filament, one of the gate; the same integration) in plain floating-point PyTorch operations.

    Returns
    -------
    callable
        One network step: input (B, N) in units and three states (B, N) to spikes (B, N) and the new states.
    """
    torch = _torch()
    f = {name: torch.tensor(np.asarray(value)[:1], dtype=torch.float32) for name, value in params.floating(1)._asdict().items()}
    drop = torch.tensor(params.drop, dtype=torch.float32)
    gain = f["growth"] * f["v_ref"] / torch.sinh(f["v_ref"] / f["v0"])

    function: Any = torch.autograd.Function  # a base must be a name

    class Spike(function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return (x > 0).float()

        @staticmethod
        def backward(ctx, grad):
            return grad / (1 + ctx.saved_tensors[0].abs() / 0.3) ** 2

    def step(a, state):
        v, fired = (a * params.v_unit).clamp(0, params.v_in_max), None
        for _ in range(params.substeps):
            filament, residue, gate = state
            drive = gain * torch.sinh(torch.relu(v - gate) / f["v0"])
            kept, residue_kept = f["filament_kept"] * filament, f["residue_kept"] * residue
            early = (drive / (f["alpha"] + 1 - filament - residue)).clamp(max=2)
            predicted = (kept + early + residue_kept + f["transfer"] * filament).clamp(max=1)
            grown = kept + 0.5 * (early + (drive / (f["alpha"] + 1 - predicted)).clamp(max=2))
            before = filament + residue
            residue = residue_kept + f["transfer"] * 0.5 * (filament + grown.clamp(max=1))
            length, filament = grown + residue, torch.minimum(grown, 1 - residue)
            drained = f["gate_kept"] * gate
            knot = (residue.detach() * 64).long().clamp(max=63)
            release = drop[knot] + (drop[knot + 1] - drop[knot]) * (residue * 64 - knot)
            shut = length >= 1
            way = torch.where(shut & (v > drained), torch.relu(v - release - drained), v - drained)
            x = torch.where(shut, 1.0, 0.5 * (before + filament + residue))
            r_d = f["r_on"] * x + f["off_scale"] * torch.expm1((1 - x) * f["per_lam"])
            charged = drained - torch.expm1(-f["substep_per_c"] / r_d) * way
            spike = Spike.apply(length - 1) * (gate <= f["v_th"])
            fired = spike if fired is None else torch.maximum(fired, spike)
            state = (filament, residue, f["gate_kept"] * charged)
        return fired, state

    return step


def _plain(shape: Shape, substeps: int) -> Step:
    """A plain PyTorch loop over the steps of this neuron."""
    from ..program import StepParams
    from ..slayer.block.m1t1r import SPREAD_VOLTAGE, START_VOLTAGE

    torch = _torch()
    params = StepParams(_device(substeps), substeps=substeps)
    step = plain_neuron(params)
    first = torch.nn.Parameter(torch.randn(shape.hidden, shape.inputs) * SPREAD_VOLTAGE / params.v_unit / (0.05 * shape.inputs) ** 0.5)
    again = torch.nn.Parameter(torch.randn(shape.hidden, shape.hidden) * 0.1)
    second = torch.nn.Parameter(torch.randn(shape.outputs, shape.hidden) * 0.1)
    biases = [torch.nn.Parameter(torch.full((n,), START_VOLTAGE / params.v_unit)) for n in (shape.hidden, shape.outputs)]

    def net(x):
        zero = [torch.zeros(shape.batch, n) for n in (shape.hidden, shape.outputs)]
        state, state_out, spike = (zero[0],) * 3, (zero[1],) * 3, zero[0]
        spikes, outputs = [], []
        for t in range(shape.steps):
            spike, state = step(x[t] @ first.T + spike @ again.T + biases[0], state)
            out, state_out = step(spike @ second.T + biases[1], state_out)
            spikes.append(spike)
            outputs.append(out)
        return torch.stack(outputs, -1), float(torch.stack(spikes).detach().mean())

    return _step(net, [first, again, second, *biases], (biases[0], 0.1), _time_first)


def _dense_products(shape: Shape) -> Step:
    """Only the dense matrix products of one training step."""
    torch = _torch()
    w, r, o = (torch.randn(a, b) for a, b in ((shape.hidden, shape.inputs), (shape.hidden, shape.hidden), (shape.outputs, shape.hidden)))
    g, s = torch.randn(shape.batch * shape.steps, shape.hidden), torch.randn(shape.batch, shape.hidden)
    g_out = torch.randn(shape.batch * shape.steps, shape.outputs)

    def run(x, label):
        flat = x.transpose(1, 2).reshape(-1, shape.inputs)
        (flat @ w.T, g.T @ flat, g.T @ g, g @ o.T, g_out.T @ g, g_out @ o)
        for _ in range(shape.steps):
            (s @ r.T, s @ r)
        return float("nan")

    return Step(_time_last, run, None)


def _with_rate(hidden: Callable, output: Callable, x: Any) -> tuple:
    spikes = hidden(x)
    return output(spikes), float(spikes.detach().mean())


def _step(net: Callable, parameters: list, turn_by: tuple, ready: Callable) -> Step:
    """Training step from ``net(x) -> (outputs (B, N, T), hidden rate)``; ``turn_by``: a parameter, and its change per unit of drive;
    ``ready``: makes x, in the order that suits the library, which is no part of the step."""
    torch = _torch()
    turned, unit = turn_by
    before = turned.detach().clone()

    def run(x, label):
        y, rate = net(x)
        torch.nn.functional.cross_entropy(y.sum(-1) * 0.1, label).backward()
        for p in parameters:
            p.grad = None
        return rate

    def turn(place):
        with torch.no_grad():
            turned.copy_(before + place * unit)

    return Step(ready, run, turn)


def _time_last(x: np.ndarray, label: np.ndarray) -> tuple:
    """Frames (B, C, T), one behind the other in memory."""
    torch = _torch()
    return torch.from_numpy(x.astype(np.float32)).transpose(1, 2), torch.from_numpy(label)


def _time_first(x: np.ndarray, label: np.ndarray) -> tuple:
    """Frames (T, B, C)."""
    torch = _torch()
    return torch.from_numpy(np.ascontiguousarray(x.transpose(1, 0, 2), np.float32)), torch.from_numpy(label)


ROWS: dict[str, Callable[[Shape], Step]] = {
    "1M1T1R, 4 substeps": lambda shape: _ours(shape, 4),
    "1M1T1R, 1 substep": lambda shape: _ours(shape, 1),
    "dense matrix products alone": _dense_products,
    "lava-dl cuba.Recurrent + Dense": _slayer,
    "snnTorch RSynaptic + Synaptic": lambda shape: _peer(shape, in_torch.snntorch, 0.01, at_once=False),
    "snnTorch RSynaptic + Synaptic, sums at once": lambda shape: _peer(shape, in_torch.snntorch, 0.01),
    "Norse LIFRecurrent + LIF": lambda shape: _peer(shape, in_torch.norse, 0.02),
    "Norse LSNNRecurrent + LIF": lambda shape: _peer(shape, in_torch.norse, 0.02, kind="LSNNRecurrent"),
    "SpikingJelly recurrent LIF + LIF": lambda shape: _peer(shape, in_torch.spikingjelly, 0.02),
    "PyTorch loop of 1M1T1R, 4 substeps": lambda shape: _plain(shape, 4),
    "PyTorch loop of 1M1T1R, 1 substep": lambda shape: _plain(shape, 1),
}
"""Builder of a training step by its name in the table."""
