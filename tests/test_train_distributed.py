"""Two processes under torchrun: each its share of the utterances, the same parameters, one writer, and a run that goes on."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lava.lib.dl.slayer", reason="needs lava-dl")
pytest.importorskip("lightning", reason="needs lightning")

from torch.distributed.run import parse_args
from words import spoken

from lava_1m1t1r import cli
from lava_1m1t1r.datasets import read_shd, write_shd
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.recipes import checkpoint, data, fit
from lava_1m1t1r.recipes.evaluate import accuracy
from lava_1m1t1r.recipes.task import recipe

TRAINING, HELD_OUT = 18, 4
WATCHED = 5
"""Utterances held out for validation: no multiple of the number of processes."""


def tiny_file(path, speakers=(TRAINING, HELD_OUT)):
    """Two words, so many utterances a speaker; the last speaker is the test set."""
    write_shd(path, spoken(speakers, 2, seconds=0.2))


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("distributed")
    tiny_file(folder / "tiny.h5")
    tiny_file(folder / "three.h5", (8, WATCHED, 2))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "--log-dir", str(folder / "log")]
    command += [str(Path(__file__).with_name("distributed_worker.py")), str(folder / "tiny.h5"), str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.timeout(600)
def test_each_process_takes_its_share_of_every_epoch(reports):
    _, ranks = reports
    for run, epochs in (("whole", 2), ("first", 1), ("resumed", 1)):
        shares = [np.reshape(rank[run]["seen"], (epochs, TRAINING // 2)) for rank in ranks]
        for epoch in np.concatenate(shares, axis=1):
            assert sorted(epoch) == list(range(TRAINING))
    assert not np.array_equal(*np.reshape(ranks[0]["whole"]["seen"], (2, -1)))


@pytest.mark.timeout(600)
def test_parameters_are_the_same_in_both_and_after_a_resumed_run(reports):
    _, ranks = reports
    for run in ("whole", "first", "resumed", "annealed", "delayed"):
        assert ranks[0][run]["parameters"] == ranks[1][run]["parameters"]
    assert ranks[0]["first"]["parameters"] != ranks[0]["whole"]["parameters"]
    assert ranks[0]["resumed"]["parameters"] == ranks[0]["whole"]["parameters"]


@pytest.mark.timeout(600)
def test_each_process_draws_its_own_augmentation_noise_and_devices_and_learned_delays_are_the_same_in_both(reports):
    folder, ranks = reports
    states = checkpoint.read(folder / "whole" / "last.ckpt")["random"]
    assert len(states) == 2 and states[0]["augmentation"]["state"] != states[1]["augmentation"]["state"]
    assert not np.array_equal(states[0]["torch"], states[1]["torch"])  # for noise of devices, and those that variation draws
    assert ranks[0]["delays"] == ranks[1]["delays"] and len(ranks[0]["delays"]) == 8 and len(set(ranks[0]["delays"])) > 1


@pytest.mark.timeout(600)
def test_what_the_first_process_anneals_is_annealed_in_both(reports):
    folder, ranks = reports
    assert [rank["surrogate"] for rank in ranks] == [0.25, 0.25]
    kept, usual = (checkpoint.read(folder / run / "last.ckpt")["surrogates"] for run in ("annealed", "whole"))
    assert len(kept) > 0 and all(kept[name]["tau_grad"] == settings["tau_grad"] / 4 for name, settings in usual.items())


@pytest.mark.timeout(600)
def test_validation_counts_each_utterance_once(reports):
    folder, _ = reports
    found = json.loads((folder / "watched" / "results.json").read_text())
    watched = data.frames_of(read_shd(folder / "three.h5").of_speakers(1), recipe("recordings").replace(n_steps=found["task"]["n_steps"]))
    assert len(watched) == WATCHED
    assert found["validation"]["accuracy"] == pytest.approx(accuracy(folder / "watched" / "network.net", watched))


@pytest.mark.timeout(600)
def test_the_first_process_writes_the_results(reports):
    folder, ranks = reports
    assert [rank[run]["code"] for rank in ranks for run in ("whole", "first", "resumed", "delayed")] == [0] * 8
    assert {p.name for p in (folder / "whole").iterdir()} - {"report.html"} == {"last.ckpt", "network.net", "results.json"}
    assert (folder / "whole" / "network.net").read_bytes() == (folder / "stopped" / "network.net").read_bytes()


def two_machines(folder, *options):
    """A training on two machines, which this one stands for, with more options of each; they tell 0.txt and 1.txt."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        place = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", "--local-addr", "127.0.0.1"]
    command += ["--rdzv-backend", "c10d", "--rdzv-endpoint", place, "--rdzv-id", "test", "--log-dir", "log"]
    command += ["-m", "lava_1m1t1r", "--", "train"]
    command += ["--data", "tiny.h5", "--hidden", "8", "--batch", "4"]
    (folder / "log").mkdir()  # both would make it where it is not there, and the later one fail
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(Path(__file__).parents[1])}
    machines = []
    for number, more in enumerate(options):
        with open(folder / f"{number}.txt", "w") as said:
            given = [*command, *more, "-o", f"out{number}"]
            machines.append(subprocess.Popen(given, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=said))
    return machines


def refusals(folder, *options):
    """What two machines say that both end with an error."""
    machines = two_machines(folder, *options)
    try:
        assert all(machine.wait(240) for machine in machines)
    finally:
        for machine in machines:
            machine.kill()
    return [(folder / f"{number}.txt").read_text() for number in range(2)]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("theirs", "words"),
    [
        pytest.param(
            ["--batch", "2"],
            "batch of process 1 must be that of the first process, 4; got 2. Give all processes the same data and options",
            marks=pytest.mark.slow,
        ),
        (["--data", "three.h5"], f"{checkpoint.WORDS['training data']} of process 1 must be that of the first process"),
    ],
    ids=["batch", "data"],
)
def test_machines_that_would_train_different_things_are_told(theirs, words, tmp_path):
    """They would wait for each other, or average the gradients of different things."""
    tiny_file(tmp_path / "tiny.h5")
    tiny_file(tmp_path / "three.h5", (8, WATCHED, 2))
    said = refusals(tmp_path, ["--epochs", "1"], ["--epochs", "1", *theirs])
    assert all(words in text for text in said), said
    assert not list(tmp_path.glob("out*/*"))


@pytest.mark.timeout(900)
def test_a_checkpoint_that_one_machine_alone_has_is_told_also_of_a_run_that_has_stopped_early(reports, tmp_path):
    folder, _ = reports
    tiny_file(tmp_path / "three.h5", (8, WATCHED, 2))
    found = checkpoint.read(folder / "watched" / "last.ckpt")
    (state,) = (state for name, state in found["callbacks"].items() if name.startswith("EarlyStopping"))
    state["stopped_epoch"] = 1
    (tmp_path / "out0").mkdir()
    checkpoint.write(tmp_path / "out0" / "last.ckpt", found)
    options = ["--data", "three.h5", "--validate", "1", "--patience", "2", "--epochs", "2", "--resume"]
    words = f"epoch of the checkpoint of process 1 must be that of the first process, {found['epoch']}; got None. Give all processes"
    assert all(words in text for text in refusals(tmp_path, options, options))
    assert not list(tmp_path.glob("out1/*"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_machine_whose_processes_are_told_to_end_does_not_keep_the_other(tmp_path):
    """Lightning's handler of SIGTERM would speak with the other processes amid what they exchange, and all would wait."""
    tiny_file(tmp_path / "tiny.h5")
    machines = two_machines(tmp_path, ["--epochs", "100000"], ["--epochs", "100000"])
    workers = []
    try:
        end = time.monotonic() + 150
        while "epoch 3 of" not in (tmp_path / "0.txt").read_text() + (tmp_path / "1.txt").read_text():
            assert time.monotonic() < end and not any(machine.poll() for machine in machines)
            time.sleep(0.2)
        workers = [int(Path(f"/proc/{machine.pid}/task/{machine.pid}/children").read_text().split()[0]) for machine in machines]
        os.kill(workers[1], signal.SIGTERM)
        assert all(machine.wait(150) for machine in machines)
    finally:
        for number in workers:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        for machine in machines:
            machine.kill()
    said = [(tmp_path / f"{number}.txt").read_text() for number in range(2)]
    assert "another process of the run has ended" in said[0] and "terminated" in said[1], said


def test_machines_of_different_size_and_numbers_of_processes_by_others_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    rest = {"LOCAL_RANK": "0", "MASTER_ADDR": "0", "MASTER_PORT": "0", "LOCAL_WORLD_SIZE": "1", "GROUP_WORLD_SIZE": "2", "RANK": "2"}
    for name, value in rest.items():
        with pytest.raises(InputError, match="WORLD_SIZE must come with the other variables that torchrun sets; got 3. Start"):
            fit.processes()
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="processes must be as many on each of 2 machines, 1 here; got 3. Give torchrun the same"):
        fit.processes()
    monkeypatch.setenv("GROUP_WORLD_SIZE", "3")
    assert fit.processes() == (2, 3, 1)


def test_a_run_of_one_process_is_the_first_whatever_number_it_was_given(monkeypatch):
    """It would train, and write no network."""
    for name, value in (("RANK", "1"), ("LOCAL_WORLD_SIZE", "2"), ("GROUP_WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    assert fit.processes() == (0, 1, 1)
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert fit.processes() == (0, 1, 1)


def test_the_help_shows_how_torchrun_leaves_all_options_to_training():
    """Its own parser would take --start for an abbreviation of --start-method."""
    (example,) = (line for line in cli.EXAMPLES["train"].splitlines() if line.startswith("torchrun "))
    given = parse_args([*example.split("  ")[0].split()[1:], "--start", "shipped"])
    assert given.module and given.training_script == "lava_1m1t1r"
    assert cli.parser().parse_args(given.training_script_args).start == "shipped"


def test_the_help_says_that_each_process_takes_a_batch_of_its_own(capsys):
    """Two processes with the same options take steps of twice as many utterances, and half as many steps, as one."""
    with pytest.raises(SystemExit):
        cli.parser().parse_args(["train", "--help"])
    assert "of each process under torchrun" in " ".join(capsys.readouterr().out.split())
