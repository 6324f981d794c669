import numpy as np
from asking.process import Adder, Asked, Poller, Reader
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyAsyncProcessModel, PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyRefPort, PyVarPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.async_protocol import AsyncProtocol
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


@implements(proc=Asked, protocol=LoihiProtocol)
@requires(CPU)
class AskedModel(PyLoihiProcessModel):
    n: np.ndarray = LavaPyType(np.ndarray, float)
    port: PyVarPort = LavaPyType(PyVarPort.VEC_DENSE, float)

    def run_spk(self):
        self.n += 1

    def post_guard(self):
        return self.proc_params["pause_at"] == self.time_step

    def run_post_mgmt(self):
        self._req_pause = True


@implements(proc=Reader, protocol=LoihiProtocol)
@requires(CPU)
class ReaderModel(PyLoihiProcessModel):
    ref: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, float)
    seen: np.ndarray = LavaPyType(np.ndarray, float)

    def post_guard(self):
        return True

    def run_post_mgmt(self):
        self.seen[self.time_step - 1] = self.ref.read()[0]


@implements(proc=Adder, protocol=LoihiProtocol)
@requires(CPU)
class AdderModel(PyLoihiProcessModel):
    ref: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, float)

    def post_guard(self):
        return True

    def run_post_mgmt(self):
        self.ref.write(self.ref.read() + 10)
        self.ref.wait()


@implements(proc=Poller, protocol=AsyncProtocol)
@requires(CPU)
class PollerModel(PyAsyncProcessModel):
    ref: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, float)
    reads: np.ndarray = LavaPyType(np.ndarray, float)

    def run_async(self):
        for _ in range(20):
            self.ref.read()
            self.reads += 1
