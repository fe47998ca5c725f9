"""Whatever is wrong, the status names the cause and the remedy, and healing is seen."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from support.manifests import failing, model, pool
from support.running import PATIENCE, Client, apply, condition, kubectl, stalled_for

pytestmark = pytest.mark.usefixtures("operator")


def waits_for(reason: str) -> Callable[[dict[str, Any]], bool]:
    return lambda found: (condition(found, "Reconciling") or {}).get("reason") == reason


def message(found: dict[str, Any]) -> str:
    return str((condition(found, "Ready") or {})["message"])


async def told_by_event(client: Client, namespace: str, reason: str) -> None:
    """Wait for an event: these are sent after the status, in their own time."""
    async with asyncio.timeout(PATIENCE):
        while reason not in {one["reason"] for one in await client.list("Event", namespace)}:
            await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("how", "reason", "says"),
    [
        ("image-not-found", "ImageNotFound", "not found"),
        ("image-unauthorized", "ImageUnauthorized", "imagePullSecrets"),
        ("oom-at-load", "OutOfMemory", "spec.resources.memory"),
        ("crash-loop", "CrashLoop", "exit code 1"),
    ],
)
async def test_a_failing_pod_is_explained_and_a_mended_spec_heals(
    client: Client, namespace: str, how: str, reason: str, says: str
) -> None:
    apply(failing(namespace, how))

    found = await client.until("Model", namespace, "chat", stalled_for(reason))
    assert says in message(found)
    await told_by_event(client, namespace, reason)

    apply(model(namespace, podTemplate={}))
    await client.until_ready(namespace, "chat")


async def test_a_start_that_passes_its_deadline(client: Client, namespace: str) -> None:
    apply(failing(namespace, "load-forever", startup={"deadlineSeconds": 10}))

    found = await client.until("Model", namespace, "chat", stalled_for("StartupDeadlineExceeded"))

    assert "spec.startup.deadlineSeconds" in message(found)


async def test_an_unknown_engine_is_told_with_the_known_ones_and_heals(
    client: Client, namespace: str
) -> None:
    apply(model(namespace, engine={"name": namespace}))
    found = await client.until("Model", namespace, "chat", stalled_for("UnknownEngine"))
    assert "vllm" in message(found)

    kubectl("apply", "-f", "-", stdin=_engine(namespace))
    await client.until_ready(namespace, "chat")
    kubectl("delete", "engine", namespace)


def _engine(name: str) -> str:
    return json.dumps(
        {
            "apiVersion": "modelfleet.dev/v1alpha1",
            "kind": "Engine",
            "metadata": {"name": name},
            "spec": {
                "image": "example.com/engine:1.0",
                "port": 8000,
                "args": [{"values": ["--model", "{model}"]}],
                "sources": [{"scheme": "hf", "model": "{path}"}],
                "probes": {"startup": "/health", "readiness": "/health", "liveness": "/health"},
                "drain": {"onSigterm": "Finishes"},
            },
        }
    )


async def test_a_missing_pool_is_told_and_heals(client: Client, namespace: str) -> None:
    apply(model(namespace, resources={"gpus": 1}, nodePools=[namespace]))
    found = await client.until("Model", namespace, "chat", stalled_for("PoolMissing"))
    assert namespace in message(found)
    assert "l40s" in message(found)

    apply(pool(namespace, **{"nvidia.com/gpu.product": "NVIDIA-L40S"}))
    await client.until_ready(namespace, "chat")
    kubectl("delete", "gpunodepool", namespace)


async def test_an_empty_pool_is_waited_for(client: Client, namespace: str) -> None:
    apply(
        pool(namespace, nowhere="to-be-found"),
        model(namespace, resources={"gpus": 1}, nodePools=[namespace]),
    )

    found = await client.until(
        "Model",
        namespace,
        "chat",
        lambda m: (
            (condition(m, "Reconciling") or {}).get("reason") in ("PoolEmpty", "WaitingForCapacity")
        ),
    )

    assert namespace in message(found)
    kubectl("delete", "gpunodepool", namespace)


async def test_a_full_pool_is_told_in_numbers(client: Client, namespace: str) -> None:
    apply(model(namespace, resources={"gpus": 8}, nodePools=["h100"], replicas=3))

    found = await client.until("Model", namespace, "chat", waits_for("WaitingForCapacity"))

    assert "8 GPUs asked" in message(found)
    assert "h100" in message(found)
    assert condition(found, "Stalled") is None


async def test_more_gpus_than_any_node_has_needs_a_person(client: Client, namespace: str) -> None:
    apply(model(namespace, resources={"gpus": 16}, nodePools=["h100"]))

    found = await client.until("Model", namespace, "chat", stalled_for("InvalidSpec"))

    assert "spec.resources.gpus" in message(found)


async def test_a_quota_that_is_exceeded(client: Client, namespace: str) -> None:
    kubectl("-n", namespace, "create", "quota", "none", "--hard=pods=0")
    apply(model(namespace))

    found = await client.until(
        "Model",
        namespace,
        "chat",
        lambda m: (condition(m, "Ready") or {}).get("reason") == "QuotaExceeded",
    )

    assert "pods" in message(found)


async def test_a_pod_that_admission_refuses(client: Client, namespace: str) -> None:
    apply(model(namespace, podTemplate={"priorityClassName": "no-such-class"}))

    found = await client.until("Model", namespace, "chat", stalled_for("PodsRefused"))

    assert "no-such-class" in message(found)


async def test_a_paused_model_is_left_alone(client: Client, namespace: str) -> None:
    apply(model(namespace))
    await client.until_ready(namespace, "chat")
    deployments = await client.list("Deployment", namespace)

    apply(model(namespace, paused=True, engine={"name": "vllm", "args": ["--seed=1"]}))
    found = await client.until("Model", namespace, "chat", stalled_for("Paused"))

    assert "spec.paused" in message(found)
    assert [one["metadata"]["uid"] for one in await client.list("Deployment", namespace)] == [
        one["metadata"]["uid"] for one in deployments
    ]
    kubectl(
        "-n", namespace, "patch", "model", "chat", "--type=merge", "-p", '{"spec":{"paused":false}}'
    )
    await client.until_ready(namespace, "chat")


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"source": {"uri": "ftp://x/y"}}, "spec.source.uri"),
        ({"replicas": -1}, "spec.replicas"),
        ({"resources": {"gpus": "many"}}, "spec.resources.gpus"),
        ({"engine": {"name": "vllm", "image": "two words"}}, "spec.engine.image"),
        ({"noSuchField": 1}, "noSuchField"),
    ],
)
def test_kubectl_apply_refuses_a_mistake_and_names_the_field(
    namespace: str, spec: dict[str, Any], says: str
) -> None:
    answer = kubectl("apply", "-f", "-", stdin=json.dumps(model(namespace, **spec)), check=False)

    assert says in answer
