"""Settings of a recipe, all in one place: the task that a network learns, and the device of its neurons."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

from .. import presets
from ..delay_lines import MAX_DELAY, line_delays
from ..errors import InputError, counted, flag, number, require, whole
from ..noise import MOST_NEURONS, MOST_SEED
from ..params import DeviceParams
from ..program import StepParams, learnable
from ..tables import TOO_FAST, TOO_SLOW

MOST = 10**7
"""Largest count of a task."""
HEADROOM = 1.25
"""Largest input of a device that 1.2 V do not turn on, per its turn-on voltage without residue: for Fig. 4's device about the 2 V of the
figure's pulses, and some more."""
_WHOLE = (
    ("n_steps", 1, MOST),
    ("channels", 1, MOST),
    ("classes", 1, MOST),
    ("substeps", 1, 64),
    ("hidden", 1, MOST_NEURONS),
    ("delay_rec", 0, MAX_DELAY),
    ("epochs", 0, MOST),
    ("batch", 1, MOST),
    ("seed", 0, MOST_SEED),  # torch and numpy take no more either
)
_NUMBERS: dict[str, dict[str, Any]] = {
    # the upper limits are larger than any sensible value, and far below those with which single precision overflows in training
    "dt": {"above": 0.0, "most": 1e6},
    **{name: {"above": 0.0, "most": 1e12} for name in ("slower", "refractory")},
    **{name: {"above": 0.0, "most": 1e3} for name in ("v_unit", "learning_rate")},
    **{name: {"least": 0.0, "most": 1.0} for name in ("spread", "variation", "label_smoothing")},
    **{name: {"least": 0.0, "most": 1e9} for name in ("smooth", "spike_limit", "spike_cost")},
}


@dataclass(frozen=True)
class Task:
    """Frames, device, network and training of one recipe.

    Raises
    ------
    InputError
        For a choice that no network can be made or trained with. The text names the field.
    """

    name: str
    dt: float = 10e-3
    """Bin width = network step [s]."""
    n_steps: int = 90
    """Number of bins of an utterance; later spikes are cropped."""
    channels: int = 700
    """Number of input channels after grouping."""
    classes: int = 20
    preset: str = "ZHAO2025_FIG2"
    """Name of the preset, a measured device that the neurons are modelled on."""
    device: DeviceParams | None = None
    """Another device that they are modelled on, instead of the preset."""
    slower: float = 40.0
    """Factor by which the device is slowed down to suit ``dt`` (DeviceParams.scaled): at 40, a step is 0.25 ms of the measured device's
    time."""
    refractory: float = 1.0
    """Factor on R_c, and so on the refractory period. Larger, together with ``spike_limit``: answers from fewer spikes."""
    spread: float = 0.0
    """Standard deviation of ln(mu), ln(beta), ln(gamma1), ln(gamma2) and ln(R_c) from neuron to neuron, drawn once from the seed: a layer
    of slower and faster devices, which training knows and files hold. 0: all devices are alike."""
    substeps: int = 1
    v_unit: float = 0.125
    """Input voltage of one unit of weight [V]."""
    hidden: int = 128
    delay_rec: int = 20
    """Largest recurrent delay [steps]: delays are drawn from 0 to this, once, from the seed."""
    taps: tuple[int, ...] = (0,)
    """Delays [steps] with which each channel reaches the recurrent neurons, each through weights of its own (delay_lines). (0,): each
    channel arrives once, without delay."""
    synaptic_delays: bool = False
    """Whether each synapse has one of the taps, drawn once from the seed, instead of all of them: as many weights as without delay
    lines."""
    epochs: int = 30
    batch: int = 64
    learning_rate: float = 0.02
    seed: int = 0
    smooth: float = 0.0
    """Standard deviation of the Gaussian over channels that smooths the input weights (recipes.smooth), in channels; 0: none."""
    label_smoothing: float = 0.0
    """Share of the label that training spreads over all classes."""
    spike_limit: float | None = None
    """Number of spikes of the recurrent layer in an utterance above which spikes add to the training loss; None: they never do.
    They are counted as they leave the layer: not those that its delays, or its shift by a step, move past the utterance's end."""
    spike_cost: float = 1.0
    """Loss of one spike per neuron above ``spike_limit``; it sets in over the first third of the training."""
    variation: float = 0.0
    """Spread of the devices that each training step draws, for variation-aware training (slayer.neuron.Neuron)."""
    learn: tuple[str, ...] = ()
    """Device parameters that each recurrent neuron learns for itself (slayer.neuron.Neuron)."""

    def __post_init__(self) -> None:
        for name, least, most in _WHOLE:
            object.__setattr__(self, name, whole(getattr(self, name), f"Task.{name}", least=least, most=most))
        for name, bounds in _NUMBERS.items():
            value = getattr(self, name)
            if value is not None or name != "spike_limit":
                object.__setattr__(self, name, number(value, f"Task.{name}", **bounds))
        require(self.label_smoothing < 1, "Task.label_smoothing", "lie below 1", self.label_smoothing)
        known = presets.names()
        require(self.preset in known, "Task.preset", f"be one of {', '.join(known)}", self.preset)
        own = self.device
        single = own is None or (isinstance(own, DeviceParams) and own.size is None)
        require(single, "Task.device", "be a single device, DeviceParams, or None for the preset", own)
        cure = "Set its _dtod fields to 0: Task.spread (--spread) draws each neuron a device of its own."
        require(own is None or not own.varies, "Task.device", "be the device of all neurons, without spreads", own, cure)
        object.__setattr__(self, "synaptic_delays", flag(self.synaptic_delays, "Task.synaptic_delays"))
        object.__setattr__(self, "learn", learnable(self.learn, "Task.learn"))
        object.__setattr__(self, "taps", tuple(line_delays(self.taps, 1, "Task.taps").tolist()))

    @property
    def measured(self) -> DeviceParams:
        """The device that the neurons are modelled on, as fast as it is."""
        return getattr(presets, self.preset) if self.device is None else self.device

    @property
    def device_name(self) -> str:
        """Name of this device."""
        return self.preset if self.device is None else "a device of your own"

    @property
    def step(self) -> StepParams:
        """The median neuron in network steps. Inputs go beyond 1.2 V where no lower one turns the device on."""
        device = self.measured.scaled(self.slower)
        device = replace(device, r_control=self.refractory * device.r_control)
        step = StepParams(device, dt=self.dt, substeps=self.substeps, v_unit=self.v_unit)
        return step.replace(v_in_max=max(step.v_in_max, HEADROOM * float(max(device.turn_on_voltages)))) if step.silence else step

    @property
    def lines(self) -> int:
        """Number of inputs of the recurrent layer: its channels, once for each tap."""
        return self.channels * len(self.taps)

    @property
    def devices(self) -> DeviceParams:
        """The recurrent neurons' device, or with ``spread`` their ``hidden`` devices."""
        device = self.step.device
        if not self.spread:
            return device
        return replace(device.with_variation(self.spread), v_th_dtod=0.0).spread(self.hidden, self.seed)

    def require_integers(self) -> None:
        """Refuse a device that the fixed-point step cannot hold; called before data and a 1M1T1R network of the task are made.

        A Task is not checked for this when it is made: tasks that only bin frames, and those of CUBA networks, do not use the device.

        Raises
        ------
        InputError
        """
        try:
            self.step.replace(device=self.devices).fixed(self.hidden)
        except InputError as error:
            given = ", ".join(f"{name} {getattr(self, name):g}" for name in ("refractory", "slower", "spread", "dt", "substeps", "v_unit"))
            text = str(error)
            for cure, own in ((TOO_FAST, "Make slower (--slower) larger."), (TOO_SLOW, "Make slower (--slower) smaller.")):
                text = text.replace(cure, own)  # dt takes the device with it
            raise InputError(f"Task: {self.device_name} with {given} makes a device that has no integers: {text}") from error

    def replace(self, **changes: Any) -> Task:
        """Return a copy with some choices changed (None leaves them)."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    @property
    def device_text(self) -> str:
        """One sentence naming the device that the network assumes."""
        longer = "" if self.refractory == 1 else f", with {self.refractory:g} times its R_c"
        each = f", each neuron's own, spread by {self.spread:g} in their logarithm" if self.spread else ""
        slowed = f"slowed down {self.slower:g} times (all rates and R_c C_g together){longer}{each}"
        return f"{self.device_name.replace('_', ' ')} {slowed}, in {step_text(self.step)}"


def step_text(step: StepParams) -> str:
    """Length of a network step, and what drives it; goes on where a sentence says "in"."""
    substeps = counted(step.substeps, "substep")
    return f"steps of {step.dt * 1e3:g} ms with {substeps}; one unit of weight is {step.v_unit:g} V."


TAPS = (0, 6, 12, 18)
"""Delays of synapses [steps of 10 ms], chosen on training voices of SpokenDigits, ten of them kept apart, with as many parameters each.
Where a synapse has one of them (``synaptic_delays``, 512 neurons): 98.2 and 98.7 % (two seeds). Where it has all (364 neurons): 98.0, 97.4
and 97.7 % (three), beside 97.6 % of (0, 3, 6, 9), 97.3 % of (0, 9, 18, 27) and 97.2 % of six (0, 4, ..., 20); and 97.2 % without."""
DELAYS: dict[str, Any] = {"taps": TAPS, "synaptic_delays": True}
_EARS: dict[str, Any] = {"channels": 140, **DELAYS}
MANY_VOICES: dict[str, Any] = {
    **_EARS,
    "hidden": 512,
    "delay_rec": 40,
    "smooth": 5.0,
    "label_smoothing": 0.1,
    "learning_rate": 0.008,
}
"""Fields of the Task that trained best on SpokenDigits of SHD's size (``bench accuracy``), in 25 epochs."""
_FEW_VOICES: dict[str, Any] = {**_EARS, "hidden": 512, "learning_rate": 0.01}
"""Fields of the Task that did best on a human speaker whom training had not heard, with recordings of two or three others."""
SPOKEN_DIGITS, RECORDINGS, SHD = "spoken-digits", "recordings", "shd"
PAPER_ACCURACY = f"{presets.SHD_ACCURACY:g} %"
"""The paper's accuracy on SHD, of its recurrent network."""
RECIPES = {
    task.name: task
    for task in (
        Task(SPOKEN_DIGITS, **_EARS),
        Task(RECORDINGS, epochs=25, **_FEW_VOICES),
        Task(SHD, n_steps=120, epochs=25, **MANY_VOICES),
    )
}


def recipe(name: str) -> Task:
    """Return the named recipe."""
    require(isinstance(name, str) and name in RECIPES, "recipe", f"be one of {', '.join(RECIPES)}", name)
    return RECIPES[name]


def recipe_for(source: str | os.PathLike | None) -> str:
    """Name of the recipe that suits a source of data (:func:`.data.load`)."""
    if source is None:
        return SPOKEN_DIGITS
    return SHD if os.path.isdir(source) else RECORDINGS
