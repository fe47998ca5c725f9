"""From scrapes to a window: what the pods of one revision did between two instants.

Counters only mean something as differences within one process. Each pod's scrapes are put in order
and cut into runs of one process; a run that began in the window counts from zero.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from modelfleet.plan.analysis.evidence import Span, Sum, Window
from modelfleet.plan.samples import Process, Scrape

COUNTERS = (
    "succeeded",
    "errors",
    "aborted",
    "promptTokens",
    "generationTokens",
    "preemptions",
)
LATENCIES = ("timeToFirstToken", "timePerOutputToken")

MOST = 2.0**53
"""A counter that is larger cannot count by one any more: nobody has counted that."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """What can be used of one scrape."""

    at: datetime
    process: Process
    counters: Mapping[str, float]
    sums: Mapping[str, Sum]
    dropped: int = 0

    @property
    def order(self) -> tuple[object, ...]:
        """Total, so that neither the order of arrival nor a duplicate makes a difference."""
        sums = sorted((name, one.count, one.seconds) for name, one in self.sums.items())
        process = (self.process.restarts, self.process.started or 0.0)
        return (self.at, process, sorted(self.counters.items()), sums, self.dropped)


@dataclass(frozen=True, slots=True)
class _Run:
    """Readings of one process, in order."""

    readings: tuple[_Reading, ...]
    from_zero: bool
    """It began in the window: what it counted before its first reading counts as well."""


@dataclass(frozen=True, slots=True)
class _Growth:
    """What one pod did."""

    counts: Mapping[str, float]
    latencies: Mapping[str, Mapping[int, Sum]]
    restarts: int


def window_for(revision: str, scrapes: Iterable[Scrape], span: Span) -> Window:
    """Return what the pods of `revision` told of `span`. Total: any scrapes make a window.

    Give scrapes back to one window's length before `span.since`: the last one up to it is where
    the counting begins, so that windows that follow each other count everything once.
    """
    readings = _by_pod(one for one in scrapes if one.revision == revision)
    chains = {pod: _chain(pod, found, span) for pod, found in sorted(readings.items())}
    grown = {
        pod: _growth(chain, span) for pod, chain in chains.items() if span.is_usable and chain[1:]
    }
    signals = (*COUNTERS, *LATENCIES)
    missing = {signal: _missing(signal, grown.values()) for signal in signals}
    return Window(
        revision=revision,
        since=span.since,
        until=span.until,
        pods=frozenset(grown),
        silent=_silent(chains, span),
        unknown={signal: count for signal, count in missing.items() if count},
        counts={
            signal: math.fsum(one.counts[signal] for one in grown.values())
            for signal in COUNTERS
            if grown and not missing[signal]
        },
        latencies={
            signal: _added([one.latencies[signal] for one in grown.values()])
            for signal in LATENCIES
            if grown and not missing[signal]
        },
        restarts=sum(one.restarts for one in grown.values()),
        dropped=sum(one.dropped for chain in chains.values() for one in chain),
    )


def _missing(signal: str, grown: Iterable[_Growth]) -> int:
    return sum(signal not in one.counts and signal not in one.latencies for one in grown)


def _added(each: Sequence[Mapping[int, Sum]]) -> dict[int, Sum]:
    total: defaultdict[int, Sum] = defaultdict(Sum)
    for moments in each:
        for number, one in moments.items():
            total[number] += one
    return dict(sorted(total.items()))


# --- readings -----------------------------------------------------------------


def _by_pod(scrapes: Iterable[Scrape]) -> dict[str, list[_Reading]]:
    """Return each pod's readings in order, one for each instant."""
    found: defaultdict[str, list[_Reading]] = defaultdict(list)
    for scrape in scrapes:
        found[scrape.pod].append(_reading(scrape))
    return {pod: _one_an_instant(readings) for pod, readings in found.items()}


def _one_an_instant(readings: Iterable[_Reading]) -> list[_Reading]:
    return list({one.at: one for one in sorted(readings, key=lambda one: one.order)}.values())


def _reading(scrape: Scrape) -> _Reading:
    told: dict[str, float] = {str(signal): one for signal, one in scrape.values.items()}
    counters = {signal: told[signal] for signal in COUNTERS if signal in told}
    sums = {
        str(signal): Sum(one.count, one.sum)
        for signal, one in scrape.histograms.items()
        if signal in LATENCIES and one.counts and one.sum is not None
    }
    good = {signal: one for signal, one in counters.items() if _is_count(one)}
    right = {
        signal: one
        for signal, one in sums.items()
        if _is_count(one.count) and _is_count(one.seconds)
    }
    dropped = len(counters) - len(good) + len(sums) - len(right)
    return _Reading(scrape.at, scrape.process, good, right, dropped)


def _is_count(value: float) -> bool:
    return 0 <= value <= MOST


# --- pods ---------------------------------------------------------------------


def _chain(pod: str, readings: Sequence[_Reading], span: Span) -> list[_Reading]:
    """Return the readings that count: warm, in the window, and the one that it begins with.

    A beginning that is older than one window would compare different times.
    """
    warm_at = span.serving_since.get(pod, readings[0].at) + span.warm_up
    warm = [one for one in readings if warm_at <= one.at <= span.until]
    oldest = span.since - (span.until - span.since)
    before = [one for one in warm if oldest <= one.at <= span.since]
    return [*before[-1:], *(one for one in warm if one.at > span.since)]


def _silent(chains: Mapping[str, Sequence[_Reading]], span: Span) -> frozenset[str]:
    due = {pod for pod, since in span.serving_since.items() if since + span.warm_up <= span.since}
    heard = {pod for pod, chain in chains.items() if any(one.at > span.since for one in chain)}
    return frozenset(due - heard)


def _growth(chain: Sequence[_Reading], span: Span) -> _Growth:
    runs = _runs(chain)
    seen = sum(run.from_zero for run in runs)
    told = chain[-1].process.restarts - chain[0].process.restarts
    counts = {signal: _count(signal, runs) for signal in COUNTERS}
    latencies = {signal: _moments(signal, runs, span) for signal in LATENCIES}
    return _Growth(
        {signal: one for signal, one in counts.items() if one is not None},
        {signal: one for signal, one in latencies.items() if one is not None},
        restarts=max(seen, told),
    )


def _runs(chain: Sequence[_Reading]) -> list[_Run]:
    """Cut where the process is another one, or may be."""
    runs = [_Run((chain[0],), from_zero=False)]
    for before, after in pairwise(chain):
        if _is_same(before.process, after.process):
            runs[-1] = _Run((*runs[-1].readings, after), runs[-1].from_zero)
        elif _is_new(before, after):
            runs.append(_Run((after,), from_zero=True))
        elif before.process.restarts == after.process.restarts:
            runs[-1] = _Run((*runs[-1].readings, after), runs[-1].from_zero)
        else:  # perhaps counted already, when the API server did not know of it yet
            runs.append(_Run((after,), from_zero=False))
    return runs


def _is_same(one: Process, other: Process) -> bool:
    return one.started is not None and one.started == other.started


def _is_new(before: _Reading, after: _Reading) -> bool:
    one, other = before.process.started, after.process.started
    if one is not None and other is not None:
        return one != other
    return _falls(before, after)


def _falls(before: _Reading, after: _Reading) -> bool:
    shared = before.counters.keys() & after.counters.keys()
    if any(after.counters[signal] < before.counters[signal] for signal in shared):
        return True
    both = before.sums.keys() & after.sums.keys()
    return any(after.sums[signal].count < before.sums[signal].count for signal in both)


# --- signals ------------------------------------------------------------------


def _count(signal: str, runs: Iterable[_Run]) -> float | None:
    """Return how much a counter grew, or None where one run does not say, or says nonsense."""
    total = 0.0
    for run in runs:
        first, last = run.readings[0].counters.get(signal), run.readings[-1].counters.get(signal)
        if last is None or first is None:
            return None
        grown = last - (0.0 if run.from_zero else first)
        if grown < 0:
            return None
        total += grown
    return total


def _moments(signal: str, runs: Iterable[_Run], span: Span) -> dict[int, Sum] | None:
    """Return what was observed in each moment, or None as for counters."""
    each = [_moments_of_run(signal, run, span) for run in runs]
    known = [one for one in each if one is not None]
    return _added(known) if len(known) == len(each) else None


def _moments_of_run(signal: str, run: _Run, span: Span) -> dict[int, Sum] | None:
    first, last = run.readings[0], run.readings[-1]
    if signal not in first.sums or signal not in last.sums:
        return None
    told = [(one.at, one.sums[signal]) for one in run.readings if signal in one.sums]
    steps = [(at, before, after) for (_, before), (at, after) in pairwise(told)]
    if run.from_zero:
        steps.insert(0, (told[0][0], Sum(), told[0][1]))
    if any(
        after.count < before.count or after.seconds < before.seconds for _, before, after in steps
    ):
        return None
    moments: defaultdict[int, Sum] = defaultdict(Sum)
    for at, before, after in steps:
        grown = Sum(after.count - before.count, after.seconds - before.seconds)
        moments[_number(at, span)] += grown
    return dict(moments)


def _number(at: datetime, span: Span) -> int:
    """Return the number of the moment that ends at `at` or holds it."""
    return max(0, math.ceil((at - span.since) / span.moment) - 1)
