"""Why a revision is not fully ready: the cause, the facts, and what to do."""

from modelfleet.api.v1alpha1.model import Model
from modelfleet.plan.diagnosis import (
    capacity,
    containers,
    exits,
    images,
    phases,
    refusals,
    scheduling,
)
from modelfleet.plan.diagnosis.case import Case, Check, Diagnosis
from modelfleet.plan.world import Observed

CHECKS: tuple[Check, ...] = (
    images.image_pull,
    containers.container_error,
    exits.out_of_memory,
    exits.deadline_passed,
    exits.crash_loop,
    refusals.quota_exceeded,
    refusals.pods_refused,
    scheduling.claim_missing,
    exits.evicted_often,
    phases.paused,
    capacity.node_lost,
    exits.silent,
    exits.restarting,
    capacity.stuck_leaving,
    capacity.no_capacity,
    scheduling.too_large,
    scheduling.unschedulable,
    exits.replaced,
    phases.starting,
    phases.creating,
)
"""In order of importance. What a person must do goes before all that passes by itself."""


def diagnose(model: Model, seen: Observed, wanted: str) -> Diagnosis | None:
    """Return why fewer replicas of revision `wanted` are ready than asked for, or None.

    With all of them ready it may still be told that `spec.paused` keeps other revisions running.

    Equal for worlds that differ only in the order of pods, and for two instants between which no
    deadline passes: what comes of it is a status, and a status is no clock.
    """
    case = Case(model, seen, wanted)
    if case.census.ready >= model.spec.replicas:
        return phases.paused(case)
    found = [why for check in CHECKS if (why := check(case))]
    return next((why for why in found if why.stalled), found[0] if found else None)


__all__ = ["Diagnosis", "diagnose"]
