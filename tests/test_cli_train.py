"""``train`` and ``demo``: what is trained, what is kept of it, and how it goes on."""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from command import ROOT, run
from words import spoken

from lava_1m1t1r import cli
from lava_1m1t1r.commands import train
from lava_1m1t1r.datasets import EventSet, read_shd, write_shd
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.netx.schema import read
from lava_1m1t1r.presets import ZHAO2025_FIG2, ZHAO2025_FIG2_WIDE
from lava_1m1t1r.recipes import data, fit
from lava_1m1t1r.recipes.evaluate import accuracy
from lava_1m1t1r.recipes.task import recipe


@pytest.mark.train
def test_bins_of_another_width_make_the_device_as_much_slower(small_file, tmp_path, capsys):
    options = ["--data", str(small_file), "--hidden", "4", "--epochs", "1", "--dt", "0.005", "-o", str(tmp_path)]
    assert cli.main(["train", *options]) == 0
    assert "6 utterances of 120 bins of 5 ms, 140 channels, 3 classes" in capsys.readouterr().err
    net = read(tmp_path / "network.net")
    assert net.dt == 0.005 and net.active[0].step.device.mu == pytest.approx(ZHAO2025_FIG2.mu / 20)
    assert cli.main(["train", *options, "--resume", "--dt", "0.01"]) == cli.USAGE_ERROR
    assert "--dt must be what the run of" in capsys.readouterr().err
    assert cli.main(["train", *options, "--preset", "ZHAO2025_FIG2_WIDE", "--slower", "30"]) == 0
    net = read(tmp_path / "network.net")
    assert net.dt == 0.005 and net.active[0].step.device.mu == pytest.approx(ZHAO2025_FIG2_WIDE.mu / 30)


@pytest.mark.train
@pytest.mark.parametrize("epochs", [1, 2, 9, 10, 11])
def test_trainings_of_a_few_steps_have_a_schedule(epochs, small_file, tmp_path):
    """10 of them once divided by 0."""
    assert cli.main(["train", "--data", str(small_file), "--hidden", "4", "--epochs", str(epochs), "-o", str(tmp_path)]) == 0


@pytest.mark.timeout(900)
def test_the_main_job_on_a_small_file(tmp_path):
    pytest.importorskip("lava", reason="Lava is not installed")
    write_shd(tmp_path / "small.h5", spoken((18, 18, 18)))
    done = run("demo", "--data", "small.h5", "--leave-out", "1", "--epochs", "4", "--lava-utterances", "4", "-o", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["test_utterances"] == 18 and results["train_utterances"] == 36
    assert set(results["mismatches"].values()) == {0} and results["task"]["n_steps"] == 90
    assert results["compared"]["training forward"] == 18 and results["compared"]["Lava fixed_pt"] == 4
    assert results["accuracy"] > 0.6  # chance is a third
    assert [epoch["epoch"] for epoch in results["curve"]] == [1, 2, 3, 4]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "http" not in page.replace("http-equiv", "") and page.count("<figure>") == 4
    again = run("evaluate", "out/network.net", "--data", "small.h5", "--leave-out", "1", "--json", cwd=tmp_path)
    assert json.loads(again.stdout)["accuracy"] == results["accuracy"]
    spikes = run("simulate", "out/network.net", "--data", "small.h5", "--leave-out", "1", "--utterances", "5", "-o", "s.npz", cwd=tmp_path)
    assert spikes.returncode == 0, spikes.stderr
    with np.load(tmp_path / "s.npz") as saved:
        assert saved["layer1"].shape == (5, 90, 512) and saved["answers"].shape == (5,)  # layer 0 are the delay lines
        assert saved["classes"].tolist() == ["low", "middle", "high"]
    as_json = run("simulate", "out/network.net", "--data", "small.h5", "--utterances", "4", "--json", cwd=tmp_path)
    found = json.loads(as_json.stdout)
    assert found["names"] == [("low", "middle", "high")[k] for k in found["answers"]] and found["held_out"] == "speaker 2"
    hint = "results.json says that the network was trained without speaker 1; here it hears speaker 2"
    assert hint in as_json.stderr


@pytest.mark.train
def test_sizes_of_spoken_digits_go_with_spoken_digits(small_file, capsys):
    for option in ("--train-per-class", "--test-per-class"):
        assert cli.main(["demo", "--data", str(small_file), option, "3"]) == 2
        assert f"({option}) must be used with spoken digits; got 3." in capsys.readouterr().err
    with pytest.raises(TypeError, match="train_per_clas"):
        data.load(train_per_clas=3)


@pytest.mark.train
def test_milliseconds_are_told_before_frames_are_made_for_them(tmp_path, capsys):
    spikes = [(np.array([0.0, end], np.float32), np.array([0, 1])) for end in (500.0, 700.0, 600.0, 400.0)]
    write_shd(tmp_path / "ms.h5", EventSet.from_utterances(spikes, [0, 1, 0, 1], [0, 0, 1, 0], keys=("low", "high")))
    write_shd(
        tmp_path / "s.h5", EventSet.from_utterances([(t / 1000, u) for t, u in spikes], [0, 1, 0, 1], [0, 0, 1, 0], keys=("low", "high"))
    )
    train, ms = f"train -o {tmp_path / 'out'} --data {tmp_path / 's.h5'}", tmp_path / "ms.h5"
    for command in (
        f"evaluate shipped --leave-out 1 --data {ms}",
        f"evaluate shipped --all-speakers --steps 90 --data {ms}",
        f"train -o {tmp_path / 'out'} --data {ms}",
        f"{train} --test-data {ms}",
        f"{train} --leave-out 1 --validation-data {ms}",
    ):
        assert cli.main(command.split()) == 2
        assert re.search(
            r"utterances.* must last up to 100 s.*half of them longer than [56]\d\d s.*Times are in seconds", capsys.readouterr().err
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.train
def test_sizes_that_no_memory_holds(small_file, tmp_path, capsys):
    assert cli.main(["train", "--data", str(small_file), "--hidden", "1000000", "-o", str(tmp_path / "out")]) == cli.USAGE_ERROR
    error = capsys.readouterr().err.splitlines()[-1]
    assert "needs more memory than is available" in error and "--hidden" in error and "--steps" in error
    assert not list(tmp_path.iterdir())


@pytest.mark.train
@pytest.mark.parametrize(
    ("given", "granted", "seen"),
    [
        ({}, 1000, ["PASSIVE", "None"]),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, 1000, ["ACTIVE", "None"]),
        ({}, 1, ["PASSIVE", "1"]),  # all that a container is granted
        ({"OMP_NUM_THREADS": "3"}, 1, ["PASSIVE", "3"]),
    ],
)
def test_training_readies_torch_before_it_is_loaded(given, granted, seen, tmp_path):
    code = f"""
import os, sys
from lava_1m1t1r import cli
from lava_1m1t1r._support import cores
cores.granted = lambda: {granted}
from lava_1m1t1r.commands import train
train._train = lambda *_: print(*map(os.environ.get, ("OMP_WAIT_POLICY", "OMP_NUM_THREADS")), "torch" in sys.modules)
os.cpu_count = lambda: 64
sys.exit(cli.main(["train", "-o", "out"]))
"""
    environment = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "OMP_NUM_THREADS")}
    environment |= {"PYTHONPATH": ROOT} | given
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=220, env=environment, cwd=tmp_path)
    assert (done.returncode, done.stdout.split()) == (0, [*seen, "False"]), done.stderr


@pytest.mark.train
def test_the_demo_looks_for_what_draws_its_report_before_the_work(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(data, "load", lambda *_: pytest.fail("the work began"))
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert cli.main(["demo", "-o", str(tmp_path)]) == cli.USAGE_ERROR
    assert "The report needs the package 'matplotlib'" in capsys.readouterr().err


@pytest.mark.train
@pytest.mark.parametrize("wrong", [0, 2])
def test_the_demo_does_what_is_asked_for_and_its_exit_code_tells_of_values_that_differ(wrong, tmp_path, monkeypatch, capsys):
    from lava_1m1t1r.recipes import demo

    asked = {}

    def made(task, split, out, **options):
        asked.update(options, task=(task.name, task.epochs, task.seed), split=split, out=out)
        print("training")
        return {"mismatches": {"Lava fixed_pt": 0, "training forward": wrong}, "accuracy": 0.5}

    monkeypatch.setattr(demo, "demo", made)
    monkeypatch.setattr(data, "load", lambda *given: given)
    monkeypatch.setattr(data, "fitted", lambda task, split: task)
    given = ["--data", "a.h5", "--leave-out", "ann", "--test-data", "b.h5", "--train-per-class", "3", "--test-per-class", "4"]
    options = ["--epochs", "7", "--seed", "5", "--lava-utterances", "0", "--no-cuba", "--resume", "-o", str(tmp_path / "out"), "--json"]
    assert cli.main(["demo", *given, *options]) == (1 if wrong else 0)
    out, told = capsys.readouterr()
    assert json.loads(out)["accuracy"] == 0.5 and "training" in told
    assert asked.pop("split") == ("a.h5", "ann", "b.h5", 3, 4) and asked.pop("out") == tmp_path / "out"
    assert asked == {"task": ("recordings", 7, 5), "lava_utterances": 0, "with_cuba": False, "resume": True}


@pytest.mark.slow
@pytest.mark.train
@pytest.mark.timeout(900)
def test_training_says_how_to_evaluate_it_again_and_what_it_replaces(tmp_path):
    write_shd(tmp_path / "small.h5", spoken((6, 6, 6)))
    options = ["--data", "small.h5", "--hidden", "4", "--epochs", "1", "--leave-out", "0", "-o", "my run"]
    first, second = (run("train", *options, cwd=tmp_path) for _ in range(2))
    assert "replacing" not in first.stderr and "replacing the run in my run (use --resume to continue it)" in second.stderr
    (again,) = (line.removeprefix("again: lava-1m1t1r ") for line in first.stdout.splitlines() if line.startswith("again: "))
    assert again == "evaluate 'my run/network.net' --data small.h5 --leave-out 0"
    done = run(*shlex.split(again), "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["accuracy"] == json.loads((tmp_path / "my run" / "results.json").read_text())["accuracy"], done.stderr
    resumed = run("train", "--resume", "-o", "my run", cwd=tmp_path)
    cure = "It follows the data: give those that the run was started with (--data), or, if you did, --recipe recordings to go on."
    assert resumed.returncode == 2 and cure in resumed.stderr


@pytest.mark.train
@pytest.mark.timeout(900)
def test_training_with_a_file_to_test_on_says_how_to_evaluate_it_again(tmp_path, capsys):
    """On all of it, in as many bins; what was not counted is told of each set."""
    files = {name: write_shd(tmp_path / f"{name}.h5", spoken((6, 6, 6), seed=seed)) for seed, name in enumerate(("train", "test"))}
    options = ["--data", str(files["train"]), "--test-data", str(files["test"]), "--hidden", "4", "--epochs", "1", "--steps", "50"]
    assert cli.main(["train", *options, "--validate", "0", "-o", str(tmp_path / "run")]) == 0
    told = capsys.readouterr().out
    found = json.loads((tmp_path / "run" / "results.json").read_text())
    assert found["augmentation"]["channel_shift"] == 8 and found["validation"] == {"speaker": "0", "file": None, "patience": None}
    task = recipe("recordings").replace(n_steps=50)
    for name, path in files.items():
        events = read_shd(path)
        part = data.frames_of(events if name == "test" else events.without_speakers(0), task)
        assert found["uncounted"][name] == {"cropped": part.cropped, "merged": part.merged} and 0.1 < part.cropped < 0.2
    (again,) = (line.removeprefix("again: lava-1m1t1r ") for line in told.splitlines() if line.startswith("again: "))
    assert cli.main([*shlex.split(again), "--json"]) == 0
    once_more = json.loads(capsys.readouterr().out)
    assert (once_more["accuracy"], once_more["utterances"], once_more["steps"]) == (found["accuracy"], 18, 50)


@pytest.mark.train
@pytest.mark.timeout(900)
@pytest.mark.parametrize("named", [False, True])
def test_what_is_no_way_to_evaluate_again_is_not_told(named, tmp_path, capsys, monkeypatch):
    """A test file without names has those of the training set, of which evaluate does not know: it goes by the network's numbers."""
    real = fit.fit

    def after_the_file_is_gone(*args, **options):  # training takes hours: what is found of its files is found before
        test.unlink()
        return real(*args, **options)

    monkeypatch.setattr(fit, "fit", after_the_file_is_gone)
    words = ("two", "zero", "one")  # the network numbers them otherwise
    train = write_shd(tmp_path / "train.h5", replace(spoken((6,)), keys=words))
    test = write_shd(tmp_path / "test.h5", replace(spoken((6,), seed=1), keys=words if named else ()))
    options = ["--start", "shipped", "--data", str(train), "--test-data", str(test), "--epochs", "1", "-o", str(tmp_path / "run")]
    assert cli.main(["train", *options]) == 0
    assert ("again: lava-1m1t1r evaluate" in capsys.readouterr().out) == named


@pytest.mark.train
@pytest.mark.timeout(900)
def test_a_network_that_names_no_classes_is_not_said_to_be_evaluated_on_a_file_that_numbers_them_otherwise(tmp_path, capsys):
    """It has more outputs than the data have classes, and so takes no names from them."""
    train = write_shd(tmp_path / "train.h5", replace(spoken((6,)), keys=("a", "b", "c")))
    from lava_1m1t1r.recipes import network

    net = recipe("recordings").replace(n_steps=50, hidden=4, classes=5)
    network.m1t1r(net).export(tmp_path / "five.net")
    for keys, told in ((("b", "a", "c"), False), (("a", "b", "c"), True)):
        test = write_shd(tmp_path / "test.h5", replace(spoken((6,), seed=1), keys=keys))
        out = str(tmp_path / f"run {keys[0]}")
        options = ["--start", str(tmp_path / "five.net"), "--data", str(train), "--test-data", str(test), "--epochs", "1", "-o", out]
        assert cli.main(["train", *options]) == 0
        assert ("again: lava-1m1t1r evaluate" in capsys.readouterr().out) == told


@pytest.mark.train
@pytest.mark.timeout(900)
def test_a_class_that_only_the_validation_speaker_says_is_told(tmp_path, capsys):
    ear = spoken((6, 6))
    ear = replace(ear, labels=np.where((ear.labels == 2) & (ear.speakers == 0), 0, ear.labels))
    assert {*ear.labels[ear.speakers == 0].tolist()} == {0, 1}
    file = write_shd(tmp_path / "people.h5", ear)
    test = write_shd(tmp_path / "test.h5", spoken((6,), seed=1))
    for who, told in ((1, True), (0, False)):
        options = ["--data", str(file), "--test-data", str(test), "--hidden", "4", "--epochs", "1", "--steps", "50"]
        assert cli.main(["train", *options, "--validate", str(who), "-o", str(tmp_path / f"run{who}")]) == 0
        said = f"without {who}, the training set has no utterance of 1 class ({ear.keys[2]})"
        assert (said in capsys.readouterr().err) == told


@pytest.mark.train
@pytest.mark.timeout(900)
def test_training_says_what_it_takes_channels_for_and_keeps_what_it_did(tmp_path, capsys):
    ear = spoken((6, 6, 6))
    pixels = EventSet.from_utterances(
        [(u.times, u.units // 7) for u in ear], ear.labels, ear.speakers, keys=ear.keys, n_channels=100, speaker_names=("ann", "bob", "cy")
    )
    for name, events in (("ear", ear), ("pixels", pixels)):
        write_shd(tmp_path / f"{name}.h5", events)
    hint = "hint: channels beside each other are taken to be alike, as in an ear. If yours are not: "
    cases = (
        ("ear", [], "augmentation: shifts of up to 8 channels and 2 bins, tempo changed by up to 8 %, 0 % of the events dropped", None),
        ("pixels", ["--channels", "50"], "augmentation: shifts of up to 3 channels", "--channel-shift 0 --channels 100"),
        ("pixels", ["--recipe", "shd"], "augmentation: ", "--channel-shift 0 --smooth 0"),
        ("pixels", ["--recipe", "shd", "--channel-shift", "0", "--smooth", "0"], "augmentation: shifts of up to 0 channels", None),
        ("pixels", ["--no-augmentation"], "", None),
    )
    for name, options, told, cure in cases:
        arguments = ["--data", str(tmp_path / f"{name}.h5"), "--hidden", "4", "--epochs", "1", "-o", str(tmp_path / "run"), *options]
        assert cli.main(["train", *arguments]) == 0
        said = capsys.readouterr().err
        assert told in said and (hint + f"{cure}\n" in said if cure else "hint: channels" not in said), options
    arguments = ["--data", str(tmp_path / "pixels.h5"), "--hidden", "4", "--epochs", "4", "--steps", "33", "-o", str(tmp_path / "run")]
    assert cli.main(["train", *arguments, "--validate", "ann", "--patience", "1"]) == 0
    found = json.loads((tmp_path / "run" / "results.json").read_text())
    assert found["task"]["n_steps"] == 33 and found["augmentation"]["channel_shift"] == 6
    kept = found["validation"]
    assert kept["speaker"] == "ann" and kept["patience"] == 1 and 1 <= kept["epoch"] <= 4 and 0 <= kept["accuracy"] <= 1
    assert f"epoch {kept['epoch']}, the best in validation" in capsys.readouterr().err
    assert cli.main(["train", *arguments, "--resume", "--validate", "ann", "--patience", "1", "--steps", "34"]) == cli.USAGE_ERROR
    assert "n_steps (--steps) must be what the run of" in capsys.readouterr().err


@pytest.mark.train
@pytest.mark.timeout(900)
def test_training_watched_by_a_file(tmp_path, capsys):
    """Three files, as Spiking Speech Commands has them."""
    sets = {name: spoken((6, 6, 6), seed=seed) for seed, name in enumerate(("train", "test", "valid"))}
    sets["turned"] = replace(sets["valid"], labels=2 - sets["valid"].labels, keys=sets["valid"].keys[::-1])
    sets["wide"] = replace(sets["valid"], n_channels=701)
    sets["others"] = replace(sets["valid"], keys=("up", "middle", "down"))
    files = {name: str(write_shd(tmp_path / f"{name}.h5", events)) for name, events in sets.items()}
    options = ["train", "--data", files["train"], "--test-data", files["test"], "--hidden", "4", "--epochs", "2", "--seed", "3"]
    kept = {}
    for name in ("valid", "turned"):
        given = ["--validation-data", files[name], "--patience", "1", "-o", str(tmp_path / name)]
        assert cli.main([*options, *given]) == 0
        kept[name] = json.loads((tmp_path / name / "results.json").read_text())["validation"]
        assert (kept[name]["speaker"], kept[name].pop("file")) == (None, files[name])
    assert kept["valid"] == kept["turned"], "classes go by their names"
    assert "classes of the validation set are numbered as in training" in capsys.readouterr().err
    steps = json.loads((tmp_path / "valid" / "results.json").read_text())["task"]["n_steps"]
    watched = data.frames_of(sets["valid"], recipe("recordings").replace(n_steps=steps))
    assert kept["valid"]["accuracy"] == pytest.approx(accuracy(tmp_path / "valid" / "network.net", watched))
    cases = (
        ("train", "the validation set (the file train.h5) must hold other utterances than the training set"),
        ("test", "the validation set (the file test.h5) must hold other utterances than the test set"),
        ("wide", "wide.h5 must have 700 channels, as the training set; got 701"),
        ("absent", "absent.h5"),
        ("others", "--validation-data must hold no other classes than the training and the test set; got 'up, down'"),
    )
    for name, words in cases:
        assert cli.main([*options, "--validation-data", str(tmp_path / f"{name}.h5"), "-o", str(tmp_path / "refused")]) == cli.USAGE_ERROR
        assert words in capsys.readouterr().err
    assert not (tmp_path / "refused").exists()


@pytest.mark.train
def test_results_of_an_earlier_network_do_not_stand_beside_another(small_file, tmp_path, monkeypatch):
    from lava_1m1t1r.recipes import evaluate

    options = ["train", "--data", str(small_file), "--hidden", "4", "--epochs", "1", "-o", str(tmp_path)]
    assert cli.main(options) == 0 and all((tmp_path / name).is_file() for name in ("results.json", "report.html"))
    before = (tmp_path / "network.net").read_bytes()

    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate, "evaluate", stopped)
    assert cli.main([*options, "--seed", "7"]) == 130
    assert (tmp_path / "network.net").read_bytes() != before
    assert not any((tmp_path / name).exists() for name in ("results.json", "report.html"))


@pytest.mark.train
def test_a_network_that_is_refused_leaves_the_earlier_one_with_its_results(small_file, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    options = ["train", "--data", str(small_file), "--hidden", "4", "--epochs", "1", "-o", str(tmp_path)]
    assert cli.main(options) == 0
    names = ("network.net", "results.json", "report.html")
    before = [(tmp_path / name).read_bytes() for name in names]
    real = fit.fit

    def diverged(net, *args, **more):
        found = real(net, *args, **more)
        net.blocks[-1].synapse.weight.data[:] = np.nan
        return found

    monkeypatch.setattr(fit, "fit", diverged)
    assert cli.main([*options, "--seed", "7"]) == cli.USAGE_ERROR
    assert "nan" in capsys.readouterr().err
    assert [(tmp_path / name).read_bytes() for name in names] == before


@pytest.mark.train
def test_a_training_has_a_page_where_it_can_be_drawn(small_file, tmp_path, monkeypatch, capsys):
    options = ["train", "--data", str(small_file), "--hidden", "4", "--epochs", "1", "-o"]
    assert cli.main([*options, str(tmp_path / "a")]) == 0
    again = ["train", "--data", str(small_file), "--epochs", "1", "--start", str(tmp_path / "a" / "network.net"), "-o", str(tmp_path / "b")]
    assert cli.main(again) == 0
    for folder, device in (("a", "Device: ZHAO2025 FIG2 slowed down 40 times"), ("b", "Neurons in steps of 10 ms with 1 substep; one")):
        page, found = ((tmp_path / folder / name).read_text() for name in ("report.html", "results.json"))
        assert f"<h1>1M1T1R on small: {json.loads(found)['accuracy']:.1%} on speaker 2</h1>" in page
        assert [set(epoch) for epoch in json.loads(found)["curve"]] == [{"epoch", "loss", "train_accuracy"}]
        assert ("<td>ZHAO2025_FIG2" in page) == (folder == "a")
        assert device in page and page.count("<img") == 4 and "spikes per utterance, at " in page
    assert str(tmp_path / "b" / "report.html") in capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert cli.main([*options, str(tmp_path / "c")]) == 0
    told = capsys.readouterr()
    assert "no figures: The report needs the package 'matplotlib'" in told.err and "report.html" not in told.out
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["last.ckpt", "network.net", "results.json"]


@pytest.mark.train
def test_steps_of_several_processes_are_those_that_each_takes(small_file, tmp_path, monkeypatch, capsys):
    """Under torchrun, with 4 processes, 6 utterances are one step of 4 x 2, and 3 of 2."""
    from lava_1m1t1r.recipes import fit

    options = ["train", "--data", str(small_file), "--hidden", "4", "--epochs", "5", "--batch", "2", "-o", str(tmp_path)]
    for processes, steps in ((1, 15), (4, 5)):
        monkeypatch.setattr(fit, "processes", lambda processes=processes: (0, processes, 0))
        monkeypatch.setattr(fit, "fit", lambda *_, **__: (_ for _ in ()).throw(InputError("so far")))
        assert cli.main(options) == cli.USAGE_ERROR
        assert f"{steps} training steps in all are few" in capsys.readouterr().err


@pytest.mark.train
def test_a_speaker_whose_name_looks_like_an_option_can_be_left_out_again(tmp_path):
    write_shd(tmp_path / "a.h5", replace(spoken((6, 6, 6)), speaker_names=("anna", "bert", "-c d")))
    done = run("train", "--data", "a.h5", "--leave-out=-c d", "--hidden", "4", "--epochs", "1", "-o", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    again = next(line for line in (done.stdout + done.stderr).splitlines() if "evaluate" in line and "--leave-out" in line)
    words = shlex.split(again[again.index("evaluate") :])
    assert run(*words, cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(("names", "told"), [(("ann", "bea", "cy"), "cy"), (("ann", "bea", "ann"), "2"), (("ann",), "2"), ((), "2")])
def test_the_speaker_left_out_is_told_so_that_it_is_found_again(names, told):
    args, whole = argparse.Namespace(data="a.h5", test_data=None), replace(spoken(), speaker_names=names)
    split = data.Split(whole.without_speakers(2), whole.of_speakers(2), "a", "the last")
    assert train._test_options(args, split, None) == f"--data a.h5 --leave-out {told}"
    assert whole.speaker(told) == 2


@pytest.mark.train
def test_a_set_without_speakers_is_told_what_it_lacks(tmp_path, capsys):
    nobody = spoken()
    write_shd(tmp_path / "test.h5", spoken(seed=1))
    write_shd(tmp_path / "nobody.h5", EventSet.from_utterances([(u.times, u.units) for u in nobody], nobody.labels, keys=nobody.keys))
    data = ["train", "--data", str(tmp_path / "nobody.h5"), "-o", str(tmp_path / "run")]
    assert cli.main(data) == cli.USAGE_ERROR
    assert "hold at least two speakers, so that one can be left out; got 'names no speakers'" in capsys.readouterr().err
    for who in ("0", "-1"):
        given = [*data, "--test-data", str(tmp_path / "test.h5"), f"--validate={who}"]
        assert cli.main(given) == cli.USAGE_ERROR
        assert "--validate must be used with a set that names speakers" in capsys.readouterr().err
