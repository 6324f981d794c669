"""Convolutions and poolings in files and in Lava: round trip, every damage named, what Lava's Conv cannot hold, lava-dl's own files."""

from dataclasses import replace

import damage
import h5py
import numpy as np
import pytest

from lava_1m1t1r import StepParams, presets
from lava_1m1t1r.convolution import Convolution, pooling
from lava_1m1t1r.description import CubaNeuron, Layer, M1T1RNeuron, NetDescription
from lava_1m1t1r.errors import FormatError, InputError
from lava_1m1t1r.fast import FastNetwork, Stream
from lava_1m1t1r.netx import hdf5, schema

NEURON = M1T1RNeuron(StepParams(presets.ZHAO2025_FIG2), seed=3)
INPUTS = (4, 7, 6)


def weights(rng, *shape):
    return (2 * rng.integers(-30, 128, shape)).astype(np.int32)


def image(index, kind, conv, weight, neuron=NEURON, **more):
    return Layer(index, kind, conv.shape, conv.sources, weight, neuron=neuron, conv=conv, **more)


@pytest.fixture
def net(rng):
    """Unequal pairs everywhere, so that no order can be mistaken for another."""
    conv = Convolution(INPUTS, 6, (3, 2), (1, 2), (2, 1), (2, 1), 2)
    pool = pooling(conv.shape, (2, 3))
    of_feature = lambda low, high: np.repeat(rng.integers(low, high, 6), conv.size // 6).astype(np.int32)  # noqa: E731
    layers = (
        Layer(0, "input", INPUTS, 168),
        image(1, "conv", conv, weights(rng, 6, 2, 3, 2), bias=of_feature(100, 300), delay=of_feature(0, 9)),
        image(2, "pool", pool, weights(rng, 1, 1, 2, 3), bias=np.full(pool.size, 320, np.int32)),
        Layer(3, "flatten", (pool.size, 1, 1), pool.size),
        Layer(4, "affine", (3,), pool.size, weights(rng, 3, pool.size)),
    )
    return NetDescription(layers)


@pytest.fixture
def path(net, tmp_path):
    schema.write(tmp_path / "a.net", net)
    return tmp_path / "a.net"


def frames(rng, net, batch=2, steps=60, high=2):
    shape = (batch, steps, net.inputs)
    return ((rng.random(shape) < 0.35) * rng.integers(1, high, shape)).astype(np.uint8)


def test_comes_back_as_it_was(net, path):
    back = schema.read(path)
    for a, b in zip(net.layers, back.layers, strict=True):
        assert (a.kind, a.shape, a.inputs, a.conv) == (b.kind, b.shape, b.inputs, b.conv)
        for name in ("weight", "bias", "delay"):
            assert np.array_equal(getattr(a, name), getattr(b, name)) or getattr(a, name) is None is getattr(b, name)


def test_files_hold_a_bias_and_a_delay_a_feature(net, tmp_path, path):
    """As lava-dl has them; one a neuron where those of a feature differ."""
    with h5py.File(path) as file:
        assert file["layer/1/bias"].shape == file["layer/1/delay"].shape == (6,) and file["layer/2/bias"].shape == (6,)
    own = replace(net.layers[1], bias=np.arange(net.layers[1].size, dtype=np.int32))
    other = replace(net, layers=(net.layers[0], own, *net.layers[2:]))
    schema.write(tmp_path / "own.net", other)
    with h5py.File(tmp_path / "own.net") as file:
        assert file["layer/1/bias"].shape == (own.size,) and file["layer/1/delay"].shape == (6,)
    assert np.array_equal(schema.read(tmp_path / "own.net").layers[1].bias, own.bias)


def test_the_input_layer_may_be_left_out(rng, net, tmp_path, path):
    layers = tuple(replace(layer, index=layer.index - 1) for layer in net.layers[1:])
    schema.write(tmp_path / "b.net", layers)
    x = frames(rng, net)
    assert np.array_equal(hdf5.predict(tmp_path / "b.net", x), hdf5.predict(path, x))


def text(value):
    return np.bytes_(value)


DAMAGE = {
    "kernels of another size": ("layer/1/kernelSize", [2, 3], r"layer/1/weight.*kernels of \(2, 3\)"),
    "no stride": ("layer/1/stride", [1, 0], "layer/1: stride must"),
    "stride of three": ("layer/1/stride", [1, 1, 1], "layer/1/stride must hold one number, or two"),
    "half a stride": ("layer/1/stride", [0.5, 1], "layer/1/stride.*whole"),
    "another stride": ("layer/1/stride", [1, 1], "layer/1/shape must be"),
    "negative padding": ("layer/1/padding", [-1, 0], "layer/1: padding"),
    "endless padding": ("layer/1/padding", [1 << 20, 1 << 20], "layer/1/padding must leave"),
    "padding that is too much for all channels together": ("layer/1/padding", [1500, 1500], "layer/1/padding must leave"),
    "far dilation": ("layer/1/dilation", [99, 1], "layer/1: kernel and dilation must reach no further"),
    "groups that do not divide": ("layer/1/groups", 3, "layer/1: groups must divide"),
    "groups of another weight": ("layer/1/groups", 1, r"layer/1/weight must have shape \(6, 4, 3, 2\)"),
    "groups of none": ("layer/1/groups", 0, "layer/1: groups"),
    "shape turned round": ("layer/1/shape", [4, 7, 6], "layer/1/shape must be"),
    "flat shape": ("layer/1/shape", [168], "layer/1/shape must be"),
    "flat weight": ("layer/1/weight", np.zeros(72), "layer/1/weight"),
    "one kernel a feature in a pooling": ("layer/2/weight", np.zeros((6, 1, 2, 3)), "layer/2/weight must have shape"),
    "large weight": ("layer/1/weight", np.full((6, 2, 3, 2), 300), "layer/1/weight.*8 signed bits"),
    "input turned round": ("layer/1/inputShape", [6, 7, 4], r"layer/1/inputShape must be \(4, 7, 6\)"),
    "flat input": ("layer/0/shape", [168], r"layer/1/inputShape must be \(C, H, W\)"),
    "other channels": ("layer/1/inChannels", 2, "layer/1/inChannels must be 4"),
    "other features": ("layer/1/outChannels", 5, "layer/1/outChannels must be 6"),
    "too few delays": ("layer/1/delay", np.zeros(5), "layer/1/delay must hold 1 or 6 or"),
    "delays as an image": ("layer/1/delay", np.zeros((6, 7, 4)), "layer/1/delay must be one value, one a feature"),
    "groups of a pooling": ("layer/2/groups", 1, "layer/2/groups must be a key"),
    "recurrence": ("layer/1/weight_rec", np.zeros((2, 2)), "layer/1/weight_rec must be a key"),
    "convT": ("layer/1/type", text("convT"), "layer/1/type must be one of.*conv, pool"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named(path, kind):
    damage.is_named(path, *DAMAGE[kind])


@pytest.mark.parametrize("key", ("weight", "kernelSize", "stride", "padding", "dilation", "groups", "neuron", "shape"))
def test_missing_key_is_named(path, key):
    damage.is_named(path, f"layer/1/{key}", None, f"layer/1/{key} must be present")


def test_without_an_input_shape_the_cure_is_named(net, tmp_path):
    schema.write(tmp_path / "b.net", tuple(replace(layer, index=layer.index - 1) for layer in net.layers[1:]))
    with h5py.File(tmp_path / "b.net", "r+") as file:
        del file["layer/0/inputShape"]
    with pytest.raises(FormatError, match="layer/0/inputShape.*Start the network with an Input block"):
        schema.read(tmp_path / "b.net")


def test_a_pair_of_equal_numbers_may_be_one(rng, tmp_path):
    conv = Convolution(INPUTS, 6, (3, 3), (2, 2), (1, 1))
    schema.write(tmp_path / "a.net", [image(0, "conv", conv, weights(rng, 6, 4, 3, 3))])
    with h5py.File(tmp_path / "a.net", "r+") as file:
        for key, value in (("kernelSize", 3), ("stride", [2]), ("padding", np.int8(1))):
            del file[f"layer/0/{key}"]
            file[f"layer/0/{key}"] = value
    assert schema.read(tmp_path / "a.net").layers[0].conv == conv


def test_stream_equals_the_batch(rng, net):
    x = frames(rng, net, high=3)
    fast = FastNetwork(net)
    stream, expected = Stream(fast), fast.run(x[:1]).out[0]
    assert expected.any()
    assert np.array_equal([stream.step(frame) for frame in x[0]], expected)


def many_groups(rng):
    """More groups than Lava's Conv can count."""
    conv = Convolution((130, 2, 2), 130, (2, 1), groups=130)
    return NetDescription((image(0, "conv", conv, weights(rng, 130, 1, 2, 1), bias=np.full(conv.size, 300, np.int32)),))


def wide_kernel(rng):
    """A kernel wider than Lava's Conv can count."""
    conv = Convolution((1, 1, 300), 1, (1, 128))
    return NetDescription((image(0, "conv", conv, weights(rng, 1, 1, 1, 128)),))


@pytest.mark.lava
@pytest.mark.parametrize("tag", hdf5.TAGS)
@pytest.mark.parametrize("backend", ("inprocess", "lava"))
def test_lava_equals_fast(rng, net, backend, tag):
    pytest.importorskip("lava.magma", reason="needs lava-nc")
    x = frames(rng, net, high=4)  # counts
    a, b = (hdf5.predict(net, x, which, tag=tag, record="all") for which in ("fast", backend))
    for one, other in zip(a.layers, b.layers, strict=True):
        assert one.out.any() and np.array_equal(one.out, other.out)
        assert all(np.array_equal(one.states[name], state) for name, state in other.states.items())
    assert np.array_equal(hdf5.predict(net, x, "fused", tag=tag), a.out)


@pytest.mark.lava
def test_convolutions_of_cuba_neurons_are_integers_without_a_tag(rng, net):
    pytest.importorskip("lava.magma", reason="needs lava-nc")
    from lava.magma.core.run_configs import Loihi2SimCfg

    from lava_1m1t1r.netx.graph.process import Network
    from lava_1m1t1r.netx.terminal.process import Frames
    from lava_1m1t1r.run import run

    conv = replace(net.layers[1], neuron=CubaNeuron(1024, 128, 300), bias=None, delay=None)
    readout = Layer(2, "affine", (3,), conv.size, weights(rng, 3, conv.size))
    net = NetDescription((net.layers[0], conv, readout))
    x, lava = frames(rng, net, batch=1), Network(net)
    Frames(frames=x[0]).s_out.connect(lava.inp)
    sent = run(lava, len(x[0]) + 1, Loihi2SimCfg(), record=[lava.out])[lava.out][1:]
    assert type(lava.layers[0].synapse).__name__ == "Conv" and sent.any() and np.array_equal(sent, hdf5.predict(net, x)[0])


@pytest.mark.lava
def test_one_process_sends_to_a_conv(rng):
    """Lava would mistake the axes of what several send. Fusing is not mistaken about who is connected to what."""
    pytest.importorskip("lava.magma", reason="needs lava-nc")
    from lava_1m1t1r.netx.fused import FusedSimCfg
    from lava_1m1t1r.netx.graph.process import Network
    from lava_1m1t1r.netx.terminal.process import Frames
    from lava_1m1t1r.run import run

    conv = Convolution((2, 4, 3), 2, (2, 2))
    net = NetDescription((image(0, "conv", conv, weights(rng, 2, 2, 2, 2)),))
    x = frames(rng, net, batch=1)
    lava, other = Network(net), Frames(frames=x[0])
    Frames(frames=x[0]).s_out.connect(lava.inp)
    for port in (lava.inp, lava.layers[0].inp):
        with pytest.raises(InputError, match="inp must have one sender"):
            other.s_out.connect(port)
    assert other.s_out.out_connections == []
    seen = run(lava, x.shape[1], FusedSimCfg(lava), record=[lava.out])[lava.out]
    assert seen.any() and np.array_equal(seen, hdf5.predict(net, x)[0])


@pytest.mark.lava
def test_what_lavas_conv_cannot_hold_its_sparse_does(rng, net):
    pytest.importorskip("lava.magma", reason="needs lava-nc")
    from lava_1m1t1r.netx.graph.process import Network

    synapses = [type(block.synapse).__name__ for block in Network(net).layers]
    assert synapses == ["Conv", "Sparse", "Dense"]
    for large in (many_groups(rng), wide_kernel(rng)):
        assert type(Network(large).layers[0].synapse).__name__ == "Sparse"
        x = frames(rng, large)
        expected = hdf5.predict(large, x)
        assert expected.any() and np.array_equal(hdf5.predict(large, x, "inprocess"), expected)


@pytest.mark.lava
@pytest.mark.parametrize("count", [8256, 8257, 16512, 32767])
def test_counts_whose_sums_lavas_conv_would_wrap(count):
    # 4 x 254 x 8257 counts are more than 2^23
    conv = Convolution((1, 2, 2), 1, (2, 2))
    neuron = M1T1RNeuron(StepParams(presets.ZHAO2025_FIG2))
    net = NetDescription((Layer(0, "conv", conv.shape, conv.sources, np.full((1, 1, 2, 2), 254, np.int32), neuron=neuron, conv=conv),))
    frames = np.zeros((1, 60, 4), int)
    frames[:, ::5] = count
    spikes = hdf5.predict(net, frames)
    assert spikes.sum() > 5 and np.array_equal(hdf5.predict(net, frames, "inprocess"), spikes)


@pytest.mark.lava
def test_a_convolution_may_be_the_readout(rng, net):
    pytest.importorskip("lava.magma", reason="needs lava-nc")
    readout = NetDescription((net.layers[0], replace(net.layers[1], neuron=None, bias=None, delay=None)))
    x = frames(rng, readout)
    expected = hdf5.predict(readout, x)
    assert expected.any() and np.array_equal(hdf5.predict(readout, x, "inprocess"), expected)


def lava_dl_net(kind):
    from lava.lib.dl import slayer

    neuron = {"threshold": 1.25, "current_decay": 0.25, "voltage_decay": 0.03, "requires_grad": False}
    cuba = slayer.block.cuba
    delay = kind == "delays"
    made = [
        cuba.Input(neuron, weight=1, bias=0.4),
        cuba.Conv(neuron, 2, 4, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2, weight_scale=4, delay=delay),
        cuba.Conv(neuron, 4, 6, 3, padding=1, weight_scale=4, delay=delay),
        cuba.Flatten(),
        cuba.Dense(neuron, 6 * 5 * 6, 7, weight_scale=4),
    ]
    if kind == "pool":
        made[2] = cuba.Pool(neuron, 2, weight_scale=0.6)  # of five rows
        made[4] = cuba.Dense(neuron, 4 * 3 * 3, 7, weight_scale=4)
    return made


@pytest.mark.lava
@pytest.mark.train
@pytest.mark.parametrize("kind", ("plain", "delays", "pool"))
def test_lava_dls_own_files_give_its_spikes(kind, tmp_path):
    torch = pytest.importorskip("torch")
    pytest.importorskip("lava.lib.dl.slayer", reason="needs lava-dl")
    torch.manual_seed(4)
    made, steps = lava_dl_net(kind), 60
    x = (torch.rand(1, 2, 9, 8, steps) < 0.2).float()
    found, y = [], x
    with torch.no_grad():
        for block in made:
            if getattr(block, "delay", None) is not None:
                block.delay.delay.data, block.delay.init = torch.arange(block.synapse.out_channels) % 5 + 0.3, True
            y = block(y)
            found.append(y[0].flatten(0, -2).T.numpy())
    path = tmp_path / "dl.net"
    with h5py.File(path, "w") as file:
        for i, block in enumerate(made):
            block.export_hdf5(file.create_group(f"layer/{i}"))
    frames = x[0].flatten(0, -2).T[None].numpy()
    result = hdf5.predict(path, frames, record="all")
    for layer, expected in zip(result.layers, [found[i] for i in (0, 1, 2, 4)], strict=True):
        assert expected.any() and np.array_equal(layer.out[0], expected)
    assert np.array_equal(hdf5.predict(path, frames, "inprocess"), result.out)
    if kind != "plain":
        return  # lava-dl's netx has no pooling, and leaves delays of convolutions out
    from lava.lib.dl import netx
    from lava.magma.core.run_configs import Loihi2SimCfg

    from lava_1m1t1r.netx.terminal.process import Frames, Tap
    from lava_1m1t1r.run import guarded

    network = netx.hdf5.Network(net_config=str(path), skip_layers=1)  # its input layer takes values, not spikes
    images = found[0].reshape(steps, 2, 9, 8).transpose(0, 3, 2, 1)
    source, tap = Frames(frames=images.astype(np.uint8)), Tap(shape=(7,), steps=steps)
    source.s_out.connect(network.inp)
    network.out.connect(tap.a_in)
    with guarded(network, Loihi2SimCfg(select_tag="fixed_pt"), timeout=60) as session:
        session.run(steps)
    assert tap.values().any() and np.array_equal(tap.values(), result.out[0])


def test_poolings_that_lava_dl_mixes_are_refused_for_its_neurons(tmp_path):
    conv = pooling(INPUTS, (3, 3), (1, 1), (1, 1))
    layer = image(0, "pool", conv, np.full((1, 1, 3, 3), 64), CubaNeuron(512, 128, 80))
    with pytest.raises(FormatError, match=r"layer/0/stride must be the kernel's height, 3.*mixes neighbouring channels"):
        schema.write(tmp_path / "a.net", [layer])
    schema.write(tmp_path / "a.net", [replace(layer, neuron=NEURON)])
    assert schema.read(tmp_path / "a.net").layers[0].conv == conv


@pytest.mark.parametrize(
    ("channels", "stride", "padding", "dilation", "refused"),
    [
        (4, (2, 1), (0, 1), (1, 2), None),
        (4, (3, 2), (0, 0), (1, 1), r"3, 0, 1\)"),
        (4, (2, 3), (1, 0), (1, 1), r"2, 1, 1\)"),
        (4, (2, 3), (0, 0), (2, 1), r"2, 0, 2\)"),
        (1, (3, 2), (1, 0), (2, 1), None),
    ],
)
def test_the_height_of_windows_and_several_channels_make_poolings_mix(channels, stride, padding, dilation, refused, tmp_path):
    conv = pooling((channels, 7, 6), (2, 3), stride, padding, dilation)
    layer = image(0, "pool", conv, np.full((1, 1, 2, 3), 64), CubaNeuron(512, 128, 80))
    if refused is None:
        schema.write(tmp_path / "a.net", [layer])
        assert schema.read(tmp_path / "a.net").layers[0].conv == conv
        return
    with pytest.raises(FormatError, match=rf"layer/0/stride must be the kernel's height, 2.*got \({refused}"):
        schema.write(tmp_path / "a.net", [layer])
