"""Money as metrics. Labels are pools, teams and uses, each bounded: what is beyond is `others`."""

from collections import Counter
from collections.abc import Iterable

from modelfleet import telemetry
from modelfleet.plan.ledger.charges import Rates
from modelfleet.plan.ledger.units import GPU, GRAINS, MILLION
from modelfleet.plan.ledger.values import Charge

MOST_TEAMS = 100
MOST_POOLS = 50
OTHERS = "others"


class Meter:
    """Counts charges and shows rates."""

    def __init__(self) -> None:
        self._teams: set[str] = set()
        self._pools: set[str] = set()

    def charged(self, charges: Iterable[Charge]) -> None:
        """Count what was charged."""
        for one in charges:
            pool, team = self._pool(one.pool), self._team(one)
            seconds = one.gpu * one.length / GPU / 1000
            telemetry.COST.labels(pool, team, one.use).inc(one.cost / GRAINS / MILLION)
            telemetry.GPU_SECONDS.labels(pool, team, one.use).inc(seconds)
            if not one.priced:
                telemetry.UNPRICED_GPU_SECONDS.labels(pool).inc(seconds)

    def told(self, rates: Iterable[Rates]) -> None:
        """Show what pools cost per hour now."""
        idle, whole = Counter[str](), Counter[str]()
        for one in rates:
            pool = self._pool(one.pool)
            idle[pool] += one.idle
            whole[pool] += one.whole
        telemetry.HOURLY_COST.clear()
        for pool, rate in whole.items():
            telemetry.HOURLY_COST.labels(pool, "held").set((rate - idle[pool]) / MILLION)
            telemetry.HOURLY_COST.labels(pool, "idle").set(idle[pool] / MILLION)

    def _pool(self, name: str) -> str:
        return _known(name, self._pools, MOST_POOLS)

    def _team(self, charge: Charge) -> str:
        """Return who pays; what belongs to nobody is told by its kind."""
        if charge.account.kind in ("idle", "system"):
            return charge.account.kind
        return _known(charge.account.team, self._teams, MOST_TEAMS)


def _known(name: str, known: set[str], most: int) -> str:
    if name not in known and len(known) >= most:
        return OTHERS
    known.add(name)
    return name
