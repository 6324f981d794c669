"""Inference of a network of LIF neurons of the same size in Norse and in snnTorch, as a loop over steps, on one thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

_GAINS = np.geomspace(0.05, 20.0, 40)  # of the input weights, tried from below until the hidden layer is active enough


def norse(shape: tuple[int, int, int]) -> tuple[Callable, Any]:
    """Network of LIF neurons in Norse: a function of (T, 1, C) that returns the hidden rate, and the parameter that sets the rate."""
    import norse.torch as library
    import torch

    hidden, output = library.LIFRecurrentCell(shape[0], shape[1]), library.LIFCell()
    second = torch.nn.Linear(shape[1], shape[2], bias=False)

    def run(x):
        state = state_out = None
        fired = 0.0
        for frame in x:
            spikes, state = hidden(frame, state)
            _, state_out = output(second(spikes), state_out)
            fired = fired + spikes.sum()
        return float(fired) / (len(x) * shape[1])

    return run, hidden.input_weights


def snntorch(shape: tuple[int, int, int]) -> tuple[Callable, Any]:
    """Network in snnTorch, as :func:`norse`: current-based neurons with a recurrent linear layer."""
    import snntorch as library
    import torch

    first, second = torch.nn.Linear(shape[0], shape[1], bias=False), torch.nn.Linear(shape[1], shape[2], bias=False)
    hidden = library.RSynaptic(0.75, 0.97, linear_features=shape[1], init_hidden=False)
    output = library.Synaptic(0.75, 0.97, init_hidden=False)

    def run(x):
        spikes, current, voltage = hidden.init_rsynaptic()
        current_out, voltage_out = output.init_synaptic()
        fired = 0.0
        for driven in first(x):
            spikes, current, voltage = hidden(driven, spikes, current, voltage)
            _, current_out, voltage_out = output(second(spikes), current_out, voltage_out)
            fired = fired + spikes.sum()
        return float(fired) / (len(x) * shape[1])

    return run, first.weight


def ready(build: Callable, shape: tuple[int, int, int], frames: np.ndarray, activity: float) -> tuple[Callable[[np.ndarray], float], float]:
    """Function that runs samples (B, T, C) and returns their hidden rate [spikes per step and neuron], and that of the sample (T, C).

    Raises
    ------
    ImportError
        Without the library.
    """
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    run, parameter = build(shape)

    @torch.no_grad()
    def job(samples: np.ndarray) -> float:
        return run(torch.from_numpy(samples).float().transpose(0, 1).contiguous()) / len(samples)

    before = parameter.detach().clone()
    for gain in _GAINS:
        parameter.data.copy_(before * float(gain))
        if job(frames[None, :50]) >= activity:
            break
    return job, job(frames[None])
