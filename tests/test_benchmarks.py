"""The speed scripts at their smallest: they run, check what they compare, skip what is absent, and write what they print."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from words import spoken

from lava_1m1t1r import cli
from lava_1m1t1r.benchmarks import device_speed, networks, simulation_speed, training_jax, training_step
from lava_1m1t1r.benchmarks.table import Table, found_by, least, write_json
from lava_1m1t1r.benchmarks.training_measure import Shape
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.export import VerificationError
from lava_1m1t1r.fast import FastNetwork
from lava_1m1t1r.fast.network import RunningLayer
from lava_1m1t1r.netx.schema import read
from lava_1m1t1r.recipes import SHIPPED_NETWORK


def no_peers(monkeypatch, *names):
    loaded = [name for name in sys.modules if name.startswith(tuple(f"{name}." for name in names))]  # by another test
    for name in [*names, *loaded]:
        monkeypatch.setitem(sys.modules, name, None)  # importing it fails, as where it is not installed


@pytest.mark.parametrize("substeps", [1, 4])
def test_the_network_of_the_tables_is_as_active_as_asked(substeps):
    net = networks.tuned((60, 40, 5), substeps, activity=0.05, rate=0.1)
    rate = networks.activity_of(net, networks.spikes(4, 250, 60, 0.1, seed=9))
    assert 0.025 < rate < 0.1
    assert (net.inputs, net.active[0].size, net.outputs) == (60, 40, 5)


@pytest.mark.parametrize("table", [device_speed, simulation_speed, training_step])
def test_numbers_of_repeats_are_checked(table):
    with pytest.raises(InputError, match="--repeats must be > 0; got 0"):
        table.main(["--repeats", "0"])


def test_a_channel_has_at_most_one_spike_in_a_step():
    with pytest.raises(InputError, match="--rate must be at most 1, .*; got 2.0"):  # 1 would be measured, and 2 be told in the JSON
        training_step.main(["--rate", "2", "--only", "no such row"])


def test_what_was_not_measured_is_null_in_json(tmp_path):
    table = Table("a table", ("ms", "MB"))
    table.add("a row", 1.5, float("nan"))
    write_json(tmp_path / "table.json", [table.as_dict()])
    read = json.loads((tmp_path / "table.json").read_text(), parse_constant=pytest.fail)  # NaN is no JSON
    assert read["tables"][0]["rows"] == [{"name": "a row", "ms": 1.5, "MB": None}]


def test_neurons_that_are_measured_alone_have_no_recurrent_weights(monkeypatch):
    """The kernels, too, must know of none: their ring of recurrent spikes has no room then."""
    made = []
    monkeypatch.setattr(simulation_speed, "FastNetwork", lambda net: made.append(FastNetwork(net)) or made[0])
    monkeypatch.setattr(simulation_speed, "least", lambda *_: 1.0)
    simulation_speed._neurons_alone(8, 1, 20, 1)
    layer = made[0].layers[0]
    assert RunningLayer(layer).memory.ring.shape[1] == len(layer.plain_wiring[1]) == 0


@pytest.mark.timeout(900)
def test_simulation_table_without_peers(monkeypatch, tmp_path, capsys):
    no_peers(monkeypatch, "brian2", "norse", "snntorch", "spikingjelly", "lava_1m1t1r.benchmarks.in_lava")
    monkeypatch.setattr(simulation_speed, "SIZES", (8, 16))
    assert simulation_speed.main(["--steps", "20", "--repeats", "1", "--json", str(tmp_path / "speed.json")]) == 0
    printed = capsys.readouterr().out
    tables = json.loads((tmp_path / "speed.json").read_text())["tables"]
    assert len(tables) == 5 and all(row["name"] in printed for table in tables for row in table["rows"])
    rows = {row["name"]: row for row in tables[0]["rows"]}
    assert sum("skipped" in row for row in rows.values()) == 9  # 3 Lava, 2 Brian2, Norse, snnTorch, SpikingJelly, JAX
    assert rows["fast path, fixed, 1 substep"]["x"] == 1 and rows["fast path, float, 1 substep"]["CPU ms"] > 0
    base = rows["fast path, fixed, 1 substep"]["CPU ms"]
    assert rows["fast path, float, 1 substep"]["x"] == pytest.approx(rows["fast path, float, 1 substep"]["CPU ms"] / base)
    *points, line = tables[1]["rows"]
    spikes, time, drawn = np.array([list(row.values())[2:] for row in points]).T
    slope, offset = np.polyfit(spikes[1:], time[1:], 1)
    assert drawn == pytest.approx(offset + slope * spikes) and line["name"].startswith(f"line: {offset:.2f} us + {1e3 * slope:.1f} ns")
    for *sizes, slope in (tables[2]["rows"][:3], tables[2]["rows"][3:]):  # of 8 and 16 neurons, with 1 and 4 substeps
        rise = np.diff([row["us/step"] for row in sizes]).item() / 8
        assert slope["ns/neuron/substep"] == pytest.approx(1e3 * rise / slope["substeps"])
    one = tables[3]["rows"][0]["wall us/sample"]
    assert [row["speed-up"] for row in tables[3]["rows"]] == pytest.approx([one / row["wall us/sample"] for row in tables[3]["rows"]])
    assert [path.name for path in tmp_path.iterdir()] == ["speed.json"]


@pytest.mark.parametrize("name", ["Norse LIF", "snnTorch synaptic LIF", "SpikingJelly LIF"])
def test_peers_simulate_a_whole_network_as_active_as_asked(name):
    pytest.importorskip("torch")
    from lava_1m1t1r.benchmarks import in_torch

    pytest.importorskip({"Norse LIF": "norse.torch", "SpikingJelly LIF": "spikingjelly.activation_based"}.get(name, "snntorch"))
    frames = networks.spikes(3, 60, 30, 0.2)
    job, rate = in_torch.ready(in_torch.ROWS[name], (30, 20, 4), frames[0], 0.1)
    out, hidden = job(frames)
    assert out.shape == (60, 3, 4) and hidden.shape == (60, 3, 20) and set(np.unique(hidden)) == {0.0, 1.0}
    assert rate == pytest.approx(float(hidden[:, 0].mean()), abs=1e-6) and rate > 0.05
    assert float(abs(job(frames)[1] - hidden).max()) == 0  # from rest again


@pytest.mark.parametrize("name", training_jax.ROWS)
def test_a_training_step_in_jax_learns_weights_and_biases_and_no_time_constants(name, monkeypatch):
    jax = pytest.importorskip("jax")
    pytest.importorskip("spyx")
    monkeypatch.syspath_prepend(Path(training_jax.__file__).parent)  # as where it is run as a file
    monkeypatch.setattr(training_jax, "_step", lambda forward, parameters, turn_by: parameters)
    learned = training_jax.ROWS[name](Shape(inputs=3, hidden=5, outputs=2))
    assert sorted(leaf.shape for leaf in jax.tree.leaves(learned)) == [(3, 5), (5,), (5, 2), (5, 5)]


def test_a_jax_that_is_not_there_is_told_apart_from_one_that_fails(tmp_path, capsys):
    table = Table("t", ("wall ms", "CPU ms", "us/step", "x", "hidden rate"))
    args = SimpleNamespace(steps=5, repeats=1)
    jax = tmp_path / "jax.py"
    jax.write_text("raise ImportError('jax is not here')")
    for interpreter in (None, sys.executable, str(tmp_path / "none")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", str(tmp_path))  # the second one finds a jax that cannot be loaded
            simulation_speed._jax_rows(table, 1e-3, SimpleNamespace(**vars(args), jax=interpreter))
    one, *rest = table.rows
    assert (
        "give --jax" in one["skipped"]
        and [("skipped" in row, "failed" in row) for row in rest] == [(True, False)] * 2 + [(False, True)] * 2
    )
    assert rest[0]["skipped"] == "jax is not here" and "none" in rest[2]["failed"]


def test_a_peer_that_fails_leaves_its_row_out_and_no_other(monkeypatch):
    pytest.importorskip("torch")
    from lava_1m1t1r.benchmarks import in_brian2, in_torch

    def broken(*_):  # Brian2 without a compiler tells of the place, and the reason as its cause
        raise RuntimeError("in a neuron group") from NotImplementedError("needs a\n compiler")

    def ready(name, *_):
        if name == "an older one":
            raise AttributeError("no such layer")
        return (lambda samples: None), 0.1

    monkeypatch.setattr(in_brian2, "run", broken)
    monkeypatch.setattr(in_torch, "ROWS", {name: name for name in ("an older one", "a newer one")})
    monkeypatch.setattr(in_torch, "ready", ready)
    table = Table("t", ("wall ms", "CPU ms", "us/step", "x", "hidden rate"))
    args = SimpleNamespace(steps=5, repeats=1)
    simulation_speed._brian2_row(table, None, np.zeros((5, 3)), "1 substep", 1e-3, args)
    simulation_speed._torch_rows(table, np.zeros((2, 5, 3)), 1e-3, args)
    brian2, older, newer, batch = table.rows
    assert brian2["failed"] == "NotImplementedError: needs a compiler" and older["failed"] == "AttributeError: no such layer"
    assert newer["name"] == "a newer one" and newer["hidden rate"] == batch["hidden rate"] == 0.1


def test_a_program_that_ends_with_other_words_than_its_result_has_failed():
    assert found_by([sys.executable, "-c", "print('{\"wall\": 1.5}')"], 60) == {"wall": 1.5}
    assert "so long" in found_by([sys.executable, "-c", "print('{\"wall\": 1.5}'); print('so long')"], 60)["failed"]


@pytest.mark.timeout(900)
def test_all_ways_to_run_a_graph_give_the_same_spikes(monkeypatch, tmp_path):
    pytest.importorskip("lava.magma", reason="needs lava-nc")
    from lava.proc.monitor.process import Monitor

    from lava_1m1t1r.benchmarks import in_lava, lava_runtime

    monkeypatch.setattr(networks, "SHAPE", (40, 24, 4))
    monkeypatch.setattr(networks, "tuned", lambda: networks.drawn((40, 24, 4), bias=240))
    probe, asked = Monitor.probe, []
    monkeypatch.setattr(Monitor, "probe", lambda monitor, var, steps: (asked.append(steps), probe(monitor, var, steps)))
    assert lava_runtime.main(["--steps", "30", "--repeats", "2", "--json", str(tmp_path / "lava.json")]) == 0
    tables = json.loads((tmp_path / "lava.json").read_text())["tables"]
    assert [len(table["rows"]) for table in tables] == [10, 4, 3]
    assert asked == [31]  # the steps that are run: its get_data takes as long for each that is not
    for first, *others in (tables[0]["rows"][:5], tables[0]["rows"][5:]):
        assert first["x wall"] == first["x CPU"] == 1 and first["CPU us/step"] == pytest.approx(1e3 * first["CPU ms"] / 30)
        for row in others:
            assert row["x wall"] * row["wall ms"] == pytest.approx(first["wall ms"])
            assert row["x CPU"] * row["CPU ms"] == pytest.approx(first["CPU ms"])
    in_process = in_lava.in_process
    monkeypatch.setattr(in_lava, "in_process", lambda *args: in_process(*args)._replace(out=np.ones((30, 4), np.int32)))
    with pytest.raises(VerificationError, match="in process, fixed_pt must give the stock runtime's spikes"):
        lava_runtime.ways(lava_runtime.options().parse_args(["--steps", "30", "--repeats", "2"]))


def test_processes_that_end_meanwhile_are_no_part_of_a_graph():
    pytest.importorskip("lava.magma", reason="needs lava-nc")
    from lava_1m1t1r.benchmarks import in_lava

    children = [multiprocessing.get_context("fork").Process(target=signal.pause, daemon=True) for _ in range(2)]
    for child in children:
        child.start()

    def run(steps):
        if children:
            child = children.pop()
            child.kill()
            child.join()
        for _ in range(steps):
            np.sort(np.arange(10**5)[::-1])

    assert in_lava.timed(run, 20, 2).cpu > 0 and not children


def test_brian2_runs_the_librarys_equations():
    """The statements written for Brian2 are Python as well: run here by numpy, they are the floating-point step."""
    from lava_1m1t1r.benchmarks import in_brian2
    from lava_1m1t1r.reference import CompiledNeurons

    step, size = networks.device(4), 50
    text = in_brian2.statements(step)
    table = step.floating(1).drop
    names = {
        "clip": np.clip, "floor": np.floor, "sinh": np.sinh, "expm1": np.expm1, "inf": np.inf, "second": 1.0, "bias": np.zeros(size),
        "int": lambda x: np.asarray(x).astype(int), "drop_table": lambda t: table[(t / 1e-3).astype(int)],
    }  # fmt: skip
    state = {name: np.zeros(size) for name in ("filament", "residue", "gate")}
    neurons, rng, fired = CompiledNeurons(step, size, fixed=False), np.random.default_rng(0), 0
    for _ in range(60):
        charge = rng.uniform(-100, 700, size)
        space = {**names, **state, "charge_in": charge}
        exec(text.replace(" and ", " & "), space)
        traces = neurons.step(charge)
        state = {name: space[name] for name in state}
        np.testing.assert_array_equal(space["fired"], traces.spike)
        np.testing.assert_allclose(state["filament"], traces.filament, atol=1e-11)
        fired += traces.spike.sum()
    assert fired > 20


def test_the_command_lists_and_runs_tables(monkeypatch, tmp_path, capsys):
    from lava_1m1t1r.commands import bench

    assert cli.main(["bench", "--list"]) == 0
    tables = "device training simulation lava accuracy ablation variation".split()
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == tables
    calls = []

    def started(command, **_):  # writes its table, and ends with the number of its call
        calls.append(command[3:])
        Path(calls[-1][2]).write_text('{"tables": []}')
        return subprocess.CompletedProcess(command, len(calls) - 1)

    monkeypatch.setattr(bench.programs, "run", started)
    assert cli.main(["bench", "lava", "device", "lava", "-o", str(tmp_path / "out"), "--repeats", "2"]) == 1
    assert [c[0] for c in calls] == ["lava_runtime", "device_speed"] and calls[0][3:] == ["--repeats", "2"]
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"lava.json", "device.json"}  # some row of the other one failed
    calls.clear()
    assert cli.main(["bench"]) == 3  # four calls, numbered from 0: training tables only where they are named
    assert [c[0] for c in calls] == ["device_speed", "training_step", "simulation_speed", "lava_runtime"]
    assert cli.main(["bench", "ablation"]) == 4 and calls[-1][0] == "ablation"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cli.main(["bench", "ablation", "--folder=~/runs"]) == 5 and calls[-1][3:] == [f"--folder={tmp_path}/runs"]
    assert cli.main(["bench", "--repeats", "0"]) == 2
    assert "--repeats must be a whole number from 1 to" in capsys.readouterr().err


def test_a_table_whose_process_is_killed_is_named(monkeypatch, capsys):
    from lava_1m1t1r.commands import bench

    monkeypatch.setattr(bench.programs, "run", lambda command, **_: subprocess.CompletedProcess(command, -9))
    assert cli.main(["bench", "lava"]) == 1
    assert "lava: its process was killed by signal 9" in capsys.readouterr().err


def test_a_table_on_loops_that_may_not_be_compiled_is_told_in_a_line():
    command = [sys.executable, "-m", "lava_1m1t1r.benchmarks", "device_speed"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=220, env={**os.environ, "NUMBA_DISABLE_JIT": "1"})
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "NUMBA_DISABLE_JIT" in done.stderr


@pytest.mark.parametrize("name", ["--help", "nonsense", "table"])
def test_a_module_that_is_no_table_is_told(name):
    done = subprocess.run([sys.executable, "-m", "lava_1m1t1r.benchmarks", name], capture_output=True, text=True, timeout=220)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "lava-1m1t1r bench" in done.stderr


def test_a_result_that_is_not_as_it_must_be_is_no_wrong_input(monkeypatch, capsys):
    from lava_1m1t1r.benchmarks import __main__ as tables

    def differs(_options):
        raise VerificationError("Lava must give the fast path's spikes")

    monkeypatch.setattr(simulation_speed, "main", differs)
    assert tables._run("simulation_speed", []) == 1
    assert capsys.readouterr().err == "simulation_speed: Lava must give the fast path's spikes\n"


def test_a_tables_process_may_be_ended_and_prints_beside_the_json(monkeypatch, tmp_path, capsys):
    from lava_1m1t1r.commands import bench

    places = []

    def ended(command, **options):
        places.append(options["stdout"])
        return subprocess.CompletedProcess(command, -9)  # by a signal

    monkeypatch.setattr(bench.programs, "run", ended)
    assert cli.main(["bench", "device", "-o", str(tmp_path / "new" / "out"), "--json"]) == 1
    assert places == [sys.stderr] and json.loads(capsys.readouterr().out) == {} and (tmp_path / "new" / "out").is_dir()
    assert cli.main(["bench", "device"]) == 1 and places[1] is None
    assert cli.main(["bench", "device", "--list", "--width", "3"]) == 2
    assert "--width 3 must be used with one table" in capsys.readouterr().err


def chip(layers, seed):
    """Layers in place of the shipped network's two, their devices varied by 20 %."""
    pytest.importorskip("lava.magma", reason="needs lava-nc")
    from lava_1m1t1r.recipes import evaluate

    net = read(SHIPPED_NETWORK)
    return evaluate.with_varied_devices(replace(net, layers=(*net.layers[:-2], *layers)), 0.2, seed).active


@pytest.mark.train
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")
def test_chips_differ_by_seed_and_layer_and_come_again():
    hidden = read(SHIPPED_NETWORK).active[0]
    layers = hidden, replace(hidden, index=hidden.index + 1)
    rates = [[x.neuron.step.device.mu for x in chip(layers, seed)] for seed in (0, 1, 0)]
    np.testing.assert_array_equal(rates[0], rates[2])
    for one, other in ((rates[0][0], rates[1][0]), (rates[0][0], rates[0][1]), (rates[1][0], rates[0][1])):
        assert abs(np.corrcoef(np.log(one), np.log(other))[0, 1]) < 0.3


@pytest.mark.train
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")
def test_chips_deviate_from_known_devices_by_other_numbers():
    """A layer that training has spread, with any seed."""
    hidden, readout = read(SHIPPED_NETWORK).active
    for trained in range(3):
        known = hidden.step.device.with_variation(0.3).spread(hidden.size, trained)
        spread = replace(hidden, neuron=replace(hidden.m1t1r, step=hidden.step.replace(device=known)))
        found = chip((spread, readout), 0)[0].step.device
        own, more = np.log(known.mu / hidden.step.device.mu), np.log(found.mu / known.mu)
        assert abs(np.corrcoef(own, more)[0, 1]) < 0.4 and np.std(more) == pytest.approx(0.2, rel=0.25)


@pytest.mark.train
def test_a_cell_of_the_variation_table_is_of_chips_with_seeds_of_their_own(monkeypatch):
    from lava_1m1t1r.benchmarks import variation
    from lava_1m1t1r.recipes import evaluate

    monkeypatch.setattr(evaluate, "with_varied_devices", lambda net, level, seed: level + seed)
    monkeypatch.setattr(evaluate, "accuracy", lambda net, test: net / 10)
    assert variation._cell("net", "test", 0.5, 3) == "15.0 +- 10.0" and variation._cell("net", "test", 0.0, 3) == "0.0"


@pytest.mark.parametrize("table", ["variation", "ablation", "accuracy"])
@pytest.mark.train
def test_a_folder_that_cannot_be_is_refused_before_the_data_are_made(table, tmp_path, monkeypatch):
    from lava_1m1t1r.recipes import data

    monkeypatch.setattr(data, "load", lambda *_, **__: pytest.fail("it began"))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="--folder"):
        import_module(f"lava_1m1t1r.benchmarks.{table}").main(["--folder", str(tmp_path / "file" / "here")])


@pytest.mark.parametrize("absent", ["torch", "lightning"])
@pytest.mark.parametrize("table", ["variation", "ablation", "accuracy"])
def test_what_training_needs_is_asked_for_before_the_data_are_made(table, absent, tmp_path):
    code = f"""
import sys
sys.modules[{absent!r}] = None
from lava_1m1t1r.benchmarks.__main__ import main
from lava_1m1t1r.recipes import data
data.load = lambda *_, **__: sys.exit("it began")
sys.argv[1:] = [{table!r}, "--folder", "runs"]
sys.exit(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=220, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "") and "Traceback" not in done.stderr
    assert done.stderr.startswith(f"{table}: ") and " needs the package " in done.stderr and "pip install" in done.stderr


@pytest.mark.train
def test_variation_table_on_a_tiny_network(tmp_path, monkeypatch, capsys):
    from lava_1m1t1r.benchmarks import variation
    from lava_1m1t1r.recipes import data, evaluate

    events = spoken(40, 2, channels=20, seconds=0.5)
    split = data.Split(events, events, "tiny", "nobody")
    monkeypatch.setattr(data, "load", lambda **_: split)
    out = ["--epochs", "4", "--hidden", "16", "--repeats", "2", "--folder", str(tmp_path), "--json", str(tmp_path / "table.json")]
    assert variation.main(out) == 0
    rows = json.loads((tmp_path / "table.json").read_text())["tables"][0]["rows"]
    assert [row["name"] for row in rows] == ["trained on one device", "trained for 20%"]
    net = read(next(tmp_path.glob("variation_0_*")) / "network.net")
    task = data.fitted(variation.recipe("spoken-digits"), split)
    test = data.frames_of(events, task)
    assert rows[0]["0%"] == f"{100 * evaluate.accuracy(net, test):.1f}"
    varied = evaluate.with_varied_devices(net, 0.2, seed=1)
    assert np.std(np.log(varied.active[0].neuron.step.device.mu)) > 0.1 and varied.layers[-1] is net.layers[-1]
    assert variation.main(out) == 0 and capsys.readouterr().out.count(rows[1]["20%"]) >= 2  # trained networks are found again
    assert len(list(tmp_path.glob("variation_*"))) == 2
    assert variation.main([*out[:1], "1", *out[2:]]) == 0 and len(list(tmp_path.glob("variation_*"))) == 4  # not those of other options


def test_one_call_before_those_that_are_timed_does_not_count(monkeypatch):
    in_lava = pytest.importorskip("lava_1m1t1r.benchmarks.in_lava")
    walls, cpus, calls = iter((0.0, 1.0, 1.0, 6.0, 6.0, 9.0)), iter((0.0, 1.0, 1.0, 3.0, 3.0, 8.0)), []
    monkeypatch.setattr(in_lava, "time", SimpleNamespace(perf_counter=lambda: next(walls)))
    monkeypatch.setattr(in_lava, "cpu_of", lambda pids: {1: next(cpus)})
    timing = in_lava.timed(calls.append, 7, 2)
    assert calls == [7, 7, 7] and (timing.wall, timing.cpu) == (3.0, 2.0)


def test_of_several_times_the_shortest_counts_and_not_that_of_the_call_before_them():
    now, job = iter((0.0, 3.0, 5.0, 7.0, 10.0, 14.0)), []
    assert least(lambda: job.append(1), 3, lambda: next(now)) == 2.0 and len(job) == 4
    assert least(lambda: job.append(1), 1, lambda: 0.0, warm=False) == 0.0 and len(job) == 5


def test_cells_of_tables_have_three_digits_and_no_powers_of_ten(capsys):
    table = Table("a table", ("a", "b", "c", "d"))
    table.add("a row", 999.7, 999.4, 0.12345, 12345.6)
    assert capsys.readouterr().out.split()[-4:] == ["1000", "999", "0.123", "12346"]


@pytest.mark.parametrize(("threads", "ratio"), [("1", 3.0), ("2", 2.0)])
def test_ratios_are_of_processor_time_with_one_thread(threads, ratio, monkeypatch, tmp_path):
    from lava_1m1t1r.benchmarks import training_peers

    one, other = list(training_peers.ROWS)[:2]
    taken = {one: (10.0, 10.0), other: (20.0, 30.0)}
    rest = dict.fromkeys(("median", "rate", "input rate", "memory", "peak"), 0.0)
    monkeypatch.setattr(training_step, "chosen", lambda *_: [one, other])
    monkeypatch.setattr(training_step, "_row", lambda name, *_: dict(zip(("least", "processor"), taken[name], strict=True)) | rest)
    assert training_step.main(["--threads", threads, "--json", str(tmp_path / "t.json")]) == 0
    rows = json.loads((tmp_path / "t.json").read_text())["tables"][0]["rows"]
    assert [row["x first"] for row in rows] == [1.0, ratio]


def test_times_are_of_one_sample(monkeypatch):
    monkeypatch.setattr(simulation_speed, "least", lambda *_: 8.0)
    assert simulation_speed._times(lambda: None, 1, samples=4) == (2.0, 2.0)


def test_brian2s_neuron_gets_its_bias():
    from lava_1m1t1r.benchmarks import in_brian2

    assert in_brian2.statements(networks.device(1)).splitlines()[-1] == "charge_in = bias"
