"""Many devices, or many trials of one, distributed over processes; the result does not depend on their number."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .._support.progress import bar
from ..errors import numbers, require, whole, workers_of
from ..params import MOST_DEVICES, DeviceParams, one_device
from .cell import TURN_ON
from .simulation import checked_start, simulate
from .stimulus import Stimulus, constant
from .trace import Trace

BLOCK = 100  # devices a task: fixed, so that the work is cut the same way for any number of workers


def monte_carlo(
    p: DeviceParams,
    v_in: Any,
    n: int,
    dt: float = 2e-6,
    seed: int = 0,
    record: Any = "events",
    workers: int = 1,
    progress: bool = True,
    **options: Any,
) -> list[Trace]:
    """Simulate ``n`` devices drawn from the ``_dtod`` spread of ``p``, each with its own noise, in blocks.

    Runs on joblib's current backend. With a Dask cluster, unchanged::

        client = dask.distributed.Client(address)
        with joblib.parallel_config("dask"):
            traces = monte_carlo(p, v_in, 10_000, workers=-1)

    Parameters
    ----------
    p : DeviceParams
        One device; its ``_dtod`` fields are drawn once a device, its ``_ctoc`` and sigmas are noise.
    v_in : (T,) or Stimulus
        Input voltage [V], the same for all.
    n : int
        Number of devices. For trials of one device leave its ``_dtod`` fields 0.
    dt, record, **options
        As in :func:`.simulation.simulate`. ``start`` may also be the list of Traces that an earlier call has returned, to go on from.
    seed : int
        Device i depends on (seed, i) alone.
    workers : int
        Processes; -1: all cores.
    progress : bool
        Show a bar over the blocks.

    Returns
    -------
    list of Trace
        One a block of 100 devices, in order.
    """
    from joblib import Parallel, delayed
    from joblib.parallel import get_active_backend

    one_device(p, "monte_carlo.p")
    require("first" not in options, "monte_carlo.first", "be left to it", options.get("first"), "Use simulate for some of the devices.")
    n, seed = whole(n, "monte_carlo.n", least=1, most=MOST_DEVICES), whole(seed, "monte_carlo.seed")
    workers = workers_of(workers, "monte_carlo.workers", "processes")
    if isinstance(v_in, Stimulus):
        require(v_in.volts.ndim == 1, "monte_carlo.v_in", "be the same for all devices, without columns", v_in.volts.shape)
    else:
        v_in = numbers(v_in, "monte_carlo.v_in [V]", (1,), "(T,), or a Stimulus")
    devices = p.spread(n, seed) if p.varies else replace(p, mu=np.full(n, p.mu))
    blocks = [slice(a, min(a + BLOCK, n)) for a in range(0, n, BLOCK)]
    own = _starts(options.pop("start"), blocks, n, p) if "start" in options else [{}] * len(blocks)
    # a task carries its own devices alone
    tasks = (
        delayed(simulate)(devices.take(block), v_in, dt, seed, record, first=block.start, **options, **start)
        for block, start in zip(blocks, own, strict=True)
    )
    one_by_one = get_active_backend()[0].supports_return_generator  # multiprocessing, Ray, and Dask of joblib 1.3: all at the end
    results = Parallel(n_jobs=workers, return_as="generator" if one_by_one else "list")(tasks)
    traces = []
    with bar(title="devices", asked=progress, total=n, unit=" devices") as shown:
        for trace in results:
            traces.append(trace)
            shown.update(trace.size)
    return traces


def _starts(start: Any, blocks: list[slice], n: int, p: DeviceParams) -> list[dict[str, Any]]:
    """What each block's simulation is told of where its devices start."""
    traces = [start] if isinstance(start, Trace) else start
    if isinstance(traces, list) and any(isinstance(trace, Trace) for trace in traces):
        whole = [getattr(trace, "size", 0) for trace in traces] == [block.stop - block.start for block in blocks]
        require(whole, "monte_carlo.start", f"be the Traces of {n} devices, in blocks of {BLOCK}", start)
        return [{"start": trace} for trace in traces]
    values = checked_start(start, n, p)
    return [{"start": tuple(value[block] if value.shape == (n,) else value for value in values)} for block in blocks]


def first_turn_on_times(traces: list[Trace]) -> np.ndarray:
    """Return the first turn-on of every device [s], (N,); inf where there was none."""
    times = []
    for t in traces:
        on = t.event_kinds == TURN_ON
        first = np.full(t.size, np.inf)
        np.minimum.at(first, t.event_devices[on], t.event_times[on])
        times.append(first)
    return np.concatenate(times)


def firing_probability(
    p: DeviceParams, volt: float, width: float, trials: int = 2000, seed: int = 0, workers: int = 1, progress: bool = False
) -> tuple[float, np.ndarray]:
    """Return the probability that one pulse turns the device on, and the turn-on times.

    Parameters
    ----------
    p : DeviceParams
        One device. Trials differ by its noise and cycle-to-cycle spread; where ``_dtod`` fields are not 0, also by the device.
    volt : float
        Height of the pulse [V].
    width : float
        Length of the pulse [s].
    trials : int
        Number of trials, each from rest.
    seed : int
        Seed of the trials: trial i depends on (seed, i) alone.
    workers : int
        Number of processes; -1: all cores.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    probability : float
        Share of the trials in which the filament closed [1].
    times : (K,) float
        Times of the first turn-on in these K trials [s].
    """
    times = first_turn_on_times(monte_carlo(p, constant(volt, width), trials, width, seed, "events", workers, progress))
    return float(np.mean(np.isfinite(times))), times[np.isfinite(times)]
