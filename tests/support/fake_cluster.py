"""`reconcile.Cluster` in memory: a world in, a world out, within milliseconds.

Objects are those that an API server would hold, and pass through the operator's own parsers. Only
caches, requests and clocks are not there.
"""

from collections.abc import Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

import orjson

from modelfleet.api import labels
from modelfleet.api.v1alpha1.autoscalingpolicy import AutoscalingPolicy
from modelfleet.api.v1alpha1.engine import Engine
from modelfleet.api.v1alpha1.gpunodepool import GPUNodePool
from modelfleet.api.v1alpha1.model import Model
from modelfleet.cluster import children, customs, errors, parse, rest
from modelfleet.cluster.live import FRESH
from modelfleet.engines import built_in
from modelfleet.plan.leaving import LEAVES
from modelfleet.plan.samples import ProbeResult, Scrape
from modelfleet.plan.scaling import Memory, requests_in
from modelfleet.plan.world import (
    Claim,
    Deployment,
    Endpoints,
    EnginePlan,
    Key,
    Manifest,
    Node,
    Notice,
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
from modelfleet.reconcile import reconcile
from support import manifests
from support.api_objects import Name, Object, Refusal
from support.api_world import controller_of
from support.fake_controllers import DELETION_COST
from support.fake_kubernetes import TEAM, FakeKubernetes
from support.gpu_count import counted, members_of

T = TypeVar("T")
Family = Mapping[tuple[str, str], Object]
"""A Model's children by kind and name."""

OWN_KINDS = (rest.GPU_NODE_POOLS, rest.ENGINES, rest.AUTOSCALING_POLICIES, rest.MODELS)
MOST_ROUNDS = 500


class FakeCluster(FakeKubernetes):
    """A `reconcile.Cluster` and the Kubernetes around it."""

    def __init__(self) -> None:
        super().__init__()
        self.engines: Mapping[str, Engine] = built_in()
        """The documents of the operator's version."""
        self.notices: list[Notice] = []
        """Events that the operator sent."""
        self.claims: dict[Key, Claim] = {}
        """GPUs that Models are about to take."""
        self.scrapes: list[Scrape] = []
        """What engines have told."""
        self.probes: list[ProbeResult] = []
        self.pages: list[Scrape] = []
        """What engines of autoscaled Models have told."""
        self.memories: dict[Key, Memory] = {}
        """What the running operator remembers of loads."""
        self.gateways: tuple[str, ...] = ()
        """Addresses of gateways that take requests."""
        self.most_writes: int | None = None
        """After so many changes to the world a look dies, as when the operator is killed."""
        self._writes = 0
        self._applied: dict[tuple[str, Name], tuple[Manifest, str]] = {}

    # --- acting -------------------------------------------------------------------

    def settle(self) -> None:
        """Let the operator, the controllers and time act until nothing happens any more."""
        for _ in range(MOST_ROUNDS):
            before = (self.world.version, dict(self.claims))
            self.step()
            if (self.world.version, self.claims) == before and not self.wait():
                return
        raise AssertionError(f"no rest after {MOST_ROUNDS} rounds")

    def step(self) -> None:
        """Let everybody act once."""
        self.look()
        self.controllers.step()
        self.nodes.step()

    def look(self) -> None:
        """Let the operator look once at every object of its kinds."""
        for resource in OWN_KINDS:
            for namespace, name in sorted(self.world.of(resource)):
                self.reconcile(Key(resource.kind, namespace, name))

    def look_at(self, name: str = "chat") -> timedelta | None:
        """Let it look once at one Model; return when it wants to look again."""
        return self.reconcile(Key("Model", TEAM, name))

    def reconcile(self, key: Key) -> timedelta | None:
        """Look at one object. What is worth a retry is tried at the next look."""
        self._writes = 0
        try:
            return _result_of(reconcile(key, self))
        except errors.Unavailable:
            return timedelta()

    # --- reading ------------------------------------------------------------------

    def model(self, key: Key) -> Model | Unreadable | None:
        found = self.world.find(rest.MODELS, key.namespace, key.name)
        if found is None:
            self.claims.pop(key, None)
        return self.world.parsed(customs.model, found) if found else None

    def observe(self, model: Model) -> Observed:
        family = self._family(model)
        pages = tuple(one for one in self.pages if one.model == model.metadata.name)
        engines = {**self.engines, **self._engine_objects()}
        pods = tuple(self._placed(pod) for pod in self.pods(model.metadata.name))
        return Observed(
            now=self.clock,
            engine=engines.get(model.spec.engine.name),
            known_engines=tuple(sorted(engines)),
            pools=self._pools() if model.spec.resources.gpus else {},
            revisions=self._revisions(family),
            deployments=self._deployments(family),
            pods=pods,
            route=_route(family),
            claims=tuple(one for key, one in self.claims.items() if key != _key_of(model)),
            scrapes=tuple(one for one in self.scrapes if one.model == model.metadata.name),
            probes=tuple(one for one in self.probes if one.model == model.metadata.name),
            policy=self._policy(model),
            pages=pages,
            in_flight=requests_in(pages, self.clock - FRESH),
            memory=self.memories.get(_key_of(model)),
            lost_nodes=frozenset(pod.node for pod in pods if pod.node and self._lost(pod.node)),
            gateways=self.gateways,
            activator=_activator(family),
            answers=any(is_led_to(pod, _route(family)) for pod in pods),
            gateway_ports=self._gateway_ports(),
        )

    def _policy(self, model: Model) -> AutoscalingPolicy | None:
        chosen = model.spec.autoscaling
        if chosen is None:
            return None
        where = Key("AutoscalingPolicy", model.metadata.namespace, chosen.policy_ref.name)
        return self.policy(where)

    def _gateway_ports(self) -> dict[int, Key]:
        found = self.world.of(rest.ENDPOINT_SLICES).values()
        return {
            one["ports"][0]["port"]: Key("Model", TEAM, one["metadata"]["labels"][labels.MODEL])
            for one in found
        }

    def _family(self, model: Model) -> Family:
        found = self.children(model.metadata.name).items()
        known = ((key, raw, self.world.parsed(children.child, raw)) for key, raw in found)
        return {key: raw for key, raw, child in known if child.is_of(model)}

    def _revisions(self, family: Family) -> tuple[Revision, ...]:
        raw = (one for (kind, _), one in family.items() if kind == "ControllerRevision")
        found = (self.world.parsed(parse.revision, one) for one in raw)
        return tuple(sorted(found, key=lambda one: (one.number, one.name)))

    def _deployments(self, family: Family) -> dict[str, Deployment]:
        raw = (one for (kind, _), one in family.items() if kind == "Deployment")
        found = (self.world.parsed(parse.deployment, one) for one in raw)
        return {one.revision: one for one in found}

    def _engine_objects(self) -> dict[str, Engine]:
        found = self.world.all_parsed(customs.engine, rest.ENGINES)
        return {one.metadata.name: one for one in found}

    def _pool_objects(self) -> list[GPUNodePool]:
        return self.world.all_parsed(customs.pool, rest.GPU_NODE_POOLS)

    def _nodes(self) -> list[Node]:
        return self.world.all_parsed(parse.node, rest.NODES)

    def _pools(self) -> Mapping[str, Pool]:
        pods = self.world.all_parsed(parse.pod, rest.PODS)
        return counted(self._pool_objects(), self._nodes(), pods)

    def _placed(self, pod: Pod) -> Pod:
        if pod.node is None or not pod.requests:
            return pod
        claiming = (p for p in self._pool_objects() if pod.node in members_of(p, self._nodes()))
        return replace(pod, pools=tuple(pool.metadata.name for pool in claiming))

    def _lost(self, node: str) -> bool:
        found = self.world.find(rest.NODES, "", node)
        return found is None or not self.world.parsed(parse.node, found).ready

    # --- writing ------------------------------------------------------------------

    async def write(self, model: Model, plan: Plan) -> Refusals:
        self.note_load(_key_of(model), plan.memory)
        self.claims.pop(_key_of(model), None)
        if plan.claim:
            self.claims[_key_of(model)] = plan.claim
        try:
            for mark in plan.marks:
                self._mark(mark)
            for manifest in plan.apply:
                self._apply(model, manifest)
            for ref in plan.delete:
                self._delete(ref)
        except errors.NameTaken as taken:
            return Refusals(taken=(str(taken),))
        except Refusal as refusal:
            if isinstance(refused := errors.from_status(refusal.status), errors.Unavailable):
                raise refused from refusal
            return Refusals(refused=(str(refused),))
        return Refusals()

    def _mark(self, mark: PodMark) -> None:
        body = {
            "metadata": {
                "uid": mark.uid,
                "labels": {labels.SERVING: "false" if mark.leaves else "true"},
                "annotations": {DELETION_COST: str(LEAVES) if mark.leaves else None},
            }
        }
        with self._counted():
            name = (mark.namespace, mark.name)
            self.world.merge(rest.PODS, name, body, manager=labels.FIELD_MANAGER)

    def _apply(self, model: Model, manifest: Manifest) -> None:
        resource, meta = rest.resource_of(manifest), manifest["metadata"]
        name = (meta["namespace"], meta["name"])
        live = self.world.find(resource, *name)
        if live:
            _claim(model, live)
        version = live["metadata"]["resourceVersion"] if live else ""
        if self._applied.get((resource.kind, name)) == (manifest, version):
            return  # the same apply to the same object changes nothing
        body = orjson.loads(orjson.dumps(manifest))
        with self._counted():
            found, _ = self.world.apply(resource, name, body, labels.FIELD_MANAGER, force=True)
            self._applied[resource.kind, name] = (manifest, found["metadata"]["resourceVersion"])

    def _delete(self, ref: Ref) -> None:
        resource, name = rest.BY_KIND[ref.kind], (ref.namespace, ref.name)
        found = self.world.find(resource, *name)
        if found and found["metadata"]["uid"] == ref.uid:
            with self._counted():
                self.world.delete(resource, name)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Count a write if it changes the world; end the look after the last one allowed."""
        before = self.world.version
        yield
        self._writes += self.world.version != before
        if self.most_writes is not None and self._writes >= self.most_writes:
            raise errors.Unavailable("killed by the test")

    # --- reporting ----------------------------------------------------------------

    async def report(self, key: Key, model: Model | Unreadable, plan: Plan) -> timedelta:
        self._report(key, model.old if isinstance(model, Unreadable) else model.status, plan)
        return plan.look_again_in

    def pool(self, key: Key) -> Pool | None:
        return self._pools().get(key.name)

    async def report_pool(self, key: Key, pool: Pool, plan: PoolPlan) -> None:
        self._report(key, pool.pool.status, plan)

    def engine(self, key: Key) -> Engine | None:
        return self._engine_objects().get(key.name)

    async def report_engine(self, key: Key, engine: Engine, plan: EnginePlan) -> None:
        self._report(key, engine.status, plan)

    def policy(self, key: Key) -> AutoscalingPolicy | None:
        found = self.world.find(rest.AUTOSCALING_POLICIES, key.namespace, key.name)
        return self.world.parsed(customs.policy, found) if found else None

    async def report_policy(self, key: Key, policy: AutoscalingPolicy, plan: PolicyPlan) -> None:
        self._report(key, policy.status, plan)

    def note_load(self, key: Key, memory: Memory | None) -> None:
        if memory is None:
            self.memories.pop(key, None)
        else:
            self.memories[key] = memory

    def _report(
        self, key: Key, old: object, plan: Plan | PoolPlan | EnginePlan | PolicyPlan
    ) -> None:
        if plan.status == old:
            return
        body = {"status": plan.status.model_dump(mode="json", by_alias=True)}
        name = (key.namespace, key.name)
        with self._counted():
            self.world.merge(rest.BY_KIND[key.kind], name, body, "status", labels.FIELD_MANAGER)
            self.notices += plan.notices


def a_cluster(**pools: Iterable[int]) -> FakeCluster:
    """Return a cluster with these pools, each with a node of so many GPUs for each number."""
    cluster = FakeCluster()
    for pool, sizes in pools.items():
        cluster.create(manifests.pool(pool, pool=pool))
        for at, gpus in enumerate(sizes, 1):
            cluster.add_node(f"{pool}-{at}", gpus, pool=pool)
    return cluster


def _key_of(model: Model) -> Key:
    return Key("Model", model.metadata.namespace, model.metadata.name)


def _claim(model: Model, live: Object) -> None:
    """Refuse what belongs to somebody else; wait for what a deleted namesake has left."""
    owner, own = controller_of(live), live["metadata"].get("labels") or {}
    name = f"{live['kind']} {live['metadata']['name']}"
    if owner is None:
        stray = (own.get(labels.MANAGED_BY), own.get(labels.MODEL))
        if stray != (labels.FIELD_MANAGER, model.metadata.name):
            raise errors.NameTaken(name)
    elif owner["uid"] != model.metadata.uid:
        if (owner["kind"], owner["name"]) == ("Model", model.metadata.name):
            raise errors.Conflict(name)
        raise errors.NameTaken(name)


def _route(family: Family) -> str | None:
    """Return the revision that the Service is bound to, if it is bound to one."""
    services = (one for (kind, _), one in family.items() if kind == "Service")
    selectors = (one["spec"].get("selector", {}).get(labels.REVISION) for one in services)
    return next(selectors, None)


def _activator(family: Family) -> Endpoints | None:
    found = (parse.endpoints(one) for (kind, _), one in family.items() if kind == "EndpointSlice")
    return next(found, None)


def is_led_to(pod: Pod, route: str | None) -> bool:
    """Whether the Service leads to a pod, as Kubernetes' own slices say."""
    return pod.ready and pod.serving and not pod.terminating and route in (None, pod.revision)


def _result_of(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run what waits for nothing: no event loop is needed."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("a reconcile waits for something that is not of its cluster")
