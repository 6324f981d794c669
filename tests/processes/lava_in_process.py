"""pytest plugin: Process.run of Lava's own tests runs in the calling process (``-p lava_in_process``)."""

from unittest import mock

from lava.magma.core.process.process import AbstractProcess

from lava_1m1t1r.run import InProcess, inprocess


def create_runtime(self, run_cfg=None, executable=None, compile_config=None):
    """In place of AbstractProcess.create_runtime. The session ends with ``proc.stop()``."""
    if executable is None:
        InProcess(self, run_cfg, timeout=60.0, compile_config=compile_config).__enter__()
        return
    with mock.patch.object(inprocess, "check_graph"):  # it has been compiled, by the test itself
        session = InProcess(self, run_cfg, timeout=60.0)
    with mock.patch.object(type(self), "compile", lambda *args: executable):
        session.__enter__()


AbstractProcess.create_runtime = create_runtime
