"""Where days that are over go, and how long they are kept. All of it stays within bounds."""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta

from modelfleet.plan.ledger.checkpoint import Lines, pack_days, rounded
from modelfleet.plan.ledger.sums import Amount, Line, total_by
from modelfleet.plan.ledger.units import DAY, HOUR, Millis, day_of
from modelfleet.plan.ledger.values import Account

KEPT = timedelta(days=400)
LARGEST = 900_000
"""Bytes of one document: a ConfigMap takes 1 MiB."""
MOST_LINES = 8_000
"""Of one day. The smallest accounts beyond are one account of their kind and team."""
REST = "(others)"
LATE: Millis = HOUR
"""A day is closed so long after its midnight: events may be late, and clocks differ."""


def size(text: str) -> int:
    """Return how much of a ConfigMap's limit a packed text takes."""
    return len(text) * 3 // 4


def closed_until(at: Millis) -> str:
    """Return the last day that is over for good."""
    return day_of(at - LATE - DAY)


def due(lines: Lines, archived: str, at: Millis) -> dict[str, dict[Line, Amount]]:
    """Return the days to archive now, oldest first, as they are to be kept."""
    until = closed_until(at)
    days = sorted({line.day for line in lines if archived < line.day <= until})
    return {day: bounded(rounded(_of_day(lines, day))) for day in days}


def _of_day(lines: Lines, day: str) -> dict[Line, Amount]:
    return {line: amount for line, amount in lines.items() if line.day == day}


def without(lines: Lines, archived: str) -> dict[Line, Amount]:
    """Return the lines of days that are not archived."""
    return {line: amount for line, amount in lines.items() if line.day > archived}


def bounded(lines: Lines, most: int = MOST_LINES) -> dict[Line, Amount]:
    """Return at most so many lines, and the rest summed by what is few."""
    if len(lines) <= most:
        return dict(lines)
    by_cost = sorted(lines.items(), key=lambda one: (-one[1].cost, one[0]))
    kept = dict(by_cost[: most // 2])
    rest = total_by(by_cost[most // 2 :], _as_rest)
    return kept | {line: amount + kept.get(line, Amount()) for line, amount in rest.items()}


def _as_rest(line: Line) -> Line:
    account = Account(line.account.kind, "", REST, line.account.team)
    return Line(
        line.day, line.pool, account, line.use, line.canary, line.capacity_type, line.policy
    )


def extended(document: Lines, day: Mapping[Line, Amount]) -> tuple[str, bool]:
    """Add a day to a document, replacing it where it is there already. Return whether it fits."""
    days = {line.day for line in day}
    kept = {line: amount for line, amount in document.items() if line.day not in days}
    text = pack_days({**kept, **day})
    return text, size(text) <= LARGEST or not kept


def too_old(months: Iterable[str], today: str) -> set[str]:
    """Return the months whose last day is older than is kept."""
    oldest = (date.fromisoformat(today) - KEPT).isoformat()[:7]
    return {month for month in months if month < oldest}
