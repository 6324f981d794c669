"""The generator, its seeding, and the noise it makes: the same numbers everywhere, with the variance of the equations."""

from dataclasses import replace

import numpy as np
import pytest

from lava_1m1t1r import dynamics, noise, presets, reference
from lava_1m1t1r.arithmetic import BYTES_DEVIATION, BYTES_MEAN, FIXED_ARRAY, FLOAT_ARRAY, ONE
from lava_1m1t1r.dynamics import State
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.program import StepParams
from lava_1m1t1r.reference import widened

NOISY = StepParams(replace(presets.ZHAO2025_FIG2, sigma1=2e-3, sigma2=5e-4))


def test_xorshift_of_one():
    # By hand: 1 ^ 1 << 13 = 0x2001; ^ >> 17 = 0x2001; ^ << 5 = 0x42021 (Marsaglia 2003, shifts 13, 17, 5).
    assert noise.draw(1) == 0x42021
    assert noise.draw(np.array([1, 1])).tolist() == [0x42021] * 2
    assert noise.compiled_draw(1) == 0x42021


def test_draws_stay_in_32_bits_and_never_stop():
    state = np.append(noise.start(0, 0, 500), [1, 0xFFFFFFFF])
    for _ in range(50):
        state = noise.draw(state)
        assert state.min() >= 1 and state.max() < 1 << 32


def test_starts_differ_by_seed_layer_and_neuron_and_not_by_size():
    a = noise.start(5, 2, 1000)
    assert np.array_equal(a[:10], noise.start(5, 2, 10))
    every = np.concatenate([noise.start(seed, layer, 1000) for seed in range(4) for layer in range(4)])
    assert len(np.unique(every)) > len(every) - 3  # 16000 of 2^32: a collision happens once in 30 such draws
    assert every.min() >= 1 and every.max() < 1 << 32
    assert noise.start(956923907, 3722, 3)[2] == 1  # the finaliser gives 0 here, which a generator would never leave


def test_generators_of_any_layer_are_its_own():
    first, second = noise.start(5, 0, noise.MOST_NEURONS), noise.start(5, 1, 1)
    assert second[0] not in first[[0, -1]]
    for layer, neurons, text in ((0, noise.MOST_NEURONS + 1, "neurons .* 1048576"), (noise.MOST_LAYERS, 1, "layer .* 65535")):
        with pytest.raises(InputError, match=text):
            noise.start(5, layer, neurons)


def test_byte_sum_is_nearly_gaussian():
    state, totals = noise.start(1, 0, 2000), []
    for _ in range(50):
        state = noise.draw(state)
        totals.append(sum((state >> shift) & 255 for shift in (0, 8, 16, 24)) - BYTES_MEAN)
    z = np.array(totals).ravel() / BYTES_DEVIATION
    assert abs(z.mean()) < 0.015 and abs(z.std() - 1) < 0.01
    assert abs((z**4).mean() - 2.7) < 0.1  # four uniforms: kurtosis 3 - 1.2 / 4


@pytest.mark.parametrize("change", [0.001, 0.02, 0.2])
@pytest.mark.parametrize("kind", ["fixed", "float"])
def test_variance_is_sigma_times_the_change(kind, change):
    size = 40000
    draws = noise.draw(noise.start(3, 1, size))
    draws = draws, noise.draw(draws)
    if kind == "fixed":
        p, ops, one = widened(NOISY.fixed(size)), FIXED_ARRAY, ONE
    else:
        p, ops, one = NOISY.floating(size), FLOAT_ARRAY, 1.0
    old = np.full(size, 0.4) * one
    new = old + change * one
    old, new = (x.astype(np.int64) if kind == "fixed" else x for x in (old, new))
    grown = dynamics.jitter(State(old, old, old), State(new, new, old), draws, p, ops)
    for value, sigma in ((grown.filament, 2e-3), (grown.residue, 5e-4)):
        part = (value - new) / one
        assert part.var() == pytest.approx(sigma * change, rel=0.04)
        assert abs(part.mean()) < 4 * np.sqrt(sigma * change / size) + 2e-7  # rounding down: half a count


@pytest.mark.parametrize("counts", [1, 4, 8, 16, 160])
def test_variance_of_small_changes_is_that_of_the_straight_root(counts):
    """As FIXED_POINT.md says: up to 16 counts the table of roots is a line from 0."""
    size = 40000
    draws = noise.draw(noise.start(3, 1, size))
    p, old = widened(NOISY.fixed(size)), np.full(size, ONE // 2)
    grown = dynamics.jitter(State(old, old, old), State(old + counts, old, old), (draws, draws), p, FIXED_ARRAY)
    assert (grown.filament - old).var() == pytest.approx(min(counts / 16, 1.0) * 2e-3 * counts * ONE, rel=0.04)


def test_no_change_no_noise():
    p = widened(NOISY.fixed(1))
    rest = np.array([12345])
    for draw in (1, 0xFFFFFFFF):
        grown = dynamics.jitter(State(rest, rest, rest), State(rest, rest, rest), (np.array([draw]),) * 2, p, FIXED_ARRAY)
        assert grown.filament == rest and grown.residue == rest


def test_seed_and_layer_make_the_spikes_and_a_reset_rewinds_them(rng):
    a_in = (rng.random((400, 6)) < 0.5) * 420
    run = lambda **kw: reference.run(NOISY, a_in, **kw)  # noqa: E731
    first = run(seed=1, layer=2)
    assert first.spike.any()
    for name in first._fields:
        assert np.array_equal(getattr(first, name), getattr(run(seed=1, layer=2), name))
    assert not np.array_equal(first.filament, run(seed=2, layer=2).filament)
    assert not np.array_equal(first.filament, run(seed=1, layer=3).filament)
    neurons = reference.Neurons(NOISY, 6, seed=1, layer=2)
    for _ in range(2):
        states = np.stack([neurons.step(a).filament for a in a_in[:50]])
        assert np.array_equal(states, first.filament[:50])
        neurons.reset()


def test_deterministic_devices_draw_nothing(rng):
    a_in = (rng.random((60, 3)) < 0.5) * 420
    quiet = StepParams(presets.ZHAO2025_FIG2)
    assert np.array_equal(reference.run(quiet, a_in, seed=1).gate, reference.run(quiet, a_in, seed=2).gate)


def test_noise_spreads_first_spikes_about_the_deterministic_one():
    a_in = np.zeros((300, 200), np.int64)
    a_in[::2] = 420
    first = lambda params: np.argmax(reference.run(params, a_in, seed=3).spike, 0)  # noqa: E731
    quiet = first(StepParams(presets.ZHAO2025_FIG2))[0]
    loud = first(NOISY)
    assert loud.std() > 1 and abs(np.median(loud) - quiet) < 20


def test_seeds_that_would_be_doubles_are_refused():
    noise.start(noise.MOST_SEED, 0, 2)
    with pytest.raises(InputError, match="seed must be a whole number from 0 to 4294967295; got 4294967296"):
        noise.start(noise.MOST_SEED + 1, 0, 2)
