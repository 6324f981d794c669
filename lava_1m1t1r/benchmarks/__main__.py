"""``python -m lava_1m1t1r.benchmarks NAME OPTIONS``: one table, as the module NAME prints it; Ctrl-C ends it silently."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the module named first; 130 where it was interrupted, 2 where what was given is wrong."""
    if len(sys.argv) < 2:
        print("python -m lava_1m1t1r.benchmarks NAME OPTIONS; lava-1m1t1r bench --list names the tables", file=sys.stderr)
        return 2
    try:
        from .._support.programs import orderly
        from .._support.progress import clock

        with orderly(last=True), clock(sys.argv[1].replace("_", " ")):
            return _run(sys.argv[1], sys.argv[2:])
    except KeyboardInterrupt:
        return 130


def _run(name: str, options: list[str]) -> int:
    from importlib import import_module

    from ..errors import InputError, MissingDependencyError

    sys.argv[0] = f"{__package__}.{name}"  # what a table's own help calls itself
    try:
        return import_module(f"{__package__}.{name}").main(options)
    except (InputError, MissingDependencyError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
