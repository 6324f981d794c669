"""The deploy folders: each has a README and a script that does what the registry does; the worked example runs from a shell."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lava_1m1t1r.export import TARGETS

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
SCRIPTED = sorted(target for target in TARGETS if (DEPLOY / target / "deploy.py").is_file())


def call(*command):
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, env=env)


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    folder = tmp_path_factory.mktemp("example")
    done = call(DEPLOY / "example.py", folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_four_targets_have_scripts():
    assert set(SCRIPTED) >= {"c", "rtl", "nir", "loihi"}


@pytest.mark.parametrize("target", SCRIPTED)
def test_the_script_deploys_the_example(target, example, tmp_path):
    if target == "nir":
        pytest.importorskip("nir")
    done = call(DEPLOY / target / "deploy.py", example / "example.net", "-o", tmp_path / "out", "--json", tmp_path / "r.json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{target}: 20-16R-4 -> ") and (tmp_path / "r.json").is_file()


@pytest.mark.parametrize("target", SCRIPTED)
def test_a_missing_file_is_one_line_and_exit_2(target, tmp_path):
    if target == "nir":
        pytest.importorskip("nir")
    done = call(DEPLOY / target / "deploy.py", tmp_path / "no.net", "-o", tmp_path / "out")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "must exist" in done.stderr


@pytest.mark.parametrize("target", SCRIPTED)
def test_the_readme_is_one_page_and_names_its_command(target):
    text = (DEPLOY / target / "README.md").read_text()
    assert len(text.splitlines()) <= 60
    assert f"lava-1m1t1r deploy {target}" in text and f"deploy/{target}/deploy.py" in text


def test_the_example_spikes(example):
    from lava_1m1t1r.fast import FastNetwork
    from lava_1m1t1r.netx import schema

    out = FastNetwork(schema.read(example / "example.net")).run(np.load(example / "frames.npy")).out
    assert (out.sum(axis=(0, 1)) > 0).all()


def test_a_reader_that_goes_is_no_error(tmp_path):
    command = f"{sys.executable} {DEPLOY / 'loihi' / 'deploy.py'} {ROOT / 'tests' / 'toy.net'} -o {tmp_path / 'out'} | true"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=100, env=environment)
    assert (done.returncode, done.stderr) == (0, "") and (tmp_path / "out").is_dir()
