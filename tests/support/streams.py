"""Clients that stream from Models through their Services."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp

from support.pods_seen import Sight, watching
from support.running import PATIENCE, Client

CLIENTS = 4
"""Streams at a time for each Model, where a test does not say otherwise."""

BRIEF = aiohttp.ClientTimeout(total=2)
"""For a first request: before kube-proxy knows a Service, packets to it are lost."""


@dataclass
class Load:
    """Clients that stream from one Service until they are told to stop."""

    address: str
    name: str
    """What the model is called in requests."""
    answers: int = 0
    in_a_row: int = 0
    """Answers since the last failure."""
    failures: list[str] = field(default_factory=list)

    async def answered(self, more: int) -> None:
        """Wait for as many answers more."""
        enough = self.answers + more
        async with asyncio.timeout(PATIENCE):
            while self.answers < enough:
                await asyncio.sleep(0.05)

    async def steady(self, answers: int) -> None:
        """Wait until so many requests in a row were answered."""
        async with asyncio.timeout(PATIENCE):
            while self.in_a_row < answers:
                await asyncio.sleep(0.05)

    async def run(self, stop: asyncio.Event) -> None:
        """Ask again and again, with a new connection for each request."""
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(self.address, connector=connector) as session:
            while not stop.is_set():
                try:
                    await self._ask(session)
                except (aiohttp.ClientError, TimeoutError) as error:
                    self._failed(repr(error))
                    await asyncio.sleep(0.1)

    async def _ask(self, session: aiohttp.ClientSession) -> None:
        body = {
            "model": self.name,
            "messages": [{"role": "user", "content": "hello"}],
            "max_tokens": 40,
            "stream": True,
        }
        patience = aiohttp.ClientTimeout(total=PATIENCE)
        async with session.post("/v1/chat/completions", json=body, timeout=patience) as answer:
            text = await answer.text()
        if answer.status == 200 and text.rstrip().endswith("data: [DONE]"):
            self.answers += 1
            self.in_a_row += 1
        else:
            self._failed(f"{answer.status}: {text[-200:]}")

    def _failed(self, why: str) -> None:
        self.failures.append(f"{datetime.now(UTC):%H:%M:%S.%f} {why}")
        self.in_a_row = 0


@asynccontextmanager
async def streaming(
    client: Client, namespace: str, *names: str, clients: int = CLIENTS
) -> AsyncIterator[list[Load]]:
    """Stream from Models for the time of the block; requests end before it does."""
    stop = asyncio.Event()
    loads = [Load(await address_of(client, namespace, name), name) for name in names]
    async with asyncio.TaskGroup() as tasks:
        for load in loads:
            for _ in range(clients):
                tasks.create_task(load.run(stop))
        try:
            yield loads
        finally:
            stop.set()


@asynccontextmanager
async def under_load(
    client: Client, namespace: str, *names: str, clients: int = CLIENTS
) -> AsyncIterator[Sight]:
    """Stream from Models and watch their pods; afterwards every request was answered whole."""
    async with (
        watching(client, namespace) as sight,
        streaming(client, namespace, *names, clients=clients) as loads,
    ):
        await asyncio.gather(*(load.answered(clients) for load in loads))
        sight.begin()
        yield sight
        await asyncio.gather(*(load.answered(clients) for load in loads))
    print(f"{sum(load.answers for load in loads)} streams; serving: {sight.fewest_serving}")
    failures = [f"{load.name}: {why}" for load in loads for why in load.failures]
    assert failures == [], "\n".join(failures)


async def address_of(client: Client, namespace: str, name: str) -> str:
    """Return the URL of a Model's Service, once it answers."""
    found = await client.until("Service", namespace, name, lambda _: True)
    address = f"http://{found['spec']['clusterIP']}"
    async with aiohttp.ClientSession(address, timeout=BRIEF) as session, asyncio.timeout(PATIENCE):
        while True:
            try:
                async with session.get("/v1/models"):
                    return address
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(0.1)
