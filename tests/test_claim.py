"""Two processes that work in one folder."""

import os
import subprocess
import sys

import pytest

from lava_1m1t1r import cli
from lava_1m1t1r._support import claim
from lava_1m1t1r.errors import InputError


def test_a_folder_is_claimed_once_and_leaves_nothing_empty_behind(tmp_path):
    folder = tmp_path / "runs" / "mine"
    with claim.claimed(folder, "--out", "training"):
        with pytest.raises(InputError, match=r"--out must be a folder without another training at work; got '.*mine'. Wait for it, or "):
            with claim.claimed(folder, "--out", "training"):
                raise AssertionError
        with claim.claimed(tmp_path / "runs" / "other", "--out", "training"):
            assert folder.is_dir()
    assert list(tmp_path.iterdir()) == []
    with claim.claimed(folder, "--out", "training"):
        (folder / "network.net").touch()
    for _ in range(2):  # in a folder that stays
        with claim.claimed(folder, "--out", "training"):
            pass
    assert [path.name for path in folder.iterdir()] == ["network.net"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_claim_ends_though_a_forked_process_goes_on(tmp_path):
    code = "import os, sys, time; from pathlib import Path; from lava_1m1t1r._support.claim import claimed; place = Path(sys.argv[1])\n"
    code += "with claimed(place, '', ''):\n    child = os.fork()\n    if not child: time.sleep(60); os._exit(0)\n"
    code += "with claimed(place, '', ''): print('again')\nos.kill(child, 9)"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=220)
    assert done.stdout == "again\n", done.stderr


@pytest.mark.parametrize("lacks", ["claims", "claims on this file system", "the right to read"])
def test_a_file_system_without_claims_refuses_nothing(lacks, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(95, "not supported")

    if lacks == "claims":
        monkeypatch.setattr(claim, "fcntl", None)
    elif lacks == "the right to read":
        monkeypatch.setattr(claim.os, "open", fail)
    else:
        monkeypatch.setattr(claim.fcntl, "flock", fail)
    with claim.claimed(tmp_path, "--out", "training"), claim.claimed(tmp_path, "--out", "training"):
        pass
    assert tmp_path.is_dir()


@pytest.mark.train
def test_a_second_training_in_a_folder_is_refused_until_the_first_is_gone(tmp_path, capsys):
    """Killed as hard as can be, the first one has no claim any more."""
    code = "import sys; from pathlib import Path; from lava_1m1t1r._support.claim import claimed\n"
    code += "with claimed(Path(sys.argv[1]), '', ''): print('claimed', flush=True); sys.stdin.read()"
    out = tmp_path / "runs"
    with subprocess.Popen([sys.executable, "-c", code, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout.readline() == "claimed\n"
        args = ["train", "--data", str(tmp_path / "none.h5"), "-o", str(out)]
        assert cli.main(["demo", *args[1:]]) == 2 and "without another training at work" in capsys.readouterr().err
        assert cli.main(args) == 2 and "--out must be a folder without another training at work" in capsys.readouterr().err
        first.kill()
    assert cli.main(args) == 2 and "none.h5" in capsys.readouterr().err
