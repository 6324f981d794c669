"""The number systems in which the equations of :mod:`.dynamics` run.

``DEVICE``
    Continuous time, SI units, float: what ``flow`` and ``field`` need.
``FLOAT``, ``FLOAT_ARRAY``
    One network substep in floating point; for compiled loops and for numpy arrays.
``FIXED``, ``FIXED_ARRAY``
    One network substep in integers; for compiled loops and for numpy arrays. Uses only add, subtract, multiply, arithmetic
    shift, bits, compare, select and table read: the contract is in ``FIXED_POINT.md`` beside this file.

The field law and eq. (S4) stand here. Places that write them in a form of their own, and the tests that tie these to this one:

- ``FLOAT``'s law and ``charge``, and :mod:`.device.constants`, with constants that are computed once: ``test_arithmetic.py`` (compiled
  field law and charge), ``test_device_numerics.py`` (the integrator's constants);
- :mod:`.slayer.reverse` with the derivatives, :mod:`.slayer.tensor_layer` on tensors: ``test_slayer_gradient.py``;
- :mod:`.export.spice_neuron` and :mod:`.benchmarks.in_brian2` as text: ``test_spice_neuron.py``, ``test_benchmarks.py``;
- :mod:`.benchmarks.training_peers` as a peer writes them: ``test_slayer_benchmark.py``;
- ``DeviceParams.turn_on_voltages`` with the law's inverse: ``test_params.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, expm1, inf, sinh, sqrt
from typing import Any, NamedTuple

import numpy as np

from . import exponential
from .cached import cached
from .compiled import compiled as _compiled
from .compiled import float64_bits, read
from .compiled import inlined as _inlined

# Registers of the fixed-point step (FIXED_POINT.md, section 1).
REGISTER_BITS = 24  # of every state, signed
STATE_BITS = 22  # filament and residue: 2^22 counts are the whole gap
INPUT_BITS = 12  # v_in: 2^12 counts are one v_unit
ACT_SHIFT = 6  # a_in counts 1/64 of a v_unit, as lava-dl's weights do
WEIGHT_ONE = 1 << ACT_SHIFT  # counts of a weight that lava-dl calls 1.0
GATE_EXTRA = 6  # the gate has 6 bits below v_in's last
GATE_ONE = 1 << (INPUT_BITS + GATE_EXTRA)  # counts of the gate that are one v_unit
ONE = 1 << STATE_BITS
GROWTH_MAX = 2 * ONE  # growth in a substep saturates at two gaps
GROWTH_MAX_FLOAT = 2.0
DECAY_BITS = 12  # a decay is a 12-bit mantissa times 2^-(12 + e)
DECAY_ONE = 1 << DECAY_BITS  # all of it; CUBA's decays are shares of this
MANTISSA = 16  # table mantissas lie in [2^16, 2^17)
GAIN_BITS = 15  # a neuron's growth gain: mantissa in [2^15, 2^16)
STRETCH_BITS = 16  # a neuron's field sensitivity: 2^16 is that of the table
CHARGE_BITS = 20  # share of the gate's way to go: 2^20 is all of it
KNOTS = 6  # 64 knots an octave
FINEST = 10  # the gap's octaves begin at 2^-12 of it, i.e. at count 2^10
FRACTION = STATE_BITS - KNOTS  # bits between knots
MIN_SHIFT, MAX_SHIFT = 8, 47  # of the growth product; at 8 and below the growth saturates anyway
NOISE_SHIFT = 10
ROOT_BITS = 6  # roots count 2^-6 of the root of a count
BYTES_MEAN = 510  # of the sum of four random bytes
BYTES_DEVIATION = (4 * (256**2 - 1) / 12) ** 0.5


# A table's entry is a word of 64 bits; tables.pack makes it.
BASE_AT, EXPONENT_AT = 32, 56  # the columns' lowest bits; the step's is 0
BASE_MASK = (1 << (EXPONENT_AT - BASE_AT)) - 1
STEP_MASK = (1 << BASE_AT) - 1
STEP_SHIFT = 64 - BASE_AT  # left and back again: the step with its sign


def unpack(table: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns of a packed table, or of one entry: base (24 bits), step (32 bits, signed), exponent (8 bits, signed)."""
    return (table >> BASE_AT) & BASE_MASK, (table << STEP_SHIFT) >> STEP_SHIFT, table >> EXPONENT_AT


def byte_sum(draw: Any) -> Any:
    """Sum of the four bytes of a random 32-bit number less its mean: nearly Gaussian, of deviation ``BYTES_DEVIATION``."""
    return (draw & 255) + ((draw >> 8) & 255) + ((draw >> 16) & 255) + (draw >> 24) - BYTES_MEAN


class DeviceArithmetic(NamedTuple):
    """Operations that :func:`.dynamics.flow` and :func:`.dynamics.field` use, in continuous time."""

    field: Callable
    positive: Callable
    growth: Callable
    charging: Callable
    draining: Callable


class StepArithmetic(NamedTuple):
    """Operations that :func:`.dynamics.grow`, :func:`.dynamics.jitter` (``noise``) and :func:`.dynamics.settle` use."""

    one: Any
    select: Callable
    field: Callable
    difference: Callable
    positive: Callable
    growth: Callable
    half: Callable
    at_most_one: Callable
    smaller: Callable
    filament_kept: Callable
    residue_kept: Callable
    gate_kept: Callable
    transferred: Callable
    raised: Callable
    drop: Callable
    charge: Callable
    noise: Callable


@cached
def _sinh_law(d: float, v0: float, v_ref: float) -> float:
    """``v_ref sinh(d/v0) / sinh(v_ref/v0)`` without overflow; the paper's linear law for v0 = inf."""
    if v0 == inf:
        return d
    a = v_ref / v0
    if a < 30.0:
        return v_ref * sinh(d / v0) / sinh(a)
    return v_ref * (exp(d / v0 - a) - exp(-d / v0 - a))


def field_law(d: Any, v0: Any, v_ref: Any) -> np.ndarray:
    """Field law h(d) [V], eq. (S3)'s drive: linear, or hyperbolic.

    Parameters
    ----------
    d : array
        Voltage across the memristor [V].
    v0 : array
        Voltage scale of the hyperbolic law [V]; inf: the linear law.
    v_ref : array
        Voltage at which both laws agree [V].
    """
    return _FIELD_LAW(np.asarray(d, np.float64), v0, v_ref)


_FIELD_LAW = np.vectorize(_sinh_law, otypes=[np.float64])


def resistance_law(x: Any, p: Any, expm1: Callable) -> Any:
    """Memristor resistance R_d [ohm] at total length x in [0, 1], eq. (S4); ``expm1`` is that of math or numpy."""
    return p.r_on * x + p.r_off * expm1((1.0 - x) / p.lam) / expm1(1.0 / p.lam)


_resistance_law = _inlined(resistance_law)


@_compiled
def resistance(x: float, p: Any) -> float:
    """Memristor resistance R_d [ohm] at total length x, eq. (S4); x is limited to [0, 1]."""
    return _resistance_law(min(max(x, 0.0), 1.0), p, expm1)


@_compiled
def _positive(x: float) -> float:
    return max(x, 0.0)


@_compiled
def _device_field(d: float, p: Any) -> float:
    return _sinh_law(d, p.v0, p.v_ref)


@_compiled
def _device_growth(drive: float, x: float, p: Any) -> float:
    return p.mu * drive / (p.alpha + abs(1.0 - x))


@_compiled
def _charging(x: float, p: Any) -> float:
    return 1.0 / (resistance(x, p) * p.c_gate)


@_compiled
def _draining(p: Any) -> float:
    return 1.0 / (p.r_control * p.c_gate)


DEVICE = DeviceArithmetic(_device_field, _positive, _device_growth, _charging, _draining)


class FloatPrimitives(NamedTuple):
    """Primitives that the floating-point substep is built from, besides ``+ - * /``."""

    select: Callable  # select(condition, a, b)
    law: Callable  # law(d, p): field_law of the program's v0 and v_ref
    smaller: Callable  # smaller(a, b), b an array or a number
    positive: Callable  # positive(x): the larger of x and 0
    interpolate: Callable  # interpolate(u, table): table (K + 1,) over u in [0, 1], linear between knots
    exp_minus_1: Callable
    root: Callable
    compiled: Callable  # decorator; the identity for arrays


def float_arithmetic(primitives: FloatPrimitives) -> StepArithmetic:
    """Build the floating-point substep, in volt and shares of the gap, from its primitives: compiled, on numpy arrays, or on tensors."""
    select, law, smaller, positive, interpolate, exp_minus_1, root_of, compiled = primitives
    variate = compiled(byte_sum)

    @compiled
    def field(d, p):
        return p.growth * law(d, p)

    @compiled
    def difference(v_in, gate):
        return v_in - gate

    @compiled
    def growth(drive, x, p):
        return smaller(drive / (p.alpha + 1.0 - x), GROWTH_MAX_FLOAT)

    @compiled
    def half(x):
        return 0.5 * x

    @compiled
    def at_most_one(x):
        return smaller(x, 1.0)

    @compiled
    def filament_kept(x, p):
        return p.filament_kept * x

    @compiled
    def residue_kept(x, p):
        return p.residue_kept * x

    @compiled
    def gate_kept(x, p):
        return p.gate_kept * x

    @compiled
    def transferred(filament, p):
        return p.transfer * filament

    @compiled
    def raised(v_in):
        return v_in

    @compiled
    def drop(residue, p):
        return interpolate(residue, p.drop)

    @compiled
    def charge(x, way, p):
        gap = 1.0 - x
        r_d = p.r_on * x + p.off_scale * exp_minus_1(gap * p.per_lam)
        return -exp_minus_1(-p.substep_per_c / r_d) * way

    @compiled
    def noise(change, draw, gain, p):
        return gain * root_of(abs(change)) * variate(draw) * (1.0 / BYTES_DEVIATION)

    return StepArithmetic(
        one=1.0,
        select=select,
        field=field,
        difference=difference,
        positive=positive,
        growth=growth,
        half=half,
        at_most_one=at_most_one,
        smaller=smaller,
        filament_kept=filament_kept,
        residue_kept=residue_kept,
        gate_kept=gate_kept,
        transferred=transferred,
        raised=raised,
        drop=drop,
        charge=charge,
        noise=noise,
    )


@_compiled
def _select(condition, a, b):
    return a if condition else b


@_compiled
def _smaller(a, b):
    return a if a < b else b


def sinh_scale(v0: Any, v_ref: Any) -> np.ndarray:
    """Factor [V] that makes the hyperbolic law of ``2 sinh(d / v0)``; 0 for the linear law (v0 = inf)."""
    linear = np.isinf(v0)
    a = np.where(linear, 1.0, np.asarray(v_ref) / np.asarray(v0))
    a_limited = np.minimum(a, exponential.LIMIT)  # as its arguments are
    return np.where(linear, 0.0, v_ref * np.exp(-a_limited) / -np.expm1(-2.0 * a))


@_inlined
def _vectorised_law(d: float, p: Any) -> float:
    """:func:`_sinh_law` by an exponential that LLVM runs several at a time, and constants computed once: equal within 1e-14."""
    rise = exponential.expm1(d * p.per_v0)
    hyperbolic = p.sinh_scale * (rise + rise / (rise + 1.0))
    return d if p.per_v0 == 0.0 else hyperbolic


@_compiled
def _sqrt(x):
    return sqrt(x)


@_inlined
def _interpolate(u, table):
    n = table.size - 1
    i = min(np.int32(u * n), np.int32(n - 1))  # as int64, only AVX-512 converts it in vectors
    return read(table, i) + (read(table, i + 1) - read(table, i)) * (u * n - i)


def _law_array(d, p):
    return field_law(d, p.v0, p.v_ref)


def _interpolate_array(u, table):
    return np.interp(u, np.linspace(0.0, 1.0, table.size), table)


_COMPILED = FloatPrimitives(_select, _vectorised_law, _smaller, _positive, _interpolate, exponential.expm1, _sqrt, _inlined)
_ARRAY = FloatPrimitives(np.where, _law_array, np.minimum, lambda x: np.maximum(x, 0.0), _interpolate_array, np.expm1, np.sqrt, lambda f: f)
FLOAT, FLOAT_ARRAY = float_arithmetic(_COMPILED), float_arithmetic(_ARRAY)


class FixedPrimitives(NamedTuple):
    """Primitives that the fixed-point substep is built from, besides ``+ - * << >> &`` and comparisons."""

    select: Callable  # select(condition, a, b)
    read: Callable  # read(table, index)
    times: Callable  # product of two numbers in [0, 2^32)
    compiled: Callable  # decorator
    place: Callable | None = None  # place(w) -> knot and fraction of w in [2^FINEST, 2^(STATE_BITS + 1)); None: by selects
    columns: Callable = unpack  # columns(entry) -> base, step and exponent of a table's entry


def fixed_arithmetic(primitives: FixedPrimitives) -> StepArithmetic:
    """Build the fixed-point substep from its primitives.

    The same lines run on numpy arrays, in compiled loops, and on the counting numbers of :mod:`.budget`.
    """
    select, read, times, compiled, place_of, columns = primitives

    @compiled
    def smaller(a, b):
        return select(a < b, a, b)

    @compiled
    def positive(x):
        return select(x < 0, 0, x)

    @compiled
    def at_most_one(x):
        return smaller(x, ONE)

    @compiled
    def half(x):
        return x >> 1

    @compiled
    def decayed(x, mantissa, shift):
        # What is kept is rounded down (Lava's and Loihi's rule), so that every state returns to exactly zero.
        return x - ((times(x, mantissa) + ((1 << shift) - 1)) >> shift)

    @compiled
    def difference(v_in, gate):
        return ((v_in << GATE_EXTRA) - gate) >> GATE_EXTRA

    @compiled
    def raised(v_in):
        return v_in << GATE_EXTRA

    entry, variate = compiled(columns), compiled(byte_sum)

    @compiled
    def field(d, p):
        u = smaller(times(d, p.stretch) >> STRETCH_BITS, p.field_top)
        base, step, exponent = entry(read(p.field, u >> p.field_shift))
        mantissa = base + (times(step, u & ((1 << p.field_shift) - 1)) >> p.field_shift)
        # A floating pair: mantissa times the neuron's gain, and by how much the growth product is to be shifted.
        return times(mantissa, p.gain) >> GAIN_BITS, p.growth_shift - exponent

    @compiled
    def by_selects(w):
        # Normalise: shift up until bit STATE_BITS is set.
        far = w < (1 << (STATE_BITS - 7))
        w, up = select(far, w << 8, w), select(far, 8, 0)
        far = w < (1 << (STATE_BITS - 3))
        w, up = select(far, w << 4, w), select(far, up + 4, up)
        far = w < (1 << (STATE_BITS - 1))
        w, up = select(far, w << 2, w), select(far, up + 2, up)
        far = w < (1 << STATE_BITS)
        w, up = select(far, w << 1, w), select(far, up + 1, up)
        octave = STATE_BITS - FINEST - up
        knot = (octave << KNOTS) + ((w >> FRACTION) & ((1 << KNOTS) - 1))
        return knot, w & ((1 << FRACTION) - 1)

    place_of = place_of or by_selects

    @compiled
    def place(gap):
        # Position of a gap on the logarithmic scale of the curves: knot, and 16 bits between knots.
        return place_of(gap + (1 << FINEST))

    @compiled
    def on_curve(curve, knot, fraction):
        base, step, exponent = entry(read(curve, knot))
        return base + ((step * fraction) >> FRACTION), exponent

    @compiled
    def growth(drive, x, p):
        mantissa, shift = drive
        knot, fraction = place(ONE - x)
        inverse, exponent = on_curve(p.inverse, knot, fraction)
        shift = shift - exponent
        shift = smaller(select(shift < MIN_SHIFT, MIN_SHIFT, shift), MAX_SHIFT)
        return smaller(times(mantissa, inverse) >> shift, GROWTH_MAX)

    @compiled
    def filament_kept(x, p):
        return decayed(x, p.filament_decay, p.filament_shift)

    @compiled
    def residue_kept(x, p):
        return decayed(x, p.residue_decay, p.residue_shift)

    @compiled
    def gate_kept(x, p):
        return decayed(x, p.gate_decay, p.gate_shift)

    @compiled
    def transferred(filament, p):
        return times(filament, p.transfer) >> p.transfer_shift

    @compiled
    def drop(residue, p):
        return on_curve(p.drop, residue >> FRACTION, residue & ((1 << FRACTION) - 1))[0]

    @compiled
    def charge(x, way, p):
        knot, fraction = place(ONE - x)
        return times(way, on_curve(p.charge, knot, fraction)[0]) >> CHARGE_BITS

    @compiled
    def noise(change, draw, gain, p):
        # Standard deviation sqrt(sigma |change|): root on the curves' scale, then the sum of the draw's four bytes.
        amount = smaller(select(change < 0, 0 - change, change), ONE)
        knot, fraction = place(amount)
        root = on_curve(p.root, knot, fraction)[0]
        spread = times(root, gain) >> NOISE_SHIFT
        return (spread * variate(draw)) >> NOISE_SHIFT

    return StepArithmetic(
        one=ONE,
        select=select,
        field=field,
        difference=difference,
        positive=positive,
        growth=growth,
        half=half,
        at_most_one=at_most_one,
        smaller=smaller,
        filament_kept=filament_kept,
        residue_kept=residue_kept,
        gate_kept=gate_kept,
        transferred=transferred,
        raised=raised,
        drop=drop,
        charge=charge,
        noise=noise,
    )


@_compiled
def _times(a, b):
    # Saying that both fit 32 bits lets LLVM use the short multiplier.
    return (a & 0xFFFFFFFF) * (b & 0xFFFFFFFF)


@_compiled
def _by_float64(w):
    # Exponent and fraction of a floating-point number, side by side, are a place on a logarithmic scale.
    bits = float64_bits(w)
    knot = (bits >> (exponential.FRACTION - KNOTS)) - ((exponential.BIAS + FINEST) << KNOTS)
    return knot, (bits >> (exponential.FRACTION - STATE_BITS)) & ((1 << FRACTION) - 1)


def fixed_on_arrays(select: Callable) -> StepArithmetic:
    """Build the fixed-point substep on numpy arrays or on tensors, by their ``where``."""
    return fixed_arithmetic(FixedPrimitives(select, lambda table, i: table[i], lambda a, b: a * b, lambda f: f))


FIXED = fixed_arithmetic(FixedPrimitives(_select, read, _times, _compiled, _by_float64))
FIXED_ARRAY = fixed_on_arrays(np.where)
