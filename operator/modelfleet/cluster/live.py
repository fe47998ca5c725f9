"""The real cluster behind `reconcile`: reads caches, writes what differs, reports once."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from modelfleet import clock, telemetry
from modelfleet.api import labels
from modelfleet.api.v1alpha1.autoscaling import AutoscalingStatus
from modelfleet.api.v1alpha1.autoscalingpolicy import AutoscalingPolicy
from modelfleet.api.v1alpha1.cost import ModelCost, PoolCost
from modelfleet.api.v1alpha1.engine import Engine
from modelfleet.api.v1alpha1.model import Model
from modelfleet.cluster import children, errors, rest
from modelfleet.cluster.apply import Applier
from modelfleet.cluster.caches import Caches, key_of
from modelfleet.cluster.children import Child
from modelfleet.cluster.events import Recorder
from modelfleet.cluster.reporter import Reporter
from modelfleet.cluster.session import METADATA, Session
from modelfleet.engines import built_in
from modelfleet.plan.claims import standing_claim
from modelfleet.plan.leaving import LEAVES
from modelfleet.plan.samples import ProbeResult, Scrape
from modelfleet.plan.scaling import Memory, requests_in
from modelfleet.plan.status import held_up_status_for
from modelfleet.plan.world import (
    Deployment,
    Endpoints,
    EnginePlan,
    Key,
    Manifest,
    Observed,
    Plan,
    Pod,
    PodMark,
    PolicyPlan,
    Pool,
    PoolPlan,
    Ref,
    Refusals,
    Revision,
    Unreadable,
)

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
"""Kubernetes' own annotation: of the ready pods, a ReplicaSet deletes the cheapest first."""

FRESH = timedelta(seconds=45)
"""How old a page may be to say which replica of an autoscaled Model is the least busy."""

IN_ORDER = frozenset({"ControllerRevision", "Deployment"})
"""Kinds after which nothing more is applied if one of them is refused."""


class Load(Protocol):
    """Who knows how busy replicas are."""

    def watch(self, key: Key, wanted: bool) -> None:
        """Start or stop to read a Model's engines."""

    def in_flight(self, key: Key, now: datetime) -> Mapping[str, int]:
        """Return pod uid → requests in it. Absent: not known."""


class Evidence(Protocol):
    """Who knows what the pods of two revisions told while they are compared."""

    def watch(self, key: Key, seconds: float | None, probes: bool) -> None:
        """Start to read a Model's pods for intervals of so many seconds, or with None stop."""

    def scrapes(self, key: Key) -> tuple[Scrape, ...]:
        """Return what the pods told of themselves."""

    def probes(self, key: Key) -> tuple[ProbeResult, ...]:
        """Return what became of requests of our own."""


class Costs(Protocol):
    """Who knows what things cost. None: not yet."""

    def model_cost(self, key: Key, old: ModelCost | None, now: datetime) -> ModelCost | None:
        """Return what to tell of a Model; the old where nobody would act on the difference."""

    def pool_cost(self, pool: str, old: PoolCost | None, now: datetime) -> PoolCost | None:
        """Return what to tell of a pool, likewise."""


class Scaling(Protocol):
    """Who knows the load of autoscaled Models, and what was made of it."""

    def note(self, key: Key, memory: Memory | None) -> None:
        """Remember a Model's load and go on reading its pods; None: it is not autoscaled."""

    def memory(self, key: Key) -> Memory | None:
        """Return what is remembered; None: nothing."""

    def pages(self, key: Key) -> Sequence[Scrape]:
        """Return what its pods told in the last minute."""


class LiveCluster:
    """Reads come from caches and never wait. Writes raise Unavailable when worth a retry."""

    def __init__(
        self,
        session: Session,
        caches: Caches,
        applier: Applier,
        recorder: Recorder,
        load: Load,
        evidence: Evidence,
        costs: Costs,
        scaling: Scaling,
        now: Callable[[], datetime] = clock.utc_now,
    ) -> None:
        """`session` and what `applier` has refuse to write for one that does not lead."""
        self._session, self._caches = session, caches
        self._applier, self._load, self._evidence = applier, load, evidence
        self._costs = costs
        self._scaling, self.now = scaling, now
        self._reporter = Reporter(session, caches, recorder)

    # --- reading -------------------------------------------------------------

    def model(self, key: Key) -> Model | Unreadable | None:
        """Return a Model as it was last seen."""
        found = self._caches.models.get(key.namespace, key.name)
        if found is None:
            self._reporter.forget(key)
            self._load.watch(key, False)
            self._evidence.watch(key, None, False)
            self._scaling.note(key, None)
        return found

    def pool(self, key: Key) -> Pool | None:
        """Return a pool with what is free in it."""
        if key.name not in self._caches.gpus:
            return None
        found = self._caches.gpus.pool(key.name)
        cost = self._costs.pool_cost(key.name, found.pool.status.cost, self.now())
        return replace(found, cost=cost)

    def engine(self, key: Key) -> Engine | None:
        """Return an Engine object; built-in ones are not objects."""
        return self._caches.engines.get("", key.name)

    def observe(self, model: Model) -> Observed:
        """Return all that a decision about a Model may look at."""
        key, name = key_of(model), model.spec.engine.name
        family = (key.namespace, key.name)
        engine = self._caches.engines.get("", name) or built_in().get(name)
        own = {one.metadata.name for one in self._caches.engines}
        pods = tuple(self._placed(pod) for pod in self._caches.pods.by("model", family))
        revisions = (one.facts for one in self._children("ControllerRevision", model))
        deployments = (one.facts for one in self._children("Deployment", model))
        now, pages = self.now(), tuple(self._scaling.pages(key))
        return Observed(
            now=now,
            engine=engine,
            known_engines=tuple(sorted(own | set(built_in()))),
            pools=self._caches.gpus.pools() if model.spec.resources.gpus else {},
            revisions=tuple(
                sorted(
                    (one for one in revisions if isinstance(one, Revision)),
                    key=lambda one: (one.number, one.name),
                )
            ),
            deployments={one.revision: one for one in deployments if isinstance(one, Deployment)},
            pods=pods,
            route=self._route(model),
            claims=self._caches.claims_of_others(key),
            in_flight={**requests_in(pages, now - FRESH), **self._load.in_flight(key, now)},
            scrapes=self._evidence.scrapes(key),
            probes=self._evidence.probes(key),
            cost=self._costs.model_cost(key, model.status.cost, now),
            policy=self._policy(model),
            pages=pages,
            memory=self._scaling.memory(key),
            lost_nodes=frozenset(one.node for one in pods if one.node and self._lost(one.node)),
            gateways=self._caches.gateways.ready(),
            activator=next((one.endpoints for one in self._children("EndpointSlice", model)), None),
            answers=any(endpoints.ready for endpoints in self._led_to(model)),
            gateway_ports=self._caches.gateways.ports,
        )

    def policy(self, key: Key) -> AutoscalingPolicy | None:
        """Return an AutoscalingPolicy."""
        return self._caches.policies.get(key.namespace, key.name)

    def note_load(self, key: Key, memory: Memory | None) -> None:
        """Remember a Model's load until the next look."""
        self._scaling.note(key, memory)

    def _policy(self, model: Model) -> AutoscalingPolicy | None:
        chosen = model.spec.autoscaling
        if chosen is None:
            return None
        return self._caches.policies.get(model.metadata.namespace, chosen.policy_ref.name)

    def _route(self, model: Model) -> str | None:
        """Return the revision that the Service is bound to, if it is bound to one."""
        for service in self._children("Service", model):
            selector: dict[str, str] = service.manifest()["spec"].get("selector") or {}
            return selector.get(labels.REVISION)
        return None

    def _children(self, kind: str, model: Model) -> list[Child]:
        """Return what this Model controls, or has left behind; labels alone prove nothing."""
        family = (model.metadata.namespace, model.metadata.name)
        found = self._caches.children[kind].by("model", family)
        return [one for one in found if one.is_of(model)]

    def _led_to(self, model: Model) -> Iterator[Endpoints]:
        """Yield what Kubernetes has made of the Model's Service."""
        family = (model.metadata.namespace, model.metadata.name)
        for child in self._caches.children["EndpointSlice"].by("model", family):
            if child.endpoints is not None and not child.is_activator:
                yield child.endpoints

    def _placed(self, pod: Pod) -> Pod:
        if pod.node is None or not pod.requests:
            return pod
        return replace(pod, pools=self._caches.gpus.pools_of(pod.node))

    def _lost(self, node: str) -> bool:
        found = self._caches.gpus.node(node)
        return found is None or not found.ready

    def recall(self) -> None:
        """Begin with the claims that follow from what was written before, by another process."""
        for model in self._caches.models:
            if isinstance(model, Model) and model.spec.resources.gpus:
                claim = standing_claim(model, self.observe(model))
                self._caches.note_claim(key_of(model), claim)

    # --- writing -------------------------------------------------------------

    async def write(self, model: Model, plan: Plan) -> Refusals:
        """Apply and delete what differs. Returns what was refused for good; safe to repeat."""
        # Before the first await, so that nobody decides in between.
        key, analysis = key_of(model), model.spec.rollout.canary.analysis
        self._caches.note_claim(key, plan.claim)
        self._load.watch(key, plan.watches_load)
        self._scaling.note(key, plan.memory)
        seconds = float(analysis.interval_seconds) if plan.compares else None
        self._evidence.watch(key, seconds, plan.probes)
        self._caches.gateways.note_port(key, plan.gateway_port)
        try:
            for mark in plan.marks:
                await self._mark(mark)
            if refused := await self._apply_all(model, plan.apply):
                return Refusals(refused=refused)
            for ref in plan.delete:
                await self._delete(ref)
        except errors.NameTaken as error:
            return Refusals(taken=(str(error),))
        except errors.Rejected as error:
            return Refusals(refused=(str(error),))
        return Refusals()

    async def _apply_all(self, model: Model, manifests: Iterable[Manifest]) -> tuple[str, ...]:
        """Apply in order; return what was refused. What does not need it is applied all the same.

        A revision without its record could not be gone back to, and a replica may start only where
        another has made room.
        """
        refused: list[str] = []
        for manifest in manifests:
            try:
                await self._apply(model, manifest)
            except errors.NameTaken:
                raise
            except errors.Rejected as error:
                refused.append(str(error))
                if manifest["kind"] in IN_ORDER:
                    break
        return tuple(refused)

    async def _mark(self, mark: PodMark) -> None:
        """Tell a pod, or rather what looks at it, that it leaves or stays."""
        body = {
            "metadata": {
                "uid": mark.uid,
                "labels": {labels.SERVING: "false" if mark.leaves else "true"},
                "annotations": {DELETION_COST: str(LEAVES) if mark.leaves else None},
            }
        }
        try:
            reply = await self._session.patch(rest.PODS.at(mark.namespace, mark.name), body)
        except errors.Stale:
            return  # gone, or another by now: the next look sees it
        self._caches.pods.put(reply.body)

    async def _apply(self, model: Model, manifest: Manifest) -> None:
        meta, store = manifest["metadata"], self._caches.children[manifest["kind"]]
        known = store.get(meta["namespace"], meta["name"])
        live = known.manifest() if known else None
        if live is None:
            await self._require_life(model)
        else:
            _claim(model, live)
        try:
            applied = await self._applier.apply(manifest, live)
        except errors.NameTaken:
            live = await self._session.get(rest.endpoint_of(manifest))
            _claim(model, live)
            applied = await self._applier.apply(manifest, live)
        if applied.action != "unchanged":
            store.put(dict(applied.raw))

    async def _require_life(self, model: Model) -> None:
        """Raise Stale where a child that vanished went with its Model, of which nobody has told.

        A fresh spec needs no look: what asks for new children has just been read.
        """
        meta = model.metadata
        if model.status.observed_generation != meta.generation:
            return
        where = rest.MODELS.at(meta.namespace, meta.name)
        try:
            found = await self._session.get(where, accept=METADATA)
        except errors.NotFound:
            found = {"metadata": {}}
        if found["metadata"].get("uid") != meta.uid:
            self._caches.models.drop((meta.namespace, meta.name), meta.uid)
            raise errors.Stale(f"Model {meta.name} is gone")

    async def _delete(self, ref: Ref) -> None:
        await self._applier.delete(ref)

    # --- reporting -----------------------------------------------------------

    async def report(self, key: Key, model: Model | Unreadable, plan: Plan) -> timedelta:
        """Write the status if a user would act on the difference. Return when to look again."""
        (self._caches.waiting.add if plan.waits_for_capacity else self._caches.waiting.discard)(key)
        pause = await self._reporter.model(key, model, plan)
        if isinstance(model, Model):
            _count(model.status.autoscaling, plan.status.autoscaling)
        return pause

    async def report_held_up(self, key: Key, error: str) -> None:
        """Tell why nothing comes of a Model, where that lasts. Raises ApiError."""
        model = self.model(key) if key.kind == "Model" else None
        if isinstance(model, Model):
            status = held_up_status_for(model, error, self.now())
            await self._reporter.model(key, model, Plan(status=status))

    async def report_pool(self, key: Key, pool: Pool, plan: PoolPlan) -> None:
        """Write a pool's status if it differs."""
        await self._reporter.kind(key, pool.pool, plan)

    async def report_engine(self, key: Key, engine: Engine, plan: EnginePlan) -> None:
        """Write an Engine's status if it differs."""
        await self._reporter.kind(key, engine, plan)

    async def report_policy(self, key: Key, policy: AutoscalingPolicy, plan: PolicyPlan) -> None:
        """Write a policy's status if it differs."""
        await self._reporter.kind(key, policy, plan)


def _count(old: AutoscalingStatus | None, new: AutoscalingStatus | None) -> None:
    if old is not None and new is not None and old.replicas != new.replicas:
        direction = "up" if new.replicas > old.replicas else "down"
        telemetry.SCALING_DECISIONS.labels(direction, new.reason).inc()


def _claim(model: Model, live: Mapping[str, Any]) -> None:
    """Make sure that an object is this Model's, or was left behind by it and belongs to nobody.

    Raises NameTaken if it is somebody else's, and Conflict while the garbage collector still
    holds a child of a deleted Model of the same name.
    """
    name = f"{live['kind']} {live['metadata']['name']}"
    owner, own = children.owner(live), live["metadata"].get("labels") or {}
    if owner is None:
        ours = own.get(labels.MANAGED_BY) == labels.FIELD_MANAGER
        if not ours or own.get(labels.MODEL) != model.metadata.name:
            raise errors.NameTaken(name)
    elif owner.uid != model.metadata.uid:
        if (owner.kind, owner.name) == ("Model", model.metadata.name):
            raise errors.Conflict(f"{name} of a deleted Model is not gone yet")
        raise errors.NameTaken(name)
