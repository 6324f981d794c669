"""ProcessModels of the noisy Processes."""

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyAsyncProcessModel, PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.async_protocol import AsyncProtocol
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from noisy.process import Noisy, Ticking


@implements(proc=Noisy, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt", "fixed_pt")
class PyNoisyModel(PyLoihiProcessModel):
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    sent: np.ndarray = LavaPyType(np.ndarray, float)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.scale = proc_params["scale"]
        self.offset = np.random.random()

    def run_spk(self):
        self.sent[:] = self.scale * np.random.normal(size=3) + self.offset
        self.scale *= 2
        self.s_out.send(self.sent)


@implements(proc=Ticking, protocol=AsyncProtocol)
@requires(CPU)
@tag("floating_pt", "fixed_pt")
class PyTickingModel(PyAsyncProcessModel):
    count: np.ndarray = LavaPyType(np.ndarray, int)

    def run_async(self):
        while self.proc_params["endless"] or self.count[0] < self.num_steps:
            self.count += 1
            if self.check_for_stop_cmd():
                return
