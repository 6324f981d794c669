"""The memory and the threads of training blocks: what is used again, what is kept, and what is turned round."""

import copy
import gc
import threading
import time
import weakref
from dataclasses import replace

import numpy as np
import pytest
from training_blocks import FIG2, NEURON, nodes, spikes, torch

from lava_1m1t1r.program import StepParams
from lava_1m1t1r.slayer import block, buffers, layer, projection, threads, weight_kernels


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


def test_gradients_do_not_depend_on_the_parts_that_a_batch_is_cut_into(monkeypatch):
    """Small batches are one part; here also of counts, delays and devices that learn."""
    torch.manual_seed(0)
    hidden = block.m1t1r.Recurrent({**NEURON, "learn": ("mu", "r_control")}, 20, 30, delay_rec=np.arange(30) % 4)
    net = torch.nn.Sequential(hidden, block.m1t1r.Affine(None, 30, 4)).double()
    x = (spikes(19, 20, 30) * torch.randint(1, 4, (19, 20, 30))).double().requires_grad_(True)
    found = []
    for least in (1 << 30, 1):  # cells of a part
        monkeypatch.setattr(threads, "_LEAST", least)
        y = net(x)
        found.append([y.detach(), *torch.autograd.grad((y * torch.linspace(-1, 1, 30)).sum(), [x, *net.parameters()])])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
        assert a.any()


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
            circle = [buffers.borrowed((100,), np.float32)]
            circle.append(circle)
    finally:
        gc.set_threshold(*threshold)
    one = buffers.borrowed((12345,), np.float32)
    memory = one.ctypes.data
    view = torch.from_numpy(one)[3:]
    del one
    other = buffers.borrowed((12345,), np.float32)
    assert other.ctypes.data != memory  # which is still lent
    del view
    assert buffers.borrowed((12345,), np.float32).ctypes.data == memory


def test_memory_that_nobody_asks_for_again_is_not_kept():
    lent = [buffers.borrowed((1 << 20,), np.uint8) for _ in range(40)]
    lent.clear()
    assert len(buffers._returned) + len(buffers._waiting) <= 2 * buffers._MOST


def arrays_of(thing, seen=None):
    """Arrays that an object's attributes lead to, but for those of devices and steps, which calls share."""
    seen = {} if seen is None else seen
    if id(thing) in seen or isinstance(thing, StepParams):
        return
    seen[id(thing)] = thing
    if isinstance(thing, np.ndarray):
        yield thing
    elif isinstance(thing, dict):
        for key, value in thing.items():
            yield from arrays_of(value, seen) if key not in ("program", "made") else ()
    elif isinstance(thing, (list, tuple)):
        fields = getattr(thing, "_fields", range(len(thing)))
        yield from arrays_of(dict(zip(fields, thing, strict=True)), seen)


@pytest.mark.parametrize("force", [False, True])
def test_a_result_that_is_kept_keeps_no_more_than_itself(force, monkeypatch):
    """Losses are often collected; torch frees what a backward pass has used, and so must layers of ours."""
    monkeypatch.setattr(layer, "FORCE_TORCH", force)
    torch.manual_seed(0)
    net = torch.nn.Sequential(block.m1t1r.Recurrent(NEURON, 20, 30), block.m1t1r.Dense(NEURON, 30, 9), block.m1t1r.Affine(None, 9, 4))
    saved = []

    class Seen:  # what was saved, as hooks of torch.utils.checkpoint see it
        def __init__(self, tensor):
            self.tensor = tensor
            saved.append(weakref.ref(self))

    with torch.autograd.graph.saved_tensors_hooks(Seen, lambda seen: seen.tensor):
        loss = net(spikes(3, 20, 40)).sum()
    count = sum(ref().tensor.numel() * ref().tensor.element_size() for ref in saved)
    assert count > 3 * 40 * 39 * (3 + 1) * 4  # states and inputs among them
    loss.backward()
    gc.collect()
    assert not any(ref() for ref in saved) and loss.grad_fn is not None
    kept = [array for node in nodes(loss.grad_fn) for array in arrays_of(getattr(node, "__dict__", {}))]
    assert sum(array.nbytes for array in kept) < 3000  # delays, and what is not data
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()


def test_gradients_are_the_same_however_hooks_lay_out_what_was_saved():
    torch.manual_seed(0)
    net = torch.nn.Sequential(block.m1t1r.Recurrent(NEURON, 20, 30), block.m1t1r.Affine(None, 30, 4))
    with torch.no_grad():
        for weight in (net[0].input_synapse.weight, net[0].recurrent_synapse.weight):
            weight[:, ::3] = 5.0  # outside of 8 bits, where no gradient passes
    found = []
    for kept in (lambda x: x, lambda x: x.transpose(0, -1).contiguous().transpose(0, -1) if x.dim() else x):
        net.zero_grad()
        with torch.autograd.graph.saved_tensors_hooks(kept, lambda x: x):
            loss = (net(spikes(3, 20, 40)) * torch.arange(40)).sum()
        loss.backward()
        found.append([parameter.grad.clone() for parameter in net.parameters()])
    assert all(torch.equal(a, b) and a.any() for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing_computes_again_what_it_does_not_keep(reentrant):
    from torch.utils.checkpoint import checkpoint

    torch.manual_seed(0)
    layers = [block.m1t1r.Dense(NEURON, 20, 20, delay_shift=False) for _ in range(3)]
    gradients, sizes = [], []
    for checkpointed in (False, True):
        h = x = spikes(3, 20, 40).requires_grad_(True)
        with torch.autograd.graph.saved_tensors_hooks(lambda t: (sizes.append(t.numel()), t)[1], lambda t: t):
            for one in layers:
                h = checkpoint(one, h, use_reentrant=reentrant) if checkpointed else one(h)
        (h * torch.linspace(-1, 1, 40)).sum().backward()
        gradients.append([x.grad, *(p.grad.clone() for one in layers for p in one.parameters())])
        assert (max(sizes, default=0) < 3 * 20 * 40 * 3) == checkpointed  # no states
        sizes.clear()
        for one in layers:
            one.zero_grad()
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True)) and gradients[0][0].any()


@pytest.mark.parametrize("noisy", [False, True])
def test_without_gradients_the_same_spikes_come_from_less_memory(noisy, monkeypatch):
    """States of every step are kept for a backward pass, or to be looked at, alone."""
    params = {**NEURON, "params": replace(FIG2, sigma1=0.01, sigma2=0.01) if noisy else FIG2, "persistent_state": True}
    torch.manual_seed(0)
    net = block.m1t1r.Recurrent(params, 20, 30, delay_rec=5).eval()
    kept, empty = [], buffers.borrowed
    monkeypatch.setattr(layer, "borrowed", lambda shape, dtype: (kept.append(shape), empty(shape, dtype))[1])
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
    assert projection.counts_by_input(torch.tensor([[512.0, -512.0]])).tolist() == [[32768], [-32768]]


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


def test_what_a_call_leaves_for_the_next_is_no_longer_for_a_long_one():
    torch.manual_seed(0)
    net = block.m1t1r.Recurrent({**NEURON, "persistent_state": True}, 20, 30)
    net(spikes(2, 20, 400))
    memory = net.neuron._kept[1]
    while isinstance(memory.base, np.ndarray):
        memory = memory.base
    assert memory.nbytes == net.neuron._kept[1].nbytes
