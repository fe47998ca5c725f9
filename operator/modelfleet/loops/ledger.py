"""The ledger as a loop: opens the books with leadership, closes them, and keeps checkpoints."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import datetime

from modelfleet import clock, telemetry
from modelfleet.api.v1alpha1.cost import ModelCost, PoolCost
from modelfleet.api.v1alpha1.model import Model
from modelfleet.cluster import errors
from modelfleet.cluster.caches import Caches, key_of
from modelfleet.cluster.checkpoints import OPEN, Checkpoints, Document
from modelfleet.loops.books import Books
from modelfleet.loops.costmetrics import Meter
from modelfleet.loops.usage import Pages, Usage
from modelfleet.plan.ledger.archive import LARGEST, due, extended, size, too_old
from modelfleet.plan.ledger.checkpoint import (
    Open,
    UnknownFormat,
    pack_open,
    unpack_days,
    unpack_open,
    without_seats,
)
from modelfleet.plan.ledger.sums import Lines
from modelfleet.plan.ledger.units import moment_of
from modelfleet.plan.world import Key

logger = logging.getLogger(__name__)

RETRY = 5.0
"""Seconds until a checkpoint that could not be read or written is tried again."""

NODES_AT_ONCE = 100
"""Closed before others get their turn: some 20 ms."""

NODES_A_ROUND = 1000
"""Closed in one round, the longest not closed first. Events close theirs at once."""

SPREAD = 30.0
"""Seconds over which statuses that are due are refreshed."""

Wake = Callable[[Key, float], None]


class Ledger:
    """Only the leader runs it. Statuses ask it what things cost."""

    def __init__(
        self,
        caches: Caches,
        checkpoints: Checkpoints,
        wake: Wake,
        interval: float,
        pages: Pages = lambda _: (),
        now: Callable[[], datetime] = clock.utc_now,
    ) -> None:
        self._caches, self._checkpoints, self._wake = caches, checkpoints, wake
        self._interval, self._now = interval, now
        self._usage = Usage(caches, pages)
        self._meter = Meter()
        self._books = Books(caches, now, self._meter.charged)
        self._open: Document | None = None
        self._writing = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        """Whether the books are open, so that figures can be told."""
        return self._books.is_open

    def model_cost(self, key: Key, old: ModelCost | None, now: datetime) -> ModelCost | None:
        """Return what to tell of a Model; None: nothing is known yet."""
        return self._books.model_cost(key, old, now)

    def pool_cost(self, pool: str, old: PoolCost | None, now: datetime) -> PoolCost | None:
        """Return what to tell of a pool; None: nothing is known yet."""
        return self._books.pool_cost(pool, old, now)

    async def run(self) -> None:
        """Keep the books until cancelled."""
        while True:
            try:
                await self._begin()
                while True:
                    await asyncio.sleep(self._interval)
                    await self.round()
            except errors.Conflict:
                telemetry.LEDGER_CHECKPOINTS.labels("conflict").inc()
                logger.warning("another wrote the ledger: it is read again")
            except UnknownFormat as error:
                telemetry.LEDGER_CHECKPOINTS.labels("unknown").inc()
                logger.error("the ledger stands still", extra={"error": str(error)})  # noqa: TRY400
                await asyncio.sleep(self._interval)
            except errors.ApiError as error:
                telemetry.LEDGER_CHECKPOINTS.labels("failed").inc()
                logger.warning("the ledger was not read", extra={"error": str(error)})
                await asyncio.sleep(RETRY)
            except Exception:
                # Models are served all the same.
                telemetry.LEDGER_CHECKPOINTS.labels("defect").inc()
                logger.exception("the ledger failed and begins anew")
                await asyncio.sleep(RETRY)

    async def _begin(self) -> None:
        """Read what was kept, fill the gap since then, and write that at once."""
        self._usage.forget()
        self._books.shut()
        documents = await self._checkpoints.all()
        self._open = next((one for one in documents if one.label == OPEN), None)
        kept = unpack_open(self._open.text) if self._open else None
        archived = kept.archived if kept else ""
        archive = {
            line: amount
            for one in documents
            if one.label == f"{self._now():%Y-%m}"
            for line, amount in unpack_days(one.text).items()
            if line.day <= archived
        }
        self._books.open(kept, archive)
        self._meter.told(self._books.accounts.rates())
        await self.save()
        self._wake_stale()

    async def round(self) -> None:
        """Close books, keep a checkpoint, refresh statuses. Raises Conflict as `save` does."""
        await self._close_some()
        await self.save()
        self._wake_stale()

    async def _close_some(self) -> None:
        self._books.busy = self._usage.busy(self._models())
        for number, node in enumerate(self._books.nodes()[:NODES_A_ROUND]):
            self._books.close(node)
            if number % NODES_AT_ONCE == 0:
                await asyncio.sleep(0)
        self._usage.count(self._models(), self._books.accounts)
        self._meter.told(self._books.accounts.rates())

    def _models(self) -> list[Key]:
        return [key_of(one) for one in self._caches.models if isinstance(one, Model)]

    async def save(self) -> None:
        """Write a checkpoint. Raises Conflict where another wrote one; other errors are logged."""
        async with self._writing:
            kept = self._books.kept()
            if kept is None:
                return
            try:
                await self._archive(kept)
                await self._write_open()
                telemetry.LEDGER_CHECKPOINTS.labels("written").inc()
            except errors.Conflict:
                self._books.shut()
                raise
            except errors.ApiError as error:
                telemetry.LEDGER_CHECKPOINTS.labels("failed").inc()
                logger.warning("no checkpoint was written", extra={"error": str(error)})

    async def _write_open(self) -> None:
        kept = self._books.kept()
        if kept is None:
            return
        text = pack_open(kept)
        if size(text) > LARGEST:
            text = pack_open(without_seats(kept))
        document = self._open or self._checkpoints.named(OPEN, OPEN, "")
        new = Document(document.name, document.label, text, document.version)
        told = {"at": moment_of(kept.state.at).isoformat(timespec="milliseconds")}
        self._open = await self._checkpoints.write(new, told)
        telemetry.LEDGER_BYTES.inc(size(text))

    async def _archive(self, kept: Open) -> None:
        """Move days that are over into documents of their month, then forget them here.

        Killed in between, the next does it again: a day replaces itself.
        """
        days = due(kept.lines, kept.archived, kept.state.at)
        if not days:
            return
        documents = [one for one in await self._checkpoints.all() if one.label != OPEN]
        for day, lines in days.items():
            written = await self._archive_day(day, lines, documents)
            documents = [one for one in documents if one.name != written.name] + [written]
            self._books.archived(day)
        for one in documents:
            if one.label in too_old({one.label}, max(days)):
                await self._checkpoints.delete(one)

    async def _archive_day(self, day: str, lines: Lines, documents: Iterable[Document]) -> Document:
        month = day[:7]
        parts = sorted((one for one in documents if one.label == month), key=lambda one: one.name)
        text, fits = extended(unpack_days(parts[-1].text) if parts else {}, lines)
        if fits and parts:
            last = parts[-1]
            document = Document(last.name, last.label, text, last.version)
        else:
            text = text if fits else extended({}, lines)[0]
            document = self._checkpoints.named(f"{month}-{len(parts):02d}", month, text)
        telemetry.LEDGER_BYTES.inc(size(text))
        return await self._checkpoints.write(document, {"until": day})

    def _wake_stale(self) -> None:
        """Have statuses refreshed whose figures are old; the reconcile decides which are."""
        now = self._now()
        keys = [
            key_of(model)
            for model in self._caches.models
            if isinstance(model, Model)
            and self.model_cost(key_of(model), model.status.cost, now) != model.status.cost
        ]
        keys += [
            Key("GPUNodePool", "", pool.metadata.name)
            for pool in self._caches.pools
            if self.pool_cost(pool.metadata.name, pool.status.cost, now) != pool.status.cost
        ]
        for number, key in enumerate(keys):
            self._wake(key, SPREAD * number / len(keys))

    async def close(self, within: float) -> None:
        """Write a last checkpoint, so that the next leader finds no gap."""
        try:
            async with asyncio.timeout(within):
                self._books.close_all()
                await self.save()
        except (TimeoutError, errors.ApiError) as error:
            logger.warning("no last checkpoint was written", extra={"error": str(error)})
