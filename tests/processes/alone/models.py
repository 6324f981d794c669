"""ProcessModels of the Processes that want to be alone."""

import warnings

import numpy as np
import torch
from alone.process import Deaf, Lax, Lenient, Picky, Strict, Writer
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


@implements(proc=Strict, protocol=LoihiProtocol)
@requires(CPU)
class PyStrictModel(PyLoihiProcessModel):
    inp: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    raised: np.ndarray = LavaPyType(np.ndarray, int)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        if proc_params["from_start"]:
            np.seterr(all="raise")

    def run_spk(self):
        if self.proc_params["from_start"]:
            self.inp.recv()
            self._divide()
        else:
            with np.errstate(all="raise"), torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("error")
                self.inp.recv()
                self._divide()
                self.raised += not torch.is_grad_enabled()
        self.out.send(np.ones(1))

    def on_var_update(self):
        self._divide()

    def _divide(self):
        try:
            np.ones(1) / np.zeros(1)
        except FloatingPointError:
            self.raised += 1


@implements(proc=Lenient, protocol=LoihiProtocol)
@requires(CPU)
class PyLenientModel(PyLoihiProcessModel):
    inp: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    passed: np.ndarray = LavaPyType(np.ndarray, int)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        warnings.simplefilter("ignore" if proc_params["lenient"] else "error")

    def run_spk(self):
        self.inp.recv()
        try:
            warnings.warn("mind the gap", stacklevel=1)
            self.passed += 1
        except UserWarning:
            self.passed -= 1
        self.out.send(np.ones(1))


@implements(proc=Picky, protocol=LoihiProtocol)
@requires(CPU)
class PyPickyModel(PyLoihiProcessModel):
    inp: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    raised: np.ndarray = LavaPyType(np.ndarray, int)

    def run_spk(self):
        if self.proc_params["first"]:
            self.out.send(np.ones(1))
        if self.time_step == 1:
            warnings.simplefilter("error")
        with warnings.catch_warnings():
            self.inp.recv()
        try:
            warnings.warn("mind the gap", stacklevel=1)
        except UserWarning:
            self.raised += 1
        if not self.proc_params["first"]:
            self.out.send(np.ones(1))


@implements(proc=Lax, protocol=LoihiProtocol)
@requires(CPU)
class PyLaxModel(PyLoihiProcessModel):
    out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    gradients: np.ndarray = LavaPyType(np.ndarray, int)

    def run_spk(self):
        warnings.warn("mind the gap", stacklevel=1)
        self.gradients += torch.is_grad_enabled()
        self.out.send(np.nan_to_num(np.ones(1) / np.zeros(1), posinf=1.0))


@implements(proc=Writer, protocol=LoihiProtocol)
@requires(CPU)
class PyWriterModel(PyLoihiProcessModel):
    inp: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)

    def run_spk(self):
        x = self.inp.recv()
        for target in self.proc_params["targets"].values():
            if hasattr(target, "append"):
                target.append(float(x[0]))
            elif torch.is_tensor(target):
                target += torch.from_numpy(x)
            elif isinstance(target, np.ndarray):
                target += x


@implements(proc=Deaf, protocol=LoihiProtocol)
@requires(CPU)
class PyDeafModel(PyLoihiProcessModel):
    inp: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)

    def run_spk(self):
        while True:
            try:
                self.inp.recv()
                break
            except:  # noqa: E722
                pass
