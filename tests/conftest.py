"""Shared by all tests: a generator seeded from the test's name, golden files, a small set of utterances, and the markers."""

from __future__ import annotations

import shutil
import signal
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # pytest's importlib mode leaves the tests' own helper modules out

MARKERS = {
    "slow": "takes minutes; runs with --slow",
    "lava": "needs lava-nc",
    "train": "needs torch, lightning and lava-dl",
    "needs(program)": "needs a program on PATH",
    "nir": "needs nir",
    "report": "needs matplotlib",
}
PACKAGES = {"lava": ("lava.magma",), "train": ("lava.lib.dl.slayer", "lightning"), "nir": ("nir",), "report": ("matplotlib",)}
TIME_LIMIT = 240  # s, unless a test sets its own; on a busy machine, the first use of a loop may compile for two minutes


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run the tests that take minutes")
    parser.addoption("--networks", type=int, default=0, metavar="SEED", help="of the networks that test_agreement.py draws (0)")


def pytest_configure(config):
    for name, text in MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {text}")
    # Compiled functions make first examples slow, and results must not depend on the clock.
    settings.register_profile("tests", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("tests")


def pytest_collection_modifyitems(config, items):
    for item in items:
        reason = _missing(item, config)
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))
        limits = 1800 if item.get_closest_marker("slow") else TIME_LIMIT
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(limits))


def _missing(item, config):
    if item.get_closest_marker("slow") and not config.getoption("--slow"):
        return "slow: run with --slow"
    for marker in item.iter_markers("needs"):
        if shutil.which(marker.args[0]) is None:
            return f"needs {marker.args[0]} on PATH"
    for marker, packages in PACKAGES.items():
        for package in packages if item.get_closest_marker(marker) else ():
            if not _importable(package):
                return f"needs the package of {package}"
    return None


def _importable(package):
    from importlib.util import find_spec

    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


@pytest.fixture
def rng(request):
    """Generator whose seed comes from the test's node id: the same in every run, another in every test."""
    seed = zlib.crc32(request.node.nodeid.split("/")[-1].encode())
    print(f"rng seed {seed}")  # shown when the test fails
    return np.random.default_rng(seed)


@pytest.fixture
def hears_interrupts():
    """Shells start background jobs, and so perhaps these tests, deaf to SIGINT; then nothing ends a wait at a lock."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def golden():
    """Path of a file in tests/golden."""
    return lambda name: HERE / "golden" / name


@pytest.fixture(scope="session")
def small_file(tmp_path_factory):
    """A file in SHD's format to read: three speakers say three words once."""
    from words import spoken

    from lava_1m1t1r.datasets import write_shd

    return write_shd(tmp_path_factory.mktemp("data") / "small.h5", spoken())
