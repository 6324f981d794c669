"""The integrator: adaptive steps of third order, exact where the gate is stiff, with the turn-on as an event.

Two regimes alternate.

*Free*: x is not at its limit. Steps of Bogacki and Shampine's pair 3(2) (doi:10.1016/0893-9659(89)90079-7) with error control.
A step that would carry x across 1 is shortened until it ends there: that is a turn-on.

*Closed*: x is held at ``x_max`` and the filament gives way to the residue. The equations of gate and residue then have constant
coefficients: exponentials, exact. The regime ends when growth no longer covers the losses; that instant is found by regula falsi.

Noise is added after a free step. Its variance is the part of the accumulated ``sigma |dx|`` that remains at the end of the step, so its
distribution does not depend on the step size: exactly where gain and loss are constant and x is not near 0, below which it cannot fall;
within a few per cent elsewhere.
"""

from __future__ import annotations

from functools import partial
from math import exp, expm1, inf, sqrt
from typing import Any, NamedTuple

import numpy as np

from ..cached import cached
from ..compiled import allocating, contracted
from ..dynamics import State
from .cell import SPIKE, TURN_ON, Cubic, Sink, account, between, crossing, node_later, note, sample
from .circuit import node_step
from .constants import COMPILED, field, flow, prepare, steepness
from .noise import normal, normal_beside

RESTED = 0.01  # total length below which nothing is left of an old filament
NOISE_STEP = 0.02  # largest standard deviation of a noise increment in one step

PATIENCE, LEAST_PROGRESS = 1_000_000, 1e-4
"""Number of steps of the integrator, and share of a piece of input: a piece of which so many steps cover less than this share is given up,
for it would take hours or never end."""
_STRETCH = 0.9 * (np.arange(1, 65) / 64.0) ** (-1.0 / 3.0)


class Control(NamedTuple):
    """Step control of the integrator."""

    rtol: float
    atol: float  # of lengths [1] and of the gate voltage [V]
    max_step: float  # s
    most: float  # steps, also of those tried in vain, after which a device is given up


@contracted
def _slopes(s: State, v_in: float, p: Any) -> State:
    f = flow(s, field(s, v_in, p, COMPILED), v_in, p, COMPILED)
    return State(
        f.filament.gain - f.filament.loss * s.filament,
        f.residue.gain - f.residue.loss * s.residue,
        f.gate.gain - f.gate.loss * s.gate,
    )


@contracted
def _moved(s: State, a: float, k: State) -> State:
    return State(s.filament + a * k.filament, s.residue + a * k.residue, s.gate + a * k.gate)


@contracted
def _attempt(s: State, k1: State, h: float, v_in: float, p: Any, c: Control) -> tuple:
    """One step of the pair 3(2): new state, its slopes, and the error as a share of what is allowed."""
    k2 = _slopes(_moved(s, 0.5 * h, k1), v_in, p)
    k3 = _slopes(_moved(s, 0.75 * h, k2), v_in, p)
    a, b, d = 2.0 / 9.0 * h, 1.0 / 3.0 * h, 4.0 / 9.0 * h
    new = State(
        s.filament + a * k1.filament + b * k2.filament + d * k3.filament,
        s.residue + a * k1.residue + b * k2.residue + d * k3.residue,
        s.gate + a * k1.gate + b * k2.gate + d * k3.gate,
    )
    k4 = _slopes(new, v_in, p)
    e1, e2, e3, e4 = -5.0 / 72.0 * h, h / 12.0, h / 9.0, -h / 8.0
    # Both lengths share one scale, that of their sum: it is x that counts.
    filament = e1 * k1.filament + e2 * k2.filament + e3 * k3.filament + e4 * k4.filament
    residue = e1 * k1.residue + e2 * k2.residue + e3 * k3.residue + e4 * k4.residue
    gate = e1 * k1.gate + e2 * k2.gate + e3 * k3.gate + e4 * k4.gate
    length = max(abs(filament), abs(residue)) / (c.atol + c.rtol * abs(new.filament + new.residue))
    error = max(length, abs(gate) / (c.atol + c.rtol * max(abs(s.gate), abs(new.gate))))
    return new, k4, error


@contracted
def _stretch(error: float) -> float:
    """Factor on the step for the next one, from the error of a method of third order."""
    # A table for accepted steps, read at the upper end of each cell: the power would take a tenth of the step's time.
    if error < 1.0:
        return _STRETCH[int(error * _STRETCH.size)]
    return 0.9 * error ** (-1.0 / 3.0)


@contracted
def _land(s: State, k1: State, h: float, v_in: float, p: Any, c: Control) -> tuple:
    """Shorten the step until it ends with x = 1 (regula falsi, Illinois): step, state, slopes."""
    low, high = 0.0, h
    below = s.filament + s.residue - 1.0
    new, k4, _ = _attempt(s, k1, h, v_in, p, c)
    above = new.filament + new.residue - 1.0
    for _ in range(60):
        middle = high - above * (high - low) / (above - below)
        new, k4, _ = _attempt(s, k1, middle, v_in, p, c)
        off = new.filament + new.residue - 1.0
        if abs(off) < 1e-9 or high - low < 1e-15 * h:
            break
        if off > 0.0:
            high, above, below = middle, off, 0.5 * below
        else:
            low, below, above = middle, off, 0.5 * above
    return middle, new, k4


@contracted
def _closed_state(s: State, h: float, v_in: float, p: Any) -> State:
    """State after ``h`` seconds with x held at its limit."""
    f = flow(s, 0.0, v_in, p, COMPILED)
    end = f.gate.gain / f.gate.loss
    gate = end + (s.gate - end) * exp(-f.gate.loss * h)
    rate = f.residue.loss + p.beta  # what the residue gains, the filament loses
    full = p.beta * p.x_max / rate
    residue = full + (s.residue - full) * exp(-rate * h)
    return State(p.x_max - residue, residue, gate)


@contracted
def _surplus(s: State, v_in: float, p: Any) -> float:
    """Rate at which x would grow beyond its limit [1/s]; negative: the filament lets go."""
    k = _slopes(s, v_in, p)
    return k.filament + k.residue


@contracted
def _closed_step(s: State, h: float, v_in: float, p: Any) -> tuple:
    """One step of the closed regime: its length, state, whether the filament let go at its end, whether the gate had settled at its
    beginning."""
    f = flow(s, 0.0, v_in, p, COMPILED)
    settled = abs(f.gate.gain / f.gate.loss - s.gate) < 1e-9
    h = min(h, 0.05 / (f.residue.loss + p.beta))
    h = h if settled else min(h, 0.25 / f.gate.loss)
    new = _closed_state(s, h, v_in, p)
    if _surplus(new, v_in, p) >= 0.0:
        return h, new, False, settled
    low, high = 0.0, h
    over, under = _surplus(s, v_in, p), _surplus(new, v_in, p)
    scale = 1e-5 * f.filament.loss
    for _ in range(60):
        # Regula falsi (Illinois) for the instant at which growth and losses balance.
        middle = high - under * (high - low) / (under - over)
        new = _closed_state(s, middle, v_in, p)
        now = _surplus(new, v_in, p)
        if abs(now) < scale or high - low < 1e-15 * h:
            break
        if now < 0.0:
            high, under, over = middle, now, 0.5 * over
        else:
            low, over, under = middle, now, 0.5 * under
    return middle, new, True, settled


@contracted
def _new_cycle(cell: Any, p: Any, nominal: Any) -> None:
    """Draw the next filament's growth rate and field sensitivity, once the old one is broken and the gate is no longer above its
    threshold."""
    cell.ruptured = False
    cell.rested = True
    if nominal.mu_ctoc > 0.0 or nominal.v0_ctoc > 0.0:
        cell.mu = nominal.mu * exp(nominal.mu_ctoc * normal(cell))
        cell.v0 = nominal.v0 * exp(nominal.v0_ctoc * normal(cell))
        _take_drawn(cell, p)


@contracted
def _take_drawn(cell: Any, p: Any) -> None:
    p.mu, p.v0 = cell.mu, cell.v0
    prepare(p)


@contracted
def _first_step(k: State, loss: float) -> float:
    return 0.03 / (loss + abs(k.filament) + abs(k.residue))


@contracted
def _rise(s: State, k: State, p: Any) -> float:
    """Derivative d(dx1/dt)/dx1 of the filament's growth, less its loss, over its own length [1/s]."""
    loss = p.gamma1 + p.beta
    return steepness(k.filament + loss * s.filament, s.filament + s.residue, p) - loss


class Noise(NamedTuple):
    """Noise of one length over a step, as its end finds it."""

    variance: float
    grown: float  # r h, where the drift, and with it early noise, changes as exp(r t)


@contracted
def _noises(new: State, s: State, k1: State, k4: State, h: float, p: Any) -> tuple:
    """The noise N1, N2 of eqs. (S12), (S13) of filament and residue: ``sigma |dx|`` of this step's drift.

    A drift that changes as ``exp(r t)`` carries early noise to the end of the step by ``exp(r (h - t))``, and the sum over the step of
    ``sigma |dx/dt| exp(2 r (h - t)) dt`` is ``sigma |dx| exp(r h)``. Losses make r negative, growth that feeds itself positive.
    """
    grown = min(0.5 * h * (_rise(s, k1, p) + _rise(new, k4, p)), 1.0)
    filament = Noise(p.sigma1 * abs(new.filament - s.filament) * exp(grown), grown)
    return filament, Noise(p.sigma2 * abs(new.residue - s.residue) * exp(-p.gamma2 * h), -p.gamma2 * h)


@contracted
def _strayed(noise: Noise, last: float, done: float, u: float, end: float, drawn: float) -> float:
    """What noise has made of a length at share ``u`` of a step, given what it had at share ``done`` and has at the end: a Brownian bridge
    of what is carried on as the drift is. ``drawn`` is from the standard normal distribution."""
    if u == 1.0:
        return end
    g = max(noise.grown, -100.0)  # of earlier noise nothing is left then, and exp(-g) stays a number
    before, here = (done, u) if abs(g) < 1e-6 else (expm1(-g * done) / expm1(-g), expm1(-g * u) / expm1(-g))
    w = (here - before) / (1.0 - before)
    value = last * exp(-g * done) * (1.0 - w) + w * end * exp(-g)
    return exp(g * u) * (value + sqrt(noise.variance * w * (1.0 - here)) * exp(-g) * drawn)


@contracted
def _within(filament: float, residue: float, gate: float, p: Any) -> State:
    """State whose lengths neither noise nor interpolation carries out of the gap."""
    residue = min(max(residue, 0.0), p.x_max)
    return State(min(max(filament, 0.0), p.x_max - residue), residue, gate)


@contracted
def advance(cell: Any, p: Any, nominal: Any, v_in: float, t: float, t_end: float, c: Control, sink: Sink, n: int) -> None:
    """Integrate one device over one piece of constant input.

    Parameters
    ----------
    cell : record of :data:`.cell.CELL`
        State of the device; becomes the state at ``t_end``.
    p, nominal : records of :func:`.constants.constants`
        The device with its present filament, redrawn here for each new cycle, and as given.
    v_in : float
        Input voltage [V].
    t, t_end : float
        Begin and end of the piece [s].
    c : Control
        Step control.
    sink : Sink
        Where samples and events go.
    n : int
        Index of the device in ``sink.samples``.
    """
    s = State(cell.filament, cell.residue, cell.gate)
    if (cell.ruptured and s.gate <= p.v_th) or (v_in > 0.0 and not cell.rested and s.filament + s.residue < RESTED):
        _new_cycle(cell, p, nominal)
    noisy = p.sigma1 > 0.0 or p.sigma2 > 0.0
    k1 = _slopes(s, v_in, p)
    if cell.closed and _surplus(s, v_in, p) < 0.0:
        cell.closed = False
        cell.ruptured = True
    step = _first_step(k1, p.gamma1)
    step = min(step, cell.step) if cell.step > 0.0 else step
    shortest = 1e-15 * t_end
    last = 0.0
    tried, share, goal = 0, LEAST_PROGRESS * (t_end - t), t
    while t_end - t > shortest:
        left = t_end - t
        tried += 1
        cell.tried += 1
        if t >= goal:
            tried, goal = 0, t + share
        elif tried > PATIENCE or cell.tried > c.most:
            cell.stalled = True
            return
        was = s.filament + s.residue
        held, let_go, settled, shaken = cell.closed, False, False, False
        drift, slopes = s, k1  # end of the step without its noise, and slopes there
        of_filament = of_residue = Noise(0.0, 0.0)
        if cell.closed:
            h, new, let_go, settled = _closed_step(s, min(c.max_step, left), v_in, p)
            k4 = _slopes(new, v_in, p)
        else:
            h = min(step, c.max_step, left)
            if noisy:
                # Half the allowed deviation's variance per step: the drift may speed up within it.
                fast = max(p.sigma1 * abs(k1.filament), p.sigma2 * abs(k1.residue))
                h = min(h, 0.5 * NOISE_STEP * NOISE_STEP / fast) if fast > 0.0 else h
            new, k4, error = _attempt(s, k1, h, v_in, p, c)
            if not error <= 1.0:  # nor nan
                step = h * (max(0.2, _stretch(error)) if error < inf else 0.2)
                continue
            if h == step or error > 0.1:
                # Gustafsson's prediction: where the right step shrinks from step to step (the runaway before a turn-on), expect that again.
                right = h * _stretch(error)
                step = right * max(right / last, 0.3) if right < last else right
                last = right
            is_now = new.filament + new.residue
            if was < 1.0 <= is_now and not noisy:
                h, new, k4 = _land(s, k1, h, v_in, p, c)
                new = State(1.0 - new.residue, new.residue, new.gate)
                k4 = _slopes(new, v_in, p)
                step = _first_step(k4, flow(new, 0.0, v_in, p, COMPILED).gate.loss)
            elif noisy:
                shaken, drift, slopes = True, new, k4
                of_filament, of_residue = _noises(new, s, k1, k4, h, p)
                filament = new.filament + sqrt(of_filament.variance) * normal(cell)
                new = _within(filament, new.residue + sqrt(of_residue.variance) * normal(cell), new.gate, p)
                k4 = _slopes(new, v_in, p)
            is_now = new.filament + new.residue
            if was < 1.0 <= is_now:
                note(cell, sink, t + h, TURN_ON)
            if is_now >= p.x_max and k4.filament + k4.residue >= 0.0:
                cell.closed = True
                new = State(p.x_max - new.residue, new.residue, new.gate)
        is_now = new.filament + new.residue
        if let_go:
            cell.closed = False
            step = _first_step(k4, flow(new, 0.0, v_in, p, COMPILED).gate.loss)
        # a filament longer than the gap breaks where it no longer fills it; at x_max 1, rounding may take it below while it is held
        cell.ruptured = cell.ruptured or let_go or (p.x_max > 1.0 and was >= 1.0 > is_now)
        cell.rested = cell.rested and is_now < RESTED
        cell.gate = new.gate
        # a settled gate stands still over steps far longer than its time constant: the slope of a nanovolt would make millivolts of it
        course = Cubic(s.gate, 0.0, new.gate, 0.0, h) if settled else Cubic(s.gate, k1.gate, new.gate, k4.gate, h)
        if s.gate <= p.v_th < new.gate:
            note(cell, sink, t + h * crossing(course, p.v_th), SPIKE)
        if not shaken:
            drift, slopes = new, k4
        node = cell.node
        account(cell, course, v_in, p)
        done = astray = astray_residue = 0.0  # the last sample within the step, and what noise had made of the lengths there
        while cell.sample < sink.samples.shape[1] and (cell.sample + 1) * sink.dt <= (t + h) * (1.0 + 1e-10):
            u = min(((cell.sample + 1) * sink.dt - t) / h, 1.0)
            filament = between(Cubic(s.filament, k1.filament, drift.filament, slopes.filament, h), u)
            residue = between(Cubic(s.residue, k1.residue, drift.residue, slopes.residue, h), u)
            gate = between(course, u)
            if held:
                filament = p.x_max - residue
            elif shaken:
                end, other = new.filament - drift.filament, new.residue - drift.residue
                astray = _strayed(of_filament, astray, done, u, end, normal_beside(cell, 2 * cell.sample))
                astray_residue = _strayed(of_residue, astray_residue, done, u, other, normal_beside(cell, 2 * cell.sample + 1))
                filament, residue = filament + astray, residue + astray_residue
            within = _within(filament, residue, gate, p)  # the cubic may overshoot what the states cannot
            if u == 1.0:
                node = cell.node
            else:
                node = node_step(node, gate, h, p) if p.c_load == 0.0 else node_later(node, course, done, u, p)
            done = u
            sample(sink, cell.sample, n, within.filament, within.residue, gate, node, v_in, p)
            cell.sample += 1
        if (cell.ruptured and new.gate <= p.v_th) or (v_in > 0.0 and not cell.rested and is_now < RESTED):
            _new_cycle(cell, p, nominal)
            k4 = _slopes(new, v_in, p)
        t += h
        s, k1 = new, k4
        cell.steps += 1
    cell.filament, cell.residue, cell.gate, cell.step = max(s.filament, 0.0), max(s.residue, 0.0), s.gate, step  # less, by the tolerance


@contracted
def _device(cell: Any, p: Any, nominal: Any, edges: np.ndarray, volts: np.ndarray, c: Control, sink: Sink, n: int) -> None:
    column = n if volts.shape[1] > 1 else 0
    if cell.mu > 0.0:  # of the simulation that this one goes on from
        _take_drawn(cell, p)
    elif cell.ruptured:  # the first filament is a new one, whatever the gate
        _new_cycle(cell, p, nominal)
    i = 0
    while i < volts.shape[0] and not cell.stalled:
        j = i + 1
        while j < volts.shape[0] and volts[j, column] == volts[i, column]:
            j += 1
        advance(cell, p, nominal, volts[i, column], edges[i], edges[j], c, sink, n)
        i = j
    while cell.sample < sink.samples.shape[1]:  # the end, where rounding puts it before the last sample
        sample(sink, cell.sample, n, cell.filament, cell.residue, cell.gate, cell.node, volts[-1, column], p)
        cell.sample += 1


@partial(cached, compiler=allocating)
def integrate(
    table: np.ndarray,
    cells: np.ndarray,
    edges: np.ndarray,
    volts: np.ndarray,
    c: Control,
    dt: float,
    wanted: np.ndarray,
    samples: np.ndarray,
) -> tuple:
    """Integrate every device of ``table`` over the stimulus; return the events' times, kinds and devices.

    Parameters
    ----------
    table : (N,) records of :func:`.constants.constants`
        Devices.
    cells : (N,) records of :data:`.cell.CELL`
        Starting states; become the final ones.
    edges : (S + 1,) float
        Times at which the pieces of the input begin and end [s].
    volts : (S, 1) or (S, N) float
        Input voltages [V]: one column for all devices, or one each.
    c : Control
        Step control.
    dt : float
        Interval of the samples [s].
    wanted : (R,) int
        Indices of the quantities to sample, in :data:`.cell.QUANTITIES`.
    samples : (R, T, N) float
        Receives the samples.
    """
    times, kinds, owners = np.empty(64), np.empty(64, np.int8), np.empty(64, np.int32)
    found = 0
    room = 256 + 4 * volts.shape[0]  # a device that finds more events is run again with more room
    mine, my_kinds = np.empty(room), np.empty(room, np.int8)
    work = table[:1].copy()
    start = cells[:1].copy()
    for n in range(table.size):
        start[0] = cells[n]
        while True:
            work[0] = table[n]
            cells[n] = start[0]
            _device(cells[n], work[0], table[n], edges, volts, c, Sink(dt, wanted, samples, mine, my_kinds), n)
            if cells[n].events <= mine.size:
                break
            mine, my_kinds = np.empty(2 * cells[n].events), np.empty(2 * cells[n].events, np.int8)
        events = cells[n].events
        if found + events > times.size:
            grown = 2 * (found + events)
            times_, kinds_, owners_ = np.empty(grown), np.empty(grown, np.int8), np.empty(grown, np.int32)
            times_[:found], kinds_[:found], owners_[:found] = times[:found], kinds[:found], owners[:found]
            times, kinds, owners = times_, kinds_, owners_
        times[found : found + events] = mine[:events]
        kinds[found : found + events] = my_kinds[:events]
        owners[found : found + events] = n
        found += events
    return times[:found].copy(), kinds[:found].copy(), owners[:found].copy()
