"""Networks in Lava against the fast path: composed, fused, both number systems, samples one after the other."""

import json
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from lava_1m1t1r import StepParams, cli, layers, presets
from lava_1m1t1r.delay_lines import outgoing
from lava_1m1t1r.description import CubaNeuron, Layer, M1T1RNeuron, NetDescription
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.export.plan import plan
from lava_1m1t1r.fast import FastNetwork
from lava_1m1t1r.netx import hdf5, schema
from lava_1m1t1r.reference_network import run as run_loops

pytest.importorskip("lava.magma", reason="needs lava-nc")
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi1SimCfg, Loihi2SimCfg
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.monitor.process import Monitor

from lava_1m1t1r.netx.fused import FusedSimCfg
from lava_1m1t1r.netx.graph.process import Network
from lava_1m1t1r.netx.terminal.process import Frames, Tap
from lava_1m1t1r.run import InProcess, ProcessFailed, guarded, run, run_guarded

pytestmark = pytest.mark.lava
FIG2 = presets.ZHAO2025_FIG2
CUBA = CubaNeuron(1024, 128, 80)
BATCH, STEPS, CHANNELS = 3, 60, 17


def weights(rng, low, high, *shape):
    return (2 * rng.integers(low, high, shape)).astype(np.int32)


def network(rng, kind="m1t1r", readout="affine", noise=0.0):
    """Odd sizes, all delays, bias, different devices; active in every layer."""
    delay = lambda n: rng.integers(0, 9, n).astype(np.int32)  # noqa: E731
    if kind == "m1t1r":
        device = replace(FIG2, r_control=rng.uniform(1e8, 1e9, 13), sigma1=noise, sigma2=noise)
        hidden, out = M1T1RNeuron(StepParams(device), 5), M1T1RNeuron(StepParams(FIG2), 5)
    else:
        hidden = out = CUBA
    bias = rng.integers(0, 60, 13).astype(np.int32)
    near = np.full(6, 300, np.int32)  # just below what makes a neuron fire by itself
    layers = [
        Layer(0, "input", (CHANNELS,), CHANNELS),
        Layer(
            1,
            "dense_rec",
            (13,),
            CHANNELS,
            weights(rng, 0, 90, 13, CHANNELS),
            weights(rng, -20, 30, 13, 13),
            bias,
            delay(13),
            delay(13),
            hidden,
        ),
        Layer(2, "dense", (6,), 13, weights(rng, 50, 127, 6, 13), bias=near if kind == "m1t1r" else None, delay=delay(6), neuron=out),
    ]
    if readout == "affine":
        layers.append(Layer(3, "affine", (5,), 6, weights(rng, -128, 128, 5, 6)))
    if readout == "average":
        layers.append(Layer(3, "average", (2,), 6))
    return NetDescription(tuple(layers))


def frames(rng, high=2):
    return (rng.integers(1, high, (BATCH, STEPS, CHANNELS)) * (rng.random((BATCH, STEPS, CHANNELS)) < 0.4)).astype(np.uint8)


def agree(net, x, backend, tag):
    fast = hdf5.predict(net, x, tag=tag, record="all")
    lava = hdf5.predict(net, x, backend, tag=tag, record="all")
    for a, b in zip(fast.layers, lava.layers, strict=True):
        assert a.out.any()
        assert np.array_equal(a.out, b.out)
        for name, state in b.states.items():
            assert np.array_equal(a.states[name], state), name
    assert np.array_equal(fast.out, hdf5.predict(net, x, backend, tag=tag))


@pytest.mark.parametrize("backend", ("fast", "inprocess"))
def test_spikes_alone_are_recorded_without_states(rng, backend):
    net, x = network(rng, readout="affine"), frames(rng)
    everything, spikes = (hdf5.predict(net, x, backend, record=record) for record in ("all", "spikes"))
    for a, b in zip(everything.layers, spikes.layers, strict=True):
        assert np.array_equal(a.out, b.out) and a.out.any()
        assert not any(state.size for state in b.states.values())


def test_counts_of_two_arrive_whole(rng):
    net, x = network(rng, readout="affine"), frames(rng, high=3)
    assert x.max() == 2 and np.array_equal(hdf5.predict(net, x, "inprocess"), hdf5.predict(net, x))
    assert not np.array_equal(hdf5.predict(net, x), hdf5.predict(net, np.minimum(x, 1)))


@pytest.mark.parametrize("tag", hdf5.TAGS)
@pytest.mark.parametrize("readout", ("none", "affine", "average"))
def test_in_process_equals_fast(rng, tag, readout):
    agree(network(rng, readout=readout, noise=1e-3), frames(rng), "inprocess", tag)


@pytest.mark.parametrize("tag", hdf5.TAGS)
def test_lavas_runtime_equals_fast(rng, tag):
    agree(network(rng, noise=1e-3), frames(rng), "lava", tag)


def test_cuba_equals_fast(rng):
    agree(network(rng, "cuba"), frames(rng), "inprocess", "fixed_pt")
    agree(network(rng, "cuba", "average"), frames(rng), "lava", "fixed_pt")


def test_graded_input_counts(rng):
    agree(network(rng), frames(rng, high=5), "inprocess", "fixed_pt")


@pytest.mark.parametrize("backend", ("inprocess", "lava"))
@pytest.mark.parametrize("bias", (32767, 32768, -32769, layers.LARGEST_VOLTAGE - 254))
def test_cuba_biases_that_16_bits_do_not_hold(bias, backend):
    """Files hold 13 bits; of those made in memory, Lava's own LIF takes the last 16."""
    weight, biases = np.array([[254], [254]], np.int32), np.array([bias, -bias], np.int32)
    net = NetDescription((Layer(0, "dense", (2,), 1, weight, bias=biases, neuron=CubaNeuron(1024, 128, 3000)),))
    agree(net, np.arange(20).reshape(1, 20, 1) % 2, backend, "fixed_pt")


@pytest.mark.parametrize("decay", (np.full(2, 1024, np.uint64), np.uint64(1024)), ids=("array", "scalar"))
def test_cuba_decays_of_any_whole_type(decay):
    net = NetDescription((Layer(0, "dense", (2,), 1, np.full((2, 1), 200), neuron=CubaNeuron(decay, 128, 400)),))
    agree(net, np.ones((1, 20, 1), int), "inprocess", "fixed_pt")


@pytest.mark.parametrize("channels, decay, count", ((2, 0, 1627), (2, 1024, 16901), (700, 1024, 1000), (700, 0, 12000)))
def test_counts_that_take_cuba_currents_out_of_32_bits(channels, decay, count):
    """As in Lava, whose integers wrap there."""
    weight = np.full((1, channels), 254, np.int32)
    net = NetDescription((Layer(0, "dense", (1,), channels, weight, neuron=CubaNeuron(decay, 256, 640)),))
    agree(net, np.full((1, 60, channels), count), "inprocess", "fixed_pt")


def test_odd_weights(rng):
    net = network(rng, readout="none")
    layers = [replace(layer, weight=layer.weight // 4 * 2 + 1) if layer.weight is not None else layer for layer in net.layers]
    agree(NetDescription(tuple(layers)), frames(rng, high=4), "inprocess", "fixed_pt")


def test_weights_of_one_sign_keep_their_extremes(rng):
    negative = np.full((4, CHANNELS), -256, np.int32)
    net = NetDescription((Layer(0, "affine", (4,), CHANNELS, negative),))
    agree(net, frames(rng), "inprocess", "fixed_pt")


class Halves(Layer):
    """A kind that the library does not have: weights (N, C / 2); each half of the neurons sees its half of the inputs."""

    def matrix(self):
        upper, lower = np.split(self.weight, 2)
        return np.block([[upper, np.zeros_like(upper)], [np.zeros_like(lower), lower]])


def test_a_kind_is_known_by_its_matrix_wherever_it_runs(rng, monkeypatch):
    monkeypatch.setattr(layers, "KINDS", (*layers.KINDS, "halves"))
    about = {"kind": "halves", "shape": (6,), "inputs": 16, "bias": np.full(6, 200, np.int32), "neuron": M1T1RNeuron(StepParams(FIG2))}
    strange = Halves(0, weight=weights(rng, 20, 127, 6, 8), **about)
    nets = [NetDescription((layer,)) for layer in (strange, Layer(0, weight=strange.matrix(), **about))]
    x = (rng.random((BATCH, STEPS, 16)) < 0.4).astype(np.uint8)
    agree(nets[0], x, "inprocess", "fixed_pt")
    assert np.array_equal(*(hdf5.predict(net, x) for net in nets))
    assert np.array_equal(outgoing(run_loops(nets[0], x[0])[0].traces.spike), hdf5.predict(nets[1], x)[0])
    assert np.array_equal(*(lowered.weight << lowered.weight_shift for net in nets for lowered in plan(net).layers))


@pytest.mark.parametrize("tag", hdf5.TAGS)
@pytest.mark.parametrize("readout", ("none", "affine"))
def test_fused_equals_composed(rng, tag, readout):
    net, x = network(rng, readout=readout, noise=1e-3), frames(rng)
    total = BATCH * STEPS + 5
    sent = np.concatenate([np.zeros((3, CHANNELS), np.uint8), x.reshape(-1, CHANNELS)])
    seen = []
    for fused in (False, True):
        lava = Network(net, reset_interval=STEPS, reset_offset=3)
        source, tap = Frames(frames=sent), Tap(shape=(net.outputs,), steps=total)
        source.s_out.connect(lava.inp)
        lava.out.connect(tap.a_in)
        config = FusedSimCfg(lava, select_tag=tag) if fused else Loihi2SimCfg(select_tag=tag)
        with guarded(lava, config) as session:
            session.run(total)
        seen.append(tap.values())
    assert seen[0].any()
    assert np.array_equal(*seen)
    late = 0 if net.spiking else 1
    assert np.array_equal(seen[1][3 + late : 3 + late + BATCH * STEPS].reshape(BATCH, STEPS, -1), hdf5.predict(net, x, tag=tag))


@pytest.mark.parametrize(
    "neuron", (CubaNeuron(1024, 256, 64), M1T1RNeuron(StepParams(presets.ZHAO2025_FIG2.scaled(0.1)))), ids=("cuba", "m1t1r")
)
@pytest.mark.parametrize("interval, offset", ((10, 0), (10, 1), (10, 3), (None, 3), (10, 9)))
def test_fused_equals_composed_before_the_first_sample_too(neuron, interval, offset):
    """A bias that fires neurons by itself: they begin in Lava's first step, before their synapses have handed anything on."""
    bias = np.array([560], np.int32)
    net = NetDescription((Layer(0, "dense", (1,), 1, np.array([[2]], np.int32), bias=bias, neuron=neuron),))
    seen = []
    for fused in (False, True):
        lava = Network(net, reset_interval=interval, reset_offset=offset)
        Frames(frames=np.zeros((30, 1), np.uint8)).s_out.connect(lava.inp)
        config = FusedSimCfg(lava) if fused else Loihi2SimCfg(select_tag="fixed_pt")
        seen.append(run(lava, 30, config, record=[lava.out])[lava.out])
    assert seen[0][0] == (offset > 0) and np.array_equal(*seen)


def test_what_came_before_the_first_sample_leaves_no_trace(rng):
    """Also without a reset interval."""
    net, x = network(rng), frames(rng)[0]
    for fused in (False, True):
        lava = Network(net, reset_offset=7)
        Frames(frames=np.concatenate([np.ones((7, CHANNELS), np.uint8), x])).s_out.connect(lava.inp)
        config = FusedSimCfg(lava) if fused else Loihi2SimCfg(select_tag="fixed_pt")
        out = run(lava, 8 + STEPS, config, record=[lava.out])[lava.out]
        assert np.array_equal(out[8:], hdf5.predict(net, x[None])[0])


@pytest.mark.parametrize("fused", [False, True])
def test_what_is_reset_only_once_is_not_reset_after_a_thousand_million_steps(rng, fused):
    net, sent, outputs = network(rng), (rng.random((240, CHANNELS)) < 0.4).astype(np.uint8), []
    for later in (0, (1 << 30) - 192):
        lava = Network(net, reset_offset=1)
        source = Frames(frames=sent)
        source.s_out.connect(lava.inp)
        config = FusedSimCfg(lava) if fused else Loihi2SimCfg(select_tag="fixed_pt")
        with InProcess(lava, config) as session:
            first = session.run(20, record=[lava.out])[lava.out]
            for process, task in session._built.tasks.items():
                task.model.time_step += later * (process is not source)
            outputs.append(np.concatenate([first, session.run(220, record=[lava.out])[lava.out]]))
    assert outputs[0][-30:].any() and np.array_equal(*outputs)


@pytest.mark.parametrize("kind, tag", (("m1t1r", "fixed_pt"), ("m1t1r", "floating_pt"), ("cuba", "fixed_pt")))
def test_whole_samples_as_messages(rng, kind, tag):
    net, x = network(rng, kind), frames(rng)
    assert np.array_equal(hdf5.predict(net, x, "fused", tag=tag), hdf5.predict(net, x, tag=tag))


def test_a_file_as_a_user_runs_it(rng, tmp_path):
    """The ten lines of Lava: file, source, sink, a Monitor on an inner state; without resets it is one long sample."""
    net, x = network(rng, readout="none"), frames(rng)[0]
    schema.write(tmp_path / "a.net", net)
    lava = hdf5.Network(net_config=str(tmp_path / "a.net"))
    source, sink, monitor = Frames(frames=x), Sink(shape=lava.out.shape, buffer=STEPS), Monitor()
    source.s_out.connect(lava.inp)
    lava.out.connect(sink.a_in)
    monitor.probe(lava.layers[0].neuron.residue, STEPS)
    with guarded(lava, Loihi2SimCfg(select_tag="fixed_pt")) as session:
        session.run(STEPS)
        spikes, residue = session.get(sink.data).T, monitor.get_data()[lava.layers[0].neuron.name]["residue"]
    fast = hdf5.predict(net, x[None], record="all")
    assert np.array_equal(spikes, fast.out[0])
    assert np.array_equal(residue[1:], fast.layers[0].states["residue"][0, :-1])
    assert [type(layer.synapse).__name__ for layer in lava.layers] == ["Dense", "Dense"]


def test_output_may_stay_unconnected(rng):
    net, x = network(rng, readout="none"), frames(rng)[0]
    lava = Network(net)
    Frames(frames=x).s_out.connect(lava.inp)
    neuron = lava.layers[0].neuron
    with InProcess(lava, Loihi2SimCfg(select_tag="fixed_pt")) as session:
        spikes = session.run(STEPS, record=[neuron.s_out])[neuron.s_out]
    assert np.array_equal(spikes[1:], hdf5.predict(net, x[None], record="all").layers[0].spikes[0, :-1])


def test_an_input_that_nothing_feeds_is_told(rng):
    """In Lava's own runtime and in ours, once, with the same spikes."""
    config, net, spikes = Loihi2SimCfg(select_tag="fixed_pt"), network(rng, readout="none"), []
    for stock in (True, False):
        lava = Network(net, name="deaf")
        sink = Sink(shape=lava.out.shape, buffer=STEPS)
        lava.out.connect(sink.a_in)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("default")
            if stock:
                lava.run(RunSteps(num_steps=STEPS), config)
                spikes.append(sink.data.get())
                lava.stop()
            else:
                with InProcess(lava, config) as session:
                    session.run(STEPS)
                    spikes.append(sink.data.get())
        texts = [str(w.message) for w in told if w.category is UserWarning]
        assert texts == ["Network 'deaf'.inp gets no input: it takes zeros in every step, as Lava has it. Connect it."]
    np.testing.assert_array_equal(*spikes)


def test_num_layers(rng):
    net = network(rng)
    assert len(Network(net, num_layers=1)) == 1
    assert Network(net, num_layers=1).out.shape == (13,)


def test_cuba_networks_are_evaluated_in_lava_without_floating_point(rng, capsys, tmp_path):
    net, x = network(rng, "cuba"), frames(rng)
    schema.write(tmp_path / "cuba.net", net.layers)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.arange(BATCH) % net.outputs)
    given = ["--frames", str(tmp_path / "x.npy"), "--labels", str(tmp_path / "y.npy")]
    assert cli.main(["evaluate", str(tmp_path / "cuba.net"), *given, "--lava", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["mismatches"] == {"Lava fixed_pt": 0} and found["compared"] == {"Lava fixed_pt": 2}
    assert found["floating_accuracy"] is None


def test_cuba_layers_do_not_run_in_floating_point(rng):
    net, x = network(rng, "cuba"), frames(rng)
    with pytest.raises(InputError, match="fixed_pt"):
        hdf5.predict(net, x, tag="floating_pt")
    lava = Network(net)
    Frames(frames=x[0]).s_out.connect(lava.inp)
    # which of them Lava compiles first differs from run to run
    with pytest.raises(ProcessFailed, match="^Cuba(Block|LIF|LIFReset) '.*' could not be compiled(.|\n)*floating_pt"):
        run_guarded(lava, 5, Loihi2SimCfg(select_tag="floating_pt"))


@pytest.mark.parametrize("config", (Loihi2SimCfg(), Loihi1SimCfg(), Loihi2SimCfg(select_tag="fixed_pt")), ids=("2", "1", "tag"))
@pytest.mark.parametrize("interval", (None, STEPS))
def test_cuba_layers_are_integers_without_a_tag(rng, config, interval):
    """Lava then takes floating-point models where there are some: of synapses, which hand on the same numbers."""
    net, x = network(rng, "cuba"), frames(rng, high=3)[:2]
    lava = Network(net, input_message_bits=8, reset_interval=interval)
    Frames(frames=x.reshape(-1, CHANNELS) if interval else x[0]).s_out.connect(lava.inp)
    sent = run(lava, (2 * STEPS if interval else STEPS) + 1, config, record=[lava.out])[lava.out][1:]
    expected = hdf5.predict(net, x if interval else x[:1])
    assert expected.any() and np.array_equal(sent.reshape(expected.shape), expected)


def test_lava_has_the_time_that_is_given_or_one_that_grows_with_the_steps(rng, monkeypatch):
    asked = []
    lava = SimpleNamespace(run=lambda _net, _frames, *given: asked.append(given) or SimpleNamespace(out=None))
    monkeypatch.setattr(hdf5, "load_lava", lambda *_: lava)
    net, x = network(rng), frames(rng)
    for seconds in (7.0, None):
        hdf5.predict(net, x, "lava", tag="floating_pt", timeout=seconds)
    assert asked == [("lava", "floating_pt", None, seconds) for seconds in (7.0, 60 + 0.1 * x.shape[0] * x.shape[1])]


def test_errors(rng):
    net, x = network(rng), frames(rng)
    for arguments, text in (
        ({"backend": "loihi"}, "backend"),
        ({"tag": "float"}, "tag"),
        ({"record": "some"}, "record"),
        ({"dt": 2e-3}, "dt of the frames"),
        ({"dt": 1.005 * net.dt}, "dt of the frames"),
        ({"record": "all", "backend": "fused"}, "record"),
    ):
        with pytest.raises(InputError, match=text):
            hdf5.predict(net, x, **arguments)
    for arguments in ({"num_layers": 0}, {"reset_interval": 0}, {"reset_offset": -1}, {"input_message_bits": 1.5}, {"sample_steps": 0}):
        with pytest.raises(InputError, match=f"Network.{next(iter(arguments))}"):
            Network(net, **arguments)
    assert repr(Network(net)) == f"Network({net.sizes})"
    for kind, name, value in (("affine", "weight_rec", np.full((3, 3), 20)), ("affine", "bias", np.array([0, 7, 0]))):
        sums = Layer(0, kind, (3,), 4, weights(rng, 0, 90, 3, 4), **{name: value})
        for taker in (Network, FastNetwork):
            with pytest.raises(InputError, match=rf"layer/0 {name} must be left out of a layer without neurons"):
                taker(NetDescription((sums,)))
    with pytest.raises(InputError, match="FusedSimCfg"):
        FusedSimCfg("net")
    lava = Network(net)
    FusedSimCfg(lava)
    fresh = Network(net)
    once = "be given each network once; got"
    for networks, text in (((fresh, lava), "that are not fused yet; got .* Use the configuration made for it"), ((fresh, fresh), once)):
        with pytest.raises(InputError, match=text):
            FusedSimCfg(*networks)
        assert not fresh.fused  # what was refused has changed nothing


def test_weights_that_lava_would_clip_are_refused():
    def net(weight):
        return NetDescription((Layer(0, "affine", (1,), 1, np.array([[weight]], np.int32)),))

    frames = np.ones((1, 3, 1), int)
    for weight in (-256, 254, 255):
        assert hdf5.predict(net(weight), frames, "inprocess").ravel().tolist() == [weight] * 3
    assert hdf5.predict(net(400), frames).ravel().tolist() == hdf5.predict(net(400), frames, "fused").ravel().tolist() == [400] * 3
    for weight in (-257, 256):
        with pytest.raises(InputError, match=r"layer/0 \(affine\) weight must lie in -256..255 for Lava's synapses; got .*backend='fast'"):
            hdf5.predict(net(weight), frames, "inprocess")


def test_what_is_connected_to_a_layer_keeps_its_network_from_being_fused(rng):
    lava, monitor, sink = Network(network(rng), name="net"), Monitor(), Sink(shape=(13,), buffer=STEPS)
    monitor.name, sink.name = "watch", "tap"
    monitor.probe(lava.layers[0].neuron.residue, STEPS)
    lava.layers[0].out.connect(sink.a_in)
    with pytest.raises(InputError, match="layers of Network 'net'; got \"Monitor 'watch', RingBuffer 'tap'\""):
        FusedSimCfg(lava)


def test_what_is_connected_through_another_shape_keeps_it_from_being_fused_too(rng):
    lava, sink = Network(network(rng), name="net"), Sink(shape=(13, 1), buffer=STEPS)
    sink.name = "tap"
    lava.layers[0].out.reshape((13, 1)).connect(sink.a_in)
    with pytest.raises(InputError, match="layers of Network 'net'; got \"RingBuffer 'tap'\""):
        FusedSimCfg(lava)


@pytest.mark.parametrize("delay_rec", [None, 3])
def test_recurrent_spikes_behind_axonal_delays_stay_in_their_sample(delay_rec):
    rng = np.random.default_rng(1)
    weight, recurrent = rng.integers(20, 100, (5, 4)), rng.integers(30, 120, (5, 5))
    more = {} if delay_rec is None else {"delay_rec": np.full(5, delay_rec, np.int32)}
    neuron = CubaNeuron(3000, 2000, 100)
    net = NetDescription((Layer(0, "dense_rec", (5,), 4, weight, weight_rec=recurrent, delay=np.arange(5), neuron=neuron, **more),))
    x = (rng.random((4, 12, 4)) < 0.6).astype(np.uint8)
    fast = hdf5.predict(net, x)
    assert fast.any() and np.array_equal(hdf5.predict(net, x, "inprocess"), fast)


def test_wrong_frames_in_lava_end_the_run(rng):
    """A message of the wrong width names the Process and does not hang."""
    lava = Network(network(rng), sample_steps=STEPS)
    Frames(frames=np.zeros((2, STEPS, CHANNELS), np.uint8)).s_out.connect(lava.inp)
    with pytest.raises((InputError, ProcessFailed), match="sample_steps"), guarded(lava, Loihi2SimCfg(select_tag="fixed_pt")) as session:
        session.run(1)


def test_noise_of_a_layer_without_bias_begins_with_the_first_input(rng):
    neuron = M1T1RNeuron(StepParams(replace(FIG2, sigma1=0.05, sigma2=0.05)), 5)
    net = NetDescription((Layer(0, "dense", (6,), 2, np.full((6, 2), 210, np.int32), neuron=neuron),))
    x = (rng.random((80, 2)) < 0.6).astype(np.uint8)
    lava = Network(net)
    Frames(frames=x).s_out.connect(lava.inp)
    out = run(lava, 80, Loihi2SimCfg(select_tag="fixed_pt"), record=[lava.out])[lava.out]
    assert out.any() and np.array_equal(out, hdf5.predict(net, x[None])[0])
