"""The guarded runner: what hangs plain Lava ends here with an error that names the Process, and leaves nothing."""

import errno
import itertools
import multiprocessing
import multiprocessing.connection
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("lava.magma", reason="needs lava-nc")
sys.path.insert(0, str(Path(__file__).parent / "processes"))

from faulty.process import Faulty
from kinds.process import Kinds, Tally
from lava.magma.core.run_conditions import RunContinuous, RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source
from lava.proc.lif.process import LIF
from leftovers import left, nothing_remains
from told.process import Told

from lava_1m1t1r import cli
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.run import (
    Deadlock,
    NoSharedMemory,
    NotRunning,
    ProcessFailed,
    RunError,
    RunTimeout,
    TooManyFiles,
    checks,
    children,
    guarded,
    run,
    run_guarded,
)
from lava_1m1t1r.run.runtime import GuardedRuntime

FLOAT = Loihi2SimCfg(select_tag="floating_pt")
T = 6


@pytest.fixture(autouse=True)
def nothing_left_behind(monkeypatch):
    with nothing_remains(monkeypatch):
        yield


def chain(fault="none"):
    """Source, the breaking relay, sink."""
    data = np.arange(3 * T, dtype=float).reshape(3, T)
    source, relay = Source(data=data), Faulty(fault=fault, at=3, name="relay")
    sink = Sink(shape=(3,), buffer=T)
    source.s_out.connect(relay.a_in)
    relay.s_out.connect(sink.a_in)
    return relay, sink, data


def test_a_healthy_graph_runs_and_is_read():
    relay, sink, data = chain()
    with guarded(relay, FLOAT, timeout=60) as session:
        session.run(4)
        session.run(2)
        np.testing.assert_array_equal(session.get(sink.data), data)
        session.set(relay.total, np.array([1.0, 2.0, 3.0]))
        np.testing.assert_array_equal(relay.total.get(), [1.0, 2.0, 3.0])


def test_what_comes_after_a_run_without_blocking_waits_for_its_end():
    """Lava's own would take the end of the first run for that of the second, and answer what is asked for with zeros."""
    told = Told(step=lambda model: time.sleep(1e-3) or model.time_step)
    with guarded(told, FLOAT, timeout=60) as session:
        session.run(1)
        told.run(RunSteps(60, blocking=False))
        assert told.x.get().tolist() == [61]
        told.run(RunSteps(60, blocking=False))
        told.x.set(np.array([5]))
        assert told.x.get().tolist() == [5]
        told.run(RunSteps(60, blocking=False))
        session.run(2)
        assert told.x.get().tolist() == [183]


def slow_and_asked(use):
    """A Process whose steps take time, an event that tells of the first one, and what somebody asks of it meanwhile."""
    begun = multiprocessing.Event()
    told = Told(step=lambda model: begun.set() or time.sleep(5e-3) or model.time_step)
    return told, begun, {"get": lambda: told.x.get().tolist(), "set": lambda: told.x.set(np.array([7])), "pause": told.pause}[use]


@pytest.mark.parametrize("use", ["get", "set", "pause"])
def test_a_signal_handler_waits_for_the_end_of_the_run_that_it_interrupts(use):
    told, _, ask, answers = *slow_and_asked(use), []
    before = signal.signal(signal.SIGALRM, lambda *_: answers.append(ask()))
    try:
        with guarded(told, FLOAT, timeout=60) as session:
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            session.run(100)
            (last,) = told.x.get().tolist()
            assert answers == [[100] if use == "get" else None]
            assert last == {"get": 100, "set": 7}.get(use, last) and last <= 100
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_forked_process_is_not_the_graphs_own():
    told = Told(step=lambda model: model.time_step)
    with guarded(told, FLOAT, timeout=60) as session:
        session.run(1)
        child = os.fork()
        if not child:
            try:
                told.x.get()
            except NotRunning:
                os._exit(3)
            os._exit(4)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
        session.run(1)
        assert told.x.get().tolist() == [2]


@pytest.mark.parametrize("use", ["get", "set", "pause"])
def test_what_another_thread_asks_for_waits_for_the_end_of_a_run(use):
    told, begun, ask, answers = *slow_and_asked(use), []

    def other():
        begun.wait(30)
        answers.append(ask())

    with guarded(told, FLOAT, timeout=60) as session:
        thread = threading.Thread(target=other)
        thread.start()
        session.run(100)
        thread.join(30)
        assert answers == [[100] if use == "get" else None]
        assert told.x.get().tolist() == [7 if use == "set" else 100]


def test_a_value_that_cannot_be_sent_is_refused_before_lava_tells_the_model_of_it():
    """Lava would leave model and Runtime waiting for each other."""
    relay, _, _ = chain()
    foreign = LIF(shape=(1,))
    with guarded(relay, FLOAT, timeout=60) as session:
        with pytest.raises(NotRunning, match="run a step before"):
            session.set(relay.total, 1)
        session.run(1)
        for value, text in ((None, "hold real"), ("x", "be a number"), ([[1], [2, 3]], "hold real"), (np.zeros(5), "fit shape")):
            with pytest.raises(InputError, match=f"^set: Faulty 'relay'.total must {text}"):
                session.set(relay.total, value)
        for value in (None, np.zeros(5)):
            with pytest.raises(InputError, match="^set: Faulty 'relay'.total must"):
                relay.total.set(value)
        for var in (None, "total", relay.s_out, foreign.v):
            for use in (lambda: session.get(var), lambda: session.set(var, 1)):  # noqa: B023
                with pytest.raises(InputError, match="^var must be"):
                    use()
        session.set(relay.total, 7)
        np.testing.assert_array_equal(session.get(relay.total), [7.0, 7.0, 7.0])


def counted_answers(monkeypatch, session, then):
    """``then(k)`` is called before the k-th answer of the RuntimeService."""
    port, count = session._runtime.service_to_runtime[0], itertools.count()
    receive = port.recv
    monkeypatch.setattr(port, "recv", lambda: (then(next(count)), receive())[1])


def test_what_is_left_of_a_value_whose_reading_was_broken_off_answers_nothing(monkeypatch):
    def interrupt(k):
        if k == 3:
            raise KeyboardInterrupt

    lif = LIF(shape=(8,), bias_mant=1, vth=100)
    with guarded(lif, FLOAT, timeout=60) as session:
        session.run(2)
        counted_answers(monkeypatch, session, interrupt)
        with pytest.raises(KeyboardInterrupt):
            session.get(lif.v)
        for late in (lambda: lif.u.get(), lambda: lif.u.set(np.ones(8)), lambda: session.run(1)):
            with pytest.raises(NotRunning, match="reading or setting a Var was broken off"):
                late()


def test_nothing_is_asked_for_while_a_value_is_read(monkeypatch):
    def handler(k):
        if k == 3:
            for use in (lif.u.get, lambda: lif.u.set(np.ones(8)), lambda: session.run(1)):
                with pytest.raises(NotRunning, match="in the midst of that"):
                    use()

    lif = LIF(shape=(8,), bias_mant=1, vth=100)
    with guarded(lif, FLOAT, timeout=60) as session:
        session.run(2)
        counted_answers(monkeypatch, session, handler)
        assert session.get(lif.v).tolist() == [2.0] * 8 and lif.bias_mant.get().tolist() == [1.0] * 8


def test_what_lava_refuses_to_read_or_set_leaves_the_graph_as_it_is():
    kinds = Kinds(name="kinds")
    with guarded(kinds, FLOAT, timeout=60) as session:
        session.run(1)
        turned = kinds.turned.get()
        kinds.text.set("abcdefghi")
        with pytest.raises(InputError, match="get: Kinds 'kinds'.text must hold at most 6 values, for its shape; got 9"):
            kinds.text.get()
        with pytest.raises(InputError, match=r"get: Kinds 'kinds'.turned: idx must be an index"):
            kinds.turned.get(9)
        np.testing.assert_array_equal(kinds.turned.get(), turned)


def test_a_model_whose_integers_cannot_take_a_value_is_named():
    lif = LIF(shape=(3,), name="whole")
    with guarded(lif, Loihi2SimCfg(select_tag="fixed_pt"), timeout=60) as session:
        session.run(1)
        with pytest.raises(ProcessFailed, match="LIF 'whole' failed(.|\n)*cannot convert float NaN to integer"):
            lif.v.set(np.full(3, np.nan))


def test_a_single_int_is_not_set():
    """Lava would make it a float."""
    kinds = Kinds(name="kinds")
    with guarded(kinds, FLOAT, timeout=60) as session:
        session.run(1)
        for use in (lambda: session.set(kinds.number, 3), lambda: kinds.number.set(np.array([3]))):
            with pytest.raises(InputError, match="^set: Kinds 'kinds'.number must be an array in its ProcessModel, for Lava to set it"):
                use()
        session.set(kinds.wider, np.array([4]))
        assert session.get(kinds.wider).tolist() == [4] * 3 and session.get(kinds.told) == 1


def test_a_number_that_has_become_one_which_lava_does_not_send_is_named():
    """To know that a model has been told of a set, another Var of it is read: not that one."""
    tally, words = Tally(name="tally"), "Tally 'tally'.count was asked for, and its model has sent nothing for 1 s: .* Hold it as an array"
    with pytest.raises(Deadlock, match=words), guarded(tally, FLOAT, timeout=60, stall=1.0) as session:
        session.run(2)
        session.set(tally.gain, np.arange(3))
        assert session.get(tally.doubled).tolist() == [0, 2, 4]
        session.get(tally.count)


def test_one_call_returns_what_was_asked_for():
    relay, sink, data = chain()
    values = run_guarded(relay, T, FLOAT, timeout=60, read=[relay.total, sink.data])
    np.testing.assert_array_equal(values[relay.total], data.sum(axis=1))
    assert values[sink.data].shape == (3, T)


def test_lavas_own_calls_work_inside():
    relay, sink, data = chain()
    with guarded(relay, FLOAT, timeout=60):
        relay.run(RunSteps(num_steps=T))
        np.testing.assert_array_equal(sink.data.get(), data)
        relay.stop()


@pytest.mark.parametrize(
    "fault, text",
    [
        ("raise", "ValueError: the model gave up"),
        ("unpicklable", "Unpicklable: cannot cross a pipe"),
        ("shape", "Mismatch"),
        ("exit", "exit code 7"),
        ("kill", "signal 9"),
    ],
)
def test_a_broken_model_is_named_with_its_traceback(fault, text):
    relay, _, _ = chain(fault)
    with pytest.raises(ProcessFailed, match=text) as caught, guarded(relay, FLOAT, timeout=60) as session:
        session.run(T)
    assert caught.value.processes == ("Faulty 'relay'",)
    if fault in ("raise", "shape", "unpicklable"):
        assert "in run_spk" in str(caught.value)


def test_a_model_whose_traceback_comes_late_is_named_and_not_its_neighbours():
    """Those that do not wait for it are asked to leave by Lava, and have gone before."""
    source, relay, sink = Source(data=np.ones((3, T))), Faulty(fault="slow to tell", at=3, name="relay"), Sink(shape=(3,), buffer=T)
    for port in (relay.a_in, sink.a_in):
        source.s_out.connect(port)
    with pytest.raises(ProcessFailed, match="told late") as caught, guarded(relay, FLOAT, timeout=60) as session:
        session.run(T)
    assert caught.value.processes == ("Faulty 'relay'",)


def test_a_model_that_cannot_be_built_is_named():
    relay, _, _ = chain("build")
    with pytest.raises(ProcessFailed, match="Faulty 'relay' failed(.|\n)*cannot be built"):
        run_guarded(relay, T, FLOAT, timeout=60)


def test_a_lone_process_that_raises():
    relay = Faulty(fault="raise", name="alone")
    with pytest.raises(ProcessFailed, match="'alone' failed(.|\n)*the model gave up"):
        run_guarded(relay, T, FLOAT, timeout=60)


def test_a_source_that_never_sends_is_a_deadlock():
    relay, sink, _ = chain("silent")
    sink.name = "sink"
    with pytest.raises(Deadlock, match="'sink' waits to receive") as caught:
        run_guarded(relay, T, FLOAT, timeout=60, stall=1.0)
    assert caught.value.processes == ("RingBuffer 'sink'",)


def test_a_loop_without_a_buffer_is_a_deadlock():
    lif = LIF(shape=(3,), name="loop")
    lif.s_out.connect(lif.a_in)
    with pytest.raises(Deadlock, match="LIF 'loop' waits to receive at .*a_in.recv"):
        run_guarded(lif, T, FLOAT, timeout=60, stall=1.0)


def test_a_model_that_computes_for_ever_ends_with_the_time_allowed():
    relay, _, _ = chain("spin")
    with pytest.raises(RunTimeout, match="'relay' is at .*models.py") as caught, guarded(relay, FLOAT) as session:
        session.run(T, timeout=3.0)
    assert "Faulty 'relay'" in caught.value.processes


def test_a_model_that_only_pauses_is_no_deadlock_when_the_user_says_so():
    relay, sink, data = chain("sleep")
    assert run_guarded(relay, T, FLOAT, timeout=60, stall=None, read=[sink.data])[sink.data].shape == data.shape


def test_nothing_runs_or_is_read_after_stop():
    relay, _, _ = chain()
    with guarded(relay, FLOAT, timeout=60) as session:
        session.run(2)
        session.stop()
        session.stop()
        for late in (
            lambda: session.run(1),
            lambda: session.get(relay.total),
            lambda: relay.run(RunSteps(num_steps=1)),
            relay.total.get,
            lambda: relay.total.set(np.zeros(3)),
        ):
            with pytest.raises(NotRunning, match="Build its Processes anew"):
                late()
    with pytest.raises(NotRunning, match="Build its Processes anew"), session:
        pass


def test_stop_before_any_run_does_not_hang():
    relay, _, _ = chain()
    with guarded(relay, FLOAT, timeout=60):
        pass


def test_an_error_of_the_caller_passes_through():
    relay, _, _ = chain()
    with pytest.raises(ZeroDivisionError, match="division by zero"), guarded(relay, FLOAT, timeout=60) as session:
        session.run(2)
        _ = 1 / 0


def test_stop_ends_a_run_that_is_still_going():
    relay, _, _ = chain("spin")
    with guarded(relay, FLOAT, timeout=60):
        relay.run(RunSteps(num_steps=T, blocking=False))
    with pytest.raises(NotRunning, match="graph has been stopped"):  # and not RunTimeout: nobody waited for the run's end
        relay.run(RunSteps(num_steps=1))


def test_a_run_that_another_thread_stops_names_no_process_as_failed(monkeypatch):
    usual = GuardedRuntime._ask_to_leave

    def slowly(runtime):  # as on a busy machine: the children have ended, and are not torn down yet
        usual(runtime)
        for child in runtime.children:
            multiprocessing.connection.wait([child.process.sentinel], 10.0)
        time.sleep(0.2)

    monkeypatch.setattr(GuardedRuntime, "_ask_to_leave", slowly)
    relay, _, _ = chain()
    with guarded(relay, FLOAT, timeout=60) as session:
        session.run(1)
        stopper = threading.Timer(0.2, session.stop)
        stopper.start()
        with pytest.raises(NotRunning, match="graph has been stopped"):
            session.run(2**30)
        stopper.join()


@pytest.mark.parametrize(
    "arguments, field",
    [
        (dict(steps=0), "steps"),
        (dict(steps=2.5), "steps"),
        (dict(timeout=0), "timeout"),
        (dict(timeout=float("nan")), "timeout"),
        (dict(stall=-1), "stall"),
        (dict(steps=2**70), "steps"),
        (dict(read=None), "read"),
        (dict(read="total"), "var"),
        (dict(run_cfg=None), "run_cfg"),
        (dict(proc="relay"), "proc"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_starts(arguments, field):
    relay, _, _ = chain()
    with pytest.raises(InputError, match=rf"^{field}( \[s\])? must"):
        run_guarded(**(dict(proc=relay, steps=2, run_cfg=FLOAT) | arguments))


def test_a_graph_runs_once():
    relay, _, _ = chain()
    run_guarded(relay, 2, FLOAT, timeout=60)
    with pytest.raises(InputError, match="Build its Processes anew"):
        run_guarded(relay, 2, FLOAT, timeout=60)


SCRIPT = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs have it ignored
sys.path.insert(0, {processes!r})
from faulty.process import Faulty
from lava.magma.core.run_configs import Loihi2SimCfg
from lava_1m1t1r.run import guarded
session = guarded(Faulty(), Loihi2SimCfg(select_tag="floating_pt")).__enter__()
session.run(2)
print("ran", *[c.process.pid for c in session._runtime.children], flush=True)
print(*[m.name for m in session._runtime._messaging_infrastructure.smm._shared_memory_handles], flush=True)
{ending}
"""


def test_two_graphs_at_once_and_from_another_thread():
    totals = []

    def one():
        relay, _, data = chain()
        with guarded(relay, FLOAT, timeout=60) as session:
            session.run(T)
            totals.append((session.get(relay.total), data.sum(axis=1)))

    workers = [threading.Thread(target=one) for _ in range(2)]
    relay, _, _ = chain()
    with guarded(relay, FLOAT, timeout=60) as session:
        for worker in workers:
            worker.start()
        session.run(T)
        for worker in workers:
            worker.join()
    assert len(totals) == 2
    for got, expected in totals:
        np.testing.assert_array_equal(got, expected)


def test_processes_that_have_ended_may_still_be_looked_at():
    """As multiprocessing does whenever a process starts, in whichever thread, over a list that may be older than their end."""
    relay, _, _ = chain()
    with guarded(relay, FLOAT, timeout=60) as session:
        session.run(T)
        processes = [child.process for child in session._runtime.children]
    assert len(processes) > 3 and all(process._popen.poll() is not None for process in processes)


def test_a_manager_of_shared_memory_that_does_not_answer_is_made_to_leave():
    """As one that was forked while another thread held a lock."""
    relay, _, _ = chain()
    with guarded(relay, FLOAT, timeout=60) as session:
        session.run(T)
        manager = session._runtime._messaging_infrastructure._smm._manager._process
        os.kill(manager.pid, signal.SIGSTOP)
    assert not manager.is_alive()


@pytest.mark.parametrize(("free", "words"), [(5000, "at least 0.00512 MB"), (None, r"for the semaphores of its connections \(No space")])
def test_too_little_shared_memory_is_told_before_a_process_dies_of_it(free, words, monkeypatch):
    relay, _, _ = chain()
    if free is None:
        full = OSError(errno.ENOSPC, "No space left on device")
        monkeypatch.setattr(children.Children, "build_actor", lambda *_: (_ for _ in ()).throw(full))
    else:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    with pytest.raises(NoSharedMemory, match=f"more shared memory than there is: .*{words}.*--shm-size=2g") as found, guarded(relay, FLOAT):
        pass
    assert isinstance(found.value, RunError) and "--shm-size" in cli._in_words(found.value, "simulate")  # the user can mend it


def test_a_session_outside_a_with_statement_says_so():
    relay, _, _ = chain()
    with pytest.raises(NotRunning, match="use it in a with statement"):
        guarded(relay, FLOAT).run(1)


INTERRUPT = "import threading; threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start(); session.run(10**7)"


def ran(ending, folder, **environment):
    """The script above, in a process of its own that is at home in a folder."""
    root = Path(__file__).parent.parent
    code = SCRIPT.format(processes=str(root / "tests" / "processes"), ending=ending)
    environment = {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, timeout=200, capture_output=True, text=True)


@pytest.mark.parametrize("ending", ["", "sys.exit(0)", "os.kill(os.getpid(), signal.SIGKILL)", INTERRUPT])
def test_a_script_that_forgets_to_stop_leaves_nothing(ending, tmp_path):
    done = ran(ending, tmp_path, TMPDIR=str(tmp_path))
    assert done.stdout.startswith("ran"), done.stderr
    assert done.returncode == {"os": -9, "im": -2}.get(ending[:2], 0)
    assert done.stderr.count("Traceback") == (ending == INTERRUPT)  # the parent's own; the children leave in silence
    (_, *pids), memory = (line.split() for line in done.stdout.splitlines())
    assert pids and memory

    def alive():
        return [pid for pid in pids if Path(f"/proc/{pid}").exists()]

    end = time.monotonic() + 60
    while (alive() or left(memory)) and time.monotonic() < end:
        time.sleep(0.05)
    assert alive() == [] and left(memory) == []
    assert list(tmp_path.glob("pymp-*")) == []


@pytest.mark.parametrize("length", [60, 75, 76, 77, 200])
def test_a_graph_runs_whatever_the_name_of_the_folder_of_temporary_files(length):
    """A socket's name has 107 bytes at most, and the folder's is part of it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        folder = Path(short, "x" * (length - len(short) - 1))
        folder.mkdir()
        done = ran("session.stop()", folder, TMPDIR=str(folder))
        assert done.returncode == 0 and done.stdout.startswith("ran") and "Traceback" not in done.stderr, done.stderr
        assert not list(folder.iterdir())


AGAIN = "guarded(Faulty(), Loihi2SimCfg(select_tag='floating_pt'), timeout=60)"


def test_a_folder_of_temporary_files_that_was_cleaned_does_not_matter(tmp_path):
    """As a system may clean what is old, in the life of a kernel or a service; multiprocessing keeps the folder's name."""
    cleaned = "import shutil; from multiprocessing import util; place = util.get_temp_dir(); shutil.rmtree(place)"
    again = f"with {AGAIN} as again: again.run(2)\nos.mkdir(place)\nprint('again')"  # Python itself removes the folder at its end
    done = ran(f"session.stop(); {cleaned}\n{again}", tmp_path)
    assert done.returncode == 0 and done.stdout.endswith("again\n") and "Traceback" not in done.stderr, done.stderr


@pytest.mark.parametrize("soft", [True, False])
def test_too_few_open_files_are_told_with_the_limit(soft, tmp_path):
    few = "import resource; most = len(os.listdir('/proc/self/fd')) + 20; hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]"
    low = f"session.stop(); {few}; resource.setrlimit(resource.RLIMIT_NOFILE, (most, {'hard' if soft else 'most'}))"
    tried = f"try: {AGAIN}.__enter__()\nexcept Exception as error: print(most, hard, type(error).__name__, error)"
    done = ran(f"{low}\n{tried}", tmp_path)
    most, hard, kind, text = done.stdout.splitlines()[-1].split(maxsplit=3)
    assert kind == "TooManyFiles" and f"than the {most} that this process may have" in text, done
    assert (f"ulimit -n {hard}" in text) == soft and ("--ulimit nofile" in text) != soft
    assert "Traceback" not in done.stderr


def test_a_manager_whose_start_was_broken_off_is_no_matter():
    children.Memory().end()  # never started: it has nothing that could be asked to leave


def test_errors_are_one_family():
    assert all(issubclass(kind, RunError) for kind in (ProcessFailed, Deadlock, RunTimeout, NotRunning, NoSharedMemory, TooManyFiles))


def test_steps_after_a_continuous_run_are_refused_at_once():
    """Lava never says that they are done: it goes on pausing."""
    lif = LIF(shape=(3,), bias_mant=1, vth=10)
    with guarded(lif, FLOAT, timeout=60) as session:
        lif.run(condition=RunContinuous())
        time.sleep(0.2)
        lif.pause()
        with pytest.raises(InputError, match="run condition must be RunContinuous again after a continuous run"):
            lif.run(condition=RunSteps(3))
        assert lif.v.get().shape == (3,)
        with pytest.raises(InputError, match="run condition"):
            session.run(1)


def test_an_index_that_does_not_fit_is_refused_before_the_model_is_told():
    lif = LIF(shape=(3,), bias_mant=1, vth=10)
    with guarded(lif, FLOAT, timeout=60) as session:
        session.run(1)
        with pytest.raises(InputError, match=r"idx must be an index of values of shape \(1,\); got 3"):
            lif.v.set(np.array([1.0]), 3)
        with pytest.raises(InputError, match="be given at most 3 values"):
            lif.v.set(np.array([5.0, 6.0, 7.0]), [0, 1, 2, 0, 1])
        with pytest.raises(InputError, match="idx must be no array"):
            lif.v.set(np.array([5.0, 6.0, 7.0]), np.array([True, False, True]))
        lif.v.set(np.array([5.0, 6.0, 7.0]))
        assert lif.v.get().tolist() == [5.0, 6.0, 7.0]


def test_a_model_that_asks_for_the_end_is_told():
    relay, _, _ = chain("stop")
    with pytest.raises(NotRunning, match="a model asked for the end of the run.*lava_1m1t1r.run.run can read them"):
        run_guarded(relay, T, FLOAT, timeout=60, read=[relay.total])
    relay, _, data = chain("stop")
    run(relay, T, FLOAT)
    np.testing.assert_array_equal(relay.total.get(), data[:, :3].sum(1))


def test_a_port_among_what_is_to_be_read_is_told_where_it_belongs():
    relay, _, _ = chain()
    with pytest.raises(InputError, match="be a Var of a Lava Process; got 'OutPort'. Ports are recorded"):
        run_guarded(relay, T, FLOAT, timeout=60, read=[relay.s_out])


def test_what_a_run_returns_can_be_shown_after_it():
    relay, sink, data = chain()
    shown = repr(run_guarded(relay, T, FLOAT, timeout=60, read=[relay.total, sink.data]))
    assert shown.startswith("{Faulty 'relay'.total: array(") and "RingBuffer" in shown
    relay, _, _ = chain()
    assert repr(run(relay, T, FLOAT, record=[relay.s_out])).startswith("{Faulty 'relay'.s_out: array(")


def test_a_graph_that_is_never_compiled_ends_with_the_time_allowed(monkeypatch):
    class Endless(Loihi2SimCfg):
        def select(self, process, models):
            while True:
                time.sleep(0.01)

    monkeypatch.setattr(checks, "LONGEST_BUILD", 0.5)
    with pytest.raises(RunTimeout, match="LIF 'slow' was not compiled and built within 0.5 s"):
        run_guarded(LIF(shape=(2,), name="slow"), 1, Endless(), timeout=0.5)
