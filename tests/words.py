"""Made-up words, for tests that train on a set of utterances or read one; and a synthesiser that hums."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from lava_1m1t1r.datasets import EventSet, made_data, voices

speaks = pytest.mark.skipif(find_spec("espeakng_loader") is None, reason="the optional synthesiser is not installed")


def hums(monkeypatch):
    """Have requests hummed instead of spoken, and count how often."""
    calls = []

    def synthesize(requests, title):
        calls.append(len(requests))
        return [np.sin(np.arange(4000) * (0.05 + 0.01 * i)) for i in range(len(requests))]

    monkeypatch.setattr(made_data, "require_synthesiser", lambda: None)
    monkeypatch.setattr(voices, "synthesize", synthesize)
    return calls


def spoken(utterances=(3, 3, 3), classes=3, seed=0, *, channels=700, seconds=0.6):
    """Each word sounds in its own part of the channels; the words take turns.

    utterances: how many each speaker says, or how many there are of nobody.
    """
    rng = np.random.default_rng(seed)
    labels, part = np.arange(np.sum(utterances)) % classes, channels // classes
    heard = [(np.sort(rng.uniform(0, seconds, 200)).astype(np.float32), rng.integers(part * k, part * (k + 1), 200)) for k in labels]
    who = None if np.isscalar(utterances) else np.repeat(np.arange(len(utterances)), utterances)
    return EventSet.from_utterances(heard, labels, who, keys=("low", "middle", "high")[:classes], n_channels=channels)


def toy(**changes):
    """Two words that differ in their channels, and a small task for them."""
    from lava_1m1t1r.recipes import data
    from lava_1m1t1r.recipes.task import Task

    events = spoken(24, 2, channels=20, seconds=0.3)
    task = Task("toy", channels=20, classes=2, hidden=12, n_steps=40, epochs=3, batch=8).replace(**changes)
    return task, data.frames_of(events, task)
