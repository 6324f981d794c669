"""What a graph may leave behind on the machine."""

import multiprocessing
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from lava.magma.runtime.message_infrastructure.shared_memory_manager import SharedMemoryManager


def watch_memory(monkeypatch) -> list[str]:
    """List that fills with the names of the shared memory that this test's graphs get (others may run beside it)."""
    names, create = [], SharedMemoryManager.create_shared_memory

    def noted(self, size):
        handle = create(self, size)
        names.append(handle.name)
        return handle

    monkeypatch.setattr(SharedMemoryManager, "create_shared_memory", noted)
    return names


def left(names) -> list[str]:
    """Those of the shared memory segments that still exist."""
    return [name for name in names if (Path("/dev/shm") / name).exists()]


@contextmanager
def nothing_remains(monkeypatch):
    """Check that no child process, no thread and no shared memory remain of what is done within."""
    memory, threads = watch_memory(monkeypatch), set(threading.enumerate())
    children = set(multiprocessing.active_children())  # idle workers of an earlier test's pool
    yield

    def new():
        return set(multiprocessing.active_children()) - children, {thread.name for thread in threading.enumerate() if thread not in threads}

    end = time.monotonic() + 30  # on a busy machine, what has been told to end takes its time
    while any(new()) and time.monotonic() < end:
        time.sleep(0.01)
    assert new() == (set(), set())
    assert left(memory) == []
