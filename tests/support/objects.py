"""Builders of small objects: a test says only what matters to it."""

from typing import Any

from modelfleet.cluster.rest import Resource


def an_object(
    resource: Resource, name: str, namespace: str = "team", **labels: str
) -> dict[str, Any]:
    """Return an object without a spec."""
    metadata: dict[str, Any] = {"name": name}
    if resource.namespaced:
        metadata["namespace"] = namespace
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}


def stored(
    resource: Resource, name: str, version: int, uid: str = "u1", **labels: str
) -> dict[str, Any]:
    """Return an object as the API server would send it."""
    raw = an_object(resource, name, **labels)
    raw["metadata"] |= {"uid": uid, "resourceVersion": str(version)}
    return raw
