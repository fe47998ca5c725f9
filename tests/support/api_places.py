"""What a request is about: the place that its path names, its selectors, and an open watch."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from modelfleet.cluster.rest import BY_KIND, Resource
from support.api_objects import Change, Name, Object, Refusal


@dataclass(frozen=True)
class Selector:
    """A label and a field selector."""

    labels: str = ""
    fields: str = ""

    def matches(self, obj: Object | None) -> bool:
        if obj is None:
            return False
        labels = obj["metadata"].get("labels") or {}
        return all(_has(labels, term) for term in self.labels.split(",") if term) and all(
            _has({"metadata.name": obj["metadata"]["name"]}, term)
            for term in self.fields.split(",")
            if term
        )


def _has(labels: Mapping[str, str], term: str) -> bool:
    if "!=" in term:
        key, _, value = term.partition("!=")
        return labels.get(key) != value
    if "=" in term:
        key, _, value = term.replace("==", "=").partition("=")
        return labels.get(key) == value
    return term.lstrip("!") in labels if not term.startswith("!") else term[1:] not in labels


@dataclass
class Watch:
    """One open stream."""

    resource: Resource
    namespace: str
    selector: Selector
    queue: "asyncio.Queue[bytes | None]" = field(default_factory=asyncio.Queue)

    def take(self, change: Change) -> None:
        if change.resource != self.resource or not self._is_in(change.after):
            return
        was, now = self.selector.matches(change.before), self.selector.matches(change.after)
        if change.deleted or not now:
            kind = "DELETED" if was else None
        else:
            kind = "MODIFIED" if was else "ADDED"
        if kind:
            self.send(kind, change.after)

    def send(self, kind: str, obj: Object | None) -> None:
        self.queue.put_nowait(orjson.dumps({"type": kind, "object": obj}) + b"\n")

    def _is_in(self, obj: Object | None) -> bool:
        return not self.namespace or (obj or {})["metadata"].get("namespace") == self.namespace


@dataclass(frozen=True)
class Where:
    """What a path means."""

    resource: Resource
    namespace: str
    name: str
    subresource: str

    @property
    def object(self) -> Name:
        return self.namespace, self.name


def locate(path: str) -> Where:
    for resource in BY_KIND.values():
        parts = _parts_below(resource, path)
        if parts is not None:
            namespace, *rest = parts
            return Where(resource, namespace, *(*rest, "", "")[:2])
    raise Refusal(404, "NotFound", "the server could not find the requested resource")


def _parts_below(resource: Resource, path: str) -> list[str] | None:
    root = resource.all().path.removesuffix(resource.plural)
    if not path.startswith(root):
        return None
    parts = path.removeprefix(root).split("/")
    namespace = ""
    if resource.namespaced and parts[0] == "namespaces" and len(parts) > 2:
        namespace, parts = parts[1], parts[2:]
    if parts[0] != resource.plural or not {"status", ""}.issuperset(parts[2:]):
        return None  # /api/v1/namespaces/team/pods is no place in a Namespace
    return [namespace, *parts[1:]]
