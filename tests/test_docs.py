"""What would be wrong with the reference is found."""

import importlib
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytest.importorskip("pdoc", reason="pdoc is not installed: pip install 'lava-1m1t1r[docs]'")


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("docs_build", ROOT / "docs" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_that_the_readme_leans_on_is_a_page(build):
    linked = {match[2] for match in build.LINK.finditer((ROOT / "README.md").read_text(encoding="utf-8")) if match[2].endswith(".md")}
    assert "RESULTS.md" in linked and linked <= set(build.GUIDES)


def test_every_tutorial_is_a_page_with_what_it_printed_and_drew(build, tmp_path):
    linked = {match[2] for match in build.LINK.finditer((ROOT / "README.md").read_text(encoding="utf-8")) if match[2].endswith(".ipynb")}
    assert len(linked) > 5 and linked <= set(build.TUTORIALS)
    outputs = [
        {"output_type": "stream", "name": "stderr", "text": "hidden"},
        {"output_type": "stream", "name": "stdout", "text": ["1\n", "2\n"]},
        {"output_type": "stream", "name": "stdout", "text": "3\n"},
        {"output_type": "execute_result", "data": {"text/plain": "<Figure>", "image/png": "aWNv\n"}},
    ]
    cells = [
        {"cell_type": "markdown", "source": ["# A\n", "title"]},
        {"cell_type": "code", "source": "f()", "outputs": outputs},
    ]
    printed, drawn = "```text\n1\n2\n3\n```", '<img alt="figure" style="max-width: 100%" src="data:image/png;base64,aWNv">'
    assert build.notebook_text({"cells": cells}) == "\n\n".join(["# A\ntitle", "```python\nf()\n```", printed, drawn])
    page = build.guide("tutorials/03_characteristics.ipynb", "tutorial_03_characteristics", tmp_path)
    assert "# 3 Six characteristics" in page.docstring and "```python\n" in page.docstring


def test_the_first_page_leads_to_guides_tutorials_and_modules(build, tmp_path, monkeypatch):
    monkeypatch.setattr(
        build, "MODULES", ["lava_1m1t1r", "lava_1m1t1r.dynamics", "lava_1m1t1r._support.files", "lava_1m1t1r.commands.train"]
    )
    readme = build.guide("README.md", "readme", tmp_path)
    assert (tmp_path / "demo.png").exists() and "](demo.png)" in readme.docstring  # a page that is moved keeps its picture
    tutorial = build.guide("tutorials/08_your_own_neuron.ipynb", "tutorial_08", tmp_path)
    assert "](lava_1m1t1r/dynamics.html)" in tutorial.docstring
    package = build._markdown("lava_1m1t1r", "The neuron. More of it.")
    text = build.index({"readme": readme, "lava_1m1t1r": package}).docstring
    assert "- [Overview](readme.html)" in text and "| [lava_1m1t1r](lava_1m1t1r.html) | The neuron |" in text
    assert "[dynamics](lava_1m1t1r/dynamics.html)" in text and "files" not in text and "commands.train" not in text


def test_tables_of_docstrings_are_markdown():
    """Those of reStructuredText run together on the pages."""
    for path in (ROOT / "lava_1m1t1r").rglob("*.py"):
        assert not re.search(r"^ *={4,}( |$)", path.read_text(encoding="utf-8"), re.M), path


def test_blocks_do_not_show_what_torch_says_of_its_modules(build, monkeypatch):
    pytest.importorskip("lava.lib.dl.slayer", reason="needs lava-dl")
    importlib.import_module("lava_1m1t1r.netx.hdf5")
    monkeypatch.setattr(build, "MODULES", [])
    monkeypatch.setattr(build, "PACKAGE", ROOT / "lava_1m1t1r" / "slayer" / "block")
    build.import_all()
    page = build.Page(importlib.import_module("lava_1m1t1r.slayer.block.image"))
    assert page.get("Conv").docstring and not page.get("Conv.__init__").docstring


def test_links_that_lead_nowhere_are_found(build, tmp_path):
    (tmp_path / "a.html").write_text('<a id="here" href="b.html#there">x</a><a href="#here">y</a><a href="c.html">z</a>', encoding="utf-8")
    (tmp_path / "b.html").write_text('<p id="place"><a href="https://c.example">w</a></p>', encoding="utf-8")
    assert build.broken_links(tmp_path, tmp_path.glob("*.html")) == [
        "a.html: b.html#there names no place of that page",
        "a.html: c.html does not exist",
    ]
