"""The relay's only ProcessModel."""

import os
import signal
import sys
import time
from enum import Enum

import numpy as np
from faulty.process import Faulty
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class Kind(Enum):
    ONE = 1


class Unpicklable(Exception):
    def __init__(self):
        super().__init__("cannot cross a pipe")
        self.hold = lambda: None


class SlowToTell(Exception):
    """Its traceback arrives late, as on a busy machine."""

    def __str__(self):
        time.sleep(0.2)
        return "told late"


@implements(proc=Faulty, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt", "fixed_pt")
class PyFaultyModel(PyLoihiProcessModel):
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    total: np.ndarray = LavaPyType(np.ndarray, float)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.fault, self.at = proc_params["fault"], proc_params["at"]
        if self.fault == "build":
            raise ValueError("cannot be built")
        while self.fault == "endless build":
            pass

    def run_spk(self):
        data = self.a_in.recv()
        self.total += data
        if self.time_step == self.at:
            data = self.break_now(data)
        if data is not None:
            self.s_out.send(data)

    def break_now(self, data):
        if self.fault == "raise":
            raise ValueError("the model gave up")
        if self.fault == "enum":
            Kind(99)
        if self.fault == "leave":
            sys.exit("the model left")
        if self.fault == "signal":
            signal.raise_signal(signal.SIGUSR1)
        if self.fault == "unpicklable":
            raise Unpicklable
        if self.fault == "slow to tell":
            raise SlowToTell
        if self.fault == "shape":
            return np.zeros(data.size + 1)
        if self.fault == "exit":
            os._exit(7)
        if self.fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault == "silent":
            return None
        if self.fault == "pause":
            self._req_pause = True
        if self.fault == "stop":
            self._req_stop = True
        if self.fault == "sleep":
            time.sleep(1.5)
        if self.fault == "long sleep":
            time.sleep(600.0)
        if self.fault == "spin":
            while True:
                pass
        return data
