"""Bounds of weighted sums."""

import numpy as np
import pytest

from lava_1m1t1r import sums


@pytest.mark.parametrize("kind", [np.int8, np.int32, np.float64])
def test_bounds_of_large_matrices_are_those_of_all_rows(kind, monkeypatch):
    monkeypatch.setattr(sums, "_TOGETHER", 10)
    weight = np.random.default_rng(0).integers(-128, 128, (23, 7)).astype(kind)
    weight[5, 3] = -128
    wide = np.abs(weight.astype(np.int64))
    assert sums.bounds_of(weight, weight, np.arange(23)) == (
        wide.sum(1).max(), 128, (wide.sum(1) + np.arange(23)).max()
    )  # fmt: skip
