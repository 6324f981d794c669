"""Time and memory of one training step of a recurrent network, beside other libraries: forward, loss, backward.

``python -m lava_1m1t1r.benchmarks.training_step --threads 2`` prints one table; each row runs in a process of its own, so that
libraries do not share threads or memory. Peers that are not installed are skipped with a word.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import missing
from .table import write_json


class Shape(NamedTuple):
    """Of the network and its batch."""

    batch: int = 64
    steps: int = 100
    inputs: int = 700
    hidden: int = 256
    outputs: int = 20
    rate: float = 0.05
    """Input spikes a step and channel."""


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise missing("torch", "lava", "The training benchmark") from error
    return torch


def _device(substeps: int) -> Any:
    """The device of Fig. 2, as slow as makes a substep the same share of its time; its gate drains as fast as ever."""
    from ..presets import ZHAO2025_FIG2

    slower = ZHAO2025_FIG2.scaled(4 / substeps)
    return replace(slower, r_control=slower.r_control * substeps / 4)


def _ours(shape: Shape, substeps: int) -> Callable:
    """Our recurrent block and a spiking output block."""
    from ..slayer import block

    neuron = {"params": _device(substeps), "dt": 1e-3, "substeps": substeps}
    hidden = block.m1t1r.Recurrent(neuron, shape.inputs, shape.hidden)
    output = block.m1t1r.Dense(neuron, shape.hidden, shape.outputs)
    return _step(lambda x: _with_rate(hidden, output, x), [*hidden.parameters(), *output.parameters()], (hidden.bias, 0.1))


def _slayer(shape: Shape) -> Callable:
    import lava.lib.dl.slayer as slayer

    neuron = {"threshold": 1.25, "current_decay": 0.25, "voltage_decay": 0.03, "requires_grad": False}
    hidden = slayer.block.cuba.Recurrent(dict(neuron), shape.inputs, shape.hidden)
    output = slayer.block.cuba.Dense(neuron, shape.hidden, shape.outputs)
    return _step(lambda x: _with_rate(hidden, output, x), [*hidden.parameters(), *output.parameters()], (hidden.input_synapse.weight, 0.02))


def _snntorch(shape: Shape) -> Callable:
    import snntorch

    torch = _torch()
    first, second = torch.nn.Linear(shape.inputs, shape.hidden, bias=False), torch.nn.Linear(shape.hidden, shape.outputs, bias=False)
    hidden = snntorch.RSynaptic(0.75, 0.97, linear_features=shape.hidden, init_hidden=False)
    output = snntorch.Synaptic(0.75, 0.97, init_hidden=False)

    def net(x):
        spike, current, voltage = hidden.init_rsynaptic()
        current_out, voltage_out = output.init_synaptic()
        spikes, outputs = [], []
        for t in range(shape.steps):
            spike, current, voltage = hidden(first(x[:, :, t]), spike, current, voltage)
            out, current_out, voltage_out = output(second(spike), current_out, voltage_out)
            spikes.append(spike)
            outputs.append(out)
        return torch.stack(outputs, -1), float(torch.stack(spikes).detach().mean())

    modules = (first, second, hidden, output)
    return _step(net, [p for m in modules for p in m.parameters()], (first.weight, 0.01))


def _norse(shape: Shape) -> Callable:
    import norse.torch as norse

    torch = _torch()
    hidden, output = norse.LIFRecurrent(shape.inputs, shape.hidden), norse.LIFCell()
    second = torch.nn.Linear(shape.hidden, shape.outputs, bias=False)

    def net(x):
        spikes, _ = hidden(x.permute(2, 0, 1))
        state, outputs = None, []
        for t in range(shape.steps):
            out, state = output(second(spikes[t]), state)
            outputs.append(out)
        return torch.stack(outputs, -1), float(spikes.detach().mean())

    return _step(net, [*hidden.parameters(), *second.parameters()], (hidden.input_weights, 0.02))


def _plain(shape: Shape, substeps: int) -> Callable:
    """The same neuron (two states of the filament, one of the gate, same integration) as a plain floating-point PyTorch loop."""
    from ..program import StepParams
    from ..slayer.block.m1t1r import SPREAD_VOLTAGE, START_VOLTAGE

    torch = _torch()
    params = StepParams(_device(substeps), substeps=substeps)
    f = {name: torch.tensor(np.asarray(value)[:1], dtype=torch.float32) for name, value in params.floating(1)._asdict().items()}
    drop = torch.tensor(params.drop, dtype=torch.float32)
    gain = f["growth"] * f["v_ref"] / torch.sinh(f["v_ref"] / f["v0"])
    most = torch.expm1(1 / f["lam"])

    class Spike(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return (x > 0).float()

        @staticmethod
        def backward(ctx, grad):
            return grad / (1 + ctx.saved_tensors[0].abs() / 0.3) ** 2

    def step(a, state):
        v, fired = (a * params.v_unit).clamp(0, params.v_in_max), None
        for _ in range(substeps):
            filament, residue, gate = state
            drive = gain * torch.sinh(torch.relu(v - gate) / f["v0"])
            kept, residue_kept = f["filament_kept"] * filament, f["residue_kept"] * residue
            early = (drive / (f["alpha"] + 1 - filament - residue)).clamp(max=2)
            predicted = (kept + early + residue_kept + f["transfer"] * filament).clamp(max=1)
            grown = kept + 0.5 * (early + (drive / (f["alpha"] + 1 - predicted)).clamp(max=2))
            before = filament + residue
            residue = residue_kept + f["transfer"] * 0.5 * (filament + grown.clamp(max=1))
            length, filament = grown + residue, torch.minimum(grown, 1 - residue)
            drained = f["gate_kept"] * gate
            knot = (residue.detach() * 64).long().clamp(max=63)
            release = drop[knot] + (drop[knot + 1] - drop[knot]) * (residue * 64 - knot)
            shut = length >= 1
            way = torch.where(shut & (v > drained), torch.relu(v - release - drained), v - drained)
            x = torch.where(shut, 1.0, 0.5 * (before + filament + residue))
            r_d = f["r_on"] * x + f["r_off"] * torch.expm1((1 - x) / f["lam"]) / most
            charged = drained - torch.expm1(-f["substep_per_c"] / r_d) * way
            spike = Spike.apply(length - 1) * (gate <= f["v_th"])
            fired = spike if fired is None else torch.maximum(fired, spike)
            state = (filament, residue, f["gate_kept"] * charged)
        return fired, state

    first = torch.nn.Parameter(torch.randn(shape.hidden, shape.inputs) * SPREAD_VOLTAGE / params.v_unit / (0.05 * shape.inputs) ** 0.5)
    again = torch.nn.Parameter(torch.randn(shape.hidden, shape.hidden) * 0.1)
    second = torch.nn.Parameter(torch.randn(shape.outputs, shape.hidden) * 0.1)
    biases = [torch.nn.Parameter(torch.full((n,), START_VOLTAGE / params.v_unit)) for n in (shape.hidden, shape.outputs)]

    def net(x):
        zero = [torch.zeros(shape.batch, n) for n in (shape.hidden, shape.outputs)]
        state, state_out, spike = (zero[0],) * 3, (zero[1],) * 3, zero[0]
        spikes, outputs = [], []
        for t in range(shape.steps):
            spike, state = step(x[:, :, t] @ first.T + spike @ again.T + biases[0], state)
            out, state_out = step(spike @ second.T + biases[1], state_out)
            spikes.append(spike)
            outputs.append(out)
        return torch.stack(outputs, -1), float(torch.stack(spikes).detach().mean())

    return _step(net, [first, again, second, *biases], (biases[0], 0.1))


def _dense_products(shape: Shape) -> Callable:
    """Only the dense matrix products of one step."""
    torch = _torch()
    w, r, o = (torch.randn(a, b) for a, b in ((shape.hidden, shape.inputs), (shape.hidden, shape.hidden), (shape.outputs, shape.hidden)))
    g, s = torch.randn(shape.batch * shape.steps, shape.hidden), torch.randn(shape.batch, shape.hidden)
    g_out = torch.randn(shape.batch * shape.steps, shape.outputs)

    def run(x):
        flat = x.transpose(1, 2).reshape(-1, shape.inputs)
        (flat @ w.T, g.T @ flat, g.T @ g, g @ o.T, g_out.T @ g, g_out @ o)
        for _ in range(shape.steps):
            (s @ r.T, s @ r)
        return float("nan")

    return lambda x, label: run(x)


def _with_rate(hidden: Callable, output: Callable, x: Any) -> tuple:
    spikes = hidden(x)
    return output(spikes), float(spikes.detach().mean())


def _step(net: Callable, parameters: list, knob: tuple) -> Callable:
    torch = _torch()

    def run(x, label):
        y, rate = net(x)
        torch.nn.functional.cross_entropy(y.sum(-1) * 0.1, label).backward()
        for p in parameters:
            p.grad = None
        return rate

    run.knob = knob
    return run


def _tuned(step: Callable, x: Any, label: Any, target: float) -> float:
    """Shift the hidden layer's input until about ``target`` of its neurons fire in a step; the rate reached."""
    torch = _torch()
    parameter, unit = step.knob
    before = parameter.detach().clone()

    def rate_at(place: float) -> float:
        with torch.no_grad():
            parameter.copy_(before + place * unit)
        return step(x, label)

    low, high = -8.0, -6.0  # the rate rises with the input, until neurons latch: search from below
    while high < 16.0 and rate_at(high) < target:
        low, high = high, high + 2.0
    rate = float("nan")
    for _ in range(8):
        middle = 0.5 * (low + high)
        rate = rate_at(middle)
        low, high = (middle, high) if rate < target else (low, middle)
        if abs(rate / target - 1) < 0.1:
            break
    return rate


ROWS: dict[str, Callable[[Shape], Callable]] = {
    "1M1T1R, 4 substeps": lambda shape: _ours(shape, 4),
    "1M1T1R, 1 substep": lambda shape: _ours(shape, 1),
    "dense matrix products alone": _dense_products,
    "lava-dl cuba.Recurrent + Dense": _slayer,
    "snnTorch RSynaptic + Synaptic": _snntorch,
    "Norse LIFRecurrent + LIFCell": _norse,
    "PyTorch loop of 1M1T1R, 4 substeps": lambda shape: _plain(shape, 4),
    "PyTorch loop of 1M1T1R, 1 substep": lambda shape: _plain(shape, 1),
}
"""Name in the table to the builder of a training step."""


def measure(name: str, shape: Shape, repeats: int, threads: int, activity: float = 0.1) -> dict[str, float]:
    """Run one row in this process: milliseconds (least and median), hidden rate, memory of the step and of the process in MB.

    Raises
    ------
    ImportError
        If the row's library is not installed.
    """
    torch = _torch()
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    small = shape._replace(batch=2, steps=3)  # libraries loaded, loops compiled
    ROWS[name](small)(torch.zeros(2, shape.inputs, 3), torch.zeros(2, dtype=torch.long))
    loaded = _peak()
    x = (torch.rand(shape.batch, shape.steps, shape.inputs) < shape.rate).float().transpose(1, 2)
    label = torch.randint(0, shape.outputs, (shape.batch,))
    step = ROWS[name](shape)
    step(x, label)
    rate = _tuned(step, x, label, activity) if hasattr(step, "knob") else float("nan")
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        step(x, label)
        times.append(1e3 * (time.perf_counter() - start))
    return {"least": min(times), "median": float(np.median(times)), "rate": rate, "memory": _peak() - loaded, "peak": _peak()}


def _peak() -> float:
    """Largest resident memory of this process so far [MB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="training_step", description=__doc__.splitlines()[0])
    for name, default in Shape()._asdict().items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--activity", type=float, default=0.1, help="hidden spikes a step and neuron")
    parser.add_argument("--only", nargs="*", default=None, help="rows whose name contains one of these words")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the table there")
    parser.add_argument("--row", default=None, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    shape = Shape(*(getattr(args, name) for name in Shape._fields))
    if args.row is not None:
        try:
            print(json.dumps(measure(args.row, shape, args.repeats, args.threads, args.activity)))
        except ImportError as error:
            print(json.dumps({"missing": str(error)}))
        return 0
    chosen = [name for name in ROWS if args.only is None or any(word in name for word in args.only)]
    own = [word for name, value in shape._asdict().items() for word in (f"--{name}", str(value))]
    own += ["--repeats", str(args.repeats), "--threads", str(args.threads), "--activity", str(args.activity)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads), "NUMBA_NUM_THREADS": str(args.threads)}
    print(
        f"B={shape.batch} T={shape.steps} {shape.inputs}-{shape.hidden}R-{shape.outputs}, input rate {shape.rate:g}, "
        f"{args.threads} thread(s), forward + backward, least and median of {args.repeats}, one process a row"
    )
    print(f"{'':36s} {'least ms':>9s} {'median ms':>9s} {'hidden rate':>11s} {'step MB':>8s} {'peak MB':>8s}")
    rows = []
    for name in chosen:
        command = [sys.executable, "-m", "lava_1m1t1r.benchmarks.training_step", "--row", name, *own]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        result = json.loads(done.stdout.strip().splitlines()[-1]) if done.returncode == 0 else {"missing": done.stderr.strip()[-200:]}
        rows.append({"name": name, **result})
        if "missing" in result:
            print(f"{name:36s} skipped: {result['missing']}", flush=True)
        else:
            row = f"{result['least']:9.1f} {result['median']:9.1f} {result['rate']:11.3f} {result['memory']:8.0f} {result['peak']:8.0f}"
            print(f"{name:36s} {row}", flush=True)
    write_json(args.json, [{"title": "One training step", "shape": shape._asdict(), "threads": args.threads, "rows": rows}])
    return 0


if __name__ == "__main__":
    sys.exit(main())
