"""Who says how many replicas a Model has, and what its status tells of that.

The number that counts is the one in the status: a look that decides on another one only reports it,
and the next look, which reads it there, scales. So an operator that is killed in between goes on
where it was, and nothing is scaled by what nobody can read.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from modelfleet.api.conditions import Condition, ConditionType, Reason, Truth, merge, timestamp
from modelfleet.api.v1alpha1.autoscaling import MOST_DECISIONS, AutoscalingStatus, PastDecision
from modelfleet.api.v1alpha1.engine import Signal
from modelfleet.api.v1alpha1.model import Model
from modelfleet.plan.census import is_broken
from modelfleet.plan.ledger.prices import rate_of
from modelfleet.plan.ledger.units import GPU
from modelfleet.plan.pools import candidates_for
from modelfleet.plan.scalers import other_scaler
from modelfleet.plan.scaling import (
    Decision,
    Facts,
    Memory,
    Replica,
    Samples,
    Why,
    decide,
    dumps,
    is_young,
    loads,
    policy_for,
    readings_for,
)
from modelfleet.plan.sleep import held_for
from modelfleet.plan.startup import phases_for
from modelfleet.plan.verdict import MOST_BYTES, within
from modelfleet.plan.world import Notice, Observed, Pod, Pool

LONGEST_START = 3600.0
"""Seconds. A start that took longer waited for a GPU, and says nothing about windows."""

CALM = timedelta(minutes=2)
"""Between two reasons for the same number of replicas; else a status would be a clock."""

AT_ONCE = frozenset({Why.NO_DATA, Why.ASLEEP})
"""Reasons that are told as soon as they come or go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How many replicas hold now, and what is to be reported."""

    model: Model
    """With that number as its spec.replicas, wherever it comes from."""
    status: AutoscalingStatus | None = None
    followed: tuple[Truth, Reason, str] | None = None
    """Whether the policy is followed in full, and why not."""
    memory: Memory | None = None
    """For the next look; None: nothing is decided here."""

    def condition(self, now: datetime) -> tuple[Condition, ...]:
        """Return the condition that tells it, for a Model that is autoscaled."""
        if self.followed is None:
            return ()
        status, reason, message = self.followed
        told = Condition(
            type=ConditionType.AUTOSCALED,
            status=status,
            reason=reason,
            message=within(message, MOST_BYTES),
            last_transition_time=timestamp(now),
            observed_generation=self.model.metadata.generation,
        )
        return merge(self.model.status.conditions, (told,))

    def differs(self) -> bool:
        """Return whether the Model's status tells something else. It is asked often."""
        old, generation = self.model.status, self.model.metadata.generation
        told = next((one for one in old.conditions if one.type == ConditionType.AUTOSCALED), None)
        if told is None or self.followed is None:
            same = told is None and self.followed is None
        else:
            status, reason, message = self.followed
            known = (told.status, told.reason, told.message, told.observed_generation)
            same = known == (status, reason, within(message, MOST_BYTES), generation)
        return not same or old.autoscaling != self.status

    def notices(self, now: datetime) -> tuple[Notice, ...]:
        """Return the events of this look: another number of replicas, or a policy not followed."""
        return (*self._change(), *self._trouble(now))

    def _change(self) -> Iterable[Notice]:
        old, new = self.model.status.autoscaling, self.status
        if old is not None and new is not None and old.replicas != new.replicas:
            note = within(f"from {old.replicas} to {new.message}", MOST_BYTES)
            yield Notice(type="Normal", reason="Scaled", note=note)

    def _trouble(self, now: datetime) -> Iterable[Notice]:
        told = {one.type: one for one in self.model.status.conditions}
        for one in self.condition(now):
            before = told.get(one.type)
            if one.status == "False" and (before is None or before.reason != one.reason):
                yield Notice(type="Warning", reason=one.reason, note=one.message)


def scale_for(model: Model, seen: Observed) -> Scale:
    """Return what a Model is scaled to now, and the next decision."""
    if model.spec.autoscaling is None:
        return Scale(model=model)
    base = _decided(model, seen)
    if model.spec.paused:
        return _held(model, base, "spec.paused holds everything as it is", Reason.PAUSED)
    if seen.policy is None:
        name = model.spec.autoscaling.policy_ref.name
        why = f"there is no AutoscalingPolicy {name} in this namespace, so the number stays"
        return _held(model, base, why, Reason.POLICY_MISSING)
    decision = _decision(model, seen, base)
    status = _status(model.status.autoscaling, decision, seen.now)
    holds = model.status.autoscaling or status
    return Scale(
        model=_with(model, holds.replicas),
        status=status,
        followed=_followed(model, decision),
        memory=decision.memory,
    )


def _held(model: Model, base: int, why: str, reason: Reason) -> Scale:
    old = model.status.autoscaling
    message = f"{_replicas(base)}: {why}"
    told = AutoscalingStatus(replicas=base, reason=reason, message=message)
    kept = told if old is None else old.model_copy(update={"reason": reason, "message": message})
    return Scale(model=_with(model, base), status=kept, followed=("False", reason, why))


def _with(model: Model, replicas: int) -> Model:
    if model.spec.replicas == replicas:
        return model
    spec = model.spec.model_copy(update={"replicas": replicas})
    return model.model_copy(update={"spec": spec})


def _decided(model: Model, seen: Observed) -> int:
    """Return what was decided last; before the first time, what there is, or one replica."""
    old = model.status
    if old.autoscaling is not None:
        return old.autoscaling.replicas
    if old.desired_replicas is not None:
        return old.desired_replicas
    return sum(one.replicas for one in seen.deployments.values()) or 1


# --- from the world to a decision ---------------------------------------------------


def _decision(model: Model, seen: Observed, base: int) -> Decision:
    assert seen.policy is not None  # `scale_for` has looked
    policy = policy_for(seen.policy.spec, model.spec.autoscaling)
    replicas = _ready(seen)
    named = _named(seen)
    readings = readings_for(
        seen.pages, replicas, policy.targets.first_token_percentile, seen.now, named
    )
    memory = seen.memory
    if memory is None:
        memory = loads(model.status.autoscaling.memory if model.status.autoscaling else None)
    facts = facts_for(model, seen, base, replicas)
    samples = Samples(readings, held_for(model, seen))
    return decide(policy, facts, samples, memory, seen.now)


def facts_for(model: Model, seen: Observed, base: int, replicas: tuple[Replica, ...]) -> Facts:
    """Return what a decision must know of a Model, from its pods."""
    alive = [pod for pod in seen.pods if not pod.terminating and not pod.finished]
    missing = max(0, base - len(replicas))
    unready = [pod for pod in alive if not pod.ready]
    broken = sum(is_broken(pod) for pod in unready)
    loading = min(missing, sum(bool(pod.node) and not is_broken(pod) for pod in unready))
    return Facts(
        desired=base,
        ready=len(replicas),
        young=sum(is_young(one, seen.now) for one in replicas),
        loading=loading,
        pending=max(0, missing - loading - broken),
        cold_start=_cold_start(model, alive),
        gpus=model.spec.resources.gpus,
        price=price_of(candidates_for(model, seen.pools)),
        rolling_out=_rolls_out(seen, alive),
        scaled_by=other_scaler(model),
        untold=frozenset() if "running" in _named(seen) else frozenset({"running"}),
    )


def price_of(pools: Iterable[Pool]) -> int | None:
    """Return the micro-dollars of a GPU and hour in the dearest of the pools; None: not known.

    On which terms a replica will be is not known before it has a node, so the dearest count: what
    a ceiling allows is never too much.
    """
    found = [_dearest(pool) for pool in pools]
    known = [one for one in found if one is not None]
    return max(known) if known and len(known) == len(found) else None


def _dearest(pool: Pool) -> int | None:
    price, gpus = pool.pool.spec.price, pool.largest_node
    if price is None or not gpus:
        return None
    given = (price.on_demand, price.spot, price.reserved, price.owned)
    return max(rate_of(terms, gpus * GPU) for terms in given if terms is not None) // gpus


def _ready(seen: Observed) -> tuple[Replica, ...]:
    """Return the replicas that serve and stay: what others carry goes away with them."""
    return tuple(
        Replica(pod.uid, pod.ready_at)
        for pod in seen.pods
        if pod.ready
        and pod.serving
        and not pod.terminating
        and not pod.finished
        and seen.route in (None, pod.revision)
    )


def _named(seen: Observed) -> frozenset[Signal]:
    metrics = seen.engine.spec.metrics if seen.engine else None
    return frozenset(one.signal for one in metrics.signals) if metrics else frozenset()


def _cold_start(model: Model, alive: list[Pod]) -> float | None:
    phases = phases_for(alive) or model.status.startup
    return min(float(phases.total_seconds), LONGEST_START) if phases else None


def _rolls_out(seen: Observed, alive: list[Pod]) -> bool:
    asked = {one.revision for one in seen.deployments.values() if one.replicas}
    return len(asked | {pod.revision for pod in alive}) > 1


# --- from a decision to the status ----------------------------------------------------


def _status(old: AutoscalingStatus | None, decision: Decision, now: datetime) -> AutoscalingStatus:
    """Return the old status unless a user would act on the difference, or a restart forget it."""
    if old is not None and not _is_news(old, decision, now):
        return old
    same = old is not None and (old.replicas, old.reason) == (decision.replicas, decision.why)
    past = old.decisions if old else ()
    since = old.since if old and old.since and same else timestamp(now)
    told = f". Since {since[11:19]} UTC"
    return AutoscalingStatus(
        replicas=decision.replicas,
        reason=decision.why,
        message=within(decision.message, MOST_BYTES - len(told)) + told,
        since=since,
        decisions=((_past(decision, now), *past) if decision.changes else past)[:MOST_DECISIONS],
        memory=dumps(decision.memory),
    )


def _past(decision: Decision, now: datetime) -> PastDecision:
    return PastDecision(
        at=timestamp(now),
        before=decision.before,
        replicas=decision.replicas,
        message=within(decision.message, MOST_BYTES),
    )


def _is_news(old: AutoscalingStatus, decision: Decision, now: datetime) -> bool:
    if old.replicas != decision.replicas or _peak(old) != decision.peak:
        return True
    if old.reason == decision.why:
        return False
    at_once = {old.reason, decision.why} & (AT_ONCE | {Reason.PAUSED, Reason.POLICY_MISSING})
    return bool(at_once) or old.since is None or now - _instant(old.since) >= CALM


def _peak(old: AutoscalingStatus) -> int | None:
    """Return the peak that the status remembers."""
    highs = loads(old.memory).highs
    return min(highs[0].replicas, old.replicas) if highs else None


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _followed(model: Model, decision: Decision) -> tuple[Truth, Reason, str]:
    assert model.spec.autoscaling is not None
    if not decision.complaints:
        name = model.spec.autoscaling.policy_ref.name
        return "True", Reason.POLICY_FOLLOWED, f"AutoscalingPolicy {name} is followed"
    first = decision.complaints[0]
    return "False", Reason(first.reason), "; ".join(one.text for one in decision.complaints)


def _replicas(count: int) -> str:
    return "1 replica" if count == 1 else f"{count} replicas"
