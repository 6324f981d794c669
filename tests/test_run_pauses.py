"""Runs that models end, beside Processes of the other protocol; Vars that Lava's own runtime cannot send; a pause at any time."""

import importlib
import sys
import threading
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

pytest.importorskip("lava.magma", reason="needs lava-nc")
pytest.importorskip("greenlet", reason="needs greenlet")
sys.path.insert(0, str(Path(__file__).parent / "processes"))

import greenlet
from graphs import FIXED, FLOAT, learning
from lava.magma.compiler.channels.pypychannel import CspSelector
from lava.magma.core.run_conditions import RunContinuous, RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.magma.runtime.mgmt_token_enums import MGMT_COMMAND
from lava.proc.dense.process import Dense
from lava.proc.io.injector import Injector
from lava.proc.io.sink import Read
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.lif.process import LIF
from told.process import Choosing, Told

from lava_1m1t1r.errors import InputError
from lava_1m1t1r.run import Deadlock, InProcess, NotRunning, ProcessFailed, Recorder, guarded

pytestmark = pytest.mark.lava
CFG, FLOATING = Loihi2SimCfg(), Loihi2SimCfg(select_tag=FLOAT)
BOTH = pytest.mark.parametrize("runner", [InProcess, guarded])

MODELS = """
import numpy as np
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyAsyncProcessModel, PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.model.sub.model import AbstractSubProcessModel
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.async_protocol import AsyncProtocol
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class Free(AbstractProcess):
    '''Asynchronous: does what a function of the test's says.'''

    def __init__(self, run):
        super().__init__(run=run)
        self.a_in = InPort(shape=(1,))
        self.b_in = InPort(shape=(1,))
        self.a_out = OutPort(shape=(1,))
        self.x = Var(shape=(1,), init=0)


@implements(proc=Free, protocol=AsyncProtocol)
@requires(CPU)
class PyFree(PyAsyncProcessModel):
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    b_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    x: np.ndarray = LavaPyType(np.ndarray, float)

    def run_async(self):
        self.proc_params["run"](self)


class Looking(AbstractProcess):
    '''Looks some times in each step at a port, and takes from the other.'''

    def __init__(self, looks=1):
        super().__init__(looks=looks)
        self.a_in = InPort(shape=(1,))
        self.b_in = InPort(shape=(1,))


@implements(proc=Looking, protocol=LoihiProtocol)
@requires(CPU)
class PyLooking(PyLoihiProcessModel):
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    b_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)

    def run_spk(self):
        for _ in range(self.proc_params["looks"]):
            if self.a_in.probe():
                self.a_in.recv()
        self.b_in.recv()


class Rated(AbstractProcess):
    '''Holds a number, and counts how often it is told that a Var was set.'''

    def __init__(self):
        super().__init__()
        self.a_rate = Var(shape=(1,), init=0.5)
        self.gain = Var(shape=(3,), init=2)
        self.told = Var(shape=(4,), init=0)


@implements(proc=Rated, protocol=LoihiProtocol)
@requires(CPU)
class PyRated(PyLoihiProcessModel):
    a_rate: float = LavaPyType(float, float)
    gain: np.ndarray = LavaPyType(np.ndarray, int)
    told: np.ndarray = LavaPyType(np.ndarray, int)

    def on_var_update(self):
        self.told += 1


class Halves(AbstractProcess):
    '''Two Processes that have nothing to do with each other.'''

    def __init__(self):
        super().__init__()
        self.a_in = InPort(shape=(1,))
        self.b_in = InPort(shape=(1,))


@implements(proc=Halves, protocol=LoihiProtocol)
class SubHalves(AbstractSubProcessModel):
    def __init__(self, proc):
        self.one, self.two = Looking(), Looking()
        proc.in_ports.a_in.connect(self.one.in_ports.b_in)
        proc.in_ports.b_in.connect(self.two.in_ports.b_in)
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> ModuleType:
    """In a folder of its own: Lava imports all that lies beside a Process."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "models_that_end_runs.py").write_text(MODELS)
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module("models_that_end_runs")
    finally:
        sys.path.remove(str(folder))


def entered(runner, process, config=CFG):
    more = {"stall": None} if runner is guarded else {}  # on a busy machine, a model may get no turn for long
    return runner(process, config, timeout=40, **more)


def answered(session):
    """Wait until a run has come to its end, of which nobody was told yet."""
    end = time.monotonic() + 30
    while not all(port.probe() for port in session._runtime.service_to_runtime) and time.monotonic() < end:
        time.sleep(0.005)


def pausing(at):
    """A step of a Told that asks for a pause."""

    def step(model):
        model._req_pause = model.time_step == at
        return model.time_step

    return step


def counts_pauses(model):
    model.x += 100


@pytest.mark.parametrize("runner", [guarded, InProcess])
def test_a_model_is_told_of_a_pause_that_it_has_asked_for_and_of_no_other_end(runner):
    told = Told(step=pausing(3), pause=counts_pauses)
    with entered(runner, told) as session:
        session.run(2)
        assert told.x.get() == [2]
        session.run(4)
        assert told.x.get() == [103]  # the count went on: in its step 3
        if runner is InProcess:  # Lava's runtime takes no steps after that
            session.run(2)
            assert told.x.get() == [5]


def test_a_model_is_told_of_each_pause_of_the_users():
    paused = []
    injector, taker = Injector(shape=(1,)), Choosing()
    told = Told(step=lambda _: np.nan, pause=lambda model: paused.append(model.time_step))  # sends nothing
    injector.out_port.connect(taker.one)
    told.s_out.connect(taker.two)
    with InProcess(taker, CFG) as session:
        for _ in range(2):
            session.start()
            for _ in range(3):
                injector.send(np.ones(1))
            session.pause()
        assert paused == [3, 6] and session.get(taker.total) == [6]


def test_a_model_that_fails_when_it_is_paused_ends_the_session_and_others_are_stopped_once():
    def fails(model):
        raise ValueError("not now")

    stopped = []
    told, failing, taker = Told(step=pausing(2), stop=lambda _: stopped.append(1)), Told(pause=fails), Choosing()
    told.s_out.connect(taker.one)
    failing.s_out.connect(taker.two)
    with InProcess(told, CFG) as session:
        with pytest.raises(ProcessFailed, match="failed when it was paused(.|\n)*not now"):
            session.run(4)
        assert session.steps_run == 2 and stopped == [1]
        with pytest.raises(NotRunning):
            session.run(1)


def once(model):
    model.x += 1


def until_paused(model):
    once(model)
    while not model.check_for_pause_cmd():
        time.sleep(0.001)


def asks_for_pause(model):
    once(model)
    model._req_pause = True


def asks_for_stop(model):
    once(model)
    model._req_stop = True


def streams(model):
    """Sends on and on, and -1 at the end."""
    while not model.check_for_pause_cmd():
        model.a_out.send(model.x)
    model.a_out.send(model.x - 1)


def takes_stream(model):
    while not (model.a_in.probe() and model.a_in.recv()[0] < 0):
        pass


def users_relay(models):
    """A Process that sends back what the user's code sends it, until that is negative."""

    def run(model):
        while (value := model.a_in.recv())[0] >= 0:
            model.a_out.send(value)

    relay = models.Free(run)
    relay.a_in.flag_external_pipe(buffer_size=2)
    relay.a_out.flag_external_pipe(buffer_size=2)
    return relay


def check_relay(session, relay):
    """All that is sent comes back at once."""
    to, back = relay.a_in.external_pipe_csp_send_port, relay.a_out.external_pipe_csp_recv_port
    session.start()
    for value in range(5):
        to.send(np.full(1, value))
        assert back.recv().tolist() == [value]
    to.send(np.full(1, -1))
    session.pause()


def sent_and_paused(session, injector, count):
    """Send 1, 2, ... in a continuous run, pause it, and return how many steps it had."""
    injector.run(RunContinuous())
    for k in range(count):
        injector.send(np.full(1, k + 1.0))
    injector.pause()
    return session.steps_run


def taking(count):
    """Looks at its port again and again."""

    def run(model):
        taken = 0
        while taken < count:
            if model.a_in.probe():
                model.x += model.a_in.recv()
                taken += 1

    return run


# -- the two protocols in one graph ------------------------------------------------------------------------------------


def test_a_pause_beside_an_asynchronous_process_ends_the_recording_with_its_step(models):
    told, free = Told(step=pausing(5)), models.Free(once)
    told.s_out.connect(free.a_in)
    with entered(InProcess, told) as session:
        assert session.run(20, record=[told.x])[told.x].ravel().tolist() == [1, 2, 3, 4, 5]
        assert session.steps_run == 5
        recorder = Recorder(told.x)
        session.run(3, record=recorder)
        assert recorder[told.x].ravel().tolist() == recorder.steps.tolist() == [6, 7, 8] and session.steps_run == 8


@BOTH
@pytest.mark.parametrize("end", [once, until_paused])
def test_a_pause_of_the_loihi_protocol_is_told_to_the_asynchronous(runner, end, models):
    told, free = Told(step=pausing(5)), models.Free(end)
    told.s_out.connect(free.a_in)
    with entered(runner, told) as session:
        session.run(20)
        assert told.x.get().tolist() == [5] and free.x.get().tolist() == [1]


@BOTH
@pytest.mark.parametrize("end", [asks_for_pause, asks_for_stop])
def test_what_an_asynchronous_process_asks_for_ends_the_steps_of_the_others(runner, end, models):
    told, free = Told(step=lambda _: np.nan), models.Free(end)  # nan: sends nothing, of which nobody would take it
    told.s_out.connect(free.a_in)
    with entered(runner, told) as session:
        session.run(10**9)
        if end is asks_for_stop and runner is guarded:
            with pytest.raises(NotRunning, match="a model asked for the end of the run"):
                free.x.get()
        else:
            assert session.get(free.x).tolist() == [1]
        if end is asks_for_stop:
            with pytest.raises(NotRunning):
                session.run(1)


@pytest.mark.parametrize("count", [1, 2])
def test_processes_that_look_again_and_again_leave_others_their_turn(count, models):
    """Those that wait for a Var of another, too."""
    told, read = Told(step=lambda model: model.time_step), Read(buffer=5, interval=1)
    read.connect_var(told.x)
    pollers = [models.Free(taking(5)) for _ in range(count)]
    for poller in pollers:
        told.s_out.connect(poller.a_in)
    with entered(InProcess, told) as session:
        session.run(5)
        assert read.data.get().ravel().tolist() == [1, 2, 3, 4, 5]
        assert [poller.x.get().tolist() for poller in pollers] == [[15]] * count


def test_vars_are_read_beside_asynchronous_processes_that_go_on_and_on(models):
    told, read, sender, taker = Told(step=pausing(5)), Read(buffer=5, interval=1), models.Free(streams), models.Free(takes_stream)
    read.connect_var(told.x)
    told.s_out.connect(sender.b_in)
    sender.a_out.connect(taker.a_in)
    with entered(InProcess, told) as session:
        session.run(20)
        assert session.steps_run == 5 and read.data.get().tolist() == [[1, 2, 3, 4, 5]]


@pytest.mark.parametrize("looks", [0, 1, 3])
def test_a_pause_takes_what_was_sent_after_looks_in_vain_of_the_users(looks, models):
    def takes(model):
        while not model.check_for_pause_cmd():
            for port in (model.a_in, model.b_in):
                if port.probe():
                    model.x += port.recv()

    free, silent = models.Free(takes), models.Free(until_paused)
    silent.a_out.connect(free.a_in)
    free.b_in.flag_external_pipe(buffer_size=20)
    free.a_out.flag_external_pipe(buffer_size=20)
    with entered(InProcess, free) as session:
        session.start()
        for _ in range(looks):
            assert not free.a_out.external_pipe_csp_recv_port.probe()
        for _ in range(7):
            free.b_in.external_pipe_csp_send_port.send(np.ones(1))
        session.pause()
        assert free.x.get().tolist() == [7]


@pytest.mark.parametrize("beside", ["steps", "streams"])
def test_models_hear_the_user_beside_others_that_go_on_and_on(beside, models):
    """Steps do so without looking at anything."""
    relay = users_relay(models)
    if beside == "steps":
        told = Told(step=lambda _: np.nan)
        told.s_out.connect(relay.b_in)
    else:
        sender, taker = models.Free(streams), models.Free(takes_stream)
        sender.a_out.connect(taker.a_in)
        taker.a_out.connect(relay.b_in)
    with entered(InProcess, relay) as session:
        check_relay(session, relay)


def test_models_hear_the_user_beside_one_that_looks_for_room_before_it_looks_in_vain(models):
    def looks(model):
        while not model.check_for_pause_cmd():
            if model.a_out.csp_ports[0].probe() and model.a_in.probe():
                model.a_out.send(model.a_in.recv())

    relay, looking, silent = users_relay(models), models.Free(looks), models.Free(once)
    silent.a_out.connect(looking.a_in)
    looking.a_out.connect(relay.b_in)
    with entered(InProcess, relay) as session:
        check_relay(session, relay)


@pytest.mark.parametrize("swapped", [False, True])
def test_a_look_of_the_users_ends_beside_a_model_that_looks_at_two_sources(swapped, models):
    """One of which has sent: to look is not to go on."""

    def takes(model):
        while not model.check_for_pause_cmd():
            if model.a_in.probe():
                model.x += model.a_in.recv()

    def sends(model):
        model.a_out.send(np.ones(1))

    free, sources = models.Free(takes), [models.Free(sends), models.Free(until_paused)]
    for source in sources[::-1] if swapped else sources:
        source.a_out.connect(free.a_in)
    free.b_in.flag_external_pipe(buffer_size=1)
    with entered(InProcess, free) as session:
        session.start()
        port = free.b_in.external_pipe_csp_send_port
        assert port.probe()
        port.send(np.ones(1))
        assert not port.probe()
        session.pause()
        assert free.x.get().tolist() == [0]


@BOTH
def test_what_lavas_compiler_leaves_out_is_told(runner, models):
    one, two, halves = Told(step=lambda _: 1.0), Told(step=lambda _: 1.0), models.Halves()
    one.s_out.connect(halves.a_in)
    two.s_out.connect(halves.b_in)
    with pytest.warns(UserWarning, match="^Told '.*': Lava's compiler leaves out"), entered(runner, one):
        pass


def test_a_pause_takes_what_was_sent_beside_a_model_that_looks_at_a_port_once_in_a_step(models):
    told, looking = Told(step=lambda _: np.nan), models.Looking()
    injector, sink = Injector(shape=(1,), buffer_size=5), Sink(shape=(1,), buffer=5)
    told.s_out.connect(looking.a_in)
    injector.out_port.connect(sink.a_in)
    injector.out_port.connect(looking.b_in)
    with entered(InProcess, sink) as session:
        assert sent_and_paused(session, injector, 3) == 3 and sink.data.get().ravel().tolist() == [1, 2, 3, 0, 0]


def test_an_asynchronous_process_is_told_of_a_stop_by_another_thread(models):
    begun = threading.Event()

    def until_stopped(model):
        begun.set()
        while not model.check_for_stop_cmd():
            time.sleep(0.001)

    with entered(InProcess, models.Free(until_stopped)) as session:
        worker = threading.Thread(target=lambda: (begun.wait(30), session.stop()))
        worker.start()
        session.run(1)
        worker.join(30)
        with pytest.raises(NotRunning):
            session.run(1)


@BOTH
def test_a_pause_that_was_asked_for_in_one_run_is_none_in_the_next(runner, models):
    def run(model):
        once(model)
        model._req_pause = model.x[0] == 2

    free = models.Free(run)
    with entered(runner, free) as session:
        for k in range(4):
            session.run(1)
            assert free.x.get().tolist() == [k + 1]


def test_a_pause_takes_what_was_sent_where_a_model_also_looks_at_another_port(models):
    """More messages than its port holds: it receives them between looks that are in vain."""

    def run(model):
        while not model.check_for_pause_cmd():
            if model.a_in.probe():
                model.a_in.recv()
            model.b_in.recv()

    told, free = Told(step=lambda _: np.nan), models.Free(run)
    injector = Injector(shape=(1,), buffer_size=1000)
    told.s_out.connect(free.a_in)
    injector.out_port.connect(free.b_in)
    with entered(InProcess, free) as session:
        assert sent_and_paused(session, injector, 300) == 300


@pytest.mark.parametrize("end", ["pause", "stop"])
def test_what_an_asynchronous_process_asks_for_with_the_last_step_comes_too_late_to_end_it(end, models):
    """Its models are in their HOST phase by then; the step is recorded once."""

    def run(model):
        for _ in range(3):
            model.x += model.a_in.recv()
        setattr(model, f"_req_{end}", True)

    told, free = Told(step=lambda model: model.time_step), models.Free(run)
    told.s_out.connect(free.a_in)
    with entered(InProcess, told) as session:
        assert session.run(3, record=[told.x])[told.x].ravel().tolist() == [1, 2, 3]
        assert session.steps_run == 3
        if end == "stop":
            with pytest.raises(NotRunning):
                session.run(1)


def test_a_pause_takes_what_was_sent_to_a_model_that_looks_several_times_in_a_step(models):
    told, looking = Told(step=lambda _: np.nan), models.Looking(7)
    injector = Injector(shape=(1,), buffer_size=10)
    told.s_out.connect(looking.a_in)
    injector.out_port.connect(looking.b_in)
    with entered(InProcess, looking) as session:
        assert sent_and_paused(session, injector, 5) == 5


@BOTH
def test_an_asynchronous_model_selects_between_a_port_and_its_commands(runner, models):
    """It waited for a message alone, and was told of a deadlock when the others had been paused."""

    def adds(model):
        selector, port = CspSelector(), model.a_in.csp_ports[0]
        while selector.select((port, lambda: True), (model.service_to_process, lambda: False)):
            model.x += port.recv()
        # In Lava's runtime a pause may overtake the messages sent before it.
        while runner is guarded and model.x < 1 + 2 + 3 + 4:
            model.x += port.recv()

    told, free = Told(step=pausing(4)), models.Free(adds)
    told.s_out.connect(free.a_in)
    with entered(runner, told) as session:
        session.run(10)
        assert session.get(free.x) == [1 + 2 + 3 + 4]


@BOTH
def test_an_asynchronous_model_waits_for_a_command(runner, models):
    def waits(model):
        command = CspSelector().select((model.service_to_process, model.service_to_process.peek))
        model.x += 1 + int(command[0] == MGMT_COMMAND.PAUSE[0])

    told, free, sink = Told(step=pausing(2)), models.Free(waits), models.Looking()
    told.s_out.connect(sink.b_in)
    free.a_out.connect(sink.a_in)
    with entered(runner, told) as session:
        session.run(10)
        assert session.get(free.x) == [2]


def test_a_command_that_nobody_sends_is_a_deadlock(models):
    free, sink = models.Free(lambda model: [model.service_to_process.recv() for _ in range(2)]), models.Looking(0)
    free.a_out.connect(sink.a_in)
    with entered(InProcess, free) as session, pytest.raises(Deadlock, match="Free '.*' waits for a command"):
        session.run(10)


@BOTH
def test_a_model_selects_a_port_that_has_room(runner, models):
    """Of 70 messages, a channel holds 64; who takes them waits for others first, one after the other."""

    def fills(model):
        port = model.s_out.csp_ports[0]
        for k in range(70):
            CspSelector().select((port, lambda k=k: port.send(np.full(1, float(k)))))
        return np.nan

    def adds(model):
        model.b_in.recv()
        for _ in range(70):
            model.x += model.a_in.recv()

    told, free, first = Told(step=fills), models.Free(adds), Told(step=lambda m: 1)
    told.s_out.connect(free.a_in)
    end = first.s_out
    for _ in range(4):
        relay = models.Free(lambda model: model.a_out.send(model.a_in.recv()))
        end.connect(relay.a_in)
        end = relay.a_out
    end.connect(free.b_in)
    with entered(runner, told) as session:
        session.run(1)
        assert session.get(free.x) == [sum(range(70))]


@BOTH
def test_a_model_waits_in_a_greenlet_of_its_own(runner, models):
    def adds(model):
        for _ in range(3):
            model.x = 10 * model.x + greenlet.greenlet(model.a_in.recv).switch()

    told, relay, free = Told(step=lambda m: m.time_step), Dense(weights=np.eye(1), num_message_bits=8), models.Free(adds)
    told.s_out.connect(relay.s_in)
    relay.a_out.connect(free.a_in)
    with entered(runner, told, FLOATING) as session:
        session.run(4)
        assert session.get(free.x) == [12]


# -- in Lava's own runtime ---------------------------------------------------------------------------------------------


def test_a_var_is_read_where_its_value_can_be_sent_whatever_its_type_says():
    """LIF's model says that these are floats, and holds what the user gave."""
    lif = LIF(shape=(3,), du=1, dv=np.array([0.5]), vth=1)
    with entered(guarded, lif, FLOATING) as session:
        session.run(1)
        assert [np.ravel(var.get()).tolist() for var in (lif.du, lif.dv, lif.vth)] == [[1], [0.5], [1]]


def test_a_var_without_a_value_is_refused_by_name_and_the_graph_lives():
    process, (_, weights, *_) = learning(FIXED)
    plastic = weights.process
    with entered(guarded, process, Loihi2SimCfg(select_tag=FIXED)) as session:
        session.run(1)
        with pytest.raises(InputError, match="^get: LearningDense 'plastic'.dt must be an array or a whole number"):
            plastic.dt.get()
        assert weights.get().shape == (4, 6)
        session.run(1)


def test_a_model_that_holds_a_number_is_told_of_what_was_set(models):
    """To wait for it, one of its other Vars is read: Lava neither sends the number nor sets it."""
    rated = models.Rated()
    with entered(guarded, rated) as session:
        session.run(1)
        rated.gain.set(np.array([3, 4, 5]))
        assert rated.gain.get().tolist() == [3, 4, 5] and rated.told.get().tolist() == [1] * 4
        with pytest.raises(InputError, match="^set: Rated '.*'.a_rate must be an array"):
            rated.a_rate.set(0.7)
        assert rated.told.get().tolist() == [1] * 4
        session.run(1)


def test_a_pause_just_after_the_end_of_a_run_changes_nothing():
    lif = LIF(shape=(3,), bias_mant=1, vth=100)
    with entered(guarded, lif, FLOATING) as session:
        session.run(1)
        lif.run(RunSteps(5, blocking=False))
        answered(session)
        lif.pause()
        assert lif.v.get().tolist() == [6] * 3
        lif.run(RunSteps(2))
        assert lif.v.get().tolist() == [8] * 3


def test_steps_after_a_pause_in_the_midst_of_others_are_refused_at_once():
    """Lava never says that they are done: it goes on pausing."""
    lif = LIF(shape=(3,), bias_mant=1, vth=10)
    with entered(guarded, lif, FLOATING):
        lif.run(RunSteps(10**9, blocking=False))
        lif.pause()
        for _ in range(2):
            with pytest.raises(InputError, match="run condition must be RunContinuous again after.* a pause in the midst of steps"):
                lif.run(RunSteps(2))
            assert lif.v.get().shape == (3,)


@pytest.mark.parametrize("tag", [FLOAT, FIXED])
def test_a_single_whole_number_is_not_set(tag):
    """Lava would make a float of it, which fails in the model, or is never sent again."""
    lif = LIF(shape=(3,), du=1, dv=1, vth=100)
    with entered(guarded, lif, Loihi2SimCfg(select_tag=tag)) as session:
        session.run(1)
        with pytest.raises(InputError, match="^set: LIF '.*'.du must be an array"):
            lif.du.set(2)
        session.run(1)
        assert lif.du.get() == 1


def test_a_pause_after_a_model_has_asked_for_one_is_not_told_again(models):
    def run(model):
        once(model)
        model._req_pause = model.x[0] == 1

    free = models.Free(run)
    with entered(guarded, free) as session:
        free.run(RunSteps(1, blocking=False))
        answered(session)
        free.pause()
        for k in range(3):
            assert free.x.get().tolist() == [k + 1]
            session.run(1)


def test_a_pause_after_a_model_has_asked_for_the_end_is_the_end(models):
    def step(model):
        model._req_stop = model.time_step == 2
        return np.nan

    told, free = Told(step=step), models.Free(once)
    told.s_out.connect(free.a_in)
    with entered(guarded, told) as session:
        told.run(RunSteps(5, blocking=False))
        answered(session)
        told.pause()
        with pytest.raises(NotRunning, match="a model asked for the end of the run"):
            told.x.get()


def test_a_pause_not_looked_at_is_gone_with_its_run(models):
    def run(model):
        model.a_in.recv(), model.a_in.recv()
        model.x[:] = model.num_steps

    told, free = Told(step=pausing(2)), models.Free(run)
    told.s_out.connect(free.a_in)
    with InProcess(told, CFG) as session:
        session.run(20)
        session.run(7)
        assert session.get(free.x).tolist() == [7]


@pytest.mark.parametrize("order", [1, -1])
def test_a_stop_outweighs_a_pause_of_another_asynchronous_process(order, models):
    one, two = (models.Free(run) for run in (asks_for_stop, asks_for_pause)[::order])
    one.a_out.connect(two.a_in)
    with InProcess(one, CFG) as session:
        session.run(3)
        with pytest.raises(NotRunning):
            session.run(1)


def test_a_reset_puts_the_count_of_steps_back():
    told = Told(step=lambda _: np.nan)
    with InProcess(told, CFG) as session:
        session.run(5)
        session.reset()
        assert session.steps_run == 0
        recorder = Recorder(told.x, every=3)
        session.run(4, record=recorder)
        assert recorder.steps.tolist() == [3]


def test_a_reset_forgets_messages_that_nobody_took(models):
    def run(model):
        model.x[:] = model.a_in.recv()

    told, free = Told(step=lambda model: model.time_step), models.Free(run)
    told.s_out.connect(free.a_in)
    with InProcess(told, CFG) as session:
        session.run(3)
        session.reset()
        session.run(1)
        assert session.get(free.x).tolist() == [1]
