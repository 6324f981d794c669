"""Inference of a network of LIF neurons of the same size as a jitted jax.lax.scan. Run as a file with the interpreter of an environment
with JAX, which :mod:`.training_jax` says how to make; ``bench simulation --jax PYTHON`` uses it."""

from __future__ import annotations

import json
import sys
import time


def measure(shape: list[int], batch: int, steps: int, rate: float, activity: float, repeats: int) -> dict[str, float]:
    """Least time on the clock and of the processor [s] of a batch, and the hidden layer's rate [spikes per step and neuron].

    Input spikes are bytes, made real numbers within the time that counts, as for all rows.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np
    from training_measure import KEPT  # beside this file: the package itself is not in this environment

    of_current, of_voltage = KEPT
    rng = np.random.default_rng(0)
    inputs, hidden, outputs = shape
    sizes = ((inputs, hidden), (hidden, hidden), (hidden, outputs))
    first, again, second = (jnp.asarray(rng.normal(0, 0.5 / size[0] ** 0.5, size), jnp.float32) for size in sizes)

    @jax.jit
    def run(x, gain):
        def step(state, driven):
            current, voltage, spike = state
            current = of_current * current + driven
            voltage = of_voltage * voltage * (1 - spike) + current
            spike = (voltage > 1).astype(jnp.float32)
            return (current, voltage, spike), spike

        driven = x.astype(jnp.float32).transpose(1, 0, 2) @ (first * gain)
        recurrent = lambda state, driven: step(state, driven + state[2] @ again)  # noqa: E731
        _, spikes = jax.lax.scan(recurrent, (jnp.zeros((x.shape[0], hidden)),) * 3, driven)
        _, out = jax.lax.scan(step, (jnp.zeros((x.shape[0], outputs)),) * 3, spikes @ second)
        return out, spikes.mean()

    x = (rng.random((batch, steps, inputs)) < rate).astype(np.uint8)
    found = 0.0
    for gain in np.geomspace(0.05, 20.0, 40, dtype=np.float32):
        found = float(run(x, gain)[1])
        if found >= activity:
            break
    least = {}
    for name, clock in (("wall", time.perf_counter), ("cpu", time.process_time)):
        times = []
        for _ in range(repeats):
            start = clock()
            jax.block_until_ready(run(x, gain))
            times.append(clock() - start)
        least[name] = min(times)
    return {**least, "rate": found}


def main() -> int:
    """Measure; the arguments are one JSON object."""
    from training_measure import tell

    return tell(measure, threads=1, **json.loads(sys.argv[1]))


if __name__ == "__main__":
    sys.exit(main())
