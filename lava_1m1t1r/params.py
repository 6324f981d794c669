"""Parameters of one device (or of an array of devices) in SI units, checked on creation."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf, log
from typing import Any, NamedTuple, TypeVar

import numpy as np

from .errors import array_of, number, require, told_least, whole


class _Rule(NamedTuple):
    """What a field must hold: in words, and as a function of an array of values, or of one float. nan compares false."""

    text: str
    holds: Callable[[Any], Any]


_POSITIVE = _Rule("be > 0 and finite", lambda values: (values > 0) & (values < inf))
_NOT_NEGATIVE = _Rule("be >= 0 and finite", lambda values: (values >= 0) & (values < inf))
_FIELD_LAW = _Rule("be > 0 (inf: the linear law of the paper)", lambda values: values > 0)
_LENGTH = _Rule("be >= 1 (inf: unlimited, as published)", lambda values: values >= 1)
MOST_DEVICES = 10_000_000
"""Largest number of devices that :meth:`DeviceParams.spread` draws at once."""
_MOST_EXPONENT = 700.0  # largest exponent of e: doubles overflow at 709
_MOST_VARIATION = 3.0  # of the logarithm: a factor of twenty; larger numbers are meant as percentages
_SHOWN_WHOLE = 6  # values of a field


def _value(default: float, rule: _Rule = _POSITIVE, unit: str = "1") -> Any:
    return field(default=default, metadata={"rule": rule, "unit": unit})


_NOISE = ("sigma1", "sigma2", "mu_ctoc", "v0_ctoc")
LEARNABLE = ("mu", "beta", "gamma1", "gamma2", "r_control")
"""Fields of DeviceParams that :func:`.program.shares` reads, and that training can learn (slayer.neuron.learned). The others shape tables
that a layer's neurons share, or (``v_th``) have no derivative there: a spike is moved by the filament's length, not by where on the
gate's jump the threshold lies."""
VARYING = (*LEARNABLE, "v_th")
"""Parameters that vary from device to device."""
_Same = TypeVar("_Same", bound="ByValue")


@dataclass(frozen=True, eq=False)
class ByValue:
    """Equality by value for dataclasses whose fields may be arrays."""

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        names = [f.name for f in dataclasses.fields(self) if f.compare]
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in names)

    def __hash__(self) -> int:
        return hash((type(self), *(_hashable(getattr(self, f.name)) for f in dataclasses.fields(self) if f.compare)))

    def replace(self: _Same, **changes: Any) -> _Same:
        """Return a copy with some fields changed."""
        return dataclasses.replace(self, **changes)


def _hashable(value: Any) -> Any:
    """What a field's value has in common with every equal one: of an array the shape (its contents may be written to), else itself."""
    return np.shape(value) or np.asarray(value).item()


@dataclass(frozen=True, eq=False)
class DeviceParams(ByValue):
    """One 1M1T1R neuron: diffusive memristor, transistor, control resistor.

    Every field takes a number, or an array of shape (N,) for N different devices; arrays of a layer's shape, such as (H, W), are kept as
    (N,), row by row. Defaults are Table 1 of Zhao et al. 2025
    (doi:10.1038/s41928-025-01488-x) with the linear field law of the paper: a device that latches after a few spikes. For one that fires as
    measured, start from a fitted one: ``replace(presets.ZHAO2025_FIG2, mu=...)``.

    Raises
    ------
    InputError
        If a field is not a number, not finite, or outside its range, or ``lam`` so small that ``r_off exp(1 / lam)`` has no floating-point
        number. The text names the field.
    """

    mu: Any = _value(150.0, unit="1/(V s)")
    """Growth of the filament per volt of drive [1/(V s)] (mu). Larger: earlier turn-on."""
    alpha: Any = _value(0.01)
    """Smallest gap over which the voltage drops, as a share of the whole [1] (alpha). Larger: a softer final run."""
    beta: Any = _value(20.0, _NOT_NEGATIVE, "1/s")
    """Rate at which filament turns into residue [1/s] (beta). Larger: stronger intrinsic plasticity."""
    gamma1: Any = _value(600.0, unit="1/s")
    """Rate at which the filament dissolves [1/s] (gamma1). Larger: shorter memory between pulses."""
    gamma2: Any = _value(5.0, unit="1/s")
    """Rate at which the residue disperses [1/s] (gamma2). Larger: plasticity forgets sooner."""
    lam: Any = _value(0.2)
    """Tunnelling length, as a share of the gap [1] (lambda); at least 0.0015 with the R_off of Table 1 (:func:`least_lam`)."""
    r_on: Any = _value(1e6, unit="ohm")
    """Resistance with the filament closed [ohm] (R_on)."""
    r_off: Any = _value(1e12, unit="ohm")
    """Resistance with the gap empty [ohm] (R_off)."""
    c_gate: Any = _value(10e-12, unit="F")
    """Capacitance of the gate [F] (C_g)."""
    r_control: Any = _value(250e6, unit="ohm")
    """Resistor that drains the gate [ohm] (R_c). Larger: longer refractory period."""
    v_th: Any = _value(0.2, unit="V")
    """Gate voltage above which the output counts as on [V] (V_th)."""
    v0: Any = _value(inf, _FIELD_LAW, "V")
    """Voltage scale of the hyperbolic field law v_ref sinh(v / v0) / sinh(v_ref / v0) [V]; inf: the linear law. Smaller: steeper."""
    v_ref: Any = _value(0.8, unit="V")
    """Voltage at which the hyperbolic and the linear law agree [V]."""
    x_max: Any = _value(inf, _LENGTH)
    """Largest total length filament + residue [1]; the filament yields. 1 for the calibrated devices, and in network steps for every
    device (StepParams)."""
    k_transistor: Any = _value(3.75e-4, unit="A/V^2")
    """Transconductance parameter of the transistor [A/V^2] (K): saturation current over (V_gs - V_T)^2."""
    v_t: Any = _value(0.22, unit="V")
    """Threshold of the transistor [V] (V_T)."""
    r_load: Any = _value(47e3, unit="ohm")
    """Load resistor [ohm] (R_l)."""
    c_load: Any = _value(0.0, _NOT_NEGATIVE, "F")
    """Load capacitance [F] (C_l)."""
    v_dd: Any = _value(0.5, unit="V")
    """Supply of the output branch [V] (V_dd; main text)."""
    sigma1: Any = _value(0.0, _NOT_NEGATIVE)
    """Noise of the filament: variance of an increment per |increment| [1] (sigma1). 0: none."""
    sigma2: Any = _value(0.0, _NOT_NEGATIVE)
    """Noise of the residue: variance of an increment per |increment| [1] (sigma2). 0: none."""
    mu_ctoc: Any = _value(0.0, _NOT_NEGATIVE)
    """Cycle to cycle: standard deviation of ln(mu) from one filament to the next [1]. 0: none."""
    v0_ctoc: Any = _value(0.0, _NOT_NEGATIVE)
    """Cycle to cycle: standard deviation of ln(v0), the field sensitivity of a filament, about ``v_ref`` [1]. 0: none."""
    mu_dtod: Any = _value(0.0, _NOT_NEGATIVE)
    """Device to device: standard deviation of ln(mu) [1]; drawn by :meth:`spread`, as are all ``_dtod``."""
    beta_dtod: Any = _value(0.0, _NOT_NEGATIVE)
    """Device to device: standard deviation of ln(beta) [1]."""
    gamma1_dtod: Any = _value(0.0, _NOT_NEGATIVE)
    """Device to device: standard deviation of ln(gamma1) [1]."""
    gamma2_dtod: Any = _value(0.0, _NOT_NEGATIVE)
    """Device to device: standard deviation of ln(gamma2) [1]."""
    v0_dtod: Any = _value(0.0, _NOT_NEGATIVE)
    """Device to device: standard deviation of ln(v0) [1]; nothing under the linear law."""
    r_control_dtod: Any = _value(0.0, _NOT_NEGATIVE)
    """Device to device: standard deviation of ln(r_control) [1]."""
    c_gate_dtod: Any = _value(0.0, _NOT_NEGATIVE)
    """Device to device: standard deviation of ln(c_gate) [1]."""
    v_th_dtod: Any = _value(0.0, _NOT_NEGATIVE)
    """Device to device: standard deviation of ln(v_th) [1]."""

    def __post_init__(self) -> None:
        sizes = {}
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            rule = f.metadata["rule"]
            if type(value) is float and rule.holds(value):  # nearly all; fits make a device for each of their simulations
                continue
            array = _as_number(f"DeviceParams.{f.name}", value)
            require(bool(np.all(rule.holds(array))), f"DeviceParams.{f.name} [{f.metadata['unit']}]", rule.text, value)
            if array.ndim:
                sizes[f.name] = array.shape
                array = array.reshape(-1).copy()
                array.flags.writeable = False
                object.__setattr__(self, f.name, array)
            else:
                object.__setattr__(self, f.name, float(array))
        flat = {(int(np.prod(shape)),) for shape in sizes.values()}  # of one shape, or in its order
        alike = len(flat) <= 1 and len(set(sizes.values()) - flat) <= 1
        require(alike, "DeviceParams", "hold arrays of one shape", sizes, "Broadcast them to the same one.")
        require(
            np.all(np.asarray(self.r_off) > np.asarray(self.r_on)),
            "DeviceParams.r_off",
            "exceed r_on",
            (self.r_on, self.r_off),
            "Exchange them if they were swapped.",
        )
        least = least_lam(float(np.max(self.r_off)))
        text = f"be >= {told_least(least)} with this r_off, or the resistance over the gap overflows"
        require(np.all(np.asarray(self.lam) >= least), "DeviceParams.lam [1]", text, self.lam, "Published devices have 0.2.")

    @property
    def size(self) -> int | None:
        """Number of devices N, or None where all fields are plain numbers."""
        return next(map(len, self._arrays.values()), None)

    @property
    def _arrays(self) -> dict[str, np.ndarray]:
        """Fields that hold one value a device."""
        return {name: value for name, value in self.as_dict().items() if isinstance(value, np.ndarray)}

    @property
    def varies(self) -> bool:
        """Whether any ``_dtod`` field makes :meth:`spread` draw different devices."""
        widths = [getattr(self, f"{name}_dtod") for name in DEVIATING if name != "v0"]
        return any(np.any(width) for width in widths) or bool(np.any(np.where(np.isinf(self.v0), 0.0, self.v0_dtod)))

    @property
    def noisy(self) -> bool:
        """Whether a device differs from one run to the next."""
        return any(np.any(getattr(self, name)) for name in _NOISE)

    @property
    def turn_on_voltages(self) -> tuple[Any, Any]:
        """Lowest constant voltages [V] across the gap that close it from empty: in the long run, when residue has built up, and within
        the life of a filament, without residue.

        The input must exceed them, the more so the larger R_c is beside the resistance of the open gap, which divide it: by 16 % for
        ``ZHAO2025_FIG4``, by 7 % for ``ZHAO2025_FIG2`` at 1 GOhm, by 0.4 % as it is.

        Where growth, ``mu h(V) / (alpha + 1 - x)``, exceeds the loss at every length ``x``. In the long run the residue holds
        ``beta / gamma2`` times the filament, and what is lost of both is ``(gamma1 + beta) gamma2 / (gamma2 + beta) x``.
        """
        length = np.minimum(1.0, (1.0 + self.alpha) / 2.0)  # the hardest one
        hardest = length * (1.0 + self.alpha - length) / self.mu
        lost = (self.gamma1 + self.beta) * hardest
        in_the_long_run = lost * self.gamma2 / (self.gamma2 + self.beta)
        return self._voltage_for(in_the_long_run), self._voltage_for(lost)

    def _voltage_for(self, drive: Any) -> Any:
        """Voltage at which the field law gives a drive [V]."""
        v0, straight = np.where(np.isinf(self.v0), 1.0, self.v0), np.isinf(self.v0)
        steep = self.v_ref / v0
        bent = v0 * np.arcsinh(drive * np.sinh(np.minimum(steep, 500.0)) / self.v_ref)
        steepest = np.maximum(self.v_ref + v0 * np.log(drive / self.v_ref), 0.0)  # its limit, where sinh would overflow
        volt = np.where(straight, drive, np.where(steep > 500.0, steepest, bent))
        return volt if np.ndim(volt) else float(volt)

    def quiet(self) -> DeviceParams:
        """Return the device without noise and cycle-to-cycle spread."""
        plain = all(isinstance(getattr(self, name), float) for name in _NOISE)
        return self if plain and not self.noisy else self.replace(**dict.fromkeys(_NOISE, 0.0))

    def scaled(self, time: float) -> DeviceParams:
        """Return a device that is ``time`` times slower in everything it does.

        All rates are divided by ``time``, and both RC constants (filament to gate, gate to ground) are multiplied by it through
        the gate capacitance: the trajectory is the same, stretched. A network on bins of 10 ms assumes a device made for them.
        """
        time = number(time, "scaled.time", above=0.0)
        return self.replace(
            mu=self.mu / time,
            beta=self.beta / time,
            gamma1=self.gamma1 / time,
            gamma2=self.gamma2 / time,
            c_gate=self.c_gate * time,
            c_load=self.c_load * time,
        )

    def with_variation(self, level: float, v0: float = 0.0) -> DeviceParams:
        """Return this device with the same device-to-device variation of every rate, R_c and V_th, for :meth:`spread`.

        Parameters
        ----------
        level : float
            Standard deviation of ln(mu), ln(beta), ln(gamma1), ln(gamma2), ln(r_control) and ln(v_th) [1]; 0.2 is 20 %. C_g counts in
            R_c: the gate drains by their product.
        v0 : float
            Standard deviation of ln(v0) [1]: the field sensitivity stands in an exponent, so a little of it goes a long way.
        """
        level = number(level, "with_variation.level", least=0.0, most=_MOST_VARIATION)
        v0 = number(v0, "with_variation.v0", least=0.0, most=_MOST_VARIATION)
        return self.replace(**{f"{name}_dtod": level for name in VARYING}, v0_dtod=v0)

    def spread(self, n: int, seed: int) -> DeviceParams:
        """Return ``n`` different devices, drawn from this one's ``_dtod`` fields (which are 0 in the result).

        Log-normal about the nominal values, so the median device is this one. Device i depends on (seed, i) alone: the first 100 of 1000
        are the 100 of 100. The presets have no spread, and their ``n`` devices would be equal, which raises a UserWarning: give them one
        with :meth:`with_variation`.

        Parameters
        ----------
        n : int
            Number of devices; where fields hold arrays, the size of these.
        seed : int
            Seed of the draw.

        Returns
        -------
        DeviceParams
            Arrays of shape (n,) in the fields that vary, and in ``mu`` always.

        Raises
        ------
        InputError
            If ``n`` is no size, or not that of the fields' arrays.
        """
        n, seed = whole(n, "spread.n", least=1, most=MOST_DEVICES), whole(seed, "spread.seed")
        require(self.size in (None, n), "spread.n", f"be {self.size}, the size of the arrays in this DeviceParams", n)
        if n > 1 and not self.varies:
            text = "DeviceParams.spread: every _dtod field that the device feels is 0: all are equal. Use .with_variation(0.2).spread(...)."
            warnings.warn(text, stacklevel=2)
        return self.deviating(np.array([np.random.default_rng([seed, i]).standard_normal(len(DEVIATING)) for i in range(n)]))

    def deviating(self, draws: np.ndarray) -> DeviceParams:
        """Return devices that lie so many standard deviations (the ``_dtod`` fields, which are 0 in the result) from this one.

        Parameters
        ----------
        draws : (n, K)
            Of each device, one number for each of the K fields in :data:`DEVIATING`.

        Raises
        ------
        InputError
            If ``draws`` has another shape; where fields hold arrays, n is the size of these.
        """
        draws = array_of(draws, "deviating.draws")
        rule = f"have shape ({'n' if self.size is None else self.size}, {len(DEVIATING)})"
        good = draws.ndim == 2 and draws.shape[1] == len(DEVIATING) and self.size in (None, len(draws)) and draws.dtype.kind in "iuf"
        require(good, "deviating.draws", rule, (draws.dtype, draws.shape))
        changes = {}
        for name, draw in zip(DEVIATING, draws.T.astype(np.float64), strict=True):
            width = getattr(self, f"{name}_dtod")
            changes[f"{name}_dtod"] = 0.0
            if name == "mu" or np.any(np.asarray(width) > 0):
                changes[name] = getattr(self, name) * np.exp(width * draw)
        return self.replace(**changes)

    def take(self, n: int | slice | np.ndarray) -> DeviceParams:
        """Return device ``n`` alone, or the devices of a slice or an array of numbers: every array field reduced to these values."""
        size = self.size or 1
        if isinstance(n, np.ndarray) and n.ndim:
            good = n.ndim == 1 and n.dtype.kind in "iu" and (self.size is None or (n.size > 0 and n.min() >= -size and n.max() < size))
            require(good, "take.n", f"hold whole numbers (K,) from {-size} to {size - 1}", n)
        elif not isinstance(n, slice):
            n = whole(n, "take.n", least=-size, most=size - 1)
        return self.replace(**{name: value[n] for name, value in self._arrays.items()})

    def median(self) -> DeviceParams:
        """Return one device: that with the median of every field."""
        return self.replace(**{name: np.median(value) for name, value in self._arrays.items()})

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, for files and reports."""
        return {name: getattr(self, name) for name in FIELDS}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DeviceParams:
        """Device of :meth:`as_dict`, also after a way through JSON, which has null for what is infinite and lists for arrays.

        Raises
        ------
        InputError
            For an unknown field, or a value out of range.
        """
        require(isinstance(values, Mapping), "from_dict.values", "be a mapping of fields to values", values)
        for name in values:
            require(name in FIELDS, "from_dict.values", "hold fields of DeviceParams", name)
        return cls(**{name: _unwritten(value) for name, value in values.items()})

    def __repr__(self) -> str:
        defaults: dict[str, Any] = {f.name: f.default for f in dataclasses.fields(self)}
        changed = [name for name, value in defaults.items() if not np.array_equal(getattr(self, name), value)]
        return f"DeviceParams({', '.join(f'{name}={_shown(getattr(self, name))}' for name in changed)})"


def _unwritten(value: Any) -> Any:
    """A number or a list of numbers, from what JSON made of it."""
    if isinstance(value, list):
        return [_unwritten(one) for one in value]
    return inf if value is None else value


FIELDS = tuple(f.name for f in dataclasses.fields(DeviceParams))
"""Names of the fields of :class:`DeviceParams`."""
DEVIATING = tuple(name.removesuffix("_dtod") for name in FIELDS if name.endswith("_dtod"))
"""Fields that differ from device to device, in the order of :meth:`DeviceParams.deviating`."""


def one_device(p: Any, field: str, cure: str = "Take one with p.take(n).") -> DeviceParams:
    """Return the parameters of one device; an InputError says what they must be, where they are of several, or something else."""
    require(isinstance(p, DeviceParams) and p.size is None, field, "be one device", p, cure)
    return p


def least_lam(r_off: float) -> float:
    """Smallest ``lam`` whose ``r_off exp(1 / lam)`` is a double [1], for an ``r_off`` [ohm]."""
    return 1.0 / max(_MOST_EXPONENT - log(max(r_off, 1.0)), 1.0)


def _shown(value: Any) -> str:
    """Field as one line: for several values, their number and range."""
    if np.size(value) <= _SHOWN_WHOLE:
        return repr(value)
    return f"<{np.size(value)} values, {np.min(value):g} to {np.max(value):g}>"


def _as_number(name: str, value: Any) -> np.ndarray:
    what = "be a number or an array of numbers"
    if isinstance(value, int):  # numpy makes objects of large ones
        require(not isinstance(value, bool) and abs(value) < 1e308, name, what, value)
        value = float(value)
    array = array_of(value, name, what)
    require(array.dtype != bool, name, what, value)
    array = array.astype(np.float64)
    require(array.size > 0, name, "hold at least one value", value)
    return array
