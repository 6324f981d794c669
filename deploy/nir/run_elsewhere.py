"""Run a portable NIR graph in another framework: norse, or snnTorch for feed-forward graphs.

    python deploy/nir/run_elsewhere.py norse OUT/portable.nir frames.npy spikes.npy

frames.npy: (T, C) spike counts. spikes.npy: (T, C_out).
"""

import argparse

import numpy as np

SNNTORCH_DT = 1e-4  # snnTorch 1.0 takes every graph to be in steps of this length [s]


def run_norse(graph, frames: np.ndarray) -> np.ndarray:
    """(T, C) spike counts -> (T, C_out), step by step in norse (float32)."""
    import norse.torch
    import torch

    net = norse.torch.from_nir(graph, dt=float(graph.metadata["dt"]), ignore_warnings=True)
    state, out = None, []
    with torch.no_grad():
        for frame in torch.from_numpy(frames.astype(np.float32)):
            spikes, state = net(frame[None], state)
            out.append(spikes[0].numpy())
    return np.array(out)


def run_snntorch(graph, frames: np.ndarray) -> np.ndarray:
    """(T, C) spike counts -> (T, C_out) in snnTorch, in whose hard-coded step the time constants are expressed first."""
    import nir
    import torch
    from snntorch.import_nir import import_from_nir

    scale = SNNTORCH_DT / float(graph.metadata["dt"])
    for node in graph.nodes.values():
        if isinstance(node, nir.CubaLIF):
            node.tau_syn, node.tau_mem = node.tau_syn * scale, node.tau_mem * scale
    net = import_from_nir(graph)
    out = []
    with torch.no_grad():
        for frame in torch.from_numpy(frames.astype(np.float32)):
            spikes = net(frame[None])
            out.append((spikes[0] if isinstance(spikes, tuple) else spikes)[0].numpy())
    return np.array(out)


FRAMEWORKS = {"norse": run_norse, "snntorch": run_snntorch}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("framework", choices=sorted(FRAMEWORKS))
    parser.add_argument("graph")
    parser.add_argument("frames")
    parser.add_argument("spikes")
    args = parser.parse_args()
    import nir

    np.save(args.spikes, FRAMEWORKS[args.framework](nir.read(args.graph), np.load(args.frames)))


if __name__ == "__main__":
    main()
