"""Integers that money, GPUs and time are counted in, and how one amount is split without a rest.

A rate is in micro-dollars per hour. A rate times milliseconds is an amount in *grains*, of which
3,600,000 are one micro-dollar: so every amount of the ledger is exact, however often it is added
up, and only what people read is rounded.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

Millis = int
"""An instant: milliseconds since 1970, or a length of time."""
Rate = int
"""Micro-dollars per hour."""
Micros = int
"""Micro-dollars."""
Grains = int
"""A rate times milliseconds."""
Parts = int
"""Of a GPU; a whole one has `GPU`."""

GPU: Parts = 25_200
"""Divisible by 1 to 10, by 7 for the slices of MIG and by 100 for percent: no share is rounded."""
GRAINS = 3_600_000
"""In one micro-dollar."""
HOUR: Millis = 3_600_000
DAY: Millis = 24 * HOUR
MILLION = 1_000_000

K = TypeVar("K")


def millis(moment: datetime) -> Millis:
    """Return an aware datetime as milliseconds, rounded down."""
    return int(moment.timestamp() * 1000)


def day_of(at: Millis) -> str:
    """Return the UTC day, as in 2026-11-28."""
    return moment_of(at).date().isoformat()


def moment_of(at: Millis) -> datetime:
    """Return milliseconds as an aware datetime."""
    return datetime.fromtimestamp(at / 1000, UTC)


def split(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` by weight into integers that sum to it: the largest remainders round up.

    Where all weights are zero the first gets all. Ties go to the earlier one.
    """
    whole = sum(weights)
    if not whole:
        return [total if place == 0 else 0 for place in range(len(weights))]
    shares = [total * weight // whole for weight in weights]
    by_rest = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % whole), i))
    for place in by_rest[: total - sum(shares)]:
        shares[place] += 1
    return shares


def told(amounts: Mapping[K, Grains]) -> dict[K, Micros]:
    """Round amounts to micro-dollars for people, so that they still sum to their rounded total."""
    total = sum(amounts.values())
    shares = split(total // GRAINS, list(amounts.values()))
    return dict(zip(amounts, shares, strict=True))
