"""ProcessModels of the Processes that do what they are told."""

import numpy as np
from lava.magma.compiler.channels.pypychannel import CspSelector
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyAsyncProcessModel, PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.async_protocol import AsyncProtocol
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from told.process import Choosing, Selecting, Told


@implements(proc=Told, protocol=LoihiProtocol)
@requires(CPU)
class PyToldModel(PyLoihiProcessModel):
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    x: np.ndarray = LavaPyType(np.ndarray, float)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self._do("start")

    def run_spk(self):
        self.x[:] = self._do("step")
        if not np.isnan(self.x[0]):
            self.s_out.send(self.x)

    def on_var_update(self):
        self._do("update")

    def _pause(self):
        self._do("pause")
        super()._pause()

    def _stop(self):
        self._do("stop")
        super()._stop()

    def _do(self, what):
        function = self.proc_params[what]
        return 0 if function is None else function(self)


@implements(proc=Choosing, protocol=LoihiProtocol)
@requires(CPU)
class PyChoosingModel(PyLoihiProcessModel):
    one: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    two: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    x: np.ndarray = LavaPyType(np.ndarray, float)
    total: np.ndarray = LavaPyType(np.ndarray, float)

    def run_spk(self):
        self.x += 1
        self.total += CspSelector().select(*((port, port.recv) for port in (self.one.csp_ports[0], self.two.csp_ports[0])))


@implements(proc=Selecting, protocol=AsyncProtocol)
@requires(CPU)
class PySelectingModel(PyAsyncProcessModel):
    one: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    two: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    x: np.ndarray = LavaPyType(np.ndarray, float)

    def run_async(self):
        selector, ports = CspSelector(), [self.one.csp_ports[0], self.two.csp_ports[0]]
        for _ in range(self.proc_params["count"]):
            chosen = selector.select((ports[0], lambda: 0), (ports[1], lambda: 1))
            self.x += ports[chosen].recv() * 1000**chosen
