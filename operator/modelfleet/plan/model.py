"""The contents page of all decisions about one Model."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from modelfleet.api.conditions import ConditionType, Reason
from modelfleet.api.v1alpha1.model import Model, ModelStatus
from modelfleet.plan import engine as engine_plan
from modelfleet.plan import names, pools, revision
from modelfleet.plan.autoscaling import scale_for
from modelfleet.plan.claims import claim_for
from modelfleet.plan.leaving import leavers_for, marks_for, replicas_now
from modelfleet.plan.objects.deployment import deployment_for
from modelfleet.plan.objects.disruption import disruption_budget_for
from modelfleet.plan.objects.pod import pod_template_for
from modelfleet.plan.objects.revision import controller_revision_for
from modelfleet.plan.objects.service import service_for
from modelfleet.plan.objects.serviceaccount import service_account_for
from modelfleet.plan.rollout import Rollout, needs_probes, rollout_for
from modelfleet.plan.sleep import sleep_for
from modelfleet.plan.status import notices_for, scaled, status_for, unreadable_status_for
from modelfleet.plan.world import Manifest, Observed, Plan, Ref, Revision, Unreadable

Problem = tuple[Reason, str]

SETTLED = timedelta(minutes=10)
UNSETTLED = timedelta(seconds=30)
"""A safety net only: pods, nodes and pools wake the Model by themselves when they change."""

MARGIN = timedelta(seconds=1)
"""Timestamps of the API server have whole seconds."""


def plan_for(model: Model, seen: Observed) -> Plan:
    """Decide what to write, report and wait for. Total: every input has a plan."""
    if model.metadata.deletion_timestamp:
        return Plan(status=model.status)  # the garbage collector takes the children

    scale = scale_for(model, seen)
    sleep = sleep_for(scale.model, seen)
    model = sleep.model
    problem = why_impossible(model, seen)
    wanted = None if problem else wanted_revision(model, seen)
    rollout = rollout_for(model, wanted.hash if wanted else None, seen)
    leavers = leavers_for(rollout.replicas, seen)
    rollout = replace(rollout, replicas=replicas_now(rollout.replicas, seen))
    status = scaled(
        status_for(model, seen, wanted.hash if wanted else None, rollout, problem), scale, seen.now
    )
    idle = model.spec.paused or bool(seen.taken)
    return Plan(
        status=status,
        apply=() if idle else (*objects_for(model, seen, wanted, rollout), *sleep.activator),
        delete=() if idle else tuple(leftovers(model, seen, wanted, rollout)),
        marks=() if idle else marks_for(leavers, seen),
        notices=(*notices_for(model.status, status), *scale.notices(seen.now)),
        memory=scale.memory,
        watches_load=rollout.strategy is not None,
        compares=rollout.compares,
        probes=rollout.compares and needs_probes(model.spec.rollout.canary.analysis, seen.engine),
        claim=claim_for(model, rollout.replicas, seen),
        gateway_port=sleep.port,
        waits_for_capacity=rollout.waits_for_capacity,
        look_again_in=min(next_look(model, seen, status), rollout.look_again_in or SETTLED),
    )


def next_look(model: Model, seen: Observed, status: ModelStatus) -> timedelta:
    """Return when to look again if nothing happens: when a start becomes late, at the latest."""
    if all(one.status == "True" for one in status.conditions if one.type == ConditionType.READY):
        return SETTLED
    deadline = timedelta(seconds=model.spec.startup.deadline_seconds)
    starts = (pod.started_at or pod.scheduled_at for pod in seen.pods if not pod.ready)
    left = [start + deadline - seen.now for start in starts if start]
    return min([UNSETTLED, *(one + MARGIN for one in left if one > timedelta())])


def unreadable_plan_for(broken: Unreadable, now: datetime) -> Plan:
    """Leave the children of an object that does not parse as they are, and say so."""
    status = unreadable_status_for(broken, now)
    return Plan(status=status, notices=notices_for(broken.old, status), look_again_in=SETTLED)


def refused_before(_: Model, seen: Observed) -> Problem | None:
    """Report what the API server refused for good when we wrote last."""
    if not seen.refused:
        return None
    return Reason.REQUEST_REFUSED, f"{seen.refused[0]}. Change the spec or the policy that refuses."


def name_taken(_: Model, seen: Observed) -> Problem | None:
    """Never take over an object that is somebody else's."""
    if not seen.taken:
        return None
    which = ", ".join(seen.taken)
    return (
        Reason.NAME_TAKEN,
        f"{which} exists and is not this Model's: rename or delete one of them",
    )


def pin_unknown(model: Model, seen: Observed) -> Problem | None:
    """Only a revision that is kept can be gone back to."""
    pinned, kept = model.spec.rollout.pin_revision, [one.hash for one in seen.revisions]
    if pinned is None or pinned in kept:
        return None
    return Reason.INVALID_SPEC, (
        f"spec.rollout.pinRevision: there is no kept revision {pinned}; "
        f"kept are {', '.join(kept) or 'none'}. Name one of them, or take the pin away"
    )


def engine_unknown(model: Model, seen: Observed) -> Problem | None:
    """Name the engines that there are. A kept revision was rendered long ago and needs none."""
    if seen.engine is not None or is_kept(model, seen):
        return None
    known = ", ".join(seen.known_engines)
    name = model.spec.engine.name
    return Reason.UNKNOWN_ENGINE, (
        f"spec.engine.name: there is no engine {name!r}; use one of {known}, or create an Engine"
    )


def engine_unusable(model: Model, seen: Observed) -> Problem | None:
    """Say what the engine cannot do with this spec."""
    if seen.engine is None or is_kept(model, seen):
        return None
    return engine_plan.why_unusable(model, seen.engine)


def unplaceable(model: Model, seen: Observed) -> Problem | None:
    """Say which pool is missing or can never hold a replica."""
    return pools.why_unplaceable(model, seen.pools)


CHECKS: tuple[Callable[[Model, Observed], Problem | None], ...] = (
    name_taken,
    pin_unknown,
    engine_unknown,
    engine_unusable,
    unplaceable,
    refused_before,
)


def why_impossible(model: Model, seen: Observed) -> Problem | None:
    """Return the first reason why this spec cannot be carried out, or None."""
    return next((why for check in CHECKS if (why := check(model, seen))), None)


def is_kept(model: Model, seen: Observed) -> bool:
    """Return whether the wanted revision has its pod template already."""
    wanted = model.spec.rollout.pin_revision or revision.hash_for(model)
    return any(one.hash == wanted for one in seen.revisions)


def wanted_revision(model: Model, seen: Observed) -> Revision:
    """Return the revision that the spec asks for: a kept one with its own template, or a new one.

    A kept revision that is asked for again becomes the newest, as in a Deployment's history.
    """
    wanted = model.spec.rollout.pin_revision or revision.hash_for(model)
    newest = max((kept.number for kept in seen.revisions), default=0)
    kept = next((one for one in seen.revisions if one.hash == wanted), None)
    if kept and kept.number == newest:
        return kept
    return Revision(
        name=names.revision(model, wanted),
        hash=wanted,
        number=newest + 1,
        template=kept.template if kept else _rendered(model, seen),
        inputs=kept.inputs if kept else revision.inputs_for(model),
    )


def _rendered(model: Model, seen: Observed) -> Manifest:
    assert seen.engine is not None  # `engine_unknown` holds
    candidates = [pool.pool for pool in pools.candidates_for(model, seen.pools)]
    return pod_template_for(model, seen.engine, candidates)


def objects_for(
    model: Model, seen: Observed, wanted: Revision | None, rollout: Rollout
) -> Iterable[Manifest]:
    """Yield every object that must be, in the order in which it is safe to create them."""
    live = {one.hash: one for one in seen.revisions}
    if wanted:
        live[wanted.hash] = wanted
        yield controller_revision_for(model, wanted)
    if not live:
        return
    if not model.spec.pod_template.service_account_name:
        yield service_account_for(model)
    yield service_for(model, rollout.route)
    yield disruption_budget_for(model)
    for revision_hash, replicas in _shrinking_first(wanted, rollout, seen):
        if revision_hash in live:
            yield deployment_for(model, live[revision_hash], replicas)


def _shrinking_first(
    wanted: Revision | None, rollout: Rollout, seen: Observed
) -> list[tuple[str, int]]:
    """Return the Deployments to write, those that make room before those that take it.

    A crash in between then leaves room that is seen; the reverse would leave a pod that waits for
    room which nobody makes any more. An emptied Deployment is written too: it is deleted only when
    its pods are gone, since a disruption budget cannot count pods without a controller.
    """
    asked = {one: live.replicas for one, live in seen.deployments.items()}
    written = [
        (one, count)
        for one, count in sorted(rollout.replicas.items())
        if count or (wanted and one == wanted.hash) or asked.get(one)
    ]
    return sorted(written, key=lambda one: one[1] >= asked.get(one[0], 0))


def leftovers(
    model: Model, seen: Observed, wanted: Revision | None, rollout: Rollout
) -> Iterable[Ref]:
    """Yield what no longer has a purpose: emptied Deployments and revisions past the limit."""
    if wanted is None:
        return
    namespace = model.metadata.namespace
    live = {wanted.hash} | {one for one, replicas in rollout.replicas.items() if replicas}
    busy = {pod.revision for pod in seen.pods if not pod.finished}
    for revision_hash, deployment in sorted(seen.deployments.items()):
        if revision_hash not in live | busy and not deployment.replicas:
            yield Ref("Deployment", namespace, deployment.name, deployment.uid)
    kept = live | {model.status.stable_revision, *(pod.revision for pod in seen.pods)}
    idle = [one for one in seen.revisions if one.hash not in kept]
    excess = len(seen.revisions) - model.spec.revision_history_limit
    for old in idle[: max(0, excess)]:
        yield Ref("ControllerRevision", namespace, old.name, old.uid)
