"""When requests came, and how long they and their answers were."""

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from modelfleet.plan.simulation.chance import Chance

MOST_REQUESTS = 2_000_000
LONGEST_SECONDS = 31 * 86_400
MOST_TOKENS = 10_000_000
"""Of one prompt or answer."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Requests in the order in which they came. Three arrays: a request takes 24 bytes."""

    at: "array[float]" = field(default_factory=lambda: array("d"))
    """Seconds since the trace began, ascending."""
    prompt: "array[int]" = field(default_factory=lambda: array("q"))
    """Tokens of the request."""
    output: "array[int]" = field(default_factory=lambda: array("q"))
    """Tokens of the answer."""
    seconds: float = 0.0
    """How long the trace is; at least until its last request."""

    def __len__(self) -> int:
        return len(self.at)

    def __iter__(self) -> Iterator[tuple[float, int, int]]:
        return zip(self.at, self.prompt, self.output, strict=True)


def trace_of(requests: list[tuple[float, int, int]], seconds: float | None = None) -> Trace:
    """Return a trace of (at, prompt, output) in any order, moved to begin at zero.

    With `seconds` it is not moved and is that long.
    """
    requests = sorted(requests, key=lambda one: one[0])
    start = requests[0][0] if requests and seconds is None else 0.0
    at = array("d", (one[0] - start for one in requests))
    return Trace(
        at,
        array("q", (one[1] for one in requests)),
        array("q", (one[2] for one in requests)),
        seconds if seconds is not None else (at[-1] if at else 0.0),
    )


def part(trace: Trace, begin: float, end: float) -> Trace:
    """Return what came in [begin, end), with `begin` as its zero."""
    first, last = bisect_left(trace.at, begin), bisect_left(trace.at, end)
    return Trace(
        array("d", (at - begin for at in trace.at[first:last])),
        trace.prompt[first:last],
        trace.output[first:last],
        max(min(end, trace.seconds) - begin, 0.0),
    )


SPREAD_SECONDS = 30.0
"""Copies of a request come up to this long after it: many users are not one user many times."""


def multiplied(trace: Trace, times: float, seed: int = 0) -> Trace:
    """Return a trace with `times` as many requests: copies a little later, or a sample of them."""
    if times == 1:
        return trace
    chance = Chance(seed)
    requests: list[tuple[float, int, int]] = []
    for at, prompt, output in trace:
        copies = int(times) + (chance.uniform() <= times - int(times))
        for copy in range(copies):
            late = chance.uniform() * SPREAD_SECONDS if copy else 0.0
            requests.append((min(at + late, trace.seconds), prompt, output))
    return trace_of(requests, trace.seconds)
