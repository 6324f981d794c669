"""Hand-written vector code in LLVM: sums that its loop vectoriser would pass through memory.

Sums are added to a tile of :data:`COLUMNS` (:func:`add_weighted_rows`) or :func:`product_columns` (:func:`add_product`) neighbouring
numbers. Nothing is checked: the caller respects the bounds and handles the remainder at the edges in plain loops.
"""

from __future__ import annotations

from typing import Any

import numba  # noqa: F401  see cached.py
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from ..compiled import element, has
from ..masks import everywhere

_BYTES = 64 if has("avx512f") else 32 if has("avx2") else 16  # of a vector register
_ACROSS = 4 if _BYTES == 64 else 2  # vectors of a product's tile: with four rows, what the registers hold
ROWS = 4
"""Number of rows in the tile of a matrix product."""
COLUMNS = 64
"""Number of columns in a tile of weighted rows."""


def product_columns(itemsize: int) -> int:
    """Number of columns in a product's tile, for numbers of ``itemsize`` bytes."""
    return _ACROSS * _BYTES // itemsize


class _Tile:
    """Generator of the code of one tile: places in arrays, and sums in registers."""

    def __init__(self, context: Any, builder: Any, number: Any) -> None:
        self.context, self.builder = context, builder
        self.real = context.get_data_type(number)
        self.align = number.bitwidth // 8
        self.lanes = 8 * _BYTES // number.bitwidth
        self.vector = ir.VectorType(self.real, self.lanes)

    def place(self, array_type: Any, array: Any, index: Any) -> Any:
        return element(self.context, self.builder, array_type, array, index)

    def at(self, pointer: Any, k: int) -> Any:
        """Pointer to the k-th vector from ``pointer`` on."""
        moved = self.builder.gep(pointer, [ir.Constant(ir.IntType(64), k * self.lanes)], inbounds=True)
        return self.builder.bitcast(moved, self.vector.as_pointer())

    def load(self, pointer: Any, k: int) -> Any:
        return self.builder.load(self.at(pointer, k), align=self.align)

    def sums(self, pointer: Any, count: int) -> list[Any]:
        """Variables that hold ``count`` vectors from ``pointer`` on; LLVM keeps them in registers."""
        found = [cgutils.alloca_once(self.builder, self.vector) for _ in range(count)]
        for k, variable in enumerate(found):
            self.builder.store(self.load(pointer, k), variable)
        return found

    def add(self, variable: Any, a: Any, b: Any) -> None:
        """Add a b, or b where a is None, to a variable, in one rounding where the processor can."""
        product = b if a is None else self.builder.fmul(a, b, flags=("contract",))
        self.builder.store(self.builder.fadd(self.builder.load(variable), product, flags=("contract",)), variable)

    def keep(self, variables: list[Any], pointer: Any) -> None:
        for k, variable in enumerate(variables):
            self.builder.store(self.builder.load(variable), self.at(pointer, k), align=self.align)


@intrinsic
def add_weighted_rows(typing_context, table, width, column, rows, times, first, last, total):
    """total[column:column + COLUMNS] += sum over e in first .. last - 1 of times[e] * table[rows[e] * width + column ...].

    table, times, total: one-dimensional, of one real type; rows int32. times None: all are 1.
    """

    def code(context, builder, signature, arguments):
        table_, width_, column_, rows_, times_, first_, last_, total_ = arguments
        kinds = signature.args
        tile = _Tile(context, builder, kinds[0].dtype)
        target = tile.place(kinds[7], total_, column_)
        sums = tile.sums(target, COLUMNS // tile.lanes)
        with cgutils.for_range(builder, builder.sub(last_, first_)) as loop:
            e = builder.add(first_, loop.index)
            row = builder.sext(builder.load(tile.place(kinds[3], rows_, e)), ir.IntType(64))
            one = isinstance(kinds[4], types.NoneType)
            weight = None if one else everywhere(tile.builder, tile.vector, builder.load(tile.place(kinds[4], times_, e)))
            source = tile.place(kinds[0], table_, builder.add(builder.mul(row, width_), column_))
            for k, variable in enumerate(sums):
                tile.add(variable, weight, tile.load(source, k))
        tile.keep(sums, target)
        return context.get_dummy_value()

    return types.void(table, types.intp, types.intp, rows, times, types.intp, types.intp, total), code


@intrinsic
def add_product(typing_context, g0, g1, g2, g3, panel, first, column, o0, o1, o2, o3):
    """o[column:column + product_columns] += g (N,) times the panel (N, product_columns) from ``first`` on, for ROWS rows at once.

    All arrays are one-dimensional and of one real type.
    """

    def code(context, builder, signature, arguments):
        kinds = signature.args
        tile = _Tile(context, builder, kinds[0].dtype)
        sources, (panel_, first_, column_), targets = arguments[:4], arguments[4:7], arguments[7:]
        count = make_array(kinds[0])(context, builder, sources[0]).nitems
        places = [tile.place(kinds[7], target, column_) for target in targets]
        step = ir.Constant(ir.IntType(64), _ACROSS * tile.lanes)
        sums = [tile.sums(place, _ACROSS) for place in places]
        with cgutils.for_range(builder, count) as loop:
            row = tile.place(kinds[4], panel_, builder.add(builder.mul(loop.index, step), first_))
            loaded = [tile.load(row, k) for k in range(_ACROSS)]
            for source, variables in zip(sources, sums, strict=True):
                factor = everywhere(tile.builder, tile.vector, builder.load(tile.place(kinds[0], source, loop.index)))
                for variable, vector in zip(variables, loaded, strict=True):
                    tile.add(variable, factor, vector)
        for place, variables in zip(places, sums, strict=True):
            tile.keep(variables, place)
        return context.get_dummy_value()

    return types.void(g0, g1, g2, g3, panel, types.intp, types.intp, o0, o1, o2, o3), code


_LINE = 64  # bytes that a cache fetches at a time


def _prefetch(written: bool) -> Any:
    def prefetch(typing_context, array):
        def code(context, builder, signature, arguments):
            flag, number, line = ir.IntType(32), ir.IntType(64), ir.Constant(ir.IntType(64), _LINE)
            view = make_array(signature.args[0])(context, builder, arguments[0])
            start = builder.bitcast(view.data, ir.IntType(8).as_pointer())
            kind = ir.FunctionType(ir.VoidType(), [start.type, flag, flag, flag])
            fetch = builder.module.declare_intrinsic("llvm.prefetch", [start.type], kind)
            size = builder.mul(view.nitems, ir.Constant(number, signature.args[0].dtype.bitwidth // 8))
            with cgutils.for_range(builder, builder.udiv(size, line)) as loop:
                place = builder.gep(start, [builder.mul(loop.index, line)])
                builder.call(fetch, [place, *(ir.Constant(flag, value) for value in (int(written), 2, 1))])  # into the second cache, data
            return context.get_dummy_value()

        return types.void(array), code

    return prefetch


prefetch = intrinsic(_prefetch(False))
"""``prefetch(array)``: begin to fetch a contiguous array into the second cache, where a processor would not foresee that it is read."""

prefetch_written = intrinsic(_prefetch(True))
"""The same where it will be written to."""
