"""The operator's real view of a cluster, on an API server in this process.

Caches hear of every change at once, so that a test need not wait for a watch.
"""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from modelfleet.api import labels
from modelfleet.api.v1alpha1.cost import ModelCost, PoolCost
from modelfleet.cluster import rest
from modelfleet.cluster.apply import Applier
from modelfleet.cluster.caches import Caches
from modelfleet.cluster.events import Recorder
from modelfleet.cluster.fence import Fenced
from modelfleet.cluster.live import LiveCluster
from modelfleet.cluster.session import Session
from modelfleet.plan.samples import ProbeResult, Scrape
from modelfleet.plan.scaling import Memory
from modelfleet.plan.world import Key, Notice
from modelfleet.reconcile import reconcile
from support import manifests
from support.api_objects import Change
from support.builders import NOON
from support.fake_api import FakeApi

TEAM = "team"
CHAT = Key("Model", TEAM, "chat")
WRITES = {"POST", "PUT", "PATCH", "DELETE"}


class Load:
    """Knows how busy replicas are, as a test says."""

    def __init__(self) -> None:
        self.busy: dict[str, int] = {}
        self.watched: set[Key] = set()

    def watch(self, key: Key, wanted: bool) -> None:
        (self.watched.add if wanted else self.watched.discard)(key)

    def in_flight(self, key: Key, now: datetime) -> Mapping[str, int]:  # noqa: ARG002
        return self.busy


class Evidence:
    """Knows what pods told, as a test says."""

    def __init__(self) -> None:
        self.told: tuple[Scrape, ...] = ()
        self.answered: tuple[ProbeResult, ...] = ()
        self.watched: dict[Key, tuple[float, bool]] = {}

    def watch(self, key: Key, seconds: float | None, probes: bool) -> None:
        if seconds is None:
            self.watched.pop(key, None)
        else:
            self.watched[key] = (seconds, probes)

    def scrapes(self, key: Key) -> tuple[Scrape, ...]:  # noqa: ARG002
        return self.told

    def probes(self, key: Key) -> tuple[ProbeResult, ...]:  # noqa: ARG002
        return self.answered


class Costs:
    """Knows what things cost, as a test says."""

    def __init__(self) -> None:
        self.models: dict[Key, ModelCost] = {}
        self.pools: dict[str, PoolCost] = {}

    def model_cost(self, key: Key, old: ModelCost | None, now: datetime) -> ModelCost | None:  # noqa: ARG002
        return self.models.get(key)

    def pool_cost(self, pool: str, old: PoolCost | None, now: datetime) -> PoolCost | None:  # noqa: ARG002
        return self.pools.get(pool)


class Scaling:
    """Knows loads, as a test says."""

    def __init__(self) -> None:
        self.told: tuple[Scrape, ...] = ()
        self.noted: dict[Key, Memory] = {}

    def note(self, key: Key, memory: Memory | None) -> None:
        if memory is None:
            self.noted.pop(key, None)
        else:
            self.noted[key] = memory

    def memory(self, key: Key) -> Memory | None:
        return self.noted.get(key)

    def pages(self, key: Key) -> tuple[Scrape, ...]:  # noqa: ARG002
        return self.told


class Notes(Recorder):
    """Remembers what it is told before it is added up."""

    def __init__(self, session: Session) -> None:
        super().__init__(session, "operator-1")
        self.reasons: list[str] = []

    def record(
        self, regarding: Mapping[str, str], notice: Notice, action: str = "Reconcile"
    ) -> None:
        self.reasons.append(notice.reason)
        super().record(regarding, notice, action)


class LiveWorld:
    """An API server, caches that follow it at once, and the operator's view of both."""

    def __init__(self, api: FakeApi, session: Session) -> None:
        self.api, self.session = api, session
        self.woken: list[Key] = []
        self.caches = Caches(lambda key, _: self.woken.append(key))
        self.leads, self.load, self.evidence = True, Load(), Evidence()
        self.costs = Costs()
        self.scaling = Scaling()
        self.recorder = Notes(session)
        fenced = Fenced(session, lambda: math.inf if self.leads else 0.0)
        self.cluster = LiveCluster(
            fenced,
            self.caches,
            Applier(fenced),
            self.recorder,
            self.load,
            self.evidence,
            self.costs,
            self.scaling,
            lambda: NOON,
        )
        self.follow()

    def follow(self) -> None:
        """Let the caches hear of every change."""
        self.api.objects.listeners.append(self._hear)

    def deafen(self) -> None:
        """Let them hear of none."""
        self.api.objects.listeners.remove(self._hear)

    def _hear(self, change: Change) -> None:
        kept = {"Pod": self.caches.pods, "Node": self.caches.nodes}
        stores: Mapping[str, Any] = {**self.caches.customs(), **kept, **self.caches.children}
        store, event = stores.get(change.resource.kind), "DELETED" if change.deleted else "MODIFIED"
        if store is not None and change.after is not None and _is_ours(change):
            store.feed(event, change.after)

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        return self.api.objects.create(rest.resource_of(body), body)

    def get(self, kind: str, name: str = "chat") -> dict[str, Any]:
        return self.api.objects.get(rest.BY_KIND[kind], TEAM, name)

    def merge(self, kind: str, patch: dict[str, Any], name: str = "chat") -> None:
        self.api.objects.merge(rest.BY_KIND[kind], (TEAM, name), patch)

    @property
    def writes(self) -> list[tuple[str, str]]:
        """The writes since this was last asked, but for events."""
        seen = [(verb, path) for verb, path in self.api.requests if verb in WRITES]
        self.api.requests.clear()
        return [(verb, path) for verb, path in seen if "/events" not in path]

    def told(self) -> tuple[str, str]:
        """Reason and message of `Ready`."""
        ready = self.get("Model")["status"]["conditions"][0]
        return ready["reason"], ready["message"]

    async def look(self, key: Key = CHAT) -> timedelta | None:
        return await reconcile(key, self.cluster)

    async def events(self) -> list[str]:
        """Return the reasons of all events, as they were told and as they were posted."""
        await self.recorder.flush(5)
        posted = [event["reason"] for event in self.api.objects.of(rest.EVENTS).values()]
        assert posted == list(dict.fromkeys(self.recorder.reasons))
        return self.recorder.reasons


def _is_ours(change: Change) -> bool:
    """Children are watched by our label."""
    own = (change.after or {})["metadata"].get("labels") or {}
    others = change.resource.kind in {
        "Pod",
        "Node",
        "Model",
        "GPUNodePool",
        "Engine",
        "AutoscalingPolicy",
    }
    return others or own.get(labels.MANAGED_BY) == labels.FIELD_MANAGER


def a_model(**spec: Any) -> dict[str, Any]:
    return manifests.model(TEAM, **spec)


def a_pod(name: str, revision: str, ready: str = "True") -> dict[str, Any]:
    own = {labels.MODEL: "chat", labels.REVISION: revision, labels.SERVING: "true"}
    since = {"lastTransitionTime": "2026-11-24T11:59:00Z"}
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"chat-{revision}-6b1f"}
    owners = [{**owner, "uid": "rs1", "controller": True}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": TEAM, "labels": own, "ownerReferences": owners},
        "spec": {"nodeName": "n1", "containers": [{"name": "engine"}]},
        "status": {
            "conditions": [
                {"type": "PodScheduled", "status": "True", **since},
                {"type": "Ready", "status": ready, **since},
            ],
            "containerStatuses": [{"name": "engine", "restartCount": 0, "state": {"running": {}}}],
        },
    }


def a_node(ready: str = "True") -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": ready}]
    status = {"allocatable": {"nvidia.com/gpu": "8"}, "conditions": conditions}
    meta = {"name": "n1", "labels": {"gpu": "h100"}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": meta, "status": status}


async def served(world: LiveWorld) -> str:
    """Create a Model with one ready pod; return its revision."""
    world.create(a_node())
    world.create(a_model())
    await world.look()
    revision = str(world.get("Model")["status"]["currentRevision"])
    world.create(a_pod("chat-1", revision))
    await world.look()
    assert world.told()[0] == "AllReplicasReady"
    world.api.requests.clear()
    return revision
