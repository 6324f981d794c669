"""Writing a folder at once or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from ..errors import InputError, path_of, require

MARK = ".lava_1m1t1r_export"
"""Name of the file by which a folder is known as ours, so that a second export may replace it; it lists the files."""


def write_folder(out_dir: str | os.PathLike, contents: Mapping[str, str | bytes]) -> tuple[str, ...]:
    """Write files into ``out_dir``, which appears complete or not at all.

    The files are written into a temporary folder beside it, which then takes its name. A former export is replaced; a folder with any
    other file in it is refused.

    Parameters
    ----------
    out_dir : path
        Folder to make.
    contents : mapping
        Name (with ``/`` for a folder inside) to text or bytes.

    Returns
    -------
    tuple of str
        The names, sorted.
    """
    out = _place(out_dir)
    check_folder(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    old = None
    try:
        for name, content in {**contents, MARK: "\n".join(sorted(contents)) + "\n"}.items():
            path = (stage / name).resolve()
            require(stage.resolve() in path.parents, "file name", "stay inside the output folder", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        stage.chmod(0o755)
        if out.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old.", dir=out.parent))
            os.replace(out, old)
        os.replace(stage, out)
    finally:
        if old is not None:
            if not out.exists():  # stopped between the two
                os.replace(old, out)
            shutil.rmtree(old, ignore_errors=True)
        shutil.rmtree(stage, ignore_errors=True)
    return tuple(sorted(contents))


def check_folder(out_dir: str | os.PathLike) -> None:
    """Raise unless ``out_dir`` may be written: absent, empty, or holding nothing but a former export."""
    out = _place(out_dir)
    require(not out.is_symlink(), "output folder", "not be a link", str(out), "Name the folder it points to.")
    if not out.exists():
        return
    require(out.is_dir(), "output folder", "be a folder", str(out), "Name another one.")
    mark = out / MARK
    ours = {MARK, *mark.read_text().splitlines()} if mark.is_file() else set()
    names = (str(path.relative_to(out)) for path in out.rglob("*") if path.is_symlink() or not path.is_dir())
    foreign = list(islice((name for name in names if name not in ours), 3))  # no more: it may be the root of all files
    require(not foreign, "output folder", "hold nothing but a former export", foreign, "Remove these files or name another folder.")


def _place(out_dir: str | os.PathLike) -> Path:
    path = path_of(out_dir, "output folder")
    try:
        return path.expanduser().absolute()
    except RuntimeError as error:  # ~nobody
        raise InputError(f"output folder must be a path; got {str(path)!r}: {error}") from error
