"""Many Models at once: the broken ones delay none of the others."""

import asyncio
from typing import Any

import pytest

from support.manifests import failing, model
from support.running import Client, Operator, apply, condition, is_ready, kubectl

FLEET = 200


def broken(namespace: str) -> list[dict[str, Any]]:
    """Return what the API server takes and nobody can serve."""
    return [
        model(namespace, "broken-engine", engine={"name": "imaginary"}),
        model(namespace, "broken-source", source={"uri": "ollama://x"}),
        model(namespace, "broken-pool", resources={"gpus": 64}, nodePools=["nowhere"]),
        failing(namespace, "crash-loop", "broken-pods", replicas=3),
        model(
            namespace,
            "broken-flags",
            engine={
                "name": "vllm",
                "args": ["--port=1"],
                "env": [{"name": "GREETING", "value": "こんにちは \U0001f600 \\ \" '"}],
            },
        ),
    ]


async def test_broken_models_delay_none_of_two_hundred(
    client: Client, namespace: str, operator: Operator
) -> None:
    absurd = model(namespace, "absurd", resources={"gpus": 10**9})
    nameless = model(namespace, "n" * 63)
    for refused in (absurd, nameless):
        with pytest.raises(AssertionError):
            apply(refused)

    apply(*broken(namespace))
    apply(*(model(namespace, f"good-{number:03d}") for number in range(FLEET)))

    async with asyncio.timeout(300):
        while len(await _ready(client, namespace)) < FLEET:
            await asyncio.sleep(0.5)
    for one in broken(namespace):
        name = one["metadata"]["name"]
        await client.until(
            "Model", namespace, name, lambda found: condition(found, "Stalled") is not None
        )
    assert operator.process is not None
    assert operator.process.poll() is None
    kubectl("-n", namespace, "delete", "models", "--all", "--wait=false")


async def _ready(client: Client, namespace: str) -> list[str]:
    models = await client.list("Model", namespace)
    return [one["metadata"]["name"] for one in models if is_ready(one)]


async def test_unicode_in_an_environment_variable_reaches_the_pod(
    client: Client, namespace: str, operator: Operator
) -> None:
    assert operator.process is not None
    greeting = "こんにちは \U0001f600 \\ \" '"
    env = [{"name": "GREETING", "value": greeting}]
    apply(model(namespace, engine={"name": "vllm", "env": env}))
    await client.until_ready(namespace, "chat")

    (pod,) = await client.list("Pod", namespace)

    assert {"name": "GREETING", "value": greeting} in pod["spec"]["containers"][0]["env"]
