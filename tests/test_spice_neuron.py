"""The generated subcircuit, run by ngspice, against our integrator."""

import re
from dataclasses import replace

import numpy as np
import pytest

from lava_1m1t1r.device import presets, simulate, stimulus
from lava_1m1t1r.device.circuit import output_current
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.export.ngspice import rises, simulated, telling
from lava_1m1t1r.export.report import ToolFailed
from lava_1m1t1r.export.spice_neuron import OVERSHOOT, neuron_subcircuit, piecewise, run_ngspice
from lava_1m1t1r.export.spice_neuron import testbench as deck


def both(p, s):
    return run_ngspice(p, s.durations, s.volts), simulate(p, s, seed=0, record="events")


@pytest.mark.needs("ngspice")
@pytest.mark.parametrize(
    ("name", "s"),
    [
        ("ZHAO2025_TABLE1", stimulus.constant(0.8, 0.04)),
        ("ZHAO2025_FIG2", stimulus.constant(0.8, 0.04)),
        ("ZHAO2025_FIG4", stimulus.constant(2.0, 0.02)),
        ("ZHAO2025_FIG4", stimulus.constant(3.5, 0.002)),  # above 3 V, too
        ("ZHAO2025_FIG2", stimulus.constant(0.0, 0.01) + stimulus.constant(2.4, 0.02)),  # an edge so steep that rounding could stop it
        ("ZHAO2025_FIG2", stimulus.constant(-2.5, 5e-3) + stimulus.constant(1.0, 0.02)),
        ("ZHAO2025_FIG3", stimulus.train(0.9, 1e-3, 0.6e-3, 165)),
        ("ZHAO2025_TABLE8", stimulus.train(0.8, 1e-8, 1e-8, 20)),
    ],
)
def test_turn_ons_agree(name, s):
    spice, ours = both(getattr(presets, name), s)
    assert spice.time[-1] == pytest.approx(s.duration)
    assert spice.turn_on_times()[0] == pytest.approx(ours.turn_on_times()[0], rel=2e-3)


@pytest.mark.needs("ngspice")
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


@pytest.mark.needs("ngspice")
def test_output_current_at_saturation():
    p = presets.ZHAO2025_TABLE1
    spice, _ = both(p, stimulus.constant(0.8, 0.04))
    assert spice.current.max() == pytest.approx(output_current(p, spice.gate_voltage.max()), rel=1e-3)


@pytest.mark.needs("ngspice")
@pytest.mark.parametrize("volts", [1.0, 2.4, 3.0, 3.5])
def test_a_limited_length_overshoots_little_however_strong_the_field(volts):
    spice, ours = both(presets.ZHAO2025_FIG2, stimulus.constant(0.0, 0.01) + stimulus.constant(volts, 0.02))
    assert (spice.filament + spice.residue).max() < 1 + 2 * OVERSHOOT
    assert abs(len(spice.turn_on_times()) - len(ours.turn_on_times())) <= 1
    assert len(spice.spike_times()) == len(ours.spike_times())


@pytest.mark.needs("ngspice")
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
    for other in (replace(presets.ZHAO2025_FIG2, mu=np.ones(2)), {"mu": 150.0}):
        with pytest.raises(InputError, match="neuron_subcircuit.p must be one device"):
            neuron_subcircuit(other)
    assert neuron_subcircuit(presets.ZHAO2025_FIG2, "n7").count(" n7") == 2


def points(text):
    return np.array([line.split() for line in text.split("\n+ ")], float)


@pytest.mark.parametrize("durations", [(2.0, 1e-3), (1e-3, 2.0)])
def test_edges_are_short_beside_both_of_their_pieces(durations):
    found = points(piecewise((*durations, 1.0), (0.5, 0.8, 0.8)))
    edge, total = durations[0], sum(durations) + 1
    np.testing.assert_allclose(found, [(0, 0.5), (edge, 0.5), (edge + 1e-8, 0.8), (total, 0.8)], rtol=1e-12)


def test_rises_are_interpolated():
    time, values = np.array([0.0, 1.0, 2.0, 3.0, 5.0]), np.array([0.0, 1.0, 0.5, 0.0, 4.0])
    np.testing.assert_allclose(rises(time, values, 0.25), [0.25, 3.125])
    assert rises(time, values, 0.0).tolist() == [0.0, 3.0] and rises(time, values, 4.0).size == 0


@pytest.mark.parametrize(("volts", "largest"), [((1.0, 0.5), 1.0), ((-2.5, 1.0), 3.5), ((1.0, -2.5), 3.5), ((-1.0, -2.5), 2.5)])
def test_the_field_of_a_deck_reaches_as_far_as_its_inputs(volts, largest):
    """After a negative input the gate is negative, too."""
    text = deck(presets.ZHAO2025_FIG2, (5e-3, 1e-3), volts)
    (end,) = re.findall(r"sinh\(min\(max\(V\(in\)-V\(gate\),0\),(\S+?)\)/", text)
    assert float(end) == pytest.approx(1.1 * largest)


def test_a_decks_steps_follow_the_shortest_piece_and_the_loss_of_the_filament():
    for shortest, longest in ((1e-4, 2e-6), (1.0, 0.02 / presets.ZHAO2025_FIG2.gamma1)):
        text = deck(presets.ZHAO2025_FIG2, (2.0, shortest), (0.8, 0.0))
        every, end, start, most = map(float, re.search(r"^\.tran (\S+) (\S+) (\S+) (\S+) uic$", text, re.M).groups())
        assert (every, end, start, most) == pytest.approx((longest, 2 + shortest, 0, longest), rel=1e-6)


def test_the_load_rests_at_the_supply():
    p = replace(presets.ZHAO2025_FIG2, c_load=1e-12, v_dd=1.5)
    c_load, start = re.search(r"^Cload out 0 (\S+) IC=(\S+)$", neuron_subcircuit(p), re.M).groups()
    assert (float(c_load), float(start)) == (1e-12, 1.5)
    assert "Cload" not in neuron_subcircuit(replace(p, c_load=0.0))


@pytest.mark.parametrize(
    ("p", "durations", "volts", "words"),
    [
        ({}, (1e-3, 0.0), (0.8, 0.5), "durations, volts must be > 0 s, and as many"),
        ({}, (1e-3, 1e-3), (0.8,), "durations, volts must be > 0 s, and as many"),
        ({"v0": 2e-3}, (1e-3,), (0.1,), r"neuron_subcircuit: v_ref / v0 must be < 300; got \d"),
    ],
)
def test_what_no_deck_can_hold_is_refused(p, durations, volts, words):
    with pytest.raises(InputError, match=words):
        deck(replace(presets.ZHAO2025_FIG2, **p), durations, volts)


def test_of_what_ngspice_says_the_last_lines_that_tell_are_told(tmp_path, monkeypatch):
    said = "Note: nothing\n" + "".join(f"Error {n}\n" for n in range(20)) + "\nStack = 0 bytes.\nError 19\n"
    assert telling(said).splitlines() == [f"Error {n}" for n in range(8, 20)]
    assert telling("one\n\n two \n") == "one\ntwo"
    (tmp_path / "ngspice").write_text("#!/bin/sh\necho no such node\n")
    (tmp_path / "ngspice").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(ToolFailed, match="ngspice failed: no such node"):  # it wrote nothing, and says that all is well
        run_ngspice(presets.ZHAO2025_FIG2, (1e-3,), (0.8,))
    (tmp_path / "short").write_bytes(b"No. Variables: 5\nNo. Points: 2\nBinary:\n" + np.full(10, 0.99e-3).tobytes())
    (tmp_path / "ngspice").write_text(f"#!/bin/sh\ncp {tmp_path}/short $6\n")
    with pytest.raises(ToolFailed, match=r"ngspice ended at 0\.00099 s of 0\.001 s"):
        run_ngspice(presets.ZHAO2025_FIG2, (1e-3,), (0.8,))


@pytest.mark.needs("ngspice")
def test_an_analysis_that_ngspice_aborts_is_no_result(tmp_path):
    """It writes what it has, up to the second at which this state is infinite."""
    (tmp_path / "deck.cir").write_text("a state\nC1 a 0 1 IC=1\nB1 0 a I = V(a)^2\n.tran 1e-2 2 uic\n.end\n")
    with pytest.raises(ToolFailed, match="ngspice failed: .*Timestep too small"):
        simulated(str(tmp_path), "deck.cir", 2.0, timeout=60.0)


@pytest.mark.needs("ngspice")
def test_settings_of_the_user_change_no_circuit(tmp_path, monkeypatch):
    """Neither the method that integrates it, nor the form of its output."""
    given = presets.ZHAO2025_FIG2, (1e-3, 1e-3, 1e-3), (0.0, 0.9, 0.0)
    alone = run_ngspice(*given)
    (tmp_path / ".spiceinit").write_text("* as design kits ask for\noption maxord=1\nset wr_vecnames\nset filetype=ascii\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SPICE_ASCIIRAWFILE", "1")
    told = run_ngspice(*given)
    assert np.array_equal(told.time, alone.time) and np.array_equal(told.filament, alone.filament)
    (tmp_path / "deck.cir").write_text("a resistor\ni1 0 a 1\nr1 a 0 2\n.tran 1 2\n.end\n")
    np.testing.assert_allclose(simulated(str(tmp_path), "deck.cir", 2.0, timeout=60.0)[:, 1], 2.0)
