"""What users and other controllers break: it is put back, left alone or told, never ignored."""

import json
from typing import Any

import pytest

from support.manifests import model
from support.running import Client, apply, condition, kubectl

pytestmark = pytest.mark.usefixtures("operator")

OURS = "app.kubernetes.io/managed-by=modelfleet"


def patch(namespace: str, kind: str, name: str, body: str, *more: str) -> None:
    kubectl("-n", namespace, "patch", kind, name, "--type=merge", "-p", body, *more)


def revision_of(found: dict[str, Any]) -> str:
    return str(found["status"]["currentRevision"])


async def only(client: Client, kind: str, namespace: str) -> dict[str, Any]:
    (found,) = await client.list(kind, namespace, OURS)
    return found


@pytest.mark.parametrize("kind", ["Deployment", "Service", "ControllerRevision"])
async def test_a_child_that_lost_its_manager_label_is_found_again(
    client: Client, namespace: str, kind: str
) -> None:
    apply(model(namespace))
    await client.until_ready(namespace, "chat")
    (child,) = await client.list(kind, namespace, OURS)
    name, label = child["metadata"]["name"], "app.kubernetes.io/managed-by"

    kubectl("-n", namespace, "label", kind, name, f"{label}-")

    await client.until(kind, namespace, name, lambda one: label in one["metadata"]["labels"])


async def test_orphans_are_taken_back_without_a_restart(client: Client, namespace: str) -> None:
    apply(model(namespace))
    await client.until_ready(namespace, "chat")
    before = {one["metadata"]["uid"] for one in await client.list("Pod", namespace)}

    kubectl("-n", namespace, "delete", "model", "chat", "--cascade=orphan")
    apply(model(namespace))

    again = await client.until_ready(namespace, "chat")
    deployment = await only(client, "Deployment", namespace)
    assert deployment["metadata"]["ownerReferences"][0]["uid"] == again["metadata"]["uid"]
    assert {one["metadata"]["uid"] for one in await client.list("Pod", namespace)} == before


async def test_a_model_that_is_deleted_and_made_again_and_again(
    client: Client, namespace: str
) -> None:
    for _ in range(5):
        apply(model(namespace))
        kubectl("-n", namespace, "delete", "model", "chat", "--wait=false")
    apply(model(namespace))

    last = await client.until_ready(namespace, "chat")

    for kind in ("Deployment", "Service", "PodDisruptionBudget", "ServiceAccount"):
        child = await only(client, kind, namespace)
        assert child["metadata"]["ownerReferences"][0]["uid"] == last["metadata"]["uid"]


async def test_a_model_that_is_edited_thirty_times_ends_at_the_last_edit(
    client: Client, namespace: str
) -> None:
    apply(model(namespace))
    for number in range(30):
        patch(namespace, "model", "chat", f'{{"spec":{{"servedNames":["name-{number}"]}}}}')

    last = await client.until_ready(namespace, "chat")

    (asked,) = [
        one for one in await client.list("Deployment", namespace, OURS) if one["spec"]["replicas"]
    ]
    assert asked["metadata"]["labels"]["modelfleet.dev/revision"] == revision_of(last)


async def test_a_tampered_status_is_written_anew(client: Client, namespace: str) -> None:
    apply(model(namespace))
    first = await client.until_ready(namespace, "chat")
    condition_of_others = {
        "type": "Evil",
        "status": "True",
        "reason": "Evil",
        "message": "",
        "lastTransitionTime": "2120-01-01T00:00:00Z",
    }
    tampered = {"currentRevision": "x", "replicas": 99, "conditions": [condition_of_others]}

    kubectl(
        "-n", namespace, "patch", "model", "chat", "--subresource=status", "--type=merge",
        "-p", json.dumps({"status": tampered}),
    )  # fmt: skip

    again = await client.until_ready(namespace, "chat")
    assert condition(again, "Evil") is None
    assert again["status"]["replicas"] == first["status"]["replicas"]
    assert revision_of(again) == revision_of(first)
