"""Training blocks and their files: what is exported, what is told of what no file holds, and what comes back."""

import copy
import os
import pickle
import warnings
from dataclasses import replace

import h5py
import numpy as np
import pytest
from training_blocks import FIG2, NEURON, SPIKES, spikes, torch, weights

from lava_1m1t1r.errors import InputError
from lava_1m1t1r.fast import FastNetwork
from lava_1m1t1r.keys import from_keys
from lava_1m1t1r.netx.hdf5 import predict
from lava_1m1t1r.netx.schema import read
from lava_1m1t1r.recipes.network import Network
from lava_1m1t1r.slayer import block, neuron
from lava_1m1t1r.slayer import layer as layer_module
from lava_1m1t1r.slayer.delay import Delay
from lava_1m1t1r.slayer.quantise import quantised_weight


def take_steps(net, x, count):
    """Train towards half a spike everywhere."""
    optimiser = torch.optim.Adam(net.parameters(), 0.05)
    for _ in range(count):
        optimiser.zero_grad()
        (net(x) - 0.5).pow(2).mean().backward()
        optimiser.step()


def test_normed_weights_learn_and_are_read_as_they_are():
    torch.manual_seed(0)
    net, x = block.m1t1r.Recurrent(NEURON, 20, 30, weight_norm=True), spikes(4, 20, 40)
    before = net.input_synapse.weight_g.detach().clone()
    take_steps(net, x, 3)
    assert not torch.equal(before, net.input_synapse.weight_g)
    out = net(x)
    with torch.no_grad():
        net.input_synapse.weight_g.mul_(2)
    assert not torch.equal(out, net(x))


def exported(net, path):
    with h5py.File(path, "w") as file:
        net.export_hdf5(file.create_group("layer/0"))
    with h5py.File(path) as file:
        return file["layer/0/weight"][()]


@pytest.mark.parametrize("normed", [False, True], ids=["plain", "weight_norm"])
@pytest.mark.parametrize("kind", [block.m1t1r.Dense, block.m1t1r.Affine])
def test_synapses_that_do_not_exist_are_in_no_file_and_no_output(kind, normed, tmp_path):
    torch.manual_seed(0)
    mask = torch.rand(6, 20) < 0.5
    net = kind(NEURON, 20, 6, mask=mask, weight_norm=normed)
    assert not exported(net, tmp_path / "fresh.net")[~mask].any()
    x = spikes(4, 20, 40)
    take_steps(net, x, 2)
    weight = exported(net, tmp_path / "trained.net")
    assert not weight[~mask].any() and weight[mask].any()
    without = x.clone()
    without[:, ~mask.any(0)] = 0
    alone = mask[:1] & ~mask[1:].any(0)  # inputs of neuron 0 alone reach no other
    without[:, alone[0]] = 0
    assert torch.equal(net(x)[:, 1:], net(without)[:, 1:])


def test_an_export_leaves_the_network_to_be_trained_on(tmp_path):
    torch.manual_seed(0)
    net, x = block.m1t1r.Recurrent(NEURON, 20, 30, weight_norm=True), spikes(4, 20, 40)
    optimiser = torch.optim.SGD(net.parameters(), 0.1)
    names = list(net.state_dict())
    for epoch in range(2):
        before = exported(net, tmp_path / f"{epoch}.net")
        optimiser.zero_grad()
        (10 * (net(x) - 0.5).pow(2).sum()).backward()
        optimiser.step()
        assert np.any(exported(net, tmp_path / f"{epoch}.net") != before)
    assert list(net.state_dict()) == names


def test_pruned_synapses_learn_and_stay_pruned(tmp_path):
    from torch.nn.utils import prune

    torch.manual_seed(0)
    net, x = block.m1t1r.Dense(NEURON, 20, 30), spikes(4, 20, 40)
    prune.l1_unstructured(net.synapse, "weight", 0.5)
    take_steps(net, x, 2)
    weight = exported(net, tmp_path / "pruned.net")
    assert not weight[net.synapse.weight_mask.reshape(weight.shape) == 0].any() and weight.any()


def test_noise_that_a_file_would_draw_otherwise_is_told(tmp_path):
    noisy = block.m1t1r.Dense({**NEURON, "params": replace(FIG2, sigma1=1e-3)}, 20, 30)
    with h5py.File(tmp_path / "net", "w") as file:
        with pytest.warns(UserWarning, match="layer/1: the file draws its noise otherwise.*neuron.layer is 0. Set that to 1"):
            noisy.export_hdf5(file.create_group("layer/1"))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            noisy.export_hdf5(file.create_group("layer/0"))
            block.m1t1r.Dense(NEURON, 20, 30).export_hdf5(file.create_group("layer/2"))


def test_a_network_of_blocks_draws_its_noise_as_its_file_does(tmp_path):
    """Behind delay lines, too, which are a place of their own."""
    torch.manual_seed(2)
    noisy = {**NEURON, "params": replace(FIG2, sigma1=5e-3, sigma2=1e-3)}
    net = Network([block.m1t1r.DelayLines(12, (0, 3)), block.m1t1r.Recurrent(noisy, 24, 20), block.m1t1r.Dense(noisy, 20, 8)])
    net.eval()  # in training each sample has noise of its own
    with torch.no_grad():
        net.blocks[2].synapse.weight *= 4
    x = (torch.rand(3, 12, 80) < 0.4).float()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net.export(tmp_path / "noisy.net")
    out = predict(tmp_path / "noisy.net", x.transpose(1, 2).int().numpy())
    assert out.sum() > 20 and np.array_equal(out, net(x).detach().transpose(1, 2).numpy())


@pytest.mark.parametrize("size", [1, 8])
def test_delays_are_restored_into_a_fresh_block(size):
    torch.manual_seed(0)
    make, x = lambda: block.m1t1r.Recurrent(NEURON, 20, size, delay=True), spikes(2, 20, 30)
    net = make()
    fresh = make()
    assert not torch.equal(fresh.delay.delay, net.delay.delay) and net.delay.shape == (size,)  # drawn at once
    fresh.load_state_dict(net.state_dict())
    assert torch.equal(fresh.delay.delay, net.delay.delay)
    with torch.no_grad():
        net.delay.delay.copy_(torch.linspace(3.2, 9.9, size))
    for again in (make(), fresh):
        again.load_state_dict(net.state_dict())
        assert torch.equal(again(x), net(x)) and torch.equal(again.delay.delay, net.delay.delay) and net(x).sum() > 0
    unknown, other = Delay(), Delay()  # as a pooling's, whose input tells how many there are
    other.load_state_dict(unknown.state_dict())
    assert other.shape is None and other.steps.tolist() == [0]
    unknown.load_state_dict(net.delay.state_dict())
    assert torch.equal(unknown.delay, net.delay.delay)
    net.delay.load_state_dict(other.state_dict())  # they are to be drawn again
    net(x)
    assert net.delay.delay.max() <= 1
    with pytest.raises(InputError, match=f"Delay input must have {size} neurons"):
        net.delay(spikes(2, size + 1, 30))


def test_export_holds_counts_and_keys(tmp_path):
    device = replace(FIG2, r_control=np.linspace(1e8, 2e8, 7))
    args = {"params": device, "dt": 2e-3, "substeps": 3, "v_unit": 0.1, "v_in_max": 1.1, "seed": 5}
    recurrent = block.m1t1r.Recurrent(args, 4, 7, delay=True, bias=True, delay_rec=np.arange(7))
    recurrent(spikes(1, 4, 5))
    recurrent.delay.delay.data = torch.linspace(0, 9.9, 7)
    recurrent.bias.data[:2] = torch.tensor([-99.0, 99.0])  # beyond the 13 bits of a file
    affine, average = block.m1t1r.Affine(None, 7, 4, weight_norm=True), block.m1t1r.Average(2)
    source = block.m1t1r.Input()
    source(spikes(1, 4, 5))
    with h5py.File(tmp_path / "n.net", "w") as f:
        for i, layer in enumerate((source, recurrent, affine, average)):
            layer.export_hdf5(f.create_group(f"layer/{i}"))
    with h5py.File(tmp_path / "n.net") as f:
        group = f["layer/1"]
        assert [f[f"layer/{i}/type"][0] for i in range(4)] == [b"input", b"dense_rec", b"affine", b"average"]
        assert group["shape"][()].tolist() == [7] and group["inFeatures"][()] == 4 and group["outFeatures"][()] == 7
        assert np.array_equal(group["weight"], weights(recurrent.input_synapse))
        assert np.array_equal(group["weight_rec"], weights(recurrent.recurrent_synapse))
        assert np.array_equal(group["bias"], [-4096, 4095, *np.rint(recurrent.bias.detach().numpy()[2:] * 64)])
        assert group["delay"][()].tolist() == np.floor(np.linspace(0, 9.9, 7)).astype(int).tolist()
        assert group["delayRec"][()].tolist() == list(range(7))
        assert "neuron" not in f["layer/2"] and f["layer/2/weight"].shape == (4, 7)
        keys = {}
        group["neuron"].visititems(lambda name, item: keys.update({name: item[()]}) if hasattr(item, "shape") else None)
    params, seed = from_keys(keys, "n.net: layer/1")
    assert seed == 5 and params.device == device and (params.dt, params.substeps, params.v_unit, params.v_in_max) == (2e-3, 3, 0.1, 1.1)
    again = neuron.Neuron(**neuron.neuron_params(recurrent.neuron.device_params))
    assert again.params.device == device and again.seed == 5


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_file_holds_weights_that_are_not_finite(value, tmp_path):
    path, learns = tmp_path / "a.net", {**NEURON, "learn": ("mu",)}
    net = Network([block.m1t1r.Input(learns, 1.0), block.m1t1r.Recurrent(learns, 3, 2), block.m1t1r.Affine(None, 2, 2)])
    net(SPIKES)
    net.export(path)
    before = path.read_bytes()
    for name, parameter in net.named_parameters():
        kept = parameter.detach().clone()
        parameter.data.view(-1)[0] = value
        _, index, own = name.split(".", 2)
        with pytest.raises(InputError, match=f"layer/{index}: {own} must be finite"):
            net.export(path)
        with h5py.File("never.net", "w", driver="core", backing_store=False) as file:
            with pytest.raises(InputError, match=f"layer/7: {own} must be finite"):
                net.blocks[int(index)].export_hdf5(file.create_group("layer/7"))
        parameter.data.copy_(kept)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def of_file(net, x, path):
    """What the file of one block gives, on the fast path, in the shape of the block's output."""
    out = net(x)
    with h5py.File(path, "w") as file:
        net.export_hdf5(file.create_group("layer/0"))
    found = predict(path, x.flatten(1, -2).transpose(1, 2).numpy().astype(int))
    return out.detach().double().numpy(), found.transpose(0, 2, 1).reshape(out.shape)


@pytest.mark.parametrize("given", [{}, {"weight": 1.0}, {"weight": 2.0}, {"weight": 1.5, "bias": 6.8}, {"weight": 0.75, "bias": 0.5}])
def test_counts_drive_an_input_block_as_its_file(given, tmp_path):
    x = spikes(2, 10, 60, 0.4) * 9
    ours, files = of_file(block.m1t1r.Input(NEURON, **given), x, tmp_path / "a.net")
    assert ours.sum() > 10
    np.testing.assert_array_equal(ours, files)


def test_input_blocks_warn_of_what_files_do_otherwise(tmp_path):
    late = block.m1t1r.Input(NEURON, weight=2.0, delay_shift=False)
    noisy = block.m1t1r.Input({**NEURON, "params": replace(FIG2, sigma1=1e-3)}, weight=2.0)
    for net, place, text in ((late, "layer/0", "files have no delay_shift=False"), (noisy, "layer/3", "draws its noise otherwise")):
        net(SPIKES)
        with h5py.File(tmp_path / "a.net", "w") as file, pytest.warns(UserWarning, match=text):
            net.export_hdf5(file.create_group(place))


HOOKS = {"none": lambda w: w, "abs": torch.abs, "finer": lambda w: torch.round(w * 128) / 128, "double": lambda w: w.double()}


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("kind", ["Dense", "Conv", "Affine"])
@pytest.mark.parametrize("plain", [False, True], ids=["compiled", "torch"])
def test_weights_of_a_users_own_hook_are_those_of_the_file(kind, hook, plain, tmp_path, monkeypatch):
    monkeypatch.setattr(layer_module, "FORCE_TORCH", plain)
    torch.manual_seed(0)
    made = {
        "Dense": lambda: block.m1t1r.Dense(NEURON, 12, 6, pre_hook_fx=HOOKS[hook]),
        "Conv": lambda: block.m1t1r.Conv(NEURON, 2, 3, (2, 3), pre_hook_fx=HOOKS[hook]),
        "Affine": lambda: block.m1t1r.Affine(None, 12, 6, pre_hook_fx=HOOKS[hook]),
    }[kind]()
    x = spikes(2, 12, 60, 0.3)
    ours, files = of_file(made, x.reshape(2, 2, 2, 3, 60) if kind == "Conv" else x, tmp_path / "a.net")
    assert np.count_nonzero(files) > 5
    np.testing.assert_array_equal(ours * 64 if kind == "Affine" else ours, files)


def test_networks_are_not_written_over_folders(tmp_path):
    net = Network([block.m1t1r.Affine(None, 3, 2)])
    for path in (None, "", b"x", tmp_path, "."):
        with pytest.raises(InputError, match="be a path|not be a folder"):
            net.export(path)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes")
def test_networks_do_not_take_the_place_of_pipes_and_devices(tmp_path):
    """As root, a file would replace even /dev/null."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link.net").symlink_to(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path / "link.net"):
        with pytest.raises(InputError, match="must be a regular file; got 'a device or a pipe'"):
            Network([block.m1t1r.Affine(None, 3, 2)]).export(path)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["link.net", "pipe"] and (tmp_path / "pipe").is_fifo()


def test_weights_of_neurons_with_another_step_are_told(tmp_path):
    one, other = (block.m1t1r.Dense({**NEURON, "dt": dt, "params": replace(FIG2, mu=mu)}, 3, 2) for dt, mu in ((1e-3, 60.0), (2e-3, 61.0)))
    torch.save(one.state_dict(), tmp_path / "one")
    saved = torch.load(tmp_path / "one", weights_only=True)
    with pytest.warns(UserWarning, match=r"neuron: .*mu=60.0 \(here 61.0\), dt=0.001 \(here 0.002\)"):
        other.load_state_dict(saved)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one.load_state_dict(saved)
        other.load_state_dict(dict(saved))  # as older ones: without a word on the device
    assert torch.equal(one.synapse.weight, other.synapse.weight)


def test_states_are_left_by_calls_that_record_them(tmp_path):
    """With those of the file, and not by others; modules that hold them are copied without."""
    torch.manual_seed(0)
    net = Network([block.m1t1r.Recurrent(NEURON, 12, 9), block.m1t1r.Affine(None, 9, 3)])
    own, x = net.blocks[0].neuron, (torch.rand(2, 12, 30) < 0.3).float()
    out = net(x)
    assert own.states is None
    own.record_states = True
    assert torch.equal(net(x), out)
    shapes = {tuple(state.shape) for state in own.states}
    assert shapes == {(2, 9, 30)} and own.states.gate.requires_grad
    net.export(tmp_path / "net.net")
    kept = FastNetwork(read(tmp_path / "net.net")).run(x.transpose(1, 2).int().numpy(), record="all").layers[0].states
    step = own.params
    shown = step.in_units(*(kept[name] for name in ("filament", "residue", "v_gate")))
    for state, other in zip(own.states, shown, strict=True):
        np.testing.assert_allclose(state.detach().transpose(1, 2).numpy(), other, rtol=1e-6)
    assert copy.deepcopy(net).blocks[0].neuron.states is None and pickle.loads(pickle.dumps(net)).blocks[0].neuron.record_states
    own.record_states = False
    net(x)
    assert own.states is None


def test_a_hook_makes_no_synapses_where_the_mask_has_none():
    mask = torch.zeros(4, 3, dtype=torch.bool)
    mask[:, 0] = True
    quantise = block.m1t1r.Affine(None, 3, 4).synapse.pre_hook_fx
    for net in (
        block.m1t1r.Affine(None, 3, 4, mask=mask, pre_hook_fx=lambda w: quantise(w - w.mean() - 0.5)),
        block.m1t1r.Dense(NEURON, 3, 4, mask=mask, pre_hook_fx=lambda w: quantise(w - w.mean() - 0.5)),
    ):
        w = quantised_weight(net.synapse, net.mask)
        assert (w[:, 1:] == 0).all() and (w[:, 0] != 0).any()


@pytest.mark.parametrize("weight_norm", [False, True])
@pytest.mark.parametrize("learns", [False, True])
def test_recurrent_weights_learn_only_if_they_shall(weight_norm, learns):
    net = block.m1t1r.Recurrent(NEURON, 3, 4, weight_norm=weight_norm, requires_grad=learns)
    assert {p.requires_grad for p in net.recurrent_synapse.parameters()} == {learns}
    assert all(p.requires_grad for p in net.input_synapse.parameters())


@pytest.mark.parametrize("params", [None, NEURON], ids=["spikes pass", "neurons"])
def test_input_blocks_are_pickled(params):
    made, x = block.m1t1r.Input(params), spikes(2, 4, 30)
    assert torch.equal(pickle.loads(pickle.dumps(made))(x), made(x))
