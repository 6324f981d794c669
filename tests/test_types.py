"""What a program that uses the package hears from mypy: names and arguments that there are not, also of what loads when asked for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lava_1m1t1r.device.cell import QUANTITIES

pytest.importorskip("mypy", reason="needs mypy")

ROOT = Path(__file__).resolve().parents[1]
RIGHT = f"""
from lava_1m1t1r import M1T1R, DeviceParams, FormatError, InputError, MissingDependencyError, StepParams, presets
from lava_1m1t1r.device import simulate
from lava_1m1t1r.netx.hdf5 import Network, predict
from lava_1m1t1r.slayer import block

M1T1R(shape=(3,), params=presets.ZHAO2025_FIG2)
Network(net_config="a.net")
block.m1t1r.Dense({{}}, 3, 2)
trace = simulate(presets.ZHAO2025_FIG2, [0.5], dt=1e-3)
print({", ".join(f"trace.{name}.shape" for name in QUANTITIES)})
"""
WRONG = {
    "from lava_1m1t1r import Presets": 'has no attribute "Presets"',
    "from lava_1m1t1r.netx.hdf5 import Netwrk": 'has no attribute "Netwrk"',
    "from lava_1m1t1r.slayer.block.m1t1r import Recurent": 'has no attribute "Recurent"',
    "block.m1t1r.KWTA": 'has no attribute "KWTA"',
    "M1T1R(shap=(3,))": 'Unexpected keyword argument "shap" for "M1T1R"',
    "Network(net_confg='a.net')": 'Unexpected keyword argument "net_confg" for "Network"',
    "trace.filamnt": '"Trace" has no attribute "filamnt"',
}


@pytest.mark.timeout(900)
def test_mypy_finds_the_mistakes_of_a_users_program_and_no_others(tmp_path):
    right = RIGHT.strip().splitlines()
    (tmp_path / "program.py").write_text("\n".join([*right, *WRONG]), encoding="utf-8")
    settings = ["--strict", "--follow-imports=silent", "--hide-error-context", "--no-pretty", "--config-file", str(ROOT / "pyproject.toml")]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *settings, "--cache-dir", str(tmp_path / "cache"), "program.py"],
        capture_output=True,
        text=True,
        timeout=880,
        cwd=tmp_path,
        env=os.environ | {"MYPYPATH": str(ROOT)},
    )
    found = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert len(found) == len(WRONG), done.stdout + done.stderr
    for i, (line, said) in enumerate(zip(found, WRONG.values(), strict=True)):
        assert line.startswith(f"program.py:{len(right) + 1 + i}: error: ") and said in line
