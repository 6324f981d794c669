"""Generated Verilog: every spike and state under Icarus and Verilator, clean lint, Yosys, and the stated clock cycles."""

import re
import shutil
import subprocess
from dataclasses import replace
from importlib import resources
from pathlib import Path
from types import SimpleNamespace

import export_networks as nets
import numpy as np
import pytest

from lava_1m1t1r import StepParams, presets
from lava_1m1t1r._support.files import scratch
from lava_1m1t1r.description import Layer, M1T1RNeuron, NetDescription
from lava_1m1t1r.errors import InputError, MissingDependencyError
from lava_1m1t1r.export import names, rtl_source, rtl_target, tools
from lava_1m1t1r.export.plan import plan
from lava_1m1t1r.fast import FastNetwork
from lava_1m1t1r.program import PER_NEURON

TEMPLATES = resources.files("lava_1m1t1r.export") / "templates"


verilator = pytest.mark.needs("verilator")


def drawn(net, lanes=4, name="net"):
    return rtl_source.sources(plan(net), "A drawn network.", name, lanes)


@pytest.mark.needs("iverilog")
@pytest.mark.parametrize(("name", "lanes"), [(name, (1, 4)[i % 2]) for i, name in enumerate(nets.NETWORKS)])
def test_icarus_gives_all_spikes_and_states(name, lanes, rng):
    net = nets.network(name, rng)
    found = nets.simulated(net, drawn(net, lanes), nets.frames(rng, net, steps=40))
    assert "all equal" in found["simulated by icarus"]


def test_constants_stand_where_the_neuron_takes_them_apart():
    """Fields of the word of constants, bit 0 first: names and widths of rtl_source and of the Verilog."""
    text = (TEMPLATES / "m1t1r_neuron.v").read_text()
    wires = re.findall(r"wire (?:signed )?(?:\[(\d+):0\] )?([a-z0-9_, ]+);", text.partition("assign {")[0])
    widths = {name: int(top or 0) + 1 for top, names in wires for name in names.split(", ")}
    (taken,) = re.findall(r"assign \{([a-z0-9_,\s]+)\} = constants;", text)
    names = re.split(r",\s+", taken)[::-1]
    assert tuple((name, widths[name]) for name in names) == rtl_source._FIELDS
    assert set(names) == set(PER_NEURON)
    for module, words in (("m1t1r_neuron.v", "constants,"), ("m1t1r_layer.v", "constants_memory["), ("m1t1r_layer.v", "constants;")):
        assert f"[{rtl_source.CONSTANT_BITS - 1}:0] {words}" in (TEMPLATES / module).read_text()


@verilator
@pytest.mark.parametrize("name", ["recurrent_with_delays", "noisy_unequal_with_readout"])
def test_verilator_gives_all_spikes_and_states(name, rng):
    net = nets.network(name, rng)
    found = nets.simulated(net, drawn(net), nets.frames(rng, net, steps=300), "verilator")
    assert "all equal" in found["simulated by verilator"]


@pytest.mark.parametrize(
    "simulator", [pytest.param("verilator", marks=verilator), pytest.param("icarus", marks=pytest.mark.needs("iverilog"))]
)
def test_sums_of_both_signs_are_written_as_numbers(simulator, rng):
    """5.048 of Verilator shows bits above the width of a signed wire that is written directly."""
    readout = np.array([[60] * 7, [-60] * 7, [40, -40, 40, -40, 40, -40, 40]], np.int32)
    net = NetDescription((nets.layer(rng, 0, 13, 7, scale=4), Layer(1, "affine", (3,), 7, readout)))
    frames = nets.frames(rng, net, steps=40, rate=0.8)
    out = FastNetwork(net).run(frames).out
    assert out.min() < 0 < out.max()
    assert "all equal" in nets.simulated(net, drawn(net), frames, simulator)[f"simulated by {simulator}"]


@pytest.mark.slow
@verilator
def test_a_whole_utterance_through_700_128R_20(rng):
    net = NetDescription((nets.layer(rng, 0, 700, 128, "dense_rec", delays=15, scale=1.2), nets.layer(rng, 1, 128, 20, scale=2, delays=3)))
    frames = nets.utterance(1e-3)
    found = nets.simulated(net, drawn(net), frames, "verilator")
    print(found)
    assert f"{frames.shape[1]} steps" in found["simulated by verilator"] and " 0 spikes" not in found["simulated by verilator"]
    assert found["cycles a step, largest"] < 50_000  # 1 ms at 50 MHz


@pytest.mark.needs("iverilog")
@pytest.mark.parametrize("noise", [False, True])
def test_clock_cycles_are_those_stated(noise, rng):
    net = NetDescription((nets.layer(rng, 0, 13, 7, "dense_rec", delays=3, noise=noise),))
    frames = nets.frames(rng, net, steps=80, samples=1, largest=1)
    found = nets.simulated(net, drawn(net), frames)
    spikes = FastNetwork(net).run(frames, record="all").layers[0].spikes[0]
    late = 1 + net.layers[0].delay_rec
    own = np.array([sum(int(spikes[t - late[n], n]) for n in range(7) if t >= late[n]) for t in range(80)])
    stated = rtl_source.frame_cycles(plan(net).layers[0], 4, frames[0].sum(axis=1), own)
    # Output frame t + 1 ends with step t; the first two ends belong to the reset and to step 0.
    assert found["cycles a step, mean"] == pytest.approx(stated[2:-1].mean(), abs=0.5)
    assert found["cycles a step, largest"] == stated[2:-1].max()


@pytest.mark.needs("iverilog")
def test_the_largest_step_may_be_a_samples_first_and_lanes_are_advised_where_they_help(tmp_path):
    neuron = M1T1RNeuron(StepParams(presets.ZHAO2025_FIG2, v_unit=0.25, substeps=1))
    lines = Layer(0, "delay_lines", (200,), 50, delay=np.arange(200, dtype=np.int32) % 63)
    nets_of = {
        "plain": NetDescription((Layer(0, "dense", (4,), 100, np.full((4, 100), 2), neuron=neuron),)),
        "lines": NetDescription((lines, Layer(1, "dense", (4,), 200, np.full((4, 200), 2), neuron=neuron))),
    }
    for name, net in nets_of.items():
        found = {}
        for at in (0, 1, 10):
            frames = np.zeros((1, 24, net.inputs), int)
            frames[:, at : at + 1] = 3
            of_lanes = [rtl_target.deploy_rtl(net, tmp_path / f"{name}{at}-{k}", frames=frames, simulator="icarus", clock_hz=1e5, lanes=k)
                        for k in (1, 64)]  # fmt: skip
            found[at] = [report.facts["cycles a step, largest"] for report in of_lanes]
            helped = found[at][1] / 1e5 < net.dt
            assert any(note.endswith("or more lanes.") for note in of_lanes[0].notes) == helped
        assert len({tuple(cycles) for cycles in found.values()}) == 1, found
        assert not any(note.endswith("or more lanes.") for note in of_lanes[1].notes)


@pytest.mark.parametrize("lanes", [1, 4])
def test_the_largest_step_is_of_the_layer_that_most_spikes_reach(rng, lanes):
    layers = nets.layer(rng, 0, 13, 9, scale=4, delays=3), nets.layer(rng, 1, 9, 30, "dense_rec", delays=3, scale=4)
    net = NetDescription(layers)
    frames, lowered = nets.frames(rng, net, steps=60, samples=1, rate=0.5), plan(net)
    records = FastNetwork(net).run(frames, record="spikes").layers
    first, second = (record.spikes[0].astype(int) for record in records)
    assert first.any() and second.any()

    def before(spikes, t, delay):
        return sum(int(spikes[t - 1 - late, n]) for n, late in enumerate(delay) if t > late)

    cycles = [int(rtl_source.frame_cycles(lowered.layers[0], lanes, frames[0, t].sum())) for t in range(60)] + [
        int(
            rtl_source.frame_cycles(
                lowered.layers[1], lanes, before(first, t, layers[0].axonal_delays), before(second, t, layers[1].delay_rec)
            )
        )
        for t in range(60)
    ]
    assert rtl_target.largest_step(lowered, lanes, frames, records) == max(cycles) > cycles[-1]
    assert max(cycles[60:]) > max(cycles[:60])


@pytest.mark.needs("iverilog")
def test_input_neurons_with_recurrent_weights_are_those_of_the_network():
    neuron = M1T1RNeuron(StepParams(presets.ZHAO2025_FIG2, v_unit=0.25, substeps=1))
    weight_rec = np.array([[0, -200], [-200, 0]])
    net = NetDescription((Layer(0, "input", (2,), 2, np.array([220]), weight_rec=weight_rec, neuron=neuron),))
    frames = np.zeros((1, 200, 2), int)
    frames[:, ::2] = 1
    frames[:, :, 1] *= np.arange(200) % 5 > 0
    assert FastNetwork(net).run(frames).out.any()
    assert "all equal" in nets.simulated(net, drawn(net), frames)["simulated by icarus"]


@pytest.mark.needs("iverilog")
def test_clock_cycles_are_counted_beyond_32_bits(rng):
    """The mean of a proof of so many cycles was negative."""
    net = NetDescription((nets.layer(rng, 0, 3, 2, scale=5, substeps=1),))
    frames, sources = nets.frames(rng, net, steps=20, samples=1), drawn(net)
    late = sources | {"bench.v": sources["bench.v"].replace("cycle = 0;", "cycle = 2147482647;")}
    assert late != sources
    from_start, later = (nets.simulated(net, files, frames) for files in (sources, late))
    assert later["cycles a step, mean"] == from_start["cycles a step, mean"] > 0


@pytest.mark.needs("iverilog")
def test_clock_cycles_of_a_readout_are_those_stated(rng):
    """With more sums than the layer before it has work."""
    net = NetDescription((nets.layer(rng, 0, 5, 2, scale=5, substeps=1), nets.layer(rng, 1, 2, 90, "affine")))
    frames = nets.frames(rng, net, steps=60, samples=1, rate=0.4)
    found = nets.simulated(net, drawn(net, 2), frames)
    readout = plan(net).layers[1]
    spikes = FastNetwork(net).run(frames, record="all").layers[0].spikes[0].sum(axis=1)
    stated = rtl_source.frame_cycles(readout, 2, spikes)
    assert spikes.max() > 0 and stated.min() == 2 * 90 + 3
    assert found["cycles a step, largest"] == stated.max() and found["cycles a step, mean"] == pytest.approx(stated.mean(), rel=0.1)


@pytest.mark.needs("iverilog")
def test_clock_cycles_of_input_neurons_are_those_stated(rng):
    """They have no rows of weights: a spike takes as long however many they are. The one weight may be negative."""
    neuron = M1T1RNeuron(StepParams(presets.ZHAO2025_FIG2, substeps=1))
    net = NetDescription((Layer(0, "input", (9,), 9, np.array([-200]), bias=np.full(9, 600, np.int32), neuron=neuron),))
    frames = nets.frames(rng, net, steps=40, samples=1)
    stated = rtl_source.frame_cycles(plan(net).layers[0], 4, frames[0].sum(axis=1))
    assert rtl_source.spike_cycles(plan(net).layers[0], 4) == 3 and stated.max() > stated.min()
    found = nets.simulated(net, drawn(net), frames)
    assert found["cycles a step, mean"] == pytest.approx(stated[2:-1].mean(), abs=0.5)
    assert found["cycles a step, largest"] == stated[2:-1].max()


@pytest.mark.needs("iverilog")
def test_the_largest_biases_there_are_keep_their_signs(rng):
    """Beyond the 13 bits of a file; spikes bring what the lowest ones take away."""
    bias = np.array([32767, -32767, 16384, -16384, 4096, -4096], np.int32)
    net = NetDescription((replace(nets.layer(rng, 0, 2, 6), weight=np.full((6, 2), 254, np.int32), bias=bias),))
    frames = np.tile([[0, 0], [17, 0], [65, 1], [129, 1]], (10, 1))[None]
    run = FastNetwork(net).run(frames, record="all").layers[0]
    assert run.states["v_gate"][0].any(0).all()
    assert "all equal" in nets.simulated(net, drawn(net), frames)["simulated by icarus"]


@pytest.mark.needs("iverilog")
def test_clock_cycles_of_delay_lines_are_those_stated(rng):
    """More lines than a neuron of one substep has cycles: the layer waits for them, and the output comes at their pace."""
    lines = Layer(0, "delay_lines", (28,), 7, delay=rng.integers(0, 9, 28).astype(np.int32))
    net = NetDescription((lines, replace(nets.layer(rng, 1, 28, 1, substeps=1), weight=np.ones((1, 28), np.int32))))
    frames = nets.frames(rng, net, steps=60, samples=1, rate=0.3)
    stated = rtl_source.lines_cycles(plan(net), frames[0])
    assert stated.min() > 3 * 28 and stated.max() > stated.min() + 20
    found = nets.simulated(net, drawn(net), frames)
    assert found["cycles a step, mean"] == pytest.approx(stated[2:-1].mean(), abs=1)


def test_cycles_of_the_report_are_those_of_its_lanes_and_layers(rng, tmp_path):
    net = NetDescription((nets.layer(rng, 0, 3, 50, "dense_rec"), nets.layer(rng, 1, 50, 2)))
    first, second = plan(net).layers
    for lanes, words in ((1, (50, 2)), (16, (4, 1))):
        facts = rtl_target.deploy_rtl(net, tmp_path / f"{lanes}", lanes=lanes).facts
        assert facts["cycles more a spike"] == {first.name: words[0] + 2, second.name: words[1] + 2}
        empty = {layer.name: int(rtl_source.frame_cycles(layer, lanes, 0)) for layer in (first, second)}
        assert facts["cycles of a frame without spikes"] == empty and facts["network step [s]"] == net.dt


@pytest.mark.needs("iverilog")
def test_more_spikes_than_delay_lines_can_count_are_refused_and_the_most_are_counted(rng, tmp_path):
    lines = Layer(0, "delay_lines", (4,), 2, delay=np.array([0, 1, 2, 0], np.int32))
    net = NetDescription((lines, replace(nets.layer(rng, 1, 4, 3), weight=np.ones((3, 4), np.int32))))
    frames = np.zeros((1, 6, 2), np.int16)
    frames[0, 1:3] = 255
    assert "all equal" in nets.simulated(net, drawn(net), frames)["simulated by icarus"]
    frames[0, 1, 0] = 256
    with pytest.raises(InputError, match="frames must hold spike counts of at most 255"):
        rtl_target.deploy_rtl(net, tmp_path / "out", frames=frames, simulator="icarus")


@pytest.mark.needs("iverilog")
def test_several_networks_may_be_in_one_design(rng):
    """Their memories have files of their own, and the modules m1t1r_* are the same for all."""
    one, other = (nets.network(name, rng) for name in ("noisy_unequal_with_readout", "behind_delay_lines"))
    a, b = drawn(one, name="ear"), drawn(other, name="eye")
    shared = a.keys() & b.keys() - {"bench.v"}
    assert shared == set(rtl_source.MODULES) and all(a[file] == b[file] for file in shared)
    for net, files in ((one, b | a), (other, a | b)):
        assert "all equal" in nets.simulated(net, files, nets.frames(rng, net, steps=40))["simulated by icarus"]


@pytest.mark.needs("iverilog")
def test_names_of_classes_are_in_the_report_and_in_comments(rng, tmp_path):
    names_of = ('a"*/', "\u2603\\", "`include @NAME@")
    net = replace(nets.network("recurrent_with_delays", rng), classes=names_of)
    report = rtl_target.deploy_rtl(net, tmp_path / "out", frames=np.ones((1, 3, 13), int), simulator="icarus")
    text = (tmp_path / "out/net.v").read_text()
    assert report.facts["classes"] == list(names_of) and '// Output 0: "a\\"*/"\n// Output 1: "\\u2603\\\\"\n' in text
    assert "// layer_0: layer 0 (dense_rec, 13 -> 7)" in text


def lint(sources):
    """Messages of Verilator's lint about the design, with nothing switched off that a user would have to switch off."""
    with scratch() as folder:
        tools.write_sources(sources, folder)
        verilog = [file for file in sources if file.endswith(".v") and file != "bench.v"]
        return tools.ended(["verilator", "--lint-only", "-Wall", "--top-module", "net", *verilog], folder).stderr.decode()


@verilator
@pytest.mark.parametrize("name", nets.NETWORKS)
def test_lint_is_clean(name, rng):
    assert lint(drawn(nets.network(name, rng))) == ""


@verilator
def test_lint_is_clean_with_a_negative_weight_of_input_neurons(rng):
    net = nets.network("input_neurons_odd_weights_and_average", rng)
    first = net.layers[0]
    assert first.kind == "input" and first.weight is not None
    assert lint(drawn(replace(net, layers=(replace(first, weight=-np.abs(first.weight)), *net.layers[1:])))) == ""


def lined(rng, channels, copies, longest):
    delay = rng.integers(0, longest + 1, channels * copies).astype(np.int32)
    delay[-1] = longest
    lines = Layer(0, "delay_lines", (delay.size,), channels, delay=delay)
    return NetDescription((lines, nets.layer(rng, 1, delay.size, 3, scale=3)))


@verilator
@pytest.mark.needs("iverilog")
@pytest.mark.parametrize(("channels", "copies", "longest"), [(1, 1, 0), (1, 3, 5), (4, 2, 62), (8, 1, 1), (5, 2, 9)])
def test_delay_lines_of_any_number_of_channels(channels, copies, longest, rng):
    """Where channels fill their number's bits, each number is one of them."""
    net = lined(rng, channels, copies, longest)
    assert lint(drawn(net)) == ""
    if channels in (1, 4):
        found = nets.simulated(net, drawn(net, 1), nets.frames(rng, net, steps=80, rate=0.4))
        assert "all equal" in found["simulated by icarus"]


@pytest.mark.needs("iverilog")
def test_a_wrong_design_is_found_out(rng):
    net = nets.network("recurrent_with_delays", rng)
    files = drawn(net)
    files["m1t1r_neuron.v"] = files["m1t1r_neuron.v"].replace("charged > v_th && gate <= v_th", "charged > v_th")
    with pytest.raises(rtl_target.VerificationError, match="RTL's (output|spike|gate) differs first|RTL's output differs"):
        nets.simulated(net, files, nets.frames(rng, net, steps=50))


@pytest.mark.needs("iverilog")
@pytest.mark.parametrize("what", ["outputs", "states", "cycles"])
def test_a_result_that_a_full_disk_cut_is_no_proof_and_no_fault_of_the_design(what, rng, monkeypatch):
    net = nets.network("recurrent_with_delays", rng)

    def cut(command, folder):
        ran = call(command, folder)
        if command[0] == "vvp":
            path = Path(folder, f"{what}.txt")
            path.write_bytes(path.read_bytes()[:-1])
        return ran

    call = rtl_target.call
    monkeypatch.setattr(rtl_target, "call", cut)
    with pytest.raises(rtl_target.ToolFailed, match=rf"icarus left {what}.txt without the end of sample 1. Is there room .*TMPDIR"):
        nets.simulated(net, drawn(net), nets.frames(rng, net, steps=20))


def test_what_differs_is_named_by_its_place():
    expected = "1 2 \nend\n3 \n4 \n5 \nend\n"
    rtl_target._compare_outputs(expected, expected)
    for text, place in (
        ("1 3 \nend\n", "sample 0, step 0"),
        ("1 2 \nend\n3 \n4 \n6 \nend\n", "sample 1, step 2"),
        ("1 2 \nend\n3 \n4 \n", "sample 1, step 2"),
    ):
        with pytest.raises(rtl_target.VerificationError, match=f"differs from the network's first in {place}"):
            rtl_target._compare_outputs(text, expected)


def test_states_that_differ_are_named_by_what_they_are():
    spikes = np.array([[[0, 1], [1, 0]]])
    states = {name: 10 * k + np.arange(4).reshape(1, 2, 2) for k, name in enumerate(("filament", "residue", "gate"), 1)}
    layers = [SimpleNamespace(spikes=spikes, states=states), SimpleNamespace(spikes=None)]
    rows = [[0, n, spikes[0, t, n], *(values[0, t, n] for values in states.values())] for t in range(2) for n in range(2)]
    text = lambda: "\n".join(" ".join(map(str, row)) for row in rows) + "\nend\n"  # noqa: E731
    assert rtl_target._compare_states(text(), layers) == 3 * 4
    for column, what in enumerate(("order", "spike", "filament", "residue", "gate"), 1):
        rows[3][column] += 5
        with pytest.raises(rtl_target.VerificationError, match=f"The RTL's {what} differs first in sample 0, layer 0, step 1, neuron 1."):
            rtl_target._compare_states(text(), layers)
        rows[3][column] -= 5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"frames": np.ones((1, 4, 1), int)},
            "needs verilator, which is not on the path. Install it, or leave frames",
        ),
        ({"frames": np.ones((1, 4, 1), int), "simulator": "icarus"}, "The proof by simulation needs iverilog, which"),
        ({"synthesise": True}, "needs yosys, which is not on the path. Install Yosys, or leave"),
    ],
)
def test_tools_that_are_absent_are_named_and_nothing_is_written(options, words, rng, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(rtl_target, "plan", None)  # before the work, which may take minutes
    with pytest.raises(MissingDependencyError, match=words):
        rtl_target.deploy_rtl(nets.network("one_neuron", rng), tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.needs("yosys")
def test_yosys_maps_it_to_an_fpga(rng):
    found = rtl_target.cells(drawn(nets.network("one_neuron", rng)), "net")
    assert 1000 < found["4-input LUTs"] < 4000 and found["18 x 18 multipliers"] >= 4 and found["18 kbit memory blocks"] >= 4
    sites = found["4-input LUTs"] + 2 * found["carry cells"] + 4 * found["16 x 4 bit LUT memories"]
    assert found["LUT sites, before placement"] == sites and found["carry cells"] > 0


@pytest.mark.parametrize("line", ["     {1:<30} {0:>6}", " {0:>8}   {1}", " {0:>8} {0:>8}   {1}"])
def test_cells_are_counted_in_the_tables_of_old_and_new_versions_of_yosys(line):
    counts = {"cells": 459, "$mem_v2": 3, "CCU2C": 21, "LUT4": 310, "PFUMX": 5, "TRELLIS_FF": 123}
    table = "=== net ===\n\n" + "\n".join(line.format(count, name) for name, count in counts.items()) + "\n\n"
    for name in ("$mem_v2", "CCU2C", "LUT4", "TRELLIS_FF"):
        assert rtl_target._count(name.replace("$", "[$]"), table) == counts[name]
    assert rtl_target._count("DP16KD", table) == 0


@pytest.mark.slow
@pytest.mark.needs("yosys")
@pytest.mark.needs("iverilog")
def test_the_gates_that_yosys_makes_give_the_same_outputs(rng, tmp_path):
    net = NetDescription((nets.layer(rng, 0, 3, 2, "dense_rec", delays=2, scale=8),))
    frames = nets.frames(rng, net, steps=30, samples=1, rate=0.5)
    for name, text in (drawn(net, 1) | rtl_target.bench_files(FastNetwork(net), frames)).items():
        kept = [line for line in text.splitlines() if "dut.layer_" not in line]  # the gates have no layers to look into
        (tmp_path / name).write_text("\n".join(kept) + "\n")
    modules = " ".join(["net.v", *rtl_source.MODULES])
    # Registers of the data path have no reset: they wake up with any value, which gates, unlike a simulator's unknowns, get rid of.
    start = f"setundef -random {rng.integers(1, 1000)} -init"
    gates = f"hierarchy -top net; proc; flatten; opt; memory -nomap; techmap; opt; {start}; abc -g simple; opt_clean"
    subprocess.run(["yosys", "-q", "-p", f"read_verilog {modules}; {gates}; write_verilog -noattr gates.v"], cwd=tmp_path, check=True)
    subprocess.run(["iverilog", "-g2005", "-s", "bench", "-o", "sim", "bench.v", "gates.v"], cwd=tmp_path, check=True)
    subprocess.run(["vvp", "-n", "sim"], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    outputs = (tmp_path / "outputs.txt").read_text()
    assert outputs == (tmp_path / "expected.txt").read_text() and any(c.isdigit() for c in outputs)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lanes": 3}, "lanes must be a power of two from 1 to 64; got 3"),
        ({"name": "Net"}, "name must be a lower-case Verilog identifier"),
        ({"name": "bench"}, "name must not be taken by the bench, a port, a wire of the design or a tool; got 'bench'. Call it my_bench"),
        ({"name": "clk"}, "name must not be taken by"),
        ({"name": "reg"}, "name must not be a keyword of Verilog or SystemVerilog; got 'reg'. Call it my_reg"),
        ({"name": "m1t1r_fifo"}, "does not begin with m1t1r_"),
        ({"name": "a" * 300}, "of at most 200 characters"),
        pytest.param({"frames": np.full((1, 4, 1), np.nan)}, "frames must hold whole spike counts", marks=verilator),
        pytest.param({"frames": np.zeros((0, 4, 1))}, "frames must hold at least one sample", marks=verilator),
        pytest.param({"frames": np.full((1, 4, 1), 0.5)}, "frames must hold whole spike counts", marks=verilator),
        ({"clock_hz": 0}, r"clock_hz \(--clock\) must be a finite number and > 0"),
        ({"simulator": "modelsim"}, "simulator must be one of verilator, icarus"),
        ({"simulator": ["verilator"]}, "simulator must be one of verilator, icarus"),
        ({"synthesise": "no"}, "synthesise must be True or False"),
    ],
)
def test_wrong_options_are_refused(options, words, rng, tmp_path):
    with pytest.raises(InputError, match=words):
        rtl_target.deploy_rtl(nets.network("one_neuron", rng), tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_ports_of_the_top_module_are_no_names_for_it():
    text = (TEMPLATES / "net.v").read_text()
    ports = set(re.findall(r"^ +(?:input|output) +wire +(?:\[.*\] +)?(\w+)", text, re.MULTILINE))
    assert len(ports) == 10 and ports <= names.TAKEN


@pytest.mark.parametrize("name", ["recurrent_with_delays", "noisy_unequal_with_readout"])
def test_wires_of_the_top_module_are_no_names_for_it(name, rng):
    """Verilator says that they hide it."""
    declared = re.findall(r"^ +wire (?:\[.*?\] )?([\w, ]+);", drawn(nets.network(name, rng))["net.v"], re.MULTILINE)
    wires = {wire for line in declared for wire in line.split(", ")} - names.TAKEN
    assert len(wires) > 8
    for wire in wires:
        with pytest.raises(InputError, match="a wire of the design"):
            names.verilog_module(wire)


@pytest.mark.needs("iverilog")
def test_keywords_are_refused_because_no_tool_parses_them(tmp_path):
    """And a name that only resembles one is taken."""
    assert len(names.KEYWORDS) == 248  # of IEEE 1800-2017
    for word in ("table", "module", "logic", "checker"):
        (tmp_path / "a.v").write_text(f"module {word}(input wire a); endmodule\n")
        assert subprocess.run(["iverilog", "-g2012", "-o", "a", "a.v"], cwd=tmp_path, stderr=subprocess.DEVNULL).returncode
    assert names.verilog_module("my_table") == "my_table"


@pytest.mark.parametrize(
    ("cycles", "dt", "told"), [(3954, 1e-3, "3.96"), (2260, 1e-3, "2.26"), (123456, 1e-5, "12400"), (7001, 0.3, "0.0234")]
)
def test_the_clock_that_is_told_is_fast_enough(cycles, dt, told):
    notes = rtl_target._late(cycles, 1e3, dt, cycles, cycles)
    assert f"needs a clock of {told} MHz" in notes[0] and rtl_target._late(cycles, float(told) * 1e6, dt, cycles, cycles) == []


@pytest.mark.needs("iverilog")
def test_samples_too_short_to_count_cycles_are_compared_all_the_same(rng, tmp_path):
    net = nets.network("one_neuron", rng)
    report = rtl_target.deploy_rtl(net, tmp_path / "out", frames=np.ones((2, 2, 1), int), simulator="icarus")
    assert report.facts["simulated by icarus"].startswith("4 steps") and not any("a step" in name for name in report.facts)
    assert any("Cycles a step are not known" in note for note in report.notes)
    report = rtl_target.deploy_rtl(net, tmp_path / "out", frames=np.ones((2, 3, 1), int), simulator="icarus")
    assert report.facts["cycles a step, mean"] > 0 and report.facts["time a step, mean [s]"] > 0


@pytest.mark.needs("iverilog")
def test_a_clock_too_slow_for_the_largest_step_is_told_and_samples_without_spikes_are(rng, tmp_path):
    net = nets.network("one_neuron", rng)
    given = {"frames": np.array([1, 1, 3, 0, 1, 0, 2, 1]).reshape(1, 8, 1), "simulator": "icarus"}
    slow, fast = (rtl_target.deploy_rtl(net, tmp_path / f"{clock:g}", clock_hz=clock, **given) for clock in (1e3, 1e9))
    assert any("live input needs a clock of" in note for note in slow.notes) and not any("live input" in note for note in fast.notes)
    share = slow.facts["cycles a step, largest"] / 1e3 / net.dt
    told = re.search("live input needs a clock of ([0-9.]+) MHz, or fewer substeps, neurons a layer or delay lines", " ".join(slow.notes))
    assert told and share * 1e-3 <= float(told[1]) < 1.01 * share * 1e-3
    resting = max(slow.facts["cycles of a frame without spikes"].values())
    assert resting < slow.facts["cycles a step, largest"]
    between = rtl_target.deploy_rtl(net, tmp_path / "between", clock_hz=1.01 * resting / net.dt, **given)
    assert any(note.endswith(" MHz, or fewer substeps, neurons a layer or delay lines.") for note in between.notes)  # one neuron: one lane
    assert between.facts["time a sample, mean [s]"] == pytest.approx(8 * between.facts["time a step, mean [s]"])
    assert slow.notes[0].startswith("Times assume a clock of 0.001 MHz") and fast.notes[0].startswith("Times assume a clock of 1000 MHz")
    assert slow.facts["time a step, mean [s]"] == slow.facts["cycles a step, mean"] / 1e3 < slow.facts["cycles a step, largest"] / 1e3
    assert slow.facts["largest step, share of the network's step"] == pytest.approx(share)
    silent = rtl_target.deploy_rtl(net, tmp_path / "silent", frames=np.zeros((1, 5, 1), int), simulator="icarus")
    assert "Nothing spikes: other samples would test more" in silent.facts["simulated by icarus"]


@pytest.mark.needs("iverilog")
def test_a_reset_takes_as_long_as_is_stated(rng, tmp_path):
    """The first frame out is that of the reset."""
    wide = NetDescription((nets.layer(rng, 0, 3, 90, scale=3),))
    summed = NetDescription((nets.layer(rng, 0, 1, 1, scale=5), nets.layer(rng, 1, 1, 600, "affine")))
    for name, net in (("wide", wide), ("summed", summed), ("lines", lined(rng, 30, 2, 9))):
        frames = nets.frames(rng, net, steps=4, samples=1)
        report = rtl_target.deploy_rtl(net, tmp_path / name, frames=frames, simulator="icarus")
        tools.call(
            ["iverilog", "-g2005", "-o", "bench.vvp", "-s", "bench", *(f for f in report.files if f.endswith(".v"))], tmp_path / name
        )
        tools.call(["vvp", "-n", "bench.vvp"], tmp_path / name)
        first, second = (int(cycle) for cycle in (tmp_path / name / "cycles.txt").read_text().split()[:2])
        stated = report.facts["cycles of a reset"]
        assert stated == {"wide": 2 * 90 + 1, "summed": 600 / 4, "lines": 30 * (9 + 2) + 1}[name]
        if name != "lines":
            work = int(rtl_source.frame_cycles(plan(net).layers[1], 4, 0)) if name == "summed" else 0
            assert stated + work <= first <= stated + work + 12
        else:  # the first frame that waits for the delay lines, and for the layer behind them
            work = int(rtl_source.lines_cycles(plan(net), frames[0, :1])[0]) + int(rtl_source.frame_cycles(plan(net).layers[0], 4, 30))
            assert stated <= second <= stated + work + 12


@pytest.mark.needs("iverilog")
def test_too_large_counts_are_refused(rng, tmp_path):
    net = nets.network("recurrent_with_delays", rng)
    frames = np.full((1, 1, net.inputs), rtl_source.input_limit(plan(net)) + 1)
    with pytest.raises(InputError, match="frames must hold spike counts of at most"):
        rtl_target.deploy_rtl(net, tmp_path / "out", frames=frames, simulator="icarus")


@pytest.mark.needs("iverilog")
def test_a_field_beyond_seventeen_bits_is_looked_up_where_it_is():
    # V_MAX below 2^17 and a stretch of nearly two: the field's table has its end beyond 2^17
    device = replace(presets.ZHAO2025_FIG2, v0=np.array([0.3, 0.3, 0.2]), v_ref=1.2)
    neuron = M1T1RNeuron(StepParams(device, dt=1e-3, v_unit=0.25, v_in_max=7.0))
    net = NetDescription((Layer(0, "dense", (3,), 3, np.eye(3, dtype=np.int32) * 254, neuron=neuron),))
    assert plan(net).layers[0].program.field_top >= 1 << 17
    frames = (np.arange(0, 40, 2)[None, :, None] * np.ones((1, 1, 3))).astype(np.int16)
    assert "all equal" in nets.simulated(net, drawn(net), frames)["simulated by icarus"]
    if shutil.which("verilator"):
        assert lint(drawn(net)) == ""


@pytest.mark.needs("iverilog")
def test_a_gate_at_the_threshold_is_not_above_it():
    net, frames = nets.at_the_threshold()
    files = drawn(net)
    assert "all equal" in nets.simulated(net, files, frames)["simulated by icarus"]
    for wrong in ("charged >= v_th && gate <= v_th", "charged > v_th && gate < v_th"):
        changed = files["m1t1r_neuron.v"].replace("charged > v_th && gate <= v_th", wrong)
        with pytest.raises(rtl_target.VerificationError, match="RTL's output differs"):
            nets.simulated(net, files | {"m1t1r_neuron.v": changed}, frames)


@pytest.mark.needs("iverilog")
def test_the_most_substeps_there_are(rng):
    net = NetDescription((nets.layer(rng, 0, 2, 2, scale=8, substeps=64),))
    assert "all equal" in nets.simulated(net, drawn(net), nets.frames(rng, net, steps=12, rate=0.6))["simulated by icarus"]


@pytest.mark.needs("iverilog")
def test_delay_lines_count_no_more_than_they_hold(rng):
    """The counter of a channel stays at its largest value."""
    net = lined(rng, 2, 1, 1)
    weights = net.layers[1].weight
    net = NetDescription((net.layers[0], replace(net.layers[1], weight=np.ones_like(weights))))
    frames = np.zeros((1, 5, 2), np.int16)
    frames[0, 0], frames[0, 2] = (255, 40), (3, 255)
    more = np.where(frames == 255, 300, frames)
    network = FastNetwork(net)
    files, ran = drawn(net) | rtl_target.bench_files(network, frames), network.run(frames, record="all")
    for given in (frames, more):
        files["frames.txt"] = rtl_target._tokens(given)
        assert "all equal" in rtl_target.simulate(ran, files, "icarus")["simulated by icarus"]


@pytest.mark.needs("iverilog")
@pytest.mark.parametrize("size", [2, 3, 4])
def test_queues_hold_a_frame_in_which_all_neurons_spike(size, rng):
    """And its end."""
    neuron = M1T1RNeuron(StepParams(presets.ZHAO2025_FIG2, dt=4e-3, v_unit=0.25))
    weight, weight_rec = np.full((size, 2), 112, np.int32), np.full((size, size), 100, np.int32)
    net = NetDescription((Layer(0, "dense_rec", (size,), 2, weight, weight_rec, neuron=neuron), nets.layer(rng, 1, size, 2, "affine")))
    frames = np.ones((1, 20, 2), np.int16)
    assert FastNetwork(net).run(frames, record="all").layers[0].spikes.all(axis=2).any()
    assert "all equal" in nets.simulated(net, drawn(net), frames)["simulated by icarus"]


@pytest.mark.needs("iverilog")
def test_a_layer_that_waits_for_the_one_behind_it_sends_itself_each_spike_once():
    """The one behind it has more neurons, and so takes longer than the queue between them lasts."""
    neuron = M1T1RNeuron(StepParams(presets.ZHAO2025_FIG2, dt=4e-3, v_unit=0.25))
    weight, weight_rec = np.full((3, 2), 112, np.int32), np.array([[0, 40, -90], [-90, 0, 40], [40, -90, 0]], np.int32)
    first = Layer(0, "dense_rec", (3,), 2, weight, weight_rec, neuron=replace(neuron, step=neuron.step.replace(substeps=1)))
    net = NetDescription((first, Layer(1, "dense", (12,), 3, np.full((12, 3), 100, np.int32), neuron=neuron)))
    frames = np.ones((1, 30, 2), np.int16)
    assert FastNetwork(net).run(frames, record="all").layers[0].spikes.sum() > 10
    assert "all equal" in nets.simulated(net, drawn(net), frames)["simulated by icarus"]


STALLS = """
    // Whoever takes the output pauses at times, shortly and for longer than a frame's work; meanwhile a token must stay as it is.
    reg out_ready = 1'b0, waited = 1'b0, ended = 1'b0;
    reg [31:0] offered = 0;
    integer dice = 1, pause = 0;
    always @(negedge clk) begin
        if (pause > 0) pause = pause - 1;
        else if ($urandom(dice) % 100 == 0) pause = $urandom(dice) % 3000;
        out_ready = pause == 0 && $urandom(dice) % 3 == 0;
    end
    always @(posedge clk) begin
        if (waited && !rst && (!out_valid || out_last != ended || out_data != offered)) $fwrite(outputs, "changed ");
        waited <= out_valid && !out_ready && !rst;
        ended <= out_last;
        offered <= out_data;
    end
"""


@pytest.mark.needs("iverilog")
@pytest.mark.parametrize("readout", [False, True])
def test_tokens_wait_until_they_are_taken_and_may_come_at_any_time(readout, rng):
    """Through delay lines, recurrence, a second layer and a readout: a pause at the output reaches the input."""
    lines = Layer(0, "delay_lines", (9,), 3, delay=np.array([0, 4, 2, 1, 1, 0, 3, 5, 0], np.int32))
    neuron = M1T1RNeuron(StepParams(presets.ZHAO2025_FIG2, dt=4e-3, v_unit=0.25, substeps=1))
    weight, weight_rec = rng.choice([30, 60, 90], (7, 9)).astype(np.int32), rng.integers(-30, 60, (7, 7)).astype(np.int32)
    delay = rng.integers(0, 3, (2, 7)).astype(np.int32)
    first = Layer(1, "dense_rec", (7,), 9, weight, weight_rec, delay=delay[0], delay_rec=delay[1], neuron=neuron)
    weight = rng.choice([120, 160, 200], (5, 7)).astype(np.int32)
    last = Layer(2, "dense", (5,), 7, weight, delay=np.array([0, 1, 3, 2, 0], np.int32), neuron=neuron)
    net = NetDescription((lines, first, last, *([nets.layer(rng, 3, 5, 6, "affine")] if readout else [])))
    files, frames = drawn(net), nets.frames(rng, net, steps=25, rate=0.7)
    gap = "in_valid = 1'b0; if ($urandom(dice) % 4 == 0) repeat ($urandom(dice) % 50) @(negedge clk); in_valid = 1'b1;"
    changes = (
        (".out_ready(1'b1)", ".out_ready(out_ready)"),
        ("if (!rst && out_valid) begin", "if (!rst && out_valid && out_ready) begin"),
        ("in_valid = 1'b1;", gap),
        ("    always #5 clk = !clk;\n", "    always #5 clk = !clk;\n" + STALLS),
    )
    for old, new in changes:
        assert files["bench.v"].count(old) == 1
        files["bench.v"] = files["bench.v"].replace(old, new)
    assert FastNetwork(net).run(frames).out.any((0, 1)).sum() > 2
    found = nets.simulated(net, files, frames)
    assert "all equal" in found["simulated by icarus"] and found["cycles a step, largest"] > 2000


@pytest.mark.needs("iverilog")
def test_a_frame_that_ends_before_the_memories_are_cleared_waits(rng):
    """In each sample: the reset after one must not leave behind that the layer has run."""
    net = NetDescription((nets.layer(rng, 0, 3, 40, scale=6),))
    frames = nets.frames(rng, net, steps=12, samples=3, rate=0.8)
    frames[:, 0] = 0
    assert rtl_source.reset_cycles(plan(net), 4) > 4 * rtl_source.words(plan(net).layers[0], 4)
    assert "all equal" in nets.simulated(net, drawn(net), frames)["simulated by icarus"]


RESETS = """
module tb;
    reg clk = 0, rst = 1, in_valid = 0, in_last = 0, out_now = 0;
    reg [@MSB@:0] in_addr = 0;
    wire in_ready, out_valid, out_last;
    wire [@OUT@:0] out_data;
    integer pre, t, n, taken;
    always #5 clk = !clk;
    net dut (.clk(clk), .rst(rst), .in_valid(in_valid), .in_ready(in_ready), .in_last(in_last), .in_addr(in_addr),
             .out_valid(out_valid), .out_ready(1'b1), .out_last(out_last), .out_data(out_data));
    always @(posedge clk) if (out_now && !rst && out_valid) begin
        if (out_last) begin $write("; "); taken = taken + 1; end else $write("%0d ", out_data);
    end
    // a token: held until a rising edge takes it
    reg accepted;
    always @(posedge clk) accepted <= in_valid && in_ready;
    task give(input last, input integer channel); begin
        in_valid = 1; in_last = last; in_addr = channel;
        @(negedge clk);
        while (!accepted) @(negedge clk);
        in_valid = 0;
    end endtask
    always @(posedge clk) if (rst && (in_ready || out_valid)) $write("passed in reset; ");
    initial begin
        repeat (4) @(negedge clk); rst = 0;
        for (pre = 0; pre < @TIMES@; pre = pre + 1) begin
            in_valid = 1; in_addr = 1; in_last = 0;
            for (t = 0; t < 100 + pre; t = t + 1) begin in_last = (t % 3) == 2; @(negedge clk); end
            in_last = 0; in_addr = 0; rst = 1; @(negedge clk); rst = 0;  // one cycle, in which the first spike waits
            out_now = 1; taken = 0;
            for (t = 0; t < 9; t = t + 1) begin
                for (n = 0; n < 2; n = n + 1) give(0, n);
                give(0, @UNKNOWN@);
                give(1, 0);
            end
            while (taken < 10) @(negedge clk);
            out_now = 0; $write("\\n");
        end
        $finish;
    end
endmodule
"""


@pytest.mark.needs("iverilog")
@pytest.mark.parametrize(
    "lines",
    [pytest.param((), marks=pytest.mark.slow), (Layer(0, "delay_lines", (6,), 3, delay=np.array([0, 2, 1, 1, 0, 3], np.int32)),)],
    ids=["no delay lines", "delay lines"],
)
def test_a_reset_of_one_cycle_at_any_time_and_channels_that_are_not_there(lines, tmp_path):
    # 3 channels have numbers of 2 bits: number 3 is none of them, and its row would be that of a recurrent spike
    copies = 1 + len(lines)
    weight, weight_rec = np.full((2, 3 * copies), 112 // copies, np.int32), np.array([[0, 254], [254, 0]], np.int32)
    neuron = M1T1RNeuron(StepParams(presets.ZHAO2025_FIG2, dt=4e-3, v_unit=0.25, substeps=4))
    net = NetDescription((*lines, Layer(1, "dense_rec", (2,), 3 * copies, weight, weight_rec, neuron=neuron)))
    for file, text in drawn(net).items():
        (tmp_path / file).write_text(text)
    bench = RESETS.replace("@MSB@", "1").replace("@OUT@", "0").replace("@TIMES@", "250").replace("@UNKNOWN@", "3")
    (tmp_path / "tb.v").write_text(bench)
    sources = [p.name for p in tmp_path.glob("*.v") if p.name != "bench.v"]
    subprocess.run(["iverilog", "-g2005", "-s", "tb", "-o", "tb.vvp", *sources], cwd=tmp_path, check=True, timeout=220)
    done = subprocess.run(["vvp", "-n", "tb.vvp"], cwd=tmp_path, check=True, timeout=220, capture_output=True, text=True)
    frames = np.zeros((1, 10, 3), np.uint8)
    frames[0, :9, :2] = 1
    spikes = FastNetwork(net).run(frames).out[0]
    wanted = "".join("".join(f"{n} " for n in np.flatnonzero(frame)) + "; " for frame in spikes)
    assert spikes.sum() > 2
    assert [line for line in done.stdout.splitlines() if ";" in line] == [wanted] * 250


@pytest.mark.parametrize("name", nets.NETWORKS)
@pytest.mark.parametrize("lanes", [1, 16])
def test_the_memories_that_are_stated_are_those_that_are_written(name, lanes, rng):
    lowered = plan(nets.network(name, rng))
    files = rtl_source.sources(lowered, "A drawn network.", "net", lanes)
    stated = rtl_target.memory_bits(lowered, lanes)
    words = {path: len(text.split()) for path, text in files.items() if path.endswith(".hex")}
    used = re.findall(r'"(\w+\.hex)"', files["net.v"])  # once for each memory that holds it
    tables = [path for path in used if path.split("_")[1] in ("field", "inverse", "charge", "drop", "root")]
    assert stated["tables"] == 57 * sum(words[path] for path in tables)
    wide = {k: 1 if layer.single else lanes for k, layer in enumerate(lowered.layers)}
    assert stated["weights"] == 8 * sum(words[f"net_weights_{k}.hex"] * wide[k] for k in wide if f"net_weights_{k}.hex" in words)
    if lowered.lines is not None:
        counts = int(re.search(r"FRAMES\((\d+)\)", files["net.v"])[1]) << int(re.search(r"IN_BITS\((\d+)\), .LINES", files["net.v"])[1])
        assert stated["delay lines"] == 8 * counts + words["net_delays.hex"] * rtl_source.address_bits(int(lowered.lines.max()) + 2)
    each = []
    for parameters in re.findall(r"m1t1r_(?:fifo|weigh|layer) #\((.*)\) ", files["net.v"]):
        numbers = re.findall(r"\.(\w+)\((\d[\d +]*)\)", parameters)
        each.append({name: sum(map(int, value.split(" + "))) for name, value in numbers})
    assert stated["sums"] == sum(x["SUM_BITS"] * x["WORDS"] * x["LANES"] for x in each if "WORDS" in x)
    assert stated["states"] == sum((70 + x["HISTORY"] + 32 * x["NOISE"]) * x["OUTPUTS"] for x in each if "HISTORY" in x)
    assert stated["queues"] == sum(x["WIDTH"] << x["LOG_DEPTH"] for x in each if "WIDTH" in x)
    width = {"constants": 169, "wiring": 28, "generators": 32}
    assert stated["constants"] == sum(width[path.split("_")[1]] * words[path] for path in used if path.split("_")[1] in width)


def test_verilator_is_not_asked_to_build_where_make_cannot(rng, tmp_path, monkeypatch):
    monkeypatch.setattr(rtl_target, "gettempdir", lambda: "/tmp/my files")
    monkeypatch.setattr(rtl_target, "require_program", lambda *_: None)
    net = NetDescription((nets.layer(rng, 0, 3, 4),))
    with pytest.raises(InputError, match="have no white space in its name, for verilator's make; got '/tmp/my files'. Name another"):
        rtl_target.deploy_rtl(net, tmp_path / "out", frames=np.ones((1, 4, net.inputs), int))
    monkeypatch.setattr(rtl_target, "simulate", lambda *_: {})
    written = rtl_target.deploy_rtl(net, tmp_path / "out", frames=np.ones((1, 4, net.inputs), int), simulator="icarus").files
    assert "net.v" in written  # icarus can
