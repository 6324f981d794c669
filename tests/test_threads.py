"""Work on threads: results as in order; nothing waits or goes on after an error, Ctrl-C, a fork or the main thread's end."""

import gc
import os
import signal
import sys
import threading
import time
import weakref
from contextlib import closing

import pytest
from command import TOY, started

from lava_1m1t1r._support import threads

pytestmark = pytest.mark.timeout(300)


def square(n):
    time.sleep(1e-3 * (n % 3))
    return n * n


@pytest.mark.parametrize("count", [1, 2, 4, 9])
@pytest.mark.parametrize("size", [0, 1, 2, 50])
def test_results_are_in_order_on_any_number_of_threads(count, size):
    assert threads.share(square, [(n,) for n in range(size)], count) == [n * n for n in range(size)]


def test_each_part_is_told_once():
    seen = []
    assert len(list(threads.shared(lambda i: seen.append(square(i)), 30, 3))) == 30
    assert sorted(seen) == [n * n for n in range(30)]


def test_each_part_is_done_once_without_an_interpreter_lock(monkeypatch):
    class Unlocked:  # a range's iterator in Python 3.14t: threads that ask at once may get the same number
        def __init__(self, numbers):
            self.left = list(numbers)

        def __iter__(self):
            return self

        def __next__(self):
            if not self.left:
                raise StopIteration
            first, rest = self.left[0], self.left[1:]
            time.sleep(1e-3)
            self.left = rest
            return first

    seen = []
    monkeypatch.setattr(threads, "iter", Unlocked, raising=False)
    list(threads.shared(seen.append, 50, 4))
    assert sorted(seen) == list(range(50))


@pytest.mark.parametrize("where", ["here", "in a helper"])
def test_an_error_ends_the_work_after_what_was_begun(where):
    here, begun, ended = threading.get_ident(), [], []

    def work(i):
        begun.append(i)
        time.sleep(0.01)
        if len(begun) > 3 and (threading.get_ident() == here) == (where == "here"):
            raise ValueError(f"part {i}")
        ended.append(i)

    with pytest.raises(ValueError, match="part"):
        threads.share(work, [(i,) for i in range(1000)], 3)
    now = len(begun)
    assert now < 500 and len(ended) >= now - 3
    time.sleep(0.05)
    assert len(begun) == now


def test_who_leaves_early_waits_for_the_others():
    at_work = []

    def work(i):
        at_work.append(i)
        time.sleep(0.05)
        at_work.remove(i)

    with pytest.raises(KeyboardInterrupt), closing(threads.shared(work, 1000, 3)) as each:
        for _ in each:
            raise KeyboardInterrupt
    assert not at_work


@pytest.mark.usefixtures("hears_interrupts")
def test_ctrl_c_while_the_others_end_waits_for_them():
    here, helped, last, ended = threading.get_ident(), threading.Event(), threading.Event(), []

    def work(i):
        if threading.get_ident() != here:
            helped.set()
            last.wait(60)
            time.sleep(0.2)  # by now the other one waits for this one
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.4)
            ended.append(i)
        else:
            helped.wait(60)
            last.set()

    with pytest.raises(KeyboardInterrupt):
        threads.share(work, [(0,), (1,)], 2)
    assert len(ended) == 1


def test_callers_at_once_have_helpers_of_their_own():
    meeting = threading.Barrier(4, timeout=60)  # two callers and their helpers: it opens when all four are at work
    calls = [threading.Thread(target=threads.share, args=(lambda i: meeting.wait(), [(0,), (1,)], 2)) for _ in range(2)]
    for call in calls:
        call.start()
    for call in calls:
        call.join(90)
    assert not meeting.broken


def test_nothing_is_kept_of_what_is_done():
    class Kept:
        pass

    part = Kept()
    seen = weakref.ref(part)
    assert threads.share(lambda one, i: i, [(part, i) for i in range(8)], 4) == list(range(8))
    del part
    until = time.monotonic() + 20
    while seen() is not None and time.monotonic() < until:  # a helping thread tells that it is done, and then returns
        time.sleep(0.01)
        gc.collect()
    assert seen() is None


def test_without_further_threads_one_does_it_all(monkeypatch):
    def refused(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threads, "_idle", [])
    monkeypatch.setattr(threading.Thread, "start", refused)
    assert threads.share(square, [(n,) for n in range(9)], 4) == [n * n for n in range(9)]


LATE = """
import atexit, threading, time
import numpy as np
from lava_1m1t1r.netx.hdf5 import predict
frames = (np.random.default_rng(0).random((6, 20, 8)) < 0.1).astype(int)
before = predict({net!r}, frames, threads=2)

def again(where):
    print(where, (predict({net!r}, frames, threads=2) == before).all(), flush=True)

def later():
    time.sleep(0.5)
    again("thread")

threading.Thread(target=later).start()
atexit.register(again, "atexit")
"""
FORKS = """
import os, threading
import numpy as np
from lava_1m1t1r._support import progress, threads
from lava_1m1t1r.datasets import membrane
from lava_1m1t1r.netx.hdf5 import predict

frames = (np.random.default_rng(0).random((6, 20, 8)) < 0.1).astype(int)
before = predict({net!r}, frames, threads=2)
unseen = open(os.devnull, "w")
progress.say("in the parent", unseen)
taken = threading.Event()

def hold():
    with membrane._tabulating, progress._bars()._lock:
        taken.set()
        threading.Event().wait()

threading.Thread(target=hold, daemon=True).start()
taken.wait()
child = os.fork()
if child == 0:
    progress.say("in the child", unseen)
    same = (predict({net!r}, frames, threads=2) == before).all() and threading.active_count() > 1
    with membrane._tabulating:
        os._exit(0 if same else 3)
print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
FIRST = """
import collections.abc, threading  # Python itself lets a thread see another one's half of collections
begin, found = threading.Barrier(3), []

def first(what):
    begin.wait()
    found.append(what())

def fast():
    from lava_1m1t1r.netx.hdf5 import predict
    return predict.__name__

def ear():
    from lava_1m1t1r.datasets.inner_ear import InnerEar
    return InnerEar.__name__

def device():
    from lava_1m1t1r.device import simulate
    return simulate.__name__

each = [threading.Thread(target=first, args=(what,)) for what in (fast, ear, device)]
for thread in each: thread.start()
for thread in each: thread.join()
print(sorted(found))
"""


@pytest.mark.parametrize(
    ("script", "says"),
    [
        pytest.param(LATE, "thread True\natexit True\n", id="after the main thread's end"),
        pytest.param(FORKS, "child 0\n", id="in a forked child", marks=pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")),
        pytest.param(FIRST, "['InnerEar', 'predict', 'simulate']\n", id="first imports"),
    ],
)
def test_it_works(script, says):
    done = started(
        [sys.executable, "-W", "ignore", "-c", script.replace("{net!r}", repr(TOY))]
    )  # newer Pythons warn of forks beside threads
    assert done.returncode == 0 and done.stdout == says, done.stdout + done.stderr
    assert not done.stderr
