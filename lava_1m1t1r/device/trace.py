"""Result of a simulation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import counted, whole
from ..params import DeviceParams
from .cell import ELEMENTS, PHASES, QUANTITIES, SPIKE, TURN_ON
from .stimulus import Stimulus


@dataclass(frozen=True, eq=False)
class Trace:
    """Samples, events and energies of one simulation."""

    params: DeviceParams
    stimulus: Stimulus
    dt: float
    """Interval of the samples [s]."""
    length: int
    """Number of samples T."""
    seed: int
    """Seed of the noise."""
    samples: dict[str, np.ndarray]
    """Recorded quantities by name, (T,) or (T, N)."""
    event_times: np.ndarray
    event_kinds: np.ndarray
    event_devices: np.ndarray
    cells: np.ndarray
    """Final state of every device, (N,) records."""

    if TYPE_CHECKING:  # the quantities that `samples` may hold, (T,) or (T, N)
        filament: np.ndarray = field(init=False)
        residue: np.ndarray = field(init=False)
        gate_voltage: np.ndarray = field(init=False)
        resistance: np.ndarray = field(init=False)
        current: np.ndarray = field(init=False)
        output_voltage: np.ndarray = field(init=False)
        input_current: np.ndarray = field(init=False)
    else:

        def __getattr__(self, name: str) -> np.ndarray:
            if name.startswith("_") or "samples" not in self.__dict__:
                raise AttributeError(name)
            if name in self.samples:
                return self.samples[name]
            if name not in QUANTITIES:
                raise AttributeError(f"Trace has no {name!r}; it has spike_times(n), turn_on_times(n), energy() and what was recorded.")
            raise AttributeError(f"Trace.{name} was not recorded; recorded are {sorted(self.samples)}. Name it in simulate(record=...).")

    def __repr__(self) -> str:
        recorded = ", ".join(self.samples) or "events alone"
        spikes = int(np.count_nonzero(self.event_kinds == SPIKE))
        return f"Trace({self._devices}, {self.duration:.4g} s, {counted(spikes, 'spike')}; {recorded})"

    @property
    def time(self) -> np.ndarray:
        """Times of the samples [s], (T,): the end of each interval of the input; the last one not after the end of the simulation."""
        times = np.arange(1, self.length + 1) * self.dt
        return np.where(times > self.duration * (1 + 1e-9), self.duration, times)

    @property
    def duration(self) -> float:
        """Simulated time [s]."""
        return self.stimulus.duration

    @property
    def v_in(self) -> np.ndarray:
        """Input voltage over each interval [V], (T,) or (T, N)."""
        return self.stimulus.sampled(self.dt)

    @property
    def size(self) -> int:
        """Number of devices."""
        return len(self.cells)

    @property
    def steps(self) -> np.ndarray:
        """Steps that the integrator took, (N,)."""
        return self.cells["steps"]

    def spike_times(self, n: int = 0) -> np.ndarray:
        """Return the times [s] at which the gate of device ``n`` rose above ``v_th``."""
        return self._events(n, SPIKE)

    def turn_on_times(self, n: int = 0) -> np.ndarray:
        """Return the times [s] at which the filament of device ``n`` closed: x reached 1 from below."""
        return self._events(n, TURN_ON)

    def spike_counts(self) -> np.ndarray:
        """Return the number of spikes of every device, (N,)."""
        return np.bincount(self.event_devices[self.event_kinds == SPIKE], minlength=self.size)

    def energy(self) -> Any:
        """Return the energy [J] drawn from input source and supply, a number or (N,): integrated from the circuit's currents."""
        total = self.cells["energy"].sum(axis=(1, 2))
        return float(total[0]) if self.size == 1 else total

    def energy_split(self, n: int = 0) -> dict[str, dict[str, float]]:
        """Return where device ``n``'s energy went [J], by phase and element.

        Entries of resistive elements are heat; entries of capacitors are stored energy gained (negative: given back).
        """
        table = self.cells["energy"][self._device(n)]
        return {phase: dict(zip(ELEMENTS, map(float, row), strict=True)) for phase, row in zip(PHASES, table, strict=True)}

    def _events(self, n: int, kind: int) -> np.ndarray:
        n = self._device(n)
        own = slice(*np.searchsorted(self.event_devices, np.array((n, n + 1), self.event_devices.dtype)))  # they are in order
        return self.event_times[own][self.event_kinds[own] == kind]

    def _device(self, n: Any) -> int:
        return whole(n, "Trace device", most=self.size - 1, cure=f"It is of {self._devices}.")

    @property
    def _devices(self) -> str:
        return counted(self.size, "device")


def spike_frames(times: Sequence[np.ndarray], dt: float, steps: int) -> np.ndarray:
    """Spikes of neurons (T, N), bool, in steps of ``dt``, from each one's times [s]; one at the very end belongs to the last step."""
    frames = np.zeros((steps, len(times)), np.bool_)
    for n, own in enumerate(times):
        frames[np.minimum((own / dt).astype(int), steps - 1), n] = True
    return frames
