"""Mutual proof: every realisation, on the same drawn networks and stimuli, all states at all steps, equal to the bit."""

from dataclasses import replace
from functools import reduce
from operator import add

import numpy as np
import pytest
from realisations import ENOUGH, NETWORKS, REALISATIONS, by_arbiter, draw

from lava_1m1t1r.agreement import agreement
from lava_1m1t1r.delay_lines import outgoing
from lava_1m1t1r.description import NetDescription
from lava_1m1t1r.netx import schema
from lava_1m1t1r.quantisation import quantise_network
from lava_1m1t1r.reference_network import run


@pytest.fixture(scope="module")
def arbiters(request):
    """What the arbiter says about each network, computed once. ``--networks`` draws others."""
    known, seed = {}, request.config.getoption("--networks")

    def ask(name):
        if name not in known:
            place = list(NETWORKS).index(name)
            drawn = draw(name, np.random.default_rng([place, seed] if seed else place))
            known[name] = drawn, by_arbiter(drawn)
        return known[name]

    return ask


def assert_equal(mine, drawn, wanted, who):
    """All states at all steps, spikes, outputs: whatever ``mine`` shows. It must show something of every layer."""
    assert len(mine) == len(wanted)
    for i, (a, traces) in enumerate(zip(mine, wanted, strict=True)):
        full = traces._asdict() | {
            "out": outgoing(traces.spike, drawn.net.layers[i].delay),
            "last": np.stack([traces.filament[-1], traces.residue[-1], traces.gate[-1]]),
        }
        shown = {name: np.asarray(value) for name, value in a._asdict().items() if value is not None}
        assert shown.keys() & {"spike", "out", "gate", "last"}
        for name, x in shown.items():
            y = full[name]
            assert x.shape == y.shape, f"{who}, layer {i}, {name}: shape {x.shape}, the arbiter's {y.shape}"
            different = np.argwhere(x != y)
            assert len(different) == 0, f"{who}, layer {i}, {name}: {len(different)} differences, first at {different[0]}"


def skip_unless_possible(realisation, kind, drawn):
    for module in realisation.modules:
        pytest.importorskip(module)
    lacking = realisation.without & drawn.features
    if lacking:
        pytest.skip(f"does not do: {', '.join(sorted(lacking))}")


def marks_of(realisation):
    return [*(getattr(pytest.mark, name) for name in realisation.marks), *map(pytest.mark.needs, realisation.tools)]


PAIRS = [
    pytest.param(name, kind, marks=marks_of(r), id=f"{name}-{kind}") for name, r in REALISATIONS.items() for kind in r.only or NETWORKS
]


@pytest.mark.parametrize("kind", NETWORKS)
def test_drawn_networks_are_worth_comparing(kind, arbiters):
    _drawn, wanted = arbiters(kind)
    for i, traces in enumerate(wanted):
        assert traces.spike.sum() >= ENOUGH, f"layer {i} is all but silent and proves nothing"


def test_every_kind_of_layer_with_neurons_is_drawn():
    # Input layers have theirs in test_netx_network and test_slayer_files.
    (neuron,) = (key for key in schema.KEYS if key.name == "neuron")
    drawn = {layer.kind for i, name in enumerate(NETWORKS) for layer in draw(name, np.random.default_rng(i)).net.layers}
    missing = set(neuron.allowed) - {"input"} - drawn
    assert not missing, f"{missing}: draw in tests/realisations.py makes no such layer, so nothing is proven of it"


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_realisation_equals_the_arbiter(name, kind, arbiters):
    realisation = REALISATIONS[name]
    drawn, wanted = arbiters(kind)
    skip_unless_possible(realisation, kind, drawn)
    assert_equal(realisation.run(drawn), drawn, wanted, name)


@pytest.mark.parametrize("kind", ["recurrent", "recurrent delays", "heterogeneous"])
def test_floating_point_agrees_within_one_step_when_fed_the_fixed_runs_input(kind):
    # The bound of FIXED_POINT.md: 99 % of spikes. Free running is chaotic and is reported only.
    drawn = draw(kind, np.random.default_rng(7), size=48, steps=400)
    reports = quantise_network(drawn.net, drawn.frames[None])
    forced = sum((r.agreement["teacher-forced"] for r in reports[1:]), reports[0].agreement["teacher-forced"])
    print("\n".join(str(r.agreement["free-running"]) for r in reports))
    assert forced.same > 1000
    assert forced.share >= 0.99


def test_spikes_are_paired_once_in_the_same_step_before_one_step_off():
    runs = (np.array(steps, bool)[:, None] for steps in ([1, 0, 1, 0, 0, 1], [1, 1, 0, 0, 0, 0]))
    found = agreement(*runs)
    assert (found.same, found.within_one, found.unmatched) == (1, 1, (1, 0)) and found.share == pytest.approx(2 / 3)
    assert str(found) == "66.67% of spikes within one step (1 same step, 1 one off, 1 and 0 unmatched)"
    silent = np.zeros((4, 2), bool)
    assert agreement(silent, silent).share == 1.0 and agreement(silent, ~silent).share == 0.0


def test_a_layer_is_the_same_alone_and_in_a_larger_one(rng):
    # Neurons do not see their neighbours: not in the vectorised loops either, whatever their number.
    drawn = draw("stochastic", rng, size=19)
    layer = replace(drawn.net.layers[0], weight_rec=None)
    some = replace(layer, shape=(5,), weight=layer.weight[:5])
    whole, part = (run(NetDescription((x,)), drawn.frames)[0].traces for x in (layer, some))
    assert np.array_equal(whole.gate[:, :5], part.gate) and part.spike.any()


def test_agreement_pairs_each_spike_once():
    a = np.zeros((8, 1), bool)
    b = a.copy()
    a[[1, 2, 5], 0] = True
    b[[2, 3, 7], 0] = True
    found = agreement(a, b)
    assert (found.same, found.within_one, found.unmatched) == (1, 0, (2, 2))
    b[[2, 3, 7], 0], b[[0, 3, 7], 0] = False, True
    found = agreement(a, b)
    assert (found.same, found.within_one, found.unmatched) == (0, 2, (1, 1))
    assert found.share == pytest.approx(2 / 3)


def test_agreement_of_many_samples_is_that_of_each_added_up(rng):
    a, b = rng.random((2, 4, 20, 3)) < 0.3
    each = [agreement(one, other) for one, other in zip(a, b, strict=True)]
    assert agreement(a, b) == reduce(add, each) and min(found.within_one for found in each) > 0
