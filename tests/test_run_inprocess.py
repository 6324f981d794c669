"""The in-process runner: Lava's own results to the bit, failures at once, nothing left running."""

import pickle
import random
import re
import signal
import sys
import threading
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

pytest.importorskip("lava.magma", reason="needs lava-nc")
pytest.importorskip("greenlet", reason="needs greenlet")
sys.path.insert(0, str(Path(__file__).parent / "processes"))

from faulty.models import PyFaultyModel
from faulty.process import Faulty
from graphs import CASES, FIXED, FLOAT, T, dice, learning, nested, recurrent, sparse
from kinds.models import ChipElsewhereModel, PyHookedModel
from kinds.process import Elsewhere, Hooked, Kinds, NoEntries, Orphan
from lava.magma.compiler.compiler import Compiler
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.io.extractor import Extractor, VarWire
from lava.proc.io.injector import Injector
from lava.proc.io.reset import Reset
from lava.proc.io.sink import Read
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source
from lava.proc.lif.process import LIF, LIFRefractory
from lava.proc.monitor.process import Monitor
from lava.proc.s4d.process import S4d
from lava.proc.sparse.process import Sparse
from lava.utils.serialization import load, save
from leftovers import nothing_remains
from nested.process import Layer, Turned
from noisy.process import Noisy, Ticking
from told.process import Told
from typed.process import TYPES, Typed

import lava_1m1t1r.run
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.run import (
    Deadlock,
    InProcess,
    NotRunning,
    ProcessFailed,
    Recorder,
    RunTimeout,
    guarded,
    run,
)
from lava_1m1t1r.run.channels import Channel, ExternalChannel
from lava_1m1t1r.run.values import indexed, write

BOTH = pytest.mark.parametrize("tag", [FLOAT, FIXED])


def config(tag=FLOAT):
    return Loihi2SimCfg(select_tag=tag)


@pytest.fixture(autouse=True)
def nothing_left_behind(monkeypatch):
    with nothing_remains(monkeypatch):
        yield


@pytest.mark.parametrize("graph, tag", CASES, ids=[f"{graph.__name__}-{tag}" for graph, tag in CASES])
def test_equal_to_lavas_own_runtime(graph, tag):
    np.random.seed(5)
    process, variables = graph(tag)
    with guarded(process, config(tag), timeout=30) as session:
        session.run(T // 2)
        session.run(T - T // 2)
        expected = [session.get(var) for var in variables]
    np.random.seed(5)
    process, variables = graph(tag)
    with InProcess(process, config(tag)) as session:
        session.run(T // 2)
        session.run(T - T // 2)
        got = [var.get() for var in variables]
    assert any(np.any(value) for value in expected), "a silent graph proves nothing"
    for var, a, b in zip(variables, expected, got, strict=True):
        assert type(a) is type(b) and a.shape == b.shape
        np.testing.assert_array_equal(a, b, err_msg=f"{var.process.name}.{var.name}")


# -- recordings --------------------------------------------------------------------------------------------------------


@BOTH
def test_recorder_equals_lavas_monitor(tag):
    process, _ = recurrent(tag)
    on_var, on_port = Monitor(), Monitor()
    on_var.probe(process.v, T)
    on_port.probe(process.s_out, T)
    recorder = Recorder(process.u, process.v, process.s_out, process.u)
    with InProcess(process, config(tag)) as session:
        session.run(15, record=recorder)
        session.run(T - 15, record=recorder)
        monitored = [on_var.get_data()[process.name]["v"], on_port.get_data()[process.name]["s_out"]]
    np.testing.assert_array_equal(recorder[process.v], monitored[0])
    np.testing.assert_array_equal(recorder[process.s_out], monitored[1])
    assert recorder[process.s_out].any() and recorder[process.u].shape == (T, 12)
    np.testing.assert_array_equal(recorder.steps, np.arange(1, T + 1))


def test_monitor_equals_lavas_own_runtime():
    def build():
        process, _ = recurrent(FIXED)
        monitors = [Monitor(), Monitor()]
        monitors[0].probe(process.v, T)
        monitors[1].probe(process.s_out, T)
        return process, monitors

    process, monitors = build()
    with guarded(process, config(FIXED), timeout=30) as session:
        session.run(T)
        expected = [m.get_data()[process.name] for m in monitors]
    process, monitors = build()
    run(process, T, config(FIXED))
    for a, monitor in zip(expected, monitors, strict=True):
        b = monitor.get_data()[process.name]
        np.testing.assert_array_equal(*(next(iter(d.values())) for d in (a, b)))


def test_many_short_runs_record_what_one_long_run_does():
    process, _ = recurrent(FIXED)
    expected = run(process, T, config(FIXED), record=[process.v])[process.v]
    process, _ = recurrent(FIXED)
    recorder, seen = Recorder(process.v), []
    assert recorder[process.v].shape == (0, *process.v.shape) and recorder.steps.shape == (0,)
    with InProcess(process, config(FIXED)) as session:
        for _ in range(T):
            seen.append(session.run(1, record=recorder)[process.v])
    for t, values in enumerate(seen, 1):  # what was returned stays as it was
        np.testing.assert_array_equal(values, expected[:t])
    addresses = [values.__array_interface__["data"][0] for values in seen]
    assert len(set(addresses)) <= 2 + np.log2(T)  # the memory doubles
    for values in (seen[-1], recorder.steps, recorder.as_dict()[process.v]):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 1
    recorder.clear()
    assert recorder[process.v].shape == (0, *process.v.shape)
    process, _ = recurrent(FIXED)
    run(process, 3, config(FIXED), record=[process.v])[process.v][...] = 0  # the caller's own


def test_every_and_ports_of_nested_processes():
    layer, _ = nested(FIXED)
    all_steps = run(layer, T, config(FIXED), record=[layer.v, layer.s_out])
    layer_2, _ = nested(FIXED)
    thinned = Recorder(layer_2.v, layer_2.s_out, every=4)
    with InProcess(layer_2, config(FIXED)) as session:
        session.run(6, record=thinned)
        session.run(T - 6, record=thinned)
    np.testing.assert_array_equal(thinned.steps, np.arange(4, T + 1, 4))
    np.testing.assert_array_equal(thinned[layer_2.v], all_steps[layer.v][3::4])
    np.testing.assert_array_equal(thinned[layer_2.s_out], all_steps[layer.s_out][3::4])
    assert thinned[layer_2.v].dtype == np.int32


@pytest.mark.parametrize("shape", [(3, 2), (6,)])
def test_a_port_behind_axes_that_a_nested_process_turns_is_recorded_as_a_sink_gets_it(shape):
    turned, sink = Turned(data=np.arange(24).reshape(2, 3, 4), shape=shape), Sink(shape=shape, buffer=4)
    turned.s_out.connect(sink.a_in)
    with InProcess(turned, config(FLOAT)) as session:
        got = session.run(4, record=[turned.s_out])[turned.s_out]
        np.testing.assert_array_equal(got, np.moveaxis(session.get(sink.data), -1, 0))


def test_a_recorded_var_may_go_on_with_wider_numbers_but_not_with_another_shape():
    kinds = Kinds(name="wide")
    with InProcess(kinds, config()) as session:
        got = session.run(4, record=[kinds.wider, kinds.number, kinds.single])
        assert got[kinds.single].ravel()[-1] == session.get(kinds.single) != np.float32(session.get(kinds.single))
        np.testing.assert_array_equal(got[kinds.wider][:, 0], [1, 1, 1.5, 2.25])
        np.testing.assert_array_equal(got[kinds.number], np.array([6, 8, 10, 12])[:, None, None] * np.ones((2, 2)))
        with pytest.raises(ProcessFailed, match="Kinds 'wide'.longer cannot be recorded"):
            session.run(2, record=[kinds.longer])
    kinds = Kinds()
    recorder = Recorder(kinds.number, kinds.longer, kinds.wider)
    with InProcess(kinds, config()) as session, pytest.raises(ProcessFailed, match="longer cannot be recorded"):
        session.run(6, record=recorder)
    assert recorder.steps.tolist() == [1, 2, 3, 4]  # of the step that could not be recorded, nothing is there
    assert recorder[kinds.number][:, 0, 0].tolist() == [6, 8, 10, 12] and recorder[kinds.wider][-1, 0] == 2.25
    kinds = Kinds()
    recorder = Recorder(kinds.wider)
    with InProcess(kinds, config()) as session:
        for _ in range(2):
            session.run(2, record=recorder)
    np.testing.assert_array_equal(recorder[kinds.wider][:, 0], [1, 1, 1.5, 2.25])


def test_a_recorded_port_takes_what_a_receiver_takes_and_names_the_sender_of_anything_else():
    source, relay = Source(data=np.ones((3, T))), Faulty(fault="shape", at=3, name="relay")
    source.s_out.connect(relay.a_in)  # nobody receives from the relay
    recorder = Recorder(relay.s_out)
    text = r"Faulty 'relay' failed in step 3(.|\n)*Faulty 'relay'.s_out sent shape \(4,\), the channel takes \(3,\)"
    with pytest.raises(ProcessFailed, match=text), InProcess(relay, config()) as session:
        session.run(T, record=recorder)
    np.testing.assert_array_equal(recorder[relay.s_out], np.ones((2, 3)))  # what had been done


def test_a_port_that_sends_nothing_in_a_step_gives_zeros():
    source, relay = Source(data=np.ones((3, T))), Faulty(fault="silent", at=3, name="relay")
    source.s_out.connect(relay.a_in)
    got = run(relay, 5, config(), record=[relay.s_out])
    np.testing.assert_array_equal(got[relay.s_out], np.repeat([[1], [1], [0], [1], [1]], 3, axis=1))


@pytest.mark.parametrize(("every", "sent"), [(2, [0, 0, 0]), (3, [3, 0])])
def test_what_was_sent_in_a_step_that_is_not_recorded_is_not_of_the_next(every, sent):
    told = Told(step=lambda model: model.time_step if model.time_step % 2 else np.nan)
    assert run(told, 6, config(), record=[told.s_out], every=every)[told.s_out].ravel().tolist() == sent


def test_what_cannot_be_recorded_is_refused_by_name():
    process, _ = recurrent(FLOAT)
    with InProcess(process, config()) as session:
        for record in (process.s_out, process.v, None, 3):
            with pytest.raises(InputError, match=r"^record must be a Recorder, or a sequence(.|\n)*record=\[lif.s_out\]"):
                session.run(1, record=record)
        for record in ("v", [process.a_in]):
            with pytest.raises(InputError, match="^record must hold Vars and OutPorts"):
                session.run(1, record=record)
        with pytest.raises(InputError, match=r"^record must hold what fits in memory; got \d+ times \(12,\) of type float64"):
            session.run(2**50, record=[process.v])
        for steps in (0, -1, 2.5, True, 2**70):
            with pytest.raises(InputError, match="^steps must be"):
                session.run(steps)
        session.run(1)
    source, extractor = Source(data=np.ones((1, 2))), Extractor(shape=(1,), buffer_size=2)
    source.s_out.connect(extractor.in_port)
    with InProcess(source, Loihi2SimCfg()) as session:
        with pytest.raises(InputError, match="must send to a Process, not to your code, to be recorded"):
            session.run(1, record=[extractor.out_port])
        session.run(1)
        assert extractor.receive().tolist() == [1]  # recorded, it would have gone to the recorder
    process, variables = learning(FLOAT)
    synapse = variables[1].process
    with InProcess(process, config()) as session:
        for part, kind in ((synapse.dw, "str"), (synapse.dd, "NoneType")):  # the rule changes weights, and no delays
            with pytest.raises(InputError, match=f"'plastic'.{part.name} must be a dense array or a number; got '{kind}'"):
                session.run(1, record=[part])
        for use in (lambda: session.set(synapse.dd, 1), lambda: synapse.dd.set(np.ones(1))):
            with pytest.raises(InputError, match="^set: LearningDense 'plastic'.dd must be there in the ProcessModel to be set; got None"):
                use()


# -- values, reset, the user's own state -------------------------------------------------------------------------------


def test_values_are_read_and_set_as_whole_arrays():
    process, _ = recurrent(FIXED)
    with InProcess(process, config(FIXED)) as session:
        session.run(3)
        session.set(process.v, np.arange(12))
        session.set(process.u, 7)
        assert session.get(process.v).dtype == np.int32
        np.testing.assert_array_equal(session.get(process.v), np.arange(12))
        process.v.set(np.arange(12, 24))
        np.testing.assert_array_equal(process.v.get(), np.arange(12, 24))
        np.testing.assert_array_equal(session.get(process.u), np.full(12, 7))
        session.set(process.du, 512)
        assert session.get(process.du) == 512
        for var, value, text in (
            (process.v, np.zeros(5), "fit shape"),
            (process.v, np.full(12, 0.5), "hold values of type int32"),
            (process.v, 2**40, "hold values of type int32"),
            (process.v, np.nan, "hold values of type int32"),
            (process.v, None, "hold real numbers"),
            (process.v, "x", "hold real numbers"),
            (process.v, [[1], [2, 3]], "hold real numbers"),
            (process.v, 2**70, "hold real numbers of at most 64 bits"),
            (process.du, [1, 2], "be one number"),
            (process.du, 0.5, "hold values of type int"),
            (process.du, None, "hold real numbers"),
        ):
            with pytest.raises(InputError, match=rf"^set: LIF '.*'\.{var.name} must {text}"):
                session.set(var, value)
        with pytest.raises(InputError, match=r"^set: LIF '.*'\.v must hold real numbers"):
            process.v.set(None)
        for value in (np.nan, np.inf, 1e30):
            with pytest.raises(InputError, match=r"^set: LIF '.*'\.v must hold finite numbers of at most 64 bits, for int32"):
                process.v.set(np.full(12, value))
    np.testing.assert_array_equal(session.get(process.u), np.full(12, 7))  # still there to be read


def test_values_are_broadcast_as_numpy_does_and_an_index_of_0_is_none():
    model = SimpleNamespace(x=np.zeros((2, 3)))
    write("x", model, "x", [1, 2, 3])
    np.testing.assert_array_equal(model.x, [[1, 2, 3], [1, 2, 3]])
    for value, got in (([1, 2], "(2,)"), (np.ones((4, 2, 3)), "(4, 2, 3)")):
        with pytest.raises(InputError, match=r"^x must fit shape \(2, 3\); got " + re.escape(got)):
            write("x", model, "x", value)
    np.testing.assert_array_equal(indexed("x", np.arange(3), 0), [0, 1, 2])  # as in Lava
    assert indexed("x", np.arange(3), 2) == 2


def test_a_var_that_no_model_holds_is_refused_in_lavas_own_words_too():
    layer, _ = nested(FIXED)
    with InProcess(layer, config(FIXED)) as session:
        for use in (lambda: session.get(layer.spare), layer.spare.get, lambda: layer.spare.set(np.zeros(4))):
            with pytest.raises(InputError, match=r"^var must belong to a Process(.|\n)*Layer '.*'\.spare"):
                use()


def test_complex_states_take_complex_numbers():
    neuron = S4d(shape=(2,), a=np.array([0.5 + 0.1j, 0.2]), b=np.ones(2, complex), c=np.ones(2, complex))
    with InProcess(neuron, config()) as session:
        session.set(neuron.s4_state, [1j, 2.0])
        session.run(1)
        np.testing.assert_array_equal(session.get(neuron.s4_state), [1j * (0.5 + 0.1j), 0.4])


def test_sparse_weights_keep_their_places():
    process, _ = sparse(FLOAT)
    synapse = next(p for p in _graph(process) if isinstance(p, Sparse))
    kept = synapse.weights.init.copy()
    with InProcess(process, config()) as session:
        session.set(synapse.weights, kept * 2)
        np.testing.assert_array_equal(session.get(synapse.weights).toarray(), kept.toarray() * 2)
        session.set(synapse.weights, kept.astype(np.float32))
        assert session.get(synapse.weights).dtype == kept.dtype
        session.set(synapse.weights, kept * 2)
        np.testing.assert_array_equal(synapse.weights.get().toarray(), kept.toarray() * 2)
        with pytest.raises(InputError, match="non-zero places"):
            session.set(synapse.weights, csr_matrix(np.ones((4, 6))))
    np.testing.assert_array_equal(synapse.weights.init.toarray(), kept.toarray())


@pytest.mark.parametrize("value", [300, 1.5])
def test_sparse_weights_that_their_type_cannot_hold_are_refused(value):
    model = SimpleNamespace(weights=csr_matrix(np.array([[1, 0], [0, 2]], np.int8)))
    write("weights", model, "weights", csr_matrix([[-128, 0], [0, 127]]))
    assert model.weights.dtype == np.int8 and model.weights.toarray().tolist() == [[-128, 0], [0, 127]]
    with pytest.raises(InputError, match="weights must hold values of type int8"):
        write("weights", model, "weights", csr_matrix([[value, 0], [0, 2]]))
    assert model.weights.toarray().tolist() == [[-128, 0], [0, 127]]


def _graph(process):
    from lava.magma.compiler.compiler_graphs import find_processes

    return find_processes(process)


def test_vars_of_any_kind_are_what_they_are_in_lavas_own_runtime():
    def visit(session, kinds):
        names = ("number", "from_array", "turned", "text", "sparse", "wider", "told")
        read = []
        for values in ({}, {"turned": np.arange(6).reshape(2, 3) * 10, "from_array": np.array([2]), "wider": np.array([5.7])}):
            for name, value in values.items():
                getattr(kinds, name).set(value)
            session.run(2)
            read += [getattr(kinds, name).get() for name in names]
        kinds.text.set("xyz")
        kinds.sparse.set(kinds.sparse.init * 10)
        return [*read, kinds.text.get(), kinds.sparse.get(), kinds.told.get()]

    kinds = Kinds()
    with guarded(kinds, config(), timeout=30) as session:
        expected = visit(session, kinds)
    kinds = Kinds()
    with InProcess(kinds, config()) as session:
        got = visit(session, kinds)
        with pytest.raises(InputError, match=r"Kinds 'Process_\d+'.wider must be given at most 3 values; got 4"):
            kinds.wider.set(np.ones(4))
    for a, b in zip(expected, got, strict=True):
        assert type(a) is type(b)
        a, b = (x.toarray() if hasattr(x, "toarray") else x for x in (a, b))
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(kinds.from_array.init, [7])  # the user's own, which Lava's model does not reach


def test_single_numbers_keep_their_type():
    kinds, told = Kinds(), Told(step=lambda _: np.nan)
    with InProcess(kinds, config()) as session:
        session.set(kinds.number, np.float64(6))
        assert type(session.get(kinds.number)) is int and session.get(kinds.number) == 6
    with InProcess(told, config()) as session:
        session.run(1)
        model = session._built.tasks[told].model
        model.x = np.int32(3)
        told.x.set(np.array([5]))
        assert type(model.x) is np.int32 and model.x == 5


@pytest.mark.parametrize("runner", [InProcess, guarded])
def test_numbers_too_large_for_a_var_wrap_as_in_lava(runner):
    """As numpy casts single numbers, which is how Lava writes them."""
    neurons = LIF(shape=(4,), vth=100, bias_mant=0)
    with runner(neurons, config(FIXED)) as session:
        session.run(1)
        neurons.v.set(np.array([3e9, 2**31 + 5, -3e9, 2**33 + 1.5]))
        assert neurons.v.get().tolist() == [3_000_000_000 - 2**32, 5 - 2**31, 2**32 - 3_000_000_000, 1]


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
def test_numbers_too_large_for_vars_of_any_type_become_what_lava_makes_of_them():
    values, found = np.array([300.7, -5.0, 3e9 + 5, -3e9 - 7, 2**33 + 1.5, 70000.0]), []
    for runner in (None, InProcess, guarded):
        typed = Typed()
        with nullcontext() if runner is None else runner(typed, config()) as session:
            if session is None:
                typed.run(RunSteps(1), config())
            else:
                session.run(1)
            for name in TYPES:
                getattr(typed, name).set(values)
            found.append({name: getattr(typed, name).get().tolist() for name in TYPES})
        typed.stop()
    assert found[0] == found[1] == found[2] and found[0]["int16"][:2] == [300, -5]


def test_a_sparse_matrix_keeps_the_places_of_its_entries():
    kinds = Kinds()
    with InProcess(kinds, config()) as session, pytest.raises(InputError, match="keep the [0-9]+ non-zero places"):
        session.set(kinds.sparse, csr_matrix([[1, 0, 0, 2], [3, 0, 0, 0], [0, 0, 4, 5]]))  # one in another column


def test_sparse_matrices_are_copied_and_may_be_empty():
    kinds, empty = Kinds(), NoEntries()
    with InProcess(kinds, config()) as session:
        first = session.get(kinds.sparse)
        session.run(3)
        np.testing.assert_array_equal(first.toarray(), kinds.sparse.init.toarray())
    with InProcess(empty, config()) as session:
        session.set(empty.sparse, csr_matrix((3, 4)))
        assert empty.sparse.get().shape == session.get(empty.sparse).shape == (3, 4)


def test_the_users_own_python_random_numbers_stay():
    random.seed(3)
    random.gauss(0, 1)  # leaves a second number
    expected = random.Random()
    expected.setstate(random.getstate())
    process, variables = dice(FLOAT)
    run(process, 5, config())
    assert (random.gauss(0, 1), random.random()) == (expected.gauss(0, 1), expected.random())


def test_of_requests_for_one_process_the_last_connected_is_served_first():
    """As Lava's selector does with those that wait when it looks."""
    seen = []
    for readers_first in (False, True):
        lif, reset, read = LIF(shape=(1,), bias_mant=1.0), Reset(reset_value=5), Read(buffer=1)
        for port in (read, reset) if readers_first else (reset, read):
            port.connect_var(lif.v)
        run(lif, 1, config())
        seen.append(read.data.get().item())
    assert seen == [1, 5]


@BOTH
def test_reset_gives_the_first_run_again(tag):
    process, _ = recurrent(tag)
    with InProcess(process, config(tag)) as session:
        first = session.run(T, record=[process.v, process.s_out])
        session.reset()
        again = session.run(T, record=[process.v, process.s_out])
    for target in first:
        np.testing.assert_array_equal(first[target], again[target])


def test_a_reset_in_the_midst_of_a_run_is_refused():
    relay, _ = chain("signal")
    with InProcess(relay, config()) as session:
        before = signal.signal(signal.SIGUSR1, lambda number, frame: session.reset())
        try:
            with pytest.raises(InputError, match="reset must be called between runs"):
                session.run(T)
        finally:
            signal.signal(signal.SIGUSR1, before)


def test_models_have_their_own_parameters_and_the_users_random_numbers_stay():
    scale = np.ones(3)
    np.random.seed(3)
    np.random.normal()  # leaves a spare normal number, kept beside the generator
    expected = np.random.RandomState(3)
    expected.normal()
    noise = Noisy(scale=scale)
    run(noise, 5, config())
    np.testing.assert_array_equal(np.random.normal(size=3), expected.normal(size=3))
    np.testing.assert_array_equal(scale, 1.0)


def test_lavas_own_calls_work_inside():
    process, variables = recurrent(FLOAT)
    with InProcess(process, config()):
        process.run(RunSteps(num_steps=T))
        assert variables[-1].get().any()
        process.stop()
        with pytest.raises(NotRunning, match="Build the graph's Processes anew"):
            process.run(RunSteps(num_steps=T))


@pytest.mark.parametrize("runner", [InProcess, guarded])
@pytest.mark.parametrize("blocking", [True, False])
def test_no_steps_are_lavas_way_to_set_vars_before_the_first(runner, blocking):
    lif = LIF(shape=(3,), du=0.0, dv=0.0, vth=100)
    with runner(lif, config(FLOAT)) as session:
        for value in (1, 2):
            lif.run(RunSteps(num_steps=0, blocking=blocking))
            lif.wait()
            lif.u.set(np.full(3, value))
        lif.run(RunSteps(num_steps=1))
        assert lif.v.get().tolist() == [2, 2, 2]
        with pytest.raises(InputError, match="^steps must"):
            session.run(0)
    with pytest.raises((NotRunning, RuntimeError)):
        lif.run(RunSteps(num_steps=0))


@pytest.mark.parametrize("runner", [InProcess, guarded])
def test_what_is_no_number_of_steps_is_refused_in_lavas_own_call_too(runner):
    lif = LIF(shape=(3,), du=0.0, dv=0.0, bias_mant=1, vth=100)
    with runner(lif, config(FLOAT)):
        for steps in (-1, -3, 1.5):
            with pytest.raises(InputError, match=f"^steps must be a whole number >= .; got {steps}"):
                lif.run(RunSteps(num_steps=steps))
        lif.run(RunSteps(num_steps=2))
        assert lif.v.get().tolist() == [2, 2, 2]


def test_a_session_is_entered_once_and_used_inside():
    process, variables = recurrent(FLOAT)
    session = InProcess(process, config())
    for use in (lambda: session.run(1), lambda: session.get(process.v), lambda: session.set(process.v, 1), session.reset):
        with pytest.raises(NotRunning, match="has not been started"):
            use()
    with session:
        session.run(1)
    with pytest.raises(NotRunning, match="anew"), session:
        session.run(1)


def test_a_compiled_graph_runs_once(tmp_path):
    process, variables = nested(FIXED)
    expected = run(process, T, config(FIXED), record=variables)
    process, variables = nested(FIXED)
    executable = process.compile(config(FIXED))
    save([process, *(var.process for var in variables)], str(tmp_path / "graph.pickle"), executable)
    (process, *owners), loaded = load(str(tmp_path / "graph.pickle"))
    again = [getattr(owner, var.name) for owner, var in zip(owners, variables, strict=True)]
    got = run(process, T, loaded, record=again)
    for a, b in zip(expected.values(), got.values(), strict=True):
        np.testing.assert_array_equal(a, b)
    for given, field in ((loaded, "run_cfg"), (executable, "proc")):
        with pytest.raises(InputError, match=f"^{field} must be"):
            run(process, T, given)


# -- failures ----------------------------------------------------------------------------------------------------------


def chain(fault):
    source, relay = Source(data=np.ones((3, T))), Faulty(fault=fault, at=3, name="relay")
    sink = Sink(shape=(3,), buffer=T)
    sink.name = "sink"
    source.s_out.connect(relay.a_in)
    relay.s_out.connect(sink.a_in)
    return relay, sink


@pytest.mark.parametrize(
    "fault, text, cause",
    [
        ("raise", "the model gave up", ValueError),
        ("enum", "99 is not a valid Kind", ValueError),  # its metaclass is called, as by the default handlers of signals
        ("leave", "SystemExit: the model left", SystemExit),
        ("shape", r"sent shape \(4,\), the channel takes", AssertionError),
    ],
)
def test_an_exception_surfaces_at_once_with_the_process_named(fault, text, cause):
    relay, sink = chain(fault)
    recorder = Recorder(relay.total)
    with (
        pytest.raises(ProcessFailed, match=f"Faulty 'relay' failed in step 3(.|\n)*{text}") as caught,
        InProcess(relay, config()) as session,
    ):
        session.run(T, record=recorder)
    assert isinstance(caught.value.__cause__, cause)
    assert caught.value.processes == ("Faulty 'relay'",)
    np.testing.assert_array_equal(recorder[relay.total][:, 0], [1, 2])  # what had been done
    with pytest.raises(NotRunning, match="session has been stopped"):
        session.run(1)


def test_what_a_signal_handler_of_the_users_raises_is_no_models_fault():
    class EnoughError(Exception):
        pass

    def handler(number, frame):
        raise EnoughError

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with pytest.raises(EnoughError):
            run(chain("signal")[0], T, config())
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("lavas_way", [True, False])
def test_a_model_that_does_not_take_a_var_is_named(lavas_way):
    kinds = Kinds(refuses=True, name="shy")
    with InProcess(kinds, config()) as session:
        with pytest.raises(ProcessFailed, match="Kinds 'shy' failed when a Var was set(.|\n)*not this one"):
            kinds.wider.set(np.ones(3)) if lavas_way else session.set(kinds.wider, 2)
        with pytest.raises(NotRunning, match="session has been stopped"):
            session.run(1)


def test_a_model_that_cannot_be_built_is_named():
    relay, _ = chain("build")
    with pytest.raises(ProcessFailed, match="Faulty 'relay' could not be built(.|\n)*cannot be built"):
        run(relay, T, config())


def test_a_model_that_cannot_be_built_anew_has_been_stopped_once(monkeypatch):
    def fail(*_):
        raise ValueError("not again")

    stopped = []
    monkeypatch.setattr(PyFaultyModel, "_stop", lambda self: stopped.append(self))
    with InProcess(chain("none")[0], config()) as session:
        session.run(1)
        monkeypatch.setattr(PyFaultyModel, "__init__", fail)
        with pytest.raises(ProcessFailed, match="Faulty 'relay' could not be built(.|\n)*not again"):
            session.reset()
    assert len(stopped) == 1


@pytest.mark.parametrize("runner", [InProcess, guarded])
@pytest.mark.parametrize(
    "kind, arguments, text", [(Layer, {"weights": np.zeros((2, 0))}, "a layer needs weights"), (Orphan, {}, "No ProcessModels found")]
)
def test_a_process_that_cannot_be_compiled_is_named(runner, kind, arguments, text):
    """Neither the constructor of a SubProcessModel nor Lava's compiler says which it was."""
    process = kind(name="culprit", **arguments)
    with pytest.raises(ProcessFailed, match=rf"^{kind.__name__} 'culprit' could not be compiled(.|\n)*{text}") as caught:
        runner(process, config()).__enter__()
    assert caught.value.processes == (f"{kind.__name__} 'culprit'",)


def test_where_no_process_is_at_fault_the_graph_could_not_be_compiled(monkeypatch):
    def no_place(self, *_):
        raise RuntimeError("no place for it")

    monkeypatch.setattr(Compiler, "_create_node_cfgs", no_place)
    with pytest.raises(ProcessFailed, match=r"^the graph of Faulty 'relay' could not be compiled(.|\n)*no place for it") as caught:
        run(chain("build")[0], T, config())
    assert caught.value.processes == ()


def test_a_source_that_never_sends_is_reported():
    relay, _ = chain("silent")
    with pytest.raises(Deadlock, match="waits to receive at RingBuffer 'sink'.a_in from Faulty 'relay'.s_out") as caught:
        run(relay, T, config())
    assert caught.value.processes == ("RingBuffer 'sink'",)


def test_a_loop_without_a_buffer_is_reported():
    lif = LIF(shape=(3,), name="loop")
    lif.s_out.connect(lif.a_in)
    with pytest.raises(Deadlock, match="LIF 'loop' waits to receive at LIF 'loop'.a_in from LIF 'loop'.s_out"):
        run(lif, T, config())


def test_a_missing_source_is_told_and_gives_lavas_zeros():
    """Lava runs on with zeros, so both runners do; a Process with one input of several left open is as it should be."""
    found = []
    for runner in (InProcess, guarded):
        with pytest.warns(UserWarning, match=r"^LIF 'lonely'\.a_in gets no input: it takes zeros in every step") as told:
            lif = LIF(shape=(3,), v=2, vth=4, dv=0.5, name="lonely")
            with runner(lif, config(), timeout=30) as session:
                session.run(T)
                found.append(session.get(lif.v))
        assert len([w for w in told if w.category is UserWarning]) == 1
    np.testing.assert_array_equal(*found)
    with pytest.warns(UserWarning, match=r"^Read '.*'\.state refers to no Var: it takes zeros"):
        run(Read(buffer=T), T, config())


def test_inputs_that_are_often_left_open_are_no_missing_source(recwarn):
    """Of a synapse that learns and of its neurons: third factors, and traces that the rule does not use; of neurons with a bias. Nor are
    those that the user's code feeds."""
    run(learning(FLOAT)[0], T, config())
    run(LIF(shape=(3,), bias_mant=[0, 1, 0]), T, config())
    injector, sink = Injector(shape=(1,)), Sink(shape=(1,), buffer=3)
    injector.out_port.connect(sink.a_in)
    with InProcess(injector, Loihi2SimCfg()):
        pass
    assert not [w for w in recwarn if w.category is UserWarning]


@pytest.mark.usefixtures("hears_interrupts")
def test_a_model_that_sleeps_ends_with_the_time_allowed():
    relay, _ = chain("long sleep")
    with pytest.raises(RunTimeout, match="Faulty"):
        run(relay, T, config(), timeout=0.5)
    values, _ = chain("none")
    run(values, 3, config(), timeout=30)  # nothing is left of the alarm


@pytest.mark.parametrize("thread", [False, True])
def test_a_model_that_computes_for_ever_ends_with_the_time_allowed(thread):
    relay, _ = chain("spin")
    caught = []

    def attempt():
        try:
            run(relay, T, config(), timeout=0.5)
        except RunTimeout as error:
            caught.append(error)

    if thread:
        worker = threading.Thread(target=attempt)
        worker.start()
        worker.join()
    else:
        attempt()
    assert caught[0].processes == ("Faulty 'relay'",)
    assert "in step 3" in str(caught[0])


def test_a_run_may_have_a_time_limit_of_its_own():
    relay, _ = chain("spin")
    with pytest.raises(RunTimeout, match=r"the run took longer than 0\.3 s"), InProcess(relay, config(), timeout=20) as session:
        session.run(T, timeout=0.3)


def test_a_models_time_is_over_while_it_runs_a_graph_that_has_more():
    outer = Told(step=lambda m: run(Told(), 10**9, Loihi2SimCfg(), timeout=30.0), name="outer")
    with pytest.raises(RunTimeout, match=r"the run took longer than 0\.5 s\. Told 'outer' was at work"):
        run(outer, 1, Loihi2SimCfg(), timeout=0.5)


def test_what_does_not_run_in_process_is_refused_by_name(monkeypatch):
    tagged = [LIFRefractory(shape=(3,), name="float only") for _ in range(2)]
    with pytest.raises(InputError, match=r"LIFRefractory 'float only': .* selects no ProcessModel: .*It has .* \(tags: float") as told:
        run(tagged[0], T, config(FIXED))
    assert "exception_proc_model_map={LIFRefractory: PyLif" in str(told.value) and ".." not in str(told.value)
    run(tagged[1], T, config())  # as it says: with the model's own tag
    with pytest.raises(InputError, match="Elsewhere 'chip': .* ChipElsewhereModel is neither"):
        run(Elsewhere(name="chip"), T, config())
    for by_class in (True, False):
        chip = Elsewhere(name="chip")
        chosen = Loihi2SimCfg(exception_proc_model_map={Elsewhere if by_class else chip: ChipElsewhereModel})
        with pytest.raises(InputError, match="'chip' must have a ProcessModel that runs on a CPU in Python; got 'ChipEls"):
            run(chip, T, chosen)
    hooks = ("start", "run", "add_ports_for_polling", "_get_var", "_set_var")
    monkeypatch.delattr(PyHookedModel, "start")
    for hook, instead in zip(hooks, [*2 * ["__init__ or in the first run_spk"], "the phase", "", "on_var_update"], strict=True):
        with monkeypatch.context() as its_own:
            its_own.setattr(PyHookedModel, hook, lambda model: None, raising=False)
            with pytest.raises(InputError, match=rf"Hooked 'mine': PyHookedModel\.{hook} must be Lava's own(.|\n)*{instead}"):
                run(Hooked(name="mine"), T, config())
    lif, wire = LIF(shape=(3,)), VarWire()
    wire.connect_var(lif.v)
    try:
        with pytest.raises(InputError, match="VarWire 'Process_.*PyLoihiVarWireModel.*does not run in one process"):
            run(lif, T, config())
    finally:
        wire._multi_processing.stop()
        wire._pm_to_p_dst_port.join()
        wire._pm_to_p_dst_port.thread.join()


@pytest.mark.parametrize(
    "arguments, field",
    [
        (dict(steps=0), "steps"),
        (dict(timeout=-1), "timeout"),
        (dict(every=0), "every"),
        (dict(record=["v"]), "record"),
        (dict(proc=3), "proc"),
        (dict(run_cfg="fixed_pt"), "run_cfg"),
        (dict(record=[LIF(shape=(2,)).v]), "var"),
        (dict(record=[LIF(shape=(2,)).s_out]), "record"),
    ],
)
def test_wrong_arguments_are_refused(arguments, field):
    lif = LIF(shape=(3,))
    with pytest.raises(InputError, match=rf"^{field}( \[s\])? must"):
        run(**(dict(proc=lif, steps=2, run_cfg=config()) | arguments))


# -- input and output, asynchronous Processes --------------------------------------------------------------------------


def test_injector_and_extractor_before_and_during_a_run():
    injector, extractor = Injector(shape=(2,), buffer_size=3), Extractor(shape=(2,), buffer_size=3)
    injector.out_port.connect(extractor.in_port)
    cfg = Loihi2SimCfg()
    with InProcess(injector, cfg, patience=5) as session:
        for k in range(2):
            injector.send(np.full(2, k))
        session.run(2)
        np.testing.assert_array_equal([extractor.receive() for _ in range(2)], [[0, 0], [1, 1]])
        received = []
        feeder = threading.Thread(target=lambda: [injector.send(np.full(2, k)) for k in range(20)])
        reader = threading.Thread(target=lambda: [received.append(extractor.receive()[0]) for _ in range(20)])
        feeder.start()
        reader.start()
        session.run(20)
        feeder.join()
        reader.join()
    assert received == list(range(20))


def test_an_injector_that_nobody_feeds_is_reported():
    injector, sink = Injector(shape=(2,)), Sink(shape=(2,), buffer=T)
    injector.out_port.connect(sink.a_in)
    with (
        pytest.raises(Deadlock, match=r"Injector 'Process_\d+' waits to receive at .*in_port from the user's code"),
        InProcess(injector, Loihi2SimCfg(), patience=0.2) as session,
    ):
        session.run(2)


@pytest.mark.parametrize("ends", ["of models", "of the user"])
def test_what_was_peeked_at_stays_and_may_be_changed(ends):
    hub = SimpleNamespace(further=lambda *_, **__: None, changed=threading.Event(), current=None, progressed=lambda: None)
    given = (hub, "A.s_out", "B.s_in", ("s_out", "s_in"), (2,), float, 3)
    channel = Channel(*given) if ends == "of models" else ExternalChannel(*given, patience=0.1, inward=False)
    port = channel.dst_port
    for k in range(2):
        channel.src_port.send(np.array([k, 5.0]))
    for k in range(2):
        port.peek()[:] = 9
        assert port.peek().tolist() == [k, 5.0] and port.recv().tolist() == [k, 5.0]


def test_asynchronous_processes_run_and_end():
    ticking = Ticking()
    with InProcess(ticking, config()) as session:
        session.run(25)
        assert session.get(ticking.count) == 25
        with pytest.raises(InputError, match="LoihiProtocol"):
            session.run(3, record=[ticking.count])


def test_an_asynchronous_process_without_an_end_is_ended():
    with pytest.raises(RunTimeout, match="Ticking 'clock' was at work"):
        run(Ticking(endless=True, name="clock"), 3, config(), timeout=0.3)


def test_the_module_runs_graphs_as_well():
    process, variables = recurrent(FLOAT)
    assert lava_1m1t1r.run.run(process, T, config(), record=[process.s_out])[process.s_out].shape == (T, 12)


def test_the_package_of_runs_is_called_as_its_function():
    a, b = (LIF(shape=(3,), bias_mant=np.array([1, 2, 3]), vth=9) for _ in range(2))
    called = lava_1m1t1r.run(a, 9, config(), record=[a.v])
    assert np.array_equal(called[a.v], run(b, 9, config(), record=[b.v])[b.v]) and "run" in dir(lava_1m1t1r)
    assert pickle.loads(pickle.dumps(lava_1m1t1r.run)) is lava_1m1t1r.run
    with pytest.raises(InputError, match="steps must be a whole number >= 1; got .*RunSteps.* Give the number of steps instead of Lava's"):
        lava_1m1t1r.run(LIF(shape=(3,)), RunSteps(9), config())


def test_graphs_of_more_processes_than_python_goes_deep_are_found():
    """Lava's own search goes down a frame for each Process in a row."""
    from lava.proc.dense.process import Dense

    from lava_1m1t1r.run.checks import find_processes

    chain = [Dense(weights=np.eye(1)) for _ in range(sys.getrecursionlimit() + 10)]
    for one, other in zip(chain, chain[1:], strict=False):
        one.a_out.connect(other.s_in)
    chain[-1].a_out.connect(chain[0].s_in)  # and in a loop
    assert set(find_processes(chain[3])) == set(chain)
