"""Tells users what happened, as events of events.k8s.io/v1, without flooding the API server.

An event's name follows from what it says, so that the same thing said again is the same event with
a higher `series.count`, also after a restart. Nothing here waits or raises: events are news, and a
reconcile must not depend on them.
"""

import asyncio
import logging
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any

from modelfleet import clock, telemetry
from modelfleet.cluster import errors
from modelfleet.cluster.rest import EVENTS, Endpoint
from modelfleet.cluster.session import Session
from modelfleet.plan.world import Notice

logger = logging.getLogger(__name__)

CONTROLLER = "modelfleet.dev/operator"
NOTE_BYTES = 1024
"""The API server refuses longer ones."""

WAITING = 1000
"""Events that may wait for the poster; more are dropped and counted."""

REMEMBERED = 4096
"""Different events, and objects with a spam allowance, that are remembered."""

BURST = 25
REFILL_SECONDS = 300.0
"""An object may have 25 events at once and one more every 5 minutes, as with client-go's spam
filter."""

REPEAT_SECONDS = 60.0
"""A repetition is written down at most this often; those between are added up."""

Regarding = Mapping[str, str]
"""An ObjectReference: apiVersion, kind, namespace, name, uid, resourceVersion."""


@dataclass(slots=True)
class _Series:
    """What is known of one event. Times are monotonic seconds but for `last`."""

    where: Endpoint
    body: dict[str, Any]
    last: datetime
    count: int = 1
    written: int = 0
    """The count that the API server has."""
    written_at: float = -math.inf
    waiting: bool = False


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class Recorder:
    """Takes notices at once and posts them from one task: `run`."""

    def __init__(
        self,
        session: Session,
        instance: str,
        now: Callable[[], datetime] = clock.utc_now,
        monotonic: Callable[[], float] = clock.monotonic,
    ) -> None:
        self._session = session
        self._instance = instance[:128]
        self._now, self._monotonic = now, monotonic
        self._queue: asyncio.Queue[_Series] = asyncio.Queue(WAITING)
        self._series: OrderedDict[str, _Series] = OrderedDict()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def record(self, regarding: Regarding, notice: Notice, action: str = "Reconcile") -> None:
        """Tell of `notice`. Returns at once; what cannot be posted is counted and dropped."""
        if not self._allowance(regarding["uid"]):
            telemetry.EVENTS.labels("spam").inc()
            return
        name = event_name(regarding, notice, action)
        series = self._series.get(name)
        if series is None:
            series = self._begin(name, regarding, notice, action)
        else:
            series.count, series.last = series.count + 1, self._now()
            self._series.move_to_end(name)
        self._enqueue(series)

    async def run(self) -> None:
        """Post what was recorded, and now and then what was repeated, until cancelled."""
        swept_at = self._monotonic()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(REPEAT_SECONDS):
                    await self._post(await self._queue.get())
            if self._monotonic() - swept_at >= REPEAT_SECONDS:
                swept_at = self._monotonic()
                for series in self._repeated():
                    await self._post(series)

    async def flush(self, timeout: float) -> None:
        """Post what still waits, for at most `timeout` seconds: the last words before the end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not self._queue.empty():
                    await self._post(self._queue.get_nowait())

    def _allowance(self, uid: str) -> bool:
        now = self._monotonic()
        bucket = self._buckets.setdefault(uid, _Bucket(BURST, now))
        self._buckets.move_to_end(uid)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        bucket.tokens = min(BURST, bucket.tokens + (now - bucket.at) / REFILL_SECONDS)
        bucket.at = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def _begin(self, name: str, regarding: Regarding, notice: Notice, action: str) -> _Series:
        now = self._now()
        body = event_for(regarding, notice, action, now) | {
            "metadata": {"name": name, "namespace": _namespace(regarding)},
            "reportingInstance": self._instance,
        }
        series = _Series(EVENTS.at(_namespace(regarding), name), body, now)
        self._series[name] = series
        if len(self._series) > REMEMBERED:
            self._series.popitem(last=False)
        return series

    def _enqueue(self, series: _Series) -> None:
        recent = self._monotonic() - series.written_at < REPEAT_SECONDS
        if series.waiting or recent:
            telemetry.EVENTS.labels("repeated").inc()
            return
        try:
            self._queue.put_nowait(series)
            series.waiting = True
        except asyncio.QueueFull:
            telemetry.EVENTS.labels("dropped").inc()

    def _repeated(self) -> list[_Series]:
        found = self._series.values()
        return [one for one in found if 0 < one.written < one.count and not one.waiting]

    async def _post(self, series: _Series) -> None:
        series.waiting = False
        try:
            await (self._repeat(series) if series.written else self._create(series))
        except errors.ApiError as error:
            telemetry.EVENTS.labels("failed").inc()
            logger.info("an event was not posted", extra={"error": str(error)})
            return
        except Exception:  # a defect of ours: the poster must live on
            telemetry.EVENTS.labels("failed").inc()
            logger.exception("an event was not posted")
            return
        series.written, series.written_at = series.count, self._monotonic()
        telemetry.EVENTS.labels("posted").inc()

    async def _create(self, series: _Series) -> None:
        try:
            await self._session.create(_collection(series), series.body)
        except errors.Conflict:
            # Somebody, we before a restart, has said the same: go on counting from there.
            known = await self._session.get(series.where)
            series.written = int((known.get("series") or {}).get("count") or 1)
            series.count += series.written
            await self._repeat(series)

    async def _repeat(self, series: _Series) -> None:
        patch = {"series": {"count": series.count, "lastObservedTime": micro_time(series.last)}}
        try:
            await self._session.patch(series.where, patch)
        except errors.NotFound:
            # Events live for an hour; this one has died.
            series.count, series.body["eventTime"] = 1, micro_time(series.last)
            await self._session.create(
                EVENTS.all(_namespace(series.body["regarding"])), series.body
            )


def event_for(regarding: Regarding, notice: Notice, action: str, now: datetime) -> dict[str, Any]:
    """Return an event without its name and reporting instance."""
    return {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "eventTime": micro_time(now),
        "type": notice.type,
        "reason": notice.reason,
        "action": action,
        "note": errors.cut(notice.note, NOTE_BYTES),
        "regarding": {key: value for key, value in regarding.items() if value},
        "reportingController": CONTROLLER,
    }


def event_name(regarding: Regarding, notice: Notice, action: str) -> str:
    """Return the name that only this notice about this very object has."""
    said = "\0".join((regarding["uid"], notice.type, notice.reason, action, notice.note))
    digest = blake2b(said.encode(), digest_size=8).hexdigest()
    return f"{regarding['name'][:200].rstrip('-.')}.{digest}"


def micro_time(now: datetime) -> str:
    """Return a metav1.MicroTime."""
    return now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _collection(series: _Series) -> Endpoint:
    return EVENTS.all(series.body["metadata"]["namespace"])


def _namespace(regarding: Mapping[str, Any]) -> str:
    # Events about cluster-wide objects live in "default", as those of kubelets do.
    return regarding.get("namespace") or "default"
