"""What the tests of the .net file do to one."""

import h5py
import pytest

from lava_1m1t1r.errors import FormatError
from lava_1m1t1r.netx import schema


def is_named(path, key, value, message):
    """With this value of the key, or without the key (None), the file is refused by its path and these words."""
    with h5py.File(path, "r+") as file:
        if key in file:
            del file[key]
        if value is not None:
            file[key] = value
    with pytest.raises(FormatError, match=message) as error:
        schema.read(path)
    assert str(path) in str(error.value)
