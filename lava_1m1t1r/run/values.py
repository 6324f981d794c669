"""Values of Vars inside ProcessModels: arrays, numbers, text and sparse matrices."""

from __future__ import annotations

import math

import numpy as np
from lava.magma.core.process.variable import Var
from lava.utils.sparse import find
from scipy.sparse import csr_matrix, issparse

from ..errors import InputError, array_of, require


def write(field: str, model, name: str, value) -> None:
    """Set ``model.name``.

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
    old = _held(field, model, name)
    if issparse(old):
        setattr(model, name, _same_places(field, old, value))
    elif isinstance(old, str):
        require(isinstance(value, str), field, "be a str", value)
        setattr(model, name, value)
    elif isinstance(old, np.ndarray):
        old[...] = _fitting(field, old, _numbers(field, old, value))
    else:
        new = _numbers(field, old, value)
        require(new.size == 1, field, "be one number", value)
        setattr(model, name, type(old)(_fitting(field, np.asarray(old), new.reshape(())).item()))


def _held(field: str, model, name: str):
    old = getattr(model, name)
    require(old is not None, field, "be there in the ProcessModel to be set", old)  # as parts of learning rules may not be
    return old


NUMBERS_RULE = "hold real numbers of at most 64 bits"


def _numbers(field: str, old, value) -> np.ndarray:
    both_complex = np.iscomplexobj(old) and np.iscomplexobj(value)
    return np.asarray(value) if both_complex else array_of(value, field, NUMBERS_RULE)


def check_fits(field: str, shape: tuple[int, ...], new: np.ndarray) -> None:
    """Check that an array has a shape, or can be broadcast to it.

    Parameters
    ----------
    field : str
        What errors call the value.
    shape : tuple of int
        Shape to fit.
    new : array
        The value.
    """
    sides = zip(new.shape[::-1], shape[::-1], strict=False)
    fits = new.ndim <= len(shape) and all(n in (1, m) for n, m in sides)
    require(fits, field, f"fit shape {shape}", new.shape)


def _fitting(field: str, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    check_fits(field, old.shape, new)
    _check_type(field, old.dtype, new)
    return new


def _check_type(field: str, kind: np.dtype, new: np.ndarray) -> None:
    with np.errstate(invalid="ignore"):  # nan as an integer: any, and then not equal
        kept = kind.kind in "fc" or np.array_equal(new.astype(kind), new)
    require(kept, field, f"hold values of type {kind}", new)


def _same_places(field: str, old: csr_matrix, value) -> csr_matrix:
    require(issparse(value) and value.shape == old.shape, field, f"be a sparse matrix of shape {old.shape}", value)
    new = value.tocsr()
    before, after = _entries(old), _entries(new)
    same = all(np.array_equal(a, b) for a, b in zip(before[:2], after[:2], strict=True))
    rule = f"keep the {len(before[0])} non-zero places that the ProcessModel has (a fixed-point one rounds small weights away)"
    require(same, field, rule, f"{new.nnz} entries")
    _check_type(field, old.dtype, new.data)
    return new.astype(old.dtype)


def _entries(matrix: csr_matrix) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and values in Lava's order, zeros among them; Lava's own function fails where there are none."""
    if not matrix.nnz:
        return np.empty(0, int), np.empty(0, int), np.empty(0)
    return find(matrix, explicit_zeros=True)


def as_lava_reads(model, name: str, var: Var, idx) -> np.ndarray:
    """``model.name`` as Lava's Runtime returns it: float64 in the Var's shape, sparse matrices as flat arrays.

    What the model holds less of (a number for a whole array, a shorter text) is filled up with zeros.
    """
    value = getattr(model, name)
    if isinstance(value, str):
        value = np.frombuffer(value.encode("ascii"), np.uint8)
    elif issparse(value):
        value = _entries(value)[2]
    value = np.atleast_1d(np.array(value, np.float64))
    size = math.prod(var.shape)
    if value.size <= size and not isinstance(var.init, csr_matrix):
        filled = np.zeros(size)
        filled[: value.size] = value.ravel()
        value = filled.reshape(var.shape)
    return indexed(f"get: {var.name}", value, idx)


def indexed(field: str, value: np.ndarray, idx) -> np.ndarray:
    """Return ``value[idx]``, or the value where ``idx`` counts as false: what Lava takes of a value that is set or got."""
    cure = "An index is one of the values themselves: a number, a slice or a list; for Lava takes no arrays."
    require(not isinstance(idx, np.ndarray) or idx.size == 1, f"{field}: idx", "be no array", idx, cure)
    try:
        return value[idx] if idx else value
    except (IndexError, TypeError) as error:
        raise InputError(f"{field}: idx must be an index of values of shape {value.shape}; got {idx!r}: {error}. {cure}") from error


def as_lava_writes(field: str, model, name: str, value, idx) -> None:
    """Set ``model.name`` as Lava's Runtime does: one float64 after the other, numbers of type int become float.

    Fewer values than the array has leave the rest as it is.
    """
    old = _held(field, model, name)
    value = array_of(value, field, NUMBERS_RULE)
    flat = indexed(field, value, idx).astype(np.float64).ravel()
    if issparse(old):
        rows, columns, _ = _entries(old)
        held = f"be given {len(rows)} values, as many as the ProcessModel has entries (a fixed-point one rounds small weights away)"
        require(flat.size == len(rows), field, held, flat.size)
        setattr(model, name, csr_matrix((flat, (rows, columns)), old.shape))
    elif isinstance(old, str):
        setattr(model, name, bytes(flat.astype(np.uint8)).decode("ascii"))
    elif isinstance(old, np.ndarray):
        require(flat.size <= old.size, field, f"be given at most {old.size} values", flat.size)
        whole = old.dtype.kind == "i"
        require(not whole or np.all(np.abs(flat) < 2**63), field, f"hold finite numbers of at most 64 bits, for {old.dtype}", flat)
        _fill_as_it_lies_in_memory(old, flat)
    else:
        setattr(model, name, old.dtype.type(flat[0]) if isinstance(old, np.generic) else flat[0].item())


def _fill_as_it_lies_in_memory(array: np.ndarray, flat: np.ndarray) -> None:
    """Fill an array in the order in which it lies in memory, as Lava does: another order where a model holds a transposed array."""
    done = 0
    with np.nditer(array, ["external_loop", "zerosize_ok"], [["readwrite"]]) as runs:
        for _ in runs:
            run = runs[0]
            part = flat[done : done + run.size]
            if array.dtype.kind == "i" or array.dtype == np.uint32:  # as Lava's cast of single numbers does: what is too large wraps
                part = part.astype(np.int64)
            run[: part.size] = part
            done += run.size
