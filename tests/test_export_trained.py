"""Each target's proof on trained networks with delays: a small one whole, and the shipped 140x4-128R-20 on whole utterances."""

import io
from dataclasses import replace
from pathlib import Path

import export_networks as nets
import numpy as np
import pytest

from lava_1m1t1r.export import TARGETS, c_source, c_target, rtl_source, rtl_target
from lava_1m1t1r.export.plan import plan
from lava_1m1t1r.fast import FastNetwork
from lava_1m1t1r.netx import schema
from lava_1m1t1r.recipes import SHIPPED_NETWORK

HERE = Path(__file__).resolve().parent
TRAINED = {"8-16R-4": HERE / "toy.net", "140x4-128R-20": SHIPPED_NETWORK}


def trained(shape, samples=2):
    """A trained network and samples of its kind: drawn patterns of the toy task, or an utterance in 10 ms frames."""
    net = schema.read(TRAINED[shape])
    if shape == "140x4-128R-20":
        return net, np.minimum(nets.utterance(net.dt, net.inputs), 1)
    rng = np.random.default_rng(5)
    frames = rng.random((samples, 40, 8)) < np.where(np.arange(40)[:, None] // 20 == np.arange(8) // 4, 0.45, 0.05)
    return net, frames.astype(np.uint8)


@pytest.mark.parametrize("shape", TRAINED)
def test_they_are_recurrent_with_delays_and_fire(shape):
    net, frames = trained(shape)
    hidden, readout = net.active
    assert hidden.weight_rec is not None and np.any(hidden.delay_rec) and readout.kind == "affine"
    spikes = FastNetwork(net).run(frames, record="all", threads=1).layers[0].spikes
    assert spikes.sum() > len(frames) * hidden.size / 4


@pytest.mark.needs("gcc")
@pytest.mark.parametrize("flags", [nets.SANITIZED, ("-O3", "-funsigned-char", "-fwrapv"), ("-Os", "-ftrapv")], ids=lambda f: f[0])
@pytest.mark.parametrize("shape", TRAINED)
def test_c_is_equal_and_clean_under_any_flags(shape, flags, monkeypatch):
    monkeypatch.setattr(c_target, "_instructions", lambda *_: None)  # counted elsewhere, and slow
    net, frames = trained(shape, samples=10)
    found = c_target.verify(net, c_source.sources(plan(net), "x", "abc"), frames, "abc", flags=flags)
    assert f"{frames.shape[0] * frames.shape[1]} steps" in found["compared with the fixed-point network"]


@pytest.mark.needs("gcc")
@pytest.mark.needs("valgrind")
def test_instructions_are_counted_or_left_out_and_never_a_failure(monkeypatch):
    net, frames = trained("8-16R-4")
    sources = c_source.sources(plan(net), "x", "abc")
    found = c_target.verify(net, sources, frames, "abc")
    mean = found["instructions a step, mean (gcc -O2, this machine's processor)"]
    assert 1000 < mean < found["instructions a step, largest"]
    monkeypatch.setattr(c_target, "_COUNTED", 3)
    assert "instructions a step, mean (gcc -O2, this machine's processor, first 1 of 2 samples, first 3 of 40 steps)" in c_target.verify(
        net, sources, frames, "abc"
    )
    call = c_target.call

    def unknown_instruction(command, folder, given=None):
        if command[0] == "valgrind":
            raise c_target.VerificationError("valgrind ended with -4")
        return call(command, folder, given)

    monkeypatch.setattr(c_target, "call", unknown_instruction)
    assert list(c_target.verify(net, sources, frames, "abc")) == ["compared with the fixed-point network"]


def test_instructions_of_some_of_the_steps_are_not_told(monkeypatch, tmp_path):
    monkeypatch.setattr(c_target.shutil, "which", lambda _: "valgrind")
    for n in (1, 2):
        (tmp_path / f"counts.{n}").write_text(f"totals: {n}\n")
    monkeypatch.setattr(c_target, "call", lambda *_: None)
    assert sorted(c_target._instructions(str(tmp_path), "net", b"", 2)) == [1, 2]
    assert c_target._instructions(str(tmp_path), "net", b"", 3) is None


@pytest.mark.needs("iverilog")
def test_icarus_runs_the_small_network():
    net, frames = trained("8-16R-4", samples=1)
    found = nets.simulated(net, rtl_source.sources(plan(net), "x", "net", 4), frames)
    assert "all equal" in found["simulated by icarus"]


@pytest.mark.needs("verilator")
@pytest.mark.slow
def test_verilator_runs_the_large_network_on_a_whole_utterance():
    net, frames = trained("140x4-128R-20")
    found = nets.simulated(net, rtl_source.sources(plan(net), "x", "net", 4), frames, "verilator")
    assert f"{frames.shape[1]} steps" in found["simulated by verilator"] and "all equal" in found["simulated by verilator"]
    assert found["cycles a step, largest"] < 50e6 * net.dt  # the network's own time, at 50 MHz


@pytest.mark.needs("yosys")
@pytest.mark.slow
def test_yosys_maps_the_large_network():
    net, _ = trained("140x4-128R-20")
    found = rtl_target.cells(rtl_source.sources(plan(net), "x", "net", 4), "net")
    weights = sum(8 * x.weight.size + (0 if x.weight_rec is None else 8 * x.weight_rec.size) for x in plan(net).layers)
    assert found["18 kbit memory blocks"] * 18 * 1024 >= weights and 2000 < found["4-input LUTs"] < 12000


@pytest.mark.parametrize("shape", TRAINED)
def test_the_exact_graph_is_the_network(shape, tmp_path):
    nir = pytest.importorskip("nir", reason="needs nir")
    from lava_1m1t1r.export import nir_exact

    net, frames = trained(shape)
    report = TARGETS["nir"](net, tmp_path / "out", frames=frames, portable=False)
    back = nir_exact.from_nir(nir.read(tmp_path / "out" / "exact.nir"))
    ours, theirs = (FastNetwork(x).run(frames, record="all", threads=1).layers for x in (net, back))
    assert all(np.array_equal(a.out, b.out) for a, b in zip(ours, theirs, strict=True))
    assert report.facts["exact graph read back"] == "equal"


def test_norse_runs_the_portable_graph_of_a_trained_recurrent_network():
    for package in ("nir", "norse", "nirtorch"):
        pytest.importorskip(package, reason=f"needs {package}")
    import nir

    from lava_1m1t1r.export import nir_portable, nir_target

    net, frames = trained("8-16R-4", samples=4)
    fitted = nir_portable.to_portable(net, frames, FastNetwork(net).run(frames, "spikes"), delays=False)
    bare = replace(net, layers=tuple(replace(x, delay=None, delay_rec=None) for x in net.layers))
    ours = nir_portable.run_portable(bare, fitted.fits, frames)
    elsewhere = nets.run_elsewhere()
    graph = lambda: nir.read(io.BytesIO(nir_target._file(fitted.graph)))  # noqa: E731
    theirs = np.stack([elsewhere.run_norse(graph(), sample) for sample in frames])
    assert ours[0].sum() > 20
    np.testing.assert_allclose(theirs, ours[-1], atol=1e-3)  # sums of the readout, from the same spikes


def test_a_portable_graph_that_is_worse_than_silence_says_so(tmp_path):
    pytest.importorskip("nir", reason="needs nir")
    net, frames = trained("140x4-128R-20")
    report = TARGETS["nir"](net, tmp_path / "out", frames=frames)
    assert report.facts["portable, distance of each layer in the running network"]["layer 1"] >= 1
    assert any("no substitute" in note and "cannot clip" in note for note in report.notes)


@pytest.mark.parametrize("shape", TRAINED)
def test_the_loihi_pack_holds_the_network_and_its_traces(shape, tmp_path):
    net, frames = trained(shape)
    report = TARGETS["loihi"](net, tmp_path / "out", frames=frames)
    golden = np.load(tmp_path / "out" / "handoff" / "golden.npz")
    own = FastNetwork(schema.read(tmp_path / "out" / "network.net")).run(golden["frames"], record="all", threads=1)
    spikes = next(golden[key] for key in golden.files if key.endswith("spikes"))
    np.testing.assert_array_equal(spikes, own.layers[0].spikes)
    assert report.facts["neurons"] == sum(layer.size for layer in net.active)


@pytest.mark.lava
@pytest.mark.slow
def test_lava_runs_the_loihi_pack_bit_for_bit(tmp_path):
    from lava_1m1t1r.netx import hdf5

    net, frames = trained("8-16R-4", samples=1)
    TARGETS["loihi"](net, tmp_path / "out", frames=frames)
    lava = hdf5.predict(str(tmp_path / "out" / "network.net"), frames, backend="lava")
    np.testing.assert_array_equal(lava, FastNetwork(net).run(frames, threads=1).out)
