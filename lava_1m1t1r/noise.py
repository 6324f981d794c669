"""The random numbers of stochastic neurons: one 32-bit linear-feedback generator per neuron, the same in every implementation.

The generator is Marsaglia's xorshift with shifts 13, 17, 5 (J. Stat. Softw. 8(14), 2003): linear over GF(2), full period 2^32 - 1; in
hardware it is 32 flip-flops and some xor gates. Neuron n of layer l starts from (seed, l, n), so that all implementations draw the same
numbers, and a reset restarts them.
"""

from __future__ import annotations

import numpy as np

from .compiled import compiled, inlined
from .errors import whole

MASK = 0xFFFFFFFF
MOST_SEED = MASK
"""Largest seed: a generator starts from its 32 bits, and a larger one would be another one's double."""
SPLITMIX_STEP = 0x9E3779B97F4A7C15
"""Distance of the 64-bit numbers that SplitMix64 mixes one after the other: 2^64 over the golden ratio."""
SPLITMIX_FACTORS = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
"""Multipliers of SplitMix64's finaliser."""
MOST_NEURONS, MOST_LAYERS = 1 << 20, 1 << 16
"""Largest number of neurons in a layer, as many as a whole Loihi 2 chip holds, and of layers in a network: up to these, all pairs of
(layer, neuron) differ. Their generators nearly always do: of 200 000 neurons about five pairs start alike, for a start has 32 bits."""


def draw(state):
    """Next state of the generator, which is also the number drawn. int64 in [1, 2^32), scalars or arrays."""
    state = state ^ ((state << 13) & MASK)
    state = state ^ (state >> 17)
    return state ^ ((state << 5) & MASK)


def pairs(state, substeps: int) -> list:
    """The two numbers that each substep of a network step draws; the generator ends at the last of them."""
    drawn = []
    for _ in range(substeps):
        first = draw(state)
        state = draw(first)
        drawn.append((first, state))
    return drawn


compiled_draw = compiled(draw)


def mixed(z):
    """SplitMix64's finaliser (Steele et al. 2014, doi:10.1145/2660193.2660195): every bit of the result depends on all bits of z. uint64,
    scalars or arrays."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(SPLITMIX_FACTORS[0])
    z = (z ^ (z >> np.uint64(27))) * np.uint64(SPLITMIX_FACTORS[1])
    return z ^ (z >> np.uint64(31))


compiled_mixed = inlined(mixed)


def start(seed: int, layer: int, neurons: int) -> np.ndarray:
    """First state of each neuron's generator.

    Parameters
    ----------
    seed, layer : int
        The network's seed, up to ``MOST_SEED``, and the layer's place in it, below ``MOST_LAYERS``.
    neurons : int
        Size of the layer, at most ``MOST_NEURONS``.

    Returns
    -------
    (neurons,) int64
        In [1, 2^32): the SplitMix64 finaliser of (seed, layer, neuron), never 0.
    """
    return starts(np.array([whole(seed, "seed", most=MOST_SEED)]), layer, neurons)[0]


def bases(seeds: np.ndarray, layer: int) -> np.ndarray:
    """Seeds (B,) and layer in the upper 44 bits of (B,) uint64; xor a neuron's number, they tell it from all others of a seed, and below
    layer 4096 from those of other seeds: the layer's upper four bits lie over the seed's lower four."""
    return (seeds.astype(np.uint64) << np.uint64(32)) ^ (np.uint64(layer) << np.uint64(20))


def starts(seeds: np.ndarray, layer: int, neurons: int) -> np.ndarray:
    """:func:`start` of each of some seeds (B,), whole numbers up to ``MOST_SEED``: (B, neurons) int64."""
    layer, neurons = whole(layer, "layer", most=MOST_LAYERS - 1), whole(neurons, "neurons", most=MOST_NEURONS)
    z = bases(seeds, layer)[:, None] ^ np.arange(neurons, dtype=np.uint64)
    with np.errstate(over="ignore"):
        z = mixed(z + np.uint64(SPLITMIX_STEP))
    state = (z & np.uint64(MASK)).astype(np.int64)
    return np.where(state == 0, 1, state)
