"""What a replay came to, in the figures that people compare."""

import math
from bisect import bisect_left
from dataclasses import dataclass

from modelfleet.plan.simulation.profiles import Profile
from modelfleet.plan.simulation.replay import Change, History, Moment
from modelfleet.plan.simulation.traces import Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One run. A percentile is infinite where that share of the requests got no token at all."""

    name: str
    settings: str
    gpu_hours: float
    dollars: float
    scale_changes: int
    cold_starts: int
    requests: int
    unfinished: int
    """Requests without their last token: cut by a drain, or never served."""
    objective_seconds: float
    over_objective: int
    p50: float
    p95: float
    p99: float
    mean_replicas: float
    changes: tuple[Change, ...] = ()
    moments: tuple[Moment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What is measured, and by what."""

    profile: Profile
    objective: float
    """Seconds to the first token."""
    since: float = 0.0
    """What came before only warms up."""


def outcome_of(
    name: str, settings: str, measure: Measure, trace: Trace, history: History
) -> Outcome:
    """Measure a replay."""
    profile, since = measure.profile, measure.since
    first = bisect_left(trace.at, since)
    waits = sorted(first_token_seconds(trace, history)[first:])
    start, end = _moment_at(since, history), history.moments[-1]
    hours = (end.replica_seconds - start.replica_seconds) / 3600
    changes = tuple(one for one in history.changes if one.at >= since)
    return Outcome(
        name=name,
        settings=settings,
        gpu_hours=hours * profile.gpus,
        dollars=hours * profile.gpus * profile.dollars_per_gpu_hour,
        scale_changes=len(changes),
        cold_starts=end.cold_starts - start.cold_starts,
        requests=len(waits),
        unfinished=sum(map(math.isnan, history.record.finished[first:])),
        objective_seconds=measure.objective,
        over_objective=sum(wait > measure.objective for wait in waits),
        p50=percentile(waits, 0.50),
        p95=percentile(waits, 0.95),
        p99=percentile(waits, 0.99),
        mean_replicas=hours * 3600 / (end.at - since) if end.at > since else 0.0,
        changes=changes,
        moments=tuple(one for one in history.moments if one.at >= since),
    )


def _moment_at(since: float, history: History) -> Moment:
    """Return the last look before `since`; at the beginning of all nothing had cost anything."""
    if since <= 0:
        return Moment(0.0, 0, 0, 0, 0.0, 0)
    return max((one for one in history.moments if one.at <= since), key=lambda one: one.at)


def first_token_seconds(trace: Trace, history: History) -> list[float]:
    """Return how long each request waited for its first token; for ever where none came."""
    return [
        math.inf if math.isnan(first) else first - at
        for at, first in zip(trace.at, history.record.first_token, strict=True)
    ]


def percentile(ascending: list[float], share: float) -> float:
    """Return the smallest value that `share` of all do not exceed; 0 of nothing."""
    if not ascending:
        return 0.0
    return ascending[max(math.ceil(share * len(ascending)) - 1, 0)]
