"""The memory and the threads of training blocks: what is used again, what is kept, and what is turned round."""

import copy
import gc
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from training_blocks import FIG2, NEURON, spikes, torch

from lava_1m1t1r.slayer import block, projection, threads, weight_kernels
from lava_1m1t1r.slayer.buffers import Buffers


def test_spikes_do_not_depend_on_the_number_of_threads():
    torch.manual_seed(0)
    net, x, before = block.m1t1r.Recurrent(NEURON, 30, 40), spikes(7, 30, 25), torch.get_num_threads()
    results = []
    for count in (1, 2):
        torch.set_num_threads(count)
        net.zero_grad()
        y = net(x)
        y.sum().backward()
        results.append([y.detach(), net.input_synapse.weight.grad, net.recurrent_synapse.weight.grad])
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_memory_used_again_is_not_memory_in_use():
    """A graph that is kept has its gradients, whatever other layers of the same sizes have done since."""
    torch.manual_seed(0)
    net, x = block.m1t1r.Recurrent(NEURON, 20, 30, bias=False), spikes(4, 20, 40)
    total = (net(x) * torch.linspace(0, 1, 40)).sum()
    first = torch.autograd.grad(total, list(net.parameters()), retain_graph=True)
    for seed in range(4):
        other = block.m1t1r.Recurrent(NEURON, 20, 30, bias=False)
        other(spikes(4, 20, 40, seed=seed)).sum().backward()
        with torch.no_grad():
            other(spikes(4, 20, 40, seed=seed + 9))
    for a, b in zip(first, torch.autograd.grad(total, list(net.parameters())), strict=True):
        assert torch.equal(a, b) and a.abs().sum() > 0


def test_memory_comes_back_while_it_is_taken():
    """The garbage collector may run anywhere, in the middle of taking memory too."""
    threshold = gc.get_threshold()
    gc.set_threshold(3)
    try:
        for _ in range(3000):
            circle = [Buffers()]
            circle.append(circle)
            circle[0].empty((100,), np.float32)
    finally:
        gc.set_threshold(*threshold)
    one = Buffers()
    memory = one.empty((12345,), np.float32).ctypes.data
    del one
    assert Buffers().empty((12345,), np.float32).ctypes.data == memory


@pytest.mark.parametrize("noisy", [False, True])
def test_without_gradients_the_same_spikes_come_from_less_memory(noisy, monkeypatch):
    """States of every step are kept for a backward pass, or to be looked at, alone."""
    params = {**NEURON, "params": replace(FIG2, sigma1=0.01, sigma2=0.01) if noisy else FIG2, "persistent_state": True}
    torch.manual_seed(0)
    net = block.m1t1r.Recurrent(params, 20, 30, delay_rec=5).eval()
    kept, empty = [], Buffers.empty
    monkeypatch.setattr(Buffers, "empty", lambda self, shape, dtype: (kept.append(shape), empty(self, shape, dtype))[1])
    first, second = spikes(3, 20, 70, rate=0.4), spikes(3, 20, 50, rate=0.4, seed=1)
    found = {}
    for grad in (True, False):
        mine = copy.deepcopy(net)
        with torch.set_grad_enabled(grad):
            found[grad] = [mine(x).detach() for x in (first, second)]
        history = [shape for shape in kept if len(shape) == 4]
        assert {shape[1] for shape in history} == ({71, 51} if grad else {1})
        kept.clear()
    assert all(torch.equal(a, b) and a.any() for a, b in zip(found[True], found[False], strict=True))
    net.neuron.record_states = True
    with torch.no_grad():
        net(first)
    assert net.neuron.states.filament.shape == (3, 30, 70) and {shape[1] for shape in kept if len(shape) == 4} == {71}


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_buffers_that_were_never_begun_end_in_peace():
    """torch.compile makes such."""
    made = Buffers.__new__(Buffers)
    del made
    gc.collect()


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (16, 16), (17, 33), (64, 48), (100, 32)])
@pytest.mark.parametrize("real", [np.float32, np.float64])
def test_matrices_are_turned_round_whole(shape, real, rng):
    """Blocks, and what is left beside them."""
    w = (rng.integers(-256, 255, shape) / 64).astype(real)
    counts, scratch = np.empty(shape[::-1], np.int16), np.empty(weight_kernels.CELLS, real)
    assert weight_kernels.turn_counts(w, real(64), counts, scratch, 0, shape[1]) == np.abs(64 * w).max()
    assert np.array_equal(counts, 64 * w.T)
    for value in (np.nan, np.inf):
        w[-1, -1] = value
        assert not np.isfinite(weight_kernels.turn_counts(w, real(64), counts, scratch, 0, shape[1]))
    grad, inside = rng.standard_normal(shape[::-1]).astype(real), rng.random(shape) < 0.7
    out = np.empty(shape, real)
    weight_kernels.turn_masked(grad, inside.view(np.uint8), out, scratch, 0, shape[0])
    assert np.array_equal(out, grad.T * inside)


def test_large_counts_of_weights_take_32_bits():
    w = torch.tensor([[40000 / 64, -1.0]])
    assert projection.counts_by_input(w).dtype == np.int32 and projection.counts_by_input(w).tolist() == [[40000], [-64]]


def test_work_that_is_cut_short_waits_for_what_other_threads_still_do(monkeypatch):
    """They write into arrays that the next call takes."""
    monkeypatch.setattr(threads, "thread_count", lambda: 3)
    here, begun, done = threading.get_ident(), threading.Event(), []

    def work(i):
        if threading.get_ident() == here:
            begun.wait(10)
            raise KeyboardInterrupt
        begun.set()
        running.add(i)
        time.sleep(0.05)
        running.remove(i)
        done.append(i)

    running = set()
    with pytest.raises(KeyboardInterrupt):
        threads.share(work, [(i,) for i in range(50)])
    assert not running and 0 < len(done) < 50
