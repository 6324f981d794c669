"""Helpers that several commands share: checks of options, the output folder, the network that a user names."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .. import plot
from .._support.cores import cores, granted
from .._support.files import check_no_device, check_place
from .._support.lava_loading import NO_DOCSTRINGS
from .._support.paths import file_of, is_file, path_of
from .._support.progress import hint, tell
from ..errors import InputError, MissingDependencyError, listed, missing, option_name, require, whole
from ..params import FIELDS, DeviceParams
from ..recipes import SHIPPED_NETWORK

SHIPPED = "shipped"
MOST = 10**7
"""Largest value of an option that is a count."""
_MOST_SEED = 2**32 - 1  # noise.MOST_SEED, whose module compiles


def out_folder(name: str | Path, *files: str) -> Path:
    """Return the output folder. It is checked before any work, and so is the place of each of ``files`` in it; the first file that is
    written creates it."""
    path = path_of(name, "--out")
    check_place(path, "--out", name)
    for file in files:
        require(not (path / file).is_dir(), "--out", f"not contain a folder named {file}", str(name), "A file will be written there.")
    return path


def out_file(name: str, *endings: str) -> Path:
    """Return the path of the file that a command writes, checked before any work: that it has one of the endings, and can be written."""
    path = path_of(name, "--out")
    require(path.suffix in endings and not path.is_dir(), "--out", f"be a file ending in {endings[0]}", name)
    check_no_device(path, "--out")
    out_folder(path.parent)
    return path


def json_argument(parser: argparse.ArgumentParser, what: str) -> None:
    """Declare ``--json``."""
    parser.add_argument(
        "--json", action="store_true", help=f"print {what} as JSON on standard output, and everything else on standard error"
    )


def ready_torch() -> None:
    """Let torch's threads sleep between its operations. By default they spin for some milliseconds on the cores that compiled loops need.

    Training then takes an eighth less CPU time, and a step of a small network up to a quarter less wall-clock time. In a container that is
    granted fewer cores than it sees, torch has as many threads as it is granted. GNU OpenMP reads these settings when torch is loaded; a
    user's own are kept.
    """
    if "torch" not in sys.modules:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        if granted() < (os.cpu_count() or 1):
            os.environ.setdefault("OMP_NUM_THREADS", str(cores()))


@contextmanager
def talking(args: argparse.Namespace) -> Iterator[None]:
    """For a ``with`` block that may print: with ``--json``, standard output is reserved for the JSON."""
    if not args.json:
        yield
        return
    with redirect_stdout(sys.stderr):
        yield


def check_whole(args: argparse.Namespace, **least: int) -> None:
    """Check that the named options, where given, are whole numbers from ``least`` to :data:`MOST`, seeds to 32 bits."""
    for name, low in least.items():
        if getattr(args, name) is not None:
            whole(getattr(args, name), option_name(name), least=low, most=_MOST_SEED if name == "seed" else MOST)


def require_figures(what: str) -> None:
    """Raise an error that says what to install where nothing can be drawn, before the work. Else texts are drawn without LaTeX, though the
    user's matplotlibrc asks for it: it may not be there, and takes % and _ in names for its own."""
    plot.require_matplotlib(what)
    from matplotlib import rcParams

    rcParams["text.usetex"] = False


def can_draw(what: str) -> bool:
    """Whether figures can be drawn; tells before the work, not after it, where they cannot: the numbers do without."""
    try:
        require_figures(what)
    except MissingDependencyError as error:
        tell(f"no figures: {error}")
        return False
    return True


def require_training() -> None:
    """Raise an error that says what to install unless networks can be trained here; called before any data are made."""
    for module, package in (("lava", "lava-nc"), ("torch", "torch"), ("lightning", "lightning"), ("lava.lib", "lava-dl")):
        if find_spec(module) is None:
            raise missing(package, "lava", "Training")
    if sys.flags.optimize > 1:
        raise MissingDependencyError(f"Training needs the package 'lava-dl', which does not load. {NO_DOCSTRINGS}")


def device_argument(parser: argparse.ArgumentParser, what: str) -> None:
    """Declare ``--device``, which :func:`given_device` reads."""
    parser.add_argument("--device", metavar="JSON", help=f"{what}: fit.json of `characterize --fit`, or fields of DeviceParams by name")


def given_device(args: argparse.Namespace) -> DeviceParams | None:
    """The device of ``--device``, which stands in place of ``--preset``."""
    if args.device is None:
        return None
    require(args.preset is None, "--preset", "not be used with --device", args.preset)
    path = file_of(args.device, "--device")
    try:
        found = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_named_once)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"--device must be a JSON file; got {args.device!r}: {error}.") from error
    for part in ("params", "device"):  # of fit.json, and of characteristics.json
        found = found[part] if isinstance(found, dict) and isinstance(found.get(part), dict) else found
    try:
        device = DeviceParams.from_dict(found)
    except (InputError, RecursionError) as error:  # lists in lists in lists
        raise InputError(f"--device {args.device}: {error}") from error
    others = [name for name in FIELDS if name not in found and not name.endswith(("_dtod", "_ctoc"))]
    if others:
        hint(f"{args.device} leaves fields of the device to Table 1 of the paper: {listed(others)}")
    return device


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, of whose fields none is given twice: the last one would count, without a word."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the field {next(name for name in names if names.count(name) > 1)!r} is given twice")
    return found


def network_argument(parser: argparse.ArgumentParser) -> None:
    """Declare NET."""
    parser.add_argument("net", help=f"a .net file, or '{SHIPPED}' for the small trained network that comes with the package")


def network_path(name: str, option: str = "NET") -> Path:
    """Path of the network the user named."""
    path = SHIPPED_NETWORK if name == SHIPPED else Path(name)
    require("\0" not in name and is_file(path), option, f"be an existing .net file, or '{SHIPPED}'", name)
    return path
