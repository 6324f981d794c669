"""The training table: the activity is found where neurons latch, rows that cannot run are skipped with a word."""

from __future__ import annotations

import json
import shutil
import sys
import tracemalloc

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from lava_1m1t1r import reference
from lava_1m1t1r.benchmarks import simulation_speed, training_measure, training_peers, training_step
from lava_1m1t1r.benchmarks.training_measure import Shape, Step
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.program import StepParams


@pytest.mark.parametrize(("top", "reached"), [(0.3, 0.1), (0.04, 0.04)])
def test_activity_is_searched_from_below_where_driven_neurons_latch(top, reached):
    places = []

    def rate_at(place):
        places.append(place)
        return top * float(np.exp(-(((place - 2.3) / 1.5) ** 2)))  # silent, active, latched

    rate = training_measure.tuned(rate_at, 0.1)
    assert rate == pytest.approx(reached, rel=0.1) and rate == pytest.approx(rate_at(places[-1]))
    assert places[-1] < 3.0


@pytest.mark.parametrize("substeps", [1, 4])
def test_the_plain_loop_runs_the_neuron_that_the_others_are_timed_with(substeps, rng):
    params = StepParams(training_peers._device(substeps), substeps=substeps)
    pulses = (rng.random((300, 40)) < 0.4) * rng.integers(400, 520, (300, 40))  # 0.8 to 1 V, in counts
    wanted = reference.run(params, pulses, fixed=False)
    step, state = training_peers.plain_neuron(params), (torch.zeros(1, 40),) * 3
    fired, gates = np.zeros((2, *pulses.shape))
    for t, pulse in enumerate(pulses):
        spikes, state = step(torch.from_numpy(pulse / 64)[None].float(), state)
        fired[t], gates[t] = spikes[0], state[2][0]
    equal = np.all(fired == wanted.spike, axis=0)  # in single precision a few may turn on a step later, and then all differs
    assert equal.mean() > 0.8 and wanted.spike[:, equal].mean() > 0.005
    assert gates[:, equal] == pytest.approx(wanted.gate[:, equal], abs=1e-3)


def test_a_row_is_timed_at_the_activity_found():
    drive = [0.0]

    def build(shape):
        return Step(lambda x, label: (x, label), lambda x, label: 0.02 * (drive[0] + 8), lambda place: drive.__setitem__(0, place))

    found = training_measure.measure(build, Shape(batch=3, steps=4, inputs=50, rate=0.2), 3, 0.1)
    assert found["rate"] == pytest.approx(0.1, rel=0.1) and drive[0] == pytest.approx(-3.0, abs=0.5)
    assert found["input rate"] == pytest.approx(0.2, abs=0.05)
    assert 0 <= found["least"] <= found["median"] and found["peak"] >= found["memory"] >= 0


def test_drawing_the_input_takes_no_more_memory_than_a_step_may():
    """Uniform numbers of all cells at once took 24 MB here, which was told as the memory of each library whose step needs less."""
    pytest.importorskip("resource")

    def build(shape):
        return Step(lambda x, label: (x, label), lambda x, label: float(x.mean()), None)

    tracemalloc.start()
    try:
        found = training_measure.measure(build, Shape(batch=30, steps=100, inputs=1000), 1, 0.1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 9e6  # a byte a cell, twice, and the numbers of one sample
    assert found["input rate"] == found["rate"] == np.mean(np.random.default_rng(0).random((30, 100, 1000)) < 0.05)


def test_rows_that_cannot_run_are_skipped_with_a_word(monkeypatch, tmp_path, capsys):
    out = tmp_path / "table.json"
    small = ["--batch", "2", "--steps", "3", "--inputs", "4", "--hidden", "5", "--repeats", "1", "--threads", "1", "--json", str(out)]
    assert training_step.main([*small, "--only", "DENSE MATRIX", "jax.scan"]) == 0
    rows = json.loads(out.read_text())["tables"][0]["rows"]
    assert rows[0]["name"] == "dense matrix products alone" and rows[0]["CPU ms"] > 0 and rows[0]["x first"] == 1
    assert "--jax" in rows[1]["skipped"] and "skipped: give --jax" in capsys.readouterr().out
    assert training_step.main([*small, "--only", "jax.scan", "--jax", shutil.which("false")]) == 1
    assert "exit code 1" in json.loads(out.read_text())["tables"][0]["rows"][0]["failed"]
    monkeypatch.setitem(sys.modules, "snntorch", None)
    assert training_step.main(["--row", json.dumps({"row": "snnTorch RSynaptic + Synaptic", "shape": [2, 3, 4, 5, 2, 0.1], "threads": 1,
                               "repeats": 1, "activity": 0.1})]) == 0  # fmt: skip
    assert "snntorch" in json.loads(capsys.readouterr().out.splitlines()[-1])["missing"]
    for script in (training_step, simulation_speed):
        with pytest.raises(InputError, match=r"--jax must be a program.*no-python.*training_jax\.py"):
            script.main(["--jax", str(tmp_path / "no-python")])  # at once, not when its row comes
    with pytest.raises(InputError, match="--batch must be > 0"):
        training_step.main(["--batch", "0"])


def test_our_loops_are_compiled_before_the_process_whose_memory_is_told(monkeypatch):
    """The compiler took 230 MiB more in the first run, which was told as what training needs."""
    calls = []

    def found_by(command, limit, env):
        calls.append(json.loads(command[-1]))
        return {"missing": "not measured here"}

    monkeypatch.setattr(training_step, "found_by", found_by)
    assert training_step.main(["--only", "1M1T1R, 1 substep", "Norse LSNN"]) == 0
    rows = [(call["row"], *call["shape"][:3]) for call in calls]
    assert rows == [("1M1T1R, 1 substep", 2, 3, 700), ("1M1T1R, 1 substep", 64, 100, 700), ("Norse LSNNRecurrent + LIF", 64, 100, 700)]


def test_a_row_that_breaks_is_no_row_that_is_skipped(capsys):
    order = ["--batch", "2", "--steps", "3", "--inputs", "4", "--hidden", str(10**15), "--repeats", "1", "--threads", "1"]
    assert training_step.main([*order, "--only", "dense matrix"]) == 1
    assert "FAILED: exit code 1" in capsys.readouterr().out


LIBRARIES = {
    "lava-dl": "lava.lib.dl.slayer",
    "snnTorch": "snntorch",
    "Norse": "norse.torch",
    "SpikingJelly": "spikingjelly.activation_based",
    "PyTorch": "torch",
    "dense": "torch",
}
"""Library of each row, by the first word of its name."""


@pytest.mark.parametrize("name", [name for name in training_peers.ROWS if "1M1T1R," not in name])  # ours are compiled: tested as blocks
def test_every_peer_that_is_installed_takes_a_step(name):
    library = LIBRARIES[name.split()[0]]
    pytest.importorskip(library, reason=f"needs {library}")
    shape = Shape(batch=2, steps=4, inputs=6, hidden=5, outputs=3, rate=0.3)
    found = training_measure.measure(training_peers.ROWS[name], shape, 1, 0.1)
    assert found["least"] > 0 and (np.isnan(found["rate"]) or 0 <= found["rate"] <= 1)


@pytest.mark.parametrize("name", [name for name in training_peers.ROWS if "1M1T1R" not in name and "dense" not in name])
def test_a_step_of_a_peer_starts_from_rest(name, rng):
    """SLAYER's went on from the states of the step before, and was timed at twice the activity of the others."""
    library = LIBRARIES[name.split()[0]]
    pytest.importorskip(library, reason=f"needs {library}")
    torch.manual_seed(0)
    step = training_peers.ROWS[name](Shape(batch=4, steps=12, inputs=60, hidden=50, outputs=3, rate=0.3))
    given = step.ready((rng.random((4, 12, 60)) < 0.3).astype(np.uint8), np.zeros(4, np.int64))
    step.turn(2.0)
    rate = step.run(*given)
    step.turn(-20.0)
    step.run(*given)
    step.turn(2.0)
    assert step.run(*given) == rate > 0
