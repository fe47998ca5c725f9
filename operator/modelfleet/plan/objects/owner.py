"""What every child carries: its owner, and the labels that it is found by."""

from typing import Any

from modelfleet.api import labels
from modelfleet.api.v1alpha1.model import Model
from modelfleet.plan.world import Manifest, Revision


def owner_reference(model: Model) -> Manifest:
    """Return the reference by which the garbage collector takes a child with its Model."""
    return {
        "apiVersion": model.api_version,
        "kind": model.names.kind,
        "name": model.metadata.name,
        "uid": model.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def labels_for(model: Model) -> dict[str, str]:
    """Return a child's labels.

    Of the Model's own labels only the team is handed on: those of Argo CD, Flux and Helm would make
    these tools take the child for theirs.
    """
    team = model.metadata.labels.get(labels.TEAM)
    return {
        labels.MANAGED_BY: labels.FIELD_MANAGER,
        labels.NAME: model.metadata.name,
        labels.COMPONENT: "model-server",
        labels.MODEL: model.metadata.name,
        **({labels.TEAM: team} if team else {}),
    }


def metadata_for(model: Model, name: str) -> dict[str, Any]:
    """Return a child's metadata. A Model that was never stored has no uid and owns nothing."""
    metadata: dict[str, Any] = {"name": name, "labels": labels_for(model)}
    if model.metadata.namespace:
        metadata["namespace"] = model.metadata.namespace
    if model.metadata.uid:
        metadata["ownerReferences"] = [owner_reference(model)]
    return metadata


def metadata_of(model: Model, revision: Revision) -> dict[str, Any]:
    """Return the metadata of a child that belongs to one revision.

    The engine is the revision's: the Model may name another one by now.
    """
    metadata = metadata_for(model, revision.name)
    written = revision.template.get("metadata", {}).get("labels", {})
    metadata["labels"] |= {labels.REVISION: revision.hash}
    metadata["labels"] |= {key: written[key] for key in (labels.ENGINE,) if key in written}
    return metadata
