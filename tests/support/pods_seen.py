"""All pods of a namespace, followed event by event, so that nothing in between is missed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from modelfleet.api import labels
from modelfleet.cluster import rest
from support.running import Client

Object = dict[str, Any]


class Sight:
    """What was seen of the pods of Models since `begin`."""

    def __init__(self) -> None:
        self._pods: dict[str, Object] = {}
        self.fewest_serving: dict[str, int] = {}
        """Model → the fewest replicas that were ready and took traffic."""
        self.waited: dict[str, str] = {}
        """Pod → why the scheduler found no node for it, at any time."""

    def begin(self) -> None:
        """Forget what was, and count from what is there now."""
        self.fewest_serving = self._serving()
        self.waited = {}

    async def follow(self, client: Client, namespace: str) -> None:
        """Watch until cancelled. Bookmarks keep a quiet watch alive."""
        query = {"allowWatchBookmarks": "true", "timeoutSeconds": "3600"}
        async for event in client.watch(rest.PODS.all(namespace), query):
            if event["type"] != "BOOKMARK":
                self._note(event["type"], event["object"])

    def _note(self, what: str, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        if what == "DELETED":
            self._pods.pop(uid, None)
        else:
            self._pods[uid] = pod
        if why := _why_unplaced(pod):
            self.waited[pod["metadata"]["name"]] = why
        now = self._serving()
        for name, fewest in self.fewest_serving.items():
            self.fewest_serving[name] = min(fewest, now.get(name, 0))

    def _serving(self) -> dict[str, int]:
        count: dict[str, int] = {}
        for pod in self._pods.values():
            name = pod["metadata"]["labels"][labels.MODEL]
            count[name] = count.get(name, 0) + serves(pod)
        return count


def serves(pod: Object) -> bool:
    """Whether a Service leads to a pod, and goes on doing so."""
    metadata = pod["metadata"]
    conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions", [])}
    stays = metadata["labels"].get(labels.SERVING) == "true" and "deletionTimestamp" not in metadata
    return stays and conditions.get("Ready") == "True"


def _why_unplaced(pod: Object) -> str:
    conditions = pod["status"].get("conditions", [])
    found = (one for one in conditions if one["type"] == "PodScheduled")
    return "; ".join(one.get("message", "") or "?" for one in found if one["status"] == "False")


@asynccontextmanager
async def watching(client: Client, namespace: str) -> AsyncIterator[Sight]:
    """Watch a namespace's pods for the time of the block."""
    sight = Sight()
    task = asyncio.create_task(sight.follow(client, namespace))
    try:
        yield sight
        assert not task.done(), f"the watch ended: {task}"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
