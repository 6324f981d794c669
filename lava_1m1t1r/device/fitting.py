"""Fit the parameters of a device to measurements, and report which of them the data do not determine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Any

import numpy as np

from .._support.files import plain
from .._support.progress import bar
from ..errors import InputError, number, require, told_most, whole
from ..params import FIELDS, DeviceParams, least_lam, one_device
from .measurement import Measurement, check_value, happens, jump, predicted, steadied
from .simulation import RTOL, tolerance

FREE = ("mu", "beta", "gamma1", "gamma2", "v0")
"""Parameters that are fitted by default: growth, the three rates of loss, and the steepness of the field law."""
LONGEST = 2e4
"""Longest pulse train of a measurement, in time constants of the starting filament: a train is simulated hundreds of times, and should take
a second at most."""


@dataclass(frozen=True)
class Fit:
    """Result of :func:`fit`."""

    params: DeviceParams
    free: tuple[str, ...]
    """Names of the P fitted parameters."""
    measurements: tuple[Measurement, ...]
    predictions: np.ndarray
    """Values that the fitted device gives, (M,), in the units of the measurements; nan for what cannot be read off (a mean interval needs
    three spikes). The residual is then computed with twice the train's length, or for a mean interval with its length."""
    residuals: np.ndarray
    """(prediction - measurement) / tolerance, (M,)."""
    jacobian: np.ndarray
    """Change of the residuals per relative change of a parameter, (M, P)."""
    least_errors: np.ndarray
    """Relative standard errors of the parameters, (P,), that the devices tried on the way ask for at least: how far those lie that fit
    nearly as well."""
    evaluations: int

    @property
    def cost(self) -> float:
        """Half the sum of the squared residuals."""
        return float(0.5 * np.sum(self.residuals**2))

    @property
    def meets(self) -> bool:
        """Whether the device meets the measurements: chi squared (twice the cost) within two standard deviations of what the tolerances
        give by chance. Else what is said of parameters is not to be trusted."""
        return _met(self.cost, len(self.residuals))

    @property
    def singular_values(self) -> np.ndarray:
        """Singular values of the Jacobian, largest first, (min(M, P),). Where the device meets the data, a direction with a value s
        is known to about a relative 1 / s."""
        return np.linalg.svd(self.jacobian, compute_uv=False)

    @property
    def correlation(self) -> np.ndarray:
        """Correlation of the fitted parameters, (P, P): near +-1, the data tell only a combination of the two."""
        covariance = np.linalg.pinv(self.jacobian.T @ self.jacobian)
        width = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
        return covariance / np.outer(width, width)

    @property
    def relative_errors(self) -> np.ndarray:
        """Relative standard errors of the fitted parameters, (P,), where the device meets the data and their tolerances are standard
        errors: of the Jacobian, or :attr:`least_errors` where these are larger, since first spikes and intervals jump. inf for a parameter
        that the data leave free."""
        values, directions = self._directions()
        seen = values > 1e-12 * values[0]
        variances = np.sum((directions[seen] / values[seen, None]) ** 2, axis=0)
        free = np.any(np.abs(directions[~seen]) > 1e-6, axis=0)  # takes part in a direction that changes nothing
        return np.where(free, np.inf, np.maximum(np.sqrt(variances), self.least_errors))

    def _directions(self) -> tuple[np.ndarray, np.ndarray]:
        """Singular values of the Jacobian, (P,), zeros included, and the direction of parameters of each, (P, P), one a row."""
        _, values, directions = np.linalg.svd(self.jacobian, full_matrices=True)
        return np.concatenate((values, np.zeros(len(directions) - len(values)))), directions

    def undetermined(self, relative: float = 0.3) -> list[dict[str, float]]:
        """Return the combinations of parameters known to less than ``relative``, as exponents by name, the vaguest first.

        Multiplying each parameter by ``k ** exponent`` leaves every measurement nearly as it is.
        """
        values, directions = self._directions()
        vague = [i for i in np.argsort(values) if values[i] * relative < 1.0]
        return [dict(zip(self.free, np.round(directions[i], 3).tolist(), strict=True)) for i in vague]

    def __str__(self) -> str:
        return self.report()

    def as_dict(self) -> dict[str, Any]:
        """Return parameters, predictions, residuals and what tells how good they are by name: plain values for JSON, None for what is not
        finite."""
        names = ("free", "cost", "meets", "predictions", "residuals", "relative_errors", "singular_values", "evaluations")
        values = {name: getattr(self, name) for name in names}
        return plain({"params": self.params.as_dict(), **values, "undetermined": self.undetermined()})

    def report(self) -> str:
        """Return the fit as a table of text."""
        heads = ("R_c [ohm]", "V_in [V]", "width [s]", "gap [s]")
        lines = [f"{'quantity':<18}" + "".join(f"{head:>11}" for head in heads) + f"{'measured':>12}{'fitted':>12}{'residual':>9}"]
        for m, value, r in zip(self.measurements, self.predictions, self.residuals, strict=True):
            fitted = "none" if np.isnan(value) else f"{value:.5g}"
            resistor = "-" if np.isnan(m.r_control) else f"{m.r_control:.3g}"
            pulses = "".join(f"{x:>11.3g}" for x in (m.volt, m.width, m.gap))
            lines.append(f"{m.quantity:<18}{resistor:>11}{pulses}{m.value:>12.5g}{fitted:>12}{r:>9.2f}")
        lines.append(f"cost: {self.cost:.4g} of {len(self.residuals)} measurements, {self.evaluations} evaluations")
        if not self.meets:
            lines.append(
                "THE DEVICE DOES NOT MEET THESE DATA: the parameters below are those of the nearest device found. Start from another "
                "preset, free other fields, search farther (search=30, --search 30; more starts), or check the data, in s, V and ohm."
            )
        found = [f"{n} = {getattr(self.params, n):.5g}" for n in self.free]
        if self.meets:
            errors = [f"+- {100 * e:.2g} %" if e < 1 else "(not determined)" for e in self.relative_errors]
            found = [" ".join(pair) for pair in zip(found, errors, strict=True)]
        lines.append("parameters: " + ", ".join(found))
        lines.append("singular values: " + ", ".join(f"{s:.3g}" for s in self.singular_values))
        for combination in self.undetermined():
            lines.append("not told apart by these data: " + ", ".join(f"{n}^{e:+.2f}" for n, e in combination.items()))
        return "\n".join(lines)


def fit(
    p: DeviceParams,
    measurements: Sequence[Measurement],
    free: Sequence[str] = FREE,
    *,
    span: float = 3.0,
    search: int = 0,
    starts: int = 8,
    seed: int = 0,
    rtol: float = RTOL,
    progress: bool = False,
) -> Fit:
    """Fit ``free`` parameters of ``p`` to measurements, in their logarithms.

    A global search (differential evolution) where ``search`` asks for it, then least squares from the best point (trust region).
    Trains lock to the stimulus, so first spikes and mean intervals move in jumps, between which a descent gets stuck: finite differences
    therefore step by 2 %, and further descents begin with tolerances as wide as those jumps and end with finer differences: one from the
    same point, two from points about it, and more where none meets the measurements.

    Parameters
    ----------
    p : DeviceParams
        Starting point; fields not named in ``free`` stay.
    measurements : sequence of Measurement
        At least one.
    free : sequence of str
        Fields to fit.
    span : float
        Each may change by this factor, up or down; ``x_max`` and ``lam`` within what DeviceParams allow.
    search : int
        Generations of the global search, of 8 members per parameter each; 0: none.
    starts : int
        Further descents at most: three, and others as long as :attr:`Fit.meets` is false.
    seed : int
        Seed of the search, and of further starts.
    rtol : float
        Relative error allowed in a step of the integrator, at which results should have converged before fitting.
    progress : bool
        Show a bar over the evaluations.

    Returns
    -------
    Fit

    Raises
    ------
    InputError
        If an argument breaks its rule, or a measurement's train cannot be simulated. The text names the measurement.
    """
    _check_lists(p, measurements, free)
    measurements, free = tuple(measurements), tuple(free)
    span, rtol = number(span, "fit.span", above=1.0, most=1e6), tolerance(rtol, "fit.rtol")
    search, seed = whole(search, "fit.search", most=1_000_000), whole(seed, "fit.seed", most=2**32 - 1)
    starts = whole(starts, "fit.starts", least=1, most=1_000_000)
    _check_values(p, measurements, free)
    start = np.log([getattr(p, name) for name in free])
    farthest = span * exp(_WIDEST) if "r_off" in free else 1.0  # differences reach beyond the span
    least = {"x_max": 1.0, "lam": least_lam(p.r_off * farthest)}
    lowest = np.array([log(least[name] * (1 + 1e-12)) if name in least else -np.inf for name in free])
    bounds = (np.maximum(start - np.log(span), lowest), start + np.log(span))
    start = np.maximum(start, lowest)
    with bar(title="fit", asked=progress, unit=" evaluations") as shown:
        problem = _Problem(p, measurements, free, rtol, shown.update)
        u = _searched(problem, start, bounds, search, seed) if search else start
        best = _descended(problem, u, (), (_STEP,), bounds)
        rng = np.random.default_rng(seed)
        for again in range(starts):
            if again >= _STARTS and _met(problem.cost(best), len(measurements)):
                break
            about = u + (rng.uniform(-_ABOUT, _ABOUT, len(u)) if again else 0.0)
            best = min(best, _descended(problem, about, (1.0, 0.3), (_STEP, 1e-3, 1e-4), bounds), key=problem.cost)
        jacobian = problem.jacobian(best, lowest)
        found, least_errors = problem.predictions(best), problem.least_errors(best)
    predictions = np.array([value if happens(m, value) else np.nan for m, value in zip(measurements, found.tolist(), strict=True)])
    return Fit(problem.device(best), free, measurements, predictions, problem.off(found), jacobian, least_errors, problem.evaluations)


_STEP = 0.02
"""Step of the finite differences, in the logarithm of a parameter [1]."""
_WIDEST, _NARROWEST = 0.1, 2e-3
"""Steps of the reported Jacobian, in the logarithm of a parameter [1]."""
_TOLD = 4.0
"""Change of the residuals over such a step, both ways together, that the data tell: two standard errors either way."""
_FINE = 1e-3
"""Relative gain of a step at which a descent ends, and the cost of a measurement at which there is nothing left to gain [1]."""
_AWAY = 4.0
"""Least of the numbers that scipy is given, whose differences and first trust region are shares of them: ln(1) would give none [1]."""
_STARTS = 3
"""Further descents that are tried although one met the measurements: other devices may meet them better."""
_ABOUT = 0.4
"""Farthest that a further start lies from the first one, in the logarithm of a parameter [1]."""


def _met(cost: float, measurements: int) -> bool:
    return 2.0 * cost <= measurements + 2.0 * sqrt(2.0 * measurements)  # at the mean alone, a third of the right devices would be refused


class _Problem:
    """Deviation of a device from the measurements, as a function of its parameters' logarithms u (P,)."""

    def __init__(
        self, p: DeviceParams, measurements: tuple[Measurement, ...], free: tuple[str, ...], rtol: float, seen: Callable[[], object]
    ) -> None:
        self.p, self.measurements, self.free, self.rtol, self.seen = p, measurements, free, rtol, seen
        self.measured = np.array([m.value for m in measurements])
        self.tolerance = np.array([m.tolerance for m in measurements])
        self.evaluations = 0
        self._costs: dict[bytes, float] = {}
        self._tried: list[tuple[np.ndarray, float]] = []

    def device(self, u: np.ndarray) -> DeviceParams:
        return self.p.replace(**dict(zip(self.free, np.exp(u).tolist(), strict=True)))

    def predictions(self, u: np.ndarray) -> np.ndarray:
        """Values that the device gives, (M,), or the numbers that stand for "never"."""
        self.evaluations += 1
        self.seen()
        q, found = self.device(u), np.empty(len(self.measurements))
        for i, m in enumerate(self.measurements):
            try:
                found[i] = predicted(q, m, self.rtol)
            except InputError as error:
                raise InputError(f"fit.measurements[{i}] ({m.quantity} under pulses of {m.volt:g} V, {m.width:g} s): {error}") from error
        return found

    def off(self, predictions: np.ndarray) -> np.ndarray:
        """(prediction - measurement) / tolerance, (M,)."""
        return (predictions - self.measured) / self.tolerance

    def residuals(self, u: np.ndarray, widened: float = 0.0) -> np.ndarray:
        """Residuals (prediction - measurement) / tolerance, (M,), of the device with these logarithms of parameters.

        With ``widened`` times in a train count as pulses, which a time in a gap does not interrupt, and tolerances are wider by so many
        pulses.
        """
        found = self.predictions(u)
        if not widened:
            off = self.off(found)
            self._tried.append((u.copy(), float(off @ off)))
            return off
        steady = np.array([steadied(m, value) for m, value in zip(self.measurements, found.tolist(), strict=True)])
        measured = np.array([steadied(m, m.value) for m in self.measurements])
        return (steady - measured) / np.hypot(self.tolerance, widened * np.array([jump(m) for m in self.measurements]))

    def cost(self, u: np.ndarray) -> float:
        """Half the sum of the squared residuals; of a point that was asked for before, as it was then."""
        key = u.tobytes()
        if key not in self._costs:
            self._costs[key] = float(0.5 * np.sum(self.residuals(u) ** 2))
        return self._costs[key]

    def least_errors(self, u: np.ndarray) -> np.ndarray:
        """Largest distance, (P,), of points tried from u, each divided by as many standard errors as its residuals say that it is off: of
        those that lie within the joint standard error."""
        points, squares = (np.array(part) for part in zip(*self._tried, strict=True))
        more = squares - 2.0 * self.cost(u)
        near = more <= len(u)
        return np.max(np.abs(points[near] - u) / np.sqrt(np.maximum(more[near], 1.0))[:, None], axis=0)

    def jacobian(self, u: np.ndarray, lowest: np.ndarray) -> np.ndarray:
        """Derivatives of the residuals over u, (M, P), by finite differences that stay above ``lowest``.

        As wide as the data can tell, so that the jumps from pulse to pulse average out, which make finer differences look surer than the
        data are; and no wider, for events that come and go far from u make them look surer, too.
        """
        columns = []
        for i in range(len(u)):
            step = 2 * _WIDEST
            change, width = np.full(len(self.measurements), np.inf), 0.0
            while np.linalg.norm(change) > _TOLD and step > _NARROWEST:
                step /= 2
                low, high = u.copy(), u.copy()
                low[i], high[i] = max(u[i] - step, lowest[i]), u[i] + step
                change, width = self.residuals(high) - self.residuals(low), high[i] - low[i]
            columns.append(change / width)
        return np.stack(columns, axis=1)


def _descended(
    problem: _Problem, u: np.ndarray, widened: Sequence[float], steps: Sequence[float], bounds: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Best point of a descent from u: least squares under tolerances wider by so many pulses, then as they are, by finer differences."""
    from scipy.optimize import least_squares

    origin = bounds[0] - _AWAY

    def down(u: np.ndarray, step: float, wide: float = 0.0) -> np.ndarray:
        begin, box = np.clip(u, *bounds) - origin, tuple(bound - origin for bound in bounds)
        found = least_squares(lambda v: problem.residuals(v + origin, wide), begin, bounds=box, diff_step=step / begin, ftol=_FINE)
        return np.clip(found.x + origin, *bounds)  # the sum is rounded

    for wide in widened:
        u = down(u, _STEP, wide)
    for step in steps:
        if problem.cost(u) < _FINE * len(problem.measurements):
            break
        u = min(u, down(u, step), key=problem.cost)  # differences of jumping quantities can lead downhill in name only
    return u


def _searched(problem: _Problem, start: np.ndarray, bounds: tuple[np.ndarray, np.ndarray], generations: int, seed: int) -> np.ndarray:
    """The best point of a global search."""
    from scipy.optimize import differential_evolution

    try:
        return differential_evolution(
            lambda u: float(np.sum(np.minimum(problem.residuals(u) ** 2, 100.0))),
            list(zip(*bounds, strict=True)),
            maxiter=generations,
            popsize=8,
            seed=seed,
            x0=start,
            polish=False,
            tol=0.0,
        ).x
    except RuntimeError as error:  # scipy's, of whatever error a member of its population ends with
        cause = error.__cause__
        if isinstance(cause, InputError):
            raise cause from None
        raise


def _check_lists(p: Any, measurements: Any, free: Any) -> None:
    one_device(p, "fit.p")
    listed = isinstance(measurements, Sequence) and measurements and all(isinstance(m, Measurement) for m in measurements)
    require(listed, "fit.measurements", "hold at least one Measurement", measurements, "Read them with read_csv.")
    named = isinstance(free, Sequence) and not isinstance(free, (str, bytes)) and free and len(set(map(repr, free))) == len(free)
    require(named, "fit.free", "be different names of fields of DeviceParams", free)


def _check_values(p: DeviceParams, measurements: tuple[Measurement, ...], free: tuple[str, ...]) -> None:
    for name in free:
        require(name in FIELDS, "fit.free", "name fields of DeviceParams", name)
        cure = f"It is fitted by factors of where it starts: give it a value first, as in replace(p, {name}=...) or --set {name}=..."
        number(getattr(p, name), f"fit: start of {name}", above=0.0, cure=cure)
    longest = LONGEST / (p.gamma1 + p.beta)
    for i, m in enumerate(measurements):
        rule = f"be at most {told_most(longest)} s for the rates of this device"
        cure = "Are width and gap in seconds, as in SI units?"
        require(m.duration <= longest, f"fit.measurements[{i}], count * (width + gap) [s]", rule, m.duration, cure)
        check_value(m, f"fit.measurements[{i}]")
