"""What is kept of a child: what decisions need, and what an apply compares."""

from typing import Any

import pytest

from modelfleet.api import labels
from modelfleet.cluster import children
from modelfleet.cluster.children import Owner
from modelfleet.plan.world import Deployment, Ref, Revision

OWNER = {"apiVersion": "modelfleet.dev/v1alpha1", "kind": "Model", "name": "chat", "uid": "m1"}


def a_child(kind: str = "Service", **parts: Any) -> dict[str, Any]:
    metadata = {
        "name": "chat",
        "namespace": "team",
        "uid": "c1",
        "resourceVersion": "12",
        "labels": {labels.MODEL: "chat", labels.REVISION: "abc"},
        "annotations": {labels.APPLIED: "1234"},
        "managedFields": [{"manager": "kubectl"}],
        "ownerReferences": [{**OWNER, "controller": True}],
    }
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": {"a": 1}, **parts}


def test_a_child_belongs_to_the_model_of_its_label() -> None:
    child = children.child(a_child())

    assert child.family == ("team", "chat")
    assert child.ref == Ref("Service", "team", "chat", "c1")
    assert (child.version, child.uid) == ("12", "c1")
    assert child.owner == Owner("Model", "chat", "m1")
    assert not child.terminating


def test_an_object_without_our_label_is_no_child() -> None:
    for own in (None, {}, {"app": "x"}):
        body = a_child()
        body["metadata"]["labels"] = own

        with pytest.raises(KeyError):
            children.child(body)


def test_what_no_apply_compares_is_not_kept() -> None:
    kept = children.child(a_child(status={"loadBalancer": {}})).manifest()

    expected = a_child()
    del expected["metadata"]["managedFields"]
    assert kept == expected


def test_what_was_parsed_is_left_as_it_is() -> None:
    body = a_child(status={})

    children.child(body)

    assert body == a_child(status={})


def test_each_look_at_a_manifest_is_at_a_copy() -> None:
    child = children.child(a_child())
    child.manifest()["spec"]["a"] = 2

    assert child.manifest()["spec"] == {"a": 1}


@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        ("Deployment", Deployment),
        ("ControllerRevision", Revision),
        ("Service", type(None)),
        ("ServiceAccount", type(None)),
        ("PodDisruptionBudget", type(None)),
    ],
)
def test_decisions_look_into_deployments_and_revisions_alone(kind: str, facts: type) -> None:
    assert isinstance(children.child(a_child(kind)).facts, facts)


def test_a_child_that_is_being_deleted_is_known_as_such() -> None:
    body = a_child()
    body["metadata"]["deletionTimestamp"] = "2026-11-24T12:00:00Z"

    assert children.child(body).terminating


@pytest.mark.parametrize(
    ("references", "owner"),
    [
        (None, None),
        ([], None),
        ([OWNER], None),
        ([{**OWNER, "controller": False}], None),
        ([{**OWNER, "uid": "x"}, {**OWNER, "controller": True}], Owner("Model", "chat", "m1")),
    ],
)
def test_only_a_controller_owns_a_child(references: Any, owner: Owner | None) -> None:
    assert children.owner({"metadata": {"ownerReferences": references}}) == owner
