"""The compiled network: against the library's plain loops, threads, streams, its cache, its cost."""

import copy
import os
import pickle
import re
import subprocess
import sys
import threading
from dataclasses import replace
from typing import Any, NamedTuple

import export_networks
import numpy as np
import pytest
from numba import njit

from lava_1m1t1r import DeviceParams, StepParams, presets
from lava_1m1t1r._support import cores as cores_module
from lava_1m1t1r._support.cores import cores
from lava_1m1t1r._support.sources import sources_digest
from lava_1m1t1r.arithmetic import FIXED, FIXED_ARRAY, ONE
from lava_1m1t1r.benchmarks import networks
from lava_1m1t1r.compiled import compiled, named, plain
from lava_1m1t1r.description import CubaNeuron, Layer, M1T1RNeuron, NetDescription, check_frames
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.fast import FastNetwork, LayerRecord, Result, Stream, synapses
from lava_1m1t1r.fast.network import RunningLayer, events_of
from lava_1m1t1r.netx import hdf5
from lava_1m1t1r.reference_network import run as run_loops

FIG2 = presets.ZHAO2025_FIG2


def weights(rng, low, high, *shape):
    return (2 * rng.integers(low, high, shape)).astype(np.int32)


def made(rng, sizes=(13, 6), channels=17, noise=0.0, readout=True, recurrent=True):
    """A network of odd sizes with delays, and its neurons."""
    delay = lambda n: rng.integers(0, 63, n).astype(np.int32)  # noqa: E731
    layers, inputs = [], channels
    for i, n in enumerate(sizes):
        device = replace(FIG2, r_control=rng.uniform(1e8, 1e9, n), sigma1=noise, sigma2=noise)
        w = weights(rng, 0, 90, n, inputs) if i == 0 else weights(rng, 60, 127, n, inputs)
        extra = {"weight_rec": weights(rng, -20, 30, n, n), "delay_rec": delay(n)} if recurrent else {}
        kind = "dense_rec" if recurrent else "dense"
        bias = np.full(n, 300 * (i > 0), np.int32)  # just below what makes a neuron fire by itself
        layers.append(Layer(i, kind, (n,), inputs, w, bias=bias, delay=delay(n), neuron=M1T1RNeuron(StepParams(device), 5), **extra))
        inputs = n
    if readout:
        layers.append(Layer(len(sizes), "affine", (5,), inputs, weights(rng, -128, 128, 5, inputs)))
    return NetDescription(tuple(layers))


def frames(rng, batch=3, steps=150):
    return (rng.random((batch, steps, 17)) < 0.4).astype(np.uint8)


def dense(weight, bias=0):
    n, c = weight.shape
    return Layer(0, "dense", (n,), c, weight, bias=np.full(n, bias, np.int32), neuron=M1T1RNeuron(StepParams(FIG2)))


def test_frames_of_another_bin_width_are_refused_however_fast_the_device(rng):
    for scale in (1.0, 1e-5):  # steps of 1 ms and of 10 ns
        step = StepParams(FIG2.scaled(scale), dt=1e-3 * scale)
        net = NetDescription((Layer(0, "dense", (2,), 3, weights(rng, 0, 64, 2, 3), neuron=M1T1RNeuron(step)),))
        assert hdf5.predict(net, np.ones((1, 4, 3), int), dt=step.dt).shape == (1, 4, 2)
        with pytest.raises(InputError, match="be the network's step"):
            hdf5.predict(net, np.ones((1, 4, 3), int), dt=1.9 * step.dt)


def test_a_stream_names_itself():
    with pytest.raises(InputError, match=r"Stream.network must be a NetDescription or FastNetwork; got 'a.net'. Read it"):
        Stream("a.net")


def test_a_fast_network_runs_in_its_own_numbers(rng):
    net, x = made(rng), frames(rng)
    floating = FastNetwork(net, floating=True)
    assert hdf5.predict(floating, x, record="all").layers[0].states["filament"].dtype == np.float64
    assert np.array_equal(hdf5.predict(floating, x), hdf5.predict(net, x, tag="floating_pt"))
    for fast, tag in ((floating, "fixed_pt"), (FastNetwork(net), "floating_pt")):
        with pytest.raises(InputError, match="tag must be that of the FastNetwork"):
            hdf5.predict(fast, x, tag=tag)


def test_spikes_are_counted_only_where_they_were_recorded(rng):
    net, x = made(rng), frames(rng)
    for record in ("spikes", "all"):
        ran = FastNetwork(net).run(x, record=record)
        assert ran.spike_count == sum(int(layer.spikes.sum()) for layer in ran.layers[:2]) > 0
    with pytest.raises(InputError, match=r"hold the spikes that are counted; got 0. Run the network with FastNetwork.run and record='sp"):
        _ = FastNetwork(net).run(x).spike_count


def test_spikes_of_a_layer_that_were_not_recorded_are_not_counted():
    """As Lava's backends leave them: those of the other layers would pass for all."""
    out = np.ones((1, 2, 3), np.uint8)
    readout = LayerRecord(out.astype(np.int32), None, {})
    assert Result(readout.out, (LayerRecord(out, out, {}), readout)).spike_count == 6
    with pytest.raises(InputError, match="hold the spikes that are counted"):
        _ = Result(readout.out, (LayerRecord(out, None, {}), readout)).spike_count


def test_nothing_is_kept_that_nobody_asked_for(rng):
    fast, x = FastNetwork(made(rng, (7,), 3)), np.ones((2, 4, 3), int)
    kept = fast.run(x, record="spikes").layers[0]
    assert kept.spikes.shape == (2, 4, 7) and {state.shape for state in kept.states.values()} == {(2, 0, 7)}
    hidden, last = (layer.empty(2, 4, None, layer is fast.layers[-1]) for layer in fast.layers)
    assert hidden.out.shape == hidden.spikes.shape == (2, 0, 7) and last.out.shape == (2, 4, 5)


def test_networks_are_told_in_a_line(rng):
    net = made(rng)
    fast, stream = FastNetwork(net, floating=True), Stream(FastNetwork(net))
    stream.step(np.zeros(17, int))
    assert repr(net) == "NetDescription(17 inputs, dense_rec 13, dense_rec 6, affine 5)"
    assert repr(fast) == "FastNetwork(17-13R-6R-5, floating point)"
    assert repr(stream) == "Stream(FastNetwork(17-13R-6R-5, fixed point), after 1 steps)"


def test_counts_whose_sums_may_leave_32_bits_are_refused():
    """They wrap in integers and not in floating point. A count of few events, or of an input that reaches one neuron, is no danger."""
    wide = NetDescription((dense(np.full((1, 300), 254, np.int32), bias=3),))
    limit = (2**31 - 1 - 3) // (300 * 254)
    x = np.zeros((2, 3, 300), int)
    x[1, 2] = limit
    assert check_frames(x, wide).dtype == np.int16
    for refused in (lambda: FastNetwork(wide).run(x + 1), lambda: Stream(wide).step(x[1, 2] + 1)):
        with pytest.raises(InputError, match=f"frames must hold counts of at most {limit}, .*; got 'counts up to {limit + 1}, "):
            refused()
    x[1, 2, 1:] = 0
    x[1, 2, 0] = 32767
    FastNetwork(wide).run(x)
    single = Layer(0, "input", (300,), 300, np.array([254], np.int32), neuron=M1T1RNeuron(StepParams(FIG2)))
    FastNetwork(NetDescription((single,))).run(np.full((1, 2, 300), 32767))


@pytest.mark.parametrize(("largest", "kind"), [(255, np.uint8), (256, np.int16)])
def test_counts_are_held_by_a_byte_while_they_fit(largest, kind):
    frames = check_frames(np.array([[[0, largest]]]), NetDescription((dense(np.full((1, 2), 4, np.int32)),)))
    assert frames.dtype == kind and frames.ravel().tolist() == [0, largest]


@pytest.mark.parametrize("floating", (False, True))
def test_equals_the_plain_loops(rng, floating):
    net, x = made(rng, noise=1e-3), frames(rng)
    result = FastNetwork(net, floating).run(x, "all")
    for b in range(len(x)):
        runs = run_loops(net, x[b], fixed=not floating)
        for record, run in zip(result.layers, runs, strict=False):
            assert record.spikes[b].sum() > 5
            assert np.array_equal(record.spikes[b], run.traces.spike)
            for name, field in (("filament", "filament"), ("residue", "residue"), ("v_gate", "gate")):
                assert np.array_equal(record.states[name][b], getattr(run.traces, field)), name
        assert np.array_equal(result.out[b], result.layers[1].out[b].astype(int) @ net.layers[2].weight.T)


def test_output_is_the_spikes_shifted_and_delayed(rng):
    net = made(rng, readout=False)
    record = FastNetwork(net).run(frames(rng), "all").layers[-1]
    late = np.zeros_like(record.out)
    for n, d in enumerate(net.layers[-1].delay):
        late[:, 1 + d :, n] = record.spikes[:, : -1 - d, n]
    assert late.any()
    assert np.array_equal(record.out, late)


def test_counts_are_spikes_at_once(rng):
    """Two spikes in a channel weigh as much as one spike in each of two channels with its weights."""
    net = made(rng, readout=False)
    first = replace(net.layers[0], inputs=34, weight=np.hstack([net.layers[0].weight] * 2))
    x, y = frames(rng), frames(rng)
    double = FastNetwork(NetDescription((first, *net.layers[1:]))).run(np.concatenate([x, y], 2)).out
    assert np.array_equal(FastNetwork(net).run(x + y).out, double)


def test_weights_are_held_in_as_few_bytes_as_they_need(rng):
    """And the sums are the same: odd and even 8-bit weights, and larger ones, which no file of lava-dl holds."""
    drawn = rng.integers(-128, 128, (50, 64))
    odd = np.clip(2 * drawn + 1, -255, 253)  # a byte would hold their halves
    for weights, kind, unit in ((drawn, np.int8, 1), (2 * drawn, np.int8, 2), (odd, np.int16, 1), (drawn[:0], np.int8, 1)):
        rows = synapses.narrow(weights)
        assert rows.rows.dtype == kind and rows.unit == unit and np.array_equal(rows.unit * rows.rows.astype(int), weights)
        source = rng.integers(0, 50, 23 if len(weights) else 0).astype(np.int32)
        count = rng.integers(1, 300, source.size).astype(np.int32)
        for given, times in ((count, count), (None, np.ones_like(count))):
            current = np.full(64, 7, np.int32)
            synapses.add_rows(rows.rows, rows.unit, source, given, 0, source.size, current)
            np.testing.assert_array_equal(current, 7 + times @ weights[source])


def test_threads_and_neighbours_change_nothing(rng):
    net, x = made(rng, noise=1e-3), frames(rng, batch=7)
    fast = FastNetwork(net)
    alone = np.concatenate([fast.run(x[b : b + 1]).out for b in range(7)])
    for threads in (1, 2, 5):
        assert np.array_equal(fast.run(x, threads=threads).out, alone)


def test_two_samples_run_at_the_same_time(rng, monkeypatch):
    fast, met = FastNetwork(made(rng)), threading.Barrier(2, timeout=60)
    run_sample = FastNetwork._run_sample

    def meeting(self, x, records, b):
        met.wait()  # each waits for the other: breaks where they come one after the other
        run_sample(self, x, records, b)

    monkeypatch.setattr(FastNetwork, "_run_sample", meeting)
    fast.run(frames(rng, batch=2), threads=2)


def test_cores_are_those_that_this_process_may_run_on(monkeypatch):
    monkeypatch.setattr(cores_module, "granted", lambda: 64)  # whatever this machine's container is granted
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {5, 7, 8}, raising=False)
    assert cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert cores() == 6


@pytest.mark.parametrize(
    ("told", "granted"),
    [
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu.max": "garbage\n"}, None),
        ({}, None),
    ],
)
def test_cores_are_those_whose_time_a_container_is_granted(told, granted, tmp_path, monkeypatch):
    (tmp_path / "cpu").mkdir()
    for name, text in told.items():
        (tmp_path / name).write_text(text)
    found = cores_module.granted(str(tmp_path))
    monkeypatch.setattr(cores_module, "granted", lambda: found)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(64)), raising=False)
    assert cores() == (granted or 64)


def test_networks_run_in_several_threads_at_once(rng):
    fast, x = FastNetwork(made(rng)), frames(rng)
    expected, seen = fast.run(x, threads=1).out, []
    users = [threading.Thread(target=lambda: seen.append(fast.run(x, threads=2).out)) for _ in range(3)]
    for user in users:
        user.start()
    for user in users:
        user.join(60)
    assert len(seen) == 3 and all(np.array_equal(out, expected) for out in seen)


@pytest.mark.parametrize("floating", [False, True])
def test_layers_in_use_share_nothing_that_is_written(floating, rng):
    """Threads would write into each other's input."""
    layer = FastNetwork(made(rng), floating).layers[0]
    written = [[*run.neuron.state, run.neuron.generator, run.neuron.v_in, *run.memory] for run in map(RunningLayer, (layer, layer))]
    assert not any(np.shares_memory(a, b) for a, b in zip(*written, strict=True))


@pytest.mark.parametrize("common", (None, 0, 62))
@pytest.mark.parametrize("readout", (False, True))
def test_stream_equals_the_batch(rng, readout, common):
    net, x = made(rng, noise=1e-3, readout=readout), frames(rng, batch=2)
    if common is not None:  # one delay for all neurons
        layers = [replace(layer, delay=np.full(layer.size, common, np.int32)) if layer.neuron else layer for layer in net.layers]
        net = NetDescription(tuple(layers))
    fast = FastNetwork(net)
    result = fast.run(x, "all")
    stream = Stream(fast)
    for b in range(2):
        assert np.array_equal([stream.step(frame) for frame in x[b]], result.out[b])
        for held, record in zip(stream.states(), result.layers, strict=True):
            for name, state in held.items():
                assert np.array_equal(state, record.states[name][b, -1])
        stream.reset()


def test_a_voltage_readouts_stream_equals_the_batch(rng):
    net, x = made(rng, readout=False), frames(rng, batch=1)
    readout = Layer(2, "dense", (5,), 6, weights(rng, -128, 128, 5, 6), neuron=CubaNeuron(1024, 128, 1 << 17))
    fast = FastNetwork(NetDescription((*net.layers, readout)))
    stream, out = Stream(fast), fast.run(x).out[0]
    assert len(np.unique(out)) > 100 and np.array_equal([stream.step(frame) for frame in x[0]], out)


@pytest.mark.parametrize("delays", [True, False])
def test_due_spikes_do_not_need_the_frame(delays, rng):
    """And those that were kept stay as they were, whatever leaves later."""
    net, x = made(rng, readout=False), frames(rng, 1, 150)
    if not delays:
        net = replace(net, layers=tuple(replace(layer, delay=None) for layer in net.layers))
    stream = Stream(net)
    found = [(stream.due(), stream.step(frame)) for frame in x[0]]
    assert all(np.array_equal(due, sent) for due, sent in found)
    assert np.array_equal([sent for _, sent in found], FastNetwork(net).run(x).out[0])


@pytest.mark.parametrize("readout", [False, True])
def test_a_streams_output_has_the_type_of_the_batchs(readout, rng):
    fast = FastNetwork(made(rng, readout=readout))
    stream, kind = Stream(fast), fast.run(np.ones((1, 2, 17), int)).out.dtype
    assert kind == (np.int32 if readout else np.uint8) and stream.step(np.ones(17, int)).dtype == kind
    assert readout or stream.due().dtype == kind


def test_a_stream_takes_one_step_at_a_time(rng):
    stream = Stream(made(rng))
    for frame in (np.zeros((1, 17), int), np.zeros((17, 1), int), np.int64(0), np.zeros(16, int)):
        with pytest.raises(InputError, match=rf"frame must have shape \(17,\): one step of .* channels; got {re.escape(str(frame.shape))}"):
            stream.step(frame)


def test_a_stream_that_was_reset_counts_its_steps_anew(rng):
    stream = Stream(made(rng))
    stream.step(np.zeros(17, int))
    stream.reset()
    assert stream.steps == 0 and repr(stream).endswith("after 0 steps)")


def test_a_bias_of_cuba_neurons_adds_to_the_voltage_in_weight_counts():
    layer = Layer(0, "dense", (2,), 1, np.full((2, 1), 2), bias=np.array([100, -3]), neuron=CubaNeuron(0, 0, 250))
    states = FastNetwork(NetDescription((layer,))).run(np.zeros((1, 3, 1), int), "all").layers[0].states
    assert states["v"][0].tolist() == [[100 << 6, -3 << 6], [200 << 6, -6 << 6], [0, -9 << 6]]  # 300 is above the threshold
    assert not states["u"].any()


def test_the_bias_of_cuba_input_neurons_goes_into_the_current():
    """As in Lava, where the layer has one weight for all."""
    neuron = CubaNeuron(4096, 4096, 1 << 16)  # nothing is kept from step to step
    layer = Layer(0, "input", (3,), 3, np.array([4], np.int32), bias=np.array([10, 20, -30], np.int32), neuron=neuron)
    states = FastNetwork(NetDescription((layer,))).run(np.ones((1, 2, 3), int), "all").layers[0].states
    assert states["u"].tolist() == states["v"].tolist() == [[[14 << 6, 24 << 6, -26 << 6]] * 2]
    layer = replace(layer, kind="dense", weight=np.eye(3, dtype=np.int32) * 4)
    states = FastNetwork(NetDescription((layer,))).run(np.ones((1, 2, 3), int), "all").layers[0].states
    assert states["u"].tolist() == [[[4 << 6] * 3] * 2] and states["v"].tolist() == [[[14 << 6, 24 << 6, -26 << 6]] * 2]


def test_cuba_wraps_and_clips_as_lava_does():
    """Currents leave 24 bits: Lava's own arithmetic, from its source, on the edges."""
    size, steps = 9, 60
    rng = np.random.default_rng(0)
    neuron = CubaNeuron(0, 4096, (1 << 17) - 1)  # the current adds up for ever; the voltage is the current
    w = np.array([[254], [-256], [250], [-100], [2], [0], [128], [-128], [64]], np.int32)
    x = rng.integers(0, 3000, (1, steps, 1))
    x[0, :2] = 512  # one of them takes a current to the lower edge itself, both another one to the upper
    states = FastNetwork(NetDescription((Layer(0, "dense", (size,), 1, w, neuron=neuron),))).run(x, "all").layers[0].states
    u, half = np.zeros(size, np.int64), 1 << 23
    for t in range(steps):
        u = u + (w[:, 0] * x[0, t, 0] << 6)
        u = np.where(u > half, u - 2 * half, np.where(u <= -half, u + 2 * half, u))
        assert np.array_equal(states["u"][0, t], u)
        v = np.clip(u, 1 - half, half - 1)
        assert np.array_equal(states["v"][0, t], np.where(v > neuron.threshold << 6, 0, v))
    assert (np.abs(states["u"]) > 1 << 22).any()


@pytest.mark.parametrize(
    "bad, text",
    [
        (np.zeros((3, 17)), "shape"),
        (np.zeros((1, 3, 16)), "17 channels"),
        (np.zeros((0, 3, 17)), "at least one"),
        (np.full((1, 3, 17), 0.5), "whole"),
        (np.full((1, 3, 17), np.nan), "whole"),
        (np.full((1, 3, 17), -1), "whole"),
        (np.full((1, 3, 17), 1 << 15), "whole"),
        (np.eye(17)[None] * -2.5, r"whole spike counts from 0 to 32767; got array\(\[-2.5\]\)"),  # the value that is wrong, not zeros
        (np.full((1, 3, 17), "a"), "numbers"),
    ],
)
def test_frames_are_checked(bad, text):
    with pytest.raises(InputError, match=text):
        check_frames(bad, NetDescription((dense(np.ones((2, 17), np.int32)),)))


@pytest.mark.parametrize("kind", (bool, np.uint8, np.int64, np.float32))
def test_frames_of_any_number_type(rng, kind):
    net, x = made(rng), frames(rng)
    assert np.array_equal(FastNetwork(net).run(x.astype(kind)).out, FastNetwork(net).run(x).out)


def test_cuba_has_no_floating_point(rng):
    net = NetDescription((Layer(0, "dense", (2,), 3, weights(rng, -9, 9, 2, 3), neuron=CubaNeuron(0, 0, 8)),))
    with pytest.raises(InputError, match="layer/0"):
        FastNetwork(net, floating=True)


def test_machine_code_is_keyed_by_all_its_sources(tmp_path, monkeypatch):
    """Another digest misses the cache; the same one hits it, in a new interpreter."""
    code = (
        "import numpy as np, lava_1m1t1r.cached as c\n"
        "{patch}\n"
        "import lava_1m1t1r.fast.kernels as k\n"
        "k.send(np.zeros((3, 2), np.uint8), np.zeros(2, np.int32), np.zeros((3, 2), np.uint8))\n"
        "print(sum(k.send.stats.cache_hits.values()), sum(k.send.stats.cache_misses.values()))"
    )
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    counts = []
    for patch in ("", "", "c.sources_digest = lambda: 'other'"):
        done = subprocess.run([sys.executable, "-c", code.format(patch=patch)], capture_output=True, text=True, timeout=220)
        counts.append(done.stdout.split())
    assert counts == [["0", "1"], ["1", "0"], ["0", "1"]]
    assert len(sources_digest()) == 64


def test_loops_are_compiled_where_nothing_can_be_kept():
    """An installation that is read-only, and no home: numba's own cache refuses to be imported there."""
    modules = ", ".join(f"lava_1m1t1r.{m}" for m in ("fast.kernels", "datasets.nerve", "datasets.membrane", "device.integrator"))
    code = f"from numba.core.caching import CacheImpl as c; c._locator_classes = []; import {modules}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=220)
    assert done.returncode == 0, done.stderr


def test_silence_takes_the_same_course(rng):
    """Steps without any input voltage skip the tables; the states are those of the full step, from excited to rest."""
    net = made(rng, sizes=(13,), readout=False, recurrent=False)
    x = frames(rng, 1, 400)
    x[:, 60:] = 0
    record = FastNetwork(net).run(x, "all").layers[0]
    plain = run_loops(net, x[0])[0].traces
    assert record.states["v_gate"][0, 59].any() and not record.states["filament"][0, -1].any()
    for name, field in (("filament", "filament"), ("residue", "residue"), ("v_gate", "gate")):
        assert np.array_equal(record.states[name][0], getattr(plain, field)), name


def test_noise_goes_on_while_nothing_arrives():
    step = StepParams(replace(FIG2, sigma1=1e-3, sigma2=1e-3))
    layer = replace(dense(np.full((5, 3), 250, np.int32)), neuron=M1T1RNeuron(step, 5))
    net, x = NetDescription((layer,)), np.zeros((1, 40, 3), int)
    x[:, :10] = x[:, 30:] = 1
    found, loops = FastNetwork(net).run(x, "all").layers[0], run_loops(net, x[0])[0].traces
    assert np.ptp(found.states["residue"][0, 29]) > 0 and np.array_equal(found.spikes[0], loops.spike)
    for name, field in (("filament", "filament"), ("residue", "residue"), ("v_gate", "gate")):
        assert np.array_equal(found.states[name][0], getattr(loops, field)), name


def test_curves_are_read_alike_at_every_gap():
    """The compiled loops may find a gap's octave by counting zeros, numpy by comparisons."""
    program = StepParams(FIG2).fixed(1)
    charge = FIXED.charge

    @njit
    def compiled_charge(x, program, out):
        for i in range(x.size):
            out[i] = charge(x[i], 1 << 22, program)

    x = np.arange(ONE + 1)
    out = np.empty_like(x)
    compiled_charge(x, program, out)
    assert np.array_equal(out, FIXED_ARRAY.charge(x, np.int64(1 << 22), program))


def test_what_is_due_is_spikes(rng):
    net = export_networks.network("noisy_unequal_with_readout", rng)
    with pytest.raises(InputError, match="network must have spikes as its output; got 'affine'"):
        Stream(net).due()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "densse"}, "layer/0 must be of a kind among input, flatten, .*; got 'densse'"),
        ({"delay": np.full(7, -50_000_000, np.int32)}, r"layer/0 delay must lie in 0\.\.62; got \(-50000000, -50000000\)"),
        ({"delay_rec": np.full(7, 63, np.int32)}, r"layer/0 delay_rec must lie in 0\.\.62"),
        ({"delay": np.full(3, 5, np.int32)}, r"layer/0 delay must have shape \(7,\); got \(3,\)"),
        ({"delay": [1] * 7}, "layer/0 delay must be an array of whole numbers"),
        ({"weight": [[1, 2, 3, 4], [1]]}, "layer/0 weight must be an array of whole numbers"),
        ({"bias": np.ma.masked_array([100] * 7, [1] * 7)}, "layer/0 bias must be an array of whole numbers"),
        ({"weight": np.full((7, 4), 2).view(np.matrix)}, "layer/0 weight must be an array of whole numbers"),
        ({"inputs": 4_000_000}, r"layer/0 weight must have shape \(7, 4000000\)"),
        ({"weight": np.full((7, 4), 40_000, np.int32)}, r"layer/0 weight must lie in -32767\.\.32767"),
        ({"weight": np.full((7, 4), 2.0)}, "layer/0 weight must be an array of whole numbers"),
        ({"weight": None, "kind": "average"}, "layer/0 must divide its 4 inputs evenly; got 7"),
        ({"bias": np.zeros(6, np.int32)}, r"layer/0 bias must have shape \(7,\)"),
        ({"bias": np.full(7, 2**31 - 9, np.int64)}, "layer/0 must have sums of at most 2147483647 counts under spikes"),
        ({"neuron": CubaNeuron(np.full(3, 9), 9, 80)}, "layer/0 neuron current_decay must hold one whole number from 0 to 4096, or 7"),
        ({"neuron": CubaNeuron(9, 5000, 80)}, "layer/0 neuron voltage_decay must hold"),
        ({"neuron": CubaNeuron(np.ma.masked_array([9] * 7, [1] * 7), 9, 80)}, r"current_decay must hold .*; got masked_array"),
        ({"neuron": CubaNeuron(9, 9, 2**26)}, "layer/0 neuron threshold must be a whole number from 0 to 33554431"),
        ({"neuron": CubaNeuron(9, 9, True)}, "layer/0 neuron threshold must be a whole number from 0 to 33554431; got True"),
        ({"neuron": CubaNeuron(9, 9, 80), "bias": np.full(7, 2**26)}, r"layer/0 bias must lie in -33554431\.\.33554431"),
        ({"neuron": M1T1RNeuron(StepParams(replace(FIG2, mu=np.full(3, 50.0))))}, "layer/0 neuron must hold one device or 7; got 3"),
        (
            {"shape": (2**20 + 1,), "inputs": 1, "weight": np.zeros((2**20 + 1, 1), np.int8)},
            "layer/0 must have at most 1048576 neurons; got 1048577",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_networks_made_by_hand_are_checked(changes, words):
    """Compiled loops do not look where they read."""
    layer = Layer(0, "dense", (7,), 4, np.full((7, 4), 200, np.int32), neuron=M1T1RNeuron(StepParams(FIG2)))
    FastNetwork(NetDescription((layer,)))
    with pytest.raises(InputError, match=words):
        FastNetwork(NetDescription((replace(layer, **changes),)))


@pytest.mark.parametrize("kind", ["dense", "dense_rec"])
def test_a_layer_of_sums_is_an_affine_one(kind):
    """A file would give another layer back, or none."""
    layer = Layer(0, kind, (7,), 4, np.full((7, 4), 200, np.int32))
    with pytest.raises(InputError, match=f"layer/0 kind must be another one .*; got '{kind}'. Write it with kind='affine'"):
        FastNetwork(NetDescription((layer,)))
    FastNetwork(NetDescription((replace(layer, kind="affine"),)))


def test_chains_made_by_hand_are_checked():
    layer = Layer(0, "dense", (7,), 4, np.full((7, 4), 200, np.int32), neuron=M1T1RNeuron(StepParams(FIG2)))
    with pytest.raises(InputError, match="layer/1 must have 7 inputs, as many as the layer before it has outputs; got 4"):
        FastNetwork(NetDescription((layer, replace(layer, index=1))))
    with pytest.raises(InputError, match="layer/0 must be the last layer, because its output is not spikes"):
        FastNetwork(NetDescription((replace(layer, neuron=None), replace(layer, index=1, inputs=7, weight=np.ones((7, 7), np.int32)))))
    with pytest.raises(InputError, match="network must hold a layer that computes something"):
        FastNetwork(NetDescription(()))
    with pytest.raises(InputError, match="layer/1 must be of a kind among .*; got 'unpool'"):
        FastNetwork(NetDescription((layer, Layer(1, "unpool", (7,), 7))))


def test_decays_may_be_narrow_numbers():
    """numpy 2 has no 4096 in uint8."""
    decays = np.arange(1, 8) * 30
    frames = np.random.default_rng(0).integers(0, 2, (2, 40, 4))
    out = []
    for kind in (np.int32, np.uint8, np.dtype(">u2")):
        neuron = CubaNeuron(decays.astype(kind), decays[::-1].astype(kind), 400)
        layer = Layer(0, "dense", (7,), 4, np.full((7, 4), 200, np.int32), neuron=neuron)
        out.append(FastNetwork(NetDescription((layer,))).run(frames).out)
    assert out[0].any() and np.array_equal(out[0], out[1]) and np.array_equal(out[0], out[2])


@pytest.mark.parametrize("name", ["inputs", "outputs", "spiking", "sizes", "first_sums"])
@pytest.mark.parametrize(
    "layer", [Layer(0, "flatten", (8,), 8), Layer(0, "delay_lines", (8,), 8, delay=np.arange(8))], ids=lambda x: x.kind
)
def test_a_network_that_computes_nothing_says_so_whatever_it_is_asked(layer, name):
    with pytest.raises(InputError, match=rf"network must hold a layer that computes something; got \['{layer.kind}'\]"):
        getattr(NetDescription((layer,)), name)


def test_devices_that_no_integer_holds_run_in_floating_point():
    """So the network is none that nothing can run."""
    neuron = M1T1RNeuron(StepParams(presets.ZHAO2025_TABLE8))
    net = NetDescription((Layer(0, "dense", (3,), 2, np.full((3, 2), 250, np.int32), neuron=neuron),))
    net.check()
    assert FastNetwork(net, floating=True).run(np.full((1, 8, 2), 4)).out.any()
    with pytest.raises(InputError, match=r"DeviceParams.beta must lie between"):
        FastNetwork(net)


def test_delays_of_lines_made_by_hand_are_checked():
    lines = Layer(0, "delay_lines", (8,), 4, delay=np.arange(8.0))
    layer = Layer(1, "dense", (7,), 8, np.full((7, 8), 200, np.int32), neuron=M1T1RNeuron(StepParams(FIG2)))
    with pytest.raises(InputError, match=r"layer/0 \(delay_lines\) delay must be an array of whole numbers"):
        FastNetwork(NetDescription((lines, layer)))


def test_true_is_one_spike_whatever_its_byte():
    mask = np.array([[[0, 255, 2, 1]] * 3], np.uint8)
    layer = Layer(0, "affine", (1,), 4, np.array([[1, 2, 4, 8]], np.int32))
    assert FastNetwork(NetDescription((layer,))).run(mask.view(bool)).out.tolist() == [[[14]] * 3]


_MASKED = np.ma.masked_equal([[[0, 1, 1, 1]]], 1)


@pytest.mark.parametrize("frames", [_MASKED, [_MASKED[0]], ([_MASKED[0, 0]],), [[[0, 1], [1]]]])
def test_masked_and_ragged_frames_are_refused(frames):
    layer = Layer(0, "dense", (7,), 4, np.full((7, 4), 200, np.int32), neuron=M1T1RNeuron(StepParams(FIG2)))
    with pytest.raises(InputError, match="frames must hold numbers"):
        FastNetwork(NetDescription((layer,))).run(frames)


class _Inner(NamedTuple):
    even: Any
    odd: Any


class _Outer(NamedTuple):
    inner: _Inner
    scale: int


def test_plain_tuples_get_their_names_back():
    """Arrays of one type within one of several: numba keeps them otherwise."""
    values = _Outer(_Inner(np.array([2, 4]), np.array([3, 5])), 10)
    assert [type(values), type(values.inner)] == [_Outer, _Inner] and type(plain(values)) is type(plain(values)[0]) is tuple

    @compiled
    def second(given):
        outer = named(_Outer, given)
        return outer.inner.odd[1] * outer.scale

    assert second(plain(values)) == 50


@pytest.mark.parametrize("copied", (copy.copy, copy.deepcopy, lambda stream: pickle.loads(pickle.dumps(stream))))
def test_a_copied_stream_goes_on_by_itself(copied, rng):
    net = FastNetwork(export_networks.network("behind_delay_lines", rng))
    frames = (rng.random((60, net.inputs)) < 0.4).astype(np.uint8)
    one = Stream(net)
    for frame in frames[:20]:
        one.step(frame)
    other = copied(one)
    ahead = [other.step(frame) for frame in frames[20:]]
    assert np.array_equal(ahead, [one.step(frame) for frame in frames[20:]])
    shares = [other.network is net, other._layers[0].run.fast is one._layers[0].run.fast]
    assert copied is not copy.copy or all(shares)  # weights and tables
    assert np.array_equal(ahead, net.run(frames[None]).out[0, 20:])


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (
            (2, 6, 30),
            r"frames must have 6 channels.*got \(2, 6, 30\)\. Time is in the middle here; blocks have it last: transpose",
        ),
        ((2, 30, 7), r"frames must have 6 channels, as the network's input; got \(2, 30, 7\)\.$"),
        ((2, 1, 2, 3, 30), r"frames must have shape \(B, T, C\).* frames\.reshape\(B, C \* H \* W, T\)\.transpose\(0, 2, 1\)"),
    ],
)
def test_frames_with_their_axes_elsewhere_are_told_how_to_turn(shape, words):
    net = networks.drawn((6, 5, 2))
    with pytest.raises(InputError, match=words):
        FastNetwork(net).run(np.zeros(shape, np.uint8))


def test_a_stream_refuses_counts_that_delay_lines_bring_together():
    """Each of the frames is small enough alone; in 32 bits their sum would turn negative, and the neuron would get nothing."""
    channels = 700
    weight = np.zeros((1, 2 * channels), np.int32)
    weight[0, : channels + 1] = 254
    lines = Layer(0, "delay_lines", (2 * channels,), channels, delay=np.repeat([0, 1], channels))
    net = NetDescription((lines, Layer(1, "dense", (1,), 2 * channels, weight, neuron=M1T1RNeuron(StepParams(DeviceParams())))))
    burst, chorus = np.zeros(channels, int), np.full(channels, net.active[0].sums().limit())
    burst[0], chorus[0] = 2**15 - 1, 0
    rule = "frames must hold counts of at most"
    with pytest.raises(InputError, match=rule):
        FastNetwork(net).run(np.stack([burst, chorus])[None])
    stream, quiet = Stream(net), np.zeros(channels, int)
    stream.step(burst)
    with pytest.raises(InputError, match=rule):
        stream.step(chorus)
    followed = [stream.step(frame)[0] for frame in (quiet, quiet, quiet)]  # as if the refused frame had never been
    expected = FastNetwork(net).run(np.stack([burst, quiet, quiet, quiet])[None], "all")
    assert followed == expected.out[0, 1:, 0].tolist()
    assert all(state == expected.layers[0].states[name][0, -1] for name, state in stream.states()[0].items())


def test_a_stream_goes_on_from_a_reset_alone_after_a_step_that_was_broken_off(rng, monkeypatch):
    """Some of its layers have done the step, and others have not: what followed was the output of neither course."""
    net = FastNetwork(export_networks.network("behind_delay_lines", rng))
    frames = (rng.random((20, net.inputs)) < 0.4).astype(np.uint8)
    stream, wanted = Stream(net), net.run(frames[None]).out[0]
    for frame in frames[:10]:
        stream.step(frame)
    before = copy.copy(stream)

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(stream._layers[-1]), "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            stream.step(frames[10])
    for late in (lambda: stream.step(frames[10]), lambda: copy.copy(stream).step(frames[10]), stream.due):
        with pytest.raises(InputError, match="Stream must have ended its last step; .* broken off.* reset"):
            late()
    assert np.array_equal([before.step(frame) for frame in frames[10:]], wanted[10:])
    stream.reset()
    assert np.array_equal([stream.step(frame) for frame in frames], wanted)


@pytest.mark.parametrize("channels", [1, 15, 16, 17, 63, 64, 65, 80, 127, 128, 200])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
def test_events_are_the_cells_that_are_not_zero(channels, dtype, rng):
    """Cells are looked at 64 at a time, and 16 at a time within these; the last of a row one by one."""
    for share in (0.0, 0.1, 1.0):
        frames = ((rng.random((7, channels)) < share) * rng.integers(1, 256, (7, channels))).astype(dtype)
        events = events_of(frames)
        steps, source = np.nonzero(frames)
        assert np.array_equal(events.source, source) and np.array_equal(events.count, frames[steps, source])
        assert np.array_equal(events.offset, np.searchsorted(steps, np.arange(8)))


def test_a_law_steeper_than_the_exponential_is_refused_in_floating_point():
    steep = M1T1RNeuron(StepParams(replace(FIG2, v0=FIG2.v_ref / 800)))
    net = NetDescription((Layer(0, "dense", (1,), 1, np.array([[2]], np.int32), neuron=steep),))
    with pytest.raises(InputError, match="v0"):
        FastNetwork(net, floating=True)
