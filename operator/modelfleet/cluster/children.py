"""Our children as the caches keep them: what decisions need, and bytes to compare a write with.

5,000 parsed objects of 3 KiB would take 150 MiB, so a child stays bytes, without what an apply
never compares (managedFields, status), and is parsed when it is looked at.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from modelfleet.api import labels
from modelfleet.api.v1alpha1.model import Model
from modelfleet.cluster import parse, rest
from modelfleet.plan import names
from modelfleet.plan.world import Deployment, Endpoints, Ref, Revision

Family = tuple[str, str]
"""Namespace and name of a Model."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The controller of an object."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Child:
    """An object that carries our label."""

    ref: Ref
    version: str
    """resourceVersion."""
    model: str
    owner: Owner | None
    terminating: bool
    body: bytes
    deployment: Deployment | None = None
    """What a Deployment says of itself; its status is not in the body."""
    endpoints: Endpoints | None = None
    """Where an EndpointSlice leads to. Those that Kubernetes makes of our Services count too."""

    @property
    def facts(self) -> Deployment | Revision | None:
        """Return what decisions need. A revision's template is large, and parsed when asked for."""
        is_revision = self.ref.kind == rest.CONTROLLER_REVISIONS.kind
        return parse.revision(self.manifest()) if is_revision else self.deployment

    @property
    def family(self) -> Family:
        """The Model that it belongs to by its label."""
        return self.ref.namespace, self.model

    def is_of(self, model: Model) -> bool:
        """Whether this Model controls it, or nobody does and it has a child's exact name."""
        if self.owner is not None:
            return self.owner.uid == model.metadata.uid
        facts = self.facts
        revision = facts.revision if isinstance(facts, Deployment) else ""
        revision = facts.hash if isinstance(facts, Revision) else revision
        name = names.activator(model) if self.endpoints else model.metadata.name
        return self.ref.name == (f"{name}-{revision}" if revision else name)

    @property
    def is_activator(self) -> bool:
        """Whether this is the slice that leads to gateways."""
        return self.endpoints is not None and self.ref.name == f"{self.model}-activator"

    @property
    def uid(self) -> str:
        """Which object this is, among all that ever had its name."""
        return self.ref.uid

    def manifest(self) -> dict[str, Any]:
        """Return the object without its status and managedFields."""
        parsed: dict[str, Any] = orjson.loads(self.body)
        return parsed


def child(raw: dict[str, Any]) -> Child:
    """Parse a child of ours. Raises KeyError where it is none."""
    meta, kind = raw["metadata"], raw["kind"]
    return Child(
        ref=Ref(kind, meta["namespace"], meta["name"], meta["uid"]),
        version=meta["resourceVersion"],
        model=(meta.get("labels") or {})[labels.MODEL],
        owner=owner(raw),
        terminating="deletionTimestamp" in meta,
        body=_slim(raw),
        deployment=parse.deployment(raw) if kind == rest.DEPLOYMENTS.kind else None,
        endpoints=parse.endpoints(raw) if kind == rest.ENDPOINT_SLICES.kind else None,
    )


def owner(raw: Mapping[str, Any]) -> Owner | None:
    """Return the owner that controls an object, or None."""
    for one in raw["metadata"].get("ownerReferences") or ():
        if one.get("controller"):
            return Owner(one["kind"], one["name"], one["uid"])
    return None


def _slim(raw: Mapping[str, Any]) -> bytes:
    meta = {key: value for key, value in raw["metadata"].items() if key != "managedFields"}
    kept = {key: value for key, value in raw.items() if key != "status"}
    # orjson's bytes keep the memory that it wrote into, some KiB more than they hold: copy them.
    return bytes(memoryview(orjson.dumps(kept | {"metadata": meta})))
