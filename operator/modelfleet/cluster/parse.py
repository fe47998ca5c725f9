"""From what the API server sends to the values of `plan.world`. Absent is None, never zero."""

import sys
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from modelfleet.api import labels
from modelfleet.cluster.covers import quantity
from modelfleet.plan.world import (
    Deployment,
    Endpoints,
    Exit,
    Namespace,
    Node,
    Pod,
    Revision,
    Waiting,
)

Raw = Mapping[str, Any]

MOST = 1_000_000
"""No node has so many; what says so is a mistake, and sums must fit the status."""

TAKING_IN = timedelta(seconds=2)
"""The kubelet's own time from a pod's `startTime` to its first conditions; timestamps have whole
seconds."""


def instant(text: str | None) -> datetime | None:
    """Return an RFC 3339 timestamp as an aware datetime, or None."""
    return datetime.fromisoformat(text) if text else None


def extended(resources: Mapping[str, Any] | None) -> tuple[tuple[str, int], ...]:
    """Return the extended resources (GPUs and the like) of a resource list.

    Kubernetes takes only whole numbers of them, canonically 1k for 1000; anything else there is
    somebody's mistake.
    """
    counted = ((name, quantity(str(amount))) for name, amount in sorted((resources or {}).items()))
    return tuple(
        (sys.intern(name), min(int(amount), MOST))
        for name, amount in counted
        if "/" in name and amount is not None and amount >= 0 and amount == int(amount)
    )


def pod(raw: Raw) -> Pod:
    """Return the value of a pod, ours or anybody's."""
    meta, spec, status = raw["metadata"], raw.get("spec", {}), raw.get("status", {})
    own = meta.get("labels") or {}
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    engine = _engine_status(status)
    scheduled = conditions.get("PodScheduled", {})
    ready = conditions.get("Ready", {})
    return Pod(
        namespace=sys.intern(meta["namespace"]),
        name=meta["name"],
        uid=meta.get("uid", ""),
        model=_model_of(meta, own),
        revision=sys.intern(own.get(labels.REVISION, "")),
        serving=own.get(labels.SERVING) == "true",
        node=sys.intern(spec["nodeName"]) if spec.get("nodeName") else None,
        address=status.get("podIP"),
        requests=_requests(spec),
        cpu=_asked_of(spec, "cpu", 1000),
        memory=_asked_of(spec, "memory", 1),
        system=_is_system(meta),
        created_at=instant(meta.get("creationTimestamp")),
        scheduled_at=_since(scheduled),
        started_at=instant((engine.get("state") or {}).get("running", {}).get("startedAt")),
        ready_at=_since(ready),
        ready=ready.get("status") == "True",
        unready_at=_unready_at(ready, status),
        terminating="deletionTimestamp" in meta,
        gone_by=instant(meta.get("deletionTimestamp")),
        finished=status.get("phase") in ("Succeeded", "Failed"),
        failure=status.get("reason", ""),
        failure_message=status.get("message", ""),
        restarts=engine.get("restartCount", 0),
        unschedulable=_unschedulable(scheduled),
        waiting=_waiting(engine),
        last_exit=_last_exit(engine),
    )


def _model_of(meta: Raw, own: Mapping[str, str]) -> str:
    """Return the Model whose replica a pod is, or nothing.

    Labels alone prove nothing: a debug copy of a pod has them too. A replica's controller is the
    ReplicaSet of its revision's Deployment.
    """
    model = own.get(labels.MODEL, "")
    family = f"{model}-{own.get(labels.REVISION, '')}-"
    owners = (one for one in meta.get("ownerReferences") or () if one.get("controller"))
    ours = any(one["kind"] == "ReplicaSet" and one["name"].startswith(family) for one in owners)
    return model if ours else ""


def _engine_status(status: Raw) -> Raw:
    """Return the engine's container status; an init container in trouble goes first."""
    for one in status.get("initContainerStatuses") or ():
        state = one.get("state") or {}
        if state.get("waiting", {}).get("reason") not in (None, "PodInitializing"):
            return dict(one)
    containers = status.get("containerStatuses") or ()
    return next((one for one in containers if one["name"] == "engine"), next(iter(containers), {}))


def _since(condition: Raw) -> datetime | None:
    if condition.get("status") != "True":
        return None
    return instant(condition.get("lastTransitionTime"))


def _unready_at(ready: Raw, status: Raw) -> datetime | None:
    """Return when a pod stopped being ready.

    The kubelet writes `Ready=False` first when it takes the pod in, so only a later transition
    tells of a pod that had been ready.
    """
    changed = instant(ready.get("lastTransitionTime"))
    taken_in = instant(status.get("startTime"))
    if ready.get("status") == "True" or changed is None or taken_in is None:
        return None
    return changed if changed - taken_in > TAKING_IN else None


def _unschedulable(scheduled: Raw) -> str | None:
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        return str(scheduled.get("message", ""))
    return None


def _waiting(container: Raw) -> Waiting | None:
    state = (container.get("state") or {}).get("waiting")
    return Waiting(state.get("reason", ""), state.get("message", "")) if state else None


def _last_exit(container: Raw) -> Exit | None:
    ends = (container.get("state") or {}), (container.get("lastState") or {})
    end = next((one["terminated"] for one in ends if "terminated" in one), None)
    if end is None:
        return None
    began, ended = instant(end.get("startedAt")), instant(end.get("finishedAt"))
    return Exit(
        code=end.get("exitCode", 0),
        reason=end.get("reason", ""),
        message=end.get("message", ""),
        seconds=int((ended - began).total_seconds()) if began and ended else None,
    )


def _requests(spec: Raw) -> tuple[tuple[str, int], ...]:
    """Return what the scheduler sets aside of extended resources.

    Containers and sidecars (init containers that are always restarted) add up. Any other init
    container runs alone with the sidecars before it.
    """
    total, peak = Counter[str](), Counter[str]()
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            total.update(_asked(container))
        else:
            peak |= total + Counter(_asked(container))
    for container in spec.get("containers") or ():
        total.update(_asked(container))
    return tuple(sorted((total | peak).items()))


def _asked(container: Raw) -> dict[str, int]:
    resources = container.get("resources") or {}
    asked = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return dict(extended(asked))


def _asked_of(spec: Raw, resource: str, unit: int) -> int:
    """Return what the scheduler sets aside of CPU or memory; see `_requests`."""
    total, peak = 0, 0
    for container in spec.get("initContainers") or ():
        asked = _request(container, resource, unit)
        if container.get("restartPolicy") == "Always":
            total += asked
        else:
            peak = max(peak, total + asked)
    total += sum(_request(one, resource, unit) for one in spec.get("containers") or ())
    return max(total, peak) + _scaled(spec.get("overhead"), resource, unit)


def _request(container: Raw, resource: str, unit: int) -> int:
    resources = container.get("resources") or {}
    return _scaled(
        {**(resources.get("limits") or {}), **(resources.get("requests") or {})}, resource, unit
    )


def _scaled(amounts: Raw | None, resource: str, unit: int) -> int:
    amount = quantity(str((amounts or {}).get(resource, "0")))
    return max(0, int(amount * unit)) if amount is not None else 0


def _is_system(meta: Raw) -> bool:
    """Return whether a pod belongs to the node: of a DaemonSet, static, or of the cluster."""
    if meta["namespace"] == "kube-system":
        return True
    owners = (one for one in meta.get("ownerReferences") or () if one.get("controller"))
    return any(one["kind"] in ("DaemonSet", "Node") for one in owners)


def node(raw: Raw) -> Node:
    """Return the value of a node."""
    meta, spec, status = raw["metadata"], raw.get("spec", {}), raw.get("status", {})
    conditions = {one["type"]: one["status"] for one in status.get("conditions") or ()}
    return Node(
        name=sys.intern(meta["name"]),
        labels={
            sys.intern(key): sys.intern(value) for key, value in (meta.get("labels") or {}).items()
        },
        allocatable=extended(status.get("allocatable")),
        ready=conditions.get("Ready") == "True",
        schedulable=not spec.get("unschedulable", False),
        uid=meta.get("uid", ""),
        created_at=instant(meta.get("creationTimestamp")),
        cpu=_scaled(status.get("capacity"), "cpu", 1000),
        memory=_scaled(status.get("capacity"), "memory", 1),
    )


def namespace(raw: Raw) -> Namespace:
    """Return the value of a namespace."""
    meta = raw["metadata"]
    return Namespace(name=meta["name"], team=(meta.get("labels") or {}).get(labels.TEAM, ""))


def deployment(raw: Raw) -> Deployment:
    """Return the facts of one revision's Deployment."""
    meta, spec, status = raw["metadata"], raw["spec"], raw.get("status", {})
    failures = (
        one.get("message", "")
        for one in status.get("conditions") or ()
        if one["type"] == "ReplicaFailure" and one["status"] == "True"
    )
    return Deployment(
        name=meta["name"],
        revision=(meta.get("labels") or {}).get(labels.REVISION, ""),
        uid=meta.get("uid", ""),
        replicas=spec.get("replicas", 1),
        existing=status.get("replicas", 0),
        observed=status.get("observedGeneration", 0) >= meta.get("generation", 0),
        failure=next(failures, None),
    )


def revision(raw: Raw) -> Revision:
    """Return a kept revision with the pod template that it was given."""
    meta = raw["metadata"]
    return Revision(
        name=meta["name"],
        hash=(meta.get("labels") or {}).get(labels.REVISION, ""),
        number=raw.get("revision", 0),
        template=(raw.get("data") or {}).get("template", {}),
        inputs=(raw.get("data") or {}).get("spec", {}),
        uid=meta.get("uid", ""),
        created_at=instant(meta.get("creationTimestamp")),
    )


def endpoints(raw: Raw) -> Endpoints:
    """Return where an EndpointSlice leads to. Only IPv4 is looked at."""
    found = raw.get("endpoints") or () if raw.get("addressType") == "IPv4" else ()
    ports = {one.get("name"): one.get("port") for one in raw.get("ports") or ()}
    ready = {
        address
        for one in found
        # As the API has it: what is not said to be unready is ready.
        if (one.get("conditions") or {}).get("ready") is not False
        for address in one["addresses"][:1]
    }
    return Endpoints(
        service=(raw["metadata"].get("labels") or {}).get(labels.SERVICE_NAME, ""),
        port=ports.get("http"),
        ready=tuple(sorted(ready)),
    )
