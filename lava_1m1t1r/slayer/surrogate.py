"""Settings of the surrogate derivatives, and the constants of the backward step made from them and the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..arithmetic import GROWTH_MAX_FLOAT, INPUT_BITS, ONE, WEIGHT_ONE
from ..errors import number
from ..program import StepParams, shared
from .reverse import PER_NEURON, GradientProgram


@dataclass(frozen=True)
class Surrogate:
    """Replacements of the derivatives that the equations lack or that grow too large; see :mod:`.reverse`."""

    tau_grad: float = 0.3
    """Width of the spike's derivative around total length 1 [1]. Larger: silent neurons learn sooner."""
    scale_grad: float = 1.0
    """Height of the spike's derivative [1]."""
    reset_grad: float = 1.0
    """Weight of the gate's jump in the gradient [1]; 0 detaches it, as many spiking libraries do with their reset."""
    grow_floor: float = 0.3
    """Smallest slope of the growth, in slopes at the growth that just closes the gap under lasting drive [1]."""
    grow_cap: float = 0.3
    """Largest slope of the growth, in slopes at the growth that closes the gap within one step [1]; never below the smallest."""
    clip_grad: float = 1.0
    """Slope of the input's clip outside [0, v_in_max]; inside it is 1 [1]. 0: neurons below 0 V do not learn."""

    def __post_init__(self) -> None:
        for name in ("tau_grad", "scale_grad", "grow_cap"):
            number(getattr(self, name), name, above=0.0)
        for name in ("reset_grad", "grow_floor", "clip_grad"):
            number(getattr(self, name), name, least=0.0)


def gradient_program(params: StepParams, size: int, surrogate: Surrogate, dtype: Any) -> GradientProgram:
    """Constants of the backward step of ``size`` neurons.

    Parameters
    ----------
    params : StepParams
    size : int
        Number of neurons N.
    surrogate : Surrogate
    dtype : numpy.float32 or numpy.float64
        Of everything in the result.

    Returns
    -------
    GradientProgram
        (N,) arrays, (64,) tables, and scalars.
    """
    f = params.floating(size)
    v_ref, rate = f.v_ref, f.per_v0
    shift = v_ref * rate
    if is_linear(params):
        growth, mirror, scale = f.growth, np.zeros(size), 1.0 / v_ref
    else:
        mirror = np.exp(-2.0 * shift)
        growth = f.growth * v_ref / -np.expm1(-2.0 * shift)
        scale = rate
    lost = 1.0 - f.filament_kept
    lasting = 0.25 * lost * (1.0 + f.alpha) ** 2  # the least growth with which gain exceeds loss at every length
    alpha, per_lam, r_on, per_c = (float(x[0]) for x in (f.alpha, f.per_lam, f.r_on, f.substep_per_c))
    r_off = shared(params.device).r_off / -np.expm1(-per_lam)
    r_off = min(r_off, float(np.finfo(dtype).max))  # neither carries anything
    values = {
        "growth": growth,
        "rate": rate,
        "shift": shift,
        "mirror": mirror,
        "filament_kept": f.filament_kept,
        "filament_lost": lost,
        "residue_kept": f.residue_kept,
        "transfer": f.transfer,
        "gate_kept": f.gate_kept,
        "v_th": f.v_th,
        "slope_floor": surrogate.grow_floor * lasting * scale,
        "slope_cap": np.maximum(surrogate.grow_cap / params.substeps, surrogate.grow_floor * lasting) * scale,
    }
    real = np.dtype(dtype).type
    return GradientProgram(
        **{name: np.ascontiguousarray(values[name], dtype) for name in PER_NEURON},
        alpha=real(alpha),
        per_lam=real(per_lam),
        r_on=real(r_on),
        r_off=real(r_off),
        substep_per_c=real(per_c),
        drop=f.drop[:-1].astype(dtype),
        drop_slope=np.diff(f.drop).astype(dtype),
        segments=real(f.drop.size - 1),
        width=real(1.0 / surrogate.tau_grad),
        scale=real(surrogate.scale_grad),
        reset=real(surrogate.reset_grad),
        zero=real(0.0),
        half=real(0.5),
        one=real(1.0),
        most=real(GROWTH_MAX_FLOAT),
    )


class Units(NamedTuple):
    """Real numbers that the integers of a forward pass stand for."""

    volt_per_count: Any
    """Input voltage of a count of synaptic input [V]."""
    v_in_max: Any
    """Largest input voltage [V]."""
    largest_count: Any
    """Synaptic input that gives this voltage [counts]: single precision holds it exactly, but not the two voltages."""
    share_per_count: Any
    """Filament or residue of a count, as a share of the gap [1]."""
    volt_per_gate_count: Any
    """Gate voltage of a count [V]."""
    v_unit: Any
    """Input voltage of one unit of weight [V]."""


def units_of(params: StepParams, dtype: Any) -> Units:
    """Units of a layer's integers, as numbers of a numpy type."""
    volt, real = params.v_unit / (1 << INPUT_BITS), np.dtype(dtype).type
    values = (volt * WEIGHT_ONE, params.v_max_count * volt, params.v_max_count / WEIGHT_ONE, 1.0 / ONE, params.gate_lsb, params.v_unit)
    return Units(*(real(value) for value in values))


def state_units(units: Units) -> np.ndarray:
    """Size of a count of filament, residue and gate: (3, 1)."""
    return np.array([[units.share_per_count], [units.share_per_count], [units.volt_per_gate_count]], type(units.share_per_count))


def is_linear(params: StepParams) -> bool:
    """Whether the field law is the paper's linear one."""
    return bool(np.all(np.isinf(np.asarray(params.device.v0))))
