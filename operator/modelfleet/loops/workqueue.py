"""The work queue: which keys to look at, when, and never one of them twice at once.

A key is in at most one of these places besides the hands of a worker:

* ready: it waits for the next free worker, in order of arrival;
* dirty: it was woken while a worker has it, and becomes ready when that worker is done;
* later: it becomes ready at an instant; a second, earlier instant replaces the first.
"""

import asyncio
import heapq
import itertools
import logging
import math
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from modelfleet import clock, telemetry
from modelfleet.cluster.errors import ApiError, Rejected
from modelfleet.plan.world import Key

logger = logging.getLogger(__name__)

FIRST_DELAY = 0.2
LONGEST_DELAY = 60.0
"""Seconds of back-off: doubled for each failure in a row, and jittered."""

LONG_RESYNC = 600.0
"""Seconds until a refused key is looked at again though nothing has changed: what refused it
(a quota, a policy, RBAC) may be mended without an event that we see."""


class QueueClosed(Exception):
    """There will be no more turns."""


class Turn:
    """A worker's hold on one key. How it ends is said once; the last word counts."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self.outcome = "done"
        self.again: float | None = None
        """Seconds until the next look; None for none."""
        self.failed = False

    def look_again(self, after: timedelta | None) -> None:
        """All went well; look again by then at the latest. None: only when something changes."""
        self.outcome, self.failed = "done", False
        self.again = None if after is None else max(0.0, after.total_seconds())

    def back_off(self, error: BaseException) -> None:
        """Try again, after a time that grows with each failure in a row."""
        self.outcome, self.failed = "back_off", True
        logger.info("backing off", extra={"key": self.key, "error": str(error)})

    def give_up_until_changed(self, error: BaseException) -> None:
        """Wait for a change, or for the long resync: the same again would be refused again."""
        self.outcome, self.failed = "given_up", False
        self.again = LONG_RESYNC * random.uniform(0.8, 1.2)
        logger.warning(
            "giving up until something changes", extra={"key": self.key, "error": str(error)}
        )


class WorkQueue:
    """Keys to be worked on. All methods but `wake_from_thread` belong to the loop's thread."""

    def __init__(
        self, name: str = "main", monotonic: Callable[[], float] = clock.monotonic
    ) -> None:
        self._monotonic = monotonic
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Queue[Key | None] = asyncio.Queue()
        self._since: dict[Key, float] = {}
        """Ready and dirty keys, with the instant of their first wake, oldest wake first."""
        self._turns: dict[Key, float] = {}
        """Keys in the hands of workers, with the instant that their turn began."""
        self._due: dict[Key, float] = {}
        self._later: list[tuple[float, int, Key]] = []
        """A heap; entries that differ from `_due` have been replaced."""
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = math.inf
        self._failures: dict[Key, int] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self.closed = False
        self._name = name
        self._depth = telemetry.QUEUE_DEPTH.labels(name)
        self._waited = telemetry.QUEUE_WAIT.labels(name)

    def wake(self, key: Key, delay: float = 0.0) -> None:
        """Have `key` looked at in `delay` seconds at the latest."""
        if self.closed or key in self._since:
            return
        if delay > 0:
            self._schedule(key, self._monotonic() + delay)
            return
        self._due.pop(key, None)
        self._since[key] = self._monotonic()
        if key not in self._turns:
            self._ready.put_nowait(key)
        self._depth.set(len(self._since))

    def wake_from_thread(self, key: Key, delay: float = 0.0) -> None:
        """Do the same from another thread, at any time; nothing happens once the loop has ended."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.wake, key, delay)

    @asynccontextmanager
    async def next(self) -> AsyncIterator[Turn]:
        """Wait for a key and hold it. Raises QueueClosed. An exception inside is a failed turn."""
        turn = Turn(await self._take())
        try:
            yield turn
        except BaseException as error:
            turn.back_off(error)
            raise
        finally:
            self._end(turn)

    async def close(self, timeout: float = 0.0) -> bool:
        """Give no more turns; wait up to `timeout` seconds for those that run.

        Return whether all have ended.
        """
        self.closed = True
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
        self._ready.put_nowait(None)
        try:
            async with asyncio.timeout(timeout):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def __len__(self) -> int:
        return len(self._since)

    def oldest_age(self) -> float:
        """Return how many seconds the key has waited that waits longest; 0 if none does."""
        oldest = next(iter(self._since.values()), None)
        return 0.0 if oldest is None else self._monotonic() - oldest

    def longest_turn(self) -> float:
        """Return for how many seconds the longest turn has been running; 0 if none is."""
        started = min(self._turns.values(), default=None)
        return 0.0 if started is None else self._monotonic() - started

    def failures(self, key: Key) -> int:
        """Return how many turns of `key` failed in a row."""
        return self._failures.get(key, 0)

    async def _take(self) -> Key:
        key = await self._ready.get()
        if key is None or self.closed:
            self._ready.put_nowait(None)  # for the next worker that waits
            raise QueueClosed
        now = self._monotonic()
        self._waited.observe(now - self._since.pop(key))
        self._turns[key] = now
        self._idle.clear()
        self._depth.set(len(self._since))
        return key

    def _end(self, turn: Turn) -> None:
        key = turn.key
        seconds = self._monotonic() - self._turns.pop(key)
        telemetry.QUEUE_WORK.labels(self._name, key.kind).observe(seconds)
        telemetry.QUEUE_TURNS.labels(self._name, key.kind, turn.outcome).inc()
        again = self._next_delay(turn)
        if key in self._since:
            self._ready.put_nowait(key)
        elif again is not None:
            self.wake(key, again)
        if not self._turns:
            self._idle.set()

    def _next_delay(self, turn: Turn) -> float | None:
        if not turn.failed:
            self._failures.pop(turn.key, None)
            return turn.again
        failures = self._failures.get(turn.key, 0)
        self._failures[turn.key] = failures + 1
        return backoff(failures)

    def _schedule(self, key: Key, due: float) -> None:
        if self._due.get(key, math.inf) <= due:
            return
        self._due[key] = due
        heapq.heappush(self._later, (due, next(self._order), key))
        if len(self._later) > 2 * len(self._due) + 100:
            self._forget_replaced()
        if self._timer is None or due < self._timer_due:
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._later:
            self._timer_due = self._later[0][0]
            delay = max(0.0, self._timer_due - self._monotonic())
            self._timer = self._loop.call_later(delay, self._wake_due)

    def _forget_replaced(self) -> None:
        self._later = [entry for entry in self._later if self._due.get(entry[2]) == entry[0]]
        heapq.heapify(self._later)

    def _wake_due(self) -> None:
        self._timer = None
        now = self._monotonic()
        while self._later and self._later[0][0] <= now:
            due, _, key = heapq.heappop(self._later)
            if self._due.get(key) == due:
                self.wake(key)
        self._set_timer()


def backoff(failures: int) -> float:
    """Return the seconds to wait after so many earlier failures in a row: ±20 % of doubling."""
    step = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures, 30))
    return step * random.uniform(0.8, 1.2)


Reconcile = Callable[[Key], Awaitable[timedelta | None]]


async def work(queue: WorkQueue, reconcile: Reconcile) -> None:
    """Reconcile what is due until the queue is closed. Run as many of these as may work at once."""
    while True:
        try:
            async with queue.next() as turn:
                await _take_turn(turn, reconcile)
        except QueueClosed:
            return


async def _take_turn(turn: Turn, reconcile: Reconcile) -> None:
    try:
        turn.look_again(await reconcile(turn.key))
    except Rejected as error:
        turn.give_up_until_changed(error)
    except ApiError as error:
        turn.back_off(error)
    except Exception as error:
        # A defect of ours must cost this object its turn, not the operator its life.
        logger.exception("a reconcile failed", extra={"key": turn.key})
        turn.back_off(error)


async def run_workers(queue: WorkQueue, reconcile: Reconcile, workers: int) -> None:
    """Run `workers` side by side until the queue is closed."""
    async with asyncio.TaskGroup() as group:
        for number in range(workers):
            group.create_task(work(queue, reconcile), name=f"worker-{number}")
