"""The environment of the README's two commands: what stops its building, and what that leaves behind."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DF = "Filesystem 1024-blocks Used Available Capacity Mounted on"

pytestmark = pytest.mark.needs("awk")


@pytest.fixture
def checkout(tmp_path):
    """A checkout whose Python 3.10 makes environments in which pip is `pip`, a line of shell; and its commands, first on PATH."""
    checkout, commands = tmp_path / "checkout", tmp_path / "commands"
    checkout.mkdir()
    commands.mkdir()
    for name in ("make_venv.sh", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, checkout)

    def build(df, pip="exit 0", base="/nowhere"):
        environment = f'mkdir -p .venv/bin && printf "%s\\n" "#!/bin/sh" "{pip}" > .venv/bin/python && chmod +x .venv/bin/python'
        _command(commands / "python3.10", f'case "$2" in *base_prefix*) echo "{base}" ;; venv) {environment} ;; esac')
        _command(commands / "df", f"printf '%s\\n' {' '.join(repr(line) for line in (DF, *df))}")
        place = os.environ | {"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(["sh", checkout / "make_venv.sh"], env=place, text=True, preexec_fn=_heeds_signals, **pipes)

    return checkout, build


def _heeds_signals():
    for how in (signal.SIGINT, signal.SIGHUP):  # a job in the background, or of nohup, inherits "ignored", which a shell cannot trap
        signal.signal(how, signal.SIG_DFL)


def _command(path, line):
    path.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
    path.chmod(0o755)


def _row(disk, available):
    return f"{disk} 999999999 1 {available} 1% /a folder"


@pytest.mark.parametrize(
    ("df", "says"),
    [
        ([_row("a", 7_000_000), _row("a", 7_000_000)], "9 GB of disk space are needed, and 7.2 GB are free"),
        ([_row("a", 5_000_000), _row("b", 50_000_000)], "6.2 GB of disk space are needed, and 5.1 GB are free"),
        ([_row("a", 50_000_000), _row("b", 500_000)], "2.8 GB of disk space are needed for temporary files, and 0.5 GB are free"),
    ],
)
def test_a_full_disk_is_told_before_anything_is_built(checkout, df, says):
    folder, build = checkout
    building = build(df)
    _, error = building.communicate(timeout=200)
    assert building.returncode == 1
    assert says in error and "TMPDIR" in error
    assert not (folder / ".venv").exists()


@pytest.mark.parametrize("df", [[_row("a", 7_000_000), _row("b", 7_000_000)], [_row("a", "-"), _row("a", "-")], []])
def test_enough_space_or_a_df_that_cannot_tell_builds(checkout, df):
    folder, build = checkout
    building = build(df)
    out, error = building.communicate(timeout=200)
    assert building.returncode == 0, error
    assert ".venv is ready" in out
    assert (folder / ".venv" / ".installed").exists()


def test_without_awk_nothing_is_refused(checkout):
    folder, build = checkout
    _command(folder.parent / "commands" / "awk", "exit 127")
    building = build([_row("a", 5), _row("a", 5)])
    _, error = building.communicate(timeout=200)
    assert building.returncode == 0, error


def test_what_could_not_be_installed_leaves_nothing(checkout):
    folder, build = checkout
    building = build([], pip="exit 3")
    building.communicate(timeout=200)
    assert building.returncode == 3
    assert not (folder / ".venv").exists()


def test_the_python_of_an_environment_is_the_one_that_made_it(checkout):
    """An environment on PATH, or the one here that uv finds, may be removed: a new one must not need it."""
    folder, build = checkout
    base = folder / "a base" / "python3.10"
    base.parent.mkdir()
    base.symlink_to(folder.parent / "commands" / "python3.10")
    building = build([], base=base)
    out, error = building.communicate(timeout=200)
    assert building.returncode == 0, error
    assert f"building .venv with {base} (once" in out


def test_packages_elsewhere_are_none_of_the_environment(checkout, monkeypatch):
    """For pip, what lies on PYTHONPATH is installed."""
    monkeypatch.setenv("PYTHONPATH", "/apps/python3.10/site-packages")
    _, build = checkout
    building = build([], pip="exit ${PYTHONPATH:+3}")
    _, error = building.communicate(timeout=200)
    assert building.returncode == 0, error


@pytest.mark.needs("make")
def test_make_leaves_packages_elsewhere_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/apps/python3.10/site-packages")
    shutil.copy(ROOT / "Makefile", tmp_path)
    _command(tmp_path / "make_venv.sh", "exit 0")
    _command(tmp_path / "python", 'echo "on PYTHONPATH: $PYTHONPATH."')
    made = subprocess.run(["make", "-C", tmp_path, "demo", "PYTHON=./python"], capture_output=True, text=True, timeout=60)
    assert "on PYTHONPATH: ." in made.stdout, made.stdout + made.stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_was_stopped_leaves_nothing(checkout, how):
    folder, build = checkout
    building = build([], pip="touch installing; exec sleep 2")
    until = time.monotonic() + 20
    while not (folder / "installing").exists() and time.monotonic() < until:
        time.sleep(0.05)
    building.send_signal(how)
    building.communicate(timeout=200)
    assert building.returncode == 128 + how
    assert not (folder / ".venv").exists()
