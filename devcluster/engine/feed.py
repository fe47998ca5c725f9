"""Follows a collection of the API server through disconnects, restarts and compaction."""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from typing import Any

import aiohttp

from devcluster.engine.api import Api, ApiError, Gone

logger = logging.getLogger(__name__)

_TROUBLE = (ApiError, aiohttp.ClientError, TimeoutError, OSError, ValueError)
"""What passes: a refusal, a lost connection, a cut-off line."""
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0


class Feed:
    """Tells `seen` of every object that is there or changes, and `gone` of each that was removed.

    Objects are told apart by their UID: one that was deleted and made again under its old name
    while nobody watched is reported as gone and seen.
    """

    def __init__(
        self,
        api: Api,
        path: str,
        seen: Callable[[dict[str, Any]], None],
        gone: Callable[[str], None],
        *,
        metadata_only: bool = False,
    ) -> None:
        self._api = api
        self._path = path
        self._seen = seen
        self._gone = gone
        self._metadata_only = metadata_only
        self._known: set[str] = set()
        self.synced = asyncio.Event()

    async def run(self) -> None:
        """Follow for ever."""
        pause = _FIRST_PAUSE
        while True:
            try:
                version = await self._list()
                pause = _FIRST_PAUSE
                await self._watch_on(version)
            except Gone:
                logger.info("%s: the watch is too old, listing again", self._path)
            except _TROUBLE as error:
                logger.warning("%s: %s; again in %.1f s", self._path, error or type(error), pause)
                await asyncio.sleep(pause * random.uniform(0.8, 1.2))
                pause = min(pause * 2, _LONGEST_PAUSE)

    async def _list(self) -> str:
        items, version = await self._api.list(self._path, metadata_only=self._metadata_only)
        self._replace(items)
        self.synced.set()
        return version

    def _replace(self, items: Iterable[dict[str, Any]]) -> None:
        there = {item["metadata"]["uid"]: item for item in items}
        for uid in self._known - there.keys():
            self._gone(uid)
        self._known = set(there)
        for item in there.values():
            self._seen(item)

    async def _watch_on(self, version: str) -> None:
        """Watch, and again from where the last one ended, until that place is forgotten."""
        failures = 0
        while True:
            before = version
            try:
                async for event in self._api.watch(
                    self._path, version, metadata_only=self._metadata_only
                ):
                    version = event["object"]["metadata"]["resourceVersion"]
                    self._take(event)
                failures = 0
                await asyncio.sleep(_FIRST_PAUSE)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                failures = failures + 1 if version == before else 0
                if failures > 3:
                    raise
                logger.info("%s: watch ended: %s", self._path, error or type(error))
                await asyncio.sleep(_FIRST_PAUSE * 2**failures)

    def _take(self, event: dict[str, Any]) -> None:
        item = event["object"]
        match event["type"]:
            case "ADDED" | "MODIFIED":
                self._known.add(item["metadata"]["uid"])
                self._seen(item)
            case "DELETED":
                self._known.discard(item["metadata"]["uid"])
                self._gone(item["metadata"]["uid"])
