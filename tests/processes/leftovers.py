"""What a graph may leave behind on the machine."""

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
