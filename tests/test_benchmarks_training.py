"""The training tables at their smallest: equal budgets, runs kept, absent peers skipped, speakers left out, sentences judged."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from words import hums, spoken

pytest.importorskip("lava.lib.dl", reason="needs lava-dl")

from lava_1m1t1r import presets
from lava_1m1t1r._support.sources import COMPILED
from lava_1m1t1r.benchmarks import ablation, accuracy, floating, peers, table, trainings, variation
from lava_1m1t1r.benchmarks.peers import size_of
from lava_1m1t1r.datasets import made_data, write_shd
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.netx import schema
from lava_1m1t1r.recipes import adapt, data, fit, network
from lava_1m1t1r.recipes.augment import Augmentation
from lava_1m1t1r.recipes.task import RECORDINGS, Task, recipe

torch = fit.torch
NEEDS = {"lsnn": "norse.torch", "synaptic": "snntorch", "LSNN (Norse)": "norse.torch", "CUBA (snnTorch)": "snntorch"}
"""Libraries that networks of the table need, by the names of their builders and rows."""
SMALL = ["--hidden", "16", "--epochs", "1", "--channels", "20", "--batch", "8"]


def made(utterances, seed=0):
    return spoken(utterances, 2, seed, channels=40, seconds=0.5)


def frames(n, seed, task):
    return data.frames_of(made(n, seed), task)


TASK = Task("small", channels=20, classes=2, hidden=16, n_steps=60, epochs=1, batch=8)


def test_seeds_do_not_make_more_speakers():
    """Each speaker's mean counts once, however often it was trained; of one split, each seed counts."""
    once = [62.8, 42.1, 40.7, 57.7]
    repeated = [value + change for value in once for change in (-1.0, 0.0, 1.0)]
    assert accuracy._independent(repeated, 4) == pytest.approx(once)
    assert accuracy._independent(repeated, 1) == repeated
    assert trainings.mean_and_error([1.0, 3.0]) == pytest.approx((2.0, 1.0))


def test_each_speaker_is_left_out_once_also_where_names_are_numbers(tmp_path):
    """A speaker's number is not taken for another's name."""
    events = made((4, 4, 4))
    write_shd(tmp_path / "named.h5", dataclasses.replace(events, speaker_names=("1", "2", "3")))
    options = ["--data", str(tmp_path / "named.h5")]
    splits = list(accuracy._splits(accuracy._arguments(options)))
    assert [set(split.test.speakers.tolist()) for split in splits] == [{0}, {1}, {2}]
    assert [split.held_out for split in accuracy._splits(accuracy._arguments([*options, "--leave-out", "2"]))] == ["2"]


def test_a_speaker_who_is_named_twice_counts_once(tmp_path):
    """By name or by number: the standard error is over people, and the same one again would make it smaller, or 0."""
    write_shd(tmp_path / "named.h5", dataclasses.replace(made((4, 4, 4)), speaker_names=("anna", "bert", "cleo")))
    options = ["--data", str(tmp_path / "named.h5"), "--leave-out", "cleo", "bert", "2", "bert"]
    assert [split.held_out for split in accuracy._splits(accuracy._arguments(options))] == ["cleo", "bert"]


def test_utterances_of_unknown_speakers_are_no_person_of_their_own(tmp_path):
    events = made((4, 4, 4))
    write_shd(tmp_path / "some.h5", dataclasses.replace(events, speakers=np.where(events.speakers == 0, -1, events.speakers)))
    options = ["--data", str(tmp_path / "some.h5")]
    assert [split.held_out for split in accuracy._splits(accuracy._arguments(options))] == ["speaker 1", "speaker 2"]
    assert [split.held_out for split in accuracy._splits(accuracy._arguments([*options, "--leave-out", "-1"]))] == ["speaker -1"]
    write_shd(tmp_path / "none.h5", dataclasses.replace(events, speakers=np.full(len(events), -1)))
    with pytest.raises(InputError, match="names no speakers"):
        accuracy._splits(accuracy._arguments(["--data", str(tmp_path / "none.h5")]))


def test_networks_of_the_table_have_about_equal_parameters():
    task = Task("t", channels=140, hidden=256, classes=20)
    counts = {}
    for name, row in accuracy.rows().items():
        if name in NEEDS:
            pytest.importorskip(NEEDS[name])
        changes = {k: v for k, v in (row.changes or {}).items() if k in ("taps", "synaptic_delays")}
        for k, own in enumerate((task.replace(**changes), task.replace(taps=(0, 5)))):  # and all of them behind delay lines
            counts[name, k] = size_of(row.build(accuracy.as_large(own)))
    equal = [count for (name, _), count in counts.items() if name != "GRU-96"]
    assert max(equal) / min(equal) < 1.02, counts
    assert accuracy.as_large(task) == task and accuracy.as_large(task.replace(taps=(0, 5))).hidden < 256


def test_no_network_of_the_table_is_without_neurons():
    one = TASK.replace(hidden=1, channels=30)
    assert accuracy.as_large(one.replace(taps=(0, 3, 6))).hidden == 1 and peers.gru(one).hidden.cell.hidden_size == 1


def test_a_finished_run_counts_for_its_settings_and_sources_alone(tmp_path, monkeypatch):
    done = []

    def run(settings):
        return trainings.kept(tmp_path, "GRU", settings, lambda: done.append(settings) or {"accuracy": len(done)})

    assert run({"a": 1, "b": 2}) == run({"b": 2, "a": 1}) == {"accuracy": 1} and len(done) == 1
    assert run({"a": 1, "b": 3}) == {"accuracy": 2}
    monkeypatch.setattr(table, "sources_digest", lambda *patterns: "another version's")
    assert run({"a": 1, "b": 2}) == {"accuracy": 3} and len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("text", ["", '{"name": "GRU", "result": {"accu', "[]", "{}"])
def test_a_run_that_is_kept_damaged_is_made_again(tmp_path, capsys, text):
    assert trainings.kept(tmp_path, "GRU", {}, lambda: {"accuracy": 1}) == {"accuracy": 1}
    (path,) = tmp_path.iterdir()
    path.write_text(text)
    assert trainings.kept(tmp_path, "GRU", {}, lambda: {"accuracy": 2}) == {"accuracy": 2}
    assert f"{path} is damaged" in capsys.readouterr().err
    assert trainings.kept(tmp_path, "GRU", {}, lambda: {"accuracy": 3}) == {"accuracy": 2}


def test_what_a_result_is_made_by_is_among_the_sources_that_it_counts_for(monkeypatch):
    seen = []
    monkeypatch.setattr(table, "sources_digest", lambda *patterns: seen.extend(patterns) or "")
    table.digest_of({})
    package = Path(accuracy.__file__).parents[1]
    counted = {path for pattern in (*COMPILED, *seen) for path in package.glob(pattern)}
    made_by = [accuracy, ablation, floating, peers, trainings, fit, network, adapt, schema]
    assert [module.__name__ for module in made_by if Path(module.__file__) not in counted] == []


def test_kept_results_are_of_the_versions_that_made_them(monkeypatch):
    before = table.digest_of({})
    monkeypatch.setattr(table, "installed_version", lambda name: "another" if name == "norse" else "the same")
    another = table.digest_of({})
    monkeypatch.setattr(table, "installed_version", lambda name: "the same")
    assert len({before, another, table.digest_of({})}) == 3


def test_a_title_tells_the_options_that_are_not_the_usual_ones():
    job = accuracy.Job({"data": "words", "held_out": "others"}, TASK, range(7), None)  # of 20 channels, where 140 are asked for
    options = ["--taps", "0", "6", "--synaptic-delays", "--spike-limit", "180", "--drop", "0.2", "--epochs", "3", "--repeats", "2"]
    title = accuracy._title(accuracy._arguments(options), [job])
    assert title.endswith("3 epochs, 20 channels, batch 64, drop 0.2, spike limit 180.0, taps 0 6, synaptic delays on")
    assert accuracy._title(accuracy._arguments([]), [job]).endswith("25 epochs, 20 channels, batch 64")


@pytest.mark.parametrize("option", [["--refractory", "2"], ["--delay-rec", "0"], ["--learn", "mu"]])
def test_options_of_devices_are_for_rows_that_have_some(tmp_path, monkeypatch, option):
    """They changed nothing of the others but the title, and runs that were kept were trained again."""
    monkeypatch.setattr(accuracy.data, "load", None)  # no data are made
    with pytest.raises(InputError, match=f"{option[0]} must be used with a row of 1M1T1R"):
        accuracy.main([*SMALL, "--folder", str(tmp_path), "--only", "GRU", "CUBA (lava-dl)", *option])
    args, known, job = accuracy._arguments(option), accuracy.rows(), TASK.replace(refractory=3.0, delay_rec=7)
    fields = {name: job.replace(**accuracy._of_row(name, known[name], args)) for name in ("GRU", "CUBA (lava-dl)", "1M1T1R")}
    assert {(task.refractory, task.delay_rec) for name, task in fields.items() if name != "1M1T1R"} == {(1.0, Task.delay_rec)}
    assert (fields["1M1T1R"].refractory, fields["1M1T1R"].delay_rec) == (3.0, 7)


@pytest.mark.parametrize("name", ["alif", "lsnn", "synaptic", "gru"])
def test_peers_start_every_batch_from_rest_and_learn_in_every_parameter(name):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    net = getattr(peers, name)(TASK)
    x = torch.from_numpy(frames(8, 0, TASK).dense()).float().transpose(1, 2).contiguous()
    first = fit.scores(net(x))
    torch.testing.assert_close(first, fit.scores(net(x)))
    assert first.shape == (8, 2) and not torch.equal(first[0], first[1])
    torch.nn.functional.cross_entropy(first, torch.arange(8) % 2).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters() if p.requires_grad)
    weights = [p for p in net.parameters() if p.ndim > 1]
    assert all(p.grad.abs().max() > 0 for p in weights)


@pytest.mark.filterwarnings("ignore")
def test_the_accuracy_in_training_is_that_of_the_last_epoch(monkeypatch):
    def fitted(net, task, train, folder, *, on_epoch, **_):
        for epoch, share in ((1, 0.25), (2, 0.75)):
            on_epoch({"epoch": epoch, "train_accuracy": share})

    monkeypatch.setattr(fit, "fit", fitted)
    found = trainings.trained(network.m1t1r(TASK), TASK, frames(6, 0, TASK), frames(6, 1, TASK), trainings.AUGMENTATION, True)
    assert found["train_accuracy"] == 0.75


def test_spikes_and_answers_of_a_floating_network_are_counted(monkeypatch):
    monkeypatch.setattr(floating, "_BATCH", 4)
    net = network.m1t1r(TASK)
    test = frames(6, 1, TASK)
    sums, spikes, means = floating.run(net, test)
    with torch.no_grad():
        hidden, out = net.layers(torch.from_numpy(test.dense()).float().transpose(1, 2).contiguous())
    assert spikes == float(hidden.sum()) / 6
    np.testing.assert_allclose(sums, out.sum(-1).numpy(), rtol=1e-6)
    np.testing.assert_allclose(means, hidden.mean((0, 2)).numpy(), rtol=1e-5)
    some = np.array([5, 1])
    np.testing.assert_allclose(floating.run(net, test, some).sums, sums[some], rtol=1e-6)


@pytest.mark.parametrize("name", ["lsnn", "synaptic", "gru"])
def test_peers_are_adapted_by_one_half_of_a_strangers_utterances_and_answer_the_other(name, monkeypatch):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    net = getattr(peers, name)(TASK)
    test = data.frames_of(made((20, 20)), TASK)
    usual = 1.5 * floating.run(net, test).means
    before = {key: value.clone() for key, value in net.state_dict().items()}
    off, heard = [], []
    run = floating.run

    def noted(own, frames, part=None):
        found = run(own, frames, part)
        off.append(float(np.abs(usual - found.means).mean() / np.abs(usual).mean()))
        heard.append(part)
        return found

    monkeypatch.setattr(floating, "run", noted)
    share = floating.accuracy_of_adapted(net, usual, test)
    rounds = adapt.ROUNDS + 1  # the last one is measured, too
    assert len(off) == 2 * (rounds + 1) and off[rounds - 1] < 0.5 * off[0]
    assert sorted([*heard[0], *heard[rounds]]) == list(range(20)) and all(np.array_equal(heard[0], part) for part in heard[:rounds])
    assert share in np.arange(21) / 20
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    again = run(net, test)
    np.testing.assert_allclose(again.means, usual / 1.5, rtol=1e-5)
    assert floating.accuracy_of_adapted(net, usual, dataclasses.replace(test, speakers=None)) is None


def test_a_peer_that_fails_costs_its_row_and_not_the_table(tmp_path, monkeypatch, capsys):
    def broken(*_):
        raise RuntimeError("no such\nmoment")

    monkeypatch.setattr(accuracy, "trained", broken)
    write_shd(tmp_path / "words.h5", dataclasses.replace(made((8, 8)), speaker_names=("a", "b")))
    arguments = [*SMALL, "--data", str(tmp_path / "words.h5"), "--folder", str(tmp_path / "runs"), "--only"]
    assert accuracy.main([*arguments, "CUBA (lava-dl)", "GRU"]) == 0
    assert capsys.readouterr().out.count("FAILED: RuntimeError: no such moment") == 2
    with pytest.raises(RuntimeError, match="no such"):  # our own
        accuracy.main([*arguments, "GRU", "1M1T1R"])


@pytest.mark.timeout(900)
def test_accuracy_leaves_each_speaker_out_and_keeps_what_is_done(tmp_path, monkeypatch, capsys):
    for library in ("norse.torch", "snntorch"):
        monkeypatch.setitem(sys.modules, library, None)
    write_shd(tmp_path / "words.h5", dataclasses.replace(made((8, 8)), speaker_names=("a", "b")))
    seen, seen_tasks, trained = [], [], accuracy.trained

    def noted(net, task, train, test, *rest):
        seen.append((len(train), len(test)))
        seen_tasks.append(task)
        return trained(net, task, train, test, *rest)

    monkeypatch.setattr(accuracy, "trained", noted)
    arguments = [*SMALL, "--data", str(tmp_path / "words.h5"), "--folder", str(tmp_path / "runs"), "--json", str(tmp_path / "t.json")]
    assert accuracy.main(arguments) == 0
    assert seen == [(8, 8)] * 16  # eight networks, each of two speakers left out
    rows = {row["name"]: row for row in json.loads((tmp_path / "t.json").read_text())["tables"][0]["rows"]}
    told = capsys.readouterr().out
    assert all("skipped" in rows[name] for name in ("LSNN (Norse)", "CUBA (snnTorch)")) and told.count("not installed") == 2
    for name in ("1M1T1R", "CUBA (lava-dl)", "adaptive LIF (lava-dl)", "GRU"):
        runs = rows[name]["runs"]
        assert float(rows[name]["accuracy %"]) == pytest.approx(100 * np.mean([run["accuracy"] for run in runs]), abs=0.01)
        assert len(runs) == 2 and all(run["cpu"] > 0 for run in runs)
        assert float(rows[name]["adapted %"]) == pytest.approx(100 * np.mean([run["adapted_accuracy"] for run in runs]), abs=0.01)
        if name in ("1M1T1R", "GRU"):
            assert float(rows[name]["biases %"]) == pytest.approx(100 * np.mean([run["biases_accuracy"] for run in runs]), abs=0.01)
        else:
            assert rows[name]["biases %"] == ""
        assert [(run["held_out"], run["seed"]) for run in runs] == [("a", 0), ("b", 0)]
    charged = [task for task in seen_tasks if task.spike_limit is not None]
    assert [task.learn for task in charged] == [()] * 2 + [("mu", "gamma1", "r_control")] * 2
    assert [task.spike_limit for task in charged] == [180 * 16 / 512] * 2 + [270 * 16 / 512] * 2  # as many a neuron as of 512
    behind = [task for task in seen_tasks if task.taps != (0,)]
    assert len(behind) == 4 and {task.taps for task in behind} == {accuracy.DELAYS["taps"]} and all(task.hidden == 16 for task in behind)
    assert all(task.synaptic_delays == (task in behind) for task in seen_tasks)
    assert "1M1T1R, few spikes" in rows and all(not task.learn for task in seen_tasks if task not in charged)
    kept = len(list((tmp_path / "runs").iterdir()))
    assert accuracy.main([*arguments, "--only", "1m1t1r", "GRU"]) == 0
    assert len(seen) == 16 and len(list((tmp_path / "runs").iterdir())) == kept == 16
    assert accuracy.main([*arguments, "--only", "1m1t1r", "--channel-shift", "1", "--leave-out", "b"]) == 0
    assert len(seen) == 17  # other settings, another run
    limited = [*arguments, "--only", "1m1t1r", "GRU", "--leave-out", "b", "--spike-limit", "3"]
    assert accuracy.main(limited) == 0
    assert len(seen) == 18  # a limit is for spikes: the GRU's run is that done before
    assert accuracy.main([*limited, "--training", "tuned"]) == 0
    assert len(seen) == 20 and all(task.smooth for task in seen_tasks[-2:]) and not any(task.smooth for task in seen_tasks[:-2])
    assert accuracy.main([*arguments, "--only", "1m1t1r", "--leave-out", "b", "--learning-rate", "0.003"]) == 0
    assert len(seen) == 21 and seen_tasks[-1].learning_rate == 0.003 != seen_tasks[0].learning_rate
    assert accuracy.main([*arguments, "--only", "1m1t1r", "GRU", "--leave-out", "b", "--learn", "mu", "r_control"]) == 0
    assert len(seen) == 22 and seen_tasks[-1].learn == ("mu", "r_control")  # other networks have no devices that could
    assert accuracy.main([*arguments, "--only", "GRU", "--leave-out", "b", "--taps", "0", "3"]) == 0
    assert len(seen) == 23 and seen_tasks[-1].taps == (0, 3) and seen_tasks[-1].lines == 2 * seen_tasks[-1].channels
    with pytest.raises(
        InputError, match="--synaptic-delays must come with delays in all rows; got .*GRU.* Give the delays .--taps 0 6 12 18."
    ):
        accuracy.main([*arguments, "--only", "GRU", "--leave-out", "b", "--synaptic-delays"])
    one = [*arguments, "--only", "1m1t1r", "GRU", "--leave-out", "b", "--taps", "0", "3", "--synaptic-delays"]
    assert accuracy.main(one) == 0  # GRU's synapses have all delays: the run done before
    assert len(seen) == 24 and seen_tasks[-1].synaptic_delays and seen_tasks[-1].hidden == 16 > seen_tasks[-2].hidden
    with pytest.raises(ValueError, match="--learning-rate must be > 0"):
        accuracy.main([*arguments, "--learning-rate", "0"])
    with pytest.raises(ValueError, match="--spike-limit must be >= 0"):
        accuracy.main([*arguments, "--spike-limit", "-1"])
    with pytest.raises(InputError, match="--spike-limit must be used with a row that has spikes; got 3.0"):
        accuracy.main([*arguments, "--only", "GRU", "--spike-limit", "3"])
    with pytest.raises(ValueError, match="--only must occur in one of 1M1T1R"):
        accuracy.main([*arguments, "--only", "transformer"])


def test_synthesised_voices_join_the_training_sets_of_a_file_and_do_not_shorten_its_utterances(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(made_data.CACHE_VARIABLE, str(tmp_path / "cache"))
    hums(monkeypatch)
    path, seen = write_shd(tmp_path / "words.h5", spoken((2, 2), 2, seconds=2.5)), []

    def trained(net, task, train, test, *_):
        seen.append((len(train), len(test), task.n_steps))
        return {"parameters": 1, "accuracy": 0.5, "adapted_accuracy": 0.6, "spikes": 1.0, "cpu": 0.0, "train_accuracy": 0.5}

    monkeypatch.setattr(accuracy, "trained", trained)
    options = ["--data", str(path), "--folder", str(tmp_path / "runs"), "--only", "GRU-96", "--synthetic", "4", "--recorded-at", "8000"]
    assert accuracy.main([*SMALL, *options]) == 0
    assert [sizes[:2] for sizes in seen] == [(2 + 8, 2)] * 2 and min(steps for _, _, steps in seen) > 240
    out = capsys.readouterr().out
    assert "10 utterances, 4 of each class synthesised" in out and "60.00" in out  # adapted
    monkeypatch.setattr(accuracy, "trained", lambda *_: {**trained(*_), "adapted_accuracy": None})  # of nobody
    assert accuracy.main([*SMALL, *options, "--epochs", "2"]) == 0
    kept = [json.loads(file.read_text())["settings"]["synthetic"] for file in (tmp_path / "runs").iterdir()]
    assert kept == [{"per_class": 4, "rate": 8000, "language": None}] * 4


def test_folds_hold_out_each_voice_once_and_train_with_all_others(tmp_path, monkeypatch):
    others, names = made((6, 6), 1), tuple("abcde")
    others = dataclasses.replace(others, speakers=others.speakers + 3, speaker_names=names)
    split = data.Split(dataclasses.replace(made((6, 6, 6)), speaker_names=names), others, "words", "others")
    parts = list(accuracy.folds(split, 2))
    whole = sorted(event.times.tobytes() for events in (split.train, split.test) for event in events)
    for part in parts:
        assert not set(part.train.speakers) & set(part.test.speakers)
        assert sorted(event.times.tobytes() for events in (part.train, part.test) for event in events) == whole
        assert all(event.label == (event.units[0] >= 20) for event in part.test)  # each still with its word
    held = [sorted(set(part.test.speakers.tolist())) for part in parts]
    assert sorted(held[0] + held[1]) == [0, 1, 2, 3, 4]
    assert [part.held_out for part in parts] == ["voice group 1 of 2", "voice group 2 of 2"]
    assert [sorted(set(part.test.speakers.tolist())) for part in accuracy.folds(split, 2)] == held  # whoever runs it, and when
    with pytest.raises(InputError, match=r"--folds must be at most the number of voices \(5\); got 6"):
        list(accuracy.folds(split, 6))

    monkeypatch.setattr(accuracy.data, "load", lambda *_, **__: split)
    arguments = [*SMALL, "--only", "1m1t1r", "--folder", str(tmp_path / "runs"), "--json", str(tmp_path / "t.json")]
    assert accuracy.main([*arguments, "--folds", "2"]) == 0
    found = json.loads((tmp_path / "t.json").read_text())["tables"][0]
    assert "each of 2 groups of voices left out in turn" in found["title"] and len(found["rows"][0]["runs"]) == 2
    with pytest.raises(InputError, match=r"--folds must lie in 2\.\.60, and be used without --data; got 1"):
        accuracy.main([*arguments, "--folds", "1"])
    with pytest.raises(InputError, match=r"--folds must lie in 2\.\.60, and be used without --data; got 3"):
        accuracy.main([*arguments, "--folds", "3", "--data", "some.h5"])


def test_data_that_cannot_be_read_leaves_no_folder_of_runs(tmp_path):
    with pytest.raises(InputError, match="none.h5"):
        accuracy.main([*SMALL, "--data", str(tmp_path / "none.h5"), "--folder", str(tmp_path / "runs")])
    assert not (tmp_path / "runs").exists()


def test_a_whole_name_chooses_its_row_alone_and_a_word_all_that_contain_it():
    names = list(accuracy.rows())
    chosen = {word: table.chosen(names, [word]) for word in ("1m1t1r", "gru", "gru-96", "lava", "few")}
    assert chosen["1m1t1r"] == ["1M1T1R"] and chosen["gru"] == ["GRU"] and chosen["gru-96"] == ["GRU-96"]
    assert len(chosen["lava"]) == 2 and len(chosen["few"]) == 2


def test_few_people_are_shifted_further_than_many_made_voices():
    own = trainings.options("Table.", "runs", epochs=1, hidden=1, sizes=(1, 1))
    own.add_argument("--data")
    made_voices, people = (trainings.chosen_augmentation(own.parse_args(given)) for given in ([], ["--data", "f.h5"]))
    assert (made_voices.channel_shift, made_voices.drop) == (3, 0.05)
    assert (people.channel_shift, people.drop) == (8, 0.0) == (Augmentation.suiting(recipe(RECORDINGS)).channel_shift, 0.0)
    assert trainings.chosen_augmentation(own.parse_args(["--data", "f.h5", "--drop", "0.2", "--channel-shift", "0"])).drop == 0.2


@pytest.mark.timeout(900)
def test_ablation_trains_every_variant_with_the_same_seeds(tmp_path, monkeypatch, capsys):
    split = data.Split(made((6, 6, 4)), made((3, 3, 2), 1), "words", "others")
    monkeypatch.setattr(ablation.data, "load", lambda *_, **__: split)
    arguments = [*SMALL, "--sigma", "0.25", "--repeats", "2", "--folder", str(tmp_path / "runs"), "--json", str(tmp_path / "t.json")]
    assert ablation.main(arguments) == 0
    first, verdicts = json.loads((tmp_path / "t.json").read_text())["tables"]
    assert [row["name"] for row in first["rows"]] == list(ablation.variants(0.1))
    assert len(verdicts["rows"]) == len(ablation.SENTENCES)
    assert first["title"].endswith("16 neurons, 1 epoch, batches of 8, 2 seeds, channels 20, sigma 0.25")  # tables of other options differ
    told = {row["name"]: [(run["seed"], run["device"]["sigma1"], run["tested"]) for run in row["runs"]] for row in first["rows"]}
    assert told[ablation.FULL] == [(0, 0.0, {}), (1, 0.0, {})] and told[ablation.NOISE] == [(0, 0.25, {}), (1, 0.25, {})]
    assert told[ablation.NOISE_TRAINING][1] == (1, 0.25, {"sigma1": 0.0, "sigma2": 0.0})
    assert {row["verdict"] for row in verdicts["rows"]} <= {"holds", "opposite", "not seen"}
    runs = {row["name"]: row["runs"] for row in first["rows"]}
    for row, sentence in zip(verdicts["rows"], ablation.SENTENCES, strict=True):  # shares in points, spikes as they are
        more, less = (np.mean([run[sentence.measure] for run in runs[name]]) for name in (sentence.more, sentence.less))
        scale = 1 if sentence.measure == "spikes" else 100
        assert float(row["difference"]) == pytest.approx(scale * (more - less), abs=0.06)
    monkeypatch.setattr(ablation, "run", None)  # all is kept: nothing runs again
    assert ablation.main(arguments) == 0
    assert ablation.FULL in capsys.readouterr().out


@pytest.mark.parametrize("sigma, text", [("-1", "sigma1 .* must be >= 0"), ("2", "sigma1, sigma2 must be <= 1"), ("nan", "sigma1")])
def test_ablation_refuses_noise_that_cannot_be_before_it_trains(monkeypatch, sigma, text):
    monkeypatch.setattr(ablation.data, "load", None)  # no data are made
    with pytest.raises(InputError, match=text):
        ablation.main([*SMALL, "--sigma", sigma])


def test_variants_change_what_they_say_and_nothing_else():
    device = presets.ZHAO2025_FIG2.scaled(40)
    changed = {}
    for name, variant in ablation.variants(0.01).items():
        found = variant.device(device).as_dict()
        changed[name] = {key for key, value in found.items() if value != getattr(device, key)}
    assert changed == {
        ablation.FULL: set(),
        ablation.NO_PLASTICITY: {"beta", "gamma1"},
        ablation.NOISE: {"sigma1", "sigma2"},
        ablation.NOISE_TRAINING: {"sigma1", "sigma2"},
        ablation.NO_REFRACTORINESS: {"r_control"},
        ablation.LONGER: {"r_control"},
    }
    off = ablation.variants(0.01)[ablation.NO_PLASTICITY].device(device)
    assert off.beta + off.gamma1 == pytest.approx(device.beta + device.gamma1)
    gate = Task("t").step.replace(device=ablation.variants(0.01)[ablation.NO_REFRACTORINESS].device(device)).shares()["gate_lost"]
    assert np.all(gate > 0.99)


def test_all_variants_start_from_the_same_weights():
    ours, *others = (ablation.network_of(TASK, variant) for variant in ablation.variants(0.01).values())
    assert len({net.hidden.neuron.params.device for net in (ours, *others)}) > 3
    for net in others:
        for name, value in ours.state_dict().items():
            assert torch.equal(value, net.state_dict()[name]), name


def test_noise_in_training_only_is_off_in_the_exported_file(monkeypatch):
    exported = []
    monkeypatch.setattr(ablation, "trained", lambda net, *rest: (rest[-1](), exported.append(net.blocks[0].neuron.params.device),
                        {"train_accuracy": 0.75, "accuracy": 0.5})[-1])  # fmt: skip
    for name in (ablation.NOISE, ablation.NOISE_TRAINING):
        assert ablation.run(TASK, ablation.variants(0.01)[name], None, None, trainings.AUGMENTATION)["gap"] == 0.25
    assert [(device.sigma1, device.sigma2) for device in exported] == [(0.01, 0.01), (0.0, 0.0)]
    assert dataclasses.replace(exported[0], sigma1=0.0, sigma2=0.0) == exported[1]


def test_a_sentence_says_the_difference_that_it_is_judged_by():
    """It holds where one row has more: a row that is as good as the other would refute what claims that it is the same."""
    said = {"train_accuracy": "better fit", "accuracy": "more unheard voices right", "gap": "smaller gap", "spikes": "fewer"}
    assert [sentence.text for sentence in ablation.SENTENCES if said[sentence.measure] not in sentence.text] == []


def test_a_sentence_is_judged_by_paired_differences():
    sentence = ablation.Sentence("", "accuracy", "a", "b")
    results = lambda *values: [{"accuracy": value} for value in values]  # noqa: E731
    assert ablation.judged(sentence, {"a": results(0.9, 0.7, 0.8), "b": results(0.85, 0.64, 0.75)})[2] == "holds"
    assert ablation.judged(sentence, {"a": results(0.85, 0.64, 0.75), "b": results(0.9, 0.7, 0.8)})[2] == "opposite"
    difference, error, verdict = ablation.judged(sentence, {"a": results(0.9, 0.7), "b": results(0.8, 0.8)})
    assert (difference, error, verdict) == (pytest.approx(0.0), pytest.approx(0.1), "not seen")
    assert (
        ablation.judged(sentence, {"a": results(0.9, 0.87), "b": results(0.8, 0.8)})[2] == "not seen"
    )  # 5.7 errors: t of two seeds is 12.7
    assert ablation.judged(sentence, {"a": results(0.9), "b": results(0.8)})[2] == "one seed"


@pytest.mark.parametrize("library", ["numpy", "torch", "lightning", "lava-dl", "norse", "snntorch"])
def test_kept_results_are_of_every_librarys_version(library, monkeypatch):
    before, installed = table.digest_of({}), table.installed_version
    monkeypatch.setattr(table, "installed_version", lambda name: "another" if name == library else installed(name))
    assert table.digest_of({}) != before


def test_networks_of_other_data_are_trained_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(fit, "fit", lambda *_, **__: None)
    for seed in (0, 1, 0):
        variation._trained(TASK, frames(6, seed, TASK), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(("tuned", "rate"), [(True, 0.002), (False, 0.01)])
def test_a_peer_trains_at_the_rate_that_was_chosen_for_it(tuned, rate, monkeypatch):
    monkeypatch.setattr(accuracy, "kept", lambda *_: {})
    job = accuracy.Job({"held_out": "others"}, TASK, None, None)
    (found,) = accuracy._runs("GRU", accuracy.rows()["GRU"], [job], accuracy._arguments([]), tuned, trainings.AUGMENTATION)
    assert found["task"]["learning_rate"] == rate
