"""From a device and a network step to the constants and tables that one substep reads, in floating and in fixed point."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from .arithmetic import (
    CHARGE_BITS,
    FINEST,
    GAIN_BITS,
    GATE_EXTRA,
    GATE_ONE,
    INPUT_BITS,
    KNOTS,
    MANTISSA,
    ONE,
    REGISTER_BITS,
    ROOT_BITS,
    STATE_BITS,
    STRETCH_BITS,
    field_law,
    resistance_law,
    sinh_scale,
)
from .compiled import repeated
from .drop import drop_curve
from .dynamics import State
from .errors import flag, number, require, told_least, told_most, whole
from .exponential import LIMIT
from .noise import MOST_NEURONS
from .params import DEVIATING, LEARNABLE, VARYING, ByValue, DeviceParams
from .tables import LEAST_SHARE, decay, floating_table, held, noise_gain, plain_table

V_UNIT = 0.125
"""Default input voltage of one lava-dl unit [V]."""
V_IN_MAX = 1.2
"""Default largest input voltage [V]; the paper limits RSNN inputs to 0 to 1.2 V (main text)."""
SUBSTEPS = 4
"""Default number of substeps of a network step. :func:`.advisor.advise` says how accurate they are for a device: at 1 ms, first spikes of
the Fig. 2 device within 1.4 % and, under random pulses of 0.8 V, rates within 3 %."""

FIELD_ERROR = 1e-4  # relative error of the field table by interpolation; its mantissas add up to 8e-6
_STEEPEST = LIMIT - 20  # v_ref / v0 of the floating law: a field e^20 times that at v_ref, beyond which it is cut, is growth at once
_LEAST_GROWTH = 1e-30
_MOST_ENTRY = 2.0**126  # of a floating table, whose exponents have 8 bits; a field of so many volts is growth at once
_MOST_GATE = 1 << (REGISTER_BITS - 1)  # counts
_MOST_KNOTS = 1 << 13  # of the field table
_COARSEST = 6  # largest field_shift


class FloatProgram(NamedTuple):
    """Constants of one floating-point substep. (N,) float64 unless said otherwise."""

    growth: Any  # growth in a substep per volt of drive at a gap of 1 [1/V]
    v0: Any  # [V]
    v_ref: Any  # [V]
    alpha: Any
    filament_kept: Any
    residue_kept: Any
    transfer: Any
    gate_kept: Any  # over half a substep
    v_th: Any  # [V]
    r_on: Any  # [ohm]
    substep_per_c: Any  # substep / C_g [ohm]
    drop: Any  # (65,) field at which the filament lets go, over the residue [V]
    noise_filament: Any  # sqrt(sigma1)
    noise_residue: Any  # sqrt(sigma2)
    per_v0: Any  # 1 / v0 [1/V], 0 where the law is linear
    sinh_scale: Any  # v_ref / (2 sinh(v_ref / v0)) [V]
    per_lam: Any  # 1 / lam
    off_scale: Any  # r_off / (exp(1 / lam) - 1) [ohm]

    def filled(self, size: int) -> FloatProgram:
        """Return the program for ``size`` neurons, the additional ones with the constants of the last one here."""
        return self._replace(**{name: repeated(getattr(self, name), size) for name in self._fields if name != "drop"})


class FixedProgram(NamedTuple):
    """Constants (N,) int32 and packed tables int64 of one fixed-point substep; FIXED_POINT.md gives scales and widths."""

    stretch: Any
    gain: Any
    growth_shift: Any
    filament_decay: Any
    filament_shift: Any
    residue_decay: Any
    residue_shift: Any
    transfer: Any
    transfer_shift: Any
    gate_decay: Any
    gate_shift: Any
    v_th: Any
    noise_filament: Any
    noise_residue: Any
    field_shift: Any  # scalar: log2 counts of v_in between knots of the field table
    field_top: Any  # scalar: largest count the field table covers
    field: Any  # h(d) times 2^exponent, over the field
    inverse: Any  # 1 / (alpha + gap), over the gap
    charge: Any  # share of the gate's way, over the gap
    drop: Any  # gate counts, over the residue
    root: Any  # square root, for the noise

    @property
    def alike(self) -> bool:
        """Whether all neurons have the same constants."""
        return all((getattr(self, name) == getattr(self, name)[0]).all() for name in PER_NEURON)

    def filled(self, size: int, times: int = 1) -> FixedProgram:
        """Return the program for ``size`` neurons: these repeated ``times`` in turn, then the last one again."""
        return self._replace(**{name: repeated(getattr(self, name), size, times) for name in PER_NEURON})


PER_NEURON = FixedProgram._fields[:14]
SCALARS = FixedProgram._fields[14:16]
TABLES = FixedProgram._fields[16:]


class Shared(NamedTuple):
    """Fields of DeviceParams that the tables of a layer hold, so that all its neurons have the same. Numbers."""

    alpha: float
    lam: float
    r_on: float
    r_off: float
    c_gate: float
    v_ref: float


def shared(device: DeviceParams) -> Shared:
    """Values that the neurons of a layer share; an InputError names the first that differs between them."""
    values = []
    for name in Shared._fields:
        value = np.atleast_1d(getattr(device, name))
        require(
            np.all(value == value[0]),
            f"DeviceParams.{name}",
            "be equal for all neurons of a layer, whose tables it makes",
            getattr(device, name),
            f"Vary {', '.join(VARYING)} or v0, or use one layer per value.",
        )
        values.append(float(value[0]))
    return Shared(*values)


def shares(d: Any, h: float, expm1: Any) -> dict[str, Any]:
    """Growth, shares lost and transfer in a substep: the one place where rates per second become such shares.

    Parameters
    ----------
    d : object
        Rates [1/s, 1/(V s)], R_c [ohm] and C_g [F] under the names of DeviceParams: numbers, arrays or tensors.
    h : float
        Length of the substep [s].
    expm1 : callable
        That of numpy or torch.

    Returns
    -------
    dict
        ``growth`` [1/V]; ``filament_lost``, ``residue_lost``, ``gate_lost`` (in half a substep) and ``transfer`` [1].
    """
    loss = d.gamma1 + d.beta
    return {
        "growth": d.mu * -expm1(-loss * h) / loss,
        "filament_lost": -expm1(-loss * h),
        "residue_lost": -expm1(-d.gamma2 * h),
        "gate_lost": -expm1(-0.5 * h / (d.r_control * d.c_gate)),
        "transfer": d.beta * -expm1(-d.gamma2 * h) / d.gamma2,
    }


_HALVES = 8  # times that StepParams.towards halves the way to a device before it goes back to the step's own


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Ratio a / b; 1 where both are 0 (a device without transfer)."""
    return np.where(b > 0, a / np.where(b > 0, b, 1.0), 1.0)


def learnable(names: Any, field: str) -> tuple[str, ...]:
    """Return names out of :data:`LEARNABLE`, each once; an InputError about ``field`` says what they must be."""
    rule = f"hold names out of {', '.join(LEARNABLE)}"
    require(not isinstance(names, str), field, rule, names, f"For one name write ({names!r},).")
    require(isinstance(names, (list, tuple)), field, rule, names)
    for name in names:
        require(isinstance(name, str) and name in LEARNABLE, field, rule, name)
    require(len(set(names)) == len(names), field, "name each parameter once", names)
    return tuple(names)


@dataclass(frozen=True, eq=False)
class StepParams(ByValue):
    """A device run in network steps: ``StepParams(presets.ZHAO2025_FIG2, dt=1e-3)``.

    Raises
    ------
    InputError
        For values out of range, inputs that the gate's register cannot hold at this unit, devices that vary from cycle to cycle or from
        device to device by themselves, and fields that a layer's neurons must share but do not.
    """

    device: DeviceParams
    """Device or devices of the neurons. Filament and residue together are at most 1 in network steps, whatever the device's ``x_max``."""
    dt: float = 1e-3
    """Network step [s], > 0; equal to the bin width of the frames."""
    substeps: int = SUBSTEPS
    """Number of substeps in a network step, 1 to 64. More: closer to the device, slower."""
    v_unit: float = V_UNIT
    """Input voltage of one unit of ``a_in`` (what lava-dl calls 1.0) [V]."""
    v_in_max: float = V_IN_MAX
    """Input voltages are clipped to [0, v_in_max] [V]."""
    held: bool = False
    """Whether the floating-point step, too, uses shares lost and passed on as 12-bit decays hold them (at most 2.5e-4 off; those that
    they cannot hold, which fixed point refuses, stay as they are). Networks from files do: floating and fixed point then differ in
    arithmetic only, not in the device."""

    def __post_init__(self) -> None:
        require(isinstance(self.device, DeviceParams), "StepParams.device", "be a DeviceParams", self.device)
        for name, unit in (("dt", "s"), ("v_unit", "V"), ("v_in_max", "V")):
            object.__setattr__(self, name, number(getattr(self, name), f"StepParams.{name} [{unit}]", above=0.0))
        object.__setattr__(self, "held", flag(self.held, "StepParams.held"))
        object.__setattr__(self, "substeps", whole(self.substeps, "StepParams.substeps", least=1, most=64))
        require(
            self.v_max_count << GATE_EXTRA < _MOST_GATE,
            "StepParams.v_in_max",
            f"stay below {_MOST_GATE / GATE_ONE * self.v_unit:g} V, or the gate needs more than {REGISTER_BITS} bits",
            self.v_in_max,
            "Use a larger v_unit.",
        )
        shared(self.device)
        for name in ("mu_ctoc", "v0_ctoc"):
            require(
                not np.any(getattr(self.device, name)),
                f"DeviceParams.{name}",
                "be 0 in network steps, whose noise is sigma1 and sigma2 alone",
                getattr(self.device, name),
                "Use device.simulate for cycle-to-cycle spread.",
            )
        for name in DEVIATING:
            width = getattr(self.device, f"{name}_dtod")
            rule, cure = "be drawn before devices are run in network steps", "Use params.spread(n, seed), with n the size of the layer."
            require(not np.any(width), f"DeviceParams.{name}_dtod", rule, width, cure)
        v0 = np.asarray(self.device.v0)
        require(
            np.all(np.isinf(v0)) or np.all(np.isfinite(v0)),
            "DeviceParams.v0",
            "follow one law for all neurons of a layer: all inf (linear), or all finite (hyperbolic)",
            self.device.v0,
        )

    @property
    def h(self) -> float:
        """Length of a substep [s]."""
        return self.dt / self.substeps

    @property
    def largest_v_th(self) -> float:
        """Largest threshold that the gate's 24 bits hold [V]."""
        return (_MOST_GATE - 1) / GATE_ONE * self.v_unit

    @property
    def v_max_count(self) -> int:
        """Largest input ``v_in_max`` in counts of v_in (39322 for 1.2 V at v_unit = 1/8 V)."""
        return int(round(min(self.v_in_max / self.v_unit, _MOST_GATE) * (1 << INPUT_BITS)))

    @property
    def gate_lsb(self) -> float:
        """Size of one count of the gate [V]."""
        return self.v_unit / GATE_ONE

    def in_units(self, filament: Any, residue: Any, gate: Any) -> State:
        """Convert states of the fixed-point step, in register counts of any shape, to shares of the gap and volt."""
        return State(np.asarray(filament) / ONE, np.asarray(residue) / ONE, np.asarray(gate) * self.gate_lsb)

    def scaled(self, time: float) -> StepParams:
        """Return the step of a ``time`` times slower device (see DeviceParams.scaled); dt stays."""
        return self.replace(device=self.device.scaled(time))

    @property
    def drop_input(self) -> float:
        """Input at which ``drop`` is measured [V]."""
        return min(self.v_in_max, max(1.0, float(np.max(self.device.v_ref))))

    @cached_property
    def drop(self) -> np.ndarray:
        """Field at which the filament lets go [V] over the residue (65,)."""
        return drop_curve(self.device, self.drop_input)

    @property
    def silence(self) -> str:
        """Why no neuron can ever fire, in words, with the cure; empty where the turn-on voltage and the threshold leave it open for one."""
        needed, v_th = np.broadcast_arrays(self.device.turn_on_voltages[0], self.device.v_th)
        off, below = needed > self.v_in_max, v_th >= self.v_in_max
        if not np.all(off | below):
            return ""
        if np.all(below & ~off):
            return f"the gate never gets above v_th ({v_th.min():.3g} V): it stays below v_in_max ({self.v_in_max:g} V). Use a lower v_th."
        only = "" if off.all() else f" in {off.sum()} of {off.size} neurons, and in the others v_th lies above it"
        least = needed[off].min()
        return f"no input turns this device on{only}: it takes {least:.3g} V, and v_in_max is {self.v_in_max:g} V. Use a larger v_in_max."

    def shares(self) -> dict[str, np.ndarray]:
        """Per-substep growth [1/V], shares lost and transfer [1]: :func:`shares` of this device."""
        return shares(self.device, self.h, np.expm1)

    def towards(self, device: DeviceParams, size: int) -> StepParams:
        """Return the step with ``size`` devices that were drawn or learned about this one, brought within what integers hold.

        Devices with a share lost or passed on that no decay can hold are moved back towards this step's own, by halves of the distance in
        logarithm, so that training does not fail half-way because a neuron has become too slow.
        """
        own = {name: np.broadcast_to(getattr(self.device, name), (size,)).astype(float) for name in LEARNABLE}
        there = {name: np.broadcast_to(getattr(device, name), (size,)).astype(float) for name in LEARNABLE}
        way = np.ones(size)
        for _ in range(_HALVES):
            values = {name: np.where(way == 1, there[name], own[name] * _ratio(there[name], own[name]) ** way) for name in LEARNABLE}
            r = shares(SimpleNamespace(c_gate=device.c_gate, **values), self.h, np.expm1)
            lost = np.stack([np.broadcast_to(r[name], (size,)) for name in ("filament_lost", "residue_lost", "gate_lost", "transfer")])
            beyond = ((lost < LEAST_SHARE) & (lost > 0) | (lost > 1)).any(axis=0)
            if not beyond.any():
                break
            way = np.where(beyond, way / 2, way)
        else:
            values = {name: np.where(beyond, own[name], values[name]) for name in LEARNABLE}
        moved = {name: value for name, value in values.items() if np.any(way < 1)}
        return self.replace(device=device.replace(**moved))

    def floating(self, size: int = 1) -> FloatProgram:
        """Constants of the floating-point substep for ``size`` neurons."""
        d, r = self.device, self.shares()
        n = self._neurons(self._checked(size))
        if self.held:
            r = {name: share if name == "growth" else held(n(share)) for name, share in r.items()}
        return FloatProgram(
            growth=n(r["growth"]),
            v0=n(d.v0),
            v_ref=n(d.v_ref),
            alpha=n(d.alpha),
            filament_kept=n(1.0 - r["filament_lost"]),
            residue_kept=n(1.0 - r["residue_lost"]),
            transfer=n(r["transfer"]),
            gate_kept=n(1.0 - r["gate_lost"]),
            v_th=n(d.v_th),
            r_on=n(d.r_on),
            substep_per_c=n(self.h / np.asarray(d.c_gate)),
            drop=self.drop,
            noise_filament=n(np.sqrt(d.sigma1)),
            noise_residue=n(np.sqrt(d.sigma2)),
            per_v0=n(1.0 / np.asarray(d.v0)),
            sinh_scale=n(sinh_scale(d.v0, d.v_ref)),
            per_lam=n(1.0 / np.asarray(d.lam)),
            off_scale=n(d.r_off / np.expm1(1.0 / np.asarray(d.lam))),
        )

    def check_reach(self) -> None:
        """Refuse a field law that the exponential of the compiled floating-point loops would cut."""
        v0, least = self.device.v0, float(np.max(self.device.v_ref)) / _STEEPEST
        rule = f"be at least {told_least(least)} in compiled floating point"
        require(np.all(np.asarray(v0) >= least), "DeviceParams.v0 [V]", rule, v0, "Use fixed point, or reference.Neurons.")

    def fixed(self, size: int = 1) -> FixedProgram:
        """Constants and tables of the fixed-point substep for ``size`` neurons. They are made once: do not write to them.

        Raises
        ------
        InputError
            Where a constant does not fit its register or table (a rate that would be wrong by more than 1 %, a field table that
            interpolation makes less accurate than 1e-4, ...), and where ``size`` is not that of the device's arrays. Names field and cure.
        """
        size = self._checked(size)
        if size not in self._lowered:
            self._lowered[size] = self._lower(size)
        return self._lowered[size]

    @cached_property
    def _lowered(self) -> dict[int, FixedProgram]:
        return {}

    def _lower(self, size: int) -> FixedProgram:
        d, r = self.device, self.shares()
        n = self._neurons(size)
        v0 = float(np.median(d.v0))
        stretch, gain = self._per_neuron_field(n, v0, r["growth"])
        mantissa, exponent = np.frexp(gain)  # gain = mantissa 2^exponent, mantissa in [0.5, 1)
        gain_count = np.rint(mantissa * (1 << (GAIN_BITS + 1))).astype(np.int64)
        carry = gain_count >> (GAIN_BITS + 1)  # rounded up to the next octave
        filament, filament_shift = decay(n(r["filament_lost"]), "DeviceParams.gamma1 + beta")
        residue, residue_shift = decay(n(r["residue_lost"]), "DeviceParams.gamma2")
        gate, gate_shift = decay(n(r["gate_lost"]), "1 / (DeviceParams.r_control * c_gate)")
        transfer, transfer_shift = decay(n(r["transfer"]), "DeviceParams.beta", zero=True)
        usable = np.all((gain > _LEAST_GROWTH) & (gain < 1 / _LEAST_GROWTH))  # 8 bits hold the shift
        rule = f"make a substep's growth per volt lie between {_LEAST_GROWTH:g} and {1 / _LEAST_GROWTH:g}"
        require(usable, "DeviceParams.mu", rule, d.mu)
        tables = self._tables(v0, int(stretch.max()))
        v_th = np.rint(n(d.v_th) / self.v_unit * GATE_ONE)
        require(
            np.all(v_th < _MOST_GATE),
            "DeviceParams.v_th",
            f"be at most {told_most(self.largest_v_th, 8)} V, or it needs more than the gate's {REGISTER_BITS} bits",
            d.v_th,
            "Use a larger v_unit.",
        )
        noise = {f"noise_{s}": noise_gain(n(v)) for s, v in (("filament", d.sigma1), ("residue", d.sigma2))}
        program = FixedProgram(
            stretch=stretch,
            gain=gain_count >> carry,
            # mantissas: field 2^16, gain 2^15 taken off, inverse 2^16; result in counts of 2^-22
            growth_shift=2 * MANTISSA - STATE_BITS - (exponent.astype(np.int64) - 1 + carry),
            filament_decay=filament,
            filament_shift=filament_shift,
            residue_decay=residue,
            residue_shift=residue_shift,
            transfer=transfer,
            transfer_shift=transfer_shift,
            gate_decay=gate,
            gate_shift=gate_shift,
            v_th=v_th.astype(np.int64),
            **noise,
            **tables,
        )
        return program._replace(**{name: getattr(program, name).astype(np.int32) for name in PER_NEURON})

    def _checked(self, size: int) -> int:
        size, own = whole(size, "size of the layer", least=1, most=MOST_NEURONS), self.device.size
        require(
            own is None or own == size,
            "DeviceParams",
            f"hold numbers, or arrays of one value a neuron ({size})",
            own,
            "Give arrays of the layer's size.",
        )
        return size

    def _neurons(self, size: int) -> Any:
        # writable, whatever is given: compiled loops know read-only arrays for another type
        return lambda value: np.array(np.broadcast_to(np.asarray(value, np.float64), (size,)))

    def _per_neuron_field(self, n: Any, v0: float, growth: Any) -> tuple[np.ndarray, np.ndarray]:
        """Sensitivity and gain of each neuron relative to the layer's field table, which is made for the median v0."""
        own = n(self.device.v0)
        v_ref = shared(self.device).v_ref
        if np.isinf(v0):
            return np.full(own.size, 1 << STRETCH_BITS, np.int64), n(growth)
        stretch = np.rint(v0 / own * (1 << STRETCH_BITS)).astype(np.int64)
        require(
            stretch.max() < 2 << STRETCH_BITS and stretch.min() > 1 << (STRETCH_BITS - 1),
            "DeviceParams.v0",
            "lie above half and below twice the layer's median",
            (own.min(), own.max()),
        )
        # sinh(d / v0_n) / sinh(v_ref / v0_n), read from the table of sinh(d' / v0) / sinh(v_ref / v0) at d' = d v0 / v0_n
        reach = v_ref * v0 / own
        return stretch, n(growth) * v_ref / field_law(reach, v0, v_ref)

    def _tables(self, v0: float, stretch: int) -> dict[str, Any]:
        one = shared(self.device)
        lsb = self.v_unit / (1 << INPUT_BITS)
        top = (self.v_max_count * stretch) >> STRETCH_BITS
        # linear interpolation of an exponential is off by (segment / v0)^2 / 8
        widest = np.sqrt(8 * FIELD_ERROR) * min(v0, 1e3) / lsb
        shift = int(np.clip(np.floor(np.log2(widest)), 0, _COARSEST))
        needed = max(top.bit_length() - _MOST_KNOTS.bit_length() + 1, 0)  # the least shift with few enough knots
        least = told_least(lsb * (1 << needed) / np.sqrt(8 * FIELD_ERROR))
        require(
            widest >= 1 and (top >> shift) < _MOST_KNOTS,
            "DeviceParams.v0 [V]",
            f"be large enough for the field table (at least {least} V here)",
            v0,
        )
        knots = np.arange((top >> shift) + 2) << shift
        require(one.alpha * _MOST_ENTRY > 1, "DeviceParams.alpha [1]", f"exceed {1 / _MOST_ENTRY:.2g} in fixed point", one.alpha)
        field = floating_table(np.minimum(field_law(knots * lsb, v0, one.v_ref), _MOST_ENTRY))
        octaves = STATE_BITS - FINEST + 1
        k = np.arange(octaves * (1 << KNOTS) + 1)
        w = np.exp2(FINEST + (k >> KNOTS)) * (1 + (k & ((1 << KNOTS) - 1)) / (1 << KNOTS))
        gap = np.maximum(w - (1 << FINEST), 0) / ONE
        x = np.clip(1 - gap, 0, 1)
        r_d = resistance_law(x, one, np.expm1)
        return {
            "field_shift": shift,
            "field_top": int(top),
            "field": field,
            "inverse": floating_table(1.0 / (one.alpha + gap)),
            "charge": plain_table(-np.expm1(-self.h / (r_d * one.c_gate)) * (1 << CHARGE_BITS)),
            "drop": plain_table(np.append(self.drop, self.drop[-1]) / self.v_unit * GATE_ONE),
            "root": plain_table(np.sqrt(gap * ONE) * (1 << ROOT_BITS)),
        }


STEP_FIELDS = tuple(f.name for f in dataclasses.fields(StepParams) if f.name != "device")
"""Fields of StepParams beside the device."""
INTEGER_FIELDS = tuple(name for name in STEP_FIELDS if name != "held")
"""Those of them that the fixed-point step reads, and that files state: ``held`` is about floating point alone."""
