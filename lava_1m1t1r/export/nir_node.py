"""The exact 1M1T1R neuron as a NIR node. Importing this module registers it with :func:`nir.read`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import missing
from ..layers import Layer
from ..params import FIELDS, DeviceParams
from ..program import STEP_FIELDS, StepParams

try:
    import nir
except ImportError as error:
    raise missing("nir", "nir", "The NIR target", error) from error


@dataclass(eq=False)
class M1T1RNode(nir.NIRNode):
    """A layer of 1M1T1R neurons: the equations of :mod:`lava_1m1t1r.dynamics` with SI parameters, and the step they were made for.

    Input: synaptic input in units of ``v_unit``. Output: spikes.
    """

    device: dict  # DeviceParams by name, (N,) float64 each, SI units
    dt: float  # network step [s]
    substeps: int
    v_unit: float  # [V]
    v_in_max: float  # [V]
    seed: int  # of stochastic neurons
    layer_index: int  # completes the seed; for readers of the file: from_nir takes it from the node of the weights
    held: bool = True  # StepParams.held

    def __post_init__(self) -> None:
        self.device = {name: np.asarray(self.device[name], np.float64) for name in FIELDS}
        shape = np.array(self.device["mu"].shape)
        self.input_type, self.output_type = {"input": shape}, {"output": shape}

    @classmethod
    def of(cls, layer: Layer) -> M1T1RNode:
        """Return the node of a layer of 1M1T1R neurons; every parameter is an array of full size."""
        neuron = layer.m1t1r
        device = {name: np.full(layer.size, getattr(neuron.step.device, name), np.float64) for name in FIELDS}
        values = {name: getattr(neuron.step, name) for name in STEP_FIELDS}
        return cls(device, seed=int(neuron.seed), layer_index=int(layer.index), metadata={"shape": np.array(layer.shape)}, **values)

    @property
    def step(self) -> StepParams:
        """Parameters as this library holds them: numbers where all neurons agree."""
        values = {name: float(v[0]) if np.all(v == v[0]) else v for name, v in self.device.items()}
        return StepParams(DeviceParams(**values), **{name: np.asarray(getattr(self, name)).item() for name in STEP_FIELDS})


def _register() -> None:
    # nir 1.0.8 keeps a closed list of nodes and no way to add to it.
    known = vars(nir.ir)["__all_ir"]
    if M1T1RNode.__name__ not in known:
        known.append(M1T1RNode.__name__)
    setattr(nir.ir, M1T1RNode.__name__, M1T1RNode)


_register()
