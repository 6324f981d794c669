"""Energy per spike for stated definitions, and its scaling.

A neuron draws from two sources: the input (through the memristor, into gate and R_c) and the supply (load and transistor). "Energy
per spike" depends on when the integration ends and on whether it includes the supply. :class:`SpikeEnergy` keeps the parts separate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError, number, require, whole
from ..params import DeviceParams, one_device
from ..presets import ZHAO2025_TABLE7, ZHAO2025_TABLE8
from . import stimulus
from .cell import INPUT_BRANCH
from .constants import MOST_VOLTS
from .simulation import simulate


@dataclass(frozen=True)
class SpikeEnergy:
    """Energies [J] of the first spike, from rest, of a device under a pulse train."""

    device: DeviceParams = field(repr=False)
    """The device."""
    volt: float
    """Height of the pulses [V]."""
    width: float
    """Length of a pulse [s]."""
    gap: float
    """Rest after a pulse [s]."""
    pulses: int
    """Number of pulses up to the spike."""
    first_spike: float
    """Time of the spike [s]."""
    input_to_spike: float
    """Energy drawn from the input until the gate passes ``v_th`` [J]: integration and the charging of the gate. So counted, Table 7 gives
    the paper's 1 pJ at 0.45 V and its 1.39 pJ at 0.66 V, and Table 8 its 1 aJ at 1.2 V."""
    input_to_pulse_end: float
    """Energy drawn from the input until the pulse that fired ends [J]; in it the closed memristor feeds R_c."""
    supply: float
    """Energy drawn from ``v_dd`` until the gate has drained and the output node has recovered [J]."""
    recharge: float
    """Energy C_l V_dd^2 [J]: the least that one discharge and recharge of the output node takes from the supply. A gate that passes
    ``v_th`` but not the transistor's ``v_t`` discharges nothing."""
    split: dict[str, dict[str, float]]
    """Energy of pulse train and recovery by phase and element [J]."""

    @property
    def input_and_recharge(self) -> float:
        """Energy drawn from the input until the spike, plus one recharge of the load [J]."""
        return self.input_to_spike + self.recharge

    def as_dict(self) -> dict[str, object]:
        """Return all of it but the device by name, for JSON."""
        found = asdict(self) | {"input_and_recharge": self.input_and_recharge, "total": self.total}
        return {name: value for name, value in found.items() if name != "device"}

    @property
    def total(self) -> float:
        """Energy that both sources deliver for the one spike, until everything has recovered [J]."""
        return self.input_to_pulse_end + self.supply


_RTOL = 1e-7  # a spike at the very end of a pulse is as short as its first instant is sharp


def spike_energy(p: DeviceParams, volt: float, width: float | None = None, gap: float | None = None, limit: int = 5000) -> SpikeEnergy:
    """Integrate the circuit's currents for the first spike of a device under a pulse train.

    Parameters
    ----------
    p : DeviceParams
        One device; its noise is left out.
    volt : float
        Height of the pulses [V], > 0.
    width, gap : float, optional
        Length of a pulse, :func:`.stimulus.usual_width` by default (1 ms for the devices of the paper's figures, 10 ns for Table 8's); and
        of the rest after it, by default as long [s].
    limit : int
        Largest number of pulses that are tried.

    Returns
    -------
    SpikeEnergy
        Energies [J], from rest until the gate has drained and the output node has recovered.

    Raises
    ------
    InputError
        If the device does not fire within ``limit`` pulses.
    """
    one_device(p, "spike_energy.p")
    volt, limit = number(volt, "spike_energy.volt [V]", above=0.0, most=MOST_VOLTS), whole(limit, "spike_energy.limit", least=1, most=10**7)
    width = number(stimulus.usual_width(p) if width is None else width, "spike_energy.width [s]", above=0.0)
    gap = number(width if gap is None else gap, "spike_energy.gap [s]", above=0.0)
    quiet = p.quiet()
    period = width + gap
    spikes = np.empty(0)
    for count in stimulus.beginnings(limit):
        spikes = simulate(quiet, stimulus.train(volt, width, gap, count), width, 0, "events", rtol=_RTOL).spike_times()
        if spikes.size:
            break
    require(spikes.size, "spike_energy.volt [V]", f"make the device fire within {limit} pulses", volt, "Raise the voltage or the limit.")
    first = float(spikes[0])
    n = int(first // period)
    before = stimulus.train(volt, width, gap, n) if n else None

    def after(piece: stimulus.Stimulus):
        together = before + piece if before else piece
        return simulate(quiet, together, width, 0, "events", rtol=_RTOL).energy_split()

    # Ten time constants of the gate and of the output node: what is left then is below 1e-4 of the whole.
    recovery = 10.0 * max(p.r_control * p.c_gate, p.r_load * p.c_load)
    to_spike = after(stimulus.constant(volt, first - n * period))
    complete = after(stimulus.constant(volt, width) + stimulus.rest(recovery))
    drawn = [sum(energies[element] for energies in split.values() for element in INPUT_BRANCH) for split in (to_spike, complete)]
    supply = sum(value for energies in complete.values() for element, value in energies.items() if element not in INPUT_BRANCH)
    return SpikeEnergy(p, volt, width, gap, n + 1, first, drawn[0], drawn[1], supply, p.c_load * p.v_dd * p.v_dd, complete)


class Technology(NamedTuple):
    """One of the paper's estimates."""

    device: DeviceParams
    volt: float
    """Height of the pulses [V], of our choice, at which the input gives the paper's energy up to the spike: it states none."""
    energy: float
    """The paper's energy of a spike [J]."""


TECHNOLOGIES = {
    "65 nm (SI Table 7)": Technology(ZHAO2025_TABLE7, 0.66, 1.39e-12),
    "3 nm (SI Table 8)": Technology(ZHAO2025_TABLE8, 1.2, 1e-18),
}
"""The paper's estimates by their names."""


def scaling(own: SpikeEnergy) -> dict[str, dict[Any, float]]:
    """Return the energy of a spike over a device's R_c and over its C_g, and in the paper's two technologies.

    Parameters
    ----------
    own : SpikeEnergy
        The device's, which :func:`spike_energy` returned. The others get the same pulses.

    Returns
    -------
    dict
        ``"R_c"`` and ``"C_g, R_c C_g kept"``: factor, 1/4 to 4, to the input's energy until the pulse ends [J]; a device that a factor
        keeps from firing is left out. ``"technology"``: name in :data:`TECHNOLOGIES` to :attr:`SpikeEnergy.input_to_spike` at its voltage
        [J].

    Raises
    ------
    InputError
        If an argument breaks its rule.
    """
    require(isinstance(own, SpikeEnergy), "scaling.own", "be a SpikeEnergy", own, "Take that of spike_energy for the device.")
    p = own.device
    factors = (0.25, 0.5, 2.0, 4.0)
    changed = {
        "R_c": {f: replace(p, r_control=p.r_control * f) for f in factors},
        "C_g, R_c C_g kept": {f: replace(p, c_gate=p.c_gate * f, r_control=p.r_control / f) for f in factors},
    }
    curves: dict[str, dict[Any, float]] = {name: {1.0: own.input_to_pulse_end} for name in changed}
    for name, devices in changed.items():
        for f, device in devices.items():
            try:
                curves[name][f] = spike_energy(device, own.volt, own.width, own.gap).input_to_pulse_end
            except InputError:  # it does not fire
                continue
    curves = {name: dict(sorted(curve.items())) for name, curve in curves.items()}
    return curves | {"technology": {name: spike_energy(t.device, t.volt).input_to_spike for name, t in TECHNOLOGIES.items()}}


def text(rows: Sequence[SpikeEnergy]) -> str:
    """Return spike energies as a table of text: the fields of :class:`SpikeEnergy`; "both" is ``input_and_recharge``."""
    names = (
        "V_in [V]",
        "pulses",
        "spike [s]",
        "to spike [J]",
        "to end [J]",
        "supply [J]",
        "C_l V_dd^2 [J]",
        "both [J]",
        "total [J]",
    )
    head = "{:>9}{:>8}{:>11}{:>14}{:>12}{:>12}{:>16}{:>12}{:>12}".format(*names)
    return "\n".join(
        [head]
        + [
            f"{e.volt:>9.3g}{e.pulses:>8}{e.first_spike:>11.3e}{e.input_to_spike:>14.3e}{e.input_to_pulse_end:>12.3e}"
            f"{e.supply:>12.3e}{e.recharge:>16.3e}{e.input_and_recharge:>12.3e}{e.total:>12.3e}"
            for e in rows
        ]
    )
