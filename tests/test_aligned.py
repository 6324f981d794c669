"""Arrays that begin at a line of the cache, and that the loops get them."""

import numpy as np
import pytest

from lava_1m1t1r._support import aligned
from lava_1m1t1r.compiled import repeated
from lava_1m1t1r.fast.neurons import fresh, m1t1r
from lava_1m1t1r.presets import ZHAO2025_FIG3
from lava_1m1t1r.program import StepParams


def begins_a_line(array):
    return (array.size == 0 or array.ctypes.data % aligned.LINE == 0) and array.flags.c_contiguous and array.flags.writeable


@pytest.mark.parametrize("shape", [0, 1, 257, (3, 5), (2, 0, 7), (64, 101, 3, 256)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float64])
def test_arrays_have_the_shape_and_type_asked_for_and_begin_at_a_line(shape, dtype):
    empty, zeros = aligned.empty(shape, dtype), aligned.zeros(shape, dtype)
    assert empty.shape == zeros.shape == np.empty(shape).shape and empty.dtype == zeros.dtype == dtype
    assert begins_a_line(empty) and begins_a_line(zeros) and not zeros.any()


@pytest.mark.parametrize("size", [0, 1, 16, 100])
@pytest.mark.parametrize("dtype", [np.int32, np.float64])
def test_rows_and_copies_begin_at_lines_and_have_memory_of_their_own(size, dtype):
    rows = aligned.rows(3, size, dtype)
    for k, row in enumerate(rows):
        assert row.shape == (size,) and row.dtype == dtype and begins_a_line(row) and not row.any()
        row[:] = k + 1
    copied = aligned.copies(rows)
    for row in rows:
        row[:] = 0
    assert all(begins_a_line(row) for row in copied) and [row.tolist() for row in copied] == [[k] * size for k in (1, 2, 3)]


def test_states_and_constants_of_neurons_begin_at_lines():
    neuron = m1t1r(StepParams(ZHAO2025_FIG3, 1e-3), 100, 0, 0, False, fill=True)
    assert all(map(begins_a_line, (*neuron.state, neuron.v_in, *fresh(neuron).state, fresh(neuron).v_in)))
    assert begins_a_line(repeated(np.arange(5), 16)) and list(repeated(np.arange(2), 6, 2)) == [0, 1, 0, 1, 1, 1]


def test_memory_of_training_steps_begins_at_lines():
    pytest.importorskip("lava.lib.dl")
    from lava_1m1t1r.slayer import buffers

    array = buffers.borrowed((12347, 3), np.float32)
    assert begins_a_line(array)
    place = array.ctypes.data
    del array
    again = buffers.borrowed((12340, 3), np.float32)
    assert again.ctypes.data == place
