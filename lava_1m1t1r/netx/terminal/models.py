"""ProcessModels of the source and the tap."""

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from lava_1m1t1r.netx.terminal.process import Frames, Tap


class AbstractPyFramesModel(PyLoihiProcessModel):
    """Sends frame after frame."""

    def run_spk(self):
        """Send the step's frame."""
        frames, now = self.proc_params["frames"], self.time_step - 1
        frame = frames[now] if now < frames.shape[0] else np.zeros(frames.shape[1:])
        self.s_out.send(frame.astype(self.kind))


@implements(proc=Frames, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyFramesModelFixed(AbstractPyFramesModel):
    """Frames as integers."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    kind = np.int32


@implements(proc=Frames, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyFramesModelFloat(AbstractPyFramesModel):
    """Frames as floats."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    kind = float


class AbstractPyTapModel(PyLoihiProcessModel):
    """Writes into shared memory."""

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.kept = np.frombuffer(proc_params["memory"], np.int32).reshape(proc_params["steps"], *proc_params["shape"])

    def run_spk(self):
        """Keep the step's values."""
        value = self.a_in.recv()
        if self.time_step <= len(self.kept):
            self.kept[self.time_step - 1] = value


@implements(proc=Tap, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyTapModelFixed(AbstractPyTapModel):
    """Receives integers."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)


@implements(proc=Tap, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyTapModelFloat(AbstractPyTapModel):
    """Receives floats that are whole numbers."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
