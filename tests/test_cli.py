"""The command line: help that works everywhere, errors that say what to do, exit codes."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec
from tempfile import gettempdir
from types import SimpleNamespace

import pytest
from command import ROOT, SHELLS_PYTHON, run, started
from words import spoken

from lava_1m1t1r import cached, cli
from lava_1m1t1r._support import packages
from lava_1m1t1r.commands import _common, doctor
from lava_1m1t1r.datasets import write_shd
from lava_1m1t1r.netx.schema import read, write


@pytest.mark.parametrize("command", [(), *((name,) for name in cli.COMMANDS)], ids=lambda c: "".join(c) or "top")
def test_help(command, capsys):
    with pytest.raises(SystemExit, match="^0$"):
        cli.main([*command, "--help"])
    text = capsys.readouterr().out
    assert "usage: lava-1m1t1r" in text and len(text) > 200


def test_doctor_knows_the_core(capsys):
    assert cli.main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    core = {p["name"]: p["version"] for p in found["packages"] if p["for"] == "core"}
    assert set(core) == {"numpy", "scipy", "numba", "llvmlite", "h5py", "tqdm", "joblib"} and all(core.values())


def test_doctor_names_the_cure_of_what_is_absent_and_of_nothing_else(monkeypatch, capsys):
    def version(name):
        if name in ("torch", "nir"):
            raise PackageNotFoundError(name)
        return "9.8.7"

    monkeypatch.setattr(packages, "version", version)
    monkeypatch.setattr(doctor, "import_module", lambda name: None)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None if name == "yosys" else f"/bin/{name}")
    for python, torch in (((3, 10), "pip install 'lava-1m1t1r[lava]'"), ((3, 12), "needs Python 3.10")):
        monkeypatch.setattr(doctor, "sys", SimpleNamespace(version_info=python, stderr=sys.stderr))
        found = doctor.findings()
        cures = {item["name"]: item["cure"] for part in ("packages", "tools") for item in found[part] if item["cure"] is not None}
        assert cures == {"torch": torch, "nir": "pip install 'lava-1m1t1r[nir]'", "yosys": "apt-get install yosys"}
        assert {item["name"] for item in found["packages"] if item["version"] != "9.8.7"} == {"torch", "nir"}
        assert [tool["path"] for tool in found["tools"] if tool["name"] in ("gcc", "yosys")] == ["/bin/gcc", None]
    assert cli.main(["doctor"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    for line in ("dask 9.8.7 devices on a cluster", f"nir absent NIR export {cures['nir']}"):
        assert line.split() in lines
    for line in ("ngspice found circuit simulation", f"yosys absent RTL cell counts {cures['yosys']}"):
        assert line.split() in lines


def test_cores_are_those_that_the_process_may_run_on(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 3, 5}, raising=False)
    assert doctor.findings()["cores"] == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert doctor.findings()["cores"] == os.cpu_count()


@pytest.mark.parametrize(("kept", "told"), [("/home/me/loops", "/home/me/loops"), (None, cached.NO_PLACE)])
def test_doctor_tells_where_compiled_loops_are_kept(kept, told, monkeypatch):
    monkeypatch.setattr(cached, "place", lambda: kept)
    assert doctor.findings()["compiled loops"] == told


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("doctor", 1, "numpy absent core pip install lava-1m1t1r"),
        ("--help", 0, "What is installed, what is missing, and how to get it."),
        ("evaluate shipped --utterances 3", 2, "needs the package 'numpy', which is not installed."),
    ],
)
@pytest.mark.skipif("site-packages" in cli.__file__, reason="without what is installed, this package is not there")
def test_an_interpreter_without_packages(command, code, words, tmp_path):
    done = started([sys.executable, "-S", "-m", "lava_1m1t1r", *command.split()], cwd=tmp_path)  # -S: without what is installed
    said = " ".join((done.stdout + done.stderr).split())  # argparse breaks lines as wide as the terminal is
    assert done.returncode == code and words in said, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("package", "command", "code", "words"),
    [
        ("numba", "doctor", 1, "numba            absent       core                   does not load (needs another numpy)"),
        ("h5py", "doctor", 1, "h5py             absent       core                   does not load (needs another numpy)"),
        ("numba", "--version", 0, ""),
        ("numba", "evaluate shipped --utterances 3", 2, "a package that is installed does not load: needs another numpy."),
        (
            "matplotlib",
            "characterize --trials 5",
            0,
            "no figures: Drawing the characteristics needs the package 'matplotlib', which is installed and does not load "
            "(ImportError: needs another numpy).",
        ),
        pytest.param(  # which says that it is _C, as a library that it needs is missing
            "torch",
            "train",
            2,
            "Training needs the package 'torch', which is installed and does not load (ImportError",
            marks=pytest.mark.train,
        ),
    ],
)
def test_a_package_that_does_not_load_is_told(package, command, code, words, tmp_path):
    (tmp_path / f"{package}.py").write_text("raise ImportError('needs another numpy', name='_C')\n")
    done = run(*command.split(), cwd=tmp_path, PYTHONPATH=os.pathsep.join([str(tmp_path), ROOT]))
    assert done.returncode == code and words in done.stdout + done.stderr, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("evaluate shipped --utterances 3", 2, "a package that is installed does not load: numpy.dtype size changed, may indicate binary"),
        ("doctor", 1, "h5py             absent       core                   does not load (numpy.dtype size changed"),
    ],
)
def test_a_package_compiled_for_another_numpy_is_told(command, code, words, tmp_path):
    """h5py and matplotlib of numpy 1 beside numpy 2, which pip lets pass; numpy's error is no ImportError."""
    unlike = "numpy.dtype size changed, may indicate binary incompatibility. Expected 96 from C header, got 88 from PyObject"
    for package in ("h5py", "matplotlib"):
        (tmp_path / f"{package}.py").write_text(f"raise ValueError({unlike!r})\n")
    done = run(*command.split(), cwd=tmp_path, PYTHONPATH=os.pathsep.join([str(tmp_path), ROOT]))
    assert done.returncode == code and words in done.stdout + done.stderr, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    if command == "doctor" and find_spec("matplotlib"):
        assert "matplotlib       absent       figures and reports    does not load (numpy.dtype size changed" in done.stdout


@pytest.mark.parametrize("error", ["ImportError('x')", "ValueError('numpy.dtype size changed, may indicate binary incompatibility')"])
def test_numbers_do_without_a_matplotlib_that_does_not_load(error, tmp_path):
    (tmp_path / "matplotlib.py").write_text(f"raise {error}\n")
    done = run("characterize", "--trials", "5", cwd=tmp_path, PYTHONPATH=os.pathsep.join([str(tmp_path), ROOT]))
    assert done.returncode == 0 and "no figures: Drawing the characteristics needs the package 'matplotlib'" in done.stderr, done.stderr


@pytest.mark.parametrize("what", ["print('hello')", "raise SystemExit(3)"])
def test_what_packages_print_and_how_they_end_leaves_doctor_its_table(what, tmp_path):
    if find_spec("nir") is None:
        pytest.skip("needs nir, to be there by name")
    (tmp_path / "nir.py").write_text(what + "\n")
    done = run("doctor", "--json", cwd=tmp_path, PYTHONPATH=os.pathsep.join([str(tmp_path), ROOT]))
    (found,) = (package for package in json.loads(done.stdout)["packages"] if package["name"] == "nir")
    assert (found["version"] is None) == ("SystemExit" in what), done.stderr


def test_names_that_a_terminal_cannot_show_are_escaped(tmp_path):
    """In the C locale Python lets bytes pass that it could not read, and stops at letters that it cannot write."""
    net = read(_common.network_path("shipped"))
    write(tmp_path / "named.net", replace(net, classes=("\u00e4_\u6f22", *net.classes[1:])))
    done = run("deploy", "c", "named.net", "-o", "out", cwd=tmp_path, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.returncode == 0 and "\\xe4_\\u6f22" in done.stdout, done.stderr[-1000:]


ANSWERED = (
    *(["--preset", "ZHAO2025_FIG2"], ["--device", "x.json"], ["--slower", "4"], ["--dt", "0.01"], ["--hidden", "8"], ["--channels", "70"]),
    *(["--taps", "0"], ["--synaptic-delays"], ["--spread", "0.1"], ["--refractory", "2"], ["--smooth", "1"]),
)
"""Options that a network to start from answers itself."""


def trains(args, words):
    return pytest.param(args, words, marks=pytest.mark.train)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["evaluate", "nowhere.net"], "NET must be an existing .net file"),
        (["evaluate", "{data}"], "must be a network's .net file; got \"a file of spikes, as SHD's are\""),
        trains(["demo", "--data", "nowhere.h5"], "nowhere.h5"),
        (["demo", "--epochs", "0"], "--epochs must be a whole number from 1"),
        trains(["demo", "--leave-out", "george"], "leave_out (--leave-out) must be used with a data file; got 'george'. Give --data FILE."),
        trains(["train", "--test-data", "x.h5"], "test (--test-data) must be used with a data file; got 'x.h5'. Give --data FILE."),
        (["evaluate", "shipped", "--data", "{data}", "--leave-out", "²"], "leave_out (--leave-out) must be one of the set's speakers"),
        (["evaluate", "shipped", "--data", ".", "--leave-out", "1"], ". must hold shd_train.h5"),
        trains(["train", "--data", "{data}", "--test-data", "{data}", "--leave-out", "1"], "must be used with one file"),
        trains(["train", "--data", "{data}", "--test-data", "{data}"], "must be another file than the training set's"),
        trains(
            ["train", "--refractory", "1e12"],
            "Task: ZHAO2025_FIG2 with refractory 1e+12, slower 40, spread 0, dt 0.01, substeps 1, v_unit 0.125 "
            "makes a device that has no integers",
        ),
        trains(["demo", "--data", "{data}", "--train-per-class", "3"], "(--train-per-class) must be used with spoken digits"),
        trains(["train", "--data", "{data}", "--validate=--5"], "--validate must be one of the set's speakers; got '--5'. They are 0, 1."),
        (["train", "--seed", "4294967296"], "--seed must be a whole number from 0 to 4294967295; got 4294967296"),
        (["train", "--patience", "3"], "--validate SPEAKER"),
        (["train", "--spike-cost", "2"], "--spike-cost must be used with --spike-limit; got 2.0"),
        (["train", "--dt", "0"], "--dt must be a finite number and > 0 and <= 1e+06; got 0.0"),
        (["train", "--learning-rate", "0"], "--learning-rate must be a finite number and > 0 and <= 1000; got 0.0"),
        (["train", "--smooth=-1"], "--smooth must be a finite number and >= 0 and <= 1e+09; got -1.0"),
        (["train", "--spike-limit=-1"], "--spike-limit must be a finite number and >= 0 and <= 1e+09; got -1.0"),
        (["train", "--variation", "1.5"], "--variation must be a finite number and >= 0 and <= 1; got 1.5"),
        *((["train", "--start", "shipped", *option], f"{option[0]} must not be used with --start") for option in ANSWERED),
        trains(["train", "--data", "{data}", "--channels", "701"], "--channels must be at most the 700 channels of the data; got 701"),
        trains(
            ["train", "--data", "{two}", "--leave-out", "1", "--validate", "0"],
            "--validate must leave other speakers to train on; got '0'",
        ),
        (["characterize", "--set", "r_on=-1"], "DeviceParams.r_on"),
        (["characterize", "--set", "r_on=-1", "--set", "mu=57"], "DeviceParams.r_on"),
        (["characterize", "--set", "r_control=1e300"], "characterize.p.r_control [ohm] must be at most"),
        (["characterize", "--fit", "m.csv", "--trials", "5"], "--trials must not be used with --fit; got 5"),
        (["characterize", "--set", "nonsense=1"], "--set must be FIELD=VALUE"),
        (["characterize", "--set", "mu=lots"], "--set mu must be a number"),
        (["characterize", "--fit", ""], "--fit must be a path"),
        (["characterize", "--fit", "."], "file . must be a file; got 'a folder'"),
        (["characterize", "--free", "mu"], "--free must be used with --fit CSV"),
        (["characterize", "--search", "3"], "--search must be used with --fit CSV; got 3"),
        (["evaluate", "shipped", "--data", "."], ". must hold shd_train.h5"),
        (["evaluate", "shipped", "--data", ".", "--all-speakers"], "--all-speakers must be used with a file; got '.'. For a folder"),
        (["evaluate", "shipped", "--leave-out", "1"], "--leave-out must be one of the set's speakers; got '1'. They are f2"),
        (["deploy", "c", "shipped", "-o", "{data}/inside"], "output folder must be a folder, or inside one"),
        (["deploy", "c", "shipped", "-o", "out", "--prove", "99999999999"], "--prove must be a whole number from 0"),
        (["deploy", "c", "shipped", "-o", "out", "--leave-out", "1"], "--leave-out must be used with --prove N"),
        (["deploy", "c", "shipped", "-o", "out", "--frames", "x.npy", "--steps", "5"], "--steps must not be used with --frames; got 5"),
        (["bench", "accuracy", "device", "--hidden", "8"], "--hidden 8 must be used with one table; got ['accuracy', 'device']"),
        (["bench", "--list", "--hidden=8"], "--hidden=8 must be used with one table"),
        trains(["train", "--spread", "1.5"], "--spread must be a finite number and >= 0 and <= 1; got 1.5"),
        trains(["train", "--channel-shift=-1"], "--channel-shift must be a whole number from 0"),
        trains(["train", "--channel-shift", "3", "--no-augmentation"], "--channel-shift must not be used with --no-augmentation"),
        trains(["train", "--data", "x.h5", "--leave-out", "1", "--validate", "1"], "--validate must be another speaker than --leave-out"),
        (["bench", "device", "--repeats", "99999999999"], "--repeats must be a whole number from 1"),
        (["simulate", "shipped", "-o", "spikes.csv"], "--out must be a file ending in .npz"),
    ],
)
def test_wrong_input_is_one_clear_line(args, words, capsys, tmp_path, monkeypatch, small_file, two_speakers):
    monkeypatch.chdir(tmp_path)
    assert cli.main([arg.format(data=small_file, two=two_speakers) for arg in args]) == cli.USAGE_ERROR
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def two_speakers(tmp_path_factory):
    return write_shd(tmp_path_factory.mktemp("data") / "two.h5", spoken((3, 3)))


@pytest.mark.train
@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--hidden", "0"], 2, "--hidden must be > 0; got 0"),
        (["--help-table"], 0, "--leave-out"),
        (["--help-table"], 0, "number of seeds (default: 1)"),
    ],
)
def test_a_table_takes_options_of_its_own(options, code, words, capfd):
    assert cli.main(["bench", "accuracy", *options]) == code
    assert words in " ".join("".join(capfd.readouterr()).split())


@pytest.mark.train
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--leave-out", "1"], "--leave-out must be used with --data"),
        (["--data", "x.h5", "--leave-out"], "expected at least one argument"),
        (["--only", "1M1T1R", "--spike-cost", "3"], "--spike-cost must be used with --spike-limit; got 3.0"),
        (["--data", "x.h5", "--train-per-class", "5"], "--train-per-class must be used without --data; got 5"),
        (["--data", "x.h5", "--test-per-class", "5"], "--test-per-class must be used without --data; got 5"),
    ],
)
def test_options_of_a_table_suit_a_file_or_spoken_digits(options, words, capfd):
    assert cli.main(["bench", "accuracy", *options]) == 2
    assert words in "".join(capfd.readouterr())


def test_options_of_a_table_are_named_as_they_were_given(capsys):
    assert cli.main(["bench", "device", "training", "--width", "3", "--help-table"]) == 2
    assert "bench: --width 3 --help-table must be used with one table" in capsys.readouterr().err


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_gives_its_results_as_json(command, capsys):
    with pytest.raises(SystemExit, match="^0$"):
        cli.main([command, *(["c"] if command == "deploy" else []), "--help"])
    assert "--json" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_json_is_all_that_stands_on_standard_output(tmp_path):
    write_shd(tmp_path / "small.h5", spoken((6, 6, 6)))
    data = ["--data", "small.h5"]
    found = {}
    jobs = {
        "evaluate": ["shipped", *data],
        "simulate": ["shipped", *data, "-o", "s.npz"],
        "adapt": ["shipped", *data, "-o", "a.net"],
        "deploy": ["c", "shipped", "-o", "c"],
        "bench": ["--list"],
        "characterize": ["--trials", "5", "-o", "characteristics"],
    }
    if find_spec("lava") and find_spec("lightning"):
        jobs["train"] = [*data, *"--hidden 4 --epochs 1 --refractory 3 --spike-limit 9 --spike-cost 2 -o trained".split()]
    for command, options in jobs.items():
        done = run(command, *options, "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr[-2000:]
        found[command] = json.loads(done.stdout)
    assert found["characterize"] == json.loads((tmp_path / "characteristics" / "characteristics.json").read_text())
    assert found["evaluate"]["utterances"] == found["simulate"]["utterances"] == 6
    assert found["deploy"]["target"] == "c" and set(found["bench"]) >= {"device", "lava"}
    if "train" in found:
        assert found["train"] == json.loads((tmp_path / "trained" / "results.json").read_text())
        assert found["train"]["task"]["name"] == "recordings"  # what suits a file
        assert [found["train"]["task"][name] for name in ("refractory", "spike_limit", "spike_cost")] == [3.0, 9.0, 2.0]


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("command", "streams", "code"),
    [
        ("doctor", ">&-", 0),
        ("--help", ">&-", 0),
        ("doctor", ">&- 2>&- <&-", 0),
        ("evaluate nowhere.net", "2>&-", 2),
        ("nonsense", "2>&-", 2),
        ("doctor", ">/dev/full", 2),
        ("--help", ">/dev/full", 2),
        ("evaluate nowhere.net", "2>/dev/full", 2),
        ("nonsense", "2>/dev/full", 2),
    ],
)
def test_nothing_to_write_to(command, streams, code, unbuffered):
    done = started(["sh", "-c", f"exec {SHELLS_PYTHON} -m lava_1m1t1r {command} {streams}"], PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == code, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == (">/dev/full" == streams) and all("No space left" in line for line in lines)


def test_letters_that_the_terminal_does_not_know(tmp_path):
    done = run("deploy", "loihi", "shipped", "-o", "für", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and "f\\xfcr" in done.stdout, done.stderr
    assert (tmp_path / "für").is_dir()


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("train", "network.net"),
        ("train", "last.ckpt"),
        ("train", "report.html"),
        ("demo", "report.html"),
        ("characterize", "energy.txt"),
        ("characterize", "characteristics.html"),
        ("characterize --fit gone.csv", "fit.txt"),
        ("characterize --fit gone.csv", "fit.json"),
        ("bench", "device.json"),
    ],
)
def test_folders_where_files_go_are_seen_before_the_work(command, file, tmp_path, capsys):
    (tmp_path / file).mkdir()
    assert cli.main([*command.split(), "-o", str(tmp_path)]) == cli.USAGE_ERROR
    assert f"--out must not contain a folder named {file}" in capsys.readouterr().err


def test_a_current_folder_that_is_gone(tmp_path):
    (tmp_path / "gone").mkdir()
    line = f"rmdir ../gone; exec {SHELLS_PYTHON} -m lava_1m1t1r characterize"
    done = started(["sh", "-c", line], cwd=tmp_path / "gone")
    assert done.returncode == 2 and "the current folder has been removed" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.report
def test_paths_at_home_are_expanded_behind_an_equals_sign_too(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert cli.main(["characterize", "--out=~/found", "--trials", "2", "--volt", "0.9", "--width", "1e-3"]) == 0
    assert "pulses of 0.9 V, 0.001 s" in (tmp_path / "found" / "characteristics.txt").read_text() and not (tmp_path / "~").exists()
    assert cli._at_home("--folder=~/x") == f"--folder={tmp_path}/x" and cli._at_home(3) == 3
    assert cli._at_home("label=~/x") == "label=~/x"  # no option


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError("9 TiB"), "needs more memory than is available (9 TiB). Use fewer utterances, or smaller sizes."),
        (FileNotFoundError("model.bin is gone"), "model.bin is gone"),
        (OSError(28, "No space left on device", "x.npz"), "[Errno 28] No space left on device: 'x.npz'"),
        (
            OSError(28, "No space left on device"),
            "[Errno 28] No space left on device. Make room for the output, and in "
            f"{gettempdir()}, which TMPDIR names, for temporary files.",
        ),
        (OSError(24, "Too many open files"), "[Errno 24] Too many open files. Raise the limit: ulimit -n 1024."),
        (OSError(27, "File too large"), "[Errno 27] File too large. Raise the limit: ulimit -f unlimited."),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_that_a_user_can_mend_are_told_in_a_line(error, words, monkeypatch, capsys):
    def failing(args):
        raise error

    monkeypatch.setattr(doctor, "run", failing)
    assert cli.main(["doctor"]) == cli.USAGE_ERROR
    assert capsys.readouterr().err == f"lava-1m1t1r doctor: {words}\n"


def test_a_number_of_threads_that_numba_refuses_is_told_in_a_line():
    done = run("evaluate", "shipped", "--utterances", "1", NUMBA_NUM_THREADS="0")
    assert done.returncode == 2 and done.stderr == "lava-1m1t1r evaluate: NUMBA_NUM_THREADS must be > 0, or unset; got '0'.\n"


def test_settings_of_numba_are_not_taken_for_a_damaged_package():
    done = run("doctor", NUMBA_NUM_THREADS="0")
    line = next(line for line in done.stdout.splitlines() if line.split()[:1] == ["numba"])
    assert "NUMBA_NUM_THREADS must be > 0, or unset" in line and "uninstall" not in line
    assert "cannot be compiled here: " in run("doctor", NUMBA_DISABLE_JIT="1").stdout


@pytest.mark.report
def test_a_user_without_a_home_is_told_in_a_line_and_no_package_is_taken_for_damaged(tmp_path):
    """Neither HOME nor an entry in /etc/passwd, as where a container runs under any number."""
    nobody = "import os, pwd, sys; del os.environ['HOME']; pwd.getpwuid = {}.__getitem__; from lava_1m1t1r import cli; "
    found = started([sys.executable, "-c", nobody + "cli.main(['doctor'])"], HOME="/", MPLCONFIGDIR="", XDG_CONFIG_HOME="")
    line = next(line for line in found.stdout.splitlines() if line.split()[:1] == ["matplotlib"])
    assert "HOME must name a folder" in line and "uninstall" not in line
    drawn = f"{nobody} raise SystemExit(cli.main(['characterize', '-o', 'out']))"
    done = started([sys.executable, "-c", drawn], cwd=tmp_path, HOME="/", MPLCONFIGDIR="", XDG_CONFIG_HOME="")
    assert done.returncode == 2 and done.stderr.startswith("lava-1m1t1r characterize: HOME must name a folder"), done.stderr


def test_a_pipe_that_breaks_within_is_a_bug_and_not_a_reader_that_left():
    script = (
        "from lava_1m1t1r import cli; from lava_1m1t1r.commands import doctor\n"
        "def run(args): raise BrokenPipeError('a pipe of its own')\n"
        "doctor.run = run; raise SystemExit(cli.main(['doctor']))"
    )
    done = started([sys.executable, "-c", script])
    assert done.returncode == 1 and "Traceback" in done.stderr and "a pipe of its own" in done.stderr


def test_a_script_that_hides_lava_by_its_name_is_told_so(tmp_path):
    """It was told that Lava is not installed."""
    pytest.importorskip("lava.magma")
    script = tmp_path / "lava.py"
    script.write_text("from lava_1m1t1r.netx import hdf5\n\nhdf5.Network\n", encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, cwd=tmp_path, env=env)
    assert done.returncode != 0 and f"which the file {script} hides by its name. Rename that file." in done.stderr, done.stderr
