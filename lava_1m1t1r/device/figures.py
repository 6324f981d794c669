"""Figures of the six characteristics, and of a spike's energy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .. import plot
from .._support.files import replacing
from .._support.paths import path_of
from .._support.progress import bar
from ..errors import require
from .energy import TECHNOLOGIES

FORMATS = (".png", ".pdf", ".svg")
"""Endings of the name of a figure, which choose its format."""
SUMMARY = "summary.png"
"""Name of the figure of all characteristics in a :func:`folder`."""


def summary(report: Any, path: str | Path) -> Path:
    """Write all panels of a :class:`.characteristics.Characteristics` as one figure."""
    path = path_of(path, "plot.path")
    require(path.suffix in FORMATS, "plot.path", f"end in one of {', '.join(FORMATS)}", str(path), "A folder's has no ending.")
    figure = plot.figure(11.7, 7.2)
    for axes, letter, (name, draw) in zip(figure.subplots(2, 3).flat, "abcdef", _panels(report), strict=True):
        draw(axes, report[name].curves, report)
        axes.set_title(f"{letter}  {name}", loc="left", fontweight="bold")
    figure.suptitle(f"1M1T1R neuron, pulses of {report.volt:.3g} V and {_engineering(report.width)}s")
    return _saved(figure, path)


def figure_file(name: str) -> str:
    """Name of a characteristic's figure in a :func:`folder`."""
    return f"{name.replace(' ', '_')}.png"


def folder(report: Any, path: str | Path) -> list[Path]:
    """Write a figure of each characteristic, and the summary, into a folder, whatever its name."""
    path = path_of(path, "plot.path")
    path.mkdir(parents=True, exist_ok=True)
    written = []
    for name, draw in bar(_panels(report), "figures"):
        figure = plot.figure(4.5, 3.3)
        draw(figure.add_subplot(), report[name].curves, report)
        written.append(_saved(figure, path / figure_file(name)))
    return [*written, summary(report, path / SUMMARY)]


def _saved(figure: Any, path: Path) -> Path:
    with replacing(path) as part:
        figure.savefig(part, dpi=150)
    return path


def _panels(report: Any) -> list[tuple[str, Callable[..., None]]]:
    return list(zip(report.six, _PANELS, strict=True))


def energy_scaling(curves: dict[str, dict[Any, float]], path: str | Path) -> Path:
    """Draw what :func:`.energy.scaling` found into a file."""
    path = path_of(path)
    figure = plot.figure(9, 3.6)
    left, right = figure.subplots(1, 2)
    for (name, curve), colour in zip(list(curves.items())[:2], plot.COLOURS, strict=False):
        plot.axes(left).loglog(list(curve), [e * 1e12 for e in curve.values()], "o-", color=colour, label=name)
    factors = list(next(iter(curves.values())))
    left.set_xticks(factors, [f"{factor:g}" for factor in factors])
    left.set_xticks([], minor=True)  # their numbers would lie over each other
    left.set_xlabel("factor")
    left.set_ylabel("input to the end of the pulse (pJ)")
    left.legend(frameon=False, labelcolor=plot.GREY)
    places = [f"{name}\n{t.volt:g} V" for name, t in TECHNOLOGIES.items()]
    plot.axes(right).bar(places, list(curves["technology"].values()), color=plot.COLOURS[2])
    right.plot(places, [t.energy for t in TECHNOLOGIES.values()], "k_", ms=30, label="the paper")
    right.legend(frameon=False, labelcolor=plot.GREY)
    right.set_yscale("log")
    right.set_ylabel("input to the spike (J)")
    return _saved(figure, path)


def fitted(fit: Any) -> Any:
    """Figure of a :class:`.fitting.Fit`: what the device gives, beside the measurements, each over the measured value."""
    values, tolerances = (np.array([getattr(m, name) for m in fit.measurements]) for name in ("value", "tolerance"))
    values = np.where(values == 0, np.nan, values)  # a shortening may be 0, which has no shares and is not drawn, or less
    figure = plot.figure(7, 3.2)
    rows, axes = np.arange(1, len(values) + 1), plot.axes(figure.subplots())
    measured, bars = values / values, tolerances / np.abs(values)
    axes.errorbar(rows, measured, bars, fmt="o", ms=5, color=plot.COLOURS[1], capsize=2, label="measured")
    axes.plot(rows, fit.predictions / values, "x", ms=7, color=plot.COLOURS[0], label="fitted")
    axes.set_xticks(rows, [f"{n}  {m.quantity}" for n, m in zip(rows, fit.measurements, strict=True)], rotation=90, fontsize="small")
    axes.legend(frameon=False, labelcolor=plot.GREY, fontsize="small")
    axes.set_ylabel("share of the measured value")
    return figure


def _engineering(value: float) -> str:
    for factor, prefix in ((1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n")):
        if value >= factor:
            return f"{value / factor:.3g} {prefix}"
    return f"{value:.3g} "


def _integration(axes: Any, c: dict, report: Any) -> None:
    unit = report.width
    axes.plot(c["time"] / unit, c["length"], lw=0.6, label="filament + residue")
    axes.plot(c["time"] / unit, c["residue"], lw=1.2, label="residue")
    axes.axhline(1.0, color="0.6", lw=0.8, ls=":")
    axes.set(xlabel="time [pulse widths]", ylabel="length [gap]")
    axes.legend(fontsize=8, loc="lower right")
    inset = axes.inset_axes((0.16, 0.62, 0.32, 0.33))
    inset.plot(c["gap"] / unit, np.where(c["count"] > 0, c["count"], np.nan), "o-", ms=3)
    inset.set_xlabel("gap [widths]", fontsize=7)
    inset.set_ylabel("pulses", fontsize=7)
    inset.tick_params(labelsize=7)


def _threshold(axes: Any, c: dict, report: Any) -> None:
    axes.plot(c["time"] / report.width, 1e6 * c["current"], lw=0.7, color="C3")
    axes.set(xlabel="time [pulse widths]", ylabel="output current [uA]")
    inset = axes.inset_axes((0.14, 0.5, 0.45, 0.42))
    inset.semilogy(c["volt"], c["first"] / report.width, "o-", ms=3)
    inset.set_xlabel("constant input [V]", fontsize=7)
    inset.set_ylabel("first turn-on [widths]", fontsize=7)
    inset.tick_params(labelsize=7)


def _propagation(axes: Any, c: dict, report: Any) -> None:
    t = c["time"] / report.width
    axes.plot(t, c["gate1"], lw=0.6, label="gate 1")
    axes.plot(t, c["gate2"] - 1.0, lw=0.6, label="gate 2 (- 1 V)")
    axes.plot(t, c["drive"] - 2.5, lw=0.5, color="0.5", label="drive of 2 (- 2.5 V)")
    axes.set(xlabel="time [pulse widths]", ylabel="voltage [V]")
    axes.set_ylim(top=1.9)  # room for the legend
    axes.legend(fontsize=8, loc="upper left", title=f"load {c['load']:.3g} ohm", title_fontsize=8)


def _plasticity(axes: Any, c: dict, report: Any) -> None:
    axes.semilogx(c["gap"] / report.width, c["shorter"] / report.width, "o-")
    axes.set(xlabel="gap [pulse widths]", ylabel="second integration shorter by [widths]")


def _refractoriness(axes: Any, c: dict, report: Any) -> None:
    axes.loglog(c["r_control"], c["interval"] / report.width, "o-")
    axes.set(xlabel="R_c [ohm]", ylabel="mean inter-spike interval [widths]")


def _stochasticity(axes: Any, c: dict, report: Any) -> None:
    axes.errorbar(c["volt"], c["probability"], c["error"], fmt="o-", ms=4)
    axes.set(xlabel="pulse [V]", ylabel="probability of a turn-on", ylim=(-0.03, 1.03))
    inset = axes.inset_axes((0.57, 0.14, 0.38, 0.35))
    inset.hist(c["times"] / report.width, bins=np.linspace(0, 15, 16), color="C1")
    inset.set_xlabel("turn-on [widths]", fontsize=7)
    inset.tick_params(labelsize=7)


_PANELS = (_integration, _threshold, _propagation, _plasticity, _refractoriness, _stochasticity)
