"""Random numbers of a whole process (torch's, numpy's and Python's generators): a training draws its own, and its caller's go on."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def states(gpus: Iterable[Any] = ()) -> dict[str, Any]:
    """States of these generators, and of torch's on some GPUs: arrays, numbers and tuples of them, as checkpoints hold."""
    found = {"torch": torch.get_rng_state(), "numpy": np.random.get_state(), "python": random.getstate()}
    return found | {"gpus": [torch.cuda.get_rng_state(gpu) for gpu in gpus]}


def set_states(found: dict[str, Any], gpus: Iterable[Any] = ()) -> None:
    """Let them go on from :func:`states`; checkpoints of earlier versions hold torch's alone."""
    torch.set_rng_state(found["torch"])
    if "numpy" in found:
        np.random.set_state(found["numpy"])
        random.setstate(found["python"])
    for gpu, state in zip(gpus, found.get("gpus", ()), strict=False):
        torch.cuda.set_rng_state(state, gpu)


class Callers:
    """The caller's random numbers, while a training draws its own from the same generators."""

    def __init__(self) -> None:
        self._gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
        self._set_aside = states(self._gpus)

    @contextmanager
    def drawn(self) -> Iterator[None]:
        """For a ``with`` block that calls the caller's code: it draws the caller's numbers, as if nothing were trained, and the training
        goes on as if it drew none. A run that is resumed does not call it for the epochs before."""
        trainings = states(self._gpus)
        set_states(self._set_aside, self._gpus)
        try:
            yield
        finally:
            self._set_aside = states(self._gpus)
            set_states(trainings, self._gpus)

    def put_back(self) -> None:
        """Let them go on."""
        set_states(self._set_aside, self._gpus)


@contextmanager
def set_aside() -> Iterator[Callers]:
    """For a ``with`` block that seeds the generators: its caller's numbers go on after it as if it had not been there."""
    callers = Callers()
    told = {name: os.environ.get(name) for name in ("PL_GLOBAL_SEED", "PL_SEED_WORKERS")}  # by Lightning to its workers
    try:
        yield callers
    finally:
        callers.put_back()
        for name, value in told.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
