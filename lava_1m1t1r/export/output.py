"""Atomic writing of a folder: all files or none."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

from .._support.files import check_place, scratch
from .._support.paths import path_of
from .._support.programs import is_running
from ..errors import InputError, require

MARK = ".lava_1m1t1r_export"
"""Name of the file that marks a folder as an export of ours, which a second export may replace; it lists the files."""
STAGE = f"{MARK}.part-"
"""Beginning of the name of a folder whose files wait to be moved, or were left when the machine was lost meanwhile; the number of the
process follows."""
_ALONE, _WAIT = "not be filled by another export", "Wait for its end."
_LEFT = "If there is none, as where a container or another machine was lost, remove what is named here."
_stages: set[str] = set()  # of this process


def write_folder(out_dir: str | os.PathLike, contents: Mapping[str, str | bytes]) -> None:
    """Write files into ``out_dir``, which appears complete or not at all.

    The files are written into a temporary folder first. Beside a new folder, it then takes that one's name; inside a folder that is there,
    its files are then moved. A folder that is there stays the same one, since it may be a mounted volume or a shell's current folder. A
    former export is replaced, and put back if an error or Ctrl-C ends the moves. A folder with any other file in it, or that another
    export fills at the time, is refused.

    Parameters
    ----------
    out_dir : path
        Folder to make or to fill.
    contents : mapping
        Name (with ``/`` for a folder inside) to text or bytes.
    """
    out = _resolved(place(out_dir))
    check_folder(out)
    if out.exists():
        with scratch(f"{STAGE}{os.getpid()}-", inside=out) as stage, _at_work(Path(stage)):
            _write(Path(stage, "new"), contents)
            _replace(out, Path(stage), contents)
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        with scratch(".export-", inside=out.parent) as stage:  # short: the folder's own name may be as long as names can be
            made = Path(stage, "new")
            made.mkdir()  # with the rights that any new folder gets there; the stage is nobody else's
            _write(made, contents)
            try:
                os.replace(made, out)
            except OSError:
                require(not out.exists(), "output folder", _ALONE, "one that it has made meanwhile", _WAIT)
                raise


@contextmanager
def _at_work(stage: Path) -> Iterator[None]:
    """For a ``with`` block in which no other export may fill the folder of this stage."""
    _stages.add(stage.name)
    try:
        others = [path for path in stage.parent.glob(f"{STAGE}*") if path != stage and _is_alive(path)]
        require(not others, "output folder", _ALONE, [path.name for path in others], f"{_WAIT} {_LEFT}")
        yield
    finally:
        _stages.discard(stage.name)


def _is_alive(stage: Path) -> bool:
    """Whether the process that a stage is named after, or another thread of this one, is still working on it."""
    number = stage.name.removeprefix(STAGE).partition("-")[0]
    if stage.name in _stages or not number.isdecimal() or int(number) == os.getpid():
        return stage.name in _stages
    return is_running(int(number))


def _write(folder: Path, contents: Mapping[str, str | bytes]) -> None:
    for name, content in {**contents, MARK: _listed(contents)}.items():
        path = (folder / name).resolve()
        require(folder.resolve() in path.parents, "file name", "stay inside the output folder", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def _replace(out: Path, stage: Path, contents: Mapping[str, str | bytes]) -> None:
    """Move a former export in ``out`` to ``stage/old`` and what ``stage/new`` holds to its place, or nothing.

    While they are moved, the mark lists the files of both: should the machine be lost, what it leaves is known as ours.
    """
    former = _marked(out)
    new, old, before, both = (stage / name for name in ("new", "old", "before", "both"))
    old.mkdir()
    before.write_text(_listed(former - {MARK}), "utf-8")  # whatever the locale, which may not know what was no text
    both.write_text(_listed({*former, *contents} - {MARK}), "utf-8")
    arriving = {name.split("/")[0] for name in contents}
    left = {path.name for path in out.glob(f"{STAGE}*") if not _is_alive(path)}
    leaving = arriving | {name.split("/")[0] for name in former - {MARK}} | left
    moves = [(out / name, old / name) for name in leaving] + [(new / name, out / name) for name in arriving]
    begun: list[tuple[Path, Path]] = []
    try:
        os.replace(both, out / MARK)
        for source, target in moves:
            if os.path.lexists(source):
                with suppress(FileNotFoundError):  # a stage that is just being removed by its export, which was refused or has ended
                    _move(source, target, begun)
        os.replace(new / MARK, out / MARK)
    except BaseException:
        for source, target in reversed(begun):
            if not os.path.lexists(source) and os.path.lexists(target):
                source.parent.mkdir(parents=True, exist_ok=True)
                os.replace(target, source)
        if former:
            os.replace(before, out / MARK)
        else:
            (out / MARK).unlink(missing_ok=True)
        raise


def _move(source: Path, target: Path, begun: list[tuple[Path, Path]]) -> None:
    """Give a file or a folder another place, and note it in ``begun``."""
    begun.append((source, target))  # before the move: Ctrl-C may come between the two
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV or source.is_symlink() or not source.is_dir():
            raise
        target.mkdir()  # a folder of a container's image keeps its name; what it holds is moved
        for path in sorted(source.iterdir()):
            _move(path, target / path.name, begun)
        source.rmdir()


def check_folder(out_dir: str | os.PathLike) -> None:
    """Raise unless ``out_dir`` can be written to and is absent, empty, or holding nothing but a former export."""
    out = _resolved(place(out_dir))
    require(not out.is_symlink(), "output folder", "not be a link", str(out), "Name the folder it points to.")
    check_place(out, "output folder", out)
    if not out.exists():
        return
    ours = _marked(out)
    others = (name for name in _files(out) if name not in ours and not name.startswith(STAGE))
    foreign = list(islice(others, 3))  # no more: it may be the root of all files
    require(not foreign, "output folder", "hold nothing but a former export", foreign, "Remove these files or name another folder.")


def _files(out: Path) -> Iterator[str]:
    """Names of all in a folder that is no folder, relative to it. What another export removes meanwhile is passed over."""
    for folder, folders, files in os.walk(out):
        links = (name for name in folders if Path(folder, name).is_symlink())
        for name in (*files, *links):
            yield Path(folder, name).relative_to(out).as_posix()


def _marked(out: Path) -> set[str]:
    """Files of a former export in ``out``, the mark among them; none where there was none."""
    mark = out / MARK
    if not mark.is_file():
        return set()
    paths = map(Path, mark.read_text("utf-8", "replace").splitlines())  # what is no text names no file of ours
    return {MARK, *(path.as_posix() for path in paths if path.parts and not path.is_absolute() and ".." not in path.parts)}


def _listed(names: Iterable[str]) -> str:
    return "\n".join(sorted(names)) + "\n"


def _resolved(path: Path) -> Path:
    """A path without ``..``, which leads nowhere behind a folder that an export is still to make; a link as its last part stays one."""
    path = path.absolute()
    if ".." not in path.parts:
        return path
    return path.resolve() if path.name == ".." else path.parent.resolve() / path.name


def place(out_dir: str | os.PathLike) -> Path:
    """The folder that a user named, where ``~`` is the user's own."""
    path = path_of(out_dir, "output folder")
    try:
        return path.expanduser()
    except RuntimeError as error:  # ~nobody
        raise InputError(f"output folder must be a path; got {str(path)!r}: {error}") from error
