"""Sends a trace through a fleet that a scaler sizes, and keeps what happened."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from modelfleet.plan.simulation.engine import Record
from modelfleet.plan.simulation.fleet import Fleet, Replica
from modelfleet.plan.simulation.profiles import Profile
from modelfleet.plan.simulation.traces import Trace

TIDY_UP_SECONDS = 6 * 3600.0
"""How long after the last request the fleet, as it then is, may still work on what it has."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a scaler may know at a look: the same for each of them."""

    now: float
    desired: int
    replicas: Sequence[Replica]
    held: int
    """Requests that wait in front, because nothing is ready."""

    @property
    def ready(self) -> list[Replica]:
        """Those that take requests."""
        return [one for one in self.replicas if one.is_ready(self.now)]


@dataclass(frozen=True, slots=True)
class Wish:
    """How many replicas there shall be, and why."""

    replicas: int
    because: str = ""


class Scaler(Protocol):
    """Decides at each look. It may remember; a replay begins with a new one."""

    @property
    def period(self) -> float:
        """Seconds from one look to the next."""
        ...

    @property
    def settings(self) -> str:
        """What it goes by, as a user would say it."""
        ...

    def decide(self, seen: Seen) -> Wish:
        """Say how many replicas there shall be."""
        ...


@dataclass(frozen=True, slots=True)
class Moment:
    """What was at one look."""

    at: float
    desired: int
    ready: int
    in_flight: int
    replica_seconds: float
    """Until then, as all of these sums."""
    cold_starts: int


@dataclass(frozen=True, slots=True)
class Change:
    """A decision that changed the number of replicas."""

    at: float
    before: int
    after: int
    because: str


@dataclass(slots=True)
class History:
    """All that a replay leaves."""

    record: Record
    changes: list[Change] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    """Look by look; the last one is of the trace's end."""


def replay(trace: Trace, profile: Profile, scaler: Scaler, start: int) -> History:
    """Begin with `start` ready replicas, and end when the trace does and all have their answers."""
    fleet = Fleet(profile, trace, start)
    history = History(fleet.record)
    request, now = 0, 0.0
    while now <= trace.seconds:
        request = _arrive(trace, fleet, request, now)
        fleet.settle(now)
        fleet.advance(now)
        _look(fleet, scaler, now, history)
        now += scaler.period
    _arrive(trace, fleet, request, trace.seconds)
    history.moments.append(_moment(fleet, trace.seconds))
    _tidy_up(fleet, scaler.period, now)
    return history


def _arrive(trace: Trace, fleet: Fleet, request: int, until: float) -> int:
    """Let all come that come up to `until`; return the first that comes later."""
    at, count = trace.at, len(trace)
    while request < count and at[request] <= until:
        instant = at[request]
        fleet.settle(instant)
        fleet.route(request, instant)
        request += 1
    return request


def _look(fleet: Fleet, scaler: Scaler, now: float, history: History) -> None:
    replicas = fleet.replicas
    wish = scaler.decide(Seen(now, fleet.desired, replicas, fleet.held))
    if wish.replicas != fleet.desired:
        history.changes.append(Change(now, fleet.desired, wish.replicas, wish.because))
        fleet.scale(wish.replicas, now)
    history.moments.append(_moment(fleet, now))


def _moment(fleet: Fleet, now: float) -> Moment:
    return Moment(
        at=now,
        desired=fleet.desired,
        ready=fleet.ready,
        in_flight=fleet.held + sum(one.engine.in_flight for one in fleet.replicas),
        replica_seconds=fleet.replica_seconds(now),
        cold_starts=fleet.cold_starts,
    )


def _tidy_up(fleet: Fleet, period: float, now: float) -> None:
    end = now + TIDY_UP_SECONDS
    while fleet.is_busy() and now <= end and fleet.replicas:
        fleet.settle(now)
        fleet.advance(now)
        now += period
