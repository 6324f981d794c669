"""The hand-written backward pass against automatic differentiation of a plain float64 program, and against finite differences."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lava.lib.dl.slayer")

from lava_1m1t1r import presets, reference  # noqa: E402
from lava_1m1t1r.arithmetic import field_law  # noqa: E402
from lava_1m1t1r.dynamics import State  # noqa: E402
from lava_1m1t1r.program import StepParams  # noqa: E402
from lava_1m1t1r.slayer import block, compiled_reverse  # noqa: E402
from lava_1m1t1r.slayer import layer as layer_module  # noqa: E402
from lava_1m1t1r.slayer.neuron import Neuron  # noqa: E402
from lava_1m1t1r.slayer.reverse import Ops, growth, recompute, reverse, settle  # noqa: E402
from lava_1m1t1r.slayer.surrogate import Surrogate, gradient_program  # noqa: E402

FIG2 = presets.ZHAO2025_FIG2


def linear(value, *terms):
    """A number with chosen derivatives: (input, slope) pairs."""
    return value.detach() + sum(slope.detach() * (x - x.detach()) for x, slope in terms)


def autograd_spikes(params: StepParams, a, spikes_of, states, surrogate: Surrogate, t: int, s, learned):
    """One network step of N neurons as a torch program, with the derivatives that the docstring of reverse.py declares.

    a: (B, N) input in units; states: integer states at the start; s: their differentiable stand-ins; learned: differentiable stand-ins
    of the neurons' constants, by name. Returns spikes, states.
    """
    f = {k: torch.from_numpy(np.array(v)) for k, v in params.floating(a.shape[1])._asdict().items()}
    for name in ("filament_kept", "residue_kept", "transfer", "gate_kept"):
        if name in learned:
            assert torch.allclose(learned[name].detach(), f[name], rtol=1e-12)
            f[name] = learned[name]
    log_gain = learned.get("log_growth", torch.zeros(()))
    finite = bool(torch.isfinite(f["v0"]).all())
    scale = 1 / f["v0"] if finite else 1 / f["v_ref"]
    lost = 1 - f["filament_kept"].detach()
    lasting = lost * (1 + f["alpha"]) ** 2 / 4
    floor = surrogate.grow_floor * lasting * scale
    cap = torch.maximum(surrogate.grow_cap / params.substeps * scale, floor)
    v_raw = a * params.v_unit
    v_value = v_raw.detach().clamp(0, params.v_max_count * params.v_unit / 4096)
    inside = (v_raw >= 0) & (v_raw <= params.v_max_count * params.v_unit / 4096)
    v = linear(v_value, (v_raw, torch.where(inside, 1.0, surrogate.clip_grad)))
    counts = np.array([1 / (1 << 22), 1 / (1 << 22), params.v_unit / (1 << 18)])
    filament, residue, gate = (linear(torch.from_numpy(i * c), (x, torch.ones_like(a))) for i, c, x in zip(states, counts, s, strict=True))

    def growth(d, x):
        law = torch.from_numpy(field_law(d.detach().numpy(), f["v0"].numpy(), f["v_ref"].numpy()))
        inverse = 1 / (f["alpha"] + 1 - x.detach())
        value = f["growth"] * law * inverse
        if finite:
            ratio = f["v_ref"] / f["v0"] / torch.sinh(f["v_ref"] / f["v0"])
            slope = f["growth"] * ratio * torch.cosh(d.detach() / f["v0"]) * inverse
        else:
            slope = f["growth"] * inverse
        over_v = torch.minimum(torch.maximum(slope, floor), cap)
        return value.clamp(max=2.0), over_v, torch.minimum(value * inverse, lost)

    r_off, lam = (torch.as_tensor(np.asarray(value, np.float64)) for value in (params.device.r_off, params.device.lam))
    lengths = []
    for _ in range(params.substeps):
        blocked = v.detach() <= gate.detach()
        d = torch.where(blocked, 0.0, v.detach() - gate.detach())
        pull = linear(d, (v, torch.ones_like(v)), (gate, torch.where(blocked, 0.0, -1.0)))
        kept, residue_kept = f["filament_kept"] * filament, f["residue_kept"] * residue
        x = filament + residue
        value, over_v, over_x = growth(d, x)
        early = linear(value, (pull, over_v), (x, over_x), (log_gain, value))
        predicted = kept + early + residue_kept + f["transfer"] * filament
        predicted = predicted.clamp(max=1.0)
        value, over_v, over_x = growth(d, predicted)
        late = linear(value, (pull, over_v), (predicted, over_x), (log_gain, value))
        grown = kept + (early + late) / 2
        grown_residue = residue_kept + f["transfer"] * (filament + grown.clamp(max=1.0)) / 2
        new_residue = linear(grown_residue.detach().clamp(max=1.0), (grown_residue, torch.ones_like(grown_residue)))
        new_filament = torch.minimum(grown, 1 - new_residue)
        length = grown + grown_residue
        step = surrogate.scale_grad / (1 + (length.detach() - 1).abs() / surrogate.tau_grad) ** 2
        at = (new_residue.detach() * 64).long().clamp(max=63)
        knots = f["drop"]
        drop = knots[at] + (knots[at + 1] - knots[at]) * (new_residue * 64 - at)
        drained = f["gate_kept"] * gate
        shut, rises = grown.detach() > 1 - new_residue.detach(), v.detach() > drained.detach()
        jump = torch.relu(v - drop - drained)
        way = torch.where(shut & rises, jump, v - drained)
        x = torch.where(shut, 1.0, (filament + residue + new_filament + new_residue).detach() / 2)
        r_d = f["r_on"] * x + r_off * torch.expm1((1 - x) / lam) / torch.expm1(1 / lam)
        share = -torch.expm1(-f["substep_per_c"] / r_d)
        closing = linear(torch.zeros_like(share), (length, surrogate.reset_grad * step))
        charged = drained + share * way + closing * jump.detach()
        lengths.append((torch.where(gate.detach() <= f["v_th"], length.detach(), -1.0), length, step))
        filament, residue, gate = new_filament, new_residue, f["gate_kept"] * charged
    masked = torch.stack([m for m, _, _ in lengths])
    best = masked.argmax(0)
    fires = masked.max(0).values >= 0
    terms = [(length, torch.where(fires & (best == k), step, 0.0)) for k, (_, length, step) in enumerate(lengths)]
    return linear(spikes_of[:, t], *terms), (filament, residue, gate)


def constants_of(params: StepParams, logs):
    """The step's constants from learned logarithms of factors up to 3, written out once more."""
    reach, h = math.log(3.0), params.dt / params.substeps
    value = {
        name: torch.tensor(getattr(params.device, name), dtype=torch.float64) for name in ("mu", "beta", "gamma1", "gamma2", "r_control")
    }
    value |= {name: value[name] * torch.exp(reach * torch.tanh(log / reach)) for name, log in logs.items()}
    loss = value["gamma1"] + value["beta"]
    residue_kept = torch.exp(-value["gamma2"] * h)
    return {
        "log_growth": torch.log(value["mu"] * (1 - torch.exp(-loss * h)) / loss),
        "filament_kept": torch.exp(-loss * h),
        "residue_kept": residue_kept,
        "transfer": value["beta"] * (1 - residue_kept) / value["gamma2"],
        "gate_kept": torch.exp(-h / 2 / (value["r_control"] * params.device.c_gate)),
    }


def check(params, surrogate, recurrent, seed, batch=5, channels=9, size=70, steps=14, delays=0, learn=(), recorded=False, spiking=True):
    """recorded: the loss also depends on the states; spiking: and on the spikes."""
    rng = np.random.default_rng(seed)
    neuron = {"params": params.device, "dt": params.dt, "substeps": params.substeps, "v_unit": params.v_unit}
    neuron |= {name: getattr(surrogate, name) for name in surrogate.__dataclass_fields__} | {
        "learn": learn,
        "learn_range": 3.0,
        "record_states": recorded,
    }
    torch.manual_seed(seed)
    delay_rec = rng.integers(0, delays + 1, size) if delays else np.zeros(size, int)
    if recurrent:
        net = block.m1t1r.Recurrent(neuron, channels, size, bias=True, delay_shift=False, delay_rec=delay_rec)
    else:
        net = block.m1t1r.Dense(neuron, channels, size, bias=True, delay_shift=False)
    net = net.double()
    with torch.no_grad():
        net.bias += torch.from_numpy(rng.uniform(-1.5, 1.0, size))  # silent, active and latched neurons
        for name in learn:
            getattr(net.neuron.learned, f"log_{name}").uniform_(-1.0, 1.0)
    x = torch.from_numpy((rng.random((batch, channels, steps)) < 0.3).astype(float)).requires_grad_(True)
    weigh = torch.from_numpy(rng.standard_normal((batch, size, steps)) * spiking)
    weigh_states = torch.from_numpy(rng.standard_normal((3, batch, size, steps)))
    spikes = net(x)
    loss = (spikes * weigh).sum() if spiking else torch.zeros(())
    if recorded:
        loss = loss + sum((state * one).sum() for state, one in zip(net.neuron.states, weigh_states, strict=True))
    loss.backward()
    main = net.input_synapse if recurrent else net.synapse
    got = {"x": x.grad, "w": main.weight.grad.reshape(size, -1), "bias": net.bias.grad}

    logs = {name: getattr(net.neuron.learned, f"log_{name}") for name in learn}
    got |= {name: log.grad for name, log in logs.items()}
    logs = {name: log.detach().clone().requires_grad_(True) for name, log in logs.items()}
    learned = constants_of(params, logs) if learn else {}
    params = net.neuron.params

    quantised = lambda s: s.pre_hook_fx(s.weight).detach().reshape(size, -1).requires_grad_(True)  # noqa: E731
    w, bias, y = quantised(main), net.quantised_bias.detach().requires_grad_(True), x.detach().clone().requires_grad_(True)
    w_rec = quantised(net.recurrent_synapse) if recurrent else None
    value = spikes.detach().transpose(1, 2)
    zero = torch.zeros(batch, size, dtype=torch.float64)
    s, out, inputs, over_states = (zero, zero, zero), [], [], 0.0
    states = np.zeros((3, batch, size), np.int64)
    for t in range(steps):
        a = y[:, :, t] @ w.T + bias
        if recurrent:
            back = [t - 1 - d for d in delay_rec]
            fed = torch.stack([out[k][:, j] if k >= 0 else zero[:, 0] for j, k in enumerate(back)], 1)
            a = a + fed @ w_rec.T
        spike, s = autograd_spikes(params, a, value, states, surrogate, t, s, learned)
        out.append(spike)
        inputs.append(np.rint(a.detach().numpy() * 64).astype(np.int64))
        traces = [reference.run(params, np.stack(inputs)[:, b]) for b in range(batch)]
        assert all(np.array_equal(r.spike[-1], value[b, t].numpy() > 0) for b, r in enumerate(traces))
        states = np.stack([[getattr(r, name)[-1] for r in traces] for name in ("filament", "residue", "gate")])
        if recorded:
            over_states = over_states + sum((one * weigh_states[k, :, :, t]).sum() for k, one in enumerate(s))
            unit = [2.0**-22, 2.0**-22, params.v_unit / 2**18]
            for k in range(3):
                assert np.array_equal(net.neuron.states[k].detach()[:, :, t].numpy(), states[k] * unit[k])
    ((torch.stack(out, -1) * weigh).sum() + over_states).backward()
    expected = {"x": y.grad, "w": w.grad, "bias": bias.grad} | {name: log.grad for name, log in logs.items()}
    if recurrent:
        got["w_rec"], expected["w_rec"] = net.recurrent_synapse.weight.grad.reshape(size, -1), w_rec.grad
    assert spikes.sum() > 20
    for name, grad in got.items():
        error = float((grad - expected[name]).norm() / expected[name].norm())
        assert error < 1e-6, (name, error)


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("substeps", [1, 3])
def test_backward_pass_equals_automatic_differentiation(recurrent, substeps):
    check(StepParams(FIG2.scaled(4 / substeps), substeps=substeps), Surrogate(), recurrent, seed=substeps, delays=3 * recurrent)


@pytest.mark.parametrize("force", [False, True], ids=["compiled", "torch"])
@pytest.mark.parametrize(("recurrent", "spiking", "size", "batch"), [(False, True, 70, 5), (True, True, 16, 16), (True, False, 70, 5)])
def test_losses_may_depend_on_the_states(recurrent, spiking, size, batch, force, monkeypatch):
    monkeypatch.setattr(layer_module, "FORCE_TORCH", force)
    options = {"delays": 2, "learn": ("mu", "r_control")} if recurrent else {}
    step = StepParams(FIG2.scaled(2), substeps=2)
    check(step, Surrogate(), recurrent, seed=30, batch=batch, size=size, recorded=True, spiking=spiking, **options)


@pytest.mark.parametrize(("recurrent", "learn"), [(False, ()), (True, ("mu", "gamma1", "r_control"))])
@pytest.mark.parametrize("size", [1, 7, 20])
def test_backward_pass_of_small_layers_whose_samples_take_steps_together(size, recurrent, learn):
    batch = {1: 40, 7: 11, 20: 6}[size]  # not whole groups
    check(StepParams(FIG2.scaled(2), substeps=2), Surrogate(), recurrent, seed=3 + size, batch=batch, size=size, steps=24, learn=learn)


@pytest.mark.parametrize(
    "surrogate",
    [
        Surrogate(tau_grad=1.0, scale_grad=2.0, reset_grad=0.0, grow_floor=0.0, grow_cap=3.0, clip_grad=0.0),
        Surrogate(tau_grad=0.1, reset_grad=0.5, grow_floor=1.0, grow_cap=0.2, clip_grad=0.3),
        Surrogate(grow_floor=3.0, grow_cap=0.05),  # of two bounds that exclude each other, the lower counts
    ],
)
def test_backward_pass_follows_the_settings(surrogate):
    check(StepParams(FIG2.scaled(2), substeps=2, v_unit=0.1), surrogate, True, seed=5)


def test_backward_pass_of_the_linear_law_and_of_different_devices():
    check(StepParams(replace(presets.ZHAO2025_TABLE1, mu=800.0), substeps=2), Surrogate(), True, seed=7)
    device = replace(FIG2, r_control=np.linspace(1e8, 4e8, 33), gamma1=np.linspace(300, 700, 33), v_th=np.linspace(0.15, 0.25, 33))
    check(StepParams(device, substeps=2), Surrogate(), True, seed=8, size=33)


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("substeps", [1, 3])
def test_device_parameters_learn_by_automatic_differentiation_of_the_same_step(recurrent, substeps):
    every = ("mu", "beta", "gamma1", "gamma2", "r_control")
    check(StepParams(FIG2.scaled(4 / substeps), substeps=substeps), Surrogate(), recurrent, seed=20 + substeps, learn=every)


def test_some_device_parameters_learn_from_different_devices_under_the_linear_law():
    device = replace(presets.ZHAO2025_TABLE1, mu=np.linspace(700.0, 900.0, 33))
    check(StepParams(device, substeps=2), Surrogate(), True, seed=25, size=33, learn=("mu", "r_control"))


def test_single_precision_is_close_to_double():
    grads = []
    for real in (torch.float32, torch.float64):
        torch.manual_seed(3)
        net = block.m1t1r.Recurrent({"substeps": 2, "learn": ("mu", "gamma1", "r_control")}, 20, 70, bias=True).to(real)
        x = (torch.rand(4, 20, 30, generator=torch.Generator().manual_seed(1)) < 0.2).to(real)
        (net(x) * torch.linspace(-1, 1, 30)).sum().backward()
        grads.append(torch.cat([p.grad.flatten() for p in net.parameters()]).double())
    assert float((grads[0] - grads[1]).norm() / grads[1].norm()) < 1e-3


@pytest.mark.parametrize("force", [False, True], ids=["compiled", "torch"])
@pytest.mark.parametrize(
    "changed",
    [{"lam": 0.0105}, {"lam": 0.0016}, {"lam": 20.0}, {"lam": 0.7, "r_off": 1e14}, {"lam": 0.9, "r_off": 1e14}, {"r_off": 1e44}],
    ids=str,
)
def test_single_precision_holds_whatever_the_jump_distance(changed, force, monkeypatch):
    """exp(1 / lam) and large resistances leave single precision."""
    monkeypatch.setattr(layer_module, "FORCE_TORCH", force)
    x, grads = torch.rand(3, 9, 20, generator=torch.Generator().manual_seed(0)) < 0.3, []
    for real in (torch.float32, torch.float64):
        torch.manual_seed(0)
        net = block.m1t1r.Recurrent({"params": replace(FIG2.scaled(3), **changed), "substeps": 2}, 9, 20, bias=True).to(real)
        with torch.no_grad():
            net.bias += torch.linspace(-1, 3, 20)
        (net(x.to(real)) * torch.linspace(-1, 1, 20).to(real)).sum().backward()
        grads.append(torch.cat([p.grad.flatten() for p in net.parameters()]).double())
    assert float((grads[0] - grads[1]).norm() / grads[1].norm()) < 2e-5 and grads[1].norm() > 0.1


PLAIN = Ops(
    growth=growth,
    select=lambda condition, a, b: a if condition else b,
    law=lambda d, q: (
        q.growth * (math.exp(d * q.rate - q.shift) - q.mirror * math.exp(q.shift - d * q.rate)),
        q.growth * q.rate * (math.exp(d * q.rate - q.shift) + q.mirror * math.exp(q.shift - d * q.rate)),
    ),
    exp=math.exp,
    knot=lambda u, q: (min(int(u), 63), u - min(int(u), 63)),
    read=lambda table, i: float(table[i]),
)


@pytest.mark.parametrize(("start", "v"), [((0.1, 0.02, 0.05), 0.82), ((0.3, 0.3, 0.1), 0.7), ((0.02, 0.5, 0.01), 0.75)])
def test_reverse_equals_finite_differences_where_the_step_is_smooth(start, v):
    unbounded = Surrogate(grow_floor=0.0, grow_cap=1e9, tau_grad=1e-9)  # below the turn-on nothing is replaced then
    program = gradient_program(StepParams(FIG2), 1, unbounded, np.float64)
    arrays = [float(x[0]) if isinstance(x, np.ndarray) and x.size == 1 else x for x in program]
    q = type(program)(*arrays)._replace(filament_lost=1e9)
    weigh = State(0.7, -0.4, 0.5)

    def loss(state, v):
        for _ in range(4):
            state, _ = recompute(state, v, q, PLAIN)
        return sum(w * x for w, x in zip(weigh, state, strict=True))

    state, kept = State(*start), []
    for _ in range(4):
        state, local = recompute(state, v, q, PLAIN)
        kept.append(local)
    adjoint, over_v = weigh, 0.0
    for local in reversed(kept):
        adjoint, part, _ = reverse(adjoint, 0.0, local, q)
        over_v += part
    h = 1e-6

    def slope(k):
        high, low = ([x + sign * h * (i == k) for i, x in enumerate([*start, v])] for sign in (1, -1))
        return (loss(State(*high[:3]), high[3]) - loss(State(*low[:3]), low[3])) / (2 * h)

    numeric = [slope(k) for k in range(4)]
    # the gate's share of its way depends on the length below the turn-on too, by less than a percent: left out
    np.testing.assert_allclose([*adjoint, over_v], numeric, rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize("force", [False, True], ids=["compiled", "torch"])
@pytest.mark.parametrize("volt", [0.0, -0.2])
def test_the_gradient_of_a_resting_neuron_does_not_depend_on_rounding(volt, force, monkeypatch):
    """The field law at 0 V is 0, and not the rest of two exponentials: of either sign, it chose whether such neurons learn at all."""
    monkeypatch.setattr(layer_module, "FORCE_TORCH", force)
    device = FIG2.with_variation(0.2, 0.05).spread(300, 1)
    found = []
    for kind in (torch.float32, torch.float64):
        z = torch.full((1, 300, 1), volt / 0.125, dtype=kind, requires_grad=True)
        Neuron(params=device).to(kind)(z).sum().backward()
        found.append(z.grad[0, :, 0].double())
    assert (found[1] > 0).all()
    assert torch.allclose(*found, rtol=1e-4)


@pytest.mark.parametrize(("v0", "v_ref"), [(0.0984, 0.8), (0.018, 2.0), (0.0087, 0.91), (0.0045, 3.6)])
def test_a_field_law_that_rises_within_a_few_millivolts_keeps_its_gradient(v0, v_ref, monkeypatch):
    """Far below v_ref, its exponential leaves single precision, and in the last case double precision."""
    device, found = replace(FIG2, v0=v0, v_ref=v_ref), []
    for kind in (torch.float32, torch.float64):
        for force in (False, True):
            monkeypatch.setattr(layer_module, "FORCE_TORCH", force)
            z = torch.full((1, 1, 20), 0.05 / 0.125, dtype=kind, requires_grad=True)
            Neuron(params=device, v_in_max=0.95).to(kind)(z).sum().backward()
            found.append(z.grad.sum().double())
    assert found[0] * v0 == pytest.approx(0.01055, rel=2e-3)  # nothing grows: the smallest slope, which goes with 1 / v0
    assert torch.allclose(torch.stack(found), found[0], rtol=1e-4)


def test_the_exponential_of_single_precision():
    exp, x = compiled_reverse._exp32, np.linspace(-87, 87, 20001, dtype=np.float32)
    found = np.array([exp(value) for value in x], np.float64)
    np.testing.assert_allclose(found, np.exp(x.astype(np.float64)), rtol=3e-7)
    assert exp(np.float32(200)) == exp(np.float32(87)) and exp(np.float32(-200)) == exp(np.float32(-87)) > 0


@pytest.mark.parametrize("force", [False, True], ids=["compiled", "torch"])
@pytest.mark.parametrize("v_in_max", [0.7, 0.9, 1.1, 1.2])
def test_the_largest_input_voltage_is_not_beyond_the_clip_in_either_precision(v_in_max, force, monkeypatch):
    """In single precision, counts times their voltage may round to more than the largest one."""
    monkeypatch.setattr(layer_module, "FORCE_TORCH", force)
    units, found = round(v_in_max / 0.1), []
    for kind in (torch.float32, torch.float64):
        z = torch.tensor([-1.0, 0.0, 1.0, units, units + 1.0], dtype=kind).reshape(1, 5, 1).requires_grad_()
        Neuron(v_unit=0.1, v_in_max=v_in_max, clip_grad=0.0).to(kind)(z).sum().backward()
        found.append(z.grad.flatten() > 0)
    assert all(learns.tolist() == [False, True, True, True, False] for learns in found)


@pytest.mark.parametrize("force", [False, True], ids=["compiled", "torch"])
@pytest.mark.parametrize("device", [FIG2, replace(presets.ZHAO2025_TABLE1, mu=1200.0)], ids=["hyperbolic", "linear"])
def test_backward_pass_where_the_residue_fills_the_gap(device, force, monkeypatch):
    """Its cut at 1 passes gradients on. Gates of the second device come above what a closed filament charges them to."""
    monkeypatch.setattr(layer_module, "FORCE_TORCH", force)
    check(StepParams(replace(device, beta=1000.0, gamma2=2.0), substeps=2), Surrogate(), False, seed=9, recorded=True)


def test_a_gate_at_its_threshold_may_fire_and_a_filament_that_stays_closed_does_not_charge_it():
    program = gradient_program(StepParams(FIG2), 1, Surrogate(), np.float64)
    q = type(program)(*(float(x[0]) if isinstance(x, np.ndarray) and x.size == 1 else x for x in program))
    closed = State(0.9, 0.1, q.v_th)
    for above, charge in ((1e-3, False), (1.0, True)):
        _, turn = settle(closed, closed._replace(filament=0.95), q.gate_kept * q.v_th + above, q, PLAIN)
        assert turn.length == pytest.approx(1.05) and turn.yields == 1 and (turn.charge > 0) == charge
