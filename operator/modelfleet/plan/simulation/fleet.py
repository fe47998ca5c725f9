"""The replicas of one model: pending or loading for the cold start, ready, draining, gone."""

import math
from collections import deque
from dataclasses import dataclass

from modelfleet.plan.simulation.chance import mixed
from modelfleet.plan.simulation.engine import Engine, Record
from modelfleet.plan.simulation.profiles import Profile
from modelfleet.plan.simulation.traces import Trace


@dataclass(slots=True, eq=False)
class Replica:
    """One pod."""

    number: int
    created_at: float
    ready_at: float
    """When it will be, or was first."""
    engine: Engine
    drains_since: float | None = None
    gone_at: float | None = None

    def is_ready(self, now: float) -> bool:
        """Say whether it takes requests."""
        return self.ready_at <= now and self.drains_since is None


class Fleet:
    """All replicas, the requests on their way to them, and what these have cost."""

    def __init__(self, profile: Profile, trace: Trace, start: int) -> None:
        self.profile = profile
        self.desired = start
        self.cold_starts = 0
        self.record = Record.of(len(trace))
        self._trace = trace
        self._held: deque[int] = deque()
        self._replicas: list[Replica] = []
        self._ready: list[Replica] = []
        self._number = 0
        self._next_ready = math.inf
        self._gone_seconds = 0.0
        for _ in range(start):
            self._start(0.0, 0.0)
        self.settle(0.0)

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """All that exist, the oldest first."""
        return tuple(self._replicas)

    @property
    def held(self) -> int:
        """Requests that wait in front, because nothing is ready."""
        return len(self._held)

    @property
    def ready(self) -> int:
        """Replicas that take requests."""
        return len(self._ready)

    def replica_seconds(self, until: float) -> float:
        """Return how long replicas have existed, all together; loading and draining count."""
        return self._gone_seconds + sum(until - one.created_at for one in self._replicas)

    def scale(self, desired: int, now: float) -> None:
        """Create or drain replicas until `desired` stay."""
        self.desired = desired
        staying = [one for one in self._replicas if one.drains_since is None]
        for _ in range(desired - len(staying)):
            self.cold_starts += 1
            self._start(now, now + self.profile.cold_start_seconds)
        surplus = len(staying) - desired
        for one in sorted(staying, key=lambda one: _removal_order(one, now))[: max(surplus, 0)]:
            one.drains_since = now
        self._refresh(now)

    def settle(self, now: float) -> None:
        """Let those be ready that have loaded by `now`, and give them what was held."""
        if now >= self._next_ready:
            self._refresh(now)
            while self._held and self._ready:
                self._give(self._held.popleft(), now)

    def route(self, request: int, now: float) -> None:
        """Send a request to a replica, or hold it until there is one."""
        if self._ready:
            self._give(request, now)
        else:
            self._held.append(request)

    def advance(self, now: float) -> None:
        """Let all engines work until `now`, and remove those that have drained."""
        for one in self._replicas:
            if one.ready_at <= now:
                one.engine.advance(now)
        if any(one.drains_since is not None for one in self._replicas):
            self._remove_drained(now)

    def is_busy(self) -> bool:
        """Say whether a request is still on its way."""
        return bool(self._held) or any(one.engine.in_flight for one in self._replicas)

    def _give(self, request: int, now: float) -> None:
        engine = self._chosen(request, now).engine
        engine.advance(now)
        engine.submit(request, self._trace.prompt[request], self._trace.output[request], now)

    def _chosen(self, request: int, now: float) -> Replica:
        ready = self._ready
        if len(ready) == 1:
            return ready[0]
        if self.profile.routing == "Random":
            return ready[mixed(request) % len(ready)]
        for one in ready:
            one.engine.advance(now)
        return min(ready, key=lambda one: one.engine.in_flight)

    def _start(self, now: float, ready_at: float) -> None:
        engine = Engine(self.profile.engine, self.record, ready_at)
        self._replicas.append(Replica(self._number, now, ready_at, engine))
        self._number += 1
        self._next_ready = min(self._next_ready, ready_at)

    def _refresh(self, now: float) -> None:
        self._ready = [one for one in self._replicas if one.is_ready(now)]
        coming = [one.ready_at for one in self._replicas if one.drains_since is None]
        self._next_ready = min((at for at in coming if at > now), default=math.inf)

    def _remove_drained(self, now: float) -> None:
        for one in self._replicas:
            if one.drains_since is not None and self._has_left(one, one.drains_since, now):
                one.gone_at = now
                self._gone_seconds += now - one.created_at
        self._replicas = [one for one in self._replicas if one.gone_at is None]

    def _has_left(self, replica: Replica, since: float, now: float) -> bool:
        return not replica.engine.in_flight or now - since >= self.profile.drain_seconds


def _removal_order(replica: Replica, now: float) -> tuple[bool, float, int]:
    """As a ReplicaSet does: first those that are not ready, then the youngest."""
    return replica.ready_at <= now, -replica.created_at, -replica.number
