"""How busy the pods of some Models are, for those who decide which of them leaves."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from modelfleet.cluster.caches import Caches
from modelfleet.loops.scraping import ScrapeLoop
from modelfleet.loops.targets import Targets
from modelfleet.plan.world import Key
from modelfleet.servers.client import Client
from modelfleet.servers.inflight import in_flight
from modelfleet.servers.samples import Samples
from modelfleet.servers.scrape import Scraper

INTERVAL = 2.0
"""Seconds between two readings: a replica is chosen by what it does now."""

FRESH = timedelta(seconds=10)
"""An older reading says nothing any more."""

ROLLOUT = "rollout"


class Load:
    """Reads the engines of Models whose replicas are being exchanged."""

    def __init__(self, client: Client, caches: Caches) -> None:
        self._samples = Samples()
        targets = Targets(caches).to_scrape
        self._loop = ScrapeLoop(Scraper(client), self._samples, targets, interval=INTERVAL)

    async def run(self) -> None:
        """Read until cancelled."""
        await self._loop.run()

    def watch(self, key: Key, wanted: bool) -> None:
        """Start or stop to read a Model."""
        (self._loop.want if wanted else self._loop.release)(key, ROLLOUT)

    def in_flight(self, key: Key, now: datetime) -> Mapping[str, int]:
        """Return pod uid → requests in it. Absent: not known."""
        return in_flight(self._samples, key.namespace, key.name, now - FRESH)
