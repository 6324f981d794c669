"""Golden traces: nothing has moved, and the page's neuron reads the files as a stranger would."""

import json
import zlib
from dataclasses import replace

import numpy as np
import pytest
from page_neuron import Layer as PageLayer
from page_neuron import unrolled

from lava_1m1t1r import golden as maker
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.layers import Layer
from lava_1m1t1r.program import PER_NEURON, SCALARS, TABLES
from lava_1m1t1r.reference_network import run

NAMES = sorted(maker.networks())


def stored(golden, name):
    return json.loads(golden(f"{name}.json").read_text(encoding="utf-8"))


def test_every_golden_file_has_its_maker(golden):
    paths = sorted(golden("").glob("*.json"))
    assert len(paths) > 0 and [path.stem for path in paths] == NAMES
    assert all(path.stat().st_size < 100_000 for path in paths)


@pytest.mark.parametrize("name", NAMES)
def test_compiled_kernels_reproduce_the_trace(name, golden):
    data, (net, frames) = stored(golden, name), maker.networks()[name]
    assert {layer.neuron.seed for layer in net.layers} == {data["seed"]} and data["frames"] == frames.tolist()
    for wanted, layer, ran in zip(data["layers"], net.layers, run(net, frames), strict=True):
        assert np.argwhere(ran.traces.spike).tolist() == wanted["spikes"]
        for state in ("filament", "residue", "gate"):
            assert np.array_equal(getattr(ran.traces, state), wanted[state]), state
        program = layer.step.fixed(wanted["neurons"])
        for constant in PER_NEURON:
            assert getattr(program, constant).tolist() == wanted["constants"][constant], constant
        assert {s: getattr(program, s) for s in SCALARS} == wanted["field"]
        for table in TABLES:
            assert zlib.crc32(getattr(program, table).astype("<i8").tobytes()) == wanted["tables_crc32"][table], table


@pytest.mark.parametrize("name", NAMES)
def test_neuron_of_the_page_reproduces_the_trace_from_the_file_alone(name, golden):
    data = stored(golden, name)
    y = data["frames"]
    for index, layer in enumerate(data["layers"]):
        size = layer["neurons"]
        value = lambda x, n: float(x[n] if isinstance(x, list) else x)  # noqa: E731
        devices = [{key: value(x, n) for key, x in layer["device"].items()} for n in range(size)]
        group = PageLayer(devices, **layer["step"], seed=data["seed"], layer=index)
        zero = [0] * size
        weight = unrolled(layer["weight"], **layer["conv"]) if "conv" in layer else layer["weight"]
        bias, delay, late = (layer[key] or zero for key in ("bias", "delay", "delay_rec"))
        spikes = []
        for t, frame in enumerate(y):
            a_in = [sum(w * f for w, f in zip(weight[n], frame, strict=True)) + bias[n] for n in range(size)]
            for m in range(size if layer["weight_rec"] else 0):
                if t - 1 - late[m] >= 0 and spikes[t - 1 - late[m]][m]:
                    a_in = [a + layer["weight_rec"][n][m] for n, a in enumerate(a_in)]
            row = group.step(a_in)
            spikes.append([int(r[0]) for r in row])
            for k, state in enumerate(("filament", "residue", "gate"), start=2):
                assert [r[k] for r in row] == layer[state][t], (t, state)
        assert [[t, n] for t, row in enumerate(spikes) for n, s in enumerate(row) if s] == layer["spikes"]
        y = [[spikes[t - 1 - delay[n]][n] if t - 1 - delay[n] >= 0 else 0 for n in range(size)] for t in range(len(y))]


def test_networks_that_a_file_does_not_tell_whole_are_not_recorded():
    """A layer's noise starts from its place, which no file holds, and no file holds delay lines."""
    net, frames = maker.networks()["stochastic"]
    later = replace(net, layers=(replace(net.layers[0], index=1),))
    behind_lines = (Layer(0, "delay_lines", (1,), 1, delay=np.zeros(1, np.int32)), *later.layers)
    for other in (later, replace(net, layers=behind_lines)):
        with pytest.raises(InputError, match=r"record\.net must have no layers but those that compute, numbered from 0; got \[(0, )?1\]"):
            maker.record(other, frames)


def test_the_script_writes_the_files_that_are_kept(tmp_path, golden):
    written = maker.write(tmp_path / "new")
    for path in written:
        assert path.read_bytes() == golden(path.name).read_bytes()
    assert sorted((tmp_path / "new").iterdir()) == sorted(written)
