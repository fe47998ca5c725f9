"""A cluster small enough to run a rollout a thousand times: GPUs, a scheduler, slow replicas.

It keeps the rules that matter: a GPU is held until its pod is gone, a replica never spans nodes,
Deployments delete what is not placed or not ready first, and somebody else may be faster.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from random import Random
from typing import Any, TypeVar

from modelfleet.api.conditions import Reason
from modelfleet.api.v1alpha1.model import Model
from modelfleet.api.v1alpha1.rollout import RolloutStatus
from modelfleet.plan.claims import claim_for
from modelfleet.plan.pools import facts_for
from modelfleet.plan.rollout import Rollout, rollout_for
from modelfleet.plan.samples import Process, Scrape
from modelfleet.plan.status import status_for
from modelfleet.plan.world import Claim, Node, Observed, Pod
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
READING = timedelta(seconds=10)
POOL = a_pool_object("h100")
GONE = (Reason.POOL_MISSING, "spec.nodePools: there is no such pool")


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
    now: datetime = NOON
    failing: set[str] = field(default_factory=set)
    """Revisions of which every second request fails."""
    rate: float = 20.0
    """Requests that the Model gets per second, once time passes."""
    scrapes: list[Scrape] = field(default_factory=list)
    counters: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Pod → its requests and how many of them failed."""

    # What the operator sees and does

    def seen(self) -> Observed:
        """Return what a decision may look at."""
        held = self._held()
        nodes = [(_node(name, gpus), {GPU: held[name]}) for name, gpus in self.nodes.items()]
        pool = facts_for(POOL, nodes)
        return Observed(
            now=self.now,
            engine=None,
            pools={"h100": pool},
            revisions=tuple(a_revision(one, at) for at, one in enumerate(self.revisions, 1)),
            deployments={one: a_deployment(one, count) for one, count in self.asked.items()},
            pods=tuple(self.ours()),
            route=self.route,
            claims=tuple(one for name, one in self.claims.items() if one and name != self.name),
            scrapes=tuple(self.scrapes),
        )

    def decide(self) -> Rollout:
        """Decide until nothing more comes of it, and carry it out, as the operator does."""
        if self.wanted and self.wanted not in self.revisions:
            self.revisions.append(self.wanted)
        for looks in range(MOST_LOOKS):
            before = (dict(self.asked), self.route, self.told)
            seen = self.seen()
            rollout = rollout_for(self.model, self.wanted, seen)
            self._carry_out(rollout)
            self._report(seen, rollout)
            if (self.asked, self.route, self.told) == before:
                self.looks = max(self.looks, looks)
                return rollout
        raise AssertionError(f"decides back and forth: {before}, {self.asked}")

    def _carry_out(self, rollout: Rollout) -> None:
        self.claims[self.name] = claim_for(self.model, rollout.replicas, self.seen())
        self.route = rollout.route
        present = {pod.revision for pod in self.ours()}  # an emptied Deployment goes after its pods
        self.asked = {
            one: count
            for one, count in rollout.replicas.items()
            if count or one == self.wanted or self.wanted is None or one in present
        }

    def _report(self, seen: Observed, rollout: Rollout) -> None:
        """Keep the parts of the status that a later decision reads."""
        found = status_for(self.model, seen, self.wanted, rollout, None if self.wanted else GONE)
        kept = {"stable_revision": found.stable_revision, "rollout": found.rollout}
        status = self.model.status.model_copy(update=kept)
        self.model = self.model.model_copy(update={"status": status})

    @property
    def told(self) -> RolloutStatus | None:
        """The rollout, as the status tells it."""
        return self.model.status.rollout

    # What everybody else does

    def tick(self) -> bool:
        """Let some seconds pass: requests are served, and every ready pod is read."""
        self.now += READING
        answering = [pod for pod in self.ours() if pod.ready and pod.revision in self.answering]
        for pod in answering:
            requests, bad = self.counters.get(pod.uid, (0.0, 0.0))
            more = self.rate * READING.total_seconds() / len(answering)
            bad += more / 2 if pod.revision in self.failing else 0
            self.counters[pod.uid] = (requests + more, bad)
        self.scrapes += [self._reading(pod) for pod in self.ours() if pod.ready]
        self.scrapes = [one for one in self.scrapes if one.at > self.now - 30 * READING]
        return True

    def _reading(self, pod: Pod) -> Scrape:
        requests, bad = (float(int(one)) for one in self.counters.get(pod.uid, (0.0, 0.0)))
        return Scrape(
            pod=pod.uid,
            namespace=pod.namespace,
            model=pod.model,
            revision=pod.revision,
            at=self.now,
            process=Process(pod.restarts, 1.0),
            values={"succeeded": requests - bad, "errors": bad, "aborted": 0.0},
        )

    def controllers(self) -> bool:
        """Let one Deployment create or delete one pod."""
        for revision in self._shuffled(self._revisions()):
            alive = [pod for pod in self.alive(revision)]
            if len(alive) < self.asked.get(revision, 0):
                self._create(revision)
                return True
            if len(alive) > self.asked.get(revision, 0):
                first = min(alive, key=lambda pod: (bool(pod.node), pod.ready, pod.name))
                self.pods[first.name] = replace(first, terminating=True, ready=False)
                return True
        return False

    def _revisions(self) -> list[str]:
        return sorted({*self.asked, *(pod.revision for pod in self.ours())})

    def _create(self, revision: str, gpus: int | None = None) -> None:
        self.made += 1
        name = f"{self.name}-{revision}-{self.made:05}"
        count = self.model.spec.resources.gpus if gpus is None else gpus
        owner = FOREIGN if revision == FOREIGN else self.name
        requests = ((GPU, count),)
        pod = a_pending_pod(name, model=owner, revision=revision, requests=requests)
        self.pods[name] = replace(pod, created_at=self.now)
        self.most_pods = max(self.most_pods, sum(1 for _ in self.ours()))

    def schedule(self) -> bool:
        """Let the scheduler try each pod without a node, in any order, until one is placed."""
        waiting = [pod for pod in self.pods.values() if not pod.node]
        for pod in [one for one in waiting if one.terminating]:
            del self.pods[pod.name]
            return True
        free = self.free()
        for pod in self._shuffled(waiting):
            fits = [node for node in sorted(free) if free[node] >= _gpus(pod)]
            if fits:
                self._place(pod, self.random.choice(fits))
                return True
            if pod.unschedulable is None:
                self.turned_down += pod.model != FOREIGN
                self.pods[pod.name] = replace(pod, unschedulable=UNSCHEDULABLE)
        return False

    def _place(self, pod: Pod, node: str) -> None:
        placed = a_loading_pod(
            pod.name, model=pod.model, revision=pod.revision, requests=pod.requests, node=node
        )
        instants = {"scheduled_at": self.now, "started_at": self.now}
        self.pods[pod.name] = replace(placed, created_at=pod.created_at, **instants)

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
                self.pods[pod.name] = replace(pod, ready=True, ready_at=self.now)
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
        steps = (self.controllers, self.schedule, self.load, self.leave, self.decide, self.tick)
        self.random.choice(steps[: None if self.is_canary else -1])()

    @property
    def is_canary(self) -> bool:
        """Whether time matters."""
        return self.model.spec.rollout.strategy == "Canary"

    # Figures

    def ours(self) -> Iterator[Pod]:
        """Yield the Model's pods."""
        name = self.name
        return (pod for pod in self.pods.values() if pod.model == name)

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
        return self._held()[node]

    def _held(self) -> Counter[str | None]:
        held: Counter[str | None] = Counter()
        for pod in self.pods.values():
            held[pod.node] += _gpus(pod)
        return held

    def free(self) -> dict[str, int]:
        """Return what is left of each node."""
        held = self._held()
        return {node: gpus - held[node] for node, gpus in self.nodes.items()}

    def _shuffled(self, things: Iterable[T]) -> list[T]:
        shuffled = list(things)
        self.random.shuffle(shuffled)
        return shuffled


@cache
def _node(name: str, gpus: int) -> Node:
    return a_node(name, gpus)


def _gpus(pod: Pod) -> int:
    return dict(pod.requests)[GPU]
