"""ProcessModels of the network Processes: compositions, and the delays."""

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.model.sub.model import AbstractSubProcessModel
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.lif.models import AbstractPyLifModelFixed, PyLifModelBitAcc, PyLifResetModelBitAcc

from lava_1m1t1r.delay_lines import LinesRun
from lava_1m1t1r.errors import require
from lava_1m1t1r.netx.graph.process import Axon, Block, CubaBlock, CubaLIF, CubaLIFReset, Network
from lava_1m1t1r.proc.resets import starts_again
from lava_1m1t1r.run.checks import fed, tell_of_zeros
from lava_1m1t1r.run.failures import title


class AbstractComposition(AbstractSubProcessModel):
    """Model of a Process that the block has made and connected itself; Lava finds it through its ports."""

    def __init__(self, proc):
        pass


@implements(proc=Block, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt", "floating_pt")
class PyBlockModel(AbstractComposition):
    """A layer in either number system."""


@implements(proc=CubaBlock, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyCubaBlockModel(AbstractComposition):
    """A layer of LIF neurons."""


@implements(proc=Network, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt", "floating_pt")
class PyNetworkModel(AbstractSubProcessModel):
    """A Process for every synapse, neuron and delay. The blocks are named so that Lava checks their tags."""

    def __init__(self, proc):
        cure = "Its layers have left the graph; make it anew for another one."
        require(not proc.fused, title(proc), "be run under the FusedSimCfg that it was given to", "another run configuration", cure)
        require(proc.sample_steps is None, "Network.sample_steps", "be None", proc.sample_steps, "Or run it under FusedSimCfg.")
        if not fed(proc.inp):  # Lava's own runtime would not tell
            tell_of_zeros(proc.inp)
        if proc.delay_lines is not None:
            self.delay_lines = proc.delay_lines
        for i, block in enumerate(proc.layers):
            setattr(self, f"layer_{i}", block)


class AbstractPyCubaLIFModel(AbstractPyLifModelFixed):
    """Neurons that take their sums as integers: without a tag, Lava's synapses are floating-point ones and send whole numbers as floats."""

    implements_process = None  # that of Lava's model, which must not be implemented again
    bias_mant: np.ndarray = LavaPyType(np.ndarray, np.int32)  # Lava's own has 16 bits, in which larger biases wrap

    def subthr_dynamics(self, activation_in):
        """Take one step, without spikes."""
        super().subthr_dynamics(activation_in.astype(np.int32, copy=False))


@implements(proc=CubaLIF, protocol=LoihiProtocol)
class PyCubaLIFModel(AbstractPyCubaLIFModel, PyLifModelBitAcc):
    """Lava's bit-accurate LIF; it brings the tag ``fixed_pt``."""


@implements(proc=CubaLIFReset, protocol=LoihiProtocol)
class PyCubaLIFResetModel(AbstractPyCubaLIFModel, PyLifResetModelBitAcc):
    """Lava's bit-accurate LIFReset; it brings the tag ``fixed_pt``."""


class AbstractPyAxonModel(PyLoihiProcessModel):
    """Ring of the last frames, from which each axon takes its own."""

    s_in: Any = None
    s_out: Any = None
    kind: Any = None

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.lines = LinesRun(proc_params["delay"], proc_params["channels"], self.kind)
        self.interval = proc_params["reset_interval"]
        self.offset = proc_params["reset_offset"]
        self.withholds = proc_params["withholds"]

    def run_spk(self):
        """Take this step's spikes and pass on those that are due."""
        if starts_again(self.time_step, self.interval, self.offset):
            self.lines.reset()
        due = self.lines.step(self.s_in.recv())
        if self.withholds and starts_again(self.time_step, self.interval, self.offset - 1):
            due = np.zeros_like(due)
        self.s_out.send(due)


@implements(proc=Axon, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyAxonModelFixed(AbstractPyAxonModel):
    """Spikes, or counts of them, as integers."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    kind = np.int32


@implements(proc=Axon, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyAxonModelFloat(AbstractPyAxonModel):
    """Spikes as floats."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    kind = float
