"""The .net format: round trip, every key removed or damaged in turn, foreign and newer files."""

import copy
import errno
import pickle
import re
import subprocess
import sys
from dataclasses import replace

import damage
import h5py
import numpy as np
import pytest

from lava_1m1t1r import StepParams, keys, presets
from lava_1m1t1r.description import CubaNeuron, Layer, M1T1RNeuron, NetDescription, Usual
from lava_1m1t1r.errors import FormatError, InputError
from lava_1m1t1r.export import read_back
from lava_1m1t1r.netx import schema
from lava_1m1t1r.program import INTEGER_FIELDS

FIG2 = presets.ZHAO2025_FIG2


def weights(rng, *shape):
    return (2 * rng.integers(-128, 128, shape)).astype(np.int32)


@pytest.fixture
def net(rng):
    """Every kind of layer and key that can stand before a readout."""
    device = replace(FIG2, r_control=rng.uniform(1e8, 1e9, 7), sigma1=1e-3)
    neuron = M1T1RNeuron(StepParams(device, dt=2e-3, substeps=3), seed=11)
    delays = [rng.integers(0, 63, 7).astype(np.int32) for _ in range(2)]
    bias = np.array([-4096, 4095, *rng.integers(-4096, 4096, 5)], np.int32)
    cuba = CubaNeuron(1024, rng.integers(0, 4097, 5).astype(np.int32), 80)
    return NetDescription(
        (
            Layer(0, "input", (3, 2, 1), 6),
            Layer(1, "flatten", (6, 1, 1), 6),
            Layer(2, "dense_rec", (7,), 6, weights(rng, 7, 6), weights(rng, 7, 7), bias, *delays, neuron),
            Layer(3, "dense", (5,), 7, weights(rng, 5, 7), neuron=cuba),
            Layer(4, "affine", (4,), 5, weights(rng, 4, 5)),
        )
    )


@pytest.fixture
def path(net, tmp_path):
    schema.write(tmp_path / "a.net", net)
    return tmp_path / "a.net"


def same(a, b):
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return a is not None and b is not None and np.array_equal(a, b)
    if isinstance(a, StepParams):
        return a.device == b.device and all(getattr(a, f) == getattr(b, f) for f in INTEGER_FIELDS)
    if hasattr(a, "__dataclass_fields__"):
        return all(same(getattr(a, name), getattr(b, name)) for name in a.__dataclass_fields__)
    return a == b


def test_names_of_classes_are_composed_in_files_of_others_and_in_descriptions(net, path):
    with h5py.File(path, "r+") as file:
        file["classes"] = [name.encode() for name in ("fu\u0308nf", "b", "c", "d")]
    assert schema.read(path).classes[0] == net.replace(classes=("fu\u0308nf",)).classes[0] == "f\u00fcnf"
    assert net.replace(classes=np.array(["a", "b"])).classes == ("a", "b")


@pytest.mark.parametrize(
    "names, rule",
    [
        (("a", "b", "c", "a"), "name each output differently"),
        (("\u00e9", "e\u0301", "c", "d"), "name each output differently"),
        (("a", "b", "c"), "hold 4 texts, or none"),
        (("a", "b", "c", 4), "hold 4 texts, or none"),
    ],
)
def test_a_description_names_its_outputs_one_by_one(net, names, rule):
    with pytest.raises(InputError, match=f"network: classes must {rule}; got"):
        net.replace(classes=names).check()


@pytest.mark.parametrize("kind", ["input", "dense", "flatten"])
@pytest.mark.parametrize("neuron", [M1T1RNeuron(StepParams(FIG2)), CubaNeuron(1024, 128, 80)], ids=["1M1T1R", "CUBA"])
def test_neurons_without_weights_are_neither_left_out_nor_given_some_by_a_file(kind, neuron, tmp_path):
    sums = Layer(1, "affine", (2,), 3, np.full((2, 3), 64, np.int32))
    net = NetDescription((Layer(0, kind, (3,), 3, neuron=neuron), sums))
    for refused in (net.check, lambda: schema.write(tmp_path / "a.net", net)):
        with pytest.raises(InputError, match="layer/0 weight must be given; got None"):
            refused()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "neuron, rule",
    [
        (StepParams(presets.ZHAO2025_FIG2), "neuron must be an M1T1RNeuron, a CubaNeuron or None"),
        (3, "neuron must be an M1T1RNeuron, a CubaNeuron or None"),
        (M1T1RNeuron(StepParams(presets.ZHAO2025_FIG2), 1.5), "neuron seed must be a whole number from 0 to 4294967295; got 1.5"),
        (M1T1RNeuron(StepParams(presets.ZHAO2025_FIG2), None), "neuron seed must be a whole number from 0 to 4294967295; got None"),
    ],
)
def test_neurons_that_are_none_are_neither_run_nor_left_out_of_files(neuron, rule, tmp_path):
    net = NetDescription((Layer(0, "dense", (2,), 3, weight=np.full((2, 3), 100, np.int32), neuron=neuron),))
    for refused in (net.check, lambda: schema.write(tmp_path / "a.net", net)):
        with pytest.raises(InputError, match=f"layer/0 {rule}"):
            refused()
    assert not list(tmp_path.iterdir())


def test_comes_back_as_it_was(net, path):
    back = schema.read(path)
    assert len(back.layers) == 5
    for before, after in zip(net.layers, back.layers, strict=True):
        assert same(before, after), before.kind
    assert (back.inputs, back.outputs, back.dt, back.version) == (6, 4, 2e-3, 1)
    assert not back.spiking and back.head(1).spiking
    assert all(back.head(layers) is back for layers in (None, 3, 4)) and back.head(2).sizes == "6-7R-5"
    named = back.replace(classes=tuple("abcd"), usual=Usual(np.ones(7), 90))  # usual is the first layer's, and the outputs are cut off
    assert named.head(1).usual is named.usual and named.head(1).classes == ()


def test_a_threshold_of_18_bits_is_that_of_a_voltage_readout():
    assert [CubaNeuron(0, 0, threshold).spikes for threshold in (0, (1 << 17) - 1, 1 << 17)] == [True, True, False]


def test_a_file_means_the_rates_that_integers_hold(net, path):
    """Whatever was written. In integers that is the same network, which is what exporters ask for."""
    back = schema.read(path)
    assert [layer.step.held for layer in back.layers if layer.step] == [True]
    assert back != net and read_back.same(back, net)
    schema.write(path, back)
    assert schema.read(path) == back


def test_cuba_neurons_have_the_keys_that_lava_dl_writes(path):
    with h5py.File(path) as file:
        found = {key: value[()] for key, value in file["layer/3/neuron"].items() if key not in ("iDecay", "vDecay")}
        assert file["layer/3/weight"].dtype == np.float32 and not file["layer/2/neuron/gradedSpike"][()]
    assert found == {"type": b"CUBA", "vThMant": 80, "refDelay": 1, "gradedSpike": False}


@pytest.mark.filterwarnings("error")
def test_values_may_be_arrays_of_one():
    """Which is how lava-dl writes some of its own."""
    plain = keys.to_keys(StepParams(FIG2, substeps=3), 7)
    wrapped = {key: np.array([value]) for key, value in plain.items()} | {"type": b"1M1T1R"}
    assert keys.from_keys(wrapped, "x") == keys.from_keys(plain, "x")
    for other in (b"\xff", np.array(["a", "b"])):
        with pytest.raises(FormatError, match="x/neuron/type must be"):
            keys.from_keys({**plain, "type": other}, "x")
    for key in ("dt", "vUnit", "substeps", "seed", "device/mu"):
        with pytest.raises(FormatError, match="x"):
            keys.from_keys({**plain, key: None}, "x")


def test_average_comes_back(rng, tmp_path):
    net = [
        Layer(0, "dense", (6,), 4, weights(rng, 6, 4), neuron=M1T1RNeuron(StepParams(FIG2))),
        Layer(1, "average", (3,), 6),
    ]
    schema.write(tmp_path / "a.net", net)
    assert schema.read(tmp_path / "a.net").outputs == 3
    alone = [Layer(0, "average", (2,), 8)]
    schema.write(tmp_path / "b.net", alone)
    assert schema.read(tmp_path / "b.net") == NetDescription(tuple(alone))
    with h5py.File(tmp_path / "b.net", "r+") as file:
        file["layer/0/inFeatures"][...] = 0
    with pytest.raises(FormatError, match="inFeatures must be positive; got 0"):
        schema.read(tmp_path / "b.net")


REQUIRED = [
    "layer/0/type",
    "layer/0/shape",
    "layer/2/weight",
    "layer/2/weight_rec",
    "layer/2/neuron",
    "layer/2/neuron/type",
    "layer/2/neuron/version",
    "layer/2/neuron/dt",
    "layer/2/neuron/seed",
    "layer/2/neuron/device/r_control",
    "layer/3/neuron/vThMant",
    "layer/3/neuron/iDecay",
    "layer/4/weight",
]


@pytest.mark.parametrize("key", REQUIRED)
def test_missing_key_is_named(path, key):
    damage.is_named(path, key, None, key)


def text(value):
    return np.bytes_(value)


DAMAGE = {
    "unknown layer": ("layer/3/type", text("convT"), "layer/3/type"),
    "unknown neuron": ("layer/3/neuron/type", text("SDNN"), "layer/3/neuron/type.*SDNN"),
    "numbers for a neuron": ("layer/3/neuron/type", np.zeros(3), "layer/3/neuron/type must be '1M1T1R', 'CUBA' or 'LOIHI'; got array"),
    "unknown key": ("layer/3/dilation", 1, "layer/3/dilation"),
    "unknown neuron key": ("layer/2/neuron/colour", 1, "layer/2/neuron/colour"),
    "unknown cuba key": ("layer/3/neuron/thDecay", 1, "layer/3/neuron/thDecay"),
    "unknown root key": ("extra", 1, "extra"),
    "newer format": ("version", 99, "version.*newer"),
    "a format before the first": ("version", 0, "version must be 1 to 1; got 0"),
    "newer neuron": ("layer/2/neuron/version", 99, "layer/2/neuron/version.*update lava-1m1t1r"),
    "older neuron": ("layer/2/neuron/version", 1, "layer/2/neuron/version must be 2; got 1.*export its network again"),
    "fractional version of a neuron": ("layer/2/neuron/version", 2.5, "layer/2/neuron/version must be 2; got 2.5"),
    "negative seed": ("layer/2/neuron/seed", -1, "layer/2/neuron/seed must be a whole number from 0"),
    "fractional seed": ("layer/2/neuron/seed", 0.5, "layer/2/neuron/seed must be a whole number from 0"),
    "fractional substeps": ("layer/2/neuron/substeps", 2.5, "layer/2/neuron: StepParams.substeps must be a whole number; got 2.5"),
    "too large a seed": ("layer/2/neuron/seed", 2**32, "layer/2/neuron/seed must be a whole number from 0 to 4294967295"),
    "NaN weight": ("layer/4/weight", np.full((4, 5), np.nan), "layer/4/weight.*finite"),
    "fractional weight": ("layer/4/weight", np.full((4, 5), 0.5), "layer/4/weight.*whole"),
    "large weight": ("layer/4/weight", np.full((4, 5), 256), "layer/4/weight.*8 signed bits"),
    "large odd weight": ("layer/4/weight", np.full((4, 5), 129), "layer/4/weight.*8 signed bits"),
    "text weight": ("layer/4/weight", text("heavy"), "layer/4/weight"),
    "flat weights that fill no rows": ("layer/4/weight", np.zeros(21), "layer/4/weight must hold a multiple of 4 values"),
    "wrong inputs": ("layer/4/weight", np.zeros((4, 6)), "layer/4/weight.*5 outputs"),
    "wrong outputs": ("layer/4/weight", np.zeros((3, 5)), "layer/4/weight"),
    "wrong recurrent shape": ("layer/2/weight_rec", np.zeros((7, 6)), "layer/2/weight_rec"),
    "wrong shape": ("layer/1/shape", [7], "layer/1/shape"),
    "empty shape": ("layer/3/shape", [0], "layer/3/shape"),
    "wrong inFeatures": ("layer/4/inFeatures", 3, "layer/4/inFeatures"),
    "wrong outFeatures": ("layer/4/outFeatures", 5, "layer/4/outFeatures must be 4, as the shapes say; got 5"),
    "long delay": ("layer/2/delay", np.full(7, 63), "layer/2/delay.*62"),
    "negative delay": ("layer/2/delayRec", np.full(7, -1), "layer/2/delayRec"),
    "too few delays": ("layer/2/delay", np.zeros(3), "layer/2/delay"),
    "a bias beyond 32 bits": ("layer/2/bias", np.full(7, -(2**63)), r"layer/2/bias\[0\] must be a whole number that 32 bits hold"),
    "large bias": ("layer/2/bias", np.full(7, 4096), "layer/2/bias"),
    "low bias": ("layer/2/bias", np.full(7, -4097), r"layer/2/bias\[0\] must lie in -4096..4095, 13 signed bits; got -4097"),
    "bias of a readout": ("layer/4/bias", np.zeros(4), "layer/4/bias"),
    "delay of a readout": ("layer/4/delay", np.zeros(4), "layer/4/delay"),
    "large decay": ("layer/3/neuron/iDecay", 4097, "layer/3/neuron/iDecay"),
    "negative decay": ("layer/3/neuron/vDecay", -1, "layer/3/neuron/vDecay must be 0 to 4096"),
    "too few decays": ("layer/3/neuron/vDecay", [1024, 2048], "layer/3/neuron/vDecay must hold 1 or 5 values"),
    "negative threshold": ("layer/3/neuron/vThMant", -1, "layer/3/neuron/vThMant must have at most 18 bits; got -1"),
    "large threshold": ("layer/3/neuron/vThMant", 1 << 18, "layer/3/neuron/vThMant"),
    "graded spikes": ("layer/3/neuron/gradedSpike", True, "layer/3/neuron/gradedSpike"),
    "refractory": ("layer/3/neuron/refDelay", 2, "layer/3/neuron/refDelay"),
    "negative resistance": ("layer/2/neuron/device/r_on", -1.0, "layer/2/neuron.*r_on"),
    "zero dt": ("layer/2/neuron/dt", 0.0, "layer/2/neuron.*dt"),
    "tiny dt": ("layer/2/neuron/dt", 1e-12, "layer/2/neuron.*per substep"),
    "wrong device array": ("layer/2/neuron/device/mu", [1.0, 2.0], "layer/2/neuron"),
    "too few devices": ("layer/2/neuron/device/r_control", [1e8, 2e8], r"layer/2/neuron: DeviceParams must hold .*a neuron \(7\); got 2"),
    "numbers for names": ("classes", np.arange(4), "classes must hold 4 texts"),
    "layer without number": ("layer/9/type", text("dense"), "layer/9"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named(path, kind):
    damage.is_named(path, *DAMAGE[kind])


@pytest.mark.parametrize(
    ("others", "one", "words"),
    [
        (0, np.nan, "be finite; got nan. Export the network again"),
        (0, np.inf, "be finite; got inf"),
        (0, 1.5, "be a whole number that 32 bits hold; got 1.5. Export"),
        (0, 2.0**40, "be a whole number that 32 bits hold; got 1099511627776.0"),
        (0, 256, "fit 8 signed bits: even numbers from -256 to 254, or any from -128 to 127; got 256. Quantise"),
        (166, 129, "fit 8 signed bits.*; got 129"),  # 166 alone is right
        (166, 5, "fit 8 signed bits.*; got 5"),
        (5, 166, "fit 8 signed bits.*; got 166"),
        (-3, -200, "fit 8 signed bits.*; got -200"),
    ],
)
def test_the_one_wrong_weight_is_shown_with_its_place(others, one, words, path):
    weight = np.full((4, 5), others, np.float64)
    weight[3, 2] = one
    with h5py.File(path, "r+") as file:
        del file["layer/4/weight"]
        file["layer/4/weight"] = weight
    with pytest.raises(FormatError, match=rf"layer/4/weight\[3, 2\] must {words}"):
        schema.read(path)


def test_a_wrong_delay_is_shown_with_its_place(path):
    with h5py.File(path, "r+") as file:
        file["layer/2/delay"][5] = 63
    with pytest.raises(FormatError, match=r"layer/2/delay\[5\] must be a whole number of steps from 0 to 62; got 63"):
        schema.read(path)


def test_graded_spikes_of_neurons_that_send_none_are_refused(path):
    with h5py.File(path, "r+") as file:
        file["layer/2/neuron/gradedSpike"][()] = True
    with pytest.raises(FormatError, match="layer/2/neuron/gradedSpike must be False: these neurons send single spikes; got True"):
        schema.read(path)
    with h5py.File(path, "r+") as file:
        del file["layer/2/neuron/gradedSpike"]
        file["layer/2/neuron/gradedSpike"] = "no"
    with pytest.raises(FormatError, match="layer/2/neuron/gradedSpike must be False: these neurons send single spikes; got 'no'"):
        schema.read(path)


@pytest.mark.parametrize(("kind", "names"), [("dense", ("bias", "delay")), ("input", ("weight", "bias"))])
def test_what_only_neurons_have_comes_with_neurons(kind, names, tmp_path):
    """Zeros, too, which would change nothing."""
    for key in names:
        with h5py.File(tmp_path / "a.net", "w") as file:
            layer = file.create_group("layer/0")
            layer["type"], layer["shape"], layer[key] = text(kind), [3], np.zeros(1 if key == "weight" else 3)
            if kind == "dense":
                layer["weight"] = np.zeros((3, 3))
        with pytest.raises(FormatError, match=f"layer/0/{key} must come with a neuron"):
            schema.read(tmp_path / "a.net")


def test_zeros_that_say_nothing_without_neurons_are_left_out(rng, tmp_path):
    """Layer.check lets them pass, and the format has no keys for them."""
    plain = Layer(0, "affine", (3,), 4, weights(rng, 3, 4))
    zeros = replace(plain, bias=np.zeros(3, np.int32), delay=np.zeros(3, np.int32), weight_rec=np.zeros((3, 3), np.int32))
    zeros.check("layer/0")
    schema.write(tmp_path / "a.net", [zeros])
    assert schema.read(tmp_path / "a.net").layers == (plain,)
    with pytest.raises(FormatError, match="layer/0/bias must be a key of a layer of type 'affine'"):
        schema.write(tmp_path / "b.net", [replace(plain, bias=np.ones(3, np.int32))])


def test_input_neurons_without_a_weight_take_a_unit_a_spike(tmp_path):
    schema.write(tmp_path / "a.net", [Layer(0, "input", (3,), 3, np.array([200]), neuron=M1T1RNeuron(StepParams(FIG2)))])
    with h5py.File(tmp_path / "a.net", "r+") as file:
        del file["layer/0/weight"]
    (layer,) = schema.read(tmp_path / "a.net").layers
    assert layer.weight.tolist() == [64]


def test_input_neurons_weigh_narrow_integers_without_wrapping():
    layer = Layer(0, "input", (2,), 2, np.array([64]), neuron=M1T1RNeuron(StepParams(FIG2)))
    assert layer.weigh(np.array([[5, 7]], np.uint8)).tolist() == [[320, 448]]


def test_layers_are_read_in_the_order_of_their_numbers(rng, tmp_path):
    """Not of the texts: 10 comes after 9."""
    net = NetDescription(tuple(Layer(i, "dense", (2,), 2, weights(rng, 2, 2), neuron=CubaNeuron(1024, 128, 80 + i)) for i in range(12)))
    schema.write(tmp_path / "a.net", net)
    assert [layer.neuron.threshold for layer in schema.read(tmp_path / "a.net").layers] == list(range(80, 92))


def test_weights_may_be_flat(path):
    """Row by row, as netx takes them."""
    wanted = schema.read(path)
    with h5py.File(path, "r+") as file:
        flat = file["layer/4/weight"][()].ravel()
        del file["layer/4/weight"]
        file["layer/4/weight"] = flat
    assert schema.read(path) == wanted


def test_two_steps_in_one_network(rng, tmp_path):
    layers = [
        Layer(i, "dense", (3,), 3, weights(rng, 3, 3), neuron=M1T1RNeuron(StepParams(FIG2, dt=dt))) for i, dt in enumerate((1e-3, 2e-3))
    ]
    with pytest.raises(FormatError, match="neuron/dt"):
        schema.write(tmp_path / "a.net", layers)


def test_readout_stands_last(rng, tmp_path):
    layers = [Layer(0, "affine", (3,), 3, weights(rng, 3, 3)), Layer(1, "affine", (3,), 3, weights(rng, 3, 3))]
    with pytest.raises(FormatError, match="layer/0.*last"):
        schema.write(tmp_path / "a.net", layers)


@pytest.mark.parametrize("cut", (0, 10, 2000))
def test_truncated_file(path, cut):
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(FormatError, match="HDF5 file, complete and undamaged"):
        schema.read(path)


def test_other_files(tmp_path):
    (tmp_path / "a.net").write_text("not HDF5")
    with pytest.raises(FormatError, match="HDF5 file, complete and undamaged"):
        schema.read(tmp_path / "a.net")
    with pytest.raises(FormatError, match="exist"):
        schema.read(tmp_path / "b.net")
    with h5py.File(tmp_path / "c.net", "w") as file:
        file["spikes"] = 1
    with pytest.raises(FormatError, match="spikes"):
        schema.read(tmp_path / "c.net")


def test_failed_write_leaves_nothing(net, tmp_path, path):
    before = path.read_bytes()
    bad = replace(net.layers[4], weight=np.full((4, 5), 1000, np.int32))
    with pytest.raises(FormatError, match=f"^{re.escape(str(path))}: layer/4/weight"):  # the name asked for, not the part's
        schema.write(path, net.layers[:4] + (bad,))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.net"]
    with pytest.raises(InputError, match="folder"):
        schema.write(tmp_path / "nowhere" / "a.net", net)


@pytest.mark.parametrize("name", ["weight", "weight_rec", "bias", "delay"])
def test_masked_numbers_are_not_written(name, net, tmp_path):
    masked = np.ma.masked_equal(getattr(net.layers[2], name), getattr(net.layers[2], name).max())
    layers = (*net.layers[:2], replace(net.layers[2], **{name: masked}), *net.layers[3:])
    with pytest.raises(InputError, match=f"layer/2/{name} must hold real numbers; got masked_array"):
        schema.write(tmp_path / "a.net", layers)
    assert not any(tmp_path.iterdir())


def test_keys_that_a_kind_does_not_allow_are_refused(path):
    """The table is what the reader goes by: each of its keys, in each layer that may not have it."""
    refused = 0
    for key in schema.KEYS:
        for index, layer in enumerate(schema.read(path).layers):
            if layer.kind in key.allowed or (layer.kind == "affine" and "dense" in key.allowed):
                continue
            before = path.read_bytes()
            with h5py.File(path, "a") as file:
                file[f"layer/{index}/{key.name}"] = 1
            with pytest.raises(FormatError, match=f"layer/{index}/{key.name} must be a key of a layer of type"):
                schema.read(path)
            path.write_bytes(before)
            refused += 1
    assert refused > 20


def test_networks_are_equal_by_value(net, path):
    read = schema.read(path)
    assert read == schema.read(path) == pickle.loads(pickle.dumps(read)) == copy.deepcopy(read)
    assert read == replace(read, source="elsewhere")
    for i, change in ((2, {"weight": -read.layers[2].weight}), (2, {"neuron": None}), (3, {"bias": np.zeros(5, np.int32)})):
        layers = list(read.layers)
        layers[i] = replace(layers[i], **change)
        assert (read == replace(read, layers=tuple(layers))) is False
    assert (read == replace(read, layers=read.layers[:2])) is False


def test_a_file_has_the_permissions_of_others_and_a_name_of_any_length(net, tmp_path):
    path, other = tmp_path / f"{'n' * 250}.net", tmp_path / "other"
    schema.write(path, net)
    other.touch()
    assert path.stat().st_mode == other.stat().st_mode and len(schema.read(path).layers) == len(net.layers)


def test_a_file_does_not_change_the_noise(net, tmp_path):
    """It starts from a layer's place."""
    noisy = next(layer for layer in net.layers if layer.noisy)
    other = [replace(layer, index=layer.index + 1) for layer in net.layers]
    with pytest.raises(InputError, match=rf"layer/{noisy.index}.index must be {noisy.index}, its place in the file"):
        schema.write(tmp_path / "x.net", other)
    assert list(tmp_path.iterdir()) == []


def test_names_of_the_outputs_come_back(net, tmp_path):
    named = replace(net, classes=("eins", "zwei", "drei", "vierundfünfzig"))
    schema.write(tmp_path / "a.net", named)
    assert schema.read(tmp_path / "a.net").classes == named.classes and net.classes == ()
    with h5py.File(tmp_path / "a.net", "r+") as file:
        del file["classes"]
        file["classes"] = np.array([b"only", b"two"])
    with pytest.raises(FormatError, match="classes must hold 4 texts"):
        schema.read(tmp_path / "a.net")
    for classes in (("one",), 5 * ("x",), (1, 2, 3, 4), ("a", "a", "b", "c")):
        with pytest.raises(InputError, match="classes must"):
            schema.write(tmp_path / "b.net", replace(net, classes=classes))
    assert not (tmp_path / "b.net").exists()


def test_files_know_how_often_neurons_spike_in_training(path):
    usual = Usual(np.linspace(0, 3, 7), 90)
    before = schema.read(path)
    schema.note_usual(path, Usual(np.ones(7), 80))
    schema.note_usual(path, usual)  # in place of those
    found = schema.read(path)
    assert found.usual == usual and found == before
    schema.write(path, found)
    assert schema.read(path).usual == usual and hash(usual) == hash(Usual(usual.spikes + 1, 90))
    schema.write(path, replace(found, usual=None))
    assert schema.read(path).usual is None and schema.read(path) == found  # what it computes is the same


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("spikes", np.ones(6), "usual/spikes must hold 7 numbers, one a neuron"),
        ("spikes", np.ones((7, 1)), "usual/spikes must hold 7 numbers"),
        ("spikes", -np.ones(7), "usual/spikes must be finite numbers >= 0; got -1.0"),
        ("spikes", np.full(7, np.nan), "usual/spikes must be finite"),
        ("spikes", b"often", "usual/spikes must hold 7 numbers"),
        ("spikes", h5py.Empty("f8"), "usual/spikes must hold at least one value"),
        ("steps", 0, "usual/steps must be a whole number >= 1; got 0"),
        ("steps", 1.5, "usual/steps must be a whole number"),
        ("steps", [90, 90], r"usual/steps must have shape \(1,\)"),
        ("other", 1, "usual must hold 'spikes' and 'steps', and nothing else; got .*other"),
    ],
)
def test_numbers_of_spikes_that_cannot_be_are_refused(key, value, words, path):
    schema.note_usual(path, Usual(np.ones(7), 90))
    with h5py.File(path, "r+") as file:
        file["usual"].pop(key, None)
        file["usual"][key] = value
    with pytest.raises(FormatError, match=words):
        schema.read(path)


def test_usual_numbers_are_checked_before_anything_is_written(net, path):
    before = path.read_bytes()
    masked = np.ma.masked_array(np.ones(7), np.arange(7) == 3)
    for usual in (Usual(masked, 90), Usual(np.ones(6), 90), Usual(np.ones(7), 0), Usual(np.ones(7), 90.5), Usual(np.full(7, np.inf), 90)):
        with pytest.raises(FormatError, match="usual/"):
            schema.note_usual(path, usual)
        with pytest.raises(FormatError, match="usual/"):
            schema.write(path, replace(net, usual=usual))
        with pytest.raises(InputError, match="network: usual/"):
            replace(net, usual=usual).check()
    with h5py.File(path, "r+") as file:
        file["usual"] = 3
    with pytest.raises(FormatError, match="usual must be a group"):
        schema.read(path)
    path.write_bytes(before)
    assert schema.read(path).usual is None


def test_keys_of_lava_dls_former_releases_are_read(tmp_path):
    """Numbers of training beside the neuron's, another name of the weights' exponent, kernels in five axes."""
    path = tmp_path / "old.net"
    neuron = {"type": b"LOIHI", "iDecay": 4096, "vDecay": 1024, "vThMant": 25, "refDelay": 1, "wgtExp": 0}
    neuron |= {"scaleRho": 10.0, "tauRho": 0.5, "theta": 1600}
    with h5py.File(path, "w") as file:
        sizes = {"kernelSize": (2, 2), "stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1, "inputShape": (1, 3, 3)}
        values = {"type": b"conv", "shape": (2, 2, 2), "weight": np.full((2, 1, 2, 2, 1), 6.0), **sizes}
        for key, value in {**values, **{f"neuron/{key}": value for key, value in neuron.items()}}.items():
            file[f"layer/0/{key}"] = value
    (layer,) = schema.read(path).layers
    assert layer.weight.shape == (2, 1, 2, 2) and layer.neuron == CubaNeuron(4096, 1024, 25)
    with h5py.File(path, "a") as file:
        file["layer/0/neuron/wgtExp"][()] = 1
    with pytest.raises(FormatError, match="layer/0/neuron/wgtExp must be 0: other values are not supported"):
        schema.read(path)


@pytest.mark.parametrize("layers", [(), (Layer(0, "flatten", (4, 1, 1), 4),)], ids=["none", "none that computes"])
def test_networks_that_nothing_can_run_can_be_shown(layers):
    assert repr(NetDescription(layers)).startswith("NetDescription(")


def test_a_network_for_which_there_is_no_room_is_not_half_written(tmp_path):
    """The HDF5 library's own error would be a bug to the command line."""
    code = f"""
import resource, signal
from lava_1m1t1r.netx import schema
from lava_1m1t1r.recipes import SHIPPED_NETWORK
net = schema.read(SHIPPED_NETWORK)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    schema.write({str(tmp_path / "net.net")!r}, net)
except OSError as error:
    print(error.errno)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=220)
    assert done.stdout.split() == [str(errno.EFBIG)], done.stderr
    assert not list(tmp_path.iterdir())
