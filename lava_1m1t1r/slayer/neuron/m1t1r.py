"""The 1M1T1R neuron as a lava-dl neuron: the network's fixed-point step forward, its three states backward."""

from __future__ import annotations

import dataclasses
import warnings
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from lava.lib.dl.slayer.neuron import base

from ... import noise
from ...arithmetic import WEIGHT_ONE
from ...dynamics import State
from ...errors import flag, number, require, whole
from ...keys import from_keys, to_keys
from ...params import DEVIATING, DeviceParams
from ...presets import ZHAO2025_FIG2
from ...program import INTEGER_FIELDS, STEP_FIELDS, SUBSTEPS, V_IN_MAX, V_UNIT, FixedProgram, StepParams, learnable
from ..checks import check_tensor
from ..exact import eager
from ..layer import LayerCall, layer
from ..quantise import quantise_8bit
from ..surrogate import Surrogate
from .learned import LEARN_RANGE, LearnedDevice

_MADE_FOR = "1M1T1R"


def neuron_params(device_params: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of :class:`Neuron` from ``device_params``, the ``neuron/*`` keys of a file."""
    return arguments_of(*from_keys(device_params, "device_params"))


def arguments_of(step: StepParams, seed: int) -> dict[str, Any]:
    """Arguments of :class:`Neuron` from a step and the seed of its noise."""
    return {"params": step.device, **{name: getattr(step, name) for name in INTEGER_FIELDS}, "seed": seed}


def _of_surrogate(name: str) -> Any:
    """A setting of the surrogate as an attribute of the neuron."""

    def setting(self: Neuron) -> float:
        return getattr(self.surrogate, name)

    def change(self: Neuron, value: float) -> None:
        if "surrogate" in self.__dict__:  # lava-dl's constructor sets some, before there is one
            self.surrogate = dataclasses.replace(self.surrogate, **{name: value})
            self._program = None  # with it goes what the backward pass has made for the former one

    return property(setting, change)


class Neuron(base.Neuron):
    """1M1T1R neuron.

    The forward pass is the network step in integers, bit for bit (:func:`lava_1m1t1r.reference.run` with ``fixed=True``); the
    backward pass runs through filament, residue and gate with the derivatives stated in :mod:`..reverse`. Every call starts
    from rest unless ``persistent_state`` is set.

    Parameters
    ----------
    params : DeviceParams
        The device, or N devices. Default: the device of Fig. 2.
    dt : float
        Network step = bin width of the frames [s].
    substeps, v_unit, v_in_max
        See :class:`..program.StepParams`.
    seed : int
        Seed of stochastic devices. In evaluation every sample draws the same numbers, as in deployment; in training each its own.
    variation : float
        Variation-aware training: in training every call draws N other devices about ``params``, with this standard deviation of the
        logarithm of each constant (``DeviceParams.with_variation``), so that weights are learned that suit any of them. Evaluation and
        files have ``params``.
    learn : sequence of str
        Device parameters that learn, each neuron's own: any of :data:`..params.LEARNABLE`. ``params`` then gives where they start, and
        files have what was learned. Images learn one value a feature; :class:`Input` and :class:`Pool` one for all neurons.
    learn_range : float
        Largest factor by which they may leave ``params``, either way; it is approached as a hyperbolic tangent does.
    tau_grad, scale_grad, reset_grad, grow_floor, grow_cap, clip_grad : float, optional
        See :class:`..surrogate.Surrogate`. The attributes of these names may be changed during training, as lava-dl's ``tau_rho`` and
        ``scale_rho``, which are here, too.
    persistent_state : bool
        Whether a call goes on where the last one of the same batch size ended; gradients stop there. Spikes that an axonal delay
        (``delay=True`` of the block) has not let out by the end of a call are lost. Not together with ``torch.utils.checkpoint``, which
        runs every call twice.
    record_states : bool
        Whether each call leaves ``states``: filament and residue [share of the gap] and gate [V], (B, N, T) each, at the end of each step,
        which losses may use: they are differentiable, with the derivatives of :mod:`..reverse`. (Those are not the exact ones even where
        no neuron fires. With ``reset_grad=0``, ``grow_floor=0`` and a large ``grow_cap``, those of filament and residue are, far from the
        turn-on; that of the gate leaves out that a longer filament charges it faster.) A block's spikes come a step later
        (``delay_shift``). The attribute of this name may be changed at any time. Not together with ``torch.utils.checkpoint``.
    norm, dropout
        Not offered: both would make the synaptic input other than whole counts. Refused.
    shared_param, requires_grad
        Accepted as lava-dl's; devices are shared or not as ``params`` says.
    """

    tau_grad, scale_grad, reset_grad = (_of_surrogate(name) for name in ("tau_grad", "scale_grad", "reset_grad"))
    grow_floor, grow_cap, clip_grad = (_of_surrogate(name) for name in ("grow_floor", "grow_cap", "clip_grad"))
    scale_rho = scale_grad
    states: State | None = None
    """States of the last call that recorded them; None: none did."""

    def __init__(
        self,
        params: DeviceParams = ZHAO2025_FIG2,
        dt: float = 1e-3,
        substeps: int = SUBSTEPS,
        v_unit: float = V_UNIT,
        v_in_max: float = V_IN_MAX,
        seed: int = 0,
        variation: float = 0.0,
        learn: Sequence[str] = (),
        learn_range: float = LEARN_RANGE,
        tau_grad: float | None = None,
        scale_grad: float | None = None,
        reset_grad: float | None = None,
        grow_floor: float | None = None,
        grow_cap: float | None = None,
        clip_grad: float | None = None,
        norm: Any = None,
        dropout: Any = None,
        persistent_state: bool = False,
        shared_param: bool = True,
        requires_grad: bool = True,
        record_states: bool = False,
    ) -> None:
        require(norm is None, "neuron_params['norm']", "be None", norm, "Use bias=True of the block, or weight_norm.")
        require(dropout is None, "neuron_params['dropout']", "be None", dropout, "Drop input events instead, without rescaling.")
        seed = whole(seed, "neuron_params['seed']", most=noise.MOST_SEED)
        given = {"tau_grad": tau_grad, "scale_grad": scale_grad, "reset_grad": reset_grad}
        given |= {"grow_floor": grow_floor, "grow_cap": grow_cap, "clip_grad": clip_grad}
        surrogate = Surrogate(**{name: value for name, value in given.items() if value is not None})
        step = StepParams(params, dt=dt, substeps=substeps, v_unit=v_unit, v_in_max=v_in_max)
        self.variation = number(variation, "neuron_params['variation']", least=0.0, most=1.0)
        super().__init__(
            threshold=1.0,  # _take knows it
            tau_grad=surrogate.tau_grad,
            scale_grad=surrogate.scale_grad,
            p_scale=1 << 12,
            w_scale=WEIGHT_ONE,
            s_scale=WEIGHT_ONE << 6,
            persistent_state=flag(persistent_state, "neuron_params['persistent_state']"),
            shared_param=shared_param,
            requires_grad=requires_grad,
        )
        names = learnable(learn, "neuron_params['learn']")
        self._learn = names, number(learn_range, "neuron_params['learn_range']", above=1.0, most=1e3)
        self.learned: LearnedDevice | None = None
        """Device parameters that learn; None: none do."""
        self.surrogate = surrogate
        self.seed = seed
        self.layer = 0
        """Index of the layer in the file, from which its generators start; networks of stochastic devices set it."""
        self.record_states = flag(record_states, "neuron_params['record_states']")
        self._take(step)

    def _take(self, step: StepParams) -> None:
        """Hold these devices and this step, with all that follows from them, at rest; warn where no neuron can ever fire."""
        step.fixed(step.device.size or 1)  # rates that do not fit the registers are an error here, not at the first call
        if step.silence:
            warnings.warn(f"neuron_params: {step.silence}", stacklevel=3)
        self.nominal = step
        """Device and step as given, from which those that learn started."""
        self._threshold = int(_threshold_of(step) * self.w_scale) / self.w_scale  # as lava-dl rounds it
        self._program: Any = None
        self._known: Any = None
        self.reset()

    @property
    def tau_rho(self) -> float:
        """``tau_grad`` in lava-dl's scale, that of the threshold."""
        return self.tau_grad * _threshold_of(self.nominal)

    @tau_rho.setter
    def tau_rho(self, value: float) -> None:
        if "surrogate" in self.__dict__:
            self.tau_grad = value / _threshold_of(self.nominal)

    def extra_repr(self) -> str:
        """Text that tells the neuron from others, learning aside: device and step, surrogate and options."""
        usual, (names, largest) = DeviceParams().as_dict(), self._learn
        said: dict[str, Any] = {name: text for name, text in self._made_for().items() if name not in usual or text != str(usual[name])}
        said |= dataclasses.asdict(self.surrogate) | {"seed": self.seed, "variation": self.variation}
        said |= {"learn": " ".join(names), "learn_range": largest} if names else {}
        said["persistent_state"] = self.persistent_state
        return ", ".join(f"{name}={_shown(value)}" for name, value in said.items())

    def _made_for(self) -> dict[str, str]:
        """Device and step as given, as text by field."""
        step = {name: getattr(self.nominal, name) for name in STEP_FIELDS}
        return {name: _shown(value) for name, value in (self.nominal.device.as_dict() | step).items()}

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        # in the metadata, which has no such entry in older state dicts and those made by hand
        getattr(destination, "_metadata", {}).get(prefix[:-1], {})[_MADE_FOR] = self._made_for()

    def _load_from_state_dict(self, state_dict: Any, prefix: str, local_metadata: dict[str, Any], *more: Any) -> None:
        saved = local_metadata.get(_MADE_FOR, {})
        differ = [f"{name}={saved[name]} (here {text})" for name, text in self._made_for().items() if saved.get(name, text) != text]
        if differ:
            warnings.warn(f"{prefix[:-1] or 'neuron'}: this state dict is of neurons with {', '.join(differ)}", stacklevel=2)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *more)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "states": None}  # results of the last call, which torch does not copy

    def learn_for(self, count: int) -> None:
        """Make the learned device parameters (``learn``), ``count`` of each; blocks do."""
        names, largest = self._learn
        if names:
            self.learned = LearnedDevice(names, largest, count)

    @property
    def params(self) -> StepParams:
        """Device and step as they are now: where devices learn, as learned so far."""
        return self._params_of(self.num_neurons or self.nominal.device.size)

    def _params_of(self, size: int | None) -> StepParams:
        """The same for a call of ``size`` neurons; None: before the first one."""
        if self.learned is None:
            return self.nominal
        size = size or self.learned.count
        # by value: what writes to parameters past torch's bookkeeping (.data) counts as well
        state = (size, *(log.detach().double().cpu().numpy().tobytes() for log in self.learned.logs().values()))
        known = self._known  # read once, as the program below: another thread may replace it by that of images of another size
        if known is None or known[0] != state:
            self._known = known = (state, self.learned.step(self.nominal, size))
            self._program = None
        return known[1]

    @property
    def device_params(self) -> dict[str, Any]:
        """Keys below ``neuron/`` of a file."""
        return to_keys(self.params, self.seed)

    @property
    def kept_states(self) -> np.ndarray | None:
        """With ``persistent_state``: filament, residue and gate after the last call (B, 3, N) int32 [counts], a copy; None: at rest."""
        return None if self._kept is None else self._kept[0].copy()

    def quantize_8bit(self, weight: torch.Tensor, descale: bool = False) -> torch.Tensor:
        """Even multiples of 1/64 in [-4, 4): lava-dl's 8-bit weights; ``descale`` gives the counts, times 64."""
        return quantise_8bit(weight, descale)

    def set_params(self, **changes: Any) -> None:
        """Change the device or the step: any of the fields of DeviceParams (SI units; for another device, ``**device.as_dict()``), and of
        StepParams beside its ``device``. The neurons are at rest then."""
        step = {name: changes.pop(name) for name in STEP_FIELDS if name in changes}
        device = self.nominal.device
        for name in changes:
            require(name in device.as_dict(), "set_params", f"name fields of DeviceParams, or {', '.join(STEP_FIELDS)}", name)
        self._take(self.nominal.replace(device=dataclasses.replace(device, **changes), **step))

    def reset(self) -> None:
        """Put the neurons to rest; it matters only with ``persistent_state``."""
        # states (B, 3, N) int32, spikes (B, PAST, N) uint8, generators (B, N) int64; one attribute, of which Ctrl-C leaves no part behind
        self._kept: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    @eager
    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Spikes from synaptic input.

        Parameters
        ----------
        z : (B, N, T) or (B, C, H, W, T)
            In units of weight 1, rounded to 1/64: what a synapse of 8-bit weights gives.

        Returns
        -------
        Spikes of the same shape.
        """
        check_tensor(z, "Neuron input")
        require(z.dim() >= 3, "Neuron input", "have shape (B, N, T) or (B, C, H, W, T)", tuple(z.shape))
        spikes = self.run(z.flatten(1, -2))
        self.shape = z.shape[1:-1]
        return spikes.transpose(1, 2).reshape(z.shape)

    def run(
        self,
        x: torch.Tensor,
        w: torch.Tensor | None = None,
        bias: torch.Tensor | None = None,
        w_rec: torch.Tensor | None = None,
        delay_rec: np.ndarray | None = None,
        delay_shift: bool = False,
    ) -> torch.Tensor:
        """Spikes (B, T, N) of neurons behind a synapse.

        Parameters
        ----------
        x, w, bias, w_rec
            As in :func:`..layer.layer`.
        delay_rec : (N,) int, optional
            Further delay of each neuron's recurrent spikes [steps]; None: 0.
        delay_shift : bool
            Whether the output comes one step late.
        """
        batch, size = x.shape[0], x.shape[1] if w is None else w.shape[0]
        names = self._learn[0]
        require(not names or self.learned is not None, "neuron_params['learn']", "be used in a block", names, "Or call learn_for(count).")
        self.num_neurons = size
        varied = self.training and self.variation
        params, program, made = self._drawn(size) if varied else self._nominal(size)
        constants = None if self.learned is None else self.learned.constants(params, size)
        noisy = params.device.noisy
        kept = self._kept if self.persistent_state else None
        if kept is not None and kept[0].shape != (batch, 3, size):
            kept = None
        generator = np.zeros((batch, 0), np.int64)
        if noisy:  # a copy: a call that does not come to its end (Ctrl-C) leaves the generators as it leaves the states
            generator = self._generators(batch, size) if kept is None else kept[2].copy()
        run = LayerCall(
            records=self.record_states,
            params=params,
            program=program,
            surrogate=self.surrogate,
            generator=generator,
            delay_rec=np.zeros(size, np.int64) if delay_rec is None else np.ascontiguousarray(delay_rec, np.int64),
            past=None if kept is None else kept[1],
            shift=int(delay_shift),
            states=np.zeros((batch, 3, size), np.int32) if kept is None else kept[0],
            keeps_last=self.persistent_state,
            last=[],
            made=made,
        )
        self.states = None  # before the call: they hold the memory of the last one's graph
        spikes = layer(x, w, bias, w_rec, constants, run)
        if self.record_states:
            spikes, states = spikes
            self.states = State(*states.permute(2, 0, 3, 1))
        self.shape = torch.Size([size])
        if self.persistent_state:
            self._kept = (*run.last, run.generator)
        return spikes

    def check_place(self, group: str) -> None:
        """Warn if the network that is exported to the HDF5 group of this name would draw other noise than the one that was trained."""
        index = group.rstrip("/").rpartition("/")[2]
        if index.isdecimal() and int(index) != self.layer and self.params.device.noisy:
            text = (
                f"{group}: the file draws its noise otherwise than training did: by the layer's place; block.neuron.layer is {self.layer}. "
                f"Set that to {index} before training (recipes.network.Network does so) for equal spikes."
            )
            warnings.warn(text, stacklevel=2)

    def _nominal(self, size: int) -> tuple[StepParams, FixedProgram, dict]:
        params = self._params_of(size)  # before the program, which it drops where learned devices have changed
        program = self._program
        if program is None or program[0] != size:
            self._program = program = (size, params.fixed(size), {})
        return params, *program[1:]

    def _drawn(self, size: int) -> tuple[StepParams, FixedProgram, dict]:
        """Devices drawn anew about the nominal ones."""
        own = self._params_of(size)
        varied = own.device.with_variation(self.variation)
        # at once, not device by device as spread draws them: their number is the same in every call
        device = varied.deviating(
            np.random.default_rng(int(torch.randint(0, 1 << 31, (), device="cpu"))).standard_normal((size, len(DEVIATING)))
        )
        # a larger threshold is never reached, and the gate's bits do not hold it
        device = dataclasses.replace(device, v_th=np.minimum(device.v_th, own.largest_v_th))
        params = own.towards(device, size)
        return params, params.fixed(size), {}

    def _generators(self, batch: int, size: int) -> np.ndarray:
        if not self.training:
            return np.broadcast_to(noise.start(self.seed, self.layer, size), (batch, size)).copy()
        return noise.starts(torch.randint(0, 1 << 31, (batch,), device="cpu").numpy(), self.layer, size)


def _threshold_of(step: StepParams) -> float:
    """Mean threshold of the gates in units of weight 1."""
    return float(np.mean(step.device.v_th)) / step.v_unit


def _shown(value: Any) -> str:
    """A value in a few words; arrays by what tells them apart."""
    return f"<{value.size} values, crc32 {zlib.crc32(value.tobytes()):08x}>" if isinstance(value, np.ndarray) else str(value)
