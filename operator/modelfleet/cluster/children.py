"""Our children as the caches keep them: what decisions need, and bytes to compare a write with."""

from dataclasses import dataclass
from typing import Any

from modelfleet.api import labels
from modelfleet.cluster import parse
from modelfleet.plan.world import Deployment, Ref, Revision

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
    """An object that carries our label. `raw` is its JSON without managedFields."""

    ref: Ref
    model: str
    owner: Owner | None
    raw: bytes
    facts: Deployment | Revision | None = None

    @property
    def family(self) -> Family:
        """The Model that it belongs to by its label."""
        return self.ref.namespace, self.model


def child(raw: dict[str, Any]) -> Child:
    """Parse a child of ours. Raises KeyError where it is none."""
    meta, kind = raw["metadata"], raw["kind"]
    facts = {"Deployment": parse.deployment, "ControllerRevision": parse.revision}.get(kind)
    return Child(
        ref=Ref(kind, meta["namespace"], meta["name"], meta.get("uid", "")),
        model=(meta.get("labels") or {})[labels.MODEL],
        owner=owner(raw),
        raw=parse.slim(raw),
        facts=facts(raw) if facts else None,
    )


def owner(raw: dict[str, Any]) -> Owner | None:
    """Return the owner that controls an object, or None."""
    for one in raw["metadata"].get("ownerReferences") or ():
        if one.get("controller"):
            return Owner(one["kind"], one["name"], one["uid"])
    return None
