"""From pages of metrics to readings: rates and percentiles of the last minute, pod by pod.

Counters are compared only within one run of a process, so a restart is a gap and no fall; a counter
that falls all the same is not believed.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from modelfleet.api.v1alpha1.engine import Signal
from modelfleet.plan.samples import Histogram, Scrape
from modelfleet.plan.scaling.facts import YOUNG, Reading

SPAN = timedelta(seconds=75)
"""How far back rates go: five rounds."""

TOKENS: tuple[Signal, ...] = ("promptTokens", "generationTokens")

SHORTEST = 5.0
"""Seconds between two pages that a rate can be told from."""


@dataclass(frozen=True, slots=True)
class Replica:
    """A ready pod that stays."""

    pod: str
    """uid"""
    ready_at: datetime | None = None


def readings_for(
    scrapes: Iterable[Scrape],
    replicas: Iterable[Replica],
    percentile: float,
    now: datetime,
    named: Collection[Signal] = TOKENS,
) -> tuple[Reading, ...]:
    """Return one reading for each of these replicas that told something, in order of pods.

    `named` are the signals that the engine's document names: a part of the tokens that should be
    told and is not would look like less load, so then none are known.

    Percentiles are of what came after the youngest replica was ready: what users waited for before
    is what that replica is the answer to.
    """
    known = sorted(replicas, key=lambda one: one.pod)
    pages: defaultdict[str, list[Scrape]] = defaultdict(list)
    for scrape in scrapes:
        if scrape.at >= now - SPAN:
            pages[scrape.pod].append(scrape)
    tokens = tuple(one for one in TOKENS if one in named)
    settled = max((one.ready_at for one in known if one.ready_at), default=None)
    return tuple(
        _reading(one, _in_order(pages[one.pod]), _Asked(settled, percentile, tokens), now)
        for one in known
        if one.pod in pages
    )


def requests_in(pages: Iterable[Scrape], since: datetime) -> dict[str, int]:
    """Return pod uid → requests that it runs and holds, for those that told it since then."""
    newest: dict[str, Scrape] = {}
    for page in pages:
        if page.at >= since and (page.pod not in newest or newest[page.pod].at <= page.at):
            newest[page.pod] = page
    found = (
        (pod, page.values.get("running"), page.values.get("waiting"))
        for pod, page in newest.items()
    )
    return {
        pod: round(running + waiting)
        for pod, running, waiting in found
        if running is not None and waiting is not None and running >= 0 and waiting >= 0
    }


def is_young(replica: Replica, now: datetime) -> bool:
    """Return whether a replica became ready so lately that it may have nothing to tell."""
    age = (now - replica.ready_at).total_seconds() if replica.ready_at else YOUNG
    return age < YOUNG


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is the same for all pods."""

    settled: datetime | None
    percentile: float
    tokens: tuple[Signal, ...]


def _in_order(pages: Iterable[Scrape]) -> list[Scrape]:
    return sorted(pages, key=lambda page: page.at)


def _reading(replica: Replica, pages: Sequence[Scrape], asked: _Asked, now: datetime) -> Reading:
    last = pages[-1]
    run = [page for page in pages if page.process == last.process]
    first = run[0]
    settled = asked.settled
    lately = next((page for page in run if settled is None or page.at >= settled), last)
    seconds, count = _percentile(lately, last, asked.percentile)
    return Reading(
        pod=replica.pod,
        at=last.at,
        running=last.values.get("running"),
        waiting=last.values.get("waiting"),
        kv_cache=_share(last.values.get("kvCacheUsage")),
        tokens_per_second=_sum([_rate(first, last, one) for one in asked.tokens]),
        requests_per_second=_rate(first, last, "succeeded"),
        arrived=_arrived(run),
        arrived_seconds=_seconds(run),
        tokens_each=_tokens_each(first, last, asked.tokens),
        first_token_seconds=seconds,
        first_tokens=count,
        failing=_fails(first, last),
        young=is_young(replica, now),
    )


MISTAKES = 3
"""Errors of a minute that may be a client's own."""


def _fails(first: Scrape, last: Scrape) -> bool:
    """Return whether requests end in errors alone, as where `/health` is well and `/v1` is not."""
    names: tuple[Signal, ...] = ("errors", "succeeded")
    if any(one not in page.values for page in (first, last) for one in names):
        return False
    errors, succeeded = (last.values[one] - first.values[one] for one in names)
    return errors > MISTAKES and succeeded == 0


ENDED: tuple[Signal, ...] = ("succeeded", "errors", "aborted")


def _arrived(run: Sequence[Scrape]) -> float | None:
    """Return the requests between the last two pages: those that ended, and those on their way.

    What is served cannot be more than an engine can do; what arrives can.
    """
    if len(run) < 2:
        return None
    before, after = run[-2].values, run[-1].values
    names: tuple[Signal, ...] = ("running", "waiting", "succeeded")
    if any(one not in page for page in (before, after) for one in names):
        return None
    ended = sum(after.get(one, 0.0) - before.get(one, 0.0) for one in ENDED)
    there = sum(after[one] - before[one] for one in names[:2])
    return max(0.0, ended + there)


def _seconds(run: Sequence[Scrape]) -> float:
    return (run[-1].at - run[-2].at).total_seconds() if len(run) > 1 else 0.0


def _tokens_each(first: Scrape, last: Scrape, tokens: Collection[Signal]) -> float | None:
    """Return the tokens of a request; of few requests only a guess, so not of fewer than ten."""
    before, after = (one.histograms.get("timeToFirstToken") for one in (first, last))
    rate = _sum([_rate(first, last, one) for one in tokens])
    if before is None or after is None or rate is None or after.count - before.count < 10:
        return None
    return rate * (last.at - first.at).total_seconds() / (after.count - before.count)


def _share(value: float | None) -> float | None:
    """Return a share; what is more than the whole is another unit, or no sense."""
    return value if value is not None and 0 <= value <= 1 else None


def _rate(first: Scrape, last: Scrape, signal: Signal) -> float | None:
    seconds = (last.at - first.at).total_seconds()
    before, after = first.values.get(signal), last.values.get(signal)
    if before is None or after is None or seconds < SHORTEST or after < before:
        return None
    return (after - before) / seconds


def _sum(rates: Sequence[float | None]) -> float | None:
    known = [one for one in rates if one is not None]
    return sum(known) if known and len(known) == len(rates) else None


def _percentile(first: Scrape, last: Scrape, share: float) -> tuple[float | None, float | None]:
    """Return the percentile between two pages, and of how many it is."""
    before, after = (one.histograms.get("timeToFirstToken") for one in (first, last))
    if before is None or after is None or first.at == last.at or before.bounds != after.bounds:
        return None, None
    counts = [new - old for new, old in zip(after.counts, before.counts, strict=True)]
    if any(one < 0 for one in counts):
        return None, None
    return (_quantile(after, counts, share), counts[-1]) if counts[-1] else (None, 0.0)


def _quantile(shape: Histogram, counts: Sequence[float], share: float) -> float:
    """Return it as Prometheus does: linear within a bucket; beyond the last bound, that bound."""
    rank, below, lower = share * counts[-1], 0.0, 0.0
    for bound, count in zip(shape.bounds, counts, strict=True):
        if count >= rank:
            if bound == float("inf"):
                return lower
            within = (rank - below) / (count - below) if count > below else 1.0
            return lower + (bound - lower) * within
        below, lower = count, bound
    return lower
