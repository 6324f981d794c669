"""``evaluate`` and ``simulate``: which samples a network hears, what its answers count for, and what is told of data that do not suit."""

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command import SHELLS_PYTHON, TOY, run, started
from words import spoken

from lava_1m1t1r import cli
from lava_1m1t1r._support.files import as_json
from lava_1m1t1r.agreement import agreement
from lava_1m1t1r.answers import adapted_accuracy, answers, over_time
from lava_1m1t1r.commands import _common, _samples
from lava_1m1t1r.commands._training import Training
from lava_1m1t1r.datasets import EventSet, write_shd
from lava_1m1t1r.datasets.binning import BinnedEvents
from lava_1m1t1r.description import CubaNeuron, Layer, NetDescription
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.fast import FastNetwork
from lava_1m1t1r.netx import hdf5
from lava_1m1t1r.netx.hdf5 import predict
from lava_1m1t1r.netx.schema import read, write
from lava_1m1t1r.quantisation import quantise_network
from lava_1m1t1r.recipes import data
from lava_1m1t1r.recipes.evaluate import evaluate, in_lava
from lava_1m1t1r.recipes.page import standard_error
from lava_1m1t1r.recipes.task import recipe


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--labels", "y.npy"], "--labels must be used with --frames; got 'y.npy'"),
        (["--frames", "x.npy"], "--frames must be used with --labels; got 'x.npy'. Without labels, use `simulate`."),
        (["--frames", "x.npy", "--labels", "y.npy", "--data", "d.h5"], "--data must not be used with --frames"),
        (["--frames", "x.npy", "--labels", "x.npy"], "--labels must be whole numbers (4,), one for each sample"),
        (["--frames", "y.npy", "--labels", "y.npy"], "frames must have shape (B, T, C)"),
        (["--frames", "x.npy", "--labels", "high.npy"], "labels must lie in 0..3, one for each output of the network; got 4."),
        (["--frames", "x.npy", "--labels", "low.npy"], "labels must lie in 0..3, one for each output of the network; got -1."),
        (["--frames", "x.npy", "--labels", "gone.npy"], "--labels must be an existing .npy file"),
        (
            ["--frames", "x.npy", "--labels", "wrap.npy"],
            "labels must lie in 0..3, one for each output of the network; got 18446744073709551615",
        ),
        (["--frames", "one.npy", "--labels", "y.npy"], "--frames must be a .npy file of numbers; got 'one.npy': it holds a single value."),
        (["--frames", "two.npz", "--labels", "y.npy"], "must be a .npy file of numbers; got 'two.npz': it holds several arrays, as a .npz"),
        (["--frames", "x.npy", "--labels", "y.npy", "--steps", "0"], "--steps must not be used with --frames"),
        (["--frames", "x.npy", "--labels", "y.npy", "--utterances", "0"], "--utterances must be a whole number from 1"),
        (["--frames", "zip.npy"], "--frames must be a .npy file of numbers; got 'zip.npy'"),
        (["--frames", "header.npy"], "--frames must be a .npy file of numbers; got 'header.npy'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_arrays_that_do_not_suit_are_told_in_a_line(options, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.ones((4, 5, 8), int))
    for name, labels in {"y": [0, 1, 2, 2], "high": [0, 1, 2, 4], "low": [0, 1, 2, -1], "one": 3}.items():
        np.save(f"{name}.npy", np.array(labels))
    np.save("wrap.npy", np.array([0, 1, 2, 2**64 - 1], np.uint64))
    np.savez("two.npz", np.zeros(3), np.zeros(4))
    Path("zip.npy").write_bytes(b"PK\x03\x04garbage")
    Path("header.npy").write_bytes(b"\x93NUMPY\x01\x00\x06\x00{((('a")
    assert cli.main(["evaluate", TOY, *options]) == cli.USAGE_ERROR
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


@pytest.mark.parametrize("largest", [1, 300])
def test_arrays_are_samples_too(largest, rng, tmp_path, monkeypatch, capsys):
    """Counts beyond a byte among them; answers and spikes are those of predict."""
    monkeypatch.chdir(tmp_path)
    x, y = rng.integers(0, largest + 1, (6, 40, 8)), rng.integers(0, 3, 6)
    np.save("x.npy", x)
    np.save("y.npy", y)
    out = predict(TOY, x)
    answers = out.sum(1, dtype=int).argmax(1)
    given = ["--frames", "x.npy", "--json"]
    assert cli.main(["evaluate", TOY, *given, "--labels", "y.npy", "--utterances", "5"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["accuracy"] == np.mean(answers[:5] == y[:5]) and found["utterances"] == 5 and found["data"] == "x.npy"
    assert found["held_out"] == "the first of 6"  # it was said to be all of it
    assert cli.main(["simulate", TOY, *given]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["held_out"] == "all of it"
    assert found["answers"] == answers.tolist() and found["accuracy"] is None and set(found["labels"]) == {-1}
    with np.load("spikes.npz") as kept:
        last = max(name for name in kept if name.startswith("layer"))
        assert np.array_equal(kept[last], out)
        assert kept["dt"] == read(TOY).dt and set(kept["labels"]) == {-1}
    assert cli.main(["simulate", TOY, *given, "--labels", "y.npy"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == np.mean(answers == y)


@pytest.mark.lava
def test_a_network_is_simulated_where_and_in_the_numbers_that_are_asked_for(rng, tmp_path, monkeypatch, capsys):
    asked = []

    def seen(net, frames, backend, *, own=hdf5.predict, **options):
        asked.append((backend, options["tag"]))
        return own(net, frames, **options)

    monkeypatch.setattr(hdf5, "predict", seen)
    np.save(tmp_path / "x.npy", rng.integers(0, 2, (2, 20, 8)))
    given = [TOY, "--frames", str(tmp_path / "x.npy"), "-o", str(tmp_path / "s.npz")]
    for options in ([], ["--tag", "floating_pt"], ["--backend", "lava"]):
        assert cli.main(["simulate", *given, *options]) == 0
    assert asked == [("fast", "fixed_pt"), ("fast", "floating_pt"), ("lava", "fixed_pt")]
    assert "on lava (fixed_pt):" in capsys.readouterr().out.splitlines()[-1]


def test_layers_are_reported_as_by_the_function(rng, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    x = rng.integers(0, 2, (6, 40, 8))
    np.save("x.npy", x)
    np.save("y.npy", np.zeros(6, int))
    given = ["evaluate", TOY, "--frames", "x.npy", "--labels", "y.npy", "--layers", "4"]
    reports = quantise_network(read(TOY), x[:4])
    assert cli.main([*given, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["layers"] == json.loads(as_json([report.as_dict() for report in reports]))
    assert cli.main(given) == 0
    printed = capsys.readouterr().out
    assert "over the first 4 utterances:" in printed and all(str(report) in printed for report in reports)
    silent = np.flatnonzero(FastNetwork(read(TOY)).run(x[:4], record="spikes").layers[0].spikes.sum((0, 1)) == 0)
    assert reports[0].activity.silent == silent.tolist() and f"silent: {len(silent)} neurons" in printed


def other_network(kind):
    """CUBA neurons, alone and behind others, and sums alone."""
    first, cuba = np.full((4, 8), 60), CubaNeuron(1024, 128, 64 * 90)
    if kind == "sums":
        return NetDescription((Layer(0, "affine", (4,), 8, first),))
    if kind == "CUBA":
        return NetDescription((Layer(0, "dense", (4,), 8, first, neuron=cuba),))
    return NetDescription((read(TOY).layers[0], replace(read(TOY).layers[-1], index=1, kind="dense", neuron=cuba)))


@pytest.mark.report
@pytest.mark.parametrize(("kind", "images"), [("1M1T1R", 3), ("CUBA", 1), ("mixed", 1), ("sums", 1)])
def test_an_evaluation_has_a_page_where_one_is_asked_for(kind, images, rng, tmp_path, monkeypatch, capsys):
    ours, net = kind == "1M1T1R", TOY
    if not ours:
        net = str(tmp_path / "other.net")
        write(net, other_network(kind))
    out = tmp_path / "out"
    out.mkdir()
    for name in ("results.json", "report.html"):  # of a training
        (out / name).write_text("its own")
    np.save(tmp_path / "x.npy", rng.integers(0, 2, (6, 40, 8)))
    np.save(tmp_path / "y.npy", np.arange(6) % 4)
    given = ["evaluate", net, "--frames", str(tmp_path / "x.npy"), "--labels", str(tmp_path / "y.npy"), "--json", "-o", str(out)]
    assert cli.main(given) == 0
    told = capsys.readouterr()
    found, page = json.loads(told.out), (out / "evaluation.html").read_text()
    assert json.loads((out / "evaluation.json").read_text()) == found and f"report: {out / 'evaluation.html'}" in told.err
    what = "1M1T1R" if ours else read(net).sizes
    assert f"{what} on x.npy: {found['accuracy']:.1%} on all of it" in page and page.count("<img") == images
    assert ("Recorded input: 6 test utterances, the first ones of their classes" in page) == ours
    assert "<b>25%</b>chance" in page and "None" not in page
    assert ("Floating and fixed point predict" in page) == (kind in ("1M1T1R", "sums"))
    assert (out / "results.json").read_text() == (out / "report.html").read_text() == "its own"
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert cli.main([*given[:-1], str(tmp_path / "new")]) == cli.USAGE_ERROR and not (tmp_path / "new").exists()
    assert "The report (--out) needs the package 'matplotlib'" in capsys.readouterr().err


@pytest.mark.report
def test_a_page_is_drawn_without_latex_where_the_user_draws_with_it(rng, tmp_path):
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\n")
    np.save(tmp_path / "x.npy", rng.integers(0, 2, (4, 20, 8)))
    np.save(tmp_path / "y.npy", np.zeros(4, int))
    done = run("evaluate", TOY, "--frames", "x.npy", "--labels", "y.npy", "-o", ".", cwd=tmp_path, PATH="")
    assert done.returncode == 0 and (tmp_path / "evaluation.html").exists(), done.stderr


@pytest.mark.report
def test_numbers_are_safe_whatever_ends_the_drawing(rng, tmp_path, monkeypatch, capsys):
    from lava_1m1t1r.recipes import page

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(page, "page_of", stopped)
    (tmp_path / "evaluation.html").write_text("of another network")
    np.save(tmp_path / "x.npy", rng.integers(0, 2, (4, 20, 8)))
    np.save(tmp_path / "y.npy", np.zeros(4, int))
    given = ["--frames", str(tmp_path / "x.npy"), "--labels", str(tmp_path / "y.npy"), "-o", str(tmp_path)]
    assert cli.main(["evaluate", TOY, *given]) == 130
    assert "correct in fixed point" in capsys.readouterr().out and json.loads((tmp_path / "evaluation.json").read_text())["utterances"] == 4
    assert not (tmp_path / "evaluation.html").exists()


def test_values_that_differ_fail_an_evaluation(rng, tmp_path, monkeypatch, capsys):
    from lava_1m1t1r.recipes import evaluate

    found = []

    def differing(*arguments, own=evaluate.evaluate):
        result, fixed = own(*arguments)
        result.note("elsewhere", 4, len(found))
        return result, fixed

    monkeypatch.setattr(evaluate, "evaluate", differing)
    np.save(tmp_path / "x.npy", rng.integers(0, 2, (4, 20, 8)))
    np.save(tmp_path / "y.npy", np.zeros(4, int))
    given = ["--frames", str(tmp_path / "x.npy"), "--labels", str(tmp_path / "y.npy")]
    for code, told in enumerate(["0 values differ", "1 value differs"]):
        assert cli.main(["evaluate", TOY, *given]) == code
        assert f"elsewhere: {told} on 4 utterances" in capsys.readouterr().out
        found.append("another")


def test_what_is_like_the_networks_data_raises_no_hint(small_file, tmp_path, capsys):
    """As many classes without names, and one utterance, which is of one class; bins are told in milliseconds."""
    net = read(_common.network_path("shipped"))
    *others, readout = net.layers
    three = replace(readout, shape=(3,), weight=readout.weight[:3])
    write(tmp_path / "three.net", replace(net, layers=(*others, three), classes=()))
    for options, number in (([], "3 utterances"), (["--utterances", "1"], "1 utterance")):
        assert cli.main(["evaluate", str(tmp_path / "three.net"), "--data", str(small_file), "--steps", "70", *options]) == 0
        out, told = capsys.readouterr()
        assert "hint" not in told and f" {number} of 70 bins of 10 ms, " in out
    two = write_shd(tmp_path / "two.h5", spoken((2, 2, 2), 2))
    assert cli.main(["evaluate", str(tmp_path / "three.net"), "--data", str(two), "--steps", "70"]) == 0
    hint = "hint: the data hold 2 classes, numbered up to 1, the network has 3 outputs. Was it trained on other data?"
    assert hint in capsys.readouterr().err
    for name, told in (("two", False), ("another", True)):  # of the test set of its own training, too
        (tmp_path / "results.json").write_text(json.dumps({"files": {"test_data": f"{name}.h5"}}))
        assert cli.main(["evaluate", str(tmp_path / "three.net"), "--data", str(two), "--steps", "70"]) == 0
        assert (hint in capsys.readouterr().err) == told


def test_fewer_classes_than_outputs_are_told_in_a_line(small_file, tmp_path):
    for command, options in (("evaluate", ["--json"]), ("simulate", ["--utterances", "2"])):
        done = run(command, "shipped", "--data", str(small_file), *options, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        hint = "hint: the classes of the data (3: low, middle, high) are not those of the network (20: zero, one, two, ...)."
        assert done.stderr.splitlines() == [f"{hint} Was it trained on other data?"]
    done = run("evaluate", "shipped", "--data", str(small_file), "--steps", "1")
    assert done.stderr.splitlines()[1].startswith("warning: ") and len(done.stderr.splitlines()) == 2, done.stderr


def test_a_share_of_few_answers_has_an_error_even_if_all_are_right():
    """Agresti and Coull's; for many answers it is the usual one."""
    assert [round(standard_error(share, 8), 4) for share in (0.0, 0.5, 1.0)] == [0.1076, 0.1443, 0.1076]
    assert standard_error(0.9, 10_000) == pytest.approx(0.003, rel=2e-3)


def test_an_evaluation_counts_answers_by_class_and_the_spikes_of_all_layers(rng):
    """Of more utterances than are compared at once."""
    net, labels = read(TOY), np.arange(130) % 4
    frames = (rng.random((130, 20, 8)) < 0.3).astype(np.uint8)
    result, _ = evaluate(net, data.Frames(BinnedEvents.of(frames), labels, 0.0))
    fixed, floating = (FastNetwork(net, floating=kind).run(frames, record="spikes") for kind in (False, True))
    given, free = answers(fixed.out), answers(floating.out)
    expected = [[np.count_nonzero((labels == true) & (given == answer)) for answer in range(4)] for true in range(4)]
    assert result.confusion.tolist() == expected and not np.array_equal(result.confusion, result.confusion.T)
    assert (result.accuracy, result.floating_accuracy) == (np.mean(given == labels), np.mean(free == labels))
    assert result.same_answer == np.mean(given == free) and result.spikes == fixed.spike_count / 130 > 1
    pairs = zip(fixed.layers, floating.layers, strict=True)
    of_layers = [agreement(one.spikes, other.spikes) for one, other in pairs if one.spikes is not None]
    assert result.float_spikes == sum(of_layers[1:], of_layers[0])


def test_values_that_differ_in_lava_are_counted_one_by_one(rng, monkeypatch):
    net = read(TOY)
    frames = (rng.random((6, 20, 8)) < 0.3).astype(np.uint8)
    test, fixed = data.Frames(BinnedEvents.of(frames), np.zeros(6, int), 0.0), FastNetwork(net).run(frames, record="spikes")

    def predict(net, frames, backend, tag="fixed_pt", *, record):
        ran = FastNetwork(net, floating=tag == "floating_pt").run(frames, record="spikes")
        ran.layers[0].out[1, :3, 0] += 1
        ran.out[2, :4, 1] += 1
        return ran

    monkeypatch.setattr(hdf5, "predict", predict)
    found = in_lava(net, test, fixed, 4)
    assert (found.utterances, found.fixed_differs, found.floating_differs) == (4, 7, 7) and found.floating_answers.shape == (4,)


@pytest.mark.parametrize("labels", [[2, 0, 1] * 4, sorted([0, 1, 2] * 4), [0] * 7 + [1] * 3 + [2], [5] * 4], ids=str)
def test_some_utterances_are_of_all_classes(labels):
    """The first of each, then the second: where classes take turns, the first of all."""
    labels = np.array(labels)
    for count in range(1, len(labels) + 2):
        places = data.first_of_each(labels, count)
        assert len(places) == min(count, len(labels)) and np.all(np.diff(places) > 0)
        taken = {k: np.flatnonzero(labels[places] == k).size for k in labels.tolist()}
        for k, number in taken.items():
            assert np.array_equal(places[labels[places] == k], np.flatnonzero(labels == k)[:number])
            assert number == np.count_nonzero(labels == k) or number >= max(taken.values()) - 1
        if labels[0] == 2:
            assert places.tolist() == list(range(min(count, len(labels))))


def of_old(net):
    """The network as files of earlier versions hold it, which do not tell how long the utterances of its training were."""
    return replace(net, usual=None)


@pytest.mark.parametrize(("options", "steps"), [([], 120), (["--utterances", "2"], 120), (["--steps", "30"], 30)], ids=str)
def test_utterances_are_as_long_as_in_training(options, steps, tmp_path):
    """Not as long as those asked for: each answer, and the accuracy, is what training reported."""
    spikes = [(np.array([0.0, length], np.float32), np.array([0, 1])) for length in (1.2, 0.5, 0.6, 1.5)]
    write_shd(tmp_path / "long.h5", EventSet.from_utterances(spikes, [0, 1, 0, 1], [0, 0, 1, 1], keys=("low", "high")))
    args = cli.parser().parse_args(["simulate", "shipped", "--data", str(tmp_path / "long.h5"), "--leave-out", "1", *options])
    net = of_old(read(_common.network_path("shipped")))
    assert _samples.frames_to_test(args, net).frames.binned.shape[1] == steps


def test_a_network_hears_as_many_bins_as_its_training_did(tmp_path):
    """What the others say does not lengthen the frames: its results beside it tell how long they were."""
    spikes = [(np.array([0.0, length], np.float32), np.array([0, 1])) for length in (1.2, 0.5, 0.6, 1.5)]
    write_shd(tmp_path / "long.h5", EventSet.from_utterances(spikes, [0, 1, 0, 1], [0, 0, 1, 1], keys=("low", "high")))
    (tmp_path / "network.net").write_bytes(_common.network_path("shipped").read_bytes())
    net = read(tmp_path / "network.net")
    cases = (
        ("long", 0.01, 77, [], 90),  # its file tells it, too
        ("long", 0.01, 77, ["--steps", "30"], 30),
        ("other", 0.01, 77, [], 90),
        ("long", 0.005, 77, [], 90),
        *(("long", 0.01, wrong, [], 90) for wrong in ("77", 0, -3, 10**9, None)),  # of a file that was changed
    )
    for heard, dt, n_steps, given, steps in cases:
        results = {"data": heard, "held_out": "speaker 1", "task": {"n_steps": n_steps, "dt": dt}}
        (tmp_path / "results.json").write_text(json.dumps(results))
        args = cli.parser().parse_args(["simulate", net.source, "--data", str(tmp_path / "long.h5"), "--leave-out", "1", *given])
        assert _samples.frames_to_test(args, net).frames.binned.shape[1] == steps
        if steps == 90:
            told = (heard, dt, n_steps) == ("long", 0.01, 77)
            assert _samples.frames_to_test(args, of_old(net)).frames.binned.shape[1] == (77 if told else 120)
            if told:  # a file of CUBA neurons does not say how long a step is
                layers = tuple(replace(x, neuron=x.neuron and CubaNeuron(9, 9, 80)) for x in net.layers)
                cuba = replace(of_old(net), layers=layers)
                assert cuba.dt is None and _samples.frames_to_test(args, cuba).frames.binned.shape[1] == 77


def test_results_of_another_training_in_the_same_folder_tell_nothing(tmp_path):
    (tmp_path / "network.net").write_bytes(_common.network_path("shipped").read_bytes())
    net = read(tmp_path / "network.net")
    digest = net.digest(biases=False)
    of = {"its own": {"networks": {"network.net": digest}}, "by another name": {"networks": {"first.net": digest}}, "untold": {}}
    for told, networks in {**of, "another's": {"networks": {"network.net": "another"}}}.items():
        results = {"data": "long", "held_out": "speaker 1"} | networks
        (tmp_path / "results.json").write_text(json.dumps(results))
        assert bool(Training(net).found) is (told in of), told
    adapted = net.replace(layers=tuple(x if x.bias is None else x.replace(bias=x.bias + 1) for x in net.layers))
    assert adapted.digest(biases=False) == digest and adapted.digest() != net.digest()
    delays = {"delay_rec": np.ones(net.layers[-1].size, np.int32)}
    assert net.layers[-1].weight_rec is None
    assert net.replace(layers=(*net.layers[:-1], net.layers[-1].replace(**delays))).digest() == net.digest()  # they delay nothing
    for damaged in ('{"networks": [1]}', '{"networks": 3}', "[]", "{"):
        (tmp_path / "results.json").write_text(damaged)
        assert Training(net).found == {}


@pytest.mark.parametrize(("name", "given", "steps"), [("SpokenDigits", [], 30), ("SpokenDigits", ["--steps", "7"], 7), ("other", [], 90)])
def test_spoken_digits_have_as_many_bins_as_in_training_too(name, given, steps, tmp_path, monkeypatch, capsys):
    spikes = [(np.array([0.0, 0.05], np.float32), np.array([0, 1]))] * 20
    monkeypatch.setattr("lava_1m1t1r.datasets.SpokenDigits", lambda train: EventSet.from_utterances(spikes, range(20), [0] * 20))
    (tmp_path / "network.net").write_bytes(_common.network_path("shipped").read_bytes())
    results = {"data": name, "held_out": "2 voices that never occur in training", "task": {"n_steps": 30, "dt": 0.01}}
    (tmp_path / "results.json").write_text(json.dumps(results))
    args = cli.parser().parse_args(["evaluate", str(tmp_path / "network.net"), *given])
    tested = _samples.frames_to_test(args, of_old(read(args.net)))
    assert tested.steps == steps and "trained without" not in capsys.readouterr().err


def test_a_file_may_be_taken_whole(tmp_path, capsys):
    spikes = [(np.array([0.0, 0.5], np.float32), np.array([0, 1]))] * 3
    net = read(_common.network_path("shipped"))
    for name, speakers, whole in (("two", [0, 0, 1], 3), ("one", [0, 0, 0], 3)):
        path = tmp_path / f"{name}.h5"
        write_shd(path, EventSet.from_utterances(spikes, [0, 1, 0], speakers, keys=("low", "high")))
        args = cli.parser().parse_args(["simulate", "shipped", "--data", str(path), "--all-speakers"])
        assert len(_samples.frames_to_test(args, net).frames) == whole
    assert cli.main(["evaluate", "shipped", "--data", str(path)]) == 2
    assert "or take all of it (adapt: --stranger; elsewhere: --all-speakers)" in capsys.readouterr().err
    for options, words in (("--leave-out 0", "--leave-out must not be used with --all-speakers"), ("", "")):
        assert cli.main(["evaluate", "shipped", "--data", str(path), "--all-speakers", *options.split()]) == (2 if words else 0)
        assert words in capsys.readouterr().err
    assert cli.main(["evaluate", "shipped", "--all-speakers"]) == 2
    assert "--all-speakers must be used with --data" in capsys.readouterr().err


@pytest.mark.parametrize("command", ("evaluate", "simulate"))
def test_a_file_without_utterances_is_told(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_shd("empty.h5", EventSet.from_utterances([], []))
    assert cli.main([command, "shipped", "--data", "empty.h5", "--all-speakers"]) == cli.USAGE_ERROR
    assert "--data must hold at least one utterance; got 'empty.h5'" in capsys.readouterr().err


def test_a_time_that_is_wrong_is_told_before_frames_are_made_for_it(tmp_path, capsys):
    spikes = [(np.array([0.0, end], np.float32), np.array([0, 1])) for end in (0.5, 0.7, 0.6, 60000.0)]
    write_shd(tmp_path / "stray.h5", EventSet.from_utterances(spikes, [0, 1, 0, 1], [0, 0, 1, 0], keys=("low", "high")))
    write(tmp_path / "old.net", of_old(read(_common.network_path("shipped"))))
    assert cli.main(["evaluate", str(tmp_path / "old.net"), "--data", str(tmp_path / "stray.h5"), "--leave-out", "1"]) == 2
    told = capsys.readouterr().err
    assert "half of them end by 0.7 s" in told and "one of 60000 s" in told, told


@pytest.mark.parametrize("command", ("evaluate", "simulate"))
def test_labels_that_are_no_outputs_of_the_network_are_told(command, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spikes, keys = [(np.array([0.0, 0.5], np.float32), np.array([0, 1]))] * 2, [f"word {i}" for i in range(22)]
    write_shd("words.h5", EventSet.from_utterances(spikes, [0, 21], [0, 0], keys=keys))
    assert cli.main([command, "shipped", "--data", "words.h5", "--all-speakers"]) == 2
    assert "labels must lie in 0..19, one for each output of the network; got 21" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["words.h5"]


@pytest.mark.filterwarnings("ignore:.*of the spikes lie beyond")
def test_frames_are_as_fine_as_the_network_asks(small_file):
    """At 10 us the recipes' own slow device has no integers; the network's need not be that one."""
    args = cli.parser().parse_args(["simulate", "shipped", "--data", str(small_file), "--steps", "40"])
    net = read(_common.network_path("shipped"))
    task = recipe("recordings").replace(dt=1e-5)
    with pytest.raises(InputError, match="has no integers"):
        task.require_integers()
    fine = replace(net, layers=tuple(replace(x, neuron=x.neuron and replace(x.neuron, step=task.step)) for x in net.layers))
    assert _samples.frames_to_test(args, fine).frames.binned.shape[1:] == (40, net.inputs)


def test_a_hint_that_cannot_be_told_keeps_nobody_from_the_results(small_file):
    line = f"exec {SHELLS_PYTHON} -m lava_1m1t1r evaluate shipped --data {shlex.quote(str(small_file))} --json 2>/dev/full"
    done = started(["sh", "-c", line])
    assert done.returncode == 0 and json.loads(done.stdout)["utterances"] == 3


def test_classes_are_numbered_as_the_networks(tmp_path, capsys):
    """A file that holds some of the words numbers them from 0."""
    net = read(_common.network_path("shipped"))
    spikes = [(np.array([0.0, 0.5], np.float32), np.array([0, 1]))] * 3
    answers = {}
    for name, keys, labels in (
        ("some", ("eins", "two"), [0, 1, 0]),
        ("all", net.classes, [11, 2, 11]),
        ("foreign", ("zero", "un", "two"), [0, 1, 2]),
        ("moved", ("un", "two"), [0, 1, 0]),
    ):
        path = tmp_path / f"{name}.h5"
        write_shd(path, EventSet.from_utterances(spikes, labels, [0, 0, 0], keys=keys))
        args = cli.parser().parse_args(["simulate", "shipped", "--data", str(path), "--all-speakers"])
        if name == "moved":  # by number, "two" would be "one"
            with pytest.raises(
                InputError, match="classes of the data must be the network's .*'two' has number 1 in the data, 2 in the network"
            ):
                _samples.frames_to_test(args, net)
        else:
            answers[name] = _samples.frames_to_test(args, net).frames.labels.tolist()
    assert answers == {"some": [11, 2, 11], "all": [11, 2, 11], "foreign": [0, 1, 2]}
    said = capsys.readouterr().err
    assert (
        "hint: the classes of the data (3: zero, un, two) are not those of the network (20: zero, one, two, ...): it has no un. Was" in said
    )


def test_utterances_of_other_data_are_refused_however_few_are_asked_for(small_file, tmp_path, capsys):
    net = read(_common.network_path("shipped"))
    *others, readout = net.layers
    two = replace(readout, shape=(2,), weight=readout.weight[:2])
    write(tmp_path / "few.net", replace(net, layers=(*others, two), classes=()))
    assert cli.main(["evaluate", str(tmp_path / "few.net"), "--data", str(small_file), "--utterances", "1"]) == 2
    words = "labels must lie in 0..1, one for each output of the network; got 2. Was it trained on other data?"
    assert words in capsys.readouterr().err


def test_a_network_without_neurons_has_no_spikes_to_tell_of(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(
        "sums.net", NetDescription((Layer(0, kind="affine", shape=(2,), inputs=3, weight=np.array([[1, 0, 2], [0, 3, 1]]), neuron=None),))
    )
    np.save("x.npy", np.ones((4, 5, 3), int))
    np.save("y.npy", np.zeros(4, int))
    assert cli.main(["evaluate", "sums.net", "--frames", "x.npy", "--labels", "y.npy"]) == 0
    assert "None" not in capsys.readouterr().out


@pytest.mark.parametrize("command", [["evaluate", "{net}", "--lava", "2"], ["simulate", "{net}", "--backend", "lava"]])
def test_lava_is_looked_for_before_the_work(command, monkeypatch, capsys):
    from lava_1m1t1r._support import lava_loading
    from lava_1m1t1r.commands import evaluate, simulate

    def absent(module, purpose):
        raise lava_loading.missing("lava-nc", "lava", purpose)

    for module in (evaluate, simulate):
        monkeypatch.setattr(module, "load_lava", absent)
        monkeypatch.setattr(module, "samples", lambda *_: pytest.fail("the work began"))
    assert cli.main([part.format(net=TOY) for part in command]) == cli.USAGE_ERROR
    assert f"{command[2]}" in capsys.readouterr().err


def test_evaluation_adapts_to_each_speaker():
    net, heard = read(_common.network_path("shipped")), spoken((6, 6, 6))
    frames = data.frames_of(heard, recipe("spoken-digits"))
    frames = replace(frames, labels=answers(FastNetwork(net).run(frames.dense()).out))
    result, fixed = evaluate(net, frames)
    assert result.accuracy == 1 and len(set(heard.speakers)) == 3
    assert result.adapted_accuracy == adapted_accuracy(over_time(fixed.out), frames.labels, heard.speakers) < 1


def test_answers_that_are_guesses_are_told(tmp_path, capsys):
    """Without a spike all sums are the same, and the first class would be right on its own utterances."""
    heard = spoken((6, 6, 6))
    write_shd(tmp_path / "small.h5", heard[np.argsort(heard.labels)])
    net = read(_common.network_path("shipped"))
    silent = replace(net.layers[-1], weight=0 * net.layers[-1].weight, bias=None)
    write(tmp_path / "silent.net", replace(net, layers=(*net.layers[:-1], silent), classes=()))
    given = ["evaluate", str(tmp_path / "silent.net"), "--data", str(tmp_path / "small.h5"), "--leave-out", "0"]
    assert cli.main([*given, "--utterances", "2"]) == 0
    out = capsys.readouterr().out
    assert "50.00% correct in fixed point" in out and "2 answers are the first of several classes with the same sum" in out
    assert "50.00% correct when each answer is relative to the mean sums of the same speaker's utterances before, in random order" in out
    assert cli.main([*given, "--utterances", "1"]) == 0
    assert "1 answer is the first of several classes with the same sum" in capsys.readouterr().out
    assert cli.main([*given, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ties"] == 6 and found["adapted_accuracy"] == found["accuracy"]
    nobody = replace(heard, speakers=np.full(18, -1))
    write_shd(tmp_path / "small.h5", nobody)
    assert cli.main([*given[:4], "--all-speakers", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["adapted_accuracy"] is None
