"""What a decision knows of the ones before it: small, and kept in the Model's status.

It says what load asked for lately, not every reading: of a window only the peaks that still count
are kept, so that their number is bounded by the numbers of replicas that there are.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

FORMAT = 1
MOST_LEVELS = 24
"""Of one window. With more, the lesser of two neighbours goes, and the greater lasts longer."""

GAP = timedelta(seconds=90)
"""Between two looks, after which what was in between is not known."""

SEEN = 0.25
"""Share of a window that a process must have seen itself; the rest it may know from a memory."""

MOST_LULLS = 8
LONGEST_LULL = 86_400.0
"""Seconds. What lasts longer is no lull but the new load."""


@dataclass(frozen=True, slots=True)
class Level:
    """How many replicas were asked for, and when that was so for the last time."""

    at: datetime
    replicas: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Of one Model. `Memory()` before its first decision."""

    highs: tuple[Level, ...] = ()
    """What would have sufficed, latest last: each is less than the one before it."""
    lows: tuple[Level, ...] = ()
    """What was needed at least, latest last: each is more than the one before it."""
    low_since: datetime | None = None
    """Since when fewer replicas than `low_from` would do."""
    low_from: int = 0
    """How many there were when that began."""
    quiet_since: datetime | None = None
    """Since when there was no request at all."""
    lulls: tuple[float, ...] = ()
    """How long the last times of low load were, in seconds, latest last."""
    seen_until: datetime | None = None
    """When this process looked last; None: it has not yet."""

    def after(self, look: "Look") -> "Memory":
        """Return the memory with one more look in it, and without what no window reaches."""
        now, last = look.now, self.seen_until
        unbroken = last is not None and last <= now <= last + GAP
        highs = self.highs if unbroken else _resumed(self.highs, look)
        low_since, low_from, lulls = self._lull_after(look)
        return Memory(
            highs=_highs(highs, look),
            lows=_lows(self.lows, look),
            low_since=low_since,
            low_from=low_from,
            quiet_since=(self.quiet_since or now) if look.quiet else None,
            lulls=lulls,
            seen_until=now,
        )

    def _lull_after(self, look: "Look") -> tuple[datetime | None, int, tuple[float, ...]]:
        """Return the lull that goes on or begins; one that is over joins those before it."""
        if not look.known or (self.low_since is None and look.enough >= look.desired):
            return self.low_since, self.low_from, self.lulls
        if self.low_since is None:
            return look.now, look.desired, self.lulls
        lasted = (look.now - self.low_since).total_seconds()
        if look.enough < self.low_from and lasted < LONGEST_LULL:
            return self.low_since, self.low_from, self.lulls
        ended = min(max(0.0, lasted), LONGEST_LULL)
        return None, 0, (*self.lulls, ended)[-MOST_LULLS:]

    def peak(self, since: datetime) -> int | None:
        """Return the most that would have sufficed since then; None where nothing is known."""
        return next((one.replicas for one in self.highs if one.at >= since), None)

    def trough(self, since: datetime) -> int | None:
        """Return the least that was needed since then; None where nothing is known."""
        return next((one.replicas for one in self.lows if one.at >= since), None)


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the load has found."""

    now: datetime
    needs: int
    enough: int
    """What suffices; where that is not known, what is there: such a window is none."""
    known: bool
    quiet: bool | None
    desired: int
    highs_after: datetime
    lows_after: datetime
    """The beginning of either window."""


def _resumed(levels: tuple[Level, ...], look: Look) -> tuple[Level, ...]:
    """Return what is known after a gap, in which anything may have been asked for.

    Peaks that are still in the window are believed to be the last ones, since what is remembered is
    written down when they change. But the highest lasts for a part of the window from now on, and
    where nothing is known, what is there counts as asked for now.
    """
    if not levels:
        return (Level(look.now, look.desired),)
    first, *rest = levels
    seen = look.highs_after + SEEN * (look.now - look.highs_after)
    return (Level(max(first.at, seen), first.replicas), *rest)


def _highs(levels: tuple[Level, ...], look: Look) -> tuple[Level, ...]:
    kept = [one for one in levels if one.replicas > look.enough and one.at >= look.highs_after]
    return _bounded((*kept, Level(look.now, look.enough)))


def _lows(levels: tuple[Level, ...], look: Look) -> tuple[Level, ...]:
    kept = [one for one in levels if one.replicas < look.needs and one.at >= look.lows_after]
    return _bounded((*kept, Level(look.now, look.needs)))


def _bounded(levels: tuple[Level, ...]) -> tuple[Level, ...]:
    """Drop the second oldest of too many; the one before it counts for so much longer."""
    if len(levels) <= MOST_LEVELS:
        return levels
    first, second, *rest = levels
    return (Level(second.at, first.replicas), *rest)


def dumps(memory: Memory) -> str:
    """Return it as text for the status: canonical, short, and equal for equal memories."""
    content = [
        FORMAT,
        _levels_out(memory.highs),
        _levels_out(memory.lows),
        [_instant_out(memory.low_since), memory.low_from],
        _instant_out(memory.quiet_since),
        [round(one) for one in memory.lulls],
    ]
    return json.dumps(content, separators=(",", ":"))


def loads(text: str | None) -> Memory:
    """Return the memory that `dumps` wrote, as that of a process that has just begun to look.

    What cannot be read (another version wrote it, or a person) is forgotten: then a whole window
    passes before anything is taken away.
    """
    try:
        version, highs, lows, low, quiet, lulls = json.loads(text or "")
        if version != FORMAT:
            return Memory()
        return Memory(
            highs=_levels_in(highs),
            lows=_levels_in(lows),
            low_since=_instant_in(low[0]),
            low_from=int(_amount(low[1])),
            quiet_since=_instant_in(quiet),
            lulls=tuple(_amount(one) for one in lulls)[-MOST_LULLS:],
        )
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
        return Memory()


def _levels_out(levels: Iterable[Level]) -> list[list[Any]]:
    return [[_instant_out(one.at), one.replicas] for one in levels]


def _levels_in(content: Any) -> tuple[Level, ...]:
    found = (Level(_instant(at), int(_amount(replicas))) for at, replicas in content)
    return tuple(found)[-MOST_LEVELS:]


def _instant_out(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None


def _instant_in(text: Any) -> datetime | None:
    return None if text is None else _instant(text)


def _instant(text: Any) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("an instant of no time zone")
    return instant


def _amount(value: Any) -> float:
    number = float(value)
    if not 0 <= number <= 1e9 or math.isnan(number):
        raise ValueError("no amount")
    return number
