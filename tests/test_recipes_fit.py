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
from words import spoken

from lava_1m1t1r import presets
from lava_1m1t1r.answers import answers, over_time, winner
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.fast import FastNetwork
from lava_1m1t1r.netx import schema
from lava_1m1t1r.program import LEARNABLE
from lava_1m1t1r.recipes import SHIPPED_NETWORK
from lava_1m1t1r.recipes.augment import Augmentation
from lava_1m1t1r.recipes.task import RECIPES, Task, recipe_for

pytest.importorskip("lightning", reason="training needs lightning (extra lava)")
pytestmark = pytest.mark.train


def toy(**changes):
    """Two words that differ in their channels, and a small task for them."""
    from lava_1m1t1r.recipes import data

    events = spoken(24, 2, channels=20, seconds=0.3)
    task = Task("toy", channels=20, classes=2, hidden=12, n_steps=40, epochs=3, batch=8).replace(**changes)
    return task, data.frames_of(events, task)


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


def test_a_longer_refractory_period_is_the_resistors():
    usual, longer = Task("t").step.device, Task("t", refractory=3.0)
    assert longer.step.device == dataclasses.replace(usual, r_control=3 * usual.r_control)
    assert "3 times its R_c" in longer.device_text and "R_c," not in Task("t").device_text


def test_recurrent_delays_are_drawn_from_none_to_the_largest():
    from lava_1m1t1r.recipes import network

    drawn = [network.m1t1r(toy(delay_rec=3, seed=seed)[0].replace(hidden=60)).hidden.delay_rec.tolist() for seed in (0, 0, 1)]
    assert set(drawn[0]) == {0, 1, 2, 3} and drawn[0] == drawn[1] != drawn[2]


def test_neurons_of_a_network_are_as_the_task_and_the_caller_say():
    from lava_1m1t1r.recipes import network
    from lava_1m1t1r.recipes.restore import restored

    task, _ = toy(learn=("mu",), variation=0.25, seed=7)
    usual, other = (network.m1t1r(task, **more).hidden.neuron for more in ({}, {"grow_cap": 0.7, "variation": 0.5}))
    assert tuple(usual.learned.logs()) == ("mu",) and (usual.variation, usual.seed) == (0.25, 7)
    assert (usual.surrogate.grow_cap, usual.surrogate.grow_floor) == (0.3, 0.1)
    assert (other.surrogate.grow_cap, other.surrogate.grow_floor, other.variation) == (0.7, 0.1, 0.5)
    back = restored(SHIPPED_NETWORK, grow_cap=0.7, variation=0.5).hidden.neuron
    assert (back.surrogate.grow_cap, back.surrogate.grow_floor, back.variation) == (0.7, 0.1, 0.5)


def test_spread_devices_are_drawn_once_and_go_into_the_file(tmp_path):
    import torch

    from lava_1m1t1r.recipes import network

    alike, task = (toy(spread=spread)[0].replace(hidden=40, seed=3) for spread in (0.0, 0.5))
    nominal, devices = alike.step.device, task.devices
    assert alike.devices == nominal and task.devices == devices != task.replace(seed=4).devices
    for name in LEARNABLE:
        logs = np.log(getattr(devices, name) / getattr(nominal, name))
        assert 0.35 < logs.std() < 0.65 and abs(np.median(logs)) < 0.3
    assert devices.v_th == nominal.v_th and devices.c_gate == nominal.c_gate
    assert "spread by 0.5" in task.device_text and "spread" not in alike.device_text
    net = network.m1t1r(task).eval()
    net.export(tmp_path / "spread.net")
    description = schema.read(tmp_path / "spread.net")
    held = description.layers[0].neuron.step.device
    assert all(getattr(held, name) == pytest.approx(getattr(devices, name)) for name in LEARNABLE)
    frames = (np.random.default_rng(0).random((2, 30, task.channels)) < 0.5).astype(np.uint8)
    with torch.no_grad():
        trained = net.layers(torch.from_numpy(frames).float().transpose(1, 2))
    simulated = FastNetwork(description).run(frames, record="spikes").layers
    assert trained[0].sum() > 0
    assert np.array_equal(simulated[0].out, trained[0].transpose(1, 2).numpy())


def test_taps_of_a_task_are_checked_and_train_and_evaluate_like_any_other(tmp_path):
    from lava_1m1t1r.recipes import fit, network
    from lava_1m1t1r.recipes.augment import Augmentation
    from lava_1m1t1r.recipes.evaluate import evaluate

    for taps in ((), (0, 0), (63,), (-1,), (0.5,)):
        with pytest.raises(InputError, match=r"^Task.taps(\[0\])? must "):
            Task("t", taps=taps)
    task, frames = toy(taps=(0, 5, 11), spike_limit=1.0, hidden=10)
    net = network.m1t1r(task)
    fit.fit(net, task, frames, tmp_path, augmentation=Augmentation.suiting(task), progress=False)
    net.eval()
    net.export(tmp_path / "network.net")
    result, ran = evaluate(tmp_path / "network.net", frames)
    assert result.accuracy > 0.6 and ran.layers[0].spikes.shape[2] == 10
    assert schema.read(tmp_path / "network.net").delay_lines.size == 3 * task.channels


@pytest.mark.parametrize("build", ["network.m1t1r", "network.cuba", "peers.alif", "peers.lsnn", "peers.synaptic"])
@pytest.mark.parametrize("smooth", [0.0, 2.0])
def test_a_synapse_has_one_delay_where_the_task_says_so(build, smooth):
    """One weight a neuron and channel, drawn from the seed; the spread of the sums is that of synapses without delays."""
    import torch

    from lava_1m1t1r.benchmarks import peers
    from lava_1m1t1r.recipes import network, synaptic_delays
    from lava_1m1t1r.slayer.quantise import quantised_weight

    for peer, library in (("peers.lsnn", "norse.torch"), ("peers.synaptic", "snntorch")):
        if build == peer:
            pytest.importorskip(library, reason=f"needs {library}")
    module, name = build.split(".")
    task, _ = toy()
    task = task.replace(channels=60, hidden=50, taps=(0, 5, 11), synaptic_delays=True, smooth=smooth)
    plain = task.replace(taps=(0,))

    def inputs(net):  # of peers in floating point: the module, and the name of its weight
        return (net.hidden.cell, "input_weights") if name == "lsnn" else (net.hidden.input, "weight")

    floating = name in ("lsnn", "synaptic")

    def weight(net):
        return getattr(*inputs(net)) if floating else quantised_weight(net.hidden.input_synapse)

    nets = [getattr({"network": network, "peers": peers}[module], name)(t) for t in (task, plain, task, task.replace(seed=1))]
    one, without, again, other = map(weight, nets)
    chosen = synaptic_delays.drawn(task)
    assert chosen.reshape(50, 3, 60).sum(1).eq(1).all() and chosen.float().mean(0).min() > 0.1
    assert torch.equal(one, again) and not torch.equal(chosen, synaptic_delays.drawn(task.replace(seed=1)))
    assert one[~chosen].eq(0).all() and one[chosen].ne(0).float().mean() > 0.8 and other[~chosen].ne(0).any()
    spread = float(without.std()) * (1 if not floating or not smooth else float(nets[1].hidden.blur.kernel.norm(dim=0).mean()))
    assert float(one[chosen].std()) == pytest.approx(spread, rel=0.2)
    assert peers.size_of(nets[0]) == peers.size_of(nets[1])
    module, own = inputs(nets[0]) if floating else (nets[0].hidden, "")
    latent = module.parametrizations[own].original if floating else module.input_synapse.weight
    one.sum().backward()
    assert smooth or latent.grad.reshape(one.shape)[~chosen].eq(0).all()
    copied, loaded = copy.deepcopy(nets[0]), copy.deepcopy(nets[0])
    loaded.load_state_dict(nets[3].state_dict())  # which synapses there are is a part of the state
    x = (torch.rand(2, 60, 40) < 0.3).float()
    assert torch.equal(copied(x), nets[0](x)) and torch.equal(loaded(x), nets[3](x))


def test_synaptic_delays_train_and_stand_in_the_file(tmp_path):
    from lava_1m1t1r.recipes import fit, network, synaptic_delays
    from lava_1m1t1r.recipes.evaluate import evaluate

    with pytest.raises(InputError, match="^Task.synaptic_delays must be"):
        Task("t", synaptic_delays=2)
    task, frames = toy(taps=(0, 5, 11), synaptic_delays=True, hidden=12, smooth=1.0)
    net = network.m1t1r(task)
    fit.fit(net, task, frames, tmp_path, progress=False)
    net.eval().export(tmp_path / "network.net")
    result, _ = evaluate(tmp_path / "network.net", frames)
    weight = schema.read(tmp_path / "network.net").active[0].weight
    assert result.accuracy > 0.6 and not weight[~synaptic_delays.drawn(task).numpy()].any()


def test_a_tasks_network_can_be_started_anew():
    import torch

    from lava_1m1t1r.recipes import network

    task = Task("toy", channels=40, classes=2, hidden=50, n_steps=40, taps=(0, 3), synaptic_delays=True, smooth=3.0)
    given, again = network.m1t1r(task), network.m1t1r(task)
    again.apply(lambda module: module.reset_parameters() if hasattr(module, "reset_parameters") else None)
    for name, value in given.state_dict().items():
        if value.numel() > 100 and value.is_floating_point():
            now = again.state_dict()[name]
            assert not torch.equal(now, value) and float(now.std()) == pytest.approx(float(value.std()), rel=0.1), name


def test_smooth_weights_are_whole_counts_with_the_spread_that_was_drawn():
    import torch

    from lava_1m1t1r.benchmarks.peers import Blur
    from lava_1m1t1r.recipes import network
    from lava_1m1t1r.slayer.quantise import quantised_weight

    task, _ = toy()
    rough, smooth = (network.m1t1r(t.replace(channels=140, hidden=64)).blocks[0].input_synapse for t in (task, task.replace(smooth=4.0)))
    before, after = quantised_weight(rough), quantised_weight(smooth)
    assert torch.equal(after * 32, (after * 32).round())
    assert float(after.std()) == pytest.approx(float(before.std()), rel=0.15)
    assert float(after.diff(dim=1).std()) < 0.3 * float(before.diff(dim=1).std())
    after.sum().backward()
    assert smooth.weight.grad is not None and torch.isfinite(smooth.weight.grad).all()
    x = torch.rand(2, 140, 5)
    kernel, raw = smooth.smooth.kernel, torch.randn(7, 140)
    middle = kernel[70].norm()
    torch.testing.assert_close(raw @ Blur(140, 4.0)(x), (raw @ kernel.T / middle) @ x)
    assert Blur(140, 0.0)(x) is x


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
    assert figure.axes[0].get_ylim()[1] == 1.1
    one = {name: value[:, :, :1] + (12 << 20) for name, value in states.items()}  # a gate of 1.5 V
    figure = figures.neuron_states(Result(spikes, (LayerRecord(spikes, spikes[:, :, :1], one),)), 0, StepParams(presets.ZHAO2025_FIG2))
    assert [ax.get_ylabel() for ax in figure.axes] == ["neuron 0"]
    assert figure.axes[0].get_ylim()[1] > 12 * 2**20 * StepParams(presets.ZHAO2025_FIG2).gate_lsb


WRONG = {
    **{"hidden": 0, "channels": 2.5, "epochs": -1, "batch": 0, "substeps": 65, "delay_rec": 63, "seed": -1, "spread": -0.1},
    **{"dt": 0.0, "slower": float("nan"), "learning_rate": -1.0, "v_unit": float("inf"), "variation": 1.5, "preset": "_HYPERBOLIC"},
    **{"refractory": 0.0, "smooth": -1.0, "label_smoothing": 1.0, "spike_limit": float("nan"), "spike_cost": "1", "learn": "mu"},
}


@pytest.mark.parametrize(
    ("name", "value"), [*WRONG.items(), ("hidden", "six"), ("learn", ("v_th",)), ("learn", ["mu", "mu"]), ("seed", 2**32)]
)
def test_a_task_refuses_what_cannot_be_trained_by_name(name, value):
    with pytest.raises(InputError, match=rf"Task\.{name} must"):
        Task("t", **{name: value})


def test_a_device_with_spreads_is_refused_with_the_option_that_draws_them():
    spread = dataclasses.replace(presets.ZHAO2025_FIG2, mu_dtod=0.3)
    with pytest.raises(
        InputError, match=r"Task\.device must .* got .*mu_dtod=0\.3.*\. Set its _dtod fields to 0: Task\.spread \(--spread\)"
    ):
        Task("t", device=spread)
    assert Task("t", device=dataclasses.replace(spread, mu_dtod=0.0), spread=0.3).devices.size == Task("t").hidden


def test_every_source_of_data_has_its_recipe(tmp_path):
    sources = {None: "spoken-digits", tmp_path: "shd", "words.h5": "recordings"}
    assert {source: recipe_for(source) for source in sources} == sources
    assert set(sources.values()) == set(RECIPES)


def test_every_recipe_has_its_augmentation():
    suiting = {name: Augmentation.suiting(task) for name, task in RECIPES.items()}
    usual = Augmentation(channel_shift=2)  # of 140 channels, ten in 700
    assert suiting["spoken-digits"] == usual and suiting["shd"] == dataclasses.replace(usual, channel_shift=6)
    assert suiting["recordings"] == dataclasses.replace(usual, channel_shift=8, drop=0.0)
    assert Augmentation.suiting(RECIPES["shd"], 7) == dataclasses.replace(usual, channel_shift=7)


def test_each_change_of_an_utterance_has_the_size_that_it_says(rng):
    frames = np.zeros((2000, 60, 30), np.uint8)
    frames[:, 40, 15] = 1

    def places(**sizes):
        none = dict(time_shift=0, channel_shift=0, stretch=0.0, channel_jitter=0.0, drop=0.0)
        return Augmentation(**{**none, **sizes})(frames, rng).nonzero()

    (b, t, c), first = places(), frames.copy()
    assert len(b) == 2000 and set(t) == {40} and set(c) == {15}
    for name, size, earliest, latest, low, high in (
        ("time_shift", 2, 38, 42, 15, 15),
        ("channel_shift", 3, 40, 40, 12, 18),
        ("stretch", 0.1, 36, 44, 15, 15),
    ):
        b, t, c = places(**{name: size})
        assert len(b) == 2000 and set(t) == set(range(earliest, latest + 1)) and set(c) == set(range(low, high + 1))
    moved = places(channel_jitter=1.0)[2]
    assert moved.std() == pytest.approx((1 + 1 / 12) ** 0.5, rel=0.1) and moved.mean() == pytest.approx(15, abs=0.1)
    assert len(places(drop=0.25)[0]) == pytest.approx(1500, rel=0.05)
    assert np.array_equal(frames, first)


def test_an_utterance_is_shifted_as_a_whole_and_what_leaves_its_frame_is_gone(rng):
    one = np.zeros((50, 20), np.uint8)
    one[[2, 10, 47], [3, 10, 18]] = 1
    wide = np.pad(one, 6)
    shifted = {wide[6 - t : 56 - t, 6 - c : 26 - c].tobytes() for t in range(-5, 6) for c in range(-4, 5)}
    made = Augmentation(time_shift=5, channel_shift=4, stretch=0.0, drop=0.0)(np.stack([one] * 300), rng)
    assert len({x.tobytes() for x in made}) > 50 and {x.tobytes() for x in made} <= shifted


def test_counts_move_with_their_events_and_the_largest_of_a_cell_stays(rng):
    counts = rng.poisson(0.5, (20, 50, 30)).astype(np.uint8)
    none = Augmentation(time_shift=0, channel_shift=0, stretch=0.0, drop=0.0)
    assert counts.max() > 2 and np.array_equal(none(counts, rng), counts)
    changes = dataclasses.replace(none, time_shift=3, channel_shift=2, stretch=0.5)  # at half the tempo, bins meet
    moved = changes(counts, np.random.default_rng(0))
    for least in range(1, counts.max() + 1):
        assert np.array_equal(moved >= least, changes(counts >= least, np.random.default_rng(0)))


def test_the_gaussian_over_channels_ends_at_the_edges_and_between_delay_lines():
    import torch

    from lava_1m1t1r.recipes import network
    from lava_1m1t1r.recipes.smooth import kernel, smoothed

    gauss = kernel(9, 2.0)
    torch.testing.assert_close(gauss.sum(1), torch.ones(9))
    assert all(torch.equal(kernel(9, tiny), torch.eye(9)) for tiny in (0.05, 1e-40, 1e-308))  # no number of 0 / 0
    assert float(gauss[4, 5] / gauss[4, 4]) == pytest.approx(np.exp(-0.125))
    weight = torch.zeros(1, 18)
    weight[0, 9] = 1
    torch.testing.assert_close(smoothed(weight, gauss), torch.cat([torch.zeros(9), gauss[:, 0]])[None])
    task, _ = toy(taps=(0, 5), smooth=2.0)
    torch.testing.assert_close(network.m1t1r(task).hidden.input_synapse.smooth.kernel, kernel(20, 2.0))


def test_what_does_not_learn_is_not_counted():
    import torch

    from lava_1m1t1r.benchmarks.peers import size_of

    part = torch.nn.Linear(3, 2)
    part.bias.requires_grad_(False)
    assert size_of(part) == 6


def test_a_device_without_integers_is_told_when_it_is_chosen():
    for name, value in {"refractory": 1e12, "dt": 1e5, "v_unit": 1e-9}.items():
        with pytest.raises(InputError, match=rf"Task: ZHAO2025_FIG2 with .*{name} {re.escape(f'{value:g}')}.* has no integers"):
            Task("t", **{name: value}).require_integers()
    for task in RECIPES.values():
        task.require_integers()


def test_a_price_of_spikes_leaves_the_network_as_it_was(tmp_path):
    import copy

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


def test_the_demo_wants_a_folder_before_it_trains():
    from lava_1m1t1r.recipes.demo import demo

    with pytest.raises(InputError, match="folder must be a path; got 5"):
        demo(toy()[0], None, 5)


def test_values_of_the_training_forward_that_differ_are_counted_in_every_batch(tmp_path):
    from lava_1m1t1r.recipes import demo, network

    task, frames = toy()
    net = network.m1t1r(task).eval()
    net.export(tmp_path / "a.net")
    fixed = FastNetwork(schema.read(tmp_path / "a.net")).run(frames.dense(), record="spikes")
    assert fixed.spike_count > 0 and demo.forward_differs(net, frames, fixed, batch=7) == 0
    fixed.layers[-1].out[[3, 9, 23], 0, 0] += 1
    assert demo.forward_differs(net, frames, fixed, batch=7) == demo.forward_differs(net, frames, fixed) == 3


def test_the_demos_other_network_learns_at_its_own_rate_in_a_folder_of_its_own(tmp_path, monkeypatch):
    import torch

    from lava_1m1t1r.recipes import CUBA_FILE, demo, fit, network

    asked, task = [], toy()[0]
    net = SimpleNamespace(eval=lambda: asked.append("eval"), export=lambda *given: asked.append(given))
    monkeypatch.setattr(network, "cuba", lambda _task: net)
    monkeypatch.setattr(fit, "fit", lambda *given, **options: asked.append((given, options, torch.get_num_threads())))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        demo._train_cuba(task, "frames", tmp_path, ("a", "b"), True)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    options = {"augmentation": Augmentation.suiting(task), "resume": True}
    trained = ((net, task.replace(learning_rate=network.CUBA_LEARNING_RATE), "frames", tmp_path / "cuba"), options, 1)
    assert asked == [trained, "eval", (tmp_path / CUBA_FILE, ("a", "b"))]


def test_the_demo_trains_with_what_suits_its_data(tmp_path, monkeypatch):
    from lava_1m1t1r.recipes import data, demo, fit

    pytest.importorskip("matplotlib")
    asked, heard = [], spoken((6, 6))
    split = data.Split(heard.of_speakers(0), heard.of_speakers(1), "words", "speaker 1")
    task = data.fitted(RECIPES["recordings"].replace(hidden=4), split)

    def fitted(*_, **options):
        asked.append(options)
        raise InputError("enough seen")

    monkeypatch.setattr(fit, "fit", fitted)
    with pytest.raises(InputError, match="enough seen"):
        demo.demo(task, split, tmp_path, resume=True)
    assert asked == [{"augmentation": Augmentation.suiting(task), "resume": True}]


@pytest.mark.parametrize("resume", [True, False])
def test_a_demo_that_starts_afresh_leaves_no_checkpoint_of_another_to_go_on_from(resume, tmp_path, monkeypatch):
    """Ended before it came to CUBA and resumed, it trained its first network to the end, and was refused at an earlier run's CUBA."""
    from lava_1m1t1r.recipes import CHECKPOINT_FILE, data, demo, fit

    pytest.importorskip("matplotlib")

    def ended(*_, **_options):
        raise KeyboardInterrupt

    heard, of_cuba = spoken((6, 6)), tmp_path / "cuba" / CHECKPOINT_FILE
    split = data.Split(heard.of_speakers(0), heard.of_speakers(1), "words", "speaker 1")
    of_cuba.parent.mkdir()
    of_cuba.write_text("of an earlier run")
    monkeypatch.setattr(fit, "fit", ended)
    with pytest.raises(KeyboardInterrupt):
        demo.demo(data.fitted(RECIPES["recordings"].replace(hidden=4), split), split, tmp_path, resume=resume)
    assert of_cuba.exists() == resume


def test_a_network_that_the_demo_cannot_write_leaves_the_earlier_report(tmp_path, monkeypatch):
    from lava_1m1t1r.recipes import data, demo, fit

    pytest.importorskip("matplotlib")

    def diverged(net, *_, **__):
        net.blocks[-1].synapse.weight.data[:] = np.nan
        return SimpleNamespace(curve=[])

    heard = spoken((6, 6))
    split = data.Split(heard.of_speakers(0), heard.of_speakers(1), "words", "speaker 1")
    for name in ("results.json", "report.html"):
        (tmp_path / name).write_text("of an earlier run")
    monkeypatch.setattr(fit, "fit", diverged)
    with pytest.raises(InputError, match="nan"):
        demo.demo(data.fitted(RECIPES["recordings"].replace(hidden=4), split), split, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "results.json"]


def test_the_demo_states_energies_of_its_spikes_and_of_the_slowed_down_device():
    from lava_1m1t1r.device.energy import spike_energy
    from lava_1m1t1r.recipes import page

    task = toy()[0]
    one = spike_energy(task.measured, float(task.measured.v_ref), 1e-3)
    found = page.energy_of(task.measured, task.slower, 250.0)
    for name, joule in (
        ("spike_memristor_branch", one.input_to_pulse_end),
        ("spike_total", one.total),
        ("spike_slowed_down", task.slower * one.input_to_pulse_end),  # by a gate that is as much larger
        ("spike_slowed_down_total", task.slower * one.total),
        ("utterance_memristor_branch", 250 * one.input_to_pulse_end),
    ):
        assert found[f"joule_per_{name}"] == pytest.approx(joule, rel=0.02, abs=0), name
    assert found["text"].startswith("250 spikes per utterance, at 4.61 pJ each") and "give 1153 pJ" in found["text"]
    assert "would need 184 pJ per spike and 46.1 nJ per utterance" in found["text"]
    assert f"would add {task.slower * one.supply * 1e12:.0f} pJ per spike" in found["text"]
    assert "pulses of 0.001 s (0.04 s for" in found["assumptions"]


@pytest.mark.parametrize(
    ("device", "slower", "spikes", "words"),
    [
        ("FIG2", 40.0, 0.4, ("0.4 spikes per utterance, at 4.61 pJ each", "give 1.84 pJ", "184 pJ per spike and 0.0738 nJ")),
        ("TABLE8", 1e6, 999.7, ("1000 spikes per utterance, at 2.59e-06 pJ each", "give 0.00259 pJ", "2.59 pJ per spike and 2.59 nJ")),
    ],
)
def test_energies_of_any_size_have_three_digits(device, slower, spikes, words):
    from lava_1m1t1r.recipes import page

    text = page.energy_of(getattr(presets, f"ZHAO2025_{device}"), slower, spikes)["text"]
    assert [part for part in words if part not in text] == []


def test_the_energy_is_that_of_the_device_modelled_or_of_the_median_one_without_noise():
    from lava_1m1t1r.recipes import page

    task = Task("t", refractory=3.0)
    device, slower = page._device(SimpleNamespace(task=task))
    assert (device.mu, device.r_control, slower) == pytest.approx((task.measured.mu, 3 * task.measured.r_control, 40.0))
    own = dataclasses.replace(presets.ZHAO2025_FIG2, mu=np.array([80.0, 90.0, 130.0]), sigma1=0.01)
    net = SimpleNamespace(active=[SimpleNamespace(m1t1r=SimpleNamespace(step=SimpleNamespace(device=own)))])
    device, slower = page._device(SimpleNamespace(task=None, net=net))
    assert (device.mu, device.sigma1, slower) == (90.0, 0.0, 1.0)


def test_the_page_explains_the_sizes_of_the_network():
    from lava_1m1t1r.recipes import page

    net = schema.read(SHIPPED_NETWORK)
    said = page._lead(SimpleNamespace(net=net, task=None, is_ours=True))
    assert said.startswith("Network 140x4-128R-20: input channels (x4: with so many delays each), neurons of each layer (R: recurrent), ")
    said = page._lead(SimpleNamespace(net=SimpleNamespace(sizes="8-4", delay_lines=None), task=None, is_ours=False))
    assert said == "Network 8-4: input channels, neurons of each layer (R: recurrent), outputs."


def test_the_demo_shows_the_busiest_of_the_utterances_that_are_answered_rightly(monkeypatch):
    from lava_1m1t1r.recipes import page

    spikes, out = np.zeros((4, 3, 2), np.uint8), np.zeros((4, 3, 2), np.uint8)
    for utterance, (fired, answer) in enumerate(((1, 0), (2, 1), (3, 0), (0, 1))):
        spikes[utterance, :fired], out[utterance, 0, answer] = 1, 1
    shown, said = [], []
    monkeypatch.setattr(page, "FastNetwork", lambda _net: SimpleNamespace(run=lambda frames, record: None))
    monkeypatch.setattr(page, "figures", SimpleNamespace(rasters=lambda *_: None, neuron_states=lambda *_: None))
    step = SimpleNamespace(dt=1e-2)
    found = SimpleNamespace(
        fixed=SimpleNamespace(layers=[SimpleNamespace(spikes=spikes)], out=out),
        test=SimpleNamespace(labels=np.array([0, 1, 1, 1]), dense=shown.append),
        keys=("no", "yes"),
        net=SimpleNamespace(active=[SimpleNamespace(m1t1r=SimpleNamespace(step=step))]),
    )
    report = SimpleNamespace(section=lambda *words: said.append(words), figure=lambda *_: None)
    page._one_utterance(report, found)
    assert shown == [[1]] and said == [("One utterance", "Its class is 'yes', and the answer 'yes'.")]
    found.test.labels[:3] = 1, 0, 1
    page._one_utterance(report, found)
    assert shown[1:] == [[3]]  # the only right one, without a spike


def test_the_demos_results_name_its_data_and_its_chance():
    from lava_1m1t1r.recipes import demo, page

    task, frames = toy()
    task = task.replace(classes=4)
    result, worked = SimpleNamespace(as_dict=lambda: {"accuracy": 0.75}), SimpleNamespace(energy={}, advice=SimpleNamespace(as_dict=dict))
    baseline = SimpleNamespace(accuracy=0.5, spikes=90.0)
    found = page.Found(None, "words", "ann", dataclasses.replace(frames, cropped=0.125), result, None, task, baseline, 0.25)
    numbers = demo.numbers_of(found, worked, task, 7)
    expected = {"data": "words", "held_out": "ann", "train_utterances": 7, "test_utterances": 24, "accuracy": 0.75, "chance": 0.25}
    expected |= {"same_answer_lava": 0.25, "cuba_accuracy": 0.5, "cuba_spikes": 90.0, "cropped_share": 0.125}
    assert {name: numbers[name] for name in expected} == expected and numbers["task"]["classes"] == 4
    without = demo.numbers_of(found._replace(baseline=None), worked, task, 7)
    assert without["cuba_accuracy"] is None is without["cuba_spikes"]


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


def test_a_reports_energy_names_the_load():
    from lava_1m1t1r.recipes.page import energy_of

    device = presets.ZHAO2025_FIG2
    assert f"({device.r_load / 1e3:.3g} kOhm at" in energy_of(device, 40.0, 100.0)["text"]
