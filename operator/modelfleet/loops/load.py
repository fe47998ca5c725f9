"""How busy the pods of some Models are, for those who decide which of them leaves."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from modelfleet.api.v1alpha1.engine import Engine
from modelfleet.api.v1alpha1.model import Model
from modelfleet.cluster.caches import Caches
from modelfleet.engines import built_in
from modelfleet.loops.scraping import ScrapeLoop
from modelfleet.plan.world import Key, Pod
from modelfleet.servers.client import Client
from modelfleet.servers.inflight import in_flight
from modelfleet.servers.samples import Samples
from modelfleet.servers.scrape import Scraper, Target

INTERVAL = 2.0
"""Seconds between two readings: a replica is chosen by what it does now."""

FRESH = timedelta(seconds=10)
"""An older reading says nothing any more."""

ROLLOUT = "rollout"


class Load:
    """Reads the engines of Models whose replicas are being exchanged."""

    def __init__(self, client: Client, caches: Caches) -> None:
        self._caches = caches
        self._samples = Samples()
        self._loop = ScrapeLoop(Scraper(client), self._samples, self._targets, interval=INTERVAL)

    async def run(self) -> None:
        """Read until cancelled."""
        await self._loop.run()

    def watch(self, key: Key, wanted: bool) -> None:
        """Start or stop to read a Model."""
        (self._loop.want if wanted else self._loop.release)(key, ROLLOUT)

    def in_flight(self, key: Key, now: datetime) -> Mapping[str, int]:
        """Return pod uid → requests in it. Absent: not known."""
        return in_flight(self._samples, key.namespace, key.name, now - FRESH)

    def _targets(self, keys: Collection[Key]) -> list[Target]:
        return [
            target
            for key in keys
            for pod in self._caches.pods.by("model", (key.namespace, key.name))
            if (target := self._target(key, pod)) is not None
        ]

    def _target(self, key: Key, pod: Pod) -> Target | None:
        engine = self._engine(key)
        if engine is None or engine.spec.metrics is None or not pod.address or not pod.ready:
            return None
        return Target(
            pod=pod.uid,
            namespace=pod.namespace,
            model=pod.model,
            revision=pod.revision,
            address=pod.address,
            port=engine.spec.metrics.port or engine.spec.port,
            metrics=engine.spec.metrics,
            restarts=pod.restarts,
        )

    def _engine(self, key: Key) -> Engine | None:
        model = self._caches.models.get(key.namespace, key.name)
        if not isinstance(model, Model):
            return None
        name = model.spec.engine.name
        return self._caches.engines.get("", name) or built_in().get(name)
