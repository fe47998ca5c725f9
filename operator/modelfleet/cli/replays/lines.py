"""The lines of a picture: load and replicas over time, thinned out to what can be seen."""

from collections.abc import Iterable

from modelfleet.plan.simulation.outcome import Outcome
from modelfleet.plan.simulation.traces import Trace

Points = tuple[tuple[float, float], ...]
"""Instants in seconds, and values."""

POINTS = 240


def load_of(trace: Trace, since: float) -> Points:
    """Return prompt tokens per second, each value the mean of a part of the trace."""
    length = max(trace.seconds - since, 1.0)
    sums = [0.0] * POINTS
    for at, prompt, _ in trace:
        if at >= since:
            sums[min(int((at - since) / length * POINTS), POINTS - 1)] += prompt
    return tuple(
        (since + (place + 0.5) * length / POINTS, total * POINTS / length)
        for place, total in enumerate(sums)
    )


def ready_of(one: Outcome) -> Points:
    """Return the ready replicas at each instant at which their number had changed."""
    return tuple(_changes((moment.at, float(moment.ready)) for moment in one.moments))


def _changes(points: Iterable[tuple[float, float]]) -> Iterable[tuple[float, float]]:
    last: tuple[float, float] | None = None
    kept: float | None = None
    for point in points:
        if point[1] != kept:
            yield point
            kept = point[1]
        last = point
    if last is not None:
        yield last
