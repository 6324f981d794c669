"""ProcessModels of the 1M1T1R neuron: the library's compiled network step, in floating and in fixed point.

Lava runs this file as a top-level module, so its imports are absolute, and the model class must be in this file.
"""

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from lava_1m1t1r.arithmetic import ONE, REGISTER_BITS, WEIGHT_ONE
from lava_1m1t1r.compiled import plain
from lava_1m1t1r.errors import require_each
from lava_1m1t1r.fast.kernels import add_bias, step_layer
from lava_1m1t1r.fast.neurons import STATES, m1t1r
from lava_1m1t1r.proc.m1t1r.process import M1T1R
from lava_1m1t1r.proc.resets import starts_again
from lava_1m1t1r.sums import BIAS_BOUNDS


class AbstractPyM1T1RModel(PyLoihiProcessModel):
    """Input, reset and output, which both number systems share."""

    floating = False
    gap: float = ONE  # what filament and residue add up to at most

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.interval = proc_params["reset_interval"]
        self.offset = proc_params["reset_offset"]
        self.rewind = proc_params["rewind"]
        self.drop_last = proc_params["drop_last"]
        self.neurons = None
        self.unchecked = True  # a Var's init may have been set, too

    def on_var_update(self):
        """Look at the states before the next step: Lava tells of one Var after the other."""
        self.unchecked = True

    def _check(self):
        """Refuse lengths that are none: the step's tables end with the gap, and reading on is no Python error."""
        self.unchecked = False
        require_each(self.filament >= 0, "filament of M1T1R", "be >= 0", self.filament)
        require_each(self.residue >= 0, "residue of M1T1R", "be >= 0", self.residue)
        low, high = BIAS_BOUNDS
        counts, rule = np.rint(self.bias * WEIGHT_ONE), f"be from {low / WEIGHT_ONE:g} to {high / WEIGHT_ONE:g}"
        require_each((low <= counts) & (counts <= high), "bias of M1T1R", rule, self.bias)
        both = np.add(self.filament, self.residue, dtype=np.float64)
        require_each(both <= self.gap + 1e-9, "filament + residue of M1T1R", f"be at most the gap, {self.gap}", both)
        if self.proc_params["step"].device.noisy:  # a generator of 0 stays 0, and one of more bits draws numbers out of range
            good = (self.generator > 0) & (self.generator < 1 << 32)
            require_each(good, "generator of M1T1R", "be a whole number from 1 to 2^32 - 1", self.generator)

    def _start(self):
        """Join the Vars, which exist by now, to the compiled step, which works on their memory."""
        size = self.filament.size
        neuron = m1t1r(self.proc_params["step"], size, 0, 0, self.floating)
        states = tuple(getattr(self, name).reshape(-1) for name in STATES)
        self.neurons = plain(neuron._replace(state=states, generator=self.generator.reshape(-1)))
        self.spike, self.total = np.zeros(size, np.int32), np.zeros(size, np.int32)
        self.spike_out = self.spike.reshape(self.filament.shape)
        self.first_generator = self.generator.copy()
        self._joined = {name: getattr(self, name) for name in (*STATES, "generator", "bias")}

    def _rejoin(self):
        """Take over what another Process has written through a RefPort: Lava replaces the array that was joined by a new one."""
        for name, joined in self._joined.items():
            found = getattr(self, name)
            if found is not joined:
                joined[...] = found
                setattr(self, name, joined)
                self.unchecked = True

    def run_spk(self):
        """One network step."""
        if self.neurons is None:
            self._start()
        self._rejoin()
        if self.unchecked:
            self._check()
        a_in = self.a_in.recv()
        if starts_again(self.time_step, self.interval, self.offset):
            for name in STATES:
                getattr(self, name)[...] = 0
            if self.rewind:
                self.generator[...] = self.first_generator
        step_layer(self.neurons, self.current(a_in).reshape(-1), self.spike)
        if self.drop_last and starts_again(self.time_step, self.interval, self.offset - 1):
            self.spike[:] = 0
        self.s_out.send(self.spike_out)


@implements(proc=M1T1R, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyM1T1RModelFloat(AbstractPyM1T1RModel):
    """Floating point: states in shares of the gap and volt."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    filament: np.ndarray = LavaPyType(np.ndarray, float)
    residue: np.ndarray = LavaPyType(np.ndarray, float)
    v_gate: np.ndarray = LavaPyType(np.ndarray, float)
    generator: np.ndarray = LavaPyType(np.ndarray, np.int64, precision=32)
    bias: np.ndarray = LavaPyType(np.ndarray, float)

    floating = True
    gap = 1.0

    def current(self, a_in):
        """Synaptic input with the bias, in 1/64 units."""
        return (a_in / self.proc_params["a_in_scale"] + self.bias) * WEIGHT_ONE


@implements(proc=M1T1R, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyM1T1RModelFixed(AbstractPyM1T1RModel):
    """Fixed point: states in register counts, bit for bit as every other realisation (FIXED_POINT.md)."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=1)
    filament: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=24)
    residue: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=24)
    v_gate: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=24)
    generator: np.ndarray = LavaPyType(np.ndarray, np.int64, precision=32)
    bias: np.ndarray = LavaPyType(np.ndarray, float)

    def _check(self):
        """Also refuse gates that are below 0 or that the register does not hold: the step is not made for them, and leaves 32 bits."""
        super()._check()
        most = (1 << (REGISTER_BITS - 1)) - 1
        require_each((self.v_gate >= 0) & (self.v_gate <= most), "v_gate of M1T1R", f"be counts from 0 to {most}", self.v_gate)

    def current(self, a_in):
        """Synaptic input with the bias, in 1/64 units."""
        add_bias(np.asarray(a_in, np.int32).reshape(-1), self.bias.reshape(-1), self.total)
        return self.total
