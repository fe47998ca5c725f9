"""What the pods of two revisions tell while one of them is judged."""

import asyncio
from collections.abc import Collection
from datetime import timedelta

from modelfleet import clock
from modelfleet.cluster.caches import Caches
from modelfleet.loops.probing import ProbeLoop
from modelfleet.loops.scraping import ScrapeLoop
from modelfleet.loops.targets import Targets
from modelfleet.plan.samples import ProbeResult, Scrape
from modelfleet.plan.world import Key
from modelfleet.servers.client import Client
from modelfleet.servers.probe import Prober
from modelfleet.servers.samples import Bounds, Samples
from modelfleet.servers.scrape import Scraper

INTERVAL = 2.0
"""Seconds between two rounds; not every Model is read in each."""

READINGS = 6
"""Of each pod in one interval of the analysis, at least, where rounds come often enough."""

MOST_ROUNDS = 5
"""From one reading of a pod to the next, so that both ends of an interval are sharp."""

KEPT = Bounds(window=timedelta(minutes=25), per_pod=150, pods=5_000)
"""Two of the longest intervals, ten minutes each, with readings every ten seconds."""

CANARY = "canary"


class Evidence:
    """Reads and probes the pods of Models whose revisions are compared."""

    def __init__(self, client: Client, caches: Caches) -> None:
        targets = Targets(caches)
        self._samples = Samples(KEPT)
        self._known: dict[Key, tuple[Scrape, ...]] = {}
        self._readings = ScrapeLoop(
            Scraper(client),
            self._samples,
            targets.to_scrape,
            interval=INTERVAL,
            on_done=self._forget_known,
        )
        self._probes = ProbeLoop(Prober(client), targets.to_probe)

    async def run(self) -> None:
        """Read and probe until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._readings.run())
            group.create_task(self._probes.run())

    def watch(self, key: Key, seconds: float | None, probes: bool) -> None:
        """Have a Model read for intervals of so many seconds, and probed once in each if asked.

        None: it is compared no longer, and forgotten.
        """
        if seconds is not None and probes:
            self._probes.want(key, seconds)
        else:
            self._probes.release(key)
        if seconds is not None:
            rounds = int(seconds / READINGS / INTERVAL)
            self._readings.want(key, CANARY, every=max(1, min(MOST_ROUNDS, rounds)))
        elif key in self._readings.wanted:
            self._forget(key)

    def _forget(self, key: Key) -> None:
        self._readings.release(key, CANARY)
        self._samples.forget(key.namespace, key.name)
        self._known.pop(key, None)

    def scrapes(self, key: Key) -> tuple[Scrape, ...]:
        """Return the readings of a Model that is compared, each pod's in order."""
        if key not in self._readings.wanted:
            return ()
        if key not in self._known:
            # A Model is looked at more often than its pods are read.
            since = clock.utc_now() - KEPT.window
            self._known[key] = self._samples.of(key.namespace, key.name, since=since)
        return self._known[key]

    def probes(self, key: Key) -> tuple[ProbeResult, ...]:
        """Return what became of our own requests to a Model that is probed."""
        return self._probes.results(key)

    def _forget_known(self, keys: Collection[Key]) -> None:
        for key in keys:
            self._known.pop(key, None)
