"""Compiled loops on processors with narrower vectors: the same integers, and real numbers within rounding."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from llvmlite.binding import get_host_cpu_features

pytest.importorskip("torch")

pytestmark = pytest.mark.timeout(900)  # each test may compile all loops, for a processor that none were kept for

SCRIPT = """
import json
import dataclasses
import numpy as np, torch
from lava_1m1t1r import compiled, kernels, noise, presets, slayer
from lava_1m1t1r.program import StepParams

size, steps = 21, 60
device = dataclasses.replace(presets.ZHAO2025_FIG2.scaled(40.0), sigma1=1e-3, sigma2=1e-3)
step = StepParams(device, dt=0.01, substeps=3, v_unit=0.125)
rng = np.random.default_rng(3)
volts = rng.integers(0, step.v_max_count // 2, (steps, size)).astype(np.int32)
found = {"wide": compiled.has("avx512f"), "gathers": compiled.has("avx2")}


def run(function, state, *inputs):
    spike, seen = np.zeros(size, np.int32), []
    for v in volts:
        function(*state, *[f(v) for f in inputs], step.substeps, spike)
        seen.append([*(part.tolist() for part in state[:3]), spike.tolist()])
    return seen


program, real, generator = step.fixed(size), step.floating(size), lambda: noise.start(0, 0, size)
whole = lambda: [np.zeros(size, np.int32) for _ in range(3)]
found["fixed"] = run(kernels.fixed_step, whole(), lambda v: v, lambda v: program)
found["alike"] = run(kernels.fixed_step_alike, whole(), lambda v: v, lambda v: program)
found["noisy"] = run(kernels.fixed_noisy_step, [*whole(), generator()], lambda v: v, lambda v: program)
floats = [np.zeros(size) for _ in range(3)]
found["float"] = run(kernels.float_step, [*floats, generator()], lambda v: True, lambda v: v * step.v_unit / 4096, lambda v: real)
torch.manual_seed(0)
neuron = {"params": presets.ZHAO2025_FIG2.scaled(40.0), "dt": 0.01, "substeps": 3, "v_unit": 0.125, "learn": ("mu", "gamma1")}
block = slayer.block.m1t1r.Recurrent(neuron, 37, size, weight_scale=4.0, delay_rec=3)
out = block((torch.rand(5, 37, steps) < 0.2).float())
(out * torch.randn(out.shape)).sum().backward()
found["spikes"] = out.tolist()
found["gradients"] = [p.grad.double().flatten().tolist() for p in block.parameters() if p.grad is not None]
print(json.dumps(found))
"""


def _numbers(**environment: str) -> dict:
    environment = {**os.environ, **environment}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def here() -> dict:
    return _numbers()


@pytest.mark.slow
@pytest.mark.skipif(not get_host_cpu_features().get("avx2", False), reason="needs a processor with AVX2")
@pytest.mark.parametrize("features", ["+avx,+avx2,+fma,+bmi,+bmi2,+popcnt,+sse4.2,+lzcnt,+f16c", "+sse2"])
def test_numbers_are_those_of_wider_vectors(here, features):
    narrow = _numbers(NUMBA_CPU_NAME="x86-64", NUMBA_CPU_FEATURES=features)
    assert not narrow["wide"] and narrow["gathers"] == ("avx2" in features)
    for name in ("fixed", "alike", "noisy", "spikes"):
        assert narrow[name] == here[name]
        assert np.count_nonzero(here[name]) > 100
    assert np.sum(here["spikes"]) > 20
    np.testing.assert_allclose(narrow["float"], here["float"], rtol=1e-6, atol=1e-9)
    assert len(here["gradients"]) >= 3
    for a, b in zip(narrow["gradients"], here["gradients"], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * np.abs(b).max())
