"""Elects one leader among the replicas, by a Lease.

Only clocks that run are compared, never clocks that tell the time: a candidate waits the whole
duration of the lease after *it* saw the last renewal, and a leader stops counting as one
`renew` seconds after it *began* its last successful renewal. As long as `renew` is less than the
duration, the two never overlap, however wrong the clocks are, if they run equally fast.
"""

import asyncio
import logging
import math
import random
import socket
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from modelfleet import clock, telemetry
from modelfleet.cluster.errors import ApiError, Conflict
from modelfleet.cluster.lease import Lease

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, as client-go has them: retry < renew < duration."""

    duration: float = 15.0
    renew: float = 10.0
    retry: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.retry < self.renew < self.duration:
            raise ValueError(f"not retry < renew < duration: {self}")


class Leases(Protocol):
    """Where the lease is kept. `cluster.lease` is real."""

    async def read(self) -> Lease | None:
        """Return the lease, None if there is none. Raises ApiError."""
        ...

    async def write(self, lease: Lease) -> Lease:
        """Write it if its version is the newest, and return it. Raises Conflict, ApiError."""
        ...


def identity_of(name: str = "") -> str:
    """Return a name that no other process has had: the pod's, or the host's, and a random part."""
    return f"{name or socket.gethostname()}_{uuid.uuid4().hex[:12]}"


class Elector:
    """One candidate. `run` it as one task; stop writing, then cancel it to hand over at once."""

    def __init__(
        self,
        leases: Leases,
        identity: str,
        timing: Timing = Timing(),
        *,
        on_gain: Callable[[], None] = lambda: None,
        on_loss: Callable[[], None] = lambda: None,
        now: Callable[[], datetime] = clock.utc_now,
        monotonic: Callable[[], float] = clock.monotonic,
    ) -> None:
        self.identity = identity
        self._leases, self._timing = leases, timing
        self._on_gain, self._on_loss = on_gain, on_loss
        self._now, self._monotonic = now, monotonic
        self._known: Lease | None = None
        """The lease as we last read or wrote it."""
        self._seen_at = -math.inf
        """When we first saw `_known` as it is."""
        self._valid_until = -math.inf
        self._leading = False

    @property
    def is_leader(self) -> bool:
        """Whether we may write: the last renewal began less than `renew` seconds ago."""
        return self.seconds_left() > 0

    def seconds_left(self) -> float:
        """Return for how long we may write if no renewal succeeds; not above 0 for a standby."""
        return self._valid_until - self._monotonic()

    @property
    def leader(self) -> str:
        """Identity of the leader as last seen; empty if there is none."""
        return self._known.holder if self._known else ""

    def renewed_ago(self) -> float:
        """Return the seconds since our last successful renewal began; inf if there was none."""
        return self._monotonic() - (self._valid_until - self._timing.renew)

    async def run(self) -> None:
        """Stand for election until cancelled, then release the lease. API errors never end it."""
        try:
            while True:
                await self._attempt()
                self._settle()
                await asyncio.sleep(self._pause())
        finally:
            await self._release()

    def _pause(self) -> float:
        pause = self._timing.retry * random.uniform(0.9, 1.1)
        if not self._leading:
            # Reading is cheap, and nobody works from the moment that the lease is released.
            return pause / 2
        return max(0.0, min(pause, self._valid_until - self._monotonic()))

    async def _attempt(self) -> None:
        try:
            async with asyncio.timeout(self._patience()):
                await self._try()
        except TimeoutError:
            self._failed("timeout", "the API server did not answer in time")
        except Conflict as error:
            self._known = None  # somebody else wrote: read before the next attempt
            self._failed("conflict", str(error))
        except ApiError as error:
            self._failed("error", str(error))

    def _patience(self) -> float:
        # A leader must notice in time that it leads no more, whatever a request hangs on.
        if self._leading:
            return max(0.0, min(self._timing.renew / 2, self._valid_until - self._monotonic()))
        return self._timing.renew / 2

    def _failed(self, reason: str, message: str) -> None:
        telemetry.LEASE_FAILURES.labels(reason).inc()
        logger.info("the lease was not written", extra={"reason": reason, "error": message})

    async def _try(self) -> None:
        if not self._leading or self._known is None:
            self._see(await self._leases.read())
        if not self._may_take():
            return
        known = self._known or Lease("", 0, "", "", transitions=-1)
        started = self._monotonic()
        seconds = math.ceil(self._timing.duration)
        self._see(await self._leases.write(known.taken_by(self.identity, self._now(), seconds)))
        self._valid_until = started + self._timing.renew

    def _see(self, lease: Lease | None) -> None:
        if lease != self._known:
            self._known, self._seen_at = lease, self._monotonic()

    def _may_take(self) -> bool:
        lease = self._known
        if lease is None or not lease.holder or lease.holder == self.identity:
            return True
        # The holder's own duration counts: it may run with other settings than we.
        return self._monotonic() >= self._seen_at + max(lease.seconds, self._timing.duration)

    def _settle(self) -> None:
        if self.is_leader == self._leading:
            return
        self._leading = not self._leading
        change = "gained" if self._leading else "lost"
        telemetry.LEADER.set(int(self._leading))
        telemetry.LEADER_CHANGES.labels(change).inc()
        logger.info("leadership %s", change, extra={"identity": self.identity})
        (self._on_gain if self._leading else self._on_loss)()

    async def _release(self) -> None:
        """Give the lease away, so that the next leader need not wait it out."""
        self._valid_until = -math.inf
        self._settle()
        try:
            async with asyncio.timeout(self._timing.retry):
                # Read it: a renewal may have been cut off, written or not.
                held = await self._leases.read()
                if held is not None and held.holder == self.identity:
                    self._see(await self._leases.write(held.released(self._now())))
        except (TimeoutError, ApiError) as error:
            self._failed("release", str(error))
