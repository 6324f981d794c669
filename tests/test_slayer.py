"""Training blocks: spikes bit for bit, lava-dl's conventions, and learning."""

import warnings
from dataclasses import replace

import h5py
import numpy as np
import pytest
from training_blocks import FIG2, NEURON, SPIKES, dl, spikes, torch, weights

from lava_1m1t1r import presets, reference
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.program import StepParams
from lava_1m1t1r.recipes.network import Network
from lava_1m1t1r.slayer import block, neuron
from lava_1m1t1r.slayer import layer as layer_module
from lava_1m1t1r.slayer.block.driven import SPREAD_VOLTAGE
from lava_1m1t1r.slayer.delay import Delay
from lava_1m1t1r.slayer.remade import remake


def expected_input(net, x, y):
    """Synaptic counts (B, T, N) that spikes x and the layer's own undelayed spikes y give, by plain sums."""
    recurrent = isinstance(net, block.m1t1r.Recurrent)
    a = np.einsum("nc,bct->btn", weights(net.input_synapse if recurrent else net.synapse), x.numpy().astype(np.int64))
    if net.bias is not None:
        a += np.rint(net.bias.detach().numpy() * 64).astype(np.int64)
    if recurrent:
        w, s = weights(net.recurrent_synapse), y.detach().numpy().astype(np.int64)
        delays = np.zeros(s.shape[1], int) if net.delay_rec is None else net.delay_rec.numpy()
        for t in range(s.shape[2]):
            for j in np.flatnonzero(t - 1 - delays >= 0):
                a[:, t] += s[:, j, t - 1 - delays[j]][:, None] * w[:, j]
    return a


@pytest.mark.parametrize("case", range(6))
def test_spikes_equal_the_reference_bit_for_bit(case):
    rng = np.random.default_rng(case)
    torch.manual_seed(case)
    channels, size, steps, batch = (int(rng.integers(1, high)) for high in (50, 90, 60, 6))
    noisy = case % 2 == 1
    device = replace(FIG2.scaled(rng.uniform(0.5, 4)), sigma1=1e-3 * noisy, sigma2=1e-3 * noisy)
    args = {"params": device, "substeps": int(rng.integers(1, 6)), "v_unit": 0.1, "seed": 11}
    if case < 4:
        net = block.m1t1r.Recurrent(
            args, channels, size, bias=case > 1, delay_shift=False, delay_rec=rng.integers(0, 8, size) if case > 2 else None
        )
    else:
        net = block.m1t1r.Dense(args, channels, size, bias=True, delay_shift=False)
    net.neuron.layer = 3
    net.eval()
    x = torch.from_numpy(rng.integers(0, 3, (batch, channels, steps)) * (rng.random((batch, channels, steps)) < 0.15)).float()
    y = net(x)
    a = expected_input(net, x, y)
    fired = np.stack([reference.run(net.neuron.params, a[b], seed=11, layer=3).spike for b in range(batch)])
    assert np.array_equal(fired.transpose(0, 2, 1), y.detach().numpy() > 0)
    assert fired.sum() > 0


@pytest.mark.parametrize("noisy", [False, True])
def test_plain_torch_path_equals_the_compiled_one(monkeypatch, noisy):
    device = replace(FIG2, sigma1=1e-3 * noisy)
    results = []
    for force in (False, True):
        monkeypatch.setattr(layer_module, "FORCE_TORCH", force)
        torch.manual_seed(1)
        hidden = block.m1t1r.Recurrent({**NEURON, "params": device}, 12, 33, bias=True, delay_rec=np.arange(33) % 4)
        net = torch.nn.Sequential(hidden, block.m1t1r.Dense(NEURON, 33, 9, bias=True), block.m1t1r.Affine(None, 9, 4)).double().eval()
        x = spikes(3, 12, 20).double().requires_grad_(True)
        y = net(x)
        (y * torch.linspace(-1, 1, 20)).sum().backward()
        results.append([y.detach(), x.grad, *(p.grad for p in net.parameters())])
    assert torch.equal(results[0][0], results[1][0]) and results[0][0].abs().sum() > 0
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("force", [False, True])
def test_gradients_of_weights_count_as_many_spikes_as_come_together(force, monkeypatch):
    monkeypatch.setattr(layer_module, "FORCE_TORCH", force)
    net = block.m1t1r.Affine(None, 20, 70).double()
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 4, (3, 20, 40), generator=generator).double()
    weigh = torch.randn(3, 70, 40, generator=generator, dtype=torch.float64)
    (net(x) * weigh).sum().backward()
    expected = torch.einsum("bnt,bct->nc", weigh, x)
    torch.testing.assert_close(net.synapse.weight.grad.reshape(70, 20), expected, rtol=1e-12, atol=1e-12)


def test_true_is_one_spike_whatever_its_byte():
    mask = np.uint8(255) * (spikes(2, 12, 20).numpy() > 0)
    net, seen = block.m1t1r.Affine(None, 12, 3), torch.from_numpy(mask.view(bool))
    assert torch.equal(net(seen), net(torch.from_numpy(mask > 0)))


@pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.float64])
def test_spikes_may_come_in_any_type(kind):
    torch.manual_seed(0)
    net, x = block.m1t1r.Recurrent(NEURON, 20, 30, bias=False), spikes(4, 20, 40)
    out = net(x)
    assert out.sum() > 0 and torch.equal(net(x.to(kind)), out)


@pytest.mark.parametrize("force", [False, True])
def test_currents_may_come_in_any_type(force, monkeypatch):
    """A byte does not hold what 7 units of weight count."""
    monkeypatch.setattr(layer_module, "FORCE_TORCH", force)
    cell = neuron.Neuron(params=FIG2)
    for unit, kinds in ((7, (torch.uint8, torch.int8, torch.int16, torch.bfloat16)), (600, (torch.int16, torch.int64))):
        z = torch.full((1, 2, 200), float(unit))
        out = cell(z)
        assert out.any() and all(torch.equal(cell(z.to(kind)).float(), out) for kind in kinds)


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_gradients_of_short_numbers_are_those_of_long_ones(kind, force, monkeypatch):
    monkeypatch.setattr(layer_module, "FORCE_TORCH", force)
    torch.manual_seed(0)
    net = torch.nn.Sequential(block.m1t1r.Recurrent(NEURON, 20, 30), block.m1t1r.Affine(None, 30, 4))
    gradients = []
    for made in (torch.float32, kind):
        net.zero_grad()
        x = spikes(4, 20, 40).to(made).requires_grad_(True)
        (net(x) * torch.linspace(-1, 1, 40)).sum().backward()
        assert x.grad.dtype == made
        gradients.append([x.grad.to(kind), *(p.grad.clone() for p in net.parameters())])
    assert all(torch.equal(a, b) and a.abs().sum() > 0 for a, b in zip(*gradients, strict=True))
    values = torch.linspace(0, 7, 40).expand(2, 3, 40).to(kind)
    source = block.m1t1r.Input(NEURON, weight=2.0, bias=1.0)
    assert torch.equal(source(values), source(values.float())) and source(values).sum() > 0


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(("batch", "steps"), [(0, 0), (0, 3), (2, 0), (2, 1)])
def test_no_samples_and_no_steps_have_no_gradient(batch, steps, force, monkeypatch):
    monkeypatch.setattr(layer_module, "FORCE_TORCH", force)
    b = block.m1t1r
    for net, shape in (
        (torch.nn.Sequential(b.Recurrent(NEURON, 5, 3, delay=True), b.Affine(None, 3, 2)), (5,)),
        (b.Input(NEURON, weight=1.0), (2, 4, 4)),
        (torch.nn.Sequential(b.Conv(NEURON, 2, 3, 3, delay=True), b.Pool(NEURON, 2, delay=True)), (2, 4, 4)),
    ):
        y = net(torch.zeros(batch, *shape, steps))
        assert y.shape[0] == batch and y.shape[-1] == steps
        y.sum().backward()
        assert all(p.grad is None or not p.grad.any() for p in net.parameters())


@pytest.mark.parametrize("force", [False, True])
def test_second_derivatives_are_refused(force, monkeypatch):
    monkeypatch.setattr(layer_module, "FORCE_TORCH", force)
    for net in (block.m1t1r.Dense(NEURON, 20, 8), block.m1t1r.Affine(None, 20, 8)) if not force else (block.m1t1r.Dense(NEURON, 20, 8),):
        with pytest.raises(InputError, match="create_graph must be False"):
            torch.autograd.grad(net(spikes(2, 20, 30)).sum(), net.synapse.weight, create_graph=True)
    for turned in (lambda w: w, lambda w: w.reshape(3, 3).t().contiguous()):  # compiled loops round and turn matrices
        w = torch.linspace(-5, 5, 9).requires_grad_(True)
        (slope,) = torch.autograd.grad((turned(neuron.Neuron().quantize_8bit(w)) ** 2).sum(), w, create_graph=True)
        slope.sum().backward()
        assert w.grad.tolist() == [0, 2, 2, 2, 2, 2, 2, 2, 0]


def test_the_widest_variation_draws_devices_that_have_integers():
    net = block.m1t1r.Dense({**NEURON, "variation": 1.0}, 20, 3000)
    for seed in range(3):
        torch.manual_seed(seed)
        assert net.train()(spikes(1, 20, 3)).shape == (1, 3000, 3)


def test_a_call_leaves_no_state_for_the_next_one():
    torch.manual_seed(0)
    net, x = block.m1t1r.Recurrent(NEURON, 20, 30, bias=False), spikes(4, 20, 40)
    first = net(x)
    assert torch.equal(first, net(x)) and first.sum() > 0
    assert net(torch.zeros_like(x)).sum() == 0


def test_batches_may_have_other_sizes_after_a_first_one():
    """Small layers are stepped several samples at a time; devices differ."""
    torch.manual_seed(0)
    args = {**NEURON, "params": FIG2.with_variation(0.3).spread(10, 1)}
    net, x = block.m1t1r.Dense(args, 20, 10), spikes(6, 20, 60)
    with torch.no_grad():
        net.bias += torch.linspace(-0.5, 0.5, 10)
    alone = torch.cat([net(one[None]) for one in x])
    for size in (2, 3, 6):
        assert torch.equal(net(x[:size]), alone[:size])
    assert len({float(rate) for rate in alone.sum((0, 2))}) > 4


def test_gradient_passes_through_the_neurons_own_states_in_time():
    torch.manual_seed(0)
    net, x = block.m1t1r.Recurrent(NEURON, 20, 30), spikes(4, 20, 40).requires_grad_(True)
    with torch.no_grad():
        net.recurrent_synapse.weight.zero_()
    net(x)[:, :, 30].sum().backward()
    assert net.recurrent_synapse.weight.grad.abs().sum() > 0
    through_time = x.grad.abs().sum((0, 1))
    assert (through_time[25:29] > 0).all(), "spikes of earlier steps must matter through filament, residue and gate"
    assert through_time[29] > 0 and (through_time[30:] == 0).all()  # the output is one step late


@pytest.mark.parametrize("force", [False, True])
def test_persistent_state_goes_on_where_the_last_call_ended(force, monkeypatch):
    monkeypatch.setattr(layer_module, "FORCE_TORCH", force)
    x = spikes(3, 20, 60)
    for args in ({}, {"params": replace(FIG2, sigma1=1e-3)}):
        outputs = []
        for persistent in (False, True):
            torch.manual_seed(0)
            net = block.m1t1r.Recurrent({**NEURON, **args, "persistent_state": persistent}, 20, 30, delay_rec=5).eval()
            parts = (x,) if not persistent else (x[..., :7], x[..., 7:33], x[..., 33:])
            outputs.append(torch.cat([net(part) for part in parts], -1))
        assert torch.equal(*outputs) and outputs[0].sum() > 0
        assert net.neuron.kept_states.shape == (3, 3, 30) and net.neuron.kept_states.any()
        net.neuron.kept_states[:] = 0  # a copy
        assert net.neuron.kept_states.any()
        net.reset()
        assert net.neuron.kept_states is None
        assert torch.equal(net(x[..., :7]), outputs[0][..., :7])


def test_training_draws_new_noise_for_each_sample_and_evaluation_the_same():
    torch.manual_seed(0)
    net = block.m1t1r.Dense({**NEURON, "params": replace(FIG2, sigma1=1e-2)}, 20, 30)
    x = spikes(1, 20, 60).repeat(2, 1, 1)
    a, b = net.eval()(x)
    assert torch.equal(a, b)
    a, b = net.train()(x)
    assert not torch.equal(a, b)


def test_variation_draws_other_devices_in_training_only(tmp_path):
    x = spikes(2, 20, 60)
    nets = []
    for variation in (0.0, 0.3):
        torch.manual_seed(0)
        nets.append(block.m1t1r.Recurrent({**NEURON, "variation": variation}, 20, 30))
    plain, varied = nets
    assert torch.equal(plain.eval()(x), varied.eval()(x))
    first, second = varied.train()(x), varied(x)
    assert not torch.equal(first, second) and not torch.equal(first, plain(x)) and first.sum() > 0
    second.sum().backward()
    assert varied.input_synapse.weight.grad.abs().sum() > 0
    with h5py.File(tmp_path / "net", "w") as file:
        varied.export_hdf5(file)
        assert np.ndim(file["neuron/device/mu"][()]) == 0 or file["neuron/device/mu"].size == 1
    with pytest.raises(InputError, match="variation"):
        block.m1t1r.Dense({"variation": -1.0}, 2, 2)


def test_delay_equals_lava_dls():
    x = spikes(3, 12, 30)
    ours, theirs = Delay(), dl.axon.Delay(max_delay=62)
    for d in (ours, theirs):
        d(x)
        d.delay.data = torch.linspace(0, 8.5, 12)
    grads = []
    for d in (ours, theirs):
        y = x.clone().requires_grad_(True)
        out = d(y)
        (out * torch.linspace(-1, 1, 30)).sum().backward()
        grads.append((out.detach(), y.grad, d.delay.grad))
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b)


def test_blocks_shift_by_one_step_and_delay():
    torch.manual_seed(0)
    net, x = block.m1t1r.Dense(NEURON, 20, 8, delay=True, delay_shift=False), spikes(2, 20, 30)
    net(x)
    net.delay.delay.data = torch.zeros(8)
    now = net(x)
    net.delay_shift = True
    net.delay.delay.data[3] = 4.7
    late = net(x)
    assert torch.equal(late[:, 0, 1:], now[:, 0, :-1]) and torch.equal(late[:, 3, 5:], now[:, 3, :-5]) and late[..., 0].sum() == 0


def test_weights_are_8_bit_in_the_forward_pass():
    net = block.m1t1r.Affine(None, 3, 2)
    with torch.no_grad():
        net.synapse.weight[:] = torch.tensor([[0.049, 5.0, -9.0], [0.02, -0.01, 3.99]]).reshape(net.synapse.weight.shape)
    y = net(torch.eye(3)[None])
    assert (y[0] * 64).tolist() == [[4, 254, -256], [2, 0, 254]]
    y.sum().backward()
    assert net.synapse.weight.grad.flatten().tolist() == [1, 0, 0, 1, 1, 0]  # rounding passes, the clip does not


def test_quantisation_equals_lava_dls():
    w = torch.linspace(-5, 5, 999)
    results = []
    for cell in (neuron.Neuron(), dl.neuron.cuba.Neuron(threshold=1.0, current_decay=0.1, voltage_decay=0.1)):
        x = w.clone().requires_grad_(True)
        y = cell.quantize_8bit(x)
        (y * w).sum().backward()
        results.append((y.detach(), x.grad, cell.quantize_8bit(w, descale=True)))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("order", ["ours first", "theirs first"])
def test_blocks_sit_in_one_network_with_lava_dls_and_learn_with_its_tools(order):
    torch.manual_seed(0)
    cuba = {"threshold": 1.0, "current_decay": 0.5, "voltage_decay": 0.2}
    ours = {"params": FIG2.scaled(4), "substeps": 1, "tau_grad": 0.5}
    if order == "ours first":
        net = torch.nn.Sequential(
            block.m1t1r.Recurrent(ours, 30, 24, bias=True, delay=True), dl.block.cuba.Dense(cuba, 24, 4, weight_scale=8)
        )
    else:
        net = torch.nn.Sequential(dl.block.cuba.Dense(cuba, 30, 24, weight_scale=3), block.m1t1r.Dense(ours, 24, 4))
    x = torch.zeros(32, 30, 25)
    label = torch.arange(32) % 4
    for i in range(32):
        x[i, label[i] * 7 : label[i] * 7 + 7] = spikes(1, 7, 25, 0.5, seed=i)[0]
    error = dl.loss.SpikeRate(0.4, 0.05) if order == "ours first" else dl.loss.SpikeMax(mode="softmax")
    stats = dl.utils.LearningStats()
    net(x)
    assistant = dl.utils.Assistant(net, error, torch.optim.Adam(net.parameters(), lr=0.03), stats, classifier=dl.classifier.Rate.predict)
    for _ in range(40):
        assistant.train(x, label)
        assistant.test(x, label)
        stats.update()
    assert stats.training.loss_log[-1] < stats.training.loss_log[0]
    assert stats.testing.max_accuracy > 0.9


def test_a_network_goes_through_all_of_lava_dls_assistant():
    net = Network([block.m1t1r.Recurrent(NEURON, 20, 8), block.m1t1r.Dense(NEURON, 8, 2)])
    x, label, stats = spikes(6, 20, 30), torch.arange(6) % 2, dl.utils.LearningStats()
    optimiser = torch.optim.Adam(net.parameters())
    assistant = dl.utils.Assistant(net, dl.loss.SpikeRate(0.4, 0.05), optimiser, stats, classifier=dl.classifier.Rate.predict)
    for step in (assistant.train, assistant.test, assistant.valid):
        assert step(x, label).shape == (6, 2, 30)
    assert [part.num_samples for part in (stats.training, stats.testing, stats.validation)] == [6, 6, 6]


def test_conv_synapse_drives_the_neuron():
    torch.manual_seed(0)
    cell = neuron.Neuron()
    conv = dl.synapse.Conv(1, 3, 3, weight_scale=15, pre_hook_fx=cell.quantize_8bit)
    x = spikes(2, 36, 30, 0.6).reshape(2, 1, 6, 6, 30)
    z = conv(x)
    y = cell(z)
    assert y.shape == z.shape and tuple(cell.shape) == (3, 4, 4) and y.sum() > 0
    y.sum().backward()
    assert conv.weight.grad.abs().sum() > 0


def test_count_log_returns_the_rate():
    net = block.m1t1r.Dense(NEURON, 20, 8, count_log=True)
    y, rate = net(spikes(2, 20, 30))
    assert float(rate) == pytest.approx(float(y.mean()))
    x = spikes(2, 60, 30).reshape(2, 3, 4, 5, 30) * 8
    y, rate = block.m1t1r.Input(NEURON, count_log=True)(x)
    assert y.shape == x.shape and float(rate) == pytest.approx(float(y.mean())) and rate > 0


def test_recurrent_weights_may_be_kept_fixed():
    net = block.m1t1r.Recurrent(NEURON, 20, 8, requires_grad=False)
    net(spikes(2, 20, 30)).sum().backward()
    assert net.recurrent_synapse.weight.grad is None and net.input_synapse.weight.grad.abs().sum() > 0


def test_default_step_is_lava_dls_and_the_papers():
    cell = neuron.m1t1r.Neuron()
    assert cell.params.replace().dt == StepParams(FIG2).dt and cell.w_scale == 64


def test_hooks_on_a_synapse_do_not_run():
    """It is read, not called; only what makes its weights anew runs."""
    dense = block.m1t1r.Dense(NEURON, 3, 2)
    dense.synapse.register_forward_pre_hook(lambda module, arguments, named: 1 / 0, with_kwargs=True)
    dense.synapse.register_forward_pre_hook(lambda module, arguments: 1 / 0)
    dense.synapse.register_forward_hook(lambda *_: 1 / 0)
    assert dense(SPIKES).shape == (1, 2, 5)


def test_sizes_may_be_numpys_and_spikes_of_any_kind():
    three, two = np.int64(3), np.int64(2)
    for made in (block.m1t1r.Dense(NEURON, three, two), block.m1t1r.Recurrent(NEURON, three, two), block.m1t1r.Affine(None, three, two)):
        assert made(SPIKES.bool()).shape == (1, 2, 5)
    for x in (SPIKES.bool(), SPIKES.int()):
        assert block.m1t1r.Input(NEURON, weight=2.0)(x).dtype == torch.float32
        assert block.m1t1r.Input(count_log=True)(x)[1] == 1.0
        assert block.m1t1r.Average(3)(x).dtype == torch.float32


@pytest.mark.parametrize("force", [False, True])
def test_large_counts_are_summed_exactly_in_single_precision(force, monkeypatch):
    """Sums of which float32 holds none: large ones that cancel."""
    monkeypatch.setattr(layer_module, "FORCE_TORCH", force)
    counts = torch.randint(0, 20000, (2, 300, 40), generator=torch.Generator().manual_seed(0)).float()
    x = torch.cat([counts, counts], 1)
    net = block.m1t1r.Dense({**NEURON}, 600, 5)
    half = torch.randint(-127, 128, (5, 300), generator=torch.Generator().manual_seed(1)) * 2 / 64.0
    with torch.no_grad():
        net.synapse.weight.copy_(torch.cat([half, -half], 1).reshape(net.synapse.weight.shape))
        net.bias.fill_(6.25)
    silent = net(torch.zeros_like(x))
    assert torch.equal(net(x), silent) and silent.sum() > 0


@pytest.mark.parametrize(
    ("device", "volt"),
    [("ZHAO2025_FIG2", 0.78), ("ZHAO2025_FIG3", 1.005), ("ZHAO2025_TABLE1", 0.513), ("ZHAO2025_FIG4", 1.2)],
)
def test_a_fresh_layer_starts_near_the_turn_on_of_its_device(device, volt):
    """As far from it as Fig. 2's, and never beyond the largest input; with bias or without, and however slow the device."""
    params = getattr(presets, device)
    spread = replace(params, gamma2=np.full(30, params.gamma2))  # one of the two voltages is an array, then
    for p, dt in ((params, 1e-3), (params.scaled(40), 0.04), (replace(params, r_control=3 * params.r_control), 1e-3), (spread, 1e-3)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Fig. 4's turns on above the largest input, which is told elsewhere
            one, other = (block.m1t1r.Dense({"params": p, "dt": dt, "v_unit": 0.25}, 400, 30, bias=bias) for bias in (True, False))
        assert 0.25 * one.bias.detach().numpy() == pytest.approx(volt, rel=1e-3)
        assert 0.25 * 0.05 * 400 * float(other.synapse.weight.mean()) == pytest.approx(volt, rel=0.02)


@pytest.mark.parametrize(("inputs", "active"), [(1, 1), (20, 1), (400, 20)])
def test_a_fresh_layers_input_spreads_as_much_whatever_its_size(inputs, active):
    """As many inputs as spike at once, one at least."""
    torch.manual_seed(0)
    weight = block.m1t1r.Dense(NEURON, inputs, 4000 // inputs).synapse.weight
    assert 0.125 * active**0.5 * float(weight.std()) == pytest.approx(SPREAD_VOLTAGE, rel=0.05)


def test_a_neuron_that_is_given_other_parameters_is_as_one_made_with_them():
    given, made = neuron.Neuron(), neuron.Neuron(params=replace(FIG2, v_th=0.3), substeps=2)
    given.set_params(v_th=0.3, substeps=2)
    assert given.threshold == made.threshold == 153 / 64 and given.tau_rho == made.tau_rho and repr(given) == repr(made)
    given.set_params(held=True)
    assert given.params == made.params.replace(held=True)
    with pytest.warns(UserWarning, match="the gate never gets above v_th"):
        given.set_params(v_th=1.5)


def _started_blocks(weight_norm):
    neuron_params = {**NEURON, "learn": ("mu",)}
    yield block.m1t1r.Dense(neuron_params, 400, 30, weight_norm=weight_norm, bias=False, delay=True)
    yield block.m1t1r.Recurrent(neuron_params, 400, 60, weight_norm=weight_norm)
    yield block.m1t1r.Affine(None, 400, 30, weight_norm=weight_norm)
    yield block.m1t1r.Conv(neuron_params, 8, 16, 5, weight_norm=weight_norm)
    yield block.m1t1r.Pool(neuron_params, 2)


@pytest.mark.parametrize("parents_first", [True, False])
@pytest.mark.parametrize("way", ["plain", "weight_norm", "parametrised", "pruned"])
def test_parameters_can_be_started_anew(way, parents_first):
    """As loops over folds do with torch's modules; torch's own numbers would silence the neurons."""
    for made in _started_blocks(way == "weight_norm"):
        synapses = [m for m in made.modules() if hasattr(m, "start_weights")]
        before = [(float(s.weight.detach().mean()), float(s.weight.detach().std(correction=0))) for s in synapses]
        own = {name: p.detach().clone() for name, p in made.named_parameters() if "synapse" not in name}
        if way == "parametrised":
            for s in synapses:
                torch.nn.utils.parametrizations.weight_norm(s)
        if way == "pruned":
            for s in synapses:
                torch.nn.utils.prune.custom_from_mask(s, "weight", torch.ones_like(s.weight))
        biased = getattr(made, "bias", None) is not None
        if biased and way != "plain":  # as the weights are, or their own
            wrap = torch.nn.utils.weight_norm if way == "weight_norm" else torch.nn.utils.parametrizations.weight_norm
            (torch.nn.utils.prune.identity if way == "pruned" else wrap)(made, "bias")
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.fill_(9.0)
        modules = list(made.modules())
        for module in modules if parents_first else modules[::-1]:
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
        for s, (mean, std) in zip(synapses, before, strict=True):
            remake(s)
            w = s.weight.detach()
            assert float(w.mean()) == pytest.approx(mean, abs=0.1 * std + 1e-6), type(made)
            assert float(w.std(correction=0)) == pytest.approx(std, rel=0.1, abs=1e-6), type(made)
            assert len(w.unique()) > 0.9 * w.numel() or std < 1e-6
        for name, value in own.items():
            remake(made)
            now = (made.bias if name == "bias" else dict(made.named_parameters())[name]).detach()
            assert torch.equal(now, value) if "delay" not in name else (0 <= now).all() and (now < 1).all() and now.std() > 0.1


@pytest.mark.train
@pytest.mark.parametrize("other", [{"seed": 1}, {"variation": 0.1}, {"learn_range": 3.0}], ids=lambda other: next(iter(other)))
def test_neurons_that_train_otherwise_print_otherwise(other):
    """By what is printed, a run is known that goes on."""
    assert neuron.Neuron(learn=("mu",)).extra_repr() != neuron.Neuron(learn=("mu",), **other).extra_repr()
    assert Delay(grad_scale=1.0).extra_repr() != Delay(grad_scale=2.0).extra_repr()


@pytest.mark.train
def test_first_weights_of_recurrence_and_of_groups():
    net = block.m1t1r.Recurrent({}, 20, 10, bias=False)
    assert net.input_synapse.start[1] > 0 == net.recurrent_synapse.start[1]
    conv = block.m1t1r.Conv
    assert conv({}, 4, 8, 5, groups=4).synapse.start == conv({}, 1, 2, 5).synapse.start
