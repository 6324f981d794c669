"""A layer in plain torch operations, for tensors that are not on the CPU: the same integers forward, the same :mod:`.reverse` backward.

Both passes run the lines of the other implementations: :mod:`..dynamics` on int64 tensors, and :mod:`.reverse` on real ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .. import dynamics, noise
from ..arithmetic import WEIGHT_ONE, FloatPrimitives, fixed_on_arrays, float_arithmetic
from ..dynamics import State
from ..errors import require
from ..reference import widened
from ..tables import input_counts
from .exact import exact, exactly, real_type, summed_in
from .reverse import Constants, GradientProgram, Ops, field_law, growth, over_constants, recompute, reverse
from .surrogate import Units, gradient_program, is_linear, state_units, units_of
from .training_kernels import PAST

FIXED_TENSOR = fixed_on_arrays(torch.where)
"""Number system of the integer substep on int64 tensors."""


def _law(d: torch.Tensor, p: Any) -> torch.Tensor:
    if torch.isinf(p.v0).all():
        return d
    shift = p.v_ref / p.v0
    return p.v_ref * (torch.exp(d / p.v0 - shift) - torch.exp(-d / p.v0 - shift)) / -torch.expm1(-2.0 * shift)


def _smaller(a: torch.Tensor, b: Any) -> torch.Tensor:
    return torch.minimum(a, b) if isinstance(b, torch.Tensor) else a.clamp(max=b)


def _interpolate(u: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    place = u * (table.shape[0] - 1)
    i = place.detach().long().clamp(0, table.shape[0] - 2)
    return table[i] + (table[i + 1] - table[i]) * (place - i)


FLOAT_TENSOR = float_arithmetic(
    FloatPrimitives(torch.where, _law, _smaller, lambda x: x.clamp(min=0.0), _interpolate, torch.expm1, torch.sqrt, lambda f: f)
)
"""Number system of the floating-point substep on real tensors, differentiable: with the true derivatives, which explode before a
turn-on."""


def _ops(linear: bool) -> Ops:
    def knot(place: Any, q: GradientProgram) -> tuple:
        i = place.long().clamp(max=q.drop.shape[0] - 1)
        return i, place - i

    def above_0(x: torch.Tensor) -> torch.Tensor:
        return torch.exp(x).clamp(min=torch.finfo(x.dtype).tiny)

    return Ops(torch.where, field_law(linear, above_0), growth, torch.exp, knot, lambda table, i: table[i])


def moved(program: Any, device: torch.device) -> Any:
    """The program with tensors for its arrays and Python numbers for its scalars."""

    def one(value: Any) -> Any:
        return torch.tensor(value, device=device) if isinstance(value, np.ndarray) else np.asarray(value).item()

    return type(program)(*map(one, program))


def refuse_second_derivatives() -> None:
    """Raise where a backward pass is itself to be differentiated: it runs outside autograd, which would take its result for a constant."""
    cure = "A layer has first derivatives only: leave out create_graph=True, and penalties on gradients."
    require(not torch.is_grad_enabled(), "create_graph", "be False for blocks of 1M1T1R", True, cure)


class TensorLayer(torch.autograd.Function):
    """Layer as :class:`.layer._Layer`, on any device."""

    @staticmethod
    @exact
    def forward(ctx, x, w, bias, w_rec, constants, run):
        device = x.device
        real = real_type(x, w, w_rec)
        if w is None:
            counts = torch.round(x.to(real) * WEIGHT_ONE)
        else:
            kind = summed_in(_largest(x), w)
            counts = _product(x.to(kind), torch.round(w.to(kind) * WEIGHT_ONE))
        if bias is not None:
            counts = counts + torch.round(bias.to(real) * WEIGHT_ONE)[None, :, None]
        counts = counts.transpose(1, 2).to(torch.int64)
        batch, steps, size = counts.shape
        p = moved(widened(run.program), device)
        states = torch.from_numpy(run.states).to(device, torch.int64)
        s = State(states[:, 0], states[:, 1], states[:, 2])
        generator = torch.from_numpy(run.generator).to(device)
        rec = None if w_rec is None else torch.round(w_rec.to(summed_in(1.0, w_rec)) * WEIGHT_ONE)
        spikes = torch.zeros(batch, PAST + steps, size, dtype=real, device=device)
        if run.past is not None:
            spikes[:, :PAST] = torch.from_numpy(run.past).to(device, real)
        delays = torch.from_numpy(run.delay_rec).to(device)
        neurons = torch.arange(size, device=device)
        noisy, history, inputs = run.params.device.noisy, [], []
        for t in range(steps):
            a = counts[:, t]
            if rec is not None:
                a = a + (spikes[:, PAST + t - 1 - delays, neurons].to(rec.dtype) @ rec.T).to(torch.int64)
            inputs.append(a)
            history.append(torch.stack(s, 1))
            v = input_counts(a, run.params.v_max_count, FIXED_TENSOR)
            draws = noise.pairs(generator, run.params.substeps) if noisy else None
            s, fired, _ = dynamics.step(s, v, p, FIXED_TENSOR, run.params.substeps, draws)
            if draws:
                generator = draws[-1][1]
            spikes[:, PAST + t] = torch.stack(fired).any(0)
        if noisy:
            run.generator[...] = generator.cpu().numpy()
        if run.keeps_last:
            run.last[:] = [torch.stack(s, 1).to(torch.int32).cpu().numpy(), spikes[:, -PAST:].to(torch.uint8).cpu().numpy()]
        ctx.run, ctx.real = run.constants_only(), real
        ctx.save_for_backward(x, w, w_rec, spikes, *inputs, *history)  # all of it, see buffers.save
        out = spikes[:, PAST - run.shift : PAST + steps - run.shift].clone()
        if not run.records:
            return out
        after = torch.stack([*history[1:], torch.stack(s, 1)], 1) if steps else states[:, None][:, :0]
        unit = state_units(units_of(run.params, np.float64 if real == torch.float64 else np.float32))
        return out, after.to(real) * torch.from_numpy(unit).to(device)

    @staticmethod
    @exact
    def backward(ctx, grad, over_states=None):
        refuse_second_derivatives()
        x, w, w_rec, spikes, *passed = ctx.saved_tensors
        inputs, history = passed[: len(passed) // 2], passed[len(passed) // 2 :]
        run, real = ctx.run, ctx.real
        params, size, device = run.params, grad.shape[2], grad.device
        need_x, need_w, need_bias, need_rec, need_constants, _ = ctx.needs_input_grad
        dtype = np.float64 if real == torch.float64 else np.float32
        q = moved(gradient_program(params, size, run.surrogate, dtype), device)
        ops = _ops(is_linear(params))
        units = Units(*map(float, units_of(params, dtype)))
        seen = max(grad.shape[1] - run.shift, 0)
        late, grad = grad, torch.zeros_like(grad, dtype=real)
        grad[:, :seen] = late[:, run.shift :]
        delays, neurons = torch.from_numpy(run.delay_rec).to(device), torch.arange(size, device=device)
        over = torch.empty_like(grad)
        learned = torch.zeros(len(Constants._fields), size, dtype=torch.float64, device=device) if need_constants else None
        adjoint = State(*grad.new_zeros(3, grad.shape[0], size))
        for t in range(grad.shape[1] - 1, -1, -1):
            if over_states is not None:
                adjoint = State(*(a + b for a, b in zip(adjoint, over_states[:, t].to(real).unbind(1), strict=True)))
            row = history[t].to(real)
            s = State(row[:, 0] * units.share_per_count, row[:, 1] * units.share_per_count, row[:, 2] * units.volt_per_gate_count)
            given = inputs[t].to(real)
            v = (given * units.volt_per_count).clamp(0, units.v_in_max)
            kept = []
            for _ in range(params.substeps):
                s, local = recompute(s, v, q, ops)
                kept.append(local)
            longest, at = torch.stack([m.length for m in kept]).max(0)
            spike = torch.where(longest < 0, 0.0, grad[:, t])
            total = torch.zeros_like(spike)
            for k in range(params.substeps - 1, -1, -1):
                after = adjoint
                adjoint, over_v, within = reverse(after, torch.where(at == k, spike, 0.0), kept[k], q)
                total = total + over_v
                if learned is not None:
                    learned += torch.stack([part.sum(0, dtype=torch.float64) for part in over_constants(after, within, kept[k])])
            inside = (given >= 0) & (given <= units.largest_count)
            slope = torch.where(inside, 1.0, torch.full_like(given, run.surrogate.clip_grad))
            over[:, t] = total * slope * units.v_unit
            if w_rec is not None and t > 0:
                back = over[:, t] @ w_rec.to(real)
                source = t - 1 - delays
                reaches = source >= 0
                grad[:, source[reaches], neurons[reaches]] += back[:, reaches]
        over_rec = None
        if need_rec:
            at = PAST + torch.arange(grad.shape[1], device=device)[:, None] - 1 - delays[None, :]
            fed = spikes[:, at, neurons[None, :]]
            over_rec = torch.einsum("btn,btm->nm", over, fed).to(w_rec.dtype)
        over_x = over_w = None
        if need_w:
            over_w = torch.einsum("btn,bct->nc", over, x.to(real)).to(w.dtype)
        if need_x:
            over_x = over.transpose(1, 2) if w is None else torch.einsum("btn,nc->bct", over, w.to(real))
        return over_x, over_w, over.sum((0, 1)) if need_bias else None, over_rec, learned, None


def _largest(x: torch.Tensor) -> float:
    return float(x.detach().max()) if x.numel() else 0.0


def _product(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    return torch.einsum("nc,bct->bnt", w, x)


def tensor_readout(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """Weighted sum (B, N, T) of spikes (B, C, T): exact sums of multiples of 1/64, rounded once where single precision ends."""
    kind = summed_in(_largest(x), w)
    with exactly(x.device.type):
        return _product(x.to(kind), w.to(kind)).to(real_type(x, w))
