"""The 1M1T1R neuron as a Lava Process."""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess, LogConfig
from lava.magma.core.process.variable import Var

from lava_1m1t1r import noise
from lava_1m1t1r.arithmetic import WEIGHT_ONE
from lava_1m1t1r.errors import array_of, flag, number, require, whole
from lava_1m1t1r.fast.kernels import compile_step
from lava_1m1t1r.params import DeviceParams
from lava_1m1t1r.presets import ZHAO2025_FIG2
from lava_1m1t1r.program import SUBSTEPS, V_IN_MAX, V_UNIT, StepParams
from lava_1m1t1r.sums import BIAS_BOUNDS

_LARGEST_SCALE = float(1 << 31)  # counts of a_in are of 32 bits


class M1T1R(AbstractProcess):
    """A layer of 1M1T1R neurons: diffusive memristor, transistor, control resistor.

    The equations are those of :mod:`lava_1m1t1r.dynamics`; all parameters are physical, and the ProcessModel converts them. Spikes
    (``s_out``) are 0 or 1: the gate voltage rose above ``v_th`` in this step.

    ``a_in`` under the tag ``fixed_pt`` counts 1/64 of ``v_unit``: integer weights as lava-dl trains them (64 is its 1.0). Under
    ``floating_pt`` it counts ``v_unit / a_in_scale``: whole units by default, as lava-dl's real-valued weights do; with
    ``a_in_scale=64`` a graph with integer weights runs unchanged under both tags (so do networks from files).

    Parameters
    ----------
    shape : tuple of int
        Shape of the layer; N neurons in all.
    params : DeviceParams
        The device. Default: that of Fig. 2, as in training (Table 1's, as published, does not fire as the measured device does). Fields
        may be arrays of ``shape`` or of (N,).
    dt : float
        Network step [s].
    substeps : int
        Substeps of a step. More: closer to the device, slower.
    v_unit : float
        Input voltage of one unit [V].
    v_in_max : float
        Input voltages are clipped to [0, v_in_max] [V].
    seed : int, optional
        Seed of stochastic devices. None draws one; it is then in ``self.seed``.
    layer : int
        Numbers the layer for the noise: neuron n starts from (seed, layer, n).
    bias : float or array
        Constant input [units of v_unit]; the fixed-point model rounds it to 1/64.
    a_in_scale : float
        Counts of ``a_in`` in one unit, floating point only.
    reset_interval : int, optional
        Steps after which the states go back to rest, as in a fresh runtime; None: never.
    reset_offset : int
        Resets happen before the steps with ``time_step % reset_interval == reset_offset % reset_interval``. Lava's first step has
        number 1, so the default makes samples of steps 1 to interval, interval + 1 to 2 interval, ...; use 2 for neurons behind a
        Dense, whose input comes one step late.
    held : bool
        Floating point with the rates that the fixed-point step holds, as networks from files have it (StepParams.held).
    rewind : bool
        Whether a reset also rewinds the generators of stochastic devices.
    drop_last : bool
        Send no spikes in the step before a reset. Behind a Dense those would reach only the next sample.

    Attributes
    ----------
    a_in : InPort of shape
        Synaptic input of a step, in counts. Of nan (floating point), ``v_gate`` is nan until a reset, and the neuron silent.
    s_out : OutPort of shape
        Spikes, 0 or 1.
    filament, residue, v_gate : Var of shape
        States. ``floating_pt``: shares of the gap [1] and volt; ``fixed_pt``: register counts (2^22 is the whole gap, 2^18 one
        ``v_unit``).
    generator : Var of shape
        Random-number generators.
    step : StepParams
        Device and step.

    Raises
    ------
    InputError
        For a value out of range; the text names it.
    """

    _runtime = None  # Lava's __del__ asks for it, also when __init__ refused its arguments

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        params: DeviceParams = ZHAO2025_FIG2,
        dt: float = 1e-3,
        substeps: int = SUBSTEPS,
        v_unit: float = V_UNIT,
        v_in_max: float = V_IN_MAX,
        seed: int | None = None,
        layer: int = 0,
        bias: Any = 0.0,
        a_in_scale: float = 1.0,
        reset_interval: int | None = None,
        reset_offset: int = 1,
        rewind: bool = True,
        drop_last: bool = False,
        held: bool = False,
        name: str | None = None,
        log_config: LogConfig | None = None,
    ) -> None:
        shape = _checked_shape(shape)
        size = int(np.prod(shape))
        _check_arrays(params, shape, size)
        step = StepParams(params, dt=dt, substeps=substeps, v_unit=v_unit, v_in_max=v_in_max, held=flag(held, "M1T1R.held"))
        step.fixed(size)  # rates that do not fit the registers are an error here, not in the middle of a run
        seed = secrets.randbits(31) if seed is None else whole(seed, "M1T1R.seed", most=noise.MOST_SEED)
        layer = whole(layer, "M1T1R.layer", most=noise.MOST_LAYERS - 1)
        a_in_scale = number(a_in_scale, "M1T1R.a_in_scale", above=0.0, most=_LARGEST_SCALE)
        reset_interval = None if reset_interval is None else whole(reset_interval, "M1T1R.reset_interval", least=1)
        reset_offset = whole(reset_offset, "M1T1R.reset_offset")
        bias = _checked_bias(bias, shape, size)
        super().__init__(
            shape=shape,
            step=step,
            a_in_scale=a_in_scale,
            reset_interval=reset_interval,
            reset_offset=reset_offset,
            rewind=flag(rewind, "M1T1R.rewind"),
            drop_last=flag(drop_last, "M1T1R.drop_last"),
            name=name,
            log_config=log_config,
        )
        self.step = step
        self.seed = seed
        self.a_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)
        self.filament = Var(shape=shape, init=0)
        self.residue = Var(shape=shape, init=0)
        self.v_gate = Var(shape=shape, init=0)
        self.generator = Var(shape=shape, init=noise.start(seed, layer, size).reshape(shape))
        self.bias = Var(shape=shape, init=bias)
        # Lava's processes are forked from this one and then share the compiled code.
        compile_step()


def _checked_shape(shape: Any) -> tuple[int, ...]:
    cure = "One layer of 256 neurons has shape (256,)."
    require(isinstance(shape, (tuple, list)) and len(shape) > 0, "M1T1R.shape", "be a tuple of sizes >= 1", shape, cure)
    return tuple(whole(n, "M1T1R.shape", least=1, cure=cure) for n in shape)


def _check_arrays(params: Any, shape: tuple[int, ...], size: int) -> None:
    require(isinstance(params, DeviceParams), "M1T1R.params", "be a DeviceParams", params)
    for name, value in params.as_dict().items():
        fits = not isinstance(value, np.ndarray) or value.size == size  # DeviceParams keeps arrays as rows
        shapes = f"{shape}" if shape == (size,) else f"{shape} or ({size},)"
        require(fits, f"DeviceParams.{name}", f"be a number or have the layer's shape {shapes}", np.shape(value))


def _checked_bias(bias: Any, shape: tuple[int, ...], size: int) -> np.ndarray:
    low, high = BIAS_BOUNDS
    name, rule = "M1T1R.bias [v_unit]", f"be a number, or hold one a neuron, from {low / WEIGHT_ONE:g} to {high / WEIGHT_ONE:g}"
    values = array_of(bias, name, rule).astype(np.float64)
    counts = np.rint(values * WEIGHT_ONE)
    good = values.shape in ((), (size,), shape) and not isinstance(bias, bool) and np.all((low <= counts) & (counts <= high))
    require(good, name, rule, bias)
    return np.broadcast_to(values.reshape(shape) if values.ndim else values, shape).copy()
