"""Bars for long work: on a terminal, for those who asked, after a second; the same results with and without."""

import contextlib
import fcntl
import io
import json
import os
import pty
import shlex
import struct
import subprocess
import sys
import termios

import export_networks
import numpy as np
import pytest
from command import ROOT, SHELLS_PYTHON, started
from words import spoken

from lava_1m1t1r import cached
from lava_1m1t1r._support import progress
from lava_1m1t1r.benchmarks.table import Table
from lava_1m1t1r.datasets import EventSet, binned_events, write_shd
from lava_1m1t1r.device import characterize, presets
from lava_1m1t1r.device.network import DeviceNetwork
from lava_1m1t1r.fast import FastNetwork
from lava_1m1t1r.netx import hdf5, schema
from lava_1m1t1r.recipes import data
from lava_1m1t1r.recipes.task import Task


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """For a ``with`` block: standard error as if somebody watched it, impatiently."""
    monkeypatch.setattr(progress, "DELAY", 0.0)
    monkeypatch.setattr(cached, "_tell_once", lambda *_: None)  # it tells only where loops were not compiled before
    return contextlib.redirect_stderr(Terminal())


@pytest.fixture
def net(tmp_path):
    rng = np.random.default_rng(0)
    layers = [export_networks.layer(rng, 0, 40, 6, "dense_rec", delays=3), export_networks.layer(rng, 1, 6, 2)]
    schema.write(tmp_path / "a.net", layers)
    return schema.read(tmp_path / "a.net")


def events(n=5):
    return spoken(n, 2, channels=40, seconds=0.05)


def frames(net, n=5):
    return data.frames_of(events(n), Task("test", dt=net.dt, n_steps=50, channels=40, classes=2))


def long_work(net):
    """Every seam that shows a bar, by its title; arrays to compare."""
    x = frames(net).dense()
    return {
        "binning": lambda: list(binned_events(events(), net.dt)[:3]),
        "fixed point": lambda: [FastNetwork(net).run(x, threads=1).out],
        "floating point": lambda: [FastNetwork(net, floating=True).run(x, threads=2).out],
        "device level": lambda: [sample.layers[0].volts for sample in DeviceNetwork(net).run(x[:2, :5])],
    }


@pytest.mark.parametrize("title", ["binning", "fixed point", "floating point", "device level"])
def test_bars_show_where_asked_and_change_nothing(title, net, terminal):
    job = long_work(net)[title]
    with terminal as screen:
        silent = job()
        assert screen.getvalue() == ""
        with progress.shown():
            watched = job()
        seen = screen.getvalue()
        job()
    assert f"{title}: " in seen and screen.getvalue() == seen
    for a, b in zip(silent, watched, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.lava
@pytest.mark.parametrize("backend", ["inprocess", "lava", "fused"])
def test_lava_runs_in_parts_under_a_bar_to_the_same_end(backend, net, terminal):
    x = frames(net).dense()
    record = {"inprocess": "all", "lava": "spikes"}.get(backend)
    with terminal as screen:
        whole = hdf5.predict(net, x, backend, record=record)
        assert screen.getvalue() == ""
        with progress.shown():
            parts = hdf5.predict(net, x, backend, record=record)
    assert "Lava: " in screen.getvalue()
    if record is None:
        np.testing.assert_array_equal(parts, whole)
        return
    for a, b in zip(parts.layers, whole.layers, strict=True):
        np.testing.assert_array_equal(a.out, b.out)
        assert a.states.keys() == b.states.keys()
        for name in a.states:
            np.testing.assert_array_equal(a.states[name], b.states[name])


def test_a_function_that_is_asked_shows_its_own(terminal):
    with terminal as screen:
        characterize(presets.ZHAO2025_FIG4, trials=5)
        assert screen.getvalue() == ""
        characterize(presets.ZHAO2025_FIG4, trials=5, progress=True)
    assert "characteristics: " in screen.getvalue() and "stochasticity: " in screen.getvalue()


def test_short_work_shows_none(net, terminal, monkeypatch):
    monkeypatch.setattr(progress, "DELAY", 3600.0)
    with terminal as screen, progress.shown():
        for job in long_work(net).values():
            job()
    assert screen.getvalue() == ""


def test_nobody_watches(net, monkeypatch):
    monkeypatch.setattr(progress, "DELAY", 0.0)
    with contextlib.redirect_stderr(io.StringIO()) as file, progress.shown(), progress.clock("table"):
        for job in long_work(net).values():
            job()
    assert file.getvalue() == ""


def test_work_without_a_bar_is_the_work_itself():
    work = [1, 2]
    assert progress.bar(work, "title") is work and progress.bar(work, "title", asked=False) is work


def test_rows_of_a_table_stand_on_lines_of_their_own(terminal):
    """The clock, on the same terminal, makes room for them."""
    with terminal as screen, contextlib.redirect_stdout(screen), progress.clock("the table"):
        table = Table("a title", ("ms",))
        table.add("a row", 1.0)
    text = screen.getvalue()
    assert "the table: 00:00" in text
    lines = [line.rpartition("\r")[2].rstrip() for line in text.split("\n")]
    assert "a title" in lines and f"{'a row':40s} {'1':>10s}" in lines
    assert lines[-1] == ""


def test_a_command_on_a_terminal_gives_its_json_beside_the_bars(tmp_path):
    write_shd(tmp_path / "some.h5", EventSet.from_utterances([([0.1], [3])] * 4, [0, 1, 2, 3], [0, 1, 1, 1], n_channels=700))
    script = (
        "import sys; from lava_1m1t1r import cli; from lava_1m1t1r._support import progress; progress.DELAY = 0.0\n"
        "sys.exit(cli.main(['evaluate', 'shipped', '--data', 'some.h5', '--json']))"
    )
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=tmp_path, env={**os.environ, "PYTHONPATH": ROOT}, stdout=subprocess.PIPE, stderr=theirs
    )
    os.close(theirs)
    seen = b""
    try:
        while part := os.read(ours, 65536):
            seen += part
    except OSError:  # its other end is closed
        pass
    os.close(ours)
    out = process.communicate(timeout=100)[0]
    assert process.returncode == 0, seen.decode(errors="replace")
    assert json.loads(out)["utterances"] == 3
    assert b"fixed point: " in seen and b"floating point: " in seen


def test_a_line_stands_where_an_interrupted_bar_stood(terminal):
    with terminal as screen:
        left = progress.bar(title="work", asked=True, total=9)
        left.update(3)
        left.refresh()
        progress.tell("interrupted.")
        left.close()
    line = next(line for line in screen.getvalue().split("\n") if "interrupted" in line)
    before = line.split("\r")
    assert before[-1] == "interrupted." and not before[-2].strip() and "work: " in line


@pytest.mark.parametrize("speak", [progress.say, progress.tell])
def test_an_interrupt_does_not_cut_a_line(speak, monkeypatch):
    """It may come at any write; what is said next, as that the program was interrupted, starts a line of its own."""

    class Interrupting(io.StringIO):
        def write(self, text):
            super().write(text)
            raise KeyboardInterrupt

    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, Interrupting())
    with pytest.raises(KeyboardInterrupt):
        speak("a line")
    assert sys.stdout.getvalue() + sys.stderr.getvalue() == "a line\n"


@pytest.mark.train
def test_training_shows_an_epoch_at_a_time_and_counts_from_one(terminal, tmp_path):
    from lava_1m1t1r.recipes import fit, network

    task = Task("test", n_steps=10, channels=40, classes=2, hidden=3, epochs=2, batch=2)
    with terminal as screen:
        fit.fit(network.m1t1r(task), task, data.frames_of(events(), task), tmp_path)
    shown = screen.getvalue()
    assert "epoch 1 of 2:   0%" in shown and "epoch 2 of 2:   0%" in shown and "epoch 0" not in shown.lower()
    kept = [line.rpartition("\r")[2] for line in shown.strip().split("\n")]
    assert [line[:19] for line in kept if line.startswith("epoch")] == ["epoch 1 of 2: loss ", "epoch 2 of 2: loss "]


@pytest.mark.lava
def test_lava_is_imported_after_bars_as_before():
    """Lava chooses how processes start, and fails where something has chosen already."""
    script = (
        "from lava_1m1t1r._support import progress, programs\n"
        "list(progress.bar([1], 'title', asked=True)); progress.say('a line'); programs.run(['true'])\n"
        "import lava.magma.core.process.process"
    )
    done = started([sys.executable, "-c", script])
    assert done.returncode == 0 and done.stdout == "a line\n", done.stderr


@pytest.mark.parametrize(
    ("rank", "of", "told"),
    [(None, None, "hint: look\n"), ("0", "2", "hint: look\n"), ("1", "2", ""), ("1", None, "hint: look\n"), ("1", "1", "hint: look\n")],
)
def test_one_process_of_several_gives_the_hints(rank, of, told, monkeypatch, capsys):
    for name, value in (("RANK", rank), ("WORLD_SIZE", of)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    progress.hint("look")
    assert capsys.readouterr().err == told


def test_work_goes_on_where_there_are_no_errors_to_write_to():
    code = "from lava_1m1t1r._support.progress import tell; tell('one line'); print('done')"
    done = started(["sh", "-c", f"exec {SHELLS_PYTHON} -c {shlex.quote(code)} 2>&-"])
    assert (done.returncode, done.stdout) == (0, "done\n")
