"""What a replay came to, in the figures that people compare."""

import math
from collections.abc import Iterable
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


def outcome_of(
    name: str, settings: str, objective: float, profile: Profile, played: tuple[Trace, History]
) -> Outcome:
    """Measure a replay."""
    trace, history = played
    waits = sorted(first_token_seconds(trace, history))
    hours = history.replica_seconds / 3600
    return Outcome(
        name=name,
        settings=settings,
        gpu_hours=hours * profile.gpus,
        dollars=hours * profile.gpus * profile.dollars_per_gpu_hour,
        scale_changes=len(history.changes),
        cold_starts=history.cold_starts,
        requests=len(trace),
        unfinished=sum(map(math.isnan, history.record.finished)),
        objective_seconds=objective,
        over_objective=sum(wait > objective for wait in waits),
        p50=percentile(waits, 0.50),
        p95=percentile(waits, 0.95),
        p99=percentile(waits, 0.99),
        mean_replicas=hours * 3600 / trace.seconds if trace.seconds else 0.0,
        changes=tuple(history.changes),
        moments=tuple(history.moments),
    )


def first_token_seconds(trace: Trace, history: History) -> Iterable[float]:
    """Yield how long each request waited for its first token; for ever where none came."""
    for at, first in zip(trace.at, history.record.first_token, strict=True):
        yield math.inf if math.isnan(first) else first - at


def percentile(ascending: list[float], share: float) -> float:
    """Return the smallest value that `share` of all do not exceed; 0 of nothing."""
    if not ascending:
        return 0.0
    return ascending[max(math.ceil(share * len(ascending)) - 1, 0)]
