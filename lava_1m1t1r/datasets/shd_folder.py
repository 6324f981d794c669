"""Spiking Heidelberg Digits from the user's folder, or downloaded through the optional package ``tonic``."""

from __future__ import annotations

import gzip
import os
import shlex
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from .._support.files import replacing, scratch
from .._support.hdf5_file import CLAIM, LEAST_ALLOWED
from .._support.paths import is_file, path_of
from ..errors import FormatError, InputError, flag, given, missing, require
from .events import EventSet
from .shd_file import read_shd

SIZES = 8156, 2264
"""Utterances of SHD's training and test set."""


def shd(folder: str | os.PathLike, train: bool = True, download: bool = False) -> EventSet:
    """Return the training or the test set of SHD.

    Looks for ``shd_train.h5`` or ``shd_test.h5`` in ``folder`` and in ``folder/SHD`` (where tonic keeps it), then for
    the same with ``.zip`` or ``.gz``, which it unpacks beside the archive.

    Parameters
    ----------
    folder : path
        Where the user's copy lies, or where a download goes.
    train : bool
        Training or test set (:data:`SIZES`; two speakers of the test set are in no other).
    download : bool
        Whether to fetch an absent file through tonic. tonic itself takes any zip file of the right name, even an
        empty or half-downloaded one, for a complete data set; here it works in a fresh folder, and only a file that
        can be read is moved to its place.
    """
    train, download = flag(train, "train"), flag(download, "download")
    folder, name = path_of(folder, "folder"), f"shd_{'train' if train else 'test'}.h5"
    places = (folder, folder / "SHD")
    for place in places:
        if is_file(place / name):
            return read_shd(place / name)
    for place in places:
        for archive in (place / f"{name}.zip", place / f"{name}.gz"):
            if is_file(archive) and archive.stat().st_size > 0:  # an empty zip is tonic's users' trick
                _unpack(archive, place / name)
                return read_shd(place / name)
    fetch = f"datasets.shd({str(folder)!r}, train={train}, download=True)"
    cure = f"Put {name} there, or let Python fetch it: {fetch} (needs the package tonic and a network)."
    if next(folder.glob("*/*.[wW][aA][vV]"), None) is not None:
        cure = f"Recordings become a file to train on by lava-1m1t1r encode {shlex.quote(str(folder))} -o FILE.h5."
    require(download, str(folder), f"hold {name}", "no such file", cure, FormatError)
    return _downloaded(folder, train, name)


def _downloaded(folder: Path, train: bool, name: str) -> EventSet:
    try:
        from tonic.datasets import SHD
    except ImportError as error:
        raise missing("tonic", "data", "Downloading SHD", error) from error
    (folder / "SHD").mkdir(parents=True, exist_ok=True)
    with scratch(".download-", folder) as fresh:
        try:
            SHD(save_to=fresh, train=train)
        except Exception as error:  # tonic passes on whatever urllib, zipfile and h5py raise
            text = f"Downloading {name} through tonic failed: {error}. Fetch it by hand and put it into {folder}."
            raise InputError(text) from error
        found = given(next(Path(fresh).rglob(name), None), "tonic", f"deliver {name}", sorted(os.listdir(fresh)), "", FormatError)
        events = read_shd(found)
        for path in (found, found.with_name(f"{name}.zip")):  # the zip too: tonic wants to see it
            if path.is_file():
                os.replace(path, folder / "SHD" / path.name)
    return events


def _unpack(archive: Path, target: Path) -> None:
    """Unpack to a temporary name first, so that a damaged archive leaves nothing behind."""
    link = target.is_symlink()  # to nowhere, or there would be nothing to unpack: what it names would be made, with any content
    require(not link, str(target), "be a file, or absent", "a link to nowhere", "Remove it.", FormatError)
    most = max(LEAST_ALLOWED, CLAIM * archive.stat().st_size)
    try:
        with replacing(target) as part, open(part, "wb") as out, _content(archive, target.name) as source:
            while block := source.read(1 << 20):
                rule = f"unpack to at most {most} bytes, for an archive of its size"
                require(out.tell() + len(block) <= most, str(archive), rule, "more", "If you trust it, unpack it yourself.", FormatError)
                out.write(block)
    except (zipfile.BadZipFile, EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError, RuntimeError) as error:
        text = f"{archive} must be a complete archive, not encrypted: {error}. Delete it and fetch it again."
        raise FormatError(text) from error


@contextmanager
def _content(archive: Path, name: str) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """Open the file ``name`` of an archive."""
    if archive.suffix != ".zip":
        with gzip.open(archive) as source:
            yield source
        return
    with zipfile.ZipFile(archive) as file:
        member = next((n for n in file.namelist() if Path(n).name == name), None)
        require(member, str(archive), f"hold {name}", file.namelist(), "", FormatError)
        plain = file.getinfo(str(member)).compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        rule = "be packed by nothing but deflate"  # zipfile unpacks 4 kB of the others at once, to gigabytes
        require(plain, f"{archive}: {member}", rule, "another method", "Pack it again with zip.", FormatError)
        with file.open(str(member)) as source:
            yield source
