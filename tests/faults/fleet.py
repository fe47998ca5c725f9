"""A namespace full of Models, and operators that compete for one Lease."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from faults.life import FAST, namespace
from modelfleet.cluster import rest
from modelfleet.cluster.errors import NotFound
from support.proxy import Proxy
from support.requests_seen import Write
from support.running import Client, Operator, is_ready

PATIENCE = 120.0
"""Seconds until a test stops to hope. Not an assertion about speed."""

QUICK_LEASE = {
    "MODELFLEET_LEASE_SECONDS": "4",
    "MODELFLEET_RENEW_SECONDS": "3",
    "MODELFLEET_RETRY_SECONDS": "0.5",
}
"""So that a dead leader's Lease ends soon."""

LEASES_IN = "default"


def a_model(where: str, name: str) -> dict[str, Any]:
    """Return a Model that needs no GPU and is ready at once."""
    return {
        "apiVersion": "modelfleet.dev/v1alpha1",
        "kind": "Model",
        "metadata": {"name": name, "namespace": where},
        "spec": {
            "source": {"uri": "hf://sentence-transformers/all-MiniLM-L6-v2"},
            "engine": {"name": "tei"},
            "resources": {"cpu": "100m", "memory": "64Mi"},
            "drain": {"timeoutSeconds": 1},
            "podTemplate": {"annotations": {**FAST, "sim.modelfleet.dev/dialect": "tei"}},
        },
    }


@dataclass
class Replica:
    """An operator with the proxy that sees what it writes."""

    operator: Operator
    proxy: Proxy

    def written(self) -> list[Write]:
        """Return what it wrote, but for the Lease and the ledger's checkpoints."""
        clocks = ("leases", "configmaps")
        return [write for write in self.proxy.writes if write.target.plural not in clocks]

    async def ready(self) -> None:
        """Wait until it works, or stands by."""
        await asyncio.to_thread(self.operator.ready)

    async def stop(self) -> int:
        """Ask it to end; return its exit code."""
        return await asyncio.to_thread(self.operator.stop)

    async def ended(self) -> int:
        """Wait until it ends by itself; return its exit code."""
        assert self.operator.process is not None
        return await asyncio.to_thread(self.operator.process.wait, PATIENCE)


class Fleet:
    """Models in one namespace. All operators that it starts have the same Lease."""

    def __init__(self, client: Client, where: str) -> None:
        self.client, self.where = client, where

    @asynccontextmanager
    async def operator(self, **environment: str) -> AsyncIterator[Replica]:
        """Run one more operator; `environment` replaces settings."""
        async with Proxy(self.client.connection) as proxy:
            operator = Operator(
                proxy.url,
                MODELFLEET_NAMESPACES=self.where,
                MODELFLEET_LEASE_NAME=self.where,
                **{**QUICK_LEASE, **environment},
            )
            operator.start()
            try:
                yield Replica(operator, proxy)
            finally:
                operator.kill()

    async def create(self, *names: str) -> None:
        """Create Models."""
        where = rest.MODELS.all(self.where)
        bodies = (a_model(self.where, name) for name in names)
        await asyncio.gather(*(self.client.create(where, body) for body in bodies))

    async def scale(self, name: str, replicas: int) -> None:
        """Change one Model."""
        where = rest.MODELS.at(self.where, name)
        await self.client.patch(where, {"spec": {"replicas": replicas}})

    async def models(self) -> list[dict[str, Any]]:
        """Return all Models, in order of name."""
        found = await self.client.list("Model", self.where)
        return sorted(found, key=lambda one: str(one["metadata"]["name"]))

    async def all_ready(self) -> list[dict[str, Any]]:
        """Wait until every Model is ready; return them."""

        async def why_not() -> str:
            unready = [m["metadata"]["name"] for m in await self.models() if not _is_ready(m)]
            return f"not ready: {unready[:5]}" if unready else ""

        await until(why_not)
        return await self.models()


@asynccontextmanager
async def fleet(client: Client) -> AsyncIterator[Fleet]:
    """Make a namespace for the time of the block; its Lease goes with it."""
    async with namespace(client, "fleet") as where:
        yield Fleet(client, where)
        try:
            await client.delete(rest.LEASES.at(LEASES_IN, where), {})
        except NotFound:
            return


async def until(why_not: Callable[[], Awaitable[str]]) -> None:
    """Wait until `why_not` has nothing to say any more."""
    deadline = time.monotonic() + PATIENCE
    while why := await why_not():
        assert time.monotonic() < deadline, why
        await asyncio.sleep(0.1)


def _is_ready(model: dict[str, Any]) -> bool:
    return "status" in model and is_ready(model)
