"""Weights as conductances: exact where the cells are, spread by what the parameters say where they are not."""

from dataclasses import replace

import export_networks as nets
import numpy as np
import pytest

from lava_1m1t1r.description import Layer
from lava_1m1t1r.device.crossbar import CELLS, IDEAL, Cells, Periphery, programmed_crossbar, rows_of
from lava_1m1t1r.errors import InputError


def layer(rng, **changes):
    return replace(nets.layer(rng, 0, 20, 12, "dense_rec", delays=3, bias=True), **changes)


def test_an_ideal_crossbar_holds_weights_and_bias_exactly(rng):
    own = layer(rng, bias=np.full(12, 700, np.int32))
    crossbar = programmed_crossbar(own, IDEAL, rng)
    assert crossbar.rows == (20, 12, int(np.ceil(700 / crossbar.largest)))
    counts = crossbar.counts
    np.testing.assert_allclose(counts[:, :20], own.weight, atol=1e-9)
    np.testing.assert_allclose(counts[:, 20:32], own.weight_rec, atol=1e-9)
    np.testing.assert_allclose(counts[:, 32:].sum(axis=1), own.bias, atol=1e-9)
    for cells in (crossbar.positive, crossbar.negative):
        assert cells.min() >= IDEAL.g_min * (1 - 1e-12) and cells.max() <= IDEAL.g_max * (1 + 1e-12)
    assert np.all(np.minimum(crossbar.positive, crossbar.negative) == IDEAL.g_min)  # one cell of a pair is at rest


@pytest.mark.parametrize(("bias", "rows"), [(0, 0), (1, 1), (100, 1), (101, 2), (-200, 2), (201, 3)])
def test_a_bias_takes_as_many_rows_as_it_needs_and_no_more(bias, rows, rng):
    own = replace(nets.layer(rng, 0, 2, 3), weight=np.full((3, 2), 100, np.int32), bias=np.array([0, bias, 0]))
    assert rows_of(own).bias == rows
    assert rows_of(replace(own, weight=np.zeros((3, 2), np.int32))).bias == abs(bias)  # weights are then taken for ones


def test_the_amplifier_turns_a_unit_of_weight_into_v_unit(rng):
    own = layer(rng)
    crossbar = programmed_crossbar(own, CELLS["falcone2025"], rng)
    ideal = replace(crossbar, cells=crossbar.cells)
    current = (crossbar.positive - crossbar.negative) @ np.full(sum(crossbar.rows), crossbar.cells.v_read)
    np.testing.assert_allclose(ideal.feedback(0.125) * current, crossbar.counts.sum(axis=1) / 64 * 0.125, rtol=1e-9)


@pytest.mark.parametrize("levels", [2, 5, 32])
def test_levels_round_to_the_nearest(levels, rng):
    own = layer(rng)
    crossbar = programmed_crossbar(own, Cells(levels=levels), rng)
    spacing = crossbar.largest / (levels - 1)
    off = np.abs(crossbar.counts[:, :20] - own.weight)
    assert off.max() <= spacing / 2 + 1e-9 and len(np.unique(np.round(crossbar.positive, 12))) <= levels


def test_programming_errors_have_their_standard_deviation(rng):
    own = replace(layer(rng), weight=np.full((12, 2000), 128, np.int32), inputs=2000)
    cells = Cells(programming_error=0.02)
    positive = programmed_crossbar(own, cells, np.random.default_rng(1)).positive[:, :2000]
    again = programmed_crossbar(own, cells, np.random.default_rng(1)).positive[:, :2000]
    np.testing.assert_array_equal(positive, again)
    assert not np.allclose(positive[0], positive[1], rtol=1e-6)  # each cell has its own
    assert positive.std() == pytest.approx(0.02 * (cells.g_max - cells.g_min), rel=0.03)


def test_read_noise_shakes_each_cell_by_a_share_of_itself(rng):
    crossbar = programmed_crossbar(layer(rng), Cells(read_noise=0.1), rng)
    shaken = [cells * (1 + 0.1 * rng.standard_normal((4000, *cells.shape))) for cells in (crossbar.positive, crossbar.negative)]
    counts = (shaken[0] - shaken[1]) * crossbar.cells.v_read / crossbar.per_count
    np.testing.assert_allclose(crossbar.squares, counts.var(axis=0), rtol=0.15)


def test_conductances_never_become_negative(rng):
    crossbar = programmed_crossbar(layer(rng), Cells(programming_error=0.5), rng)
    assert crossbar.positive.min() >= 0 and crossbar.negative.min() >= 0


def test_weights_that_are_all_zero_leave_all_cells_at_rest(rng):
    own = layer(rng, weight=np.zeros((12, 20), np.int32), weight_rec=None, bias=None)
    crossbar = programmed_crossbar(own, IDEAL, rng)
    assert not crossbar.counts.any() and np.all(crossbar.positive == IDEAL.g_min) and np.isfinite(crossbar.feedback(0.125))


def test_other_kinds_of_layers(rng):
    cases = {
        Layer(0, "input", (3,), 3, np.array([70])): 70 * np.eye(3),
        Layer(0, "average", (2,), 4): [[1, 1, 0, 0], [0, 0, 1, 1]],
    }
    for own, expected in cases.items():
        np.testing.assert_allclose(programmed_crossbar(own, IDEAL, rng).counts, expected, atol=1e-9)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"g_min": 0.0}, r"Cells.g_min must be a finite number and > 0; got 0\.0"),
        ({"g_max": 1e-7}, r"Cells.g_max \[S\] must exceed g_min"),
        ({"levels": 1}, "Cells.levels must be a whole number >= 2"),
        ({"levels": 2.5}, "Cells.levels must be a whole number >= 2"),
        ({"levels": -np.inf}, "Cells.levels must be a whole number >= 2"),
        ({"read_noise": -0.1}, r"Cells.read_noise must lie in \[0, 1\)"),
        ({"programming_error": 1.0}, r"Cells.programming_error must lie in \[0, 1\)"),
        ({"v_read": np.nan}, "Cells.v_read must be a finite number and > 0"),
    ],
)
def test_wrong_cells_are_refused(changes, words):
    with pytest.raises(InputError, match=words):
        Cells(**changes)


def test_wrong_periphery_is_refused():
    with pytest.raises(InputError, match=r"Periphery.amplifier_current must be a finite number and >= 0; got -1"):
        Periphery(amplifier_current=-1.0)


def test_the_least_number_of_a_small_type_has_its_magnitude(rng):
    own = layer(rng, bias=np.full(12, -128, np.int8))
    weight = np.clip(own.weight, -127, 127)
    weight[0, 0] = -128
    small, large = (replace(own, weight=weight.astype(kind), bias=own.bias.astype(kind)) for kind in (np.int8, np.int32))
    assert rows_of(small) == rows_of(large)
    np.testing.assert_array_equal(programmed_crossbar(small, IDEAL, rng).counts, programmed_crossbar(large, IDEAL, rng).counts)
