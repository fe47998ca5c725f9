"""The running gateway: caches, ports, requests in hand, and the Models that these wake."""

import asyncio
import logging
from collections import Counter
from datetime import timedelta
from typing import Any

from aiohttp import web

from modelfleet import clock, telemetry
from modelfleet.api import labels
from modelfleet.cluster import rest
from modelfleet.cluster.caches import OURS
from modelfleet.cluster.fleet import Fleet
from modelfleet.cluster.informer import Informer, Scope
from modelfleet.cluster.session import Session
from modelfleet.gateway import answers
from modelfleet.gateway.doors import Doors
from modelfleet.gateway.exchange import Exchange, Ways
from modelfleet.gateway.hall import Hall
from modelfleet.gateway.upstream import Upstream
from modelfleet.loops.probes import Probes
from modelfleet.loops.workqueue import WorkQueue, run_workers
from modelfleet.plan.hold import Limits, Refusal
from modelfleet.plan.world import Key
from modelfleet.settings import GatewaySettings

logger = logging.getLogger(__name__)

WORKERS = 4

STILL_ASLEEP = timedelta(seconds=5)
"""When to look again whether a wake was heard: the Model may have been put to sleep once more."""

REOPEN = 5.0
"""Seconds until a port that somebody else has is tried again."""

LOOK = 0.1
"""Seconds between two looks at what is left to do before the end."""

WORST_LAG = 20.0
"""Seconds that the loop may be late before the process counts as dead."""

LEAVING = Refusal(503, "gateway_leaves", "this gateway ends; come again at once", 1)


class Gateway:
    """Runs until asked to stop; then it takes no new requests, and finishes those it has."""

    def __init__(self, settings: GatewaySettings, session: Session, upstream: Upstream) -> None:
        self._settings, self._session = settings, session
        self._queue = WorkQueue("gateway")
        self._fleet = Fleet(self._changed)
        self._hall = Hall(_limits(settings), self._fleet.target, self._queue.wake, clock.utc_now)
        self._ways = Ways(self._hall, upstream, self._choose)
        self._doors = Doors(settings.host, self._answer)
        self._turns: Counter[Key] = Counter()
        self._ports_changed, self._stop = asyncio.Event(), asyncio.Event()
        self._open = False
        self._lag = 0.0
        self._informers = self._watches()

    def stop(self) -> None:
        """Ask the gateway to end."""
        self._stop.set()

    async def run(self) -> None:
        """Run until stopped and done with all requests, or out of time for them."""
        runner = await self._probes().serve(self._settings.metrics_address)
        lag = telemetry.sample_loop_lag(clock.monotonic, seen=self._note_lag)
        tasks = [
            *(asyncio.create_task(one.run()) for one in self._informers),
            asyncio.create_task(lag),
            asyncio.create_task(self._keep_ports()),
            asyncio.create_task(run_workers(self._queue, self._wake, WORKERS)),
        ]
        try:
            await self._until_stopped(*tasks)
            await self._leave()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await runner.cleanup()

    def _watches(self) -> list[Informer[Any]]:
        wherever = self._settings.namespaces or (None,)
        stores: list[tuple[Any, str]] = [(self._fleet.models, ""), (self._fleet.slices, OURS)]
        return [
            Informer(self._session, store, Scope(namespace=one, labels=selector))
            for store, selector in stores
            for one in wherever
        ]

    async def _until_stopped(self, *tasks: asyncio.Task[Any]) -> None:
        """Wait for a stop. A task that ends by itself is a defect and ends the gateway, loudly."""
        stopped = asyncio.create_task(self._stop.wait())
        ended, _ = await asyncio.wait({stopped, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        for task in ended - {stopped}:
            task.result()

    # --- requests -------------------------------------------------------------

    async def _answer(self, request: web.BaseRequest, port: int) -> web.StreamResponse:
        key = self._fleet.behind(port)
        if key is None:
            return answers.refused(_NOBODY)
        return await Exchange(request, key, self._ways).run()

    def _choose(self, key: Key) -> tuple[str, int] | None:
        """Return each ready replica in turn."""
        target = self._fleet.target(key)
        if target is None or not target.backends:
            return None
        self._turns[key] += 1
        return target.backends[self._turns[key] % len(target.backends)]

    # --- the cluster ----------------------------------------------------------

    def _changed(self, key: Key) -> None:
        self._hall.changed(key)
        self._ports_changed.set()
        if self._hall.waiting(key):
            self._queue.wake(key)

    async def _keep_ports(self) -> None:
        """Listen for exactly the Models that may sleep."""
        for informer in self._informers:
            await informer.synced.wait()
        while True:
            self._ports_changed.clear()
            self._open = await self._doors.match(self._fleet.doors())
            await _first_of(self._ports_changed, None if self._open else REOPEN)

    async def _wake(self, key: Key) -> timedelta | None:
        """Tell the operator that a Model is waited for. Told twice, or by two, it is one wake."""
        target = self._fleet.target(key)
        if target is None or target.sleep is None or not self._hall.waiting(key):
            return None
        body = {"metadata": {"uid": target.uid, "annotations": {labels.WAKE: target.sleep}}}
        await self._session.patch(rest.MODELS.at(key.namespace, key.name), body)
        logger.info("woken", extra={"model": key, "sleep": target.sleep})
        return STILL_ASLEEP

    # --- the end --------------------------------------------------------------

    async def _leave(self) -> None:
        """Let Services forget this gateway, then finish what is in hand, and refuse the rest."""
        self._open = False
        logger.info("leaving", extra={"held": self._hall.waiting(), "requests": self._doors.busy})
        await asyncio.sleep(self._settings.leave_seconds)
        await self._doors.close()
        await self._until_idle(self._settings.shutdown_seconds)
        self._hall.dismiss(LEAVING)
        await self._until_idle(1.0)
        await self._doors.cut()

    async def _until_idle(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while self._doors.busy and loop.time() < end:
            await asyncio.sleep(LOOK)

    # --- health ---------------------------------------------------------------

    def _probes(self) -> Probes:
        return Probes(
            alive={"loop": self._why_slow},
            ready={"caches": self._why_unsynced, "ports": self._why_closed},
        )

    def _why_slow(self) -> str | None:
        return f"the loop is {self._lag:.1f} s late" if self._lag > WORST_LAG else None

    def _why_unsynced(self) -> str | None:
        missing = [one.store.resource.plural for one in self._informers if not one.synced.is_set()]
        return f"not listed yet: {', '.join(missing)}" if missing else None

    def _why_closed(self) -> str | None:
        if self._stop.is_set():
            return "leaving"
        return None if self._open else "not listening for every Model"

    def _note_lag(self, seconds: float) -> None:
        self._lag = seconds


async def _first_of(event: asyncio.Event, seconds: float | None) -> None:
    """Wait for an event, at most so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


def _limits(settings: GatewaySettings) -> Limits:
    return Limits(
        requests=settings.most_requests,
        body_bytes=settings.most_bytes,
        total_bytes=settings.total_bytes,
        seconds=settings.hold_seconds,
    )


_NOBODY = Refusal(404, "model_not_found", "no Model is behind this address")
