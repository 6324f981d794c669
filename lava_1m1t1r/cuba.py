"""From a current-based leaky integrate-and-fire layer (CUBA) to a 1M1T1R layer: time constants, refractoriness, weights and bias.

| CUBA, in lava-dl's terms | 1M1T1R |
|---|---|
| decays of current and voltage | life of the filament 1 / (gamma1 + beta): all rates, by one factor |
| none (lava-dl's `refDelay` is 1 step) | R_c C_g: the gate drains to V_th |
| weight 1.0, threshold in the same unit | `v_unit`, times a factor on the weights |
| distance of the mean input to the threshold | bias of each neuron, just below its turn-on |
| none | residue: 1 / gamma2, scaled with the rest |

What does not carry over: a CUBA neuron sums its input linearly without bound; a device integrates a steep function of a voltage in
[0, v_in_max] and falls silent while its gate is up. So the result is where training starts, not a copy of the network.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .arithmetic import WEIGHT_ONE
from .drop import drop_curve
from .errors import array_of, number, require, told_least
from .noise import MOST_NEURONS
from .params import DEVIATING, DeviceParams, one_device
from .presets import ZHAO2025_FIG2
from .program import StepParams
from .reference import CompiledNeurons
from .sums import BIAS_BOUNDS

INPUT_SPREAD = 0.16
"""Standard deviation over time that the synaptic input is scaled to [V]. Tried from 0.02 to 0.3 V on a trained network of spoken digits:
with a short refractory period the spike counts followed those of the CUBA neurons best at 0.16 V (correlation 0.7)."""
_LEVELS = np.linspace(0.2, 1.0, 33)  # mean input voltages tried, from below [V]: a device that is driven too hard latches, and is silent


class WorkingPoint(NamedTuple):
    """Weights and biases with which devices take the input of CUBA neurons."""

    gain: float
    """Factor on the weights [1]."""
    bias: np.ndarray
    """(N,) constant input [units], multiples of 1/64."""
    rate: np.ndarray
    """Spikes per step of the devices under the given input, (N,), to be compared with the CUBA neurons' own."""


def memory_steps(current_decay: float, voltage_decay: float) -> float:
    """Mean delay with which a CUBA neuron's voltage feels a spike: ``(1 - du) / du + (1 - dv) / dv`` [steps].

    Parameters
    ----------
    current_decay, voltage_decay : float
        Share of current and voltage lost in a step, as lava-dl's neuron parameters: in (0, 1].
    """
    total = 0.0
    for name, lost in (("current_decay", current_decay), ("voltage_decay", voltage_decay)):
        share = array_of(lost, name, "be a number")
        good = share.ndim == 0 and share.dtype.kind != "b" and 0 < share <= 1
        require(good, name, "be the share lost in a step, in (0, 1]", lost, "Divide lava-dl's integers by 4096.")
        total += (1.0 - float(share)) / float(share)
    return total


def device_for(
    current_decay: float, voltage_decay: float, dt: float, device: DeviceParams = ZHAO2025_FIG2, refractory: float | None = None
) -> DeviceParams:
    """The device, slowed down or sped up, whose filament remembers as long as a CUBA neuron does.

    ``device.scaled`` by the one factor that makes 1 / (gamma1 + beta) the CUBA neuron's mean delay (:func:`memory_steps`). Then
    R_c, if a refractory period is asked for: ``refractory = R_c C_g ln(V_gate / V_th)``, with the gate as it is left after a spike under
    ``v_ref`` without residue. (Residue leaves it higher: up to a third longer for ``ZHAO2025_FIG2_WIDE``, a tenth for ``ZHAO2025_FIG2``.)

    Parameters
    ----------
    current_decay, voltage_decay : float
        Share lost in a step, in (0, 1]; not both 1.
    dt : float
        Network step [s].
    device : DeviceParams
        A single device; with noise and spreads, which the result keeps.
    refractory : float, optional
        Time for which a spike keeps the gate above threshold [s]. Default: the device's own, scaled.

    Returns
    -------
    DeviceParams

    Raises
    ------
    InputError
        For decays without memory, an array of devices, or a period so short that R_c would come near R_on and the gate could not charge.
    """
    memory = memory_steps(current_decay, voltage_decay)
    require(memory > 0, "current_decay and voltage_decay", "not both be 1", (current_decay, voltage_decay), "Such a neuron has no memory.")
    dt = number(dt, "dt [s]", above=0.0)
    scaled = one_device(device, "device", "Apply spread() afterwards.").scaled(memory * dt * (device.gamma1 + device.beta))
    if refractory is None:
        return scaled
    refractory = number(refractory, "refractory [s]", above=0.0)
    plain = device.quiet().replace(**{f"{name}_dtod": 0.0 for name in DEVIATING})  # network steps take no spread
    left = float(device.v_ref - drop_curve(plain, float(device.v_ref))[0])
    require(left > device.v_th, "device.v_th [V]", f"lie below the gate's {left:.3g} V after a spike, or nothing refracts", device.v_th)
    r_control = refractory / (scaled.c_gate * np.log(left / device.v_th))
    least = 10 * scaled.r_on * scaled.c_gate * np.log(left / device.v_th)
    require(r_control >= 10 * scaled.r_on, "refractory [s]", f"be at least {told_least(least)}, so that R_c >= 10 R_on", refractory)
    return scaled.replace(r_control=float(r_control))


def working_point(step: StepParams, a_in: Any, spikes: Any, spread: float = INPUT_SPREAD) -> WorkingPoint:
    """Factor on the weights and biases with which devices fire about as often as CUBA neurons do under the same input.

    The factor gives the synaptic input a standard deviation of ``spread`` over time, in the mean over the neurons. The bias of each
    neuron is searched from below, for a mean input of 0.2 to 1 V as far as 13 bits allow it: it is where the spike count comes nearest to
    the CUBA neuron's. Each neuron is taken for itself, under the recorded recurrent input; a running network strays from it.

    Parameters
    ----------
    step : StepParams
        Device and step of the new neurons.
    a_in : (B, T, N) float
        Synaptic input of the CUBA neurons, recurrence included, in units of weight 1.
    spikes : (B, T, N)
        What they did; non-zero for a spike.
    spread : float
        [V].

    Returns
    -------
    WorkingPoint
    """
    require(isinstance(step, StepParams), "step", "be StepParams", step)
    a_in, spikes = array_of(a_in, "a_in").astype(np.float64), array_of(spikes, "spikes")
    require(a_in.ndim == 3 and a_in.size > 0, "a_in", "have shape (B, T, N)", a_in.shape)
    require(spikes.shape == a_in.shape, "spikes", f"have the shape of a_in {a_in.shape}", spikes.shape)
    size = a_in.shape[2]
    cure = "Record fewer utterances: some tens are enough."
    require(a_in.shape[0] * size <= MOST_NEURONS, "a_in", f"have at most {MOST_NEURONS} neurons in all samples", a_in.shape, cure)
    own = step.device.size
    require(own in (None, size), "step.device", f"hold numbers, or arrays of one value a neuron ({size})", own)
    spread = number(spread, "spread [V]", above=0.0, most=step.v_in_max)
    varies = float(a_in.std((0, 1)).mean())
    require(np.isfinite(varies) and varies > 0, "a_in", "be finite and vary over time", varies, "Record it under real input.")
    gain = spread / (step.v_unit * varies)
    driven, wanted = np.rint(a_in * gain * WEIGHT_ONE).astype(np.int64), np.count_nonzero(spikes, axis=(0, 1))
    mean = driven.mean((0, 1))
    bias, fired = np.zeros(size, np.int64), np.zeros(size, np.int64)
    nearest = np.full(size, np.inf)
    devices = step.device.take(np.tile(np.arange(size), len(a_in)))
    neurons = CompiledNeurons(step.replace(device=devices), len(a_in) * size)
    for volt in _LEVELS:
        tried = np.clip(np.rint(volt / step.v_unit * WEIGHT_ONE - mean), *BIAS_BOUNDS).astype(np.int64)
        found = _counts(neurons, driven + tried)
        nearer = np.abs(found - wanted) < nearest  # of equals, the one found first: the lowest
        bias, fired = np.where(nearer, tried, bias), np.where(nearer, found, fired)
        nearest = np.abs(fired - wanted)
    return WorkingPoint(gain, bias / WEIGHT_ONE, fired / (a_in.shape[0] * a_in.shape[1]))


def _counts(neurons: CompiledNeurons, a_in: np.ndarray) -> np.ndarray:
    """Spike counts (N,) of B N independent neurons, all samples at once, from rest. Input (B, T, N) in counts of 1/64."""
    batch, steps, size = a_in.shape
    neurons.reset()
    total = np.zeros(batch * size, np.int64)
    for t in range(steps):
        total += neurons.step(a_in[:, t].reshape(-1)).spike
    return total.reshape(batch, size).sum(0)
