"""Every notebook in ``tutorials/`` runs from top to bottom in an empty folder without a network, and is stored without outputs."""

import ast
import importlib.util
import json
import os
import re
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="the notebooks need nbclient (extra dev)")
pytest.importorskip("nbclient", reason="the notebooks need nbclient (extra dev)")
pytest.importorskip("ipykernel", reason="the notebooks need ipykernel (extra dev)")
pytest.importorskip("matplotlib", reason="the notebooks need matplotlib (extra report)")
from nbclient import NotebookClient  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "tutorials").glob("*.ipynb"))
CELL_LIMIT = 400  # s, on a busy machine
OPTIONAL = re.compile(r"^\s*(?:from|import) (lava\.lib\.dl|lava|torch|nir|tonic)\b", re.M)
DRAWS = re.compile(r"\b(plt\.subplots|figures\.\w+|six\.plot)\(")
SAID = {"04_train": ("one burst: spikes of CUBA 0, of the device 0", "two bursts: spikes of CUBA 1, of the device 1")}
"""What a notebook prints of what its text says: figures drift away from the words beside them where nobody looks."""
NO_NETWORK = """
import socket

_connect = socket.socket.connect

def connect(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and str(address[0]) not in ("127.0.0.1", "::1", "localhost"):
        raise OSError(f"the tutorials must not need a network, but one asked for {address}")
    return _connect(self, address)

socket.socket.connect = connect
"""
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def sources(notebook, kind):
    return [cell.source for cell in notebook.cells if cell.cell_type == kind]


def test_there_are_notebooks():
    assert NOTEBOOKS
    assert len({path.name[:2] for path in NOTEBOOKS}) == len(NOTEBOOKS), "two notebooks share a number"


@each
def test_a_notebook_is_stored_without_outputs(path):
    stored = json.loads(path.read_text(encoding="utf-8"))
    nbformat.validate(stored)
    assert stored["metadata"]["kernelspec"]["name"] == "python3"
    code = [cell for cell in stored["cells"] if cell["cell_type"] == "code"]
    assert code
    for cell in code:
        assert cell["outputs"] == [] and cell["execution_count"] is None, "clear all outputs before saving"


@each
def test_a_notebook_says_what_you_will_be_able_to_do_and_what_to_try_next(path):
    text = sources(nbformat.read(path, 4), "markdown")
    assert "you will be able to" in text[0].lower()
    assert any(line.startswith("#") and "next" in line.lower() for line in text[-1].splitlines())


def require_packages(path, code):
    for package in set(OPTIONAL.findall(code)):
        pytest.importorskip(package, reason=f"{path.name} needs {package}")


@each
def test_what_a_notebook_imports_of_the_package_is_there(path):
    """Told at once, and not after minutes of the notebook itself."""
    code = "\n".join(line for cell in sources(nbformat.read(path, 4), "code") for line in cell.splitlines() if not line.startswith("%"))
    require_packages(path, code)
    imports = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom) and node.module.startswith("lava_1m1t1r")]
    assert imports
    for name, alias in ((node.module, alias) for node in imports for alias in node.names):
        module = importlib.import_module(name)
        assert hasattr(module, alias.name) or importlib.util.find_spec(f"{name}.{alias.name}"), f"{name} has no {alias.name}"


@pytest.mark.timeout(900)
@each
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    notebook = nbformat.read(path, 4)
    require_packages(path, "\n".join(sources(notebook, "code")))
    offline, work = tmp_path / "offline", tmp_path / "work"
    work.mkdir()
    offline.mkdir()
    (offline / "sitecustomize.py").write_text(NO_NETWORK)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(offline), str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep))
    for variable in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable.lower()))
    monkeypatch.delenv("MPLBACKEND", raising=False)
    limits = {"timeout": CELL_LIMIT, "startup_timeout": CELL_LIMIT}
    client = NotebookClient(notebook, **limits, kernel_name="python3", resources={"metadata": {"path": str(work)}})
    client.execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not [output for cell in code for output in cell.outputs if output.output_type == "error"]
    printed = "".join(output.get("text", "") for cell in code for output in cell.outputs)
    for line in SAID.get(path.stem, ()):
        assert line in printed, "the text says so"
    drawing = [cell for cell in code if DRAWS.search(cell.source)]
    assert drawing, "a tutorial shows a figure"
    for cell in drawing:
        assert any("image/png" in output.get("data", {}) for output in cell.outputs), f"nothing is seen of what this draws:\n{cell.source}"
