"""Lava's own tests, where they are installed, with every graph of theirs run in process."""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

lava = pytest.importorskip("lava.magma", reason="needs lava-nc")
pytest.importorskip("greenlet", reason="needs greenlet")

HERE = Path(__file__).parent
SUITE = next((p for p in (Path(d).parents[1] / "tests" / "lava" for d in lava.__path__) if p.is_dir()), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(SUITE is None, reason="needs Lava's own tests beside Lava"),
]

FILES = {
    "neurons": ["atrlif", "lif", "prodneuron", "resfire", "rf", "rf_iz", "sdn", "spiker"],
    "synapses": ["conv", "conv_in_time", "dense", "graded", "sparse"],
    "input and output": ["bit_check", "clp", "io", "monitor", "s4d"],
    "core": ["../magma/core/model", "../magma/core/process", "../networks"],
    "runtime": [f"../magma/runtime/test_{name}.py" for name in (
        "async_protocol", "connection_config", "context_manager", "exception_handling", "external_pipe_io",
        "get_set_non_determinism", "get_set_var", "io_ports", "loihi_protocol", "loihi_with_async_protocol",
        "pause_requested_from_model", "ref_var_ports", "run_continuously_and_pause",
    )],
}  # fmt: skip
CLOCK = "condition must be RunSteps for a graph without Injector and Extractor"
WIRE = r"VarWire '\w+' was given a channel between operating-system processes"
REFUSED = {  # what does not run in process, and how it is refused
    "TestVarWire": WIRE,
    "TestPyLoihiVarWireModel": WIRE,
    "test_async_process_model": CLOCK,
    "test_async_process_model_pause": CLOCK,
    "test_context_manager_stops_process_continuous": CLOCK,
    "test_get_set_variable_continous_mode": CLOCK,
    "test_run_continuous_sync": CLOCK,
    "test_run_continuous_sync_pause": CLOCK,
    # looks for Lava's own class
    "test_create_runtime": "StandIn object",
    # these want a bare RuntimeError; here it is a kind of RuntimeError that names the Process
    "TestExceptionHandling": "RuntimeError.*ProcessFailed",
}
NOT_OURS = {
    "TestPyLoihiExtractorModel.test_run_steps_blocking": "counts what another thread has received without waiting for that thread",
    "TestPyPorts.test_py_in_port_probe": "expects that a millisecond later another thread has received something; no Process runs",
}


def outcomes(report: Path):
    """Name of each test, and the text of its failure or None."""
    for case in ElementTree.parse(report).iter("testcase"):
        broken = [child for child in case if child.tag in ("failure", "error")]
        name = f"{case.get('classname')}.{case.get('name')}"
        yield name, (broken[0].get("message", "") + (broken[0].text or "")) if broken else None


@pytest.mark.parametrize("kind", FILES)
def test_lavas_own_tests_pass_in_process_or_are_refused_by_name(kind, tmp_path):
    report = tmp_path / "report.xml"
    paths = [str((SUITE / "proc" / name).resolve()) for name in FILES[kind]]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "lava_in_process", "-p", "no:cacheprovider", "-c", os.devnull]
    command += ["--rootdir", str(SUITE), f"--junitxml={report}", "--timeout=120", *paths]
    search = os.pathsep.join([str(HERE / "processes"), str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": search, "PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "agg"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=1700)
    assert report.exists(), done.stdout + done.stderr
    results = dict(outcomes(report))
    wrong = {}
    for name, text in results.items():
        if text is None or name.endswith(tuple(NOT_OURS)):
            continue
        refusal = next((pattern for key, pattern in REFUSED.items() if name.endswith(key) or f".{key}." in f".{name}"), None)
        if refusal is None or not re.search(refusal, text):
            wrong[name] = text[-400:]
    assert not wrong, wrong
    assert sum(text is None for text in results.values()) > 0.7 * len(results) > 5
