"""Blocks among torch's other features: compilers, narrow numbers, averages of weights, optimisers that look before the first call."""

import copy
import gc
import subprocess
import sys
import tracemalloc
import weakref
from dataclasses import replace

import numpy as np
import pytest
from training_blocks import nodes, torch

from lava_1m1t1r import presets
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.netx.hdf5 import predict
from lava_1m1t1r.netx.schema import read
from lava_1m1t1r.program import StepParams
from lava_1m1t1r.recipes.network import Network, m1t1r
from lava_1m1t1r.recipes.smooth import Smooth
from lava_1m1t1r.recipes.task import Task
from lava_1m1t1r.slayer import buffers
from lava_1m1t1r.slayer import layer as layer_module
from lava_1m1t1r.slayer.block.m1t1r import Affine, Average, Conv, DelayLines, Dense, Flatten, Input, Pool, Recurrent
from lava_1m1t1r.slayer.neuron import Neuron
from lava_1m1t1r.slayer.quantise import quantise_8bit, quantised_weight
from lava_1m1t1r.slayer.surrogate import gradient_program

pytestmark = pytest.mark.train
STEP = {"params": presets.ZHAO2025_FIG2.scaled(40), "dt": 10e-3, "substeps": 1}


def spikes(*shape, rate=0.3):
    return (torch.rand(*shape) < rate).float()


@pytest.mark.parametrize("made", [lambda: Conv(STEP, 2, 4, 3, weight_scale=3), lambda: Pool(STEP, 2, bias=True)], ids=["conv", "pool"])
def test_images_count_the_same_in_narrow_numbers(made):
    torch.manual_seed(0)
    block, x = made(), spikes(4, 2, 8, 8, 60, rate=0.1)
    wanted = block(x)
    assert wanted.sum() > 100
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(block(x), wanted)
    narrow = copy.deepcopy(block).bfloat16()
    assert torch.equal(narrow(x.bfloat16()), copy.deepcopy(narrow).float()(x))


def test_smooth_weights_and_readouts_are_the_same_under_autocast(monkeypatch):
    torch.manual_seed(0)
    block, readout, x = Dense(STEP, 140, 64), Affine(None, 64, 5, weight_scale=40), spikes(3, 140, 50, rate=0.1)
    Smooth(block.synapse, 5.0)
    monkeypatch.setattr("lava_1m1t1r.slayer.layer.FORCE_TORCH", True)
    wanted = readout(block(x))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(readout(block(x)), wanted)


@pytest.mark.slow
def test_a_compiled_network_is_the_network_and_loops_are_compiled_while_torch_traces(tmp_path):
    code = """
import sys, torch
from lava_1m1t1r import presets
from lava_1m1t1r.slayer.block.m1t1r import Affine, Dense, Recurrent
assert "torch._dynamo" not in sys.modules  # not loaded by the library: half of a training process's memory
step = {"params": presets.ZHAO2025_FIG2.scaled(40), "dt": 10e-3, "substeps": 1}
torch.manual_seed(0)
hidden = Recurrent({**step, "learn": ("mu",)}, 12, 9, delay=True, delay_rec=3, weight_scale=3)
net = torch.nn.Sequential(Dense(step, 10, 12, weight_scale=3), hidden, Affine(None, 9, 3))
x = (torch.rand(4, 10, 40) < 0.4).float()
compiled = torch.compile(net, backend="eager")
for given in (x, x[:, :, ::2]):
    out = compiled(given)
    assert torch.equal(out, net(given)) and bool(out.any())
out.sum().backward()
assert bool(net[0].synapse.weight.grad.any())
print("equal")
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=230, cwd=tmp_path)
    assert done.stdout.strip() == "equal", done.stderr[-2000:]


def test_delays_are_there_before_the_first_call():
    block = Dense(STEP, 10, 12, delay=True, weight_scale=3)
    averaged = torch.optim.swa_utils.AveragedModel(block)
    averaged.update_parameters(block)
    optimiser = torch.optim.Adagrad(block.parameters())
    before = block.delay.delay.detach().clone()
    block(spikes(8, 10, 60)).cumsum(-1).sum().backward()
    optimiser.step()
    averaged.update_parameters(block)
    assert before.shape == (12,) and not torch.equal(before, block.delay.delay)
    assert Dense(STEP, 10, 12, delay=True).double().delay.delay.dtype == torch.float64
    with torch.device("meta"):
        assert Recurrent(STEP, 10, 12, delay=True).delay.delay.device.type == "meta"
    with torch.no_grad():
        block.delay.delay.fill_(float("nan"))
    with pytest.raises(InputError, match="delay must be finite"):
        block(spikes(1, 10, 5))


def test_blocks_without_neurons_are_reset_too_and_shapes_must_be_known_to_export(tmp_path):
    import h5py

    for block in (Affine(None, 3, 2), Input(), Dense(STEP, 3, 2)):
        block.reset()
    with h5py.File(tmp_path / "x.net", "w") as file:
        for block in (Flatten(), Input(), Input(STEP)):
            with pytest.raises(InputError, match=r"\.shape must be known.*Run the block once"):
                block.export_hdf5(file.create_group(type(block).__name__ + str(id(block))))


def test_networks_of_sixteen_bits_learn_devices_and_export(tmp_path):
    import h5py

    block = Dense({**STEP, "learn": ("mu",)}, 10, 12).bfloat16()
    block(spikes(2, 10, 30).bfloat16()).sum().backward()
    with h5py.File(tmp_path / "x.net", "w") as file:
        block.export_hdf5(file.create_group("layer/0"))
        assert file["layer/0/weight"].shape == (12, 10)
    with h5py.File(tmp_path / "y.net", "w") as file, pytest.warns(UserWarning, match="delay_shift=False"):
        Dense(STEP, 3, 2, delay_shift=False).export_hdf5(file.create_group("layer/0"))


MADE = {
    "conv": (lambda: Conv(STEP, 2, 4, 3, weight_scale=3), (2, 8, 8)),
    "pool": (lambda: Pool(STEP, 2), (2, 8, 8)),
    "smooth": (lambda: smooth(Dense(STEP, 140, 16)), (140,)),
}


def smooth(block):
    Smooth(block.synapse, 5.0)
    return block


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("made", MADE)
def test_counts_largest_biases_and_smooth_weights_of_sixteen_bits_are_those_of_wider_ones(made, kind, tmp_path):
    torch.manual_seed(0)
    build, shape = MADE[made]
    net, x = Network([build()]), torch.randint(0, 4, (3, *shape, 40)).to(kind)
    with torch.no_grad():
        net.blocks[0].bias[0] = 63.99  # which 16 bits round to more than files hold
    net = net.to(kind)
    wide = copy.deepcopy(net).float()(x.float())
    assert torch.equal(net(x), wide) and wide.sum() > 0
    net.export(tmp_path / "x.net")
    assert torch.equal(
        torch.from_numpy(predict(tmp_path / "x.net", x.flatten(1, -2).transpose(1, 2).int().numpy())), wide.flatten(1, -2).mT
    )


def test_sixteen_bits_drive_input_neurons_as_wider_ones_do(tmp_path):
    """bfloat16 has 8 bits for a product and for its sum with the bias; the block has more."""
    net = Network([Input({**STEP, "v_unit": 0.05}, weight=0.53125, bias=10.015625)]).bfloat16()
    x = torch.randint(0, 40, (4, 30, 100), generator=torch.Generator().manual_seed(0))
    wide = copy.deepcopy(net).float()(x.float())
    assert torch.equal(net(x.bfloat16()), wide) and torch.equal(net(x), wide) and wide.sum() > 0
    net.export(tmp_path / "x.net")
    assert torch.equal(torch.from_numpy(predict(tmp_path / "x.net", x.transpose(1, 2).numpy())), wide.transpose(1, 2))


@pytest.mark.parametrize("made", [lambda: Input(STEP | {"v_unit": 0.05}, weight=0.03125), lambda: Average(2)], ids=["input", "average"])
def test_counts_in_integers_are_held_whatever_torchs_default_type_is(made):
    block, x = made(), torch.arange(401, 601, 2)[None, :, None].expand(1, 100, 300)  # bfloat16 holds every second or fourth number here
    wanted = block(x)
    assert wanted.sum() > 0
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        assert torch.equal(block(x), wanted)
    finally:
        torch.set_default_dtype(before)


def test_device_parameters_that_are_pruned_or_parametrised_after_a_call_count_at_once(tmp_path):
    from torch.nn.utils import parametrize, prune

    class Opposite(torch.nn.Module):
        def forward(self, x):
            return -x

    torch.manual_seed(0)
    net = Network([Dense(STEP | {"learn": ("mu",)}, 20, 12, weight_scale=3)])
    learned, x = net.blocks[0].neuron.learned, spikes(4, 20, 60)
    with torch.no_grad():
        learned.log_mu.uniform_(-1, 1)
    before = net(x)
    for change in (
        lambda: prune.l1_unstructured(learned, "log_mu", 6),
        lambda: prune.l1_unstructured(learned, "log_mu", 5),  # the mask alone changes
        lambda: (prune.remove(learned, "log_mu"), parametrize.register_parametrization(learned, "log_mu", Opposite())),
    ):
        change()
        after = net(x)
        assert not torch.equal(after, before)
        net.export(tmp_path / "changed.net")
        device = read(tmp_path / "changed.net").active[0].m1t1r.step.device
        found = learned.factors(12)["mu"].detach().numpy() * STEP["params"].mu
        np.testing.assert_allclose(device.mu, found, rtol=1e-4)
        assert np.array_equal(predict(tmp_path / "changed.net", x.transpose(1, 2).numpy().astype(np.uint8))[:, 1:],
                              after.detach().transpose(1, 2).numpy()[:, 1:])  # fmt: skip
        before = after


def test_blocks_work_whatever_torchs_default_device_is():
    noisy = STEP | {"params": replace(STEP["params"], sigma1=1e-3)}
    made = lambda: [Dense(noisy, 20, 5), Affine(None, 20, 5), Dense(STEP | {"learn": ("mu",)}, 20, 5, delay=True)]  # noqa: E731
    x, results = spikes(3, 20, 30), []
    for device in ("cpu", "meta"):
        torch.manual_seed(0)
        blocks = made()
        with torch.device(device):  # meta stands for a GPU, whose tensors are no arrays either
            torch.manual_seed(1)
            ys = [block(x) for block in blocks]
            sum(y.sum() for y in ys).backward()
        results.append([*ys, *(p.grad for block in blocks for p in block.parameters() if p.grad is not None)])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_delay_lines_are_loaded_from_the_device_meta():
    lines, x = DelayLines(4, (0, 3)), spikes(2, 4, 20)
    there = DelayLines(4, (0, 3)).to("meta")
    there.load_state_dict(lines.state_dict(), assign=True)
    empty = DelayLines(4, (0, 3)).to("meta").to_empty(device="cpu")
    empty.load_state_dict(lines.state_dict())
    assert torch.equal(there(x), lines(x)) and torch.equal(empty(x), lines(x)) and lines(x).any()
    with pytest.raises(InputError, match=r"delay must be those of the state dict; got \[0, 4\]"):
        DelayLines(4, (0, 4)).load_state_dict(lines.state_dict())


def test_smooth_weights_are_trained_after_a_first_look_in_inference_mode():
    block = Dense(STEP, 20, 5)
    Smooth(block.synapse, 2.0)
    block.double()
    x = spikes(3, 20, 30).double()
    with torch.inference_mode():
        block(x)
    block(x).sum().backward()
    assert block.synapse.weight.grad.abs().sum() > 0
    there = Dense(STEP, 20, 5)
    Smooth(there.synapse, 2.0)
    there.double().to("meta").to_empty(device="cpu").load_state_dict(block.state_dict())
    assert torch.equal(there(x), block(x)) and block(x).any()


def test_pruned_device_parameters_are_made_anew_at_each_call():
    from torch.nn.utils import prune

    block, x = Dense({**STEP, "learn": ("mu",)}, 10, 12, weight_scale=3), spikes(4, 10, 60)
    prune.l1_unstructured(block.neuron.learned, "log_mu", 0.5)
    optimiser = torch.optim.SGD(block.parameters(), 0.1)
    for _ in range(3):
        block(x).sum().backward()
        optimiser.step()
    log = block.neuron.learned.log_mu
    assert int((log == 0).sum()) >= 6 and int((log != 0).sum()) > 0


def test_devices_that_integers_cannot_hold_are_drawn_back_and_training_goes_on():
    slow = presets.ZHAO2025_FIG4.scaled(10)
    block, x = Dense({"params": slow, "learn": ("gamma2",)}, 10, 12), spikes(2, 10, 30)
    block(x)
    with torch.no_grad():
        block.neuron.learned.log_gamma2.fill_(-2.0)
    block(x).sum().backward()  # the slowest residue that the decays hold is not as slow as that
    learned = np.asarray(block.neuron.params.device.gamma2)
    assert np.all((learned < slow.gamma2) & (learned > slow.gamma2 * np.exp(-2.0)))
    spread = presets.ZHAO2025_FIG2.scaled(40).with_variation(1.0)
    wide = Dense({**STEP, "params": spread.spread(256, 1), "variation": 1.0}, 10, 256)
    for _ in range(5):
        wide(x)
    step = StepParams(slow)
    assert step.towards(slow, 3).device == slow  # what fits stays as it is


@pytest.mark.parametrize("block", [Dense(STEP, 5, 4), DelayLines(5, (0, 1)), Neuron(**STEP)], ids=lambda made: type(made).__name__)
def test_transforms_of_torch_func_are_refused_in_our_words(block):
    x = spikes(2, 5, 10)
    for transformed in (torch.func.grad(lambda y: block(y).sum()), torch.func.vmap(lambda y: block(y[None]))):
        with pytest.raises(InputError, match=f"{type(block).__name__} must be called without torch.func's transforms"):
            transformed(x)


def halved(block):
    torch.nn.utils.prune.random_unstructured(block, "bias", 0.5)
    return block.bias_orig


def normed(block):
    torch.nn.utils.weight_norm(block, "bias")
    return block.bias_g


def late(block):
    torch.nn.utils.prune.identity(block.delay, "delay")
    return block.delay.delay_orig


@pytest.mark.filterwarnings("ignore:.*weight_norm is deprecated")
@pytest.mark.parametrize("change", [halved, normed, late])
def test_files_have_what_hooks_make_at_the_next_call(change, tmp_path):
    """And not what they made at the last one: training steps have come in between."""
    net = Network([Dense(STEP, 20, 12, delay=True)])
    learned = change(net.blocks[0])
    x = spikes(4, 20, 60)
    before = net(x)
    learned.data += 3.0
    net.export(tmp_path / "net.net")
    out = predict(tmp_path / "net.net", x.transpose(1, 2).int().numpy())
    after = net(x)
    assert np.array_equal(out, after.detach().transpose(1, 2).numpy()) and not torch.equal(before, after)


@pytest.mark.parametrize(("start", "steps"), [(-2.5, 0), (45.0, 62)])
def test_delays_stay_within_their_bounds_behind_a_parametrisation(start, steps):
    class Twice(torch.nn.Module):
        def forward(self, value):
            return 2 * value

    block = Dense(STEP, 20, 3, delay=True, weight_scale=3)
    x = spikes(2, 20, 80)
    plain = block.delay.delay.data.zero_()
    undelayed = block(x)
    torch.nn.utils.parametrize.register_parametrization(block.delay, "delay", Twice())
    with torch.no_grad():
        block.delay.parametrizations.delay.original.fill_(start)
    assert block.delay.steps.tolist() == [steps] * 3 and undelayed.sum() > 0 and plain.numel() == 3
    assert torch.equal(block(x)[:, :, steps:], undelayed[:, :, : 80 - steps])


def test_delays_that_others_make_keep_their_values_for_their_gradients():
    torch.manual_seed(0)
    block, x = Dense(STEP, 20, 3, delay=True, weight_scale=3), spikes(2, 20, 120)
    logs = torch.full((3,), 80.0).log().requires_grad_()  # beyond the largest delay
    found = []
    for delay in (logs.exp(), torch.exp(logs) * 1):  # the first is what exp keeps for its gradient, the second a copy
        y = torch.func.functional_call(block, {"delay.delay": delay}, (x,))
        found.append(torch.autograd.grad((y * torch.arange(120)).sum(), logs)[0])
    assert found[0].all() and torch.equal(*found)


def test_settings_of_the_surrogate_may_be_annealed_by_lava_dls_names_and_ours():
    block, x = Dense(STEP, 20, 8, weight_scale=3), spikes(4, 20, 60)

    def gradient():
        block.zero_grad()
        block(x).sum().backward()
        return block.synapse.weight.grad.clone()

    usual, neuron = gradient(), block.neuron
    neuron.scale_rho *= 2
    assert neuron.scale_grad == neuron.surrogate.scale_grad == 2.0 and not torch.equal(gradient(), usual)
    neuron.scale_grad = 1.0
    assert torch.equal(gradient(), usual)
    neuron.tau_rho *= 2
    assert neuron.tau_grad == pytest.approx(0.6) and not torch.equal(gradient(), usual)
    neuron.tau_grad, neuron.grow_cap = 0.3, 1.0
    assert not torch.equal(gradient(), usual)
    with pytest.raises(InputError, match="grow_cap must be"):
        neuron.grow_cap = -1.0
    neuron.set_params(v_th=2 * presets.ZHAO2025_FIG2.v_th)
    neuron.tau_rho = 2 * neuron.tau_rho / neuron.tau_grad  # in the scale of today's threshold
    assert neuron.tau_grad == pytest.approx(2.0)


def test_annealing_leaves_nothing_behind(monkeypatch):
    block, x, made = Dense(STEP, 20, 8, weight_scale=3), spikes(4, 20, 60), []

    def watched(*given):
        program = gradient_program(*given)
        program = program._replace(drop=program.drop.copy())  # its own, which lives as long as it is kept
        made.append(weakref.ref(program.drop))
        return program

    monkeypatch.setattr(layer_module, "gradient_program", watched)
    for k in range(5):
        block.neuron.tau_grad = 0.3 + 0.1 * k
        block(x).sum().backward()
    gc.collect()
    assert len(made) == 5 and sum(program() is not None for program in made) <= 1


@pytest.mark.parametrize("force", [False, True], ids=["compiled", "torch"])
@pytest.mark.parametrize("real", [torch.float32, torch.float64])
def test_states_are_of_the_type_of_the_spikes(real, force, monkeypatch):
    monkeypatch.setattr(layer_module, "FORCE_TORCH", force)
    block = Dense({**STEP, "record_states": True}, 20, 8).to(real)
    out = block(spikes(2, 20, 10).to(real))
    assert {out.dtype, *(state.dtype for state in block.neuron.states)} == {real}
    torch.nn.Linear(8, 3).to(real)(block.neuron.states.gate.transpose(1, 2)).sum().backward()
    assert block.synapse.weight.grad.abs().sum() > 0


def test_exports_leave_modules_that_can_be_copied(tmp_path):
    net = Network([Dense(STEP, 20, 12)])
    torch.nn.utils.prune.identity(net.blocks[0], "bias")
    net.export(tmp_path / "net.net")
    assert copy.deepcopy(net).blocks[0].bias_orig.shape == (12,)


def test_flatten_and_average_take_empty_batches_and_other_sizes(tmp_path):
    flatten = Flatten()
    assert flatten(torch.zeros(0, 2, 4, 4, 5)).shape == (0, 32, 5) and Average(5)(torch.zeros(0, 20, 5)).shape == (0, 5, 5)
    assert Average(2, count_log=True)(torch.ones(1, 4, 1))[1] is None and Flatten(count_log=True)(torch.ones(1, 1, 2, 2, 3))[1] is None
    assert repr(Average(2)) != repr(Average(4))  # by which checkpoints tell networks apart
    assert torch.equal(Average(2)(torch.arange(4.0).reshape(1, 4, 1)), torch.tensor([[[0.5], [2.5]]]))
    with pytest.raises(InputError, match=r"Flatten input must have shape \(B, C, H, W, T\); got \(2, 20, 30\)"):
        flatten(torch.zeros(2, 20, 30))
    net = Network([Conv(STEP, 2, 4, 3), flatten, Affine(None, 64, 3)])
    for size in (8, 6):  # files have the sizes of the last call
        net.blocks[1](net.blocks[0](torch.ones(1, 2, size, size, 5)))
    net.export(tmp_path / "net.net")
    assert read(tmp_path / "net.net").layers[1].shape == (64, 1, 1)


@pytest.mark.parametrize("kind", ["plain", "norm", "pruned", "parametrised"])
def test_smooth_weights_spread_as_before_and_after_a_reset(kind):
    """Whatever makes them."""
    torch.manual_seed(0)
    block = Dense(STEP, 40, 64, weight_norm=kind == "norm")
    if kind == "pruned":
        torch.nn.utils.prune.identity(block.synapse, "weight")
    elif kind == "parametrised":
        torch.nn.utils.parametrizations.weight_norm(block.synapse)
    before = float(quantised_weight(block.synapse).std())
    Smooth(block.synapse, 2.0)
    smoothed = float(quantised_weight(block.synapse).std())
    block.synapse.reset_parameters()
    assert smoothed == pytest.approx(before, rel=0.1) and float(quantised_weight(block.synapse).std()) == pytest.approx(before, rel=0.1)


def test_lines_that_smooth_weights_cannot_have_are_refused():
    with pytest.raises(InputError, match="lines must divide the synapse's 13 inputs; got 2"):
        Smooth(Dense(STEP, 13, 6).synapse, 2.0, 2)


def test_recurrent_sums_are_exact_in_plain_torch_too(monkeypatch):
    """Weights that no file holds, which single precision does not sum."""
    torch.manual_seed(0)
    block = Recurrent(STEP, 1, 64, pre_hook_fx=lambda w: w)
    large = torch.randint(-8, 9, (64, 64)) + 2.0**22 * torch.tensor([1.0, -1.0]).repeat(32)
    with torch.no_grad():
        block.input_synapse.weight.fill_(9.0)
        block.bias.fill_(6.0)
        block.recurrent_synapse.weight.copy_(large.reshape(block.recurrent_synapse.weight.shape) / 64)
    x = spikes(2, 1, 200, rate=0.2)
    wanted = block(x)
    monkeypatch.setattr(layer_module, "FORCE_TORCH", True)
    assert wanted.sum() > 100 and torch.equal(block(x), wanted)


@pytest.mark.parametrize("force", [False, True])
def test_outputs_of_double_precision_frames_are_of_double_precision(force, monkeypatch):
    monkeypatch.setattr(layer_module, "FORCE_TORCH", force)
    for block in (Affine(None, 4, 3), Dense(STEP, 4, 3), Recurrent(STEP, 4, 3)):
        assert block(torch.ones(1, 4, 5, dtype=torch.float64)).dtype == torch.float64 and block(torch.ones(1, 4, 5)).dtype == torch.float32


@pytest.mark.parametrize("make", [lambda: Affine(None, 4, 3), lambda: Dense(STEP, 4, 3), lambda: Recurrent(STEP, 4, 3)])
def test_inputs_may_come_with_torchs_negative_bit(make):
    block, x = make(), spikes(1, 4, 30)
    turned = torch.complex(torch.zeros_like(x), -x).conj().imag
    assert turned.is_neg() and torch.equal(block(turned), block(x))


def test_gradients_may_come_with_torchs_negative_bit():
    torch.manual_seed(0)
    block, x = Dense(STEP, 4, 3), spikes(1, 4, 30)
    found = []
    for turn in (lambda y: torch.complex(torch.zeros_like(y), y).conj().imag, lambda y: -y):
        block.synapse.weight.grad = None
        (turn(block(x)) * torch.arange(30)).sum().backward()
        found.append(block.synapse.weight.grad)
    assert torch.equal(*found) and found[0].any()


def test_states_are_kept_on_the_cpu_whatever_torchs_default_device():
    task = Task("x", channels=6, classes=3, hidden=9, smooth=2.0, learn=("mu",))
    net = m1t1r(task)
    with torch.device("meta"):
        state = net.state_dict()
    assert {value.device.type for value in state.values()} == {"cpu"}
    m1t1r(task).load_state_dict(state)


def test_blocks_can_be_made_without_memory_for_their_numbers():
    """As torch makes them whose numbers come from a file."""
    options = {**STEP, "learn": ("mu",)}
    with torch.device("meta"):
        made = [Recurrent(options, 20, 16, delay=True), Pool(options, 2, delay=True, features=3), Conv(options, 1, 2, 3)]
    assert all(value.device.type == "meta" for block in made for value in block.parameters())
    assert made[1].delay.delay.shape == (3,)
    task = Task("x", channels=6, classes=3, hidden=9, taps=(0, 3), smooth=2.0, learn=("mu",))
    given, x = m1t1r(task), spikes(2, 6, 20)
    with torch.device("meta"):
        there = m1t1r(task)
    there.to_empty(device="cpu").load_state_dict(given.state_dict())
    assert torch.equal(there(x), given(x))


def test_memory_of_a_large_call_is_given_back_after_smaller_ones():
    block = Dense(STEP, 20, 64)

    def step(batch, times):
        block(spikes(batch, 20, times)).sum().backward()

    def held():
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before

    step(64, 200)  # what is made once
    block.zero_grad()
    buffers.clear()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        step(64, 200)
        step(2, 10)
        large = held()
        for _ in range(100):
            step(2, 10)
        later = held()
        buffers.clear()
        cleared = held()
    finally:
        tracemalloc.stop()
    assert large > 64 * 200 * 64 and later < large / 20 and cleared < later


def learned():
    return Dense(STEP | {"learn": ("mu", "r_control")}, 30, 40)


def recording():
    block = Recurrent(STEP, 30, 40)
    block.neuron.record_states = True
    return block


@pytest.mark.filterwarnings("ignore:.*weight_norm is deprecated")
@pytest.mark.parametrize(
    "made",
    [lambda: Recurrent(STEP, 30, 40, delay=True), lambda: Dense(STEP, 30, 40, weight_norm=True), learned,
     recording, lambda: Affine(None, 30, 5), lambda: Network([DelayLines(30, [0, 3]), Dense(STEP, 60, 10)]), lambda: Neuron(**STEP),
     lambda: Network([torch.nn.Unflatten(1, (2, 3, 5)), Conv(STEP, 2, 4, 3), Pool(STEP, 2), Flatten()]),
     lambda: m1t1r(Task("t", channels=30, classes=3, hidden=8,
                   taps=(0, 3), synaptic_delays=True, smooth=2.0, learn=("mu",), variation=0.1))],
    ids=["recurrent", "normed", "learned", "recording", "affine", "lines", "neuron", "images", "recipe"],
)  # fmt: skip
def test_autograd_receives_memory_of_torchs_own(made, monkeypatch):
    shared = []  # held, or others may get their memory
    for name in ("from_numpy", "as_tensor"):
        make = getattr(torch, name)
        monkeypatch.setattr(torch, name, lambda array, make=make, **named: shared.append(make(array, **named)) or shared[-1])
    torch.manual_seed(0)
    net = made()
    x = spikes(3, 30, 50).requires_grad_()
    y = net(1 * x)
    loss = y.sum() + (sum(state.sum() for state in net.neuron.states) if isinstance(net, Recurrent) and net.neuron.record_states else 0)
    seen = []

    def look(name, kind, tensors):
        seen.extend((name, kind, t) for t in tensors if isinstance(t, torch.Tensor))

    for node in nodes(loss.grad_fn):
        for name in dir(node):
            if name.startswith("_saved_"):  # what functions of Python save goes with their object, which torch then leaves alone
                kept = getattr(node, name)
                look(node.name(), name, kept if isinstance(kept, tuple) else (kept,))
        node.register_hook(lambda over, _after, node=node: look(node.name(), "gradient", over))
    loss.backward()
    assert len([kind for _, kind, _ in seen if kind == "gradient"]) > 2
    of_numpy = {tensor.untyped_storage().data_ptr() for tensor in shared if tensor.numel()}
    assert {(name, kind) for name, kind, tensor in seen if tensor.untyped_storage().data_ptr() in of_numpy} == set()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("function", ["quantise._Quantise", "layer._Layer"])
def test_a_process_ends_after_a_broken_backward_pass(function):
    Recurrent({"substeps": 1}, 30, 40)(spikes(4, 30, 50)).sum().backward()  # compiles the loops, which the process then loads
    # the gradient of the other synapse, and the other layer with what it has saved, wait in torch's queue until after the end of Python
    script = f"""if True:
        import torch
        from lava_1m1t1r.slayer import block, layer, quantise

        def pressed(ctx, *grad):
            raise KeyboardInterrupt

        {function}.backward = staticmethod(pressed)
        nets = [block.m1t1r.Recurrent({{"substeps": 1}}, 30, 40) for _ in range(2)]
        x = (torch.rand(4, 30, 50) < 0.2).float()
        try:
            sum(net(x).sum() for net in nets).backward()
        except KeyboardInterrupt:
            print("broken", flush=True)
    """
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=220)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "broken\n", "")


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_counts_are_summed_exactly_whatever_torch_cuts_products_to(precision, monkeypatch):
    net = Affine(None, 40, 3)
    x = torch.randint(0, 3000, (2, 40, 5), generator=torch.Generator().manual_seed(0)).float()
    expected = net(x)
    before = torch.get_float32_matmul_precision()
    monkeypatch.setattr(layer_module, "FORCE_TORCH", True)
    try:
        torch.set_float32_matmul_precision(precision)
        assert torch.equal(net(x), expected)
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16], ids=str)
def test_what_is_not_finite_becomes_nan_in_sixteen_bits(kind):
    wrong = torch.tensor([float("inf"), -float("inf"), float("nan")], dtype=kind)
    assert quantise_8bit(wrong).isnan().all()
