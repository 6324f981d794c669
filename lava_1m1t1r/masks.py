"""Spikes as bits of words: which of neighbouring values differ from one, in LLVM since its loop vectoriser does not recognise it, and their
places."""

from __future__ import annotations

from typing import Any

import numba  # noqa: F401  see cached.py
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .compiled import element, inlined, store

MASKED = 16
"""Number of neighbouring values that :func:`differs` compares."""
WORD = 64
"""Number of cells that a word, an int64, has bits of."""


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
    """Place of the lowest set bit of an int64; WORD where none is set."""

    def code(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.int64), code


@intrinsic
def bit_count(typing_context, word):
    """Number of set bits of an int64."""

    def code(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.int64(types.int64), code


@inlined
def word_of(row, first, last, value):
    """Bits of row[first:last], contiguous, WORD values at most: which are not ``value``, of their type."""
    word = 0
    for i in range(first, last - MASKED + 1, MASKED):
        word |= differs(row, i, value) << (i - first)
    for i in range(last - (last - first) % MASKED, last):
        word |= int(row[i] != value) << (i - first)
    return word


_AT_ONCE = 8
"""Number of bits that :func:`list_bits` writes without asking whether they are there: no processor foresees how many bits a word has, and
a wrong guess costs as much as some ten of them."""


@inlined
def list_bits(word, first, places, at, end):
    """Write ``first`` and more, the places of a word's bits in rising order, to places[at:]; returns their end. Up to ``end``, what follows
    them may be overwritten."""
    if word == 0:
        return at
    after = at + bit_count(word)
    if at + _AT_ONCE <= end:
        for k in range(_AT_ONCE):
            store(places, at + k, first + lowest_bit(word))
            word &= word - 1
        at += _AT_ONCE
    while word != 0:
        store(places, at, first + lowest_bit(word))
        word &= word - 1
        at += 1
    return after


@inlined
def _swap(block, width, mask):
    for k in range(0, WORD, 2 * width):
        for i in range(k, k + width):
            other = ((block[i] >> width) ^ block[i + width]) & mask
            block[i + width] ^= other
            block[i] ^= other << width


@inlined
def transpose(block):
    """Transpose WORD words (WORD,) int64 in place, as a matrix of bits: by its quarters, those of its quarters, and so on."""
    _swap(block, 32, 0x00000000FFFFFFFF)
    _swap(block, 16, 0x0000FFFF0000FFFF)
    _swap(block, 8, 0x00FF00FF00FF00FF)
    _swap(block, 4, 0x0F0F0F0F0F0F0F0F)
    _swap(block, 2, 0x3333333333333333)
    _swap(block, 1, 0x5555555555555555)
