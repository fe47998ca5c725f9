"""How many replicas each live revision gets, and which of them take traffic.

Nothing is remembered but the progress of a canary, and that in the Model's status: the answer
follows from it, pods, Deployments, the Service and free GPUs alone. Carried out and asked again
before anything else has happened, it comes to rest at once or after a few looks.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from modelfleet.api.v1alpha1.model import Model
from modelfleet.api.v1alpha1.rollout import Strategy
from modelfleet.plan.census import Census, census_of, old_revisions
from modelfleet.plan.rollout.bluegreen import blue_green
from modelfleet.plan.rollout.canary import canary
from modelfleet.plan.rollout.evidence import needs_probes
from modelfleet.plan.rollout.exchange import exchange
from modelfleet.plan.rollout.progress import Progress, progress_of, remembered
from modelfleet.plan.rollout.situation import Situation
from modelfleet.plan.rollout.step import Rollout
from modelfleet.plan.world import Observed

STRATEGIES: Mapping[Strategy, Callable[[Situation], Rollout]] = {
    "Auto": exchange,
    "Surge": exchange,
    "Replace": exchange,
    "BlueGreen": blue_green,
    "Canary": canary,
}


def rollout_for(model: Model, wanted: str | None, seen: Observed) -> Rollout:
    """Return the next step. `wanted` is None while the spec cannot be met."""
    if model.spec.paused:
        return _as_it_is(seen)
    if wanted is None:
        return _kept(model, seen, "the spec cannot be met")
    old = (*old_revisions(wanted, seen), *_kept_for(model, wanted, seen))
    emptied = dict.fromkeys(seen.deployments, 0)
    if not old:
        return Rollout(
            replicas={**emptied, wanted: model.spec.replicas},
            because=f"revision {wanted} is the only one",
            done=True,
        )
    if model.spec.rollout.paused and not _is_judged(model, wanted):
        held = _kept(model, seen, "spec.rollout.paused holds the rollout where it is")
        return replace(held, done=False)
    situation = Situation(model, census_of(wanted, seen), old, seen)
    step = STRATEGIES[model.spec.rollout.strategy](situation)
    return replace(step, replicas={**emptied, **step.replicas})


def _kept_for(model: Model, wanted: str, seen: Observed) -> tuple[Census, ...]:
    """Return the stable revision where it has no pod and the wanted one must not be started."""
    stable = model.status.stable_revision
    if stable is None or stable == wanted or not _is_canary(model):
        return ()
    known = any(one.hash == stable for one in seen.revisions)
    if not known or not progress_of(model, wanted).failed:
        return ()
    present = any(one.revision == stable for one in old_revisions(wanted, seen))
    return () if present else (census_of(stable, seen),)


def _is_judged(model: Model, wanted: str) -> bool:
    """Return whether a step is up, or was given up: a pause holds the steps, not the judges."""
    if not _is_canary(model):
        return False
    progress = progress_of(model, wanted)
    return progress.failed or (progress.started_at is not None and not progress.promoted)


def _is_canary(model: Model) -> bool:
    return model.spec.rollout.strategy == "Canary" and not model.spec.rollout.pin_revision


def _as_it_is(seen: Observed) -> Rollout:
    asked = {one: deployment.replicas for one, deployment in seen.deployments.items()}
    return Rollout(
        replicas=asked,
        because="spec.paused holds everything as it is",
        route=seen.route,
        held=True,
    )


def _kept(model: Model, seen: Observed, why: str) -> Rollout:
    """Leave what runs alone; only the revision that serves follows spec.replicas."""
    count = model.spec.replicas
    asked = {one: min(count, live.replicas) for one, live in sorted(seen.deployments.items())}
    if not asked:
        return Rollout(replicas={}, because=f"{why}, and nothing runs", held=True, done=True)
    route = seen.route if seen.route in asked else None
    stable = route or _stable(model, asked, seen)
    others = 0 if route else sum(asked.values()) - asked[stable]
    asked[stable] = max(asked[stable], count - others)
    return Rollout(
        replicas=asked,
        because=f"{why}, so revision {stable} stays",
        route=route,
        held=True,
        done=len(asked) == 1,
    )


def _stable(model: Model, asked: Mapping[str, int], seen: Observed) -> str:
    """Return the revision that was fully ready last, or else the one that is most so now."""
    stable = model.status.stable_revision
    if stable is not None and stable in asked:
        return stable
    return max(asked, key=lambda one: (census_of(one, seen).ready, asked[one], one))


__all__ = ["Progress", "Rollout", "needs_probes", "remembered", "rollout_for"]
