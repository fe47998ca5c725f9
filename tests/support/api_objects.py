"""The API server's objects without HTTP: versions, finalizers, preconditions, history.

It refuses what a real one refuses, so that a test cannot pass in a world that cannot be.
"""

import copy
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelfleet.cluster.rest import Resource
from support import api_merge

Object = dict[str, Any]
Name = tuple[str, str]


class Refusal(Exception):
    """A Status object with a failure."""

    def __init__(
        self, code: int, reason: str, message: str, causes: list[dict[str, str]] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "code": code,
            "reason": reason,
            "message": message,
            "details": {"causes": causes or []},
        }


@dataclass(frozen=True)
class Change:
    """One step of the history: before and after, None where there is nothing."""

    version: int
    resource: Resource
    before: Object | None
    after: Object | None
    """The last state, also of what was deleted."""
    deleted: bool


@dataclass
class Objects:
    """All objects of one cluster and what happened to them."""

    version: int = 100
    oldest: int = 0
    """Watches from before are told 410."""
    items: dict[Resource, dict[Name, Object]] = field(default_factory=dict)
    owners: dict[tuple[Resource, Name], api_merge.Ownership] = field(default_factory=dict)
    history: list[Change] = field(default_factory=list)
    listeners: list[Callable[[Change], None]] = field(default_factory=list)
    now: str = "2026-01-01T00:00:00Z"

    def of(self, resource: Resource) -> dict[Name, Object]:
        return self.items.setdefault(resource, {})

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        found = self.of(resource).get((namespace, name))
        if found is None:
            raise Refusal(404, "NotFound", f'{resource.plural} "{name}" not found')
        return found

    def create(self, resource: Resource, body: Object, manager: str = "test") -> Object:
        """POST. Takes what a client sends; returns what is stored."""
        name = self._check(resource, body)
        if body["metadata"].get("resourceVersion"):
            raise Refusal(400, "BadRequest", "resourceVersion should not be set on objects")
        if name in self.of(resource):
            raise Refusal(409, "AlreadyExists", f'{resource.plural} "{name[1]}" already exists')
        owners = self.owners[resource, name] = api_merge.Ownership()
        owners.update(manager, api_merge.changed_leaves({}, body))
        return self._insert(resource, name, copy.deepcopy(body))

    def replace(
        self, resource: Resource, body: Object, subresource: str = "", manager: str = "test"
    ) -> Object:
        """PUT. The body's resourceVersion, where given, must be the newest."""
        name = self._check(resource, body)
        old = self.get(resource, *name)
        self._check_version(old, body)
        self._owners(resource, name).update(manager, api_merge.changed_leaves(old, body))
        return self._update(resource, name, copy.deepcopy(body), subresource)

    def merge(
        self,
        resource: Resource,
        name: Name,
        patch: Object,
        subresource: str = "",
        manager: str = "test",
    ) -> Object:
        """PATCH with a merge patch. A uid or version in it is a precondition."""
        old = self.get(resource, *name)
        self._check_version(old, patch)
        _check_same(old, (patch.get("metadata") or {}).get("uid"))
        new = api_merge.merge_patch(old, patch)
        new["metadata"] |= {"name": name[1], "uid": old["metadata"]["uid"]}
        self._owners(resource, name).update(manager, api_merge.changed_leaves(old, new))
        return self._update(resource, name, new, subresource)

    def apply(
        self, resource: Resource, name: Name, body: Object, manager: str, force: bool
    ) -> tuple[Object, bool]:
        """PATCH with an apply; return the object and whether it was created."""
        if self._check(resource, body) != name:
            raise Refusal(400, "BadRequest", "the name of the object does not match the URL")
        if body["metadata"].get("managedFields"):
            raise Refusal(400, "BadRequest", "metadata.managedFields must be nil")
        old = self.of(resource).get(name)
        uid = body["metadata"].get("uid")
        if old is None and uid:
            raise Refusal(409, "Conflict", f"uid mismatch: {uid}, and no existing object was found")
        if old is not None:
            _check_same(old, uid)
            self._check_version(old, body)
        owners = self._owners(resource, name) if old else api_merge.Ownership()
        try:
            base = old or _skeleton(body)
            new = api_merge.apply(copy.deepcopy(base), body, owners, manager, force)
        except api_merge.FieldConflictError as error:
            raise _field_conflict(error) from error
        self.owners[resource, name] = owners
        if old is None:
            return self._insert(resource, name, new), True
        return self._update(resource, name, new, ""), False

    def delete(
        self, resource: Resource, name: Name, preconditions: Mapping[str, str] | None = None
    ) -> Object:
        """DELETE. An object with finalizers stays until these are gone."""
        old = self.get(resource, *name)
        wanted = preconditions or {}
        self._check_uid(old, wanted.get("uid"))
        self._check_version(old, {"metadata": dict(wanted)})
        if old["metadata"].get("finalizers"):
            dying = copy.deepcopy(old)
            dying["metadata"].setdefault("deletionTimestamp", self.now)
            return self._store(resource, name, dying)
        return self._remove(resource, name)

    def compact(self) -> None:
        """Forget the history: a watch from an earlier version is told 410."""
        self.oldest = self.version
        self.history.clear()

    def _owners(self, resource: Resource, name: Name) -> api_merge.Ownership:
        return self.owners.setdefault((resource, name), api_merge.Ownership())

    def _check(self, resource: Resource, body: Object) -> Name:
        if body.get("kind") != resource.kind or body.get("apiVersion") != resource.api_version:
            raise Refusal(400, "BadRequest", f"the object is no {resource.kind}")
        metadata = body.get("metadata") or {}
        name, namespace = metadata.get("name"), metadata.get("namespace") or ""
        if not name or bool(namespace) != resource.namespaced:
            raise Refusal(422, "Invalid", "metadata.name or namespace: Required value")
        for key, value in (metadata.get("labels") or {}).items():
            if not isinstance(value, str) or len(value) > 63 or not key:
                raise Refusal(422, "Invalid", f"metadata.labels: {key}: Invalid value")
        return namespace, name

    def _check_uid(self, old: Object, uid: str | None) -> None:
        if uid and uid != old["metadata"]["uid"]:
            raise Refusal(409, "Conflict", f"Precondition failed: UID in precondition: {uid}")

    def _check_version(self, old: Object, body: Object) -> None:
        version = (body.get("metadata") or {}).get("resourceVersion")
        if version and version != old["metadata"]["resourceVersion"]:
            raise Refusal(409, "Conflict", "the object has been modified")

    def _insert(self, resource: Resource, name: Name, body: Object) -> Object:
        body["metadata"] |= {
            "uid": str(uuid.uuid4()),
            "creationTimestamp": self.now,
            "generation": 1,
        }
        return self._store(resource, name, body)

    def _update(self, resource: Resource, name: Name, body: Object, subresource: str) -> Object:
        old = self.of(resource)[name]
        kept = {k: old["metadata"].get(k) for k in ("uid", "creationTimestamp", "generation")}
        kept["resourceVersion"] = old["metadata"]["resourceVersion"]
        if "deletionTimestamp" in old["metadata"]:
            kept["deletionTimestamp"] = old["metadata"]["deletionTimestamp"]
        if subresource == "status":
            body = {**old, "status": body.get("status") or {}}
        elif "status" in old:
            body = {**body, "status": old["status"]}
        body = {**body, "metadata": {**body["metadata"], **kept}}
        if body == old:
            return old
        if body.get("spec") != old.get("spec"):
            body["metadata"]["generation"] = old["metadata"]["generation"] + 1
        _check_immutable(resource, old, body)
        if "deletionTimestamp" in body["metadata"] and not body["metadata"].get("finalizers"):
            self._store(resource, name, body)
            return self._remove(resource, name)
        return self._store(resource, name, body)

    def _store(self, resource: Resource, name: Name, body: Object) -> Object:
        self.version += 1
        before = self.of(resource).get(name)
        body["metadata"] = {**body["metadata"], "resourceVersion": str(self.version)}
        self.of(resource)[name] = body
        self._tell(Change(self.version, resource, before, body, deleted=False))
        return body

    def _remove(self, resource: Resource, name: Name) -> Object:
        self.version += 1
        before = self.of(resource).pop(name)
        self.owners.pop((resource, name), None)
        last = copy.deepcopy(before)
        last["metadata"]["resourceVersion"] = str(self.version)
        self._tell(Change(self.version, resource, before, last, deleted=True))
        return last

    def _tell(self, change: Change) -> None:
        self.history.append(change)
        for listener in list(self.listeners):
            listener(change)


def _check_same(old: Object, uid: str | None) -> None:
    if uid and uid != old["metadata"]["uid"]:
        causes = [{"reason": "FieldValueInvalid", "field": "metadata.uid"}]
        raise Refusal(422, "Invalid", "metadata.uid: field is immutable", causes)


def _skeleton(body: Object) -> Object:
    metadata = {k: body["metadata"][k] for k in ("name", "namespace") if k in body["metadata"]}
    return {"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": metadata}


def _field_conflict(error: api_merge.FieldConflictError) -> Refusal:
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f'conflict with "{manager}"',
            "field": ".".join(map(str, path)),
        }
        for manager, path in error.conflicts
    ]
    return Refusal(409, "Conflict", f"Apply failed with {len(causes)} conflicts", causes)


def _check_immutable(resource: Resource, old: Object, new: Object) -> None:
    if resource.kind == "Deployment" and _selector(old) != _selector(new):
        raise Refusal(422, "Invalid", "spec.selector: Invalid value: field is immutable")
    if resource.kind == "Event":
        fixed = [
            {k: v for k, v in e.items() if k not in ("series", "metadata")} for e in (old, new)
        ]
        if fixed[0] != fixed[1]:
            raise Refusal(422, "Invalid", "an event can only have its series changed")


def _selector(obj: Object) -> Any:
    return (obj.get("spec") or {}).get("selector")
