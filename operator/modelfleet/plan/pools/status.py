"""What a pool's status says."""

from collections.abc import Callable
from datetime import datetime

from modelfleet.api.conditions import ConditionType, Reason
from modelfleet.api.v1alpha1.gpunodepool import Accelerator, GPUNodePoolStatus, GPUs
from modelfleet.plan.pools.wording import listed, nodes
from modelfleet.plan.verdict import Verdict, conditions_for, notices_between
from modelfleet.plan.world import AcceleratorFacts, Pool, PoolPlan

Problem = tuple[Reason, str]


def pool_status_for(pool: Pool, now: datetime) -> PoolPlan:
    """Return the status of a pool, and what changed that its owner should read."""
    old = pool.pool.status
    status = GPUNodePoolStatus(
        observed_generation=pool.pool.metadata.generation,
        conditions=conditions_for(
            _verdict(pool), pool.pool.metadata.generation, old.conditions, now
        ),
        nodes=pool.nodes,
        ready_nodes=pool.ready_nodes,
        gpus=GPUs(
            total=pool.total,
            allocated=pool.allocated,
            free=pool.free,
            largest_free_block=max((b for b, n in pool.free_blocks.items() if n), default=0),
        ),
        accelerators=tuple(_accelerator_status(facts) for facts in pool.accelerators),
        cost=pool.cost or old.cost,
    )
    return PoolPlan(status=status, notices=notices_between(old.conditions, status.conditions))


def _accelerator_status(facts: AcceleratorFacts) -> Accelerator:
    return Accelerator(
        name=facts.name,
        nodes=facts.nodes,
        total=facts.total,
        allocated=facts.allocated,
        free=facts.total - facts.allocated,
        largest_free_block=facts.largest_free_block,
    )


def nodes_overlap(pool: Pool) -> Problem | None:
    """Two pools on one node would count, and later pay, its GPUs twice."""
    if not pool.shared_with:
        return None
    node = f", as node {pool.shared_node}" if pool.shared_node else ""
    return Reason.NODES_OVERLAP, (
        f"some nodes belong to pool {listed(list(pool.shared_with))} as well{node}; "
        "change spec.nodeSelector so that each node belongs to one pool"
    )


def no_node_matches(pool: Pool) -> Problem | None:
    """The selector finds nothing: a typing mistake, or nodes that are not there yet."""
    if pool.nodes:
        return None
    selector = listed([f"{k}={v}" for k, v in sorted(pool.pool.spec.node_selector.items())])
    return Reason.NO_NODE_MATCHES, (
        f"no node has the labels {selector}; waiting for such nodes, or correct spec.nodeSelector"
    )


def no_gpus(pool: Pool) -> Problem | None:
    """Nodes without the resource: the device plugin is missing, or the name is another."""
    if pool.largest_node:
        return None
    resource = pool.pool.spec.resource_name
    instead = listed(list(pool.other_resources)) or "no extended resource"
    return Reason.NO_GPUS, (
        f"none of {nodes(pool.nodes)} has {resource}; they have {instead}: "
        "wait for the device plugin, install it, or correct spec.resourceName"
    )


def nodes_not_ready(pool: Pool) -> Problem | None:
    """Every node is away, or cordoned."""
    if pool.ready_nodes:
        return None
    return Reason.NODES_NOT_READY, f"none of {nodes(pool.nodes)} is ready and schedulable"


CHECKS: tuple[Callable[[Pool], Problem | None], ...] = (
    nodes_overlap,
    no_node_matches,
    no_gpus,
    nodes_not_ready,
)


def _verdict(pool: Pool) -> Verdict:
    problem = next((why for check in CHECKS if (why := check(pool))), None)
    if problem is None:
        message = f"{pool.ready_nodes} of {nodes(pool.nodes)} ready"
        return Verdict(Reason.POOL_READY, message)
    person = problem[0] is Reason.NODES_OVERLAP
    return Verdict(*problem, ConditionType.STALLED if person else ConditionType.RECONCILING)
