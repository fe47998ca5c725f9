"""Reads the metrics of many pods at once. A failure is a value, and says nothing about load."""

import asyncio
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache

from modelfleet import clock, telemetry
from modelfleet.api.v1alpha1.engine import Metrics
from modelfleet.engines.metrics import Reader, Reading, Unreadable
from modelfleet.plan.samples import Process, Reason, Scrape, ScrapeFailure
from modelfleet.servers.client import Client, Failed, body_of, url_of

logger = logging.getLogger(__name__)

Answer = Scrape | ScrapeFailure

PAGES = frozenset({"text/plain", "application/openmetrics-text"})
ACCEPT = "text/plain;version=0.0.4"

STARTED = "Process-Start-Time-Unix"
"""llama.cpp says in a header when it started, and nothing on the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A pod to read. The address is the one that the API server reported."""

    pod: str
    """uid"""
    namespace: str
    model: str
    revision: str
    address: str
    port: int
    metrics: Metrics
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """How patient and how greedy a scraper is. `seconds` bounds one reading."""

    seconds: float = 2.0
    at_once: int = 64
    page_bytes: int = 4 * 1024 * 1024
    lines: int = 100_000


class Scraper:
    """Reads pages of metrics, so many at once."""

    def __init__(self, client: Client, limits: Limits = Limits()) -> None:
        self._client, self._limits = client, limits
        self._turns = asyncio.Semaphore(limits.at_once)

    async def scrape(self, targets: Sequence[Target], now: datetime) -> list[Answer]:
        """Read each target once and return an answer for each, in order. Raises nothing.

        `now` is the wall clock's time at the call; each answer bears the time that it came.
        """
        answers: dict[int, Answer] = {}
        began, left = clock.monotonic(), iter(enumerate(targets))

        async def work(left: Iterator[tuple[int, Target]]) -> None:
            for number, target in left:
                async with self._turns:
                    answers[number] = await self._answer(target, now, began)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._limits.at_once, len(targets))):
                group.create_task(work(left))
        return [answers[number] for number in range(len(targets))]

    async def _answer(self, target: Target, now: datetime, began: float) -> Answer:
        started = clock.monotonic()
        found = await self._attempt(target)
        ended = clock.monotonic()
        telemetry.SCRAPE_SECONDS.observe(ended - started)
        at = now + timedelta(seconds=ended - began)
        if isinstance(found, Failed):
            telemetry.SCRAPES.labels(found.reason).inc()
            return _failure(target, at, found)
        telemetry.SCRAPES.labels("ok").inc()
        return _scrape(target, at, found)

    async def _attempt(self, target: Target) -> Reading | Failed:
        try:
            return await self._read(target)
        except Failed as error:
            return error
        except Exception as error:
            # Never the message or the trace: they may quote the page.
            extra = {"model": target.model, "namespace": target.namespace}
            logger.error("a reading failed: %s", type(error).__name__, extra=extra)  # noqa: TRY400
            return Failed(Reason.DEFECT)

    async def _read(self, target: Target) -> Reading:
        url = url_of(target.address, target.port, target.metrics.path)
        async with self._client.request(
            "GET", url, self._limits.seconds, {"Accept": ACCEPT}
        ) as response:
            if "Content-Type" in response.headers and response.content_type not in PAGES:
                raise Failed(Reason.NOT_TEXT)
            body = await body_of(response, self._limits.page_bytes)
        reading = self._parsed(body, target.metrics)
        if reading.started is None and (told := _number(response.headers.get(STARTED))):
            return replace(reading, started=told)
        return reading

    def _parsed(self, body: bytes, metrics: Metrics) -> Reading:
        if body.count(b"\n") > self._limits.lines:
            raise Failed(Reason.TOO_LARGE)
        # A page ends with a line's end. One that does not has been cut, perhaps within a number.
        if body and not body.endswith(b"\n"):
            raise Failed(Reason.UNPARSABLE)
        try:
            return _reader(metrics).read(body.decode())
        except (UnicodeDecodeError, Unreadable):
            raise Failed(Reason.UNPARSABLE) from None


@lru_cache(maxsize=64)
def _reader(metrics: Metrics) -> Reader:
    return Reader(metrics)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _scrape(target: Target, at: datetime, reading: Reading) -> Scrape:
    return Scrape(
        pod=target.pod,
        namespace=target.namespace,
        model=target.model,
        revision=target.revision,
        at=at,
        process=Process(target.restarts, reading.started),
        values=reading.values,
        histograms=reading.histograms,
    )


def _failure(target: Target, at: datetime, error: Failed) -> ScrapeFailure:
    return ScrapeFailure(
        pod=target.pod,
        namespace=target.namespace,
        model=target.model,
        revision=target.revision,
        at=at,
        reason=error.reason,
        status=error.status,
    )
