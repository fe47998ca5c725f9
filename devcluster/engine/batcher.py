"""Drives a timing model by the clock and wakes those who wait for tokens.

One timer per engine, not per stream or per token: it is set to the next instant at which
something changes for anybody.
"""

import asyncio
import time
from collections.abc import Callable

from devcluster.engine.metrics.tally import Load, Tally
from devcluster.engine.profiles import Profile
from devcluster.engine.sequences import Decoded, Event, Finished, Preempted, Prefilled, Sequence
from devcluster.engine.timing import Scheduler

_SHORTEST_TIMER = 0.001
"""Resolution of the event loop's timers, in seconds."""


class Pace:
    """Bounds how often streams are written to, over all engines of this process."""

    def __init__(self, shortest: float = 0.02, writes_per_second: float = 5000) -> None:
        self._shortest = shortest
        self._writes_per_second = writes_per_second
        self.streams = 0

    @property
    def tick(self) -> float:
        """Seconds between two looks at the streams of an engine; tokens gather in between."""
        return max(self._shortest, self.streams / self._writes_per_second)


class Ticket:
    """One request in an engine."""

    def __init__(self, sequence: Sequence, reason: str, *, streamed: bool) -> None:
        self.sequence = sequence
        self.reason = reason
        self.streamed = streamed
        self.generated = 0
        self._taken = 0
        self._waiter: asyncio.Future[None] | None = None

    @property
    def is_finished(self) -> bool:
        """Say whether all tokens are there, or the request was given up."""
        return self.sequence.finished_at is not None

    async def more(self) -> int:
        """Wait for tokens and return how many there are so far. Ends with `is_finished`."""
        while self.generated <= self._taken and not self.is_finished:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        self._taken = self.generated
        return self.generated

    async def finished(self) -> None:
        """Wait for the end."""
        while not self.is_finished:
            await self.more()

    def notify(self) -> None:
        """Wake the one who waits."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Batcher:
    """The inside of one engine: a scheduler, the clock, and what they count."""

    def __init__(
        self,
        profile: Profile,
        tally: Tally,
        pace: Pace,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tally = tally
        self._pace = pace
        self._clock = clock
        self._scheduler = Scheduler(profile, clock())
        self._tickets: dict[Sequence, Ticket] = {}
        self._streams: dict[Sequence, Ticket] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._frozen = False

    def submit(
        self, prompt_tokens: int, output_tokens: int, reason: str, *, streamed: bool
    ) -> Ticket:
        """Queue a request that will end for `reason`. Raises `QueueFull`."""
        self._advance()
        sequence = self._scheduler.submit(prompt_tokens, output_tokens, self._clock())
        ticket = Ticket(sequence, reason, streamed=streamed)
        self._tickets[sequence] = ticket
        if streamed:
            self._streams[sequence] = ticket
            self._pace.streams += 1
        self._arm()
        return ticket

    def leave(self, ticket: Ticket, reason: str = "abort") -> None:
        """Give a request up, unless it has finished."""
        if ticket.sequence not in self._tickets:
            return
        self._advance()
        if ticket.sequence not in self._tickets:
            return
        generated = self._scheduler.generated(ticket.sequence)
        self._scheduler.cancel(ticket.sequence)
        self._close(ticket, reason, generated)
        self._arm()

    def adjust(self, profile: Profile) -> None:
        """Go on with other figures."""
        self._advance()
        self._scheduler.profile = profile
        self._arm()

    def is_waiting(self, ticket: Ticket) -> bool:
        """Say whether the request is still in the queue."""
        return self._scheduler.is_waiting(ticket.sequence)

    def load(self) -> Load:
        """Return what goes on right now."""
        self._advance()
        scheduler = self._scheduler
        decoding = scheduler.decoding
        return Load(
            running=scheduler.running,
            waiting=scheduler.waiting,
            kv_used=scheduler.kv_used,
            kv_usage=scheduler.kv_usage,
            token_rate=decoding * scheduler.profile.decode_rate(decoding),
        )

    def freeze(self) -> None:
        """Stop for ever: no token comes any more, and whoever waits goes on waiting."""
        self._frozen = True
        if self._timer is not None:
            self._timer.cancel()

    def _advance(self) -> None:
        if not self._frozen:
            for event in self._scheduler.advance(self._clock()):
                self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case Prefilled(sequence):
                self.tally.prefilled(sequence)
            case Decoded():
                self.tally.decoded(event)
            case Preempted():
                self.tally.preemptions += 1
            case Finished(sequence):
                ticket = self._tickets[sequence]
                self._close(ticket, ticket.reason, sequence.output_tokens)

    def _close(self, ticket: Ticket, reason: str, generated: int) -> None:
        del self._tickets[ticket.sequence]
        if self._streams.pop(ticket.sequence, None) is not None:
            self._pace.streams -= 1
        ticket.generated = generated
        self.tally.finished(ticket.sequence, reason, ticket.streamed, generated)
        ticket.notify()

    def _on_timer(self) -> None:
        self._timer = None
        self._advance()
        for sequence, ticket in self._streams.items():
            generated = self._scheduler.generated(sequence)
            if generated > ticket.generated:
                ticket.generated = generated
                ticket.notify()
        self._arm()

    def _arm(self) -> None:
        """Set the timer to the next change, or to the next look at the streams."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        at = self._scheduler.next_change_at()
        if at is None or self._frozen:
            return
        delay = at - self._clock()
        decoding = self._scheduler.decoding
        if self._streams and decoding:
            period = 1 / self._scheduler.profile.decode_rate(decoding)
            delay = min(delay, max(self._pace.tick, period))
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(delay, _SHORTEST_TIMER), self._on_timer)
