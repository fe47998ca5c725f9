"""A Model's life, as a user lives it with kubectl."""

import asyncio
import json

import pytest

from support.manifests import model
from support.running import Client, Operator, apply, is_ready, kubectl

pytestmark = pytest.mark.usefixtures("operator")

CHILDREN = ("ControllerRevision", "Deployment", "Service", "ServiceAccount", "PodDisruptionBudget")
OURS = "app.kubernetes.io/managed-by=modelfleet"


async def test_a_model_becomes_a_served_model(client: Client, namespace: str) -> None:
    apply(model(namespace, replicas=2))

    kubectl("-n", namespace, "wait", "--for=condition=Ready", "model/chat", "--timeout=60s")

    found = await client.until_ready(namespace, "chat")
    status = found["status"]
    assert (status["replicas"], status["readyReplicas"]) == (2, 2)
    assert status["endpoint"] == f"http://chat.{namespace}.svc/v1"
    assert [one["type"] for one in status["conditions"]] == ["Ready"]
    for kind in CHILDREN:
        (child,) = await client.list(kind, namespace, OURS)
        (owner,) = child["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["controller"]) == (found["metadata"]["uid"], True)


async def test_the_phases_of_the_cold_start_sum_to_its_total(
    client: Client, namespace: str
) -> None:
    slow = {
        "annotations": {
            "sim.modelfleet.dev/pull-seconds": "2",
            "sim.modelfleet.dev/load-seconds": "3",
        }
    }
    apply(model(namespace, podTemplate=slow))

    phases = (await client.until_ready(namespace, "chat"))["status"]["startup"]

    total = phases.pop("totalSeconds")
    assert sum(phases.values()) == total
    assert phases["pullingSeconds"] >= 1
    assert phases["loadingSeconds"] >= 2


async def test_kubectl_scale_and_a_return_to_zero(client: Client, namespace: str) -> None:
    apply(model(namespace))
    await client.until_ready(namespace, "chat")

    kubectl("-n", namespace, "scale", "model", "chat", "--replicas=3")
    await client.until(
        "Model", namespace, "chat", lambda m: is_ready(m) and m["status"]["readyReplicas"] == 3
    )
    kubectl("-n", namespace, "scale", "model", "chat", "--replicas=0")
    await client.until(
        "Model", namespace, "chat", lambda m: is_ready(m) and m["status"]["replicas"] == 0
    )

    assert len(await client.list("Deployment", namespace, OURS)) == 1


async def test_an_hpa_scales_a_model(client: Client, namespace: str) -> None:
    apply(model(namespace))
    await client.until_ready(namespace, "chat")

    apply(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "chat", "namespace": namespace},
            "spec": {
                "minReplicas": 2,
                "maxReplicas": 4,
                "scaleTargetRef": {
                    "apiVersion": "modelfleet.dev/v1alpha1",
                    "kind": "Model",
                    "name": "chat",
                },
            },
        }
    )

    await client.until(
        "Model", namespace, "chat", lambda m: is_ready(m) and m["status"]["readyReplicas"] == 2
    )
    scale = json.loads(
        kubectl(
            "get",
            "--raw",
            f"/apis/modelfleet.dev/v1alpha1/namespaces/{namespace}/models/chat/scale",
        )
    )
    assert scale["status"]["selector"] == "modelfleet.dev/model=chat"


async def test_changed_arguments_make_a_new_revision_and_labels_do_not(
    client: Client, namespace: str
) -> None:
    apply(model(namespace))
    first = (await client.until_ready(namespace, "chat"))["status"]["currentRevision"]

    kubectl("-n", namespace, "label", "model", "chat", "modelfleet.dev/team=search")
    apply(model(namespace, engine={"name": "vllm", "args": ["--max-model-len=4096"]}))
    found = await client.until(
        "Model",
        namespace,
        "chat",
        lambda m: is_ready(m) and m["status"]["stableRevision"] != first,
    )

    second = found["status"]["currentRevision"]
    deployments = await client.list("Deployment", namespace, OURS)
    (asked,) = [one for one in deployments if one["spec"]["replicas"]]
    assert asked["metadata"]["labels"]["modelfleet.dev/revision"] == second
    assert len(await client.list("ControllerRevision", namespace, OURS)) == 2


async def test_going_back_uses_the_kept_revision(client: Client, namespace: str) -> None:
    apply(model(namespace))
    first = (await client.until_ready(namespace, "chat"))["status"]["currentRevision"]
    apply(model(namespace, engine={"name": "vllm", "args": ["--max-model-len=4096"]}))
    await client.until(
        "Model", namespace, "chat", lambda m: is_ready(m) and m["status"]["stableRevision"] != first
    )

    apply(model(namespace))

    await client.until(
        "Model", namespace, "chat", lambda m: is_ready(m) and m["status"]["stableRevision"] == first
    )
    kept = await client.list("ControllerRevision", namespace, OURS)
    newest = max(kept, key=lambda one: one["revision"])
    assert newest["metadata"]["labels"]["modelfleet.dev/revision"] == first
    assert len(kept) == 2


@pytest.mark.parametrize("how", ["background", "foreground"])
async def test_deletion_leaves_nothing(client: Client, namespace: str, how: str) -> None:
    apply(model(namespace))
    await client.until_ready(namespace, "chat")

    kubectl("-n", namespace, "delete", "model", "chat", f"--cascade={how}", "--timeout=60s")

    for kind in (*CHILDREN, "Pod"):
        async with asyncio.timeout(60):
            while await client.list(kind, namespace, OURS):
                await asyncio.sleep(0.1)


async def test_a_namespace_is_deleted_while_the_operator_is_down(
    client: Client, namespace: str, operator: Operator
) -> None:
    for number in range(3):
        apply(model(namespace, f"chat-{number}"))
        await client.until_ready(namespace, f"chat-{number}")

    operator.stop()
    try:
        kubectl("delete", "namespace", namespace, "--timeout=60s")
    finally:
        operator.start().ready()

    kubectl("create", "namespace", namespace)  # for the fixture to delete
    assert not await client.list("Model", namespace)
    assert operator.process is not None
    assert operator.process.poll() is None


async def test_a_deleted_and_recreated_model_is_not_confused_with_the_old_one(
    client: Client, namespace: str
) -> None:
    apply(model(namespace))
    old = await client.until_ready(namespace, "chat")

    kubectl("-n", namespace, "delete", "model", "chat", "--wait=false")
    apply(model(namespace))

    new = await client.until(
        "Model",
        namespace,
        "chat",
        lambda m: is_ready(m) and m["metadata"]["uid"] != old["metadata"]["uid"],
    )
    for kind in CHILDREN:
        children = await client.list(kind, namespace, OURS)
        owners = {one["metadata"]["ownerReferences"][0]["uid"] for one in children}
        assert owners == {new["metadata"]["uid"]}
