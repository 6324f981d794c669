"""``lava-1m1t1r doctor``: what is installed, what is missing, and how to get it."""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
from contextlib import redirect_stdout
from importlib import import_module

from .._support.cores import cores
from .._support.packages import installed_version

# what it is for, package, extra
PACKAGES = (
    ("core", "numpy", ""),
    ("core", "scipy", ""),
    ("core", "numba", ""),
    ("core", "llvmlite", ""),
    ("core", "h5py", ""),
    ("core", "tqdm", ""),
    ("core", "joblib", ""),
    ("Lava processes", "lava-nc", "lava"),
    ("Lava in one process", "greenlet", "lava"),
    ("training", "lava-dl", "lava"),
    ("training", "torch", "lava"),
    ("training", "lightning", "lava"),
    ("figures and reports", "matplotlib", "report"),
    ("SpokenDigits", "espeakng-loader", "speech"),
    ("download of SHD", "tonic", "data"),
    ("NIR export", "nir", "nir"),
    ("devices on a cluster", "dask", "dask"),
)
_HEAVY = ("lava-nc", "lava-dl", "torch", "lightning", "espeakng-loader", "tonic")  # take seconds, or go by other names
TOOLS = (
    ("circuit simulation", "ngspice"),
    ("C target", "gcc"),
    ("instruction counts of the C target", "valgrind"),
    ("RTL target", "verilator"),
    ("RTL target", "iverilog"),
    ("RTL cell counts", "yosys"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="print the same as JSON")


def findings() -> dict:
    """Return what was found: versions (None where absent) and the cure for what is absent."""
    packages = [_package(*row) for row in PACKAGES]
    tools = [
        {"name": name, "for": purpose, "path": shutil.which(name), "cure": None if shutil.which(name) else f"apt-get install {name}"}
        for purpose, name in TOOLS
    ]
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": cores(),
        "compiled loops": _compiled_loops(),
        "packages": packages,
        "tools": tools,
    }


def _package(purpose: str, name: str, extra: str) -> dict:
    """A row of :data:`PACKAGES`: what is there of it, and the cure where it is absent or does not load."""
    from ..cli import NO_HOME, NUMBA_THREADS, ONE_THREAD, SOME_HOME

    found = installed_version(name)
    # by the name alone, pip takes versions that Lava refuses
    wanted = f"'lava-1m1t1r[{extra}]'" if extra else "lava-1m1t1r" if installed_version("lava-nc") is None else "'lava-1m1t1r[lava]'"
    cure = f"pip install {wanted}"
    if found and name not in _HEAVY:
        try:
            with redirect_stdout(sys.stderr):
                import_module(name)
        except (Exception, SystemExit) as error:  # of any kind, where versions do not suit each other
            anew = f"pip uninstall {name}, then {cure}"
            settings = {NUMBA_THREADS: ONE_THREAD, NO_HOME: SOME_HOME}  # packages that are well
            found, cure = None, f"does not load ({error}): {settings.get(str(error), anew)}"
    if extra == "lava" and sys.version_info[:2] != (3, 10):  # as errors.lava_python, which needs numpy
        cure = "needs Python 3.10"
    return {"name": name, "for": purpose, "version": found, "cure": None if found else cure}


def _compiled_loops() -> str:
    """Where the loops are kept that first calls compile."""
    try:
        from ..cached import NO_PLACE, place
    except Exception as error:  # of packages above that are absent or do not load, or of a setting of numba's
        return f"cannot be compiled here: {error}"
    return place() or NO_PLACE


def run(args: argparse.Namespace) -> int:
    """Print the findings; 0 if the core is complete."""
    found = findings()
    if args.json:
        print(json.dumps(found, indent=1))
    else:
        print(f"Python {found['python']} on {found['system']}, {found['cores']} cores")
        for item in found["packages"]:
            print(f"  {item['name']:<16} {item['version'] or 'absent':<12} {item['for']:<22} {item['cure'] or ''}")
        for item in found["tools"]:
            print(f"  {item['name']:<16} {'found' if item['path'] else 'absent':<12} {item['for']:<22} {item['cure'] or ''}")
        print(f"compiled loops: {found['compiled loops']}")
    return 0 if all(item["version"] for item in found["packages"] if item["for"] == "core") else 1
