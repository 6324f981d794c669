"""The network as a SPICE netlist: crossbars of resistors, one amplifier and one 1M1T1R circuit per neuron, clocked delay registers.

Analogue nodes are ``r<layer>_<row>`` (rows), ``v<layer>_<n>`` (input of neuron n), ``x<layer>_<n>.gate``, ``y<layer>_<k>`` (readout).
The registers are XSPICE elements, which ngspice has: a comparator at ``v_th``, a latch that its rising edge sets, and a shift register
that samples the latch at the end of each network step. Only layers that compute are numbered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..arithmetic import WEIGHT_ONE
from ..device.crossbar import Crossbar
from ..device.network import DeviceNetwork
from ..layers import Layer
from .spice_neuron import EDGE, longest_step, neuron_subcircuit, options, piecewise, transient

TICK = 1e-5  # delay of a digital element and length of a clock edge, as a share of the network step
READOUT = 1e-3
"""Output of a readout's integrator for one spike through a weight of one unit [V]."""
_CHUNK = 16  # terms of one behavioural expression


def sources(network: DeviceNetwork, patterns: Sequence[np.ndarray]) -> dict[str, str]:
    """``network.cir`` and, for each of some patterns (T, C), ``pattern_0.cir``, ...: file name to text."""
    head = f"* {network.net.sizes} network of 1M1T1R neurons\n"
    return {"network.cir": head + netlist(network)} | {f"pattern_{b}.cir": deck(network, x, b) for b, x in enumerate(patterns)}


def netlist(network: DeviceNetwork) -> str:
    """Everything but the stimulus: to be included by a deck that drives rows ``r0_<input>`` and the read noise's ``z`` nodes."""
    net, v_read = network.net, network.cells.v_read
    tick, edge = TICK * network.dt, EDGE * network.dt
    lines = [
        f"* Network of {len(net.active)} layers, network step {network.dt:g} s; weights as conductances of {network.cells}",
        f"* To be driven: rows r0_<input>, by pulses of {v_read:g} V, one network step long"
        + ("; z<layer>_<neuron>, by a unit normal number each step (0 V: no read noise)" if network.cells.read_noise > 0 else ""),
        f"Vclock clock_a 0 PULSE(0 1 {network.dt:.10e} {tick:.4e} {tick:.4e} {network.dt / 2:.10e} {network.dt:.10e})",
        f"Vclear clear_a 0 PULSE(0 1 {network.dt + 4 * tick:.10e} {tick:.4e} {tick:.4e} {2 * tick:.4e} {network.dt:.10e})",
        "Aclock [clock_a] [clock] logic",
        "Aclear [clear_a] [clear] logic",
        "Aone one pulled",
        f".model logic adc_bridge(in_low=0.5 in_high=0.5 {_delays(network.dt)})",
        ".model pulled d_pullup(load=1e-12)",
        f".model stage d_dff({_delays(network.dt, 'clk', 'set', 'reset', 'rise', 'fall')} ic=0)",
        f".model driver dac_bridge(out_low=0 out_high={v_read:.6e} t_rise={edge:.4e} t_fall={edge:.4e})",
    ]
    for place, (layer, crossbar) in enumerate(zip(net.active, network.crossbars, strict=True)):
        squares = crossbar.squares / v_read**2
        lines += _crossbar(place, crossbar)
        lines += [f"Vbias{place}_{i} r{place}_{i} 0 {v_read:.6e}" for i in range(sum(crossbar.rows[:2]), sum(crossbar.rows))]
        if layer.neuron is None:
            charge = crossbar.per_count * WEIGHT_ONE * network.dt
            for n in range(layer.size):
                lines += _sum(place, n, crossbar, squares, f"Bread{place}_{n} 0 y{place}_{n} I =", 1.0)
                lines.append(f"Cread{place}_{n} y{place}_{n} 0 {charge / READOUT:.10e} IC=0")
            continue
        lines += _neurons(place, layer, crossbar, squares)
        lines += _registers(place, layer, place + 1 < len(net.active))
    return "\n".join(lines) + "\n"


def _crossbar(place: int, crossbar: Crossbar) -> Iterator[str]:
    for name, cells in (("p", crossbar.positive), ("m", crossbar.negative)):
        for n, row in enumerate(cells):
            yield f"V{name}{place}_{n} {name}{place}_{n} 0 0"
            for i, g in enumerate(row):
                if g > 0.0:
                    yield f"R{name}{place}_{n}_{i} r{place}_{i} {name}{place}_{n} {1.0 / g:.10e}"


def _sum(place: int, n: int, crossbar: Crossbar, squares: np.ndarray, head: str, gain: float, limit: float | None = None) -> list[str]:
    """The amplifier of a column pair: a current or clipped voltage, with the read noise of all cells drawn together, whose variances
    ``squares`` (N, R) are in counts at one volt."""
    lines = []
    value = f"{gain:.10e}*(i(Vp{place}_{n})-i(Vm{place}_{n}))"
    if crossbar.cells.read_noise > 0.0:
        cells = squares[n]
        parts = [range(i, min(i + _CHUNK, cells.size)) for i in range(0, cells.size, _CHUNK)]
        for k, part in enumerate(parts):
            terms = "+".join(f"{cells[i]:.8e}*V(r{place}_{i})^2" for i in part)
            lines.append(f"Bnoise{place}_{n}_{k} s{place}_{n}_{k} 0 V = {terms}")
        total = "+".join(f"V(s{place}_{n}_{k})" for k in range(len(parts)))
        value += f"+{gain * crossbar.per_count:.10e}*V(z{place}_{n})*sqrt(max({total},0))"
    return [*lines, f"{head} {value}" if limit is None else f"{head} min(max({value},0),{limit:.10e})"]


def _neurons(place: int, layer: Any, crossbar: Crossbar, squares: np.ndarray) -> Iterator[str]:
    step, gain = layer.step, crossbar.feedback(layer.step.v_unit)
    for device in range(layer.size if step.device.size else 1):
        one = step.device.take(device) if step.device.size else step.device
        yield neuron_subcircuit(one, f"m1t1r_{place}_{device}", step.v_in_max)
        yield f".model spike_{place}_{device} adc_bridge(in_low={one.v_th:.10e} in_high={one.v_th:.10e} {_delays(step.dt)})"
        yield f"Vdd{place}_{device} vdd{place}_{device} 0 {one.v_dd:.10e}"
    for n in range(layer.size):
        device = n if step.device.size else 0
        yield from _sum(place, n, crossbar, squares, f"Bsum{place}_{n} v{place}_{n} 0 V =", gain, step.v_in_max)
        yield f"X{place}_{n} v{place}_{n} o{place}_{n} vdd{place}_{device} m1t1r_{place}_{device}"
        yield f"Aspike{place}_{n} [x{place}_{n}.gate] [a{place}_{n}] spike_{place}_{device}"


def _delays(dt: float, *of: str) -> str:
    """Delays of a digital element as its model's parameters: of both edges, or those named."""
    return " ".join(f"{name}_delay={TICK * dt:.4e}" for name in of or ("rise", "fall"))


def _registers(place: int, layer: Layer, more: bool) -> Iterator[str]:
    """Latch and shift register of each neuron; stage k holds the spikes of k + 1 steps ago."""
    longest = layer.longest_delays
    delay, delay_rec = layer.axonal_delays, layer.recurrent_delays
    for n in range(layer.size):
        yield f"Alatch{place}_{n} one a{place}_{n} NULL clear e{place}_{n} NULL stage"
        before = f"e{place}_{n}"
        for k in range(longest[n] + 1):
            yield f"Astage{place}_{n}_{k} {before} clock NULL NULL q{place}_{n}_{k} NULL stage"
            before = f"q{place}_{n}_{k}"
        if more:
            yield f"Arow{place}_{n} [q{place}_{n}_{delay[n]}] [r{place + 1}_{n}] driver"
        if layer.weight_rec is not None:
            yield f"Arec{place}_{n} [q{place}_{n}_{delay_rec[n]}] [r{place}_{layer.inputs + n}] driver"


def deck(network: DeviceNetwork, frames: np.ndarray, sample: int = 0) -> str:
    """Return a complete deck of one pattern, which stands beside ``network.cir``: stimulus, simulation, nodes to save.

    Parameters
    ----------
    network : DeviceNetwork
        Network and crossbars.
    frames : (T, C) int
        Spike counts of the pattern.
    sample : int
        Number of the pattern, which starts its read noise.
    """
    net, v_read = network.net, network.cells.v_read
    steps, frames = len(frames), net.arriving(frames)
    durations = np.full(steps, network.dt)
    lines = [f"Pattern {sample}: {steps} network steps", ".include network.cir"]
    for i in range(net.active[0].inputs):
        lines.append(_source(f"r0_{i}", durations, frames[:, i] * v_read))
    if network.cells.read_noise > 0.0:
        for place, layer in enumerate(net.active):
            noise = network.read_noise(sample, place, steps)
            lines += [_source(f"z{place}_{n}", durations, noise[:, n]) for n in range(layer.size)]
    devices = [x.m1t1r.step.device for x in net.active if x.neuron is not None]
    longest = longest_step(network.dt, max(float(np.max(p.gamma1)) for p in devices))
    r_off, c_gate = max(float(np.max(p.r_off)) for p in devices), min(float(np.min(p.c_gate)) for p in devices)
    saved = saved_nodes(network)
    lines += [".save " + " ".join(saved[i : i + 8]) for i in range(0, len(saved), 8)]
    reltol = min(1e-6, 0.1 * network.rtol)  # no looser than the device level, where that is asked for more
    lines += [options(reltol, r_off, c_gate), transient(longest, steps * network.dt)]
    return "\n".join([*lines, ".end", ""])


def saved_nodes(network: DeviceNetwork) -> list[str]:
    """Nodes that a deck saves: the gates of all neurons, then the readout's integrators."""
    layers = list(enumerate(network.net.active))
    gates = [f"v(x{place}_{n}.gate)" for place, x in layers if x.neuron is not None for n in range(x.size)]
    return gates + [f"v(y{place}_{n})" for place, x in layers if x.neuron is None for n in range(x.size)]


def _source(node: str, durations: np.ndarray, volts: np.ndarray) -> str:
    if not np.any(volts):
        return f"V{node} {node} 0 0"
    return f"V{node} {node} 0 PWL({piecewise(durations, volts)})"
