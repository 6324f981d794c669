import numpy as np
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from typed.process import Typed


@implements(Typed, protocol=LoihiProtocol)
@requires(CPU)
class TypedModel(PyLoihiProcessModel):
    int8: np.ndarray = LavaPyType(np.ndarray, np.int8)
    uint8: np.ndarray = LavaPyType(np.ndarray, np.uint8)
    int16: np.ndarray = LavaPyType(np.ndarray, np.int16)
    uint16: np.ndarray = LavaPyType(np.ndarray, np.uint16)
    int32: np.ndarray = LavaPyType(np.ndarray, np.int32)
    uint32: np.ndarray = LavaPyType(np.ndarray, np.uint32)
    int64: np.ndarray = LavaPyType(np.ndarray, np.int64)
    uint64: np.ndarray = LavaPyType(np.ndarray, np.uint64)
    float32: np.ndarray = LavaPyType(np.ndarray, np.float32)

    def run_spk(self):
        pass
