"""Tokens counted by engines, and what a million of them costs. Unknown stays unknown."""

from collections.abc import Mapping
from dataclasses import dataclass

from modelfleet.plan.ledger.units import MILLION, Grains, Micros, split


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens read and written."""

    read: int = 0
    written: int = 0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(self.read + other.read, self.written + other.written)

    @property
    def all(self) -> int:
        """Return both together."""
        return self.read + self.written


@dataclass(frozen=True, slots=True)
class Measured:
    """Tokens of a Model in a month, and what it cost while they were counted."""

    tokens: Tokens = Tokens()
    cost: Grains = 0

    def __add__(self, other: "Measured") -> "Measured":
        return Measured(self.tokens + other.tokens, self.cost + other.cost)


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted since the last readings; `estimated` where a pod took some with it."""

    tokens: Tokens
    estimated: bool


def counted(before: Mapping[str, Tokens], now: Mapping[str, Tokens]) -> Counted:
    """Return what the counters of pods, by uid, have moved.

    A counter that is lower than it was began anew with its process, at zero. What a pod counted
    between its last reading and its end is not known.
    """
    moved = sum((_moved(before.get(pod, Tokens()), new) for pod, new in now.items()), Tokens())
    return Counted(moved, estimated=bool(before.keys() - now.keys()))


def _moved(before: Tokens, now: Tokens) -> Tokens:
    if now.read < before.read or now.written < before.written:
        return now
    return Tokens(now.read - before.read, now.written - before.written)


def per_million(cost: Micros, tokens: int | None) -> Micros | None:
    """Return the price of a million tokens; None where none are known or none were made."""
    return cost * MILLION // tokens if tokens else None


def by_direction(cost: Micros, read: int, written: int) -> tuple[Micros, Micros]:
    """Divide a cost between input and output by their weights; the two sum to it."""
    first, second = split(cost, [read, written])
    return first, second
