"""Reads the pods of those Models that somebody asks about, again and again."""

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Protocol

from modelfleet import clock, telemetry
from modelfleet.plan.samples import Scrape, ScrapeFailure
from modelfleet.plan.world import Key
from modelfleet.servers.samples import Samples
from modelfleet.servers.scrape import Target

logger = logging.getLogger(__name__)

INTERVAL = 15.0
"""Seconds from the start of a round to the start of the next."""

Targets = Callable[[Collection[Key]], Sequence[Target]]
"""Returns the pods of these Models that can be read now."""


class Reads(Protocol):
    """What reads pods; `Scraper` is real."""

    async def scrape(
        self, targets: Sequence[Target], now: datetime
    ) -> Sequence[Scrape | ScrapeFailure]:
        """Return an answer for each target, in bounded time. Raises nothing."""


class ScrapeLoop:
    """Rounds that never overlap. With nobody asking there are none."""

    def __init__(
        self,
        scraper: Reads,
        samples: Samples,
        targets: Targets,
        *,
        interval: float = INTERVAL,
        on_done: Callable[[Collection[Key]], None] = lambda _: None,
        now: Callable[[], datetime] = clock.utc_now,
        monotonic: Callable[[], float] = clock.monotonic,
    ) -> None:
        """`on_done` takes the Models of each round; their samples are there to be read."""
        self._scraper, self._samples, self._targets = scraper, samples, targets
        self._interval, self._on_done = interval, on_done
        self._now, self._monotonic = now, monotonic
        self._reasons: dict[Key, dict[str, int]] = {}
        self._rounds = 0
        self._wanted = asyncio.Event()

    @property
    def wanted(self) -> frozenset[Key]:
        """The Models that are read."""
        return frozenset(self._reasons)

    def want(self, key: Key, reason: str, every: int = 1) -> None:
        """Have a Model read in one of so many rounds, from now on. Reasons count once each."""
        self._reasons.setdefault(key, {})[reason] = every
        self._wanted.set()

    def release(self, key: Key, reason: str) -> None:
        """Take one reason back. With the last one the Model's samples are left to grow old."""
        reasons = self._reasons.get(key, {})
        reasons.pop(reason, None)
        if not reasons:
            self._reasons.pop(key, None)
        if not self._reasons:
            self._wanted.clear()

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            await self._wanted.wait()
            began = self._monotonic()
            outcome = await self._attempt(self._due())
            spent = self._monotonic() - began
            telemetry.SCRAPE_ROUND_SECONDS.observe(spent)
            late = spent > self._interval
            telemetry.SCRAPE_ROUNDS.labels("late" if late and outcome == "ok" else outcome).inc()
            # A round that took too long is followed by a pause all the same: others want the CPU.
            await asyncio.sleep(max(self._pause() - spent, self._interval / 10))

    def _pause(self) -> float:
        return self._interval * random.uniform(0.9, 1.1)

    def _due(self) -> frozenset[Key]:
        """Return who is read in this round. It falls to the same ones in the same rounds."""
        self._rounds += 1
        return frozenset(
            key
            for key, reasons in self._reasons.items()
            if any(self._rounds % every == 0 for every in reasons.values())
        )

    async def _attempt(self, keys: Collection[Key]) -> str:
        try:
            await self._round(keys)
        except Exception:
            # A defect of ours must cost this round, not all that follow.
            logger.exception("a round of readings failed")
            return "error"
        return "ok"

    async def _round(self, keys: Collection[Key]) -> None:
        targets = self._targets(keys)
        now = self._now()
        self._samples.add(await self._scraper.scrape(targets, now), now)
        self._on_done(keys)
