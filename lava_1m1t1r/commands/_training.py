"""What the results beside a network's file say of the training that it comes from."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from .._support.paths import is_file
from .._support.progress import hint
from ..recipes import RESULTS_FILE
from ._common import MOST


class Training:
    """The results of a training in the folder of a network's file; nothing where there are none, or where they tell of other networks.

    Data are known by their name, and by the file that they are in: unless the file of the training is no more where it was, for people
    move files.
    """

    def __init__(self, net: Any) -> None:
        self.path = Path(net.source).parent / RESULTS_FILE
        self.found = _results(self.path, net)
        files = self.found.get("files")
        self._files: dict[str, Any] = files if isinstance(files, dict) else {}

    def knows(self, name: str, given: str | None, channels: int | None = None) -> bool:
        """Whether the network was trained on the data called ``name``, or tested after its training.

        Parameters
        ----------
        name : str
            Name of the data, see :func:`.recipes.data.name_of`.
        given : str or None
            Their file; None for data that are made.
        channels : int, optional
            Their number of channels: another than that of the training is not known.
        """
        from ..recipes.data import name_of

        test = self._files.get("test_data")
        trained = self._is(name, self.found.get("data"), "data", given)
        tested = isinstance(test, str) and self._is(name, name_of(test), "test_data", given)
        return (trained or tested) and (channels is None or self.found.get("channels", channels) == channels)

    def _is(self, name: str, known: Any, key: str, given: str | None) -> bool:
        file = self._files.get(key)
        if name != known or given is None or not isinstance(file, str):
            return name == known
        try:
            return not os.path.exists(file) or os.path.samefile(file, given)
        except (OSError, ValueError):  # a name that no file can have
            return True

    def steps(self, net: Any, name: str, given: str | None, held_out: str | None = None) -> int | None:
        """Number of bins with which the network was trained, where it was on these data; prints a hint where others than ``held_out`` were
        held out (None: whoever they were)."""
        try:
            other, task = self.found["held_out"], dict(self.found.get("task") or {})
        except (ValueError, TypeError, KeyError):
            return None  # no such file, or one of another program
        if not self._is(name, self.found.get("data"), "data", given):
            return None
        if held_out not in (None, other):
            hint(f"{self.path} says that the network was trained without {other}; here it hears {held_out}.")
        steps = task.get("n_steps")
        # a file of CUBA neurons does not say how long a step is
        return steps if net.dt in (None, task.get("dt")) and isinstance(steps, int) and 1 <= steps <= MOST else None


def _results(path: Path, net: Any) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if is_file(path) else {}  # a pipe would be waited for
        networks = found.get("networks") if isinstance(found, dict) else {}
        # an earlier version did not write which networks they are of
        own = networks is None or net.digest(biases=False) in networks.values()
    except (OSError, ValueError, RecursionError, AttributeError):
        return {}
    return found if own else {}
