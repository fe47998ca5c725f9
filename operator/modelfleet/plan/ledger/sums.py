"""Charges summed into lines, by day; lines summed in any other way. Sums are exact and associative,
so it makes no difference what is added up first."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from modelfleet.plan.ledger.units import DAY, Grains, Millis, Parts, day_of
from modelfleet.plan.ledger.values import Account, Charge, Use


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """What is told apart in the ledger: no node and no pod, so that it stays small."""

    day: str
    """UTC, as in 2026-11-28."""
    pool: str
    account: Account
    use: Use
    canary: bool = False
    capacity_type: str = ""
    policy: str = ""


@dataclass(frozen=True, slots=True)
class Amount:
    """What a line comes to."""

    cost: Grains = 0
    gpu_cost: Grains = 0
    gpu_time: Parts = 0
    """Parts of a GPU times milliseconds."""
    unpriced: Parts = 0
    """Of this, the time for which no price was known."""
    estimated: Grains = 0
    """Of the cost, what nobody has watched."""
    length: Millis = 0
    """Of all pods or nodes together."""

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(
            self.cost + other.cost,
            self.gpu_cost + other.gpu_cost,
            self.gpu_time + other.gpu_time,
            self.unpriced + other.unpriced,
            self.estimated + other.estimated,
            self.length + other.length,
        )


Lines = Mapping[Line, Amount]
K = TypeVar("K")


def lines_of(charges: Iterable[Charge]) -> dict[Line, Amount]:
    """Sum charges by day and by what is told apart."""
    pieces = (piece for charge in charges for piece in _by_day(charge))
    return total_by(((line_of(piece), amount_of(piece)) for piece in pieces), lambda line: line)


def total_by(lines: Iterable[tuple[Line, Amount]], key: Callable[[Line], K]) -> dict[K, Amount]:
    """Sum lines by a key."""
    sums: dict[K, Amount] = {}
    for line, amount in lines:
        group = key(line)
        sums[group] = sums[group] + amount if group in sums else amount
    return sums


def added(one: Lines, other: Lines) -> dict[Line, Amount]:
    """Return the sum of two sets of lines."""
    return total_by([*one.items(), *other.items()], lambda line: line)


def line_of(charge: Charge) -> Line:
    """Return where a charge belongs; it lies within one day."""
    return Line(
        day_of(charge.start),
        charge.pool,
        charge.account,
        charge.use,
        charge.canary,
        charge.capacity_type,
        charge.policy,
    )


def amount_of(charge: Charge) -> Amount:
    """Return what a charge comes to."""
    gpu_time = charge.gpu * charge.length
    return Amount(
        cost=charge.cost,
        gpu_cost=charge.gpu_rate * charge.length,
        gpu_time=gpu_time,
        unpriced=0 if charge.priced else gpu_time,
        estimated=charge.cost if charge.estimated else 0,
        length=charge.length,
    )


def _by_day(charge: Charge) -> Iterator[Charge]:
    """Cut a charge at midnight. It is a rate, so nothing is rounded."""
    start = charge.start
    if start // DAY == (charge.end - 1) // DAY:
        yield charge
        return
    while start < charge.end:
        end = min(charge.end, (start // DAY + 1) * DAY)
        yield replace(charge, start=start, end=end)
        start = end
