"""Scheduler and kubelets in virtual time: a pod finds a node, pulls, loads, is ready, and goes.

Every step follows from the pod as it is, so that a node may be lost and come back at any time.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from modelfleet.api.conditions import timestamp
from modelfleet.cluster import parse, rest
from modelfleet.plan.world import Node, Pod
from support.api_objects import Name, Object
from support.api_world import World
from support.gpu_count import held_on

PULLING = timedelta(seconds=20)
LOADING = timedelta(seconds=60)
DRAINING = timedelta(seconds=5)
EVICTION = timedelta(seconds=300)
"""From a node's loss until its pods are to go: the default toleration."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong with a container, at `pull` or at `load`. No change: it takes for ever."""

    at: str
    container: Mapping[str, Any] = field(default_factory=dict)


def _waiting(reason: str, message: str) -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def _crash(code: int, reason: str, message: str = "") -> dict[str, Any]:
    return {
        "restartCount": 3,
        "state": _waiting("CrashLoopBackOff", "back-off 40s restarting failed container=engine"),
        "lastState": {"terminated": {"exitCode": code, "reason": reason, "message": message}},
    }


IMAGE_NOT_FOUND = Fault("pull", {"state": _waiting("ErrImagePull", "manifest unknown")})
IMAGE_UNAUTHORIZED = Fault("pull", {"state": _waiting("ErrImagePull", "401 Unauthorized")})
SECRET_MISSING = Fault(
    "pull",
    {"state": _waiting("CreateContainerConfigError", 'secret "hf-token" not found')},
)
OUT_OF_MEMORY = Fault("load", _crash(137, "OOMKilled"))
CRASH_LOOP = Fault("load", _crash(1, "Error", "ValueError: unrecognized arguments: --nonsense"))
LOADS_FOREVER = Fault("load")


@dataclass
class Nodes:
    """All nodes, and the scheduler."""

    world: World
    now: Callable[[], datetime]
    faults: list[tuple[Callable[[Object], bool], Fault]] = field(default_factory=list)
    """For which pods what goes wrong."""
    lost: dict[str, datetime] = field(default_factory=dict)
    """Since when a node does not report."""
    _due: dict[str, datetime] = field(default_factory=dict)

    def step(self) -> None:
        """Let everybody do what is due now."""
        for name, pod in list(self.world.of(rest.PODS).items()):
            node = pod["spec"].get("nodeName")
            if node is None:
                self._schedule(name, pod)
            elif self._is_lost(node):
                self._give_up(name, pod, self.lost.get(node, self.now()))
            elif "deletionTimestamp" in pod["metadata"]:
                self._leave(name, pod)
            else:
                self._run(name, pod)

    def next_due(self) -> datetime | None:
        """Return the next instant at which something happens by itself."""
        uids = {pod["metadata"]["uid"] for pod in self.world.of(rest.PODS).values()}
        self._due = {uid: at for uid, at in self._due.items() if uid in uids}
        return min((at for at in self._due.values() if at > self.now()), default=None)

    def _pod(self, raw: Object) -> Pod:
        return self.world.parsed(parse.pod, raw)

    def _node(self, raw: Object) -> Node:
        return self.world.parsed(parse.node, raw)

    def _is_lost(self, node: str) -> bool:
        return node in self.lost or self.world.find(rest.NODES, "", node) is None

    def _waits(self, pod: Object, until: datetime) -> bool:
        self._due[pod["metadata"]["uid"]] = until
        return self.now() < until

    # --- the scheduler ----------------------------------------------------------

    def _schedule(self, name: Name, pod: Object) -> None:
        fits = [node for node in self._candidates(pod) if self._has_room(node, pod)]
        if not fits:
            self._turn_down(name, pod)
            return
        rank = {node["metadata"]["name"]: _preference(pod, node) for node in fits}
        best = min(rank, key=lambda node: (-rank[node], node))
        self.world.merge(rest.PODS, name, {"spec": {"nodeName": best}}, manager="scheduler")
        self._report(name, _status(self._stamp(), scheduled=self._stamp()))

    def _candidates(self, pod: Object) -> list[Object]:
        nodes = [(self._node(raw), raw) for _, raw in sorted(self.world.of(rest.NODES).items())]
        return [raw for node, raw in nodes if node.ready and node.schedulable and _admits(raw, pod)]

    def _has_room(self, node: Object, pod: Object) -> bool:
        pods = self.world.all_parsed(parse.pod, rest.PODS)
        held = held_on(node["metadata"]["name"], pods)
        has = dict(self._node(node).allocatable)
        return all(has.get(one, 0) - held[one] >= much for one, much in self._pod(pod).requests)

    def _turn_down(self, name: Name, pod: Object) -> None:
        nodes = len(self.world.of(rest.NODES))
        lacks = [one for one, _ in self._pod(pod).requests] if self._candidates(pod) else []
        why = f"Insufficient {lacks[0]}" if lacks else "node(s) didn't match Pod's node affinity"
        message = f"0/{nodes} nodes are available: {nodes} {why}."
        if self._pod(pod).unschedulable != message:
            self._report(name, _status(self._stamp(), refused=message))

    # --- kubelets ---------------------------------------------------------------

    def _give_up(self, name: Name, pod: Object, since: datetime) -> None:
        """The node controller's part; the pod stays until its node is back or deleted."""
        if self._pod(pod).ready:
            self._report(name, _unready(pod, self._stamp()))
        if pod["spec"]["nodeName"] not in self.lost:
            self.world.finish(rest.PODS, name)  # the pod collector's part
        elif not self._waits(pod, since + EVICTION):
            self.world.end(rest.PODS, name, self._stamp())

    def _leave(self, name: Name, pod: Object) -> None:
        ends = parse.instant(pod["metadata"]["deletionTimestamp"])
        if ends is None or not self._waits(pod, ends):
            self.world.finish(rest.PODS, name)
        elif self._pod(pod).ready:
            self._report(name, _unready(pod, self._stamp()))

    def _run(self, name: Name, pod: Object) -> None:
        seen = self._pod(pod)
        fault = next((fault for hits, fault in self.faults if hits(pod)), None)
        if seen.ready or seen.scheduled_at is None:
            return
        if seen.restarts or (seen.waiting and seen.waiting.reason != "ContainerCreating"):
            if fault is None:  # mended: the kubelet tries again
                self._report(name, _status(self._stamp(), scheduled=self._stamp()))
            return
        started, instants = seen.started_at, {"scheduled": timestamp(seen.scheduled_at)}
        if started is None:
            self._pull(name, pod, fault, instants)
        elif not self._waits(pod, started + LOADING):
            self._load(name, fault, instants | {"started": timestamp(started)})

    def _pull(self, name: Name, pod: Object, fault: Fault | None, instants: Any) -> None:
        began = parse.instant(instants["scheduled"])
        if began and self._waits(pod, began + PULLING):
            return
        if fault and fault.at == "pull":
            self._report(name, _status(self._stamp(), **instants, container=fault.container))
        else:
            self._report(name, _status(self._stamp(), **instants, started=self._stamp()))

    def _load(self, name: Name, fault: Fault | None, instants: Any) -> None:
        if fault is None or fault.at != "load":
            self._report(name, _status(self._stamp(), **instants, ready=True))
        elif fault.container:
            scheduled = instants["scheduled"]
            failed = _status(self._stamp(), scheduled=scheduled, container=fault.container)
            self._report(name, failed)

    def _report(self, name: Name, status: Object) -> None:
        self.world.set_status(rest.PODS, name, status)

    def _stamp(self) -> str:
        return timestamp(self.now())


def _admits(node: Object, pod: Object) -> bool:
    labels = node["metadata"].get("labels", {})
    required = _affinity(pod).get("requiredDuringSchedulingIgnoredDuringExecution", {})
    terms = required.get("nodeSelectorTerms", [])
    return (
        (not terms or any(_matches(term, labels) for term in terms))
        and pod["spec"].get("nodeSelector", {}).items() <= labels.items()
        and all(_tolerates(pod, taint) for taint in node["spec"].get("taints", []))
    )


def _affinity(pod: Object) -> Mapping[str, Any]:
    affinity: Mapping[str, Any] = pod["spec"].get("affinity", {}).get("nodeAffinity", {})
    return affinity


def _matches(term: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    return all(labels.get(one["key"]) in one["values"] for one in term["matchExpressions"])


def _tolerates(pod: Object, taint: Mapping[str, str]) -> bool:
    return any(
        one.get("key") in (None, taint["key"]) and one.get("operator") == "Exists"
        for one in pod["spec"].get("tolerations", [])
    )


def _preference(pod: Object, node: Object) -> int:
    preferred: Sequence[Mapping[str, Any]] = _affinity(pod).get(
        "preferredDuringSchedulingIgnoredDuringExecution", []
    )
    labels = node["metadata"].get("labels", {})
    return sum(one["weight"] for one in preferred if _matches(one["preference"], labels))


def _status(
    now: str,
    *,
    refused: str = "",
    scheduled: str | None = None,
    started: str | None = None,
    ready: bool = False,
    container: Mapping[str, Any] | None = None,
) -> Object:
    """Return a pod's status as a kubelet writes it, at `now`."""
    if scheduled is None:
        return {"phase": "Pending", "conditions": [_unschedulable(now, refused)]}
    state = {"running": {"startedAt": started}} if started else _waiting("ContainerCreating", "")
    engine = {"name": "engine", "ready": ready, "restartCount": 0, "state": state}
    return {
        "phase": "Running" if started else "Pending",
        "startTime": scheduled,
        "conditions": [_true("PodScheduled", scheduled), _readiness(ready, now, scheduled)],
        "containerStatuses": [{**engine, **(container or {})}],
    }


def _true(kind: str, since: str) -> Object:
    return {"type": kind, "status": "True", "lastTransitionTime": since}


def _readiness(ready: bool, now: str, scheduled: str) -> Object:
    since = now if ready else scheduled
    return {**_true("Ready", since), "status": "True" if ready else "False"}


def _unschedulable(now: str, message: str) -> Object:
    refusal = {"status": "False", "reason": "Unschedulable", "message": message}
    return {**_true("PodScheduled", now), **refusal}


def _unready(pod: Object, now: str) -> Object:
    """Return the same status, not ready from `now` on."""
    scheduled, _ = pod["status"]["conditions"]
    unready = {"type": "Ready", "status": "False", "lastTransitionTime": now}
    return {**pod["status"], "conditions": [scheduled, unready]}
