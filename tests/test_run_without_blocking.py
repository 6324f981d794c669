"""Runs in process that do not block: they go on while the user's code waits, end, and are never waited for in vain."""

import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lava.magma", reason="needs lava-nc")
pytest.importorskip("greenlet", reason="needs greenlet")
sys.path.insert(0, str(Path(__file__).parent / "processes"))

from faulty.process import Faulty
from lava.magma.core.run_conditions import RunContinuous, RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.dense.process import Dense
from lava.proc.io.extractor import Extractor
from lava.proc.io.injector import Injector
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source
from lava.proc.io.utils import ChannelConfig, ReceiveEmpty, SendFull
from lava.proc.lif.models import PyLifModelFloat
from lava.proc.lif.process import LIF
from leftovers import nothing_remains
from noisy.process import Noisy, Ticking
from told.process import Told

from lava_1m1t1r.errors import InputError
from lava_1m1t1r.run import Deadlock, InProcess, NotRunning, ProcessFailed, RunError, RunTimeout, alarm, checks, run

CFG = Loihi2SimCfg()
ZEROS = ChannelConfig(receive_empty=ReceiveEmpty.NON_BLOCKING_ZEROS)


@pytest.fixture(autouse=True)
def nothing_left_behind(monkeypatch):
    with nothing_remains(monkeypatch):
        yield


def relay(**config):
    injector, extractor = Injector(shape=(2,), buffer_size=3, **config), Extractor(shape=(2,), buffer_size=3, **config)
    injector.out_port.connect(extractor.in_port)
    return injector, extractor


def fed_sink():
    injector, sink = Injector(shape=(1,), buffer_size=3), Sink(shape=(1,), buffer=30)
    injector.out_port.connect(sink.a_in)
    return injector, sink


def test_steps_without_blocking_go_on_while_the_user_sends_and_receives():
    injector, extractor = relay()
    with InProcess(injector, CFG) as session:
        injector.run(RunSteps(20, blocking=False))
        received = []
        for k in range(20):  # more than the buffers hold
            injector.send(np.full(2, k))
            if k >= 2:
                received.append(extractor.receive()[0])
        assert session.running and injector.runtime._is_running
        injector.wait()
        assert not session.running and session.steps_run == 20
        received += [extractor.receive()[0] for _ in range(2)]
    assert received == list(range(20))


def test_continuous_runs_take_what_was_sent_and_can_be_resumed():
    injector, sink = fed_sink()
    with InProcess(injector, CFG) as session:
        injector.run(RunContinuous())
        for k in range(10):
            injector.send(np.full(1, k + 1))
        with pytest.raises(InputError, match="run must have an end.*Call pause"):
            sink.data.get()
        injector.pause()
        injector.wait()
        np.testing.assert_array_equal(sink.data.get()[0, :12], [*range(1, 11), 0, 0])
        injector.run(RunContinuous())
        injector.send(np.full(1, 99))
        injector.pause()
        assert sink.data.get()[0, 10] == 99 and session.steps_run == 11
        injector.run(RunContinuous())
        injector.stop()
        assert not session.running


@pytest.mark.parametrize("kind", [None, "lif", "dense"])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_pause_waits_for_no_message_of_a_step_that_no_model_has_begun(kind, count):
    injector, extractor = Injector(shape=(2,)), Extractor(shape=(2,))
    middle = {None: None, "lif": LIF(shape=(2,), vth=0.5, du=1.0, dv=1.0), "dense": Dense(weights=np.eye(2))}[kind]
    if middle is None:
        injector.out_port.connect(extractor.in_port)
    else:
        injector.out_port.connect(middle.in_ports.members[0])
        middle.out_ports.members[0].connect(extractor.in_port)
    received = []
    with InProcess(injector, CFG, patience=0.5) as session:
        for again in (1, 2):
            injector.run(RunContinuous())
            for _ in range(count):
                injector.send(np.ones(2))
                received.append(extractor.receive()[0])
            injector.pause()
            assert session.steps_run == again * count and not session.running
    assert received == [0.0] * (kind == "dense" and count > 0) + [1.0] * (2 * count - (kind == "dense" and count > 0))


def test_polls_of_a_run_without_blocking_go_on_step_by_step():
    injector, extractor = relay(channel_config=ZEROS)
    with InProcess(injector, CFG):
        injector.run(RunContinuous())
        received = []
        for k in range(6):
            if k % 2:
                injector.send(np.full(2, k))
            received.append(extractor.receive()[0])
        injector.pause()
    assert received == [0, 1, 0, 3, 0, 5]


def test_a_full_extractor_that_drops_does_not_hold_the_run_up():
    source, extractor = (
        Source(data=np.arange(12.0).reshape(1, 12)),
        Extractor(shape=(1,), buffer_size=3, channel_config=ChannelConfig(send_full=SendFull.NON_BLOCKING_DROP)),
    )
    source.s_out.connect(extractor.in_port)
    with InProcess(source, CFG) as session, pytest.warns(UserWarning, match="Dropping"):
        session.run(12)
        np.testing.assert_array_equal([extractor.receive()[0] for _ in range(3)], [0, 1, 2])


def test_results_are_those_of_a_run_that_blocks():
    def build():
        np.random.seed(4)
        noise, sink = Noisy(scale=np.ones(3)), Sink(shape=(3,), buffer=20)
        noise.s_out.connect(sink.a_in)
        return noise, sink

    noise, sink = build()
    run(noise, 20, CFG)
    expected = sink.data.get()
    noise, sink = build()
    with InProcess(noise, CFG) as session:
        session.start(12)
        np.random.normal(size=5)  # the user's own numbers
        session.wait()
        session.start(8)
        np.testing.assert_array_equal(sink.data.get(), expected)  # reading waits for the end


def test_a_run_that_nobody_feeds_is_reported_where_the_user_waits():
    injector, extractor = relay()
    with (
        InProcess(injector, CFG, patience=0.2) as session,
        pytest.raises(Deadlock, match=r"Injector '\w+' waits to receive at .*in_port from the user's code"),
    ):
        session.start()
        extractor.receive()
    assert not session.running


def test_an_exception_surfaces_where_the_user_waits():
    source, faulty = Source(data=np.ones((3, 9))), Faulty(fault="raise", at=3, name="relay")
    extractor = Extractor(shape=(3,))
    source.s_out.connect(faulty.a_in)
    faulty.s_out.connect(extractor.in_port)
    with InProcess(source, CFG) as session, pytest.raises(ProcessFailed, match="Faulty 'relay' failed in step 3"):
        session.start()
        for _ in range(3):
            extractor.receive()
    with pytest.raises(NotRunning, match="session has been stopped"):
        session.start(1)


NEEDS_STEPS = "condition must be RunSteps.*Injector.*guarded"


def test_continuous_runs_that_only_the_clock_would_end_are_refused():
    for process in (LIF(shape=(3,)), Ticking()):
        with pytest.raises(InputError, match=NEEDS_STEPS), InProcess(process, CFG) as session:
            process.run(RunContinuous())
            for refused in (process.pause, process.stop, session.stop, partial(session.get, process.vars.members[0])):
                with pytest.raises(InputError, match=NEEDS_STEPS):
                    refused()
            with pytest.raises(InputError, match=r"have an end to be waited for.*Call the session's reset\(\)"):
                process.run(RunSteps(1))
    with pytest.raises(ZeroDivisionError), InProcess(process := LIF(shape=(3,)), CFG):
        process.run(RunContinuous())
        raise ZeroDivisionError  # is told, and not what follows from it


@pytest.mark.parametrize("then", ["pause", "stop", "get", "left"])
def test_steps_that_were_not_waited_for_are_done_before_whatever_follows(then):
    """As Lava, whose children go on meanwhile, would have done them."""
    lif = LIF(shape=(3,), bias_mant=1, vth=1000)
    with InProcess(lif, Loihi2SimCfg(select_tag="floating_pt")) as session:
        lif.run(RunSteps(100, blocking=False))
        if then == "get":
            assert session.get(lif.v).tolist() == [100.0] * 3
        elif then != "left":
            getattr(lif, then)()
    assert lif.v.get().tolist() == [100.0] * 3 and session.steps_run == 100


def test_a_run_that_nothing_has_moved_is_not_done_after_an_error():
    lif = LIF(shape=(3,))
    with pytest.raises(ZeroDivisionError), InProcess(lif, CFG) as session:
        lif.run(RunSteps(10**9, blocking=False))
        raise ZeroDivisionError
    assert session.steps_run == 0


def breaking(fault):
    source, relay = Source(data=np.ones((3, 40))), Faulty(fault=fault, at=7)
    source.s_out.connect(relay.a_in)
    return relay


@pytest.mark.parametrize("asked", ["pause", "stop"])
def test_a_continuous_run_is_waited_for_until_a_model_asks_for_its_end(asked):
    relay = breaking(asked)
    with InProcess(relay, CFG) as session:
        relay.run(RunContinuous())
        relay.wait()
        assert session.steps_run == 7 and relay.total.get().tolist() == [7.0] * 3
        if asked == "pause":
            session.run(2)
            assert relay.total.get().tolist() == [9.0] * 3


def test_waiting_for_a_continuous_run_is_bounded():
    relay = breaking("none")
    with InProcess(relay, CFG, timeout=0.5), pytest.raises(RunTimeout):
        relay.run(RunContinuous())
        relay.wait()


@pytest.mark.parametrize(
    "use",
    [
        lambda session, _: session.run(5),
        lambda session, told: session.run(5, record=[told.x]),
        lambda session, _: session.start(5),
        lambda session, told: session.set(told.x, 9),
        lambda _, told: told.x.set(np.array([9])),
    ],
)
def test_after_a_models_end_nothing_begins(use):
    def step(model):
        model._req_stop = model.time_step == 3
        return model.time_step

    told = Told(step=step)
    with InProcess(told, CFG) as session:
        session.start(10)
        with pytest.raises(NotRunning, match="session has been stopped"):
            use(session, told)
        assert told.x.get().tolist() == [3] and session.steps_run == 3


def test_the_users_ends_after_a_run_are_as_after_one_that_blocks():
    source, extractor = Source(data=np.arange(4.0)[None]), Extractor(shape=(1,), buffer_size=5, channel_config=ZEROS)
    source.s_out.connect(extractor.in_port)
    with InProcess(source, CFG, patience=0.5) as session:
        session.start(2)
        session.wait()
        assert [extractor.receive().tolist() for _ in range(3)] == [[0], [1], [0]]
        assert not extractor.out_port.external_pipe_csp_recv_port.probe()
    source, extractor = Source(data=np.arange(4.0)[None]), Extractor(shape=(1,), buffer_size=5)
    source.s_out.connect(extractor.in_port)
    with InProcess(source, CFG, patience=0.2) as session:
        session.start(1)
        session.wait()
        extractor.receive()
        with pytest.raises(Deadlock):
            extractor.receive()


def test_a_model_goes_on_as_soon_as_there_is_room_in_an_extractor():
    """Not only when all has been taken."""
    source, extractor = Source(data=np.arange(4.0)[None]), Extractor(shape=(1,), buffer_size=2)
    source.s_out.connect(extractor.in_port)
    with InProcess(source, CFG, patience=0.5) as session:
        session.start(4)
        received = [extractor.receive().tolist() for _ in range(2)]
        session.wait()
        assert received + [extractor.receive().tolist() for _ in range(2)] == [[0], [1], [2], [3]]


@pytest.mark.parametrize("lavas_way", [False, True])
def test_a_value_is_set_wholly_or_not_at_all_beside_another_threads_run(lavas_way):
    begun, go, lif = threading.Event(), threading.Event(), LIF(shape=(2,), bias_mant=1, vth=1e9)
    other = Told(step=lambda _: begun.set() or go.wait(20) or 1)
    worker = threading.Thread(target=lambda: run(other, 1, CFG))
    with InProcess(lif, Loihi2SimCfg(select_tag="floating_pt")) as session:
        session.run(2)
        worker.start()
        assert begun.wait(20)
        with pytest.raises(RunError, match="another thread runs a graph"):
            lif.v.set(np.full(2, 7.0)) if lavas_way else session.set(lif.v, 7.0)
        assert session.get(lif.v).tolist() == [2, 2]
        go.set()
        worker.join(20)
        session.run(1)
        assert session.get(lif.v).tolist() == [3, 3]


def test_another_thread_may_stop_a_run():
    injector, extractor = relay()
    with InProcess(injector, CFG, patience=20) as session:
        worker = threading.Thread(target=lambda: session.run(10**9))
        worker.start()
        for _ in range(5):
            injector.send(np.ones(2))
            extractor.receive()
        with pytest.raises(InputError, match="run must be waited for in the thread that started it"):
            session.wait()
        injector.stop()
        injector.send(np.ones(2))
        worker.join(20)
        assert not worker.is_alive() and session.steps_run in (5, 6)  # the step that it was in, or the next if that had begun
    with pytest.raises(NotRunning, match="session has been stopped"):
        session.run(1)


def test_a_run_may_be_stopped_while_a_model_of_another_graph_runs(monkeypatch):
    """As Python's garbage collector does with a graph that nobody holds any more."""
    injector, extractor = relay()
    waiting = InProcess(injector, CFG)
    with waiting:
        injector.run(RunContinuous())
        injector.send(np.ones(2))
        extractor.receive()
        step = PyLifModelFloat.run_spk

        def stop_the_other(model):
            waiting.stop()
            step(model)

        monkeypatch.setattr(PyLifModelFloat, "run_spk", stop_the_other)
        lif = LIF(shape=(1,), bias_mant=1.0, vth=3.0)
        potentials = run(lif, 6, CFG, record=[lif.v])[lif.v]
        np.testing.assert_array_equal(potentials[:, 0], [1, 2, 3, 0, 1, 2])
        assert not waiting.running


def test_a_held_up_alarm_thread_holds_nobody_else_up(monkeypatch):
    """Python may collect garbage in that thread, and Lava's Processes stop their Runtime when they are collected."""
    held, go = threading.Event(), threading.Event()

    def clock():
        if threading.current_thread().name == "run-alarm":
            held.set()
            go.wait()
        return time.perf_counter()

    monkeypatch.setattr(alarm, "LONGEST_JOIN", 0.05)
    monkeypatch.setattr(alarm, "time", type("clock", (), {"monotonic": staticmethod(clock)}))
    try:
        lif = LIF(shape=(2,), bias_mant=1.0)
        with InProcess(lif, CFG) as session:
            assert held.wait(20)
            thread = session._alarm._thread
            session.run(3)
            session.run(3)
        assert session.get(lif.v).shape == (2,)
    finally:
        go.set()
    thread.join(20)


def test_a_model_that_is_never_built_ends_with_the_time_allowed(monkeypatch):
    monkeypatch.setattr(checks, "LONGEST_BUILD", 0.5)
    with pytest.raises(RunTimeout, match="Faulty 'slow' was not compiled and built within 0.5 s"):
        run(Faulty(fault="endless build", name="slow"), 1, CFG, timeout=0.5)
