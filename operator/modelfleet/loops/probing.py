"""Sends small requests of our own to the pods of those Models that somebody asks about."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from modelfleet import clock
from modelfleet.plan.samples import ProbeResult
from modelfleet.plan.world import Key
from modelfleet.servers.probe import ProbeTarget

logger = logging.getLogger(__name__)

TICK = 1.0
"""Seconds between two looks at who is due."""

MOST_RESULTS = 4096
"""Of one Model; the oldest go first."""

Targets = Callable[[Key], Sequence[ProbeTarget]]
"""Returns the pods of a Model that take traffic now."""


class Asks(Protocol):
    """What sends a request; `Prober` is real."""

    async def probe(self, target: ProbeTarget, now: datetime) -> ProbeResult:
        """Ask once, in bounded time. Raises nothing."""


@dataclass(slots=True)
class _Wanted:
    """A Model that is probed."""

    seconds: float
    due: float
    results: deque[ProbeResult] = field(default_factory=lambda: deque(maxlen=MOST_RESULTS))
    busy: bool = False


class ProbeLoop:
    """One request to each pod in each interval, to all pods of a Model at the same time.

    An engine that hangs delays nobody: its Model is asked again when it has answered or failed.
    """

    def __init__(
        self,
        prober: Asks,
        targets: Targets,
        *,
        now: Callable[[], datetime] = clock.utc_now,
        monotonic: Callable[[], float] = clock.monotonic,
    ) -> None:
        self._prober, self._targets = prober, targets
        self._now, self._monotonic = now, monotonic
        self._wanted: dict[Key, _Wanted] = {}
        self._any = asyncio.Event()

    def want(self, key: Key, seconds: float) -> None:
        """Have a Model probed every so many seconds, from now on."""
        known = self._wanted.get(key)
        if known is None:
            self._wanted[key] = _Wanted(seconds, self._monotonic())
        else:
            known.seconds = seconds
        self._any.set()

    def release(self, key: Key) -> None:
        """Probe a Model no longer, and forget what became of it."""
        self._wanted.pop(key, None)
        if not self._wanted:
            self._any.clear()

    def results(self, key: Key) -> tuple[ProbeResult, ...]:
        """Return what became of the requests to a Model, in the order in which they ended."""
        known = self._wanted.get(key)
        return tuple(known.results) if known else ()

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._any.wait()
                for key, one in self._due():
                    group.create_task(self._ask(key, one))
                await asyncio.sleep(TICK)

    def _due(self) -> list[tuple[Key, _Wanted]]:
        now, due = self._monotonic(), []
        for key, one in self._wanted.items():
            if one.due <= now and not one.busy:
                one.due, one.busy = max(one.due + one.seconds, now), True
                due.append((key, one))
        return due

    async def _ask(self, key: Key, one: _Wanted) -> None:
        try:
            asked = (self._note(target, one) for target in self._targets(key))
            await asyncio.gather(*asked)
        except Exception:
            # A defect of ours must cost these requests, not the operator.
            logger.exception("probing failed", extra={"model": key.name})
        finally:
            one.busy = False

    async def _note(self, target: ProbeTarget, one: _Wanted) -> None:
        one.results.append(await self._prober.probe(target, self._now()))
