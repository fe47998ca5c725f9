"""What a policy asks for, as plain values: no look-ups, no defaults that are still open."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from modelfleet.api.v1alpha1 import autoscalingpolicy as api
from modelfleet.api.v1alpha1.autoscaling import Autoscaling

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
"""As `datetime.weekday()` counts them."""

MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class Targets:
    """What one replica is to carry, signal by signal. None: not looked at."""

    concurrency: float | None = None
    """Requests that run or wait."""
    queue: float | None = None
    """Requests that wait."""
    kv_cache: float | None = None
    """Share of the cache, below 1."""
    tokens_per_second: float | None = None
    first_token_seconds: float | None = None
    first_token_percentile: float = 0.95


@dataclass(frozen=True, slots=True)
class Window:
    """A length of time: in cold starts, or in seconds if `seconds` is given."""

    cold_starts: float = 0.0
    seconds: float | None = None
    least: float = 0.0
    """Seconds that cold starts count at least."""

    def length(self, cold_start: float) -> float:
        """Return it in seconds."""
        if self.seconds is not None:
            return self.seconds
        return max(self.least, self.cold_starts * cold_start)


DEFAULT_UP = Window()
"""A replica that is missing is missed for a whole cold start already."""

DEFAULT_DOWN = Window(cold_starts=2.0, least=600.0)
"""What comes back within two cold starts would have been cheaper to keep. And however quickly a
model loads, bursts come again after minutes: `docs/simulate.md` has what shorter windows cost.
"""

LEAST_DOWN = 60.0
"""Seconds of a window that was given in cold starts: four rounds of readings."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Bounds from one time of day to another, on days of a week in a time zone."""

    name: str
    zone: ZoneInfo
    begins: time
    ends: time
    days: frozenset[int] = frozenset(range(7))
    least: int | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True)
class ToZero:
    """When the last replica goes; `after` None: after some cold starts."""

    after: float | None = None
    without_hold: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A policy as one Model follows it."""

    targets: Targets
    least: int = 1
    most: int = 1
    tolerance: float = 0.1
    up: Window = DEFAULT_UP
    down: Window = DEFAULT_DOWN
    schedules: tuple[Schedule, ...] = ()
    to_zero: ToZero | None = None
    ceiling: int | None = None
    """Micro-dollars per hour, for all replicas of the Model."""
    mistakes: Mapping[str, str] = field(default_factory=dict)
    """Schedule → why it cannot be followed."""


def policy_for(policy: api.AutoscalingPolicySpec, model: Autoscaling | None = None) -> Policy:
    """Return what a Model follows: its own bounds go before those of the policy."""
    chosen = (model.min_replicas, model.max_replicas) if model else (None, None)
    own = _within(*chosen)
    least = own(policy.min_replicas) if chosen[0] is None else chosen[0]
    most = own(policy.max_replicas) if chosen[1] is None else chosen[1]
    found = {one.name: zone_of(one.time_zone) for one in policy.schedules}
    return Policy(
        targets=_targets(policy.signals),
        least=least,
        most=max(most, least),
        tolerance=policy.tolerance_percent / 100,
        up=_window(policy.windows.up, DEFAULT_UP),
        down=_window(policy.windows.down, DEFAULT_DOWN, LEAST_DOWN),
        schedules=tuple(
            _schedule(one, zone, own) for one in policy.schedules if (zone := found[one.name])
        ),
        to_zero=_to_zero(policy.scale_to_zero),
        ceiling=_micro(policy.cost_ceiling_per_hour),
        mistakes={
            one.name: f"there is no time zone {one.time_zone}"
            for one in policy.schedules
            if found[one.name] is None
        },
    )


def _within(least: int | None, most: int | None) -> Callable[[int], int]:
    """Return what brings any number of replicas within the bounds that a Model gives itself."""

    def own(replicas: int) -> int:
        replicas = replicas if most is None else min(replicas, most)
        return replicas if least is None else max(replicas, least)

    return own


def zone_of(name: str) -> ZoneInfo | None:
    """Return a time zone, or None where there is none of that name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _targets(signals: api.Signals) -> Targets:
    first = signals.time_to_first_token
    return Targets(
        concurrency=signals.concurrency_per_replica,
        queue=signals.queue_length_per_replica,
        kv_cache=None if signals.kv_cache_percent is None else signals.kv_cache_percent / 100,
        tokens_per_second=signals.tokens_per_second_per_replica,
        first_token_seconds=first.milliseconds / 1000 if first else None,
        first_token_percentile=first.percentile / 100 if first else 0.95,
    )


def _window(given: api.Window | None, default: Window, least: float = 0.0) -> Window:
    if given is None:
        return default
    if given.cold_start_percent is not None:
        return Window(given.cold_start_percent / 100, least=least)
    return Window(seconds=given.seconds)


def _schedule(given: api.Schedule, zone: ZoneInfo, own: Callable[[int], int]) -> Schedule:
    days = frozenset(DAYS.index(day) for day in given.days)
    return Schedule(
        name=given.name,
        zone=zone,
        begins=time.fromisoformat(given.from_),
        ends=time.fromisoformat(given.to),
        days=days or frozenset(range(7)),
        least=None if given.min_replicas is None else own(given.min_replicas),
        most=None if given.max_replicas is None else own(given.max_replicas),
    )


def _to_zero(given: api.ScaleToZero | None) -> ToZero | None:
    return None if given is None else ToZero(given.after_seconds, given.without_hold)


def _micro(amount: str | None) -> int | None:
    """Return money in millionths, without a float in between."""
    if amount is None:
        return None
    whole, _, part = amount.partition(".")
    return int(whole) * MICRO + int(part.ljust(6, "0") or "0")
