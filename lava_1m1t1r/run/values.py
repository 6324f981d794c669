"""Values of Vars inside ProcessModels: arrays, numbers, text and sparse matrices."""

from __future__ import annotations

import numpy as np
from lava.utils.sparse import find
from scipy.sparse import csr_matrix, issparse

from lava_1m1t1r.errors import require


def write(field: str, model, name: str, value) -> None:
    """Set ``model.name``, and tell the model.

    Parameters
    ----------
    field : str
        What errors call it.
    model : AbstractPyProcessModel
    name : str
        Attribute of the model.
    value : array_like, sparse matrix, number or str
        Of the attribute's kind; arrays are broadcast, sparse matrices keep their non-zero places.
    """
    old = getattr(model, name)
    if issparse(old):
        setattr(model, name, _same_places(field, old, value))
    elif isinstance(old, np.ndarray):
        old[...] = _fitting(field, old, np.asarray(value))
    else:
        require(isinstance(value, str) == isinstance(old, str), field, f"be a {type(old).__name__}", value)
        setattr(model, name, value if isinstance(old, str) else type(old)(np.asarray(value).item()))
    model.on_var_update()


def _fitting(field: str, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    sides = zip(new.shape[::-1], old.shape[::-1], strict=False)
    fits = new.ndim <= old.ndim and all(n in (1, m) for n, m in sides)
    require(fits, field, f"fit shape {old.shape}", new.shape)
    kept = np.can_cast(new.dtype, old.dtype, "same_kind") or np.array_equal(new.astype(old.dtype), new)
    require(kept, field, f"hold values of type {old.dtype}", new)
    return new


def _same_places(field: str, old: csr_matrix, value) -> csr_matrix:
    require(issparse(value) and value.shape == old.shape, field, f"be a sparse matrix of shape {old.shape}", value)
    new = value.tocsr()
    before, after = find(old, explicit_zeros=True), find(new, explicit_zeros=True)
    same = all(np.array_equal(a, b) for a, b in zip(before[:2], after[:2], strict=True))
    require(same, field, "keep its non-zero places", f"{new.nnz} entries")
    return new.astype(old.dtype)


def as_lava_reads(model, name: str, idx=None) -> np.ndarray:
    """``model.name`` as Lava's Runtime returns it: float64, sparse matrices and text as flat arrays."""
    value = getattr(model, name)
    if isinstance(value, str):
        value = np.frombuffer(value.encode("ascii"), np.uint8)
    elif issparse(value):
        value = find(value, explicit_zeros=True)[2]
    value = np.atleast_1d(np.array(value, np.float64))
    return value[idx] if idx else value


def as_lava_writes(model, name: str, value, idx=None) -> None:
    """Set ``model.name`` as Lava's Runtime does: one float64 after the other, numbers of type int become float."""
    old = getattr(model, name)
    value = np.asarray(value)
    flat = (value[idx] if idx else value).astype(np.float64).ravel()
    if issparse(old):
        rows, columns, _ = find(old)
        setattr(model, name, csr_matrix((flat, (rows, columns)), old.shape))
    elif isinstance(old, str):
        setattr(model, name, bytes(flat.astype(np.uint8)).decode("ascii"))
    elif isinstance(old, np.ndarray):
        old.flat[: flat.size] = flat
    else:
        setattr(model, name, old.dtype.type(flat[0]) if isinstance(old, np.generic) else flat[0].item())
    model.on_var_update()
