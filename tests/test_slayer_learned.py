"""Device parameters that learn: their range, the file they end in, every block, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lava.lib.dl.slayer")

from lava_1m1t1r import presets  # noqa: E402
from lava_1m1t1r.errors import InputError  # noqa: E402
from lava_1m1t1r.fast import FastNetwork  # noqa: E402
from lava_1m1t1r.netx.schema import read  # noqa: E402
from lava_1m1t1r.program import LEARNABLE, LEAST_SHARE  # noqa: E402
from lava_1m1t1r.recipes.network import Network, m1t1r  # noqa: E402
from lava_1m1t1r.recipes.task import Task  # noqa: E402
from lava_1m1t1r.slayer import block  # noqa: E402
from lava_1m1t1r.slayer import layer as layer_module  # noqa: E402
from lava_1m1t1r.slayer.neuron import Neuron  # noqa: E402

LEARNS = {"substeps": 2, "learn": LEARNABLE, "learn_range": 3.0}


def spikes(*shape, rate=0.2, seed=0):
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < rate).float()


def moved(net, by=1.0):
    """Put the learned parameters somewhere, each neuron's elsewhere."""
    with torch.no_grad():
        for name, p in net.named_parameters():
            if "learned" in name:
                p.uniform_(-by, by)
    return net


def test_training_moves_devices_within_their_range_and_the_file_has_them(tmp_path):
    torch.manual_seed(0)
    net = Network([block.m1t1r.Recurrent(LEARNS, 20, 33), block.m1t1r.Affine(None, 33, 3)])
    optimiser = torch.optim.Adam(net.parameters(), lr=0.5)  # far enough to press against the bounds
    x, label = spikes(6, 20, 30), torch.arange(6) % 3
    for _ in range(8):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(net(x).sum(-1), label).backward()
        optimiser.step()
    nominal, device = presets.ZHAO2025_FIG2, net.blocks[0].neuron.params.device
    for name in LEARNABLE:
        factor = getattr(device, name) / getattr(nominal, name)
        assert factor.shape == (33,) and len(np.unique(factor)) > 20
        assert 1 / 3 < factor.min() < 0.9 and 1.1 < factor.max() < 3, name
    net.eval()
    net.export(tmp_path / "learned.net")
    kept = read(tmp_path / "learned.net").layers[0].neuron.step.device
    assert all(np.array_equal(getattr(kept, name), getattr(device, name)) for name in LEARNABLE)
    run = FastNetwork(read(tmp_path / "learned.net")).run(x.transpose(1, 2).numpy().astype(np.uint8), record="all")
    outputs = [y.detach().transpose(1, 2).numpy() for y in net.layers(x)]
    assert outputs[0].sum() > 0
    assert np.array_equal(outputs[0], run.layers[0].out) and np.array_equal(np.rint(64 * outputs[1]), run.layers[1].out)


def test_plain_torch_operations_learn_the_same(monkeypatch):
    found = []
    for force in (False, True):
        monkeypatch.setattr(layer_module, "FORCE_TORCH", force)
        torch.manual_seed(1)
        net = moved(torch.nn.Sequential(block.m1t1r.Recurrent(LEARNS, 12, 33, delay_rec=3), block.m1t1r.Dense(LEARNS, 33, 9)).double())
        y = net(spikes(3, 12, 20).double())
        (y * torch.linspace(-1, 1, 20)).sum().backward()
        found.append({name: p.grad for name, p in net.named_parameters()} | {"y": y.detach()})
    assert found[0]["y"].sum() > 0 and float(found[0]["0.neuron.learned.log_mu"].abs().sum()) > 0
    for name, value in found[0].items():
        torch.testing.assert_close(value, found[1][name], rtol=1e-9, atol=1e-12, msg=name)


def test_images_learn_one_device_a_feature_and_poolings_one_for_all():
    torch.manual_seed(0)
    conv, pool = block.m1t1r.Conv(LEARNS, 2, 3, 3), block.m1t1r.Pool(LEARNS, 2)
    net = moved(torch.nn.Sequential(conv, pool), 0.3)
    y = net(spikes(2, 2, 6, 6, 20, rate=0.4))
    y.sum().backward()
    mu = conv.neuron.params.device.mu.reshape(3, -1)
    assert mu.shape == (3, 16) and len(np.unique(mu)) == 3
    assert len(np.unique(pool.neuron.params.device.mu)) == 1
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters() if p.requires_grad)


def test_learned_devices_are_saved_and_loaded_with_the_weights():
    torch.manual_seed(0)
    net, again = moved(block.m1t1r.Dense(LEARNS, 9, 5)), block.m1t1r.Dense(LEARNS, 9, 5)
    x = spikes(2, 9, 40)
    before = again(x)
    again.load_state_dict(net.state_dict())
    assert torch.equal(net(x), again(x)) and not torch.equal(before, again(x))


def test_factors_of_another_range_are_refused():
    net, other = block.m1t1r.Dense(LEARNS, 9, 5), block.m1t1r.Dense({**LEARNS, "learn_range": 4.0}, 9, 5)
    with pytest.raises(InputError, match="learn_range must be that of the state dict, 3; got 4.0"):
        other.load_state_dict(net.state_dict())
    with pytest.raises(RuntimeError, match="neuron.learned.log_mu"):
        block.m1t1r.Dense({}, 9, 5).load_state_dict(net.state_dict())


def test_variation_is_drawn_about_what_was_learned(monkeypatch):
    net = moved(block.m1t1r.Dense({**LEARNS, "variation": 0.01}, 9, 5))
    seen = []
    monkeypatch.setattr("lava_1m1t1r.slayer.neuron.m1t1r.layer", lambda x, w, b, r, c, run: seen.append(run) or torch.zeros(2, 4, 5))
    net(spikes(2, 9, 4))
    ratio = seen[0].params.device.mu / net.neuron.params.device.mu
    assert np.all(np.abs(ratio - 1) < 0.1) and np.all(ratio != 1)


def test_variation_at_the_edge_of_what_integers_hold_stays_about_what_was_learned():
    least = -np.log1p(-LEAST_SHARE) / 0.5e-3
    options = {**LEARNS, "learn": ("gamma2",), "params": replace(presets.ZHAO2025_FIG2, gamma2=2 * least), "variation": 0.01}
    net, reach = block.m1t1r.Dense(options, 9, 50), np.log(3.0)
    with torch.no_grad():
        net.neuron.learned.log_gamma2[:] = float(reach * np.arctanh(np.log(0.503) / reach))  # many draws are beyond, and are moved back
    own = net.neuron.params.device.gamma2
    assert np.allclose(own, 1.006 * least)
    params, *_ = net.neuron._drawn(50)
    assert np.all(np.abs(params.device.gamma2 / own - 1) < 0.1)


def test_different_devices_learn_each_from_its_own_values():
    device = replace(presets.ZHAO2025_FIG2, mu=np.linspace(700.0, 900.0, 5))
    neuron = Neuron(params=device, learn=("mu",))
    neuron.learn_for(5)
    assert np.array_equal(neuron.params.device.mu, device.mu)


def test_a_file_holds_the_devices_of_its_neurons(tmp_path):
    net = moved(block.m1t1r.Dense(LEARNS, 9, 5))
    with h5py.File(tmp_path / "layer.h5", "w") as file:
        net.export_hdf5(file)
        assert np.array_equal(file["neuron/device/gamma1"], net.neuron.params.device.gamma1)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"learn": "mu"}, r"\('mu',\)"),
        ({"learn": ("v_th",)}, "mu, beta, gamma1"),
        ({"learn": ("mu", "mu")}, "once"),
        ({"learn": 3}, "mu, beta, gamma1"),
        ({"learn": ("mu",), "learn_range": 1.0}, "learn_range"),
        ({"learn": ("mu",), "learn_range": float("nan")}, "learn_range"),
    ],
)
def test_what_cannot_learn_is_refused_by_name(change, text):
    with pytest.raises(InputError, match=text):
        Neuron(**change)


def test_a_neuron_without_a_block_must_be_told_its_size():
    neuron = Neuron(learn=("mu",))
    with pytest.raises(InputError, match="learn_for"):
        neuron(torch.zeros(1, 3, 4))
    neuron.learn_for(3)
    assert neuron(torch.zeros(1, 3, 4)).shape == (1, 3, 4)
    with pytest.raises(InputError, match="multiple of the 3"):
        neuron(torch.zeros(1, 4, 4))


def test_a_recipe_says_what_its_devices_learn():
    net = m1t1r(Task("small", channels=9, hidden=5, learn=("mu", "r_control")))
    assert sorted(name.rsplit(".", 1)[-1] for name, _ in net.named_parameters() if "learned" in name) == ["log_mu", "log_r_control"]


def test_images_have_one_device_a_feature():
    conv = block.m1t1r.Conv({"substeps": 2, "learn": ("mu",)}, 2, 3, 3)
    with torch.no_grad():
        conv.neuron.learned.log_mu.copy_(torch.tensor([-0.5, 0.0, 0.5]))
    conv(torch.zeros(1, 2, 6, 6, 4))
    mu = conv.neuron.params.device.mu.reshape(3, -1)
    assert mu.shape == (3, 16) and (mu == mu[:, :1]).all() and np.all(np.diff(mu[:, 0]) > 0)
    conv(torch.zeros(1, 2, 5, 5, 4))
    assert conv.neuron.params.device.mu.shape == (27,)


def test_threads_share_a_layer_for_images_of_different_sizes(monkeypatch):
    """Another thread's call may come at any time, here before the devices are made for the first one's size."""
    net = block.m1t1r.Conv({**LEARNS, "params": presets.ZHAO2025_FIG2}, 2, 3, 3, weight_scale=3)
    small, large = spikes(2, 2, 5, 5, 20), spikes(2, 2, 7, 7, 20)
    expected, usual = net(small), net.neuron._nominal
    assert expected.sum() > 0

    def interrupted(size):
        monkeypatch.undo()
        net(large)
        return usual(size)

    monkeypatch.setattr(net.neuron, "_nominal", interrupted)
    assert torch.equal(net(small), expected)
