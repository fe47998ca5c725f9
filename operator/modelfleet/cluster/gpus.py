"""Who holds which GPUs on which node, kept up to date event by event.

One event touches one node, so a pool's facts are computed anew only for pools whose nodes were
touched, and only when somebody asks.
"""

from collections.abc import Callable, Mapping

from modelfleet.api.v1alpha1.gpunodepool import GPUNodePool
from modelfleet.plan.pools import facts_for
from modelfleet.plan.world import Node, Pod, Pool


class GpuIndex:
    """Nodes, pools and the pods that hold GPUs. Fed by informers, read by `observe`."""

    def __init__(self, freed: Callable[[], None]) -> None:
        """`freed` is called when a GPU may have become free for somebody who waits."""
        self._freed = freed
        self._nodes: dict[str, Node] = {}
        self._held: dict[str, dict[str, int]] = {}
        self._pools: dict[str, GPUNodePool] = {}
        self._members: dict[str, set[str]] = {}
        self._facts: dict[str, Pool] = {}

    def node(self, name: str) -> Node | None:
        """Return a node as it was last seen."""
        return self._nodes.get(name)

    def pools(self) -> Mapping[str, Pool]:
        """Return every pool with what is free in it now."""
        return {name: self.pool(name) for name in sorted(self._pools)}

    def pool(self, name: str) -> Pool:
        """Return one pool with what is free in it now. Raises KeyError."""
        if (known := self._facts.get(name)) is None:
            known = self._facts[name] = self._count(name)
        return known

    def __contains__(self, name: str) -> bool:
        return name in self._pools

    def pools_of(self, node: str) -> tuple[str, ...]:
        """Return the names of the pools that claim a node."""
        return tuple(name for name, members in self._members.items() if node in members)

    def pod_changed(self, old: Pod | None, new: Pod | None) -> tuple[str, ...]:
        """Account for a pod. Return the names of the pools whose figures changed."""
        before, after = _holding(old), _holding(new)
        if before == after:
            return ()
        touched: list[str] = []
        for (node, requests), sign in ((before, -1), (after, 1)):
            if node:
                self._hold(node, requests, sign)
                touched += self._touch(node)
        if before[0]:
            self._freed()
        return tuple(dict.fromkeys(touched))

    def node_changed(self, old: Node | None, new: Node | None) -> tuple[str, ...]:
        """Account for a node. Return the names of the pools whose figures changed."""
        if old == new:
            return ()
        touched: list[str] = []
        if old:
            touched += self._touch(old.name)
            self._nodes.pop(old.name, None)
            self._join(old.name, None)
        if new:
            self._nodes[new.name] = new
            self._join(new.name, new)
            touched += self._touch(new.name)
            self._freed()
        return tuple(dict.fromkeys(touched))

    def pool_changed(self, name: str, pool: GPUNodePool | None) -> tuple[str, ...]:
        """Account for a pool. Return the names of the pools whose figures changed."""
        others = {one for node in self._members.pop(name, ()) for one in self.pools_of(node)}
        self._pools.pop(name, None)
        self._facts.pop(name, None)
        if pool is not None:
            self._pools[name] = pool
            self._members[name] = {one for one, node in self._nodes.items() if _in(pool, node)}
            others |= {one for node in self._members[name] for one in self.pools_of(node)}
            self._freed()
        for one in others:
            self._facts.pop(one, None)
        return tuple(sorted(others | {name} if pool else others))

    def pool_reported(self, pool: GPUNodePool) -> None:
        """Take a pool's new status, which the next verdict starts from. No figure changes."""
        self._pools[pool.metadata.name] = pool
        self._facts.pop(pool.metadata.name, None)

    def _join(self, name: str, node: Node | None) -> None:
        for pool, members in self._members.items():
            if node and _in(self._pools[pool], node):
                members.add(name)
            else:
                members.discard(name)

    def _hold(self, node: str, requests: tuple[tuple[str, int], ...], sign: int) -> None:
        held = self._held.setdefault(node, {})
        for resource, amount in requests:
            held[resource] = held.get(resource, 0) + sign * amount
        if not any(held.values()):
            del self._held[node]

    def _touch(self, node: str) -> tuple[str, ...]:
        touched = self.pools_of(node)
        for name in touched:
            self._facts.pop(name, None)
        return touched

    def _count(self, name: str) -> Pool:
        members = sorted(self._members[name])
        others = {one: node for node in reversed(members) for one in self.pools_of(node)}
        others.pop(name, None)
        held = [(self._nodes[node], self._held.get(node, {})) for node in members]
        shared_node = min(others.values(), default="")
        return facts_for(self._pools[name], held, tuple(sorted(others)), shared_node)


def _in(pool: GPUNodePool, node: Node) -> bool:
    return all(node.labels.get(key) == want for key, want in pool.spec.node_selector.items())


def _holding(pod: Pod | None) -> tuple[str | None, tuple[tuple[str, int], ...]]:
    """Return the node and what a pod holds there. A terminating pod holds until it is gone."""
    if pod is None or pod.finished or pod.node is None or not pod.requests:
        return None, ()
    return pod.node, pod.requests
