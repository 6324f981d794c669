"""Models in one process do not see each other's settings, write to memory that processes share, and end when their run does."""

import gc
import multiprocessing
import random
import sys
import threading
import warnings
from multiprocessing import shared_memory
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lava.magma", reason="needs lava-nc")
pytest.importorskip("greenlet", reason="needs greenlet")
torch = pytest.importorskip("torch", reason="the models under test use it")
sys.path.insert(0, str(Path(__file__).parent / "processes"))

from alone.process import Deaf, Lax, Lenient, Picky, Strict, Writer  # noqa: E402
from command import started  # noqa: E402
from faulty.process import Faulty  # noqa: E402
from lava.magma.core.run_configs import Loihi2SimCfg  # noqa: E402
from lava.proc.io.source import RingBuffer as Source  # noqa: E402

from lava_1m1t1r.run import (  # noqa: E402
    Deadlock,
    InProcess,
    guarded,
    random_streams,
    run,
)
from lava_1m1t1r.run.random_streams import users_random  # noqa: E402


def settings():
    return np.geterr(), torch.is_grad_enabled(), warnings.filters, list(warnings.filters), warnings.showwarning


@pytest.mark.parametrize("from_start", [False, True])
@pytest.mark.parametrize("runner", [InProcess, guarded])
@pytest.mark.filterwarnings("ignore:mind the gap", "ignore:divide by zero")
def test_settings_held_while_a_port_blocks_are_the_models_own(runner, from_start):
    """Several read the same input, so that all wait while the source works, in Lava's own runtime as in process."""
    source, readers = Lax(), [Strict(from_start=from_start) for _ in range(3)]
    for reader in readers:
        source.out.connect(reader.inp)
    before = settings()
    with runner(source, Loihi2SimCfg()) as session:
        session.run(4)
        session.run(2)
        found = [int(session.get(reader.raised)[0]) for reader in readers]
        assert found == [6 if from_start else 12] * 3
        assert int(session.get(source.gradients)[0]) == 6
        session.set(readers[0].raised, np.zeros(1, int))  # the model is told of it, and divides
        assert int(session.get(readers[0].raised)[0]) == from_start
        assert settings() == before
    assert settings() == before and settings()[2] is before[2]


@pytest.mark.filterwarnings("ignore:mind the gap", "ignore:divide by zero")
def test_the_users_own_settings_are_what_models_start_from():
    source, reader = Lax(), Strict()
    source.out.connect(reader.inp)
    with torch.no_grad(), np.errstate(over="raise"):
        with InProcess(source, Loihi2SimCfg()) as session:
            session.run(3)
            assert int(session.get(source.gradients)[0]) == 0
        assert not torch.is_grad_enabled() and np.geterr()["over"] == "raise"
    assert torch.is_grad_enabled()


@pytest.mark.filterwarnings("ignore:mind the gap", "ignore:divide by zero")
def test_a_run_that_fails_under_a_models_settings_leaves_the_users():
    silent, strict = Faulty(shape=(1,), fault="silent", at=1), Strict()
    silent.s_out.connect(strict.inp)
    before = settings()
    with pytest.raises(Deadlock, match=r"Strict '\w+' waits to receive at .*\.inp from Faulty '\w+'\.s_out"):
        run(strict, 2, Loihi2SimCfg())
    gc.collect()
    assert settings() == before and settings()[2] is before[2]


def test_a_warning_that_is_told_once_is_not_told_again_after_each_run():
    def warn():
        warnings.warn("mine", stacklevel=1)

    lax = Lax()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        with InProcess(lax, Loihi2SimCfg()) as session:
            for _ in range(3):
                session.run(1)
                warn()
    assert [str(one.message) for one in told].count("mine") == 1


@pytest.mark.parametrize("runner", [InProcess, guarded])
@pytest.mark.filterwarnings("ignore:mind the gap", "ignore:divide by zero")
def test_filters_that_a_model_adds_for_good_are_its_own(runner):
    """In its next runs, too, and neither the user's nor another model's."""
    source, models = Lax(), [Lenient(), Lenient(lenient=False), Lenient()]
    source.out.connect(models[0].inp)
    for one, other in zip(models, models[1:], strict=False):
        one.out.connect(other.inp)
    before = settings()
    with runner(source, Loihi2SimCfg()) as session:
        session.run(2)
        session.run(1)
        assert [int(session.get(model.passed)[0]) for model in models] == [3, -3, 3]
        assert settings() == before
    assert settings() == before and settings()[2] is before[2]


@pytest.mark.parametrize("runner", [InProcess, guarded])
@pytest.mark.filterwarnings("ignore:mind the gap")
def test_filters_that_are_put_back_after_a_wait_are_the_models_own(runner):
    one, two = Picky(True), Picky(False)
    one.out.connect(two.inp)
    two.out.connect(one.inp)
    before = settings()
    with runner(one, Loihi2SimCfg()) as session:
        session.run(3)
        session.run(2)
        assert [int(session.get(model.raised)[0]) for model in (one, two)] == [5, 5]
    assert settings() == before and settings()[2] is before[2]


@pytest.mark.parametrize("runner", [InProcess, guarded])
@pytest.mark.filterwarnings("ignore:mind the gap", "ignore:divide by zero")
def test_numpys_errors_are_for_models_what_they_were_when_they_were_made(runner):
    """A forked process knows nothing of what the user does later."""
    lax = Lax()
    with runner(lax, Loihi2SimCfg()) as session:
        session.run(1)
        with np.errstate(divide="raise"), torch.no_grad():
            session.run(2)
            assert np.geterr()["divide"] == "raise" and not torch.is_grad_enabled()
        assert int(session.get(lax.gradients)[0]) == 3


def test_models_keep_gradients_where_torch_comes_after_their_first_run():
    """torch that the user imports between two runs starts with gradients, for models as for the user."""
    code = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent / "processes")!r})
from told.process import Told
from lava.magma.core.run_configs import Loihi2SimCfg
from lava_1m1t1r.run import InProcess
told = Told(step=lambda model: float("torch" in sys.modules and sys.modules["torch"].is_grad_enabled()))
with InProcess(told, Loihi2SimCfg()) as session:
    session.run(1)
    assert "torch" not in sys.modules
    import torch
    session.run(2)
    print(session.get(told.x), torch.is_grad_enabled())
"""
    done = started([sys.executable, "-W", "ignore", "-c", code])
    assert done.stdout.split("\n")[-2:-1] == ["[1.] True"], done.stderr


def test_memory_that_processes_share_is_written_to_and_other_memory_is_not(tmp_path):
    memory, heap = shared_memory.SharedMemory(create=True, size=24), multiprocessing.Array("d", 3)
    private = np.memmap(tmp_path / "private", float, "w+", shape=(3,))
    try:
        targets = {
            "lock": threading.Lock(),  # cannot be copied, and must not keep the others from being copied
            "file": np.memmap(tmp_path / "file", float, "w+", shape=(3,)),
            "part": np.memmap(tmp_path / "part", float, "w+", shape=(6,))[3:],
            "memory": np.ndarray((3,), buffer=memory.buf),
            "heap": np.frombuffer(heap.get_obj()),
            "view": np.ctypeslib.as_array(heap.get_obj()),
            "own": np.zeros(3),
            "on write": np.memmap(tmp_path / "private", float, "c", shape=(3,)),
            "list": [],
        }
        targets["memory"][:] = 0
        source, writer = Source(data=np.ones((3, 4))), Writer(**targets)
        source.s_out.connect(writer.inp)
        run(writer, 4, Loihi2SimCfg())
        sums = {name: float(value[0]) for name, value in targets.items() if isinstance(value, np.ndarray)}
        assert sums == {"file": 4, "part": 4, "memory": 4, "heap": 8, "view": 8, "own": 0, "on write": 0}
        assert targets["list"] == [] and not private.any()
    finally:
        targets.pop("memory")
        del writer, source
        gc.collect()
        memory.close()
        memory.unlink()


def test_shared_tensors_are_written_to_and_others_are_not():
    own, shared, seen = (torch.zeros(3, dtype=torch.float64) for _ in range(3))
    for tensor in (shared, seen):
        tensor.share_memory_()
    source, writer = Source(data=np.ones((3, 2))), Writer(own=own, array=own.numpy(), shared=shared, seen=seen.numpy())
    source.s_out.connect(writer.inp)
    run(writer, 2, Loihi2SimCfg())
    assert [float(tensor[0]) for tensor in (own, shared, seen)] == [0, 2, 2]


def test_a_model_that_excepts_everything_ends_with_its_run():
    silent, deaf = Faulty(shape=(1,), fault="silent", at=1), Deaf()
    silent.s_out.connect(deaf.inp)
    with pytest.raises(Deadlock, match="Deaf"):
        run(deaf, 2, Loihi2SimCfg(), timeout=5)
    gc.collect()


def test_a_spare_normal_that_a_rewound_generator_left_is_not_the_users():
    """numpy keeps the second of two normal numbers outside of the generator, whose state does not tell of it."""
    np.random.seed(3)
    with users_random():
        state = np.random.get_bit_generator().state
        np.random.normal()
        np.random.get_bit_generator().state = state
    assert np.random.get_state()[3] == 0 and np.random.normal() == np.random.RandomState(3).normal()


@pytest.mark.parametrize("place", ("enter", "leave"))
def test_an_alarm_that_comes_while_numbers_are_exchanged_leaves_the_users_own(place, monkeypatch):
    whole, calls = getattr(random_streams._Home, place), []

    def broken(home):
        calls.append(home)
        if len(calls) == 1:
            home.swapped(home.start)
            raise InterruptedError
        whole(home)

    with users_random() as start:
        np.random.random(3)
    np.random.random(5)
    before = np.random.get_state()[1].tobytes(), np.random.get_state()[2], random.getstate()
    monkeypatch.setattr(random_streams._Home, place, broken)
    with pytest.raises(InterruptedError), users_random(start):
        pass
    assert (np.random.get_state()[1].tobytes(), np.random.get_state()[2], random.getstate()) == before
    assert random_streams._home is None
