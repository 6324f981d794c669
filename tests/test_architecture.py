"""The import arrows of CONTRIBUTING.md, checked on the sources and in a fresh interpreter."""

import ast
import importlib
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it

from lava_1m1t1r._support import imports as loading
from lava_1m1t1r._support import lava_loading
from lava_1m1t1r.commands import doctor

PACKAGE = Path(__file__).resolve().parents[1] / "lava_1m1t1r"
HEAVY = {"lava", "torch", "lightning"}
MAY_IMPORT = {"lava": {"proc", "run", "netx", "slayer"}, "torch": {"slayer", "recipes"}, "lightning": {"recipes"}}
PARTS = set("device proc run netx slayer export datasets fast report recipes commands benchmarks cli advisor plot".split())
ALLOWED = {
    "advisor": {"device"},
    "device": {"plot"},
    "proc": {"fast"},
    "slayer": {"fast"},
    "netx": {"proc", "run", "fast"},
    "export": {"netx.schema", "device", "fast", "report"},
}
EXEMPT = {"commands", "recipes", "benchmarks", "cli", "__main__", "__init__"}


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Absolute names of everything a file imports, at any depth."""
    found = set()
    package = ["lava_1m1t1r", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


SOURCES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_only_their_shells_import_lava_torch_and_lightning(path):
    part = part_of(path)
    for heavy in HEAVY:
        if any(name == heavy or name.startswith(heavy + ".") for name in imports(path)):
            assert part in MAY_IMPORT[heavy] | {"benchmarks"}, f"{path.name} imports {heavy}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_parts_import_the_core_and_not_each_other(path):
    part = part_of(path)
    if part in EXEMPT:
        return
    inside = lambda name, module: name == module or name.startswith(f"{module}.")  # noqa: E731
    others = {f"lava_1m1t1r.{other}" for other in PARTS - {part}}
    granted = {f"lava_1m1t1r.{module}" for module in ALLOWED.get(part, ())}
    wrong = {name for name in imports(path) if any(inside(name, m) for m in others) and not any(inside(name, m) for m in granted)}
    assert not wrong, f"{path.name} imports {wrong}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_loops_are_compiled_in_the_ways_of_compiled_py(path):
    compilers = {"njit", "jit", "vectorize", "guvectorize"}
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    used = {node.attr for node in tree if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "numba"}
    used |= {name.removeprefix("numba.") for name in imports(path) if name.startswith("numba.")}
    assert not compilers & used or path == PACKAGE / "compiled.py", "Use one of its ways."


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_within_the_package_are_relative_outside_of_folders_that_lava_executes(path):
    """Lava runs the files beside a Process as top-level modules, which know no package that relative imports could start from."""
    tree = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    froms = [node for node in tree if isinstance(node, ast.ImportFrom)]
    names = [node.module for node in froms if not node.level] + [a.name for n in tree if isinstance(n, ast.Import) for a in n.names]
    if (path.parent / "models.py").exists():
        assert path.name == "__init__.py" or not any(node.level for node in froms)
    else:
        assert [name for name in names if name.split(".")[0] == "lava_1m1t1r"] == []


def test_no_name_of_a_package_hides_a_module_of_it():
    """``import lava_1m1t1r.device.fitting`` would otherwise give a function."""
    for path in PACKAGE.rglob("__init__.py"):
        froms = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom) and node.module]
        names = {alias.asname or alias.name for node in froms for alias in node.names}
        assert not names & {module.stem for module in path.parent.glob("*.py")}, path


def declared() -> tuple[set[str], dict[str, list[str]]]:
    """Names of the packages that the core depends on, and the requirements of each extra."""
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {re.match(r"[\w-]+", line)[0] for line in project["dependencies"]}, project["optional-dependencies"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_what_is_imported_at_once_is_declared(path):
    """Not what numba or Lava happen to bring. Optional packages are imported where they are used."""
    known = sys.stdlib_module_names | {"lava_1m1t1r"} | HEAVY | declared()[0]  # where the heavy ones may be is tested above
    known |= {"nir"} if path.name.startswith("nir_") else set()  # the exporter's own files, imported where it is called
    tree = ast.parse(path.read_text(encoding="utf-8")).body
    names = {node.module for node in tree if isinstance(node, ast.ImportFrom) and not node.level}
    names |= {alias.name for node in tree if isinstance(node, ast.Import) for alias in node.names}
    assert {name.split(".")[0] for name in names} <= known


def test_doctor_looks_for_every_package_of_the_core():
    assert {name for purpose, name, _ in doctor.PACKAGES if purpose == "core"} == declared()[0]


def test_what_lava_needs_is_asked_for_on_its_python_only():
    assert [line for line in declared()[1]["lava"] if not line.endswith("; python_version < '3.11'")] == []


def test_dynamics_imports_nothing_but_typing():
    assert imports(PACKAGE / "dynamics.py") <= {"__future__", "__future__.annotations", "typing", "typing.Any", "typing.NamedTuple"}


def test_process_folder_holds_only_the_process_and_its_models():
    files = {p.name for p in (PACKAGE / "proc" / "m1t1r").glob("*.py")}
    assert files <= {"__init__.py", "process.py", "models.py"} and {"process.py", "models.py"} <= files


def test_the_core_loads_neither_torch_nor_lava():
    code = (
        "import sys, lava_1m1t1r, lava_1m1t1r.device, lava_1m1t1r.datasets, lava_1m1t1r.export, lava_1m1t1r.reference, lava_1m1t1r.cli\n"
        "from lava_1m1t1r.netx import hdf5\n"
        "print(sorted({'torch', 'lava', 'lightning', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=220)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def answer(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=220)
    return done.stdout.strip() or done.stderr


SHELLS = ["run", "proc.m1t1r.process", "proc.m1t1r.models", "netx.graph.process", "netx.terminal.process", "netx.fused"]


@pytest.mark.parametrize("cause, said", [(None, "not installed. Install it with"), ("1 / 0", "does not load (ZeroDivisionError")])
def test_without_a_lava_that_loads_every_shell_says_what_to_install(cause, said, tmp_path):
    package = tmp_path / "lava" / "magma"
    if cause:
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(cause)
    code = f"""
import importlib, sys
{f"sys.path.insert(0, {str(tmp_path)!r})" if cause else "sys.modules['lava'] = None"}
from lava_1m1t1r.errors import MissingDependencyError
for name in {SHELLS}:
    try:
        importlib.import_module("lava_1m1t1r." + name)
    except MissingDependencyError as error:
        print({said!r} in str(error) and any(cure in str(error) for cure in ("lava-1m1t1r[lava]", "--force-reinstall lava-nc")))
"""
    assert answer(code).split() == ["True"] * len(SHELLS)


@pytest.mark.train
def test_python_without_docstrings_is_said_to_be_what_lava_dl_cannot_do_with():
    code = "import lava_1m1t1r.slayer.block.m1t1r as block; block.Dense"
    done = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True, timeout=220, cwd=PACKAGE.parent)
    assert done.returncode == 1 and "It needs its docstrings: start Python without -OO" in done.stderr


@pytest.mark.parametrize("command", ["train", "demo"])
def test_without_docstrings_training_is_refused_before_its_data_are_made(tmp_path, command):
    line = [sys.executable, "-OO", "-m", "lava_1m1t1r", command, "-o", str(tmp_path / "run")]
    own = {**os.environ, "LAVA_1M1T1R_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run(line, capture_output=True, text=True, timeout=220, cwd=tmp_path, env=own)
    assert done.returncode == 2 and "It needs its docstrings: start Python without -OO" in done.stderr
    assert not list(tmp_path.iterdir())


def test_without_lava_the_package_can_be_listed():
    code = """
import inspect, pydoc, sys
sys.modules["lava"] = None
import lava_1m1t1r
from lava_1m1t1r import *
names = {name for name, _ in inspect.getmembers(lava_1m1t1r)}
print("DeviceParams" in names, "StepParams" in pydoc.render_doc(lava_1m1t1r))
try:
    lava_1m1t1r.M1T1R
except ImportError as error:
    print("lava-1m1t1r[lava]" in str(error))
"""
    assert answer(code).split() == ["True"] * 3


def test_lava_loads_whatever_start_method_has_been_chosen():
    """Lava refuses that by itself. Its own runtime needs 'fork', and says how to get it; what runs in process does not."""
    pytest.importorskip("lava.magma", reason="needs lava-nc")
    code = """
import multiprocessing
multiprocessing.set_start_method("spawn")
import lava_1m1t1r.run as runs
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.lif.process import LIF
lif = LIF(shape=(1,), bias_mant=1)
try:
    runs.run_guarded(lif, 2, Loihi2SimCfg())
except ValueError as error:
    print("set_start_method('fork'" in str(error))
print(runs.run(lif, 2, Loihi2SimCfg(), record=[lif.v])[lif.v].ravel().tolist() == [1.0, 2.0], multiprocessing.get_start_method() == "spawn")
"""
    assert answer(code).split() == ["True"] * 3


def test_training_loads_no_process_graphs_and_lava_loads_after_it_whatever_start_method_has_been_chosen():
    pytest.importorskip("lava.lib.dl.slayer", reason="needs lava-dl")
    code = """
import multiprocessing, sys
import lava_1m1t1r.slayer
import lava_1m1t1r.slayer.block.m1t1r
before = "lava.magma" in sys.modules
multiprocessing.set_start_method("spawn")
from lava.proc.lif.process import LIF  # the user's own import
print(before, multiprocessing.get_start_method())
"""
    assert answer(code).split() == ["False", "spawn"]


@pytest.mark.parametrize("module", ["slayer", "recipes.network", "benchmarks.peers"])
def test_what_lava_dl_says_about_other_things_is_not_passed_on(module, tmp_path):
    pytest.importorskip("lava.lib.dl.slayer", reason="needs lava-dl")
    code = f"import os; os.environ['CUDA_HOME'] = {str(tmp_path)!r}; import lava_1m1t1r.{module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=220)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_other_words_at_an_import_are_passed_on(tmp_path, monkeypatch, capsys):
    talk = "import sys; print('WARNING: Prophesee Dataset Toolbox could not be found!'); print('mind'); print('the gap', file=sys.stderr)"
    (tmp_path / "talking.py").write_text(f"{talk}; kept = sys.stdout")
    monkeypatch.syspath_prepend(tmp_path)
    module = lava_loading._load("talking", "talking", "A test")
    print("later", file=module.kept)
    assert capsys.readouterr() == ("mind\nlater\n", "the gap\n")


def test_lava_dls_object_detection_and_plots_load_where_they_are_used():
    """They alone need torchvision, OpenCV and matplotlib's figures; whoever looks through all modules does not load them."""
    pytest.importorskip("lava.lib.dl.slayer", reason="needs lava-dl")
    code = """
import inspect, sys
import lava_1m1t1r.slayer
import lava.lib.dl.slayer as dl
inspect.getmodule(inspect.currentframe())
before = {"torchvision", "cv2", "matplotlib.colors", "h5py.h5", "torch.utils.cpp_extension"} & set(sys.modules)
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
dl.utils.LearningStats().plot()
drawn = len(plt.get_fignums()) > 0
from lava.lib.dl.slayer.object_detection import models
print(before == set(), drawn, "YOLOBase" in dir(dl.obd), models is dl.obd.models, hasattr(dl.obd, "no_such_name"))
"""
    assert answer(code).splitlines()[-1] == "True True True True False"


def test_the_memory_of_a_peers_training_does_not_hold_our_compiler():
    """numba and LLVM are 60 MB, which other libraries' rows of ``bench training`` were charged once."""
    pytest.importorskip("torch", reason="needs torch")
    code = """
import sys
from lava_1m1t1r.benchmarks import training_step
from lava_1m1t1r.benchmarks.training_measure import Shape, measure
found = measure(training_step.training_peers.ROWS["dense matrix products alone"], Shape(2, 3, 7, 5, 2), 1, 0.1)
print(found["least"] > 0, sorted({"numba", "llvmlite", "h5py", "lava", "matplotlib"} & set(sys.modules)))
"""
    assert answer(code).splitlines()[-1] == "True []"


def test_a_function_is_imported_when_it_is_called(tmp_path, monkeypatch):
    """lava-dl takes torch's compiler of CUDA kernels at once, and calls it on GPUs alone."""
    (tmp_path / "called_part.py").write_text("def twice(x):\n    return 2 * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    with loading.called_later("called_part", "twice"):
        from called_part import twice
    assert "called_part" not in sys.modules and twice.__name__ == "twice"
    assert twice(x=4) == 8 and "called_part" in sys.modules
    monkeypatch.delitem(sys.modules, "called_part")
    with loading.called_later("called_part", "twice"):  # called within the block
        from called_part import twice

        assert twice(5) == 10
    with loading.called_later("called_part", "twice"):
        import called_part
    assert called_part.twice(3) == 6 and called_part.twice is not twice
    monkeypatch.delitem(sys.modules, "called_part")


def test_a_module_that_cannot_be_executed_says_so_whenever_it_is_asked(tmp_path, monkeypatch):
    (tmp_path / "broken_part.py").write_text("ready = 1\nimport no_such_module_at_all")
    monkeypatch.syspath_prepend(tmp_path)
    with loading.executed_later("broken_part"):
        import broken_part
    for _ in range(2):
        for name in ("anything", "ready"):
            with pytest.raises(ModuleNotFoundError, match="no_such_module_at_all"):
                getattr(broken_part, name)
    monkeypatch.delitem(sys.modules, "broken_part")
    with pytest.raises(ModuleNotFoundError, match="no_such_module_at_all"):
        importlib.import_module("broken_part")  # outside of the block as ever


def test_what_a_module_is_given_before_it_is_executed_stays(tmp_path, monkeypatch):
    """As pyplot's ``show`` that a script silences. What is taken back before is the module's own."""
    (tmp_path / "late_part.py").write_text("def show(): return 'shown'\ndef save(): return 'saved'\nown = show()")
    monkeypatch.syspath_prepend(tmp_path)
    with loading.executed_later("late_part"):
        import late_part
    late_part.show, late_part.save = (lambda: "silent"), None
    del late_part.save
    assert (late_part.show(), late_part.save(), late_part.own) == ("silent", "saved", "shown")
    assert type(late_part) is type(sys)


def test_a_package_is_imported_when_something_of_its_module_is_used(tmp_path, monkeypatch):
    """As matplotlib for ``import matplotlib.pyplot as plt``; others who import it find it as ever."""
    (tmp_path / "late_package").mkdir()
    (tmp_path / "late_package" / "__init__.py").write_text("order = ['package']\nshare = 3\n__version__ = '1'")
    (tmp_path / "late_package" / "part.py").write_text("import late_package\nlate_package.order.append('part')\nshare = late_package.share")
    monkeypatch.syspath_prepend(tmp_path)
    names = ("late_package", "late_package.part")
    for within in (False, True):
        with loading.imported_later(*names):
            import late_package.part as part

            assert "order" not in vars(part) and (not within or part.share == 3)
            if within:  # what is used within the block is there for all
                import late_package

                assert late_package.order == ["package", "part"]
        assert within or not set(names) & set(sys.modules)
        assert part.share == 3 and sys.modules["late_package"].order == ["package", "part"]
        assert part is not sys.modules["late_package.part"] and sys.modules["late_package"].__version__ == "1"
        with loading.imported_later(*names):
            import late_package.part as again
        assert again is sys.modules["late_package.part"]
        for name in names:
            del sys.modules[name]
    import late_package  # by others, before the block

    with loading.imported_later(*names):
        import late_package.part as part
    assert late_package.order == ["package"] and part.share == 3 and late_package.order == ["package", "part"]
    for name in names:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize(
    "code",
    [
        "import h5py; h5py.__version__",
        "import matplotlib; matplotlib.__version__",
        "from matplotlib.colors import ListedColormap",
        "import matplotlib.cm",
        "from h5py._hl.files import File",
        "import matplotlib.pyplot as plt; plt.Figure; import matplotlib.ticker",
    ],
)
def test_programs_find_matplotlib_and_h5py_as_ever_after_lava_dl(code):
    pytest.importorskip("lava.lib.dl.slayer", reason="needs lava-dl")
    assert answer(f"import lava_1m1t1r.slayer\n{code}\nprint('found')").splitlines()[-1] == "found"


def test_threads_wait_until_a_module_is_executed(tmp_path, monkeypatch):
    (tmp_path / "slow_part.py").write_text("import time\ndef first(): return second()\ntime.sleep(0.3)\ndef second(): return 1")
    monkeypatch.syspath_prepend(tmp_path)
    with loading.executed_later("slow_part"):
        import slow_part
    with ThreadPoolExecutor(4) as pool:
        assert [task.result() for task in [pool.submit(lambda: slow_part.first()) for _ in range(4)]] == [1] * 4


def test_names_that_load_when_asked_for_are_listed():
    """For completion; each is what its module holds."""
    import lava_1m1t1r
    from lava_1m1t1r import errors, params, program

    homes = {"DeviceParams": params, "StepParams": program}
    homes |= dict.fromkeys(["FormatError", "InputError", "MissingDependencyError"], errors)
    listed = set(lava_1m1t1r.__all__)
    assert listed - {"M1T1R", "run"} == {*homes, "presets", "__version__"} and listed <= set(dir(lava_1m1t1r))
    for name, home in homes.items():
        assert getattr(lava_1m1t1r, name) is getattr(home, name)
    assert lava_1m1t1r.presets is sys.modules["lava_1m1t1r.presets"]


def test_the_process_that_loads_when_asked_for_is_lavas():
    pytest.importorskip("lava.magma", reason="needs lava-nc")
    import lava_1m1t1r
    from lava_1m1t1r.proc.m1t1r import process

    assert {"M1T1R", "run"} <= set(lava_1m1t1r.__all__) and lava_1m1t1r.M1T1R is process.M1T1R
    assert lava_1m1t1r.run is sys.modules["lava_1m1t1r.run"]
