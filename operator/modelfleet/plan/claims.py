"""GPUs that were promised and are not bound yet, so that two rollouts never count on the same one.

Between the decision to start a replica and the scheduler's binding lie some hundred milliseconds in
which the GPU looks free. And a Model that gives up an old replica on a full pool comes back for its
GPU once that is free, which may take as long as a drain. Both are a Model's claim; every other
Model leaves so much alone.

What a Model has given up, and what is free by now, it may take whatever others claim: there is a
GPU for each of theirs as well. So Models that exchange replicas of one size at once never wait for
each other: a replica that goes leaves room for exactly one more, and one that comes takes that of
exactly one, on whichever nodes.

Between sizes this does not hold: a replica of one GPU may land in the block of four that a large
one has just left, and the large one never finds another. So a size waits for its turn: while a
claim of another size is about to be met, a Model gives nothing up, and starts beside its old
replicas only what can spoil no place that the claim needs. A claim that nothing is about to meet
keeps nobody waiting.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from modelfleet.api.v1alpha1.model import Model
from modelfleet.plan.census import census_of, is_broken
from modelfleet.plan.headroom import fitting, room_for
from modelfleet.plan.pools import candidates_for
from modelfleet.plan.world import Claim, Observed, Pod, Pool

PATIENCE = timedelta(minutes=1)
"""After so long, what ought to have happened may never happen, and nobody else waits for it."""


def claim_for(model: Model, replicas: Mapping[str, int], seen: Observed) -> Claim | None:
    """Return what a Model is about to take beyond what its pods hold, or None."""
    gpus = model.spec.resources.gpus
    asked = sum(_on_their_way(model, one, count, seen) for one, count in replicas.items())
    due = _due(model, replicas, seen)
    if not gpus or not asked + due:
        return None
    return Claim(
        gpus=gpus,
        replicas=asked,
        pools=frozenset(pool.name for pool in candidates_for(model, seen.pools)),
        due=due,
        awaited=_awaited(replicas, seen),
        doubtful=min(asked, sum(_is_doubtful(pod, seen) for pod in seen.pods)),
    )


def standing_claim(model: Model, seen: Observed) -> Claim | None:
    """Return the claim that follows from what was written before: an operator begins with it."""
    emptied = dict.fromkeys((pod.revision for pod in seen.pods), 0)
    asked = {one: deployment.replicas for one, deployment in seen.deployments.items()}
    return claim_for(model, {**emptied, **asked}, seen)


def _awaited(replicas: Mapping[str, int], seen: Observed) -> int:
    """Return how many replicas hold GPUs that they are going to let go."""
    going = sum(_lets_go(pod, seen) for pod in seen.pods)
    live = ((census_of(one, seen), count) for one, count in replicas.items())
    return going + sum(max(0, len(census.placed) - count) for census, count in live)


def _lets_go(pod: Pod, seen: Observed) -> bool:
    """A pod that is not gone long after its grace period may stay for ever."""
    late = pod.gone_by is not None and seen.now > pod.gone_by + PATIENCE
    holds = pod.node is not None and pod.node not in seen.lost_nodes and not pod.finished
    return pod.terminating and holds and not late


def _is_doubtful(pod: Pod, seen: Observed) -> bool:
    waits = not pod.node and not pod.terminating and pod.unschedulable is not None
    return waits and pod.created_at is not None and seen.now > pod.created_at + PATIENCE


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

    Nothing is reserved for what would fail once more, or for who gives nothing up.
    """
    kept = model.status.rollout
    given_up = kept.failed_revision if kept else None
    pods = (pod for pod in seen.pods if not pod.terminating and pod.revision != given_up)
    failing = any(is_broken(pod) for pod in pods)
    gives_nothing_up = model.spec.paused or model.spec.rollout.strategy == "BlueGreen"
    if failing or gives_nothing_up or len(replicas) < 2:
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
    others = _of_other_sizes(gpus, candidates, seen)
    by_size = ([one for one in others if one.gpus == size] for size in {one.gpus for one in others})
    harmless = (_harmless(gpus, claims, seen) for claims in by_size)
    return max(0, min([spare, *harmless]), min(free, _given_up(model, seen)))


def waits_its_turn(gpus: int, pools: Iterable[Pool], seen: Observed) -> bool:
    """Return whether what a replica leaves now might go to another size, or spoil its place."""
    return bool(_of_other_sizes(gpus, tuple(pools), seen))


def _of_other_sizes(gpus: int, pools: tuple[Pool, ...], seen: Observed) -> Sequence[Claim]:
    """Return the claims on the same nodes for more or fewer GPUs that are about to be met."""
    names = {pool.name for pool in pools}.union(*(pool.shared_with for pool in pools))
    others = (one for one in seen.claims if one.gpus != gpus and one.pools & names)
    return [one for one in others if _about_to_be_met(one, seen)]


def _about_to_be_met(claim: Claim, seen: Observed) -> bool:
    """Return whether it has a place, or gets one from its own Model."""
    hopeful = claim.replicas + claim.due > claim.doubtful
    return claim.awaited > 0 or (hopeful and _places(claim, seen) > 0)


def _harmless(gpus: int, claims: Sequence[Claim], seen: Observed) -> int:
    """Return how many replicas may start, wherever they land, with claims of one size still met.

    One of ours spoils at most ceil(gpus / size) of their places. Where theirs are not free yet, it
    is not known where they will be, and ours might land just there.
    """
    if any(one.awaited for one in claims):
        return 0
    needed = sum(one.replicas + one.due for one in claims)
    places = min(_places(one, seen) for one in claims) - needed
    return max(0, places) // -(-gpus // claims[0].gpus)


def _places(claim: Claim, seen: Observed) -> int:
    pools = (pool for name, pool in seen.pools.items() if name in claim.pools)
    return room_for(claim.gpus, pools) or 0


def _of_due(claim: Claim) -> Claim:
    return replace(claim, replicas=claim.due)


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
