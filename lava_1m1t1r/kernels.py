"""Compiled loops over neurons: one network step of a layer, in floating and in fixed point.

They contain no equations: each runs :mod:`.dynamics` in its number system. Serial, so that they can run inside Lava's processes and in
one thread per sample.
"""

from __future__ import annotations

from . import dynamics, tables
from .arithmetic import FIXED, FLOAT
from .compiled import compiled, inlined, interleave_loops, load, read, store, widest_vectors
from .dynamics import State
from .noise import compiled_draw
from .program import FixedProgram, FloatProgram

_grow, _jitter, _settle = (inlined(f) for f in (dynamics.grow, dynamics.jitter, dynamics.settle))
_input_counts, _input_volts = inlined(tables.input_counts), inlined(tables.input_volts)


@compiled
def fixed_neuron(p, n):
    """Constants of neuron n as scalars, with the layer's tables."""
    return FixedProgram(
        read(p.stretch, n),
        read(p.gain, n),
        read(p.growth_shift, n),
        read(p.filament_decay, n),
        read(p.filament_shift, n),
        read(p.residue_decay, n),
        read(p.residue_shift, n),
        read(p.transfer, n),
        read(p.transfer_shift, n),
        read(p.gate_decay, n),
        read(p.gate_shift, n),
        read(p.v_th, n),
        read(p.noise_filament, n),
        read(p.noise_residue, n),
        p.field_shift,
        p.field_top,
        p.field,
        p.inverse,
        p.charge,
        p.drop,
        p.root,
    )


@compiled
def float_neuron(p, n):
    """Constants of neuron n, as scalars."""
    return FloatProgram(
        read(p.growth, n),
        read(p.v0, n),
        read(p.v_ref, n),
        read(p.alpha, n),
        read(p.filament_kept, n),
        read(p.residue_kept, n),
        read(p.transfer, n),
        read(p.gate_kept, n),
        read(p.v_th, n),
        read(p.r_on, n),
        read(p.substep_per_c, n),
        p.drop,
        read(p.noise_filament, n),
        read(p.noise_residue, n),
        read(p.per_v0, n),
        read(p.sinh_scale, n),
        read(p.per_lam, n),
        read(p.off_scale, n),
    )


@compiled
def input_count(a_in, v_max):
    """:func:`.tables.input_counts` of one neuron."""
    return _input_counts(a_in, v_max, FIXED)


@compiled
def input_volt(a_in, v_unit, v_in_max):
    """:func:`.tables.input_volts` of one neuron. nan stays nan, as on arrays: the smaller of two numbers would be ``v_in_max``, a spike."""
    return a_in if a_in != a_in else _input_volts(a_in, v_unit, v_in_max, FLOAT)


@inlined
def _state(filament, residue, gate, n):
    return State(load(filament, n), load(residue, n), load(gate, n))


@inlined
def _finish(filament, residue, gate, n, s, grown, v, q, ops):
    """Run the second half of neuron n's substep and store its new state; returns whether it fired, as 0 or 1."""
    new, fired, _closed = _settle(s, grown, v, q, ops)
    store(filament, n, new.filament)
    store(residue, n, new.residue)
    store(gate, n, new.gate)
    return 1 if fired else 0


@inlined
def _jittered(s, generator, n, grown, q, ops):
    """Add the noise of neuron n's substep; its generator moves on by two numbers."""
    first = compiled_draw(load(generator, n))
    second = compiled_draw(first)
    store(generator, n, second)
    return _jitter(s, grown, (first, second), q, ops)


@inlined
def _substep(filament, residue, gate, n, v, q, ops):
    """Run neuron n's substep; returns whether it fired, as 0 or 1."""
    s = _state(filament, residue, gate, n)
    return _finish(filament, residue, gate, n, s, _grow(s, v, q, ops), v, q, ops)


@inlined
def _noisy_substep(filament, residue, gate, generator, n, v, q, ops):
    """As :func:`_substep`, with noise."""
    s = _state(filament, residue, gate, n)
    return _finish(filament, residue, gate, n, s, _jittered(s, generator, n, _grow(s, v, q, ops), q, ops), v, q, ops)


@inlined
def _clear(spike):
    for n in range(spike.size):
        store(spike, n, 0)


@compiled
def fixed_step(filament, residue, gate, v_in, p, substeps, spike):
    """Advance N deterministic neurons by one network step, in place. All (N,) int32; v_in in counts, spike 0 or 1."""
    widest_vectors()
    _clear(spike)
    for _ in range(substeps):
        for n in range(filament.size):
            fired = _substep(filament, residue, gate, n, read(v_in, n), fixed_neuron(p, n), FIXED)
            store(spike, n, load(spike, n) | fired)
    interleave_loops()


@compiled
def fixed_step_alike(filament, residue, gate, v_in, p, substeps, spike):
    """As :func:`fixed_step`, where all neurons are the first one's device: 12 % faster, and N may exceed the program's."""
    widest_vectors()
    _clear(spike)
    q = fixed_neuron(p, 0)
    for _ in range(substeps):
        for n in range(filament.size):
            fired = _substep(filament, residue, gate, n, read(v_in, n), q, FIXED)
            store(spike, n, load(spike, n) | fired)
    interleave_loops()


@compiled
def fixed_noisy_step(filament, residue, gate, generator, v_in, p, substeps, spike):
    """As :func:`fixed_step`, with noise. generator: (N,) int64, see :mod:`.noise`."""
    widest_vectors()
    _clear(spike)
    for _ in range(substeps):
        for n in range(filament.size):
            fired = _noisy_substep(filament, residue, gate, generator, n, read(v_in, n), fixed_neuron(p, n), FIXED)
            store(spike, n, load(spike, n) | fired)
    interleave_loops()


@compiled
def fixed_layer_step(filament, residue, gate, generator, v_in, p, substeps, noisy, alike, spike):
    """Advance a layer by whichever of these suits its neurons: ``noisy`` ones draw from the generator, ``alike`` ones are one device."""
    if noisy:
        fixed_noisy_step(filament, residue, gate, generator, v_in, p, substeps, spike)
    elif alike:
        fixed_step_alike(filament, residue, gate, v_in, p, substeps, spike)
    else:
        fixed_step(filament, residue, gate, v_in, p, substeps, spike)


@compiled
def _nothing(first, second, p):
    return 0


@compiled
def _zero(x, p):
    return 0


# Without input voltage the field is 0, and nothing grows: their tables need not be read.
_SILENT = FIXED._replace(field=_zero, growth=_nothing, drop=_zero)


@compiled
def fixed_silent_step(filament, residue, gate, p, substeps):
    """As :func:`fixed_step` without any input voltage: faster, and no neuron fires."""
    widest_vectors()
    for _ in range(substeps):
        for n in range(filament.size):
            _substep(filament, residue, gate, n, 0, fixed_neuron(p, n), _SILENT)


@compiled
def float_step(filament, residue, gate, generator, noisy, v_in, p, substeps, spike):
    """Advance N neurons by one network step in floating point, in place. (N,) float64; generator int64; spike int32."""
    _clear(spike)
    for _ in range(substeps):
        if noisy:
            _float_noisy_substep(filament, residue, gate, generator, v_in, p, spike)
        else:
            _float_substep(filament, residue, gate, v_in, p, spike)


@compiled
def _float_substep(filament, residue, gate, v_in, p, spike):
    widest_vectors()
    for n in range(filament.size):
        fired = _substep(filament, residue, gate, n, read(v_in, n), float_neuron(p, n), FLOAT)
        store(spike, n, load(spike, n) | fired)
    interleave_loops()


@compiled
def _float_noisy_substep(filament, residue, gate, generator, v_in, p, spike):
    widest_vectors()
    for n in range(filament.size):
        fired = _noisy_substep(filament, residue, gate, generator, n, read(v_in, n), float_neuron(p, n), FLOAT)
        store(spike, n, load(spike, n) | fired)
    interleave_loops()
