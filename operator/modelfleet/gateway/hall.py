"""Where requests wait: by Model, in order of arrival, each until it may go on or is refused."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from datetime import datetime

from modelfleet import telemetry
from modelfleet.plan.hold import (
    Held,
    Limits,
    Refusal,
    Target,
    hold_for,
    refusal_for,
    too_large,
    too_late,
    too_many,
)
from modelfleet.plan.world import Key


class Refused(Exception):
    """A request that is answered here."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


class Ticket:
    """One request's place. `leave` it at the end, whatever has come of it."""

    def __init__(self, hall: "Hall", key: Key, number: int, seconds: float) -> None:
        self._hall, self.key, self.number, self.seconds = hall, key, number, seconds
        self._loop = asyncio.get_running_loop()
        self.deadline = self._loop.time() + seconds
        """By the loop's clock."""
        self.size = 0
        """Bytes that the hall keeps for it."""
        self._answer: asyncio.Future[None] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None

    def waits(self) -> None:
        """Wait from now on, for the first time or again."""
        self._open()
        self._timer = self._loop.call_at(self.deadline, self._hall.give_up, self)

    def is_over(self) -> bool:
        """Whether it has waited for as long as it may."""
        return self._loop.time() >= self.deadline

    def go(self) -> None:
        """Let it go on."""
        self._settle()
        self._answer.set_result(None)

    def refuse(self, refusal: Refusal) -> None:
        """Have it answered with a no."""
        self._settle()
        self._open()
        self._answer.set_exception(Refused(refusal))
        self._answer.exception()  # nobody may be left to look at it

    async def may_go(self, within: float) -> bool:
        """Wait at most so many seconds; return whether it may go on. Raises Refused."""
        done, _ = await asyncio.wait({self._answer}, timeout=within)
        if done:
            self._answer.result()
        return bool(done)

    def grow(self, size: int) -> None:
        """Keep room for more of its body. Raises Refused."""
        self._hall.grow(self, size)

    def again(self) -> None:
        """Wait again: the replica that was there took nothing."""
        self._hall.take_in(self)

    def leave(self) -> None:
        """Give the place up."""
        self._settle()
        self._hall.let_out(self)

    def _open(self) -> None:
        if self._answer.done():
            self._answer = self._loop.create_future()

    def _settle(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Hall:
    """All requests that a gateway has in hand. `changed` tells it to look at a Model again."""

    def __init__(
        self,
        limits: Limits,
        target: Callable[[Key], Target | None],
        wake: Callable[[Key], None],
        now: Callable[[], datetime],
    ) -> None:
        self._limits, self._target, self._wake, self._now = limits, target, wake, now
        self._waiting: dict[Key, dict[int, Ticket]] = {}
        self._bytes: Counter[Key] = Counter()
        self._namespaces: Counter[str] = Counter()
        self._total = 0
        self._numbers = itertools.count()

    def enter(self, key: Key) -> Ticket:
        """Take a request in; it waits unless a replica is ready. Raises Refused."""
        target = self._known(key)
        if not target.backends:
            now, held = self._now(), self._held(key)
            refusal = refusal_for(target) or too_many(target, self._limits, held, now)
            if refusal is not None:
                raise Refused(refusal)
        ticket = Ticket(self, key, next(self._numbers), hold_for(target.start, self._limits))
        self.take_in(ticket)
        return ticket

    def take_in(self, ticket: Ticket) -> None:
        """Let a ticket go on or wait. Its number keeps its place among those that wait."""
        if ticket.is_over():
            self.give_up(ticket)
            return
        target = self._target(ticket.key)
        ticket.waits()
        self._waiting.setdefault(ticket.key, {})[ticket.number] = ticket
        if target is not None and target.sleep is not None and not target.backends:
            self._wake(ticket.key)
        self.changed(ticket.key)

    def changed(self, key: Key) -> None:
        """Hand over in order if a replica is ready; refuse all if none can be."""
        waiting = self._waiting.get(key)
        if not waiting:
            return
        target = self._target(key)
        if target is None:
            self._refuse_all(key, _gone(key))
        elif target.backends:
            for ticket in self._clear(key):
                ticket.go()
        elif (refusal := refusal_for(target)) is not None:
            self._refuse_all(key, refusal)
        telemetry.HELD_REQUESTS.set(self.waiting())

    def grow(self, ticket: Ticket, size: int) -> None:
        """Keep room for so many bytes more. Raises Refused."""
        target, held = self._known(ticket.key), self._held(ticket.key, ticket.size)
        refusal = too_large(target, self._limits, held, size, self._now())
        if refusal is not None:
            raise Refused(refusal)
        self._count(ticket, size)

    def give_up(self, ticket: Ticket) -> None:
        """Refuse a ticket whose time is over."""
        self._forget(ticket)
        target = self._target(ticket.key)
        refusal = too_late(target, ticket.seconds, self._now()) if target else _gone(ticket.key)
        ticket.refuse(refusal)

    def let_out(self, ticket: Ticket) -> None:
        """Forget a ticket."""
        self._forget(ticket)
        self._count(ticket, -ticket.size)

    def waiting(self, key: Key | None = None) -> int:
        """Return how many requests wait, for one Model or for all."""
        if key is not None:
            return len(self._waiting.get(key, ()))
        return sum(len(one) for one in self._waiting.values())

    def dismiss(self, refusal: Refusal) -> None:
        """Refuse everybody: this gateway ends."""
        for key in tuple(self._waiting):
            self._refuse_all(key, refusal)

    def _known(self, key: Key) -> Target:
        target = self._target(key)
        if target is None:
            raise Refused(_gone(key))
        return target

    def _held(self, key: Key, own: int = 0) -> Held:
        return Held(
            requests=self.waiting(key),
            body_bytes=self._bytes[key],
            namespace_bytes=self._namespaces[key.namespace],
            total_bytes=self._total,
            own_bytes=own,
        )

    def _count(self, ticket: Ticket, size: int) -> None:
        ticket.size += size
        self._total += size
        self._bytes[ticket.key] += size
        self._namespaces[ticket.key.namespace] += size
        if not self._bytes[ticket.key]:
            del self._bytes[ticket.key]
        telemetry.HELD_BYTES.set(self._total)

    def _clear(self, key: Key) -> list[Ticket]:
        """Take all that wait for a Model out of the hall, in order of arrival."""
        return [ticket for _, ticket in sorted(self._waiting.pop(key, {}).items())]

    def _refuse_all(self, key: Key, refusal: Refusal) -> None:
        for ticket in self._clear(key):
            ticket.refuse(refusal)

    def _forget(self, ticket: Ticket) -> None:
        waiting = self._waiting.get(ticket.key, {})
        if waiting.pop(ticket.number, None) is not None and not waiting:
            del self._waiting[ticket.key]
        telemetry.HELD_REQUESTS.set(self.waiting())


def _gone(key: Key) -> Refusal:
    return Refusal(404, "model_not_found", f"there is no Model {key.name} in {key.namespace}")
