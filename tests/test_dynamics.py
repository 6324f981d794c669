"""The equations: closed forms, the step's convergence, and how close it comes to the device in continuous time."""

from dataclasses import replace
from math import exp, inf

import numpy as np
import pytest

from lava_1m1t1r import dynamics, presets
from lava_1m1t1r.arithmetic import DEVICE, FLOAT_ARRAY
from lava_1m1t1r.device import simulate
from lava_1m1t1r.drop import rates_of
from lava_1m1t1r.dynamics import State
from lava_1m1t1r.program import StepParams
from lava_1m1t1r.reference import CompiledNeurons

FIG2 = presets.ZHAO2025_FIG2
TABLE1 = presets.ZHAO2025_TABLE1


def flows(filament, residue, gate, v_in, device):
    p = rates_of(device)
    s = State(filament, residue, gate)
    return dynamics.flow(s, dynamics.field(s, v_in, p, DEVICE), v_in, p, DEVICE)


def test_flow_is_equations_s1_to_s5_of_the_paper():
    d = TABLE1
    f = flows(0.3, 0.2, 0.1, 0.8, d)
    assert f.filament.gain == pytest.approx(150.0 * 0.7 / (0.01 + 0.5))
    assert f.filament.loss == pytest.approx(600.0 + 20.0)
    assert f.residue.gain == pytest.approx(20.0 * 0.3) and f.residue.loss == pytest.approx(5.0)
    r_d = 1e6 * 0.5 + 1e12 * (exp(0.5 / 0.2) - 1) / (exp(1 / 0.2) - 1)
    assert f.gate.gain == pytest.approx(0.8 / r_d / 10e-12)
    assert f.gate.loss == pytest.approx((1 / r_d + 1 / 250e6) / 10e-12)


def test_no_field_once_the_gate_has_reached_the_input():
    for v_in, gate in ((0.3, 0.3), (0.0, 0.5), (0.0, 0.0)):
        assert flows(0.5, 0.1, gate, v_in, FIG2).filament.gain == 0.0


def test_closed_device_has_its_on_resistance_and_empty_gap_its_off_resistance():
    for x, r in ((1.0, FIG2.r_on), (0.0, FIG2.r_off)):
        assert flows(x, 0.0, 0.0, 1.0, FIG2).gate.gain * FIG2.c_gate == pytest.approx(1 / r)


@pytest.mark.parametrize("v0", [0.02, 0.08, 0.3])
def test_field_laws_agree_at_v_ref_and_the_hyperbolic_one_is_steeper(v0):
    d = replace(FIG2, v0=v0)
    linear = replace(d, v0=inf)
    at = lambda v, device: flows(0.0, 0.0, 0.0, v, device).filament.gain  # noqa: E731
    assert at(d.v_ref, d) == pytest.approx(at(d.v_ref, linear))
    assert at(0.5 * d.v_ref, d) < at(0.5 * d.v_ref, linear)
    assert at(1.2 * d.v_ref, d) > at(1.2 * d.v_ref, linear)
    # far above v0 a volt more means a factor e^(1 V / v0)
    assert at(0.9, d) / at(0.8, d) == pytest.approx(exp(0.1 / v0), rel=0.01)


@pytest.mark.parametrize("substeps", [1, 4, 16])
def test_undriven_states_decay_exactly(substeps):
    params = StepParams(replace(FIG2, beta=1e-9, r_off=1e20), substeps=substeps)  # nothing leaks through the memristor
    p = params.floating(1)
    s = State(*(np.array([x]) for x in (0.4, 0.3, 0.15)))
    for _ in range(5 * substeps):
        s, fired, _closed = dynamics.substep(s, np.zeros(1), p, FLOAT_ARRAY)
        assert not fired[0]
    t = 5e-3
    assert s.filament[0] == pytest.approx(0.4 * exp(-FIG2.gamma1 * t), rel=1e-6)
    assert s.residue[0] == pytest.approx(0.3 * exp(-FIG2.gamma2 * t), rel=1e-6)
    assert s.gate[0] == pytest.approx(0.15 * exp(-t / (FIG2.r_control * FIG2.c_gate)), rel=1e-9)


def test_constant_drive_holds_the_residue_that_the_filament_feeds():
    # Below the runaway x1 = mu E / (gamma1 + beta) and x2 = beta x1 / gamma2: the fixed point of (S1), (S2).
    params = StepParams(TABLE1)
    neurons = CompiledNeurons(params, 1, fixed=False)
    for _ in range(5000):
        s = neurons.step(np.array([77]))
    v = 77 / 64 * 0.125
    f, r = float(s.filament[0]), float(s.residue[0])
    assert r == pytest.approx(TABLE1.beta * f / TABLE1.gamma2, rel=1e-3)
    growth = TABLE1.mu * (v - float(s.gate[0])) / (TABLE1.alpha + 1 - f - r)
    assert f == pytest.approx(growth / (TABLE1.gamma1 + TABLE1.beta), rel=2e-2)


def stimulus(volt):
    counts = np.where(np.arange(38) % 3 == 0, 100, round(volt / 0.125 * 64))[:, None]
    return counts, counts / 64 * 0.125


def trajectory(device, counts, substeps):
    neurons = CompiledNeurons(StepParams(device, substeps=substeps), 1, fixed=False)
    steps = [neurons.step(a) for a in counts]
    return {name: np.array([getattr(s, name)[0] for s in steps]) for name in State._fields}


DEVICES = pytest.mark.parametrize(("device", "volt"), [(TABLE1, 0.8), (FIG2, 0.8), (presets.ZHAO2025_FIG3, 0.85)])


@DEVICES
def test_step_is_of_second_order_before_the_first_turn_on(device, volt):
    counts, _ = stimulus(volt)
    limit = trajectory(device, counts, 64)
    n = int(np.argmax(limit["filament"] + limit["residue"] > 0.5)) or len(counts)
    substeps = np.array([1, 2, 4])
    errors = [np.max(np.abs(trajectory(device, counts, s)["filament"] - limit["filament"])[:n]) for s in substeps]
    order = -np.polyfit(np.log2(substeps), np.log2(errors), 1)[0]
    assert 1.7 < order < 2.5, order


@DEVICES
def test_limit_of_the_step_is_the_device(device, volt):
    counts, volts = stimulus(volt)
    trace = simulate(device, volts, 1e-3, 0, ("filament", "residue", "gate_voltage"), rtol=1e-7)
    exact = {"filament": trace.filament[:, 0], "residue": trace.residue[:, 0], "gate": trace.gate_voltage[:, 0]}
    n = int(np.argmax(exact["filament"] + exact["residue"] > 0.5)) or len(counts)
    step = trajectory(device, counts, 16)
    for name, bound in (("filament", 1e-4), ("residue", 5e-5), ("gate", 1e-6)):
        assert np.max(np.abs(step[name] - exact[name])[:n]) < bound, name
    assert exact["residue"][n - 1] > 0.02


@pytest.mark.parametrize("substeps", [2, 4, 16])
def test_first_spike_of_the_fig_2_device_is_the_devices(substeps):
    # Fig. 2e: 0.8 V, 1 ms on, 1 ms off.
    counts = np.where(np.arange(120) % 2 == 0, 410, 0)[:, None]
    device = simulate(FIG2, counts / 64 * 0.125, 1e-3, 0, "events").spike_times(0)[0]
    neurons = CompiledNeurons(StepParams(FIG2, substeps=substeps), 1)
    first = int(np.argmax([neurons.step(a).spike[0] for a in counts])) * 1e-3
    assert abs(first + 0.5e-3 - device) < (4e-3 if substeps == 2 else 2.5e-3)
    assert 0.08 < device < 0.1  # measured: about 88 ms
