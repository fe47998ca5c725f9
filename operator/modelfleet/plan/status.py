"""The one author of a Model's status: the summary, its figures, and what is worth an event."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from modelfleet.api import labels
from modelfleet.api.conditions import Condition, ConditionType, Reason
from modelfleet.api.v1alpha1.model import Model, ModelStatus
from modelfleet.api.v1alpha1.rollout import RolloutStatus
from modelfleet.plan import names
from modelfleet.plan.autoscaling import Scale
from modelfleet.plan.census import census_of, old_revisions, ready_in
from modelfleet.plan.diagnosis import Diagnosis, diagnose
from modelfleet.plan.diagnosis.text import quoted
from modelfleet.plan.rollout import Progress, Rollout, remembered
from modelfleet.plan.sleep import sleep_of
from modelfleet.plan.startup import phases_for
from modelfleet.plan.verdict import MOST_BYTES, Verdict, conditions_for, notices_between, within
from modelfleet.plan.world import Notice, Observed, Pod, Unreadable

Problem = tuple[Reason, str]

ROUTINE = frozenset(
    {
        Reason.CREATING,
        Reason.SCHEDULING,
        Reason.PULLING_IMAGE,
        Reason.LOADING_MODEL,
        Reason.WAITING_FOR_CAPACITY,
    }
)
"""What every rollout goes through, so that while one is under way it says so instead."""


def status_for(
    model: Model, seen: Observed, wanted: str | None, rollout: Rollout, problem: Problem | None
) -> ModelStatus:
    """Return the whole status. `wanted` is None where `problem` says why the spec cannot be met."""
    old = model.status
    serving = tuple(pod for pod in seen.pods if not pod.terminating and not pod.finished)
    verdict = _verdict(model, seen, wanted, rollout, problem)
    generation = model.metadata.generation
    namespace, name = model.metadata.namespace, names.service(model)
    return ModelStatus(
        observed_generation=generation,
        conditions=conditions_for(verdict, generation, old.conditions, seen.now),
        replicas=len(serving),
        ready_replicas=sum(pod.ready for pod in serving),
        desired_replicas=model.spec.replicas,
        selector=f"{labels.MODEL}={model.metadata.name}",
        endpoint=f"http://{name}.{namespace}.svc/v1",
        current_revision=wanted or old.current_revision,
        stable_revision=_stable(model, seen, wanted, rollout),
        startup=phases_for(serving) or old.startup,
        rollout=_rollout_status(old.rollout, wanted, rollout, serving),
        cost=seen.cost or old.cost,
    )


def scaled(status: ModelStatus, scale: Scale, now: datetime) -> ModelStatus:
    """Add what a policy has decided, where one does."""
    conditions = (*status.conditions, *scale.condition(now))
    return status.model_copy(update={"autoscaling": scale.status, "conditions": conditions})


def _rollout_status(
    old: RolloutStatus | None, wanted: str | None, rollout: Rollout, serving: Sequence[Pod]
) -> RolloutStatus | None:
    """Return what an exchange is at; nothing where there is none. A held canary is remembered."""
    message = within(rollout.because, MOST_BYTES)
    if rollout.held and old is not None and old.strategy == "Canary":
        return old.model_copy(update={"message": message})
    if wanted is None or rollout.strategy is None:
        return None
    ready = [pod for pod in serving if pod.ready]
    new = sum(pod.revision == wanted for pod in ready)
    progress = rollout.progress
    return RolloutStatus(
        strategy=rollout.strategy,
        revision=wanted,
        weight=_weight(wanted, rollout.route, new, len(ready)),
        message=message,
    ).model_copy(update=remembered(progress, rollout.steps) if progress else {})


def _weight(wanted: str, route: str | None, new: int, ready: int) -> int | None:
    """Return the share of requests that reach the new revision: of its ready replicas, by count."""
    if route is not None:
        return 100 if route == wanted else 0
    return round(100 * new / ready) if ready else None


def unreadable_status_for(broken: Unreadable, now: datetime) -> ModelStatus:
    """Return the status of a Model that does not parse; what is known of it stays."""
    message = f"the spec cannot be read: {quoted(broken.error, 700)}. Apply a corrected spec"
    verdict = Verdict(Reason.INVALID_SPEC, message, ConditionType.STALLED)
    conditions = conditions_for(verdict, broken.generation, broken.old.conditions, now)
    return broken.old.model_copy(
        update={
            "observed_generation": broken.generation,
            "conditions": conditions,
        }
    )


def held_up_status_for(model: Model, error: str, now: datetime) -> ModelStatus:
    """Return the status of a Model whose children cannot be written for some time.

    One that is ready stays so: what could not be written may not matter to its users.
    """
    old, generation = model.status, model.metadata.generation
    if old.observed_generation == generation and (ConditionType.READY, "True") in _truths(
        old.conditions
    ):
        return old
    message = f"writing fails for now: {quoted(error, 700)}. It is tried again by itself"
    verdict = Verdict(Reason.HELD_UP, message, ConditionType.RECONCILING)
    return old.model_copy(
        update={
            "observed_generation": generation,
            "conditions": conditions_for(verdict, generation, old.conditions, now),
        }
    )


def notices_for(old: ModelStatus, new: ModelStatus) -> tuple[Notice, ...]:
    """Return the events of this change: ready, or a person is needed. Phases are no events."""
    return notices_between(old.conditions, new.conditions)


def is_urgent(old: ModelStatus, new: ModelStatus) -> bool:
    """Return whether somebody may wait for this change; else it may be written with the next.

    Clients wait for the generation, for `Ready` and for `Stalled`; routes and scalers look at
    whether anything is ready at all. Messages, phases and counts may be seconds late.
    """
    return _what_clients_wait_for(old) != _what_clients_wait_for(new)


def _what_clients_wait_for(status: ModelStatus) -> tuple[object, ...]:
    return (
        status.observed_generation,
        _truths(status.conditions),
        status.ready_replicas > 0,
        0 < status.replicas <= status.ready_replicas,
        status.current_revision,
        status.stable_revision,
        status.autoscaling,
        *_what_the_next_look_acts_on(status.rollout),
    )


def _what_the_next_look_acts_on(rollout: RolloutStatus | None) -> tuple[object, ...]:
    if rollout is None or rollout.strategy != "Canary":
        return ()
    return (rollout.step, rollout.step_started_at, rollout.failed_revision, rollout.memory)


def _truths(conditions: Iterable[Condition]) -> frozenset[tuple[str, str]]:
    told = (ConditionType.READY, ConditionType.STALLED)
    return frozenset((one.type, one.status) for one in conditions if one.type in told)


def _stable(model: Model, seen: Observed, wanted: str | None, rollout: Rollout) -> str | None:
    """Return the revision that was fully ready last. Scaled to zero, nothing is proven.

    A canary proves itself by its steps, not by being ready.
    """
    count = model.spec.replicas
    judged = rollout.progress is not None and not rollout.progress.promoted
    whole = wanted is not None and 0 < count <= census_of(wanted, seen).ready
    return wanted if whole and not judged else model.status.stable_revision


def _verdict(
    model: Model, seen: Observed, wanted: str | None, rollout: Rollout, problem: Problem | None
) -> Verdict:
    """Tell a problem of the spec first, then of the pods, then what is still under way."""
    others = _still_serving(seen, wanted)
    if problem is not None or wanted is None:
        reason, message = problem or (Reason.INVALID_SPEC, rollout.because)
        return Verdict(reason, _beside(message, others), ConditionType.STALLED)
    if rollout.progress is not None and not rollout.progress.promoted:
        return _of_canary(model, seen, rollout, rollout.progress, others)
    trouble = diagnose(model, seen, wanted)
    if trouble is not None and not (others and trouble.reason in ROUTINE):
        return Diagnosis(
            trouble.reason, _beside(trouble.message, others), trouble.stalled
        ).verdict()
    if unfinished := _under_way(model, seen, wanted, others):
        told = f"{unfinished}; {rollout.because}{_homeless(seen, wanted, trouble)}"
        message = within(told, MOST_BYTES)
        return Verdict(Reason.ROLLING_OUT, message, ConditionType.RECONCILING)
    return _all_well(model, seen, wanted)


def _of_canary(
    model: Model, seen: Observed, rollout: Rollout, progress: Progress, others: str
) -> Verdict:
    """Tell the step, or why it was given up. `Ready` is True while enough replicas serve."""
    serving = [pod for pod in seen.pods if pod.ready and not pod.terminating and not pod.finished]
    reached = [pod for pod in serving if rollout.route in (None, pod.revision)]
    serves = 0 < model.spec.replicas <= len(reached)
    if progress.failed:
        reason, message = Reason.ROLLOUT_FAILED, _given_up(model, rollout.because, others)
        return Verdict(reason, message, ConditionType.STALLED, serves)
    trouble = diagnose(model, seen, progress.revision)
    if trouble is None or trouble.reason in ROUTINE:
        told = f"{rollout.because}{_homeless(seen, progress.revision, trouble)}"
        message = within(told, MOST_BYTES)
        return Verdict(Reason.ROLLING_OUT, message, ConditionType.RECONCILING, serves)
    kind = ConditionType.STALLED if trouble.stalled else ConditionType.RECONCILING
    return Verdict(trouble.reason, _beside(trouble.message, others), kind, serves)


def _homeless(seen: Observed, wanted: str, trouble: Diagnosis | None) -> str:
    """Return what keeps a new pod from every node, where something does."""
    pods = (pod for pod in seen.pods if pod.revision == wanted and not pod.terminating)
    refused = any(pod.unschedulable is not None for pod in pods)
    return f"; {trouble.message}" if trouble is not None and refused else ""


def _given_up(model: Model, why: str, others: str) -> str:
    """Keep what to do whole."""
    meta = model.metadata
    remedy = (
        f"Change the spec, or try it again: kubectl annotate model -n {meta.namespace} "
        f"{meta.name} --overwrite {labels.RETRY}=<any new value>"
    )
    rest = f". {remedy}; {others}" if others else f". {remedy}"
    return within(why, MOST_BYTES - len(rest.encode())) + rest


def _all_well(model: Model, seen: Observed, wanted: str) -> Verdict:
    count = model.spec.replicas
    policy = model.spec.autoscaling is not None
    if not count and sleep_of(model) is not None and (seen.gateways or not policy):
        return Verdict(Reason.ASLEEP, _sleeping(model, seen))
    if not count:
        return Verdict(Reason.SCALED_TO_ZERO, _asleep(model))
    ready = "1 replica is" if count == 1 else f"{count} replicas are"
    return Verdict(Reason.ALL_REPLICAS_READY, f"{ready} ready, all of revision {wanted}")


def _asleep(model: Model) -> str:
    if model.spec.autoscaling is None:
        return "scaled to zero; raise spec.replicas to serve it"
    return "scaled to zero by its policy; raise spec.autoscaling.minReplicas to serve it"


def _sleeping(model: Model, seen: Observed) -> str:
    if seen.gateways:
        return "asleep; the next request wakes it, and is held until it is ready"
    meta = model.metadata
    wake = f"kubectl annotate model -n {meta.namespace} {meta.name} {labels.SLEEP}-"
    return f"asleep, and no gateway is there to hold requests, so they are refused. Wake it: {wake}"


def _under_way(model: Model, seen: Observed, wanted: str, others: str) -> str:
    """Return what the rollout has reached, or nothing when it is over."""
    census = census_of(wanted, seen)
    count = model.spec.replicas
    excess = len(census.alive) - count
    if others or census.ready < count:
        reached = f"{census.ready} of {count} replicas of revision {wanted} ready"
        return f"{reached}; {others}" if others else reached
    return f"{_replicas(excess)} too many {_verb(excess)} leaving" if excess > 0 else ""


def _still_serving(seen: Observed, wanted: str | None) -> str:
    """Return which other revisions still have pods or are asked to have some."""
    others = [one for one in old_revisions(wanted, seen) if one.alive or one.asked]
    if not others:
        return ""
    which = others[-1].revision if len(others) == 1 else f"{len(others)} other revisions"
    of = f"of revision {which}" if len(others) == 1 else f"of {which}"
    ready = ready_in(others)
    if not ready:
        return f"no replica {of} serves"
    return f"{ready} {of} still {'serves' if ready == 1 else 'serve'}"


def _beside(message: str, others: str) -> str:
    """Add who still serves; where both are too long, the message is cut."""
    if not others:
        return message
    return f"{within(message, MOST_BYTES - len(others.encode()) - 2)}; {others}"


def _replicas(count: int) -> str:
    return "1 replica" if count == 1 else f"{count} replicas"


def _verb(count: int) -> str:
    return "is" if count == 1 else "are"
