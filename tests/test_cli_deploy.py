"""``deploy``: targets, the samples of a proof, and exit codes."""

import json
from types import SimpleNamespace

import numpy as np
from command import TOY

from lava_1m1t1r import cli, export


def test_targets_have_other_names(tmp_path, capsys):
    for target in ("verilog", "rtl"):
        assert cli.main(["deploy", target, TOY, "-o", str(tmp_path / target), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["target"] == "rtl"
    assert (tmp_path / "verilog" / "net.v").read_text() == (tmp_path / "rtl" / "net.v").read_text()


def test_a_proof_takes_the_first_of_the_frames(rng, tmp_path, capsys):
    np.save(tmp_path / "x.npy", rng.integers(0, 2, (5, 30, 8)))
    given = ["--frames", str(tmp_path / "x.npy"), "--json"]
    for more, samples in (([], 5), (["--prove", "2"], 2)):
        assert cli.main(["deploy", "loihi", TOY, "-o", str(tmp_path / "out"), *given, *more]) == 0
        capsys.readouterr()
        assert len(np.load(next((tmp_path / "out").rglob("*.npz")))["frames"]) == samples
    np.save(tmp_path / "x.npy", rng.integers(0, 2, (30, 8)))  # one sample
    assert cli.main(["deploy", "loihi", TOY, "-o", str(tmp_path / "out"), *given, "--prove", "2"]) == 0
    assert np.load(next((tmp_path / "out").rglob("*.npz")))["frames"].shape == (1, 30, 8)


def test_labels_are_as_many_as_the_frames_before_a_proof_takes_the_first(rng, tmp_path, capsys):
    np.save(tmp_path / "x.npy", rng.integers(0, 2, (6, 30, 8)))
    np.save(tmp_path / "y.npy", np.zeros(7, int))
    given = ["--frames", str(tmp_path / "x.npy"), "--labels", str(tmp_path / "y.npy"), "--prove", "4"]
    assert cli.main(["deploy", "spice", TOY, "-o", str(tmp_path / "out"), *given]) == cli.USAGE_ERROR
    assert "--labels must have the shape (6,), one for each sample; got (7,)" in capsys.readouterr().err


def test_a_folder_that_an_export_may_not_fill_is_seen_before_the_data(tmp_path, capsys):
    (tmp_path / "mine.txt").touch()
    assert cli.main(["deploy", "c", TOY, "-o", str(tmp_path), "--prove", "1", "--data", "nowhere.h5"]) == cli.USAGE_ERROR
    assert "hold nothing but a former export; got ['mine.txt']" in capsys.readouterr().err


def test_utterances_of_a_proof_reach_the_target_with_their_classes(small_file, tmp_path, monkeypatch):
    asked = {}

    def target(net, out, **options):
        asked.update(options)
        return SimpleNamespace(text="", as_dict=dict)

    for name, labelled in (("spice", True), ("c", False)):
        monkeypatch.setitem(export.TARGETS, name, target)
        asked.clear()
        assert cli.main(["deploy", name, TOY, "-o", str(tmp_path / "out"), "--data", str(small_file), "--prove", "2"]) == 0
        assert asked["frames"].shape[0] == 2 and asked["frames"].shape[2] == 8
        assert asked["labels"].tolist() == [0, 1] if labelled else "labels" not in asked


def test_a_tool_that_fails_is_told_from_a_proof_that_fails(tmp_path, monkeypatch, capsys):
    for error, words in (
        (export.ToolFailed("slow"), "deploy: nothing is proven: slow"),
        (export.VerificationError("other"), "deploy: other"),
    ):

        def target(*_, error=error, **__):
            raise error

        monkeypatch.setitem(export.TARGETS, "c", target)
        assert cli.main(["deploy", "c", TOY, "-o", str(tmp_path / "out")]) == 1
        assert words in capsys.readouterr().err
