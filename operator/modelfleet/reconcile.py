"""The spine: get, observe, plan, write, report. Start reading the operator here."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Protocol

from modelfleet.api.v1alpha1.engine import Engine
from modelfleet.api.v1alpha1.model import Model
from modelfleet.plan.engine import engine_plan_for
from modelfleet.plan.model import plan_for, unreadable_plan_for
from modelfleet.plan.pools import pool_status_for
from modelfleet.plan.world import (
    EnginePlan,
    Key,
    Observed,
    Plan,
    Pool,
    PoolPlan,
    Refusals,
    Unreadable,
)


class Cluster(Protocol):
    """What a reconcile needs of the world. `cluster.live` is real; the tests have a fake.

    Reads come from caches and never wait; writes raise `Unavailable` when they are worth a retry.
    """

    def model(self, key: Key) -> Model | Unreadable | None: ...
    def observe(self, model: Model) -> Observed: ...
    async def write(self, model: Model, plan: Plan) -> Refusals: ...
    async def report(self, key: Key, model: Model | Unreadable, plan: Plan) -> timedelta: ...

    def pool(self, key: Key) -> Pool | None: ...
    async def report_pool(self, key: Key, pool: Pool, plan: PoolPlan) -> None: ...

    def engine(self, key: Key) -> Engine | None: ...
    async def report_engine(self, key: Key, engine: Engine, plan: EnginePlan) -> None: ...


async def reconcile(key: Key, cluster: Cluster) -> timedelta | None:
    """Bring one object closer to its spec. Return when to look again, or None for never."""
    return await KINDS[key.kind](key, cluster)


async def reconcile_model(key: Key, cluster: Cluster) -> timedelta | None:
    """Bring one Model's children and status closer to its spec."""
    model = cluster.model(key)
    if model is None or isinstance(model, Unreadable):
        return await _report_unreadable(key, model, cluster) if model else None
    seen = cluster.observe(model)
    plan = plan_for(model, seen)
    if refusals := await cluster.write(model, plan):
        plan = plan_for(model, replace(seen, taken=refusals.taken, refused=refusals.refused))
    return await cluster.report(key, model, plan)


async def _report_unreadable(key: Key, broken: Unreadable, cluster: Cluster) -> timedelta:
    return await cluster.report(key, broken, unreadable_plan_for(broken, cluster.now()))


async def reconcile_pool(key: Key, cluster: Cluster) -> timedelta | None:
    """Tell what a pool has."""
    pool = cluster.pool(key)
    if pool is not None:
        await cluster.report_pool(key, pool, pool_status_for(pool, cluster.now()))
    return None


async def reconcile_engine(key: Key, cluster: Cluster) -> timedelta | None:
    """Tell whether an Engine object can be used."""
    engine = cluster.engine(key)
    if engine is not None:
        await cluster.report_engine(key, engine, engine_plan_for(engine, cluster.now()))
    return None


KINDS: dict[str, Callable[[Key, Cluster], Awaitable[timedelta | None]]] = {
    "Model": reconcile_model,
    "GPUNodePool": reconcile_pool,
    "Engine": reconcile_engine,
}
