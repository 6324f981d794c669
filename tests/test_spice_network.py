"""The network at the device level, its netlist, and ngspice against it on a small trained network with delays."""

import json
import re
import runpy
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import export_networks as nets
import numpy as np
import pytest

from lava_1m1t1r import StepParams, presets
from lava_1m1t1r.answers import answers
from lava_1m1t1r.delay_lines import outgoing
from lava_1m1t1r.description import Layer, M1T1RNeuron, NetDescription
from lava_1m1t1r.device import simulate
from lava_1m1t1r.device.crossbar import CELLS, IDEAL, WEIGHT_ONE, Cells, Periphery, rows_of
from lava_1m1t1r.device.network import DeviceNetwork
from lava_1m1t1r.errors import InputError, MissingDependencyError
from lava_1m1t1r.export import TARGETS, ToolFailed, VerificationError, ngspice, spice_network, spice_run, spice_target
from lava_1m1t1r.fast import FastNetwork
from lava_1m1t1r.netx import schema
from lava_1m1t1r.recipes import SHIPPED_NETWORK

HERE = Path(__file__).resolve().parent
DEPLOY = HERE.parent / "deploy" / "spice"
spice = pytest.mark.needs("ngspice")


def patterns(count):
    """Test patterns of the toy task and their classes."""
    sys.path.insert(0, str(DEPLOY))
    try:
        import train
    finally:
        sys.path.remove(str(DEPLOY))
    return train.patterns(count, 1)


@pytest.fixture(scope="module")
def toy():
    return schema.read(HERE / "toy.net")


@pytest.fixture(scope="module")
def quiet(toy):
    """The toy with biases that no neuron fires from."""
    hidden, readout = toy.layers
    return replace(toy, layers=(replace(hidden, bias=hidden.bias // 2), readout))


@pytest.fixture(scope="module")
def shipped():
    return schema.read(SHIPPED_NETWORK)


def test_the_toy_is_trained_and_has_delays(toy):
    frames, labels = patterns(200)
    samples = DeviceNetwork(toy).run(frames)
    assert np.mean([s.answer for s in samples] == labels) > 0.9
    hidden = toy.layers[0]
    assert (toy.inputs, hidden.size, toy.outputs) == (8, 16, 4)
    assert np.ptp(hidden.delay) > 0 and np.ptp(hidden.delay_rec) > 0 and np.any(hidden.weight_rec)


@pytest.mark.parametrize("name", ["recurrent_with_delays", "linear_law_three_substeps", "input_neurons_odd_weights_and_average"])
def test_inputs_are_the_recursion_and_neurons_the_devices(name, rng):
    """Drives from the recorded spikes, by the plain recursion; then each device alone, under its drive, by simulate()."""
    net = nets.network(name, rng)
    frames = nets.frames(rng, net, steps=60, samples=1)
    sample = DeviceNetwork(net).run(frames)[0]
    y, place = frames[0].astype(np.int64), 0
    for layer in net.active:
        weight = np.asarray(layer.weight) if layer.weight is not None else None
        if layer.neuron is None:
            np.testing.assert_allclose(sample.out, y.reshape(len(y), layer.size, -1).sum(axis=2))
            continue
        trace = sample.layers[place]
        a_in = y * weight[0] if layer.kind == "input" else y @ weight.T
        a_in = a_in + (0 if layer.bias is None else layer.bias)
        if layer.weight_rec is not None:
            a_in = a_in + outgoing(trace.spikes.astype(int), layer.delay_rec) @ layer.weight_rec.T
        step = layer.neuron.step
        np.testing.assert_allclose(trace.volts, np.clip(a_in / WEIGHT_ONE * step.v_unit, 0, step.v_in_max), atol=1e-12)
        alone = simulate(step.device, trace.volts, step.dt, 0, "events")
        for n in range(layer.size):
            np.testing.assert_allclose(trace.spike_times[n], alone.spike_times(n if alone.size > 1 else 0), rtol=2e-3)
            in_steps = np.zeros(60, bool)
            in_steps[(trace.spike_times[n] / step.dt).astype(int)] = True
            np.testing.assert_array_equal(trace.spikes[:, n], in_steps)
        y, place = outgoing(trace.spikes.astype(np.int64), layer.delay), place + 1
    assert sum(t.spikes.sum() for t in sample.layers) > 0


def test_a_readout_takes_no_rows_for_recurrent_weights_of_zero(toy):
    """It has no spikes that could drive them; every other implementation runs it."""
    hidden, readout = toy.layers
    given = replace(toy, layers=(hidden, replace(readout, weight_rec=np.zeros((4, 4), np.int32))))
    frames, _ = patterns(1)
    assert DeviceNetwork(given).crossbars[1].rows == rows_of(readout)
    np.testing.assert_array_equal(DeviceNetwork(given).run(frames)[0].out, DeviceNetwork(toy).run(frames)[0].out)


def test_thousands_of_spikes_in_a_sample_are_all_kept():
    step = StepParams(presets.ZHAO2025_FIG2, dt=1e-3, v_unit=0.25)
    layer = Layer(0, "dense", (300,), 1, np.full((300, 1), 240, np.int32), neuron=M1T1RNeuron(step))
    sample = DeviceNetwork(NetDescription((layer,))).run(np.tile([[1], [0]], (60, 1))[None])[0]
    alone = simulate(step.device, sample.layers[0].volts[:, :1], step.dt, 0, "events").spike_times()
    assert 300 * len(alone) > 2 * 1024
    for times in sample.layers[0].spike_times:
        np.testing.assert_allclose(times, alone, rtol=2e-3)


def test_energies_are_those_of_their_definitions(quiet):
    periphery = Periphery(v_supply=1.0, amplifier_current=1e-9, line_capacitance=0.0, register_energy=2.0)
    network = DeviceNetwork(quiet, Cells(1e-6, 2e-6, v_read=0.1), periphery)
    silent = network.run(np.zeros((1, 10, 8)))[0]
    hidden = network.crossbars[0]
    on = slice(sum(hidden.rows[:2]), None)  # only bias rows carry pulses
    assert not silent.layers[0].spikes.any()
    conductance = (hidden.positive + hidden.negative)[:, on].sum()
    seconds = 10 * quiet.dt
    assert silent.energy["crossbar"]["cells"] == pytest.approx(0.1**2 * conductance * seconds, rel=1e-12)
    drivers = silent.energy["drivers"]
    assert drivers["rows"] == pytest.approx((1.0 * 0.1 - 0.1**2) * conductance * seconds, rel=1e-12)
    assert drivers["amplifiers"] == pytest.approx((0.1 * conductance + 20 * 1e-9) * seconds, rel=1e-12)
    stages = np.maximum(quiet.layers[0].delay, quiet.layers[0].delay_rec) + 2
    assert drivers["registers"] == pytest.approx(10 * 2.0 * stages.sum())


def test_lines_of_rows_are_charged_at_each_rise(quiet):
    """Both lines of a row, over all its columns, from the supply: an input that goes from one to three pulses rises by two."""
    energies = []
    frames = np.zeros((1, 10, 8))
    frames[0, 2:5, 0], frames[0, 5, 0], frames[0, 7, 3] = 1, 3, 1
    for line in (0.0, 3e-15):
        periphery = Periphery(v_supply=1.2, amplifier_current=0.0, line_capacitance=line, register_energy=0.0)
        sample = DeviceNetwork(quiet, Cells(1e-6, 2e-6, v_read=0.1), periphery).run(frames)[0]
        assert not sample.layers[0].spikes.any()
        energies.append(sample.energy["drivers"]["rows"])
    crossbars = DeviceNetwork(quiet).crossbars
    rises = [1 + 2 + 1 + crossbars[0].rows[2], crossbars[1].rows[2]]  # rows of biases rise once, at the start
    columns = [layer.size for layer in quiet.active]
    assert energies[1] - energies[0] == pytest.approx(2 * np.dot(rises, columns) * 3e-15 * 0.1 * 1.2, rel=1e-6, abs=0)


@pytest.mark.parametrize("supply", [1.2, 0.2])
def test_heat_of_a_pulse_grows_with_the_square_of_its_height_and_drivers_give_nothing_back(supply, rng):
    """The row has three times v_read: more than the lower supply."""
    silent = replace(nets.layer(rng, 0, 4, 3), weight=np.full((3, 4), -100, np.int32))
    frames = np.zeros((1, 6, 4), int)
    frames[0, 2, 1] = 3
    periphery = Periphery(v_supply=supply, amplifier_current=0.0, line_capacitance=0.0, register_energy=0.0)
    network = DeviceNetwork(NetDescription((silent,)), Cells(1e-6, 2e-6, v_read=0.1), periphery)
    sample, crossbar = network.run(frames)[0], network.crossbars[0]
    charge = (crossbar.positive + crossbar.negative)[:, 1].sum() * network.dt * 0.3
    assert not sample.layers[0].spikes.any()
    assert sample.energy["crossbar"]["cells"] == pytest.approx(0.3 * charge, rel=1e-9, abs=0)
    assert sample.energy["drivers"]["amplifiers"] == pytest.approx(supply * charge, rel=1e-9, abs=0)
    assert sample.energy["drivers"]["rows"] == pytest.approx(max(supply - 0.3, 0.0) * charge, rel=1e-9, abs=0)


def test_a_pulse_above_the_supply_saves_no_other_one(rng):
    """Drivers give off what their pulses take one by one: the energy of pulses on two rows is the sum of both."""
    silent = replace(nets.layer(rng, 0, 4, 3), weight=np.full((3, 4), -100, np.int32))
    network = DeviceNetwork(NetDescription((silent,)), periphery=Periphery(line_capacitance=0.0))
    frames = np.zeros((3, 6, 4), int)
    frames[::2, 2, 1], frames[1:, 4, 3] = 10, 1  # 2 V and 0.2 V on 1.2 V
    high, low, both = (sample.energy["drivers"]["rows"] for sample in network.run(frames))
    assert (high, both) == (0.0, low)
    assert low > 0


def test_energies_of_neurons_are_those_of_simulate(toy):
    sample = DeviceNetwork(toy).run(patterns(1)[0])[0]
    alone = simulate(toy.layers[0].neuron.step.device, sample.layers[0].volts, toy.dt, 0, "events")
    assert sum(sample.energy["neurons"].values()) == pytest.approx(np.sum(alone.energy()), rel=0.01, abs=0)
    assert min(sample.energy["neurons"].values()) > 0


def test_every_layer_is_programmed_with_errors_of_its_own(toy):
    cells = Cells(g_min=20e-6, programming_error=0.02)
    set_, meant = (DeviceNetwork(toy, x).crossbars for x in (cells, replace(cells, programming_error=0.0)))
    hidden, readout = ((a.positive - b.positive).ravel()[:32] for a, b in zip(set_, meant, strict=True))
    assert not np.allclose(hidden, readout, rtol=1e-6, atol=1e-12)


def test_every_sample_and_layer_has_read_noise_of_its_own(toy):
    network = DeviceNetwork(toy, Cells(read_noise=0.05))
    first, of_sample, of_layer = (network.read_noise(*place, 8).ravel()[:32] for place in ((0, 0), (1, 0), (0, 1)))
    assert not np.array_equal(first, of_sample) and not np.array_equal(first, of_layer)


def test_neurons_of_all_layers_have_noise_of_their_own(rng):
    first, second = nets.layer(rng, 0, 2, 5, noise=True), nets.layer(rng, 1, 5, 5, noise=True)  # of one seed
    starts = np.concatenate([circuit.random.ravel() for circuit in DeviceNetwork(NetDescription((first, second)))._circuits])
    assert len(np.unique(starts)) == 10


def test_read_noise_is_reproducible_and_of_its_size(toy, quiet):
    frames = patterns(3)[0]
    a, b, other = (DeviceNetwork(toy, Cells(read_noise=0.05), seed=seed).run(frames) for seed in (1, 1, 2))
    assert all(np.array_equal(x.out, y.out) for x, y in zip(a, b, strict=True))
    assert not all(np.array_equal(x.out, y.out) for x, y in zip(a, other, strict=True))
    network = DeviceNetwork(toy, Cells(read_noise=0.05))
    later = network.run(frames[2:], first=2)[0]
    np.testing.assert_array_equal(later.out, network.run(frames)[2].out)
    shaking = DeviceNetwork(quiet, Cells(read_noise=0.05))
    still, shaken = (x.run(np.zeros((1, 400, 8)))[0].layers[0] for x in (DeviceNetwork(quiet), shaking))
    assert not still.spikes.any() and not shaken.spikes.any()
    crossbar = shaking.crossbars[0]
    on = slice(sum(crossbar.rows[:2]), None)
    expected = np.sqrt((crossbar.squares[:, on]).sum(axis=1)) / WEIGHT_ONE * 0.125
    np.testing.assert_allclose((shaken.volts - still.volts).std(axis=0), expected, rtol=0.15)


def test_read_noise_is_of_the_pulses_on_all_rows_and_of_their_height(toy):
    network, frames = DeviceNetwork(toy, Cells(read_noise=0.05)), 3 * patterns(1)[0]
    hidden = network.run(frames)[0].layers[0]
    rows, crossbar, step = hidden.rows, network.crossbars[0], toy.layers[0].neuron.step
    assert rows.max() == 3 and rows[:, crossbar.rows.inputs :][:, : crossbar.rows.recurrent].any()
    sums = rows @ crossbar.counts.T + network.read_noise(0, 0, len(rows)) * np.sqrt(rows**2 @ crossbar.squares.T)
    np.testing.assert_allclose(hidden.volts, np.clip(sums / WEIGHT_ONE * step.v_unit, 0, step.v_in_max), atol=1e-9)


def test_the_shipped_network_gives_the_fixed_point_answers_on_devices(shipped, rng):
    """140x4-128R-20 on spikes of many channels: device level and fixed point agree on most sums, spike counts within a few per cent."""
    frames = (rng.random((4, 90, shipped.inputs)) < 0.06).astype(np.uint8)
    fixed = FastNetwork(shipped).run(frames, record="all", threads=1)
    samples = DeviceNetwork(shipped).run(frames)
    ours = np.array([s.layers[0].spikes.sum() for s in samples])
    assert ours.sum() > 100
    np.testing.assert_allclose(ours.sum(), fixed.layers[0].spikes.sum(), rtol=0.1)


def test_ctrl_c_in_a_compiled_loop_is_ctrl_c(toy, monkeypatch):
    """Not the SystemError that numba makes of it."""

    def stopped(*_):
        raise SystemError("returned a result with an exception set") from KeyboardInterrupt()

    monkeypatch.setattr(sys.modules[DeviceNetwork.__module__], "_run", stopped)
    with pytest.raises(KeyboardInterrupt):
        DeviceNetwork(toy).run(patterns(1)[0])
    monkeypatch.setattr(sys.modules[simulate.__module__], "integrate", stopped)
    with pytest.raises(KeyboardInterrupt):
        simulate(presets.ZHAO2025_FIG2, np.ones(3))


def test_layers_that_do_not_fit_each_other_are_refused(toy):
    hidden, readout = toy.layers
    net = replace(toy, layers=(hidden, replace(readout, weight=readout.weight[:, 1:], inputs=readout.inputs - 1)))
    with pytest.raises(InputError, match=f"layer/1 must have {hidden.size} inputs, as many as the layer before it has outputs"):
        DeviceNetwork(net)


@pytest.mark.parametrize(("shape", "words"), [((40, 8), "frames must have shape"), ((1, 40, 7), "frames must have 8 channels")])
def test_wrong_frames_are_refused(shape, words, toy):
    with pytest.raises(InputError, match=words):
        DeviceNetwork(toy).run(np.zeros(shape))


@spice
@pytest.mark.parametrize(("cells", "count"), [("ideal", 4), ("wan2022", 1)])
def test_ngspice_gives_classes_first_spikes_and_rates_of_the_device_level(cells, count, toy):
    """Whole patterns, one of each class; programming errors and read noise are the same draws in both."""
    network = DeviceNetwork(toy, CELLS[cells], seed=3)
    frames = patterns(count)[0]
    ours, theirs = network.run(frames), spice_run.run_network(network, spice_network.sources(network, frames), frames, timeout=220)
    found = spice_run.compare(toy, ours, theirs)
    assert found["ngspice, largest deviation of a first spike"] < 0.01 and found["ngspice, first spikes compared"] > 7 * count
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(b.scores, a.out.sum(axis=0), atol=0.1)  # charges of the readout, in counts


@spice
def test_ngspice_runs_unequal_neurons_spiking_outputs_and_two_layers_of_delays(rng):
    first = nets.layer(rng, 0, 5, 4, "dense_rec", delays=4, unequal=True, scale=9, bias=True)
    net = nets.NetDescription((first, nets.layer(rng, 1, 4, 3, scale=4, delays=2, bias=True)))
    network = DeviceNetwork(net)
    frames = nets.frames(rng, net, steps=40, samples=1, rate=0.3, largest=2)
    ours, theirs = network.run(frames), spice_run.run_network(network, spice_network.sources(network, frames), frames, timeout=220)
    found = spice_run.compare(net, ours, theirs)
    assert found["ngspice, first spikes compared"] >= 4 and ours[0].layers[1].spikes.any()
    np.testing.assert_array_equal(theirs[0].scores, ours[0].out.sum(axis=0))


def test_each_neuron_of_a_netlist_has_the_supply_and_the_threshold_of_its_own_device(rng):
    layer = nets.layer(rng, 0, 5, 4, unequal=True)
    device = replace(layer.step.device, v_dd=np.array([1.0, 1.1, 1.2, 1.3]))
    net = NetDescription((replace(layer, neuron=M1T1RNeuron(layer.step.replace(device=device))),))
    text = spice_network.netlist(DeviceNetwork(net))
    for n in range(4):
        supply, model = re.search(rf"^X0_{n} v0_{n} o0_{n} (\S+) (\S+)$", text, re.M).groups()
        assert float(re.search(rf"^V\S+ {supply} 0 (\S+)$", text, re.M)[1]) == device.v_dd[n] and f".subckt {model} " in text
        bridge = re.search(rf"^Aspike0_{n} \[x0_{n}\.gate\] \[a0_{n}\] (\S+)$", text, re.M)[1]
        levels = re.search(rf"^\.model {bridge} adc_bridge\(in_low=(\S+) in_high=(\S+) ", text, re.M).groups()
        assert [float(level) for level in levels] == pytest.approx([device.v_th[n]] * 2, rel=1e-9)


def test_rows_are_driven_by_the_stages_of_their_delays(toy):
    text, hidden = spice_network.netlist(DeviceNetwork(toy)), toy.layers[0]
    assert np.any(hidden.delay != hidden.delay_rec)
    for n in range(hidden.size):
        for row, delay in ((f"Arow0_{n}", hidden.delay[n]), (f"Arec0_{n}", hidden.delay_rec[n])):
            assert re.search(rf"^{row} \[q0_{n}_{delay}\] ", text, re.M)


@pytest.mark.parametrize(("dt", "longest"), [(1e-3, 2e-5), (1e-2, 0.02 / presets.ZHAO2025_FIG2.gamma1)])
def test_a_decks_steps_follow_the_network_step_and_the_fastest_loss(dt, longest):
    step = StepParams(presets.ZHAO2025_FIG2, dt=dt, substeps=16)
    net = NetDescription((Layer(0, "dense", (1,), 1, np.array([[128]], np.int32), neuron=M1T1RNeuron(step)),))
    text = spice_network.deck(DeviceNetwork(net), np.ones((7, 1), int))
    every, end, start, most = map(float, re.search(r"^\.tran (\S+) (\S+) (\S+) (\S+) uic$", text, re.M).groups())
    assert (every, end, start, most) == pytest.approx((longest, 7 * dt, 0, longest), rel=1e-6, abs=0)
    fast = step.replace(device=replace(step.device, gamma1=np.array([1.0, 50.0]) * step.device.gamma1))
    last = Layer(1, "dense", (2,), 1, np.array([[128], [128]], np.int32), neuron=M1T1RNeuron(fast))
    text = spice_network.deck(DeviceNetwork(NetDescription((*net.layers, last))), np.ones((7, 1), int))
    assert float(re.search(r"^\.tran (\S+) ", text, re.M)[1]) == pytest.approx(0.02 / (50 * step.device.gamma1), rel=1e-6)


@spice
def test_ngspice_draws_the_read_noise_of_all_rows_anew_for_each_pattern(rng):
    """Ten times that of the cells above, so that it moves spikes and sums by far more than the two differ."""
    net = nets.NetDescription((nets.layer(rng, 0, 20, 3, scale=2), nets.layer(rng, 1, 3, 2, "affine")))
    frames = nets.frames(rng, net, steps=30, rate=0.3, largest=2)
    network, still = (DeviceNetwork(net, Cells(read_noise=noise), seed=3) for noise in (0.1, 0.0))
    ours, theirs = network.run(frames), spice_run.run_network(network, spice_network.sources(network, frames), frames, timeout=220)
    assert spice_run.compare(net, ours, theirs)["ngspice, first spikes compared"] >= 3
    for a, b, quiet in zip(ours, theirs, still.run(frames), strict=True):
        np.testing.assert_allclose(b.scores, a.out.sum(axis=0), atol=0.1)
        assert np.abs(a.layers[0].volts - quiet.layers[0].volts).max() > 0.1


@spice
def test_a_wrong_circuit_is_found_out(toy, monkeypatch, tmp_path):
    text = spice_network.netlist(DeviceNetwork(toy))
    weak = re.sub(r"(Bsum0_\d+ v0_\d+ 0 V = min\(max\()", r"\g<1>0.9*", text)
    monkeypatch.setattr(spice_network, "netlist", lambda network: weak)
    assert weak.count("max(0.9*") == 16
    with pytest.raises(VerificationError, match="ngspice"):
        TARGETS["spice"](toy, tmp_path / "out", frames=patterns(1)[0], cells="ideal")
    assert not (tmp_path / "out").exists()


@spice
def test_the_written_decks_run_by_themselves(toy, tmp_path):
    frames, labels = patterns(4)
    report = TARGETS["spice"](toy, tmp_path / "out", frames=frames, labels=labels, patterns=1, cells="ideal")
    assert report.facts["ngspice against the device level"] == "1 pattern, same classes"
    assert report.facts["accuracy of the hardware"] >= 0.75
    assert set(report.files) == {"network.cir", "pattern_0.cir", "report.html", "report.json"}
    subprocess.run(["ngspice", "-b", "-r", "out.raw", "pattern_0.cir"], cwd=tmp_path / "out", check=True, capture_output=True, timeout=220)
    table = ngspice.read_raw(tmp_path / "out" / "out.raw")
    assert table[-1, 0] == pytest.approx(0.4) and table.shape[1] == 1 + 16 + 4
    assert "energy of the drivers [J]" in (tmp_path / "out" / "report.html").read_text()


def test_a_large_network_is_simulated_but_not_in_ngspice(shipped, rng, tmp_path, monkeypatch):
    monkeypatch.setattr("lava_1m1t1r.export.spice_target.run_network", None)
    frames = (rng.random((2, 30, shipped.inputs)) < 0.06).astype(np.uint8)
    report = TARGETS["spice"](shipped, tmp_path / "out", frames=frames, patterns=1)
    energy = report.facts["energy an inference [J]"]
    parts = [report.facts[f"energy of the {part} [J]"] for part in ("neurons", "crossbar", "drivers")]
    assert energy == pytest.approx(sum(part["total"] for part in parts)) and min(part["total"] for part in parts) > 0
    assert any("ngspice was not run" in note and "91008" in note for note in report.notes)
    text = (tmp_path / "out" / "network.cir").read_text()
    assert text.count("\nX0_") == 128 and text.count("\nRp0_") == 128 * (560 + 128 + 3)


def test_without_ngspice_the_message_says_what_to_install(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(spice_target, "DeviceNetwork", None)  # before the work, which may take minutes
    with pytest.raises(MissingDependencyError, match="apt-get install ngspice"):
        TARGETS["spice"](toy, tmp_path / "out", frames=patterns(1)[0])
    assert not (tmp_path / "out").exists()


@spice
def test_the_device_of_figure_4_runs_on_ideal_cells(tmp_path):
    """Its 2 V on small gates: where charges are asked for too finely, rounding stops ngspice at the first edge."""
    step = StepParams(presets.ZHAO2025_FIG4, v_unit=1.0, v_in_max=2.5)
    net = NetDescription((Layer(0, "dense", (1,), 1, np.array([[128]], np.int32), neuron=M1T1RNeuron(step)),))
    report = TARGETS["spice"](net, tmp_path / "out", frames=np.ones((1, 60, 1), int), patterns=1, cells="ideal")
    assert report.facts["ngspice, first spikes compared"] == 1
    assert report.facts["ngspice, largest deviation of a first spike"] < 1e-3


@spice
def test_rows_that_spike_in_the_first_step_stop_no_analysis(rng, tmp_path):
    """Many rows at once, on ideal cells: a ramp from 0 would be too steep at time 0, where nothing is in equilibrium yet."""
    net = runpy.run_path(str(DEPLOY.parent / "example.py"))["network"]()
    frames = (rng.random((1, 5, net.inputs)) < 0.3).astype(np.uint8)
    assert frames[0, 0].any()
    report = TARGETS["spice"](net, tmp_path / "out", frames=frames, patterns=1, cells="ideal")
    assert report.facts["ngspice, first spikes compared"] > 10


@spice
@pytest.mark.parametrize("differs", [1, pytest.param(2, marks=pytest.mark.slow)])  # times
def test_where_ngspice_differs_both_are_run_again_more_accurately(differs, toy, tmp_path, monkeypatch, capsys):
    compared, own = [], spice_target.compare

    def compare(net, ours, theirs):
        compared.append((ours[0], theirs[0]))
        if len(compared) <= differs:
            raise VerificationError("A spike is late.")
        return own(net, ours, theirs)

    monkeypatch.setattr(spice_target, "compare", compare)
    deploy = partial(TARGETS["spice"], toy, tmp_path / "out", frames=patterns(1)[0], patterns=1, cells="ideal")
    if differs > 1:
        with pytest.raises(VerificationError, match=r"^A spike is late\.\nWith patterns=0"):
            deploy()
        assert not (tmp_path / "out").exists()
    else:
        facts = deploy().facts
        assert facts["ngspice, relative tolerance of steps, tightened to agree"] == pytest.approx(1e-8)
        assert "reltol=1e-08" in (tmp_path / "out/pattern_0.cir").read_text() and facts["ngspice, first spikes compared"] > 0
    assert "A spike is late. Both are run again, more accurately." in capsys.readouterr().err and len(compared) == 2
    (loose, coarse), (tight, fine) = compared
    assert fine.points > 1.5 * coarse.points
    spikes = [np.concatenate([times for layer in sample.layers for times in layer.spike_times]) for sample in (loose, tight)]
    assert 0 < np.abs(spikes[1] - spikes[0]).max() < 1e-4


def test_programming_errors_follow_the_seed_that_is_given(toy, tmp_path):
    reports = [TARGETS["spice"](toy, tmp_path / f"{n}", seed=seed) for n, seed in enumerate((1, 1, 2))]
    one, same, other = ((report.folder / "network.cir").read_text() for report in reports)
    assert one == same != other


def test_a_second_run_that_fails_hides_no_difference(toy, tmp_path, monkeypatch):
    """It is of the same circuit."""
    ran = []

    def run_network(network, *_):
        ran.append((network.seed, network.cells))
        if network.rtol < 1e-6:
            raise ToolFailed("ngspice took too long.")

    def compare(*_):
        raise VerificationError("A spike is late.")

    monkeypatch.setattr(spice_target, "run_network", run_network)
    monkeypatch.setattr(spice_target, "compare", compare)
    monkeypatch.setattr(spice_target, "require_ngspice", lambda: None)
    with pytest.raises(VerificationError, match=r"^A spike is late\. More accurately, it could not be run: ngspice took too") as raised:
        TARGETS["spice"](toy, tmp_path / "out", frames=patterns(1)[0], patterns=1, cells="wan2022", seed=3)
    assert ran == [(3, CELLS["wan2022"])] * 2
    assert not isinstance(raised.value, ToolFailed) and not (tmp_path / "out").exists()


def test_a_failing_ngspice_fails_the_check_and_not_the_command(toy, tmp_path, monkeypatch, capsys):
    fake = tmp_path / "bin" / "ngspice"
    fake.parent.mkdir()
    noise = "Note: nothing\nTotal DRAM available = 1 MB." + "\nStack = 0 bytes." * 99
    fake.write_text(f"#!/bin/sh\necho '{noise}'\necho no convergence >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:/usr/bin:/bin")
    with pytest.raises(VerificationError, match=r"^ngspice failed: no convergence\nWith patterns=0 .* without being run\.$"):
        TARGETS["spice"](toy, tmp_path / "out", frames=patterns(1)[0])
    assert not (tmp_path / "out").exists()
    assert "pattern_0.cir" not in TARGETS["spice"](toy, tmp_path / "out", frames=patterns(1)[0], patterns=0).files


@spice
def test_a_simulation_that_takes_too_long_is_ended(toy, tmp_path):
    """The limit is a pattern's: fewer patterns would end as this one did."""
    cure = r"Give shorter samples, or more time \(timeout, --timeout\)\."
    with pytest.raises(VerificationError, match=rf"did not end within 0\.2 s\. {cure}"):
        TARGETS["spice"](toy, tmp_path / "out", frames=patterns(1)[0], timeout=0.2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cells": "wan"}, "cells must be one of ideal, wan2022, falcone2025, or Cells; got 'wan'"),
        ({"patterns": -1}, "patterns must be a whole number >= 0"),
        ({"patterns": True}, "patterns must be a whole number >= 0"),
        ({"labels": [1]}, "labels must come with frames"),
        ({"frames": np.zeros((2, 5, 8)), "labels": [1], "patterns": 0}, r"labels must have shape \(2,\)"),
        pytest.param(
            {"frames": np.zeros((1, 5, 8)), "labels": [0.5]}, "labels must hold whole numbers from 0 to 3, one for each output", marks=spice
        ),
        pytest.param({"frames": np.zeros((1, 5, 8)), "labels": [4]}, "labels must hold whole numbers from 0 to 3", marks=spice),
        pytest.param({"frames": np.full((1, 5, 8), 1.5)}, "frames must hold whole spike counts from 0 to 32767", marks=spice),
    ],
)
def test_wrong_options_are_refused(options, words, toy, tmp_path):
    with pytest.raises(InputError, match=words):
        TARGETS["spice"](toy, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_numbers_may_be_numpys(toy, tmp_path):
    report = TARGETS["spice"](toy, tmp_path / "out", frames=np.zeros((2, 3, 8)), labels=[0.0, 3.0], patterns=np.int64(0))
    assert not any(name.startswith("pattern") for name in report.files) and "classes" not in report.facts


def test_names_of_classes_are_in_the_report(toy, tmp_path):
    TARGETS["spice"](replace(toy, classes=tuple("abcd")), tmp_path / "out")
    assert json.loads((tmp_path / "out/report.json").read_text())["facts"]["classes"] == list("abcd")


def test_differences_are_named(toy):
    ours = DeviceNetwork(toy, IDEAL).run(patterns(1)[0])
    times = tuple([t.copy() for t in layer.spike_times] for layer in ours[0].layers)
    same = spice_run.SpiceSample(times, ours[0].out.sum(axis=0), 1)
    assert spice_run.compare(toy, ours, [same])["ngspice, largest deviation of a first spike"] == 0
    with pytest.raises(VerificationError, match="answers class"):
        spice_run.compare(toy, ours, [replace(same, scores=-same.scores)])
    sums = np.array([100.0, 99.98, 0.0, 0.0])
    told = [replace(ours[0], out=sums[None])]
    with pytest.raises(VerificationError, match="ngspice answers class 1 to pattern 0, the device level 0"):
        spice_run.compare(toy, told, [replace(same, scores=sums[[1, 0, 2, 3]])])
    n = next(i for i, t in enumerate(times[0]) if len(t))
    late = [t * 1.02 if i == n else t for i, t in enumerate(times[0])]
    with pytest.raises(VerificationError, match=rf"2\.00% off \(pattern 0, layer 0, neuron {n}\)"):
        spice_run.compare(toy, ours, [replace(same, spike_times=(late,))])
    lost = [t[:0] if i == n else t for i, t in enumerate(times[0])]
    # within the first hundredth of a step, the edges of the deck may be a large share of the time
    shifted = times[0][n][0] - 1e-3 * toy.dt, times[0][n][0] - 0.98e-3 * toy.dt
    early, later = ([t - shift if i == n else t for i, t in enumerate(times[0])] for shift in shifted)
    soon = [replace(ours[0], layers=(replace(ours[0].layers[0], spike_times=early),))]
    worst = spice_run.compare(toy, soon, [replace(same, spike_times=(later,))])["ngspice, largest deviation of a first spike"]
    assert worst == pytest.approx(2e-3, rel=1e-6)  # and not 2 %
    with pytest.raises(VerificationError, match=rf"neuron {n} fires \d times, in ngspice 0"):
        spice_run.compare(toy, ours, [replace(same, spike_times=(lost,))])
    silent = [replace(ours[0], layers=(replace(ours[0].layers[0], spike_times=lost),))]
    with pytest.raises(VerificationError, match=rf"neuron {n} fires 0 times, in ngspice {len(times[0][n])} times"):
        spice_run.compare(toy, silent, [same])


def test_a_rate_may_differ_by_five_percent_and_one_that_differs_by_more_is_told(toy, monkeypatch):
    ours = DeviceNetwork(toy, IDEAL).run(patterns(1)[0])
    times, scores = ours[0].layers[0].spike_times, ours[0].out.sum(axis=0)
    total, firing = sum(map(len, times)), int(np.argmax([len(t) for t in times]))

    def compared(more):
        theirs = [np.append(t, 1.0 + np.arange(more)) if n == firing else t for n, t in enumerate(times)]
        return spice_run.compare(toy, ours, [spice_run.SpiceSample((theirs,), scores, 1)])

    none = [t[:0] for t in times]
    silent = replace(ours[0], layers=(replace(ours[0].layers[0], spike_times=none),))
    quiet = spice_run.compare(toy, [silent], [spice_run.SpiceSample((none,), scores, 1)])
    assert quiet["ngspice, largest deviation of a layer's rate"] == 0
    few = int(0.05 * total)
    assert compared(few)["ngspice, largest deviation of a layer's rate"] == few / total
    for many in (few + 1, total):
        with pytest.raises(VerificationError, match=rf"first spikes are up to 0\.00% off \(\), a layer's rate {many / total:.2%}"):
            compared(many)
    monkeypatch.setattr(spice_run, "RATE", 1.0)
    assert compared(1)["ngspice, largest deviation of a layer's rate"] == 1 / total
    assert compared(1)["ngspice, spikes of each layer"] == {"layer 0": f"{total + 1} (device level {total})"}
    second = replace(toy, layers=tuple(replace(layer, index=layer.index + 1) for layer in toy.layers))  # by their numbers in the file
    assert "layer 1" in spice_run.compare(second, ours, [spice_run.SpiceSample((times,), scores, 1)])["ngspice, spikes of each layer"]


def test_spikes_of_ngspice_are_rises_above_each_neurons_own_threshold_and_count_behind_its_delay():
    """Two gates that rise alike; the second neuron's spike leaves after the end."""
    device = replace(presets.ZHAO2025_FIG2, v_th=np.array([0.2, 0.4]))
    weight = np.full((2, 1), 128, np.int32)
    net = NetDescription((Layer(0, "dense", (2,), 1, weight, delay=np.array([1, 4]), neuron=M1T1RNeuron(StepParams(device))),))
    table = np.array([[0.0, 0.0, 0.0], [1e-3, 0.5, 0.5], [5e-3, 0.0, 0.0]])
    found = spice_run._sample(DeviceNetwork(net), table, 5)
    np.testing.assert_allclose(np.concatenate(found.spike_times[0]), [0.4e-3, 0.8e-3])
    assert found.scores.tolist() == [1, 0]


@pytest.mark.parametrize("fits", [True, False])
def test_a_network_of_the_most_synapses_runs_in_ngspice(fits, toy, tmp_path, monkeypatch):
    synapses = 16 * sum(rows_of(toy.layers[0])) + 4 * sum(rows_of(toy.layers[1]))
    monkeypatch.setattr(spice_target, "LARGEST", synapses - (not fits))
    monkeypatch.setattr(spice_target, "require_ngspice", lambda: None)
    monkeypatch.setattr(spice_target, "_proven", lambda network, files, *_: (files, {"proven": True}))
    report = TARGETS["spice"](toy, tmp_path / "out", frames=patterns(1)[0])
    assert report.facts.get("proven", False) == fits and any(f"this one has {synapses}" in note for note in report.notes) != fits


def test_results_of_ngspice_that_are_cut_are_refused(tmp_path):
    header = b"Title: x\nNo. Variables: 2\nNo. Points: 3\nBinary:\n"
    whole = header + np.arange(6.0).astype("<f8").tobytes()
    (tmp_path / "a.raw").write_bytes(whole)
    np.testing.assert_array_equal(ngspice.read_raw(tmp_path / "a.raw"), np.arange(6.0).reshape(3, 2))
    unknown = whole.replace(b"Points: 3", b"Points: 0")  # as on a full disk, where it is told at the end
    for cut, points in ((whole[:-16], 2), (whole[:-1], 2), (unknown, 3), (unknown[:-1], 2), (header, 0), (header[:20], 0), (b"", 0)):
        (tmp_path / "a.raw").write_bytes(cut)
        with pytest.raises(ToolFailed, match=rf"ngspice's output a.raw is cut after {points} points. Is there room .*TMPDIR"):
            ngspice.read_raw(tmp_path / "a.raw")


def test_facts_of_several_patterns_are_means(toy):
    frames = patterns(4)[0]
    samples = DeviceNetwork(toy).run(frames)
    fixed = answers(FastNetwork(toy).run(frames).out)
    one = np.zeros_like(samples[0].out)
    one[:, fixed[0]] = 1.0
    same = np.mean(fixed == fixed[0])
    facts = spice_target.measured(toy, frames, [replace(sample, out=one) for sample in samples], fixed)
    assert facts["accuracy of the fixed-point network"] == 1.0 and facts["accuracy of the hardware"] == same < 1
    assert facts["same class as the fixed-point network"] == same and facts["samples simulated at the device level"] == 4
    assert facts["spikes of the neurons an inference"] == np.mean([s.layers[0].spikes.sum() for s in samples])
    parts = [facts[f"energy of the {part} [J]"] for part in ("neurons", "crossbar", "drivers")]
    assert parts[1]["cells"] == parts[1]["total"] == pytest.approx(np.mean([s.energy["crossbar"]["cells"] for s in samples]), abs=0)
    assert parts[2]["total"] == pytest.approx(np.mean([sum(s.energy["drivers"].values()) for s in samples]), abs=0)
    assert facts["energy an inference [J]"] == pytest.approx(sum(part["total"] for part in parts), abs=0)


def test_facts_of_the_circuit_are_those_of_its_crossbars(toy):
    network = DeviceNetwork(toy, Cells(programming_error=0.02))
    facts = spice_target.facts_of(network)
    hidden, readout = network.crossbars
    assert facts["crossbar cells"] == 2 * (16 * sum(hidden.rows) + 4 * sum(readout.rows)) and facts["1M1T1R circuits"] == 16
    errors = facts["error of a programmed weight, rms [counts of 1/64]"]
    for name, crossbar in (("layer 0", hidden), ("layer 1", readout)):
        assert errors[name] == pytest.approx(2**0.5 * 0.02 * crossbar.largest, rel=0.25)
    assert facts["feedback resistance of the amplifiers [ohm]"] == {"layer 0": hidden.feedback(toy.layers[0].neuron.step.v_unit)}
    assert facts["flip-flops"] == (2 + toy.layers[0].longest_delays).sum()  # a readout has none
    assert any(note.startswith("The readout's differential currents") for note in spice_target.assumptions(network))
    exact = spice_target.facts_of(DeviceNetwork(toy, Cells()))
    assert set(exact["error of a programmed weight, rms [counts of 1/64]"].values()) == {0.0}


def test_the_assumptions_name_the_devices_and_clip_voltages_of_all_layers(rng):
    first, second, third = nets.layer(rng, 0, 3, 2), nets.layer(rng, 1, 2, 2, v_in_max=0.7), nets.layer(rng, 2, 2, 2)
    other = nets.layer(rng, 3, 2, 1, device=presets.ZHAO2025_FIG4, v_in_max=2.0)
    network = DeviceNetwork(NetDescription((first, second, third, other)))
    assert any(note.startswith("The class is the output with the most spikes") for note in spice_target.assumptions(network))
    notes = [note for note in spice_target.assumptions(network) if note.startswith("Devices of")]
    assert [re.search("of layers (.*?): Dev", note)[1] for note in notes] == ["0, 2", "1", "3"]
    assert [re.search("v_in_max (.*) V", note)[1] for note in notes] == ["1.2", "0.7", "2"]
    assert repr(presets.ZHAO2025_FIG2) in notes[1] and repr(presets.ZHAO2025_FIG4) in notes[2]


@pytest.mark.slow
@pytest.mark.train
@spice
def test_the_example_trains_deploys_and_agrees(tmp_path):
    call = lambda *words: subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, timeout=900)  # noqa: E731
    done = call(DEPLOY / "train.py", tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    files = [tmp_path / name for name in ("toy.net", "toy_frames.npy", "toy_labels.npy")]
    done = call(DEPLOY / "deploy.py", files[0], "-o", tmp_path / "out", "--frames", files[1], "--labels", files[2])
    assert done.returncode == 0, done.stderr[-2000:]
    assert "4 patterns, same classes" in done.stdout


def twins(readout):
    """Two equal neurons, and a readout whose outputs are equal where its rows' sums are."""
    neuron = M1T1RNeuron(StepParams(presets.ZHAO2025_FIG2, dt=2e-3))
    hidden = Layer(0, "dense", (2,), 2, np.full((2, 2), 254, np.int32), neuron=neuron)
    return NetDescription((hidden, Layer(1, "affine", (len(readout),), 2, np.array(readout, np.int32))))


@pytest.mark.parametrize("readout", [[[70, 43], [39, 74], [113, 0]], [[30, 50], [14, 66]], [[14, 66], [30, 50], [40, 40]]])
def test_of_equal_outputs_the_device_level_answers_the_first_too(readout, rng):
    frames = (rng.random((1, 30, 2)) < 0.3).astype(np.uint8)
    net = twins(readout)
    assert FastNetwork(net).run(frames).out.sum() > 0
    assert DeviceNetwork(net).run(frames)[0].answer == answers(FastNetwork(net).run(frames).out)[0] == 0


@spice
def test_equal_outputs_are_no_disagreement_with_ngspice(tmp_path, rng):
    frames = (rng.random((1, 30, 2)) < 0.3).astype(np.uint8)
    for i, readout in enumerate(([[30, 50], [14, 66]], [[14, 66], [30, 50], [40, 40]])):
        spice_target.deploy_spice(twins(readout), tmp_path / str(i), frames=frames, cells="ideal")
        assert (tmp_path / str(i)).is_dir()
