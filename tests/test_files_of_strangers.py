"""What somebody else's files may not do to whoever opens them: write elsewhere, run code, obey a terminal, fill memory and disk."""

import ast
import gzip
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

import lava_1m1t1r
from lava_1m1t1r import cached, cli
from lava_1m1t1r._support import programs, progress
from lava_1m1t1r.datasets import EventSet, read_shd, read_wav, shd, write_shd
from lava_1m1t1r.errors import FormatError, InputError
from lava_1m1t1r.netx import schema
from lava_1m1t1r.recipes import SHIPPED_NETWORK

PACKAGE = Path(lava_1m1t1r.__file__).parent


@pytest.fixture
def events():
    return EventSet.from_utterances([([0.1, 0.2], [1, 2])] * 4, [0, 1, 0, 1], [0, 0, 1, 1], keys=("a", "b"))


def packed(folder, content, method=zipfile.ZIP_DEFLATED):
    folder.mkdir()
    with zipfile.ZipFile(folder / "shd_train.h5.zip", "w", method) as file:
        file.writestr("shd_train.h5", content)
    return folder


@pytest.mark.parametrize("suffix", ["gz", "zip"])
def test_an_archive_is_not_unpacked_through_a_link_to_elsewhere(suffix, events, tmp_path):
    whole = write_shd(tmp_path / "whole.h5", events).read_bytes()
    folder = packed(tmp_path / "data", whole)
    if suffix == "gz":
        (folder / "shd_train.h5.zip").unlink()
        (folder / "shd_train.h5.gz").write_bytes(gzip.compress(whole))
    (folder / "shd_train.h5").symlink_to("../elsewhere")
    with pytest.raises(FormatError, match=r"shd_train.h5 must be a file, or absent; got 'a link to nowhere'"):
        shd(folder)
    assert not (tmp_path / "elsewhere").exists()
    (folder / "shd_train.h5").unlink()
    assert len(shd(folder)) == 4


def test_an_archive_that_would_fill_the_disk_is_given_up(tmp_path):
    folder = packed(tmp_path / "data", bytes(70 << 20))
    assert (folder / "shd_train.h5.zip").stat().st_size < 1 << 17
    with pytest.raises(FormatError, match=r"shd_train.h5.zip must unpack to at most 67108864 bytes, for an archive of its size"):
        shd(folder)
    assert [path.name for path in folder.iterdir()] == ["shd_train.h5.zip"]


def test_an_archive_of_another_method_is_refused(events, tmp_path):
    whole = write_shd(tmp_path / "whole.h5", events).read_bytes()
    with pytest.raises(FormatError, match="shd_train.h5 must be packed by nothing but deflate"):
        shd(packed(tmp_path / "data", whole, zipfile.ZIP_BZIP2))


def test_commands_import_nothing_from_the_folder_that_they_run_in(tmp_path, monkeypatch):
    (tmp_path / "numpy.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    code = "import numpy, lava_1m1t1r.errors; print(sys.argv[1], numpy.__file__, lava_1m1t1r.__file__)"
    said = subprocess.check_output(programs.python(code, "x"), text=True)
    assert said.startswith("x ") and str(tmp_path) not in said and said.endswith(f" {lava_1m1t1r.__file__}\n")
    assert not (tmp_path / "run").exists()


def test_a_child_has_the_package_of_its_parent(tmp_path, monkeypatch):
    """Also where another one comes first on its path, and behind links."""
    other = tmp_path / "other" / "lava_1m1t1r"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("")
    code = "import lava_1m1t1r; print(lava_1m1t1r.__file__)"
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(other.parent), str(PACKAGE.parent)]))
    assert Path(subprocess.check_output(programs.python(code), text=True).strip()) == PACKAGE / "__init__.py"
    (tmp_path / "link").symlink_to(PACKAGE.parent)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "link"))
    assert Path(subprocess.check_output(programs.python(code), text=True).strip()) == tmp_path / "link" / "lava_1m1t1r" / "__init__.py"


def test_python_is_started_in_one_way():
    """Which leaves the current folder out; ``-m`` and ``-c`` alone look there first."""
    for path in PACKAGE.rglob("*.py"):
        names = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Attribute)]
        uses = [node for node in names if node.attr == "executable" and ast.unparse(node.value) == "sys"]
        assert not uses or path.relative_to(PACKAGE).as_posix() in ("_support/programs.py", "commands/doctor.py"), path


def test_results_of_an_evaluation_take_the_place_of_a_link(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.zeros((2, 5, 140), np.uint8))
    np.save("y.npy", np.zeros(2, int))
    Path("profile").write_text("mine")
    Path("out").mkdir()
    Path("out/evaluation.json").symlink_to("../profile")
    cli.main("evaluate shipped --frames x.npy --labels y.npy --out out".split())
    assert Path("profile").read_text() == "mine" and not Path("out/evaluation.json").is_symlink()


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="rights of files are others here")
def test_compiled_loops_are_not_kept_where_others_may_write(tmp_path, monkeypatch):
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))

    def loop(x):
        return x + 1

    for own in (cached.place(), cached.cached(loop)._cache.cache_path):
        assert own is not None and Path(own).is_relative_to(tmp_path)
        Path(own).chmod(0o777)
    assert cached.place() is None
    with_open_umask = "import os; os.umask(0); from lava_1m1t1r import cached; print(cached.place())"
    kept = tmp_path / "kept"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(kept)}
    assert subprocess.check_output(programs.python(with_open_umask), env=environment, text=True).startswith(str(kept))
    assert isinstance(cached.cached(loop)._cache, cached._NoPlace)


@pytest.mark.parametrize("name", ["\x1b]0;x\a", "a\nb", "\x9b1m", "x" * 201, "\u0300\u0327" * 300])
def test_names_that_a_terminal_obeys_or_nobody_can_show_are_refused(name, events, tmp_path):
    net = schema.read(SHIPPED_NETWORK)
    with pytest.raises(InputError, match="network: classes must hold names"):
        net.replace(classes=(name, *map(str, range(1, 20)))).check()
    with pytest.raises(InputError, match="EventSet.keys must hold names"):
        EventSet.from_utterances([([0.1], [1])], [0], keys=(name,))
    write_shd(tmp_path / "a.h5", events)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        del file["extra/keys"]
        file["extra/keys"] = [b"a", name.encode()]
    with pytest.raises(FormatError, match="extra/keys must hold names"):
        read_shd(tmp_path / "a.h5")


def test_what_is_told_cannot_command_a_terminal(capsys):
    progress.tell("one\ttab, \x1b]0;title\a and \x9b1m, \u00e9\u6f22,\nline two")
    assert capsys.readouterr().err == "one\ttab, \\x1b]0;title\\x07 and \\x9b1m, \u00e9\u6f22,\nline two\n"


def test_keys_of_a_file_are_told_without_their_commands(tmp_path, capsys):
    (tmp_path / "a.net").write_bytes(SHIPPED_NETWORK.read_bytes())
    with h5py.File(tmp_path / "a.net", "r+") as file:
        file["\x1b]0;title\a"] = 1
    assert cli.main(["evaluate", str(tmp_path / "a.net")]) == 2
    told = capsys.readouterr().err
    assert "title" in told and "\x1b" not in told and "\a" not in told


def test_more_names_than_anybody_has_classes_are_refused(events, tmp_path):
    write_shd(tmp_path / "a.h5", events)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        del file["extra/keys"]
        file.create_dataset("extra/keys", data=np.zeros(70_000, "S6"), compression="gzip")
    with pytest.raises(FormatError, match="extra/keys must hold at most 65536 names; got 70000"):
        read_shd(tmp_path / "a.h5")


def test_rows_that_a_small_file_claims_are_bounded(events, tmp_path):
    write_shd(tmp_path / "a.h5", events)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        for name in ("spikes/times", "spikes/units", "labels"):
            kind = file[name].dtype
            del file[name]
            file.create_dataset(name, (80_000,), kind, chunks=(4096,), compression="gzip")
    with pytest.raises(FormatError, match="hold at most 65536 rows, for a file of this size; got 80000"):
        read_shd(tmp_path / "a.h5")


def test_chunks_much_larger_than_what_they_hold_are_counted_whole(tmp_path):
    (tmp_path / "a.net").write_bytes(SHIPPED_NETWORK.read_bytes())
    with h5py.File(tmp_path / "a.net", "r+") as file:
        place = next(name for name in file["layer"] if "weight" in file[f"layer/{name}"])
        del file[f"layer/{place}/weight"]
        file.create_dataset(
            f"layer/{place}/weight", data=np.ones((64, 1), np.int8), chunks=(1, 1 << 22), compression="gzip", maxshape=(64, None)
        )
    with pytest.raises(FormatError, match=r"weight must claim at most 67\d+ bytes, for a file of this size; got 268435456"):
        schema.read(tmp_path / "a.net")


def test_a_file_that_is_no_recording_is_not_quoted(tmp_path):
    (tmp_path / "shadow").write_bytes(b"secret:*:19000:0:99999")
    with pytest.raises(FormatError) as told:
        read_wav(tmp_path / "shadow")
    assert "must be a RIFF WAVE file" in str(told.value) and "secret" not in str(told.value)


def test_the_list_of_a_former_export_names_files_inside_alone(tmp_path):
    from lava_1m1t1r.export import TARGETS
    from lava_1m1t1r.export.output import MARK

    net = schema.read(SHIPPED_NETWORK)
    (tmp_path / "kept").write_text("mine")
    TARGETS["loihi"](net, tmp_path / "out")
    with open(tmp_path / "out" / MARK, "a") as file:
        file.write("\n..\n../kept\n")
    TARGETS["loihi"](net, tmp_path / "out")
    assert (tmp_path / "kept").read_text() == "mine"


def test_the_list_of_a_former_export_may_hold_bytes_that_are_no_text(tmp_path):
    from lava_1m1t1r.export.output import MARK, check_folder

    (tmp_path / MARK).write_bytes(b"caf\xe9\nnet.c\n")
    check_folder(tmp_path)
    (tmp_path / "mine").touch()
    with pytest.raises(InputError, match="hold nothing but a former export; got .'mine'"):
        check_folder(tmp_path)


def test_an_export_takes_the_place_of_one_whose_list_the_locale_cannot_write(tmp_path):
    from lava_1m1t1r.export.output import MARK

    (tmp_path / "out").mkdir()
    (tmp_path / "out" / MARK).write_bytes(b"caf\xe9\nnet.c\n")
    code = "from lava_1m1t1r import cli; raise SystemExit(cli.main(['deploy', 'c', 'shipped', '-o', 'out']))"
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "net.c" in (tmp_path / "out" / MARK).read_text(), done.stderr[-1000:]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name here")
def test_a_pipe_in_place_of_the_results_beside_a_network_is_not_waited_for(tmp_path):
    from lava_1m1t1r.commands._training import Training

    (tmp_path / "a.net").write_bytes(SHIPPED_NETWORK.read_bytes())
    os.mkfifo(tmp_path / "results.json")
    assert Training(schema.read(tmp_path / "a.net")).found == {}
