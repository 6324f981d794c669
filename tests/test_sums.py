"""Bounds of weighted sums."""

import numpy as np
import pytest

from lava_1m1t1r import sums
from lava_1m1t1r.errors import InputError


def test_a_sum_may_be_the_largest_that_32_bits_hold():
    bounds = sums.SumBounds(of_rows=2, largest=1, rest=2**31 - 1 - 6)
    bounds.check(3, 6)
    with pytest.raises(InputError, match="frames must hold counts of at most 3, or so few"):
        bounds.check(4, 8)


@pytest.mark.parametrize("kind", [np.int8, np.int32, np.float64])
def test_bounds_of_large_matrices_are_those_of_all_rows(kind, monkeypatch):
    monkeypatch.setattr(sums, "_TOGETHER", 10)
    weight = np.random.default_rng(0).integers(-128, 128, (23, 7)).astype(kind)
    weight[5, 3] = -128
    wide = np.abs(weight.astype(np.int64))
    assert sums.bounds_of(weight, weight, np.arange(23)) == (
        wide.sum(1).max(), 128, (wide.sum(1) + np.arange(23)).max()
    )  # fmt: skip
