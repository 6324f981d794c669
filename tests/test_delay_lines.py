"""Delay lines before a network: the same in the loops, in training, in Lava, in files; the exporters' tests have a network behind some."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lava_1m1t1r import presets, reference
from lava_1m1t1r.delay_lines import LinesRun, line_delays, on_lines
from lava_1m1t1r.description import Layer, M1T1RNeuron, NetDescription
from lava_1m1t1r.errors import FormatError, InputError
from lava_1m1t1r.fast import FastNetwork
from lava_1m1t1r.fast.stream import Stream
from lava_1m1t1r.netx import hdf5, schema
from lava_1m1t1r.program import StepParams
from lava_1m1t1r.reference_network import run, synaptic_input

DELAYS = (0, 5, 2, 17, 0, 40)


def by_hand(frames, delay):
    """Line n at step t, of one sample, from the sentence that says what a line is."""
    steps, channels = frames.shape
    return np.array([[frames[t - d, n % channels] if t >= d else 0 for n, d in enumerate(delay)] for t in range(steps)])


@pytest.fixture
def net(rng):
    weight, weight_rec = (2 * rng.integers(a, b, shape) for a, b, shape in ((-10, 100, (11, 6)), (-20, 20, (11, 11))))
    neuron = M1T1RNeuron(StepParams(presets.ZHAO2025_FIG2), seed=3)
    return NetDescription(
        (
            Layer(0, "delay_lines", (6,), 3, delay=np.array(DELAYS, np.int32)),
            Layer(1, "dense_rec", (11,), 6, weight.astype(np.int32), weight_rec.astype(np.int32), neuron=neuron),
            Layer(2, "affine", (4,), 11, (2 * rng.integers(-50, 50, (4, 11))).astype(np.int32)),
        )
    )


@pytest.fixture
def frames(rng):
    return (rng.random((3, 90, 3)) < 0.5).astype(np.uint8)


@given(st.lists(st.integers(0, 62), min_size=1, max_size=8), st.integers(1, 5), st.integers(1, 70), st.integers(0, 9))
def test_lines_are_what_the_sentence_says_at_once_and_step_by_step(delay, channels, steps, seed):
    rng = np.random.default_rng(seed)
    delay = np.array(delay * channels)
    frames = rng.integers(0, 3, (2, steps, channels)).astype(np.int16)
    at_once = on_lines(frames, delay)
    assert at_once.dtype == frames.dtype
    assert np.array_equal(at_once, [by_hand(sample, delay) for sample in frames])
    run = LinesRun(delay, channels)
    for sample, wanted in zip(frames, at_once, strict=True):
        run.reset()
        assert np.array_equal([run.step(frame) for frame in sample], wanted)


def test_the_network_is_the_arbiters_behind_what_the_lines_bring(net, frames):
    behind = NetDescription(net.layers[1:])
    result = FastNetwork(net).run(frames, record="all")
    for b, sample in enumerate(frames):
        for ran in (*run(behind, by_hand(sample, DELAYS), neurons=reference.Neurons), *run(net, sample)):
            assert np.array_equal(result.layers[0].spikes[b], ran.traces.spike)
            assert np.array_equal(result.layers[0].states["filament"][b], ran.traces.filament)
    assert result.layers[0].spikes.sum() > 50
    undelayed = FastNetwork(NetDescription((Layer(0, "delay_lines", (6,), 3, delay=np.zeros(6, np.int32)), *net.layers[1:]))).run(frames)
    assert not np.array_equal(undelayed.out, result.out)


def test_a_stream_equals_the_batch(net, frames):
    stream, wanted = Stream(net), FastNetwork(net).run(frames).out
    for sample, out in zip(frames, wanted, strict=True):
        stream.reset()
        assert np.array_equal([stream.step(frame) for frame in sample], out)


@pytest.mark.lava
@pytest.mark.parametrize("tag", hdf5.TAGS)
def test_lava_equals_the_fast_path_composed_and_fused(net, frames, tag):
    pytest.importorskip("lava.magma")
    wanted = hdf5.predict(net, frames, tag=tag)
    for backend in ("inprocess", "fused", "lava"):
        assert np.array_equal(hdf5.predict(net, frames, backend, tag=tag), wanted), backend


@pytest.mark.lava
@pytest.mark.parametrize(("tag", "bits"), [("fixed_pt", 0), ("fixed_pt", 24), ("floating_pt", 0), ("floating_pt", 16)])
def test_lines_in_lava_hand_on_whatever_comes(tag, bits):
    pytest.importorskip("lava.magma")
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.io.source import RingBuffer

    from lava_1m1t1r.netx.terminal.process import Tap
    from lava_1m1t1r.run import run

    affine = Layer(1, "affine", (1,), 2, np.array([[2, 2]], np.int32))
    behind = NetDescription((Layer(0, "delay_lines", (2,), 1, delay=np.zeros(2, np.int32)), affine))
    alone = NetDescription((Layer(1, "affine", (1,), 1, np.array([[4]], np.int32)),))
    values = np.array([[40_000, 65_536, -1, 7, 0]]) if tag == "fixed_pt" else np.array([[0.5, 1.5, 65_536, -1, 0]])
    seen = []
    for net in (behind, alone):
        network, tap = hdf5.Network(net, input_message_bits=bits), Tap(shape=(1,), steps=6)
        RingBuffer(data=values).s_out.connect(network.inp)
        network.out.connect(tap.a_in)
        run(network, 6, Loihi2SimCfg(select_tag=tag))
        seen.append(tap.values())
    assert np.array_equal(*seen) and seen[0].any()


@pytest.mark.lava
@pytest.mark.parametrize("offset", [0, 7])
def test_what_is_on_its_way_does_not_reach_the_next_sample_and_fused_equals_composed(net, frames, offset):
    pytest.importorskip("lava.magma")
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.io.source import RingBuffer

    from lava_1m1t1r.netx.fused import FusedSimCfg
    from lava_1m1t1r.netx.terminal.process import Tap
    from lava_1m1t1r.run import run

    steps, seen = frames.shape[1], []
    early = np.ones((offset, 3), np.uint8)  # what comes before the first sample is forgotten too
    data = np.concatenate([early, *frames]).T
    for fused in (False, True):
        lava = hdf5.Network(net, num_layers=1, reset_interval=steps, reset_offset=offset)
        source, tap = RingBuffer(data=data), Tap(shape=(11,), steps=data.shape[1] + 1)
        source.s_out.connect(lava.inp)
        lava.out.connect(tap.a_in)
        config = FusedSimCfg(lava) if fused else Loihi2SimCfg(select_tag="fixed_pt")
        run(lava, data.shape[1] + 1, config)
        seen.append(tap.values())
    wanted = FastNetwork(net.head(1)).run(frames).out.reshape(-1, 11)
    for values in seen:
        assert np.array_equal(values[offset : offset + len(wanted)], wanted)


@pytest.mark.train
def test_training_writes_the_network_that_it_trains(tmp_path, frames):
    torch = pytest.importorskip("torch")
    pytest.importorskip("lava.lib.dl.slayer")
    from lava_1m1t1r.recipes import network as networks
    from lava_1m1t1r.recipes.task import Task

    task = Task("test", channels=3, hidden=24, classes=4, taps=(0, 4, 9), smooth=1.0, n_steps=90, delay_rec=5)
    trained = networks.m1t1r(task).eval()
    assert trained.hidden is trained.blocks[1] and trained.hidden.input_synapse.weight.shape[:2] == (24, 9)
    with torch.no_grad():
        trained.hidden.input_synapse.weight *= 3
        layers = trained.layers(torch.from_numpy(frames).float().transpose(1, 2))
    trained.export(tmp_path / "trained.net")
    net = schema.read(tmp_path / "trained.net")
    assert (net.inputs, net.delay_lines.size, net.delay_lines.delay.tolist()) == (3, 9, [0, 0, 0, 4, 4, 4, 9, 9, 9])
    result = FastNetwork(net).run(frames, record="all")
    assert result.layers[0].spikes.sum() > 20
    for ours, record in zip(layers, result.layers, strict=True):
        scale = 1 if record.spikes is not None else 64
        assert np.array_equal(np.rint(ours.transpose(1, 2).numpy() * scale), record.out)
    schema.write(tmp_path / "again.net", net)
    assert schema.read(tmp_path / "again.net") == net


@pytest.mark.train
def test_lines_are_smoothed_each_by_itself_and_pass_gradients_on():
    torch = pytest.importorskip("torch")
    pytest.importorskip("lava.lib.dl.slayer")
    from lava_1m1t1r.benchmarks.peers import Blur
    from lava_1m1t1r.recipes.smooth import kernel
    from lava_1m1t1r.slayer.block.m1t1r import DelayLines

    x = torch.rand(2, 6, 9, dtype=torch.float64)
    blurred = Blur(3, 1.0).double()(x)
    gauss = (kernel(3, 1.0) / kernel(3, 1.0)[1].norm()).double()
    assert torch.allclose(blurred[:, 3:], gauss.T @ x[:, 3:])
    lines = DelayLines(3, (0, 4))
    given = torch.rand(2, 3, 9, dtype=torch.float64, requires_grad=True)
    assert np.array_equal(lines(given).detach().transpose(1, 2), on_lines(given.detach().transpose(1, 2).numpy(), lines.delay.numpy()))
    assert torch.autograd.gradcheck(lines, (given,))
    for steps in (1, 3, 8):  # of which the longest line hands nothing on
        short = DelayLines(2, (0, 4, 9))(torch.ones(1, 2, steps))
        assert short[0].sum(-1).tolist() == [steps] * 2 + [max(steps - 4, 0)] * 2 + [0] * 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"inFeatures": 4}, r"layer/0/inFeatures must divide the lines evenly.*6 lines.*4"),
        ({"inFeatures": 0}, "inFeatures must be positive"),
        ({"delay": [63] * 6}, r"layer/0/delay\[0\] must be a whole number of steps from 0 to 62"),
        ({"delay": [1] * 5}, "layer/0/delay must hold 1 or 6 values"),
        ({"delay": None}, "layer/0/delay must be present"),
        ({"inFeatures": None}, "layer/0/inFeatures must be present"),
        ({"weight": [[1]]}, "layer/0/weight must be a key of a layer of type 'delay_lines'"),
    ],
)
def test_files_with_damaged_lines_are_refused(net, tmp_path, change, words):
    import h5py

    path = tmp_path / "lines.net"
    schema.write(path, net)
    with h5py.File(path, "r+") as file:
        for key, value in change.items():
            if key in file["layer/0"]:
                del file[f"layer/0/{key}"]
            if value is not None:
                file[f"layer/0/{key}"] = np.array(value)
    with pytest.raises(FormatError, match=words):
        schema.read(path)


def test_lines_stand_first_and_alone(net, tmp_path):
    lines, hidden, readout = net.layers
    behind = Layer(1, "delay_lines", (22,), 11, delay=np.zeros(22, np.int32))
    wide = Layer(1, "dense_rec", (11,), 3, hidden.weight[:, :3], hidden.weight_rec, neuron=hidden.neuron)
    for layers in ((wide, behind), (lines, Layer(1, "delay_lines", (6,), 6, delay=lines.delay), hidden)):
        with pytest.raises(FormatError, match=r"layer/[01] \(delay_lines\) must come before all layers that compute, and be the only"):
            schema.write(tmp_path / "x.net", layers)


def test_lines_that_lead_nowhere_are_refused_in_memory_too(net):
    lines, hidden, readout = net.layers
    moved = (Layer(0, "dense_rec", (11,), 3, hidden.weight[:, :3], hidden.weight_rec, neuron=hidden.neuron), Layer(1, *lines_of(lines)))
    narrow = (lines, Layer(1, "dense_rec", (11,), 4, hidden.weight[:, :4], hidden.weight_rec, neuron=hidden.neuron))
    for layers, words in (
        (moved, "come before all layers"),
        (narrow, "have as many lines as the first layer inputs, 4"),
        ((Layer(0, "delay_lines", (6,), 3), hidden), "delay must be an array of whole numbers"),
        ((Layer(0, "delay_lines", (6,), 4, delay=lines.delay), hidden), "4 channels, 6 lines"),
    ):
        with pytest.raises(InputError, match=words):
            FastNetwork(NetDescription(layers))
    assert repr(FastNetwork(net)) == "FastNetwork(3x2-11R-4, fixed point)"


def lines_of(layer):
    return layer.kind, layer.shape, layer.inputs, None, None, None, layer.delay


def test_a_chips_synapses_are_counted_with_the_delays_of_the_lines_before_them(net):
    from lava_1m1t1r.export.loihi_resources import layer_resources

    hidden = net.layers[1]
    alone = NetDescription(net.layers[1:])
    behind, bare = (layer_resources(n)[0] for n in (net, alone))
    assert behind.synapse_bits - bare.synapse_bits == 6 * np.count_nonzero(hidden.weight) and behind.largest_delay == 40


@settings(max_examples=20)
@given(st.one_of(st.just([]), st.lists(st.integers(-5, 90), min_size=1, max_size=4), st.just(["a"]), st.just([1.5]), st.just([10**30, 0])))
def test_taps_are_checked(taps):
    good = len(taps) > 0 and all(isinstance(t, int) and 0 <= t <= 62 for t in taps) and len(set(taps)) == len(taps)
    if good:
        assert line_delays(taps, 2, "taps").tolist() == [t for tap in taps for t in (tap, tap)]
    else:
        with pytest.raises(InputError, match=r"^taps(\[\d\])? must "):
            line_delays(taps, 2, "taps")


def test_counts_are_bounded_by_what_all_lines_bring(net):
    # a channel's counts come over two lines: so many in a step are twice as many at the neurons
    alone, both = net.active[0].sums(), net.first_sums
    assert (both.largest, both.of_rows) == (2 * alone.largest, alone.of_rows)


@pytest.mark.train
def test_parameters_of_other_taps_are_refused():
    from lava_1m1t1r.slayer.block import lines as from_torch

    saved = from_torch.DelayLines(3, (0, 5)).state_dict()
    from_torch.DelayLines(3, (0, 5)).load_state_dict(saved)
    for taps in ((0, 9), (0, 5, 9)):
        with pytest.raises(InputError, match=r"delay must be those of the state dict; got \[0, .*9\]"):
            from_torch.DelayLines(3, taps).load_state_dict(saved)


@pytest.mark.parametrize("steps", [3, 12, 40])
def test_recorded_input_is_that_of_the_network(steps, net, rng):
    """Also of samples that are shorter than a recurrent delay."""
    lines, layer, readout = net.layers
    net = NetDescription((lines, replace(layer, delay_rec=rng.integers(0, 20, 11).astype(np.int32)), readout))
    frames = (rng.random((2, steps, 3)) < 0.5).astype(np.uint8)
    found = synaptic_input(net.active[0], net.arriving(frames), FastNetwork(net).run(frames, record="all").layers[0].spikes)
    for one, a_in in zip(frames, found, strict=True):
        np.testing.assert_array_equal(a_in, run(net, one)[0].a_in)
