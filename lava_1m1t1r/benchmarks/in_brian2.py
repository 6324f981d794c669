"""A network of dense 1M1T1R layers in Brian2, as a C++ program: the library's equations, written out as Brian2's statements."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import dynamics
from ..arithmetic import FLOAT_ARRAY, GROWTH_MAX_FLOAT, WEIGHT_ONE
from ..description import NetDescription
from ..dynamics import State
from .table import cpu_of_children

_KNOT = 1e-3  # s; Brian2's tables are functions of time


class _Text:
    """Number as text: every operation appends a statement ``t7 = t3 + t5`` to a list that all numbers share."""

    def __init__(self, statements: list[str], expression: str) -> None:
        self.statements = statements
        self.name = f"t{len(statements)}_"
        statements.append(f"{self.name} = {expression}")

    def of(self, expression: str) -> _Text:
        return _Text(self.statements, expression)

    def __str__(self) -> str:
        return self.name

    def __and__(self, other: _Text) -> _Text:
        return self.of(f"{self} and {other}")


def _operators() -> None:
    for name, sign in (("add", "+"), ("sub", "-"), ("mul", "*"), ("truediv", "/"), ("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<=")):
        setattr(_Text, f"__{name}__", lambda a, b, sign=sign: a.of(f"{a} {sign} ({b})"))
    for name, sign in (("add", "+"), ("sub", "-"), ("mul", "*"), ("truediv", "/")):
        setattr(_Text, f"__r{name}__", lambda a, b, sign=sign: a.of(f"({b}) {sign} {a}"))


_operators()


def _text_arithmetic(p: Any) -> Any:
    """Operations of FLOAT as text; the field law must be hyperbolic."""
    smaller = lambda a, b: a.of(f"clip({a}, -inf, {b})")  # noqa: E731
    positive = lambda a: a.of(f"clip({a}, 0, inf)")  # noqa: E731
    knots = p.drop.size - 1

    def drop(residue, _p):
        knot = residue.of(f"clip(floor({residue * knots}), 0, {knots - 1})")
        first, second = (residue.of(f"drop_table(({knot} + {shift}) * {_KNOT!r} * second)") for shift in (0.5, 1.5))
        return first + (second - first) * (residue * knots - knot)

    def charge(x, way, _p):
        r_d = p.r_on * x + x.of(f"expm1({(1.0 - x) * p.per_lam})") * p.off_scale
        return way * x.of(f"-expm1({-p.substep_per_c} / {r_d})")

    return FLOAT_ARRAY._replace(
        select=lambda c, a, b: c.of(f"int({c}) * ({a}) + (1 - int({c})) * ({b})"),
        field=lambda d, _p: 2.0 * p.growth * p.sinh_scale * d.of(f"sinh({d * p.per_v0})"),
        positive=positive,
        growth=lambda drive, x, _p: smaller(drive / (p.alpha + 1.0 - x), GROWTH_MAX_FLOAT),
        at_most_one=lambda x: smaller(x, 1.0),
        smaller=smaller,
        drop=drop,
        charge=charge,
    )


def statements(step: Any) -> str:
    """Statements of one network step of a neuron: from ``charge_in`` [1/64 unit] to ``filament``, ``residue``, ``gate`` and ``fired``."""
    p = step.floating(1)
    p = type(p)(*(value if name == "drop" else float(np.ravel(value)[0]) for name, value in p._asdict().items()))
    ops = _text_arithmetic(p)
    lines: list[str] = []
    v_in = _Text(lines, f"clip(charge_in * {step.v_unit / WEIGHT_ONE!r}, 0, {float(step.v_in_max)!r})")
    state = State(*(v_in.of(name) for name in State._fields))
    total: Any = None
    for _ in range(step.substeps):
        state, fired, _closed = dynamics.substep(state, v_in, p, ops)
        total = v_in.of(f"int({fired})") if total is None else v_in.of(f"clip({total} + int({fired}), 0, 1)")
    return "\n".join([*lines, *(f"{name} = {value}" for name, value in state._asdict().items()), f"fired = {total}", "charge_in = bias"])


class Brian2Result(NamedTuple):
    """Result of one sample in Brian2."""

    build: float
    """Time to generate and compile the program [s]."""
    wall: float
    """Shortest time of the whole program on the clock [s]."""
    cpu: float
    """Shortest processor time of the whole program [s]."""
    loop: float
    """Shortest time of its loop over steps alone, by Brian2's own clock [s]."""
    rate: float
    """Hidden spikes per step and neuron [1]."""


def run(net: NetDescription, frames: np.ndarray, folder: Path, repeats: int) -> Brian2Result:
    """Run one sample in a C++ program.

    Parameters
    ----------
    net : NetDescription
        Dense 1M1T1R layers.
    frames : (T, C) int
        Spikes of the sample.
    folder : path
        Where the program is made.
    repeats : int
        Number of runs; the shortest counts.

    Raises
    ------
    ImportError
        Without Brian2.
    """
    import brian2 as b2

    start = time.perf_counter()
    b2.prefs.devices.cpp_standalone.openmp_threads = 0
    b2.prefs.logging.console_log_level = "ERROR"
    b2.prefs.logging.file_log = False
    b2.set_device("cpp_standalone", directory=str(folder), build_on_run=False)
    parts: list[Any] = []
    try:
        dt = net.dt * b2.second
        b2.defaultclock.dt = dt
        arriving = net.arriving(frames)
        steps, channels = np.nonzero(arriving)
        source = b2.SpikeGeneratorGroup(arriving.shape[1], channels, steps * dt)
        parts.append(source)
        for layer in net.active:
            step = layer.m1t1r.step
            table = b2.TimedArray(step.floating(1).drop, dt=_KNOT * b2.second, name=f"drop_table_{layer.index}")
            space = {"drop_table": table}
            model = "filament : 1\nresidue : 1\ngate : 1\nfired : 1\nbias : 1\ncharge_in : 1"
            group = b2.NeuronGroup(layer.size, model, threshold="fired > 0.5", reset="", namespace=space)
            group.run_regularly(statements(step), when="groups")
            group.bias = group.charge_in = np.zeros(layer.size) if layer.bias is None else layer.bias
            parts.append(group)
            for sender, weight in ((source, layer.weight), (group, layer.weight_rec)):
                if weight is not None:
                    pre, post = np.nonzero(weight.T)
                    synapses = b2.Synapses(sender, group, "w : 1", on_pre="charge_in_post += w")
                    synapses.connect(i=pre, j=post)
                    synapses.w = weight.T[pre, post]
                    parts.append(synapses)
            source = group
        parts.append(b2.SpikeMonitor(parts[1], record=False, name="counted"))
        b2.Network(*parts).run((frames.shape[0] + 1) * dt)
        b2.device.build(compile=True, run=False, directory=str(folder), with_output=False)
        build = time.perf_counter() - start
        walls, cpus, loops = [], [], []
        for _ in range(repeats):
            cpu, wall = cpu_of_children(), time.perf_counter()
            subprocess.run([str(folder / "main")], cwd=folder, check=True, capture_output=True, timeout=120)
            walls.append(time.perf_counter() - wall)
            cpus.append(cpu_of_children() - cpu)
            loops.append(float(next((folder / "results").glob("last_run_info*.txt")).read_text().split()[0]))
        counted = np.fromfile(next((folder / "results").glob("_array_counted_N_*")), np.int32)
        rate = float(counted[0]) / frames.shape[0] / net.active[0].size
    finally:
        b2.device.reinit()
        b2.set_device("runtime")
    return Brian2Result(build, min(walls), min(cpus), min(loops), rate)
