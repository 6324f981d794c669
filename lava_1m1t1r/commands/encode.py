"""``lava-1m1t1r encode``: convert labelled recordings with the inner-ear model into a file in SHD's format."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path

from .. import __version__
from .._support.files import as_json
from .._support.names import composed
from .._support.paths import path_of
from ..errors import FormatError, InputError, counted, require
from ._common import check_whole, json_argument, out_file, talking


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("recordings", help="a folder with <label>/*.wav, or a CSV file with columns file, label and, optionally, speaker")
    parser.add_argument("-o", "--out", required=True, help="the file to write, ending in .h5")
    parser.add_argument(
        "--speaker",
        metavar="REGEX",
        help="regular expression that finds the speaker in the file names of a folder: its first group, or the whole match",
    )
    parser.add_argument("--seed", type=int, default=0, help="random seed of the inner-ear model's noise")
    json_argument(parser, "a summary of the file")


def run(args: argparse.Namespace) -> int:
    """Write the file."""
    from ..datasets import InnerEar, wav_folder, write_shd

    check_whole(args, seed=0)
    out = out_file(args.out, ".h5", ".hdf5")
    source = path_of(args.recordings, "recordings")
    require(source.is_dir() or args.speaker is None, "--speaker", "be used with a folder", args.speaker, "A CSV file has a column for it.")
    same = source.is_file() and out.exists() and out.samefile(source)
    require(not same, "--out", "be another file than the list of recordings", args.out)
    with talking(args):
        events = wav_folder(source, None if args.speaker is None else _speaker_by(args.speaker), InnerEar(seed=args.seed))
    out.parent.mkdir(parents=True, exist_ok=True)
    write_shd(out, events, meta={"encoder": f"lava_1m1t1r {__version__}, InnerEar(seed={args.seed})"})
    found = {"out": out, "utterances": len(events), "classes": list(events.keys), "speakers": list(events.speaker_names)}
    if args.json:
        print(as_json(found))
        return 0
    people = counted(len(events.speaker_names), "speaker") if events.speaker_names else "no speakers"
    print(f"{out}: {counted(len(events), 'utterance')}, {counted(len(events.keys), 'class')}, {people}")
    if not events.speaker_names:
        print("Training on one file leaves one speaker out: name the speakers (--speaker, or a column speaker), or train with --test-data.")
    return 0


def _speaker_by(pattern: str) -> Callable[[Path], str]:
    try:
        search = re.compile(composed(pattern)).search
    except re.error as error:
        raise InputError(f"--speaker must be a regular expression; got {pattern!r}: {error}.") from error

    def speaker_of(file: Path) -> str:
        rule = f"have a speaker in its name that matches --speaker {pattern!r}"
        found = search(composed(file.stem))
        who = "" if found is None else next((group for group in found.groups() if group is not None), found.group())
        require(who, str(file), rule, file.stem, "", FormatError)  # patterns that may be empty, as \d*, match nothing at a name's begin
        return who

    return speaker_of
