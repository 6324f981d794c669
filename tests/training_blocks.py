"""What the tests of training blocks share: torch and lava-dl, without which they skip, a neuron, spikes and weights."""

import numpy as np
import pytest

from lava_1m1t1r import presets

torch = pytest.importorskip("torch")
dl = pytest.importorskip("lava.lib.dl.slayer")

FIG2 = presets.ZHAO2025_FIG2
NEURON = {"params": FIG2, "dt": 1e-3, "substeps": 2}
SPIKES = torch.ones(1, 3, 5)


def spikes(batch, channels, steps, rate=0.15, seed=0):
    return (torch.rand(batch, channels, steps, generator=torch.Generator().manual_seed(seed)) < rate).float()


def nodes(last):
    """Nodes of autograd's graph behind its last one, and that one."""
    seen, waiting = {}, [last]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen[node] = None
            waiting += [before for before, _ in node.next_functions]
    return list(seen)


def weights(synapse):
    return np.rint(synapse.pre_hook_fx(synapse.weight).detach().numpy().reshape(synapse.out_channels, -1) * 64).astype(np.int64)
