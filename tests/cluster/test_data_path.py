"""Requests go client → Service → pod, through kube-proxy and EndpointSlices, as in production."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from support.manifests import SIMULATED, model
from support.running import PATIENCE, Client, apply, kubectl

pytestmark = pytest.mark.usefixtures("operator")


def chat(**extra: Any) -> dict[str, Any]:
    return {"model": "chat", "messages": [{"role": "user", "content": "hello"}], **extra}


@asynccontextmanager
async def service(client: Client, namespace: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Talk to the Model's Service once kube-proxy knows it."""
    address = await client.until_served(namespace, "chat")
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(address, connector=connector) as session:
        yield session


async def events(answer: aiohttp.ClientResponse) -> AsyncIterator[str]:
    async for line in answer.content:
        if line.startswith(b"data: "):
            yield line.removeprefix(b"data: ").decode().strip()


async def test_a_chat_completion_through_the_service(client: Client, namespace: str) -> None:
    apply(model(namespace))
    await client.until_ready(namespace, "chat")

    async with service(client, namespace) as session:
        async with session.post("/v1/chat/completions", json=chat(max_tokens=8)) as answer:
            body = await answer.json()
            assert answer.headers["x-modelfleet-simulated"] == "true"
        async with session.post(
            "/v1/chat/completions", json=chat(max_tokens=8, stream=True)
        ) as answer:
            streamed = [event async for event in events(answer)]

    assert body["choices"][0]["message"]["content"]
    assert streamed[-1] == "[DONE]"
    pieces = [json.loads(event)["choices"] for event in streamed[:-1]]
    assert "".join(one[0]["delta"].get("content") or "" for one in pieces if one)


async def test_all_replicas_answer(client: Client, namespace: str) -> None:
    """kube-proxy learns of endpoints one after the other, so requests go on until both have one."""
    apply(model(namespace, replicas=2))
    await client.until_ready(namespace, "chat")
    pods = [pod["status"]["podIP"] for pod in await client.list("Pod", namespace)]

    sent = 0
    async with service(client, namespace) as session, asyncio.timeout(PATIENCE):
        while min([await _served(pod) for pod in pods]) == 0:
            async with session.post("/v1/chat/completions", json=chat(max_tokens=1)) as answer:
                assert answer.status == 200
            sent += 1

    assert sum([await _served(pod) for pod in pods]) == sent


async def _served(address: str) -> float:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{address}:8000/metrics") as answer,
    ):
        text = await answer.text()
    rows = (line for line in text.splitlines() if line.startswith("vllm:request_success_total"))
    return sum(float(row.rpartition(" ")[2]) for row in rows)


async def test_a_replica_that_leaves_finishes_its_streams(client: Client, namespace: str) -> None:
    slow = {f"{SIMULATED}profile": json.dumps({"decodeTokensPerSecond": 10})}
    apply(model(namespace, podTemplate={"annotations": slow}))
    await client.until_ready(namespace, "chat")

    async with (
        service(client, namespace) as session,
        session.post("/v1/chat/completions", json=chat(max_tokens=80, stream=True)) as answer,
    ):
        stream = events(answer)
        await anext(stream)
        kubectl("-n", namespace, "scale", "model", "chat", "--replicas=0")
        await client.until("Model", namespace, "chat", lambda m: m["status"]["replicas"] == 0)
        rest = [event async for event in stream]

    assert rest[-1] == "[DONE]"
    assert len(rest) >= 60


async def test_a_loading_model_gets_no_request(client: Client, namespace: str) -> None:
    apply(model(namespace, podTemplate={"annotations": {f"{SIMULATED}load-seconds": "3"}}))

    loading = await client.until(
        "Model",
        namespace,
        "chat",
        lambda m: m["status"].get("conditions", [{}])[0].get("reason") == "LoadingModel",
    )

    slices = await client.list("EndpointSlice", namespace)
    ready = [
        endpoint
        for one in slices
        for endpoint in one["endpoints"] or ()
        if endpoint["conditions"].get("ready")
    ]
    assert loading["status"]["readyReplicas"] == 0
    assert ready == []
    await client.until_ready(namespace, "chat")


async def test_the_least_busy_replica_leaves_first(client: Client, namespace: str) -> None:
    slow = {"annotations": {f"{SIMULATED}profile": json.dumps({"decodeTokensPerSecond": 5})}}
    apply(model(namespace, replicas=2, podTemplate=slow))
    old = (await client.until_ready(namespace, "chat"))["status"]["currentRevision"]

    async with (
        service(client, namespace) as session,
        session.post("/v1/chat/completions", json=chat(max_tokens=120, stream=True)) as answer,
    ):
        await anext(events(answer))
        pods = await client.list("Pod", namespace)
        (busy,) = [pod for pod in pods if await _running(pod["status"]["podIP"])]
        change = {"name": "vllm", "args": ["--seed=2"]}
        apply(model(namespace, replicas=2, podTemplate=slow, engine=change))
        leaving = await _first_to_leave(client, namespace, old)

    assert leaving != busy["metadata"]["name"]


async def _running(address: str) -> bool:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{address}:8000/metrics") as answer,
    ):
        text = await answer.text()
    rows = (row for row in text.splitlines() if row.startswith("vllm:num_requests_running"))
    return sum(float(row.rpartition(" ")[2]) for row in rows) > 0


async def _first_to_leave(client: Client, namespace: str, revision: str) -> str:
    async with asyncio.timeout(PATIENCE):
        while True:
            for pod in await client.list("Pod", namespace, f"modelfleet.dev/revision={revision}"):
                if pod["metadata"]["labels"]["modelfleet.dev/serving"] == "false":
                    return str(pod["metadata"]["name"])
            await asyncio.sleep(0.05)


async def test_a_service_that_kube_proxy_does_not_know_yet_refuses_at_once() -> None:
    # A first packet that were lost would hang its client for as long as conntrack remembers it.
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("10.96.255.250", 80)
