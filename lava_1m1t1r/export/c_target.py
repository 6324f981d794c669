"""Deployment to C: rules, sources, sizes, and the proof by compiling and running them on this machine."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._support.files import scratch
from ..description import NetDescription
from ..errors import require, whole
from ..fast import FastNetwork
from . import c_source, rules
from .frames import samples
from .names import c_prefix
from .plan import Plan, plan
from .report import Report, VerificationError, classes_of, compared, write_export
from .tools import call, write_sources

FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror")
_LARGEST = "instructions a step, largest"


def deploy_c(
    net: str | os.PathLike | NetDescription,
    out_dir: str | os.PathLike,
    *,
    name: str = "net",
    flash_limit: int | None = None,
    ram_limit: int | None = None,
    frames: Any = None,
    compiler: str = "gcc",
) -> Report:
    """Write ``NAME.h`` and ``NAME.c``: freestanding C99 of the fixed-point network.

    Parameters
    ----------
    net : path or NetDescription
        The network.
    out_dir : path
        New, empty, or a former export.
    name : str
        Prefix of all that the header declares: ``NAME_reset``, ``NAME_step``, ``NAME_states``.
    flash_limit, ram_limit : int, optional
        Bytes of the controller that constants and variables may take; more is refused before anything is written. The code (1 to 3 kB, and
        0.1 to 0.3 kB for each layer beyond the first) and the stack (some 250 bytes) are not among them.
    frames : (B, T, C) int, optional
        If given, the sources are compiled and run on these samples first, and must equal the fixed-point network in every spike and state.
    compiler : str
        Host compiler for the size of the code and for the proof; sizes are left out where it is absent.

    Returns
    -------
    Report

    Raises
    ------
    InputError
        If a rule of the target is broken.
    VerificationError
        If the compiled sources differ from the network, or give a warning.
    """
    net = rules.accepted(net, out_dir, rules.INTEGERS)
    name = c_prefix(name)
    lowered = plan(net)
    flash, ram = flash_bytes(lowered), ram_bytes(lowered)
    for field, bytes_, limit in (("flash_limit", flash, flash_limit), ("ram_limit", ram, ram_limit)):
        least = sum(bytes_.values())
        parts = ", ".join(f"{what} {size}" for what, size in bytes_.items() if size)
        cure = "Smaller layers, equal neurons in a layer, or shorter delays take less; tables do not."
        require(limit is None or whole(limit, field) >= least, field, f"be at least {least} bytes ({parts})", limit, cure)
    sources = c_source.sources(lowered, f"{net.sizes} network of 1M1T1R neurons.", name)
    facts: dict[str, Any] = {
        "constants [bytes]": flash,
        "states [bytes]": ram,
        "largest spike count of an input": c_source.input_limit(lowered),
        "network step [s]": lowered.dt,
        **classes_of(net),
    }
    notes = []
    require(isinstance(compiler, str), "compiler", "be the name of a program", compiler)
    if shutil.which(compiler) is None:
        require(frames is None, "compiler", "be installed for the proof", compiler, "Install it, or leave frames (--prove) away.")
        notes.append(f"Not compiled: {compiler} is not installed here.")
    else:
        facts[f"{compiler} -Os object [bytes]"] = object_size(sources, name, compiler)
    if frames is not None:
        frames = samples(frames, net, c_source.input_limit(lowered))
        facts |= verify(net, sources, frames, name, compiler)
        if _LARGEST not in facts:
            notes.append("Instructions were not counted: valgrind is not installed, or does not know those of this processor.")
    else:
        notes.append("Not run: give frames to compile it and compare all spikes and states.")
    return write_export("c", net, out_dir, sources, facts, notes)


def flash_bytes(lowered: Plan) -> dict[str, int]:
    """Size of the constant data [byte], by content."""
    tables: dict[bytes, int] = {}
    weights = neurons = 0
    for layer in lowered.layers:
        weights += sum(c_source.stored(w, lowered.widest).bytes for w in (layer.weight, layer.weight_rec) if w is not None)
        neurons += 0 if layer.bias is None else 4 * layer.outputs
        neurons += sum(layer.outputs for delay in (layer.delay, layer.delay_rec) if np.any(delay))
        if layer.program is not None:
            neurons += c_source.CONSTANTS_BYTES * (1 if layer.program.alike else layer.outputs)
            tables |= {table.tobytes(): c_source.ENTRY_BYTES * table.size for table in layer.tables.values()}
    lines = {} if lowered.lines is None else {"delay lines": lowered.lines.size}
    return {"weights": weights, "neurons": neurons, "tables": sum(tables.values()), **lines}


def ram_bytes(lowered: Plan) -> dict[str, int]:
    """Size of the variables [byte]: states, spike histories, generators, and one layer's sums."""
    word = c_source.history_bits(lowered) // 8
    own = [x for x in lowered.layers if x.program is not None]
    return {
        "states": sum(c_source.STATE_BYTES * x.outputs for x in own),
        "spike histories": sum(word * x.outputs for x in own),
        "generators": sum(4 * x.outputs for x in own if x.noisy) + any(x.noisy for x in own),
        "sums": 4 * lowered.widest,
        **({} if lowered.lines is None else {"input on its way": 2 * c_source.lines_length(lowered) * lowered.channels + 4}),
    }


def object_size(sources: Mapping[str, str], name: str, compiler: str) -> dict[str, int]:
    """Compile the sources for size and return the sizes of the object file's sections on this machine's processor.

    Parameters
    ----------
    sources : mapping of str
        File name to text, as :func:`.c_source.sources` returns them.
    name : str
        Prefix of the files.
    compiler : str
        Host compiler.

    Returns
    -------
    dict
        ``text``, ``data`` and ``bss`` [byte]; ``file``, the whole object file, where the program ``size`` is absent.
    """
    with scratch() as folder:
        write_sources(sources, folder)
        target = Path(folder) / f"{name}.o"
        call([compiler, *FLAGS, "-Os", "-ffreestanding", "-fno-pie", "-c", f"{name}.c", "-o", str(target)], folder)
        if shutil.which("size") is None:
            return {"file": target.stat().st_size}
        line = call(["size", str(target)], folder).stdout.decode().splitlines()[1].split()
        return {"text": int(line[0]), "data": int(line[1]), "bss": int(line[2])}


def verify(
    net: NetDescription, sources: Mapping[str, str], frames: np.ndarray, name: str, compiler: str = "gcc", flags: Sequence[str] = ("-O2",)
) -> dict[str, Any]:
    """Compile and run the sources on samples; all outputs and states must equal the fast fixed-point network's.

    Parameters
    ----------
    net : NetDescription
        The network.
    sources : mapping of str
        File name to text, as :func:`.c_source.sources` returns them.
    frames : (B, T, C) int
        Samples, with counts of at most :func:`.c_source.input_limit`.
    name : str
        Prefix of the files.
    compiler, flags : str, sequence of str
        Host compiler, and its further arguments.

    Returns
    -------
    dict
        Steps compared, and instructions a step of this machine's processor, mean and largest, where valgrind is installed.
    """
    expected = FastNetwork(net).run(frames, record="all", threads=1)
    batch, steps = frames.shape[:2]
    states = [np.stack(list(x.states.values()), axis=3).reshape(batch, steps, -1) for x in expected.layers if x.states]
    with scratch() as folder:
        write_sources(sources, folder)
        call([compiler, *FLAGS, *flags, f"{name}.c", "host/main.c", "-o", "main"], folder)
        got = np.frombuffer(call([f"{folder}/main", "states.bin"], folder, _words(frames)).stdout, "<i4").reshape(expected.out.shape)
        got_states = np.fromfile(f"{folder}/states.bin", "<i4").reshape(batch, steps, -1)
        watched = any(flag.startswith("-fsanitize") for flag in flags)  # sanitizers and valgrind exclude each other
        counted = frames[: max(1, _COUNTED // steps), :_COUNTED]
        instructions = None if watched else _instructions(folder, name, _words(counted), counted.shape[0] * counted.shape[1])
    for what, ours, theirs in (("outputs", got, expected.out), ("states", got_states, np.concatenate(states, axis=2))):
        if not np.array_equal(ours, theirs):
            b, t, n = np.argwhere(ours != theirs)[0]
            raise VerificationError(f"The C {what} differ from the network's, first in sample {b}, step {t}, value {n}.")
    spikes = expected.spike_count
    facts: dict[str, Any] = {"compared with the fixed-point network": compared(batch * steps, spikes, got_states.size)}
    if instructions is not None:
        of = zip(counted.shape, (batch, steps), ("samples", "steps"), strict=False)
        part = "".join(f", first {few} of {number} {what}" for few, number, what in of if few < number)
        where = f"{compiler} {' '.join(flags)}, this machine's processor{part}"
        facts[f"instructions a step, mean ({where})"] = int(np.mean(instructions))
        facts[_LARGEST] = max(instructions)
    return facts


_COUNTED = 2000
"""Number of steps, about, whose instructions are counted: each leaves a file."""


def _words(frames: np.ndarray) -> bytes:
    """Samples as host/main.c reads them: steps and counts of each."""
    batch, steps = frames.shape[:2]
    return np.concatenate([np.full((batch, 1), steps), frames.reshape(batch, -1).astype(np.int64)], axis=1).astype("<i4").tobytes()


def _instructions(folder: str, name: str, words: bytes, steps: int) -> list[int] | None:
    """Instructions of each step, in no order."""
    if shutil.which("valgrind") is None:
        return None
    tool = ["valgrind", "--tool=callgrind", f"--toggle-collect={name}_step", f"--dump-after={name}_step", "--callgrind-out-file=counts"]
    try:
        call([*tool, f"{folder}/main"], folder, words)
    except VerificationError:  # valgrind does not know all instructions of every processor
        return None
    dumps = [path.read_text() for path in Path(folder).glob("counts.*")]  # one a step
    totals = [int(found[1]) for text in dumps if (found := re.search(r"^totals: (\d+)$", text, re.MULTILINE))]
    return totals if len(totals) == steps else None
