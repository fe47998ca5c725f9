"""Numbers of one reading in few bytes.

A histogram is mostly one number again and again, and counts are whole: so a number that equals the
one before it costs a bit, a whole one below 2**32 four bytes, and any other eight.
"""

import struct
from collections.abc import Iterator, Sequence

WHOLE = 2**32


def pack(numbers: Sequence[float]) -> bytes:
    """Return `numbers` in a form from which `unpack` brings back equal ones."""
    differs, wide, before = 0, 0, 0.0
    small: list[int] = []
    large: list[float] = []
    for place, number in enumerate(numbers):
        if number == before:
            continue
        differs |= 1 << place
        before = number
        if 0 <= number < WHOLE and number == int(number):
            small.append(int(number))
        else:
            wide |= 1 << place
            large.append(number)
    flags = (differs | wide << len(numbers)).to_bytes(_flag_bytes(len(numbers)), "little")
    return flags + struct.pack(f"<{len(small)}I{len(large)}d", *small, *large)


def unpack(packed: bytes, count: int) -> Iterator[float]:
    """Yield the `count` numbers that were packed."""
    start = _flag_bytes(count)
    flags = int.from_bytes(packed[:start], "little")
    wide = flags >> count
    larges = wide.bit_count()
    smalls = (flags & ((1 << count) - 1)).bit_count() - larges
    numbers = struct.unpack_from(f"<{smalls}I{larges}d", packed, start)
    small, large = iter(numbers[:smalls]), iter(numbers[smalls:])
    number = 0.0
    for place in range(count):
        if flags >> place & 1:
            number = next(large) if wide >> place & 1 else float(next(small))
        yield number


def _flag_bytes(count: int) -> int:
    return (2 * count + 7) // 8
