"""Running sums of the ledger: the month to date, and what everything costs per hour now."""

from collections.abc import Iterable
from datetime import datetime

from modelfleet.api.v1alpha1.cost import ModelCost, PoolCost
from modelfleet.plan.ledger.charges import Rates
from modelfleet.plan.ledger.figures import ModelFigures, PoolFigures, model_cost, pool_cost
from modelfleet.plan.ledger.sums import Amount, Line
from modelfleet.plan.ledger.tokens import Measured
from modelfleet.plan.ledger.units import Grains
from modelfleet.plan.ledger.values import Account, Use

Name = tuple[str, str]
"""Namespace and name of a Model."""


class Accounts:
    """Sums that statuses are told from; all of them can be made anew from the ledger's lines."""

    def __init__(self, month: str) -> None:
        """`month` as in 2026-11."""
        self.month = month
        self._models: dict[Name, dict[tuple[Use, bool], Amount]] = {}
        self._pools: dict[str, int] = {}
        self._rates: dict[str, Rates] = {}
        self._by_model: dict[Name, int] = {}
        self._unpriced: dict[Name, int] = {}
        self.measured: dict[Name, Measured] = {}
        """Tokens of this month."""

    def add(self, line: Line, amount: Amount) -> None:
        """Count a line of this month; a line of the next begins it."""
        if (month := line.day[:7]) > self.month:
            self.month, self._models, self._pools, self.measured = month, {}, {}, {}
        if month < self.month:
            return
        self._pools[line.pool] = self._pools.get(line.pool, 0) + amount.cost
        if line.account.kind == "model":
            spent = self._models.setdefault((line.account.namespace, line.account.name), {})
            what = (line.use, line.canary)
            spent[what] = spent.get(what, Amount()) + amount

    def rate(self, node: str, rates: Rates | None) -> None:
        """Note what a node costs from now on; None: it is gone."""
        if (old := self._rates.pop(node, None)) is not None:
            self._count(old, -1)
        if rates is not None:
            self._rates[node] = rates
            self._count(rates, 1)

    def has_rate(self, node: str) -> bool:
        """Return whether it is known what a node costs."""
        return node in self._rates

    def _count(self, rates: Rates, sign: int) -> None:
        for (account, _), rate in rates.by_account.items():
            if account.kind == "model":
                name = (account.namespace, account.name)
                _change(self._by_model, name, sign * rate)
                _change(self._unpriced, name, 0 if rates.priced else sign)

    def rates(self) -> Iterable[Rates]:
        """Return what each node costs now."""
        return self._rates.values()

    def spent(self, name: Name) -> Grains:
        """Return what a Model has cost this month."""
        return sum(amount.cost for amount in self._models.get(name, {}).values())

    def measure(self, name: Name, measured: Measured) -> None:
        """Count tokens of a Model, with what it cost meanwhile."""
        self.measured[name] = self.measured.get(name, Measured()) + measured

    def model_cost(
        self, name: Name, team: str, old: ModelCost | None, now: datetime
    ) -> ModelCost | None:
        """Return what to tell of a Model."""
        figures = ModelFigures(
            team=team,
            rate=self._by_model.get(name, 0),
            unpriced_pods=name in self._unpriced,
            month=self._models.get(name, {}),
            measured=self.measured.get(name),
        )
        return model_cost(old, figures, now)

    def pool_cost(self, pool: str, old: PoolCost | None, now: datetime) -> PoolCost:
        """Return what to tell of a pool."""
        rates = [one for one in self._rates.values() if one.pool == pool]
        figures = PoolFigures(
            rate=sum(one.whole for one in rates),
            idle=sum(one.idle for one in rates),
            unpriced_nodes=sum(not one.priced for one in rates),
            priced_nodes=sum(one.priced for one in rates),
            month=self._pools.get(pool, 0),
        )
        return pool_cost(old, figures, now)


def _change(sums: dict[Name, int], name: Name, by: int) -> None:
    """Add to a sum; one that is zero is not kept."""
    total = sums.get(name, 0) + by
    if total:
        sums[name] = total
    else:
        sums.pop(name, None)


def is_booked(account: Account, pool: str) -> bool:
    """Return whether a charge is kept: on nodes of no pool, only what Models do there."""
    return bool(pool) or account.kind == "model"
