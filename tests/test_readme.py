"""The README's lines run, and the links of pages point somewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lava_1m1t1r import __version__
from lava_1m1t1r.commands.bench import TABLES

ROOT = Path(__file__).resolve().parents[1]
HERE = {**os.environ, "PYTHONPATH": str(ROOT)}  # this tree's package, whichever is installed
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_lines_of_lava_run_and_spike(tmp_path):
    pytest.importorskip("lava", reason="Lava is not installed")
    code, _ = re.findall(r"```python\n(.*?)```", README, re.S)
    script = tmp_path / "readme.py"
    script.write_text(code, encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=220, cwd=tmp_path, env=HERE)
    assert done.returncode == 0, done.stderr
    printed = done.stdout.split("spikes of each neuron:")[1].strip()
    assert f"It prints `{printed}`." in README


@pytest.mark.train
def test_the_lines_of_training_run_and_learn(tmp_path):
    pytest.importorskip("lava.lib.dl.slayer", reason="needs lava-dl")
    _, code = re.findall(r"```python\n(.*?)```", README, re.S)
    (tmp_path / "readme.py").write_text(code, encoding="utf-8")
    done = subprocess.run([sys.executable, "readme.py"], capture_output=True, text=True, timeout=220, cwd=tmp_path, env=HERE)
    assert done.returncode == 0, done.stderr
    assert int(re.search(r"fixed point: (\d+)%", done.stdout)[1]) > 90


def test_what_the_table_says_of_trained_networks_holds_for_the_shipped_one():
    """The line on states named the first block, which has none where delay lines come first, as in all recipes."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("lava.lib.dl.slayer", reason="needs lava-dl")
    from lava_1m1t1r.recipes import SHIPPED_NETWORK
    from lava_1m1t1r.recipes.restore import restored

    for line in ("`net.hidden.neuron.record_states = True`", "`net.hidden.neuron.states`", "`restored(path, sparse=True)`"):
        assert line in README
    net = restored(SHIPPED_NETWORK, sparse=True)
    net.hidden.neuron.record_states = True
    net(torch.ones(2, 140, 5))
    assert [tuple(state.shape) for state in net.hidden.neuron.states] == [(2, 128, 5)] * 3


def test_lines_of_code_in_the_readme_do_not_rest_on_what_others_have_imported():
    """``import lava_1m1t1r`` alone loads no module of it but `presets` and `run`."""
    assert not re.findall(r"`[^`\n]*\blava_1m1t1r\.(?!presets|run)[a-z][\w.]*\([^`\n]*`", README)


@pytest.mark.parametrize("page", ["README.md", "RESULTS.md", "CHANGELOG.md"])
def test_links_to_files_exist(page):
    links = [link for link in re.findall(r"\]\(([^)]+)\)", (ROOT / page).read_text(encoding="utf-8")) if not link.startswith("http")]
    assert links
    for link in links:
        assert (ROOT / link).exists(), link


def test_files_that_contributing_names_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w.]+/[\w./]*)`", text))
    assert {".ci/run", "tests/test_agreement.py", "netx/schema.py"} <= named
    missing = {name for name in named if not any((place / name).exists() for place in (ROOT, ROOT / "lava_1m1t1r"))}
    assert not missing - {"build/docs", "m1t1r/"}  # written by make docs; said of proc/


def test_results_name_tables_that_there_are():
    tables = set(re.findall(r"`bench (\w+)", (ROOT / "RESULTS.md").read_text(encoding="utf-8")))
    assert tables == set(TABLES)


def test_the_two_commands_are_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in re.findall(r"^make (\w+)", README, re.M):
        assert re.search(rf"^{command}:", makefile, re.M), command


def test_the_version_to_cite_is_that_of_the_package():
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"## {__version__}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
