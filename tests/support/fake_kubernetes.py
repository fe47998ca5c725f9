"""A small Kubernetes in memory and in virtual time, and what people do to it."""

from datetime import datetime, timedelta
from typing import Any

from modelfleet.api import labels
from modelfleet.api.conditions import Condition, timestamp
from modelfleet.api.v1alpha1.model import ModelStatus
from modelfleet.cluster import parse, rest
from modelfleet.plan.world import Pod
from support.api_merge import merge_patch
from support.api_objects import Name, Object
from support.api_world import World, check_written
from support.builders import NOON
from support.fake_controllers import FOREGROUND, Controllers
from support.fake_nodes import Fault, Nodes

TEAM = "team-search"
"""The namespace that tests live in."""

CHILDREN = (
    rest.CONTROLLER_REVISIONS,
    rest.SERVICE_ACCOUNTS,
    rest.SERVICES,
    rest.DISRUPTION_BUDGETS,
    rest.DEPLOYMENTS,
    rest.ENDPOINT_SLICES,
)


class FakeKubernetes:
    """Objects, controllers, nodes, a clock, and a user's hands."""

    def __init__(self) -> None:
        self.world = World()
        self.clock = NOON
        self.nodes = Nodes(self.world, self.now)
        self.controllers = Controllers(self.world, self.now)
        self.advance(0)
        self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TEAM}})

    def now(self) -> datetime:
        return self.clock

    def advance(self, seconds: float) -> None:
        """Let time pass without anybody acting."""
        self.clock += timedelta(seconds=seconds)
        self.world.now = timestamp(self.clock)

    def wait(self) -> bool:
        """Let time pass until something is due; return whether anything is."""
        due = self.nodes.next_due()
        if due is not None:
            self.advance((due - self.clock).total_seconds())
        return due is not None

    # --- hands ----------------------------------------------------------------------

    def create(self, body: Object) -> Object:
        """Create an object as `kubectl create` does. Raises Refusal."""
        check_written(body)
        return self.world.create(rest.resource_of(body), body, "kubectl")

    def edit(self, kind: str, name: str, patch: Object) -> None:
        """Change an object with a merge patch. Raises Refusal."""
        found = self.get(kind, name)
        check_written(_as_written(merge_patch(found, patch)))
        self.force(kind, name, patch)

    def force(self, kind: str, name: str, patch: Object) -> None:
        """Change an object as if its CRD had no rules."""
        self.world.merge(rest.BY_KIND[kind], _name(kind, name), patch, manager="kubectl")

    def spec(self, name: str = "chat", **spec: Any) -> None:
        """Change fields of a Model's spec; None removes one."""
        self.edit("Model", name, {"spec": spec})

    def delete(self, kind: str, name: str, *, foreground: bool = False) -> None:
        """Delete an object; with `foreground`, what it owns goes first."""
        resource, where = rest.BY_KIND[kind], _name(kind, name)
        if foreground:
            self.force(kind, name, {"metadata": {"finalizers": [FOREGROUND]}})
        self.world.delete(resource, where)

    def add_node(self, name: str, gpus: int = 0, **node_labels: str) -> None:
        """Add a ready node, or give one that is there so many GPUs."""
        allocatable = {"cpu": "64", **({"nvidia.com/gpu": str(gpus)} if gpus else {})}
        ready = [{"type": "Ready", "status": "True"}]
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": node_labels},
            "spec": {},
            "status": {"allocatable": allocatable, "conditions": ready},
        }
        self.create(node)

    def lose_node(self, name: str) -> None:
        """Let a node's kubelet fall silent."""
        self.nodes.lost[name] = self.clock
        self._set_ready(name, "Unknown")

    def return_node(self, name: str) -> None:
        """Let it report again."""
        del self.nodes.lost[name]
        self._set_ready(name, "True")

    def _set_ready(self, name: str, status: str) -> None:
        ready = {"conditions": [{"type": "Ready", "status": status}]}
        self.world.merge(rest.NODES, ("", name), {"status": ready}, "status", "kubelet")

    def fail(self, fault: Fault, revision: str | None = None) -> None:
        """Let pods go wrong from now on: those of one revision, or all."""
        self.nodes.faults.append((lambda pod: revision in (None, parse.pod(pod).revision), fault))

    def mend(self) -> None:
        """Let nothing go wrong any more."""
        self.nodes.faults.clear()

    # --- what is there ------------------------------------------------------------

    def get(self, kind: str, name: str) -> Object:
        """Return an object. Raises Refusal."""
        return self.world.get(rest.BY_KIND[kind], *_name(kind, name))

    def status(self, name: str = "chat") -> ModelStatus:
        """Return a Model's status."""
        return ModelStatus.model_validate(self.get("Model", name).get("status", {}))

    def condition(self, kind: str, name: str, condition: str = "Ready") -> Condition | None:
        """Return a condition of an object of our kinds."""
        found = self.get(kind, name).get("status", {}).get("conditions", [])
        parsed = [Condition.model_validate(one) for one in found]
        return next((one for one in parsed if one.type == condition), None)

    def pods(self, name: str = "chat") -> list[Pod]:
        """Return a Model's pods by name, those included that are on their way out."""
        found = self.world.all_parsed(parse.pod, rest.PODS)
        return sorted((pod for pod in found if pod.model == name), key=lambda pod: pod.name)

    def children(self, name: str = "chat") -> dict[tuple[str, str], Object]:
        """Return what carries a Model's label, by kind and name."""
        return {
            (resource.kind, child): found
            for resource in CHILDREN
            for (_, child), found in sorted(self.world.of(resource).items())
            if found["metadata"].get("labels", {}).get(labels.MODEL) == name
        }


def _name(kind: str, name: str) -> Name:
    return (TEAM if rest.BY_KIND[kind].namespaced else ""), name


def _as_written(body: Object) -> Object:
    """Return an object as a user would send it, without what the server adds."""
    return {key: value for key, value in body.items() if key != "status"}
