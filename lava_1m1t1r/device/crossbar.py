"""Weights as conductances: a differential crossbar, the amplifiers that sum its columns, and their power.

A synapse is a pair of cells. A positive weight raises the cell of the positive column above ``g_min``, a negative one that of the
negative column. A spike is a pulse of ``v_read`` on the row, one network step long. One transimpedance amplifier per neuron holds both of
its columns at virtual ground and gives ``clip(R_f (I+ - I-), 0, v_in_max)``, where R_f makes one unit of weight one ``v_unit``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from math import inf
from typing import Any, NamedTuple

import numpy as np

from ..arithmetic import WEIGHT_ONE
from ..errors import number, numbers, require, whole
from ..layers import Layer


@dataclass(frozen=True)
class Cells:
    """Memristive cells that hold weights, and their accuracy.

    Raises
    ------
    InputError
        If a field is outside its range. The text names the field.
    """

    g_min: float = 1e-6
    """Smallest conductance [S]."""
    g_max: float = 40e-6
    """Largest conductance [S]."""
    levels: float = inf
    """Number of conductances that a cell can be set to, evenly spaced from ``g_min`` to ``g_max``; inf: any value."""
    programming_error: float = 0.0
    """Standard deviation of a set conductance, as a share of ``g_max - g_min``. 0: none."""
    read_noise: float = 0.0
    """Standard deviation of a conductance from one network step to the next, as a share of itself. 0: none."""
    v_read: float = 0.2
    """Height of a pulse on a row [V], low enough to leave the cells as they are."""

    def __post_init__(self) -> None:
        for name in ("g_min", "g_max", "v_read"):
            number(getattr(self, name), f"Cells.{name}", above=0.0)
        require(self.g_max > self.g_min, "Cells.g_max [S]", "exceed g_min", (self.g_min, self.g_max), "Exchange them.")
        if not (isinstance(self.levels, float) and self.levels == inf):
            whole(self.levels, "Cells.levels", least=2, cure="Infinity is any conductance.")
        for name in ("programming_error", "read_noise"):
            value = number(getattr(self, name), f"Cells.{name}")
            require(0 <= value < 1, f"Cells.{name}", "lie in [0, 1)", value)

    def programmed(self, weight: Any, largest: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Program weights of any shape up to (N, C) into cells.

        The set conductance is the nearest level plus a Gaussian error, cut at 0.

        Parameters
        ----------
        weight : (), (C,) or (N, C) int
            Weights [counts].
        largest : float
            Weight that takes the whole range from ``g_min`` to ``g_max`` [counts].
        rng : numpy.random.Generator
            Source of the programming errors.

        Returns
        -------
        positive, negative : array
            Conductances of the cells [S], of the weights' shape.
        """
        weight = numbers(weight, "programmed.weight [counts]", (0, 1, 2), "of any shape up to (N, C)")
        largest = number(largest, "programmed.largest [counts]", above=0.0)
        most = float(np.max(np.abs(weight), initial=0.0))
        require(most <= largest, "programmed.weight [counts]", f"be at most largest, {largest:g}, either way", most)
        require(isinstance(rng, np.random.Generator), "programmed.rng", "be a numpy.random.Generator", rng)
        share = weight / largest
        cells = []
        for part in (np.maximum(share, 0.0), np.maximum(-share, 0.0)):
            if self.levels != inf:
                part = np.rint(part * (self.levels - 1)) / (self.levels - 1)
            if self.programming_error > 0.0:
                part = part + self.programming_error * rng.standard_normal(part.shape)
            cells.append(np.maximum(self.g_min + part * (self.g_max - self.g_min), 0.0))
        return cells[0], cells[1]


IDEAL = Cells()
"""Cells with the range of Wan et al. 2022, but no levels, error or noise: shows what the circuit around the crossbar does alone."""
WAN2022 = Cells(programming_error=0.044, read_noise=0.01)
"""W. Wan et al., Nature 608, 504 (2022), doi:10.1038/s41586-022-04992-8: 1 to 40 uS, write-verify to any conductance. The error is
the mean over the range, 1.7 uS, of the fit to their data 1 s after programming in IBM's aihwkit (ReRamWan2022NoiseModel, which gives
1.1 to 2.3 uS); read noise of about 1 % is that model's recommendation."""
FALCONE2025 = Cells(g_min=9e-6, g_max=88e-6, programming_error=0.007, read_noise=0.01)
"""D. F. Falcone et al., 'All-in-one analog AI hardware' (2025), arXiv:2502.04524: CMO/HfOx cells, 9 to 88 uS. The error is that
of aihwkit's fit to their data for an acceptance range of 2 % at mid-range (0.011 uS + 1.1 % of the conductance); read noise as above."""
CELLS = {"ideal": IDEAL, "wan2022": WAN2022, "falcone2025": FALCONE2025}
"""Cells by the names that the command line takes."""


@dataclass(frozen=True)
class Periphery:
    """The circuits around crossbar and neurons. Every number here is an assumption, none is measured on this circuit."""

    v_supply: float = 1.2
    """Supply of row drivers and amplifiers [V]: the largest input voltage of a neuron (Zhao et al. 2025)."""
    amplifier_current: float = 1e-7
    """Quiescent current of a column pair's amplifier or integrator [A]: a subthreshold OTA far faster than a step of 10 ms."""
    line_capacitance: float = 1e-15
    """Capacitance that a cell adds to its row [F], charged at each pulse."""
    register_energy: float = 1e-14
    """Energy of one flip-flop of the delay registers in one step [J]."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            number(value, f"Periphery.{name}", least=0.0)


class Rows(NamedTuple):
    """Number of rows that feed a layer's crossbar, by what drives them, in order."""

    inputs: int
    recurrent: int
    bias: int


@dataclass(frozen=True, eq=False)
class Crossbar:
    """The crossbar of one layer: N column pairs, R rows (inputs, recurrent spikes, bias)."""

    positive: np.ndarray
    """Conductances of the positive cells [S], (N, R)."""
    negative: np.ndarray
    """Conductances of the negative cells [S], (N, R)."""
    wanted: np.ndarray
    """Weights that were programmed [counts], (N, R)."""
    rows: Rows
    largest: float
    """Weight that uses the whole range of conductance [counts]."""
    cells: Cells

    @property
    def per_count(self) -> float:
        """Differential current of a pulse through a weight of one count [A]."""
        return self.cells.v_read * (self.cells.g_max - self.cells.g_min) / self.largest

    @cached_property
    def counts(self) -> np.ndarray:
        """(N, R) weights as the cells hold them [counts]."""
        # to nine digits: what is left of ideal cells is rounding, which would decide between equal sums
        return ((self.positive - self.negative) * (self.cells.v_read / self.per_count)).round(9)

    @cached_property
    def squares(self) -> np.ndarray:
        """(N, R) variance of the read noise of each pair [counts^2]."""
        noise = self.cells.read_noise * self.cells.v_read / self.per_count
        return noise**2 * (self.positive**2 + self.negative**2)

    def feedback(self, v_unit: float) -> float:
        """Feedback resistance R_f of the amplifiers [ohm] with which one unit of weight gives ``v_unit`` [V]."""
        return v_unit / WEIGHT_ONE / self.per_count

    @cached_property
    def row_current(self) -> np.ndarray:
        """(R,) current of a row under a pulse of v_read [A]."""
        return self.cells.v_read * (self.positive + self.negative).sum(axis=0)


def programmed_crossbar(layer: Layer, cells: Cells, rng: np.random.Generator) -> Crossbar:
    """Program a layer's forward and recurrent weights and its bias into one crossbar.

    A bias larger than the largest weight is split over several rows, which carry a pulse in every step.

    Parameters
    ----------
    layer : Layer
    cells : Cells
    rng : numpy.random.Generator
        Source of the programming errors.
    """
    parts = [np.asarray(layer.matrix(), np.float64)]
    rows = rows_of(layer)
    if rows.recurrent:
        parts.append(np.asarray(layer.weight_rec, np.float64))
    if rows.bias:
        parts.append(np.repeat(np.asarray(layer.bias, np.float64)[:, None] / rows.bias, rows.bias, axis=1))
    largest = _largest(layer)
    wanted = np.concatenate(parts, axis=1)
    return Crossbar(*cells.programmed(wanted, largest, rng), wanted, rows, largest, cells)


def rows_of(layer: Layer) -> Rows:
    """How many rows a layer's inputs, recurrence and bias take."""
    bias = 0 if layer.bias is None else int(np.ceil(_magnitude(layer.bias) / _largest(layer)))
    return Rows(layer.inputs, 0 if layer.recurrence is None else layer.size, bias)


def _largest(layer: Layer) -> float:
    """Magnitude of the largest weight [counts], at least 1."""
    weight = np.ones(1) if layer.summed is None else layer.summed  # those of averages are 1
    return max(1.0, *(_magnitude(part) for part in (weight, layer.weight_rec) if part is not None))


def _magnitude(values: np.ndarray) -> float:
    """Largest magnitude; in floating point, for that of the least number of a type of integers is none of it."""
    return float(np.abs(np.asarray(values, np.float64)).max())
