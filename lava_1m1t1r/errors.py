"""Error messages in a common format: the field, the rule it breaks, the value given, and how to fix it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from numbers import Real
from typing import Any, TypeVar

import numpy as np

_T = TypeVar("_T")

_LARGEST = sys.float_info.max


class InputError(ValueError):
    """A value from outside breaks a rule. The text names field, rule, value and cure."""


class FormatError(InputError):
    """A file is not in the format it claims. The text names file, place in it, rule and cure."""


class MissingDependencyError(ImportError):
    """An optional package is needed and absent. The text says what to install."""


def require(ok: Any, field: str, rule: str, value: Any, cure: str = "", error: type[Exception] = InputError) -> None:
    """Raise ``error`` unless ``ok``.

    Parameters
    ----------
    ok : bool
        Whether the rule holds.
    field : str
        What was given, as the user typed it: ``"DeviceParams.r_on"``.
    rule : str
        What must hold, to follow "must": ``"be > 0 ohm"``.
    value : object
        What was given instead; shortened in the text.
    cure : str
        What usually mends it: one sentence, may be empty.
    error : type of Exception
        What is raised.
    """
    if not ok:
        raise _failure(field, rule, value, cure, error)


def require_each(good: Any, field: str, rule: str, values: Any, cure: str = "", error: type[Exception] = InputError) -> None:
    """Raise ``error`` unless a rule holds for each number of an array.

    The text shows the first for which it does not, and its place.

    Parameters
    ----------
    good : bool array
        For which numbers the rule holds.
    values : array of this shape
        The numbers.
    field, rule, cure, error
        As for :func:`require`.
    """
    good = np.asarray(good)
    if not good.all():
        place = tuple(map(int, np.unravel_index(int(np.argmin(good)), good.shape)))
        raise _failure(f"{field}{list(place) if place else ''}", rule, np.asarray(values)[place], cure, error)


def given(value: _T | None, field: str, rule: str, shown: Any = None, cure: str = "", error: type[Exception] = InputError) -> _T:
    """Return a value that is not None; of None raise ``error``, as :func:`require` does.

    Parameters
    ----------
    value : object or None
        What must be there.
    field, rule, cure, error
        As for :func:`require`.
    shown : object
        What the text says was given instead.
    """
    if value is None:
        raise _failure(field, rule, shown, cure, error)
    return value


def _failure(field: str, rule: str, value: Any, cure: str, error: type[Exception]) -> Exception:
    """Error of a rule that does not hold."""
    shown = repr(value.item() if isinstance(value, np.generic) else value)  # no array(0.5): that is none where a number is asked for
    shown = " ".join(shown.split())  # arrays take several lines
    if len(shown) > 120:
        shown = shown[:117] + "..."
    return error(f"{field} must {rule}; got {shown}." + (f" {cure}" if cure else ""))


def missing(package: str, extra: str, purpose: str, error: ImportError | ValueError | None = None) -> MissingDependencyError:
    """Build the error for an optional package that is absent or does not load (the caller raises it from the ImportError).

    Parameters
    ----------
    package : str
        Name of the package.
    extra : str
        Extra of this library that installs it, such as ``"report"``.
    purpose : str
        What needs it, as the subject of the sentence.
    error : ImportError or ValueError, optional
        What importing it raised. Unless it says that there is no such package, the package is installed and does not load.
    """
    only = lava_python() if extra == "lava" else ""
    install = f"pip install 'lava-1m1t1r[{extra}]' (in a checkout: pip install '.[{extra}]').{only}"
    if error is not None and not (isinstance(error, ModuleNotFoundError) and _top(error.name) == _top(package)):
        # not --force-reinstall: it takes the newest version, and a numpy that Lava refuses
        cure = f"Install it anew with: pip uninstall {package}, then {install}"
        return MissingDependencyError(does_not_load(package, purpose, error, cure))
    return MissingDependencyError(f"{purpose} needs the package '{package}', which is not installed. Install it with: {install}")


def does_not_load(package: str, purpose: str, error: Exception, cure: str) -> str:
    """Sentences about a package that is installed, and fails when it is imported."""
    return f"{purpose} needs the package '{package}', which is installed and does not load ({type(error).__name__}: {error}). {cure}"


def _top(name: str | None) -> str:
    """Name of the module, without its submodules, of a package or an import."""
    return (name or "").replace("-", "_").partition(".")[0]


def lava_python() -> str:
    """Sentence that says that Lava's packages need another Python than this one; empty where this is theirs."""
    here = sys.version_info[:2]
    return f" Lava runs on Python 3.10 only; this is Python {here[0]}.{here[1]}." if here != (3, 10) else ""


def _own(value: Any) -> Any:
    """A number of numpy's as Python's own: numpy 2 cuts a bound to the width of a narrow one before it compares. What else numpy holds,
    durations among it, as text: no number."""
    return value if not isinstance(value, np.generic) else value.item() if value.dtype.kind in "biuf" else str(value)


def _is_real(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def number(
    value: Any,
    field: str,
    *,
    above: float | None = None,
    least: float | None = None,
    most: float | None = None,
    cure: str = "",
    error: type[Exception] = InputError,
) -> float:
    """Return a finite real number as a float; an InputError, or another ``error``, says what it must be.

    Parameters
    ----------
    value : object
        What was given.
    field : str
        What errors call it.
    above, least, most : float, optional
        Bounds: > above, >= least, <= most.
    cure : str
        What usually mends it: one sentence, may be empty.
    error : type
        Exception to raise.
    """
    value = _own(value)
    good = _is_real(value) and -_LARGEST <= value <= _LARGEST  # nan compares false
    good = good and (above is None or value > above) and (least is None or value >= least) and (most is None or value <= most)
    if not good:
        told = ((">", above, told_least), (">=", least, told_least), ("<=", most, told_most))
        bounds = [f"{sign} {text(bound, 6)}" for sign, bound, text in told if bound is not None]
        raise _failure(field, " and ".join(["be a finite number", *bounds]), value, cure, error)
    return float(value)


def whole(value: Any, field: str, *, least: int = 0, most: int = 2**63 - 1, cure: str = "") -> int:
    """Return a whole number (of type int, or a float without fraction) as an int; an InputError says what it must be.

    Parameters
    ----------
    value : object
        What was given.
    field : str
        What errors call it.
    least, most : int
        Smallest and largest value allowed.
    cure : str
        What usually mends it: one sentence, may be empty.
    """
    value = _own(value)
    good = _is_real(value) and least <= value <= most and int(value) == value
    told = most < 2**63 - 1 or (_is_real(value) and value > most)  # the limit of 64 bits is named only to whoever exceeds it
    require(good, field, f"be a whole number from {least} to {most}" if told else f"be a whole number >= {least}", value, cure)
    return int(value)


def is_whole(value: Any, least: int, most: int | None = None) -> bool:
    """Whether a value is an integer, of Python or numpy, within bounds; truth values and floats are none."""
    good = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return bool(good and least <= value and (most is None or value <= most))


def workers_of(value: Any, field: str, what: str = "threads") -> int:
    """Return a number of workers, or -1 for one per core; an InputError says what it must be.

    Parameters
    ----------
    value : object
        What was given: 1 to 4096, or -1 for all cores.
    field : str
        What errors call it.
    what : str
        Kind of workers, for the error's text.
    """
    value = _own(value)
    rule = f"be a number of {what} from 1 to 4096, or -1 for all cores"
    require(_is_real(value) and (value == -1 or (1 <= value <= 4096 and int(value) == value)), field, rule, value)
    return int(value)


def numbers(value: Any, field: str, dims: tuple[int, ...] = (1,), shape: str = "(N,)") -> np.ndarray:
    """Return finite real numbers as a float64 array that is not empty; an InputError says what they must be.

    Parameters
    ----------
    value : object
        What was given; arrays of masked values are refused.
    field : str
        What errors call it.
    dims : tuple of int
        Numbers of dimensions allowed.
    shape : str
        Shape in words, for the error's text.
    """
    array = given(_plain_array(value, "iuf"), field, f"hold real numbers, {shape}", value).astype(np.float64)
    require(array.ndim in dims and array.size > 0, field, f"have the shape {shape} and not be empty", array.shape)
    require(np.all(np.isfinite(array)), field, "be finite", array)
    return array


def array_of(value: Any, field: str, what: str = "hold real numbers", cure: str = "") -> np.ndarray:
    """Return numbers of any shape as an array of their own type; an InputError says what they must be. nan and inf are allowed.

    Parameters
    ----------
    value : object
        What was given; arrays of masked values are refused.
    field : str
        What errors call it.
    what : str
        Rule for the error's text, to follow "must".
    cure : str
        What usually mends it, of values that are no tensor.
    """
    cure = "Call the tensor's detach().float().cpu()." if hasattr(value, "detach") else cure
    return given(_plain_array(value, "biuf"), field, what, value, cure)


def _plain_array(value: Any, kinds: str) -> np.ndarray | None:
    """Value as an array of one of these kinds, or None: masked values are none, for numpy drops the mask."""
    try:
        if _is_masked(value):
            return None
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):  # rows of unequal length; tensors of a GPU, or with a gradient; a list in itself
        return None
    return array if array.dtype.kind in kinds else None


def _is_masked(value: Any) -> bool:
    """Whether values are masked, in a list of arrays, too."""
    if isinstance(value, (list, tuple)):
        kinds = set(map(type, value))  # first: lists of numbers alone, such as live input, are looked through in no time
        return any(issubclass(kind, (list, tuple, np.ma.MaskedArray)) for kind in kinds) and any(map(_is_masked, value))
    return isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value)


def listed(values: Sequence[Any], most: int = 10) -> str:
    """The first of some values, for a message."""
    return ", ".join(map(str, values[:most])) + (", ..." if len(values) > most else "")


def counted(number: int, noun: str) -> str:
    """A number of things, for a message: "1 class", "2 classes"."""
    return f"{number} {noun}" + ("" if number == 1 else "es" if noun.endswith("s") else "s")


def three_digits(value: float) -> str:
    """A number with three digits, or with all of those before the point, if these are more."""
    return f"{value:.0f}" if abs(value) >= 999.5 else f"{value:.3g}"


def told_least(bound: float, digits: int = 3) -> str:
    """The least value that will do, for a message: rounded up, where rounding would fall below it."""
    return _told(bound, digits, ROUND_CEILING, lambda told: told >= bound)


def told_most(bound: float, digits: int = 3) -> str:
    """The largest value that will do, for a message: rounded down, where rounding would rise above it."""
    return _told(bound, digits, ROUND_FLOOR, lambda told: told <= bound)


def _told(bound: float, digits: int, direction: str, will_do: Callable[[float], bool]) -> str:
    nearest = f"{bound:.{digits}g}"
    if will_do(float(nearest)):
        return nearest
    return f"{float(Context(digits, direction).create_decimal_from_float(float(bound))):.{digits}g}"


def flag(value: Any, field: str) -> bool:
    """Return a truth value; an InputError says what it must be."""
    require(isinstance(value, (bool, np.bool_)), field, "be True or False", value)
    return bool(value)


def option_name(name: str) -> str:
    """Return an option as the user types it, from the name of its argument."""
    return f"--{name.replace('_', '-')}"
