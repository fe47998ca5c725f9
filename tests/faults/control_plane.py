"""What a test does to the API server and etcd of its devcluster."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from devcluster import processes
from devcluster.layout import Layout
from faults.fleet import until
from modelfleet.cluster.errors import ApiError
from support.running import Client


def part(name: str) -> processes.Record:
    """Return the process that plays a part."""
    found = processes.load(Layout.of(os.environ["DEVCLUSTER"]), name)
    assert found is not None
    return found


async def restart(client: Client, name: str) -> None:
    """Kill a part, and wait until the supervisor's next one serves again."""
    killed = part(name)
    killed.end(signal.SIGKILL)

    async def why_not() -> str:
        return f"{name} is not back" if part(name) == killed else ""

    await until(why_not)
    await served(client)


async def served(client: Client) -> None:
    """Wait until the API server answers from what etcd holds."""

    async def why_not() -> str:
        try:
            await client.list("Model", "default")
        except ApiError as error:
            return f"the API server does not answer: {error}"
        return ""

    await until(why_not)


@asynccontextmanager
async def frozen(client: Client, name: str) -> AsyncIterator[None]:
    """Stop a part for the time of the block: it is there and says nothing."""
    process = part(name)
    process.end(signal.SIGSTOP)
    try:
        yield
    finally:
        process.end(signal.SIGCONT)
    await served(client)
