"""Training checkpoints that hold numbers and text, never code: written atomically, checked before anything is used.

Lightning's own are pickles, which can execute code when they are read. Ours are numpy's ``.npz``: arrays, and one JSON tree that says
where each of them belongs.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from .._support.files import write_npz
from .._support.paths import is_file, path_of
from ..errors import FormatError, option_name, require
from .task import Task

FORMAT, VERSION = "lava_1m1t1r checkpoint", 2
RUN = "run"
"""Key of the choices and data that the run was started with, see :func:`same_run`."""
NETWORK = "network"
"""Beginning of the keys that describe how the network is made, see :func:`made_of`."""
OPTIONS = tuple(
    "start recipe preset device dt slower hidden channels epochs batch learning_rate seed variation learn taps synaptic_delays "
    "spread refractory spike_limit spike_cost smooth patience".split()
)
WORDS = {
    "n_steps": "n_steps (--steps)",
    "augmentation": "augmentation (--channel-shift, --no-augmentation)",
    "training data": "training data (--data, --leave-out, --validate, --synthetic, --recorded-at, --language, --train-per-class)",
    "validation data": "validation data (--validate, --validation-data)",
}
"""Names of the choices other than :data:`OPTIONS`, as the command line calls them."""
_AFRESH = "Or start afresh: without resuming, or in another folder."


def write(path: str | os.PathLike, values: Mapping[str, Any]) -> None:
    """Write a tree of mappings, lists, tuples, numbers, texts, arrays and tensors, whole or not at all; functions are left out."""
    arrays: list[np.ndarray] = []
    text = json.dumps({"format": FORMAT, "version": VERSION, "values": _packed(values, arrays)})
    write_npz(path, {"tree": np.frombuffer(text.encode(), np.uint8)} | {str(i): array for i, array in enumerate(arrays)})


def read(path: str | os.PathLike) -> dict[str, Any]:
    """Read what :func:`write` wrote.

    Raises
    ------
    FormatError
        For a file that is absent, damaged, cut short, or something else; the text names it.
    """
    path = path_of(path, "checkpoint")
    require(is_file(path), f"checkpoint {path}", "be a file", "none there", "", FormatError)
    cure = "The file is damaged or comes from elsewhere: start afresh, without resuming."
    with open(path, "rb") as file:
        try:
            found = _values(path, file)
        except Exception as error:
            raise FormatError(f"{path} must be a checkpoint of lava_1m1t1r; {str(error) or type(error).__name__}. {cure}") from error
    good = isinstance(found, dict) and all(isinstance(found.get(name), dict) for name in ("state_dict", RUN))
    require(good, str(path), "hold a network and what the run was started with", "neither", cure, FormatError)
    return found


def _values(path: Path, file: Any) -> Any:
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        # we never compress, so whatever claims to unfold into more than the file holds is not ours
        plain = all(m.compress_type == zipfile.ZIP_STORED and m.filename.endswith(".npy") for m in members)
        if not plain or sum(m.file_size for m in members) > path.stat().st_size:
            raise ValueError("it is another kind of archive")
    with np.load(path, allow_pickle=False) as arrays:
        held = {name: arrays[name] for name in arrays.files}
    tree = json.loads(held.pop("tree").tobytes())
    if tree["format"] != FORMAT or tree["version"] != VERSION:
        raise ValueError(f"its format is {str(tree['format'])[:40]!r}, version {tree['version']!r}, not {FORMAT!r}, version {VERSION}")
    return _unpacked(tree["values"], held)


def _packed(value: Any, arrays: list[np.ndarray]) -> Any:
    if isinstance(value, Mapping):
        return {"map": [[key, _packed(one, arrays)] for key, one in value.items() if not callable(one)]}
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = value.float() if value.dtype == torch.bfloat16 else value  # numpy has no bfloat16; float32 holds all its values
        return {"tensor": _packed(value.numpy(), arrays)["array"]}
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"array": len(arrays) - 1}
    if isinstance(value, (list, tuple)):
        items = [_packed(one, arrays) for one in value]
        return {"tuple": items} if isinstance(value, tuple) else items
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{type(value).__name__} cannot be kept in a checkpoint")


def _unpacked(value: Any, held: Mapping[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_unpacked(one, held) for one in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "map":
        return {key: _unpacked(one, held) for key, one in content}
    if kind == "tuple":
        return tuple(_unpacked(one, held) for one in content)
    array = held[str(content)]
    return torch.from_numpy(array) if {"tensor": True, "array": False}[kind] else array


def same_run(path: Path, found: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Raise unless a run that is resumed from ``path`` is asked for with what it was started with.

    Parameters
    ----------
    path : path
        The checkpoint, for the error's text.
    found : mapping
        What the checkpoint holds.
    asked : mapping
        Options, data and network of the run that is asked for.

    Raises
    ------
    InputError
        Names the first option or part of the network that differs, and both values.
    """
    started = found[RUN]
    other = first_difference(started, asked)
    if other is not None:
        cure = f"Give {_as_typed(other.said, started.get(other.name))}" if other.name in OPTIONS else "Give what it was started with"
        if other.name == "epochs":
            cure += " (to train a network that is finished longer: train --start NET --out ANOTHER)"
        if other.name == "recipe" and started.get("training data") != asked.get("training data"):
            cure = f"It follows the data: give those that the run was started with (--data), or, if you did, {other.said} {other.was}"
        unknown = other.name in OPTIONS and other.name not in started
        if unknown and getattr(Task, other.name, None) is not None:  # without the option, too, the run would be another
            cure = "Use the version of lava-1m1t1r that started it, which had no such choice,"
        text = f"be what the run of {path} was started with, {other.was!r}"
        require(False, other.said, text, other.now, f"{cure} to go on. {_AFRESH}")


class Difference(NamedTuple):
    """What tells one run from another."""

    name: str
    """Key."""
    said: str
    """The same, as the command line calls it."""
    was: Any
    """What differs of the first one's value."""
    now: Any
    """What differs of the other's."""


def first_difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> Difference | None:
    """First choice, data or part of the network in which two runs differ, in the order of :data:`OPTIONS`; None: they are alike."""
    for name in dict.fromkeys((*OPTIONS, *other, *map(str, one))):
        was, now = one.get(name), other.get(name)
        if was != now:
            if name.startswith(NETWORK):
                was, now = _differing(was, now)
            elif name == "device":
                was, now = _other_devices(was, now)
            return Difference(name, option_name(name) if name in OPTIONS else WORDS.get(name, name), was, now)
    return None


def _as_typed(option: str, value: Any) -> str:
    if isinstance(value, bool):
        return option if value else f"--no-{option.removeprefix('--')}"
    if value is None or value == ():
        return f"no {option}"
    if option in ("--device", "--start"):  # checkpoints keep the content of the file, not its place
        return f"{option} the file that it was started with"
    return f"{option} {' '.join(map(str, value)) if isinstance(value, (list, tuple)) else value}"


def made_of(network: torch.nn.Module) -> dict[str, str]:
    """Description of a network apart from its parameters' values: each module as it prints itself, and the parameters that do not learn."""
    said = {name: _said(module) for name, module in network.named_modules(prefix=NETWORK)}
    fixed = (name for name, value in network.named_parameters(prefix=NETWORK) if not value.requires_grad)
    return said | dict.fromkeys(fixed, "does not learn")


def _said(module: torch.nn.Module) -> str:
    quantise = getattr(module, "pre_hook_fx", None)  # of lava-dl's synapses
    quantised = "" if quantise is None else f"quantised by {getattr(quantise, '__qualname__', type(quantise).__name__)}"
    return ", ".join(filter(None, (type(module).__name__, module.extra_repr(), quantised)))


def _differing(was: Any, now: Any) -> list[str]:
    """Parts of each of two descriptions that the other lacks."""
    one, other = (["absent"] if text is None else str(text).split(", ") for text in (was, now))
    return [", ".join([part for part in a if part not in b] or a) for a, b in ((one, other), (other, one))]


def _other_devices(*devices: Mapping[str, float] | None) -> list[Any]:
    """What tells two devices from each other: fields by name; None for a preset's."""
    one, other = devices
    if one is None or other is None:
        return ["a preset's" if device is None else "another" for device in devices]
    names = [name for name in dict.fromkeys((*one, *other)) if one.get(name) != other.get(name)]
    return [{name: device.get(name) for name in names} for device in (one, other)]


def same_shapes(path: Path, parameters: Mapping[str, Any], learner: torch.nn.Module) -> None:
    """Raise unless a checkpoint's parameters are those of the network that goes on, by name and shape.

    Parameters
    ----------
    path : path
        The checkpoint, for the error's text.
    parameters : mapping
        What the checkpoint holds, by name.
    learner : torch.nn.Module
        The network that goes on.

    Raises
    ------
    InputError
        Names the first parameter that differs.
    """
    theirs = {name: tuple(getattr(value, "shape", ())) for name, value in parameters.items()}
    ours: dict[str, tuple[int, ...] | None] = {name: tuple(value.shape) for name, value in learner.state_dict().items()}
    ours = {name: theirs.get(name) if shape == (0,) else shape for name, shape in ours.items()}  # delays, before they are drawn
    wrong = sorted(name for name in {*theirs, *ours} if theirs.get(name) != ours.get(name))
    if wrong:
        name = wrong[0]
        rule = f"have the shape {ours.get(name)}, as in the network to train"
        require(False, f"{path}: {name}", rule, theirs.get(name), _AFRESH)
