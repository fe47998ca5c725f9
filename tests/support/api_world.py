"""All objects of a cluster in memory, refusing what no API server and no garbage collector allows.

A test cannot pass in a world that cannot be: every write, whoever makes it, is checked here.
"""

import copy
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from modelfleet.api.v1alpha1 import KINDS
from modelfleet.api.validation import problems
from modelfleet.cluster import rest
from modelfleet.cluster.rest import Resource
from support.api_objects import Name, Object, Objects, Refusal

T = TypeVar("T")

LONGEST_NAME = 63
_KINDS = {kind.names.kind: kind for kind in KINDS}


@dataclass
class World(Objects):
    """Deterministic: the same writes give the same uids and versions."""

    made: int = 0
    _memory: dict[Any, tuple[Object, Any]] = field(default_factory=dict)

    # --- reading ---------------------------------------------------------------

    def everything(self) -> list[tuple[Resource, Name, Object]]:
        """Return all objects as they are now."""
        return [
            (resource, name, found)
            for resource, objects in list(self.items.items())
            for name, found in list(objects.items())
        ]

    def find(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """Return an object, or None."""
        return self.of(resource).get((namespace, name))

    def owned_by(self, uid: str) -> Iterator[tuple[Resource, Name, Object]]:
        """Yield the objects that `uid` controls."""
        for resource, name, found in self.everything():
            if (controller_of(found) or {}).get("uid") == uid:
                yield resource, name, found

    def parsed(self, parse: Callable[[Object], T], found: Object) -> T:
        """Return `parse(found)`, parsed once for each version of an object."""
        key = (parse, found["metadata"]["uid"])
        known, value = self._memory.get(key, (None, None))
        if known is not found:
            value = parse(found)
            self._memory[key] = (found, value)
        return cast(T, value)

    def all_parsed(self, parse: Callable[[Object], T], resource: Resource) -> list[T]:
        """Return all objects of one kind, parsed."""
        return [self.parsed(parse, found) for found in self.of(resource).values()]

    # --- writing ---------------------------------------------------------------

    def end(self, resource: Resource, name: Name, at: str | None = None) -> None:
        """Delete an object, or let it be terminating until `at`, where it is a pod on a node."""
        found = self.get(resource, *name)
        if "deletionTimestamp" in found["metadata"]:
            return
        if at is None:
            self.delete(resource, name)
            return
        dying = copy.deepcopy(found)
        dying["metadata"]["deletionTimestamp"] = at
        self._store(resource, name, dying)

    def set_status(self, resource: Resource, name: Name, status: Object) -> None:
        """Let a controller report. Nobody else writes there, so nobody need own it."""
        old = self.get(resource, *name)
        self._update(resource, name, {**old, "status": status}, "status")

    def finish(self, resource: Resource, name: Name) -> None:
        """Let an object that was terminating be gone."""
        self._remove(resource, name)

    def _insert(self, resource: Resource, name: Name, body: Object) -> Object:
        namespace = name[0]
        if namespace and ("", namespace) not in self.of(rest.NAMESPACES):
            raise Refusal(404, "NotFound", f'namespaces "{namespace}" not found')
        self.made += 1
        body["metadata"] |= {
            "uid": f"uid-{self.made:05}",
            "creationTimestamp": self.now,
            "generation": 1,
        }
        return self._store(resource, name, body)

    def _store(self, resource: Resource, name: Name, body: Object) -> Object:
        _check_metadata(body)
        before = self.of(resource).get(name)
        if resource is rest.DEPLOYMENTS:
            _check_deployment(body)
        if resource is rest.SERVICES:
            _check_service(body)
        if resource is rest.CONTROLLER_REVISIONS and before:
            _check_snapshot(before, body)
        return super()._store(resource, name, body)


def check_written(body: Object) -> None:
    """Refuse an object of our kinds that its CRD refuses. Other kinds pass."""
    kind = _KINDS.get(body["kind"])
    for problem in problems(kind, body) if kind else ():
        raise Refusal(422, "Invalid", f"{problem.field}: {problem.message}")


def controller_of(body: Object) -> dict[str, Any] | None:
    """Return the owner reference that controls an object."""
    owners = body["metadata"].get("ownerReferences") or ()
    return next((one for one in owners if one.get("controller")), None)


def _check_metadata(body: Object) -> None:
    metadata = body["metadata"]
    name = metadata["name"]
    if len(name) > LONGEST_NAME or not re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", name):
        raise Refusal(422, "Invalid", f"metadata.name: {name}: Invalid value")
    owners = metadata.get("ownerReferences") or ()
    if sum(bool(one.get("controller")) for one in owners) > 1:
        raise Refusal(422, "Invalid", "Only one reference can have Controller set to true")


def _check_deployment(body: Object) -> None:
    wanted = body["spec"]["selector"]["matchLabels"]
    if not wanted.items() <= body["spec"]["template"]["metadata"]["labels"].items():
        raise Refusal(422, "Invalid", "`selector` does not match template `labels`")


def _check_service(body: Object) -> None:
    names = [port.get("name") for port in body["spec"]["ports"]]
    if len(set(names)) < len(names):
        raise Refusal(422, "Invalid", f"spec.ports: Duplicate value: {names[0]}")


def _check_snapshot(before: Object, after: Object) -> None:
    if before.get("data") != after.get("data"):
        raise Refusal(422, "Invalid", "data: Invalid value: field is immutable")
