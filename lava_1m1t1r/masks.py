"""Masks in LLVM, which its loop vectoriser does not recognise: which of neighbouring values differ from one, as bits of a word."""

from __future__ import annotations

from typing import Any

import numba  # noqa: F401  see cached.py
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .compiled import element

MASKED = 16
"""Number of neighbouring values that :func:`differs` compares."""


@intrinsic
def differs(typing_context, array, first, value):
    """Bit i of the result (int64): whether array[first + i] != value, for i < MASKED; array contiguous, value of its type."""

    def code(context, builder, signature, arguments):
        array_, first_, value_ = arguments
        number = signature.args[0].dtype
        kind = ir.VectorType(context.get_data_type(number), MASKED)
        place = builder.bitcast(element(context, builder, signature.args[0], array_, first_), kind.as_pointer())
        same = everywhere(builder, kind, value_)
        loaded = builder.load(place, align=number.bitwidth // 8)
        compare = builder.fcmp_unordered if isinstance(number, types.Float) else builder.icmp_unsigned
        return builder.zext(builder.bitcast(compare("!=", loaded, same), ir.IntType(MASKED)), ir.IntType(64))

    return types.int64(array, types.intp, array.dtype), code


def everywhere(builder: Any, vector: Any, value: Any) -> Any:
    """Vector of one repeated number."""
    none = ir.Constant(vector, ir.Undefined)
    one = builder.insert_element(none, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, none, ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None))


@intrinsic
def lowest_bit(typing_context, word):
    """Place of the lowest set bit of an int64 that is not 0."""

    def code(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), code


@intrinsic
def bit_count(typing_context, word):
    """Number of set bits of an int64."""

    def code(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.int64(types.int64), code
