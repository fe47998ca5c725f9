"""What of a policy cannot be followed, and what a person can do about it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from modelfleet.api.conditions import Reason
from modelfleet.plan.scaling import wording
from modelfleet.plan.scaling.bounds import Bounds
from modelfleet.plan.scaling.facts import Facts
from modelfleet.plan.scaling.policy import Policy
from modelfleet.plan.scaling.signals import Load, Want


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing, with what is done instead."""

    reason: Reason
    text: str


@dataclass(frozen=True, slots=True)
class _Case:
    policy: Policy
    facts: Facts
    bounds: Bounds
    wants: tuple[Want, ...]
    failing: bool


def complaints_for(load: Load, bounds: Bounds, wants: tuple[Want, ...]) -> tuple[Complaint, ...]:
    """Return everything that is wrong, in the words that stay the same while it is."""
    case = _Case(load.policy, load.facts, bounds, wants, load.failing > 0)
    return tuple(found for check in CHECKS for found in check(case))


def _missing(case: _Case) -> Iterator[Complaint]:
    """The counts are left out: they change from round to round."""
    if names := [one.signal for one in case.wants if one.missing]:
        yield Complaint(
            Reason.METRICS_MISSING,
            f"{', '.join(names)} not told by every replica, so none is taken away: look at the "
            "engine's metrics page and at the names in its Engine document",
        )


def _contested(case: _Case) -> Iterator[Complaint]:
    if who := case.facts.scaled_by:
        yield Complaint(
            Reason.SCALED_BY_OTHERS,
            f"{who} writes spec.replicas through /scale, which has no effect beside "
            "spec.autoscaling, and meanwhile no replica is taken away: delete that "
            "HorizontalPodAutoscaler or ScaledObject and take spec.replicas back by kubectl scale, "
            "to another number than it has; or delete spec.autoscaling",
        )


def _failing(case: _Case) -> Iterator[Complaint]:
    if case.failing:
        yield Complaint(
            Reason.REQUESTS_FAIL,
            "a replica answers every request with an error, so its load is not known and no "
            "replica is taken away: look at the logs of the pods",
        )


def _asleep(case: _Case) -> Iterator[Complaint]:
    if case.bounds.zero_refused:
        yield Complaint(
            Reason.ZERO_REFUSED,
            "no replica at all is not allowed, one stays: nothing holds requests meanwhile. Set "
            "scaleToZero.withoutHold in the policy to accept that they fail",
        )


def _unpriced(case: _Case) -> Iterator[Complaint]:
    if not case.bounds.weighed:
        yield Complaint(
            Reason.PRICE_UNKNOWN,
            "costCeilingPerHour is not followed: the price of these GPUs is not known",
        )


def _too_dear(case: _Case) -> Iterator[Complaint]:
    if case.bounds.too_dear and case.facts.price is not None:
        hourly = wording.money(case.facts.price * case.facts.gpus)
        yield Complaint(
            Reason.CEILING_TOO_LOW,
            f"one replica costs {hourly} per hour, more than costCeilingPerHour; one stays",
        )


def _mistaken(case: _Case) -> Iterator[Complaint]:
    for name, why in sorted(case.policy.mistakes.items()):
        yield Complaint(Reason.SCHEDULE_INVALID, f"schedule {name} is not followed: {why}")


CHECKS: tuple[Callable[[_Case], Iterator[Complaint]], ...] = (
    _contested,
    _failing,
    _missing,
    _asleep,
    _too_dear,
    _unpriced,
    _mistaken,
)
