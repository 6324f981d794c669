"""Training that can be watched: what a caller is told after each epoch, and what training does to an evaluated network."""

import copy
import dataclasses
import os
import random
import re
import signal
from types import SimpleNamespace

import numpy as np
import pytest
from words import toy

from lava_1m1t1r import presets
from lava_1m1t1r.answers import answers, over_time, winner
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.netx import schema
from lava_1m1t1r.recipes.augment import Augmentation
from lava_1m1t1r.recipes.task import Task

pytest.importorskip("lightning", reason="training needs lightning (extra lava)")
pytestmark = pytest.mark.train


@pytest.fixture
def trained(tmp_path):
    from lava_1m1t1r.recipes import fit, network

    task, frames = toy()
    net, seen = network.m1t1r(task).eval(), []
    found = fit.fit(net, task, frames, tmp_path, validation=frames, on_epoch=seen.append, progress=False)
    assert found.curve == seen and (found.epoch, found.accuracy) == (0, -1.0)
    return net, frames, seen


def test_utterances_without_a_spike_in_their_frames_are_refused_before_anything_is_trained(tmp_path):
    from lava_1m1t1r.recipes import data, fit, network

    task, frames = toy()
    silent = data.Frames(type(frames.binned).of(np.zeros(frames.binned.shape, np.uint8)), frames.labels, cropped=1.0)
    with pytest.raises(InputError, match=r"train must hold a spike in its 40 steps of 0\.01 s; got 0\. Take more or longer steps"):
        fit.fit(network.m1t1r(task), task, silent, tmp_path, progress=False)
    assert not list(tmp_path.iterdir())


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
def test_to_watch_a_training_does_not_change_it(tmp_path):
    import torch

    from lava_1m1t1r.recipes import fit, network

    task, frames = toy()
    nets = [network.m1t1r(task) for _ in range(2)]
    for net, validation in zip(nets, (None, frames), strict=True):
        fit.fit(net, task, frames, tmp_path / str(validation is None), validation=validation, progress=False)
    alone, watched = (net.state_dict() for net in nets)
    assert alone.keys() == watched.keys() and all(torch.equal(alone[name], watched[name]) for name in alone)


def draw():
    import torch

    return random.random(), np.random.random(), float(torch.rand(()))


@pytest.mark.filterwarnings("ignore")
def test_who_is_told_of_an_epoch_draws_its_own_random_numbers(tmp_path):
    """A DataLoader or an evaluation with noise drew the training's: it became another one, and again another once it was resumed."""
    import torch

    from lava_1m1t1r.recipes import fit, network

    task, frames = toy(variation=0.3)
    nets, drawn = [network.m1t1r(task) for _ in range(2)], []
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(5)
    expected = [draw() for _ in range(task.epochs + 1)]
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(5)
    fit.fit(nets[0], task, frames, tmp_path / "drawn", on_epoch=lambda _: drawn.append(draw()), progress=False)
    assert [*drawn, draw()] == expected  # as if nothing had been trained
    fit.fit(nets[1], task, frames, tmp_path / "alone", progress=False)
    assert all(torch.equal(a, b) for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True))


def end(*_):
    next(iter(()))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("where", ["on_epoch", "augmentation", "training", "backward", "optimiser", "validation"])
def test_an_iterator_that_has_ended_ends_no_training_in_silence(where, tmp_path, monkeypatch):
    """Lightning takes it for the end of the data: the rest of the epoch and all later epochs were skipped, and told as trained."""
    import torch

    from lava_1m1t1r.recipes import fit, network

    task, frames = toy()
    net, options = network.m1t1r(task), {}
    if where == "on_epoch":
        options["on_epoch"] = end
    elif where == "augmentation":
        monkeypatch.setattr(Augmentation, "__call__", end)
        options["augmentation"] = Augmentation()
    elif where == "backward":
        net.hidden.input_synapse.weight.register_hook(end)
    elif where == "optimiser":
        monkeypatch.setattr(torch.optim.AdamW, "step", lambda self, closure: end(closure()))
    else:
        net.blocks[-1].register_forward_pre_hook(lambda block, _: end() if block.training == (where == "training") else None)
        options["validation"] = frames
    with pytest.raises(RuntimeError, match=r"raised StopIteration: does it ask next\(\) of an iterator that has ended\?"):
        fit.fit(net, task, frames, tmp_path, progress=False, **options)


@pytest.mark.filterwarnings("ignore")
def test_training_takes_the_cpu_unless_told_otherwise_even_where_there_is_a_gpu(tmp_path, monkeypatch):
    import torch

    from lava_1m1t1r.recipes import fit, network

    task, frames = toy(epochs=1)
    for part in ("pytorch", "fabric"):  # the second one's answer decides what "auto" is
        monkeypatch.setattr(f"lightning.{part}.accelerators.CUDAAccelerator.is_available", lambda: True)
    assert len(fit.fit(network.m1t1r(task), task, frames, tmp_path / "told", progress=False).curve) == 1
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for wrong, rule in (("gpu", "where torch finds no GPU"), ("auto", 'must be "cpu" or "gpu"'), (None, "must be")):
        with pytest.raises(InputError, match=f"accelerator .*{rule}"):
            fit.fit(network.m1t1r(task), task, frames, tmp_path / "refused", progress=False, accelerator=wrong)
    assert not (tmp_path / "refused").exists()


@pytest.mark.filterwarnings("ignore")
def test_training_within_a_job_of_a_cluster_is_training_anywhere(tmp_path, monkeypatch):
    from lava_1m1t1r.recipes import fit, network

    job = {"JOB_ID": "7", "JOB_NAME": "digits", "NTASKS": "1", "PROCID": "0", "LOCALID": "0", "NODEID": "0", "NNODES": "1"}
    for name, value in job.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    for folder in (tmp_path, tmp_path / "run"):
        folder.mkdir(exist_ok=True)
        (folder / "hpc_ckpt_1.ckpt").write_bytes(b"of another run, as Lightning writes it before the job's time is over")
    monkeypatch.chdir(tmp_path)
    handlers = {}

    def note(_):
        handlers.update({number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGTERM)})

    task, frames = toy(epochs=1)
    before = signal.getsignal(signal.SIGUSR1)
    assert [epoch["epoch"] for epoch in fit.fit(network.m1t1r(task), task, frames, "run", on_epoch=note, progress=False).curve] == [1]
    assert handlers[signal.SIGUSR1] is before  # Lightning's own would write a checkpoint and put the job back into the queue


@pytest.mark.filterwarnings("ignore")
def test_defaults_of_lightning_in_the_environment_change_no_training(tmp_path, monkeypatch):
    from lava_1m1t1r.recipes import fit, network

    task, frames = toy(epochs=2)
    alone = fit.fit(network.m1t1r(task), task, frames, tmp_path / "alone", progress=False).curve
    for name, value in {"LIMIT_TRAIN_BATCHES": "1", "MAX_STEPS": "3", "ACCUMULATE_GRAD_BATCHES": "2", "FAST_DEV_RUN": "1"}.items():
        monkeypatch.setenv(f"PL_TRAINER_{name}", value)
    assert fit.fit(network.m1t1r(task), task, frames, tmp_path / "told", progress=False).curve == alone


@pytest.mark.parametrize("shown", [("loss", "train_accuracy"), ("loss", "train_accuracy", "accuracy")], ids=len)
def test_the_curve_is_drawn_as_it_was_told(shown):
    pytest.importorskip("matplotlib")
    from lava_1m1t1r.recipes import figures

    curve = [{"epoch": epoch, **{name: epoch + place for place, name in enumerate(shown)}} for epoch in (1, 2, 4)]
    drawn = [line for ax in figures.training(curve).axes for line in ax.lines]
    assert [line.get_label() for line in drawn] == ["loss", "training", "validation"][: len(shown)]
    for place, line in enumerate(drawn):
        assert line.get_xdata().tolist() == [1, 2, 4] and line.get_ydata().tolist() == [1 + place, 2 + place, 4 + place]


@pytest.mark.filterwarnings("ignore")
def test_a_network_that_was_evaluated_trains_in_training_mode(trained):
    assert trained[0].training


@pytest.mark.filterwarnings("ignore")
def test_a_network_that_is_evaluated_between_epochs_trains_in_training_mode(tmp_path):
    """Later epochs drew no variation, and a resumed run was another one."""
    from lava_1m1t1r.recipes import fit, network

    task, frames = toy(variation=0.3)
    net, modes = network.m1t1r(task), []
    net.register_forward_pre_hook(lambda module, _: modes.append(module.training))
    fit.fit(net, task, frames, tmp_path, progress=False, on_epoch=lambda _: net.eval())
    assert len(modes) == 9 and all(modes)


@pytest.mark.filterwarnings("ignore")
def test_the_callers_random_numbers_go_on_as_if_nothing_had_been_trained(tmp_path, monkeypatch):
    import torch

    from lava_1m1t1r.recipes import fit, network

    def drawn():
        return random.random(), np.random.random(), float(torch.rand(())), os.environ.get("PL_GLOBAL_SEED")

    def seeded():
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)

    def broken(_):
        raise RuntimeError("broken")

    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    task, frames = toy(epochs=1)
    net = network.m1t1r(task)
    seeded()
    expected = drawn()
    seeded()
    fit.fit(net, task, frames, tmp_path, progress=False)
    assert drawn() == expected
    seeded()
    with pytest.raises(RuntimeError, match="broken"):
        fit.fit(net, task, frames, tmp_path / "broken", on_epoch=broken, progress=False)
    assert drawn() == expected


@pytest.mark.filterwarnings("ignore")
def test_a_charged_network_spikes_less(tmp_path):
    import torch

    from lava_1m1t1r.recipes import fit, network

    spikes = {}
    for limit in (None, 5.0):
        task, frames = toy(epochs=6, spike_cost=20.0)
        task = task.replace(spike_limit=limit)
        net = network.m1t1r(task)
        fit.fit(net, task, frames, tmp_path / str(limit), progress=False)
        with torch.no_grad():
            spikes[limit] = float(net.eval().layers(torch.from_numpy(frames.dense()).float().transpose(1, 2))[0].sum()) / len(frames)
    assert 0 < spikes[5.0] < 0.8 * spikes[None]


@pytest.mark.parametrize("neurons", [(12,), (3, 2, 2)])
def test_the_charge_for_spikes_sets_in_over_the_first_third(neurons, monkeypatch):
    """By utterance, of images too."""
    import torch

    from lava_1m1t1r.recipes import fit, network

    task, _ = toy(spike_cost=2.0)
    task = task.replace(spike_limit=30.0)
    learner = fit.Learner(network.m1t1r(task), task, 90, None)
    learner.spikes = torch.zeros(2, *neurons, 40)
    learner.spikes[0, ..., :5] = 1  # 60 spikes of 12 neurons: 30 above the limit; the other utterance has none
    for step, share in ((0, 0.0), (15, 0.5), (30, 1.0), (80, 1.0)):
        monkeypatch.setattr(fit.Learner, "global_step", step, raising=False)
        assert float(learner._charge()) == pytest.approx(2.0 * share * (30 / 2) / 12)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("watched", [False, True])
def test_an_epoch_that_is_told_is_kept(tmp_path, watched, capsys):
    from lava_1m1t1r.recipes import CHECKPOINT_FILE, checkpoint, fit, network

    task, frames = toy(epochs=2)
    kept = []

    def seen(epoch):
        kept.append((epoch["epoch"], checkpoint.read(tmp_path / CHECKPOINT_FILE)["epoch"] + 1))

    fit.fit(network.m1t1r(task), task, frames, tmp_path, validation=frames if watched else None, on_epoch=seen)
    assert kept == [(1, 1), (2, 2)]
    assert "epoch 2 of 2: loss" in capsys.readouterr().err


def test_the_layers_of_a_cuba_network_start_from_rest():
    import torch

    from lava_1m1t1r.benchmarks import peers
    from lava_1m1t1r.recipes import network

    task, frames = toy()
    x = torch.from_numpy(frames.dense()).float().transpose(1, 2) * 3
    for build in (network.cuba, peers.alif):
        net = build(task).eval()
        for some in (x, x[:1]):  # lava-dl itself begins anew where another number of utterances follows, and with several always
            with torch.no_grad():
                first, again = net.layers(some), net.layers(some)
                assert first[0].any() and all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
                assert torch.equal(net(some), first[-1])


def test_lava_dls_own_blocks_are_run_before_they_are_written(tmp_path):
    import torch

    from lava_1m1t1r.recipes.network import Network, dl, slayer

    dense = dl.block.cuba.Dense({"threshold": 1, "current_decay": 0.2, "voltage_decay": 0.1}, 20, 8)
    net = Network([dense, slayer.block.m1t1r.Recurrent({"params": presets.ZHAO2025_FIG2, "dt": 1e-3}, 8, 4)])
    with pytest.raises(InputError, match="layer/0 must know the size of its output; got None. Run the network once"):
        net.export(tmp_path / "mixed.net")
    assert not list(tmp_path.iterdir())
    net(torch.zeros(1, 20, 5))
    net.export(tmp_path / "mixed.net")
    assert [layer.size for layer in schema.read(tmp_path / "mixed.net").layers] == [8, 4]


def test_a_training_step_smooths_its_labels_and_changes_no_utterance_of_validation():
    import torch

    from lava_1m1t1r.recipes import fit, network

    task, frames = toy(label_smoothing=0.3)
    learner = fit.Learner(network.m1t1r(task), task, 5, Augmentation(drop=1.0))
    learner.log = lambda *_, **__: None
    batch, device = (frames.dense(), torch.from_numpy(frames.labels)), torch.device("cpu")
    x, y = learner.eval().transfer_batch_to_device(batch, device, 0)
    assert x.shape == (24, 20, 40) and x.sum() == frames.dense().sum() > 0
    assert learner.train().transfer_batch_to_device(batch, device, 0)[0].sum() == 0
    expected = torch.nn.functional.cross_entropy(learner.network(x).sum(-1), y, label_smoothing=0.3)
    assert learner.training_step((x, y), 0).item() == pytest.approx(expected.item(), rel=1e-6)
    before = [parameter.detach().clone() for parameter in learner.parameters()]
    for parameter in learner.parameters():
        parameter.grad = torch.zeros_like(parameter)
    chosen = learner.configure_optimizers()
    chosen["optimizer"].step()
    assert all(torch.equal(*both) for both in zip(before, learner.parameters(), strict=True))  # what makes no difference stays


def test_augmentation_follows_the_seed_of_the_task():
    import torch

    from lava_1m1t1r.recipes import fit

    drawn = []
    for seed in (0, 1, 1):
        learner = fit.Learner(torch.nn.Linear(1, 1), Task("toy", seed=seed), 5, None)
        learner.on_fit_start()
        drawn.append(int(learner.rng.integers(1 << 60)))
    assert drawn[0] != drawn[1] == drawn[2]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("steps", [0, 1, 2, 3, 10, 90])
def test_the_learning_rate_rises_and_falls_in_however_few_steps(steps):
    from lava_1m1t1r.recipes import fit, network

    task, rates = toy(learning_rate=0.01)[0], []
    chosen = fit.Learner(network.m1t1r(task), task, steps, None).configure_optimizers()
    for _ in range(steps):
        rates.append(chosen["optimizer"].param_groups[0]["lr"])
        chosen["optimizer"].step()
        chosen["lr_scheduler"]["scheduler"].step()
    assert all(0 < rate < 0.011 for rate in rates)
    assert steps < 3 or (max(rates) == pytest.approx(0.01) and max(rates[0], rates[-1]) < 0.001)


@pytest.mark.filterwarnings("ignore")
def test_every_epoch_takes_all_utterances_in_an_order_of_its_own(tmp_path, monkeypatch):
    """And the schedule counts the last batch of each, which holds the rest."""
    from lava_1m1t1r.recipes import fit, network

    taken = []

    class Watched(fit.FrameSet):
        def __getitems__(self, index):
            taken.append(index)
            return super().__getitems__(index)

    monkeypatch.setattr(fit, "FrameSet", Watched)
    task, frames = toy(batch=7)
    fit.fit(network.m1t1r(task), task, frames, tmp_path, progress=False)
    assert [len(batch) for batch in taken] == [7, 7, 7, 3] * 3
    epochs = [sum(taken[i : i + 4], []) for i in (0, 4, 8)]
    assert all(sorted(epoch) == list(range(24)) for epoch in epochs) and len({tuple(epoch) for epoch in [*epochs, range(24)]}) == 4


@pytest.mark.parametrize("processes", [1, 2, 3, 16])
@pytest.mark.parametrize("size", [5, 12])
def test_validation_counts_each_utterance_once_however_many_processes_share_them(processes, size, monkeypatch):
    """Lightning's sampler repeats some, so that all processes have as many."""
    import torch
    from torch.utils.data import DataLoader, DistributedSampler

    from lava_1m1t1r.recipes import fit, network

    task, frames = toy(classes=3)
    labels = np.resize([0, 0, 1], size)
    frames = dataclasses.replace(frames, binned=frames.binned._replace(shape=(size, *frames.binned.shape[1:])), labels=labels)
    monkeypatch.setattr(fit, "scores", lambda output: torch.tensor([[1.0, 0.0, 0.0]]).repeat(len(output), 1))
    learner, right = fit.Learner(network.m1t1r(task), task, 90, None).eval(), 0
    for rank in range(processes):
        data = fit.FrameSet(frames)
        loader = DataLoader(data, 2, sampler=DistributedSampler(data, processes, rank, shuffle=False), collate_fn=fit._as_it_is)
        monkeypatch.setattr(learner, "_trainer", SimpleNamespace(val_dataloaders=loader, global_rank=rank, world_size=processes))
        learner.on_validation_epoch_start()
        for index, batch in enumerate(loader):
            learner.validation_step(learner.transfer_batch_to_device(batch, torch.device("cpu"), 0), index)
        right += int(learner.right)
    assert right == np.count_nonzero(labels == 0)


def test_a_price_of_spikes_leaves_the_network_as_it_was(tmp_path):

    from lava_1m1t1r.recipes import fit, network

    task, frames = toy(epochs=1, spike_limit=1.0)[:2]
    net = network.m1t1r(task)
    fit.fit(net, task, frames, tmp_path, progress=False)
    assert not net.blocks[0]._forward_hooks
    copy.deepcopy(net)


def test_a_price_of_spikes_needs_blocks(tmp_path):
    import torch

    from lava_1m1t1r.recipes import fit, network

    task, frames = toy(spike_limit=1.0)
    own = torch.nn.Sequential(*network.m1t1r(task).blocks)
    with pytest.raises(InputError, match="network must have a list of blocks; got 'Sequential'. Or leave Task.spike_limit"):
        fit.fit(own, task, frames, tmp_path / "new", progress=False)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("label", "words"), [(-1, "got -1"), (2, "got 2")])
def test_labels_that_are_no_outputs_are_refused_wherever_answers_are_judged(label, words, tmp_path):
    from lava_1m1t1r.netx.schema import read
    from lava_1m1t1r.recipes import data, evaluate, network

    task, frames = toy()
    network.m1t1r(task).export(tmp_path / "a.net")
    bad = data.Frames(frames.binned, np.full_like(frames.labels, label), 0.0)
    for judge in (evaluate.evaluate, evaluate.accuracy):
        with pytest.raises(InputError, match=f"labels must lie in 0..1.*{words}"):
            judge(read(tmp_path / "a.net"), bad)


@pytest.mark.parametrize("labels", [np.zeros(23, int), np.zeros((24, 1), int), np.zeros(24), 0])
def test_labels_are_one_whole_number_an_utterance(labels):
    from lava_1m1t1r.recipes.data import Frames

    with pytest.raises(InputError, match=r"Frames.labels must be whole numbers \(24,\), one an utterance"):
        Frames(toy()[1].binned, labels, 0.0)


@pytest.mark.parametrize("kind", [list, np.int32, np.uint8])
def test_labels_may_be_of_any_kind(kind, tmp_path):
    from lava_1m1t1r.netx.schema import read
    from lava_1m1t1r.recipes import evaluate, fit, network

    task, frames = toy(epochs=1)
    given = dataclasses.replace(frames, labels=list(frames.labels) if kind is list else frames.labels.astype(kind))
    net = network.m1t1r(task)
    fit.fit(net, task, given, tmp_path, progress=False)
    net.export(tmp_path / "a.net")
    known = read(tmp_path / "a.net")
    assert evaluate.accuracy(known, given) == evaluate.accuracy(known, frames)


def test_what_cannot_be_trained_or_watched_is_told_before_the_first_epoch(tmp_path):
    from lava_1m1t1r.datasets import EventSet
    from lava_1m1t1r.recipes import data, fit, network

    task, frames = toy()
    net, five, one = network.m1t1r(task), *(data.Frames(frames.binned, frames.labels + more, 0.0) for more in (5, 1))
    wide = data.Frames(frames.binned._replace(shape=(*frames.binned.shape[:2], 35)), frames.labels, 0.0)
    none = data.frames_of(EventSet.from_utterances([], [], n_channels=20), task)
    for text, train, options in (
        ("validation: labels must lie in 0..1; got 6", frames, {"validation": five}),
        ("train: labels must lie in 0..1; got 6", five, {}),
        ("train: labels must lie in 0..1; got 2", one, {}),
        ("validation must have 20 channels, as the training set; got 35", frames, {"validation": wide}),
        ("validation must hold at least one utterance", frames, {"validation": none}),
        ("validation must be Frames", frames, {"validation": "frames"}),
        ("train must be Frames", None, {}),
        *((f"patience must be a whole number >= 1; got {p}", frames, {"validation": frames, "patience": p}) for p in (0, -1, 1.5)),
        ("patience must be a whole number", frames, {"validation": frames, "patience": "3"}),
    ):
        with pytest.raises(InputError, match=re.escape(text)):
            fit.fit(net, task, train, tmp_path / "new", progress=False, **options)
    with pytest.raises(InputError, match="task must be a Task"):
        fit.fit(net, "recordings", frames, tmp_path / "new", progress=False)
    with pytest.raises(InputError, match=r"network: persistent_state of blocks.0.neuron must be False; got True. Each batch"):
        fit.fit(network.m1t1r(task, persistent_state=True), task, frames, tmp_path / "new", progress=False)
    assert not (tmp_path / "new").exists()
    with pytest.raises(InputError, match=re.escape("network must have an output for each of Task.classes (5); got '2 outputs'")):
        fit.fit(net, task.replace(classes=5), frames, tmp_path, progress=False)


@pytest.mark.parametrize(("saved", "loading"), [(5.0, 4.0), (5.0, 0.0), (0.0, 5.0)])
def test_weights_behind_another_gaussian_are_refused(saved, loading):
    from lava_1m1t1r.recipes import network

    nets = [network.m1t1r(toy()[0].replace(smooth=smooth)) for smooth in (saved, saved, loading)]
    nets[1].load_state_dict(nets[0].state_dict())
    with pytest.raises((InputError, RuntimeError), match="smooth must be that of the state dict, 5; got 4|input_synapse.smooth"):
        nets[2].load_state_dict(nets[0].state_dict())


def test_of_equal_sums_the_first_is_the_answer():
    """Of numpy's and of torch's, of spikes and of sums."""
    import torch

    out = np.zeros((2, 5, 4), np.uint8)
    out[0, :2, 1], out[0, 3:, 3], out[1, 0, 2] = 1, 1, 200
    out[1, :4, 3] = 50
    for given in (out, out.astype(np.float32), out.astype(np.int32) - 60):
        assert answers(given).tolist() == [1, 2]
        assert winner(torch.from_numpy(given.astype(np.int64).sum(1))).tolist() == [1, 2]
    assert answers(out[0]) == 1
    large = np.zeros((1, 3, 2), np.float32)
    large[0, 0], large[0, 1:, 1] = 2**24, 1  # which single precision would lose
    assert over_time(large).tolist() == [[2**24, 2**24 + 2]] and answers(large) == [1]


def test_groups_of_equal_sums_answer_in_training_as_in_the_file(tmp_path):
    """Groups of 7: sums of sevenths in single precision are equal or not, as rounding happens to go."""
    import torch

    from lava_1m1t1r.netx.hdf5 import predict
    from lava_1m1t1r.recipes import fit
    from lava_1m1t1r.recipes.network import Network, slayer

    torch.manual_seed(0)
    b, neuron = slayer.block.m1t1r, {"params": presets.ZHAO2025_FIG2.scaled(40), "dt": 10e-3, "substeps": 1}
    net = Network([b.Dense(neuron, 20, 21, weight_scale=2), b.Average(3)])
    frames = (np.random.default_rng(0).random((300, 40, 20)) < 0.05).astype(np.uint8)
    net.export(tmp_path / "groups.net")
    expected = answers(predict(tmp_path / "groups.net", frames))
    x = torch.from_numpy(frames).float().transpose(1, 2)
    with torch.no_grad():
        out = net(x)
    assert (fit.scores(out).argmax(1).numpy() != expected).any() and len(set(expected)) == 3
    assert np.array_equal(fit.classes(net, out), expected)
    learner, told = fit.Learner(net, Task("toy", classes=3), 5, None), {}
    learner.log = lambda name, value, **_: told.update({name: float(value)})
    learner.training_step((x, torch.from_numpy(expected)), 0)
    assert told["train_accuracy"] == 1.0
    loader = SimpleNamespace(batch_size=300, dataset=range(300))
    learner._trainer = SimpleNamespace(val_dataloaders=loader, global_rank=0, world_size=1)
    learner.on_validation_epoch_start()
    learner.validation_step((x, torch.from_numpy(expected)), 0)
    assert learner.right == 300


@pytest.mark.filterwarnings("ignore")
def test_training_is_a_plain_loop_of_torch(tmp_path):
    """Utterances in torch's random order, the last batch smaller, label smoothing, the charge of spikes, clipped gradients, AdamW without
    decay, and one cycle of the learning rate over all steps."""
    import torch
    from torch.utils.data import DataLoader

    from lava_1m1t1r.recipes import fit, network

    task, frames = toy(batch=10, label_smoothing=0.1, spike_limit=1.0, spike_cost=40.0, learning_rate=0.01, seed=3)
    trained, plain = (network.m1t1r(task) for _ in range(2))
    plain.load_state_dict(trained.state_dict())
    fit.fit(trained, task, frames, tmp_path, progress=False)

    torch.manual_seed(task.seed)
    x, y = torch.from_numpy(frames.dense()).float().transpose(1, 2), torch.from_numpy(frames.labels)
    steps, done, clipped = task.epochs * -(-len(y) // task.batch), 0, 0
    optimiser = torch.optim.AdamW(plain.parameters(), lr=0.01, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.01, total_steps=steps, pct_start=max(0.1, 2 / steps))
    for _ in range(task.epochs):
        for places in DataLoader(range(len(y)), task.batch, shuffle=True):
            hidden = plain.blocks[0](x[places])
            logits = plain.blocks[1](hidden).sum(-1)
            loss = torch.nn.functional.cross_entropy(logits, y[places].long(), label_smoothing=0.1)
            excess = torch.relu(hidden.sum((1, 2)) - 1.0).mean() / task.hidden
            optimiser.zero_grad()
            (loss + 40.0 * min(1.0, 3 * done / steps) * excess).backward()
            clipped += torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0) > 1.0
            optimiser.step()
            schedule.step()
            done += 1
    assert 0 < clipped < steps == 9
    for (name, a), b in zip(trained.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8, msg=name)


def test_means_are_rounded_and_not_cut_to_counts():
    """Of groups of 23, which is the smallest size where that differs, but for 22."""
    from lava_1m1t1r.recipes import fit
    from lava_1m1t1r.slayer.block.m1t1r import Average

    average, x = Average(2), fit.torch.zeros(1, 46, 2)
    x[0, :7], x[0, 23:37, 0] = 1.0, 1.0  # 14 spikes either way
    assert fit.classes(SimpleNamespace(blocks=[average]), average(x)).tolist() == [0]
