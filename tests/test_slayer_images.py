"""Conv and Pool blocks: gradients, lava-dl's conventions, files, errors. That spikes are equal to the bit is test_agreement's business."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
dl = pytest.importorskip("lava.lib.dl.slayer")
h5py = pytest.importorskip("h5py")

from lava_1m1t1r import presets  # noqa: E402
from lava_1m1t1r.convolution import Convolution, pooling  # noqa: E402
from lava_1m1t1r.errors import InputError  # noqa: E402
from lava_1m1t1r.netx import hdf5, schema  # noqa: E402
from lava_1m1t1r.slayer import block  # noqa: E402
from lava_1m1t1r.slayer.block.image import weighted  # noqa: E402
from lava_1m1t1r.slayer.exact import summed_in  # noqa: E402
from lava_1m1t1r.slayer.quantise import counts_for_file  # noqa: E402

pytestmark = [pytest.mark.train]
NEURON = {"params": presets.ZHAO2025_FIG2, "substeps": 2}
b = block.m1t1r


def spikes(*shape, rate=0.3, seed=0):
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < rate).float()


def unrolled(conv, w):
    """Matrix (N, C) of kernels, as a differentiable function of them: what each input alone brings."""
    alone = torch.eye(conv.sources, dtype=w.dtype).reshape(-1, *conv.inputs)
    alone = torch.nn.functional.pad(alone, (0, conv.margin[1], 0, conv.margin[0]))
    return torch.nn.functional.conv2d(alone, w, None, conv.stride, conv.padding, conv.dilation, conv.groups).flatten(1).T


@pytest.mark.parametrize("kind", ("conv", "pool"))
def test_gradients_equal_those_of_a_dense_layer_with_the_same_synapses(kind):
    # The dense layer's own gradients are checked against automatic differentiation in test_slayer_gradient.
    torch.manual_seed(1)
    if kind == "conv":
        net = b.Conv(NEURON, 4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2, delay=True).double()
    else:
        net = b.Pool(NEURON, 2, delay=True).double()
        net.synapse.weight.requires_grad_(True)
    x = spikes(3, 4, 5, 6, 40).double().requires_grad_(True)
    with torch.no_grad():
        net(x)
    net.delay.delay.data = torch.linspace(0.2, 4.4, net.conv.features, dtype=torch.float64)
    spread = torch.from_numpy(np.random.default_rng(0).standard_normal((3, *net.shape, 40)))
    y = net(x)
    assert y.shape == spread.shape and y.sum() > 50
    (y * spread).sum().backward()
    got = [x.grad, net.synapse.weight.grad.squeeze(-1), net.bias.grad, net.delay.delay.grad]

    conv, repeats = net.conv, net.conv.size // net.conv.features
    w = net.synapse.weight.detach().squeeze(-1).requires_grad_(True)
    z, bias = x.detach().clone().requires_grad_(True), net.bias.detach().clone().requires_grad_(True)
    delay = net.delay.delay.detach().clone().requires_grad_(True)
    matrix = unrolled(conv, net.neuron.quantize_8bit(w).expand(conv.weight_shape))
    whole = bias.expand(conv.features).repeat_interleave(repeats)
    quantised = torch.round(whole.detach() * 64) / 64 + whole - whole.detach()
    fired = net.neuron.run(z.flatten(1, 3), matrix, quantised, delay_shift=True).transpose(1, 2)
    axon = dl.axon.Delay(max_delay=62)  # lava-dl's own, one delay a neuron
    axon.init = True
    del axon.delay
    axon.delay = delay.repeat_interleave(repeats)
    late = axon(fired)
    assert torch.equal(late.reshape(y.shape), y)
    (late.reshape(y.shape) * spread).sum().backward()
    for mine, other in zip(got, (z.grad, w.grad, bias.grad, delay.grad), strict=True):
        assert other.norm() > 0
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "conv",
    (Convolution((2, 4, 5), 4, (2, 3), (1, 2), (1, 0), (2, 1), 2), pooling((2, 3, 5), (2, 2)), pooling((2, 3, 4), (3, 2), (1, 2), (1, 0))),
    ids=("conv", "pool", "pool with strides"),
)
def test_weighted_sums_follow_finite_differences(conv):
    x = torch.rand(2, *conv.inputs, 3, dtype=torch.float64, requires_grad=True)
    w = torch.rand(conv.weight_shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, w: weighted(x, w, conv), (x, w))


def test_pooling_equals_lava_dls_where_that_is_one():
    for size, kernel in (((4, 6), 2), ((5, 7), 2), ((6, 9), 3)):
        theirs, conv = dl.synapse.Pool(kernel), pooling((3, *size), (kernel, kernel))
        x = spikes(2, 3, *size, 5)
        assert torch.equal(weighted(x, torch.ones(conv.weight_shape), conv), theirs(x))


def network(seed=0, **more):
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        b.Input(),
        b.Conv({**NEURON, **more}, 2, 6, 3, stride=(1, 2), padding=1, groups=2, delay=True, weight_norm=True),
        b.Pool({**NEURON, **more}, (2, 3), delay=True),
        b.Flatten(),
        b.Dense(NEURON, 18, 5),
        b.Affine(None, 5, 3),
    )


def test_a_network_is_exported_read_and_gives_the_same(tmp_path):
    net, x = network(), spikes(3, 2, 5, 6, 60)
    net(x)
    net[1].delay.delay.data = torch.linspace(0, 6.5, 6)
    y = net(x)
    with h5py.File(tmp_path / "n.net", "w") as file:
        for i, part in enumerate(net):
            part.export_hdf5(file.create_group(f"layer/{i}"))
    read = schema.read(tmp_path / "n.net")
    assert [layer.shape for layer in read.layers] == [(2, 5, 6), (6, 5, 3), (6, 3, 1), (18, 1, 1), (5,), (3,)]
    assert read.layers[1].delay.reshape(6, -1)[:, 0].tolist() == [0, 1, 2, 3, 5, 6]
    assert tuple(net[1].shape) == (6, 5, 3) and tuple(net[2].shape) == (6, 3, 1) and net[3].shape == [18, 1, 1]
    out = hdf5.predict(read, x.permute(0, 4, 1, 2, 3).flatten(2).numpy())
    assert out.any() and np.array_equal(out, np.rint(y.detach().numpy().transpose(0, 2, 1) * 64))


def test_counts_whose_sums_over_a_window_are_too_large_are_refused_as_by_its_file():
    """Of all its inputs, not of its channels alone."""
    conv = b.Conv(NEURON, 12, 2, kernel_size=5, bias=False)
    with torch.no_grad():
        conv.synapse.weight.fill_(3.96)
        conv.synapse.weight[:, :6] *= -1
    conv(torch.full((1, 12, 5, 5, 3), 28182.0))
    with pytest.raises(InputError, match="28182"):
        conv(torch.full((1, 12, 5, 5, 3), 32767.0))


def test_keys_and_shapes_are_those_of_lava_dl(tmp_path):
    cuba = {"threshold": 1.25, "current_decay": 0.25, "voltage_decay": 0.03}
    x = spikes(1, 4, 6, 8, 5)
    sizes = {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2), "groups": 2, "delay": True}
    for ours, theirs in (
        (b.Conv(NEURON, 4, 6, (3, 2), **sizes), dl.block.cuba.Conv(cuba, 4, 6, (3, 2), **sizes)),
        (b.Pool(NEURON, (3, 2), delay=True), dl.block.cuba.Pool(cuba, (3, 2), delay=True)),
    ):
        with h5py.File(tmp_path / "a.net", "w") as file:
            for name, made in (("ours", ours), ("theirs", theirs)):
                with torch.no_grad():
                    assert made(x).shape[2:4] == tuple(made.shape[1:])
                made.export_hdf5(file.create_group(name))
            assert set(file["ours"]) == set(file["theirs"]) | {"inputShape", "bias"}
            for key in set(file["theirs"]) - {"neuron", "weight", "delay", "type"}:
                assert np.array_equal(file["ours"][key], file["theirs"][key]), key
            assert file["ours/type"][0] == file["theirs/type"][0]
            for key in ("weight", "delay"):
                assert file[f"ours/{key}"].shape == file[f"theirs/{key}"].shape and file[f"ours/{key}"].ndim == (
                    4 if key == "weight" else 1
                )


def test_one_spike_turns_a_neuron_of_a_fresh_pooling_on():
    x = torch.zeros(1, 3, 4, 4, 60)
    x[0, 1, 2, 3, ::20] = 1
    y = b.Pool({}, 2, delay_shift=False)(x)
    assert y.sum() == 3 and torch.equal(y[0, 1, 1, 1], x[0, 1, 2, 3])


def test_calls_leave_no_state_and_persistent_ones_go_on():
    x = spikes(2, 2, 5, 6, 60)
    for noise in (0.0, 1e-3):
        args = {**NEURON, "params": replace(presets.ZHAO2025_FIG2, sigma1=noise)}
        torch.manual_seed(0)
        net = b.Conv(args, 2, 3, 3, delay_shift=True).eval()
        whole = net(x)
        assert torch.equal(net(x), whole) and whole.sum() > 0
        torch.manual_seed(0)
        going = b.Conv({**args, "persistent_state": True}, 2, 3, 3).eval()
        assert torch.equal(torch.cat([going(x[..., :17]), going(x[..., 17:])], -1), whole)
        going(x[:, :, :4])  # images of another size begin at rest, and so do those after them
        assert torch.equal(going(x), whole)


def test_a_network_of_images_learns():
    torch.manual_seed(0)
    neuron = {"params": presets.ZHAO2025_FIG2.scaled(4), "substeps": 1}
    net = torch.nn.Sequential(b.Conv(neuron, 1, 4, 3), b.Pool(neuron, 2), b.Flatten(), b.Affine(None, 16, 2))
    label = torch.arange(24) % 2
    x = spikes(24, 1, 6, 6, 30, rate=0.05)
    for i in range(24):  # a bar across or upright
        bar = spikes(6, 30, rate=0.5, seed=i + 1)
        x[i, 0, 2, :, :] = torch.maximum(x[i, 0, 2], bar) if label[i] else x[i, 0, 2]
        x[i, 0, :, 2, :] = x[i, 0, :, 2] if label[i] else torch.maximum(x[i, 0, :, 2], bar)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(30):
        loss = torch.nn.functional.cross_entropy(net(x).mean(-1) * 4, label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (net(x).sum(-1).argmax(1) == label).float().mean() > 0.9


def exported(net):
    with h5py.File("never.net", "w", driver="core", backing_store=False) as file:
        net.export_hdf5(file)


def diverged(net):
    net(torch.zeros(1, 2, 9, 9, 1))
    net.bias.data[0] = float("nan")
    return net


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: b.Conv(NEURON, 2.5, 3, 3), "in_neurons"),
        (lambda: b.Conv(NEURON, 2, 3, (1, 2, 3)), "kernel_size must be a whole number, or two"),
        (lambda: b.Conv(NEURON, 2, 3, 3, stride=0), "stride"),
        (lambda: b.Conv(NEURON, 2, 3, 0), "kernel"),
        (lambda: b.Conv(NEURON, 2, 3, 3, groups=2), "groups must divide the 3 output features"),
        (lambda: b.Conv({**NEURON, "norm": 1}, 2, 3, 3), "norm"),
        (lambda: b.Conv(NEURON, 2, 3, 3)(torch.zeros(1, 2, 9)), r"Conv input must have shape \(B, C, H, W, T\)"),
        (lambda: b.Conv(NEURON, 2, 3, 3)(torch.zeros(1, 3, 9, 9, 4)), "Conv input must have 2 channels"),
        (lambda: b.Conv(NEURON, 2, 3, 3)(torch.zeros(1, 2, 2, 9, 4)), "reach no further than the padded input"),
        (lambda: b.Conv(NEURON, 2, 3, 3)(torch.full((1, 2, 9, 9, 4), 0.5)), "whole numbers"),
        (lambda: b.Conv(NEURON, 2, 3, 3)(torch.full((1, 2, 9, 9, 4), -1.0)), "Conv input must hold whole numbers from 0"),
        (lambda: b.Pool(NEURON, 2)(torch.full((1, 2, 9, 9, 4), float("inf"))), "Pool input must hold whole numbers from 0"),
        (lambda: b.Conv(NEURON, 2, 3, 3)(torch.ones(1, 2, 9, 9, 4).to_sparse()), "Conv input must be a dense tensor"),
        (lambda: b.Conv(NEURON, 2, 3, 3)(None), "Conv input must be a tensor"),
        (lambda: diverged(b.Conv(NEURON, 2, 3, 3))(torch.ones(1, 2, 9, 9, 4)), "synaptic input .* nan"),
        (lambda: exported(diverged(b.Conv(NEURON, 2, 3, 3))), "Conv: bias must be finite"),
        (lambda: exported(b.Conv(NEURON, 2, 3, 3)), "Conv.shape must be known.*Run the block once"),
        (lambda: b.Pool(NEURON, 0), "kernel"),
        (lambda: b.Pool(NEURON, 2, padding=-1), "padding"),
        (lambda: b.Pool(NEURON, 2, weight_norm=True), "weight_norm"),
        (lambda: b.Pool(NEURON, 2)(torch.zeros(1, 4, 5)), "Pool input must have shape"),
    ],
)
def test_bad_arguments_are_named(call, text):
    with pytest.raises(InputError, match=text):
        call()


def test_large_counts_are_summed_exactly_in_single_precision():
    """Channels that cancel, each beyond the 24 bits that float32 holds."""
    torch.manual_seed(0)
    conv = b.Conv(NEURON, 64, 2, 1)
    kernels = torch.randint(-127, 128, (2, 32)) * 2 / 64.0
    counts = torch.randint(0, 32768, (1, 32, 3, 3, 50)).float()
    with torch.no_grad():
        conv.synapse.weight.copy_(torch.cat([kernels, -kernels], 1).reshape(conv.synapse.weight.shape))
        conv.bias.fill_(6.25)
    y = conv(torch.cat([counts, counts], 1))
    assert y.dtype == torch.float32 and y.sum() > 0 and torch.equal(y, conv(torch.zeros(1, 64, 3, 3, 50)))
    y.sum().backward()
    assert torch.isfinite(conv.synapse.weight.grad).all()
    wide = b.Conv(NEURON, 2000, 2, 1, pre_hook_fx=torch.ones_like)
    with pytest.raises(InputError, match="input must hold counts of at most 16777, or so few"):
        wide(torch.full((1, 2000, 1, 1, 2), 32767.0))


def test_sums_of_small_counts_are_exact_too():
    """Counts that any precision holds, and more of them than single precision sums."""
    conv = b.Conv(NEURON, 4096, 1, 1)
    with torch.no_grad():
        conv.synapse.weight.copy_(torch.full_like(conv.synapse.weight, 127 / 32))
        conv.synapse.weight[:, 2048:] *= -1
        conv.bias.fill_(6.25)
    counts = torch.randint(0, 128, (1, 2048, 1, 1, 50), generator=torch.Generator().manual_seed(0)).float() * 2 + 1
    y = conv(torch.cat([counts, counts], 1))
    assert y.sum() > 0 and torch.equal(y, conv(torch.zeros(1, 4096, 1, 1, 50)))
    assert summed_in(255, conv.synapse.weight.reshape(1, -1)) == torch.float64


def test_large_weights_are_summed_in_a_precision_that_torch_does_not_cut():
    """Where torch may take products of 8 bits of their factors, counts up to 256 go through, and 258 do not."""
    found = [summed_in(1.0, torch.tensor([[0.5, count / 64]])) for count in (256, -256, 258, -258)]
    assert found == [torch.float32, torch.float32, torch.float64, torch.float64]


def test_kernels_behind_a_spectral_norm_are_exported_as_they_are_then(tmp_path):
    """In training, each look at them changes them: the export takes one."""
    different = 0
    for seed in range(40):
        torch.manual_seed(seed)
        net = b.Conv(NEURON, 2, 6, 3, weight_scale=3)
        torch.nn.utils.parametrizations.spectral_norm(net.synapse, "weight")
        net.train()
        net(spikes(1, 2, 5, 5, 4))
        with h5py.File(tmp_path / f"{seed}.h5", "w") as file:
            net.export_hdf5(file.create_group("layer/0"))
            kept = file["layer/0/weight"][()]
        net.eval()
        different += not np.array_equal(kept.reshape(-1), counts_for_file(net.synapse).reshape(-1))
    assert different == 0
