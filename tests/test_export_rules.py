"""Every rule of every target refuses, names layer, rule, value and cure, and nothing is written; folders appear whole or not at all."""

import errno
import os
import re
import tempfile
from dataclasses import replace
from pathlib import Path

import export_networks as nets
import numpy as np
import pytest
from command import TOY

from lava_1m1t1r import StepParams, presets
from lava_1m1t1r._support.files import as_json
from lava_1m1t1r.convolution import Convolution
from lava_1m1t1r.description import CubaNeuron, Layer, M1T1RNeuron, NetDescription
from lava_1m1t1r.errors import FormatError, InputError
from lava_1m1t1r.export import TARGETS, c_target, loihi_target, output, rtl_target, rules, spice_target
from lava_1m1t1r.export.frames import samples
from lava_1m1t1r.export.output import MARK, STAGE, check_folder, write_folder
from lava_1m1t1r.export.report import Report, compared
from lava_1m1t1r.netx import schema

CUBA = CubaNeuron(512, 128, 80)
FAST = presets.ZHAO2025_FIG2


def good(rng):
    return nets.network("recurrent_with_delays", rng)


def changed(net, at, /, **changes):
    return replace(net, layers=tuple(replace(x, **changes) if i == at else x for i, x in enumerate(net.layers)))


def neuron(**changes):
    return M1T1RNeuron(StepParams(FAST, **changes))


def image(width):
    conv = Convolution((1, 1, width + 1), 1, (1, 2))
    return Layer(0, "conv", conv.shape, conv.sources, np.full(conv.weight_shape, 4), neuron=neuron(), conv=conv)


def input_neurons(size, **more):
    return Layer(0, "input", (size,), size, np.array([200]), neuron=neuron(), **more)


BROKEN = {
    spice_target.crossbars_fit_a_netlist: (
        lambda n: NetDescription(
            (Layer(0, "dense", (1024,), 1024, np.zeros((1024, 1024), np.int8), bias=np.full(1024, 3), neuron=neuron()),)
        ),
        r"layer/0 \(dense\) weight must have at most 1048576 synapses, those of its bias included; got 1051648\. Use smaller layers",
    ),
    rules.sizes_fit_sixteen_bits: (
        lambda n: changed(n, 0, inputs=1 << 17, weight=np.zeros((7, 1 << 17), np.int8)),
        r"layer/0 \(dense_rec\) shape must have at most 65536.*131072",
    ),
    loihi_target.input_neurons_may_be_written_out: (
        lambda n: NetDescription((input_neurons((1 << 12) + 1),)),
        r"layer/0 \(input\) weight must fill.*got 16785409\. Use a smaller layer, or run",
    ),
    rules.layers_may_be_written_out: (
        lambda n: NetDescription((image(1 << 12),)),
        r"layer/0 \(conv\) weight must fill.*got 16781312",
    ),
    rules.weights_are_whole_numbers_of_eight_bits: (
        lambda n: changed(n, 0, weight_rec=np.full((7, 7), 300)),
        r"layer/0 \(dense_rec\) weight_rec\[0, 0\] must fit 8 signed bits: even numbers.*300\. Quantise",
    ),
    rules.biases_fit_sixteen_bits: (
        lambda n: changed(n, 1, bias=np.full(3, 1 << 15)),
        r"layer/1 \(dense\) bias\[0\] must be below 2\^15 in magnitude; got 32768",
    ),
    rules.the_library_can_run_it: (
        lambda n: changed(n, 1, inputs=700, weight=np.zeros((3, 700), np.int32)),
        "layer/1 must have 7 inputs, as many as the layer before it has outputs; got 700",
    ),
    rules.neurons_are_1m1t1r: (lambda n: changed(n, 1, neuron=CUBA), r"layer/1 \(dense\) must hold 1M1T1R.*CubaNeuron.*target loihi"),
    rules.a_layer_of_neurons_states_the_step: (
        lambda n: NetDescription((Layer(0, "affine", (2,), 3, np.zeros((2, 3), np.int32)),)),
        "states the network step",
    ),
    rules.neurons_have_devices_the_fixed_point_step_can_hold: (
        lambda n: changed(n, 1, neuron=M1T1RNeuron(StepParams(replace(FAST, gamma2=1e-6)))),
        "gamma2 must lie between",
    ),
    loihi_target.layers_are_numbered_by_their_place: (lambda n: changed(n, 1, index=4), r"layer/4 \(dense\) index must be 1, its place"),
    spice_target.neurons_are_without_noise: (
        lambda n: changed(n, 1, neuron=M1T1RNeuron(StepParams(replace(FAST, sigma1=1e-3)))),
        r"layer/1 \(dense\) neuron/sigma1 must be 0 in a circuit; got 0.001\. Set it to 0",
    ),
    spice_target.field_laws_can_be_computed_by_a_circuit_simulator: (
        lambda n: changed(n, 1, neuron=M1T1RNeuron(StepParams(replace(FAST, v0=0.02, v_ref=8.0)))),
        r"layer/1 \(dense\) neuron: v_ref / v0 must be < 300; got 400",
    ),
    rtl_target.sums_fit_twenty_four_bits: (
        lambda n: changed(n, 0, kind="dense", inputs=40_000, weight=np.full((7, 40_000), -254), weight_rec=None, bias=np.arange(7) - 7),
        r"layer/0 \(dense\) weight must add up, all as positive, to at most 8388607 counts a neuron .*got 10160007\. Use smaller",
    ),
}
OF_TARGET = {"c": rules.INTEGERS, "rtl": rtl_target.RULES, "nir": rules.INTEGERS, "loihi": loihi_target.RULES, "spice": spice_target.RULES}
ALONE = {"nir": [pytest.mark.nir]}
HERE = [pytest.param(target, marks=ALONE.get(target, []), id=target) for target in sorted(OF_TARGET)]
CASES = [pytest.param(target, rule, marks=ALONE.get(target, [])) for target, listed in OF_TARGET.items() for rule in listed]


@pytest.mark.parametrize(("target", "rule"), CASES, ids=lambda x: getattr(x, "__name__", x))
def test_a_broken_rule_is_refused_before_anything_is_written(target, rule, rng, tmp_path):
    spoil, words = BROKEN[rule]
    net = spoil(good(rng))
    with pytest.raises(InputError, match=words):
        rule(net)
    with pytest.raises(InputError, match=words):
        TARGETS[target](net, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_sums_of_twenty_four_bits_are_bounded_in_every_layer():
    """By itself; of counts of all ones; neither 32 bits nor what just fits are refused."""
    weight, most = np.full((1, 33_025), 254), (1 << 23) - 1
    weight[0, -1] = most + 1 - 33_024 * 254
    last = Layer(0, "affine", (1,), 33_025, weight)
    for spoilt in (last, replace(last, weight=-weight), Layer(0, "average", (1,), most + 1)):
        with pytest.raises(InputError, match="must add up.*got 8388608"):
            rtl_target.sums_fit_twenty_four_bits(NetDescription((spoilt,)))
    weight[0, -1] -= 2
    rtl_target.sums_fit_twenty_four_bits(NetDescription((last,)))
    recurrent = Layer(0, "input", (2,), 2, np.array([254]), np.full((2, 2), most), neuron=neuron())
    with pytest.raises(InputError, match=rf"got {254 + 2 * most}"):
        rtl_target.sums_fit_twenty_four_bits(NetDescription((recurrent,)))


def test_a_field_that_overflows_at_the_largest_input_is_refused(rng):
    net = changed(good(rng), 1, neuron=M1T1RNeuron(StepParams(replace(FAST, v0=4e-3), v_in_max=3.0)))
    with pytest.raises(InputError, match=r"layer/1 \(dense\) neuron: 1.1 v_in_max / v0 must be < 700; got 825.*a smaller v_in_max"):
        spice_target.field_laws_can_be_computed_by_a_circuit_simulator(net)
    with pytest.raises(InputError, match=r"layer/0 \(dense_rec\) neuron/sigma2 must be 0 in a circuit; got"):
        spice_target.neurons_are_without_noise(changed(good(rng), 0, neuron=M1T1RNeuron(StepParams(replace(FAST, sigma2=1e-3)))))


def test_of_unequal_devices_the_steepest_field_is_refused(rng):
    for v0, words in ((4e-3, "1.1 v_in_max / v0 must be < 700; got 825"), (2e-3, "v_ref / v0 must be < 300; got 400")):
        step = StepParams(replace(FAST, v0=np.array([0.1, v0, 0.1])), v_in_max=3.0)
        with pytest.raises(InputError, match=rf"layer/1 \(dense\) neuron: {words}"):
            spice_target.field_laws_can_be_computed_by_a_circuit_simulator(changed(good(rng), 1, neuron=M1T1RNeuron(step)))


@pytest.mark.parametrize("target", HERE)
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"delay": np.full(3, 1.5)}, "layer/1 delay must be an array of whole numbers"),
        ({"bias": np.full(3, 1.5)}, "layer/1 bias must be an array of whole numbers"),
        ({"weight": [[2] * 7] * 3}, "layer/1 weight must be an array of whole numbers"),
        ({"weight": np.zeros((3, 6), np.int32)}, r"layer/1 weight must have shape \(3, 7\); got \(3, 6\)"),
        ({"delay": np.full(3, 63)}, r"layer/1 delay must lie in 0\.\.62"),
        ({"neuron": neuron(dt=2e-3)}, r"neuron/dt must be equal in all layers; got \[0.001, 0.002\]"),
        (
            {"kind": "affine", "neuron": None, "bias": None, "delay": None, "weight_rec": np.full((3, 3), 20)},
            "weight_rec must be left out of a layer without neurons",
        ),
        ({"index": 65536}, "index is a whole number from 0 to 65535"),
        ({"index": "a"}, "index is a whole number from 0 to 65535"),
        ({"index": True}, "index is a whole number from 0 to 65535"),
        ({"index": 0}, r"index, which starts their noise, rises; got \[0, 0\]"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_the_fast_path_refuses_no_target_takes(target, changes, words, rng, tmp_path):
    with pytest.raises(InputError, match=words):
        TARGETS[target](changed(good(rng), 1, **changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_every_target_has_its_rules_here():
    assert set(OF_TARGET) == set(TARGETS)
    assert set().union(*OF_TARGET.values()) == set(BROKEN)  # and no rule is without a target


def dense(shape, **changes):
    return NetDescription((replace(Layer(0, "dense", shape[:1], shape[1], np.zeros(shape, np.int32), neuron=neuron()), **changes),))


def pointwise(width):
    conv = Convolution((1, 1, width), 1, (1, 1))
    return NetDescription((Layer(0, "conv", conv.shape, conv.sources, np.full(conv.weight_shape, 4), neuron=neuron(), conv=conv),))


@pytest.mark.parametrize(
    ("rule", "fits", "broken", "got"),
    [
        (rules.sizes_fit_sixteen_bits, dense((1, 1 << 16)), dense((1, (1 << 16) + 1)), "65537"),
        (rules.sizes_fit_sixteen_bits, dense((1 << 16, 1)), dense(((1 << 16) + 1, 1)), "65537"),
        (rules.layers_may_be_written_out, pointwise(1 << 12), pointwise((1 << 12) + 1), str(4097**2)),
        (
            rules.biases_fit_sixteen_bits,
            dense((2, 1), bias=np.array([0, 1 - (1 << 15)])),
            dense((2, 1), bias=np.array([0, -(1 << 15)])),
            "-32768",
        ),
        (
            rules.weights_are_whole_numbers_of_eight_bits,
            dense((1, 2), weight=np.array([[-256, 254]])),
            dense((1, 2), weight=np.array([[-258, 254]])),
            "-258",
        ),
    ],
    ids=["inputs", "neurons", "matrix", "bias", "weight"],
)
def test_rules_draw_the_line_where_they_say(rule, fits, broken, got):
    rule(fits)
    with pytest.raises(InputError, match=rf"layer/0 .*; got .*{got}"):
        rule(broken)


class Ring(Layer):
    """A kind of layer as somebody may add one: neuron n takes inputs n, n + 1, ... around a ring, by weights (K,) that all share."""

    def matrix(self):
        return sum(weight * np.roll(np.eye(self.size, dtype=np.int32), k, axis=1) for k, weight in enumerate(self.own_weight.tolist()))


def test_a_kind_is_known_by_its_matrix_whatever_form_its_weights_have():
    ring = Ring(0, "dense", (4,), 4, np.array([100, -60, 0, 0, 100], np.int32), neuron=neuron())
    plain = dense((4, 4), weight=ring.matrix()).layers[0]
    assert ring.sums() == plain.sums() == (260, 200, 0)
    rules.weights_are_whole_numbers_of_eight_bits(NetDescription((ring,)))
    with pytest.raises(InputError, match=r"weight\[0, 0\] must fit 8 signed bits: .*; got 300"):
        rules.weights_are_whole_numbers_of_eight_bits(NetDescription((replace(ring, weight=np.array([100, 0, 0, 0, 200])),)))


def test_averages_are_matrices_too():
    rules.layers_may_be_written_out(NetDescription((Layer(0, "average", (1 << 10,), 1 << 14),)))
    with pytest.raises(InputError, match=rf"layer/0 \(average\) weight must fill.*got {17 << 20}\. Use a smaller layer"):
        rules.layers_may_be_written_out(NetDescription((Layer(0, "average", (1 << 10,), 17 << 10),)))


@pytest.mark.nir
def test_input_neurons_are_a_matrix_in_nir_where_they_have_a_bias(tmp_path):
    size = (1 << 12) + 1
    frames = np.ones((1, 3, size), np.uint8)
    TARGETS["nir"](NetDescription((input_neurons(size),)), tmp_path / "out", portable=False, frames=frames)
    for net, portable in ((input_neurons(size), True), (input_neurons(size, bias=np.full(size, 3)), False)):
        with pytest.raises(InputError, match=r"layer/0 \(input\) weight must fill.*got 16785409"):
            TARGETS["nir"](NetDescription((net,)), tmp_path / "new", portable=portable, frames=frames)


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("concat", r"must be of a kind among input, .*; got 'concat'"),
        ("something", r"must be of a kind among input, .*; got 'something'"),
        ("conv", "weight must be given"),
        ("pool", "weight must be given"),
    ],
)
@pytest.mark.parametrize("target", HERE)
def test_layers_that_a_target_does_not_know_are_never_left_out(target, kind, rule, rng, tmp_path):
    net = good(rng)
    strange = replace(net, layers=(net.layers[0], Layer(1, kind, (7,), 7), replace(net.layers[1], index=2)))
    with pytest.raises(InputError, match=f"layer/1 {rule}"):
        TARGETS[target](strange, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("target", HERE)
def test_a_damaged_file_is_refused_with_its_key(target, rng, tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "x.net"
    schema.write(path, good(rng))
    with h5py.File(path, "a") as file:
        del file["layer/1/weight"]
    with pytest.raises(FormatError, match="layer/1/weight must be present"):
        TARGETS[target](path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("target", HERE)
def test_a_folder_with_other_files_is_refused_and_kept(target, rng, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"hold nothing but a former export; got \['mine.txt'\]"):
        TARGETS[target](good(rng), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_a_file_called_almost_as_the_mark_is_foreign(tmp_path):
    (tmp_path / f"{MARK}.bak").write_text("mine")
    with pytest.raises(InputError, match="hold nothing but a former export"):
        check_folder(tmp_path)


def test_the_root_of_all_files_is_refused_at_once(rng, tmp_path, monkeypatch):
    """Three names are enough; and a link is a file of the user's, wherever it leads."""

    def walk(folder):
        yield folder, [], ["0.txt", "1.txt", "2.txt"]
        raise AssertionError("walks on")

    monkeypatch.setattr(os, "walk", walk)
    with pytest.raises(InputError, match=r"got \['0.txt', '1.txt', '2.txt'\]"):
        TARGETS["c"](good(rng), tmp_path)
    monkeypatch.undo()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(InputError, match=r"got \['mine'\]"):
        TARGETS["c"](good(rng), tmp_path / "out")


def test_a_former_export_is_replaced_whole(tmp_path):
    out = tmp_path / "out"
    write_folder(out, {"a.txt": "1", "in/b.txt": "2"})
    write_folder(out, {"c.txt": b"3"})
    assert sorted(p.name for p in out.iterdir()) == [MARK, "c.txt"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_an_export_has_names_as_long_as_names_can_be(tmp_path):
    name = "n" * os.pathconf(tmp_path, "PC_NAME_MAX")
    write_folder(tmp_path / name, {"a.txt": "1"})
    assert (tmp_path / name / "a.txt").read_text() == "1" and [p.name for p in tmp_path.iterdir()] == [name]


def test_a_way_back_out_of_a_folder_that_is_not_there_leads_to_the_former_export(tmp_path):
    write_folder(tmp_path / "out", {"a.txt": "1"})
    write_folder(tmp_path / "none" / ".." / "out", {"b.txt": "2"})
    assert [p.name for p in tmp_path.iterdir()] == ["out"] and sorted(p.name for p in (tmp_path / "out").iterdir()) == [MARK, "b.txt"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "c.txt").write_text("3")
    for way in ("none/../mine", "mine/none/.."):
        with pytest.raises(InputError, match=r"output folder must hold nothing but a former export.*got \['c.txt'\]"):
            write_folder(tmp_path / way, {"a.txt": "1"})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "out"] and [p.name for p in (tmp_path / "mine").iterdir()] == ["c.txt"]


def test_an_export_does_not_replace_the_network_that_it_is_of(tmp_path):
    """A network in a former export went with it: of ``deploy c out/network.net -o out``, no .net file was left."""
    TARGETS["loihi"](TOY, tmp_path / "out")
    (tmp_path / "link").symlink_to(tmp_path)
    for inside in ("out/network.net", "out/handoff/network.net", "link/out/network.net"):
        with pytest.raises(InputError, match="output folder must not hold the network's file, which would be lost; got '.*network.net'"):
            TARGETS["c"](tmp_path / inside, tmp_path / "out")
        assert (tmp_path / inside).is_file()
    (tmp_path / "out" / "network.net").rename(tmp_path / "moved.net")
    TARGETS["c"](tmp_path / "moved.net", tmp_path / "out")
    assert (tmp_path / "out" / "net.c").is_file()


@pytest.mark.parametrize("source", ["trained on Monday", "x" * 5000, "a\0b"])
def test_a_network_whose_source_is_no_path_is_exported(source, tmp_path):
    """It was taken for a path, which no file system has."""
    TARGETS["c"](replace(schema.read(TOY), source=source), tmp_path / "out")
    assert (tmp_path / "out" / "net.c").is_file()


def contents(folder):
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_a_folder_that_is_there_stays_the_same_folder(tmp_path, monkeypatch):
    """Somebody may stand in it: ``-o .``. What is in the way and not ours can only be an empty folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in" / "deeper").mkdir(parents=True)
    (tmp_path / "lost+found").mkdir()
    write_folder(".", {"a.txt": "1", "in/b.txt": "2"})
    assert contents(Path.cwd()) == {MARK: "a.txt\nin/b.txt\n", "a.txt": "1", "in/b.txt": "2"}
    write_folder(".", {"a.txt": "3", "c.txt": "4"})
    assert contents(Path.cwd()) == {MARK: "a.txt\nc.txt\n", "a.txt": "3", "c.txt": "4"}
    assert sorted(p.name for p in tmp_path.iterdir()) == [MARK, "a.txt", "c.txt", "lost+found"]


def test_a_folder_is_filled_where_its_parent_may_not_be_touched(tmp_path, monkeypatch):
    """As a mounted volume, which has no other name, or a folder in one that is read-only."""
    out, real = tmp_path / "out", os.replace
    out.mkdir()

    def busy(source, target):
        if out in (Path(source), Path(target)):
            raise OSError(errno.EBUSY, "Device or resource busy", str(source))
        real(source, target)

    def read_only(suffix=None, prefix=None, dir=None, make=tempfile.mkdtemp):
        if Path(dir) == tmp_path:
            raise OSError(errno.EROFS, "Read-only file system", str(dir))
        return make(suffix, prefix, dir)

    monkeypatch.setattr(os, "replace", busy)
    monkeypatch.setattr(tempfile, "mkdtemp", read_only)
    for text in ("1", "2"):
        write_folder(out, {"a.txt": text, "in/b.txt": text})
        assert contents(out) == {MARK: "a.txt\nin/b.txt\n", "a.txt": text, "in/b.txt": text}


def ending(number, error, late, real=os.replace):
    """``os.replace`` whose call of that number, and no other, raises: before it moves, or after."""
    calls = iter(range(100))

    def move(source, target):
        due = next(calls) == number
        if late or not due:
            real(source, target)
        if due:
            raise error

    return move


@pytest.mark.parametrize(("former", "moves"), [({}, 5), ({"a.txt": "1", "in/b.txt": "2", "old.txt": "3"}, 8)])
@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()], ids=["error", "Ctrl-C"])
@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_moves_that_end_midway_are_undone(former, moves, error, late, tmp_path, monkeypatch):
    """Whichever it is."""
    if former:
        write_folder(tmp_path, former)
    for number in range(moves):
        was = contents(tmp_path)
        with monkeypatch.context() as patched, pytest.raises(type(error), match=re.escape(str(error)) or "^$"):
            patched.setattr(os, "replace", ending(number, error, late))
            write_folder(tmp_path, {"a.txt": "5", "c.txt": "6", "in/b.txt": "7"})
        assert contents(tmp_path) == was and list(tmp_path.glob(f"{STAGE}*")) == []
    monkeypatch.setattr(os, "replace", ending(moves, error, late))
    write_folder(tmp_path, {"a.txt": "5", "c.txt": "6", "in/b.txt": "7"})
    assert len(contents(tmp_path)) == 4


def test_folders_of_a_containers_image_are_replaced_or_stay(tmp_path, monkeypatch):
    """Which overlayfs gives no other name."""
    write_folder(tmp_path, {"a.txt": "1", "in/b.txt": "2", "in/deeper/c.txt": "3"})
    was, real = contents(tmp_path), os.replace

    def across(source, target):
        if os.path.isdir(source) and "old" in Path(target).relative_to(tmp_path).parts:
            raise OSError(errno.EXDEV, "Invalid cross-device link", str(source))
        real(source, target)

    for number in range(9):
        with monkeypatch.context() as patched, pytest.raises(OSError, match="No space left"):
            patched.setattr(os, "replace", ending(number, OSError(errno.ENOSPC, "No space left on device"), False, across))
            write_folder(tmp_path, {"d.txt": "4", "in/e.txt": "5"})
        assert contents(tmp_path) == was and list(tmp_path.glob(f"{STAGE}*")) == []
    monkeypatch.setattr(os, "replace", across)
    write_folder(tmp_path, {"d.txt": "4", "in/e.txt": "5"})
    assert contents(tmp_path) == {MARK: "d.txt\nin/e.txt\n", "d.txt": "4", "in/e.txt": "5"}
    assert sorted(p.name for p in tmp_path.rglob("*")) == [MARK, "d.txt", "e.txt", "in"]


def test_what_a_lost_machine_left_is_replaced(tmp_path, monkeypatch):
    out, real, moved = tmp_path / "out", os.replace, []
    write_folder(out, {"a.txt": "1", "b.txt": "2"})

    def lost(source, target):
        if len(moved) == 3:
            os._exit(7)
        moved.append(real(source, target))

    child = os.fork()
    if child == 0:
        monkeypatch.setattr(os, "replace", lost)
        write_folder(out, {"a.txt": "3", "c.txt": "4"})
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7 and len(list(out.glob(f"{STAGE}*"))) == 1
    write_folder(out, {"a.txt": "5", "d.txt": "6"})
    assert contents(out) == {MARK: "a.txt\nd.txt\n", "a.txt": "5", "d.txt": "6"}


def test_a_stage_that_vanishes_as_it_is_replaced_costs_no_former_export(tmp_path, monkeypatch):
    """Its own export removes it, which was refused or has ended; putting back what cannot come back lost the rest of a former export."""
    write_folder(tmp_path, {"a.txt": "1", "b.txt": "2"})
    stage, real = tmp_path / f"{STAGE}{2**22 + 1}-x", os.replace
    stage.mkdir()

    def vanishing(source, target):
        if source == stage:
            stage.rmdir()
        real(source, target)

    monkeypatch.setattr(os, "replace", vanishing)
    write_folder(tmp_path, {"a.txt": "3", "c.txt": "4"})
    assert contents(tmp_path) == {MARK: "a.txt\nc.txt\n", "a.txt": "3", "c.txt": "4"}


def test_a_stage_that_begins_after_the_look_for_others_is_left_alone(tmp_path, monkeypatch):
    """Its export sees ours, and is refused; until then it needs its stage."""
    write_folder(tmp_path, {"a.txt": "1"})
    stage, real = tmp_path / f"{STAGE}{os.getppid()}-x", output._write
    monkeypatch.setattr(output, "_write", lambda folder, given: (real(folder, given), stage.mkdir()))
    write_folder(tmp_path, {"a.txt": "2"})
    assert stage.is_dir() and (tmp_path / "a.txt").read_text() == "2"


def test_folders_that_vanish_while_a_folder_is_looked_through_do_not_disturb(tmp_path, monkeypatch):
    write_folder(tmp_path, {"a.txt": "1"})
    stage, real = tmp_path / f"{STAGE}{2**22 + 1}-x", os.scandir
    stage.mkdir()

    def vanishing(path="."):
        if str(path) == str(stage):
            stage.rmdir()
        return real(path)

    monkeypatch.setattr(os, "scandir", vanishing)
    check_folder(tmp_path)
    assert not stage.exists()


def test_of_two_exports_that_make_one_folder_the_later_is_refused(tmp_path, monkeypatch):
    real, out = output._write, tmp_path / "out"

    def overtaken(folder, given):
        monkeypatch.setattr(output, "_write", real)
        write_folder(out, {"b.txt": "2"})
        real(folder, given)

    monkeypatch.setattr(output, "_write", overtaken)
    with pytest.raises(InputError, match="output folder must not be filled by another export; got 'one that it has made meanwhile'"):
        write_folder(out, {"a.txt": "1"})
    assert contents(out) == {MARK: "b.txt\n", "b.txt": "2"} and list(tmp_path.iterdir()) == [out]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a file system that takes no files")
@pytest.mark.parametrize("target", ["c", "rtl"])
def test_a_folder_that_cannot_be_written_to_is_told_before_the_work(target, tmp_path, rng, monkeypatch):
    for module in (c_target, rtl_target):
        monkeypatch.setattr(module, "call", lambda *_, **__: pytest.fail("the work has begun"))
    net = nets.network("one_neuron", rng)
    with pytest.raises(InputError, match="output folder must be a folder that can be written to; got '/proc/x'"):
        TARGETS[target](net, "/proc/x", frames=np.ones((1, 3, 1), int))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="output folder must be a folder, or inside one; got .*file is a file"):
        TARGETS[target](net, tmp_path / "file" / "inside", frames=np.ones((1, 3, 1), int))
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(InputError, match="output folder must be a folder, or inside one; got .*dangling is a link to nowhere"):
        TARGETS[target](net, tmp_path / "dangling" / "inside", frames=np.ones((1, 3, 1), int))


def test_a_folder_is_filled_by_one_export_at_a_time(tmp_path, monkeypatch):
    """Of this process or of another one."""
    real, begun = os.replace, []
    write_folder(tmp_path, {"a.txt": "1"})

    def between(source, target):
        if not begun:
            begun.append(source)
            with pytest.raises(InputError, match="output folder must not be filled by another export"):
                write_folder(tmp_path, {"b.txt": "2"})
        real(source, target)

    monkeypatch.setattr(os, "replace", between)
    write_folder(tmp_path, {"a.txt": "3"})
    assert begun and contents(tmp_path) == {MARK: "a.txt\n", "a.txt": "3"}
    (tmp_path / f"{STAGE}{os.getppid()}-x").mkdir()
    with pytest.raises(InputError, match="must not be filled by another export; got .*-x'].*If there is none, .* remove what is named"):
        write_folder(tmp_path, {"b.txt": "2"})
    assert contents(tmp_path) == {MARK: "a.txt\n", "a.txt": "3"}


@pytest.mark.parametrize("name", ["../x", "/tmp/x"])
def test_nothing_is_written_outside_the_folder(name, tmp_path):
    with pytest.raises(InputError, match="stay inside"):
        write_folder(tmp_path / "out", {"a": "1", name: "2"})
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(InputError, match="not be a link"):
        write_folder(tmp_path / "link", {"a": "1"})


def test_a_folder_at_home_may_be_named_so(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    write_folder("~/out", {"a.txt": "1"})
    assert (tmp_path / "out" / "a.txt").is_file()


@pytest.mark.parametrize("target", HERE)
def test_a_report_names_the_folder_that_was_filled(target, rng, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    report = TARGETS[target](good(rng), "~/out")
    assert report.folder == tmp_path / "out" and all((report.folder / file).is_file() for file in report.files)
    assert TARGETS[target](good(rng), "out").folder == Path("out")


def test_reports_show_their_facts_and_notes_everywhere():
    facts = {"share": 0.123456, "cells": 1234567, "tied": True, "loose": None, "by layer": {"layer 0": [1, np.float64(2.5)]}}
    report = Report("c", "1-1", Path("out"), ("a.c",), facts, ("Nothing was run.", "Nothing was lost."))
    shown = ("0.1235", "1,234,567", "yes", "not known", "layer 0: 1, 2.5")
    for text in (report.text, report.page):
        assert all(words in text for words in (*facts, *shown, *report.notes, "a.c"))
    assert report.as_dict()["notes"] == list(report.notes) and report.as_dict()["facts"] == facts


def test_a_proof_without_spikes_says_so():
    assert compared(30, 5, 90) == "30 steps, 5 spikes, 90 states: all equal"
    assert compared(30, 0, 90) == "30 steps, 0 spikes, 90 states: all equal. Nothing spikes: other samples would test more"


@pytest.mark.parametrize("largest", [4, 5])
def test_samples_may_hold_the_largest_count(largest, rng):
    net, frames = good(rng), np.zeros((3, 13), int)
    frames[1, 2] = largest
    if largest == 4:
        np.testing.assert_array_equal(samples(frames, net, 4), frames[None])
    else:
        with pytest.raises(InputError, match="frames must hold spike counts of at most 4; got 5"):
            samples(frames, net, 4)


@pytest.mark.parametrize("target", HERE)
def test_reports_are_text_and_json(target, rng, tmp_path):
    import json

    report = TARGETS[target](good(rng), tmp_path / "out")
    assert report.text.startswith(f"{target}: 13-7R-3 -> ")
    assert json.loads(json.dumps(report.as_dict()))["files"] == sorted(report.files)
    assert all((tmp_path / "out" / name).is_file() for name in report.files)
    assert (tmp_path / "out/report.html").read_text() == report.page
    assert json.loads((tmp_path / "out/report.json").read_text()) == json.loads(as_json(report.as_dict()))
    for file in (tmp_path / "out").rglob("*.json"):
        json.loads(file.read_text(), parse_constant=pytest.fail)  # nan and infinity are none of JSON's
