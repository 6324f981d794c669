"""Ctrl-C and SIGTERM in the real command: one line, the right exit code, nothing left behind, and training that goes on from there.

A command is stopped when something has happened (a line, a program that it started), not after a time.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import numpy as np
import pytest
from command import ROOT
from command import run as call
from words import spoken

from lava_1m1t1r import cached
from lava_1m1t1r._support import programs
from lava_1m1t1r.datasets import write_shd

LIMIT = 150  # s for anything to happen
pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("hears_interrupts"),
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc, as Linux has it"),
]


def hears():
    """In the child: the signals' usual ways. Tests that run in a shell's background, or under nohup, have inherited others."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Command:
    """The command in a process of its own, all of whose descendants can be found again by a mark in their environment."""

    def __init__(self, *args, cwd, **environment):
        self.mark, self.cwd = f"mark-{uuid.uuid4().hex}", cwd
        self.temporary = cwd / "tmp"
        self.temporary.mkdir(exist_ok=True)
        places = {"TMPDIR": str(self.temporary), "LAVA_1M1T1R_CACHE": str(cwd / "cache"), "MARK": self.mark, "PYTHONPATH": ROOT}
        self.err = open(cwd / "err.txt", "w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lava_1m1t1r", *args],
            cwd=cwd,
            env={**os.environ, **places, **environment},
            stdout=subprocess.DEVNULL,
            stderr=self.err,
            start_new_session=True,
            preexec_fn=hears,
        )

    def descendants(self):
        found = {}
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (path / "environ").read_bytes() and int(path.name) != self.process.pid:
                    found[int(path.name)] = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
        return found

    def shared_memory(self):
        """Files of the shared memory that the command and its descendants have open now: others on the machine have theirs."""
        found = set()
        for number in (self.process.pid, *self.descendants()):
            try:
                lines = Path(f"/proc/{number}/maps").read_text().splitlines()
            except OSError:
                continue
            found |= {Path(line.split()[5]) for line in lines if "/dev/shm/psm_" in line}
        return found

    def said(self):
        return (self.cwd / "err.txt").read_text()

    def wait_until(self, happened):
        end = time.monotonic() + LIMIT
        while not happened():
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.said()[-2000:]}"
            assert time.monotonic() < end, f"nothing happened: {self.said()[-2000:]}"
            time.sleep(0.05)
        return self

    def starts(self, program):
        return self.wait_until(lambda: any(program in command for command in self.descendants().values()))

    def stop(self, number=signal.SIGINT, whole_group=False, again=False):
        """Signal, wait, and check all that must hold then."""
        shared = self.shared_memory()
        (os.killpg if whole_group else os.kill)(self.process.pid, number)
        if again:
            time.sleep(0.05)
            if self.process.poll() is None:
                os.kill(self.process.pid, number)
        code = self.process.wait(LIMIT)
        end = time.monotonic() + 60  # Python's resource tracker ends a moment after us
        while self.descendants() and time.monotonic() < end:
            time.sleep(0.05)
        assert code == 128 + number, self.said()[-2000:]
        last = self.said().splitlines()[-1]
        assert re.match(r"lava-1m1t1r( \w+)?: (interrupted|terminated)[;.]", last), last
        assert ("finished epochs are kept" in last) == ((" train: " in last) or (" demo: " in last)), last
        assert not [w for w in ("Traceback", "Exception ignored", "KeyboardInterrupt") if w in self.said()], self.said()[-2000:]
        assert self.descendants() == {}
        assert not [path for path in shared if path.exists()]
        assert not list(self.temporary.iterdir())
        assert not [p for p in self.cwd.rglob("*") if ".part" in p.name or p.suffix == ".tmp" or ".probe" in p.name]
        return self


@pytest.fixture
def folder(tmp_path):
    write_shd(tmp_path / "words.h5", spoken((12, 12, 12), 2, seconds=0.3))
    return tmp_path


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A small network's file, 40-6R-2."""
    import export_networks

    from lava_1m1t1r.netx import schema

    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("net") / "small.net"
    first = export_networks.layer(rng, 0, 40, 6, "dense_rec", delays=3)
    schema.write(path, [first, export_networks.layer(rng, 1, 6, 2)])
    return str(path)


TRAIN = ["train", "--data", "words.h5", "--hidden", "12", "--epochs", "40", "--batch", "4", "--variation", "0.1", "--channels", "40"]


@pytest.mark.train
def test_training_goes_on_to_the_same_result(folder):
    options = [*TRAIN, "--validate", "0", "--patience", "30"]  # it shall not be over before it is stopped
    whole = call(*options, "-o", "whole", cwd=folder)
    assert whole.returncode == 0, whole.stderr[-2000:]
    run = Command(*options, "-o", "stopped", cwd=folder)
    run.wait_until(lambda: "epoch 2 of 40" in run.said()).stop(again=True)
    assert [p.name for p in (folder / "stopped").iterdir()] == ["last.ckpt"]
    resumed = call(*options, "-o", "stopped", "--resume", cwd=folder)
    assert resumed.returncode == 0 and "epoch 1 of 40" not in resumed.stderr, resumed.stderr[-2000:]
    for name in ("network.net", "results.json"):
        assert (folder / "whole" / name).read_bytes() == (folder / "stopped" / name).read_bytes()


@pytest.mark.train
def test_the_demo_keeps_what_it_has(folder):
    options = ["demo", "--data", "words.h5", "--epochs", "1", "--lava-utterances", "0", "--no-cuba", "--seed", "3", "-o", "out"]
    run = Command(*options, cwd=folder)
    run.wait_until(lambda: (folder / "out" / "network.net").exists()).stop(signal.SIGTERM)
    assert {p.name for p in (folder / "out").iterdir()} == {"last.ckpt", "network.net"}
    done = call(*options, "--resume", "--json", cwd=folder)
    assert done.returncode == 0 and "epoch" not in done.stderr, done.stderr[-2000:]
    assert set(json.loads(done.stdout)["mismatches"].values()) == {0}


@pytest.mark.parametrize("whole_group", [False, True], ids=["the command", "the terminal's group"])
def test_while_voices_speak(whole_group, folder):
    pytest.importorskip("espeakng_loader", reason="needs the synthesiser (extra speech)")
    Command("simulate", "shipped", cwd=folder).starts("datasets.speech").stop(whole_group=whole_group)
    assert not list((folder / "cache").glob("*"))


@pytest.mark.lava
@pytest.mark.parametrize("command", [["evaluate", "--lava", "4"], ["simulate", "--backend", "lava"]], ids=lambda c: c[0])
def test_while_lava_runs(command, folder, network):
    run = Command(command[0], network, *command[1:], "--data", "words.h5", cwd=folder)
    run.wait_until(run.shared_memory).stop(whole_group=command[0] == "evaluate", again=True)
    assert not (folder / "spikes.npz").exists()


def proof(target, network):
    return ["deploy", target, network, "-o", "out", "--prove", "8", "--data", "words.h5"]


@pytest.mark.needs("verilator")
def test_while_verilator_compiles(folder, network):
    Command(*proof("rtl", network), cwd=folder).starts("verilator").stop()
    assert not (folder / "out").exists()


@pytest.mark.needs("ngspice")
def test_while_ngspice_runs(folder, network):
    Command(*proof("spice", network), cwd=folder).starts("ngspice").stop(signal.SIGTERM)
    assert not (folder / "out").exists()


@pytest.mark.needs("ngspice")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_table_in_a_process_of_its_own(number, folder):
    """Also where the terminal closes: what the command has started does not outlive it."""
    Command("bench", "device", "--repeats", "50", "-o", "out", cwd=folder).starts("ngspice").stop(number, again=True)
    assert not list((folder / "out").iterdir())


@pytest.mark.slow
@pytest.mark.report
def test_while_a_device_is_characterised(folder):
    """Most of this time numba compiles: LLVM calls back into Python, where an exception is dropped."""
    run = Command("characterize", "--trials", "100000", "-o", "out", cwd=folder, NUMBA_CACHE_DIR=str(folder / "compiled"))
    run.wait_until(lambda: any((folder / "compiled").rglob("*.nbi"))).stop()
    assert not (folder / "out").exists()


def test_programs_end_with_all_that_they_started(tmp_path):
    """A shell in the background of a shell; SIGINT, as Python's own handler takes it."""
    script = (
        "import subprocess, sys; from lava_1m1t1r._support import programs\n"
        f"programs.run(['sh', '-c', 'sleep 1000 & echo > {tmp_path}/on; sleep 1000'])"
    )
    mark = uuid.uuid4().hex
    process = subprocess.Popen(
        [sys.executable, "-c", script], env={**os.environ, "MARK": mark}, stderr=subprocess.DEVNULL, preexec_fn=hears
    )
    end = time.monotonic() + LIMIT
    while not (tmp_path / "on").exists() and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    process.wait(LIMIT)
    marked = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            marked += [path] if mark.encode() in path.read_bytes() else []
        except OSError:
            continue
    assert not marked


def test_what_a_program_says(tmp_path):
    done = programs.run(["sh", "-c", "cat; echo wrong >&2; exit 3"], given="input", text=True, **programs.PIPES)
    assert (done.returncode, done.stdout, done.stderr) == (3, "input", "wrong\n")
    much = b"x" * (1 << 20)  # more than a pipe holds, to a program that is slow to read
    done = programs.run(["sh", "-c", "sleep 1; wc -c"], given=much, **programs.PIPES)
    assert int(done.stdout) == len(much)
    with pytest.raises(subprocess.TimeoutExpired, match="sleep.* timed out after 0.3 seconds"):
        programs.run(["sleep", "1000"], timeout=0.3)
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "nothing"))):
        programs.run([str(tmp_path / "nothing")])


def test_what_programs_leave_goes_into_the_folder_that_they_work_in(tmp_path):
    shown = ["sh", "-c", 'echo "$TMPDIR $OWN"']
    for options, own in (({}, ""), ({"env": {**os.environ, "OWN": "kept"}}, "kept")):
        done = programs.run(shown, cwd=tmp_path, text=True, **options, **programs.PIPES)
        assert done.stdout.split(" ") == [str(tmp_path), f"{own}\n"]


@pytest.mark.parametrize("ours", [False, True])
def test_programs_of_ours_end_in_order(ours, tmp_path):
    script = "trap 'echo > ended; exit' INT; echo > began; while :; do sleep 0.05; done"
    with pytest.raises(subprocess.TimeoutExpired):
        programs.run(["sh", "-c", script], timeout=5.0, ours=ours, cwd=tmp_path)
    assert (tmp_path / "began").exists() and (tmp_path / "ended").exists() == ours


def test_processes_that_are_somebody_elses_run(monkeypatch):
    assert programs.is_running(os.getpid())
    for error, runs in ((PermissionError, True), (ProcessLookupError, False)):

        def kill(*_, error=error):
            raise error

        monkeypatch.setattr(os, "kill", kill)
        assert programs.is_running(7) == runs


def test_what_shall_not_be_broken_is_not_and_the_interrupt_comes_then():
    done = []
    with pytest.raises(KeyboardInterrupt), programs.unbroken():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)
        done.append(True)
    assert done == [True] and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_users_alarm_does_not_break_it_either_and_forked_children_have_its_handler():
    """A time limit of the user's (``signal.alarm``), raised while Lava's processes were being started, left them running for ever."""
    done, child = [], 0
    before = signal.signal(signal.SIGALRM, lambda *_: os._exit(7) if child == 0 else 1 / 0)
    try:
        with pytest.raises(ZeroDivisionError), programs.unbroken():
            child = os.fork()
            signal.raise_signal(signal.SIGALRM)
            done.append(True)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert done == [True] and os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_of_several_signals_that_come_meanwhile_each_is_heard():
    heard, numbers = [], (signal.SIGHUP, signal.SIGTERM)
    before = {n: signal.signal(n, lambda number, _frame: heard.append(number)) for n in numbers}
    try:
        with programs.unbroken():
            for number in (*numbers, signal.SIGHUP):
                signal.raise_signal(number)
            assert heard == []
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert heard == [*numbers]


def test_ctrl_c_while_handlers_come_back_leaves_none_behind(monkeypatch):
    """One that has waited is heard, and the others are as before, however many there are."""
    before, numbers, put = {n: signal.getsignal(n) for n in signal.valid_signals()}, [], signal.signal

    def again(number, handler):
        found = put(number, handler)
        if handler is before[number]:
            numbers.append(number)
            if number == signal.SIGINT and numbers.count(number) == 1:
                raise KeyboardInterrupt
        return found

    monkeypatch.setattr(signal, "signal", again)
    with pytest.raises(KeyboardInterrupt), programs.unbroken():
        assert signal.getsignal(signal.SIGINT) is not before[signal.SIGINT]
    assert {n: signal.getsignal(n) for n in signal.valid_signals()} == before


def test_loops_are_loaded_whole_before_ctrl_c_is_heard(monkeypatch):
    """It would leave a lock of LLVM taken, for which every other thread that loads loops then waits."""
    loop, done = cached.cached(lambda x: x + 1), []
    load = loop._cache.load_overload

    def pressed(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)
        done.append(load(*arguments))

    monkeypatch.setattr(loop._cache, "load_overload", pressed)
    with pytest.raises(KeyboardInterrupt):
        loop(1)
    assert len(done) == 1
    monkeypatch.undo()
    assert loop(1) == 2


def test_exit_codes_tell_of_the_signal():
    assert programs.last_words(KeyboardInterrupt()) == ("interrupted", 130)
    assert programs.last_words(programs.Terminated(signal.SIGTERM)) == ("terminated", 143)


def test_one_interrupt_is_raised_and_the_next_waits():
    before = signal.getsignal(signal.SIGINT)
    with programs.orderly():
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(LIMIT)
        os.kill(os.getpid(), signal.SIGINT)  # dropped: the first is being answered
        time.sleep(0.1)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_lost_in_a_callback_comes_again():
    import ctypes

    @ctypes.CFUNCTYPE(None)
    def callback():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)

    with programs.orderly(), pytest.raises(programs.Terminated):
        callback()
        time.sleep(LIMIT)


def test_other_errors_in_callbacks_are_told_as_before(monkeypatch):
    import ctypes

    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: told.append(str(unraisable.exc_value)))

    @ctypes.CFUNCTYPE(None)
    def callback():
        raise ValueError("told")

    with programs.orderly():
        callback()
    assert told == ["told"]


def test_an_error_made_of_an_interrupt_is_one():
    try:
        try:
            raise programs.Terminated(signal.SIGTERM)
        except KeyboardInterrupt as stop:
            raise SystemError("numba") from stop
    except SystemError as error:
        assert isinstance(programs.interrupted(error), programs.Terminated)
    assert programs.interrupted(ValueError("plain")) is None


@pytest.mark.parametrize("module", ["argparse", "numpy", "h5py", "numba"])
def test_while_modules_are_imported(module, tmp_path):
    """From the first module on; what Python does before it has come to the command is Python's own."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "began = []\n"
        "def hook(event, args):\n"
        "    if event == 'import' and args[0] == 'lava_1m1t1r.cli':\n"
        "        began.append(True)\n"
        f"    if event == 'import' and args[0] == {module!r} and began:\n"
        "        os.kill(os.getpid(), 2)\n"
        "sys.addaudithook(hook)\n"
    )
    path = f"{tmp_path}{os.pathsep}{ROOT}"
    done = call("evaluate", "shipped", "--data", "nowhere.h5", preexec_fn=hears, PYTHONPATH=path)
    assert done.returncode == 130, done.stderr[-2000:]
    (line,) = done.stderr.splitlines()
    assert line.startswith("lava-1m1t1r") and line.endswith(": interrupted.")


@pytest.mark.parametrize("command", ["doctor", "evaluate shipped --data words.h5"])
def test_when_all_is_done(command, folder):
    (folder / "sitecustomize.py").write_text("import atexit, os, time; atexit.register(lambda: (os.kill(os.getpid(), 2), time.sleep(9)))")
    done = call(*command.split(), cwd=folder, preexec_fn=hears, PYTHONPATH=f"{folder}{os.pathsep}{ROOT}")
    assert done.returncode == -signal.SIGINT and len(done.stdout.splitlines()) > 1
    assert [line for line in done.stderr.splitlines() if not line.startswith("hint")] == []


def test_an_error_that_does_not_tell_of_the_interrupt_it_came_from(monkeypatch, capsys):
    """As C code leaves one: "numba._devicearray failed to import"."""
    from lava_1m1t1r import cli
    from lava_1m1t1r.commands import doctor

    def run(args):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(LIMIT)
        except KeyboardInterrupt:
            pass
        raise ImportError("failed to import")

    monkeypatch.setattr(doctor, "run", run)
    assert cli.main(["doctor"]) == 130
    assert capsys.readouterr().err == "lava-1m1t1r doctor: interrupted.\n"
