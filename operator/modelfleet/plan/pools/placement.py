"""Which pools a Model may use, and why none will do."""

from collections.abc import Callable, Mapping

from modelfleet.api.conditions import Reason
from modelfleet.api.v1alpha1.model import Model
from modelfleet.plan.pools.wording import listed, nodes
from modelfleet.plan.world import Pool

Problem = tuple[Reason, str]


def candidates_for(model: Model, pools: Mapping[str, Pool]) -> tuple[Pool, ...]:
    """Return the pools that may hold a replica, best first; none where no GPU is needed."""
    if not model.spec.resources.gpus:
        return ()
    names = model.spec.node_pools or tuple(sorted(pools))
    return tuple(pools[name] for name in names if name in pools)


def pool_missing(model: Model, pools: Mapping[str, Pool]) -> Problem | None:
    """Name the pools that are asked for and do not exist."""
    if not pools:
        return Reason.POOL_MISSING, (
            f"spec.resources.gpus is {model.spec.resources.gpus} and there is no GPUNodePool: "
            "create one, or set spec.resources.gpus to 0"
        )
    missing = [name for name in model.spec.node_pools if name not in pools]
    if not missing:
        return None
    return Reason.POOL_MISSING, (
        f"spec.nodePools: there is no GPUNodePool {listed(missing)}; "
        f"use one of {listed(sorted(pools))}, or create it"
    )


def pools_differ(model: Model, pools: Mapping[str, Pool]) -> Problem | None:
    """A pod asks for one resource by name, so the candidates must agree on it."""
    by_resource: dict[str, str] = {}
    for pool in candidates_for(model, pools):
        by_resource.setdefault(pool.pool.spec.resource_name, pool.name)
    if len(by_resource) < 2:
        return None
    which = listed([f"{pool} has {resource}" for resource, pool in by_resource.items()])
    return Reason.POOLS_DIFFER, (
        f"spec.nodePools: the pools differ in the resource that a pod asks for: {which}; "
        "name only pools of one kind in spec.nodePools"
    )


def replica_too_large(model: Model, pools: Mapping[str, Pool]) -> Problem | None:
    """Compare with the largest node, free or not; a pool without nodes says nothing about it."""
    gpus = model.spec.resources.gpus
    candidates = candidates_for(model, pools)
    largest = max((pool.largest_node for pool in candidates), default=0)
    if not largest or gpus <= largest or any(not pool.largest_node for pool in candidates):
        return None
    which = listed([f"{pool.name} {pool.largest_node}" for pool in candidates])
    return Reason.INVALID_SPEC, (
        f"spec.resources.gpus: {gpus} GPUs on one node are asked, and no node has so many "
        f"(largest node of each pool: {which}); ask for at most {largest}, or add larger nodes"
    )


Check = Callable[[Model, Mapping[str, Pool]], Problem | None]
CHECKS: tuple[Check, ...] = (pool_missing, pools_differ, replica_too_large)


def why_unplaceable(model: Model, pools: Mapping[str, Pool]) -> Problem | None:
    """Return why no replica can be placed until a person acts, or None.

    An empty pool is not among these: its nodes may be on their way (see `pools_empty`).
    """
    if not model.spec.resources.gpus:
        return None
    return next((why for check in CHECKS if (why := check(model, pools))), None)


def pools_empty(model: Model, pools: Mapping[str, Pool]) -> str | None:
    """Return what every candidate lacks, where none has a usable GPU at all."""
    candidates = candidates_for(model, pools)
    if not candidates or any(pool.total for pool in candidates):
        return None
    lacks = listed([f"pool {pool.name} {_lack(pool)}" for pool in candidates])
    return f"{lacks}: waiting for nodes with GPUs"


def _lack(pool: Pool) -> str:
    if not pool.nodes:
        return "has no node"
    if not pool.ready_nodes:
        return f"has no node that is ready and schedulable ({nodes(pool.nodes)} in all)"
    return f"has no node with {pool.pool.spec.resource_name}"
