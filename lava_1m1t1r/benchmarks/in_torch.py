"""Networks of LIF neurons of the same size in Norse, snnTorch and SpikingJelly, and their inference on one thread.

Each is written for speed with the library's own layers: weighted sums of all steps at once where nothing feeds back, the library's
multi-step layers where it has some, a loop over steps where it has none.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any, NamedTuple

import numpy as np

from .training_measure import KEPT, TAU

_GAINS = np.geomspace(0.05, 20.0, 40)  # of the input weights, tried from below until the hidden layer is active enough


class Peer(NamedTuple):
    """A network of another library, inputs - hidden (recurrent) - outputs."""

    run: Callable[[Any], tuple[Any, Any]]
    """Spikes of the outputs and of the hidden layer (T, B, N), from the input (T, B, C)."""
    modules: list[Any]
    """What has its parameters and its mode, training or evaluation."""
    input_weight: Any
    """Parameter that sets the hidden layer's rate."""

    @property
    def parameters(self) -> list[Any]:
        """Parameters of all modules."""
        return [parameter for module in self.modules for parameter in module.parameters()]


def norse(shape: tuple[int, int, int], kind: str = "LIFRecurrent") -> Peer:
    """Network of Norse's hidden layer ``kind`` and LIF neurons; shape: numbers of inputs, hidden neurons and outputs."""
    import norse.torch as library
    import torch

    hidden, output = getattr(library, kind)(shape[0], shape[1]), library.LIF()
    second = torch.nn.Linear(shape[1], shape[2], bias=False)

    def run(x):
        spikes, _ = hidden(x)
        return output(second(spikes))[0], spikes

    return Peer(run, [hidden, second, output], hidden.input_weights)


def snntorch(shape: tuple[int, int, int], at_once: bool = True) -> Peer:
    """Network in snnTorch, as :func:`norse`: current-based neurons with a recurrent linear layer; not ``at_once``: weighted sums step by
    step, as in its tutorials."""
    import snntorch as library
    import torch

    first, second = torch.nn.Linear(shape[0], shape[1], bias=False), torch.nn.Linear(shape[1], shape[2], bias=False)
    hidden = library.RSynaptic(*KEPT, linear_features=shape[1], init_hidden=False)
    output = library.Synaptic(*KEPT, init_hidden=False)

    def run(x):
        spike, current, voltage = hidden.init_rsynaptic()
        current_out, voltage_out = output.init_synaptic()
        spikes, outputs = [], []
        for driven in first(x) if at_once else map(first, x):
            spike, current, voltage = hidden(driven, spike, current, voltage)
            spikes.append(spike)
        found = torch.stack(spikes)
        for driven in second(found) if at_once else map(second, spikes):
            out, current_out, voltage_out = output(driven, current_out, voltage_out)
            outputs.append(out)
        return torch.stack(outputs), found

    return Peer(run, [first, second, hidden, output], first.weight)


def spikingjelly(shape: tuple[int, int, int]) -> Peer:
    """Network of LIF neurons in SpikingJelly, as :func:`norse`; in evaluation the library's own compiled steps run."""
    import torch

    with redirect_stdout(sys.stderr):  # it loads lava-dl where that is installed, which prints advice about a demo of its own
        from spikingjelly.activation_based import functional
        from spikingjelly.activation_based import neuron as library

    first, second = torch.nn.Linear(shape[0], shape[1]), torch.nn.Linear(shape[1], shape[2], bias=False)
    again = torch.nn.Linear(shape[1], shape[1], bias=False)
    hidden, output = library.LIFNode(tau=TAU), library.LIFNode(tau=TAU, step_mode="m")

    def run(x):
        functional.reset_net(hidden)
        functional.reset_net(output)
        spike, spikes = torch.zeros(x.shape[1], shape[1]), []
        for driven in first(x):
            spike = hidden(driven + again(spike))
            spikes.append(spike)
        found = torch.stack(spikes)
        return output(second(found)), found

    return Peer(run, [first, second, again, hidden, output], first.weight)


ROWS: dict[str, Callable[[tuple[int, int, int]], Peer]] = {
    "Norse LIF": norse,
    "snnTorch synaptic LIF": snntorch,
    "SpikingJelly LIF": spikingjelly,
}
"""Builder of a network by its name in the table."""


def ready(
    build: Callable[[tuple[int, int, int]], Peer], shape: tuple[int, int, int], frames: np.ndarray, activity: float
) -> tuple[Callable[[np.ndarray], Any], float]:
    """Function that runs samples (B, T, C), and the rate [spikes per step and neuron] of its hidden layer for the sample (T, C).

    Raises
    ------
    ImportError
        Without the library.
    """
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    run, modules, parameter = build(shape)
    for module in modules:
        module.eval()

    @torch.no_grad()
    def job(samples: np.ndarray) -> Any:
        return run(torch.from_numpy(samples).float().transpose(0, 1).contiguous())

    before = parameter.detach().clone()
    for gain in _GAINS:
        parameter.data.copy_(before * float(gain))
        if float(job(frames[None, :50])[1].mean()) >= activity:
            break
    return job, float(job(frames[None])[1].mean())
