"""Files that lava-dl itself writes: the same spikes as its own forward pass, and as its own netx in Lava."""

from pathlib import Path

import h5py
import numpy as np
import pytest

pytest.importorskip("lava.lib.dl.slayer", reason="needs lava-dl")
import torch
from lava.lib.dl import netx, slayer
from lava.magma.core.run_configs import Loihi2SimCfg

from lava_1m1t1r.errors import FormatError
from lava_1m1t1r.netx import hdf5, schema
from lava_1m1t1r.netx.terminal.process import Frames, Tap
from lava_1m1t1r.run import guarded

pytestmark = [pytest.mark.lava, pytest.mark.train]
NEURON = {"threshold": 1.25, "current_decay": 0.25, "voltage_decay": 0.03, "requires_grad": False}
HETEROGENEOUS = {**NEURON, "shared_param": False}
STEPS, CHANNELS = 80, 30


def blocks(kind, neuron):
    cuba = slayer.block.cuba
    delay = kind == "delays"
    made = [
        cuba.Dense(neuron, CHANNELS, 25, weight_scale=3, delay=delay),
        cuba.Recurrent(neuron, 25, 22, weight_scale=3),
        cuba.Dense(neuron, 22, 9, weight_scale=4, delay=delay),
    ]
    if kind == "input":
        made.insert(0, cuba.Input(NEURON, weight=1, bias=0.5))
    if kind in ("sums", "voltages"):
        made.append(cuba.Affine(neuron, 9, 4, weight_scale=2, dynamics=kind == "voltages"))
    return made


def outputs(made, x):
    """Output of every block, from rest: lava-dl's Recurrent block keeps its state, so that each network runs once."""
    found = []
    for block in made:
        if getattr(block, "delay", None) is not None:
            block.delay.delay.data = torch.arange(block.neuron.shape[0] if block.neuron.shape else block.synapse.out_channels) % 7 + 0.4
            block.delay.init = True
        x = block(x)
        found.append(x.numpy().transpose(0, 2, 1))
    return found


@pytest.fixture
def made(request, tmp_path):
    """Blocks, their outputs, the frames and the file."""
    kind = request.param
    torch.set_num_threads(1)
    torch.manual_seed(7)
    layers = blocks(kind, HETEROGENEOUS if kind == "heterogeneous" else NEURON)
    frames = (np.random.default_rng(3).random((1, STEPS, CHANNELS)) < 0.2).astype(np.float32)
    with torch.no_grad():
        found = outputs(layers, torch.from_numpy(frames.transpose(0, 2, 1)))
    path = tmp_path / "dl.net"
    with h5py.File(path, "w") as file:
        for i, layer in enumerate(layers):
            layer.export_hdf5(file.create_group(f"layer/{i}"))
    return kind, found, frames, path


ALL = ("plain", "delays", "input", "heterogeneous", "sums", "voltages")


@pytest.mark.parametrize("made", ALL, indirect=True)
def test_equals_lava_dls_forward_pass(made):
    kind, expected, frames, path = made
    result = hdf5.predict(path, frames, record="all")
    scale = {"sums": 64, "voltages": 64 * 64}.get(kind, 1)  # lava-dl's numbers are real; its neurons count 2^-12
    for i, (layer, out) in enumerate(zip(result.layers, expected, strict=True)):
        unit = scale if i == len(expected) - 1 else 1
        assert layer.out.any()
        assert np.array_equal(layer.out, np.rint(out * unit)), i


@pytest.mark.parametrize("made", ALL, indirect=True)
@pytest.mark.parametrize("backend", ("inprocess", "lava"))
def test_lava_gives_the_same(made, backend):
    _, _, frames, path = made
    twice = np.concatenate([frames, frames])
    assert np.array_equal(hdf5.predict(path, twice, backend), hdf5.predict(path, twice))


@pytest.mark.parametrize("made", ("plain", "delays"), indirect=True)
def test_equals_lava_dls_own_netx(made):
    _, _, frames, path = made
    network = netx.hdf5.Network(net_config=str(path))
    source, tap = Frames(frames=frames[0].astype(np.uint8)), Tap(shape=(9,), steps=STEPS)
    source.s_out.connect(network.inp)
    network.out.connect(tap.a_in)
    with guarded(network, Loihi2SimCfg(select_tag="fixed_pt"), timeout=60) as session:
        session.run(STEPS)
    assert tap.values().any()
    assert np.array_equal(tap.values(), hdf5.predict(path, frames)[0])


@pytest.mark.parametrize("made", ("input",), indirect=True)
def test_what_was_read_and_written_anew_is_read_by_lava_dl(made, tmp_path):
    """Which takes one bias for all inputs; files with one each are read here alike."""
    _, _, frames, path = made
    net = schema.read(path)
    schema.write(tmp_path / "anew.net", net)
    assert len(netx.hdf5.Network(net_config=str(tmp_path / "anew.net"))) == len(net.layers)
    first, same = net.layers[0], net.layers[0].bias
    for bias, held in ((same, 1), (same + np.arange(CHANNELS, dtype=np.int32), CHANNELS)):
        schema.write(tmp_path / "own.net", (first.replace(bias=bias), *net.layers[1:]))
        assert np.array_equal(schema.read(tmp_path / "own.net").layers[0].bias, bias)
        with h5py.File(tmp_path / "own.net", "r+") as file:
            assert file["layer/0/bias"].shape == (held,)
            del file["layer/0/bias"]
            file["layer/0/bias"] = bias
        assert np.array_equal(schema.read(tmp_path / "own.net").layers[0].bias, bias)
    assert np.array_equal(hdf5.predict(tmp_path / "anew.net", frames), hdf5.predict(path, frames))


@pytest.mark.parametrize("name", ("alif", "sigma_delta"))
def test_neurons_that_are_not_known_are_refused(tmp_path, name):
    params = {"threshold": 1.0, "requires_grad": False}
    if name == "alif":
        params |= {"threshold_step": 0.1, "current_decay": 0.2, "voltage_decay": 0.1, "threshold_decay": 0.1, "refractory_decay": 0.1}
    else:
        params |= {"activation": torch.relu}
    block = getattr(slayer.block, name).Dense(params, 5, 4)
    with torch.no_grad():
        block(torch.zeros(1, 5, 3))
    with h5py.File(tmp_path / "a.net", "w") as file:
        block.export_hdf5(file.create_group("layer/0"))
    with pytest.raises(FormatError, match="layer/0/neuron/"):
        schema.read(tmp_path / "a.net")


SHIPPED = Path(netx.__file__).resolve().parents[4] / "tests/lava/lib/dl/netx"
"""What lava-dl's wheel installs of its own tests: networks of former releases, and their ground truth."""


@pytest.mark.skipif(not (SHIPPED / "gts/ntidigits/output.npy").is_file(), reason="needs the networks of lava-dl's tests")
def test_a_network_of_a_former_release_gives_its_ground_truth():
    """Keys and kernels as former releases wrote them; axonal delays. It is a step later than our outputs."""
    frames, expected = (np.load(SHIPPED / f"gts/ntidigits/{name}.npy") for name in ("input", "output"))
    net = schema.read(SHIPPED / "gts/ntidigits/ntidigits.net").head(3)  # before the average, as in lava-dl's test
    out = hdf5.predict(net, frames.T[None].astype(int))[0].T
    assert expected.sum() > 20_000
    np.testing.assert_array_equal(out[:, :-1], expected[:, 1:])


@pytest.mark.parametrize("name", ["mnist.net", "tiny.net", "gts/pilotnet_lif/network.net"])
def test_networks_of_former_releases_are_read(name):
    if not (SHIPPED / name).is_file():
        pytest.skip("needs the networks of lava-dl's tests")
    net = schema.read(SHIPPED / name)
    assert hdf5.predict(net, np.zeros((1, 2, net.inputs), int)).shape == (1, 2, net.outputs)
