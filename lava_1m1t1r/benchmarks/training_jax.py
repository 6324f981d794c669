"""Training steps of the libraries that need JAX, and so their own environment. Run as a file with the interpreter of that environment.

``python3.12 -m venv jax && jax/bin/pip install jax spyx`` makes the environment; ``bench training --jax jax/bin/python`` uses it.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .training_measure import Shape, Step


def _step(forward, parameters: dict, turn_by: tuple) -> Step:
    """Training step from ``forward(parameters, x (T, B, C)) -> (outputs (T, B, N), hidden rate)``; ``turn_by``: name of a parameter,
    unit."""
    import jax
    import jax.numpy as jnp
    from training_measure import Step  # beside this file: the package itself is not in this environment

    def loss(parameters, x, label):
        outputs, rate = forward(parameters, x)
        logits = jax.nn.log_softmax(outputs.sum(0) * 0.1)
        return -jnp.take_along_axis(logits, label[:, None], 1).mean(), rate

    compiled = jax.jit(jax.value_and_grad(loss, has_aux=True))
    held, (name, unit) = dict(parameters), turn_by

    def run(x, label):
        (_, rate), gradients = compiled(held, x, label)
        jax.block_until_ready(gradients)
        return float(rate)

    def turn(place):
        held[name] = parameters[name] + place * unit

    return Step(lambda x, label: (jnp.asarray(x.transpose(1, 0, 2), jnp.float32), jnp.asarray(label)), run, turn)


def _scan(shape: Shape) -> Step:
    """Current-based LIF neurons, recurrent, as a plain jax.lax.scan; input product outside the loop."""
    import jax
    import jax.numpy as jnp
    from training_measure import KEPT

    of_current, of_voltage = KEPT

    @jax.custom_vjp
    def spike(v):
        return (v > 0).astype(v.dtype)

    spike.defvjp(lambda v: (spike(v), v), lambda v, grad: (grad / (1 + 25 * jnp.abs(v)) ** 2,))
    keys = jax.random.split(jax.random.PRNGKey(0), 3)
    sizes = ((shape.inputs, shape.hidden), (shape.hidden, shape.hidden), (shape.hidden, shape.outputs))
    weights = [jax.random.normal(key, size) * 0.5 / size[0] ** 0.5 for key, size in zip(keys, sizes, strict=True)]
    parameters = {**dict(zip(("in", "rec", "out"), weights, strict=True)), "bias": jnp.zeros(shape.hidden)}

    def forward(p, x):
        driven = x @ p["in"] + p["bias"]

        def step(state, a):
            u, v, s, u_out, v_out, s_out = state
            u = of_current * u + a + s @ p["rec"]
            v = of_voltage * v * (1 - s) + u
            s = spike(v - 1)
            u_out = of_current * u_out + s @ p["out"]
            v_out = of_voltage * v_out * (1 - s_out) + u_out
            s_out = spike(v_out - 1)
            return (u, v, s, u_out, v_out, s_out), (s_out, s.mean())

        zeros = [jnp.zeros((x.shape[1], n)) for n in (shape.hidden, shape.outputs)]
        _, (outputs, rates) = jax.lax.scan(step, (*(zeros[0],) * 3, *(zeros[1],) * 3), driven)
        return outputs, rates.mean()

    return _step(forward, parameters, ("bias", 0.01))


def _spyx(shape: Shape) -> Step:
    import jax
    import jax.numpy as jnp
    from flax import nnx
    from spyx import nn
    from training_measure import KEPT

    rngs = nnx.Rngs(0)
    hidden, output = nn.RCuBaLIF((shape.hidden,), *KEPT, rngs=rngs), nn.CuBaLIF((shape.outputs,), *KEPT, rngs=rngs)
    hidden.recurrent_w = nnx.Param(hidden.recurrent_w[...] * 0.5 / shape.hidden**0.5)
    # Spyx's time constants are parameters also where they are given; no other row learns them
    graph, recurrent, constants = nnx.split(hidden, nnx.PathContains("recurrent_w"), ...)
    keys = jax.random.split(jax.random.PRNGKey(0), 2)
    parameters = {
        "rec": recurrent,
        "in": jax.random.normal(keys[0], (shape.inputs, shape.hidden)) * 0.5 / shape.inputs**0.5,
        "out": jax.random.normal(keys[1], (shape.hidden, shape.outputs)) * 0.5 / shape.hidden**0.5,
        "bias": jnp.zeros(shape.hidden),
    }

    def forward(p, x):
        own = nnx.merge(graph, p["rec"], constants)
        driven = x @ p["in"] + p["bias"]

        def step(state, a):
            spikes, first = own(a, state[0])
            outputs, second = output(spikes @ p["out"], state[1])
            return (first, second), (outputs, spikes.mean())

        start = tuple(layer.initial_state(x.shape[1]) for layer in (own, output))
        _, (outputs, rates) = jax.lax.scan(step, start, driven)
        return outputs, rates.mean()

    return _step(forward, parameters, ("bias", 0.01))


ROWS = {"jax.scan of current-based LIF": _scan, "Spyx RCuBaLIF + CuBaLIF": _spyx}
"""Builder of a training step by its name in the table."""


def main() -> int:
    """Measure one row; the arguments are one JSON object."""
    from training_measure import Shape, measure, tell

    def work(row: str, shape: list, repeats: int, activity: float) -> dict[str, float]:
        return measure(ROWS[row], Shape(*shape), repeats, activity)

    return tell(work, **json.loads(sys.argv[1]))


if __name__ == "__main__":
    sys.exit(main())
