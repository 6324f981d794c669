"""A neuron trained by its two steps: integers forward to the bit, derivatives of the floating-point lines backward."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("lava.lib.dl.slayer", reason="needs lava-dl")
import torch

from lava_1m1t1r import StepParams, dynamics, presets, reference, reference_network
from lava_1m1t1r.arithmetic import ACT_SHIFT, FLOAT_ARRAY, ONE
from lava_1m1t1r.description import Layer, M1T1RNeuron, NetDescription
from lava_1m1t1r.dynamics import State
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.reference import widened
from lava_1m1t1r.slayer import neuron
from lava_1m1t1r.slayer.stepwise import StepwiseNeuron, with_slopes
from lava_1m1t1r.slayer.tensor_layer import FIXED_TENSOR, FLOAT_TENSOR, moved

pytestmark = [pytest.mark.train, pytest.mark.timeout(400)]
CPU = torch.device("cpu")


class Stepwise(StepwiseNeuron):
    """The 1M1T1R neuron itself, by its equations alone."""

    def __init__(self, params, **options):
        super().__init__(real=torch.float64, **options)
        self.params = params

    def start(self, batch, size):
        self.integer, self.float = moved(widened(self.params.fixed(size)), CPU), moved(self.params.floating(size), CPU)
        return State(*torch.zeros(3, batch, size, dtype=torch.int64))

    def fixed_step(self, state, counts):
        most = self.params.v_max_count
        v = (counts.clamp(0, (most >> ACT_SHIFT) + 1) << ACT_SHIFT).clamp(max=most)
        spike = torch.zeros_like(counts, dtype=torch.bool)
        for _ in range(self.params.substeps):
            state, fired, _ = dynamics.substep(state, v, self.integer, FIXED_TENSOR)
            spike = spike | fired
        return state, spike

    def in_units(self, state):
        return State(state.filament / ONE, state.residue / ONE, state.gate * self.params.gate_lsb)

    def real_step(self, state, units):
        v = (units * self.params.v_unit).clamp(0, self.params.v_in_max)
        for _ in range(self.params.substeps):
            state, _, _ = dynamics.substep(state, v, self.float, FLOAT_TENSOR)
        return state, state.filament + state.residue


def test_currents_may_come_in_any_type_but_are_finite():
    made = Stepwise(StepParams(presets.ZHAO2025_FIG2))
    z = torch.full((1, 2, 100), 7.0)
    out = made(z)
    assert out.sum() > 5
    for kind in (torch.uint8, torch.int8, torch.int16, torch.bfloat16):
        with pytest.warns(UserWarning, match="bfloat16 holds 8 to 11 bits") if kind == torch.bfloat16 else nullcontext():
            again = made(z.to(kind))
        assert again.dtype == kind and torch.equal(again.float(), out)
    for wrong in (float("nan"), 1e30):
        z[0, 0, 3] = wrong
        with pytest.raises(InputError, match="synaptic input must lie within"):
            made(z)


@pytest.mark.parametrize("device", ["ZHAO2025_FIG2", "ZHAO2025_TABLE1"])
def test_forward_is_the_integers(rng, device):
    params = StepParams(replace(getattr(presets, device), r_control=rng.uniform(1e8, 1e9, 6)))
    z = rng.integers(0, 700, (2, 6, 80)) * (rng.random((2, 6, 80)) < 0.8)
    made = Stepwise(params)
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            spikes = made(torch.from_numpy(z / 64.0)).detach().numpy()
        for b in range(2):
            expected = reference.run(params, z[b].T).spike
            assert expected.any()
            assert np.array_equal(spikes[b].T, expected)
    assert np.array_equal(spikes, neuron.m1t1r.Neuron(params.device)(torch.from_numpy(z / 64.0)).numpy())


def test_recurrent_spikes_arrive_a_step_later(rng):
    size, steps = 6, 60
    net = Layer(
        0,
        "dense_rec",
        (size,),
        size,
        (64 * np.eye(size)).astype(np.int32),
        weight_rec=2 * rng.integers(-40, 60, (size, size), np.int32),
        neuron=M1T1RNeuron(StepParams(presets.ZHAO2025_FIG2)),
    )
    z = rng.integers(3, 11, (size, steps)) * (rng.random((size, steps)) < 0.8)
    synapse = torch.nn.Conv1d(size, size, 1, bias=False, dtype=torch.float64)
    synapse.weight.data[:, :, 0] = torch.from_numpy(net.weight_rec / 64)
    x = torch.from_numpy(z[None].astype(float)).requires_grad_()
    spikes = Stepwise(net.neuron.step)(x, synapse)
    expected = reference_network.run(NetDescription((net,)), z.T)[0].traces.spike
    assert expected.sum() > 10 and np.array_equal(spikes[0].detach().numpy().T, expected)
    assert not np.array_equal(spikes[0].detach().numpy(), Stepwise(net.neuron.step)(x)[0].detach().numpy())
    (spikes * torch.from_numpy(rng.standard_normal(spikes.shape))).sum().backward()
    by_steps = x.grad[0, :, 1:] @ spikes[0, :, :-1].detach().T  # what reaches a step's input from the loss reaches its weights, too
    torch.testing.assert_close(synapse.weight.grad[:, :, 0], by_steps)


def test_single_steps_are_told_of():
    # lava-dl's recurrent block calls its neuron so, and each step would start from rest
    with pytest.warns(UserWarning, match=r"give it all steps and the synapse: self.neuron\(z, self.recurrent_synapse\)"):
        Stepwise(StepParams(presets.ZHAO2025_FIG2))(torch.ones(1, 2, 1, dtype=torch.float64))


def test_sums_that_autocast_has_rounded_are_told_of(rng):
    # the library's own blocks keep them exact; lava-dl's synapse is outside of this neuron
    synapse = torch.nn.Conv1d(40, 6, 1, bias=False)
    synapse.weight.data[:] = torch.from_numpy(rng.integers(-20, 60, (6, 40, 1)) / 32.0)
    x, made = torch.from_numpy((rng.random((1, 40, 50)) < 0.5).astype(np.float32)), Stepwise(StepParams(presets.ZHAO2025_FIG2))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), pytest.warns(UserWarning, match="outside of autocast"):
        rounded = synapse(x)
        made(rounded)
    assert not torch.equal(rounded.float(), synapse(x))


def test_recurrent_sums_that_autocast_has_rounded_are_told_of_once():
    synapse, made = torch.nn.Conv1d(6, 6, 1, bias=False), Stepwise(StepParams(presets.ZHAO2025_FIG2))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), pytest.warns(UserWarning, match="bfloat16 holds") as told:
        made(torch.full((1, 6, 4), 7.0), synapse)
    assert len(told) == 1


def test_no_steps_make_no_spikes_and_images_are_refused():
    neurons = Stepwise(StepParams(presets.ZHAO2025_FIG2))
    assert neurons(torch.ones(2, 3, 0, dtype=torch.float64)).shape == (2, 3, 0)
    with pytest.raises(
        InputError, match=r"StepwiseNeuron input must have shape \(B, N, T\); got \(3, 3, 3, 3, 3\). Images go through flatt"
    ):
        neurons(torch.ones(3, 3, 3, 3, 3))


def test_gradient_below_threshold_is_that_of_the_equations():
    """The spike's surrogate is a known factor, so the gradient over the input is that of x over it: checked by finite differences."""
    params = StepParams(presets.ZHAO2025_FIG2)
    z = torch.full((1, 1, 12), 5.5, dtype=torch.float64, requires_grad=True)  # 0.69 V
    tau, scale = 0.3, 0.7
    made = Stepwise(params, tau_grad=tau, scale_grad=scale)
    made(z)[0, 0, -1].backward()

    def length(values):
        p, s = params.floating(1), State(*np.zeros((3, 1)))
        for units in values:
            for _ in range(params.substeps):
                s, _, _ = dynamics.substep(s, np.array([units * params.v_unit]), p, FLOAT_ARRAY)
        return float((s.filament + s.residue)[0])

    base, step = np.full(12, 5.5), 1e-4
    x = length(base)
    assert 0 < x < 0.9
    slopes = np.array([(length(base + step * e) - length(base - step * e)) / (2 * step) for e in np.eye(12)])
    expected = slopes * scale / (1 + (1 - x) / tau) ** 2
    assert slopes.min() > 0
    # the integer states at which torch differentiates are those of the floating-point run within 1e-4
    assert z.grad[0, 0].numpy() == pytest.approx(expected, rel=2e-3)


def test_tensors_compute_what_arrays_do(rng):
    for device in (presets.ZHAO2025_FIG2, presets.ZHAO2025_TABLE1):
        params = StepParams(device)
        p, q = params.floating(50), moved(params.floating(50), CPU)
        s = State(rng.random(50) * 0.6, rng.random(50) * 0.5, rng.random(50))
        v = rng.uniform(0, 1.2, 50)
        expected = dynamics.substep(s, v, p, FLOAT_ARRAY)
        found = dynamics.substep(State(*map(torch.from_numpy, s)), torch.from_numpy(v), q, FLOAT_TENSOR)
        for mine, wanted in zip((*found[0], *found[1:]), (*expected[0], *expected[1:]), strict=True):
            np.testing.assert_allclose(mine.numpy(), wanted, rtol=1e-12, atol=1e-15)


def test_stated_slopes_replace_the_true_ones():
    x = torch.tensor([2.0, 3.0], requires_grad=True)
    y = with_slopes(x**3, (x, torch.tensor([10.0, 20.0])))
    assert torch.equal(y.detach(), torch.tensor([8.0, 27.0]))
    y.sum().backward()
    assert x.grad.tolist() == [10.0, 20.0]


def test_what_a_subclass_lacks_is_named():
    class Half(StepwiseNeuron):
        def start(self, batch, size):
            return State(*torch.zeros(3, batch, size, dtype=torch.int64))

    with pytest.raises(InputError, match="StepwiseNeuron must be subclassed"):
        StepwiseNeuron()
    for grad, method in ((True, "in_units"), (False, "fixed_step")):
        with torch.set_grad_enabled(grad), pytest.raises(NotImplementedError, match=rf"Half must define {method}\(\)"):
            Half()(torch.ones(1, 2, 3))


def test_gradients_pass_through_recurrent_spikes():
    seen = []

    class Watched(Stepwise):
        def fixed_step(self, state, counts):
            seen.append(self.in_units(state))
            return super().fixed_step(state, counts)

        def real_step(self, state, units):
            seen.append(state)
            return super().real_step(state, units)

    synapse = torch.nn.Conv1d(2, 2, 1, bias=False, dtype=torch.float64)
    synapse.weight.data[:, :, 0] = torch.tensor([[0.0, 0.0], [7.0, 0.0]])
    x = torch.full((1, 2, 40), 0.0, dtype=torch.float64)
    x[0, 0] = 7.0
    x.requires_grad_()
    out = Watched(StepParams(presets.ZHAO2025_FIG2))(x, synapse)
    out[0, 1].sum().backward()
    assert out[0, 0].sum() > 0 and x.grad[0, 0].any()  # the second neuron hears of the first one's input through its spikes alone
    for real, integer in zip(seen[::2], seen[1::2], strict=True):  # torch differentiates at the integers' states
        assert all(torch.equal(a.detach(), b) for a, b in zip(real, integer, strict=True))


def test_counts_that_16_bits_do_not_hold_are_reckoned_in_32():
    z = torch.full((1, 1, 40), 2000.0)
    made = Stepwise(StepParams(presets.ZHAO2025_FIG2))
    with pytest.warns(UserWarning):
        half = made(z.half())
    assert torch.equal(half.float(), made(z).float()) and half.any()
