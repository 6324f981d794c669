"""A layer of 1M1T1R neurons as one differentiable function: integers forward, real numbers backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

from ..arithmetic import WEIGHT_ONE
from ..compiled import filled
from ..errors import require
from ..program import FixedProgram, StepParams
from ..sums import LARGEST_SUM, MAX_COUNT
from . import training_kernels as kernels
from .buffers import Buffers
from .checks import COUNTS, COUNTS_CURE, check_counts, check_finite, check_sums, check_synaptic_input
from .compiled_reverse import BLOCK, filled_lanes, layer_kernel, make_scratch, samples_together
from .exact import wide
from .reverse import Constants
from .surrogate import Surrogate, gradient_program, is_linear, units_of
from .tensor_layer import TensorLayer, refuse_second_derivatives, tensor_readout
from .threads import ranges, share, thread_count
from .tiles import COLUMNS, ROWS
from .weight_kernels import CELLS, PART, turn_counts


class Events(NamedTuple):
    """Non-zero cells of (B, T, C) by (sample, step), in compressed rows."""

    start: np.ndarray  # (B * T + 1,) int64
    channel: np.ndarray  # int32
    value: np.ndarray | None  # int32; None: all are 1

    @property
    def largest(self) -> tuple[float, float]:
        """The largest value, and the most in a step where that is more than 1."""
        if self.value is None:
            return 1.0, 1.0
        until = np.concatenate([[0], np.cumsum(self.value, dtype=np.int64)])[self.start]
        return float(self.value.max()), float(np.diff(until).max())


class LayerCall(NamedTuple):
    """Arguments of one call of a layer besides its tensors."""

    params: StepParams
    program: FixedProgram
    surrogate: Surrogate
    noisy: bool
    generator: np.ndarray  # (B, N) int64 where noisy, else (B, 0)
    delay_rec: np.ndarray  # (N,) int64
    past: np.ndarray  # (B, PAST, N) uint8, or (0, 0, 0): spikes before the start
    shift: int  # 1: the output is one step late
    states: np.ndarray  # (B, 3, N) int32 at the start
    keeps_last: bool
    last: list  # receives, where keeps_last, (states (B, 3, N), spikes (B, PAST, N)) at the end
    made: dict  # what calls with the same params and program have made of them

    def once(self, make: Callable[..., Any], *key: Any) -> Any:
        """Return what ``make`` makes; it is called only the first time for each key."""
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]


def events_of(x: np.ndarray, name: str = "input") -> Events:
    """List the non-zero cells of x (B, T, C), which must hold whole numbers: spikes, or counts of them.

    Raises
    ------
    InputError
        If a value is not such a number.
    """
    batch, steps, _ = x.shape
    if x.dtype == bool:
        x = x.view(np.uint8)
    by_channel = abs(x.strides[1]) < abs(x.strides[2])
    rows = x.transpose(0, 2, 1) if by_channel else x  # along memory
    rows = rows if rows.strides[2] == rows.itemsize else np.ascontiguousarray(rows)
    counts = np.empty((batch, steps), np.int64)
    bits = np.empty((*rows.shape[:2], -(-rows.shape[2] // 64)), np.int64)
    parts = ranges(batch, 8)
    others = share(lambda a, b: kernels.mark_events(rows, by_channel, bits, counts, a, b), parts)
    start = np.zeros(batch * steps + 1, np.int64)
    np.cumsum(counts.reshape(-1), out=start[1:])
    channel = np.empty(start[-1], np.int32)
    share(lambda a, b: kernels.list_events(bits, by_channel, start, channel, np.empty(steps, np.int64), a, b), parts)
    if not any(others):
        return Events(start, channel, None)
    value = np.empty(len(channel), np.int32)
    if sum(share(lambda a, b: kernels.read_events(x, start, channel, value, a, b), parts)):
        bad = x[(x != np.rint(x)) | ~((x >= 0) & (x <= MAX_COUNT))]
        require(False, name, COUNTS, float(bad[0]), COUNTS_CURE)
    return Events(start, channel, value)


def counts_by_input(w: torch.Tensor) -> np.ndarray:
    """Quantised weights (out, in) as contiguous counts (in, out): int16 where they fit, which halves the memory to read, else int32."""
    values = np.ascontiguousarray(w.detach().numpy())
    unit, parts = values.dtype.type(WEIGHT_ONE), ranges(values.shape[1], PART)

    def turned(kind: Any) -> tuple[np.ndarray, float]:
        counts = np.empty(values.shape[::-1], kind)
        found = share(lambda a, b: turn_counts(values, unit, counts, np.empty(CELLS, values.dtype), a, b), parts)
        return counts, np.max(found, initial=0.0)

    counts, largest = turned(np.int16)
    check_finite(np.asarray(largest), "weights")  # of a nan, the maximum is nan, too
    if largest < 1 << 15:
        return counts
    most = LARGEST_SUM // max(len(counts), 1)
    rule = f"be at most {most / WEIGHT_ONE:g}, so that no sum of {len(counts)} spikes leaves 32 bits"
    require(largest <= most, "weights", rule, float(largest) / WEIGHT_ONE, "Quantise them: 8 bits are what files hold.")
    return turned(np.int32)[0]


class _Project(torch.autograd.Function):
    """Integer weighted sums of spikes, in counts: (B, C, T), (N, C) -> (B, T, N) real multiples of 1/64."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        events = events_of(x.detach().transpose(1, 2).numpy())
        counts = np.empty((x.shape[0], x.shape[2], w.shape[0]), np.int32)
        fill = projector(events, w, None, counts)
        check_sums(*events.largest, w)
        share(fill, ranges(len(counts), 4))
        ctx.events, ctx.real = events, _real(w, x)
        ctx.save_for_backward(w)
        ctx.channels = x.shape[1]
        return torch.from_numpy(counts).to(ctx.real).mul_(1.0 / WEIGHT_ONE)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor):
        refuse_second_derivatives()
        (w,) = ctx.saved_tensors
        grad = grad.to(ctx.real).contiguous()
        need_x, need_w = ctx.needs_input_grad
        return (
            _over_input(grad.numpy(), w) if need_x else None,
            weight_gradient(ctx.events, grad.numpy(), ctx.channels).to(w.dtype) if need_w else None,
        )


def readout(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """Weighted sum of spikes without neurons: (B, C, T) and quantised (N, C) -> (B, N, T), exact multiples of 1/64."""
    x, w = _single(x), _single(w)
    if plain_torch(x):
        check_finite(w.detach(), "weights")
        check_sums(*check_counts(x, "input"), w)
        return tensor_readout(x, w)
    return _Project.apply(x, w).transpose(1, 2)


def projector(events: Events, w: torch.Tensor, bias: torch.Tensor | None, counts: np.ndarray) -> Callable[[int, int], None]:
    """Return a function that fills samples ``first .. last - 1`` of ``counts`` with the synaptic input.

    Parameters
    ----------
    events : Events
        Input of the layer.
    w : (N, C)
        Quantised weights, in units of weight 1.
    bias : (N,), optional
        Constant input, in units of weight 1.
    counts : (B, T, N) int32
        Receives the synaptic input [1/64 unit].
    """
    constant = np.zeros(w.shape[0]) if bias is None else bias.detach().numpy()
    check_finite(constant, "bias")
    start = np.rint(constant * WEIGHT_ONE).astype(np.int32)
    table = counts_by_input(w)
    return lambda first, last: kernels.project(*events, table, start, counts, first, last)


_SAMPLES = 4
"""Number of samples whose gradients are added to those of the weights together: what they share stays in the second-level cache."""


def weight_gradient(events: Events, grad: np.ndarray, channels: int) -> torch.Tensor:
    """Gradient dL/dw (N, C) of the weights.

    Parameters
    ----------
    events : Events
        Input of the layer.
    grad : (B, T, N)
        dL/d(synaptic input).
    channels : int
        Number of inputs, C.
    """
    batch, steps, _ = grad.shape
    parts = ranges(batch, _SAMPLES)
    counts = np.zeros((len(parts), channels), np.int64)
    start = events.start
    share(lambda a, b: kernels.count_events(events.channel, counts[a // _SAMPLES], start[a * steps], start[b * steps]), parts)
    times = np.empty(len(events.channel), grad.dtype)
    return _gathered(counts, grad, times, lambda cursor, rows, a, b: kernels.sort_events(*events, cursor, rows, times, steps, a, b))


def recurrent_gradient(window: np.ndarray, delay_rec: np.ndarray, grad: np.ndarray) -> torch.Tensor:
    """Gradient dL/dw (N, N) of the recurrent weights.

    Parameters
    ----------
    window : (B, PAST + T, N) uint8
        Spikes of the layer, those before the start first.
    delay_rec : (N,) int
        Further delay of each neuron's recurrent spikes [steps].
    grad : (B, T, N)
        dL/d(synaptic input).
    """
    size = grad.shape[2]
    counts = np.zeros((len(ranges(grad.shape[0], _SAMPLES)), size), np.int64)
    share(lambda a, b: kernels.count_spikes(window, delay_rec, counts[a // _SAMPLES], a, b), ranges(grad.shape[0], _SAMPLES))

    def sort(cursor, rows, a, b):
        kernels.sort_spikes(window, delay_rec, cursor, rows, np.empty(size + 1, np.int64), a, b)

    return _gathered(counts, grad, np.ones(int(counts.sum()), grad.dtype), sort)


def _gathered(counts: np.ndarray, grad: np.ndarray, times: np.ndarray, sort: Callable) -> torch.Tensor:
    """Gradient dL/dw (N, C) from the number of spikes of each channel in each part of the batch, and a function that lists where they
    arrive."""
    parts = ranges(grad.shape[0], _SAMPLES)
    offset = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts.reshape(-1), out=offset[1:])
    channels = counts.shape[1]
    first_of = np.arange(len(parts))[:, None] * channels
    offset = offset[first_of + np.arange(channels + 1)]  # (parts, channels + 1)
    rows = np.empty(len(times), np.int32)
    share(lambda a, b: sort(offset[a // _SAMPLES, :-1].copy(), rows, a, b), parts)
    flat, out = grad.reshape(-1), np.zeros((channels, grad.shape[2]), grad.dtype)
    # all channels of a part while its columns are in the cache; fewer at a time where that would leave threads without work
    blocks = range(0, grad.shape[2], COLUMNS)
    chunk = -(-channels * len(blocks) // (2 * thread_count())) if len(blocks) < 2 * thread_count() else channels
    pieces = [(a, b, column) for column in blocks for a, b in ranges(channels, max(chunk, 1))]
    share(lambda a, b, column: kernels.gather_rows(offset, rows, times, flat, out, a, b, column), pieces)
    return torch.from_numpy(out).t()


def _over_input(grad: np.ndarray, w: torch.Tensor) -> torch.Tensor:
    """dL/dx (B, C, T) from dL/dinput (B, T, N)."""
    rows, columns = grad.reshape(-1, grad.shape[2]), w.shape[1]
    table = kernels.panels(w.detach().numpy().astype(rows.dtype, copy=False))
    out = np.empty((rows.shape[0], columns), rows.dtype)
    filled = kernels.filled_columns(columns, out.itemsize)
    share(lambda a, b: kernels.over_input(rows, table, out, np.empty((ROWS, filled), out.dtype), a, b), ranges(len(rows), 256))
    return torch.from_numpy(out).reshape(*grad.shape[:2], columns).transpose(1, 2)


def _single(x: torch.Tensor | None) -> Any:
    """Numbers of 16 bits as 32 bits: compiled loops know neither kind of them, numpy one."""
    return None if x is None else wide(x)


def _real(*tensors: torch.Tensor | None) -> torch.dtype:
    return torch.float64 if any(t is not None and t.dtype == torch.float64 for t in tensors) else torch.float32


_NEURONS = 128
"""Number of neurons that take a step together, of several samples where a layer has fewer: with a few neurons, most of the time is spent
waiting for the last substep."""


class _Layer(torch.autograd.Function):
    """Spikes (B, T, N) of a layer from its input: spikes x (B, C, T) through weights w (N, C), or currents z (B, N, T)."""

    @staticmethod
    def forward(ctx, x, w, bias, w_rec, constants, run: LayerCall):
        ctx.run, ctx.real = run, _real(x, w, w_rec)
        batch, steps = x.shape[0], x.shape[2]
        ctx.buffers = buffers = Buffers()
        events = None if w is None else events_of(x.detach().transpose(1, 2).numpy())
        if events is None:
            counts = np.ascontiguousarray(torch.round(x.detach() * WEIGHT_ONE).to(torch.int32).transpose(1, 2).numpy())
        else:
            counts = buffers.empty((batch, steps, w.shape[0]), np.int32)
            fill = projector(events, w, bias, counts)
        ctx.events = events
        size = counts.shape[2]
        table = np.zeros((0, size), np.int16) if w_rec is None else counts_by_input(w_rec)
        if events is not None:
            check_sums(*events.largest, w, w_rec, bias)
        history = buffers.empty((batch, steps + 1, 3, size), np.int32)
        window = buffers.empty((batch, kernels.PAST + steps, size), np.uint8)
        out = torch.empty(batch, steps, size, dtype=ctx.real)
        late = out.numpy()
        alike = not run.noisy and run.program.alike
        group = max(1, min(_NEURONS // size, batch))
        width = filled(group * size)
        program = run.once(lambda: run.program.filled(width, group), "forward", width, group)

        def part(first, last):
            history[first:last, 0] = run.states[first:last]
            window[first:last, : kernels.PAST] = run.past[first:last] if run.past.size else 0
            if w is not None:
                fill(first, last)
            state, v_in, spike = np.empty((3, width), np.int32), np.zeros(width, np.int32), np.empty(width, np.int32)
            kernels.recurrent_forward(
                table, run.delay_rec, program, alike, run.params.substeps, run.params.v_max_count, run.noisy, run.generator, window,
                run.shift, history, counts, late, first, last, group, state, v_in, spike, np.zeros(width, np.int64),
                np.empty(size + 1, np.int32),
            )  # fmt: skip

        share(part, ranges(batch, max(2, group)))
        if run.keeps_last:
            run.last[:] = [history[:, -1].copy(), window[:, -kernels.PAST :].copy()]
        ctx.history, ctx.counts, ctx.window, ctx.channels = history, counts, window, x.shape[1]
        ctx.save_for_backward(w, w_rec)
        return out

    @staticmethod
    def backward(ctx, grad):
        refuse_second_derivatives()
        w, w_rec = ctx.saved_tensors
        run = ctx.run
        need_x, need_w, need_bias, need_rec, need_constants, _ = ctx.needs_input_grad
        buffers = Buffers()
        over, over_bias, over_constants = _backwards(
            ctx, grad.numpy(), w_rec, need_bias, need_constants, None if need_x and w is None else buffers
        )
        over_w = over_rec = over_x = None
        if need_w:
            over_w = weight_gradient(ctx.events, over, ctx.channels).to(w.dtype)
        if need_rec:
            over_rec = recurrent_gradient(ctx.window, run.delay_rec, over).to(w_rec.dtype)
        if need_x:
            over_x = torch.from_numpy(over).transpose(1, 2) if w is None else _over_input(over, w)
        return over_x, over_w, over_bias, over_rec, over_constants, None


def _backwards(
    ctx: Any, late: np.ndarray, w_rec: torch.Tensor | None, biased: bool, learning: bool, buffers: Buffers | None
) -> tuple[np.ndarray, torch.Tensor | None, torch.Tensor | None]:
    """dL/d(synaptic input) from dL/doutput, both (B, T, N); where biased, its sum (N,); where devices learn, dL/d(their constants) (5, N).

    The first lies in ``buffers``, or in memory of its own.
    """
    run, dtype = ctx.run, np.float64 if ctx.real == torch.float64 else np.float32
    batch, steps, size = late.shape
    # holds dL/dspike, then dL/d(input): a copy, since what autograd hands out is not ours to change
    over = np.empty(late.shape, dtype) if buffers is None else buffers.empty(late.shape, dtype)
    kept = max(steps - run.shift, 0)
    params = run.params
    group = samples_together(size)
    lanes = filled_lanes(group * size)
    p = run.once(lambda: gradient_program(params, size, run.surrogate, dtype).filled(lanes, group), dtype, run.surrogate, lanes, group)
    units = units_of(params, dtype)
    recurs = w_rec is not None and steps > 1  # nothing comes from before the call
    table = kernels.panels(w_rec.detach().numpy().astype(dtype, copy=False)) if recurs else np.zeros(0, dtype)
    kernel = layer_kernel(dtype is np.float64, is_linear(params), learning)
    parts = ranges(batch, BLOCK)
    constants = np.zeros((len(parts), len(Constants._fields), size if learning else 0), dtype)
    sums = np.zeros((len(parts), size if biased else 0), dtype)

    def part(first, last):
        over[first:last, :kept] = late[first:last, run.shift :]
        over[first:last, kept:] = 0
        kernel(
            ctx.history, ctx.counts, over, run.delay_rec, table, p, units, dtype(run.surrogate.clip_grad), params.substeps,
            first, last, group, *make_scratch(params.substeps, size, dtype, learning), constants[first // BLOCK],
        )  # fmt: skip
        if biased:
            sums[first // BLOCK] = over[first:last].sum((0, 1))  # here, while some of it is in the cache

    share(part, parts)
    over_bias = torch.from_numpy(sums.sum(0)) if biased else None
    return over, over_bias, torch.from_numpy(constants.sum(0, dtype=np.float64)) if learning else None


def layer(
    x: torch.Tensor,
    w: torch.Tensor | None,
    bias: torch.Tensor | None,
    w_rec: torch.Tensor | None,
    constants: torch.Tensor | None,
    run: LayerCall,
) -> torch.Tensor:
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
        0 or 1, of the weights' type (float32 or float64).
    """
    x, w, bias, w_rec = map(_single, (x, w, bias, w_rec))
    if w is None:
        check_synaptic_input(x)
    if not plain_torch(x):
        return _Layer.apply(x, w, bias, w_rec, constants, run)
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
