"""The order in which models of a graph begin a time step in process: few of them have to wait for a message."""

import numpy as np
import pytest

pytest.importorskip("lava.magma", reason="needs lava-nc")
pytest.importorskip("greenlet", reason="needs greenlet")

from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.dense.process import Dense
from lava.proc.lif.process import LIF

from lava_1m1t1r.run import InProcess
from lava_1m1t1r.run.domains import Turns
from lava_1m1t1r.run.executor import Executor

CONFIG = Loihi2SimCfg(select_tag="fixed_pt")


def last_of_layers(loops):
    """Last of four layers of LIF neurons, of which the first ``loops`` are recurrent."""
    made = [LIF(shape=(2,), bias_mant=3, vth=5) for _ in range(4)]
    for before, after in [*zip(made, made[1:], strict=False), *zip(made[:loops], made, strict=False)]:
        synapse = Dense(weights=np.eye(2))
        before.s_out.connect(synapse.s_in)
        synapse.a_out.connect(after.a_in)
    return made[-1]


@pytest.mark.parametrize("loops", [0, 1, 2])
@pytest.mark.parametrize("seed", range(5))
def test_one_model_of_each_loop_waits_whatever_the_order_was(loops, seed, monkeypatch):
    waits, block = [], Executor.block
    monkeypatch.setattr(Executor, "block", lambda hub, channel: (waits.append(channel.sink), block(hub, channel)))
    last, same = last_of_layers(loops), last_of_layers(loops)
    with InProcess(last, CONFIG) as session:
        (domain,) = session._built.domains
        tasks = [domain.tasks[k] for k in np.random.default_rng(seed).permutation(len(domain.tasks))]
        domain.turns = Turns(tasks)
        session.run(len(tasks))  # each step may show one more model that has to wait
        waits.clear()
        session.run(3)
        assert len(waits) == 3 * loops
        found = session.get(last.v)
    with InProcess(same, CONFIG) as session:
        session.run(len(tasks) + 3)
        np.testing.assert_array_equal(session.get(same.v), found)


def test_a_long_chain_is_put_in_order():
    tasks = [type("Model", (), {"sent": False})() for _ in range(3000)]
    turns = Turns(reversed(tasks))
    for before, after in zip(tasks, tasks[1:], strict=False):
        turns.note(after, before)
    assert turns.order() == tasks
