"""pytest plugin: Process.run of Lava's own tests runs in the calling process (``-p lava_in_process``)."""

from lava.magma.core.process.process import AbstractProcess

from lava_1m1t1r.run import InProcess


def create_runtime(self, run_cfg=None, executable=None, compile_config=None):
    """In place of AbstractProcess.create_runtime. The session ends with ``proc.stop()``."""
    InProcess(self, run_cfg if executable is None else executable, timeout=60.0, compile_config=compile_config).__enter__()


AbstractProcess.create_runtime = create_runtime
