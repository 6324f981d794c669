"""NIR: the exact graph comes back equal; the portable one runs in norse and snnTorch as in our own simulation of it."""

import io
import subprocess
import sys
from dataclasses import replace

import export_networks as nets
import numpy as np
import pytest

nir = pytest.importorskip("nir", reason="needs nir")

from lava_1m1t1r import StepParams, presets  # noqa: E402
from lava_1m1t1r.delay_lines import outgoing  # noqa: E402
from lava_1m1t1r.description import Layer, M1T1RNeuron, NetDescription  # noqa: E402
from lava_1m1t1r.errors import FormatError, InputError  # noqa: E402
from lava_1m1t1r.export import cuba_fit, nir_exact, nir_portable, nir_target  # noqa: E402
from lava_1m1t1r.export.read_back import same  # noqa: E402
from lava_1m1t1r.fast import FastNetwork  # noqa: E402
from lava_1m1t1r.reference_network import synaptic_input  # noqa: E402


def written(graph, tmp_path):
    nir.write(tmp_path / "x.nir", graph)
    return nir.read(tmp_path / "x.nir")


def portable(net, frames):
    return nir_portable.to_portable(net, frames, FastNetwork(net).run(frames, "spikes"))


@pytest.mark.parametrize("name", nets.NETWORKS)
def test_the_exact_graph_comes_back_equal_and_spikes_alike(name, rng, tmp_path):
    net = nets.network(name, rng)
    back = nir_exact.from_nir(written(nir_exact.to_nir(net), tmp_path))
    frames = nets.frames(rng, net)
    assert same(net, back)
    ours, theirs = (FastNetwork(x).run(frames, record="all") for x in (net, back))
    np.testing.assert_array_equal(ours.out, theirs.out)
    for a, b in zip(ours.layers, theirs.layers, strict=True):
        assert all(np.array_equal(a.states[k], b.states[k]) for k in a.states)


def test_layers_come_back_in_the_order_of_their_numbers(rng, tmp_path):
    """Files hold nodes in the order of their names: weight_10 before weight_2."""
    net = NetDescription(tuple(nets.layer(rng, index, 2, 2) for index in range(11)))
    assert same(net, nir_exact.from_nir(written(nir_exact.to_nir(net), tmp_path)))


def test_a_changed_graph_is_not_equal(rng, tmp_path):
    net = nets.network("recurrent_with_delays", rng)
    graph = nir_exact.to_nir(net)
    graph.nodes["delay_0"].delay[0] += net.dt
    assert not same(net, nir_exact.from_nir(written(graph, tmp_path)))


def test_delays_and_weights_of_single_precision_are_rounded_to_steps_and_counts(rng):
    """Other tools write them so."""
    net = nets.network("recurrent_with_delays", rng)
    graph = nir_exact.to_nir(net)
    for name, node in graph.nodes.items():
        if "delay" in name:
            node.delay = np.asarray(node.delay, np.float32) * np.float32(1 - 1e-7)
        if name.startswith(("weight", "recurrent_0")):
            node.weight = node.weight * np.float32(1 - 1e-7)
    assert same(net, nir_exact.from_nir(graph))


def test_graphs_of_another_arithmetic_are_refused_as_files_are(rng, tmp_path):
    """Their numbers mean other spikes."""
    net = nets.network("recurrent_with_delays", rng)
    graph = nir_exact.to_nir(net)
    del graph.metadata["neuron_version"]  # as earlier ones
    assert same(net, nir_exact.from_nir(written(graph, tmp_path)))
    for other in (1, 3, 2.5, "x"):
        graph.metadata["neuron_version"] = other
        with pytest.raises(FormatError, match=r"metadata/neuron_version must be 2; got .*export its network again.*update lava-1m1t1r"):
            nir_exact.from_nir(written(graph, tmp_path))


def test_names_of_classes_come_back(rng, tmp_path, monkeypatch):
    net = replace(nets.network("recurrent_with_delays", rng), classes=('z\u00e9ro "0"', "\\n*/", "\u2603"))
    graph = written(nir_exact.to_nir(net), tmp_path)
    assert nir_exact.from_nir(graph).classes == net.classes
    assert nir_target.deploy_nir(net, tmp_path / "out", portable=False).facts["classes"] == list(net.classes)
    frames = rng.integers(0, 2, (2, 8, net.inputs))
    portable = nir_portable.to_portable(net, frames, FastNetwork(net).run(frames, record="spikes"), delays=False).graph
    assert nir_exact._classes(portable, net.outputs) == net.classes
    for wrong in ("no list", '["a", "b"]', "[1, 2, 3]", 5):
        graph.metadata["classes"] = wrong
        with pytest.raises(FormatError, match="NIR graph metadata/classes must be a JSON list of 3 texts; got"):
            nir_exact.from_nir(graph)
    graph.metadata["classes"] = '["a", "e\u0301", "c"]'
    assert nir_exact.from_nir(graph).classes == ("a", "\u00e9", "c")
    graph.metadata["classes"] = '["a", "b", "a"]'
    with pytest.raises(FormatError, match="NIR graph metadata: classes must name each output differently"):
        nir_exact.from_nir(graph)
    monkeypatch.setattr(nir_exact, "_classes", lambda graph, outputs: ())
    with pytest.raises(nir_target.VerificationError, match="read back is not the network"):
        nir_target.deploy_nir(net, tmp_path / "other", portable=False)


def test_a_graph_without_a_node_or_an_edge_is_none_of_ours(rng):
    net = nets.network("recurrent_with_delays", rng)
    for edge in nir_exact.to_nir(net).edges:
        graph = nir_exact.to_nir(net)
        graph.edges.remove(edge)
        with pytest.raises(FormatError, match="NIR graph edges must be those that to_nir writes"):
            nir_exact.from_nir(graph)
    for name in nir_exact.to_nir(net).nodes:
        graph = nir_exact.to_nir(net)
        del graph.nodes[name]
        with pytest.raises(FormatError, match="NIR"):
            nir_exact.from_nir(graph)


@pytest.mark.parametrize(
    ("node", "field", "value", "words"),
    [
        (None, "metadata", None, "must be one that to_nir writes; AttributeError"),
        ("neuron_0", "seed", None, "NIR graph"),
        ("neuron_0", "device", None, "NIR graph"),
        ("neuron_0", "dt", None, "NIR graph"),
        ("weight_0", "weight", np.full((5, 3), 0.3), "weights and biases must be multiples of 1/64; got"),
        ("weight_0", "weight", np.full((5, 3), np.nan), "weights and biases must be multiples of 1/64; got .*nan"),
        ("weight_0", "metadata", {}, "metadata must hold layer_index"),
    ],
)
def test_wrong_fields_of_a_graph_are_refused_as_files_are(node, field, value, words, rng):
    graph = nir_exact.to_nir(nets.network("recurrent_with_delays", rng))
    target = graph if node is None else graph.nodes[node]
    object.__setattr__(target, field, np.resize(value, target.weight.shape) if field == "weight" else value)
    with pytest.raises(FormatError, match=words):
        nir_exact.from_nir(graph)


def test_delays_of_a_graph_are_whole_steps(rng):
    graph = nir_exact.to_nir(nets.network("recurrent_with_delays", rng))
    name = next(name for name in graph.nodes if "delay" in name)
    for wrong in (0.4, np.nan):
        graph.nodes[name].delay = np.full_like(graph.nodes[name].delay, wrong * graph.metadata["dt"])
        with pytest.raises(FormatError, match=rf"NIR node {name} delay \[s\] must be multiples of dt"):
            nir_exact.from_nir(graph)


def test_a_graph_whose_step_or_delays_no_network_has_is_refused(rng):
    """One of another step was read with delays of other lengths."""
    graph = nir_exact.to_nir(nets.network("recurrent_with_delays", rng))
    name, dt = next(name for name in graph.nodes if "delay" in name), graph.metadata["dt"]
    graph.metadata["dt"] = dt / 2
    with pytest.raises(FormatError, match=r"NIR graph metadata/dt must be that of its neurons, 0\.001; got 0\.0005"):
        nir_exact.from_nir(graph)
    graph.metadata["dt"], graph.nodes[name].delay = dt, graph.nodes[name].delay + 100 * dt
    with pytest.raises(FormatError, match=r"NIR graph: layer/0 delay_rec must lie in 0..62"):
        nir_exact.from_nir(graph)


def test_kernels_must_say_what_the_written_out_weights_are(rng, tmp_path):
    graph = nir_exact.to_nir(nets.network("images", rng))
    graph.nodes["weight_0"].metadata["kernels"][0, 0, 0, 0] += 2
    with pytest.raises(FormatError, match="weight_0 weight must hold the weights that its layer has in to_nir"):
        nir_exact.from_nir(written(graph, tmp_path))


@pytest.mark.parametrize("bias", [None, np.ones(6, np.int32)], ids=["scale", "affine"])
@pytest.mark.parametrize("node", [nir_exact.LINES, "weight_1", "weight_2"])
def test_weights_that_a_layer_has_no_place_for_are_refused(node, bias, tmp_path):
    """One pruned: of delay lines, of input neurons (with and without a bias) and of an average."""
    neuron = M1T1RNeuron(StepParams(presets.ZHAO2025_FIG2))
    first = Layer(1, "input", (6,), 6, np.array([150]), bias=bias, neuron=neuron)
    net = NetDescription((Layer(0, "delay_lines", (6,), 3, delay=np.arange(6, dtype=np.int32)), first, Layer(2, "average", (3,), 6)))
    graph = written(nir_exact.to_nir(net), tmp_path)
    assert same(net, nir_exact.from_nir(graph))
    field = "scale" if isinstance(graph.nodes[node], nir.Scale) else "weight"
    weights = getattr(graph.nodes[node], field)
    weights[np.unravel_index(np.flatnonzero(weights)[-1], weights.shape)] = 0
    with pytest.raises(FormatError, match=f"NIR node {node} {field} must hold the weights that its layer has in to_nir; got"):
        nir_exact.from_nir(written(graph, tmp_path))


def test_delays_without_recurrent_weights_delay_nothing(rng, tmp_path):
    """The graph has no node for them."""
    net = nets.network("recurrent_with_delays", rng)
    first = replace(net.layers[0], kind="dense", weight_rec=None)
    assert np.any(first.delay_rec)
    nir_target.deploy_nir(replace(net, layers=(first, *net.layers[1:])), tmp_path / "out", portable=False)
    other = replace(net, layers=(replace(net.layers[0], delay_rec=first.delay_rec + 1), *net.layers[1:]))
    assert not same(net, other)


def test_a_shape_may_be_a_list(rng, tmp_path):
    net = nets.network("one_neuron", rng)
    listed = replace(net, layers=(replace(net.layers[0], shape=[1]),))
    assert listed == net and listed.layers[0].shape == (1,)
    nir_target.deploy_nir(listed, tmp_path / "out", portable=False)


def test_delay_lines_are_written_out_up_to_the_largest_matrix(tmp_path):
    weight = np.zeros((1, 4 * 2049), np.int8)
    neuron = M1T1RNeuron(StepParams(presets.ZHAO2025_FIG2))
    lines = Layer(0, "delay_lines", (4 * 2049,), 2049, delay=np.zeros(4 * 2049, np.int32))
    net = NetDescription((lines, Layer(1, "dense", (1,), 4 * 2049, weight, neuron=neuron)))
    words = r"layer/0 \(delay_lines\) weight must fill a matrix of at most 16777216 weights; got 16793604\. Use fewer channels"
    with pytest.raises(InputError, match=words):
        nir_target.deploy_nir(net, tmp_path / "out", portable=False)


def test_importing_the_node_makes_it_readable(rng, tmp_path):
    nir.write(tmp_path / "x.nir", nir_exact.to_nir(nets.network("one_neuron", rng)))
    read = f"import nir; print(type(nir.read({str(tmp_path / 'x.nir')!r}).nodes['neuron_0']).__name__)"
    without = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True)
    done = subprocess.run([sys.executable, "-c", "import lava_1m1t1r.export.nir_node\n" + read], capture_output=True, text=True)
    assert without.returncode != 0 and done.stdout.strip() == "M1T1RNode", done.stderr


@pytest.mark.parametrize("module", ["nir_node", "nir_exact", "nir_portable", "nir_target"])
def test_without_nir_every_module_says_what_to_install(module):
    code = f"import sys; sys.modules['nir'] = None; import lava_1m1t1r.export.{module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "MissingDependencyError: The NIR target needs the package 'nir'" in done.stderr.strip().splitlines()[-1]


def test_arrays_have_full_size_and_dt_is_written(rng, tmp_path):
    net = nets.network("recurrent_with_delays", rng)
    for graph in (nir_exact.to_nir(net), portable(net, nets.frames(rng, net)).graph):
        back = written(graph, tmp_path)
        assert float(back.metadata["dt"]) == net.dt
        neuron = back.nodes["neuron_0"]
        values = (
            neuron.device
            if hasattr(neuron, "device")
            else {k: getattr(neuron, k) for k in ("tau_syn", "tau_mem", "r", "v_threshold", "w_in")}
        )
        assert all(v.shape == (7,) for v in values.values())
    assert set(back.nodes["neuron_0"].metadata["1m1t1r"]) >= {"mu", "gamma2", "r_control", "v_unit", "substeps"}
    assert float(back.nodes["neuron_0"].metadata["dt"]) == net.dt


def test_the_portable_graph_tells_of_the_devices_it_was_fitted_to(rng, tmp_path):
    net = nets.network("recurrent_with_delays", rng)
    back = written(portable(net, nets.frames(rng, net)).graph, tmp_path)
    step, told = net.layers[0].step, back.nodes["neuron_0"].metadata["1m1t1r"]
    for name, value in step.device.as_dict().items():
        np.testing.assert_array_equal(told[name], np.full(7, value))
    assert (float(told["v_unit"]), float(told["v_in_max"]), int(told["substeps"])) == (step.v_unit, step.v_in_max, step.substeps)
    assert int(told["seed"]) == net.layers[0].neuron.seed


def test_the_nodes_of_the_report_are_those_of_the_exact_graph(rng, tmp_path):
    net = nets.network("recurrent_with_delays", rng)
    report = nir_target.deploy_nir(net, tmp_path / "out", frames=nets.frames(rng, net))
    assert report.facts["nodes"] == len(nir.read(tmp_path / "out/exact.nir").nodes)
    assert nir_target.deploy_nir(nets.network("one_neuron", rng), tmp_path / "one", portable=False).facts["nodes"] == 4


def test_a_portable_graph_is_no_exact_one(rng, tmp_path):
    net = nets.network("one_neuron", rng)
    graph = written(portable(net, nets.frames(rng, net)).graph, tmp_path)
    with pytest.raises(FormatError, match="metadata/format must be 'lava_1m1t1r exact'"):
        nir_exact.from_nir(graph)


def test_the_fit_finds_a_cuba_neuron_again(rng):
    """Spikes that a CubaLIF made are matched far better than silence matches them."""
    a_in = rng.poisson(0.4, (4, 400, 6)).astype(float)
    target = np.empty(a_in.shape, np.int8)
    cuba_fit.run_cuba(a_in, 0.5, 0.9, 8.0, np.zeros(6), target)
    found, loss = cuba_fit.fit(a_in, target)
    again = np.empty(a_in.shape, np.int8)
    cuba_fit.run_cuba(a_in, *found, again)
    assert loss == cuba_fit.distance(again, target) < 0.2
    assert cuba_fit.distance(np.zeros_like(target), target) == 1.0
    assert cuba_fit.distance(target, target) == 0.0


def test_the_distance_is_of_trains_filtered_over_ten_steps():
    """Each spike leaves a trace that decays by a tenth a step; the squared difference of traces, against that of no spikes at all."""
    trains = np.zeros((2, 1, 80, 1), np.int8)
    trains[0, 0, [5, 30], 0], trains[1, 0, [8, 30, 40], 0] = 1, 1
    ours, theirs = (np.convolve(train[0, :, 0], 0.9 ** np.arange(80))[:80] for train in trains)
    assert cuba_fit.distance(*trains) == pytest.approx(np.sum((ours - theirs) ** 2) / np.sum(theirs**2))
    silent = np.zeros_like(trains[0])
    assert (cuba_fit.distance(silent, silent), cuba_fit.distance(trains[0], silent)) == (0.0, 1.0)


def test_a_threshold_must_be_exceeded():
    """As in NIR: a voltage that reaches it and no more does not spike."""
    spike = np.empty((1, 3, 1), np.int8)
    cuba_fit.run_cuba(np.array([[[2.0], [0.0], [2.5]]]), 0.0, 0.0, 2.0, np.zeros(1), spike)
    assert spike.ravel().tolist() == [0, 0, 1]
    layer = Layer(0, "dense_rec", (1,), 1, np.array([[64]], np.int32), np.zeros((1, 1), np.int32))
    fitted, total = cuba_fit.CubaFit(0.0, 0.0, 2.0, np.zeros(1)), np.array([[[2.0], [0.0], [2.5]]])
    assert nir_portable._run_recurrent(layer, fitted, total).ravel().tolist() == [0, 0, 1]


def test_neurons_that_never_spike_stay_silent(rng):
    a_in, spike = rng.poisson(3.0, (2, 100, 4)).astype(float), np.zeros((2, 100, 4), np.int8)
    found, loss = cuba_fit.fit(a_in, spike)
    cuba_fit.run_cuba(a_in, *found, spike)
    assert loss == 0 and not spike.any()


def test_each_neuron_fires_as_often_as_its_model(rng):
    """By a bias of its own, whatever sets the neurons of a layer apart."""
    a_in, target = rng.poisson(0.4, (3, 300, 5)).astype(float), np.empty((3, 300, 5), np.int8)
    cuba_fit.run_cuba(a_in, 0.5, 0.9, 8.0, np.linspace(-0.1, 0.6, 5), target)
    found, _ = cuba_fit.fit(a_in, target)
    again = np.empty_like(target)
    cuba_fit.run_cuba(a_in, *found, again)
    wanted = target.sum((0, 1))
    assert wanted.min() > 10 and wanted.max() > 2 * wanted.min()
    np.testing.assert_allclose(again.sum((0, 1)), wanted, rtol=0.05)


def test_a_layer_is_fitted_under_what_it_receives_in_the_exact_network(rng, monkeypatch):
    """Behind delays, in units; and by the seed that is given."""
    asked = []

    def fit(a_in, target, seed):
        asked.append((a_in, target, seed))
        return cuba_fit.CubaFit(0.5, 0.5, 1e9, np.zeros(a_in.shape[2])), 0.0

    net = nets.network("recurrent_with_delays", rng)
    net = replace(net, layers=(replace(net.layers[0], delay=np.arange(7, dtype=np.int32)), net.layers[1]))
    frames = nets.frames(rng, net, samples=1)
    monkeypatch.setattr(nir_portable, "fit", fit)
    true = FastNetwork(net).run(frames, "spikes")
    nir_portable.to_portable(net, frames, true, seed=5)
    received = frames.astype(int)
    for layer, exact, (a_in, target, seed) in zip(net.layers, true.layers, asked, strict=True):
        np.testing.assert_array_equal(a_in * 64, synaptic_input(layer, received, exact.spikes))
        np.testing.assert_array_equal(target, exact.spikes)
        assert exact.spikes.any() and seed == 5
        received = outgoing(exact.spikes.astype(int), layer.delay)


def test_the_search_follows_its_seed(rng):
    a_in, target = rng.poisson(0.4, (2, 200, 3)).astype(float), np.empty((2, 200, 3), np.int8)
    cuba_fit.run_cuba(a_in, 0.5, 0.9, 8.0, np.zeros(3), target)
    one, same, other = (cuba_fit.fit(a_in, target, seed)[0][:3] for seed in (1, 1, 2))
    assert one == same != other


def test_samples_and_search_follow_the_seed_that_is_given(rng, tmp_path, monkeypatch):
    asked = []

    def to_portable(_net, frames, _exact, _delays, seed=0):
        asked.append((frames.tobytes(), seed))
        raise ValueError("enough seen")

    net = nets.network("recurrent_with_delays", rng)
    monkeypatch.setattr(nir_target, "to_portable", to_portable)
    for seed in (1, 1, 2):
        with pytest.raises(ValueError, match="enough seen"):
            nir_target.deploy_nir(net, tmp_path / "out", seed=seed)
    one, same_again, other = asked
    assert one == same_again and (one[1], other[1]) == (1, 2) and one[0] != other[0]


def test_spikes_pass_within_a_step_but_for_their_delays_and_around_a_cycle_in_the_next():
    relay, eye = cuba_fit.CubaFit(0.0, 0.0, 0.5, np.zeros(3)), 64 * np.eye(3, dtype=np.int32)  # a spike for each spike
    back, late = np.zeros((3, 3), np.int32), np.array([3, 0, 0], np.int32)
    back[1, 0] = 64
    neuron = M1T1RNeuron(StepParams(presets.ZHAO2025_FIG2))
    net = NetDescription(
        (
            Layer(0, "dense", (3,), 3, eye, delay=np.array([0, 1, 5], np.int32), neuron=neuron),
            Layer(1, "dense_rec", (3,), 3, eye, back, delay_rec=late, neuron=neuron),
        )
    )
    frames = np.zeros((1, 20, 3), int)
    frames[0, 2] = 1
    for one, first, second in ((net, [[2]] * 3, [[2], [3, 6], [7]]), (nir_portable._undelayed(net), [[2]] * 3, [[2], [2, 3], [2]])):
        spikes = nir_portable.run_portable(one, {0: relay, 1: relay}, frames)
        assert [[np.flatnonzero(train).tolist() for train in layer[0].T] for layer in spikes] == [first, second]


def test_answers_are_those_of_the_graphs_output_behind_its_delays():
    """The first neuron's spikes come after the end of the sample, in both."""
    neuron = M1T1RNeuron(StepParams(presets.ZHAO2025_FIG2, v_unit=0.25))
    net = NetDescription((Layer(3, "dense", (2,), 1, np.full((2, 1), 240), delay=np.array([62, 0]), neuron=neuron),))
    frames = np.tile([[1], [0]], (30, 1))[None]
    exact = FastNetwork(net).run(frames, "spikes")
    assert exact.layers[0].spikes[0].any(0).all() and exact.out[0].any(0).tolist() == [False, True]
    relay = {3: cuba_fit.CubaFit(0.0, 0.0, 0.5, np.zeros(2))}
    measured = nir_portable._measure(net, relay, frames, exact)
    assert measured["samples with the same largest output"] == "1 of 1"
    assert set(measured[nir_portable.IN_NETWORK]) == set(measured["spikes, portable / exact"]) == {"layer 3"}  # its number in the file


def test_the_running_network_is_compared_a_step_a_layer_later(rng):
    """The exact network takes a step a layer, which NIR's graph does not."""
    net = two_layers(rng, "dense")
    frames = nets.frames(rng, net, steps=250)
    exact = FastNetwork(net).run(frames, "spikes")
    fitted = nir_portable.to_portable(net, frames, exact)
    last, true = nir_portable.run_portable(net, fitted.fits, frames)[1], exact.layers[1].spikes
    late = np.concatenate((np.zeros_like(last[:, :1]), last[:, :-1]), axis=1)
    assert fitted.loss["of each layer in the running network"]["layer 1"] == cuba_fit.distance(late, true)
    assert fitted.loss["spikes, portable / exact"]["layer 1"] == last.sum() / true.sum()
    same = np.sum(last.sum(1, dtype=int).argmax(1) == exact.out.sum(1, dtype=int).argmax(1))
    assert fitted.loss["samples with the same largest output"] == f"{same} of {len(frames)}"


def portable_of(net, rng):
    frames = nets.frames(rng, net, steps=250)
    fitted = portable(net, frames)
    ours = nir_portable.run_portable(net, fitted.fits, frames)
    assert all(spikes.sum() > 20 for spikes in ours)
    return frames, ours, lambda: nir.read(io.BytesIO(nir_target._file(fitted.graph)))


def two_layers(rng, kind):
    return NetDescription((nets.layer(rng, 0, 13, 9, kind, bias=True), nets.layer(rng, 1, 9, 5, scale=8)))


@pytest.mark.parametrize(("framework", "kind"), [("norse", "dense"), ("norse", "dense_rec"), ("snntorch", "dense")])
def test_another_framework_gives_the_spikes_of_our_simulation(framework, kind, rng):
    pytest.importorskip(framework, reason=f"needs {framework}")
    pytest.importorskip("nirtorch", reason="needs nirtorch")
    frames, ours, read = portable_of(two_layers(rng, kind), rng)
    theirs = np.stack([nets.run_elsewhere().FRAMEWORKS[framework](read(), sample) for sample in frames])
    assert theirs.shape == ours[-1].shape
    # float32 against float64: a voltage within rounding of the threshold may fall on the other side
    assert np.count_nonzero(theirs != ours[-1]) <= 1e-3 * theirs.size


def test_the_measured_loss_is_that_of_the_written_graph(rng):
    """Without recurrence, a layer's distance in the running network is that of its fit: same input, same spikes."""
    net = NetDescription((nets.layer(rng, 0, 13, 9, bias=True),))
    fitted = portable(net, nets.frames(rng, net))
    alone = fitted.loss["of each layer under its true input (0 equal, 1 silence)"]["layer 0"]
    assert 0 < alone < 1 and fitted.loss["of each layer in the running network"]["layer 0"] == alone


def test_delays_may_be_left_out_and_it_says_so(rng, tmp_path):
    net = nets.network("recurrent_with_delays", rng)
    kept, without = (nir_target.deploy_nir(net, tmp_path / str(d), frames=nets.frames(rng, net), delays=d) for d in (True, False))
    assert any("keeps the delays" in n for n in kept.notes) and any("delays are left out" in n for n in without.notes)
    graphs = [nir.read(tmp_path / str(d) / "portable.nir") for d in (True, False)]
    assert [any(isinstance(n, nir.Delay) for n in g.nodes.values()) for g in graphs] == [True, False]
    (layer,) = nets.network("one_neuron", rng).layers
    none = nir_target.deploy_nir(NetDescription((replace(layer, delay=np.zeros(1, np.int32)),)), tmp_path / "none")
    assert not any("delays" in note for note in none.notes)


def test_a_silent_layer_is_named(rng, tmp_path):
    net = nets.network("one_neuron", rng)
    net = replace(net, layers=(replace(net.layers[0], bias=None, weight=-np.abs(net.layers[0].weight)),))
    report = nir_target.deploy_nir(net, tmp_path / "out")
    assert report.facts["portable, layers that are silent on these frames, and so not fitted"] == "layer 0"


def test_delay_lines_may_be_left_out_too(rng, tmp_path):
    net = nets.network("behind_delay_lines", rng)
    nir_target.deploy_nir(net, tmp_path / "out", frames=nets.frames(rng, net), delays=False)
    nodes = nir.read(tmp_path / "out" / "portable.nir").nodes
    assert not any(isinstance(node, nir.Delay) for node in nodes.values()) and nir_exact.LINES not in nodes
    np.testing.assert_array_equal(nodes["weight_1"].weight * 64, net.layers[1].weight.reshape(6, 3, 5).sum(1))


@pytest.mark.parametrize("first", [Layer(1, "input", (6,), 6, np.array([150])), Layer(1, "average", (3,), 6)], ids=lambda layer: layer.kind)
def test_lines_may_be_left_out_before_any_layer(first, rng):
    if first.kind == "input":
        first = replace(first, neuron=nets.layer(rng, 1, 6, 6).neuron)
    net = NetDescription((Layer(0, "delay_lines", (6,), 3, delay=np.array([0, 0, 0, 2, 4, 6], np.int32)), first))
    bare = nir_portable._undelayed(net).active[0]
    once, lines = np.eye(3, dtype=np.int64)[None], np.tile(np.eye(3, dtype=np.int64), (1, 1, 2))
    np.testing.assert_array_equal(synaptic_input(bare, once), synaptic_input(first, lines))
    assert bare.kind == ("affine" if first.neuron is None else "dense")


def test_lines_without_delays_come_back(rng, tmp_path):
    net = nets.network("behind_delay_lines", rng)
    net = replace(net, layers=(replace(net.layers[0], delay=np.zeros(15, np.int32)), *net.layers[1:]))
    assert same(net, nir_exact.from_nir(written(nir_exact.to_nir(net), tmp_path)))


def test_the_rates_of_the_floating_point_step_come_back(rng, tmp_path):
    net = nets.network("one_neuron", rng)
    (layer,) = net.layers
    held = replace(net, layers=(replace(layer, neuron=replace(layer.neuron, step=layer.neuron.step.replace(held=True))),))
    for one in (net, held):
        back = nir_exact.from_nir(written(nir_exact.to_nir(one), tmp_path))
        assert back.layers[0].neuron.step == one.layers[0].neuron.step and back.layers[0].neuron.step.held == (one is held)


@pytest.mark.parametrize(
    ("node", "key"),
    [(None, "dt"), ("weight_1", "layer_index"), ("weight_1", "kind"), ("weight_1", "shape"), (nir_exact.LINES, "layer_index")],
)
def test_what_metadata_lack_is_named(node, key, rng, tmp_path):
    graph = nir_exact.to_nir(nets.network("behind_delay_lines", rng))
    del (graph if node is None else graph.nodes[node]).metadata[key]
    with pytest.raises(FormatError, match="NIR graph metadata/dt must" if node is None else f"NIR node {node} metadata must hold {key}"):
        nir_exact.from_nir(written(graph, tmp_path))


def test_a_layer_that_is_named_otherwise_than_its_metadata_say_is_refused(rng):
    graph = nir_exact.to_nir(nets.network("recurrent_with_delays", rng))
    graph.nodes["weight_3"] = graph.nodes.pop("weight_0")
    with pytest.raises(FormatError, match="NIR node weight_3 must be weight_0, as its metadata say; got 'weight_3'"):
        nir_exact.from_nir(graph)


def test_a_network_without_neurons_has_no_graph():
    """NIR's file would have to hold a step that the network does not state."""
    net = NetDescription((Layer(0, "affine", (2,), 4, np.ones((2, 4), np.int32)),))
    with pytest.raises(InputError, match="network must have a layer of 1M1T1R neurons, which states the network step"):
        nir_exact.to_nir(net)


def test_own_biases_begin_below_the_counts_that_they_are_fitted_to(rng):
    a_in, target = rng.poisson(0.4, (3, 300, 5)).astype(float), np.empty((3, 300, 5), np.int8)
    cuba_fit.run_cuba(a_in, 0.5, 0.9, 8.0, np.linspace(-0.1, 0.6, 5), target)
    f, counts, again = cuba_fit.CubaFit(0.5, 0.9, 8.0, np.zeros(5)), target.sum(1, dtype=float), np.empty_like(target)
    cuba_fit.run_cuba(a_in, *cuba_fit._own_biases(f, a_in, counts, float(a_in.max())), again)
    assert (again.sum((0, 1)) <= counts.sum(0)).all() and again.any()
