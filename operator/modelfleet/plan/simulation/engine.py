"""A queueing model of one engine with continuous batching. Deterministic, exact, event by event.

Prompts are computed one after another at a fixed rate; the sequences that decode advance side by
side at a rate that falls as their number grows, so one clock counts the tokens of all of them. A
sequence enters the batch when there is a place and the KV cache has room for all it will ever
hold: a real engine admits earlier and preempts, which costs about as much. That computing prompts
slows the decoding of others is left out.
"""

import math
from array import array
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush

from modelfleet.plan.simulation.profiles import EngineFigures

BOUNDS = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5),
    *(10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0, math.inf),
)
"""Of the histogram of times to first token, as vLLM has them."""


@dataclass(slots=True)
class Counters:
    """What an engine counts since its start, as its metrics page would show it."""

    prompt_tokens: int = 0
    generated_tokens: float = 0.0
    finished: int = 0
    first_tokens: list[int] = field(default_factory=lambda: [0] * len(BOUNDS))
    """Times to first token in each bucket, not added up."""
    first_token_seconds: float = 0.0


@dataclass(slots=True)
class Record:
    """When each request of a trace got its first token and its last; NaN where it did not."""

    first_token: "array[float]"
    finished: "array[float]"

    @staticmethod
    def of(requests: int) -> "Record":
        """Return a record of requests that have got nothing yet."""
        nothing = array("d", [math.nan])
        return Record(nothing * requests, nothing * requests)


class Engine:
    """The queue, the batch and the KV cache of one replica."""

    def __init__(self, figures: EngineFigures, record: Record, now: float) -> None:
        self._record, self._now = record, now
        self._prefill_rate = figures.prefill_tokens_per_second
        self._prefill_seconds = figures.prefill_seconds
        self._single_rate = figures.decode_tokens_per_second
        self._slowdown = figures.decode_slowdown
        self._capacity, self._places = figures.kv_tokens, figures.max_running
        self._waiting: deque[tuple[int, float, int, int]] = deque()
        self._prefilling: deque[tuple[int, float, int, int]] = deque()
        self._prefill_ends = math.inf
        self._ends: list[tuple[float, int, int, float]] = []
        self._tokens = 0.0  # the token clock
        self._rate = self._single_rate
        self._reserved = self._prefill_held = 0
        self._decode_held = 0.0  # of all that decode, less the number of them times the clock
        self.counters = Counters()

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Sequences in the batch."""
        return len(self._prefilling) + len(self._ends)

    @property
    def in_flight(self) -> int:
        """All of them."""
        return len(self._waiting) + len(self._prefilling) + len(self._ends)

    @property
    def kv_usage(self) -> float:
        """Share of the KV cache in use."""
        used = self._prefill_held + self._decode_held + len(self._ends) * self._tokens
        return min(max(used / self._capacity, 0.0), 1.0)

    def submit(self, request: int, prompt: int, output: int, now: float) -> None:
        """Queue a request, after `advance(now)`."""
        self._waiting.append((request, now, max(prompt, 1), output))
        if len(self._waiting) == 1:
            self._admit()

    def advance(self, until: float) -> None:
        """Let happen what happens up to `until`."""
        while True:
            ends, at, prefill = self._ends, self._prefill_ends, True
            if ends:
                left = ends[0][0] - self._tokens
                end = self._now + (left / self._rate if left > 0 else 0.0)
                if end < at:
                    at, prefill = end, False
            if at > until:
                break
            self._elapse(at)
            if prefill:
                self._end_prefill()
            else:
                self._end_sequence()
            if self._waiting:
                self._admit()
        self._elapse(until)

    def _elapse(self, until: float) -> None:
        decoding = len(self._ends)
        if decoding and until > self._now:
            grown = self._rate * (until - self._now)
            self._tokens += grown
            self.counters.generated_tokens += grown * decoding
        self._now = until

    def _admit(self) -> None:
        waiting, prefilling = self._waiting, self._prefilling
        while waiting and len(prefilling) + len(self._ends) < self._places:
            _, _, prompt, output = waiting[0]
            if self._reserved and self._reserved + prompt + output > self._capacity:
                return
            self._reserved += prompt + output
            self._prefill_held += prompt
            prefilling.append(waiting.popleft())
            if len(prefilling) == 1:
                self._start_prefill()

    def _start_prefill(self) -> None:
        if not self._prefilling:
            self._prefill_ends = math.inf
            return
        seconds = self._prefill_seconds + self._prefilling[0][2] / self._prefill_rate
        self._prefill_ends = self._now + seconds

    def _end_prefill(self) -> None:
        request, submitted, prompt, output = self._prefilling.popleft()
        self._prefill_held -= prompt
        self._count_first_token(prompt, self._now - submitted)
        self._record.first_token[request] = self._now
        if output <= 1:
            self._finish(request, prompt + output)
        else:
            held = prompt + 1 - self._tokens
            self._decode_held += held
            heappush(self._ends, (self._tokens + output - 1, request, prompt + output, held))
            self._set_rate()
        self._start_prefill()

    def _count_first_token(self, prompt: int, seconds: float) -> None:
        counters = self.counters
        counters.prompt_tokens += prompt
        counters.generated_tokens += 1
        counters.first_tokens[bisect_left(BOUNDS, seconds)] += 1
        counters.first_token_seconds += seconds

    def _end_sequence(self) -> None:
        _, request, reserved, held = heappop(self._ends)
        self._decode_held -= held
        self._finish(request, reserved)
        self._set_rate()
        if not self._ends:
            self._tokens = self._decode_held = 0.0  # start afresh: sums of floats drift

    def _set_rate(self) -> None:
        others = max(len(self._ends) - 1, 0)
        self._rate = self._single_rate / (1 + self._slowdown * others)

    def _finish(self, request: int, reserved: int) -> None:
        self._reserved -= reserved
        self.counters.finished += 1
        self._record.finished[request] = self._now
