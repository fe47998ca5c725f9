"""Kubernetes' own controllers, as far as a Model's children meet them."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modelfleet.api.conditions import timestamp
from modelfleet.cluster import parse, rest
from support.api_objects import Name, Object
from support.api_world import World, controller_of
from support.fake_nodes import DRAINING

FOREGROUND = "foregroundDeletion"
TEMPLATE = "pod-template-hash"
LONGEST_PREFIX = 58
"""Generated names have five more characters, and 63 at most."""

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


@dataclass
class Controllers:
    """The Deployment controller (its pods have no ReplicaSet between) and the garbage collector."""

    world: World
    now: Callable[[], datetime]
    quota: int | None = None
    """Pods that the namespace may have."""
    restarts: int = 0
    """Pods that were ended because the template of their Deployment changed."""
    made: int = 0

    def step(self) -> None:
        """Let everybody act once."""
        for name, deployment in list(self.world.of(rest.DEPLOYMENTS).items()):
            if "deletionTimestamp" not in deployment["metadata"]:
                self._scale(name, deployment)
        self._collect()

    # --- Deployments --------------------------------------------------------------

    def _scale(self, name: Name, deployment: Object) -> None:
        pods = self._alive(deployment)
        asked, template = deployment["spec"]["replicas"], _hash(deployment)
        others = [pod for pod in pods if pod["metadata"]["labels"][TEMPLATE] != template]
        for pod in sorted(pods, key=_worth)[: max(0, len(pods) - asked)]:
            self.end(pod)
        if len(pods) <= asked and others:
            self.restarts += 1
            self.end(others[0])
        failure = None
        for _ in range(asked - len(pods)):
            failure = self._create(deployment, template)
        self._report(name, deployment, failure)

    def _alive(self, deployment: Object) -> list[Object]:
        return [
            pod
            for _, _, pod in self.world.owned_by(deployment["metadata"]["uid"])
            if "deletionTimestamp" not in pod["metadata"]
            and not self.world.parsed(parse.pod, pod).finished
        ]

    def _create(self, deployment: Object, template: str) -> str | None:
        """Create a pod; return what was said against it."""
        namespace, pods = deployment["metadata"]["namespace"], self.world.of(rest.PODS)
        if self.quota is not None and len(pods) >= self.quota:
            limit = f"requested: pods=1, used: pods={len(pods)}, limited: pods={self.quota}"
            return f'pods "x" is forbidden: exceeded quota: most, {limit}'
        account = deployment["spec"]["template"]["spec"]["serviceAccountName"]
        if self.world.find(rest.SERVICE_ACCOUNTS, namespace, account) is None:
            return f'pods "x" is forbidden: error looking up service account {namespace}/{account}'
        self.made += 1
        name = f"{deployment['metadata']['name']}-{template}-"[:LONGEST_PREFIX] + f"{self.made:05}"
        self.world.create(rest.PODS, _pod(deployment, name, template), "deployment-controller")
        return None

    def _report(self, name: Name, deployment: Object, failure: str | None) -> None:
        refused = {"type": "ReplicaFailure", "status": "True", "message": failure}
        status: dict[str, Any] = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": len(self._alive(deployment)),
            "conditions": [refused] if failure else [],
        }
        self.world.set_status(rest.DEPLOYMENTS, name, status)

    def end(self, pod: Object) -> None:
        """Delete a pod: gracefully, where it runs."""
        name = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        placed = pod["spec"].get("nodeName")
        self.world.end(rest.PODS, name, timestamp(self.now() + DRAINING) if placed else None)

    # --- the garbage collector ------------------------------------------------------

    def _collect(self) -> None:
        uids = {found["metadata"]["uid"] for _, _, found in self.world.everything()}
        for resource, name, found in self.world.everything():
            owner = controller_of(found)
            if owner and owner["uid"] not in uids:
                self._remove(resource, name, found)
            if FOREGROUND in found["metadata"].get("finalizers", ()):
                self._empty(resource, name, found)

    def _empty(self, resource: rest.Resource, name: Name, dying: Object) -> None:
        """Foreground deletion: first what is owned, then the owner."""
        dependents = list(self.world.owned_by(dying["metadata"]["uid"]))
        for one, its_name, found in dependents:
            self._remove(one, its_name, found)
        if not dependents:
            self.world.finish(resource, name)

    def _remove(self, resource: rest.Resource, name: Name, found: Object) -> None:
        if resource is rest.PODS:
            self.end(found)
        elif "deletionTimestamp" not in found["metadata"]:
            self.world.delete(resource, name)


def _worth(pod: Object) -> tuple[bool, bool, int, int]:
    """Sort pods as a ReplicaSet does that has too many: the youngest of equals goes first."""
    seen, annotations = parse.pod(pod), pod["metadata"].get("annotations", {})
    cost = int(annotations.get(DELETION_COST, 0))
    return bool(seen.node), seen.ready, cost, -int(seen.name[-5:])


def _hash(deployment: Object) -> str:
    template = json.dumps(deployment["spec"]["template"], sort_keys=True)
    return hashlib.sha256(template.encode()).hexdigest()[:10]


def _pod(deployment: Object, name: str, template_hash: str) -> Object:
    template = deployment["spec"]["template"]
    written, meta = template["metadata"], deployment["metadata"]
    # The ReplicaSet is played by its Deployment, whose uid it has: one level less to collect.
    replica_set = f"{meta['name']}-{template_hash}"
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": replica_set}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": meta["namespace"],
            "labels": {**written["labels"], TEMPLATE: template_hash},
            "annotations": dict(written.get("annotations", {})),
            "ownerReferences": [{**owner, "uid": meta["uid"], "controller": True}],
        },
        "spec": template["spec"],
        "status": {"phase": "Pending"},
    }
