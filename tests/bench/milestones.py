"""When something has come true for how many objects, told by watches."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from modelfleet.cluster.rest import Resource
from modelfleet.cluster.session import Session

PATIENCE = 600.0
BOOKMARKS = {"allowWatchBookmarks": "true"}
"""So that a watch of what never changes is not taken for dead."""


class Milestone:
    """Which objects of one kind `hold`, and when each began to."""

    def __init__(self, holds: Callable[[dict[str, Any]], bool]) -> None:
        self._holds = holds
        self.at: dict[str, float] = {}
        self._changed = asyncio.Event()

    def take(self, raw: dict[str, Any]) -> None:
        """Look at one version of an object."""
        name = raw["metadata"]["name"]
        if name not in self.at and self._holds(raw):
            self.at[name] = time.monotonic()
            self._changed.set()

    async def reached(self, count: int) -> float:
        """Wait until it holds for so many objects; return when it did."""
        async with asyncio.timeout(PATIENCE):
            while len(self.at) < count:
                self._changed.clear()
                await self._changed.wait()
        return max(self.at.values(), default=0.0)


@asynccontextmanager
async def watched(
    session: Session, resource: Resource, namespace: str, *milestones: Milestone
) -> AsyncIterator[None]:
    """Show every version of every object to the milestones for the time of the block."""

    async def follow() -> None:
        while True:
            await follow_once()

    async def follow_once() -> None:
        async for event in session.watch(resource.all(namespace), BOOKMARKS):
            if event["type"] in ("ADDED", "MODIFIED"):
                for one in milestones:
                    one.take(event["object"])

    task = asyncio.create_task(follow())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def exists(_: dict[str, Any]) -> bool:
    """Whether there is an object."""
    return True


def available(deployment: dict[str, Any]) -> bool:
    """Whether a Deployment has all its replicas."""
    status = deployment.get("status", {})
    return bool(status.get("readyReplicas", 0) == deployment["spec"]["replicas"])
