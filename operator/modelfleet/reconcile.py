"""The spine: get, observe, plan, write, report. Start reading the operator here."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from modelfleet.api.v1alpha1.autoscalingpolicy import AutoscalingPolicy
from modelfleet.api.v1alpha1.engine import Engine
from modelfleet.api.v1alpha1.model import Model
from modelfleet.plan.autoscaling import scale_for
from modelfleet.plan.enginestatus import engine_status_for
from modelfleet.plan.model import plan_for, unreadable_plan_for
from modelfleet.plan.policystatus import policy_status_for
from modelfleet.plan.pools import pool_status_for
from modelfleet.plan.scaling import Memory
from modelfleet.plan.world import (
    EnginePlan,
    Key,
    Observed,
    Plan,
    PolicyPlan,
    Pool,
    PoolPlan,
    Refusals,
    Unreadable,
)


class Cluster(Protocol):
    """What a reconcile needs of the world. `cluster.live` is real; the tests have a fake.

    Reads come from caches and never wait; writes raise `Unavailable` when they are worth a retry.
    """

    def now(self) -> datetime:
        """Return the time that a decision is made at."""

    def model(self, key: Key) -> Model | Unreadable | None:
        """Return a Model, or None where it is gone."""

    def observe(self, model: Model) -> Observed:
        """Return all that a decision about it may look at."""

    async def write(self, model: Model, plan: Plan) -> Refusals:
        """Apply and delete what differs; return what was refused for good."""

    async def report(self, key: Key, model: Model | Unreadable, plan: Plan) -> timedelta:
        """Write the status where it differs; return when to look again."""

    def pool(self, key: Key) -> Pool | None:
        """Return a pool with what is free in it."""

    async def report_pool(self, key: Key, pool: Pool, plan: PoolPlan) -> None:
        """Write its status where it differs."""

    def engine(self, key: Key) -> Engine | None:
        """Return an Engine object."""

    async def report_engine(self, key: Key, engine: Engine, plan: EnginePlan) -> None:
        """Write its status where it differs."""

    def policy(self, key: Key) -> AutoscalingPolicy | None:
        """Return an AutoscalingPolicy."""

    async def report_policy(self, key: Key, policy: AutoscalingPolicy, plan: PolicyPlan) -> None:
        """Write its status where it differs."""

    def note_load(self, key: Key, memory: Memory | None) -> None:
        """Remember a Model's load until the next look."""


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
        await cluster.report_engine(key, engine, engine_status_for(engine, cluster.now()))
    return None


async def reconcile_policy(key: Key, cluster: Cluster) -> timedelta | None:
    """Tell whether a policy can be followed."""
    policy = cluster.policy(key)
    if policy is not None:
        await cluster.report_policy(key, policy, policy_status_for(policy, cluster.now()))
    return None


def asks_for_a_look(key: Key, cluster: Cluster) -> bool:
    """Return whether a Model's load has changed what is to be told of its scale; remember it.

    A thousand Models are asked this every few seconds, and most of them have nothing to tell.
    """
    model = cluster.model(key)
    if model is None or isinstance(model, Unreadable):
        cluster.note_load(key, None)
        return False
    scale = scale_for(model, cluster.observe(model))
    if scale.differs():
        return True
    cluster.note_load(key, scale.memory)
    return False


KINDS: dict[str, Callable[[Key, Cluster], Awaitable[timedelta | None]]] = {
    "Model": reconcile_model,
    "GPUNodePool": reconcile_pool,
    "Engine": reconcile_engine,
    "AutoscalingPolicy": reconcile_policy,
}
