"""How many replicas could start now, from the GPUs that are free on each node."""

from collections.abc import Iterable, Mapping, Sequence

from modelfleet.plan.world import Pool

MOST_POOLS_NAMED = 4
"""A message names so many pools and counts the rest."""


def fitting(free_blocks: Mapping[int, int], gpus: int) -> int:
    """Return how many replicas of `gpus` GPUs start now. A replica never spans two nodes.

    `free_blocks` maps the free GPUs of a node to the number of such nodes; `gpus` is positive.
    """
    return sum(block // gpus * nodes for block, nodes in free_blocks.items() if block >= gpus)


def room_for(model_gpus: int, pools: Iterable[Pool]) -> int | None:
    """Return how many replicas the pools take now, at least; None where no GPU is needed.

    Pools that claim the same nodes see the same free GPUs twice, so of those only the roomiest
    counts.
    """
    if model_gpus <= 0:
        return None
    candidates = tuple(pools)
    names = {pool.name for pool in candidates}
    apart = [pool for pool in candidates if not names & set(pool.shared_with)]
    shared = [pool for pool in candidates if names & set(pool.shared_with)]
    overlapping = max((fitting(pool.free_blocks, model_gpus) for pool in shared), default=0)
    return sum(fitting(pool.free_blocks, model_gpus) for pool in apart) + overlapping


def shortfall(gpus: int, pools: Sequence[Pool]) -> str:
    """Return what is asked and what every candidate pool has, as one sentence without its stop."""
    asked = "1 GPU asked" if gpus == 1 else f"{gpus} GPUs asked on one node"
    has = [_has(pool) for pool in pools[:MOST_POOLS_NAMED]]
    if rest := len(pools) - len(has):
        has.append(f"{rest} more pools have no room either")
    return "; ".join([asked, *has])


def _has(pool: Pool) -> str:
    if not pool.free:
        return f"pool {pool.name} has 0 free of {pool.total}"
    largest = max(block for block, nodes in pool.free_blocks.items() if nodes)
    return f"pool {pool.name} has {pool.free} free of {pool.total}, at most {largest} on one node"
