"""From nodes, pods and Models to what the fold looks at."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from modelfleet.api import labels
from modelfleet.api.v1alpha1.gpunodepool import GPUNodePool
from modelfleet.api.v1alpha1.model import Model
from modelfleet.plan.ledger import gpus
from modelfleet.plan.ledger.pricebook import price_book
from modelfleet.plan.ledger.prices import priced
from modelfleet.plan.ledger.units import Millis, millis
from modelfleet.plan.ledger.values import (
    UNALLOCATED,
    Account,
    Quantities,
    Scene,
    Tenant,
    Terms,
)
from modelfleet.plan.world import Node, Pod

NVIDIA = "nvidia.com/gpu"
"""What counts as a GPU on a node of no pool."""

CANNOT_RUN = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)
"""What the kubelet calls a container that it cannot make run."""


Busy = Mapping[str, int]
"""Pod uid → millionths of the time in which it had requests. Absent: not known."""


@dataclass(frozen=True, slots=True)
class Payer:
    """What a Model says about the account of its pods."""

    team: str
    canary: str | None = None
    """The revision that is being tried out."""


@dataclass(frozen=True, slots=True)
class Payers:
    """Models by namespace and name, and teams by namespace."""

    models: Mapping[tuple[str, str], Payer]
    namespaces: Mapping[str, str]


def payer_of(model: Model, namespace_team: str) -> Payer:
    """Return who pays for a Model: its own label goes before its namespace's."""
    team = model.metadata.labels.get(labels.TEAM) or namespace_team or UNALLOCATED
    rollout = model.status.rollout
    tried = rollout.revision if rollout and rollout.strategy == "Canary" else None
    return Payer(team, tried if tried != model.status.stable_revision else None)


def pool_of(node: Node, pools: Iterable[GPUNodePool]) -> GPUNodePool | None:
    """Return the pool that a node belongs to: of several the first by name, as they are told."""
    members = [pool for pool in pools if _selects(pool, node)]
    return min(members, key=lambda pool: pool.metadata.name, default=None)


def _selects(pool: GPUNodePool, node: Node) -> bool:
    return all(node.labels.get(key) == want for key, want in pool.spec.node_selector.items())


def scene_for(
    node: Node, pool: GPUNodePool | None, pods: Iterable[Pod], payers: Payers, busy: Busy
) -> Scene:
    """Return a node with all that holds a part of it."""
    units = _Units(pool.spec.resource_name if pool else NVIDIA, node.labels)
    held = [pod for pod in pods if not pod.finished]
    return Scene(
        node=node.name,
        uid=node.uid,
        born_at=_at(node.created_at) or 0,
        terms=terms_for(node, pool),
        tenants=tuple(_tenant(pod, units, payers, busy) for pod in held),
    )


def terms_for(node: Node, pool: GPUNodePool | None) -> Terms:
    """Return what a node is and costs. One of no pool has no price."""
    resource = pool.spec.resource_name if pool else NVIDIA
    parts = gpus.capacity_of(node.allocatable, resource, node.labels)
    price = priced(pool.spec.price, node.labels, parts, price_book()) if pool else None
    return Terms(
        pool=pool.metadata.name if pool else "",
        rate=price.rate if price else None,
        capacity=Quantities(node.cpu, node.memory, parts),
        policy=pool.spec.price.weights if pool and pool.spec.price else "Residual",
        capacity_type=price.capacity_type if price else "",
        available=node.ready and node.schedulable,
    )


@dataclass(frozen=True, slots=True)
class _Units:
    """What one unit of a resource is of a GPU, on one node."""

    resource: str
    labels: Mapping[str, str]

    def of(self, pod: Pod) -> Quantities:
        return Quantities(pod.cpu, pod.memory, gpus.held(pod.requests, self.resource, self.labels))


def _tenant(pod: Pod, units: _Units, payers: Payers, busy: Busy) -> Tenant:
    payer = payers.models.get((pod.namespace, pod.model)) if pod.model else None
    return Tenant(
        uid=pod.uid,
        account=_account(pod, payer, payers),
        asks=units.of(pod),
        canary=payer is not None and payer.canary == pod.revision != "",
        bound_at=_at(pod.scheduled_at or pod.created_at) or 0,
        started_at=_at(pod.started_at),
        ready_at=_at(pod.ready_at) if pod.ready else None,
        unready_at=None if pod.ready else _at(pod.unready_at),
        leaves_by=_at(pod.gone_by),
        failing=_fails(pod),
        busy=busy.get(pod.uid),
    )


def _account(pod: Pod, payer: Payer | None, payers: Payers) -> Account:
    if pod.model:
        team = payer.team if payer else payers.namespaces.get(pod.namespace) or UNALLOCATED
        return Account("model", pod.namespace, pod.model, team)
    if pod.system:
        return Account("system")
    team = payers.namespaces.get(pod.namespace) or UNALLOCATED
    return Account("workload", pod.namespace, "", team)


def _fails(pod: Pod) -> bool:
    """A container that had to be started again and is not ready costs for nothing."""
    stuck = pod.waiting is not None and pod.waiting.reason in CANNOT_RUN
    return not pod.ready and (pod.restarts > 0 or stuck)


def _at(moment: datetime | None) -> Millis | None:
    return millis(moment) if moment else None
