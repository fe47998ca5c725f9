"""Children belong to the operator, field by field; what others add to them stays."""

from typing import Any

import pytest

from support.manifests import model
from support.running import Client, apply, is_ready, kubectl, stalled_for

pytestmark = pytest.mark.usefixtures("operator")

OURS = "app.kubernetes.io/managed-by=modelfleet"
KINDS = ("ControllerRevision", "Deployment", "Service", "ServiceAccount", "PodDisruptionBudget")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_deleted_child_comes_back(client: Client, namespace: str, kind: str) -> None:
    apply(model(namespace))
    await client.until_ready(namespace, "chat")
    (child,) = await client.list(kind, namespace, OURS)
    name, uid = child["metadata"]["name"], child["metadata"]["uid"]

    kubectl("-n", namespace, "delete", kind, name)

    again = await client.until(kind, namespace, name, lambda one: one["metadata"]["uid"] != uid)
    assert _wanted(again) == _wanted(child)


def _wanted(child: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in child.items() if key in ("spec", "data", "revision")}
    for volatile in ("clusterIP", "clusterIPs"):
        kept.get("spec", {}).pop(volatile, None)
    return kept


async def test_a_tampered_field_is_put_back(client: Client, namespace: str) -> None:
    apply(model(namespace))
    await client.until_ready(namespace, "chat")
    (deployment,) = await client.list("Deployment", namespace, OURS)
    name = deployment["metadata"]["name"]

    kubectl("-n", namespace, "scale", "deployment", name, "--replicas=5")
    kubectl("-n", namespace, "set", "image", f"deployment/{name}", "engine=evil:latest")
    kubectl(
        "-n",
        namespace,
        "patch",
        "service",
        "chat",
        "-p",
        '{"spec":{"selector":{"modelfleet.dev/model":"other"}}}',
    )

    def is_put_back(one: dict[str, Any]) -> bool:
        container = one["spec"]["template"]["spec"]["containers"][0]
        return bool(one["spec"]["replicas"] == 1 and container["image"].startswith("vllm/"))

    await client.until("Deployment", namespace, name, is_put_back)
    await client.until(
        "Service",
        namespace,
        "chat",
        lambda one: one["spec"]["selector"]["modelfleet.dev/model"] == "chat",
    )


async def test_foreign_fields_stay(client: Client, namespace: str) -> None:
    apply(model(namespace))
    await client.until_ready(namespace, "chat")
    (deployment,) = await client.list("Deployment", namespace, OURS)
    name = deployment["metadata"]["name"]

    kubectl("-n", namespace, "annotate", "service", "chat", "mesh.example.com/injected=yes")
    kubectl("-n", namespace, "label", "deployment", name, "mesh.example.com/rev=v2")
    kubectl("-n", namespace, "scale", "model", "chat", "--replicas=2")
    await client.until(
        "Model", namespace, "chat", lambda m: is_ready(m) and m["status"]["readyReplicas"] == 2
    )

    service = await client.find("Service", namespace, "chat")
    after = await client.find("Deployment", namespace, name)
    assert service is not None
    assert after is not None
    assert service["metadata"]["annotations"]["mesh.example.com/injected"] == "yes"
    assert after["metadata"]["labels"]["mesh.example.com/rev"] == "v2"


async def test_somebody_elses_service_is_never_taken_over(client: Client, namespace: str) -> None:
    kubectl("-n", namespace, "create", "service", "clusterip", "chat", "--tcp=80:80")
    before = await client.find("Service", namespace, "chat")

    apply(model(namespace))
    stalled = await client.until("Model", namespace, "chat", stalled_for("NameTaken"))
    assert "Service chat" in stalled["status"]["conditions"][0]["message"]
    assert await client.find("Service", namespace, "chat") == before

    kubectl("-n", namespace, "delete", "service", "chat")
    kubectl("-n", namespace, "annotate", "model", "chat", "look=again")
    await client.until_ready(namespace, "chat")
