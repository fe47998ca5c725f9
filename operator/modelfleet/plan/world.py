"""The values that decisions are made from and made of; `cluster` fills and carries them out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from modelfleet.api.v1alpha1.autoscalingpolicy import (
    AutoscalingPolicy,
    AutoscalingPolicyStatus,
)
from modelfleet.api.v1alpha1.cost import ModelCost, PoolCost
from modelfleet.api.v1alpha1.engine import Engine, EngineStatus
from modelfleet.api.v1alpha1.gpunodepool import GPUNodePool, GPUNodePoolStatus
from modelfleet.api.v1alpha1.model import ModelStatus
from modelfleet.plan.samples import ProbeResult, Scrape
from modelfleet.plan.scaling import Memory

Manifest = Mapping[str, Any]
"""A whole object as the API server takes it, with only the fields that we own."""


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """One object to look at: the unit of work."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An object that does not parse: another version wrote it, or its CRD was tampered with."""

    key: Key
    uid: str
    generation: int
    error: str
    old: ModelStatus


@dataclass(frozen=True, slots=True)
class Refusals:
    """What the API server would not take, and what it was not asked for."""

    taken: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.taken or self.refused)


@dataclass(frozen=True, slots=True)
class Ref:
    """An object by name. `uid` guards a deletion against a namesake."""

    kind: str
    namespace: str
    name: str
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a container does not run yet, in the kubelet's words."""

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container ended last."""

    code: int
    reason: str = ""
    message: str = ""
    seconds: int | None = None
    """How long the container had run, where both instants are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A replica. An instant is None where it has not come or is not known."""

    namespace: str
    name: str
    uid: str = ""
    model: str = ""
    revision: str = ""
    node: str | None = None
    address: str | None = None
    """Its IP."""
    requests: tuple[tuple[str, int], ...] = ()
    """Extended resources, as in (("nvidia.com/gpu", 1),)."""
    created_at: datetime | None = None
    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    """When the engine's container started, for the last time."""
    ready_at: datetime | None = None
    ready: bool = False
    unready_at: datetime | None = None
    """When it stopped being ready; None if it is ready or, as far as is known, never was."""
    serving: bool = True
    terminating: bool = False
    gone_by: datetime | None = None
    """When the grace period of a terminating pod ends: its deletionTimestamp."""
    finished: bool = False
    """Succeeded, failed or evicted: it holds no GPU and will not come back."""
    restarts: int = 0
    unschedulable: str | None = None
    """The scheduler's message, where it found no node."""
    waiting: Waiting | None = None
    last_exit: Exit | None = None
    failure: str = ""
    """`status.reason` of a finished pod, as in Evicted."""
    failure_message: str = ""
    """`status.message` of a finished pod: what the kubelet says about an eviction."""
    pools: tuple[str, ...] = ()
    """Pools that its node belongs to; none where that is not known."""
    cpu: int = 0
    """What it requests, in thousandths of a core."""
    memory: int = 0
    """What it requests, in bytes."""
    system: bool = False
    """Of a DaemonSet or of the node itself: it is there because the node is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One revision's Deployment, as it is."""

    name: str
    revision: str
    uid: str = ""
    replicas: int = 0
    """What its spec asks for."""
    existing: int = 0
    """Pods that the controller counts."""
    observed: bool = True
    """Whether the controller has seen the newest spec."""
    failure: str | None = None
    """Message of the condition ReplicaFailure: quota, admission."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """An immutable snapshot: what was asked for, and the pod template that came of it."""

    name: str
    hash: str
    number: int
    template: Manifest
    inputs: Manifest = field(default_factory=dict)
    """What the user wrote of the fields that need new pods."""
    uid: str = ""
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The parts of a node that pools and diagnoses need."""

    name: str
    labels: Mapping[str, str]
    allocatable: tuple[tuple[str, int], ...] = ()
    """Extended resources."""
    ready: bool = True
    schedulable: bool = True
    """Not cordoned."""
    uid: str = ""
    created_at: datetime | None = None
    cpu: int = 0
    """Capacity, in thousandths of a core."""
    memory: int = 0
    """Capacity, in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """What a namespace says about the Models in it."""

    name: str
    team: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceleratorFacts:
    """GPUs of one product in one pool."""

    name: str
    nodes: int
    total: int
    allocated: int
    largest_free_block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A GPUNodePool with what is free in it. GPUs of nodes that are not ready count as nothing."""

    pool: GPUNodePool
    nodes: int = 0
    ready_nodes: int = 0
    """Ready and not cordoned."""
    total: int = 0
    allocated: int = 0
    free_blocks: Mapping[int, int] = field(default_factory=dict)
    """Free GPUs on a ready node → number of such nodes."""
    accelerators: tuple[AcceleratorFacts, ...] = ()
    shared_with: tuple[str, ...] = ()
    """Other pools that claim one of its nodes."""
    shared_node: str = ""
    """One of those nodes, the first by name."""
    largest_node: int = 0
    """Most GPUs of one node, ready or not, taken or free: no replica can be larger."""
    other_resources: tuple[str, ...] = ()
    """Extended resources of its nodes, where none has the pool's own."""
    cost: PoolCost | None = None
    """By the ledger; None: it does not know yet."""

    @property
    def name(self) -> str:
        """The pool's name."""
        return self.pool.metadata.name

    @property
    def free(self) -> int:
        """Free GPUs in all, however scattered."""
        return sum(block * nodes for block, nodes in self.free_blocks.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Replicas that a Model is about to start, and how they are going to get their GPUs."""

    gpus: int
    """Of each replica."""
    replicas: int
    """Asked of a Deployment, and without a node yet."""
    pools: frozenset[str]
    """Pools that may take them."""
    due: int = 0
    """Further ones: a rollout has given them up, and comes back when their GPUs are free."""
    awaited: int = 0
    """Replicas of this Model that are on their way out and still hold their GPUs."""
    doubtful: int = 0
    """Of `replicas`, those that the scheduler has found no node for, long enough to doubt it."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What an EndpointSlice says: where a Service leads to."""

    service: str
    port: int | None
    """The one named http."""
    ready: tuple[str, ...] = ()
    """Addresses that take new connections, sorted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """All that a decision about one Model may look at."""

    now: datetime
    engine: Engine | None
    known_engines: tuple[str, ...] = ()
    pools: Mapping[str, Pool] = field(default_factory=dict)
    """Every pool of the cluster by name."""
    revisions: tuple[Revision, ...] = ()
    """Ours, oldest first."""
    deployments: Mapping[str, Deployment] = field(default_factory=dict)
    """Ours, by revision hash."""
    pods: tuple[Pod, ...] = ()
    lost_nodes: frozenset[str] = frozenset()
    """Nodes of these pods that are not ready or gone."""
    taken: tuple[str, ...] = ()
    """Names of our children that belong to somebody else, as in `Service chat`."""
    refused: tuple[str, ...] = ()
    """What the API server answered to our last writes, where it refused them for good."""
    route: str | None = None
    """The only revision that the Service leads to; None: it leads to all."""
    claims: tuple[Claim, ...] = ()
    """Of other Models."""
    in_flight: Mapping[str, int] = field(default_factory=dict)
    """Pod uid → requests that run or wait in it. A pod that is missing here is not known."""
    scrapes: tuple[Scrape, ...] = ()
    """Readings of this Model's pods, of all revisions, as far back as they are kept."""
    probes: tuple[ProbeResult, ...] = ()
    """What became of our own small requests to these pods, likewise."""
    cost: ModelCost | None = None
    """By the ledger; None: it does not know yet."""
    policy: AutoscalingPolicy | None = None
    """The one that the Model refers to; None: there is none."""
    pages: tuple[Scrape, ...] = ()
    """What the pods of an autoscaled Model told in the last minute."""
    memory: Memory | None = None
    """What this process remembers of its load; None: no more than its status tells."""
    price: int | None = None
    """Micro-dollars of one GPU of this Model and hour; None: not known."""
    gateways: tuple[str, ...] = ()
    """Addresses of the gateways that take requests, sorted."""
    activator: Endpoints | None = None
    """Where the Model's Service leads to besides its pods."""
    answers: bool = False
    """Whether the Service leads to a pod that is ready."""
    gateway_ports: Mapping[int, Key] = field(default_factory=dict)
    """Ports of the gateways, each with the Model that it stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodMark:
    """Whether a pod is told that it leaves: out of the Service, and first to be deleted."""

    namespace: str
    name: str
    uid: str
    leaves: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """An event for the object's owner to read."""

    type: Literal["Normal", "Warning"]
    reason: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A complete answer: what to write, what to delete, what to report, when to look again."""

    status: ModelStatus
    apply: tuple[Manifest, ...] = ()
    delete: tuple[Ref, ...] = ()
    marks: tuple[PodMark, ...] = ()
    """Written before all else."""
    notices: tuple[Notice, ...] = ()
    watches_load: bool = False
    """Whether the next decision needs to know how busy the replicas are."""
    compares: bool = False
    """Whether two revisions are compared, so that all their pods are read every few seconds."""
    probes: bool = False
    """Whether each of these pods is sent a small request of our own from time to time."""
    claim: Claim | None = None
    """What others must leave alone until it is bound."""
    memory: Memory | None = None
    """Of the load, for the next look; None: a policy does not decide about this Model."""
    gateway_port: int | None = None
    """The port of gateways that stands for this Model."""
    waits_for_capacity: bool = False
    """Wake the Model when a GPU becomes free."""
    look_again_in: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPlan:
    """The same for a GPUNodePool, which has no children."""

    status: GPUNodePoolStatus
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyPlan:
    """The same for an AutoscalingPolicy."""

    status: AutoscalingPolicyStatus
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePlan:
    """The same for an Engine object."""

    status: EngineStatus
    notices: tuple[Notice, ...] = ()
