"""Compile once, not once per process: numba's cache, keyed by every source file that a kernel is made of.

numba itself looks at the file of the cached function alone and would keep machine code whose equations, in another file, have changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from numba.core.caching import FunctionCache

from ..compiled import compiled

_CORE = ("arithmetic", "compiled", "dynamics", "exponential", "kernels", "noise", "program")
_HERE = ("cached", "kernels", "neurons", "synapses")


@lru_cache(maxsize=1)
def sources_digest() -> str:
    """Digest of the sources that compiled kernels come from."""
    package = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for name in (*_CORE, *(f"fast/{name}" for name in _HERE)):
        digest.update((package / f"{name}.py").read_bytes())
    return digest.hexdigest()


class _SourcesCache(FunctionCache):
    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return (*super()._index_key(sig, codegen), sources_digest())


def cached(function: Callable) -> Any:
    """Compile as :func:`lava_1m1t1r.compiled.compiled` does, and keep the result on disk where there is a place for it."""
    dispatcher = compiled(function)
    try:
        dispatcher._cache = _SourcesCache(function)
    except RuntimeError:  # no folder to write to: compile in every process
        pass
    return dispatcher
