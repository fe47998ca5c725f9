"""GPUs that were promised and are not bound yet, so that two rollouts never count on the same one.

Between the decision to start a replica and the scheduler's binding lie some hundred milliseconds in
which the GPU looks free. A Model's claim is what its Deployments are about to take; every other
Model leaves so much alone.
"""

from collections.abc import Iterable, Mapping

from modelfleet.api.v1alpha1.model import Model
from modelfleet.plan.census import census_of
from modelfleet.plan.headroom import fitting
from modelfleet.plan.pools import candidates_for
from modelfleet.plan.world import Claim, Observed, Pool


def claim_for(model: Model, replicas: Mapping[str, int], seen: Observed) -> Claim | None:
    """Return what a Model is about to take beyond what its pods hold, or None."""
    gpus = model.spec.resources.gpus
    placed = {one: len(census_of(one, seen).placed) for one in replicas}
    missing = sum(max(0, count - placed[one]) for one, count in replicas.items())
    if not gpus or not missing:
        return None
    pools = frozenset(pool.name for pool in candidates_for(model, seen.pools))
    return Claim(gpus=gpus, replicas=missing, pools=pools)


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
