"""Two latencies: is the canary slower than the stable revision by more than a ratio?

In each short time both have served the same mix of requests, so their means are compared there,
once, and only the outcome counts: slower than tolerated or not. How often that happens is bet on
(a sign test by betting). Nothing is assumed about the shape of a distribution, about outliers or
about how requests within that time depend on each other. Sums and counts of histograms are exact;
their buckets are not looked at, since they are wider than the ratios that matter.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from modelfleet.plan.analysis.betting import Logs
from modelfleet.plan.analysis.evidence import Sum

ODDS = (0.65, 0.8, 0.95)
"""Alternatives: the share of comparisons that speak against the hypothesis."""
WEIGHTS = (0.3, 0.3, 0.4)

FEWEST = 3
"""Observations of each revision in one comparison.

The mean of a few latencies is mostly lower than that of many, since they are skewed: with fewer,
the revision with less traffic would look better than it is.
"""


NOTHING = Sum()


@dataclass(frozen=True, slots=True)
class Pair:
    """What both revisions showed in the same time."""

    stable: Sum = NOTHING
    canary: Sum = NOTHING

    def __add__(self, other: "Pair") -> "Pair":
        return Pair(self.stable + other.stable, self.canary + other.canary)

    def is_slower(self, ratio: float, floor: float) -> bool:
        """Return whether the canary's mean is above `ratio` times stable's and `floor` seconds."""
        stable, canary = self.stable.mean, self.canary.mean
        return stable is not None and canary is not None and canary > ratio * stable + floor


def pairs_of(stable: Mapping[int, Sum], canary: Mapping[int, Sum]) -> list[Pair]:
    """Return the moments in which both have observed something."""
    both = sorted(stable.keys() & canary.keys())
    pairs = (Pair(stable[number], canary[number]) for number in both)
    return [pair for pair in pairs if pair.stable.count > 0 and pair.canary.count > 0]


def comparisons(pending: Pair, pairs: Iterable[Pair], fewest: int) -> tuple[list[Pair], Pair]:
    """Join moments until both have enough. Return what can be compared, and what is left over."""
    full: list[Pair] = []
    for pair in pairs:
        pending += pair
        if min(pending.stable.count, pending.canary.count) >= fewest:
            full.append(pending)
            pending = Pair()
    return full, pending


def sign_factors(against: int, times: int) -> Logs:
    """Return log e-values against "at most half of comparisons speak against the hypothesis".

    `against` of `times` did.
    """
    rest = times - against
    return tuple(against * math.log(2 * one) + rest * math.log(2 * (1 - one)) for one in ODDS)
