"""How this library's inner loops are compiled, so that LLVM can run them eight neurons at a time.

What keeps LLVM from vectorising a loop over neurons that reads tables is the possibility that a store to a state changes a table. It is
ruled out by marking table reads and state accesses as never overlapping. The results are the same either way; the marks make the loops
four times as fast. Reference counting of the arrays inside a NamedTuple is switched off: these functions allocate nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_type_hints

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from ._support import aligned
from .errors import require

require(
    not numba.config.DISABLE_JIT, "NUMBA_DISABLE_JIT", "be unset", "1", "The loops are written for the compiler, and do not run without it."
)


def compiled(function: Callable) -> Any:
    """Compile a function that allocates nothing and whose integers never divide."""
    return numba.njit(_nrt=False, error_model="numpy", nogil=True)(function)


def inlined(function: Callable) -> Any:
    """Compile as :func:`compiled`, always as part of the caller: LLVM does not inline larger functions, and then cannot vectorise the
    loop."""
    return numba.njit(_nrt=False, error_model="numpy", nogil=True, forceinline=True)(function)


def contracted(function: Callable) -> Any:
    """Compile as :func:`compiled`, and let LLVM round a product and the sum it goes into once: for numbers that no other must equal bit for
    bit."""
    return numba.njit(_nrt=False, error_model="numpy", nogil=True, fastmath={"contract"})(function)


def contracted_inline(function: Callable) -> Any:
    """Compile as :func:`contracted`, always as part of the caller, as :func:`inlined` does."""
    return numba.njit(_nrt=False, error_model="numpy", nogil=True, fastmath={"contract"}, forceinline=True)(function)


def allocating(function: Callable) -> Any:
    """Compile a loop that makes arrays. Division by zero is an error."""
    return numba.njit(nogil=True)(function)


def plain(value: Any) -> Any:
    """Return a NamedTuple, and those within it, as plain tuples of the same arrays, which :func:`named` takes.

    In each call numba looks at a tuple without names for 1 us, at a NamedTuple of as many arrays for 5.
    """
    return tuple(map(plain, value)) if hasattr(value, "_fields") else value


def _named(kind: type, values: Any) -> Any:
    """numba's type of a NamedTuple of values of these types; those within it are what the annotations say."""
    fields = zip(get_type_hints(kind).values(), values.types, strict=True)
    return types.BaseTuple.from_types(tuple(_named(hint, one) if hasattr(hint, "_fields") else one for hint, one in fields), kind)


@intrinsic
def named(typing_context, kind, values):
    """``named(kind, values)``: the NamedTuple that was given as a :func:`plain` tuple. No code: both lie alike in memory."""

    def code(context, builder, signature, arguments):
        return arguments[1]

    return _named(kind.instance_class, values)(kind, values), code


TABLES = "tables"
"""Name of the LLVM scope that holds tables and constants, and no state."""


def scopes(module: Any, *names: str) -> Any:
    """LLVM metadata naming scopes of memory; scopes exclude each other only within one domain."""
    domain = module.add_metadata([ir.MetaDataString(module, "lava_1m1t1r")])
    return module.add_metadata([module.add_metadata([ir.MetaDataString(module, name), domain]) for name in names])


def element(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """Pointer to an element of an array, without a bounds check."""
    data = make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index], inbounds=True)


def _loader(mark: str) -> Callable:
    def load(typing_context, array, index):
        wide = types.int64 if isinstance(array.dtype, types.Integer) else array.dtype

        def code(context, builder, signature, arguments):
            kind = signature.args[0].dtype
            value = builder.load(element(context, builder, signature.args[0], *arguments))
            value.set_metadata(mark, scopes(builder.module, TABLES))
            if isinstance(kind, types.Integer) and kind.bitwidth < 64:
                extend = builder.sext if kind.signed else builder.zext
                value = extend(value, ir.IntType(64))
            return value

        return wide(array, types.intp), code

    return load


read = intrinsic(_loader("alias.scope"))
"""``read(array, i)``: element of a table or constant; integers become int64. Bounds are not checked, negative indices not allowed."""

load = intrinsic(_loader("noalias"))
"""``load(array, i)``: element of a state that the same loop stores to; integers become int64."""


@intrinsic
def store(typing_context, array, index, value):
    """``store(array, i, value)``: write an element of a state, cut to the array's width."""
    wide = types.int64 if isinstance(array.dtype, types.Integer) else array.dtype

    def code(context, builder, signature, arguments):
        array_value, index_value, new = arguments
        kind = signature.args[0].dtype
        if isinstance(kind, types.Integer) and kind.bitwidth < 64:
            new = builder.trunc(new, ir.IntType(kind.bitwidth))
        place = element(context, builder, signature.args[0], array_value, index_value)
        builder.store(new, place).set_metadata("noalias", scopes(builder.module, TABLES))
        return context.get_dummy_value()

    return types.void(array, types.intp, wide), code


_FEATURES = get_host_cpu_features() if numba.config.CPU_FEATURES is None else numba.config.CPU_FEATURES
_GATHERS = f'"target-features"="{_FEATURES},+fast-gather"'


def has(feature: str) -> bool:
    """Whether numba compiles for a processor that has a feature, by LLVM's name of it."""
    return f"+{feature}" in _FEATURES.split(",")


@intrinsic
def widest_vectors(typing_context):
    """``widest_vectors()``: let LLVM use 512-bit registers in the calling function, which it avoids by itself, and read tables in vectors.

    Without AVX-512 it takes such reads (gathers) for slow on most processors, and reads one number at a time. A neuron and fixed-point
    substep takes 4.4 ns with 512 bits, and with 256 bits 6.3 ns in place of 17 (AMD EPYC with AVX-512, told to do without, 256 neurons). To
    be called in the outermost of the functions that are inlined into one.
    """

    def code(context, builder, signature, arguments):
        # llvmlite writes attributes as they stand, but its own method takes known names only.
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        if has("avx2"):
            set.add(builder.function.attributes, _GATHERS)
        return context.get_dummy_value()

    return types.void(), code


class _Loop(ir.MDValue):
    """Metadata of a loop, whose first operand is itself, as LLVM requires."""

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


_VECTORS = 4


@intrinsic
def interleave_loops(typing_context):
    """``interleave_loops()``, last in a function: let its loops, which must end in a ``store``, work on several vectors at once.

    A neuron's step is one long chain of operations that wait for each other, longer than a processor looks ahead: with one vector at a
    time it waits a third of the time (7.3 ns a neuron and fixed-point substep in place of 5.0: AMD EPYC, AVX-512, 256 neurons).
    """

    def code(context, builder, signature, arguments):
        module = builder.module
        count = module.add_metadata([ir.MetaDataString(module, "llvm.loop.interleave.count"), ir.Constant(ir.IntType(32), _VECTORS)])
        first = builder.function.blocks[1]  # numba links the entry block, which holds variables, to it last
        for branch in _closing_branches(first, set(), set()):
            branch.set_metadata("llvm.loop", _Loop(module, (count,)))
        return context.get_dummy_value()

    return types.void(), code


LANES = 8 * _VECTORS
"""Number of neurons that such a loop steps at a time. Neurons left over are stepped one by one, each in the time of a whole vector: it is
better to fill layers up to a multiple."""


def filled(size: int) -> int:
    """Number of neurons, with those that fill up the last lanes."""
    return -(-size // LANES) * LANES


def repeated(values: np.ndarray, size: int, times: int = 1) -> np.ndarray:
    """Values of neurons (N,), repeated ``times`` in turn, then filled up to ``size`` with the last one: for neurons that fill up a layer.

    Parameters
    ----------
    values : (N,) array
        One value per neuron.
    size : int
        Length of the result, at least ``N * times``.
    times : int
        Number of repetitions.
    """
    values = np.tile(values, times)
    longer = aligned.empty(size, values.dtype)
    longer[: values.size], longer[values.size :] = values, values[-1]
    return longer


@intrinsic
def fused(typing_context, a, b, c):
    """``fused(a, b, c)``: a * b + c in float64, rounded once where the processor has an instruction for that, else twice.

    Called wherever it is meant, and not left to LLVM, which would round a loop's last neurons differently from the others.
    """

    def code(context, builder, signature, arguments):
        return builder.fma(*arguments) if has("fma") else builder.fadd(builder.fmul(*arguments[:2]), arguments[2])

    return types.float64(types.float64, types.float64, types.float64), code


_TWO_52 = 0x433 << 52
"""Bit pattern of 2^52 in float64, whose unit in the last place is 1."""


@intrinsic
def float64_bits(typing_context, number):
    """``float64_bits(i)``: bits of the float64 that equals i, an int64 in [0, 2^52). Its exponent counts the leading zeros.

    Computed by adding and subtracting 2^52: processors without AVX-512 neither convert int64 nor count zeros in vectors.
    """

    def code(context, builder, signature, arguments):
        double = ir.DoubleType()
        large = builder.bitcast(builder.or_(arguments[0], ir.Constant(ir.IntType(64), _TWO_52)), double)
        return builder.bitcast(builder.fsub(large, ir.Constant(double, 2.0**52)), ir.IntType(64))

    return types.int64(types.int64), code
