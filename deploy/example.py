"""Write a small network with random (untrained) weights, and input spikes for it: an example to try the targets with.

    python deploy/example.py build

writes build/example.net (20-16R-4: recurrent, with delays on both connections) and build/frames.npy, (4, 200, 20) spike counts.
"""

import argparse
from pathlib import Path

import numpy as np

from lava_1m1t1r import StepParams, presets
from lava_1m1t1r.description import Layer, M1T1RNeuron, NetDescription
from lava_1m1t1r.netx import schema

SIZES = (20, 16, 4)


def network(seed: int = 0) -> NetDescription:
    """20-16R-4 of the device of Fig. 2, weights as lava-dl quantises them."""
    rng = np.random.default_rng(seed)
    inputs, hidden, outputs = SIZES
    even = lambda mean, spread, shape: 2 * np.clip(np.rint(rng.normal(mean, spread, shape)), -128, 127).astype(np.int32)  # noqa: E731
    neuron = M1T1RNeuron(StepParams(presets.ZHAO2025_FIG2, dt=1e-3))
    steps = lambda largest, n: rng.integers(0, largest + 1, n).astype(np.int32)  # noqa: E731
    first = Layer(
        index=0,
        kind="dense_rec",
        shape=(hidden,),
        inputs=inputs,
        weight=even(60, 60, (hidden, inputs)),
        weight_rec=even(0, 25, (hidden, hidden)),
        delay=steps(9, hidden),
        delay_rec=steps(5, hidden),
        neuron=neuron,
    )
    last = Layer(1, "dense", (outputs,), hidden, weight=even(110, 60, (outputs, hidden)), neuron=neuron)
    return NetDescription((first, last))


def frames(seed: int = 0, samples: int = 4, steps: int = 200) -> np.ndarray:
    """Poisson spikes, half of the channels active in each sample."""
    rng = np.random.default_rng(seed)
    rate = 0.15 * (rng.random((samples, 1, SIZES[0])) < 0.5)
    return (rng.random((samples, steps, SIZES[0])) < rate).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    schema.write(folder / "example.net", network())
    np.save(folder / "frames.npy", frames())
    print(f"Wrote {folder / 'example.net'} and {folder / 'frames.npy'}.")


if __name__ == "__main__":
    main()
