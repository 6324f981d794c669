"""ProcessModels of the Processes beside."""

import random

import numpy as np
from kinds.process import Dice, Elsewhere, Hooked, Kinds, NoEntries, Tally
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.model import AbstractProcessModel
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU, Loihi2NeuroCore
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from scipy.sparse import csr_matrix


@implements(proc=Kinds, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt", "fixed_pt")
class PyKindsModel(PyLoihiProcessModel):
    number: int = LavaPyType(int, int)
    from_array: int = LavaPyType(int, int)
    turned: np.ndarray = LavaPyType(np.ndarray, np.int32)
    text: str = LavaPyType(str, str)
    sparse: csr_matrix = LavaPyType(csr_matrix, int)
    wider: np.ndarray = LavaPyType(np.ndarray, np.int16)
    longer: np.ndarray = LavaPyType(np.ndarray, float)
    told: int = LavaPyType(int, int)
    single: float = LavaPyType(float, float)

    def run_spk(self):
        self.number += 2
        self.single = float(self.single) + 0.1
        self.from_array += 1
        self.turned = self.turned.T.copy().T  # lies in memory column by column
        self.turned[0] += 1
        self.text = self.text[1:] + self.text[0]
        self.sparse.data += 1
        if self.time_step > 2:
            self.wider = self.wider * 1.5
        if self.time_step == 5:
            self.longer = np.ones(4)

    def on_var_update(self):
        if self.proc_params["refuses"]:
            raise ValueError("not this one")
        self.told += 1


@implements(proc=NoEntries, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt", "fixed_pt")
class PyNoEntriesModel(PyLoihiProcessModel):
    sparse: csr_matrix = LavaPyType(csr_matrix, int)


@implements(proc=Tally, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt", "fixed_pt")
class PyTallyModel(PyLoihiProcessModel):
    count: int = LavaPyType(int, int)
    gain: np.ndarray = LavaPyType(np.ndarray, int)
    doubled: np.ndarray = LavaPyType(np.ndarray, int)

    def run_spk(self):
        self.count += np.ones(2, int).sum()

    def on_var_update(self):
        self.doubled = 2 * self.gain


@implements(proc=Dice, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt", "fixed_pt")
class PyDiceModel(PyLoihiProcessModel):
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    sent: np.ndarray = LavaPyType(np.ndarray, float)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        random.seed(proc_params["seed"])

    def run_spk(self):
        self.sent = np.array([random.gauss(0, 1), random.random(), random.gauss(0, 1)])
        if self.time_step == 4:
            random.seed(self.time_step)
        self.s_out.send(self.sent)


@implements(proc=Elsewhere, protocol=LoihiProtocol)
@requires(Loihi2NeuroCore)
class ChipElsewhereModel(AbstractProcessModel):
    v: np.ndarray = LavaPyType(np.ndarray, int)


@implements(proc=Hooked, protocol=LoihiProtocol)
@requires(CPU)
class PyHookedModel(PyLoihiProcessModel):
    def start(self):
        self.began = True
        super().start()
