"""Lava's operating-system processes, each with a file for its traceback and its stack."""

from __future__ import annotations

import faulthandler
import linecache
import math
import os
import re
import shutil
import signal
import sys
import sysconfig
import tempfile
import threading
import time
import traceback
import uuid
from contextlib import suppress
from multiprocessing import Process as OsProcess
from multiprocessing import managers, shared_memory
from pathlib import Path

from lava.magma.runtime.message_infrastructure.multiprocessing import MultiProcessing, SystemProcess
from lava.magma.runtime.message_infrastructure.shared_memory_manager import SharedMemoryManager

from .._support import programs
from .failures import NoSharedMemory, TooManyFiles

SHARED = Path("/dev/shm")  # where Linux keeps shared memory and semaphores
STACK_SIGNAL = signal.SIGUSR2
_LONGEST_FAREWELL = 2.0  # s
_LONGEST_ANSWER = 2.0  # s, of a child that is asked for its stack
_FRAME = re.compile(r'File "(?P<path>.+)", line (?P<line>\d+) in (?P<function>\S+)')
# Methods of Lava's model.py that hand over to the user's code: a main thread without one of them is between phases.
_PHASES = {"_spike", "_pre_mgmt", "_lrn", "_post_mgmt", "_run_async"}


class Child:
    """One operating-system process of a graph: a ProcessModel or a RuntimeService.

    Parameters
    ----------
    name : str
        How errors call it.
    is_model : bool
        False for a RuntimeService.
    """

    def __init__(self, name: str, is_model: bool):
        self.name = name
        self.is_model = is_model
        # Without a name in the file system, so that nothing stays behind however this ends.
        self._report = tempfile.TemporaryFile(buffering=0)
        self.process: SystemProcess  # once Lava has made it

    def wrap(self, target):
        """Return ``target`` with a prologue for the child, and an epilogue that keeps its traceback."""
        parent = os.getpid()

        def main(*args, **kwargs):
            programs.child()
            faulthandler.enable(self._report)
            faulthandler.register(STACK_SIGNAL, self._report, all_threads=True)
            follow(parent)
            try:
                target(*args, **kwargs)
            except BaseException:
                # As text: an exception that cannot be pickled would not reach the parent through Lava's pipe.
                self._report.write(traceback.format_exc().encode())
                raise

        return main

    def report(self) -> str:
        """Output of the child so far (its traceback, if it raised)."""
        # pread: the file offset is shared with the child.
        return os.pread(self._report.fileno(), os.fstat(self._report.fileno()).st_size, 0).decode(errors="replace")

    def failure(self) -> str | None:
        """Reason why the child can do no more, or None while it is well."""
        text = self.report().strip()
        if text:
            return text
        code = self.process.exitcode
        if code is None:
            return None
        if code < 0:
            return f"its operating-system process was killed by signal {-code} ({signal.strsignal(-code)})"
        return f"its operating-system process ended by itself with exit code {code}"

    def at_fault(self) -> bool:
        """Whether the child failed by itself. Lava asks all others to leave when one does: they end with exit code 0, without a word."""
        return bool(self.report().strip() or self.process.exitcode)

    def activity(self) -> tuple[str, ...] | None:
        """State and context switches of the main thread: equal twice, and asleep, means that it did nothing."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return None
        lines = re.findall(r"^(?:State:\s+(\w)|(?:non)?voluntary_ctxt_switches:\s+(\d+))", status, re.MULTILINE)
        return tuple(a or b for a, b in lines) if len(lines) == 3 else None

    def stack(self) -> str:
        """Ask the child where its main thread stands.

        Returns
        -------
        str
            One line: what it waits for, with file, line and source. Empty when it is between two phases.
        """
        before = len(self.report())
        with suppress(OSError, ValueError):
            os.kill(self.process.pid, STACK_SIGNAL)
        end, main_thread = time.monotonic() + _LONGEST_ANSWER, ""
        while not main_thread and time.monotonic() < end:  # it comes last, and on a busy machine in parts
            time.sleep(0.01)
            threads = self.report()[before:].split("\n\n")
            main_thread = next((part for part in threads if "in _bootstrap" in part and "in main" in part), "")
        frames = [(m["path"], int(m["line"]), m["function"]) for m in _FRAME.finditer(main_thread)]
        return _where(frames)

    def end(self, patience: float) -> None:
        """Wait for the child to leave, then make it leave."""
        process = self.process
        OsProcess.join(process, patience)  # Lava overrides join() with one that takes no time limit
        if process.is_alive():
            process.terminate()
            OsProcess.join(process, 0.5)
        if process.is_alive():
            process.kill()
            OsProcess.join(process)
        # No process.close(): whoever starts a process in another thread looks through a list of all, and would find one without its handle.
        process._popen.close()
        for end in (process._pconn, process._cconn):  # Lava's own join() closes them
            end.close()
        process._is_done = True  # so that a later one returns at once
        self._report.close()


def _where(frames: list[tuple[str, int, str]]) -> str:
    """Line that says where a model's main thread is; frames come most recent first."""
    phase = next((i for i, (_, _, function) in enumerate(frames) if function in _PHASES), None)
    if not phase:
        return ""
    frames = frames[:phase]
    ports = {function for path, _, function in frames if path.endswith(("/py/ports.py", "/pypychannel.py"))}
    doing = next((words for verb, words in _VERBS.items() if verb in ports), "is")
    # The user's line: below Lava's and Python's own machinery.
    path, line, function = next((f for f in frames if "/lava/magma/" not in f[0] and not _is_python(f[0])), frames[-1])
    return f"{doing} at {path}:{line} in {function}: {linecache.getline(path, line).strip()}"


def _is_python(path: str) -> bool:
    return path.startswith(sysconfig.get_path("stdlib")) and "site-packages" not in path


_VERBS = {
    "recv": "waits to receive",
    "read": "waits to read a Var",
    "peek": "waits to receive",
    "send": "waits to send",
}


def follow(parent: int) -> None:
    """Exit soon after the parent has gone (killed, or crashed), so that no orphan stays."""

    def watch():
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="follow-parent").start()


def _serve(parent: int) -> None:
    programs.child()
    follow(parent)


class Memory(SharedMemoryManager):
    """Lava's shared memory, refused where there is not enough: a process that writes to a page that cannot be had dies of SIGBUS.

    On Linux its manager's socket is no file: the path of the folder for temporary files may be too long, and the folder may be cleaned.
    """

    def __init__(self) -> None:
        super().__init__()
        if sys.platform == "linux":
            self._manager = managers.SharedMemoryManager(f"\0lava-1m1t1r-{uuid.uuid4().hex}")
        self._needed, self._free = 0, _free_memory()

    def create_shared_memory(self, size: int) -> shared_memory.SharedMemory:
        self._needed += size
        if self._needed > self._free:
            raise lack_of_memory(f"at least {self._needed / 1e6:.3g} MB, for the messages that its connections hold")
        return super().create_shared_memory(size)

    def end(self) -> None:
        """Ask the manager to leave, which Lava does without a limit; then make it leave, and give back what it left.

        It was forked: where another thread held a lock just then, it may wait for that for ever.
        """
        segments = [handle.name for handle in self._shared_memory_handles]
        process = getattr(self._manager, "_process", None)
        if hasattr(self._manager, "shutdown"):  # not where its start was broken off
            asked = threading.Thread(target=self.shutdown, name="end-shared-memory", daemon=True)
            asked.start()
            asked.join(_LONGEST_FAREWELL)
        if process is not None and process.is_alive():
            process.kill()
            process.join(_LONGEST_FAREWELL)
        for name in segments:  # left only when the manager was killed
            with suppress(FileNotFoundError):
                leftover = shared_memory.SharedMemory(name)
                leftover.close()
                leftover.unlink()


def _free_memory() -> float:
    """Bytes of shared memory that are left; infinite where the system keeps it elsewhere."""
    return shutil.disk_usage(SHARED).free if SHARED.is_dir() else math.inf


def lack_of_memory(needed: str) -> NoSharedMemory:
    """Error of a graph that Lava's runtime has no shared memory for (the caller raises it)."""
    free = _free_memory() / 1e6
    return NoSharedMemory(
        f"Lava's runtime needs more shared memory than there is: {needed}; {SHARED} has {free:.3g} MB left. Make it larger (docker run "
        "--shm-size=2g, mount -o remount,size=2g), or use lava_1m1t1r.run.run, which runs the graph in this process and needs none."
    )


def too_many_files() -> TooManyFiles:
    """Error of a graph that needs more open files than the system allows (the caller raises it)."""
    import resource  # not on Windows

    most, highest = (limit if limit != resource.RLIM_INFINITY else "unlimited" for limit in resource.getrlimit(resource.RLIMIT_NOFILE))
    own = f"ulimit -n {highest}; resource.setrlimit in Python"
    raised = own if most != highest else "an administrator's: docker run --ulimit nofile=20000, /etc/security/limits.conf"
    return TooManyFiles(
        f"Lava's runtime needs more open files than the {most} that this process may have: some 13 for each Process of the graph. Raise "
        f"the limit ({raised}), or use lava_1m1t1r.run.run (--backend inprocess), which runs the graph in this process and needs none."
    )


class Children(MultiProcessing):
    """Lava's message infrastructure whose processes can be watched, questioned and ended.

    Parameters
    ----------
    names : dict
        What to call the child that each builder builds.
    """

    def __init__(self, names: dict):
        super().__init__()
        self._names = names
        self._smm: Memory | None = None
        self.children: list[Child] = []

    def start(self) -> None:
        self._smm = Memory()
        self._smm._manager.start(_serve, (os.getpid(),))

    def build_actor(self, target_fn, builder, exception_q=None):
        is_model = builder in self._names
        child = Child(self._names[builder] if is_model else builder.rs_class.__name__, is_model)
        actor = super().build_actor(child.wrap(target_fn), builder, exception_q)
        child.process = actor
        self.children.append(child)
        return actor

    def stop(self, patience: float = 0.0) -> None:
        """End every child, and give the shared memory back."""
        end = time.monotonic() + patience
        for child in self.children:
            child.end(max(0.0, end - time.monotonic()))
        self.children.clear()
        if self._smm is not None:
            self._smm.end()
            self._smm = None
