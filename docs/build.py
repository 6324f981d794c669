"""Build the reference from the docstrings, and the project's own pages and tutorials with it: ``python docs/build.py [FOLDER]``.

One HTML page per module that can be imported here: those that need Lava or torch appear where these are installed. Tutorials are run with
``--run``, for pages with what they print and draw. Anything pdoc warns about, and any broken link, is an error.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import logging
import os
import re
import shutil
import sys
import tempfile
import types
import warnings
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from pdoc import doc, doc_ast, render

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "lava_1m1t1r"
GUIDES = {
    "README.md": "readme",
    "RESULTS.md": "results",
    "lava_1m1t1r/FIXED_POINT.md": "fixed_point",
    "CONTRIBUTING.md": "contributing",
    "CHANGELOG.md": "changelog",
    "THIRD_PARTY.md": "third_party",
    **{f"deploy/{path.parent.name}/README.md": f"deploy_{path.parent.name}" for path in sorted((ROOT / "deploy").glob("*/README.md"))},
}
TUTORIALS = {f"tutorials/{path.name}": f"tutorial_{path.stem}" for path in sorted((ROOT / "tutorials").glob("*.ipynb"))}
BEGIN = (
    *("", "presets", "device", "advisor", "fast", "netx.hdf5", "run", "slayer.block.m1t1r", "recipes.network", "recipes.fit"),
    *("recipes.evaluate", "datasets", "export", "cuba", "plot"),
)
"""Modules that a user is most likely to import from."""
_CELL_LIMIT = 600  # s, when tutorials are run
NOT_OURS = re.compile(r"Error parsing type annotation (ForwardRef\(.*__init__|.* for (?!lava_1m1t1r)[\w.]+\.)")
"""Lava's own annotations, and what Python 3.10 makes of the fields of a NamedTuple; the fields themselves are shown rightly."""
LINK = re.compile(r"(\]\()([^)#:\s]+)(?=[)#])")


class Page(doc.Module):
    """A module whose page lists every module below it; pdoc itself lists those in ``__all__`` alone."""

    @cached_property
    def submodules(self) -> list[doc.Module]:
        start = self.modulename + "."
        return [Page(sys.modules[name]) for name in MODULES if name.startswith(start) and "." not in name[len(start) :]]


MODULES: list[str] = []


def import_all() -> dict[str, str]:
    """Import every module into `MODULES`; returns those that could not be, with the missing package."""
    absent = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if parts[-1] == "__main__":
            continue
        try:
            importlib.import_module(name)
        except ImportError as error:
            absent[name] = str(error).splitlines()[0]
        else:
            MODULES.append(name)
    # Folders without __init__.py are packages, too: each is listed above what it holds.
    MODULES.extend({name.rpartition(".")[0] for name in MODULES if "." in name} - set(MODULES))
    MODULES.sort()
    if "torch" in sys.modules:
        module = sys.modules["torch"].nn.Module  # its text says nothing of the blocks, whose own docstrings state the parameters
        module.__init__.__doc__ = None
        doc_ast.walk_tree(module).func_docstrings.pop("__init__", None)  # pdoc reads it in the source, too
    package = sys.modules["lava_1m1t1r"]
    without_lava = "lava_1m1t1r.proc.m1t1r.process" in absent
    # names that load when asked for, and pdoc does not ask; those of Lava's processes cannot load without it
    for module, of_lava in ((package, "M1T1R"), (sys.modules["lava_1m1t1r.netx.hdf5"], "Network")):
        module.__all__ = [name for name in module.__all__ if not (without_lava and name == of_lava)]
        module.__dict__.update({name: getattr(module, name) for name in module.__all__})
    return absent


def executed(path: Path) -> dict[str, Any]:
    """A notebook with its outputs; it runs in a folder of its own, which is gone afterwards."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as work:
        NotebookClient(notebook, timeout=_CELL_LIMIT, kernel_name="python3", resources={"metadata": {"path": work}}).execute()
    return notebook


def notebook_text(notebook: dict[str, Any]) -> str:
    """A notebook, in its JSON's own layout, as Markdown: code in fences, and what it printed and drew below.

    What a cell prints in one go may come in several pieces, which are joined.
    """
    parts = []
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        parts.append(f"```python\n{text}\n```" if cell["cell_type"] == "code" else text)
        shown = (output for output in cell.get("outputs", ()) if output.get("name") != "stderr")
        for kind, outputs in itertools.groupby(shown, lambda output: "image/png" if "image/png" in output.get("data", {}) else "text"):
            if kind == "image/png":
                for output in outputs:
                    picture = "".join(output["data"]["image/png"].split())
                    parts.append(f'<img alt="figure" style="max-width: 100%" src="data:image/png;base64,{picture}">')
                continue
            printed = "".join("".join(output.get("text", output.get("data", {}).get("text/plain", ""))) for output in outputs)
            if printed.strip():
                parts.append(f"```text\n{printed.rstrip()}\n```")
    return "\n\n".join(parts)


def guide(path: str, name: str, folder: Path, run: bool = False) -> Page:
    """A Markdown file or a notebook as a page; its links into the tree lead to its fellow pages, to pictures copied beside it, or to the
    files themselves."""
    source, pages = ROOT / path, GUIDES | TUTORIALS

    def lead(match: re.Match) -> str:
        target = source.parent / match[2]
        place = os.path.relpath(target, ROOT).replace(os.sep, "/")
        if place in pages:
            return f"{match[1]}{pages[place]}.html"
        if place.removesuffix(".py").replace("/", ".") in MODULES:
            return match[1] + place.removesuffix(".py") + ".html"
        if target.suffix == ".png":
            shutil.copy(target, folder)
            return match[1] + target.name
        return match[1] + os.path.relpath(target, folder).replace(os.sep, "/")

    text = source.read_text(encoding="utf-8")
    if path in TUTORIALS:
        text = notebook_text(executed(source) if run else json.loads(text))
    return _markdown(name, LINK.sub(lead, text))


def _markdown(name: str, text: str) -> Page:
    module = types.ModuleType(name, text)
    module.__docformat__ = "markdown"
    return Page(module)


def index(pages: dict[str, Page]) -> Page:
    """The first page: guides, tutorials, modules to begin with, and all others."""

    def listed(names: Iterable[str]) -> str:
        return "\n".join(f"- [{'Overview' if name == 'readme' else _title(pages[name])}]({name}.html)" for name in names if name in pages)

    def link(name: str) -> str:
        return f"[{name.removeprefix(PACKAGE.name + '.')}]({name.replace('.', '/')}.html)"

    begin = [".".join(filter(None, (PACKAGE.name, name))) for name in BEGIN]
    rows = "\n".join(f"| {link(name)} | {_title(pages[name])} |" for name in begin if name in pages)
    others = [name for name in MODULES if not re.search(r"\b_|\.commands\b", name)]
    text = f"""# {PACKAGE.name}

{listed(GUIDES.values())}

## Tutorials

{listed(TUTORIALS.values())}

## Modules to begin with

| module | what it holds |
|---|---|
{rows}

## All modules

Names that begin with an underscore, and the modules of `_support` and `commands`, are internal: they may change without notice.

{" · ".join(map(link, others))}
"""
    return _markdown("index", text)


def _page(page: Page, pages: dict[str, Page]) -> str:
    """HTML of a page; those of Markdown have their own title, and not that of a module."""
    html = render.html_module(page, pages)
    return html if page.modulename in MODULES else re.sub(r'<h1 class="modulename">.*?</h1>', "", html, count=1, flags=re.DOTALL)


def _title(page: Page) -> str:
    """First line of a page, or the first sentence of a module's docstring."""
    first = page.docstring.strip().partition("\n\n")[0].replace("\n", " ")
    return first.partition("\n")[0].lstrip("# ") if first.startswith("#") else re.split(r"[.:] |\.$", first)[0].replace("|", "\\|")


def broken_links(folder: Path, files: Iterable[Path]) -> list[str]:
    """Links of the pages ``files`` in ``folder`` to files or places that do not exist."""
    pages = {path.resolve(): path.read_text(encoding="utf-8") for path in files}
    anchors = {path: set(re.findall(r'\bid="([^"]+)"', text)) for path, text in pages.items()}
    found = []
    for path, text in pages.items():
        for link in set(re.findall(r'\b(?:href|src)="([^"]+)"', text)):
            file, _, anchor = link.partition("#")
            private = anchor.startswith("_")  # a base that has no place on purpose
            if re.match(r"[a-z]+:", link) or file.startswith("//") or private or "${" in link:  # the last: in the search's script
                continue
            target = (path.parent / file).resolve() if file else path
            if not target.exists():
                found.append(f"{path.relative_to(folder.resolve())}: {link} does not exist")
            elif anchor and target in anchors and not anchors[target] & {anchor, anchor.rpartition(".")[0]}:
                # members that a class has from torch or Lava are named without a place of their own: the class will do
                found.append(f"{path.relative_to(folder.resolve())}: {link} names no place of that page")
    return sorted(found)


def build(folder: Path, run: bool = False) -> list[str]:
    """Write the pages into ``folder``, tutorials with their outputs where they are to be run; returns what is wrong with them."""
    # colouring the sources is most of the work
    render.configure(
        docformat="numpy", math=True, footer_text="lava_1m1t1r", show_source=False, template_directory=ROOT / "docs" / "templates"
    )
    pages = {name: guide(path, name, folder, run) for path, name in (GUIDES | TUTORIALS).items() if (ROOT / path).is_file()}
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always", UserWarning)
        pages |= {name: Page(sys.modules[name]) for name in MODULES}
        files = [folder / f"{name.replace('.', '/')}.html" for name in pages]
        for file, page in zip(files, pages.values(), strict=True):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(_page(page, pages), encoding="utf-8")
        (folder / "index.html").write_text(_page(index(pages), pages), encoding="utf-8")
        (folder / "search.js").write_text(render.search_index(pages), encoding="utf-8")
    texts = [str(complaint.message) for complaint in complaints]
    return [text for text in texts if not NOT_OURS.match(text)] + broken_links(folder, [*files, folder / "index.html"])


def main(argv: list[str] | None = None) -> int:
    """Build, and print what is wrong; 1 if anything is."""
    parser = argparse.ArgumentParser(description="Build the reference of lava_1m1t1r.")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "build" / "docs", help="where the pages go (build/docs)")
    parser.add_argument("--run", action="store_true", help="run the tutorials first, for pages with their figures (a few minutes)")
    args = parser.parse_args(argv)
    folder = args.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"folder must be a folder or a new name: {error}")
    logging.disable(logging.WARNING)
    sys.path.insert(0, str(ROOT))
    for name, why in import_all().items():
        print(f"left out: {name} ({why})")
    wrong = build(folder, args.run)
    for line in wrong:
        print(f"error: {line}", file=sys.stderr)
    print(f"{len(MODULES)} modules, {len(GUIDES)} guides and {len(TUTORIALS)} tutorials: {folder / 'index.html'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
