"""Models that sleep answer all the same, through their own Services, as in production.

A gateway's own Service is played: its slice names the gateways that are ready.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aiohttp
import pytest

from support.manifests import API_VERSION, SIMULATED, model
from support.running import PATIENCE, Client, Gateway, Operator, apply, condition, kubectl

pytestmark = pytest.mark.usefixtures("operator")

SLEEP, WAKE = "modelfleet.dev/sleep", "modelfleet.dev/wake"


def announce(*hosts: str) -> None:
    """Let the gateways' Service lead to these."""
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "modelfleet-gateway-1",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "modelfleet-gateway"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [one], "conditions": {"ready": True}} for one in hosts],
        "ports": [{"name": "metrics", "port": 8080}],
    }
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(slice_))


@contextmanager
def announced(*flags: str, host: str = "10.244.255.250") -> Iterator[Gateway]:
    """Run a gateway that is the only one."""
    with Gateway(host, *flags) as running:
        announce(host)
        yield running


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with announced() as running:
        yield running
    announce()


def sleeper(namespace: str, name: str = "chat", load: float = 0.5, **spec: Any) -> dict[str, Any]:
    """Return a Model that sleeps from the beginning, and then takes so many seconds to load."""
    annotations = {f"{SIMULATED}load-seconds": str(load), f"{SIMULATED}dialect": "vllm"}
    body = model(namespace, name, podTemplate={"annotations": annotations}, **spec)
    body["metadata"]["annotations"] = {SLEEP: "1"}
    return body


async def until_asleep(
    client: Client, namespace: str, name: str = "chat", patience: float = PATIENCE
) -> str:
    """Wait until a Model sleeps and its Service leads to a gateway; return the Service's URL."""
    async with asyncio.timeout(patience):
        while not _is_asleep(await client.find("Model", namespace, name)):
            await asyncio.sleep(0.2)
    await client.until(
        "EndpointSlice", namespace, f"{name}-activator", lambda one: one["endpoints"]
    )
    service = await client.until("Service", namespace, name, lambda _: True)
    address = f"http://{service['spec']['clusterIP']}"
    async with asyncio.timeout(PATIENCE):
        while not await _is_led(address.removeprefix("http://")):
            await asyncio.sleep(0.05)
    return address


async def until_direct(gateway: Gateway, address: str) -> None:
    """Ask until the gateway is not passed any more; kube-proxy hears of it a moment later."""
    async with http() as session, asyncio.timeout(PATIENCE):
        while True:
            before = gateway.metric("modelfleet_gateway_requests_total")
            assert (await ask(session, address))[0] == 200
            if gateway.metric("modelfleet_gateway_requests_total") == before:
                return


def _is_asleep(model: dict[str, Any] | None) -> bool:
    return (condition(model or {}, "Ready") or {}).get("reason") == "Asleep"


async def _is_led(address: str) -> bool:
    """Whether kube-proxy knows where the Service leads to."""
    try:
        _, writer = await asyncio.open_connection(address, 80)
    except OSError:
        return False
    writer.close()
    return True


def chat(number: int = 0, **extra: Any) -> dict[str, Any]:
    message = {"role": "user", "content": f"question {number}"}
    return {"model": "chat", "messages": [message], "max_tokens": 2, **extra}


@asynccontextmanager
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    timeout = aiohttp.ClientTimeout(total=4 * PATIENCE)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield session


async def ask(session: aiohttp.ClientSession, address: str, number: int = 0) -> tuple[int, str]:
    """Return the status and what came with it: an answer's text, or Retry-After."""
    async with session.post(f"{address}/v1/chat/completions", json=chat(number)) as answer:
        body = await answer.json()
        if answer.status != 200:
            return answer.status, answer.headers.get("Retry-After", "")
        return 200, body["choices"][0]["message"]["content"]


async def answered(client: Client, namespace: str, name: str) -> float:
    """Return how many requests a Model's pods have answered."""
    total = 0.0
    pods = await client.list("Pod", namespace, f"modelfleet.dev/model={name}")
    async with http() as session:
        for pod in pods:
            address = pod["status"]["podIP"]
            async with session.get(f"http://{address}:8000/metrics") as answer:
                rows = (await answer.text()).splitlines()
            rows = [row for row in rows if row.startswith("vllm:request_success_total")]
            total += sum(float(row.rpartition(" ")[2]) for row in rows)
    return total


async def test_the_first_request_wakes_a_model_and_is_answered(
    client: Client, namespace: str, gateway: Gateway
) -> None:
    apply(sleeper(namespace))
    address = await until_asleep(client, namespace)

    async with http() as session:
        status, text = await ask(session, address)

    assert (status, bool(text)) == (200, True)
    assert await answered(client, namespace, "chat") == 1
    await client.until_ready(namespace, "chat")
    slice_ = await client.until(
        "EndpointSlice", namespace, "chat-activator", lambda one: not one["endpoints"]
    )
    assert slice_["metadata"]["ownerReferences"][0]["name"] == "chat"
    await until_direct(gateway, address)


async def test_waves_at_sleeping_models_are_answered_once_each_though_the_operator_is_killed(
    client: Client, namespace: str, operator: Operator, gateway: Gateway
) -> None:
    names = [f"model-{number}" for number in range(6)]
    apply(*(sleeper(namespace, name, load=1, servedNames=["chat"]) for name in names))
    addresses = {name: await until_asleep(client, namespace, name) for name in names}

    async with http() as session:

        def wave(number: int) -> list[asyncio.Task[tuple[int, str]]]:
            asked = [
                (address, number * 10 + at) for at in range(10) for address in addresses.values()
            ]
            return [asyncio.create_task(ask(session, *one)) for one in asked]

        waves = wave(0)
        await _until_held(gateway, 1)
        operator.kill()
        waves += wave(1)
        await asyncio.sleep(1)
        operator.start()
        for number in (2, 3):
            await asyncio.sleep(0.5)
            waves += wave(number)
        outcomes = await asyncio.gather(*waves)

    assert [status for status, _ in outcomes] == [200] * 240
    assert sum([await answered(client, namespace, name) for name in names]) == 240
    assert gateway.metric("modelfleet_gateway_held_requests") == 0
    assert gateway.metric("modelfleet_gateway_held_bytes") == 0


async def _until_held(gateway: Gateway, count: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while await asyncio.to_thread(_held, gateway) < count:
            await asyncio.sleep(0.05)


def _held(gateway: Gateway) -> float:
    return gateway.metric("modelfleet_gateway_held_requests")


async def test_the_cap_is_exact_to_the_request(client: Client, namespace: str) -> None:
    with announced("--most-requests", "5") as gateway:
        apply(sleeper(namespace, load=3))
        address = await until_asleep(client, namespace)
        async with http() as session:
            outcomes = await asyncio.gather(*(ask(session, address, one) for one in range(12)))

    assert Counter(status for status, _ in outcomes) == {200: 5, 429: 7}
    assert {wait for status, wait in outcomes if status == 429} == {"60"}
    assert gateway.host


async def test_at_the_deadline_those_who_wait_hear_when_to_come_again(
    client: Client, namespace: str
) -> None:
    with announced("--hold-seconds", "3"):
        apply(sleeper(namespace, load=600))
        address = await until_asleep(client, namespace)
        async with http() as session:
            outcomes = await asyncio.gather(*(ask(session, address, one) for one in range(7)))

    assert {status for status, _ in outcomes} == {503}
    assert all(1 <= int(wait) <= 60 for _, wait in outcomes)


async def test_no_request_fails_while_a_model_falls_asleep_and_wakes_under_load(
    client: Client, namespace: str, gateway: Gateway
) -> None:
    apply(sleeper(namespace))
    address = await until_asleep(client, namespace)
    outcomes: list[int] = []
    done = asyncio.Event()

    async def load(session: aiohttp.ClientSession) -> None:
        while not done.is_set():
            outcomes.append((await ask(session, address))[0])

    async with http() as session:
        clients = [asyncio.create_task(load(session)) for _ in range(4)]
        for night in ("2", "3"):
            await client.until_ready(namespace, "chat")
            before = gateway.metric("modelfleet_gateway_hold_seconds_count")
            kubectl("annotate", "-n", namespace, "model", "chat", "--overwrite", f"{SLEEP}={night}")
            await client.until(
                "Model",
                namespace,
                "chat",
                lambda m, n=night: m["metadata"]["annotations"].get(WAKE) == n,
            )
            await client.until_ready(namespace, "chat")
        done.set()
        await asyncio.gather(*clients)

    assert set(outcomes) == {200}
    assert gateway.metric("modelfleet_gateway_hold_seconds_count") > before


async def test_a_gateway_that_is_replaced_loses_none_of_the_requests_that_it_holds(
    client: Client, namespace: str, gateway: Gateway
) -> None:
    apply(sleeper(namespace, load=20))
    with Gateway("10.244.255.251") as new:
        address = await until_asleep(client, namespace)
        async with http() as session:
            first = [asyncio.create_task(ask(session, address, one)) for one in range(20)]
            await _until_held(gateway, 20)
            announce(new.host)
            stopping = asyncio.create_task(asyncio.to_thread(gateway.stop))
            await client.until(
                "EndpointSlice", namespace, "chat-activator", lambda one: _hosts(one) == [new.host]
            )
            await asyncio.sleep(2)  # kube-proxy hears of it
            second = [asyncio.create_task(ask(session, address, one)) for one in range(20)]
            await _until_held(new, 20)
            outcomes = await asyncio.gather(*first, *second)
            assert await stopping == 0

    assert [status for status, _ in outcomes] == [200] * 40
    assert await answered(client, namespace, "chat") == 40


def _hosts(slice_: dict[str, Any]) -> list[str]:
    return [one["addresses"][0] for one in slice_["endpoints"] or ()]


async def test_a_start_that_fails_is_told_to_those_who_wait(
    client: Client, namespace: str, gateway: Gateway
) -> None:
    body = sleeper(namespace)
    body["spec"]["podTemplate"]["annotations"][f"{SIMULATED}fail"] = "image-not-found"
    apply(body)
    address = await until_asleep(client, namespace)

    async with (
        http() as session,
        session.post(f"{address}/v1/chat/completions", json=chat()) as answer,
    ):
        told = (await answer.json())["error"]

    assert (answer.status, told["code"]) == (503, "model_cannot_start")
    assert "ImageNotFound" in told["message"]
    assert gateway.is_running()


async def test_a_policy_lets_a_quiet_model_sleep_and_the_next_request_wakes_it(
    client: Client, namespace: str, gateway: Gateway
) -> None:
    policy = {
        "apiVersion": API_VERSION,
        "kind": "AutoscalingPolicy",
        "metadata": {"name": "chat", "namespace": namespace},
        "spec": {
            "signals": {"concurrencyPerReplica": 10},
            "minReplicas": 0,
            "maxReplicas": 2,
            "scaleToZero": {"afterSeconds": 60},
        },
    }
    body = sleeper(namespace, autoscaling={"policyRef": {"name": "chat"}})
    del body["metadata"]["annotations"]
    apply(policy, body)
    await client.until_ready(namespace, "chat")

    address = await until_asleep(client, namespace, patience=4 * PATIENCE)
    async with http() as session:
        status, _ = await ask(session, address)

    found = await client.until_ready(namespace, "chat")
    assert status == 200
    assert found["status"]["autoscaling"]["replicas"] == 1
    assert gateway.metric("modelfleet_gateway_hold_seconds_count") == 1
