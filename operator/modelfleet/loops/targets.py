"""The pods of a Model that can be asked, each by the engine that its own revision has."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modelfleet.api.v1alpha1.engine import Engine
from modelfleet.api.v1alpha1.model import Model
from modelfleet.cluster.caches import Caches
from modelfleet.engines import built_in
from modelfleet.plan import names
from modelfleet.plan.world import Key, Pod, Revision
from modelfleet.servers.probe import BUILT_IN, ProbeTarget
from modelfleet.servers.scrape import Target


@dataclass(frozen=True, slots=True)
class _Served:
    """What the pods of one revision run."""

    engine: Engine
    port: int
    name: str
    """Of the model, as requests have it."""


class Targets:
    """Finds pods in the caches. A rollout may lead from one engine to another."""

    def __init__(self, caches: Caches) -> None:
        self._caches = caches

    def to_scrape(self, keys: Collection[Key]) -> list[Target]:
        """Return the pods of these Models that have a page of metrics."""
        return [
            target
            for key in keys
            for pod, served in self._pods(key)
            if (target := _scraped(pod, served)) is not None
        ]

    def to_probe(self, key: Key) -> list[ProbeTarget]:
        """Return the pods of a Model that take traffic."""
        return [
            _probed(pod, served)
            for pod, served in self._pods(key)
            if pod.ready and pod.serving and not pod.terminating
        ]

    def _pods(self, key: Key) -> Iterator[tuple[Pod, _Served]]:
        model = self._caches.models.get(key.namespace, key.name)
        if not isinstance(model, Model):
            return
        known: dict[str, _Served | None] = {}
        for pod in self._caches.pods.by("model", (key.namespace, key.name)):
            if pod.revision not in known:
                known[pod.revision] = self._served(model, pod.revision)
            served = known[pod.revision]
            if served is not None and _answers(pod):
                yield pod, served

    def _served(self, model: Model, revision: str) -> _Served | None:
        """Return what a revision runs; of one that is not kept, the Model's spec may tell."""
        spec, template = self._snapshot(model, revision)
        name = spec.get("engine", {}).get("name", model.spec.engine.name)
        engine = self._caches.engines.get("", name) or built_in().get(name)
        if engine is None:
            return None
        served = spec.get("servedNames") or [model.metadata.name]
        return _Served(engine, _port_of(template) or engine.spec.port, served[0])

    def _snapshot(self, model: Model, revision: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        store = self._caches.children["ControllerRevision"]
        child = store.get(model.metadata.namespace, names.revision(model, revision))
        facts = child.facts if child is not None and child.is_of(model) else None
        if isinstance(facts, Revision):
            return facts.inputs, facts.template
        return {"servedNames": list(model.spec.served_names)}, {}


def _answers(pod: Pod) -> bool:
    """Whether a pod has been ready: what one tells that has failed since counts as well."""
    return bool(pod.address) and not pod.finished and (pod.ready or pod.unready_at is not None)


def _port_of(template: Mapping[str, Any]) -> int | None:
    containers = template.get("spec", {}).get("containers") or ()
    ports = (port for one in containers for port in one.get("ports") or ())
    return next((int(one["containerPort"]) for one in ports if one.get("name") == "http"), None)


def _scraped(pod: Pod, served: _Served) -> Target | None:
    metrics = served.engine.spec.metrics
    if metrics is None:
        return None
    return Target(
        pod=pod.uid,
        namespace=pod.namespace,
        model=pod.model,
        revision=pod.revision,
        address=pod.address or "",
        port=metrics.port or served.port,
        metrics=metrics,
        restarts=pod.restarts,
    )


def _probed(pod: Pod, served: _Served) -> ProbeTarget:
    return ProbeTarget(
        pod=pod.uid,
        namespace=pod.namespace,
        model=pod.model,
        revision=pod.revision,
        address=pod.address or "",
        port=served.port,
        question=BUILT_IN.get(served.engine.metadata.name, "health"),
        name=served.name,
        health_path=served.engine.spec.probes.readiness,
    )
