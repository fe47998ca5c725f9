"""Money as evidence: bets that a true hypothesis pays nothing for, however often one looks.

A factor (an e-value) has a mean of at most 1 if the hypothesis holds, whatever happened before. The
product of all factors is then money that cannot be expected to grow, and the probability that it
*ever* reaches 1/a is at most a (Ville's inequality). So the number of looks need not be known, and
an analysis may stop, go on or be looked at between. See docs/analysis.md for sources.

All money is kept as natural logarithms, one for each alternative that is bet on.
"""

import math
from collections.abc import Sequence

Logs = tuple[float, ...]

FIRST = 0.75
"""Share of the money that is bet from the first look on."""
LATER = 0.05
"""Share of what is left that is added at each later look.

Bets lose money while all is well. Without money that comes later, a fault that shows after an hour
would first have to win that hour's losses back.
"""

RICHEST = 300.0
"""Bounds of a logarithm, so that no sum of exponentials overflows."""


def played(money: Logs, looks: int, factors: Sequence[float], weights: Sequence[float]) -> Logs:
    """Return the money after a look: what was there and what is added, times the factors."""
    before = money if len(money) == len(weights) else (-RICHEST,) * len(weights)
    added = math.log(FIRST) if looks <= 0 else math.log((1 - FIRST) * LATER) + _kept(looks)
    return tuple(
        _bounded(_log_sum(old, added + math.log(weight)) + factor)
        for old, factor, weight in zip(before, factors, weights, strict=True)
    )


def staked(money: Logs, factors: Sequence[float], weights: Sequence[float]) -> Logs:
    """Return the same where all money is bet from the first look on."""
    before = money if len(money) == len(weights) else tuple(map(math.log, weights))
    return tuple(_bounded(old + factor) for old, factor in zip(before, factors, strict=True))


def worth(money: Logs, looks: int) -> float:
    """Return the e-value: all money, bet or not, of the one unit that there was."""
    return cash(looks) + _sum(money)


def worth_staked(money: Logs) -> float:
    """Return the e-value where all money was bet from the first look on."""
    return _sum(money) if money else 1.0


def cash(looks: int) -> float:
    """Return the share of the money that is not bet yet after so many looks."""
    return 1.0 if looks <= 0 else (1 - FIRST) * math.exp(_kept(looks))


def _kept(looks: int) -> float:
    """Return the log share that later looks have left. Looks may go on for weeks."""
    return (looks - 1) * math.log(1 - LATER)


def _sum(money: Logs) -> float:
    return math.fsum(math.exp(_bounded(log)) for log in money)


def _log_sum(one: float, other: float) -> float:
    high, low = max(one, other), min(one, other)
    return high + math.log1p(math.exp(low - high))


def _bounded(log: float) -> float:
    return max(-RICHEST, min(RICHEST, log))
