"""Training that starts from a network's file: whose classes are whose, what is kept, and what is refused."""

import copy
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from realisations import draw
from words import spoken

from lava_1m1t1r import StepParams, cli, presets
from lava_1m1t1r.datasets import write_shd
from lava_1m1t1r.description import CubaNeuron, Layer, M1T1RNeuron, NetDescription
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.fast import FastNetwork
from lava_1m1t1r.netx.schema import read
from lava_1m1t1r.recipes import SHIPPED_NETWORK, data, start
from lava_1m1t1r.recipes.augment import Augmentation
from lava_1m1t1r.recipes.task import recipe

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def shipped():
    return read(SHIPPED_NETWORK)


def events(keys=(), labels=(0, 1, 2) * 4, channels=700):
    return replace(spoken((6, 6), channels=channels), labels=np.array(labels), keys=keys)


def split(*args, **kwargs):
    found = events(*args, **kwargs)
    return data.Split(found.without_speakers(1), found.of_speakers(1), "mine", "speaker 1")


def test_classes_are_known_by_their_names(shipped):
    begin = start.start(shipped, split(("nine", "null", "two")))
    assert begin.keeps_readout and begin.outputs == 20 and begin.classes == shipped.classes
    assert sorted(set(begin.split.train.labels.tolist())) == [2, 9, 10] == sorted(set(begin.split.test.labels.tolist()))


@pytest.mark.parametrize("named", ["train", "test"])
def test_of_two_files_one_that_names_no_classes_has_the_names_of_the_other(tmp_path, shipped, named):
    words = ("three", "two", "one", "zero")
    for speaker, name in enumerate(("train", "test")):
        write_shd(tmp_path / f"{name}.h5", events(words if name == named else (), (0, 1, 2, 3) * 3).of_speakers(speaker))
    found = data.load(tmp_path / "train.h5", test=tmp_path / "test.h5")
    begin = start.start(shipped, found)
    for before, after in ((found.train, begin.split.train), (found.test, begin.split.test)):
        assert [words[label] for label in before.labels] == [shipped.classes[label] for label in after.labels]


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("train", "labels of the test set must lie in 0..2, as training names 3 classes; got 3"),
        ("test", "labels of the training set must lie in 0..2, as the test set names 3 classes; got 3"),
    ],
)
def test_a_label_beyond_the_names_of_the_other_file_is_told(tmp_path, named, words):
    for speaker, name in enumerate(("train", "test")):
        own = events(("two", "one", "zero")) if name == named else events(labels=(0, 1, 2, 3) * 3)
        write_shd(tmp_path / f"{name}.h5", own.of_speakers(speaker))
    with pytest.raises(InputError, match=words):
        data.load(tmp_path / "train.h5", test=tmp_path / "test.h5")


def test_keys_that_no_utterance_has_do_not_count(shipped):
    begin = start.start(shipped, split(("low", "zero", "one"), labels=(1, 2) * 6))
    assert begin.keeps_readout and sorted(set(begin.split.train.labels.tolist())) == [0, 1]


def test_other_neurons_are_refused_by_their_name(shipped):
    cuba = replace(shipped, layers=tuple(replace(x, neuron=CubaNeuron(9, 9, 80)) if x.neuron else x for x in shipped.layers))
    with pytest.raises(InputError, match=r"must hold 1M1T1R neurons; got \['CubaNeuron'\]"):
        start.suited(recipe("recordings"), cuba)


@pytest.mark.parametrize(("named", "labels", "outputs"), [(True, (0, 1, 2) * 4, 20), (False, (0, 3, 19) * 4, 20)], ids=("network", "none"))
def test_classes_without_names_go_by_their_numbers(shipped, named, labels, outputs, capsys):
    net = shipped if named else replace(shipped, classes=())
    begin = start.start(net, split(labels=labels))
    assert begin.keeps_readout and begin.outputs == outputs and begin.classes == net.classes
    assert set(begin.split.test.labels.tolist()) == set(labels)
    hint = "have no names: they are taken for the first of .*digits.net's \\(zero, one, two\\). Are they others"
    assert bool(re.search(hint, capsys.readouterr().err)) == named


@pytest.mark.train
@pytest.mark.parametrize(("options", "words"), [((), "prepared"), (("--synthetic", "2"), "--synthetic must be used with data that name")])
def test_the_networks_words_are_not_spoken_for_classes_without_names(options, words, tmp_path, monkeypatch, capsys):
    """They may be others; nor is it proposed to speak them."""

    def prepared(*_, **_options):
        raise InputError("prepared")

    path = write_shd(tmp_path / "unnamed.h5", events(labels=(0, 1, 19) * 4))
    monkeypatch.setattr(data, "frames_of", prepared)
    assert cli.main(["train", "--start", "shipped", "--data", str(path), *options, "-o", str(tmp_path / "out")]) == cli.USAGE_ERROR
    said = capsys.readouterr().err
    assert words in said and "--synthetic 200" not in said


@pytest.mark.parametrize("keys", [(), ("zero", "one", "two")], ids=("the network alone", "the network, with the same first"))
def test_validation_is_numbered_as_the_network_whoever_names_the_classes_of_the_training(keys, tmp_path, shipped):
    begin = start.start(shipped, split(keys))
    words = ("two", "zero", "null")
    path = write_shd(tmp_path / "valid.h5", replace(spoken((6,), seed=1), keys=words))
    watched = data.validation_of(begin.split, path)
    assert [shipped.classes[label] for label in watched.labels] == [words[label] for label in spoken((6,), seed=1).labels]


@pytest.mark.train
def test_a_validation_file_without_names_is_numbered_as_the_data_are_not_as_the_network(tmp_path, shipped, monkeypatch):
    """As a test file without names is."""
    words, seen = ("two", "zero", "one"), []

    def prepared(watched, _task):
        seen.extend(shipped.classes[label] for label in watched.labels)
        raise InputError("prepared")

    monkeypatch.setattr(data, "frames_of", prepared)
    sets = {name: replace(spoken((6,), seed=seed), keys=()) for seed, name in enumerate(("train", "test", "valid"))}
    sets["train"] = replace(sets["train"], keys=words)
    files = {name: str(write_shd(tmp_path / f"{name}.h5", found)) for name, found in sets.items()}
    options = ["--data", files["train"], "--test-data", files["test"], "--validation-data", files["valid"]]
    assert cli.main(["train", "--start", "shipped", *options, "-o", str(tmp_path / "run")]) == cli.USAGE_ERROR
    assert seen == [words[label] for label in sets["valid"].labels]


def test_validation_is_numbered_as_the_test_set_where_training_has_fewer_classes(tmp_path):
    for place, (name, keys) in enumerate((("train", ("a", "b", "c")), ("test", ("a", "x", "y")), ("valid", ("y", "a", "z")))):
        write_shd(tmp_path / f"{name}.h5", replace(spoken((6,), seed=place), keys=keys))
    found = data.load(tmp_path / "train.h5", test=tmp_path / "test.h5")
    watched = data.validation_of(found, tmp_path / "valid.h5")
    assert found.test.keys == ("a", "b", "c", "x", "y") and watched.labels.tolist() == [4, 0, 5] * 2


def test_outputs_without_names_get_those_of_the_data_only_where_all_have_one():
    hidden = Layer(0, "dense", (5,), 20, np.full((5, 20), 250, np.int32), neuron=M1T1RNeuron(StepParams(presets.ZHAO2025_FIG2)))
    net = NetDescription((hidden, Layer(1, "affine", (2,), 5, np.full((2, 5), 40, np.int32))))
    for keys, names in ((("a",), ()), (("a", "b"), ("a", "b"))):
        begin = start.start(net, split(keys, [0, len(keys) - 1] * 6, channels=20))
        assert (begin.classes, begin.outputs, begin.keeps_readout) == (names, 2, True)


@pytest.mark.train
@pytest.mark.parametrize(
    ("keys", "labels", "words"),
    [
        (("low", "middle", "high"), (0, 1, 2) * 4, "(3: low, middle, high) are not those of"),
        (("zero", "one", "high"), (0, 1, 2) * 4, "(3: zero, one, high) are not those of"),
        ((), (0, 1, 25) * 4, "(0 to 25) are not those of"),
    ],
    ids=("names", "one name", "numbers"),
)
def test_other_classes_get_a_readout_of_their_own(shipped, keys, labels, words, capsys):
    import torch

    begin = start.start(shipped, split(keys, labels))
    assert not begin.keeps_readout and begin.outputs == max(labels) + 1 and begin.classes == keys
    assert words in capsys.readouterr().err
    one, same, other = (start.network(begin, seed) for seed in (0, 0, 1))
    weights = [net.blocks[-1].synapse.weight for net in (one, same, other)]
    assert weights[0].shape[:2] == (begin.outputs, 128)
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    hidden = one.hidden.input_synapse
    assert torch.equal(64 * hidden.weight.detach().reshape(128, -1), torch.from_numpy(shipped.active[0].weight.astype(np.float32)))
    assert (hidden.weight_mask.reshape(128, 4, 140).sum(1) == 1).all(), "each synapse has its delay, also one whose weight is 0 now"
    assert not hasattr(one.hidden.recurrent_synapse, "weight_mask")
    assert torch.equal(copy.deepcopy(one).hidden.input_synapse.weight, hidden.weight)


@pytest.mark.train
def test_a_network_starts_with_the_answers_of_its_file(shipped):
    import torch

    found = split(("zero", "one", "two"))
    begin = start.start(shipped, found)
    task = start.suited(recipe("recordings"), shipped)
    assert (task.channels, task.dt, task.hidden) == (140, 0.01, 128)
    frames = data.frames_of(begin.split.test, data.fitted(task, begin.split)).dense()
    net = start.network(begin, 0).eval()
    out = net(torch.from_numpy(frames).float().transpose(1, 2)).detach().transpose(1, 2)
    assert np.array_equal(np.rint(64 * out.numpy()), FastNetwork(shipped).run(frames).out)


def test_a_neuron_that_hears_a_channel_twice_hears_all():
    neuron = M1T1RNeuron(StepParams(presets.ZHAO2025_FIG2))
    lines = Layer(0, "delay_lines", (6,), 3, delay=np.repeat([0, 2], 3))
    weight = np.array([[4, 0, 0, 0, 4, 0], [0, 0, 4, 4, 4, 0]], np.int32)
    heard = start._delays_heard(NetDescription((lines, Layer(1, "dense", (2,), 6, weight, neuron=neuron))))
    assert heard.astype(int).tolist() == [[1, 0, 1, 0, 1, 0], [0, 0, 1, 1, 1, 0]]
    weight[1, 0] = 4
    assert start._delays_heard(NetDescription((lines, Layer(1, "dense", (2,), 6, weight, neuron=neuron)))) is None


@pytest.mark.train
def test_what_cannot_start_is_refused(shipped, rng):
    with pytest.raises(InputError, match="mine: channels must be at least the 140 inputs of .*spoken_digits.net; got 70"):
        start.start(shipped, split(channels=70))
    with pytest.raises(InputError, match="must hear channels; got 'images'"):
        start.suited(recipe("recordings"), draw("convolution", rng).net)
    readout = NetDescription((Layer(0, "affine", (2,), 4, np.full((2, 4), 20, np.int32)),))
    with pytest.raises(InputError, match="must hold neurons"):
        start.suited(recipe("recordings"), readout)
    spiking = replace(shipped, layers=shipped.layers[:-1], classes=())
    with pytest.raises(InputError, match=r"must end in a readout \(affine\)"):
        start.network(start.Start(spiking, split(), (), 3, False), 0)


@pytest.mark.train
def test_the_command_goes_on_from_a_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_shd("mine.h5", events(("low", "middle", "high")))
    one = ["train", "--start", "shipped", "--data", "mine.h5", "--epochs", "1", "-o", "one"]
    assert cli.main(one) == 0
    assert "they get a readout of their own" in capsys.readouterr().err
    first = read("one/network.net")
    results = Path("one/results.json").read_text()
    for more in ([], ["--resume"]):
        assert cli.main(["train", "--start", "one/network.net", "--data", "mine.h5", "-o", "./one", *more]) == cli.USAGE_ERROR
        assert (
            "--out must be another folder than that of --start's network, which would be replaced; got './one'" in capsys.readouterr().err
        )
    assert Path("one/results.json").read_text() == results
    assert first.classes == ("low", "middle", "high") and first.sizes == "140x4-128R-3"
    assert cli.main(["train", "--start", "one/network.net", "--data", "mine.h5", "--epochs", "8", "-o", "two", "--learn", "mu"]) == 0
    second = read("two/network.net")
    assert second.classes == first.classes and not np.array_equal(second.active[1].weight, first.active[1].weight)
    assert np.ptp(second.active[0].step.device.mu) > 0
    capsys.readouterr()
    assert cli.main([*one[:-1], "two", "--resume"]) == cli.USAGE_ERROR
    said = capsys.readouterr().err
    assert "--start must be what the run of two/last.ckpt was started with, 'network.net (" in said
    assert "Give --start the file that it was started with to go on" in said
    results = json.loads(Path("two/results.json").read_text())
    assert results["start"] == "one/network.net" and results["task"]["taps"] is None and results["task"]["epochs"] == 8
    assert cli.main(["train", "--data", "mine.h5", "--epochs", "1", "--hidden", "128", "-o", "one", "--resume"]) == cli.USAGE_ERROR
    assert "--start must be what the run of one/last.ckpt was started with, 'spoken_digits.net (" in capsys.readouterr().err


@pytest.mark.train
@pytest.mark.parametrize("begin", [[], ["--start", "shipped"]], ids=("anew", "from a file"))
def test_training_is_as_the_command_is_told(begin, tmp_path, monkeypatch):
    from lava_1m1t1r.recipes import fit

    trained = []

    def fitted(net, task, *_, **options):
        trained.append((net.hidden.neuron, task, options))
        raise InputError("enough seen")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fit, "fit", fitted)
    write_shd("mine.h5", events(("low", "middle", "high")))
    told = ["--learn", "mu", "--variation", "0.1", "--channel-shift", "5", "--batch", "7", "--resume"]
    assert cli.main(["train", *begin, "--data", "mine.h5", *told]) == cli.USAGE_ERROR
    ((neuron, task, options),) = trained
    assert neuron.variation == 0.1 and neuron.learned.log_mu.requires_grad and task.batch == 7
    assert options == {"validation": None, "augmentation": Augmentation.suiting(task, 5), "resume": True, "patience": None}
