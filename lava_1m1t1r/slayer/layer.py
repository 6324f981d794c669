"""A layer of 1M1T1R neurons as one differentiable function: integers forward, real numbers backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

from .._support import aligned
from ..arithmetic import WEIGHT_ONE
from ..compiled import filled
from ..program import FixedProgram, StepParams
from . import training_kernels as kernels
from .buffers import borrowed, owned, save, saved
from .checks import check_counts, check_finite, check_shapes, check_sums, check_synaptic_input
from .compiled_reverse import BLOCK, ReverseBatch, ReverseLayer, filled_lanes, layer_kernel, reverse_scratch, samples_together
from .exact import real_type, wide
from .projection import (
    BatchEvents,
    EventLists,
    Events,
    batch_events,
    counts_by_input,
    over_input,
    projector,
    turning_block,
    weight_gradients,
    words_of,
)
from .reverse import Constants
from .surrogate import Surrogate, gradient_program, is_linear, state_units, units_of
from .tensor_layer import TensorLayer, refuse_second_derivatives, tensor_readout
from .threads import numbered, parts_of, reusing, share


class LayerCall(NamedTuple):
    """Arguments of one call of a layer besides its tensors."""

    params: StepParams
    program: FixedProgram
    surrogate: Surrogate
    generator: np.ndarray  # (B, N) int64 where devices are noisy, else (B, 0)
    delay_rec: np.ndarray  # (N,) int64
    past: np.ndarray | None  # (B, PAST, N) uint8: spikes before the start; None: there were none
    shift: int  # 1: the output is one step late
    states: np.ndarray  # (B, 3, N) int32 at the start
    records: bool  # whether the states after each step are a second output
    keeps_last: bool
    last: list  # receives, where keeps_last, (states (B, 3, N), spikes (B, PAST, N)) at the end
    made: dict  # what calls with the same params and program have made of them
    differentiable: bool = True  # whether a backward pass may follow, which needs the states before each step

    def constants_only(self) -> LayerCall:
        """The call without its data, for a backward pass, which needs none of it."""
        none: np.ndarray = np.zeros(0)
        return self._replace(generator=none, past=None, states=none, last=[])

    def once(self, make: Callable[..., Any], *key: Any) -> Any:
        """Return what ``make`` makes; it is called only the first time for each key."""
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]


def _by_step(x: torch.Tensor) -> np.ndarray:
    """Input (B, C, T) as an array (B, T, C)."""
    return x.detach().resolve_neg().transpose(1, 2).numpy()


def _counted(x: torch.Tensor, events: BatchEvents | None) -> torch.Tensor | None:
    """The input, where a gradient of the weights needs more of it than its events' places."""
    return None if events is None or events.listed is None else x


def _events(by_channel: np.ndarray, counts: np.ndarray, x: torch.Tensor | None) -> Events:
    """Events of an input, of which x is what :func:`_counted` returned."""
    return Events(by_channel, counts, None if x is None else _by_step(x))


class _Project(torch.autograd.Function):
    """Integer weighted sums of spikes, in counts: (B, C, T), (N, C) -> (B, T, N) real multiples of 1/64."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        events = batch_events(_by_step(x))
        counts = np.empty((x.shape[0], x.shape[2], w.shape[0]), np.int32)
        fill = projector(events, w, None)
        check_sums(*events.largest, w)
        share(lambda a, b: fill(counts[a:b], a, b), parts_of(x.shape[0], x.shape[2] * max(w.shape), 4))
        ctx.real = real_type(w, x)
        save(ctx, [w, _counted(x, events)], [events.by_channel, events.counts])
        return torch.from_numpy(counts).to(ctx.real).mul_(1.0 / WEIGHT_ONE)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor):
        refuse_second_derivatives()
        (w, x), (by_channel, counts) = saved(ctx)
        given = grad.to(ctx.real).contiguous().numpy()
        need_x, need_w = ctx.needs_input_grad
        over_w = None
        if need_w:
            parts = _reverse_parts(given)
            events = EventLists(_events(by_channel, counts, x), parts, given)
            share(events.write, numbered(parts))
            over_w = weight_gradients([events], given)[0].to(w.dtype)
        return over_input(given, w) if need_x else None, over_w


def readout(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """Weighted sum of spikes without neurons: (B, C, T) and quantised (N, C) -> (B, N, T), exact multiples of 1/64."""
    x, w = wide(x), wide(w)
    if plain_torch(x):
        check_finite(w.detach(), "weights")
        check_sums(*check_counts(x, "input"), w)
        return tensor_readout(x, w)
    return _Project.apply(x, w).transpose(1, 2)


_NEURONS = 128
"""Number of neurons that take a step together, of several samples where a layer has fewer: with a few neurons, most of the time is spent
waiting for the last substep."""


class _Layer(torch.autograd.Function):
    """Spikes (B, T, N) of a layer from its input: spikes x (B, C, T) through weights w (N, C), or currents z (B, N, T). Where the call
    records, also the states (B, T, 3, N) after each step."""

    @staticmethod
    def forward(ctx, x, w, bias, w_rec, constants, run: LayerCall):
        ctx.run, ctx.real = run.constants_only(), real_type(x, w, w_rec)
        (batch, size, steps), events = x.shape, None
        if w is None:
            given = np.ascontiguousarray(torch.round(x.detach().to(ctx.real) * WEIGHT_ONE).to(torch.int32).transpose(1, 2).numpy())
        else:
            size, events = len(w), batch_events(_by_step(x))
            fill = projector(events, w, bias)
        table = np.zeros((0, size), np.int16) if w_rec is None else counts_by_input(w_rec)
        if events is not None:
            check_sums(*events.largest, w, w_rec, bias)
        kept = steps + 1 if run.differentiable or run.records else 1  # or only the last states
        history = borrowed((batch, kept, 3, size), np.int32)
        counts = borrowed((batch, steps if run.differentiable else 0, size), np.int16)
        arrivals = np.zeros((batch, steps, 0 if w_rec is None else words_of(size)), np.int64)
        again = size if w_rec is not None and run.differentiable else 0
        by_neuron, arrived = np.empty((batch, again, words_of(steps)), np.int64), np.empty((batch, again), np.int32)
        fired = np.empty((batch, min(steps, kernels.PAST) if run.keeps_last else 0, size), np.uint8)
        out = torch.empty(batch, steps, size, dtype=ctx.real, device="cpu")
        late = out.numpy()
        group = max(1, min(_NEURONS // size, batch))
        width = filled(group * size)
        program = run.once(lambda: run.program.filled(width, group), "forward", width, group)
        params, noisy = run.params, run.generator.shape[1] > 0
        alike = not noisy and run.once(lambda: run.program.alike, "alike")
        layer = kernels.ForwardLayer(table, run.delay_rec, program, alike, noisy, params.substeps, params.v_max_count, run.shift, group)
        arrays = kernels.ForwardBatch(run.generator, arrivals, history, counts, fired, late)

        history[:, 0] = run.states
        late[:, : run.shift] = 0 if run.past is None else run.past[:, kernels.PAST - run.shift :]
        parts = parts_of(batch, steps * size, max(2, group))
        most = max((last - first for first, last in parts), default=0)

        def scratch():
            sums = None if w is None else aligned.empty((most, steps, size), np.int32)
            return kernels.forward_scratch(width, size), sums, turning_block()

        def part(memory, first, last):
            inner, sums, block = memory
            if run.past is not None and w_rec is not None:
                kernels.carry_spikes(run.past, run.delay_rec, arrivals, first, last)
            if w is None:
                sums = given[first:last]
            else:
                fill(sums, first, last)
            kernels.recurrent_forward(layer, arrays, sums, inner, first, last)
            if again:
                kernels.turn_bits(arrivals, by_neuron, block, first, last)
                kernels.count_bits(by_neuron, arrived, first, last)

        share(reusing(scratch, part), parts)
        if run.keeps_last:
            before = np.zeros((batch, kernels.PAST, size), np.uint8) if run.past is None else run.past
            run.last[:] = [history[:, -1].copy(), np.concatenate([before[:, steps:], fired], 1)]
        marked = [None, None] if events is None else [events.by_channel, events.counts]
        save(ctx, [w, w_rec, _counted(x, events)], [history, counts, by_neuron, arrived, *marked])
        if not run.records:
            return out
        ctx.set_materialize_grads(False)
        states, filled_in = owned((batch, steps, 3, size), late.dtype)
        np.multiply(history[:, 1:], state_units(units_of(params, late.dtype)), out=filled_in, dtype=late.dtype)
        return out, states

    @staticmethod
    def backward(ctx, grad, over_states=None):
        refuse_second_derivatives()
        (w, w_rec, x), (history, counts, by_neuron, arrived, by_channel, marked) = saved(ctx)
        run = ctx.run
        if grad is None:  # nothing depends on the spikes
            grad = torch.zeros(counts.shape, dtype=ctx.real, device="cpu")
        need_x, need_w, need_bias, need_rec, need_constants, _ = ctx.needs_input_grad
        late = grad.resolve_neg().numpy()
        over_w = over_rec = over_x = None
        # over holds dL/dspike, then dL/d(input): a copy, since what autograd hands out is not ours to change
        if need_x and w is None:
            tensor, over = owned(late.shape, late.dtype)
            over_x = tensor.transpose(1, 2)
        else:
            over = borrowed(late.shape, late.dtype)
        events = [_events(by_channel, marked, x)] * need_w + [Events(by_neuron, arrived)] * need_rec
        lists = [EventLists(one, _reverse_parts(late), late) for one in events]
        over_bias, over_constants = _backwards(run, history, counts, late, over_states, w_rec, need_bias, need_constants, over, lists)
        found = weight_gradients(lists, over)
        if need_w:
            over_w = found[0].to(w.dtype)
        if need_rec:
            over_rec = found[-1].to(w_rec.dtype)
        if need_x and w is not None:
            over_x = over_input(over, w)
        return over_x, over_w, over_bias, over_rec, over_constants, None


def _reverse_parts(grad: np.ndarray) -> list[tuple[int, int]]:
    """Parts of a batch that the backward pass takes through time, of whose gradients it is (B, T, N)."""
    batch, steps, size = grad.shape
    return parts_of(batch, steps * size, BLOCK)


def _backwards(
    run: LayerCall,
    history: np.ndarray,
    counts: np.ndarray,
    late: np.ndarray,
    over_states: torch.Tensor | None,
    w_rec: torch.Tensor | None,
    biased: bool,
    learning: bool,
    over: np.ndarray,
    lists: list[EventLists],
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """``over`` receives dL/d(synaptic input) from dL/doutput, both (B, T, N), and dL/dstates, if there is one; the events of each part are
    listed. Returns, where biased, its sum (N,); where devices learn, dL/d(their constants) (5, N)."""
    dtype, parts = late.dtype.type, _reverse_parts(late)
    _, steps, size = late.shape
    kept = max(steps - run.shift, 0)
    params = run.params
    group = samples_together(size)
    lanes = filled_lanes(group * size)
    p = run.once(lambda: gradient_program(params, size, run.surrogate, dtype).filled(lanes, group), dtype, run.surrogate, lanes, group)
    units = units_of(params, dtype)
    # of one step, nothing comes from before the call
    table = kernels.panels(w_rec.detach().numpy().astype(dtype, copy=False)) if w_rec is not None and steps > 1 else np.zeros(0, dtype)
    kernel = layer_kernel(dtype is np.float64, is_linear(params), learning)
    layer = ReverseLayer(table, run.delay_rec, p, units, dtype(run.surrogate.clip_grad), params.substeps, group)
    of_states = np.zeros((0, 0, 0, 0), dtype) if over_states is None else np.ascontiguousarray(over_states.resolve_neg().numpy(), dtype)
    arrays = ReverseBatch(history, counts, over, of_states)
    constants = np.zeros((len(parts), len(Constants._fields), size if learning else 0), dtype)
    sums = np.zeros((len(parts), size if biased else 0), dtype)

    def part(scratch, number, first, last):
        over[first:last, :kept] = late[first:last, run.shift :]
        over[first:last, kept:] = 0
        kernel(layer, arrays, scratch, constants[number], sums[number], first, last)
        for one in lists:
            one.write(number, first, last)

    share(reusing(lambda: reverse_scratch(params.substeps, size, dtype, learning), part), numbered(parts))
    # copied: see owned
    over_bias = torch.tensor(sums.sum(0), device="cpu") if biased else None
    return over_bias, torch.tensor(constants.sum(0, dtype=np.float64), device="cpu") if learning else None


def layer(
    x: torch.Tensor,
    w: torch.Tensor | None,
    bias: torch.Tensor | None,
    w_rec: torch.Tensor | None,
    constants: torch.Tensor | None,
    run: LayerCall,
) -> Any:
    """Spikes of a layer.

    Parameters
    ----------
    x : (B, C, T)
        Spikes, or whole numbers of them; with ``w`` None: the synaptic input (B, N, T) in units of weight 1.
    w, w_rec : (N, C), (N, N), optional
        Quantised weights, multiples of 1/64.
    bias : (N,), optional
        Quantised constant input in units of weight 1.
    constants : (5, N) float64, optional
        What the neurons' constants are made of where devices learn, see :class:`..reverse.Constants`: it receives their gradient; the
        values come with ``run``.
    run : LayerCall

    Returns
    -------
    (B, T, N)
        0 or 1, float64 where one of the tensors is, else float32. Where ``run.records``: and states (B, T, 3, N) at the end of each step:
        filament and residue [share of the gap], gate [V].
    """
    x, w, bias, w_rec = map(wide, (x, w, bias, w_rec))
    check_shapes(x, w, bias, w_rec)
    if w is None:
        if bias is not None:
            check_finite(bias.detach(), "bias")
            x, bias = x + bias[:, None], None
        check_synaptic_input(x)
    if not plain_torch(x):
        given = (x, w, bias, w_rec, constants)
        differentiable = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in given)
        return _Layer.apply(*given, run._replace(differentiable=differentiable))
    for values, name in ((w, "weights"), (bias, "bias"), (w_rec, "recurrent weights")):
        check_finite(None if values is None else values.detach(), name)
    if w is not None:
        check_sums(*check_counts(x, "input"), w, w_rec, bias)
    return TensorLayer.apply(x, w, bias, w_rec, constants, run)


FORCE_TORCH = False
"""Whether to use plain torch operations on the CPU too: slower, for comparison."""


def plain_torch(x: torch.Tensor) -> bool:
    """Whether a layer of this input runs in plain torch operations: the compiled loops are for the CPU."""
    return FORCE_TORCH or x.device.type != "cpu"
