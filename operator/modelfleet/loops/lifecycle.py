"""The running operator: caches from the start, everything that writes only while leading."""

import asyncio
import logging
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from modelfleet import clock, telemetry
from modelfleet.api import labels
from modelfleet.cluster import errors
from modelfleet.cluster.apply import Applier
from modelfleet.cluster.caches import CHILDREN, OURS, Caches
from modelfleet.cluster.events import Recorder
from modelfleet.cluster.fence import Fenced
from modelfleet.cluster.informer import Informer, Scope
from modelfleet.cluster.lease import LeaseClient
from modelfleet.cluster.live import LiveCluster
from modelfleet.cluster.session import Session
from modelfleet.loops.autoscaling import Autoscaler
from modelfleet.loops.evidence import Evidence
from modelfleet.loops.leader import Elector, Timing, identity_of
from modelfleet.loops.ledger import Ledger
from modelfleet.loops.load import Load
from modelfleet.loops.probes import Probes
from modelfleet.loops.workqueue import WorkQueue, run_workers
from modelfleet.plan.world import Key
from modelfleet.reconcile import asks_for_a_look, reconcile
from modelfleet.settings import Settings

logger = logging.getLogger(__name__)

LOST_LEADERSHIP = 3
"""Exit code: another replica leads now. The kubelet starts us again, as its standby."""

MANY_FAILURES = 4
"""Failures in a row, some 3 s, after which users are told; they need not hear of passing ones."""

LONGEST_TURN = 120.0
"""Seconds after which a reconcile hangs rather than waits: requests give up long before."""

LONGEST_WAIT = 600.0
"""Seconds after which a key that nobody takes says that the workers are gone."""

LONGEST_SILENCE = 150.0
"""Seconds without an event or a bookmark after which what we know may be old."""

WORST_LAG = 20.0
"""Seconds that the loop may be late before the process counts as dead."""


class Shell(Protocol):
    """What wakes keys besides the informers: kopf."""

    def start(self) -> None:
        """Start to bring them."""

    async def stop(self, timeout: float = 10.0) -> None:
        """Stop, within `timeout` seconds."""


@dataclass
class Parts:
    """Everything that the operator is made of, built once in `main`."""

    settings: Settings
    session: Session
    queue: WorkQueue
    caches: Caches
    recorder: Recorder
    load: Load
    evidence: Evidence
    ledger: Ledger
    autoscaler: Autoscaler
    shell: Shell


class Operator:
    """Runs the parts. All of it lives in one event loop; kopf has its own and hands over."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._settings, self._session = parts.settings, parts.session
        self._caches, self._queue = parts.caches, parts.queue
        self._stop = asyncio.Event()
        self._gained = asyncio.Event()
        self._lost = False
        self._working = False
        self._lag = 0.0
        self._informers = self._watches()
        self._elector = Elector(
            LeaseClient(parts.session, self._settings.namespace, self._settings.lease_name),
            identity_of(self._settings.identity),
            Timing(
                self._settings.lease_seconds,
                self._settings.renew_seconds,
                self._settings.retry_seconds,
            ),
            on_gain=self._gained.set,
            on_loss=self._on_loss,
        )
        fenced = Fenced(parts.session, self._seconds_left)
        self._cluster = LiveCluster(
            fenced,
            parts.caches,
            Applier(fenced),
            parts.recorder,
            parts.load,
            parts.evidence,
            parts.ledger,
            parts.autoscaler,
        )

    def _watches(self) -> list[Informer[Any]]:
        """Return the informers. Pods of other namespaces are watched too: they hold GPUs."""
        caches, wherever = self._caches, self._settings.namespaces or (None,)
        stores: list[tuple[Any, Scope]] = [
            *((store, Scope()) for store in caches.of_no_namespace()),
            (caches.pods, Scope()),
            (caches.gateways.slices, self._gateways()),
            *((caches.models, Scope(namespace=one)) for one in wherever),
            *((caches.policies, Scope(namespace=one)) for one in wherever),
            *(
                (caches.children[kind.kind], Scope(namespace=one, labels=OURS))
                for kind in CHILDREN
                for one in wherever
            ),
        ]
        return [Informer(self._session, store, scope) for store, scope in stores]

    def _gateways(self) -> Scope:
        service = f"{labels.SERVICE_NAME}={self._settings.gateway_service}"
        return Scope(namespace=self._settings.namespace, labels=service)

    def _seconds_left(self) -> float:
        """Return for how long we may write."""
        return self._elector.seconds_left() if self._settings.leader_election else math.inf

    def _on_loss(self) -> None:
        self._lost = True
        self._stop.set()

    def stop(self) -> None:
        """Ask the operator to end."""
        self._stop.set()

    async def run(self) -> int:
        """Run until stopped or deposed. Returns the exit code."""
        runner = await self._probes().serve(self._settings.metrics_address)
        background = [
            asyncio.create_task(one.run(), name=f"informer-{one.store.resource.kind}")
            for one in self._informers
        ]
        lag = telemetry.sample_loop_lag(clock.monotonic, seen=self._note_lag)
        background.append(asyncio.create_task(lag, name="loop-lag"))
        background.append(asyncio.create_task(self._parts.recorder.run(), name="events"))
        election = asyncio.create_task(self._elect(), name="election")
        leading = asyncio.create_task(self._lead(), name="leading")
        try:
            await self._until_stopped(leading, election, *background)
            deposed = self._lost
        finally:
            await self._shut_down(leading, election, background)
            await runner.cleanup()
        return LOST_LEADERSHIP if deposed else 0

    async def _until_stopped(self, *tasks: asyncio.Task[Any]) -> None:
        """Wait for a stop. A task that ends by itself is a defect and ends the operator, loudly."""
        stopped = asyncio.create_task(self._stop.wait())
        ended, _ = await asyncio.wait({stopped, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        for task in ended - {stopped}:
            task.result()

    async def _elect(self) -> None:
        if self._settings.leader_election:
            await self._elector.run()
        self._gained.set()
        await self._stop.wait()

    async def _lead(self) -> None:
        """Wait for leadership and full caches, then work until cancelled."""
        await self._gained.wait()
        for informer in self._informers:
            await informer.synced.wait()
        self._cluster.recall()
        self._parts.shell.start()
        self._working = True
        logger.info("working", extra={"models": len(self._caches.models)})
        async with asyncio.TaskGroup() as group:
            group.create_task(run_workers(self._queue, self._reconcile, self._settings.workers))
            group.create_task(self._parts.load.run())
            group.create_task(self._parts.evidence.run())
            group.create_task(self._parts.ledger.run())
            group.create_task(self._parts.autoscaler.run(self._look_at_load))
            group.create_task(self._resync())

    def _look_at_load(self, key: Key) -> None:
        if asks_for_a_look(key, self._cluster):
            self._queue.wake(key)

    async def _reconcile(self, key: Key) -> timedelta | None:
        try:
            return await reconcile(key, self._cluster)
        except errors.Unavailable as error:
            if self._queue.failures(key) >= MANY_FAILURES:
                with suppress(errors.ApiError):
                    await self._cluster.report_held_up(key, str(error))
            raise

    async def _resync(self) -> None:
        """Look at everything once in a while, spread over the time."""
        while True:
            await asyncio.sleep(self._settings.resync_seconds)
            self._wake_all()

    def _wake_all(self) -> None:
        keys = [
            Key(kind, *name)
            for kind, store in self._caches.customs().items()
            for name in store.names()
        ]
        step = self._settings.resync_seconds / 2 / max(1, len(keys))
        for number, key in enumerate(keys):
            self._queue.wake(key, step * number)

    async def _shut_down(
        self,
        leading: asyncio.Task[None],
        election: asyncio.Task[None],
        background: Sequence[asyncio.Task[Any]],
    ) -> None:
        """Finish what is in hand, then give the Lease away: the next leader starts clean."""
        self._working = False
        await self._queue.close(self._settings.shutdown_seconds)
        await self._parts.recorder.flush(2.0)
        if not self._lost:  # or the next leader keeps the books already
            await self._parts.ledger.close(2.0)
        for task in (leading, election, *background):
            task.cancel()
        await asyncio.gather(leading, election, *background, return_exceptions=True)
        await self._parts.shell.stop(5.0)

    def _note_lag(self, seconds: float) -> None:
        self._lag = seconds

    # --- health ---------------------------------------------------------------

    def _probes(self) -> Probes:
        return Probes(
            alive={"loop": self._why_slow, "turns": self._why_hanging, "queue": self._why_stuck},
            ready={
                "caches": self._why_unsynced,
                "watches": self._why_silent,
                "leadership": self._why_idle,
            },
        )

    def _why_slow(self) -> str | None:
        return f"the loop is {self._lag:.1f} s late" if self._lag > WORST_LAG else None

    def _why_hanging(self) -> str | None:
        longest = self._queue.longest_turn()
        return f"a reconcile runs for {longest:.0f} s" if longest > LONGEST_TURN else None

    def _why_stuck(self) -> str | None:
        oldest = self._queue.oldest_age() if self._working else 0.0
        return f"a key waits for {oldest:.0f} s" if oldest > LONGEST_WAIT else None

    def _why_silent(self) -> str | None:
        """Bookmarks come every minute. No reason to restart: the API server may be away."""
        ages = [(one.store.resource.plural, one.silent_for()) for one in self._informers]
        silent = [f"{kind} {age:.0f} s" for kind, age in ages if age > LONGEST_SILENCE]
        return f"no word from the API server: {', '.join(silent)}" if silent else None

    def _why_unsynced(self) -> str | None:
        missing = [one.store.resource.plural for one in self._informers if not one.synced.is_set()]
        return f"not listed yet: {', '.join(missing)}" if missing else None

    def _why_idle(self) -> str | None:
        """A standby is ready too: it is there to take over."""
        if not self._gained.is_set():
            return None
        return None if self._working else "not working yet"
