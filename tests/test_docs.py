"""The reference builds from the docstrings without a warning, and what would be wrong with it is found."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytest.importorskip("pdoc", reason="pdoc is not installed: pip install 'lava-1m1t1r[docs]'")


@pytest.mark.timeout(300)  # about 15 s, most of it the imports of Lava and torch
def test_the_reference_builds_without_warnings(tmp_path):
    command = [sys.executable, str(ROOT / "docs" / "build.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=290, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    for page, part in (("readme", "fixed_point.html"), ("lava_1m1t1r/params", "DeviceParams.v_th"), ("lava_1m1t1r/device", "fit.html")):
        assert part in (tmp_path / f"{page}.html").read_text(encoding="utf-8"), page
    assert (tmp_path / "index.html").is_file() and (tmp_path / "search.js").is_file()


def test_links_that_lead_nowhere_are_found(tmp_path):
    spec = importlib.util.spec_from_file_location("docs_build", ROOT / "docs" / "build.py")
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    (tmp_path / "a.html").write_text('<a id="here" href="b.html#there">x</a><a href="#here">y</a><a href="c.html">z</a>', encoding="utf-8")
    (tmp_path / "b.html").write_text('<p id="place"><a href="https://c.example">w</a></p>', encoding="utf-8")
    assert build.broken_links(tmp_path) == ["a.html: b.html#there names no place of that page", "a.html: c.html does not exist"]
