"""The timing model of a batching model server. Pure: time is an argument, nothing is random.

Prompts are prefilled one after another at a fixed rate. All sequences that decode advance
side by side at the same rate, which falls as their number grows, so one clock counts the
tokens of all of them: a sequence that started at reading `v` has its k-th further token at
`v + k`. Every change (a prefill ends, a sequence ends, the KV cache is full) is computed, not
polled, and costs O(log n). That prefill slows the decoding of others is left out.
"""

import heapq
import math
from collections import deque
from collections.abc import Callable
from itertools import count
from operator import itemgetter

from devcluster.engine.profiles import Profile
from devcluster.engine.sequences import Decoded, Event, Finished, Preempted, Prefilled, Sequence

_EPSILON = 1e-9
"""Readings of the token clock closer than this are the same: they are sums of many floats."""

_FILL = 0.99
"""Share of the KV cache that new sequences may fill. The rest is left to those that run:
without it, a sequence that was just preempted would come back at once and be preempted again."""


class QueueFull(Exception):
    """As many requests wait as the profile allows."""


class Scheduler:
    """The queue, the batch and the KV cache of one engine."""

    def __init__(self, profile: Profile, now: float) -> None:
        self.profile = profile
        self._now = now
        self._tokens = 0.0  # the token clock
        self._waiting: deque[Sequence] = deque()
        self._prefilling: deque[Sequence] = deque()
        self._prefill_ends_at = math.inf
        self._decoding: dict[Sequence, None] = {}
        self._ends: list[tuple[float, int, Sequence]] = []
        self._order = count()
        self._prefill_kv = 0
        self._decode_kv = 0.0  # of all that decode, less the number of them times the clock
        self._uncounted = 0.0  # the fraction of a decoded token not yet reported

    @property
    def running(self) -> int:
        """Sequences in the batch."""
        return len(self._prefilling) + len(self._decoding)

    @property
    def waiting(self) -> int:
        """Sequences in the queue."""
        return len(self._waiting)

    @property
    def decoding(self) -> int:
        """Sequences past their prefill."""
        return len(self._decoding)

    @property
    def kv_used(self) -> float:
        """KV tokens that the batch holds."""
        return self._prefill_kv + self._decode_kv + len(self._decoding) * self._tokens

    @property
    def kv_usage(self) -> float:
        """Share of the KV cache in use, 0 to 1."""
        return min(max(self.kv_used / self.profile.kv_tokens, 0.0), 1.0)

    def is_waiting(self, sequence: Sequence) -> bool:
        """Say whether `sequence` is in the queue and not in the batch."""
        return sequence.admitted_at is None and sequence.finished_at is None

    def generated(self, sequence: Sequence) -> int:
        """Return how many tokens `sequence` has by the last `advance`."""
        if sequence.finished_at is not None:
            return sequence.output_tokens
        if sequence.decodes_from is None:
            return sequence.kept_tokens
        since = math.floor(self._tokens - sequence.decodes_from + _EPSILON)
        return min(sequence.kept_tokens + 1 + since, sequence.output_tokens)

    def submit(self, prompt_tokens: int, output_tokens: int, now: float) -> Sequence:
        """Queue a request. Call `advance(now)` before. Raises `QueueFull`."""
        limit = self.profile.max_queued
        if limit is not None and self._is_full() and len(self._waiting) >= limit:
            raise QueueFull
        sequence = Sequence(
            prompt_tokens=min(max(prompt_tokens, 1), self.profile.kv_tokens),
            output_tokens=output_tokens,
            submitted_at=now,
            queued_at=now,
        )
        self._waiting.append(sequence)
        self._admit()
        return sequence

    def cancel(self, sequence: Sequence) -> None:
        """Forget a sequence that nobody waits for any more. Call `advance` before."""
        if sequence.finished_at is not None:
            return
        if sequence in self._decoding:
            self._leave_batch(sequence)
        elif sequence in self._prefilling:
            self._leave_prefill(sequence)
        elif sequence in self._waiting:
            self._waiting.remove(sequence)
        sequence.finished_at = self._now
        self._admit()

    def next_change_at(self) -> float | None:
        """Return when `advance` will next have something to tell, or None if nothing runs."""
        at, _ = self._next_change()
        return None if at == math.inf else at

    def advance(self, now: float) -> list[Event]:
        """Move to `now` and return what happened, in order."""
        events: list[Event] = []
        at, change = self._next_change()
        while at <= now:
            self._elapse(at, events)
            change(events)
            self._admit()
            at, change = self._next_change()
        self._elapse(now, events)
        return events

    def _next_change(self) -> tuple[float, Callable[[list[Event]], None]]:
        changes = (
            (self._prefill_ends_at, self._end_prefill),
            (self._next_end_at(), self._finish),
            (self._kv_full_at(), self._preempt),
        )
        return min(changes, key=itemgetter(0))

    def _is_full(self) -> bool:
        return bool(self._waiting) or self.running >= self.profile.max_running

    def _admit(self) -> None:
        while self._waiting and self.running < self.profile.max_running:
            head = self._waiting[0]
            if self.running and self.kv_used + head.needs > self.profile.kv_tokens * _FILL:
                return
            self._waiting.popleft()
            head.admitted_at = self._now
            self._prefilling.append(head)
            self._prefill_kv += head.needs
            if len(self._prefilling) == 1:
                self._start_prefill()

    def _start_prefill(self) -> None:
        if not self._prefilling:
            self._prefill_ends_at = math.inf
            return
        profile = self.profile
        seconds = self._prefilling[0].needs / profile.prefill_tokens_per_second
        self._prefill_ends_at = self._now + profile.prefill_seconds + seconds

    def _next_end_at(self) -> float:
        while self._ends and self._ends[0][0] != self._ends[0][2].decodes_to:
            heapq.heappop(self._ends)  # it was cancelled or preempted
        if not self._ends:
            return math.inf
        left = max(self._ends[0][0] - self._tokens, 0.0)
        return self._now + left / self.profile.decode_rate(len(self._decoding))

    def _kv_full_at(self) -> float:
        decoding = len(self._decoding)
        if self.running < 2 or not decoding:
            return math.inf  # alone, a sequence may have all there is
        free = max(self.profile.kv_tokens - self.kv_used, 0.0)
        return self._now + free / (decoding * self.profile.decode_rate(decoding))

    def _elapse(self, until: float, events: list[Event]) -> None:
        until = max(until, self._now)
        decoding = len(self._decoding)
        if decoding:
            rate = self.profile.decode_rate(decoding)
            grown = rate * (until - self._now)
            self._tokens += grown
            self._uncounted += grown * decoding
            whole = math.floor(self._uncounted + _EPSILON)
            if whole:
                self._uncounted -= whole
                events.append(Decoded(whole, 1 / rate, decoding))
        self._now = until

    def _end_prefill(self, events: list[Event]) -> None:
        sequence = self._prefilling.popleft()
        self._prefill_kv -= sequence.needs
        sequence.prefilled_at = self._now
        left = sequence.output_tokens - sequence.kept_tokens - 1
        if sequence.first_token_at is None:
            sequence.first_token_at = self._now
            events.append(Prefilled(sequence))
        else:
            events.append(Decoded(1, self._now - sequence.queued_at, 1))
        if left <= 0:
            sequence.finished_at = self._now
            events.append(Finished(sequence))
        else:
            self._join_batch(sequence, left)
        self._start_prefill()

    def _join_batch(self, sequence: Sequence, left: int) -> None:
        sequence.decodes_from = self._tokens
        self._decoding[sequence] = None
        sequence.decodes_to = self._tokens + left
        self._decode_kv += sequence.needs + 1 - self._tokens
        heapq.heappush(self._ends, (sequence.decodes_to, next(self._order), sequence))

    def _leave_batch(self, sequence: Sequence) -> None:
        if sequence.decodes_from is not None:
            self._decode_kv -= sequence.needs + 1 - sequence.decodes_from
        sequence.decodes_to = math.inf
        del self._decoding[sequence]
        if not self._decoding:
            self._ends.clear()
            self._tokens = self._decode_kv = 0.0  # start afresh: sums of floats drift

    def _leave_prefill(self, sequence: Sequence) -> None:
        is_head = self._prefilling[0] is sequence
        self._prefilling.remove(sequence)
        self._prefill_kv -= sequence.needs
        if is_head:
            self._start_prefill()

    def _finish(self, events: list[Event]) -> None:
        _, _, sequence = heapq.heappop(self._ends)
        self._leave_batch(sequence)
        sequence.finished_at = self._now
        events.append(Finished(sequence))

    def _preempt(self, events: list[Event]) -> None:
        """Take the KV cache from the sequence that came last; it is computed again later."""
        if self._prefilling:  # those came after all that decode
            sequence = self._prefilling[-1]
            self._leave_prefill(sequence)
        else:
            sequence = next(reversed(self._decoding))
            kept = self.generated(sequence)
            self._leave_batch(sequence)
            sequence.kept_tokens = kept
        sequence.preemptions += 1
        sequence.decodes_from = sequence.admitted_at = None
        sequence.queued_at = self._now
        self._waiting.appendleft(sequence)
        events.append(Preempted(sequence))
