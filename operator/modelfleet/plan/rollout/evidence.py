"""What is known of a canary: from its engines, from probes, and from Kubernetes about its pods."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from modelfleet.api.conditions import Reason
from modelfleet.api.v1alpha1.engine import Engine
from modelfleet.api.v1alpha1.rollout import Analysis
from modelfleet.plan.analysis import (
    Evidence,
    Health,
    Judgement,
    Memory,
    ProbeResults,
    Span,
    judge,
    tolerances_for,
    window_for,
)
from modelfleet.plan.census import Census
from modelfleet.plan.diagnosis import diagnose
from modelfleet.plan.diagnosis.exits import backs_off
from modelfleet.plan.rollout.progress import Progress
from modelfleet.plan.rollout.situation import Situation
from modelfleet.plan.samples import ProbeResult
from modelfleet.plan.samples import Reason as ProbeFailure
from modelfleet.plan.verdict import MOST_BYTES, within
from modelfleet.plan.world import Observed, Pod

LATE = timedelta(seconds=2)
"""So much later than it happened everything is known: readings, and what Kubernetes tells."""

FATAL = frozenset(
    {
        Reason.IMAGE_NOT_FOUND,
        Reason.IMAGE_UNAUTHORIZED,
        Reason.IMAGE_PULL_FAILED,
        Reason.CONTAINER_CONFIG_ERROR,
        Reason.OUT_OF_MEMORY,
        Reason.CRASH_LOOP,
        Reason.STARTUP_DEADLINE_EXCEEDED,
    }
)
"""What a revision fails by without one request, where the diagnosis says that it will not pass."""

NOT_THE_PODS_FAULT = frozenset({ProbeFailure.ADDRESS, ProbeFailure.DEFECT})
"""Probes that failed by ourselves say nothing."""

NEEDED = ("errors", "timeToFirstToken")
"""Signals without which an engine tells too little."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one more interval has shown."""

    judgement: Judgement
    memory: Memory
    evidence: str
    until: datetime
    """The end of the interval."""


def why_broken(at: Situation) -> str | None:
    """Return why the new revision will not serve by itself, or None."""
    found = diagnose(at.model, at.seen, at.new.revision)
    return found.message if found and found.stalled and found.reason in FATAL else None


def needs_probes(analysis: Analysis, engine: Engine | None) -> bool:
    """Return whether small requests of our own are to be sent."""
    if analysis.probes != "Auto":
        return analysis.probes == "Always"
    told = engine.spec.metrics.signals if engine and engine.spec.metrics else ()
    return not set(NEEDED) <= {one.signal for one in told}


def next_judgement(at: Situation, progress: Progress) -> timedelta:
    """Return how long it takes until an interval is over. A quiet one may be over long ago."""
    interval = timedelta(seconds=at.analysis.interval_seconds)
    begins = _begin(progress)
    left = begins + interval + LATE - at.seen.now if begins else interval
    return left if left > timedelta() else interval


def judged(at: Situation, stable: Census, progress: Progress) -> Finding | None:
    """Compare both revisions in the interval that is over; None while none is."""
    since, until = _begin(progress), at.seen.now.replace(microsecond=0) - LATE
    if since is None or until - since < timedelta(seconds=at.analysis.interval_seconds):
        return None
    analysis = at.analysis
    tolerances = tolerances_for(
        analysis.max_error_increase_percent,
        analysis.max_latency_increase_percent,
        analysis.minimum_requests,
    )
    before, now = _evidence(stable, at, since, until), _evidence(at.new, at, since, until)
    found = judge(before, now, tolerances, progress.memory)
    return Finding(found, _worth_keeping(found.memory, progress.memory), _told(found), until)


def _begin(progress: Progress) -> datetime | None:
    """Return where the last interval ended; what went on between two steps is left out."""
    ended, started = progress.memory.judged_until, progress.started_at
    return max(ended, started) if ended and started else started


def _worth_keeping(new: Memory, old: Memory) -> Memory:
    """Return the old memory where nothing has happened: an idle canary needs no writes.

    The next interval then begins where this one did.
    """
    return old if replace(new, judged_until=old.judged_until) == old else new


def _told(found: Judgement) -> str:
    """Add what the verdict rests on: requests of users, our own, or both."""
    ours = [one for one in found.rests_on if one.startswith("probe")]
    users = [one for one in found.rests_on if one not in ours]
    sources = [*(["requests of users"] if users else []), *(["our own probes"] if ours else [])]
    rests = f" (rests on {' and '.join(sources)})" if sources else ""
    return within(found.sentence, MOST_BYTES - len(rests)) + rests


# --- one revision ---------------------------------------------------------------


def _evidence(census: Census, at: Situation, since: datetime, until: datetime) -> Evidence:
    engine = at.seen.engine
    tells = engine is None or engine.spec.metrics is not None
    serving = _serving_since(census, at.seen)
    span = Span(
        since=since,
        until=until,
        warm_up=timedelta(seconds=at.analysis.warm_up_seconds),
        serving_since=serving if tells else {},
    )
    return Evidence(
        window=window_for(census.revision, at.seen.scrapes, span),
        probes=_probes(census.revision, at.seen, replace(span, serving_since=serving)),
        health=_health(census, since, until),
    )


def _serving_since(census: Census, seen: Observed) -> dict[str, datetime]:
    """Return since when each ready pod takes traffic.

    One that has restarted did so before, and what it told then counts: it is part of the crash.
    """
    first: dict[str, datetime] = {}
    for one in seen.scrapes:
        first[one.pod] = min(first.get(one.pod, one.at), one.at)
    ready = ((pod, pod.ready_at) for pod in census.alive if pod.ready)
    return {
        pod.uid: min(since, first.get(pod.uid, since)) if pod.restarts else since
        for pod, since in ready
        if since is not None
    }


def _probes(revision: str, seen: Observed, span: Span) -> ProbeResults | None:
    told = [one for one in seen.probes if one.revision == revision and _counts(one, span)]
    if not told:
        return None
    answered = [one for one in told if one.ok]
    first = (one.first_token_seconds for one in answered)
    return ProbeResults(
        ok=len(answered),
        failed=len(told) - len(answered),
        first_token_seconds=tuple(one for one in first if one is not None),
    )


def _counts(probe: ProbeResult, span: Span) -> bool:
    """A probe belongs to the interval in which it ended: before, nobody knew of it."""
    ended = probe.at + timedelta(seconds=probe.seconds)
    warm = span.serving_since.get(probe.pod, probe.at - span.warm_up) + span.warm_up
    known = probe.failure not in NOT_THE_PODS_FAULT
    return known and span.since < ended <= span.until and probe.at >= warm


def _health(census: Census, since: datetime, until: datetime) -> Health:
    return Health(
        pods=len(census.placed),
        restarts=sum(_restarted(pod, since, until) for pod in census.alive),
        crash_looping=sum(backs_off(pod) for pod in census.alive),
    )


def _restarted(pod: Pod, since: datetime, until: datetime) -> bool:
    """Return whether a pod's container ended in the interval that it had begun with.

    Of instants in whole seconds the end of one interval belongs to the next. A pod that was made
    meanwhile may have failed to load, which is another matter.
    """
    if not pod.restarts or pod.started_at is None or pod.created_at is None:
        return False
    return pod.created_at < since <= pod.started_at < until
