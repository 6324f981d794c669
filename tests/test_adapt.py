"""Networks whose biases are adapted to a stranger."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from words import spoken

from lava_1m1t1r import cli
from lava_1m1t1r.answers import answers
from lava_1m1t1r.commands import _common, _samples
from lava_1m1t1r.datasets import EventSet, write_shd
from lava_1m1t1r.description import CubaNeuron, Usual
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.fast import FastNetwork
from lava_1m1t1r.netx.schema import read, write
from lava_1m1t1r.recipes import adapt, data
from lava_1m1t1r.recipes.adapt import accuracy_of_adapted, adapted, is_adaptable, note_usual, rates
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


@pytest.mark.parametrize(("usual", "bound"), [(80.0, 1), (0.01, 0)])
def test_biases_stay_what_files_hold(usual, bound, net, frames, monkeypatch):
    first, seen = net.active[0], []
    edge = replace(first, bias=np.full(first.size, BIAS_BOUNDS[bound] + 1 - 2 * bound, np.int32))
    extreme = replace(net, layers=tuple(edge if layer is first else layer for layer in net.layers))
    monkeypatch.setattr(adapt, "rates", lambda given, _: seen.append(given.active[0].bias) or np.full(first.size, 80.01 - usual))
    adapted(extreme, frames, np.full(first.size, usual))
    assert all(np.all(bias == BIAS_BOUNDS[bound]) for bias in seen[1:])


def with_usual(net, frames):
    return replace(net, usual=Usual(rates(net, frames), frames.shape[1]))


def test_moves_of_biases(net, frames, monkeypatch):
    """By hand: twelve rounds, each of a smaller move."""
    usual, now = np.zeros(128), np.zeros(128)
    usual[:3], now[3:5] = (1.0, 2.0, 0.5), (0.25, 1.0)
    bare = replace(net, layers=tuple(replace(layer, bias=None) if layer is net.active[0] else layer for layer in net.layers))
    seen = []
    monkeypatch.setattr(adapt, "rates", lambda given, _: seen.append(given.active[0].bias) or now)
    adapted(bare, frames[:1], usual)
    moves = [np.rint(10 * (12 - k) / 12 * np.tanh(1.5 * (usual - now) / usual.mean())) for k in range(12)]
    assert seen[0] is None and len(seen) == 13
    for k in range(12):
        assert np.array_equal(seen[k + 1], sum(moves[: k + 1]))
    assert moves[0][1] == 10 and sum(moves)[1] == 65 and sum(moves)[5] == 0


def test_the_network_that_spikes_most_as_usual_is_kept(net, frames, monkeypatch):
    usual, offs = np.ones(128), iter([5.0, 3.0, 1.0, 1.0, *[4.0] * 9])
    seen = []
    monkeypatch.setattr(adapt, "rates", lambda given, _: seen.append(given) or usual + next(offs))
    assert adapted(net, frames[:1], usual) is seen[2]


def test_what_is_usual_is_that_of_the_training(net, frames, tmp_path):
    """The file knows it, also of a network that is adapted already: utterances are heard as by the network that was trained."""
    write(tmp_path / "trained.net", replace(net, usual=None))
    heard = stranger(frames)
    with pytest.raises(InputError, match=r"trained.net must say how often its neurons spike in its training; got None. Give them: rates"):
        adapted(tmp_path / "trained.net", heard)
    training = data.frames_of(spoken((12, 12)), recipe("spoken-digits"))
    noted = note_usual(tmp_path / "trained.net", training)
    assert noted == net and noted.usual == Usual(rates(net, frames), frames.shape[1])
    own = adapted(noted, heard)
    assert own == adapted(net, heard, noted.usual.spikes)
    write(tmp_path / "own.net", own)
    again = read(tmp_path / "own.net")
    assert again.usual == noted.usual
    off = [np.abs(rates(one, heard) - noted.usual.spikes).mean() for one in (own, adapted(again, heard))]
    assert off[1] <= off[0]
    words = r"heard must have shape \(B, 90, C\), as many steps as utterances of the training; got \(24, 80, 140\)"
    with pytest.raises(InputError, match=words):
        adapted(noted, heard[:, :80])
    with pytest.raises(InputError, match="heard must have shape"):
        adapted(noted, heard[0, 0])


def with_cuba(net):
    layers = (replace(layer, neuron=CubaNeuron(9, 9, 80)) if layer.neuron else layer for layer in net.layers)
    return replace(net, layers=tuple(layers), usual=None)


def test_a_network_that_cannot_be_adapted_is_left_as_it_is(net, tmp_path):
    cuba = with_cuba(net)
    write(tmp_path / "cuba.net", cuba)
    before = (tmp_path / "cuba.net").read_bytes()
    assert note_usual(tmp_path / "cuba.net", data.frames_of(spoken((3,)), recipe("spoken-digits"))).usual is None
    assert (tmp_path / "cuba.net").read_bytes() == before


def test_dense_layers_are_adapted_and_convolutions_are_not(net, frames):
    first = net.active[0]
    dense = replace(first, kind="dense", weight_rec=None, delay_rec=None)
    plain = replace(net, layers=tuple(dense if layer is first else layer for layer in net.layers))
    assert is_adaptable(plain) and adapted(plain, stranger(frames), rates(plain, frames)) != plain
    assert not is_adaptable(replace(plain, layers=tuple(replace(x, kind="conv") if x is dense else x for x in plain.layers)))


def test_accuracy_is_that_of_the_adapted_network_on_what_it_has_not_heard(net, frames):
    speakers, rng, right = np.repeat([4, 1], (14, 10)), np.random.default_rng(0), 0
    heard, labels = stranger(frames), answers(FastNetwork(net).run(frames).out)
    knowing = with_usual(net, frames)
    for own in (np.arange(14, 24), np.arange(14)):
        order = rng.permutation(own)
        mine, rest = adapted(knowing, heard[order[: len(own) // 2]]), order[len(own) // 2 :]
        right += np.count_nonzero(answers(FastNetwork(mine).run(heard[rest]).out) == labels[rest])
    assert accuracy_of_adapted(knowing, heard, labels, speakers) == right / 12


def test_accuracy_is_that_on_utterances_which_were_not_heard(net, frames, monkeypatch):
    """The network that was adapted by one half of each speaker's utterances answers the other half."""
    speakers, seen = np.repeat([4, 1], 12), []

    def noted(given, heard):
        seen.append(len(heard))
        return given

    out = FastNetwork(net).run(frames).out
    labels = np.where(np.arange(24) < 12, out.sum(1).argmax(1), 19)  # one speaker is understood, and the other is not
    assert np.all(out.sum(1).argmax(1) != 19)
    monkeypatch.setattr("lava_1m1t1r.recipes.adapt.adapted", noted)
    assert accuracy_of_adapted(net, frames, labels, speakers) == 0.5 and seen == [6, 6]
    assert accuracy_of_adapted(net, frames, labels, None) is None
    assert accuracy_of_adapted(net, frames, labels, np.arange(24)) is None
    with pytest.raises(InputError, match=r"speakers must have the shape \(24,\), one an utterance; got \(2,\)"):
        accuracy_of_adapted(net, frames, labels, np.arange(2))


def test_utterances_that_tell_enough_are_those_drawn(net, frames, tmp_path, monkeypatch):
    write(tmp_path / "own.net", net)
    training = data.frames_of(spoken((12, 12)), recipe("spoken-digits"))
    monkeypatch.setattr(adapt, "drawn", lambda of: np.array([1, 5]))
    np.testing.assert_array_equal(note_usual(tmp_path / "own.net", training).usual.spikes, rates(net, frames[[1, 5]]))
    seen = []
    monkeypatch.setattr(adapt, "MOST_HEARD", 3)
    monkeypatch.setattr(adapt, "adapted", lambda given, heard: seen.append(len(heard)) or given)
    accuracy_of_adapted(net, frames, np.zeros(24, int), np.repeat([4, 1], 12))
    assert seen == [3, 3]


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
    with pytest.raises(InputError, match="frames must hold at least one sample"):
        adapted(net, frames[:0], usual)
    cuba = with_cuba(net)
    assert is_adaptable(net) and not is_adaptable(cuba)
    with pytest.raises(InputError, match=r"layer/1 \(dense_rec\) must be dense, .*; got \"Cuba neurons of kind 'dense_rec'\""):
        rates(cuba, frames)


def test_utterances_without_spikes_tell_nothing_of_a_stranger(net, frames):
    usual, heard = rates(net, frames), stranger(frames)
    assert adapted(net, np.concatenate([heard, 0 * heard]), usual) == adapted(net, heard, usual)
    with pytest.raises(InputError, match="utterances to adapt by must hold spikes; got '24 empty ones'"):
        adapted(net, 0 * heard, usual)
    labels, speakers = np.arange(24) % 12, np.repeat([0, 1], 12)
    silent = np.where(speakers[:, None, None] == 1, 0, heard).astype(np.uint8)
    noted = replace(net, usual=Usual(usual, frames.shape[1]))
    assert 0 <= accuracy_of_adapted(noted, silent, labels, speakers) < 1


# --- the command --------------------------------------------------------------------------------------------------


@pytest.fixture
def files(net, tmp_path, monkeypatch):
    """A file of three speakers, one of a speaker without names for classes, and a network that does not know what is usual."""
    monkeypatch.chdir(tmp_path)
    write_shd("mine.h5", spoken((6, 6, 6)))
    write_shd("ben.h5", replace(spoken(9, seed=1), keys=()))
    write("old.net", replace(net, usual=None))


def test_a_network_is_adapted_to_a_stranger_by_what_is_usual_in_its_training(net, files, capsys):
    assert cli.main("adapt shipped --stranger ben.h5 --utterances 5".split()) == 0
    told = capsys.readouterr()
    assert told.out.startswith("ben, all of it: 5 utterances of 90 bins; ") and told.out.endswith("wrote adapted.net\n") and not told.err
    some = np.sort(np.random.default_rng(0).permutation(9)[:5])  # the first ones of a sorted file are all of one word
    task = recipe("recordings").replace(channels=net.inputs, n_steps=net.usual.steps)
    heard = data.frames_of(spoken(9, seed=1), task).dense(some)
    expected = adapted(net, heard)
    assert read("adapted.net") == expected and read("adapted.net").usual == net.usual
    before, after = (np.abs(rates(one, heard) - net.usual.spikes).mean() / net.usual.spikes.mean() for one in (net, expected))
    assert f"numbers of spikes were {before:.0%} off those of training, and are now {after:.0%} off; wrote" in told.out


def test_utterances_without_spikes_are_left_out_and_told(net, files, capsys):
    ben = spoken(9, seed=1)
    write_shd(
        "half.h5",
        EventSet.from_utterances(
            [*[(u.times, u.units) for u in ben], *[(np.zeros(0, np.float32), np.zeros(0, int))] * 9], [0] * 18, [0] * 18
        ),
    )
    assert cli.main("adapt shipped --stranger half.h5".split()) == 0
    told = capsys.readouterr()
    assert told.out.startswith("half, all of it: 9 utterances") and "hint: 9 of 18 utterances hold no spike, and are left out" in told.err
    task = recipe("recordings").replace(channels=net.inputs, n_steps=net.usual.steps)
    assert read("adapted.net") == adapted(net, data.frames_of(ben, task).dense())


def test_a_network_is_adapted_to_the_speaker_left_out(net, files, capsys):
    assert cli.main("adapt shipped --data mine.h5 --leave-out 1 -o one/adapted.net --json".split()) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["utterances"], found["steps"], found["speaker"], found["data"]) == (6, 90, "speaker 1", "mine")
    task = recipe("recordings").replace(channels=net.inputs, n_steps=90)
    heard = data.frames_of(spoken((6, 6, 6)).of_speakers(1), task).dense()
    expected = adapted(net, heard)
    assert read("one/adapted.net") == expected and read("one/adapted.net").classes == net.classes
    usual = net.usual.spikes
    for name, one in (("before", net), ("after", expected)):
        assert found[name] == pytest.approx(np.abs(rates(one, heard) - usual).mean() / usual.mean())


def test_one_speaker_of_a_test_set_is_chosen_by_name_or_number(net, files, capsys):
    Path("SHD").mkdir()
    write_shd("SHD/shd_train.h5", spoken((6, 6, 6)))
    test = spoken((0, 5, 7), seed=2)
    write_shd("SHD/shd_test.h5", test)
    task = recipe("recordings").replace(channels=net.inputs, n_steps=90)
    for options, heard, who in (("", test, "its test set"), ("--leave-out 2", test.of_speakers(2), "speaker 2")):
        assert cli.main(["adapt", "shipped", "--data", "SHD", *options.split(), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["utterances"], found["speaker"]) == (len(heard), who)
        assert read("adapted.net") == adapted(net, data.frames_of(heard, task).dense())
        args = cli.parser().parse_args(["evaluate", "shipped", "--data", "SHD", "--steps", "90", *options.split()])
        tested = _samples.frames_to_test(args, net)
        assert (len(tested.frames), tested.held_out) == (len(heard), who)
    args = cli.parser().parse_args(["evaluate", "shipped", "--leave-out", "m7"])
    tested = _samples.frames_to_test(args, net)
    assert tested.held_out == "m7" and len(np.unique(tested.frames.speakers)) == 1
    assert cli.main("adapt shipped --data SHD --leave-out 0".split()) == cli.USAGE_ERROR
    assert "--leave-out must be one of the set's speakers; got '0'. They are 1, 2." in capsys.readouterr().err


@pytest.mark.parametrize("command", ["adapt", "evaluate", "simulate", "deploy c -o out --prove 1"])
def test_spoken_digits_do_not_stand_for_other_data(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copy(Path(__file__).with_name("toy.net"), "toy.net")
    name, *options = command.split()
    place = options[:1] if name == "deploy" else []
    assert cli.main([name, *place, "toy.net", *options[len(place) :]]) == cli.USAGE_ERROR
    told = capsys.readouterr().err
    assert "--data must name the network's own data: without it, SpokenDigits is used" in told
    assert ("Or give arrays: --frames FILE." in told) == (name != "adapt")
    assert [path.name for path in tmp_path.iterdir()] == ["toy.net"]


@pytest.mark.parametrize(
    ("options", "training"), [("--data mine.h5 --stranger ben.h5", (0, 1, 2)), ("--data mine.h5 --leave-out 1", (0, 2))]
)
def test_what_is_usual_is_looked_up_in_the_data_where_the_file_does_not_know_it(options, training, net, files, capsys):
    assert cli.main(["adapt", "old.net", "--data", "mine.h5", *options.split(), "--steps", "70"]) == 0
    heard = spoken((6, 6, 6))
    task = recipe("recordings").replace(channels=net.inputs, n_steps=70)
    usual = rates(net, data.frames_of(heard.of_speakers(*training), task).dense())
    own = spoken(9, seed=1) if "ben" in options else heard.of_speakers(1)
    found = read("adapted.net")
    assert found == adapted(net, data.frames_of(own, task).dense(), usual)
    assert found.usual.steps == 70 and np.array_equal(found.usual.spikes, usual)
    hinted = "Was it trained on other data?" in capsys.readouterr().err
    assert hinted  # the shipped network knows other classes


@pytest.mark.parametrize("options", ["--stranger ben.h5", "--leave-out 1"])
def test_classes_that_the_network_numbers_otherwise_are_told_and_do_not_matter(options, net, files, capsys):
    found = []
    for keys in (("low", "middle", "high"), ("low", "two", "one")):  # of the latter, evaluate would count right answers as wrong
        write_shd("mine.h5", replace(spoken((6, 6, 6)), keys=keys))
        assert cli.main(["adapt", "old.net", "--data", "mine.h5", *options.split()]) == 0
        found.append(read("adapted.net"))
    assert found[0] == found[1] and "it has no low. Was it trained on other data?" in capsys.readouterr().err


@pytest.mark.parametrize("options", ["--stranger ben.h5", "--leave-out 1"])
def test_the_data_are_binned_as_the_results_beside_the_network_say_of_its_training(options, net, files):
    results = {"data": "mine", "held_out": "speaker 1", "task": {"dt": net.dt, "n_steps": 70}}
    Path("results.json").write_text(json.dumps(results))
    assert cli.main(["adapt", "old.net", "--data", "mine.h5", *options.split()]) == 0
    assert read("adapted.net").usual.steps == 70


@pytest.mark.filterwarnings("ignore:.*utterances")
def test_what_is_usual_is_looked_up_in_the_training_set_of_a_folder(net, files):
    shd = Path("shd")
    shd.mkdir()
    training, test = (replace(spoken((6, 6), seed=seed), keys=()) for seed in (2, 3))
    for name, events in (("train", training), ("test", test)):
        write_shd(shd / f"shd_{name}.h5", events)
    assert cli.main("adapt old.net --data shd --stranger ben.h5 --steps 70".split()) == 0
    task = recipe("shd").replace(channels=net.inputs, n_steps=70)
    found = read("adapted.net").usual
    assert found.steps == 70 and np.array_equal(found.spikes, rates(net, data.frames_of(training, task).dense()))


def test_the_bins_are_those_of_the_training_by_the_results_beside_the_network(net, files, capsys):
    told = {"data": "mine", "held_out": "speaker 0", "task": {"n_steps": 66, "dt": net.dt}}
    Path("results.json").write_text(json.dumps(told))
    assert cli.main("adapt old.net --data mine.h5 --leave-out 1 --json".split()) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["steps"] == 66 and "was trained without speaker 0; here it hears speaker 1" in told.err


def test_no_more_utterances_are_heard_than_tell_enough(files, monkeypatch, capsys):
    monkeypatch.setattr(adapt, "MOST_HEARD", 4)
    for options in ("", "--utterances 9"):
        assert cli.main(["adapt", "shipped", "--stranger", "ben.h5", "--json", *options.split()]) == 0
        assert json.loads(capsys.readouterr().out)["utterances"] == 4


def test_several_speakers_at_once_are_told(files, capsys):
    assert cli.main("adapt shipped --stranger mine.h5".split()) == 0
    assert "the utterances are of 3 speakers; an adapted network suits one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("shipped --stranger ben.h5 --leave-out 1", "--leave-out must not be used with --stranger; got '1'"),
        (
            "shipped --stranger ben.h5 --data mine.h5",
            "--data must not be used with --stranger; got 'mine.h5'. .*digits.net says",
        ),
        ("old.net --stranger ben.h5", "--data must name what the network was trained on; got None. Its file does not say how often"),
        ("shipped --data mine.h5 --leave-out 7", "leave_out.* must be .*; got '7'"),
        ("shipped --data ben.h5", "must hold at least two speakers, .*adapt: --stranger"),
        ("shipped --stranger ben.h5 --utterances 0", "--utterances must be a whole number"),
        ("shipped --stranger ben.h5 --steps 80", "--steps must be 90, as in the network's training; got 80"),
        ("shipped --stranger ben.h5 -o adapted.h5", "--out must be a file ending in .net; got 'adapted.h5'"),
        ("shipped --stranger ben.h5 -o folder.net", "--out must be a file ending in .net; got 'folder.net'"),
        ("shipped --stranger ben.h5 -o ben.h5/adapted.net", "--out must be a folder, or inside one; got 'ben.h5'"),
        ("old.net --data mine.h5 -o ./old.net", "--out must be another file than the network's; got './old.net'"),
        ("shipped --stranger none.h5", "none.h5"),
        ("shipped --stranger=", "--stranger must be a path; got ''"),
        ("shipped --stranger few.h5", "--stranger must have the network's 140 channels or more; got 48"),
        ("shipped --stranger silent.h5", "--stranger must hold at least one spike; got '2 empty utterances'"),
    ],
)
def test_wrong_orders_leave_no_file(options, words, files, tmp_path, capsys):
    write_shd("few.h5", spoken(3, channels=48))
    write_shd("silent.h5", EventSet.from_utterances([([], [])] * 2, [0, 1]))
    Path("folder.net").mkdir()
    before = sorted(path.name for path in tmp_path.iterdir())
    assert cli.main(["adapt", *options.split()]) == cli.USAGE_ERROR
    errors = [line for line in capsys.readouterr().err.splitlines() if "Was it trained on other data" not in line]
    assert len(errors) == 1 and re.search(words, errors[0]), errors
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.filterwarnings("ignore:.*are cropped")
def test_a_stranger_who_speaks_too_late_is_refused(files, capsys):
    late = spoken(4)
    write_shd("late.h5", replace(late, times=late.times + 2.0))
    assert cli.main("adapt shipped --stranger late.h5".split()) == cli.USAGE_ERROR
    assert "--stranger must have spikes within the 90 bins of an utterance; got 'none'. Cut what comes before" in capsys.readouterr().err
    assert not Path("adapted.net").exists()
