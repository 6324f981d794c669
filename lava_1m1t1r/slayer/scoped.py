"""Array access that tells LLVM which arrays never overlap, for loops with more arrays than it would check at run time.

Every array of a compiled function belongs to one scope: tables (``read`` of :mod:`..compiled`), states, or locals; an access to one
scope is marked as never overlapping the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba  # noqa: F401  see cached.py
from numba.core import types
from numba.extending import intrinsic

from ..compiled import TABLES, element, scopes

_SCOPES = (TABLES, "states", "locals")


def _marked(instruction: Any, module: Any, scope: str) -> None:
    instruction.set_metadata("alias.scope", scopes(module, scope))
    instruction.set_metadata("noalias", scopes(module, *(other for other in _SCOPES if other != scope)))


def _loader(scope: str) -> Callable:
    def load(typing_context, array, index):
        def code(context, builder, signature, arguments):
            value = builder.load(element(context, builder, signature.args[0], *arguments))
            _marked(value, builder.module, scope)
            return value

        return array.dtype(array, types.intp), code

    return load


def _storer(scope: str) -> Callable:
    def store(typing_context, array, index, value):
        def code(context, builder, signature, arguments):
            array_value, index_value, new = arguments
            instruction = builder.store(new, element(context, builder, signature.args[0], array_value, index_value))
            _marked(instruction, builder.module, scope)
            return context.get_dummy_value()

        return types.void(array, types.intp, array.dtype), code

    return store


load_state, store_state = intrinsic(_loader("states")), intrinsic(_storer("states"))
"""``load_state(array, i)``, ``store_state(array, i, value)``: read and write an element of a state. Bounds are not checked, negative
indices not allowed."""
load_local, store_local = intrinsic(_loader("locals")), intrinsic(_storer("locals"))
"""``load_local(array, i)``, ``store_local(array, i, value)``: the same for the values that a substep keeps for its reverse."""
