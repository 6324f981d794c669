"""ProcessModels that run a whole network. Not in the folder of the Network's Process, or Lava would use them by default."""

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from lava_1m1t1r.fast.stream import Stream
from lava_1m1t1r.netx.graph.process import NEVER, Network
from lava_1m1t1r.proc.resets import starts_again


class AbstractPyNetworkFused(PyLoihiProcessModel):
    """ProcessModel that runs a whole network: step by step, with the timing of the composed network, or a sample per message."""

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.fast = proc_params["fast"]
        self.spikes = proc_params["input_message_bits"] == 0
        self.samples = proc_params["sample_steps"] is not None
        self.interval = proc_params["reset_interval"] or NEVER
        self.sample_start = 1 + proc_params["reset_offset"]
        self.stream = Stream(self.fast)
        self.readout = np.zeros(self.fast.outputs, np.int32)

    def run_spk(self):
        """Take one message and send one."""
        if self.samples:
            frames = self._counts(self.inp.recv())
            self.out.send(self.fast.run(frames[None], threads=1).out[0].astype(self.kind))
            return
        if starts_again(self.time_step, self.interval, self.sample_start):
            self.stream.reset()
        elif self.time_step == 1:  # composed neurons take a step before their synapses have handed anything on
            self.stream.step(np.zeros(self.fast.inputs, np.uint8))
        spiking = self.fast.layers[-1].spiking
        # Sent before anything is received, as the composed network's buffering synapses allow: loops do not lock.
        self.out.send((self.stream.due() if spiking else self.readout).astype(self.kind))
        value = self.stream.step(self._counts(self.inp.recv()))
        if not spiking and self.fast.layers[-1].neuron is None:
            self.readout = value

    def _counts(self, values):
        """Counts that the first synapse makes of its input: without message bits, every value other than 0 is one spike."""
        return (values != 0).astype(np.uint8) if self.spikes else values


@implements(proc=Network, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyNetworkFusedFixed(AbstractPyNetworkFused):
    """Fixed point."""

    inp: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    kind = np.int32


@implements(proc=Network, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyNetworkFusedFloat(AbstractPyNetworkFused):
    """Floating point."""

    inp: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    kind = float
