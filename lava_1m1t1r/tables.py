"""Integers of a neuron's program: packed tables, decay fractions as mantissa and shift, gains of the noise, counts of the input."""

from __future__ import annotations

from typing import Any

import numpy as np

from .arithmetic import (
    ACT_SHIFT,
    BASE_AT,
    BYTES_DEVIATION,
    DECAY_BITS,
    EXPONENT_AT,
    FIXED_ARRAY,
    FLOAT_ARRAY,
    MANTISSA,
    NOISE_SHIFT,
    ONE,
    ROOT_BITS,
    STATE_BITS,
    STEP_MASK,
    WEIGHT_ONE,
)
from .errors import require

RATE_ERROR = 0.01  # a decay may be off by this much before it is an error
SLOWEST_DECAY = 26  # slower decays, of a larger shift, round away in 22 bits
LEAST_SHARE = 2.0 ** -(SLOWEST_DECAY - DECAY_BITS + 1)  # lost in a substep: the smallest of that shift


def pack(base: np.ndarray, step: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """Table entries as one word each: exponent (8 bits, signed), base (24 bits), step (32 bits, signed).

    Parameters
    ----------
    base, step, exponent : (K,) int
        Columns of the table, see ``FIXED_POINT.md``.

    Returns
    -------
    (K,) int64
    """
    return (exponent.astype(np.int64) << EXPONENT_AT) | (base.astype(np.int64) << BASE_AT) | (step.astype(np.int64) & STEP_MASK)


def plain_table(values: np.ndarray) -> np.ndarray:
    """Packed table of a curve in counts, given at K + 1 knots, without exponent."""
    counts = np.rint(values).astype(np.int64)
    return pack(counts[:-1], np.diff(counts), np.zeros(counts.size - 1, np.int64))


def floating_table(values: np.ndarray) -> np.ndarray:
    """Packed table of a curve >= 0 of wide range: value = (base + step * fraction) 2^(exponent - 16).

    Parameters
    ----------
    values : (K + 1,) float64
        The curve at the knots, >= 0.

    Returns
    -------
    (K,) int64
        Packed. The larger of a segment's two ends has its mantissa in [2^16, 2^17).
    """
    larger = np.maximum(np.maximum(values[:-1], values[1:]), 1e-30)
    exponent = np.floor(np.log2(larger)).astype(np.int64)
    scale = np.exp2(MANTISSA - exponent)
    over = np.rint(larger * scale) >= 2 << MANTISSA
    exponent, scale = exponent + over, scale * np.where(over, 0.5, 1.0)
    base, end = np.rint(values[:-1] * scale), np.rint(values[1:] * scale)
    return pack(base, end - base, exponent)


def held(share: np.ndarray) -> np.ndarray:
    """Share lost in a substep as :func:`decay` holds it; unchanged where that refuses it."""
    mantissa, shift, _, refused = nearest_decay(share, zero=True)
    return np.where(refused, share, mantissa * np.exp2(-shift.astype(float)))


def decay(lost: np.ndarray, name: str, zero: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Share lost in a substep as 12-bit mantissa and shift: lost = mantissa 2^-shift, shift = 12 + e.

    Parameters
    ----------
    lost : array
        Share lost in a substep [1].
    name : str
        What errors call it.
    zero : bool
        Whether shares of 0 are allowed.

    Returns
    -------
    mantissa, shift : array of int64

    Raises
    ------
    InputError
        If a share is so small that it would round away in 22-bit states, or more than 1 % off.
    """
    mantissa, shift, _, refused = nearest_decay(lost, zero)
    if np.any(refused):
        worst = float(np.asarray(lost)[np.argmax(refused)])
        fits = f"or it does not fit a decay of {STATE_BITS}-bit states (slower ones round away)"
        require(False, name, f"lie between {LEAST_SHARE:.1e} and 1 per substep, {fits}", float(f"{worst:.3g}"), decay_cure(worst))
    return mantissa, shift


TOO_FAST, TOO_SLOW = "Use a smaller dt [s] or more substeps.", "Use a larger dt [s] or fewer substeps."
"""What brings a share that :func:`decay` refuses within its range."""


def decay_cure(lost: float) -> str:
    """The one of :data:`TOO_FAST` and :data:`TOO_SLOW` for a share."""
    return TOO_FAST if lost > 1 else TOO_SLOW


def nearest_decay(lost: np.ndarray, zero: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mantissa and shift of :func:`decay` for any shares, their relative errors, and which of them it refuses."""
    lost = np.asarray(lost, np.float64)
    some = np.where(lost > 0, lost, 1.0)
    e = np.floor(-np.log2(some)).astype(np.int64)
    e = np.where(np.rint(lost * np.exp2(DECAY_BITS + e)) >= 1 << DECAY_BITS, e - 1, e)
    shift = DECAY_BITS + np.maximum(e, 0)
    mantissa = np.minimum(np.rint(lost * np.exp2(shift)).astype(np.int64), (1 << DECAY_BITS) - 1)
    wrong = np.where(lost > 0, np.abs(mantissa * np.exp2(-shift.astype(float)) / some - 1), 0.0)
    refused = np.where(lost > 0, (shift > SLOWEST_DECAY) | (wrong > RATE_ERROR), not zero)
    return mantissa, shift, wrong, refused


def noise_gain(sigma: np.ndarray) -> np.ndarray:
    """Factor of the noise, from sqrt(sigma): per root of a count and standard deviation of the byte sum."""
    scale = (1 << (2 * NOISE_SHIFT - ROOT_BITS)) / BYTES_DEVIATION
    require(np.all(sigma <= 1), "DeviceParams.sigma1, sigma2", "be <= 1", float(np.max(sigma)))
    return np.rint(np.sqrt(sigma * ONE) * scale).astype(np.int64)


def input_counts(a_in: Any, v_max: Any, ops: Any = FIXED_ARRAY) -> Any:
    """Counts of v_in, in [0, v_max], from synaptic input in 1/64 unit: the rule of every integer implementation.

    Parameters
    ----------
    a_in : int or array of int
        Synaptic input in 1/64 unit, of 32 bits or more.
    v_max : int
        Largest input voltage in counts.
    ops : StepArithmetic
        Number system of integers.
    """
    return ops.smaller(ops.smaller(ops.positive(a_in), (v_max >> ACT_SHIFT) + 1) << ACT_SHIFT, v_max)


def input_volts(a_in: Any, v_unit: Any, v_in_max: Any, ops: Any = FLOAT_ARRAY) -> Any:
    """Input voltage in [0, v_in_max] [V] from synaptic input in 1/64 unit: :func:`input_counts` in floating point.

    Parameters
    ----------
    a_in : int or array of int
        Synaptic input in 1/64 unit.
    v_unit : float
        Input voltage of one unit [V].
    v_in_max : float
        Largest input voltage [V].
    ops : StepArithmetic
        Number system of floating point.
    """
    return ops.smaller(ops.positive(a_in / WEIGHT_ONE * v_unit), v_in_max)
