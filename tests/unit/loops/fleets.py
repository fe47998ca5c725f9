"""A fleet as watches tell of it, with a clock in the hands of a test."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from modelfleet.api import labels
from modelfleet.cluster.caches import Caches
from modelfleet.loops.books import Books
from modelfleet.plan.ledger.units import GRAINS
from modelfleet.plan.ledger.values import Charge
from modelfleet.plan.world import Key
from support import manifests

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
TEAM = "team"
CHAT = Key("Model", TEAM, "chat")
GPU = "nvidia.com/gpu"


class Fleet:
    """Caches and books over them. Nodes have eight GPUs and the pool h100 8 $/h each."""

    def __init__(self) -> None:
        self.now = NOON
        self.charges: list[Charge] = []
        self.woken: list[Key] = []
        self._objects: dict[tuple[str, str], dict[str, Any]] = {}
        self._version = 0
        self.restart()

    def restart(self) -> None:
        """Begin as a new process, which hears of everything that there is."""
        self.caches = Caches(lambda *_: None)
        self.books = Books(self.caches, lambda: self.now, self._charged)
        self.tell()

    def tell(self) -> None:
        """Have all that there is told again, as to a watch that begins."""
        self.see(*self._objects.values())

    def _charged(self, charges: Iterable[Charge]) -> None:
        self.charges.extend(charges)

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def see(self, *bodies: dict[str, Any]) -> None:
        for body in bodies:
            self._objects[body["kind"], body["metadata"]["name"]] = body
            self._feed("MODIFIED", body)

    def lose(self, body: dict[str, Any]) -> None:
        del self._objects[body["kind"], body["metadata"]["name"]]
        self._feed("DELETED", body)

    def _feed(self, event: str, body: dict[str, Any]) -> None:
        self._version += 1
        stores: dict[str, Any] = {
            "Pod": self.caches.pods,
            "Node": self.caches.nodes,
            "Namespace": self.caches.namespaces,
            **self.caches.customs(),
        }
        meta = {"uid": f"uid-{body['metadata']['name']}", **body["metadata"]}
        stamped = {**body, "metadata": {**meta, "resourceVersion": str(self._version)}}
        stores[body["kind"]].feed(event, stamped)

    def stated(self, ago: float = 0) -> str:
        return (self.now - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%SZ")

    # --- objects ------------------------------------------------------------------

    def node(self, name: str = "node-1", **changes: Any) -> dict[str, Any]:
        size = {GPU: "8", "cpu": "64", "memory": "512Gi"}
        return {
            "kind": "Node",
            "metadata": {
                "name": name,
                "labels": {"pool": "h100"},
                "creationTimestamp": NOON.strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
            "spec": changes,
            "status": {
                "capacity": size,
                "allocatable": size,
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        }

    def pool(self, rate: str | None = "8") -> dict[str, Any]:
        price = {"onDemand": {"perNodeHour": rate}, "weights": "GPUOnly"}
        found = manifests.pool("h100", pool="h100")
        return {**found, "spec": {**found["spec"], **({"price": price} if rate else {})}}

    def model(self, team: str | None = None, **status: Any) -> dict[str, Any]:
        found = manifests.model(TEAM, resources={"gpus": 1})
        own = {labels.TEAM: team} if team else {}
        return {**found, "metadata": {**found["metadata"], "labels": own}, "status": status}

    def namespace(self, team: str) -> dict[str, Any]:
        return {"kind": "Namespace", "metadata": {"name": TEAM, "labels": {labels.TEAM: team}}}

    def pod(self, name: str = "chat-abc-1", gpus: int = 2, **more: Any) -> dict[str, Any]:
        """Return a replica of revision abc that was bound just now."""
        conditions = [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": self.stated()}
        ]
        owner = {"kind": "ReplicaSet", "name": "chat-abc-xyz", "controller": True}
        own = {labels.MODEL: "chat", labels.REVISION: "abc"}
        amounts = {"requests": {GPU: str(gpus), "cpu": "4", "memory": "32Gi"}}
        return {
            "kind": "Pod",
            "metadata": {
                "name": name, "namespace": TEAM, "labels": own, "ownerReferences": [owner],
                **more.pop("metadata", {}),
            },
            "spec": {
                "nodeName": "node-1", "containers": [{"name": "engine", "resources": amounts}],
            },
            "status": {"conditions": conditions, **more},
        }  # fmt: skip

    def ready(self, pod: dict[str, Any]) -> dict[str, Any]:
        """Return a replica that has just become ready."""
        came = {"type": "Ready", "status": "True", "lastTransitionTime": self.stated()}
        status = {**pod["status"], "conditions": [*pod["status"]["conditions"], came]}
        return {**pod, "status": status}


def dollars(charges: Iterable[Charge]) -> float:
    return sum(one.cost for one in charges) / GRAINS / 1_000_000
