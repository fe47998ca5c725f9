"""How few and how many replicas there may be now, and until when."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from modelfleet.plan.scaling.facts import Facts
from modelfleet.plan.scaling.policy import Policy, Schedule

HOUR = 3600.0
ROUNDS = 30.0
"""Seconds until somebody looks, and the look has had its effect."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the most, each with who says so."""

    least: int
    most: int
    least_by: str
    most_by: str
    zero_refused: bool = False
    """No replica was asked for, and is not allowed."""
    weighed: bool = True
    """A ceiling holds, or there is none; False: there is one and no price is known."""
    too_dear: bool = False
    """One replica alone costs more than the ceiling."""


def bounds_for(policy: Policy, facts: Facts, held: int | None, now: datetime) -> Bounds:
    """Return the bounds at `now`. The ceiling goes before all, and leaves one replica."""
    least, least_by = _least(policy, facts, now)
    most, most_by = _most(policy, now)
    floor = 0 if _may_sleep(policy, held) else 1
    refused = floor > min(least, most)
    least, most = max(least, floor), max(most, floor)
    if least > most:
        most, most_by = least, least_by  # hours that are about to begin
    affordable = affordable_for(policy, facts)
    if affordable is not None and max(floor, affordable, 1) < most:
        most, most_by = max(1, affordable), "costCeilingPerHour"
    return Bounds(
        least=min(least, most),
        most=most,
        least_by=least_by if least <= most else most_by,
        most_by=most_by,
        zero_refused=refused,
        weighed=policy.ceiling is None or affordable is not None,
        too_dear=affordable == 0,
    )


def _may_sleep(policy: Policy, held: int | None) -> bool:
    """Whether no replica at all is an answer: somebody holds requests, or nobody minds."""
    return policy.to_zero is not None and (policy.to_zero.without_hold or held is not None)


def affordable_for(policy: Policy, facts: Facts) -> int | None:
    """Return how many replicas the ceiling pays for; None where there is none or no price."""
    if policy.ceiling is None or facts.price is None or not facts.gpus or not facts.price:
        return None
    return policy.ceiling // (facts.price * facts.gpus)


def _least(policy: Policy, facts: Facts, now: datetime) -> tuple[int, str]:
    """Hours count from a cold start before they begin, so that replicas are ready by then."""
    ahead = timedelta(seconds=facts.start + ROUNDS)
    found = [
        (one.least, f"schedule {one.name}")
        for one in policy.schedules
        if one.least is not None and (holds(one, now) or holds(one, now + ahead))
    ]
    return max(found, default=(policy.least, "minReplicas"))


def _most(policy: Policy, now: datetime) -> tuple[int, str]:
    found = [
        (one.most, f"schedule {one.name}")
        for one in policy.schedules
        if one.most is not None and holds(one, now)
    ]
    return max(found, default=(policy.most, "maxReplicas"))


def holds(schedule: Schedule, now: datetime) -> bool:
    """Return whether an instant is within the hours, by the clock of their time zone."""
    local = now.astimezone(schedule.zone)
    clock, today = local.time(), local.weekday()
    if schedule.begins < schedule.ends:
        return today in schedule.days and schedule.begins <= clock < schedule.ends
    late = today in schedule.days and clock >= schedule.begins
    early = (today - 1) % 7 in schedule.days and clock < schedule.ends
    return late or early


def next_rise(policy: Policy, facts: Facts, replicas: int, now: datetime) -> float | None:
    """Return in how many seconds a schedule will ask for more than so many; None: not today."""
    for quarter in range(1, 97):
        later = now + timedelta(minutes=15 * quarter)
        if _least(policy, facts, later)[0] > replicas:
            return quarter * HOUR / 4
    return None
