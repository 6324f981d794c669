"""In-process and guarded runs beside other things that a user's program does: threads, forks, RefPorts, many runs, several networks."""

import gc
import logging
import os
import random
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lava.magma")
sys.path.insert(0, str(Path(__file__).parent / "processes"))

from asking.models import AskedModel
from asking.process import Adder, Asked, Poller, Reader
from lava.magma.core.process.process import LogConfig, ProcessServer
from lava.magma.core.process.variable import VarServer
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.magma.core.sync.domain import SyncDomain
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.dense.process import Dense
from lava.proc.io.reset import Reset
from lava.proc.io.source import RingBuffer
from lava.proc.lif.process import LIF
from told.process import Choosing, Told

from lava_1m1t1r import M1T1R, presets
from lava_1m1t1r.description import CubaNeuron, Layer, M1T1RNeuron, NetDescription
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.netx import hdf5
from lava_1m1t1r.netx.fused import FusedSimCfg
from lava_1m1t1r.netx.terminal.process import Tap
from lava_1m1t1r.program import StepParams
from lava_1m1t1r.run import InProcess, ProcessFailed, guarded, run
from lava_1m1t1r.run.failures import RunError

pytestmark = pytest.mark.lava
FIXED = Loihi2SimCfg(select_tag="fixed_pt")


def pair():
    """Two LIFs of which one drives the other."""
    first, synapse, second = LIF(shape=(3,), bias_mant=40, vth=100), Dense(weights=np.eye(3) * 60), LIF(shape=(3,), vth=100)
    first.s_out.connect(synapse.s_in)
    synapse.a_out.connect(second.a_in)
    return first, second


@pytest.fixture
def net(rng):
    neuron = M1T1RNeuron(StepParams(presets.ZHAO2025_FIG2))
    weight = (2 * rng.integers(20, 110, (7, 4))).astype(np.int32)
    return NetDescription((Layer(0, "dense", (7,), 4, weight, neuron=neuron),))


def test_another_thread_may_draw_numbers_and_nothing_is_corrupted(tmp_path):
    # in a process of its own: what this is about ends one
    code = """
import threading
import numpy as np
import pytest
from lava.magma.core.run_configs import Loihi2SimCfg
from lava_1m1t1r.run import run
from test_run_users import pair
stop = threading.Event()
def draw():
    while not stop.wait(0.001):
        np.random.random(100_000)
threads = [threading.Thread(target=draw, daemon=True) for _ in range(2)]
[t.start() for t in threads]
seen = set()
for _ in range(8):
    first, second = pair()
    found = run(second, 40, Loihi2SimCfg(select_tag="fixed_pt"), record=[second.v])
    seen.add(found[second.v].tobytes())
stop.set()
[t.join() for t in threads]
assert len(seen) == 1
print("well")
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=220, env=env, cwd=tmp_path)
    assert done.stdout.strip() == "well", (done.returncode, done.stderr[-2000:])


def test_two_threads_cannot_run_graphs_at_once_and_one_after_the_other_they_can():
    _, second = pair()
    _, other = pair()
    _, fresh = pair()
    refused, inside, done = [], threading.Event(), threading.Event()

    with InProcess(second, FIXED) as session, InProcess(other, FIXED) as rival:
        rival.run(3)
        before = rival.get(other.v).tolist()

        def race():
            inside.wait(60)
            for begin in (lambda: rival.run(5), lambda: rival.set(other.v, 7), rival.reset, lambda: run(fresh, 5, FIXED)):
                try:
                    begin()
                except RunError as error:
                    refused.append(str(error))
            done.set()

        thread = threading.Thread(target=race)
        thread.start()
        task = next(task for task in session._executor.tasks.values() if task.model.__class__.__name__.startswith("PyLif"))
        whole = task.model.run_spk

        def wait_for_the_other():
            inside.set()
            done.wait(60)
            whole()

        task.model.run_spk = wait_for_the_other
        session.run(2)
        thread.join(60)
        assert len(refused) == 4 and all("another thread runs a graph in this process" in text for text in refused)
        assert rival.steps_run == 3 and rival.get(other.v).tolist() == before
        rival.run(2)
    assert run(fresh, 5, FIXED, record=[fresh.v])[fresh.v][-1].tolist() == rival.get(other.v).tolist()


def test_of_two_graphs_that_are_started_at_once_a_refused_one_can_be_run_afterwards():
    graphs, begin, refused = [pair()[1] for _ in range(2)], threading.Barrier(2, timeout=60), []

    def start(lif):
        begin.wait()
        try:
            run(lif, 3, FIXED)
        except RunError:
            refused.append(lif)

    both = [threading.Thread(target=start, args=(lif,)) for lif in graphs]
    for one in both:
        one.start()
    for one in both:
        one.join(60)
    assert len(refused) < 2
    for lif in refused:
        run(lif, 3, FIXED)
    assert graphs[0].v.get().tolist() == graphs[1].v.get().tolist()


SEEDED = """
import numpy as np
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class Seeded(AbstractProcess):
    def __init__(self, how):
        super().__init__(how=how)
        self.value = Var(shape=(1,), init=0.0)


@implements(proc=Seeded, protocol=LoihiProtocol)
@requires(CPU)
class PySeeded(PyLoihiProcessModel):
    value: np.ndarray = LavaPyType(np.ndarray, float)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        how = proc_params["how"]
        if how == "array":
            np.random.seed([1, 2, 3])
        elif how == "own":
            np.random.set_bit_generator(np.random.MT19937(5))

    def run_spk(self):
        self.value[:] = np.random.normal()
"""


@pytest.mark.parametrize("how", ["array", "own", "none"])
def test_models_that_seed_or_bring_a_generator_draw_as_in_processes_of_their_own(how, tmp_path, monkeypatch):
    import importlib

    (tmp_path / "seeded_model.py").write_text(SEEDED)
    monkeypatch.syspath_prepend(tmp_path)
    seeded = importlib.import_module("seeded_model")
    drawn = []
    for kind in (guarded, InProcess):
        np.random.seed([7])
        first = seeded.Seeded(how)
        with kind(first, Loihi2SimCfg(), timeout=60) as session:
            found = []
            for _ in range(4):
                session.run(1)
                found.append(float(session.get(first.value)[0]))
        drawn.append(found)
    assert drawn[0] == drawn[1] and len(set(drawn[0])) == 4
    np.random.seed([7])
    assert np.random.normal() == np.random.RandomState([7]).normal()


def test_the_global_generators_are_never_copied_and_of_tensors_only_what_cannot_be():
    from lava_1m1t1r.run.copies import _copied

    numpys = np.random.mtrand._rand
    ((drawn),) = _copied(({"one": random.uniform, "two": numpys, "three": np.random.default_rng(3)},), {})
    assert drawn["one"].__self__ is random.uniform.__self__ and drawn["two"] is numpys
    torch = pytest.importorskip("torch")
    weight = torch.ones(2, requires_grad=True)
    given = {"plain": torch.ones(2), "result": weight * 2, "other": torch.zeros(1)}
    ((copied),) = _copied((given,), {})
    assert copied["result"] is given["result"]  # torch cannot copy it
    assert copied["plain"] is not given["plain"] and copied["other"] is not given["other"]


def test_what_has_asked_for_a_var_is_answered_before_what_asks_again():
    """As in Lava, where the first request is there already when a Process that has been answered asks once more."""
    asked, reader, adder = Asked(), Reader(), Adder()
    reader.ref.connect_var(asked.n)
    adder.ref.connect_var(asked.n)  # the last connected is answered first; its second request, a write, is later than the reader's
    with InProcess(asked, FIXED) as session:
        session.run(6)
        assert session.get(reader.seen)[:6].tolist() == [1, 12, 23, 34, 45, 56] and session.get(asked.n) == [66]


def test_in_steps_that_a_paused_group_did_not_do_its_vars_keep_their_values():
    """Groups of Processes step freely; zeros in these rows would be values that the Var never had."""
    asked, reader = Asked(pause_at=3), Reader()
    reader.ref.connect_var(asked.n)
    groups = [SyncDomain("one", LoihiProtocol(), [asked]), SyncDomain("two", LoihiProtocol(), [reader])]
    with InProcess(asked, Loihi2SimCfg(select_tag="fixed_pt", custom_sync_domains=groups), timeout=60) as session:
        recorded = session.run(6, record=[asked.n, reader.seen])
        assert recorded[asked.n].ravel().tolist() == [1, 2, 3]
        assert recorded[reader.seen][:, 0].tolist() == [3, 3, 3] and session.get(reader.seen)[:2].tolist() == [3, 0]  # one step


@pytest.mark.parametrize("end", ["pause", "stop"])
def test_the_values_that_are_kept_are_those_of_the_last_step_done_recorded_or_not(end):
    """And not what a model makes of them once it is told of the end."""
    steps = []

    def ending(model):
        steps.append(model.time_step)
        setattr(model, f"_req_{end}", model.time_step == 5)
        return np.nan  # sends nothing

    ahead, taker = Told(step=lambda model: model.time_step if model.time_step > 1 else np.nan), Choosing()
    paused = Told(step=ending, **{end: lambda model: model.x.fill(100)})
    ahead.s_out.connect(taker.one)  # what it takes in a step was sent one step later
    paused.s_out.connect(taker.two)
    groups = [SyncDomain("one", LoihiProtocol(), [ahead]), SyncDomain("two", LoihiProtocol(), [paused, taker])]
    with InProcess(ahead, Loihi2SimCfg(select_tag="fixed_pt", custom_sync_domains=groups), timeout=60) as session:
        recorded = session.run(8, record=[ahead.x, paused.x, taker.x], every=3)
        assert recorded[ahead.x].ravel().tolist() == [3, 6] and steps == [1, 2, 3, 4, 5]
        assert recorded[taker.x].ravel().tolist() == [3, 5] and session.get(taker.x) == [5]
        assert np.isnan(recorded[paused.x]).all() and session.get(paused.x) == [100]


def test_requests_after_the_last_step_of_a_paused_run_end_no_step():
    asked, poller = Asked(pause_at=2), Poller()
    poller.ref.connect(asked.port)
    with InProcess(asked, FIXED, timeout=60) as session:
        assert session.run(6, record=[asked.n])[asked.n].ravel().tolist() == [1, 2]
        assert session.get(poller.reads) == [20]


@pytest.mark.parametrize("runner", [InProcess, guarded])
def test_a_model_answers_requests_in_a_way_of_its_own(runner, monkeypatch):
    def answer(model, port):
        model.n += 100
        port.service()

    monkeypatch.setattr(AskedModel, "_handle_var_port", answer)
    asked, reader = Asked(), Reader()
    reader.ref.connect(asked.port)
    with runner(asked, FIXED, timeout=60) as session:
        session.run(4)
        assert session.get(reader.seen)[:4].tolist() == [101, 202, 303, 404]


def test_a_refport_sets_the_states_of_neurons_as_a_user_does():
    def spikes(reset):
        source = RingBuffer(data=np.ones((1, 60)))
        synapse = Dense(weights=np.array([[240]]))
        neuron = M1T1R(shape=(1,), params=presets.ZHAO2025_FIG2, dt=1e-3, v_unit=0.25)
        source.s_out.connect(synapse.s_in)
        synapse.a_out.connect(neuron.a_in)
        if reset == "RefPort":
            for var in (neuron.filament, neuron.residue, neuron.v_gate):
                Reset(interval=6, offset=5).connect_var(var)
        with InProcess(neuron, FIXED) as session:
            found = []
            for _ in range(10):
                recorded = session.run(6, record=[neuron.s_out, neuron.filament])
                found.append(np.concatenate([recorded[neuron.s_out], recorded[neuron.filament]], axis=1))
                if reset == "user":
                    for var in (neuron.filament, neuron.residue, neuron.v_gate):
                        session.set(var, np.zeros(1, int))
        return np.concatenate(found)

    alone, by_port, by_user = (spikes(reset) for reset in (None, "RefPort", "user"))
    assert by_port[:, 0].sum() > alone[:, 0].sum()
    assert abs(int(by_port[:, 0].sum()) - int(by_user[:, 0].sum())) <= 2  # Lava's Reset comes a phase earlier or later
    assert len(np.unique(by_port[:, 1])) > 4  # the Var goes on showing what the neuron does


def test_many_guarded_runs_leave_no_files_open():
    def once():
        first, second = pair()
        with guarded(second, FIXED, timeout=60) as session:
            session.run(2)

    once()
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        once()
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before


def kept_by_lava():
    """What Lava has of Processes that nobody uses any more."""
    gc.collect()
    compiling = logging.getLogger("lava.magma.compiler.compiler")
    return len(ProcessServer().processes), len(VarServer().vars), len(logging.root.handlers), max(len(compiling.handlers), 1)


@pytest.mark.parametrize("backend", hdf5.BACKENDS)
def test_networks_that_ran_are_forgotten(backend, net):
    frames, before = np.ones((1, 5, 4), np.uint8), kept_by_lava()
    for _ in range(2):
        hdf5.predict(net, frames, backend)
    assert all(after <= then for after, then in zip(kept_by_lava(), before, strict=True))


@pytest.mark.parametrize("runner", [InProcess, guarded])
def test_graphs_that_were_refused_or_have_failed_are_forgotten(runner, recwarn):
    before = kept_by_lava()
    first, second = pair()
    with pytest.raises((InputError, ProcessFailed)), runner(second, Loihi2SimCfg(select_tag="no such tag")):
        pass
    with pytest.raises(ProcessFailed), runner(Told(step=lambda model: 1 / 0), Loihi2SimCfg()) as session:
        session.run(1)
    del first, second, session
    assert all(after <= then for after, then in zip(kept_by_lava(), before, strict=True))


def test_a_run_ends_well_beside_processes_that_are_being_made_or_were_never_made_whole():
    with pytest.raises(AttributeError):
        LIF(shape=(1,), log_config={"level": 10})  # registered before it fails
    ended, errors = threading.Event(), []

    def make():
        try:
            while not ended.is_set():
                LIF(shape=(1,))
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    try:
        for _ in range(20):
            run(pair()[1], 1, FIXED)
    finally:
        ended.set()
        thread.join(30)
        ProcessServer().processes.clear()
        VarServer().vars.clear()
        for handler in logging.root.handlers[:]:
            if type(handler) is logging.StreamHandler:
                logging.root.removeHandler(handler)
    assert not errors


def test_a_graph_in_lavas_runtime_is_collected_with_its_last_user():
    first, second = pair()
    seen = [weakref.ref(first), weakref.ref(second)]
    with guarded(second, FIXED, timeout=60) as session:
        session.run(2)
    gc.collect()
    assert all(ref() is not None for ref in seen)
    del first, second, session
    gc.collect()
    assert not any(ref() for ref in seen)


def test_handlers_of_the_users_stay_on_the_root_log():
    compiling = logging.getLogger("lava.magma.compiler.compiler")
    config = LogConfig()
    mine = [logging.StreamHandler(), logging.StreamHandler(sys.stdout), logging.StreamHandler(), logging.NullHandler()]
    for handler in mine[1:]:
        handler.setLevel(config.level_console)
        handler.setFormatter(logging.Formatter(config.format, config.date_format if handler is mine[1] else None))
    for log in (logging.root, compiling):
        for handler in mine:
            log.addHandler(handler)
    try:
        _, second = pair()
        with InProcess(second, FIXED) as session:
            session.run(2)
        assert all(handler in log.handlers for handler in mine for log in (logging.root, compiling))
    finally:
        for log in (logging.root, compiling):
            for handler in mine:
                log.removeHandler(handler)


def test_a_forked_child_leaves_its_parents_graph_alone():
    first, second = pair()
    with guarded(second, FIXED, timeout=60) as session:
        session.run(2)
        child = os.fork()
        if child == 0:
            try:
                session.__exit__(None, None, None)
            finally:
                os._exit(0)
        end = time.monotonic() + 60
        while os.waitpid(child, os.WNOHANG)[0] == 0:
            assert time.monotonic() < end
            time.sleep(0.01)
        session.run(2)
        assert session.get(first.v).shape == (3,)


def test_a_var_that_lava_does_not_send_is_refused_by_name():
    from lava.proc.rf_iz.process import RF_IZ

    neuron = RF_IZ(shape=(2,), period=10, alpha=0.9)
    with guarded(neuron, Loihi2SimCfg(select_tag="floating_pt"), timeout=60) as session:
        session.run(2)
        with pytest.raises(InputError, match=r"get: RF_IZ.*\.cos_decay must be an array or a whole number"):
            session.get(neuron.cos_decay)
        assert session.get(neuron.real).shape == (2,)


@pytest.mark.parametrize("bits", [0, 8])
def test_two_senders_reach_a_fused_network_as_a_composed_one(bits, rng):
    layer = Layer(0, "dense", (5,), 3, (2 * rng.integers(5, 60, (5, 3))).astype(np.int32), neuron=CubaNeuron(1024, 128, 64 * 90))
    data, seen = (rng.random((2, 3, 50)) < 0.5).astype(int), []
    for fused in (False, True):
        network = hdf5.Network(NetDescription((layer,)), input_message_bits=bits)
        for part in data:
            RingBuffer(data=part).s_out.connect(network.inp)
        tap = Tap(shape=(5,), steps=50)
        network.out.connect(tap.a_in)
        run(network, 50, FusedSimCfg(network) if fused else FIXED)
        seen.append(tap.values())
    assert np.array_equal(*seen) and seen[0].sum() > 5


def test_one_of_two_networks_is_fused_and_a_fused_one_belongs_to_its_configuration(net):
    networks, taps = [hdf5.Network(net, name=name) for name in "ab"], []
    source = RingBuffer(data=np.ones((4, 40)))
    for network in networks:
        source.s_out.connect(network.inp)
        taps.append(Tap(shape=(7,), steps=40))
        network.out.connect(taps[-1].a_in)
    run(networks[0], 40, FusedSimCfg(networks[1]))
    assert np.array_equal(taps[0].values(), taps[1].values()) and taps[0].values().sum() > 5
    alone = hdf5.Network(net, name="c")
    FusedSimCfg(alone)
    with pytest.raises(InputError, match="be run under the FusedSimCfg that it was given to"):
        run(alone, 4, FIXED)
