"""``lava-1m1t1r characterize``: measure the six characteristics of a device, fit one to measurements, or reproduce the paper's numbers."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from .. import presets
from .._support.files import as_json, write_json, write_text
from .._support.paths import file_of
from ..errors import InputError, require
from ..params import FIELDS, DeviceParams
from ..report import Page
from ..report.html import withdraw
from ._common import can_draw, check_whole, device_argument, given_device, json_argument, out_folder, talking

_PRESET = "ZHAO2025_FIG2"
"""The device where none is named; no default of the option, for --paper takes none."""
_SCALED = (
    "Left: the device with R_c, or C_g, changed by a factor. Right: the paper's two technologies, at voltages chosen to give its energies; "
    "it states none."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--preset", choices=presets.names(), help=f"device to start from; default: {_PRESET}")
    device_argument(parser, "start from a device of your own instead")
    parser.add_argument(
        "--set",
        nargs="*",
        action="extend",
        default=[],
        metavar="FIELD=VALUE",
        help="change fields of the device (SI units): r_control=1e9, or x_max=inf, which is no limit",
    )
    parser.add_argument(
        "-o",
        "--out",
        default="characteristics",
        help="folder for figures and tables, and for the numbers: characteristics, fit or paper, as .html, .json and .txt",
    )
    parser.add_argument(
        "--paper",
        action="store_true",
        help="instead, reproduce the paper: its numbers beside those of the simulation, and its measurements as CSV files for --fit",
    )
    parser.add_argument("--volt", type=float, help="height of the pulses [V]; default: v_ref, raised until the device fires")
    parser.add_argument("--width", type=float, help="length of the pulses [s]; default: 1e-3, or what suits gamma2")
    parser.add_argument("--trials", type=int, help="pulses per voltage for the firing probability; default: 300, 20000 with --paper")
    parser.add_argument("--seed", type=int, default=0, help="random seed of these trials, or of the search and further starts of a fit")
    parser.add_argument(
        "--fit",
        metavar="CSV",
        help="fit the device to your measurements instead: columns quantity (first_spike, first_turn_on, pulses_to_turn_on, mean_interval "
        "or shortening), volt, width, gap and count (of the pulses), value, tolerance, r_control (may be left out), in V, s and ohm; "
        "example row: 'first_spike,0.8,1e-3,1e-3,100,8.8e-2,1e-3,'; mean_interval is of trains that fire to their end, not of those that "
        "stop or latch; pulses_to_turn_on counts only the needed fraction of the last pulse: "
        "subtract 0.5 from counts that are whole numbers",
    )
    parser.add_argument("--search", type=int, default=0, help="generations of a global search before the fit: wider, but slower")
    parser.add_argument("--free", nargs="+", metavar="FIELD", help="fields to fit; default: mu beta gamma1 gamma2 v0")
    json_argument(parser, "the six characteristics, the fit, or the paper's numbers,")


def device(p: DeviceParams, changes: list[str]) -> DeviceParams:
    """A device with the user's changes."""
    values = {}
    cure = f"Fields: {', '.join(sorted(FIELDS))}."
    for change in changes:
        name, equals, text = change.partition("=")
        require(equals and name in FIELDS, "--set", "be FIELD=VALUE with a field of DeviceParams", change, cure)
        try:
            values[name] = float(text)
        except ValueError:
            raise InputError(f"--set {name} must be a number in SI units; got {text!r}.") from None
    return replace(p, **values)


def run(args: argparse.Namespace) -> int:
    """Characterise or fit, and print the table; 1 if the fitted device does not match the data."""
    if args.paper:
        return _paper(args)
    p = device(given_device(args) or getattr(presets, args.preset or _PRESET), args.set)
    require(args.fit is not None or args.free is None, "--free", "be used with --fit CSV", args.free)
    require(args.fit is None or args.trials is None, "--trials", "not be used with --fit", args.trials)
    for name in ("volt", "width"):
        value = getattr(args, name)
        require(args.fit is None or value is None, f"--{name}", "not be used with --fit: each row of the CSV gives it", value)
    name, more = ("characteristics", ["energy.txt"]) if args.fit is None else ("fit", [])
    out = out_folder(args.out, *more, *(f"{name}.{kind}" for kind in ("txt", "json", "html")))
    check_whole(args, trials=1, seed=0, search=0)
    require(args.fit is not None or not args.search, "--search", "be used with --fit CSV", args.search)

    with talking(args):
        found = _fit(args, p, out) if args.fit is not None else _characterize(args, p, out)
    if args.json:
        print(as_json(found))
    return 0 if found.get("meets", True) else 1


def _trials(args: argparse.Namespace) -> dict[str, int]:
    return {} if args.trials is None else {"trials": args.trials}


def _paper(args: argparse.Namespace) -> int:
    from ..device.measurement import write_csv
    from ..device.paper import AGREEMENT, COLUMNS, MEASUREMENTS, cells, reproduce, table

    for name in ("preset", "device", "set", "fit", "free", "search", "volt", "width"):
        given = getattr(args, name)
        unused = {"set": [], "search": 0}.get(name)
        require(given == unused, f"--{name}", "not be used with --paper, which has devices and protocols of its own", given)
    out = out_folder(args.out, "paper.txt", "paper.json", "paper.html", *(f"{name}.csv" for name in MEASUREMENTS))
    check_whole(args, trials=1, seed=0)
    with talking(args):
        rows = reproduce(seed=args.seed, progress=True, **_trials(args))
        out.mkdir(parents=True, exist_ok=True)
        withdraw(out, "paper.html")
        for name, measurements in MEASUREMENTS.items():
            write_csv(out / f"{name}.csv", measurements())
        text = table(rows)
        write_text(out / "paper.txt", text)
        found = [asdict(row) | {"agrees": row.agrees} for row in rows]
        write_json(out / "paper.json", found)
        print(text)
        lines, notes = cells(rows)
        page = Page("The paper's numbers, and those of its devices simulated here")
        page.table(COLUMNS, lines)
        page.text("\n\n".join(notes))
        page.note(AGREEMENT)
        page.save(out / "paper.html")
    if args.json:
        print(as_json(found))
    return 0


def _fit(args: argparse.Namespace, p: DeviceParams, out: Path) -> dict[str, Any]:
    draws = can_draw("Drawing the fit")
    from ..device import figures
    from ..device.fitting import fit
    from ..device.measurement import read_csv

    rows = read_csv(file_of(args.fit, "--fit"))
    fitted = fit(p, rows, search=args.search, seed=args.seed, progress=True, **({"free": args.free} if args.free else {}))
    out.mkdir(parents=True, exist_ok=True)
    withdraw(out, "fit.html")
    write_text(out / "fit.txt", fitted.report())
    found = fitted.as_dict()
    write_json(out / "fit.json", found)
    print(fitted.report())
    page = Page(f"A device fitted to {Path(args.fit).name}")
    page.pre(fitted.report())
    if draws:
        page.figure(figures.fitted(fitted), "The fitted device beside the measurements.")
    page.section("The device", "SI units.")
    page.fields(fitted.params.as_dict())
    page.save(out / "fit.html")
    return found


def _characterize(args: argparse.Namespace, p: DeviceParams, out: Path) -> dict[str, Any]:
    draws = can_draw("Drawing the characteristics")
    from ..device import characterize
    from ..device.characteristics import NAMES
    from ..device.energy import scaling, spike_energy, text
    from ..device.figures import SUMMARY, energy_scaling, figure_file, folder

    result = characterize(p, args.volt, args.width, seed=args.seed, progress=True, **_trials(args))
    energy = spike_energy(p, result.volt, result.width)
    curves, energies = scaling(energy), text([energy])
    out.mkdir(parents=True, exist_ok=True)  # only now: an earlier device's numbers stay whole, or all make room
    withdraw(out, "characteristics.html", "energy_scaling.png", SUMMARY, *map(figure_file, NAMES))
    write_text(out / "characteristics.txt", result.text())
    write_text(out / "energy.txt", energies)
    found = {"device": p.as_dict(), **result.as_dict()}
    found |= {"energy": energy.as_dict(), "energy_scaling": curves}
    write_json(out / "characteristics.json", found)
    print(result.text())
    print(energies)
    page = Page(f"The six characteristics of {args.device or args.preset or _PRESET}", f"Changes: {' '.join(args.set) or 'none'}.")
    page.pre(result.text())
    page.section("Energy of a spike")
    page.pre(energies)
    if draws:  # last: the numbers are safe, whatever ends the drawing
        page.section("Figures")
        page.image(folder(result, out)[-1].read_bytes(), "The six characteristics.")
        scaled = energy_scaling(curves, out / "energy_scaling.png")
        page.image(scaled.read_bytes(), _SCALED)
    page.section("The device", "SI units.")
    page.fields(p.as_dict())
    page.save(out / "characteristics.html")
    print(f"{'report, figures and tables' if draws else 'report and tables'}: {out}")
    return found
