"""What both revisions told in one window, subject by subject, and what a look makes of it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from modelfleet.plan.analysis import betting, latencies, shares
from modelfleet.plan.analysis.evidence import Evidence, ProbeResults, Sum, Window
from modelfleet.plan.analysis.latencies import Pair
from modelfleet.plan.analysis.memory import Totals, Trail
from modelfleet.plan.analysis.shares import Share
from modelfleet.plan.analysis.tolerances import Margin, Subject

SHARES: tuple[Subject, ...] = ("errors", "aborts", "probeErrors")
LATENCIES: tuple[Subject, ...] = ("firstToken", "outputToken", "probeFirstToken")
SUBJECTS = (*SHARES, *LATENCIES)

Both = tuple[Share, Share]
"""Stable's and the canary's."""
Told = Mapping[Subject, Both | Sequence[Pair]]
"""What is known of both revisions. A subject that one of them says nothing about is not in it."""

SIGNALS: Mapping[Subject, str] = {
    "firstToken": "timeToFirstToken",
    "outputToken": "timePerOutputToken",
}


def told(stable: Evidence, canary: Evidence) -> Told:
    """Return what can be compared."""
    return {
        **_scraped_shares(stable.window, canary.window),
        **_scraped_latencies(stable.window, canary.window),
        **_probed(stable.probes, canary.probes),
    }


def requests_of(window: Window) -> float | None:
    """Return how many requests ended, as far as counters tell; None where they do not."""
    if "succeeded" not in window.counts:
        return None
    return math.fsum(window.counts.get(one, 0.0) for one in ("succeeded", "errors", "aborted"))


def _scraped_shares(stable: Window, canary: Window) -> dict[Subject, Both]:
    known = stable.counts.keys() & canary.counts.keys()
    if "succeeded" not in known:
        return {}
    outcomes = [one for one in ("succeeded", "errors", "aborted") if one in known]
    subjects: list[tuple[Subject, str]] = [("errors", "errors"), ("aborts", "aborted")]
    return {
        subject: (_share(stable, bad, outcomes), _share(canary, bad, outcomes))
        for subject, bad in subjects
        if bad in known
    }


def _share(window: Window, bad: str, outcomes: Iterable[str]) -> Share:
    return Share(math.fsum(window.counts[one] for one in outcomes), window.counts[bad])


def _scraped_latencies(stable: Window, canary: Window) -> dict[Subject, list[Pair]]:
    known = stable.latencies.keys() & canary.latencies.keys()
    return {
        subject: latencies.pairs_of(stable.latencies[signal], canary.latencies[signal])
        for subject, signal in SIGNALS.items()
        if signal in known
    }


def _probed(
    stable: ProbeResults | None, canary: ProbeResults | None
) -> dict[Subject, Both | Sequence[Pair]]:
    if stable is None or canary is None:
        return {}
    known: dict[Subject, Both | Sequence[Pair]] = {
        "probeErrors": (_probe_share(stable), _probe_share(canary))
    }
    if stable.first_token_seconds and canary.first_token_seconds:
        known["probeFirstToken"] = [Pair(_probe_sum(stable), _probe_sum(canary))]
    return known


def _probe_share(probes: ProbeResults) -> Share:
    return Share(float(probes.ok + probes.failed), float(probes.failed))


def _probe_sum(probes: ProbeResults) -> Sum:
    return Sum(float(len(probes.first_token_seconds)), math.fsum(probes.first_token_seconds))


# --- looks --------------------------------------------------------------------


def after_shares(trail: Trail, both: Both, margin: Margin, caps: tuple[float, float]) -> Trail:
    """Return the trail after a look at two shares. `caps` bound what one look can win."""
    stable, canary = both
    if stable.count <= 0 or canary.count <= 0:
        return replace(trail, totals=_with_shares(trail.totals, both))
    guess = shares.guess_of(Share(*trail.base))
    alarm = shares.alarm_factors(stable, canary, guess, margin.tolerated)
    clear = shares.clear_factors(stable, canary, guess, margin.unacceptable)
    return replace(
        trail,
        alarm=betting.played(
            trail.alarm, trail.looks, _capped(alarm, caps[0]), shares.ALARM_WEIGHTS
        ),
        looks=trail.looks + 1,
        clear=betting.staked(trail.clear, _capped(clear, caps[1]), shares.CLEAR_WEIGHTS),
        totals=_with_shares(trail.totals, both),
        base=_as_pair(Share(*trail.base) + stable),
    )


def after_latencies(
    trail: Trail, pairs: Sequence[Pair], margin: Margin, caps: tuple[float, float], fewest: int
) -> Trail:
    """Return the trail after a look at two latencies."""
    full, left = latencies.comparisons(_pending(trail), pairs, fewest)
    trail = replace(trail, pending=_flat(left), totals=_with_pairs(trail.totals, pairs))
    if not full:
        return trail
    slower = sum(pair.is_slower(margin.tolerated, margin.floor) for pair in full)
    bad = sum(pair.is_slower(margin.unacceptable, margin.floor) for pair in full)
    alarm = latencies.sign_factors(slower, len(full))
    clear = latencies.sign_factors(len(full) - bad, len(full))
    totals = trail.totals
    return replace(
        trail,
        alarm=betting.played(trail.alarm, trail.looks, _capped(alarm, caps[0]), latencies.WEIGHTS),
        looks=trail.looks + 1,
        clear=betting.staked(trail.clear, _capped(clear, caps[1]), latencies.WEIGHTS),
        totals=replace(totals, worse=totals.worse + slower, moments=totals.moments + len(full)),
    )


def _capped(factors: Iterable[float], cap: float) -> tuple[float, ...]:
    """The smaller of an e-value and a constant is an e-value."""
    return tuple(min(cap, factor) for factor in factors)


def _with_shares(totals: Totals, both: Both) -> Totals:
    stable, canary = Share(*totals.stable) + both[0], Share(*totals.canary) + both[1]
    return replace(totals, stable=_as_pair(stable), canary=_as_pair(canary))


def _with_pairs(totals: Totals, pairs: Iterable[Pair]) -> Totals:
    total = Pair(Sum(*totals.stable), Sum(*totals.canary))
    for pair in pairs:
        total += pair
    stable, canary = total.stable, total.canary
    return replace(
        totals,
        stable=(stable.count, stable.seconds),
        canary=(canary.count, canary.seconds),
    )


def _pending(trail: Trail) -> Pair:
    return Pair(Sum(*trail.pending[:2]), Sum(*trail.pending[2:]))


def _flat(pair: Pair) -> tuple[float, float, float, float]:
    stable, canary = pair.stable, pair.canary
    return (stable.count, stable.seconds, canary.count, canary.seconds)


def _as_pair(share: Share) -> tuple[float, float]:
    return (share.count, share.bad)
