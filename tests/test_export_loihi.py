"""Loihi-style: resources counted by hand, limits with sources, a pack whose traces and parameters are those of the network."""

import importlib.util
import json
from dataclasses import replace

import export_networks as nets
import numpy as np
import pytest

from lava_1m1t1r import StepParams, presets
from lava_1m1t1r.arithmetic import unpack
from lava_1m1t1r.budget import budget
from lava_1m1t1r.convolution import Convolution
from lava_1m1t1r.description import CubaNeuron, Layer, M1T1RNeuron, NetDescription
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.export import loihi_limits, loihi_resources
from lava_1m1t1r.export.frames import drawn
from lava_1m1t1r.export.loihi_target import _fit_together, deploy_loihi, unlike_in_netx
from lava_1m1t1r.export.read_back import same
from lava_1m1t1r.fast import FastNetwork
from lava_1m1t1r.netx import schema
from lava_1m1t1r.program import PER_NEURON, SCALARS, TABLES


def verdicts(folder):
    """What is needed of each limit, and by which layer, as the written pack has it."""
    return {row["limit"]: row for row in json.loads((folder / "resources.json").read_text())["limits"]}


def test_resources_are_those_counted_by_hand():
    weight = np.array([[2, 0, 4], [6, 8, 0]])
    first = Layer(0, "dense_rec", (2,), 3, weight, np.array([[0, 2], [2, 2]]), None, np.array([3, 0]), None, CubaNeuron(1, 1, 9))
    last = Layer(1, "dense", (1,), 2, np.array([[2, 2]]), neuron=CubaNeuron(1, 1, 9))
    a, b = loihi_resources.layer_resources(NetDescription((first, last)))
    assert (a.neurons, a.fan_in, a.fan_out, a.synapses) == (2, 4, 3, 7)
    assert (a.axons_in, a.axons_out, a.largest_delay) == (5, 4, 3)
    assert a.synapse_bits == 7 * 8  # its delays are on what it sends: they are stored with the next layer's synapses
    assert (b.fan_in, b.fan_out, b.synapses, b.synapse_bits) == (2, 0, 2, 2 * (8 + 6))
    assert a.cores == b.cores == 1


def test_a_neuron_hears_by_rows_and_feeds_by_columns():
    first = Layer(0, "dense_rec", (2,), 3, np.array([[2, 0, 4], [0, 8, 0]]), np.array([[0, 0], [2, 2]]), neuron=CubaNeuron(1, 1, 9))
    last = Layer(1, "dense", (1,), 2, np.array([[2, 2]]), neuron=CubaNeuron(1, 1, 9))
    a, _ = loihi_resources.layer_resources(NetDescription((first, last)))
    assert (a.fan_in, a.fan_out) == (3, 2)


def test_a_readout_has_no_axons_for_recurrent_weights_of_zero(rng):
    net = nets.network("readout_with_recurrent_zeros", rng)
    _, readout = loihi_resources.layer_resources(net)
    assert (readout.axons_in, readout.axons_out) == (5, 3)


def test_bits_and_operations_of_a_layer_are_those_of_its_budget():
    neuron = M1T1RNeuron(StepParams(replace(presets.ZHAO2025_FIG2, sigma1=1e-3)))
    own = Layer(0, "dense", (3,), 2, np.full((3, 2), 2), neuron=neuron)
    cuba = Layer(1, "dense", (2,), 3, np.full((2, 3), 2), neuron=CubaNeuron(1, 1, 9))
    (a, b), cost = loihi_resources.layer_resources(NetDescription((own, cuba))), budget(neuron.step, 3)
    assert a.state_bits == 3 * 24 + 32 and b.state_bits == 2 * 24
    assert (a.constant_bits, a.table_bits) == (sum(cost.constant_bits.values()), sum(cost.table_bits.values()))
    assert (a.operations, a.widest_bits) == (sum(cost.operations.values()), cost.widest_bits)
    assert (b.constant_bits, b.table_bits, b.operations, b.widest_bits) == (0, 0, 0, 24)


def test_cores_follow_from_the_limit_that_binds():
    wide = Layer(0, "dense", (2500,), 2, np.full((2500, 2), 2), neuron=CubaNeuron(1, 1, 9))
    full = Layer(1, "dense", (100,), 2500, np.full((100, 2500), 2), neuron=CubaNeuron(1, 1, 9))
    a, b = loihi_resources.layer_resources(NetDescription((wide, full)))
    assert (a.cores, a.set_by) == (3, loihi_limits.NEURONS.name)
    assert (b.cores, b.set_by) == (2, loihi_limits.SYNAPSE_BITS.name)  # 250,000 synapses of 8 bits in 2^20 bits


def test_no_neuron_is_cut_between_cores():
    """1024 neurons of 4096 synapses of 14 bits: 18 of them fit into a core, and a 19th does not."""
    late = Layer(0, "dense", (4096,), 1, np.full((4096, 1), 2), neuron=CubaNeuron(1, 1, 9), delay=np.ones(4096, int))
    full = Layer(1, "dense", (1024,), 4096, np.full((1024, 4096), 2), neuron=CubaNeuron(1, 1, 9))
    _, layer = loihi_resources.layer_resources(NetDescription((late, full)))
    assert (layer.cores, layer.core_neurons, layer.core_bits) == (57, 18, 18 * 4096 * 14)
    uneven = np.full((1024, 4096), 2)
    uneven[::2] = 0  # so that both limits fill cores, in turn
    uneven[512:] = 0
    _, layer = loihi_resources.layer_resources(NetDescription((late, replace(full, weight=uneven))))
    assert (layer.cores, layer.cores_by[loihi_limits.SYNAPSE_BITS.name]) == (15, 15) and layer.core_bits == 18 * 4096 * 14


def test_every_limit_has_a_source_and_assumed_ones_say_so(rng, tmp_path):
    deploy_loihi(nets.network("recurrent_with_delays", rng), tmp_path / "out")
    text = (tmp_path / "out/resources.txt").read_text()
    limits = [limit for limit in vars(loihi_limits).values() if isinstance(limit, loihi_limits.Limit)]
    for limit in limits:
        assert limit.source and f"{'assumed: ' if limit.assumed else ''}{limit.source}" in text
        assert limit.name in text
    assert "kept   neurons of a core: needs 7 of 1,024 neurons (layer 0; assumed: " in text
    assert len(limits) == 10 and 0 < sum(limit.assumed for limit in limits) < 10


@pytest.mark.parametrize("seed", [-1, 1.5])
def test_a_wrong_seed_is_refused(seed, rng, tmp_path):
    with pytest.raises(InputError, match="seed must be a whole number >= 0"):
        deploy_loihi(nets.network("one_neuron", rng), tmp_path / "out", seed=seed)
    assert not (tmp_path / "out").exists()


def test_state_variables_are_counted_and_generators_told(monkeypatch, rng, tmp_path):
    quiet = deploy_loihi(nets.network("recurrent_with_delays", rng), tmp_path / "quiet")
    noisy = deploy_loihi(nets.network("noisy_unequal_with_readout", rng), tmp_path / "noisy")
    told = "generators of layers 0, 1 have 32 bits, more than the 24 of a state variable: each takes 2 of 16 bits"
    for report, expected in ((quiet, False), (noisy, True)):
        text = (report.folder / "resources.txt").read_text()
        assert (told in text) == any(told in note for note in report.notes) == expected
        assert "kept   bits of a state variable: needs 24 of 24 bits (layer 0; lava-nc" in text
    monkeypatch.setattr(loihi_limits, "STATE_BITS", replace(loihi_limits.STATE_BITS, value=20))
    with pytest.raises(InputError, match=r"layer/0 bits of a state variable must keep to 20 bits .*got 24\."):
        deploy_loihi(nets.network("recurrent_with_delays", rng), tmp_path / "out")


@pytest.mark.parametrize("chips", [1, 2])
def test_a_network_larger_than_its_chips_is_refused(chips, monkeypatch, rng, tmp_path):
    monkeypatch.setattr(loihi_limits, "CORES", replace(loihi_limits.CORES, value=1))
    net = nets.network("recurrent_with_delays", rng)
    if chips == 2:
        facts = deploy_loihi(net, tmp_path / "out", chips=2).facts
        assert facts["cores"] == facts["of"] == 2
        return
    with pytest.raises(InputError, match=r"neuron cores of a chip must keep to 1 cores \(open-neuromorphic.*got 2\. Use smaller layers"):
        deploy_loihi(net, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_too_many_input_axons_are_refused_with_the_layer(tmp_path):
    net = NetDescription((Layer(0, "dense", (1,), 5000, np.full((1, 5000), 2), neuron=CubaNeuron(1, 1, 9)),))
    with pytest.raises(
        InputError, match=r"layer/0 input axons of a core must keep to 4096 axons \(assumed; nengo-loihi.*got 5000. Use fewer inputs"
    ):
        deploy_loihi(net, tmp_path / "out")


def test_a_product_wider_than_the_chips_is_refused(monkeypatch, rng, tmp_path):
    net = nets.network("recurrent_with_delays", rng)
    widest = max(x.widest_bits for x in loihi_resources.layer_resources(net))
    monkeypatch.setattr(loihi_limits, "MULTIPLY_BITS", replace(loihi_limits.MULTIPLY_BITS, value=widest - 1))
    with pytest.raises(InputError, match=rf"bits of a product must keep to {widest - 1} bits .*got {widest}\. Use another neuron"):
        deploy_loihi(net, tmp_path / "out")


@pytest.mark.parametrize("worst", [0, 1])
def test_the_layer_that_comes_nearest_to_a_limit_is_found_whichever_it_is(worst, tmp_path):
    first = Layer(0, "dense", (2,), 2, np.full((2, 2), 2), bias=np.array([1, 0]), neuron=CubaNeuron(1, 1, 9))
    layers = [first, replace(first, index=1)]
    layers[worst] = replace(layers[worst], bias=np.array([4095, 0]))
    deploy_loihi(NetDescription(tuple(layers)), tmp_path / "kept")
    row = verdicts(tmp_path / "kept")["bits of a bias"]
    assert (row["needed"], row["layer"]) == (13, worst)
    layers[worst] = replace(layers[worst], bias=np.array([4096, 0]))
    with pytest.raises(InputError, match=rf"layer/{worst} bits of a bias must keep to 13 bits .*got 14\. Use smaller biases"):
        deploy_loihi(NetDescription(tuple(layers)), tmp_path / "out")


@pytest.mark.parametrize("name", nets.NETWORKS)
def test_the_pack_is_the_network(name, rng, tmp_path):
    """With all its integers and all its states: whoever writes the microcode has nothing else."""
    net = nets.network(name, rng)
    frames = nets.frames(rng, net)
    deploy_loihi(net, tmp_path / "out", frames=frames)
    assert same(schema.read(tmp_path / "out/network.net"), net)
    traces = np.load(tmp_path / "out/handoff/golden.npz")
    run = FastNetwork(schema.read(tmp_path / "out/handoff/network.net")).run(frames, record="all")
    np.testing.assert_array_equal(traces["frames"], frames)
    np.testing.assert_array_equal(traces["out"], run.out)
    parameters = json.loads((tmp_path / "out/handoff/parameters.json").read_text())
    for layer, record in zip(net.active, run.layers, strict=True):
        if layer.neuron is None:
            continue
        for state, values in {"spikes": record.spikes, **record.states}.items():
            np.testing.assert_array_equal(traces[f"layer_{layer.index}_{state}"], values)
        own, step = parameters[f"layer_{layer.index}"], layer.neuron.step
        p = step.fixed(layer.size)
        for constant in PER_NEURON:
            np.testing.assert_array_equal(np.broadcast_to(own["constants"][constant], (layer.size,)), getattr(p, constant))
        assert own["scalars"] == {scalar: int(getattr(p, scalar)) for scalar in SCALARS}
        for table in TABLES:
            for column, values in zip(("base", "step", "exponent"), unpack(getattr(p, table)), strict=True):
                np.testing.assert_array_equal(own["tables"][table][column], values)
        assert (own["neurons"], own["substeps"], own["seed"]) == (layer.size, step.substeps, layer.neuron.seed)
        assert own["largest input [counts]"] == step.v_max_count
        assert float(own["device [SI units]"]["x_max"]) == step.device.x_max  # "inf", which JSON has not
        assert own["step"] == {"dt": step.dt, "v_unit": step.v_unit, "v_in_max": step.v_in_max}


def test_networks_are_the_same_where_all_their_integers_are(rng):
    lines = Layer(0, "delay_lines", (26,), 13, delay=np.arange(26, dtype=np.int32))
    first, last = (replace(layer, index=layer.index + 1) for layer in nets.network("recurrent_with_delays", rng).layers)
    first = replace(first, inputs=26, weight=np.concatenate([first.weight, first.weight], axis=1))
    net = NetDescription((lines, first, last))
    zeros = np.zeros(3, np.int32)
    assert same(net, NetDescription((lines, replace(first, bias=np.zeros(7, np.int32)), replace(last, delay=zeros))))
    step = first.neuron.step
    for changes in (
        *({name: -getattr(first, name)} for name in ("weight", "weight_rec")),
        *({name: getattr(first, name) + 1} for name in ("delay", "delay_rec")),
        {"bias": np.ones(7, np.int32)},
        {"shape": (7, 1)},
        {"neuron": replace(first.neuron, seed=8)},
        *({"neuron": replace(first.neuron, step=step.replace(**change))} for change in ({"substeps": 5}, {"v_unit": 0.2}, {"dt": 2e-3})),
        {"neuron": replace(first.neuron, step=step.replace(device=replace(step.device, mu=step.device.mu * 1.01)))},
    ):
        assert not same(net, NetDescription((lines, replace(first, **changes), last))), changes
    assert not same(net, NetDescription((replace(lines, delay=lines.delay[::-1]), first, last)))
    assert not same(net, replace(net, classes=("a", "b", "c")))
    cuba, other = (NetDescription((Layer(0, "dense", (2,), 1, np.full((2, 1), 2), neuron=CubaNeuron(1, 1, v_th)),)) for v_th in (9, 10))
    assert same(cuba, cuba) and not same(cuba, other)
    assert not same(net, NetDescription((lines, first))) and not same(net, NetDescription((first, last)))


def test_drawn_spikes_have_twenty_a_second_and_a_seed(rng):
    coarse = NetDescription((nets.layer(rng, 0, 40, 2, dt=4e-3),))
    one, again, other = (drawn(coarse, 2, 500, seed) for seed in (1, 1, 2))
    assert one.shape == (2, 500, 40) and one.max() == 1 and one.mean() == pytest.approx(0.08, rel=0.05)
    assert np.array_equal(one, again) and not np.array_equal(one, other)
    stated_by_none = NetDescription((Layer(0, "dense", (1,), 40, np.full((1, 40), 2), neuron=CubaNeuron(1, 1, 9)),))
    assert drawn(stated_by_none, 2, 500, 1).mean() == pytest.approx(0.02, rel=0.1)


def test_golden_traces_are_of_the_seed_that_is_given(rng, tmp_path):
    net = nets.network("recurrent_with_delays", rng)
    folders = [deploy_loihi(net, tmp_path / f"{n}", seed=seed).folder for n, seed in enumerate((1, 1, 2))]
    one, same, other = (np.load(folder / "handoff/golden.npz")["frames"] for folder in folders)
    assert np.array_equal(one, same) and not np.array_equal(one, other)


def test_layers_of_several_cores_are_measured_by_the_core(tmp_path):
    """And biases with their sign, delay lines with their delays, axons of spikes that also return."""
    wide = Layer(0, "dense", (2500,), 2, np.full((2500, 2), 2), bias=np.full(2500, 4095), neuron=CubaNeuron(1, 1, 9))
    report = deploy_loihi(NetDescription((wide,)), tmp_path / "wide")
    needed = {limit: row["needed"] for limit, row in verdicts(tmp_path / "wide").items()}
    assert needed["neurons of a core"] == needed["output axons of a core"] == 1024 and needed["bits of a bias"] == 13
    assert needed["synaptic memory of a core"] == 1024 * 2 * 8
    full = Layer(0, "dense", (100,), 2500, np.full((100, 2500), 2), neuron=CubaNeuron(1, 1, 9))
    facts = deploy_loihi(NetDescription((full,)), tmp_path / "full", frames=np.ones((1, 2, 2500), int)).facts
    assert (facts["cores"], facts["synaptic memory [bits]"]) == (2, 100 * 2500 * 8)
    row = next(line for line in (tmp_path / "full/resources.txt").read_text().splitlines() if line.startswith("  0 dense"))
    assert row.split()[2:8] == ["100", "2500", "0", "250000", "2000", "48"]  # neurons, fan-in, fan-out, synapses, kbit, state
    assert verdicts(tmp_path / "full")["synaptic memory of a core"]["needed"] == 52 * 2500 * 8  # the 53rd does not fit
    assert report.facts["largest fan-in"] == 2 and report.facts["golden traces"] == "2 samples of 100 steps, random spikes"
    given = deploy_loihi(NetDescription((wide,)), tmp_path / "given", frames=np.ones((1, 7, 2), int))
    assert given.facts["golden traces"] == "1 sample of 7 steps"
    returning = Layer(0, "dense_rec", (1000,), 2, np.full((1000, 2), 2), np.eye(1000, dtype=int) * 2, None, None, np.ones(1000, int))
    lines = Layer(0, "delay_lines", (6,), 2, delay=np.array([0, 0, 40, 41, 3, 3]))
    behind = Layer(1, "dense", (2,), 6, np.full((2, 6), 2), neuron=CubaNeuron(1, 1, 9))
    (a,) = loihi_resources.layer_resources(NetDescription((replace(returning, neuron=CubaNeuron(1, 1, 9)),)))
    (b,) = loihi_resources.layer_resources(NetDescription((lines, behind)))
    assert a.synapse_bits == 2000 * 8 + 1000 * (8 + 6) and a.axons_out == 2000 and a.largest_delay == 1
    assert b.largest_delay == 41 and b.synapse_bits == 12 * (8 + 6)
    many = replace(returning, shape=(2300,), weight=np.full((2300, 2), 2), weight_rec=np.eye(2300, dtype=int) * 2, delay_rec=None)
    (c,) = loihi_resources.layer_resources(NetDescription((replace(many, neuron=CubaNeuron(1, 1, 9)),)))
    assert c.cores_by[loihi_limits.AXONS_OUT.name] == 2


def test_the_file_is_lava_dls_own_where_all_neurons_and_layers_are(tmp_path):
    cuba = Layer(0, "dense", (2,), 6, np.full((2, 6), 2), neuron=CubaNeuron(1, 1, 9))
    lines = Layer(0, "delay_lines", (6,), 2, delay=np.array([0, 0, 40, 41, 3, 3]))
    last = Layer(1, "dense", (3,), 2, np.full((3, 2), 2), neuron=CubaNeuron(1, 1, 9))
    plain = deploy_loihi(NetDescription((cuba, last)), tmp_path / "plain")
    assert (plain.facts["largest fan-in"], plain.facts["largest fan-out"], plain.facts["synapses"]) == (6, 3, 18)
    turned = replace(last, index=0, inputs=1, weight=np.full((3, 1), 2)), replace(cuba, index=1, inputs=3, weight=np.full((2, 3), 2))
    assert deploy_loihi(NetDescription(turned), tmp_path / "turned").facts["largest fan-in"] == 3
    lined = deploy_loihi(NetDescription((lines, replace(cuba, index=1))), tmp_path / "lined")
    assert any("lava-dl's own netx loads the file too" in note for note in plain.notes)
    assert "lava-dl's own netx does not run this file alike: delay lines are refused." in lined.notes
    biased = deploy_loihi(NetDescription((replace(cuba, bias=np.array([0, 64])), last)), tmp_path / "biased")
    assert "lava-dl's own netx does not run this file alike: biases of layer 0 act a step earlier." in biased.notes
    assert not any("loads the file too" in note for note in lined.notes) and any(
        "Delay lines are counted as axons" in note for note in lined.notes
    )


def test_the_skeleton_says_what_it_needs(rng, tmp_path):
    deploy_loihi(nets.network("one_neuron", rng), tmp_path / "out")
    spec = importlib.util.spec_from_file_location("nc_model", tmp_path / "out/handoff/nc_model.py")
    with pytest.raises(ImportError, match="needs Intel's Lava extension.*fixed_pt"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def test_it_claims_nothing_that_was_not_run(rng, tmp_path):
    report = deploy_loihi(nets.network("one_neuron", rng), tmp_path / "out")
    assert any("Not run on a chip" in note and "none was measured" in note for note in report.notes)
    assert not any("J" in name.split() or "energy" in name.lower() for name in report.facts)


def test_notes_and_classes(rng, tmp_path):
    one, two = (replace(nets.network(name, rng), classes=tuple("abc"[:n])) for name, n in (("one_neuron", 1), ("recurrent_with_delays", 3)))
    one, two = deploy_loihi(one, tmp_path / "one"), deploy_loihi(two, tmp_path / "two")
    assert any(note.startswith("Layer 0 needs microcode") for note in one.notes) and one.facts["classes"] == ["a"]
    assert any(note.startswith("Layers 0, 1 need microcode") for note in two.notes) and two.facts["classes"] == ["a", "b", "c"]


def cuba_network(rng, kind):
    """Whose first layer is recurrent, has delays, or is a convolution, or is one that lava-dl runs otherwise."""
    neuron = CubaNeuron(1024, 128, 640)

    def dense(index, size, inputs, **more):
        return Layer(index, "dense", (size,), inputs, nets.even(rng, (size, inputs), 1.5), neuron=neuron, **more)

    recurrent = replace(dense(0, 9, 14), kind="dense_rec", weight_rec=nets.even(rng, (9, 9), 0.5, 0))
    delays, conv = rng.integers(1, 8, 9).astype(np.int32), Convolution((2, 5, 4), 3, (3, 2), (1, 1), (1, 0))
    image = Layer(0, "conv", conv.shape, conv.sources, nets.even(rng, conv.weight_shape, 2.0), neuron=neuron, conv=conv)
    # the recurrent weights, 1, reach 8 neurons that nothing else drives; and inhibition that lava-dl halves
    loud, ones = np.zeros((9, 14), np.int32), np.ones((9, 9), np.int32) - 2 * np.eye(9, dtype=np.int32)
    loud[0] = 254
    odd = replace(recurrent, weight=loud, weight_rec=ones, neuron=CubaNeuron(1024, 128, 4))
    inhibited = replace(recurrent, weight=64 * rng.integers(-1, 3, (9, 14)).clip(-1, 1), weight_rec=-128 * (1 - np.eye(9, dtype=np.int32)))
    first = {
        "plain": recurrent,
        "delays": dense(0, 9, 14, delay=delays),
        "convolution": image,
        "biases": dense(0, 9, 14, bias=np.full(9, 300, np.int32)),
        "recurrent delays": replace(recurrent, delay_rec=delays),
        "odd recurrent weights": odd,
        "inhibition alone": inhibited,
        "delays of a convolution": replace(image, delay=np.repeat(delays[:3], conv.size // 3)),
    }[kind]
    flat = (Layer(1, "flatten", (conv.size,), conv.size),) if first.conv else ()
    return NetDescription((first, *flat, dense(1 + len(flat), 5, first.size)))


@pytest.mark.lava
@pytest.mark.train
@pytest.mark.parametrize(
    ("kind", "alike"),
    [
        ("plain", True),
        ("delays", True),
        ("convolution", True),
        ("biases", False),
        ("recurrent delays", False),
        ("odd recurrent weights", False),
        ("inhibition alone", False),
        ("delays of a convolution", False),
    ],
)
def test_lava_dls_own_netx_runs_a_cuba_file_with_equal_spikes(kind, alike, rng, tmp_path):
    """Or the report says what it does otherwise."""
    net = cuba_network(rng, kind)
    frames = nets.frames(rng, net, steps=60, samples=1, largest=1)
    report = deploy_loihi(net, tmp_path / "out", frames=frames)
    assert any("lava-dl's own netx loads" in note for note in report.notes) == alike
    from lava.lib.dl.netx import hdf5
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer as Source

    conv = net.active[0].conv
    stock = hdf5.Network(net_config=str(tmp_path / "out/network.net"), input_shape=conv and conv.inputs[::-1])
    given = frames[0].T.astype(np.int32)
    given = given if conv is None else given.reshape(*conv.inputs, 60).transpose(2, 1, 0, 3)  # lava-dl has x, y, channel
    source, sink = Source(data=given), Sink(shape=stock.out.shape, buffer=60)
    source.s_out.connect(stock.inp)
    stock.out.connect(sink.a_in)
    try:
        stock.run(condition=RunSteps(60), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
        theirs = sink.data.get().T
    finally:
        stock.stop()
    ours = np.load(tmp_path / "out/handoff/golden.npz")["out"][0]
    assert ours.sum() > 0 and theirs.shape == ours.shape
    assert np.array_equal(theirs, ours) == alike


@pytest.mark.parametrize(
    ("weight", "bits"), [([254, -256], 8), ([127, -128], 8), ([0, 2], 2), ([1, -1], 2), ([-2, 0], 1), ([0, 0], 0), ([63, -64], 7)]
)
def test_bits_of_weights_are_those_of_two_complements(weight, bits):
    """Of even weights those of their halves, since they share an exponent of 1."""
    assert loihi_resources.weight_bits(np.array([weight])) == bits


def test_bits_of_recurrent_weights_count_too(tmp_path):
    layer = Layer(0, "dense_rec", (2,), 1, np.array([[2], [2]]), np.array([[254, 0], [0, -256]]), neuron=CubaNeuron(1, 1, 9))
    deploy_loihi(NetDescription((layer,)), tmp_path / "out")
    assert verdicts(tmp_path / "out")["bits of a weight"]["needed"] == 8


@pytest.mark.parametrize("bias", [4095, -4096])
def test_a_bias_may_be_the_largest_of_either_sign(bias, tmp_path):
    """Of 13 bits with their sign, like weights: one more below 0 than above it."""
    layer = Layer(0, "dense", (2,), 1, np.array([[2], [2]]), bias=np.array([bias, 0]), neuron=CubaNeuron(1, 1, 9))
    deploy_loihi(NetDescription((layer,)), tmp_path / "kept")
    assert verdicts(tmp_path / "kept")["bits of a bias"]["needed"] == 13
    with pytest.raises(InputError, match=r"layer/0 bits of a bias must keep to 13 bits .*got 14\. Use smaller biases"):
        deploy_loihi(NetDescription((replace(layer, bias=np.array([0, bias + np.sign(bias)])),)), tmp_path / "out")


def test_a_kernel_for_all_channels_is_read_back_as_those_of_all(tmp_path):
    conv = Convolution((2, 4, 4), 2, (3, 3), (1, 1), (0, 0), (1, 1), 1)
    kernel, neuron = np.full((1, 1, 3, 3), 40), M1T1RNeuron(StepParams(presets.ZHAO2025_FIG2))
    net = NetDescription((Layer(0, "conv", conv.shape, conv.sources, kernel, conv=conv, neuron=neuron),))
    assert deploy_loihi(net, tmp_path / "out").facts["network.net read back"] == "equal"


def test_infinite_numbers_of_each_neuron_are_told_as_text(tmp_path):
    device = replace(presets.ZHAO2025_TABLE1, v0=np.full(3, np.inf), mu=presets.ZHAO2025_TABLE1.mu * np.array([1, 1.1, 0.9]))
    net = NetDescription((Layer(0, "dense", (3,), 4, np.full((3, 4), 60), neuron=M1T1RNeuron(StepParams(device))),))
    deploy_loihi(net, tmp_path / "out")
    told = json.loads((tmp_path / "out" / "handoff" / "parameters.json").read_text())["layer_0"]["device [SI units]"]
    assert told["v0"] == ["inf"] * 3 and told["mu"] == device.mu.tolist()


def test_what_has_no_form_in_the_file_is_told_of_the_network_and_not_of_a_temporary_file(tmp_path):
    neuron = M1T1RNeuron(StepParams(presets.ZHAO2025_FIG2))
    net = NetDescription((Layer(0, "dense", (3,), 4, np.full((3, 4), 60), weight_rec=np.full((3, 3), 2), neuron=neuron),))
    with pytest.raises(InputError, match="^network: layer/0/weight_rec must .* The package holds the network as network.net"):
        deploy_loihi(net, tmp_path / "out")


def test_flat_layers_behind_a_flatten_are_told_as_lava_dl_refuses_them(tmp_path):
    def layer(index, size, inputs):
        return Layer(index, "dense", (size,), inputs, np.full((size, inputs), 60), neuron=CubaNeuron(1024, 128, 640))

    net = NetDescription((layer(0, 9, 4), Layer(1, "flatten", (9,), 9), layer(2, 2, 9)))
    assert any("layer 1 (flatten) is refused behind neurons that are flat" in note for note in deploy_loihi(net, tmp_path / "out").notes)


def test_what_netx_does_otherwise_is_told_and_nothing_else(rng):
    first, last = cuba_network(rng, "plain").active
    late = NetDescription((replace(first, delay=np.arange(9, dtype=np.int32)), last))
    assert "delays of layer 0 are refused or left out" in unlike_in_netx(late)
    silent = NetDescription((first, replace(last, weight=np.zeros_like(last.weight))))
    assert unlike_in_netx(silent) == ["layer 1 (dense) is refused or left out"]
    assert [_fit_together(np.array([[50]]), np.array([[least]])) for least in (-100, -128)] == [True, False]
