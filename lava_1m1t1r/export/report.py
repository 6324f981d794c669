"""Result of an exporter: what was written and what it costs, as text and as a dictionary."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .._support.files import as_json
from ..description import NetDescription
from ..errors import counted
from ..report.html import PAGE_FILE, Page
from .output import place, write_folder

REPORT_FILE = "report.json"
"""Name of a report's numbers in an export."""


class VerificationError(RuntimeError):
    """Generated code behaves differently from the network, or could not be shown not to: a fault of the exporter or of a tool, not of
    the user."""


class ToolFailed(VerificationError):
    """A tool did not end in time, or a simulator failed or left a damaged result: nothing is known about the generated code."""


@dataclass(frozen=True)
class Report:
    """Result of a deployment."""

    target: str
    """Name of the target."""
    network: str
    """Sizes of the network, such as ``700-128R-20``."""
    folder: Path
    """Folder that holds the files."""
    files: tuple[str, ...]
    """Names of the files, relative to the folder."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Numbers by name, with their units in the name or the value."""
    notes: tuple[str, ...] = ()
    """Sentences that a user has to know: what was assumed, what was lost, what was not run."""

    def __str__(self) -> str:
        return self.text

    @property
    def text(self) -> str:
        """The report as text for a terminal."""
        width = max((len(name) for name in self.facts), default=0)
        lines = [f"{self.target}: {self.network} -> {self.folder}", *(f"  {name:<{width}}  {shown(v)}" for name, v in self.facts.items())]
        return "\n".join([*lines, *(f"  Note: {note}" for note in self.notes), "  Files: " + ", ".join(self.files)])

    def as_dict(self) -> dict[str, Any]:
        """Its parts by name; :func:`._support.files.as_json` writes them."""
        return {
            "target": self.target,
            "network": self.network,
            "folder": str(self.folder),
            "files": list(self.files),
            "facts": dict(self.facts),
            "notes": list(self.notes),
        }

    @property
    def page(self) -> str:
        """The report as one HTML file that loads nothing else."""
        page = Page(f"{self.target}: {self.network}")
        page.table(("fact", "value"), [(name, shown(value)) for name, value in self.facts.items()])
        if self.notes:
            page.section("What was assumed, lost or not run")
        for note in self.notes:
            page.text(note)
        page.note("Files: " + ", ".join(self.files))
        return page.source


def write_export(
    target: str,
    net: NetDescription,
    out_dir: str | os.PathLike,
    files: Mapping[str, str | bytes],
    facts: Mapping[str, Any],
    notes: Iterable[str],
) -> Report:
    """Write the files of a deployment, and its report as a page and as JSON; return the report.

    Parameters
    ----------
    target, facts, notes
        As :class:`Report` has them.
    net : NetDescription
        The network.
    out_dir : path
        New, empty, or a former export.
    files : mapping
        Name (with ``/`` for a folder inside) to text or bytes.
    """
    names = tuple(sorted([*files, PAGE_FILE, REPORT_FILE]))
    report = Report(target, net.sizes, place(out_dir), names, facts, tuple(notes))
    write_folder(out_dir, {**files, PAGE_FILE: report.page, REPORT_FILE: as_json(report.as_dict()) + "\n"})
    return report


def compared(steps: int, spikes: int, states: int) -> str:
    """What a proof has compared, in words; a proof without spikes says so."""
    silent = "" if spikes else ". Nothing spikes: other samples would test more"
    return f"{counted(steps, 'step')}, {counted(spikes, 'spike')}, {counted(states, 'state')}: all equal{silent}"


def classes_of(net: NetDescription) -> dict[str, Any]:
    """The names of the outputs as a fact; none where they have none."""
    return {"classes": list(net.classes)} if net.classes else {}


def shown(value: Any) -> str:
    """A fact for people: thousands separated, fractions to four digits, in texts no character that cannot be printed."""
    if isinstance(value, str):
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in value)
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "not known"}[value]
    if isinstance(value, Mapping):
        return ", ".join(f"{k}: {shown(v)}" for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(shown(v) for v in value)
    value = value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else str(value)
