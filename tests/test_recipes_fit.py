"""Training that can be watched: what a caller is told after each epoch, and what training does to an evaluated network."""

import numpy as np
import pytest

pytest.importorskip("lightning", reason="training needs lightning (extra lava)")
pytestmark = pytest.mark.train


@pytest.fixture
def trained(tmp_path):
    pytest.importorskip("lava.lib.dl.slayer", reason="training needs lava-dl (extra lava)")
    from lava_1m1t1r.datasets import EventSet
    from lava_1m1t1r.recipes import data, fit, network
    from lava_1m1t1r.recipes.task import recipe

    rng = np.random.default_rng(0)
    labels = np.arange(24) % 2
    spikes = [(np.sort(rng.uniform(0, 0.3, 200)).astype(np.float32), rng.integers(0, 10, 200) + 10 * label) for label in labels]
    events = EventSet.from_utterances(spikes, labels, n_channels=20)
    task = recipe("spoken-digits").replace(channels=20, classes=2, hidden=12, n_steps=40, epochs=3, batch=8)
    frames = data.frames_of(events, task)
    net, seen = network.m1t1r(task).eval(), []
    fit.fit(net, task, frames, tmp_path, validation=frames, on_epoch=seen.append, progress=False)
    return net, frames, seen


@pytest.mark.filterwarnings("ignore")
def test_every_epoch_is_told_with_its_numbers(trained):
    import torch

    net, frames, seen = trained
    assert [epoch["epoch"] for epoch in seen] == [1, 2, 3]
    assert all(0 <= epoch["train_accuracy"] <= 1 and epoch["loss"] > 0 for epoch in seen)
    with torch.no_grad():
        out = net.eval()(torch.from_numpy(frames.dense()).float().transpose(1, 2))
    right = (out.sum(-1).argmax(1).numpy() == frames.labels).mean()
    assert seen[-1]["accuracy"] == pytest.approx(right)  # of the epoch that has just ended


@pytest.mark.filterwarnings("ignore")
def test_a_network_that_was_evaluated_trains_in_training_mode(trained):
    assert trained[0].training


def test_the_busiest_neurons_are_shown():
    """Counts of unsigned bytes: their negatives would put silent neurons first."""
    pytest.importorskip("matplotlib")
    import matplotlib

    matplotlib.use("Agg")
    from lava_1m1t1r import StepParams, presets
    from lava_1m1t1r.fast import LayerRecord, Result
    from lava_1m1t1r.recipes import figures

    spikes = np.zeros((1, 5, 4), np.uint8)
    spikes[0, :3, 2] = spikes[0, :1, 3] = 1
    states = {name: np.zeros((1, 5, 4), np.int32) for name in ("filament", "residue", "v_gate")}
    figure = figures.neuron_states(Result(spikes, (LayerRecord(spikes, spikes, states),)), 0, StepParams(presets.ZHAO2025_FIG2), count=2)
    assert [ax.get_ylabel() for ax in figure.axes] == ["neuron 2", "neuron 3"]
