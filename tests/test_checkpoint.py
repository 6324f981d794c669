"""The file from which training goes on: nothing in it is run, damage and another run are told from it, and what it holds comes back."""

import dataclasses
import io
import json
import os
import pickle
import random
import re
import sys
import zipfile

import numpy as np
import pytest

pytest.importorskip("lightning", reason="training needs lightning (extra lava)")
pytest.importorskip("lava.lib.dl.slayer", reason="training needs lava-dl (extra lava)")

import torch
from command import started
from words import spoken

from lava_1m1t1r.errors import FormatError, InputError, option_name
from lava_1m1t1r.recipes import checkpoint, data, fit, network
from lava_1m1t1r.recipes.augment import Augmentation
from lava_1m1t1r.recipes.task import recipe
from lava_1m1t1r.slayer.delay import Delay

pytestmark = [pytest.mark.train, pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore")]
TASK = recipe("spoken-digits").replace(taps=(0,), channels=20, classes=2, hidden=6, n_steps=20, epochs=2, batch=8)


def frames(seed=0, task=TASK):
    return data.frames_of(spoken(16, 2, seed, channels=20, seconds=0.2), task)


def train(folder, task=TASK, seed=0, build=network.m1t1r, **options):
    net = build(task)
    fit.fit(net, task, frames(seed, task), folder, progress=False, **options)
    return net


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    train(folder)
    return (folder / "last.ckpt").read_bytes()


@pytest.fixture
def last(content, tmp_path):
    (tmp_path / "last.ckpt").write_bytes(content)
    return tmp_path / "last.ckpt"


def test_an_error_without_words_is_told_by_its_name(tmp_path, monkeypatch):
    def short(*_args, **_options):
        raise MemoryError

    checkpoint.write(tmp_path / "a", {"state_dict": {}, "run": {}})
    monkeypatch.setattr(checkpoint.np, "load", short)
    with pytest.raises(FormatError, match="a checkpoint of lava_1m1t1r; MemoryError"):
        checkpoint.read(tmp_path / "a")


def test_what_is_written_comes_back(tmp_path):
    values = {
        "state_dict": {"w": torch.arange(6.0).reshape(2, 3), "empty": torch.zeros(0, 3)},
        "run": {"big": 2**127 + 1, "nothing": None, "text": "café", "odd": float("inf")},
        "list": [1, (2.5, True), {3: np.arange(4, dtype=np.uint16)}],
        "left out": {"function": len},
    }
    checkpoint.write(tmp_path / "a", values)
    found = checkpoint.read(tmp_path / "a")
    assert torch.equal(found["state_dict"]["w"], values["state_dict"]["w"]) and found["state_dict"]["empty"].shape == (0, 3)
    assert found["run"] == values["run"] and found["list"][:2] == [1, (2.5, True)] and found["left out"] == {}
    assert found["list"][2][3].dtype == np.uint16
    with pytest.raises(TypeError, match="object cannot be kept"):
        checkpoint.write(tmp_path / "b", {"x": object()})
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


class Bomb:
    def __reduce__(self):

        return os.mkdir, ("exploded",)


def test_a_network_of_sixteen_bits_is_trained_and_goes_on(tmp_path):
    def narrow(task):
        return network.m1t1r(task).bfloat16()

    train(tmp_path, build=narrow)
    content = (tmp_path / "last.ckpt").read_bytes()
    train(tmp_path, build=narrow, resume=True)
    assert (tmp_path / "last.ckpt").read_bytes() == content and b"bfloat16" not in content


def pickled(path):
    path.write_bytes(pickle.dumps(Bomb()))


def lightnings(path):
    torch.save({"state_dict": {}, "run": {}, "bomb": Bomb()}, path)


def legacy(path):
    torch.save({"state_dict": {}, "bomb": Bomb()}, path, _use_new_zipfile_serialization=False)


def bomb_in_numpy(path):
    np.savez(open(path, "wb"), tree=np.array([Bomb()], object))


def bomb_of_zeros(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("tree.npy", bytes(1 << 28))


def array_that_claims(path):
    head = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,), }".ljust(117) + b"\n"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("tree.npy", b"\x93NUMPY\x01\x00v\x00" + head)


def text_only(path):
    path.write_text("a checkpoint")


def empty(path):
    path.write_bytes(b"")


def cut(path):
    path.write_bytes(path.read_bytes()[:-2000])


def flipped(path):
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"state_dict")] ^= 1  # in an array: zip's own headers have bits that nobody reads
    path.write_bytes(raw)


def retold(change):
    def damage(path):
        with np.load(path) as file:
            arrays = dict(file)
        tree = json.loads(arrays.pop("tree").tobytes())
        change(tree)
        buffer = io.BytesIO()
        np.savez(buffer, tree=np.frombuffer(json.dumps(tree).encode(), np.uint8), **arrays)
        path.write_bytes(buffer.getvalue())

    return damage


def entry(tree, name):
    return next(pair for pair in tree["values"]["map"] if pair[0] == name)


DAMAGE = {
    "pickle": pickled,
    "Lightning's": lightnings,
    "torch's old form": legacy,
    "pickle in numpy": bomb_in_numpy,
    "zip bomb": bomb_of_zeros,
    "array that claims 8 TB": array_that_claims,
    "text": text_only,
    "empty": empty,
    "cut": cut,
    "one bit": flipped,
    "earlier version": retold(lambda tree: tree.update(version=1)),
    "later version": retold(lambda tree: tree.update(version=99)),
    "other format": retold(lambda tree: tree.update(format="x" * 9999)),
    "list instead of a tree": retold(lambda tree: tree.update(values=[])),
    "no network": retold(lambda tree: entry(tree, "state_dict").__setitem__(1, 3)),
    "array that is not there": retold(lambda tree: entry(tree, "state_dict").__setitem__(1, {"tensor": 999})),
    "no loops": retold(lambda tree: tree["values"]["map"].remove(entry(tree, "loops"))),
    "no random state": retold(lambda tree: entry(tree, "random").__setitem__(1, {"map": []})),
    "no optimiser": retold(lambda tree: entry(tree, "optimizer_states").__setitem__(1, [{"map": []}])),
    "surrogates of nonsense": retold(lambda tree: entry(tree, "surrogates").__setitem__(1, {"map": [["blocks.0.neuron", 3]]})),
    "schedule of nonsense": retold(lambda tree: entry(tree, "lr_schedulers").__setitem__(1, [3])),
    "epoch of nonsense": retold(lambda tree: entry(tree, "loops").__setitem__(1, {"map": [["fit_loop", 3]]})),
}


ALL_BUT = {  # where it is a checkpoint all the same
    "list instead of a tree": "must hold a network and what the run was started with; got 'neither'",
    "no network": "must hold a network and what the run was started with; got 'neither'",
    "no loops": r"must hold \['loops'\]; got",
    "no random state": "must hold a run that can go on",
    "no optimiser": "must hold a run that can go on",
    "surrogates of nonsense": "must hold a run that can go on",
    "schedule of nonsense": "must hold a run that can go on",
    "epoch of nonsense": "must hold a run that can go on",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_told_and_nothing_is_run(damage, last, monkeypatch):
    monkeypatch.chdir(last.parent)
    DAMAGE[damage](last)
    words = ALL_BUT.get(damage, "must be a checkpoint of lava_1m1t1r; ")
    with pytest.raises(FormatError, match=f"{re.escape(str(last))} {words}(.|\n)*[Ss]tart afresh"):
        train(last.parent, resume=True)
    assert [p.name for p in last.parent.iterdir()] == ["last.ckpt"]


CHANGES = {
    "epochs": "--epochs must be what the run of .*last.ckpt was started with, 2; got 3. Give --epochs 2",
    "hidden": "--hidden must .* 6; got 7",
    "seed": "--seed must .* 0; got 1",
    "batch": "--batch must .* 8; got 9",
    "learning_rate": "--learning-rate must .* 0.02; got 1.02",
    "variation": "--variation must .* 0.0; got 1.0",
    "delay_rec": "delay_rec must .* 20; got 21",
}


@pytest.mark.parametrize("name", CHANGES)
def test_another_run_is_refused_by_the_name_of_its_option(name, last):
    before = last.read_bytes()
    with pytest.raises(InputError, match=CHANGES[name]):
        train(last.parent, dataclasses.replace(TASK, **{name: getattr(TASK, name) + 1}), resume=True)
    assert last.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "value", "cure"),
    [("taps", (0, 3), "Use the version .* had no such choice, to go on"), ("spike_limit", 30.0, "Give no --spike-limit to go on")],
)
def test_a_choice_that_the_earlier_version_did_not_have_is_not_asked_for(name, value, cure, last):
    """Unless that means to leave it out."""
    retold(lambda tree: (run := entry(tree, "run")[1]["map"]).remove(next(pair for pair in run if pair[0] == name)))(last)
    with pytest.raises(InputError, match=f"{option_name(name)} must .*, None; got .*{cure}. Or start afresh"):
        train(last.parent, dataclasses.replace(TASK, **{name: value}), resume=True)
    if name == "spike_limit":
        train(last.parent, resume=True)


def test_a_run_of_other_processes_is_refused(last, monkeypatch):
    monkeypatch.setattr(fit, "processes", lambda: (0, 2, 2))
    monkeypatch.setattr(fit, "_trainer", lambda *_: pytest.fail("it goes on"))
    with pytest.raises(InputError, match="processes must be what the run of .*last.ckpt was started with, 1; got 2"):
        train(last.parent, resume=True)


@pytest.mark.slow
def test_options_are_given_as_they_are_typed(tmp_path):
    learning = dataclasses.replace(TASK, epochs=1, learn=("mu", "beta"))
    train(tmp_path, learning)
    with pytest.raises(InputError, match="Give --learn mu beta to go on"):
        train(tmp_path, dataclasses.replace(learning, learn=()), resume=True)


@pytest.mark.parametrize(
    ("began", "reason", "gone"),
    [
        (True, "[gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:4", True),
        (False, "[gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:4", False),
        (True, "The server socket has failed to listen: Address already in use", False),
    ],
)
def test_a_process_that_is_gone_is_told(began, reason, gone, tmp_path, monkeypatch):
    class Left:
        def fit(self, learner, *_, **__):
            learner.began = began
            raise RuntimeError(reason)

    monkeypatch.setattr(fit, "processes", lambda: (0, 2, 1))
    monkeypatch.setattr(fit, "_trainer", lambda *_: Left())
    words = rf"another process of the run has ended \({re.escape(reason)}\). .*--resume" if gone else f"^{re.escape(reason)}$"
    with pytest.raises(InputError if gone else RuntimeError, match=words):
        train(tmp_path)


def test_devices_with_other_fields_are_told_apart():
    one, other = checkpoint._other_devices({"mu": 1.0, "gone": 2.0}, {"mu": 1.0, "new": 3.0})
    assert (one, other) == ({"gone": 2.0, "new": None}, {"gone": None, "new": 3.0})


def test_a_device_and_a_network_to_start_from_are_files(tmp_path):
    device = dataclasses.replace(TASK.measured, mu=170.0)
    own = TASK.replace(device=device, epochs=1)
    train(tmp_path / "own", own)
    words = "--device must be what the run of .* was started with, {}; got {}. Give {} to go on"
    for other, was, got in (
        (dataclasses.replace(device, mu=171.0), "{'mu': 170.0}", "{'mu': 171.0}"),
        (None, "'another'", '"a preset\'s"'),
    ):
        with pytest.raises(InputError, match=words.format(was, got, "--device the file that it was started with")):
            train(tmp_path / "own", own.replace(device=other) if other else dataclasses.replace(own, device=None), resume=True)
    train(tmp_path / "preset", TASK.replace(epochs=1))
    with pytest.raises(InputError, match=words.format('"a preset\'s"', "'another'", "no --device")):
        train(tmp_path / "preset", own, resume=True)


def test_a_recipe_is_asked_for_by_its_option_too(tmp_path):
    """Of one that was given, the data were said to be others, and were not: its frames were longer."""
    started, asked = ({"recipe": name, "training data": name} for name in ("recordings", "shd"))
    cure = r"\(--data\), or, if you did, --recipe recordings to go on"
    with pytest.raises(InputError, match=rf"^--recipe must be .*'recordings'; got 'shd'\. It follows the data: give those .* {cure}"):
        checkpoint.same_run(tmp_path, {checkpoint.RUN: started}, asked)


@pytest.mark.parametrize("asked", [True, False])
def test_switches_are_named_as_they_are_typed(asked, tmp_path):
    task = TASK.replace(taps=(0, 3), synaptic_delays=not asked, epochs=1)
    train(tmp_path, task)
    option = "--no-synaptic-delays" if asked else "--synaptic-delays"
    with pytest.raises(InputError, match=f"--synaptic-delays must .*; got {asked}. Give {option} to go on"):
        train(tmp_path, task.replace(synaptic_delays=asked), resume=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seed": 1}, r"training data \(--data.* must .*16 utterances"),
        ({"augmentation": Augmentation()}, r"augmentation \(--channel-shift, --no-augmentation\) must"),
        ({"build": network.cuba}, "network must .* 'Network'; got 'Cuba'"),
        ({"validation": frames()}, r"validation data \(--validate, --validation-data\) must"),
        ({"validation": frames(), "patience": 2}, "--patience must .* None; got 2. Give no --patience to go on"),
    ],
)
def test_other_data_or_another_network_are_refused(options, words, last):
    with pytest.raises(InputError, match=words):
        train(last.parent, resume=True, **options)


def changed(change=lambda net: None, **neuron):
    def build(task):
        net = network.m1t1r(task, **neuron)
        change(net)
        return net

    return build


def freeze(net):
    net.blocks[0].recurrent_synapse.weight.requires_grad_(False)


def in_halves(weight, descale=False):
    return torch.round(2 * weight) / 2


OTHERS = {
    "v_unit": (changed(v_unit=0.25), r"network.blocks.0.neuron must .* 'v_unit=0.125'; got 'v_unit=0.25'"),
    "tau_grad": (changed(tau_grad=0.4), r"network.blocks.0.neuron must .* 'tau_grad=0.3'; got 'tau_grad=0.4'"),
    "devices": (
        changed(params=dataclasses.replace(TASK.step.device, mu_dtod=0.1).spread(6, 0)),
        r"neuron must .*; got 'mu=<6 values, crc32 ",
    ),
    "shift": (
        changed(lambda net: setattr(net.blocks[0], "delay_shift", False)),
        r"blocks.0 must .* 'delay_shift=True'; got 'delay_shift=F",
    ),
    "quantiser": (
        changed(lambda net: setattr(net.blocks[1].synapse, "pre_hook_fx", in_halves)),
        r"blocks.1.synapse must .*; got .*in_halves",
    ),
    "order": (changed(lambda net: setattr(net, "blocks", net.blocks[::-1])), r"network.blocks.0 must .* 'Recurrent, .*; got 'Affine"),
    "one more": (changed(lambda net: net.blocks.append(torch.nn.Dropout(0.2))), r"network.blocks.2 must .* 'absent'; got 'Dropout, p=0.2"),
    "one less": (changed(lambda net: net.blocks.pop(1)), r"network.blocks.1 must .* 'Affine, .*; got 'absent'"),
    "frozen": (changed(freeze), r"network.blocks.0.recurrent_synapse.weight must .* 'absent'; got 'does not learn'"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_network_made_otherwise_is_refused_by_what_differs(other, last):
    build, words = OTHERS[other]
    with pytest.raises(InputError, match=words):
        train(last.parent, resume=True, build=build)


def test_nonsense_about_the_network_is_another_network(last):
    retold(lambda tree: entry(tree, "run")[1]["map"].extend([[3, 4], ["network.blocks", 5]]))(last)
    with pytest.raises(InputError, match=r"network.blocks must .* '5'; got 'ModuleList'"):
        train(last.parent, resume=True)


def test_a_refused_run_leaves_the_network_as_it_was(last):
    net = network.m1t1r(TASK)
    before = [p.clone() for p in net.parameters()]
    with pytest.raises(InputError, match="--spike-limit must"):
        fit.fit(net, TASK.replace(spike_limit=1.0), frames(), last.parent, resume=True, progress=False)
    assert not any(module._forward_hooks for module in net.modules())
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


def test_delays_and_augmentation_go_on_as_if_never_stopped(tmp_path, monkeypatch):
    options = {"build": changed(lambda net: setattr(net.blocks[0], "delay", Delay())), "augmentation": Augmentation()}
    whole = train(tmp_path / "whole", **options)
    with monkeypatch.context() as patch:
        patch.setattr(fit.Learner, "on_train_epoch_end", lambda self: setattr(self.trainer, "should_stop", True), raising=False)
        first = train(tmp_path / "stopped", **options)
    resumed = train(tmp_path / "stopped", resume=True, **options)
    assert whole.blocks[0].delay.delay.shape == (6,)
    assert not torch.equal(first.blocks[0].input_synapse.weight, whole.blocks[0].input_synapse.weight)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


@pytest.mark.parametrize("draw", [np.random.rand, lambda n: np.array([random.random() for _ in range(n)])], ids=["numpy", "python"])
def test_numbers_of_numpy_and_python_go_on_as_if_never_stopped(draw, tmp_path):
    class Drop(torch.nn.Module):
        def forward(self, x):
            return x * torch.from_numpy(draw(x.shape[1]) > 0.3)[:, None] if self.training else x

    def build(task):
        net = network.m1t1r(task)
        net.blocks.insert(0, Drop())
        return net

    def stop(epoch):
        raise KeyboardInterrupt

    whole = train(tmp_path / "whole", build=build)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped", build=build, on_epoch=stop)
    assert equal(whole, train(tmp_path / "stopped", build=build, resume=True).parameters())


def test_checkpoints_without_numbers_of_numpy_go_on(last):
    def forget(tree):
        numbers = entry(tree, "random")[1][0]["map"]
        kept = [one for one in numbers if one[0] not in ("numpy", "python", "gpus")]
        assert len(kept) == len(numbers) - 3
        numbers[:] = kept

    retold(forget)(last)
    train(last.parent, resume=True)


def test_annealed_surrogates_go_on_as_if_never_stopped(tmp_path):
    task, made = TASK.replace(epochs=3), []

    def build(task):
        made.append(network.m1t1r(task))
        return made[-1]

    def halve(epoch):
        made[-1].hidden.neuron.tau_grad /= 2

    def stop(epoch):
        halve(epoch)
        raise KeyboardInterrupt

    def trained(folder, on_epoch, **options):
        return train(tmp_path / folder, task, build=build, on_epoch=on_epoch, **options)

    whole, plain = trained("whole", halve), trained("plain", None)
    with pytest.raises(KeyboardInterrupt):
        trained("stopped", stop)
    resumed = trained("stopped", halve, resume=True)
    assert whole.hidden.neuron.tau_grad == resumed.hidden.neuron.tau_grad == plain.hidden.neuron.tau_grad / 8
    assert equal(whole, resumed.parameters()) and not equal(whole, plain.parameters())


def test_checkpoints_without_surrogates_go_on(last):
    retold(lambda tree: tree["values"]["map"].remove(entry(tree, "surrogates")))(last)
    assert train(last.parent, resume=True).hidden.neuron.tau_grad == network.m1t1r(TASK).hidden.neuron.tau_grad


ACCURACIES = (0.5, 0.9, 0.7, 0.9, 0.95)
"""Of validation, one an epoch: with a patience of two epochs, training stops after the fourth, and the second is the first of the best."""


def told(learner):
    learner.log("accuracy", ACCURACIES[learner.current_epoch])


def watched(folder, **options):
    """Train with a patience of two epochs; returns the network and the parameters after each epoch."""
    task, after, net = TASK.replace(epochs=5), [], network.m1t1r(TASK)

    def seen(_epoch):
        after.append([value.detach().clone() for value in net.parameters()])

    fit.fit(net, task, frames(), folder, validation=frames(1), patience=2, on_epoch=seen, progress=False, **options)
    return net, after


def equal(net, parameters):
    return all(torch.equal(a, b) for a, b in zip(net.parameters(), parameters, strict=True))


def test_with_patience_the_best_epoch_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(fit.Learner, "on_validation_epoch_end", told)
    net, after = watched(tmp_path)
    assert len(after) == 4 and equal(net, after[1]) and not equal(net, after[3])
    again, none = watched(tmp_path, resume=True)  # of a run that has stopped
    assert none == [] and equal(again, after[1])


def test_the_best_epoch_is_kept_over_an_interruption(tmp_path, monkeypatch):
    monkeypatch.setattr(fit.Learner, "on_validation_epoch_end", told)
    _, after = watched(tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(fit.Learner, "on_train_epoch_end", third, raising=False)
        watched(tmp_path / "stopped")
    resumed, rest = watched(tmp_path / "stopped", resume=True)
    assert len(rest) == 1 and equal(resumed, after[1])


def third(learner):
    learner.trainer.should_stop = learner.current_epoch == 2


@pytest.mark.parametrize("stopped", [True, False])
def test_a_best_epoch_that_is_damaged_or_absent_is_told_before_any_training(stopped, tmp_path, monkeypatch):
    monkeypatch.setattr(fit.Learner, "on_validation_epoch_end", told)
    with monkeypatch.context() as patch:
        if not stopped:
            patch.setattr(fit.Learner, "on_train_epoch_end", third, raising=False)
        watched(tmp_path)
    found = checkpoint.read(tmp_path / "last.ckpt")
    found["callbacks"]["Best"]["parameters"].popitem()
    checkpoint.write(tmp_path / "last.ckpt", found)
    monkeypatch.setattr(fit.Learner, "training_step", None)
    with pytest.raises(InputError, match=r"last.ckpt: network.blocks.* must have the shape .* got None"):
        watched(tmp_path, resume=True)
    del found["callbacks"]["Best"]  # as earlier versions wrote it
    checkpoint.write(tmp_path / "last.ckpt", found)
    with pytest.raises(FormatError, match=r"last.ckpt must hold the best epoch so far; got .* Start afresh"):
        watched(tmp_path, resume=True)


def test_the_best_epoch_is_named_whenever_a_run_ends(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(fit.Learner, "on_validation_epoch_end", told)
    for resume in (False, True):
        net = network.m1t1r(TASK)
        best = fit.fit(net, TASK.replace(epochs=5), frames(), tmp_path, validation=frames(1), patience=2, resume=resume)
        assert (best.epoch, round(best.accuracy, 6)) == (2, 0.9)
        assert "the network is that of epoch 2, the best in validation (90.0%)" in capfd.readouterr().err


def test_a_resumed_run_knows_every_epoch(tmp_path, monkeypatch):
    """Also where the numbers of its checkpoint are damaged, or absent, as in those of earlier versions."""

    def go(epochs=4, **options):
        return fit.fit(network.m1t1r(TASK), TASK.replace(epochs=epochs), frames(), tmp_path, progress=False, **options).curve

    whole = go()
    with monkeypatch.context() as patch:
        patch.setattr(fit.Learner, "on_train_epoch_end", third, raising=False)
        assert go() == whole[:3]
    assert str(go(resume=True)) == str(whole) and [epoch["epoch"] for epoch in whole] == [1, 2, 3, 4]
    assert go(resume=True) == whole  # of a run that is finished
    found = checkpoint.read(tmp_path / "last.ckpt")
    found["callbacks"]["Curve"]["epochs"][1]["loss"] = "little"
    checkpoint.write(tmp_path / "last.ckpt", found)
    with pytest.raises(FormatError, match=r"last.ckpt must hold a run that can go on; could not convert .*little.* Start afresh"):
        go(resume=True)
    del found["callbacks"]["Curve"]
    checkpoint.write(tmp_path / "last.ckpt", found)
    assert go(resume=True) == []


def test_the_network_of_lava_dl_goes_on_as_if_it_was_never_stopped(tmp_path, monkeypatch):
    """Its block keeps the last batch's spikes, which once were in the checkpoint, and fitted no network made anew."""
    made = []

    def go(folder, **options):
        made.append(network.cuba(TASK))
        return fit.fit(made[-1], TASK.replace(epochs=4), frames(), tmp_path / folder, progress=False, **options).curve

    whole = go("whole")
    with monkeypatch.context() as patch:
        patch.setattr(fit.Learner, "on_train_epoch_end", third, raising=False)
        assert go("stopped") == whole[:3]
    assert go("stopped", resume=True) == whole
    assert all(torch.equal(a, b) for a, b in zip(made[0].parameters(), made[2].parameters(), strict=True))


def test_no_epochs_leave_a_checkpoint_of_the_network_as_it_is(tmp_path):
    task = TASK.replace(epochs=0)
    net = network.m1t1r(task)
    fit.fit(net, task, frames(), tmp_path, progress=False)
    assert (tmp_path / "last.ckpt").is_file()
    other = network.m1t1r(task)
    with torch.no_grad():
        other.blocks[1].synapse.weight.zero_()
    fit.fit(other, task, frames(), tmp_path, resume=True, progress=False)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))


def test_parameters_of_another_shape(last):
    retold(lambda tree: entry(tree, "state_dict").__setitem__(1, {"map": []}))(last)
    with pytest.raises(InputError, match=r"last.ckpt: network.blocks.* must have the shape .* got None"):
        train(last.parent, resume=True)


def test_a_finished_run_is_finished(last):
    before = last.read_bytes()
    once = train(last.parent, resume=True)
    again = train(last.parent, resume=True)
    assert all(torch.equal(a, b) for a, b in zip(once.parameters(), again.parameters(), strict=True))
    assert checkpoint.read(last)["epoch"] == 1 and len(last.read_bytes()) == len(before)


def test_without_a_checkpoint_it_starts_afresh_and_says_so(tmp_path, capfd):
    net = network.m1t1r(TASK)
    fit.fit(net, TASK, frames(), tmp_path / "new", resume=True)
    said = capfd.readouterr().err
    assert f"no checkpoint in {tmp_path / 'new'} to go on from: starting afresh" in said
    assert "epoch 1 of 2: loss" in said and "GPU" not in said  # a line an epoch, where there is no terminal


def test_a_run_that_starts_afresh_replaces_the_old_checkpoint(last):
    train(last.parent, dataclasses.replace(TASK, seed=5))
    assert [p.name for p in last.parent.iterdir()] == ["last.ckpt"]
    assert checkpoint.read(last)["run"]["seed"] == 5


def test_a_run_goes_on_in_a_moved_folder(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(fit.Learner, "on_train_epoch_end", lambda self: setattr(self.trainer, "should_stop", True), raising=False)
        train(tmp_path / "stopped")
    (tmp_path / "stopped").rename(tmp_path / "moved")
    epochs = []
    train(tmp_path / "moved", resume=True, on_epoch=lambda epoch: epochs.append(epoch["epoch"]))
    assert epochs == [2]


def test_a_full_disk_is_told_once_and_leaves_nothing(tmp_path):
    script = (
        "import resource, numpy as np; from lava_1m1t1r.recipes import checkpoint\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: checkpoint.write('last.ckpt', {'weights': np.zeros(10000)})\n"
        "except OSError as error: print(error)\n"
    )
    done = started([sys.executable, "-c", script], cwd=tmp_path)
    assert "File too large" in done.stdout and "Exception ignored" not in done.stderr, done.stderr
    assert not list(tmp_path.iterdir())


def test_every_option_of_train_that_is_a_choice_of_the_task_is_named_when_a_run_cannot_go_on():
    import argparse

    from lava_1m1t1r.commands import train
    from lava_1m1t1r.recipes.checkpoint import OPTIONS

    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    fields = {field.name for field in dataclasses.fields(type(TASK))}
    options = {action.dest for action in parser._actions}
    assert options & fields <= set(OPTIONS)
