"""What statuses tell of money: current rates and the month to date, refreshed seldom."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from modelfleet.api.conditions import timestamp
from modelfleet.api.v1alpha1.cost import CostSplit, ModelCost, PoolCost
from modelfleet.plan.ledger.sums import Amount
from modelfleet.plan.ledger.tokens import Measured, per_million
from modelfleet.plan.ledger.units import GPU, GRAINS, HOUR, MILLION, Grains, Micros, Rate, split
from modelfleet.plan.ledger.values import UNALLOCATED, Use

REFRESH = timedelta(hours=1)
"""A steady rate is told once an hour: a status is no clock."""

Spent = Mapping[tuple[Use, bool], Amount]
"""By use and whether it is for a canary."""

SPLIT: Mapping[str, tuple[Use, ...]] = {
    "used": (Use.USED,),
    "idle": (Use.SPARE,),
    "unmeasured": (Use.UNMEASURED, Use.SERVING),
    "starting": (Use.PULLING, Use.LOADING),
    "failed": (Use.FAILED,),
    "leaving": (Use.LEAVING,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFigures:
    """A Model's account."""

    team: str = UNALLOCATED
    rate: Rate = 0
    unpriced_pods: bool = False
    """Some of its pods are on nodes without a price now."""
    month: Spent = field(default_factory=dict)
    measured: Measured | None = None
    """Tokens of this month and what they cost; None: not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFigures:
    """A pool's account."""

    rate: Rate = 0
    idle: Rate = 0
    unpriced_nodes: int = 0
    priced_nodes: int = 0
    month: Grains = 0


def model_cost(old: ModelCost | None, figures: ModelFigures, now: datetime) -> ModelCost | None:
    """Return what to tell of a Model: the old where nobody would act on the difference."""
    new = _model_cost(figures, now)
    if old is None:
        return new if figures.month or figures.rate or figures.unpriced_pods else None
    same_rate = (old.hourly, old.team) == (new.hourly, new.team)
    return old if same_rate and _recent(old.as_of, now, _same(old, new)) else new


def pool_cost(old: PoolCost | None, figures: PoolFigures, now: datetime) -> PoolCost:
    """Return what to tell of a pool, likewise."""
    new = _pool_cost(figures, now)
    if old is None:
        return new
    rates = (old.hourly, old.idle_hourly, old.unpriced_nodes)
    same_rates = rates == (new.hourly, new.idle_hourly, new.unpriced_nodes)
    return old if same_rates and _recent(old.as_of, now, _same(old, new)) else new


def _same(old: ModelCost | PoolCost, new: ModelCost | PoolCost) -> bool:
    return old.model_copy(update={"as_of": new.as_of}) == new


def _recent(as_of: str | None, now: datetime, same: bool) -> bool:
    if same:
        return True
    return as_of is not None and now - datetime.fromisoformat(as_of) < REFRESH


def _model_cost(figures: ModelFigures, now: datetime) -> ModelCost:
    spent = sum(figures.month.values(), Amount())
    total = spent.cost // GRAINS
    priced = spent.cost > 0 or figures.rate > 0
    known = priced or not (spent.unpriced or figures.unpriced_pods)
    million = _per_million(figures.measured) if priced else None
    return ModelCost(
        hourly=dollars(figures.rate) if figures.rate or not figures.unpriced_pods else None,
        month_to_date=dollars(total, 2) if known else None,
        per_million_tokens=dollars(million) if million is not None else None,
        utilization_percent=_utilization(figures.month),
        split=_split(figures.month, total) if known else None,
        canary=_canary(figures.month),
        unpriced_gpu_hours=_gpu_hours(spent.unpriced) if spent.unpriced else None,
        team=figures.team[:63],
        as_of=timestamp(now),
    )


def _per_million(measured: Measured | None) -> Micros | None:
    return per_million(measured.cost // GRAINS, measured.tokens.all) if measured else None


def _split(month: Spent, total: Micros) -> CostSplit:
    """Divide the total as it is told, in cents, so that the parts sum to it."""
    costs = [_cost(month, uses) for uses in SPLIT.values()]
    cents = split(_cents(total), costs)
    parts = {
        name: dollars(cent * MILLION // 100, 2) for name, cent in zip(SPLIT, cents, strict=True)
    }
    return CostSplit.model_validate(parts)


def _cost(month: Spent, uses: Iterable[Use]) -> Grains:
    wanted = frozenset(uses)
    return sum(amount.cost for (use, _), amount in month.items() if use in wanted)


def _canary(month: Spent) -> str | None:
    cost = sum(amount.cost for (_, canary), amount in month.items() if canary)
    return dollars(cost // GRAINS, 2) if cost else None


def _utilization(month: Spent) -> int | None:
    used, spare = _cost(month, (Use.USED,)), _cost(month, (Use.SPARE,))
    return used * 100 // (used + spare) if used + spare else None


def _gpu_hours(gpu_time: int) -> str:
    return f"{gpu_time / GPU / HOUR:.2f}"


def _pool_cost(figures: PoolFigures, now: datetime) -> PoolCost:
    known = bool(figures.priced_nodes or figures.month)
    return PoolCost(
        hourly=dollars(figures.rate) if figures.priced_nodes else None,
        idle_hourly=dollars(figures.idle) if figures.priced_nodes else None,
        month_to_date=dollars(figures.month // GRAINS, 2) if known else None,
        unpriced_nodes=figures.unpriced_nodes,
        as_of=timestamp(now),
    )


def _cents(amount: Micros) -> int:
    return amount * 100 // MILLION


def dollars(amount: Micros, places: int | None = None) -> str:
    """Return micro-dollars as people read them: cents, and finer where it is less than a dollar."""
    digits = places if places is not None else (2 if amount >= MILLION or not amount else 4)
    unit = 10 ** (6 - digits)
    whole, rest = divmod(amount // unit, 10**digits)
    return f"{whole}.{rest:0{digits}d}"
