"""Networks from their files back to blocks: the same answers, the same file, and training goes on."""

import copy
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lava.lib.dl.slayer")

from realisations import NETWORKS, draw  # noqa: E402

from lava_1m1t1r.description import CubaNeuron, Layer, M1T1RNeuron, NetDescription  # noqa: E402
from lava_1m1t1r.errors import InputError  # noqa: E402
from lava_1m1t1r.export.read_back import same  # noqa: E402
from lava_1m1t1r.fast import FastNetwork  # noqa: E402
from lava_1m1t1r.netx import schema  # noqa: E402
from lava_1m1t1r.presets import ZHAO2025_FIG2  # noqa: E402
from lava_1m1t1r.program import StepParams  # noqa: E402
from lava_1m1t1r.recipes import SHIPPED_NETWORK  # noqa: E402
from lava_1m1t1r.recipes.network import Network  # noqa: E402
from lava_1m1t1r.recipes.restore import restored  # noqa: E402
from lava_1m1t1r.slayer import block  # noqa: E402

pytestmark = pytest.mark.train


def answers(net, frames, images):
    x = torch.from_numpy(frames.astype(np.float32)).transpose(1, 2)
    x = x.reshape(x.shape[0], *images, x.shape[2]) if images else x
    return net.eval()(x).detach().flatten(1, -2).transpose(1, 2).numpy()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_restored_network_is_that_of_its_file(name, tmp_path):
    drawn = draw(name, np.random.default_rng(list(NETWORKS).index(name)))
    given, frames = drawn.net, drawn.frames[None]
    schema.write(tmp_path / "a.net", given)
    net = restored(tmp_path / "a.net")
    first = given.active[0].conv
    found, expected = answers(net, frames, first.inputs if first is not None else None), FastNetwork(given).run(frames).out
    assert np.count_nonzero(expected) > 0
    np.testing.assert_array_equal(found if given.spiking else np.rint(64 * found), expected)
    net.export(tmp_path / "b.net")
    assert same(schema.read(tmp_path / "b.net"), schema.read(tmp_path / "a.net"))


@pytest.mark.parametrize("kind", [torch.float64, torch.float16, torch.bfloat16])
def test_a_restored_network_is_that_of_its_file_whatever_numbers_torch_makes(kind, tmp_path):
    usual, given = torch.get_default_dtype(), schema.read(SHIPPED_NETWORK)
    torch.set_default_dtype(kind)
    try:
        restored(given).export(tmp_path / "b.net", given.classes)
    finally:
        torch.set_default_dtype(usual)
    assert same(schema.read(tmp_path / "b.net"), given)


def test_layers_of_another_network_keep_their_noise_and_say_that_a_file_will_not(tmp_path):
    drawn = draw("stochastic", np.random.default_rng(3))
    rest = replace(drawn.net, layers=drawn.net.layers[1:])
    frames = (np.random.default_rng(0).random((2, 60, rest.inputs)) < 0.4).astype(int)
    net, expected = restored(rest), FastNetwork(rest).run(frames).out
    np.testing.assert_array_equal(answers(net, frames, None), expected)
    assert rest.spiking and expected.any()
    with pytest.warns(UserWarning, match="layer/0: the file draws its noise otherwise than training did"):
        net.export(tmp_path / "a.net")


def test_images_whose_devices_learn_are_written_before_their_first_call(tmp_path):
    made = Network([block.m1t1r.Conv({"params": ZHAO2025_FIG2}, 1, 3, 3), block.m1t1r.Flatten(), block.m1t1r.Affine(None, 48, 3)])
    made(torch.ones(1, 1, 6, 6, 5))
    made.export(tmp_path / "a.net")
    restored(tmp_path / "a.net", learn=("mu",)).export(tmp_path / "b.net")
    assert same(schema.read(tmp_path / "b.net"), schema.read(tmp_path / "a.net"))


def test_the_shipped_network_learns_on_with_its_synapses_as_they_are(tmp_path):
    before = schema.read(SHIPPED_NETWORK)
    net = restored(before, sparse=True)
    torch.manual_seed(0)
    x, y = (torch.rand(8, before.inputs, 40) < 0.05).float(), torch.arange(8) % 20
    optimiser, losses = torch.optim.Adam(net.parameters(), 0.01), []
    for _ in range(8):
        loss = torch.nn.functional.cross_entropy(net(x).sum(-1), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss))
    assert losses[-1] < 0.7 * losses[0]
    net.export(tmp_path / "a.net", before.classes)
    after = schema.read(tmp_path / "a.net")
    old, new = (n.active[0].weight for n in (before, after))
    assert np.mean(old == 0) > 0.7 and not new[old == 0].any() and np.any(new != old)
    assert after.classes == before.classes


@pytest.mark.parametrize("weight", [63, 64])
def test_a_restored_input_layer_has_the_weight_of_its_file(weight, rng, tmp_path):
    """Odd weights, too, which lava-dl's own quantisation would make even; and it is a layer among others, in the block as in the file."""
    neuron = M1T1RNeuron(StepParams(ZHAO2025_FIG2, v_unit=0.25), 3)
    given = NetDescription(
        (
            Layer(0, "input", (6,), 6, np.array([weight], np.int32), neuron=neuron),
            Layer(1, "dense", (5,), 6, 2 * rng.integers(-60, 128, (5, 6)).astype(np.int32), neuron=neuron),
            Layer(2, "affine", (3,), 5, 2 * rng.integers(-60, 60, (3, 5)).astype(np.int32)),
        )
    )
    frames = rng.integers(0, 9, (2, 150, 6))
    net = restored(given)
    expected = FastNetwork(given).run(frames, record="spikes")
    assert np.count_nonzero(expected.out) > 0
    np.testing.assert_array_equal(np.rint(64 * answers(net, frames, None)), expected.out)
    outputs = net.layers(torch.from_numpy(frames).float().transpose(1, 2))
    for output, layer in zip(outputs[:-1], expected.layers[:-1], strict=True):
        np.testing.assert_array_equal(output.detach().transpose(1, 2).numpy(), layer.out)
    net.export(tmp_path / "a.net")
    assert schema.read(tmp_path / "a.net").active[0].weight == weight


@pytest.mark.parametrize(("kind", "weight"), [("input", 255), ("affine", 129), ("affine", 300)])
def test_weights_beyond_those_of_blocks_are_refused(kind, weight):
    layers = {
        "input": Layer(0, "input", (6,), 6, np.array([weight], np.int32), neuron=M1T1RNeuron(StepParams(ZHAO2025_FIG2), 3)),
        "affine": Layer(0, "affine", (2,), 3, np.full((2, 3), weight, np.int32)),
    }
    with pytest.raises(InputError, match=rf"layer/0 \({kind}\) weight must be even numbers from -256 to 254, or any from -128 to 127"):
        restored(NetDescription((layers[kind],)))


def test_blocks_compute_where_their_layers_do(tmp_path):
    step = {"params": ZHAO2025_FIG2, "dt": 1e-3}
    blocks = [block.m1t1r.Input(), block.m1t1r.DelayLines(4, (0, 2)), block.m1t1r.Recurrent(step, 8, 6), block.m1t1r.Average(3)]
    net = Network(blocks)
    assert net.hidden is blocks[2] and len(net.layers(torch.zeros(1, 4, 5))) == 2
    net.export(tmp_path / "a.net")
    assert [layer.kind for layer in schema.read(tmp_path / "a.net").active] == ["dense_rec", "average"]


STEP = {"params": ZHAO2025_FIG2, "dt": 1e-3}


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        (lambda b: [b.Recurrent(STEP, 6, 8), b.Affine(None, 9, 4)], "layer/1/weight must fit the layer before it"),
        (lambda b: [b.Recurrent(STEP, 6, 8), torch.nn.Dropout(), b.Affine(None, 8, 4)], "layer/1 must be a block that writes itself"),
        (
            lambda b: [b.Recurrent({**STEP, "params": ZHAO2025_FIG2.with_variation(0.1).spread(5, 0)}, 6, 8), b.Affine(None, 8, 4)],
            r"must hold numbers, or arrays of one value a neuron \(8\)",
        ),
    ],
    ids=("sizes", "module", "devices"),
)
def test_blocks_that_do_not_fit_leave_no_file(blocks, words, tmp_path):
    with pytest.raises(InputError, match=words):
        Network(blocks(block.m1t1r)).export(tmp_path / "a.net")
    assert not list(tmp_path.iterdir())


def test_a_network_is_made_of_a_list_of_blocks_with_one_step():
    made = block.m1t1r.Dense(STEP, 3, 4)
    for wrong in (made, [], [made, "Affine"]):
        with pytest.raises(InputError, match="Network.blocks must be a list of blocks"):
            Network(wrong)
    with pytest.raises(InputError, match=r"dt \[s\] must be equal in all layers; got {'layer/0': 0.001, 'layer/1': 0.002}"):
        Network([made, block.m1t1r.Dense({**STEP, "dt": 2e-3}, 4, 4)])
    for i, counts in enumerate(([True, False], [False, True])):
        blocks = [block.m1t1r.Dense(STEP, 3, 4, count_log=counts[0]), block.m1t1r.Affine(None, 4, 2, count_log=counts[1])]
        with pytest.raises(InputError, match=f"Network.blocks: layer/{i} must have count_log=False; got True. Count the spikes"):
            Network(blocks)


def test_devices_and_options_of_training_come_with_it(rng):
    given = draw("everything", rng).net
    net = restored(given, learn=("mu",), variation=0.1)
    hidden = net.hidden
    assert hidden.neuron.variation == 0.1 and hidden.neuron.learned is not None
    assert hidden.neuron.seed == given.active[0].neuron.seed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"neuron": CubaNeuron(9, 9, 80)}, r"layer/0 \(dense\) must hold 1M1T1R neurons; got 'CubaNeuron'"),
        ({"weight": np.zeros((3, 3), np.int32)}, r"layer/0 weight must have shape"),
    ],
)
def test_what_no_block_trains_is_refused(change, words):
    layer = Layer(0, "dense", (3,), 4, np.full((3, 4), 20, np.int32), neuron=CubaNeuron(9, 9, 80))
    with pytest.raises(InputError, match=words):
        restored(NetDescription((replace(layer, **change),)))


@pytest.mark.parametrize(
    ("kind", "has", "words"),
    [
        ("input", ("neuron", "delay"), "delay must be left out"),
        ("input", ("neuron", "weight_rec"), "weight_rec must be left out"),
        ("dense", ("neuron", "weight_rec"), "weight_rec must be left out"),
        ("dense_rec", ("neuron",), "weight_rec must be given"),
        ("affine", ("neuron",), "neuron must be left out"),
        ("average", ("neuron",), "neuron must be left out"),
    ],
)
def test_layers_made_in_memory_that_no_file_holds_are_refused(kind, has, words, rng):
    """They compute, but their blocks would lack delays, recurrence or neurons, or have recurrent weights that nobody gave."""
    matrix = 2 * rng.integers(-60, 127, (6, 6)).astype(np.int32)
    weights = {"input": np.array([64], np.int32), "average": None}
    fields = {"neuron": M1T1RNeuron(StepParams(ZHAO2025_FIG2, v_unit=0.25), 3), "delay": np.full(6, 5, np.int32), "weight_rec": matrix}
    layer = Layer(0, kind, (6,), 6, weights.get(kind, matrix), **{name: fields[name] for name in has})
    given = NetDescription((layer, Layer(1, "affine", (6,), 6, matrix)))
    given.check()
    with pytest.raises(InputError, match=rf"layer/0 \({kind}\) {words}, as in files"):
        restored(given)


def test_a_kind_that_no_block_was_written_for_is_refused_by_name(monkeypatch):
    monkeypatch.setattr("lava_1m1t1r.layers.KINDS", ("ring",))  # as somebody adds one
    ring = Layer(0, "ring", (3,), 3, np.full((3, 3), 20, np.int32), neuron=M1T1RNeuron(StepParams(ZHAO2025_FIG2)))
    with pytest.raises(InputError, match=r"layer/0 \(ring\) must be of a kind that restored\(\) makes a block of; got 'ring'"):
        restored(NetDescription((ring,)))


def test_lines_in_no_order_are_refused():
    lines = Layer(0, "delay_lines", (4,), 2, delay=np.array([0, 3, 1, 0], np.int32))
    net = NetDescription((lines, Layer(1, "affine", (2,), 4, np.full((2, 4), 20, np.int32))))
    with pytest.raises(InputError, match=r"layer/0 \(delay_lines\) delay must be alike for all channels"):
        restored(net)


def test_inputs_without_neurons_come_back(tmp_path):
    net = Network([block.m1t1r.Input(), block.m1t1r.Dense({}, 20, 3)])
    net(torch.zeros(1, 20, 5))
    net.export(tmp_path / "net.net")
    again = restored(tmp_path / "net.net")
    again.export(tmp_path / "again.net")
    assert same(schema.read(tmp_path / "again.net"), schema.read(tmp_path / "net.net"))


def test_sparse_networks_can_be_copied(tmp_path):
    net = Network([block.m1t1r.Dense({}, 20, 3), block.m1t1r.Affine(None, 3, 2)])
    net.export(tmp_path / "net.net")
    assert copy.deepcopy(restored(tmp_path / "net.net", sparse=True)).blocks[0].synapse.weight.shape == net.blocks[0].synapse.weight.shape


@pytest.mark.parametrize("odd", ["weight", "weight_rec"])
def test_of_a_recurrent_layer_one_matrix_may_be_odd_and_the_other_large(odd, rng, tmp_path):
    weights = {"weight": 2 * rng.integers(-127, 127, (7, 6)), "weight_rec": 2 * rng.integers(-127, 127, (7, 7))}
    weights[odd] = rng.integers(-127, 127, weights[odd].shape)
    weights = {name: value.astype(np.int32) for name, value in weights.items()}
    neuron = M1T1RNeuron(StepParams(ZHAO2025_FIG2), 3)
    given = NetDescription((Layer(0, "dense_rec", (7,), 6, neuron=neuron, **weights),))
    restored(given).export(tmp_path / "a.net")
    assert same(schema.read(tmp_path / "a.net"), given)


@pytest.mark.parametrize("change", ["weight", "weight_rec", "bias", "delay", "delay_rec", "device"])
def test_networks_that_differ_in_anything_learned_have_other_origins(change):
    net = schema.read(SHIPPED_NETWORK)
    (place,) = (i for i, layer in enumerate(net.layers) if layer.weight_rec is not None)
    layer = net.layers[place]
    if change == "device":
        step = layer.neuron.step
        other = replace(layer, neuron=replace(layer.neuron, step=step.replace(device=replace(step.device, mu=1.01 * step.device.mu))))
    elif change == "delay":
        other = replace(layer, delay=np.ones(layer.size, np.int32))
    else:
        other = replace(layer, **{change: np.roll(getattr(layer, change), 1)})
    changed = replace(net, layers=(*net.layers[:place], other, *net.layers[place + 1 :]))
    assert restored(changed).origin != restored(net).origin


@pytest.mark.parametrize(
    "make", [lambda p: block.m1t1r.Conv(p, 1, 2, 2), lambda p: block.m1t1r.Pool(p, 2), lambda p: block.m1t1r.Input(p, 1.0, 1.0)]
)
def test_learned_devices_of_images_learn_on(make, tmp_path):
    net = Network([make({"learn": ("mu",)})])
    x = torch.ones(1, 3, 20) if isinstance(net.hidden, block.m1t1r.Input) else torch.ones(1, 1, 4, 4, 20)
    net(x)
    with torch.no_grad():
        net.hidden.neuron.learned.log_mu += 0.2
    net.export(tmp_path / "learned.net")
    again = restored(tmp_path / "learned.net", learn=("mu",))
    assert torch.equal(again.eval()(x), net.eval()(x))
    assert again.hidden.neuron.params.device.size == net.hidden.neuron.params.device.size
    again(x).sum().backward()
    assert again.hidden.neuron.learned.log_mu.grad is not None
