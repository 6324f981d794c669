"""Data that are made once, and read from a folder afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .._support.files import check_writable
from .._support.paths import path_of
from ..errors import FormatError, InputError, require
from .events import EventSet
from .shd_file import as_stored, read_meta, read_shd, write_shd
from .speech import require_synthesiser

CACHE_VARIABLE = "LAVA_1M1T1R_CACHE"
"""Environment variable that names the cache folder; ``~/.cache/lava_1m1t1r`` without it."""


def made_once(root: str | os.PathLike | None, name: str, recipe: dict, labels: np.ndarray, make: Callable[[], EventSet]) -> EventSet:
    """Return what ``make`` makes; the first call keeps it in the folder ``root``, by ``name`` and a hash of ``recipe``, where later ones
    read it. ``labels`` are those that it must have."""
    text = json.dumps(recipe, sort_keys=True)
    folder = cache_folder() if root is None else path_of(root, "root")
    require(not folder.exists() or folder.is_dir(), "root", "be a folder or a new name", str(folder))
    path = folder / f"{name}_{hashlib.sha256(text.encode()).hexdigest()[:12]}.h5"
    if path.is_file():
        try:
            return _cached(path, text, labels)
        except FormatError as error:
            warnings.warn(f"Making the data again, because the cache is damaged: {error}", stacklevel=3)
    require_synthesiser()
    field, cure = "root", "Name another one."
    if root is None:
        field, cure = "folder for made data", f"The environment variable {CACHE_VARIABLE} names another."
    check_writable(folder, field, folder, cure)
    events = as_stored(make())  # on the first call as on every other
    try:
        write_shd(path, events, meta={"recipe": text, "digest": _digest(events)})
    except OSError as error:  # a full disk: what took minutes to make is good all the same
        cure = f"The environment variable {CACHE_VARIABLE}, or root, names another folder."
        warnings.warn(f"The data are made and not kept, because {path} cannot be written: {error}. {cure}", stacklevel=3)
    return events


def _cached(path: Path, recipe: str, labels: np.ndarray) -> EventSet:
    """Read the file of the cache, unless it is of another recipe or was changed after it was written."""
    events, cure = read_shd(path), "Another program wrote to it."
    require(read_meta(path, "recipe") == recipe, str(path), "be made by the recipe that its name stands for", "another", cure, FormatError)
    complete = np.array_equal(events.labels, labels)
    require(complete, f"{path}: labels", f"be those of {len(labels)} utterances in turn", events.labels, cure, FormatError)
    require(read_meta(path, "digest") == _digest(events), str(path), "hold what was written", "another digest", cure, FormatError)
    return events


def _digest(events: EventSet) -> str:
    """Digest that tells the spikes and names of one set from those of another."""
    hashed = hashlib.blake2b(json.dumps([events.keys, events.speaker_names]).encode(), digest_size=16)
    for array in (events.times, events.units, events.offsets, events.labels, events.speakers):
        hashed.update(np.ascontiguousarray(array).data)
    return hashed.hexdigest()


def cache_folder() -> Path:
    """Return the folder for made data: ``$LAVA_1M1T1R_CACHE``, else ``~/.cache/lava_1m1t1r``."""
    named = os.environ.get(CACHE_VARIABLE)
    try:
        return Path(named).expanduser() if named else Path.home() / ".cache" / "lava_1m1t1r"
    except RuntimeError as error:  # a user without a home, ~nobody
        raise InputError(f"{CACHE_VARIABLE} must name a folder for made data; got {named!r}: {error}") from error
