"""Sizes and sums of convolutions and poolings: against scipy's correlation, against each other, and what can never work."""

from types import SimpleNamespace

import numpy as np
import pytest
from realisations import draw, drawn_sizes

from lava_1m1t1r.compiled import plain
from lava_1m1t1r.convolution import Convolution, pair, pooling
from lava_1m1t1r.datasets.binning import BinnedEvents
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.fast import FastNetwork, kernels, synapses
from lava_1m1t1r.recipes import page
from lava_1m1t1r.recipes.data import Frames
from lava_1m1t1r.reference_network import run, synaptic_input


def correlated(conv, image, weight):
    """One image (C, H, W) by scipy: correlate every pair of planes, then take every stride-th."""
    from scipy.signal import correlate2d

    (top, left), (below, right) = conv.padding, conv.margin
    image = np.pad(image, ((0, 0), (top, top + below), (left, left + right)))
    own, of_group = conv.inputs[0] // conv.groups, conv.features // conv.groups
    out = np.zeros(conv.shape, np.int64)
    for o in range(conv.features):
        for c in range(own):
            wide = np.zeros([d * (k - 1) + 1 for d, k in zip(conv.dilation, conv.kernel, strict=True)], np.int64)
            wide[:: conv.dilation[0], :: conv.dilation[1]] = conv.full(weight)[o, c]
            out[o] += correlate2d(image[o // of_group * own + c], wide, "valid")[:: conv.stride[0], :: conv.stride[1]]
    return out


@pytest.mark.parametrize("kind", ("convolution", "pooling"))
def test_sums_equal_scipys_the_matrix_and_the_events(kind, rng):
    for _ in range(40):
        inputs = tuple(rng.integers((1, 4, 4), (5, 9, 9)).tolist())
        conv = drawn_sizes(kind, inputs, rng, largest=200)
        weight = rng.integers(-128, 128, (1, 1, *conv.kernel) if kind == "pooling" else conv.weight_shape)
        y = rng.integers(0, 4, (3, conv.sources))
        sums = conv.weigh(y, weight)
        assert np.array_equal(sums, [correlated(conv, image.reshape(inputs), weight).reshape(-1) for image in y])
        assert np.array_equal(sums, y @ conv.matrix(weight).T)
        events = [np.zeros(4, np.int64), *(np.zeros(y.size, np.int32) for _ in range(2))]
        out = np.zeros(sums.shape, np.int32)
        kernels.fill_events(y.astype(np.uint8), *events)
        synapse = synapses.convolution(conv, weight)
        kernels.weigh(*events, plain(synapse), synapses.image_of(synapse), out)
        assert np.array_equal(out, sums)


def test_few_and_many_events_take_the_same_sums(rng):
    """Few are added where they belong, many with the features side by side; the scratch is clean after each step."""
    conv = Convolution((4, 12, 12), 16, (3, 3), padding=(1, 1), groups=2)
    weight = rng.integers(-128, 128, conv.weight_shape)
    synapse = synapses.convolution(conv, weight)
    image = synapses.image_of(synapse)
    numbers = (1, 60, 0, 2, 200)
    assert [n * 9 * 8 * synapses._TURNED <= image.size for n in numbers] == [True, False, True, True, False]
    y = np.zeros((len(numbers), conv.sources), np.int64)
    for row, n in zip(y, numbers, strict=True):
        row[rng.choice(conv.sources, n, replace=False)] = rng.integers(1, 9, n)
    events, out = [np.zeros(len(y) + 1, np.int64), *(np.zeros(y.size, np.int32) for _ in range(2))], np.zeros((len(y), conv.size), np.int32)
    kernels.fill_events(y.astype(np.uint8), *events)
    kernels.weigh(*events, plain(synapse), image, out)
    assert np.array_equal(out, conv.weigh(y, weight)) and not image.any()


def test_large_matrices_are_made_in_parts(rng):
    conv = Convolution((3, 17, 19), 2, (3, 3), (2, 2))
    weight, y = rng.integers(-9, 9, conv.weight_shape), rng.integers(0, 2, (2, conv.sources))
    assert np.array_equal(y @ conv.matrix(weight).T, conv.weigh(y, weight))


def test_a_pooling_fills_odd_sizes_up_and_keeps_channels_apart():
    conv = pooling((2, 5, 7), (2, 3))
    assert conv.shape == (2, 3, 3) and conv.margin == (1, 2)
    y = np.zeros((1, 70), np.int64)
    y[0, 34] = 1  # the last pixel of the first channel
    assert np.flatnonzero(conv.weigh(y, np.ones((1, 1, 2, 3), int))).tolist() == [8]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"inputs": (2, 5)}, "inputs must be a tuple of 3 whole"),
        ({"kernel": (0, 2)}, "kernel must be a tuple of 2 whole numbers >= 1"),
        ({"stride": (1, 0)}, "stride"),
        ({"padding": (-1, 0)}, "padding"),
        ({"dilation": (1.5, 1)}, "dilation"),
        ({"features": 0}, "features"),
        ({"groups": 3}, "groups must divide the 2 input channels"),
        ({"features": 3, "groups": 2}, "groups must divide the 3 output features"),
        ({"kernel": (6, 1)}, r"reach no further than the padded input, \(5, 7\); got \(6, 1\)"),
        ({"kernel": (3, 3), "dilation": (1, 4)}, r"got \(3, 9\)"),
    ],
)
def test_sizes_that_can_never_work_are_refused(changes, text):
    with pytest.raises(InputError, match=text):
        Convolution(**{"inputs": (2, 5, 7), "features": 2, "kernel": (3, 3), **changes})


def test_pairs():
    assert pair(3, "k") == (3, 3) and pair((2, 3), "k") == (2, 3) and pair(np.array([4]), "k") == (4, 4)
    for bad in (1.5, (1, 2, 3), "3"):
        with pytest.raises(InputError, match="kernel_size must be a whole number, or two"):
            pair(bad, "kernel_size")


@pytest.mark.parametrize("kind", ["convolution", "images, everything"])
def test_recorded_input_is_that_of_the_network(kind, rng):
    """Of every layer of neurons, from all samples and steps at once: the sums that the loops add up step by step."""
    drawn = draw(kind, rng)
    frames = np.stack([drawn.frames, drawn.frames[::-1]]).astype(np.uint8)
    result, received = FastNetwork(drawn.net).run(frames, record="all"), frames
    ran = [run(drawn.net, sample) for sample in frames]
    for i, (layer, record) in enumerate(zip(drawn.net.layers, result.layers, strict=True)):
        found = synaptic_input(layer, received, record.spikes)
        assert found.dtype == np.int64 and np.array_equal(found, [layers[i].a_in for layers in ran])
        received = record.out


def test_the_page_works_out_a_convolution(rng, monkeypatch):
    drawn = draw("convolution", rng)
    frames, net = drawn.frames[None], drawn.net
    fixed = FastNetwork(net).run(frames, record="all")
    monkeypatch.setattr(page, "advise", lambda *given, **more: (*given, more))
    monkeypatch.setattr(page, "energy_of", lambda *given: {})
    test = Frames(BinnedEvents.of(frames), np.zeros(1, int), 0.0)
    found = SimpleNamespace(task=None, test=test, net=net, fixed=fixed, result=SimpleNamespace(spikes=10.0))
    worked = page.worked_out(found)
    _step, weights, a_in, more = worked.advice
    assert more == {"bias": net.layers[0].bias, "weights_rec": None}
    assert np.array_equal(weights, np.maximum(net.layers[0].matrix(), 0).sum(1, keepdims=True))
    assert np.array_equal(a_in[0], run(net, drawn.frames)[0].a_in)
    assert [x.activity.spikes for x in worked.quantised] == [record.spikes.sum() for record in fixed.layers]


@pytest.mark.parametrize(("neurons", "utterances", "expected"), [(128, 400, 8), (128, 3, 3), (20_000, 400, 2), (65_536, 400, 1)])
def test_the_page_records_fewer_utterances_of_large_networks(neurons, utterances, expected):
    test = Frames(BinnedEvents.of(np.zeros((utterances, 90, 1), np.uint8)), np.zeros(utterances, int), 0.0)
    net = SimpleNamespace(active=[SimpleNamespace(size=neurons), SimpleNamespace(size=20)])
    assert page._recorded(SimpleNamespace(test=test, net=net)) == expected


@pytest.mark.parametrize(
    ("inputs", "kernel", "words"),
    [
        ((1, 4, 4), (2,), r"kernel must be a tuple of 2 whole numbers >= 1; got \(2,\)"),
        ((1, 4, 4), 2, "kernel must be a tuple of 2 whole numbers >= 1; got 2"),
        ((1, 4, 4), (2, 0), "kernel must be a tuple of 2 whole numbers >= 1"),
        ((4, 4), (2, 2), "inputs must be a tuple of 3 whole numbers >= 1"),
        (4, (2, 2), "inputs must be a tuple of 3 whole numbers >= 1"),
    ],
)
def test_wrong_sizes_of_poolings_are_refused(inputs, kernel, words):
    with pytest.raises(InputError, match=words):
        pooling(inputs, kernel)
