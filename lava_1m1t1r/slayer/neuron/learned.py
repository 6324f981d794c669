"""Learned device parameters: each neuron's rates and control resistor as factors on the nominal ones, within a physical range."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import torch

from ...dynamics import State
from ...errors import require
from ...params import LEARNABLE
from ...program import StepParams, shares
from ..remade import remake
from ..reverse import Constants

LEARN_RANGE = 4.0
"""Default largest factor on a learned device parameter, up or down. Integration times of the measured devices differ up to five times (Zhao
et al. 2025)."""


class LearnedDevice(torch.nn.Module):
    """Factors on a layer's nominal device(s): parameters ``log_mu`` ..., each (count,), 0 at first.

    The factor is ``exp(reach tanh(parameter / reach))`` with ``reach = ln(largest)``: it starts with slope 1 and never leaves
    ``[1 / largest, largest]``. A state dict holds ``largest``, too, and is refused by a module with another one: its numbers would mean
    other factors.

    Parameters
    ----------
    names : sequence of str
        Which of :data:`..params.LEARNABLE`.
    largest : float
        Largest factor, either way, > 1.
    count : int
        Values of each: one a neuron, or one for each group of as many neurons (features of images).
    """

    def __init__(self, names: Sequence[str], largest: float, count: int) -> None:
        super().__init__()
        self.names, self.largest, self.reach, self.count = tuple(names), largest, math.log(largest), count
        for name in self.names:
            self.register_parameter(f"log_{name}", torch.nn.Parameter(torch.zeros(count)))

    def reset_parameters(self) -> None:
        """Make all devices the nominal ones again."""
        for parameter in self.parameters():
            torch.nn.init.zeros_(parameter)

    def get_extra_state(self) -> torch.Tensor:
        """State for state dicts: ``largest``."""
        return torch.tensor(self.largest, dtype=torch.float64, device="cpu")

    def set_extra_state(self, state: torch.Tensor) -> None:
        """Refuse the state dict of another ``largest``."""
        cure = "Make the network with the learn_range of the saved one."
        require(float(state) == self.largest, "learn_range", f"be that of the state dict, {float(state):g}", self.largest, cure)

    def logs(self) -> dict[str, torch.Tensor]:
        """The parameters by name, (count,) each, as they count: pruned, and behind parametrisations."""
        remake(self)
        return {name: getattr(self, f"log_{name}") for name in self.names}

    def factors(self, size: int) -> dict[str, torch.Tensor]:
        """Factor of each of ``size`` neurons, by name: (size,) float64, differentiable."""
        require(size % self.count == 0, "neurons of the layer", f"be a multiple of the {self.count} learned values", size)
        logs = {name: x.double() for name, x in self.logs().items()}
        return {name: torch.exp(self.reach * torch.tanh(x / self.reach)).repeat_interleave(size // self.count) for name, x in logs.items()}

    def step(self, nominal: StepParams, size: int) -> StepParams:
        """The step with the devices as learned so far, arrays of (size,), as far as integers hold them (:meth:`..StepParams.towards`)."""
        with torch.no_grad():
            changes = {name: getattr(nominal.device, name) * f.cpu().numpy() for name, f in self.factors(size).items()}
        return nominal.towards(dataclasses.replace(nominal.device, **changes), size)

    def constants(self, params: StepParams, size: int) -> torch.Tensor:
        """The step's constants (5, size) float64 in the order of :class:`..reverse.Constants`, with the gradient over the factors.

        ``params`` is the step with the devices as they are now (learned, and perhaps varied), whose values the result has.
        """
        values = {name: np.broadcast_to(getattr(params.device, name), (size,)) for name in (*LEARNABLE, "c_gate")}
        factors = self.factors(size)
        place = factors[self.names[0]].device
        tied = {name: torch.tensor(value, dtype=torch.float64, device=place) for name, value in values.items()}
        for name, factor in factors.items():
            tied[name] = tied[name] * (factor / factor.detach())
        r = shares(SimpleNamespace(**tied), params.h, torch.expm1)
        kept = {name: 1.0 - r[f"{name}_lost"] for name in State._fields}
        return torch.stack(Constants(torch.log(r["growth"]), kept["filament"], kept["residue"], r["transfer"], kept["gate"]))
