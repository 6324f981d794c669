"""What a model gets and what it starts: own copies of its parameters, its own random numbers and context, an end for what it began."""

import asyncio
import collections
import contextlib
import contextvars
import dataclasses
import decimal
import gc
import io
import math
import multiprocessing
import multiprocessing.managers
import queue
import random
import sys
import threading
import time
import types
import weakref
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

pytest.importorskip("lava.magma", reason="needs lava-nc")
pytest.importorskip("greenlet", reason="needs greenlet")
sys.path.insert(0, str(Path(__file__).parent / "processes"))

import greenlet
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.dense.process import Dense
from lava.proc.sparse.process import Sparse
from told.process import Choosing, Selecting, Told

from lava_1m1t1r.errors import InputError
from lava_1m1t1r.run import InProcess, NotRunning, ProcessFailed, RunTimeout, copies, guarded, run
from lava_1m1t1r.run.alarm import Alarm


def recorded(told, steps=3, **options):
    return run(told, steps, Loihi2SimCfg(), record=[told.x], **options)[told.x][:, 0].tolist()


def in_lava(told, steps=3):
    found = []
    with guarded(told, Loihi2SimCfg()) as session:
        for _ in range(steps):
            session.run(1)
            found.append(float(session.get(told.x)[0]))
    return found


# -- copies ------------------------------------------------------------------------------------------------------------


class Counter:
    def __init__(self, values, lock=None):
        self.values, self.lock = values, lock

    def count(self):
        self.values += 1
        return self.values[0]


@pytest.mark.parametrize("where", ["beside", "within", "nowhere"])
def test_what_cannot_be_copied_keeps_nothing_around_it_from_being_copied(where):
    """Lava's own numbers, and the user's array as it was: for a lock beside or within what the model changes."""

    def told():
        values = np.zeros(1)
        lock = threading.Lock()
        given = {"counter": Counter(values, lock if where == "within" else None), "values": values}
        return Told(
            step=lambda m: m.proc_params["counter"].count() + m.proc_params["values"][0], **given, lock=lock if where == "beside" else 0
        )

    mine = told()
    assert recorded(mine) == in_lava(told()) == [2, 4, 6]
    assert mine.proc_params["values"][0] == 0


def views():
    """Array and a view of it, of every kind."""
    base = np.arange(24.0)
    cube = np.asfortranarray(base.reshape(2, 3, 4))
    fields = np.zeros(3, [("a", np.int32), ("b", np.float64)])
    turned = np.empty_like(cube.transpose(1, 0, 2))
    return {
        "a slice": (base, base[3:9:2]),
        "turned round": (base, base[5::-1]),
        "transposed": (cube, cube.transpose(2, 0, 1)),
        "a slice of a cube in an order of its own": (turned, turned[1, :, 2:]),
        "a field": (fields, fields["b"]),
        "bytes": (base, base[2:].view(np.uint8)),
        "repeated": (base, np.broadcast_to(base, (10**9, 24))),
        "windows": (base, np.lib.stride_tricks.sliding_window_view(base, 5)),
        "a view of a view": (base[4:], base[4:][1:]),
        "nothing": (base, base[24:]),
        "dates": (dates := np.zeros(3, "M8[s]"), dates[1:]),
    }


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("of", views())
def test_views_of_an_array_are_views_of_its_copy(of, swapped):
    pair = views()[of]
    order = slice(None, None, -1 if swapped else 1)
    a, b = copies._copied(({"pair": pair[order]},), {})[0]["pair"][order]
    for one, copied in zip(pair, (a, b), strict=True):
        assert (copied.shape, copied.strides, copied.dtype) == (one.shape, one.strides, one.dtype)
        assert copied.flags.writeable == one.flags.writeable and not np.shares_memory(copied, one)
    assert b.ctypes.data - a.ctypes.data == pair[1].ctypes.data - pair[0].ctypes.data


def test_of_a_large_array_only_a_part_is_copied_that_is_the_only_one():
    large = np.zeros((1000, 5))
    alone, beside, other = (copies._copied(({name: large[i] for i, name in enumerate(names)},), {})[0] for names in ("a", "ab", "a"))
    assert alone["a"].base is None and other["a"].base is None
    assert beside["b"].ctypes.data - beside["a"].ctypes.data == 40


def test_a_model_that_changes_an_array_sees_it_in_its_view():
    theta = np.zeros(4)

    def told():
        def step(model):
            model.proc_params["theta"][:] += 1
            return model.proc_params["held"].values[0] + model.proc_params["transposed"][0, 0]

        return Told(step=step, theta=theta, held=Counter(theta[:2]), transposed=theta.reshape(2, 2).T)

    assert recorded(told()) == in_lava(told()) == [2, 4, 6] and not theta.any()


def test_an_array_to_be_read_only_remains_so_and_so_does_who_a_plain_object_is():
    locked, unlocked = np.zeros(2), np.zeros(2)
    view, locked.flags.writeable = locked[:1], False
    nothing = object()
    (got,) = copies._copied(({"view": view, "locked": locked, "unlocked": unlocked, "nothing": [nothing]},), {})
    assert [got[name].flags.writeable for name in ("view", "locked", "unlocked")] == [True, False, True]
    got["view"][0] = 1
    assert got["locked"][0] == 1 and locked[0] == 0 and got["nothing"][0] is nothing


def test_what_is_nested_too_deeply_to_be_copied_is_refused_and_what_cannot_be_copied_is_not():
    chain = None
    for _ in range(1000):
        chain = Kept(chain)
    with pytest.raises(ProcessFailed, match=r"^Told 'deep' could not be built(.|\n)*InputError: parameters must not hold one another"):
        recorded(Told(chain=chain, name="deep"))

    class Endless:
        def __getattr__(self, name):
            return getattr(self.inner, name)

    assert recorded(Told(step=lambda m: m.time_step, endless=Endless())) == [1, 2, 3]


def test_two_models_do_not_share_an_object_that_holds_a_lock():
    counter = Counter(np.zeros(1), threading.Lock())
    one, two = (Told(step=lambda m: m.proc_params["counter"].count(), counter=counter) for _ in range(2))
    assert recorded(one) == recorded(two) == [1, 2, 3]


def test_a_generator_belongs_to_one_model_and_another_that_was_given_it_is_refused():
    def told(values, name=None):
        return Told(step=lambda m: next(m.proc_params["values"]), values=values, name=name)

    assert recorded(told(x * x for x in (1, 2, 3))) == in_lava(told(x * x for x in (1, 2, 3))) == [1, 4, 9]
    shared, sink = (x * x for x in range(9)), Dense(weights=np.ones((1, 1)))
    one, other = told(shared, "one"), told(shared, "other")
    for process in (one, other):
        process.s_out.connect(sink.s_in)
    with pytest.raises(InputError, match=r"Told 'o\w+' and Told 'o\w+' were given one generator, <gen(.|\n)*Give each one of its own"):
        recorded(one)
    assert next(shared) == 0


@pytest.mark.parametrize("method", ["__next__", "send"])
def test_the_methods_of_one_generator_are_refused_as_it_is(method):
    shared, both = (x * x for x in range(9)), Choosing()
    one, other = (Told(values=getattr(shared, method)) for _ in range(2))
    one.s_out.connect(both.one)
    other.s_out.connect(both.two)
    with pytest.raises(InputError, match="were given one generator, <generator object"):
        run(both, 1, Loihi2SimCfg())


@pytest.mark.parametrize("hold", [enumerate, lambda drawn: {"those": [drawn]}, lambda drawn: map(float, drawn)])
def test_what_holds_a_generator_is_refused_as_it_is(hold):
    """It was copied, and the generator within it shared: each model got every other value."""
    shared, both = hold(x * x for x in range(9)), Choosing()
    one, other = Told(values=shared), Told(values=shared)
    one.s_out.connect(both.one)
    other.s_out.connect(both.two)
    with pytest.raises(InputError, match="were given one generator, <generator object"):
        run(both, 1, Loihi2SimCfg())


def test_iterators_that_processes_share_are_everybodys(tmp_path):
    drawn: list = []
    (tmp_path / "lines").write_text("one")
    with open(tmp_path / "lines") as file:
        given = {"proxy": object.__new__(multiprocessing.managers.IteratorProxy), "file": file, "own": (x for x in range(3))}
        copies._copied((given,), {}, drawn)
    assert drawn == [given["own"]]


def test_a_generator_of_torchs_belongs_to_each_model():
    torch = pytest.importorskip("torch", reason="needs torch")

    def told(drawn):
        return Told(step=lambda m: torch.rand(1, generator=m.proc_params["drawn"]).item(), drawn=drawn)

    shared, both = torch.Generator().manual_seed(3), Choosing()
    one, other = told(shared), told(shared)
    one.s_out.connect(both.one)
    other.s_out.connect(both.two)
    seen = run(both, 3, Loihi2SimCfg(), record=[one.x, other.x])
    expected = in_lava(told(torch.Generator().manual_seed(3)))
    assert seen[one.x][:, 0].tolist() == seen[other.x][:, 0].tolist() == expected
    assert torch.rand(1, generator=shared).item() == expected[0]
    assert copies._copied(({"everybodys": torch.default_generator},), {})[0]["everybodys"] is torch.default_generator


@pytest.mark.parametrize(
    "draw",
    [lambda: np.random.default_rng(3).normal, lambda: collections.deque([3.0, 1.0, 2.0]).popleft, lambda: random.Random(3).random],
    ids=["of a Generator", "of a deque", "of a Random"],
)
def test_a_method_in_c_belongs_to_the_models_own_copy(draw):
    def told(draw):
        return Told(step=lambda m: m.proc_params["draw"](), draw=draw)

    shared, both = draw(), Choosing()
    one, other, alone = told(shared), told(shared), told(draw())
    one.s_out.connect(both.one)
    other.s_out.connect(both.two)
    seen = run(both, 3, Loihi2SimCfg(), record=[one.x, other.x])
    assert seen[one.x][:, 0].tolist() == seen[other.x][:, 0].tolist() == in_lava(alone)
    assert shared() == draw()()


@pytest.mark.parametrize("bits", [np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64])
def test_generators_spawn_what_the_users_would_and_those_of_one_bit_generator_stay_so(bits):
    """A copy that is seeded anew spawns others each time; copies of a bit generator for themselves draw equal numbers."""

    def told():
        shared = bits(4)
        given = {"rng": np.random.Generator(bits(0)), "one": np.random.Generator(shared), "other": np.random.Generator(shared)}
        return Told(start=start, step=step, **given)

    def start(model):  # what Generator.spawn of numpy 1.25 and later does
        (seed,) = model.proc_params["rng"].bit_generator._seed_seq.spawn(1)
        model.spawned = np.random.Generator(bits(seed))

    def step(model):
        return model.spawned.normal() + model.proc_params["one"].normal() - model.proc_params["other"].normal()

    expected = in_lava(told())
    with InProcess(mine := told(), Loihi2SimCfg()) as session:
        for _ in range(2):
            assert session.run(3, record=[mine.x])[mine.x][:, 0].tolist() == expected
            session.reset()


def test_methods_of_what_cannot_be_copied_and_functions_of_modules_stay():
    lock, sine = threading.Lock(), math.sin
    told = Told(step=lambda m: m.proc_params["given"] == [lock.acquire, sine, dict.fromkeys, np.random.normal], given=[])
    told.proc_params["given"].extend([lock.acquire, sine, dict.fromkeys, np.random.normal])
    assert recorded(told, 1) == [1]


@pytest.mark.parametrize("kinds", [1, 200], ids=["of one kind", "of more kinds than are looked for"])
def test_the_rest_is_copied_beside_much_that_cannot_be(kinds):
    def refuse(self, protocol):
        raise TypeError("there is only one of it")

    types_ = [type(f"Only{i}", (), {"__reduce_ex__": refuse}) for i in range(kinds)]
    own, only = np.zeros(1), [types_[i % kinds]() for i in range(300)]
    told = Told(step=lambda m: np.add(m.proc_params["own"], 1, out=m.proc_params["own"])[0], own=own, only=only)
    assert recorded(told) == [1, 2, 3] and own[0] == 0


Holder = collections.namedtuple("Holder", "memory")


@dataclasses.dataclass
class Kept:
    memory: np.ndarray


@pytest.mark.parametrize(
    "hold", [Holder, Kept, lambda memory: types.SimpleNamespace(memory=memory)], ids=["namedtuple", "dataclass", "namespace"]
)
def test_shared_memory_is_shared_wherever_it_lies(hold, tmp_path):
    memory = np.memmap(tmp_path / "memory", float, "w+", shape=(1,))
    told = Told(step=lambda m: np.add(m.proc_params["held"].memory, 1, out=m.proc_params["held"].memory)[0], held=hold(memory))
    assert recorded(told) == [1, 2, 3] and memory[0] == 3


def test_a_file_that_is_mapped_for_reading_alone_or_for_oneself_is_copied_as_it_should_be(tmp_path):
    (tmp_path / "a").write_bytes(bytes(8))
    of_mode = {mode: copies._is_shared(np.memmap(tmp_path / "a", np.uint8, mode)) for mode in ("r", "r+", "c")}
    assert of_mode == {"r": True, "r+": True, "c": False}


def test_the_end_of_a_pipe_is_the_users_own_and_stays_open():
    receiver, sender = multiprocessing.Pipe(duplex=False)
    told = Told(step=lambda m: m.proc_params["held"].memory.send(m.time_step) or 0, held=Kept(sender), sender=sender)
    with InProcess(told, Loihi2SimCfg()) as session:
        for _ in range(3):
            session.run(2)
            session.reset()
            gc.collect()
    sender.send("open")
    assert [receiver.recv() for _ in range(7)] == [1, 2] * 3 + ["open"]


def test_files_in_memory_are_copied():
    text = io.StringIO()
    recorded(Told(step=lambda m: m.proc_params["text"].write("word"), text=text))
    assert text.getvalue() == ""


def test_a_matrix_that_is_a_parameter_and_an_initial_value_stays_one():
    """As in Lava's own runtime, which hands sparse matrices over as they are."""
    matrix = csr_matrix(np.eye(2))
    sparse = Sparse(weights=matrix)
    sparse.proc_params["beside"] = sparse.weights.init
    with InProcess(sparse, Loihi2SimCfg(select_tag="floating_pt")) as session:
        model = session._executor.tasks[sparse].model
        assert model.proc_params["beside"] is model.weights is not sparse.weights.init


# -- random numbers, context, event loop -------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", [lambda m: np.random.normal(), lambda m: np.random.random(312)[0]], ids=["spare normal", "a whole turn"])
def test_random_numbers_are_lavas_whatever_the_generator_shows_of_them(draw):
    found = []
    for numbers in (recorded, in_lava):
        np.random.seed(0)
        np.random.normal()  # leaves a spare
        found.append(numbers(Told(step=draw), 5))
    assert found[0] == found[1] and len(set(found[0])) == 5


def test_every_model_has_the_spare_normal_that_the_user_left():
    np.random.seed(0)
    np.random.normal()
    one, two, both = Told(step=lambda m: np.random.normal()), Told(step=lambda m: np.random.normal()), Choosing()
    one.s_out.connect(both.one)
    two.s_out.connect(both.two)
    seen = run(both, 3, Loihi2SimCfg(), record=[one.x, two.x])
    expected = np.random.RandomState(0)
    expected.normal()
    drawn = expected.normal(size=(3, 1))
    assert np.array_equal(seen[one.x], drawn) and np.array_equal(seen[two.x], drawn)


VARIABLE = contextvars.ContextVar("variable")


def test_context_variables_are_the_users_to_begin_with_and_the_models_own():
    VARIABLE.set(7.0)

    def step(_model):
        VARIABLE.set(VARIABLE.get() + 1)
        return VARIABLE.get()

    told = Told(step=step)
    with InProcess(told, Loihi2SimCfg()) as session:
        session.run(2)
        assert session.run(1, record=[told.x])[told.x].tolist() == [[10]]
    assert VARIABLE.get() == 7


def test_decimals_are_as_the_model_sets_them_from_its_start():
    with decimal.localcontext() as context:
        context.prec = 5

        def start(_model):
            decimal.getcontext().prec -= 2

        step = lambda m: float(decimal.Decimal(1) / 3)  # noqa: E731
        assert recorded(Told(step=step)) == [0.33333] * 3
        assert recorded(Told(start=start, step=step)) == [0.333] * 3
        assert context.prec == 5


def test_a_model_runs_an_event_loop_of_its_own_below_the_users():
    async def five():
        await asyncio.sleep(0)
        return 5.0

    async def cell():
        found = recorded(Told(step=lambda m: asyncio.run(five())))
        return found, asyncio.get_running_loop()

    loop = asyncio.new_event_loop()
    try:
        assert loop.run_until_complete(cell()) == ([5.0] * 3, loop)
    finally:
        loop.close()


def test_a_model_selects_from_ports():
    """Of which neither has a message when it asks: three Processes come before the one, two before the other."""
    sources, selecting = [Told(step=lambda m: m.time_step) for _ in range(2)], Selecting(count=10)
    for source, port, hops in zip(sources, (selecting.one, selecting.two), (3, 2), strict=True):
        end = source.s_out
        for _ in range(hops):
            relay = Dense(weights=np.eye(1))
            end.connect(relay.s_in)
            end = relay.a_out
        end.connect(port)
    run(selecting, 5, Loihi2SimCfg(select_tag="floating_pt"), timeout=20)
    assert selecting.x.get().tolist() == [2 + 1000 * 3]  # each Dense sends what it got a step before


def sent_later(port, values):
    """Have the user's code send to a port from another thread, a while into the run."""

    def send():
        time.sleep(0.3)
        for value in values:
            port.external_pipe_csp_send_port.send(np.array([float(value)]))

    threading.Thread(target=send, daemon=True).start()


@pytest.mark.parametrize("name", ["one", "two"])
def test_a_model_selects_from_ports_of_the_users(name):
    selecting = Selecting(count=1)
    for port in (selecting.one, selecting.two):
        port.flag_external_pipe(buffer_size=4)
    with InProcess(selecting, Loihi2SimCfg(select_tag="floating_pt"), timeout=20) as session:
        sent_later(getattr(selecting, name), [7])
        session.run(1)
        assert session.get(selecting.x).tolist() == [7 if name == "one" else 7000]


def test_a_model_that_selects_goes_on_once_for_a_message_of_the_users():
    """While it waits at the user's port, a neighbour of its sends to the other one."""
    choosing = Choosing()
    choosing.one.flag_external_pipe(buffer_size=4)

    def step(model):
        for _ in range(6 if model.time_step == 2 else 0):
            model.s_out.send(np.array([1.0]))
        return np.nan

    told = Told(step=step)
    told.s_out.connect(choosing.two)
    with InProcess(choosing, Loihi2SimCfg(), timeout=20) as session:
        sent_later(choosing.one, [100] * 4)
        session.run(4)
        assert session.get(choosing.x).tolist() == [4]


# -- outside of a run --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("hears_interrupts")
def test_a_var_that_a_model_does_not_take_in_time_ends_the_session():
    told = Told(update=lambda m: threading.Event().wait(), name="slow")
    with InProcess(told, Loihi2SimCfg(), timeout=0.5) as session:
        session.run(1)
        with pytest.raises(RunTimeout, match="longer than 0.5 s for Told 'slow' to take a Var that was set"):
            session.set(told.x, 3)
        with pytest.raises(NotRunning):
            session.run(1)


@pytest.mark.parametrize(
    ("again", "error", "words"),
    [
        (lambda: 1 / 0, ProcessFailed, "Told 'late' could not be built: .*division by zero"),
        (lambda: threading.Event().wait(), RunTimeout, "longer than 0.5 s for the models to be made anew"),
    ],
    ids=["fails", "hangs"],
)
@pytest.mark.usefixtures("hears_interrupts")
def test_a_reset_that_does_not_succeed_ends_the_session(again, error, words):
    made = []

    def start(_model):
        made.append(0)
        if len(made) > 1:
            again()

    told = Told(start=start, step=lambda m: m.time_step, name="late")
    with InProcess(told, Loihi2SimCfg(), timeout=0.5) as session:
        session.run(2)
        with pytest.raises(error, match="(?s)" + words):
            session.reset()
        with pytest.raises(NotRunning):
            session.run(1)


# -- the end -----------------------------------------------------------------------------------------------------------


def test_a_model_is_stopped_once_and_before_it_is_made_anew():
    said = []
    told = Told(stop=lambda m: said.append(m.time_step))
    with InProcess(told, Loihi2SimCfg()) as session:
        session.run(2)
        session.reset()
        assert said == [2]
        session.run(3)
    session.stop()
    assert said == [2, 3]


def test_a_model_that_failed_is_not_stopped_and_its_neighbours_are():
    said = []

    def joined():
        said.append("end of bad")
        raise ValueError("which nobody needs to know")

    bad = Told(start=lambda m: setattr(m, "join", joined), step=lambda m: 1 / 0, stop=lambda m: said.append("bad"), name="bad")
    good = Selecting(count=1)
    other = Told(stop=lambda m: said.append("good"))
    bad.s_out.connect(good.one)
    other.s_out.connect(good.two)
    with pytest.raises(ProcessFailed, match="Told 'bad' failed in step 1"):
        run(good, 2, Loihi2SimCfg())
    assert said == ["end of bad", "good"]


def test_a_model_that_ends_its_greenlet_is_named():
    def leaves(model):
        raise greenlet.GreenletExit

    with pytest.raises(ProcessFailed, match=r"Told 'bad' failed in step 1(.|\n)*raised greenlet\.GreenletExit"):
        recorded(Told(step=leaves, name="bad"))


def test_a_model_that_fails_when_it_is_stopped_is_told_of():
    told = Told(step=lambda m: 3, stop=lambda m: 1 / 0, name="bad")
    with pytest.warns(UserWarning, match="Told 'bad' failed when it was stopped"):
        assert recorded(told) == [3] * 3


@pytest.mark.usefixtures("hears_interrupts")
def test_a_model_that_does_not_stop_is_left():
    told = Told(stop=lambda m: threading.Event().wait(), name="late")
    with pytest.warns(UserWarning, match="not stopped within 0.5 s: Told 'late' was at work"):
        recorded(told, timeout=0.5)


def test_a_run_that_is_recorded_and_takes_too_long_ends_without_a_complaint(recwarn):
    stopped = []
    told = Told(step=lambda m: m.time_step, stop=lambda m: stopped.append(m.time_step))
    with pytest.raises(RunTimeout):
        run(told, 10**6, Loihi2SimCfg(), record=[told.s_out], timeout=0.5)
    assert stopped and not [text for text in (str(one.message) for one in recwarn) if "stopped" in text]


def test_the_time_to_stop_may_be_over_before_the_first_model_is_asked(monkeypatch):
    @contextlib.contextmanager
    def over(alarm, seconds):
        raise alarm.over
        yield

    with InProcess(Told(), Loihi2SimCfg(), timeout=5.0) as session:
        session.run(1)
        monkeypatch.setattr(Alarm, "set", over)
        with pytest.warns(UserWarning, match=r"not stopped within 5 s\.$"):
            session.stop()


@pytest.mark.usefixtures("hears_interrupts")
@pytest.mark.parametrize(
    "wait", [lambda m: queue.Queue().get(), lambda m: threading.Event().wait(), lambda m: queue.Queue().get(timeout=30)]
)
def test_the_time_ends_for_a_model_that_waits_for_a_thread(wait):
    with pytest.raises(RunTimeout, match="Told 'waiting' was at work in step 1"):
        run(Told(step=wait, name="waiting"), 3, Loihi2SimCfg(), timeout=0.5)


def test_a_graph_that_has_ended_is_collected_with_its_last_user():
    class Large:
        """Something that can be followed."""

    seen = []

    def start(model):
        model.large = Large()
        seen.append(weakref.ref(model.large))

    told = Told(start=start)
    run(told, 2, Loihi2SimCfg())
    gc.collect()
    assert seen[0]() is not None and told.x.get() == 0
    del told
    gc.collect()
    assert seen[0]() is None


# -- what is set, what is asked for ------------------------------------------------------------------------------------


def wrong(_model):
    raise ValueError("not this")


def leave(_model):
    raise SystemExit(3)


@pytest.mark.parametrize("update", [wrong, leave])
@pytest.mark.parametrize("runner", [InProcess, guarded])
def test_a_model_that_fails_when_a_var_is_set_is_named_at_once(runner, update):
    said = []
    told = Told(update=update, stop=said.append, name="set")
    with runner(told, Loihi2SimCfg()):
        told.run(RunSteps(1), Loihi2SimCfg())
        with pytest.raises(ProcessFailed, match="Told 'set'"):
            told.x.set(np.array([5.0]))
    assert said == []  # as in Lava's own runtime, where it has died


def test_what_a_model_makes_of_a_new_value_is_there_when_set_returns():
    def update(model):
        model.x *= 2

    told = Told(update=update)
    with guarded(told, Loihi2SimCfg()) as session:
        session.run(1)
        session.set(told.x, np.array([5.0]))
        assert session.get(told.x)[0] == 10


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"record": 3}, "record must be a Recorder, or a sequence of Vars and OutPorts; got 3"),
        ({"every": 0, "record": []}, "every must be a whole number >= 1; got 0"),
        ({"record": ["x"]}, "record must hold Vars and OutPorts of Lava Processes; got 'x'"),
    ],
)
def test_a_call_that_is_refused_can_be_mended(given, words):
    told = Told(step=lambda m: 1)
    with pytest.raises(InputError, match=words):
        run(told, 3, Loihi2SimCfg(), **given)
    assert recorded(told) == [1] * 3


def test_a_recording_that_is_refused_leaves_no_listener():
    told, other = Told(step=lambda m: 1), Told()
    with InProcess(told, Loihi2SimCfg()) as session:
        for _ in range(3):
            with pytest.raises(InputError, match="var must belong to a Process of this graph"):
                session.run(1, record=[told.s_out, other.x])
        assert session._executor.tasks[told].model.s_out.csp_ports == []
        assert session.run(2, record=[told.s_out])[told.s_out].tolist() == [[1], [1]]
