"""Exponentials for the compiled loops, in plain arithmetic: LLVM then runs them eight neurons at a time, which it cannot do with libm's.

Within 2 units in the last place of the mathematical value. Arguments are limited to [-700, 700].
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .compiled import inlined

_LIMIT = 700.0
_PER_OCTAVE = 1.4426950408889634  # 1 / ln 2
_LN2_HIGH = 0.6931471803691238  # ln 2 in two parts, so that k ln 2 is exact to 2^-80
_LN2_LOW = 1.9082149292705877e-10
_BIAS, _FRACTION = 1023, 52  # of an IEEE double


@intrinsic
def _double_of(typing_context, bits):
    """The double with these 64 bits."""

    def code(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), code


@inlined
def _parts(x):
    """(2^k, e^r - 1) with x = k ln 2 + r."""
    x = _LIMIT if x > _LIMIT else x
    x = -_LIMIT if x < -_LIMIT else x
    shifted = x * _PER_OCTAVE
    k = int(shifted + (0.5 if shifted >= 0.0 else -0.5))
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    # Taylor series on |r| <= ln 2 / 2: the first term left out is below 2^-54 of the sum.
    p = 1.0 + r * (1 / 14)
    p = 1.0 + r * (1 / 13) * p
    p = 1.0 + r * (1 / 12) * p
    p = 1.0 + r * (1 / 11) * p
    p = 1.0 + r * (1 / 10) * p
    p = 1.0 + r * (1 / 9) * p
    p = 1.0 + r * (1 / 8) * p
    p = 1.0 + r * (1 / 7) * p
    p = 1.0 + r * (1 / 6) * p
    p = 1.0 + r * (1 / 5) * p
    p = 1.0 + r * (1 / 4) * p
    p = 1.0 + r * (1 / 3) * p
    return _double_of((k + _BIAS) << _FRACTION), r * (1.0 + r * 0.5 * p)


@inlined
def expm1(x):
    """exp(x) - 1, accurate near 0."""
    scale, p = _parts(x)
    return scale * p + (scale - 1.0)


@inlined
def exp(x):
    """exp(x)."""
    scale, p = _parts(x)
    return scale * p + scale
