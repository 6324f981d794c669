"""The command ``lava-1m1t1r``, also as ``python -m lava_1m1t1r``: Ctrl-C prints one line, even while modules are still loading."""

from __future__ import annotations


def main() -> int:
    """Run the command and return its exit code: see :func:`.cli.main`."""
    try:
        from .cli import main as command

        return command()
    except KeyboardInterrupt as stop:
        import signal

        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the next one shall not disturb the answer to this
        from ._support.programs import last_words
        from ._support.progress import tell

        text, code = last_words(stop)
        tell(f"lava-1m1t1r: {text}.")
        return code


if __name__ == "__main__":
    raise SystemExit(main())
