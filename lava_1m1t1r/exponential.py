"""The exponential of the compiled loops, in plain arithmetic: LLVM then runs it eight neurons at a time, which it cannot do with libm's.

Within 2 units in the last place of the mathematical value. Arguments are limited to [-700, 700].
"""

from __future__ import annotations

from math import factorial

import numba  # noqa: F401  see cached.py
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .compiled import fused, inlined

LIMIT = 700.0
_PER_OCTAVE = 1.4426950408889634  # 1 / ln 2
_LN2_HIGH = 0.6931471803691238  # ln 2 in two parts, so that k ln 2 is exact to 2^-80
_LN2_LOW = 1.9082149292705877e-10
FRACTION, BIAS = 52, 1023  # of an IEEE double
_WHOLE = 1.5 * 2.0**FRACTION
"""Constant whose addition rounds to a whole number, which the last bits then hold: only AVX-512 can convert to int64 in vectors."""
_C = tuple(1.0 / factorial(n) for n in range(15))


@intrinsic
def power_of_two(typing_context, shifted):
    """2^k in float32 or float64, from ``shifted = k + 1.5 * 2^23`` or ``k + 1.5 * 2^52``, whose last bits are the whole number k."""
    bits, fraction, bias = (32, 23, 127) if shifted == types.float32 else (64, FRACTION, BIAS)

    def code(context, builder, signature, arguments):
        word = ir.IntType(bits)
        exponent = builder.shl(builder.bitcast(arguments[0], word), ir.Constant(word, fraction))
        return builder.bitcast(builder.add(exponent, ir.Constant(word, bias << fraction)), arguments[0].type)

    return shifted(shifted), code


@inlined
def expm1(x):
    """exp(x) - 1, accurate near 0; by x = k ln 2 + r."""
    x = LIMIT if x > LIMIT else x
    x = -LIMIT if x < -LIMIT else x
    shifted = x * _PER_OCTAVE + _WHOLE
    k = shifted - _WHOLE
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    # Taylor series on |r| <= ln 2 / 2: the first term left out is below 2^-54 of the sum.
    p = fused(_C[14], r, _C[13])
    p = fused(p, r, _C[12])
    p = fused(p, r, _C[11])
    p = fused(p, r, _C[10])
    p = fused(p, r, _C[9])
    p = fused(p, r, _C[8])
    p = fused(p, r, _C[7])
    p = fused(p, r, _C[6])
    p = fused(p, r, _C[5])
    p = fused(p, r, _C[4])
    p = fused(p, r, _C[3])
    p = fused(p, r, _C[2])
    p = fused(p, r * r, r)  # e^r - 1
    scale = power_of_two(shifted)
    return fused(scale, p, scale - 1.0)
