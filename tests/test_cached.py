"""The key of cached machine code reads every file that the code is made of."""

import importlib
import os
import pkgutil
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

import pytest
from numba.core.dispatcher import Dispatcher
from numba.core.typing.templates import builtin_registry
from numba.extending import _Intrinsic

import lava_1m1t1r
from lava_1m1t1r import cached, reference
from lava_1m1t1r._support.sources import COMPILED
from lava_1m1t1r.device import chain, constants
from lava_1m1t1r.export import cuba_fit

PACKAGE = Path(lava_1m1t1r.__file__).parent
FACTORIES = {"layer_kernel": list(product((False, True), repeat=3))}  # functions that call cached, and all that they are called with
OPTIONAL = {"lava", "torch", "lightning", "matplotlib", "nir", "brian2", "jax", "flax", "norse", "snntorch", "spikingjelly", "spyx"}


def modules():
    """All modules of the package, less those whose optional packages are not installed."""
    for found in pkgutil.walk_packages([str(PACKAGE)], "lava_1m1t1r.", onerror=lambda name: None):
        if found.name.rpartition(".")[2] != "__main__":
            try:
                yield importlib.import_module(found.name)
            except ImportError as error:
                cause = error if isinstance(error, ModuleNotFoundError) else error.__cause__
                missing = getattr(cause, "name", None) or ""
                assert missing.partition(".")[0] in OPTIONAL or "training_measure" in missing, f"{found.name}: {error}"


def names(code: CodeType) -> set[str]:
    """Names that code and the functions in it read."""
    return set(code.co_names).union(*(names(part) for part in code.co_consts if isinstance(part, CodeType)))


def overloads(function):
    """What numba compiles where compiled code calls a function with overloads."""
    kinds = [kind for known, kind in builtin_registry.globals if known is function]
    return [template._overload_func for kind in kinds for template in kind.templates if hasattr(template, "_overload_func")]


def parts(thing):
    """What a thing is made of and numba compiles with it: functions, the things that they name, and what tuples of them hold."""
    if isinstance(thing, Dispatcher):
        yield thing.py_func
    elif isinstance(thing, _Intrinsic):
        yield thing._defn
    elif isinstance(thing, tuple):
        yield type(thing)
        yield from thing
    elif isinstance(thing, FunctionType):
        used = names(thing.__code__)
        yield from overloads(thing)
        yield from (cell.cell_contents for cell in thing.__closure__ or ())
        for value in (thing.__globals__[name] for name in used & thing.__globals__.keys()):
            yield from (vars(value)[name] for name in used & vars(value).keys()) if isinstance(value, ModuleType) else (value,)


def files_of(root) -> set[Path]:
    """Files of the package that define the functions and NamedTuples which are compiled together with this one."""
    waiting, seen, files = [root], {}, set()
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen[id(thing)] = thing  # held, or another may get its id
        if isinstance(thing, FunctionType):
            files.add(Path(thing.__code__.co_filename))
        elif isinstance(thing, type) and thing.__module__.startswith("lava_1m1t1r."):
            files.add(Path(importlib.import_module(thing.__module__).__file__))
        waiting += parts(thing)
    return {path for path in files if PACKAGE in path.parents}


@pytest.mark.timeout(240)
def test_the_key_of_cached_machine_code_reads_every_file_that_it_is_made_of():
    kept, factories = {}, {}
    for module in modules():
        for name, value in vars(module).items():
            if isinstance(value, Dispatcher) and isinstance(value._cache, cached._SourcesCache):
                kept[value.py_func.__module__, name] = value
            function = getattr(value, "__wrapped__", value)  # functools.cache
            if (
                isinstance(function, FunctionType)
                and function.__globals__.get("cached") is cached.cached
                and "cached" in names(function.__code__)
            ):
                factories[name] = value
    assert factories.keys() <= FACTORIES.keys(), "give FACTORIES what they are called with"
    for name, make in factories.items():
        kept |= {(make.__module__, name, *given): make(*given) for given in FACTORIES[name]}
    if not kept:
        pytest.skip("machine code cannot be kept here")
    made = files_of(kept["lava_1m1t1r.fast.kernels", "run_layer"])
    assert made >= {
        PACKAGE / name for name in ("fast/kernels.py", "fast/neurons.py", "fast/synapses.py", "kernels.py", "dynamics.py", "program.py")
    }
    read = {path for pattern in COMPILED for path in PACKAGE.glob(pattern)}
    for name, dispatcher in kept.items():
        files = files_of(dispatcher)
        assert files, name
        assert files <= read, f"{name}: {sorted(str(path.relative_to(PACKAGE)) for path in files - read)} must be in COMPILED"


@pytest.mark.parametrize(
    "loop",
    (reference._fixed_layer_step, reference._float_step, chain._load_drop, constants._prepare_all, cuba_fit.run_cuba, cuba_fit._distance),
)
def test_loops_that_python_calls_are_kept(loop):
    assert cached.place() is None or isinstance(loop._cache, cached._SourcesCache)


def test_without_a_folder_loops_compile_in_every_process_and_say_so(monkeypatch, capsys):
    def refused(*_args):
        raise RuntimeError("cannot cache function: no locator available")

    class Terminal:
        def __init__(self, stream):
            self.write, self.flush, self.isatty = stream.write, stream.flush, lambda: True

    monkeypatch.setattr(cached.FunctionCache, "__init__", refused)
    cached._tell_once.cache_clear()
    twice = cached.cached(lambda x: 2 * x)
    monkeypatch.setattr(sys, "stderr", Terminal(sys.stderr))
    assert [twice(3), twice(3.5)] == [6, 7.0]
    assert capsys.readouterr().err == f"compiling loops for this processor (in every process: {cached.NO_PLACE}; up to a minute)\n"
    assert cached.place() is None
    cached._tell_once.cache_clear()


def test_loops_of_an_installed_package_are_kept_away_from_it(tmp_path):
    """pip would leave them behind, and the folder with them, which Python takes for the package."""
    installed = tmp_path / "site-packages" / "lava_1m1t1r"
    shutil.copytree(PACKAGE, installed, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "home").mkdir()
    (tmp_path / "file").write_text("")
    code = "from lava_1m1t1r import cached; print(cached.place())"
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    for home, there in (("home", tmp_path / "home"), ("file", installed / "__pycache__"), ("open", installed / "__pycache__")):
        places = dict.fromkeys(("HOME", "XDG_CACHE_HOME"), str(tmp_path / home)) | {"PYTHONPATH": str(installed.parent)}
        found = subprocess.check_output([sys.executable, "-c", code], env=environment | places, cwd=tmp_path, text=True).strip()
        assert Path(found).is_relative_to(there), (home, found)
        if home == "home":  # as it is, but for others to write to
            shutil.copytree(tmp_path / "home", tmp_path / "open")
            for folder in (tmp_path / "open").rglob("*/"):
                folder.chmod(0o777)
    here = {**environment, "HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": "", "PYTHONPATH": str(installed.parent)}
    found = subprocess.check_output([sys.executable, "-c", code], env=here, cwd=tmp_path, text=True).strip()
    assert Path(found).is_absolute() and not (tmp_path / "numba").exists()


@pytest.fixture
def kept_script(tmp_path):
    """Function that writes a script, and returns one that runs it in a new process, which keeps its machine code, for what it prints."""

    def written(text):
        path, environment = tmp_path / "script.py", {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "kept")}
        path.write_text(text)

        def run(*arguments):
            command = [sys.executable, str(path), *arguments]
            return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=220, check=True).stdout

        return run

    return written


def test_kept_machine_code_is_loaded_without_numbas_compiler_and_other_types_are_compiled_beside_it(kept_script):
    doubled = kept_script(
        "import json, sys\n"
        "from lava_1m1t1r.cached import cached\n"
        "twice = cached(lambda x: 2 * x)\n"
        "for value in map(json.loads, sys.argv[1:]):\n"
        "    print(twice(value), 'numba.cpython.listobj' in sys.modules)\n"
    )
    assert doubled("3").split() == ["6", "True"]
    assert doubled("3").split() == ["6", "False"]
    assert doubled("3", "3.5").split() == ["6", "False", "7.0", "True"]


def test_kept_machine_code_that_makes_arrays_runs_in_another_process(kept_script):
    halved = kept_script(
        "import numpy as np\n"
        "from lava_1m1t1r.cached import cached\n"
        "from lava_1m1t1r.compiled import allocating\n"
        "half = cached(lambda x: np.append(x[::2], 0), allocating)\n"
        "print(half(np.arange(5)))\n"
    )
    for _ in range(2):
        assert halved() == "[0 2 4 0]\n"


@pytest.mark.timeout(900)
def test_machine_code_that_was_damaged_is_compiled_anew(kept_script, tmp_path):
    """It would crash, or give other numbers."""
    doubled = kept_script(
        "import sys\n"
        "from lava_1m1t1r.cached import cached\n"
        "twice = cached(lambda x: 2 * x + 1000)\n"
        "print(twice(3), 'numba.cpython.listobj' in sys.modules)\n"
    )
    assert doubled().split() == ["1006", "True"]
    (kept,) = (tmp_path / "kept").rglob("*.nbc")
    whole = kept.read_bytes()
    for place in (0.2, 0.5, 0.8):
        damaged = bytearray(whole)
        damaged[int(place * len(whole))] ^= 4
        kept.write_bytes(damaged)
        assert doubled().split() == ["1006", "True"]
        assert doubled().split() == ["1006", "False"]
    kept.write_bytes(whole[: len(whole) // 2])
    assert doubled().split() == ["1006", "True"]


def test_machine_code_of_other_types_in_a_functions_file_is_not_run(kept_script, tmp_path):
    """Two processes that save at once may leave the index of one with the machine code of the other."""
    summed = kept_script(
        "import numpy as np\n"
        "from lava_1m1t1r.cached import cached\n"
        "def total(values):\n"
        "    found = 0.0\n"
        "    for i in range(values.size):\n"
        "        found += values[i]\n"
        "    return found\n"
        "total = cached(total)\n"
        "print(*(total(np.array([1, 2, 3], kind)) for kind in (np.int32, np.float32)))\n"
    )
    assert summed() == "6.0 6.0\n"
    one, other = (tmp_path / "kept").rglob("*.nbc")
    contents = one.read_bytes(), other.read_bytes()
    one.write_bytes(contents[1])
    other.write_bytes(contents[0])
    assert summed() == "6.0 6.0\n"
    assert (one.read_bytes(), other.read_bytes()) != contents[::-1]  # each has its own again


def test_the_digest_is_of_the_lines_that_were_imported():
    """Not of those that a file holds when the first loop is compiled: they may have been edited meanwhile."""
    code = "import lava_1m1t1r.kernels; from lava_1m1t1r import cached; print(cached.sources_digest.cache_info().currsize)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=220)
    assert done.stdout.split() == ["1"], done.stderr
