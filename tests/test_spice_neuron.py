"""The generated subcircuit, run by ngspice, against our integrator."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from lava_1m1t1r.device import presets, simulate, stimulus
from lava_1m1t1r.device.circuit import output_current
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.export.spice_neuron import neuron_subcircuit, run_ngspice

needs_ngspice = pytest.mark.skipif(shutil.which("ngspice") is None, reason="ngspice is not installed")


def both(p, s):
    return run_ngspice(p, s.durations, s.volts), simulate(p, s, seed=0, record="events")


@needs_ngspice
@pytest.mark.parametrize(
    ("name", "s"),
    [
        ("ZHAO2025_TABLE1", stimulus.constant(0.8, 0.04)),
        ("ZHAO2025_FIG2", stimulus.constant(0.8, 0.04)),
        ("ZHAO2025_FIG4", stimulus.constant(2.0, 0.02)),
        ("ZHAO2025_FIG4", stimulus.constant(3.5, 0.002)),  # above 3 V, too
        ("ZHAO2025_FIG2", stimulus.constant(-2.5, 5e-3) + stimulus.constant(1.0, 0.02)),
        ("ZHAO2025_FIG3", stimulus.train(0.9, 1e-3, 0.6e-3, 165)),
        ("ZHAO2025_TABLE8", stimulus.train(0.8, 1e-8, 1e-8, 20)),
    ],
)
def test_turn_ons_agree(name, s):
    spice, ours = both(getattr(presets, name), s)
    assert spice.turn_on_times()[0] == pytest.approx(ours.turn_on_times()[0], rel=2e-3)


@needs_ngspice
@pytest.mark.parametrize("r_control", [100e6, 250e6, 1e9])
def test_trains_agree_under_the_fig_2e_stimulus(r_control):
    p = replace(presets.ZHAO2025_FIG2, r_control=r_control)
    spice, ours = both(p, stimulus.pulses(0.8, 2e-3, 0.5, 0.4))
    a, b = spice.spike_times(), ours.spike_times()
    assert a[0] == pytest.approx(b[0], abs=1e-4)
    # Trains are chaotic: up to the first spike that one of the two puts into another pulse.
    n = min(len(a), len(b))
    slipped = np.flatnonzero(np.abs(a[:n] - b[:n]) > 1e-3)
    n = slipped[0] if slipped.size else n
    assert n >= 5
    assert np.mean(np.diff(a[:n])) == pytest.approx(np.mean(np.diff(b[:n])), rel=0.05)


@needs_ngspice
def test_output_current_at_saturation():
    p = presets.ZHAO2025_TABLE1
    spice, _ = both(p, stimulus.constant(0.8, 0.04))
    assert spice.current.max() == pytest.approx(output_current(p, spice.gate_voltage.max()), rel=1e-3)


@needs_ngspice
def test_a_length_beyond_one_is_a_gap_again():
    """Where it may grow beyond: the tunnelling gap of the device is ``|1 - x|``."""
    p, s = replace(presets.ZHAO2025_TABLE1, x_max=1.5), stimulus.constant(0.8, 0.06)
    spice, ours = run_ngspice(p, s.durations, s.volts), simulate(p, s, dt=1e-4, seed=0)
    assert (spice.filament + spice.residue).max() == pytest.approx((ours.filament + ours.residue).max(), rel=5e-3)


def test_the_field_ends_above_the_largest_voltage_and_must_not_overflow():
    assert "sinh(min(max(V(in)-V(gate),0),5.5000000000e+00)/" in neuron_subcircuit(presets.ZHAO2025_FIG4, v_max=5.0)
    steep = replace(presets.ZHAO2025_FIG2, v0=4e-3)
    with pytest.raises(InputError, match=r"neuron_subcircuit: 1.1 v_max / v0 must be < 700; got 825.*Name the largest input"):
        neuron_subcircuit(steep)
    neuron_subcircuit(steep, v_max=1.2)
    with pytest.raises(InputError, match=r"v_max \[V\] must be a finite number and > 0"):
        neuron_subcircuit(steep, v_max=0.0)


def test_the_subcircuit_is_of_one_device():
    with pytest.raises(InputError, match="be one device"):
        neuron_subcircuit(replace(presets.ZHAO2025_FIG2, mu=np.ones(2)))
    assert neuron_subcircuit(presets.ZHAO2025_FIG2, "n7").count(" n7") == 2
