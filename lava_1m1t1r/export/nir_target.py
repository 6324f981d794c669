"""Deployment to NIR: the exact graph, and a portable one, whose loss is measured, unless it is not wanted."""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np

from ..description import NetDescription
from ..errors import flag, require, whole
from ..fast import FastNetwork
from . import nir_exact, rules
from .frames import DRAWN_RATE, batched, drawn
from .nir_node import nir
from .nir_portable import IN_NETWORK, Portable, to_portable
from .read_back import same
from .report import Report, VerificationError, classes_of, write_export

EXACT_FILE, PORTABLE_FILE = "exact.nir", "portable.nir"


def deploy_nir(
    net: str | os.PathLike | NetDescription,
    out_dir: str | os.PathLike,
    *,
    frames: Any = None,
    portable: bool = True,
    delays: bool = True,
    seed: int = 0,
) -> Report:
    """Write ``exact.nir``, read it back and compare; write ``portable.nir`` of fitted CubaLIF neurons.

    Parameters
    ----------
    net : path or NetDescription
        Network of 1M1T1R neurons.
    out_dir : path
        New, empty, or a former export.
    frames : (B, T, C) int, optional
        Samples for the fit and its loss. Left out, random ones (:data:`.frames.DRAWN_RATE`) stand in: a fit for the file, not for its task.
    portable : bool
        Whether to write ``portable.nir`` too.
    delays : bool
        Whether ``portable.nir`` has Delay nodes, which many frameworks do not read. The loss is that of the graph that is written.
    seed : int
        Seed of the search and of the random spikes.

    Returns
    -------
    Report
    """
    net = rules.accepted(net, out_dir, rules.INTEGERS)
    portable, delays, seed = flag(portable, "portable"), flag(delays, "delays"), whole(seed, "seed")
    cure = "The exact graph keeps its delays: leave out delays=False (--no-delays)."
    require(portable or delays, "delays", "be True where there is no portable graph", delays, cure)
    for layer in net.active:
        if layer.kind == "input" and (portable or layer.bias is not None):  # a Scale has no bias, which the fit adds
            rules.fits_a_matrix(net, layer)
    if net.delay_lines is not None:
        rules.fits_a_matrix(net, net.delay_lines)
    exact = nir_exact.to_nir(net)
    files = {EXACT_FILE: _file(exact)}
    back = nir_exact.from_nir(nir.read(io.BytesIO(files[EXACT_FILE])))
    if not same(net, back):
        raise VerificationError("The exact graph read back is not the network.")
    has_delays = any(isinstance(node, nir.Delay) for node in exact.nodes.values())
    notes = [
        f"{EXACT_FILE} holds a custom node, M1T1RNode: import lava_1m1t1r.export.nir_node before nir.read.",
        f"Each layer's spikes take one step of dt ({net.dt:g} s) beyond what Delay nodes say; dt is in the metadata.",
    ]
    facts: dict[str, Any] = {"network step [s]": net.dt, "nodes": len(exact.nodes), "exact graph read back": "equal", **classes_of(net)}
    random = frames is None
    frames = drawn(net, 8, 200, seed) if random else batched(frames)
    ours, theirs = (FastNetwork(x).run(frames, "spikes", threads=1) for x in (net, back))
    if not np.array_equal(ours.out, theirs.out):
        raise VerificationError("The exact graph read back gives other spikes than the network.")
    facts["its output on the frames"] = f"equal in {ours.out.size} values"
    if portable:
        fitted = to_portable(net, frames, ours, delays, seed)
        files[PORTABLE_FILE] = _file(fitted.graph)
        facts |= {f"portable, distance {key}" if key.startswith("of ") else f"portable, {key}": v for key, v in fitted.loss.items()}
        source = f"random spikes at {DRAWN_RATE:g} Hz a channel, because no frames were given" if random else f"{len(frames)} given samples"
        notes += _portable_notes(fitted, source)
        if has_delays:
            notes.append(
                "It keeps the delays: norse 1.1 and snnTorch 1.0 do not read Delay."
                if delays
                else "Its delays are left out, and delay lines with them."
            )
    return write_export("nir", net, out_dir, files, facts, notes)


def _portable_notes(fitted: Portable, source: str) -> list[str]:
    notes = [
        f"{PORTABLE_FILE} is another neuron (no residue, no latch, no saturation of the input, no noise), fitted on {source}.",
        "Its constants assume forward Euler with dt. Its spikes come a step a layer earlier than the network's.",
    ]
    if max(fitted.loss[IN_NETWORK].values(), default=0.0) >= 1.0:
        notes.append(
            f"{PORTABLE_FILE} is no substitute for this network: its spikes are no nearer to the network's than silence is. CubaLIF "
            "cannot clip its input, and training may have made use of that."
        )
    return notes


def _file(graph: nir.NIRGraph) -> bytes:
    buffer = io.BytesIO()
    nir.write(buffer, graph)
    return buffer.getvalue()
