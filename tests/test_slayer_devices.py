"""Blocks on another device than the CPU, where plain torch operations take the compiled loops' place: the same spikes, gradients, file.

The device is a GPU where torch finds one. Elsewhere it is one made for this test, in ordinary memory (``other_device/device.cpp``): what
cannot go wrong on the CPU goes wrong there as on a GPU. Tensors of two devices do not mix, and numpy cannot read them.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from training_blocks import torch

pytestmark = [pytest.mark.train, pytest.mark.slow]
HERE = Path(__file__).parent / "other_device"
GPU = torch.cuda.is_available()
NAMES = (
    *("dense", "delays and norms", "recurrent", "four delays", "noise", "learned devices", "kept states", "delay lines"),
    *("input", "smooth weights", "images"),
)


def built(folder):
    """The device's library, compiled against the torch at hand."""
    from torch.utils.cpp_extension import include_paths, library_paths

    paths = [*(f"-I{path}" for path in include_paths()), *(f"-L{path}" for path in library_paths())]
    links = ["-ltorch_cpu", "-lc10", *(f"-Wl,-rpath,{path}" for path in library_paths())]
    flags = ["-O0", "-std=c++17", "-fPIC", "-shared", f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}"]
    subprocess.run(["g++", *flags, *paths, str(HERE / "device.cpp"), "-o", "device.so", *links], cwd=folder, check=True, timeout=600)
    return folder / "device.so"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """How far training on the CPU and on the other device are apart, by network."""
    if not GPU and shutil.which("g++") is None:
        pytest.skip("needs a GPU, or g++ on PATH")
    device = ("cuda",) if GPU else ("privateuseone", str(built(tmp_path_factory.mktemp("device"))))
    command = [sys.executable, "-W", "ignore", str(HERE / "train.py"), *device]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", NAMES)
def test_another_device_trains_the_same_network(found, name):
    seen = found[name]
    assert seen["spikes"] > 20 and seen["outputs"] and seen["file"]
    assert seen["gradient"] < (1e-3 if GPU else 2e-5)  # GPUs add in other orders, and convolve in 10 bits


def test_every_network_is_compared(found):
    assert set(NAMES) == set(found)
