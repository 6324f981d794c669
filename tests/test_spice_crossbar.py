"""Weights as conductances: exact where the cells are, spread by what the parameters say where they are not."""

from dataclasses import replace

import export_networks as nets
import numpy as np
import pytest

from lava_1m1t1r.description import Layer
from lava_1m1t1r.device.crossbar import CROSSBARS, IDEAL, Crossbar, Periphery, programmed_array
from lava_1m1t1r.errors import InputError


def layer(rng, **changes):
    return replace(nets.layer(rng, 0, 20, 12, "dense_rec", delays=3, bias=True), **changes)


def test_an_ideal_crossbar_holds_weights_and_bias_exactly(rng):
    own = layer(rng, bias=np.full(12, 700, np.int32))
    array = programmed_array(own, IDEAL, rng)
    assert array.rows == (20, 12, int(np.ceil(700 / array.largest)))
    counts = array.counts
    np.testing.assert_allclose(counts[:, :20], own.weight, atol=1e-9)
    np.testing.assert_allclose(counts[:, 20:32], own.weight_rec, atol=1e-9)
    np.testing.assert_allclose(counts[:, 32:].sum(axis=1), own.bias, atol=1e-9)
    for cells in (array.positive, array.negative):
        assert cells.min() >= IDEAL.g_min * (1 - 1e-12) and cells.max() <= IDEAL.g_max * (1 + 1e-12)
    assert np.all(np.minimum(array.positive, array.negative) == IDEAL.g_min)  # one cell of a pair is at rest


def test_the_amplifier_turns_a_unit_of_weight_into_v_unit(rng):
    own = layer(rng)
    array = programmed_array(own, CROSSBARS["falcone2025"], rng)
    ideal = replace(array, crossbar=array.crossbar)
    current = (array.positive - array.negative) @ np.full(sum(array.rows), array.crossbar.v_read)
    np.testing.assert_allclose(ideal.feedback(0.125) * current, array.counts.sum(axis=1) / 64 * 0.125, rtol=1e-9)


@pytest.mark.parametrize("levels", [2, 5, 32])
def test_levels_round_to_the_nearest(levels, rng):
    own = layer(rng)
    array = programmed_array(own, Crossbar(levels=levels), rng)
    spacing = array.largest / (levels - 1)
    off = np.abs(array.counts[:, :20] - own.weight)
    assert off.max() <= spacing / 2 + 1e-9 and len(np.unique(np.round(array.positive, 12))) <= levels


def test_programming_errors_have_their_standard_deviation(rng):
    own = replace(layer(rng), weight=np.full((12, 2000), 128, np.int32), inputs=2000)
    cells = Crossbar(programming_error=0.02)
    positive = programmed_array(own, cells, np.random.default_rng(1)).positive[:, :2000]
    again = programmed_array(own, cells, np.random.default_rng(1)).positive[:, :2000]
    np.testing.assert_array_equal(positive, again)
    assert positive.std() == pytest.approx(0.02 * (cells.g_max - cells.g_min), rel=0.03)


def test_conductances_never_become_negative(rng):
    array = programmed_array(layer(rng), Crossbar(programming_error=0.5), rng)
    assert array.positive.min() >= 0 and array.negative.min() >= 0


def test_other_kinds_of_layers(rng):
    cases = {
        Layer(0, "input", (3,), 3, np.array([70])): 70 * np.eye(3),
        Layer(0, "average", (2,), 4): [[1, 1, 0, 0], [0, 0, 1, 1]],
    }
    for own, expected in cases.items():
        np.testing.assert_allclose(programmed_array(own, IDEAL, rng).counts, expected, atol=1e-9)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"g_min": 0.0}, r"Crossbar.g_min must be a finite number and > 0; got 0\.0"),
        ({"g_max": 1e-7}, r"Crossbar.g_max \[S\] must exceed g_min"),
        ({"levels": 1}, "Crossbar.levels must be a whole number >= 2"),
        ({"levels": 2.5}, "Crossbar.levels must be a whole number >= 2"),
        ({"levels": -np.inf}, "Crossbar.levels must be a whole number >= 2"),
        ({"read_noise": -0.1}, r"Crossbar.read_noise must lie in \[0, 1\)"),
        ({"v_read": np.nan}, "Crossbar.v_read must be a finite number and > 0"),
    ],
)
def test_wrong_cells_are_refused(changes, words):
    with pytest.raises(InputError, match=words):
        Crossbar(**changes)


def test_wrong_periphery_is_refused():
    with pytest.raises(InputError, match=r"Periphery.amplifier_current must be a finite number and >= 0; got -1"):
        Periphery(amplifier_current=-1.0)
