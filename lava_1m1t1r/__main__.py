"""``python -m lava_1m1t1r`` is the command ``lava-1m1t1r``."""

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
