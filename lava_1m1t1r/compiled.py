"""How this library's inner loops are compiled, so that LLVM can run them eight neurons at a time.

Two things keep LLVM from vectorising a loop over neurons that reads tables: reference counting of the arrays inside a NamedTuple
(switched off: these functions allocate nothing), and the fear that a store to a state might change a table (taken away by marking
table reads and state accesses as never overlapping). The numbers are the same either way; the speed differs by a factor of two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding
import numba
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array


def compiled(function: Callable) -> Any:
    """Compile a function that allocates nothing and whose integers never divide."""
    return numba.njit(_nrt=False, error_model="numpy", nogil=True)(function)


def inlined(function: Callable) -> Any:
    """As :func:`compiled`, and always part of its caller: LLVM leaves larger functions out, and then cannot vectorise the loop around."""
    return numba.njit(_nrt=False, error_model="numpy", nogil=True, forceinline=True)(function)


def _tables(module: Any) -> Any:
    """LLVM metadata naming the memory that no state lies in."""
    domain = module.add_metadata([ir.MetaDataString(module, "lava_1m1t1r")])
    return module.add_metadata([module.add_metadata([ir.MetaDataString(module, "tables"), domain])])


def _element(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index], inbounds=True)


def _loader(mark: str) -> Callable:
    def load(typing_context, array, index):
        wide = types.int64 if isinstance(array.dtype, types.Integer) else array.dtype

        def code(context, builder, signature, arguments):
            kind = signature.args[0].dtype
            value = builder.load(_element(context, builder, signature.args[0], *arguments))
            value.set_metadata(mark, _tables(builder.module))
            if isinstance(kind, types.Integer) and kind.bitwidth < 64:
                extend = builder.sext if kind.signed else builder.zext
                value = extend(value, ir.IntType(64))
            return value

        return wide(array, types.intp), code

    return load


read = intrinsic(_loader("alias.scope"))
"""``read(array, i)``: element of a table or constant, integers widened to int64. No bounds check, no negative index."""

load = intrinsic(_loader("noalias"))
"""``load(array, i)``: element of a state that the same loop stores to, integers widened to int64."""


@intrinsic
def store(typing_context, array, index, value):
    """``store(array, i, value)``: write an element of a state, cut to the array's width."""
    wide = types.int64 if isinstance(array.dtype, types.Integer) else array.dtype

    def code(context, builder, signature, arguments):
        array_value, index_value, new = arguments
        kind = signature.args[0].dtype
        if isinstance(kind, types.Integer) and kind.bitwidth < 64:
            new = builder.trunc(new, ir.IntType(kind.bitwidth))
        place = _element(context, builder, signature.args[0], array_value, index_value)
        builder.store(new, place).set_metadata("noalias", _tables(builder.module))
        return context.get_dummy_value()

    return types.void(array, types.intp, wide), code


@intrinsic
def widest_vectors(typing_context):
    """``widest_vectors()``: let LLVM use 512-bit registers in the calling function, which it avoids by itself. No effect without them.

    The table reads gain from them: 6.4 ns a neuron and substep in place of 9.0 (Xeon with AVX-512, 256 neurons).
    """

    def code(context, builder, signature, arguments):
        # llvmlite writes attributes as they stand, but its own method takes known names only.
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.void(), code


class _Loop(ir.MDValue):
    """Metadata of a loop, whose first operand is itself, as LLVM wants it."""

    def __init__(self, module: Any, properties: tuple) -> None:
        super().__init__(module, properties, name=str(len(module.metadata)))
        self.operands = (self, *properties)


def _closing_branches(block: Any, seen: set, open_blocks: set) -> Any:
    """Branches that go back to the start of their loop, among the blocks that can be reached from ``block``."""
    seen.add(block)
    open_blocks.add(block)
    for target in () if block.terminator is None else block.terminator.operands:
        if target in open_blocks:
            yield block.terminator
        elif isinstance(target, ir.Block) and target not in seen:
            yield from _closing_branches(target, seen, open_blocks)
    open_blocks.remove(block)


_TOGETHER = 4 if llvmlite.binding.get_host_cpu_features().get("avx512f", False) else 2


@intrinsic
def interleave_loops(typing_context):
    """``interleave_loops()``, last in a function: let its loops, which must end in a ``store``, work on several vectors at once.

    A neuron's step is one long chain of operations that wait for each other, longer than a processor looks ahead: with one vector at a
    time it waits 40 % of the time (7.3 ns a neuron and fixed-point substep in place of 5.0, 20 in place of 12 in floating point: AMD EPYC,
    AVX-512, 256 neurons).
    """

    def code(context, builder, signature, arguments):
        module = builder.module
        count = module.add_metadata([ir.MetaDataString(module, "llvm.loop.interleave.count"), ir.Constant(ir.IntType(32), _TOGETHER)])
        first = builder.function.blocks[1]  # numba links the entry block, which holds variables, to it last
        for branch in _closing_branches(first, set(), set()):
            branch.set_metadata("llvm.loop", _Loop(module, (count,)))
        return context.get_dummy_value()

    return types.void(), code


COUNTS_ZEROS = llvmlite.binding.get_host_cpu_features().get("avx512cd", False)
"""Whether this processor counts leading zeros in vectors."""


@intrinsic
def leading_zeros(typing_context, number):
    """``leading_zeros(i)``: zero bits above the highest set bit of an int64 > 0."""

    def code(context, builder, signature, arguments):
        return builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), code
