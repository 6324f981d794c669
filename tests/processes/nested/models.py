"""The Processes as graphs of Lava's own."""

from lava.magma.core.decorator import implements, tag
from lava.magma.core.model.sub.model import AbstractSubProcessModel
from lava.proc.dense.process import Dense
from lava.proc.io.source import RingBuffer as Source
from lava.proc.lif.process import LIF
from nested.process import Layer, Turned


@implements(proc=Layer)
@tag("floating_pt", "fixed_pt")
class SubLayerModel(AbstractSubProcessModel):
    def __init__(self, proc):
        weights = proc.proc_params["weights"]
        if not weights.size:
            raise ValueError("a layer needs weights")
        self.synapse = Dense(weights=weights)
        self.neurons = LIF(shape=(weights.shape[0],), du=1024, dv=256, vth=40, name="inner")
        proc.in_ports.s_in.connect(self.synapse.in_ports.s_in)
        self.synapse.out_ports.a_out.connect(self.neurons.in_ports.a_in)
        self.neurons.out_ports.s_out.connect(proc.out_ports.s_out)
        proc.vars.v.alias(self.neurons.vars.v)


@implements(proc=Turned)
@tag("floating_pt", "fixed_pt")
class SubTurnedModel(AbstractSubProcessModel):
    def __init__(self, proc):
        self.source = Source(data=proc.proc_params["data"])
        turned = self.source.s_out.transpose((1, 0))
        (turned if len(proc.proc_params["shape"]) == 2 else turned.flatten()).connect(proc.out_ports.s_out)
