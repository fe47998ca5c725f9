"""Canary: a few replicas of the new revision, judged against the stable ones at the same time.

What a look finds out is told as progress, and goes into the status; only the next look, which reads
it there, scales or binds anything. Nothing between two writes is lost with an operator.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from modelfleet.api import labels
from modelfleet.api.v1alpha1.rollout import CanaryStep
from modelfleet.plan.analysis import Verdict
from modelfleet.plan.census import Census, ready_in
from modelfleet.plan.headroom import shortfall
from modelfleet.plan.rollout.evidence import Finding, judged, next_judgement, why_broken
from modelfleet.plan.rollout.exchange import OTHERS_FIRST, exchange
from modelfleet.plan.rollout.progress import Progress, progress_of
from modelfleet.plan.rollout.retreat import linger, retreat, superseded
from modelfleet.plan.rollout.share import Share, possible, share_for, toward
from modelfleet.plan.rollout.situation import Situation
from modelfleet.plan.rollout.step import Rollout

DEFAULT_STEPS = (
    CanaryStep(weight=10, duration_seconds=300),
    CanaryStep(weight=50, duration_seconds=600),
)

SOON = timedelta(milliseconds=100)
"""When to act on what was found out just now."""

COMING_UP = timedelta(seconds=30)
"""A safety net only: pods wake the Model when they change."""


def canary(at: Situation) -> Rollout:
    """Take the next look at a canary."""
    progress = progress_of(at.model, at.new.revision)
    stable = baseline(at)
    if stable is None or at.model.spec.rollout.pin_revision:
        return exchange(at)  # nothing to compare with, or a person has decided
    if at.new.revision == at.model.status.stable_revision:
        return retreat(at, f"back to the stable revision {at.new.revision}", at_once=False)
    if progress.failed:
        return _given_up(at, stable, progress)
    if progress.promoted or not at.count:
        return _promoted(at, progress)
    return _stepping(at, stable, progress)


def baseline(at: Situation) -> Census | None:
    """Return what the canary is compared with: the stable revision, or the one with most ready.

    None where no revision was ever whole: then any new one is an improvement.
    """
    stable = at.model.status.stable_revision
    if stable is None or not at.old:
        return None
    found = next((one for one in at.old if one.revision == stable), None)
    best = max(at.old, key=lambda one: (one.ready, one.number))
    is_there = found is not None and (found.asked or found.alive)
    return found if is_there or not best.ready else best


def steps_of(at: Situation) -> Sequence[CanaryStep]:
    """Return the steps that the user wants, or the default ones."""
    return at.model.spec.rollout.canary.steps or DEFAULT_STEPS


# --- the ends ---------------------------------------------------------------------


def _given_up(at: Situation, stable: Census, progress: Progress) -> Rollout:
    step = retreat(at.reverse(stable), _why_given_up(progress), at_once=True)
    return replace(step, progress=progress, steps=len(steps_of(at)))


def _promoted(at: Situation, progress: Progress) -> Rollout:
    step = exchange(at)
    told = f"the canary of revision {progress.revision} was promoted; {step.because}"
    because = told if progress.promoted else step.because
    steps = len(steps_of(at))
    return replace(step, strategy="Canary", because=because, progress=progress, steps=steps)


# --- a step -----------------------------------------------------------------------


def _stepping(at: Situation, stable: Census, progress: Progress) -> Rollout:
    """Bring up this step's replicas, and judge them until the step is over."""
    steps = steps_of(at)
    progress = replace(progress, step=min(progress.step, len(steps)))
    step = steps[progress.step - 1]
    before = superseded(at, stable)
    if ready_in(before) > stable.ready:
        return _first(at, stable, progress)
    share = share_for(at, stable, step.weight)
    goal = possible(at, share)
    next_up = _after(at, stable, progress, step, goal)
    changed = next_up != progress
    return Rollout(
        replicas=_replicas(at, stable, toward(at, stable, share)),
        because=_found(at, progress, next_up, step, goal),
        strategy="Canary",
        route=stable.revision if stable.ready and linger(before) else None,
        progress=next_up,
        steps=len(steps),
        compares=True,
        look_again_in=SOON if changed else _pause(at, progress),
        waits_for_capacity=at.room is not None and at.new.asked < goal.new,
    )


def _first(at: Situation, stable: Census, progress: Progress) -> Rollout:
    """Bring the stable revision back before anything new is tried."""
    why = f"replicas of a revision that is not wanted any more give way to {stable.revision} first"
    step = retreat(at.reverse(stable), why, at_once=False)
    return replace(step, progress=progress, steps=len(steps_of(at)))


def _replicas(at: Situation, stable: Census, now: Share) -> dict[str, int]:
    others = {one.revision: 0 for one in at.old}
    return {**others, stable.revision: now.old, at.new.revision: now.new}


def _goes_on(after: Progress, before: Progress) -> bool:
    """Return whether a step is still the same, so that its news can be told with it."""
    return after.step == before.step and not after.promoted


def _pause(at: Situation, progress: Progress) -> timedelta:
    return next_judgement(at, progress) if progress.started_at else COMING_UP


def _after(
    at: Situation, stable: Census, progress: Progress, step: CanaryStep, goal: Share
) -> Progress:
    """Return what this look has found out."""
    if broken := why_broken(at):
        return progress.failing(broken)
    if progress.started_at is None:
        up = at.new.ready >= goal.new and not linger(superseded(at, stable))
        now = at.seen.now.replace(microsecond=0)
        return replace(progress, started_at=now) if up else progress
    found = judged(at, stable, progress)
    if found is None:
        return progress
    progress = replace(
        progress,
        verdict=found.judgement.verdict.value,
        evidence=found.evidence,
        memory=found.memory,
    )
    if found.judgement.verdict is Verdict.FAIL:
        return progress.failing(found.evidence)
    return _at_its_end(at, progress, step, found, at.new.ready >= goal.new)


def _at_its_end(
    at: Situation, progress: Progress, step: CanaryStep, found: Finding, whole: bool
) -> Progress:
    """Go on, or wait: for time, for replicas, for more requests or for a person."""
    assert progress.started_at is not None
    lasts = timedelta(seconds=step.duration_seconds)
    waits = step.pause is not None or at.model.spec.rollout.paused or not whole
    if waits or found.until - progress.started_at < lasts:
        return progress
    if found.judgement.verdict is Verdict.PASS:
        return progress.passing(len(steps_of(at)))
    match at.analysis.on_inconclusive:
        case "Abort":
            undecided = f"step {progress.step} was not decided within {step.duration_seconds} s"
            return progress.failing(f"{undecided}: {found.evidence}")
        case "Continue" if not found.judgement.suspicious:
            return progress.passing(len(steps_of(at)))
        case _:
            return progress


# --- words ------------------------------------------------------------------------


def _why_given_up(progress: Progress) -> str:
    return f"revision {progress.revision} was given up: {progress.evidence}"


def _found(at: Situation, before: Progress, after: Progress, step: CanaryStep, goal: Share) -> str:
    """Tell the step with its news, or its end. The next step is told when it is looked at."""
    if after.failed:
        return _why_given_up(after)
    return _because(at, after if _goes_on(after, before) else before, step, goal)


def _because(at: Situation, progress: Progress, step: CanaryStep, goal: Share) -> str:
    """Nothing in it changes with time alone: it is part of a status."""
    parts = [f"{goal.new} new and {goal.old} old replicas, {goal.percent} % of the requests"]
    if at.model.spec.rollout.paused:
        parts.append("spec.rollout.paused holds it in this step")
    parts.append(_doing(at, progress, step, goal))
    if progress.evidence and progress.started_at:
        parts.append(progress.evidence)
    return f"canary step {progress.step} of {len(steps_of(at))}: {'; '.join(parts)}"


def _doing(at: Situation, progress: Progress, step: CanaryStep, goal: Share) -> str:
    if progress.started_at is None:
        return _coming_up(at, goal)
    if step.pause is not None:
        return (
            f"it is judged until a person promotes it: kubectl annotate model "
            f"{at.model.metadata.name} {labels.PROMOTE}={progress.revision}"
        )
    return f"it is judged for {step.duration_seconds} s at least"


def _coming_up(at: Situation, goal: Share) -> str:
    if at.new.asked >= goal.new or not at.full:
        return "its replicas come up"
    lack = shortfall(at.gpus, at.pools) if at.room is not None else "no node takes a new replica"
    if at.count == 1:
        return f"{lack}; a canary of one replica needs room for a second, and waits for it"
    if at.yields and at.fitting:
        return f"{lack}; {OTHERS_FIRST}"
    if not at.helps:
        return f"{lack}; no old replica holds such a GPU, so it waits for room"
    if at.at_its_floor:
        return f"{lack}; minAvailable {at.floor} lets no old replica give way, so it waits for room"
    return f"{lack}; old replicas give way one at a time"
