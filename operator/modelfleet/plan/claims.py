"""GPUs that were promised and are not bound yet, so that two rollouts never count on the same one.

Between the decision to start a replica and the scheduler's binding lie some hundred milliseconds in
which the GPU looks free. And a Model that gives up an old replica on a full pool comes back for its
GPU once that is free, which may take as long as a drain. Both are a Model's claim; every other
Model leaves so much alone.

What a Model has given up, and what is free by now, it may take whatever others claim: there is a
GPU for each of theirs as well. So Models that exchange replicas at once never wait for each other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from modelfleet.api.v1alpha1.model import Model
from modelfleet.plan.census import census_of, is_broken
from modelfleet.plan.headroom import fitting, room_for
from modelfleet.plan.pools import candidates_for
from modelfleet.plan.world import Claim, Observed, Pod, Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation(Claim):
    """A claim with replicas that no Deployment asks for yet, because their GPUs are not free."""

    due: int
    """Replicas that a rollout has given up and comes back for."""


def claim_for(model: Model, replicas: Mapping[str, int], seen: Observed) -> Claim | None:
    """Return what a Model is about to take beyond what its pods hold, or None."""
    gpus = model.spec.resources.gpus
    asked = sum(_on_their_way(model, one, count, seen) for one, count in replicas.items())
    due = _due(model, replicas, seen)
    if not gpus or not asked + due:
        return None
    pools = frozenset(pool.name for pool in candidates_for(model, seen.pools))
    if not due:
        return Claim(gpus=gpus, replicas=asked, pools=pools)
    return Reservation(gpus=gpus, replicas=asked, due=due, pools=pools)


def _on_their_way(model: Model, revision: str, count: int, seen: Observed) -> int:
    """Return the replicas that would take a free GPU now.

    A pod that lacks something else than GPUs, and one that the API server refuses, would not:
    they may wait for ever, and nobody else should have to.
    """
    census = census_of(revision, seen)
    lacking = sum(_lacks_something_else(model, pod, seen) for pod in census.alive)
    live = seen.deployments.get(revision)
    refused = max(0, count - len(census.alive)) if live and live.failure else 0
    return max(0, count - len(census.placed) - lacking - refused)


def _lacks_something_else(model: Model, pod: Pod, seen: Observed) -> bool:
    if pod.node or not pod.unschedulable:
        return False
    pools = candidates_for(model, seen.pools)
    return not any(pool.pool.spec.resource_name in pod.unschedulable for pool in pools)


def _due(model: Model, replicas: Mapping[str, int], seen: Observed) -> int:
    """Return the replicas that are missing while revisions are exchanged, and not asked for.

    Nothing is reserved for what would fail once more, and blue-green gives nothing up.
    """
    kept = model.status.rollout
    given_up = kept.failed_revision if kept else None
    pods = (pod for pod in seen.pods if not pod.terminating and pod.revision != given_up)
    failing = any(is_broken(pod) for pod in pods)
    if failing or len(replicas) < 2 or model.spec.rollout.strategy == "BlueGreen":
        return 0
    return max(0, model.spec.replicas - sum(replicas.values()))


def room_left(model: Model, pools: Iterable[Pool], seen: Observed) -> int | None:
    """Return how many replicas may start now, or None where no GPU is needed."""
    gpus, candidates = model.spec.resources.gpus, tuple(pools)
    free = room_for(gpus, candidates)
    if free is None:
        return None
    spare = free - taken_by(seen.claims, gpus, candidates)
    spare -= taken_by(map(_of_due, seen.claims), gpus, candidates)
    return max(0, spare, min(free, _given_up(model, seen)))


def _of_due(claim: Claim) -> Claim:
    due = claim.due if isinstance(claim, Reservation) else 0
    return Claim(gpus=claim.gpus, replicas=due, pools=claim.pools)


def _given_up(model: Model, seen: Observed) -> int:
    """Return how many replicas are missing of which the GPUs should be free by now."""
    live = {*seen.deployments, *(pod.revision for pod in seen.pods)}
    found = [census_of(one, seen) for one in live]
    held = sum(max(one.asked, len(one.alive)) + one.leaving for one in found)
    asked = sum(one.unplaced for one in found)
    return max(0, model.spec.replicas - held) + asked


def taken_by(claims: Iterable[Claim], gpus: int, pools: Iterable[Pool]) -> int:
    """Return for how many replicas of `gpus` GPUs the claims of others leave no room, at most.

    One claimed replica of g GPUs on a node takes room for at most ceil(g / gpus) of ours. A claim
    that fits nowhere now takes nothing now: its pods wait for larger blocks.
    """
    candidates = tuple(pools)
    names = {pool.name for pool in candidates}
    taken = 0
    for claim in claims:
        if claim.pools & names:
            fit = sum(fitting(pool.free_blocks, claim.gpus) for pool in candidates)
            taken += min(claim.replicas, fit) * -(-claim.gpus // gpus)
    return taken
