"""Reads the pods of all autoscaled Models every 15 s, and wakes those whose scale may change.

Nothing is decided here: each Model that was read is shown to `look`, a few at a time.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence

from modelfleet import clock, telemetry
from modelfleet.cluster.caches import Caches
from modelfleet.loops.scraping import ScrapeLoop
from modelfleet.loops.targets import Targets
from modelfleet.plan.samples import Scrape
from modelfleet.plan.scaling import SPAN, Memory
from modelfleet.plan.world import Key
from modelfleet.servers.client import Client
from modelfleet.servers.samples import Bounds, Samples
from modelfleet.servers.scrape import Limits, Scraper

logger = logging.getLogger(__name__)

INTERVAL = 15.0
"""Seconds between two rounds."""

LIMITS = Limits(seconds=2.0, at_once=96)
"""With a third of 3,000 pods hanging, a round takes 21 s less than the 45 s that readings live."""

KEPT = Bounds(window=SPAN, per_pod=6, pods=20_000)
"""What a rate of the last minute needs, and no more."""

AT_ONCE = 10
"""Models looked at before others get the CPU."""

SCALE = "scale"


class Autoscaler:
    """What engines told lately, and what was remembered of it, for Models with `autoscaling`."""

    def __init__(self, client: Client, caches: Caches, interval: float = INTERVAL) -> None:
        self._samples = Samples(KEPT)
        self._memories: dict[Key, Memory] = {}
        self._read: asyncio.Queue[Collection[Key]] = asyncio.Queue(maxsize=1)
        self._loop = ScrapeLoop(
            Scraper(client, LIMITS),
            self._samples,
            Targets(caches).to_scrape,
            interval=interval,
            on_done=self._note_round,
        )

    async def run(self, look: Callable[[Key], None]) -> None:
        """Read, and show each Model that was read to `look`, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._loop.run())
            group.create_task(self._look_at_all(look))

    def note(self, key: Key, memory: Memory | None) -> None:
        """Remember what a look has found, and go on reading; None: the Model is not autoscaled."""
        if memory is not None:
            self._memories[key] = memory
            self._loop.want(key, SCALE)
        elif key in self._memories:
            del self._memories[key]
            self._loop.release(key, SCALE)
            self._samples.forget(key.namespace, key.name)

    def memory(self, key: Key) -> Memory | None:
        """Return what this process remembers of a Model; None: nothing yet."""
        return self._memories.get(key)

    def pages(self, key: Key) -> Sequence[Scrape]:
        """Return what the pods of a Model told in the last minute, as far as rates need it."""
        if key not in self._memories:
            return ()
        return self._samples.ends(key.namespace, key.name, since=clock.utc_now() - SPAN)

    def _note_round(self, keys: Collection[Key]) -> None:
        if self._read.full():
            self._read.get_nowait()  # nobody has looked at it, and now there is a newer one
        self._read.put_nowait(keys)

    async def _look_at_all(self, look: Callable[[Key], None]) -> None:
        while True:
            keys = await self._read.get()
            began = clock.monotonic()
            for number, key in enumerate(sorted(keys)):
                self._show(look, key)
                if number % AT_ONCE == AT_ONCE - 1:
                    await asyncio.sleep(0)
            telemetry.SCALING_PASS.observe(clock.monotonic() - began)
            telemetry.AUTOSCALED.set(len(self._memories))

    def _show(self, look: Callable[[Key], None], key: Key) -> None:
        try:
            look(key)
        except Exception:
            # A defect of ours must cost one Model this round, not all of them all rounds.
            logger.exception("a look at the load failed", extra={"model": key.name})
