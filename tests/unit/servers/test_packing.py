import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet.servers.packing import pack, unpack


def written(numbers):
    """As bytes, so that what is not a number equals itself. No reader tells -0.0 from 0.0."""
    return [struct.pack("<d", number + 0.0) for number in numbers]


@given(st.lists(st.one_of(st.floats(), st.integers(0, 2**33).map(float)), max_size=80))
def test_numbers_come_back_as_they_were(numbers):
    packed = pack(numbers)

    assert written(unpack(packed, len(numbers))) == written(numbers)


@pytest.mark.parametrize(
    ("numbers", "size"),
    [
        pytest.param([], 0, id="nothing"),
        pytest.param([0.0] * 40, 10, id="zeros"),
        pytest.param([7.0] * 40, 14, id="one number again and again"),
        pytest.param([1.0, 2.0, 3.0, 4.0], 17, id="whole numbers"),
        pytest.param([0.5, 0.25, 2.0**32, -1.0], 33, id="others"),
    ],
)
def test_bytes(numbers, size):
    assert len(pack(numbers)) == size
