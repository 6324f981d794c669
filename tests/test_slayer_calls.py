"""Training blocks from call to call: what they keep and what changes between two, short calls, and one parameter that learns alone."""

import copy
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_blocks import FIG2, NEURON, dl, spikes, torch

from lava_1m1t1r.errors import InputError
from lava_1m1t1r.recipes.restore import keep_only
from lava_1m1t1r.slayer import block, projection, threads, training_kernels
from lava_1m1t1r.slayer import layer as layer_module
from lava_1m1t1r.slayer.delay import Delay
from lava_1m1t1r.slayer.neuron import Neuron

pytestmark = [pytest.mark.train]


def test_a_batch_of_another_size_begins_at_rest():
    torch.manual_seed(0)
    net, x = block.m1t1r.Recurrent({**NEURON, "persistent_state": True}, 20, 30), spikes(4, 20, 60)
    fresh = net(x[:2])
    net.reset()
    net(x)
    assert torch.equal(net(x[:2]), fresh) and fresh.sum() > 0


def test_other_neurons_and_those_that_keep_their_state_no_more_begin_at_rest():
    z, found = 8 * torch.ones(2, 30, 20), []
    for made in (Neuron(substeps=2), Neuron(substeps=2, persistent_state=True)):
        made(z[:, 10:] if made.persistent_state else z)
        found.append(made(z))
    made.persistent_state = False
    assert torch.equal(*found) and torch.equal(made(z), found[0]) and found[0].sum() > 0


def _normed():
    return block.m1t1r.Recurrent(NEURON, 20, 30, weight_norm=True)


def _pruned():
    net = block.m1t1r.Recurrent(NEURON, 20, 30)
    keep_only(net.input_synapse, torch.rand(30, 20) < 0.5)
    net.neuron.record_states = True
    return net


@pytest.mark.parametrize("make", [_normed, _pruned])
def test_networks_are_copied_whatever_torch_has_computed_in_them(make):
    """As averages of models and the best epoch's network are: torch refused, in words about norms that nobody had asked for."""
    torch.manual_seed(0)
    net, x = torch.nn.Sequential(make(), block.m1t1r.Affine(None, 30, 3)), spikes(3, 20, 60)
    early = copy.deepcopy(net)
    net(x).sum().backward()
    late = copy.deepcopy(net)
    for copied in (early, late):
        assert torch.equal(copied(x), net(x)) and net(x).any()
        copied.zero_grad()
        copied(x).sum().backward()
    for one, *others in zip(net.named_parameters(), early.named_parameters(), late.named_parameters(), strict=True):
        assert all(name == one[0] and value is not one[1] and torch.equal(value.grad, one[1].grad) for name, value in others)
    with torch.no_grad():
        next(late.parameters()).zero_()
    assert torch.equal(early(x), net(x)) and not torch.equal(late(x), net(x))
    torch.optim.swa_utils.AveragedModel(net).update_parameters(net)


def test_a_call_that_does_not_come_to_its_end_leaves_states_and_noise_as_they_were(monkeypatch):
    torch.manual_seed(0)
    net = block.m1t1r.Recurrent({**NEURON, "params": replace(FIG2, sigma1=1e-3), "persistent_state": True}, 20, 30).eval()
    x, share = spikes(3, 20, 60), layer_module.share
    net(x[..., :20])
    wanted = copy.deepcopy(net)(x[..., 20:])

    def interrupted(*work):
        share(*work)
        raise KeyboardInterrupt

    monkeypatch.setattr(layer_module, "share", interrupted)
    with pytest.raises(KeyboardInterrupt):
        net(x[..., 20:])
    monkeypatch.undo()
    assert torch.equal(net(x[..., 20:]), wanted) and wanted.any()


def test_a_call_that_is_ended_while_it_keeps_its_end_has_been_or_has_not(monkeypatch):
    """It kept new states and spikes beside old noise."""
    torch.manual_seed(0)
    first = block.m1t1r.Recurrent({**NEURON, "params": replace(FIG2, sigma1=1e-3), "persistent_state": True}, 20, 30).eval()
    x, keep, left = spikes(3, 20, 60), Neuron.__setattr__, []
    first(x[..., :20])
    other = copy.deepcopy(first)
    courses = [other(x[..., 20:40]), other(x[..., 20:40])]

    def interrupted(neuron, name, value):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        keep(neuron, name, value)

    for allowed in range(20):
        net, left[:] = copy.deepcopy(first), [None] * allowed
        with monkeypatch.context() as patch:
            patch.setattr(Neuron, "__setattr__", interrupted)
            try:
                net(x[..., 20:40])
                break
            except KeyboardInterrupt:
                pass
        assert any(torch.equal(net(x[..., 20:40]), course) for course in courses)
    assert 3 < allowed < 19 and not torch.equal(*courses)


@pytest.mark.parametrize("learn", [(), ("mu",)])
def test_neurons_that_are_given_another_device_after_a_call_are_it_at_once_and_at_rest(learn):
    torch.manual_seed(0)
    options, device, x = {**NEURON, "learn": learn, "persistent_state": True}, replace(FIG2, mu=0.6 * FIG2.mu), spikes(4, 20, 60)
    net, made = block.m1t1r.Dense(options, 20, 8, weight_scale=3), block.m1t1r.Dense({**options, "params": device}, 20, 8)
    before = net(x)
    net.neuron.set_params(mu=device.mu)
    made.load_state_dict(net.state_dict())
    after = net(x)
    assert torch.equal(after, made(x)) and after.sum() > 0 and not torch.equal(after, before)


def test_delay_equals_lava_dls_at_its_bounds_and_scales():
    x, found = spikes(3, 12, 30), []
    for made in (Delay(max_delay=5, grad_scale=3.0), dl.axon.Delay(max_delay=5, grad_scale=3.0)):
        made(x)
        made.delay.data = torch.linspace(-2, 9, 12)
        y = x.clone().requires_grad_(True)
        out = made(y)
        (out * torch.linspace(-1, 1, 30)).sum().backward()
        found.append((out.detach(), y.grad, made.delay.grad, made.delay.detach()))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


def cells_of(bits, size):
    """Bits (A, B, words) of ``size`` cells as bools (A, B, size)."""
    return np.unpackbits(bits.view(np.uint8), axis=2, bitorder="little")[:, :, :size].astype(bool)


@pytest.mark.parametrize("steps", [1, 15, 16, 17, 48, 63, 64, 65, 80, 131])
@pytest.mark.parametrize("value", [1, 2])
def test_every_cell_is_marked_and_listed_once(steps, value):
    rng = np.random.default_rng(steps)
    x = (value * (rng.random((9, 20, steps)) < 0.3)).astype(np.float32)
    for stored in (x, np.ascontiguousarray(x.transpose(0, 2, 1)).transpose(0, 2, 1)):
        events = projection.batch_events(stored.transpose(0, 2, 1))
        assert np.array_equal(cells_of(events.by_channel, steps), x != 0)
        assert np.array_equal(cells_of(events.by_step, 20), x.transpose(0, 2, 1) != 0)
        assert np.array_equal(events.counts, (x != 0).sum(2))
        assert (events.listed is None) == (value == 1 or not x.any())
        if events.listed is not None:
            start, channel, times = events.listed
            sample, step, expected = np.nonzero(x.transpose(0, 2, 1))
            assert np.array_equal(channel, expected) and (times == value).all()
            assert np.array_equal(np.diff(start), np.bincount(sample * steps + step, minlength=9 * steps))


@pytest.mark.parametrize(("batch", "size", "value"), [(0, 5, 1), (1, 5, 1), (7, 70, 1), (9, 130, 2), (64, 20, 3)])
def test_gradients_of_weights_are_sums_over_their_events(batch, size, value, rng):
    steps, channels = 33, 40
    x = value * (rng.random((batch, steps, channels)) < 0.2).astype(np.float64)
    grad = rng.integers(-9, 10, (batch, steps, size)).astype(np.float64)
    found = projection.batch_events(x)
    events = projection.Events(found.by_channel, found.counts, None if found.listed is None else x)
    parts = threads.parts_of(batch, steps * size, 4)
    lists = [projection.EventLists(events, parts, grad) for _ in range(2)]
    for one in lists:
        for part in threads.numbered(parts):
            one.write(*part)
    for over in projection.weight_gradients(lists, grad):
        assert np.array_equal(over.numpy(), np.einsum("btn,btc->nc", grad, x))


@given(st.integers(0, 300), st.integers(1, 40000), st.integers(1, 8))
def test_parts_are_of_whole_blocks_and_about_equal(batch, cells, block):
    parts = threads.parts_of(batch, cells, block)
    assert [first for first, _ in parts] == [0, *(last for _, last in parts)][: len(parts)] and (not parts or parts[-1][1] == batch)
    sizes = {last - first for first, last in parts[:-1]}
    assert len(sizes) <= 1 and all(size % block == 0 and size >= last - first for size in sizes for first, last in parts)
    whole = block * max(1, -(-(1 << 15) // (block * cells)))  # samples that make a part worth starting
    assert len(parts) <= -(-batch // whole)


@pytest.mark.parametrize("force", [False, True], ids=["compiled", "torch"])
def test_spikes_of_the_last_call_count_in_the_gradient_of_recurrent_weights(force, monkeypatch):
    monkeypatch.setattr(layer_module, "FORCE_TORCH", force)
    torch.manual_seed(0)
    delays = np.arange(30) % 7
    options, x = {**NEURON, "persistent_state": True}, spikes(3, 20, 40).double()
    net = block.m1t1r.Recurrent(options, 20, 30, delay_rec=delays, delay_shift=False).double()
    net.recurrent_synapse.weight.data *= 3
    before = net(x[..., :30])
    after = net(x[..., 30:31])  # a single step: its input's gradient is that of the bias, sample by sample
    rows = []
    for b in range(3):
        net.zero_grad()
        after[b].sum().backward(retain_graph=True)
        rows.append((net.bias.grad.clone(), net.recurrent_synapse.weight.grad.reshape(30, 30).clone()))
    for b, (over_bias, over_rec) in enumerate(rows):
        arriving = before.detach()[b, torch.arange(30), 29 - torch.from_numpy(delays)]
        torch.testing.assert_close(over_rec, torch.outer(over_bias, arriving))
    assert before[:, :, 22:].sum() > 0 and sum(float(rec.abs().sum()) for _, rec in rows) > 0


@pytest.mark.parametrize("learns", ["bias", "log_mu", "recurrent_synapse.weight"])
def test_what_learns_alone_learns_as_it_does_among_others(learns):
    torch.manual_seed(0)
    net, x = block.m1t1r.Recurrent({**NEURON, "learn": ("mu",)}, 20, 30), spikes(4, 20, 40)
    found = []
    for alone in (False, True):
        for name, p in net.named_parameters():
            p.requires_grad_(not alone or name.endswith(learns))
        net.zero_grad()
        net(x).sum().backward()
        (one,) = (p.grad.clone() for name, p in net.named_parameters() if name.endswith(learns))
        found.append(one)
    assert torch.equal(*found) and found[0].any()


def test_a_layer_that_becomes_double_has_gradients_of_double_precision():
    torch.manual_seed(0)
    net, x, found = block.m1t1r.Recurrent(NEURON, 20, 30), spikes(4, 20, 40), []
    used = copy.deepcopy(net)
    used(x).sum().backward()
    used.zero_grad()
    for made in (net.double(), used.double()):
        made(x.double()).sum().backward()
        found.append(torch.cat([p.grad.flatten() for p in made.parameters()]))
    assert torch.equal(*found) and found[0].any()


@pytest.mark.parametrize("force", [False, True], ids=["compiled", "torch"])
def test_gradients_of_a_short_call_are_those_of_the_start_of_a_long_one(force, monkeypatch):
    monkeypatch.setattr(layer_module, "FORCE_TORCH", force)
    torch.manual_seed(0)
    net, x = block.m1t1r.Recurrent(NEURON, 20, 30, delay_shift=False).double(), spikes(4, 20, 6, rate=0.5).double()
    with torch.no_grad():
        net.bias += 3
    for steps in (1, 2, 3):
        found = []
        for some in (x[..., :steps], x):
            net.zero_grad()
            net(some)[..., steps - 1].sum().backward()
            found.append(torch.cat([p.grad.flatten() for p in net.parameters()]))
        torch.testing.assert_close(*found, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("size", [16, 64, 65, 130])
def test_spikes_on_their_way_arrive_as_in_plain_torch(size, monkeypatch):
    """Of layers of one word of 64 neurons and of several, of batches in parts, in calls that go on and are shorter than the delays."""
    monkeypatch.setattr(threads, "_LEAST", 1)
    torch.manual_seed(0)
    options, delays = {**NEURON, "persistent_state": True}, np.arange(size) * 37 % 63
    net, x = block.m1t1r.Recurrent(options, 20, size, delay_rec=delays), spikes(7, 20, 90, rate=0.3).double()
    net = net.double()
    found = []
    for force in (False, True):
        monkeypatch.setattr(layer_module, "FORCE_TORCH", force)
        net.reset()
        net.zero_grad()
        y = torch.cat([net(part) for part in (x[..., :40], x[..., 40:47], x[..., 47:])], -1)
        (y * torch.linspace(-1, 1, 90)).sum().backward()
        found.append([y.detach(), *(p.grad.clone() for p in net.parameters())])
    assert torch.equal(found[0][0], found[1][0]) and found[0][0][..., 47:].any(-1).any(0).float().mean() > 0.7
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_currents_of_batches_in_parts_and_beyond_all_bounds_are_those_of_plain_torch(monkeypatch):
    monkeypatch.setattr(threads, "_LEAST", 1)
    z = torch.randn(5, 70, 40, generator=torch.Generator().manual_seed(0)).double() * 8
    z[:, :35] *= 1000
    made, found = Neuron(substeps=2, persistent_state=True, clip_grad=0.5), []
    for force in (False, True):
        monkeypatch.setattr(layer_module, "FORCE_TORCH", force)
        made.reset()
        x = z.clone().requires_grad_(True)
        y = torch.cat([made(x[..., :20]), made(x[..., 20:])], -1)
        (y * torch.linspace(-1, 1, 40)).sum().backward()
        found.append((y.detach(), x.grad))
    assert torch.equal(found[0][0], found[1][0]) and found[0][0].any()
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-9, atol=1e-12)


def test_layers_without_recurrence_carry_the_last_spike_and_no_others(monkeypatch):
    """No bits of arrivals are there to be written to."""
    torch.manual_seed(0)
    net, x = block.m1t1r.Dense({**NEURON, "persistent_state": True}, 20, 30, weight_scale=3), spikes(4, 20, 60)
    whole = net(x)
    net.reset()
    monkeypatch.setattr(training_kernels, "carry_spikes", None)
    cut = int(torch.nonzero(whole[:, :, 1:].sum((0, 1)))[0]) + 1  # a spike of the first call comes out in the second
    assert torch.equal(torch.cat([net(x[..., :cut]), net(x[..., cut:])], -1), whole)


@pytest.mark.parametrize("force", [False, True])
def test_a_constant_input_adds_to_currents_as_to_weighted_spikes(force, monkeypatch):
    monkeypatch.setattr(layer_module, "FORCE_TORCH", force)
    z = torch.rand(2, 3, 60, generator=torch.Generator().manual_seed(0)) * 12
    bias, made = torch.tensor([1.5, 3.0, 6.0], requires_grad=True), Neuron(**NEURON)
    spikes_, wanted = made.run(z, bias=bias), made.run(z + bias.detach()[:, None])
    assert torch.equal(spikes_, wanted) and wanted.any() and not torch.equal(wanted, made.run(z))
    spikes_.sum().backward()
    assert bias.grad.all()
    with pytest.raises(InputError, match="^bias must be finite"):
        made.run(z, bias=torch.full((3,), float("nan")))


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"bias": (1,)}, r"bias must have the shape \(3,\); got \(1,\)"),
        ({"w": (3, 5), "bias": (4,)}, r"bias must have the shape \(3,\); got \(4,\)"),
        ({"w": (3, 4)}, r"weights must have the shape \(3, 5\); got \(3, 4\)"),
        ({"w": (3, 5), "w_rec": (2, 2)}, r"recurrent weights must have the shape \(3, 3\); got \(2, 2\)"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_before_compiled_loops_read_beyond_them(given, words, force, monkeypatch):
    monkeypatch.setattr(layer_module, "FORCE_TORCH", force)
    with pytest.raises(InputError, match=f"^{words}"):
        Neuron(**NEURON).run(torch.zeros(2, 5 if "w" in given else 3, 20), **{name: torch.ones(shape) for name, shape in given.items()})


def test_several_devices_of_a_small_layer_are_those_of_each_sample():
    """Samples share the lanes of a layer of few neurons."""
    torch.manual_seed(0)
    net = block.m1t1r.Dense({"params": replace(FIG2, r_control=np.array([1e8, 2.5e8, 1e9]))}, 20, 3, weight_scale=3)
    x = (torch.rand(2, 20, 200) < 0.2).float()
    one = net(x[:1])
    assert torch.equal(net(x)[1:], net(x[1:])) and torch.equal(net(x)[:1], one) and one.any()


def test_a_surrogate_replaced_as_a_whole_counts_at_once():
    z = torch.full((1, 2, 30), 6.0, requires_grad=True)
    changed, fresh = Neuron(), Neuron(scale_grad=2.0)
    grads = [torch.autograd.grad(changed(z).sum(), z)[0]]
    changed.surrogate = replace(changed.surrogate, scale_grad=2.0)
    grads += [torch.autograd.grad(net(z).sum(), z)[0] for net in (changed, fresh)]
    assert torch.equal(grads[1], grads[2]) and not torch.equal(grads[0], grads[1])


def test_layers_draw_their_noise_apart():
    noisy, drawn = Neuron(replace(FIG2, sigma1=1e-3)), []
    for noisy.layer in (0, 1):
        torch.manual_seed(0)
        drawn.append(noisy._generators(2, 3))
    assert noisy.training and not np.isin(drawn[0], drawn[1]).any()


def test_the_first_count_beyond_16_bits_keeps_its_sign():
    assert projection.counts_by_input(torch.tensor([[512.0], [511.984375]])).tolist() == [[32768, 32767]]
