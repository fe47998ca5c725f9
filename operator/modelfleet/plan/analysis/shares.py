"""Two shares, as of failed requests: is the canary's larger by more than a margin?

The e-value for two Bernoulli samples and a convex hypothesis: the likelihood of an alternative
over that of the member of the hypothesis which is nearest to it in Kullback-Leibler divergence
(Turner, Ly and Grünwald, "Generic E-variables for exact sequential k-sample tests that allow for
optional stopping", 2021; with a margin: Turner and Grünwald, "Exact anytime-valid confidence
intervals for contingency tables and beyond", 2022). docs/analysis.md has a short proof.
"""

import math
from dataclasses import dataclass

from modelfleet.plan.analysis.betting import Logs

ALARM_EXCESS = (0.015, 0.04, 0.15, 0.5, 0.95)
"""Alternatives: how much of the way from what is tolerated to "all fail" the canary has gone."""
ALARM_WEIGHTS = (0.3, 0.3, 0.2, 0.1, 0.1)
CLEAR_EXCESS = (0.0, 0.2, 0.4)
"""Alternatives: how much of what is unacceptable the canary has."""
CLEAR_WEIGHTS = (0.5, 0.3, 0.2)

PRIOR = (100.0, 0.2)
"""Requests and bad ones that a guess of the stable share begins with: 0.2 %."""
LEAST, MOST = 1e-5, 1 - 1e-5
STEPS = 40
"""Of bisection: more than a share's digits."""


@dataclass(frozen=True, slots=True)
class Share:
    """Requests, and how many of them were bad."""

    count: float = 0.0
    bad: float = 0.0

    def __add__(self, other: "Share") -> "Share":
        return Share(self.count + other.count, self.bad + other.bad)

    @property
    def value(self) -> float | None:
        """The share; None without a request."""
        return self.bad / self.count if self.count > 0 else None


def guess_of(past: Share) -> float:
    """Return the stable share as known *before* a look: a bet must not know its outcome."""
    guess = (past.bad + PRIOR[1]) / (past.count + PRIOR[0])
    return max(LEAST, min(MOST, guess))


def alarm_factors(stable: Share, canary: Share, guess: float, tolerated: float) -> Logs:
    """Return log e-values against "the canary's share is at most `tolerated` above stable's"."""
    start = guess + tolerated
    alternatives = (start + (1 - start) * excess for excess in ALARM_EXCESS)
    return tuple(
        _factor(stable, canary, guess, min(MOST, one), tolerated) if start < one else 0.0
        for one in alternatives
    )


def clear_factors(stable: Share, canary: Share, guess: float, unacceptable: float) -> Logs:
    """Return log e-values against "the canary's share is `unacceptable` or more above stable's"."""
    alternatives = (guess + unacceptable * excess for excess in CLEAR_EXCESS)
    return tuple(
        _factor(stable, canary, guess, one, unacceptable) if one < MOST else 0.0
        for one in alternatives
    )


def _factor(stable: Share, canary: Share, p_stable: float, p_canary: float, margin: float) -> float:
    """Return the log e-value of one alternative against the edge of the hypothesis."""
    if stable.count <= 0 or canary.count <= 0:
        return 0.0
    edge = _nearest(stable.count, canary.count, p_stable, p_canary, margin)
    return _ratio(stable, p_stable, edge) + _ratio(canary, p_canary, edge + margin)


def _ratio(share: Share, one: float, other: float) -> float:
    good = share.count - share.bad
    return share.bad * math.log(one / other) + good * math.log((1 - one) / (1 - other))


def _nearest(
    stable: float, canary: float, p_stable: float, p_canary: float, margin: float
) -> float:
    """Return the stable share of the nearest pair whose canary share is `margin` higher.

    The divergence is convex along that edge, so its slope has one zero, between the two shares.
    """
    ends = sorted((p_stable, p_canary - margin))
    high = min(ends[1], 1 - margin - LEAST / 10)
    low = min(max(ends[0], LEAST / 10), high)
    for _ in range(STEPS):
        middle = (low + high) / 2
        if _slope(stable, p_stable, middle) + _slope(canary, p_canary, middle + margin) < 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _slope(count: float, wanted: float, at: float) -> float:
    return count * (at - wanted) / (at * (1 - at))
