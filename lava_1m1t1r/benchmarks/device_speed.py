"""Speed of the device level: ``python -m lava_1m1t1r.benchmarks.device_speed``. One core; ngspice, where installed, on the same trace."""

from __future__ import annotations

import shutil
from dataclasses import replace
from time import perf_counter, process_time

import numpy as np

from ..device import presets, simulate, stimulus
from ..export.spice_neuron import run_ngspice

FIXED_STEP = 2e-6  # s, the step of an explicit fixed-step simulation of this device


def best(job, repeats: int = 3, clock=perf_counter) -> tuple[float, object]:
    """Return the shortest time of a job [s] and its result. The clock of the process leaves out what others take of a shared core."""
    times = []
    for _ in range(repeats):
        start = clock()
        result = job()
        times.append(clock() - start)
    return min(times), result


def main() -> None:
    """Print steps, speeds and the comparison with ngspice."""
    p = presets.ZHAO2025_FIG2
    fig_2e = stimulus.pulses(0.8, 2e-3, 0.5, 0.4)
    simulate(p, stimulus.constant(0.8, 1e-3), seed=0)  # compile

    seconds, trace = best(lambda: simulate(p, fig_2e, seed=0, record="events"))
    fixed = fig_2e.duration / FIXED_STEP
    taken = trace.steps[0]
    print(f"one device, Fig. 2e stimulus, {fig_2e.duration:.1f} s: {taken} steps (of 2 us: {fixed:.0f}, {fixed / taken:.0f}x as many)")
    print(f"  events only {seconds * 1e3:.2f} ms")
    if shutil.which("ngspice"):
        spice, result = best(lambda: run_ngspice(p, fig_2e.durations, fig_2e.volts))
        whole, _ = best(lambda: simulate(p, fig_2e, dt=fig_2e.duration / len(result.time), seed=0))
        print(f"  ngspice {spice * 1e3:.0f} ms with {len(result.time)} points: events only {spice / seconds:.0f}x faster,")
        print(f"  with as many samples of five quantities {spice / whole:.0f}x")

    many = replace(p, mu_dtod=0.1, v0_dtod=0.02, r_control_dtod=0.1).spread(1000, seed=0)
    for label, volt in (("below threshold, 0.6 V", 0.6), ("firing, 0.8 V", 0.8)):
        train = stimulus.pulses(volt, 2e-3, 0.5, 1.0)
        seconds, trace = best(lambda train=train: simulate(many, train, seed=0, record="events"), clock=process_time)
        rate = int(np.sum(trace.steps)) / seconds / 1e6
        worth = 1000 * 1.0 / FIXED_STEP / seconds / 1e6
        print(f"1000 devices, 1 s, {label}, {trace.spike_counts().mean():.0f} spikes each: {seconds:.2f} s of one core,")
        print(f"  {rate:.1f} million adaptive steps per second and core, worth {worth:.0f} million steps of 2 us")


if __name__ == "__main__":
    main()
