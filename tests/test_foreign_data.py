"""Data as others bring them: what does not fit a network, or would be taken for something else, is told with a cure that works."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from lava_1m1t1r import cli
from lava_1m1t1r.commands import _common, _samples
from lava_1m1t1r.datasets import EventSet, read_shd, write_shd
from lava_1m1t1r.description import CubaNeuron, Layer, NetDescription, check_frames
from lava_1m1t1r.errors import FormatError, InputError
from lava_1m1t1r.netx.schema import read, write
from lava_1m1t1r.recipes.task import recipe


def events(n_channels=16, labels=(3, 7, 9), units=16, keys=(), length=0.5, seed=0):
    rng = np.random.default_rng(seed)
    spikes = [(np.sort(rng.random(40) * length).astype(np.float32), rng.integers(0, units, 40)) for _ in range(3 * len(labels))]
    return EventSet.from_utterances(spikes, [*labels] * 3, np.repeat([0, 1, 2], len(labels)), keys=keys, n_channels=n_channels)


@pytest.fixture
def net(tmp_path, monkeypatch):
    """A network of 16 inputs and 10 outputs, without names of classes, in a file."""
    monkeypatch.chdir(tmp_path)
    shipped = read(_common.network_path("shipped"))
    neuron = shipped.active[0].neuron
    rng = np.random.default_rng(1)
    hidden, out = ((rng.integers(-20, 60, size) * 2).astype(np.int32) for size in ((12, 16), (10, 12)))
    write("mine.net", NetDescription((Layer(0, "dense", (12,), 16, hidden, neuron=neuron), Layer(1, "affine", (10,), 12, out))))
    return read("mine.net")


def hints_of(net, file, capsys, *options):
    args = cli.parser().parse_args(["evaluate", "mine.net", "--data", file, *(options or ["--all-speakers"])])
    _samples.frames_to_test(args, net)
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("hint")]


@pytest.mark.parametrize(
    ("n_channels", "units", "hinted"),
    [
        (16, 16, None),
        (32, 16, "the 32 channels of mine are grouped into the network's 16 inputs."),
        (700, 16, "spikes of mine are of channels 0 to 15 of 700, which fall into 1 of the 16 inputs."),
        (700, 700, None),  # an ear's, which are grouped as a rule
    ],
)
def test_channels_that_are_grouped_are_told(n_channels, units, hinted, net, capsys):
    write_shd("mine.h5", events(n_channels, units=units))
    told = hints_of(net, "mine.h5", capsys)
    assert len(told) == (hinted is not None) and (hinted is None or hinted in told[0])


@pytest.mark.parametrize("told", [{"data": "mine"}, {"data": "other", "files": {"test_data": "folder/mine.h5"}}])
def test_channels_of_the_training_are_grouped_without_a_word(told, net, capsys):
    write_shd("mine.h5", events(32))
    Path("results.json").write_text(json.dumps(told))
    assert not hints_of(net, "mine.h5", capsys)
    Path("results.json").write_text(json.dumps({"data": "other", "files": None}))
    assert len(hints_of(net, "mine.h5", capsys)) == 1


def test_another_file_of_the_same_name_is_not_that_of_the_training(net, capsys):
    """Files of training and test sets are often called alike, in two folders."""
    Path("train").mkdir()
    Path("test").mkdir()
    for folder in ("train", "test"):
        write_shd(f"{folder}/mine.h5", events(32))
    Path("results.json").write_text(json.dumps({"data": "mine", "files": {"data": "train/mine.h5"}}))
    assert not hints_of(net, "train/mine.h5", capsys) and len(hints_of(net, "test/mine.h5", capsys)) == 1
    Path("train/mine.h5").unlink()  # moved, maybe to where the other is
    assert not hints_of(net, "test/mine.h5", capsys)
    Path("results.json").write_text(json.dumps({"data": "mine", "channels": 20}))
    (told,) = hints_of(net, "test/mine.h5", capsys)
    assert "the 32 channels of mine are grouped into the network's 16 inputs." in told


@pytest.mark.parametrize("command", ["evaluate mine.net --data few.h5 --all-speakers", "adapt mine.net --stranger few.h5 --data few.h5"])
def test_fewer_channels_than_inputs_are_refused(command, net, capsys):
    write_shd("few.h5", events(8, units=8))
    assert cli.main(command.split()) == 2
    assert "must have the network's 16 channels or more; got 8" in capsys.readouterr().err


def test_classes_that_the_training_left_out_are_none_of_other_data(net, capsys):
    write_shd("mine.h5", events())
    assert not hints_of(net, "mine.h5", capsys)
    write_shd("other.h5", events(labels=(0, 1, 2)))
    (told,) = hints_of(net, "other.h5", capsys)
    assert "the data hold 3 classes, numbered up to 2, the network has 10 outputs. Was it trained on other data?" in told


def test_a_network_that_names_no_step_is_told(net, capsys):
    write_shd("mine.h5", events())
    neuron = CubaNeuron(threshold=64, current_decay=1024, voltage_decay=128)
    cuba = replace(net, layers=(replace(net.layers[0], neuron=neuron), net.layers[1]))
    assert cuba.dt is None
    (told,) = hints_of(cuba, "mine.h5", capsys)
    assert "does not say how long a step is: bins of 10 ms are assumed" in told


def test_more_classes_than_shds_are_named_by_the_cure(tmp_path):
    path = write_shd(tmp_path / "many.h5", events(labels=(0, 21, 34), keys=[f"word {k}" for k in range(35)]))
    with h5py.File(path, "a") as file:
        del file["extra/keys"]
    cure = r"got 21\. More classes than SHD's 20 need names, a column of texts in extra/keys; or in Python give n_classes"
    with pytest.raises(FormatError, match=cure):
        read_shd(path)
    with pytest.raises(FormatError, match=r"lie in 0\.\.4; got 21\.$"):  # as was asked for
        read_shd(path, n_classes=5)
    with h5py.File(path, "a") as file:
        file["extra/keys"] = [f"word {k}" for k in range(35)]
    assert read_shd(path).keys[34] == "word 34"


@pytest.mark.parametrize("name", ["extra/keys", "extra/speaker", "extra/meta_info/speaker_names"])
def test_names_that_are_no_utf_8_are_told(name, tmp_path):
    """With replaced letters, Möller and Müller were one speaker."""
    path = write_shd(tmp_path / "latin.h5", events(labels=(0, 1)))
    with h5py.File(path, "a") as file:
        if name in file:
            del file[name]
        file[name] = np.array(["Möller".encode("latin-1"), b"Anna"])
    with pytest.raises(FormatError, match=f"{name} must hold texts in UTF-8"):
        read_shd(path)


@pytest.mark.parametrize("noted", [False, True])
def test_the_cure_for_more_channels_works(noted, tmp_path):
    path = write_shd(tmp_path / "more.h5", events(16 if noted else 700, units=16))
    with h5py.File(path, "a") as file:
        file["spikes/units"][0] = np.full(40, 800, np.uint16)
        file["spikes/times"][0] = np.linspace(0, 0.1, 40, dtype=np.float32)
    with pytest.raises(FormatError) as refused:
        read_shd(path)
    assert ("Without either it is 700" in str(refused.value)) != noted
    place = str(refused.value).partition("in the file: ")[2].partition(" = N")[0]
    handle, _, rest = place.partition(")")
    with eval(handle + ")", {"h5py": h5py}) as file:  # as it stands in the cure
        exec(f"file{rest} = 900", {"file": file})
    assert read_shd(path).n_channels == 900


def test_the_cure_for_a_device_that_is_too_fast_works(capsys):
    with pytest.raises(InputError, match=r"Make slower \(--slower\) larger"):
        recipe("recordings").replace(preset="ZHAO2025_TABLE8").require_integers()
    recipe("recordings").replace(preset="ZHAO2025_TABLE8", slower=4e4).require_integers()
    with pytest.raises(InputError, match=r"Make slower \(--slower\) smaller"):
        recipe("recordings").replace(slower=1e9).require_integers()
    with pytest.raises(SystemExit):  # no network steps of it, whatever the options
        cli.main(["train", "--preset", "ZHAO2025_FIG3CD"])
    assert "invalid choice: 'ZHAO2025_FIG3CD'" in capsys.readouterr().err


def test_frames_of_an_event_camera_with_time_first_are_flattened_by_the_cure(net):
    images = np.zeros((6, 60, 4, 2, 2), np.uint8)
    with pytest.raises(InputError, match=r"frames\.reshape\(B, T, C \* H \* W\)"):
        check_frames(images, net)
    assert check_frames(images.reshape(6, 60, -1), net).shape == (6, 60, 16)
    with pytest.raises(InputError, match=r"frames must have shape \(B, T, C\)"):
        check_frames(images[:0], net)
    with pytest.raises(InputError, match=r"frames\.reshape\(B, C \* H \* W, T\)\.transpose\(0, 2, 1\)"):
        check_frames(images.transpose(0, 2, 3, 4, 1), net)


def test_a_training_at_the_step_of_lava_dl_is_nothing_unusual(tmp_path, capsys):
    from lava_1m1t1r.recipes import data

    write_shd(tmp_path / "mine.h5", events(labels=(0, 1, 2), length=1.2))
    assert data.fitted(recipe("recordings").replace(dt=1e-3), data.load(tmp_path / "mine.h5")).n_steps > 1000
    assert "are many" not in capsys.readouterr().err


def test_bins_by_the_thousand_are_told_and_by_the_million_refused(tmp_path, capsys):
    from lava_1m1t1r.recipes import data

    write_shd(tmp_path / "mine.h5", events(labels=(0, 1, 2), length=50.0))
    split = data.load(tmp_path / "mine.h5")
    data.fitted(recipe("recordings"), split)
    assert "bins of 10 ms an utterance are many. Times in files are in seconds." in capsys.readouterr().err
    with pytest.raises(InputError, match=r"dt \[s\] must make at most 10000000 bins of utterances of .* s; got 1e-06"):
        data.fitted(recipe("recordings").replace(dt=1e-6), split)
    for steps in (90, 2000):  # who says so means it
        data.fitted(recipe("recordings"), split, steps)
    assert "are many" not in capsys.readouterr().err


@pytest.mark.train
def test_commands_are_printed_so_that_they_work(tmp_path, monkeypatch, capsys):
    """Names that begin with a dash, or hold a space."""
    monkeypatch.chdir(tmp_path)
    write_shd("mine.h5", events(labels=(0, 1, 2)))
    write_shd("-t.h5", events(labels=(0, 1, 2), seed=1))
    assert cli.main("train --data mine.h5 --test-data=-t.h5 --hidden 8 --epochs 1 --channel-shift 0 -o=-runs".split()) == 0
    again = capsys.readouterr().out.splitlines()[-1]
    assert again.startswith("again: lava-1m1t1r evaluate ./-runs/network.net --data=-t.h5 ")
    assert cli.main(shlex.split(again.removeprefix("again: lava-1m1t1r "))) == 0
    (tmp_path / "my wavs/a").mkdir(parents=True)
    (tmp_path / "my wavs/a/x.wav").touch()
    assert cli.main(["train", "--data", "my wavs"]) == 2
    assert "encode 'my wavs' -o FILE.h5" in capsys.readouterr().err
