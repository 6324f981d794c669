"""The inner ear against its equations, its published figures, and people's spikes made by the same equations."""

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lava_1m1t1r.datasets import InnerEar, nerve, read_shd
from lava_1m1t1r.datasets import membrane as basilar
from lava_1m1t1r.errors import InputError

HUMANS = Path(__file__).resolve().parents[2] / "shared" / "data" / "fsdd_inner_ear.h5"
RATE = 24_000  # of the motion, Hz


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(3).standard_normal(9_600) * np.hanning(9_600)  # 0.2 s at 48 kHz


def streams(n, seed=0):
    return np.random.SeedSequence(seed).generate_state(n, np.uint64)


# --- basilar membrane ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "peak"),
    [(0, 22.5e3), (100, 9.5e3), (200, 4.48e3), (300, 2.12e3), (400, 1e3), (500, 473), (600, 221), (650, 149)],
)
def test_each_place_is_tuned_to_its_frequency(channel, peak):
    f = np.linspace(1, 24_000, 24_000)
    size = np.abs(basilar.response(f, basilar.places(700)[channel]))
    assert f[np.argmax(size)] == pytest.approx(peak, rel=0.01)


@pytest.mark.parametrize("f", [100.0, 1000.0, 5000.0, 15_000.0])
def test_the_closed_form_solves_the_equations_integrated_numerically(f):
    pytest.importorskip("scipy", "1.12")
    from scipy.integrate import cumulative_simpson
    from scipy.special import hankel1, j0, j1, y0, y1

    fine = 64
    x = np.linspace(0, 3.5, 699 * fine + 1)
    w = 2 * np.pi * f
    stiffness, friction = 1e9 * np.exp(-3 * x), 0.15 * np.sqrt(1e9 * 0.05) * np.exp(-1.5 * x)
    xi = stiffness - 3500 - 0.05 * w**2 - 1j * w * friction
    g = w * np.sqrt(1 / (0.1 * xi))
    integral = cumulative_simpson(g.real, x=x, initial=0) + 1j * cumulative_simpson(g.imag, x=x, initial=0)
    big_g = 2 * g[0] / 3 + integral
    p = np.sqrt(big_g / g) * hankel1(0, big_g)
    q = 2 * w / 3 * np.sqrt(2 / (0.1 * 1e9))
    z = np.sqrt(2e9 / 0.1) * (1j * j0(q) + y0(q)) / (j1(q) - 1j * y1(q))
    want = (2 * w / xi * p / p[0] * z)[::fine]
    got = basilar.response(f, basilar.places(700))
    np.testing.assert_allclose(got, want, atol=2e-6 * np.abs(want).max(), rtol=0)


@pytest.mark.parametrize("offset", [0.0, 1e4])  # nearly all of it in the lowest frequencies
@pytest.mark.parametrize("channel", [0, 40, 100, 300, 500, 699])
def test_tabulated_filters_move_as_the_closed_form_does(noise, channel, offset):
    noise = noise + offset
    motion = np.concatenate(list(basilar.membrane_motion(noise, 48_000, 700, block=64)))
    assert motion.shape == (700, len(noise) // 2 + 1)
    # the definition: half spectrum times response, inverse FFT of the length of the half spectrum, real part; of the padded signal
    from scipy.fft import next_fast_len

    m = next_fast_len(len(noise) // 2 + 1, real=True)
    f = np.linspace(1, 24_000, m)
    spectrum = np.fft.fft(noise, 2 * (m - 1))[:m]
    want = np.fft.ifft(basilar.response(f, basilar.places(700)[channel]) * spectrum).real[: motion.shape[1]]
    np.testing.assert_allclose(motion[channel], want, atol=1e-5 * np.abs(want).max(), rtol=0)


# --- hair cells, fibres, bushy cells ------------------------------------------------------------------------------


def test_threads_that_ask_for_filters_at_once_share_one_table(monkeypatch):
    def slow(f, x):
        time.sleep(0.01)
        return np.ones(np.size(f), complex)

    monkeypatch.setattr(basilar, "response", slow)
    basilar._response_table.cache_clear()
    try:
        with ThreadPoolExecutor(4) as pool:
            tables = list(pool.map(basilar.response_table, [5] * 4))
    finally:
        basilar._response_table.cache_clear()
    assert all(table is tables[0] for table in tables)


def test_a_fibre_fires_spontaneously_at_64_8_per_second():
    assert nerve.RELEASE * nerve.rest()[1] == pytest.approx(64.8, abs=0.05)


def test_the_hair_cell_rests_in_silence():
    q, c, w = nerve.rest()
    k = 2000 * 5 / 305
    np.testing.assert_allclose(5.05 * (1 - q) - k * q + 66.3 * w, 0, atol=1e-9)
    np.testing.assert_allclose(k * q - (2500 + 6580) * c, 0, atol=1e-9)
    np.testing.assert_allclose(6580 * c - 66.3 * w, 0, atol=1e-9)


def plain_cells(motion, rng):
    """The chain as its equations say it, one Bernoulli draw a fibre: spikes in each sample, (channels, T)."""
    dt = 1 / RATE
    n_channels, n_samples = motion.shape
    q, c, w = (np.full(n_channels, s) for s in nerve.rest())
    blocked = np.zeros((n_channels, 40), int)
    current, voltage, held = np.zeros(n_channels), np.zeros(n_channels), np.zeros(n_channels, int)
    spikes, fibres = np.zeros(motion.shape, bool), np.zeros(motion.shape, int)
    for n in range(n_samples):
        v = motion[:, n]
        k = np.where(v + 5 > 0, 2000 * (v + 5) / (v + 305), 0)
        p = 50_000 * c * dt
        dq = 5.05 * np.maximum(1 - q, 0) - k * q + 66.3 * w
        dc, dw = k * q - 9080 * c, 6580 * c - 66.3 * w
        q, c, w = (np.maximum(s + d * dt, 0) for s, d in ((q, dq), (c, dc), (w, dw)))
        fired = (rng.random((n_channels, 40)) < p[:, None]) & (blocked == 0)
        blocked = np.where(fired, 23, np.maximum(blocked - 1, 0))
        fibres[:, n] = fired.sum(axis=1)
        current = current * np.exp(-dt / 0.5e-3) + fibres[:, n]
        spikes[:, n - 1] = voltage >= 1 if n else False
        held = np.where(voltage >= 1, 24, held)
        driven = np.minimum(1, voltage * np.exp(-dt / 1e-3) + 13_000 / 40 * current * dt)
        voltage = np.where(held > 0, 0, driven)
        held = np.maximum(held - 1, 0)
    return spikes


def test_joint_draws_have_the_statistics_of_forty_separate_fibres():
    rng = np.random.default_rng(11)
    n_channels, t = 600, np.arange(8400) / RATE
    # silence, a push that drives cells to their refractory limit, two tones: rate, adaptation and phase locking differ
    tones = np.where(t < 0.25, 8 * np.sin(2 * np.pi * 300 * t), 60 * np.sin(2 * np.pi * 1200 * t))
    wave = np.select([t < 0.1, t < 0.15], [0, 1000.0], tones)
    motion = np.broadcast_to(wave.astype(np.float32), (n_channels, len(t)))
    want = plain_cells(motion, rng)
    sample, channel = nerve.nerve_spikes(np.ascontiguousarray(motion), RATE, streams(n_channels))
    got = np.zeros_like(want)
    got[channel, sample] = True
    assert got.sum() == len(sample)
    edges = (0, 2400, 2500, 3600, 3800, 6000, 6200, 8400)
    for part in map(slice, edges[:-1], edges[1:]):
        a, b = want[:, part].sum(axis=1), got[:, part].sum(axis=1)
        error = np.hypot(a.std(), b.std()) / np.sqrt(n_channels) + 1e-3
        assert abs(a.mean() - b.mean()) < 4 * error, part


def test_refractory_times_are_exact(monkeypatch):
    # a flooded cleft makes every free fibre fire at once: 40 spikes each 24 samples, and nothing is left to chance
    monkeypatch.setattr(nerve, "rest", lambda: (0.0, 1e30, 0.0))
    n_samples, dt = 2000, 1 / RATE
    want, current, voltage, free_from = [], 0.0, 0.0, 0
    for n in range(n_samples - 1):
        current = current * np.exp(-dt / 0.5e-3) + (40 if n % 24 == 0 else 0)
        voltage = voltage * np.exp(-dt / 1e-3) + 13_000 / 40 * current * dt if n >= free_from else 0.0
        if voltage >= 1:
            want.append(n)
            free_from = n + 25
    sample, channel = nerve.nerve_spikes(np.zeros((3, n_samples), np.float32), RATE, streams(3))
    assert len(want) > 40
    for c in range(3):
        np.testing.assert_array_equal(sample[channel == c], want)
    last, _ = nerve.nerve_spikes(np.zeros((1, want[3] + 1), np.float32), RATE, streams(1))
    np.testing.assert_array_equal(last, want[:3])  # who crosses in the last sample is not seen any more


def test_channels_do_not_depend_on_those_that_are_computed_before_them():
    """64 are computed together: the next ones start from rest, and each with its own stream."""
    motion = np.full((130, 600), 30_000, np.float32)
    motion[:, 200:400] *= np.random.default_rng(4).random((130, 200), np.float32)
    sample, channel = nerve.nerve_spikes(motion, RATE, streams(130))
    for part in (slice(0, 64), slice(64, 128), slice(128, 130)):
        alone, place = nerve.nerve_spikes(motion[part], RATE, streams(130)[part])
        own = (part.start <= channel) & (channel < part.stop)
        np.testing.assert_array_equal(sample[own], alone)
        np.testing.assert_array_equal(channel[own] - part.start, place)


def test_a_rate_that_the_hair_cell_cannot_be_followed_at_is_refused():
    motion = np.zeros((2, 40), np.float32)
    assert len(nerve.nerve_spikes(motion, 9080.0, streams(2))[0]) == 0
    with pytest.raises(InputError, match=r"rate \[Hz\] must be .*9080.* got 9079"):
        nerve.nerve_spikes(motion, 9079.0, streams(2))


@pytest.mark.parametrize("seed", [0, 1])
def test_a_bushy_cell_in_silence_fires_a_little_less_than_once_a_second(seed):
    # 0.78 +- 0.03 per second by plain_cells over 16000 cell-seconds; people's channels 0-49 have 0.79
    seconds = 2
    sample, _ = nerve.nerve_spikes(np.zeros((700, seconds * RATE), np.float32), RATE, streams(700, seed))
    assert 0.68 < len(sample) / 700 / seconds < 0.88


@pytest.mark.skipif(not HUMANS.is_file(), reason="the recordings of people lie beside the project, not in it")
def test_silent_channels_of_real_recordings_fire_as_ours_do():
    people = read_shd(HUMANS)
    # recordings at 8 kHz hold nothing for the channels above 8.8 kHz
    rate = np.sum(people.units < 100) / 100 / people.durations.sum()
    sample, _ = nerve.nerve_spikes(np.zeros((700, 2 * RATE), np.float32), RATE, streams(700))
    assert len(sample) / 1400 == pytest.approx(rate, rel=0.1)


# --- the whole ear ------------------------------------------------------------------------------------------------


def tone(frequency, rate=16_000, seconds=0.3):
    return np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)


def test_level_and_ramps_of_the_prepared_signal():
    signal = InnerEar().prepare(tone(1000, 48_000), 48_000)
    assert np.sqrt(np.mean(signal[1440:-1440] ** 2)) == pytest.approx(0.3, rel=0.01)
    k = np.arange(1440)
    ramp = 0.5 * (1 - np.cos(2 * np.pi * k / 2879))
    flat = InnerEar(ramp=0).prepare(tone(1000, 48_000), 48_000)
    np.testing.assert_allclose(signal[:1440], flat[:1440] * ramp)
    np.testing.assert_allclose(signal[-1440:], flat[-1440:] * ramp[::-1])
    short = InnerEar(ramp=1.1e-3).prepare(tone(1000, 48_000), 48_000)  # 52.8 samples
    np.testing.assert_allclose(short[50:56], flat[50:56] * np.r_[0.5 * (1 - np.cos(2 * np.pi * np.arange(50, 53) / 105)), 1, 1, 1])


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_a_tone_excites_its_place_at_any_sampling_rate(rate):
    times, units = InnerEar()(tone(1000, rate), rate)
    assert times.dtype == np.float32 and units.dtype == np.uint16
    assert np.all(np.diff(times) >= 0) and times[0] >= 0 and 0.28 < times[-1] <= 0.3  # cells fire without sound, too
    together = np.diff(times) == 0
    assert together.sum() > 20 and np.all(np.diff(units.astype(int))[together] > 0)  # of one time in the order of their channels
    busiest = np.argmax(np.convolve(np.bincount(units, minlength=700), np.ones(15), mode="same"))
    assert busiest == pytest.approx(400, abs=25)


def test_spikes_depend_on_seed_and_index_alone(noise):
    first = InnerEar(seed=5)(noise, 48_000, index=2)
    again = InnerEar(seed=5)((noise * 1e4).astype(np.float64), 48_000, index=2)
    np.testing.assert_array_equal(first.times, again.times)
    np.testing.assert_array_equal(first.units, again.units)
    for other in (InnerEar(seed=5)(noise, 48_000, index=3), InnerEar(seed=6)(noise, 48_000, index=2)):
        assert not np.array_equal(first.times, other.times)


def test_each_channel_of_each_utterance_has_a_stream_of_its_own(noise, monkeypatch):
    def still(signal, rate, channels, block):
        yield from (np.zeros((min(block, channels - first), 1)) for first in range(0, channels, block))

    begun = []
    monkeypatch.setattr(basilar, "membrane_motion", still)
    monkeypatch.setattr(nerve, "nerve_spikes", lambda motion, rate, streams: begun.extend(streams.tolist()) or (np.zeros(0, int),) * 2)
    for seed, index in ((0, 0), (0, 1), (1, 0)):
        InnerEar(seed=seed)(noise, 48_000, index)
    assert len(set(begun)) == len(begun) == 3 * 700


def test_unsigned_sound_swings_about_the_middle_of_its_range():
    """As scipy hands out WAV files of 8 bits."""
    sound = np.round(100 * tone(1000)).astype(np.int16)
    signed, unsigned = InnerEar()(sound, 16_000), InnerEar()((sound + 128).astype(np.uint8), 16_000)
    np.testing.assert_array_equal(signed.times, unsigned.times)
    np.testing.assert_array_equal(signed.units, unsigned.units)


def test_any_number_of_workers_gives_the_same_spikes():
    sounds = [(tone(f, seconds=s), 16_000) for f, s in ((300, 0.1), (700, 0.2), (2000, 0.1), (4000, 0.15))]
    one, three = InnerEar().encode(sounds), InnerEar().encode(iter(sounds), threads=3)
    for i, (a, b) in enumerate(zip(one, three, strict=True)):
        np.testing.assert_array_equal(a.times, b.times)
        np.testing.assert_array_equal(a.units, InnerEar()(*sounds[i], index=i).units)


def test_one_number_an_utterance(monkeypatch):
    monkeypatch.setattr(InnerEar, "__call__", lambda self, audio, rate, index: index)
    ear, sounds = InnerEar(), [(np.ones(9), 9)] * 3
    assert ear.encode(sounds, indices=[4, 2, 7]) == ear.encode(iter(sounds), indices=iter([4, 2, 7, 1])) == [4, 2, 7]
    assert ear.encode(iter(sounds), indices=itertools.count(5)) == [5, 6, 7]
    for given in (sounds, iter(sounds)):
        with pytest.raises(InputError, match=r"indices must hold one number an utterance \(3\); got 4"):
            ear.encode(given, indices=[0, 1, 2, 3])
    with pytest.raises(InputError, match=r"indices must hold one number an utterance \(3\); got 2"):
        ear.encode(sounds, indices=[0, 1])
    with pytest.raises(InputError, match="indices must go on to the last utterance; got 'no more than 2'"):
        ear.encode(sounds, indices=iter([0, 1]))
    with pytest.raises(InputError, match="indices must be numbers, one an utterance; got 3"):
        ear.encode(sounds, indices=3)


@pytest.mark.parametrize(
    ("audio", "rate", "text"),
    [
        (np.ones((2, 9000)), 16_000, r"mono.*\(2, 9000\)"),
        (np.r_[np.ones(9000), np.nan], 16_000, "audio must be finite; got '1 samples"),
        (np.zeros(9000), 16_000, "not be silent"),
        (np.ones(9000), 16_000, "not be silent"),
        (np.ones(959), 16_000, r"last 0.06 to 20.0 s; got '0.0599375 s'"),
        (np.ones(320_001), 16_000, r"last 0.06 to 20.0 s; got '20.0001 s'"),
        (np.ones(4000 * 1234, np.int8), 4_000, r"last 0.06 to 20.0 s; got '1234 s'"),
        (np.ones(9000), 0, "rate must be a whole number"),
        (tone(1000), 3_999, "rate must be a whole number from 4000 to 768000; got 3999"),
        (tone(1000), 768_001, "rate must be a whole number from 4000 to 768000; got 768001"),
        (np.ones(9000), 16_000.5, "rate must be a whole number"),
        (np.ones(9000, complex), 16_000, "integers or floats"),
    ],
)
def test_audio_that_cannot_be_heard_is_refused(audio, rate, text):
    with pytest.raises(InputError, match=text):
        InnerEar()(audio, rate)


def test_the_shortest_and_the_longest_utterance_are_heard():
    ear = InnerEar()
    assert [len(ear.prepare(tone(1000, seconds=s), 16_000)) for s in (0.06, 20.0)] == [2880, 960_000]


@pytest.mark.parametrize("arguments", [dict(seed=-1), dict(n_channels=1), dict(level=0), dict(ramp=0.1)])
def test_wrong_settings_are_refused(arguments):
    with pytest.raises(InputError, match=f"InnerEar.{next(iter(arguments))} must"):
        InnerEar(**arguments)


@pytest.mark.parametrize("threads", [1, 3])
def test_an_utterance_that_cannot_be_heard_is_named(threads):
    sounds = [(np.random.default_rng(0).standard_normal(1600), 16_000)] * 21 + [(np.ones(9), 16_000)]
    with pytest.raises(InputError, match=r"utterances\[21\]: audio must last 0\.06 to 20\.0 s; got"):
        InnerEar(seed=0).encode(sounds, threads)
