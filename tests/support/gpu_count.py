"""GPUs counted the slow way: all nodes and all pods, each time anew."""

from collections import Counter
from collections.abc import Iterable, Mapping

from modelfleet.api.v1alpha1.gpunodepool import GPUNodePool
from modelfleet.plan.pools import facts_for
from modelfleet.plan.world import Node, Pod, Pool


def counted(
    pools: Iterable[GPUNodePool], nodes: Iterable[Node], pods: Iterable[Pod]
) -> Mapping[str, Pool]:
    """Return every pool with what is free in it."""
    pools, nodes, pods = tuple(pools), tuple(nodes), tuple(pods)
    members = {pool.metadata.name: members_of(pool, nodes) for pool in pools}
    return {pool.metadata.name: _facts(pool, members, nodes, pods) for pool in pools}


def members_of(pool: GPUNodePool, nodes: Iterable[Node]) -> frozenset[str]:
    """Return the names of the nodes that a pool claims."""
    wanted = pool.spec.node_selector.items()
    return frozenset(node.name for node in nodes if wanted <= node.labels.items())


def _facts(
    pool: GPUNodePool,
    members: Mapping[str, frozenset[str]],
    nodes: Iterable[Node],
    pods: Iterable[Pod],
) -> Pool:
    name = pool.metadata.name
    own = [(node, held_on(node.name, pods)) for node in nodes if node.name in members[name]]
    shared = {other: members[name] & members[other] for other in members if other != name}
    twice = {node for both in shared.values() for node in both}
    others = tuple(sorted(other for other, both in shared.items() if both))
    return facts_for(pool, own, others, min(twice, default=""))


def held_on(node: str, pods: Iterable[Pod]) -> Counter[str]:
    """Return the extended resources that pods hold on a node until they are gone."""
    held: Counter[str] = Counter()
    for pod in pods:
        if pod.node == node and not pod.finished:
            held.update(dict(pod.requests))
    return held
