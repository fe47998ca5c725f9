"""Keeps a store true to one kind: list, watch, and start again after whatever happens.

Several informers may feed one store where only some namespaces are looked at, one for each.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from modelfleet import clock, telemetry
from modelfleet.cluster import errors
from modelfleet.cluster.session import Session
from modelfleet.cluster.store import Name, Raw, Store, name_of, version_of

logger = logging.getLogger(__name__)

T = TypeVar("T")

PAGE = 500
WATCH_SECONDS = 300
"""The server ends a watch after this (to twice this), so that load moves to new API servers."""

DOUBTFUL = frozenset({400, 500, 504})
DOUBTS = 5
"""So many of these answers in a row: the server may not like our version (one that is ahead of its
own is a 504), so list again. An outage is no reason to: all operators would list at its end."""

STREAMS_LISTS = (1, 34)
"""The first version that has WatchList switched on for good."""

_BACKWARDS = "the versions went backwards: the cluster was restored from a backup"

_INITIAL_END = "k8s.io/initial-events-end"


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between a watch that ended and the next: doubled while none has an event."""

    first: float = 0.1
    longest: float = 30.0

    def delay(self, futile: int) -> float:
        """Return the seconds to wait after so many watches without an event, jittered."""
        step = min(self.longest, self.first * 2.0 ** min(futile, 16))
        return step * random.uniform(0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Scope:
    """Which objects of a kind to follow. No namespace: all."""

    namespace: str | None = None
    labels: str = ""
    fields: str = ""

    def query(self) -> dict[str, str]:
        """Return the selectors as query parameters."""
        selectors = {"labelSelector": self.labels, "fieldSelector": self.fields}
        return {name: value for name, value in selectors.items() if value}


class Informer(Generic[T]):
    """One watch that feeds a store. `run` it as one task."""

    def __init__(
        self,
        session: Session,
        store: Store[T],
        scope: Scope = Scope(),
        *,
        pace: Pace = Pace(),
        monotonic: Callable[[], float] = clock.monotonic,
    ) -> None:
        self.store = store
        self.synced = asyncio.Event()
        """Set when the store has been complete once."""
        self.last_event_at = monotonic()
        """When the server last said anything, a bookmark included; monotonic seconds."""
        self._session = session
        self._where = store.resource.all(scope.namespace)
        self._within = scope.namespace or ""
        self._query = scope.query()
        self._pace = pace
        self._streaming: bool | None = None
        """Whether the list comes as a watch. None: not known yet, ask the server's version."""
        self._monotonic = monotonic
        self._version: str | None = None
        """Where to continue from; None: list first."""
        self._listed: set[Name] | None = None
        """Names of the list that is coming in; None when none is."""
        self._futile = 0
        """Watches in a row without an event."""
        self._doubts = 0

    def silent_for(self) -> float:
        """Return the seconds since the server last said anything; over 100 is no good sign."""
        return self._monotonic() - self.last_event_at

    async def run(self) -> None:
        """Follow the kind until cancelled. Nothing that a server says ends it."""
        while True:
            delay = await self._follow_once()
            await asyncio.sleep(delay)

    async def _follow_once(self) -> float:
        """Follow until something ends it; return how many seconds to wait before the next time."""
        asked = 0.0
        try:
            await self._follow()
            reason = "ended"
        except errors.Gone:
            reason = "gone"
            self._version = None
        except errors.ApiError as error:
            reason = type(error).__name__.lower()
            asked = error.retry_after or 0.0
            self._note(error)
            self._doubt(error)
        except Exception:
            reason = "defect"
            self._version = None
            logger.exception("an informer failed", extra={"kind": self._where.kind})
        telemetry.WATCH_RESTARTS.labels(self._where.kind, reason).inc()
        self._futile += 1
        return max(asked, self._pace.delay(self._futile - 1))

    def _doubt(self, error: errors.ApiError) -> None:
        self._doubts += error.code in DOUBTFUL
        if self._doubts >= DOUBTS:
            self._version, self._doubts = None, 0

    def _note(self, error: errors.ApiError) -> None:
        # The first failure of a row is what rolling updates of the API server look like.
        level = logging.INFO if self._futile == 0 else logging.WARNING
        extra = {"kind": self._where.kind, "code": error.code, "error": str(error)}
        logger.log(level, "a watch broke off", extra=extra)

    async def _follow(self) -> None:
        self._listed = None
        if self._version is None and not await self._streams():
            await self._list()
        if self._version is None:
            self._listed = set()
        try:
            async with aclosing(self._session.watch(self._where, self._watch_query())) as events:
                async for event in events:
                    self._take(event["type"], event["object"])
        except errors.Invalid:
            # A server that has the feature switched off says so with a 422.
            self._streaming = False if self._version is None else self._streaming
            raise

    async def _streams(self) -> bool:
        if self._streaming is None:
            self._streaming = await self._session.version() >= STREAMS_LISTS
        return self._streaming

    def _watch_query(self) -> dict[str, str]:
        seconds = int(WATCH_SECONDS * random.uniform(1.0, 2.0))
        query = self._query | {"allowWatchBookmarks": "true", "timeoutSeconds": str(seconds)}
        if self._version is not None:
            return query | {"resourceVersion": self._version}
        return query | {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}

    async def _list(self) -> None:
        listed: set[Name] = set()
        query = self._query | {"limit": str(PAGE)}
        more = True
        while more:
            page = await self._session.page(self._where, query)
            if len(listed) == 0 and int(page.resource_version) < self.store.horizon(self._within):
                self.store.rewind()
            for raw in page.items:
                self._take_listed(raw, listed)
            query["continue"] = page.next
            more = bool(page.next)
            await asyncio.sleep(0)
        self._complete(listed, page.resource_version)

    def _take_listed(self, raw: Raw, listed: set[Name]) -> None:
        listed.add(name_of(raw))
        self.store.feed(None, raw, self._within)

    def _take(self, kind: str, raw: Raw) -> None:
        self.last_event_at = self._monotonic()
        self._futile = self._doubts = 0
        telemetry.WATCH_EVENTS.labels(self._where.kind, kind).inc()
        if kind == "BOOKMARK":
            self._bookmark(raw)
        elif self._listed is None:
            self.store.feed(kind, raw, self._within)
            self._version = raw["metadata"]["resourceVersion"]
        elif kind == "DELETED":
            self._listed.discard(name_of(raw))
            self.store.feed(kind, raw, self._within)
        else:
            self._take_listed(raw, self._listed)

    def _bookmark(self, raw: Raw) -> None:
        version = raw["metadata"]["resourceVersion"]
        annotations: dict[str, Any] = raw["metadata"].get("annotations") or {}
        if self._listed is None:
            if int(version) < int(self._version or 0):
                raise errors.Gone(_BACKWARDS)
            self._version = version
            self.store.advance(version_of(raw), self._within)
        elif annotations.get(_INITIAL_END) == "true":
            self._complete(self._listed, version)

    def _complete(self, listed: set[Name], version: str) -> None:
        """A list has come in whole: what it does not have is gone, with or without an event."""
        self._listed = None
        if int(version) < self.store.horizon(self._within):
            self.store.rewind()
            raise errors.Gone(_BACKWARDS)
        vanished = self.store.retain(listed, int(version), self._within)
        if vanished and self.synced.is_set():
            telemetry.LOST_DELETES.labels(self._where.kind).inc(len(vanished))
        self._version = version
        self.last_event_at = self._monotonic()
        self.synced.set()
