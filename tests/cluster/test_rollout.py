"""Rollouts under load: streams go through the Service while replicas are exchanged."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from support.manifests import SIMULATED, model
from support.running import PATIENCE, Client, apply, is_ready, kubectl

pytestmark = pytest.mark.usefixtures("operator", "whole_pool")

REVISION = "modelfleet.dev/revision"
FIRST, SECOND = ({"name": "vllm", "args": [f"--seed={seed}"]} for seed in (1, 2))
CLIENTS = 4
"""Streams at a time for each Model."""


def served_model(namespace: str, name: str = "chat", **spec: Any) -> dict[str, Any]:
    """Return a Model of which two replicas fill a node of the pool h100."""
    quick = {"annotations": {f"{SIMULATED}pull-seconds": "0.1", f"{SIMULATED}load-seconds": "0.3"}}
    defaults = {
        "engine": FIRST,
        "replicas": 2,
        "resources": {"gpus": 4},
        "nodePools": ["h100"],
        "drain": {"timeoutSeconds": 5},
        "podTemplate": quick,
        "servedNames": ["chat"],
    }
    return model(namespace, name, **{**defaults, **spec})


@pytest.fixture
async def whole_pool(client: Client) -> None:
    """Wait until former tests have left the pool."""
    await client.until("GPUNodePool", "", "h100", _is_whole)


def _is_whole(pool: dict[str, Any]) -> bool:
    gpus: dict[str, int] = pool.get("status", {}).get("gpus", {})
    return gpus.get("free", 0) == gpus.get("total") == 16


@dataclass
class Load:
    """Clients that stream from one Service until they are told to stop."""

    address: str
    answers: int = 0
    failures: list[str] = field(default_factory=list)

    async def answered(self, more: int) -> None:
        """Wait for as many answers more."""
        enough = self.answers + more
        async with asyncio.timeout(PATIENCE):
            while self.answers < enough:
                await asyncio.sleep(0.05)

    async def run(self, stop: asyncio.Event) -> None:
        """Ask again and again, with a new connection for each request."""
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(self.address, connector=connector) as session:
            while not stop.is_set():
                try:
                    await self._ask(session)
                except (aiohttp.ClientError, TimeoutError) as error:
                    self.failures.append(repr(error))
                    await asyncio.sleep(0.1)

    async def _ask(self, session: aiohttp.ClientSession) -> None:
        body = {
            "model": "chat",
            "messages": [{"role": "user", "content": "hello"}],
            "max_tokens": 40,
            "stream": True,
        }
        patience = aiohttp.ClientTimeout(total=PATIENCE)
        async with session.post("/v1/chat/completions", json=body, timeout=patience) as answer:
            text = await answer.text()
        if answer.status == 200 and text.rstrip().endswith("data: [DONE]"):
            self.answers += 1
        else:
            self.failures.append(f"{answer.status}: {text[-200:]}")


@dataclass
class Watched:
    """What was seen of a namespace's pods while something happened."""

    fewest_ready: dict[str, int] = field(default_factory=dict)

    async def run(self, client: Client, namespace: str, stop: asyncio.Event) -> None:
        """Count the ready replicas of each Model over and over."""
        while not stop.is_set():
            ready: dict[str, int] = {}
            for pod in await client.list("Pod", namespace):
                name = pod["metadata"]["labels"]["modelfleet.dev/model"]
                ready[name] = ready.get(name, 0) + _is_ready(pod)
            for name, count in ready.items():
                self.fewest_ready[name] = min(count, self.fewest_ready.get(name, count))
            await asyncio.sleep(0.1)


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


@asynccontextmanager
async def under_load(client: Client, namespace: str, *names: str) -> AsyncIterator[Watched]:
    """Stream from Models; afterwards every request must have been answered to its end."""
    stop, watched = asyncio.Event(), Watched()
    loads = [Load(await _address(client, namespace, name)) for name in names]
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watched.run(client, namespace, stop))
        for load in loads:
            for _ in range(CLIENTS):
                tasks.create_task(load.run(stop))
        try:
            await _all_answer(loads)
            yield watched
            await _all_answer(loads)
        finally:
            stop.set()
    assert [load.failures for load in loads] == [[] for _ in loads]


async def _all_answer(loads: list[Load]) -> None:
    await asyncio.gather(*(load.answered(CLIENTS) for load in loads))


async def _address(client: Client, namespace: str, name: str) -> str:
    found = await client.until("Service", namespace, name, lambda _: True)
    address = f"http://{found['spec']['clusterIP']}"
    async with aiohttp.ClientSession(address) as session, asyncio.timeout(PATIENCE):
        while True:
            try:
                async with session.get("/v1/models"):
                    return address
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)


async def served(client: Client, namespace: str, name: str = "chat") -> str:
    """Wait until a Model is ready; return its revision."""
    return str((await client.until_ready(namespace, name))["status"]["stableRevision"])


async def rolled_out(client: Client, namespace: str, name: str, before: str) -> None:
    """Wait until another revision has taken over."""
    await client.until(
        "Model",
        namespace,
        name,
        lambda one: is_ready(one) and one["status"]["stableRevision"] != before,
    )


def never_waited_for_a_gpu(namespace: str) -> bool:
    """Whether the scheduler has found a node for each pod at once."""
    about = ("--field-selector=reason=FailedScheduling", "-o", "name")
    return not kubectl("-n", namespace, "get", "events", *about)


async def test_two_models_exchange_their_replicas_on_a_full_pool_and_no_request_fails(
    client: Client, namespace: str
) -> None:
    names = ("one", "two")
    apply(*(served_model(namespace, name) for name in names))
    before = {name: await served(client, namespace, name) for name in names}

    async with under_load(client, namespace, *names) as watched:
        apply(*(served_model(namespace, name, engine=SECOND) for name in names))
        for name in names:
            await rolled_out(client, namespace, name, before[name])

    assert watched.fewest_ready == {"one": 1, "two": 1}
    assert never_waited_for_a_gpu(namespace)


async def test_with_a_free_node_no_replica_is_missed(client: Client, namespace: str) -> None:
    apply(served_model(namespace))
    before = await served(client, namespace)

    async with under_load(client, namespace, "chat") as watched:
        apply(served_model(namespace, engine=SECOND))
        await rolled_out(client, namespace, "chat", before)

    assert watched.fewest_ready == {"chat": 2}
    assert never_waited_for_a_gpu(namespace)


async def test_blue_green_moves_all_traffic_at_once(client: Client, namespace: str) -> None:
    by = {"rollout": {"strategy": "BlueGreen"}}
    apply(served_model(namespace, **by))
    before = await served(client, namespace)
    bound: list[str] = []

    async with under_load(client, namespace, "chat") as watched:
        apply(served_model(namespace, engine=SECOND, **by))
        for at in (before, None):  # first to the old revision alone, then to none
            found = await client.until(
                "Service", namespace, "chat", lambda one, at=at: _bound_to(one) == at
            )
            bound += [str(_bound_to(found))]
        await rolled_out(client, namespace, "chat", before)

    assert bound == [before, "None"]
    assert watched.fewest_ready == {"chat": 2}
    assert never_waited_for_a_gpu(namespace)


def _bound_to(service: dict[str, Any]) -> str | None:
    selector: dict[str, str] = service["spec"]["selector"]
    return selector.get(REVISION)


async def test_min_available_waits_for_a_free_node_and_says_so(
    client: Client, namespace: str
) -> None:
    whole = {"replicas": 1, "resources": {"gpus": 8}}
    careful = {**whole, "rollout": {"minAvailable": 1}}
    apply(served_model(namespace, **careful), served_model(namespace, "other", **whole))
    before = await served(client, namespace)
    await served(client, namespace, "other")

    async with under_load(client, namespace, "chat") as watched:
        apply(served_model(namespace, engine=SECOND, **careful))
        await client.until(
            "Model",
            namespace,
            "chat",
            lambda one: "minAvailable 1 lets none go: waiting for room" in _told(one),
        )
        kubectl("-n", namespace, "scale", "model", "other", "--replicas=0")
        await rolled_out(client, namespace, "chat", before)

    assert watched.fewest_ready["chat"] == 1
    assert never_waited_for_a_gpu(namespace)


def _told(found: dict[str, Any]) -> str:
    rollout = found["status"].get("rollout") or {}
    return str(rollout.get("message", ""))
