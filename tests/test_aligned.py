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


def test_a_copy_of_whatever_layout_has_the_same_values_and_none_of_the_memory():
    source = np.arange(60).reshape(5, 12)[::2, 1::3]
    copied = aligned.copy(source)
    assert begins_a_line(copied) and np.array_equal(copied, source) and copied.dtype == source.dtype
    copied[:] = 0
    assert source.any()


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
