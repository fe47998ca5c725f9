"""What a judgement knows of the ones before it: small, and kept in the Model's status."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

FORMAT = 1
MOST = 1e30
"""Of anything that is counted: more is not ours."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Of one subject in one step. For shares: requests and the bad ones; for latencies: seconds."""

    stable: tuple[float, float] = (0.0, 0.0)
    canary: tuple[float, float] = (0.0, 0.0)
    worse: int = 0
    """Moments in which the canary was slower than tolerated."""
    moments: int = 0


@dataclass(frozen=True, slots=True)
class Trail:
    """One subject's bets so far, as natural logarithms."""

    alarm: tuple[float, ...] = ()
    """Money that each alternative has made out of what was put on it; over the rollout."""
    looks: int = 0
    """How often something could be bet; says how much is not invested yet."""
    clear: tuple[float, ...] = ()
    """The same against "unacceptable", in this step."""
    totals: Totals = Totals()
    """In this step."""
    base: tuple[float, float] = (0.0, 0.0)
    """Requests of the stable revision and the bad ones of them, over the rollout."""
    pending: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Observations that make no moment yet: stable's count and seconds, canary's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Of one rollout. `Memory()` before its first judgement."""

    judged_until: datetime | None = None
    """Windows that begin before are not counted again."""
    failed: str | None = None
    """The sentence of the verdict Fail, once there was one."""
    requests: float = 0.0
    """Of users, to the canary, in this step, as far as is known."""
    probes: int = 0
    """Probe requests to the canary in this step."""
    restarts: tuple[int, int] = (0, 0)
    """Of stable and canary, over the rollout."""
    trails: Mapping[str, Trail] = field(default_factory=dict)

    def next_step(self) -> "Memory":
        """Return the memory for the next step: what passes must pass anew, alarms go on."""
        trails = {
            subject: replace(trail, clear=(), totals=Totals())
            for subject, trail in self.trails.items()
        }
        return replace(self, requests=0.0, probes=0, trails=trails)


def dumps(memory: Memory) -> str:
    """Return the memory as text for the status: canonical, short, and equal for equal memories."""
    trails = {subject: _trail_out(trail) for subject, trail in sorted(memory.trails.items())}
    until = memory.judged_until.isoformat() if memory.judged_until else None
    counts = [_rounded(memory.requests), memory.probes, *memory.restarts]
    content = [FORMAT, until, memory.failed, counts, trails]
    return json.dumps(content, separators=(",", ":"), allow_nan=False)


def loads(text: str | None) -> Memory:
    """Return the memory that `dumps` wrote.

    What cannot be read (another version wrote it, or a person) is a rollout that begins to be
    judged: it forgets evidence and never invents any.
    """
    try:
        version, until, failed, counts, trails = json.loads(text or "")
        if version != FORMAT:
            return Memory()
        return Memory(
            judged_until=_instant(until) if until else None,
            failed=None if failed is None else str(failed),
            requests=_amount(counts[0]),
            probes=int(_amount(counts[1])),
            restarts=(int(_amount(counts[2])), int(_amount(counts[3]))),
            trails={str(subject): _trail_in(trail) for subject, trail in trails.items()},
        )
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ):
        return Memory()


def _trail_out(trail: Trail) -> list[Any]:
    totals = trail.totals
    return [
        [_rounded(one) for one in trail.alarm],
        trail.looks,
        [_rounded(one) for one in trail.clear],
        [_rounded(one) for one in (*totals.stable, *totals.canary)],
        [totals.worse, totals.moments],
        [_rounded(one) for one in trail.base],
        [_rounded(one) for one in trail.pending],
    ]


def _trail_in(content: Any) -> Trail:
    alarm, looks, clear, sums, moments, base, pending = content
    slower, compared = (int(_amount(one)) for one in moments)
    stable, bad, canary, worse = map(_amount, sums)
    first, second, third, fourth = map(_amount, pending)
    return Trail(
        alarm=tuple(map(_finite, alarm)),
        looks=int(_amount(looks)),
        clear=tuple(map(_finite, clear)),
        totals=Totals((stable, bad), (canary, worse), slower, compared),
        base=(_amount(base[0]), _amount(base[1])),
        pending=(first, second, third, fourth),
    )


def _rounded(value: float) -> float:
    """Six digits are more than any verdict needs, and keep the status short."""
    return float(f"{value:.6g}")


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("an instant of no time zone")
    return instant


def _amount(value: Any) -> float:
    number = _finite(value)
    if not 0 <= number <= MOST:
        raise ValueError("no amount")
    return number


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number
