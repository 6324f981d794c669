"""A page in one HTML file: text, tables and figures, light and dark mode, readable on a phone, no external resources."""

from __future__ import annotations

import base64
import html
import io
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from .._support.files import write_text
from .._support.paths import path_of
from ..errors import require

RESULTS_FILE, PAGE_FILE = "results.json", "report.html"
"""Names of the numbers of a report, and of its page."""
EVALUATION_FILE, EVALUATION_PAGE = "evaluation.json", "evaluation.html"
"""Names of those of an evaluation, whose folder may be a training's."""
NETWORK_REPORT = (RESULTS_FILE, PAGE_FILE, EVALUATION_FILE, EVALUATION_PAGE)
"""What is reported of a network beside it."""

_STYLE = """
:root {
  color-scheme: light dark;
  --ink: #1c2430; --soft: #5b6675; --line: #d5dbe3; --back: #ffffff; --panel: #f5f7fa; --mark: #0b6e99;
}
@media (prefers-color-scheme: dark) {
  :root { --ink: #e7ecf2; --soft: #a3afbd; --line: #39434f; --back: #12161b; --panel: #1b2129; --mark: #5cc3ee; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem; max-width: 62rem; font: 16px/1.55 system-ui, sans-serif;
  color: var(--ink); background: var(--back); }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid var(--line); }
figure { margin: 1.2rem 0; padding: .8rem; background: var(--panel); border-radius: .5rem; }
figure img { display: block; width: 100%; min-width: 30rem; height: auto; }
figcaption, .note { color: var(--soft); font-size: .9rem; }
.scroll { overflow-x: auto; } h1, p, figcaption { overflow-wrap: anywhere; }
table { border-collapse: collapse; margin: .8rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem .3rem 0; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
.numbers { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1rem 0; }
.number { background: var(--panel); border-radius: .5rem; padding: .7rem 1rem; min-width: 9rem; }
.number b { display: block; font-size: 1.5rem; color: var(--mark); }
pre { overflow-x: auto; background: var(--panel); padding: .8rem; border-radius: .5rem; font-size: .85rem; }
"""

_FOOTER = (
    f'<p class="note">lava_1m1t1r {__version__}. The neuron: R. Zhao et al., Nature Electronics 8, 1211 (2025), '
    "doi:10.1038/s41928-025-01488-x.</p>"
)


class Page:
    """Collects sections, then writes them as one HTML file.

    Parameters
    ----------
    title : str
        Heading of the page.
    lead : str
        One or two sentences below it.
    """

    def __init__(self, title: str, lead: str = "") -> None:
        for name, text in (("title", title), ("lead", lead)):
            require(isinstance(text, str), f"Page.{name}", "be text", text)
        self.title = title
        self._parts = [f"<h1>{html.escape(title)}</h1>", f"<p>{html.escape(lead)}</p>" if lead else ""]

    def section(self, heading: str, text: str = "") -> None:
        """Start a section; ``text`` may hold several paragraphs, parted by empty lines."""
        self._parts.append(f"<h2>{html.escape(heading)}</h2>")
        self.text(text)

    def text(self, text: str) -> None:
        """Add paragraphs."""
        self._parts += [f"<p>{html.escape(p.strip())}</p>" for p in text.split("\n\n") if p.strip()]

    def note(self, text: str) -> None:
        """Add a paragraph in small print: an assumption or a source."""
        self._parts.append(f'<p class="note">{html.escape(text)}</p>')

    def pre(self, text: str) -> None:
        """Add text as a terminal would show it."""
        self._parts.append(f"<pre>{html.escape(text)}</pre>")

    def numbers(self, values: Mapping[str, str]) -> None:
        """Add large numbers with their names below them."""
        cells = (f'<div class="number"><b>{html.escape(value)}</b>{html.escape(name)}</div>' for name, value in values.items())
        self._parts.append(f'<div class="numbers">{"".join(cells)}</div>')

    def table(self, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Add a table."""
        head = "".join(f"<th>{html.escape(str(c))}</th>" for c in header)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(str(c))}</td>" for c in row) + "</tr>" for row in rows)
        self._parts.append(f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>')

    def fields(self, values: Mapping[str, Any]) -> None:
        """Add a table of values by their names."""
        self.table(("field", "value"), ((name, f"{v:.6g}" if isinstance(v, float) else v) for name, v in values.items()))

    def figure(self, figure: Any, caption: str) -> None:
        """Add a matplotlib figure (embedded as PNG, transparent), and close it if pyplot made it."""
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=150, transparent=True, bbox_inches="tight")
        pyplot = sys.modules.get("matplotlib.pyplot")
        if pyplot is not None:
            pyplot.close(figure)
        self.image(buffer.getvalue(), caption)

    def image(self, png: bytes, caption: str) -> None:
        """Add a PNG image."""
        data, text = base64.b64encode(png).decode(), html.escape(caption)
        image = f'<img alt="{text}" src="data:image/png;base64,{data}">'
        self._parts.append(f'<figure><div class="scroll">{image}</div><figcaption>{text}</figcaption></figure>')

    @property
    def source(self) -> str:
        """The whole page, as HTML."""
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            # Nothing is fetched, and nothing may be, whatever stands in a text.
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
            f"<title>{html.escape(self.title)}</title><style>{_STYLE}</style></head><body>{''.join(self._parts)}{_FOOTER}</body></html>"
        )

    def save(self, path: str | Path) -> Path:
        """Write the file, into a folder that is there; return its path."""
        path = path_of(path)
        write_text(path, self.source)
        return path


def withdraw(folder: Path, *names: str) -> None:
    """Remove files of an earlier report, so that none lies beside new results."""
    for name in names:
        (folder / name).unlink(missing_ok=True)
