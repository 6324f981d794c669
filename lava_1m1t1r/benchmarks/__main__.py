"""``python -m lava_1m1t1r.benchmarks NAME OPTIONS``: the tables of the module NAME, in a process of their own; Ctrl-C ends it silently."""

from __future__ import annotations

import sys

from . import TABLES


def main() -> int:
    """Run the module named first; 1 if a result is not as it must be, 2 where what was given is wrong, 130 or 143 if interrupted."""
    names = [name for name, _ in TABLES.values()]
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        print(f"python -m lava_1m1t1r.benchmarks NAME OPTIONS, with one of {', '.join(names)}; or lava-1m1t1r bench", file=sys.stderr)
        return 2
    from .._support.programs import last_words, orderly
    from .._support.progress import clock

    try:
        with orderly(last=True), clock(sys.argv[1].replace("_", " ")):
            return _run(sys.argv[1], sys.argv[2:])
    except KeyboardInterrupt as stop:
        return last_words(stop)[1]


def _run(name: str, options: list[str]) -> int:
    from importlib import import_module

    from ..errors import InputError, MissingDependencyError

    try:
        from ..export.report import VerificationError  # loads what compiles, which may refuse

        try:
            return import_module(f"{__package__}.{name}").main(options)
        except VerificationError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
    except (InputError, MissingDependencyError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
