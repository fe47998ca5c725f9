"""A cluster small enough to run a rollout a thousand times: GPUs, a scheduler, slow replicas.

It keeps the rules that matter: a GPU is held until its pod is gone, a replica never spans nodes,
Deployments delete what is not placed or not ready first, and somebody else may be faster.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, TypeVar

from modelfleet.api.v1alpha1.model import Model
from modelfleet.plan.claims import claim_for
from modelfleet.plan.pools import facts_for
from modelfleet.plan.rollout import Rollout, rollout_for
from modelfleet.plan.world import Claim, Observed, Pod
from support.builders import (
    GPU,
    NOON,
    a_crashing_pod,
    a_deployment,
    a_loading_pod,
    a_node,
    a_pending_pod,
    a_pool_object,
    a_revision,
)

T = TypeVar("T")

UNSCHEDULABLE = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
FOREIGN = "somebody-else"
MOST_LOOKS = 6


@dataclass
class GpuCluster:
    """One Model in one pool, and somebody else's pods.

    Several Models share a pool when they share `nodes`, `pods` and `claims`.
    """

    model: Model
    nodes: dict[str, int]
    random: Random
    wanted: str | None = "a"
    broken: set[str] = field(default_factory=set)
    asked: dict[str, int] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    claims: dict[str, Claim | None] = field(default_factory=dict)
    """Model → what it is about to take."""
    route: str | None = None
    """The only revision that the Service leads to."""
    revisions: list[str] = field(default_factory=list)
    turned_down: int = 0
    """How often the scheduler found no node for a pod of ours."""
    looks: int = 0
    """Most decisions that one change of the world has led to."""
    most_pods: int = 0
    """Most pods of ours at one time, leaving ones included."""
    made: int = 0

    # What the operator sees and does

    def seen(self) -> Observed:
        """Return what a decision may look at."""
        held = [(a_node(name, gpus), {GPU: self.held(name)}) for name, gpus in self.nodes.items()]
        pool = facts_for(a_pool_object("h100"), held)
        return Observed(
            now=NOON,
            engine=None,
            pools={"h100": pool},
            revisions=tuple(a_revision(one, at) for at, one in enumerate(self.revisions, 1)),
            deployments={one: a_deployment(one, count) for one, count in self.asked.items()},
            pods=tuple(self.ours()),
            route=self.route,
            claims=tuple(one for name, one in self.claims.items() if one and name != self.name),
        )

    def decide(self) -> Rollout:
        """Decide until nothing more comes of it, and carry it out, as the operator does."""
        if self.wanted and self.wanted not in self.revisions:
            self.revisions.append(self.wanted)
        for looks in range(MOST_LOOKS):
            before = (dict(self.asked), self.route)
            rollout = rollout_for(self.model, self.wanted, self.seen())
            self._carry_out(rollout)
            if (self.asked, self.route) == before:
                self.looks = max(self.looks, looks)
                return rollout
        raise AssertionError(f"decides back and forth: {before}, {self.asked}")

    def _carry_out(self, rollout: Rollout) -> None:
        self.claims[self.name] = claim_for(self.model, rollout.replicas, self.seen())
        self.route = rollout.route
        self.asked = {
            one: count
            for one, count in rollout.replicas.items()
            if count or one == self.wanted or self.wanted is None
        }

    # What everybody else does

    def controllers(self) -> bool:
        """Let one Deployment create or delete one pod."""
        for revision in self._shuffled({*self.asked, *(pod.revision for pod in self.ours())}):
            alive = [pod for pod in self.alive(revision)]
            if len(alive) < self.asked.get(revision, 0):
                self._create(revision)
                return True
            if len(alive) > self.asked.get(revision, 0):
                first = min(alive, key=lambda pod: (bool(pod.node), pod.ready, pod.name))
                self.pods[first.name] = replace(first, terminating=True, ready=False)
                return True
        return False

    def _create(self, revision: str, gpus: int | None = None) -> None:
        self.made += 1
        name = f"{self.name}-{revision}-{self.made:05}"
        count = self.model.spec.resources.gpus if gpus is None else gpus
        owner = FOREIGN if revision == FOREIGN else self.name
        pod = a_pending_pod(name, model=owner, revision=revision, requests=((GPU, count),))
        self.pods[name] = pod
        self.most_pods = max(self.most_pods, sum(1 for _ in self.ours()))

    def schedule(self) -> bool:
        """Let the scheduler try each pod without a node, in any order, until one is placed."""
        waiting = [pod for pod in self.pods.values() if not pod.node]
        for pod in [one for one in waiting if one.terminating]:
            del self.pods[pod.name]
            return True
        for pod in self._shuffled(waiting):
            fits = [node for node in sorted(self.nodes) if self.free(node) >= _gpus(pod)]
            if fits:
                self._place(pod, self.random.choice(fits))
                return True
            if pod.unschedulable is None:
                self.turned_down += pod.model != FOREIGN
                self.pods[pod.name] = replace(pod, unschedulable=UNSCHEDULABLE)
        return False

    def _place(self, pod: Pod, node: str) -> None:
        self.pods[pod.name] = a_loading_pod(
            pod.name, model=pod.model, revision=pod.revision, requests=pod.requests, node=node
        )

    def load(self) -> bool:
        """Let one engine finish loading, or fail for good if its revision does."""
        loading = [pod for pod in self.ours() if pod.node and not pod.ready]
        able = [pod for pod in loading if not pod.terminating and not pod.restarts]
        for pod in self._shuffled(able)[:1]:
            if pod.revision in self.broken:
                crashing = a_crashing_pod(model=self.name)
                facts = {"restarts": crashing.restarts, "waiting": crashing.waiting}
                self.pods[pod.name] = replace(pod, **facts)
            else:
                self.pods[pod.name] = replace(pod, ready=True, ready_at=NOON)
            return True
        return False

    def leave(self) -> bool:
        """Let one pod finish its requests and go; its GPU is free from now on."""
        leaving = [pod.name for pod in self.pods.values() if pod.terminating and pod.node]
        for name in self._shuffled(leaving)[:1]:
            del self.pods[name]
            return True
        return False

    def lose(self) -> None:
        """Let a ready replica of ours disappear by itself."""
        for pod in self._shuffled(pod for pod in self.ours() if pod.ready)[:1]:
            del self.pods[pod.name]

    def somebody_else_comes(self) -> None:
        """Create a pod of another owner."""
        self._create(FOREIGN, gpus=1)

    def somebody_else_leaves(self) -> None:
        """Delete every pod of other owners."""
        for name in [pod.name for pod in self.pods.values() if pod.model == FOREIGN]:
            del self.pods[name]

    def vanish(self, node: str) -> None:
        """Take a machine away with all that runs on it."""
        del self.nodes[node]
        for name in [pod.name for pod in self.pods.values() if pod.node == node]:
            del self.pods[name]

    def write(self, **spec: Any) -> None:
        """Change fields of the spec that need no new pods, by their names in Python."""
        changed = self.model.spec.model_copy(update=spec)
        self.model = self.model.model_copy(update={"spec": changed})

    def settle(self, most: int = 3000) -> Rollout:
        """Let everybody act in any order until nothing happens any more."""
        steps = (self.controllers, self.schedule, self.load, self.leave)
        for _ in range(most):
            rollout = self.decide()
            if not any([step() for step in self._shuffled(steps)]):
                return rollout
        raise AssertionError(f"no rest after {most} rounds: {self.asked}")

    def step(self) -> None:
        """Let one of them act."""
        steps = (self.controllers, self.schedule, self.load, self.leave, self.decide)
        self.random.choice(steps)()

    # Figures

    def ours(self) -> Iterator[Pod]:
        """Yield the Model's pods."""
        return (pod for pod in self.pods.values() if pod.model == self.name)

    @property
    def name(self) -> str:
        """The Model's name."""
        return self.model.metadata.name

    @property
    def answering(self) -> set[str]:
        """Revisions of which a ready replica gets requests."""
        ready = {pod.revision for pod in self.ours() if pod.ready}
        return ready if self.route is None else ready & {self.route}

    def alive(self, revision: str) -> list[Pod]:
        """Return a revision's pods that are not on their way out."""
        return [pod for pod in self.ours() if pod.revision == revision and not pod.terminating]

    @property
    def ready(self) -> int:
        """Replicas that take requests."""
        return sum(pod.ready for pod in self.ours())

    def held(self, node: str) -> int:
        """Return the GPUs that pods hold on a node, leaving ones included."""
        return sum(_gpus(pod) for pod in self.pods.values() if pod.node == node)

    def free(self, node: str) -> int:
        """Return what is left of a node."""
        return self.nodes[node] - self.held(node)

    def _shuffled(self, things: Iterable[T]) -> list[T]:
        ordered = sorted(things, key=str)
        self.random.shuffle(ordered)
        return ordered


def _gpus(pod: Pod) -> int:
    return dict(pod.requests)[GPU]
