"""Networks whose biases are adapted to a stranger."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from words import spoken

from lava_1m1t1r import cli
from lava_1m1t1r.commands import _common
from lava_1m1t1r.datasets import EventSet, write_shd
from lava_1m1t1r.description import CubaNeuron
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.fast import FastNetwork
from lava_1m1t1r.netx.schema import read, write
from lava_1m1t1r.recipes import data
from lava_1m1t1r.recipes.adapt import accuracy_of_adapted, adapted, is_adaptable, rates
from lava_1m1t1r.recipes.task import recipe
from lava_1m1t1r.sums import BIAS_BOUNDS


@pytest.fixture(scope="module")
def net():
    return read(_common.network_path("shipped"))


@pytest.fixture(scope="module")
def frames():
    return data.frames_of(spoken((12, 12)), recipe("spoken-digits")).dense()


def stranger(frames):
    """The same words where half of the channels are heard a fifth as often."""
    kept = np.random.default_rng(0).random(frames.shape) < np.where(np.arange(frames.shape[2]) % 2, 0.2, 1.0)
    return frames * kept


def test_rates_are_means_of_spikes(net, frames, monkeypatch):
    spikes = FastNetwork(net).run(frames, record="spikes").layers[0].spikes
    monkeypatch.setattr("lava_1m1t1r.recipes.adapt._TOGETHER", 7)  # the last part is smaller
    np.testing.assert_array_equal(rates(net, frames), spikes.sum(1).mean(0))


def test_neurons_spike_as_often_as_usual_and_nothing_else_changes(net, frames, tmp_path):
    usual, heard = rates(net, frames), stranger(frames)
    before = net.active[0].bias.copy()
    found = adapted(net, heard, usual)
    off, less_off = (np.abs(rates(one, heard) - usual).mean() for one in (net, found))
    assert less_off < 0.5 * off
    assert np.array_equal(net.active[0].bias, before) and not np.array_equal(found.active[0].bias, before)
    place = next(i for i, layer in enumerate(found.layers) if layer is found.active[0])
    layers = [*found.layers]
    layers[place] = replace(layers[place], bias=before)
    assert replace(found, layers=tuple(layers)) == net
    write(tmp_path / "own.net", found)
    again = read(tmp_path / "own.net")
    np.testing.assert_array_equal(FastNetwork(again).run(heard).out, FastNetwork(found).run(heard).out)
    np.testing.assert_array_equal(adapted(tmp_path / "own.net", heard, usual).active[0].bias, adapted(found, heard, usual).active[0].bias)


def test_whoever_makes_neurons_spike_as_often_as_usual_changes_nothing(net, frames):
    assert adapted(net, frames, rates(net, frames)) == net


def test_biases_stay_what_files_hold(net, frames):
    layer, place = net.active[0], next(i for i, layer in enumerate(net.layers) if layer is net.active[0])
    edge = replace(layer, bias=np.full(layer.size, BIAS_BOUNDS[1] - 1, np.int32))
    high = replace(net, layers=(*net.layers[:place], edge, *net.layers[place + 1 :]))
    assert adapted(high, frames, np.full(layer.size, 80.0)).active[0].bias.max() == BIAS_BOUNDS[1]


def test_accuracy_is_that_on_utterances_which_were_not_heard(net, frames, monkeypatch):
    """The network that was adapted by one half of each speaker's utterances answers the other half."""
    speakers, seen = np.repeat([4, 1], 12), []

    def noted(given, heard, usual):
        seen.append(len(heard))
        return given

    usual, out = rates(net, frames), FastNetwork(net).run(frames).out
    labels = np.where(np.arange(24) < 12, out.sum(1).argmax(1), 19)  # one speaker is understood, and the other is not
    assert np.all(out.sum(1).argmax(1) != 19)
    monkeypatch.setattr("lava_1m1t1r.recipes.adapt.adapted", noted)
    assert accuracy_of_adapted(net, usual, frames, labels, speakers) == 0.5 and seen == [6, 6]
    assert accuracy_of_adapted(net, usual, frames, labels, None) is None
    assert accuracy_of_adapted(net, usual, frames, labels, np.arange(24)) is None


def test_what_cannot_be_adapted_is_refused(net, frames):
    usual = np.ones(net.active[0].size)
    for wrong, words in (
        (usual[1:], r"usual must have the shape \(128,\)"),
        (0 * usual, "usual numbers of spikes must not all be 0; got 0. Is the network silent"),
        (-usual, "usual must be numbers >= 0"),
        (usual * np.nan, "usual must be finite"),
    ):
        with pytest.raises(InputError, match=words):
            adapted(net, frames, wrong)
    with pytest.raises(InputError, match="frames must hold at least one utterance"):
        adapted(net, frames[:0], usual)
    cuba = replace(net, layers=tuple(replace(layer, neuron=CubaNeuron(9, 9, 80)) if layer.neuron else layer for layer in net.layers))
    assert is_adaptable(net) and not is_adaptable(cuba)
    with pytest.raises(InputError, match="must be dense, recurrent or not, of 1M1T1R neurons, to be adapted; got 'dense_rec'"):
        rates(cuba, frames)


# --- the command --------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A file of three speakers, and one of a speaker without names for classes."""
    monkeypatch.chdir(tmp_path)
    write_shd("mine.h5", spoken((6, 6, 6)))
    write_shd("ben.h5", replace(spoken(9, seed=1), keys=()))


def test_a_network_is_adapted_to_the_speaker_left_out_by_the_others(net, files, capsys):
    assert cli.main("adapt shipped --data mine.h5 --leave-out 1 -o one/adapted.net --json".split()) in (0, 1)
    found = json.loads(capsys.readouterr().out)
    assert found["utterances"] == 6 and found["speaker"] == "speaker 1" and found["data"] == "mine"
    heard = spoken((6, 6, 6))
    task = recipe("recordings").replace(channels=net.inputs)
    training, stranger = (data.frames_of(part, task.replace(n_steps=90)) for part in (heard.without_speakers(1), heard.of_speakers(1)))
    usual = rates(net, training.dense())
    expected = adapted(net, stranger.dense(), usual)
    np.testing.assert_array_equal(read("one/adapted.net").active[0].bias, expected.active[0].bias)
    assert read("one/adapted.net").classes == net.classes
    after = np.abs(rates(expected, stranger.dense()) - usual).mean() / usual.mean()
    assert found["after"] == pytest.approx(after)


def test_a_network_is_adapted_to_a_stranger_by_a_file(net, files, capsys):
    assert cli.main("adapt shipped --data mine.h5 --stranger ben.h5 --utterances 5 --steps 70".split()) in (0, 1)
    told = capsys.readouterr().out
    assert told.startswith("mine, ben: 5 utterances; ") and told.endswith("wrote adapted.net\n")
    task = recipe("recordings").replace(channels=net.inputs, n_steps=70)
    usual = rates(net, data.frames_of(spoken((6, 6, 6)), task).dense())
    some = np.sort(np.random.default_rng(0).permutation(9)[:5])  # the first ones of a sorted file are all of one word
    heard = data.frames_of(spoken(9, seed=1), task).dense(some)
    np.testing.assert_array_equal(read("adapted.net").active[0].bias, adapted(net, heard, usual).active[0].bias)


def test_several_speakers_at_once_are_told(files, capsys):
    assert cli.main("adapt shipped --data mine.h5 --stranger mine.h5".split()) in (0, 1)
    assert "the utterances are of 3 speakers; an adapted network suits one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--stranger ben.h5 --leave-out 1", "--leave-out must not be used with --stranger; got '1'"),
        ("--leave-out 7", "leave_out.* must be .*; got '7'"),
        ("--utterances 0", "--utterances must be a whole number"),
        ("-o adapted.h5", "--out must be a file ending in .net; got 'adapted.h5'"),
        ("--stranger none.h5", "none.h5"),
        ("--stranger few.h5", "--stranger must have the network's 140 channels or more; got 48"),
        ("--stranger silent.h5", "--stranger must hold at least one spike; got '2 empty utterances'"),
    ],
)
def test_wrong_orders_leave_no_file(options, words, files, tmp_path, capsys):
    write_shd("few.h5", spoken(3, channels=48))
    write_shd("silent.h5", EventSet.from_utterances([([], [])] * 2, [0, 1]))
    assert cli.main(["adapt", "shipped", "--data", "mine.h5", *options.split()]) == cli.USAGE_ERROR
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1 and re.search(words, errors[0]), errors
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ben.h5", "few.h5", "mine.h5", "silent.h5"]
