"""The deploy folders: each has a README and a script that does what the registry does; the worked example runs from a shell."""

import inspect
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from command import started

from lava_1m1t1r import cli
from lava_1m1t1r.commands.deploy import OPTIONS, SUMMARIES
from lava_1m1t1r.export import LABELLED, TARGETS

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
SCRIPTED = sorted(target for target in TARGETS if (DEPLOY / target / "deploy.py").is_file())


def call(*command):
    return started([sys.executable, *map(str, command)])


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    folder = tmp_path_factory.mktemp("example")
    done = call(DEPLOY / "example.py", folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_target_has_a_script():
    assert set(SCRIPTED) == set(TARGETS) == set(OPTIONS) == set(SUMMARIES)


@pytest.mark.parametrize("target", SCRIPTED)
def test_the_script_deploys_the_example(target, example, tmp_path):
    if target == "nir":
        pytest.importorskip("nir")
    done = call(DEPLOY / target / "deploy.py", example / "example.net", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{target}: 20-16R-4 -> ")


@pytest.mark.parametrize("target", SCRIPTED)
def test_a_missing_file_is_one_line_and_exit_2(target, tmp_path):
    if target == "nir":
        pytest.importorskip("nir")
    done = call(DEPLOY / target / "deploy.py", tmp_path / "no.net", "-o", tmp_path / "out")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "NET must be an existing .net file" in done.stderr


@pytest.mark.parametrize("target", SCRIPTED)
def test_the_readme_is_one_page_and_names_its_command(target):
    text = (DEPLOY / target / "README.md").read_text()
    assert len(text.splitlines()) <= 60
    assert f"lava-1m1t1r deploy {target}" in text and f"deploy/{target}/deploy.py" in text


@pytest.mark.parametrize("target", SCRIPTED)
def test_options_are_arguments_of_the_targets_function(target):
    """And have its defaults."""
    parser = cli.parser()
    given = vars(parser.parse_args(["deploy", target, "shipped", "-o", "out"]))
    function = getattr(import_module(f"lava_1m1t1r.export.{target}_target"), f"deploy_{target}")
    arguments = inspect.signature(function).parameters
    for name, settings in OPTIONS[target].items():
        dest = settings.get("dest", name.lstrip("-").replace("-", "_"))
        assert arguments[dest].default == given[dest], name
    assert ("labels" in arguments) == (target in LABELLED)


def test_samples_and_their_classes_come_from_files(tmp_path, capsys):
    rng = np.random.default_rng(1)
    frames, labels = tmp_path / "frames.npy", tmp_path / "labels.npy"
    np.save(frames, rng.integers(0, 2, (2, 30, 8)))
    np.save(labels, np.zeros(2, int))
    toy, given = str(ROOT / "tests" / "toy.net"), ["--frames", str(frames), "--labels", str(labels)]
    assert cli.main(["deploy", "spice", toy, "-o", str(tmp_path / "out"), *given, "--patterns", "0"]) == 0
    assert "accuracy" in capsys.readouterr().out
    wrong = {
        ("--frames", str(frames), "--prove", "2", "--all-speakers"): "--all-speakers must not be used with --frames",
        ("--frames", str(tmp_path / "no.npy")): "--frames must be an existing .npy file",
        ("--frames", toy): "--frames must be a .npy file of numbers",
        ("--frames", str(tmp_path)): "--frames must be an existing .npy file",
        ("--labels", str(labels)): "--labels must be used with --frames",
    }
    for options, words in wrong.items():
        assert cli.main(["deploy", "spice", toy, "-o", str(tmp_path / "other"), *options]) == 2
        assert words in capsys.readouterr().err and not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("options", "portable", "delays"), [([], True, True), (["--no-delays"], True, False), (["--no-portable"], False, True)]
)
def test_what_is_left_out_of_graphs_is_as_asked_for(options, portable, delays, tmp_path, monkeypatch):
    asked = {}

    def target(net, out, **given):
        asked.update(given)
        return SimpleNamespace(text="")

    monkeypatch.setitem(TARGETS, "nir", target)
    assert cli.main(["deploy", "nir", str(ROOT / "tests" / "toy.net"), "-o", str(tmp_path / "out"), *options]) == 0
    assert asked == {"portable": portable, "delays": delays}


def test_delays_cannot_be_left_out_of_the_exact_graph_alone(tmp_path, capsys):
    toy, out = str(ROOT / "tests" / "toy.net"), tmp_path / "out"
    assert cli.main(["deploy", "nir", toy, "-o", str(out), "--no-portable", "--no-delays"]) == 2
    assert "delays must be True where there is no portable graph" in capsys.readouterr().err and not out.exists()


def test_the_example_spikes(example):
    from lava_1m1t1r.fast import FastNetwork
    from lava_1m1t1r.netx import schema

    out = FastNetwork(schema.read(example / "example.net")).run(np.load(example / "frames.npy")).out
    assert (out.sum(axis=(0, 1)) > 0).all()


def test_options_reach_the_target_and_those_of_others_are_told(tmp_path, capsys):
    toy = str(ROOT / "tests" / "toy.net")
    given = {"c": ["--name", "ear", "--flash-limit", "900000"], "rtl": ["--lanes", "2", "--clock", "5e7"], "loihi": ["--chips", "2"]}
    for target, options in given.items():
        assert cli.main(["deploy", target, toy, "-o", str(tmp_path / target), *options]) == 0
    assert (tmp_path / "c" / "ear.h").exists() and "clock of 50 MHz" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="^2$"):
        cli.main(["deploy", "c", toy, "-o", str(tmp_path / "other"), "--lanes", "2"])
    assert "usage: lava-1m1t1r deploy c" in capsys.readouterr().err
    assert cli.main(["deploy", "c", toy, "-o", str(tmp_path / "other"), "--flash-limit", "10"]) == 2
    assert "flash_limit" in capsys.readouterr().err
