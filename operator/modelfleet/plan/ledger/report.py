"""A month's ledger as people read it: grouped, in cents that add up, beside the month before."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from modelfleet.plan.ledger.figures import SPLIT
from modelfleet.plan.ledger.sums import Amount, Line, Lines
from modelfleet.plan.ledger.units import GPU, GRAINS, HOUR, Grains, Micros, split
from modelfleet.plan.ledger.values import Account, Use

IDLE: tuple[Use, ...] = (Use.FREE, Use.UNAVAILABLE)
USES: Mapping[str, tuple[Use, ...]] = {**SPLIT, "unallocated": IDLE}
"""Heading → what it sums. `idle` is allocated to a replica; `unallocated` is held by nobody."""

_HEADING = {use: heading for heading, uses in USES.items() for use in uses}

By = Callable[[Line], str]


def name_of(account: Account) -> str:
    """Return what an account is called in a report."""
    if account.kind == "model":
        return f"{account.namespace}/{account.name}" if account.namespace else account.name
    if account.kind == "workload":
        return f"{account.namespace}/* (other pods)" if account.namespace else account.name
    return f"({account.kind})"


def team_of(account: Account) -> str:
    """Return who pays; what belongs to nobody is told by its kind."""
    return account.team if account.kind in ("model", "workload") else f"({account.kind})"


GROUPINGS: Mapping[str, By] = {
    "model": lambda line: name_of(line.account),
    "team": lambda line: team_of(line.account),
    "pool": lambda line: line.pool or "(no pool)",
    "day": lambda line: line.day,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One group. Money is in micro-dollars; the parts by use sum to the total."""

    name: str
    by_use: Mapping[str, Micros]
    canary: Micros
    total: Micros
    before: Micros
    """Of the month before."""
    gpu_hours: float
    unpriced_gpu_hours: float
    estimated: Micros
    """Of the total, what was reconstructed for times that nobody watched."""


def months_before(month: str) -> str:
    """Return the month before, as in 2026-10."""
    return (date.fromisoformat(f"{month}-01") - timedelta(days=1)).isoformat()[:7]


def of_month(lines: Lines, month: str) -> dict[Line, Amount]:
    """Return the lines of a month."""
    return {line: amount for line, amount in lines.items() if line.day.startswith(f"{month}-")}


def report(lines: Lines, month: str, by: By, step: Micros = 1) -> list[Row]:
    """Return the rows of a month, dearest first and what belongs to nobody last: all of it.

    Money is rounded to multiples of `step` so that rows and their parts still add up.
    """
    now = _grouped(of_month(lines, month), by)
    before = _grouped(of_month(lines, months_before(month)), by) if by is not _day else {}
    totals = _rounded(step, {name: _cost(group.values()) for name, group in now.items()})
    gone = _rounded(step, {name: _cost(group.values()) for name, group in before.items()})
    names = sorted(
        {*now, *gone}, key=lambda name: (name.startswith("("), -totals.get(name, 0), name)
    )
    return [
        _row(name, now.get(name, {}), totals.get(name, 0), gone.get(name, 0), step)
        for name in names
    ]


_day = GROUPINGS["day"]


def _grouped(lines: Lines, by: By) -> dict[str, dict[Line, Amount]]:
    groups: dict[str, dict[Line, Amount]] = {}
    for line, amount in lines.items():
        groups.setdefault(by(line), {})[line] = amount
    return groups


def _rounded(step: Micros, costs: Mapping[str, Grains]) -> dict[str, Micros]:
    names = sorted(costs)
    steps = split(sum(costs.values()) // GRAINS // step, [costs[name] for name in names])
    return {name: step * count for name, count in zip(names, steps, strict=True)}


def _cost(amounts: Iterable[Amount]) -> Grains:
    return sum(amount.cost for amount in amounts)


def _row(name: str, lines: Lines, total: Micros, before: Micros, step: Micros) -> Row:
    costs = dict.fromkeys(USES, 0)
    for line, amount in lines.items():
        costs[_HEADING.get(line.use, "unmeasured")] += amount.cost
    parts = [step * part for part in split(total // step, list(costs.values()))]
    whole = sum(lines.values(), Amount())
    return Row(
        name=name,
        by_use=dict(zip(costs, parts, strict=True)),
        canary=sum(a.cost for line, a in lines.items() if line.canary) // GRAINS,
        total=total,
        before=before,
        gpu_hours=whole.gpu_time / GPU / HOUR,
        unpriced_gpu_hours=whole.unpriced / GPU / HOUR,
        estimated=whole.estimated // GRAINS,
    )
