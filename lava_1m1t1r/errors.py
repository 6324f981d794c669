"""One form for every complaint: which field, which rule, which value, and the cure."""

from __future__ import annotations

from typing import Any


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
    """
    if ok:
        return
    shown = repr(value)
    if len(shown) > 120:
        shown = shown[:117] + "..."
    raise error(f"{field} must {rule}; got {shown}." + (f" {cure}" if cure else ""))


def missing(package: str, extra: str, purpose: str) -> MissingDependencyError:
    """Build the error for an absent optional package (the caller raises it from the ImportError)."""
    return MissingDependencyError(
        f"{purpose} needs the package '{package}', which is not installed. Install it with: pip install 'lava-1m1t1r[{extra}]'."
    )
