"""Speed of the device level: ``lava-1m1t1r bench device``. One core; also ngspice on the same trace, if installed."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from time import process_time

import numpy as np

from ..device import presets, simulate, stimulus
from ..export.spice_neuron import run_ngspice
from .table import Table, least, parser, positive, write_json

FIXED_STEP = 2e-6  # s, the step of an explicit fixed-step simulation of this device


def main(arguments: list[str] | None = None) -> int:
    """Print steps, speeds and the comparison with ngspice."""
    args = parser(__doc__, repeats=3).parse_args(arguments)
    positive(args, "repeats")
    times = Table("The device level on one core", ("ms", "steps", "x"))
    p = presets.ZHAO2025_FIG2
    fig_2e = stimulus.pulses(0.8, 2e-3, 0.5, 0.4)
    simulate(p, stimulus.constant(0.8, 1e-3), seed=0)  # compile

    trace = simulate(p, fig_2e, seed=0, record="events")
    seconds = least(lambda: simulate(p, fig_2e, seed=0, record="events"), args.repeats)
    taken = int(trace.steps[0])
    times.add(f"Fig. 2e, {fig_2e.duration:.1f} s, events only", 1e3 * seconds, taken, 1.0)
    times.add("  fixed steps of 2 us would be", "", fig_2e.duration / FIXED_STEP, fig_2e.duration / FIXED_STEP / taken)
    if shutil.which("ngspice"):
        result = run_ngspice(p, fig_2e.durations, fig_2e.volts)
        points = len(result.time)
        spice = least(lambda: run_ngspice(p, fig_2e.durations, fig_2e.volts), args.repeats, warm=False)
        whole = least(lambda: simulate(p, fig_2e, dt=fig_2e.duration / points, seed=0), args.repeats)
        times.add("  ngspice", 1e3 * spice, points, spice / seconds)
        times.add("  as many samples of five quantities", 1e3 * whole, points, whole / seconds)
    else:
        times.skip("  ngspice", "not installed")

    table = Table("1000 unequal devices for 1 s, one core (CPU)", ("s", "spikes each", "M steps/s", "M 2-us steps/s"))
    many = replace(p, mu_dtod=0.1, v0_dtod=0.02, r_control_dtod=0.1).spread(1000, seed=0)
    for label, volt in (("below threshold, 0.6 V", 0.6), ("firing, 0.8 V", 0.8)):
        train = stimulus.pulses(volt, 2e-3, 0.5, 1.0)
        trace = simulate(many, train, seed=0, record="events")
        seconds = least(partial(simulate, many, train, seed=0, record="events"), args.repeats, process_time, warm=False)
        rates = (int(np.sum(trace.steps)) / seconds / 1e6, 1000 * 1.0 / FIXED_STEP / seconds / 1e6)
        table.add(label, seconds, float(trace.spike_counts().mean()), *rates)
    write_json(args.json, [times.as_dict(), table.as_dict()])
    return 0
