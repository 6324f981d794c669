"""Train a small recurrent network with delays in seconds: small enough to run completely in a circuit simulator.

    python deploy/spice/train.py build

writes build/toy.net (8-16R-4, axonal and recurrent delays), build/toy_frames.npy (B, T, 8), spike counts of test patterns, and
build/toy_labels.npy. Needs lava-dl. The four classes differ only in the order of events: channels 0-3 are active in the first or in the
second half, and so are channels 4-7.
"""

import argparse
from pathlib import Path

import numpy as np

CHANNELS, HIDDEN, CLASSES, STEPS = 8, 16, 4, 40


def patterns(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Spike counts (count, STEPS, CHANNELS) and labels; classes take turns."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    late = np.stack([labels // 2, labels % 2], axis=1).repeat(CHANNELS // 2, axis=1)  # per channel: busy in the second half?
    second = np.arange(STEPS) >= STEPS // 2
    busy = late[:, None, :] == second[None, :, None]
    frames = (rng.random((count, STEPS, CHANNELS)) < np.where(busy, 0.45, 0.05)).astype(np.uint8)
    return frames, labels


def train(path: Path, seed: int = 0, epochs: int = 30, quiet: bool = False) -> float:
    """Train, write the ``.net`` file; returns the share of right answers on patterns that were not trained on."""
    from lava_1m1t1r import StepParams, presets
    from lava_1m1t1r.recipes.network import Network, slayer, torch

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    step = StepParams(presets.ZHAO2025_FIG2.scaled(40.0), dt=10e-3, substeps=1)
    params = {"params": step.device, "dt": step.dt, "substeps": step.substeps, "v_unit": step.v_unit}
    rng = np.random.default_rng(seed)
    block = slayer.block.m1t1r
    hidden = block.Recurrent(params, CHANNELS, HIDDEN, bias=True, delay=True, delay_rec=rng.integers(0, 6, HIDDEN))
    hidden.delay.delay.data = torch.from_numpy(rng.uniform(0, 4, HIDDEN).astype(np.float32))  # lava-dl starts all at 0
    net = Network([hidden, block.Affine(None, HIDDEN, CLASSES)])
    x, y = patterns(400, seed)
    x, y = torch.from_numpy(x).float().transpose(1, 2).contiguous(), torch.from_numpy(y)
    optimiser = torch.optim.Adam(net.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.1, total_steps=8 * epochs, pct_start=0.2)
    for epoch in range(epochs):
        for part in torch.from_numpy(rng.permutation(len(x))).split(50):
            scores = net(x[part]).sum(-1)
            loss = torch.nn.functional.cross_entropy(scores, y[part])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        if not quiet and epoch % 10 == 9:
            print(f"epoch {epoch + 1}: loss {loss.item():.3f}")
    net.export(path)
    test, labels = patterns(200, seed + 1)
    with torch.no_grad():
        answers = net(torch.from_numpy(test).float().transpose(1, 2)).sum(-1).argmax(1).numpy()
    return float(np.mean(answers == labels))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    accuracy = train(folder / "toy.net")
    frames, labels = patterns(8, 1)
    np.save(folder / "toy_frames.npy", frames)
    np.save(folder / "toy_labels.npy", labels)
    print(f"Wrote {folder / 'toy.net'} (accuracy {accuracy:.1%} on 200 other patterns), toy_frames.npy and toy_labels.npy.")


if __name__ == "__main__":
    main()
